"""``reference``: the continuous flow, solved by scipy's ``solve_ivp`` or the package's own Dormand–Prince."""

import contextlib
import threading
import weakref
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import checks
from ..discretization import Discretization
from ..flows import Flow, SignInclusion
from ..method import STARTS, Method, checked_method
from ..optimizers import Optimizer
from ..problems import Problem
from ..problems.base import checked
from ..progress import progress_bar
from ..schedules import Schedule, driven
from ..sums import norms
from . import filippov
from .scheduled import ScheduledMethod, ScheduledSolution
from .solvers import DENSE_JACOBIAN, IMPLICIT, solve

METHODS = ("auto", "DOP853", "RK45", "RK23", "Radau", "BDF", "LSODA", "RKC2", "ROCK2", "jitted")
_KEPT = weakref.WeakKeyDictionary()  # problem -> {what was solved: Reference}, for reuse=True
_KEEP = 16  # references a problem
_LONGER = 4.0  # a kept solution may cover this many times the interval asked for


@dataclass(frozen=True, eq=False)
class Reference:
    """A reference solution, callable: ``sol(t)`` is the position at flow time ``t``.

    Attributes
    ----------
    flow : Flow
    t0, t_end : float
        Interval that the solution covers; beyond it a call raises ValueError.
    rtol, atol : float
    method : str
    success : bool
        Whether it comes to the end that was asked for.
    message : str
        Why not.
    exhausted : bool
        Whether it ends before because a schedule ran out of steps, and not because a solver failed.
    uncertainty : float
        Largest distance on the interval to a second solution at 100 times the tolerances (its
        error, hence a generous bound of this one's); nan when not checked.
    nfev : int
        Evaluations of the field, the check included; 0 for one that was solved before.
    """

    flow: Flow
    dim: int
    t0: float
    t_end: float
    rtol: float
    atol: float
    method: str
    success: bool
    message: str
    uncertainty: float
    nfev: int
    _dense: Any
    exhausted: bool = False

    @np.errstate(all="ignore")  # of scipy's polynomials between steps
    def state(self, t):
        """z at the times ``t``, a number or an array of any shape: an array of shape t.shape + (rows, n)."""
        if self._dense is None:
            raise ValueError(f"the reference has no solution to show: {self.message}")
        t = self._inside(t)
        shape = (*t.shape, self.flow.rows, self.dim)
        return self._dense(t.ravel()).T.reshape(shape) if t.size else np.empty(shape)

    def _inside(self, t):
        """``t`` as an array of times within the interval (to round-off), or our own sentence."""
        try:
            times = np.asarray(t)
            if np.ma.isMaskedArray(t) or times.dtype.kind not in "iufO" or None in times.ravel().tolist():
                raise TypeError
            t = np.array(times, dtype=float)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(f"t must be real times, got {checks.shown(t)}") from None
        slack = 1e-9 * max(abs(self.t_end), 1e-300)
        out = t[~((t >= self.t0 - slack) & (t <= self.t_end + slack))]  # NaN is not inside
        if out.size:
            raise ValueError(f"t must be in [{self.t0:g}, {self.t_end:g}], got {out[0]:g}")
        return np.clip(t, self.t0, self.t_end)

    def __call__(self, t):
        return self.state(t)[..., 0, :]

    def __repr__(self):
        return (f"<Reference {self.flow.name} on [{self.t0:g}, {self.t_end:g}] by {self.method}, rtol {self.rtol:g}, "
                f"uncertainty {self.uncertainty:.1e}{'' if self.success else ', ' if self.exhausted else ', FAILED: '}"
                f"{self.message}>")


def reference(method: Method | Flow, problem: Problem, x0: ArrayLike | None = None, t_end: float | None = None, *,
              rtol: float = 1e-10, atol: float = 1e-12, solver: str = "auto", start: str = "cold",
              t0: float | None = None, check: bool = True, reuse: bool = False, schedule: Any = None,
              steps: int | None = None, progress: bool = False) -> Reference:
    """Solve the flow of a method (or a flow) with scipy's ``solve_ivp``.

    Parameters
    ----------
    method : Optimizer, Discretization or Flow
    problem : Problem
    x0 : (n,) or (rows, n) array, optional
        Start; (n,) takes its memory from ``start`` (an Optimizer) or at rest (a Discretization, a Flow).
    t_end : float > 0
        Flow time.
    rtol, atol : float
        Tolerances of ``solve_ivp``; an ``atol`` below 1e-100 is taken as that. In a state of more than 400 entries
        with a mean of gradients (Adam's flow), ``atol`` is the position's, and the memory's is 1e-4 times that.
    solver : {"auto", "DOP853", "RK45", "RK23", "Radau", "BDF", "LSODA", "RKC2", "ROCK2", "jitted"}
        "auto": DOP853; from where that has spent 10,000 evaluations of the field, the flow is stiff
        and LSODA, which switches to implicit steps by itself, goes on. A state of more than 400
        entries is too large for that. There, after 3,000 evaluations, BDF goes on if the problem has Hessian
        products, the field works on each coordinate by itself, so that systems of n unknowns do
        (:mod:`odeopt.reference.structured`), and the largest eigenvalue is a decay; after 10,000 RKC2 (at
        tolerances of 1e-6 it may be ten times faster than DOP853, and at 1e-10 an order of 2 hardly ever helps);
        each if a trial of 1,000 evaluations shows it to be twice as fast, else DOP853. After 50,000 evaluations
        (a field that is not smooth, or a large one that is stiff) the solution ends and says so, one by
        a solver that was asked for by name after 500,000; with ``check`` it ends where the second
        solution parts from it by half of the digits asked for. Implicit methods get the exact Jacobian
        where the Hessian is known. "jitted" is the package's own Dormand–Prince 5(4) with the error norm
        of scipy's RK45, for sweeps: on compiled problems it is several times faster than the others (a
        test compares their solutions). A differential inclusion (:func:`odeopt.flows.sign_inclusion`) is solved
        between events by the explicit ones of SciPy, "auto" is DOP853, and needs Hessian products.
    start : {"cold", "consistent"}
    t0 : float, optional
        Flow time of the start; default 0, for a Discretization its own.
    check : bool
        Solve again at 100 times the tolerances to estimate the solution's own uncertainty (for a large
        state in a thread, at the same time).
    reuse : bool
        Keep the solution with the problem and take it again for the same flow, start and
        tolerances on this or a shorter interval (compiled problems only).
    schedule : Schedule or sequence of two, optional
        Of the optimizer's hyperparameters, as in :func:`odeopt.record`: the flow's constants move
        with the learning rate (:mod:`odeopt.reference.scheduled`).
    steps : int, optional
        With ``schedule``: how many steps of the optimizer to follow at most, default 100,000. Give it
        where the schedule has phases that are short against that (it bounds the solver's steps). A
        schedule that fades may end before ``t_end``, one that leaves the interval of its hyperparameter
        ends there; ``Reference.t_end`` says where.
    progress : bool
        Show how far the solver is on stderr (only if that is a terminal; not with a schedule, not "jitted").

    Returns
    -------
    Reference
        With ``success=False`` and the part that was solved where it ends before ``t_end``: where the field is
        not finite (nothing is solved, if that is so at the start), grows without bound or is not smooth, where
        the evaluations are spent, and where a schedule has no more steps.

    Raises
    ------
    ValueError
        An optimizer without a classical flow; ``t_end`` missing or not positive; an unknown solver.

    Examples
    --------
    >>> import odeopt as oo
    >>> line = oo.problems.quadratic([1.0], x0=[1.0])
    >>> sol = oo.reference(oo.flows.gradient_flow(), line, t_end=1.0)
    >>> round(float(sol(1.0)[0]), 6)
    0.367879
    """
    return reference_at(None, method, problem, x0, t_end, rtol=rtol, atol=atol, solver=solver, start=start, t0=t0,
                        check=check, reuse=reuse, schedule=schedule, steps=steps, progress=progress)


def reference_at(times, method, problem, x0, t_end, *, rtol=1e-10, atol=1e-12, solver="auto", start="cold", t0=None,
                 check=True, reuse=False, schedule=None, steps=None, progress=False):
    """:func:`reference` for who will read it at ``times``, in rising order: elsewhere it may cost evaluations of a
    large field (None: anywhere)."""
    if t_end is None:
        raise ValueError("t_end must be given (flow time > 0)")
    own = method.t0 if isinstance(method, Discretization) else 0.0
    t0 = own if t0 is None else checks.real("t0", t0)
    t_end = checks.real("t_end", t_end, t0, open_low=True)
    checks.choice("solver", solver, METHODS)
    for name, value in (("check", check), ("reuse", reuse), ("progress", progress)):
        checks.choice(name, value, (False, True))
    rtol, atol = checks.real("rtol", rtol, 2.3e-14, 1), checks.real("atol", atol, 0)
    flow, z0 = start_state(method, problem, x0, start)
    inclusion = isinstance(flow, SignInclusion)
    if inclusion:
        checks.choice("solver", solver, filippov.SOLVERS)
    if schedule is None and steps is not None:
        raise ValueError(f"steps must be None without a schedule, whose steps it counts, got {checks.shown(steps)}")
    if schedule is not None:
        steps = 100_000 if steps is None else checks.integer("steps", steps, 1)
        moving = _moving(method, schedule, t0)
        steps = min(driven.steps_inside(method, s, steps) for s in moving.schedules)
        if moving.changes_the_flow():
            if inclusion:
                raise ValueError("schedule must leave the decay of a differential inclusion as it is")
            checks.choice("solver", solver, METHODS[:-1])

            def scheduled(end, rtol, atol, solver, words=None):
                return ScheduledSolution(moving, problem, z0, end, steps, rtol, atol, solver)

            return _found(scheduled, flow, problem.dim, 0.0, t_end, rtol, atol, solver, check)
    if reuse and problem.compiled:
        return _kept(flow, problem, z0, t0, t_end, rtol, atol, solver, check)

    def plain(end, rtol, atol, solver, words="reference"):
        with _bar(progress, t0, end, words) as watch:
            return solve(flow, problem, z0, t0, end, rtol, atol, solver, watch, None, times)

    if times is not None and check:
        times = np.union1d(times, _samples(t0, t_end))
    second = None
    if check and solver == "auto" and problem.compiled and z0.size > DENSE_JACOBIAN and not inclusion:

        def loosely(watch, reached):
            return solve(flow, problem, z0, t0, t_end, *_loosened(rtol, atol), "auto", watch, reached,
                         _samples(t0, t_end))

        second = _Second(loosely)
    return _found(plain, flow, problem.dim, t0, t_end, rtol, atol, solver, check, second)


def _loosened(rtol, atol):
    return min(100 * rtol, 0.1), 100 * atol


class _Second(threading.Thread):
    """The second solution, at the same time as the first: one evaluation of a large field takes long
    enough for the two to run abreast, and compiled fields hold no lock."""

    class _Dropped(Exception):
        pass

    def __init__(self, solve):
        super().__init__(daemon=True)
        self._solve, self._end, self._dropped = solve, None, False
        self._found: Any = None
        self._error: Any = None
        self.start()

    def run(self):
        try:
            self._found = self._solve(self._watch, lambda t, y: self._end is not None and t >= self._end)
        except self._Dropped:
            pass
        except BaseException as error:  # is raised where the solution is asked for
            self._error = error

    def _watch(self, t):
        if self._dropped:
            raise self._Dropped

    def until(self, end):
        """The solution, at least as far as ``end``; its evaluations until there."""
        self._end = end
        while self.is_alive():
            self.join(0.1)  # so that an exception sent to this thread (studies.abreast) need not wait for the end
        if self._error is not None:
            raise self._error
        self._found.nfev = int(self._found.counts[min(np.searchsorted(self._found.t, end), self._found.t.size - 1)])
        return self._found

    def drop(self):
        self._dropped = True
        self.join()


def _found(solve_to, flow, n, t0, t_end, rtol, atol, solver, check, second=None):
    """The Reference that ``solve_to(end, rtol, atol, solver, words)`` finds, checked by a second solution, which
    may be under way."""
    try:
        return _checked(solve_to, flow, n, t0, t_end, rtol, atol, solver, check, second)
    finally:
        if second is not None:
            second.drop()


def _checked(solve_to, flow, n, t0, t_end, rtol, atol, solver, check, second):
    solution = solve_to(t_end, rtol, atol, solver)
    exhausted = getattr(solution, "exhausted", False)
    end, uncertainty, nfev = float(solution.t[-1]), np.nan, solution.nfev
    if check and end > t0:
        loose = second.until(end) if second is not None else None
        alike = loose is not None and (loose.solver in IMPLICIT or loose.solver == solution.solver == "DOP853")
        if loose is None or not alike or loose.t[-1] < end and solution.success:
            again = solution.solver if solution.success else solver  # by name it would not end as early
            loose = solve_to(end, *_loosened(rtol, atol), again, "check")
        nfev += loose.nfev
        if solution.success:
            uncertainty = _distance(solution, loose, t0, min(end, float(loose.t[-1])), n)
        else:
            end, uncertainty = _agreement(solution, loose, t0, n, 10 * np.sqrt(rtol))
    return Reference(flow, n, t0, end, rtol, atol, solution.solver, bool(solution.success and not exhausted),
                     str(solution.message) if exhausted or not solution.success else "", uncertainty, int(nfev),
                     solution.sol, exhausted)


@contextlib.contextmanager
def _bar(progress, t0, t_end, words):
    """A function of the time that moves the progress bar, or None."""
    if not progress:
        yield None
        return
    with progress_bar(total=t_end - t0, desc=words, bar_format="{desc}{percentage:4.0f}% |{bar}|") as bar:
        yield lambda t: bar.update(max(t - t0 - bar.n, 0.0))


def _kept(flow, problem, z0, t0, t_end, rtol, atol, solver, check):
    """The reference from those kept with the problem, or a new one that is kept."""
    key = (flow.rhs, flow.p.tobytes(), z0.tobytes(), problem.data.tobytes(), t0, rtol, atol, solver, check)
    kept = _KEPT.setdefault(problem, {})
    found = kept.get(key)
    # Not from a much longer interval: its uncertainty would be another problem's.
    if found is not None and t_end <= found.t_end <= t0 + _LONGER * (t_end - t0):
        return replace(found, t_end=t_end, nfev=0)
    found = reference(flow, problem, z0, t_end, rtol=rtol, atol=atol, solver=solver, t0=t0, check=check)
    if found.success:
        kept.pop(key, None)
        kept[key] = found
        while len(kept) > _KEEP:
            kept.pop(next(iter(kept)))
    return found


def _samples(t0, end):
    """Times at which two solutions are held against each other."""
    return np.linspace(t0, end, 201)[1:]


@np.errstate(all="ignore")
def _distance(solution, loose, t0, end, n):
    """Largest distance of the positions of two solutions at 200 times; nan if the loose one failed."""
    if not loose.success:
        return np.nan
    t = _samples(t0, end)
    return float(norms(loose.sol(t)[:n] - solution.sol(t)[:n], 0).max())


@np.errstate(all="ignore")
def _agreement(solution, loose, t0, n, half):
    """``(end, uncertainty)`` of a solution that did not arrive: as far as the second one agrees to half of the digits.

    What stops a solver (a field that jumps, an equilibrium reached in finite time) may also have led it
    astray before.
    """
    t = np.append(t0, _samples(t0, min(solution.t[-1], loose.t[-1])))
    x = solution.sol(t)[:n]
    distance = np.linalg.norm(loose.sol(t)[:n] - x, axis=0) if loose.sol else np.full(t.size, np.inf)
    agree = np.logical_and.accumulate(distance <= half * (1.0 + np.linalg.norm(x, axis=0)))
    last = max(int(agree.sum()) - 1, 0)
    return float(t[last]), float(distance[: last + 1].max())


def _moving(method, schedule, t0):
    if not isinstance(method, Optimizer):
        raise TypeError(f"method must be an Optimizer under a schedule, got {type(method).__name__}")
    if t0 != 0.0:
        raise ValueError(f"t0 must be 0 under a schedule, got {t0:g}")
    schedules = tuple(schedule) if isinstance(schedule, (list, tuple)) else (schedule,)
    if not schedules or not all(isinstance(s, Schedule) for s in schedules):
        raise TypeError("schedule must be a Schedule or a sequence of them: "
                        "decisions by the objective have no flow of their own")
    for s in schedules:
        driven.entry(method, s.drives)
    return ScheduledMethod(method, schedules)


def start_state(method: Method | Flow, problem: Problem, x0: ArrayLike | None = None,
                start: str = "cold") -> tuple[Flow, np.ndarray]:
    """``(flow, z0)`` of a method or a Flow at ``x0``; for a Discretization or a Flow that may be a whole state."""
    checked(problem)
    checks.choice("start", start, STARTS)
    if isinstance(method, Flow):
        method.check(problem)
        return method, method.state("x0", problem.x0 if x0 is None else x0, problem.dim)
    checked_method(method, "method must be an Optimizer, a Discretization or a Flow")
    flow = method.flow
    if flow is None:
        raise ValueError(f"method must have a classical flow, and {method.title} has none")
    flow.check(problem)
    if isinstance(method, Optimizer):
        x0 = problem.x0 if x0 is None else checks.point("x0", x0, problem.dim)
        return flow, method.flow_start(x0, problem.grad(x0), start)
    return flow, method.flow_start(flow.state("x0", problem.x0 if x0 is None else x0, problem.dim), None, start)
