"""Amos: gradient over its root mean square, with a weight decay that cancels Euler's own growth.

Update, M = mean over the reduced axes of an array, v, b of the reduced shape, xi = lr, phi = finetune:
  v <- beta v + (1 - beta) M(g^2);   r = (1 - beta^k)/max(v, 2^-125)
  c = (1 + c_coef sqrt(xi) b)^-1/2;  d = (1 + d_coef sqrt(xi eta) b)^-1
  gamma = sqrt(phi) c xi^2 r M(g^2)
  x <- x + phi d (-xi eta sqrt(r) g - gamma x/2)
  b <- b + gamma (phi + b)
With momentum > 0 the increment of x is averaged, mean <- momentum mean + (1 - momentum) increment
(not corrected), and x moves by the mean.

Flow         no classical one. The decay term is of second order in xi by construction: it is there
             to cancel the O(xi^2) growth of |x|^2 that explicit Euler adds ([A004]). In the
             limit xi -> 0 with beta = 1 - xi/tau it disappears, b stays 0 and the bias-corrected
             RMSprop flow with a reduced mean square remains, x' = -eta sqrt(q/v) g; the decays c
             and d act over 1/xi^2 steps
Scheme       none, for want of a flow; h = lr
Stability    frozen v, b = 0: lr eta sqrt(r) lambda + gamma/2 < 2
Long run     with r M(g^2) = 1 b grows like lr^(7/2) k^2/(4 c_coef): the learning rate falls like k^-2
Reduction    an array of ``update`` is one variable: axis=None averages over all of it, an int or a
             tuple of adjacent axes over these (one v, b for each index of the others), axis=()
             over none. In ``record`` x is an array of one axis. eta is the size that entries are expected
             to reach: give every variable its own, by groups (see ``Optimizer.init``)
Choices      lr about 1/sqrt(number of batches) ([A004]: 1e-3, for easy tasks 1e-2). eta is the article's
             sigma, |x_0 - x*| = sqrt(n) sigma: .5 for variables that start at 0 or 1 (biases, scales), the
             standard deviation of the start for others. (Were x_0 and x* independent with one sigma, it would
             be sqrt(2 n) sigma: a matter of size only)
The article  instead of this recursion sets lr and decay by alpha_0 |x_0 - x*|/|u| and alpha_0^2/2 over
             2 alpha_0 p_0 k + 1 (examples 34 and 35, ``schedules.inverse_time``)

Sources: Tian, Parikh, arXiv:2210.11693, algorithm 1; the constants' names and the floor 2^-125 from
the authors' code (google-research/jestimator); [A004].
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import checks
from ..abi import kernel, precision
from ..method import Slot
from ..sums import sum_of_squares
from .base import Optimizer, fraction, nonnegative, positive

_FLOOR = 2.0**-125


@kernel
def amos(k, p, x, g, s):
    """p = (lr, eta, beta, c_coef, d_coef, finetune, momentum, then the array's shape: entries before,
    along and after the reduced axes, 0 0 0 for all of x); s = (v, b, q, mean), of v and b the
    first before * after entries, of q the first; the row mean only with momentum."""
    xi, eta, new, phi, mu = p[0], p[1], 1.0 - p[2], p[5], p[6]
    outer, along, inner = int(p[7]), int(p[8]), int(p[9])
    if along == 0:
        outer, along, inner = 1, x.size, 1
    q = s[2, 0] + new * (1.0 - s[2, 0])
    s[2, 0] = q
    root, root_eta = p[3] * np.sqrt(xi), p[4] * np.sqrt(xi * eta)
    real = precision(x, g, s)
    kept, fresh = real(mu), real(1.0 - mu)
    for o in range(outer):
        for i in range(inner):
            block, first = o * inner + i, o * along * inner + i
            part = slice(first, first + (along - 1) * inner + 1, inner)
            xs, gs = x[part], g[part]
            square = sum_of_squares(gs) / along
            v, b = float(s[0, block]), float(s[1, block])
            v = p[2] * v + new * square
            r = q / max(v, _FLOOR)
            c = 1.0 / np.sqrt(1.0 + root * b)
            d = 1.0 / (1.0 + root_eta * b)
            gamma = np.sqrt(phi) * c * xi * xi * r * square if r != 0.0 else 0.0  # a square that overflowed: 0, not NaN
            s[0, block] = v
            s[1, block] = b + gamma * (phi + b)
            along_g, along_x = real(phi * d * xi * eta * np.sqrt(r)), real(phi * d * 0.5 * gamma)
            if mu > 0.0:
                mean = s[3][part]
                for a in range(along):
                    xa = xs[a]
                    move = kept * mean[a] - fresh * (along_g * gs[a] + along_x * xa)
                    mean[a] = move
                    xs[a] = xa + move
            else:
                for a in range(along):
                    xa = xs[a]
                    xs[a] = xa - (along_g * gs[a] + along_x * xa)
    return xi


def _axis(name, value):
    if value is None or isinstance(value, tuple) and not value:
        return value
    axes = value if isinstance(value, tuple) else (value,)
    axes = tuple(checks.integer(name, axis) for axis in axes)
    if axes != tuple(range(axes[0], axes[0] + len(axes))):
        raise ValueError(f"{name} must be None, an axis or a tuple of adjacent axes in rising order, "
                         f"got {checks.shown(value)}")
    return axes


@dataclass(frozen=True)
class Amos(Optimizer):
    """Adaptive weight decay towards a model-oriented scale.

    Parameters
    ----------
    lr : float > 0
        xi of the paper, a pure number.
    eta : float > 0, default 1
        Expected size of the entries of x.
    beta : float in [0, 1), default 0.999
    c_coef, d_coef : float >= 0, defaults 0.25
    finetune : float > 0, default 1
    momentum : float in [0, 1), default 0
    axis : None, int or tuple of adjacent ints
        Axes of each array over which the mean square is taken; None: all.
    """

    title = "Amos"
    momentum_name = "momentum"
    look = ("#7A3DB8", "*")

    lr: float = positive()
    eta: float = positive(default=1.0)
    beta: float = fraction(default=0.999)
    c_coef: float = nonnegative(default=0.25)
    d_coef: float = nonnegative(default=0.25)
    finetune: float = positive(default=1.0)
    momentum: float = fraction(default=0.0)
    axis: Any = field(default=None, metadata={"check": _axis, "numeric": False})

    kernel = staticmethod(amos)

    @property
    def slots(self):
        return (Slot("square", "square", "g^2"), Slot("decay", "step"), Slot("weight", "weight"),
                Slot("mean move", "velocity", "x"))[: 4 if self.momentum else 3]

    @property
    def p(self):
        """(lr, eta, beta, c_coef, d_coef, finetune, momentum, 0, 0, 0): for ``axis=None``; ``p_for`` has the rest."""
        return self.numbers_and(0, 0, 0)

    def p_for(self, array):
        """``p`` with the array's shape: entries before, along and after the reduced axes."""
        if self.axis is None:
            return super().p_for(array)
        shape = np.shape(array)
        if self.axis == ():
            return self.numbers_and(np.size(array), 1, 1)
        first, last = self.axis[0], self.axis[-1] + 1
        if last > len(shape):
            raise ValueError(f"axis must be within the array's {len(shape)} dimensions, got {self.axis}")
        parts = (shape[:first], shape[first:last], shape[last:])
        return self.numbers_and(*(int(np.prod(part, dtype=int)) for part in parts))

    def refined(self, factor):
        raise ValueError("refined needs a method with a flow, and amos has none")
