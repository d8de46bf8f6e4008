"""The race off a saddle point: gradient descent lingers for log(1/y0) steps, normalised methods do not.

f = x^2 - y^2 + y^4/4 from (1, 0.001): near the saddle the unstable coordinate of gradient descent grows by
1 + 2 lr per step, whatever the method's cleverness. Equal gradients, learning rates from one search each.
"""

import functools

import numpy as np
from numba import njit

import odeopt as oo
from odeopt import plotting
from odeopt.studies.search.lr_search import tune


@njit
def value(x):
    """f = x^2 - y^2 + y^4/4."""
    return x[0] ** 2 - x[1] ** 2 + x[1] ** 4 / 4


@njit
def gradient(x):
    """Its gradient."""
    return np.array([2 * x[0], -2 * x[1] + x[1] ** 3])


PROBLEM = oo.Problem(value, gradient, x0=[1.0, 1e-3], name="saddle", window=((-1.15, 1.25), (-0.6, 1.9)),
                     minima=[(0.0, np.sqrt(2)), (0.0, -np.sqrt(2))])
BUDGET = 60
METHODS = (oo.GradientDescent(0.05), oo.Momentum(0.02), oo.RMSprop(0.05), oo.Adam(0.05))


@functools.cache
def tuned():
    """A search for each method, scored by f after 60 steps."""
    return [tune(method, PROBLEM, steps=BUDGET) for method in METHODS]


def main():
    """(computed, theory, tolerance): the growth off the saddle, and equal budgets."""
    rate = 0.05
    y = oo.record(oo.GradientDescent(rate), PROBLEM, steps=30).x[:, 1]
    runs = [oo.record(t.optimizer, PROBLEM, steps=BUDGET) for t in tuned()]
    return [(y[1:11] / y[:10], np.full(10, 1 + 2 * rate), 1e-6), ([t.lr.size for t in tuned()], np.full(4, 19), 0),
            ([r.n_grad[-1] for r in runs], np.full(4, BUDGET), 0)]


def movie(fig):
    """The race."""
    runs = [oo.compare(t.optimizer, PROBLEM, steps=BUDGET, local=False) for t in tuned()]
    return plotting.race(PROBLEM, runs, fig, frames=61, linear=1.0, fps=14,
                         caption="each lr from the same search of 19 runs; no clipping")


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
