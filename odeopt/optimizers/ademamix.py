"""AdEMAMix: Adam with a second, slow mean of the gradients beside the first.

Update     m <- beta1 m + (1 - beta1) g;  n <- beta3 n + (1 - beta3) g;  v <- beta2 v + (1 - beta2) g^2
           x <- x - lr (m/q1 + alpha n)/(sqrt(v/q2) + eps),  q_i = 1 - beta_i^k: n is not corrected, so that it
           comes in slowly
Flow       x' = -(m/q1 + alpha n)/(sqrt(v/q2) + eps), tau1 m' = g - m, tau3 n' = g - n, tau2 v' = g^2 - v,
           tau_i q_i' = 1 - q_i, with tau_i = lr/(1 - beta_i)
Scheme     semi-implicit Euler, h = lr
Order      1
Scaling    lr ~ h, beta_i = 1 - h/tau_i, alpha and eps fixed
Stability  frozen preconditioner P = sqrt(v) + eps: lr lambda_max(H/P) < 2/((1 - beta1)/(1 + beta1) +
           alpha (1 - beta3)/(1 + beta3)), 37.8 at the defaults (38 without the slow mean)
Decay      coupled or decoupled, as adam.py
Zero       with eps = 0 a coordinate whose v is 0 does not move
Schedules  the paper lets alpha grow from 0 and beta3 from beta1 in the first steps: schedules that drive them

Sources: Pagliardini, Ablin, Grangier, arXiv:2409.03137, algorithm 1; the flow: the package's own.
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import Flow
from ..method import Slot
from ..schemes import semi_implicit_euler
from .base import Optimizer, fraction, nonnegative, positive, square_behind, variant


@kernel
def ademamix(k, p, x, g, s):
    """p = (lr, beta1, beta2, beta3, alpha, eps, weight decay, 1 for decoupled); s = (m, n, v, q1, q2), q in
    element 0."""
    lr, eps, outer = p[0], p[5], p[6] * p[7]
    inner, keep, new1, new2, new3 = p[6] - outer, 1.0 - p[0] * outer, 1.0 - p[1], 1.0 - p[2], 1.0 - p[3]
    q1 = s[3, 0] + new1 * (1.0 - s[3, 0])
    q2 = s[4, 0] + new2 * (1.0 - s[4, 0])
    s[3, 0], s[4, 0] = q1, q2
    fast, slow, root = lr / q1, lr * p[4], 1.0 / np.sqrt(q2)
    m, n, v = s[0], s[1], s[2]
    real = precision(x, g, s)
    inner, keep, new1, new2, new3 = real(inner), real(keep), real(new1), real(new2), real(new3)
    old1, old2, old3, eps, zero = real(p[1]), real(p[2]), real(p[3]), real(eps), real(0.0)
    fast, slow, root = real(fast), real(slow), real(root)
    for i in range(x.size):
        mi, ni, vi, xi = m[i], n[i], v[i], x[i]
        gi = g[i] + inner * xi
        mi = old1 * mi + new1 * gi
        ni = old3 * ni + new3 * gi
        vi = old2 * vi + new2 * gi * gi
        below = np.sqrt(vi) * root + eps
        move = (fast * mi + slow * ni) / below
        xi = keep * xi - (move if below != zero else zero)
        m[i] = mi
        n[i] = ni
        v[i] = vi
        x[i] = xi
    return p[0]


@kernel
def field(fg, hv, data, t, p, z, dz):
    """z = (x, m, n, v, q1, q2), p = (tau1, tau2, tau3, alpha, eps, decay, drift)."""
    x, m, n, v = z[0], z[1], z[2], z[3]
    dx, dm, dn, dv = dz[0], dz[1], dz[2], dz[3]
    q1, q2 = z[4, 0], z[5, 0]
    dz[4:6, :] = 0.0
    dz[4, 0] = (1.0 - q1) / p[0]
    dz[5, 0] = (1.0 - q2) / p[1]
    fg(x, dx, data)
    for i in range(x.size):
        gi = dx[i] + p[5] * x[i]
        dm[i] = (gi - m[i]) / p[0]
        dv[i] = (gi * gi - v[i]) / p[1]
        dn[i] = (gi - n[i]) / p[2]
        mean = (m[i] / q1 if q1 > 0.0 else gi) + p[3] * n[i]
        root = np.sqrt(max(v[i], 0.0) / q2 if q2 > 0.0 else gi * gi) + p[4]
        dx[i] = (-mean / root if root != 0.0 else 0.0) - p[6] * x[i]


@dataclass(frozen=True)
class AdEMAMix(Optimizer):
    """Adam with a mixture of two means of the gradients.

    Parameters
    ----------
    lr : float > 0, default 1e-3
        Step in flow time.
    beta1, beta2, beta3 : float in [0, 1), defaults 0.9, 0.999 and 0.9999
        Of the fast mean, the mean square and the slow mean.
    alpha : float >= 0, default 5
        Weight of the slow mean.
    eps : float >= 0, default 1e-8
        In the unit of g.
    weight_decay : float >= 0, default 0
    weight_decay_mode : {"coupled", "decoupled"}
    """

    title = "AdEMAMix"
    momentum_name = "beta1"
    look = ("#6A3D9A", ">")

    lr: float = positive(default=1e-3, scales="h")
    beta1: float = fraction(default=0.9, scales="1 - c h")
    beta2: float = fraction(default=0.999, scales="1 - c h")
    beta3: float = fraction(default=0.9999, scales="1 - c h")
    alpha: float = nonnegative(default=5.0)
    eps: float = nonnegative(default=1e-8)
    weight_decay: float = nonnegative(default=0.0)
    weight_decay_mode: str = variant("coupled", "decoupled")

    kernel = staticmethod(ademamix)

    @property
    def slots(self):
        return (Slot("mean", "average", "g"), Slot("slow mean", "average", "g"), Slot("square", "square", "g^2"),
                Slot("mean weight", "weight"), Slot("square weight", "weight"))

    @property
    def p(self):
        """(lr, beta1, beta2, beta3, alpha, eps, weight_decay, 1 for decoupled)."""
        return self.numbers_and(self._decoupled)

    @property
    def flow(self):
        inner, outer = self.split_decay()
        equation = (f"x' = -(m/q1 + alpha n)/(√(v/q2) + eps){' - drift x' if outer else ''}, tau1 m' = g - m, "
                    "tau3 n' = g - n, tau2 v' = g² - v, tau_i q_i' = 1 - q_i")
        constants = {f"tau{i}": self.lr / (1 - beta) for i, beta in enumerate((self.beta1, self.beta2, self.beta3), 1)}
        constants |= {"alpha": self.alpha, "eps": self.eps, "decay": inner, "drift": outer}
        return Flow("AdEMAMix", equation + ", g + decay x for g" * bool(inner), field, constants,
                    ("mean", "slow mean", "square", "mean weight", "square weight"))

    @property
    def scheme(self):
        return semi_implicit_euler

    def held(self, slot, preconditioner):
        return square_behind(preconditioner, self.eps, False, self.beta2)

    def stability_limit(self):
        bare = (1 - self.beta1) / (1 + self.beta1) + self.alpha * (1 - self.beta3) / (1 + self.beta3)
        return self.limit(2 / bare, "2/((1 - β1)/(1 + β1) + α (1 - β3)/(1 + β3))")
