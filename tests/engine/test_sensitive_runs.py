"""Runs and references against the same written out in numpy: what a slip in a loop, a record or a check would move."""

import math

import numpy as np
import pytest

import odeopt as oo
from odeopt.abi import interpreted, kernel
from odeopt.engine import batched, loops
from odeopt.engine.record import CONTROLLERS
from odeopt.reference.reference import _agreement
from odeopt.schemes import explicit_euler, heun_euler, rk4
from odeopt.schemes.base import LEAST_ATOL
from odeopt.sums import scaled_norm
from odeopt.threads import Stop

FLOW, CURVES = oo.flows.gradient_flow(), np.array([1.0, 6.0])
BOWL = oo.problems.quadratic(list(CURVES), x0=[1.0, -0.5])
PLAIN = oo.Problem(lambda x: 0.5 * float(x @ (CURVES * x)), lambda x: CURVES * x, x0=[1.0, -0.5])
ROSENBROCK = oo.problems.rosenbrock()


# Loops ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", [BOWL, PLAIN], ids=["compiled", "plain"])
def test_given_steps_the_last_of_them_again_and_the_end(problem):
    """Steps 0.1, 0.03, 0.07, 0.05, 0.05, ... until 0.4, which is met by a shorter one."""
    given, end = [0.1, 0.03, 0.07, 0.05], 0.42
    run = oo.record(oo.Discretization(FLOW, rk4, given), problem, steps=50, t_end=end, every=3)
    steps = [*given, *[0.05] * 3, end - math.fsum([*given, *[0.05] * 3])]
    t = np.array([math.fsum(steps[:i]) for i in range(len(steps) + 1)])
    x = np.ones((9, 2)) * problem.x0
    for i, h in enumerate(steps):
        z = -h * CURVES
        x[i + 1] = x[i] * (1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24)
    kept = np.array([0, 3, 6, 8])
    assert run.k.tolist() == kept.tolist() and run.n_grad.tolist() == (4 * kept).tolist()
    assert run.status == "completed" and run.lr.tolist() == [0.1, 0.05, 0.05, 0.05]
    np.testing.assert_allclose(run.t, t[kept], rtol=2e-16)
    np.testing.assert_allclose(run.x, x[kept], rtol=1e-13)
    np.testing.assert_allclose(run.f, 0.5 * (CURVES * x[kept] ** 2).sum(axis=1), rtol=1e-13)
    np.testing.assert_allclose(run.grad_norm, np.linalg.norm(CURVES * x[kept], axis=1), rtol=1e-13)


def controlled(rule, h, rtol, atol, every, end, most):
    """``(log, records)`` of Heun's pair on the bowl, by the formulas of the docstrings."""
    b1, b2, b3, safety, smallest, largest = CONTROLLERS[rule]
    b1, b2, b3 = (b / 2 for b in (b1, b2, b3))  # the estimate's order is 1
    t, x, before, log, records, due, moved = 0.0, BOWL.x0.copy(), [1.0, 1.0], [], [], 0, True
    while True:
        k = len(log)
        done = k == most or t >= end
        if done or (k >= due and moved):
            records.append((k, t, h, *x))
            due = k + every
        if done:
            return np.array(log), np.array(records)
        trial = min(h, end - t)
        slope = -CURVES * x
        new = x + trial * slope
        new = x + 0.5 * trial * (slope - CURVES * new)
        e = new - (x + trial * slope)
        error = np.sqrt(np.mean((e / (atol + rtol * np.maximum(abs(x), abs(new)))) ** 2))
        moved = error <= 1.0
        factor = safety * max(error, 1e-10) ** -b1
        if moved:
            factor *= before[0] ** -b2 * before[1] ** -b3
            before = [max(error, 1e-10), before[0]]
        factor = min(largest, max(smallest, factor))
        log.append((t, trial, error, moved))
        if moved:
            t, x = end if trial == end - t else t + trial, new
        h = trial * factor if trial == h or factor < 1 else max(h, trial * factor)


@pytest.mark.parametrize("problem", [BOWL, PLAIN], ids=["compiled", "plain"])
@pytest.mark.parametrize(("rule", "h", "every"), [("I", 0.5, 1), ("PI", 1e-3, 3), ("PID", 0.9, 2)])
def test_error_control_is_the_loop_of_its_docstrings(problem, rule, h, every):
    for end, most in ((1.5, 1000), (np.inf, 40)):
        log, records = controlled(rule, h, 1e-3, 1e-5, every, end, most)
        run = oo.record(oo.Discretization(FLOW, heun_euler, h, rtol=1e-3, atol=1e-5), problem, controller=rule,
                        steps=most, every=every, **({} if end == np.inf else {"t_end": end}))
        found = np.array([run.step_log[name] for name in ("t", "h", "error", "accepted")]).T
        assert found.shape == log.shape and run.k.tolist() == records[:, 0].tolist()
        np.testing.assert_allclose(found, log, rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(run.t, records[:, 1], rtol=1e-9)
        np.testing.assert_allclose(run.lr, records[:, 2], rtol=1e-9)
        np.testing.assert_allclose(run.x, records[:, 3:], rtol=1e-9)
        assert run.n_grad.tolist() == (2 * run.k).tolist() and run.status == "completed"
        assert end == np.inf or run.t[-1] == end


def test_steps_without_error_grow_to_the_longest():
    """At rest the error is 0 and each step five times the one before, up to 1e300."""
    method = oo.Discretization(FLOW, heun_euler, 1.0, rtol=1e-3)
    log = oo.record(method, BOWL, [0.0, 0.0], steps=450).step_log
    np.testing.assert_allclose(log["h"][:400], 5.0 ** np.arange(400), rtol=1e-12)
    assert (log["h"][432:] == 1e300).all() and log["h"][428] < 1e300


@pytest.mark.parametrize("wall", [1.0, 1e-3])
def test_a_run_stalls_where_steps_no_longer_move_the_time(wall):
    """x' = 1 until there is no field: a fifth of the step each time, until that is 1e-14 of the time."""
    problem = oo.Problem(lambda x: -float(x[0]), lambda x: np.where(x < wall, -1.0, np.nan), x0=[0.0],
                         hess=lambda x: np.zeros((1, 1)))
    run = oo.record(oo.Discretization(FLOW, heun_euler, 0.3 * wall, rtol=1e-3), problem, t_end=10.0)
    last = run.step_log["h"][-1] / run.step_log["t"][-1]
    assert run.status == "stalled" and 1e-14 < last <= 5e-14
    assert run.step_log["t"][-1] == pytest.approx(wall, rel=1e-12)


def test_a_gradient_as_large_as_gtol_ends_a_run():
    half = oo.problems.quadratic([1.0], x0=[1.0])
    for gtol, k in ((0.25, 2), (0.2499, 3), (0.0, 20)):
        run = oo.record(oo.GradientDescent(0.5), half, steps=20, gtol=gtol)
        group = oo.ensemble(oo.GradientDescent(0.5), half, [[1.0], [2.0]], 20, gtol=gtol)
        assert run.k[-1] == k and run.status == ("converged" if gtol else "completed")
        assert group.k.tolist() == [k, min(k + 1, 20)]


def test_numbers_of_steps_that_nobody_gave():
    assert oo.record(oo.GradientDescent(0.1), BOWL).k[-1] == 1000
    assert oo.record(oo.Discretization(FLOW, explicit_euler, 0.1), BOWL).k[-1] == 1000
    assert oo.record(oo.Discretization(FLOW, explicit_euler, [0.1, 0.2, 0.1]), BOWL).k[-1] == 3
    assert oo.record(oo.GradientDescent(1e-4), BOWL, t_end=0.2, every=2000).k[-1] == 2000


def test_norms_add_every_entry():
    """Four quarters side by side and what is left over; scaled where squares leave the numbers."""
    for n in range(1, 14):
        for scale in (1.0, 1e-135, 1e-150, 1e135, 1e150, 1e-200, 1e200):
            v = scale * np.arange(1.0, n + 1)
            size, length = scaled_norm(v)
            assert size * length == pytest.approx(scale * math.sqrt(n * (n + 1) * (2 * n + 1) / 6), rel=1e-15)
            assert (size == 1.0) == (1e-140 < scale * n < 1e140)


@pytest.mark.parametrize("simd", [True, False])
def test_lanes_end_as_single_runs_do(simd):
    """Divergence, convergence, and the end of the time, each in its own step; what has ended is held."""
    quartic, gd = oo.problems.quartic(2), oo.GradientDescent(0.1)
    starts = np.array([[3.0, 2.0], [0.5, 0.1], [40.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
    for t_end, gtol, steps in ((np.inf, 1e-2, 40), (1.95, 0.0, 40), (np.inf, 0.0, 7)):
        found = batched.run(quartic, gd, starts, steps, 3, t_end, gtol, simd=simd)
        for j, x0 in enumerate(starts):
            run = oo.record(gd, quartic, x0, steps, every=3, gtol=gtol, **({} if t_end == np.inf else {"t_end": t_end}))
            assert found["k"][j] == run.final["k"] and found["t"][j] == run.final["t"]
            np.testing.assert_array_equal(found["x"][j], run.final["x"])
            if run.ok:
                assert found["f"][j] == run.f[-1] and found["grad_norm"][j] == run.grad_norm[-1]
            path = run.x[run.k % 3 == 0]
            np.testing.assert_array_equal(found["path_x"][j, : len(path)], path)
            np.testing.assert_array_equal(found["path_f"][j, : len(path)], run.f[run.k % 3 == 0])
            assert (found["path_x"][j, len(path) :] == run.final["x"]).all()
            assert not run.ok or (found["path_f"][j, len(path) :] == run.f[-1]).all()


@pytest.mark.parametrize("growth", [1.0, 1.3, 2.7, 1 / 1.3])
def test_times_of_a_block_are_rounded_sums_of_any_steps(growth):
    """As in test_record.py; here the steps of two lanes at rest come from an update of the test."""
    width, dts = batched.WIDTH, 0.1 * growth ** np.arange(60)

    def gradients(x, out, data):
        out[:] = 1.0

    def update(k, p, x, g, s):
        return dts[k]

    for steps in range(1, 61):
        live, numbers, k, status = np.zeros(width, np.int64), np.zeros((3, width)), *np.zeros((2, width), np.int64)
        live[:2] = 1
        batched._block(gradients, update, np.zeros(0), np.zeros(0), np.zeros(width), np.zeros((0, width)),
                     np.zeros(3 * width), live, steps, 0, np.inf, 0.0, np.zeros((width, 1)), numbers, k, status,
                     np.zeros((width, 0, 1)), np.zeros((width, 0)), Stop().flag)
        assert numbers[0, :2].tolist() == [math.fsum(dts[:steps])] * 2 and k[:2].tolist() == [steps] * 2
        assert numbers[1:, :2].tolist() == [[1.0] * 2] * 2 and not live.any() and not k[2:].any()


def test_a_step_is_shortened_by_more_than_a_billionth_and_a_rest_is_a_step():
    euler = oo.Discretization(FLOW, explicit_euler, 0.1)
    for rest, steps, end in ((5e-11, 11, 1 + 5e-11), (-5e-11, 10, 1.0), (-1.5e-10, 10, 1 - 1.5e-10)):
        run = oo.record(euler, BOWL, t_end=1 + rest)
        assert run.k[-1] == steps and run.t[-1] == pytest.approx(end, rel=1e-15, abs=0.0)


def test_adaptive_steps_end_on_the_last_bit():
    """Two trials, of which the second is the longer one: the first and the rest do not always add up to the end."""
    for h in 0.1 + 0.01 * np.arange(60) / 7:
        method = oo.Discretization(FLOW, heun_euler, h, rtol=1e-3)
        run = oo.record(method, BOWL, [0.0, 0.0], t_end=5.7 * h)
        assert run.t.tolist() == [0.0, h, 5.7 * h] and run.status == "completed"


@pytest.mark.parametrize("h", [0.1, 0.3, 0.7, 1.1, 1.3])
def test_the_end_of_many_steps_is_met_by_the_exact_sum(h):
    flat, steps = oo.problems.quadratic([1e-40], x0=[1.0]), 300_000
    end = math.fsum([h] * steps)
    assert oo.record(oo.GradientDescent(h), flat, t_end=end, every=steps).k[-1] == steps
    assert oo.ensemble(oo.GradientDescent(h), flat, [[1.0]], 2 * steps, t_end=end).k.tolist() == [steps]


def moves_third(k, p, x, g, s):
    """Two slots hand on what moves the position: after the third step from (1, 0, 0)."""
    x += s[1]
    s[1] += s[0]
    s[0] += x
    return 1.0


def test_rest_is_judged_by_a_step_more_than_there_are_slots():
    x, s = np.array([1.0, 0.0]), np.zeros((2, 2))
    assert interpreted(batched._moving)(moves_third, 0, np.zeros(1), x, np.zeros(2), s).tolist() == [1, 0]

    def fg(x, g, data):
        g[:] = 0.0
        return 0.0

    for start, status, done in (([1.0], loops.COMPLETED, 5), ([0.0], loops.CONVERGED, 0)):
        counters, clock = loops.fresh_counters()
        x, s, one, none = np.array(start), np.zeros((2, 1)), np.zeros(1), np.zeros(0)
        store = [np.zeros(9, np.int64), np.zeros(9, np.int64), *np.zeros((4, 9)), np.zeros((9, 1)), np.zeros((9, 0, 1))]
        loops.optimizer_loop(fg, none, moves_third, None, None, np.array([-1, -1]), none, none, np.zeros(6), one, x,
                             one.copy(), s, x.copy(), s.copy(), counters, clock, 5, 5, 1, np.inf, 0.0, *store)
        assert (counters[loops.STATUS], counters[loops.K]) == (status, done)


# References ----------------------------------------------------------------------------------------


def test_the_uncertainty_is_the_distance_to_a_solution_at_a_hundred_times_the_tolerances():
    for solver, rtol, atol, loose in (("RK45", 1e-6, 1e-9, (1e-4, 1e-7)), ("jitted", 1e-8, 1e-8, (1e-6, 1e-6)),
                                      ("DOP853", 1e-2, 1e-3, (0.1, 0.1))):
        found = oo.reference(oo.GradientDescent(0.1), BOWL, t_end=2.0, rtol=rtol, atol=atol, solver=solver)
        first, second = (oo.reference(oo.GradientDescent(0.1), BOWL, t_end=2.0, rtol=r, atol=a, solver=solver,
                                      check=False) for r, a in ((rtol, atol), loose))
        t = np.linspace(0.0, 2.0, 201)
        expected = np.linalg.norm(first(t) - second(t), axis=1).max()
        assert found.uncertainty == pytest.approx(expected, rel=1e-12) and np.isnan(first.uncertainty)
        assert found.nfev == first.nfev + second.nfev


def test_times_of_a_reference_are_its_interval_to_a_billionth():
    solution = oo.reference(oo.GradientDescent(0.1), BOWL, t_end=2.0)
    exact = BOWL.x0 * np.exp(-CURVES * 2.0)
    np.testing.assert_allclose(solution([2.0, 2.0 + 1.9e-9]), [exact, exact], rtol=1e-8)
    for t in (2.0 + 2.1e-9, -2.1e-9):
        with pytest.raises(ValueError, match="t must be in"):
            solution(t)


def test_a_kept_solution_serves_intervals_down_to_a_quarter():
    method, problem = oo.GradientDescent(0.1), oo.problems.quadratic([1.0, 2.0])

    def spent(t_end, **more):
        return oo.reference(method, problem, t_end=t_end, reuse=True, **more).nfev

    assert spent(4.0) > 0 and spent(4.0) == 0 and spent(1.0) == 0 and spent(0.99) > 0
    assert spent(0.99) == 0 and spent(1.01) > 0  # the shorter one is what is kept now
    for i in range(15):
        assert spent(1.0, rtol=1e-6 * (i + 1)) > 0
    assert spent(1.01) == 0  # sixteen are kept
    assert spent(1.0, rtol=1e-3) > 0 and spent(1.01) > 0


def test_a_solution_that_does_not_arrive_ends_where_the_second_parts_from_it():
    """Half of the digits of the tolerance, 10 sqrt(rtol) (1 + |x|), on 200 parts of the interval."""
    def curve(rate):
        return type("Solution", (), {"t": np.array([0.0, 1.0]), "sol": staticmethod(
            lambda t: np.array([3.0 + rate * t, 4.0 + 0 * t, 7.0 + 100 * t]))})()

    end, uncertainty = _agreement(curve(0.0), curve(1.0), 0.0, 2, 0.05)
    assert end == pytest.approx(0.3, abs=1e-12) and uncertainty == pytest.approx(0.3, rel=1e-12)  # 0.05 (1 + 5)
    end, uncertainty = _agreement(curve(0.0), curve(1e3), 0.0, 2, 0.05)
    assert (end, uncertainty) == (0.0, 0.0)


@kernel
def jump(fg, hv, data, t, p, z, dz):
    dz[0, 0] = 1.0 if z[0, 0] < 0.5 else -1.0


def test_a_field_that_jumps_has_a_reference_to_the_jump():
    flow = oo.flows.Flow("jump", "x' = +-1", jump, {})
    found = oo.reference(flow, oo.problems.quadratic([1.0]), [0.0], 2.0)
    assert not found.success and found.t_end == pytest.approx(0.5, abs=0.01) and found.uncertainty < 1e-4
    assert found(0.4) == pytest.approx(0.4, rel=1e-9)


def test_an_absolute_tolerance_of_0_is_the_least():
    assert LEAST_ATOL == 1e-100
    zero, least = (oo.reference(oo.GradientDescent(0.1), BOWL, [0.0, 1.0], 1.0, atol=a, solver="DOP853")
                   for a in (0.0, 1e-100))
    assert zero.nfev == least.nfev and np.array_equal(zero(0.7), least(0.7))
    lax = oo.record(oo.Discretization(FLOW, heun_euler, 1e-3, rtol=1e-3, atol=0.0), BOWL, [0.0, 1.0], steps=50)
    assert lax.ok and lax.step_log["error"].max() < 10


# Resuming ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 6, 7, 8, 20])
def test_a_resumed_run_has_the_records_of_the_whole(cut):
    adam = oo.Adam(0.05)
    whole = oo.record(adam, ROSENBROCK, steps=30, every=7, memory=True)
    part = oo.record(adam, ROSENBROCK, steps=cut, every=7, memory=True)
    joined = oo.record(adam, ROSENBROCK, steps=30 - cut, every=7, memory=True, resume=part)
    for name in ("k", "t", "x", "f", "lr", "n_grad", "memory"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))
    assert len(oo.record(adam, ROSENBROCK, steps=0, every=7, memory=True, resume=part)) == len(part)
    for other in (dict(every=6, memory=True), dict(every=7, memory=False)):
        with pytest.raises(ValueError, match="resume must keep"):
            oo.record(adam, ROSENBROCK, steps=3, resume=part, **other)
