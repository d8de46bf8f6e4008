"""The objective as SciPy hands it over: value and gradient with counts, differences, bounds."""

from typing import Any

import numpy as np
from scipy.optimize import HessianUpdateStrategy
from scipy.sparse import issparse
from scipy.sparse.linalg import LinearOperator

from .. import checks, machine_code

DIFFERENCES = ("2-point", "3-point", "cs")
_EPS = float(np.finfo(float).eps)


class Objective:
    """Value, gradient and Hessian product of ``fun(x, *args)``, counting what was evaluated.

    Parameters
    ----------
    fun : callable
    args : tuple
    jac : callable, True, None, False or one of "2-point", "3-point", "cs"
        True: ``fun`` returns ``(f, gradient)``. None, False: as "2-point".
    hess, hessp : callable, optional
        Used for ``lr="auto"`` only.
    bounds : (lower, upper) arrays
        Finite differences do not leave them.

    The callables get copies of x, so nothing that they do to it reaches the run.
    """

    def __init__(self, fun, args, jac, hess, hessp, bounds):
        if not callable(fun):
            raise TypeError(f"fun must be callable, got {checks.shown(fun)}")
        for name, part in (("hess", hess), ("hessp", hessp)):
            if isinstance(part, HessianUpdateStrategy) or (isinstance(part, str) and part in DIFFERENCES):
                part = None  # SciPy's ways of having none
            if part is not None and not callable(part):
                raise TypeError(f"{name} must be callable, got {checks.shown(part)}")
        if isinstance(jac, np.bool_):
            jac = bool(jac)
        if not (callable(jac) or jac is None or isinstance(jac, bool) or isinstance(jac, str) and jac in DIFFERENCES):
            raise ValueError(f"jac must be callable, True, None or one of {DIFFERENCES}, got {checks.shown(jac)}")
        if jac is None or jac is False:
            jac = "2-point"
        machine_code.refresh(fun, jac, hess, hessp)
        self.function, self.args, self.jac = fun, args, jac
        self.hess: Any = hess if callable(hess) else None
        self.hessp: Any = hessp if callable(hessp) else None
        self.lower, self.upper = bounds
        self.nfev = self.njev = self.nhev = 0
        self._last = None  # (x, what fun returned): a line search asks again for the point it accepted

    def value(self, x):
        """f(x)."""
        return self._split(x)[0]

    def value_and_grad(self, x):
        """``(f, gradient)``; a new gradient array."""
        f, g = self._split(x)
        self.njev += 1
        if self.jac is True:
            return f, _vector("jac", g, x)
        if callable(self.jac):
            return f, _vector("jac", self.jac(x.copy(), *self.args), x)
        return f, self._differences(x, f)

    def product(self, x):
        """``v -> H(x) v``, by ``hessp``, ``hess`` or differences of gradients (v of length 1), which do not leave
        the bounds: beside one, H is taken a step inside, and variables fixed by theirs do not count."""
        if self.hessp is not None:

            def apply(v):
                self.nhev += 1
                return _vector("hessp", self.hessp(x.copy(), v.copy(), *self.args), x)

            return apply
        if self.hess is not None:
            self.nhev += 1
            matrix = _matrix(self.hess(x.copy(), *self.args), x.size)
            return lambda v: _vector("hess", matrix @ v, x)
        # Forward differences of a gradient that is itself a difference need a longer step.
        step = (1e-6 if self.jac is True or callable(self.jac) else 1e-3) * (1 + np.abs(x).max())
        free = self.lower < self.upper
        step = min(step, np.min(0.5 * (self.upper - self.lower), where=free, initial=np.inf))
        inside = np.where(free, np.minimum(np.maximum(x, self.lower + step), self.upper - step), x)
        g = self.value_and_grad(inside)[1]

        def difference(v):
            moved = np.minimum(np.maximum(inside + step * v, self.lower), self.upper)
            return np.where(free, (self.value_and_grad(moved)[1] - g) / step, 0.0)

        return difference

    def _split(self, x):
        if self._last is None or not np.array_equal(self._last[0], x):
            self.nfev += 1
            self._last = (x.copy(), self.function(x.copy(), *self.args))
        result = self._last[1]
        if self.jac is not True:
            return _number(result), None
        if not isinstance(result, (tuple, list, np.ndarray)) or np.ma.isMaskedArray(result) or (
                result.shape != (2,) if isinstance(result, np.ndarray) else len(result) != 2):
            raise TypeError(f"fun must return a pair (f, gradient) with jac=True, got {_word(result)}")
        return _number(result[0]), result[1]

    def _differences(self, x, f):
        g = np.empty_like(x)
        for i in range(x.size):
            if self.jac == "cs":
                shifted = x.astype(complex)
                shifted[i] += 1e-30j
                self.nfev += 1
                f = self.function(shifted, *self.args)
                if checks.dimensions(f) and np.size(f) == 1 and not checks.is_masked(f):  # pyright: ignore[reportArgumentType]
                    f = np.asarray(f).reshape(-1)[0]
                if not isinstance(f, (complex, np.complexfloating)):  # its imaginary part is gone, and the slope
                    raise TypeError(f"fun must return complex numbers of complex x with jac='cs', got {_word(f)}")
                g[i] = f.imag / 1e-30
                continue
            h = (_EPS ** (1 / 3) if self.jac == "3-point" else _EPS**0.5) * max(1.0, abs(x[i]))
            down, up = x[i] - self.lower[i], self.upper[i] - x[i]
            if self.jac == "3-point" and min(down, up) >= h:
                (above, da), (below, db) = self._shifted(x, i, h), self._shifted(x, i, -h)
                g[i] = (above - below) / (da - db)
                continue
            h = min(h, max(down, up))
            side = 1 if up >= h else -1
            if h == 0.0:  # a variable fixed by its bounds does not move
                g[i] = 0.0
                continue
            far, d = self._shifted(x, i, side * h)
            if self.jac == "3-point":  # beside a bound: one-sided, of second order as well
                near, d2 = self._shifted(x, i, side * h / 2)
                g[i] = ((near - f) * d / d2 - (far - f) * d2 / d) / (d - d2)
            else:
                g[i] = (far - f) / d
        return g

    def _shifted(self, x, i, h):
        """f with coordinate i moved by h, and by how much it has moved."""
        moved = x.copy()
        moved[i] = min(max(x[i] + h, self.lower[i]), self.upper[i])
        return self.value(moved), moved[i] - x[i]


def _number(f):
    """What ``fun`` returned as a float (NaN and inf are the run's affair)."""
    if type(f) is float:
        return f
    if isinstance(f, bool) or getattr(f, "dtype", None) == np.bool_:
        f = f * 1.0
    found = checks.real_numbers([f])
    if isinstance(found, str) or found.size != 1:
        hint = "; jac=True says that its gradient comes with it" if isinstance(f, tuple) and len(f) == 2 else ""
        raise (TypeError if isinstance(found, str) else ValueError)(
            f"fun must return a real number, got {_word(f)}{hint}")
    return float(found.reshape(()))


def _reals(name, value):
    """What ``name`` returned as a new float64 array."""
    found = checks.real_numbers(value)
    if isinstance(found, str):
        raise TypeError(f"{name} must return real numbers, got {found if found.endswith(' values') else _word(value)}")
    return found


def _vector(name, value, x):
    """What ``name`` returned as a new vector as long as x; one row or column will do."""
    found = _reals(name, value)
    if found.size != x.size or max(found.shape, default=1) != x.size:
        raise ValueError(f"{name} must return shape {x.shape}, got {found.shape}")
    return found.reshape(-1)


def _matrix(value, n):
    """What ``hess`` returned, as what can be multiplied by a vector."""
    if not (issparse(value) or isinstance(value, LinearOperator)):
        found = _reals("hess", value)
        value = found.reshape(1, 1) if n == found.size == 1 else found
    if value.shape != (n, n):
        raise ValueError(f"hess must return shape ({n}, {n}), got {value.shape}")
    return value


def _word(value):
    """What came instead of numbers, in a word or two."""
    if value is None:
        return "None"
    if np.ma.isMaskedArray(value) or isinstance(value, np.ma.core.MaskedConstant):
        return "a masked value"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of length {len(value)}"
    if isinstance(value, np.ndarray):
        return f"shape {value.shape} of {value.dtype}"
    return f"{checks.shown(value)} ({type(value).__name__})"


def limits(bounds, n):
    """``(lower, upper)`` of ``bounds`` as SciPy takes them: None, a ``Bounds``, or (min, max) pairs."""
    if bounds is None:
        return np.full(n, -np.inf), np.full(n, np.inf)
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        lower, upper = bounds.lb, bounds.ub
    else:
        pairs = list(bounds) if isinstance(bounds, (list, tuple)) or type(bounds) is np.ndarray and bounds.ndim else []
        if len(pairs) != n or not all(isinstance(pair, (list, tuple)) and len(pair) == 2
                                      or type(pair) is np.ndarray and pair.shape == (2,) for pair in pairs):
            raise ValueError(f"bounds must be a Bounds or {n} (min, max) pairs, got {checks.shown(bounds)}")
        lower, upper = ([_end(pair[side], free) for pair in pairs] for side, free in ((0, -np.inf), (1, np.inf)))
    lower, upper = checks.real_numbers(lower), checks.real_numbers(upper)
    if any(isinstance(side, str) or side.size not in (1, n) for side in (lower, upper)):
        raise ValueError(f"bounds must be {n} real numbers or None on either side, got {checks.shown(bounds)}")
    lower, upper = (np.array(np.broadcast_to(np.reshape(side, -1), n)) for side in (lower, upper))
    if not (lower <= upper).all() or (lower == np.inf).any() or (upper == -np.inf).any():
        raise ValueError("bounds must have min <= max, and a number between them, for every variable")
    return lower, upper


def _end(value, free):
    """One end of a pair: ``free`` for None, the entry of an array of one."""
    if value is None:
        return free
    return value.reshape(())[()] if type(value) is np.ndarray and value.size == 1 else value


def start(x0):
    """``x0`` as SciPy takes it: a number or a vector."""
    if not np.iterable(x0):
        x0 = [checks.real("x0", x0)]
    return checks.point("x0", x0)
