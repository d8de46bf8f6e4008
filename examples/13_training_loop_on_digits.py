"""A training loop of one's own: init, gradient, update. With all images it is ``record`` to the last digit.

Softmax regression on the digits (1,442 training images, n = 650), mini-batches of 64, Adam and SGD
with momentum at customary learning rates, not tuned.
"""

import functools

import numpy as np

import odeopt as oo
from odeopt import plotting
from odeopt.problems.digits import digits_split

PROBLEM = oo.problems.digits_logistic(part="train")
METHODS = (oo.Adam(0.01), oo.Momentum(0.05, 0.9))


def train(optimizer, epochs, batch: int | None = 64, seed=0):
    """(x, losses): plain mini-batch training; ``batch=None`` takes all images."""
    rng = np.random.default_rng(seed)
    x = PROBLEM.x0.copy()
    state = optimizer.init(x)
    losses = [PROBLEM.fun(x)]
    for _ in range(epochs):
        order = rng.permutation(PROBLEM.samples)
        for begin in range(0, len(order), batch or len(order)):
            part = None if batch is None else order[begin : begin + batch]
            _, g = PROBLEM.value_and_grad(x, part)
            optimizer.update(x, g, state)
        losses.append(PROBLEM.fun(x))
    return x, np.array(losses)


def accuracy(x):
    """Share of the test images that are read rightly."""
    images, labels = digits_split("test")
    return float(np.mean((images @ x[:640].reshape(64, 10) + x[640:]).argmax(axis=1) == labels))


@functools.cache
def trained(index):
    """Ten epochs of one method."""
    return train(METHODS[index], 10)


def main():
    """(computed, theory, tolerance): the loop against record; and at least 95 % of the test images read."""
    own, _ = train(METHODS[0], 15, batch=None)
    return [(own, oo.record(METHODS[0], PROBLEM, steps=15).x[-1], 1e-12), (accuracy(trained(0)[0]) >= 0.95, True)]


def draw(ax):
    """Training loss against epochs."""
    for index, style in enumerate(plotting.looks(METHODS)):
        x, losses = trained(index)
        ax.plot(losses, "-", color=style.color, marker=style.marker, mec="white",
                label=f"{style.label}: {accuracy(x):.1%} of the test images")
    ax.set(xlabel="epoch (23 gradients of 64 images)", ylabel="training loss", yscale="log",
           title="softmax regression on the digits")
    ax.legend()
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
