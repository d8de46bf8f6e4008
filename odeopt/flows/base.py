"""``Flow``: a vector field on (position, memory), the thing that an optimizer discretises."""

import functools
from dataclasses import dataclass, field

import numpy as np

from .. import abi, checks

_INSIDE = set()  # (field, rows, constants) that stay inside their arrays


def _evaluate(kernels, data, t, p, z, dz):
    rhs = abi.rhs_at(kernels[0], kernels[1])
    fg, hv = abi.fg_at(kernels[2], kernels[3]), abi.hv_at(kernels[4], kernels[5])
    rhs(fg, hv, data, t, p, z, dz)


@functools.cache
def _compiled_evaluate():
    """One compiled entry for every (flow, problem)."""
    return abi.kernel(_evaluate, abi.NOTHING(abi.INDICES, abi.VECTOR, abi.REAL, abi.VECTOR, abi.MATRIX, abi.MATRIX))


def _unit_gradient(x, g, data):
    g[:] = 1.0
    return 1.0


def _unit_product(x, v, out, data):
    out[:] = v


@dataclass(frozen=True, eq=False, repr=False)
class Flow:
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
    constants : dict of str to float
        Flow constants in the order in which ``rhs`` reads them from ``p``. Times are flow time.
    slots : tuple of str
    order_of_position : int
        1 when x' is given by the memory and the gradient, 2 for x'' = ... (memory row 1 is x').
    jacobian : callable, optional
        ``jacobian(t, z, g, hessian, p) -> (r n, r n)`` of the flattened field, from the gradient and the
        Hessian at z[0]; used by stiff solvers. Without one these take differences of the field.
    needs_hessian : bool
        Whether ``rhs`` calls ``hv``; then a problem without Hessian product is a ValueError.
    """

    name: str
    equation: str
    rhs: object
    constants: dict = field(default_factory=dict)
    slots: tuple = ()
    order_of_position: int = 1
    jacobian: object = None
    needs_hessian: bool = False

    @property
    def p(self):
        """The constants as the float64 vector that ``rhs`` takes (at least one element long)."""
        return np.array([*self.constants.values()] or [0.0])

    @property
    def rows(self):
        """Rows of z: one for the position and one a slot."""
        return 1 + len(self.slots)

    def start(self, x):
        """The state z with position ``x`` and memory at rest (zeros)."""
        z = np.zeros((self.rows, np.size(x)))
        z[0] = x
        return z

    def check(self, problem):
        """ValueError where the field needs what ``problem`` has not; TypeError where it leaves its arrays."""
        if self.needs_hessian:
            problem.need_hessian(f"the flow {self.name!r}")
        self.check_inside(problem.data)

    def check_inside(self, data=None, name=None):
        """TypeError for a field that leaves its arrays; looked at once for each field, on two coordinates."""
        key = (self.rhs, self.rows, self.p.size)
        if key not in _INSIDE:
            z, data = np.full((self.rows, 2), 0.5), np.zeros(1) if data is None else data
            checks.stays_inside(
                f"the field of {name or self.name} must stay inside its arrays, slots = {self.slots} and {self.p.size} "
                "constants", self.rhs, _unit_gradient, _unit_product, data, 1.0, self.p, z, np.zeros_like(z))
            _INSIDE.add(key)

    def field(self, problem, p=None):
        """``F(t, z) -> (rows, n) array`` for one problem, as a Python function.

        ``p`` may hold other constants; it is read at each call, so that a caller may move them.
        """
        self.check(problem)
        p, data, fg, hv = self.p if p is None else p, problem.data, problem.fg, problem.hv
        if not problem.compiled:

            def fun(t, z):
                dz = np.zeros_like(z)
                self.rhs.py_func(fg, hv, data, t, p, z, dz)
                return dz

            return fun
        kernels = np.array([*abi.addresses(self.rhs, abi.RHS), *abi.addresses(fg, abi.FG),
                            *abi.addresses(hv, abi.HV)], dtype=np.int64)
        evaluate = _compiled_evaluate()

        def fun(t, z, _alive=(self.rhs, fg, hv)):
            dz = np.zeros_like(z)
            evaluate(kernels, data, t, p, np.ascontiguousarray(z), dz)
            return dz

        return fun

    def __repr__(self):
        constants = ", ".join(f"{k}={v:.6g}" for k, v in self.constants.items())
        return f"<Flow {self.name}: {self.equation}{' | ' + constants if constants else ''}>"
