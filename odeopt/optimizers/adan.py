"""Adan: Adam with the mean of the gradients' differences beside that of the gradients.

Update     d = g - (the gradient before), 0 in the first step
           m <- beta1 m + (1 - beta1) g;  e <- beta2 e + (1 - beta2) d;  n <- beta3 n + (1 - beta3) (g + beta2 d)^2
           x <- x - lr (m/q1 + beta2 e/q2)/(sqrt(n/q3) + eps),  q_i = 1 - beta_i^k
Flow       Adam's, with beta3 for its beta2: x' = -(m/q1)/(sqrt(n/q3) + eps) - weight_decay x, tau1 m' = g - m,
           tau3 n' = g^2 - n, tau_i q_i' = 1 - q_i, with tau_i = lr/(1 - beta_i). The differences are of size h,
           and what they add is seen in the modified equation only
Start      cold: q_i = 0, as all packages correct the bias. Consistent: m = g, n = g^2, q_i = 1, which is the paper's
           algorithm, without correction (but for its second step, where its e is d): the same flow from another
           start, and another path
Scheme     none: d looks back; semi-implicit Euler on Adam's flow but for O(h)
Order      1, from both starts
Scaling    lr ~ h, beta_i = 1 - h/tau_i, eps and weight_decay fixed; with beta2 fixed the flow is the same
Stability  frozen preconditioner P = sqrt(n) + eps: lr lambda_max(H/P) < 2/((1 - beta1)/(1 + beta1) +
           2 beta2 (1 - beta2)/(1 + beta2)), 23 at the defaults (198 without the differences)
Decay      proximal, x <- (x - ...)/(1 + lr weight_decay) (the paper), or decoupled, x <- (1 - lr weight_decay) x - ...
Zero       with eps = 0 a coordinate whose n is 0 does not move
Betas      the paper's are 1 - beta_i here. optax 0.2.8 has these, too, but multiplies d and e by 1 - beta2, the
           paper's letters: another method (.08 for .92 at the defaults)

Sources: Xie, Zhou, Li, Lin, Yan, arXiv:2208.06677, algorithm 1; the corrected form: its code, pytorch_optimizer;
the flow: Adam's (adam.py), found here.
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import adam_flow
from ..method import Limit, Slot
from .base import Optimizer, fraction, nonnegative, positive, square_behind, variant


@kernel
def adan(k, p, x, g, s):
    """p = (lr, beta1, beta2, beta3, eps, weight decay, 1 for decoupled); s = (m, e, n, gradient before, q1, q2, q3),
    q in element 0, 0 before the first step."""
    outer = p[5] * p[6]
    new1, new2, new3, first = 1.0 - p[1], 1.0 - p[2], 1.0 - p[3], s[4, 0] == 0.0
    q1 = s[4, 0] + new1 * (1.0 - s[4, 0])
    q2 = s[5, 0] + new2 * (1.0 - s[5, 0])
    q3 = s[6, 0] + new3 * (1.0 - s[6, 0])
    s[4, 0], s[5, 0], s[6, 0] = q1, q2, q3
    m, e, n, before = s[0], s[1], s[2], s[3]
    real = precision(x, g, s)
    keep, over = real(1.0 - p[0] * outer), real(1.0 / (1.0 + p[0] * (p[5] - outer)))
    step, ahead, root = real(p[0] / q1), real(p[0] * p[2] / q2), real(1.0 / np.sqrt(q3))
    old1, old2, old3, eps, zero = real(p[1]), real(p[2]), real(p[3]), real(p[4]), real(0.0)
    new1, new2, new3 = real(new1), real(new2), real(new3)
    for i in range(x.size):
        gi = g[i]
        change = zero if first else gi - before[i]
        mi = old1 * m[i] + new1 * gi
        ei = old2 * e[i] + new2 * change
        seen = gi + old2 * change
        ni = old3 * n[i] + new3 * seen * seen
        below = np.sqrt(ni) * root + eps
        move = (step * mi + ahead * ei) / below
        x[i] = (keep * x[i] - (move if below != zero else zero)) * over
        m[i] = mi
        e[i] = ei
        n[i] = ni
        before[i] = gi
    return p[0]


@dataclass(frozen=True)
class Adan(Optimizer):
    """Adaptive Nesterov momentum.

    Parameters
    ----------
    lr : float > 0, default 1e-3
        Step in flow time.
    beta1, beta2, beta3 : float in [0, 1), defaults 0.98, 0.92 and 0.99
        Of the means of gradients, of their differences, and of squares.
    eps : float >= 0, default 1e-8
        In the unit of g.
    weight_decay : float >= 0, default 0
        Rate of decay towards 0, in 1/flow time.
    weight_decay_mode : {"proximal", "decoupled"}
    """

    title = "Adan"
    momentum_name = "beta1"
    look = ("#C71585", "d")

    lr: float = positive(default=1e-3, scales="h")
    beta1: float = fraction(default=0.98, scales="1 - c h")
    beta2: float = fraction(default=0.92, scales="1 - c h")
    beta3: float = fraction(default=0.99, scales="1 - c h")
    eps: float = nonnegative(default=1e-8)
    weight_decay: float = nonnegative(default=0.0)
    weight_decay_mode: str = variant("proximal", "decoupled")

    kernel = staticmethod(adan)

    @property
    def slots(self):
        return (Slot("mean", "average", "g"), Slot("mean difference", "average", "g"), Slot("square", "square", "g^2"),
                Slot("gradient before", "average", "g"), Slot("mean weight", "weight"),
                Slot("difference weight", "weight"), Slot("square weight", "weight"))

    @property
    def p(self):
        """(lr, beta1, beta2, beta3, eps, weight_decay, 1 for decoupled)."""
        return self.numbers_and(self._decoupled)

    @property
    def flow(self):
        return adam_flow(self.lr / (1 - self.beta1), self.lr / (1 - self.beta3), self.eps, drift=self.weight_decay)

    def to_flow(self, x, s):
        return np.vstack([x[None, :], s[[0, 2, 4, 6]]])

    def consistent_start(self, x, g):
        s = self.cold_start(x)
        s[0], s[2], s[3], s[4:, 0] = g, g * g, g, 1.0
        return s

    def held(self, slot, preconditioner):
        return square_behind(preconditioner, self.eps, False, self.beta3)

    def stability_limit(self):
        across = (1 - self.beta1) / (1 + self.beta1) + 2 * self.beta2 * (1 - self.beta2) / (1 + self.beta2)
        decay = self.weight_decay if self._decoupled else -self.weight_decay
        formula = "2/((1 - β1)/(1 + β1) + 2 β2 (1 - β2)/(1 + β2))" + ", with decay" * bool(decay)
        return Limit(2 / (across + decay) if across + decay > 0 else np.inf, formula)
