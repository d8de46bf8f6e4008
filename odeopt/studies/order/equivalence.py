"""Equivalences as executable statements: two methods, two starts, the largest deviation between them.

:func:`deviation` runs two sides of a claim ("momentum is the Stormer-Verlet scheme of the heavy ball")
and returns the largest distance. ``odeopt.studies.order.statements`` holds the claims of this package.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import checks
from ...discretization import Discretization
from ...flows import Flow
from ...optimizers import Optimizer
from ...problems import Problem
from ...problems.base import checked
from ...reference.reference import reference
from ...sums import norms
from ..inner import inner_run


@dataclass(frozen=True, eq=False)
class Side:
    """One side of an equivalence.

    Attributes
    ----------
    method : Optimizer, Discretization, Flow or callable
        A callable is ``method(problem, x0, steps) -> (steps + 1, n)``: a recursion written out.
    start : str or array, optional
        An Optimizer's ``start`` of :func:`odeopt.record`; for a Discretization or Flow the full state
        (rows, n) (default: memory at rest).
    x0 : (n,) array, optional
        Default: the problem's start.
    every : int
        Steps of this side for each point compared.
    times : callable, optional
        For a Flow: ``times(n) -> t``, the flow times at which it is looked at.
    t0 : float
        For a Flow: the time of its start.
    observe : callable, optional
        ``observe(x, memory) -> (R, n)`` of the recorded arrays: what is compared (default: x).
    """

    method: Any
    start: Any = None
    x0: Any = None
    every: int = 1
    times: Callable | None = None
    t0: float = 0.0
    observe: Callable | None = None

    def points(self, problem, steps):
        """The ``steps + 1`` points compared, (steps + 1, n)."""
        x0 = problem.x0 if self.x0 is None else checks.point("x0", self.x0, problem.dim)
        if isinstance(self.method, Flow):
            return self._flow_points(problem, x0, steps)
        if isinstance(self.method, Optimizer):
            run = inner_run(self.method, problem, x0, steps * self.every, self.every,
                            start="cold" if self.start is None else self.start, memory=True)
        elif isinstance(self.method, Discretization):
            run = inner_run(self.method, problem, x0 if self.start is None else self.start, steps * self.every,
                         self.every, memory=True)
        elif callable(self.method):
            points = checks.array("method, called as method(problem, x0, steps),", self.method(
                problem, x0.copy(), steps * self.every), (steps * self.every + 1, None), finite=False)
            return points[:: self.every]
        else:
            raise TypeError("first and second must hold an Optimizer, a Discretization, a Flow or a callable, "
                            f"got {checks.shown(self.method)}")
        if not run.ok or len(run) != steps + 1:
            raise ValueError(f"steps must be a number that both sides can do, {run.method} ended: {run.message}")
        return run.x if self.observe is None else self.observe(run.x, run.memory)

    def _flow_points(self, problem, x0, steps):
        if self.times is None:
            raise ValueError("times must be given for a Flow")
        t = np.array([self.times(n) for n in range(steps + 1)], dtype=float)
        solution = reference(self.method, problem, x0 if self.start is None else self.start, t[-1], t0=self.t0,
                             rtol=1e-13, atol=1e-14, solver="DOP853", check=False)
        if not solution.success:
            raise ValueError(f"times must be times that the flow reaches: {solution.message}")
        return solution(t)


def deviation(first: Any, second: Any, problem: Problem, steps: int = 200, *, relative: bool = True) -> float:
    """The largest distance between two methods over ``steps`` steps.

    Parameters
    ----------
    first, second : Side, or a method, or (method, start)
        A method is an Optimizer, a Discretization, a Flow or a recursion (see :class:`Side`).
    problem : Problem
    steps : int
        Points compared after the start.
    relative : bool
        Divide by the largest norm of a point (default), so that 1e-16 is round-off.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        A side that diverges or ends before ``steps``; sides of different shape.

    Examples
    --------
    >>> import odeopt as oo
    >>> adam = oo.Adam(0.01)
    >>> same = oo.Discretization(adam.flow, adam.scheme, adam.h)
    >>> oo.deviation(adam, same, oo.problems.beale()) < 1e-12
    True
    """
    checked(problem)
    steps, relative = checks.integer("steps", steps, 1), checks.switch("relative", relative)
    for name, side in (("first", first), ("second", second)):
        if isinstance(side, tuple) and len(side) != 2:
            raise ValueError(f"{name} must be a Side, a method or a pair (method, start), got {checks.shown(side)}")
    sides = [s if isinstance(s, Side) else Side(*s) if isinstance(s, tuple) else Side(s) for s in (first, second)]
    a, b = (side.points(problem, steps) for side in sides)
    if a.shape != b.shape:
        raise ValueError(f"first and second must observe points of one shape, got {a.shape} and {b.shape}")
    size = norms(a).max() if relative else 1.0
    return float(norms(a - b).max() / (size or 1.0))


def two_step(lr, momentum, first=1.0):
    """The two-step recursion x_{k+1} = x_k + momentum (x_k - x_{k-1}) - lr g(x_k), written out, as a callable.

    ``first`` scales the first step: x_1 = x_0 - first * lr g(x_0); 1/2 is a Verlet step from rest.
    """

    lr, momentum, first = (checks.real(name, value) for name, value in (
        ("lr", lr), ("momentum", momentum), ("first", first)))

    def run(problem, x0, steps):
        x = np.empty((steps + 1, x0.size))
        x[0] = x0
        x[1] = x0 - first * lr * problem.grad(x0)
        for k in range(1, steps):
            x[k + 1] = x[k] + momentum * (x[k] - x[k - 1]) - lr * problem.grad(x[k])
        return x

    return run


def own_scheme(optimizer, problem, x0=None, steps=200):
    """The two sides of "this optimizer is its scheme applied to its flow".

    A method that chooses its step (error-controlled Euler, Barzilai-Borwein) is compared with the scheme at the
    steps that it chose in its first ``steps`` steps.
    """
    checked(problem)
    checks.instance("optimizer", optimizer, Optimizer, "an Optimizer")
    flow, scheme, steps = optimizer.flow, optimizer.scheme, checks.integer("steps", steps, 1)
    if flow is None or scheme is None:
        raise ValueError(f"optimizer must have a classical flow and a scheme, and {optimizer.title} does not")
    x0 = problem.x0 if x0 is None else checks.point("x0", x0, problem.dim)
    h = _steps_taken(optimizer, problem, x0, steps)
    h = optimizer.h if np.abs(h / optimizer.h - 1).max() < 1e-13 else h
    method = Discretization(flow, scheme, h, t0=optimizer.t0)
    return Side(optimizer, x0=x0), Side(method, optimizer.flow_start(x0, problem.grad(x0)), x0=x0)


def _steps_taken(optimizer, problem, x0, steps):
    """The flow time that each step advanced, straight from the kernel."""
    x, s = x0.copy(), optimizer.start(x0)
    return np.array([optimizer.kernel(k, optimizer.p_for(x), x, problem.grad(x), s) for k in range(steps)])
