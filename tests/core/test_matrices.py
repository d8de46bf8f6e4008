"""Functions of matrices inside kernels against numpy.linalg, on matrices without symmetry, in both precisions."""

import numpy as np
import pytest

from odeopt import matrices as m
from odeopt.linear_systems import advance, begin, eliminate

both = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def near(found, wanted, digits=13):
    """To so many of 16 digits of the largest entry, or 6 in float32."""
    digits = digits if found.dtype == np.float64 else min(digits, 5)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=10.0**-digits * np.abs(wanted).max())


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


@both
@pytest.mark.parametrize(("size", "scale"), [(3.0, 1.0), (3.0, 0.7), (1e-40, 1.0)])
def test_entries_are_loaded_row_after_row_over_their_norm(dtype, size, scale):
    """Also where 1 over the norm is no float32."""
    values = (size * normal(0, 12)).astype(dtype)
    norm = np.linalg.norm(values.astype(float))
    for tall, wanted in ((False, values.reshape(3, 4)), (True, values.reshape(4, 3).T)):
        x = np.empty((3, 4), dtype)
        m.load(values, x, tall, scale, norm / scale)
        near(x, wanted.astype(float) / norm)


@both
def test_products_of_a_matrix_with_its_transpose(dtype):
    for r, c in ((5, 5), (3, 7), (1, 4)):
        x, out, work = normal(1, r, c).astype(dtype), np.empty((r, r), dtype), np.empty(r * r, dtype)
        for of_x in (0.0, 0.9) if r == c else (0.0,):
            m.symmetric_product(x, out, work, dtype(of_x), dtype(1.3), dtype(-0.4))
            near(out, of_x * (x if of_x else 0) + 1.3 * x @ x.T - 0.4 * np.eye(r))
        x /= np.linalg.norm(x)
        for steps in (0, 1, 2, 3):
            moved, spare = x.copy(), np.empty_like(x)
            m.newton_schulz(moved, spare, out, np.empty(r * c, dtype), steps, 2.1, -1.7, 0.6)
            wanted = x.astype(float)
            for _ in range(steps):
                gram = wanted @ wanted.T
                wanted = (2.1 * np.eye(r) - 1.7 * gram + 0.6 * gram @ gram) @ wanted
            near(moved, wanted)


@both
def test_rows_are_turned_until_they_are_orthogonal(dtype):
    x = normal(2, 4, 6)
    x = (x * [[3.0], [1.0], [0.2], [1e-3]]).astype(dtype)
    rows, turn = x.copy(), np.full((4, 4), 7, dtype)
    m.orthogonal_rows(rows, turn)
    lengths = np.linalg.norm(rows.astype(float), axis=1)
    near(((rows / lengths[:, None]) @ (rows / lengths[:, None]).T).astype(dtype), np.eye(4))
    near(turn @ turn.T, np.eye(4))
    near(rows, turn.astype(float) @ x)
    np.testing.assert_allclose(np.sort(lengths)[::-1], np.linalg.svd(x.astype(float))[1], rtol=10 * m.resolution(x))
    straight = np.diag([2.0, 0.0, -1.0, 0.0]).astype(dtype)  # nothing to do, also not with rows of zeros
    rows = straight.copy()
    m.orthogonal_rows(rows, turn)
    np.testing.assert_array_equal(rows, straight)
    np.testing.assert_array_equal(turn, np.eye(4))


@both
def test_two_rows_are_turned_by_the_smaller_angle(dtype):
    """45 degrees at most: tan 2 a = 2 x1.x2 / (|x2|^2 - |x1|^2)."""
    for x in ([[3.0, 1.0], [0.5, 1.0]], [[0.5, 1.0], [3.0, 1.0]], [[3.0, -1.0], [0.5, 2.0]], [[0.1, -2.0], [3.0, 0.4]]):
        x = np.array(x, dtype)
        turn = np.empty((2, 2), dtype)
        angle = 0.5 * np.arctan(2 * x[0] @ x[1] / (x[1] @ x[1] - x[0] @ x[0]))
        m.orthogonal_rows(x, turn)
        near(turn, np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]))


@both
def test_polar_factors_leave_out_what_is_round_off(dtype):
    """A singular value below c units of the last place of the largest has no direction."""
    x, y, turn = normal(3, 3, 5).astype(dtype), np.empty((3, 5), dtype), np.empty((3, 3), dtype)
    u, _, vt = np.linalg.svd(x.astype(float), full_matrices=False)
    m.polar(x.copy(), y, turn)
    near(y, u @ vt, 12)
    flat = np.outer([1.0, -2.0, 0.5], [0.3, 0.1, -0.7, 1.0, 0.2]).astype(dtype)
    m.polar(flat.copy(), y, turn)
    near(y, flat / np.linalg.norm(flat), 12)
    least = 5 * m.resolution(x)
    for share, sign in ((0.9, 0.0), (1.1, 1.0)):
        x[:], x[0, 2], x[1, 4], x[2, 0] = 0.0, 3.0, -3.0 * share * least, 3e-3
        m.polar(x, y, turn)
        wanted = np.zeros((3, 5))
        wanted[0, 2], wanted[1, 4], wanted[2, 0] = 1.0, -sign, 1.0
        near(y, wanted)


@both
def test_factors_on_both_sides_or_on_one(dtype):
    left, x, right = (normal(i, *shape).astype(dtype) for i, shape in enumerate(((3, 3), (3, 4), (4, 4))))
    for has_left, has_right in ((True, True), (True, False), (False, True)):
        work, out = np.empty_like(x), np.empty_like(x)
        m.both_sides(left, x, right, has_left, has_right, work, out)
        near(out, (left if has_left else np.eye(3)) @ x @ (right if has_right else np.eye(4)))


@both
def test_averages_of_squares_overflow_in_every_entry(dtype):
    x, mean, work = normal(4, 3, 4).astype(dtype), normal(5, 3, 3).astype(dtype), np.empty((3, 3), dtype)
    before = mean.copy()
    m.average_square(x, dtype(0.7), mean, work)
    near(mean, 0.7 * before + x @ x.T)
    x[1] = 1e-2 * np.sqrt(np.finfo(dtype).max)
    m.average_square(x, dtype(0.7), mean, work)
    assert np.isfinite(mean).all()
    with np.errstate(over="ignore"):
        x[1] = 2 * np.sqrt(np.finfo(dtype).max)
        m.average_square(x, dtype(0.7), mean, work)
    assert (mean == np.inf).all()


@both
@pytest.mark.parametrize(("eps", "exponent"), [(0.0, 0.25), (0.3, 0.5), (0.02, 1.0)])
def test_inverse_roots_have_a_least_eigenvalue(dtype, eps, exponent):
    """That of round-off: n units of the last place of the largest."""
    root = normal(6, 4, 4)
    a = (root @ root.T + 0.1 * np.eye(4)).astype(dtype)
    values, vectors = np.linalg.eigh(a.astype(float))
    out, w = np.empty_like(a), np.empty(4, dtype)
    m.inverse_root(a.copy(), eps, exponent, w, out)
    near(out, (vectors * (values + eps) ** -exponent) @ vectors.T, 12)
    a = np.diag([3.0, 0.0, 0.5, 0.0]).astype(dtype)
    m.inverse_root(a, eps, exponent, w, out)
    least = 4 * m.resolution(out) * 3.0
    np.testing.assert_allclose(out, np.diag((np.array([3.0, least, 0.5, least]) + eps) ** -exponent),
                               rtol=20 * m.resolution(out))
    for corner, wanted in ((np.inf, 0.0), (np.nan, np.nan)):
        a = np.diag([1.0, corner]).astype(dtype)
        m.inverse_root(a, eps, exponent, w[:2], out[:2, :2].copy())
        small = np.ones((2, 2), dtype)
        m.inverse_root(a, eps, exponent, w[:2], small)
        np.testing.assert_array_equal(small, np.full((2, 2), wanted))
    small = np.ones((2, 2), dtype)
    m.inverse_root(np.zeros((2, 2), dtype), eps, exponent, w[:2], small)
    near(small, np.eye(2) * (eps**-exponent if eps else 0.0))


@both
def test_a_power_step_sorts_by_rayleigh_quotients_and_makes_orthonormal(dtype):
    """``np.linalg.qr`` of the rows in that order; the rows of values go with them."""
    basis = np.linalg.qr(normal(7, 4, 4))[0].astype(dtype)
    mean = (normal(8, 4, 4) @ normal(8, 4, 4).T).astype(dtype)
    values = normal(9, 4, 3).astype(dtype)
    quotients = np.diag(basis @ mean @ basis.T)
    order = np.argsort(quotients)[::-1]
    assert (order != np.sort(order)).any()
    new, moved, of_rows = basis.copy(), values.copy(), np.empty(6, dtype)
    m.power_step(mean, new, moved, np.empty(16, dtype), of_rows)
    near(new, np.linalg.qr((basis @ mean)[order].T.astype(float))[0].T, 12)
    np.testing.assert_array_equal(moved, values[order])
    for corner in (np.inf, np.nan):
        mean[2, 2], kept = corner, new.copy()
        m.power_step(mean, new, moved, np.empty(16, dtype), of_rows)
        np.testing.assert_array_equal(new, kept)
    m.power_step(mean[:0, :0].copy(), new[:0, :0].copy(), moved[:0], np.empty(0, dtype), of_rows)


def test_elimination_exchanges_rows_for_the_largest_pivot():
    """Small pivots would lose all digits; a matrix of rank n - 1 or with a NaN gives NaN."""
    a = np.array([[1e-17, 2.0, -1.0], [3.0, 1e-17, 0.7], [-4.0, 0.3, 1.1]])
    b = np.array([0.4, -1.3, 2.2])
    d = b.copy()
    eliminate(a.copy(), d)
    np.testing.assert_allclose(d, np.linalg.solve(a, b), rtol=1e-14)
    banded = np.diag([2.0, -3.0, 1.5, 4.0]) + np.diag([0.3, 0.7, -0.2], 1) + np.diag([0.9, 0.4, -1.1], -1)
    d = normal(10, 4)
    wanted = np.linalg.solve(banded, d)
    eliminate(banded.copy(), d)
    np.testing.assert_allclose(d, wanted, rtol=1e-14)
    for bad in (np.zeros((2, 2)), np.full((2, 2), np.nan), np.array([[2.0, 1.0], [4.0, 2.0]])):
        d = np.ones(2)
        eliminate(bad.copy(), d)
        assert np.isnan(d).all()


def test_conjugate_gradients_step_by_step():
    """Against the same in numpy on alpha I + beta (H + decay I), with a curvature that is 0, or not finite."""
    root, b, alpha, beta, decay = normal(11, 5, 5), normal(12, 5), 0.7, 1.6, 0.3
    h = root @ root.T
    a = alpha * np.eye(5) + beta * (h + decay * np.eye(5))
    r, q, d = b.copy(), np.full(5, 9.0), np.full(5, 9.0)
    rr = begin(r, q, d)
    assert rr == pytest.approx(b @ b, rel=1e-15) and not d.any() and (q == b).all()
    residual, direction, solution = b.copy(), b.copy(), np.zeros(5)
    for _ in range(4):
        step = residual @ residual / (direction @ a @ direction)
        new = residual - step * a @ direction
        solution = solution + step * direction
        direction = new + new @ new / (residual @ residual) * direction
        residual = new
        rr = advance(rr, alpha, beta, decay, r, q, h @ q, d)
        np.testing.assert_allclose((*d, *r, *q), (*solution, *residual, *direction), rtol=1e-9)
        assert rr == pytest.approx(residual @ residual, rel=1e-9)
    for products, wanted in ((-(alpha / beta + decay) * b, 0.0), (np.full(5, np.nan), np.nan), (b * np.inf, np.nan)):
        r, q, d = b.copy(), np.empty(5), np.empty(5)
        assert advance(begin(r, q, d), alpha, beta, decay, r, q, products.copy(), d) == -1.0
        np.testing.assert_array_equal(r, b)
        np.testing.assert_array_equal(d, np.full(5, wanted))
