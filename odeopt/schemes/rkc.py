"""Runge-Kutta-Chebyshev: s gradients per step for a stability interval that grows like s^2. Order 1.

On z' = lambda z one step multiplies by

    R_s(u) = T_s(w0 + w1 u)/T_s(w0),   u = h lambda,  w0 = 1 + damping/s^2,  w1 = T_s(w0)/T_s'(w0)

which stays within 1/T_s(w0) on [-(w0 + 1)/w1, -(w0 - 1)/w1] and within 1 on [-2 w0/w1, 0]; without
damping that is 2 s^2 long, at damping 0.05 about 1.93 s^2, against 2 s for s steps of explicit Euler.
The stages follow the three-term recursion of the Chebyshev polynomials and so are stable too
(T_j at w0, T_j' its derivative there):

    y_1 = y_0 + (w1/w0) h F(t, y_0)
    y_j = y_{j-1} + (T_{j-2}/T_j) (y_{j-1} - y_{j-2}) + 2 w1 (T_{j-1}/T_j) h F(t + c_{j-1} h, y_{j-1})
    c_j = w1 T_j'/T_j

which is gradient descent with momentum inside the step. As a descent method: with
damping = 2 s^2/(kappa - 1) and h = (w0 - 1)/(w1 mu), one step is s steps of gradient descent with
Chebyshev step sizes (``odeopt.schemes.chebyshev``) on a quadratic with curvatures in [mu, L].

Sources: van der Houwen, Sommeijer (1980), the first-order member; Eftekhari, Vandereycken,
Vilmart, Zygalakis, arXiv:1805.07199.
"""

import math
from dataclasses import dataclass

import numpy as np

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import Scheme

_MOST_STAGES = 10_000  # their coefficients are one loop, and round-off grows with the square of their number


@kernel
def step(rhs, fg, hv, data, p, t, h, z, w):
    """Workspace: F, then y_{j-2}, y_{j-1} by turns; the end of p: (s, w0, w1)."""
    rows, n = z.shape
    stages, w0, w1 = int(p[-3]), p[-2], p[-1]
    field, older, newer = w[:rows], w[rows : 2 * rows], w[2 * rows : 3 * rows]
    rhs(fg, hv, data, t, p, z, field)
    first = h * w1 / w0
    for j in range(rows):
        for i in range(n):
            older[j, i] = z[j, i]
            newer[j, i] = z[j, i] + first * field[j, i]
    # T_{j-2}, T_{j-1} at w0 and their derivatives (stage times c_j = w1 T_j'/T_j)
    t_old, t_new, d_old, d_new = 1.0, w0, 0.0, 1.0
    for _ in range(2, stages + 1):
        rhs(fg, hv, data, t + h * w1 * d_new / t_new, p, newer, field)
        t_next = 2.0 * w0 * t_new - t_old
        d_next = 2.0 * t_new + 2.0 * w0 * d_new - d_old
        nu = t_old / t_next
        gain = 2.0 * w1 * h * t_new / t_next
        # 2 w0 T_{m-1}/T_m = 1 + nu: written as an increment, so that rest is kept exactly
        for j in range(rows):
            for i in range(n):
                y = newer[j, i]
                ahead = y + nu * (y - older[j, i]) + gain * field[j, i]
                older[j, i] = y
                newer[j, i] = ahead
        t_old, t_new, d_old, d_new = t_new, t_next, d_new, d_next
    for j in range(rows):
        for i in range(n):
            z[j, i] = newer[j, i]
    return 0.0


@dataclass(frozen=True)
class ChebyshevCoefficients:
    """What ``stages`` and ``damping`` amount to.

    |R_s| <= 1 on [-``interval``, 0] and on no longer one; |R_s| <= ``bound`` = 1/T_s(w0) on
    [-``outer``, -``inner``].
    """

    stages: int
    w0: float
    w1: float
    interval: float
    outer: float
    inner: float
    bound: float

    def polynomial(self, u):
        """R_s(u) for real or complex ``u`` (array)."""
        u = np.asarray(u)
        older, newer = np.ones_like(u, dtype=np.result_type(u, float)), self.w0 + self.w1 * u
        for _ in range(self.stages - 1):
            older, newer = newer, 2 * (self.w0 + self.w1 * u) * newer - older
        return newer * self.bound


def chebyshev_coefficients(stages, damping=0.05):
    """w0, w1 and the stability interval of the s-stage scheme."""
    s = checks.integer("stages", stages, 1, _MOST_STAGES)
    w0 = 1 + checks.real("damping", damping, 0.0) / s**2
    t_old, t_new, d_old, d_new = 1.0, w0, 0.0, 1.0
    for _ in range(s - 1):
        t_old, t_new, d_old, d_new = t_new, 2 * w0 * t_new - t_old, d_new, 2 * t_new + 2 * w0 * d_new - d_old
    if not math.isfinite(d_new):
        raise ValueError(f"damping must be so small that the stability polynomial is finite, got {damping:g} for {s} "
                         "stages")
    w1 = t_new / d_new
    return ChebyshevCoefficients(s, w0, w1, 2 * w0 / w1, (w0 + 1) / w1, (w0 - 1) / w1, 1 / t_new)


@factory
def runge_kutta_chebyshev(stages=10, damping=0.05):
    """The scheme with 1 <= ``stages`` <= 10,000 gradients per step; ``damping`` >= 0 (0: the longest interval, and
    |R_s| = 1 at s - 1 points inside it)."""
    c = chebyshev_coefficients(stages, damping)
    return Scheme(f"RKC, {c.stages} stages", step, 1, c.stages, work=lambda rows: 3 * rows,
                  constants=(float(c.stages), c.w0, c.w1))


rkc = runge_kutta_chebyshev()
