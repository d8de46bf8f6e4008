"""Ctrl-C at any instruction: what is recorded and the state move together, and a resumed run is the whole one."""

import contextlib
import signal
import sys
import threading
import time

import numpy as np
import pytest

import odeopt as oo
from odeopt import schedules as S
from odeopt.engine import loops, store
from odeopt.stochastic import streams

record_module = sys.modules[oo.record.__module__]
COLUMNS = ("k", "t", "x", "f", "grad_norm", "lr", "n_grad", "memory")
FLOW, D = oo.flows.heavy_ball_flow(1.0), oo.Discretization


class Objective:
    """Rosenbrock's function in plain Python; the ``at``-th evaluation raises ``error``."""

    def __init__(self):
        self.calls, self.at, self.error = 0, None, None
        self.problem = oo.Problem(self.fun, self.grad, dim=2, x0=[-1.2, 1.0], name="counted")

    def fun(self, x):
        self.calls += 1
        if self.calls == self.at:
            raise self.error
        return float(100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2)

    def grad(self, x):
        u = x[1] - x[0] ** 2
        return np.array([-400 * x[0] * u - 2 * (1 - x[0]), 200 * u])

    def run(self, case, at=None, error=KeyboardInterrupt, **more):
        self.calls, self.at, self.error = 0, at, error
        method, arguments = case
        return oo.record(method, self.problem, **arguments | more)


OPTIMIZERS = {
    "adam": (oo.Adam(1e-2), {"steps": 12, "every": 5}),
    "swa": (oo.SWA(oo.Momentum(1e-4), start=3), {"steps": 12, "every": 1}),
    "schedules": (oo.Momentum(1e-4), {"steps": 12, "every": 4, "schedule": (S.cosine(9), S.ramp(0.5, 0.9, 7))}),
    "plateau": (oo.GradientDescent(1e-3), {"steps": 12, "every": 3, "schedule": S.StepDecay(0.5, period=1, every=2)}),
}
FLOWS = {
    "scheme": (D(FLOW, oo.schemes.rk4, 1e-3), {"steps": 9, "every": 2}),
    "adaptive": (D(FLOW, oo.schemes.heun_euler, 1e-2, rtol=1e-4), {"steps": 15, "every": 2}),
}
CASES = OPTIMIZERS | FLOWS


def same(a, b):
    assert (a.status, a.message) == (b.status, b.message)
    for name in COLUMNS:
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert a.final.keys() == b.final.keys()
    for key, value in a.final.items():
        assert np.array_equal(value, b.final[key]), key


def consistent(part, whole, each):
    """``part`` was interrupted, ``whole`` not; ``each`` is the same with every step recorded."""
    k = part.final["k"]
    assert part.status == "interrupted" and len(part) >= 1 and part.k[0] == 0 and part.k[-1] <= k
    for name in COLUMNS:
        assert np.array_equal(getattr(part, name), getattr(whole, name)[: len(part)]), name
    if whole.step_log is None:
        assert len(part) == max(1, (whole.k < k).sum()) or len(part) == len(whole)  # it came after the last step
        assert np.array_equal(part.final["x"], each.x[k])
        assert np.array_equal(part.final["s"], each.memory[k])
    else:
        assert all(np.array_equal(part.step_log[name], whole.step_log[name][:k]) for name in whole.step_log)
    assert "interrupted" in repr(part) and part._repr_html_()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_exception_of_the_objective_at_any_call(name, error):
    case, objective = CASES[name], Objective()
    whole = objective.run(case, memory=True)
    calls = objective.calls
    each = objective.run(case, every=1, memory=True)
    for at in range(1, calls + 1):
        if at == 1 or error is ZeroDivisionError:  # the first call looks at the start: there is no run yet
            with pytest.raises(error):
                objective.run(case, at, error, memory=True)
            continue
        part = objective.run(case, at, memory=True)
        consistent(part, whole, each)
        if name in OPTIMIZERS:
            left = case[1]["steps"] - part.final["k"]
            same(objective.run(case, steps=left, resume=part, memory=True), whole)
            again = objective.run(case, 1, steps=left, resume=part, memory=True)  # nothing comes of it, nothing is lost
            assert len(again) == len(part)
            same(objective.run(case, steps=left, resume=again, memory=True), whole)


def opcodes(call, at=None):
    """``call()`` with KeyboardInterrupt at the ``at``-th instruction in or around the loops; without, their number."""
    files = {module.__file__ for module in (loops, record_module, store)}
    seen = 0

    def trace(frame, event, argument):
        nonlocal seen
        if frame.f_code.co_filename not in files:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            seen += 1
            if seen == at:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return call() if at else (call(), seen)[1]
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("name", CASES)
def test_an_interrupt_at_any_instruction(name):
    case, objective = CASES[name], Objective()
    whole, each = objective.run(case, memory=True), objective.run(case, every=1, memory=True)
    count, seen = opcodes(lambda: objective.run(case, memory=True)), 0
    for at in range(1, count, 53):
        part = None
        with contextlib.suppress(KeyboardInterrupt):  # outside of the loop: no run, then
            part = opcodes(lambda at=at: objective.run(case, memory=True), at)
        if part is None or part.status == "completed":  # the number of instructions varies a little with the clock
            continue
        seen += 1
        consistent(part, whole, each)
        if name in OPTIMIZERS:
            same(objective.run(case, steps=case[1]["steps"] - part.final["k"], resume=part, memory=True), whole)
    assert seen > 20


@pytest.mark.parametrize("name", CASES)
def test_an_interrupt_between_the_chunks_of_a_compiled_run(name, monkeypatch):
    method, arguments = CASES[name]
    problem = oo.problems.rosenbrock()
    monkeypatch.setattr(loops, "_CHUNK_SECONDS", 1e-9)
    monkeypatch.setattr(loops, "_FIRST_CHUNK", 1)

    def run(**more):
        general = {"specialize": False} if isinstance(method, oo.optimizers.Optimizer) else {}
        return oo.record(method, problem, **arguments | {"memory": True} | general | more)

    whole, each, seen = run(), run(every=1), 0
    for at in range(1, opcodes(run), 29):
        part = None
        with contextlib.suppress(KeyboardInterrupt):
            part = opcodes(run, at)
        if part is None or part.status == "completed":
            continue
        seen += 1
        consistent(part, whole, each)
        if name in OPTIMIZERS:
            same(run(steps=arguments["steps"] - part.final["k"], resume=part), whole)
    assert seen > 5


def test_a_signal_in_a_long_python_run():
    objective = Objective()
    case = (oo.Adam(1e-3), {"steps": 10**6, "every": 10})
    main, past = threading.main_thread().ident, signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt():
        while objective.calls < 3000:
            time.sleep(1e-3)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    try:
        thread.start()
        part = objective.run(case)
    finally:
        thread.join()
        signal.signal(signal.SIGINT, past)
    k = part.final["k"]
    assert part.status == "interrupted" and k > 1000
    whole = objective.run(case, steps=k + 100)
    assert np.array_equal(part.x, whole.x[: len(part)])
    same(objective.run(case, steps=100, resume=part), whole)


SEEN = oo.stochastic.gaussian(0.1 * np.eye(2))


def same_paths(a, b):
    assert (a.status, a.message) == (b.status, b.message)
    for name in ("k", "t", "x", "stopped", "mean"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), name)
    for key, value in a.final.items():
        assert np.array_equal(value, b.final[key]), key


@pytest.mark.parametrize("first", [1, 64])
def test_an_interrupted_sample_keeps_what_all_paths_have_done(first, monkeypatch, tmp_path):
    """Wherever the objective is interrupted, all paths stand at one step, and go on to the whole run."""
    monkeypatch.setattr(streams, "FIRST_ROUND", first)
    monkeypatch.setattr(streams, "ROUND", 1e-9)  # a step a round
    objective, adam = Objective(), oo.Adam(1e-3)

    def sampled(at=None, steps=7, **more):
        objective.calls, objective.at, objective.error = 0, at, KeyboardInterrupt
        more = {"paths": 3, "every": 3, "average_from": 2} | more
        return oo.sample(adam, objective.problem, SEEN, steps=steps, **more)

    whole, calls = sampled(), objective.calls
    each, reached = sampled(every=1), []
    for at in range(2, calls + 1):
        part = sampled(at)
        k = int(part.final["k"])
        reached.append(k)
        assert part.status == "interrupted" and f"after step {k};" in part.message
        assert part.k.tolist() == sorted({*range(0, k + 1, 3), k})
        assert np.array_equal(part.x, each.x[:, part.k]) and np.array_equal(part.t, each.t[part.k])
        part.save(tmp_path / "part")
        again = oo.stochastic.Paths.load(tmp_path / "part.npz")
        same_paths(sampled(steps=7 - k, resume=again, paths=1, every=None, average_from=None), whole)
    assert reached == sorted(reached) and set(reached) == ({0} if first == 64 else set(range(7)))
    half = sampled(steps=4)
    again = sampled(1, steps=3, resume=half, paths=1, every=None, average_from=None)
    assert again.final["k"] == 4 and np.array_equal(again.x, half.x) and np.array_equal(whole.x[:, :2], half.x[:, :2])


def test_an_interrupted_simulation_keeps_what_all_paths_have_done(monkeypatch):
    monkeypatch.setattr(streams, "FIRST_ROUND", 1)
    monkeypatch.setattr(streams, "ROUND", 1e-9)
    objective, equation = Objective(), oo.stochastic.sde(oo.GradientDescent(1e-3))

    def simulated(at=None, every=2):
        objective.calls, objective.at, objective.error = 0, at, KeyboardInterrupt
        return oo.stochastic.simulate(equation, objective.problem, SEEN, steps=6, paths=3, every=every)

    simulated()
    calls, each, reached = objective.calls, simulated(every=1), []
    for at in range(2, calls + 1):
        part = simulated(at)
        reached.append(int(part.final["k"]))
        assert part.status == "interrupted" and np.array_equal(part.x, each.x[:, part.k])
    assert reached == sorted(reached) and set(reached) == set(range(6))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_in_a_compiled_sample(threads, monkeypatch):
    """The round under way is finished: a signal in the middle of one, then the run goes on to the same end."""
    monkeypatch.setattr(streams, "FIRST_ROUND", 10)
    monkeypatch.setattr(streams, "ROUND", 1e-9)
    monkeypatch.setattr(streams, "BLOCK_PATHS", 4)
    past, draw, count = signal.signal(signal.SIGINT, signal.default_int_handler), streams.Streams.normals, []
    main = threading.main_thread().ident

    def sampled(**more):
        return oo.sample(oo.Momentum(1e-4), oo.problems.rosenbrock(), SEEN, steps=50, paths=10, every=4,
                         threads=threads, **more)

    whole = sampled()

    def normals(self, rows, *arguments):
        count.append(rows)
        if len(count) == 5:  # of three blocks: the second round
            signal.pthread_kill(main, signal.SIGINT)
        return draw(self, rows, *arguments)

    try:
        with monkeypatch.context() as patch:
            patch.setattr(streams.Streams, "normals", normals)
            part = sampled()
    finally:
        signal.signal(signal.SIGINT, past)
    k = part.final["k"]
    assert part.status == "interrupted" and 10 < k < 50
    again = oo.sample(oo.Momentum(1e-4), oo.problems.rosenbrock(), SEEN, steps=50 - k, resume=part)
    same_paths(again, whole)
