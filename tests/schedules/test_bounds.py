"""What each number of a schedule may be at most and at least: both ends are taken, and nothing beyond."""

import math

import pytest

import odeopt as oo
from odeopt import schedules as S

BELOW_1, ABOVE_0, LEAST, SHORTEST, LARGEST = math.nextafter(1, 0), 5e-324, -5e-324, 2.0**-52, 1e300
HALF = S.constant(0.5)

# (what takes the number, its name in the message, values that are taken, values that are not)
ENDS = [
    (S.constant, "factor", [0, LARGEST], [LEAST]),
    (S.exponential, "rate", [ABOVE_0, LARGEST], [0, LEAST]),
    (lambda v: S.exponential(0.5, end=v), "end", [0, 1], [LEAST, 1.0000001]),
    (lambda v: S.exponential(2.0, end=v), "end", [1, LARGEST], [BELOW_1]),
    (lambda v: S.exponential(1.0, end=v), "end", [1], [BELOW_1]),
    (lambda v: S.exponential(0.5, v), "every", [SHORTEST, LARGEST], [SHORTEST / 2]),
    (S.natural_exponential, "rate", [-LARGEST, LARGEST], [math.inf]),
    (lambda v: S.natural_exponential(1, v), "every", [SHORTEST], [SHORTEST / 2]),
    (S.inverse_time, "rate", [0, LARGEST], [LEAST]),
    (lambda v: S.inverse_time(1, v), "every", [SHORTEST], [SHORTEST / 2]),
    (lambda v: S.step(3, v), "factor", [ABOVE_0, LARGEST], [0]),
    (lambda v: S.multistep([3], v), "factor", [ABOVE_0, LARGEST], [0]),
    (lambda v: S.multistep([v, 3]), "milestones", [0, math.nextafter(3, 0)], [3, LEAST]),
    (S.polynomial, "steps", [SHORTEST, LARGEST], [SHORTEST / 2]),
    (lambda v: S.polynomial(3, v), "power", [ABOVE_0, LARGEST], [0]),
    (lambda v: S.polynomial(3, end=v), "end", [0, LARGEST], [LEAST]),
    (lambda v: S.linear(3, v), "start", [0, LARGEST], [LEAST]),
    (lambda v: S.linear(3, 1, v), "end", [0, LARGEST], [LEAST]),
    (lambda v: S.cosine(3, v), "end", [0, LARGEST], [LEAST]),
    (lambda v: S.cosine(3, power=v), "power", [ABOVE_0, LARGEST], [0]),
    (S.cosine_restarts, "period", [SHORTEST, LARGEST], [SHORTEST / 2]),
    (lambda v: S.cosine_restarts(3, v), "growth", [1, LARGEST], [BELOW_1]),
    (lambda v: S.cosine_restarts(3, 1, v), "end", [0, LARGEST], [LEAST]),
    (lambda v: S.warmup(3, start=v), "start", [0, LARGEST], [LEAST]),
    (lambda v: S.piecewise([v, 3], [1, 1]), "knots", [0, math.nextafter(3, 0)], [3, LEAST]),
    (lambda v: S.piecewise([0, 1], [v, 1]), "levels", [0, LARGEST], [LEAST]),
    (lambda v: S.piecewise(range(v), [1] * v), "levels", [2, 5], [1]),
    (lambda v: S.one_cycle(9, start=v), "start", [0, LARGEST], [LEAST]),
    (lambda v: S.one_cycle(9, end=v), "end", [0, LARGEST], [LEAST]),
    (lambda v: S.one_cycle(LARGEST, v), "warm", [1e-10, BELOW_1], [0, 1]),
    (lambda v: S.one_cycle(100, v, three_phase=True), "warm", [0.0101, math.nextafter(0.5, 0)], [0.01, 0.5]),
    (lambda v: S.one_cycle(v, 0.25), "warm", [4.1], [4]),
    (lambda v: S.one_cycle_momentum(9, low=v), "low", [0, BELOW_1], [LEAST, 1]),
    (lambda v: S.one_cycle_momentum(9, high=v), "high", [0, BELOW_1], [LEAST, 1]),
    (S.cyclic, "up", [SHORTEST, LARGEST], [SHORTEST / 2]),
    (lambda v: S.cyclic(3, v), "down", [SHORTEST, LARGEST], [SHORTEST / 2]),
    (lambda v: S.cyclic(3, low=v), "low", [0, LARGEST], [LEAST]),
    (lambda v: S.cyclic(3, high=v), "high", [0, LARGEST], [LEAST]),
    (lambda v: S.cyclic(3, form="exponential", rate=v), "rate", [ABOVE_0, 1], [0, 1.0000001]),
    (lambda v: S.ramp(v, 1, 3), "start", [0, LARGEST], [LEAST]),
    (lambda v: S.ramp(1, v, 3), "end", [0, LARGEST], [LEAST]),
    (S.growing, "weight_decay", [0, LARGEST], [LEAST]),
    (lambda v: S.growing(0.1, v), "momentum", [0, BELOW_1], [LEAST, 1]),
    (lambda v: S.table([v, 1]), "factors", [0, LARGEST], [LEAST]),
    (lambda v: S.chebyshev(v, 4), "condition", [1, LARGEST], [BELOW_1]),
    (lambda v: S.chebyshev(4, v), "steps", [1, 2], [0]),
    (lambda v: S.sequence([HALF] * 3, [v, 3]), "milestones", [0, math.nextafter(3, 0)], [3, LEAST]),
    (lambda v: S.sequence([HALF] * 3, [1] * v), "milestones", [], [1, 3]),
    (lambda v: HALF.refined(v), "factor", [1e-100, 1e100], [0]),
    (lambda v: S.ReduceLROnPlateau(factor=v), "factor", [ABOVE_0, BELOW_1], [0, 1]),
    (lambda v: S.ReduceLROnPlateau(patience=v), "patience", [0], [-1]),
    (lambda v: S.ReduceLROnPlateau(threshold=v), "threshold", [0, LARGEST], [LEAST]),
    (lambda v: S.ReduceLROnPlateau(cooldown=v), "cooldown", [0], [-1]),
    (lambda v: S.ReduceLROnPlateau(min_lr=v), "min_lr", [0], [LEAST]),
    (lambda v: S.ReduceLROnPlateau(eps=v), "eps", [0], [LEAST]),
    (lambda v: S.ReduceLROnPlateau(every=v), "every", [1], [0]),
    (lambda v: S.ReduceLROnPlateau(accumulate=v), "accumulate", [1], [0]),
    (lambda v: S.StepDecay(v, 3), "factor", [ABOVE_0, BELOW_1], [0, 1]),
    (lambda v: S.StepDecay(period=v), "period", [1], [0]),
    (lambda v: S.StepDecay(below=(3, v)), "below", [math.nextafter(3, 0)], [3]),
    (lambda v: S.StepDecay(period=3, min_lr=v), "min_lr", [0], [LEAST]),
    (lambda v: S.StepDecay(period=3, every=v), "every", [1], [0]),
]


@pytest.mark.parametrize(("make", "name", "taken", "refused"), ENDS, ids=[str(i) for i in range(len(ENDS))])
def test_both_ends_of_a_number_are_taken_and_nothing_beyond(make, name, taken, refused):
    for value in taken:
        assert isinstance(make(value), S.Schedule | S.PlateauRule)
    for value in refused:
        with pytest.raises(ValueError, match=name):
            make(value)


def test_schedules_are_for_steps_from_0():
    assert S.constant(0.5)(0) == 0.5 and S.constant(0.5)(1e300) == 0.5
    for k in (-1e-9, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="k must be"):
            S.constant(0.5)(k)


def test_each_end_of_a_growing_rate_is_the_root_it_names():
    """(1 + m - w)/2 = sqrt(m): the two roots meet, beyond them there is none."""
    assert S.growing(0.25, 0.25)(0) == pytest.approx(2.0, rel=1e-12)  # alpha = 1/2, base alpha^-1
    assert math.isnan(S.growing(0.26, 0.25)(3)) and math.isnan(S.growing(2.0)(0))
    assert S.growing(0.5)(2) == pytest.approx(0.5**-5, rel=1e-12)


def test_a_step_decay_does_not_raise_a_rate_that_is_below_its_least():
    decisions = oo.schedules.StepDecay(0.5, 1, min_lr=1.0).start(0.25)
    assert decisions.step(3.0) == 0.25 and decisions.step(4.0) == 0.25 and decisions.best == 3.0
    decisions = oo.schedules.StepDecay(0.5, 1, min_lr=1.0).start(1.5)
    assert [decisions.step(3.0), decisions.step(3.0)] == [1.0, 1.0]


@pytest.mark.parametrize(("rule", "values"), [
    (S.ReduceLROnPlateau(0.5, 0, threshold=0.25, threshold_mode="abs"), (1.0, 0.75, math.nextafter(0.75, 0))),
    (S.ReduceLROnPlateau(0.5, 0, threshold=0.25), (1.0, 0.75, math.nextafter(0.75, 0))),
    (S.ReduceLROnPlateau(0.5, 0, threshold=0.25), (-1.0, -1.25, math.nextafter(-1.25, -2))),
    (S.ReduceLROnPlateau(0.5, 0, threshold=0.25, mode="max"), (-1.0, -0.75, math.nextafter(-0.75, 0)))])
def test_a_value_at_its_threshold_is_no_improvement(rule, values):
    decisions = rule.start(1.0)
    assert [decisions.step(value) for value in values] == [1.0, 0.5, 0.5]


def test_a_reduction_as_small_as_eps_is_left_out():
    for eps, after in ((0.25, 0.5), (0.2499, 0.25)):
        assert S.ReduceLROnPlateau(0.5, 0, eps=eps).start(0.5).step(math.inf) == after


def test_three_phases_are_up_down_and_out():
    """Peaks and corners of torch's OneCycleLR(three_phase=True): steps 0.3 n - 1, 0.6 n - 2 and n - 1."""
    rate = S.one_cycle(100, 0.3, 0.04, 0.01, "linear", three_phase=True)
    assert [rate(k) for k in (0, 29, 58, 99, 200)] == pytest.approx([0.04, 1.0, 0.04, 0.01, 0.01], rel=1e-13)
    assert [rate(k) for k in (14.5, 43.5, 98)] == pytest.approx([0.52, 0.52, 0.01 + 0.03 / 41], rel=1e-13)
    momentum = S.one_cycle_momentum(100, 0.3, 0.8, 0.9, "linear", three_phase=True)
    assert [momentum(k, 0.5) for k in (0, 29, 58, 99)] == pytest.approx([0.9, 0.8, 0.9, 0.9], rel=1e-13)
    assert [S.one_cycle_momentum(100, 0.3, 0.8, 0.9)(k, 0.5) for k in (0, 29, 99)] == pytest.approx([0.9, 0.8, 0.9])
    plain = S.one_cycle(100, 0.3, shape="linear")
    assert [plain(k) for k in (0, 14.5, 29, 99)] == pytest.approx([1 / 25, 0.52, 1.0, 1e-4 / 25], rel=1e-13)
    assert plain(98) > 1e-2
