"""NovoGrad: the running average of gradients that are normalised array by array.

Update     v <- beta2 v + (1 - beta2) |g|^2, one number an array;  u = g/(sqrt(v) + eps) + weight_decay x
           m <- beta1 m + (1 - beta1) u;  x <- x - lr m;  in the first step v = |g|^2 and m = u
Flow       x' = -m, tau1 m' = u - m, tau2 v' = |g|^2 - v, from m = u and v = |g|^2 at the start: a running average
           of normalised gradients, not a normalised average
Scheme     none: m is pushed with the new v, which is the old one up to O(h)
Order      1: the first step is the consistent start
Scaling    lr ~ h, beta_i = 1 - h/tau_i, eps and weight_decay fixed
Stability  with v frozen, sqrt(v) + eps = P: lr lambda/P < 2 (1 + beta1)/(1 - beta1) without decay
Arrays     each array of ``update`` has its own v; the x of ``record`` is one array
Decay      part of u, outside the normalisation: neither coupled nor decoupled, as the average delays it
Zero       where sqrt(v) + eps is 0, g is 0, and u is the decay alone
Variants   the paper's m <- beta1 m + u (without 1 - beta1) has m/(1 - beta1) for m, but for the first step, which
           is then short: as this with lr/(1 - beta1) from m = 0

Source: Ginsburg et al., arXiv:1905.11286, algorithm 1; the flow: the package's own.
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import Flow
from ..method import Slot
from ..sums import sum_of_squares
from .base import Optimizer, fraction, nonnegative, positive, square_behind


@kernel
def novograd(k, p, x, g, s):
    """p = (lr, beta1, beta2, eps, weight decay); s = (m, v), v in element 0."""
    square = sum_of_squares(g)
    v = square if k == 0 else p[2] * s[1, 0] + (1.0 - p[2]) * square
    s[1, 0] = v
    below = np.sqrt(v) + p[3]
    m = s[0]
    real = precision(x, g, s)
    lr, decay, below, zero = real(p[0]), real(p[4]), real(below), real(0.0)
    old, new = real(0.0 if k == 0 else p[1]), real(1.0 if k == 0 else 1.0 - p[1])
    for i in range(x.size):
        xi = x[i]
        u = (g[i] / below if below != zero else zero) + decay * xi
        mi = old * m[i] + new * u
        m[i] = mi
        x[i] = xi - lr * mi
    return p[0]


@kernel
def field(fg, hv, data, t, p, z, dz):
    """z = (x, m, v), v in element 0; p = (tau1, tau2, eps, decay)."""
    x, m, dx, dm = z[0], z[1], dz[0], dz[1]
    fg(x, dm, data)
    dz[2, :] = 0.0
    dz[2, 0] = (sum_of_squares(dm) - z[2, 0]) / p[1]
    below = np.sqrt(max(z[2, 0], 0.0)) + p[2]
    for i in range(x.size):
        u = (dm[i] / below if below != 0.0 else 0.0) + p[3] * x[i]
        dm[i] = (u - m[i]) / p[0]
        dx[i] = -m[i]


@dataclass(frozen=True)
class NovoGrad(Optimizer):
    """Layerwise normalised gradients, averaged.

    Parameters
    ----------
    lr : float > 0, default 1e-3
    beta1, beta2 : float in [0, 1), defaults 0.95 and 0.98
    eps : float >= 0, default 1e-8
        In the unit of g.
    weight_decay : float >= 0, default 0
    """

    title = "NovoGrad"
    momentum_name = "beta1"
    look = ("#999933", ">")

    lr: float = positive(default=1e-3, scales="h")
    beta1: float = fraction(default=0.95, scales="1 - c h")
    beta2: float = fraction(default=0.98, scales="1 - c h")
    eps: float = nonnegative(default=1e-8)
    weight_decay: float = nonnegative(default=0.0)

    kernel = staticmethod(novograd)

    @property
    def slots(self):
        return Slot("mean", "memory"), Slot("square", "square", "g^2")

    @property
    def flow(self):
        constants = {"tau1": self.lr / (1 - self.beta1), "tau2": self.lr / (1 - self.beta2), "eps": self.eps,
                     "decay": self.weight_decay}
        u = "g/(√v + eps)" + (" + decay x" if self.weight_decay else "")
        return Flow("NovoGrad", f"x' = -m, tau1 m' = {u} - m, tau2 v' = |g|² - v", field, constants,
                    ("mean", "square"))

    def consistent_start(self, x, g):
        s = self.cold_start(x)
        square = float(np.dot(g, g))
        below = np.sqrt(square) + self.eps
        s[0] = (g / below if below else 0.0 * g) + self.weight_decay * x
        s[1, 0] = square
        return s

    def flow_start(self, x, g, start="cold"):
        """The same from either start: the first step fills the memory."""
        return self.to_flow(x, self.consistent_start(np.asarray(x, float), np.asarray(g, float)))

    def held(self, slot, preconditioner):
        return square_behind(preconditioner, self.eps, False, self.beta2)
