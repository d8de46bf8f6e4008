"""``compare``: a run against the flow that its optimizer discretises."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ... import checks
from ...discretization import Discretization
from ...engine.record import MOST_STEPS
from ...engine.trajectory import Trajectory
from ...method import Method, checked_method
from ...problems import Problem
from ...reference.reference import Reference, reference, reference_at
from ...reference.scheduled import ScheduledMethod
from ...results import Result, html_table
from ...schedules import PlateauRule
from ...sums import norms
from ..inner import inner_run

FORMAT = 1
LOCAL_SAMPLES = 24
MOST_RECORDS = 100_000  # at which a reference is read
_MOST_DECISIONS = 20_000  # of a plateau rule on the way to t_end, some seconds
UNSETTLED = 0.5  # difference of two successive orders


@dataclass(frozen=True, eq=False)
class Comparison(Result):
    """A run and its reference flow at equal flow time.

    Attributes
    ----------
    run : Trajectory
    reference : Reference or None
        None where the optimizer has no classical flow, the run has no point after its start, or the
        solver came to no such point.
    t, error : (R,) arrays
        Flow time and |x_n - x(t_n)| for the records that the reference covers.
    local_t, local_error : arrays
        Flow time, and |x_{n+1} - flow over one step from the state of step n|, at some steps.
    max_error : float
    order : float
        log2 of the error ratio between the runs with h/2 and h/4 over the same flow time; nan when
        not asked for, when the error does not shrink, or when h and h/2 say otherwise by more than a
        half (the step is too large for an order to show). No certificate: :func:`odeopt.convergence`
        is that.
    gap : float
        f at the last record minus the known minimum (nan if not known).
    message : str
        What to know before believing the numbers ("" if nothing).
    """

    method: Any
    problem: str
    run: Trajectory
    reference: Reference | None
    t: np.ndarray
    error: np.ndarray
    local_t: np.ndarray
    local_error: np.ndarray
    max_error: float
    order: float
    gap: float
    message: str

    @property
    def trusted(self):
        """Whether the reference's own uncertainty is below a hundredth of the largest error."""
        return self.reference is not None and (self.reference.success or self.reference.exhausted) and (
            self.reference.uncertainty <= 0.01 * self.max_error)

    def row(self):
        """One line of the comparison table, as a dict."""
        flow, scheme = self.method.flow, self.method.scheme
        return {
            "optimizer": self.method.title,
            "hyperparameters": repr(self.method),
            "flow": flow.name if flow else "none",
            "equation": flow.equation if flow else "no classical flow",
            "scheme": scheme.name if scheme else "none",
            "h": float(np.max(self.method.h)),
            "steps": int(self.run.final["k"]),
            "gradients": int(self.run.n_grad[-1]),
            "flow time": float(self.run.final["t"]),
            "max error": self.max_error,
            "order": self.order,
            "uncertainty": self.reference.uncertainty if self.reference else np.nan,
            "f - f*": self.gap,
            "status": self.run.status,
            "message": "; ".join(m for m in (self.message, "" if self.run.ok else self.run.message) if m),
        }

    def rows(self):
        """One dict per record of the run, with the distance to the flow as "error" (nan beyond the reference)."""
        error = np.full(len(self.run), np.nan)
        error[: self.error.size] = self.error
        return [row | {"error": float(e)} for row, e in zip(self.run.rows(), error)]

    def headline(self):
        return (f"{self.method.title} on {self.problem}: max error {self.max_error:.3g}, f - f* {self.gap:.3g}"
                f"{'; ' + self.message if self.message else ''}")

    def _whole(self):
        version, words, arrays = self.run._whole()
        own = {name: getattr(self, name) for name in ("t", "error", "local_t", "local_error")}
        if self.reference is not None and self.t.size:
            own["reference"] = self.reference(np.minimum(self.t, self.reference.t_end))
        return FORMAT, {"comparison": self.row()} | {f"run.{name}": value for name, value in words.items()}, own | {
            f"run.{name}": value for name, value in arrays.items()}

    def _repr_html_(self):
        """The table for notebooks."""
        return html_table([{"quantity": k, "value": v} for k, v in self.row().items() if v != ""], self.problem)

    def __repr__(self):
        return f"<Comparison {self.headline()}>"


def compare(method: Method, problem: Problem, x0: ArrayLike | None = None, steps: int | None = None, *,
            every: int = 1, start: str = "cold", t_end: float | None = None, rtol: float = 1e-10, atol: float = 1e-12,
            local: bool = True, order: bool = False, check: bool = True, schedule: Any = None,
            progress: bool = False) -> Comparison:
    """Run ``method`` and measure its distance to its flow.

    Parameters
    ----------
    method : Optimizer or Discretization
    problem : Problem
    x0 : (n,) array, optional
        For a Discretization it may be a whole state (rows, n).
    steps, every, start, t_end
        As in :func:`odeopt.record` (``steps`` is ignored when ``t_end`` is given); ``start`` is for optimizers.
    rtol, atol : float
        Tolerances of the reference.
    local : bool
        Measure local errors too (a short solve for each of some 24 steps; of a Discretization only where
        every step is recorded).
    order : bool
        Measure the order by two more runs, with h/2 and h/4.
    check : bool
        Check the reference by a second tolerance.
    schedule : Schedule or sequence of two, optional
        As in :func:`odeopt.record`. Flow time is then the integral of the step, and the reference
        is the flow whose constants move with it (:mod:`odeopt.reference.scheduled`). The sum of a falling
        step is a little larger than its integral: where the run comes past the end of the
        reference's time (a learning rate that ends at 0), it is compared with that end.
    progress : bool
        Show how far run and reference are on stderr (only if that is a terminal or a notebook).

    Returns
    -------
    Comparison
        A run that diverged is compared as far as it got, and ``message`` says so. A reference
        that fails or whose own uncertainty is above a hundredth of the error is reported there.

    Examples
    --------
    >>> import odeopt as oo
    >>> found = oo.compare(oo.GradientDescent(0.001), oo.problems.beale(), steps=500)
    >>> 0 < found.max_error < 0.02
    True
    """
    checked_method(method)
    every = checks.integer("every", every, 1)
    local, order, check = (checks.switch(name, value) for name, value in (
        ("local", local), ("order", order), ("check", check)))
    most = min(MOST_STEPS, every * MOST_RECORDS)  # of a run to t_end: the reference is read at every record
    if isinstance(schedule, PlateauRule):
        most = min(most, schedule.every * _MOST_DECISIONS)
    if t_end is not None:
        t_end = checks.real("t_end", t_end)
        steps = None if np.size(method.h) > 1 else most + 1  # a list of steps knows its number
    run = inner_run(method, problem, x0, steps, every, schedule, t_end=t_end, start=start, memory=local,
                    progress=progress)
    if t_end is not None and steps == run.final["k"]:
        raise ValueError(f"t_end must be in reach of {most} steps with every={every}, got {t_end:g}, and they come "
                         f"to t = {run.final['t']:g}")
    gap = float(run.f[-1] - problem.f_min) if problem.f_min is not None and len(run) else np.nan
    empty = np.zeros(0)

    def alone(message):
        return Comparison(method, problem.name, run, None, empty, empty, empty, empty, np.nan, np.nan, gap, message)

    if method.flow is None:
        return alone("no classical flow")
    if len(run) < 2 or not run.t[-1] > run.t[0]:
        return alone("no step to compare")
    try:
        method.flow.check(problem)
    except ValueError as error:  # a flow that needs Hessian products
        return alone(str(error))
    solution = reference_at(run.t, method, problem, x0, float(run.t[-1]), rtol=rtol, atol=atol, start=start,
                            check=check, schedule=schedule, progress=progress,
                            steps=None if schedule is None else 2 * int(run.final["k"]) + 100)
    solved = solution.success or solution.exhausted  # a schedule that ends: the run may be a little further
    covered = (run.t <= solution.t_end * (1 + 1e-12)) | (schedule is not None and solved)
    if covered.sum() < 2:
        return alone(f"no reference beyond t = {solution.t_end:.3g}: {solution.message}")
    t = run.t[covered]
    with np.errstate(over="ignore"):
        error = norms(run.x[covered] - solution(np.minimum(t, solution.t_end)))
    largest = float(error.max())
    messages = []
    if not solved:
        messages.append(f"the reference ends at t = {solution.t_end:.3g}: {solution.message}")
    elif check and not solution.uncertainty <= 0.01 * largest:
        messages.append(f"reference uncertain by {solution.uncertainty:.1e}")
    local_t, local_error = _local_errors(method, problem, run, schedule) if local else (empty, empty)
    slope = np.nan
    if order and run.ok:
        slope = _order(method, problem, x0, solution, start, largest, int(run.final["k"]), schedule)
    return Comparison(method, problem.name, run, solution, t, error, local_t, local_error, largest, slope, gap,
                      "; ".join(messages))


def _order(method, problem, x0, solution, start, largest, steps, schedule):
    """Observed order from h/2 and h/4, if that from h (``steps`` of them, error ``largest``) and h/2 is the same."""
    schedules = () if schedule is None else schedule if isinstance(schedule, (list, tuple)) else (schedule,)
    laws, errors = method.scaling(), [largest]
    for factor in (2, 4):
        stretched = tuple(s.refined(factor, laws[s.drives]) for s in schedules) or None
        finer = method.refined(factor)
        # The sum of a falling step gets smaller with the step, so that t_end may be out of reach now.
        run = inner_run(finer, problem, x0, None if schedule is None else factor * (steps + 100), factor, stretched,
                        t_end=solution.t_end, start=start)
        t = run.t[run.t <= solution.t_end]
        if not run.ok or t.size < 2 or run.t[-1] < solution.t_end * (1 - 1e-9):
            return np.nan
        errors.append(norms(run.x[: t.size] - solution(t)).max())
    with np.errstate(all="ignore"):
        before, order = -np.diff(np.log2(errors))
    return float(order) if order > 0 and abs(order - before) <= UNSETTLED else np.nan


def _local_errors(method, problem, run, schedule=None):
    """Error of single steps, each started on the run's own state."""
    picked = np.unique(np.linspace(0, len(run) - 2, LOCAL_SAMPLES).astype(int))
    step = _next_recorded(method, run) if isinstance(method, Discretization) else _next_made(
        method, problem, run, schedule)
    times, errors = [], []
    for i in picked:
        found = step(i)
        if found is None:
            break
        flow, z, dt, x = found
        t = float(run.t[i])
        exact = reference(flow, problem, z, t + dt, rtol=1e-11, atol=1e-13, t0=t, check=False)
        if exact.success:
            times.append(t)
            errors.append(float(norms(x - exact(t + dt))))
    return np.array(times), np.array(errors)


def _next_recorded(method, run):
    """``i -> (flow, state, flow time of the step, position after it)``, where the next step is in the record."""

    def step(i):
        if run.k[i + 1] != run.k[i] + 1:
            return None
        return method.flow, np.vstack([run.x[i], run.memory[i]]), float(run.t[i + 1] - run.t[i]), run.x[i + 1]

    return step


def _next_made(optimizer, problem, run, schedule):
    """As :func:`_next_recorded`, by one call of the update at the recorded state."""
    schedules = () if schedule is None else schedule if isinstance(schedule, (list, tuple)) else (schedule,)
    moving = ScheduledMethod(optimizer, schedules)

    def step(i):
        x, s, k = run.x[i].copy(), run.memory[i].copy(), int(run.k[i])
        g = problem.value_and_grad(x)[1]
        now = moving.at(k) if schedules else optimizer
        z = now.to_flow(x, s)
        dt = now.kernel(k, now.p_for(x), x, g, s)
        return (now.flow, z, dt, x) if np.isfinite(x).all() and dt > 0 else None

    return step
