"""Calls of ``minimize`` and of problems, made and used (:mod:`runs` says what an operation returns)."""

import inspect
import math
import warnings
from decimal import Decimal

import numpy as np
import scipy.optimize
from inputs import OPT, N, P, R, array, hostile, optimizer, pick, problem, spoil
from judge import check_run, finite

import odeopt as oo
from odeopt.interop import minimize_method


def op_minimize():
    n = R.randint(1, 4)
    a = N.uniform(0.5, 5, n)
    scale = pick(1.0, 1.0, 1e-8, 1e8, -1.0, 0.0)
    kind = R.randrange(8)

    def fun(x):
        f = scale * 0.5 * float(a @ (x * x))
        g = scale * a * x
        if kind == 1:
            return math.nan
        if kind == 2:
            x[:] = 7.0  # hostile: writes into its argument
        return (f, g) if jac is True else f

    jac = pick(True, "grad", None, "2-point", "3-point", "cs")
    gr = (lambda x: scale * a * x) if kind != 3 else (lambda x: scale * (a * x)[:-1])
    method = pick(*OPT, "armijo", "spg", optimizer(), "gd", "bb", "ADAM", "nope")
    kw = dict(
        jac=gr if jac == "grad" else jac,
        method=method,
        bounds=pick(
            None,
            None,
            [(-1, 1)] * n,
            [(None, 0.5)] * n,
            scipy.optimize.Bounds(-1, 2),
            [(1, 0)] * n,
            [(0, 0)] * n,
            "x",
            [(math.nan, 1)] * n,
        ),
        maxiter=R.randint(0, 60),
        tol=pick(None, 1e-6),
        callback=pick(None, lambda xk: None, lambda intermediate_result: None),
        options=pick(
            None, {"lr": 0.1}, {"lr": "auto"}, {"return_all": True}, {"gtol": 1e-3, "ftol": 1e-9}, {"nope": 3}
        ),
    )
    x0 = array(n)
    spoil(kw, 0.35)
    if method == "errorcontrolledeuler" and isinstance(kw["options"], dict):
        kw["options"] = {"tol": 0.1}

    def check(r):
        if r.success != (r.status == 0):
            return "success is not status 0"
        if r.success and not (finite(r.x) and math.isfinite(r.fun)):
            return "success but not finite"
        if r.x.shape != (n,):
            return "shape"
        if isinstance(kw["bounds"], list) and r.success and kw["bounds"] and isinstance(kw["bounds"][0], tuple):
            for v, (lo, hi) in zip(r.x, kw["bounds"]):
                if (lo is not None and v < lo) or (hi is not None and v > hi):
                    return "out of bounds"
        if (
            kind == 0
            and r.success
            and scale > 0
            and kw["tol"] is None
            and kw["bounds"] is None
            and kw["options"] is None
        ):
            if abs(r.jac).max() > 1e-5 * (1 + 1e-9):
                return "success with a large gradient"
        return ""

    if R.random() < 0.3 and isinstance(method, str) and method != "nope":
        opts = {k: v for k, v in kw.items() if k in ("jac", "bounds", "tol", "callback", "options")}
        return scipy.optimize.minimize, (fun, x0), dict(opts, method=minimize_method(method)), check
    return oo.minimize, (fun, x0), kw, check


def op_problem():
    n = R.randint(1, 3)
    ret = R.choice(
        [
            lambda x: float(x @ x),
            lambda x: x @ x,
            lambda x: np.array([x @ x]),
            lambda x: "a",
            lambda x: None,
            lambda x: 1j,
            lambda x: 3,
            lambda x: math.nan,
            lambda x: True,
            lambda x: Decimal("1"),
            lambda x: np.float32(1.0),
            lambda x: 1 / 0,
        ]
    )
    gr = R.choice(
        [
            lambda x: 2 * x,
            lambda x: list(2 * x),
            lambda x: 2 * x[:, None],
            lambda x: None,
            lambda x: 2j * x,
            lambda x: np.append(x, 0),
            lambda x: (2 * x).astype(int),
            None,
            lambda x: np.array(["a"] * x.size),
            lambda x: x.__imul__(2),
        ]
    )
    kw = dict(
        grad=gr,
        dim=n,
        x0=pick(None, array(n)),
        minima=pick((), [np.zeros(n)]),
        f_min=pick(None, 0.0),
        window=pick(None, ((-1, 1), (-1, 1))),
        name=pick(None, "a", "\n'\"\\{}<b>", "../../x"),
        convex=False,
    )
    spoil(kw, 0.4)

    def run(ret, **kw):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            p = oo.Problem(ret, **kw)
        return oo.record(oo.GradientDescent(0.01), p, steps=3)

    return run, (ret,), kw, check_run


def op_factory():
    f = R.choice(list(P.ALL.values()))
    if f.__name__ in ("digits_mlp", "digits_network", "digits_logistic", "normalized_logistic", "normalized_mlp"):
        f = P.rosenbrock
    names = list(inspect.signature(f).parameters)
    kw = {n: R.choice([hostile(), array(2), 3, [1.0, 2.0]]) for n in names if R.random() < 0.7}

    def check(p):
        v, g = p.value_and_grad(p.x0)
        if g.shape != (p.dim,):
            return "shape"
        if not math.isfinite(v):
            return f"f(x0) = {v}"
        return ""

    return f, (), kw, check


def op_problem_calls():
    p = problem()
    f = R.choice(
        [
            p.fun,
            p.grad,
            p.value_and_grad,
            p.hess,
            lambda x: p.hessp(x, x),
            p.curvature,
            lambda x: p.value_and_grad(x, R.choice([[0], hostile(), [99999]])),
        ]
    )
    return f, (R.choice([array(p.dim), hostile(), p.x0]),), {}, None
