"""AdaMax: Adam with a fading maximum of |g| in place of the root mean square.

Update     m <- beta1 m + (1 - beta1) g;  u <- max(beta2 u, |g| + eps);  q1 = 1 - beta1^k
           x <- x - lr (m/q1)/u
Flow       x' = -(m/q1)/u, u(t) = sup over s <= t of (|g(s)| + eps) e^{-(t-s)/tau2}: u relaxes and is
           never below |g| + eps (a sweeping process); tau_i = lr/(1 - beta_i)
Scheme     semi-implicit Euler with catching-up, h = lr; no correction of u is needed, since it
           takes its right size in the first step
Order      1
Scaling    lr ~ h, beta_i = 1 - h/tau_i, eps fixed
Stability  frozen preconditioner P = u: lr lambda_max(H/P) < 2 (1 + beta1)/(1 - beta1)
Bound      for beta1 < beta2 |dx| <= lr (1 - beta1)/(1 - beta1/beta2), 1.0091 lr at the defaults, since
           |g| k steps ago was at most u/beta2^k: approached where |g| falls like beta2^k (the paper's
           section 7.1 has lr). The first step is -lr sign(g)
Zero       with eps = 0 a coordinate whose u is 0 does not move (0/0 counts as 0; torch and optax give NaN)
Variants   eps inside the maximum (torch, optax) or outside, u + eps (the paper has none)

Weight decay, coupled: g + weight_decay x for g, as torch; decoupled: x <- x - lr weight_decay x besides the
step, as keras; both are rates of the flow and stay when lr is refined.

Sources: Kingma, Ba, arXiv:1412.6980, algorithm 2; [A003].
"""

import math
from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import adamax_flow
from ..method import Slot
from ..schemes import catching_up_euler
from .base import Optimizer, fraction, nonnegative, positive, square_behind, variant


@kernel
def adamax(k, p, x, g, s):
    """p = (lr, beta1, beta2, eps, weight decay, 1 for eps inside, 1 for decoupled); s = (m, u, q1), q1 in element 0."""
    lr, new, beta2, inside = p[0], 1.0 - p[1], p[2], p[3] * p[5]
    outside, outer = p[3] - inside, p[4] * p[6]
    inner, keep = p[4] - outer, 1.0 - p[0] * outer
    q = s[2, 0] + new * (1.0 - s[2, 0])
    s[2, 0] = q
    step = lr / q
    m, u = s[0], s[1]
    real = precision(x, g, s)
    new, beta2, step, inside, outside = real(new), real(beta2), real(step), real(inside), real(outside)
    inner, keep = real(inner), real(keep)
    old, zero, most = real(p[1]), real(0.0), real(np.inf)
    for i in range(x.size):
        mi, xi = m[i], x[i]
        gi = g[i] + inner * xi
        mean, safe = mi + new * (gi - mi), old * mi + new * gi
        mi = mean if abs(mean) < most else safe  # g - m may overflow; the first form has torch's bits
        ui = max(abs(gi) + inside, beta2 * u[i])
        below = ui + outside
        move = step * mi / below
        xi = keep * xi - (move if below != zero else zero)
        m[i] = mi
        u[i] = ui
        x[i] = xi
    return p[0]


@dataclass(frozen=True)
class AdaMax(Optimizer):
    """Adam in the maximum norm.

    Parameters
    ----------
    lr : float > 0, default 2e-3
        Step in flow time.
    beta1, beta2 : float in [0, 1), defaults 0.9 and 0.999
    eps : float >= 0, default 1e-8
        In the unit of g.
    eps_mode : {"inside", "outside"}
        Inside the maximum or beside it.
    weight_decay : float >= 0, default 0
    weight_decay_mode : {"coupled", "decoupled"}
    """

    title = "AdaMax"
    momentum_name = "beta1"
    look = ("#8C564B", "X")

    lr: float = positive(default=2e-3, scales="h")
    beta1: float = fraction(default=0.9, scales="1 - c h")
    beta2: float = fraction(default=0.999, scales="1 - c h")
    eps: float = nonnegative(default=1e-8)
    eps_mode: str = variant("inside", "outside")
    weight_decay: float = nonnegative(default=0.0)
    weight_decay_mode: str = variant("coupled", "decoupled")

    kernel = staticmethod(adamax)

    @property
    def slots(self):
        return (Slot("mean", "average", "g"), Slot("maximum", "supremum", "g"), Slot("mean weight", "weight"))

    @property
    def p(self):
        """(lr, beta1, beta2, eps, weight_decay, 1 for eps inside the maximum, 1 for decoupled decay)."""
        return self.numbers_and(self.eps_mode == "inside", self._decoupled)

    @property
    def _bound(self):
        return self.eps if self.eps_mode == "inside" else 0.0

    @property
    def flow(self):
        tau1, tau2 = (self.lr / (1 - beta) for beta in (self.beta1, self.beta2))
        inner, outer = self.split_decay()
        return adamax_flow(tau1, tau2, self.eps, eps_mode=self.eps_mode, decay=inner, drift=outer)

    @property
    def scheme(self):
        return catching_up_euler(2, offset=self._bound, decay=self.split_decay()[0])

    def held(self, slot, preconditioner):
        """max(beta2 u, |g| + eps) does not feel an eps below u."""
        return math.sqrt(square_behind(preconditioner, self.eps - self._bound, False, self.beta2**2))

    def stability_limit(self):
        return self.limit(2 * (1 + self.beta1) / (1 - self.beta1), "2 (1 + β1)/(1 - β1)")

    def flow_start(self, x, g, start="cold"):
        """u jumps to |g| + eps at t = 0."""
        z = super().flow_start(x, g, start)
        z[2] = np.maximum(z[2], np.abs(g + self.split_decay()[0] * x) + self._bound)
        return z
