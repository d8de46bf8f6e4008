"""What the models at the edge need of a method and a problem: factor, memory, preconditioner, counted derivatives."""

import math

import numpy as np
import pytest
from cubics import METHODS, X0, cubic, symmetric

import odeopt as oo
from odeopt.studies.stability.averaged import Averaged, VanishingPreconditioner
from odeopt.studies.stability.products import Counted


def test_the_factor_of_an_oscillation_is_an_eigenvalue():
    """Of gradient descent s - 1 anywhere; of momentum minus the lesser root of w^2 - (1 + mu - lr c) w + mu, or
    sqrt(mu) while there are only complex ones; the derivative beside it."""
    problem, x0 = oo.problems.quadratic([1.0]), np.ones(1)
    descent = Averaged(oo.GradientDescent(0.1), problem, x0)
    for s in (-1.0, 0.3, 1.9, 7.99, 8.5):
        assert descent.factor(s) == pytest.approx((s - 1, 1.0), rel=1e-9)
    momentum = Averaged(oo.Momentum(0.1, momentum=0.6), problem, x0)

    def root(s):  # s is lr c/(1 - mu)
        b = 1 + 0.6 - 0.4 * s
        return -0.5 * (b - math.sqrt(b * b - 2.4)) if b * b > 2.4 else math.sqrt(0.6)

    for s in (0.02, 1.0, 3.0, 7.0, 8.0, 9.5, 20.0, 31.9):
        step = 1e-4
        slope = (root(s + step) - root(s - step)) / (2 * step)
        assert momentum.factor(s)[1] == pytest.approx(slope, rel=2e-2, abs=1e-6)
        assert momentum.factor(s)[0] == pytest.approx(root(s), rel=1e-4)


def test_where_the_memory_starts():
    """What a constant gradient leaves: -lr g/(1 - mu), g and g^2; after a run its averages without their bias."""
    problem = cubic(np.array([0.8, -1.1, 0.4, 0.6]), np.diag([2.0, 1.0, 0.5, 0.3]), np.zeros((4, 4, 4)))
    g = problem.grad(X0)
    velocity = Averaged(oo.Momentum(0.13, momentum=0.9), problem, X0).start
    x, s = X0.copy(), velocity.copy()
    oo.Momentum(0.13, momentum=0.9).kernel(10**6, oo.Momentum(0.13, momentum=0.9).p_for(x), x, g, s)
    np.testing.assert_allclose(s, velocity, rtol=1e-13)
    np.testing.assert_allclose(x - X0, -1.3 * g, rtol=1e-12)
    adam = METHODS["Adam"][0]
    system, names = Averaged(adam, problem, X0), [slot.name for slot in adam.slots]
    for row, expected in (("mean", g), ("square", g * g)):
        np.testing.assert_allclose(system.start[names.index(row)], expected, rtol=1e-12)
    assert system.square == names.index("square")
    np.testing.assert_allclose(system.v0, g * g, rtol=1e-14)
    for name in ("gradient descent", "momentum"):
        assert Averaged(METHODS[name][0], problem, X0).square is None
    scalar = Averaged(METHODS["scalar RMSprop"][0], problem, X0)
    np.testing.assert_allclose(scalar.v0, [g @ g], rtol=1e-14)


def test_the_memory_after_a_run():
    """RMSprop's and Adam's recursions, written out; the averages are divided by their weights."""
    problem = cubic(np.array([0.8, -1.1, 0.4, 0.6]), np.diag([2.0, 1.0, 0.5, 0.3]), np.zeros((4, 4, 4)))
    for name in ("RMSprop", "scalar RMSprop", "Adam"):
        optimizer = METHODS[name][0]
        system = Averaged(optimizer, problem, X0, warmup=6)
        x, m, v = X0.copy(), np.zeros(4), np.zeros(4)
        new1, new2 = (0.4, 0.25) if name == "Adam" else (1.0, 0.2)
        for k in range(1, 7):
            g = problem.grad(x)
            m, v = m + new1 * (g - m), v + new2 * ((g @ g if "scalar" in name else g * g) - v)
            if name == "Adam":
                x = x - 0.07 * (m / (1 - 0.6**k)) / (np.sqrt(v / (1 - 0.75**k)) + 0.02)
            else:
                x = x - 0.07 * g / np.sqrt(v + 0.02)
        np.testing.assert_allclose(system.x0, x, rtol=1e-12)
        names = [slot.name for slot in optimizer.slots]
        if name == "Adam":
            np.testing.assert_allclose(system.start[names.index("mean")], m / (1 - 0.6**6), rtol=1e-12)
            v = v / (1 - 0.75**6)
        np.testing.assert_allclose(system.v0, v[:1] if "scalar" in name else v, rtol=1e-12)


def test_a_mean_square_of_zero_that_eps_does_not_cover():
    system = Averaged(oo.RMSprop(0.1, eps=0.0), oo.problems.quadratic([1.0, 2.0]), np.ones(2))
    with pytest.raises(VanishingPreconditioner):
        system.preconditioner(np.array([0.0, 1.0]))
    p, slope = Averaged(oo.RMSprop(0.1, eps=0.3, eps_mode="outside"), oo.problems.quadratic([1.0, 2.0]),
                        np.ones(2)).preconditioner(np.array([0.0, 4.0]))
    np.testing.assert_allclose(p, [3.0, 23.0], rtol=1e-14)
    np.testing.assert_allclose(slope, [0.0, 2.5], rtol=1e-14)
    p, _ = Averaged(oo.RMSprop(0.1, eps=0.3), oo.problems.quadratic([1.0, 2.0]), np.ones(2)).preconditioner(
        np.array([-1e-9, 4.0]))  # below 0 by an integrator
    np.testing.assert_allclose(p, [0.3**0.5 * 10, 4.3**0.5 * 10], rtol=1e-14)


def test_derivatives_are_counted_and_differenced():
    """A Hessian product counts as two gradients, differenced or not."""
    third = symmetric(np.random.default_rng(3).standard_normal((4, 4, 4)))
    h = np.diag([2.0, 1.0, 0.5, 0.3]) + 0.1
    exact = cubic(np.array([0.8, -1.1, 0.4, 0.6]), h, third)
    plain = Counted(oo.Problem(exact.fun, exact.grad, x0=X0))
    known = Counted(exact)
    u, at = np.array([30.0, -10.0, 20.0, 40.0]), X0 + 0.3
    for problem in (known, plain):
        np.testing.assert_allclose(problem.grad(at), exact.grad(at))
        assert problem.count == 1
        np.testing.assert_allclose(problem.hessp(at, u), exact.hess(at) @ u, rtol=1e-8)
        assert problem.count == 3
        assert not problem.hessp(at, np.zeros(4)).any() and problem.count == 5
        np.testing.assert_allclose(problem.hess(at), exact.hess(at), rtol=1e-8, atol=1e-9)
    assert plain.count == 13 and (plain.hess(at) == plain.hess(at).T).all()
    bend = oo.Problem(lambda x: float(np.exp(x).sum()), np.exp, x0=[0.5])
    spacing = 6e-6 * 1.5
    error = Counted(bend).hessp(np.array([0.5]), np.ones(1))[0] / math.exp(0.5) - 1
    assert abs(error) < 2 * (spacing**2 / 6 + 2.3e-16 / spacing)
