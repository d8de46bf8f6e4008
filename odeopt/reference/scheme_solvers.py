"""The solver classes of :func:`odeopt.interop.solver_class` for a scheme on whatever field SciPy hands over."""

import copyreg
import numbers
import sys
import warnings
from typing import Any

import numpy as np
from scipy.integrate import DenseOutput, OdeSolver

from .. import checks, machine_code
from ..abi import interpreted
from ..engine.record import CONTROLLERS
from ..schemes import dormand_prince, explicit_euler, runge_kutta
from ..schemes.base import LEAST_ATOL

# Of Dormand and Prince's continuous extension of order 4, weights of the stages in the term that it
# has beside the cubic (Hairer, Norsett, Wanner I, section II.6: the d_i of their code DOPRI5).
_DENSE = np.array([-12715105075 / 11282082432, 0.0, 87487479700 / 32700410799, -10690763975 / 1880347072,
                   701980252875 / 199316789632, -1453857185 / 822651844, 69997945 / 29380423])


def tableau(scheme: Any) -> Any:
    """``(a, b, e)`` of an explicit Runge-Kutta scheme (e: weights of the error estimate), or None."""
    if scheme is explicit_euler:
        return np.zeros((1, 1)), np.ones(1), np.zeros(1)
    if scheme is None or scheme.step is not runge_kutta.step:
        return None
    s = scheme.stages
    a, b, e, _ = np.split(np.array(scheme.constants), np.cumsum([s * s, s, s]))
    return a.reshape(s, s), b, e


def _tolerance(name, value):
    """``value`` as an array of numbers >= 0, also where a method has no use for it."""
    try:
        if np.iscomplexobj(value) or np.ma.isMaskedArray(value):
            raise TypeError
        array = np.array(value, dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"`{name}` must be a real number or a vector of them, got {type(value).__name__}") from None
    wrong = array[~(np.isfinite(array) & (array >= 0))]
    if wrong.size:
        raise ValueError(f"`{name}` must be finite and not negative, got {wrong[0]:g}")
    return array


def _length(name, value):
    """A step as a float: positive, or for the least one 0; the largest may be infinite."""
    if name == "max_step" and isinstance(value, numbers.Real) and value == np.inf:
        return np.inf
    return checks.real(f"`{name}`", value, 0.0, open_low=name != "min_step")


class Hermite(DenseOutput):
    """Cubic through the values and slopes at both ends, plus ``bump`` s^2 (1 - s)^2."""

    def __init__(self, t_old, t, y_old, y, f_old, f, bump=0.0):
        super().__init__(t_old, t)
        self.values = y_old, y, f_old, f, np.broadcast_to(bump, np.shape(y))

    def _call_impl(self, t):
        y0, y1, f0, f1, bump = (v if np.ndim(t) == 0 else v[:, None] for v in self.values)
        h = self.t - self.t_old
        s = (t - self.t_old) / h
        r = 1 - s
        return r * y0 + s * y1 + s * r * ((s - r) * (y1 - y0) + h * (r * f0 - s * f1) + s * r * bump)


class _Made(type):
    """Of solver classes: one that was made of a method goes to other processes as what it was made of."""


def _sent(cls):
    if getattr(sys.modules.get(cls.__module__), cls.__qualname__, None) is cls:
        return cls.__qualname__
    return _Made, (cls.__name__, cls.__bases__, dict(vars(cls)))


copyreg.pickle(_Made, _sent)


class SchemeSolver(OdeSolver, metaclass=_Made):
    """One of our schemes on the field that SciPy hands over."""

    scheme: Any = None
    rows, complex = 1, False

    def __init__(self, fun, t0, y0, t_bound, vectorized=False, **options):
        machine_code.refresh(fun)
        for name in options.keys() & {"rtol", "atol", "step", "first_step", "max_step", "min_step"}:
            if name.endswith("tol"):
                _tolerance(name, options[name])
            elif options[name] is not None:
                options[name] = _length(name, options[name])
        given = {name: options.pop(name) for name in self._options() if name in options}
        if options:
            warnings.warn("The following arguments have no effect for a chosen solver: "
                          f"{', '.join(f'`{name}`' for name in options)}.", UserWarning, stacklevel=4)
        super().__init__(fun, t0, y0, t_bound, vectorized, support_complex=self.complex)
        if self.n % self.rows:
            raise ValueError(f"y0 must have {self.rows} rows, got length {self.n}")
        given = {name: value for name, value in given.items() if value is not None}
        self.max_step, self.min_step = given.get("max_step", np.inf), given.get("min_step", 0.0)
        if not 0 <= self.min_step <= self.max_step:
            raise ValueError("`min_step` must be in [0, max_step].")
        first, length = given.get("first_step"), abs(t_bound - t0)
        if first is not None and length and first > length:
            raise ValueError("`first_step` exceeds bounds.")
        self.adaptive = self._error_controlled()
        if self.adaptive:
            self._tolerances(*(given.get(name, value) for name, value in zip(("rtol", "atol"), self._default_tol())))
            self.h_abs = self._default_first_step() if first is None else first  # None: found at the first step
            self.errors = (1.0, 1.0)
        else:
            step = given["step"] if "step" in given else self._default_step(length)
            self.step_abs = min(self.max_step, max(self.min_step, step))
            if not np.isfinite(self.step_abs):
                raise ValueError("`step` must be given for an infinite interval.")
            self.h_abs = self.step_abs if first is None else min(self.max_step, max(self.min_step, first))
            self._grid = (t0, 0)  # equal steps end at t + j h: no drift of t
        self._known = {}
        self._prepare(t0, y0)

    # What the other kinds of method replace -----------------------------------------------------

    def _options(self):
        return ("first_step", "max_step", "min_step", *(("rtol", "atol") if self._error_controlled() else ("step",)))

    def _error_controlled(self):
        return self.scheme.embedded_order > 0

    def _default_tol(self):
        return 1e-3, 1e-6

    def _default_first_step(self):
        return None

    def _default_step(self, length):
        return length / 100 or 1.0

    def _prepare(self, t0, y0):
        self._p = self.scheme.parameters(_NoFlow)
        self._w = self.scheme.workspace(np.empty((self.rows, self.n // self.rows)))

    def _advance(self, t, y, h):
        """A new state one step further, flattened."""
        z = np.array(y, dtype=float).reshape(self.rows, -1)
        interpreted(self.scheme.step)(self._field, None, None, None, self._p, t, h, z, self._w)
        return z.ravel()

    def _estimate(self):
        """The error estimate of the step just tried."""
        return self._w[: self.rows].ravel()

    def _evaluate(self, t, y):
        """The field at a point inside the interval (t + h may pass its end by a rounding error)."""
        return self.fun(self.t_bound if self.direction * (t - self.t_bound) > 0 else t, y)

    def _field(self, fg, hv, data, t, p, z, dz):
        dz[:] = self._evaluate(t, z.ravel()).reshape(dz.shape)

    def _stages(self):
        """The stages (s, n) of the step just done, where the scheme is an explicit Runge-Kutta one."""
        return None

    # Steps ---------------------------------------------------------------------------------------

    def _tolerances(self, rtol, atol):
        least = 100 * np.finfo(float).eps
        rtol, atol = _tolerance("rtol", rtol), _tolerance("atol", atol)
        if np.any(rtol < least):
            warnings.warn("At least one element of `rtol` is too small. "
                          f"Setting `rtol = np.maximum(rtol, {least:.3g})`.", UserWarning, stacklevel=5)
        for name, value in (("rtol", rtol), ("atol", atol)):
            if value.ndim > 0 and value.shape != (self.n,):
                raise ValueError(f"`{name}` has wrong shape.")
        self.rtol, self.atol = np.maximum(rtol, least), np.maximum(atol, LEAST_ATOL)

    def _norm(self, v):
        return np.sqrt(np.mean(np.abs(v) ** 2)) if self.n else 0.0

    def _first_step(self):
        """Hairer, Norsett, Wanner I, section II.4: from the sizes of y, y' and a difference for y''."""
        t, y, length = self.t, self.y, abs(self.t_bound - self.t)
        if self.n == 0:
            return length if np.isfinite(length) else 1.0
        scale = self.atol + np.abs(y) * self.rtol
        f = self._slope(t, y)
        with np.errstate(all="ignore"):
            d0, d1 = self._norm(y / scale), self._norm(f / scale)
            h0 = min(length, 1e-6 if not (d0 >= 1e-5 and d1 >= 1e-5) else 0.01 * d0 / d1)
            d2 = self._norm((self._evaluate(t + self.direction * h0, y + self.direction * h0 * f) - f) / scale) / h0
        largest = max(d1, d2)
        h1 = max(1e-6, 1e-3 * h0) if largest <= 1e-15 else (0.01 / largest) ** (1 / (self.scheme.embedded_order + 1))
        return min(100 * h0, h1 if h1 > 0 else h0, length)  # largest may be inf or NaN

    def _step_impl(self):
        t, y = self.t, self.y
        if self.h_abs is None:
            self.h_abs = self._first_step()
        least = max(self.min_step, 10 * abs(np.nextafter(t, self.direction * np.inf) - t))
        h_abs = min(max(self.h_abs, least), self.max_step)
        while True:
            t_new, h = self._plan(t, h_abs)
            with np.errstate(all="ignore"):
                new = self._advance(t, y, h)
                accepted, factor = self._judge(y, new) if self.adaptive else (True, 1.0)
            if accepted:
                break
            h_abs = abs(h) * factor
            if h_abs < least:
                return False, self.TOO_SMALL_STEP
        if not np.isfinite(new).all():
            return False, f"The state is not finite at t = {t + h:.6g}."
        if self.adaptive:
            self.h_abs = abs(h) * factor
        else:
            self.h_abs, (anchor, count) = self.step_abs, self._grid
            self._grid = (anchor, count + 1) if h_abs == self.step_abs else (t_new, 0)
        self.y_old, self.t, self.y = y, t_new, new
        return True, None

    def _plan(self, t, h_abs):
        """(end of the step, its signed length)."""
        remaining = abs(self.t_bound - t)
        if self.adaptive:
            # No sliver at the end: the last step is up to a thousandth longer, or where it may not be, two of half.
            near = h_abs >= remaining * (1 - 1e-3)
            last = near and remaining <= max(h_abs, self.max_step)
            h = self.direction * (remaining if last else remaining / 2 if near else h_abs)
            return (self.t_bound if last else t + h), h
        anchor, count = self._grid
        t_new = anchor + self.direction * (count + 1) * h_abs if h_abs == self.step_abs else t + self.direction * h_abs
        beyond = self.direction * (t_new - self.t_bound)
        if beyond > 1e-9 * h_abs:
            return self.t_bound, self.t_bound - t
        return (self.t_bound if beyond >= -1e-9 * h_abs else t_new), self.direction * h_abs

    def _judge(self, old, new):
        """(accepted, factor of the next step): PI control as in ``odeopt.record``."""
        scale = self.atol + self.rtol * np.maximum(np.abs(old), np.abs(new))
        error = self._norm(self._estimate() / scale)
        b1, b2, _, safety, smallest, largest = CONTROLLERS["PI"]
        order = self.scheme.embedded_order + 1
        if not np.isfinite(error):
            return False, smallest
        accepted, e = error <= 1.0, max(error, 1e-10)
        factor = safety * e ** (-b1 / order) * (self.errors[0] ** (-b2 / order) if accepted else 1.0)
        factor = min(largest, max(smallest, factor))
        if accepted:
            self.errors = (e, self.errors[0])
        return accepted, factor if accepted else min(factor, 0.9)

    # Dense output ----------------------------------------------------------------------------------

    def _slope(self, t, y):
        """The field at a point that this solver has reached; evaluated once."""
        if t not in self._known:
            self._known = {t: self._evaluate(t, y)}
        return self._known[t]

    def _dense_output_impl(self):
        stages, bump = self._stages(), 0.0
        if stages is None:
            f_old = self._slope(self.t_old, self.y_old)
            return Hermite(self.t_old, self.t, self.y_old, self.y, f_old, self._slope(self.t, self.y))
        a, b, _ = tableau(self.scheme)
        f_old, f = stages[0].copy(), stages[-1].copy() if _first_same_as_last(a, b) else self._slope(self.t, self.y)
        if self.scheme is dormand_prince:
            bump = (self.t - self.t_old) * (_DENSE @ stages)
        return Hermite(self.t_old, self.t, self.y_old, self.y, f_old, f, bump)


def _first_same_as_last(a, b):
    return len(b) > 1 and np.array_equal(a[-1], b)


class RungeKuttaSolver(SchemeSolver):
    """An explicit Runge-Kutta scheme over whole arrays; evaluates no point twice."""

    complex = True

    def _prepare(self, t0, y0):
        self._a, self._b, self._e = tableau(self.scheme)
        c = self._a.sum(axis=1)
        self._c = np.where(abs(c - 1) < 1e-12, 1.0, c)
        self._same = _first_same_as_last(self._a, self._b)
        self._k = np.zeros((len(self._b), self.n), dtype=self.y.dtype)

    def _advance(self, t, y, h):
        k, a = self._k, self._a
        k[0] = self._slope(t, y)
        stage = y
        for i in range(1, len(k)):
            stage = y + h * (a[i, :i] @ k[:i])
            k[i] = self._evaluate(t + self._c[i] * h, stage)
        self._error = h * (self._e @ k)
        return stage if self._same else y + h * (self._b @ k)

    def _estimate(self):
        return self._error

    def _stages(self):
        return self._k

    def _step_impl(self):
        done = super()._step_impl()
        if done[0] and self._same:
            self._known = {self.t: self._k[-1].copy()}
        return done


class _NoFlow:
    """A Scheme's parameters without constants of a flow."""

    p = np.array([0.0])
