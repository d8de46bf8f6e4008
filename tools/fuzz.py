"""Random calls of the public API, right and hostile ones: ``python tools/fuzz.py run BATCHES COUNT FIRST_SEED``.

Each batch is a process that makes COUNT calls, reproducible from its seed and the call's number. What is asked for: no
death of the interpreter, no hang, no exception but a ValueError or TypeError whose one line names an argument, no
result that contradicts itself, no argument changed or shared. Calls are written to a log before they are made, so
that a death can be pinned; ``replay SEED LOG I ...`` makes single ones again. Warnings are logged, and are no failures.
"""

import faulthandler
import inspect
import io
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

LIMIT = 20.0  # seconds of a call
ROOT = Path(__file__).resolve().parents[1]
FOLDER = os.path.join(tempfile.gettempdir(), "odeopt-fuzz")


class Hang(BaseException):
    pass


class Unchecked(Exception):
    """A loader took arrays that compiled code would leave."""


def worker(seed, count, log, only=None):
    """Make the calls 0 ... ``count`` - 1 of ``seed``, or those in ``only``."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    import numpy as np
    import scipy.optimize

    import odeopt as oo
    from odeopt import stochastic
    from odeopt.interop import minimize_method
    from odeopt.optimizers import State
    from odeopt.studies.noise import stationary as st
    from odeopt.studies.stability.limits import stability_table

    R = random.Random(seed)
    N = np.random.default_rng(seed)
    out = open(log, "a", buffering=1)
    tmp = Path(tempfile.mkdtemp(prefix="fuzz", dir=FOLDER))
    P = oo.problems
    compiled = [
        P.beale(),
        P.rosenbrock(),
        P.quadratic([1.0, 10.0]),
        P.quartic(),
        P.sine_bowl(),
        P.himmelblau(),
        P.rosenbrock(5),
        P.saddle(),
        P.log_cosh_valley(),
        P.ackley(),
        P.quadratic([1.0]),
        P.monkey_saddle(),
        P.booth(),
    ]

    def python_problem(kind):
        if kind == 0:
            return oo.Problem(
                lambda x: float(x @ x), lambda x: 2 * x, lambda x: 2 * np.eye(x.size), dim=3, x0=[1.0, 2.0, 3.0]
            )
        if kind == 1:
            return oo.Problem(lambda x: float(np.cos(x).sum()), lambda x: -np.sin(x), dim=2)
        if kind == 2:  # nan away from the start
            return oo.Problem(
                lambda x: float(np.sqrt(x[0])) if x[0] > 0 else math.nan,
                lambda x: 0.5 / np.sqrt(np.abs(x)),
                dim=1,
                x0=[2.0],
            )
        if kind == 3:  # float32 results, ints
            return oo.Problem(lambda x: np.float32(x @ x), lambda x: (2 * x).astype(np.float32), dim=2)
        return oo.Problem(lambda x: float(abs(x).sum()), np.sign, dim=4, x0=np.arange(1.0, 5.0))

    pythons = [python_problem(i) for i in range(5)]
    OPT = {**oo.optimizers.ALL}
    from dataclasses import MISSING, fields

    def pick(*xs):
        return R.choice(xs)

    def good(name):
        low = name.lower()
        table = {
            "lr": lambda: 10 ** R.uniform(-5, -1),
            "tol": lambda: 10 ** R.uniform(-4, -1),
            "weight_decay": lambda: pick(0.0, 0.1, 0.5),
            "eps": lambda: pick(0.0, 1e-8, 1e-2),
            "eps_step": lambda: pick(None, 1e-6),
            "momentum_decay": lambda: pick(None, 0.0, 4e-3),
            "gain_min": lambda: pick(0.01, 0.1),
            "gain_max": lambda: pick(1.0, 10.0),
            "eta_plus": lambda: pick(1.0, 1.2),
            "step_min": lambda: pick(0.0, 1e-6),
            "step_max": lambda: pick(1.0, 50.0),
            "axis": lambda: pick(None, (), 0),
            "scale": lambda: pick(0.1, 1.0),
            "initial_accumulator": lambda: pick(0.0, 0.1),
            "lr_decay": lambda: pick(0.0, 0.01),
            "c_coef": lambda: 0.25,
            "d_coef": lambda: 0.25,
            "finetune": lambda: 1.0,
            "eta": lambda: pick(0.5, 1.0),
            "increase": lambda: 0.05,
        }
        if low in table:
            return table[low]()
        return R.choice([0.0, 0.5, 0.9, 0.99, 0.999])

    HOSTILE = [
        math.nan,
        math.inf,
        -math.inf,
        -1.0,
        0.0,
        0,
        -1,
        1,
        2,
        1e308,
        1e-320,
        5e-324,
        10**400,
        -(10**400),
        2**63,
        2**64,
        True,
        False,
        None,
        "x",
        "",
        "nan",
        "é∂ƒ",
        1j,
        np.float32(0.1),
        np.float16(0.1),
        np.int64(3),
        np.uint8(3),
        Fraction(1, 3),
        Decimal("0.1"),
        np.array(0.1),
        np.array([0.1]),
        np.array([0.1, 0.2]),
        [0.1],
        [],
        (),
        {},
        b"x",
        object(),
        lambda: 0,
        np.longdouble(0.1),
        np.bool_(True),
        np.datetime64("2020"),
        0.1,
        1e-3,
        10,
        3,
    ]

    def hostile():
        return R.choice(HOSTILE)

    def show(v, depth=0):
        if isinstance(v, np.ndarray):
            if v.size <= 8:
                return f"np.array({v.tolist()!r}, dtype={str(v.dtype)!r}){'' if v.flags.c_contiguous else '#noncontig'}"
            return f"<array {v.shape} {v.dtype}>"
        if isinstance(v, (list, tuple)) and depth < 3:
            inner = ", ".join(show(x, depth + 1) for x in v[:6])
            return f"[{inner}]" if isinstance(v, list) else f"({inner},)"
        if isinstance(v, dict) and depth < 3:
            return "{" + ", ".join(f"{k!r}: {show(x, depth + 1)}" for k, x in list(v.items())[:8]) + "}"
        return (repr(v)[:160]).replace("\n", " ")

    def array(n=2):
        """a start that is right, mostly"""
        k = R.randrange(22)
        if k < 9:
            return N.uniform(-3, 3, n)
        if k == 9:
            return N.uniform(-3, 3, n).astype(np.float32)
        if k == 10:
            return N.integers(-3, 3, n)
        if k == 11:
            return list(N.uniform(-3, 3, n))
        if k == 12:
            return N.uniform(-3, 3, (n, n))
        if k == 13:
            return N.uniform(-3, 3, 2 * n)[::2]
        if k == 14:
            return np.array([math.nan] * n)
        if k == 15:
            return N.uniform(-3, 3, n) * pick(1e150, 1e300, 1e-300)
        if k == 16:
            return np.array([1 + 1j] * n)
        if k == 17:
            return np.array(["a"] * n)
        if k == 18:
            return np.array([object()] * n)
        if k == 19:
            return np.zeros(pick(0, n + 1, 1))
        if k == 20:
            return N.uniform(-3, 3, n).astype(">f8")
        a = (
            np.ma.array(N.uniform(-3, 3, n), mask=[True] + [False] * (n - 1))
            if R.random() < 0.5
            else N.uniform(-3, 3, n)
        )
        if isinstance(a, np.ndarray) and not isinstance(a, np.ma.MaskedArray):
            a.flags.writeable = False
        return a

    def optimizer(valid=True, only=None):
        while True:
            name = R.choice(only or list(OPT))
            cls = OPT[name]
            kw = {}
            for f in fields(cls):
                if f.default is MISSING or R.random() < 0.3:
                    if f.metadata["numeric"] or f.name == "axis":
                        kw[f.name] = good(f.name)
                    else:
                        allowed = f.metadata["check"].keywords.get("allowed")
                        kw[f.name] = R.choice(allowed)
            try:
                o = cls(**kw)
            except ValueError:
                continue
            if R.random() < 0.05:
                o = oo.optimizers.SWA(o, start=R.randrange(0, 20))
            return o

    def problem():
        return R.choice(compiled) if R.random() < 0.75 else R.choice(pythons)

    def schedule():
        S = oo.schedules
        return R.choice(
            [
                None,
                None,
                None,
                S.cosine(20),
                S.step(5),
                S.constant(0.5),
                S.warmup(5, S.cosine(20)),
                S.cosine_restarts(7, 2.0),
                S.one_cycle(30),
                S.table([1.0, 0.5, 0.0, 2.0]),
                S.silver(),
                S.chebyshev(10.0, 8),
                S.exponential(0.9),
                (S.cosine(20), S.one_cycle_momentum(30)),
                S.ReduceLROnPlateau(patience=2, every=3),
                S.StepDecay(period=2, every=4),
                S.cosine(20, drives="weight_decay"),
                S.linear(10, 0.0, 1.0),
            ]
        )

    def flow():
        F = oo.flows
        return R.choice(
            [
                F.gradient_flow(),
                F.gradient_flow(0.1),
                F.heavy_ball_flow(1.0),
                F.nesterov_flow(3.0),
                F.adam_flow(0.1, 1.0, 1e-8),
                F.rmsprop_flow(0.1, 1e-8),
                F.normalized_flow(),
                F.sign_flow(0.1),
                F.adagrad_flow(1e-8),
                F.bregman_flow(2.0),
                F.adamax_flow(0.1, 1.0, 1e-8),
                F.amsgrad_flow(0.1, 1.0, 1e-8),
                F.averaged_gradient_flow(0.1),
                F.look_ahead_flow(1.0, 0.1),
                F.adadelta_flow(0.1, 1e-6, 1e-6),
                F.nadam_flow(0.1, 1.0, 1e-8, 0.1),
                F.high_resolution_flow(0.01, 0.1),
            ]
        )

    def scheme():
        return R.choice(list(oo.schemes.ALL.values()))

    def discretization():
        return oo.Discretization(flow(), scheme(), 10 ** R.uniform(-4, -1))

    def spoil(kw, chance=0.45, howmany=2):
        """some of the arguments hostile; returns whether any is"""
        if R.random() > chance or not kw:
            return False
        for key in R.sample(sorted(kw), min(R.randint(1, howmany), len(kw))):
            kw[key] = hostile() if R.random() < 0.8 else array(2)
        return True

    # Each operation returns (callable, args, kwargs, check or None). check(result) returns a complaint or "".
    def finite(a):
        return bool(np.isfinite(a).all())

    def check_run(run, p=None):
        if run.status not in ("completed", "converged", "diverged", "interrupted", "stalled"):
            return "status " + run.status
        if len(run) < 1:
            return "no records"
        if not (finite(run.f) and finite(run.x) and finite(run.grad_norm)) and run.ok:
            return f"ok but not finite ({run.status})"
        if not (np.diff(run.k) > 0).all():
            return "k not increasing"
        if run.ok and not finite(run.final["x"]):
            return "ok but final x not finite"
        if run.ok and run.memory is not None and not finite(run.memory):
            return "ok but memory not finite"
        if run.ok and not finite(run.t):
            return "ok but t not finite"
        repr(run)
        run._repr_html_()
        return ""

    def op_make():
        cls = OPT[R.choice(list(OPT))]
        kw = {
            f.name: (
                good(f.name)
                if f.metadata["numeric"] or f.name == "axis"
                else R.choice(f.metadata["check"].keywords.get("allowed"))
            )
            for f in fields(cls)
            if f.default is MISSING or R.random() < 0.6
        }
        spoil(kw, 0.8, 3)

        def check(o):
            for f in fields(o):
                v = getattr(o, f.name)
                if f.metadata["numeric"] and v is not None and not (isinstance(v, float) and math.isfinite(v)):
                    return f"{f.name} = {v!r} accepted"
            if not (finite(o.p)):
                return "p not finite"
            if o.flow() is not None and not finite(o.flow().p):
                return f"flow constants not finite {o.flow()}"
            repr(o)
            assert o.h is not None
            return ""

        return cls, (), kw, check

    def op_refined():
        o = optimizer()
        f = R.choice([2.0, 0.5, 1e3, 1.5, hostile()])
        return o.refined, (f,), {}, lambda r: "" if finite(r.p) else "p not finite"

    def op_changed():
        o = optimizer()
        name = R.choice([f.name for f in fields(o)] + ["nope", ""])
        return o.changed, (), {name: hostile()}, None

    def op_record():
        p, o = problem(), optimizer()
        kw = dict(
            x0=pick(None, array(p.dim)),
            steps=R.randint(0, 120),
            every=R.randint(1, 20),
            schedule=schedule(),
            t_end=pick(None, None, 10 ** R.uniform(-3, 0)),
            gtol=pick(0.0, 1e-3),
            start=pick("cold", "cold", "consistent"),
            memory=pick(True, False),
            specialize=pick(None, False),
        )
        if R.random() < 0.1:
            kw["start"] = N.uniform(0, 1, (len(o.slots), p.dim))
        spoil(kw)
        return oo.record, (o, p), kw, check_run

    def op_record_scheme():
        p, d = problem(), None
        d = discretization()
        if R.random() < 0.3:
            d = oo.Discretization(
                flow(), R.choice([oo.schemes.heun_euler, oo.schemes.dormand_prince]), 1e-3, rtol=10 ** R.uniform(-8, -2)
            )
        kw = dict(
            x0=pick(None, array(p.dim), N.uniform(-1, 1, (d.flow.rows, p.dim))),
            steps=R.randint(0, 60),
            every=R.randint(1, 9),
            t_end=pick(None, 10 ** R.uniform(-3, 0)),
            memory=pick(True, False),
            controller=pick("I", "PI", "PID", (1.0, 0.0, 0.0, 0.9, 0.2, 5.0)),
        )
        spoil(kw)
        return oo.record, (d, p), kw, check_run

    def op_discretization():
        kw = dict(h=pick(0.1, [0.1, 0.2]), rtol=pick(None, 1e-3), atol=1e-6, t0=pick(0.0, 1.0))
        spoil(kw, 0.7)

        def run(**kw):
            d = oo.Discretization(flow(), R.choice([oo.schemes.heun_euler, oo.schemes.rk4]), **kw)
            return oo.record(d, compiled[0], steps=5)

        return run, (), kw, check_run

    def op_compare():
        p, o = R.choice(compiled), optimizer()
        kw = dict(
            x0=pick(None, array(p.dim)),
            steps=R.randint(0, 60),
            every=R.randint(1, 5),
            start=pick("cold", "consistent"),
            t_end=pick(None, None, 10 ** R.uniform(-3, -1)),
            rtol=1e-6,
            atol=1e-8,
            local=pick(True, False),
            order=pick(True, False),
            check=pick(True, False),
            schedule=pick(None, None, None, schedule()),
        )
        spoil(kw, 0.35)

        def check(c):
            if len(c.t) != len(c.error):
                return "shapes"
            if c.error.size and not finite(c.error) and c.run.ok and c.message == "":
                return "error not finite without a word"
            repr(c)
            c.row()
            c._repr_html_()
            return ""

        return oo.compare, (o, p), kw, check

    def op_convergence():
        p, o = R.choice(compiled), optimizer()
        m = pick(o, o, discretization(), (flow(), scheme()))
        kw = dict(
            x0=pick(None, array(p.dim)),
            t_end=10 ** R.uniform(-3, -1),
            levels=pick(3, 4),
            factor=pick(2.0, 1.5),
            start=pick("cold", "consistent"),
            against=pick("reference", "richardson"),
            rtol=1e-8,
            atol=1e-10,
        )
        spoil(kw, 0.35)
        if (
            isinstance(m, oo.Optimizer if hasattr(oo, "Optimizer") else oo.optimizers.Optimizer)
            and kw.get("t_end") is not None
            and isinstance(kw["t_end"], float)
            and math.isfinite(kw["t_end"])
        ):
            try:
                kw["t_end"] = min(kw["t_end"], 300 * m.h)
            except Exception:
                pass

        def check(c):
            if c.asymptotic and not (math.isfinite(c.order) and math.isfinite(c.spread)):
                return "asymptotic without a number"
            repr(c)
            str(c.verdict)
            c.certificate()
            return ""

        return oo.convergence, (m, p), kw, check

    def op_reference():
        p = R.choice(compiled)
        m = pick(optimizer(), flow())
        kw = dict(
            x0=pick(None, array(p.dim)),
            t_end=10 ** R.uniform(-3, 0),
            rtol=pick(1e-6, 1e-8),
            atol=1e-8,
            solver=pick("auto", "DOP853", "RK45", "LSODA", "Radau", "BDF", "RK23", "jitted"),
            start=pick("cold", "consistent"),
            t0=pick(0.0, 0.0, 0.5),
            check=pick(True, False),
            reuse=pick(True, False),
            schedule=pick(None, None, None, schedule()),
        )
        spoil(kw, 0.4)
        if kw["schedule"] is not None:
            kw["steps"] = 300

        def check(s):
            if s.success:
                y = s(s.t_end)
                if not finite(y):
                    return "success but not finite at t_end"
                if s.t_end != kw["t_end"]:
                    return f"success but ends at {s.t_end} of {kw['t_end']}"
                if y.shape != (p.dim,):
                    return "shape"
            repr(s)
            return ""

        return oo.reference, (m, p), kw, check

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

    def op_ensemble():
        p, o = R.choice(compiled) if R.random() < 0.9 else R.choice(pythons), optimizer()
        if R.random() < 0.1:
            o = [o, optimizer()]
        count = pick(1, 3, 300)
        s = N.uniform(-3, 3, (count, p.dim))
        if R.random() < 0.2:
            s = array(p.dim)
        kw = dict(
            steps=R.randint(0, 40),
            every=pick(0, 0, 1, 7),
            keep=pick("path", "statistics"),
            t_end=pick(None, 0.1),
            gtol=pick(0.0, 1e-2),
            start=pick("cold", "consistent"),
            threads=pick(1, 2, None),
            chunk=pick(1, 7, 4096) if count < 10 else pick(100, 4096),
        )
        if R.random() < 0.1:
            kw |= dict(out=str(tmp / "paths.npy"), every=2, keep="path")
        spoil(kw, 0.35)

        def check(e):
            if not e.ok:
                return "not ok"
            done = (e.status == 1) | (e.status == 2)
            if not finite(e.x[done]):
                return "completed but x not finite"
            if not finite(e.f[done]):
                return "completed but f not finite"
            if e.x.shape[-2:] != np.shape(s):
                return f"shape {e.x.shape} of starts {np.shape(s)}"
            repr(e)
            return ""

        return oo.ensemble, (o, p, s), kw, check

    def op_sweep():
        p, o = R.choice(compiled), optimizer()
        names = [f.name for f in fields(o)] + ["nope"]
        grid = {
            R.choice(names): pick([0.1, 0.2], [0.5], np.array([0.1, 0.01]), [], "x", 3, [hostile()])
            for _ in range(R.randint(1, 2))
        }
        return (
            oo.sweep,
            (o, p, N.uniform(-1, 1, (2, p.dim))),
            dict(steps=10, grid=pick(grid, grid, grid, hostile())),
            None,
        )

    def op_stationary():
        n = R.randint(1, 3)
        q = N.normal(size=(n, n))
        h = q @ q.T + np.eye(n) * 0.1
        c = np.diag(N.uniform(0, 1, n))
        o = R.choice(
            [
                oo.GradientDescent(0.05),
                oo.Momentum(0.01, 0.9),
                oo.Nesterov(0.01),
                oo.Adam(0.01),
                oo.Momentum(0.01, form="ema"),
                oo.Momentum(0.01, 0.5, form="torch", dampening=0.1),
            ]
        )
        f = R.choice(
            [
                st.stationary_covariance,
                st.ou_covariance,
                lambda o, h, c: st.averaged_covariance(o, h, c, R.choice([1, 5, 0, hostile()])),
                lambda o, h, c: st.stationary(
                    o,
                    h,
                    c,
                    paths=R.choice([2, 50, hostile()]),
                    average=R.choice([0, 3, hostile()]),
                    level=R.choice([0.9, hostile()]),
                    seed=R.choice([0, hostile()]),
                    threads=1,
                ),
            ]
        )
        kw = dict(o=o, h=h, c=c)
        if R.random() < 0.5:
            kw[R.choice(["h", "c"])] = R.choice(
                [
                    hostile(),
                    array(n),
                    -h,
                    np.zeros((n, n)),
                    h + N.normal(size=(n, n)),
                    np.full((n, n), math.nan),
                    h * 1e300,
                    h * 1e-300,
                    np.eye(n + 1),
                ]
            )

        def check(r):
            if isinstance(r, np.ndarray):
                if not finite(r):
                    return "covariance not finite"
                if np.linalg.eigvalsh(r)[0] < -1e-8 * max(1e-300, abs(r).max()):
                    return "covariance not positive semi-definite"
            else:
                repr(r)
            return ""

        return f, (kw["o"], kw["h"], kw["c"]), {}, check

    def op_schedule():
        S = oo.schedules
        name = R.choice(S.shapes.__all__ if hasattr(S, "shapes") else list(k.replace("-", "_") for k in S.ALL))
        f = getattr(S, name)
        if not callable(f):
            f = S.constant
        kw = {}
        for prm in inspect.signature(f).parameters.values():
            if prm.default is inspect.Parameter.empty or R.random() < 0.3:
                kw[prm.name] = {
                    "milestones": (3, 6),
                    "knots": (0, 5, 9),
                    "levels": (1, 0.5, 0.1),
                    "then": None,
                    "shape": pick("linear", "cosine", "hold"),
                    "drives": pick("lr", "momentum", "nope"),
                    "order": pick("stable", "natural"),
                    "factors": [1.0, 0.5],
                    "condition": 10.0,
                    "warm": 0.3,
                    "staircase": pick(True, False),
                    "repeat": pick(True, False),
                    "three_phase": pick(True, False),
                    "absolute": pick(True, False),
                    "momentum": 0.5,
                    "weight_decay": 0.1,
                    "low": 0.1,
                    "high": 0.9,
                    "growth": pick(1.0, 2.0),
                    "rate": 0.9,
                    "factor": 0.5,
                }.get(prm.name, R.choice([1, 5, 8, 20]))
        spoil(kw, 0.6)

        def run(**kw):
            s = f(**kw)
            values = s(np.arange(0, 30))
            s(0.5)
            s.refined(2.0)
            repr(s)
            if R.random() < 0.2:
                s2 = s.refined(R.choice([2.0, hostile()]), R.choice(["h", "1 - c h", "nope"]))
                s2(np.arange(3))
            return s, values

        def check(r):
            s, v = r
            if np.isnan(v).any() and s.name != "growing":
                return f"values are nan at {np.flatnonzero(np.isnan(v))[:3]}"
            if (v < 0).any():
                return f"negative values {v.min()}"
            return ""

        run.__name__ = f"schedules.{name}"
        return run, (), kw, check

    def op_sequence():
        S = oo.schedules
        parts = [R.choice([S.constant(), S.cosine(9), S.step(3), hostile()]) for _ in range(R.randint(0, 3))]
        miles = R.choice([[5] * (len(parts) - 1), list(range(5, 5 + max(0, len(parts) - 1))), hostile(), [hostile()]])
        from odeopt.schedules.base import sequence

        def run(a, b):
            s = sequence(a, b)
            return s(np.arange(20))

        return run, (parts, miles), {}, lambda v: "" if finite(v) else "not finite"

    def op_controller():
        S = oo.schedules
        kw = dict(
            factor=0.5,
            patience=2,
            threshold=1e-4,
            cooldown=1,
            min_lr=0.0,
            eps=1e-8,
            every=2,
            threshold_mode=pick("rel", "abs"),
            form=pick("torch", "keras"),
        )
        spoil(kw, 0.6)

        def run(**kw):
            c = S.ReduceLROnPlateau(**kw)
            d = c.start(0.1)
            for _ in range(20):
                d.step(R.choice([1.0, 0.5, math.nan, math.inf, -1.0]))
            return d

        return run, (), kw, lambda d: "" if math.isfinite(d.lr) and d.lr >= 0 else f"lr {d.lr}"

    def op_update():
        o = optimizer()
        dtype = pick(np.float64, np.float32)
        shapes = R.choice([[(3,)], [(2, 3)], [(3,), (2, 2)], [(1,), (5,), ()], [(4, 3, 2)]])
        xs = [np.asarray(N.uniform(-2, 2, s), dtype) for s in shapes]
        gs = [np.asarray(N.normal(size=s), dtype) for s in shapes]
        single = len(xs) == 1 and R.random() < 0.7
        x, g = (xs[0], gs[0]) if single else (xs, gs)
        groups = (
            None
            if single or R.random() < 0.6
            else [
                {
                    "arrays": [len(xs) - 1],
                    R.choice([f.name for f in fields(o)] + ["nope"]): R.choice([0.5, 1e-3, hostile()]),
                }
            ]
        )
        if R.random() < 0.3:
            x = R.choice([array(3), hostile(), [array(2), array(2)]])
        if R.random() < 0.3:
            g = R.choice([array(3), hostile(), [array(2), array(2)], x])
        threads_ = R.choice([1, 1, 1, 2, None, hostile()])

        def run(x, g):
            s = o.init(x, groups=groups)
            for _ in range(3):
                gg = [a.copy() for a in g] if isinstance(g, list) and all(isinstance(a, np.ndarray) for a in g) else g
                o.update(x, gg, s, threads=threads_)
                for a, b in zip(gg if isinstance(gg, list) else [gg], g if isinstance(g, list) else [g]):
                    if g is x:
                        break  # it moves, as asked
                    assert (
                        np.array_equal(a, b, equal_nan=True)
                        if isinstance(a, np.ndarray) and a.dtype.kind == "f"
                        else True
                    ), "g changed"
            return s

        def check(s):
            if s.k != 3:
                return f"k = {s.k}"
            if not all(finite(a) for a in (x if isinstance(x, list) else [x])) and all(
                finite(a) and abs(a).max() < 1e10 for a in (g if isinstance(g, list) else [g])
            ):
                return "x not finite after steps of finite gradients"
            return ""

        return run, (x, g), {"_inplace": True}, check

    def corrupt(path):
        """damage a file in one of several ways; returns words"""
        data = bytearray(path.read_bytes())
        how = R.choice(
            [
                "flip",
                "flip",
                "cut",
                "cut",
                "append",
                "empty",
                "zero",
                "drop",
                "shape",
                "dtype",
                "value",
                "words",
                "pickle",
                "dup",
            ]
        )
        if how == "flip":
            for _ in range(R.choice([1, 3, 50])):
                data[R.randrange(len(data))] ^= 1 << R.randrange(8)
        elif how == "cut":
            data = data[: R.randrange(len(data))]
        elif how == "append":
            data += bytes(R.randrange(256) for _ in range(50))
        elif how == "empty":
            data = b""
        elif how == "zero":
            i = R.randrange(len(data))
            data[i : i + 200] = b"\0" * len(data[i : i + 200])
        else:
            with np.load(path, allow_pickle=False) as z:
                arrays = {k: z[k] for k in z.files}
            words = json.loads(str(arrays["words"]))
            key = R.choice([k for k in arrays if k != "words"])
            if how == "drop":
                arrays.pop(key)
            elif how == "shape":
                a = arrays[key]
                arrays[key] = R.choice(
                    [
                        a.ravel()[: max(0, a.size // 2)],
                        np.concatenate([a.ravel()] * 3),
                        a[..., None],
                        np.zeros((0,)),
                        a[:1] if a.ndim else a,
                        np.resize(a, (7,)),
                    ]
                )
            elif how == "dtype":
                arrays[key] = (
                    (lambda a: a.astype(bytes))
                    if arrays[key].dtype.kind == "U"
                    else R.choice(
                        [
                            lambda a: a.astype(np.float32),
                            lambda a: a.astype(complex),
                            lambda a: a.astype(str),
                            lambda a: a.astype(bool),
                            lambda a: a.astype(">f8"),
                            lambda a: np.asfortranarray(a),
                        ]
                    )
                )(arrays[key])
            elif how == "value":
                a = np.array(arrays[key])
                if a.size:
                    a = a.copy()
                    flat = a.reshape(-1)
                    try:
                        flat[R.randrange(a.size)] = (
                            R.choice([-1, 2**40, 0]) if a.dtype.kind in "iu" else R.choice([math.nan, math.inf, 1e300])
                        )
                    except (ValueError, OverflowError, TypeError):
                        pass
                    arrays[key] = a
            elif how == "words":
                k2 = R.choice(list(words))
                if R.random() < 0.3:
                    words.pop(k2)
                else:
                    words[k2] = R.choice([None, 3, "x", [], {}, -1, [[0, [5], None]], [[7]], True, 10**30])
            elif how == "dup":
                arrays[R.choice(["nope", "final.nope", "slots_9", "final", "k.x"])] = np.zeros(3)
            elif how == "pickle":
                arrays[key] = np.array([object()], dtype=object)
            arrays["words"] = np.array(json.dumps(words))
            key = key if how not in ("words", "dup") else ""
            buf = io.BytesIO()
            np.savez(buf, **arrays)
            data = buf.getvalue()
            how = (
                f"{how} {key}"
                + (f" {arrays[key].shape} {arrays[key].dtype}" if key in arrays else "")
                + (f" {k2}={words.get(k2)!r}" if how == "words" else "")
            )
        path.write_bytes(bytes(data))
        return how

    def op_trajectory_file():
        p, o = R.choice(compiled), optimizer()
        path = tmp / f"t{R.randrange(10**9)}.npz"
        run = oo.record(o, p, steps=R.randint(0, 30), every=R.randint(1, 5), memory=pick(True, False), specialize=False)
        run.save(path)
        if R.random() < 0.15:
            how = "whole"
        else:
            how = corrupt(path)

        def again(how, what):
            try:
                t = oo.Trajectory.load(path)
            finally:
                path.unlink()
            if how == "whole":
                assert np.array_equal(t.x, run.x) and repr(t) == repr(run)
            return t

        return again, (how, repr(o)), {}, lambda t: (repr(t) and t._repr_html_() and "") if how == "whole" else ""

    def op_resume_file():
        p, o = R.choice(compiled), optimizer()
        path = tmp / f"r{R.randrange(10**9)}.npz"
        oo.record(o, p, steps=R.randint(1, 30), every=2, specialize=False).save(path)
        how = corrupt(path)

        def again(how, what):
            try:
                t = oo.Trajectory.load(path)
            finally:
                path.unlink()
            x, s = np.asarray(t.final.get("x")), np.asarray(t.final.get("s"))
            if x.shape != (p.dim,) or s.shape != (len(o.slots), p.dim) or x.dtype != float or s.dtype != float:
                oo.record(o, p, steps=5, every=2, resume=t, specialize=False)
                raise Unchecked(f"record went on from final.x {x.shape} {x.dtype}, final.s {s.shape} {s.dtype}")
            return oo.record(o, p, steps=5, every=2, resume=t, specialize=False)

        return again, (how, repr(o)), {}, check_run

    def op_state_file():
        o = optimizer()
        xs = [N.normal(size=(3,)), N.normal(size=(2, 2))]
        s = o.init(xs if R.random() < 0.6 else xs[0])
        single = s.single
        path = tmp / f"s{R.randrange(10**9)}.npz"
        s.save(path)
        how = corrupt(path)

        def again(how, what):
            try:
                t = State.load(path)
            finally:
                path.unlink()
            x = xs[0] if single else xs
            kept = [a.shape for a in s.slots], [a.dtype for a in s.slots], s.shapes, s.blocks, s.names
            if ([np.shape(a) for a in t.slots], [a.dtype for a in t.slots], t.shapes, t.blocks, t.names) != kept:
                o.update(x, np.ones_like(x) if single else [np.ones_like(a) for a in x], t)
                raise Unchecked(f"update went on from {how}")
            o.update(x, np.ones_like(x) if single else [np.ones_like(a) for a in x], t)
            return t

        return again, (how, repr(o)), {"_inplace": True}, None

    def op_paths_file():
        o = R.choice([oo.GradientDescent(0.01), oo.Momentum(0.01), oo.Adam(0.01)])
        p = compiled[0]
        noise = pick(None, stochastic.gaussian(0.1))
        path = tmp / f"p{R.randrange(10**9)}.npz"
        whole = oo.sample(o, p, noise, steps=6, paths=3, every=2, threads=1)
        whole.save(path)
        how = corrupt(path)

        def again(how, what):
            try:
                t = stochastic.Paths.load(path)
            finally:
                path.unlink()
            wrong = [
                n
                for n, a in whole.final.items()
                if np.shape(a) != np.shape(t.final.get(n)) or np.asarray(a).dtype != np.asarray(t.final.get(n)).dtype
            ]
            if wrong or t.x.shape != whole.x.shape:
                oo.sample(o, p, noise, steps=4, resume=t, threads=1)
                raise Unchecked(f"sample went on from {how}")
            if R.random() < 0.7:
                return oo.sample(o, p, noise, steps=4, resume=t, threads=1)
            return t

        return again, (how, repr(o)), {}, None

    def op_study_file():
        s = (
            stability_table([oo.GradientDescent(0.1)])
            if R.random() < 0.5
            else oo.convergence(oo.GradientDescent(0.01), compiled[2], t_end=0.1, levels=3)
        )
        path = tmp / f"y{R.randrange(10**9)}.npz"
        s.save(path)
        data = bytearray(path.read_bytes())
        how = R.choice(["flip", "cut", "empty", "text"])
        if how == "flip":
            for _ in range(R.choice([1, 3, 50])):
                data[R.randrange(len(data))] ^= 1 << R.randrange(8)
        elif how == "cut":
            data = data[: R.randrange(len(data))]
        elif how == "empty":
            data = b""
        else:
            data = b"hello"
        path.write_bytes(bytes(data))

        def again(how, what):
            try:
                return type(s).load(path)
            finally:
                path.unlink()

        return again, (how, type(s).__name__), {}, None

    def op_sample():
        p, o = R.choice(compiled[:6]), optimizer()
        kw = dict(
            noise=pick(
                None,
                stochastic.gaussian(0.1),
                stochastic.gaussian([0.1] * p.dim),
                stochastic.tangent(0.1),
                stochastic.Minibatch(3),
                stochastic.diagonal_multiplicative(0.1, 0.1),
            ),
            x0=pick(None, array(p.dim)),
            steps=R.randint(1, 30),
            paths=R.randint(1, 5),
            seed=R.randint(0, 9),
            every=pick(None, 1, 7),
            schedule=pick(None, None, schedule()),
            start=pick("cold", "consistent"),
            average_from=pick(None, 0, 5),
            threads=1,
        )
        spoil(kw, 0.4)
        if isinstance(kw["steps"], int) and kw["steps"] > 10**6:
            kw["steps"] = 5

        def check(r):
            if r.status == "completed" and not finite(r.end):
                return "completed but not finite"
            repr(r)
            return ""

        return oo.sample, (o, p), kw, check

    def op_simulate():
        p = R.choice(compiled[:6])
        o = R.choice([oo.GradientDescent(0.01), oo.Momentum(0.01), oo.Nesterov(0.01), optimizer()])
        kw = dict(
            x0=pick(None, array(p.dim)),
            steps=R.randint(1, 20),
            h=pick(None, 0.001),
            scheme=pick("weak_second_order", "euler_maruyama"),
            paths=R.randint(1, 3),
            seed=0,
            every=pick(None, 3),
            threads=1,
        )
        order = pick(1, 1, 2, hostile())
        noise = pick(stochastic.gaussian(0.1), stochastic.diagonal_multiplicative(0.1, 0.1), hostile())
        spoil(kw, 0.4)
        if isinstance(kw["steps"], int) and kw["steps"] > 10**6:
            kw["steps"] = 5  # known: hangs, or takes all memory

        def run(o, noise, **kw):
            return stochastic.simulate(stochastic.sde(o, order), p, noise, **kw)

        return (
            run,
            (o, noise),
            kw,
            lambda r: "completed but not finite" if r.status == "completed" and not finite(r.end) else "",
        )

    def op_noise():
        f = R.choice([stochastic.gaussian, stochastic.tangent, stochastic.Minibatch])
        a = R.choice(
            [hostile(), array(2), np.eye(2), -np.eye(2), np.array([[1.0, 2.0], [0.0, 1.0]]), np.zeros((2, 2)), 0.1]
        )
        return f, (a,), {}, None

    def op_study():
        p, o = R.choice(compiled[:7]), optimizer()
        which = R.choice(
            [
                "stability_limit",
                "amplification_matrix",
                "stability_region",
                "period_two_orbit",
                "step_jacobian",
                "modified_flow",
                "lyapunov",
                "restarted",
                "directions",
                "tune",
                "basins",
                "work_precision",
                "central_flow",
                "step_control",
                "deviation",
                "modified_convergence",
                "spectral_radius_map",
                "order_certificates",
                "suggest",
            ]
        )
        f = {"suggest": None}.get(which) or getattr(oo, which, None)
        if which == "stability_limit":
            args, kw = (pick(o, scheme()),), dict(curvature=1.0, vary=pick("lr", "curvature"), preconditioner=1.0)
        elif which == "amplification_matrix":
            args, kw = (pick(o, scheme()),), dict(curvature=1.0, preconditioner=1.0)
        elif which == "stability_region":
            args, kw = (
                (pick(o, scheme()),),
                dict(window=pick(None, ((-3, 1), (-2, 2))), resolution=9, preconditioner=1.0),
            )
        elif which == "period_two_orbit":
            args, kw = (o,), dict(curvature=1.0)
        elif which == "step_jacobian":
            args, kw = (o, p), dict(x=p.x0, s=o.start(p.x0), k=5)
        elif which == "modified_flow":
            args, kw = (o,), dict(order=pick(1, 2, 3))
        elif which == "modified_convergence":
            args, kw = (o, p), dict(t_end=pick(None), levels=3)
        elif which == "lyapunov":
            args, kw = (
                (pick(o, flow()), p),
                dict(
                    x0=None,
                    steps=20,
                    energy=pick(None, "gap", "nesterov", "mechanical"),
                    t_end=pick(None, 0.5),
                    mu=pick(None, 1.0),
                    minimiser=None,
                    tolerance=1e-10,
                ),
            )
        elif which == "restarted":
            args, kw = (
                (pick(o, oo.Nesterov(0.001, None)), p),
                dict(x0=None, steps=30, rule=pick("speed", "gradient", "function", "f"), patience=2),
            )
        elif which == "directions":
            args, kw = (o, p), dict(x0=None, steps=30, start="cold", t_orbit=pick(None, 0.5))
        elif which == "tune":
            args, kw = (
                (o, p),
                dict(
                    x0=None,
                    steps=20,
                    grid=5,
                    span=10.0,
                    golden=2,
                    momenta=pick(None, [0.5, 0.9]),
                    score=pick("final", "best"),
                ),
            )
        elif which == "basins":
            args, kw = (o, P.himmelblau()), dict(window=None, resolution=3, steps=20, t_end=None, radius=None)
        elif which == "work_precision":
            args, kw = ([o], p), dict(x0=None, t_end=None, levels=3, steps=8, factor=2.0, repeats=1)
        elif which == "central_flow":
            args, kw = (
                (pick(oo.GradientDescent(0.001), oo.RMSprop(0.001)), R.choice(compiled[:3])),
                dict(x0=None, steps=10, substeps=2),
            )
        elif which == "step_control":
            args, kw = (p,), dict(x0=None, t_end=0.05, tol=0.1, steps=300)
        elif which == "deviation":
            args, kw = (o, o, p), dict(steps=10)
        elif which == "spectral_radius_map":
            args, kw = (pick(o, oo.Momentum(0.1)),), dict(mu=1.0, L=10.0)
        elif which == "order_certificates":
            args, kw = ([o], p), dict(t_end=20 * o.h, levels=3)
        else:
            from odeopt.studies.search.suggest import suggest

            f, args, kw = suggest, (type(o) if not type(o).wrapper else oo.Adam, p), dict(x0=None, steps=100)
        spoil(kw, 0.5)
        if f is None:
            return op_make()

        def run(*a, **k):
            return f(*a, **k)

        run.__name__ = which

        def check(r):
            repr(r)
            if hasattr(r, "to_dict"):
                json.dumps(r.to_dict(), default=str)
            if which == "stability_limit" and math.isnan(r):
                return "nan"
            return ""

        return run, args, kw, check

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
        if f.__name__ in ("digits_mlp", "digits_logistic", "normalized_logistic", "normalized_mlp"):
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

    def op_flow():
        f = R.choice([v for k, v in oo.flows.ALL.items()])
        kw = {}
        for prm in inspect.signature(f).parameters.values():
            if prm.default is inspect.Parameter.empty or R.random() < 0.3:
                kw[prm.name] = {
                    "eps_mode": pick("inside", "outside"),
                    "form": pick("torch", "optax", "paper"),
                    "kind": pick("nag-sc", "nag-c", "heavy-ball"),
                }.get(prm.name, 10 ** R.uniform(-3, 1))
        spoil(kw, 0.5)

        def run(**kw):
            fl = f(**kw)
            return (
                oo.reference(fl, compiled[0], t_end=0.01, rtol=1e-6, check=False)
                if R.random() < 0.5
                else oo.record(oo.Discretization(fl, oo.schemes.rk4, 1e-3), compiled[0], steps=3)
            )

        run.__name__ = f.__name__

        def check(r):
            if hasattr(r, "success"):
                return "success, not finite" if r.success and not finite(r(r.t_end)) else ""
            return check_run(r)

        return run, (), kw, check

    def op_rkc():
        f = R.choice(
            [
                oo.schemes.runge_kutta_chebyshev,
                oo.schemes.partitioned_euler,
                oo.schemes.coasting_euler,
                oo.schemes.catching_up_euler,
                oo.schemes.chebyshev_steps,
                oo.schemes.silver_steps,
                oo.schemes.explicit_runge_kutta,
            ]
        )
        args = {
            "runge_kutta_chebyshev": (pick(5, 1, hostile()), pick(0.05, hostile())),
            "partitioned_euler": (pick((1, 0), (0,), hostile(), array(2)),),
            "coasting_euler": (pick("memory", hostile()),),
            "catching_up_euler": (pick(1, 2, hostile()), pick(None, 1, hostile())),
            "chebyshev_steps": (pick(1.0, hostile()), pick(10.0, hostile()), pick(8, hostile())),
            "silver_steps": (pick(7, hostile()), pick(1.0, hostile())),
            "explicit_runge_kutta": ("a", pick([[0, 0], [1, 0]], hostile()), pick([0.5, 0.5], hostile())),
        }[f.__name__]
        kw = {"order": 2} if f is oo.schemes.explicit_runge_kutta else {}

        def run(*a, **k):
            s = f(*a, **k)
            if isinstance(s, oo.schemes.Scheme):
                fl = flow()
                if f is oo.schemes.catching_up_euler:
                    return (
                        oo.record(
                            oo.Discretization(oo.flows.amsgrad_flow(0.1, 1.0, 1e-8), s, 1e-3), compiled[0], steps=4
                        )
                        if args in ((1, None), (2, None), (1, 1), (2, 1))
                        else s
                    )  # known: other rows leave the arrays
                return oo.record(oo.Discretization(fl, s, 1e-3), compiled[0], steps=4)
            return s

        run.__name__ = f.__name__
        return (
            run,
            args,
            kw,
            lambda r: (
                check_run(r)
                if hasattr(r, "status")
                else ("" if not isinstance(r, np.ndarray) or finite(r) else "not finite")
            ),
        )

    OPS = [
        (op_make, 12),
        (op_refined, 4),
        (op_changed, 4),
        (op_record, 16),
        (op_record_scheme, 8),
        (op_discretization, 3),
        (op_compare, 4),
        (op_convergence, 3),
        (op_reference, 5),
        (op_minimize, 14),
        (op_ensemble, 8),
        (op_sweep, 3),
        (op_stationary, 4),
        (op_schedule, 8),
        (op_sequence, 2),
        (op_controller, 3),
        (op_update, 12),
        (op_trajectory_file, 6),
        (op_resume_file, 6),
        (op_state_file, 8),
        (op_paths_file, 4),
        (op_study_file, 2),
        (op_sample, 6),
        (op_simulate, 3),
        (op_noise, 2),
        (op_study, 8),
        (op_problem, 5),
        (op_factory, 4),
        (op_problem_calls, 4),
        (op_flow, 4),
        (op_rkc, 3),
    ]
    ops, weights = zip(*OPS)

    import collections

    home = str(Path(oo.__file__).parent)

    def where(error):
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if f.filename.startswith(home)]
        last = frames[-1]
        inner = (
            f"{last.filename.replace(home, 'odeopt').split('site-packages/')[-1]}:{last.lineno}"
            if last.filename
            else "?"
        )
        mine = f"{own[-1].filename.replace(home, 'odeopt')}:{own[-1].lineno}" if own else "-"
        return mine, inner, last.filename.startswith(home)

    def names(f, kw):
        """Words for arguments that a message may name."""
        try:
            inside = {key for value in kw.values() if isinstance(value, dict) for key in value}
            return {*kw, *map(str, inside), *inspect.signature(f).parameters, "x0"} - {""}
        except (TypeError, ValueError):
            return {*kw, "x0"} - {""}

    def hang(*_):
        raise Hang

    signal.signal(signal.SIGPROF, hang)  # of processor time: a busy machine is no hang
    out.write(json.dumps({"begin": seed}) + "\n")
    made = collections.Counter()
    for i in range(count) if only is None else only:
        R.seed(f"{seed}/{i}")
        N.bit_generator.state = np.random.PCG64([seed, i]).state
        op = R.choices(ops, weights)[0]
        try:
            f, args, kw, check = op()
        except (ValueError, TypeError) as e:  # building the inputs failed by construction: look at those too
            out.write(
                json.dumps(
                    {
                        "i": i,
                        "op": op.__name__,
                        "kind": "SETUP",
                        "error": f"{type(e).__name__}: {e}"[:300],
                        "where": where(e),
                    }
                )
                + "\n"
            )
            continue
        inplace = kw.pop("_inplace", False)
        words = [show(a) for a in args] + [f"{k}={show(v)}" for k, v in kw.items()]
        label = f"{op.__name__}: {getattr(f, '__name__', f)}({', '.join(words)})"
        out.write(json.dumps({"i": i, "call": label[:1500]}) + "\n")
        given = [a for a in [*args, *kw.values()] if isinstance(a, np.ndarray) and a.dtype != object]
        before = [a.copy() for a in given]
        faulthandler.dump_traceback_later(600, exit=True, file=out)
        signal.setitimer(signal.ITIMER_PROF, LIMIT + 5)
        begin, complaint, kind, err = time.process_time(), "", "", None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            old = np.seterr(all="warn")
            try:
                try:
                    result = f(*args, **kw)
                    signal.setitimer(signal.ITIMER_PROF, 0)
                    if check is not None:
                        c = check(result)
                        if c:
                            kind, complaint = "NONSENSE", c
                    arrays = [
                        v
                        for v in (vars(result).values() if hasattr(result, "__dict__") else [])
                        if isinstance(v, np.ndarray)
                    ]
                    if hasattr(result, "final") and isinstance(result.final, dict):
                        arrays += [v for v in result.final.values() if isinstance(v, np.ndarray)]
                    for a in arrays:
                        for b in given:
                            if a.size and b.size and np.shares_memory(a, b) and not inplace:
                                kind, complaint = "ALIAS", "result shares memory with an argument"
                except Hang:
                    kind, complaint = "HANG", f"> {LIMIT} s"
                except (ValueError, TypeError) as e:
                    err = e
                    mine, inner, own = where(e)
                    text = str(e)
                    if inner.startswith(__file__):
                        kind = ""  # of the objective itself: it is the caller's
                    elif inner.startswith("scipy/optimize/_minimize.py") or (
                        inner.startswith("scipy/optimize/_optimize.py")
                    ):
                        kind = ""  # SciPy's own words on arguments not yet passed on, or on a pair that is none
                    elif not own:
                        kind, complaint = "FOREIGN", f"{type(e).__name__}: {text[:200]}"
                    elif "\n" in text:
                        kind, complaint = "LINES", text[:200]
                    elif not (
                        re.match(r"[\w. '*()\[\]=-]{1,60} (must|needs|has|have|holds|asks) ", text)
                        or (" is not a " in text and " file: " in text)
                        or any(re.search(rf"\b{re.escape(n)}\b", text) for n in names(f, kw))
                    ):
                        kind, complaint = "UNNAMED", f"{type(e).__name__}: {text[:200]}"
                    elif len(text) > 500:
                        kind, complaint = "LONG", text[:200]
                except AssertionError as e:
                    err = e
                    kind, complaint = "ASSERT", str(e)[:200]
                except ZeroDivisionError as e:  # of the objective's own 1 / 0: it is the caller's
                    err = e
                    if traceback.extract_tb(e.__traceback__)[-1].filename != __file__:
                        kind, complaint = "TYPE", f"ZeroDivisionError: {e}"
                except Exception as e:
                    err = e
                    kind, complaint = "TYPE", f"{type(e).__name__}: {str(e)[:200]}"
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
                np.seterr(**old)
        faulthandler.cancel_dump_traceback_later()
        seconds = time.process_time() - begin
        if seconds > LIMIT and not kind:
            kind, complaint = "SLOW", f"{seconds:.1f} s"
        if not inplace:
            for a, b in zip(given, before):
                if not (np.array_equal(a, b, equal_nan=True) if a.dtype.kind in "fc" else np.array_equal(a, b)):
                    kind, complaint = "CHANGED", "an argument was changed"
        made[op.__name__] += 1
        if kind:
            mine, inner, _ = where(err) if err is not None else ("-", "-", False)
            out.write(
                json.dumps(
                    {
                        "i": i,
                        "seed": seed,
                        "kind": kind,
                        "op": op.__name__,
                        "what": complaint,
                        "mine": mine,
                        "inner": inner,
                        "call_": label[:1500],
                        "s": round(seconds, 2),
                    }
                )
                + "\n"
            )
        for w in caught:
            out.write(
                json.dumps(
                    {
                        "i": i,
                        "kind": "WARN",
                        "op": op.__name__,
                        "what": f"{w.category.__name__}: {str(w.message)[:160]}",
                        "mine": f"{w.filename.replace(home, 'odeopt').split('site-packages/')[-1]}:{w.lineno}",
                        "call_": label[:600],
                        "ok": err is None,
                    }
                )
                + "\n"
            )
    out.write(json.dumps({"end": seed, "made": made}) + "\n")
    import shutil

    shutil.rmtree(tmp, ignore_errors=True)


def run(batches, count, first):
    """A line for each batch and one for each kind of failure; whether there was none."""
    os.makedirs(FOLDER, exist_ok=True)
    bad = 0
    for seed in range(first, first + batches):
        log = Path(FOLDER, f"log{seed}.jsonl")
        log.unlink(missing_ok=True)
        begin = time.time()
        done = subprocess.run(
            [sys.executable, __file__, "worker", str(seed), str(count), str(log)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        lines = [
            json.loads(line) for line in log.read_text().splitlines() if line.startswith("{") and line.endswith("}")
        ]
        kinds = {}
        for line in lines:
            if line.get("kind") not in (None, "WARN"):
                where = line.get("mine", line.get("where"))
                kinds.setdefault(
                    (line["kind"], line["op"], str(where), line.get("what", line.get("error"))), []
                ).append(line["i"])
        ended = bool(lines) and "end" in lines[-1]
        bad += len(kinds) + (not ended)
        calls = sum("call" in line for line in lines)
        print(
            f"seed {seed}: {calls} calls, {time.time() - begin:.0f} s, {sum(map(len, kinds.values()))} failures",
            flush=True,
        )
        for (kind, op, where, what), numbers in sorted(kinds.items()):
            print(f"  {kind} {op} {where}: {what} (call {', '.join(map(str, numbers[:5]))})")
        if not ended:
            print(f"  DIED ({done.returncode}): {lines[-1] if lines else ''} {done.stderr[-400:]}", flush=True)
    return bad == 0


if __name__ == "__main__":
    verb, numbers = sys.argv[1], sys.argv[2:]
    if verb == "worker":
        worker(int(numbers[0]), int(numbers[1]), numbers[2])
    elif verb == "replay":
        os.makedirs(FOLDER, exist_ok=True)
        worker(int(numbers[0]), 0, numbers[1], [int(i) for i in numbers[2:]])
    elif verb == "run":
        sys.exit(0 if run(*map(int, numbers)) else 1)
    else:
        sys.exit("fuzz.py run BATCHES COUNT FIRST_SEED | fuzz.py replay SEED LOG I ...")
