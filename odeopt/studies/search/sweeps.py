"""What a hyperparameter does to a run: error against the flow, final gap or order, on a grid of one or more."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ... import checks
from ...optimizers import Optimizer
from ...problems import Problem
from ...problems.base import checked
from ..base import Study
from ..inner import gather, inner_run, partial_results

MEASURES = ("error", "gap", "order")
TITLES = {"error": "max error", "gap": "f - f*", "order": "order"}


@dataclass(frozen=True, eq=False, repr=False)
class Sweep(Study):
    """One number for each combination of hyperparameters.

    Attributes
    ----------
    method, problem, measure : str
    steps : int
    names : tuple of str
        The hyperparameters.
    combinations : tuple of tuple
        Their values, in the order of ``itertools.product``.
    value : (M,) array
        inf where the run diverged, nan where there is nothing to measure.
    message : tuple of str
        Why, for each.
    spec : dict
        The optimizer, as :func:`odeopt.method.method_from` reads it.
    """

    axes = "combinations value message: M"

    method: str
    problem: str
    measure: str
    steps: int
    names: tuple
    combinations: tuple
    value: np.ndarray
    message: tuple
    spec: dict

    def rows(self):
        """One row per combination."""
        return [dict(zip(self.names, values)) | {TITLES[self.measure]: float(value), "message": message}
                for values, value, message in zip(self.combinations, self.value, self.message)]

    def headline(self):
        good = np.isfinite(self.value)
        best = ""
        if good.any() and self.measure != "order":
            i = int(np.argmin(np.where(good, self.value, np.inf)))
            best = f", least {self.value[i]:.3g} at " + ", ".join(
                f"{name} = {value}" for name, value in zip(self.names, self.combinations[i]))
        return (f"<Sweep of {self.method} on {self.problem}: {TITLES[self.measure]} of {self.value.size} runs over "
                f"{', '.join(self.names)}{best}>")


@partial_results
def measured_sweep(optimizer: Optimizer, problem: Problem, x0: ArrayLike | None, steps: int,
                   grid: Mapping[str, Any], measure: str, *, t_end: float | None = None, start: str = "cold",
                   levels: int = 6, progress: bool = False) -> Sweep:
    """The study that :func:`odeopt.sweep` makes where it is given a ``measure``.

    Parameters
    ----------
    optimizer, problem, x0, steps, grid, measure
        As there.
    t_end : float, optional
        Flow time of each run instead of steps.
    start : {"cold", "consistent"}
    levels : int
        Step sizes of a measured order, each half the last.
    progress : bool
    """
    checked(problem)
    checks.choice("measure", measure, MEASURES)
    checks.choice("start", start, ("cold", "consistent"))
    steps = checks.integer("steps", steps, 1)
    x0 = problem.x0 if x0 is None else checks.point("starts", x0, problem.dim)
    if measure == "gap" and problem.f_min is None:
        raise ValueError(f"measure must be 'error' or 'order' for {problem.name}: its minimum is not known")
    if measure != "gap" and optimizer.flow is None:
        raise ValueError(f"measure must be 'gap' for {optimizer.title}: it has no classical flow")
    combinations = list(itertools.product(*grid.values()))
    methods = [optimizer.changed(**dict(zip(grid, values))) for values in combinations]
    length: dict[str, Any] = {"t_end": t_end} if t_end is not None else {}

    def one(method):
        if measure == "gap":
            run = inner_run(method, problem, x0, None if length else steps, start=start, **length)
            return (float(run.f[-1] - problem.f_min), "") if run.ok else (math.inf, run.message)
        if measure == "error":
            from ..order.comparison import compare

            found = compare(method, problem, x0, steps, start=start, local=False, **length)
            if found.run.ok:
                return found.max_error, found.message
            return math.inf, found.run.message
        from ..order.convergence import convergence

        try:
            study = convergence(method, problem, x0, t_end, levels, start=start)
        except ValueError as error:
            return math.nan, str(error)
        return study.order, study.message

    done, _ = gather(methods, one, progress=progress, describe=repr)
    kept = len(done)
    plain = tuple(tuple(v.item() if isinstance(v, np.generic) else v for v in values) for values in combinations[:kept])
    return Sweep(optimizer.title, problem.name, measure, steps, tuple(grid), plain, np.array([v for v, _ in done]),
                 tuple(message for _, message in done), optimizer.spec())
