"""The largest eigenvalues of H and P^-1 H along a run: accuracy, what they cost, and where they end."""

import numpy as np
import pytest

import odeopt as oo
from odeopt.spectrum import largest_eigenpairs
from odeopt.studies.stability import sharpness


@pytest.mark.parametrize("optimizer", [oo.GradientDescent(0.2), oo.Adam(0.01), oo.RMSprop(0.01, form="scalar")])
def test_sharpness_along_a_run_is_that_of_the_dense_hessian(optimizer):
    problem = oo.problems.digits_network(width=2, images=40)
    study = sharpness(optimizer, problem, steps=40, every=10, count=2)
    run = oo.record(optimizer, problem, steps=40, every=10, memory=True)
    assert study.limit == pytest.approx(optimizer.stability_limit().value / optimizer.lr)
    for i in (1, 4):
        h, p = problem.hess(run.x[i]), np.ones(problem.dim)
        if isinstance(optimizer, oo.Adam):
            p = np.sqrt(run.memory[i, 1] / (1 - optimizer.beta2 ** run.k[i])) + optimizer.eps
        elif isinstance(optimizer, oo.RMSprop):
            p = p * np.sqrt(run.memory[i, 0, 0] + optimizer.eps)
        np.testing.assert_allclose(study.hessian[i], np.linalg.eigvalsh(h)[-1:-3:-1], rtol=2e-3)
        dense = np.linalg.eigvalsh(h / np.sqrt(np.outer(p, p)))[-1:-3:-1]
        np.testing.assert_allclose(study.preconditioned[i], dense, rtol=2e-3)


def test_sharpness_without_hessian_products_says_so():
    problem = oo.Problem(lambda x: x @ x + x[0] ** 4, lambda x: 2 * x + 4 * np.array([x[0] ** 3, 0.0]), dim=2)
    study = sharpness(oo.GradientDescent(0.01), problem, [1.0, 1.0], steps=3, every=1)
    assert study.hessian[0, 0] == pytest.approx(14, rel=1e-6) and "differences" in study.message


@pytest.mark.parametrize(("optimizer", "every"), [(oo.GradientDescent(0.3), 50), (oo.RMSprop(1e-3), 100),
                                                  (oo.Adam(1e-3), 100)])
def test_the_network_costs_less_than_its_run(optimizer, every):
    """In gradients, and a Hessian product takes 1.8 times as long as one: so a run is less than twice as long. The
    eigenvalues are those that Lanczos iteration finds to 1e-6."""
    problem = oo.problems.digits_network()
    study = sharpness(optimizer, problem, steps=1000)
    assert np.array_equal(np.diff(study.k), np.full(1000 // every, every)) and study.message == ""
    assert 0.1 < study.gradients < 0.8
    run = oo.record(optimizer, problem, steps=1000, every=500, memory=True)
    for i, k in ((1, 500), (2, 1000)):
        exact = largest(problem, run.x[i], preconditioner(optimizer, run.memory[i], k))
        assert study.preconditioned[k // every, 0] == pytest.approx(exact, rel=1e-3)


def preconditioner(optimizer, memory, k):
    if isinstance(optimizer, oo.Adam):
        return np.sqrt(memory[1] / (1 - optimizer.beta2**k)) + optimizer.eps
    return np.sqrt(memory[0] + optimizer.eps) if isinstance(optimizer, oo.RMSprop) else 1.0


def largest(problem, x, p):
    root = np.sqrt(p)
    return largest_eigenpairs(lambda v: problem.hessp(x, v / root) / root, problem.dim, tolerance=1e-6)[0][0]


def linear(dim, curvature=1.0):
    """The sum of x, with ``curvature`` I for its Hessian, which is not finite where an x_i is .5 or less."""
    return oo.Problem(lambda x: float(x.sum()), np.ones_like, dim=dim, x0=np.ones(dim),
                      hessp=lambda x, v: np.where(x > 0.5, curvature * v, np.nan))


@pytest.mark.parametrize("dim", [2, 30])
@pytest.mark.parametrize("optimizer", [oo.GradientDescent(0.1), oo.Adam(0.1), oo.RMSprop(0.1, bias_correction=False)])
def test_a_hessian_that_is_not_finite_ends_it(optimizer, dim):
    study = sharpness(optimizer, linear(dim), steps=20, every=3)
    run = oo.record(optimizer, linear(dim), steps=20, every=3)
    ends = int(np.argmin(run.x[:, 0] > 0.5))
    assert 0 < ends < len(run) and study.k.tolist() == run.k[:ends].tolist()
    np.testing.assert_allclose(study.hessian, np.ones((ends, 1)), rtol=1e-9)
    assert study.message == f"ended at step {run.k[ends]}, where the Hessian is not finite"
    assert study.message in study.headline()
    with pytest.raises(ValueError, match="x0 must be where the sharpness can be measured, and the Hessian is not fin"):
        sharpness(optimizer, linear(dim), 0.4 * np.ones(dim), steps=3)


def test_no_curvature_at_all():
    """ARPACK does not begin with the operator 0."""
    study = sharpness(oo.GradientDescent(0.01), linear(30, 0.0), steps=10, every=5, count=2)
    assert (study.hessian == 0).all() and study.hessian.shape == (3, 2) and study.message == ""


def test_as_many_eigenvalues_as_variables_and_not_more():
    problem = oo.problems.quadratic(np.arange(1.0, 31.0))
    study = sharpness(oo.GradientDescent(0.01), problem, np.ones(30), steps=4, every=2, count=30)
    np.testing.assert_allclose(study.hessian, np.tile(np.arange(30.0, 0.0, -1), (3, 1)), rtol=1e-9)
    with pytest.raises(ValueError, match="count must be at most 30, got 31"):
        sharpness(oo.GradientDescent(0.01), problem, count=31)


def test_a_step_above_the_limit_diverges_and_says_so():
    study = sharpness(oo.GradientDescent(3.0), oo.problems.quadratic(np.ones(30)), np.ones(30), steps=2000)
    assert (study.preconditioned > study.limit).all() and "diverged at step" in study.message


def test_a_mean_square_of_zero_ends_it():
    """RMSprop with eps = 0, whose second coordinate never moves: nothing divides there."""
    study = sharpness(oo.RMSprop(0.01, eps=0.0), oo.problems.quadratic([1.0, 2.0]), [1.0, 0.0], steps=10, every=2)
    assert study.k.tolist() == [0] and study.message.startswith("ended at step 2, where the running mean square has an")
