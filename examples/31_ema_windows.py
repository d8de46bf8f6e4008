"""What "the mean of the last 1/(1 - beta) steps" means for Adam's running averages.

[A001] reads m as the mean of the last 10 gradients and v as that of the last 1000 squares. The
weights are (1 - beta) beta^j. 1/(1 - beta) is the window of equal height (peak weight 0.1), and it
holds 65 % (m) and 63 % (v) of the weight; the plain mean with the same mean age, which also has the
same noise variance, is about twice as long: (1 + beta)/(1 - beta) = 19 and 1999 steps. All are read
here from the kernel's own response to one gradient.
"""

import numpy as np

import odeopt as oo
from odeopt.kernels import adam

STEPS, ZERO = 40_000, np.zeros(1)


def response():
    """(2, STEPS): weights of m and v, from one gradient 1 and then zeros, through Adam's update."""
    p, x, s, weights = oo.Adam().p, np.zeros(1), np.zeros((4, 1)), np.empty((2, STEPS))
    for k in range(STEPS):
        adam(k, p, x, np.ones(1) if k == 0 else ZERO, s)
        weights[:, k] = s[:2, 0]
    return weights


def main():
    """(computed, theory, tolerance) for m and v: window, share inside it, mean age, samples of equal noise."""
    pairs = []
    for weights, beta in zip(response(), (0.9, 0.999), strict=True):
        window = round(1 / (1 - beta))
        age = np.arange(STEPS) @ weights
        pairs += [(1 / weights[0], window, 1e-9), (weights[:window].sum(), 1 - beta**window, 1e-12),
                  (age, beta / (1 - beta), 1e-9), (2 * age + 1, (1 + beta) / (1 - beta), 1e-9),
                  (1 / (weights**2).sum(), (1 + beta) / (1 - beta), 1e-9)]
    return pairs


def draw(ax):
    """The weights of m, and the two plain means that stand for them."""
    weights = response()[0]
    ax.step(np.arange(40), weights[:40], where="post", label="m, beta = 0.9")
    for length, words in ((10, "same height: 10"), (19, "same age and noise: 19")):
        ax.step([0, length, length], [1 / length, 1 / length, 0], where="post", ls="--", label=words)
    ax.set(xlabel="age of the gradient, steps", ylabel="weight", title="one average, two windows")
    ax.legend()
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
