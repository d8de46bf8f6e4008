"""The solvers behind :func:`odeopt.reference`: scipy's and the stabilised ones, step by step, and the package's own
Dormand–Prince.

Each returns an object with ``solve_ivp``'s attributes t, sol, nfev, success and message. Whatever ends a
solution, what is solved is kept; and every one ends: the field is looked at before a solver sees it, a step
must lead to a later time and a finite state, and the evaluations are counted.
"""

import contextlib
import threading
import warnings
from types import SimpleNamespace

import numpy as np

from ..discretization import Discretization
from ..engine import loops
from ..engine.record import record
from ..flows import SignInclusion
from ..schemes import dormand_prince
from ..schemes.base import LEAST_ATOL
from ..sums import norms
from ..threads import OneBlasThread
from . import filippov

PATIENCE_EXPLICIT = 10_000  # evaluations of the field after which "auto" takes a flow to be stiff
PATIENCE = 50_000  # evaluations after which "auto" ends
PATIENCE_NAMED = 500_000  # evaluations after which a solver that was asked for by name ends
_CREEPING = 1e-6  # of the interval: who does not come that far in PATIENCE_EXPLICIT evaluations, stands still
_CREEPING_AUTO = 1e-3  # the same for "auto", which at such a pace would end at the two-hundredth part
PATIENCE_LARGE = 3000  # the same where BDF has no large systems to solve
_TRIAL = 1000  # evaluations in which BDF or RKC2 shows what it can do
_TRIAL_MOST = 10  # times as many with the products for Hessians
DENSE_JACOBIAN = 400  # largest flattened state that gets a dense Jacobian (and LSODA by itself)
IMPLICIT, STABILIZED = ("Radau", "BDF", "LSODA"), ("RKC2", "ROCK2")
# Of the memory's absolute tolerance in a large state with a mean, times the position's: Adam divides m by
# sqrt(v) + eps, so an error of 1e-10 in m moves the position at a rate of 1e-2; one entry hardly counts in the norm.
_MEMORY_ATOL = 1e-4
_TRIALS = 1_000_000  # steps of the jitted solver; a flow that needs more is stiff
_ENTRIES = 2**26  # of all states kept, half a gigabyte (scipy keeps up to eight slopes beside each)
_GROWN = 1e6  # a field that has grown by this factor where no solver goes on has no bound there
_LSODA = threading.RLock()  # scipy's LSODA before 1.17 kept its state in static memory: one at a time


class _Spent(Exception):
    """The evaluations of the field are used up."""


class _Counted:
    """The field, counted; raises _Spent beyond ``allowed`` evaluations, so that no loop around it is endless.

    ``inside``: whether an exception on its way comes from the field or its Jacobian, and not from the solver.
    """

    def __init__(self, fun, jac, allowed):
        self.fun, self.jac, self.allowed, self.count, self.inside = fun, jac, allowed, 0, False

    def __call__(self, t, y):
        if self.count >= self.allowed:
            raise _Spent
        self.count += 1
        self.inside = True
        value = self.fun(t, y)
        self.inside = False
        return value

    def spend(self, count):
        """That many evaluations by somebody else."""
        if self.count >= self.allowed:
            raise _Spent
        self.count += count

    def jacobian(self, t, y):
        self.inside = True
        value = self.jac(t, y)
        self.inside = False
        return value


def integrate(fun, t0, y0, t_end, solver="auto", reached=None, jac=None, structure=None, compiled=None, *, rtol, atol,
              **options):
    """One of scipy's solvers, or RKC2 or ROCK2, step by step.

    "auto" is DOP853, its steps compiled where ``compiled``, a dict of what :class:`~.compiled.CompiledDOP853` takes,
    is given; after PATIENCE_EXPLICIT evaluations LSODA goes on from there. For a large state it is BDF after
    PATIENCE_LARGE, where the field has a ``structure`` that spares it the systems of that size and its stiffness is
    decay, or RKC2 after PATIENCE_EXPLICIT; each if a trial shows it to be the faster. After PATIENCE it ends.
    ``reached(t, y)`` may end it before.
    """
    from scipy import integrate  # here, so that `import odeopt` stays light

    from . import stabilized, structured

    automatic, small = solver == "auto", np.size(y0) <= DENSE_JACOBIAN
    # Who may go on, from which evaluation.
    rivals = [] if not automatic else [(PATIENCE_EXPLICIT, "LSODA")] if small else [
        (PATIENCE_LARGE, "BDF"), (PATIENCE_EXPLICIT, "RKC2")][structure is None:]
    solver = "DOP853" if automatic else solver
    field = _Counted(fun, jac, PATIENCE if automatic else PATIENCE_NAMED)
    path, message, mark = _Path(t0, y0), "", (0, t0)
    creeping = _CREEPING_AUTO if automatic else _CREEPING
    options = {"rtol": max(rtol, 2.3e-14), "atol": np.maximum(atol, LEAST_ATOL), **options}
    with contextlib.ExitStack() as stack:

        def begin(name, t, y):
            if name == "LSODA":
                stack.enter_context(_LSODA)
                stack.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=r"scipy\.integrate")  # its words for a step that fails
            exact = {"jac": field.jacobian} if jac and name in IMPLICIT else {}
            home = stabilized if name in STABILIZED else integrate
            if name == "DOP853" and compiled is not None:
                from .compiled import CompiledDOP853

                return CompiledDOP853(field, t, y, t_end, spend=field.spend, **compiled, **options)
            if name == "BDF" and structure is not None and structure.fits(float(t), y.reshape(structure.shape)):
                home, exact = structured, {"structure": structure}
                stack.enter_context(OneBlasThread())
            return getattr(home, name)(field, t, y, t_end, **options, **exact)

        stack.enter_context(np.errstate(all="ignore"))
        first = field(t0, y0)
        if not (np.isfinite(y0).all() and np.isfinite(first).all()):
            message = _at_the_start(t0)
        else:
            run = begin(solver, t0, y0)
        while not message:
            (piece, lost), slow = _step(run, field), False
            watched = not (small or rivals) if automatic else True
            if piece is not None and watched and field.count - mark[0] >= PATIENCE_EXPLICIT:
                if run.t - mark[1] < creeping * (t_end - t0):
                    piece, slow = None, True
                mark = field.count, run.t
            if piece is None:
                words = "it is not smooth there" if solver in IMPLICIT or automatic and small else (
                    "it is stiff or not smooth there")
                if automatic and not small:
                    words += f", and a state of {np.size(y0)} entries too large for an implicit solver"
                if slow:
                    words += f", or t_end = {t_end:.6g} is too far"
                message = _verdict(fun, path.times[-1], path.y, t0, y0, first, t_end, lost) or (
                    f"{solver} comes no further than t = {path.times[-1]:.6g} in {field.count} evaluations of the "
                    f"field: {'its next state is not finite' if lost else words}")
                break
            path.add(run.t, run.y.copy(), piece, field.count)
            if (reached is not None and reached(run.t, path.y)) or run.status == "finished":
                break
            if len(path.pieces) * path.y.size > _ENTRIES:
                message = (f"{len(path.pieces)} steps of {path.y.size} entries are kept at t = {run.t:.6g}, "
                           "and no more are")
            elif rivals and field.count > rivals[0][0]:
                rival = rivals.pop(0)[1]
                if rival == "BDF":
                    assert structure is not None  # without one it is no rival
                    if not structure.invites(float(run.t), path.y.reshape(structure.shape)):
                        continue
                other = begin(rival, run.t, path.y.copy())
                steps = () if small else _trial(other, field, path.pace(_TRIAL), structure)
                if steps is not None:
                    solver, run, rivals = rival, other, []
                    for step in steps:
                        path.add(*step)
                    mark = field.count, run.t
                    if run.status == "finished":
                        break
    sol = integrate.OdeSolution(path.times, path.pieces) if path.pieces else None
    return SimpleNamespace(t=np.array(path.times), success=not message, message=message, nfev=field.count,
                           counts=path.counts, solver=solver, sol=sol)


class _Path:
    """What is solved: times, dense output between them, evaluations spent by then, and the state at the end."""

    def __init__(self, t0, y0):
        self.times, self.pieces, self.counts, self.y = [float(t0)], [], [0], y0

    def add(self, t, y, piece, count):
        self.times.append(float(t))
        self.pieces.append(piece)
        self.counts.append(count)
        self.y = y

    def pace(self, evaluations):
        """Time per evaluation, over the last ``evaluations``."""
        i = min(np.searchsorted(self.counts, self.counts[-1] - evaluations), len(self.counts) - 2)
        return (self.times[-1] - self.times[i]) / (self.counts[-1] - self.counts[i])


def _trial(run, field, pace, structure):
    """The steps of ``run`` in a trial, or None if it does not cover twice the time for an evaluation, counted when it
    has found its pace, in the second half; a Hessian product is an evaluation."""
    def spent():
        return field.count - begin + (structure.products - products if structure else 0)

    begin, products, steps, half = field.count, structure.products if structure else 0, [], None
    while field.count - begin < _TRIAL and run.status == "running":
        if spent() > _TRIAL_MOST * _TRIAL:
            break
        piece = _step(run, field)[0]
        if piece is None:
            break
        steps.append((run.t, run.y.copy(), piece, field.count))
        if half is None and field.count - begin >= _TRIAL // 2:
            half = spent(), run.t
    else:
        if run.status == "finished" or half and run.t - half[1] > 2 * pace * (spent() - half[0]):
            return steps
    field.allowed += field.count - begin  # who goes on shall not lack them
    return None


def _step(run, field):
    """``(dense output of one more step, False)``; or None where there is none, and whether values that are not
    finite are the reason."""
    before = run.t
    try:
        run.step()
        finite = bool(np.isfinite(run.y).all())
        done = run.status != "failed" and finite and run.t > before
        return (run.dense_output() if done else None), not finite
    except _Spent:
        return None, False
    except (ValueError, np.linalg.LinAlgError):  # of a matrix that is not finite, or singular
        if field.inside:
            raise
        return None, True


def _at_the_start(t0):
    return f"state or field are not finite at the start, t = {t0:.6g}"


def _verdict(fun, t, y, t0, y0, first, t_end, lost):
    """Why no solver goes on from ``t``, where the field shows it: judged by its values there and not by a
    solver's words, which hang on the last bit; "" where it shows nothing.

    Looked at is the tangent, a millionth of the time or of the state ahead, whichever is less: solvers that reject
    steps stop closer than that to where a field ends. One that accepts a state that is not finite (``lost``) does so
    up to a step before.
    """
    with np.errstate(all="ignore"):
        f = fun(t, y)
        usual = np.linalg.norm(first) + (1.0 + np.linalg.norm(y0)) / (t_end - t0)
        if np.linalg.norm(f) > _GROWN * usual:
            return f"the field grows without bound at t = {t:.6g}"
        near = min(t_end - t0, (1.0 + np.linalg.norm(y)) / max(np.linalg.norm(f), np.finfo(np.float64).tiny))
        for h in near * np.array([1e-6, 1e-4, 1e-2, 0.1][: 4 if lost else 1]):
            if not np.isfinite(fun(min(t + h, t_end), y + h * f)).all():
                return f"the field is not finite beyond t = {t:.6g}"
    return ""


def quick(flow, problem, z0, t_end, rtol, atol, trials):
    """The flow from ``z0`` at time 0 as far as so many trial steps lead, for pictures that may not wait."""
    if isinstance(flow, SignInclusion):
        return filippov.solve(flow, problem, z0, 0.0, t_end, rtol, atol, "DOP853", None, trials)

    field, shape = flow.field(problem), z0.shape

    def fun(t, y):
        return field(t, y.reshape(shape)).ravel()

    return _JittedSolution(flow, problem, fun, z0, 0.0, t_end, rtol, atol, trials)


def solve(flow, problem, z0, t0, t_end, rtol, atol, solver, watch=None, reached=None, times=None):
    """The flow from ``z0`` on [t0, t_end]; ``watch(t)`` is called at each evaluation of the field or each step
    ("jitted": never), and ``reached(t, y)`` as in :func:`integrate`. It will be read at ``times`` (None: anywhere)."""
    if isinstance(flow, SignInclusion):
        allowed = PATIENCE if solver == "auto" else PATIENCE_NAMED
        return filippov.solve(flow, problem, z0, t0, t_end, rtol, atol, solver, watch, allowed)
    from .structured import Structure

    rows, n = z0.shape
    field, p, jac, structure, compiled = flow.field(problem), np.array(flow.p), None, None, None
    if rows * n > DENSE_JACOBIAN and solver in ("auto", "BDF"):
        structure = Structure.of(flow, problem)
    if rows * n > DENSE_JACOBIAN and field.compiled:
        compiled = {"field": field, "watch": watch, "times": times}
    if flow.jacobian and problem.has_hessian and rows * n <= DENSE_JACOBIAN:

        def jacobian(t, y):
            z = y.reshape(rows, n)
            return flow.jacobian(t, z.copy(), problem.grad(z[0]), problem.hess(z[0]), p.copy())

        jac = jacobian

    def fun(t, y):
        if watch is not None:
            watch(t)
        return field(t, y.reshape(rows, n)).ravel()

    if solver == "jitted":
        return _JittedSolution(flow, problem, fun, z0, t0, t_end, rtol, atol)
    if "mean" in flow.slots and rows * n > DENSE_JACOBIAN:
        atol = atol * np.repeat([1.0, _MEMORY_ATOL], [n, (rows - 1) * n])
    return integrate(fun, t0, z0.ravel(), t_end, solver, reached, jac, structure, compiled, rtol=rtol,
                     atol=atol)


class _JittedSolution:
    """The package's own Dormand–Prince, with the attributes of ``solve_ivp``'s result used here.

    Between accepted steps the solution is one more step from the last one, no interpolation: it
    keeps the fifth order, and needs no smoothness that the steps did not need.
    """

    def __init__(self, flow, problem, fun, z0, t0, t_end, rtol, atol, most=_TRIALS):
        self._flow, self._problem, self.solver = flow, problem, "jitted"
        with np.errstate(all="ignore"):
            first = fun(t0, z0)
        if not (np.isfinite(z0).all() and np.isfinite(first).all()):
            self.t, self.nfev, self.success, self.message = np.array([float(t0)]), 1, False, _at_the_start(t0)
            self.sol = None  # pyright: ignore[reportAttributeAccessIssue]
            return
        speed = norms(np.ravel(first)) / (norms(z0.ravel()) + 1.0)
        # The controller takes over, if the step is not 0.
        h = min(1e-3 * (t_end - t0), max(1e-2 * rtol**0.2 / max(speed, 1e-300), np.finfo(np.float64).tiny))
        trials = min(most, _TRIALS if problem.compiled and flow.compiled else PATIENCE // dormand_prince.stages)
        run = record(Discretization(flow, dormand_prince, h, rtol=rtol, atol=atol, t0=t0), problem, z0,
                     min(trials, max(1000, _ENTRIES // z0.size)), t_end=t_end, memory=True)
        if run.status == "interrupted":
            raise KeyboardInterrupt
        self._z = np.concatenate([run.x[:, None, :], run.memory], axis=1)
        self.t, self.nfev = run.t, int(run.n_grad[-1]) + 1
        self.success, self.message = bool(run.ok and run.t[-1] >= t_end), run.message
        if not self.success:
            self.message = _verdict(fun, run.t[-1], self._z[-1].ravel(), t0, z0, first, t_end, False) or (
                f"jitted comes no further than t = {run.t[-1]:.6g} in {self.nfev} evaluations of the field: "
                "it is stiff or not smooth there")

    def sol(self, t):
        """The flattened state at ``t``, with the shape of scipy's dense output."""
        flow, problem, scheme = self._flow, self._problem, dormand_prince
        times = np.atleast_1d(np.array(t, dtype=np.float64))
        out = np.empty((times.size, *self._z.shape[1:]))
        rhs, step, compiled = scheme.kernels(flow, problem)
        loop = loops.runnable(loops.sample_loop, compiled)
        loop(problem.fg, problem.hv, problem.data, rhs, step, scheme.parameters(flow), self.t, self._z, times,
             scheme.workspace(self._z[0]), out)
        y = out.reshape(times.size, -1).T
        return y if np.ndim(t) else y[:, 0]
