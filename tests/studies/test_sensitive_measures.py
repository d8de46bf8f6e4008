"""What studies measure, on data whose answer is known: fits, intervals, rates, energies, searches, curves."""

import math

import numpy as np
import pytest
from scipy import stats

import odeopt as oo
from odeopt import stochastic as st
from odeopt.studies.networks import scale_invariance
from odeopt.studies.noise import mixing, scaling_rules, weak_order
from odeopt.studies.noise import stationary as S
from odeopt.studies.order import convergence, directions, fit, lyapunov
from odeopt.studies.order.work_precision import WorkPrecision
from odeopt.studies.search import lr_search
from odeopt.studies.search.suggest import path_curvature, suggest
from odeopt.studies.stability import limits, restart
from odeopt.studies.stability import optimal_parameters as optimal
from odeopt.studies.stability.periodic import step_jacobian

LEVELS = 0.1 / 2.0 ** np.arange(9)
LINE = oo.problems.quadratic([1.0], x0=[1.0])


# Orders --------------------------------------------------------------------------------------------


def test_a_fit_takes_five_levels_at_most_and_those_above_the_floor():
    found = fit.fit_order(LEVELS, 3 * LEVELS**2)
    assert found.tail.tolist() == [False] * 4 + [True] * 5 and found.order == pytest.approx(2.0, rel=1e-12)
    assert found.spread < 1e-12 and np.allclose(found.slopes, 2.0)
    errors = 3 * LEVELS**2
    found = fit.fit_order(LEVELS, errors, floor=errors[5])
    assert found.tail.tolist() == [True] * 5 + [False] * 4
    errors[2] = np.inf
    found = fit.fit_order(LEVELS, errors, floor=errors[5])
    assert not found.asymptotic and "last slopes" in found.message  # two levels are no tail
    found = fit.fit_order(LEVELS, errors, floor=errors[6])
    assert found.asymptotic and found.tail.sum() == 3


def of_slopes(slopes):
    return np.exp(-np.log(2.0) * np.append(0.0, np.cumsum(slopes)))


@pytest.mark.parametrize(("slopes", "words"), [
    ((1.0, 1.0, 1.0, 1.049), ""), ((1.0, 1.005, 1.03), "drift"), ((1.0, 1.005, 1.02), ""), ((1.0, 1.03, 1.045), ""),
    ((1.04, 1.0, 1.03), ""), ((1.02, 1.0, 0.96), "drift"), ((1.0, 1.06), "last slopes"), ((1.5, 1.0, 1.03), ""),
])
def test_slopes_that_drift_faster_and_faster_are_no_tail(slopes, words):
    """By more than 0.02, two fifths of what may differ, and by more than the time before."""
    found = fit.fit_order(LEVELS[: len(slopes) + 1], of_slopes(slopes))
    assert found.asymptotic == (words == "") and words in found.message


def test_levels_are_powers_of_the_factor_and_bounded():
    assert fit.refinements(4, 3.0, 3) == [1.0, 3.0, 9.0, 27.0]
    assert len(fit.refinements(54, 2.0, 3)) == 54  # 2^53 is the last power that moves a time
    with pytest.raises(ValueError, match="levels"):
        fit.refinements(55, 2.0, 3)
    with pytest.raises(ValueError, match="levels"):
        fit.refinements(1001, 1.0001, 3)


def test_distances_are_the_largest_and_the_last_until_the_end():
    t = np.array([0.0, 1.0, 2.0, 3.0])
    x = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0], [9.0, 9.0]])
    for end, expected in ((2.0, (5.0, 1.0)), (2.0 - 1e-13, (5.0, 1.0)), (2.0 - 1e-11, (5.0, 5.0)),
                          (3.0, (math.sqrt(162), math.sqrt(162)))):
        assert fit.distance_to(t, x, lambda at: np.zeros((at.size, 2)), end) == pytest.approx(expected)
    assert np.isnan(fit.distance_to(t, x, lambda at: np.zeros((at.size, 2)), 0.5)).all()


def test_a_finer_run_is_itself_at_its_steps_and_a_cubic_between():
    t = np.linspace(0.0, 1.0, 9)
    x = np.column_stack([t**3 - t, 2 * t])
    curve = fit.curve_through(t, x)
    at = np.array([0.0, 0.3, 0.6, 1.0])
    np.testing.assert_allclose(curve(at), np.column_stack([at**3 - at, 2 * at]), atol=1e-14)
    off = x.copy()
    off[4] += 1.0
    wrong = fit.curve_through(t, off)
    np.testing.assert_array_equal(wrong(t[4:5] + 0.9e-9), off[4:5])  # at a step to a billionth of the end
    assert (wrong(t[4:5] + 3e-9) != off[4:5]).any()


def test_levels_of_a_study_and_its_end():
    """64 coarse steps, or sixteen of a scheme; steps h, h/2, ...; order 1 of Euler with the error of its formula."""
    study = oo.convergence(oo.GradientDescent(0.01), LINE, levels=4)
    assert study.t_end == pytest.approx(0.64) and study.steps.tolist() == [64, 128, 256, 512]
    expected = [max(abs((1 - h) ** np.arange(n + 1) - np.exp(-h * np.arange(n + 1)))) for h, n in
                zip(study.h, study.steps)]
    np.testing.assert_allclose(study.error, expected, rtol=1e-6)
    final = [abs((1 - h) ** n - np.exp(-h * n)) for h, n in zip(study.h, study.steps)]
    np.testing.assert_allclose(study.final_error, final, rtol=1e-6)
    own = oo.convergence(oo.Discretization(oo.flows.gradient_flow(), oo.schemes.explicit_euler, 0.1), LINE, levels=3)
    assert own.t_end == pytest.approx(1.6)
    rich = oo.convergence(oo.GradientDescent(0.01), LINE, levels=4, against="richardson")
    differences = [max(abs((1 - h) ** np.arange(65 * m) - (1 - h / 2) ** (2 * np.arange(65 * m)))[: 64 * m + 1])
                   for h, m in zip(rich.h, (1, 2, 4))]
    np.testing.assert_allclose(rich.error, differences, rtol=1e-9)
    assert convergence.TOLERANCE == 0.05


def test_a_comparison_on_a_line():
    """GD with lr h on x^2/2: (1 - h)^k against exp(-k h); the order from h/2 and h/4; 24 local errors."""
    h, k = 0.1, np.arange(51)
    found = oo.compare(oo.GradientDescent(h), LINE, steps=50, order=True)
    expected = abs((1 - h) ** k - np.exp(-h * k))
    np.testing.assert_allclose(found.error, expected, rtol=1e-7, atol=1e-11)
    assert found.max_error == pytest.approx(expected.max(), rel=1e-7) and found.local_t.size == 24
    assert found.local_t[[0, -1]] == pytest.approx([0.0, 49 * h])  # the first record and the last but one
    errors = [max(abs((1 - h / f) ** np.arange(50 * f + 1) - np.exp(-h / f * np.arange(50 * f + 1)))) for f in (2, 4)]
    assert found.order == pytest.approx(np.log2(errors[0] / errors[1]), abs=1e-6) and found.trusted
    assert found.gap == pytest.approx(0.5 * (1 - h) ** 100, rel=1e-12)


def test_costs_between_levels_are_interpolated_in_logarithms():
    empty = np.zeros((2, 3))
    study = WorkPrecision("p", np.ones(2), ("a", "b"), ("a", "b"), empty, np.array([[10, 20, 80], [10, 20, 40]]), empty,
                          np.array([[1e-1, 1e-2, 1e-4], [np.inf, 1e-2, 0.0]]), empty, np.zeros(2), "", ({}, {}))
    for error, first, second in ((1e-1, 10, 20), (1e-2, 20, 20), (10**-1.5, 10 * 2**0.5, 20),
                                 (1e-3, 20 * 4**0.5, 40), (1e-5, np.nan, 40)):
        np.testing.assert_allclose(study.gradients_for(error), [first, second], rtol=1e-12)


def test_jacobians_of_steps_have_twelve_digits():
    def f(x):
        return float(np.cosh(x[0]) + np.sinh(x[0]) * x[1])

    problem = oo.Problem(f, lambda x: np.array([np.sinh(x[0]) + np.cosh(x[0]) * x[1], np.sinh(x[0])]), x0=[0.4, 1.3])
    x, lr, mu = problem.x0, 0.3, 0.7
    hessian = np.array([[np.cosh(0.4) + np.sinh(0.4) * 1.3, np.cosh(0.4)], [np.cosh(0.4), 0.0]])
    eye = np.eye(2)
    found = step_jacobian(oo.Momentum(lr, mu), problem, x, np.array([[0.2, -0.1]]))
    assert found.shape == (4, 4)
    # x+ = x + mu v - lr g, whatever the slot's unit is: it is read off the kernel's own column
    np.testing.assert_allclose(found[:2, :2], eye - lr * hessian, atol=1e-11)
    assert abs(np.linalg.det(found)) == pytest.approx(mu**2, rel=1e-9)


# Intervals and laws --------------------------------------------------------------------------------


def test_intervals_are_those_of_the_textbooks():
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((7, 3))
    mean, half = S.mean_interval(samples, 0.9)
    low, high = stats.t.interval(0.9, 6, loc=samples.mean(axis=0), scale=stats.sem(samples, axis=0))
    np.testing.assert_allclose([mean - half, mean + half], [low, high], rtol=1e-12)
    covariance, half = S.covariance_interval(samples, 0.99)
    z = stats.norm.ppf(1 - 0.01 / 12)  # two-sided, six distinct entries
    c = np.cov(samples.T)
    np.testing.assert_allclose(covariance, c)
    np.testing.assert_allclose(half, z * np.sqrt((np.outer(np.diag(c), np.diag(c)) + c**2) / 6), rtol=1e-12)


def test_a_start_is_forgotten_where_variances_agree_to_ten_digits():
    for radius in (0.5, 0.9, 0.999):
        steps = S.forgetting_time(oo.GradientDescent(0.1), radius)
        assert radius ** (2 * steps) <= 1e-10 < radius ** (2 * (steps - 1))
    assert S.forgetting_time(oo.GradientDescent(0.1), 0.0) == 1


def test_the_linear_rule_changes_the_variance_as_the_step_does():
    """lr c/(h (2 - lr h)) with lr and c/lr fixed: (2 - lr h)/(2 - k lr h) - 1; the SDE's not at all."""
    exact, ou = scaling_rules.linear_scaling([[2.0]], [[1.3]], 0.1, [1.0, 2.0, 4.0])
    np.testing.assert_allclose(exact, [0.0, 1.8 / 1.6 - 1, 1.8 / 1.2 - 1], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(ou, 0.0, atol=1e-13)


def test_scaling_rules_move_what_their_papers_say():
    adam = oo.Adam(0.01, beta1=0.9, beta2=0.99, eps=1e-4)
    root, linear = scaling_rules.square_root_scaled(adam, 4.0), scaling_rules.linearly_scaled(adam, 4.0)
    for found, lr in ((root, 0.02), (linear, 0.04)):
        assert (found.lr, found.beta1, found.beta2, found.eps) == pytest.approx((lr, 0.6, 0.96, 5e-5), rel=1e-12)
    inside = scaling_rules.square_root_scaled(oo.RMSprop(0.01, decay=0.95, eps=1e-4, eps_mode="inside"), 4.0)
    assert (inside.lr, inside.decay, inside.eps) == pytest.approx((0.02, 0.8, 2.5e-5), rel=1e-12)
    study = scaling_rules.scaling_rules(adam, LINE, 2.0, factor=4.0, steps=40, paths=300, seed=5, level=0.9)
    for i, (method, variance, steps) in enumerate(((adam, 2.0, 40), (root, 0.5, 10), (linear, 0.5, 10))):
        end = st.sample(method, LINE, st.gaussian(variance), steps=steps, paths=300, seed=5 + i).end[:, 0]
        assert study.mean[i, 0] == pytest.approx(end.mean()) and study.std[i, 0] == pytest.approx(end.std(ddof=1))
        t = stats.t.ppf(0.95, 299)
        assert study.mean_half[i, 0] == pytest.approx(t * stats.sem(end), rel=1e-9)
        fourth = ((end - end.mean()) ** 4).mean()
        expected = t * np.sqrt((fourth - end.var(ddof=1) ** 2) / 300) / (2 * end.std(ddof=1))
        assert study.std_half[i, 0] == pytest.approx(expected, rel=1e-9)
    change = np.maximum(abs(study.mean[1:] - study.mean[0]), abs(study.std[1:] - study.std[0]))[:, 0]
    np.testing.assert_allclose(study.distance, change / (abs(study.mean[0, 0]) + study.std[0, 0]), rtol=1e-12)


def test_lags_of_an_autoregression():
    """E (x_k - x_{k+d})^2 = 2 P (1 - a^d), and what a plot reads off them."""
    lr, h, c = 0.2, 1.5, 0.7
    a, p = 1 - lr * h, lr**2 * c / (1 - (1 - lr * h) ** 2)
    lags = np.array([0, 1, 2, 7])
    np.testing.assert_allclose(mixing.lag_distance(oo.GradientDescent(lr), [[h]], [[c]], lags), 2 * p * (1 - a**lags),
                               rtol=1e-12)
    study = mixing.lag_distance_quadratic(oo.GradientDescent(lr), [[h]], [[c]], lags=4, stride=3, paths=50, seed=2)
    assert study.lag.tolist() == [3, 6, 9, 12] and study.plateau == pytest.approx(2 * p, rel=1e-12)
    burn = 3 * math.ceil(S.forgetting_time(oo.GradientDescent(lr), a) / 3)
    run = st.sample(oo.GradientDescent(lr), S.dense_quadratic([[h]], [0.0]), st.gaussian([[c]]), steps=burn + 12,
                    paths=50, seed=2, every=3)
    squares = (run.x[:, -4:, 0] - run.x[:, -5:-4, 0]) ** 2
    assert study.burn == burn
    np.testing.assert_allclose(study.distance, squares.mean(axis=0), rtol=1e-12)
    assert study.last_doubling == pytest.approx(study.distance[3] / study.distance[1], rel=1e-12)


def test_second_moments_of_gradient_descent_and_of_its_sde():
    """From x0: mean a^n x0, variance lr^2 c (1 - a^2n)/(1 - a^2); of the SDE e^-ht x0, lr c (1 - e^-2ht)/(2 h)."""
    lr, h, c, x0, t = 0.2, 1.5, 0.7, 1.3, 1.2
    study = weak_order.weak_order(oo.GradientDescent(lr), [[h]], [[c]], [x0], t, levels=3)
    expected = []
    for rate, n in ((lr, 6), (lr / 2, 12), (lr / 4, 24)):
        a = 1 - rate * h
        discrete = (a**n * x0) ** 2 + rate**2 * c * (1 - a ** (2 * n)) / (1 - a * a)
        exact = (math.exp(-h * t) * x0) ** 2 + rate * c * (1 - math.exp(-2 * h * t)) / (2 * h)
        expected.append(abs(discrete - exact))
    np.testing.assert_allclose(study.error, expected, rtol=1e-9)
    np.testing.assert_allclose(study.h, [lr, lr / 2, lr / 4])
    assert study.order == pytest.approx(np.log2(expected[1] / expected[2]), rel=1e-9)


# Energies, restarts, orbits ------------------------------------------------------------------------


def test_energies_are_their_formulas():
    rng = np.random.default_rng(4)
    t, gap = rng.uniform(0.5, 2, 5), rng.uniform(0.5, 2, 5)
    d, w = rng.standard_normal((2, 5, 3))
    mu, r = 0.3, 4.5
    dd, dw, ww = (d * d).sum(1), (d * w).sum(1), (w * w).sum(1)
    expected = {
        "gap": gap, "gradient-convex": t * gap + dd / 2, "gradient-strong": np.exp(2 * mu * t) * gap,
        "mechanical": gap + ww / 2,
        "heavy-ball-strong": np.exp(mu**0.5 * t) * (gap + (ww + 2 * mu**0.5 * dw + mu * dd) / 2),
        "heavy-ball-fast": np.exp(4 / 3 * mu**0.5 * t) * (gap + 4 / 9 * mu * dd + 4 / 3 * mu**0.5 * dw + ww / 2),
        "nesterov": t**2 * gap + ((r - 1) ** 2 * dd + 2 * (r - 1) * t * dw + t**2 * ww) / 2,
    }
    for name, values in expected.items():
        found = lyapunov.ENERGIES[name][0](t, gap, d, w, {"mu": mu, "r": r})
        np.testing.assert_allclose(found, values, rtol=1e-12, err_msg=name)


def test_a_rise_is_named_from_the_tolerance_on():
    """GD with lr 2 + e on x^2/2: the gap grows by (1 + e)^2 - 1 of itself in each step."""
    for rise, tolerance, found in ((2e-9, 1e-9, 1), (2e-9, 1e-8, -1), (1e-13, 1e-10, -1)):
        study = oo.lyapunov(oo.GradientDescent(2 + rise / 2), LINE, [1.0], steps=1, energy="gap", tolerance=tolerance)
        assert study.violation == found and study.largest_rise == pytest.approx(rise, rel=1e-4, abs=2e-14)
    default = oo.lyapunov(oo.GradientDescent(2 + 1e-10), LINE, [1.0], steps=1, energy="gap")
    assert default.tolerance == 1e-10 and default.violation == 1


@pytest.mark.parametrize("rule", ["speed", "function", "gradient"])
@pytest.mark.parametrize("patience", [1, 2, 5])
def test_restarts_are_those_of_the_method_written_out(rule, patience):
    problem, lr, steps = oo.problems.quadratic([0.02, 1.0], x0=[1.0, 0.3]), 0.9, 300
    c = np.array([0.02, 1.0])
    study = restart.restarted(oo.Nesterov(lr, momentum=None), problem, steps=steps, rule=rule, patience=patience)
    x = y = problem.x0
    points, restarts, k, before, old_f, old_g = [y], [], 0, 0.0, 0.5 * float(c @ (y * y)), c * y
    while len(points) <= steps:
        new = y - lr * c * y
        v, k = new - x, k + 1
        ahead = new + (k - 1) / (k + 2) * v
        f, size = 0.5 * float(c @ (ahead * ahead)), v @ v
        bad = {"speed": size < before, "function": f > old_f, "gradient": old_g @ v > 0}[rule]
        x, before, old_f, old_g = new, size, f, c * ahead
        if bad and k > patience and len(points) <= steps:
            restarts.append(len(points))
            y, k, before = x, 0, 0.0
            old_f, old_g = 0.5 * float(c @ (y * y)), c * y
        else:
            y = ahead
        points.append(y)
    assert len(restarts) > 2 and study.restarts.tolist() == restarts
    np.testing.assert_allclose(study.x[:steps], points[:steps], rtol=1e-9, atol=1e-14)


def test_angles_and_distances_to_an_orbit():
    curve = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]])
    points = np.array([[0.4, 0.3], [1.2, 1.0], [-3.0, 4.0], [1.0, 2.5], [0.9, 0.2]])
    np.testing.assert_allclose(directions._distance_to_curve(points, curve), [0.3, 0.2, math.sqrt(20), 0.5, 0.1],
                               rtol=1e-12)
    plane = oo.problems.quadratic([1.0, 4.0], x0=[1.0, 1.0])
    study = oo.directions(oo.SignGD(0.01), plane, steps=20, t_orbit=1.0)
    x = 1 - 0.01 * np.arange(20)  # the sign's step lies on the diagonal, -g = -(1, 4) x
    np.testing.assert_allclose(study.angle, np.degrees(np.arctan(4.0) - np.pi / 4), rtol=1e-9)
    np.testing.assert_allclose(study.gap[:20], 2.5 * x * x, rtol=1e-12)
    assert study.gradients_to(study.gap[7]) == study.n_grad[7] and np.isnan(study.gradients_to(1e-9))
    gd = oo.directions(oo.GradientDescent(1e-4), plane, steps=100)  # the orbit is (e^-t, e^-4t), to rest
    assert gd.angle.max() < 1e-5 and gd.orbit_distance.max() < 2e-4
    assert np.abs(directions.orbit(plane, plane.x0)[-1]).max() < 4e-6


def test_a_rise_is_a_tenth_of_the_drop_so_far():
    for top, found in ((0.19, -1), (0.21, 3)):
        assert scale_invariance._rise(np.array([1.1, 0.6, 0.1, top, 0.1])) == found
    assert scale_invariance._rise(np.array([1.0, 1.0 + 0.9e-9, 1.0 + 1.1e-9])) == 2


def test_the_sharpness_is_that_of_the_lowest_point_times_the_rate():
    """(x^2 + 30 y^2)/2 with lr wd = 0.02: nothing rises, and the lowest point is the last."""
    problem = oo.problems.quadratic([1.0, 30.0], x0=[1.0, 1.0])
    study = scale_invariance.instability([0.05], problem, steps=40)
    assert study.rise_step.tolist() == [-1] and study.weight_decay[0] == pytest.approx(0.4)
    assert study.turning_sharpness[0] == pytest.approx(0.05 * 30, rel=1e-12)
    x = np.array([0.98 - 0.05, 0.98 - 1.5]) ** 40
    assert study.turning_norm[0] == pytest.approx(np.linalg.norm(x), rel=1e-9)
    assert study.lowest[0] == pytest.approx(0.5 * (x[0] ** 2 + 30 * x[1] ** 2), rel=1e-9) == study.peak[0]
    assert study.plain_rise_step.tolist() == [-1] and study.plain_norm_monotone.tolist() == [0.0]


def test_norms_at_equilibrium_are_means_of_the_last_third():
    problem, pair = oo.problems.rayleigh(), (0.2, 0.05)
    noise = st.tangent(0.7)
    study = scale_invariance.norm_equilibrium([pair], problem, noise, paths=4, records=30, seed=3, level=0.9)
    lr, decay = pair
    assert study.k[0, -1] == 30 * (math.ceil(3 / (lr * decay)) // 30)
    run = st.sample(oo.GradientDescent(lr, weight_decay=decay), problem, noise, steps=int(study.k[0, -1]), paths=4,
                    seed=3, every=int(study.k[0, 1]))
    norms = (run.x**2).sum(axis=2)
    mean, half = S.mean_interval(norms, 0.9)
    np.testing.assert_allclose([study.norm2[0], study.norm2_half[0]], [mean, half], rtol=1e-12)
    end, end_half = S.mean_interval(norms[:, 20:].mean(axis=1), 0.9)
    assert (study.measured[0], study.measured_half[0]) == pytest.approx((end, end_half), rel=1e-12)
    effective, effective_half = S.mean_interval((lr / norms[:, 20:]).mean(axis=1), 0.9)
    assert (study.effective_lr[0], study.effective_half[0]) == pytest.approx((effective, effective_half), rel=1e-12)
    near = np.flatnonzero(abs(mean / end - 1) < 0.1)
    assert study.relaxation[0] == run.k[near[0]]
    predicted = math.sqrt(lr * study.sigma2[0] / (decay * (2 - lr * decay)))
    assert study.predicted[0] == pytest.approx(predicted, rel=1e-12)


# Searches and tunings ------------------------------------------------------------------------------


def test_a_search_tries_its_grid_and_golden_sections():
    """f after one step of lr u from 1 on x^2/2 is (1 - u)^2/2: the best lr is 1."""
    study = oo.tune(oo.GradientDescent(0.5), LINE, steps=1, grid=5, span=16.0, golden=8)
    np.testing.assert_allclose(study.lr[:5], 0.5 * 16.0 ** np.linspace(-1, 1, 5), rtol=1e-12)
    assert study.lr.size == 13 and study.gradients == 13 and not study.edge
    np.testing.assert_allclose(study.value, 0.5 * (1 - study.lr) ** 2, rtol=1e-9, atol=1e-16)
    low, high, ratio = math.log(0.125), math.log(2.0), (math.sqrt(5) - 1) / 2
    points = [high - ratio * (high - low), low + ratio * (high - low)]
    np.testing.assert_allclose(np.log(study.lr[5:7]), points, rtol=1e-9)
    width = (high - low) * ratio**6  # after two trials each section takes its share off
    assert abs(math.log(study.best_lr)) <= width
    assert oo.tune(oo.GradientDescent(1e-3), LINE, steps=1, grid=3, span=10.0, golden=0).edge
    run = oo.record(oo.GradientDescent(0.5), LINE, steps=4)
    assert lr_search._score(run, "mean log", 0.0) == pytest.approx(np.log(0.5 * 0.25 ** np.arange(5)).mean())
    assert lr_search._score(run, "final", 0.0) == run.f[-1] and lr_search._score(run, "best", 0.0) == run.f.min()


def test_tunings_have_the_rates_of_their_formulas():
    mu, L = 1.0, 9.0
    for tuning_, parameters, rate in (
            (optimal.gradient_descent(mu, L), (0.2,), 0.8), (optimal.polyak(mu, L), (0.25, 0.25), 0.5),
            (optimal.nesterov(mu, L), (1 / 9, 0.5), 2 / 3),
            (optimal.nesterov_tuned(mu, L), (1 / 7, (28**0.5 - 2) / (28**0.5 + 2)), 1 - 2 / 28**0.5),
            (optimal.nag_sc(mu, 1 / 9), (1 / 9, 0.5), 2 / 3)):
        o = tuning_.optimizer
        assert (o.lr, *((o.momentum,) if len(parameters) > 1 else ())) == pytest.approx(parameters, rel=1e-14)
        assert tuning_.rate == pytest.approx(rate, rel=1e-14)
    table = optimal.tuning_table(mu, L, stages=5)
    np.testing.assert_allclose(table.measured, table.rate, atol=1e-6)
    assert table.rate[-2] == pytest.approx((1 / math.cosh(5 * math.acosh(1.25))) ** 0.2, rel=1e-12)
    for lr in (None, 0.05):
        rate = 1 / 9 if lr is None else lr
        bound = optimal.gradient_descent_bound(9.0, 2.0, 7, lr)
        assert bound == pytest.approx(9 * 4 / (4 * 7 * 9 * rate + 2), rel=1e-12)
    run = oo.record(oo.GradientDescent(1 / 9), optimal.worst_huber(9.0, 2.0, 7), steps=7)
    assert run.f[-1] == pytest.approx(optimal.gradient_descent_bound(9.0, 2.0, 7), rel=1e-12)


def test_suggested_rates_are_a_quarter_of_the_curvature_or_three_times_the_way():
    bowl = oo.problems.quadratic([1.0, 8.0], x0=[2.0, 1.0])
    assert suggest(oo.GradientDescent, bowl).lr == pytest.approx(0.25 / 8, rel=0.03)
    assert suggest(oo.Momentum, bowl).lr == pytest.approx(0.25 / 8, rel=0.03)
    assert suggest(oo.SignGD, bowl, steps=100).lr == pytest.approx(3 * 2.0 / 100, rel=0.03)
    flat = oo.Problem(lambda x: float(x[0]), lambda x: np.ones(1), x0=[3.0], hess=lambda x: np.zeros((1, 1)))
    assert suggest(oo.GradientDescent, flat, steps=100).lr == pytest.approx(0.1 * 3 * 10 * 4 / 100, rel=0.03)
    largest, end = path_curvature(oo.problems.quartic(1), np.array([0.5]))
    assert largest == pytest.approx(oo.problems.quartic(1).curvature(np.array([0.5])), rel=1e-9) and abs(end[0]) < 0.5


def test_limits_are_met_to_the_last_digits():
    """Spectral radii up to 1 + 1e-12 count as stable."""
    for method, limit in ((oo.GradientDescent(1.0), 2.0), (oo.Momentum(1.0, 0.5), 3.0)):
        assert abs(limits.stability_limit(method) - limit) <= 5e-12 * limit
    assert limits.stability_limit(oo.schemes.explicit_euler) == pytest.approx(2.0, abs=5e-12)


def test_logs_of_step_rules_are_their_formulas():
    """On a quadratic, from (1, 1): first trial 0.1/lambda; dal's h = 2 tol |g|/|H g| with estimate h^2 |H g|/2; true
    errors from exponentials."""
    c = np.array([1.0, 8.0])
    problem = oo.problems.quadratic(list(c), x0=[1.0, 1.0])
    study = oo.step_control(problem, t_end=1.0, tol=0.05, rules=["PI", "dal", "article"])
    assert study["PI"].h[0] == pytest.approx(0.1 / 8, rel=1e-12)
    for rule in ("dal", "article"):
        log, x, t = study[rule], np.array([1.0, 1.0]), 0.0
        for i in range(len(log.t)):
            g = c * x
            size, bend = np.linalg.norm(g), np.linalg.norm(c * g)
            h = min(0.1 * size / bend, 1.0 - t) if rule == "dal" else 0.05 / size  # a method's own step is not cut
            estimate = 0.5 * h * h * bend if rule == "dal" else 0.05
            true = np.linalg.norm(x * (1 - h * c) - x * np.exp(-h * c))
            assert (log.t[i], log.h[i], log.h_lambda[i]) == pytest.approx((t, h, 8 * h), rel=1e-9, abs=1e-13)
            assert (log.estimate[i], log.true_error[i]) == pytest.approx((estimate, true), rel=1e-9, abs=1e-13)
            x, t = x * (1 - h * c), t + h
        assert t == pytest.approx(1.0, abs=0.0 if rule == "dal" else 0.2) and log.accepted.all()
        assert log.gradients == len(log.t)
        later = log.h_lambda[len(log.t) // 2 :]
        assert log.growth == pytest.approx(np.exp(np.mean(np.log(abs(1 - later)))), rel=1e-12)


def test_an_energy_along_a_flow_is_read_at_equal_times():
    """x' = -x: the gap is e^(-2 t)/2, at steps + 1 times."""
    study = oo.lyapunov(oo.flows.gradient_flow(), LINE, [1.0], steps=10, t_end=2.0, energy="gap")
    np.testing.assert_allclose(study.t, np.linspace(0.0, 2.0, 11), rtol=1e-14)
    np.testing.assert_allclose(study.energy, 0.5 * np.exp(-2 * study.t), rtol=1e-9)
    assert study.k.tolist() == list(range(11))


def test_the_counterexample_to_polyaks_momentum_is_the_published_one():
    """f' = 25 x, x + 24, 25 x - 24 with corners at 1 and 2, f(0) = 0 (Lessard, Recht, Packard, 4.6)."""
    problem = optimal.polyak_counterexample()
    for x, slope, f in ((-1.0, -25.0, 12.5), (0.5, 12.5, 3.125), (1.0, 25.0, 12.5), (1.5, 25.5, 25.125),
                        (2.0, 26.0, 38.0), (3.0, 51.0, 76.5)):
        assert (problem.fun([x]), problem.grad([x])[0]) == (f, slope)
    assert problem.x0.tolist() == [3.3] and [m.tolist() for m in problem.minima] == [[0.0]] and problem.f_min == 0.0
