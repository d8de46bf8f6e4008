"""What a recorder decides beside the steps: defaults, bounds, room, what a resumed or interrupted run keeps."""

import contextlib
import json
import math
import sys
import types

import numpy as np
import pytest

import odeopt as oo
from odeopt import archive, checks
from odeopt.engine import store, trajectory

recorder = sys.modules[oo.record.__module__]
FLOW, BALL, CURVES = oo.flows.gradient_flow(), oo.flows.heavy_ball_flow(0.7), np.array([1.0, 6.0])
BOWL, GD = oo.problems.quadratic(list(CURVES), x0=[1.0, -0.5]), oo.GradientDescent(0.1)
PAIR = oo.Discretization(FLOW, oo.schemes.heun_euler, 0.1, rtol=1e-3)
COLUMNS = ("k", "t", "x", "f", "grad_norm", "lr", "n_grad", "memory")


def plain(where=-np.inf, calls=(math.inf,)):
    """The bowl in plain Python, without an f where x[0] <= ``where``; after ``calls[0]`` more of them comes Ctrl-C."""
    left = calls if isinstance(calls, list) else list(calls)

    def fun(x):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return 0.5 * float(x @ (CURVES * x)) if x[0] > where else np.nan

    return oo.Problem(fun, lambda x: CURVES * x, x0=[1.0, -0.5])


def stopped_at_once(method, **more):
    """A run that Ctrl-C ends in the first step: after the value at the start."""
    left = [math.inf]
    problem = plain(calls=left)
    left[0] = 1
    run = oo.record(method, problem, memory=True, **more)
    assert run.status == "interrupted" and run.k.tolist() == [0] and run.final["k"] == 0
    return run


def test_controllers_are_those_of_their_sources():
    """Elementary; Gustafsson, ACM TOMS 17 (1991); ARKODE's PID. Each with safety and factors as in Hairer's codes."""
    assert recorder.CONTROLLERS == {"I": (1, 0, 0, 0.9, 0.2, 5), "PI": (0.7, -0.4, 0, 0.9, 0.2, 5),
                                    "PID": (0.58, -0.21, 0.1, 0.9, 0.2, 5)}
    assert recorder._gains("PID", oo.schemes.dormand_prince).tolist() == [0.58 / 5, -0.21 / 5, 0.1 / 5, 0.9, 0.2, 5]


@pytest.mark.parametrize(("gains", "good"), [
    ((1, 0, 0, 0.9, 0.2, 1), True), ((1, 0, 0, 0, 0.2, 5), False), ((1, 0, 0, 0.9, 0, 5), False),
    ((1, 0, 0, 0.9, 1, 5), False), ((1, 0, 0, 0.9, 0.2, 0.99), False), ((1, 0, 0, 0.9, 0.2), False),
    ((1, 0, 0, 0.9, 0.2, 5, 5), False), ((1, 0, 0, 0.9, 0.2, np.nan), False), ((1, 0, 0, 1e-3, 0.99, 5), True)])
def test_bounds_of_a_controller(gains, good):
    with contextlib.nullcontext() if good else pytest.raises(ValueError, match="controller must"):
        oo.record(PAIR, BOWL, steps=2, controller=gains)


@pytest.mark.parametrize("method", [PAIR, oo.Discretization(FLOW, oo.schemes.rk4, 0.1)], ids=str)
def test_options_of_the_other_kind_of_method_are_refused(method):
    for option in ({"gtol": 1.0}, {"start": "consistent"}, {"schedule": oo.schedules.constant()}, {"specialize": False},
                   {"start": [[1.0, 2.0]]}, {"gtol": "0"}, {"gtol": -1.0}, {"resume": oo.record(GD, BOWL, steps=1)}):
        with pytest.raises((TypeError, ValueError), match=f"^{next(iter(option))} must be"):
            oo.record(method, BOWL, steps=2, **option)
    for gtol in (0, 0.0, np.float64(0.0)):
        assert oo.record(method, BOWL, steps=2, gtol=gtol, start="cold").ok
    for other in (GD, oo.Discretization(FLOW, oo.schemes.heun_euler, 0.1)):
        with pytest.raises(ValueError, match="controller must be None"):
            oo.record(other, BOWL, steps=2, controller="PI")


def test_the_bar_counts_to_the_end_where_it_is_known(monkeypatch):
    totals = []

    def bar(progress, total, **words):
        totals.append(total)
        return contextlib.nullcontext(types.SimpleNamespace(update=lambda n: None))

    monkeypatch.setattr(recorder, "progress_bar", bar)
    for more in ({"steps": 3}, {"t_end": 0.3}, {"steps": 10**7, "t_end": 0.2}, {"steps": 10**7 - 1, "t_end": 0.2}):
        oo.record(GD, BOWL, **more)
    assert totals == [3, None, None, 10**7 - 1]


def test_ten_million_steps_to_an_end_that_is_too_far(monkeypatch):
    run = oo.record(oo.GradientDescent(1e-9), oo.problems.quadratic([1.0]), t_end=1.0, every=10**8)
    assert run.status == "stalled" and run.k.tolist() == [0, 10**7]


def test_certain_records_alone_are_refused_for_their_size():
    """A run that may end before is begun."""
    assert oo.record(oo.GradientDescent(0.1), BOWL, steps=10**15, gtol=0.5).status == "converged"
    assert oo.record(oo.GradientDescent(0.1), BOWL, steps=10**15, t_end=0.5).k[-1] == 5
    part = oo.record(GD, BOWL, steps=5)
    with pytest.raises(ValueError, match=f"steps must be at most {checks.LARGEST - 5}"):
        oo.record(GD, BOWL, steps=checks.LARGEST - 4, resume=part)
    with pytest.raises(ValueError, match="steps and every must ask"):
        oo.record(GD, BOWL, steps=checks.LARGEST - 5, resume=part)


def test_at_most_two_schedules_and_what_they_set():
    """The lr of a record is that of the next step, of the first one too, where Ctrl-C comes at once."""
    ramp, beta = oo.schedules.ramp(0.1, 0.3, 4, drives="lr"), oo.schedules.ramp(0.5, 0.9, 4, drives="beta1")
    with pytest.raises(TypeError, match="a sequence of at most two"):
        oo.record(oo.Adam(0.1), BOWL, steps=2, schedule=[ramp, beta, oo.schedules.constant(drives="beta2")])
    for schedule in (None, ramp, beta, (ramp, beta), (beta, ramp)):
        whole = oo.record(oo.Adam(0.2), plain(), steps=3, schedule=schedule, memory=True, every=2)
        part = stopped_at_once(oo.Adam(0.2), steps=3, schedule=schedule, every=2)
        for name in COLUMNS:
            assert np.array_equal(getattr(part, name), getattr(whole, name)[:1]), name
    grown = oo.record(oo.Adagrad(1e-3), BOWL, steps=300, schedule=oo.schedules.exponential(1e30))
    assert grown.status == "stalled" and grown.k[-1] == 6 and "schedule must keep lr in" in grown.message
    for method in (oo.Discretization(BALL, oo.schemes.rk4, 0.1), PAIR):
        part, whole = stopped_at_once(method, steps=3), oo.record(method, plain(), steps=3, memory=True)
        for name in COLUMNS:
            assert np.array_equal(getattr(part, name), getattr(whole, name)[:1]), name


@pytest.mark.parametrize("steps", [11, 12, 13])
def test_decisions_are_taken_where_an_epoch_ends_and_another_begins(steps):
    """By hand; the last epoch's is taken by the run that goes on."""
    rule = oo.schedules.ReduceLROnPlateau(factor=0.5, patience=0, threshold=0.5, every=3)
    decisions, x, lr = rule.start(0.1), BOWL.x0.copy(), []
    for k in range(steps + 1):
        if k and k % 3 == 0 and k < steps:
            decisions.step(BOWL.fun(x))
        lr.append(decisions.lr)
        x, last = x - decisions.lr * BOWL.grad(x), x
    run = oo.record(GD, BOWL, steps=steps, schedule=rule)
    np.testing.assert_allclose(run.lr, lr, rtol=1e-15)
    np.testing.assert_allclose(run.x[-1], last, rtol=1e-12)
    np.testing.assert_allclose(run.final["decisions"], decisions.numbers(), rtol=1e-12)
    assert lr[0] > lr[-1]
    whole = oo.record(GD, BOWL, steps=steps + 7, schedule=rule)
    again = oo.record(GD, BOWL, steps=7, schedule=rule, resume=run)
    assert np.array_equal(again.x, whole.x) and np.array_equal(again.final["decisions"], whole.final["decisions"])


def test_a_resumed_run_that_gets_nowhere_keeps_its_records():
    left = [math.inf]
    problem = plain(0.5, left)  # no f at the seventh step
    whole, part = (oo.record(GD, problem, steps=n, every=7) for n in (20, 5))
    assert part.k.tolist() == [0, 5] and whole.k.tolist() == [0] and whole.status == "diverged"
    joined = oo.record(GD, problem, steps=15, every=7, resume=part)
    assert joined.k.tolist() == [0] and joined.message == whole.message
    left[0] = 0
    stopped = oo.record(GD, problem, steps=15, every=7, resume=part)
    assert stopped.k.tolist() == [0, 5] and stopped.status == "interrupted" and stopped.final["k"] == 5


def test_long_lists_of_steps_are_not_written_into_the_spec():
    for n, told in ((10_000, True), (10_001, False)):
        run = oo.record(oo.Discretization(FLOW, oo.schemes.explicit_euler, np.full(n, 1e-6)), BOWL, steps=1)
        assert bool(run.spec) == told and ("spec" in run.final) == told
    both = oo.record(oo.Discretization(FLOW, oo.schemes.explicit_euler, [0.1, 0.3]), BOWL)
    assert both.k[-1] == 2 and both.t[-1] == pytest.approx(0.4, rel=1e-15)


@pytest.mark.parametrize("problem", [BOWL, plain()], ids=["compiled", "plain"])
def test_memory_of_a_scheme(problem):
    """The heavy ball by semi-implicit Euler, in two lines."""
    x, w, h = problem.x0.copy(), np.array([0.3, 0.2]), 0.1
    run = oo.record(oo.Discretization(BALL, oo.schemes.semi_implicit_euler, h), problem, [x, w], steps=6, every=2,
                    memory=True)
    assert run.memory.shape == (4, 1, 2) and run.final["s"].shape == (1, 2)
    for k in range(7):
        if k % 2 == 0:
            np.testing.assert_allclose([run.x[k // 2], run.memory[k // 2, 0]], [x, w], rtol=1e-13)
        w = w + h * (-0.7 * w - CURVES * x)
        x = x + h * w


# Room ----------------------------------------------------------------------------------------------


def test_room_for_all_at_once_is_256_megabytes():
    """A record has 6 numbers, x and the memory; a row of memory more is as much as n coordinates."""
    for dim, rows in ((26, None), (13, 1), (26, 0)):  # 32 numbers, so 2^20 records
        assert store.Store(dim, rows, 2**20).capacity == 2**20
        assert store.Store(dim, rows, 2**20 + 1).capacity == store.FIRST
    small = store.Store(5, 2, 7)
    assert small.capacity == 7 and [a.shape for a in small.arrays] == [(7,)] * 6 + [(7, 5), (7, 2, 5)]
    assert [a.dtype for a in small.arrays] == [np.dtype(int)] * 2 + [np.dtype(float)] * 6


def test_what_is_asked_of_the_machine_is_what_is_then_held(monkeypatch):
    asked = []
    monkeypatch.setattr(checks, "memory", lambda what, size: asked.append(size))
    monkeypatch.setattr(store, "AT_ONCE", 0)
    monkeypatch.setattr(store, "FIRST", 10)
    room = store.Store(3, 2, 10**6, log=True)
    room.refuse_too_many()
    held = sum(a.nbytes for a in room.arrays)
    assert asked == [held * 10**5] and room.capacity == 10
    assert room.reserve(4, 6) and len(asked) == 1 and room.capacity == 10  # there is room
    for used, more in ((4, 7), (40, 50), (90, 1)):
        assert room.reserve(used, more) and room.capacity >= used + more
        assert asked[-1] == sum(a.nbytes for a in room.arrays) and len(room.arrays[0]) == room.capacity
    for rows in (9, 10, 100):
        assert room.reserve_log(rows) and len(room.log) >= rows
        assert asked[-1] == sum(a.nbytes for a in (*room.arrays, room.log))
    count = len(asked)
    assert room.reserve_log(len(room.log)) and len(asked) == count

    def refuse(what, size):
        raise ValueError

    monkeypatch.setattr(checks, "memory", refuse)
    capacity, rows = room.capacity, len(room.log)
    assert not room.reserve(capacity, 1) and not room.reserve_log(rows + 1)
    assert (room.capacity, len(room.log)) == (capacity, rows)


# Files ---------------------------------------------------------------------------------------------


def changed(run, **final):
    return oo.Trajectory(**{name: getattr(run, name) for name in (*COLUMNS, "status", "message", "method", "problem",
                                                                 "step_log")}, final=run.final | final)


def test_a_trajectory_is_checked_at_the_edges_of_what_is_allowed():
    run = oo.record(GD, BOWL, steps=4, schedule=oo.schedules.ReduceLROnPlateau())
    run.check()
    most, numbers = checks.LARGEST, run.final["decisions"]
    for name, good, bad in (("every", 1, 0), ("every", most, most + 1), ("k", 4, 3), ("k", 4, 5),
                            ("carry", 0.0, np.inf)):
        changed(run, **{name: good}).check()
        with pytest.raises(archive.Wrong):
            changed(run, **{name: bad}).check()
    for entry in (0, 2, 3, 4, 5):
        for value, good in ((0.0, True), (-1.0, False), (np.nan, False), (float(most), False), (0.5 * most, True)):
            given = numbers.copy()
            given[entry] = value
            with contextlib.nullcontext() if good else pytest.raises(archive.Wrong, match="final.decisions"):
                changed(run, decisions=given).check()
    for low, high in ((0, most - 1), (1, most)):  # numbers of steps
        k = np.array([low, high])
        wrong = oo.Trajectory(**{name: getattr(run, name) for name in ("status", "message", "method", "problem")},
                              **{name: getattr(run, name)[:2] for name in COLUMNS[1:-1]}, k=k, memory=None,
                              final=run.final | {"k": high, "x": run.x[1]})
        with contextlib.nullcontext() if low == 0 else pytest.raises(archive.Wrong, match="k must be in"):
            wrong.check()


def test_files_of_this_format_alone_are_read(tmp_path, monkeypatch):
    run = oo.record(PAIR, BOWL, steps=4)
    run.save(tmp_path / "run.npz")
    assert trajectory.FORMAT == 2
    again = oo.Trajectory.load(tmp_path / "run.npz")
    assert all(np.array_equal(again.step_log[name], run.step_log[name]) for name in run.step_log)
    assert json.loads(again.final["spec"]) == run.spec
    for number in (1, 3):
        monkeypatch.setattr(trajectory, "FORMAT", number)
        run.save(tmp_path / "other.npz")
        monkeypatch.undo()
        with pytest.raises(ValueError, match="is not a trajectory file"):
            oo.Trajectory.load(tmp_path / "other.npz")


def test_a_notebook_shows_where_a_run_ended():
    run = oo.record(GD, BOWL, steps=4)
    told = run._repr_html_()
    for words in ("<th>steps</th><td>4</td>", "<th>flow time</th><td>0.4</td>", "<th>gradients</th><td>4</td>",
                  "1.25 to", "gradient norm", "4 steps done"):
        assert words in told, words
