"""``step_control``: step-size rules on gradient flow, with a log of what they believed and what was true.

    I, PI, PID   accept/reject on the estimate of an embedded pair (``record``'s controllers)
    dal          h = 2 tol |g|/|H g|: Euler's local error (h^2/2) |H g| is tol per unit of path h |g|
    article      h = tol/|g|: the step length h |g| itself stands for the error ([A000], eq. 9-10)

Each trial is logged as (t, h, estimate, true local error, accepted), the true one against 64 small
Dormand–Prince steps over the same stretch. At a loose tolerance on a stiff problem no rule is limited by
accuracy any more: the stiff component grows until the estimate sees it and shrinks until it does not, so
h settles where the scheme neither damps nor amplifies it. On gradient flow that is h lambda = 2 for
Euler and Heun, 3.3066 for Dormand–Prince: an "edge of stability" known to the theory of step-size control
since the 1980s. ``growth`` measures it, the geometric mean of |R(-h lambda)| over the later accepted
steps, R the scheme's stability function: 1 at equilibrium.

Sources: Hall, Higham, IMA J. Numer. Anal. 8 (1988) 305; Söderlind, Numerical Algorithms 31 (2002); the step
2 |g|/|H g| (tol = 1): DAL, the drift-adjusted learning rate of Rosca et al., arXiv:2302.01952.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ... import checks, schemes
from ...discretization import Discretization
from ...engine import loops
from ...engine.record import CONTROLLERS
from ...flows import gradient_flow
from ...optimizers import ErrorControlledEuler
from ...problems import Problem, quadratic
from ...problems.base import checked
from ...schemes import dormand_prince, explicit_euler
from ...sums import norms
from ..base import Study
from ..inner import gather, inner_run, partial_results

RULES = (*CONTROLLERS, "dal", "article")
SUBSTEPS = 64
_DENSE = 64  # largest n whose curvature is taken from the dense Hessian


@dataclass(frozen=True, eq=False, repr=False)
class ControlLog(Study):
    """Every trial step of one rule.

    Attributes
    ----------
    rule, scheme, problem : str
    tol : float
        Relative and absolute tolerance (I, PI, PID), error per unit path (dal), step length (article).
    t, h : (N,) arrays
        Start and length of the trial, flow time.
    estimate, true_error : (N,) arrays
        Euclidean norms of what the rule took for the local error and of the local error itself.
    accepted : (N,) bool array
    h_lambda : (N,) array
        h times the largest curvature at the start of the trial.
    growth : float
        Geometric mean of |R(-h lambda)| over the second half of the accepted steps.
    gradients : int
    status : str
        How the run ended (see :class:`odeopt.Trajectory`).
    """

    axes = "t h estimate true_error accepted h_lambda: N"

    rule: str
    scheme: str
    problem: str
    tol: float
    t: np.ndarray
    h: np.ndarray
    estimate: np.ndarray
    true_error: np.ndarray
    accepted: np.ndarray = field(metadata={"dtype": np.bool_})
    h_lambda: np.ndarray
    growth: float
    gradients: int

    def later(self):
        """h lambda of the second half of the accepted steps."""
        taken = self.h_lambda[self.accepted]
        return taken[taken.size // 2 :]

    def summary(self):
        """One row of the study's table."""
        later, taken = self.later(), self.accepted
        with np.errstate(all="ignore"):
            ratio = self.estimate[taken] / self.true_error[taken]
        ratio = ratio[np.isfinite(ratio) & (ratio > 0)]
        return {"rule": self.rule, "scheme": self.scheme, "tol": self.tol, "accepted": int(taken.sum()),
                "rejected": int((~taken).sum()), "gradients": self.gradients,
                "h lambda": float(later.mean()) if later.size else math.nan,
                "spread": float(later.std()) if later.size else math.nan, "growth": self.growth,
                "estimate/true": float(np.median(ratio)) if ratio.size else math.nan, "status": self.status}

    def rows(self):
        """One row per trial."""
        return [{"t": float(t), "h": float(h), "estimate": float(e), "true error": float(true),
                 "accepted": "yes" if a else "no", "h lambda": float(hl)}
                for t, h, e, true, a, hl in zip(self.t, self.h, self.estimate, self.true_error, self.accepted,
                                                self.h_lambda)]

    def headline(self):
        s = self.summary()
        return (f"<ControlLog {self.rule} with {self.scheme} on {self.problem}, tol {self.tol:g}: {s['accepted']} "
                f"accepted, {s['rejected']} rejected, h lambda settles at {s['h lambda']:.3f} ± {s['spread']:.3f}>")


@dataclass(frozen=True, eq=False, repr=False)
class StepControl(Study):
    """The logs of several rules on one problem; see :class:`ControlLog`."""

    problem: str
    t_end: float
    logs: tuple = field(metadata={"parts": ControlLog})
    message: str

    def __getitem__(self, rule):
        """The log of ``rule``."""
        by_rule = {log.rule: log for log in self.logs}
        return by_rule[checks.choice("rule", rule, tuple(by_rule))]

    def rows(self):
        """One row per rule."""
        return [log.summary() for log in self.logs]

    def headline(self):
        return (f"<StepControl on {self.problem} to t = {self.t_end:g}: h lambda in the second half, growth of the "
                f"stiff component per step{'; ' + self.message if self.message else ''}>")


@partial_results
def step_control(problem: Problem, x0: ArrayLike | None = None, t_end: float = 1.0, tol: float = 0.1, *,
                 rules: Sequence[Any] = RULES, scheme: str = "heun-euler", steps: int = 20_000,
                 progress: bool = False) -> StepControl:
    """Run step-size rules on the gradient flow of ``problem`` and log their trials.

    Parameters
    ----------
    problem : Problem
        With Hessian products.
    x0 : (n,) array, optional
    t_end : float > 0
        Flow time.
    tol : float > 0
        See :class:`ControlLog`; I, PI and PID use min(tol, 1) as relative and tol as absolute tolerance.
    rules : sequence of {"I", "PI", "PID", "dal", "article"}
    scheme : {"heun-euler", "dormand-prince"}
        Embedded pair of I, PI and PID; the others are Euler.
    steps : int
        Trials at most.
    progress : bool

    Returns
    -------
    StepControl
        Ctrl-C keeps the rules that are done.
    """
    checked(problem)
    problem.need_hessian("step_control")
    x0 = problem.x0 if x0 is None else checks.point("x0", x0, problem.dim)
    t_end = checks.real("t_end", t_end, 0.0, open_low=True)
    tol = checks.real("tol", tol, 0.0, open_low=True)
    steps = checks.integer("steps", steps, 1)
    pair = schemes.ALL[checks.choice("scheme", scheme, tuple(k for k, s in schemes.ALL.items() if s.embedded_order))]
    rules = [checks.choice("rules", rule, RULES) for rule in checks.some("rules", rules)]

    def log(rule):
        if rule == "dal":
            return _dal(problem, x0, t_end, tol, steps)
        if rule == "article":
            return _article(problem, x0, t_end, tol, steps)
        return _embedded(problem, x0, t_end, tol, rule, pair, steps)

    logs, interrupted = gather(rules, log, progress=progress)
    return StepControl(problem.name, float(t_end), tuple(logs), "interrupted" if interrupted else "")


def _embedded(problem, x0, t_end, tol, rule, pair, steps):
    flow = gradient_flow()
    first = 0.1 / max(problem.curvature(x0), 1e-300)
    run = inner_run(Discretization(flow, pair, min(first, t_end), rtol=min(tol, 1.0), atol=tol), problem, x0, steps,
                    t_end=t_end, controller=rule)
    trials = run.step_log
    # The state from which trial i started is the last one recorded before it.
    before = np.searchsorted(run.k, np.arange(trials["h"].size), side="right") - 1
    states = run.x[before]
    ends, estimate = _advance(problem, pair, states, trials["h"], 1)
    return _log(problem, rule, pair, tol, trials["t"], trials["h"], states, ends, estimate, trials["accepted"],
                int(run.n_grad[-1]), run.status)


def _article(problem, x0, t_end, tol, steps):
    run = inner_run(ErrorControlledEuler(tol), problem, x0, steps, t_end=t_end)
    h = np.diff(run.t)
    return _log(problem, "article", explicit_euler, tol, run.t[:-1], h, run.x[:-1], run.x[1:], np.full(h.size, tol),
                np.ones(h.size, dtype=bool), int(run.n_grad[-1]), run.status)


def _dal(problem, x0, t_end, tol, steps):
    x, t, rows, status = x0.copy(), 0.0, [], "completed"
    while t < t_end and len(rows) < steps:
        g = problem.grad(x)
        hg = norms(problem.hessp(x, g))
        size = norms(g)
        if not np.isfinite(size) or not np.isfinite(hg):
            status = "diverged"
            break
        h = min(2 * tol * size / hg, t_end - t) if hg > 0 else t_end - t
        new = x - h * g
        rows.append((t, h, x, new, 0.5 * h * h * hg))
        x, t = new, t + h
    if not rows:
        raise ValueError(f"x0 must be a point where the gradient of {problem.name} and its product with the Hessian "
                         f"are finite, got {checks.shown(x0)}")
    t, h, states, ends, estimate = (np.array(column) for column in zip(*rows))
    return _log(problem, "dal", explicit_euler, tol, t, h, states, ends, estimate, np.ones(h.size, dtype=bool),
                len(rows), status)


def _log(problem, rule, scheme, tol, t, h, states, ends, estimate, accepted, gradients, status):
    exact, _ = _advance(problem, dormand_prince, states, h, SUBSTEPS)
    with np.errstate(all="ignore"):
        true_error = norms(ends - exact)
    h_lambda = h * np.array([_curvature(problem, x) for x in states])
    taken = h_lambda[accepted]
    later = taken[taken.size // 2 :]
    with np.errstate(divide="ignore"):
        growth = np.exp(np.mean(np.log(np.abs(stability_function(scheme, -later))))) if later.size else np.nan
    return ControlLog(rule, scheme.name, problem.name, float(tol), t, h, estimate, true_error,
                      np.asarray(accepted, dtype=bool), h_lambda, float(growth), gradients, status=status)


def _advance(problem, scheme, states, hs, substeps):
    """``(states, estimates)`` after ``substeps`` steps of ``scheme`` on gradient flow over hs[i] from states[i]."""
    flow = gradient_flow()
    scheme.fit(flow, problem)
    rhs, step, compiled = scheme.kernels(flow, problem)
    loop = loops.runnable(loops.advance_loop, compiled)
    z = np.array(states, dtype=np.float64)[:, None, :]
    estimates = np.zeros(len(z))
    loop(problem.fg, problem.hv, problem.data, rhs, step, scheme.parameters(flow), np.array(hs, dtype=np.float64),
         substeps, z, scheme.workspace(np.zeros((1, problem.dim))), estimates)
    return z[:, 0], estimates


def _curvature(problem, x):
    if problem.dim > _DENSE:
        return problem.curvature(x)
    hessian = problem.hess(x)
    return float(np.abs(np.linalg.eigvalsh(hessian)).max()) if np.isfinite(hessian).all() else np.nan


def stability_function(scheme, z):
    """R(z) of a one-step scheme for real z <= 0 (a number or an array), probed by steps of length -z on
    f = x^2/2 from x = 1."""
    checks.instance("scheme", scheme, schemes.Scheme, "a Scheme")
    lengths = -checks.point("z", z if checks.dimensions(z) else [z])
    ends, _ = _advance(quadratic([1.0], x0=[1.0]), scheme, np.ones((lengths.size, 1)), lengths, 1)
    return ends[:, 0] if np.ndim(z) else float(ends[0, 0])
