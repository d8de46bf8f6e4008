"""Calls of the studies (:mod:`runs` says what an operation returns)."""

import json
import math

import numpy as np
from inputs import N, P, R, array, compiled, flow, hostile, optimizer, pick, scheme, spoil
from judge import finite

import odeopt as oo
from odeopt.studies.noise import stationary as st
from odeopt.studies.search.suggest import suggest


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
    f = suggest if which == "suggest" else getattr(oo, which)
    if which == "stability_limit":
        args, kw = (pick(o, scheme()),), dict(curvature=1.0, vary=pick("lr", "curvature"), preconditioner=1.0)
    elif which == "amplification_matrix":
        args, kw = (pick(o, scheme()),), dict(curvature=1.0, preconditioner=1.0)
    elif which == "stability_region":
        args, kw = ((pick(o, scheme()),), dict(window=pick(None, ((-3, 1), (-2, 2))), resolution=9, preconditioner=1.0))
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
        args, kw = (type(o) if not type(o).wrapper else oo.Adam, p), dict(x0=None, steps=100)
    spoil(kw, 0.5)
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
