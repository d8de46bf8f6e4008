"""Lion: the sign of a momentum that sees the newest gradient more than it remembers it.

Update     c = beta1 m + (1 - beta1) g;  m <- beta2 m + (1 - beta2) g
           x <- x - lr (sign(c) + weight_decay x)
Flow       at fixed betas the differential inclusion x' in -Sign(g) - weight_decay x (``flows.sign_inclusion``):
           the memory spans 1/(1 - beta2) steps, a time of order h that vanishes with it. Where the memory lasts,
           beta_i = 1 - h/tau_i, the limit is another one, x' in -Sign(m) - weight_decay x, tau2 m' = g - m
           (``flows.sign_of_mean``); c differs from m by a term of size h only
Reading    "short_memory" or "lasting_memory": which of the two limits, that is what :meth:`refined` does to the betas.
           The steps are the same
Scheme     none: that of the inclusion, explicit Euler, has no memory; h = lr. With a lasting memory and
           beta1 = beta2 (signum) semi-implicit Euler, else that but for c, the mean a part of a step ahead
Order      1, with a short memory from steps on in which it is short: 1/(1 - beta2) of them, about 100 by default
Stability  it never settles: each coordinate moves by lr in every step
Scaling    lr ~ h, weight_decay (1/flow time) fixed, betas fixed, or beta_i = 1 - h/tau_i
Limit      where it converges (with sum lr infinite), the limit is a KKT point of min f subject to
           |x|_inf <= 1/weight_decay

The decay is decoupled; coupled decay (weight_decay x added to g) would be another objective, no limit on |x|.

Sources: Chen et al., arXiv:2302.06675, algorithm 2; L. Chen et al., arXiv:2310.05898 (the limit).
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import sign_inclusion, sign_of_mean
from ..method import Slot
from ..schemes import semi_implicit_euler
from .base import Optimizer, fraction, nonnegative, positive, variant


@kernel
def lion(k, p, x, g, s):
    """p = (lr, beta1, beta2, weight_decay); s = (m)."""
    lr, beta1, new = p[0], p[1], 1.0 - p[2]
    other = 1.0 - beta1
    keep = 1.0 - lr * p[3]
    m = s[0]
    real = precision(x, g, s)
    lr, keep, beta1, other, new, old = real(lr), real(keep), real(beta1), real(other), real(new), real(p[2])
    for i in range(x.size):
        gi, mi = g[i], m[i]
        x[i] = keep * x[i] - lr * np.sign(beta1 * mi + other * gi)
        m[i] = old * mi + new * gi
    return p[0]


@dataclass(frozen=True)
class Lion(Optimizer):
    """Evolved sign momentum.

    Parameters
    ----------
    lr : float > 0, default 1e-4
        Length of the move of each coordinate, in the unit of x.
    beta1, beta2 : float in [0, 1), defaults 0.9 and 0.99
    weight_decay : float >= 0, default 0
        Decoupled, in 1/flow time.
    reading : {"short_memory", "lasting_memory"}
        Whether the betas stay when the step is refined, or the times that they span.
    """

    title = "Lion"
    momentum_name = "beta1"
    look = ("#882255", ">")

    lr: float = positive(default=1e-4, scales="h")
    beta1: float = fraction(default=0.9)
    beta2: float = fraction(default=0.99)
    weight_decay: float = nonnegative(default=0.0)
    reading: str = variant("short_memory", "lasting_memory")

    kernel = staticmethod(lion)

    @property
    def slots(self):
        return (Slot("mean", "average", "g"),)

    @property
    def flow(self):
        if self._lasts:
            return sign_of_mean(self.lr / (1 - self.beta2), self.weight_decay)
        return sign_inclusion(self.weight_decay)

    @property
    def scheme(self):
        return semi_implicit_euler if self._lasts and self.beta1 == self.beta2 else None

    @property
    def _lasts(self):
        return self.reading == "lasting_memory"

    @property
    def order_condition(self):
        """The flow turns ever faster about a minimiser: flows/sign_of_mean.py."""
        return "while the mean keeps its signs for many steps" if self._lasts else ""

    def scaling(self):
        return super().scaling() | dict.fromkeys(("beta1", "beta2") if self._lasts else (), "1 - c h")

    @property
    def forgetting(self):
        return self.beta2

    def consistent_start(self, x, g):
        return np.array([g])
