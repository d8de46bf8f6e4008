"""``minimize`` and ``minimize_method``: the optimizers behind SciPy's ``minimize`` contract."""

import dataclasses
import difflib
import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, OptimizeWarning

from .. import checks, optimizers
from ..optimizers import Optimizer
from ..optimizers.wrapper import hyperparameters
from ..problems import Problem
from .line_search import NAMES, LineSearch
from .objective import Objective, limits, start
from .update_stepper import UpdateStepper, check_projection, class_of

CONVERGED, LIMIT, DIVERGED, NO_DECREASE, STOPPED = 0, 1, 2, 3, 99
_OWN = ("maxiter", "gtol", "ftol", "xtol", "tol", "disp", "return_all")


def minimize(fun: Any, x0: Any = None, args: Any = (), method: Any = "spg", jac: Any = None, hess: Any = None,
             hessp: Any = None, bounds: Any = None, constraints: Any = (), tol: float | None = None,
             callback: Any = None, options: Any = None, **hyperparameters: Any) -> OptimizeResult:
    """Minimise a function of n variables with one of the package's optimizers.

    The same arguments as :func:`scipy.optimize.minimize`, plus hyperparameters by name.

    Parameters
    ----------
    fun : callable or Problem
        ``fun(x, *args) -> float`` (``(f, gradient)`` with ``jac=True``). A Problem brings its own
        gradient and start.
    x0 : (n,) array
    args : tuple
        Further arguments of ``fun`` and its derivatives.
    method : str or Optimizer, default "spg"
        "spg" (Barzilai-Borwein steps, non-monotone backtracking), "armijo" (explicit Euler with backtracking), a
        name of ``odeopt list optimizers``, a class or an instance. The first two need no learning rate, and
        their limit points are stationary; the optimizers are here to be studied and compared.
    jac : callable, True, None, "2-point", "3-point" or "cs"
    hess, hessp : callable, optional
        Used by ``lr="auto"``; without them it differences gradients.
    bounds : Bounds or sequence of (min, max), optional
        By projection, for the methods whose projected fixed points are the constrained ones: those
        whose step is a positive diagonal matrix times -g (gradientdescent, normalizedgd, signgd,
        errorcontrolledeuler, adagrad, rmsprop without momentum), armijo and spg. Refused for the
        others, unless all bounds are infinite.
    constraints : ()
        None are supported.
    tol : float, optional
        ``gtol`` unless that is given.
    callback : callable
        ``callback(xk)`` or ``callback(intermediate_result=r)``, after each step; StopIteration ends
        the run with status 99.
    options : dict
        The keywords below and hyperparameters. Unknown names draw SciPy's ``OptimizeWarning`` here,
        as keywords of this function a ValueError.
    maxiter : int, default 10000
    gtol : float, default 1e-5
        Stop when no entry of the (projected) gradient exceeds it.
    ftol, xtol : float, default 0 (off)
        Stop when a step changes f by at most ftol max(|f|, |f+|, 1), or x by at most
        xtol (1 + |x|). Slow steps are not small errors: off by default.
    disp, return_all : bool, default False
        Print the message; keep all iterates in ``allvecs``.
    lr : float or "auto"
        "auto" (the default where the class has none): from gradient and curvature at x0, see
        :mod:`odeopt.interop.auto_lr`. For armijo and spg the first trial step.
    **hyperparameters
        Of the optimizer, and the options from ``maxiter`` on.

    Returns
    -------
    scipy.optimize.OptimizeResult
        With x, fun, jac, success, status, message, nit, nfev, njev, nhev, t (flow time), lr.
        ``status`` 0: a tolerance is met; 1: maxiter; 2: not finite (x is the last finite point, or
        x0 if fun is not finite there); 3: no decrease found; 99: stopped by the callback. Only 0 is
        a success; the message of 1, 2 and 3 says what to try.

    Raises
    ------
    TypeError, ValueError
        Wrong arguments; constraints; bounds with a method that cannot keep them; unknown keywords;
        ``lr="auto"`` without curvature at x0.

    Notes
    -----
    The loop is Python's, as ``fun`` is: for compiled objectives and long runs use
    :func:`odeopt.record`, which stays inside compiled code.

    Examples
    --------
    >>> import odeopt as oo
    >>> found = oo.minimize(lambda x: ((x - 1) ** 2).sum(), [0.0, 0.0])
    >>> found.success, [round(float(v), 4) for v in found.x]
    (True, [1.0, 1.0])
    """
    if isinstance(fun, Problem):
        problem = fun
        x0 = problem.x0 if x0 is None else x0
        fun, jac = problem.value_and_grad, True
        if problem.has_hessian and hess is None and hessp is None:
            hessp = problem.hessp
    elif x0 is None:
        raise TypeError("x0 must be given unless fun is a Problem")
    given = {} if options is None else options
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise TypeError(f"options must be a mapping of names to values, got {checks.shown(given)}")
    call = MinimizeMethod(method, **hyperparameters)
    options = {} if tol is None else {"tol": tol}
    options |= {key: value for key, value in given.items() if key not in hyperparameters}
    options = call._known(options, level=3)
    return call._solve(fun, x0, args, jac, hess, hessp, bounds, constraints, callback, options)


def minimize_method(method: Any, **defaults: Any) -> "MinimizeMethod":
    """A callable for ``scipy.optimize.minimize(..., method=...)``, which takes an instance of an optimizer as well.

    Parameters
    ----------
    method : str or Optimizer
        As in :func:`minimize`.
    **defaults
        Options that hold unless ``minimize(options=...)`` says otherwise.

    Raises
    ------
    ValueError
        An unknown name of a method or an option (with the nearest match).
    """
    return MinimizeMethod(method, **defaults)


class MinimizeMethod:
    """What :func:`minimize_method` returns; picklable."""

    def __init__(self, method, **defaults):
        known = isinstance(method, Optimizer) or isinstance(method, type) and issubclass(method, Optimizer)
        if not known:
            if not isinstance(method, str):
                raise TypeError(f"method must be a name or an Optimizer, got {checks.shown(method)}")
            key = method.lower().replace("-", "").replace("_", "")
            if key not in NAMES:
                names = (*optimizers.ALL, *optimizers.ALIASES, *NAMES)
                optimizers.by_name(checks.choice("method", key, names))
            method = key
        self.method, self.defaults = method, defaults
        for name in defaults:
            checks.choice("option", name, (*_OWN, *self._hyperparameters()))

    def __repr__(self):
        return f"<odeopt method {self.method}>"

    def _hyperparameters(self):
        if self.method in NAMES:
            return ("lr",)
        if getattr(self.method, "wrapper", False):
            return hyperparameters(self.method)  # pyright: ignore[reportArgumentType]
        return tuple(f.name for f in dataclasses.fields(class_of(self.method)))

    def _known(self, options, level):
        """``options`` without the names that mean nothing here; SciPy's warning about those."""
        allowed = (*_OWN, *self._hyperparameters())
        unknown = [name for name in options if name not in allowed]
        if unknown:
            near = [difflib.get_close_matches(name, allowed, 1, 0.5) for name in unknown]
            words = ", ".join(name + (f" (did you mean {n[0]!r}?)" if n else "") for name, n in zip(unknown, near))
            warnings.warn(f"Unknown solver options: {words}", OptimizeWarning, stacklevel=level)
        return {name: value for name, value in options.items() if name in allowed}

    def __call__(self, fun, x0, args=(), jac=None, hess=None, hessp=None, bounds=None, constraints=(),
                 callback=None, **options):
        """The call that SciPy makes."""
        options = self._known(options, level=4)
        return self._solve(fun, x0, args, jac, hess, hessp, bounds, constraints, callback, options)

    def _solve(self, fun, x0, args, jac, hess, hessp, bounds, constraints, callback, options):
        none = constraints is None or isinstance(constraints, (tuple, list, dict)) and not constraints
        if not none and not (isinstance(constraints, np.ndarray) and constraints.size == 0):
            raise ValueError("constraints must be empty: these methods handle bounds at most")
        x = start(x0)
        box = limits(bounds, x.size)
        bounded = bool(np.isfinite(box).any())
        project = (lambda y: np.minimum(np.maximum(y, box[0]), box[1])) if bounded else None
        if project is not None:
            x = project(x)
        args = args if isinstance(args, tuple) else (args,)
        objective = Objective(fun, args, jac, hess, hessp, box)
        options = self.defaults | options
        own = _settings({key: options.pop(key) for key in _OWN if key in options})
        if self.method in NAMES:
            stepper = _line_search(self.method, options)
        else:
            if bounded:
                check_projection(self.method, options)
            stepper = UpdateStepper(self.method, options, own["maxiter"])
        return _run(objective, x, stepper, project, _notifier(callback), own)


def _settings(given):
    tol = checks.real_or_none("tol", given.pop("tol", None), low=0.0)
    values = {"maxiter": 10_000, "gtol": 1e-5 if tol is None else tol, "ftol": 0.0, "xtol": 0.0,
              "disp": False, "return_all": False} | {k: v for k, v in given.items() if v is not None}
    if isinstance(values["maxiter"], (float, np.floating)) and values["maxiter"].is_integer():
        values["maxiter"] = int(values["maxiter"])  # 1e4, as SciPy's methods take it
    values["maxiter"] = checks.integer("maxiter", values["maxiter"], 0)
    for name in ("gtol", "ftol", "xtol"):
        values[name] = checks.real(name, values[name], 0.0)
    for name in ("disp", "return_all"):  # SciPy's methods take an integer for how much is printed
        if not isinstance(values[name], (bool, np.bool_)):
            values[name] = checks.integer(name, values[name])
    return values


def _line_search(name, options):
    first = options.get("lr")
    if isinstance(first, str):
        checks.choice("lr", first, ("auto",))
        first = None
    return LineSearch(name, None if first is None else checks.real("lr", first, 0.0, open_low=True))


def _notifier(callback):
    """``notify(x, f) -> True`` to stop; the two callback forms that SciPy knows."""
    if callback is None:
        return lambda x, f: False
    if not callable(callback):
        raise TypeError(f"callback must be callable, got {checks.shown(callback)}")
    try:
        wants_result = set(inspect.signature(callback).parameters) == {"intermediate_result"}
    except (TypeError, ValueError):  # builtins have no signature
        wants_result = False

    def notify(x, f):
        try:
            if wants_result:
                callback(intermediate_result=OptimizeResult(x=x.copy(), fun=f))
            else:
                callback(x.copy())
        except StopIteration:
            return True
        return False

    return notify


def _advice(status, nit, stepper):
    """What to try after a run that did not converge, in words; "" where it did, or was stopped."""
    searches = isinstance(stepper, LineSearch)
    other = "method='armijo'" if searches and stepper.spectral else "method='spg', which chooses its own steps"
    if status == LIMIT:
        return f"try a larger maxiter or gtol, or {other}"
    if status == NO_DECREASE:
        return "try a larger gtol, or compare jac with differences: odeopt.Problem(fun, jac, x0=x).check()"
    if status == DIVERGED and nit == 0 and stepper.t == 0.0:
        return "try an x0 where both are finite"
    if status == DIVERGED:
        return f"try {other}" if searches else f"try {stepper.step_name} below {stepper.lr:.3g}, or {other}"
    return ""


def _run(objective, x, stepper, project, notify, own):
    bounded = project is not None
    project = project or (lambda y: y)
    with np.errstate(all="ignore"):
        f, g = objective.value_and_grad(x)
    path = [x.copy()] if own["return_all"] else None
    nit, status, message = 0, None, ""
    if not (np.isfinite(f) and np.isfinite(g).all()):  # no error: a global search goes on elsewhere
        status, message = DIVERGED, f"fun or its gradient is not finite at x0 (fun = {f:g})"
    while status is None:
        residual = np.abs(project(x - g) - x).max() if bounded else np.abs(g).max()
        if residual <= own["gtol"]:
            status, message = CONVERGED, f"{'projected ' if bounded else ''}gradient <= gtol = {own['gtol']:g}"
            break
        if nit >= own["maxiter"]:
            status, message = LIMIT, f"maximum number of iterations ({own['maxiter']}) reached"
            break
        with np.errstate(all="ignore"):  # fun may diverge in silence: the result says so
            new = stepper.step(objective, project, x, f, g)
            if new is None:
                status, message = NO_DECREASE, f"no decrease of fun along the gradient at step {nit}"
                break
            new_f, new_g = (np.nan, g) if not np.isfinite(new).all() else objective.value_and_grad(new)
        if not (np.isfinite(new_f) and np.isfinite(new_g).all()):
            status, message = DIVERGED, f"diverged at step {nit + 1}: fun, gradient or x not finite"
            break
        nit += 1
        with np.errstate(over="ignore"):
            moved, size = float(np.linalg.norm(new - x)), float(np.linalg.norm(new))
        if own["ftol"] and abs(new_f - f) <= own["ftol"] * max(abs(f), abs(new_f), 1.0):
            status, message = CONVERGED, f"relative change of fun <= ftol = {own['ftol']:g}"
        elif own["xtol"] and moved <= own["xtol"] * (1 + size):
            status, message = CONVERGED, f"relative change of x <= xtol = {own['xtol']:g}"
        x, f, g = new, new_f, new_g
        if path is not None:
            path.append(x.copy())
        if notify(x, f):
            status, message = STOPPED, "`callback` raised `StopIteration`."
    message = "; ".join(m for m in (message, stepper.words, _advice(status, nit, stepper)) if m)
    if own["disp"]:
        print(f"{message}\n  fun: {f:.10g}\n  nit: {nit}\n  nfev: {objective.nfev}\n  njev: {objective.njev}")
    result = OptimizeResult(x=x, fun=f, jac=g, success=status == CONVERGED, status=status, message=message, nit=nit,
                            nfev=objective.nfev, njev=objective.njev, nhev=objective.nhev)
    result.t, result.lr = stepper.t, stepper.lr
    if path is not None:
        result.allvecs = path
    return result
