"""What ``odeopt bench`` measures is what it says (never how long it takes)."""

import json
import sys

import numpy as np
import pytest

import odeopt as oo
from odeopt import bench, threads
from odeopt.bench import _clock, ensembles, kernels, loops, muon, peers, real
from odeopt.cli import main


def test_arrays_that_a_kernel_moves():
    """Independent counts: rows of n numbers besides x, from the papers' algorithms."""
    expected = {"gradientdescent": 0, "momentum": 1, "nesterov": 1, "rmsprop": 1, "adam": 2, "adamax": 2,
                "amsgrad": 3, "adagrad": 1, "adadelta": 2, "lion": 1, "signgd": 0, "rprop": 2, "nadam": 2}
    found = {o.key: kernels.full_rows(o) for o in kernels.instances()}
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("count", [1, 2])
def test_the_stream_is_a_limit_and_changes_nothing(count, monkeypatch):
    monkeypatch.setattr(threads, "SLICE", 2000)
    ns, fraction = kernels.measure(oo.Adam(), 5000, np.dtype("float32"), 2, count)
    assert ns > 0 and fraction > 0
    for full, bare in enumerate(kernels.STREAMS):
        x, g, s = np.ones(9), np.full(9, 3.0), np.full((full, 9), 2.0)
        bare(0.0, x, g, s)
        assert (x == 1).all() and (s == 2).all() and (g == 3).all()
        bare(0.5, x, g, s)
        assert (x == -0.5).all() and (s == 3.5).all()  # it reads and writes all of them


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_wrappers_are_measured_with_the_kernel_of_their_arrays(dtype):
    """Its address stands in p: float64's would write float32 arrays to pieces."""
    for optimizer, full in ((oo.Clipped(oo.Adam(), norm=1.0), 3), (oo.SWA(oo.AdaMax()), 3)):
        assert kernels.full_rows(optimizer) == full
        ns, fraction = kernels.measure(optimizer, 5000, np.dtype(dtype), full)
        assert ns > 0 and fraction > 0
    with pytest.raises(ValueError, match="optimizer must keep at most 4 numbers for each parameter"):
        kernels.measure(oo.SWA(oo.Clipped(oo.AMSGrad(), norm=1.0)), 10, np.dtype(dtype), 5)


def test_the_clock_takes_turns():
    order = []
    times = _clock.turns([lambda: order.append("a"), lambda: order.append("b")], repeat=3, least=0.0)
    assert order == ["a", "b"] * 4 and [len(each) for each in times] == [3, 3]


def test_the_c_yardstick_walks_the_same_path():
    times, notes = loops._c(2000)
    if not times:
        pytest.skip(notes[0])
    names = {"gradientdescent", "adam", "gradientdescent_checked", "adam_checked"}
    assert set(times) == names | {f"{name}_rounded" for name in names}
    import shutil
    import subprocess
    import tempfile
    from pathlib import Path

    compiler = shutil.which("gcc") or shutil.which("clang") or shutil.which("cc")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "loop"
        subprocess.run([compiler, "-O1", "-ffp-contract=off", str(Path(loops.__file__).with_name("loop.c")), "-o",
                        str(program), "-lm"], check=True)
        lines = subprocess.run([str(program), "2000"], check=True, capture_output=True, text=True).stdout.split("\n")
    ends = {line.split()[0]: float(line.split()[2]) for line in lines if line}
    problem = oo.problems.rosenbrock()
    for optimizer, names in ((oo.GradientDescent(1e-4), ("gradientdescent", "gradientdescent_checked")),
                             (oo.Adam(1e-4), ("adam", "adam_checked"))):
        x = oo.record(optimizer, problem, steps=2000).x[-1, 0]
        for name in names:
            assert ends[name] == pytest.approx(x, rel=1e-9)


def test_peers_take_the_same_step():
    x0, g = np.linspace(-1, 1, 12), np.linspace(1, -2, 12)
    ends = {}
    for name, peer in peers.PEERS.items():
        x = x0.copy()
        try:
            step = peer(x, g.copy())
        except ImportError:
            continue
        step()
        if name not in ("optax jitted", "odeopt kernel"):  # those hold their own x, or begin at another k
            steps = 1 if name == "numpy" else 2  # the others took one when they were made
            ends[name] = x if steps == 2 else None
            if steps == 1:
                step()
                ends[name] = x
    assert {"odeopt update", "numpy"} <= set(ends)
    for x in ends.values():
        assert np.allclose(x, ends["odeopt update"], rtol=1e-7, atol=1e-10)


def test_real_problems_reach_what_they_say():
    rows, _ = real.sparse_race(2000)
    assert len(rows) == 7 and all(row["reached"] <= 1e-6 and row["gradients"] > 10 for row in rows)
    rows, _ = real.network_race(3)
    assert all(row["reached"] == pytest.approx(rows[0]["reached"], rel=1e-6) for row in rows[1:])


def test_muons_take_the_same_step(capsys):
    """Ours and torch's in float32, where torch is installed; without it a sentence takes its place."""
    muon.report(1, (16,))
    rows, notes = json.loads(capsys.readouterr().out)
    assert {row["step"] for row in rows} >= {"odeopt update", "15 products"}
    try:
        import torch  # noqa: F401
    except ImportError:
        assert len(notes) == 2 and all("skipped, No module named 'torch'" in note for note in notes)
        return
    g = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)
    ours, theirs = np.zeros_like(g), np.zeros_like(g)
    muon._ours(ours, g)
    muon._torch(theirs, g, 1, True)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_peers_are_timed_on_one_blas_thread(monkeypatch):
    """Threads that wait for each other made scikit-learn and L-BFGS-B look thirteen and two times as slow."""
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    seen = []

    def race(size):
        seen.extend(pool["num_threads"] for pool in threadpoolctl.threadpool_info())
        return [{"size": size}], ["a note"]

    for name in ("sparse_race", "logistic_race", "network_race"):
        monkeypatch.setattr(real, name, race)
    with threadpoolctl.threadpool_limits(2):
        rows, notes = real.rows(quick=True)
    assert set(seen) == {1} and len(rows) == 3 and notes == ["a note"] * 3
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    assert any("OPENBLAS_NUM_THREADS" in note for note in real.rows(quick=True)[1])


def test_sections_and_command_line(capsys, monkeypatch):
    assert set(bench.SECTIONS) == {"loops", "kernels", "peers", "muon", "ensembles", "real", "formulas", "explorer"}
    monkeypatch.setitem(bench.SECTIONS, "loops", lambda quick: ([{"loop": "x", "ns": 1.0}], ["a note"]))
    assert main(["bench", "loops"]) == 0
    out = capsys.readouterr().out
    assert "loop" in out and "note: a note" in out
    assert main(["bench", "loops", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["loops"]["rows"] == [{"loop": "x", "ns": 1.0}]
    assert main(["bench", "lops"]) == 2 and "did you mean 'loops'" in capsys.readouterr().err
    assert callable(ensembles.rows)
