"""Sums of squares, f = |r(x)|^2 / 2, with the curvature of Gauss and Newton: J'J in the place of the Hessian."""

import numpy as np

from .. import checks
from ..abi import is_compiled
from .base import Problem


def least_squares(residuals, jacobian, x0, *, minima=(), f_min=None, window=None, name=None):
    """A problem f(x) = |r(x)|^2 / 2 from its residuals and their Jacobian J.

    Gradient J'r. The Hessian product is J'(J v), without the terms r_i r_i'' of the Hessian: positive semidefinite
    everywhere, and exact where r is linear or zero. Levenberg and Marquardt's method is
    ``schemes.linearly_implicit_euler`` on it. Studies of modified flows need the true Hessian, and
    ``Problem.check`` shows the difference.

    Parameters
    ----------
    residuals : callable
        ``residuals(x) -> (m,) array``, plain Python or compiled by ``numba.njit`` (then so must ``jacobian`` be).
    jacobian : callable
        ``jacobian(x) -> (m, n) array``.
    x0 : (n,) array
    minima, f_min, window, name
        As for :class:`Problem`.

    Raises
    ------
    TypeError
        An argument that should be callable and is not, or that does not return real numbers.
    ValueError
        Residuals that are not a vector at ``x0``, or a Jacobian of another shape than (m, n).
    """
    for label, part in (("residuals", residuals), ("jacobian", jacobian)):
        if not callable(part):
            raise TypeError(f"{label} must be callable, got {checks.shown(part)}")
    if name is not None:
        checks.text("name", name)
    x0 = checks.point("x0", x0)
    rows = _real("residuals", residuals(x0.copy()))
    if rows.ndim != 1:
        raise ValueError(f"residuals must return a vector, got shape {rows.shape}")
    found = _real("jacobian", jacobian(x0.copy()))
    if found.shape != (rows.size, x0.size):
        raise ValueError(f"jacobian must return shape {(rows.size, x0.size)}, got {found.shape}")
    parts = _value, _gradient, _product
    if is_compiled(residuals) and is_compiled(jacobian):
        from numba import njit

        functions = [njit(error_model="numpy", nogil=True)(make(residuals, jacobian)) for make in parts]
    else:
        functions = [make(residuals, jacobian) for make in parts]
    fun, grad, hessp = functions
    return Problem(fun, grad, x0=x0, hessp=hessp, minima=minima, f_min=f_min, window=window,
                   name=name or getattr(residuals, "__name__", "least squares"))


def _real(name, value):
    found = checks.real_numbers(value)
    if isinstance(found, str):
        raise TypeError(f"{name} must return real numbers, got {found}")
    return found


def _value(residuals, jacobian):
    def fun(x):
        return 0.5 * np.sum(residuals(x) ** 2)

    return fun


def _gradient(residuals, jacobian):
    def grad(x):
        return np.dot(np.transpose(jacobian(x)), residuals(x))

    return grad


def _product(residuals, jacobian):
    def hessp(x, v):
        j = jacobian(x)
        return np.dot(np.transpose(j), np.dot(j, v))

    return hessp
