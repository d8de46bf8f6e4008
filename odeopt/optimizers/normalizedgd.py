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

Sources: [A000], eq. 9-10; Cortes, Automatica 42 (2006).
"""

from dataclasses import dataclass

import numpy as np

from ..abi import cold_path, inlined, kernel, precision
from ..flows import normalized_flow
from ..schemes import explicit_euler
from ..sums import SAFE, scaled_norm, sum_of_squares
from .base import Optimizer, positive


@inlined
@kernel
def move(x, g, distance):
    """x <- x - distance g/|g|, nothing where g = 0; returns distance/|g|, 0 there."""
    square = sum_of_squares(g)
    if SAFE < square < 1.0 / SAFE:
        step = distance / np.sqrt(square)  # float64 for float32 arrays too: it may exceed them
        for i in range(x.size):
            x[i] = x[i] - step * g[i]
        return step
    cold_path()
    scale, length = scaled_norm(g)
    if length == 0.0:
        return 0.0
    for i in range(x.size):
        x[i] = x[i] - distance * ((g[i] / scale) / length)
    return distance / scale / length


@kernel
def normalized_gd(k, p, x, g, s):
    """p = (lr); no slots."""
    precision(x, g, s)  # refuses integers
    move(x, g, p[0])
    return p[0]


@dataclass(frozen=True)
class NormalizedGD(Optimizer):
    """x <- x - lr g/|g|.

    Parameters
    ----------
    lr : float > 0
        Step length |dx|, in the unit of x; the step in flow time.
    """

    title = "normalised descent"
    look = ("#4A5FC1", "p")

    lr: float = positive(scales="h")

    kernel = staticmethod(normalized_gd)

    @property
    def reduces(self):
        return True

    @property
    def flow(self):
        return normalized_flow()

    @property
    def scheme(self):
        return explicit_euler

    @property
    def projection_is_sound(self):
        return True
