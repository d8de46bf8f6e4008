"""``convergence``: the order of a method measured from runs with smaller and smaller steps.

The step h is halved with the flow constants held fixed, which moves every hyperparameter by its
scaling law (``Optimizer.refined``), and the distance to the flow at equal flow time is recorded:

    e(h) = max_n |x_n - x(t_n)|,     slope between two levels = log(e/e') / log(h/h'), signed

The order is the least-squares slope over the asymptotic tail: the finest levels (at most five) whose
slopes agree with the last one to 0.05 and whose errors stand clear of the reference's own
uncertainty. Where no two slopes agree, ``asymptotic`` is False and ``message`` says how they move.

The slopes of a scheme of high order often move until round-off hides them. A :class:`Discretization` whose slopes
still differ by more than 0.02 is therefore measured again (against the reference): the errors of the first look say
which steps lie between round-off and the coarse regime, and the series of the error is fitted there, its order a
real number (:mod:`odeopt.studies.order.series`).
"""

import functools
import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ... import checks
from ...discretization import Discretization
from ...engine.record import MOST_STEPS
from ...flows import SignInclusion
from ...method import STARTS, Method, checked_method
from ...problems import Problem
from ...problems.base import checked
from ...reference.reference import METHODS, reference, start_state
from ...reference.solvers import DENSE_JACOBIAN
from ..base import Study
from ..inner import gather, inner_run, partial_results
from .fit import AGREE, curve_through, distance_to, fit_order, refinements
from .series import second_look

TOLERANCE = 0.05  # of a certificate
_HIDDEN = 100.0  # times the uncertainty of the reference: smaller errors have no slope to 0.05
_AGREE_OF_MEANS = 0.3  # slopes of errors that fluctuate
STEADY = 0.02  # slopes that differ by more still move
_NO_LIMIT = 0.1  # a slope below is no convergence
_MANY = 2**24  # coordinates kept of one run; beyond, every second (fourth, ...) step is compared
_STEPS = 64  # of the coarsest level when t_end is not given


@dataclass(frozen=True, eq=False, repr=False)
class Convergence(Study):
    """Errors of one method at a sequence of steps, and the order they show.

    Attributes
    ----------
    method, hyperparameters, problem, flow, scheme : str
        ``hyperparameters`` are those of the coarsest level; ``flow`` is "none" without one.
    scaling : dict of str to str
        How each hyperparameter moved with h.
    start : str
        "cold", "consistent" or "given".
    against : {"reference", "richardson"}
    t_end : float
        Flow time.
    h : (L,) array
        Step of each level, in flow time (the controlled quantity for scalar step-size control).
    steps : (L,) int array
    error, final_error : (L,) arrays
        Largest distance at a common flow time, and the distance at the last step up to ``t_end``;
        inf where the run diverged. Against "richardson" they are differences to the next level,
        so there is one level less.
    uncertainty : float
        Of the reference; the bound of its own error (0 against "richardson").
    slopes : (L - 1,) array
        Signed; nan next to a diverged level.
    order, spread : float
        Least-squares slope over the tail and the largest difference between its slopes; nan
        without a tail of three levels. From a series: its order, and the change by one term more.
    tail : (L,) bool array
        The levels of the fit.
    terms : int
        Of the series that was fitted; 0 where the order is the slope of the tail.
    asymptotic : bool
    expected : float
        The order that the optimizer's page declares for this start (or the scheme's); nan if none.
    message : str
    spec : dict
        The coarsest level, as :func:`odeopt.method.method_from` reads it.
    """

    axes = "h steps error final_error tail: L; slopes: L-1"

    method: str
    hyperparameters: str
    problem: str
    flow: str
    scheme: str
    scaling: dict
    start: str
    against: str
    t_end: float
    h: np.ndarray
    steps: np.ndarray = field(metadata={"dtype": np.int64})
    error: np.ndarray
    final_error: np.ndarray
    uncertainty: float
    slopes: np.ndarray
    order: float
    spread: float
    tail: np.ndarray = field(metadata={"dtype": np.bool_})
    asymptotic: bool
    expected: float
    message: str
    spec: dict = field(default_factory=dict)
    terms: int = 0

    @property
    def certified(self):
        """Whether the tail is asymptotic and its order within 0.05 of the expected one."""
        return self.asymptotic and abs(self.order - self.expected) <= TOLERANCE

    @property
    def verdict(self):
        """ "certified", or why not."""
        if self.certified:
            return "certified"
        if self.status == "failed":
            return f"failed: {self.message}"
        if math.isnan(self.expected):
            return "no order declared for this start"
        if not self.asymptotic:
            return f"not asymptotic: {self.message}" if self.message else "not asymptotic"
        return f"measured {self.order:.3f}, declared {self.expected:g}" + f" ({self.message})" * bool(self.message)

    def headline(self):
        """The method and its order in one line."""
        order = f"order {self.order:.3f} ± {self.spread:.3f}" if self.asymptotic else "no order"
        if self.terms:
            order += f" by a series of {self.terms} terms"
        flow = self.flow if self.flow.endswith("flow") else f"{self.flow} flow"
        against = f"the {flow}" if self.against == "reference" else "its own refinements"
        return (f"<Convergence {self.method} on {self.problem} to t = {self.t_end:.4g} against {against}, {self.start} "
                f"start: {order}{'; ' + self.message if self.message else ''}>")

    def rows(self):
        """One row per level."""
        slopes = [None, *self.slopes]
        return [{"h": float(h), "steps": int(n), "max error": float(e), "final error": float(f),
                 "slope": None if s is None else float(s), "in the fit": "yes" if used else ""}
                for h, n, e, f, s, used in zip(self.h, self.steps, self.error, self.final_error, slopes, self.tail)]

    def certificate(self):
        """One row of the table of order certificates."""
        moving = [f"{name} ~ {law}" for name, law in self.scaling.items() if law != "fixed"]
        return {"optimizer": self.method, "flow": self.flow, "scheme": self.scheme,
                "scaling": ", ".join(moving) or "-", "start": self.start, "expected": self.expected,
                "measured": self.order, "spread": self.spread, "verdict": self.verdict}


@partial_results
def convergence(method: Method, problem: Problem, x0: ArrayLike | None = None, t_end: float | None = None,
                levels: int = 8, *, factor: float = 2.0, start: str = "cold", against: str = "reference",
                refine: Any = None, expected: float | None = None, mean_of: int | None = None,
                rtol: float = 1e-12, atol: float = 1e-14, solver: str = "auto", progress: bool = False) -> Convergence:
    """Measure the order of a method on a problem.

    Parameters
    ----------
    method : Optimizer or Discretization
        The coarsest level.
    problem : Problem
    x0 : (n,) or (rows, n) array, optional
        Start (a full flow state for a Discretization only).
    t_end : float, optional
        Flow time; default: the time of 64 coarse steps.
    levels : int >= 3
        Steps h, h/factor, ..., h/factor^(levels - 1). Where the slopes of a Discretization still move there,
        further levels are chosen from the errors.
    factor : float > 1
    start : {"cold", "consistent"}
        Memory of an optimizer: zeros, or so that the flow starts smoothly (EMA = gradient,
        v = g(x0)^2).
    against : {"reference", "richardson"}
        The flow's reference solution, or the next finer level (needs no flow and no reference).
    refine : callable, optional
        ``refine(f) -> Optimizer`` instead of ``method.refined(f)``, to try another scaling of the
        hyperparameters. Steps then count as ``method.h``/f of flow time each, and the flow stays
        that of ``method``.
    expected : float, optional
        Order to certify; default: what the method declares.
    mean_of : int >= 1, optional
        Steps from each level's to the next one's (excluded), evenly spaced in log h: the quadratic mean of their
        errors divided by their steps stands for the level's. Default 1; 16 against a differential inclusion, about
        whose surfaces iterates chatter, so that the error divided by h jumps with h. Then slopes agree that differ
        by 0.3.
    rtol, atol : float
        Tolerances of the reference.
    solver : str
        Of :func:`odeopt.reference`; "auto" is the package's own jitted one on compiled problems.
    progress : bool

    Returns
    -------
    Convergence
        Ctrl-C returns the levels that are done, and ``message`` says so.

    Raises
    ------
    ValueError
        An optimizer without a classical flow (unless against="richardson"); ``levels`` below 3.

    Examples
    --------
    >>> import odeopt as oo
    >>> found = oo.convergence(oo.Momentum(0.01), oo.problems.sine_bowl(), t_end=1.0)
    >>> round(found.order, 1), found.verdict
    (1.0, 'certified')
    """
    factors = refinements(levels, factor, 3)
    checks.choice("against", against, ("reference", "richardson"))
    checks.choice("start", start, STARTS)
    checks.choice("solver", solver, METHODS)
    if refine is not None:
        checks.takes("refine", refine, "refine(f)")
    ladder = _Ladder(method, problem, x0, t_end, start, refine)
    given = expected
    expected = expected_order(method, start) if given is None else checks.real("expected", given)
    if against == "reference" and ladder.flow is None:
        raise ValueError(f"method must have a classical flow, and {ladder.name} has none "
                         "(against='richardson' needs none)")
    chatters = isinstance(ladder.flow, SignInclusion) and against == "reference"
    mean_of = checks.integer("mean_of", (16 if chatters else 1) if mean_of is None else mean_of, 1)
    if mean_of > 1 and against != "reference":
        raise ValueError(f"mean_of must be 1 against {against!r}, got {mean_of}")
    ladder.check(factors)
    solution, before, sizes = [], [], []

    def level(f):
        """(h, steps, largest and last distance) of the level; against "richardson" that of the one before."""
        h, k, t, x = ladder.run(f)  # first: it says whether t_end is in reach at all
        if against == "reference" and not solution:
            solution.append(solve(ladder.flow, problem, ladder.z0, ladder.t0 + ladder.t_end, rtol, atol, solver,
                                  ladder.t0))
        sizes.append(float(np.abs(x).max()))
        if against == "reference":
            found = h, k, *_distance(solution[0], t, x, ladder)
            if mean_of > 1:
                squares = [np.square(found[2:])]
                for i in range(1, mean_of):
                    shorter = factor ** (i / mean_of)
                    _, _, at, points = ladder.run(f * shorter)
                    near = _distance(solution[0], at, points, ladder)
                    squares.append(np.square(near) * shorter**2)  # of the size of those at h
                found = *found[:2], *np.sqrt(np.mean(squares, axis=0))
        else:
            found = None
            if before:
                coarse_h, coarse_k, coarse_t, coarse_x = before.pop()
                found = coarse_h, coarse_k, *distance_to(coarse_t, coarse_x, curve_through(t, x), ladder.t_end)
            before.append((h, k, t, x))
        return found

    rows, interrupted = gather(factors, level, progress=progress,
                               describe=lambda f: f"{ladder.name}, h/{f:g}")
    notes = ["interrupted"] if interrupted else []
    h, steps, error, final = np.array([row for row in rows if row is not None], dtype=float).reshape(-1, 4).T
    uncertainty = 0.0 if against == "richardson" else solution[0].uncertainty if rows else math.nan
    if solution and not solution[0].success:
        notes.append(f"the reference ends at t = {solution[0].t_end:.3g}: {solution[0].message}")
        if not solution[0].t_end > ladder.t0:  # nothing to compare with
            uncertainty = math.nan
    scale = min((size for size in sizes if math.isfinite(size)), default=1.0)  # a run that grows has another
    fit = fit_order(h, error, floor=max(uncertainty, 1e-15 * scale) if math.isfinite(uncertainty) else math.inf,
                    agree=AGREE if mean_of == 1 else _AGREE_OF_MEANS, drift=mean_of == 1)
    terms, steady = 0, fit.asymptotic and fit.spread <= STEADY
    if ladder.fixed and solution and solution[0].success and mean_of == 1 and not (steady or interrupted):
        series, closer, interrupted = second_look(ladder, np.rint(ladder.t_end / h), error, scale,
                                                  _MANY // problem.dim, progress)
        notes += ["interrupted"] if interrupted else []
        if series is not None and closer is not None:
            coarse = h > closer[0, 0] * (1 + 1e-9)
            h, steps, error, final = np.hstack([np.array([h, steps, error, final])[:, coarse], closer])
            terms, uncertainty = series.terms, series.uncertainty
            fit = replace(fit_order(h, error), order=series.order, spread=series.spread, asymptotic=True, message="",
                          tail=np.append(np.zeros(coarse.sum(), dtype=bool), series.used))
    if fit.message and not (notes and np.isnan(error).all()):
        notes.append(fit.message)
        if np.isfinite(error).any() and np.nanmin(error) <= _HIDDEN * uncertainty:
            notes.append(f"the reference, uncertain by {uncertainty:.1e}, hides what smaller steps would show")
    if fit.asymptotic and fit.order < _NO_LIMIT:
        notes.append("the errors do not shrink with h: no limit" if against == "richardson" else
                     "the errors do not shrink with h: this flow is not the limit")
    if given is None and fit.asymptotic and abs(fit.order - expected) > TOLERANCE and ladder.method.order_condition:
        notes.append(f"order {expected:g} is declared {ladder.method.order_condition}")
    return Convergence(
        ladder.name, ladder.words, problem.name, ladder.flow.name if ladder.flow is not None else "none",
        ladder.scheme, ladder.scaling, ladder.start, against, float(ladder.t_end) if rows else math.nan, h,
        steps.astype(np.int64), error, final, float(uncertainty), fit.slopes, fit.order, fit.spread, fit.tail,
        fit.asymptotic, expected, "; ".join(notes), ladder.method.spec(), terms)


def failed(method, problem, start, against, message):
    """A study without levels of a method that could not be measured."""
    none, flow, scheme = np.zeros(0), method.flow, method.scheme
    return Convergence(
        method.title, repr(method), problem.name, flow.name if flow is not None else "none",
        scheme.name if scheme is not None else "none", method.scaling(), start, against, math.nan, none,
        none.astype(np.int64), none, none, math.nan, none, math.nan, math.nan, none.astype(bool), False,
        expected_order(method, start), message, method.spec(), status="failed")


def _distance(solution, t, x, ladder):
    """``(largest, last)`` distance of a level to the reference, as far as that goes."""
    if not solution.success and not solution.t_end > ladder.t0:
        return math.nan, math.nan
    return distance_to(t, x, lambda at: solution(ladder.t0 + at), min(ladder.t_end, solution.t_end - ladder.t0))


def steps_within(t_end, steps):
    """``steps``, those to ``t_end``; ValueError for more than a run makes."""
    if not steps <= MOST_STEPS:
        raise ValueError(f"t_end must be in reach of {MOST_STEPS} steps at each level, got {t_end:.6g}, which takes "
                         f"{steps:.3g}")
    return steps


def check_reached(run, t_end, h):
    """ValueError where a level's run has made all steps that it may, and is not at ``t_end``."""
    if run.status == "stalled" and run.final["k"] >= MOST_STEPS:
        raise ValueError(f"t_end must be in reach of {MOST_STEPS} steps at each level, got {t_end:.6g}, and those of "
                         f"h = {h:.6g} come to t = {run.final['t']:.6g}")


def solve(flow, problem, z0, t_end, rtol, atol, solver, t0=0.0):
    """The reference of a sweep: solved once and kept; "auto" is the jitted solver where it can do it.

    That one may take a million steps, seconds in the plane and an hour on a network; a large state gets
    what :func:`odeopt.reference` calls "auto", which ends when its evaluations are spent.
    """
    options = {"rtol": rtol, "atol": atol, "t0": t0, "reuse": True}
    smooth = not isinstance(flow, SignInclusion)
    if smooth and solver == "auto" and problem.compiled and np.size(z0) <= DENSE_JACOBIAN:
        solution = reference(flow, problem, z0, t_end, solver="jitted", **options)
        if solution.success:
            return solution
    return reference(flow, problem, z0, t_end, solver=solver, **options)


def expected_order(method: Method, start: str = "cold") -> float:
    """The order that the method declares for this start; nan where it declares none."""
    order = checked_method(method).declared_order(start)
    return math.nan if order is None else float(order)


class _Ladder:
    """The levels of a study: what to run, from where, and what its flow is."""

    def __init__(self, method, problem, x0, t_end, start, refine):
        self.problem, self.start, self.refine, self.t0 = checked(problem), start, refine, 0.0
        if t_end is not None:
            t_end = checks.real("t_end", t_end, 0.0, open_low=True)
        self.method: Any = checked_method(method)
        self.flow, self.name, self.words = method.flow, method.title, repr(method)
        self.scheme = "none" if method.scheme is None else method.scheme.name
        self.scaling = method.scaling() if refine is None else {"hyperparameters": "as given"}
        self.fixed = isinstance(method, Discretization)
        self.t0 = method.t0 if self.fixed else 0.0  # an optimizer's is the clock of its scheme
        if self.fixed:
            self._fixed_step(x0, t_end)
        else:
            self.x0 = problem.x0 if x0 is None else checks.point("x0", x0, problem.dim)
            self.given = _STEPS * method.h if t_end is None and refine else t_end

    def _fixed_step(self, x0, t_end):
        """A Discretization: every level makes whole steps up to the same time, from any state of the flow."""
        method = self.method
        if self.refine is not None:
            raise ValueError("refine must be None for a Discretization")
        if np.size(method.h) != 1 or method.rtol is not None:
            raise ValueError("method must be a Discretization with one fixed step h")
        self.x0 = self.problem.x0 if x0 is None else x0
        if x0 is not None and np.ndim(x0) == 2:
            self.start = "given"
        self.given = 16 * float(np.max(method.h)) if t_end is None else t_end

    @functools.cached_property
    def t_end(self):
        """Flow time of every level; by default what the method itself takes for its coarse steps."""
        if self.given is not None:
            return self.given
        run = inner_run(self.method, self.problem, self.x0, _STEPS)
        if not run.t[-1] > 0:
            raise ValueError(f"x0 must not be a stationary point of {self.problem.name}: nothing moves there")
        return float(run.t[-1])

    @functools.cached_property
    def z0(self):
        """The flow's state at the start."""
        return start_state(self.method, self.problem, self.x0, "cold" if self.start == "given" else self.start)[1]

    def _whole_steps(self, f):
        return max(1, round(steps_within(self.t_end, self.t_end / float(np.max(self.method.h)) * f)))

    def check(self, factors):
        """ValueError where rounding to whole steps makes two levels one."""
        if self.fixed:
            steps = [self._whole_steps(f) for f in factors]
            if len(set(steps)) < len(steps):
                raise ValueError(f"t_end must hold more steps at each level, got {self.t_end:.6g} with "
                                 f"{', '.join(map(str, steps))} steps of h = {float(np.max(self.method.h)):.6g}, ...")

    def _refined(self, f):
        assert self.refine is not None
        return checked_method(self.refine(f), "refine must return an Optimizer")

    def run(self, f):
        """``(h, steps made, t, x)`` of the level with steps ``f`` times smaller; x is inf where it diverged."""
        method, t_end = self.method, self.t_end
        if self.fixed:
            # Whole steps up to t_end: a last, shorter step would be no refinement of the coarser run's.
            return self.run_steps(self._whole_steps(f))
        if self.refine is not None:
            h = method.h / f
            steps = max(1, round(steps_within(t_end, t_end / h)))
            run = inner_run(self._refined(f), self.problem, self.x0, steps, self._stride(steps), start=self.start)
            t = run.k * h
        else:
            finer = method.refined(f)
            h = finer.h
            stride = self._stride(max(_STEPS * f, min(MOST_STEPS, t_end / h)))
            run = inner_run(finer, self.problem, self.x0, None, stride, t_end=t_end, start=self.start)
            t = run.t
        check_reached(run, t_end, h)
        return h, run.final["k"], *self._points(run, t)

    def run_steps(self, steps):
        """``(h, steps made, t, x)`` of a Discretization with so many steps."""
        h = self.t_end / steps
        run = inner_run(self.method.with_step(h), self.problem, self.z0, steps, self._stride(steps))
        return h, run.final["k"], *self._points(run, run.t - self.t0)

    def _points(self, run, t):
        if not run.ok:
            return np.append(t, self.t_end), np.vstack([run.x, np.full((1, run.x.shape[1]), np.inf)])
        return t, run.x

    def _stride(self, steps):
        return max(1, int(steps * self.problem.dim // _MANY))
