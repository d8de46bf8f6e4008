"""``tune``: the learning rate by a stated search on a stated budget, the same for every optimizer.

Races and tables are fair only if every competitor got the same effort. The search is a logarithmic
grid of learning rates around the optimizer's own, then golden sections in log(lr) between the
neighbours of the best; a few momenta may be searched with it. The score is the objective at the end
of the run (a run that diverges scores inf), float64, no clipping of gradients.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ... import checks
from ...method import method_from
from ...optimizers import Optimizer
from ...problems import Problem
from ..base import Study
from ..inner import gather, inner_run

_GOLDEN = (math.sqrt(5) - 1) / 2
SCORES = ("final", "best", "mean log")


@dataclass(frozen=True, eq=False, repr=False)
class Tuned(Study):
    """What a search tried and found.

    Attributes
    ----------
    method, problem : str
        The optimizer with its best hyperparameters, and the problem.
    steps, gradients : int
        Steps of each trial run, and gradients that the whole search spent.
    score : str
    lr, momentum, value : (trials,) arrays
        In the order tried; momentum is nan where it was not searched.
    best_lr, best_momentum, best_value : float
    spec : dict
        The best optimizer, as :func:`odeopt.method.method_from` reads it.
    edge : bool
        Whether the best learning rate is at an end of the grid: the search was too narrow.
    """

    axes = "lr momentum value: T"

    method: str
    problem: str
    steps: int
    gradients: int
    score: str
    lr: np.ndarray
    momentum: np.ndarray
    value: np.ndarray
    best_lr: float
    best_momentum: float
    best_value: float
    edge: bool
    spec: dict

    @property
    def optimizer(self):
        """The optimizer with the best hyperparameters (made from ``spec``)."""
        return method_from(self.spec)

    def rows(self):
        """One row per trial, by learning rate."""
        order = np.lexsort((self.lr, np.nan_to_num(self.momentum)))
        return [{"lr": float(self.lr[i]), "momentum": float(self.momentum[i]), "score": float(self.value[i]),
                 "best": "<" if i == int(np.argmin(self.value)) else ""}
                for i in order]

    def headline(self):
        momentum = "" if math.isnan(self.best_momentum) else f", momentum {self.best_momentum:g}"
        return (f"<Tuned {self.method} on {self.problem}: lr {self.best_lr:.3g}{momentum} of {self.lr.size} runs of "
                f"{self.steps} steps ({self.gradients} gradients), {self.score} score {self.best_value:.3g}"
                f"{', AT THE EDGE of the grid' if self.edge else ''}>")


def tune(optimizer: Optimizer, problem: Problem, x0: ArrayLike | None = None, steps: int = 200, *, grid: int = 13,
         span: float = 1e3, golden: int = 6, momenta: Sequence[float] | None = None, score: str = "final",
         progress: bool = False) -> Tuned:
    """Find the learning rate (and momentum) with the best score after ``steps`` steps.

    Parameters
    ----------
    optimizer : Optimizer
        Its step size (``step_name``) is the centre of the grid, everything else stays.
    problem : Problem
    x0 : (n,) array, optional
    steps : int
        Budget of each trial.
    grid : int >= 3
        Trials of the logarithmic grid.
    span : float > 1
        The grid runs from lr/span to lr*span.
    golden : int <= 100
        Golden sections that refine the best of the grid: the budget is (grid + golden) runs for each momentum.
    momenta : sequence of float, optional
        Values of its ``momentum_name`` (``momentum``, ``beta1``) to search with it.
    score : {"final", "best", "mean log"}
        f at the end; the lowest f met; the mean of log(f - f*) over the run (needs the minimum).
    progress : bool

    Returns
    -------
    Tuned
        The tuned optimizer is its ``.optimizer``.

    Raises
    ------
    ValueError
        An optimizer without learning rate; every trial diverged; "mean log" without a known minimum.
    """
    grid = checks.integer("grid", grid, 3)
    checks.memory("grid", 100 * grid)
    golden = checks.integer("golden", golden, 0, 100)
    steps = checks.integer("steps", steps, 1)
    span = checks.real("span", span, 1.0, open_low=True)
    checks.choice("score", score, SCORES)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an Optimizer, got {checks.shown(optimizer)}")
    key: str = optimizer.step_name
    mass: Any = optimizer.momentum_name
    if momenta is not None and mass is None:
        raise ValueError(f"momenta must be None for {optimizer.title}: it has no momentum")
    if momenta is not None:
        numbers = checks.real_numbers(momenta)
        if isinstance(numbers, str) or numbers.ndim != 1 or not numbers.size:
            raise ValueError(f"momenta must be None or a sequence of numbers, got {checks.shown(momenta)}")
        momenta = numbers.tolist()
    if score == "mean log" and problem.f_min is None:
        raise ValueError(f"score must be 'final' or 'best' for {problem.name}: its minimum is not known")
    centre, tried, spent = optimizer.step, [], 0

    def trial(logarithm, momentum):
        nonlocal spent
        values: dict[str, float] = {key: float(np.exp(logarithm))} | ({} if momentum is None else {mass: momentum})
        run = inner_run(optimizer.changed(**values), problem, x0, steps)
        spent += int(run.n_grad[-1])
        value = _score(run, score, problem.f_min)
        tried.append((values[key], math.nan if momentum is None else momentum, value))
        return value

    logs = np.log(centre) + np.log(span) * np.linspace(-1, 1, grid)
    edge = {}

    def search(momentum):
        values = np.array([trial(u, momentum) for u in logs])
        i = int(np.argmin(values))
        edge[momentum] = i in (0, grid - 1)
        low, high = logs[max(i - 1, 0)], logs[min(i + 1, grid - 1)]
        points = [high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)]
        scores = []
        for count in range(golden):
            if count < 2:
                scores.append(trial(points[count], momentum))
                continue
            if scores[0] <= scores[1]:
                high, points[1], scores[1] = points[1], points[0], scores[0]
                points[0] = high - _GOLDEN * (high - low)
                scores[0] = trial(points[0], momentum)
            else:
                low, points[0], scores[0] = points[0], points[1], scores[1]
                points[1] = low + _GOLDEN * (high - low)
                scores[1] = trial(points[1], momentum)

    _, interrupted = gather(list(momenta) if momenta is not None else [None], search, progress=progress)
    if interrupted:  # half a search is no tuning
        raise KeyboardInterrupt
    lr, momentum, value = (np.array(column) for column in zip(*tried))
    if not np.isfinite(value).any():
        raise ValueError(f"optimizer must have a learning rate that converges near {key} = {centre:g}: all "
                         f"{lr.size} trials diverged")
    i = int(np.argmin(value))
    chosen: dict[str, float] = {key: float(f"{lr[i]:.3g}")} | ({} if momenta is None else {mass: float(momentum[i])})
    best = optimizer.changed(**chosen)
    return Tuned(best.title, problem.name, steps, spent, score, lr, momentum, value, float(lr[i]), float(momentum[i]),
                 float(value[i]), bool(edge[None if momenta is None else float(momentum[i])]), best.spec())


def _score(run, score, f_min):
    if not run.ok or not np.isfinite(run.f).all():
        return math.inf
    if score == "final":
        return float(run.f[-1])
    if score == "best":
        return float(run.f.min())
    return float(np.log(np.maximum(run.f - f_min, 1e-300)).mean())
