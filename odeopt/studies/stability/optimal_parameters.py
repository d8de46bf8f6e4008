"""Optimal step sizes and momenta for quadratics with curvatures in [mu, L], with the rates that they reach.

With kappa = L/mu, the spectral radius per step (per gradient):

    gradient descent   lr = 2/(L + mu)                                              (kappa - 1)/(kappa + 1)
    heavy ball         lr = 4/(sqrt L + sqrt mu)^2, momentum = q^2,                q = (sqrt kappa - 1)/(sqrt kappa + 1)
    Nesterov           lr = 1/L, momentum = q                                       1 - 1/sqrt kappa
    Nesterov, tuned    lr = 4/(3 L + mu), momentum = (r - 2)/(r + 2), r = sqrt(3 kappa + 1)   1 - 2/r
    Chebyshev          n steps 1/(roots moved to [mu, L])                           (2 q^n/(1 + q^{2n}))^{1/n}

Polyak's heavy ball reads as a two-step method on gradient flow with h = lr/(1 - momentum) = 1/sqrt(mu L),
where gradient descent is held to h <= 2/L: acceleration is a larger stable step. Off quadratics the
tuning can fail altogether: :data:`POLYAK_CYCLE` is a strongly convex function on which it cycles for ever.

Sources: Lessard, Recht, Packard, arXiv:1408.3595, proposition 1 and section 4.6; Scieur, Roulet,
Bach, d'Aspremont, arXiv:1702.06751.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import checks
from ...discretization import Discretization
from ...flows import gradient_flow
from ...optimizers import GradientDescent, Momentum, Nesterov
from ...schemes import explicit_euler
from ...schemes.chebyshev import chebyshev_factor, chebyshev_steps
from ...schemes.rkc import chebyshev_coefficients, runge_kutta_chebyshev
from ..base import Study
from .amplification import amplification_matrix, spectral_radius


@dataclass(frozen=True)
class Tuning:
    """A method with its best parameters for curvatures in [mu, L].

    Attributes
    ----------
    optimizer : Optimizer or Discretization
    rate : float
        Worst asymptotic factor of |x - x*| per gradient evaluation on quadratics.
    """

    optimizer: Any
    mu: float
    L: float
    rate: float


def _interval(mu, L):
    mu = checks.real("mu", mu, 0.0, open_low=True)
    return mu, checks.real("L", L, mu, 1e30 * mu)  # beyond, momenta round to 1


def gradient_descent(mu, L):
    """lr = 2/(L + mu), rate (kappa - 1)/(kappa + 1)."""
    mu, L = _interval(mu, L)
    return Tuning(GradientDescent(lr=2 / (L + mu)), mu, L, (L - mu) / (L + mu))


def polyak(mu, L):
    """Heavy ball, rate (sqrt kappa - 1)/(sqrt kappa + 1): on quadratics only."""
    mu, L = _interval(mu, L)
    a, b = math.sqrt(L), math.sqrt(mu)
    q = (a - b) / (a + b)
    return Tuning(Momentum(lr=4 / (a + b) ** 2, momentum=q * q), mu, L, q)


def nesterov(mu, L):
    """lr = 1/L, rate 1 - 1/sqrt(kappa); the choice that is also proved on all smooth strongly convex f (NAG-SC)."""
    mu, L = _interval(mu, L)
    root = math.sqrt(L / mu)
    return Tuning(Nesterov(lr=1 / L, momentum=(root - 1) / (root + 1)), mu, L, 1 - 1 / root)


def nesterov_tuned(mu, L):
    """lr = 4/(3 L + mu), rate 1 - 2/sqrt(3 kappa + 1): best on quadratics."""
    mu, L = _interval(mu, L)
    root = math.sqrt(3 * L / mu + 1)
    return Tuning(Nesterov(lr=4 / (3 * L + mu), momentum=(root - 2) / (root + 2)), mu, L, 1 - 2 / root)


def nag_sc(mu, s):
    """Nesterov's method for strongly convex f at step size ``s``: momentum (1 - sqrt(mu s))/(1 + sqrt(mu s)).

    Its low-resolution flow is ``odeopt.flows.nag_sc_flow(mu)``; the rate is that for L = 1/s.
    """
    mu = checks.real("mu", mu, 0.0, open_low=True)
    s = checks.real("s", s, 0.0, 1 / mu, open_low=True)
    root = math.sqrt(mu * s)
    return Tuning(Nesterov(lr=s, momentum=(1 - root) / (1 + root)), mu, 1 / s, 1 - root)


def chebyshev(mu, L, n):
    """Gradient descent with ``n`` Chebyshev step sizes (as a Discretization with a vector of steps)."""
    mu, L = _interval(mu, L)
    method = Discretization(gradient_flow(), explicit_euler, chebyshev_steps(mu, L, n))
    return Tuning(method, mu, L, chebyshev_factor(mu, L, n) ** (1 / n))


def rkc(mu, L, stages):
    """Runge-Kutta-Chebyshev descent whose stability polynomial is the best one of degree ``stages`` on [mu, L]."""
    mu, L = _interval(mu, L)
    stages = checks.integer("stages", stages, 1, 10_000)
    if not mu < L:
        raise ValueError(f"L must be above mu = {mu:g}, got {L:g}")
    damping = 2 * stages**2 * mu / (L - mu)
    c = chebyshev_coefficients(stages, damping)
    method = Discretization(gradient_flow(), runge_kutta_chebyshev(stages, damping), (c.w0 - 1) / (c.w1 * mu))
    return Tuning(method, mu, L, c.bound ** (1 / stages))


@dataclass(frozen=True, eq=False, repr=False)
class TuningTable(Study):
    """Rate per gradient of each tuning, by formula and measured on the kernels, for curvatures in [mu, L]."""

    axes = "method parameters rate measured: R"

    mu: float
    L: float
    method: tuple
    parameters: tuple
    rate: np.ndarray
    measured: np.ndarray

    @property
    def good(self):
        """Whether all agree to 1e-6 (the optimum has a double eigenvalue, which costs half the digits)."""
        return bool((np.abs(self.measured - self.rate) < 1e-6).all())

    def rows(self):
        """One dict per tuning."""
        return [{"method": m, "parameters": p, "rate": float(r), "measured": float(x),
                 "gradients for a factor 10": math.log(0.1) / math.log(r) if r > 0 else 1.0}
                for m, p, r, x in zip(self.method, self.parameters, self.rate, self.measured)]

    def headline(self):
        return f"best tunings for curvatures in [{self.mu:g}, {self.L:g}]"


def tuning_table(mu, L, *, stages=8):
    """All tunings of this module for [``mu``, ``L``]; the Chebyshev ones with ``stages`` gradients per cycle."""
    mu, L = _interval(mu, L)
    stages = checks.integer("stages", stages, 1, 10_000)
    if not mu < L:
        raise ValueError(f"L must be above mu = {mu:g}, got {L:g}")
    c = np.concatenate([np.geomspace(mu, L, 65), np.linspace(mu, L, 400)])
    rows = []
    for title, tuning in (("gradient descent", gradient_descent(mu, L)), ("heavy ball (Polyak)", polyak(mu, L)),
                          ("Nesterov, lr = 1/L", nesterov(mu, L)), ("Nesterov, tuned", nesterov_tuned(mu, L))):
        o = tuning.optimizer
        words = f"lr={o.lr:.4g}" + (f", momentum={o.momentum:.4g}" if hasattr(o, "momentum") else "")
        rows.append((title, words, tuning.rate, spectral_radius(amplification_matrix(o, c)).max()))
    cycle = chebyshev(mu, L, stages)
    product = np.prod([1 - h * c for h in cycle.optimizer.h], axis=0)
    words = f"lr={cycle.optimizer.h.min():.4g} to {cycle.optimizer.h.max():.4g}"
    rows.append((f"Chebyshev steps, cycle of {stages}", words, cycle.rate, np.abs(product).max() ** (1 / stages)))
    one = rkc(mu, L, stages)
    radius = spectral_radius(amplification_matrix(one.optimizer, c)).max()
    rows.append((f"RKC, {stages} stages", f"h={one.optimizer.h:.4g}", one.rate, radius ** (1 / stages)))
    titles, words, rate, measured = zip(*rows)
    return TuningTable(mu, L, titles, words, np.array(rate), np.array(measured))


def gradient_descent_bound(L, R, steps, lr=None):
    """Tight worst case of f(x_N) - f* over L-smooth convex f at distance ``R``, lr <= 1/L (default 1/L).

    L R^2/(4 N L lr + 2) (Drori, Teboulle, arXiv:1206.3209), attained by :func:`worst_huber`.
    """
    L, R = checks.positive("L", L), checks.positive("R", R)
    steps = checks.integer("steps", steps)
    lr = 1 / L if lr is None else checks.real("lr", lr, 0.0, 1 / L, open_low=True)
    return L * R * R / (4 * steps * L * lr + 2)


def worst_huber(L, R, steps):
    """The function on which N = ``steps`` gradient steps of size 1/L do worst: Huber's with knee
    R/(2 N + 1), as a Problem."""
    from ...problems import Problem

    L, R = checks.positive("L", L), checks.positive("R", R)
    knee = R / (2 * checks.integer("steps", steps) + 1)
    return huber(knee, L, R, Problem)


def huber(knee, L, x0, make):
    """Huber's function in one dimension: (L/2) x^2 up to ``knee``, linear beyond (``make``: Problem)."""
    knee, L, x0 = checks.positive("knee", knee), checks.positive("L", L), checks.real("x0", x0)
    if not callable(make):
        raise TypeError(f"make must be Problem or a function of its arguments, got {checks.shown(make)}")

    def fun(x):
        size = abs(x[0])
        return 0.5 * L * size**2 if size <= knee else L * knee * (size - 0.5 * knee)

    def grad(x):
        return L * x.clip(-knee, knee)

    return make(fun, grad, x0=[x0], minima=[[0.0]], name=f"Huber, knee {knee:g}", convex=True)


# f' = 25 x (x < 1), x + 24 (1 <= x < 2), 25 x - 24 (x >= 2): mu = 1, L = 25, Polyak's lr = 1/9, momentum = 4/9;
# from x0 = 3.3 at rest the iterates settle into this 3-cycle.
POLYAK_CYCLE = (2.115918, 0.646531, -1.802449)


def polyak_counterexample():
    """The strongly convex, 25-smooth function of Lessard, Recht, Packard (section 4.6), as a Problem."""
    from ...problems import Problem

    def fun(x):
        u = x[0]
        if u < 1:
            return 12.5 * u * u
        return 0.5 * u * u + 24 * u - 12 if u < 2 else 12.5 * u * u - 24 * u + 36

    def grad(x):
        u = x[0]
        return x * 0 + (25 * u if u < 1 else u + 24 if u < 2 else 25 * u - 24)

    return Problem(fun, grad, x0=[3.3], minima=[[0.0]], name="Lessard-Recht-Packard", convex=True)
