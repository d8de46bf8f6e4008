"""Lion: the sign of a momentum that sees the newest gradient more than it remembers it.

Update     c = beta1 m + (1 - beta1) g;  m <- beta2 m + (1 - beta2) g
           x <- x - lr (sign(c) + weight_decay x)
Flow       at fixed betas the differential inclusion x' in -Sign(g) - weight_decay x (``flows.sign_inclusion``):
           the memory spans 1/(1 - beta2) steps, a time of order h that vanishes with it. With
           beta_i = 1 - h/tau_i the limit is another one, x' in -Sign(m) - weight_decay x, tau2 m' = g - m; c
           differs from m by a term of size h only
Scheme     none: that of the inclusion, explicit Euler, has no memory; h = lr
Order      1, from steps on in which the memory is short: 1/(1 - beta2) of them, about 100 by default
Stability  it never settles: each coordinate moves by lr in every step
Scaling    lr ~ h, betas and weight_decay (1/flow time) fixed
Limit      where it converges (with sum lr infinite), the limit is a KKT point of min f subject to
           |x|_inf <= 1/weight_decay

The decay is decoupled; coupled decay (weight_decay x added to g) would be another objective, no limit on |x|.

Sources: Chen et al., arXiv:2302.06675, algorithm 2; L. Chen et al., arXiv:2310.05898 (the limit).
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import sign_inclusion
from ..method import Slot
from .base import Optimizer, fraction, nonnegative, positive


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
    """

    title = "Lion"
    momentum_name = "beta1"
    look = ("#882255", ">")

    lr: float = positive(default=1e-4, scales="h")
    beta1: float = fraction(default=0.9)
    beta2: float = fraction(default=0.99)
    weight_decay: float = nonnegative(default=0.0)

    kernel = staticmethod(lion)

    @property
    def slots(self):
        return (Slot("mean", "average", "g"),)

    @property
    def flow(self):
        return sign_inclusion(self.weight_decay)

    @property
    def forgetting(self):
        return self.beta2

    def consistent_start(self, x, g):
        return np.array([g])
