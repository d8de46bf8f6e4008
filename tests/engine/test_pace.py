"""The pace of the loops, by a clock of the test: chunks of a fifth of a second, lanes in calls that are long enough."""

import contextlib
import math
import sys
import types

import numpy as np
import pytest

import odeopt as oo
from odeopt.engine import batched, loops
from odeopt.schemes import explicit_euler, heun_euler
from odeopt.threads import Stop

FLOW, GD, LINE = oo.flows.gradient_flow(), oo.GradientDescent(0.1), oo.problems.quadratic([1.0])
EULER = oo.Discretization(FLOW, explicit_euler, 0.1)


class Clock:
    """In the place of the module ``time``."""

    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(loops, "time", found)
    monkeypatch.setattr(batched, "time", found)
    return found


class Room:
    """A store that writes down what it is asked for, and gives ``most`` rows at once."""

    def __init__(self, most=math.inf, log=False):
        self.most, self.log, self.asked, self.reserved, self.trials = most, [] if log else None, [], [], []

    def rows(self, used, more):
        self.asked.append((used, more))
        return min(more, self.most)

    def reserve(self, used, more):
        self.reserved.append((used, more))
        return True

    def reserve_log(self, rows):
        self.trials.append(rows)
        return True


def chunks_of(clock, cost, k_end, every=1, room=None, count=8):
    """The lengths of the first chunks of a run whose step at k takes ``cost(k)`` seconds."""
    counters, found = np.zeros(6, np.int64), []

    def call(k_stop):
        k = int(counters[loops.K])
        found.append(k_stop - k)
        clock.now += (k_stop - k) * cost(k)
        counters[loops.K] = k_stop
        if k_stop >= k_end or len(found) == count:
            counters[loops.STATUS] = loops.COMPLETED

    clock.now, told = 1e4, []
    assert not loops.run(call, counters, room or Room(), k_end, every, told.append)
    assert told == found
    return found


def test_a_chunk_takes_a_fifth_of_a_second(clock):
    """After the first, of 64 steps, and at most sixteen times the one before."""
    assert chunks_of(clock, lambda k: 2.0**-10, 10**9) == [64, *[204] * 7]
    assert chunks_of(clock, lambda k: 2.0**-10, 200) == [64, 136]
    assert chunks_of(clock, lambda k: 1.0, 10**9) == [64, *[1] * 7]
    assert chunks_of(clock, lambda k: 0.0, 2**62, count=12) == [64 * 16**i for i in range(9)] + [2**40] * 3
    assert chunks_of(clock, lambda k: 2.0 if k < 64 else 2.0**-12, 10**9) == [64, 1, 16, 256, *[819] * 4]


def test_room_is_made_for_the_records_of_a_chunk(clock):
    """Every third step is recorded, and five rows may be added at once: fifteen steps."""
    room = Room(5)
    assert chunks_of(clock, lambda k: 0.0, 10**6, 3, room, 4) == [15] * 4
    assert room.asked == [(0, 64 * 16**i // 3 + 1) for i in range(4)]  # what there would be time for
    assert room.reserved == [(0, 7)] * 4 and room.trials == [15, 30, 45, 60]


@pytest.mark.parametrize(("every", "asked"), [
    (1, [(0, 65), (0, 40), (0, 1025), (40, 40)]), (100, [(0, 1), (0, 64), (0, 11), (40, 1024)])])
def test_room_is_made_for_the_trials_of_a_chunk(clock, every, asked):
    room = Room(40, log=True)
    assert chunks_of(clock, lambda k: 0.0, 10**6, every, room, 4) == [40] * 4
    assert room.trials == [40, 80, 120, 160] and room.reserved == [(0, 40 // every + 2)] * 4
    assert room.asked[:4] == asked  # for records, then for trials


def test_steps_in_the_interpreter_take_a_millisecond_together(clock):
    counters, sizes, cost = np.zeros(6, np.int64), [], [2.0**-14]

    def call(k_stop):
        sizes.append(k_stop - int(counters[loops.K]))
        clock.now += sizes[-1] * cost[0]
        counters[loops.K] = k_stop

    stepwise = loops.Stepwise(call, counters)
    clock.now = 1e4
    stepwise(1000)
    assert sizes == [1] * 1000
    stepwise(1080)
    assert sizes[1000:] == [1, 2, 4, 8, 16, 16, 16, 16, 1]  # of 61 microseconds each
    cost[0] = 2.0**-9
    stepwise(1146)
    assert sizes[1009:] == [32, 16, 8, 4, 2, *[1] * 4]
    cost[0] = 2.0**-11
    del sizes[:]
    stepwise(1151)
    assert sizes == [1, 2, 2]


def test_lanes_of_a_call_become_more_where_it_is_short(clock):
    def taken(cost, enough, count=5000):
        found = []
        for part in batched._blocks(count, 16, Stop(), enough):
            found.append(part.stop - part.start)
            assert part.start == sum(found[:-1])
            clock.now += cost
        return found

    clock.now = 1e4
    assert taken(2.0**-6, 0.5) == [16, 256, 4096, 632]
    assert taken(2.0**-5, 0.5) == [16] * 312 + [8]  # just long enough
    assert taken(0.0, 0.0, 40) == [16, 16, 8]
    flag = Stop()
    flag.set()
    parts = batched._blocks(5, 3, flag)
    assert next(parts) == slice(0, 3)
    with pytest.raises(batched.Stopped):
        next(parts)


@pytest.mark.parametrize("every", [1, 3, 100])
@pytest.mark.parametrize("method", [GD, EULER, oo.Discretization(FLOW, heun_euler, 0.01, rtol=1e-3)], ids=str)
def test_the_bar_is_told_of_every_step_once(method, every, monkeypatch):
    told = []
    bar = contextlib.nullcontext(types.SimpleNamespace(update=told.append))
    monkeypatch.setattr(sys.modules[oo.record.__module__], "progress_bar", lambda *a, **k: bar)
    for problem in (LINE, oo.Problem(lambda x: 0.5 * x @ x, lambda x: x, x0=[1.0])):
        told.clear()
        run = oo.record(method, problem, steps=313, every=every)
        assert sum(told) == 313 and min(told) > 0 and len(told) > 1 and told[0] == loops._FIRST_CHUNK
        assert run.k[-1] == 313


def test_the_first_thousand_steps_in_the_interpreter_are_taken_one_by_one():
    """Ctrl-C in a step takes back that step alone."""
    for at in (1, 2, 3, 4, 7, 40, 200, 998):
        left = [math.inf]

        def fun(x, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return 0.5 * float(x @ x)

        problem = oo.Problem(fun, lambda x: x, x0=[1.0])
        left[0] = 1 + at  # the first value is that of the start
        assert oo.record(oo.GradientDescent(1e-3), problem, steps=2000, every=500).final["k"] == at
