"""NUMBA_DISABLE_JIT=1, to step through a kernel or to measure coverage: everything works, slowly.

The same lines run in this process and in one without the compiler, where they must give the same numbers.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import places
import pytest
from rows import ROWS

import odeopt as oo

ROOT = places.ROOT
BEALE = oo.problems.beale()
GD, ADAM = oo.GradientDescent(1e-3), oo.Adam(1e-2)
FLOW = oo.flows.gradient_flow()


def _updated(optimizer, kind=float, steps=3):
    x = np.array([[1.0, -2.0], [0.5, 3.0]], kind)
    state = optimizer.init(x)
    for _ in range(steps):
        optimizer.update(x, x * 2, state)
    return x.ravel()


CASES = {
    "record": lambda: oo.record(ADAM, BEALE, steps=30).x[-1],
    "kernels of several": lambda: np.concatenate([
        oo.record(cls(1e-3), BEALE, steps=5).x[-1] for cls in (oo.Momentum, oo.Nesterov, oo.RMSprop, oo.Adagrad)]),
    "formula": lambda: oo.record(oo.Adam(1e-2), oo.Problem.from_expression("log(x)^2 + x^2.5*exp(-y)*a", parameters={
        "a": 2.0}, x0=[1.0, 0.5]), steps=9).x[-1],
    "schedule of schedules": lambda: oo.record(ADAM, BEALE, steps=20, schedule=oo.schedules.warmup(
        5, oo.schedules.cosine(20))).x[-1],
    "discretization": lambda: oo.record(oo.Discretization(FLOW, oo.schemes.rk4, 1e-2), BEALE, steps=9).x[-1],
    "reference": lambda: oo.reference(ADAM, BEALE, t_end=0.05)(0.05),
    "ensemble": lambda: oo.ensemble(ADAM, BEALE, np.ones((3, 2)), steps=9).x.ravel(),
    "update": lambda: _updated(ADAM),
    "update float32": lambda: _updated(ADAM, np.float32),
    "swa": lambda: _updated(oo.SWA(ADAM)),
    "clipped": lambda: _updated(oo.SWA(oo.Clipped(ADAM, norm=0.5))),
    "clipped flow": lambda: oo.reference(oo.Clipped(ADAM, value=0.5), BEALE, t_end=0.05)(0.05),
    "amos": lambda: _updated(oo.Amos(0.1)),
    "minimize": lambda: oo.minimize(BEALE, BEALE.x0, method=ADAM, maxiter=20).x,
    "convergence": lambda: np.array(oo.convergence(GD, BEALE, t_end=0.01, levels=3).order).ravel(),
    "sample": lambda: oo.sample(GD, BEALE, oo.stochastic.gaussian(0.1), paths=2, steps=9, seed=1).x.ravel(),
    "every row": lambda: np.concatenate([oo.record(row.make(), BEALE, steps=3).x[-1] for row in ROWS]),
    "every row, a matrix": lambda: np.concatenate([_updated(row.make()) for row in ROWS
                                                   if "shape" not in row.arguments]),
    "inlined loop": lambda: oo.record(ADAM, BEALE, steps=20, specialize=True).x[-1],
}


@pytest.fixture(scope="module")
def plain():
    code = f"import sys; sys.path[:0] = [{str(places.TESTS)!r}, {str(Path(__file__).parent)!r}]\n" + """
import test_without_compiler as t
for name, case in t.CASES.items():
    print(name, *[float(v).hex() for v in case()], sep="|")
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True,
                          env=os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr[-3000:]
    rows = (line.split("|") for line in done.stdout.splitlines())
    return {name: [float.fromhex(v) for v in values] for name, *values in rows}


def test_the_kernels_have_their_names_without_the_compiler():
    code = "import odeopt.kernels as k; print(*k.__all__)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True,
                          env=os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)})
    assert done.stdout.split() == oo.kernels.__all__


@pytest.mark.parametrize("name", CASES)
def test_the_interpreter_gives_the_compiled_numbers(name, plain):
    np.testing.assert_allclose(plain[name], CASES[name](), rtol=1e-4 if name == "convergence" else 1e-6)
