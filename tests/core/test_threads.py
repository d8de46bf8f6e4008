"""Threads change the time that a large update takes, and nothing else."""

import os
import signal

import numpy as np
import pytest
from rows import ROWS

import odeopt as oo
from odeopt import threads
from odeopt.threads import elementwise

SIZE = 1000  # with slices of 256 below: four, the last one short


@pytest.fixture
def small_slices(monkeypatch):
    monkeypatch.setattr(threads, "SLICE", 256)
    monkeypatch.setattr(threads, "WORTH", 0)


def gradients(count, dtype):
    rng = np.random.default_rng(3)
    return [rng.standard_normal(SIZE).astype(dtype) for _ in range(count)]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_any_number_of_threads_gives_what_one_kernel_call_gives(row, dtype, small_slices):
    optimizer = row.make()
    x0 = np.random.default_rng(0).standard_normal(SIZE).astype(dtype)
    whole, t = x0.copy(), 0.0
    s, p = np.ascontiguousarray(optimizer.cold_start(whole), dtype=dtype), optimizer.p_for(whole)
    for k, g in enumerate(gradients(5, dtype)):
        t += optimizer.kernel(k, p, whole, g, s)
    for count in (1, 2, 3, None):
        x, state = x0.copy(), optimizer.init(x0)
        for g in gradients(5, dtype):
            optimizer.update(x, g, state, threads=count)
        assert np.array_equal(x, whole) and (state.k, state.t) == (5, t)
        for slot, row_of_whole in enumerate(s):
            if row_of_whole[1:].any():  # the others hold one number, in element 0
                assert np.array_equal(state.row(slot), row_of_whole)


@pytest.mark.parametrize("optimizer", [oo.Adam(0.1), oo.RMSprop(0.1, form="scalar"), oo.Amos(0.1)],
                         ids=["elementwise", "reduces over all arrays", "reduces in an array"])
def test_a_list_of_arrays_on_several_threads(optimizer, small_slices):
    rng = np.random.default_rng(1)
    shapes = (30, 40), (7,), (2, 5, 50), (513,)
    start, gs = ([rng.standard_normal(shape) for shape in shapes] for _ in range(2))
    results = []
    for count in (1, 2, 3):
        xs = [x.copy() for x in start]
        state = optimizer.init(xs, groups=[{"arrays": [1], "lr": 0.3}])
        for _ in range(4):
            optimizer.update(xs, gs, state, threads=count)
        assert [r.shape for r in state.row(0)] == [*shapes]
        results.append(np.concatenate([x.ravel() for x in xs]))
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])
    assert not np.array_equal(results[0], np.concatenate([x.ravel() for x in start]))


def test_which_updates_are_sliced(small_slices):
    assert elementwise(oo.Adam()) and elementwise(oo.Momentum(0.1)) and elementwise(oo.Rprop())
    for optimizer in (oo.RMSprop(1e-2, form="scalar"), oo.ErrorControlledEuler(0.1), oo.Amos(1e-2),
                      oo.BarzilaiBorwein()):
        assert not elementwise(optimizer)
        assert len(optimizer.init(np.ones(SIZE)).slots) == 1
    assert [s.shape[1] for s in oo.Adam().init(np.ones(SIZE)).slots] == [256, 256, 256, 232]


def test_a_state_in_slices_is_saved_and_loaded(small_slices, tmp_path):
    adam, (first, second) = oo.Adam(), gradients(2, np.float64)
    x, state = np.ones(SIZE), adam.init(np.ones(SIZE))
    adam.update(x, first, state, threads=2)
    state.save(tmp_path / "state.npz")
    again, loaded = x.copy(), oo.State.load(tmp_path / "state.npz")
    adam.update(x, second, state, threads=2)
    adam.update(again, second, loaded)
    assert np.array_equal(x, again) and loaded.blocks == state.blocks


def test_work_is_shared_out(small_slices):
    """Two jobs that wait for each other can only end on two threads."""
    import threading

    both = threading.Barrier(2, timeout=20)
    assert len(threads.run([(lambda a: both.wait() * 0 + a, i) for i in range(2)], 2)) == 2
    assert threads.run([(pow, 2, i) for i in range(9)], 3) == [2**i for i in range(9)]
    with pytest.raises(ZeroDivisionError):
        threads.run([(divmod, 1, i) for i in (1, 0, 1)], 2)


def test_an_error_waits_for_the_other_threads():
    """Nobody may go on writing into arrays that their owner thinks are his again."""
    import threading
    import time

    begun, ended = threading.Event(), []

    def job():
        if threading.current_thread() is threading.main_thread():
            begun.wait(20)
            raise ZeroDivisionError
        begun.set()
        time.sleep(0.2)
        ended.append(1)

    with pytest.raises(ZeroDivisionError):
        threads.run([(job,), (job,)], 2)
    assert ended


def test_where_no_thread_can_be_had_the_caller_does_the_work(small_slices, monkeypatch):
    class Exhausted:
        def submit(self, work):
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "_workers", lambda count, process: Exhausted())
    x, descent = np.zeros(SIZE), oo.GradientDescent(1.0)
    state = descent.init(x)
    descent.update(x, np.ones(SIZE), state, threads=2)
    assert (x == -1).all() and state.k == 1


def test_bad_numbers_of_threads_are_refused_and_nothing_moves():
    x, adam = np.ones(10), oo.Adam()
    state = adam.init(x)
    adam.update(x, np.zeros(10), state)
    for bad, error in ((0, ValueError), (1.5, TypeError), ("2", TypeError)):
        with pytest.raises(error, match="threads must be"):
            adam.update(x, np.ones(10), state, threads=bad)
    assert state.k == 1 and (x == 1).all()


def test_the_learning_rate_may_change_on_the_way(small_slices):
    x, g, adam = np.ones(SIZE), np.full(SIZE, 0.5), oo.Adam(lr=0.1)
    state = adam.init(x)
    adam.update(x, g, state, threads=2)
    adam.changed(lr=0.2).update(x, g, state, threads=2)
    assert np.allclose(x, 1 - 0.1 - 0.2, rtol=1e-6)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*fork.*:RuntimeWarning")  # of JAX, where a test of peers imported it
def test_a_forked_child_makes_workers_of_its_own(small_slices):
    x, g, descent = np.ones(SIZE), np.ones(SIZE), oo.GradientDescent(0.5)
    state = descent.init(x)
    descent.update(x, g, state, threads=2)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            descent.update(x, g, state, threads=2)
            code = 0 if (x == 0).all() else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (x == 0.5).all()


def test_a_second_thread_is_woken_only_where_that_pays(monkeypatch):
    used, run = [], threads.run
    monkeypatch.setattr(threads, "run", lambda jobs, count: used.append(count) or run(jobs, count))
    for size, dtype in ((300_000, np.float64), (400_000, np.float64), (400_000, np.float32)):
        x = np.zeros(size, dtype)
        oo.Adam().update(x, np.ones(size, dtype), oo.Adam().init(x), threads=2)
    assert used == [1, 2, 1]  # x, g and four rows of memory: 14, 19 and 10 MB


def test_slices_of_a_large_array_are_handed_their_own_shape():
    n, opt = 300_000, oo.Amos(0.1, axis=())
    w, g = np.ones(n), np.sin(np.arange(n))
    state = opt.init(w)
    whole, s, p = np.ones(n), opt.cold_start(w), opt.p_for(w)
    for k in range(2):
        opt.update(w, g, state)
        opt.kernel(k, p, whole, g, s)
    assert len(state.slots) == 3 and np.array_equal(w, whole)


@pytest.mark.parametrize("axis", [None, (), 0, 1, (0, 1)], ids=str)
@pytest.mark.parametrize("shape", [(SIZE, 1), (1, SIZE), (2, SIZE)], ids=str)
def test_an_axis_decides_what_is_sliced(shape, axis, small_slices):
    opt, x = oo.Amos(0.1, axis=axis), np.ones(shape)
    state = oo.Amos(0.1).init([x], groups=[{"arrays": [0], "axis": axis}])
    whole, s, p = x.copy(), opt.cold_start(x), opt.p_for(x)
    for k, g in enumerate(np.random.default_rng(0).standard_normal((2, *shape))):
        oo.Amos(0.1).update([x], [g], state)
        opt.kernel(k, p, whole.reshape(-1), g.reshape(-1), s)
    assert np.array_equal(x, whole) and (axis == ()) == (len(state.slots) > 1)


def test_slices_are_not_for_an_update_that_reduces(small_slices):
    x = np.ones(SIZE)
    state = oo.Amos(0.1, axis=()).init(x)
    with pytest.raises(ValueError, match="it is in slices"):
        oo.Amos(0.1).update(x, np.ones(SIZE), state)
    oo.Amos(0.2, axis=()).update(x, np.ones(SIZE), state)


def test_a_signal_while_handlers_are_put_back_leaves_none_behind():
    """It comes between the end of the block and the first handler's return: Ctrl-C, and all handlers as before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    block = threads.Uninterrupted()
    block.__enter__()
    block.waiting = False
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert {number: signal.getsignal(number) for number in before} == before
