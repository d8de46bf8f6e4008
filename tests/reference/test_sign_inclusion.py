"""The differential inclusion of sign descent and Lion: closed forms, events, orders, refusals."""

import numpy as np
import pytest

import odeopt as oo
from odeopt.reference import filippov

FLOW = oo.flows.sign_inclusion()
BOWL, HIMMELBLAU = oo.problems.sine_bowl(), oo.problems.himmelblau()
PLANE = oo.Problem.from_expression("x^2 + 0.6*x*y + y^2/2", x0=[1.3, 2.1])  # H = [[2, .6], [.6, 1]]


def solution(problem, x0, t_end, decay=0.0):
    flow, x0 = oo.flows.sign_inclusion(decay), np.atleast_1d(np.asarray(x0, dtype=float))
    found = filippov.solve(flow, problem, x0[None], 0.0, t_end, 1e-12, 1e-14, "auto")
    assert found.success, found.message
    return found


def test_crossing_sliding_and_rest_of_a_quadratic():
    """g_1 = 0 is reached at 3.86/2.6; from there v = (.3, -1) and g_2 falls by .82 per unit of time, to rest."""
    found = solution(PLANE, [1.3, 2.1], 4.0)
    first = 3.86 / 2.6
    x1 = np.array([1.3, 2.1]) - first
    rest = first + (0.6 * x1[0] + x1[1]) / 0.82
    t, signs = zip(*found.phases)
    np.testing.assert_allclose(t, [0.0, first, rest], atol=1e-14)
    np.testing.assert_array_equal(signs, [[1, 1], [0, 1], [0, 0]])
    for at in np.linspace(0.0, 4.0, 23):
        x = np.array([1.3, 2.1]) - min(at, first) + max(min(at, rest) - first, 0.0) * np.array([0.3, -1.0])
        np.testing.assert_allclose(found.sol(at), x, rtol=0, atol=1e-14)


def test_a_surface_that_cannot_be_kept_is_crossed_or_left():
    """H = [[1, 2], [2, 5]]: on g_1 = 0 alone the control would be 2, so g_1 passes through 0; on g_2 = 0 it is 2/5,
    which keeps it. In the last case the control of a sliding coordinate grows until it leaves."""
    steep = oo.Problem.from_expression("x^2/2 + 2*x*y + 5*y^2/2")
    crossing = solution(steep, np.linalg.solve([[1, 2], [2, 5]], [-0.5, 3.0]), 10.0)  # g = (-.5, 3)
    signs = [tuple(s) for _, s in crossing.phases]
    assert signs[0] == (-1, 1) and signs[-1] == (0, 0)
    x = np.linalg.solve([[1, 2], [2, 5]], [0.5, 3.0])  # both positive: g' = -(3, 7), g_1 = 0 first, at 1/6
    crossing = solution(steep, x, 3.0)
    assert [tuple(s) for _, s in crossing.phases][:3] == [(1, 1), (-1, 1), (-1, 0)]
    assert crossing.phases[1][0] == pytest.approx(1 / 6, abs=1e-13)
    # g_1 = x - k(y), k' = 3 y^2: sliding on it x' = k'(y) y', a control above 1 where 3 y^2 > 1
    leaving = oo.Problem.from_expression("x^2/2 - x*y^3 + y^6/2 + 5*y", x0=[0.0, 0.0])
    found = solution(leaving, [0.0, 0.0], 1.0)
    (_, start), (t, after) = found.phases[:2]
    assert tuple(start) == (0, 1) and tuple(after) == (1, 1)
    assert t == pytest.approx(3**-0.5, abs=1e-12)  # y = -t


def test_with_decay():
    """A free coordinate is (x0 + s/d) e^(-d t) - s/d; with decay 1 the rest is min f on |x_i| <= 1."""
    line = oo.problems.quadratic([1.0], x0=[2.0])
    found = solution(line, [2.0], 1.0, decay=0.5)
    np.testing.assert_allclose(found.sol(0.7), [4 * np.exp(-0.35) - 2], rtol=1e-12)
    outside = oo.Problem.from_expression("(x-3)^2 + 0.6*(x-3)*(y+1.1) + (y+1.1)^2/2")
    at = oo.reference(oo.flows.sign_inclusion(1.0), outside, [-0.5, -0.5], t_end=40.0)(40.0)
    np.testing.assert_allclose(at, [1.0, 0.1], atol=1e-9)  # the box optimum, where AdamW and Lion end


@pytest.mark.parametrize("problem", [BOWL, HIMMELBLAU, PLANE, oo.problems.log_cosh_valley()], ids=str)
def test_solutions_keep_to_the_inclusion(problem):
    """|x'| <= 1 with x_i' = -sign(g_i) where g_i is not 0, g = 0 on what slides, f never grows."""
    rng = np.random.default_rng(2)
    for _ in range(3):
        found = solution(problem, rng.uniform(-2, 2, 2), 3.0)
        ends = [*(t for t, _ in found.phases[1:]), 3.0]
        for (begin, signs), end in zip(found.phases, ends):
            middle = 0.5 * (begin + end)
            x, step = found.sol(middle), 1e-4 * (end - begin)
            velocity = (found.sol(middle + step) - found.sol(middle - step)) / (2 * step)
            g = problem.grad(x)
            scale = 1e-9 * (1 + np.abs(problem.grad(found.sol(0.0))).max())
            np.testing.assert_allclose(velocity[signs != 0], -signs[signs != 0], rtol=0, atol=1e-6)
            assert (np.abs(velocity) <= 1 + 1e-6).all() and (np.abs(g[signs == 0]) <= scale).all()
            assert (g[signs != 0] * signs[signs != 0] > 0).all()
        f = [problem.fun(x) for x in found.sol(np.linspace(0, 3, 200)).T]
        assert (np.diff(f) <= 1e-12 * (1 + abs(f[0]))).all()


def test_against_the_regularised_flow():
    """x' = -g/sqrt(g^2 + eps^2) is within a distance of order eps."""
    t, inclusion = np.linspace(0, 2.5, 40), oo.reference(FLOW, BOWL, [1.2, -1.7], 2.5)
    errors = [np.abs(oo.reference(oo.flows.sign_flow(eps), BOWL, [1.2, -1.7], 2.5, solver="Radau", check=False)(t)
                     - inclusion(t)).max() for eps in (1e-2, 1e-3)]
    assert errors[1] < 0.2 * errors[0] < 2e-2


def test_more_coordinates_with_a_hessian_product_alone():
    rng = np.random.default_rng(4)
    a, c = rng.standard_normal((12, 6)), rng.standard_normal(12)
    problem = oo.Problem(lambda x: float(np.logaddexp(a @ x - c, c - a @ x).sum()),
                         lambda x: a.T @ np.tanh(a @ x - c),
                         hessp=lambda x, v: a.T @ ((a @ v) / np.cosh(a @ x - c) ** 2), x0=np.ones(6), name="log cosh")
    sol = oo.reference(FLOW, problem, t_end=4.0)
    assert sol.success and sol.uncertainty < 1e-9
    assert np.abs(problem.grad(sol(4.0))).max() < 1e-9  # at rest in finite time
    short = oo.record(oo.Discretization(FLOW, oo.schemes.explicit_euler, 1e-3), problem, t_end=4.0)
    assert np.abs(short.x - sol(np.minimum(short.t, 4.0))).max() < 0.03


STARTS = np.random.default_rng(6).uniform(-2, 2, (6, 2))


@pytest.mark.parametrize("x0", STARTS, ids=lambda x: "{:.1f},{:.1f}".format(*x))
@pytest.mark.parametrize("problem", [BOWL, HIMMELBLAU, PLANE], ids=str)
def test_sign_descent_is_of_order_one(problem, x0):
    method = oo.Discretization(FLOW, oo.schemes.explicit_euler, 0.01)
    study = oo.convergence(method, problem, x0, 4.0, levels=6, mean_of=8)
    assert study.certified, study  # 1.00 to 0.05


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: oo.flows.sign_inclusion(-1), ValueError, "decay must be in"),
    (lambda: oo.reference(FLOW, BOWL, t_end=1.0, solver="jitted"), ValueError, "solver must be one of"),
    (lambda: oo.reference(FLOW, BOWL, t_end=1.0, solver="Radau"), ValueError, "solver must be one of"),
    (lambda: oo.reference(FLOW, oo.Problem(lambda x: x @ x, lambda x: 2 * x, x0=[1.0]), t_end=1.0), ValueError,
     "inclusion' needs the Hessian product"),
    (lambda: oo.reference(FLOW, oo.problems.quadratic(np.ones(401)), t_end=1.0), ValueError, "problems of n <= 400"),
    (lambda: oo.convergence(oo.GradientDescent(0.1), BOWL, against="richardson", mean_of=2), ValueError, "mean_of"),
])
def test_refusals(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_where_the_future_is_not_known():
    """On a ridge of a saddle either side leads away: no mode keeps to the inclusion stably, and one that leaves is
    taken; a field that is not finite ends the solution."""
    ridge = oo.Problem.from_expression("x^2/2 - y^2/2", x0=[1.0, 0.0])
    sol = oo.reference(FLOW, ridge, t_end=0.5)
    assert sol.success and abs(sol(0.5)[1]) == pytest.approx(0.5, abs=1e-12)
    edge = oo.Problem.from_expression("log(x) + x", x0=[0.5])
    sol = oo.reference(FLOW, edge, t_end=1.0)
    assert not sol.success and sol.t_end <= 0.5 and "not finite" in sol.message


@pytest.mark.parametrize("matrix", [[[1e308, 1e308], [1e308, 1e308]], [[1e200, 1e-300], [1e308, 1e200]]])
def test_equations_of_sliding_at_the_ends_of_floating_point_have_a_finite_solution(matrix):
    d = filippov._solution(np.array(matrix), np.array([1e300, 1.0]))
    assert np.isfinite(d).all()


def test_modes_that_cannot_be_told_are_refused_in_words():
    with pytest.raises(filippov._NoWay, match="in floating point"):
        filippov._modes(np.diag([1e-308, 1e-308]), np.array([1e308, -1e308]))
