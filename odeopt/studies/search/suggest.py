"""``suggest``: step sizes that make a first look instructive, from the problem itself.

Two kinds of update are told apart by probing the kernel with a gradient and with ten times that
gradient. Where the step grows tenfold, the learning rate is set against the curvature L seen along
a gradient-descent path: lr = 0.25/L for first-order flows, and h = sqrt(lr) = 0.5/sqrt(L) for
second-order ones (momentum); where f has no curvature, so that gradient descent covers three
times the size of x in the given number of steps. Where it does not (normalised steps), the learning rate is a length:
it is chosen so that the number of steps covers three times the way to the nearest known minimum
(or to the end of the gradient-descent path).
"""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ... import checks
from ...optimizers import GradientDescent, Optimizer
from ...problems import Problem
from ...problems.base import checked
from ..inner import inner_run

COURANT = 0.25
TRAVEL = 3.0
FLAT = 1e-12  # curvatures below this count as zero


def path_curvature(problem, x0, steps=200):
    """``(L, end)``: largest curvature along gradient descent from ``x0``, and where it ended."""
    x0, steps = checks.point("x0", x0, checked(problem).dim), checks.integer("steps", steps, 1)
    largest = max(problem.curvature(x0), FLAT)
    for _ in range(12):
        run = inner_run(GradientDescent(0.5 / largest), problem, x0, steps, max(1, steps // 10))
        if not run.ok:
            largest *= 4
            continue
        seen = max((problem.curvature(x) for x in run.x), default=largest)
        if seen <= 2 * largest:
            break
        largest = seen
    return max(largest, seen if run.ok else largest), run.x[-1]


def suggest(cls: type[Optimizer], problem: Problem, x0: ArrayLike | None = None, steps: int = 500,
            **given: Any) -> Optimizer:
    """An instance of the optimizer class ``cls`` with a step size for ``problem``.

    Parameters
    ----------
    cls : subclass of Optimizer
    problem : Problem
    x0 : (n,) array, optional
    steps : int
        Length of the run in view.
    **given
        Hyperparameters that are not to be suggested.

    Raises
    ------
    TypeError
        A hyperparameter that ``cls`` does not have.
    """
    if not (isinstance(cls, type) and issubclass(cls, Optimizer)):
        raise TypeError(f"cls must be a subclass of Optimizer, got {checks.shown(cls)}")
    checked(problem)
    steps = checks.integer("steps", steps)
    names = [f.name for f in dataclasses.fields(cls)]
    unknown = [key for key in given if key not in names]
    if unknown:
        raise TypeError(f"{cls.__name__} has no hyperparameter {unknown[0]!r}; it has {', '.join(names)}")
    rate = cls.step_name
    if rate in given:
        return cls(**given)
    probe = cls(**({rate: 1e-3} | given))
    required = next(f for f in dataclasses.fields(cls) if f.name == rate).default is dataclasses.MISSING
    # The step is elsewhere (Adadelta), or begins at a length of its own (DoG): lr is a pure number.
    if not required and (probe.scaling()[rate] == "fixed" or 0.0 < max(_first_steps(probe)) < 0.01 * probe.step):
        return cls(**given)
    x0 = problem.x0 if x0 is None else checks.point("x0", x0, problem.dim)
    largest, end = path_curvature(problem, x0)
    far = 10 * (1 + np.abs(x0).max())  # where f is unbounded below the path ends anywhere
    if _grows_with_gradient(probe) and largest > FLAT:
        value = COURANT / largest
    elif _grows_with_gradient(probe):  # no curvature, as of x or |x|: the run covers a length
        value = 0.1 * TRAVEL * far / (max(steps, 1) * max(np.abs(problem.grad(x0)).max(), FLAT))
    else:
        targets = problem.minima or (end,)
        way = min(np.abs(x0 - target).max() for target in targets)
        value = TRAVEL * (min(way, far) if np.isfinite(way) else far) / max(steps, 1)
        value = value or 1e-2
    return cls(**({rate: float(f"{value:.2g}")} | given))


def _first_steps(optimizer):
    """Lengths of the first step on a gradient of 1 and of 10."""
    lengths = []
    for scale in (1.0, 10.0):
        x, g = np.zeros(1), np.array([scale])
        optimizer.kernel(0, optimizer.p_for(x), x, g, optimizer.start(x))
        lengths.append(abs(x[0]))
    return lengths


def _grows_with_gradient(optimizer):
    """Whether the first step on ten times the gradient is about ten times as long."""
    lengths = _first_steps(optimizer)
    return lengths[1] > 5 * lengths[0]
