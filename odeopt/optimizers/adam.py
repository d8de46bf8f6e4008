"""Adam: semi-implicit Euler on its own autonomous flow.

Update     m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2
           x <- x - lr (m/q1)/(sqrt(v/q2) + eps),  q_i = 1 - beta_i^k
Flow       x' = -(m/q1)/(sqrt(v/q2) + eps), tau1 m' = g - m, tau2 v' = g^2 - v,
           tau_i q_i' = 1 - q_i, with tau_i = lr/(1 - beta_i)
Scheme     semi-implicit Euler, h = lr: q_i is the running average of the constant 1 and moves like
           m and v, so bias correction is part of the flow and not an extra
Order      1, also from the cold start (that is what the correction buys; see rmsprop.py). With eps_mode="hat" the
           cold start adds an error of (eps/g) sqrt(tau2 h) for h above (eps/g)^2 tau2 (eps/sqrt(q2) is of the size of
           eps sqrt(tau2/t) there); below, the flow starts at rest like sqrt(t): 1 far from it, less in between
Scaling    lr ~ h, beta_i = 1 - h/tau_i, eps fixed
Stability  frozen preconditioner P = sqrt(v) + eps: lr lambda_max(H/P) < 2 (1 + beta1)/(1 - beta1),
           38 at beta1 = 0.9
Bounds     for beta1^2 < beta2 |dx| <= lr (1 - beta1)/sqrt((1 - beta2)(1 - beta1^2/beta2)), 7.27 lr at the
           defaults (Cauchy-Schwarz over the weights of m and v): approached where gradients grow like
           (beta2/beta1)^k after a long run of zeros. The bounds of the paper's section 2.1 are rules
           of thumb: lr (1 - beta1)/sqrt(1 - beta2), 3.16 lr, is what one gradient after zeros makes; its
           other case, lr, is exceeded too (3.93 lr at beta1 = .97). The first step is -lr sign(g)
Windows    m averages over 1/(1 - beta1) = 10 steps, v over 1/(1 - beta2) = 1000 ([A001])
Decay      coupled: g + weight_decay x for g (L2 regularisation, which the quotient then rescales);
           decoupled: x <- x - lr weight_decay x besides the step (adamw.py); both are rates of the
           flow and stay when lr is refined
Zero       with eps = 0 a coordinate whose v is 0 does not move (0/0 counts as 0; torch and optax give NaN)
Variants   eps outside the root ([A001], the paper), inside ([A003]'s formula), or beside the uncorrected
           sqrt(v) ("hat": keras, torch's SparseAdam, [A003]'s code; "epsilon hat" in the paper's section 2): that is
           eps/sqrt(q2), 32 eps in the first step. eps_root stands inside besides (optax)

Sources: Kingma, Ba, arXiv:1412.6980, algorithm 1; [A001], [A003]; the flow: Barakat, Bianchi,
arXiv:1810.02263; the stability limit: Cohen et al., arXiv:2207.14484.
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import adam_flow, mean_age, modified_root_flow
from ..flows.root import ROOT_MODES
from ..method import Slot
from ..schemes import semi_implicit_euler
from .base import Optimizer, eps_places, fraction, nonnegative, positive, square_behind, variant


@kernel
def adam(k, p, x, g, s):
    """p = (lr, beta1, beta2, eps, weight decay, eps_root, 1 for eps inside, 1 for decoupled, 1 for eps beside the
    uncorrected root); s = (m, v, q1, q2), q in element 0."""
    lr, inside, outer = p[0], p[3] * p[6], p[4] * p[7]
    outside, inner, keep = p[3] - inside, p[4] - outer, 1.0 - p[0] * outer
    new1, new2 = 1.0 - p[1], 1.0 - p[2]
    q1 = s[2, 0] + new1 * (1.0 - s[2, 0])
    q2 = s[3, 0] + new2 * (1.0 - s[3, 0])
    s[2, 0], s[3, 0] = q1, q2
    step, root, inside = lr / q1, 1.0 / np.sqrt(q2), (inside + p[5]) * q2
    outside *= root if p[8] > 0.0 else 1.0
    m, v = s[0], s[1]
    real = precision(x, g, s)
    inner, new1, new2, keep, step, root = real(inner), real(new1), real(new2), real(keep), real(step), real(root)
    old1, old2, inside, outside, zero = real(p[1]), real(p[2]), real(inside), real(outside), real(0.0)
    for i in range(x.size):
        mi, vi, xi = m[i], v[i], x[i]
        gi = g[i] + inner * xi
        mi = old1 * mi + new1 * gi
        vi = old2 * vi + new2 * gi * gi
        below = np.sqrt(vi + inside) * root + outside
        move = step * mi / below
        xi = keep * xi - (move if below != zero else zero)
        m[i] = mi
        v[i] = vi
        x[i] = xi
    return p[0]


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adaptive moment estimation.

    Parameters
    ----------
    lr : float > 0, default 1e-3
        Step in flow time.
    beta1, beta2 : float in [0, 1), defaults 0.9 and 0.999
    eps : float >= 0, default 1e-8
        In the unit of g (of g^2 inside the root).
    eps_mode : {"outside", "inside", "hat"}
        Beside the root, under it, or beside the root of the uncorrected v.
    weight_decay : float >= 0, default 0
    weight_decay_mode : {"coupled", "decoupled"}
    eps_root : float >= 0, default 0
        Under the root besides, in the unit of g^2.
    """

    title = "Adam"
    momentum_name = "beta1"
    modified_orders = (1, 2)
    look = ("#DD8800", "D")

    lr: float = positive(default=1e-3, scales="h")
    beta1: float = fraction(default=0.9, scales="1 - c h")
    beta2: float = fraction(default=0.999, scales="1 - c h")
    eps: float = nonnegative(default=1e-8)
    eps_mode: str = variant(*ROOT_MODES)
    weight_decay: float = nonnegative(default=0.0)
    weight_decay_mode: str = variant("coupled", "decoupled")
    eps_root: float = nonnegative(default=0.0)

    kernel = staticmethod(adam)

    @property
    def slots(self):
        return (Slot("mean", "average", "g"), Slot("square", "square", "g^2"), Slot("mean weight", "weight"),
                Slot("square weight", "weight"))

    @property
    def p(self):
        """(lr, beta1, beta2, eps, weight_decay, eps_root, then 1 for: eps inside the root, decoupled decay, eps
        beside the uncorrected root)."""
        return self.numbers_and(self.eps_mode == "inside", self._decoupled, self.eps_mode == "hat")

    @property
    def taus(self) -> tuple[float, float]:
        """Memory times of the two averages, in flow time."""
        return self.lr / (1 - self.beta1), self.lr / (1 - self.beta2)

    @property
    def flow(self):
        inner, outer = self.split_decay()
        return adam_flow(*self.taus, self.eps, eps_mode=self.eps_mode, eps_root=self.eps_root, decay=inner, drift=outer)

    @property
    def scheme(self):
        return semi_implicit_euler

    def held(self, slot, preconditioner):
        keep = 1.0 if slot.role == "supremum" else self.beta2
        return square_behind(preconditioner, self.eps, self.eps_mode == "inside", keep, self.eps_root)

    def stability_limit(self):
        return self.limit(2 * (1 + self.beta1) / (1 - self.beta1), "2 (1 + β1)/(1 - β1)")

    @property
    def order_condition(self):
        """In between, the errors of the two starts mix."""
        return "from the cold start h far from (eps/g)^2 tau2" if self.eps_mode == "hat" and self.eps else ""

    def modified_flow(self, order):
        under, beside = eps_places(self)
        if under and beside:
            raise ValueError("eps_root must be 0 or eps must be for the modified flow, "
                             f"got eps_root={self.eps_root!r} and eps={self.eps!r}")
        inner, outer = self.split_decay()
        first, second = self._mean_age(), mean_age(self.beta2)
        return modified_root_flow(self.lr, first / (1 + first), second / (1 + second), under or beside, order=order,
                                  eps_mode="inside" if under else "outside", decay=inner, drift=outer, name=self.title)

    def _mean_age(self):
        """Mean age in steps of the gradients in the numerator."""
        return mean_age(self.beta1)
