"""Many trajectories: each is its own recorded run, however they are grouped, threaded or shipped."""

import concurrent.futures as cf
import io
import multiprocessing
import os
import signal
import threading
import time
import tracemalloc

import numpy as np
import pytest

import odeopt as oo
from odeopt.engine import batched
from odeopt.studies.search import chunks
from odeopt.studies.search import ensemble as module
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


@pytest.mark.parametrize("name", sorted(oo.optimizers.ALL))
def test_consistent_starts_are_those_of_the_recorded_runs(name):
    lr = {"tol": 1e-2} if name == "errorcontrolledeuler" else {"lr": 1e-3}
    optimizer = oo.optimizers.ALL[name](**lr)
    group = oo.ensemble(optimizer, HIMMELBLAU, STARTS[:300], 20, every=10, start="consistent", chunk=128)
    for j in (0, 127, 255, 256, 299):
        run = oo.record(optimizer, HIMMELBLAU, STARTS[j], 20, every=10, start="consistent")
        assert np.array_equal(group.path_x[j], run.x) and group.t[j] == run.final["t"]
    cold = oo.ensemble(optimizer, HIMMELBLAU, STARTS[:300], 20)
    for j in (0, 299):
        assert np.array_equal(cold.x[j], oo.record(optimizer, HIMMELBLAU, STARTS[j], 20, start="cold").x[-1])


def test_consistent_starts_of_python_problems_and_sweeps():
    plain = oo.Problem(lambda x: float(x @ x), lambda x: 2 * x, x0=[1.0, 2.0])
    group = oo.ensemble(oo.Momentum(0.1), plain, STARTS[:3], 5, start="consistent")
    run = oo.record(oo.Momentum(0.1), plain, STARTS[2], 5, start="consistent")
    assert np.array_equal(group.x[2], run.x[-1])
    swept = oo.sweep(oo.Momentum(0.1), BEALE, STARTS[:3], 5, grid={"lr": [1e-3, 1e-2]}, start="consistent")
    assert np.array_equal(swept.x[1], oo.ensemble(oo.Momentum(1e-2), BEALE, STARTS[:3], 5, start="consistent").x)


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
        assert batched.gradients_for(BEALE, optimizer)[1] == ""
        a = batched.run(BEALE, optimizer, STARTS[:300], 150, 10, np.inf, 1e-6, simd=True)
        b = batched.run(BEALE, optimizer, STARTS[:300], 150, 10, np.inf, 1e-6, simd=False)
        assert set(a) == set(b) and all(np.array_equal(a[name], b[name], equal_nan=True) for name in a)


def test_what_goes_in_blocks():
    yes = [oo.GradientDescent(0.1), oo.Adam(), oo.Momentum(0.1), oo.RMSprop(0.1, bias_correction=True)]
    no = [oo.ErrorControlledEuler(0.1), oo.RMSprop(0.1, form="scalar"), oo.BarzilaiBorwein()]
    assert [elementwise(o) for o in yes + no] == [True] * 4 + [False] * 3
    assert "n = 9" in batched.gradients_for(oo.problems.rosenbrock(9), yes[0])[1]
    plain = oo.Problem(lambda x: float(x @ x), lambda x: 2 * x, x0=[1.0, 2.0])
    assert "plain Python" in batched.gradients_for(plain, yes[0])[1]
    group = oo.ensemble(oo.GradientDescent(0.25), plain, STARTS[:5], 3, every=1)
    assert np.array_equal(group.path_x[:, 3], STARTS[:5] / 8) and group.status.tolist() == [1] * 5


def test_threads_and_chunks_change_nothing():
    one = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 40, every=10, threads=1)
    for threads, chunk in ((2, 37), (3, 256), (1, 1000)):
        same(one, oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 40, every=10, threads=threads, chunk=chunk),
             (*ARRAYS, "path_x", "path_f"))


def test_gradients_whose_squares_underflow_are_not_zero():
    problem, tiny = oo.problems.quadratic(eigenvalues=[1.0, 2.0]), np.full((3, 2), 1e-165)
    group = oo.ensemble(oo.GradientDescent(0.1), problem, tiny, 5)
    run = oo.record(oo.GradientDescent(0.1), problem, tiny[0], 5)
    assert (group.k == 5).all() and run.status == "completed" and np.array_equal(group.x[1], run.x[-1])


def test_nearest_has_a_limit():
    group = oo.ensemble(oo.GradientDescent(1e-9), HIMMELBLAU, [[0.0, 0.0], [3.0, 2.1]], 1)
    assert group.nearest([[3.0, 2.0], [0.0, 1.0]]).tolist() == [1, 0]
    assert group.nearest([[3.0, 2.0], [0.0, 1.0]], within=0.5).tolist() == [-1, 0]


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


def test_a_basins_study_is_the_runs_from_its_starts():
    optimizer = oo.GradientDescent(0.03)  # from the corners it diverges
    study = oo.basins(optimizer, HIMMELBLAU, resolution=9, steps=300)
    for i, j in ((0, 0), (0, 4), (3, 8), (5, 2), (8, 8)):
        with np.errstate(all="ignore"):
            run = oo.record(optimizer, HIMMELBLAU, [study.x[j], study.y[i]], 300, gtol=1e-6)
            end = np.linalg.norm(np.array(study.minima) - run.final["x"], axis=1)
        assert study.optimizer[i, j] == (end.argmin() if run.ok and end.min() < 0.5 else -1)
    assert (study.optimizer == -1).any() and 0.2 < study.fidelity < 1
    again = oo.basins(oo.GradientDescent(1e-3), HIMMELBLAU, resolution=9, steps=6000, flow=study)
    assert np.array_equal(again.flow, study.flow) and (study.flow >= 0).all() and again.fidelity > 0.95
    with pytest.raises(ValueError, match="same grid"):
        oo.basins(optimizer, HIMMELBLAU, resolution=8, flow=study)


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


@pytest.mark.skipif(os.name == "nt", reason="SIGINT to one's own process")
def test_ctrl_c_keeps_the_finished_chunks_in_memory_file_and_statistics(monkeypatch, tmp_path):
    """A signal, while tasks run in threads: what has ended or is running is kept, the rest is marked."""
    real = module.task
    whole = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, every=5)
    for threads, out, keep in ((1, None, "path"), (2, tmp_path / "cut.npy", "path"), (2, None, "statistics")):
        calls = []

        def slow(*arguments, calls=calls):
            calls.append(1)
            if len(calls) == 4:
                os.kill(os.getpid(), signal.SIGINT)
            return real(*arguments)

        monkeypatch.setattr(module, "task", slow)
        group = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, every=5, keep=keep, chunk=20, threads=threads,
                            out=out)
        monkeypatch.undo()
        ran = group.status != module.NOT_RUN
        assert 60 <= ran.sum() < 600 and "interrupted" in group.message and not group.ok
        assert np.array_equal(group.x[ran], whole.x[ran]) and np.isnan(group.x[~ran]).all()
        assert (group.k[~ran] == 0).all() and np.isnan(group.f[~ran]).all()
        if keep == "statistics":
            assert (group.statistics["count"] == ran.sum()).all()
            assert np.allclose(group.statistics["mean_x"], whole.path_x[ran].mean(axis=0), rtol=1e-12)
        else:
            paths = group.path_x if out is None else np.load(out, mmap_mode="r")
            assert np.array_equal(paths[ran], whole.path_x[ran]) and np.isnan(paths[~ran]).all()


@pytest.mark.skipif(os.name == "nt", reason="SIGINT to one's own process")
@pytest.mark.parametrize("compiled", [True, False])
def test_ctrl_c_does_not_wait_for_a_long_chunk(monkeypatch, compiled):
    """A chunk under way is given up between two of its blocks once its time of grace is over."""
    monkeypatch.setattr(chunks, "GRACE", 0.01)
    monkeypatch.setattr(batched, "SINGLE", 1)
    monkeypatch.setattr(batched, "ENOUGH", 0.0)
    blocks, real = [], batched._blocks

    def counted(*arguments):
        for part in real(*arguments):
            blocks.append(part)
            if len(blocks) == 12:  # in the second chunk
                os.kill(os.getpid(), signal.SIGINT)
            if len(blocks) > 12:
                time.sleep(0.01)
            yield part

    monkeypatch.setattr(batched, "_blocks", counted)
    problem = HIMMELBLAU if compiled else oo.Problem(lambda x: float(x @ x), lambda x: 2 * x, dim=2)
    method = oo.BarzilaiBorwein(0.01) if compiled else oo.GradientDescent(0.1)  # one by one
    group = oo.ensemble(method, problem, np.tile(STARTS[:10], (60, 1)), 3, chunk=10, threads=1)
    monkeypatch.setattr(batched, "_blocks", real)
    assert group.status[:10].all() and not group.status[10:].any() and "interrupted" in group.message
    long = oo.ensemble(method, problem, np.tile(STARTS[:10], (60, 1)), 3, chunk=600, threads=1)
    assert long.ok and np.array_equal(long.x[:10], group.x[:10])


@pytest.mark.parametrize("keep", ["path", "statistics"])
def test_ctrl_c_while_a_chunk_is_being_kept_loses_nothing(monkeypatch, keep):
    """At the last thing that is written of a chunk: it is then written again, whole."""
    calls, real = [], module.task

    class Late:
        def __init__(self, status):
            self.status = status

        def __array__(self, *arguments, **options):
            calls.append(1)
            if len(calls) == 1:
                raise KeyboardInterrupt
            return np.asarray(self.status, *arguments)

    def task(problem, optimizer, starts, *arguments):
        found = real(problem, optimizer, starts, *arguments)
        return found | {"status": Late(found["status"])} if starts[0, 0] == STARTS[100, 0] else found

    monkeypatch.setattr(module, "task", task)
    group = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, every=10, keep=keep, chunk=100, threads=1)
    monkeypatch.undo()
    whole = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20)
    ran = group.status != module.NOT_RUN
    assert len(calls) == 2 and ran[:200].all() and "interrupted" in group.message
    assert np.array_equal(group.x[ran], whole.x[ran])


@pytest.mark.skipif(os.name == "nt", reason="SIGINT to one's own process")
@pytest.mark.parametrize("optimizer", [oo.GradientDescent(1e-9), oo.Amos(1e-9, axis=())], ids=["blocks", "one by one"])
def test_an_interrupt_ends_compiled_runs_that_would_not_end(optimizer, monkeypatch):
    monkeypatch.setattr(chunks, "GRACE", 0.1)
    beale, starts = oo.problems.beale(), np.random.default_rng(0).normal(size=(300, 2))
    assert oo.ensemble(optimizer, beale, starts, 2, chunk=10).ok  # what is to be compiled is compiled
    timer = threading.Timer(0.3, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
    timer.start()
    group = oo.ensemble(optimizer, beale, starts, 2**61, chunk=10)
    timer.join()
    assert "interrupted" in group.message and not group.ok and not group.status.any()


def test_an_interrupted_sweep_has_the_statistics_of_what_ran(monkeypatch):
    real = module.task

    def task(problem, optimizer, *arguments):
        if optimizer.lr == 0.03:
            raise KeyboardInterrupt
        return real(problem, optimizer, *arguments)

    monkeypatch.setattr(module, "task", task)
    swept = oo.sweep(oo.Adam(), HIMMELBLAU, STARTS, 20, grid={"lr": [0.01, 0.02, 0.03]}, every=10, keep="statistics",
                     threads=1)
    monkeypatch.undo()
    assert swept.statistics["count"].tolist() == [[600] * 3, [600] * 3, [0] * 3]
    alone = oo.ensemble(oo.Adam(0.02), HIMMELBLAU, STARTS, 20, every=10, keep="statistics").statistics
    for name, values in alone.items():
        assert np.array_equal(swept.statistics[name][1], values)
        assert name == "count" or np.isnan(swept.statistics[name][2]).all()


@pytest.mark.parametrize("keep", ["statistics", "path"])
def test_memory_is_bounded_by_what_is_kept_and_not_by_the_paths(keep, tmp_path, monkeypatch):
    starts, full = np.tile(STARTS, (50, 1)), 30_000 * 101 * 3 * 8
    monkeypatch.setattr(module, "IN_FLIGHT", 2**22)
    out = tmp_path / "paths.npy" if keep == "path" else None
    oo.ensemble(oo.Adam(0.05), HIMMELBLAU, starts[:600], 100, every=1)  # compiled, outside the measurement
    tracemalloc.start()
    oo.ensemble(oo.Adam(0.05), HIMMELBLAU, starts, 100, every=1, keep=keep, chunk=512, threads=2, out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.25 * full, peak / full


class Counting(cf.Executor):
    """Runs everything later, one after the other, and knows how much was waiting at most."""

    def __init__(self):
        self.pool, self.ended, self.submitted, self.most = cf.ThreadPoolExecutor(1), 0, 0, 0
        self._max_workers = 2

    def submit(self, function, *arguments):
        self.submitted += 1
        self.most = max(self.most, self.submitted - self.ended)
        future = self.pool.submit(lambda: (time.sleep(1e-3), function(*arguments))[1])
        future.add_done_callback(self.end)
        return future

    def end(self, future):
        self.ended += 1


def test_what_is_in_flight_is_bounded(monkeypatch):
    for held, most in ((2**30, 60), (4 * 8 * 22 * 3 * 10, 4), (1, 2)):  # bytes; chunks of 10 paths with 21 records
        executor = Counting()
        monkeypatch.setattr(module, "IN_FLIGHT", held)
        group = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, every=1, chunk=10, executor=executor)
        assert group.ok and executor.most <= most and executor.submitted == 60
        executor.pool.shutdown()
    assert executor.most == 2


def test_progress_only_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for stream, progress, said in ((Terminal(), True, True), (io.StringIO(), True, False), (Terminal(), False, False)):
        monkeypatch.setattr("sys.stderr", stream)
        oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, chunk=100, progress=progress)
        assert ("6/6" in stream.getvalue() or "/6 [" in stream.getvalue()) == said


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
    with pytest.warns(RuntimeWarning, match=r"lost 3 of 6 chunks \(BrokenExecutor: worker killed\)"):
        group = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, chunk=100, executor=Flaky())
    same(whole, group)


def test_a_thread_pool_gives_the_serial_result():
    whole = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, every=5)
    with cf.ThreadPoolExecutor(3) as pool:
        group = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, every=5, chunk=50, executor=pool)
        same(whole, group, (*ARRAYS, "path_x", "path_f"))
        assert pool.submit(int, "7").result() == 7  # somebody else's pool is left open


def test_a_process_pool_gives_the_serial_result_also_with_a_worker_killed():
    whole = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20)
    with cf.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        same(whole, oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, chunk=150, executor=pool))
        victim = pool.submit(os.getpid).result()
        killing = Killing(pool, 3, lambda: os.kill(victim, signal.SIGTERM))
        with pytest.warns(RuntimeWarning, match="the executor lost"):
            same(whole, oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, chunk=20, executor=killing))


def bowl(x):
    return float(x @ x)


def slope(x):
    return 2 * x


def test_problems_of_plain_functions_go_to_other_processes():
    """They hold the interpreter lock, so a process pool is the one way to several processors."""
    with pytest.warns(RuntimeWarning, match="central differences"):
        rough = oo.Problem(bowl, dim=2)
    with cf.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        for plain in (oo.Problem(bowl, slope, hessp=np.multiply, dim=2), rough):
            whole = oo.ensemble(oo.Momentum(0.1), plain, STARTS[:9], 5)
            same(whole, oo.ensemble(oo.Momentum(0.1), plain, STARTS[:9], 5, chunk=4, executor=pool))


def one_by_one(problem, optimizer):
    return batched.gradients_for(problem, optimizer)[1]


def test_other_processes_run_blocks_too():
    """Kernels go by name: sent as text they were compiled anew in each process, and could not run in blocks."""
    import copy
    import pickle

    for again in (copy.copy(BEALE), copy.deepcopy(BEALE), pickle.loads(pickle.dumps(BEALE))):
        assert (again.fg, again.hv) == (BEALE.fg, BEALE.hv) and again.fun(BEALE.x0) == BEALE.fun(BEALE.x0)
    with cf.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(one_by_one, HIMMELBLAU, oo.Adam()).result() == ""
        assert "n = 9" in pool.submit(one_by_one, oo.problems.rosenbrock(9), oo.Adam()).result()


class Killing(cf.Executor):
    """Another executor, at whose submission number ``at`` something happens."""

    def __init__(self, pool, at, event):
        self.pool, self.count, self.at, self.event = pool, 0, at, event

    def submit(self, *arguments):
        self.count += 1
        future = self.pool.submit(*arguments)
        if self.count == self.at:
            self.event()
        return future


class Forgetting(cf.Executor):
    """Runs the first submissions, and never completes the futures of the others."""

    def __init__(self, good):
        self.good = good

    def submit(self, task, *arguments):
        future = cf.Future()
        if self.good > 0:
            self.good -= 1
            future.set_result(task(*arguments))
        return future


def test_an_executor_that_forgets_is_given_up(monkeypatch):
    from odeopt.studies.search import chunks

    monkeypatch.setattr(chunks, "SILENCE", 0.2)
    whole = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20)
    with pytest.warns(RuntimeWarning, match="nothing came back for 0.2 s"):
        group = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, chunk=50, executor=Forgetting(3))
    same(whole, group)


def test_a_fault_of_the_task_itself_is_raised():
    def fun(x):
        if x[0] == 0:
            raise ZeroDivisionError("mine")
        return float(x @ x)

    plain, starts = oo.Problem(fun, lambda x: 2 * x, x0=[1.0, 2.0]), [[1.0, 1.0], [0.0, 1.0], [2.0, 2.0]]
    with pytest.raises(ZeroDivisionError, match="mine"):
        oo.ensemble(oo.Adam(), plain, starts, 3, chunk=1)
    with (cf.ThreadPoolExecutor(1) as pool, pytest.warns(RuntimeWarning, match="ZeroDivisionError: mine"),
          pytest.raises(ZeroDivisionError, match="mine")):
        oo.ensemble(oo.Adam(), plain, starts, 3, chunk=1, executor=pool)


@pytest.mark.filterwarnings("ignore")  # the cluster's own
def test_a_dask_cluster_gives_the_serial_result_and_survives_killed_workers(tmp_path):
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed (extra: distributed)")
    whole = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, every=10)
    names = (*ARRAYS, "path_x", "path_f")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
                                  local_directory=str(tmp_path)) as cluster, distributed.Client(cluster) as client:
        executor = client.get_executor()
        same(whole, oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, every=10, chunk=150, executor=executor), names)
        pids = list(client.run(os.getpid).values())
        killing = Killing(executor, 4, lambda: os.kill(pids[0], signal.SIGKILL))
        group = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, every=10, chunk=50, executor=killing)
        assert killing.count == 12
        same(whole, group, names)
        # A task that kills every worker it is given to: the cluster gives up (KilledWorker) on what was there.
        cluster.scheduler.allowed_failures = 0
        poisoned = Killing(executor, 3, lambda: executor.submit(os._exit, 1))
        with pytest.warns(RuntimeWarning, match="the executor lost"):
            group = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, every=10, chunk=50, executor=poisoned)
        same(whole, group, names)
        # And a client that is closed on the way: what was not submitted is done here.
        closing = Killing(executor, 4, lambda: executor.shutdown(wait=False))
        with pytest.warns(RuntimeWarning, match="the executor lost"):
            group = oo.ensemble(oo.Adam(0.05), HIMMELBLAU, STARTS, 20, every=10, chunk=50, executor=closing)
        same(whole, group, names)


@pytest.mark.parametrize(("change", "words"), [
    ({"starts": np.zeros((3, 5))}, "starts must be finite with shape"),
    ({"starts": [[np.nan, 0.0]]}, "starts must be finite"),
    ({"steps": -1}, "steps must be at least 0"),
    ({"every": 1.5}, "every must be an integer"),
    ({"keep": "pathh"}, "did you mean 'path'"),
    ({"threads": 0}, "threads must be at least 1"),
    ({"start": "warm"}, "start must be one of 'cold', 'consistent'"),
    ({"executor": 4}, "executor must be a concurrent.futures.Executor"),
    ({"out": "x.npy"}, "out needs every"),
    ({"out": "x.dat", "every": 1}, "out must end in .npy"),
    ({"optimizer": "adam"}, "optimizer must be an Optimizer"),
    ({"optimizer": []}, "optimizer must be at least one"),
])
def test_bad_arguments_are_named(change, words):
    good = {"optimizer": oo.Adam(), "problem": HIMMELBLAU, "starts": STARTS}
    with pytest.raises((TypeError, ValueError), match=words):
        oo.ensemble(**(good | change))


def test_a_sweep_over_names_switches_and_a_wrapper():
    forms = oo.sweep(oo.RMSprop(0.01), BEALE, STARTS[:5], 10, grid={"form": ["vector", "scalar"], "centered": [False]})
    assert forms.grid["form"].tolist() == ["vector", "scalar"] and forms.optimizers[1].form == "scalar"
    fading = oo.sweep(oo.Nesterov(1e-3), BEALE, STARTS[:5], 10, grid={"momentum": [None, 0.9]})
    assert fading.optimizers[0].momentum is None and not np.array_equal(fading.x[0], fading.x[1])
    averaged = oo.SWA(oo.Momentum(1e-3), start=3)
    swept = oo.sweep(averaged, BEALE, STARTS[:5], 10, grid={"lr": [1e-3, 1e-2], "start": [1]})
    assert np.array_equal(swept.x[1], oo.ensemble(oo.Momentum(1e-2), BEALE, STARTS[:5], 10).x)
    assert [one.start_at for one in swept.optimizers] == [1, 1]


def test_bad_grids_are_named():
    with pytest.raises(TypeError, match="sequence of values for lr, got 0.1"):
        oo.sweep(oo.Adam(), HIMMELBLAU, STARTS, grid={"lr": 0.1})
    with pytest.raises(TypeError, match="sequence of values for form, got 'scalar'"):
        oo.sweep(oo.RMSprop(0.1), HIMMELBLAU, STARTS, grid={"form": "scalar"})
    with pytest.raises(TypeError, match="optimizer must be an Optimizer, got type"):
        oo.sweep(oo.Adam, HIMMELBLAU, STARTS, grid={"lr": [0.1]})
    with pytest.raises(ValueError, match="did you mean 'lr'"):
        oo.sweep(oo.Adam(), HIMMELBLAU, STARTS, grid={"lrr": [1]})
    with pytest.raises(ValueError, match="did you mean 'threads'"):
        oo.sweep(oo.Adam(), HIMMELBLAU, STARTS, grid={"lr": [1.0]}, thread=1)
    with pytest.raises(TypeError, match="grid must be a dict"):
        oo.sweep(oo.Adam(), HIMMELBLAU, STARTS, grid=[1])
