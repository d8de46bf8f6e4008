"""``record``: run an optimizer (or a scheme on a flow) and keep its trajectory."""

import contextlib
import json
import math
import sys

import numpy as np

from . import archive, checks, drive, fingerprint, specialized
from .optimizers import Optimizer
from .problems.base import checked
from .schedules import Controller, Schedule, constant
from .schemes import Discretization
from .schemes.base import LEAST_ATOL
from .trajectory import Trajectory

# b1, b2, b3, safety, smallest and largest factor of the step-size controllers; b1, b2, b3 are divided by
# the order of the error estimate plus one. Elementary (I); Gustafsson's PI; PID, the default of SUNDIALS' ARKODE.
CONTROLLERS = {
    "I": (1.0, 0.0, 0.0, 0.9, 0.2, 5.0),
    "PI": (0.7, -0.4, 0.0, 0.9, 0.2, 5.0),
    "PID": (0.58, -0.21, 0.10, 0.9, 0.2, 5.0),
}
_MANY = 10_000_000


def record(method, problem, x0=None, steps=None, every=1, schedule=None, *, t_end=None, gtol=0.0,
           start="cold", memory=False, resume=None, controller="PI", progress=False, specialize=None):
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
    schedule : Schedule or sequence of two, or Controller, optional
        Drives the learning rate, and possibly one other hyperparameter. A Controller
        (:class:`odeopt.schedules.ReduceLROnPlateau`) sees f after each ``schedule.every`` steps and
        decides the learning rate of the next; ``final["decisions"]`` is its state.
    t_end : float, optional
        Stop at this flow time. A Discretization lands on it exactly; an optimizer stops at the
        first step that reaches it.
    gtol : float
        Stop when the gradient norm is not above it (optimizers only). 0 stops at an exact
        stationary point.
    start : {"cold", "consistent"} or (slots, n) array
        Initial memory of an optimizer: zeros, the page's smooth start, or given.
    memory : bool
        Keep the memory rows as well.
    resume : Trajectory, optional
        Continue that run; the result is the whole trajectory, bit for bit what one run would have
        given. Method, problem and schedule must be those of the run, by what they do and not by their
        names (:mod:`odeopt.fingerprint` says what that sees); so must ``every`` and ``memory``. ``x0``
        and ``start`` come from there. Optimizers only.
    controller : {"I", "PI", "PID"} or 6 numbers
        Step-size controller of error-controlled runs.
    progress : bool
        Show a progress bar on stderr (only if that is a terminal).
    specialize : bool, optional
        Run an optimizer in a loop compiled for its kernels (:mod:`odeopt.specialized`; n <= 8): the
        same numbers, several times as fast. None: when the run is long enough to pay for it. Where
        True cannot be had, the message says why and the general loop runs.

    Returns
    -------
    Trajectory
        A run that diverges returns what was recorded before; ``status`` and ``message`` say where
        and why. Ctrl-C does the same.

    Raises
    ------
    TypeError, ValueError
        Arguments of a wrong type, shape or range; a start where f or its gradient is not finite.
    """
    checked(problem)
    every = checks.integer("every", every, 1)
    memory, progress = checks.switch("memory", memory), checks.switch("progress", progress)
    specialize = None if specialize is None else checks.switch("specialize", specialize)
    begin = method.t0 if isinstance(method, Discretization) else 0.0
    limit = math.inf if t_end is None else checks.real("t_end", t_end, begin)
    if steps is not None:
        steps = checks.integer("steps", steps, 0)
    if isinstance(method, Optimizer):
        steps = steps if steps is not None else 1000 if t_end is None else _MANY
        gtol = checks.real("gtol", gtol, 0.0)
        with _ticks(progress, steps) as tick:
            return _record_optimizer(method, problem, x0, steps, every, schedule, limit, gtol, start, memory,
                                     resume, tick, specialize)
    if not isinstance(method, Discretization):
        raise TypeError(f"method must be an Optimizer or a Discretization, got {type(method).__name__}")
    if schedule is not None or resume is not None:
        raise ValueError("schedule and resume must be None for a Discretization")
    if steps is None:
        many = np.size(method.h) > 1
        steps = np.size(method.h) if many else 1000 if t_end is None else _MANY
    with _ticks(progress, steps) as tick:
        return _record_scheme(method, problem, x0, steps, every, limit, memory, controller, tick)


@contextlib.contextmanager
def _ticks(progress, steps):
    """A function that moves the progress bar, or None."""
    if not progress:
        yield None
        return
    from tqdm import tqdm

    total = steps if steps < _MANY else None
    with tqdm(total=total, unit="step", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False) as bar:
        yield bar.update


def _start_point(problem, x0):
    x = problem.x0.copy() if x0 is None else checks.point("x0", x0, problem.dim)
    f, g = problem.value_and_grad(x)
    with np.errstate(over="ignore"):
        finite = np.isfinite(f) and np.isfinite(g @ g)  # the loops work with the square of the gradient's norm
    if not finite:
        raise ValueError("x0 must be a point where f, its gradient and the square of that are finite, "
                         f"got f = {f} at {x[:4]}")
    return x, g


def _plan(optimizer, schedule):
    """Two schedules and the entries of p that they drive (-1: none)."""
    given = () if schedule is None else schedule if isinstance(schedule, (list, tuple)) else (schedule,)
    names = optimizer.numeric_names()
    if len(given) > 2 or not all(isinstance(s, Schedule) for s in given):
        raise TypeError("schedule must be a Schedule or a sequence of at most two")
    for s in given:
        checks.choice("schedule drives", s.drives, names)
    if len({s.drives for s in given}) < len(given):
        raise ValueError(f"schedule must drive each hyperparameter once, got {[s.drives for s in given]}")
    driven = np.array([_entry(optimizer, s.drives) for s in given] + [-1] * (2 - len(given)), dtype=np.int64)
    return (*given, constant(), constant())[:2], driven


def _entry(optimizer, name):
    """The entry of ``p`` that holds hyperparameter ``name``, found by moving it a little."""
    value = getattr(optimizer, name)
    moved = 1e-3 if value is None or value == 0.0 else 0.999 * value
    changed = np.flatnonzero(optimizer.changed(**{name: moved}).p != optimizer.p)
    if value is None or changed.size != 1 or optimizer.p[changed[0]] != value:
        raise ValueError(f"schedule drives must be a number that the kernel takes as it is, "
                         f"got {name!r} = {value!r} of {optimizer!r}")
    return int(changed[0])


def _record_optimizer(optimizer, problem, x0, steps, every, schedule, t_end, gtol, start, memory, resume, tick,
                      specialize):
    rule = schedule if isinstance(schedule, Controller) else None
    (first, second), driven = _plan(optimizer, None if rule else schedule)
    base = optimizer.p_for(problem.x0)
    counters, clock = drive.fresh_counters()
    if not isinstance(start, str):
        start = checks.array("start", start, (len(optimizer.slots), problem.dim), of=f"the slots of {optimizer.name}")
    origin = {"problem": fingerprint.of_problem(problem), "method": fingerprint.of_method(optimizer),
              "schedule": fingerprint.of_others(schedule), "start": fingerprint.of_value(start)}
    if resume is None:
        x, g = _start_point(problem, x0)
        s = optimizer.start(x, g, start) if isinstance(start, str) else start
    else:
        if isinstance(start, str) and start == "cold":  # the default
            origin["start"] = None
        x, s, g = _resume(resume, optimizer, problem, x0, every, memory, counters, clock, origin, rule)
    k_end = int(counters[drive.K]) + checks.integer("steps", steps, 0, checks.LARGEST - int(counters[drive.K]))
    store = drive.Store(problem.dim, len(optimizer.slots) if memory else None, min(steps, 4096) // every + 2)
    loop = drive.optimizer_loop
    if problem.compiled:
        loop = specialized.Loop(problem, optimizer, driven, specialize)
    p = base.copy()

    def call(k_stop):
        loop(problem.fg, problem.data, optimizer.kernel, first.kernel, second.kernel, driven, first.c, second.c,
             base, p, x, g, s, x, s, counters, clock, k_stop, k_end, every, t_end, gtol, *store.arrays)

    if rule:
        call, decisions = _controlled(call, rule, optimizer, problem, p, x, counters, resume)

    interrupted = drive.run(call, counters, clock, store, k_end, every, tick)
    status, message = drive.explain(counters, clock, interrupted, k_end, gtol)
    message = "; ".join(m for m in (message, getattr(loop, "note", "")) if m)
    columns = store.columns(int(counters[drive.RECORDS]))
    if resume is not None:
        columns = _joined(resume, columns)
    run = drive.finish(columns, counters, clock, status, message, repr(optimizer), problem.name, x, s, every)
    run.final["origin"] = json.dumps(origin)
    if rule:
        run.final["decisions"] = np.array(decisions.numbers())
    return run


def _controlled(call, rule, optimizer, problem, p, x, counters, resume):
    """``call`` with a decision of ``rule`` after each of its epochs, and the decisions."""
    entry = _entry(optimizer, checks.choice("schedule drives", rule.drives, optimizer.numeric_names()))
    decisions = rule.start(p[entry])
    if resume is not None:
        p[entry] = decisions.restore(resume.final["decisions"]).lr

    def controlled(k_stop):
        while counters[drive.STATUS] == drive.RUNNING:
            k = int(counters[drive.K])
            if k % rule.every == 0 and k // rule.every > decisions.epochs:  # an epoch has just ended
                p[entry] = decisions.step(problem.fun(x))
            stop = min(k_stop, (k // rule.every + 1) * rule.every)
            call(stop)
            if counters[drive.K] >= k_stop:
                break

    return controlled, decisions


def _resume(old, optimizer, problem, x0, every, memory, counters, clock, origin, rule):
    if not isinstance(old, Trajectory):
        raise TypeError(f"resume must be a Trajectory, got {type(old).__name__}")
    if x0 is not None:
        raise ValueError("x0 must be None when resuming: the run goes on from where it stopped")
    if rule and "decisions" not in old.final:
        raise ValueError("resume must come from a run under a Controller when schedule is one")
    fingerprint.compare(old.final.get("origin"), origin)
    try:
        old.check(n=problem.dim, slots=len(optimizer.slots))
    except archive.Wrong as error:
        raise ValueError(f"resume must be a sound Trajectory: {error}") from None
    if old.final["every"] != every or (old.memory is not None) != memory:
        raise ValueError(f"resume must keep every={old.final['every']} and memory={old.memory is not None}")
    k = int(old.final["k"])
    counters[drive.K], counters[drive.NEXT] = k, -(-k // every) * every
    clock[drive.T], clock[drive.CARRY] = old.final["sum"], old.final["carry"]
    return old.final["x"].copy(), old.final["s"].copy(), np.empty(problem.dim)


def _joined(old, new):
    """The records of both runs; the old last one is recorded anew when it is due there."""
    keep = len(old) - (len(old) > 0 and old.k[-1] == old.final["k"])
    return {name: None if values is None else np.concatenate([getattr(old, name)[:keep], values])
            for name, values in new.items()}


def _record_scheme(method, problem, x0, steps, every, t_end, memory, controller, tick):
    flow, scheme = method.flow, method.scheme
    scheme.fit(flow, problem)
    z = flow.state("x0", problem.x0 if x0 is None else x0, problem.dim)
    _start_point(problem, z[0])
    counters, clock = drive.fresh_counters()
    clock[drive.T] = method.t0
    p, w, g = scheme.parameters(flow), scheme.workspace(z), np.empty(problem.dim)
    store = drive.Store(problem.dim, flow.rows - 1 if memory else None, min(steps, 4096) // every + 2)
    hs = np.atleast_1d(np.array(method.h, dtype=np.float64))
    rhs, step, compiled = scheme.kernels(flow, problem)
    log = []
    if method.rtol is None:
        loop = drive.compiled(drive.scheme_loop) if compiled else drive.scheme_loop

        def call(k_stop):
            loop(problem.fg, problem.hv, problem.data, rhs, step, p, hs, z, w, g, scheme.stages,
                 counters, clock, k_stop, steps, every, t_end, *store.arrays)
    else:
        loop = drive.compiled(drive.adaptive_loop) if compiled else drive.adaptive_loop
        old = np.empty_like(z)
        tolerances = np.array([method.rtol, max(method.atol, LEAST_ATOL)])
        gains = _gains(controller, scheme)
        clock[drive.STEP] = hs[0]

        def call(k_stop):
            begin = int(counters[drive.K])
            part = np.zeros((k_stop - begin + 1, 4))
            loop(problem.fg, problem.hv, problem.data, rhs, step, p, tolerances, gains, z, old, w, g, scheme.stages,
                 counters, clock, k_stop, steps, every, t_end, part, *store.arrays)
            log.append(part[: int(counters[drive.K]) - begin])

    interrupted = drive.run(call, counters, clock, store, steps, every, tick)
    status, message = drive.explain(counters, clock, interrupted, steps, 0.0)
    if problem.compiled and not compiled:
        message += "; in the interpreter: rhs or step is plain Python, which odeopt.abi.kernel compiles"
    columns = store.columns(int(counters[drive.RECORDS]))
    step_log = None
    if method.rtol is not None:
        t, h, error, accepted = np.concatenate(log).T
        step_log = {"t": t, "h": h, "error": error, "accepted": accepted > 0}
    return drive.finish(columns, counters, clock, status, message, method.name, problem.name, z[0], z[1:], every,
                        step_log)


def _gains(controller, scheme):
    if isinstance(controller, str):
        controller = CONTROLLERS[checks.choice("controller", controller, tuple(CONTROLLERS))]
    gains = checks.real_numbers(controller)
    if isinstance(gains, str) or gains.shape != (6,) or not np.isfinite(gains).all():
        raise ValueError("controller must be one of 'I', 'PI', 'PID' or 6 numbers (b1, b2, b3, safety, smallest, "
                         f"largest factor), got {checks.shown(controller)}")
    gains[:3] /= scheme.embedded_order + 1
    return gains
