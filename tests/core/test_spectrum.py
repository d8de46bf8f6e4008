"""Extreme eigenvalues from products with vectors, and the stencil of derivatives."""

import numpy as np
import pytest

import odeopt as oo
from odeopt.spectrum import largest_eigenpairs, power_iteration, spectrum_ends
from odeopt.stencil import derivative


class Operator:
    """A rotated diagonal matrix that counts its products."""

    def __init__(self, values, seed=0):
        self.values = np.sort(values)[::-1]
        n = self.values.size
        self.basis, self.count = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0], 0

    def __call__(self, v):
        self.count += 1
        return self.basis @ (self.values * (self.basis.T @ v))


@pytest.mark.parametrize("n, count", [(1, 1), (5, 2), (20, 20), (21, 1), (150, 1), (150, 4)])
def test_the_largest_eigenvalues_and_their_vectors(n, count):
    h = Operator(np.append(np.linspace(-9.0, 1.0, n - 1), 2.0))  # -9 is larger in modulus and not wanted
    values, vectors = largest_eigenpairs(h, n, count)
    np.testing.assert_allclose(values, h.values[:count], rtol=1e-9, atol=1e-12)
    assert vectors.shape == (n, count)
    for value, v in zip(values, vectors.T):
        np.testing.assert_allclose(h(v), value * v, atol=1e-7)


def test_a_warm_start_saves_products():
    rng = np.random.default_rng(1)
    h = Operator(np.append(rng.uniform(0.0, 1.0, 297), [1.3, 1.5, 2.0]))
    _, vectors = largest_eigenpairs(h, 300, 2, tolerance=1e-6)
    cold, h.count = h.count, 0
    noise = 1e-3 * rng.standard_normal((300, 300))
    near = lambda v: h(v) + 1e-3 * (noise @ v + noise.T @ v)  # noqa: E731
    values, _ = largest_eigenpairs(near, 300, 2, start=vectors, tolerance=1e-6)
    assert h.count < cold
    dense = (h.basis * h.values) @ h.basis.T + 1e-3 * (noise + noise.T)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(dense)[:-3:-1], rtol=1e-5)
    for start in (vectors[:, 0], np.full(300, np.nan), np.zeros(300)):  # exact, and of no use
        np.testing.assert_allclose(largest_eigenpairs(h, 300, 1, start=start)[0], h.values[:1], rtol=1e-9)


@pytest.mark.parametrize("n", [5, 50])
def test_products_that_are_not_finite_give_no_number(n):
    values, vectors = largest_eigenpairs(lambda v: np.full(n, np.nan), n, 2)
    assert np.isnan(values).all() and values.shape == (2,) and np.isnan(vectors).all()
    assert np.isnan(power_iteration(lambda v: np.full(n, np.nan), np.ones(n), 9)[0])
    assert np.isnan(spectrum_ends(lambda v: np.full(n, np.nan), n)[0])


def test_power_iteration_ends_by_itself_and_takes_the_reach_of_differences():
    h = Operator([3.0, -0.5, 0.1])
    size, v = power_iteration(h, np.ones(3), 100, tolerance=1e-3)
    assert abs(size - 3.0) < 1e-2 and h.count < 10 and abs(np.linalg.norm(v) - 1) < 1e-12
    lengths = []

    def difference(v):
        lengths.append(np.linalg.norm(v))
        return h(v)

    assert abs(power_iteration(difference, np.ones(3), 30, radius=1e-7)[0] - 3.0) < 1e-9
    np.testing.assert_allclose(lengths, 1e-7)
    assert power_iteration(lambda v: 0 * v, np.ones(3), 5)[0] == 0.0


def test_curvature_is_the_largest_modulus_with_and_without_products():
    q = oo.problems.quadratic([-40.0, 3.0, 1.0], seed=2)
    plain = oo.Problem(lambda x: q.fun(x), lambda x: q.grad(x), dim=3, x0=q.x0)
    for problem in (q, plain):
        assert abs(problem.curvature(q.x0) - 40.0) < 1e-3


def test_the_stencil_is_of_order_six():
    errors = [abs(derivative(lambda s: np.exp(s)[None], h)[0] - 1.0) for h in (0.4, 0.2, 0.1)]
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (abs(slopes - 6) < 0.05).all()
    assert abs(errors[2] / (0.1**6 / 140) - 1) < 0.01
