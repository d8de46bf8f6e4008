"""``basins``: which minimum each start reaches, by an optimizer and by the gradient flow.

The share of starts on which both agree is the optimizer's fidelity to the flow: it tends to 1 with
the learning rate, and what is lost at a finite one is lost along the basins' boundaries.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ... import checks
from ...discretization import Discretization
from ...flows import gradient_flow
from ...optimizers import Optimizer
from ...problems import Problem
from ...problems.base import checked
from ...schemes import dormand_prince
from ..base import Study
from ..inner import gather, inner_run, partial_results
from .ensemble import COMPLETED, CONVERGED, ensemble


@dataclass(frozen=True, eq=False, repr=False)
class Basins(Study):
    """Index of the minimum reached from each start of a grid, -1 where none was.

    Attributes
    ----------
    method, problem : str
    x, y : (m,) arrays
    minima : (k, 2) array
    optimizer, flow : (m, m) int arrays
        Row i, column j: the start (x[j], y[i]).
    fidelity : float
        Share of the starts whose flow reaches a minimum from which the optimizer reaches the same one.
    message : str
    spec : dict
        The optimizer, as :func:`odeopt.method.method_from` reads it.
    """

    axes = "x: J; y: I; optimizer flow: I J; minima: m 2"

    method: str
    problem: str
    x: np.ndarray
    y: np.ndarray
    minima: np.ndarray
    optimizer: np.ndarray = field(metadata={"dtype": np.int64})
    flow: np.ndarray = field(metadata={"dtype": np.int64})
    fidelity: float
    message: str
    spec: dict

    def rows(self):
        """One row per minimum."""
        return [{"minimum": f"({m[0]:.3f}, {m[1]:.3f})", "starts of the flow": int((self.flow == i).sum()),
                 "starts of the optimizer": int((self.optimizer == i).sum()),
                 "in common": int(((self.flow == i) & (self.optimizer == i)).sum())}
                for i, m in enumerate(self.minima)]

    def headline(self):
        return f"<Basins of {self.method} on {self.problem}: {self.fidelity:.2%} as the flow; {self.message}>"


@partial_results
def basins(optimizer: Optimizer, problem: Problem, window: Any = None, *, resolution: int = 61, steps: int = 500,
           t_end: float | None = None, flow: Any = None, radius: float | None = None, progress: bool = False) -> Basins:
    """Basins of attraction of an optimizer beside those of the gradient flow.

    Parameters
    ----------
    optimizer : Optimizer
    problem : Problem with dim 2 and at least two minima
    window : ((low, high), (low, high)), optional
    resolution : int
        Starts a side.
    steps : int
        Steps of the optimizer from each start (it stops at a gradient norm of 1e-6).
    t_end : float, optional
        Flow time (default 20 over the smallest curvature at the minima).
    flow : Basins, optional
        A former result on the same grid, whose flow is taken over.
    radius : float, optional
        A run has reached the minimum that is nearer than this; default: a quarter of the smallest distance
        between two minima.
    progress : bool
    """
    checked(problem)
    if problem.dim != 2 or len(problem.minima) < 2:
        raise ValueError(f"problem must have 2 variables and at least two minima, got {problem.name} with dim "
                         f"{problem.dim} and {len(problem.minima)}")
    resolution = checks.integer("resolution", resolution, 2)
    count = resolution**2
    checks.memory("resolution", 100 * count)  # start, end, counters and where it came to
    if flow is not None:
        checks.instance("flow", flow, Basins, "a Basins, an earlier result on the same grid")
    (left, right), (low, high) = checks.window(problem.window if window is None else window)
    x, y = np.linspace(left, right, resolution), np.linspace(low, high, resolution)
    minima = np.array(problem.minima, dtype=float)
    apart = min(float(np.linalg.norm(a - b)) for i, a in enumerate(minima) for b in minima[:i])
    radius = 0.25 * apart if radius is None else checks.real("radius", radius, 0.0, open_low=True)
    if t_end is None:
        t_end = 20.0 / min(float(np.linalg.eigvalsh(problem.hess(m))[0]) for m in minima)
        if not 0.0 < t_end < np.inf:
            raise ValueError(f"t_end must be given where the Hessian at a minimum of problem {problem.name!r} is not "
                             "finite and positive definite")
    places = range(0 if flow is None else count, count + 1)  # of the flow's starts; the last is the optimizer
    exact = Discretization(gradient_flow(), dormand_prince, 1e-3, rtol=1e-6, atol=1e-8)
    found = {"flow": np.full((resolution, resolution), -1), "optimizer": np.full((resolution, resolution), -1)}

    def work(place):
        if place == count:
            return run_optimizer()
        i, j = divmod(place, resolution)
        run = inner_run(exact, problem, [x[j], y[i]], 100_000, 100_000, t_end=t_end)
        found["flow"][i, j] = _nearest(run, minima, radius)

    def run_optimizer():
        starts = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        group = ensemble(optimizer, problem, starts, steps, gtol=1e-6, progress=progress)
        ended = np.isin(group.status, (COMPLETED, CONVERGED)).reshape(resolution, resolution)
        found["optimizer"] = np.where(ended, group.nearest(minima, radius).reshape(resolution, resolution), -1)
        if not group.ok:
            raise KeyboardInterrupt

    if flow is not None:
        if flow.flow.shape != found["flow"].shape or not (np.array_equal(flow.x, x) and np.array_equal(flow.y, y)):
            raise ValueError("flow must be a Basins on the same grid")
        found["flow"] = flow.flow
    _, interrupted = gather(places, work, progress=progress, describe=lambda place: (
        "optimizer" if place == count else f"row {place // resolution + 1}"))
    reached = found["flow"] >= 0
    same = float((found["optimizer"] == found["flow"])[reached].mean()) if reached.any() else float("nan")
    lost = int((found["optimizer"] < 0).sum())
    words = f"{lost} of {count} starts reach no minimum" + ("; interrupted" if interrupted else "")
    return Basins(repr(optimizer), problem.name, x, y, minima, found["optimizer"], found["flow"], same, words,
                  optimizer.spec())


def _nearest(run, minima, radius):
    end = run.final["x"]
    if not (run.ok and np.isfinite(end).all()):
        return -1
    distance = np.linalg.norm(minima - end, axis=1)
    return int(distance.argmin()) if distance.min() < radius else -1
