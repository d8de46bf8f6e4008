"""RMSprop: gradient descent whose step is divided by a running root mean square of the gradient.

Forms ([A000] derives the method as error control: the step length gamma |g| is the error
measure, and the mean smooths it):
  vector   v <- decay v + (1 - decay) g^2;    x <- x - lr g/sqrt(v + eps)       (eq. 15)
  scalar   v <- decay v + (1 - decay) |g|^2;  gamma = lr/sqrt(v + eps),
           x <- x - gamma g                                                     (eq. 14)
In one dimension the two are one (eq. 13).

Flow     vector: x' = -g/sqrt(v + eps), tau v' = g^2 - v with tau = lr/(1 - decay);
         scalar: gradient flow itself at the time t_n = sum of gamma_n
Scheme   vector: semi-implicit Euler, h = lr (the memory first, then the position with the new
         memory, one gradient); scalar: explicit Euler with step gamma_n
Order    scalar 1. Vector: **one half from the cold start v = 0**: the flow starts like sqrt(t)
         (v ~ g^2 t/tau, so x' ~ -sqrt(tau/t) sign g), the scheme's first steps are
         lr/sqrt(1 - decay) = sqrt(tau h) long, and no later step mends that. Started at
         v = g(x0)^2, or bias-corrected (v divided by 1 - decay^k), it is 1: bias correction is
         what makes RMSprop a consistent first-order scheme. (The half is the order at h above
         eps tau/g^2, eps inside the root: below it eps makes the start smooth, and the order 1)
         Centered: the same orders, its consistent start is v = g(x0)^2, m = 0; with bias correction
         none at practical steps from the cold start, since the corrected variance v/q - (m/q)^2 is of
         the size of t^2 there, so that x' ~ 1/t until eps takes over: only steps well below that time
         see it, and with them the order tends to 1 (.62 to .99 over seven levels from lr = .003, eps = .01)
Momentum b <- momentum b + g/sqrt(v + eps);  x <- x - lr b, with nesterov x <- x - lr (momentum b +
         g/sqrt(v + eps)): x'' + a x' + g/sqrt(v + eps) = 0 by partitioned Euler (v, then b, then x;
         nesterov: with look-ahead), h = sqrt(lr), a = (1 - momentum)/h, tau = h/(1 - decay). With lr_inside lr
         multiplies what enters the buffer, b <- momentum b + lr g/sqrt(v + eps); x <- x - b (keras, optax,
         TensorFlow): the same at constant lr; when lr changes, what is in the buffer keeps its size
Scaling  vector: lr ~ h (momentum: h^2), decay = 1 - h/tau, eps fixed; scalar: lr ~ h, decay fixed;
         weight_decay fixed
Stability  frozen v: lr lambda/sqrt(v + eps) < 2, with momentum 2 (1 + momentum), with nesterov
         2 (1 + momentum)/(1 + 2 momentum). Without, on (lambda/2) x^2 with eps = 0 the iterates end
         in the 2-cycle |x| = lr/2
Zero     with eps = 0 a coordinate whose v is 0 does not move (0/0 counts as 0; torch gives NaN)
Range    scalar: |g| is taken without overflow, but v = |g|^2 is kept in the arrays' precision: above |g| = 1.8e19 in
         float32 (1.3e154 in float64), over sqrt(1 - decay), v is infinite and x stays; below 1e-22 (1e-161) v is 0, and
         only eps is divided by
Variants eps inside the root ([A000], TensorFlow) or outside (torch); bias correction; centered:
         v minus the square of the running mean m of g; coupled weight decay, g + weight_decay x for g

Sources: [A000], eq. 2 and 12-15; Hinton's lecture 6e in [A003] (decay = 0.9).
"""

import math
from dataclasses import dataclass

import numpy as np

from ..abi import cold_path, kernel, precision
from ..flows import gradient_flow, mean_age, modified_root_flow, rmsprop_flow
from ..method import Slot
from ..schemes import explicit_euler, partitioned_euler, semi_implicit_euler
from ..sums import scaled_norm
from .base import Optimizer, fraction, nonnegative, positive, square_behind, switch, variant


@kernel
def rmsprop(k, p, x, g, s):
    """p = (lr, decay, eps, momentum unused, weight decay, 1 for eps inside, ...); s = (v)."""
    lr, new, inside, decay = p[0], 1.0 - p[1], p[2] * p[5], p[4]
    outside = p[2] - inside
    v = s[0]
    real = precision(x, g, s)
    lr, new, inside, outside, decay = real(lr), real(new), real(inside), real(outside), real(decay)
    old, zero = real(p[1]), real(0.0)
    for i in range(x.size):
        xi, vi = x[i], v[i]
        gi = g[i] + decay * xi
        vi = old * vi + new * gi * gi
        below = np.sqrt(vi + inside) + outside
        move = lr * gi / below
        v[i] = vi
        x[i] = xi - (move if below != zero else zero)
    return p[0]


@kernel
def rmsprop_corrected(k, p, x, g, s):
    """p as ``rmsprop``; s = (v, q), q[0] = 1 - decay^k the weight of the average."""
    lr, new, inside, decay = p[0], 1.0 - p[1], p[2] * p[5], p[4]
    outside = p[2] - inside
    v = s[0]
    q = s[1, 0] + new * (1.0 - s[1, 0])
    s[1, 0] = q
    root, inside = 1.0 / np.sqrt(q), inside * q
    real = precision(x, g, s)
    lr, new, inside, outside = real(lr), real(new), real(inside), real(outside)
    decay, root, old, zero = real(decay), real(root), real(p[1]), real(0.0)
    for i in range(x.size):
        xi, vi = x[i], v[i]
        gi = g[i] + decay * xi
        vi = old * vi + new * gi * gi
        below = np.sqrt(vi + inside) * root + outside
        move = lr * gi / below
        v[i] = vi
        x[i] = xi - (move if below != zero else zero)
    return p[0]


@kernel
def rmsprop_general(k, p, x, g, s):
    """p = (lr, decay, eps, momentum, weight decay, then switches: eps inside, bias correction,
    centered, nesterov, lr inside the buffer); s = (b, v, m, q), unused rows stay 0."""
    lr, new, mu, inside, decay = p[0], 1.0 - p[1], p[3], p[2] * p[5], p[4]
    outside = p[2] - inside
    heavy, centered, nesterov = mu > 0.0, p[7] > 0.0, p[8] > 0.0
    b, v, m = s[0], s[1], s[2]
    q = s[3, 0] + new * (1.0 - s[3, 0])
    s[3, 0] = q
    scale, root = 1.0, 1.0
    if p[6] > 0.0:
        scale, root, inside = 1.0 / q, 1.0 / np.sqrt(q), inside * q
    real = precision(x, g, s)
    lr, new, mu, inside, outside, decay = real(lr), real(new), real(mu), real(inside), real(outside), real(decay)
    scale, root, old, zero, most = real(scale), real(root), real(p[1]), real(0.0), real(np.inf)
    one = real(1.0)
    before, after = (lr, one) if p[9] > 0.0 else (one, lr)
    for i in range(x.size):
        xi, vi, mi = x[i], v[i], m[i]
        gi = g[i] + decay * xi
        vi = old * vi + new * gi * gi
        square = vi
        if centered:
            mi = old * mi + new * gi
            spread = vi - mi * (mi * scale)  # q times the variance: what is subtracted is at most v
            spread = zero if spread < zero else spread  # round-off may take it below 0; NaN stays
            square = spread if vi < most else vi
        below = np.sqrt(square + inside) * root + outside
        u = gi / below
        u = u if below != zero else zero
        u = before * u
        if heavy:
            bi = mu * b[i] + u
            b[i] = bi
            u = mu * bi + u if nesterov else bi
        v[i] = vi
        m[i] = mi
        x[i] = xi - after * u
    return np.sqrt(p[0]) if heavy else p[0]


@kernel
def rmsprop_scalar(k, p, x, g, s):
    """p as ``rmsprop``, p[6] = 1 for bias correction; s = (v, q), both in element 0.

    Returns gamma, the flow time of the step.
    """
    precision(x, g, s)  # refuses integers
    new, decay = 1.0 - p[1], p[4]
    inside = p[2] * p[5]
    if decay > 0.0:
        square = 0.0
        for i in range(g.size):
            gi = np.float64(g[i]) + decay * x[i]
            square += gi * gi
        square = new * square
        if not square < np.inf:  # new |g|^2 may be a number where |g|^2 is none
            cold_path()
            square = 0.0
            for i in range(g.size):
                gi = np.float64(g[i]) + decay * x[i]
                square += new * gi * gi
    else:
        scale, length = scaled_norm(g)
        square = new * length * length if scale == 1.0 else new * scale * length * scale * length
    v = p[1] * s[0, 0] + square
    q = s[1, 0] + new * (1.0 - s[1, 0])
    s[0, 0], s[1, 0] = v, q
    below = np.sqrt((v / q if p[6] > 0.0 else v) + inside) + (p[2] - inside)
    gamma = p[0] / below if below != 0.0 else 0.0
    for i in range(x.size):
        xi = x[i]
        x[i] = xi - gamma * (g[i] + decay * xi)
    return gamma


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Gradient divided by its running root mean square.

    Parameters
    ----------
    lr : float > 0
        Step in flow time (``vector``; its square with momentum), step length (``scalar``).
    decay : float in [0, 1), default 0.9
    eps : float >= 0, default 1e-8
        In the unit of g^2 (of g outside the root).
    form : {"vector", "scalar"}
    eps_mode : {"inside", "outside"}
    centered : bool, default False
    momentum : float in [0, 1), default 0
    nesterov, bias_correction : bool, default False
    weight_decay : float >= 0, default 0
        Coupled: added to the gradient as weight_decay x.
    lr_inside : bool, default False
        Whether lr multiplies what enters the buffer, not what leaves it.

    Raises
    ------
    ValueError
        Also for ``centered`` or ``momentum`` with ``form="scalar"``, ``nesterov`` or ``lr_inside`` without momentum.
    """

    title = "RMSprop"
    momentum_name = "momentum"
    modified_orders = (1, 2)
    look = ("#009E73", "s")

    lr: float = positive(scales="h")
    decay: float = fraction(default=0.9, scales="1 - c h")
    eps: float = nonnegative(default=1e-8)
    form: str = variant("vector", "scalar")
    eps_mode: str = variant("inside", "outside")
    centered: bool = switch(False)
    momentum: float = fraction(default=0.0, scales="1 - c h")
    nesterov: bool = switch(False)
    bias_correction: bool = switch(False)
    weight_decay: float = nonnegative(default=0.0)
    lr_inside: bool = switch(False)

    def __post_init__(self):
        super().__post_init__()
        if self._scalar and (self.centered or self.momentum):
            raise ValueError("form must be 'vector' with centered=True or momentum, got 'scalar'")
        for name in ("nesterov", "lr_inside"):
            if getattr(self, name) and not self.momentum:
                raise ValueError(f"{name} must be False without momentum, got True")

    @property
    def _scalar(self):
        return self.form == "scalar"

    @property
    def _general(self):
        return self.centered or self.momentum > 0

    @property
    def reduces(self):
        return self._scalar

    @property
    def kernel(self):
        if self._scalar:
            return rmsprop_scalar
        if self._general:
            return rmsprop_general
        return rmsprop_corrected if self.bias_correction else rmsprop

    @property
    def slots(self):
        square, weight = Slot("square", "square", "g^2"), Slot("weight", "weight")
        if self._general:
            unit = "x per step" if self.lr_inside else "x per step/lr"
            return (Slot("buffer", "velocity", unit), square, Slot("mean", "average", "g"), weight)
        return (square, weight) if self._scalar or self.bias_correction else (square,)

    @property
    def p(self):
        """(lr, decay, eps, momentum, weight_decay, then 1 for: eps inside the root, bias correction,
        centered, nesterov, lr inside the buffer)."""
        return self.numbers_and(self.eps_mode == "inside", self.bias_correction, self.centered, self.nesterov,
                                self.lr_inside)

    def declared_order(self, start="cold"):
        order = super().declared_order(start)
        if start == "consistent" or self._scalar:
            return order
        return 0.5 if not self.bias_correction else None if self.centered else order

    @property
    def order_condition(self):
        """Below it eps makes the cold start smooth, and its order 1."""
        if not self.eps or self._scalar or self.bias_correction:
            return ""
        return "from the cold start h above " + ("eps tau/g^2" if self.eps_mode == "inside" else "eps^2 tau/g^2")

    def held(self, slot, preconditioner):
        return square_behind(preconditioner, self.eps, self.eps_mode == "inside", self.decay)

    def stability_limit(self):
        bare = 2 * (1 + self.momentum)
        if self.nesterov:
            return self.limit(bare / (1 + 2 * self.momentum), "2 (1 + μ)/(1 + 2 μ)")
        return self.limit(bare, "2 (1 + μ)" if self.momentum else "2")

    @property
    def projection_is_sound(self):
        """Not centered: that mean square may vanish at an active bound."""
        return not self._general

    @property
    def h(self):
        return math.sqrt(self.lr) if self.momentum else self.lr

    @property
    def flow(self):
        if self._scalar:
            return gradient_flow(self.weight_decay)
        h = self.h
        return rmsprop_flow(h / (1 - self.decay), self.eps, eps_mode=self.eps_mode, decay=self.weight_decay,
                            bias_correction=self.bias_correction, centered=self.centered,
                            friction=(1 - self.momentum) / h if self.momentum else None)

    @property
    def scheme(self):
        if self._scalar:
            return explicit_euler
        return partitioned_euler((2, 1, 0, 0, 0), look_ahead=self.nesterov) if self.momentum else semi_implicit_euler

    def to_flow(self, x, s):
        """The buffer, in units of one step, becomes the velocity x'."""
        if not self.momentum:
            return super().to_flow(x, s)
        return np.vstack([x[None, :], -(1 / self.h if self.lr_inside else self.h) * s[:1], s[1:]])

    def consistent_start(self, x, g):
        s = np.zeros((len(self.slots), x.size))
        g = g + self.weight_decay * x
        if self._scalar:
            s[0, 0], s[1, 0] = g @ g, 1.0
        elif self.centered or not self.bias_correction:
            s[1 if self._general else 0] = g * g
            if self.bias_correction:
                s[-1, 0] = 1.0
        return s

    def scaling(self):
        laws = super().scaling()
        if self._scalar:
            laws |= {"decay": "fixed"}
        if self.momentum:
            return laws | {"lr": "h^2"}
        return laws | {"momentum": "fixed"}

    def modified_flow(self, order):
        """A buffer of quotients holds numerator and root back alike."""
        for name, needed in (("form", "vector"), ("centered", False)):
            if getattr(self, name) != needed:
                raise ValueError(f"{name} must be {needed!r} for the modified flow of rmsprop, "
                                 f"got {getattr(self, name)!r}")
        buffer = mean_age(self.momentum, self.nesterov)
        root = buffer + mean_age(self.decay)
        return modified_root_flow(self.lr / (1 - self.momentum), buffer / (1 + buffer), root / (1 + root), self.eps,
                                  order=order, eps_mode=self.eps_mode, decay=self.weight_decay, name=self.title)
