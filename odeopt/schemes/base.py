"""``Scheme``: a one-step method for any flow."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import abi, checks, machine_code
from ..flows.base import Flow, unit_gradient, unit_product

LEAST_ATOL = 1e-100  # in place of an absolute tolerance of 0: a coordinate that is 0 needs a scale, too

_SIGNATURE = "step(rhs, fg, hv, data, p, t, h, z, w)"
_CONTRACT = (" that moves the state z by h in place and returns the estimate of its error, 0.0 without one, where "
             "rhs(fg, hv, data, t, p, z, dz) writes the field into dz; plain Python runs in the interpreter, and under "
             "@odeopt.abi.kernel it is compiled")
_INSIDE = set()  # (step, constants, field, rows, ...) that stay inside their arrays


@dataclass(frozen=True, eq=False, repr=False)
class Scheme(abi.Portable):
    """A one-step integrator.

    Attributes
    ----------
    name : str
    step : kernel STEP
        Compiled by ``numba.njit`` (best by :func:`odeopt.abi.kernel`), or plain Python, which runs in the
        interpreter.
    order : int
        Classical order on smooth flows.
    stages : int
        Gradient evaluations per step (a step that evaluates one gradient twice counts it twice;
        0 where it depends on the step, which then leaves the number in the last row of ``w``).
    work : callable
        ``work(rows) -> int``: rows of workspace that ``step`` needs for a state of ``rows`` rows.
    embedded_order : int
        Order of the embedded error estimator, 0 for schemes without one.
    constants : tuple of float
        The scheme's own constants; the loop appends them to the flow's ``p``.
    check : callable, optional
        ``check(flow, problem)`` raises ValueError for flows that the scheme cannot integrate.
    matrix_up_to : int
        Largest n for which the workspace has n rows more than ``work`` says, before the last one: a matrix.
    """

    name: str
    step: Any
    order: int
    stages: int
    work: Any
    embedded_order: int = 0
    constants: tuple = ()
    check: Any = None
    matrix_up_to: int = 0

    def __post_init__(self):
        checks.text("name", self.name)
        checks.takes("step", self.step, _SIGNATURE, _CONTRACT)
        machine_code.refresh(self.step)
        checks.takes("work", self.work, "work(rows)")
        if self.check is not None:
            checks.takes("check", self.check, "check(flow, problem)")
        for name, least in (("order", 1), ("stages", 0), ("embedded_order", 0), ("matrix_up_to", 0)):
            object.__setattr__(self, name, checks.integer(name, getattr(self, name), least))
        constants = checks.entries("constants", self.constants)
        object.__setattr__(self, "constants", tuple(checks.real("constants", c) for c in constants))

    def fit(self, flow, problem):
        """ValueError or TypeError where the scheme cannot integrate ``flow`` on ``problem``.

        The one place that looks, whoever runs the scheme: at what the flow needs of the problem, at the
        scheme's own ``check``, and at whether its step stays inside its arrays on this flow.
        """
        if not isinstance(flow, Flow):
            raise TypeError(f"flow must be a Flow, got {checks.shown(flow)}")
        flow.check(problem)
        if self.check is not None:
            self.check(flow, problem)
        p, z = self.parameters(flow), np.full((flow.rows, flow.dim or 2), 0.5)
        w = self.workspace(z)
        key = (self.step, self.constants, flow.rhs, z.shape, w.shape, p.size)
        if key not in _INSIDE:
            given = checks.stays_inside(
                f"the step of {self.name} must stay inside its arrays, and does not on {flow.name}, "
                f"slots = {flow.slots}",
                self.step, abi.interpreted(flow.rhs), unit_gradient, unit_product, problem.data, p, 1.0, 0.125, z, w,
                reads="data p [z] [w]")
            if given is None or np.ndim(given):
                raise TypeError(f"the step of {self.name} must be {_SIGNATURE}{_CONTRACT}; this one returns "
                                f"{checks.shown(given)}")
            _INSIDE.add(key)

    def kernels(self, flow, problem):
        """``(rhs, step, compiled)``: the compiled ones for a compiled loop, or all in the interpreter."""
        compiled = problem.compiled and flow.compiled and abi.is_compiled(self.step)
        return (flow.rhs, self.step, True) if compiled else (
            abi.interpreted(flow.rhs), abi.interpreted(self.step), False)

    def parameters(self, flow):
        """Flow constants, then the scheme's own: the vector ``p`` of ``step``."""
        return np.concatenate([flow.p, np.array(self.constants, dtype=np.float64)])

    def workspace(self, z):
        """A zeroed workspace for states of the shape of ``z``."""
        rows, n = z.shape
        return np.zeros((checks.integer("work", self.work(rows)) + (n if n <= self.matrix_up_to else 0), n))

    def __repr__(self):
        return f"<Scheme {self.name}, order {self.order}>"
