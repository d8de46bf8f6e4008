"""The objective as SciPy hands it over: value and gradient with counts, differences, bounds."""

import numpy as np
from scipy.optimize import HessianUpdateStrategy

from .. import checks

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
        if not callable(jac) and jac not in (None, True, False, *DIFFERENCES):
            raise ValueError(f"jac must be callable, True, None or one of {DIFFERENCES}, got {checks.shown(jac)}")
        self.function, self.args, self.jac = fun, args, jac or "2-point"
        self.hess, self.hessp = (part if callable(part) else None for part in (hess, hessp))
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
            return f, self._gradient(g, x)
        if callable(self.jac):
            return f, self._gradient(self.jac(x.copy(), *self.args), x)
        return f, self._differences(x, f)

    def product(self, x):
        """``v -> H(x) v``, by ``hessp``, ``hess`` or differences of gradients (v of length 1), which do not leave
        the bounds: beside one, H is taken a step inside, and variables fixed by theirs do not count."""
        if self.hessp is not None:

            def apply(v):
                self.nhev += 1
                return self._gradient(self.hessp(x.copy(), v.copy(), *self.args), x)

            return apply
        if self.hess is not None:
            self.nhev += 1
            matrix = self.hess(x.copy(), *self.args)
            return lambda v: self._gradient(np.asarray(matrix @ v), x)
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
        f, g = result if self.jac is True else (result, None)
        if checks.is_masked(f):
            raise TypeError("fun must return a real number, got a masked value")
        f = np.asarray(f)
        if f.size != 1 or f.dtype.kind not in "fiub":
            raise ValueError(f"fun must return a real number, got shape {f.shape} of {f.dtype}")
        return float(f.reshape(())[()]), g

    def _gradient(self, g, x):
        found = checks.real_numbers(g)
        if isinstance(found, str):
            raise TypeError(f"jac must return real numbers, got {found}")
        g = found.reshape(-1)
        if g.shape != x.shape:
            raise ValueError(f"jac must return shape {x.shape}, got {g.shape}")
        return g

    def _differences(self, x, f):
        g = np.empty_like(x)
        for i in range(x.size):
            if self.jac == "cs":
                shifted = x.astype(complex)
                shifted[i] += 1e-30j
                self.nfev += 1
                f = np.asarray(self.function(shifted, *self.args))
                if f.dtype.kind != "c":  # its imaginary part is gone, and the slope with it
                    raise TypeError(f"fun must return complex numbers of complex x with jac='cs', got {f.dtype}")
                g[i] = f.imag.reshape(()) / 1e-30
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


def limits(bounds, n):
    """``(lower, upper)`` of ``bounds`` as SciPy takes them: None, a ``Bounds``, or (min, max) pairs."""
    if bounds is None:
        return np.full(n, -np.inf), np.full(n, np.inf)
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        lower, upper = bounds.lb, bounds.ub
    else:
        pairs = list(bounds) if np.iterable(bounds) else []
        if len(pairs) != n or any(not np.iterable(pair) or len(pair) != 2 for pair in pairs):
            raise ValueError(f"bounds must be a Bounds or {n} (min, max) pairs, got {_short(bounds)}")
        lower = [-np.inf if low is None else low for low, _ in pairs]
        upper = [np.inf if high is None else high for _, high in pairs]
    try:
        lower, upper = (np.array(np.broadcast_to(np.asarray(side, dtype=float), n)) for side in (lower, upper))
    except (TypeError, ValueError):
        raise ValueError(f"bounds must be {n} real numbers or None on either side, got {_short(bounds)}") from None
    if np.isnan(lower).any() or np.isnan(upper).any() or (lower > upper).any():
        raise ValueError("bounds must have min <= max for every variable")
    return lower, upper


def _short(value):
    return " ".join(repr(value).split())[:80]


def start(x0):
    """``x0`` as SciPy takes it: a number or a vector."""
    if not np.iterable(x0):
        x0 = [x0]
    return checks.point("x0", x0)
