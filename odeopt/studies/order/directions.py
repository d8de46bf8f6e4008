"""Does a method keep the gradient's direction? Angle to -g, distance to the gradient flow's orbit.

[A000] derives RMSprop with a scalar learning rate (eq. 14), which keeps the direction of the
gradient, beside the usual one with a vector (eq. 15), which does not, and asks which is better.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ... import checks
from ...flows import gradient_flow
from ...method import checked_method
from ...optimizers import Optimizer
from ...problems import Problem
from ...problems.base import checked
from ...reference.reference import reference
from ...sums import norms
from ..base import Study, ended
from ..inner import inner_run

_ORBIT_POINTS = 4000


@dataclass(frozen=True, eq=False, repr=False)
class Directions(Study):
    """Direction, orbit and objective of one run; arrays have one entry per record.

    Attributes
    ----------
    optimizer, problem : str
    n_grad : (R,) gradients spent
    angle : (R - 1,) degrees between the step that follows the record and -g there; 0 where the step is
        below 1e-9 (1 + |x|)
    orbit_distance : (R,) distance of x to the orbit of gradient flow from the same start
    gap : (R,) f - f*
    """

    axes = "n_grad orbit_distance gap: R; angle: R-1"

    optimizer: str
    problem: str
    n_grad: np.ndarray
    angle: np.ndarray
    orbit_distance: np.ndarray
    gap: np.ndarray

    def rows(self):
        """A summary line."""
        return [{"optimizer": self.optimizer, "problem": self.problem, "gradients": int(self.n_grad[-1]),
                 "median angle": float(np.median(self.angle)), "largest angle": float(self.angle.max()),
                 "largest orbit distance": float(self.orbit_distance.max()), "f - f*": float(self.gap[-1])}]

    def headline(self):
        """The summary in words."""
        return (f"{self.optimizer} on {self.problem}: angle to -g, distance to the gradient flow's orbit"
                f"{ended(self.status)}")

    def gradients_to(self, gap):
        """Gradients until f - f* is first below ``gap`` (nan if never)."""
        there = np.flatnonzero(self.gap <= gap)
        return float(self.n_grad[there[0]]) if there.size else float("nan")


def directions(optimizer: Optimizer, problem: Problem, x0: ArrayLike | None = None, steps: int = 1000, *,
               start: str = "cold", t_orbit: float | None = None) -> Directions:
    """Record a run and measure :class:`Directions`.

    Parameters
    ----------
    optimizer, problem, x0, steps, start
        As in :func:`odeopt.record`.
    t_orbit : float, optional
        Flow time over which the orbit is followed. Default: until the gradient is 1e-6 of the start's.

    Raises
    ------
    ValueError
        The problem's minimum is not known; gradient flow does not come to rest and ``t_orbit`` is missing.
    """
    checked(problem)
    checked_method(optimizer, "optimizer must be an Optimizer or a Discretization")
    t_orbit = checks.real_or_none("t_orbit", t_orbit, low=0.0, open_low=True)
    if problem.f_min is None:
        raise ValueError(f"problem must have a known f_min, and {problem.name} has none")
    run = inner_run(optimizer, problem, x0, checks.integer("steps", steps, 1), start=start)
    if len(run) < 2:
        raise ValueError(f"optimizer must make a step whose end is finite on {problem.name}, and its run {run.message}")
    g = np.array([problem.grad(x) for x in run.x[:-1]])
    step = np.diff(run.x, axis=0)
    length, slope = norms(step), norms(g)
    seen = length > 1e-9 * (1 + norms(run.x[:-1]))  # shorter steps are mostly round-off of x
    angle = np.zeros(len(step))
    u, v = step[seen] / length[seen, None], -g[seen] / slope[seen, None]
    angle[seen] = np.degrees(2 * np.arctan2(np.linalg.norm(u - v, axis=1), np.linalg.norm(u + v, axis=1)))
    return Directions(repr(optimizer), problem.name, run.n_grad.astype(float), angle,
                      _distance_to_curve(run.x, orbit(problem, run.x[0], t_orbit)), run.f - problem.f_min,
                      status=run.status)


def orbit(problem, x0, t_end=None):
    """Points on the gradient flow's orbit from ``x0``, (m, n), dense where it moves."""
    x0 = checks.point("x0", x0, checked(problem).dim)
    t_end = checks.real_or_none("t_end", t_end, low=0.0, open_low=True)
    g0 = norms(problem.grad(x0))
    t = (1 + norms(x0)) / max(g0, 1e-300) if t_end is None else t_end
    solver = "jitted" if problem.compiled else "auto"
    while True:
        solution = reference(gradient_flow(), problem, x0, t, check=False, solver=solver)
        if not solution.success:
            raise ValueError(f"t_orbit must be below {solution.t_end:.6g}, where gradient flow on {problem.name} ends: "
                             f"{solution.message}")
        if t_end is not None or norms(problem.grad(solution(t))) <= 1e-6 * g0:
            break
        if t > 1e12:
            raise ValueError(f"t_orbit must be given: gradient flow on {problem.name} does not come to rest "
                             f"by t = {t:.3g}")
        t *= 4
    points = solution(np.concatenate([[0.0], np.geomspace(1e-9 * t, t, _ORBIT_POINTS)]))
    if not np.isfinite(points).all():
        raise ValueError(f"problem must have a gradient that is finite along its orbit, and that of {problem.name} is "
                         f"not at some t <= {t:.6g}")
    return points


def _distance_to_curve(points, curve):
    """Distance of each point to the polyline through ``curve``: to the two pieces at the nearest vertex."""
    from scipy.spatial import cKDTree  # pyright: ignore[reportAttributeAccessIssue]

    near = cKDTree(curve).query(points)[1]
    distance = np.full(len(points), np.inf)
    for begin in (near - 1, near):
        a = curve[np.clip(begin, 0, len(curve) - 2)]
        d = curve[np.clip(begin, 0, len(curve) - 2) + 1] - a
        squares = np.einsum("ij,ij->i", d, d)
        u = np.clip(np.einsum("ij,ij->i", points - a, d) / np.where(squares > 0, squares, 1.0), 0, 1)
        distance = np.minimum(distance, norms(points - a - u[:, None] * d))
    return distance
