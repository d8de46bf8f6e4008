"""The Adadelta flow: x' = -lr y - drift x, y = sqrt((u + e)/(v + eps)) g, with v and u relaxing to g^2 and y^2.

    tau v' = g^2 - v,   tau u' = y^2 - u

u is the mean square of the speed; e starts the motion from rest. y has the unit of the speed of x:
the method has no learning rate, the unit of x comes from e alone. Coupled weight decay replaces g by g + decay x.

Source: Zeiler, arXiv:1212.5701, algorithm 1, divided by the step.
"""

import numpy as np

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import Flow


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x, v, u), p = (tau, eps, e, lr, decay, drift)."""
    x, v, u = z[0], z[1], z[2]
    dx, dv, du = dz[0], dz[1], dz[2]
    fg(x, dx, data)
    for i in range(x.size):
        gi = dx[i] + p[4] * x[i]
        root = np.sqrt(max(v[i], 0.0) + p[1])
        y = np.sqrt(max(u[i], 0.0) + p[2]) / root * gi if root != 0.0 else 0.0
        dv[i] = (gi * gi - v[i]) / p[0]
        du[i] = (y * y - u[i]) / p[0]
        dx[i] = -p[3] * y - p[5] * x[i]


@factory
def adadelta_flow(tau, eps, eps_speed, lr=1.0, *, decay=0.0, drift=0.0):
    """x' = -lr sqrt((u + e)/(v + eps)) g - drift x; ``tau`` in flow time, ``eps`` in the unit of g^2,
    ``eps_speed`` (e) in that of (x/time)^2, ``lr`` a pure number, ``decay`` (inside the gradient) in the unit of
    curvature and ``drift`` in 1/flow time."""
    decay, drift = checks.real("decay", decay), checks.real("drift", drift)
    equation = (f"x' = -lr y{' - drift x' if drift else ''}, y = √((u + e)/(v + eps)) g, tau v' = g² - v, "
                f"tau u' = y² - u{', g + decay x for g' if decay else ''}")
    return Flow("Adadelta", equation, rhs,
                {"tau": checks.positive("tau", tau), "eps": checks.nonnegative("eps", eps),
                 "e": checks.nonnegative("eps_speed", eps_speed), "lr": checks.real("lr", lr),
                 "decay": decay, "drift": drift}, ("square", "square speed"))
