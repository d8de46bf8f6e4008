"""Normalised gradient flow: x' = -g/|g|, the orbit of gradient flow at unit speed.

Time is arc length: the flow reaches a minimiser after a finite time and its field is not defined
there (g/|g| has no limit); at g = 0 exactly ``rhs`` returns 0. Gradient flow at the time s and this
flow at the time t(s), the integral of |g| ds, are at the same point.

Source: [A000], eq. 9-10 (the controlled step length is the length of this flow's step);
Cortes, Finite-time convergent gradient flows, Automatica 42 (2006).
"""

import numpy as np

from ..abi import kernel
from ..spec import factory
from .base import Flow


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x), no constants."""
    dx = dz[0]
    fg(z[0], dx, data)
    largest = 0.0
    for i in range(dx.size):
        largest = max(largest, abs(dx[i]))
    if largest > 0.0:
        square = 0.0
        for i in range(dx.size):
            ratio = dx[i] / largest
            square += ratio * ratio
        length = np.sqrt(square)
        for i in range(dx.size):
            dx[i] = -(dx[i] / largest) / length


@factory
def normalized_flow():
    """x' = -g/|g|; no constants, time in the unit of length of x."""
    return Flow("normalised gradient flow", "x' = -g/|g|", rhs)
