"""Sums and their rounding errors."""

from fractions import Fraction

import numpy as np
import pytest

import odeopt as oo
from odeopt.sums import two_sum


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
