"""The Adam flow: x' = -(m/q1)/(sqrt(v/q2) + eps), with m and v relaxing to g and g^2.

    tau1 m' = g - m,   tau2 v' = g^2 - v,   tau1 q1' = 1 - q1,   tau2 q2' = 1 - q2

q_i(t) = 1 - exp(-t/tau_i) is the weight that the running average i has accumulated; with it as
state the flow is autonomous. (It is 1 - p_i with p_i' = -p_i/tau_i, the product beta_i^k of the
papers; the form in q loses no digits when beta is close to 1.) At t = 0 all four vanish and the
quotients take their limits m/q1 = g and v/q2 = g^2. Coupled weight decay replaces g by g + decay x;
decoupled decay adds -drift x to x'.

Sources: [A001], [A003]; Barakat, Bianchi, arXiv:1810.02263.
"""

import numpy as np

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import Flow
from .root import beside_root, root_constants


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x, m, v, q1, q2), p = (tau1, tau2, eps beside the root, eps under it, decay, drift, 1 for eps/sqrt(q2))."""
    x, m, v = z[0], z[1], z[2]
    dx, dm, dv = dz[0], dz[1], dz[2]
    q1, q2 = z[3, 0], z[4, 0]
    dz[3:5, :] = 0.0
    dz[3, 0] = (1.0 - q1) / p[0]
    dz[4, 0] = (1.0 - q2) / p[1]
    beside = beside_root(p[2], p[6], q2)
    fg(x, dx, data)
    for i in range(x.size):
        gi = dx[i] + p[4] * x[i]
        dm[i] = (gi - m[i]) / p[0]
        dv[i] = (gi * gi - v[i]) / p[1]
        mean = m[i] / q1 if q1 > 0.0 else gi
        square = max(v[i], 0.0) / q2 if q2 > 0.0 else gi * gi
        root = np.sqrt(square + p[3]) + beside
        dx[i] = (-mean / root if root != 0.0 else 0.0) - p[5] * x[i]


def _jacobian(t, z, g, hessian, p):
    tau1, tau2, eps, under, decay, drift, hat = p
    x, m, v, q1, q2 = z[0], z[1], np.maximum(z[2], 0.0), z[3, 0], z[4, 0]
    n, one = x.size, np.eye(x.size)
    gi, h = g + decay * x, hessian + decay * one
    j = np.zeros((5, n, 5, n))
    j[1, :, 0], j[2, :, 0] = h / tau1, 2 * gi[:, None] * h / tau2
    j[1, :, 1], j[2, :, 2] = -one / tau1, -one / tau2
    j[3, 0, 3, 0], j[4, 0, 4, 0] = -1 / tau1, -1 / tau2
    square = v / q2 if q2 > 0 else gi * gi
    beside = beside_root(eps, hat, q2)
    root = np.sqrt(square + under) + beside
    slope = 0.5 / np.sqrt(np.maximum(square + under, 1e-300))  # d root/d square; infinite at 0
    if q1 > 0 and q2 > 0:
        mean = m / q1
        by_square = mean * slope / root**2
        j[0, :, 1], j[0, :, 2] = np.diag(-1 / (q1 * root)), np.diag(by_square / q2)
        j[0, :, 3, 0], j[0, :, 4, 0] = mean / (q1 * root), -by_square * square / q2
        if hat > 0:
            j[0, :, 4, 0] -= 0.5 * mean * beside / (root**2 * q2)
    else:  # at the very start the field is -g/root(g^2)
        j[0, :, 0] = (-1 / root + 2 * gi * gi * slope / root**2)[:, None] * h
    j[0, :, 0] -= drift * one
    return j.reshape(5 * n, 5 * n)


@factory
def adam_flow(tau1, tau2, eps, *, eps_mode="outside", eps_root=0.0, decay=0.0, drift=0.0):
    """x' = -(m/q1)/(sqrt(v/q2) + eps) - drift x, tau1 m' = g - m, tau2 v' = g^2 - v, tau_i q_i' = 1 - q_i.

    Memory times ``tau1``, ``tau2`` in flow time, ``eps`` in the unit of g (of g^2 when inside the
    root; eps/sqrt(q2) for "hat": :mod:`odeopt.flows.root`), ``eps_root`` under the root besides, in that of g^2,
    ``decay`` (inside the gradient) in the unit of curvature and ``drift`` in 1/flow time.
    """
    eps, root = root_constants(eps, eps_mode, eps_root)
    decay, drift = checks.real("decay", decay), checks.real("drift", drift)
    drifting = " - drift x" if drift else ""
    equation = f"x' = -(m/q1)/{root('v/q2')}{drifting}, tau1 m' = g - m, tau2 v' = g² - v, tau_i q_i' = 1 - q_i"
    if decay:
        equation += ", g + decay x for g"
    constants = {"tau1": checks.positive("tau1", tau1), "tau2": checks.positive("tau2", tau2),
                 "eps": eps["eps"], "eps_root": eps["eps_root"], "decay": decay, "drift": drift, "hat": eps["hat"]}
    return Flow("Adam", equation, rhs, constants, ("mean", "square", "mean weight", "square weight"),
                jacobian=_jacobian)
