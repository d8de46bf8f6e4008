"""The recorder: what is kept, where it stops, resuming, divergence, plain Python problems."""

import math
import warnings

import numpy as np
import pytest

import odeopt as oo

PROBLEM = oo.problems.rosenbrock()


def python_twin():
    """Rosenbrock in plain Python."""
    def fun(x):
        return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2

    def grad(x):
        u = x[1] - x[0] ** 2
        return np.array([-400 * x[0] * u - 2 * (1 - x[0]), 200 * u])

    return oo.Problem(fun, grad, dim=2, x0=[-1.2, 1.0], name="rosenbrock")


def test_records_start_stride_and_end():
    run = oo.record(oo.GradientDescent(1e-3), PROBLEM, steps=25, every=10)
    assert run.k.tolist() == [0, 10, 20, 25]
    assert np.array_equal(run.n_grad, run.k)
    assert np.allclose(run.t, 1e-3 * run.k, rtol=1e-15)
    assert np.array_equal(run.x[0], PROBLEM.x0)
    for x, f, norm in zip(run.x, run.f, run.grad_norm):
        value, g = PROBLEM.value_and_grad(x)
        assert f == value and norm == pytest.approx(np.linalg.norm(g), rel=1e-14)
    assert run.status == "completed" and run.ok


def test_by_hand():
    run = oo.record(oo.GradientDescent(1e-3), PROBLEM, [-1.0, 2.0], steps=1)
    # f' = (-400 x (y - x^2) - 2 (1 - x), 200 (y - x^2)) = (396, 200)
    assert np.allclose(run.x[1], [-1.396, 1.8], rtol=1e-15)


def test_flow_time_is_exact_over_many_steps():
    run = oo.record(oo.GradientDescent(1e-3), oo.problems.quadratic([1e-3, 2e-3]), steps=1_000_000, every=1_000_000)
    assert run.t[-1] == pytest.approx(1000.0, rel=1e-15)


@pytest.mark.parametrize("specialize", [False, True])
@pytest.mark.parametrize("growth", [1.0, 1.3, 2.7, 1 / 1.3])
def test_flow_time_is_the_rounded_sum_of_the_steps(growth, specialize):
    """math.fsum rounds the exact sum once; so does t + carry, also where a step is longer than the time before it."""
    flat, steps = oo.problems.quadratic([1e-40, 2e-40]), 0.1 * growth ** np.arange(60)
    run = oo.record(oo.GradientDescent(1.0), flat, steps=60, schedule=oo.schedules.table(steps), specialize=specialize)
    assert run.t.tolist() == [math.fsum(steps[:k]) for k in range(61)]


def test_flow_times_of_a_group_and_of_a_scheme_are_rounded_sums():
    flat, steps = oo.problems.quadratic([1e-40, 2e-40]), 20_000
    exact = math.fsum([0.1] * steps)
    assert (oo.ensemble(oo.GradientDescent(0.1), flat, np.ones((3, 2)), steps).t == exact).all()
    euler = oo.Discretization(oo.flows.gradient_flow(), oo.schemes.explicit_euler, 0.1)
    assert oo.record(euler, flat, steps=steps, every=steps).t[-1] == pytest.approx(exact, rel=4e-16)


@pytest.mark.parametrize("optimizer", [oo.Adam(1e-2), oo.Momentum(1e-4), oo.RMSprop(1e-3, form="scalar")], ids=repr)
def test_resume_is_bit_identical(optimizer):
    whole = oo.record(optimizer, PROBLEM, steps=200, every=7, memory=True)
    part = oo.record(optimizer, PROBLEM, steps=95, every=7, memory=True)
    joined = oo.record(optimizer, PROBLEM, steps=105, every=7, memory=True, resume=part)
    for name in ("k", "t", "x", "f", "grad_norm", "lr", "n_grad", "memory"):
        assert np.array_equal(getattr(whole, name), getattr(joined, name)), name


def test_resume_after_saving(tmp_path):
    part = oo.record(oo.Adam(1e-2), PROBLEM, steps=50)
    part.save(tmp_path / "run.npz")
    loaded = oo.Trajectory.load(tmp_path / "run.npz")
    assert repr(loaded) == repr(part)
    again = oo.record(oo.Adam(1e-2), PROBLEM, steps=50, resume=loaded)
    assert np.array_equal(again.x, oo.record(oo.Adam(1e-2), PROBLEM, steps=100).x)


def test_load_refuses_other_files(tmp_path):
    np.savez(tmp_path / "other.npz", a=1)
    oo.record(oo.Adam(), PROBLEM, steps=50).save(tmp_path / "run.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "run.npz").read_bytes()[:900])
    oo.Adam().init(np.ones(2)).save(tmp_path / "state.npz")
    for name in ("other.npz", "cut.npz", "state.npz"):
        with pytest.raises(ValueError, match="is not a trajectory file: "):
            oo.Trajectory.load(tmp_path / name)


def test_divergence_keeps_what_was_before():
    run = oo.record(oo.GradientDescent(0.1), PROBLEM, steps=1000)
    assert run.status == "diverged" and not run.ok
    assert f"diverged at step {run.final['k']}" in run.message
    assert 3 <= len(run) <= 10 and np.isfinite(run.x).all() and np.isfinite(run.f).all()


def test_gradient_tolerance():
    run = oo.record(oo.GradientDescent(0.1), oo.problems.quadratic([1.0, 3.0]), steps=10_000, every=100, gtol=1e-6)
    assert run.status == "converged" and run.grad_norm[-1] <= 1e-6 < run.grad_norm[-2]


def test_flow_time_limit():
    run = oo.record(oo.GradientDescent(0.1), oo.problems.quadratic([1.0, 3.0]), t_end=2.0)
    assert run.t[-1] == pytest.approx(2.0, rel=1e-14) and run.k[-1] == 20


@pytest.mark.parametrize(("past", "steps"), [(1e-13, 10), (1e-9, 11), (-1e-9, 10), (-1e-13, 10)])
def test_the_step_that_reaches_the_end_is_the_last(past, steps):
    """``t_end`` is reached to 1e-12 of itself; a scheme shortens its last step by as little as it takes."""
    problem, end = oo.problems.quadratic([1.0, 3.0]), 1 + past
    run = oo.record(oo.GradientDescent(0.1), problem, t_end=end)
    assert run.k[-1] == steps and run.t[-1] == pytest.approx(0.1 * steps, rel=1e-15)
    group = oo.ensemble(oo.GradientDescent(0.1), problem, np.ones((2, 2)), 100, t_end=end)
    assert (group.k == steps).all()


@pytest.mark.parametrize("short", [5e-5, 1e-7])
def test_a_scheme_lands_on_the_end(short):
    euler = oo.Discretization(oo.flows.gradient_flow(), oo.schemes.explicit_euler, 0.1)
    run = oo.record(euler, oo.problems.quadratic([1.0, 3.0]), [1.0, 1.0], t_end=1 - short)
    assert run.k[-1] == 10 and run.t[-1] == pytest.approx(1 - short, rel=1e-15)
    np.testing.assert_allclose(run.x[-1, 0], 0.9**9 * (0.9 + short), rtol=1e-13)


def test_zero_steps_records_the_start():
    run = oo.record(oo.Adam(), PROBLEM, steps=0)
    assert len(run) == 1 and np.array_equal(run.x[0], PROBLEM.x0)


def test_plain_python_problem_gives_the_same_numbers():
    jitted = oo.record(oo.Adam(1e-2), PROBLEM, steps=100)
    plain = oo.record(oo.Adam(1e-2), python_twin(), steps=100)
    assert np.allclose(plain.x, jitted.x, rtol=1e-12, atol=0)


def test_plain_python_schemes():
    flow = oo.flows.gradient_flow()
    for scheme in (oo.schemes.rk4, oo.schemes.explicit_euler):
        a = oo.record(oo.Discretization(flow, scheme, 1e-3), PROBLEM, steps=50)
        b = oo.record(oo.Discretization(flow, scheme, 1e-3), python_twin(), steps=50)
        assert np.allclose(a.x, b.x, rtol=1e-12)


def test_missing_gradient_warns_and_works():
    with pytest.warns(RuntimeWarning, match="central differences"):
        problem = oo.Problem(lambda x: float(x @ x), dim=3)
    assert np.allclose(problem.grad(np.array([1.0, 2.0, 3.0])), [2, 4, 6], rtol=1e-8)


def test_callers_start_is_not_touched():
    x0 = np.array([-1.2, 1.0])
    oo.record(oo.GradientDescent(1e-3), PROBLEM, x0, steps=10)
    assert x0.tolist() == [-1.2, 1.0]


def test_a_callable_that_writes_into_x_does_no_harm():
    def grad(x):
        g = 2 * x
        x[:] = np.nan
        return g

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = oo.record(oo.GradientDescent(0.1), oo.Problem(lambda x: float(x @ x), grad, dim=2), steps=5)
    assert np.allclose(run.x[-1], 0.8**5)


@pytest.mark.parametrize(("arguments", "error", "words"), [
    (dict(x0=[1.0]), ValueError, r"x0 must have shape \(2,\)"),
    (dict(x0=[np.nan, 1]), ValueError, "x0 must be finite"),
    (dict(x0="ab"), TypeError, "x0 must be a vector"),
    (dict(steps=-1), ValueError, "steps must be at least 0"),
    (dict(steps=1.5), TypeError, "steps must be an integer"),
    (dict(every=0), ValueError, "every must be at least 1"),
    (dict(t_end=-1.0), ValueError, "t_end must be in"),
    (dict(gtol=-1.0), ValueError, "gtol must be in"),
    (dict(start="warm"), ValueError, "start must be one of 'cold', 'consistent'"),
    (dict(start=np.zeros((1, 3))), ValueError, "start must have shape"),
    (dict(schedule="cosine"), TypeError, "schedule must be a Schedule"),
    (dict(resume=3), TypeError, "resume must be a Trajectory"),
])
def test_bad_input(arguments, error, words):
    with pytest.raises(error, match=words):
        oo.record(oo.Adam(), PROBLEM, **arguments)


def test_bad_method():
    with pytest.raises(TypeError, match="method must be"):
        oo.record("adam", PROBLEM)


def test_resume_refuses_another_run():
    run = oo.record(oo.Adam(1e-2), PROBLEM, steps=5)
    with pytest.raises(ValueError, match="same method"):
        oo.record(oo.Adam(1e-3), PROBLEM, steps=5, resume=run)


def test_start_where_the_objective_is_not_finite_is_refused():
    problem = oo.Problem(lambda x: float(np.log(x[0])) if x[0] > 0 else np.nan, lambda x: 1 / x, dim=1)
    with pytest.raises(ValueError, match="x0 must be a point where f"):
        oo.record(oo.GradientDescent(0.1), problem, [-1.0])


@pytest.mark.parametrize("call", [
    oo.record, oo.compare, oo.convergence, lambda method, problem: oo.ensemble(method, problem, [[1, 2]]),
], ids=["record", "compare", "convergence", "ensemble"])
@pytest.mark.parametrize("problem, got", [("beale", "'beale'"), (lambda x: x @ x, "function"), (None, "NoneType")])
def test_a_name_or_a_function_is_not_a_problem(call, problem, got):
    with pytest.raises(TypeError, match=f"problem must be a Problem, such as .* got {got}"):
        call(oo.Adam(0.01), problem)


# Where a run stops -----------------------------------------------------------------------------------

LINE = oo.problems.quadratic([1.0])


def test_a_zero_gradient_does_not_stop_a_velocity():
    """On x^2/2 from 1 with lr 1 the first step ends at 0, and the velocity -1 goes on to -1/2."""
    heavy = oo.Momentum(1.0, 0.5)
    for specialize in (False, True):
        run = oo.record(heavy, LINE, [1.0], steps=3, specialize=specialize)
        assert run.x[:, 0].tolist() == [1.0, 0.0, -0.5, -0.25] and run.status == "completed"
    found = oo.ensemble(heavy, LINE, np.full((300, 1), 1.0), 3)
    assert (found.x == -0.25).all() and (found.k == 3).all()
    one_by_one = oo.ensemble(heavy, oo.Problem(lambda x: x @ x / 2, lambda x: x, x0=[1.0]), np.ones((2, 1)), 3)
    assert (one_by_one.x == -0.25).all()
    assert oo.record(heavy, LINE, [1.0], steps=30, gtol=1e-300).final["k"] == 1  # asked for


@pytest.mark.parametrize("optimizer", [oo.GradientDescent(1.0), oo.Momentum(1.0), oo.Adam(), oo.NAdam(), oo.Rprop(),
                                       oo.ErrorControlledEuler(0.1), oo.NormalizedGD(0.1)], ids=repr)
def test_what_does_not_move_is_converged(optimizer):
    run = oo.record(optimizer, LINE, [0.0], steps=5)
    assert (run.status, run.final["k"]) == ("converged", 0)
    assert (oo.ensemble(optimizer, LINE, np.zeros((3, 1)), 5).k == 0).all()


def test_a_learning_rate_of_0_does_not_end_a_run():
    """At the minimum with a velocity, while the warm-up begins at 0."""
    run = oo.record(oo.Momentum(0.1, form="torch"), LINE, [0.0], steps=5, start=[[1.0]],
                    schedule=oo.schedules.warmup(2))
    assert run.final["k"] == 5 and run.x[-1, 0] != 0.0


def test_gradient_norms_beyond_the_square_root_of_the_largest_number():
    steep = oo.problems.quadratic([1e100, 2e100])
    run = oo.record(oo.GradientDescent(1e-101), steep, [1e103, -1e103], steps=3)  # |g|^2 = 5e406
    assert run.status == "completed"
    assert np.allclose(run.grad_norm, np.hypot(1e100 * run.x[:, 0], 2e100 * run.x[:, 1]), rtol=1e-14)
    assert np.isfinite(run.grad_norm).all() and run.grad_norm[0] > 1e203
    flat = oo.record(oo.GradientDescent(0.5), LINE, [1e-170], steps=2)
    assert np.allclose(flat.grad_norm / 1e-170, [1.0, 0.5, 0.25], rtol=1e-14)
    flow = oo.Discretization(oo.flows.gradient_flow(), oo.schemes.explicit_euler, 0.5)
    assert np.allclose(oo.record(flow, LINE, [1e-170], steps=2).grad_norm, flat.grad_norm, rtol=1e-14)
    found = oo.ensemble(oo.GradientDescent(0.5), LINE, np.full((2, 1), 1e-170), 2)
    assert np.allclose(found.grad_norm, flat.grad_norm[-1], rtol=1e-14)
    assert (oo.ensemble(oo.GradientDescent(0.5), LINE, np.full((2, 1), 1e-170), 9, gtol=3e-171).k == 2).all()


def test_a_time_that_is_not_finite_ends_a_run():
    flat = oo.problems.quadratic([1e-320])
    flow = oo.flows.gradient_flow()
    for method in (oo.GradientDescent(1e308), oo.Discretization(flow, oo.schemes.explicit_euler, 1e308)):
        run = oo.record(method, flat, steps=10)
        assert run.status == "diverged" and run.final["k"] == 2 and np.isfinite(run.t).all()
    found = oo.ensemble(oo.GradientDescent(1e308), flat, np.ones((3, 1)), 10)
    assert (found.k == 2).all() and (found.status == oo.studies.search.ensemble.DIVERGED).all()


def test_a_point_at_infinity_diverged_though_f_is_finite():
    flat = oo.Problem(lambda x: float(np.arctan(x).sum()), lambda x: 1 / (1 + x * x), dim=1, x0=[0.0])
    run = oo.record(oo.Momentum(1e308, 0.9), flat, steps=10)  # f = -pi/2, g = 0 at -inf
    assert run.status == "diverged" and run.final["k"] == 2 and run.x[-1] == -1e308


def test_steps_that_end_before_t_end_are_not_all_of_the_run():
    flow, rk4 = oo.flows.gradient_flow(), oo.schemes.rk4
    run = oo.record(oo.Discretization(flow, rk4, [0.1, 0.2]), LINE, t_end=1.0)
    assert run.status == "stalled" and "before t_end = 1" in run.message and run.t[-1] == pytest.approx(0.3)
    assert oo.record(oo.Discretization(flow, rk4, [0.1, 0.2]), LINE, t_end=0.25).status == "completed"
    assert oo.record(oo.Discretization(flow, rk4, 0.1), LINE, steps=2, t_end=1.0).status == "completed"  # as asked
    with pytest.raises(ValueError, match="t_end must be in"):
        oo.record(oo.Discretization(flow, rk4, 0.1, t0=2.0), LINE, t_end=1.0)


def test_a_schedule_that_leaves_the_interval_ends_the_run():
    grow = oo.schedules.exponential(1.01, drives="beta1")
    run = oo.record(oo.Adam(1e-3), PROBLEM, steps=300, schedule=grow)  # .9 1.01^11 > 1
    assert run.status == "stalled" and not run.ok
    assert run.message.startswith("stopped at step 11") and "must keep beta1 in [0, 1), got 1.0041" in run.message
    assert run.k.tolist() == list(range(12)) and run.final["k"] == 11
    whole = oo.record(oo.Adam(1e-3), PROBLEM, steps=11, schedule=grow)  # no step at 11 is asked for
    assert whole.status == "completed" and np.array_equal(run.x, whole.x)
    for drives in (["lr", "beta1"], ["beta1", "lr"]):
        two = [grow if name == "beta1" else oo.schedules.constant() for name in drives]
        assert np.array_equal(oo.record(oo.Adam(1e-3), PROBLEM, steps=300, schedule=two).x, run.x)
    plain = oo.record(oo.Adam(1e-3), python_twin(), steps=300, schedule=grow)
    assert plain.message == run.message
    assert oo.record(oo.Adam(1e-3), PROBLEM, steps=30, schedule=oo.schedules.linear(10)).status == "completed"
    over = oo.record(oo.Lion(1e-3), PROBLEM, steps=300, schedule=oo.schedules.exponential(2.0**64))
    assert not over.ok and np.isfinite(over.t).all()


def test_what_decides_the_slots_is_not_driven():
    ramp = oo.schedules.ramp(0.5, 0.9, 50, drives="momentum")
    for run in (oo.record, oo.sample):
        for optimizer in (oo.Amos(0.05), oo.RMSprop(1e-3, momentum=0.0)):
            with pytest.raises(ValueError, match="schedule drives must be a number that the kernel takes"):
                run(optimizer, oo.problems.rosenbrock(1000), steps=60, schedule=ramp)
    assert oo.record(oo.Amos(0.05, momentum=0.1), PROBLEM, steps=60, schedule=ramp).status == "completed"
