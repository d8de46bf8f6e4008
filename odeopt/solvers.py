"""The solvers behind :func:`odeopt.reference`: scipy's ``solve_ivp``, and the package's own Dormand–Prince.

Each returns an object with ``solve_ivp``'s attributes t, sol, nfev, success and message.
"""

from types import SimpleNamespace

import numpy as np

from . import drive
from .record import record
from .schemes import Discretization, dormand_prince

PATIENCE_EXPLICIT = 10_000  # evaluations of the field after which "auto" takes a flow to be stiff
PATIENCE = 50_000  # evaluations after which "auto" ends
DENSE_JACOBIAN = 400  # largest flattened state that gets a dense Jacobian (and LSODA by itself)
_TRIALS = 1_000_000  # steps of the jitted solver; a flow that needs more is stiff


def march(fun, t0, y0, t_end, solver="auto", reached=None, jac=None, **options):
    """One of ``solve_ivp``'s solvers, step by step: whatever ends it, what is solved is kept.

    "auto" is DOP853; after PATIENCE_EXPLICIT evaluations LSODA goes on from there, unless the state
    is too large for implicit steps, and after PATIENCE it ends. ``reached(t, y)`` may end it before.
    """
    from scipy import integrate  # here, so that `import odeopt` stays light

    def begin(name, t, y):
        exact = {"jac": jac} if jac and name in ("Radau", "BDF", "LSODA") else {}
        return getattr(integrate, name)(fun, t, y, t_end, **options, **exact)

    automatic, small = solver == "auto", np.size(y0) <= DENSE_JACOBIAN
    solver = "DOP853" if automatic else solver
    times, pieces, before, message = [t0], [], 0, ""
    with np.errstate(all="ignore"):
        run = begin(solver, t0, y0)
        while True:
            words = run.step()
            if run.status == "failed" or not np.isfinite(run.y).all() or not run.t > times[-1]:
                stuck = "no step is small enough" if run.t == times[-1] else "the solution is not finite"
                message = words or f"{stuck} at t = {run.t:.6g}"
                break
            times.append(float(run.t))
            pieces.append(run.dense_output())
            if run.status == "finished" or (reached is not None and reached(run.t, run.y)):
                break
            spent = before + run.nfev
            if automatic and spent > PATIENCE:
                message = f"{PATIENCE} evaluations of the field spent: it is " + (
                    "not smooth there" if small else
                    f"stiff or not smooth there, and a state of {np.size(y0)} entries too large for an implicit solver")
                break
            if automatic and small and solver == "DOP853" and spent > PATIENCE_EXPLICIT:
                solver, before = "LSODA", spent
                run = begin(solver, run.t, run.y.copy())
    return SimpleNamespace(t=np.array(times), success=not message, message=message, nfev=before + run.nfev,
                           solver=solver, sol=integrate.OdeSolution(times, pieces) if pieces else None)


def solve(flow, problem, z0, t0, t_end, rtol, atol, solver, watch=None):
    """The flow from ``z0`` on [t0, t_end]; "auto" is :func:`march`. ``watch(t)`` is called at each evaluation of
    the field ("jitted": never)."""
    if solver == "jitted":
        return _JittedSolution(flow, problem, z0, t0, t_end, rtol, atol)
    rows, n = z0.shape
    field, p, jac = flow.field(problem), flow.p, None
    if flow.jacobian and problem.has_hessian and rows * n <= DENSE_JACOBIAN:

        def jac(t, y):
            z = y.reshape(rows, n)
            return flow.jacobian(t, z, problem.grad(z[0]), problem.hess(z[0]), p)

    def fun(t, y):
        if watch is not None:
            watch(t)
        return field(t, y.reshape(rows, n)).ravel()

    options = {"rtol": max(rtol, 2.3e-14), "atol": atol}
    if solver == "auto":
        return march(fun, t0, z0.ravel(), t_end, jac=jac, **options)
    from scipy.integrate import solve_ivp

    if solver in ("Radau", "BDF", "LSODA"):
        options["jac"] = jac
    with np.errstate(all="ignore"):
        found = solve_ivp(fun, (t0, t_end), z0.ravel(), method=solver, dense_output=True, **options)
    found.solver = solver
    return found


class _JittedSolution:
    """The package's own Dormand–Prince, with the attributes of ``solve_ivp``'s result used here.

    Between accepted steps the solution is one more step from the last one, no interpolation: it
    keeps the fifth order, and needs no smoothness that the steps did not need.
    """

    def __init__(self, flow, problem, z0, t0, t_end, rtol, atol):
        self._flow, self._problem = flow, problem
        speed = np.linalg.norm(flow.field(problem)(t0, z0)) / (np.linalg.norm(z0) + 1.0)
        h = min(1e-3 * (t_end - t0), 1e-2 * rtol**0.2 / max(speed, 1e-300))  # the controller takes over
        run = record(Discretization(flow, dormand_prince, h, rtol=rtol, atol=atol, t0=t0), problem, z0, _TRIALS,
                     t_end=t_end, memory=True)
        if run.status == "interrupted":
            raise KeyboardInterrupt
        self.t, self.message, self.solver = run.t, run.message, "jitted"
        self.success = run.ok and run.t[-1] >= t_end * (1 - 1e-12)
        if run.ok and not self.success:
            self.message = f"{_TRIALS} steps did not reach t_end = {t_end:g}: the flow is stiff, take another solver"
        self._z = np.concatenate([run.x[:, None, :], run.memory], axis=1)
        self.nfev = int(run.n_grad[-1])

    def sol(self, t):
        """The flattened state at ``t``, with the shape of scipy's dense output."""
        flow, problem, scheme = self._flow, self._problem, dormand_prince
        times = np.atleast_1d(np.array(t, dtype=np.float64))
        out = np.empty((times.size, *self._z.shape[1:]))
        loop = drive.compiled(drive.sample_loop) if problem.compiled else drive.sample_loop
        rhs, step = (flow.rhs, scheme.step) if problem.compiled else (flow.rhs.py_func, scheme.step.py_func)
        loop(problem.fg, problem.hv, problem.data, rhs, step, scheme.parameters(flow), self.t, self._z, times,
             scheme.workspace(self._z[0]), out)
        y = out.reshape(times.size, -1).T
        return y if np.ndim(t) else y[:, 0]
