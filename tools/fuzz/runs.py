"""Calls of ``record`` and its kin, of ``reference`` and of the stochastic runs.

Each ``op_...`` returns (callable, args, kwargs, check): ``check(result)`` is a complaint or "", or None.
"""

import math
from dataclasses import fields

import numpy as np
from inputs import (
    TMP,
    N,
    R,
    array,
    compiled,
    discretization,
    flow,
    hostile,
    optimizer,
    pick,
    problem,
    pythons,
    schedule,
    scheme,
    spoil,
)
from judge import check_run, finite

import odeopt as oo
from odeopt import stochastic


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
        isinstance(m, oo.Optimizer)
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
            if s.t_end != float(kw["t_end"]):
                return f"success but ends at {s.t_end} of {kw['t_end']}"
            if y.shape != (p.dim,):
                return "shape"
        repr(s)
        return ""

    return oo.reference, (m, p), kw, check


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
        kw |= dict(out=str(TMP / "paths.npy"), every=2, keep="path")
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
        kw["steps"] = 5  # they are made, as asked

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
