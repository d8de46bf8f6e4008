"""Equivalences: two methods, one sequence of iterates."""

import math

import numpy as np
import pytest

import odeopt as oo
from odeopt.flows import gradient_flow, heavy_ball_flow, look_ahead_flow
from odeopt.schemes import explicit_euler, semi_implicit_euler, stormer_verlet
from odeopt.studies.order.equivalence import Side, deviation, own_scheme, two_step
from odeopt.studies.order.statements import STATEMENTS, Equivalences, equivalences

# Deviations that must be met, written here and not read from the statements themselves.
TOLERANCE = dict.fromkeys(STATEMENTS, 1e-13) | {
    "nesterov-euler": 1e-15, "bregman-dilation": 2e-12, "bregman-nesterov": 1e-14}


@pytest.mark.parametrize("name", STATEMENTS)
def test_statement_holds(name):
    statement = STATEMENTS[name]
    problem = statement.problem()
    first, second = statement.sides(problem)
    found = deviation(first, second, problem, statement.steps)
    assert found <= TOLERANCE[name]
    assert statement.tolerance <= 1e-10
    # and the comparison is of something that moves
    points = first.points(problem, statement.steps)
    assert np.ptp(points, axis=0).max() > 0.1


@pytest.mark.parametrize("cls", [c for c in oo.optimizers.ALL.values() if not getattr(c, "is_wrapper", False)],
                         ids=lambda c: c.__name__)
def test_every_optimizer_with_a_scheme_is_its_scheme(cls):
    problem, optimizer = oo.problems.log_cosh_valley(10.0), cls.default()
    if optimizer.flow is None or optimizer.scheme is None:
        pytest.skip("no classical flow or no generic scheme: the page says so")
    first, second = own_scheme(optimizer, problem, steps=100)
    assert deviation(first, second, problem, 100) < 1e-12


def test_scalar_rmsprop_is_euler_at_the_steps_it_chose():
    problem = oo.problems.log_cosh_valley(10.0)
    first, second = own_scheme(oo.RMSprop(lr=0.05, form="scalar"), problem, steps=100)
    assert np.ptp(second.method.h) > 0.01
    assert deviation(first, second, problem, 100) < 1e-13


def test_deviation_sees_a_difference():
    problem = oo.problems.sine_bowl()
    a, b = oo.Momentum(lr=0.01, momentum=0.9), oo.Momentum(lr=0.01, momentum=0.9 + 1e-9)
    assert 1e-10 < deviation(a, b, problem, 100) < 1e-7
    assert deviation(a, a, problem, 100) == 0
    assert deviation((a, "cold"), (a, np.array([[0.1, 0.0]])), problem, 100) > 1e-3
    assert deviation(oo.GradientDescent(lr=0.01), oo.Adam(lr=0.01), problem, 50) > 1e-2


def test_nesterov_as_semi_implicit_euler_to_the_last_digit():
    # arXiv:1905.07436: 5.6e-17 seen over 200 steps.
    problem, L, kappa = oo.problems.quadratic([1.0, 9.0], angle=0.7), 9.0, 9.0
    d = 1 / (math.sqrt(kappa) + 1)
    b = 1 - 2 * d
    assert b == pytest.approx((math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1), rel=1e-15)
    nag = Side(oo.Nesterov(lr=1 / L, momentum=b), observe=lambda x, s: x - b * s[:, 0])
    euler = Side(oo.Discretization(look_ahead_flow(d, b, 1 / L), semi_implicit_euler, 1.0))
    assert deviation(nag, euler, problem, 200) < 5e-16
    # without the look-ahead it is the heavy ball, and another method
    plain = Side(oo.Discretization(look_ahead_flow(d, 0.0, 1 / L), semi_implicit_euler, 1.0))
    assert deviation(nag, plain, problem, 200) > 0.01
    heavy = Side(oo.Momentum(lr=1 / L, momentum=b))
    assert deviation(heavy, plain, problem, 200) < 5e-16


def _order(make, flow, problem, t_end=2.0):
    sol = oo.reference(flow, problem, t_end=t_end, rtol=1e-12, atol=1e-13)
    errors = []
    for n in (50, 100, 200, 400):
        h = t_end / n
        x = Side(make(h)).points(problem, n)
        errors.append(np.linalg.norm(x - sol(h * np.arange(n + 1)), axis=1).max())
    return np.log2(errors[-2] / errors[-1])


def test_order_of_the_two_step_method_is_a_matter_of_coefficients():
    # Central differences: beta = (1 - a h/2)/(1 + a h/2), s = h^2/(1 + a h/2), x_1 = x_0 - (h^2/2) g: order 2;
    # 1 - a h, h^2: order 1.
    a, problem = 1.3, oo.problems.sine_bowl()
    flow = heavy_ball_flow(a)

    def central(h):
        half = 0.5 * a * h
        return two_step(h * h / (1 + half), (1 - half) / (1 + half), first=0.5 * (1 + half))

    assert _order(central, flow, problem) == pytest.approx(2, abs=0.02)
    assert _order(lambda h: two_step(h * h, 1 - a * h), flow, problem) == pytest.approx(1, abs=0.05)


def test_verlet_as_momentum_is_second_order_and_its_euler_reading_first():
    a, problem = 1.3, oo.problems.sine_bowl()
    flow = heavy_ball_flow(a)
    assert _order(lambda h: oo.Discretization(flow, stormer_verlet, h), flow, problem) == pytest.approx(2, abs=0.02)
    euler = _order(lambda h: oo.Discretization(flow, semi_implicit_euler, h), flow, problem)
    assert euler == pytest.approx(1, abs=0.05)


def test_principal_flow_needs_the_complex_logarithm():
    # Principal flow: with h c > 1 the factor 1 - h c is negative; at whole steps the complex logarithm still gives it.
    problem, h = oo.problems.quadratic([1.0, 30.0], seed=3), 0.05
    c = np.linalg.eigvalsh(problem.hess(problem.x0))
    assert h * c.max() > 1
    run = oo.record(oo.GradientDescent(lr=h), problem, steps=40)
    z, q = np.linalg.eigh(problem.hess(problem.x0))
    half = (q * np.exp(0.5 * np.log((1 - h * z).astype(complex)))) @ q.T  # the flow over half a step
    np.testing.assert_allclose((half @ half @ problem.x0).real, run.x[1], rtol=1e-13)
    assert abs((half @ problem.x0).imag).max() > 0.1


def test_sides_that_cannot_be_compared_are_refused():
    problem = oo.problems.sine_bowl()
    with pytest.raises(ValueError, match="both sides can do"):
        deviation(oo.GradientDescent(lr=1e3), oo.GradientDescent(lr=1e3), problem, 2000)
    with pytest.raises(ValueError, match="one shape"):
        deviation(oo.GradientDescent(lr=0.1), Side(oo.GradientDescent(lr=0.1), observe=lambda x, s: x[:, :1]), problem)
    with pytest.raises(ValueError, match="times must be given"):
        deviation(gradient_flow(), gradient_flow(), problem)
    with pytest.raises(TypeError, match="first and second must hold"):
        deviation(3, oo.Adam(), problem)
    with pytest.raises(ValueError, match="classical flow and a scheme"):
        own_scheme(oo.Rprop(), problem)
    with pytest.raises(ValueError, match="names"):
        equivalences(["momentum-is-magic"])


def test_table_reports_and_survives_saving(tmp_path):
    study = equivalences(["momentum-forms", "nesterov-euler"])
    assert study.holds.all() and "2 of 2 equivalences hold" in repr(study)
    study.save(tmp_path / "e.npz")
    again = Equivalences.load(tmp_path / "e.npz")
    assert again.rows() == study.rows()


def test_explicit_euler_and_gradient_descent_with_any_steps():
    problem, h = oo.problems.sine_bowl(), np.random.default_rng(1).uniform(0.01, 0.3, 30)
    written_out = [problem.x0]
    for step in h:
        written_out.append(written_out[-1] - step * problem.grad(written_out[-1]))
    assert deviation(oo.Discretization(gradient_flow(), explicit_euler, h), lambda *_: written_out, problem, 30) < 1e-15
