"""Moments of linear methods and of ensembles against sums and integrals written out, at inputs of no symmetry."""

import math

import numpy as np
import pytest

import odeopt as oo
from odeopt import stochastic as st
from odeopt.studies import moments
from odeopt.studies.networks import scale_invariance
from odeopt.studies.noise import mixing, weak_order
from odeopt.studies.noise import stationary as S

H = np.array([[1.7, 0.4], [0.4, 0.9]])
C = np.array([[1.0, 0.3], [0.3, 0.5]])
START = np.array([1.3, -0.6])


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 12, 37])
def test_weighted_sums_of_powers(n):
    a = np.array([[0.9, 0.3], [-0.2, 0.7]])
    expected = sum(((n - k) * np.linalg.matrix_power(a, k) for k in range(1, n)), np.zeros((2, 2)))
    np.testing.assert_allclose(S._lags(a, n), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("steps", [0, 1, 2, 5, 6, 13])
def test_moments_of_a_recursion(steps):
    a, q = np.array([[0.9, 0.3], [-0.2, 0.7]]), C
    mean, covariance = START, np.zeros((2, 2))
    for _ in range(steps):
        mean, covariance = a @ mean, a @ covariance @ a.T + q
    found = weak_order._recursion(a, q, START, steps, 2)
    np.testing.assert_allclose(found[0], mean, rtol=1e-12)
    np.testing.assert_allclose(found[1], covariance, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("rate", "noise", "t"), [(-1.3, 0.7, 0.9), (0.4, 2.5e-9, 1.7), (-0.2, 3e8, 0.1)])
def test_a_linear_equation_is_its_integral(rate, noise, t):
    """e^(ft) and q (e^(2ft) - 1)/(2f)."""
    a, q = S.linear_sde(np.array([[rate]]), np.array([[noise]]), t)
    assert a[0, 0] == pytest.approx(math.exp(rate * t), rel=1e-12)
    assert q[0, 0] == pytest.approx(noise * math.expm1(2 * rate * t) / (2 * rate), rel=1e-12)


@pytest.mark.parametrize("optimizer", [oo.GradientDescent(0.3), oo.Momentum(0.2, momentum=0.6),
                                       oo.Nesterov(0.2, momentum=0.6)])
def test_a_stationary_covariance_stays(optimizer):
    """P = A P A' + B C B', B the step's answer to the noise; averages by their double sum over lags."""
    a, b = S.step_matrices(optimizer, H)
    p = S.stationary_covariance(optimizer, H, C, full=True)
    np.testing.assert_allclose(a @ p @ a.T + b @ C @ b.T, p, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(b[:2], -optimizer.lr * np.eye(2) * (1.6 if isinstance(optimizer, oo.Nesterov) else 1))
    n = 5
    cross = [np.linalg.matrix_power(a, abs(i - j)) @ p if i >= j else p @ np.linalg.matrix_power(a, j - i).T
             for i in range(n) for j in range(n)]
    np.testing.assert_allclose(S.averaged_covariance(optimizer, H, C, n), (sum(cross) / n**2)[:2, :2], rtol=1e-10)
    f, d = S.sde_matrices(optimizer, H)
    full = S._stationary(*S.linear_sde(f, d @ C @ d.T, 0.3))
    np.testing.assert_allclose(f @ full + full @ f.T + d @ C @ d.T, 0.0, atol=1e-11 * np.abs(full).max())
    np.testing.assert_allclose(S.ou_covariance(optimizer, H, C), full[:2, :2], rtol=1e-9)


def test_what_a_stationary_study_says():
    none = np.empty((0, 0))

    def study(sampled, half, averaged=none, seen=none, width=none, average=0):
        return S.Stationary("m", 0.9, 10, 20, 0.99, average, np.array([[2.0, 0.1], [0.1, 3.0]]),
                            np.array([[2.2, 0.1], [0.1, 2.4]]), sampled, half, averaged, seen, width)

    off = np.array([[2.05, 0.1], [0.1, 3.0]])
    assert study(off, np.full((2, 2), 0.06)).agrees and not study(off, np.full((2, 2), 0.04)).agrees
    found = study(off, np.full((2, 2), 0.06), off, off + 0.5, np.full((2, 2), 0.4), 3)
    assert not found.agrees and found.ou_error == pytest.approx(0.2)
    assert [row["entry"] for row in found.rows()] == ["(0, 0)", "(0, 1)", "(1, 1)"]
    assert found.rows()[2] == {"entry": "(1, 1)", "discrete": 3.0, "OU": 2.4, "sampled": 3.0, "+-": 0.06,
                               "average of 3": 3.0, "average sampled": 3.5, "average +-": 0.4}


def test_a_sampled_study_takes_the_steps_that_it_says():
    optimizer = oo.GradientDescent(0.3)
    study = S.stationary(optimizer, H, C, paths=60, average=4, seed=3, level=0.9)
    radius = np.abs(1 - 0.3 * np.linalg.eigvalsh(H)).max()
    assert study.radius == pytest.approx(radius) and study.steps == S.forgetting_time(optimizer, radius) + 3
    run = st.sample(optimizer, S.dense_quadratic(H, np.zeros(2)), st.gaussian(C), steps=study.steps, paths=60, seed=3,
                    average_from=study.steps - 3)
    np.testing.assert_allclose(study.sampled, np.cov(run.end.T), rtol=1e-12)
    np.testing.assert_allclose(study.averaged_sampled, np.cov(run.mean.T), rtol=1e-12)
    np.testing.assert_allclose(study.averaged, S.averaged_covariance(optimizer, H, C, 4))
    with pytest.raises(ValueError, match="must be stable on the hessian"):
        S.stationary_covariance(oo.GradientDescent(2 / np.linalg.eigvalsh(H)[-1]), H, C)


def test_hessians_are_symmetric_to_round_off():
    for off, good in ((0.9e-12, True), (1.1e-12, False)):
        h = H + np.array([[0.0, off * 1.7], [0.0, 0.0]])
        if good:
            S.dense_quadratic(h)
        else:
            with pytest.raises(ValueError, match="hessian must be symmetric"):
                S.dense_quadratic(h)


def test_one_step_is_a_time():
    """E x^2 after a step of lr from x0, with noise: (1 - lr c)^2 x0^2 + lr^2 v, against the SDE's e^-2ct ... at lr."""
    lr, c, v, x0 = 0.3, 1.5, 0.7, 1.3
    exact = math.exp(-2 * c * lr) * x0**2 + lr * v * -math.expm1(-2 * c * lr) / (2 * c)
    error = abs((1 - lr * c) ** 2 * x0**2 + lr**2 * v - exact)
    optimizer = oo.GradientDescent(lr)
    assert weak_order.weak_order(optimizer, [[c]], [[v]], [x0], lr, levels=2).error[0] == pytest.approx(error, rel=1e-9)
    study = weak_order.weak_order_nonlinear(optimizer, oo.problems.quadratic([c]), st.gaussian(v), x0, lr, (-6.0, 6.0),
                                            levels=2, nodes=8)
    assert study.error[0] == pytest.approx(error, rel=0.02) and study.h.tolist() == [0.3, 0.15]
    for bad in (0.29, 0.1):
        with pytest.raises(ValueError, match="t_end must be a multiple"):
            weak_order.weak_order(optimizer, [[c]], [[v]], [x0], bad)


def test_polynomials_are_interpolated_and_moments_of_the_normal_law_are_exact():
    x = 0.3 - 1.7 * np.cos(np.pi * np.arange(6) / 5)
    y = np.array([-1.4, x[2], 0.9, 2.0, 2.3])
    matrix = weak_order._interpolation(x, y)
    for k in range(6):
        np.testing.assert_allclose(matrix @ x**k, y**k, rtol=1e-12, atol=1e-12)
    assert matrix[1].tolist() == [0, 0, 1, 0, 0, 0]
    for points in (3, 5):
        nodes, weights = weak_order._hermite(points)
        moments_of_it = [weights @ nodes**k for k in range(2 * points)]
        expected = [1, 0, 1, 0, 3, 0, 15, 0, 105, 0][: 2 * points]
        np.testing.assert_allclose(moments_of_it, expected, atol=1e-11)


def test_euler_maruyama_on_a_linear_equation():
    """m = (1 - c h)^n x0 and q = (1 - c h)^2 q + lr v h, beside the exact moments of the SDE of a fixed lr."""
    c, v, x0, t, lr = 1.4, 0.6, 1.1, 0.9, 0.1
    study = weak_order.integrator_order("euler_maruyama", [[c]], [[v]], [x0], t, levels=3, coarsest=3)
    exact = math.exp(-2 * c * t) * x0**2 + lr * v * -math.expm1(-2 * c * t) / (2 * c)
    for h, error, n in zip(study.h, study.error, (3, 6, 12)):
        q = 0.0
        for _ in range(n):
            q = (1 - c * t / n) ** 2 * q + lr * v * t / n
        assert h == pytest.approx(t / n) and error == pytest.approx(abs((1 - c * t / n) ** (2 * n) * x0**2 + q - exact))
    slopes = np.log(study.error[:-1] / study.error[1:]) / math.log(2)
    np.testing.assert_allclose(study.slope, slopes)
    assert study.order == study.slope[-1] and study.rows()[0]["slope"] is None
    assert study.rows()[2] == {"h": study.h[2], "weak error": study.error[2], "slope": study.slope[1]}


def test_steps_that_leave_the_interval_of_the_interpolants():
    """By more than a thousandth of it."""
    optimizer, flat = oo.GradientDescent(0.5), oo.problems.quadratic([1e-9])
    for reach, good in ((1.0009, True), (1.0011, False)):
        # the node at the end moves by lr times the noise, largest at the last of five nodes
        largest = np.polynomial.hermite_e.hermegauss(5)[0][-1]
        width = 2.0
        variance = ((reach - 1) * width / (0.5 * largest)) ** 2

        def call(variance=variance):
            return weak_order.weak_order_nonlinear(optimizer, flat, st.gaussian(variance), 0.0, 0.5, (-1.0, 1.0),
                                                   levels=2, nodes=5)

        if good:
            call()
        else:
            with pytest.raises(ValueError, match="interval must hold every step"):
                call()


def test_a_covariance_is_semidefinite_to_round_off():
    np.testing.assert_array_equal(S._semidefinite(np.array([[1.0, 0.2], [0.0, 2.0]])), [[1.0, 0.1], [0.1, 2.0]])
    for least, good in ((-0.9e-12, True), (-1.1e-12, False), (np.nan, False)):
        if good:
            S._semidefinite(np.diag([2.0, 2 * least]))
        else:
            with pytest.raises(ValueError, match="is a number"):
                S._semidefinite(np.diag([2.0, 2 * least]))


# Ensembles -------------------------------------------------------------------------------------------


def test_moments_of_an_ensemble_are_those_of_its_finite_paths():
    rng = np.random.default_rng(0)
    x, f = 3 + rng.standard_normal((23, 4, 3)), rng.standard_normal((23, 4))
    x[[2, 7], 1, 2], f[11, 2], f[[0, 5], 3], x[:, 3] = np.nan, np.inf, np.nan, x[:, 3] * 1e3
    f[:9, 0] = np.nan  # a whole chunk has none
    found = moments.merged([moments.sums(x[a:b], f[a:b]) for a, b in ((0, 9), (9, 10), (10, 23))], 4, 3)
    for r in range(4):
        good = np.isfinite(f[:, r]) & np.isfinite(x[:, r]).all(axis=1)
        assert found["count"][r] == good.sum()
        for name, values in (("mean_x", x[good, r].mean(axis=0)), ("var_x", x[good, r].var(axis=0)),
                             ("mean_f", f[good, r].mean()), ("min_f", f[good, r].min()), ("max_f", f[good, r].max())):
            np.testing.assert_allclose(found[name][r], values, rtol=1e-12, err_msg=name)
    none = moments.merged([], 2, 3)
    assert none["count"].tolist() == [0, 0] and np.isnan(none["mean_x"]).all() and np.isnan(none["min_f"]).all()
    assert np.isnan(moments.merged([moments.sums(x[:9], f[:9])], 4, 3)["mean_x"][0]).all()


# Mixing ----------------------------------------------------------------------------------------------


def test_disagreement_is_counted_over_pairs_of_runs():
    """Within: of different runs from the same start; the jackknife leaves out run i of both."""
    rng, paths = np.random.default_rng(1), 4
    predicted = rng.integers(0, 3, (2 * paths, 11))

    def memory(first, second):
        def pairs(a, b):
            return np.mean([(predicted[i] != predicted[j]).mean() for i in a for j in b if i != j])

        within = 0.5 * (pairs(first, first) + pairs(second, second))
        return within, pairs(first, second)

    first, second = list(range(4)), list(range(4, 8))
    within, across = memory(first, second)
    left = np.array([np.subtract(*memory([a for a in first if a != i], [b for b in second if b != 4 + i])[::-1])
                     for i in range(4)])
    deviation = math.sqrt(3 / 4 * ((left - left.mean()) ** 2).sum())
    found = mixing._disagreement(predicted, paths, 0.9)
    assert found == pytest.approx((within, across, across - within, S.student(0.9, 3) * deviation), rel=1e-12)


def test_the_mixing_time_is_the_first_below_a_tenth():
    memory = np.array([[0.5, 0.3, 0.049, 0.1, 0.01], [0.5, 0.3, 0.05, 0.051, 0.06]])
    rest = np.zeros((2, 5))
    study = mixing.FunctionMixing("p", 4, 0.9, np.array([0.2, 0.4]), np.array([0.5, 0.25]), np.tile(np.arange(5) * 10,
                                  (2, 1)), rest, rest, memory, rest, rest, rest)
    np.testing.assert_allclose(study.intrinsic_time, [np.arange(5)] * 2)
    assert study.mixing_time[0] == 2.0 and np.isnan(study.mixing_time[1])
    row = study.rows()[1]
    assert (row["lr wd"], row["steps"], row["memory"], row["start"]) == (0.1, 40, 0.06, 0.5)


def test_mixing_in_function_space_is_that_of_its_runs():
    """Two starts, three runs each, records of equal length to the intrinsic time; cosines of mean directions."""
    problem, lr, decay = oo.problems.normalized_mlp(), 0.5, 0.4
    study = mixing.function_mixing([(lr, decay)], problem, intrinsic_time=2.0, records=4, batch=16, paths=3, level=0.9,
                                   seed=2, start_norm=1.5)
    assert study.k.tolist() == [[0, 2, 4, 6, 8]] and study.within[0, 0] == 0.0  # 2/(lr wd) in four parts: 2.5
    starts = np.repeat(mixing.random_starts(problem, 2, 2, 1.5), 3, axis=0)
    run = st.sample(oo.GradientDescent(lr, weight_decay=decay), problem, st.Minibatch(16), starts, steps=8, paths=6,
                    seed=2, every=2)
    labels = mixing.model_of(problem).labels()
    for r in (0, 4):
        predicted = np.array([mixing.class_probabilities(problem, w).argmax(axis=1) for w in run.x[:, r]])
        found = study.within[0, r], study.across[0, r], study.memory[0, r], study.memory_half[0, r]
        assert found == pytest.approx(mixing._disagreement(predicted, 3, 0.9), rel=1e-12, abs=1e-15)
        assert study.error[0, r] == pytest.approx((predicted != labels).mean(), rel=1e-12)
        weights = np.array([mixing.normalized_weights(problem, w) for w in run.x[:, r]])
        a, b = weights[:3].mean(axis=0), weights[3:].mean(axis=0)
        cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
        assert study.parameters[0, r] == pytest.approx(1 - cosine, rel=1e-9)


def test_networks_are_looked_at_from_every_origin():
    """Lags of a network's run with normalised weights, or with the weights as they are."""
    problem, optimizer = oo.problems.normalized_mlp(), oo.GradientDescent(0.3, weight_decay=0.1)
    run = st.sample(optimizer, problem, st.Minibatch(16), mixing.random_starts(problem, 2, 4, 1.0), steps=6 + 2 * 4,
                    paths=2, seed=4, every=2)
    for raw in (False, True):
        study = mixing.lag_distance_network(optimizer, problem, burn=6, lags=3, stride=2, origins=2, batch=16, paths=2,
                                            raw=raw, level=0.9, seed=4)
        x = run.x if raw else np.array([[mixing.normalized_weights(problem, w) for w in path] for path in run.x])
        squares = [np.mean([((x[:, first + d] - x[:, first]) ** 2).sum(axis=1) for first in (3, 4)]) for d in (1, 2, 3)]
        assert study.lag.tolist() == [2, 4, 6] and study.predicted.size == 0 and math.isnan(study.plateau)
        np.testing.assert_allclose(study.distance, squares, rtol=1e-10)
    with pytest.raises(ValueError, match="burn must be a multiple of stride = 4"):
        mixing.lag_distance_network(optimizer, problem, burn=6, stride=4)


def test_distances_are_means_over_their_origins():
    rng = np.random.default_rng(2)
    run = type("Run", (), {"x": rng.standard_normal((3, 9, 2)), "k": np.arange(9) * 5, "paths": 3,
                           "status": "completed", "message": ""})
    study = mixing._distances("p", oo.GradientDescent(0.1), run, 15, 5, 0.9, 2.5, np.empty(0), origins=3)
    assert study.lag.tolist() == [5, 10, 15] and study.burn == 15 and study.plateau == 2.5
    squares = np.array([[((run.x[:, first + d] - run.x[:, first]) ** 2).sum(axis=1) for first in (3, 4, 5)]
                        for d in (1, 2, 3)]).mean(axis=1).T
    mean, half = S.mean_interval(squares, 0.9)
    np.testing.assert_allclose([study.distance, study.half_width], [mean, half], rtol=1e-12)
    assert study.rows()[2]["exact"] is None and study.rows()[2]["lag"] == 15
    half_way = study.distance[0] + (7.5 - 5) / 5 * (study.distance[1] - study.distance[0])
    assert study.last_doubling == pytest.approx(study.distance[2] / half_way)
    assert "grew by a factor" in study.headline() and "plateau 2 tr Sigma = 2.5" in study.headline()


def test_averages_of_weights_lose_and_gain():
    """Each loss is -log p(label) of the normalised weights, pairs of one run and neighbouring runs."""
    problem = oo.problems.normalized_mlp()
    optimizer = oo.GradientDescent(0.1, weight_decay=0.01)
    study = mixing.averaged_pairs(optimizer, problem, first=8, second=12, batch=16, paths=3, seed=4, level=0.9)
    run = st.sample(optimizer, problem, st.Minibatch(16), mixing.random_starts(problem, 3, 4, 1.0), steps=12, paths=3,
                    seed=4, every=4)
    early, late = ([mixing.normalized_weights(problem, w) for w in run.x[:, i]] for i in (2, 3))

    def loss(w):
        return mixing.held_out_loss(problem, w)

    p = mixing.class_probabilities(problem, late[0])
    labels = mixing.model_of(problem).labels()
    assert loss(late[0]) == pytest.approx(-np.mean([math.log(p[i, label]) for i, label in enumerate(labels)]))
    along = [loss((a + b) / 2) for a, b in zip(early, late)]
    single = [(loss(a) + loss(b)) / 2 for a, b in zip(early, late)]
    neighbours = [(late[i], late[i - 1]) for i in range(3)]
    across = [loss((a + b) / 2) for a, b in neighbours]
    ends = [(loss(a) + loss(b)) / 2 for a, b in neighbours]
    assert (study.single, study.along, study.across) == pytest.approx((np.mean(single), np.mean(along),
                                                                       np.mean(across)), rel=1e-10)
    gain, half = S.mean_interval(np.subtract(single, along), 0.9)
    assert (study.along_gain, study.along_gain_half) == pytest.approx((gain, half), rel=1e-6)
    gain, half = S.mean_interval(np.subtract(ends, across), 0.9)
    assert (study.across_gain, study.across_gain_half) == pytest.approx((gain, half), rel=1e-6)
    for first, second in ((7, 12), (12, 12), (12, 8)):
        with pytest.raises(ValueError, match="first must be a multiple"):
            mixing.averaged_pairs(optimizer, problem, first=first, second=second)


# Norms -----------------------------------------------------------------------------------------------


def test_norms_and_angles_at_equilibrium():
    """n = (1 - lr wd)^2 n + lr^2 sigma^2/n; a step turns w by the angle with tan^2 = (1 - lr wd)^-2 - 1."""
    lr, decay, sigma2 = 0.3, 0.7, 1.9
    n = scale_invariance.equilibrium_norm2(lr, decay, sigma2)
    assert (1 - lr * decay) ** 2 * n + lr**2 * sigma2 / n == pytest.approx(n, rel=1e-13)
    steps = scale_invariance.norm_recursion(0.4, lr, decay, sigma2, 3)
    for before, after in zip(steps, steps[1:]):
        assert after == pytest.approx((1 - 0.21) ** 2 * before + 0.09 * 1.9 / before, rel=1e-13)
    assert steps[0] == 0.4 and steps.size == 4
    assert math.tan(scale_invariance.equilibrium_angle(0.21)) ** 2 == pytest.approx(0.79**-2 - 1, rel=1e-12)


@pytest.mark.parametrize("mu", [0.0, 0.5, 0.8])
def test_a_growing_rate_is_weight_decay(mu):
    """alpha is the larger root of a^2 - (1 + mu - lr wd) a + mu; the buffer starts at (alpha - 1) x0/(lr alpha)."""
    lr, decay = 0.02, 0.3
    optimizer = (oo.Momentum(lr, momentum=mu, form="torch", weight_decay=decay, weight_decay_mode="coupled") if mu else
                 oo.GradientDescent(lr, weight_decay=decay))
    alpha = max(np.roots([1, -(1 + mu - lr * decay), mu]))
    assert scale_invariance.growth_factor(optimizer) == pytest.approx(alpha, rel=1e-12)
    plain, schedule, start = scale_invariance.growing_equivalent(optimizer, START)
    assert plain.lr == pytest.approx(lr / alpha) and plain.weight_decay == 0.0
    assert schedule(3) == pytest.approx(alpha**-6, rel=1e-12)
    if mu:
        np.testing.assert_allclose(start, [(alpha - 1) / (lr * alpha) * START], rtol=1e-12)
        held = scale_invariance.growing_equivalent(optimizer, START, slots=[[0.3, -0.2]])[2]
        np.testing.assert_allclose(held, start + [[0.3, -0.2]], rtol=1e-12)
    problem = oo.problems.rayleigh()
    run = oo.record(optimizer, problem, START, steps=30)
    other = oo.record(plain, problem, START, steps=30, schedule=schedule, start=start)
    np.testing.assert_allclose(run.x, other.x * alpha ** run.k[:, None], rtol=1e-9)
    wide = scale_invariance.rescaled(optimizer, 1.7)
    assert (wide.lr, wide.weight_decay) == pytest.approx((lr * 1.7**2, decay / 1.7**2))
    np.testing.assert_allclose(oo.record(wide, problem, 1.7 * START, steps=30).x, 1.7 * run.x, rtol=1e-9)


def test_decay_beyond_the_complex_roots_is_refused():
    def optimizer(product):
        return oo.Momentum(0.1, momentum=0.25, form="torch", weight_decay=product / 0.1)

    assert scale_invariance.growth_factor(optimizer(0.2499)) == pytest.approx(0.5, rel=0.02)
    with pytest.raises(ValueError, match="at most"):
        scale_invariance.growth_factor(optimizer(0.2501))
    with pytest.raises(ValueError, match="at most"):
        scale_invariance.growth_factor(oo.GradientDescent(0.1, weight_decay=10.1))


def test_squares_of_noisy_gradients():
    """Without noise |g|^2 |w|^2 and |g|^2 themselves; of mini-batches the means over draws."""
    problem, x = oo.problems.rayleigh(), np.array([[[0.7, 0.4], [1.1, -0.3]], [[0.2, 0.9], [0.6, 0.5]]])
    scaled, square = scale_invariance._gradient_squares(problem, None, x, 3)
    g2 = np.array([[problem.grad(w) @ problem.grad(w) for w in path] for path in x])
    np.testing.assert_allclose(square, g2.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(scaled, (g2 * (x**2).sum(axis=2)).mean(axis=1), rtol=1e-12)
    noise = st.gaussian(0.8)
    many = scale_invariance._gradient_squares(problem, noise, x, 3, draws=4000)[1]
    np.testing.assert_allclose(many, square + 2 * 0.8, rtol=0.05)  # of two coordinates
    digits = oo.problems.normalized_logistic()
    w = np.random.default_rng(0).standard_normal((1, 1, digits.dim))
    rng = np.random.default_rng((5, 1))
    batches = [digits.value_and_grad(w[0, 0], rng.choice(digits.samples, 7, replace=False))[1] for _ in range(4)]
    found = scale_invariance._gradient_squares(digits, st.Minibatch(7), w, 5)[1][0]
    assert found == pytest.approx(np.mean([g @ g for g in batches]), rel=1e-12)


def test_what_is_in_balance():
    ones = np.ones(3)
    study = scale_invariance.NormEquilibrium(
        "p", 4, 0.9, np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.4, 0.1]), np.zeros((3, 2)), np.ones((3, 2)),
        np.ones((3, 2)), ones, np.array([2.0, 4.0, 5.0]), np.array([2.1, 4.0, 4.4]), ones, ones, ones,
        np.array([10.0, 20.0, np.nan]), np.array([1.05, 0.93, 1.0]), np.array([0.06, 0.06, 0.01]))
    assert study.balanced.tolist() == [True, False, True]
    assert "within 12.0%" in study.headline() and "not in balance yet: (lr, wd) = (0.2, 0.4)" in study.headline()
    row = study.rows()[1]
    assert (row["lr wd"], row["lr wd steps"], row["balance"]) == pytest.approx((0.08, 1.6, 0.93))


def test_the_balance_of_a_norm():
    """wd (2 - lr wd) E|w|^2/(lr E|g|^2) over the last third, with the spread of this ratio over paths."""
    problem, (lr, decay), noise = oo.problems.rayleigh(), (0.2, 0.05), st.tangent(0.7)
    study = scale_invariance.norm_equilibrium([(lr, decay)], problem, noise, paths=4, records=10, steps=45, seed=3,
                                              level=0.9)
    run = st.sample(oo.GradientDescent(lr, weight_decay=decay), problem, noise, steps=40, paths=4, seed=3, every=4)
    assert study.k[0].tolist() == run.k.tolist()
    norms = (run.x**2).sum(axis=2)[:, 6:]  # two thirds of ten records, of which there are eleven
    scaled, square = scale_invariance._gradient_squares(problem, noise, run.x[:, 6:], 3)
    late = norms.mean(axis=1)
    balance = decay * (2 - lr * decay) * late.mean() / (lr * square.mean())
    assert study.balance[0] == pytest.approx(balance, rel=1e-12) and study.sigma2[0] == pytest.approx(scaled.mean())
    spread = balance * (late / late.mean() - square / square.mean())
    assert study.balance_half[0] == pytest.approx(S.student(0.9, 3) * spread.std(ddof=1) / 2, rel=1e-12)
    assert study.measured[0] == pytest.approx(late.mean(), rel=1e-12)


def test_the_start_of_growth():
    """On x^2/(x^2 + y^2) with decay the norm shrinks until descent turns; what is measured is that of the lowest f."""
    study = scale_invariance.instability([0.4], steps=900)
    problem = oo.problems.rayleigh()
    run = oo.record(oo.GradientDescent(0.4, weight_decay=0.02 / 0.4), problem, steps=900)
    rise = int(study.rise_step[0])
    low = np.minimum.accumulate(run.f)
    assert rise > 0 and run.f[rise] > low[rise] + 0.1 * (run.f[0] - low[rise])
    assert not (run.f[:rise] > low[:rise] + 0.1 * (run.f[0] - low[:rise]) + 1e-9).any()
    at = int(np.argmin(run.f[: rise + 1]))
    assert study.lowest[0] == run.f[at] and study.turning_norm[0] == pytest.approx(np.linalg.norm(run.x[at]))
    assert study.peak[0] == run.f[rise:].max()
    sharpest = np.abs(np.linalg.eigvalsh(problem.hess(run.x[at]))).max()
    assert study.turning_sharpness[0] == pytest.approx(0.4 * sharpest, rel=1e-6)
    assert study.plain_norm_monotone[0] == 1.0 and study.plain_rise_step[0] == -1
    assert "at 1 of 1 learning rates, without decay at 0" in study.headline()
    row = study.rows()[0]
    assert row["without decay rises"] == "never" and row["norm grows"] == "yes" and row["rises at step"] == rise
