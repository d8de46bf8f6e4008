"""Pictures of stability as data: regions of the complex plane, maps over learning rate and momentum.

Measured on the method's own kernel, like the limits in ``odeopt.studies.stability.limits``.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ... import checks
from ...method import Method
from ...optimizers import Optimizer
from ...schemes import Scheme
from ..base import Study
from .amplification import amplification_matrix, divided_by, probe, spectral_radius
from .limits import SLACK, stability_limit
from .optimal_parameters import polyak


@dataclass(frozen=True, eq=False, repr=False)
class StabilityRegion(Study):
    """Spectral radius on a grid of the complex plane of z = h lambda (optimizers: z = -lr * curvature).

    ``radius[i, j]`` belongs to z = re[j] + 1j im[i]; the region is where it is at most 1. ``limit`` is the
    length of the real stability interval [-limit, 0]; ``gradients`` the gradient evaluations per step; ``key`` the
    optimizer's name, for a scheme that of gradient descent, whose flow it is on.
    """

    axes = "re: J; im: I; radius: I J"

    name: str
    re: np.ndarray
    im: np.ndarray
    radius: np.ndarray
    limit: float
    gradients: int
    key: str = "gradientdescent"

    @property
    def z(self):
        """The grid, complex (m, n)."""
        return self.re[None, :] + 1j * self.im[:, None]

    def rows(self):
        """One line: limits on both axes and the area seen."""
        cell = (self.re[1] - self.re[0]) * (self.im[1] - self.im[0])
        return [{"method": self.name, "real interval": self.limit, "gradients per step": self.gradients,
                 "interval per gradient": self.limit / self.gradients, "area in the window": float(
                     (self.radius <= 1 + SLACK).sum() * cell)}]

    def headline(self):
        return f"stability region of {self.name} on a {self.radius.shape[0]} x {self.radius.shape[1]} grid"


def stability_region(method: Method | Scheme, window: Any = None, *, resolution: int = 201,
                     preconditioner: float = 1.0) -> StabilityRegion:
    """Where in the complex plane ``method`` is stable.

    Parameters
    ----------
    method : Optimizer or Scheme
    window : ((re low, re high), (im low, im high)), optional
        Default: a little more than the region's part over the real stability interval.
    resolution : int
        Grid points per side.
    preconditioner : float
        As in :func:`stability_limit`; z is then -lr * curvature / preconditioner for a method that divides.

    Returns
    -------
    StabilityRegion
    """
    if not isinstance(method, (Optimizer, Scheme)):
        raise TypeError(f"method must be an Optimizer or a Scheme, got {type(method).__name__}")
    resolution = checks.integer("resolution", resolution, 3)
    checks.memory("resolution", 100 * resolution**2)  # a matrix and its eigenvalues for each point
    optimizer = isinstance(method, Optimizer)
    preconditioner = divided_by(method, preconditioner)
    size = method.step / preconditioner if optimizer else 1.0
    limit = stability_limit(method, vary="curvature", preconditioner=preconditioner) * size

    def at(re, im):
        z = re[None, :] + 1j * im[:, None]
        matrices = amplification_matrix(method, -z.ravel() / size, preconditioner=preconditioner)
        return spectral_radius(matrices).reshape(z.shape)

    if window is not None:
        window = checks.window(window)
    else:
        reach = limit if math.isfinite(limit) else 4.0
        real = (-1.12 * reach, 0.15 * min(reach, 10.0))
        im = np.linspace(0, 2 * reach, 241)[1:]
        high = reach
        for _ in range(2):  # how high it is; a second look where the first grid was coarse for it
            stable = (at(np.linspace(*real, 61), im) <= 1 + SLACK).any(axis=1)
            high = 1.2 * float(im[stable].max(initial=im[0]))
            im = np.linspace(0, high, 121)[1:]
        window = (real, (-high, high))
    (left, right), (below, above) = window
    re, im = np.linspace(left, right, resolution), np.linspace(below, above, resolution)
    radius = at(re, im)
    return StabilityRegion(method.title if optimizer else method.name, re, im, radius, limit,
                           1 if optimizer else method.stages, method.key if optimizer else "gradientdescent")


@dataclass(frozen=True, eq=False, repr=False)
class SpectralRadiusMap(Study):
    """Worst spectral radius over curvatures in [mu, L], for each (momentum[i], lr[j]).

    ``best_*`` is the best grid point; ``polyak_*`` the optimal tuning of the heavy ball by formula and
    the radius measured there (nan for methods that are not the heavy ball).
    """

    axes = "lr: J; momentum: I; radius: I J"

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


def spectral_radius_map(optimizer: Optimizer, mu: float = 1.0, L: float = 10.0, *, lr: ArrayLike | None = None,
                        momentum: ArrayLike | None = None) -> SpectralRadiusMap:
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
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an Optimizer, got {checks.shown(optimizer)}")
    key = optimizer.momentum_name
    if key is None:
        raise ValueError(f"optimizer must have a momentum, and {optimizer.title} has none")
    curvatures = np.geomspace(mu, L, 9)
    lr = np.linspace(0.05, 4.05, 61) / L if lr is None else checks.point("lr", lr)
    momentum = np.linspace(0.0, 0.99, 61) if momentum is None else checks.point("momentum", momentum)

    def at(a, b):
        return float(np.max(spectral_radius(probe(optimizer.with_step(a).changed(**{key: b}), curvatures))))

    amplification_matrix(optimizer, curvatures)  # refuses what has none, once for the whole grid
    radius = np.array([[at(a, b) for a in lr] for b in momentum])
    i, j = np.unravel_index(np.argmin(radius), radius.shape)
    best = polyak(mu, L).optimizer
    heavy = optimizer.with_step(best.step).changed(**{key: best.momentum}) == best  # the heavy ball itself
    return SpectralRadiusMap(optimizer.title, mu, L, lr, momentum, radius, float(lr[j]), float(momentum[i]),
                             float(radius[i, j]), best.lr if heavy else math.nan,
                             best.momentum if heavy else math.nan,
                             at(best.lr, best.momentum) if heavy else math.nan)
