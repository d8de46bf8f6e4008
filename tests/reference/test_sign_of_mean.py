"""The flow of signs of a running mean, Lion's with a lasting memory: closed forms, corners, rest."""

import numpy as np
import pytest
from scipy.optimize import brentq

import odeopt as oo
from odeopt.reference import filippov

LINE, BOWL = oo.problems.quadratic([1.0]), oo.problems.sine_bowl()
TAU = 0.5


def solution(problem, z0, t_end, tau=TAU, decay=0.0):
    flow = oo.flows.sign_of_mean(tau, decay)
    found = filippov.solve(flow, problem, np.array(z0, dtype=float), 0.0, t_end, 1e-12, 1e-14, "auto")
    assert found.success, found.message
    return found


def test_a_change_of_sign_in_closed_form():
    """x^2/2 from 1: m = 1 + tau - t - (1 + tau) e^(-t/tau) until it is 0 at t1; then x rises."""
    t1 = brentq(lambda t: 1 + TAU - t - (1 + TAU) * np.exp(-t / TAU), 0.5, 3.0, xtol=1e-15)
    found = solution(LINE, [[1.0], [0.0]], 1.8)
    assert [signs[0] for _, signs in found.phases] == [1, -1]
    assert found.phases[1][0] == pytest.approx(t1, abs=1e-12)
    for t in (0.3, 1.0, t1, 1.8):
        exact = 1 - min(t, t1) + max(t - t1, 0.0)
        assert found.sol(t)[0] == pytest.approx(exact, abs=1e-12)
    path = oo.reference(oo.flows.sign_of_mean(TAU), LINE, np.array([[1.0], [0.0]]), 1.8)
    assert path.success and path(1.8)[0] == pytest.approx(1.8 - 2 * t1 + 1, abs=1e-9) and path.uncertainty < 1e-9


@pytest.mark.parametrize("curvature", [0.5, 4.0])
def test_turns_about_a_minimiser(curvature):
    """Half a turn from amplitude A of g takes 2 A/c, and A falls like e^(-t/(3 tau))."""
    small = 0.01 * curvature
    found = solution(oo.problems.quadratic([curvature]), [[small / curvature], [0.0]], 0.6)
    t = np.array([at for at, _ in found.phases])
    turn = np.diff(t)
    assert turn[1] == pytest.approx(2 * small / curvature, rel=0.02) and turn.size >= 20
    rate = np.log(turn[1] / turn[-1]) / (t[-2] - t[1])
    assert rate == pytest.approx(1 / (3 * TAU), rel=0.02)


def test_the_solution_has_the_slope_that_the_flow_says():
    decay, flow = 0.3, oo.flows.sign_of_mean(TAU, 0.3)
    found = solution(BOWL, [BOWL.x0, 0 * BOWL.x0], 2.0, decay=decay)
    corners, h = np.array([at for at, _ in found.phases]), 1e-5
    assert corners.size > 3
    field = flow.field(BOWL)
    for t in np.linspace(0.05, 1.95, 30):
        if np.abs(t - corners).min() > 2 * h:
            slope = (found.sol(t + h) - found.sol(t - h)) / (2 * h)
            np.testing.assert_allclose(slope, field(t, found.sol(t).reshape(2, 2)).ravel(), rtol=0, atol=1e-6)


def test_what_starts_on_its_surface_rests_or_slides():
    plane = oo.problems.quadratic([1.0, 2.0])
    np.testing.assert_array_equal(solution(plane, [[0, 0], [0, 0]], 1.0).sol(1.0), 0.0)
    apart = solution(plane, [[1.0, 0.0], [0.0, 0.0]], 0.5)
    np.testing.assert_allclose(apart.sol(0.5)[:2], [0.5, 0.0], rtol=0, atol=1e-12)
    tied = oo.Problem.from_expression("x^2/2 + 0.6*x*y + y^2", x0=[1.0, -0.3])  # g_2 = .6 x + 2 y = 0 at first
    slides = solution(tied, [[1.0, -0.3], [0.0, 0.0]], 0.4)
    assert [tuple(signs) for _, signs in slides.phases] == [(1, 0)]
    np.testing.assert_allclose(slides.sol(0.4)[:2], [0.6, -0.3 + 0.3 * 0.4], rtol=0, atol=1e-12)
    near = solution(tied, [[1.0, -0.3], [0.0, 1e-4]], 0.4)  # turns about it, in an average
    assert len(near.phases) > 3
    np.testing.assert_allclose(near.sol(0.4)[:2], slides.sol(0.4)[:2], rtol=0, atol=0.02)
    blind = oo.Problem(tied.fun, tied.grad, dim=2)
    lost = oo.reference(oo.flows.sign_of_mean(TAU), blind, np.array([[1.0, -0.3], [0.0, 0.0]]), 0.4)
    assert not lost.success and "slides, and the problem has no Hessian product" in lost.message


def test_it_needs_no_hessian_and_takes_many_coordinates():
    n = 600
    plain = oo.Problem(lambda x: 0.5 * float(x @ x), lambda x: x.copy(), dim=n)
    x0 = np.linspace(1.0, 2.0, n)
    path = oo.reference(oo.Lion(0.01, 0.95, 0.98, reading="lasting_memory"), plain, x0, 0.5)
    np.testing.assert_allclose(path(0.5), x0 - 0.5, rtol=0, atol=1e-9)


def test_signum_is_semi_implicit_euler():
    opt = oo.Lion(0.01, 0.98, 0.98, 0.2, reading="lasting_memory")
    for start in ("cold", "consistent"):
        run = oo.record(opt, BOWL, steps=200, start=start)
        z = opt.flow_start(BOWL.x0, BOWL.grad(BOWL.x0), start)
        generic = oo.record(oo.Discretization(opt.flow, opt.scheme, opt.h), BOWL, z, steps=200)
        np.testing.assert_allclose(run.x, generic.x, rtol=0, atol=1e-12)
        assert (np.diff(np.sign(np.diff(run.x, axis=0)), axis=0) != 0).any()  # through changes of sign
    assert oo.Lion(0.01, 0.9, 0.98, reading="lasting_memory").scheme is None and oo.Lion(0.01, 0.9, 0.9).scheme is None


def test_the_reading_says_what_refined_does():
    assert oo.Lion(0.01).refined(10).beta2 == 0.99
    fine = oo.Lion(0.01, reading="lasting_memory").refined(10)
    assert (fine.beta1, fine.beta2) == (pytest.approx(0.99), pytest.approx(0.999))
    a, b = (oo.record(oo.Lion(0.01, reading=name), BOWL, steps=50) for name in ("short_memory", "lasting_memory"))
    np.testing.assert_array_equal(a.x, b.x)
