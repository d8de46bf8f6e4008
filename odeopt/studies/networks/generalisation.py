"""Conventional wisdom 2 of [A002]: what lr does to the test accuracy when lr wd is kept, and when it is not."""

from dataclasses import dataclass

import numpy as np

from ... import checks
from ...optimizers import GradientDescent
from ...problems import normalized_mlp
from ...problems.base import checked
from ...problems.classifier import class_probabilities, model_of
from ...stochastic import Minibatch
from ..base import Study
from ..inner import columns, inner_sample, partial_results
from ..noise.stationary import completed, mean_interval
from .scale_invariance import directions, pairs_of


@dataclass(frozen=True, eq=False, repr=False)
class Generalisation(Study):
    """Test accuracy of SGD with weight decay, one entry per pair (lr, wd); mean, spread and interval over seeds.

    Each seed counts with its mean over the last third of the run: at its equilibrium the accuracy fluctuates.
    """

    axes = "lr weight_decay accuracy half_width spread train_loss: P"

    problem: str
    seeds: int
    steps: int
    level: float
    lr: np.ndarray
    weight_decay: np.ndarray
    accuracy: np.ndarray
    half_width: np.ndarray
    spread: np.ndarray
    train_loss: np.ndarray

    def rows(self):
        """One dict per pair."""
        return [{"lr": float(a), "wd": float(b), "lr wd": float(a * b), "test accuracy": float(m), "+-": float(h),
                 "std over seeds": float(s), "train loss": float(f)}
                for a, b, m, h, s, f in zip(self.lr, self.weight_decay, self.accuracy, self.half_width, self.spread,
                                            self.train_loss)]

    def headline(self):
        return (f"{self.problem}: test accuracy {self.accuracy.min():.1%} to {self.accuracy.max():.1%}, "
                f"{self.seeds} seeds, {self.steps} steps")


def random_starts(problem, count, seed, norm=None):
    """(count, n) starts, standard normal or of length ``norm``."""
    count, seed = checks.integer("count", count, 1), checks.integer("seed", seed, high=None)
    norm = checks.real_or_none("norm", norm, low=0.0, open_low=True)
    x = np.random.default_rng((seed, 2)).standard_normal((count, checked(problem).dim))
    return x if norm is None else norm * directions(x)


@partial_results
def generalisation(pairs, problem=None, *, steps=1500, batch=32, seeds=12, start_norm=1.0, level=0.99, seed=0,
                   threads=None, progress=False, records=24):
    """Conventional wisdom 2: small learning rates generalise worse. Not once lr wd is matched.

    Every pair runs from the same ``seeds`` starts of length ``start_norm`` for ``steps`` steps with
    the same streams of batches; only (lr, wd) differ. ``problem`` default: the normalised
    two-layer network on the digits (training images; accuracy on the test images). Ctrl-C keeps the finished pairs.
    """
    level = checks.share("level", level)
    problem = normalized_mlp() if problem is None else problem
    x0 = random_starts(problem, checks.integer("seeds", seeds, 2), seed, start_norm)
    labels = model_of(problem).labels()
    steps, records = checks.integer("steps", steps, 1), checks.integer("records", records, 1)
    every = max(1, steps // records)

    def measured(pair):
        lr, decay = pair
        run = inner_sample(GradientDescent(lr=lr, weight_decay=decay), problem, Minibatch(batch), x0, steps=steps,
                           paths=seeds, seed=seed, every=every, threads=threads, progress=progress)
        completed(run, f"pairs must be stable, got lr={lr}, weight_decay={decay}")
        late = run.x[:, run.k >= 2 * steps / 3]
        right = np.array([np.mean([class_probabilities(problem, w).argmax(axis=1) == labels for w in path])
                          for path in late])
        mean, half = mean_interval(right, level)
        return lr, decay, mean, half, right.std(ddof=1), np.mean([problem.fun(w) for w in run.end])

    return Generalisation(problem.name, seeds, steps, level, *columns("pairs", pairs_of(pairs), measured))
