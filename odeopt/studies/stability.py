"""Stability: limits by bisection, regions of the complex plane, lr-momentum maps of the spectral radius.

Everything is measured on the method's own kernel (``odeopt.studies.amplification``) and can be
held against the formula of the method's card (:func:`limit_formula`).
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from .. import checks
from ..optimizers import ALL, Optimizer
from ..schemes import Discretization, Scheme
from .amplification import amplification_matrix, probe, spectral_radius, with_step
from .base import Study, gather
from .tunings import polyak

_SLACK = 1e-12  # spectral radii up to 1 + this count as stable (round-off of the eigenvalues)
_FIRST, _LAST, _PER_OCTAVE = -12, 40, 4  # scan of h * curvature from 2^-12 to 2^40


def stability_limit(method, curvature=1.0, *, vary="lr", preconditioner=1.0):
    """The largest stable step size on a curvature, or the largest stable curvature at a step size.

    Parameters
    ----------
    method : Optimizer, Discretization or Scheme
        A Scheme is taken on gradient flow with step 1, and its limit is the length of its real
        stability interval.
    curvature : float > 0
        Second derivative of the quadratic (not used with ``vary="curvature"``).
    vary : {"lr", "curvature"}
        "lr": move the learning rate (the step h of a Discretization), everything else fixed;
        "curvature": move the curvature at the method's own learning rate.
    preconditioner : float > 0
        For adaptive methods: the number that the gradient is divided by, held fixed.

    Returns
    -------
    float
        The end of the interval from 0 on which the spectral radius is at most 1, by bisection to
        round-off; inf where no instability is met up to 2^40 times 1/curvature (1/lr); 0 for a
        method that is unstable from the start.

    Raises
    ------
    ValueError
        A method without amplification matrix (see :func:`amplification_matrix`).
    """
    checks.choice("vary", vary, ("lr", "curvature"))
    curvature = checks.real("curvature", curvature, 0.0, open_low=True)
    amplification_matrix(method, curvature, preconditioner=preconditioner)  # refuses what has none
    if isinstance(method, Optimizer) and not hasattr(method, "lr"):
        raise ValueError(f"method must have a learning rate, and {method.name} has none")
    if isinstance(method, Scheme) or vary == "curvature":
        size = 1.0 if isinstance(method, Scheme) else float(np.ravel(method.h)[0])
        size = method.lr if isinstance(method, Optimizer) else size
        unit = preconditioner / size

        def radii(values):
            return spectral_radius(amplification_matrix(method, values, preconditioner=preconditioner))

    else:
        unit = preconditioner / curvature

        def radii(values):
            return np.array([spectral_radius(amplification_matrix(with_step(method, value), curvature,
                                                                  preconditioner=preconditioner)) for value in values])

    # Many curvatures at once, but not where the step solves one system for all of them (implicit schemes).
    scheme = method if isinstance(method, Scheme) else getattr(method, "scheme", None)
    implicit = isinstance(scheme, Scheme) and scheme.stages == 0
    many = (isinstance(method, Scheme) or vary == "curvature") and not implicit
    return _first_exit(radii, unit, 32 if many else 1)


def _first_exit(radii, unit, sections):
    """End of the stable interval: a scan, then sections of the interval where it ends (1: bisection)."""
    scan = unit * 2.0 ** (np.arange(_FIRST * _PER_OCTAVE, _LAST * _PER_OCTAVE + 1) / _PER_OCTAVE)
    low = 0.0
    for part in np.array_split(scan, 1 if sections > 1 else scan.size):
        bad = np.flatnonzero(radii(part) > 1 + _SLACK)
        if bad.size:
            high, low = part[bad[0]], part[bad[0] - 1] if bad[0] else low
            break
        low = part[-1]
    else:
        return math.inf
    if low == 0.0:
        return 0.0
    while True:
        inner = low + (high - low) * np.arange(1, sections + 1) / (sections + 1)
        inner = np.unique(inner[(inner > low) & (inner < high)])
        if not inner.size:
            return float(low)
        bad = np.flatnonzero(radii(inner) > 1 + _SLACK)
        if bad.size:
            high = inner[bad[0]]
            inner = inner[: bad[0]]
        low = inner[-1] if inner.size else low


# The cards' limits E of lr * curvature / preconditioner without weight decay, from theory and used by nothing
# that measures. Sources: the pages; Cohen et al., arXiv:2207.14484 for running averages and adaptive methods.
def _ema(o):
    return 2 * (1 + o.beta1) / (1 - o.beta1)


def _momentum(o):
    return 2 * (1 + o.momentum) / (1 - o.momentum if o.form == "ema" else 1 - o.dampening)


def _rmsprop(o):
    return 2 * (1 + o.momentum) / (1 + 2 * o.momentum if o.nesterov else 1)


_EMA = "2 (1 + β1)/(1 - β1)"
_FORMULAS = {
    "gradientdescent": ("2", lambda o: 2.0),
    "momentum": ("2 (1 + μ), ema: over 1 - μ, torch: over 1 - dampening", _momentum),
    "nesterov": ("2 (1 + μ)/(1 + 2 μ), fading momentum: 4/3",
                 lambda o: 4 / 3 if o.momentum is None else 2 * (1 + o.momentum) / (1 + 2 * o.momentum)),
    "rmsprop": ("2 (1 + μ), nesterov: over 1 + 2 μ", _rmsprop),
    "adagrad": ("2", lambda o: 2.0),
    "adadelta": ("2", lambda o: 2.0),
    "adam": (_EMA, _ema),
    "adamw": (_EMA, _ema),
    "adamax": (_EMA, _ema),
    "amsgrad": (_EMA, _ema),
    "nadam": ("2 (1 + β1)/((1 - β1)(1 + 2 β1))", lambda o: _ema(o) / (1 + 2 * o.beta1)),
}


def limit_formula(optimizer):
    """``(value, formula)`` of the card: the largest stable lr on curvature 1 with preconditioner 1.

    With E the limit without weight decay d: E/(1 + d) if the decay is part of the gradient,
    E/(1 + d E/2) if it stands beside the step (the eigenvalue -1 then needs 2 - lr d in place of 2).
    (nan, "") where there is no formula.
    """
    if optimizer.name not in _FORMULAS:
        return math.nan, ""
    text, value = _FORMULAS[optimizer.name]
    bare = float(value(optimizer))
    decay = getattr(optimizer, "weight_decay", 0.0)
    if not decay:
        return bare, text
    beside = getattr(optimizer, "weight_decay_mode", "coupled") == "decoupled" or optimizer.name == "adamw"
    return bare / (1 + decay * (bare / 2 if beside else 1.0)), f"{text}, with decay"


@dataclass(frozen=True, eq=False, repr=False)
class StabilityTable(Study):
    """Measured limits of lr * curvature / preconditioner beside the cards' formulas.

    One entry an optimizer: ``measured`` and ``expected`` (nan where there is none), ``message`` says
    why a limit is missing.
    """

    optimizer: tuple
    hyperparameters: tuple
    formula: tuple
    measured: np.ndarray
    expected: np.ndarray
    message: tuple
    interrupted: bool = False

    @property
    def good(self):
        """Whether every limit that has a formula agrees with it to 1e-10."""
        known = np.isfinite(self.measured) & np.isfinite(self.expected)
        return bool((np.abs(self.measured[known] / self.expected[known] - 1) < 1e-10).all())

    def rows(self):
        """One dict an optimizer."""
        return [{"optimizer": o, "limit of lr c/P": float(m), "formula": f, "value": float(e),
                 "deviation": abs(float(m) / float(e) - 1), "message": w}
                for o, f, m, e, w in zip(self.optimizer, self.formula, self.measured, self.expected, self.message)]

    def headline(self):
        known = np.isfinite(self.measured) & np.isfinite(self.expected)
        worst = np.abs(self.measured[known] / self.expected[known] - 1).max() if known.any() else math.nan
        return (f"stability limits on curvature c with preconditioner P, measured by bisection on the kernels; "
                f"{known.sum()} against their formulas: largest relative deviation {worst:.1e}")


def stability_table(optimizers=None, *, progress=False):
    """Measure :func:`stability_limit` of each optimizer (default: all, with default hyperparameters)."""
    if optimizers is None:
        optimizers = [default_of(cls) for cls in ALL.values() if not getattr(cls, "is_wrapper", False)]

    def work(optimizer):
        try:
            return stability_limit(with_step(optimizer, 1.0) if hasattr(optimizer, "lr") else optimizer), ""
        except (ValueError, TypeError) as error:
            return math.nan, str(error)

    done, interrupted = gather(list(optimizers), work, progress=progress, describe=lambda o: o.title)
    optimizers = optimizers[: len(done)]
    formulas = [limit_formula(o) for o in optimizers]
    return StabilityTable(tuple(o.title for o in optimizers), tuple(repr(o) for o in optimizers),
                          tuple(text for _, text in formulas), np.array([d[0] for d in done]),
                          np.array([value for value, _ in formulas]), tuple(d[1] for d in done), interrupted)


def default_of(cls):
    """An instance with default hyperparameters, lr (tol) = 0.01 where there is no default."""
    for trial in ({}, {"lr": 0.01}, {"tol": 0.01}):
        try:
            return cls(**trial)
        except TypeError:
            continue
    raise ValueError(f"optimizer must have defaults for all but its step size, got {cls.__name__}")


@dataclass(frozen=True, eq=False, repr=False)
class StabilityRegion(Study):
    """Spectral radius on a grid of the complex plane of z = h lambda (optimizers: z = -lr * curvature).

    ``radius[i, j]`` belongs to z = re[j] + 1j im[i]; the region is where it is at most 1. ``limit`` is the
    length of the real stability interval [-limit, 0]; ``gradients`` the gradient evaluations a step.
    """

    name: str
    re: np.ndarray
    im: np.ndarray
    radius: np.ndarray
    limit: float
    gradients: int

    @property
    def z(self):
        """The grid, complex (m, n)."""
        return self.re[None, :] + 1j * self.im[:, None]

    def rows(self):
        """One line: limits on both axes and the area seen."""
        cell = (self.re[1] - self.re[0]) * (self.im[1] - self.im[0])
        return [{"method": self.name, "real interval": self.limit, "gradients a step": self.gradients,
                 "interval a gradient": self.limit / self.gradients, "area in the window": float(
                     (self.radius <= 1 + _SLACK).sum() * cell)}]

    def headline(self):
        return f"stability region of {self.name} on a {self.radius.shape[0]} x {self.radius.shape[1]} grid"


def stability_region(method, window=None, *, resolution=201, preconditioner=1.0):
    """Where in the complex plane ``method`` is stable.

    Parameters
    ----------
    method : Optimizer or Scheme
    window : ((re low, re high), (im low, im high)), optional
        Default: a little more than the region's part over the real stability interval.
    resolution : int
        Grid points a side.
    preconditioner : float
        As in :func:`stability_limit`; z is then -lr * curvature / preconditioner.

    Returns
    -------
    StabilityRegion
    """
    if not isinstance(method, (Optimizer, Scheme)):
        raise TypeError(f"method must be an Optimizer or a Scheme, got {type(method).__name__}")
    resolution = checks.integer("resolution", resolution, 3)
    optimizer = isinstance(method, Optimizer)
    size = method.lr / preconditioner if optimizer else 1.0
    limit = stability_limit(method, vary="curvature", preconditioner=preconditioner) * size

    def at(re, im):
        z = re[None, :] + 1j * im[:, None]
        matrices = amplification_matrix(method, -z.ravel() / size, preconditioner=preconditioner)
        return spectral_radius(matrices).reshape(z.shape)

    if window is None:
        reach = limit if math.isfinite(limit) else 4.0
        real = (-1.12 * reach, 0.15 * min(reach, 10.0))
        im = np.linspace(0, 2 * reach, 241)[1:]
        for _ in range(2):  # how high it is; a second look where the first grid was coarse for it
            stable = (at(np.linspace(*real, 61), im) <= 1 + _SLACK).any(axis=1)
            high = 1.2 * float(im[stable].max(initial=im[0]))
            im = np.linspace(0, high, 121)[1:]
        window = (real, (-high, high))
    (left, right), (below, above) = window
    re, im = np.linspace(left, right, resolution), np.linspace(below, above, resolution)
    radius = at(re, im)
    return StabilityRegion(method.title if optimizer else method.name, re, im, radius, limit,
                           1 if optimizer else method.stages)


@dataclass(frozen=True, eq=False, repr=False)
class SpectralRadiusMap(Study):
    """Worst spectral radius over curvatures in [mu, L], for each (momentum[i], lr[j]).

    ``best_*`` is the best grid point; ``polyak_*`` the optimal tuning of the heavy ball by formula and
    the radius measured there (nan for methods that are not the heavy ball).
    """

    name: str
    mu: float
    L: float
    lr: np.ndarray
    momentum: np.ndarray
    radius: np.ndarray
    best_lr: float
    best_momentum: float
    best_radius: float
    polyak_lr: float
    polyak_momentum: float
    polyak_radius: float

    def rows(self):
        """The best grid point and Polyak's point."""
        points = [("best on the grid", self.best_lr, self.best_momentum, self.best_radius),
                  ("Polyak's formula", self.polyak_lr, self.polyak_momentum, self.polyak_radius)]
        return [{"point": p, "lr": a, "momentum": b, "spectral radius": r} for p, a, b, r in points]

    def headline(self):
        return f"spectral radius of {self.name} over curvatures {self.mu:g} to {self.L:g}"


def spectral_radius_map(optimizer, mu=1.0, L=10.0, *, lr=None, momentum=None):
    """Spectral radius over a grid of learning rates and momenta.

    Parameters
    ----------
    optimizer : Optimizer with ``lr`` and ``momentum`` (or ``beta1``)
        Its other hyperparameters stay.
    mu, L : float
        Interval of curvatures, sampled at 9 points.
    lr, momentum : (n,), (m,) arrays, optional
        Default: 61 learning rates up to 4/L, 61 momenta from 0 to 0.99.
    """
    mu = checks.real("mu", mu, 0.0, open_low=True)
    L = checks.real("L", L, mu)
    key = next((name for name in ("momentum", "beta1") if hasattr(optimizer, name)), None)
    if key is None or not hasattr(optimizer, "lr"):
        raise ValueError(f"optimizer must have a learning rate and a momentum, and {optimizer.name} has not")
    curvatures = np.geomspace(mu, L, 9)
    lr = np.linspace(0.05, 4.05, 61) / L if lr is None else checks.point("lr", lr)
    momentum = np.linspace(0.0, 0.99, 61) if momentum is None else checks.point("momentum", momentum)

    def at(a, b):
        return float(np.max(spectral_radius(probe(replace(optimizer, **{"lr": a, key: b}), curvatures))))

    amplification_matrix(optimizer, curvatures)  # refuses what has none, once for the whole grid
    radius = np.array([[at(a, b) for a in lr] for b in momentum])
    i, j = np.unravel_index(np.argmin(radius), radius.shape)
    heavy = optimizer.name == "momentum" and optimizer.form == "heavy_ball"
    tuning = polyak(mu, L).optimizer if heavy else None
    return SpectralRadiusMap(optimizer.title, mu, L, lr, momentum, radius, float(lr[j]), float(momentum[i]),
                             float(radius[i, j]), tuning.lr if heavy else math.nan,
                             tuning.momentum if heavy else math.nan,
                             at(tuning.lr, tuning.momentum) if heavy else math.nan)


__all__ = ["Discretization", "SpectralRadiusMap", "StabilityRegion", "StabilityTable", "amplification_matrix",
           "limit_formula", "spectral_radius", "spectral_radius_map", "stability_limit", "stability_region",
           "stability_table"]
