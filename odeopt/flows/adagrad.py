"""The Adagrad flow: x' = -(g/(sqrt(V) + eps) + drift x)/(1 + rate t), V' = g^2, elementwise.

V is the sum of squared gradients times the step, the quantity that has a limit. From V(0) = 0 the
flow starts like V ~ g^2 t, x' ~ -sign(g)/sqrt(t), which is integrable but not smooth (order one
half). Where V = 0 the derivative is not defined; ``rhs`` leaves the quotient out there, which only the first
stage of a solver sees. Coupled weight decay replaces g by g + decay x, decoupled decay is the drift.

Sources: Duchi, Hazan, Singer (2011), figure 1; [A003].
"""

import numpy as np

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import EPS_MODES, Flow


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x, V), p = (eps, 1 for eps inside the root, rate, decay, drift)."""
    x, v, dx, dv = z[0], z[1], dz[0], dz[1]
    fg(x, dx, data)
    slower = 1.0 + p[2] * t
    for i in range(x.size):
        gi, vi = dx[i] + p[3] * x[i], v[i]
        dv[i] = gi * gi
        if vi > 0.0:
            root = np.sqrt(vi + p[0]) if p[1] > 0.0 else np.sqrt(vi) + p[0]
            dx[i] = -(gi / root + p[4] * x[i]) / slower
        else:
            dx[i] = -p[4] * x[i] / slower


@factory
def adagrad_flow(eps, *, eps_mode="outside", rate=0.0, decay=0.0, drift=0.0):
    """x' = -(g/(sqrt(V) + eps) + drift x)/(1 + rate t), V' = g^2; eps in the unit of sqrt(V) (of V inside the root),
    ``rate`` and ``drift`` in 1/flow time, ``decay`` (inside the gradient) in the unit of curvature."""
    inside = checks.choice("eps_mode", eps_mode, EPS_MODES) == "inside"
    eps, rate = checks.nonnegative("eps", eps), checks.nonnegative("rate", rate)
    decay, drift = checks.real("decay", decay), checks.real("drift", drift)
    quotient = f"g/{'√(V + eps)' if inside else '(√V + eps)'}"
    slower = "/(1 + rate t)" if rate else ""
    speed = f"({quotient} + drift x)" if drift else quotient
    return Flow("Adagrad", f"x' = -{speed}{slower}, V' = g²{', g + decay x for g' if decay else ''}", rhs,
                {"eps": eps, "inside": float(inside), "rate": rate, "decay": decay, "drift": drift}, ("square sum",))
