"""An optimizer under schedules, at a real step: its numbers, its units, and the map from steps to flow time."""

import numpy as np
import pytest

import odeopt as oo
from odeopt import schedules as S
from odeopt.reference import solvers
from odeopt.reference.scheduled import ScheduledMethod, ScheduledSolution

FALLING = S.linear(100, 1.0, 0.5)
BOWL = oo.problems.sine_bowl()


@pytest.mark.parametrize(("optimizer", "schedule", "flow_moves", "units_move"), [
    (oo.GradientDescent(0.01), FALLING, False, False),
    (oo.GradientDescent(0.01, weight_decay=0.1), S.linear(100, drives="weight_decay"), True, False),
    (oo.RMSprop(0.01, form="scalar"), FALLING, False, False),
    (oo.Adam(0.01), FALLING, True, False),
    (oo.Adam(0.01), S.constant(0.9, drives="beta1"), True, False),
    (oo.Momentum(0.01, 0.9, form="ema"), FALLING, True, False),
    (oo.Momentum(0.01, 0.9), FALLING, True, True),
    (oo.SWA(oo.Momentum(0.01, 0.9)), FALLING, True, True),
    (oo.Nesterov(0.01, momentum=None), FALLING, False, True),
], ids=repr)
def test_whether_a_schedule_moves_the_flow_or_its_units(optimizer, schedule, flow_moves, units_move):
    moving = ScheduledMethod(optimizer, (schedule,))
    moved = optimizer.changed(**{schedule.drives: 0.5 * getattr(optimizer, schedule.drives)})
    assert (not np.array_equal(moved.flow.p, optimizer.flow.p)) == flow_moves
    assert moving.changes_the_flow() == (flow_moves or units_move) and moving.units_move == units_move


def test_the_optimizer_at_a_real_step():
    """A rate of 0 is 1e-100 of the optimizer's, another number may be 0; what is wrapped moves."""
    ramp = S.ramp(0.5, 0.0, 40)
    for optimizer in (oo.Momentum(0.04, 0.5), oo.SWA(oo.Momentum(0.04, 0.5))):
        moving = ScheduledMethod(optimizer, (S.linear(50), ramp))
        for kappa in (0.0, 12.5, 40.0, 50.0, 70.0):
            now = moving.at(kappa)
            assert now.lr == pytest.approx(max(0.04 * (1 - min(kappa / 50, 1)), 4e-102), rel=1e-14, abs=0)
            assert now.momentum == pytest.approx(0.5 * (1 - min(kappa / 40, 1)), rel=1e-14)
            assert type(now) is type(optimizer) and optimizer.lr == 0.04
            np.testing.assert_allclose(moving.scale(now).ravel(), [1.0, 1 / np.sqrt(now.lr)], rtol=1e-14)
    with pytest.raises(ValueError, match="memory is not proportional to its slots"):
        ScheduledMethod(oo.optimizers.ScheduleFreeSGD(0.1, power=1.0), (FALLING,))


@pytest.mark.parametrize("optimizer", [oo.Adam(0.05, 0.8, 0.9), oo.Momentum(0.05**2, 0.7)], ids=repr)
def test_steps_are_where_the_clock_says(optimizer):
    """t' = h over the real step: h0 (k - k^2/400) for Adam, and h0 400/3 (1 - (1 - k/200)^(3/2)) for sqrt(lr); no step
    of the solver is longer than a 64th of the steps, or one step."""
    for most in (100, 30):
        moving = ScheduledMethod(optimizer, (FALLING,))
        assert moving.changes_the_flow()
        z0 = optimizer.flow_start(BOWL.x0, BOWL.grad(BOWL.x0))
        found = ScheduledSolution(moving, BOWL, z0, 1e9, most, 1e-9, 1e-11, "DOP853")
        kappa = np.linspace(0, most, 37)
        adam = isinstance(optimizer, oo.Adam)
        shape = kappa - kappa**2 / 400 if adam else 400 / 3 * (1 - (1 - kappa / 200) ** 1.5)
        times = 0.05 * shape
        np.testing.assert_allclose(found.steps(times), kappa, rtol=1e-7, atol=1e-7)
        assert found.exhausted and found.t[-1] == pytest.approx(times[-1], rel=1e-9)
        assert np.diff(found._kappa).max() <= max(most / 64, 1.0) + 1e-12
        x = found.sol(times)[:2]
        assert x.shape == (2, 37) and np.allclose(found.sol(times[5])[:2], x[:, 5], rtol=1e-12)
        velocity = np.gradient(x, times, axis=1, edge_order=2)[:, 3:-3]
        if not adam:  # the second row is x' in flow time
            np.testing.assert_allclose(found.sol(times)[2:, 3:-3], velocity, rtol=0.02, atol=0.02)
    short = ScheduledSolution(moving, BOWL, z0, 0.7, 100, 1e-9, 1e-11, "DOP853")
    assert short.success and not short.exhausted and short.t[-1] == 0.7


def ended(solver, n, step, monkeypatch, patience):
    """Evaluations of x' = -x on [0, 1] in steps of that length, 10,000 at most."""
    monkeypatch.setattr(solvers, "PATIENCE_EXPLICIT", patience)
    monkeypatch.setattr(solvers, "_TRIAL", 100)
    for name in ("PATIENCE", "PATIENCE_NAMED"):
        monkeypatch.setattr(solvers, name, 3000)
    found = solvers.integrate(lambda t, y: -y, 0.0, np.ones(n), 1.0, solver, rtol=1e-6, atol=1e-6, max_step=step)
    assert not found.success and "comes no further than t = " in found.message
    return found.nfev


@pytest.mark.parametrize(("solver", "n", "still", "goes_on"), [("auto", 401, 6e-6, 1.1e-5), ("RK45", 2, 4e-8, 6.5e-8)])
def test_who_stands_still_is_stopped(solver, n, still, goes_on, monkeypatch):
    """In PATIENCE_EXPLICIT evaluations a millionth of the interval is too little, for "auto" a thousandth; these are
    120 for RK45's 20 steps, and 300 for 100 to 150 of RKC2's, which has taken over from DOP853."""
    assert ended(solver, n, still, monkeypatch, 120 if n == 2 else 300) < 1500
    assert ended(solver, n, goes_on, monkeypatch, 120 if n == 2 else 300) >= 3000
