"""``minimize`` and ``minimize_method``: the optimizers behind SciPy's ``minimize`` contract."""

import dataclasses
import inspect

import numpy as np
from scipy.optimize import OptimizeResult

from .. import checks, optimizers
from ..optimizers import Optimizer
from ..problems import Problem
from .auto_lr import SUPPORTED, auto_lr
from .line_search import NAMES, LineSearch
from .objective import Objective, limits, start

CONVERGED, LIMIT, DIVERGED, NO_DECREASE, STOPPED = 0, 1, 2, 3, 99
_OWN = ("maxiter", "gtol", "ftol", "xtol", "tol", "disp", "return_all")


def minimize(fun, x0=None, args=(), method="adam", jac=None, hess=None, hessp=None, bounds=None, constraints=(),
             tol=None, callback=None, options=None, **hyperparameters):
    """Minimise a function of n variables with one of the package's optimizers.

    The same arguments as :func:`scipy.optimize.minimize`, plus hyperparameters by name.

    Parameters
    ----------
    fun : callable or Problem
        ``fun(x, *args) -> float`` (``(f, gradient)`` with ``jac=True``). A Problem brings its own
        gradient and start.
    x0 : (n,) array
    method : str or Optimizer, default "adam"
        A name of ``odeopt list optimizers``, an instance, "armijo" (explicit Euler with
        backtracking) or "spg" (Barzilai-Borwein steps, non-monotone backtracking).
    jac : callable, True, None, "2-point", "3-point" or "cs"
    hess, hessp : callable, optional
        Used by ``lr="auto"``; without them it differences gradients.
    bounds : Bounds or sequence of (min, max), optional
        By projection, for the methods whose projected fixed points are the constrained ones:
        gradientdescent, adagrad, rmsprop without momentum, armijo, spg. Refused for the others.
    tol : float, optional
        ``gtol`` unless that is given.
    callback : callable
        ``callback(xk)`` or ``callback(intermediate_result=r)``, after each step; StopIteration ends
        the run with status 99.
    options : dict
        The keywords below and hyperparameters.
    maxiter : int, default 10000
    gtol : float, default 1e-5
        Stop when no entry of the (projected) gradient exceeds it.
    ftol, xtol : float, default 0 (off)
        Stop when a step changes f by at most ftol max(|f|, |f+|, 1), or x by at most
        xtol (1 + |x|). Slow steps are not small errors: off by default.
    disp, return_all : bool, default False
        Print the message; keep all iterates in ``allvecs``.
    lr : float or "auto"
        "auto" (the default where the class has none): see :mod:`odeopt.interop.auto_lr`. For armijo
        and spg the first trial step.

    Returns
    -------
    scipy.optimize.OptimizeResult
        x, fun, jac, success, status, message, nit, nfev, njev, nhev, t (flow time), lr.
        ``status`` 0: a tolerance is met; 1: maxiter; 2: not finite (x is the last finite point);
        3: no decrease found; 99: stopped by the callback. Only 0 is a success.

    Raises
    ------
    TypeError, ValueError
        Wrong arguments; constraints; bounds with a method that cannot keep them; unknown options.

    Notes
    -----
    The loop is Python's, as ``fun`` is: for compiled objectives and long runs use
    :func:`odeopt.record`, which stays inside compiled code.
    """
    if isinstance(fun, Problem):
        problem = fun
        x0 = problem.x0 if x0 is None else x0
        fun, jac = problem.value_and_grad, True
        if problem.has_hessian and hess is None and hessp is None:
            hessp = problem.hessp
    elif x0 is None:
        raise TypeError("x0 must be given unless fun is a Problem")
    options = dict(options or {}) | hyperparameters
    if tol is not None:
        options.setdefault("tol", tol)
    return MinimizeMethod(method)(fun, x0, args, jac, hess, hessp, bounds, constraints, callback, **options)


def minimize_method(method, **defaults):
    """A callable for ``scipy.optimize.minimize(..., method=...)``.

    Parameters
    ----------
    method : str or Optimizer
        As in :func:`minimize`.
    **defaults
        Options that hold unless ``minimize(options=...)`` says otherwise.

    Raises
    ------
    ValueError
        An unknown name (with the nearest match).
    """
    return MinimizeMethod(method, **defaults)


class MinimizeMethod:
    """What :func:`minimize_method` returns; picklable."""

    def __init__(self, method, **defaults):
        if not isinstance(method, Optimizer):
            key = str(method).lower().replace("-", "").replace("_", "")
            if key not in NAMES:
                names = (*optimizers.ALL, *optimizers.ALIASES, *NAMES)
                optimizers.by_name(checks.choice("method", key, names))
            method = key
        self.method, self.defaults = method, defaults

    def __repr__(self):
        return f"<odeopt method {self.method}>"

    def __call__(self, fun, x0, args=(), jac=None, hess=None, hessp=None, bounds=None, constraints=(),
                 callback=None, **options):
        """The call that SciPy makes."""
        if constraints is not None and np.size(constraints):
            raise ValueError("constraints must be empty: these methods handle bounds at most")
        x = start(x0)
        box = limits(bounds, x.size)
        project = None if bounds is None else lambda y: np.minimum(np.maximum(y, box[0]), box[1])
        if project is not None:
            x = project(x)
        args = args if isinstance(args, tuple) else (args,)
        objective = Objective(fun, args, jac, hess, hessp, box)
        options = self.defaults | options
        own = _settings({key: options.pop(key) for key in _OWN if key in options})
        words = ""
        if self.method in NAMES:
            stepper = _line_search(self.method, options)
        else:
            optimizer, words = _optimizer(self.method, options, objective, x)
            if project is not None:
                _check_projection(optimizer)
            stepper = _Update(optimizer)
        return _run(objective, x, stepper, project, _notifier(callback), own, words)


def _settings(given):
    tol = given.pop("tol", None)
    values = {"maxiter": 10_000, "gtol": 1e-5 if tol is None else tol, "ftol": 0.0, "xtol": 0.0,
              "disp": False, "return_all": False} | {k: v for k, v in given.items() if v is not None}
    values["maxiter"] = checks.integer("maxiter", values["maxiter"], 0)
    for name in ("gtol", "ftol", "xtol"):
        values[name] = checks.real(name, values[name], 0.0)
    return values


def _line_search(name, options):
    first = options.pop("lr", None)
    if options:
        checks.choice("option", next(iter(options)), (*_OWN, "lr"))
    first = None if first is None or first == "auto" else checks.real("lr", first, 0.0, open_low=True)
    return LineSearch(name, first)


def _optimizer(method, options, objective, x):
    """``(instance, words about lr)`` for a name or an instance and hyperparameters."""
    if isinstance(method, Optimizer):
        cls, given = type(method), {f.name: getattr(method, f.name) for f in dataclasses.fields(method)} | options
    else:
        cls, given = optimizers.by_name(method), dict(options)
    fields = {f.name: f for f in dataclasses.fields(cls)}
    for key in given:
        if key not in fields:
            checks.choice("option", key, (*_OWN, *fields))
    missing = [n for n, f in fields.items() if f.default is dataclasses.MISSING and n not in given]
    if missing == ["lr"] and cls in SUPPORTED:
        given["lr"], missing = "auto", []
    if missing:
        raise ValueError(f"{missing[0]} must be given: {cls.__name__} has no default for it "
                         f"(pass the instance as method=odeopt.{cls.__name__}({missing[0]}=...))")
    words = ""
    if isinstance(given.get("lr"), str):
        checks.choice("lr", given["lr"], ("auto",))
        rest = {k: v for k, v in given.items() if k != "lr"}
        given["lr"], words = auto_lr(cls, objective.product(x), x.size, **rest)
    return cls(**given), words


def _check_projection(optimizer):
    """Projection after the step is sound where the step is a positive diagonal matrix times -g."""
    sound = optimizer.name in ("gradientdescent", "adagrad", "rmsprop") and not getattr(optimizer, "momentum", 0.0)
    if sound and getattr(optimizer, "centered", False):
        sound = False  # the centred mean square may vanish at an active bound
    if not sound:
        raise ValueError(f"bounds must be None for {optimizer.name}: a projected step with memory may stop at a "
                         "point that is no solution (use gradientdescent, adagrad, rmsprop, armijo or spg)")


class _Update:
    """An optimizer's kernel as a stepper."""

    def __init__(self, optimizer):
        self.optimizer, self.kernel, self.p = optimizer, optimizer.kernel, optimizer.p
        self.k, self.t, self.slots = 0, 0.0, None
        self.lr = getattr(optimizer, "lr", None)

    def step(self, objective, project, x, f, g):
        if self.slots is None:
            self.slots = self.optimizer.start(x, g)
        new = x.copy()
        self.t += self.kernel(self.k, self.p, new, g, self.slots)
        self.k += 1
        return project(new)


def _notifier(callback):
    """``notify(x, f) -> True`` to stop; the two callback forms that SciPy knows."""
    if callback is None:
        return lambda x, f: False
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


def _run(objective, x, stepper, project, notify, own, words):
    bounded = project is not None
    project = project or (lambda y: y)
    f, g = objective.value_and_grad(x)
    if not (np.isfinite(f) and np.isfinite(g).all()):
        raise ValueError(f"x0 must be a point where fun and its gradient are finite, got f = {f}")
    path = [x.copy()] if own["return_all"] else None
    nit, status, message = 0, None, ""
    while True:
        residual = np.abs(project(x - g) - x).max() if bounded else np.abs(g).max()
        if residual <= own["gtol"]:
            status, message = CONVERGED, f"{'projected ' if bounded else ''}gradient <= gtol = {own['gtol']:g}"
        elif status is None and nit >= own["maxiter"]:
            status, message = LIMIT, f"maximum number of iterations ({own['maxiter']}) reached"
        if status is not None:
            break
        with np.errstate(all="ignore"):
            new = stepper.step(objective, project, x, f, g)
        if new is None:
            status, message = NO_DECREASE, f"no decrease of fun along the gradient at step {nit}"
            break
        new_f, new_g = (np.nan, g) if not np.isfinite(new).all() else objective.value_and_grad(new)
        if not (np.isfinite(new_f) and np.isfinite(new_g).all()):
            status, message = DIVERGED, f"diverged at step {nit + 1}: fun, gradient or x not finite"
            break
        nit += 1
        change, moved, size = abs(new_f - f), float(np.linalg.norm(new - x)), float(np.linalg.norm(new))
        if own["ftol"] and change <= own["ftol"] * max(abs(f), abs(new_f), 1.0):
            status, message = CONVERGED, f"relative change of fun <= ftol = {own['ftol']:g}"
        elif own["xtol"] and moved <= own["xtol"] * (1 + size):
            status, message = CONVERGED, f"relative change of x <= xtol = {own['xtol']:g}"
        x, f, g = new, new_f, new_g
        if path is not None:
            path.append(x.copy())
        if notify(x, f):
            status, message = STOPPED, "`callback` raised `StopIteration`."
            break
    message = "; ".join(m for m in (message, words) if m)
    if own["disp"]:
        print(f"{message}\n  fun: {f:.10g}\n  nit: {nit}\n  nfev: {objective.nfev}\n  njev: {objective.njev}")
    result = OptimizeResult(x=x, fun=f, jac=g, success=status == CONVERGED, status=status, message=message, nit=nit,
                            nfev=objective.nfev, njev=objective.njev, nhev=objective.nhev)
    result.t, result.lr = stepper.t, stepper.lr
    if path is not None:
        result.allvecs = path
    return result
