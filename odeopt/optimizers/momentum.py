"""Momentum: semi-implicit Euler, or Störmer–Verlet, on the heavy ball.

Forms, by name (g = gradient at x; the iterates of one form are another's with other numbers):
  heavy_ball   v <- momentum v - lr g;                     x <- x + v
  torch        b <- momentum b + (1 - dampening) g;        x <- x - lr b   (step 0: b <- g)
  ema          m <- momentum m + (1 - momentum) g;         x <- x - lr m

Flow         x'' + a x' + g = 0; for ``ema`` tau x'' + x' + g = 0, written x' = -m, tau m' = g - m
Scheme       the same iterates have two readings: pairs of a flow and a scheme that give them (``reading``):
  symplectic_euler   h = sqrt(lr), a = (1 - momentum)/h: semi-implicit Euler, order 1
  stormer_verlet     h = sqrt(2 lr/(1 + momentum)), a h/2 = (1 - momentum)/(1 + momentum):
                     central differences, **order 2** from the start v = lr g0/(2 momentum),
                     which is the half-step velocity of a ball at rest; order 1 from v = 0
             for ``ema`` h = lr, tau = lr/(1 - momentum): semi-implicit Euler, order 1
             for ``torch`` lr (1 - dampening) takes the place of lr; its first buffer is g, not
             (1 - dampening) g, so that with dampening the iterates are those of no scheme from the
             flow's start (from the second step on they are semi-implicit Euler's); order 1 all the same
Stability    lr lambda < 2 (1 + momentum); ``ema``: lr lambda < 2 (1 + momentum)/(1 - momentum)
Scaling      lr ~ h^2, momentum = 1 - a h; Verlet: lr = h^2/(1 + a h/2),
             momentum = (1 - a h/2)/(1 + a h/2); ``ema``: lr ~ h, momentum = 1 - h/tau
Constant slope   v tends to -lr g/(1 - momentum): momentum .99 is a factor 100 ([A003])
Weight decay     coupled: g + weight_decay x enters the buffer (torch);
                 decoupled: x <- (1 - lr weight_decay) x besides the step

With momentum fixed and lr -> 0 the same iterates follow gradient flow in the time
h = lr/(1 - momentum), after a transient of some 1/(1 - momentum) steps.

Sources: Polyak (1964); [A003]; the Verlet reading: central differences, see
``odeopt.schemes.stormer_verlet``.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from .. import checks
from ..abi import kernel, precision
from ..flows import averaged_gradient_flow, heavy_ball_flow, mean_age, modified_gradient_flow
from ..method import Slot
from ..schemes import semi_implicit_euler, stormer_verlet
from .base import Optimizer, fraction, nonnegative, positive, variant


@kernel
def heavy_ball(k, p, x, g, s):
    """p = (lr, momentum, dampening unused, weight decay, 1 for decoupled); s = (v)."""
    lr, mu, outer = p[0], p[1], p[3] * p[4]
    inner = p[3] - outer
    keep = 1.0 - lr * outer
    v = s[0]
    real = precision(x, g, s)
    lr, mu, inner, keep = real(lr), real(mu), real(inner), real(keep)
    for i in range(x.size):
        xi = x[i]
        vi = mu * v[i] - lr * (g[i] + inner * xi)
        v[i] = vi
        x[i] = keep * xi + vi
    return np.sqrt(p[0])


@kernel
def torch_momentum(k, p, x, g, s):
    """p = (lr, momentum, dampening, weight decay, 1 for decoupled); s = (b)."""
    lr, mu, outer = p[0], p[1], p[3] * p[4]
    inner = p[3] - outer
    new = 1.0 - p[2] if k > 0 else 1.0  # torch's first buffer is the gradient itself
    keep = 1.0 - lr * outer
    b = s[0]
    real = precision(x, g, s)
    lr, mu, inner, keep, new = real(lr), real(mu), real(inner), real(keep), real(new)
    for i in range(x.size):
        xi = x[i]
        bi = mu * b[i] + new * (g[i] + inner * xi)
        b[i] = bi
        x[i] = keep * xi - lr * bi
    return np.sqrt(p[0] * (1.0 - p[2]))


@kernel
def averaged_momentum(k, p, x, g, s):
    """p = (lr, momentum, dampening unused, weight decay, 1 for decoupled); s = (m)."""
    lr, outer = p[0], p[3] * p[4]
    inner = p[3] - outer
    new = 1.0 - p[1]
    keep = 1.0 - lr * outer
    m = s[0]
    real = precision(x, g, s)
    lr, inner, keep, new, old = real(lr), real(inner), real(keep), real(new), real(p[1])
    for i in range(x.size):
        xi, mi = x[i], m[i]
        mi = old * mi + new * (g[i] + inner * xi)
        m[i] = mi
        x[i] = keep * xi - lr * mi
    return p[0]


@kernel
def verlet_momentum(k, p, x, g, s):
    """``heavy_ball`` with the flow time of the Verlet reading."""
    heavy_ball(k, p, x, g, s)
    return np.sqrt(2.0 * p[0] / (1.0 + p[1]))


_KERNELS = {"heavy_ball": heavy_ball, "torch": torch_momentum, "ema": averaged_momentum}


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Gradient descent with momentum.

    Parameters
    ----------
    lr : float > 0
    momentum : float in [0, 1), default 0.9
    dampening : float in [0, 1), default 0
        For ``form="torch"`` with momentum only.
    form : {"heavy_ball", "torch", "ema"}
    reading : {"symplectic_euler", "stormer_verlet"}
        A reading is a flow and a scheme whose iterates are those of the update: it sets the step h and the
        friction that ``lr`` and ``momentum`` stand for, and changes no iterate. ``ema`` has one reading only.
    weight_decay : float >= 0, default 0
    weight_decay_mode : {"coupled", "decoupled"}

    Raises
    ------
    ValueError
        A value outside its range; ``dampening`` without ``form="torch"`` or without momentum;
        ``reading`` Verlet for another form than ``heavy_ball``, with weight decay or without momentum.
    """

    title = "momentum"
    momentum_name = "momentum"
    modified_orders = (1, 2)
    look = ("#D55E00", "^")

    lr: float = positive(scales="h^2")
    momentum: float = fraction(default=0.9, scales="1 - c h")
    dampening: float = fraction(default=0.0)
    form: str = variant("heavy_ball", "torch", "ema")
    reading: str = variant("symplectic_euler", "stormer_verlet")
    weight_decay: float = nonnegative(default=0.0)
    weight_decay_mode: str = variant("coupled", "decoupled")

    def __post_init__(self):
        super().__post_init__()
        if self.dampening and self.form != "torch":
            raise ValueError(f"dampening must be 0 unless form='torch', got {self.dampening}")
        if self.dampening and not self.momentum:
            raise ValueError(f"dampening must be 0 without momentum (torch ignores it there), got {self.dampening}")
        if self._verlet and (self.form != "heavy_ball" or self.weight_decay):
            raise ValueError("reading must be 'symplectic_euler' unless form='heavy_ball' without weight decay")
        if self._verlet and not self.momentum:
            raise ValueError("momentum must be > 0 with reading='stormer_verlet' (at 0 the update forgets the "
                             f"half-step velocity that the reading starts from), got {self.momentum}")

    @property
    def _verlet(self):
        return self.reading == "stormer_verlet"

    @property
    def kernel(self):
        return verlet_momentum if self._verlet else _KERNELS[self.form]

    @property
    def slots(self):
        return ({"heavy_ball": Slot("velocity", "velocity", "x per step"), "torch": Slot("buffer", "velocity", "g"),
                 "ema": Slot("mean", "average", "g")}[self.form],)

    @property
    def p(self):
        """(lr, momentum, dampening, weight_decay, 1 for decoupled)."""
        return self.numbers_and(self._decoupled)

    def declared_order(self, start="cold"):
        return 2.0 if self._verlet and start == "consistent" else super().declared_order(start)

    def stability_limit(self):
        bare = 2 * (1 + self.momentum)
        if self.form == "ema":
            return self.limit(bare / (1 - self.momentum), "2 (1 + μ)/(1 - μ)")
        return self.limit(bare / (1 - self.dampening), "2 (1 + μ)" + "/(1 - dampening)" * bool(self.dampening))

    @property
    def h(self):
        if self.form == "ema":
            return self.lr
        if self._verlet:
            return math.sqrt(2 * self.lr / (1 + self.momentum))
        return math.sqrt(self.lr * (1 - self.dampening))

    @property
    def flow(self):
        h, (inner, outer) = self.h, self.split_decay()
        if self.form == "ema":
            return averaged_gradient_flow(h / (1 - self.momentum), decay=inner, drift=outer)
        if self._verlet:
            return heavy_ball_flow(2 / h * (1 - self.momentum) / (1 + self.momentum))
        return heavy_ball_flow((1 - self.momentum) / h, decay=inner, drift=self.lr * outer / h)

    @property
    def scheme(self):
        if self.dampening:  # torch's first buffer is g, not (1 - dampening) g
            return None
        return stormer_verlet if self._verlet else semi_implicit_euler

    @property
    def noise_enters(self):
        return 1, (1 - self.momentum) / self.h if self.form == "ema" else 1.0

    def modified_flow(self, order):
        inner, outer = self.split_decay()
        h = self.lr if self.form == "ema" else self.lr * (1 - self.dampening) / (1 - self.momentum)
        return modified_gradient_flow(h, h * (0.5 + mean_age(self.momentum)), order=order, decay=inner,
                                      drift=self.lr * outer / h, name=self.title)

    def settle(self, x, g, s):
        """A run's first gradient enters torch's buffer undamped: that is taken out."""
        if self.dampening:
            s[0] -= self.dampening / self.momentum * (g + self.split_decay()[0] * x)

    def to_flow(self, x, s):
        """Velocity per step becomes velocity per flow time (sign and lr as the form has them)."""
        unit = {"heavy_ball": 1 / self.h, "torch": -self.lr / self.h, "ema": 1.0}[self.form]
        return np.vstack([x[None, :], unit * s])

    def consistent_start(self, x, g):
        """Rest for the heavy ball, as its reading needs it; m = g (the slow manifold) for ``ema``."""
        if self.form == "ema":
            return np.array([g])
        return np.array([0.5 * self.lr / self.momentum * g]) if self._verlet else np.zeros((1, x.size))

    def flow_start(self, x, g, start="cold"):
        """Both starts of the Verlet reading stand for a ball at rest: its slot is a half-step velocity."""
        return self.flow.start(x) if self._verlet else super().flow_start(x, g, start)

    def scaling(self):
        laws = super().scaling()
        if self.form == "ema":
            laws |= {"lr": "h"}
        elif self.weight_decay_mode == "decoupled":
            laws |= {"weight_decay": "1/h"}
        if self._verlet:
            laws |= {"lr": "h^2/(1 + c h)", "momentum": "(1 - c h)/(1 + c h)"}
        return laws

    def refined(self, factor):
        if not self._verlet:
            return super().refined(factor)
        h = self.h / checks.real("factor", factor, 1e-100, 1e100)
        half = 0.5 * self.flow.constants["a"] * h
        return replace(self, lr=h * h / (1 + half), momentum=(1 - half) / (1 + half))
