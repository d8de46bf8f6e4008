"""AdaGrad-Norm: Adagrad with one step size for all coordinates, lr over the root of the sum of all |g|^2.

Update     b <- sqrt(b^2 + |g|^2);  x <- x - lr g/b
Flow       x' = -g/sqrt(V), V' = |g|^2, with h = lr^2, V = h b^2: as adagrad.py, a limit exists only with lr ~ sqrt(h).
           It moves along the orbit of gradient flow, and 2 sqrt(V) + f is constant on it: x' = -g/(sqrt(V(0)) +
           (f(x(0)) - f)/2), so that a bounded fall of f bounds V
Scheme     semi-implicit Euler (V first), h = lr^2
Order      1 from an initial norm > 0, **one half** from 0: V ~ |g|^2 t, the flow starts like x' ~ -(g/|g|)/sqrt(t), and
           the first step is lr = sqrt(h) long
Scaling    lr ~ sqrt(h), initial_norm ~ 1/sqrt(h)
Stability  frozen b: lr lambda/b < 2; b only grows, so it becomes stable at last whatever lr is
Reduction  |g| is the norm over all arrays that one ``update`` call gives to a group
One dimension: Adagrad with eps = 0
Zero       where b is 0, g is 0, and x stays

Sources: Ward, Wu, Bottou, arXiv:1806.01811, algorithm 1 (no package has it: the golden case is its formula); the flow
and what it conserves: the package's own.
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import Flow
from ..method import Slot
from ..schemes import semi_implicit_euler
from ..sums import scaled_norm, sum_of_squares
from .base import Optimizer, nonnegative, number


@kernel
def adagrad_norm(k, p, x, g, s):
    """p = (lr, initial norm); s = (b), in element 0."""
    precision(x, g, s)  # refuses integers
    scale, length = scaled_norm(g)
    b = np.hypot(np.float64(s[0, 0]), scale * length)
    s[0, 0] = b
    lr = p[0]
    if 0.0 < b < 1e-140:  # lr/b might overflow
        for i in range(x.size):
            x[i] = x[i] - lr * (g[i] / b)
    elif b != 0.0:
        step = lr / b  # float64 for float32 arrays too: it may exceed them
        for i in range(x.size):
            x[i] = x[i] - step * g[i]
    return lr * lr


@kernel
def field(fg, hv, data, t, p, z, dz):
    """z = (x, V), V in element 0; no constants."""
    dx = dz[0]
    fg(z[0], dx, data)
    dz[1, :] = 0.0
    dz[1, 0] = sum_of_squares(dx)
    over = 1.0 / np.sqrt(z[1, 0]) if z[1, 0] > 0.0 else 0.0
    for i in range(dx.size):
        dx[i] = -over * dx[i]


@dataclass(frozen=True)
class AdaGradNorm(Optimizer):
    """One adaptive step size for all coordinates.

    Parameters
    ----------
    lr : float > 0, default 1e-2
        The square root of the step in flow time; length of the first step from initial_norm = 0.
    initial_norm : float >= 0, default 0
        b at the start, in the unit of g.
    """

    title = "AdaGrad-Norm"
    look = ("#5B8C5A", "P")

    lr: float = number(default=1e-2, low=1e-150, high=1e150, scales="sqrt(h)")  # its square is the step in flow time
    initial_norm: float = nonnegative(default=0.0, scales="1/sqrt(h)")

    kernel = staticmethod(adagrad_norm)

    @property
    def slots(self):
        return (Slot("norm", "sum", "g"),)

    @property
    def h(self):
        return self.lr**2

    @property
    def reduces(self):
        return True

    @property
    def flow(self):
        return Flow("AdaGrad-Norm", "x' = -g/√V, V' = |g|²", field, {}, ("square sum",))

    @property
    def scheme(self):
        return semi_implicit_euler

    def declared_order(self, start="cold"):
        return 0.5 if start == "cold" and not self.initial_norm else super().declared_order(start)

    def to_flow(self, x, s):
        return np.vstack([x[None, :], self.h * s**2])

    def cold_start(self, x):
        s = np.zeros((1, np.size(x)))
        s[0, :1] = self.initial_norm
        return s

    def consistent_start(self, x, g):
        """V = |g|^2: as if the flow had run for one unit of time on this gradient."""
        s = np.zeros((1, np.size(x)))
        s[0, :1] = np.linalg.norm(g) / self.lr
        return s

    def held(self, slot, preconditioner):
        return preconditioner

    def stability_limit(self):
        return self.limit(2.0, "2")

    @property
    def projection_is_sound(self):
        return True
