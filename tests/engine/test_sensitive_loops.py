"""The loops at their edges: what is not finite, prescribed errors, ends at the start, samples and single steps."""

import math

import numpy as np
import pytest

import odeopt as oo
from odeopt import schedules as S
from odeopt.abi import interpreted, kernel
from odeopt.engine import batched, loops
from odeopt.engine.record import CONTROLLERS
from odeopt.schemes import explicit_euler, heun_euler, rk4
from odeopt.schemes.base import Scheme

FLOW, GD, LINE = oo.flows.gradient_flow(), oo.GradientDescent(0.1), oo.problems.quadratic([1.0])
EULER = oo.Discretization(FLOW, explicit_euler, 0.1)
WALL, VALUES = 0.6, ("f inf", "f -inf", "f nan", "g inf", "g -inf", "g nan", "g 1e200")


# What is not finite --------------------------------------------------------------------------------


@kernel
def walled(x, g, data):
    """x^2/2 + y; where x <= 0.6, f + data[0] and the second gradient component + data[1]."""
    g[0], g[1] = x[0], 1.0
    if x[0] <= 0.6:
        g[1] += data[1]
        return 0.5 * x[0] * x[0] + x[1] + data[0]
    return 0.5 * x[0] * x[0] + x[1]


def with_wall(what, compiled=True):
    name, value = what.split()
    data = np.array([float(value) if name == "f" else 0.0, float(value) if name == "g" else 0.0])
    if compiled:
        return oo.Problem.from_kernels("wall", walled, None, dim=2, data=data, x0=[1.0, 0.5])
    out = np.empty(2)

    def fun(x):
        return interpreted(walled)(x, out, data)

    def grad(x):
        interpreted(walled)(x, out, data)
        return out.copy()

    return oo.Problem(fun, grad, x0=[1.0, 0.5])


LAST = 5  # 0.9^4 > 0.6 >= 0.9^5


@pytest.mark.parametrize("what", VALUES)
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("specialize", [None, True])
def test_a_run_ends_at_the_first_value_that_is_not_finite(what, compiled, specialize):
    """Not at the next record, and it says whether it was f or its gradient; a norm of 1e200 is one."""
    problem = with_wall(what, compiled)
    for every in (1, 1000):
        run = oo.record(GD, problem, steps=20, every=every, specialize=specialize)
        if what == "g 1e200":
            assert run.status == "completed" and run.grad_norm[-1] == pytest.approx(1e200, rel=1e-12)
            continue
        assert run.status == "diverged" and run.final["k"] == LAST
        assert f"step {LAST}: " + ("objective" if what[0] == "f" else "gradient norm") in run.message
        assert run.k.tolist() == list(range(0, LAST, every)) and run.final["x"][0] == pytest.approx(0.9**LAST)
    if what == "g 1e200":
        return
    words = "objective" if what[0] == "f" else "gradient norm"
    run = oo.record(EULER, problem, steps=20)
    assert run.status == "diverged" and run.k.tolist() == list(range(LAST)) and words in run.message
    adaptive = oo.Discretization(FLOW, heun_euler, 0.1, rtol=0.9, atol=10.0)
    run = oo.record(adaptive, problem, steps=90, controller=(0, 0, 0, 1, 0.5, 1))
    assert (run.x[:, 0] > 0.6).all() and run.x[-1, 0] < 0.62
    if what[0] == "f":
        assert run.status == "diverged" and words in run.message
    else:  # such a trial is rejected
        assert run.status == "stalled" and "step size became 0" in run.message


@pytest.mark.parametrize("what", VALUES[:-1])
@pytest.mark.parametrize("simd", [True, False])
def test_lanes_end_at_the_first_value_that_is_not_finite(what, simd):
    problem, starts = with_wall(what), np.array([[1.0, 0.5], [1.0, 0.2], [2.0, 0.0]])
    found = batched.run(problem, GD, starts, 11, 3, np.inf, 0.0, simd=simd)
    code = loops.BAD_VALUE if what[0] == "f" else loops.BAD_GRADIENT
    assert found["k"].tolist() == [LAST, LAST, 11] and found["status"].tolist() == [code, code, loops.COMPLETED]
    np.testing.assert_allclose(found["x"][:, 0], [0.9**LAST, 0.9**LAST, 2 * 0.9**11], rtol=1e-14)
    np.testing.assert_allclose(found["t"], [0.5, 0.5, 1.1], rtol=1e-15)
    np.testing.assert_allclose(found["path_x"][0, :, 0], [1.0, 0.9**3, 0.9**5, 0.9**5], rtol=1e-14)
    np.testing.assert_allclose(found["path_x"][2, :, 0], 2 * 0.9 ** np.arange(0, 12, 3), rtol=1e-14)


# One loop by itself --------------------------------------------------------------------------------


def run_loop(update, g, *, x=(1.0,), slots=0, steps=5, first=-1, gtol=0.0, schedule=None, t_end=np.inf):
    """``(status, k, t)`` of the optimizer loop for an update of the test and the gradient ``g(x)``."""
    counters, clock = loops.fresh_counters()
    x, s, p, none = np.array(x), np.zeros((slots, len(x))), np.ones(1), np.zeros(0)

    def fg(x, out, data):
        out[:] = g(x)
        return 0.0

    store = [np.zeros(9, np.int64), np.zeros(9, np.int64), *np.zeros((4, 9)), np.zeros((9, 1)), np.zeros((9, 0, 1))]
    driven, span = np.array([first, -1]), np.array([1.0, 0.0, 9.0] * 2)
    interpreted(loops.optimizer_loop)(fg, none, update, schedule, schedule, driven, none, none, span, p, x, x.copy(), s,
                                      x.copy(), s.copy(), counters, clock, steps, steps, 10**6, t_end, gtol, *store)
    return int(counters[loops.STATUS]), int(counters[loops.K]), clock[loops.T] + clock[loops.CARRY]


@pytest.mark.parametrize(("dt", "gradient", "driven", "status", "k"), [
    (0.0, 0.0, -1, loops.STALLED, 1), (0.0, 2.0, -1, loops.BAD_STATE, 1), (-1.0, 2.0, -1, loops.BAD_STATE, 1),
    (np.nan, 2.0, 0, loops.BAD_STATE, 1), (-1.0, 0.0, 0, loops.BAD_STATE, 1), (0.0, 2.0, 0, loops.COMPLETED, 5),
    (0.0, 0.0, 0, loops.COMPLETED, 5), (0.3, 2.0, -1, loops.COMPLETED, 5), (0.3, 0.0, 0, loops.COMPLETED, 5)])
def test_a_step_that_takes_no_time(dt, gradient, driven, status, k):
    """By a schedule a step may have length 0; otherwise an update that still moves has no flow time there."""
    def update(k, p, x, g, s):
        x += 1.0
        return dt

    found = run_loop(update, lambda x: gradient, first=driven, schedule=lambda k, base, c: 1.0)
    assert found[:2] == (status, k)
    if k == 5:
        assert found[2] == math.fsum([dt] * 5)


def moves_late(k, p, x, g, s):
    """To 0 in step 0; then nothing but in step 3."""
    if k in (0, 3):
        x[:] = k
    return 0.25


def test_rest_is_judged_by_the_steps_that_would_follow():
    for slots, status, k in ((0, loops.CONVERGED, 1), (1, loops.CONVERGED, 1), (2, loops.COMPLETED, 5)):
        assert run_loop(moves_late, lambda x: x, slots=slots)[:2] == (status, k)
    def moved(slots, k):
        return interpreted(batched._moving)(moves_late, k, np.zeros(1), np.zeros(1), np.zeros(1), np.zeros((slots, 1)))

    assert [moved(2, k).item() for k in range(5)] == [0, 1, 1, 1, 0] and moved(1, 1).item() == 0


def test_a_schedule_at_rest():
    """A step of length 0 says nothing about rest, one of any other length does."""
    for schedule, k in ((S.constant(), 0), (S.exponential(1e-3), 0), (S.warmup(2), 1)):
        run = oo.record(GD, LINE, [0.0], steps=9, schedule=schedule)
        assert (run.status, run.final["k"]) == ("converged", k)


@pytest.mark.parametrize("gtol", [0.25, 0.3, 3.0, 1e-100, 2e-150])
def test_a_gradient_is_looked_at_in_every_step(gtol):
    """Not at records alone, and from ``gtol`` itself on."""
    start = 8 * gtol if gtol != 0.3 else 8 * 0.299
    for specialize in (False, True):
        run = oo.record(oo.GradientDescent(0.5), LINE, [start], steps=50, every=1000, gtol=gtol, specialize=specialize)
        assert run.status == "converged" and run.k.tolist() == [0, 3]
    group = oo.ensemble(oo.GradientDescent(0.5), LINE, [[start], [2 * start]], 50, gtol=gtol)
    assert group.k.tolist() == [3, 4]


def test_an_end_that_the_carry_alone_reaches():
    """After a step of 1 two hundred of 1e-16, each of which is lost in the sum."""
    def update(k, p, x, g, s):
        return 1e-16 if k else 1.0

    end = 1 + 1.02e-12  # reached at 1e-12 before it
    status, k, t = run_loop(update, lambda x: 1.0, steps=600, t_end=end)
    assert status == loops.COMPLETED and 190 < k < 215 and 1 < t < end


@pytest.mark.parametrize("t_end", [0.0, 1e-9, 3e-5, 1e9])
def test_ends_of_any_size(t_end):
    """Three steps; none where the end is the start."""
    flat, steps = oo.problems.quadratic([1e-30], x0=[1.0]), 3 if t_end else 0
    h = t_end / 3 or 0.1
    for method in (oo.GradientDescent(h), oo.Discretization(FLOW, explicit_euler, h),
                   oo.Discretization(FLOW, heun_euler, h, rtol=0.5)):
        run = oo.record(method, flat, t_end=t_end, every=7, **({"controller": (0, 0, 0, 1, 0.5, 1)} if getattr(
            method, "rtol", None) else {}))
        assert run.status == "completed" and run.k.tolist() == ([0, 3] if steps else [0])
        assert run.t[-1] == pytest.approx(t_end, rel=1e-15, abs=0)
    assert oo.ensemble(oo.GradientDescent(h), flat, [[1.0], [2.0]], 10, t_end=t_end).k.tolist() == [steps] * 2


# Error control -------------------------------------------------------------------------------------


def prescribed(errors):
    """A scheme that moves x by h and whose scaled errors are these (tolerances 1 and, almost, 0)."""
    left = iter([*errors, *[0.3] * 100])

    def step(rhs, fg, hv, data, p, t, h, z, w):
        z += h
        w[0, :] = next(left)
        return 0.0

    return Scheme("prescribed", step, 2, 2, work=lambda rows: rows, embedded_order=1)


def sizes(gains, errors, h):
    """The steps that the formula of the loop's docstring takes, and whether they are accepted."""
    b1, b2, b3, safety, smallest, largest = gains
    before, found = (1.0, 1.0), []
    for error in errors:
        accepted, e = error <= 1, max(error, 1e-10)
        found.append((h, accepted))
        factor = safety * e ** -(b1 / 2)
        if not np.isfinite(error):
            factor = smallest
        elif accepted:
            factor *= before[0] ** -(b2 / 2) * before[1] ** -(b3 / 2)
            before = e, before[0]
        factor = min(largest, max(smallest, factor))
        if not accepted and factor >= 1:
            factor = smallest
        h *= factor
    return found


ERRORS = [0.5, 0.0, 0.7, 1.0, 1.0000001, 0.2, 1.4, 3.0, np.nan, 0.9, np.inf, 1e-6, 2e-11, 0.02, 1.2, 0.6, 0.8, 1e9, 0.4]


@pytest.mark.parametrize("h", [0.3, 1e-200])
@pytest.mark.parametrize("gains", [*CONTROLLERS.values(), (0, 0, 0, 1.0, 0.5, 2), (0, 0, 0, 1.2, 0.5, 2),
                                   (0.1, 0, 0, 2.0, 0.5, 1), (0.3, -0.2, 0.1, 0.8, 0.1, 3)], ids=str)
def test_steps_follow_prescribed_errors(gains, h):
    method = oo.Discretization(FLOW, prescribed([0.0, *ERRORS]), h, rtol=1e-300, atol=1.0)  # one is taken by a check
    run = oo.record(method, LINE, steps=len(ERRORS), controller=gains)
    expected = sizes(gains, ERRORS, h)
    np.testing.assert_allclose(run.step_log["h"], [size for size, _ in expected], rtol=1e-12)
    assert run.step_log["accepted"].tolist() == [accepted for _, accepted in expected]
    np.testing.assert_array_equal(run.step_log["error"], ERRORS)
    assert run.x[-1, 0] - 1 == pytest.approx(math.fsum(size for size, accepted in expected if accepted), rel=1e-9)


def test_a_last_step_that_is_cut_does_not_shorten_the_next():
    """0.3 is cut to 0.1; the next is 0.3 again unless the factor makes more than that of 0.1, or less than 0.1."""
    for factor, after in ((1.0, 0.3), (1.4, 0.3), (4.0, 0.4), (0.9, 0.09)):
        method = oo.Discretization(FLOW, prescribed([0.0]), 0.3, rtol=1e-300, atol=1.0)
        run = oo.record(method, LINE, t_end=0.1, controller=(0, 0, 0, factor, 0.5, 5))
        assert run.t.tolist() == [0.0, 0.1] and run.step_log["h"].tolist() == [0.1]
        assert run.lr.tolist() == pytest.approx([0.3, after])


# Samples and single steps --------------------------------------------------------------------------


def of_time(fg, hv, data, t, p, z, dz):
    dz[0] = np.cos(t) + z[0]


def test_samples_start_at_the_node_before():
    nodes, z = np.array([0.0, 0.5, 2.0, 3.5]), np.array([1.0, -2.0, 0.5, 4.0])
    times = np.array([-0.1, 0.0, 0.25, 0.5, 1.9, 2.0, 3.4, 3.5, 4.0])
    at, out = [0, 0, 0, 1, 1, 2, 2, 3, 3], np.zeros((times.size, 1, 1))
    loops.sample_loop(None, None, None, of_time, interpreted(explicit_euler.step), np.zeros(0), nodes,
                      z.reshape(4, 1, 1), times, np.zeros((1, 1)), out)
    h = np.maximum(times - nodes[at], 0)
    np.testing.assert_allclose(out.ravel(), z[at] + h * (np.cos(nodes[at]) + z[at]), rtol=1e-15)


def test_single_steps_begin_at_time_0():
    hs, start = np.array([0.3, 0.12]), np.array([1.5, -0.7])
    states, estimates, expected, found = start.reshape(2, 1, 1).copy(), np.zeros(2), start.copy(), np.zeros(2)
    loops.advance_loop(None, None, None, of_time, interpreted(heun_euler.step), heun_euler.parameters(FLOW), hs, 3,
                       states, heun_euler.workspace(states[0]), estimates)
    for _ in range(3):
        h, slope = hs / 3, 1 + expected
        euler = expected + h * slope
        expected, found = expected + h / 2 * (slope + np.cos(h) + euler), expected
        found = abs(expected - euler)
    np.testing.assert_allclose(states.ravel(), expected, rtol=1e-14)
    np.testing.assert_allclose(estimates, found, rtol=1e-10)


def test_gradients_of_schemes_are_counted():
    for scheme, cost in ((explicit_euler, 1), (heun_euler, 2), (rk4, 4)):
        run = oo.record(oo.Discretization(FLOW, scheme, 0.1), LINE, steps=7, every=2)
        assert run.n_grad.tolist() == [cost * k for k in (0, 2, 4, 6, 7)]
