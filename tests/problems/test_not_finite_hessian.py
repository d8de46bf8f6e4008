"""A Hessian that is not finite: runs stop and studies say so; no method stands still in silence."""

import numpy as np
import pytest

import odeopt as oo


def _bowl(dim=2, **more):
    return oo.Problem(lambda x: float(x @ x), lambda x: 2 * x, lambda x: np.full((dim, dim), np.nan), dim=dim, **more)


@pytest.mark.parametrize("flow, scheme", [
    (oo.flows.gradient_flow(), oo.schemes.implicit_euler), (oo.flows.gradient_flow(),
                                                            oo.schemes.linearly_implicit_euler),
    (oo.flows.newton_flow(), oo.schemes.rk4),
])  # fmt: skip
@pytest.mark.parametrize("dim", [2, 401])  # a matrix is eliminated, or conjugate gradients
def test_a_step_with_such_a_hessian_is_not_finite(flow, scheme, dim):
    run = oo.record(oo.Discretization(flow, scheme, 0.1), _bowl(dim), steps=3)
    assert run.status == "diverged" and run.final["k"] == 1


def test_an_infinite_curvature_is_no_step_of_length_zero():
    steep = oo.Problem(lambda x: float(x @ x), lambda x: 2 * x, hessp=lambda x, v: np.full(2, np.inf), dim=2)
    run = oo.record(oo.Discretization(oo.flows.gradient_flow(), oo.schemes.implicit_euler, 0.1), steep, steps=3)
    assert run.status == "diverged"


@pytest.mark.parametrize("call, words", [
    (lambda p: p.curvature([1.0, 1.0]), "x must be a point where the Hessian of problem 'bowl' is finite"),
    (lambda p: oo.step_control(p, t_end=0.1, steps=50), "Hessian of problem 'bowl' is finite"),
    (lambda p: oo.central_flow(oo.GradientDescent(0.1), p, steps=3), "x0 must be where the central flow can begin"),
    (lambda p: oo.basins(oo.GradientDescent(0.1), p, resolution=3, steps=3), "t_end must be given where the Hessian"),
    (lambda p: oo.studies.search.suggest.suggest(oo.GradientDescent, p), "Hessian of problem 'bowl' is finite"),
    (lambda p: oo.minimize(p.fun, [1.0, 1.0], jac=p.grad, hess=p.hess, method="gd"), "lr='auto' needs a curvature"),
])
def test_what_needs_it_finite_says_so(call, words):
    with pytest.raises(ValueError, match=words):
        call(_bowl(name="bowl", minima=[[0.0, 0.0], [1.0, 1.0]], window=((-1, 1), (-1, 1))))


def test_it_is_returned_as_it_is():
    assert np.isnan(_bowl().hess([1.0, 1.0])).all()
