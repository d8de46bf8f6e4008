"""RMSprop: gradient descent whose step is divided by a running root mean square of the gradient.

Forms (article 000 derives the method as error control: the step length gamma |g| is the error
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
         what makes RMSprop a consistent first-order scheme
Scaling  vector: lr ~ h, decay = 1 - h/tau, eps fixed; scalar: lr ~ h, decay fixed
Stability  frozen v: lr lambda/sqrt(v + eps) < 2; on (lambda/2) x^2 with eps = 0 the iterates end in
         the 2-cycle |x| = lr/2
Variants eps inside the root (article 000, TensorFlow) or outside (torch); bias correction

Sources: article 000, eq. 2 and 12-15; Hinton's lecture 6e in article 003 (decay = 0.9).
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel
from ..flows import gradient_flow, rmsprop_flow
from ..schemes import explicit_euler, semi_implicit_euler
from .base import Optimizer, fraction, nonnegative, positive, switch, variant


@kernel
def rmsprop(k, p, x, g, s):  # noqa: ARG001 - UPDATE signature
    """p = (lr, decay, eps inside the root, eps outside the root); s = (v)."""
    lr, new, inside, outside = p[0], 1.0 - p[1], p[2], p[3]
    v = s[0]
    for i in range(x.size):
        gi, vi = g[i], v[i]
        vi = vi + new * (gi * gi - vi)
        v[i] = vi
        x[i] = x[i] - lr * gi / (np.sqrt(vi + inside) + outside)
    return lr


@kernel
def rmsprop_corrected(k, p, x, g, s):  # noqa: ARG001 - UPDATE signature
    """p as ``rmsprop``; s = (v, q), q[0] = 1 - decay^k the weight of the average."""
    lr, new, inside, outside = p[0], 1.0 - p[1], p[2], p[3]
    v = s[0]
    q = s[1, 0] + new * (1.0 - s[1, 0])
    s[1, 0] = q
    for i in range(x.size):
        gi, vi = g[i], v[i]
        vi = vi + new * (gi * gi - vi)
        v[i] = vi
        x[i] = x[i] - lr * gi / (np.sqrt(vi / q + inside) + outside)
    return lr


@kernel
def rmsprop_scalar(k, p, x, g, s):  # noqa: ARG001 - UPDATE signature
    """p as ``rmsprop``; s = (v, q), both in element 0; q = 1 without bias correction (p[4] = 0).

    Returns gamma, the flow time of the step.
    """
    new = 1.0 - p[1]
    square = 0.0
    for i in range(g.size):
        square += g[i] * g[i]
    v = s[0, 0] + new * (square - s[0, 0])
    q = s[1, 0] + new * (1.0 - s[1, 0])
    s[0, 0], s[1, 0] = v, q
    gamma = p[0] / (np.sqrt((v / q if p[4] > 0.0 else v) + p[2]) + p[3])
    for i in range(x.size):
        x[i] = x[i] - gamma * g[i]
    return gamma


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Gradient divided by its running root mean square.

    Parameters
    ----------
    lr : float > 0
        Step in flow time (``vector``), step length (``scalar``).
    decay : float in [0, 1), default 0.9
    eps : float >= 0, default 1e-8
    form : {"vector", "scalar"}
    eps_mode : {"inside", "outside"}
    bias_correction : bool, default False
    """

    title = "RMSprop"

    lr: float = positive(scales="h")
    decay: float = fraction(0.9, scales="1 - c h")
    eps: float = nonnegative(1e-8)
    form: str = variant("vector", "scalar")
    eps_mode: str = variant("inside", "outside")
    bias_correction: bool = switch(False)

    @property
    def _scalar(self):
        return self.form == "scalar"

    @property
    def kernel(self):
        if self._scalar:
            return rmsprop_scalar
        return rmsprop_corrected if self.bias_correction else rmsprop

    @property
    def slots(self):
        return ("square", "weight") if self._scalar or self.bias_correction else ("square",)

    @property
    def p(self):
        """(lr, decay, eps inside the root, eps outside the root, 1 for bias correction)."""
        inside, outside = (self.eps, 0.0) if self.eps_mode == "inside" else (0.0, self.eps)
        return np.array([self.lr, self.decay, inside, outside, float(self.bias_correction)])

    def flow(self):
        if self._scalar:
            return gradient_flow()
        return rmsprop_flow(self.lr / (1 - self.decay), self.eps, eps_mode=self.eps_mode,
                            bias_correction=self.bias_correction)

    def scheme(self):
        return explicit_euler if self._scalar else semi_implicit_euler

    def consistent_start(self, x, g):
        s = np.zeros((len(self.slots), x.size))
        if self._scalar:
            s[0, 0], s[1, 0] = g @ g, 1.0
        elif not self.bias_correction:
            s[0] = g * g
        return s

    def scaling(self):
        return super().scaling() | ({"decay": "fixed"} if self._scalar else {})
