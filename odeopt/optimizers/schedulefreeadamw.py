"""Schedule-free AdamW: schedule-free steps with gradients divided by the root of their mean square.

Update     v <- beta2 v + (1 - beta2) g(x)^2;  z <- z - lr (g(x)/(sqrt(v/q2) + eps) + weight_decay x),
           q2 = 1 - beta2^k; then a and x as in schedulefreesgd.py:  a <- a + (z - a) w_k/(w_0 + ... + w_k),
           w_k = (k + 1)^power lr^lr_power;  x <- (1 - momentum) z + momentum a
Position   x, where the gradient is taken (y in the paper); the result of a run is a: :meth:`average`
Flow       z' = -(g(x)/(sqrt(v/q2) + eps) + weight_decay x), a' = (power + 1)(z - a)/T, T' = 1,
           tau2 v' = g^2 - v, tau2 q2' = 1 - q2, x' = (1 - momentum) z' + momentum a', with tau2 = lr/(1 - beta2);
           singular at the start, where a' is z' (power + 1)/(power + 2) in the limit
Scheme     partitioned Euler (v, q2 and T, then z, then a and x), h = lr. With power > 0 none: the weights are those
           of the flow up to O(h) only
Order      1
Scaling    lr ~ h, beta2 = 1 - h/tau2; momentum, power, eps and weight_decay fixed
Stability  frozen preconditioner P = sqrt(v) + eps, late in a run: lr lambda_max(H/P) < 2/(1 - momentum), 20 at
           momentum = .9; before that as schedulefreesgd.py
Decay      decoupled, not divided by the root, but taken at x and not at z: it enters a through the mean, as g does
Momentum   through a only: there is no mean of gradients, though the paper calls momentum beta1
Schedules  that drive lr: as schedulefreesgd.py; the package's own warm-up is ``schedules.warmup``
Zero       with eps = 0 a coordinate whose v is 0 moves by its decay alone (the package gives NaN)

Sources: Defazio et al., arXiv:2405.15682, algorithm 1; package schedulefree 1.4; the flow: the package's own.
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import Flow
from ..method import Slot
from ..schemes import partitioned_euler
from .base import fraction, nonnegative, positive, square_behind
from .schedulefreesgd import ScheduleFreeSGD, newest_weight


@kernel
def schedule_free_adamw(k, p, x, g, s):
    """p = (lr, momentum, weight_decay, power, lr_power, beta2, eps); s = (z, a, sum of weights, v, q2), the sum and
    q2 in element 0."""
    lr, decay, ahead, c = p[0], p[2], 1.0 - p[1], newest_weight(k, p[0], p[3], p[4], s[2])
    new2 = 1.0 - p[5]
    q2 = s[4, 0] + new2 * (1.0 - s[4, 0])
    s[4, 0] = q2
    base, average, v = s[0], s[1], s[3]
    real = precision(x, g, s)
    lr, decay, ahead, c, root = real(lr), real(decay), real(ahead), real(c), real(1.0 / np.sqrt(q2))
    old2, new2, eps, zero = real(p[5]), real(new2), real(p[6]), real(0.0)
    for i in range(x.size):
        zi, ai, vi, gi = base[i], average[i], v[i], g[i]
        vi = old2 * vi + new2 * gi * gi
        below = np.sqrt(vi) * root + eps
        zi = zi - lr * ((gi / below if below != zero else zero) + decay * x[i])
        ai = ai + c * (zi - ai)
        base[i] = zi
        average[i] = ai
        v[i] = vi
        x[i] = ai + ahead * (zi - ai)
    return p[0]


@kernel
def field(fg, hv, data, t, p, z, dz):
    """z = (x, base, average, T, v, q2), p = (momentum, drift, power, tau2, eps)."""
    x, base, average, age, v, q2 = z[0], z[1], z[2], z[3, 0], z[4], z[5, 0]
    rate = p[2] + 1.0
    fg(x, dz[1], data)
    for i in range(x.size):
        gi = dz[1, i]
        root = np.sqrt(max(v[i], 0.0) / q2 if q2 > 0.0 else gi * gi) + p[4]
        down = (-gi / root if root != 0.0 else 0.0) - p[1] * x[i]
        follow = rate * (base[i] - average[i]) / age if age > 0.0 else rate / (rate + 1.0) * down
        dz[0, i] = (1.0 - p[0]) * down + p[0] * follow
        dz[1, i] = down
        dz[2, i] = follow
        dz[4, i] = (gi * gi - v[i]) / p[3]
    dz[3, :] = 0.0
    dz[5, :] = 0.0
    dz[3, 0] = 1.0
    dz[5, 0] = (1.0 - q2) / p[3]


@dataclass(frozen=True)
class ScheduleFreeAdamW(ScheduleFreeSGD):
    """Adaptive steps whose average needs no falling learning rate.

    Parameters
    ----------
    lr : float > 0, default 2.5e-3
        Step in flow time.
    momentum
        As :class:`ScheduleFreeSGD`; beta1 in the paper.
    weight_decay : float >= 0, default 0
        Rate of decay towards 0, in 1/flow time, at the point where the gradient is taken.
    power, lr_power
        As :class:`ScheduleFreeSGD`.
    beta2 : float in [0, 1), default 0.999
    eps : float >= 0, default 1e-8
        In the unit of g.
    """

    title = "Schedule-Free AdamW"
    look = ("#1B7F5C", "H")

    lr: float = positive(default=2.5e-3, scales="h")
    beta2: float = fraction(default=0.999, scales="1 - c h")
    eps: float = nonnegative(default=1e-8)

    kernel = staticmethod(schedule_free_adamw)

    @property
    def slots(self):
        return *super().slots, Slot("square", "square", "g^2"), Slot("square weight", "weight")

    @property
    def flow(self):
        rate = "(power + 1) " if self.power else ""
        equation = (f"z' = -g(x)/(√(v/q2) + eps){' - drift x' if self.weight_decay else ''}, a' = {rate}(z - a)/t, "
                    "tau2 v' = g² - v, tau2 q2' = 1 - q2, x = (1 - momentum) z + momentum a")
        constants = {"momentum": self.momentum, "drift": self.weight_decay, "power": self.power,
                     "tau2": self.lr / (1 - self.beta2), "eps": self.eps}
        return Flow("Schedule-Free AdamW", equation, field, constants,
                    ("base", "average", "age", "square", "square weight"))

    @property
    def scheme(self):
        return None if self.power else partitioned_euler((2, 1, 2, 0, 0, 0))

    def to_flow(self, x, s):
        return np.vstack([super().to_flow(x, s[:3]), s[3:]])

    def cold_start(self, x):
        return np.vstack([super().cold_start(x), np.zeros((2, np.size(x)))])

    def limit_from_start(self):
        """None: its steps do not grow with the gradients."""
        return None

    def held(self, slot, preconditioner):
        if slot.role == "square":
            return square_behind(preconditioner, self.eps, False, self.beta2)
        return super().held(slot, preconditioner)
