"""Modified flows: orders measured from the slow manifold, and the coefficients of the literature."""

import dataclasses
import math

import numpy as np
import pytest

import odeopt as oo
from odeopt.optimizers import Adam, AdamW, GradientDescent, Momentum, NAdam, Nesterov, RMSprop
from odeopt.studies.order.modified import slow_manifold_start

BOWL = oo.problems.sine_bowl()
VALLEY = oo.problems.log_cosh_valley(5.0)

SMOOTH = [
    (GradientDescent(0.05), (1, 2, 3)),
    (GradientDescent(0.05, weight_decay=0.5), (1, 2, 3)),
    (Momentum(0.02, momentum=0.5), (1, 2)),
    (Momentum(0.02, momentum=0.5, form="torch"), (1, 2)),
    (Momentum(0.04, momentum=0.5, form="ema"), (1, 2)),
    (Nesterov(0.02, momentum=0.5), (1, 2)),
    (RMSprop(0.01, decay=0.5, eps=0.5), (1, 2)),
    (RMSprop(0.01, decay=0.8, eps=0.5, eps_mode="outside", bias_correction=True), (1, 2)),
    (Adam(0.01, beta1=0.5, beta2=0.7, eps=0.5), (1, 2)),
    (Adam(0.01, beta1=0.7, beta2=0.5, eps=0.5, eps_mode="inside"), (1, 2)),
    (NAdam(0.01, beta1=0.5, beta2=0.7, eps=0.5, momentum_decay=None), (2,)),
    (Momentum(0.02, momentum=0.5, form="torch", dampening=0.3, weight_decay=0.5), (2,)),
    (Momentum(0.02, momentum=0.5, form="torch", dampening=0.3, weight_decay=0.5, weight_decay_mode="decoupled"), (2,)),
    (Momentum(0.04, momentum=0.5, form="ema", weight_decay=0.5, weight_decay_mode="decoupled"), (1, 2)),
    (Nesterov(0.02, momentum=0.5, weight_decay=0.5), (2,)),
    (RMSprop(0.01, decay=0.5, eps=0.5, weight_decay=0.5), (2,)),
    (RMSprop(0.01, decay=0.5, eps=0.5, momentum=0.4, weight_decay=0.5), (1, 2)),
    (RMSprop(0.01, decay=0.7, eps=0.5, momentum=0.4, nesterov=True, eps_mode="outside"), (2,)),
    (AdamW(0.01, beta1=0.5, beta2=0.7, eps=0.5, weight_decay=0.5), (1, 2)),
    (Adam(0.01, beta1=0.5, beta2=0.7, eps=0.5, eps_mode="inside", weight_decay=0.5), (2,)),
]


@pytest.mark.parametrize(("opt", "order"), [(o, q) for o, orders in SMOOTH for q in orders],
                         ids=lambda v: v if isinstance(v, int) else f"{v.key}")
def test_iterates_follow_the_modified_flow_to_its_order(opt, order):
    """Both sides: order q of the flow of order q, and no better of the flow of order q - 1."""
    for problem in (BOWL, VALLEY):
        study = oo.modified_convergence(opt, problem, levels=7, order=order)
        assert study.certified and study.start == "slow manifold", study


def test_cold_memory_hides_the_second_order():
    opt = Momentum(0.02, momentum=0.5)
    errors = []
    for f in (16, 32, 64):
        finer = dataclasses.replace(opt, lr=opt.lr / f)
        flow = oo.modified_flow(finer)
        run = oo.record(finer, BOWL, steps=64 * f)
        errors.append(np.linalg.norm(run.x - oo.reference(flow, BOWL, t_end=64 * f * flow.h * (1 + 1e-12))(
            run.k * flow.h), axis=1).max())
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all(np.abs(slopes - 1) < 0.1)


def test_coefficients_agree_with_the_papers():
    """Barrett, Dherin (1/4); Ghosh et al. ((1 + mu)/(4 (1 - mu)) in h = lr/(1 - mu)); Cattaneo et al. (-990)."""
    gd = oo.modified_flow(GradientDescent(0.1))
    assert gd.coefficient == 0.1 / 4 and gd.penalty == "|g|^2" and gd.h == 0.1
    ball = oo.modified_flow(Momentum(0.01, momentum=0.9))
    assert math.isclose(ball.coefficient, 0.1 / 4 * 1.9 / 0.1) and math.isclose(ball.h, 0.1)
    ahead = oo.modified_flow(Nesterov(0.01, momentum=0.9))
    # x' = -B[g + s B (B (1 + mu)/2 - mu) H g] in the time k s, B = 1/(1 - mu)
    assert math.isclose(ahead.coefficient, 0.5 * 0.01 * 10 * (10 * 1.9 / 2 - 0.9))
    assert math.isclose(oo.modified_flow(Adam(1e-3)).coefficient, -990e-3)
    assert abs(oo.modified_flow(Adam(1e-3, beta1=0.9, beta2=0.9)).coefficient) < 1e-18
    assert math.isclose(oo.modified_flow(RMSprop(1e-3, decay=0.9)).coefficient, 0.5e-3 * (1 - 19))
    # A buffer of quotients holds both lags back: k1 = 19 and k2 = 19 + 19 - 1, so k1 - k2 is -18 again
    heavy = oo.modified_flow(RMSprop(1e-3, decay=0.9, momentum=0.9))
    assert math.isclose(heavy.h, 1e-2) and math.isclose(heavy.coefficient, 0.5e-2 * (19 - 37))
    assert math.isclose(oo.modified_flow(Momentum(0.01, 0.9, 0.5, form="torch")).h, 0.05)
    assert math.isnan(oo.modified_flow(AdamW(1e-3)).coefficient)


def test_second_order_field_is_the_gradient_of_the_regularised_objective():
    """-(f + c |g|^2)' by differences of the objective itself."""
    flow = oo.modified_flow(GradientDescent(0.2))
    x, d = np.array([0.7, -0.4]), 1e-5

    def regularised(y):
        f, g = BOWL.value_and_grad(y)
        return f + flow.coefficient * g @ g

    slope = [(regularised(x + d * e) - regularised(x - d * e)) / (2 * d) for e in np.eye(2)]
    assert np.allclose(flow.field(BOWL)(0.0, x[None])[0], -np.array(slope), atol=1e-9)


def test_drift_keeps_the_field_a_gradient():
    """-(1 + h drift/2)(f + drift |x|^2/2) - (c/2)(|g|^2 + 2 drift (x.g - f)), differentiated by differences."""
    flow = oo.modified_flow(Momentum(0.1, momentum=0.5, weight_decay=0.6, weight_decay_mode="decoupled"))
    drift = flow.constants["drift"]
    assert math.isclose(drift, 0.3) and math.isclose(flow.h, 0.2)
    x, d = np.array([0.7, -0.4]), 1e-5

    def potential(y):
        f, g = BOWL.value_and_grad(y)
        return (1 + flow.h * drift / 2) * (f + drift * y @ y / 2) + flow.coefficient * (g @ g + 2 * drift * (y @ g - f))

    slope = [(potential(x + d * e) - potential(x - d * e)) / (2 * d) for e in np.eye(2)]
    assert np.allclose(flow.field(BOWL)(0.0, x[None])[0], -np.array(slope), atol=1e-9)


def test_third_derivative_by_differences_is_exact_to_eleven_digits():
    """On f = sum x^4/4: H H g = 9 x^7 and f'''(g, g) = 6 x x^6."""
    problem, h = oo.problems.quartic(3), 0.1
    x = np.array([0.9, -1.3, 0.2])
    got = oo.modified_flow(GradientDescent(h), 3).field(problem)(0.0, x[None])[0]
    exact = -(x**3 + h / 2 * 3 * x**5 + h**2 * (9 * x**7 / 3 + 6 * x**7 / 12))
    assert np.allclose(got, exact, rtol=1e-11)


def test_python_problem():
    plain = oo.Problem(lambda x: float(np.cosh(x).sum()), lambda x: np.sinh(x), lambda x: np.diag(np.cosh(x)), dim=2,
                       x0=[1.0, -0.5])
    x = np.array([[0.4, 1.1]])
    for order in (2, 3):
        got = oo.modified_flow(GradientDescent(0.1), order).field(plain)(0.0, x)[0]
        s, c = np.sinh(x[0]), np.cosh(x[0])
        third = 0.1**2 * (c * c * s / 3 + s * s * s / 12) if order == 3 else 0.0
        assert np.allclose(got, -(s + 0.05 * c * s + third), rtol=1e-11)


def test_slow_manifold_is_where_the_iterates_end():
    """From a cold start the memory comes to the manifold, up to the terms of O(h^2) that the flow leaves out."""
    off = []
    for lr in (0.004, 0.002, 0.001):
        opt = Momentum(lr, momentum=0.5)
        run = oo.record(opt, BOWL, steps=60, memory=True)
        settled = slow_manifold_start(opt, BOWL, run.x[-1], oo.modified_flow(opt))
        off.append(np.linalg.norm(settled - run.memory[-1]) / np.linalg.norm(settled))
    assert off[0] < 2e-4 and off[0] > 3 * off[1] and off[1] > 3 * off[2]


def test_flow_says_what_it_is(tmp_path):
    flow = oo.modified_flow(Adam(0.01, eps=1e-3))
    assert "modified Adam" in repr(flow) and "k1=19" in repr(flow)
    study = oo.modified_convergence(GradientDescent(0.05), BOWL, levels=4)
    study.save(tmp_path / "m.npz")
    assert repr(oo.Convergence.load(tmp_path / "m.npz")) == repr(study)


def blind():
    return oo.Problem(lambda x: float(x @ x) / 2, lambda x: x, dim=2)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: oo.modified_flow(oo.Adagrad(0.1)), "optimizer must be one whose page has"),
    (lambda: oo.modified_flow(Momentum(0.1), 3), r"order must be one of \(1, 2\) for momentum"),
    (lambda: oo.modified_flow(oo.AMSGrad(0.1)), "optimizer must be one whose page has"),
    (lambda: oo.modified_flow(NAdam(0.1)), "momentum_decay must be None"),
    (lambda: oo.modified_flow(RMSprop(0.1, centered=True)), "centered must be False"),
    (lambda: oo.modified_flow(Nesterov(0.1, momentum=None)), "momentum must be constant"),
    (lambda: oo.modified_flow(RMSprop(0.1, form="scalar")), "form must be 'vector'"),
    (lambda: oo.modified_flow(GradientDescent(0.1), 4), "order must be one of"),
    (lambda: oo.modified_convergence(GradientDescent(0.1), blind()), "needs the Hessian product"),
    (lambda: oo.reference(oo.modified_flow(GradientDescent(0.1)), blind(), t_end=1.0), "needs the Hessian product"),
    (lambda: oo.record(oo.Discretization(oo.modified_flow(GradientDescent(0.1)), oo.schemes.heun, 0.1), blind()),
     "needs the Hessian product"),
])
def test_bad_input(call, words):
    with pytest.raises((ValueError, TypeError), match=words):
        call()
