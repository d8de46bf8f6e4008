"""``train``: mini-batches, epochs, a rule for the learning rate; article 001's experiment.

The optimizer is the package's own (``opt.update`` on one flat vector); the network is anything
with ``initial(seed)``, ``loss_and_grad(w, images, labels)`` and
``loss_and_accuracy(w, images, labels)``, such as :class:`odeopt.problems.lenet.LeNet5`.
"""

import sys
from dataclasses import asdict, dataclass, replace

import numpy as np

from .. import checks


@dataclass(frozen=True, eq=False)
class Training:
    """One training run; arrays have one entry an epoch.

    Attributes
    ----------
    lr : (E,) learning rate during the epoch
    train_loss : (E,) mean of the mini-batch losses, each before its step
    validation_loss, validation_accuracy : (E,)
    test_accuracy : float
        After the last epoch.
    w : final parameters
    """

    lr: np.ndarray
    train_loss: np.ndarray
    validation_loss: np.ndarray
    validation_accuracy: np.ndarray
    test_accuracy: float
    w: np.ndarray


def train(optimizer, network, data, epochs, *, batch=32, rule=None, seed=0, progress=False):
    """Train ``network`` by mini-batches.

    Parameters
    ----------
    optimizer : Optimizer
        With a hyperparameter ``lr``.
    network : see the module
    data : dict
        "train", "validation" and "test" -> (images, labels).
    epochs, batch : int
        The images are shuffled anew each epoch; a last incomplete batch is left out.
    rule : Controller, optional
        Sees the validation loss after each epoch and sets the learning rate of the next
        (:class:`odeopt.schedules.ReduceLROnPlateau`).
    seed : int
        Of the initial parameters and of the shuffling: two runs with the same seed differ by the
        optimizer and the rule alone.

    Returns
    -------
    Training
    """
    epochs, batch = checks.integer("epochs", epochs, 1), checks.integer("batch", batch, 1)
    images, labels = data["train"]
    if batch > len(labels):
        raise ValueError(f"batch must be at most the {len(labels)} training images, got {batch}")
    w = network.initial(seed)
    state, rng = optimizer.init(w), np.random.default_rng([seed, 1])
    decisions = rule.start(optimizer.lr) if rule is not None else None
    rows = []
    for _ in _epochs(epochs, progress):
        order, losses = rng.permutation(len(labels)), []
        for begin in range(0, len(labels) - batch + 1, batch):
            chosen = order[begin : begin + batch]
            loss, g = network.loss_and_grad(w, images[chosen], labels[chosen])
            optimizer.update(w, g, state)
            losses.append(loss)
        validation = network.loss_and_accuracy(w, *data["validation"])
        rows.append((optimizer.lr, np.mean(losses), *validation))
        if decisions is not None:
            lr = decisions.step(validation[0])
            if lr != optimizer.lr:
                optimizer = replace(optimizer, lr=lr)
    return Training(*np.array(rows).T, network.loss_and_accuracy(w, *data["test"])[1], w)


def _epochs(epochs, progress):
    if not progress:
        return range(epochs)
    from tqdm import tqdm

    return tqdm(range(epochs), unit="epoch", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False)


def split(images, labels, sizes, seed=0):
    """Shuffle once and cut into "train", "validation" and "test" of ``sizes`` (the data of :func:`train`)."""
    if sum(sizes) > len(labels):
        raise ValueError(f"sizes must add up to at most {len(labels)}, got {sizes}")
    order = np.random.default_rng(seed).permutation(len(labels))
    ends = np.cumsum((0, *sizes))
    return {name: (images[order[a:b]], labels[order[a:b]])
            for name, a, b in zip(("train", "validation", "test"), ends, ends[1:], strict=False)}


@dataclass(frozen=True, eq=False)
class DecayTable:
    """Test accuracies with and without a rule, at several learning rates, over seeds.

    ``runs[lr, decayed]`` is a list of Training, one a seed.
    """

    runs: dict
    epochs: dict

    def rows(self):
        """``(lr, decayed, epochs, mean, spread, accuracies)`` of the test accuracy, spread max - min."""
        table = []
        for (lr, decayed), runs in self.runs.items():
            accuracies = [run.test_accuracy for run in runs]
            table.append((lr, decayed, self.epochs[lr], float(np.mean(accuracies)), float(np.ptp(accuracies)),
                          accuracies))
        return table

    def save(self, path):
        """Write all curves to ``path`` (npz): arrays ``<lr>-<decay|constant>-<seed>.<curve>``."""
        arrays = {}
        for (lr, decayed), runs in self.runs.items():
            for i, run in enumerate(runs):
                label = f"{lr:g}-{'decay' if decayed else 'constant'}-{i}"
                curves = {k: v for k, v in asdict(run).items() if k != "w"}
                arrays |= {f"{label}.{name}": np.asarray(curve) for name, curve in curves.items()}
        np.savez_compressed(path, **arrays)

    def __str__(self):
        lines = ["lr       decay     epochs  test accuracy: mean   spread   each seed"]
        for lr, decayed, epochs, mean, spread, each in self.rows():
            lines.append(f"{lr:<8g} {'plateau' if decayed else 'none':<9} {epochs:<6}  {mean:19.4f}   {spread:.4f}   "
                         + " ".join(f"{a:.4f}" for a in each))
        return "\n".join(lines)


def learning_rate_decay(network, data, optimizer, rule, epochs, *, batch=32, seeds=(0, 1, 2), progress=False):
    """Article 001's experiment: for each learning rate, train with and without ``rule``, over seeds.

    ``epochs`` is a dict ``{lr: number of epochs}``; ``optimizer`` gives the other hyperparameters.
    """
    runs = {}
    for lr, count in epochs.items():
        for decayed in (True, False):
            runs[lr, decayed] = [
                train(replace(optimizer, lr=lr), network, data, count, batch=batch, rule=rule if decayed else None,
                      seed=seed, progress=progress)
                for seed in seeds]
    return DecayTable(runs, dict(epochs))
