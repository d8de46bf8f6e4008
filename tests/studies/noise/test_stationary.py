"""Stationary covariances and weak orders against closed forms, and Monte Carlo within its intervals."""

from fractions import Fraction

import numba
import numpy as np
import pytest

import odeopt as oo
from odeopt import stochastic as st
from odeopt.studies.noise import scaling_rules as R
from odeopt.studies.noise import stationary as S
from odeopt.studies.noise import weak_order as W

H = np.array([[3.0, 0.7], [0.7, 1.0]])
C = np.array([[1.0, 0.3], [0.3, 0.5]])
METHODS = [oo.GradientDescent(0.5), oo.Momentum(0.1, 0.8), oo.Momentum(0.1, 0.8, form="torch"),
           oo.Momentum(0.1, 0.8, form="ema"), oo.Nesterov(0.1, 0.8)]  # fmt: skip


def test_a_level_is_a_number_and_looked_at_before_the_work():
    told = S.stationary(METHODS[0], H, C, paths=64, level=Fraction(9, 10))
    assert type(told.level) is float and "at 0.9" in repr(told)
    with pytest.raises(ValueError, match=r"level must be in \(0, 1\)"):
        S.stationary(METHODS[0], H, C, paths=10**9, level=1.0)


def test_sgd_solves_its_equations():
    eta = 0.5
    p = S.stationary_covariance(oo.GradientDescent(eta), H, C)
    np.testing.assert_allclose(p @ H + H @ p - eta * H @ p @ H, eta * C, atol=1e-14)
    q = S.ou_covariance(oo.GradientDescent(eta), H, C)
    np.testing.assert_allclose(q @ H + H @ q, eta * C, atol=1e-14)
    # The factor between them in one dimension is 1 - eta lambda/2.
    assert S.ou_covariance(oo.GradientDescent(eta), [[3.0]], [[1.0]])[0, 0] == pytest.approx(
        (1 - 0.75) * S.stationary_covariance(oo.GradientDescent(eta), [[3.0]], [[1.0]])[0, 0], rel=1e-14)


@pytest.mark.parametrize("eta, beta, h, c", [(0.4, 0.6, 1.3, 0.7), (0.05, 0.95, 10.0, 2.0), (1.5, 0.2, 0.3, 1.0)])
def test_scalar_closed_forms(eta, beta, h, c):
    """Liu, Ziyin, Ueda, arXiv:2012.03636; heavy ball and Nesterov derived by hand (see the study's docstring)."""
    gd = S.stationary_covariance(oo.GradientDescent(eta), [[h]], [[c]])[0, 0]
    assert gd == pytest.approx(eta * c / (h * (2 - eta * h)), rel=1e-13)
    ball = S.stationary_covariance(oo.Momentum(eta, beta), [[h]], [[c]])[0, 0]
    assert ball == pytest.approx(eta * (1 + beta) * c / ((1 - beta) * h * (2 * (1 + beta) - eta * h)), rel=1e-11)
    # Nesterov's x_k, from the pair (look-ahead point y, velocity v): x = y - beta v.
    p = S.stationary_covariance(oo.Nesterov(eta, beta), [[h]], [[c]], full=True)
    w = np.array([1.0, -beta])
    q = 1 - eta * h
    exact = eta**2 * c * (1 + beta * q) / ((1 - beta * q) * ((1 + beta * q) ** 2 - ((1 + beta) * q) ** 2))
    assert w @ p @ w == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("n", [1, 2, 17, 500])
def test_swa_closed_form(n):
    eta, h, c = 0.4, 1.3, 0.7
    q = 1 - eta * h
    s2 = eta**2 * c / (1 - q * q)
    exact = s2 / n * ((1 + q) / (1 - q) - 2 * q * (1 - q**n) / (n * (1 - q) ** 2))
    assert S.averaged_covariance(oo.GradientDescent(eta), [[h]], [[c]], n)[0, 0] == pytest.approx(exact, rel=1e-12)


def test_long_averages_forget_the_learning_rate():
    limit = np.linalg.inv(H) @ C @ np.linalg.inv(H)
    for method in METHODS:
        n = 10**6
        np.testing.assert_allclose(n * S.averaged_covariance(method, H, C, n), limit, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_monte_carlo_agrees_with_the_exact_and_refutes_a_wrong_one(method):
    study = S.stationary(method, H, C, paths=6000, average=30, seed=2)
    assert study.agrees
    # The same samples would not agree with a covariance 10% larger: the test can fail.
    assert not (np.abs(study.sampled - 1.1 * study.discrete) <= study.half_width).all()
    assert (np.abs(study.half_width) < 0.12 * np.abs(np.diag(study.discrete)).max()).all()


def test_ou_is_refuted_at_a_large_step_and_right_at_a_small_one():
    study = S.stationary(oo.GradientDescent(0.5), H, C, paths=6000, seed=2)
    assert (np.abs(np.diag(study.sampled - study.ou)) > 5 * np.diag(study.half_width)).all()
    errors = [np.abs(S.ou_covariance(m, H, C) - S.stationary_covariance(m, H, C)).max() /
              np.abs(S.stationary_covariance(m, H, C)).max()
              for m in (oo.GradientDescent(0.02 / 2**i) for i in range(3))]
    np.testing.assert_allclose(np.diff(np.log2(errors)), -1, atol=0.02)  # relative error of first order


def test_the_modified_sde_is_no_better_in_the_stationary_state():
    """Its covariance is C eta/(2H + eta H^2): as far below the OU answer as the exact one is above, to O(eta)."""
    eta = 0.01
    method = oo.GradientDescent(eta)
    exact, ou, modified = (f(method, H, C) for f in (
        S.stationary_covariance, S.ou_covariance, lambda *a: S.ou_covariance(*a, order=2)))
    assert np.linalg.norm(modified - exact) > 1.9 * np.linalg.norm(ou - exact)
    assert S.ou_covariance(method, [[2.0]], [[1.0]], order=2)[0, 0] == pytest.approx(eta / (4 + 4 * eta), rel=1e-13)


# Weak orders -----------------------------------------------------------------------------------------

X0 = [3.5, -1.0]


@pytest.mark.parametrize("method, order", [
    (oo.GradientDescent(0.25), 1), (oo.GradientDescent(0.25), 2), (oo.Momentum(0.01, 0.8), 1),
    (oo.Momentum(0.125, 0.5, form="ema"), 1), (oo.Nesterov(0.01, 0.8), 1),
], ids=str)  # fmt: skip
def test_weak_order_of_the_sde(method, order):
    study = W.weak_order(method, H, C, X0, 2.0, order=order, levels=8)
    assert abs(study.order - order) < 0.02
    assert (np.diff(study.error[2:]) < 0).all()


@pytest.mark.parametrize("scheme, order", [("euler_maruyama", 1), ("weak_second_order", 2)])
@pytest.mark.parametrize("method", [oo.GradientDescent(0.1), oo.Momentum(0.01, 0.8)], ids=["gd", "momentum"])
def test_weak_order_of_the_integrators(scheme, order, method):
    study = W.integrator_order(scheme, H, C, [1.0, 2.0], 2.0, optimizer=method, levels=9, coarsest=8)
    assert abs(study.order - order) < 0.05


def test_moments_are_those_of_the_paths():
    """The recursions against samples of the real loops, for the iterates and for the SDE."""
    method = oo.GradientDescent(0.2)
    for run, (mean, covariance) in (
        (st.sample(method, S.dense_quadratic(H), st.gaussian(C), X0, 10, paths=5000),
         W.discrete_moments(method, H, C, X0, 10)),
        (st.simulate(st.sde(method), S.dense_quadratic(H), st.gaussian(C), X0, 200, 0.01, paths=5000),
         W.sde_moments(method, H, C, X0, 2.0)),
    ):
        sampled, half = S.covariance_interval(run.end, 0.999)
        assert (np.abs(sampled - covariance) < half).all()
        m, dm = S.mean_interval(run.end, 0.999)
        assert (np.abs(m - mean) < dm).all()


def test_recursion_by_doubling_is_the_recursion():
    method, steps = oo.Momentum(0.05, 0.7), 23
    a, b = S.step_matrices(method, H)
    z, p = np.array([*X0, 0.0, 0.0]), np.zeros((4, 4))
    for _ in range(steps):
        z, p = a @ z, a @ p @ a.T + b @ C @ b.T
    mean, covariance = W.discrete_moments(method, H, C, X0, steps)
    np.testing.assert_allclose(mean, z[:2], rtol=1e-12)
    np.testing.assert_allclose(covariance, p[:2, :2], rtol=1e-12)


# Scaling rules ---------------------------------------------------------------------------------------

def test_linear_scaling_holds_for_the_sde_and_fails_with_the_step_for_the_iterates():
    factors = np.array([1.0, 2.0, 4.0, 8.0])
    exact, ou = R.linear_scaling([[3.0]], [[1.0]], 0.05, factors)
    np.testing.assert_allclose(ou, 0, atol=1e-13)
    np.testing.assert_allclose(exact, (2 - 0.15) / (2 - 0.15 * factors) - 1, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("method", [oo.RMSprop(lr=0.02, decay=0.98), oo.Adam(lr=0.02, beta1=0.9, beta2=0.98)],
                         ids=["rmsprop", "adam"])
def test_square_root_scaling_keeps_the_law_and_linear_scaling_does_not(method):
    study = R.scaling_rules(method, oo.problems.quadratic([1.0]), 100.0, factor=4.0, steps=400, x0=[1.0], paths=4000)
    rule, linear = study.distance
    assert rule < 0.1
    assert linear > 4 * rule


@pytest.mark.parametrize("factor", [1, 4])
def test_rmsprop_in_noise_has_the_law_of_its_sde(factor):
    """Malladi et al.: dX = -P^-1 (g dt + s0 dW), du = c2 (1 - u) dt, P = s0 sqrt(u) + e0, t = k lr^2, s0 = s lr.

    On x^2/2 with u = 1 at the start (g^2 has the mean s^2) it is linear: mean e^{-t/P}, variance
    s0^2/(2 P) (1 - e^{-2 t/P}); the square-root rule moves lr, decay, eps, the batch (s) and the number of
    steps, and nothing in the SDE."""
    lr, s, eps, decay, t = 0.01, 40.0, 4.0, 0.999, 0.4
    opt = oo.RMSprop(lr, decay=decay, eps=eps, eps_mode="outside")
    s0, e0, steps = s * lr, eps * lr, round(t / lr**2)
    if factor > 1:
        opt, s, steps = R.square_root_scaled(opt, factor), s / factor**0.5, steps // factor
    assert (1 - opt.decay) / opt.lr**2 == pytest.approx(10) and s * opt.lr == pytest.approx(s0)
    p = s0 + e0
    run = st.sample(opt, oo.problems.quadratic([1.0]), st.gaussian(s * s), [1.0], steps, paths=5000,
                    start=np.array([[s * s]]))
    x = run.end[:, 0]
    mean, variance = np.exp(-t / p), s0**2 / (2 * p) * (1 - np.exp(-2 * t / p))
    assert x.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / 5000))
    assert x.var() == pytest.approx(variance, rel=4 * np.sqrt(2 / 5000))


def test_square_root_rule_moves_every_hyperparameter():
    adam = R.square_root_scaled(oo.Adam(lr=0.01, beta1=0.9, beta2=0.99, eps=1e-6), 4.0)
    assert (adam.lr, adam.beta1, adam.beta2, adam.eps) == pytest.approx((0.02, 0.6, 0.96, 5e-7), rel=1e-12)


BAD = [
    (lambda: S.stationary_covariance(oo.GradientDescent(1.0), H, C), "spectral radius 2.22"),
    (lambda: S.stationary_covariance(oo.GradientDescent(0.1), np.diag([1.0, 0.0]), C), "spectral radius 1 "),
    (lambda: S.stationary_covariance(oo.GradientDescent(0.1), H, -C), "positive semi-definite"),
    (lambda: S.stationary_covariance(oo.GradientDescent(0.1), H, np.eye(3)), "shape"),
    (lambda: S.stationary_covariance(oo.GradientDescent(0.1), [[1.0, 2.0], [0.0, 1.0]], C), "hessian must be sym"),
    (lambda: S.stationary_covariance(oo.Adam(0.1), H, C), "linear in the gradient"),
    (lambda: S.ou_covariance(oo.GradientDescent(0.1), -H, C), "largest rate"),
    (lambda: W.weak_order(oo.GradientDescent(0.3), H, C, X0, 1.0), "multiple of the step"),
    (lambda: R.scaling_rules(oo.Adam(0.1), steps=10, factor=4.0), "multiple of factor"),
    (lambda: R.square_root_scaled(oo.GradientDescent(0.1), 4.0), "adaptive"),
]


@pytest.mark.parametrize("call, words", BAD, ids=range(len(BAD)))
def test_bad_input_is_named_in_one_line(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_studies_save_and_load(tmp_path):
    study = S.stationary(oo.GradientDescent(0.5), H, C, paths=100)
    for name in ("s.npz", "s.json"):
        study.save(tmp_path / name)
        back = S.Stationary.load(tmp_path / name)
        np.testing.assert_array_equal(back.sampled, study.sampled)
        assert back.headline() == study.headline()


# Off quadratics: exact expectations by transfer operators ----------------------------------------------

@numba.njit
def bowl(x):
    return 0.75 * x[0] ** 2 + 0.5 * np.sin(x[0])


@numba.njit
def bowl_gradient(x):
    return np.array([1.5 * x[0] + 0.5 * np.cos(x[0])])


@numba.njit
def bowl_hessian(x):
    return np.array([[1.5 - 0.5 * np.sin(x[0])]])


BOWL = oo.Problem(bowl, bowl_gradient, bowl_hessian, dim=1)


@pytest.mark.parametrize("noise", [st.gaussian(0.25), st.diagonal_multiplicative(0.1, 0.06)], ids=repr)
@pytest.mark.parametrize("order", [1, 2])
def test_weak_order_on_a_nonlinear_problem_with_any_noise(noise, order):
    study = W.weak_order_nonlinear(oo.GradientDescent(0.05), BOWL, noise, 2.5, 1.0, (-4.0, 4.0), order=order, levels=5,
                                   test=lambda x: np.cos(x) + x)
    assert abs(study.order - order) < 0.05


def test_transfer_operator_agrees_with_the_moments_and_with_samples():
    """On a quadratic it is the moment recursion; on the bowl, the mean of 20,000 real runs."""
    quadratic = oo.problems.quadratic([1.3])
    study = W.weak_order_nonlinear(oo.GradientDescent(0.2), quadratic, st.gaussian(0.3), 1.5, 1.0, (-4, 4), levels=3)
    exact = W.weak_order(oo.GradientDescent(0.2), [[1.3]], [[0.3]], [1.5], 1.0, levels=3)
    np.testing.assert_allclose(study.error, exact.error, rtol=1e-3)
    one = W.weak_order_nonlinear(oo.GradientDescent(0.5), BOWL, st.gaussian(0.25), 2.5, 1.0, (-4.0, 4.0), levels=2,
                                 test=lambda x: x)
    runs = [st.sample(oo.GradientDescent(0.5), BOWL, st.gaussian(0.25), [2.5], 2, paths=20_000).end[:, 0],
            st.simulate(st.sde(oo.GradientDescent(0.5)), BOWL, st.gaussian(0.25), [2.5], 40, 0.025, paths=20_000,
                        seed=1).end[:, 0]]
    (m1, d1), (m2, d2) = (S.mean_interval(run, 0.999) for run in runs)
    assert abs(abs(m1 - m2) - one.error[0]) < d1 + d2
    assert one.error[0] > 3 * (d1 + d2)


def test_isotropic_noise_makes_a_gibbs_law_of_the_sde_and_not_quite_of_sgd():
    """[A002], conventional wisdom 3: density exp(-2 f/(lr s^2)), by quadrature; a large lr does not have it."""
    x = np.linspace(-12, 12, 20_001)
    f = 0.75 * x**2 + 0.5 * np.sin(x)
    for lr, s2 in ((0.05, 32.0), (1.0, 1.6)):
        gibbs = np.exp(-2 * (f - f.min()) / (lr * s2))
        second = (x * x * gibbs).sum() / gibbs.sum()
        method, noise = oo.GradientDescent(lr), st.gaussian(s2)
        diffusion = st.simulate(st.sde(method), BOWL, noise, [0.0], 100, 0.05, paths=4000, seed=2).end[:, 0]
        assert (diffusion**2).mean() == pytest.approx(second, abs=5 * (diffusion**2).std() / 4000**0.5)
        runs = st.sample(method, BOWL, noise, [0.0], round(6 / lr), paths=4000, seed=3).end[:, 0]
        off = (runs**2).mean() / second - 1
        assert abs(off) < 0.1 if lr < 0.1 else off > 0.5


@pytest.mark.parametrize("call, words", [
    (lambda: W.weak_order_nonlinear(oo.Momentum(0.1), BOWL, st.gaussian(0.1), 1.0, 1.0, (-4, 4)), "GradientDescent"),
    (lambda: W.weak_order_nonlinear(oo.GradientDescent(0.1), BOWL, st.gaussian(9.0), 1.0, 1.0, (-1, 1)),
     "interval must hold every step"),
    (lambda: W.weak_order_nonlinear(oo.GradientDescent(0.1), BOWL, st.gaussian(0.1), 1.0, 1.0, (-4, 4), levels=99),
     "levels must be at most 54, got 99"),
    (lambda: W.weak_order(oo.GradientDescent(0.1), H, C, X0, 1.0, levels=99), "levels must be at most 54, got 99"),
    (lambda: W.integrator_order("euler_maruyama", H, C, X0, 1.0, levels=99), "levels must be at most 54, got 99"),
], ids=range(5))  # fmt: skip
def test_weak_orders_refuse(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("count", [2, 3, 8])
def test_intervals_of_few_samples_hold_as_often_as_they_say(count):
    """With the normal quantile eight samples would miss their mean 3.7 times in a 100 instead of once."""
    samples = np.random.default_rng(5).standard_normal((count, 40_000))
    mean, half = S.mean_interval(samples, 0.99)
    assert np.mean(np.abs(mean) <= half) == pytest.approx(0.99, abs=0.002)
    with pytest.raises(ValueError, match="number of samples must be at least 2, got 1"):
        S.mean_interval(samples[:1])


@pytest.mark.parametrize(("count", "missed"), [(1000, 0.010), (100, 0.024), (30, 0.058)])
def test_covariance_intervals_are_for_hundreds_of_samples(count, missed):
    """What the docstring says of fewer."""
    root = np.linalg.cholesky([[2.0, 0.5], [0.5, 1.0]])
    samples = np.random.default_rng(3).standard_normal((2000, count, 2)) @ root.T
    outside = [(np.abs(s - root @ root.T) > half).any() for s, half in map(S.covariance_interval, samples)]
    assert np.mean(outside) == pytest.approx(missed, abs=0.012)
