"""Normalised gradient descent: explicit Euler on gradient flow in arc length.

Update       x <- x - lr g/|g|; 0 where g = 0
Flow         x' = -g/|g|: the orbit of gradient flow at unit speed, time is length
Scheme       explicit Euler, h = lr
Order        1 up to a distance of the minimiser; the field has no limit at the minimiser itself,
             and the flow reaches it in finite time
Stability    it never settles: the last iterates step over the minimiser, each step lr long
Scaling      lr ~ h
Reduction    |g| is the norm over all arrays that one ``update`` call gives to a group

The iterates are those of error-controlled Euler with tol = lr, which reads them as gradient flow
with steps of varying time; here they are read as another flow with steps of equal time.

Sources: article 000, eq. 9-10; Cortes, Automatica 42 (2006).
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import normalized_flow
from ..schemes import explicit_euler
from ..sums import sum_of_squares
from .base import Optimizer, positive

_SAFE = 1e-280  # a sum of squares above this has lost nothing to underflow


@kernel
def normalized_gd(k, p, x, g, s):
    """p = (lr); no slots. The norm is scaled, so that it neither overflows nor underflows."""
    precision(x, g, s)  # refuses integers
    lr, square = p[0], sum_of_squares(g)
    if _SAFE < square < 1.0 / _SAFE:
        step = lr / np.sqrt(square)  # float64 for float32 arrays too: it may exceed them
        for i in range(x.size):
            x[i] = x[i] - step * g[i]
        return lr
    largest = 0.0
    for i in range(g.size):
        size = abs(float(g[i]))
        if not size <= largest:  # a NaN gets through and shows
            largest = size
    if largest == 0.0:
        return lr
    square = 0.0
    for i in range(g.size):
        ratio = g[i] / largest
        square += ratio * ratio
    length = np.sqrt(square)
    for i in range(x.size):
        x[i] = x[i] - lr * ((g[i] / largest) / length)
    return lr


@dataclass(frozen=True)
class NormalizedGD(Optimizer):
    """x <- x - lr g/|g|.

    Parameters
    ----------
    lr : float > 0
        Step length |dx|, in the unit of x; the step in flow time.
    """

    title = "normalised descent"

    lr: float = positive(scales="h")

    kernel = staticmethod(normalized_gd)

    @property
    def reduces(self):
        return True

    def flow(self):
        return normalized_flow()

    def scheme(self):
        return explicit_euler
