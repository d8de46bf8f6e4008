"""The jitted loops: compiled once, found again by other processes, the same bits however they are run."""

import contextlib
import os
import subprocess
import sys
import types

import numpy as np
import pytest
from numba import njit

import odeopt as oo
from odeopt import machine_code
from odeopt.engine import inlined, loops

ROSENBROCK, BEALE = oo.problems.rosenbrock(), oo.problems.beale()
COLUMNS = ("k", "t", "x", "f", "grad_norm", "lr", "n_grad")


def same(a, b):
    assert a.status == b.status and len(a) == len(b)
    for name in COLUMNS:
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    for key, value in a.final.items():
        assert np.array_equal(value, b.final[key]), key


def python(code, **environment):
    """Standard output of a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


# The specialised loop ------------------------------------------------------------------------------


@pytest.mark.parametrize(("optimizer", "problem", "more"), [
    (oo.GradientDescent(1e-4), ROSENBROCK, {"steps": 20_000, "every": 7}),
    (oo.Adam(1e-3), ROSENBROCK, {"steps": 20_000, "every": 1000, "memory": True}),
    (oo.Adam(1e-3), ROSENBROCK, {"steps": 20_000, "t_end": 5.0}),
    (oo.GradientDescent(1e-3), ROSENBROCK, {"steps": 100_000, "gtol": 1e-6, "every": 100_000}),
    (oo.GradientDescent(1.0), ROSENBROCK, {"steps": 100}),
    (oo.GradientDescent(1e-3), ROSENBROCK, {"x0": [1.0, 1.0], "steps": 10}),
    (oo.Adam(1e-3), ROSENBROCK, {"steps": 0}),
    (oo.ErrorControlledEuler(0.3), ROSENBROCK, {"x0": [0.0, 0.0], "steps": 50}),
])
def test_the_specialised_loop_gives_the_same_bits(optimizer, problem, more):
    with np.errstate(all="ignore"):
        general = oo.record(optimizer, problem, **more, specialize=False)
        special = oo.record(optimizer, problem, **more, specialize=True)
    assert "specialised loop not used" not in special.message
    same(general, special)
    assert general.message == special.message
    if more.get("memory"):
        assert np.array_equal(general.memory, special.memory)


def test_kernels_compiled_by_other_rules_keep_them(tmp_path, monkeypatch):
    """An objective under fastmath, say, is called as it is and not compiled again without."""
    definition = """
def {}(x, g, data):
    g[0], g[1] = (x[0] + 1e12) - 1e12 + x[0] / 3, 2 * x[1] / 3
    return 2 * x[0] * x[0] / 3 + x[1] * x[1] / 3
"""
    (tmp_path / "their_objective.py").write_text(
        "from numba import njit\nfrom odeopt.abi import kernel\n\n@njit(fastmath=True)"
        + definition.format("theirs") + "\n@kernel" + definition.format("ours"))
    monkeypatch.syspath_prepend(tmp_path)
    import their_objective

    ends = {}
    for name in ("theirs", "ours"):
        problem = oo.Problem.from_kernels(name, getattr(their_objective, name), None, dim=2, x0=[1.0, 1.0])
        general, special = (oo.record(oo.GradientDescent(1e-2), problem, steps=100, specialize=s) for s in (0, 1))
        same(general, special)
        assert "not used" not in special.message
        ends[name] = special.x[-1, 0]
    assert ends["theirs"] != ends["ours"]  # with reassociation x + 1e12 - 1e12 is x, without it x to four digits


def test_it_really_runs_and_is_chosen_by_itself_for_long_runs(monkeypatch):
    loop = inlined.Loop(ROSENBROCK, oo.GradientDescent(1e-4), (-1, -1))
    monkeypatch.setattr(inlined, "Loop", lambda *a: loop)
    monkeypatch.setattr(inlined, "LOAD_SECONDS", 1e-3)
    oo.record(oo.GradientDescent(1e-4), ROSENBROCK, steps=10, specialize=True)  # in this process, or on disk
    inlined.loop_for(ROSENBROCK, oo.GradientDescent(1e-4))
    run = oo.record(oo.GradientDescent(1e-4), ROSENBROCK, steps=2_000_000, every=1000)
    assert loop.used == "specialised" and run.status == "completed"
    general = oo.record(oo.GradientDescent(1e-4), ROSENBROCK, steps=2_000_000, every=1000, resume=None)
    same(run, general)


def test_short_runs_do_not_pay_for_it():
    loop = inlined.Loop(BEALE, oo.Momentum(1e-4), (-1, -1))
    assert loop.wanted is None and loop.special is None
    before = dict(inlined._READY)
    oo.record(oo.Momentum(1e-4), BEALE, steps=50_000, every=1000)
    assert inlined._READY == before


def test_resuming_across_the_two_loops():
    adam = oo.Adam(1e-3)
    whole = oo.record(adam, ROSENBROCK, steps=3000, every=7, specialize=False)
    half = oo.record(adam, ROSENBROCK, steps=1234, every=7, specialize=True)
    same(oo.record(adam, ROSENBROCK, steps=3000 - 1234, every=7, resume=half, specialize=False), whole)
    half = oo.record(adam, ROSENBROCK, steps=1234, every=7, specialize=False)
    same(oo.record(adam, ROSENBROCK, steps=3000 - 1234, every=7, resume=half, specialize=True), whole)


def test_where_it_cannot_be_had_the_message_says_why():
    def why(optimizer, problem, **more):
        run = oo.record(optimizer, problem, steps=20, specialize=True, **more)
        assert run.status == "completed" and len(run) == 21
        return run.message

    gd = oo.GradientDescent(1e-4)
    assert "n = 12 is above 8" in why(gd, oo.problems.rosenbrock(12))
    assert "schedule" in why(gd, ROSENBROCK, schedule=oo.schedules.cosine(20))

    local = oo.Problem(njit(lambda x: x[0] ** 2), njit(lambda x: 2 * x), x0=[1.0])
    assert "not a module-level function" in why(gd, local)


def test_where_nothing_can_be_kept_it_is_compiled_and_said_once(tmp_path):
    (tmp_path / "file").write_text("")  # no folder can be made below a file
    code = """
import warnings
import odeopt as oo
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for optimizer in (oo.GradientDescent(1e-4), oo.Momentum(1e-4)):
        run = oo.record(optimizer, oo.problems.rosenbrock(), steps=20, specialize=True)
        assert "not used" not in run.message
print(len(caught), "file" in str(caught[0].message))
"""
    assert python(code, ODEOPT_CACHE_DIR=str(tmp_path / "file" / "below")).split() == ["1", "True"]


def test_another_process_loads_it_without_compiling(tmp_path):
    code = """
import odeopt as oo
from numba.core import event
compiled = []
class Listener(event.Listener):
    def on_start(self, e): compiled.append(str(e.data.get("dispatcher", e.data)))
    def on_end(self, e): pass
event.register("numba:compile", Listener())
run = oo.record(oo.GradientDescent(1e-4), oo.problems.rosenbrock(), steps=5000, every=5000, specialize=True)
assert "not used" not in run.message, run.message
print(len(compiled), run.x[-1].tobytes().hex())
"""
    first = python(code, ODEOPT_CACHE_DIR=str(tmp_path)).split()
    second = python(code, ODEOPT_CACHE_DIR=str(tmp_path)).split()
    assert int(first[0]) > 0 and int(second[0]) == 0 and first[1] == second[1]
    assert len(list(tmp_path.glob("*.nbc"))) == 1


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ODEOPT_CACHE_DIR", "~/loops")
    assert inlined.cache_folder() == tmp_path / "loops"
    gd = oo.GradientDescent(1e-4)
    assert not inlined._on_disk(ROSENBROCK, gd)
    monkeypatch.delitem(inlined._READY, inlined._key(ROSENBROCK, gd), raising=False)
    inlined.loop_for(ROSENBROCK, gd)
    assert inlined._on_disk(ROSENBROCK, gd)
    assert not inlined._on_disk(BEALE, gd) and not inlined._on_disk(ROSENBROCK, oo.Momentum(1e-4))
    assert os.name == "nt" or (tmp_path / "loops").stat().st_mode & 0o777 == 0o700


def test_a_helper_or_a_constant_of_another_file_makes_the_loop_anew(monkeypatch, tmp_path):
    """What a user's kernel calls is compiled into the loop, and may change while the kernel's own file does not."""
    (tmp_path / "their_constants.py").write_text("SCALE, TABLE = 2.0, (1.0, 2.0)\n")
    (tmp_path / "their_helper.py").write_text("from numba import njit\n\n@njit\ndef weight(a):\n    return 3.0 * a\n")
    (tmp_path / "their_kernel.py").write_text("""import their_helper
import numpy as np
from numba import njit
from their_constants import SCALE
table = np.array([1.0, 2.0])

@njit
def fg(x, g, data):
    g[0] = their_helper.weight(x[0]) * table[1]
    return SCALE * x[0]
""")
    monkeypatch.syspath_prepend(tmp_path)
    import their_helper
    import their_kernel

    def path():
        return machine_code.fingerprint(their_kernel.fg)

    paths = {path()}
    assert path() in paths
    monkeypatch.setattr(their_kernel, "SCALE", 2.5)
    paths.add(path())
    their_kernel.table[0] = 7.0
    paths.add(path())
    monkeypatch.setattr(their_helper, "weight", njit(lambda a: 4.0 * a))
    paths.add(path())
    assert len(paths) == 4


# The general loops -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["optimizer", "scheme", "adaptive"])
def test_numbers_do_not_depend_on_the_chunks(kind, monkeypatch):
    method, more = {
        "optimizer": (oo.Adam(1e-2), {"every": 3}),
        "scheme": (oo.Discretization(oo.flows.gradient_flow(), oo.schemes.rk4, 1e-3), {"every": 3}),
        "adaptive": (oo.Discretization(oo.flows.gradient_flow(), oo.schemes.heun_euler, 1e-3, rtol=1e-3), {}),
    }[kind]
    whole = oo.record(method, BEALE, steps=300, **more)
    monkeypatch.setattr(loops, "_CHUNK_SECONDS", 1e-9)  # one step per chunk, after the first 64
    chopped = oo.record(method, BEALE, steps=300, **more)
    same(whole, chopped)


def test_flow_time_is_exact_to_round_off_for_steps_of_any_size():
    from fractions import Fraction

    steps = []
    problem = BEALE
    optimizer = oo.RMSprop(1e-2, form="scalar", decay=0.5)
    x, g = problem.x0.copy(), np.empty(2)
    s = optimizer.start(x)
    for k in range(2000):
        g = problem.grad(x)
        steps.append(optimizer.kernel(k, optimizer.p, x, g, s))
    run = oo.record(optimizer, problem, steps=2000, every=500)
    exact = [float(sum(map(Fraction, steps[:k]))) for k in run.k]
    assert np.array_equal(run.t, exact)
    assert run.final["t"] == exact[-1]


def test_an_underflowing_norm_is_not_a_stationary_point():
    gd = oo.GradientDescent(1e-3)
    problem = oo.problems.quadratic([1.0])
    run = oo.record(gd, problem, [1e-170], steps=5)  # g^2 = 1e-340 is 0
    assert run.status == "completed" and run.final["k"] == 5
    assert oo.record(gd, problem, [0.0], steps=5).status == "converged"
    assert oo.record(gd, problem, [1e-170], steps=5, gtol=1e-160).status == "converged"


def test_loops_compile_once_for_all_kernels():
    for optimizer in (oo.GradientDescent(1e-4), oo.Adam(1e-3), oo.Momentum(1e-4)):
        for problem in (ROSENBROCK, BEALE):
            oo.record(optimizer, problem, steps=3)
    assert len(loops.runnable(loops.optimizer_loop).signatures) == 1


def test_interrupt_keeps_what_is_recorded_and_can_be_resumed(monkeypatch):
    gd = oo.GradientDescent(1e-4)
    calls = []

    def tick(n):
        calls.append(n)
        if len(calls) == 3:
            raise KeyboardInterrupt

    bar = contextlib.nullcontext(types.SimpleNamespace(update=tick))
    monkeypatch.setattr(sys.modules[oo.record.__module__], "progress_bar", lambda *a, **k: bar)
    part = oo.record(gd, ROSENBROCK, steps=500_000, every=10)
    monkeypatch.undo()
    assert part.status == "interrupted" and 0 < part.final["k"] < 500_000 and not part.ok
    rest = oo.record(gd, ROSENBROCK, steps=500_000 - part.final["k"], every=10, resume=part)
    same(rest, oo.record(gd, ROSENBROCK, steps=500_000, every=10))
