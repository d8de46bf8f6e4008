"""``solver_class``: the package's schemes and optimizers as methods of SciPy's ``solve_ivp``."""

import functools
import warnings

import numpy as np
from scipy.integrate import DenseOutput, OdeSolver

from .. import abi
from ..optimizers import Optimizer
from ..record import CONTROLLERS
from ..schemes import Discretization, Scheme


def solver_class(method, problem=None, *, rows=1, start="cold"):
    """A class for ``solve_ivp(fun, span, y0, method=...)``.

    Parameters
    ----------
    method : Scheme, Discretization or Optimizer
        - Scheme: integrates whatever ``fun`` it is given, like SciPy's own methods. Partitioned
          schemes (semi-implicit Euler, Störmer-Verlet) need ``rows``.
        - Discretization: its scheme on its flow with its step, compiled.
        - Optimizer: its own update, one gradient a step; the last step, which must land on the end
          of the interval, is a shorter step of its scheme on its flow.
    problem : Problem
        Required for a Discretization and an Optimizer: SciPy hands over the field, not the
        gradient. ``fun`` must be that flow's field, and is compared with it at the start.
    rows : int, default 1
        For a Scheme: y is a (rows, n) state, flattened: position, then memory.
    start : {"cold", "consistent"}
        For an Optimizer: which slots belong to ``y0``.

    Returns
    -------
    type
        A subclass of ``scipy.integrate.OdeSolver``. Options of ``solve_ivp`` that it takes:
        ``step`` (step of a Scheme without error control; default a hundredth of the interval),
        ``first_step``, ``max_step``, ``min_step``, ``rtol`` and ``atol`` (embedded schemes accept
        and reject by them; an array ``atol`` is allowed). Others draw SciPy's warning.

    Raises
    ------
    TypeError, ValueError
        Here: another kind of method, a problem missing or too many. From ``solve_ivp``: a field
        that is not the method's flow; ``y0`` that is not the optimizer's start; an interval run
        backwards by an Optimizer; a scheme that needs the Hessian, without a problem.

    Notes
    -----
    ``nfev`` counts evaluations of the field by a Scheme (and dense output, one more a step), and of
    the gradient by the other two. Dense output is the cubic Hermite interpolant, of order 3: below
    the order of RK4 and Dormand-Prince, so for those ``t_eval`` points inside long steps are less
    accurate than the steps themselves. A state that is not finite ends the run with ``status`` -1.
    """
    if isinstance(method, Scheme):
        if problem is not None:
            raise ValueError("problem must be None for a Scheme, which integrates the fun it is given "
                             "(use Discretization(flow, scheme, h) for a flow of a problem)")
        if method.check is not None:
            raise ValueError(f"method must be a Scheme that needs nothing but the field, and {method.name} needs more")
        return type("SchemeSolver", (_SchemeSolver,), {"scheme": method, "rows": rows})
    if not isinstance(method, (Discretization, Optimizer)):
        raise TypeError(f"method must be a Scheme, Discretization or Optimizer, got {type(method).__name__}")
    if problem is None:
        raise ValueError("problem must be given: solve_ivp hands over the field, not the gradient")
    if isinstance(method, Discretization):
        if method.scheme.check is not None:
            method.scheme.check(method.flow, problem)
        if np.size(method.h) > 1:
            raise ValueError("method must have one step h, not a vector of them")
        return type("DiscretizationSolver", (_DiscretizationSolver,),
                    {"scheme": method.scheme, "rows": method.flow.rows, "method": method, "problem": problem})
    flow = method.flow()
    if flow is None:
        raise ValueError(f"method must have a classical flow, and {method.name} has none")
    return type("OptimizerSolver", (_OptimizerSolver,), {"scheme": method.scheme(), "rows": flow.rows,
                "optimizer": method, "problem": problem, "start": start})


class _Hermite(DenseOutput):
    def __init__(self, t_old, t, y_old, y, f_old, f):
        super().__init__(t_old, t)
        self.values = y_old, y, f_old, f

    def _call_impl(self, t):
        y0, y1, f0, f1 = (v if np.ndim(t) == 0 else v[:, None] for v in self.values)
        h = self.t - self.t_old
        s = (t - self.t_old) / h
        r = 1 - s
        return r * y0 + s * y1 + s * r * ((s - r) * (y1 - y0) + h * (r * f0 - s * f1))


class _SchemeSolver(OdeSolver):
    """One of our schemes on the field that SciPy hands over."""

    scheme, rows = None, 1

    def __init__(self, fun, t0, y0, t_bound, vectorized=False, step=None, first_step=None, max_step=np.inf,
                 min_step=0.0, rtol=1e-3, atol=1e-6, **extraneous):
        if extraneous:
            warnings.warn("The following arguments have no effect for a chosen solver: "
                          f"{', '.join(f'`{name}`' for name in extraneous)}.", UserWarning, stacklevel=4)
        super().__init__(fun, t0, y0, t_bound, vectorized)
        if self.n % self.rows:
            raise ValueError(f"y0 must have {self.rows} rows, got length {self.n}")
        for name, value in (("step", step), ("first_step", first_step)):
            if value is not None and not value > 0:
                raise ValueError(f"`{name}` must be positive.")
        if not max_step > 0:
            raise ValueError("`max_step` must be positive.")
        if not 0 <= min_step <= max_step:
            raise ValueError("`min_step` must be in [0, max_step].")
        length = abs(t_bound - t0)
        if first_step is not None and length and first_step > length:
            raise ValueError("`first_step` exceeds bounds.")
        self.adaptive = self._error_controlled()
        self.max_step, self.min_step = max_step, min_step
        self.rtol, self.atol = max(rtol, 100 * np.finfo(float).eps), atol
        if np.any(np.asarray(atol) < 0):
            raise ValueError("`atol` must be positive.")
        default = self._default_step(length)
        self.h_abs = min(max_step, max(min_step, first_step or step or default))
        self.errors = (1.0, 1.0)
        self._prepare(t0, y0)

    # What the other two kinds of method replace -------------------------------------------------

    def _error_controlled(self):
        return self.scheme.embedded_order > 0

    def _default_step(self, length):
        return length / 100 or 1.0

    def _prepare(self, t0, y0):
        self._p = self.scheme.parameters(_NoFlow)
        self._w = np.zeros((self.scheme.work(self.rows), self.n // self.rows))

    def _advance(self, t, y, h):
        """A new state one step further, flattened."""
        z = np.array(y, dtype=float).reshape(self.rows, -1)
        self.scheme.step.py_func(self._field, None, None, None, self._p, t, h, z, self._w)
        return z.ravel()

    def _field(self, fg, hv, data, t, p, z, dz):
        dz[:] = self.fun(t, z.ravel()).reshape(dz.shape)

    def _slope(self, t, y):
        return self.fun(t, y)

    # The step ----------------------------------------------------------------------------------

    def _step_impl(self):
        t, y = self.t, self.y
        least = max(self.min_step, 10 * abs(np.nextafter(t, self.direction * np.inf) - t))
        h_abs = min(max(self.h_abs, least), self.max_step)
        while True:
            remaining = abs(self.t_bound - t)
            # Within a thousandth of the end there is no further step, so as not to leave a sliver.
            last = h_abs >= remaining * (1 - 1e-3 if self.adaptive and h_abs < self.max_step else 1 - 1e-12)
            h = self.direction * (remaining if last else h_abs)
            with np.errstate(all="ignore"):
                new = self._advance(t, y, h)
                accepted, factor = self._judge(y, new, h) if self.adaptive else (True, 1.0)
            if accepted:
                break
            h_abs = abs(h) * factor
            if h_abs < least:
                return False, self.TOO_SMALL_STEP
        if not np.isfinite(new).all():
            return False, f"The state is not finite at t = {t + h:.6g}."
        if self.adaptive:
            self.h_abs = abs(h) * factor
        self.t_old_step, self.y_old = t, y
        self.t = self.t_bound if last else t + h
        self.y = new
        return True, None

    def _judge(self, old, new, h):
        """(accepted, factor of the next step): PI control as in ``odeopt.record``."""
        scale = self.atol + self.rtol * np.maximum(np.abs(old), np.abs(new))
        error = np.sqrt(np.mean((self._w[: self.rows].ravel() / scale) ** 2)) if self.n else 0.0
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

    def _dense_output_impl(self):
        return _Hermite(self.t_old, self.t, self.y_old, self.y, self._slope(self.t_old, self.y_old),
                        self._slope(self.t, self.y))


class _NoFlow:
    """A Scheme's parameters without constants of a flow."""

    p = np.array([0.0])


class _DiscretizationSolver(_SchemeSolver):
    """A scheme on a flow of the package, by compiled kernels where the problem is compiled."""

    method = problem = None

    def _error_controlled(self):
        return self.method.rtol is not None

    def _default_step(self, length):
        return float(np.atleast_1d(self.method.h)[0])

    def _flow(self):
        return self.method.flow

    def _prepare(self, t0, y0):
        flow, problem, scheme = self._flow(), self.problem, self.scheme
        z = np.array(y0, dtype=float)
        if z.size != flow.rows * problem.dim:
            raise ValueError(f"y0 must have length {flow.rows} * {problem.dim} for {flow.name} on {problem.name}, "
                             f"got {z.size}")
        self._evaluate = flow.field(problem)
        with np.errstate(all="ignore"):
            ours, theirs = self._slope(t0, z), self.fun_single(t0, z)
        if not np.allclose(ours, theirs, rtol=1e-6, atol=1e-9 * (1 + np.abs(ours).max()), equal_nan=True):
            raise ValueError(f"fun must be the field of the flow that the method integrates ({flow.equation}); "
                             "they differ at the start")
        self.nfev = 0
        self._p = scheme.parameters(flow)
        self._w = scheme.workspace(z.reshape(flow.rows, -1))
        self._rhs, self._kernel = ((flow.rhs, scheme.step) if problem.compiled
                                   else (flow.rhs.py_func, scheme.step.py_func))
        if problem.compiled:
            self._kernel = _compiled_step()
            self._addresses = np.array([*abi.addresses(scheme.step, abi.STEP), *abi.addresses(flow.rhs, abi.RHS),
                                        *abi.addresses(problem.fg, abi.FG), *abi.addresses(problem.hv, abi.HV)])

    def _advance(self, t, y, h):
        problem = self.problem
        z = np.array(y, dtype=float).reshape(self.rows, -1)
        if problem.compiled:
            self._kernel(self._addresses, problem.data, self._p, t, h, z, self._w)
        else:
            self._kernel(self._rhs, problem.fg, problem.hv, problem.data, self._p, t, h, z, self._w)
        stages = self.scheme.stages
        self.nfev += stages if stages > 0 else int(self._w[-1, 0])
        return z.ravel()

    def _slope(self, t, y):
        self.nfev += 1
        return self._evaluate(t, np.ascontiguousarray(y).reshape(self.rows, -1)).ravel()


class _OptimizerSolver(_DiscretizationSolver):
    """An optimizer's own update; position and slots are kept beside y."""

    optimizer, start = None, "cold"

    def _error_controlled(self):
        return False

    def _default_step(self, length):
        return length or 1.0

    def _flow(self):
        return self.optimizer.flow()

    def _prepare(self, t0, y0):
        super()._prepare(t0, y0)
        if self.direction < 0:
            raise ValueError("t_span must run forwards: an optimizer has no step back in time")
        optimizer, problem = self.optimizer, self.problem
        x = np.array(y0[: problem.dim], dtype=float)
        g = problem.grad(x)
        self.nfev += 1
        slots = optimizer.start(x, g, self.start)
        expected = optimizer.to_flow(x, slots).ravel()
        if not np.allclose(expected, y0, rtol=1e-10, atol=1e-12):
            raise ValueError(f"y0 must be flow_start(x0, g0, {self.start!r}).ravel() of the optimizer")
        self._x, self._s, self._k = x, slots, 0

    def _step_impl(self):
        optimizer, problem = self.optimizer, self.problem
        t, y = self.t, self.y
        x, s = self._x.copy(), self._s.copy()
        with np.errstate(all="ignore"):
            g = problem.grad(x)
            self.nfev += 1
            dt = optimizer.kernel(self._k, optimizer.p, x, g, s)
        remaining = self.t_bound - t
        if not (dt > 0 and np.isfinite(x).all() and np.isfinite(s).all()):
            return False, f"The step after t = {t:.6g} is not finite or 0."
        if dt >= remaining * (1 - 1e-12):
            last, new = True, optimizer.to_flow(x, s).ravel()
            if dt > remaining * (1 + 1e-12):
                new = self._advance(t, y, remaining)
        else:
            last, new = False, optimizer.to_flow(x, s).ravel()
        self._x, self._s, self._k = x, s, self._k + 1
        self.y_old = y
        self.t = self.t_bound if last else t + dt
        self.y = new
        return True, None


def _step_entry(kernels, data, p, t, h, z, w):
    step, rhs = abi.step_at(kernels[0], kernels[1]), abi.rhs_at(kernels[2], kernels[3])
    fg, hv = abi.fg_at(kernels[4], kernels[5]), abi.hv_at(kernels[6], kernels[7])
    return step(rhs, fg, hv, data, p, t, h, z, w)


@functools.cache
def _compiled_step():
    """One compiled entry for every (scheme, flow, problem)."""
    return abi.kernel(_step_entry, abi.REAL(abi.INDICES, abi.VECTOR, abi.VECTOR, abi.REAL, abi.REAL, abi.MATRIX,
                                            abi.MATRIX))
