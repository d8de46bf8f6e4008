"""Adaptive restart: momentum that is put back to zero when it works against the descent.

Nesterov's fading momentum overshoots on strongly convex f and ripples with a period of some
sqrt(kappa) steps. Starting the count anew when a ripple begins makes the convergence linear without mu
being known. Rules, all read off quantities that the method has:

    function   f rose
    gradient   <g(y_k), x_{k+1} - x_k> > 0: the momentum points uphill
    speed      |x_{k+1} - x_k| < |x_k - x_{k-1}|: the flow's speed has its maximum (the rule with a proved linear
               rate for the flow x'' + (3/t) x' + g = 0)

Sources: O'Donoghue, Candes, arXiv:1204.3982, section 3; Su, Boyd, Candes, arXiv:1503.01243, section 5.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from ... import checks
from ...optimizers import Nesterov
from ...problems import Problem
from ...problems.base import checked
from ..base import Study
from ..inner import inner_run

RULES = ("function", "gradient", "speed")
_FIRST = 64


@dataclass(frozen=True, eq=False, repr=False)
class Restarted(Study):
    """A restarted run, beside the same method without restart.

    ``k``, ``x``, ``f``, ``grad_norm`` of all records (the extrapolated points, as ``record`` has them);
    ``restarts``: the steps at which the momentum was put to zero; ``plain_f``: f of the run without
    restarts at the same steps; ``status``, ``message``: how the last part ended, as in ``Trajectory``.
    """

    axes = "k f grad_norm plain_f: R; x: R n; restarts: m"

    method: str
    problem: str
    rule: str
    k: np.ndarray = field(metadata={"dtype": np.int64})
    x: np.ndarray
    f: np.ndarray
    grad_norm: np.ndarray
    restarts: np.ndarray = field(metadata={"dtype": np.int64})
    plain_f: np.ndarray
    message: str

    def rows(self):
        """The run and its counterpart."""
        return [{"method": f"{self.method}, {self.rule} restart", "steps": int(self.k[-1]),
                 "restarts": self.restarts.size, "f": float(self.f[-1])},
                {"method": self.method, "steps": int(self.k[-1]), "restarts": 0, "f": float(self.plain_f[-1])}]

    def headline(self):
        return (f"{self.rule} restart on {self.problem}: {self.restarts.size} restarts in {int(self.k[-1])} steps, "
                f"{self.status}")


def restarted(optimizer: Nesterov, problem: Problem, x0: ArrayLike | None = None, steps: int = 1000, *,
              rule: str = "speed", patience: int = 2) -> Restarted:
    """Run ``optimizer`` with adaptive restart.

    Parameters
    ----------
    optimizer : Nesterov
        With ``momentum=None`` (the fading one) or a constant momentum.
    problem : Problem
    x0 : (n,) array, optional
    steps : int
    rule : {"speed", "function", "gradient"}
    patience : int
        Steps after a restart in which the rule is not asked (the speed always starts from zero).

    Returns
    -------
    Restarted
    """
    if not isinstance(optimizer, Nesterov):
        raise TypeError(f"optimizer must be a Nesterov, got {type(optimizer).__name__}")
    checks.choice("rule", rule, RULES)
    steps, patience = checks.integer("steps", steps, 1), checks.integer("patience", patience, 1)
    checked(problem)
    x = problem.x0.copy() if x0 is None else checks.point("x0", x0, problem.dim)
    parts, restarts, done, length = [], [], 0, _FIRST
    while True:  # a restart in the last step leaves a part of no step
        run = inner_run(optimizer, problem, x, min(length, steps - done), memory=True)
        cut = _first(rule, problem, run, patience)
        while cut is None and run.ok and run.status == "completed" and done + run.final["k"] < steps:
            more = min(int(run.final["k"]), steps - done - int(run.final["k"]))
            run = inner_run(optimizer, problem, None, more, memory=True, resume=run)
            cut = _first(rule, problem, run, patience)
        stop = len(run) - 1 if cut is None else cut
        parts.append((done + run.k[:stop], run.x[:stop], run.f[:stop], run.grad_norm[:stop]))
        done += int(run.k[stop])
        if cut is None:
            parts.append((np.array([done]), run.x[stop:], run.f[stop:], run.grad_norm[stop:]))
            break
        restarts.append(done)
        x, length = optimizer.behind(run.k[stop], run.x[stop], run.memory[stop]), max(2 * int(run.k[stop]), 8)
    k, xs, f, norm = (np.concatenate([part[i] for part in parts]) for i in range(4))
    plain = inner_run(optimizer, problem, x0, int(k[-1]))
    plain_f = plain.f[np.searchsorted(plain.k, k).clip(0, len(plain) - 1)]
    return Restarted(repr(optimizer), problem.name, rule, k, xs, f, norm, np.array(restarts, dtype=np.int64), plain_f,
                     run.message, status=run.status)


def _first(rule, problem, run, patience):
    """Record at which the rule first asks for a restart, or None."""
    v = run.memory[:, 0]  # x_k - x_{k-1} of the iterates behind the extrapolated points
    if rule == "function":
        bad = np.append(False, np.diff(run.f) > 0)
    elif rule == "speed":
        bad = np.append(False, np.diff((v * v).sum(axis=1)) < 0)
    else:
        g = np.array([problem.grad(x) for x in run.x])
        bad = np.append(False, (g[:-1] * v[1:]).sum(axis=1) > 0)
    bad[: patience + 1] = False
    found = np.flatnonzero(bad)
    return int(found[0]) if found.size else None
