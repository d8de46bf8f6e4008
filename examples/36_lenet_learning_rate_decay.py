"""Adam on LeNet-5 with and without learning-rate decay: here the decay lowers the loss, not the error.

[A001] trains LeNet-5 on CIFAR-10 with Adam, alone and with keras's ReduceLROnPlateau(patience=5) on the
validation loss, and reports test accuracies 0.5617 (decay) against 0.5476 at lr 1e-3, and 0.5636 against
0.5688 at lr 1e-4 in 120 epochs: useful at the larger rate, superfluous at the smaller.

Measured here on the digits (500 training, 300 validation, 997 test images on LeNet's 32x32 input, batches of
32, three seeds, one BLAS thread; spread = largest minus smallest of the three):

    pixels          lr     epochs   test accuracy, decay   none             validation loss, decay   none
    clean          1e-3      60      0.9682 (.0090)        0.9699 (.0040)         0.165              0.185
                   1e-4     120      0.9589 (.0100)        0.9619 (.0020)         0.188              0.183
    noise 0.7      1e-3      60      0.9014 (.0120)        0.9064 (.0070)         0.461              0.647
                   1e-4     120      0.8910 (.0160)        0.8984 (.0160)         0.423              0.455

The article's gain of 0.014 in accuracy is not found: at every rate the mean with decay is lower, by 0.002 to
0.007, and the spread over seeds is of that size. What the decay does is early stopping. From the first
reduction on (epochs 15 to 29 at 1e-3, 60 to 85 at 1e-4) the loss hardly improves, so the rule
acts every 5 epochs and the rate is 1e-8 within 22 more. That keeps the validation loss near its minimum (29 %
lower on noisy pixels at 1e-3, where training on drives the training loss to 0.0009), and the
accuracy where it was, while the network that trains on still gains a little. At 1e-4 the rule stops it too
soon, as the article's own 0.5636 against 0.5688 has it. Five epochs are 80 steps here and some thousands on
CIFAR-10: run ``--cifar FOLDER`` on its binary files for the article's own case.
"""

import argparse
import functools
import os
import pathlib

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # float32 sums, so the curves, depend on the number of threads

import numpy as np

import odeopt as oo
from odeopt.problems.lenet import LeNet5, cifar10, digits_images
from odeopt.schedules import ReduceLROnPlateau
from odeopt.studies.networks.training import learning_rate_decay, split

EPOCHS = {1e-3: 60, 1e-4: 120}
# keras's callback as the article calls it: patience=5, otherwise defaults
RULE = ReduceLROnPlateau(factor=0.1, patience=5, threshold=1e-4, threshold_mode="abs", form="keras")


def digits_data(noise=0.0, sizes=(500, 300, 997)):
    """The digits on LeNet's 32x32, pixels with Gaussian noise of that standard deviation."""
    images, labels = digits_images()
    if noise:
        images = images + np.random.default_rng(3).normal(0, noise, images.shape).astype(images.dtype)
    return split(images, labels, sizes)


def cifar_data(folder, validation=5000):
    """CIFAR-10 with the last images of the training batches for validation."""
    images, labels = cifar10(folder, "train")
    validation = min(validation, len(labels) // 5)
    return {"train": (images[:-validation], labels[:-validation]),
            "validation": (images[-validation:], labels[-validation:]), "test": cifar10(folder, "test")}


@functools.cache
def measured(noise=0.0, folder=None, seeds=(0, 1, 2), scale=1.0, progress=False):
    """The table of the experiment; ``scale`` shortens the epochs."""
    data = digits_data(noise) if folder is None else cifar_data(folder)
    epochs = {lr: max(1, round(scale * count)) for lr, count in EPOCHS.items()}
    return learning_rate_decay(LeNet5(channels=data["train"][0].shape[3]), data, oo.Adam(), RULE, epochs,
                               seeds=seeds, progress=progress)


def main():
    """(computed, theory, tolerance): with and without the rule, one seed gives one run until the rule first acts.

    On few images, so that it takes seconds; the experiment itself is ``measured()``.
    """
    study = learning_rate_decay(LeNet5(), digits_data(sizes=(64, 32, 32)), oo.Adam(), RULE, {5e-3: 24}, seeds=(0,))
    decayed, constant = study.runs
    until = np.flatnonzero(decayed.lr < 5e-3)[0]  # IndexError if the rule never acts
    return [(decayed.validation_loss[:until], constant.validation_loss[:until], 0),
            (decayed.lr[until] / decayed.lr[0], RULE.factor, 1e-15)]


def draw_figure(fig, study=None):
    """Learning rate above, validation loss below, one line per run; by itself one seed of shorter runs."""
    study = measured(seeds=(2,), scale=0.65) if study is None else study
    axes, first = fig.subplots(2, 1, sharex=True), study.runs[0].seed
    for run in study.runs:
        color = {1e-3: "#DD8800", 1e-4: "#0072B2"}.get(run.base_lr, "black")
        label = f"{run.base_lr:g} {'constant' if run.rule == 'none' else 'plateau'}" if run.seed == first else None
        for ax, curve in zip(axes, (run.lr, run.validation_loss), strict=True):
            ax.plot(np.arange(1, curve.size + 1), curve, "--" if run.rule == "none" else "-", color=color, label=label,
                    drawstyle="steps-mid" if ax is axes[0] else "default")  # a rate holds for a whole epoch
    axes[0].set(ylabel="learning rate", yscale="log", title="LeNet-5, Adam with and without plateau decay")
    axes[1].set(xlabel="epoch", ylabel="validation loss", yscale="log")
    axes[1].legend()


def run_from_command_line():
    """Train, print the table, save the curves and the figure."""
    import matplotlib.pyplot as plt

    parser = argparse.ArgumentParser(description="Adam with and without learning-rate decay on LeNet-5")
    parser.add_argument("--cifar", metavar="FOLDER", help="folder with CIFAR-10's binary files (default: the digits)")
    parser.add_argument("--noise", type=float, default=0.0, help="standard deviation added to the digits' pixels")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the number of epochs")
    parser.add_argument("--out", type=pathlib.Path, help="folder for curves (npz, json) and figure")
    given = parser.parse_args()
    study = measured(given.noise, given.cifar, tuple(range(given.seeds)), given.scale, progress=True)
    print(study)
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        study.save(given.out / "learning_rate_decay.npz")
        with oo.plotting.style():
            figure = plt.figure(layout="constrained")
            draw_figure(figure, study)
            figure.savefig(given.out / "learning_rate_decay.png")


if __name__ == "__main__":
    run_from_command_line()
