"""Nesterov's accelerated gradient: semi-implicit Euler with look-ahead.

Flow         x'' + a x' + g = 0 for constant momentum; x'' + (3/t) x' + g = 0 for momentum=None
Update       v <- mu_k v - lr g;  x <- x + mu_{k+1} v - lr g
             x is the extrapolated point, where the gradient is taken (y in Nesterov's papers);
             mu_k = momentum, or (k - 1)/(k + 2) with k counted from 0
Scheme       the position moves with the velocity predicted one step further from the same
             gradient (``schemes.look_ahead_euler``); h = sqrt(lr), a = (1 - momentum)/h;
             mu_k = 1 - 3 h/t_k at t_k = (k + 2) h: the run starts at the time 2 h
Order        1
Stability    constant momentum: lr lambda < 2 (1 + momentum)/(1 + 2 momentum)
Scaling      lr ~ h^2, momentum = 1 - a h, weight_decay fixed
Weight decay coupled, g + weight_decay x for g (constant momentum only; otherwise add
             weight_decay |x|^2/2 to the objective)

With mu = (sqrt(kappa) - 1)/(sqrt(kappa) + 1) and lr = 1/L its spectral radius is 1 - 1/sqrt(kappa)
on an L-smooth quadratic of condition kappa: the factor per step in the long run.

Sources: Nesterov (1983); Su, Boyd, Candes, arXiv:1503.01243, eq. 1 and 3; [A003].
"""

import math
from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import heavy_ball_flow, mean_age, modified_gradient_flow, nesterov_flow
from ..method import Slot
from ..schemes import look_ahead_euler
from .base import Optimizer, nonnegative, number, positive


@kernel
def nesterov(k, p, x, g, s):
    """p = (lr, momentum, weight_decay); s = (v)."""
    lr, mu, decay = p[0], p[1], p[2]
    v = s[0]
    real = precision(x, g, s)
    lr, mu, decay = real(lr), real(mu), real(decay)
    for i in range(x.size):
        xi = x[i]
        step = lr * (g[i] + decay * xi)
        vi = mu * v[i] - step
        v[i] = vi
        x[i] = xi + mu * vi - step
    return np.sqrt(p[0])


@kernel
def nesterov_fading(k, p, x, g, s):
    """p = (lr, unused); s = (v); momentum (k - 1)/(k + 2)."""
    lr = p[0]
    mu, ahead = (k - 1.0) / (k + 2.0), k / (k + 3.0)
    v = s[0]
    real = precision(x, g, s)
    lr, mu, ahead = real(lr), real(mu), real(ahead)
    for i in range(x.size):
        step = lr * g[i]
        vi = mu * v[i] - step
        v[i] = vi
        x[i] = x[i] + ahead * vi - step
    return np.sqrt(p[0])


@dataclass(frozen=True)
class Nesterov(Optimizer):
    """Accelerated gradient; the position is the extrapolated point.

    Parameters
    ----------
    lr : float > 0
        The square of the step in flow time.
    momentum : float in [0, 1) or None, default 0.9
        None stands for (k - 1)/(k + 2).
    weight_decay : float >= 0, default 0

    Raises
    ------
    ValueError
        Also for weight decay with momentum None.
    """

    title = "Nesterov"
    momentum_name = "momentum"
    modified_orders = (1, 2)
    look = ("#AA3377", "v")

    lr: float = positive(scales="h^2")
    momentum: float | None = number(default=0.9, low=0.0, high=1.0, open_high=True, scales="1 - c h", optional=True)
    weight_decay: float = nonnegative(default=0.0)

    def __post_init__(self):
        super().__post_init__()
        if self.weight_decay and self.momentum is None:
            raise ValueError(f"weight_decay must be 0 with momentum=None, got {self.weight_decay}")

    @property
    def kernel(self):
        return nesterov_fading if self.momentum is None else nesterov

    @property
    def slots(self):
        return (Slot("velocity", "velocity", "x per step"),)

    @property
    def h(self):
        return math.sqrt(self.lr)

    @property
    def flow(self):
        if self.momentum is None:
            return nesterov_flow(3.0)
        return heavy_ball_flow((1 - self.momentum) / self.h, decay=self.weight_decay)

    @property
    def t0(self):
        """The fading momentum reads 1 - 3 h/t at t = 2 h first."""
        return 2 * self.h if self.momentum is None else 0.0

    @property
    def scheme(self):
        return look_ahead_euler

    @property
    def noise_enters(self):
        return None if self.momentum is None else (1, 1.0)

    def modified_flow(self, order):
        if self.momentum is None:
            raise ValueError("momentum must be constant for the modified flow of nesterov, got None")
        h = self.lr / (1 - self.momentum)
        return modified_gradient_flow(h, h * (0.5 + mean_age(self.momentum, ahead=True)), order=order,
                                      decay=self.weight_decay, name=self.title)

    def behind(self, k, x, s):
        """The iterate y_k behind the extrapolated point: x = y_k + m (y_k - y_{k-1}), where the slot keeps
        y_k - y_{k-1}; m = (k - 1)/(k + 2) for the fading momentum."""
        m = np.maximum(np.asarray(k) - 1, 0) / (np.asarray(k) + 2) if self.momentum is None else self.momentum
        return x - np.multiply.outer(m, np.ones(x.shape[-1])) * s[..., 0, :]

    def to_flow(self, x, s):
        return np.vstack([x[None, :], s / self.h])

    def stability_limit(self):
        if self.momentum is None:
            return self.limit(4 / 3, "4/3")
        return self.limit(2 * (1 + self.momentum) / (1 + 2 * self.momentum), "2 (1 + μ)/(1 + 2 μ)")
