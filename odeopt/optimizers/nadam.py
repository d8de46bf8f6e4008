"""NAdam: Adam with Nesterov's look-ahead, and a momentum that warms up.

Update     m, v as Adam; mu_k = beta1 (1 - 0.96^(k momentum_decay)/2), k from 1; P = mu_1 ... mu_k
           x <- x - lr ((1 - mu_k)/(1 - P) g + mu_{k+1}/(1 - P mu_{k+1}) m)/(sqrt(v/q2) + eps)
           momentum_decay=None: mu_k = beta1 throughout (optax; Dozat's text without the warm-up)
Flow       with the warm-up, x' = -((1 - mu) g + mu m)/(sqrt(v/q2) + eps), mu(t) = 1 - exp(-rate t)/2,
           rate = -ln(0.96) momentum_decay/lr: 1 - mu_k does not become small with lr, P is 0 after a
           few steps, and so m, which P is meant to correct, stays uncorrected.
           With constant mu: Adam's flow; the look-ahead is a correction of size h
Scheme     constant mu: semi-implicit Euler that coasts ahead, h = lr (``schemes.coasting_euler``: Adam's
           step with the coasting m -> beta1 m, q1 of the next step in place of this one's).
           With the warm-up none: the weights 1 - P, which are 1 in the flow, change the speed of the first
           steps by a factor of order 1 and x by a term of size h; the order is 1 all the same
Order      1
Scaling    lr ~ h, beta_i = 1 - h/tau_i, momentum_decay ~ h, eps and weight_decay fixed
Stability  constant mu, frozen preconditioner, g and m under weights 1: lr lambda_max(H/P) <
           2 (1 + beta1)/((1 - beta1)(1 + 2 beta1)), 13.57 at .9
Decay      as Adam; so is eps = 0

Sources: Dozat (2016), Incorporating Nesterov momentum into Adam; torch; the limit: 2 D-quadratics,
Cohen et al., arXiv:2207.14484.
"""

import math
from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import adam_flow, mean_age, nadam_flow
from ..method import Slot
from ..schemes import coasting_euler
from .adam import Adam
from .base import number

_WARM_UP = math.log(0.96)


@kernel
def nadam(k, p, x, g, s):
    """p = (lr, beta1, beta2, eps, weight decay, eps_root, momentum_decay, 1 for eps inside, 1 for decoupled, 1 for
    eps beside the uncorrected root, 1 for the warm-up); s = (m, v, 1 - P, q2), the last two in element 0."""
    lr, beta1, inside, outer = p[0], p[1], p[3] * p[7], p[4] * p[8]
    outside, inner, keep = p[3] - inside, p[4] - outer, 1.0 - p[0] * outer
    new1, new2 = 1.0 - beta1, 1.0 - p[2]
    mu, ahead = beta1, beta1
    if p[10] > 0.0:
        mu = beta1 * (1.0 - 0.5 * np.exp(_WARM_UP * p[6] * (k + 1.0)))
        ahead = beta1 * (1.0 - 0.5 * np.exp(_WARM_UP * p[6] * (k + 2.0)))
    weight = s[2, 0] * mu + (1.0 - mu)  # 1 - P
    q2 = s[3, 0] + new2 * (1.0 - s[3, 0])
    s[2, 0], s[3, 0] = weight, q2
    root, inside = 1.0 / np.sqrt(q2), (inside + p[5]) * q2
    outside *= root if p[9] > 0.0 else 1.0
    of_g = lr * (1.0 - mu) / weight
    of_m = lr * ahead / (weight * ahead + (1.0 - ahead))
    m, v = s[0], s[1]
    real = precision(x, g, s)
    inner, new1, new2, keep, of_g, of_m = real(inner), real(new1), real(new2), real(keep), real(of_g), real(of_m)
    root, inside, outside, zero = real(root), real(inside), real(outside), real(0.0)
    old1, old2 = real(beta1), real(p[2])
    for i in range(x.size):
        mi, vi, xi = m[i], v[i], x[i]
        gi = g[i] + inner * xi
        mi = old1 * mi + new1 * gi
        vi = old2 * vi + new2 * gi * gi
        below = np.sqrt(vi + inside) * root + outside
        move = (of_g * gi + of_m * mi) / below
        xi = keep * xi - (move if below != zero else zero)
        m[i] = mi
        v[i] = vi
        x[i] = xi
    return p[0]


@dataclass(frozen=True)
class NAdam(Adam):
    """Adam with Nesterov momentum.

    Parameters
    ----------
    lr, beta1, beta2, eps, eps_mode, weight_decay, weight_decay_mode, eps_root
        As :class:`Adam`.
    momentum_decay : float >= 0 or None, default 4e-3
        Speed of the momentum's warm-up; None for constant momentum beta1.
    """

    title = "NAdam"
    look = ("#E0A800", "<")

    momentum_decay: float | None = number(default=4e-3, low=0.0, scales="h", optional=True)

    kernel = staticmethod(nadam)

    @property
    def slots(self):
        return (Slot("mean", "average", "g"), Slot("square", "square", "g^2"), Slot("mean weight", "weight"),
                Slot("square weight", "weight"))

    @property
    def p(self):
        """(lr, beta1, beta2, eps, weight_decay, eps_root, momentum_decay, then 1 for: eps inside the root,
        decoupled decay, eps beside the uncorrected root, warm-up)."""
        numbers = self._numbers()
        return np.array([*numbers, self.eps_mode == "inside", self._decoupled, self.eps_mode == "hat",
                         self.momentum_decay is not None])

    @property
    def flow(self):
        inner, outer = self.split_decay()
        common = {"eps_mode": self.eps_mode, "eps_root": self.eps_root, "decay": inner, "drift": outer}
        if self.momentum_decay is None:
            return adam_flow(*self.taus, self.eps, **common)
        rate = -_WARM_UP * self.momentum_decay / self.lr
        if rate == np.inf:
            raise ValueError(f"lr must not be so small that the rate of the warm-up overflows, got {self.lr!r}")
        return nadam_flow(*self.taus, self.eps, rate, **common)

    @property
    def scheme(self):
        return coasting_euler("memory", "still", "weight", "still") if self.momentum_decay is None else None

    def stability_limit(self):
        bare = 2 * (1 + self.beta1) / ((1 - self.beta1) * (1 + 2 * self.beta1))
        return self.limit(bare, "2 (1 + β1)/((1 - β1)(1 + 2 β1))")

    def to_flow(self, x, s):
        """The product P is no part of the warmed-up flow (it is 0 there)."""
        return np.vstack([x[None, :], s] if self.momentum_decay is None else [x[None, :], s[:2], s[3:]])

    def modified_flow(self, order):
        if self.momentum_decay is not None:
            raise ValueError("momentum_decay must be None (constant momentum) for the modified flow of nadam, "
                             f"got {self.momentum_decay}")
        return super().modified_flow(order)

    def _mean_age(self):
        return mean_age(self.beta1, ahead=True)
