"""The RMSprop flow: x' = -g/sqrt(v + eps), v' = (g^2 - v)/tau, elementwise.

State (x, v), or (x, v, q) with bias correction, where q' = (1 - q)/tau is the weight that the
average has accumulated and v/q replaces v. From v(0) = 0 the uncorrected flow starts like a
square root: v ~ g^2 t/tau, so x' ~ -sqrt(tau/t) sign(g), and t^{-1/2} is integrable but not
smooth: this is where the order one half comes from. At t = 0 itself ``rhs`` returns the corrected
field's limit v/q -> g^2, and the uncorrected one's finite value -g/sqrt(eps).

Sources: article 000, eq. 2 and 15; Ma, Wu, E, arXiv:2009.06125.
"""

import numpy as np

from ..abi import kernel
from .base import Flow


@kernel
def rhs_inside(fg, hv, data, t, p, z, dz):  # noqa: ARG001 - RHS signature
    """z = (x, v), p = (tau, eps); eps inside the root."""
    x, v, dx, dv = z[0], z[1], dz[0], dz[1]
    fg(x, dx, data)
    for i in range(x.size):
        gi = dx[i]
        dv[i] = (gi * gi - v[i]) / p[0]
        dx[i] = -gi / np.sqrt(max(v[i], 0.0) + p[1])


@kernel
def rhs_outside(fg, hv, data, t, p, z, dz):  # noqa: ARG001 - RHS signature
    """z = (x, v), p = (tau, eps); eps outside the root."""
    x, v, dx, dv = z[0], z[1], dz[0], dz[1]
    fg(x, dx, data)
    for i in range(x.size):
        gi = dx[i]
        dv[i] = (gi * gi - v[i]) / p[0]
        dx[i] = -gi / (np.sqrt(max(v[i], 0.0)) + p[1])


@kernel
def rhs_corrected(fg, hv, data, t, p, z, dz):  # noqa: ARG001 - RHS signature
    """z = (x, v, q), p = (tau, eps, 1 for eps inside the root); q in element 0 of its row."""
    x, v, dx, dv = z[0], z[1], dz[0], dz[1]
    fg(x, dx, data)
    q = z[2, 0]
    dz[2, :] = 0.0
    dz[2, 0] = (1.0 - q) / p[0]
    for i in range(x.size):
        gi = dx[i]
        mean = max(v[i], 0.0) / q if q > 0.0 else gi * gi
        dv[i] = (gi * gi - v[i]) / p[0]
        dx[i] = -gi / np.sqrt(mean + p[1]) if p[2] > 0.0 else -gi / (np.sqrt(mean) + p[1])


def rmsprop_flow(tau, eps, *, eps_mode="inside", bias_correction=False):
    """x' = -g/sqrt(v + eps), v' = (g^2 - v)/tau; ``tau`` in flow time, ``eps`` in the unit of g^2
    (of g when it stands outside the root)."""
    inside = eps_mode == "inside"
    root = ("√(v/q + eps)" if inside else "(√(v/q) + eps)") if bias_correction else (
        "√(v + eps)" if inside else "(√v + eps)")
    equation = f"x' = -g/{root}, tau v' = g² - v"
    constants = {"tau": float(tau), "eps": float(eps)}
    if bias_correction:
        return Flow("RMSprop (bias-corrected)", equation + ", tau q' = 1 - q", rhs_corrected,
                    constants | {"inside": float(inside)}, ("square", "weight"))
    return Flow("RMSprop", equation, rhs_inside if inside else rhs_outside, constants, ("square",))
