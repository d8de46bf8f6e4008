"""AMSGrad: Adam that divides by the largest running mean square so far.

Update     m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2;  q_i = 1 - beta_i^k
  form="torch"   w <- max(w, v);      x <- x - lr (m/q1)/(sqrt(w/q2) + eps)
  form="optax"   w <- max(w, v/q2);   x <- x - lr (m/q1)/(sqrt(w) + eps)
  form="paper"   w <- max(w, v);      x <- x - lr m/(sqrt(w) + eps)
  form="mean"    w <- max(w, v);      x <- x - lr (m/q1)/(sqrt(w) + eps)
           Correcting before or after the maximum is not the same: after it, w/q2 falls while q2 grows
Flow       Adam's with w(t), the maximum of v (of v/q2) so far, in place of v: a sweeping process
Scheme     semi-implicit Euler with catching-up, h = lr
Order      1. The paper's form starts at rest (m is of the size of t, sqrt(w) of that of sqrt(t), so
           x' ~ -sqrt(t)): order 1 too, approached from below; with the mean alone corrected x' ~ -1/sqrt(t), and
           the order is **one half**. The start m = g, v = w = g^2 is smooth for both
Scaling    lr ~ h, beta_i = 1 - h/tau_i, eps and weight_decay fixed
Stability  frozen preconditioner P = sqrt(w) + eps: lr lambda_max(H/P) < 2 (1 + beta1)/(1 - beta1); w
           never falls, so a run that met a large gradient stays stable and slow
Decay      as Adam; so is eps = 0

Sources: Reddi, Kale, Kumar, arXiv:1904.09237, algorithm 2 (form="paper"; its eps is 0); torch; optax.
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import amsgrad_flow
from ..method import Slot
from ..schemes import catching_up_euler
from .adam import Adam
from .base import variant


@kernel
def amsgrad(k, p, x, g, s):
    """p as ``adam``, then 1 each for: mean corrected, v corrected before the maximum, corrected after
    it; s = (m, v, w, q1, q2), q in element 0."""
    lr, inside, outer = p[0], p[3] * p[6], p[4] * p[7]
    outside, inner, keep = p[3] - inside, p[4] - outer, 1.0 - p[0] * outer
    inside += p[5]
    new1, new2 = 1.0 - p[1], 1.0 - p[2]
    q1 = s[3, 0] + new1 * (1.0 - s[3, 0])
    q2 = s[4, 0] + new2 * (1.0 - s[4, 0])
    s[3, 0], s[4, 0] = q1, q2
    step = lr / q1 if p[9] > 0.0 else lr
    before = 1.0 / q2 if p[10] > 0.0 else 1.0
    after = 1.0
    if p[11] > 0.0:
        after, inside = 1.0 / np.sqrt(q2), inside * q2
        outside *= after if p[8] > 0.0 else 1.0
    m, v, w = s[0], s[1], s[2]
    real = precision(x, g, s)
    inner, new1, new2, keep, step, before = real(inner), real(new1), real(new2), real(keep), real(step), real(before)
    after, inside, outside, zero = real(after), real(inside), real(outside), real(0.0)
    old1, old2 = real(p[1]), real(p[2])
    for i in range(x.size):
        mi, vi, xi = m[i], v[i], x[i]
        gi = g[i] + inner * xi
        mi = old1 * mi + new1 * gi
        vi = old2 * vi + new2 * gi * gi
        wi = max(vi * before, w[i])
        below = np.sqrt(wi + inside) * after + outside
        move = step * mi / below
        xi = keep * xi - (move if below != zero else zero)
        m[i] = mi
        v[i] = vi
        w[i] = wi
        x[i] = xi
    return p[0]


@dataclass(frozen=True)
class AMSGrad(Adam):
    """Adam with the maximum of past mean squares.

    Parameters
    ----------
    lr, beta1, beta2, eps, eps_mode, weight_decay, weight_decay_mode, eps_root
        As :class:`Adam`.
    form : {"torch", "optax", "paper", "mean"}
        Where the bias correction stands.

    Raises
    ------
    ValueError
        Also for eps_mode="hat" with another form than "torch", where the root is not corrected afterwards.
    """

    title = "AMSGrad"
    modified_orders = ()
    look = ("#C2533B", "h")

    form: str = variant("torch", "optax", "paper", "mean")

    kernel = staticmethod(amsgrad)

    def __post_init__(self):
        super().__post_init__()
        if self.eps_mode == "hat" and self.form != "torch":
            raise ValueError(f"eps_mode must be 'outside' or 'inside' with form={self.form!r}, got 'hat'")

    def declared_order(self, start="cold"):
        return 0.5 if start == "cold" and self.form == "mean" else super().declared_order(start)

    @property
    def order_condition(self):
        """Below it eps makes the cold start of form="mean" smooth, and its order 1."""
        if self.form == "mean":
            return "from the cold start h above " + ("eps" if self.eps_mode == "inside" else "eps^2") + " tau2/g^2"
        return super().order_condition

    @property
    def slots(self):
        return (Slot("mean", "average", "g"), Slot("square", "square", "g^2"),
                Slot("maximum", "supremum", "g^2"), Slot("mean weight", "weight"), Slot("square weight", "weight"))

    @property
    def p(self):
        """Adam's, then 1 each for: mean corrected, v corrected before the maximum, after it."""
        return np.append(super().p, [self.form != "paper", self.form == "optax", self.form == "torch"])

    @property
    def flow(self):
        inner, outer = self.split_decay()
        return amsgrad_flow(*self.taus, self.eps, eps_mode=self.eps_mode, eps_root=self.eps_root, decay=inner,
                            drift=outer, form=self.form)

    @property
    def scheme(self):
        return catching_up_euler(3, 2, divisor=5 if self.form == "optax" else 0)

    def consistent_start(self, x, g):
        s = self.cold_start(x)
        if self.form in ("paper", "mean"):
            g = g + self.split_decay()[0] * x
            s[0], s[1], s[2], s[3, 0], s[4, 0] = g, g * g, g * g, 1.0, 1.0
        return s

    def flow_start(self, x, g, start="cold"):
        """The corrected maximum jumps to g^2 at t = 0, where v/q2 has its limit."""
        z = super().flow_start(x, g, start)
        if self.form == "optax":
            z[3] = np.maximum(z[3], (g + self.split_decay()[0] * x) ** 2)
        return z
