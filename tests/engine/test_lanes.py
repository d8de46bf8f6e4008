"""Many trajectories at once against single runs: paths, starts, numbers of lanes, updates that take no time."""

import math

import numpy as np
import pytest

import odeopt as oo
from odeopt.abi import interpreted
from odeopt.engine import batched, loops
from odeopt.threads import Stop

GD, ADAM, ROSENBROCK = oo.GradientDescent(1e-3), oo.Adam(0.05), oo.problems.rosenbrock()
PLAIN = oo.Problem(lambda x: float(100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2),
                   lambda x: np.array([-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)]),
                   x0=[-1.2, 1.0])
STARTS = np.array([[-1.2, 1.0], [0.3, 0.7], [3.0, -4.0], [1.0, 1.0]])


@pytest.mark.parametrize("start", ["cold", "consistent"])
@pytest.mark.parametrize("every", [0, 1, 4, 13])
@pytest.mark.parametrize(("problem", "simd"), [(ROSENBROCK, True), (ROSENBROCK, False), (PLAIN, False)],
                         ids=["simd", "compiled", "plain"])
def test_lanes_are_single_runs(start, every, problem, simd):
    """The second start ends at its sixth step; what a path shows after an end is the end."""
    for optimizer, gtol in ((ADAM, 0.0), (oo.GradientDescent(2e-3), 2.0)):
        found = batched.run(problem, optimizer, STARTS, 13, every, math.inf, gtol, simd=simd, start=start)
        assert ("path_x" in found) == ("path_f" in found) == (every > 0)
        lengths = set()
        for j, x0 in enumerate(STARTS):
            run = oo.record(optimizer, problem, x0, 13, every=1, gtol=gtol, start=start)
            lengths.add(int(run.k[-1]))
            k = run.k[-1] if run.ok else run.final["k"]
            assert found["k"][j] == k and found["t"][j] == run.final["t"]
            np.testing.assert_allclose(found["x"][j], run.final["x"], rtol=1e-14)
            if run.ok:
                np.testing.assert_allclose([found["f"][j], found["grad_norm"][j]], [run.f[-1], run.grad_norm[-1]],
                                           rtol=1e-13)
            if every and run.ok:
                at = np.minimum(np.arange(0, 14, every), run.k[-1])
                assert found["path_x"].shape == (4, at.size, 2)
                np.testing.assert_allclose(found["path_x"][j], run.x[at], rtol=1e-14)
                np.testing.assert_allclose(found["path_f"][j], run.f[at], rtol=1e-13)
        assert not gtol or len(lengths) > 2


@pytest.mark.parametrize("count", [1, 255, 256, 257, 700])
def test_any_number_of_lanes(count):
    starts = np.linspace([-1.0, 0.5], [1.0, 2.0], count)
    found = batched.run(ROSENBROCK, GD, starts, 3, 2, math.inf, 0.0)
    one = batched.run(ROSENBROCK, GD, starts, 3, 2, math.inf, 0.0, simd=False)
    for name, value in found.items():
        assert value.shape[:1] == (count,) and np.array_equal(value, one[name]), name


def test_lanes_in_the_interpreter_end_after_one_when_they_are_stopped():
    stop, seen = Stop(), []

    def fun(x):
        seen.append(x[0])
        stop.set()
        return float(x @ x)

    problem = oo.Problem(fun, lambda x: 2 * x, x0=[7.0])
    stop.flag[0] = 0
    seen.clear()
    with pytest.raises(batched.Stopped):
        batched.run(problem, GD, np.array([[1.0], [2.0], [3.0]]), 2, 0, math.inf, 0.0, stop=stop)
    assert max(seen) <= 1.0


def block(dts, steps, *, live=(1, 1), t_end=math.inf):
    """``(k, t, status)`` of lanes under an update of the test, which moves nothing and takes the times ``dts``."""
    width = len(live)
    flags, numbers, none = np.array(live, np.int64), np.zeros((3, width)), np.zeros(0)
    k, status = np.zeros(width, np.int64), np.full(width, -1)

    def gradients(x, out, data):
        out[:] = 1.0

    interpreted(batched._block)(
        gradients, lambda k, p, x, g, s: dts[min(k, len(dts) - 1)], none, none, np.zeros(width), np.zeros((0, width)),
        np.zeros(3 * width), flags, steps, 0, t_end, 0.0, np.zeros((width, 1)), numbers, k, status,
        np.zeros((width, 0, 1)), np.zeros((width, 0)), Stop().flag)
    return k.tolist(), numbers[0].tolist(), status.tolist()


@pytest.mark.parametrize("last", [0.0, -0.25, math.nan])
def test_a_step_that_takes_no_time_ends_the_lanes(last):
    """With the time up to there, whose carry is not 0."""
    dts = [0.1] * 10 + [last]
    t = math.fsum(dts)
    assert sum(dts) != t
    found = block(dts, 30, live=(1, 0, 1))
    assert found[0] == [11, 0, 11] and found[2] == [loops.BAD_STATE, -1, loops.BAD_STATE]
    assert np.array_equal(found[1], [t, 0.0, t], equal_nan=True)


def test_an_end_that_the_carry_alone_reaches():
    """As in test_sensitive_loops.py."""
    k, t, status = block([1.0, 1e-16], 600, t_end=1 + 1.02e-12)
    assert status == [loops.COMPLETED] * 2 and 190 < k[0] == k[1] < 215 and 1 < t[0] < 1 + 1.02e-12


def test_a_time_that_is_infinite_ends_the_lanes():
    assert block([1e308], 30)[::2] == ([2, 2], [loops.BAD_STATE] * 2)


@pytest.mark.parametrize(("status", "slot", "expected"), [
    (loops.COMPLETED, 1.0, loops.COMPLETED), (loops.COMPLETED, math.inf, loops.BAD_STATE),
    (loops.CONVERGED, math.nan, loops.BAD_STATE), (loops.BAD_VALUE, math.inf, loops.BAD_VALUE),
    (loops.BAD_GRADIENT, math.inf, loops.BAD_GRADIENT)])
def test_a_lane_ends_with_what_was_found_first(status, slot, expected):
    """The second of three lanes in two dimensions, with a slot that may not be finite; the others stay."""
    x, out = np.arange(6.0), np.arange(10.0, 22.0)
    s, live = np.ones((2, 6)), np.ones(3, np.int64)
    s[1, 4] = slot
    out_x, numbers, k, code = np.zeros((3, 2)), np.zeros((3, 3)), np.zeros(3, np.int64), np.full(3, -1)
    interpreted(batched._finish)(1, status, 7, 0.25, 3.5, x, out, s, live, out_x, numbers, k, code)
    assert code.tolist() == [-1, expected, -1] and k.tolist() == [0, 7, 0] and live.tolist() == [1, 0, 1]
    assert out_x.tolist() == [[0, 0], [1, 4], [0, 0]] and numbers[:, 1].tolist() == [0.25, 17.0, 3.5]
