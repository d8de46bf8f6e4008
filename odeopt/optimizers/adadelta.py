"""Adadelta: RMSprop whose learning rate is the running root mean square of its own steps.

Update     v <- rho v + (1 - rho) g^2;  d = sqrt(u + eps_step)/sqrt(v + eps) g
           x <- x - lr d;  u <- rho u + (1 - rho) d^2
Flow       x' = -lr y, y = sqrt((U + e)/(v + eps)) g, v' = g^2 - v, U' = y^2 - U, in the time unit
           1/(1 - rho) steps: h = 1 - rho, U = u/h^2, e = eps_step/h^2
Scheme     partitioned Euler, h = 1 - rho: v first, then x and u together
Order      1 from v = g(x0)^2. From the cold start v = 0 **none at practical steps**: there
           v ~ g^2 t, so U' = (U + e)/t: U grows by the factor t/t_eps from t_eps = eps/g^2 on in the
           flow, and by t/h in the scheme, whose first step is at h. Below h = t_eps (for eps = 0.1,
           say) the order tends to 1
Scaling    rho = 1 - h, eps_step ~ h^2, lr and eps fixed. The paper has one eps for both roots; then
           a smaller step is another flow (e = eps/h^2 grows), and at practical h there is no limit
Stability  frozen v, u: lr sqrt((u + eps_step)/(v + eps)) lambda < 2
Restart    u starts at 0, so the first steps are about lr sqrt(eps_step/(1 - rho)) long

With eps = 0 a coordinate whose v is 0 does not move (0/0 counts as 0; torch gives NaN).

Weight decay, coupled: g + weight_decay x for g (torch), fixed; decoupled: x <- x - lr weight_decay x besides the
step (keras), a drift lr weight_decay/h, so that weight_decay ~ h.

lr = 1 is the paper's method; another lr multiplies the step and is not seen by u (torch, keras).

Sources: Zeiler, arXiv:1212.5701, algorithm 1; [A003].
"""

from dataclasses import dataclass, replace

import numpy as np

from .. import checks
from ..abi import kernel, precision
from ..flows import adadelta_flow
from ..method import Slot
from ..schemes import partitioned_euler
from .base import Optimizer, fraction, nonnegative, number, positive, square_behind, variant


@kernel
def adadelta(k, p, x, g, s):
    """p = (lr, rho, eps, eps_step, weight decay, 1 for decoupled); s = (v, u)."""
    lr, new, eps, eps_step = p[0], 1.0 - p[1], p[2], p[3]
    outer = p[4] * p[5]
    inner, keep = p[4] - outer, 1.0 - lr * outer
    v, u = s[0], s[1]
    real = precision(x, g, s)
    lr, old, new, eps, eps_step, zero = real(lr), real(p[1]), real(new), real(eps), real(eps_step), real(0.0)
    inner, keep = real(inner), real(keep)
    for i in range(x.size):
        vi, ui, xi = v[i], u[i], x[i]
        gi = g[i] + inner * xi
        vi = old * vi + new * gi * gi
        below = vi + eps
        d = np.sqrt((ui + eps_step) / below) * gi  # one root, not two: roots are what takes the time
        d = d if below != zero else zero
        ui = old * ui + new * d * d
        v[i] = vi
        u[i] = ui
        x[i] = keep * xi - lr * d
    return 1.0 - p[1]


@dataclass(frozen=True)
class Adadelta(Optimizer):
    """Adaptive learning rate without a learning rate.

    Parameters
    ----------
    lr : float > 0, default 1
        Pure number.
    rho : float in [0, 1), default 0.9
    eps : float >= 0, default 1e-6
        Under the root of v, in the unit of g^2.
    eps_step : float > 0 or None, default None
        Under the root of u, in the unit of x^2. None: the number ``eps``, as in the paper.
    weight_decay : float >= 0, default 0
    weight_decay_mode : {"coupled", "decoupled"}
    """

    title = "Adadelta"
    look = ("#2F9E95", "h")

    lr: float = positive(default=1.0)
    rho: float = fraction(default=0.9, scales="1 - c h")
    eps: float = nonnegative(default=1e-6)
    eps_step: float | None = number(default=None, low=0.0, open_low=True, scales="h^2", optional=True)
    weight_decay: float = nonnegative(default=0.0)
    weight_decay_mode: str = variant("coupled", "decoupled")

    kernel = staticmethod(adadelta)

    def __post_init__(self):
        super().__post_init__()
        if self.eps_step is None and self.eps == 0:
            raise ValueError("eps_step must be given (> 0) when eps is 0: nothing would ever move")

    @property
    def _eps_step(self):
        return self.eps if self.eps_step is None else self.eps_step

    @property
    def slots(self):
        return (Slot("square", "square", "g^2"), Slot("square step", "square", "x^2"))

    @property
    def p(self):
        """(lr, rho, eps, eps_step, weight_decay, 1 for decoupled)."""
        return np.array([self.lr, self.rho, self.eps, self._eps_step, self.weight_decay, self._decoupled])

    @property
    def h(self):
        return 1 - self.rho

    def declared_order(self, start="cold"):
        return None if start == "cold" else super().declared_order(start)

    def held(self, slot, preconditioner):
        """sqrt(v + eps) against sqrt(u + eps_step), which is set to 1."""
        if slot.name == "square step":
            return 1.0 - self._eps_step
        return square_behind(preconditioner, self.eps, True, self.rho)

    def stability_limit(self):
        return self.limit(2.0, "2")

    @property
    def flow(self):
        inner, outer = self.split_decay()
        return adadelta_flow(1.0, self.eps, self._eps_step / self.h**2, self.lr, decay=inner,
                             drift=outer * self.lr / self.h)

    @property
    def scheme(self):
        return partitioned_euler((1, 0, 1))

    def to_flow(self, x, s):
        return np.vstack([x[None, :], s[:1], s[1:] / self.h**2])

    def consistent_start(self, x, g):
        g = g + self.split_decay()[0] * x
        return np.array([g * g, np.zeros_like(g)])

    def scaling(self):
        return super().scaling() | {"weight_decay": "h" if self._decoupled else "fixed"}

    def refined(self, factor):
        """Also gives ``eps_step`` a value of its own, which the flow needs fixed as eps_step/h^2."""
        factor = checks.real("factor", factor, 1e-100, 1e100)
        decay = self.weight_decay / factor if self._decoupled else self.weight_decay
        return replace(self, rho=1 - self.h / factor, eps_step=self._eps_step / factor**2, weight_decay=decay)
