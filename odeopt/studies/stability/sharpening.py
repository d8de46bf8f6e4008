"""``sharpness``: the largest eigenvalues of the Hessian along a run, beside the method's own stability limit.

H, and for methods that divide by a running mean square v also H/(sqrt(v) + eps), whose limit is the page's: 2/lr,
2 (1 + momentum)/lr, 2 (1 + beta1)/((1 - beta1) lr), which is 38/lr for Adam. Along a run the eigenvectors turn slowly,
so the last ones are a start from which a few Hessian products do.

Sources: Cohen et al., arXiv:2103.00065 (gradient descent), arXiv:2207.14484 (adaptive methods).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ... import checks
from ...engine.trajectory import Trajectory
from ...optimizers import Optimizer
from ...problems import Problem
from ...problems.base import checked
from ..base import Study
from ..inner import inner_run
from .averaged import Averaged, VanishingPreconditioner
from .products import DIFFERENCED, Counted
from .theories import critical_pairs


@dataclass(frozen=True, eq=False, repr=False)
class Sharpness(Study):
    """Eigenvalues along a run; one entry per record, up to the first at which there are none.

    Attributes
    ----------
    method, problem, formula : str
        ``formula`` is that of ``limit`` times the learning rate.
    limit : float
        Of the first of ``preconditioned``.
    k, loss : (R,) arrays
    hessian : (R, count) array
        The largest eigenvalues of H, the largest first.
    preconditioned : (R, count) array
        Those of H/(sqrt(v) + eps), NaN where v is 0 as at the start of Adam; those of H for a method that divides by
        nothing.
    gradients : float
        What the eigenvalues cost, in gradients for each step of the run (a Hessian product counts as two).
    message : str
        "" or how the run ended, at which step the Hessian is not finite, or that gradients were differenced.
    """

    axes = "k loss: R; hessian preconditioned: R count"

    method: str
    problem: str
    formula: str
    limit: float
    k: np.ndarray
    loss: np.ndarray
    hessian: np.ndarray
    preconditioned: np.ndarray
    gradients: float
    message: str

    def rows(self):
        """Ten records, evenly spaced."""
        some = np.unique(np.linspace(0, self.k.size - 1, 10).astype(int))
        return [{"step": int(self.k[i]), "f": float(self.loss[i]), "sharpness": float(self.hessian[i, 0]),
                 "preconditioned": float(self.preconditioned[i, 0]), "limit": self.limit} for i in some]

    def headline(self):
        above = np.flatnonzero(self.preconditioned[:, 0] > self.limit)
        reached = f"passed at step {int(self.k[above[0]])}" if above.size else "not passed"
        return (f"<Sharpness of {self.method} on {self.problem}: limit {self.limit:.4g} = {self.formula} / lr, "
                f"{reached}, at the end {self.preconditioned[-1, 0]:.4g}{'; ' + self.message if self.message else ''}>")


def sharpness(optimizer: Optimizer, problem: Problem, x0: ArrayLike | None = None, steps: int = 1000, *,
              every: int | None = None, count: int = 1, start: str = "cold", progress: bool = False) -> Sharpness:
    """Run ``optimizer`` and measure the largest eigenvalues of the Hessian at every ``every``-th step.

    Parameters
    ----------
    optimizer : GradientDescent, Momentum, Nesterov, RMSprop or Adam
    problem : Problem
        Where it has no Hessian product gradients are differenced, and ``message`` says so.
    x0, steps
        As in :func:`odeopt.record`.
    every : int, optional
        Default: 50, or 100 where there are two spectra to measure. 2000 steps on ``problems.digits_network()`` then
        take 1.2 times as long for gradient descent, 1.6 for RMSprop, 1.25 for Adam.
    count : int
        Eigenvalues.
    start, progress
        As in :func:`odeopt.record`.

    Returns
    -------
    Sharpness
        Eigenvalues to 1e-3 of the largest, most to 1e-4. Where one rises past the others between two records, by less
        than half a per cent, it may be missed until the next record.

    Raises
    ------
    TypeError, ValueError
        A method without average motion or limit; ``count`` above the number of variables; a Hessian that is not
        finite at x0.
    """
    checked(problem)
    x0 = problem.x0 if x0 is None else checks.point("x0", x0, problem.dim)
    count = checks.integer("count", count, 1, problem.dim)
    system = Averaged(optimizer, problem, x0)
    every = (100 if system.adaptive else 50) if every is None else checks.integer("every", every, 1)
    run = inner_run(optimizer, problem, x0, steps, every, start=start, memory=system.adaptive, progress=progress)
    values, cost, why = along(run, system, count)
    n = values.shape[1]
    if n == 0:
        raise ValueError(f"x0 must be where the sharpness can be measured, and {why} there")
    words = [f"ended at step {int(run.k[n])}, where {why}"] if why else []
    words += [] if run.status in ("completed", "converged") else [run.message]
    words += [] if problem.has_hessian else [DIFFERENCED]
    return Sharpness(repr(optimizer), problem.name, system.formula, system.limit / system.unit,
                     run.k[:n].astype(float), run.f[:n], values[0], values[1], cost / max(int(run.final["k"]), 1),
                     "; ".join(words))


def along(run: Trajectory, system: Averaged, count: int) -> tuple[np.ndarray, int, str]:
    """``(values, gradients, why)``: eigenvalues (2, R, count) of H and of H/(sqrt(v) + eps) at the records of ``run``,
    up to the first at which there are none; ``why`` not, or ""."""
    problem, near, found = Counted(system.problem), [None, None], []
    tracked = min(count + 1, problem.dim)
    for i, x in enumerate(run.x):
        row = np.full((2, count), np.nan)
        try:
            scales = [np.ones(problem.dim), *_preconditioners(run, system, i)]
        except VanishingPreconditioner as vanishing:
            return _stacked(found, count), problem.count, str(vanishing)
        for j, p in enumerate(scales):
            if p is not None:
                values, near[j] = critical_pairs(problem, x, p, tracked, near[j])
                row[j] = values[:count]
                if not np.isfinite(values[:count]).all():
                    return _stacked(found, count), problem.count, "the Hessian is not finite"
        found.append(row if system.adaptive else row[[0, 0]])
    return _stacked(found, count), problem.count, ""


def _stacked(found, count):
    return np.array(found).reshape(-1, 2, count).swapaxes(0, 1)


def _preconditioners(run, system, i):
    """At record ``i`` sqrt(v) + eps of a method that has it, None where v is 0 altogether."""
    if not system.adaptive:
        return []
    v = run.memory[i, system.square][: 1 if system.scalar else None]
    names = [slot.name for slot in system.optimizer.slots]
    q = run.memory[i, names.index("square weight"), 0] if "square weight" in names else 1.0
    return [system.preconditioner(v / q)[0] * system.unit if q > 0 and v.any() else None]
