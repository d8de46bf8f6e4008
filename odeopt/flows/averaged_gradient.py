"""Gradient flow through a memory: x' = -m, tau m' = g - m; that is tau x'' + x' + g = 0.

A heavy ball of mass tau and friction 1. As tau -> 0 it becomes gradient flow in the same time.

Source: [A003], section Momentum, in the running-average form of [A001].
"""

import numpy as np

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import Flow


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x, m), p = (tau, decay, drift)."""
    x, m, dx, dm = z[0], z[1], dz[0], dz[1]
    fg(x, dm, data)
    for i in range(x.size):
        dx[i] = -m[i] - p[2] * x[i]
        dm[i] = (dm[i] + p[1] * x[i] - m[i]) / p[0]


def _jacobian(t, z, g, hessian, p):
    one = np.eye(z.shape[1])
    return np.block([[-p[2] * one, -one], [(hessian + p[1] * one) / p[0], -one / p[0]]])


@factory
def averaged_gradient_flow(tau, *, decay=0.0, drift=0.0):
    """x' = -m - drift x, tau m' = g + decay x - m; ``tau`` in flow time, the rates in its inverse."""
    decay, drift = checks.real("decay", decay), checks.real("drift", drift)
    equation = "x' = -m, tau m' = g - m"
    if decay or drift:
        equation = "x' = -m - drift x, tau m' = g + decay x - m"
    return Flow("averaged gradient", equation, rhs,
                {"tau": checks.positive("tau", tau), "decay": decay, "drift": drift}, ("mean",), jacobian=_jacobian)
