"""The continuous models at the edge of stability against their equations, on cubics of which all is known."""

import math

import numpy as np
import pytest
from cubics import METHODS, X0, critical, cubic, followed, symmetric
from scipy.integrate import solve_ivp
from scipy.linalg import eigh

import odeopt as oo
from odeopt.spectrum import tracked_eigenpairs
from odeopt.studies.stability.averaged import Averaged
from odeopt.studies.stability.products import Counted
from odeopt.studies.stability.theories import THEORIES, critical_pairs, principal_axes, rkc_step

# Pairs, axes, steps ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [5, 20, 21, 40])
def test_critical_pairs_are_those_of_the_matrix_pencil(n):
    """H u = lambda P u, U'PU = 1: from nothing, and from those of a point nearby in a few products."""
    rng = np.random.default_rng(n)
    p, q = rng.uniform(0.5, 4.0, n), np.linalg.qr(rng.standard_normal((n, n)))[0]
    h = np.sqrt(p)[:, None] * (q * np.append([3.0, 2.2], rng.uniform(-1, 1, n - 2))) @ q.T * np.sqrt(p)
    h = 0.5 * (h + h.T)
    problem = Counted(oo.problems.quadratic(np.ones(n)))
    calls = []
    problem.hessp = lambda x, v: calls.append(1) or h @ v
    exact, vectors = eigh(h, np.diag(p))
    values, u = critical_pairs(problem, np.zeros(n), p, 2)
    np.testing.assert_allclose(values, exact[:-3:-1], rtol=1e-5)
    np.testing.assert_allclose(u.T @ (p[:, None] * u), np.eye(2), atol=1e-8)
    np.testing.assert_allclose(np.abs(np.sum(u * (p[:, None] * vectors[:, :-3:-1]), axis=0)), 1.0, rtol=1e-4)
    calls.clear()
    again, w = critical_pairs(problem, np.zeros(n), p, 2, vectors[:, :-3:-1] * [1.0, -2.0])
    np.testing.assert_allclose(again[0], exact[-1], rtol=1e-3)
    np.testing.assert_allclose(np.abs(np.sum(w[:, 0] * p * vectors[:, -1])), 1.0, rtol=1e-2)
    assert len(calls) == n if n <= 20 else len(calls) <= 8
    if n > 20:  # of two the first is to be accurate, of three the first two
        root = np.sqrt(p)
        for count in (2, 3):
            start = vectors[:, : -count - 1 : -1] + np.eye(count)[-1] * vectors[:, [3]]  # the last one is far off
            calls.clear()
            found = critical_pairs(problem, np.zeros(n), p, count, start)[0]
            cost = len(calls)
            calls.clear()
            start = start * root[:, None]
            expected = tracked_eigenpairs(lambda v: problem.hessp(0, v / root) / root, start, wanted=count - 1)[0]
            assert cost == len(calls) and np.array_equal(found, expected)


@pytest.mark.parametrize("size", [0.1, 1.9, 2.1, 16.0, 400.0])
def test_a_step_of_the_integrator_is_its_stability_polynomial(size):
    """R(z) = 1 - b T_s(w0) + b T_s(w0 + w1 z), b = T_s''/T_s'^2, w1 = T_s'/T_s'' at w0 = 1 + 2/(13 s^2) (Sommeijer,
    Shampine, Verwer 1998), with s - 1 the whole part of sqrt(1 + 1.54 h radius); and constants are integrated."""
    chebyshev, s = np.polynomial.Chebyshev, max(2, 1 + math.floor(math.sqrt(1 + 1.54 * size)))
    t, w0 = chebyshev.basis(s), 1 + 2 / (13 * s * s)
    b, w1 = t.deriv(2)(w0) / t.deriv(1)(w0) ** 2, t.deriv(1)(w0) / t.deriv(2)(w0)
    rates, h, pull, calls = np.array([0.0, 0.2, 0.7, 1.0]) * size / 0.4, 0.4, 0.3, []

    def field(y):
        calls.append(1)
        return -rates * y + pull

    y = rkc_step(field, np.array([1.0, 2.0, -0.5, 0.7]), h, size / h)
    growth = 1 - b * t(w0) + b * t(w0 - w1 * h * rates)
    rest = np.divide(pull, rates, where=rates > 0, out=np.zeros(4))
    np.testing.assert_allclose(y[1:], rest[1:] + growth[1:] * (np.array([2.0, -0.5, 0.7]) - rest[1:]), rtol=1e-9)
    assert y[0] == pytest.approx(1.0 + h * pull, rel=1e-12) and len(calls) == s and (abs(growth) <= 1).all()


def test_a_step_has_a_thousand_stages_at_most():
    calls = []
    rkc_step(lambda y: calls.append(1) or -y, np.ones(1), 1.0, 0.99 * 999**2 / 1.54)
    assert 990 < len(calls) <= 1000
    with pytest.raises(OverflowError):
        rkc_step(lambda y: -y, np.ones(1), 1.0, 1.01 * 1000**2 / 1.54)


@pytest.mark.parametrize("rows", [7, 600])
def test_principal_axes_are_those_of_the_singular_values(rows):
    rng = np.random.default_rng(0)
    columns = rng.standard_normal((rows, 5)) * [3.0, 0.1, 1.0, 2.0, 0.5]
    u, s, _ = np.linalg.svd(columns, full_matrices=False)
    axes = principal_axes(columns, 3)
    assert axes.shape == (rows, 3)
    np.testing.assert_allclose(axes @ axes.T, (u[:, :3] * s[:3] ** 2) @ u[:, :3].T, atol=1e-10)


# The flows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_the_average_motion(name):
    """P^-1 g, and v' = (1 - beta)/beta (g^2 - v)."""
    optimizer, problem, v, p, u, limit, rate, third = critical(name, (0.9, 0.6, 0.3, 0.1), 2)
    flow = followed("gradient flow", optimizer, problem, v, 2)
    assert flow.system.limit == pytest.approx(limit, rel=1e-12) and flow.system.rate == pytest.approx(rate, rel=1e-12)
    np.testing.assert_allclose(flow.values, [0.9 * limit, 0.6 * limit], rtol=1e-9)
    np.testing.assert_array_equal(flow.w, X0)
    np.testing.assert_array_equal(flow.memory, v)
    y = np.concatenate([X0 + 0.1, 1.3 * v])
    g = problem.grad(y[:4])
    force, kick = np.array([0.2, -0.1, 0.4, 0.3]), np.array([0.3, 0.2, 0.1, 0.5])
    square = g * g + kick
    expected = np.concatenate([-(g + force) / (METHODS[name][1](1.3 * v) if v.size else p),
                               rate * ((square.sum() if v.size == 1 else square) - 1.3 * v) if v.size else []])
    np.testing.assert_allclose(flow.field(y, force, kick), expected, rtol=1e-12)
    np.testing.assert_array_equal(flow.field(y), flow.field(y, 0.0 * force, 0.0 * kick))
    # The radius is that of the Jacobian and not much more: each stage costs a gradient.
    here = np.concatenate([X0, v])
    jacobian = np.array([(flow.field(here + e) - flow.field(here - e)) / 2e-6 for e in 1e-6 * np.eye(here.size)])
    largest = np.abs(np.linalg.eigvals(jacobian)).max()
    assert largest <= flow.radius() <= 1.1 * (0.9 * limit) + 0.11 + rate


def test_the_radius_where_nothing_is_steep():
    flow = THEORIES["gradient flow"](Averaged(oo.GradientDescent(0.1), oo.problems.quadratic([0.1, 0.2]), np.ones(2)),
                                     np.ones(2), 1)
    assert flow.radius() == pytest.approx(0.65)  # enough to see a curvature of .6 come


def test_eigenvalues_are_looked_at_after_five_steps():
    """Of a quadratic in which they change: those of the place where they were looked at."""
    _, steep, *_, third = critical("gradient descent", (0.4, 0.2, 0.1, 0.05), 1)
    problem = cubic(steep.grad(X0), steep.hess(X0), 0.05 * third)
    flow = followed("gradient flow", oo.GradientDescent(0.13), problem, np.zeros(0), 2)
    places = []
    for _ in range(11):
        places.append(flow.w.copy())
        flow.advance(1.0)
        at = places[5 * ((len(places) - 1) // 5)]
        np.testing.assert_allclose(flow.values, 0.13 * np.linalg.eigvalsh(problem.hess(at))[:-3:-1], rtol=1e-6)
    assert flow.longest == 4.0


@pytest.mark.parametrize(("name", "coefficient"), [("gradient descent", 0.5), ("momentum", 0.5 * 1.6 / 0.4)])
def test_the_modified_flow_in_steps(name, coefficient):
    """w' = -h (g + coefficient h H g), whose radius adds the second part's."""
    optimizer, problem, v, p, *_ = critical(name, (0.9, 0.6, 0.3, 0.1), 2)
    flow = THEORIES["modified flow"](Averaged(optimizer, problem, X0), X0, 2)
    at, before = X0 + 0.1, flow.problem.count
    g = problem.grad(at)
    np.testing.assert_allclose(flow.field(at), -(g + coefficient / p * (problem.hess(at) @ g)) / p, rtol=1e-10)
    assert flow.problem.count == before + 3 and flow.memory.size == 0
    s = flow.values[0]
    assert s + coefficient * s * s < flow.radius() == pytest.approx(1.1 * s + 0.1 + coefficient * s * s, rel=1e-9)


@pytest.mark.parametrize("name", ["RMSprop", "Adam"])
def test_the_modified_flow_divides_by_the_present_gradient(name):
    optimizer, problem, *_ = critical(name, (0.9, 0.6, 0.3, 0.1), 2)
    flow = THEORIES["modified flow"](Averaged(optimizer, problem, X0), X0, 1)
    flow.y = X0 + 0.1
    np.testing.assert_allclose(flow.memory, problem.grad(X0 + 0.1) ** 2, rtol=1e-12)
    scalar = Averaged(METHODS["scalar RMSprop"][0], problem, X0)
    flow.system = scalar
    np.testing.assert_allclose(flow.memory, [problem.grad(X0 + 0.1) @ problem.grad(X0 + 0.1)], rtol=1e-12)


def test_the_principal_flow_along_each_eigenvector():
    """On a quadratic: log|1 - s| for the pairs that are tracked, -(s + s^2/2) for the others; near s = 1 the
    logarithm is that of a hundredth, near 0 its limit."""
    for eigenvalues in ((2.5, 1.7, 0.4, 0.2), (1.004, 0.9, 0.3, 0.1), (1.0, 0.99, 0.98, -0.2),
                        (1e-9, 1e-10, -0.1, -0.3), (1.1, 0.0, 0.0, -0.4)):
        s = np.array(eigenvalues)
        optimizer, problem, _, p, u, *_ = critical("gradient descent", s / 2, 4)
        problem = cubic(problem.grad(X0), problem.hess(X0), np.zeros((4, 4, 4)))
        flow = followed("principal flow", optimizer, problem, np.zeros(0), 2)
        g = problem.grad(X0 + 0.1)
        rate = np.where(np.arange(4) < 2, np.log(np.maximum(np.abs(1 - s), 0.01)), -(s + s * s / 2))
        rate = np.divide(rate, s, where=np.abs(s) > 1e-8, out=np.full(4, -1.0))
        np.testing.assert_allclose(flow.field(X0 + 0.1), u @ (rate * (u.T @ g)), rtol=1e-6)
        first = s[0] if s[0] > 0.5 else 0.5
        pulled = np.abs(rate[:2] * s[:2]).max()
        assert flow.radius() == pytest.approx(1.1 * first + 0.1 + max(pulled, 2.0), rel=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_the_two_gradient_flow_and_its_oscillation(name):
    """The mean of two gradients and of their squares; the oscillation takes the factor of the curvature it feels."""
    optimizer, problem, v, p, u, limit, rate, third = critical(name, (1.1, 0.8, 0.3, 0.1), 2)
    flow = followed("two-gradient flow", optimizer, problem, v, 2)
    a = flow.a = np.array([0.3, -0.2])
    shift = flow.u @ a
    one, other = problem.grad(X0 + shift), problem.grad(X0 - shift)
    square = 0.5 * (one**2 + other**2)
    expected = -0.5 * (one + other) / p
    if v.size:
        expected = np.append(expected, rate * ((square.sum() if v.size == 1 else square) - v))
    np.testing.assert_allclose(flow.field(flow.y), expected, rtol=1e-12)
    s = np.array([1.1, 0.8]) * limit
    felt = (s * a) @ a / (a @ a)
    factor, slope = flow.system.factor(felt)
    flow._multiply()  # of a cubic the difference of the two gradients is 2 H u
    np.testing.assert_allclose(flow.a, factor * a + slope * (s - felt) * a, rtol=1e-8)


def test_where_the_two_gradient_flow_begins():
    """What is above half the limit oscillates about the valley's axis, which lies u'g/s away; the centre is there."""
    optimizer, problem, v, p, u, *_ = critical("RMSprop", (0.9, 0.52, 0.48, 0.1), 2)
    g = problem.grad(X0)
    system = Averaged(optimizer, cubic(g + 0.7 * p * u[:, 0] - 0.4 * p * u[:, 1] + 0.9 * p * u[:, 2], problem.hess(X0),
                                       np.zeros((4, 4, 4))), X0)
    system.v0 = v
    flow = THEORIES["two-gradient flow"](system, X0, 3)
    along = np.sum(u[:, :3] * p[:, None] * flow.u, axis=0)  # the signs of the vectors
    np.testing.assert_allclose(along * flow.a, [0.7 / 1.8, -0.4 / 1.04, 0.0], atol=1e-9)
    np.testing.assert_allclose(flow.w, X0 - flow.u @ flow.a, rtol=1e-12)


def test_the_two_gradient_flow_on_a_quadratic():
    """Gradient descent multiplies by 1 - s: the oscillation that of step k + 1 from k + 1/2 on, the centre's other
    components as gradient flow; an oscillation that has died out is held at round-off."""
    s, x0 = np.array([1.5, 1.2, 0.05]), np.array([0.7, -0.4, 0.9])
    flow = THEORIES["two-gradient flow"](Averaged(oo.GradientDescent(0.1), oo.problems.quadratic(s / 0.1), x0), x0, 2)
    flow.advance(0.5)
    for k in range(55):
        size = np.abs(flow.u @ flow.a)
        exact = np.abs(x0 * (1 - s) ** (k + 1))
        if k < 15:
            np.testing.assert_allclose(size[:2], exact[:2], rtol=1e-4)
            np.testing.assert_allclose(flow.w, [0, 0, 0.9 * np.exp(-0.05 * (k + 0.5))], rtol=1e-4, atol=1e-12)
        flow.advance(0.4)  # not yet a step
        np.testing.assert_allclose(np.abs(flow.u @ flow.a), size, rtol=1e-9)
        flow.advance(0.6)
    least = 1e-14 * (1 + np.linalg.norm(flow.w))
    assert (np.abs(flow.u @ flow.a)[:2] < least).all() and (flow.a != 0).all()
    flow.a = np.array([0.0, -1e-30])
    flow._multiply()
    least = 1e-14 * (1 + np.linalg.norm(flow.w))
    assert (np.abs(flow.u @ flow.a)[:2] > 0.1 * least).all()
    assert flow.a[0] > 0 > flow.a[1]


@pytest.mark.parametrize("name", ["gradient descent", "momentum"])
def test_the_slopes_of_the_rod(name):
    """z' = F - F'F/2 and Sigma' + 2 Sigma = (F+ F+' + F- F-')/4, F+- the method's steps at the rod's ends."""
    optimizer, problem, *_ = critical(name, (0.9, 0.6, 0.3, 0.1), 2)
    flow = THEORIES["rod flow"](Averaged(optimizer, problem, X0), X0, 1)
    z = flow.z + np.arange(flow.z.size).reshape(flow.z.shape) / 100
    d = 0.3 * np.cos(np.arange(flow.z.size))
    ends = [flow.step(z + sign * d.reshape(z.shape)).ravel() for sign in (1, -1)]
    mean = 0.5 * (ends[0] + ends[1])
    units = np.eye(z.size).reshape(-1, *z.shape)
    jacobian = np.array([(flow.step(z + e) - flow.step(z - e)).ravel() / 2 for e in units]).T
    slope, source = flow.slopes(z, d[:, None])
    np.testing.assert_allclose(slope.ravel(), mean - 0.5 * jacobian @ mean, rtol=1e-4)
    np.testing.assert_allclose(source @ source.T, sum(np.outer(e, e) for e in ends) / 4, rtol=1e-9, atol=1e-13)


def test_the_rod_flow_is_its_equation():
    """With a rod in each direction, for gradient descent on a cubic: m = -lr (g + T:Sigma/2), z' = m + lr H m/2,
    Sigma' = (m m' + lr^2 H Sigma H)/2 - 2 Sigma, from the middle of the first step on."""
    lr, rng = 0.13, np.random.default_rng(1)
    h, third = np.diag([9.0, 2.0, 1.0, -1.0]), symmetric(rng.standard_normal((4, 4, 4)))
    problem = cubic(np.array([0.8, -1.1, 0.4, 0.6]), h, third)
    flow = THEORIES["rod flow"](Averaged(oo.GradientDescent(lr), problem, X0), X0, 3)
    first = -lr * problem.grad(X0)
    np.testing.assert_allclose(flow.w, X0 + 0.5 * first, rtol=1e-14)
    np.testing.assert_allclose(flow.columns[:, 0], 0.5 * first, rtol=1e-14)

    def field(_, y):
        z, sigma = y[:4], y[4:].reshape(4, 4)
        bend = lr * problem.hess(z)
        m = -lr * (problem.grad(z) + 0.5 * np.einsum("ijk,jk->i", third, sigma))
        return np.concatenate([m + 0.5 * bend @ m, (0.5 * (np.outer(m, m) + bend @ sigma @ bend) - 2 * sigma).ravel()])

    start = np.concatenate([flow.w, np.outer(0.5 * first, 0.5 * first).ravel()])
    end = solve_ivp(field, (0.0, 1.5), start, rtol=1e-10, atol=1e-12).y[:, -1]
    flow.advance(0.3)
    np.testing.assert_allclose(flow.w, X0 + 0.5 * first, rtol=1e-14)  # there already
    flow.advance(0.25)
    for _ in range(29):
        flow.advance(0.05)
    np.testing.assert_allclose(flow.w, end[:4], rtol=1e-4)
    np.testing.assert_allclose(flow.columns @ flow.columns.T, end[4:].reshape(4, 4), rtol=2e-3, atol=1e-6)
    before = flow.problem.count
    flow.advance(1.0)
    assert flow.problem.count - before == 3 * 2 * (2 + 2 * 4)  # three pieces of two slopes
    assert flow.memory.size == 0 and flow.longest == 1.0


def test_a_rod_has_six_columns_and_the_memory_of_the_method():
    x0 = np.linspace(0.5, 1.2, 9)
    problem = oo.problems.quadratic(np.linspace(1, 9, 9))
    for optimizer, rows, memory in ((oo.GradientDescent(0.1), 9, 0), (METHODS["RMSprop"][0], 9, 9),
                                    (METHODS["scalar RMSprop"][0], 9, 1), (METHODS["Adam"][0], 18, 9)):
        flow = THEORIES["rod flow"](Averaged(optimizer, problem, x0), x0, 2)
        for _ in range(5):
            flow.advance(1.0)
        assert flow.columns.shape == (rows, 6) and flow.memory.size == memory
    square = [slot.role for slot in METHODS["Adam"][0].slots].index("square")
    np.testing.assert_array_equal(flow.memory, flow.z[1 + square])
