"""Schedules: hyperparameters as functions of the step."""

from dataclasses import dataclass

import numpy as np

from .abi import kernel


@kernel
def _constant(k, base, c):  # noqa: ARG001 - SCHEDULE signature
    """base."""
    return base


@dataclass(frozen=True)
class Schedule:
    """``value = kernel(k, base, constants)`` for one hyperparameter.

    ``drives`` names the hyperparameter; ``base`` is its value in the optimizer. ``k`` is real, so
    that the same kernel serves the continuous flow.
    """

    name: str
    kernel: object
    constants: tuple = ()
    drives: str = "lr"

    @property
    def c(self):
        """The constants as the vector that the kernel takes."""
        return np.array(self.constants or (0.0,), dtype=np.float64)

    def __call__(self, k, base=1.0):
        """The value at step ``k`` (a number or an array)."""
        values = [self.kernel(float(i), float(base), self.c) for i in np.atleast_1d(k)]
        return np.array(values) if np.ndim(k) else values[0]


def constant(drives="lr"):
    """The hyperparameter as it is."""
    return Schedule("constant", _constant, (), drives)
