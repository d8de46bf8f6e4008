"""A problem from two plain Python functions runs like a compiled one: the same iterates to round-off.

The loop is the same source; without numba it runs in Python around the compiled update.
"""

import numpy as np

import odeopt as oo
from odeopt import plotting


def ridge(x):
    """f = (|x|^2 - 1)^2 + (x_1 - 1/2)^2/2: a bent valley on the unit circle."""
    return (x @ x - 1) ** 2 + 0.5 * (x[0] - 0.5) ** 2


def ridge_gradient(x):
    """Its gradient."""
    return 4 * (x @ x - 1) * x + np.array([x[0] - 0.5, 0.0])


PROBLEM = oo.Problem(ridge, ridge_gradient, x0=[-1.2, 0.35], window=((-1.6, 1.6), (-1.3, 1.3)))
METHODS = (oo.GradientDescent(0.05), oo.Momentum(0.01), oo.Adam(0.02))


def main():
    """(computed, theory, tolerance): Python callables against the compiled quadratic; stationary ends."""
    matrix = np.array([2.0, 7.0])
    compiled = oo.problems.quadratic(matrix)
    plain = oo.Problem(lambda x: 0.5 * matrix @ x**2, lambda x: matrix * x, x0=compiled.x0)
    pairs = [(oo.record(m, plain, steps=100).x, oo.record(m, compiled, steps=100).x, 1e-14) for m in METHODS]
    return [*pairs, (oo.record(METHODS[1], PROBLEM, steps=2000).grad_norm[-1], 0.0, 1e-10)]


def draw(ax):
    """Three methods on the user's own map."""
    runs = [oo.compare(m, PROBLEM, steps=300, local=False) for m in METHODS]
    ax.set_title("two Python functions are enough")
    return plotting.trajectories(PROBLEM, runs, ax)


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
