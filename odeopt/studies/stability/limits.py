"""Stability limits, by bisection on the method's own kernel, and the formulas declared by the methods beside them.

The matrices come from ``odeopt.studies.stability.amplification``; regions of the complex plane and maps over
learning rate and momentum are in ``odeopt.studies.stability.regions``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import checks
from ...method import checked_method, labels
from ...optimizers import ALL, Optimizer
from ...schemes import Scheme
from ..base import Study
from ..inner import gather, partial_results
from .amplification import amplification_matrix, divided_by, spectral_radius

SLACK = 1e-12  # spectral radii up to 1 + this count as stable (round-off of the eigenvalues)
_FIRST, _LAST, _PER_OCTAVE = -12, 40, 4  # scan of h * curvature from 2^-12 to 2^40


def stability_limit(method: Any, curvature: float = 1.0, *, vary: str = "lr",
                    preconditioner: float = 1.0) -> float:
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
    preconditioner : float
        For adaptive methods: the number that the gradient is divided by, held fixed; from 1e-140 to 1e150.

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

    Examples
    --------
    >>> import odeopt as oo
    >>> round(oo.stability_limit(oo.Momentum(1.0, momentum=0.9)), 6)
    3.8
    """
    checks.choice("vary", vary, ("lr", "curvature"))
    curvature = checks.real("curvature", curvature, 1e-250, 1e250)  # so that every step tried is a float
    preconditioner = divided_by(method, preconditioner)
    amplification_matrix(method, curvature, preconditioner=preconditioner)  # refuses what has none
    fixed = isinstance(method, Scheme) or vary == "curvature"
    size = 1.0 if isinstance(method, Scheme) else float(np.ravel(method.step)[0])
    unit = preconditioner / (size if fixed else curvature)

    def radii(values):
        if fixed:
            return spectral_radius(amplification_matrix(method, values, preconditioner=preconditioner))
        return np.array([spectral_radius(amplification_matrix(method.with_step(value), curvature,  # pyright: ignore[reportAttributeAccessIssue]
                                                              preconditioner=preconditioner)) for value in values])

    # Many curvatures at once, but not where the step solves one system for all of them (implicit schemes).
    scheme = method if isinstance(method, Scheme) else getattr(method, "scheme", None)
    implicit = isinstance(scheme, Scheme) and scheme.stages == 0
    many = fixed and not implicit
    return _first_exit(radii, unit, 32 if many else 1)


def _first_exit(radii, unit, sections):
    """End of the stable interval: a scan, then sections of the interval where it ends (1: bisection)."""
    scan = unit * 2.0 ** (np.arange(_FIRST * _PER_OCTAVE, _LAST * _PER_OCTAVE + 1) / _PER_OCTAVE)
    low = 0.0
    for part in np.array_split(scan, 1 if sections > 1 else scan.size):
        bad = np.flatnonzero(radii(part) > 1 + SLACK)
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
        bad = np.flatnonzero(radii(inner) > 1 + SLACK)
        if bad.size:
            high = inner[bad[0]]
            inner = inner[: bad[0]]
        low = inner[-1] if inner.size else low


def limit_formula(method: Any) -> tuple[float, str]:
    """``(value, formula)`` that the method's page gives for the largest stable step on curvature 1 with
    preconditioner 1; (nan, "") where it gives none."""
    limit = checked_method(method).stability_limit()
    return (math.nan, "") if limit is None else (limit.value, limit.formula)


@dataclass(frozen=True, eq=False, repr=False)
class StabilityTable(Study):
    """Measured limits of lr * curvature / preconditioner beside the formulas that the methods declare.

    One entry per optimizer: ``measured`` and ``expected`` (nan where there is none), ``message`` says
    why a limit is missing.
    """

    axes = "optimizer hyperparameters formula measured expected message: R"

    optimizer: tuple
    hyperparameters: tuple
    formula: tuple
    measured: np.ndarray
    expected: np.ndarray
    message: tuple

    @property
    def good(self):
        """Whether every limit that has a formula agrees with it to 1e-10."""
        known = np.isfinite(self.measured) & np.isfinite(self.expected)
        return bool((np.abs(self.measured[known] / self.expected[known] - 1) < 1e-10).all())

    def rows(self):
        """One dict per optimizer."""
        return [{"optimizer": o, "limit of lr c/P": float(m), "formula": f, "value": float(e),
                 "deviation": abs(float(m) / float(e) - 1), "message": w}
                for o, f, m, e, w in zip(self.optimizer, self.formula, self.measured, self.expected, self.message)]

    def headline(self):
        known = np.isfinite(self.measured) & np.isfinite(self.expected)
        worst = np.abs(self.measured[known] / self.expected[known] - 1).max() if known.any() else math.nan
        against = f"; {known.sum()} against their formulas: largest relative deviation {worst:.1e}"
        return ("stability limits on curvature c with preconditioner P, measured by bisection on the kernels"
                + against * bool(known.any()))


@partial_results
def stability_table(optimizers: Sequence[Optimizer] | None = None, *, progress: bool = False) -> StabilityTable:
    """Measure :func:`stability_limit` of each optimizer (default: all, with default hyperparameters)."""
    given = [cls.default() for cls in ALL.values()] if optimizers is None else optimizers
    chosen: Sequence[Any] = checks.some("optimizers", given)
    for one in chosen:
        if not isinstance(one, Optimizer):
            raise TypeError(f"optimizers must be Optimizers, got {checks.shown(one)}")

    def work(optimizer):
        try:
            return stability_limit(optimizer.with_step(1.0)), ""
        except (ValueError, TypeError) as error:
            return math.nan, str(error)

    done, _ = gather(chosen, work, progress=progress, describe=lambda o: o.title)
    chosen = chosen[: len(done)]
    formulas = [limit_formula(o) for o in chosen]
    names = labels([o.title for o in chosen], [o.spec() for o in chosen])
    return StabilityTable(tuple(names), tuple(repr(o) for o in chosen), tuple(text for _, text in formulas),
                          np.array([d[0] for d in done]), np.array([value for value, _ in formulas]),
                          tuple(d[1] for d in done))
