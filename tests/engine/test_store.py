"""The arrays of the records: large enough at every stride and chunk, and no larger than what they keep."""

import itertools
import os
import subprocess
import sys
import types

import numpy as np
import pytest

import odeopt as oo
from odeopt import checks
from odeopt.engine import loops, store

record_module = sys.modules[oo.record.__module__]
FLOW, D = oo.flows.heavy_ball_flow(1.0), oo.Discretization


class Exact(store.Store):
    """No more room than was asked for, chunks of ``chunk`` steps."""

    chunk = 1

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        for rows in self._rows:
            rows.resize(0)
        self.capacity = 0

    def rows(self, used, most):
        return min(most, self.chunk)

    def reserve(self, used, more):
        for rows in self._rows:
            rows.resize(used + more)
        return True

    def reserve_log(self, rows):
        if self._log is not None:
            self._log.resize(rows)
        return True


def in_the_interpreter(loop):
    """The loop and its helpers as they stand in their file: numpy looks at each index."""
    helpers = {name: loops.__dict__[name].py_func
               for name in ("write_record", "norm_of", "all_finite", "finite", "last_time")}
    names = loops.__dict__ | helpers
    names |= {name: types.FunctionType(f.__code__, names) for name, f in helpers.items()}
    return types.FunctionType(loop.__code__, names)


@pytest.fixture
def checked(monkeypatch):
    problem = oo.Problem(lambda x: float(x @ x), lambda x: 2 * x, dim=2, x0=[1.0, -2.0])
    monkeypatch.setattr(record_module, "Store", Exact)
    for name in ("optimizer_loop", "scheme_loop", "adaptive_loop"):
        monkeypatch.setattr(loops, name, in_the_interpreter(getattr(loops, name)))
    return problem


CASES = {
    "optimizer": (oo.Momentum(1e-2), {}),
    "optimizer to t_end": (oo.GradientDescent(0.1), {"t_end": 0.4}),
    "scheme": (D(FLOW, oo.schemes.explicit_euler, 1e-2), {}),
    "scheme to t_end": (D(FLOW, oo.schemes.explicit_euler, 1e-2), {"t_end": 0.035}),
    "adaptive": (D(oo.flows.gradient_flow(), oo.schemes.heun_euler, 1e-2, rtol=1e-2), {}),  # accepts all
    "adaptive to t_end": (D(FLOW, oo.schemes.heun_euler, 1e-1, rtol=1e-3), {"t_end": 0.5}),
}


@pytest.mark.parametrize("name", CASES)
def test_every_record_has_its_place(name, checked, monkeypatch):
    method, more = CASES[name]
    for chunk, every, steps in itertools.product((1, 2, 3, 100), (1, 2, 3, 5), (0, 1, 2, 5, 6)):
        monkeypatch.setattr(Exact, "chunk", chunk)
        run = oo.record(method, checked, steps=steps, every=every, memory=True, **more)
        last = run.final["k"]
        assert run.status == "completed" and run.k[-1] == last
        if "adaptive" not in name:
            assert run.k.tolist() == sorted({*range(0, last + 1, every), last})
        else:
            assert run.step_log["t"].size == last


@pytest.mark.parametrize("name", ["optimizer", "scheme", "adaptive"])
def test_one_record_less_is_noticed(name, checked, monkeypatch):
    room = Exact.reserve
    monkeypatch.setattr(Exact, "reserve", lambda self, used, more: room(self, used, more - 1))
    monkeypatch.setattr(Exact, "chunk", 100)
    with pytest.raises(IndexError):
        oo.record(CASES[name][0], checked, steps=3, every=2)


@pytest.mark.parametrize("rows", [3, 7, 50_000])
def test_a_view_that_is_still_held_does_not_stop_it(rows):
    """As by a frame that a compilation between two chunks has left to the garbage collector."""
    one = store._Rows(5, (2,), np.float64, True)
    one.array[...] = np.arange(10).reshape(5, 2)
    held = one.array
    one.resize(rows)
    assert one.array.shape == (rows, 2) and (one.array[:5] == np.arange(10).reshape(5, 2)[:rows]).all()
    assert (held == np.arange(10).reshape(5, 2)).all()


def test_growing_changes_no_record(monkeypatch):
    """Room for two records at first, then a quarter more each time."""
    problem, methods = oo.problems.rosenbrock(), [oo.Adam(1e-3), D(FLOW, oo.schemes.heun_euler, 1e-3, rtol=1e-3)]
    whole = [oo.record(method, problem, steps=700, memory=True) for method in methods]
    monkeypatch.setattr(store, "AT_ONCE", 0)
    monkeypatch.setattr(store, "FIRST", 2)
    monkeypatch.setattr(store, "ROWS", 3)
    for method, one in zip(methods, whole):
        other = oo.record(method, problem, steps=700, memory=True)
        for name in ("k", "n_grad", "t", "f", "grad_norm", "lr", "x", "memory"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), name
        if one.step_log:
            assert all(np.array_equal(one.step_log[name], other.step_log[name]) for name in one.step_log)


_PEAK = """
import re, sys, odeopt as oo
from odeopt.engine import store

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])

store.AT_ONCE, store.FIRST = int(sys.argv[1]), 200_000
method, problem, more = oo.GradientDescent(1e-6), oo.problems.rosenbrock(20), eval(sys.argv[2])
oo.record(method, problem, **more | {"steps": 3, "t_end": None})
before = peak()
run = oo.record(method, problem, **more)
names = ("k", "n_grad", "t", "f", "grad_norm", "lr", "x")
print(len(run), peak() - before, sum(getattr(run, name).nbytes for name in names))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
@pytest.mark.parametrize("more", [{"steps": 260_000}, {"t_end": 0.26}], ids=str)
@pytest.mark.parametrize("at_once", [2**28, 0])
def test_the_peak_is_what_is_kept(more, at_once):
    """Of the pages that the process holds, not of what numpy says it has asked for."""
    done = subprocess.run([sys.executable, "-c", _PEAK, str(at_once), str(more)], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    records, peak, kept = map(int, done.stdout.split())
    assert records > 259_000 and 0.9 * kept < peak <= 1.18 * kept


def test_what_cannot_be_had_is_refused_at_once():
    gd, beale = oo.GradientDescent(1e-3), oo.problems.beale()
    equation, noise = oo.stochastic.sde(gd), oo.stochastic.gaussian(np.eye(2))
    for call in (lambda **more: oo.sample(gd, beale, **more),
                 lambda **more: oo.stochastic.simulate(equation, beale, noise, **more)):
        with pytest.raises(ValueError, match="paths, steps and every must ask for no more than the memory"):
            call(steps=2**61, every=3)
        with pytest.raises(ValueError, match="paths, steps and every must ask for no more than the memory"):
            call(steps=3, paths=10**12)
        with pytest.raises(ValueError, match="steps must be at most"):
            call(steps=2**63, every=3)
    with pytest.raises(ValueError, match="steps must be at most"):
        oo.record(gd, beale, steps=2**63)
    for method in (gd, D(oo.flows.gradient_flow(), oo.schemes.rk4, 1e-3)):
        with pytest.raises(ValueError, match="steps and every must ask for no more than the memory, got"):
            oo.record(method, beale, steps=10**14)


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="the size of the memory is known under POSIX alone")
@pytest.mark.parametrize("name", ["optimizer to t_end", "scheme to t_end", "adaptive to t_end"])
def test_where_the_memory_ends_the_run_ends_with_what_is_done(name, monkeypatch):
    """A run that may end before its last step is begun, and keeps its records."""
    method, problem = CASES[name][0], oo.problems.quadratic([1e-3, 2e-3])
    monkeypatch.setattr(store, "AT_ONCE", 0)
    monkeypatch.setattr(store, "FIRST", 16)
    monkeypatch.setattr(store, "ROWS", 16)
    there, limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), checks.memory
    monkeypatch.setattr(checks, "memory", lambda what, size: limit(what, size * (there // 2**16)))  # 64 kB
    run = oo.record(method, problem, steps=10**12, t_end=1e9)
    assert run.status == "stalled" and "there is no memory for more records than" in run.message and 16 <= len(run)
    monkeypatch.undo()
    whole = oo.record(method, problem, steps=int(run.k[-1]), t_end=1e9)
    assert np.array_equal(run.x, whole.x) and np.array_equal(run.t, whole.t)
