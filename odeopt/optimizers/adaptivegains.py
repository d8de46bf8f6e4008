"""Adaptive gains: each coordinate's learning rate grows by addition and shrinks by multiplication.

Update, elementwise, gain = 1 at the start, v the velocity (0 at the start):
  compare="gradient"   gain + increase where g g_previous > 0, gain * decrease where < 0,
                       unchanged where a factor is 0                                  (Hinton)
  compare="velocity"   gain + increase where v g < 0, else gain * decrease            (t-SNE)
  gain is kept in [gain_min, gain_max];  v <- momentum v - lr gain g;  x <- x + v
Flow         no classical one: the rule compares two successive gradients (a hybrid system). With
             gains at rest it is gradient descent (momentum) with one rate per coordinate. With
             increase = c lr the limit is a flow with jumps: x' = -gain g, gain' = c between limits,
             and gain falls to decrease gain where a derivative changes its sign; gain(0) is 1, or with
             compare="velocity" decrease, since v = 0 counts as a disagreement
Balance      signs that agree as often as not leave a mean gain of increase/(1 - decrease): 1 at .05 and
             .95, whose sum is 1 for that reason ([A003])
Scheme       none, for want of a flow; a step counts as the time lr (gain 1)
Stability    gains of gain_max: lr gain_max lambda < 2 (1 + momentum); without momentum f then falls in every step,
             whatever the gains are
Full batch   with mini-batches keep the gains in a narrow range: signs of noise would steer them
Variants     Hinton's slide: increase .05, decrease .95, limits [.1, 10] or [.01, 100]; t-SNE's:
             increase .2, decrease .8, gain_min .01, no upper limit (a large gain_max), momentum,
             compare="velocity". Jacobs's delta-bar-delta has the same rule

Sources: Hinton's lecture 6d in [A003]; Jacobs (1988), section 4; van der Maaten, Hinton (2008)
for the second.
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..method import Limit, Slot
from .base import Optimizer, fraction, nonnegative, positive, variant


@kernel
def adaptive_gains(k, p, x, g, s):
    """p = (lr, increase, decrease, gain_min, gain_max, momentum, 1 to compare with the velocity);
    s = (gain, velocity, previous g)."""
    lr, more, less, low, high, mu = p[0], p[1], p[2], p[3], p[4], p[5]
    gain, v, previous = s[0], s[1], s[2]
    with_velocity = p[6] > 0.0
    real = precision(x, g, s)
    lr, more, less, low, high, mu = real(lr), real(more), real(less), real(low), real(high), real(mu)
    for i in range(x.size):
        gi, vi, factor, xi = g[i], v[i], gain[i], x[i]
        agree = -gi * np.sign(vi) if with_velocity else gi * np.sign(previous[i])
        raised, lowered = factor + more, factor * less
        if agree > 0.0:
            factor = raised
        if agree < 0.0 or (with_velocity and not agree > 0.0):
            factor = lowered
        factor = min(max(factor, low), high)
        vi = mu * vi - lr * factor * gi
        gain[i] = factor
        v[i] = vi
        previous[i] = gi
        x[i] = xi + vi
    return p[0]


@dataclass(frozen=True)
class AdaptiveGains(Optimizer):
    """Separate adaptive learning rates, lr times a gain.

    Parameters
    ----------
    lr : float > 0
    increase : float >= 0, default 0.05
    decrease : float in [0, 1), default 0.95
    gain_min, gain_max : float > 0, defaults 0.1 and 10
    momentum : float in [0, 1), default 0
    compare : {"gradient", "velocity"}

    Raises
    ------
    ValueError
        Also where gain_min exceeds gain_max.
    """

    title = "adaptive gains"
    momentum_name = "momentum"
    look = ("#A08A2C", "X")
    full_batch_only = True

    lr: float = positive()
    increase: float = nonnegative(default=0.05)
    decrease: float = fraction(default=0.95)
    gain_min: float = positive(default=0.1)
    gain_max: float = positive(default=10.0)
    momentum: float = fraction(default=0.0)
    compare: str = variant("gradient", "velocity")

    kernel = staticmethod(adaptive_gains)

    def __post_init__(self):
        super().__post_init__()
        if self.gain_min > self.gain_max:
            raise ValueError(f"gain_min must not exceed gain_max = {self.gain_max:g}, got {self.gain_min:g}")

    @property
    def slots(self):
        return (Slot("gain", "step"), Slot("velocity", "velocity", "x per step"),
                Slot("previous gradient", "previous", "g"))

    @property
    def p(self):
        """(lr, increase, decrease, gain_min, gain_max, momentum, 1 to compare with the velocity)."""
        return self.numbers_and(self.compare == "velocity")

    def cold_start(self, x):
        s = super().cold_start(x)
        s[0] = 1.0
        return s

    def limit_from_start(self):
        """That of the largest gain."""
        return Limit(2 * (1 + self.momentum) / self.gain_max, "2 (1 + μ)/gain_max")

    def refined(self, factor):
        raise ValueError("refined needs a method with a flow, and adaptivegains has none")
