"""Sums and their rounding errors."""

from fractions import Fraction

import numpy as np
import pytest

import odeopt as oo
from odeopt.abi import interpreted
from odeopt.sums import all_finite, distance_between, finite, norms, scaled_norm, sum_of_squares, two_sum

WAYS = [lambda f: f, interpreted]  # compiled, and as it stands


@pytest.mark.parametrize("a, b", [(1.0, 1e-17), (1e-17, 1.0), (0.1, 0.2), (1e16, -1.0), (3.0, 1e16 + 2), (0.0, 0.7)])
def test_a_sum_and_its_rounding_error_are_exact(a, b):
    total, lost = two_sum(a, b)
    assert total == a + b and Fraction(total) + Fraction(lost) == Fraction(a) + Fraction(b)


def test_times_of_optimizers_and_of_schemes_do_not_drift():
    steps, h = 200_000, 0.1
    exact = float(steps * Fraction(h))
    flat = oo.problems.quadratic([1e-9, 1e-9])
    for method in (oo.GradientDescent(h), oo.Discretization(oo.flows.gradient_flow(), oo.schemes.explicit_euler, h)):
        run = oo.record(method, flat, steps=steps, every=steps)
        assert run.t[-1] == exact
    assert np.full(steps, h).cumsum()[-1] != exact  # which the plain sum does


@pytest.mark.parametrize("way", WAYS)
def test_sums_of_squares_add_every_entry(way):
    """Exact for whole numbers, in either precision, in parts of an array too."""
    for n in range(14):
        v = np.arange(2.0, 2 * n + 2)[::2] * (-1.0) ** np.arange(n)
        for given in (v, v.astype(np.float32), np.repeat(v, 3)[::3]):
            assert way(sum_of_squares)(given) == sum(int(a) ** 2 for a in v)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [1e-23, 1e-16, 3.0, 2e19, 1e38])
def test_sums_of_squares_of_float32_are_in_float64(way, size):
    """Where squares overflow or vanish in float32."""
    v = np.array([size, -2 * size, 0.5 * size, 1.25 * size, size], np.float32)
    with np.errstate(over="ignore", under="ignore"):
        assert way(sum_of_squares)(v) == pytest.approx(sum(float(a) ** 2 for a in v), rel=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_a_norm_and_its_scale(way):
    norm = way(scaled_norm)
    with np.errstate(all="ignore"):
        assert norm(np.array([3.0, -4.0])) == (1.0, 5.0) and norm(np.zeros(3)) == (0.0, 0.0)
        assert norm(np.array([1.0, np.inf, 2.0])) == (1.0, np.inf) and norm(np.zeros(0)) == (0.0, 0.0)
        scale, length = norm(np.array([1.0, np.nan, np.inf]))
        assert scale == 1.0 and np.isnan(length)
        for size in (1e-200, 1e200):
            assert norm(size * np.array([3.0, -4.0, 4.0])) == pytest.approx((4 * size, np.sqrt(41) / 4), rel=1e-15)


@pytest.mark.parametrize("way", WAYS)
def test_distances_and_what_is_finite(way):
    x, y = np.array([4.0, 6.0, 1.0]), np.array([1.0, 2.0, 1.0])
    assert way(distance_between)(x, y) == way(distance_between)(y, x) == 5.0
    near = np.array([1.0, 1.0], np.float32)
    assert way(distance_between)(near, np.array([1.0, 1.0 + 2**-23], np.float32)) == 2.0**-23
    for bad in (np.nan, np.inf, -np.inf):
        for i in range(3):
            z = np.ones((2, 3))
            assert way(finite)(z[1]) and way(all_finite)(z)
            z[1, i] = bad
            assert not way(finite)(z[1]) and not way(all_finite)(z) and way(finite)(z[0])


def test_norms_along_an_axis():
    a = np.array([[3.0, 4.0], [0.0, 0.0], [3e-170, 4e-170], [0.3, -0.4], [3e200, 4e200], [np.inf, 1.0]])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(norms(a), [5.0, 0.0, 5e-170, 0.5, 5e200, np.inf], rtol=1e-15)
        np.testing.assert_allclose(norms(a.T, 0), norms(a), rtol=0)
        assert np.isnan(norms([np.nan, 1.0]))
