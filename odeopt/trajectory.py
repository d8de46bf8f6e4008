"""``Trajectory``: what a run leaves behind. Frozen, saved without pickle."""

import html
import json
from dataclasses import dataclass, field, fields

import numpy as np

from . import checks

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Record of a run; the arrays have one entry a recorded step.

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
        "completed": all steps done or ``t_end`` reached; "converged": gradient tolerance met.
    message : str
    method, problem : str
    final : dict
        Full state after the last step (k, t, carry, x, s, n_grad, every): what ``resume`` needs.
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
    memory: np.ndarray | None
    status: str
    message: str
    method: str
    problem: str
    final: dict = field(repr=False)
    step_log: dict | None = field(default=None, repr=False)

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
    def ok(self):
        """False when the run diverged, stalled or was interrupted."""
        return self.status in ("completed", "converged")

    def save(self, path):
        """Write everything to ``path`` (npz, no pickle); ``.npz`` is appended if missing."""
        arrays, words = {}, {"format": FORMAT}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray):
                arrays[f.name] = value
            elif isinstance(value, dict):
                arrays |= {f"{f.name}.{k}": np.asarray(v) for k, v in value.items()}
            elif value is not None:
                words[f.name] = value
        np.savez_compressed(path, words=np.array(json.dumps(words)), **arrays)

    @classmethod
    def load(cls, path):
        """Read what :meth:`save` wrote; ValueError for a file that is no trajectory."""
        values, arrays = checks.archive(path, "Trajectory", FORMAT, "status", "k", "final.k")
        groups = {}
        for key, array in arrays.items():
            name, dot, part = key.partition(".")
            if dot:
                groups.setdefault(name, {})[part] = array if array.ndim else array.item()
            else:
                values[name] = array
        defaults = {"memory": None, "step_log": None}
        return cls(**(defaults | values | groups))
