"""LAMB: Adam's direction, as long in each array as a share lr of the array itself.

Update     m, v, q_i as Adam;  r = (m/q1)/(sqrt(v/q2) + eps) + weight_decay x
           x <- x - lr (|x|/|r|) r, with the norms of one array; the ratio is 1 where |x| or |r| is 0
Flow       x' = -(|x|/|r|) r with Adam's m, v, q_i (flows/adam.py): |x'| = |x|, so that one unit of flow time is a
           change by the factor e at most
Scheme     semi-implicit Euler, h = lr
Order      1 away from x = 0 and r = 0, where the ratio jumps to 1; it does not come to rest in a minimum but
           steps over it, each step lr |x| long, as normalised descent does
Scaling    lr ~ h, beta_i = 1 - h/tau_i, eps and weight_decay fixed
Stability  none: see Order
Arrays     each array of ``update`` has its own ratio; the x of ``record`` is one array
Variants   the paper's phi(|x|) is the identity here and in optax; its code and others clip it (10), or the ratio

Sources: You et al., arXiv:1904.00962, algorithm 2; optax 0.2.8; the flow: the package's own.
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import Flow
from ..method import Slot
from ..schemes import semi_implicit_euler
from .base import Optimizer, fraction, nonnegative, positive


@kernel
def lamb(k, p, x, g, s):
    """p = (lr, beta1, beta2, eps, weight decay); s = (m, v, q1, q2), q in element 0."""
    new1, new2 = 1.0 - p[1], 1.0 - p[2]
    q1 = s[2, 0] + new1 * (1.0 - s[2, 0])
    q2 = s[3, 0] + new2 * (1.0 - s[3, 0])
    s[2, 0], s[3, 0] = q1, q2
    m, v = s[0], s[1]
    real = precision(x, g, s)
    over, root, eps, decay = real(1.0 / q1), real(1.0 / np.sqrt(q2)), real(p[3]), real(p[4])
    old1, old2, new1, new2, zero = real(p[1]), real(p[2]), real(new1), real(new2), real(0.0)
    of_x, of_r = 0.0, 0.0
    for i in range(x.size):
        mi, vi, xi, gi = m[i], v[i], x[i], g[i]
        mi = old1 * mi + new1 * gi
        vi = old2 * vi + new2 * gi * gi
        below = np.sqrt(vi) * root + eps
        r = np.float64((mi * over / below if below != zero else zero) + decay * xi)
        of_x += np.float64(xi) * np.float64(xi)
        of_r += r * r
        m[i] = mi
        v[i] = vi
    step = real(p[0] * np.sqrt(of_x / of_r) if of_x > 0.0 and of_r > 0.0 else p[0])
    for i in range(x.size):
        below = np.sqrt(v[i]) * root + eps
        x[i] = x[i] - step * ((m[i] * over / below if below != zero else zero) + decay * x[i])
    return p[0]


@kernel
def field(fg, hv, data, t, p, z, dz):
    """z = (x, m, v, q1, q2), p = (tau1, tau2, eps, decay)."""
    x, m, v = z[0], z[1], z[2]
    dx, dm, dv = dz[0], dz[1], dz[2]
    q1, q2 = z[3, 0], z[4, 0]
    dz[3:5, :] = 0.0
    dz[3, 0] = (1.0 - q1) / p[0]
    dz[4, 0] = (1.0 - q2) / p[1]
    fg(x, dx, data)
    of_x, of_r = 0.0, 0.0
    for i in range(x.size):
        gi = dx[i]
        dm[i] = (gi - m[i]) / p[0]
        dv[i] = (gi * gi - v[i]) / p[1]
        mean = m[i] / q1 if q1 > 0.0 else gi
        below = np.sqrt(max(v[i], 0.0) / q2 if q2 > 0.0 else gi * gi) + p[2]
        dx[i] = (mean / below if below != 0.0 else 0.0) + p[3] * x[i]
        of_x += x[i] * x[i]
        of_r += dx[i] * dx[i]
    ratio = np.sqrt(of_x / of_r) if of_x > 0.0 and of_r > 0.0 else 1.0
    for i in range(x.size):
        dx[i] = -ratio * dx[i]


@dataclass(frozen=True)
class LAMB(Optimizer):
    """Layerwise adaptive moments.

    Parameters
    ----------
    lr : float > 0, default 1e-3
        Share of its norm by which an array moves; step in flow time.
    beta1, beta2 : float in [0, 1), defaults 0.9 and 0.999
    eps : float >= 0, default 1e-6
    weight_decay : float >= 0, default 0
        Added to Adam's direction, before its norm is taken.
    """

    title = "LAMB"
    momentum_name = "beta1"
    look = ("#44AA99", "h")

    lr: float = positive(default=1e-3, scales="h")
    beta1: float = fraction(default=0.9, scales="1 - c h")
    beta2: float = fraction(default=0.999, scales="1 - c h")
    eps: float = nonnegative(default=1e-6)
    weight_decay: float = nonnegative(default=0.0)

    kernel = staticmethod(lamb)

    @property
    def slots(self):
        return (Slot("mean", "average", "g"), Slot("square", "square", "g^2"), Slot("mean weight", "weight"),
                Slot("square weight", "weight"))

    @property
    def flow(self):
        constants = {"tau1": self.lr / (1 - self.beta1), "tau2": self.lr / (1 - self.beta2), "eps": self.eps,
                     "decay": self.weight_decay}
        r = "(m/q1)/(√(v/q2) + eps)" + (" + decay x" if self.weight_decay else "")
        equation = f"x' = -(|x|/|r|) r, r = {r}, tau1 m' = g - m, tau2 v' = g² - v, tau_i q_i' = 1 - q_i"
        return Flow("LAMB", equation, field, constants, ("mean", "square", "mean weight", "square weight"))

    @property
    def scheme(self):
        return semi_implicit_euler
