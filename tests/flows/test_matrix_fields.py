"""The fields of flows on matrices are the formulas of their pages, in numpy: any state, any side, empty memories."""

import numpy as np
import pytest

import odeopt as oo
from odeopt import flows as F

PROBLEM = oo.Problem.from_expression(
    "(a - 2*u + 0.3)^2/2 + (b + v)^2 + a*b^2/3 + c*w + c^4/4 + (u*v - w)^2/2 + 0.7*a*w", "a b c u v w",
    x0=[0.7, -0.4, 0.5, 0.2, 0.9, -0.6])
X, TAU1, TAU2, TAU3, EPS, DRIFT = PROBLEM.x0 + 0.1, 0.5, 0.8, 1.3, 0.07, 0.2
M = np.array([0.3, -0.8, 0.4, 0.6, 0.1, -0.5])
V = np.array([0.5, 0.3, 0.9, 0.2, 0.7, 0.4])
SHAPES = [(2, 3), (3, 2)]


def power(a, exponent, eps=0.0):
    values, vectors = np.linalg.eigh(a)
    return (vectors * (values + eps) ** exponent) @ vectors.T


def definite(n):
    a = np.random.default_rng(n).standard_normal((n, n))
    return a @ a.T + np.eye(n)


def packed(rows, x, *parts):
    """z of the position, rows of memory or lone numbers, and the matrices one after the other at the end."""
    z = np.zeros((rows, x.size))
    z[0] = x
    for row, part in enumerate(parts[:-1], 1):
        z[row, : np.size(part)] = part
    rest = z[len(parts) :].reshape(-1)
    flat = np.concatenate([np.zeros(0), *(a.ravel() for a in parts[-1])])
    rest[: flat.size] = flat
    return z


def polar(a):
    u, _, vt = np.linalg.svd(a, full_matrices=False)
    return u @ vt


def iterated(a, steps, coefficients, eps):
    x = a / max(np.linalg.norm(a), eps)
    for _ in range(steps):
        b = x @ x.T
        x = coefficients[0] * x + (coefficients[1] * b + coefficients[2] * b @ b) @ x
    return x


# Muon ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("adjust", "factors"), [
    ("none", (1.0, 1.0)), ("original", (1.0, 1.5**0.5)), ("match_rms_adamw", (0.2 * 3**0.5, 0.2 * 3**0.5)),
    ("width", (1.5**0.5, 1.0))])
def test_muon(shape, adjust, factors):
    factor, g = factors[SHAPES.index(shape)], PROBLEM.grad(X)
    exact = F.muon_flow(TAU1, (-1, shape[1]), adjust=adjust, drift=DRIFT)
    for scale in (1.0, 1e-3):  # the polar factor does not see it
        dx, dm = exact.field(PROBLEM)(0.7, np.array([X, scale * M]))
        np.testing.assert_allclose(dx, -factor * polar(M.reshape(shape)).ravel() - DRIFT * X, rtol=1e-12)
        np.testing.assert_allclose(dm, (g - scale * M) / TAU1, rtol=1e-13)
    cold, _ = exact.field(PROBLEM)(0.0, np.array([X, 0 * M]))
    np.testing.assert_allclose(cold, -factor * polar(g.reshape(shape)).ravel() - DRIFT * X, rtol=1e-12)
    for steps, coefficients, eps in ((1, F.muon.QUINTIC, 0.0), (4, (2.0, -1.5, 0.5), 0.9), (5, F.muon.QUINTIC, 3.0)):
        flow = F.muon_flow(TAU1, (shape[0], -1), steps=steps, coefficients=coefficients, eps=eps, adjust=adjust)
        for m in (M, 0.1 * M):
            dx, dm = flow.field(PROBLEM)(0.7, np.array([X, m]))
            expected = iterated(m.reshape(shape), steps, coefficients, eps)
            np.testing.assert_allclose(dx, -factor * expected.ravel(), rtol=1e-11)
            np.testing.assert_allclose(dm, (g - m) / TAU1, rtol=1e-13)


def test_muon_where_singular_values_vanish():
    """One that is 0 to round-off takes no part; where all are, or a matrix is none, nothing or nothing finite moves."""
    left, right = np.linalg.qr(definite(2))[0], np.linalg.qr(definite(3))[0][:2]
    field = F.muon_flow(TAU1, (2, 3)).field(PROBLEM)
    for small, kept in ((1e-13, 1.0), (1e-17, 0.0)):
        m = left @ np.diag([1.0, small]) @ right
        dx, _ = field(0.7, np.array([X, m.ravel()]))
        np.testing.assert_allclose(dx, -(left @ np.diag([1.0, kept]) @ right).ravel(), rtol=0, atol=0.02 * kept + 1e-12)
    flat = oo.problems.quadratic([0.0] * 6, x0=X)
    assert not field.flow.field(flat)(0.0, np.array([X, 0 * M])).any()
    for flow, m in ((F.muon_flow(TAU1, (-1, 4)), M), (F.muon_flow(TAU1, (4, -1)), M), (F.muon_flow(TAU1, (-1, 3)),
                                                                                     [np.inf, *M[1:]])):
        assert np.isnan(flow.field(PROBLEM)(0.7, np.array([X, m]))).all()
    with pytest.raises(ValueError, match="problem must have 8 unknowns"):
        F.muon_flow(TAU1, (2, 4)).field(PROBLEM)


# Shampoo -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sides", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("corrected", [True, False])
def test_shampoo(shape, sides, corrected):
    flow = F.shampoo_flow(TAU1, shape, eps=EPS, bias_correction=corrected, sides=sides, drift=DRIFT)
    g, exponent, q = PROBLEM.grad(X).reshape(shape), -0.25 if all(sides) else -0.5, 0.35
    averages = [definite(n) for n, kept in zip(shape, sides) if kept]
    squares = [s for s, kept in zip((g @ g.T, g.T @ g), sides) if kept]
    for weight, means in ((q, averages), (0.0, [0 * a for a in averages])):  # at q = 0 those of the first gradient
        over = [a / weight if weight else s for a, s in zip(means, squares)] if corrected else means
        roots = [power(a, exponent, EPS) for a in over]
        left, right = roots[0] if sides[0] else np.eye(shape[0]), roots[-1] if sides[1] else np.eye(shape[1])
        slopes = packed(flow.rows, (-left @ g @ right).ravel() - DRIFT * X, (1 - weight) / TAU1,
                        [(s - a) / TAU1 for s, a in zip(squares, means)])
        found = flow.field(PROBLEM)(0.7, packed(flow.rows, X, weight, means))
        np.testing.assert_allclose(found, slopes, rtol=1e-10, atol=1e-13)
    entries = sum(n * n for n, kept in zip(shape, sides) if kept)
    assert flow.rows == 2 + -(-entries // 6)


@pytest.mark.parametrize("corrected", [True, False])
def test_diagonal_shampoo(corrected):
    flow, g = F.shampoo_flow(TAU1, eps=EPS, bias_correction=corrected, drift=DRIFT), PROBLEM.grad(X)
    for q, v in ((0.35, V), (0.35, -1e-9 * V), (0.0, 0 * V)):
        square = np.maximum(v, 0) if not corrected else np.maximum(v, 0) / q if q else g**2
        found = flow.field(PROBLEM)(0.7, packed(3, X, v, q, []))
        expected = packed(3, -g / np.sqrt(square + EPS) - DRIFT * X, (g**2 - v) / TAU1, (1 - q) / TAU1, [])
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    rest = F.shampoo_flow(TAU1, bias_correction=False).field(PROBLEM)(0.0, packed(3, X, 0 * V, 0.0, []))
    assert not rest[0].any()


def test_shampoo_of_other_numbers():
    with pytest.raises(ValueError, match="problem must have 8 unknowns"):
        F.shampoo_flow(TAU1, (2, 4)).field(PROBLEM)
    for shape, sides, rows in (((2, 2), (True, True), 4), ((1, 6), (True, True), 9), ((1, 6), (True, False), 3)):
        assert F.shampoo_flow(TAU1, shape, sides=sides).rows == rows


# SOAP ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sides", [(True, True), (True, False), (False, True)])
def test_soap(shape, sides):
    flow = F.soap_flow(TAU1, TAU2, TAU3, shape, eps=EPS, sides=sides, drift=DRIFT)
    g = PROBLEM.grad(X).reshape(shape)
    averages = [definite(n) for n, kept in zip(shape, sides) if kept]
    squares = [s for s, kept in zip((g @ g.T, g.T @ g), sides) if kept]
    cold = 0 * M, 0 * V, 0.0, 0.0, [0 * a for a in averages]  # then those of the first gradient
    for m, v, q1, q2, means in ((M, V, 0.35, 0.45, averages), (M, -1e-9 * V, 0.35, 0.45, averages), cold):
        bases = [np.linalg.eigh(a if a.any() else s)[1][:, ::-1] for a, s in zip(means, squares)]
        u, w = bases[0] if sides[0] else np.eye(shape[0]), bases[-1] if sides[1] else np.eye(shape[1])
        turned = u.T @ g @ w
        mean = u.T @ m.reshape(shape) @ w / q1 if q1 else turned
        root = np.sqrt(np.maximum(v, 0).reshape(shape) / q2) if q2 else abs(turned)
        slopes = packed(flow.rows, -(u @ (mean / (root + EPS)) @ w.T).ravel() - DRIFT * X, (g.ravel() - m) / TAU1,
                        (turned.ravel() ** 2 - v) / TAU2, (1 - q1) / TAU1, (1 - q2) / TAU2,
                        [(s - a) / TAU3 for s, a in zip(squares, means)])
        found = flow.field(PROBLEM)(0.7, packed(flow.rows, X, m, v, q1, q2, means))
        np.testing.assert_allclose(found, slopes, rtol=1e-9, atol=1e-12)


def test_soap_where_nothing_is_finite_or_nothing_there():
    flow = F.soap_flow(TAU1, TAU2, TAU3, (2, 3))
    state = packed(flow.rows, X, M, V, 0.35, 0.45, [definite(2), definite(3)])
    state[5, 1] = np.inf
    assert np.isnan(flow.field(PROBLEM)(0.7, state)).all()
    rest = flow.field(oo.problems.quadratic([0.0] * 6, x0=X))(0.0, packed(flow.rows, X, 0 * M, 0 * V, 0.0, 0.0, []))
    assert not rest[[0, 1, 2]].any()


# Dahlquist's equation ------------------------------------------------------------------------------


def test_the_test_equation_is_a_complex_product():
    c, z = np.array([0.3 - 1.1j, -2.0 + 0.7j, 0.4j]), np.array([0.9 + 0.2j, -0.3 + 0.5j, 1.4 - 0.6j])
    problem = F.linear_test_problem(c)
    found = F.linear_test_flow().field(problem)(0.7, z.view(float)[None])
    np.testing.assert_allclose(found[0].view(complex), c * z, rtol=1e-14)
    f, g = problem.value_and_grad(problem.x0)
    assert f == 0.0 and not g.any() and np.array_equal(problem.x0.view(complex), np.ones(3))


@pytest.mark.parametrize("wrong", [[[1.0, 2.0], [3.0, 4.0]], [], [np.nan], [np.inf + 0j], "ab", ["c"],
                                   np.ma.masked_array([1.0, 2.0], [True, False])], ids=str)
def test_coefficients_are_a_vector_of_numbers(wrong):
    with pytest.raises(ValueError, match="coefficients must be a vector of finite complex numbers"):
        F.linear_test_problem(wrong)
    assert F.linear_test_problem(2.0 - 1.0j).data.tolist() == [2.0, -1.0]
    assert F.linear_test_problem([1, 2]).data.tolist() == [1.0, 0.0, 2.0, 0.0]
