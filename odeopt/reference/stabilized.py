"""``RKC2`` and ``ROCK2``: stabilised explicit solvers of order 2 as methods of SciPy's ``solve_ivp``.

For large systems whose Jacobian has its eigenvalues near the negative real axis: diffusion, gradient flows.
One step of s evaluations is stable for |h lambda| up to about 0.65 s^2 (RKC2) or 0.81 s^2 (ROCK2), against 2 s
for s steps of explicit Euler; s is chosen in every step by the spectral radius, and nothing is ever solved.
"""

import functools
import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from .. import checks
from ..spectrum import power_iteration
from .scheme_solvers import Hermite, SchemeSolver

_EVERY = 25  # accepted steps after which the spectral radius is measured again
_SAFETY = 1.2  # of a measured spectral radius, which approaches the true one from below
_ITERATIONS = 50
_ENDLESS = 1e12  # steps that nobody waits for
_MOST = 200  # stages of ROCK2: beyond, round-off inside a step comes near to small tolerances


class StabilizedSolver(SchemeSolver):
    """What both share: the stages of a step from the spectral radius, which is measured or given."""

    _error: Any
    _first: Any
    _longest: Any
    _last: Any = None  # the slope at the end of the step, where the scheme knows it

    def __init__(self, fun, t0, y0, t_bound, vectorized=False, *, spectral_radius=None, **options):
        if not (spectral_radius is None or callable(spectral_radius)):
            spectral_radius = checks.real("`spectral_radius`", spectral_radius, 0.0)
        self._given, self._age, self._vector = spectral_radius, 0, None
        self._radius: Any = None
        super().__init__(fun, t0, y0, t_bound, vectorized, **options)
        self.stages = 0  # of the last step

    def _options(self):
        return "rtol", "atol", "first_step", "max_step", "min_step"

    def _prepare(self, t0, y0):
        pass

    def _estimate(self):
        return self._error

    def _step_impl(self):
        if self._radius is None or callable(self._given) or self._age >= _EVERY:
            self._measure()
        refusal = self._endless()
        if refusal:
            return False, refusal
        done = super()._step_impl()
        if done[0]:
            self._age += 1
            self._known = {} if self._last is None else {self.t: self._last}
        return done

    def _endless(self):
        """Why steps that are stable would not come to the end; "" where they do."""
        remaining, longest = abs(self.t_bound - self.t), self._longest() / self._radius if self._radius > 0 else np.inf
        if longest < min(remaining, 10 * abs(np.nextafter(self.t, self.direction * np.inf) - self.t)):
            return self.TOO_SMALL_STEP
        if longest * _ENDLESS < remaining < np.inf:
            return (f"The field is too stiff at t = {self.t:.6g}: a spectral radius of {self._radius:.3g} allows steps "
                    f"of {longest:.3g}.")
        return ""

    def _judge(self, old, new):
        accepted, factor = super()._judge(old, new)
        if not accepted and self._age > 0:
            self._measure()
        return accepted, factor

    def _plan(self, t, h_abs):
        return super()._plan(t, min(h_abs, self._longest() / self._radius) if self._radius > 0 else h_abs)

    def _measure(self):
        """The spectral radius at the solution as it is: asked for, or by differences of the field."""
        t, y, self._age = self.t, self.y, 0
        if self._given is not None:
            value = self._given(t, y) if callable(self._given) else self._given
            self._radius = checks.real("`spectral_radius`", value, 0.0)
            return
        with np.errstate(all="ignore"):
            self._radius = self._power_iteration(t, y) if self.n else 0.0

    def _power_iteration(self, t, y):
        """Nonlinear power method (Sommeijer, Shampine, Verwer (1998), section 3): the difference of the field is
        the next direction. Starts where the last one ended, at first with a direction at random (f itself may
        lack the largest eigenvalue's: a smooth solution of the heat equation does)."""
        f = self._slope(t, y)
        size = np.linalg.norm(y)
        radius = np.sqrt(np.finfo(float).eps) * (size if size > 0 else 1.0)
        v = np.random.default_rng(0).standard_normal(self.n) if self._vector is None else self._vector
        found, v = power_iteration(lambda v: self._evaluate(t, y + v) - f, v, _ITERATIONS, 0.01, radius)
        if not np.isfinite(found):
            return 0.0 if self._radius is None else self._radius
        self._vector = v if found > 0 else None
        return _SAFETY * found

    def _dense_output_impl(self):
        return Hermite(self.t_old, self.t, self.y_old, self.y, self._first, self._slope(self.t, self.y))


class RKC2(StabilizedSolver):
    """Runge-Kutta-Chebyshev of order 2, a method for ``solve_ivp``.

    Notes
    -----
    Options: ``rtol``, ``atol``, ``first_step``, ``max_step`` and ``min_step`` as for SciPy's RK45;
    ``spectral_radius``, a number or ``spectral_radius(t, y)``, a bound of the largest modulus of the Jacobian's
    eigenvalues, asked in every step. Default: a power iteration by differences of the field at the start, every 25
    steps and after rejections, some evaluations each (counted in ``nfev``).

    ``s`` evaluations per step are stable on [-0.65 s^2, 0]; the error estimate is of order 3 and costs nothing
    beside the slope at the end, with which the next step begins; PI control as in :func:`odeopt.record`. Dense
    output is the cubic Hermite interpolant. Eigenvalues far from the negative real axis (oscillations) need
    another method.

    References
    ----------
    Sommeijer, Shampine, Verwer, RKC: an explicit solver for parabolic PDEs, J. Comput. Appl. Math. 88 (1998) 315.
    """

    scheme = SimpleNamespace(embedded_order=2)

    def _longest(self):
        """h times the spectral radius at most: internal round-off grows like s^2."""
        most = max(round(math.sqrt(np.min(self.rtol) / (10 * np.finfo(float).eps))), 2)
        return 0.653 * (most**2 - 1)

    def _advance(self, t, y, h):
        s = self.stages = 1 + math.isqrt(int(1.54 * abs(h) * self._radius + 1)) if self._radius > 0 else 2
        c = rkc_coefficients(max(s, 2))
        f = self._first = self._slope(t, y)
        older, newer = y, y + c.first * h * f
        for j in range(c.stages - 1):
            slope = self._evaluate(t + c.times[j] * h, newer)
            ahead = ((1 - c.mu[j] - c.nu[j]) * y + c.mu[j] * newer + c.nu[j] * older
                     + h * (c.gain[j] * slope + c.gamma[j] * f))
            older, newer = newer, ahead
        self._last = self._evaluate(t + h, newer)
        self._error = 0.8 * (y - newer) + 0.4 * h * (f + self._last)
        return newer


class ROCK2(StabilizedSolver):
    """Orthogonal Runge-Kutta-Chebyshev of order 2, a method for ``solve_ivp``.

    Options as for :class:`RKC2`.

    Notes
    -----
    ``s`` evaluations per step (3 to 200) are stable on [-0.8 s^2, 0], a quarter longer than RKC2's interval and
    near to the optimum of order 2 (0.82 s^2), with damping 0.95. The error estimate is of order 2 and free; so
    its steps are shorter than RKC2's where accuracy and not stability decides. The coefficients are derived
    here (:func:`rock_coefficients`), not the authors' tables.

    References
    ----------
    Abdulle, Medovikov, Second order Chebyshev methods based on orthogonal polynomials, Numer. Math. 90 (2001) 1.
    """

    scheme = SimpleNamespace(embedded_order=1)

    def _longest(self):
        return rock_coefficients(_MOST).interval

    def _advance(self, t, y, h):
        c = rock_coefficients(_rock_stages(abs(h) * self._radius))
        self.stages = c.stages
        f = self._first = self._slope(t, y)
        older, newer = y, y + c.mu[0] * h * f
        for mu, kappa, time in zip(c.mu[1:], c.kappa[1:], c.times):
            older, newer = newer, newer + kappa * (older - newer) + (mu * h) * self._evaluate(t + time * h, newer)
        one = self._evaluate(t + c.times[-1] * h, newer)
        newer = newer + (c.sigma * h) * one
        two = self._evaluate(t + (c.times[-1] + c.sigma) * h, newer)
        self._error = (h * (c.tau / c.sigma - c.sigma)) * (two - one)
        return newer + (c.sigma * h) * two + self._error


@dataclass(frozen=True, eq=False)
class RKCCoefficients:
    """Of y_1 = y_0 + first h F_0 and of the stages after it; ``times`` of y_1, y_2, ..."""

    stages: int
    first: float
    mu: np.ndarray
    nu: np.ndarray
    gain: np.ndarray
    gamma: np.ndarray
    times: np.ndarray


@functools.cache
def rkc_coefficients(s):
    """The s-stage scheme, damping 2/13: equations (2.5) to (2.9) of the paper, from T_j, T_j', T_j'' at w0."""
    w0 = 1 + 2 / 13 / s**2
    value, d1, d2 = [1.0, w0], [0.0, 1.0], [0.0, 0.0]
    for _ in range(2, s + 1):
        d2.append(4 * d1[-1] + 2 * w0 * d2[-1] - d2[-2])
        d1.append(2 * value[-1] + 2 * w0 * d1[-1] - d1[-2])
        value.append(2 * w0 * value[-1] - value[-2])
    value, d1, d2 = np.array(value), np.array(d1), np.array(d2)
    w1 = d1[s] / d2[s]
    with np.errstate(invalid="ignore"):
        b = d2 / d1**2
    b[0], b[1] = b[2], 1 / w0
    a = 1 - b * value
    mu, nu, gain = 2 * w0 * b[2:] / b[1:-1], -b[2:] / b[:-2], 2 * w1 * b[2:] / b[1:-1]
    return RKCCoefficients(s, w1 * b[1], mu, nu, gain, -a[1:-1] * gain, np.append(w1 / w0, w1 * d2[2:] / d1[2:]))


# Of the weight ((x - a)^2 + b^2)^2/sqrt(1 - x^2), a = 1 + 2/s^2, and of the point x0 = 1 + xi/s^2 where z = 0:
# b s^2 and xi as polynomials in 1/s^2. Computed so that |R| = 0.95 at the maxima in [-1, 1] and R = 1 + z +
# z^2/2 + ... at x0, for 13 degrees from 3 to 128; the polynomials meet those to 6e-4.
_B = 3.373214, 10.264467, 21.177531, 102.395447
_XI = 5.299599, 8.787019, 21.100278, 114.788645


@dataclass(frozen=True, eq=False)
class ROCKCoefficients:
    """Of y_j = y_{j-1} + kappa_j (y_{j-2} - y_{j-1}) + mu_j h F_{j-1}, j <= s - 2, at ``times``, and of the last
    two stages, which multiply by 1 + 2 sigma z + tau z^2; stable on [-interval, 0]."""

    stages: int
    mu: np.ndarray
    kappa: np.ndarray
    times: np.ndarray
    sigma: float
    tau: float
    interval: float

    def polynomial(self, z):
        """R(z)."""
        older, newer = np.ones_like(z), 1 + self.mu[0] * z
        for mu, kappa in zip(self.mu[1:], self.kappa[1:]):
            older, newer = newer, newer + kappa * (older - newer) + mu * z * newer
        return newer * (1 + 2 * self.sigma * z + self.tau * z * z)


@functools.cache
def rock_coefficients(s):
    """The s-stage scheme, s >= 3: R(z) = w(x) P(x), w quadratic, P of degree s - 2 orthogonal with the weight
    w^2/sqrt(1 - x^2), so that w P swings between nearly equal bounds on [-1, 1].

    The recurrence of P by Stieltjes' procedure with Gauss-Chebyshev nodes, which is exact. z = scale (x - x0)
    with R'(0) = 1; then tau is what makes R''(0) = 1, so that order 2 holds to round-off.
    """
    a = 1 + 2 / s**2
    b, xi = (np.polynomial.polynomial.polyval(1 / s**2, c) / s**2 for c in (_B, _XI))
    x0, d, nodes = 1 + xi, s - 2, s + 2
    x = np.cos((np.arange(nodes) + 0.5) * np.pi / nodes)
    weight = ((x - a) ** 2 + b * b) ** 2
    older, newer, before = np.zeros(nodes), np.ones(nodes), 1.0
    # P at x0 and its derivatives, all scaled so that P(x0) = 1; slope and bend of the one before
    mu, kappa = np.empty(d), np.empty(d)
    p_older, p1, p1_older, p2, p2_older = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(d):
        square = weight * newer * newer
        total = square.sum()
        alpha, beta = (square * x).sum() / total, total / before if k else 0.0
        # everything below is divided by the next value at x0
        ahead = x0 - alpha - beta * p_older
        older, newer = newer / ahead, ((x - alpha) * newer - beta * older) / ahead
        before = total / ahead**2
        mu[k], kappa[k] = 1 / ahead, -beta * p_older / ahead
        p1, p1_older, p2, p2_older = (((x0 - alpha) * p1 + 1 - beta * p1_older) / ahead, p1 / ahead,
                                      ((x0 - alpha) * p2 + 2 * p1 - beta * p2_older) / ahead, p2 / ahead)
        p_older = 1 / ahead
    w = (x0 - a) ** 2 + b * b
    scale = p1 + 2 * (x0 - a) / w  # dR/dx at x0: z = scale (x - x0)
    slope, bend = p1 / scale, p2 / scale**2
    sigma = (1 - slope) / 2
    mu = mu / scale
    times = np.empty(d)
    times[0] = mu[0]
    for k in range(1, d):
        times[k] = times[k - 1] + kappa[k] * ((times[k - 2] if k > 1 else 0.0) - times[k - 1]) + mu[k]
    return ROCKCoefficients(s, mu, kappa, times, sigma, (1 - bend - 4 * sigma * slope) / 2, scale * (1 + x0))


def _rock_stages(length):
    """The fewest stages, at least 3, whose interval is ``length`` long."""
    s = min(max(3, math.ceil(math.sqrt(length / 0.8068))), _MOST)
    while s < _MOST and rock_coefficients(s).interval < length:
        s += 1
    return s
