"""Amplification matrices, stability limits, regions, tunings, orbits of period two: measured against theory."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

import odeopt as oo
from odeopt.studies.stability import optimal_parameters, periodic
from odeopt.studies.stability.amplification import amplification_matrix, spectral_radius
from odeopt.studies.stability.limits import (
    StabilityTable,
    limit_formula,
    stability_limit,
    stability_table,
)
from odeopt.studies.stability.regions import SpectralRadiusMap, StabilityRegion, stability_region

# Independent theory (Cohen et al., arXiv:2103.00065 and arXiv:2207.14484; the pages in odeopt/optimizers): limit of
# lr * curvature / preconditioner.
LIMITS = [
    (oo.GradientDescent(lr=1), 2.0),
    (oo.Momentum(lr=1, momentum=0.9), 3.8),
    (oo.Momentum(lr=1, momentum=0.5), 3.0),
    (oo.Momentum(lr=1, momentum=0.9, form="ema"), 38.0),
    (oo.Momentum(lr=1, momentum=0.9, form="torch"), 3.8),
    (oo.Momentum(lr=1, momentum=0.9, form="torch", dampening=0.5), 7.6),
    (oo.Momentum(lr=1, momentum=0.9, weight_decay=0.2), 3.8 / 1.2),
    (oo.Nesterov(lr=1, momentum=0.9), 3.8 / 2.8),
    (oo.Nesterov(lr=1, momentum=0.5), 1.5),
    (oo.Nesterov(lr=1, momentum=None), 4 / 3),
    (oo.RMSprop(lr=1), 2.0),
    (oo.RMSprop(lr=1, form="scalar"), 2.0),
    (oo.RMSprop(lr=1, bias_correction=True, eps_mode="outside", eps=0.1), 2.0),
    (oo.RMSprop(lr=1, momentum=0.5), 3.0),
    (oo.RMSprop(lr=1, momentum=0.5, nesterov=True), 1.5),
    (oo.RMSprop(lr=1, centered=True), 2.0),
    (oo.Adagrad(lr=1), 2.0),
    (oo.Adadelta(), 2.0),
    (oo.Adam(), 38.0),
    (oo.Adam(beta1=0.5, eps=0.2), 6.0),
    (oo.Adam(eps_mode="inside", eps=0.3), 38.0),
    (oo.AMSGrad(), 38.0),
    (oo.AdaMax(), 38.0),
    (oo.NAdam(momentum_decay=None), 38 / 2.8),
    (oo.NAdam(), 38 / 2.8),
    (oo.AdamW(weight_decay=0.0), 38.0),
]


@pytest.mark.parametrize(("optimizer", "expected"), LIMITS, ids=lambda v: repr(v)[:40])
def test_limit_of_every_optimizer_is_its_formula(optimizer, expected):
    measured = stability_limit(optimizer)
    assert measured == pytest.approx(expected, rel=1e-10)
    assert limit_formula(optimizer)[0] == pytest.approx(expected, rel=1e-14)


def test_limit_in_other_units():
    # arXiv:2207.14484: lambda_max(H/P) = 38/lr for Adam; 2/curvature for gradient descent; P scales it all.
    assert stability_limit(oo.Adam(lr=0.01), vary="curvature") == pytest.approx(3800.0, rel=1e-10)
    assert stability_limit(oo.GradientDescent(lr=1), 50.0) == pytest.approx(0.04, rel=1e-10)
    assert stability_limit(oo.RMSprop(lr=1), 10.0, preconditioner=3.0) == pytest.approx(0.6, rel=1e-10)


def test_limit_is_where_runs_begin_to_diverge():
    for optimizer, expected in ((oo.Momentum(lr=1, momentum=0.9), 3.8), (oo.Nesterov(lr=1, momentum=0.5), 1.5)):
        below, above = (oo.record(replace(optimizer, lr=expected * f / 7.0), oo.problems.quadratic([7.0]), steps=20000)
                        for f in (0.999, 1.001))
        assert below.f[-1] < 1e-9 * below.f[0]
        assert above.status == "diverged" or above.f[-1] > 1e6


def test_limit_beside_the_step_counts_the_decay():
    # Eigenvalue -1 with x <- (1 - lr d) x beside the step needs 2 - lr d where there was 2.
    decay, bare = 0.1, 38.0
    measured = stability_limit(oo.AdamW(weight_decay=decay))
    assert measured == pytest.approx(bare / (1 + decay * bare / 2), rel=1e-10)


@pytest.mark.parametrize("optimizer", [oo.SignGD(lr=1), oo.NormalizedGD(lr=1), oo.Lion(), oo.Rprop(),
                                       oo.ErrorControlledEuler(tol=1), oo.AdaptiveGains(lr=1)], ids=lambda o: o.key)
def test_steps_that_do_not_shrink_with_the_gradient_have_no_matrix(optimizer):
    with pytest.raises(ValueError, match="must be linear at the minimum"):
        amplification_matrix(optimizer)


def test_every_optimizer_has_a_limit_or_a_reason():
    table = stability_table()
    for row in table.rows():
        if row["message"]:
            assert "linear at the minimum" in row["message"]
        else:
            assert row["formula"], f"add the formula of its limit to studies/stability.py: {row}"
            assert row["deviation"] < 1e-10, row
    assert (~np.isnan(table.measured)).sum() >= 11


def test_matrices_are_what_the_updates_say():
    c, lr, mu = 3.0, 0.1, 0.7
    a = amplification_matrix(oo.Momentum(lr=lr, momentum=mu), c)
    np.testing.assert_allclose(a, [[1 - lr * c, mu], [-lr * c, mu]], rtol=1e-15)
    a = amplification_matrix(oo.Nesterov(lr=lr, momentum=mu), c)
    np.testing.assert_allclose(a, [[1 - lr * c * (1 + mu), mu * mu], [-lr * c, mu]], rtol=1e-15)
    a = amplification_matrix(oo.Adam(lr=lr, beta1=mu), c)
    np.testing.assert_allclose(a, [[1 - lr * (1 - mu) * c, -lr * mu], [(1 - mu) * c, mu]], rtol=1e-14)
    many = amplification_matrix(oo.Momentum(lr=lr, momentum=mu), [1.0, c])
    np.testing.assert_array_equal(many[1], amplification_matrix(oo.Momentum(lr=lr, momentum=mu), c))
    complex_ = amplification_matrix(oo.Momentum(lr=lr, momentum=mu), c * np.exp(0.3j))
    np.testing.assert_allclose(complex_[0, 0], 1 - lr * c * np.exp(0.3j), rtol=1e-15)


def test_scheme_limits_on_the_negative_axis():
    # Hairer & Wanner II, section IV.2: -2, -2, -2.785293563405282, -3.3066 (Dormand-Prince).
    assert stability_limit(oo.schemes.explicit_euler) == pytest.approx(2, rel=1e-10)
    assert stability_limit(oo.schemes.heun) == pytest.approx(2, rel=1e-10)
    assert stability_limit(oo.schemes.rk4) == pytest.approx(2.785293563405282, rel=1e-10)
    assert stability_limit(oo.schemes.dormand_prince) == pytest.approx(3.3066, rel=1e-4)
    assert stability_limit(oo.schemes.implicit_euler) == math.inf


def test_verlet_limit_is_two_over_the_frequency():
    flow = oo.flows.heavy_ball_flow(0.0)
    method = oo.Discretization(flow, oo.schemes.stormer_verlet, 0.1)
    assert stability_limit(method, 9.0) == pytest.approx(2 / 3, rel=1e-6)


def test_rk4_region_is_the_exponential_series_and_its_imaginary_interval():
    region = stability_region(oo.schemes.rk4, ((-3, 0.5), (-3.2, 3.2)), resolution=81)
    z = region.z
    np.testing.assert_allclose(region.radius, abs(1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24), rtol=1e-13)
    edge = amplification_matrix(oo.schemes.rk4, -1j * np.array([0.999, 1.001]) * math.sqrt(8))
    assert spectral_radius(edge)[0] < 1 < spectral_radius(edge)[1]


def test_momentum_region_obeys_the_two_step_root_condition():
    # arXiv:1702.06751: rho(w) = w^2 - (1 + mu - lr c) w + mu.
    mu = 0.6
    region = stability_region(oo.Momentum(lr=0.3, momentum=mu), resolution=41)
    roots = [np.abs(np.roots([1, -(1 + mu + z), mu])).max() for z in region.z.ravel()]
    np.testing.assert_allclose(region.radius.ravel(), roots, rtol=1e-12)
    assert region.limit == pytest.approx(2 * (1 + mu), rel=1e-10)


def test_momentum_region_is_an_ellipse():
    # The root condition holds inside the ellipse with centre -(1 + mu) and semi-axes 1 + mu, 1 - mu: friction
    # makes momentum stable far out on the real axis and nowhere else.
    mu, angle = 0.9, np.linspace(0.1, 2 * np.pi - 0.1, 60)
    edge = -(1 + mu) + (1 + mu) * np.cos(angle) + 1j * (1 - mu) * np.sin(angle)
    matrices = [amplification_matrix(oo.Momentum(lr=1, momentum=mu), -(edge + f * (edge + 1 + mu)))
                for f in (-1e-4, 1e-4)]
    assert spectral_radius(matrices[0]).max() < 1 < spectral_radius(matrices[1]).min()


def test_default_window_shows_the_whole_region():
    for method in (oo.schemes.rk4, oo.schemes.rkc, oo.Momentum(lr=0.1, momentum=0.9)):
        region = stability_region(method, resolution=101)
        inside = region.radius <= 1
        assert inside.any(axis=1).mean() > 0.7 and inside.any(axis=0).mean() > 0.7
        assert not (inside[0].any() or inside[-1].any() or inside[:, 0].any() or inside[:, -1].any())


def test_region_of_gradient_descent_is_a_disc_and_survives_saving(tmp_path):
    region = stability_region(oo.GradientDescent(lr=0.2), resolution=51)
    np.testing.assert_allclose(region.radius, abs(1 + region.z), rtol=1e-13)
    for name in ("r.npz", "r.json"):
        region.save(tmp_path / name)
        again = StabilityRegion.load(tmp_path / name)
        np.testing.assert_array_equal(again.radius, region.radius)
        assert again.limit == region.limit
    assert "2" in repr(region)


# The exact spectral radii on quadratics (arXiv:1408.3595), condition 8.
B5 = [
    (optimal_parameters.gradient_descent, 7 / 9),
    (optimal_parameters.polyak, (math.sqrt(8) - 1) / (math.sqrt(8) + 1)),
    (optimal_parameters.nesterov, 1 - 1 / math.sqrt(8)),
    (optimal_parameters.nesterov_tuned, 1 - 2 / 5),
]


@pytest.mark.parametrize(("tuning", "rate"), B5, ids=lambda v: getattr(v, "__name__", ""))
def test_tunings_reach_their_rates(tuning, rate):
    chosen = tuning(0.5, 4.0)
    assert chosen.rate == pytest.approx(rate, rel=1e-14)
    radius = spectral_radius(amplification_matrix(chosen.optimizer, np.geomspace(0.5, 4.0, 33)))
    # Double eigenvalues at the ends of the interval (the mark of optimality) cost half the digits.
    assert radius.max() == pytest.approx(rate, rel=1e-7)


@pytest.mark.parametrize(("tuning", "rate"), B5, ids=lambda v: getattr(v, "__name__", ""))
def test_tunings_are_optimal_for_their_method(tuning, rate):
    chosen = tuning(0.5, 4.0).optimizer
    if tuning is optimal_parameters.nesterov:
        pytest.skip("lr = 1/L is the proved choice, not the best on quadratics")
    for name in ("lr", "momentum"):
        for factor in (0.97, 1.03) if hasattr(chosen, name) else ():
            other = replace(chosen, **{name: getattr(chosen, name) * factor})
            assert spectral_radius(amplification_matrix(other, np.geomspace(0.5, 4.0, 33))).max() > rate + 1e-4


def test_polyak_is_a_larger_stable_step():
    # arXiv:1702.06751: h = lr/(1 - momentum) = 1/sqrt(mu L); the two-step method is stable up to h c = 2(1+b)/(1-b).
    mu, L = 0.3, 40.0
    chosen = optimal_parameters.polyak(mu, L).optimizer
    h, b = chosen.lr / (1 - chosen.momentum), chosen.momentum
    assert h == pytest.approx(1 / math.sqrt(mu * L), rel=1e-14)
    limit = stability_limit(oo.Momentum(lr=1, momentum=b)) / (1 - b)
    assert limit == pytest.approx(2 * (1 + b) / (1 - b), rel=1e-10)
    assert limit / 2 > 3.9  # against gradient descent's 2


def test_polyak_fails_off_quadratics():
    # arXiv:1408.3595: a 3-cycle of the tuning for (1, 25).
    chosen = optimal_parameters.polyak(1, 25).optimizer
    assert (chosen.lr, chosen.momentum) == pytest.approx((1 / 9, 4 / 9), rel=1e-15)
    run = oo.record(chosen, optimal_parameters.polyak_counterexample(), steps=3000)
    assert sorted(run.x[-3:, 0]) == pytest.approx(sorted(optimal_parameters.POLYAK_CYCLE), abs=1e-6)
    assert run.f[-3:].min() > 1


def test_spectral_radius_map_finds_polyaks_point():
    study = oo.spectral_radius_map(oo.Momentum(lr=1), 1.0, 10.0, lr=np.linspace(0.15, 0.3, 16),
                                   momentum=np.linspace(0.1, 0.5, 21))
    best = optimal_parameters.polyak(1.0, 10.0)
    assert study.polyak_radius == pytest.approx(best.rate, rel=1e-7)
    assert study.best_radius >= best.rate - 1e-9
    assert abs(study.best_lr - best.optimizer.lr) <= 0.011
    assert abs(study.best_momentum - best.optimizer.momentum) <= 0.021
    assert study.radius.shape == (21, 16)
    assert SpectralRadiusMap.from_dict(study.to_dict()).best_radius == study.best_radius


def test_phase_volume_shrinks_by_the_momentum_in_each_dimension():
    # Conformal symplectic (Franca et al., arXiv:1903.04100): det of the one-step Jacobian = momentum^d for any f.
    problem = oo.problems.rosenbrock(dim=5)
    x, v = np.array([0.3, -0.7, 1.1, 0.2, 0.9]), np.array([[0.1, -0.2, 0.05, 0.3, -0.1]])
    for optimizer in (oo.Momentum(lr=1e-3, momentum=0.9), oo.Momentum(lr=3e-3, momentum=0.9)):
        jacobian = periodic.step_jacobian(optimizer, problem, x, v)
        assert np.linalg.det(jacobian) == pytest.approx(0.59049, rel=1e-9)


@pytest.mark.parametrize("curvature", [0.3, 20.0])
@pytest.mark.parametrize("decay", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("form", ["vector", "scalar"])
def test_rmsprop_ends_in_its_orbit(decay, form, curvature):
    # |x| = lr/2, multipliers of modulus sqrt(decay): .7071, .94868, .99499.
    orbit = oo.period_two_orbit(oo.RMSprop(lr=0.1, decay=decay, eps=0, form=form), curvature)
    assert orbit.amplitude == pytest.approx(0.05, rel=1e-13)
    np.testing.assert_allclose(abs(orbit.multipliers), math.sqrt(decay), rtol=1e-9)
    assert orbit.attracting and orbit.residual < 1e-14


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.5, 0.99])
def test_rmsprop_with_momentum_has_an_orbit_too(momentum, nesterov):
    # b = g/|g| - momentum b = +-1/(1 + momentum), 2 |x| = lr |b| or lr |g/|g| + momentum b|; the slot of the mean
    # gradient is never used.
    orbit = oo.period_two_orbit(oo.RMSprop(lr=0.1, eps=0, momentum=momentum, nesterov=nesterov), 4.0)
    length = (1 + 2 * momentum if nesterov else 1) / (1 + momentum)
    assert orbit.amplitude == pytest.approx(0.05 * length, rel=1e-13)
    assert orbit.residual < 1e-14 and orbit.multipliers.size == 3 and orbit.attracting == nesterov


def test_an_orbit_lost_on_the_way_is_said_in_one_sentence():
    with pytest.raises(ValueError, match="must have an orbit of period two near"):  # Newton's matrix gets singular
        oo.period_two_orbit(oo.AMSGrad(lr=6.361160279170366e-05, beta1=0.99, eps_mode="inside", form="optax"))


def test_only_mean_squares_of_gradients_make_an_orbit():
    with pytest.raises(ValueError, match="optimizer must divide by a mean square"):
        oo.period_two_orbit(oo.Adadelta())


def test_rmsprop_run_reaches_the_orbit():
    run = oo.record(oo.RMSprop(lr=0.1, decay=0.9, eps=1e-14), oo.problems.quadratic([5.0], x0=[0.06]), steps=800)
    assert abs(run.x[-1, 0]) == pytest.approx(0.05, rel=1e-6)
    assert run.x[-1, 0] * run.x[-2, 0] < 0


def test_adams_orbit_sits_at_the_stability_limit_and_repels():
    # |x| = lr/38, at the stability threshold; growth 1.0494 per step at (.9, .999).
    lr = 0.01
    adam = oo.Adam(lr=lr, eps=0)
    orbit = oo.period_two_orbit(adam, 4.0)
    assert orbit.amplitude == pytest.approx(lr / 38, rel=1e-13)
    preconditioner = math.sqrt(orbit.state[1 + adam.slot_names.index("square")])
    assert 4.0 / preconditioner == pytest.approx(stability_limit(adam, vary="curvature"), rel=1e-10)
    assert orbit.growth == pytest.approx(1.0494, abs=5e-5) and not orbit.attracting
    assert periodic.simulated_growth(adam, 4.0) == pytest.approx(orbit.growth, rel=1e-5)


@pytest.mark.parametrize(("beta2", "threshold"), [(0.5, 0.22800), (0.9, 0.18059), (0.99, 0.17243), (0.999, 0.17166)])
def test_threshold_of_beta1(beta2, threshold):
    found = periodic.critical_beta1(beta2)
    assert found == pytest.approx(threshold, abs=6e-6)
    below = oo.period_two_orbit(oo.Adam(lr=1, beta1=found - 1e-3, beta2=beta2, eps=0))
    assert below.attracting and abs(below.multipliers[0].imag) > 0  # a complex pair crosses


def test_threshold_tends_to_the_root_of_a_quadratic():
    gaps = [periodic.critical_beta1(b) - (3 - 2 * math.sqrt(2)) for b in (0.99, 0.999, 0.9999)]
    assert gaps[0] > gaps[1] > gaps[2] > 0
    assert gaps[1] / gaps[2] == pytest.approx(10, rel=0.02)  # linear in 1 - beta2


def test_orbit_survives_saving(tmp_path):
    orbit = oo.period_two_orbit(oo.Adam(lr=0.1))
    for name in ("o.json", "o.npz"):
        orbit.save(tmp_path / name)
        again = periodic.PeriodTwoOrbit.load(tmp_path / name)
        np.testing.assert_array_equal(again.multipliers, orbit.multipliers)


def test_orbit_with_eps_is_found_or_refused():
    orbit = oo.period_two_orbit(oo.RMSprop(lr=0.1, eps=1e-6))
    assert 0.049 < orbit.amplitude < 0.05 and orbit.residual < 1e-12
    with pytest.raises(ValueError, match="orbit of period two"):
        oo.period_two_orbit(oo.RMSprop(lr=0.1, eps=1.0))
    with pytest.raises(ValueError, match="as RMSprop and Adam do"):
        oo.period_two_orbit(oo.GradientDescent(lr=0.1))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="curvature"):
        amplification_matrix(oo.Adam(), math.nan)
    with pytest.raises(TypeError, match="method must be"):
        amplification_matrix("adam")
    with pytest.raises(ValueError, match="preconditioner"):
        amplification_matrix(oo.Adam(eps=2.0))
    with pytest.raises(ValueError, match="vary"):
        stability_limit(oo.Adam(), vary="beta")
    with pytest.raises(ValueError, match="must have a momentum"):
        oo.spectral_radius_map(oo.GradientDescent(lr=1))
    with pytest.raises(TypeError, match="Optimizer or a Scheme"):
        stability_region(3)
    with pytest.raises(ValueError, match="one fixed step"):
        amplification_matrix(oo.Discretization(oo.flows.gradient_flow(), oo.schemes.heun, [0.1, 0.2]))


def test_table_survives_saving(tmp_path):
    table = stability_table([oo.GradientDescent.default(), oo.Adam.default()])
    table.save(tmp_path / "t.json")
    again = StabilityTable.load(tmp_path / "t.json")
    assert again.rows() == table.rows() and "against their formulas" in repr(again)


def test_command_line(tmp_path, capsys):
    from odeopt.cli import main

    assert main(["stability", "--optimizers", "gd,momentum,adam,rprop", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "2 (1 + β1)/(1 - β1)" in said and "No limit" in said and "Polyak" in said
    assert {p.name for p in tmp_path.iterdir()} == {
        "stability.csv", "stability.json", "stability-map.png", "stability-optimizers.png", "stability-schemes.png"}
    stored = json.loads((tmp_path / "stability.json").read_text(encoding="utf-8"))
    limits = {row["optimizer"]: row["limit of lr c/P"] for row in stored["rows"]}
    assert limits["Adam"] == pytest.approx(38, rel=1e-10)
    assert main(["stability", "--optimizers", "gd", "--mu", "3", "--L", "1"]) == 2
    assert capsys.readouterr().err.startswith("odeopt stability: --L must be")
    assert main(["stability", "--optimizers", "adam", "--set", "adam.beta1=0.5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["limit of lr c/P"] == pytest.approx(6, rel=1e-10)


def test_a_table_of_what_is_no_optimizer_is_refused():
    with pytest.raises(TypeError, match="optimizers must be Optimizers, got 1"):
        stability_table([1])
