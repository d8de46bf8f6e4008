"""AdaBelief: Adam that divides by how far gradients are from their mean.

Update     m <- beta1 m + (1 - beta1) g;  s <- beta2 s + (1 - beta2) (g - m)^2 + eps_root
           x <- x - lr (m/q1)/(sqrt(s/q2) + eps),  q_i = 1 - beta_i^k
Flow       x' = -(m/q1)/(sqrt(s/q2) + eps), tau1 m' = g - m, tau2 s' = (g - m)^2 + floor - s,
           tau_i q_i' = 1 - q_i, with tau_i = lr/(1 - beta_i), floor = eps_root/(1 - beta2): what is added to s in
           each step adds up to this, 1000 eps_root at the defaults
Scheme     partitioned Euler (m and the q_i, then s with the new m, then x), h = lr
Order      1, both starts
Scaling    lr ~ h, beta_i = 1 - h/tau_i, eps_root ~ h, eps fixed. With beta1 fixed there is no such limit: then
           g - m is of the size of h, and so is the root (lr ~ h^2 would make up for it)
Mean       m in g - m is not corrected: at the start g - m is g, and s/q2 its square, as in Adam. (g - m)^2 tends to
           (tau1 g')^2 later, so that where gradients change slowly steps are longer than Adam's by the factor
           |g|/(tau1 |g'|)
Stability  frozen preconditioner P = sqrt(s) + eps: lr lambda_max(H/P) < 2 (1 + beta1)/(1 - beta1)
Decay      coupled or decoupled, as adam.py
Variants   eps and eps_root are one number in the paper and in pytorch_optimizer, two in optax. eps_root = 0
           is the paper's first version

Sources: Zhuang et al., arXiv:2010.07468, algorithm 2; the flow: the package's own.
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import Flow
from ..method import Slot
from ..schemes import partitioned_euler
from .base import Optimizer, fraction, nonnegative, positive, square_behind, variant


@kernel
def adabelief(k, p, x, g, s):
    """p = (lr, beta1, beta2, eps, weight decay, eps_root, 1 for decoupled); s = (m, s, q1, q2), q in element 0."""
    lr, eps, outer = p[0], p[3], p[4] * p[6]
    inner, keep, new1, new2 = p[4] - outer, 1.0 - p[0] * outer, 1.0 - p[1], 1.0 - p[2]
    q1 = s[2, 0] + new1 * (1.0 - s[2, 0])
    q2 = s[3, 0] + new2 * (1.0 - s[3, 0])
    s[2, 0], s[3, 0] = q1, q2
    step, root = lr / q1, 1.0 / np.sqrt(q2)
    m, v = s[0], s[1]
    real = precision(x, g, s)
    inner, new1, new2, keep, step, root = real(inner), real(new1), real(new2), real(keep), real(step), real(root)
    old1, old2, eps, added, zero = real(p[1]), real(p[2]), real(eps), real(p[5]), real(0.0)
    for i in range(x.size):
        mi, vi, xi = m[i], v[i], x[i]
        gi = g[i] + inner * xi
        mi = old1 * mi + new1 * gi
        apart = gi - mi
        vi = old2 * vi + new2 * apart * apart + added
        below = np.sqrt(vi) * root + eps
        move = step * mi / below
        xi = keep * xi - (move if below != zero else zero)
        m[i] = mi
        v[i] = vi
        x[i] = xi
    return p[0]


@kernel
def field(fg, hv, data, t, p, z, dz):
    """z = (x, m, s, q1, q2), p = (tau1, tau2, eps, floor, decay, drift)."""
    x, m, v = z[0], z[1], z[2]
    dx, dm, dv = dz[0], dz[1], dz[2]
    q1, q2 = z[3, 0], z[4, 0]
    dz[3:5, :] = 0.0
    dz[3, 0] = (1.0 - q1) / p[0]
    dz[4, 0] = (1.0 - q2) / p[1]
    fg(x, dx, data)
    for i in range(x.size):
        gi = dx[i] + p[4] * x[i]
        apart = (gi - m[i]) * (gi - m[i]) + p[3]
        dm[i] = (gi - m[i]) / p[0]
        dv[i] = (apart - v[i]) / p[1]
        mean = m[i] / q1 if q1 > 0.0 else gi
        root = np.sqrt(max(v[i], 0.0) / q2 if q2 > 0.0 else apart) + p[2]
        dx[i] = (-mean / root if root != 0.0 else 0.0) - p[5] * x[i]


@dataclass(frozen=True)
class AdaBelief(Optimizer):
    """Adaptive steps by the belief in the observed gradients.

    Parameters
    ----------
    lr : float > 0, default 1e-3
        Step in flow time.
    beta1, beta2 : float in [0, 1), defaults 0.9 and 0.999
    eps : float >= 0, default 1e-16
        Beside the root, in the unit of g.
    weight_decay : float >= 0, default 0
    eps_root : float >= 0, default 1e-16
        Added to the mean square in each step, in the unit of g^2.
    weight_decay_mode : {"coupled", "decoupled"}
    """

    title = "AdaBelief"
    momentum_name = "beta1"
    look = ("#B8860B", "<")

    lr: float = positive(default=1e-3, scales="h")
    beta1: float = fraction(default=0.9, scales="1 - c h")
    beta2: float = fraction(default=0.999, scales="1 - c h")
    eps: float = nonnegative(default=1e-16)
    weight_decay: float = nonnegative(default=0.0)
    eps_root: float = nonnegative(default=1e-16, scales="h")
    weight_decay_mode: str = variant("coupled", "decoupled")

    kernel = staticmethod(adabelief)

    @property
    def slots(self):
        return (Slot("mean", "average", "g"), Slot("square", "square", "g^2"), Slot("mean weight", "weight"),
                Slot("square weight", "weight"))

    @property
    def p(self):
        """(lr, beta1, beta2, eps, weight_decay, eps_root, 1 for decoupled)."""
        return self.numbers_and(self._decoupled)

    @property
    def flow(self):
        inner, outer = self.split_decay()
        equation = (f"x' = -(m/q1)/(√(s/q2) + eps){' - drift x' if outer else ''}, tau1 m' = g - m, "
                    "tau2 s' = (g - m)² + floor - s, tau_i q_i' = 1 - q_i")
        constants = {"tau1": self.lr / (1 - self.beta1), "tau2": self.lr / (1 - self.beta2), "eps": self.eps,
                     "floor": self.eps_root / (1 - self.beta2), "decay": inner, "drift": outer}
        return Flow("AdaBelief", equation + ", g + decay x for g" * bool(inner), field, constants,
                    ("mean", "square", "mean weight", "square weight"))

    @property
    def scheme(self):
        return partitioned_euler((2, 0, 1, 0, 0))

    def held(self, slot, preconditioner):
        least = self.eps + np.sqrt(self.eps_root)
        square_behind(preconditioner, least, False, self.beta2)  # refuses what is below
        return ((preconditioner - self.eps) ** 2 - self.eps_root) / self.beta2

    def stability_limit(self):
        return self.limit(2 * (1 + self.beta1) / (1 - self.beta1), "2 (1 + β1)/(1 - β1)")
