"""``order_certificates``: one convergence study for each optimizer and start, as one table."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ... import checks
from ...discretization import Discretization
from ...method import Method, checked_method, labels
from ...problems import Problem
from ...problems.base import checked
from ...results import table
from ..base import Study
from ..inner import gather, partial_results
from .convergence import STEADY, Convergence, convergence, failed

MORE = 4  # further levels for a study whose slopes still move: no tail, or a spread in it above STEADY
COLUMNS = ("optimizer", "flow", "scheme", "scaling", "start", "expected", "measured", "spread", "verdict")


@dataclass(frozen=True, eq=False, repr=False)
class Certificates(Study):
    """Orders of many optimizers on one problem.

    Attributes
    ----------
    problem : str
    studies : tuple of Convergence
    flowless : tuple of str
        Optimizers without a classical flow, for which there is nothing to certify.
    message : str
        "" or "interrupted".
    """

    problem: str
    studies: tuple = field(metadata={"parts": Convergence})
    flowless: tuple
    message: str

    def rows(self):
        """A certificate a study, then the optimizers without a flow."""
        none = {"flow": "none", "scheme": "none", "scaling": "-", "start": "-", "expected": np.nan, "measured": np.nan,
                "spread": np.nan, "verdict": "no classical flow"}
        names = labels([s.method for s in self.studies], [s.spec for s in self.studies])
        return [*(s.certificate() | {"optimizer": name} for s, name in zip(self.studies, names)),
                *({"optimizer": name} | none for name in self.flowless)]

    @property
    def certified(self):
        """Whether every study is certified for which the page declares an order."""
        return all(study.certified or np.isnan(study.expected) for study in self.studies)

    def headline(self):
        good = sum(study.certified for study in self.studies)
        return (f"<Certificates on {self.problem}: {good} of {len(self.studies)} certified"
                f"{'; ' + self.message if self.message else ''}>")

    def __repr__(self):
        return f"{self.headline()}\n{table(self.rows(), COLUMNS)}"


@partial_results
def order_certificates(optimizers: Sequence[Method], problem: Problem, x0: ArrayLike | None = None,
                       t_end: float | None = None, levels: int = 8, *, start: str = "both", progress: bool = False,
                       **options: Any) -> Certificates:
    """Measure the order of each optimizer and hold it against what its page declares.

    Parameters
    ----------
    optimizers : sequence of Optimizer or Discretization
        Each is the coarsest level of its own study.
    problem, x0, t_end, levels
        As in :func:`odeopt.convergence`; a study whose slopes still move gets four levels more.
    start : {"both", "cold", "consistent"}
        "both" measures the consistent start where it differs from the cold one.
    progress : bool
    **options
        Passed on to :func:`odeopt.convergence`.

    Returns
    -------
    Certificates
        Ctrl-C returns the studies that are done. An optimizer that cannot be measured here (its flow needs a
        Hessian that the problem has not) has a study without levels, whose verdict says why.

    Raises
    ------
    TypeError, ValueError
        As :func:`odeopt.convergence`, where all studies fail.
    """
    checked(problem)
    checks.choice("start", start, ("both", "cold", "consistent"))
    optimizers = checks.some("optimizers", optimizers)
    for optimizer in optimizers:
        checked_method(optimizer, "optimizers must hold Optimizers and Discretizations")
    x = problem.x0 if x0 is None else checks.point("x0", x0, problem.dim)
    jobs = [(o, kind) for o in optimizers if o.flow is not None for kind in _starts(o, problem, x, start)]

    partial, errors = [], []

    def study(job):
        optimizer, kind = job
        try:
            measured = convergence(optimizer, problem, x, t_end, levels, start=kind, **options)
            steady = measured.asymptotic and measured.spread <= STEADY
            if not steady and not measured.interrupted:
                measured = convergence(optimizer, problem, x, t_end, levels + MORE, start=kind, **options)
        except ValueError as error:
            errors.append(error)
            return failed(optimizer, problem, kind, options.get("against", "reference"), str(error))
        if measured.interrupted:  # the study kept its levels; now the table must stop as well
            partial.extend([measured] if measured.asymptotic else [])
            raise KeyboardInterrupt
        return measured

    studies, interrupted = gather(jobs, study, progress=progress, describe=lambda job: job[0].title)
    studies += partial
    if errors and len(errors) == len(jobs):  # not one method's failure: the arguments'
        raise errors[0]
    names = labels([o.title for o in optimizers], [o.spec() for o in optimizers])
    flowless = tuple(name for o, name in zip(optimizers, names) if o.flow is None)
    return Certificates(problem.name, tuple(studies), flowless, "interrupted" if interrupted else "")


def _starts(optimizer, problem, x, start):
    if start != "both":
        return (start,)
    if isinstance(optimizer, Discretization):
        return ("cold",)
    g = problem.grad(x)
    same = np.array_equal(optimizer.start(x, g, "cold"), optimizer.start(x, g, "consistent"))
    return ("cold",) if same else ("cold", "consistent")
