"""Dahlquist's test equation z' = c z with complex c, many at once: the flow that stability regions are drawn on.

The plane is two real rows of numbers: column 2 i of z is the real part and column 2 i + 1 the
imaginary part for the i-th coefficient, and the coefficients lie in the same way in the problem's
``data`` (``linear_test_problem``). One step of a scheme with h = 1 from z = 1 then leaves the
stability function R(c_i) in the columns.

Source: Hairer, Wanner, Solving Ordinary Differential Equations II, section IV.2.
"""

import numpy as np

from .. import checks
from ..abi import kernel
from ..problems import Problem
from ..problems.base import checked
from ..spec import factory
from .base import Flow


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (real and imaginary parts by turns); no gradient is taken."""
    for i in range(z.shape[1] // 2):
        a, b = data[2 * i], data[2 * i + 1]
        re, im = z[0, 2 * i], z[0, 2 * i + 1]
        dz[0, 2 * i] = a * re - b * im
        dz[0, 2 * i + 1] = a * im + b * re


@kernel
def _nothing(x, g, data):
    g[:] = 0.0
    return 0.0


class _LinearTest(Flow):
    def check(self, problem):
        if checked(problem).fg is not _nothing:
            raise ValueError(f"problem must be a linear_test_problem for {self.name}, got {problem!r}")
        super().check(problem)


@factory
def linear_test_flow():
    """z' = c z, with c from the data of :func:`linear_test_problem`, and on no other problem (ValueError)."""
    return _LinearTest("linear test equation", "z' = c z", rhs)


def linear_test_problem(coefficients):
    """The data of the test equation for complex ``coefficients`` (n,), starting at z = 1."""
    c = np.asarray(coefficients)
    if checks.is_masked(coefficients) or c.ndim > 1 or c.dtype.kind not in "iufc" or not (
            c.size and np.isfinite(c).all()):
        raise ValueError("coefficients must be a vector of finite complex numbers, at least one, "
                         f"got {checks.shown(coefficients)}")
    c = np.array(c, dtype=np.complex128).ravel()
    return Problem.from_kernels("linear test equation", _nothing, None, dim=2 * c.size, data=c.view(np.float64),
                                x0=np.tile((1.0, 0.0), c.size))
