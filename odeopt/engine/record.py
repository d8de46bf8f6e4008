"""``record``: run an optimizer (or a scheme on a flow) and keep its trajectory."""

import json
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import archive, checks, fingerprint
from ..abi import is_compiled
from ..discretization import Discretization
from ..method import Method, checked_method
from ..optimizers import Optimizer
from ..problems import Problem
from ..problems.base import checked
from ..progress import progress_bar
from ..schedules import PlateauRule, Schedule, constant
from ..schedules import driven as driving
from ..schemes.base import LEAST_ATOL
from . import inlined, loops
from .store import Store
from .trajectory import Trajectory

# b1, b2, b3, safety, smallest and largest factor of the step-size controllers; b1, b2, b3 are divided by
# the order of the error estimate plus one. Elementary (I); PI of Gustafsson (1991); PID, the default of ARKODE.
CONTROLLERS = {
    "I": (1.0, 0.0, 0.0, 0.9, 0.2, 5.0),
    "PI": (0.7, -0.4, 0.0, 0.9, 0.2, 5.0),
    "PID": (0.58, -0.21, 0.10, 0.9, 0.2, 5.0),
}
MOST_STEPS = 10_000_000  # of a run to t_end whose number of steps is not given
_MANY_SIZES = 10_000  # a longer vector of steps is not written into the run's spec
_INTERPRETED = "; in the interpreter: {} is plain Python, which odeopt.abi.kernel compiles"


def record(method: Method, problem: Problem, x0: ArrayLike | None = None, steps: int | None = None, every: int = 1,
           schedule: Any = None, *, t_end: float | None = None, gtol: float = 0.0, start: str | ArrayLike = "cold",
           memory: bool = False, resume: Any = None, controller: Any = None, progress: bool = False,
           specialize: bool | None = None) -> Trajectory:
    """Run ``method`` on ``problem`` and return the :class:`Trajectory`.

    Parameters
    ----------
    method : Optimizer or Discretization
        ``Discretization(flow, scheme, h)`` runs a scheme on a flow, with error control when it
        has ``rtol``.
    problem : Problem
    x0 : (n,) array, optional
        Start; default the problem's own. For a Discretization it may be a full state (rows, n).
    steps : int, optional
        Number of steps (trial steps when error-controlled). Default 1000, or no limit up to
        10^7 when ``t_end`` is given, or the number of step sizes of a Discretization.
    every : int
        Stride of the record; the last point is always kept.
    schedule : Schedule or sequence of two, or PlateauRule, optional
        Drives the learning rate, and possibly one other hyperparameter. A PlateauRule
        (:class:`odeopt.schedules.ReduceLROnPlateau`) sees f after each ``schedule.every`` steps and
        decides the learning rate of the next; ``final["decisions"]`` is its state.
    t_end : float, optional
        Stop at this flow time. A Discretization lands on it to 1e-9 of a step; an optimizer stops at the
        first step that reaches it.
    gtol : float
        Stop when the gradient norm is not above it (of an optimizer). 0 stops where the gradient is exactly 0
        and the method's memory does not move the point either.
    start : {"cold", "consistent"} or (slots, n) array
        Initial memory of an optimizer: zeros, that with which its flow starts smoothly, or given.
    memory : bool
        Keep the memory rows as well.
    resume : Trajectory, optional
        Continue that run; the result is the whole trajectory, bit for bit what one run would have
        given. Method, problem and schedule must be those of the run, by what they do and not by their
        names (:mod:`odeopt.fingerprint` says what that sees); so must ``every`` and ``memory``. ``x0``
        and ``start`` come from there. Optimizers only.
    controller : {"I", "PI", "PID"} or 6 numbers, optional
        Step-size controller of error-controlled runs, default "PI": (b1, b2, b3, safety > 0, smallest factor in (0, 1),
        largest factor >= 1). A rejected step that these would not shorten takes the smallest factor.
    progress : bool
        Show a progress bar on stderr (only if that is a terminal or a notebook).
    specialize : bool, optional
        Run an optimizer in a loop compiled for its kernels (:mod:`odeopt.engine.inlined`; n <= 8): the
        same numbers, several times as fast. None: when the run is long enough to pay for it. Where
        True cannot be had, the message says why and the general loop runs.

    Returns
    -------
    Trajectory
        A run that diverges returns what was recorded before; ``status`` and ``message`` say where
        and why. Ctrl-C does the same, and so does a schedule that leaves the interval of its hyperparameter (a
        learning rate of 0 is allowed) and a run without ``steps`` that ends before ``t_end``.

    Raises
    ------
    TypeError, ValueError
        Arguments of a wrong type, shape or range; options that this kind of method cannot honour; a start
        where f or its gradient is not finite.

    Examples
    --------
    >>> import odeopt as oo
    >>> run = oo.record(oo.GradientDescent(0.01), oo.problems.beale(), steps=100)
    >>> run.status, round(float(run.t[-1]), 6)
    ('completed', 1.0)
    """
    checked(problem)
    checked_method(method)
    every = checks.integer("every", every, 1)
    memory, progress = checks.switch("memory", memory), checks.switch("progress", progress)
    specialize = None if specialize is None else checks.switch("specialize", specialize)
    begin = method.t0 if isinstance(method, Discretization) else 0.0
    limit = math.inf if t_end is None else checks.real("t_end", t_end, begin)
    must_reach = -math.inf if t_end is None or steps is not None else limit
    if steps is not None:
        steps = checks.integer("steps", steps, 0)
    if isinstance(method, Optimizer):
        _refuse("an Optimizer, whose step is its own", controller=(controller, None))
        steps = steps if steps is not None else 1000 if t_end is None else MOST_STEPS
        gtol = checks.real("gtol", gtol, 0.0)
        with _bar(progress, steps) as bar:
            return _record_optimizer(method, problem, x0, steps, every, schedule, limit, must_reach, gtol, start,
                                     memory, resume, bar.update, specialize)
    _refuse("a Discretization", schedule=(schedule, None), resume=(resume, None), gtol=(gtol, 0.0),
            start=(start, "cold"), specialize=(specialize, None))
    assert isinstance(method, Discretization)
    if method.rtol is None:
        _refuse("a Discretization with fixed steps (without rtol)", controller=(controller, None))
    if steps is None:
        many = np.size(method.h) > 1
        steps = np.size(method.h) if many else 1000 if t_end is None else MOST_STEPS
    with _bar(progress, steps) as bar:
        return _record_scheme(method, problem, x0, steps, every, limit, must_reach, memory, controller,
                              bar.update)


def _refuse(what, **options):
    """ValueError for an option, given as (value, default), that ``what`` cannot honour."""
    for name, (value, default) in options.items():
        same = value is default if default is None else isinstance(value, type(default)) and value == default
        if not same and not (name == "gtol" and checks.real("gtol", value, 0.0) == 0.0):
            raise ValueError(f"{name} must be {default!r} for {what}, got {checks.shown(value)}")


def _bar(progress, steps):
    return progress_bar(progress, total=steps if steps < MOST_STEPS else None, unit="step")


def _start_point(problem, x0):
    x = problem.x0.copy() if x0 is None else checks.point("x0", x0, problem.dim)
    f, g = problem.value_and_grad(x)
    if not (np.isfinite(f) and np.isfinite(loops.norm_of(g))):
        raise ValueError(f"x0 must be a point where f and its gradient are finite, got f = {f} at {x[:4]}")
    return x, f, g


def _keep_start(counters, clock, store, f, g, lr, x, memory):
    """The record of the start, where Ctrl-C came before the first one: no run is without it."""
    if counters[loops.RECORDS] == 0:
        clock[loops.GRADIENT_NORM] = loops.norm_of(g)
        store.reserve(0, 1)
        loops.write_record(counters, clock, 0, f, lr, x, memory, *store.arrays)


def _plan(optimizer: Optimizer, schedule: Any) -> tuple[tuple[Schedule, Schedule], np.ndarray]:
    """Two schedules and the entries of p that they drive (-1: none)."""
    given = () if schedule is None else schedule if isinstance(schedule, (list, tuple)) else (schedule,)
    if len(given) > 2 or not all(isinstance(s, Schedule) for s in given):
        raise TypeError("schedule must be a Schedule or a sequence of at most two")
    entries = [driving.entry(optimizer, s.drives) for s in given]
    if len({s.drives for s in given}) < len(given):
        raise ValueError(f"schedule must drive each hyperparameter once, got {[s.drives for s in given]}")
    driven = np.full(2, -1, dtype=np.int64)
    driven[: len(given)] = entries
    first, second, *_ = (*given, constant(), constant())
    return (first, second), driven


def _span(optimizer, schedules, driven):
    """(value, lowest, highest) of both driven hyperparameters, one after the other."""
    span = np.zeros((2, 3))
    for row, schedule, entry in zip(span, schedules, driven):
        if entry >= 0:
            row[:] = optimizer.p[entry], *driving.interval(optimizer, schedule.drives)
    return span.ravel()


def _outside(optimizer, schedules, driven, p, span):
    """Which schedule has left the interval of its hyperparameter, in words."""
    for schedule, entry, (_, low, high) in zip(schedules, driven, span.reshape(2, 3)):
        if entry >= 0 and not low <= p[entry] <= high:
            return driving.refusal(optimizer, schedule, p[entry])
    return ""


def _record_optimizer(optimizer, problem, x0, steps, every, schedule, t_end, must_reach, gtol, start, memory, resume,
                      tick, specialize):
    rule = schedule if isinstance(schedule, PlateauRule) else None
    (first, second), driven = _plan(optimizer, None if rule else schedule)
    p, span = np.array(optimizer.p_for(problem.x0)), _span(optimizer, (first, second), driven)
    counters, clock = loops.fresh_counters()
    if not isinstance(start, str):
        start = checks.array("start", start, (len(optimizer.slots), problem.dim), of=f"the slots of {optimizer.title}")
    origin: dict[str, Any] = {"problem": fingerprint.of_problem(problem), "method": fingerprint.of_method(optimizer),
              "schedule": fingerprint.of_others(schedule), "start": fingerprint.of_value(start)}
    if resume is None:
        x, f, g = _start_point(problem, x0)
        s = optimizer.start(x, g, start) if isinstance(start, str) else start
    else:
        if isinstance(start, str) and start == "cold":  # the default
            origin["start"] = None
        x, s, g = _resume(resume, optimizer, problem, x0, every, memory, counters, clock, origin, rule)
    k_end = int(counters[loops.K]) + checks.integer("steps", steps, 0, checks.LARGEST - int(counters[loops.K]))
    store = Store(problem.dim, len(optimizer.slots) if memory else None, steps // every + 2)
    if t_end == math.inf and gtol == 0.0:
        store.refuse_too_many()
    loop, compiled = loops.optimizer_loop, problem.compiled and is_compiled(optimizer.kernel)
    if compiled:
        loop = inlined.Loop(problem, optimizer, driven, specialize)
    seen_x, seen_s, own_g = x.copy(), s.copy(), g.copy()

    def call(k_stop):
        loop(problem.fg, problem.data, optimizer.kernel, first.kernel, second.kernel, driven, first.c, second.c,
             span, p, x, own_g, s, seen_x, seen_s, counters, clock, k_stop, k_end, every, t_end, gtol,
             *store.arrays)

    stepwise = None if compiled else loops.Stepwise(call, counters, clock, x, s)
    call = stepwise or call
    if rule:
        call, numbers = _controlled(call, rule, optimizer, problem, p, x, counters, k_end, resume)
        if stepwise:
            stepwise.state += (numbers,)  # a decision is taken back with the step before it

    interrupted = loops.run(call, counters, store, k_end, every, tick, stepwise)
    status, message = loops.explain(counters, clock, interrupted, k_end, gtol, must_reach,
                                    _outside(optimizer, (first, second), driven, p, span))
    if resume is None:
        lr = next((one.kernel(0.0, value, one.c) for one, entry, value in zip((first, second), driven, span[::3])
                   if entry == 0), p[0])
        _keep_start(counters, clock, store, f, g, lr, x, s)
    if problem.compiled and not compiled:
        message += _INTERPRETED.format("the update")
    message = "; ".join(m for m in (message, getattr(loop, "note", "")) if m)
    columns = store.columns(int(counters[loops.RECORDS]))
    if resume is not None:
        columns = _joined(resume, columns, int(counters[loops.K]))
    run = loops.finish(columns, counters, clock, status, message, repr(optimizer), problem.name, x, s, every)
    run.final["origin"], run.final["spec"] = json.dumps(origin), json.dumps(optimizer.spec())
    if rule:
        run.final["decisions"] = numbers
    return run


def _controlled(call, rule, optimizer, problem, p, x, counters, k_end, resume):
    """``call`` with a decision of ``rule`` after each of its epochs, and the decisions as an array.

    A decision is taken in one assignment, so that an exception comes before it or after it.
    """
    entry = driving.entry(optimizer, rule.drives)
    decisions = rule.start(p[entry])
    if resume is not None:
        decisions.restore(resume.final["decisions"])
    numbers = np.array(decisions.numbers())

    def controlled(k_stop):
        while counters[loops.STATUS] == loops.RUNNING:
            k = int(counters[loops.K])
            decisions.restore(numbers)
            if k % rule.every == 0 and k // rule.every > decisions.epochs and k < k_end:  # an epoch has just ended
                decisions.step(problem.fun(x))
                numbers[:] = decisions.numbers()
            p[entry] = decisions.lr
            stop = min(k_stop, (k // rule.every + 1) * rule.every)
            call(stop)
            if counters[loops.K] >= k_stop:
                break

    return controlled, numbers


def _resume(old, optimizer, problem, x0, every, memory, counters, clock, origin, rule):
    if not isinstance(old, Trajectory):
        raise TypeError(f"resume must be a Trajectory, got {type(old).__name__}")
    if x0 is not None:
        raise ValueError("x0 must be None when resuming: the run goes on from where it stopped")
    if rule and "decisions" not in old.final:
        raise ValueError("resume must come from a run under a PlateauRule when schedule is one")
    fingerprint.compare(old.final.get("origin"), origin)
    try:
        old.check(n=problem.dim, slots=len(optimizer.slots))
    except archive.Wrong as error:
        raise ValueError(f"resume must be a sound Trajectory: {error}") from None
    if old.final["every"] != every or (old.memory is not None) != memory:
        raise ValueError(f"resume must keep every={old.final['every']} and memory={old.memory is not None}")
    k = int(old.final["k"])
    counters[loops.K], counters[loops.NEXT] = k, -(-k // every) * every
    clock[loops.T], clock[loops.CARRY] = old.final["sum"], old.final["carry"]
    return old.final["x"].copy(), old.final["s"].copy(), np.empty(problem.dim)


def _joined(old, new, k):
    """The records of both runs to step ``k``; the old last one is recorded anew when it is due there."""
    went_on = len(new["k"]) > 0 or k > old.final["k"]
    keep = len(old) - (went_on and old.k[-1] == old.final["k"])
    return {name: None if values is None else np.concatenate([getattr(old, name)[:keep], values])
            for name, values in new.items()}


def _record_scheme(method, problem, x0, steps, every, t_end, must_reach, memory, controller, tick):
    flow, scheme = method.flow, method.scheme
    scheme.fit(flow, problem)
    z = flow.state("x0", problem.x0 if x0 is None else x0, problem.dim)
    _, f, start_g = _start_point(problem, z[0])
    counters, clock = loops.fresh_counters()
    clock[loops.T] = method.t0
    p, w, g = scheme.parameters(flow), scheme.workspace(z), np.empty(problem.dim)
    cost = scheme.stages * flow.cost(problem.dim)
    store = Store(problem.dim, flow.rows - 1 if memory else None, steps // every + 2, log=method.rtol is not None)
    if t_end == math.inf:
        store.refuse_too_many()
    hs = np.atleast_1d(np.array(method.h, dtype=np.float64))
    rhs, step, compiled = scheme.kernels(flow, problem)
    if method.rtol is None:
        loop = loops.runnable(loops.scheme_loop, compiled)

        def call(k_stop):
            loop(problem.fg, problem.hv, problem.data, rhs, step, p, hs, z, w, g, cost,
                 counters, clock, k_stop, steps, every, t_end, *store.arrays)
    else:
        loop = loops.runnable(loops.adaptive_loop, compiled)
        old = np.empty_like(z)
        tolerances = np.array([method.rtol, max(method.atol, LEAST_ATOL)])
        gains = _gains("PI" if controller is None else controller, scheme)
        clock[loops.STEP] = hs[0]

        def call(k_stop):
            loop(problem.fg, problem.hv, problem.data, rhs, step, p, tolerances, gains, z, old, w, g, cost,
                 counters, clock, k_stop, steps, every, t_end, store.log, *store.arrays)

    stepwise = None if compiled else loops.Stepwise(call, counters, clock, z, w)
    interrupted = loops.run(stepwise or call, counters, store, steps, every, tick, stepwise)
    status, message = loops.explain(counters, clock, interrupted, steps, must_reach=must_reach)
    if problem.compiled and not compiled:
        message += _INTERPRETED.format("rhs or step")
    _keep_start(counters, clock, store, f, start_g, hs[0], z[0], z[1:])
    columns, trials = store.columns(int(counters[loops.RECORDS])), store.trials(int(counters[loops.K]))
    run = loops.finish(columns, counters, clock, status, message, repr(method), problem.name, z[0], z[1:], every,
                       trials)
    if np.size(method.h) <= _MANY_SIZES:
        run.final["spec"] = json.dumps(method.spec())
    return run


def _gains(controller, scheme):
    if isinstance(controller, str):
        controller = CONTROLLERS[checks.choice("controller", controller, tuple(CONTROLLERS))]
    gains = checks.real_numbers(controller)
    if isinstance(gains, str) or gains.shape != (6,) or not np.isfinite(gains).all():
        raise ValueError("controller must be one of 'I', 'PI', 'PID' or 6 numbers (b1, b2, b3, safety, smallest, "
                         f"largest factor), got {checks.shown(controller)}")
    safety, smallest, largest = gains[3:]
    if not (0 < safety and 0 < smallest < 1 <= largest):
        raise ValueError("controller must have safety > 0, smallest factor in (0, 1) and largest factor >= 1, "
                         f"got {checks.shown(controller)}")
    gains[:3] /= scheme.embedded_order + 1
    return gains
