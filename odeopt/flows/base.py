"""``Flow``: a vector field on (position, memory), the thing that an optimizer discretises."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from .. import abi, checks, machine_code
from ..problems.base import checked

EPS_MODES = ("inside", "outside")  # of the root
_INSIDE = set()  # (field, rows, constants) that stay inside their arrays
_SIGNATURE = "rhs(fg, hv, data, t, p, z, dz)"
_CONTRACT = (" that writes dz/dt into dz, where fg(z[0], g, data) writes the gradient into g; plain Python runs in the "
             "interpreter, and under @odeopt.abi.kernel it is compiled")
_NO_DATA, _KEPT = np.empty(0), 4096


def _evaluate(kernels, data, t, p, z, dz):
    rhs = abi.rhs_at(kernels[0], kernels[1])
    fg, hv = abi.fg_at(kernels[2], kernels[3]), abi.hv_at(kernels[4], kernels[5])
    rhs(fg, hv, data, t, p, z, dz)


@functools.cache
def _compiled_evaluate():
    """One compiled entry for every (flow, problem)."""
    return abi.kernel(_evaluate, abi.NOTHING(abi.INDICES, abi.VECTOR, abi.REAL, abi.VECTOR, abi.MATRIX, abi.MATRIX))


def unit_gradient(x, g, data):
    g[:] = 1.0
    return 1.0


def unit_product(x, v, out, data):
    out[:] = v


@dataclass(frozen=True, eq=False, repr=False)
class Flow(abi.Portable):
    """An ordinary differential equation z' = F(t, z) driven by the gradient of an objective.

    ``z`` has shape (1 + len(slots), n): row 0 is the position x, the others the memory, in the
    order of ``slots``. Scalars (such as the weight of a running average) use element 0 of their
    row.

    Attributes
    ----------
    name : str
    equation : str
        The system in plain text, with the constants by name.
    rhs : kernel RHS
        Compiled by ``numba.njit`` (best by :func:`odeopt.abi.kernel`), or plain Python: then everything that
        uses the flow runs in the interpreter.
    constants : mapping of str to float
        Flow constants in the order in which ``rhs`` reads them from ``p``; read-only. Times are flow time.
    slots : tuple of str
    order_of_position : int
        1 when x' is given by the memory and the gradient, 2 for x'' = ... (memory row 1 is x').
    jacobian : callable, optional
        ``jacobian(t, z, g, hessian, p) -> (r n, r n)`` of the flattened field, from the gradient and the
        Hessian at z[0]; used by stiff solvers. Without one these take differences of the field.
    needs_hessian : bool
        Whether ``rhs`` calls ``hv``; then a problem without Hessian product is a ValueError.
    energy : str
        Name of the Lyapunov function that belongs to the flow (:func:`odeopt.lyapunov`); "" for none.
    evaluations : callable, optional
        ``evaluations(n)``: gradients and Hessian products that ``rhs`` takes in n dimensions, where it is not 1.
    dim : int, optional
        The number of coordinates, for a field that takes no other (one on matrices of a fixed shape).
    """

    name: str
    equation: str
    rhs: Any
    constants: dict = field(default_factory=dict)
    slots: tuple = ()
    order_of_position: int = 1
    jacobian: Any = None
    needs_hessian: bool = False
    energy: str = ""
    evaluations: Any = None
    dim: Any = None

    def __post_init__(self):
        checks.takes("rhs", self.rhs, _SIGNATURE, _CONTRACT)
        machine_code.refresh(self.rhs, self.jacobian)
        for words in ("name", "equation", "energy"):
            checks.text(words, getattr(self, words))
        checks.choice("order_of_position", self.order_of_position, (1, 2))
        if not isinstance(self.constants, Mapping):
            raise TypeError(f"constants must be a dict of names and numbers, got {checks.shown(self.constants)}")
        if not isinstance(self.slots, (list, tuple)) or not all(isinstance(slot, str) for slot in self.slots):
            raise TypeError(f"slots must be a tuple of names, got {checks.shown(self.slots)}")
        if not all(isinstance(name, str) for name in self.constants):
            raise TypeError(f"constants must have names that are str, got {checks.shown(dict(self.constants))}")
        checks.switch("needs_hessian", self.needs_hessian)
        for name, part, signature in (("jacobian", self.jacobian, "jacobian(t, z, g, hessian, p)"),
                                      ("evaluations", self.evaluations, "evaluations(n)")):
            if part is not None:
                checks.takes(name, part, signature)
        if self.dim is not None:
            checks.integer("dim", self.dim, 1)
        constants = {name: checks.real(name, value) for name, value in self.constants.items()}
        object.__setattr__(self, "slots", tuple(self.slots))
        object.__setattr__(self, "constants", MappingProxyType(constants))

    @property
    def compiled(self):
        """Whether the field came out of numba's ``njit``."""
        return abi.is_compiled(self.rhs)

    @property
    def p(self):
        """The constants as the float64 vector that ``rhs`` takes (at least one element long); read-only."""
        return abi.read_only([*self.constants.values()] or [0.0])

    @property
    def rows(self):
        """Rows of z: one for the position and one per slot."""
        return 1 + len(self.slots)

    def cost(self, n):
        """Gradients and Hessian products in one evaluation of the field in ``n`` dimensions."""
        return 1 if self.evaluations is None else checks.integer("evaluations", self.evaluations(n), 1)

    def start(self, x):
        """The state z with position ``x`` and memory at rest (zeros)."""
        z = np.zeros((self.rows, np.size(x)))
        z[0] = x
        return z

    def state(self, name, value, dim):
        """A new state z from a point (dim,), with memory at rest, or from a whole state (rows, dim): finite, or one
        line about the argument ``name``. What enters a loop as z comes from here."""
        if checks.dimensions(value) == 2:
            return checks.array(name, value, (self.rows, dim), of=self.name)
        return self.start(checks.point(name, value, dim))

    def check(self, problem):
        """ValueError where the field needs what ``problem`` has not; TypeError where it leaves its arrays."""
        checked(problem)
        if self.dim not in (None, problem.dim):
            raise ValueError(f"problem must have {self.dim} unknowns for the flow {self.name!r}, got {problem.dim}")
        if self.needs_hessian:
            problem.need_hessian(f"the flow {self.name!r}")
        self.check_inside(problem)

    def check_inside(self, problem=None, name=None):
        """TypeError for a field that leaves its arrays; looked at once for each field, on two coordinates.

        One that reads the problem's data itself is looked at for each size of them, on all coordinates.
        """
        key = (self.rhs, self.rows, self.p.tobytes())  # a constant may be an index
        if key in _INSIDE:
            return
        if len(_INSIDE) >= _KEPT:
            _INSIDE.clear()
        try:
            self._try(name, _NO_DATA, self.dim or 2)
        except TypeError:
            if problem is None:
                raise
            key = (*key, problem.data.size, problem.dim)
            if key not in _INSIDE:
                self._try(name, problem.data, problem.dim)
        _INSIDE.add(key)

    def _try(self, name, data, n):
        z = np.full((self.rows, n), 0.5)
        given = checks.stays_inside(
            f"the field of {name or self.name} must stay inside its arrays, slots = {self.slots} and {self.p.size} "
            "constants", self.rhs, unit_gradient, unit_product, data, 1.0, self.p, z, np.zeros_like(z),
            reads="data p z [dz]")
        if isinstance(given, (np.ndarray, list, tuple)):
            raise TypeError(f"the field of {name or self.name} must be {_SIGNATURE}{_CONTRACT}; this one returns dz/dt")

    def field(self, problem, p=None):
        """``F(t, z) -> (rows, n) array`` for one problem, as a Python function.

        ``p`` may hold other constants; it is read at each call, so that a caller may move them.
        """
        self.check(problem)
        return _Field(self, problem, np.array(self.p) if p is None else checks.kept("p", p, self.p.shape))

    def __repr__(self):
        constants = ", ".join(f"{k}={v:.6g}" for k, v in self.constants.items())
        return f"<Flow {self.name}: {self.equation}{' | ' + constants if constants else ''}>"


class _Field:
    """A flow's field on one problem: :meth:`Flow.field`. Code of ours that is compiled takes ``first`` (the addresses
    of its kernels, if ``compiled``), ``data`` and ``p``."""

    def __init__(self, flow, problem, p):
        self.flow, self.problem, self.p = flow, problem, p  # they keep alive what the addresses point to
        self.shape, self.data = (flow.rows, problem.dim), problem.data
        self.compiled = bool(problem.compiled and flow.compiled)
        if self.compiled:
            self.first = (np.array([*abi.addresses(flow.rhs, abi.RHS), *abi.addresses(problem.fg, abi.FG),
                                     *abi.addresses(problem.hv, abi.HV)], dtype=np.int64),)
            self._evaluate = _compiled_evaluate()
        else:
            self.first, self._evaluate = (problem.fg, problem.hv), abi.interpreted(flow.rhs)

    def __reduce__(self):
        return _Field, (self.flow, self.problem, self.p)  # addresses are of this process

    def __call__(self, t, z):
        t, z = t if isinstance(t, float) else checks.real("t", t), checks.kept("z", z, self.shape)
        dz = np.zeros(self.shape)
        self._evaluate(*self.first, self.data, t, self.p, z, dz)
        return dz
