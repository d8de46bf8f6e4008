"""The heavy ball: x'' + a x' + g(x) = 0, a ball of unit mass in the potential f with friction a.

State (x, w) with w = x'. The energy f + |w|^2/2 never increases: its derivative is -a |w|^2.

Sources: Polyak (1964); [A003], section Momentum.
"""

import numpy as np

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import Flow


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x, w), p = (a, decay, drift)."""
    x, w = z[0], z[1]
    dx, dw = dz[0], dz[1]
    fg(x, dw, data)
    for i in range(x.size):
        dx[i] = w[i] - p[2] * x[i]
        dw[i] = -p[0] * w[i] - (dw[i] + p[1] * x[i])


def _jacobian(t, z, g, hessian, p):
    one = np.eye(z.shape[1])
    return np.block([[-p[2] * one, one], [-hessian - p[1] * one, -p[0] * one]])


@factory
def heavy_ball_flow(a, *, decay=0.0, drift=0.0):
    """x' = w - drift x, w' = -a w - g - decay x; all three in 1/flow time (``decay`` in the unit
    of curvature). ``decay`` is weight decay inside the gradient, ``drift`` beside it."""
    a, decay, drift = checks.real("a", a), checks.real("decay", decay), checks.real("drift", drift)
    equation = "x'' + a x' + g = 0"
    if decay or drift:
        equation = "x' = w - drift x, w' = -a w - g - decay x"
    return Flow("heavy ball", equation, rhs, {"a": a, "decay": decay, "drift": drift},
                ("velocity",), order_of_position=2, jacobian=_jacobian, energy="mechanical")
