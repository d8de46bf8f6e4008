"""``Trajectory``: what a run leaves behind. Frozen, saved without pickle."""

import functools
import html
import json
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from .. import archive, checks
from ..archive import Entry
from ..results import Result, coordinates

FORMAT = 2
STATUSES = ("completed", "converged", "diverged", "interrupted", "stalled")
WORDS = {"status": functools.partial(checks.choice, allowed=STATUSES), "message": archive.text,
         "method": archive.text, "problem": archive.text}
_COUNT: dict[str, Any] = {"low": 0, "high": checks.LARGEST - 1}
COLUMNS = {
    "k": Entry("int64", "R", **_COUNT), "t": Entry("float64", "R", finite=True),
    "x": Entry("float64", "R n", finite=True),
    "f": Entry("float64", "R", finite=True), "grad_norm": Entry("float64", "R", finite=True),
    "lr": Entry("float64", "R"), "n_grad": Entry("int64", "R", **_COUNT),
    "memory": Entry("float64", "R slots n", optional=True),
}
FINAL = {
    "k": Entry("int64", **_COUNT), "every": Entry("int64", low=1, high=checks.LARGEST), "t": Entry("float64"),
    "sum": Entry("float64"), "carry": Entry("float64"), "x": Entry("float64", "n"), "s": Entry("float64", "slots n"),
    "decisions": Entry("float64", "7", optional=True), "origin": Entry("text", optional=True),
    "spec": Entry("text", optional=True),
}
LOG = {"t": Entry("float64", "trials"), "h": Entry("float64", "trials"), "error": Entry("float64", "trials"),
       "accepted": Entry("bool", "trials")}


@dataclass(frozen=True, eq=False)
class Trajectory(Result):
    """Record of a run; the arrays have one entry per recorded step.

    Attributes
    ----------
    k : (R,) int64
        Step number; 0 is the start.
    t : (R,) float64
        Flow time reached.
    x : (R, n) float64
    f, grad_norm : (R,) float64
        Objective and Euclidean norm of its gradient at ``x``.
    lr : (R,) float64
        First hyperparameter (learning rate or tolerance) or step h that the next step uses.
    n_grad : (R,) int64
        Gradient evaluations that the method spent to get here (the recorder's own not counted).
    memory : (R, slots, n) float64 or None
        The optimizer's slots, or the memory rows of a flow, when asked for.
    status : {"completed", "converged", "diverged", "interrupted", "stalled"}
        "completed": all steps done or ``t_end`` reached; "converged": gradient tolerance met; "stalled": no
        further step can be made (the step size became 0, a schedule left the interval of its hyperparameter,
        the step sizes given end before ``t_end``).
    message : str
    method, problem : str
    final : dict
        Full state after the last step (k, t, sum, carry, x, s), the stride ``every``, and ``origin``, what
        the run was made of (:mod:`odeopt.fingerprint`): what ``resume`` needs; and ``spec``, the method as text.
    step_log : dict or None
        For adaptive runs: arrays t, h, error (scaled; accepted when <= 1), accepted of every trial.
    """

    k: np.ndarray
    t: np.ndarray
    x: np.ndarray
    f: np.ndarray
    grad_norm: np.ndarray
    lr: np.ndarray
    n_grad: np.ndarray
    memory: Any  # an array, or None
    status: str
    message: str
    method: str
    problem: str
    final: dict[str, Any] = field(repr=False)
    step_log: Any = field(default=None, repr=False)

    def __len__(self):
        return self.k.size

    def __repr__(self):
        return (f"<Trajectory {self.method} on {self.problem}: {len(self)} records to step "
                f"{self.final['k']}, t = {self.final['t']:.6g}, f = {self.f[-1]:.6g}, {self.status}>")

    def _repr_html_(self):
        """A table for notebooks."""
        rows = [("status", self.message)]
        if len(self):
            rows += [("steps", self.final["k"]), ("flow time", f"{self.final['t']:.6g}"),
                     ("gradients", self.n_grad[-1]), ("f", f"{self.f[0]:.6g} to {self.f[-1]:.6g}"),
                     ("gradient norm", f"{self.grad_norm[-1]:.3g}")]
        cells = "".join(f"<tr><th>{name}</th><td>{html.escape(str(value))}</td></tr>" for name, value in rows)
        title = f"{html.escape(self.method)} on {html.escape(self.problem)}"
        return f"<table><caption>{title}</caption>{cells}</table>"

    @property
    def spec(self) -> dict:
        """What the method was, as :func:`odeopt.method.method_from` reads it; {} where the run does not say."""
        return json.loads(self.final.get("spec", "{}"))

    @property
    def ok(self):
        """False when the run diverged, stalled or was interrupted."""
        return self.status in ("completed", "converged")

    def rows(self):
        """One dict per record; the position is in it where it has at most 100 coordinates."""
        return [{"k": int(self.k[i]), "t": float(self.t[i]), "f": float(self.f[i]),
                 "grad_norm": float(self.grad_norm[i]), "lr": float(self.lr[i]), "n_grad": int(self.n_grad[i])}
                | coordinates(self.x[i]) for i in range(len(self))]

    def headline(self):
        return f"{self.method} on {self.problem}: {self.message}"

    def _whole(self):
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        arrays = {name: values[name] for name in COLUMNS if values[name] is not None}
        for group in ("final", "step_log"):
            arrays |= {f"{group}.{name}": value for name, value in (values[group] or {}).items()}
        return FORMAT, {name: values[name] for name in WORDS}, arrays

    @classmethod
    def load(cls, path):
        """Read what :meth:`save` wrote; ValueError for a file that is not a trajectory, or a garbled one."""
        with archive.reading(path, "trajectory"):
            schema = COLUMNS | _named("final", FINAL) | _named("step_log", LOG)
            words, arrays = archive.stored(path, FORMAT, schema)
            log = any(name.startswith("step_log.") for name in arrays)
            schema = schema if log else COLUMNS | _named("final", FINAL)
            run = cls(**archive.check_words(words, WORDS), **_grouped(archive.check_arrays(arrays, schema), log))
            run.check()
        return run

    def check(self, **sizes):
        """:class:`odeopt.archive.Wrong` unless the arrays are what they are said to be; ``sizes``: n, slots."""
        values = {name: getattr(self, name) for name in COLUMNS if getattr(self, name) is not None}
        values |= {f"final.{name}": value for name, value in self.final.items()}
        archive.check_arrays(values, COLUMNS | _named("final", FINAL), sizes)
        try:
            told = self.spec
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise archive.Wrong("final.spec must be a method as JSON")
        if not len(self):
            raise archive.Wrong("it has no records")
        if (np.diff(self.k) <= 0).any() or self.k[-1] > self.final["k"]:
            raise archive.Wrong("k must increase, to final.k at most")
        if self.ok and (self.k[-1] != self.final["k"] or not np.array_equal(self.x[-1], self.final["x"])):
            raise archive.Wrong(f"final.k and final.x must be those of the last record in a run that is {self.status}")
        if self.ok:  # the state after the last step of another run, and what it remembers, may have overflowed
            for name in ("lr", "memory", *(f"final.{name}" for name in ("t", "sum", "carry", "x", "s"))):
                if not np.isfinite(values.get(name, 0.0)).all():
                    raise archive.Wrong(f"{name} must be finite in a run that is {self.status}")
        numbers = self.final.get("decisions", np.zeros(7))[[0, 2, 3, 4, 5]]  # sums and the best value may be any
        if not (np.isfinite(numbers) & (numbers >= 0) & (numbers < checks.LARGEST)).all():
            raise archive.Wrong("final.decisions must be counts and a learning rate")


def _named(group, schema):
    return {f"{group}.{name}": entry for name, entry in schema.items()}


def _grouped(arrays, log):
    """The fields: "final.x" of a file is the x of ``final``."""
    values = {"memory": None, "final": {}, "step_log": {} if log else None}
    for key, array in arrays.items():
        group, dot, name = key.partition(".")
        if dot:
            values[group][name] = array
        else:
            values[group] = array
    return values
