"""Sign gradient descent: each coordinate moves by lr against the sign of its derivative.

Update       x <- x - lr sign(g), sign(0) = 0
Flow         the differential inclusion x' in -Sign(g) (``flows.sign_inclusion``, which says what order means
             there): between sign changes the iterates are on it exactly, at a change they chatter with
             amplitude lr where the solution slides. ``regularised(eps)`` is its smooth neighbour
             x' = -g/sqrt(g^2 + eps^2)
Scheme       explicit Euler, h = lr
Order        1
Stability    it never settles: near a minimum it ends in a cycle of amplitude up to lr
Scaling      lr ~ h
Invariance   the iterates do not change when f is replaced by an increasing function of f
In one dimension it is error-controlled Euler (errorcontrolledeuler.py) with time and position
exchanged: there x moves by lr and the time of gradient flow by lr/|g|.

It is RMSprop without memory (decay = 0, eps = 0), and Adam's first step.

Sources: [A000], eq. 11; Bernstein et al., signSGD, arXiv:1802.04434.
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import sign_flow, sign_inclusion
from ..schemes import explicit_euler
from .base import Optimizer, positive


@kernel
def sign_gd(k, p, x, g, s):
    """p = (lr); no slots."""
    lr = p[0]
    real = precision(x, g, s)
    lr = real(lr)
    for i in range(x.size):
        x[i] = x[i] - lr * np.sign(g[i])
    return p[0]


@dataclass(frozen=True)
class SignGD(Optimizer):
    """x <- x - lr sign(g).

    Parameters
    ----------
    lr : float > 0
        Length of the move of each coordinate, in the unit of x; the step in flow time.
    """

    title = "sign descent"
    look = ("#332288", "D")

    lr: float = positive(scales="h")

    kernel = staticmethod(sign_gd)

    @property
    def flow(self):
        return sign_inclusion()

    @property
    def scheme(self):
        return explicit_euler

    @property
    def projection_is_sound(self):
        return True

    @staticmethod
    def regularised(eps):
        """The flow x' = -g/sqrt(g^2 + eps^2), ``eps`` > 0 in the unit of g."""
        return sign_flow(eps)
