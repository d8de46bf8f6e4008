"""Friction and a force felt ahead of the ball: q'' + 2 d q' + c g(q + b q') = 0.

State (q, p), p = q'. With b = 1 - 2 d and d = 1/(sqrt(kappa) + 1), c = 1/L, one step of semi-implicit
Euler with h = 1 is Nesterov's method with constant momentum, iterate for iterate: acceleration is
where the force is felt, not how it is discretised.

Source: Muehlebach, Jordan, arXiv:1905.07436.
"""

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import Flow


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (q, p), p = (d, b, c)."""
    x, w, ahead, dw = z[0], z[1], dz[0], dz[1]
    for i in range(x.size):
        ahead[i] = x[i] + p[1] * w[i]  # dz[0] holds the point of the force until it gets its value
    fg(ahead, dw, data)
    for i in range(x.size):
        dw[i] = -2.0 * p[0] * w[i] - p[2] * dw[i]
        dz[0, i] = w[i]


@factory
def look_ahead_flow(d, b, c=1.0):
    """q'' + 2 d q' + c g(q + b q') = 0; ``d`` in 1/flow time, ``b`` in flow time."""
    return Flow("look-ahead heavy ball", "q'' + 2d q' + c g(q + b q') = 0", rhs,
                {"d": checks.real("d", d), "b": checks.real("b", b), "c": checks.real("c", c)}, ("velocity",),
                order_of_position=2)
