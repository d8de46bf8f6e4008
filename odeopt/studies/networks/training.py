"""``train``: mini-batches, epochs, a rule for the learning rate; [A001]'s experiment.

The optimizer is the package's own (``opt.update`` on one flat vector); the network is anything
with ``initial(seed)``, ``loss_and_grad(w, images, labels)`` and
``loss_and_accuracy(w, images, labels)``, such as :class:`odeopt.problems.lenet.LeNet5`, or a problem made by
``Problem.from_torch`` or ``from_jax``.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ... import checks, clipping
from ...optimizers import Clipped, Optimizer
from ...problems import Problem
from ...problems.callables import value_of
from ...problems.network_vector import data_array
from ...schedules import PlateauRule
from ..base import Study
from ..inner import gather, partial_results


@dataclass(frozen=True, eq=False, repr=False)
class Training(Study):
    """One training run; arrays have one entry per epoch.

    Attributes
    ----------
    optimizer, rule : str
        The optimizer as it started; the rule for the learning rate, or "none".
    base_lr : float
        Learning rate at the start.
    seed : int
    lr : (E,) learning rate during the epoch
    train_loss : (E,) mean of the mini-batch losses, each before its step
    validation_loss, validation_accuracy : (E,)
    test_accuracy : float
        After the last epoch.
    w : (n,) final parameters, in the network's dtype
    """

    axes = "lr train_loss validation_loss validation_accuracy: E; w: n"

    optimizer: str
    rule: str
    base_lr: float
    seed: int
    lr: np.ndarray
    train_loss: np.ndarray
    validation_loss: np.ndarray
    validation_accuracy: np.ndarray
    test_accuracy: float
    w: np.ndarray = field(metadata={"dtype": np.float32})

    def rows(self):
        """One row per epoch."""
        names = ("lr", "train_loss", "validation_loss", "validation_accuracy")
        return [{"epoch": i + 1} | {n: float(getattr(self, n)[i]) for n in names} for i in range(self.lr.size)]

    def headline(self):
        """Method, length and what it reached."""
        lost = np.flatnonzero(~np.isfinite(self.train_loss))
        return (f"{self.optimizer}, rule {self.rule}, seed {self.seed}: {self.lr.size} epochs, "
                f"test accuracy {self.test_accuracy:.4f}"
                + (f"; the loss is not finite from epoch {lost[0] + 1} on" if lost.size else ""))


@partial_results
def train(optimizer: Optimizer, network: Any, data: Any, epochs: int, *, batch: int = 32,
          rule: PlateauRule | None = None, seed: Any = 0, progress: bool = False, clip_norm: float | None = None,
          clip_value: float | None = None) -> Training:
    """Train ``network`` by mini-batches.

    Parameters
    ----------
    optimizer : Optimizer
        With a hyperparameter ``lr`` where there is a rule; none that compares the gradients of two steps.
    network : Problem of a framework's network, or see the module
    data : dict
        "train", "validation" and "test" -> (images, labels), as many of the one as of the other.
    epochs, batch : int
        The images are shuffled anew each epoch; a last incomplete batch is left out.
    rule : PlateauRule, optional
        Sees the validation loss after each epoch and sets the learning rate of the next
        (:class:`odeopt.schedules.ReduceLROnPlateau`).
    seed : int
        Of the initial parameters and of the shuffling: two runs with the same seed differ by the
        optimizer and the rule alone.
    progress : bool
    clip_norm, clip_value : float > 0, optional
        Largest norm of each mini-batch's gradient, or largest entry (one of them): the optimizer is then
        :class:`odeopt.optimizers.Clipped`.

    Returns
    -------
    Training
        Ctrl-C keeps the finished epochs, with the parameters after the last of them; KeyboardInterrupt where there
        is none.
    """
    epochs, batch = checks.integer("epochs", epochs, 1), checks.integer("batch", batch, 1)
    seed = checks.integer("seed", seed, high=None)
    data = _check(optimizer, network, data, rule)
    if isinstance(network, Problem):
        network = network.as_network("train")
    if clip_norm is not None or clip_value is not None:
        optimizer = Clipped(optimizer, *clipping.bounds(clip_norm, clip_value, ("clip_norm", "clip_value")))
    images, labels = data["train"]
    if batch > len(labels):
        raise ValueError(f"batch must be at most the {len(labels)} training images, got {batch}")
    w = network.initial(seed)
    if not isinstance(w, np.ndarray) or w.ndim != 1:
        raise TypeError(f"network.initial must return a vector, got {checks.shown(w)}")
    w = w.copy()
    state, rng = optimizer.init(w), np.random.default_rng([seed, 1])
    decisions = rule.start(optimizer.step) if rule is not None else None
    name, base_lr, after = repr(optimizer), optimizer.step, [w, w]  # after: the last two epochs, one may not count

    def one(epoch):
        nonlocal optimizer
        order, losses = rng.permutation(len(labels)), []
        for begin in range(0, len(labels) - batch + 1, batch):
            chosen = order[begin : begin + batch]
            # The network sees copies: whatever it does to its argument, w moves by the steps alone.
            loss, g = _pair("loss_and_grad", network.loss_and_grad(w.copy(), images[chosen], labels[chosen]))
            losses.append(value_of(loss, "network.loss_and_grad, first,"))
            optimizer.update(w, g, state)
        validation = _scores(network, w, data["validation"])
        row = optimizer.step, np.mean(losses), *validation
        if decisions is not None:
            lr = decisions.step(validation[0])
            if lr != optimizer.step:
                optimizer = optimizer.changed(lr=lr)
        after[epoch % 2] = w.copy()
        return row

    rows, _ = gather(range(epochs), one, progress=progress, describe=lambda epoch: f"epoch {epoch + 1}")
    if not rows:
        raise KeyboardInterrupt
    w = after[(len(rows) - 1) % 2]
    return Training(name, "none" if rule is None else repr(rule), base_lr, seed, *np.array(rows).T,
                    _scores(network, w, data["test"])[1], w)  # pyright: ignore[reportCallIssue]


def _scores(network, w, pair):
    """``(loss, accuracy)`` at ``w`` of images and labels."""
    found = _pair("loss_and_accuracy", network.loss_and_accuracy(w.copy(), *pair))
    return [value_of(one, f"network.loss_and_accuracy, {which},") for one, which in zip(found, ("first", "second"))]


def _pair(name, found):
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise TypeError(f"network.{name} must return a pair, got {checks.shown(found)}")
    return found


def _check(optimizer, network, data, rule):
    """The data with arrays for lists; TypeError or ValueError in one line for what cannot be trained."""
    checks.instance("optimizer", optimizer, Optimizer, "an Optimizer")
    if optimizer.full_batch_only:
        raise ValueError(f"optimizer must be one for mini-batches, and {optimizer.title} compares successive exact "
                         "gradients")
    for name in () if isinstance(network, Problem) else ("initial", "loss_and_grad", "loss_and_accuracy"):
        if not callable(getattr(network, name, None)):
            raise TypeError(f"network must have a method {name}, as odeopt.problems.lenet.LeNet5 has, "
                            f"got {checks.shown(network)}")
    if not isinstance(data, Mapping) or not {"train", "validation", "test"} <= set(data):
        raise TypeError('data must be a dict of "train", "validation" and "test", as split gives it, '
                        f"got {checks.shown(data)}")
    if rule is not None:
        checks.instance("rule", rule, PlateauRule, "a PlateauRule, such as odeopt.schedules.ReduceLROnPlateau, or None")
        if "lr" not in optimizer.numeric_names():
            raise ValueError(f"rule must be None for {optimizer.title}, which has no lr, got {checks.shown(rule)}")
    return {name: _images_and_labels(name, data[name]) for name in ("train", "validation", "test")}


def _images_and_labels(name, pair):
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"data[{name!r}] must be a pair (images, labels), got {checks.shown(pair)}")
    found = [data_array(one) if isinstance(one, (list, tuple)) or checks.is_masked(one) else one for one in pair]
    for one in found:
        if not getattr(one, "shape", ()):
            raise TypeError(f"data[{name!r}] must be a pair of arrays (images, labels), got {checks.shown(one)} in it")
    count, labels = (int(one.shape[0]) for one in found)
    if count != labels or count == 0:
        raise ValueError(f"data[{name!r}] must have as many images as labels, and at least one, got {count} and "
                         f"{labels}")
    return found


def split(images, labels, sizes, seed=0):
    """Shuffle once and cut into "train", "validation" and "test" of ``sizes`` (the data of :func:`train`)."""
    sizes = tuple(checks.integer("sizes", size) for size in checks.entries("sizes", sizes))
    if len(sizes) != 3:
        raise ValueError(f"sizes must be three numbers, of train, validation and test, got {checks.shown(sizes)}")
    images, labels = np.asarray(images), np.asarray(labels)
    if not images.ndim or not labels.ndim or len(images) != len(labels):
        raise ValueError(f"images and labels must be as many, got shapes {images.shape} and {labels.shape}")
    if sum(sizes) > len(labels):
        raise ValueError(f"sizes must add up to at most {len(labels)}, got {sizes}")
    order = np.random.default_rng(checks.integer("seed", seed, high=None)).permutation(len(labels))
    ends = np.cumsum((0, *sizes))
    return {name: (images[order[a:b]], labels[order[a:b]])
            for name, a, b in zip(("train", "validation", "test"), ends, ends[1:], strict=False)}


@dataclass(frozen=True, eq=False, repr=False)
class DecayTable(Study):
    """Test accuracies with and without a rule, at several learning rates, over seeds."""

    runs: tuple = field(metadata={"parts": Training})

    def rows(self):
        """One row for each learning rate, with and without the rule; spread is largest minus smallest."""
        groups = {}
        for run in self.runs:
            groups.setdefault((run.base_lr, run.rule != "none", run.lr.size), []).append(run)
        table = []
        for (lr, decayed, epochs), runs in groups.items():
            accuracy = np.array([run.test_accuracy for run in runs])
            table.append({"lr": lr, "decay": "plateau" if decayed else "none", "epochs": epochs,
                          "seeds": len(runs), "test accuracy": float(accuracy.mean()),
                          "spread": float(np.ptp(accuracy)),
                          "validation loss": float(np.mean([run.validation_loss[-1] for run in runs])),
                          "final lr": float(np.median([run.lr[-1] for run in runs]))})
        return table

    def headline(self):
        """The effect of the decay at each learning rate."""
        by = {(row["lr"], row["decay"]): row["test accuracy"] for row in self.rows()}
        gains = [f"{by[lr, 'plateau'] - by[lr, 'none']:+.4f} at lr {lr:g}" for lr, kind in by
                 if kind == "plateau" and (lr, "none") in by]
        return f"test accuracy with decay minus without: {', '.join(gains) or 'not measured'}"


@partial_results
def learning_rate_decay(network: Any, data: Any, optimizer: Optimizer, rule: PlateauRule, epochs: Any, *,
                        batch: int = 32, seeds: Sequence[int] = (0, 1, 2), progress: bool = False) -> DecayTable:
    """[A001]'s experiment: for each learning rate, train with and without ``rule``, over seeds.

    ``epochs`` is a dict ``{lr: number of epochs}``; ``optimizer`` gives the other hyperparameters. Ctrl-C keeps the
    finished trainings; KeyboardInterrupt where there is none.
    """
    _check(optimizer, network, data, rule)
    if not isinstance(epochs, Mapping):
        raise TypeError("epochs must be a dict from learning rates to numbers of epochs, "
                        f"got {checks.shown(epochs)}")
    if not epochs:
        raise ValueError("epochs must have at least one learning rate, got none")
    for lr, count in epochs.items():
        checks.positive("epochs, a learning rate in it,", lr)
        checks.integer("epochs, a number of them,", count, 1)
    seeds = tuple(checks.integer("seeds", seed, high=None) for seed in checks.some("seeds", seeds))

    def one(job):
        (lr, count), used, seed = job
        run = train(optimizer.changed(lr=lr), network, data, count, batch=batch, rule=used, seed=seed,
                    progress=progress)
        if run.interrupted:
            raise KeyboardInterrupt
        return run

    runs, interrupted = gather(list(itertools.product(epochs.items(), (rule, None), seeds)), one)
    if interrupted and not runs:
        raise KeyboardInterrupt
    return DecayTable(tuple(runs))
