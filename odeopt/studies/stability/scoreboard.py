"""``edge``: the continuous models of a method at the edge of stability, held against one run of it.

The run is averaged over two steps, which takes an oscillation of period two out, and stands at k + 1/2; so do the
models of :mod:`odeopt.studies.stability.theories`. Sharpness is the largest eigenvalue of H, for adaptive methods of
H/(sqrt(v) + eps), beside the method's own limit: 2/lr, 2 (1 + momentum)/lr, 2 (1 + beta1)/((1 - beta1) lr).

An error in the overshoot depends on where that ends. On f = y x^2/2 + .005 (y - 25)^2 from (.1, 19), lr = .1, the
two-gradient flow misses the sharpness by .08 and the central flow by .94 until it is below the limit again (what
:meth:`Edge.phase` calls the overshoot), by .16 and 1.04 until it passes the limit a second time, and by 1.7 and 1.04
over 1,000 steps: the central flow misses each swing by its whole size, the other one only by its phase, which drifts.
Who wins is another model on another problem. On f = sqrt(1 + (xy)^2) from (3, 7.5), lr = .05, gradient descent jumps
over the limit at once, far from any average motion: the rod flow alone follows there (sharpness to .01, the others to
6 to 31), and the central flow ends nearest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ... import checks
from ...optimizers import GradientDescent, Optimizer, RMSprop
from ...problems import Problem
from ...problems.base import checked
from ..base import Study
from ..inner import gather, inner_run, partial_results
from .averaged import Averaged, VanishingPreconditioner
from .products import DIFFERENCED, Counted
from .theories import THEORIES, critical_pairs

PHASES = ("before", "onset", "overshoot", "plateau", "whole")
_BEGINNING = 100  # steps in which the flows move fast and are integrated step by step
QUANTITIES = ("sharpness", "loss", "position")


@dataclass(frozen=True, eq=False, repr=False)
class Edge(Study):
    """A run at the edge of stability and what each theory says of it.

    Attributes
    ----------
    method, problem : str
    formula : str
        Of the limit.
    limit : float
        Of the sharpness.
    k : (R,) array
        Steps, at their middle: k + 1/2.
    sharpness, loss : (R,) arrays
        Of the run, averaged over two steps.
    theory : tuple of str
    flow_sharpness, flow_loss, distance : (T, R) arrays
        Of each theory, and how far it is from the averaged run; NaN where it has ended.
    gradients : (T,) array
        What a theory costs, in gradients for each step of the method; a Hessian product counts as two.
    message : tuple of str
        How a theory ended, "" where it came to the end; or that it is not known for the method, and then all its
        entries are NaN.
    run_message : str
        How the run ended, "" where it came to the end.
    """

    axes = "k sharpness loss: R; flow_sharpness flow_loss distance: T R; theory gradients message: T"

    method: str
    problem: str
    formula: str
    limit: float
    k: np.ndarray
    sharpness: np.ndarray
    loss: np.ndarray
    theory: tuple
    flow_sharpness: np.ndarray
    flow_loss: np.ndarray
    distance: np.ndarray
    gradients: np.ndarray
    message: tuple
    run_message: str = ""

    def phase(self, name: str) -> slice:
        """The entries of a phase: "before" the sharpness passes the limit, "onset", where it does, "overshoot",
        until it is below again, "plateau", from there on, or the "whole" run. Empty where it does not come to that."""
        checks.choice("phase", name, PHASES)
        n = self.k.size
        above = np.flatnonzero(self.sharpness > self.limit)
        first = int(above[0]) if above.size else n
        back = np.flatnonzero(self.sharpness[first:] < self.limit)
        later = first + int(back[0]) if back.size else n
        return {"before": slice(0, first), "onset": slice(first, min(first + 1, n)), "overshoot": slice(first, later),
                "plateau": slice(later, n), "whole": slice(0, n)}[name]

    def error(self, quantity: str = "sharpness") -> np.ndarray:
        """(T, R) absolute errors of "sharpness", "loss" or "position"."""
        checks.choice("quantity", quantity, QUANTITIES)
        if quantity == "position":
            return self.distance
        pairs = {"sharpness": (self.flow_sharpness, self.sharpness), "loss": (self.flow_loss, self.loss)}
        ours, theirs = pairs[quantity]
        return np.abs(ours - theirs)

    def largest(self, quantity: str = "sharpness", phase: str = "whole") -> np.ndarray:
        """(T,) largest errors in a phase; NaN for a theory that has ended there, or a phase that is not there."""
        part = self.error(quantity)[:, self.phase(phase)]
        return part.max(axis=1) if part.shape[1] else np.full(len(self.theory), np.nan)

    def rows(self):
        """A line for each theory and quantity: the largest error in each phase."""
        return [{"theory": name, "error of": quantity,
                 **{phase: float(self.largest(quantity, phase)[i]) for phase in PHASES},
                 "gradients per step": float(self.gradients[i]), "remark": self.message[i]}
                for i, name in enumerate(self.theory) for quantity in QUANTITIES]

    def headline(self):
        reached = self.phase("before").stop < self.k.size
        words = []
        for phase in ("overshoot", "plateau", "whole"):
            errors = self.largest("sharpness", phase)
            if reached and np.isfinite(errors).any():
                i = int(np.nanargmin(errors))
                words.append(f"{phase} {self.theory[i]} ({errors[i]:.3g})")
        ended = "; ".join(f"{name}: {word}" for name, word in
                          [("the run", self.run_message), *zip(self.theory, self.message)] if word)
        found = "nearest in sharpness: " + ", ".join(words) if words else "the limit is not reached"
        return (f"<Edge of {self.method} on {self.problem}: limit {self.limit:.4g} = {self.formula} / lr, {found}"
                f"{'; ' + ended if ended else ''}>")


def unknown(optimizer: Optimizer, theory: str) -> str:
    """Why there is no such theory for a method, "" where there is."""
    if theory == "principal flow" and not isinstance(optimizer, GradientDescent):
        return "known for gradient descent alone"
    if theory == "modified flow" and isinstance(optimizer, RMSprop) and optimizer.form == "scalar":
        return "not known for the scalar form"
    return ""


@partial_results
def edge(optimizer: Optimizer, problem: Problem, x0: ArrayLike | None = None, steps: int = 1000, *,
         theories: Sequence[str] | None = None, directions: int = 1, every: int = 10,
         warmup: int = 0, progress: bool = False) -> Edge:
    """Run ``optimizer`` and hold the continuous models of it against the run.

    Parameters
    ----------
    optimizer : GradientDescent, Momentum, Nesterov, RMSprop or Adam
        Without weight decay, RMSprop without momentum and centering. It starts with the memory that a constant
        gradient g(x0) leaves, so that nothing is transient, or after ``warmup``.
    problem : Problem
        With Hessian products, or they are taken as differences of gradients.
    x0 : (n,) array, optional
        Where the sharpness is below the limit, after ``warmup``.
    steps : int
    theories : sequence of str, optional
        Names in ``odeopt.studies.stability.theories.THEORIES``; default: all. One that is not known for the method
        (the principal flow is for gradient descent alone, the modified flow not for scalar RMSprop) says so.
    directions : int
        Critical eigenvectors that the central, two-gradient and principal flow look at.
    every : int
        Steps between two comparisons.
    warmup : int
        Steps from x0, with memory empty, before the comparison begins; averages that are biased towards 0 are then
        corrected. Where a component of g(x0) is near to 0, a method that divides by it starts above its limit:
        Adam on ``problems.digits_network()``, 100 steps later far below.
    progress : bool
        Name the theory at work on stderr (only if that is a terminal or a notebook).

    Returns
    -------
    Edge
        A theory that is not finite ends there, and ``message`` says at which step; so does the run, and
        ``run_message``.

    Raises
    ------
    TypeError, ValueError
        Another method or variant; another theory; a sharpness above the limit, or none, where the comparison begins.
    """
    checked(problem)
    steps, every = checks.integer("steps", steps, 1), checks.integer("every", every, 1)
    x0 = problem.x0.copy() if x0 is None else checks.point("x0", x0, problem.dim)
    directions = checks.integer("directions", directions, 1, problem.dim)
    warmup = checks.integer("warmup", warmup, 0)
    names = tuple(THEORIES)
    chosen = names if theories is None else tuple(checks.choice("theories", name, names) for name in _named(theories))
    system = Averaged(optimizer, problem, x0, warmup)
    at = Measured(system, directions)
    try:
        first = at.sharpness(system.x0, system.v0)
    except VanishingPreconditioner:
        raise ValueError("x0 must have no gradient component 0 when eps is 0: the method divides by it") from None
    if not first <= at.limit * (1 + 1e-9):
        where = f"{warmup} steps after x0" if warmup else "there"
        said = f"{first:.4g}, above the limit {at.limit:.4g}" if np.isfinite(first) else "not finite"
        hint = "" if warmup or not system.adaptive else "; warmup= makes steps first, which fill the memory"
        raise ValueError(f"x0 must be where the method is stable: the sharpness {where} is {said}{hint}")
    k, x, sharpness, loss, ended = _averaged_run(system, steps, every, at)

    def follow(name):
        why = unknown(optimizer, name)
        if why:
            return *np.full((3, k.size), np.nan), np.nan, why
        return _follow(THEORIES[name](system, system.x0, directions), k, x, Measured(system, directions))

    done, _ = gather(list(chosen), follow, progress=progress)
    flow_sharpness, flow_loss, distance = (np.array([one[i] for one in done]).reshape(-1, k.size) for i in range(3))
    name = problem.name if problem.has_hessian else f"{problem.name} ({DIFFERENCED})"
    return Edge(repr(optimizer), name, system.formula, at.limit, k + 0.5, sharpness, loss,
                chosen[: len(done)], flow_sharpness, flow_loss, distance, np.array([one[3] for one in done]),
                tuple(one[4] for one in done), ended)


def _named(theories):
    found = checks.entries("theories", theories)
    if not found:
        raise ValueError("theories must name at least one theory, got none")
    return found


class Measured:
    """Sharpness and loss along a path; each point's eigenvectors are where the next one's search begins."""

    def __init__(self, system, directions):
        self.system, self.count, self.u = system, min(directions + 1, system.problem.dim), None
        self.limit = system.limit / system.unit

    def sharpness(self, x, v):
        """The largest eigenvalue of H, or of H/(sqrt(v) + eps)."""
        p, _ = self.system.preconditioner(v)
        values, self.u = critical_pairs(Counted(self.system.problem), x, p, self.count, self.u)
        return float(values[0]) / self.system.unit


def _averaged_run(system, steps, every, at):
    """``(k, x, sharpness, loss, ended)`` of the run averaged over steps k and k + 1, and how it ended before the last
    one, or ""; ValueError where it does before the second record."""
    x, s, found, ended = system.x0, system.start, [], ""
    for k in range(0, steps, every):
        run = inner_run(system.optimizer, system.problem, x, max(min(every, steps - k), 1), start=s, memory=True)
        if len(run) < 2 or not np.isfinite(run.x).all():
            ended = f"not finite after step {k}"
            break
        middle, v = 0.5 * (run.x[0] + run.x[1]), np.zeros(0)
        if system.adaptive:
            v = 0.5 * (run.memory[0, system.square] + run.memory[1, system.square])[: 1 if system.scalar else None]
        try:
            sharpness = at.sharpness(middle, v)
        except VanishingPreconditioner as vanishing:
            ended = f"at step {k} {vanishing}"
            break
        if not np.isfinite(sharpness):
            ended = f"at step {k} the Hessian is not finite"
            break
        found.append((k, middle, sharpness, system.problem.fun(middle)))
        if not run.ok:
            ended = f"{run.status} after step {k}"
            break
        x, s = run.final["x"], run.final["s"]
    if not found:
        raise ValueError(f"optimizer must make a step from x0 that is finite, and {ended}")
    return *(np.array(column) for column in zip(*found)), ended


def _follow(flow, k, x, at):
    """``(sharpness, loss, distance, gradients per step, message)`` of a theory at the middles of the steps k."""
    out, time, message = np.full((3, k.size), np.nan), 0.0, ""
    problem = at.system.problem
    with np.errstate(all="ignore"):
        for i, goal in enumerate(k + 0.5):
            try:
                while time < goal:
                    longest = flow.longest if time > _BEGINNING else 1.0
                    dt = 0.5 if time == 0.0 else min(goal - time, longest)
                    flow.advance(dt)
                    time += dt
                    if not np.isfinite(flow.w).all():
                        break
                s = at.sharpness(flow.w, flow.memory) if np.isfinite(flow.w).all() else np.nan
            except OverflowError:
                message = f"grows without bound at step {time:g}"
                break
            except (np.linalg.LinAlgError, VanishingPreconditioner):  # of a matrix that is not finite; v is 0
                s = np.nan
            if not np.isfinite(s):
                message = f"not finite at step {time:g}"
                break
            out[:, i] = s, problem.fun(flow.w), np.linalg.norm(flow.w - x[i])
    return *out, flow.problem.count / max(time, 1.0), message
