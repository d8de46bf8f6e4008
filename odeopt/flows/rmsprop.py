"""The RMSprop flow: x' = -g/sqrt(v + eps), v' = (g^2 - v)/tau, elementwise.

Weight decay replaces g by g + decay x throughout. Centered, v - m^2 with tau m' = g - m replaces
v; with momentum the quotient u = g/sqrt(v + eps) drives a ball, x'' + a x' + u = 0.

State (x, v), or (x, v, q) with bias correction, where q' = (1 - q)/tau is the weight that the
average has accumulated and v/q replaces v. From v(0) = 0 the uncorrected flow starts like a
square root: v ~ g^2 t/tau, so x' ~ -sqrt(tau/t) sign(g), and t^{-1/2} is integrable but not
smooth: this is where the order one half comes from. At t = 0 itself ``rhs`` returns the corrected
field's limit v/q -> g^2, and the uncorrected one's finite value -g/sqrt(eps).

Sources: [A000], eq. 2 and 15; Ma, Wu, E, arXiv:2009.06125.
"""

import numpy as np

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import EPS_MODES, Flow


@kernel
def rhs_inside(fg, hv, data, t, p, z, dz):
    """z = (x, v), p = (tau, eps, decay); eps inside the root."""
    x, v, dx, dv = z[0], z[1], dz[0], dz[1]
    fg(x, dx, data)
    for i in range(x.size):
        gi = dx[i] + p[2] * x[i]
        dv[i] = (gi * gi - v[i]) / p[0]
        root = np.sqrt(max(v[i], 0.0) + p[1])
        dx[i] = -gi / root if root != 0.0 else 0.0


@kernel
def rhs_outside(fg, hv, data, t, p, z, dz):
    """z = (x, v), p = (tau, eps, decay); eps outside the root."""
    x, v, dx, dv = z[0], z[1], dz[0], dz[1]
    fg(x, dx, data)
    for i in range(x.size):
        gi = dx[i] + p[2] * x[i]
        dv[i] = (gi * gi - v[i]) / p[0]
        root = np.sqrt(max(v[i], 0.0)) + p[1]
        dx[i] = -gi / root if root != 0.0 else 0.0


@kernel
def rhs_corrected(fg, hv, data, t, p, z, dz):
    """z = (x, v, q), p = (tau, eps, 1 for eps inside the root, decay); q in element 0 of its row."""
    x, v, dx, dv = z[0], z[1], dz[0], dz[1]
    fg(x, dx, data)
    q = z[2, 0]
    dz[2, :] = 0.0
    dz[2, 0] = (1.0 - q) / p[0]
    for i in range(x.size):
        gi = dx[i] + p[3] * x[i]
        mean = max(v[i], 0.0) / q if q > 0.0 else gi * gi
        dv[i] = (gi * gi - v[i]) / p[0]
        root = np.sqrt(mean + p[1]) if p[2] > 0.0 else np.sqrt(mean) + p[1]
        dx[i] = -gi / root if root != 0.0 else 0.0


@kernel
def rhs_general(fg, hv, data, t, p, z, dz):
    """z = (x, w, v, m, q), p = (tau, eps, 1 for eps inside, decay, a, 1 for momentum, 1 for centered,
    1 for bias correction)."""
    x, w, v, m = z[0], z[1], z[2], z[3]
    dx, dw, dv, dm = dz[0], dz[1], dz[2], dz[3]
    fg(x, dx, data)
    q = z[4, 0]
    dz[4, :] = 0.0
    dz[4, 0] = (1.0 - q) / p[0]
    for i in range(x.size):
        gi = dx[i] + p[3] * x[i]
        dv[i] = (gi * gi - v[i]) / p[0]
        dm[i] = (gi - m[i]) / p[0] if p[6] > 0.0 else 0.0
        square, mean = v[i], m[i]
        if p[7] > 0.0:
            square, mean = (square / q, mean / q) if q > 0.0 else (gi * gi, 0.0)
        square = max(square - mean * mean if p[6] > 0.0 else square, 0.0)
        root = np.sqrt(square + p[1]) if p[2] > 0.0 else np.sqrt(square) + p[1]
        u = gi / root if root != 0.0 else 0.0
        if p[5] > 0.0:
            dx[i] = w[i]
            dw[i] = -p[4] * w[i] - u
        else:
            dx[i] = -u
            dw[i] = 0.0


def _jacobian(inside):
    """Of the plain field: two blocks of H with rows scaled, two diagonal ones."""

    def jacobian(t, z, g, hessian, p):
        tau, eps, decay = p[0], p[1], p[2]
        x, v = z[0], np.maximum(z[1], 0.0)
        gi, h = g + decay * x, hessian + decay * np.eye(x.size)
        shifted = v + eps if inside else np.maximum(v, 1e-300)  # d sqrt(v)/dv is infinite at v = 0
        root = np.sqrt(shifted) if inside else np.sqrt(v) + eps
        by_v = gi / (2 * root**2 * np.sqrt(shifted))
        return np.block([[-h / root[:, None], np.diag(by_v)],
                         [2 * gi[:, None] * h / tau, -np.eye(x.size) / tau]])

    return jacobian


@factory
def rmsprop_flow(tau, eps, *, eps_mode="inside", bias_correction=False, decay=0.0, centered=False, friction=None):
    """x' = -g/sqrt(v + eps), v' = (g^2 - v)/tau; ``tau`` in flow time, ``eps`` in the unit of g^2
    (of g when it stands outside the root), ``decay`` in the unit of curvature, ``friction`` (the a
    of the ball, None for none) in 1/flow time."""
    inside = checks.choice("eps_mode", eps_mode, EPS_MODES) == "inside"
    tau, eps, decay = checks.positive("tau", tau), checks.nonnegative("eps", eps), checks.real("decay", decay)
    bias_correction = checks.switch("bias_correction", bias_correction)
    centered = checks.switch("centered", centered)
    friction = None if friction is None else checks.real("friction", friction)
    if centered or friction is not None:
        square = ("v/q - (m/q)²" if centered else "v/q") if bias_correction else "v - m²" if centered else "v"
        root = f"√({square} + eps)" if inside else f"(√({square}) + eps)"
        equation = (f"x' = -g/{root}" if friction is None else f"x'' + a x' + g/{root} = 0") + ", tau v' = g² - v"
        constants = {"tau": tau, "eps": eps, "inside": float(inside), "decay": decay,
                     "a": friction or 0.0, "momentum": float(friction is not None),
                     "centered": float(centered), "corrected": float(bias_correction)}
        return Flow("RMSprop (" + ", ".join(n for n, on in (("centered", centered),
                    ("momentum", friction is not None), ("bias-corrected", bias_correction)) if on) + ")",
                    equation + (", tau m' = g - m" if centered else ""), rhs_general, constants,
                    ("velocity", "square", "mean", "weight"))
    root = ("√(v/q + eps)" if inside else "(√(v/q) + eps)") if bias_correction else (
        "√(v + eps)" if inside else "(√v + eps)")
    equation = f"x' = -g/{root}, tau v' = g² - v"
    constants = {"tau": tau, "eps": eps}
    if decay:
        equation += ", g + decay x for g"
    if bias_correction:
        return Flow("RMSprop (bias-corrected)", equation + ", tau q' = 1 - q", rhs_corrected,
                    constants | {"inside": float(inside), "decay": decay}, ("square", "weight"))
    return Flow("RMSprop", equation, rhs_inside if inside else rhs_outside,
                constants | {"decay": decay}, ("square",), jacobian=_jacobian(inside))
