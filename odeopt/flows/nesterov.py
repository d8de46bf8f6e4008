"""Nesterov's flow: x'' + (r/t) x' + g(x) = 0, friction that fades with time.

State (x, w), w = x'. The equation is singular at t = 0; with x'(0) = 0 its smooth
solution has x''(0) = -g(x0)/(1 + r) (expand x = x0 + c t^2/2: c + r c + g = 0), which ``rhs``
uses there. For r = 3 the energy t^2 (f - f*) + 2 |x - x* + t x'/2|^2 never increases on a convex
f, hence f - f* <= 2 |x0 - x*|^2 / t^2.

Sources: Su, Boyd, Candes, arXiv:1503.01243, eq. 3 and theorem 3.
"""

import numpy as np

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import Flow


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x, w), p = (r)."""
    x, w = z[0], z[1]
    dx, dw = dz[0], dz[1]
    fg(x, dw, data)
    for i in range(x.size):
        dx[i] = w[i]
        if t > 0.0:
            dw[i] = -(p[0] / t) * w[i] - dw[i]
        else:
            dw[i] = -dw[i] / (1.0 + p[0])


def _jacobian(t, z, g, hessian, p):
    n = z.shape[1]
    friction = p[0] / t if t > 0 else 0.0
    force = hessian if t > 0 else hessian / (1 + p[0])
    return np.block([[np.zeros((n, n)), np.eye(n)], [-force, -friction * np.eye(n)]])


@factory
def nesterov_flow(r=3.0):
    """x'' + (r/t) x' + g = 0; ``r`` is a pure number."""
    r = checks.real("r", r)
    return Flow("Nesterov", f"x'' + ({r:g}/t) x' + g = 0", rhs, {"r": r}, ("velocity",),
                order_of_position=2, jacobian=_jacobian, energy="nesterov")
