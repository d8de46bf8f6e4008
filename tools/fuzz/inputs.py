"""Random arguments, right and hostile ones: everything is drawn from ``R`` and ``N``, which :func:`reseed` sets."""

import math
import os
import random
import tempfile
from dataclasses import MISSING, fields
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np

import odeopt as oo

R = random.Random()
N = np.random.default_rng()
FOLDER = Path(tempfile.gettempdir(), "odeopt-fuzz")
os.makedirs(FOLDER, exist_ok=True)
TMP = Path(tempfile.mkdtemp(prefix="fuzz", dir=FOLDER))
P = oo.problems


def reseed(seed, i):
    """All that call ``i`` of ``seed`` draws depends on these two alone."""
    R.seed(f"{seed}/{i}")
    N.bit_generator.state = np.random.PCG64([seed, i]).state



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
        "steps": lambda: pick(None, 1, 5),
        "every": lambda: pick(1, 3),
        "max_dim": lambda: pick(2, 1000),
        "coefficients": lambda: pick((3.4445, -4.775, 2.0315), (1.5, -0.5, 0.0)),
        "shape": lambda: pick(None, (-1, 1), (1, -1)),
    }
    if low in table:
        return table[low]()
    return R.choice([0.0, 0.5, 0.9, 0.99, 0.999])


def good_value(f):
    """A value of an optimizer's field: one of its choices, or as its name says."""
    allowed = getattr(f.metadata["check"], "keywords", {}).get("allowed")
    return good(f.name) if f.metadata["numeric"] or allowed is None else R.choice(allowed)


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
    a = np.ma.array(N.uniform(-3, 3, n), mask=[True] + [False] * (n - 1)) if R.random() < 0.5 else N.uniform(-3, 3, n)
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
                kw[f.name] = good_value(f)
        try:
            o = cls(**kw)
        except ValueError:
            continue
        if R.random() < 0.05:
            o = oo.optimizers.Clipped(o, **{R.choice(("norm", "value")): 10 ** R.uniform(-3, 2)})
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
