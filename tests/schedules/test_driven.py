"""How far a schedule may drive a hyperparameter: what the constructor takes, in the form that was chosen."""

import numpy as np
import pytest

import odeopt as oo
from odeopt.schedules import driven

S, PLANE = oo.schedules, oo.problems.beale()


@pytest.mark.parametrize(("optimizer", "name", "words"), [
    (oo.AdaptiveGains(1e-3), "gain_min", "(0, 10]"),  # the other number bounds it
    (oo.AdaptiveGains(1e-3), "gain_max", "[0.1, inf)"),
    (oo.Rprop(), "step_min", "[0, 50]"),
    (oo.RMSprop(1e-3, momentum=0.9), "momentum", "(0, 1)"),  # another kernel, another unit of time
    (oo.Amos(1e-2, momentum=0.9), "momentum", "(0, 1)"),  # other slots
    (oo.SWA(oo.Amos(1e-2, momentum=0.9)), "momentum", "(0, 1)"),
    (oo.Momentum(1e-3, form="torch", dampening=0.3), "momentum", "(0, 1)"),  # the constructor refuses the two
    (oo.Momentum(1e-3, reading="stormer_verlet"), "momentum", "(0, 1)"),
    (oo.Momentum(1e-3), "momentum", "[0, 1)"),
    (oo.Adam(), "beta1", "[0, 1)"),
    (oo.Adagrad(0.1), "lr", "[0, 1e+150]"),  # a schedule may end at 0
    (oo.ErrorControlledEuler(0.1), "tol", "[0, inf)"),
], ids=lambda value: getattr(value, "key", value))
def test_the_interval_is_what_the_constructor_takes_in_this_form(optimizer, name, words):
    assert driven.interval_in_words(optimizer, name) == words
    inner = optimizer.optimizer if optimizer.wrapper else optimizer
    for end in driven.interval(optimizer, name):
        if end > 0.0 or not words.startswith("[0") or name == "beta1":
            moved = inner.changed(**{name: end})
            assert (moved.slots, moved.kernel) == (inner.slots, inner.kernel)


@pytest.mark.parametrize(("optimizer", "schedule", "stop"), [
    (oo.Rprop(), S.ramp(1e-6, 100.0, 10, drives="step_min"), 5),
    (oo.RMSprop(1e-3, momentum=0.9), S.ramp(0.9, 0.0, 10, drives="momentum"), 10),
    (oo.Amos(1e-3, momentum=0.9), S.ramp(0.9, 0.0, 10, drives="momentum"), 10),
], ids=["above another number", "into another kernel", "into other slots"])
def test_a_run_ends_where_another_form_would_begin(optimizer, schedule, stop):
    run = oo.record(optimizer, PLANE, steps=20, schedule=schedule)
    assert run.status == "stalled" and run.final["k"] == stop
    assert f"stopped at step {stop} " in run.message and f"schedule must keep {schedule.drives} in" in run.message


@pytest.mark.parametrize(("optimizer", "name"), [
    (oo.RMSprop(1e-3, centered=True), "momentum"),  # its kernel would take it, in another unit of time
    (oo.BarzilaiBorwein(), "lr"),  # of the first step alone
], ids=["another unit of time", "the first step alone"])
def test_what_decides_the_form_or_the_start_is_not_driven(optimizer, name):
    with pytest.raises(ValueError, match="schedule drives must be a number that the kernel"):
        oo.record(optimizer, PLANE, steps=5, schedule=S.ramp(0.1, 0.2, 5, drives=name))


@pytest.mark.parametrize("optimizer", [
    oo.Adagrad(0.1), oo.Adadelta(), oo.Amos(0.01), oo.AdaptiveGains(1e-4), oo.SWA(oo.Adagrad(0.1)), oo.Adam(),
    oo.RMSprop(1e-3, form="scalar"), oo.Momentum(1e-3, reading="stormer_verlet"),
], ids=lambda optimizer: optimizer.key)
def test_a_step_size_may_begin_and_end_at_0(optimizer):
    """A step of 0 moves nothing; and there the run does not stop."""
    for schedule, still in ((S.cosine(8), slice(9, None)), (S.ramp(0.0, optimizer.lr, 8, drives="lr"), slice(0, 2))):
        run = oo.record(optimizer, PLANE, steps=12, schedule=schedule)
        assert run.status == "completed" and np.ptp(run.x[:, 0]) > 0
        if "velocity" not in optimizer.slot_names:
            assert (run.x[still] == run.x[still][0]).all()


def test_half_way_in_the_order_of_the_floats():
    largest = np.finfo(np.float64).max
    for a, b in ((0.0, 1.0), (-1.0, largest), (5e-324, -largest), (1.0, np.nextafter(1.0, 2.0))):
        count = 0
        while (middle := driven._between(a, b)) not in (a, b):
            a, b, count = a, middle, count + 1
            assert count < 65
        assert abs(np.float64(b) - a) <= 2 * np.spacing(max(abs(a), 5e-324))


@pytest.mark.parametrize("optimizer, name", [
    (oo.Adam(1e-2), "eps"), (oo.Adam(1e-2, eps_mode="inside"), "eps"), (oo.RMSprop(1e-2), "eps"),
    (oo.AdaBelief(1e-2), "eps_root"), (oo.NovoGrad(), "eps"), (oo.LAMB(), "eps"),
])  # fmt: skip
@pytest.mark.parametrize("schedule, step", [(oo.schedules.linear(10), 10), (oo.schedules.exponential(1e-100), 4)])
def test_an_eps_may_not_vanish_on_the_way(optimizer, name, schedule, step):
    run = oo.record(optimizer, oo.problems.beale(), steps=30, schedule=schedule.driving(name))
    assert run.status == "stalled" and run.final["k"] == step
    assert f"stopped at step {step}" in run.message and f"schedule must keep {name} in (0, inf), got 0" in run.message


@pytest.mark.parametrize("schedule", [oo.schedules.cosine(9), oo.schedules.constant(0.9),
                                      oo.schedules.ramp(0.5, 0.9, 9)])
def test_the_memory_of_a_refined_schedule_is_that_of_the_refined_method(schedule):
    """1 - value is divided by the factor, where the base's own distance from 1 is as well."""
    base, factor = 0.8, 4.0
    finer = schedule.refined(factor, "1 - c h")
    for k in (0, 1, 5, 20):
        wanted = 1 - (1 - schedule(k, base)) / factor
        np.testing.assert_allclose(finer(factor * k, 1 - (1 - base) / factor), wanted, rtol=1e-14)


def test_a_polynomial_is_straight_by_default():
    assert oo.schedules.polynomial(10)(4) == 0.6 == oo.schedules.linear(10)(4)


@pytest.mark.parametrize(("steps", "inside"), [(3, 3), (4, 4), (5, 4), (6, 4), (100, 4)])
def test_the_last_step_inside_is_looked_for_up_to_the_end(steps, inside):
    """A momentum that leaves its interval at step 5, also where that is the end of the last step asked for."""
    leaving = oo.schedules.table([1.0] * 5 + [3.0], drives="momentum")
    assert driven.steps_inside(oo.Momentum(0.1, 0.5), leaving, steps) == inside
    assert driven.first_outside(oo.Momentum(0.1, 0.5), leaving, 0, steps + 1) == (5 if steps > 4 else -1)
