"""Rprop: every coordinate has its own step size, steered by the sign of its derivative alone.

Update, with delta = lr at the start and c = g g_previous, elementwise:
  c > 0   delta <- clip(eta_plus delta);   x <- x - delta sign(g)
  c < 0   delta <- clip(eta_minus delta);  g is forgotten (counts as 0 from here on), and
          irprop-   x stays                                            (torch)
          rprop+    x goes back by the coordinate's previous move      (weight backtracking)
  c = 0   delta <- clip(delta), the first step among them;   x <- x - delta sign(g)
          with clip(delta) = max(min(delta, step_max), step_min)
Flow         no classical one: the rule compares the gradients of two steps (a hybrid system).
             Between sign changes delta' = delta ln(eta_plus)/h, x' = -sign(g) delta/h: the steps
             grow geometrically, and no refinement of h with these factors has a limit. With
             eta_plus = e^(c h) and lr = v h it has one there: x' = -sign(g) w, w' = c w, w(0) = v
Scheme       none, for want of a flow. Flow time counts steps
Stability    every step is between step_min and step_max long, whatever the curvature
Invariance   only signs of g enter: f may be replaced by any increasing function of f
Full batch   the sign of the noise would steer the steps: nine gradients of .1 and one of -.9 have the mean
             0, and Rprop walks off. RMSprop divides by nearly the same number in all ten and stays, which
             is what it was made for (Hinton's lecture 6e in [A003])
By hand      lr = .1 and a sign change at the fourth gradient: moves .1, .12, .144, 0, .072

Sources: Riedmiller, Braun (1993); Igel, Huesken, Improving the Rprop learning algorithm (2000),
algorithms 1 (Rprop+) and 4 (iRprop-); [A003].
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..method import Slot
from .base import Optimizer, fraction, number, positive, variant


@kernel
def irprop_minus(k, p, x, g, s):
    """p = (lr, eta_minus, eta_plus, step_min, step_max); s = (delta, previous g)."""
    down, up, low, high, zero = p[1], p[2], p[3], p[4], 0.0
    delta, previous = s[0], s[1]
    real = precision(x, g, s)
    down, up, low, high, zero = real(down), real(up), real(low), real(high), real(zero)
    for i in range(x.size):
        gi, di, xi = g[i], delta[i], x[i]
        agree = gi * np.sign(previous[i])
        longer, shorter = di * up, di * down
        if agree > zero:  # assignments of what is there already: no branch is left when this is vectorised
            di = longer
        if agree < zero:
            di = shorter
        di = max(min(di, high), low)
        if agree < zero:
            gi = gi * zero
        delta[i] = di
        previous[i] = gi
        x[i] = xi - di * np.sign(gi)
    return 1.0


@kernel
def rprop_plus(k, p, x, g, s):
    """p as ``irprop_minus``; s = (delta, previous g, previous move)."""
    down, up, low, high, zero = p[1], p[2], p[3], p[4], 0.0
    delta, previous, moved = s[0], s[1], s[2]
    real = precision(x, g, s)
    down, up, low, high, zero = real(down), real(up), real(low), real(high), real(zero)
    for i in range(x.size):
        gi, di, xi, back = g[i], delta[i], x[i], -moved[i]
        agree = gi * np.sign(previous[i])
        longer, shorter = di * up, di * down
        if agree > zero:
            di = longer
        if agree < zero:
            di = shorter
        di = max(min(di, high), low)
        if agree < zero:
            gi = gi * zero
        move = -di * np.sign(gi)
        if agree < zero:
            move = back
        delta[i] = di
        previous[i] = gi
        moved[i] = move
        x[i] = xi + move
    return 1.0


@dataclass(frozen=True)
class Rprop(Optimizer):
    """Resilient propagation.

    Parameters
    ----------
    lr : float > 0, default 1e-2
        First step length of every coordinate, in the unit of x; clipped as all are.
    eta_minus : float in [0, 1), default 0.5
    eta_plus : float >= 1, default 1.2
    step_min, step_max : float >= 0, defaults 1e-6 and 50
    variant : {"irprop-", "rprop+"}

    Raises
    ------
    ValueError
        Also where step_min exceeds step_max.
    """

    title = "Rprop"
    look = ("#777711", "P")
    full_batch_only = True

    lr: float = positive(default=1e-2)
    eta_minus: float = fraction(default=0.5)
    eta_plus: float = number(default=1.2, low=1.0)
    step_min: float = number(default=1e-6, low=0.0)
    step_max: float = positive(default=50.0)
    variant: str = variant("irprop-", "rprop+")

    def __post_init__(self):
        super().__post_init__()
        if self.step_min > self.step_max:
            raise ValueError(f"step_min must not exceed step_max = {self.step_max:g}, got {self.step_min:g}")

    @property
    def kernel(self):
        return rprop_plus if self.variant == "rprop+" else irprop_minus

    @property
    def slots(self):
        return (Slot("step", "step", "x"), Slot("previous gradient", "previous", "g"),
                Slot("previous move", "previous", "x"))[: 3 if self.variant == "rprop+" else 2]

    @property
    def h(self):
        """One step is one unit of time."""
        return 1.0

    def cold_start(self, x):
        s = super().cold_start(x)
        s[0] = self.lr
        return s

    def refined(self, factor):
        raise ValueError("refined needs a method with a flow, and rprop has none")
