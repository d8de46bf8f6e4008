"""An optimizer of your own in twenty lines: update, flow and scheme, and the package checks that they agree.

Gradient descent with a speed limit, x' = -g/(1 + |g|/c): far away it walks at speed c, near a minimum
it is gradient descent. The kernel is the textbook update, the flow its vector field; the order,
the reference solution and the pictures follow.
"""

from dataclasses import dataclass

import numpy as np

import odeopt as oo
from odeopt import plotting
from odeopt.abi import kernel
from odeopt.optimizers.base import Optimizer, positive


@kernel
def limited(k, p, x, g, s):
    """One step; p = (lr, c)."""
    speed = np.sqrt(np.sum(g * g))
    for i in range(x.size):
        x[i] = x[i] - p[0] * g[i] / (1.0 + speed / p[1])
    return p[0]


@kernel
def limited_field(fg, hv, data, t, p, z, dz):
    """x' = -g/(1 + |g|/c); p = (c)."""
    fg(z[0], dz[0], data)
    speed = np.sqrt(np.sum(dz[0] * dz[0]))
    for i in range(z.shape[1]):
        dz[0, i] = -dz[0, i] / (1.0 + speed / p[0])


@dataclass(frozen=True)
class SpeedLimit(Optimizer):
    """Gradient descent that never moves faster than ``c``."""

    title = "speed limit"
    lr: float = positive(scales="h")
    c: float = positive(default=1.0)
    kernel = staticmethod(limited)

    @property
    def flow(self):
        return oo.flows.Flow("limited flow", "x' = -g/(1 + |g|/c)", limited_field, {"c": self.c})

    @property
    def scheme(self):
        return oo.schemes.explicit_euler


PROBLEM = oo.problems.beale()


def main():
    """(computed, theory, tolerance): update against scheme-on-flow, and the order."""
    mine = SpeedLimit(0.05)
    study = oo.convergence(mine, oo.problems.sine_bowl(), t_end=1.0, levels=6)
    return [(oo.deviation(mine, oo.Discretization(mine.flow, mine.scheme, mine.h), PROBLEM), 0.0, 1e-12),
            (study.order, 1.0, 0.05)]


def draw(ax):
    """Beside gradient descent from a steep start."""
    start = (0.3, -1.2)
    runs = [oo.compare(o, PROBLEM, start, steps=n, local=False)
            for o, n in ((SpeedLimit(0.05), 400), (oo.GradientDescent(0.02), 400))]
    ax.set_title("a method of twenty lines: the same path at another speed")
    return plotting.trajectories(PROBLEM, runs, ax)


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
