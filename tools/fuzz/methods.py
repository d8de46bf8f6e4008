"""Calls of optimizers, schedules, flows and schemes (:mod:`runs` says what an operation returns)."""

import inspect
import math
from dataclasses import MISSING, fields

import numpy as np
from inputs import OPT, N, R, array, compiled, flow, good_value, hostile, optimizer, pick, spoil
from judge import check_run, finite

import odeopt as oo
from odeopt.schedules.base import sequence


def op_make():
    cls = OPT[R.choice(list(OPT))]
    kw = {
        f.name: good_value(f)
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
        if o.flow is not None and not finite(o.flow.p):
            return f"flow constants not finite {o.flow}"
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
    values = [v for group in groups or () for v in group.values() if isinstance(v, (int, float))]
    # Iterates that overflow by steps of 1e308, or begin with NaN, are right.
    tame = all(abs(v) < 1e6 for v in values) and all(
        isinstance(a, np.ndarray) and a.dtype.kind == "f" and finite(a) and (not a.size or abs(a).max() < 1e10)
        for given in (x, g) for a in (given if isinstance(given, list) else [given])
    )

    def run(x, g):
        s = o.init(x, groups=groups)
        for _ in range(3):
            gg = [a.copy() for a in g] if isinstance(g, list) and all(isinstance(a, np.ndarray) for a in g) else g
            o.update(x, gg, s, threads=threads_)
            for a, b in zip(gg if isinstance(gg, list) else [gg], g if isinstance(g, list) else [g]):
                if g is x:
                    break  # it moves, as asked
                assert (
                    np.array_equal(a, b, equal_nan=True) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else True
                ), "g changed"
        return s

    def check(s):
        if s.k != 3:
            return f"k = {s.k}"
        if tame and not all(finite(a) for a in (x if isinstance(x, list) else [x])):
            return "x not finite after steps of finite gradients"
        return ""

    return run, (x, g), {"_inplace": True}, check


def op_schedule():
    S = oo.schedules
    name = R.choice(S.shapes.__all__)
    f = getattr(S, name)
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
            fl, bounded = flow(), oo.flows.amsgrad_flow(0.1, 1.0, 1e-8)
            d = oo.Discretization(bounded if f is oo.schemes.catching_up_euler else fl, s, 1e-3)
            return oo.record(d, compiled[0], steps=4)
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
