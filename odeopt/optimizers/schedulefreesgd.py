"""Schedule-free SGD: gradient steps from a base point, gradients near the average of the base points.

Update     z <- z - lr g(x);  a <- a + (z - a) w_k/(w_0 + ... + w_k),  w_k = (k + 1)^power lr^lr_power;
           x <- (1 - momentum) z + momentum a. With constant lr and power 0 a is the plain mean of the z
Position   x, where the gradient is taken (y in the paper); the result of a run is a: :meth:`average`
Flow       z' = -g(x), a' = (power + 1)(z - a)/T, T' = 1, x' = (1 - momentum) z' + momentum a': with power 0
           a'' + (2/t) a' + g/t = 0 at x = a + (1 - momentum) t a'. Singular at the start, where its smooth
           solution has z' = -g, a' = -g (power + 1)/(power + 2)
Scheme     partitioned Euler (z and T, then a and x), h = lr. With power > 0 none: the weights are those
           of the flow up to O(h) only
Order      1
Scaling    lr ~ h, momentum and power fixed: no memory fades in a fixed time, a is a mean over the whole run
Stability  late in a run lr lambda < 2/(1 - momentum), 20 at momentum = .9. At step k, with c = 1/k the newest
           point's weight, 2 (2 - c)/((1 - momentum)(2 - c) + momentum c): 2 at first, so that above 2 the run
           grows before it decays
Schedules  that drive lr: with lr_power = 1 a is the mean over flow time and the flow stays; with 2, the
           default, steps before the end of a warm-up count less, and the flow changes
Decay      coupled: g + weight_decay x for g
Variants   momentum 0 is averaged gradient descent, 1 takes the gradient at the average. In the package
           schedulefree w_k is made of the largest lr so far, the same while lr does not fall

Sources: Defazio et al., arXiv:2405.15682, eq. 2-4; the weights: package schedulefree 1.4; as an average of iterates:
Song et al., arXiv:2507.09846; the flow, order and limit: the package's own.
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import Flow
from ..method import Slot
from ..schemes import partitioned_euler
from .base import Optimizer, nonnegative, number, positive


@kernel
def newest_weight(k, lr, power, lr_power, s):
    """Weight of step k's point in the average; moves the sum of weights, ``s[0]``."""
    w = (k + 1.0) ** power * lr**lr_power
    total = s[0] + w
    s[0] = total
    return w / total if total > 0.0 else 0.0


@kernel
def schedule_free_sgd(k, p, x, g, s):
    """p = (lr, momentum, weight_decay, power, lr_power); s = (z, a, sum of weights in element 0)."""
    lr, decay, ahead, c = p[0], p[2], 1.0 - p[1], newest_weight(k, p[0], p[3], p[4], s[2])
    base, average = s[0], s[1]
    real = precision(x, g, s)
    lr, decay, ahead, c = real(lr), real(decay), real(ahead), real(c)
    for i in range(x.size):
        zi, ai = base[i], average[i]
        zi = zi - lr * (g[i] + decay * x[i])
        ai = ai + c * (zi - ai)
        base[i] = zi
        average[i] = ai
        x[i] = ai + ahead * (zi - ai)
    return p[0]


@kernel
def field(fg, hv, data, t, p, z, dz):
    """z = (x, base, average, T), p = (momentum, decay, power)."""
    x, base, average, age = z[0], z[1], z[2], z[3, 0]
    rate = p[2] + 1.0
    fg(x, dz[1], data)
    for i in range(x.size):
        down = -(dz[1, i] + p[1] * x[i])
        follow = rate * (base[i] - average[i]) / age if age > 0.0 else rate / (rate + 1.0) * down
        dz[1, i] = down
        dz[2, i] = follow
        dz[0, i] = (1.0 - p[0]) * down + p[0] * follow
    dz[3, :] = 0.0
    dz[3, 0] = 1.0


@dataclass(frozen=True)
class ScheduleFreeSGD(Optimizer):
    """Gradient descent whose average needs no falling learning rate.

    Parameters
    ----------
    lr : float > 0
        Step in flow time.
    momentum : float in [0, 1], default 0.9
        Where the gradient is taken: 0 at the base point, 1 at the average.
    weight_decay : float >= 0, default 0
    power : float >= 0, default 0
        Later points count more in the average, the k-th (k + 1)^power.
    lr_power : float >= 0, default 2
        Points count lr^lr_power, which matters where a schedule drives lr.
    """

    title = "Schedule-Free SGD"
    look = ("#2E8B9A", "h")

    lr: float = positive(scales="h")
    momentum: float = number(default=0.9, low=0.0, high=1.0)
    weight_decay: float = nonnegative(default=0.0)
    power: float = nonnegative(default=0.0)
    lr_power: float = nonnegative(default=2.0)

    def __post_init__(self):
        super().__post_init__()
        self._check_weight(np.dtype(np.float64))

    def check_precision(self, dtype):
        super().check_precision(dtype)
        self._check_weight(dtype)

    def _check_weight(self, dtype):
        """A weight that vanishes, or grows beyond all numbers, counts no point of the average."""
        limits = np.finfo(dtype)
        with np.errstate(all="ignore"):
            weight = np.float64(self.lr) ** self.lr_power
        if not limits.tiny <= weight <= limits.max:
            raise ValueError(f"lr_power must leave lr^lr_power in [{limits.tiny:.3g}, {limits.max:.3g}] for {dtype} "
                             f"arrays, got {self.lr_power!r} for lr = {self.lr!r}")

    kernel = staticmethod(schedule_free_sgd)

    @property
    def slots(self):
        return Slot("base", "iterate", "x"), Slot("average", "iterate", "x"), Slot("weight sum", "sum")

    @property
    def flow(self):
        rate = "(power + 1) " if self.power else ""
        equation = f"z' = -g(x), a' = {rate}(z - a)/t, x = (1 - momentum) z + momentum a"
        if self.weight_decay:
            equation += ", g + decay x for g"
        constants = {"momentum": self.momentum, "decay": self.weight_decay, "power": self.power}
        return Flow("Schedule-Free SGD", equation, field, constants, ("base", "average", "age"))

    @property
    def scheme(self):
        return None if self.power else partitioned_euler((1, 0, 1, 0))

    def to_flow(self, x, s):
        """T is the time at which the flow has given this sum of weights."""
        age = s[2] * (self.lr / self.lr**self.lr_power)
        if self.power:
            age = self.lr * ((self.power + 1) * s[2] / self.lr**self.lr_power) ** (1 / (self.power + 1))
        return np.vstack([x[None, :], s[:2], age[None, :]])

    def cold_start(self, x):
        return np.vstack([x, x, np.zeros(np.size(x))])

    def held(self, slot, preconditioner):
        """Late in a run the weights have summed up to more than any number."""
        return np.inf

    def stability_limit(self):
        return None if self.momentum == 1.0 else self.limit(2 / (1 - self.momentum), "2/(1 - μ)")

    def limit_from_start(self):
        """That of the first step, a step of gradient descent."""
        return self.limit(2.0, "2")

    def average(self, state):
        """A copy of the averaged arrays of a training-loop ``state``, shaped like those given to ``init``."""
        return state.row("average")
