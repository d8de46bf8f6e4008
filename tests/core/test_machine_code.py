"""What was compiled is kept on disk, and is never older than what it was compiled from."""

import os
import stat
import subprocess
import sys

import places
import pytest

from odeopt.abi import kernel

ROOT = places.ROOT
HELPER = "from numba import njit\n\n{}\ndef weight(a):\n    return {} * a\n\n\nSCALE = {}\n"
USER = """
import numpy as np
from numba import njit
import odeopt as oo
import their_helper
from odeopt.abi import kernel
from their_helper import SCALE, weight

@{decorator}
def fg(x, g, data):
    g[0] = 1.0
    return their_helper.weight(x[0]) + 100.0 * SCALE

@{decorator}
def fun(x):
    return weight(x[0]) + 100.0 * SCALE

@njit(cache=True)
def grad(x):
    return np.ones(1)
"""
SHOW = """
import odeopt as oo
import their_kernel
problem = oo.Problem.from_kernels("theirs", their_kernel.fg, None, dim=1, x0=[1.0])
print(problem.fun([1.0]), oo.Problem(their_kernel.fun, their_kernel.grad, dim=1).fun([1.0]))
print(oo.record(oo.GradientDescent(1e-3), problem, steps=0).f[0])
"""


def run(code, folder, **environment):
    own = {"NUMBA_CACHE_DIR": "", "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    environment = os.environ | own | environment
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("decorator", ["kernel", "njit", "njit(cache=True)"])
def test_a_helper_or_constant_of_another_file_is_seen(tmp_path, decorator):
    (tmp_path / "their_kernel.py").write_text(USER.format(decorator=decorator))
    for helper in ("@njit(cache=True)", "@njit"):
        for weight, scale in ((2.0, 1.0), (3.0, 1.0), (3.0, 2.0)):
            (tmp_path / "their_helper.py").write_text(HELPER.format(helper, weight, scale))
            assert run(SHOW, tmp_path, PYTHONDONTWRITEBYTECODE="1") == [str(weight + 100.0 * scale)] * 3


BETWEEN = """
from numba import njit
import their_helper

@njit(cache=True)
def value(x):
    return their_helper.weight(x)
"""
CALLERS = """
import functools, sys, warnings
from dataclasses import dataclass
import numpy as np
from numba import njit
from scipy.integrate import solve_ivp
import odeopt as oo
import their_between
from odeopt.interop import ROCK2, solver_class
from odeopt.optimizers.base import Optimizer, positive

def fun(x):
    return their_between.value(x[0])

def grad(x):
    return np.zeros(1)

def rhs(fg, hv, data, t, p, z, dz):
    dz[0, 0] = their_between.value(1.0)

def update(k, p, x, g, s):
    x[0] = their_between.value(1.0)
    return p[0]

class Theirs:
    def method(self, x):
        return fun(x)

    __call__ = method

@dataclass(frozen=True)
class Own(Optimizer):
    lr: float = positive(scales="h")
    kernel = staticmethod(njit(update))

compiled, slope, plane = njit(fun), njit(grad), oo.problems.quadratic([1.0])
if sys.argv[1:] == ["before"]:
    their_between.value(1.0), compiled(np.ones(1))
of = lambda fun, grad=grad: oo.Problem(fun, grad, dim=1).fun([1.0])
steps = [oo.Discretization(oo.flows.base.Flow("own", "", f), oo.schemes.explicit_euler, 1.0) for f in (rhs, njit(rhs))]
with warnings.catch_warnings():
    warnings.simplefilter("ignore", RuntimeWarning)
    print(*(of(f) for f in (fun, Theirs().method, Theirs(), functools.partial(fun), lambda x: fun(x))),
          of(compiled, slope), *(oo.record(m, plane, [0.0], steps=1).x[-1][0] for m in (Own(0.1), *steps)))
    print(*(np.round(solve_ivp(lambda t, y: [their_between.value(1.0)], (0, 1), [0.0], method=m).y[0, -1], 12)
            for m in (ROCK2, solver_class(oo.schemes.explicit_euler))), oo.minimize(fun, [1.0], jac=grad).fun)
"""


@pytest.mark.parametrize("before", ["", "before"])
def test_what_plain_python_calls_is_compiled_from_the_text_of_now(before, tmp_path):
    """numba's own cache of ``value`` knows nothing of the file that ``weight`` stands in."""
    (tmp_path / "their_between.py").write_text(BETWEEN)
    for weight in (2.0, 3.0):
        (tmp_path / "their_helper.py").write_text(HELPER.format("@njit", weight, 1.0))
        run("import their_between; their_between.value(1.0)", tmp_path, PYTHONDONTWRITEBYTECODE="1")
        code = f"import sys; sys.argv[1:] = {[before] if before else []}\n{CALLERS}"
        assert set(run(code, tmp_path, PYTHONDONTWRITEBYTECODE="1")) == {str(weight)}


KERNEL = """
import warnings
import their_own
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(their_own.halved(3.0), len(caught), sum(their_own.halved.stats.cache_hits.values()))
"""


@pytest.fixture
def kept(tmp_path):
    """A kernel of a user's, in a file of latin-1, compiled and kept."""
    (tmp_path / "their_own.py").write_bytes(
        "# -*- coding: latin-1 -*-\n# \xe9\nfrom odeopt.abi import kernel\n\n\n@kernel\ndef halved(x):\n"
        "    return 0.5 * x\n".encode("latin-1"))
    assert run(KERNEL, tmp_path) == ["1.5", "0", "0"]
    (file,) = (tmp_path / "__pycache__").glob("*.nbc")
    assert run(KERNEL, tmp_path) == ["1.5", "0", "1"]
    return file


@pytest.mark.parametrize("at", [0, 31, 32, 40, 2000, -1])
def test_a_garbled_file_is_written_anew(kept, at):
    good = kept.read_bytes()
    bad = bytearray(good)
    bad[at] ^= 0xFF
    kept.write_bytes(bad)
    assert run(KERNEL, kept.parents[1]) == ["1.5", "1", "0"]
    assert run(KERNEL, kept.parents[1]) == ["1.5", "0", "1"]


@pytest.mark.skipif(os.name == "nt", reason="modes of files are POSIX's")
def test_what_others_may_write_is_not_run(kept):
    tmp_path = kept.parents[1]
    kept.chmod(0o666)
    assert run(KERNEL, tmp_path) == ["1.5", "1", "0"]  # and written anew
    assert run(KERNEL, tmp_path) == ["1.5", "0", "1"] and not stat.S_IMODE(kept.stat().st_mode) & 0o022
    kept.parent.chmod(0o777)
    assert run(KERNEL, tmp_path) == ["1.5", "1", "0"]
    assert run(KERNEL, tmp_path) == ["1.5", "1", "0"]


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="only root gives files away")
@pytest.mark.parametrize("user, group, mode", [(12345, 0, 0o700), (0, 12345, 0o770), (12345, 12345, 0o777)])
def test_what_belongs_to_somebody_else_or_his_group_is_not_run(user, group, mode, kept):
    tmp_path = kept.parents[1]
    os.chown(kept, user, group)
    kept.chmod(mode & 0o666)
    assert run(KERNEL, tmp_path) == ["1.5", "1", "0"]  # and written anew
    assert run(KERNEL, tmp_path) == ["1.5", "0", "1"] and kept.stat().st_uid == 0
    os.chown(kept.parent, user, group)
    kept.parent.chmod(mode)
    for _ in range(2):
        assert run(KERNEL, tmp_path) == ["1.5", "1", "0"]


@pytest.mark.skipif(os.name == "nt", reason="modes of files are POSIX's")
def test_the_folder_of_loops_is_private_and_a_shared_one_is_not_used(tmp_path):
    code = """
import warnings
import odeopt as oo
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    run = oo.record(oo.GradientDescent(1e-4), oo.problems.rosenbrock(), steps=20, specialize=True)
print(run.status, len(caught))
"""
    folder = tmp_path / "loops"
    assert run(code, tmp_path, ODEOPT_CACHE_DIR=str(folder)) == ["completed", "0"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and list(folder.glob("*.nbc"))
    folder.chmod(0o777)
    assert run(code, tmp_path, ODEOPT_CACHE_DIR=str(folder)) == ["completed", "1"]


def test_commands_need_no_docstrings():
    done = subprocess.run([sys.executable, "-OO", "-m", "odeopt", "list", "problems"], cwd=ROOT, text=True,
                          capture_output=True)
    assert done.returncode == 0 and "beale" in done.stdout and not done.stderr


def test_without_a_home_kernels_are_compiled_in_memory(tmp_path):
    code = """
import pathlib, warnings
def no_home():
    raise RuntimeError("Could not determine home directory.")
pathlib.Path.home = no_home
import odeopt as oo
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    run = oo.record(oo.GradientDescent(1e-4), oo.problems.rosenbrock(), steps=20, specialize=True)
print(run.status, len(caught))
"""
    assert run(code, tmp_path, ODEOPT_CACHE_DIR="", XDG_CACHE_HOME="") == ["completed", "1"]


FACTORY = """
from odeopt.abi import kernel

def scaled(c):
    @kernel
    def fg(x, g, data):
        g[0] = 2.0 * c * x[0]
        return c * x[0] * x[0]
    return fg
"""
SLOPES = """
import sys
import odeopt as oo
import their_factory
problems = [oo.Problem.from_kernels("own", their_factory.scaled(c), None, dim=1, x0=[1.0]) for c in {}]
runs = [[oo.record(oo.GradientDescent(0.125), p, steps=1).x[-1][0] for p in problems] for _ in range(2)]
print(*runs[0], *runs[1], sum(sum(p.fg.stats.cache_hits.values()) for p in problems))
"""


def factorials():
    @kernel
    def factorial(n):
        if n <= 1:
            return 1
        return n * factorial(n - 1)

    return factorial


@kernel
def fibonacci(n):
    if n <= 1:
        return n
    return fibonacci(n - 1) + fibonacci(n - 2)


def test_a_kernel_may_call_itself():
    assert factorials()(5) == 120 and fibonacci(10) == 55
    assert fibonacci.py_func.__qualname__ == "fibonacci"  # as before it was compiled


def test_kernels_of_one_name_from_two_processes_stay_apart(tmp_path):
    """Compiled code is linked by name, and a closure's name and number in two processes may be the same."""
    (tmp_path / "their_factory.py").write_text(FACTORY)
    assert run(SLOPES.format((1.0,)), tmp_path) == ["0.75", "0.75", "0"]
    assert run(SLOPES.format((2.0,)), tmp_path) == ["0.5", "0.5", "0"]
    assert run(SLOPES.format((1.0, 2.0, 4.0)), tmp_path) == ["0.75", "0.5", "0.0", "0.75", "0.5", "0.0", "2"]


def test_an_import_looks_at_no_file_and_follows_no_call():
    """What keys the code by what it reaches costs nothing until a kernel is used."""
    code = """
import gc
import odeopt
from odeopt import machine_code
stores = [one for one in gc.get_objects() if isinstance(one, machine_code.Store)]
print(len(stores) > 100, any(one._place is not None for one in stores), machine_code._hash_of_file.cache_info().misses)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.stdout.split() == ["True", "False", "0"]
