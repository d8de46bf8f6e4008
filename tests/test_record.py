"""The recorder: what is kept, where it stops, resuming, divergence, plain Python problems."""

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
def test_a_name_or_a_function_is_no_problem(call, problem, got):
    with pytest.raises(TypeError, match=f"problem must be a Problem, such as .* got {got}"):
        call(oo.Adam(0.01), problem)
