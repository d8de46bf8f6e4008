"""Numbers of studies that a slip of one sign or constant would move: certificates, references, noise, slow flows."""

from fractions import Fraction

import numpy as np
import pytest

import odeopt as oo
from odeopt import stochastic as st
from odeopt.stochastic.noise import batch_covariance
from odeopt.studies.noise import mixing, scaling_rules
from odeopt.studies.noise import stationary as S
from odeopt.studies.order import fit, modified
from odeopt.studies.order.convergence import Convergence
from odeopt.studies.stability import limits

H = np.array([[3.0, 0.7], [0.7, 1.0]])
C = np.array([[1.0, 0.3], [0.3, 0.5]])


def study_of(order, expected):
    """A Convergence with errors h^order, exactly."""
    h = 0.1 / 2.0 ** np.arange(6)
    found = fit.fit_order(h, h**order)
    none = np.zeros(0)
    return Convergence("m", "m()", "p", "f", "s", {}, "cold", "reference", 1.0, h, np.arange(6), h**order, h**order,
                       0.0, found.slopes, found.order, found.spread, found.tail, found.asymptotic, expected, ""), none


@pytest.mark.parametrize(("order", "certified"), [(1.0, True), (1.049, True), (0.951, True), (1.051, False),
                                                  (0.949, False), (-1.0, False), (0.5, False)])
def test_a_certificate_is_within_five_hundredths(order, certified):
    assert study_of(order, 1.0)[0].certified == certified


@pytest.mark.parametrize(("bend", "asymptotic"), [(0.045, True), (0.06, False)])
def test_slopes_of_a_tail_agree_to_five_hundredths(bend, asymptotic):
    """Errors whose last slope differs from the one before by ``bend``."""
    logs = np.log(2.0) * np.array([0.0, 1.0, 2.0, 3.0 + bend])
    found = fit.fit_order(0.1 / 2.0 ** np.arange(4), np.exp(-logs))
    assert found.asymptotic == asymptotic or (found.asymptotic and found.tail.sum() == 3)
    assert (abs(found.slopes[-1] - found.slopes[-2]) <= fit.AGREE) == asymptotic


def test_local_errors_are_those_of_single_steps_to_nine_digits():
    """Gradient descent on a quadratic: x (1 - lr c) against x exp(-lr c)."""
    c, lr = 2.0, 0.75
    compared = oo.compare(oo.GradientDescent(lr), oo.problems.quadratic([c], x0=[1.0]), steps=20)
    x = compared.run.x[np.searchsorted(compared.run.t, compared.local_t), 0]
    exact = np.abs(x * ((1 - lr * c) - np.exp(-lr * c)))
    assert compared.local_error.size >= 19 and np.allclose(compared.local_error, exact, rtol=1e-9, atol=1e-12)


def test_a_reference_is_trusted_to_a_hundredth_of_the_error():
    """Euler's error here is about 1e-3; a reference with rtol 1e-3 is uncertain by more than a hundredth of it."""
    problem, method = oo.problems.quadratic([1.0, 20.0], x0=[1.0, 1.0]), oo.GradientDescent(2e-4)
    good = oo.compare(method, problem, steps=2000, local=False)
    poor = oo.compare(method, problem, steps=2000, local=False, rtol=1e-5, atol=1e-7)
    assert good.trusted and not good.message
    ratio = poor.reference.uncertainty / poor.max_error
    assert 0.01 < ratio < 1.0, ratio  # between the bound and what a hundred times as lax one would let pass
    assert not poor.trusted and "reference uncertain" in poor.message


def test_weight_decay_is_part_of_the_sdes_drift():
    """f = h x^2/2 with decay d: the mean decays at h + d, the variance is lr c/(2 (h + d))."""
    lr, d, h, c = 0.05, 0.5, 2.0, 1.3
    for order, rate in ((1, h + d), (2, (h + d) * (1 + lr * (h + d) / 2))):
        f, noise = S.sde_matrices(oo.GradientDescent(lr, weight_decay=d), [[h]], order)
        assert f[0, 0] == pytest.approx(-rate, rel=1e-12) and noise[0, 0] == pytest.approx(np.sqrt(lr))
        ou = S.ou_covariance(oo.GradientDescent(lr, weight_decay=d), [[h]], [[c]], order=order)
        assert ou[0, 0] == pytest.approx(lr * c / (2 * rate), rel=1e-12)


@pytest.mark.parametrize("mu", [0.5, 0.9])
def test_the_momentum_sde_has_the_friction_of_its_flow(mu):
    """x'' + a x' + h x = noise with a = (1 - mu)/sqrt(lr): variances lr^{1/2} c/(2 a h) and that times h."""
    lr, h, c = 0.04, 2.0, 1.3
    f, noise = S.sde_matrices(oo.Momentum(lr, mu), [[h]])
    a = (1 - mu) / np.sqrt(lr)
    assert np.allclose(f, [[0.0, 1.0], [-h, -a]], rtol=1e-12)
    assert np.allclose(noise[:, 0], [0.0, lr**0.25], rtol=1e-12)
    assert S.ou_covariance(oo.Momentum(lr, mu), [[h]], [[c]])[0, 0] == pytest.approx(np.sqrt(lr) * c / (2 * a * h))


@pytest.mark.parametrize("size", [1, 20, 400])
def test_mini_batches_have_the_variance_of_finite_populations(size):
    """Cochran, Sampling Techniques (1977), theorem 2.2: S^2/b (1 - b/N) without replacement, S^2 over N - 1; and
    (N - 1)/N S^2/b with."""
    problem = oo.problems.digits_logistic()
    x, n = np.full(problem.dim, 0.01), problem.samples
    each = np.array([problem.value_and_grad(x, np.array([i]))[1] for i in range(n)])
    square = ((each - each.mean(axis=0)) ** 2).sum() / (n - 1)
    for replacement, expected in ((False, square / size * (1 - size / n)), (True, square / size * (n - 1) / n)):
        given = batch_covariance(problem, x, st.Minibatch(size, replacement=replacement))
        assert np.trace(given) == pytest.approx(expected, rel=1e-10)


def test_covariances_are_semi_definite_and_right_where_curvatures_lie_far_apart():
    """Solvers of linear equations and closed forms of geometric sums cancel there."""
    rng, lam = np.random.default_rng(3), np.geomspace(1e-7, 100.0, 10)
    q = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    h = q * lam @ q.T
    m = rng.standard_normal((10, 3))
    for method in (oo.GradientDescent(0.01), oo.Momentum(0.01, 0.9999), oo.Nesterov(0.005, 0.99)):
        for p in (S.stationary_covariance(method, 0.5 * (h + h.T), m @ m.T, full=True),
                  S.ou_covariance(method, 0.5 * (h + h.T), m @ m.T),
                  S.averaged_covariance(method, 0.5 * (h + h.T), m @ m.T, 50)):
            values = np.linalg.eigvalsh(p)
            assert np.array_equal(p, p.T) and values[0] >= -1e-12 * values[-1] > -np.inf


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 100])
def test_averages_of_few_iterates_of_slow_methods(n):
    """In exact arithmetic: P/n^2 (n + 2 sum (n - k) a^k). (P itself has the condition 1/(1 - a).)"""
    lam, lr = 2.0**-30, 0.5
    a = Fraction(1) - Fraction(lr) * Fraction(lam)
    exact = (n + 2 * sum((n - k) * a**k for k in range(1, n))) / n**2
    p, q = S.stationary_covariance(oo.GradientDescent(lr), [[lam]], [[1.0]]), S.averaged_covariance(
        oo.GradientDescent(lr), [[lam]], [[1.0]], n)
    assert q[0, 0] / p[0, 0] == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: S.stationary(oo.GradientDescent(0.1), [[1e-9]], [[1.0]], paths=10), "forget its start within 10000000"),
    (lambda: mixing.lag_distance_quadratic(oo.GradientDescent(0.1), [[1e-9]], [[1.0]], paths=10), "forget its start"),
    (lambda: S.ou_covariance(oo.GradientDescent(0.1), [[1.0, 0.0], [0.0, 1e-15]], np.eye(2)), "largest rate is"),
    (lambda: S.stationary_covariance(oo.GradientDescent(0.1), [[1e-10]], [[1e308]]), "is a number"),
    (lambda: scaling_rules.scaling_rules(oo.Adam(0.1, eps=1e-3), oo.problems.quadratic([1e300]), paths=2, steps=4),
     "optimizer must be stable"),
    (lambda: modified.modified_convergence(oo.Adam(1e-3, beta2=1 - 1e-9), oo.problems.quadratic([1.0, 2.0])),
     "forget within 1000000 steps"),
    (lambda: oo.directions(oo.GradientDescent(0.1), oo.problems.quadratic([1.0]), [0.0]), "must make a step"),
])
def test_what_cannot_be_measured_is_refused_in_one_line(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_study_of_one_run_says_how_that_ended():
    steep = oo.problems.quartic(2)
    study = oo.lyapunov(oo.GradientDescent(3.0), steep, [3.0, 2.0], steps=50, energy="gap")
    assert study.status == "diverged" and "the run diverged" in study.headline()
    study = oo.directions(oo.GradientDescent(3.0), steep, [3.0, 2.0], steps=50, t_orbit=1.0)
    assert study.status == "diverged" and "the run diverged" in study.headline()
    assert oo.directions(oo.GradientDescent(0.01), steep, steps=5, t_orbit=1.0).status == "completed"


@pytest.mark.parametrize(("method", "limit"), [
    (oo.GradientDescent(1.0, weight_decay=0.25), 2 / 1.25), (oo.Momentum(1.0, 0.5, weight_decay=0.25), 3 / 1.25),
    (oo.Momentum(1.0, 0.5, form="torch", dampening=0.4), 3 / 0.6), (oo.Momentum(1.0, 0.5, form="ema"), 6.0),
    (oo.Nesterov(1.0, momentum=0.5), 1.5), (oo.Nesterov(1.0, momentum=None), 4 / 3),
    (oo.Adam(1.0, beta1=0.5), 6.0), (oo.NAdam(1.0, beta1=0.5, momentum_decay=None), 3.0)])
def test_limits_are_those_of_theory_from_both_sides(method, limit):
    """Measured on the kernels; a hundredth to either side decides."""
    value, words = limits.limit_formula(method)
    assert limits.stability_limit(method) == pytest.approx(limit, rel=1e-9) == pytest.approx(value, rel=1e-9)
    assert words


@pytest.mark.parametrize(("method", "coefficient"), [
    (oo.GradientDescent(0.1), 0.05), (oo.Momentum(0.1, 0.5), 0.2 / 2 * 3), (oo.Momentum(0.1, 0.5, form="ema"), 0.15),
    (oo.Nesterov(0.1, momentum=0.5), 0.2 / 2 * (1 - 0.5 + 0.5) / 0.5)])
def test_modified_flows_have_the_coefficients_of_their_table(method, coefficient):
    """h F1 = -coefficient H g: measured on x'= -c x - coefficient c^2 x."""
    c, flow = 2.0, oo.modified_flow(method)
    rate = flow.field(oo.problems.quadratic([c]))(0.0, np.array([[1.0]]))[0, 0]
    assert rate == pytest.approx(-c - coefficient * c * c, rel=1e-12)
