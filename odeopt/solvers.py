"""The solvers behind :func:`odeopt.reference`: scipy's ``solve_ivp``, and the package's own Dormand–Prince.

Each returns an object with ``solve_ivp``'s attributes t, sol, nfev, success and message.
"""

from types import SimpleNamespace

import numpy as np

from . import drive
from .record import record
from .schemes import Discretization, dormand_prince

PATIENCE = 10_000  # evaluations of the field after which an explicit solver takes a flow to be stiff
PATIENCE_LARGE = 3_000  # the same where the state is too large for anything but explicit steps
DENSE_JACOBIAN = 400  # largest flattened state that gets a dense Jacobian (and LSODA by itself)
_TRIALS = 1_000_000  # steps of the jitted solver; a flow that needs more is stiff


class Stiff(Exception):
    """An explicit solver has spent its evaluations."""


def solve(flow, problem, z0, t0, t_end, rtol, atol, solver, patience=np.inf):
    """The flow from ``z0`` on [t0, t_end] by one named solver; Stiff after ``patience`` evaluations."""
    if solver == "jitted":
        return _JittedSolution(flow, problem, z0, t0, t_end, rtol, atol)
    rows, n = z0.shape
    field, p = flow.field(problem), flow.p
    spent = 0

    def fun(t, y):
        nonlocal spent
        spent += 1
        if spent > patience:
            raise Stiff
        return field(t, y.reshape(rows, n)).ravel()

    from scipy.integrate import solve_ivp  # here, so that `import odeopt` stays light

    options = {}
    if solver in ("Radau", "BDF", "LSODA") and flow.jacobian and problem.has_hessian and rows * n <= DENSE_JACOBIAN:

        def jac(t, y):
            z = y.reshape(rows, n)
            return flow.jacobian(t, z, problem.grad(z[0]), problem.hess(z[0]), p)

        options["jac"] = jac
    with np.errstate(all="ignore"):
        return solve_ivp(fun, (t0, t_end), z0.ravel(), method=solver, rtol=max(rtol, 2.3e-14), atol=atol,
                         dense_output=True, **options)


def solve_auto(flow, problem, z0, t0, t_end, rtol, atol):
    """``(solution, name of the solver)``: explicit steps, then LSODA where the state's size allows it."""
    arguments = (flow, problem, z0, t0, t_end, rtol, atol)
    if z0.size > DENSE_JACOBIAN:
        return _as_far_as_it_goes(*arguments, "DOP853", PATIENCE_LARGE), "DOP853"
    try:
        return solve(*arguments, "DOP853", PATIENCE), "DOP853"
    except Stiff:
        return _as_far_as_it_goes(*arguments, "LSODA", 5 * PATIENCE), "LSODA"


def _as_far_as_it_goes(flow, problem, z0, t0, t_end, rtol, atol, solver, patience, parts=32):
    """``solve`` part by part, until the evaluations are spent: what is solved is kept."""
    from scipy.integrate import OdeSolution

    ends, z, spent = np.linspace(t0, t_end, parts + 1), z0, 0
    times, pieces, message = [t0], [], ""
    for begin, end in zip(ends, ends[1:]):
        try:
            part = solve(flow, problem, z, begin, end, rtol, atol, solver, patience - spent)
        except Stiff:
            message = (f"{patience} evaluations of the field spent: " + (
                "it is not smooth there" if solver == "LSODA" else
                f"it is stiff, and a state of {z0.size} entries is too large for an implicit solver"))
            break
        spent += part.nfev
        times += [*part.sol.ts[1:]]
        pieces += part.sol.interpolants
        if not part.success:
            message = part.message
            break
        z = part.y[:, -1].reshape(z0.shape)
        if not np.isfinite(z).all():
            message = f"the solution is not finite at t = {end:.3g}"
            break
    return SimpleNamespace(t=np.array(times), success=not message, message=message, nfev=spent,
                           sol=OdeSolution(times, pieces) if pieces else None)


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
        self.t, self.message = run.t, run.message
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
