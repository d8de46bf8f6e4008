"""ADOPT: each gradient divided by the mean square of those before it, then averaged.

Update     first step: v <- g^2, x stays. Then
           m <- beta1 m + (1 - beta1) g/max(sqrt(v), eps);  x <- x - lr m;  v <- beta2 v + (1 - beta2) g^2
Flow       x' = -m, tau1 m' = g/max(sqrt(v), eps) - m, tau2 v' = g^2 - v, v(0) = g(0)^2,
           with tau_i = lr/(1 - beta_i)
Scheme     none from the start: the first step looks and stays, though time passes. From then on semi-implicit Euler
           (m from the old v, v, then x), h = lr, one step late
Order      1, from m = 0 and from m = g/max(|g|, eps)
Scaling    lr ~ h, beta_i = 1 - h/tau_i, eps fixed
Stability  frozen preconditioner P = max(sqrt(v), eps): lr lambda_max(H/P) < 2 (1 + beta1)/(1 - beta1)
Decay      coupled or decoupled, as adam.py, but not in the first step
Zero       with eps = 0 a coordinate whose v is 0 divides g by |g|
Clip       of g/max(sqrt(v), eps) at k^(1/4) in step k, k from 0: the bound grows without end as h -> 0 at any fixed
           time, so that the flow is the same
Variants   pytorch_optimizer clips at (k + 1)^(1/4), one step ahead of the paper and optax

Sources: Taniguchi et al., arXiv:2411.02853, algorithm 2; the flow: the package's own.
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import Flow
from ..method import Slot
from .base import Optimizer, fraction, nonnegative, positive, switch, variant


@kernel
def adopt(k, p, x, g, s):
    """p = (lr, beta1, beta2, eps, weight decay, 1 for clip, 1 for decoupled); s = (m, v, 1 in element 0 after the
    first step)."""
    outer = p[4] * p[6]
    inner, keep, new1, new2 = p[4] - outer, 1.0 - p[0] * outer, 1.0 - p[1], 1.0 - p[2]
    m, v = s[0], s[1]
    real = precision(x, g, s)
    inner, keep, new1, new2, lr = real(inner), real(keep), real(new1), real(new2), real(p[0])
    old1, old2, eps, zero = real(p[1]), real(p[2]), real(p[3]), real(0.0)
    if s[2, 0] == 0.0:
        s[2, 0] = 1.0
        for i in range(x.size):
            gi = g[i] + inner * x[i]
            v[i] = gi * gi
        return p[0]
    most = real(max(k, 1.0) ** 0.25 if p[5] > 0.0 else np.inf)
    for i in range(x.size):
        mi, vi, xi = m[i], v[i], x[i]
        gi = g[i] + inner * xi
        root = np.sqrt(vi)
        below = eps if root < eps else root
        u = gi / below
        u = u if below != zero else np.sign(gi)
        u = most if u > most else u
        u = -most if u < -most else u
        mi = old1 * mi + new1 * u
        xi = keep * xi - lr * mi
        m[i] = mi
        v[i] = old2 * vi + new2 * gi * gi
        x[i] = xi
    return p[0]


@kernel
def field(fg, hv, data, t, p, z, dz):
    """z = (x, m, v), p = (tau1, tau2, eps, decay, drift)."""
    x, m, v = z[0], z[1], z[2]
    dx, dm, dv = dz[0], dz[1], dz[2]
    fg(x, dx, data)
    for i in range(x.size):
        gi = dx[i] + p[3] * x[i]
        below = max(np.sqrt(max(v[i], 0.0)), p[2])
        dm[i] = ((gi / below if below != 0.0 else np.sign(gi)) - m[i]) / p[0]
        dv[i] = (gi * gi - v[i]) / p[1]
        dx[i] = -m[i] - p[4] * x[i]


@dataclass(frozen=True)
class ADOPT(Optimizer):
    """Adam with the order of normalisation and averaging exchanged.

    Parameters
    ----------
    lr : float > 0, default 1e-3
        Step in flow time.
    beta1, beta2 : float in [0, 1), defaults 0.9 and 0.9999
    eps : float >= 0, default 1e-6
        Least root that is divided by, in the unit of g.
    weight_decay : float >= 0, default 0
    weight_decay_mode : {"coupled", "decoupled"}
    clip : bool, default True
        Bound the normalised gradient of step k by k^(1/4).
    """

    title = "ADOPT"
    momentum_name = "beta1"
    look = ("#D6604D", "8")

    lr: float = positive(default=1e-3, scales="h")
    beta1: float = fraction(default=0.9, scales="1 - c h")
    beta2: float = fraction(default=0.9999, scales="1 - c h")
    eps: float = nonnegative(default=1e-6)
    weight_decay: float = nonnegative(default=0.0)
    weight_decay_mode: str = variant("coupled", "decoupled")
    clip: bool = switch(True)

    kernel = staticmethod(adopt)

    @property
    def slots(self):
        return Slot("mean", "average", "g/√v"), Slot("square", "square", "g^2"), Slot("weight", "weight")

    @property
    def p(self):
        """(lr, beta1, beta2, eps, weight_decay, 1 for clip, 1 for decoupled)."""
        return self.numbers_and(self.clip, self._decoupled)

    @property
    def flow(self):
        inner, outer = self.split_decay()
        equation = f"x' = -m{' - drift x' if outer else ''}, tau1 m' = g/max(√v, eps) - m, tau2 v' = g² - v, v(0) = g²"
        constants = {"tau1": self.lr / (1 - self.beta1), "tau2": self.lr / (1 - self.beta2), "eps": self.eps,
                     "decay": inner, "drift": outer}
        return Flow("ADOPT", equation + ", g + decay x for g" * bool(inner), field, constants, ("mean", "square"))

    def _gradient(self, x, g):
        return g + self.split_decay()[0] * x

    def flow_start(self, x, g, start="cold"):
        """The flow starts where the first step leaves the memory."""
        z = super().flow_start(x, g, start)
        z[2] = self._gradient(x, g) ** 2
        return z

    def consistent_start(self, x, g):
        g = self._gradient(x, g)
        below = np.maximum(np.abs(g), self.eps)
        return np.vstack([np.divide(g, below, out=np.zeros_like(g), where=below > 0), g * g, np.ones_like(g)])

    def held(self, slot, preconditioner):
        """v is divided by before it moves."""
        if preconditioner < self.eps:
            raise ValueError(f"preconditioner must be at least eps, got {preconditioner:g} with eps={self.eps:g}")
        return preconditioner**2

    def stability_limit(self):
        return self.limit(2 * (1 + self.beta1) / (1 - self.beta1), "2 (1 + β1)/(1 - β1)")
