"""The AMSGrad flow: Adam's with the running maximum w(t) = max over s <= t of v(s) in place of v.

    w' = max(v', 0) where w = v,   w' = 0 where w > v

a sweeping process: w is pushed up by v and never comes back. Forms: the maximum of v, divided by
the weight q2 afterwards; the maximum of the corrected v/q2; no correction at all ("paper"); or that of
the mean alone ("mean").

Sources: Reddi, Kale, Kumar, arXiv:1904.09237, algorithm 2; Adam's flow: adam.py.
"""

import numpy as np

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import Flow
from .root import beside_root, root_constants

FORMS = ("torch", "optax", "paper", "mean")


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x, m, v, w, q1, q2), p = (tau1, tau2, eps beside the root, eps under it, decay, drift, form, 1 for
    eps/sqrt(q2))."""
    x, m, v, w = z[0], z[1], z[2], z[3]
    dx, dm, dv, dw = dz[0], dz[1], dz[2], dz[3]
    q1, q2, form = z[4, 0], z[5, 0], p[6]
    dz[4:6, :] = 0.0
    dz[4, 0] = (1.0 - q1) / p[0]
    dz[5, 0] = (1.0 - q2) / p[1]
    beside = beside_root(p[2], p[7], q2)
    fg(x, dx, data)
    for i in range(x.size):
        gi = dx[i] + p[4] * x[i]
        dm[i] = (gi - m[i]) / p[0]
        dv[i] = (gi * gi - v[i]) / p[1]
        bound, rise = v[i], dv[i]
        if form == 1.0 and q2 > 0.0:
            bound = v[i] / q2
            rise = (dv[i] - bound * dz[5, 0]) / q2
        elif form == 1.0:
            bound, rise = gi * gi, 0.0
        dw[i] = max(rise, 0.0) if w[i] <= bound else 0.0
        mean, square = m[i], max(w[i], bound)
        if form != 2.0:
            mean = m[i] / q1 if q1 > 0.0 else gi
        if form == 0.0:
            square = square / q2 if q2 > 0.0 else gi * gi
        root = np.sqrt(square + p[3]) + beside
        dx[i] = -(mean / root if root != 0.0 else 0.0) - p[5] * x[i]


@factory
def amsgrad_flow(tau1, tau2, eps, *, eps_mode="outside", eps_root=0.0, decay=0.0, drift=0.0, form="torch"):
    """x' = -(m/q1)/(sqrt(w/q2) + eps) - drift x with w the largest v so far, the rest as in Adam's flow.

    Constants as :func:`adam_flow`.
    """
    eps, root = root_constants(eps, eps_mode, eps_root)
    decay, drift = checks.real("decay", decay), checks.real("drift", drift)
    form = checks.choice("form", form, FORMS)
    square = "w/q2" if form == "torch" else "w"
    mean = "m" if form == "paper" else "m/q1"
    equation = (f"x' = -({mean})/{root(square)}{' - drift x' if drift else ''}, tau1 m' = g - m, tau2 v' = g² - v, "
                f"w = max of {'v/q2' if form == 'optax' else 'v'} so far")
    constants = {"tau1": checks.positive("tau1", tau1), "tau2": checks.positive("tau2", tau2),
                 "eps": eps["eps"], "eps_root": eps["eps_root"], "decay": decay, "drift": drift,
                 "form": float(FORMS.index(form)), "hat": eps["hat"]}
    return Flow("AMSGrad", equation, rhs, constants, ("mean", "square", "maximum", "mean weight", "square weight"))
