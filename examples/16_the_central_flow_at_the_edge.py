"""At the edge of stability gradient descent leaves gradient flow and follows its central flow.

f = y x^2/2 + c (y - 18 - z)^2/2 + d (z - 30)^2/2: descent raises the curvature y until lr y = 2, and there x
oscillates. The oscillation pushes y down by <x^2>/2, so y stays at 2/lr while gradient flow goes on to 48.
Averaged over the oscillation that is a flow again (Cohen et al., arXiv:2410.24206), which also predicts
<x^2>: with y held at 20, z comes to rest at (2 c + 30 d)/(c + d) and <x^2> = 2 c (z - 2).
"""

import functools

import numpy as np

import odeopt as oo

LR, C, D = 0.1, 0.3, 0.005
START, STEPS = (0.5, 19.5, 1.8), 1000


def fun(w):
    """The valley."""
    x, y, z = w
    return 0.5 * y * x * x + 0.5 * C * (y - 18 - z) ** 2 + 0.5 * D * (z - 30) ** 2


def grad(w):
    """Its gradient."""
    x, y, z = w
    pull = C * (y - 18 - z)
    return np.array([y * x, 0.5 * x * x + pull, D * (z - 30) - pull])


def hess(w):
    """Its Hessian."""
    x, y, _ = w
    return np.array([[y, x, 0.0], [x, C, -C], [0.0, -C, C + D]])


@functools.cache
def study():
    """Gradient descent beside its central flow."""
    return oo.central_flow(oo.GradientDescent(lr=LR), oo.Problem(fun, grad, hess, dim=3, name="valley"), START, STEPS,
                           substeps=1)


def main():
    """(computed, theory, tolerance): lr y at the end of flow and run; z at rest; <x^2> of the flow and of the run."""
    s, rest = study(), (2 * C + 30 * D) / (C + D)
    variance = 2 * C * (rest - 2)
    return [(s.sharpness[-1], 2.0, 1e-9), (LR * s.x[-1, 1], 2.0, 2e-3), (s.flow[-1, 2], rest, 5e-3),
            (s.variance[-1], variance, 2e-3), (s.measured[200:].mean() / s.variance[200:].mean(), 1.0, 0.03),
            (s.x[-1], s.flow[-1], 0.01)]


def draw(ax):
    """lr times the curvature against the step."""
    s = study()
    ax.plot(s.k, LR * s.x[:, 1], color="#0072B2", lw=1.0, label="gradient descent, averaged over two steps")
    ax.plot(s.k, LR * s.flow[:, 1], color="#D55E00", lw=1.6, label="its central flow")
    ax.plot(s.k, LR * s.stable[:, 1], color="#777777", ls="--", label="gradient flow")
    ax.set(xlabel="step $k$", ylabel="lr $\\lambda_{max}$", title="what oscillates on the edge is a flow on average")
    ax.legend(loc="upper left")
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
