"""Distances and curvatures whose squares vanish or overflow: one quadratic in other units."""

import numpy as np
import pytest

import odeopt as oo
from odeopt.sums import norms

GD = oo.GradientDescent(0.1)


def quadratic(start, stretch=1.0):
    return oo.problems.quadratic([stretch, 2.0 * stretch], x0=[start, start])


@pytest.mark.parametrize("scale", [1e-200, 1e-170])
def test_distances_do_not_vanish(scale):
    plain, tiny = quadratic(1.0), quadratic(scale)
    usual = oo.compare(GD, plain, steps=5).max_error
    assert oo.compare(GD, tiny, steps=5).max_error == pytest.approx(usual * scale, rel=1e-6)
    usual = oo.deviation(GD, oo.Momentum(0.1), plain, steps=5)
    assert oo.deviation(GD, oo.Momentum(0.1), tiny, steps=5) == pytest.approx(usual, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1e-165, 1e160, 1e200])
def test_the_curvature_is_that_of_the_problem(scale):
    problem = quadratic(1.0, scale)
    assert problem.curvature(problem.x0) == pytest.approx(2.0 * scale, rel=1e-6)


def test_norms_of_any_size():
    a = np.array([[3.0, 4.0], [3e-200, 4e-200], [3e200, -4e200], [0.0, 0.0], [np.inf, 1.0]])
    np.testing.assert_allclose(norms(a), [5.0, 5e-200, 5e200, 0.0, np.inf], rtol=1e-15)
    np.testing.assert_allclose(norms(a.T, 0), [5.0, 5e-200, 5e200, 0.0, np.inf], rtol=1e-15)
    assert np.isnan(norms(np.array([np.nan, 1.0]))) and norms(np.array([3e-200, 4e-200])) == pytest.approx(5e-200)


def test_the_jitted_reference_begins_where_the_gradient_is_huge():
    """Its square overflows, and with an infinite speed the first step would be 0."""
    found = oo.reference(GD, quadratic(1.0, 1e300), t_end=1e-300, solver="jitted")
    np.testing.assert_allclose(found(1e-300), np.exp([-1.0, -2.0]), rtol=1e-8)


def test_an_energy_of_zero_has_a_bound():
    found = oo.lyapunov(GD, quadratic(1e-200), steps=3)  # f is 0 there
    assert np.isnan(found.bound[0]) and (found.bound[1:] == 0.0).all()
