"""More than one gradient per step, or Hessian products: SAM, Polyak, Newton, Levenberg–Marquardt."""

import numpy as np
import pytest
from numba import njit

import odeopt as oo
from odeopt import schemes
from odeopt.abi import interpreted, is_compiled
from odeopt.linear_systems import advance, begin, eliminate
from odeopt.method import method_from

BOWL, VALLEY, HIMMELBLAU = oo.problems.sine_bowl(), oo.problems.log_cosh_valley(), oo.problems.himmelblau()
ROSENBROCK = oo.problems.rosenbrock()
NEAR = HIMMELBLAU.minima[0] + [0.2, -0.2]  # where the Hessian is definite
GRADIENT, EULER = oo.flows.gradient_flow(), schemes.explicit_euler
METHODS = {
    "linearly implicit Euler": (lambda problem: GRADIENT, schemes.linearly_implicit_euler),
    "SAM, radius h": (lambda problem: GRADIENT, schemes.sam(1.0)),
    "SAM, fixed radius": (lambda problem: oo.flows.sam_flow(0.1), EULER),
    "SAM, not normalised": (lambda problem: oo.flows.sam_flow(0.1, normalized=False), EULER),
    "Polyak's step": (lambda problem: oo.flows.polyak_flow(problem.f_min), EULER),
    "damped Newton": (lambda problem: oo.flows.newton_flow(), EULER),
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("problem", "x0", "t_end", "h"), [
    (BOWL, None, 1.0, 0.01), (VALLEY, None, 1.0, 0.001), (HIMMELBLAU, NEAR, 0.02, 0.0002)], ids=lambda v: str(v)[:20])
def test_order_one_on_three_problems(name, problem, x0, t_end, h):
    flow, scheme = METHODS[name]
    study = oo.convergence(oo.Discretization(flow(problem), scheme, h), problem, x0, t_end, levels=6)
    assert study.asymptotic and study.order == pytest.approx(1, abs=0.05), study


def test_sam_backwards_by_half_a_step_is_the_midpoint_rule():
    study = oo.convergence(oo.Discretization(GRADIENT, schemes.sam(-0.5), 0.1), BOWL, t_end=2.0, levels=7)
    assert schemes.sam(-0.5).order == 2 and study.order == pytest.approx(2, abs=0.05), study


def run(flow, scheme, h, problem, steps=20, x0=None):
    return oo.record(oo.Discretization(flow, scheme, h), problem, x0, steps=steps)


def by_hand(step, problem, steps=20, x0=None):
    x = [np.array(problem.x0 if x0 is None else x0, dtype=float)]
    for _ in range(steps):
        x.append(step(x[-1], *problem.value_and_grad(x[-1]), problem.hess(x[-1])))
    return np.array(x)


@pytest.mark.parametrize(("problem", "x0"), [(BOWL, None), (VALLEY, None), (HIMMELBLAU, NEAR)], ids=str)
def test_steps_as_numpy_takes_them(problem, x0):
    h, rho, unit = 0.01, 0.05, np.eye(problem.dim)
    steps = {
        "Levenberg–Marquardt": (GRADIENT, schemes.linearly_implicit_euler,
                                lambda x, f, g, H: x - np.linalg.solve(H + unit / h, g)),
        "SAM": (oo.flows.sam_flow(rho), EULER,
                lambda x, f, g, H: x - h * problem.grad(x + rho * g / np.linalg.norm(g))),
        "not normalised": (GRADIENT, schemes.sam(rho / h), lambda x, f, g, H: x - h * problem.grad(x + rho * g)),
        "the same with a fixed radius": (oo.flows.sam_flow(rho, normalized=False), EULER,
                                         lambda x, f, g, H: x - h * problem.grad(x + rho * g)),
        "Polyak": (oo.flows.polyak_flow(problem.f_min), EULER,
                   lambda x, f, g, H: x - h * (f - problem.f_min) / (g @ g) * g),
        "Newton": (oo.flows.newton_flow(), EULER, lambda x, f, g, H: x - h * np.linalg.solve(H, g)),
    }
    for name, (flow, scheme, step) in steps.items():
        expected = by_hand(step, problem, x0=x0)
        np.testing.assert_allclose(run(flow, scheme, h, problem, x0=x0).x, expected, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("ratio", [0.5, 2.0])
def test_sam_follows_its_modified_flow_to_second_order(ratio):
    """f + (h/4 + rho/2) |g|^2, rho = ratio h; without the part of rho the order is 1."""
    steps, ends, without = (400, 800, 1600), [], []
    for n in steps:
        h = 1.0 / n
        x = run(GRADIENT, schemes.sam(ratio), h, BOWL, n).x[-1]
        for errors, c in ((ends, h / 2 + ratio * h), (without, h / 2)):
            flow = oo.flows.modified_gradient_flow(h, c)
            errors.append(np.linalg.norm(x - oo.reference(flow, BOWL, t_end=1.0, rtol=1e-12, check=False)(1.0)))
    for errors, order in ((ends, 2), (without, 1)):
        slopes = np.diff(np.log(errors)) / -np.diff(np.log(steps))
        assert abs(slopes[-1] - order) <= 0.05, slopes


@pytest.mark.parametrize("problem", [BOWL, VALLEY, ROSENBROCK], ids=str)
def test_along_polyaks_flow_the_gap_is_e_to_the_minus_t(problem):
    sol = oo.reference(oo.flows.polyak_flow(problem.f_min), problem, t_end=3.0, rtol=1e-12, atol=1e-13)
    t = np.linspace(0.0, 3.0, 13)
    gaps = np.array([problem.fun(x) - problem.f_min for x in sol(t)])
    np.testing.assert_allclose(gaps, np.exp(-t) * gaps[0], rtol=1e-10)


@pytest.mark.parametrize(("problem", "x0"), [(BOWL, None), (VALLEY, None), (HIMMELBLAU, (-0.5, -0.5))], ids=str)
def test_along_newtons_flow_the_gradient_keeps_its_direction(problem, x0):
    """g(x(t)) = e^(-t) g(x0), also where it makes for a maximum (Himmelblau's function from there)."""
    sol = oo.reference(oo.flows.newton_flow(), problem, x0, t_end=3.0, rtol=1e-12, atol=1e-13)
    t = np.linspace(0.0, 3.0, 13)
    g = np.array([problem.grad(x) for x in sol(t)])
    np.testing.assert_allclose(g, np.exp(-t)[:, None] * g[0], rtol=0, atol=1e-10 * np.abs(g[0]).max())


def test_stability():
    """Limits and stability functions by their formulas; R(z) = 1/(1 - z) -> 0 as z -> -infinity: L-stable."""
    for ratio in (0.25, 3.0):
        formula = (np.sqrt(1 + 8 * ratio) - 1) / (2 * ratio)
        assert oo.stability_limit(schemes.sam(ratio)) == pytest.approx(formula, rel=1e-10)
    implicit, u = schemes.linearly_implicit_euler, np.array([1e-3, 0.5, 7.0, 1e3, 1e8])
    np.testing.assert_allclose(oo.amplification_matrix(implicit, u).ravel(), 1 / (1 + u), rtol=1e-7)
    newton = oo.Discretization(oo.flows.newton_flow(), EULER, 0.3)
    np.testing.assert_allclose(oo.amplification_matrix(newton, [1e-3, 1.0, 1e3]).ravel(), 0.7, rtol=1e-14)
    assert oo.stability_limit(newton, 3.0) == pytest.approx(2, rel=1e-10)
    polyak = oo.Discretization(oo.flows.polyak_flow(0.0), EULER, 0.3)
    assert oo.amplification_matrix(polyak, 7.0).item() == pytest.approx(0.85, rel=1e-14)  # 1 - h/2 in one dimension


def test_linearly_implicit_euler_between_gradient_descent_newton_and_implicit_euler():
    short, long = 1e-7, 1e12
    step = run(GRADIENT, schemes.linearly_implicit_euler, short, BOWL, 1).x[-1] - BOWL.x0
    np.testing.assert_allclose(step, -short * BOWL.grad(BOWL.x0), rtol=1e-6)
    newton = run(oo.flows.newton_flow(), EULER, 1.0, VALLEY, 4, (0.2, 0.1))
    step = run(GRADIENT, schemes.linearly_implicit_euler, long, VALLEY, 4, (0.2, 0.1))
    np.testing.assert_allclose(step.x, newton.x, rtol=1e-9, atol=1e-11)
    stiff, decaying = oo.problems.quadratic([0.1, 1.0, 1e4]), oo.flows.gradient_flow(0.3)
    runs = [run(decaying, scheme, 0.7, stiff, 5).x
            for scheme in (schemes.linearly_implicit_euler, schemes.implicit_euler)]
    np.testing.assert_allclose(*runs, rtol=0, atol=1e-13)  # one Newton step solves a linear equation
    np.testing.assert_allclose(runs[0][1], stiff.x0 / (1 + 0.7 * (np.array([0.1, 1.0, 1e4]) + 0.3)), rtol=1e-10)


@pytest.mark.parametrize("n", [400, 401])
def test_dense_and_iterative_systems(n):
    """Up to n = 400 a matrix, above conjugate gradients; what they spend is counted."""
    curvatures, h = np.linspace(1.0, 4.0, n), 0.5
    problem = oo.problems.quadratic(curvatures, x0=np.ones(n))
    step = run(GRADIENT, schemes.linearly_implicit_euler, h, problem, 1)
    np.testing.assert_allclose(step.x[-1], 1 / (1 + h * curvatures), rtol=1e-13)
    newton = run(oo.flows.newton_flow(), EULER, h, problem, 1)
    np.testing.assert_allclose(newton.x[-1], 1 - h, rtol=1e-12)
    assert step.n_grad[-1] == 401 if n == 400 else 2 < step.n_grad[-1] < 60


def test_evaluations_are_counted():
    assert run(oo.flows.sam_flow(0.1), EULER, 0.01, BOWL, 10).n_grad[-1] == 20
    assert run(GRADIENT, schemes.sam(1.0), 0.01, BOWL, 10).n_grad[-1] == 20
    assert run(oo.flows.newton_flow(), EULER, 0.1, BOWL, 10).n_grad[-1] == 30  # a gradient and two products
    assert run(oo.flows.newton_flow(), schemes.rk4, 0.1, BOWL, 10).n_grad[-1] == 120


def test_elimination_and_conjugate_gradients_against_numpy():
    rng = np.random.default_rng(3)
    for n in (1, 2, 5, 30):
        a, b = rng.standard_normal((n, n)), rng.standard_normal(n)
        a[0, 0] = 0.0 if n > 1 else a[0, 0]  # needs an exchange of rows
        d = b.copy()
        eliminate(a.copy(), d)
        np.testing.assert_allclose(a @ d, b, rtol=0, atol=1e-11 * np.abs(d).max())
    singular, d = np.array([[1.0, 2.0], [2.0, 4.0]]), np.ones(2)
    eliminate(singular, d)
    assert np.isnan(d).all()
    n = 12
    a, b, decay = np.diag(np.linspace(1.0, 5.0, n)) + 0.1, rng.standard_normal(n), 0.3
    r, q, d = b.copy(), np.empty(n), np.empty(n)
    rr, target = begin(r, q, d), 1e-26 * (b @ b)
    products = 0
    while rr > target:
        rr, products = advance(rr, 0.5, 2.0, decay, r, q, a @ q, d), products + 1
    np.testing.assert_allclose((0.5 * np.eye(n) + 2 * (a + decay * np.eye(n))) @ d, b, rtol=0, atol=1e-12)
    assert products <= n + 2
    r[:], d[:] = 1.0, 7.0
    assert advance(begin(r, q, d), 0.0, 1.0, 0.0, r, q, -q, d) == -1.0 and not d.any()  # negative curvature


@njit
def residuals(x):
    return np.array([10.0 * (x[1] - x[0] ** 2), 1.0 - x[0]])


@njit
def jacobian(x):
    return np.array([[-20.0 * x[0], 10.0], [-1.0, 0.0]])


@pytest.mark.parametrize("functions", [(residuals, jacobian), (interpreted(residuals), interpreted(jacobian))],
                         ids=["compiled", "plain"])
def test_levenberg_marquardt_of_a_sum_of_squares(functions):
    """Rosenbrock's function with a = 100 is |r|^2, and x - (J'J + I/h)^{-1} J'r its step."""
    problem = oo.problems.least_squares(*functions, x0=[-1.2, 1.0])
    assert problem.fun([3.0, 9.5]) == pytest.approx(ROSENBROCK.fun([3.0, 9.5]) / 2, rel=1e-14)
    assert problem.compiled == is_compiled(functions[0])
    h, x = 50.0, [np.array([-1.2, 1.0])]
    for _ in range(12):
        j, r = jacobian(x[-1]), residuals(x[-1])
        x.append(x[-1] - np.linalg.solve(j.T @ j + np.eye(2) / h, j.T @ r))
    taken = run(GRADIENT, schemes.linearly_implicit_euler, h, problem, 12)
    np.testing.assert_allclose(taken.x, x, rtol=1e-10, atol=1e-12)
    assert taken.f[-1] < 1e-6 * taken.f[0]


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: run(oo.flows.polyak_flow(1.0), EULER, 1.0, BOWL), ValueError, "f_star must be the infimum of f"),
    (lambda: run(oo.flows.polyak_flow(1e4), EULER, 1.0, oo.Problem(lambda x: x @ x, lambda x: 2 * x, x0=[1.0])),
     ValueError, r"f_star must .* f\(x0\) = 1, got 10000"),
    (lambda: oo.flows.polyak_flow(None), ValueError, "f_star must be the infimum of f, got None"),
    (lambda: oo.flows.sam_flow(-0.1), ValueError, "rho must be in"),
    (lambda: oo.flows.sam_flow(0.1, normalized=2), ValueError, "normalized must be"),
    (lambda: schemes.sam("1"), TypeError, "ratio must be a real number"),
    (lambda: run(oo.flows.newton_flow(), EULER, 1.0, oo.Problem(lambda x: x @ x, lambda x: 2 * x, x0=[1.0])),
     ValueError, "needs the Hessian product"),
    (lambda: run(GRADIENT, schemes.linearly_implicit_euler, 1.0,
                 oo.Problem(lambda x: x @ x, lambda x: 2 * x, x0=[1.0])), ValueError, "needs the Hessian product"),
    (lambda: run(oo.flows.heavy_ball_flow(1.0), schemes.linearly_implicit_euler, 1.0, BOWL), ValueError,
     "flow must be gradient flow for linearly implicit Euler"),
    (lambda: oo.problems.least_squares(lambda x: x, lambda x: np.eye(3), [1.0, 2.0]), ValueError,
     r"jacobian must return shape \(2, 2\), got \(3, 3\)"),
    (lambda: oo.problems.least_squares(lambda x: x[0], lambda x: np.eye(2), [1.0, 2.0]), ValueError,
     "residuals must return a vector"),
    (lambda: oo.problems.least_squares(3, jacobian, [1.0, 2.0]), TypeError, "residuals must be callable"),
])
def test_refusals(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_where_there_is_no_step():
    """A singular matrix ends the run and says where; at g = 0 everything rests, a maximum has no Polyak step."""
    flat = oo.problems.quadratic([1.0, 0.0], x0=[1.0, 1.0])
    ended = run(oo.flows.newton_flow(), EULER, 1.0, flat)
    assert ended.status != "completed" and "not finite" in ended.message
    assert "not finite at the start" in oo.reference(oo.flows.newton_flow(), flat, t_end=1.0).message
    hill = oo.problems.quadratic([-2.0, 1.0], x0=[1.0, 1.0])
    ended = run(GRADIENT, schemes.linearly_implicit_euler, 0.5, hill)
    assert ended.status != "completed" and "not finite" in ended.message
    for flow in (oo.flows.newton_flow(), oo.flows.sam_flow(0.1), oo.flows.polyak_flow(0.0)):
        at_rest = run(flow, EULER, 1.0, oo.problems.quadratic([1.0, 3.0]), 3, (0.0, 0.0))
        assert np.array_equal(at_rest.x, np.zeros((4, 2)))
    assert np.array_equal(run(GRADIENT, schemes.linearly_implicit_euler, 1.0, flat, 3, (0.0, 1.0)).x[-1], (0.0, 1.0))
    top = oo.Problem(lambda x: np.cos(x[0]), lambda x: -np.sin(x), x0=[0.0], name="cosine")
    ended = run(oo.flows.polyak_flow(-1.0), EULER, 1.0, top)
    assert ended.status != "completed" and "not finite" in ended.message


def test_files_give_them_back():
    for flow, scheme in ((oo.flows.polyak_flow(-0.5), EULER), (oo.flows.newton_flow(), EULER),
                         (oo.flows.sam_flow(0.1, normalized=False), schemes.sam(2.0)),
                         (GRADIENT, schemes.linearly_implicit_euler)):
        method = oo.Discretization(flow, scheme, 0.01)
        again = method_from(method.spec())
        assert again.spec() == method.spec() and np.array_equal(run(again.flow, again.scheme, 0.01, BOWL).x,
                                                                run(flow, scheme, 0.01, BOWL).x)
