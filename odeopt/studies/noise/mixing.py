"""Does SGD mix? Distances along a run, averages of weights, and agreement of predictions.

A diffusion that has reached its stationary law forgets: E|W_T - W_{T+d}|^2 tends to the plateau
2 tr(Sigma) (the Ornstein-Uhlenbeck basin of Izmailov et al., arXiv:1803.05407). [A002] and
Li, Lyu, Arora, arXiv:2010.02916 report that normalised networks do not: the distance keeps
growing, the average of two epochs of one run is better than either while the average of two runs
is not, and yet in *function space* runs from different starts become alike after O(1/(lr wd)) steps.
"""

from dataclasses import dataclass

import numpy as np

from ... import checks
from ...optimizers import GradientDescent
from ...problems import normalized_mlp
from ...problems.classifier import class_probabilities, model_of, normalized_weights
from ...stochastic import Minibatch, gaussian
from ..base import Study
from ..inner import columns, inner_sample, partial_results
from ..networks.generalisation import random_starts
from ..networks.scale_invariance import pairs_of
from .stationary import (
    completed,
    dense_quadratic,
    forgetting_time,
    mean_interval,
    stationary_covariance,
    step_matrices,
    student,
)


def lag_distance(optimizer, hessian, covariance, lags):
    """Exact E|x_k - x_{k+d}|^2 of a stationary linear method on a quadratic, for each lag d; -> 2 tr Sigma.

    Raises as :func:`odeopt.studies.noise.stationary.stationary_covariance`.
    """
    p = stationary_covariance(optimizer, hessian, covariance, full=True)
    a, _ = step_matrices(optimizer, hessian)
    n = np.shape(hessian)[0]
    return np.array([2 * np.trace((p - np.linalg.matrix_power(a, checks.integer("lags", d)) @ p)[:n, :n])
                     for d in checks.some("lags", lags)])


@dataclass(frozen=True, eq=False, repr=False)
class LagDistance(Study):
    """E|W_T - W_{T+d}|^2 over paths, against the lag d, for T after the burn-in.

    ``predicted`` the exact value (quadratics; else empty), ``plateau`` 2 tr(Sigma) (nan if unknown).
    """

    axes = "lag distance half_width predicted?: D"

    problem: str
    method: str
    paths: int
    burn: int
    plateau: float
    lag: np.ndarray
    distance: np.ndarray
    half_width: np.ndarray
    predicted: np.ndarray

    @property
    def last_doubling(self):
        """Factor by which the distance grew while the lag doubled for the last time (1 on a plateau)."""
        half = np.interp(0.5 * self.lag[-1], self.lag, self.distance)
        return float(self.distance[-1] / half)

    def rows(self):
        """One dict per lag."""
        predicted = [float(p) for p in self.predicted] or [None] * self.lag.size
        return [{"lag": int(d), "E|W_T - W_T+d|^2": float(v), "+-": float(h), "exact": p}
                for d, v, h, p in zip(self.lag, self.distance, self.half_width, predicted)]

    def headline(self):
        plateau = f", plateau 2 tr Sigma = {self.plateau:.4g}" if np.isfinite(self.plateau) else ""
        return (f"{self.problem}: over the last doubling of the lag the distance grew by a factor "
                f"{self.last_doubling:.3f}{plateau}")


def lag_distance_quadratic(optimizer, hessian, covariance, *, lags=64, stride=1, paths=4000, level=0.99, seed=0,
                           threads=None, progress=False):
    """Sample E|W_T - W_{T+d}|^2 on a quadratic, d = stride, 2 stride, ..., lags stride, with the exact values."""
    level = checks.share("level", level)
    stride = checks.integer("stride", stride, 1, 2**40)
    lag = stride * np.arange(1, checks.integer("lags", lags, 2) + 1)
    exact = lag_distance(optimizer, hessian, covariance, lag)
    sigma = stationary_covariance(optimizer, hessian, covariance)
    a, _ = step_matrices(optimizer, hessian)
    burn = forgetting_time(optimizer, float(np.abs(np.linalg.eigvals(a)).max()))
    burn = stride * -(-burn // stride)
    problem = dense_quadratic(hessian, np.zeros(np.shape(hessian)[0]))
    run = inner_sample(optimizer, problem, gaussian(covariance), steps=burn + int(lag[-1]), paths=paths, seed=seed,
                       every=stride, threads=threads, progress=progress)
    return _distances("quadratic", optimizer, run, burn, stride, level, 2 * float(np.trace(sigma)), exact)


def lag_distance_network(optimizer, problem=None, *, burn=4000, lags=40, stride=50, origins=20, batch=32, paths=8,
                         raw=False, level=0.99, seed=0, threads=None, progress=False):
    """The same on a normalised network (default: two layers, digits) with mini-batches; no exact values.

    Each path counts with the mean over ``origins`` times T = burn, burn + stride, ... The weights are
    those that the network sees, each layer on its sphere, so that a norm that still relaxes does not pass for
    motion; ``raw`` takes the weights as they are.
    """
    level = checks.share("level", level)
    problem = normalized_mlp() if problem is None else problem
    raw, stride = checks.switch("raw", raw), checks.integer("stride", stride, 1)
    burn, lags, origins = (checks.integer(name, value, 1) for name, value in (
        ("burn", burn), ("lags", lags), ("origins", origins)))
    if burn % stride:
        raise ValueError(f"burn must be a multiple of stride = {stride}, got {burn}")
    run = inner_sample(optimizer, problem, Minibatch(batch), random_starts(problem, paths, seed, 1.0),
                       steps=burn + (lags + origins - 1) * stride, paths=paths, seed=seed, every=stride,
                       threads=threads, progress=progress)
    seen = None if raw else np.array([[normalized_weights(problem, w) for w in path] for path in run.x])
    return _distances(problem.name, optimizer, run, burn, stride, level, np.nan, np.empty(0), origins, seen)


def _distances(name, optimizer, run, burn, stride, level, plateau, exact, origins=1, seen=None):
    completed(run, f"optimizer must be stable, got {optimizer!r}")
    x = run.x if seen is None else seen
    lags, squares = run.k.size - burn // stride - origins, 0.0
    for first in range(burn // stride, burn // stride + origins):
        squares = squares + ((x[:, first + 1 : first + 1 + lags] - x[:, first : first + 1]) ** 2).sum(axis=2)
    mean, half = mean_interval(squares / origins, level)
    return LagDistance(name, repr(optimizer), run.paths, burn, float(plateau), stride * np.arange(1, lags + 1), mean,
                       half, exact)


@dataclass(frozen=True, eq=False, repr=False)
class AveragedPairs(Study):
    """Test loss of weights from two epochs of one run, of their average, and of averages across two runs.

    Means over pairs with half widths: ``single``, ``along`` (average within a run), ``across``
    (average of two runs at the same step). ``along_gain`` and ``across_gain``: single minus average, the
    differences taken pair by pair.
    """

    problem: str
    method: str
    paths: int
    epochs: tuple
    single: float
    along: float
    across: float
    along_gain: float
    along_gain_half: float
    across_gain: float
    across_gain_half: float

    def rows(self):
        """Three rows."""
        return [{"weights": "one epoch", "test loss": self.single, "gain": None, "+-": None},
                {"weights": "average of two epochs of one run", "test loss": self.along, "gain": self.along_gain,
                 "+-": self.along_gain_half},
                {"weights": "average of two runs", "test loss": self.across, "gain": self.across_gain,
                 "+-": self.across_gain_half}]

    def headline(self):
        return (f"{self.problem}: averaging gains {self.along_gain:+.3f} +- {self.along_gain_half:.3f} along a run and "
                f"{self.across_gain:+.3f} +- {self.across_gain_half:.3f} across two runs")


def held_out_loss(problem, x):
    """Mean of -log p(label) on the test images."""
    labels = model_of(problem).labels()
    p = class_probabilities(problem, x)
    return float(-np.log(np.maximum(p[np.arange(labels.size), labels], 1e-300)).mean())


def averaged_pairs(optimizer, problem=None, *, first=2000, second=2400, batch=32, paths=8, level=0.99, seed=0,
                   threads=None, progress=False):
    """SWA's test of mixing: two steps of one run against two runs from different starts.

    Normalised weights are averaged, so that each counts alike. ``second`` must be a multiple of
    ``second - first``.
    """
    level = checks.share("level", level)
    problem = normalized_mlp() if problem is None else problem
    stride = second - first
    if stride < 1 or first % stride:
        raise ValueError(f"first must be a multiple of second - first = {stride}, got {first}")
    run = inner_sample(optimizer, problem, Minibatch(batch), random_starts(problem, paths, seed, 1.0), steps=second,
                       paths=paths, seed=seed, every=stride, threads=threads, progress=progress)
    completed(run, f"optimizer must be stable, got {optimizer!r}")
    early, late = ([normalized_weights(problem, w) for w in run.x[:, i]] for i in (-2, -1))
    losses = np.array([[held_out_loss(problem, w) for w in early], [held_out_loss(problem, w) for w in late]])
    along = np.array([held_out_loss(problem, 0.5 * (a + b)) for a, b in zip(early, late)])
    across = np.array([held_out_loss(problem, 0.5 * (late[i] + late[i - 1])) for i in range(paths)])
    partner = 0.5 * (losses[1] + np.roll(losses[1], 1))
    gain, half = mean_interval(losses.mean(axis=0) - along, level)
    gain2, half2 = mean_interval(partner - across, level)
    return AveragedPairs(problem.name, repr(optimizer), paths, (first, second), float(losses.mean()),
                         float(along.mean()), float(across.mean()), float(gain), float(half), float(gain2),
                         float(half2))


@dataclass(frozen=True, eq=False, repr=False)
class FunctionMixing(Study):
    """Disagreement of predictions on the test images, one row of arrays per pair (lr, wd).

    Two starts, ``paths`` runs from each. ``within`` (pairs, R): fraction of test images on which two
    runs from the same start disagree; ``across``: two runs from different starts; ``memory`` = across -
    within, what the start still decides, with the half width ``memory_half``; ``parameters``: 1 -
    cosine between the mean directions of the weights of both groups. ``intrinsic_time``: lr wd steps.
    """

    axes = "lr weight_decay: P; within across memory memory_half k parameters error: P R"

    problem: str
    paths: int
    level: float
    lr: np.ndarray
    weight_decay: np.ndarray
    k: np.ndarray
    within: np.ndarray
    across: np.ndarray
    memory: np.ndarray
    memory_half: np.ndarray
    parameters: np.ndarray
    error: np.ndarray

    @property
    def intrinsic_time(self):
        """(pairs, R) lr wd k."""
        return (self.lr * self.weight_decay)[:, None] * self.k

    @property
    def mixing_time(self):
        """(pairs,) intrinsic time at which the memory first falls below a tenth of its start (nan: never)."""
        out = []
        for memory, time in zip(self.memory, self.intrinsic_time):
            below = np.flatnonzero(memory < 0.1 * memory[0])
            out.append(time[below[0]] if below.size else np.nan)
        return np.array(out)

    def rows(self):
        """One dict per pair: the end of the run."""
        return [{"lr": float(a), "wd": float(b), "lr wd": float(a * b), "steps": int(k[-1]), "within": float(w[-1]),
                 "across": float(c[-1]), "memory": float(m[-1]), "+-": float(h[-1]), "start": float(m[0]),
                 "lr wd steps to 10%": float(t), "1 - cos(weights)": float(q[-1]), "test error": float(e[-1])}
                for a, b, k, w, c, m, h, t, q, e in zip(
                    self.lr, self.weight_decay, self.k, self.within, self.across, self.memory, self.memory_half,
                    self.mixing_time, self.parameters, self.error)]

    def headline(self):
        return f"{self.problem}: what two starts still decide about the predictions, {self.paths} runs from each"


@partial_results
def function_mixing(pairs, problem=None, *, intrinsic_time=4.0, records=16, batch=32, paths=8, level=0.99, seed=0,
                    start_norm=1.0, threads=None, progress=False):
    """Mixing in function space: predictions of runs from two starts, against lr wd steps.

    Each pair (lr, wd) runs ``intrinsic_time``/(lr wd) steps. The starts are two random weight vectors of
    length ``start_norm``, shared by all pairs; every run has its own batches. Intervals: jackknife
    over paths. The disagreement at step 0 is 0 within (the runs have not parted) and the largest across.
    Ctrl-C keeps the finished pairs.
    """
    level = checks.share("level", level)
    problem = normalized_mlp() if problem is None else problem
    paths = checks.integer("paths", paths, 3)
    intrinsic_time = checks.real("intrinsic_time", intrinsic_time, 0.0, open_low=True)
    starts = random_starts(problem, 2, seed, start_norm)
    labels = model_of(problem).labels()

    def measured(pair):
        lr, decay = pair
        every = max(1, round(intrinsic_time / (lr * decay) / records))
        run = inner_sample(GradientDescent(lr=lr, weight_decay=decay), problem, Minibatch(batch),
                           np.repeat(starts, paths, axis=0), steps=every * records, paths=2 * paths, seed=seed,
                           every=every, threads=threads, progress=progress)
        completed(run, f"pairs must be stable, got lr={lr}, weight_decay={decay}")
        predicted = np.array([[class_probabilities(problem, w).argmax(axis=1) for w in path] for path in run.x])
        disagreement = [_disagreement(predicted[:, r], paths, level) for r in range(run.k.size)]
        weights = np.array([[normalized_weights(problem, w) for w in path] for path in run.x])
        a, b = weights[:paths].mean(axis=0), weights[paths:].mean(axis=0)
        cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        return lr, decay, run.k, *np.array(disagreement).T, 1 - cosine, (predicted != labels).mean(axis=(0, 2))

    return FunctionMixing(problem.name, paths, level,
                          *columns("pairs", pairs_of(pairs), measured))


def _disagreement(predicted, paths, level):
    """``(within, across, memory, half width)`` of (2 paths, images) predictions."""
    d = (predicted[:, None] != predicted[None]).mean(axis=2)

    def parts(first, second):
        a, b = d[np.ix_(first, first)], d[np.ix_(second, second)]
        within = 0.5 * (a.sum() / (a.size - len(first)) + b.sum() / (b.size - len(second)))
        return within, d[np.ix_(first, second)].mean()

    first, second = list(range(paths)), list(range(paths, 2 * paths))
    within, across = parts(first, second)
    # Jackknife: leave out run i of both groups.
    left = []
    for i in range(paths):
        w, c = parts(first[:i] + first[i + 1 :], second[:i] + second[i + 1 :])
        left.append(c - w)
    left = np.array(left)
    deviation = np.sqrt((paths - 1) / paths * ((left - left.mean()) ** 2).sum())
    return within, across, across - within, student(level, paths - 1) * deviation
