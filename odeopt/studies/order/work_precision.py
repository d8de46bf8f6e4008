"""``work_precision``: what accuracy costs, for optimizers and schemes alike.

Each method is run over one flow time at a ladder of steps (or tolerances), and four numbers are
kept: gradient evaluations, wall time, the distance to the method's *declared flow* (the error a
numerical analyst means) and the objective gap f - f* at the end (the one an optimiser means). The two
rank methods differently: a large step can be far from the flow and yet low in f.

Wall time is that of the compiled loop without records: gradients times the time of one, from runs so long that
what surrounds the loop is less than a tenth; ratios within one study mean something, digits do not.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from ... import checks
from ...method import STARTS, Method, checked_method
from ...method import labels as told_apart
from ...optimizers import Optimizer
from ...problems import Problem
from ...problems.base import checked
from ...reference.reference import METHODS, start_state
from ..base import Study
from ..inner import gather, inner_run, partial_results
from .convergence import check_reached, solve
from .fit import distance_to, refinements

WELL_ABOVE = 10.0  # times the overhead: how long a run that is timed takes at least
_NO_RECORDS, _LONGEST = 2**40, 2**20  # stride of the record; times the length asked for


@dataclass(frozen=True, eq=False, repr=False)
class WorkPrecision(Study):
    """Costs and errors; arrays have shape (methods, levels), nan where a level does not exist.

    Attributes
    ----------
    problem : str
    t_end : (methods,) array
        Flow time of a method's runs (an optimizer stops at the first step that reaches it).
    labels, methods : tuple of str
        Short names, and the coarsest level in full.
    h : array
        Step (tolerance, for error-controlled schemes) of each level; without a flow the same at each.
    gradients : int array
    seconds : array
        Wall time of the loop; nan where none can be told from that of a run without steps.
    error : array
        Largest distance to the declared flow at the recorded steps; nan without a classical flow or
        without a step up to ``t_end``, inf where the run diverged.
    gap : array
        f - f* at the last record; nan where the minimum is not known.
    uncertainty : (methods,) array
        Of the reference solutions.
    message : str
    specs : tuple of dict
        The coarsest levels, as :func:`odeopt.method.method_from` reads them.
    """

    axes = "t_end labels methods specs uncertainty: M; h gradients seconds error gap: M L"

    problem: str
    t_end: np.ndarray
    labels: tuple
    methods: tuple
    h: np.ndarray
    gradients: np.ndarray = field(metadata={"dtype": np.int64})
    seconds: np.ndarray
    error: np.ndarray
    gap: np.ndarray
    uncertainty: np.ndarray
    message: str
    specs: tuple

    def rows(self):
        """One row per run."""
        return [{"method": label, "h": float(self.h[i, j]), "gradients": int(self.gradients[i, j]),
                 "milliseconds": 1e3 * float(self.seconds[i, j]), "flow error": float(self.error[i, j]),
                 "f - f*": float(self.gap[i, j])}
                for i, label in enumerate(self.labels) for j in range(self.h.shape[1])]

    def headline(self):
        times = np.unique(self.t_end)
        common = f" to t = {times[0]:.4g}" if times.size == 1 else ""
        return (f"<WorkPrecision on {self.problem}{common}: {len(self.labels)} methods"
                f"{'; ' + self.message if self.message else ''}>")

    def gradients_for(self, error, *, of="error"):
        """Gradients that each method needs for this error (log-log interpolation), nan where it is not reached.

        ``of`` is "error" (distance to the flow) or "gap". Uses the cheapest crossing.
        """
        error = checks.real("error", error, 0.0, open_low=True)
        values = getattr(self, checks.choice("of", of, ("error", "gap")))
        needed = np.full(len(self.labels), np.nan)
        for i, (cost, e) in enumerate(zip(self.gradients, values)):
            for j in range(e.size):
                if not e[j] <= error:
                    continue
                needed[i] = cost[j]
                if j > 0 and np.isfinite(e[j - 1]) and e[j] > 0:
                    share = np.log(e[j - 1] / error) / np.log(e[j - 1] / e[j])
                    needed[i] = np.exp(np.log(cost[j - 1]) + share * np.log(cost[j] / cost[j - 1]))
                break
        return needed


@partial_results
def work_precision(methods: Sequence[Method], problem: Problem, x0: ArrayLike | None = None,
                   t_end: float | None = None, levels: int = 6, *, steps: int = 64, factor: float = 2.0,
                   start: str = "cold", labels: Sequence[str] | None = None, rtol: float = 1e-11, atol: float = 1e-13,
                   solver: str = "auto", repeats: int = 3, progress: bool = False) -> WorkPrecision:
    """Error against cost for any set of optimizers and schemes.

    Parameters
    ----------
    methods : sequence of Optimizer or Discretization
        The coarsest level of each. Level j has the step h/factor^j (flow constants fixed); a
        Discretization with ``rtol`` has its tolerances divided by 10^j instead. An optimizer without a
        flow has no flow time and no finer version: its level j is a run of ``steps`` factor^j steps, and its
        only error is the gap.
    problem : Problem
    x0 : (n,) array, optional
    t_end : float, optional
        Flow time of every method. Default: each optimizer runs for the time of its own ``steps`` coarse
        steps (flows of different kinds have clocks of different kinds), everything else for that of
        the first optimizer; needed when no method is an Optimizer.
    levels : int >= 1
    steps : int >= 1
        Coarse steps that set the default ``t_end``.
    factor : float > 1
    start : {"cold", "consistent"}
        Memory of the optimizers.
    labels : sequence of str, optional
    rtol, atol, solver
        Of the references; "auto" is the jitted solver on compiled problems.
    repeats : int >= 1
        Runs that are timed for each level, of which the fastest counts. Short ones are timed at a multiple of their
        length, until they take ten times as long as a run without steps.
    progress : bool

    Returns
    -------
    WorkPrecision
        Ctrl-C keeps the methods that are done; one that cannot be measured has a curve of nan, and ``message``
        says why.

    Raises
    ------
    TypeError, ValueError
        Something else among ``methods``; ``t_end`` missing; labels of another number.
    """
    checked(problem)
    levels, repeats = len(refinements(levels, factor, 1)), checks.integer("repeats", repeats, 1)
    checks.choice("start", start, STARTS)
    checks.choice("solver", solver, METHODS)
    x0 = problem.x0 if x0 is None else checks.point("x0", x0, problem.dim)
    steps = checks.integer("steps", steps, 1)
    methods = list(checks.some("methods", methods))
    labels = None if labels is None else [str(label) for label in checks.entries("labels", labels)]
    if labels is not None and len(labels) != len(methods):
        raise ValueError(f"labels must name each of the {len(methods)} methods, got {len(labels)}")
    for method in methods:
        checked_method(method, "methods must hold Optimizers and Discretizations")
    if t_end is None:
        if not any(isinstance(m, Optimizer) for m in methods):
            raise ValueError("t_end must be given when no method is an Optimizer")
        own, interrupted = gather(methods, lambda m: _own_time(m, problem, x0, steps, start))
        if interrupted:  # nothing is measured yet, and the gathering below ends at once
            methods, own = [], []
        shared = next((t for t in own if t is not None), math.nan)
        times = np.array([shared if t is None else t for t in own], dtype=float)
    else:
        times = np.full(len(methods), checks.real("t_end", t_end, 0.0, open_low=True))
    names = told_apart([_label(m) for m in methods], [m.spec() for m in methods]) if labels is None else labels

    notes = []

    errors = []

    def measure(i):
        try:
            return curve(i)
        except ValueError as error:
            errors.append(error)
            notes.append(f"{names[i]}: {error}")
            return [(math.nan, 0, math.nan, math.nan, math.nan)] * levels, math.nan

    def curve(i):
        method = methods[i]
        flow, solution = method.flow, None
        if flow is not None:
            z0 = start_state(method, problem, x0, _start_of(method, start))[1]
            solution = solve(flow, problem, z0, float(times[i]), rtol, atol, solver)
            if not solution.success:
                until = f"ends at t = {solution.t_end:.3g}" if solution.t_end > solution.t0 else "is missing"
                notes.append(f"{names[i]}: the reference {until}: {solution.message}")
        rows = []
        for j in range(levels):
            length = {"t_end": float(times[i])} if flow is not None else {"steps": round(steps * factor**j)}
            rows.append(_level(_finer(method, factor, j), problem, x0, length, start, solution, repeats))
        return rows, np.nan if solution is None else solution.uncertainty

    done, interrupted = gather(range(len(methods)), measure, progress=progress, describe=lambda i: names[i])
    if errors and len(errors) == len(methods):  # not one method's failure: the arguments'
        raise errors[0]
    table = np.array([rows for rows, _ in done], dtype=float).reshape(len(done), levels, 5)
    h, gradients, seconds, error, gap = (table[..., i] for i in range(5))
    kept = len(done)
    return WorkPrecision(problem.name, times[:kept], tuple(names[:kept]), tuple(repr(m) for m in methods[:kept]), h,
                         gradients.astype(np.int64), seconds, error, gap, np.array([u for _, u in done]),
                         "; ".join([*notes, *["interrupted"] * interrupted]), tuple(m.spec() for m in methods[:kept]))


def _own_time(method, problem, x0, steps, start):
    """Flow time of an optimizer's coarse steps; where they diverge, what they would have taken."""
    if not isinstance(method, Optimizer):
        return None
    run = inner_run(method, problem, x0, steps, steps, start=start)
    return float(run.t[-1]) if run.ok else steps * method.h


def _start_of(method, start):
    """A Discretization has memory at rest; ``start`` is for optimizers."""
    return start if isinstance(method, Optimizer) else "cold"


def _label(method):
    if isinstance(method, Optimizer):
        return method.title
    return f"{method.scheme.name}{', error control' if method.rtol is not None else ''}"


def _finer(method, factor, j):
    if isinstance(method, Optimizer):
        return method.refined(factor**j) if j and method.flow is not None else method
    if method.rtol is not None:
        return replace(method, rtol=method.rtol / 10**j, atol=method.atol / 10**j)
    return method.refined(factor**j)


def _seconds_per_gradient(method, problem, x0, length, start, repeats):
    """Wall time of the compiled loop per gradient: of a run so long that it takes ``WELL_ABOVE`` times what a run
    without steps does, and which keeps no records; of the longest where a run ends by itself. nan where that is not
    above the run without steps."""
    def timed(**options):
        best, run = math.inf, None
        for _ in range(repeats):
            begin = time.perf_counter()
            run = inner_run(method, problem, x0, every=_NO_RECORDS, start=start, **options)
            best = min(best, time.perf_counter() - begin)
        return best, int(run.n_grad[-1]) if run is not None and len(run) else 0

    (what, size), times = *length.items(), 1
    idle, _ = timed(steps=0)
    taken, done = timed(**length)
    while taken < WELL_ABOVE * idle and times < _LONGEST:
        more = 1.2 * (WELL_ABOVE * idle - idle) / (taken - idle) if taken > 1.5 * idle else 16
        times = min(times * max(2, math.ceil(more)), _LONGEST)
        longer, count = timed(**{what: size * times})
        if count <= done:  # it ends by itself
            break
        taken, done = longer, count
    return (taken - idle) / done if taken > idle and done else math.nan


def _level(method, problem, x0, length, start, solution, repeats):
    """(h, gradients, seconds, error, gap) of one run."""
    start = _start_of(method, start)
    run = inner_run(method, problem, x0, start=start, **length)
    if isinstance(method, Optimizer):
        h = method.h
    else:
        h = method.rtol if method.rtol is not None else float(np.max(method.h))
    if "t_end" in length:
        check_reached(run, length["t_end"], h)
    gradients = int(run.n_grad[-1]) if len(run) else 0
    gap = float(run.f[-1] - problem.f_min) if problem.f_min is not None and len(run) else np.nan
    error = np.nan
    if not run.ok:
        error = gap = np.inf
    elif solution is not None and solution.t_end > solution.t0:
        error = distance_to(run.t, run.x, solution, solution.t_end)[0]
    each = _seconds_per_gradient(method, problem, x0, length, start, repeats) if gradients else math.nan
    return h, gradients, each * gradients, error, gap
