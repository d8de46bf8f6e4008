"""Extreme eigenvalues from products with vectors, and the stencil of derivatives."""

import numpy as np
import pytest

import odeopt as oo
from odeopt.spectrum import largest_eigenpairs, power_iteration, spectrum_ends, tracked_eigenpairs
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


def test_power_iteration_is_its_formula():
    """|A^k v| / |A^(k - 1) v|, and A^k v of the length of the reach; with a tolerance to the first change within it."""
    a, start = np.random.default_rng(3).standard_normal((4, 4)), np.array([3.0, -1.0, 0.5, 2.0])
    a = a @ a.T + np.eye(4)
    powers = [start]
    for _ in range(40):
        powers.append(a @ powers[-1])
    sizes = np.array([np.linalg.norm(v) for v in powers])
    sizes = sizes[1:] / sizes[:-1]
    for radius in (1.0, 0.3):
        for iterations in (1, 2, 3, 7):
            size, v = power_iteration(a.dot, start, iterations, radius=radius)
            assert size == pytest.approx(sizes[iterations - 1], rel=1e-13)
            end = powers[iterations]
            np.testing.assert_allclose(v, radius * end / np.linalg.norm(end), rtol=1e-12)
        for tolerance in (0.1, 1e-3):
            first = np.flatnonzero(np.abs(np.diff(sizes)) <= tolerance * sizes[1:])[0] + 1
            found = power_iteration(a.dot, start, 40, tolerance, radius)[0]
            assert found == pytest.approx(sizes[first], rel=1e-13) and 1 < first < 38
    for unit in (1e-170, 1e170):  # whose squares are no numbers
        size = power_iteration(lambda v, unit=unit: unit * (a @ v), start, 3)[0]
        assert size == pytest.approx(unit * sizes[2], rel=1e-13, abs=0)
    ends = iter([2.0, 3.0, np.inf])
    size, v = power_iteration(lambda v: next(ends) * np.roll(v, 1), np.array([3.0, 4.0]), 9)
    assert size == np.inf
    np.testing.assert_allclose(v, [0.6, 0.8], rtol=1e-14)
    assert power_iteration(lambda v: v, np.array([3.0, 4.0]), 9, 0.0)[0] == 1.0


def test_as_many_products_as_unknowns_where_that_is_less():
    for n, count, dense in ((20, 1, True), (21, 1, False), (22, 10, True), (23, 10, False)):
        h = Operator(np.linspace(0.0, 1.0, n) ** 2)
        units = []
        values, _ = largest_eigenpairs(lambda v, h=h, units=units: units.append(np.count_nonzero(v) == 1) or h(v), n,
                                       count)
        np.testing.assert_allclose(values, h.values[:count], rtol=1e-9)
        assert (all(units) and h.count == n) == dense
    skew = np.array([[2.0, 1.0], [0.0, -1.0]])  # of what is not symmetric the symmetric part
    np.testing.assert_allclose(largest_eigenpairs(skew.dot, 2, 2)[0], np.linalg.eigvalsh((skew + skew.T) / 2)[::-1])
    values, vectors = largest_eigenpairs(lambda v: 0.0 * v, 50, 3)
    np.testing.assert_array_equal(values, np.zeros(3))
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-14)


@pytest.mark.parametrize(("count", "wanted", "tolerance", "products"), [
    (1, None, 1e-4, 30), (3, None, 1e-6, 30), (3, 1, 1e-3, 30), (2, None, 1e-12, 5)])
def test_tracked_pairs_grow_a_space_along_the_largest_residual(count, wanted, tolerance, products):
    """Ritz pairs of the space that the products so far span, computed anew; it ends at the first that rest."""
    n, asked = 60, []
    h = Operator(np.append(np.random.default_rng(4).uniform(-2.0, 1.0, n - 4), [1.4, 1.6, 1.9, 2.3]), 5)
    dense = (h.basis * h.values) @ h.basis.T
    start = (h.basis[:, :count] + 0.02 * np.random.default_rng(6).standard_normal((n, count))) * [5.0, 0.3, 2.0][:count]
    values, vectors = tracked_eigenpairs(lambda v: asked.append(v.copy()) or h(v), start, wanted, tolerance, products)
    space, wanted, before, ended = np.array(asked), wanted or count, None, False
    np.testing.assert_allclose(space @ space.T, np.eye(len(space)), atol=1e-12)
    cosine = space[0] @ start[:, 0] / np.linalg.norm(start[:, 0])
    assert 0.009 < np.sqrt(1 - cosine**2) < 0.011  # turned by a hundredth
    for m in range(count, len(space) + 1):
        assert not ended
        basis = space[:m]
        ritz, inner = np.linalg.eigh(basis @ dense @ basis.T)
        ritz, pairs = ritz[::-1][:count], (inner[:, ::-1][:, :count].T @ basis)
        if before is not None:
            ended = (np.abs(ritz - before)[:wanted] <= tolerance * abs(ritz[0])).all()
        before = ritz
        if m < len(space):
            residuals = pairs @ dense - ritz[:, None] * pairs
            largest = residuals[np.argmax(np.linalg.norm(residuals[:wanted], axis=1))]
            np.testing.assert_allclose(abs(largest @ space[m]), np.linalg.norm(largest), rtol=1e-9)
    assert ended or len(space) == count + products
    np.testing.assert_allclose(values, before, rtol=1e-12)
    np.testing.assert_allclose(np.abs(np.diag(pairs @ vectors)), 1.0, rtol=1e-12)
    assert vectors.shape == (n, count)


def test_tracked_pairs_of_a_small_or_an_invariant_space():
    h = Operator([3.0, 1.0, -2.0, 0.5])
    values, vectors = tracked_eigenpairs(h, np.eye(4)[:, :2], tolerance=0.0)
    np.testing.assert_allclose(values, [3.0, 1.0], rtol=1e-13)
    np.testing.assert_allclose(h.basis.T @ (vectors * np.sign(np.diag(h.basis.T @ vectors))), np.eye(4)[:, :2],
                               atol=1e-13)
    h.count = 0
    values, _ = tracked_eigenpairs(lambda v: h(v) * 0 + 2.0 * v, np.eye(4)[:, :2], tolerance=0.0)
    np.testing.assert_allclose(values, [2.0, 2.0], rtol=1e-14)
    assert h.count == 2  # each vector is an eigenvector
    values, vectors = tracked_eigenpairs(lambda v: v * np.nan, np.eye(4)[:, :2])
    assert np.isnan(values).all() and values.shape == (2,) and np.isnan(vectors).all() and vectors.shape == (4, 2)


def test_tracking_without_a_tolerance_ends_at_round_off():
    h = Operator(np.append(np.random.default_rng(4).uniform(-2.0, 1.0, 56), [1.4, 1.6, 1.9, 2.3]), 5)
    start = h.basis[:, :2] + 0.05 * np.random.default_rng(6).standard_normal((60, 2))
    values, vectors = tracked_eigenpairs(h, start, tolerance=0.0, products=58)
    np.testing.assert_allclose(values, [2.3, 1.9], rtol=1e-13)
    residuals = np.array([h(v) for v in vectors.T]) - values[:, None] * vectors.T
    assert np.abs(residuals).max() < 1e-9  # a residual of 1e-4 would be 1e-8 in the values


def test_ends_of_a_spectrum_are_ritz_values():
    """Of the space of so many products with the first vector, computed densely."""
    h, asked = Operator(np.linspace(-3.0, 7.0, 40) ** 3 / 40, 7), []
    dense = (h.basis * h.values) @ h.basis.T
    for products in (1, 2, 5, 9):
        asked.clear()
        top, bottom = spectrum_ends(lambda v: asked.append(v.copy()) or h(v), 40, products)
        space = np.array(asked)
        np.testing.assert_allclose(space @ space.T, np.eye(products), atol=1e-9)
        ritz = np.linalg.eigvalsh(space @ dense @ space.T)
        np.testing.assert_allclose((top, bottom), (np.abs(ritz).max(), ritz[0]), rtol=1e-9)
    assert spectrum_ends(lambda v: 1e-200 * v, 5)[0] == pytest.approx(1e-200, rel=1e-9, abs=0)
    assert spectrum_ends(lambda v: v * np.inf, 5)[0] == np.inf


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
