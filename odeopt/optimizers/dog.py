"""DoG, distance over gradients: the step size is the distance gone so far over the root of the sum of all |g|^2.

Update     d <- max(d, |x - x0|);  b <- sqrt(b^2 + |g|^2);  x <- x - lr d g/b
           at the start d = distance (1 + |x0|), b = sqrt(eps)
Flow       x' = -d g/sqrt(V), V' = |g|^2, d = max of distance and |x - x0| so far, with h = lr^2, V = h b^2: as
           adagrad.py, a limit exists only with lr ~ sqrt(h). It moves along the orbit of gradient flow. lr = 1, for
           which the method has its bounds, is a step of 1 in flow time. Under a constant gradient |x - x0| reaches
           the first d at t = 1/4 and is d exp(2 sqrt(t) - 1) from then on
Scheme     semi-implicit Euler with catching-up (V, and d at the old x, then x), h = lr^2
Order      1 from V > 0, **one half** from 0 (eps = 0): V ~ |g|^2 t, the flow starts like x' ~ -d (g/|g|)/sqrt(t). At h
           below eps/|g|^2 eps makes the start smooth and the order 1
Scaling    lr ~ sqrt(h), eps ~ 1/h, distance and weight_decay fixed
Stability  frozen d and b: lr d lambda/b < 2; b grows, d does where x goes away, so that unlike Adagrad's nothing
           makes it stable at last but that x stays within a ball
Reduction  norms over all arrays that one ``update`` call gives to a group (with one array each: the paper's L-DoG)
Decay      coupled: g + weight_decay x for g
Variants   ``distance_mode``: relative to 1 + |x0| (the paper, dog-optimizer), or the distance itself. Both peers can
           prescribe the first step's learning rate instead, with d = 0 at the start: not here
Averages   the paper's experiments average the iterates: ``SWA``

Sources: Ivgi, Hinder, Carmon, arXiv:2302.12022; packages dog-optimizer 1.0, optax 0.2.8; the flow: the package's own.
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import Flow
from ..method import Slot
from ..schemes import catching_up_euler
from ..sums import distance_between, scaled_norm
from .base import Optimizer, nonnegative, number, positive, variant


@kernel
def norm_with_decay(g, x, decay):
    """|g + decay x| in float64."""
    if decay == 0.0:
        scale, length = scaled_norm(g)
        return scale * length
    total = 0.0
    for i in range(g.size):
        u = g[i] + decay * x[i]
        total += u * u
    return np.sqrt(total)


@kernel
def dog(k, p, x, g, s):
    """p = (lr, distance, eps, weight decay, 1 for a relative distance); s = (x0, d, b), d and b in element 0."""
    precision(x, g, s)  # refuses integers
    decay = p[3]
    d = max(np.float64(s[1, 0]), distance_between(x, s[0]))
    b = np.hypot(np.float64(s[2, 0]), norm_with_decay(g, x, decay))
    s[1, 0], s[2, 0] = d, b
    if b != 0.0:
        step = p[0] * d
        for i in range(x.size):
            x[i] = x[i] - step * ((g[i] + decay * x[i]) / b)
    return p[0] * p[0]


@kernel
def field(fg, hv, data, t, p, z, dz):
    """z = (x, x0, d, V), d and V in element 0; p = (decay)."""
    x, dx = z[0], dz[0]
    fg(x, dx, data)
    dz[1:4, :] = 0.0
    away = distance_between(x, z[1])
    d, total, outwards = max(z[2, 0], away), 0.0, 0.0
    for i in range(x.size):
        dx[i] = dx[i] + p[0] * x[i]
        total += dx[i] * dx[i]
        outwards -= dx[i] * (x[i] - z[1, i])
    rate = d / np.sqrt(z[3, 0]) if z[3, 0] > 0.0 else 0.0
    dz[3, 0] = total
    if z[2, 0] <= away and away > 0.0:
        dz[2, 0] = max(rate * outwards / away, 0.0)
    for i in range(x.size):
        dx[i] = -rate * dx[i]


@dataclass(frozen=True)
class DoG(Optimizer):
    """Gradient descent whose step size is a distance over gradients.

    Parameters
    ----------
    lr : float > 0, default 1
        The square root of the step in flow time; the paper's method is lr = 1.
    distance : float > 0, default 1e-6
        First estimate of the distance from x0 to a minimiser (r_eps in the paper).
    eps : float >= 0, default 1e-8
        Added to the sum of squares, in the unit of g^2.
    weight_decay : float >= 0, default 0
    distance_mode : {"relative", "absolute"}
        ``distance`` in units of 1 + |x0|, or in the unit of x.
    """

    title = "DoG"
    look = ("#8C564B", "D")

    lr: float = number(default=1.0, low=1e-150, high=1e150, scales="sqrt(h)")  # its square is the step in flow time
    distance: float = positive(default=1e-6)
    eps: float = nonnegative(default=1e-8, scales="1/h")
    weight_decay: float = nonnegative(default=0.0)
    distance_mode: str = variant("relative", "absolute")

    kernel = staticmethod(dog)

    @property
    def slots(self):
        return Slot("start", "memory", "x"), Slot("distance", "supremum", "x"), Slot("norm", "sum", "g")

    @property
    def h(self):
        return self.lr**2

    @property
    def reduces(self):
        return True

    @property
    def flow(self):
        equation = "x' = -d g/√V, V' = |g|², d = max of |x - x0| so far"
        equation += ", g + decay x for g" * bool(self.weight_decay)
        return Flow("DoG", equation, field, {"decay": self.weight_decay}, ("start", "distance", "square sum"))

    @property
    def scheme(self):
        return catching_up_euler(2, distance_row=1)

    def declared_order(self, start="cold"):
        return 0.5 if start == "cold" else super().declared_order(start)

    @property
    def order_condition(self):
        """Below it eps makes the cold start smooth, and its order 1."""
        return "from the cold start h above the flow's eps/|g|^2" if self.eps else ""

    def to_flow(self, x, s):
        return np.vstack([x[None, :], s[:2], self.h * s[2:] ** 2])

    def cold_start(self, x):
        s = np.zeros((3, np.size(x)))
        s[0] = x
        s[1, :1] = self.distance * (1 + np.linalg.norm(x) if self.distance_mode == "relative" else 1.0)
        s[2, :1] = np.sqrt(self.eps)
        return s

    def consistent_start(self, x, g):
        """V = |g|^2: as if the flow had run for one unit of time on this gradient."""
        s = self.cold_start(x)
        s[2, :1] = np.linalg.norm(g + self.weight_decay * x) / self.lr
        return s

    def held(self, slot, preconditioner):
        return {"start": 0.0, "distance": 1.0, "norm": preconditioner}[slot.name]

    def stability_limit(self):
        return self.limit(2.0, "2, d = 1")

    @property
    def projection_is_sound(self):
        return not self.weight_decay
