"""The parts of the phase-by-phase solver: which coordinates slide, where events are looked for, what counts as 0."""

import numpy as np
import pytest

import odeopt as oo
from odeopt.reference import filippov

STEEP = oo.Problem.from_expression("x^2/2 + 2*x*y + 5*y^2/2")  # H = [[1, 2], [2, 5]]


def solved(problem, x0, t_end, **more):
    flow = oo.flows.sign_inclusion(0.0)
    return filippov.solve(flow, problem, np.array([x0], dtype=float), 0.0, t_end, 1e-12, 1e-14, "auto", **more)


def system(problem, cls=filippov._System, **constants):
    made = cls(problem, {"decay": 0.0} | constants, 10**6)
    made.small = 1e-11
    return made


def holds(m, q, modes):
    """Whether the modes solve w = q - m u: w = 0 and |u| <= 1 on what slides, w has the sign of u elsewhere."""
    inner, u = modes == 0, modes.copy()
    u[inner] = np.linalg.solve(m[np.ix_(inner, inner)], (q - m @ modes)[inner])
    w = q - m @ u
    return (np.abs(u) <= 1 + 1e-9).all() and (modes * w >= -1e-9).all()


def test_modes_solve_the_complementarity_problem_by_both_ways():
    rng, seen = np.random.default_rng(3), set()
    for _ in range(80):
        n = rng.integers(1, 5)
        a = rng.standard_normal((n, n))
        m, q = a @ a.T + 0.1 * np.eye(n), 3 * rng.standard_normal(n)
        modes = filippov._modes(m, q)
        assert holds(m, q, modes)
        np.testing.assert_array_equal(modes, filippov._enumerated(m, q))
        seen |= set(modes)
    assert seen == {-1, 0, 1}


@pytest.mark.parametrize("ways", [filippov._modes, filippov._enumerated])
def test_what_slides_and_is_held_at_once_slides(ways):
    """m = I: u = q cut to [-1, 1]; at |q| = 1, to eleven digits, both would do."""
    np.testing.assert_array_equal(ways(np.eye(4), np.array([1.0, 2.0, 0.5, -1.0])), [0, 1, 0, 0])
    for size in (1.0, 1e-20, 1e20):
        for beyond, mode in ((1e-12, 0), (1e-9, 1)):
            assert ways(size * np.eye(1), size * np.array([1 + beyond])) == mode
            assert ways(size * np.eye(1), -size * np.array([1 + beyond])) == -mode


def test_a_singular_matrix_is_not_eliminated():
    """Steep and flat at once: 1e-7 beside 1 is too near to singular for a Cholesky factor, 1e-5 is not. A ridge, where
    sliding would be thrown off, is left to the side where the rest pulls."""
    for flat in (1e-10, 1e-14, 0.0):
        modes = filippov._modes(np.diag([1.0, flat]), np.array([0.5, 0.25]))
        np.testing.assert_array_equal(modes, [0, 1])
    for pull, side in ((0.5, (1, -1)), (2.0, (1,)), (-2.0, (-1,))):
        assert filippov._modes(np.array([[-1.0]]), np.array([pull]))[0] in side
    with pytest.raises(filippov._NoWay, match="on 9 surfaces at once"):
        filippov._modes(-np.eye(9), np.zeros(9))
    assert np.abs(filippov._modes(-np.eye(8), np.ones(8))).min() == 1


def test_equations_near_to_singular_have_the_shortest_solution():
    def solution(*rates):
        return filippov._solution(np.diag(rates), np.ones(len(rates)))

    np.testing.assert_allclose(solution(1.0, 1e-11), [1.0, 1e11], rtol=1e-12)
    np.testing.assert_allclose(solution(1.0, 1e-13), [1.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(filippov._solution(np.ones((2, 2)), np.ones(2)), [0.5, 0.5], rtol=1e-12)


def test_events_are_looked_for_at_eight_points_of_a_64th_of_the_interval():
    """x = 10 - t: where the gradient is asked for tells the time."""
    asked = []

    def fun(x):
        asked.append(10.0 - float(x[0]))
        return float(np.cosh(x[0]))

    problem = oo.Problem(fun, np.sinh, hess=lambda x: np.diag(np.cosh(x)), x0=[10.0])
    asked.clear()
    found = solved(problem, [10.0], 6.4)
    assert found.success and np.diff(found.t).max() == pytest.approx(0.1, rel=1e-9)
    gaps = np.diff(np.unique(np.round(asked, 12)))
    assert gaps.max() == pytest.approx(0.1 / 8, rel=1e-9) and (gaps > 0.99 * 0.1 / 8).sum() > 8 * 60


def test_events_that_coincide_are_one():
    """x^2/2 + 3 y^2/2: both gradients are 0 at t = 1, or a billionth apart."""
    problem = oo.problems.quadratic([1.0, 3.0])
    for beside, signs in ((0.0, [(1, 1), (0, 0)]), (1e-9, [(1, 1), (0, 1), (0, 0)])):
        found = solved(problem, [1.0, 1.0 + beside], 2.1)  # whose samples are not at 1
        assert [tuple(s) for _, s in found.phases] == signs
        np.testing.assert_allclose([t for t, _ in found.phases], [0.0, 1.0, 1.0 + beside][: len(signs)], rtol=1e-13)


def test_a_start_on_a_surface_crosses_it_or_slides():
    """g = (0, 3): alone the first coordinate would need the control 2; g = (3, 0): the second one 2/5."""
    for g, signs in (((0.0, 3.0), (-1, 1)), ((3.0, 0.0), (1, 0)), ((0.0, -3.0), (1, -1)), ((0.0, 0.0), (0, 0))):
        found = solved(STEEP, np.linalg.solve([[1, 2], [2, 5]], g), 0.05)
        assert found.success and tuple(found.phases[0][1]) == signs and len(found.phases) == 1


def test_a_gradient_of_eleven_digits_less_than_the_largest_is_0():
    start = np.linalg.solve([[1, 2], [2, 5]], [3.0, 0.0])
    for g, slides in ((2e-11, True), (4e-11, False), (-2e-11, True)):
        found = solved(oo.problems.quadratic([1.0, 1.0]), [3.0, g], 1.0)
        assert (found.phases[0][1][1] == 0) == slides
    assert tuple(system(STEEP).begin(start, np.array([3.0, 0.9e-11]))) == (1, 0)
    mean = system(STEEP, filippov._Memory, tau=0.5)
    y = np.array([*start, 2e-11, 0.5e-11])
    assert tuple(mean.begin(y, np.array([-1.0, -1.0]))) == (1, -1)
    assert tuple(mean.begin(y, np.array([-1.0, 0.5e-11]))) == (1, 0)


def test_what_slides_is_put_back_onto_its_surface():
    """g_1 = x - y^3: Newton's steps from a millionth away, none from a hundred-thousandth."""
    curve = oo.Problem.from_expression("x^2/2 - x*y^3 + y^6/2 + 5*y")
    signs = np.array([0.0, 1.0])
    for off, moved in ((1e-6, True), (1e-5, False)):
        x = system(curve).onto(np.array([0.125 + off, 0.5]), signs)
        assert (abs(curve.grad(x)[0]) < 1e-15) == moved and x[1] == 0.5
        assert moved or x[0] == 0.125 + off
    free = np.array([0.3, 0.5])
    assert system(curve).onto(free, np.array([1.0, 1.0])) is free


def test_evaluations_are_counted_and_end_a_solution():
    whole = solved(STEEP, [1.0, 2.0], 5.0)
    part = solved(STEEP, [1.0, 2.0], 5.0, allowed=300)
    assert whole.success and whole.nfev > 600 and not part.success
    assert 300 < part.nfev <= 303 and "evaluations of the field and Hessian products are spent" in part.message
    assert 0 < part.t[-1] < 5.0 and np.allclose(part.sol(0.3), whole.sol(0.3), atol=1e-13)
    beside = system(STEEP)
    beside.sliding(np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    assert beside.count == 1  # nothing slides: no Hessian product
    beside.sliding(np.array([1.0, 2.0]), np.array([0.0, 1.0]))
    assert beside.count == 3


def test_an_event_right_after_the_start_is_found():
    """g_1 = 2.5 (t - t^2/t1) with t1 = 1e-7, while the first look is at 1e-5: there and back in between."""
    problem = oo.Problem.from_expression("(-3*y - 2.5e7*y^2)*x + x^2/4 + 1000*y", x0=[0.0, 0.0])
    found = solved(problem, [0.0, 0.0], 1.0)
    assert found.success and [tuple(s) for _, s in found.phases] == [(1, 1), (-1, 1)]
    assert found.phases[1][0] == pytest.approx(1e-7, rel=1e-6, abs=0)
    np.testing.assert_allclose(found.sol(0.5), [0.5 - 2e-7, -0.5], rtol=1e-12)


def test_an_event_early_in_an_endless_interval_is_found():
    """1e19 is 118 halvings from a root at 1e-16 of it, to the last digit: more than brentq makes by itself."""
    quartic = oo.problems.quartic()
    sol = oo.reference(oo.SignGD(0.05), quartic, t_end=2.0**64, rtol=1e-6, atol=1e-8, check=False)
    assert sol.success and abs(sol(2.0**64)[0]) < 1e-3
