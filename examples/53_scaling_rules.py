"""Batches four times larger: SGD wants four times the rate, RMSprop twice (square-root rule).

Both rules keep the SDE. For SGD the stationary covariance changes only through lr lambda (linear rule, Goyal
et al.); for adaptive methods lr sqrt(k), 1 - beta times k, eps/sqrt(k) (Malladi et al., arXiv:2205.10287).
"""

import numpy as np

import odeopt as oo
from odeopt.studies.noise.scaling_rules import linear_scaling, scaling_rules

FACTORS = np.array([1.0, 2.0, 4.0, 8.0, 16.0])


def adaptive(paths=4000):
    """RMSprop where noise dominates the gradient."""
    return scaling_rules(oo.RMSprop(lr=0.02, decay=0.98), oo.problems.quadratic([1.0]), 100.0, steps=400, x0=[1.0],
                         paths=paths)


def main():
    """(computed, theory, tolerance): SGD's exact change, the SDE's (none), and RMSprop's by the right rule."""
    exact, sde = linear_scaling([[3.0]], [[1.0]], 0.02, FACTORS)
    return [(exact, (2 - 0.06) / (2 - 0.06 * FACTORS) - 1, 1e-12), (sde, 0.0, 1e-12),
            (adaptive().distance[0], 0.0, 0.1)]


def draw(ax):
    """Mean and deviation of RMSprop's x under the three settings."""
    s = adaptive()
    for i, (name, colour) in enumerate(zip(s.names, ("#222222", "#009E73", "#D55E00"))):
        ax.errorbar(s.mean[i], [i], xerr=s.std[i], fmt="o", color=colour, capsize=6, lw=2, label=name)
    ax.set(yticks=range(3), yticklabels=s.names, xlabel="x after the same flow time: mean and deviation",
           ylim=(-0.6, 2.6), title="RMSprop with batches four times larger")
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
