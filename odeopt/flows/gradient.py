"""Gradient flow x' = -g(x), optionally with linear decay: x' = -(g(x) + decay x).

Along it f never increases: df/dt = -|g|^2. On a convex f, f(X_T) - f* <= |x0 - x*|^2 / (2T).

Sources: [A000], eq. 4; the rate: Su, Boyd, Candes, arXiv:1503.01243, section 1.
"""

import numpy as np

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import Flow


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x), p = (decay)."""
    x, dx = z[0], dz[0]
    fg(x, dx, data)
    for i in range(x.size):
        dx[i] = -(dx[i] + p[0] * x[i])


def _jacobian(t, z, g, hessian, p):
    return -hessian - p[0] * np.eye(z.shape[1])


@factory
def gradient_flow(decay=0.0):
    """x' = -g(x) - decay x; ``decay`` in 1/flow time (weight decay of plain gradient descent)."""
    decay = checks.real("decay", decay)
    equation = "x' = -g" if decay == 0 else "x' = -(g + decay x)"
    return Flow("gradient flow", equation, rhs, {"decay": decay}, jacobian=_jacobian, energy="gradient-convex")
