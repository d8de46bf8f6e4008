"""Many trajectories: each is its own recorded run, however they are grouped, threaded or shipped."""

import concurrent.futures as cf
import os

import numpy as np
import pytest

import odeopt as oo
from odeopt import lanes
from odeopt.studies import ensemble as module
from odeopt.threads import elementwise

HIMMELBLAU, BEALE = oo.problems.himmelblau(), oo.problems.beale()
STARTS = np.random.default_rng(0).uniform(-4, 4, (600, 2))  # two full blocks and a part
ARRAYS = ("x", "t", "f", "grad_norm", "k", "status")


def same(a, b, names=ARRAYS):
    for name in names:
        assert np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True), name


@pytest.mark.parametrize("optimizer", [
    oo.GradientDescent(1e-2), oo.Adam(0.05), oo.Momentum(1e-2), oo.Nesterov(1e-3, momentum=None),
    oo.RMSprop(1e-2, bias_correction=True), oo.RMSprop(1e-2, form="scalar"), oo.ErrorControlledEuler(0.01),
    oo.BarzilaiBorwein(1e-3), oo.Rprop(lr=1e-2), oo.Adagrad(lr=0.1, initial_accumulator=0.5),
], ids=lambda o: repr(o)[:60])
def test_each_trajectory_is_its_recorded_run(optimizer):
    group = oo.ensemble(optimizer, HIMMELBLAU, STARTS, 60, every=7, gtol=1e-3, threads=2, chunk=256)
    assert group.ok and np.array_equal(group.path_k, np.arange(9) * 7)
    for j in (0, 1, 255, 256, 511, 599):
        run = oo.record(optimizer, HIMMELBLAU, STARTS[j], 60, every=7, gtol=1e-3)
        assert module.STATUS_NAMES[group.status[j]] == run.status
        assert np.array_equal(group.x[j], run.final["x"], equal_nan=True)
        assert (group.k[j], group.t[j]) == (run.final["k"], run.final["t"])
        if run.ok:
            assert (group.f[j], group.grad_norm[j]) == (run.f[-1], run.grad_norm[-1])
            kept = run.k % 7 == 0
            assert np.array_equal(group.path_x[j, : kept.sum()], run.x[kept])
            assert (group.path_x[j, kept.sum() :] == run.x[-1]).all()


def test_diverging_trajectories_stop_alone():
    group = oo.ensemble(oo.GradientDescent(0.035), HIMMELBLAU, STARTS, 200)
    assert 0 < group.count("diverged") < 600 and group.count("diverged") + group.count("completed") == 600
    for j in np.flatnonzero(group.status == module.DIVERGED)[:5]:
        with np.errstate(all="ignore"):
            run = oo.record(oo.GradientDescent(0.035), HIMMELBLAU, STARTS[j], 200)
        assert run.status == "diverged" and run.final["k"] == group.k[j]
    inside = group.status == module.COMPLETED
    assert np.isfinite(group.x[inside]).all()


def test_the_block_and_the_single_loop_agree_in_every_bit():
    for optimizer in (oo.Adam(0.05), oo.Momentum(0.02)):
        assert lanes.gradients_for(BEALE, optimizer)[1] == ""
        a = lanes.run(BEALE, optimizer, STARTS[:300], 150, 10, np.inf, 1e-6, simd=True)
        b = lanes.run(BEALE, optimizer, STARTS[:300], 150, 10, np.inf, 1e-6, simd=False)
        assert set(a) == set(b) and all(np.array_equal(a[name], b[name], equal_nan=True) for name in a)


def test_what_goes_in_blocks():
    yes = [oo.GradientDescent(0.1), oo.Adam(), oo.Momentum(0.1), oo.RMSprop(0.1, bias_correction=True)]
    no = [oo.ErrorControlledEuler(0.1), oo.RMSprop(0.1, form="scalar"), oo.BarzilaiBorwein()]
    assert [elementwise(o) for o in yes + no] == [True] * 4 + [False] * 3
    assert "n = 9" in lanes.gradients_for(oo.problems.rosenbrock(9), yes[0])[1]
    plain = oo.Problem(lambda x: float(x @ x), lambda x: 2 * x, x0=[1.0, 2.0])
    assert "plain Python" in lanes.gradients_for(plain, yes[0])[1]
    group = oo.ensemble(oo.GradientDescent(0.25), plain, STARTS[:5], 3, every=1)
    assert np.array_equal(group.path_x[:, 3], STARTS[:5] / 8) and group.status.tolist() == [1] * 5


def test_threads_and_chunks_change_nothing():
    one = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 40, every=10, threads=1)
    for threads, chunk in ((2, 37), (3, 256), (1, 1000)):
        same(one, oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 40, every=10, threads=threads, chunk=chunk),
             (*ARRAYS, "path_x", "path_f"))


def test_stopping_at_a_flow_time():
    group = oo.ensemble(oo.GradientDescent(1e-2), HIMMELBLAU, STARTS[:10], 1000, t_end=0.25)
    assert (group.k == 25).all() and np.allclose(group.t, 0.25, rtol=1e-15)


def test_statistics_are_those_of_the_paths():
    lr = oo.GradientDescent(0.035)  # some diverge, and leave the statistics
    paths = oo.ensemble(lr, HIMMELBLAU, STARTS, 20, every=5)
    stats = oo.ensemble(lr, HIMMELBLAU, STARTS, 20, every=5, keep="statistics", chunk=100, threads=2)
    same(paths, stats)
    assert stats.path_x is None
    for r in range(5):
        good = np.isfinite(paths.path_f[:, r]) & np.isfinite(paths.path_x[:, r]).all(axis=1)
        x, f, s = paths.path_x[good, r], paths.path_f[good, r], stats.statistics
        assert s["count"][r] == good.sum()
        # x may span a hundred decades on its way out: compare with what round-off allows
        with np.errstate(over="ignore"):
            assert np.allclose(s["mean_x"][r], x.mean(axis=0), rtol=1e-10, atol=1e-12 * np.abs(x).max())
            assert np.allclose(s["var_x"][r], x.var(axis=0), rtol=1e-10)
            assert np.isclose(s["mean_f"][r], f.mean(), rtol=1e-12)
        assert (s["min_f"][r], s["max_f"][r]) == (f.min(), f.max())
    again = oo.ensemble(lr, HIMMELBLAU, STARTS, 20, every=5, keep="statistics", chunk=100, threads=1)
    for name, values in stats.statistics.items():
        assert np.array_equal(values, again.statistics[name])


def test_paths_in_a_file(tmp_path):
    kept = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, every=4)
    mapped = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, every=4, out=tmp_path / "paths.npy")
    assert isinstance(mapped.path_x.base, np.memmap) or isinstance(mapped.path_x, np.memmap)
    mapped.path_x.base.flush() if isinstance(mapped.path_x.base, np.memmap) else mapped.path_x.flush()
    assert np.array_equal(np.load(tmp_path / "paths.npy"), kept.path_x)
    assert np.load(tmp_path / "paths_f.npy", mmap_mode="r").shape == (600, 6)


def test_basins_of_himmelblau():
    axis = np.linspace(-5, 5, 40)
    starts = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    group = oo.ensemble(oo.GradientDescent(5e-3), HIMMELBLAU, starts, 4000, gtol=1e-9)
    basin = group.nearest(HIMMELBLAU.minima, within=1e-6)
    assert (np.bincount(basin + 1, minlength=5)[1:] > 200).all()  # four basins, each of a good size
    for i, minimum in enumerate(HIMMELBLAU.minima):  # a start beside a minimum belongs to it
        beside = np.linalg.norm(starts - minimum, axis=1).argmin()
        assert basin[beside] == i
    assert (basin >= 0).mean() > 0.98  # the others start on the way to a saddle


def test_a_sweep_is_its_ensembles():
    grid = {"lr": [1e-3, 1e-2], "momentum": [0.0, 0.5, 0.9]}
    swept = oo.sweep(oo.Momentum(1.0), BEALE, STARTS[:20], 30, grid=grid, every=10)
    assert swept.x.shape == (6, 20, 2) and swept.path_x.shape == (6, 20, 4, 2)
    assert swept.grid["lr"].tolist() == [1e-3] * 3 + [1e-2] * 3
    for m, optimizer in enumerate(swept.optimizers):
        alone = oo.ensemble(optimizer, BEALE, STARTS[:20], 30)
        assert np.array_equal(swept.x[m], alone.x, equal_nan=True)
        assert (optimizer.lr, optimizer.momentum) == (swept.grid["lr"][m], swept.grid["momentum"][m])
    from_one = oo.sweep(oo.GradientDescent(1.0), BEALE, BEALE.x0, 5, grid={"lr": [0.1]})
    assert from_one.x.shape == (1, 1, 2)


def test_interrupt_keeps_the_finished_chunks(monkeypatch):
    calls, real = [], module.task

    def slow(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(module, "task", slow)
    group = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, chunk=100, threads=1)
    monkeypatch.undo()
    whole = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20)
    ran = group.status != module.NOT_RUN
    assert not group.ok and 100 <= ran.sum() < 600 and "interrupted" in group.message
    assert np.array_equal(group.x[ran], whole.x[ran]) and np.isnan(group.x[~ran]).all()


class Flaky(cf.Executor):
    """Runs what it is given, until it breaks."""

    def __init__(self):
        self.count = 0

    def submit(self, function, *arguments):
        self.count += 1
        if self.count > 4:
            raise cf.BrokenExecutor("gone")
        future = cf.Future()
        if self.count == 3:
            future.set_exception(cf.BrokenExecutor("worker killed"))
        else:
            future.set_result(function(*arguments))
        return future


def test_a_broken_executor_loses_nothing():
    whole = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20)
    with pytest.warns(RuntimeWarning, match="lost 3 of 6 chunks"):
        group = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, chunk=100, executor=Flaky())
    same(whole, group)


def test_a_process_pool_gives_the_serial_result():
    import multiprocessing

    whole = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20)
    with cf.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        same(whole, oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, chunk=150, executor=pool))


def _kill_once(flag, *arguments):
    try:
        os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return module.task(*arguments)
    os._exit(1)  # as if the machine had gone


@pytest.mark.filterwarnings("ignore")  # the cluster's own
def test_a_dask_cluster_gives_the_serial_result_and_survives_a_killed_worker(tmp_path):
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed (extra: distributed)")
    whole = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
                                  local_directory=str(tmp_path)) as cluster, distributed.Client(cluster) as client:
        executor = client.get_executor()
        same(whole, oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, chunk=150, executor=executor))
        # The same through tasks of which the first kills its worker: the cluster runs it again.
        flag = str(tmp_path / "killed")
        futures = [executor.submit(_kill_once, flag, HIMMELBLAU, oo.Adam(0.05), STARTS[i : i + 150], 20, 0, "path",
                                   np.inf, 0.0) for i in range(0, 600, 150)]
        parts = [future.result(timeout=120) for future in futures]
    assert os.path.exists(flag)
    assert np.array_equal(np.concatenate([part["x"] for part in parts]), whole.x)


@pytest.mark.parametrize(("change", "words"), [
    ({"starts": np.zeros((3, 5))}, "starts must be finite with shape"),
    ({"starts": [[np.nan, 0.0]]}, "starts must be finite"),
    ({"steps": -1}, "steps must be at least 0"),
    ({"every": 1.5}, "every must be an integer"),
    ({"keep": "pathh"}, "did you mean 'path'"),
    ({"threads": 0}, "threads must be at least 1"),
    ({"out": "x.npy"}, "out needs every"),
    ({"out": "x.dat", "every": 1}, "out must end in .npy"),
    ({"optimizer": "adam"}, "optimizer must be an Optimizer"),
])
def test_bad_arguments_are_named(change, words):
    good = {"optimizer": oo.Adam(), "problem": HIMMELBLAU, "starts": STARTS}
    with pytest.raises((TypeError, ValueError), match=words):
        oo.ensemble(**(good | change))


def test_bad_grids_are_named():
    with pytest.raises(ValueError, match="did you mean 'lr'"):
        oo.sweep(oo.Adam(), HIMMELBLAU, STARTS, grid={"lrr": [1]})
    with pytest.raises(TypeError, match="grid must be a dict"):
        oo.sweep(oo.Adam(), HIMMELBLAU, STARTS, grid=[1])
