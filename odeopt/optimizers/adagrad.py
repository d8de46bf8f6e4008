"""Adagrad: gradient divided by the root of the sum of its squares.

Update     G <- G + g^2;  x <- x - lr/(1 + k lr_decay) g/(sqrt(G) + eps), k from 0
Flow       x' = -g/(sqrt(V) + eps')/(1 + rate t), V' = g^2, with h = lr^2, V = h G: the sum grows
           without bound when the step shrinks, so a limit exists only with lr ~ sqrt(h). (Any
           h = lr^2/c^2 gives a flow, the same one in another unit of time; c = 1 here.)
Scheme     semi-implicit Euler (V first), h = lr^2; the learning-rate decay is read at the old time
Order      1 from an initial accumulator > 0, **one half** from 0: V ~ g^2 t, so the flow starts like
           x' ~ -sign(g)/sqrt(t), and the first step is lr = sqrt(h) long (at h below (eps'/g)^2, inside
           the root eps'/g^2, eps' makes the start smooth and the order 1)
Scaling    lr ~ sqrt(h), initial_accumulator ~ 1/h, lr_decay ~ h, eps ~ 1/sqrt(h) (inside: 1/h)
Stability  frozen G: lr lambda/sqrt(G) < 2; G only grows, so it becomes stable at last
Constant g: step k is lr/sqrt(k), whatever the size of g; where g is 0 but in every m-th step the m-th
           part of the squares is summed, and rare coordinates move sqrt(m) times as far ([A003])
Zero       with eps = 0 a coordinate whose G is 0 does not move (0/0 counts as 0; torch gives NaN)
Variants   eps outside the root (torch) or inside (optax, [A003])
Decay      coupled: g + weight_decay x for g (torch), fixed under refinement; decoupled: x <- x - lr_k weight_decay x
           besides the step, lr_k the present lr (keras), a drift weight_decay/lr, so that weight_decay ~ sqrt(h)

Sources: Duchi, Hazan, Singer (2011), figure 1; [A003]; defaults: torch.
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import adagrad_flow
from ..method import Slot
from ..schemes import semi_implicit_euler
from .base import Optimizer, nonnegative, number, square_behind, variant


@kernel
def adagrad(k, p, x, g, s):
    """p = (lr, eps, initial accumulator, lr_decay, weight decay, 1 for eps inside, 1 for decoupled); s = (G)."""
    lr, inside, outer = p[0] / (1.0 + k * p[3]), p[1] * p[5], p[4] * p[6]
    outside, inner, keep = p[1] - inside, p[4] - outer, 1.0 - lr * outer
    total = s[0]
    real = precision(x, g, s)
    lr, inside, outside, inner, keep, zero = real(lr), real(inside), real(outside), real(inner), real(keep), real(0.0)
    for i in range(x.size):
        xi = x[i]
        gi = g[i] + inner * xi
        ti = total[i] + gi * gi
        total[i] = ti
        below = np.sqrt(ti + inside) + outside
        move = lr * gi / below
        x[i] = keep * xi - (move if below != zero else zero)
    return p[0] * p[0]


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Adaptive (sub)gradient method.

    Parameters
    ----------
    lr : float > 0, default 1e-2
        The square root of the step in flow time.
    eps : float >= 0, default 1e-10
        In the unit of g (of g^2 inside the root).
    initial_accumulator : float >= 0, default 0
        G at the start, in the unit of g^2.
    lr_decay : float >= 0, default 0
    eps_mode : {"outside", "inside"}
    weight_decay : float >= 0, default 0
    weight_decay_mode : {"coupled", "decoupled"}
    """

    title = "Adagrad"
    look = ("#117733", "p")

    lr: float = number(default=1e-2, low=1e-150, high=1e150, scales="sqrt(h)")  # its square is the step in flow time
    eps: float = nonnegative(default=1e-10)
    initial_accumulator: float = nonnegative(default=0.0, scales="1/h")
    lr_decay: float = nonnegative(default=0.0, scales="h")
    eps_mode: str = variant("outside", "inside")
    weight_decay: float = nonnegative(default=0.0)
    weight_decay_mode: str = variant("coupled", "decoupled")

    kernel = staticmethod(adagrad)

    @property
    def slots(self):
        return (Slot("square sum", "sum", "g^2"),)

    @property
    def p(self):
        """(lr, eps, initial_accumulator, lr_decay, weight_decay, 1 for eps inside the root, 1 for decoupled)."""
        return self.numbers_and(self.eps_mode == "inside", self._decoupled)

    @property
    def h(self):
        return self.lr**2

    @property
    def t0(self):
        """The scheme reads the learning-rate decay at the end of a step, the update at its start."""
        return -self.h if self.lr_decay else 0.0

    def declared_order(self, start="cold"):
        cold = start == "cold" and not self.initial_accumulator
        return 0.5 if cold else super().declared_order(start)

    @property
    def order_condition(self):
        """Below it eps makes the cold start smooth, and its order 1."""
        if self.initial_accumulator or not self.eps:
            return ""
        return "from the cold start h above the flow's " + ("eps/g^2" if self.eps_mode == "inside" else "(eps/g)^2")

    def held(self, slot, preconditioner):
        return square_behind(preconditioner, self.eps, self.eps_mode == "inside")

    def stability_limit(self):
        """None with lr_decay: every lr is stable late enough."""
        return None if self.lr_decay else self.limit(2.0, "2")

    @property
    def projection_is_sound(self):
        return True

    @property
    def flow(self):
        eps = self.eps * (self.h if self.eps_mode == "inside" else self.lr)
        inner, outer = self.split_decay()
        return adagrad_flow(eps, eps_mode=self.eps_mode, rate=self.lr_decay / self.h, decay=inner,
                            drift=outer / self.lr)

    @property
    def scheme(self):
        return semi_implicit_euler

    def to_flow(self, x, s):
        return np.vstack([x[None, :], self.h * s])

    def cold_start(self, x):
        return np.full((1, np.size(x)), self.initial_accumulator)

    def consistent_start(self, x, g):
        """V = g(x0)^2: as if the flow had run for one unit of time on this gradient."""
        g = g + self.split_decay()[0] * x
        return np.array([g * g / self.h])

    def scaling(self):
        return super().scaling() | {"eps": "1/h" if self.eps_mode == "inside" else "1/sqrt(h)",
                                    "weight_decay": "sqrt(h)" if self._decoupled else "fixed"}
