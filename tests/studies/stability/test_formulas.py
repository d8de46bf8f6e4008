"""Stability in closed form: ends of intervals, regions, multipliers of orbits, tunings, logs of step rules."""

import math

import numpy as np
import pytest

import odeopt as oo
from odeopt.studies.stability import limits, periodic, regions
from odeopt.studies.stability import optimal_parameters as optimal
from odeopt.studies.stability.amplification import amplification_matrix, divided_by, spectral_radius
from odeopt.studies.stability.limits import stability_limit
from odeopt.studies.stability.step_control import ControlLog

# Limits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sections", [1, 32])
@pytest.mark.parametrize("end", [2.0**-11.9, 0.7, 3.0, 4.0, 123.4, 2.0**39.9])
def test_the_end_of_an_interval_is_found_to_the_last_digit(sections, end):
    asked = []

    def radii(values):
        asked.append(len(values))
        return np.where(np.asarray(values) <= 0.3 * end, 1.0, 1.0 + 2e-12)

    found = limits._first_exit(radii, 0.3, sections)
    assert found <= 0.3 * end < np.nextafter(found, np.inf)
    assert max(asked) == (1 if sections == 1 else 209) and len(asked) < 310  # four values in an octave, 52 octaves


@pytest.mark.parametrize("sections", [1, 32])
def test_an_interval_without_end_and_none_at_all(sections):
    assert limits._first_exit(lambda values: np.ones(len(values)) + 1e-12, 2.0, sections) == math.inf
    assert limits._first_exit(lambda values: np.ones(len(values)) + 1.1e-12, 2.0, sections) == 0.0
    first, last = 2.0**-12, 2.0**40
    for stable, end in ((lambda x: x <= first, first), (lambda x: x < last, np.nextafter(last, 0)),
                        (lambda x: x <= last, math.inf)):
        assert limits._first_exit(lambda x, stable=stable: np.where(stable(x), 1.0, 2.0), 1.0, sections) == end
    # it ends where instability is first met, and not where it ends again
    gap = limits._first_exit(lambda values: np.where((values > 3.0) & (values < 9.0), 2.0, 0.5), 1.0, sections)
    assert gap == 3.0


def test_a_table_of_limits_is_good_where_all_agree():
    def table(measured, expected):
        n = len(measured)
        return limits.StabilityTable(("a",) * n, ("a()",) * n, ("2",) * n, np.array(measured), np.array(expected),
                                     ("",) * n)

    assert table([2.0, 3.0, np.nan], [2.0 * (1 + 0.9e-10), 3.0, 4.0]).good
    assert not table([2.0, 3.0], [2.0 * (1 + 1.1e-10), 3.0]).good
    found = table([2.0, 3.0, 5.0, np.inf], [2.0, 3.03, np.nan, 2.0])
    assert found.rows()[1]["deviation"] == pytest.approx(1 - 3 / 3.03) and "2 against" in found.headline()
    assert f"deviation {1 - 3 / 3.03:.1e}" in found.headline()
    assert "against" not in table([np.nan], [1.0]).headline()


def test_steps_of_a_discretization_scale_its_matrix():
    """R(-h c) of Heun's scheme with its own step, and of the heavy ball's flow by Verlet's as its two-step form."""
    heun = oo.Discretization(oo.flows.gradient_flow(), oo.schemes.heun, 0.3)
    z = -0.3 * np.array([0.7, 2.9])
    np.testing.assert_allclose(amplification_matrix(heun, -z / 0.3)[:, 0, 0], 1 + z + z * z / 2, rtol=1e-13)
    assert stability_limit(heun, 5.0) == pytest.approx(0.4, rel=1e-9)
    assert stability_limit(heun, vary="curvature") == pytest.approx(2 / 0.3, rel=1e-9)
    radii = spectral_radius(np.array([[[0.0, 2.0], [-2.0, 0.0]], [[np.inf, 0], [0, 1]], [[-3.0, 1], [0, 0.5]]]))
    np.testing.assert_allclose(radii, [2.0, np.inf, 3.0])
    assert spectral_radius(np.array([[-4.0]])) == 4.0


@pytest.mark.parametrize("preconditioner", [1e-140, 1e6, 1e150])
def test_a_preconditioner_of_any_size_and_of_methods_without_one(preconditioner):
    """The limit is in its unit, and where nothing is divided it has no say."""
    adam = oo.Adam(1.0, beta1=0.5, eps=0.0)
    found = stability_limit(adam, preconditioner=preconditioner, vary="curvature")
    assert found == pytest.approx(6 * preconditioner, rel=1e-9)
    for method in (oo.Momentum(0.2, momentum=0.5), oo.Nesterov(0.2, momentum=None), oo.schemes.heun,
                   oo.Discretization(oo.flows.gradient_flow(), oo.schemes.explicit_euler, 0.2)):
        assert divided_by(method, preconditioner) == 1.0
    descent = oo.GradientDescent(0.2)
    assert stability_limit(descent, preconditioner=preconditioner, vary="curvature") == pytest.approx(10.0, rel=1e-9)
    region = regions.stability_region(descent, ((-3, 1), (-1, 1)), resolution=5, preconditioner=preconditioner)
    np.testing.assert_allclose(region.radius, abs(1 + region.z), rtol=1e-12)
    assert stability_limit(oo.RMSprop(1.0, eps=0.0), 0.3, preconditioner=40.0) == pytest.approx(2 * 40 / 0.3, rel=1e-9)


# Regions and maps -----------------------------------------------------------------------------------


def test_the_window_of_a_region_and_its_row():
    """Of the disc |1 + z| <= 1: an eighth more to the left, three twentieths to the right, a fifth more above."""
    region = regions.stability_region(oo.GradientDescent(0.2))
    assert region.re.shape == region.im.shape == (201,) and region.radius.shape == (201, 201)
    assert (region.re[0], region.re[-1]) == pytest.approx((-2.24, 0.3), rel=1e-9)
    assert region.z[3, 5] == region.re[5] + 1j * region.im[3]
    assert region.im[-1] == -region.im[0] and 1.18 < region.im[-1] <= 1.2
    (row,) = region.rows()
    assert row["area in the window"] == pytest.approx(math.pi, rel=5e-3) and row["gradients per step"] == 1
    assert row["real interval"] == row["interval per gradient"] == pytest.approx(2.0)
    assert region.key == "gradientdescent"
    region = regions.stability_region(oo.schemes.heun, ((-2.5, 0.5), (-2, 2)), resolution=21)
    (row,) = region.rows()
    inside = (abs(1 + region.z + region.z**2 / 2) <= 1).sum() * (3 / 20) * (4 / 20)
    assert row["area in the window"] == pytest.approx(inside, rel=1e-9)
    assert row["interval per gradient"] == pytest.approx(1.0) and region.gradients == 2


def test_the_window_of_long_and_of_endless_regions(monkeypatch):
    """Three twentieths of ten at most; without end, as if that were at -4, and as high as it was looked."""
    monkeypatch.setattr(regions, "spectral_radius", lambda matrices: np.zeros(len(matrices)))
    for limit, low, right, high in ((50.0, -56.0, 1.5, 100.0), (math.inf, -4.48, 0.6, 8.0)):
        monkeypatch.setattr(regions, "stability_limit", lambda *_, limit=limit, **options: limit)
        monkeypatch.setattr(regions, "amplification_matrix", lambda method, c, **options: c)
        region = regions.stability_region(oo.schemes.heun, resolution=3)
        np.testing.assert_allclose(region.re, [low, 0.5 * (low + right), right], rtol=1e-12)
        np.testing.assert_allclose(region.im, [-1.44 * high, 0.0, 1.44 * high], rtol=1e-12)


def test_regions_of_adaptive_methods_are_in_units_of_their_preconditioner():
    adam = oo.Adam(0.01, beta1=0.5, eps=0.0)
    for preconditioner in (1.0, 40.0):
        region = regions.stability_region(adam, ((-7, 1), (-2, 2)), resolution=9, preconditioner=preconditioner)
        radii = [np.abs(np.roots([1, -(1.5 + 0.5 * z), 0.5])).max() for z in region.z.ravel()]
        np.testing.assert_allclose(region.radius.ravel(), radii, rtol=1e-9)
        assert region.limit == pytest.approx(6.0)


def heavy_ball(lr, mu, c):
    return np.abs(np.roots([1, -(1 + mu - lr * c), mu])).max()


def test_the_map_of_the_heavy_ball():
    """Worst root over nine curvatures from mu to L, for 61 rates up to 4.05/L and 61 momenta up to 0.99."""
    study = oo.spectral_radius_map(oo.Momentum(lr=1), 0.7, 6.0)
    assert study.radius.shape == (61, 61)
    np.testing.assert_allclose(study.lr, np.linspace(0.05, 4.05, 61) / 6.0, rtol=1e-14)
    np.testing.assert_allclose(study.momentum, np.linspace(0.0, 0.99, 61), rtol=1e-14)
    curvatures = np.geomspace(0.7, 6.0, 9)
    for i, j in ((0, 0), (3, 40), (20, 11), (60, 60), (17, 30)):
        worst = max(heavy_ball(study.lr[j], study.momentum[i], c) for c in curvatures)
        assert study.radius[i, j] == pytest.approx(worst, rel=1e-9)
    i, j = np.unravel_index(study.radius.argmin(), study.radius.shape)
    best = (study.lr[j], study.momentum[i], study.radius[i, j])
    assert (study.best_lr, study.best_momentum, study.best_radius) == best
    a, b = math.sqrt(6.0), math.sqrt(0.7)
    assert study.polyak_lr == pytest.approx(4 / (a + b) ** 2) and study.polyak_momentum == pytest.approx(
        ((a - b) / (a + b)) ** 2)
    assert study.polyak_radius == pytest.approx((a - b) / (a + b), rel=1e-6)
    rows = study.rows()
    assert rows[0] == {"point": "best on the grid", "lr": study.best_lr, "momentum": study.best_momentum,
                       "spectral radius": study.best_radius}
    for other in (oo.Nesterov(lr=1), oo.Momentum(lr=1, form="ema"), oo.Momentum(lr=1, weight_decay=0.1)):
        other_map = oo.spectral_radius_map(other, 0.7, 6.0, lr=[0.1], momentum=[0.5])
        assert math.isnan(other_map.polyak_lr) and math.isnan(other_map.polyak_radius)


# Orbits of period two -------------------------------------------------------------------------------


@pytest.mark.parametrize(("decay", "c", "lr"), [(0.3, 4.0, 0.1), (0.9, 0.7, 0.02), (0.99, 20.0, 1.3)])
def test_multipliers_of_rmsprop(decay, c, lr):
    """Roots of m^2 - (3 decay - 1) m + decay, at sqrt(v) = c lr/2."""
    orbit = oo.period_two_orbit(oo.RMSprop(lr, decay=decay, eps=0.0), c)
    np.testing.assert_allclose(orbit.state, [lr / 2, (c * lr / 2) ** 2], rtol=1e-12)
    roots = np.roots([1, -(3 * decay - 1), decay])
    np.testing.assert_allclose(sorted(orbit.multipliers, key=np.imag), sorted(roots, key=np.imag), rtol=1e-9)
    assert (orbit.growth, orbit.formula) == pytest.approx((math.sqrt(decay), lr / 2), rel=1e-9) and orbit.attracting
    assert periodic.simulated_growth(oo.RMSprop(lr, decay=decay, eps=0.0), c) == pytest.approx(math.sqrt(decay),
                                                                                           rel=1e-3)


@pytest.mark.parametrize(("beta1", "beta2", "c"), [(0.6, 0.8, 3.0), (0.1, 0.95, 0.4), (0.9, 0.999, 7.0)])
def test_multipliers_of_adam(beta1, beta2, c):
    """The Jacobian of the reflected step, written out at m = -(1 - beta1) c x/(1 + beta1), v = c^2 x^2."""
    lr = 0.3
    x = lr * (1 - beta1) / (2 * (1 + beta1))
    after, root = (1 - beta1) / (1 + beta1) * c * x, c * x
    dm = np.array([(1 - beta1) * c, beta1, 0.0])
    dv = np.array([2 * (1 - beta2) * c * c * x, 0.0, beta2])
    dx = np.array([1.0, 0.0, 0.0]) - lr * (dm / root - after / (2 * root**3) * dv)
    adam = oo.Adam(lr, beta1=beta1, beta2=beta2, eps=0.0)
    orbit, expected = oo.period_two_orbit(adam, c), np.linalg.eigvals([-dx, -dm, dv])
    names = [slot.name for slot in adam.slots]
    assert orbit.amplitude == orbit.state[0] == pytest.approx(x, rel=1e-12)
    assert orbit.state[1 + names.index("mean")] == pytest.approx(-after, rel=1e-12)
    assert orbit.state[1 + names.index("square")] == pytest.approx(root**2, rel=1e-12)
    np.testing.assert_allclose(np.abs(orbit.multipliers), sorted(np.abs(expected))[::-1], rtol=1e-7)
    np.testing.assert_allclose(np.poly(orbit.multipliers), np.poly(expected), rtol=1e-7, atol=1e-9)
    assert orbit.attracting == (np.abs(expected).max() < 1) and orbit.residual < 1e-12
    row = orbit.rows()[0]
    assert row["attracting"] == ("yes" if orbit.attracting else "no") and row["growth per step"] == orbit.growth


@pytest.mark.parametrize("left", [0.98, 0.8, 0.4, 0.055, 0.045])
def test_orbits_with_eps(left):
    """sqrt(c^2 x^2 + eps) = lr c/2 or c x + eps = lr c/2: of |x| = lr/2 a part is left, and a twentieth at least."""
    lr, c = 0.1, 3.0
    inside = oo.RMSprop(lr, decay=0.8, eps=(1 - left**2) * (lr * c / 2) ** 2)
    if left > 0.05:
        orbit = oo.period_two_orbit(inside, c)
        assert (orbit.amplitude, orbit.formula) == pytest.approx((left * lr / 2, lr / 2), rel=1e-10)
    else:
        with pytest.raises(ValueError, match="must have an orbit of period two near"):
            oo.period_two_orbit(inside, c)
    if left > 0.3:
        outside = oo.RMSprop(lr, decay=0.8, eps=(1 - left) * lr * c / 2, eps_mode="outside")
        assert oo.period_two_orbit(outside, c).amplitude == pytest.approx(left * lr / 2, rel=1e-10)


def test_an_orbit_attracts_where_deviations_shrink():
    for size, attracting in ((1.0, False), (0.999, True), (1.001, False)):
        orbit = periodic.PeriodTwoOrbit("m", "m()", 1.0, np.ones(2), 1.0, 1.0, 0.0, np.array([-size * 1j, 0.1]))
        assert orbit.growth == size and orbit.attracting == attracting


def test_differences_of_a_step_reach_three_five_hundred_and_twelfths():
    seen = []
    problem = oo.Problem(lambda x: 0.5 * float(x @ x), lambda x: seen.append(x.copy()) or x.copy(), x0=[2.0, 0.0])
    seen.clear()
    periodic.step_jacobian(oo.GradientDescent(0.1), problem, [2.0, 0.0], np.zeros((0, 2)))
    away = np.abs(np.array(seen) - [2.0, 0.0]).max(axis=0)
    np.testing.assert_allclose(away, [2.0 * 3 / 512, 3 / 512], rtol=1e-12)
    seen.clear()
    periodic.step_jacobian(oo.GradientDescent(0.1), problem, [2.0, 0.0], np.zeros((0, 2)), scales=[[0.5, 4.0]])
    away = np.abs(np.array(seen) - [2.0, 0.0]).max(axis=0)
    np.testing.assert_allclose(away, [0.5 * 3 / 512, 4.0 * 3 / 512], rtol=1e-12)


# Tunings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mu", "L", "stages"), [(0.4, 7.0, 3), (1.0, 30.0, 6)])
def test_chebyshevs_tunings_are_the_least_polynomials(mu, L, stages):
    """T_n(w(c))/T_n(w(0)) with w = (L + mu - 2 c)/(L - mu): by steps one after another, and inside one step."""
    c = np.linspace(mu, L, 50)
    t = np.polynomial.Chebyshev.basis(stages)
    expected = t((L + mu - 2 * c) / (L - mu)) / t((L + mu) / (L - mu))
    bound = 1 / t((L + mu) / (L - mu))
    cycle = optimal.chebyshev(mu, L, stages)
    np.testing.assert_allclose(np.prod([1 - h * c for h in cycle.optimizer.h], axis=0), expected, atol=1e-12)
    one = optimal.rkc(mu, L, stages)
    np.testing.assert_allclose(amplification_matrix(one.optimizer, c)[:, 0, 0], expected, atol=1e-10)
    assert cycle.rate == pytest.approx(bound ** (1 / stages), rel=1e-12) == pytest.approx(one.rate, rel=1e-12)
    assert (cycle.mu, cycle.L, one.mu, one.L) == (mu, L, mu, L) and len(cycle.optimizer.h) == stages


def test_the_table_of_tunings_and_when_it_is_good():
    table = optimal.tuning_table(0.5, 8.0)
    assert table.good and [row["method"] for row in table.rows()] == [
        "gradient descent", "heavy ball (Polyak)", "Nesterov, lr = 1/L", "Nesterov, tuned",
        "Chebyshev steps, cycle of 8", "RKC, 8 stages"]
    q = 3 / 5
    rates = [15 / 17, q, 1 - 1 / 4, 1 - 2 / 7, (2 * q**8 / (1 + q**16)) ** (1 / 8)]
    np.testing.assert_allclose(table.rate, [*rates, rates[-1]], rtol=1e-12)
    for row, rate in zip(table.rows(), table.rate):
        assert row["gradients for a factor 10"] == pytest.approx(-1 / math.log10(rate), rel=1e-12)
    assert [words.split(",")[0] for words in table.parameters[:4]] == ["lr=0.2353", "lr=0.32", "lr=0.125", "lr=0.1633"]
    assert [words.split("=")[-1] for words in table.parameters[1:4]] == ["0.36", "0.6", "0.5556"]
    steps = 1 / (4.25 - 3.75 * np.cos(np.pi * (2 * np.arange(8) + 1) / 16))
    assert table.parameters[4] == f"lr={steps.min():.4g} to {steps.max():.4g}" and table.parameters[5].startswith("h=")
    off = optimal.TuningTable(0.5, 8.0, ("m",), ("p",), np.array([0.0]), np.array([0.9e-6]))
    assert off.good and off.rows()[0]["gradients for a factor 10"] == 1.0
    assert not optimal.TuningTable(0.5, 8.0, ("m",), ("p",), np.array([0.0]), np.array([1.1e-6])).good


def test_intervals_of_curvatures():
    assert optimal.gradient_descent(2.0, 2.0).rate == 0.0
    assert optimal.gradient_descent(1.0, 1e30).optimizer.lr == pytest.approx(2e-30)
    for mu, L, words in ((0.0, 1.0, "mu must be in"), (2.0, 1.0, "L must be in"), (1.0, 1.1e30, "L must be in")):
        with pytest.raises(ValueError, match=words):
            optimal.polyak(mu, L)
    for call in (optimal.rkc, lambda mu, L, n: optimal.tuning_table(mu, L, stages=n)):
        with pytest.raises(ValueError, match="L must be above mu = 2, got 2"):
            call(2.0, 2.0, 3)
        with pytest.raises(ValueError, match="stages must be"):
            call(1.0, 2.0, 0)
        with pytest.raises(ValueError, match="stages must be"):
            call(1.0, 2.0, 10_001)
    assert optimal.nag_sc(0.5, 2.0).rate == 0.0 and optimal.nag_sc(0.5, 2.0).L == 0.5
    with pytest.raises(ValueError, match="s must be in"):
        optimal.nag_sc(0.5, 2.01)
    found = optimal.nag_sc(0.3, 0.2)
    root = math.sqrt(0.06)
    assert (found.optimizer.lr, found.optimizer.momentum, found.rate, found.L) == pytest.approx(
        (0.2, (1 - root) / (1 + root), 1 - root, 5.0), rel=1e-12)


def test_hubers_function_and_the_worst_one():
    """(L/2) x^2 up to the knee, then L knee (|x| - knee/2), with that slope."""
    f = optimal.huber(0.4, 3.0, 1.7, oo.Problem)
    for x in (-2.3, -0.4, -0.1, 0.3, 0.4, 0.9):
        value = 1.5 * x * x if abs(x) <= 0.4 else 1.2 * (abs(x) - 0.2)
        assert f.fun([x]) == pytest.approx(value, rel=1e-14)
        assert f.grad([x])[0] == pytest.approx(3.0 * min(max(x, -0.4), 0.4), rel=1e-14)
    assert f.x0.tolist() == [1.7] and f.f_min == 0.0 and "knee 0.4" in f.name
    worst = optimal.worst_huber(3.0, 2.0, 4)
    assert worst.x0.tolist() == [2.0] and worst.fun([2.0]) == pytest.approx(3.0 * (2 / 9) * (2 - 1 / 9), rel=1e-13)
    with pytest.raises(ValueError, match="lr must be in"):
        optimal.gradient_descent_bound(4.0, 1.0, 3, 0.2501)
    assert optimal.gradient_descent_bound(4.0, 1.0, 0) == 2.0


# Step rules -----------------------------------------------------------------------------------------


def log(**changes):
    values = {"rule": "I", "scheme": "heun", "problem": "p", "tol": 0.1, "t": np.arange(7.0), "h": np.ones(7),
              "estimate": np.array([1.0, 2.0, 0.0, 9.0, 3.0, 8.0, 5.0]),
              "true_error": np.array([0.5, 1.0, 1.0, 1.0, 0.0, 2.0, 1.0]),
              "accepted": np.array([True, True, True, False, True, True, True]),
              "h_lambda": np.array([1.0, 2.0, 3.0, 9.0, 4.0, 6.0, 5.0]), "growth": 0.9, "gradients": 11}
    return ControlLog(**(values | changes), status="completed")


def test_what_a_log_says():
    """Of 1, 2, 3, 4, 6, 5 the second half; ratios 2, 2, 4, 5 where they are numbers above 0."""
    study = log()
    assert study.later().tolist() == [4.0, 6.0, 5.0]
    found = study.summary()
    assert (found["accepted"], found["rejected"], found["gradients"], found["growth"]) == (6, 1, 11, 0.9)
    assert (found["h lambda"], found["estimate/true"]) == (5.0, 3.0)
    assert found["spread"] == pytest.approx(math.sqrt(2 / 3)) and found["tol"] == 0.1 and found["status"] == "completed"
    assert list(study.rows()[3].values()) == [3.0, 1.0, 9.0, 1.0, "no", 9.0]
    none = log(accepted=np.zeros(7, dtype=bool)).summary()
    assert math.isnan(none["h lambda"]) and math.isnan(none["estimate/true"]) and math.isnan(none["spread"])


def test_where_dal_sees_no_curvature_and_where_it_ends():
    """x' = -1: one step to the end. On a quadratic steps of 2 tol |g|/|H g|, as many as are allowed."""
    line = oo.Problem(lambda x: float(x[0]), lambda x: np.ones(1), lambda x: np.zeros((1, 1)), x0=[3.0])
    study = oo.step_control(line, t_end=2.5, tol=0.1, rules=["dal"])["dal"]
    assert study.h.tolist() == [2.5] and study.gradients == 1 and study.status == "completed"
    bowl = oo.problems.quadratic([2.0], x0=[1.0])
    study = oo.step_control(bowl, t_end=50.0, tol=0.1, rules=["dal"], steps=7)["dal"]
    np.testing.assert_allclose(study.h, 0.1, rtol=1e-12)
    assert study.h.size == 7 and study.t[-1] == pytest.approx(0.6)
    flat = oo.Problem(lambda x: float(x[0]), lambda x: np.ones(1), lambda x: np.full((1, 1), np.nan), x0=[3.0])
    with pytest.raises(ValueError, match="x0 must be a point where"):
        oo.step_control(flat, rules=["dal"])


@pytest.mark.parametrize("n", [64, 65])
def test_the_largest_curvature_of_few_and_of_many_unknowns(n):
    """In modulus, by the dense Hessian up to 64 of them."""
    c = np.linspace(1.0, 5.0, n)
    c[3] = -9.0 if n == 64 else 7.0
    problem = oo.Problem(lambda x: 0.5 * float(c @ (x * x)), lambda x: c * x, hessp=lambda x, v: c * v,
                         x0=np.full(n, 1e-3))
    study = oo.step_control(problem, t_end=0.01, tol=0.5, rules=["dal"])["dal"]
    np.testing.assert_allclose(study.h_lambda, study.h * np.abs(c).max(), rtol=1e-9 if n == 64 else 0.05)


def test_first_trials_and_tolerances():
    """A tenth of 1/lambda, not beyond the end; relative tolerances end at 1."""
    bowl = oo.problems.quadratic([4.0], x0=[1.0])
    study = oo.step_control(bowl, t_end=0.01, tol=3.0, rules=["I"])["I"]
    assert study.h[0] == pytest.approx(0.01) and study.tol == 3.0 and study.accepted.all()
    study = oo.step_control(bowl, t_end=2.0, tol=3.0, rules=["PI"])["PI"]
    assert study.h[0] == pytest.approx(0.025, rel=1e-3)
