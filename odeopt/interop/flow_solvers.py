"""The solver classes of :func:`odeopt.interop.solver_class` for flows of the package: a scheme on one
of them, and an optimizer by its own update."""

import functools
from typing import Any

import numpy as np

from .. import abi, checks
from ..optimizers import Optimizer
from ..reference.scheme_solvers import Hermite, SchemeSolver, tableau
from ..sums import two_sum


def made(method, problem, start):
    """The class for a Discretization or an Optimizer on ``problem``."""
    if not isinstance(method, Optimizer):
        method.scheme.fit(method.flow, problem)
        if np.size(method.h) > 1:
            raise ValueError("method must have one step h, not a vector of them")
        return type("DiscretizationSolver", (DiscretizationSolver,),
                    {"scheme": method.scheme, "rows": method.flow.rows, "method": method, "problem": problem})
    flow = method.flow
    if flow is None:
        raise ValueError(f"method must have a classical flow, and {method.title} has none")
    return type("OptimizerSolver", (OptimizerSolver,), {"scheme": method.scheme, "rows": flow.rows,
                "optimizer": method, "problem": problem, "start": start})


class DiscretizationSolver(SchemeSolver):
    """A scheme on a flow of the package, by compiled kernels where the problem is compiled."""

    method: Any = None
    problem: Any = None

    def _options(self):
        return tuple(name for name in super()._options() if name != "step")

    def _error_controlled(self):
        return self.method.rtol is not None

    def _default_tol(self):
        return self.method.rtol, self.method.atol

    def _default_first_step(self):
        return self._default_step(None)

    def _default_step(self, length):
        return float(np.atleast_1d(self.method.h)[0])

    def _flow(self):
        return self.method.flow

    def _prepare(self, t0, y0):
        flow, problem, scheme = self._flow(), self.problem, self.scheme
        z = checks.array("y0", y0, (flow.rows * problem.dim,), finite=False,
                         of=f"{flow.rows} rows of {flow.name} on {problem.name}")
        self._own_field = flow.field(problem)
        with np.errstate(all="ignore"):
            ours, theirs = self._evaluate(t0, z), self.fun_single(t0, z)
        if np.shape(theirs) != ours.shape:
            raise ValueError(f"fun must return {ours.size} numbers as y0 has, got shape {np.shape(theirs)}")
        defined = np.isfinite(ours)  # 0/0 at the start of some flows
        ours, theirs = ours[defined], np.asarray(theirs)[defined]
        if not np.allclose(ours, theirs, rtol=1e-6, atol=1e-9 * (1 + np.abs(ours).max(initial=0.0))):
            raise ValueError(f"fun must be the field of the flow that the method integrates ({flow.equation}); "
                             "they differ at the start")
        self.nfev = 0
        if scheme is None:
            return
        self._p = scheme.parameters(flow)
        self._w = scheme.workspace(z.reshape(flow.rows, -1))
        self._rhs, self._kernel, self._compiled = scheme.kernels(flow, problem)
        if self._compiled:
            self._kernel = _compiled_step()

    @functools.cached_property
    def _addresses(self):
        return np.array([*abi.addresses(self.scheme.step, abi.STEP), *abi.addresses(self._rhs, abi.RHS),
                         *abi.addresses(self.problem.fg, abi.FG), *abi.addresses(self.problem.hv, abi.HV)])

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "_addresses"}  # of this process

    def _advance(self, t, y, h):
        problem = self.problem
        z = np.array(y, dtype=float).reshape(self.rows, -1)
        if self._compiled:
            self._kernel(self._addresses, problem.data, self._p, t, h, z, self._w)
        else:
            self._kernel(self._rhs, problem.fg, problem.hv, problem.data, self._p, t, h, z, self._w)
        stages = self.scheme.stages
        self.nfev += stages if stages > 0 else int(self._w[-1, 0])
        return z.ravel()

    def _evaluate(self, t, y):
        self.nfev += 1
        return self._own_field(t, np.ascontiguousarray(y).reshape(self.rows, -1)).ravel()

    def _stages(self):
        known = tableau(self.scheme)
        if known is None or len(known[1]) == 1:  # explicit Euler has a kernel of its own
            return None
        return self._w[2 * self.rows :].reshape(len(known[1]), self.n)


class OptimizerSolver(DiscretizationSolver):
    """An optimizer's own update; position and slots are kept beside y."""

    optimizer: Any = None
    start = "cold"

    def _options(self):
        return ()

    def _error_controlled(self):
        return False

    def _default_step(self, length):
        return 1.0  # not used: the update says how far it went

    def _flow(self):
        return self.optimizer.flow

    def _stages(self):
        return None

    def _prepare(self, t0, y0):
        super()._prepare(t0, y0)
        if self.direction < 0:
            raise ValueError("t_span must run forwards: an optimizer has no step back in time")
        optimizer, problem = self.optimizer, self.problem
        x = np.array(y0[: problem.dim], dtype=float)
        g = problem.grad(x)
        self.nfev += 1
        expected = optimizer.flow_start(x, g, self.start).ravel()
        if not np.allclose(expected, y0, rtol=1e-10, atol=1e-12):
            raise ValueError(f"y0 must be flow_start(x0, g0, {self.start!r}).ravel() of the optimizer")
        self._x, self._s, self._k, self._g = x, optimizer.start(x, g, self.start), 0, g
        self._sum, self._carry = t0, 0.0  # the time as in loops.optimizer_loop, without drift

    def _step_impl(self):
        optimizer, problem = self.optimizer, self.problem
        t, y = self.t, self.y
        x, s = self._x.copy(), self._s.copy()
        with np.errstate(all="ignore"):
            if self._g is None:
                self._g = problem.grad(x)
                self.nfev += 1
            dt = optimizer.kernel(self._k, optimizer.p_for(x), x, self._g, s)
        if not (dt > 0 and np.isfinite(x).all() and np.isfinite(s).all()):
            return False, f"The step after t = {t:.6g} is not finite or 0."
        self._sum, lost = two_sum(self._sum, dt)
        self._carry += lost
        remaining = self.t_bound - t
        last, new = dt >= remaining * (1 - 1e-9), optimizer.to_flow(x, s).ravel()
        if dt > remaining * (1 + 1e-9):
            with np.errstate(all="ignore"):
                new = y + (remaining / dt) * (new - y) if self.scheme is None else self._advance(t, y, remaining)
            if not np.isfinite(new).all():
                return False, f"The step after t = {t:.6g} is not finite."
        self._x, self._s, self._k, self._g = x, s, self._k + 1, None
        self.y_old, self.t, self.y = y, self.t_bound if last else self._sum + self._carry, new
        return True, None

    def _dense_output_impl(self):
        with np.errstate(all="ignore"):
            slopes = [self._slope(t, y) for t, y in ((self.t_old, self.y_old), (self.t, self.y))]
        chord = (self.y - self.y_old) / (self.t - self.t_old)
        f_old, f = (np.clip(np.where(np.isnan(f), chord, f), np.minimum(0, 3 * chord), np.maximum(0, 3 * chord))
                    for f in slopes)
        return Hermite(self.t_old, self.t, self.y_old, self.y, f_old, f)


def _step_entry(kernels, data, p, t, h, z, w):
    step, rhs = abi.step_at(kernels[0], kernels[1]), abi.rhs_at(kernels[2], kernels[3])
    fg, hv = abi.fg_at(kernels[4], kernels[5]), abi.hv_at(kernels[6], kernels[7])
    return step(rhs, fg, hv, data, p, t, h, z, w)


@functools.cache
def _compiled_step():
    """One compiled entry for every (scheme, flow, problem)."""
    return abi.kernel(_step_entry, abi.REAL(abi.INDICES, abi.VECTOR, abi.VECTOR, abi.REAL, abi.REAL, abi.MATRIX,
                                            abi.MATRIX))
