"""The NAdam flow: Adam's with a mixture of gradient and mean, x' = -((1 - mu) g + mu m)/(sqrt(v/q2) + eps).

The mixture mu(t) = 1 - exp(-rate t)/2 goes from one half to 1: the warm-up of the momentum in
NAdam, mu_k = beta1 (1 - 0.96^(k psi)/2), in flow time. m is not corrected: the product of the mu_k,
which the method corrects by, is 0 after any time t > 0 in the limit of small steps.

Sources: Dozat (2016); torch's NAdam, in the limit; Adam's flow: adam.py.
"""

import numpy as np

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import Flow
from .root import beside_root, root_constants


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x, m, v, q2), p = (tau1, tau2, eps beside the root, eps under it, decay, drift, rate, 1 for
    eps/sqrt(q2))."""
    x, m, v = z[0], z[1], z[2]
    dx, dm, dv = dz[0], dz[1], dz[2]
    q2 = z[3, 0]
    dz[3, :] = 0.0
    dz[3, 0] = (1.0 - q2) / p[1]
    fresh = 0.5 * np.exp(-p[6] * t)
    beside = beside_root(p[2], p[7], q2)
    fg(x, dx, data)
    for i in range(x.size):
        gi = dx[i] + p[4] * x[i]
        dm[i] = (gi - m[i]) / p[0]
        dv[i] = (gi * gi - v[i]) / p[1]
        square = max(v[i], 0.0) / q2 if q2 > 0.0 else gi * gi
        root = np.sqrt(square + p[3]) + beside
        dx[i] = (-(m[i] + fresh * (gi - m[i])) / root if root != 0.0 else 0.0) - p[5] * x[i]


@factory
def nadam_flow(tau1, tau2, eps, rate, *, eps_mode="outside", eps_root=0.0, decay=0.0, drift=0.0):
    """x' = -((1 - mu) g + mu m)/(sqrt(v/q2) + eps) with mu = 1 - exp(-rate t)/2, m, v and q2 as in Adam's flow.

    ``rate`` of the momentum's warm-up in 1/flow time, the rest as :func:`adam_flow`.
    """
    eps, root = root_constants(eps, eps_mode, eps_root)
    decay, drift = checks.real("decay", decay), checks.real("drift", drift)
    equation = (f"x' = -((1 - mu) g + mu m)/{root('v/q2')}{' - drift x' if drift else ''}, mu = 1 - exp(-rate t)/2, "
                "tau1 m' = g - m, tau2 v' = g² - v, tau2 q2' = 1 - q2")
    constants = {"tau1": checks.positive("tau1", tau1), "tau2": checks.positive("tau2", tau2),
                 "eps": eps["eps"], "eps_root": eps["eps_root"], "decay": decay, "drift": drift,
                 "rate": checks.nonnegative("rate", rate), "hat": eps["hat"]}
    return Flow("NAdam", equation, rhs, constants, ("mean", "square", "square weight"))
