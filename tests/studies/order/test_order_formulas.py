"""Bounds of energies, choices of levels and fits of series, curves and their sides: against formulas written out."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest

import odeopt as oo
from odeopt.studies.order import certificates, comparison, convergence, directions, fit, lyapunov, modified, series
from odeopt.studies.order.equivalence import Side, deviation, two_step

BOWL = oo.problems.sine_bowl()
LINE = oo.problems.quadratic([1.0], x0=[1.0])

# Energies ------------------------------------------------------------------------------------------


def test_bounds_of_the_gap():
    """What follows from E <= start at each time; the fast one of the heavy ball with its factor 9."""
    t, mu, start = np.array([0.0, 0.4, 1.7]), 0.6, 2.3
    expected = {"gap": start + 0 * t, "mechanical": start + 0 * t,
                "gradient-convex": [np.inf, start / 0.4, start / 1.7],
                "gradient-strong": start * np.exp(-1.2 * t), "heavy-ball-strong": start * np.exp(-math.sqrt(mu) * t),
                "heavy-ball-fast": 9 * start * np.exp(-4 / 3 * math.sqrt(mu) * t),
                "nesterov": [np.inf, start / 0.16, start / 2.89]}
    for name, values in expected.items():
        np.testing.assert_allclose(lyapunov._bound(name, t, start, {"mu": mu}), values, rtol=1e-13, err_msg=name)


def test_the_discrete_energy_of_nesterov_is_its_sum():
    """lr (k + 1)^2 gap + 2 |d + (k - 1)/2 (x_k - x_{k-1})|^2 at the iterates of the three-line form."""
    lr, problem, steps = 0.03, oo.problems.quadratic([1.0, 7.0], x0=[1.2, -0.7]), 12
    study = oo.lyapunov(oo.Nesterov(lr, momentum=None), problem, steps=steps, energy="nesterov-discrete")
    x, before, y = problem.x0, problem.x0, problem.x0
    for k in range(steps + 1):
        d = x + (k - 1) / 2 * (x - before) if k else x
        energy = lr * (k + 1) ** 2 * problem.fun(x) + 2 * d @ d
        assert study.energy[k] == pytest.approx(energy, rel=1e-9) and study.gap[k] == pytest.approx(problem.fun(x))
        assert study.bound[k] == pytest.approx(2 * problem.x0 @ problem.x0 / (lr * (k + 1) ** 2), rel=1e-12)
        before, x = x, y - lr * problem.grad(y)
        y = x + k / (k + 3) * (x - before)


def test_a_rise_is_named_by_its_step_and_its_part_of_the_start():
    """Beside a minimum that is not 0: x^2/2 + 5 with steps of 2 + e."""
    shifted = oo.Problem(lambda x: 0.5 * float(x @ x) + 5.0, lambda x: x.copy(), x0=[1.0], minima=[[0.0]])
    study = oo.lyapunov(oo.GradientDescent(2.2), shifted, steps=3, energy="gap", tolerance=0.5)
    np.testing.assert_allclose(study.energy, 0.5 * 1.2 ** (2 * np.arange(4)), rtol=1e-12)
    assert study.largest_rise == pytest.approx(1.2**6 - 1.2**4, rel=1e-9)
    assert study.violation == 2  # rises .44, .6336, .912 of the start
    other = oo.lyapunov(oo.GradientDescent(0.5), shifted, steps=2, energy="gap", minimiser=[0.3])
    np.testing.assert_allclose(other.gap, 0.5 * 0.25 ** np.arange(3) - 0.045, rtol=1e-12)
    assert other.rows()[0]["first violation"] == "none" and other.holds


def test_a_run_that_begins_at_rest_has_no_rise():
    study = oo.lyapunov(oo.GradientDescent(0.1), LINE, [0.0], steps=3, energy="gap")
    assert study.k.tolist() == [0] and study.largest_rise == 0.0 and study.holds


# Series --------------------------------------------------------------------------------------------


def test_where_levels_of_a_fit_begin():
    """At the upper edge of the window by the slope of the order, a quarter of that number is the base; multiples from 4
    to 4 ratio, evenly in logarithms."""
    unit = series.EPS * 2.0
    steps, order = np.array([10, 20, 40, 80]), 4
    for error, i in (([1e12, 1e9, 4e7, 1e6], 2), ([np.inf, 1e10, 1e9, 1e8], 3), ([1e7, 1e5, 1e3, 5.0], 0)):
        error = np.array(error) * unit
        base, multiples = series.step_numbers(steps, error, 2.0, order, 10**6)
        coarse = steps[i] * (error[i] / (1e8 * unit)) ** (1 / order)
        ratio = min(32.0, 1e7 ** (1 / order))
        assert base == max(1, round(coarse / 4))
        np.testing.assert_array_equal(multiples, np.unique(np.round(4 * ratio ** np.linspace(0, 1, 36))))
    few = np.array([1e12, 1e9, 4e7, 1e6]) * unit
    coarse = 40 * 0.4**0.25
    assert series.step_numbers(steps, few, 2.0, 4, int(4.1 * coarse)) is not None
    assert series.step_numbers(steps, few, 2.0, 4, int(3.9 * coarse)) is None
    assert series.step_numbers(steps, np.full(4, 9.9 * unit), 2.0, 4, 10**6) is None
    assert series.step_numbers(steps, np.full(4, 10.1 * unit), 2.0, 4, 10**6) is not None
    assert series.step_numbers(steps, few, 2.0, 1, 10**6)[1].max() == 128  # 32 times as many steps at most


def test_a_first_look_is_continued_to_both_sides():
    asked = []

    def measure(n):
        asked.append(n)
        return {160: np.inf, 640: 1e-3}.get(n, 1e-3)

    steps, error = series._in_sight(np.array([10, 40]), np.array([np.inf, np.inf]), 1.0, 2560, measure)
    assert asked == [160, 640] and steps.tolist() == [10, 40, 160, 640] and error[-1] == 1e-3
    asked.clear()
    assert series._in_sight(np.array([10, 40]), np.full(2, np.inf), 1.0, 159, measure)[0].tolist() == [10, 40]
    assert series._in_sight(np.array([10, 40]), np.full(2, np.inf), 1.0, 160, measure)[0].tolist() == [10, 40, 160]
    unit = 1e3 * series.EPS
    asked.clear()
    steps, error = series._in_sight(np.array([13, 40]), np.array([unit, unit / 9]), 1.0, 10**6,
                                    lambda n: asked.append(n) or unit * (1.1 if n == 3 else 0.9))
    assert asked == [6, 3] and steps.tolist() == [3, 6, 13, 40] and error[0] == pytest.approx(1.1 * unit)
    steps, _ = series._in_sight(np.array([3, 9]), np.zeros(2), 1.0, 10**6, lambda n: 0.0)
    assert steps.tolist() == [1, 3, 9]


def test_what_a_fit_leaves():
    """The norm of what a least-squares fit of q + 1 powers and a constant leaves, per degree of freedom."""
    rng, step = np.random.default_rng(0), np.linspace(0.2, 1.0, 12)
    columns = rng.standard_normal((12, 2))
    for q in (0, 2):
        found = series._residuals(step, columns, q)
        weight = np.sqrt(step)[:, None]
        for i in (0, 333, 1900):
            basis = np.column_stack([step ** (series._ORDERS[i] + j) for j in range(q + 1)] + [np.ones(12)]) * weight
            rest = columns * weight - basis @ np.linalg.lstsq(basis, columns * weight, rcond=None)[0]
            freedom = (12 - q - 2) * 2 - 1
            assert found[i] == pytest.approx(math.sqrt((rest**2).sum() / freedom), rel=1e-6)
    assert series._ORDERS[0] == 0.25 and series._ORDERS[1] == pytest.approx(0.255) and 9.99 < series._ORDERS[-1] < 10


def test_the_best_order_is_the_largest_that_fits_about_as_well_as_any():
    def best(**dips):
        residual = np.full(series._ORDERS.size, 9.0)
        for place, value in dips.items():
            residual[int(place[1:])] = value
        return series._best_order(residual)

    assert best(a100=1.0, a700=1.4) == (series._ORDERS[700], 1.4) and best(a100=1.0, a700=1.6)[0] == series._ORDERS[100]
    assert best(a100=4.9)[1] == 4.9 and best(a100=5.1) is None
    assert best(a1=2.0) == (series._ORDERS[1], 2.0) and best() is None
    assert best(a0=1.0) is None  # at the end of the orders nothing is known


@pytest.mark.parametrize(("left", "order", "settled"), [
    (0.69, 5.03, (5.03, 2)), (0.71, 5.03, (5.0, 1)), (0.69, 5.049, (5.049, 2)), (0.69, 5.051, None),
    (0.71, 5.099, (5.0, 1)), (0.71, 5.101, None)])
def test_one_term_more_is_called_for_where_it_leaves_less(left, order, settled, monkeypatch):
    """Less than seven tenths: then it counts, and may change the order by .05, else by .1."""
    fits = iter([(5.0, 1.0), (order, left), None, None, None, None, None, None])
    monkeypatch.setattr(series, "_residuals", lambda *given: None)
    monkeypatch.setattr(series, "_best_order", lambda residual: next(fits))
    found = series._settled(np.eye(12, 3), np.eye(12, 3), np.linspace(0.1, 1.0, 12))
    assert found is None if settled is None else (found[0], found[2]) == settled


def test_orders_of_known_series():
    """One term, then two of opposite sign; a window of fewer than nine levels is none."""
    rng = np.random.default_rng(3)
    h = 0.1 / np.unique(np.round(4 * 32 ** np.linspace(0, 1, 36))) * 4
    c = rng.standard_normal((2, 10))
    for p, terms in ((3.0, 0), (2.0, 1)):
        errors = (h[:, None] / h[0]) ** p * (c[0] + terms * -1.5 * c[1] * h[:, None] / h[0]) * 1e7 * series.EPS
        errors = errors + series.EPS * rng.standard_normal(errors.shape)
        found = series.fit_series(h, errors, 1.0)
        assert found.order == pytest.approx(p, abs=0.03) and found.spread <= 0.1 and found.used.sum() >= 9
    assert series.fit_series(h[:8], errors[:8], 1.0) is None


def test_a_second_look_takes_no_more_than_sixteen_times_the_first():
    method = oo.Discretization(oo.flows.gradient_flow(), oo.schemes.dormand_prince, 1.0)
    study = oo.convergence(method, BOWL, t_end=1.0, levels=3)
    assert study.terms and 32 < study.steps.max() <= 64  # the first are 1, 2 and 4


# Levels --------------------------------------------------------------------------------------------


def test_a_level_keeps_every_so_many_steps_of_a_large_run():
    ladder = convergence._Ladder(oo.GradientDescent(0.1), oo.problems.quadratic(np.ones(1000)), None, 1.0, "cold", None)
    most = 2**24
    assert [ladder._stride(n) for n in (1, most // 1000, most // 500 + 1, 3 * (most // 1000) + 3)] == [1, 1, 2, 3]


def test_steps_within_reach():
    assert convergence.steps_within(1.0, convergence.MOST_STEPS) == convergence.MOST_STEPS
    with pytest.raises(ValueError, match="t_end must be in reach"):
        convergence.steps_within(1.0, convergence.MOST_STEPS * 1.0000001)


def test_whole_steps_of_a_discretization():
    """Every level makes whole steps to one time; where two levels would be one it is refused."""
    method = oo.Discretization(oo.flows.gradient_flow(), oo.schemes.heun, 0.3)
    study = oo.convergence(method, LINE, t_end=1.0, levels=3)
    assert study.steps.tolist() == [3, 7, 13]  # 3.3, 6.7, 13.3
    np.testing.assert_allclose(study.h, 1 / study.steps, rtol=1e-14)
    error = [max(abs((1 - h + h * h / 2) ** np.arange(n + 1) - np.exp(-h * np.arange(n + 1)))) for h, n in
             zip(study.h, study.steps)]
    np.testing.assert_allclose(study.error, error, rtol=1e-6)
    slopes = np.log(np.divide(error[:-1], error[1:])) / np.log(study.h[:-1] / study.h[1:])
    np.testing.assert_allclose(study.slopes, slopes, rtol=1e-6)
    rows = study.rows()
    assert rows[0]["slope"] is None and rows[2]["slope"] == study.slopes[1] and rows[1]["steps"] == 7
    with pytest.raises(ValueError, match="t_end must hold more steps"):
        oo.convergence(method, LINE, t_end=0.1, levels=3)


def test_levels_by_another_scaling():
    """refine(f) makes steps of h/f of flow time each; against "richardson" with a factor that is not 2."""
    study = oo.convergence(oo.GradientDescent(0.02), LINE, t_end=0.6, levels=3, factor=3.0,
                           refine=lambda f: oo.GradientDescent(0.02 / f), expected=1.0)
    assert study.steps.tolist() == [30, 90, 270] and study.certified
    expected = [max(abs((1 - h) ** np.arange(n + 1) - np.exp(-h * np.arange(n + 1)))) for h, n in
                zip(study.h, study.steps)]
    np.testing.assert_allclose(study.error, expected, rtol=1e-6)
    default = oo.convergence(oo.GradientDescent(0.02), LINE, levels=3, refine=lambda f: oo.GradientDescent(0.02 / f))
    assert default.t_end == pytest.approx(64 * 0.02)


def test_means_of_neighbouring_steps():
    """The quadratic mean of the error at h and of those at steps between it and the next, by their steps."""
    mean_of, h = 3, 0.05
    study = oo.convergence(oo.GradientDescent(h), LINE, t_end=0.8, levels=3, mean_of=mean_of)

    def error(h):
        n = math.floor(0.8 / h * (1 + 1e-9))
        k = np.arange(n + 1)
        return max(abs((1 - h) ** k - np.exp(-h * k)))

    for i, f in enumerate((1, 2, 4)):
        squares = [(error(h / f / 2 ** (j / mean_of)) * 2 ** (j / mean_of)) ** 2 for j in range(mean_of)]
        assert study.error[i] == pytest.approx(math.sqrt(np.mean(squares)), rel=1e-4)


def test_references_of_part_of_the_way_are_compared_so_far():
    ladder = SimpleNamespace(t0=0.5, t_end=3.0)
    t, x = np.arange(4.0), np.array([[0.0], [2.0], [5.0], [9.0]])

    def solution(at):
        return at[:, None]  # 0.5 + t

    solution.success, solution.t_end = False, 2.6
    assert convergence._distance(solution, t, x, ladder) == pytest.approx((2.5, 2.5))
    solution.t_end = 0.5
    assert np.isnan(convergence._distance(solution, t, x, ladder)).all()
    solution.success, solution.t_end = True, 9.0
    assert convergence._distance(solution, t, x, ladder) == pytest.approx((5.5, 5.5))


@pytest.mark.parametrize("optimizer", [oo.Momentum(0.02, momentum=0.5), oo.Adam(0.02, beta1=0.5, beta2=0.7, eps=0.5)])
def test_the_slow_manifold_is_the_replayed_past(optimizer):
    """Of a straight line, f linear in x: the memory of a constant gradient, to round-off."""
    slope = np.array([0.8, -1.1])
    line = oo.Problem(lambda x: float(slope @ x), lambda x: slope.copy(), lambda x: np.zeros((2, 2)), x0=[0.3, 0.4])
    found = modified.slow_manifold_start(optimizer, line, line.x0, oo.modified_flow(optimizer))
    x, s = line.x0.copy(), found.copy()
    optimizer.kernel(10**6, optimizer.p_for(x), x, slope, s)
    names = [slot.name for slot in optimizer.slots]
    kept = [i for i, name in enumerate(names) if "weight" not in name]
    np.testing.assert_allclose(s[kept], found[kept], rtol=1e-14)


def test_the_past_is_long_enough_and_runge_kuttas():
    """x' = -x backwards by steps of h: x e^h to h^5/120; as many steps as the memory's factor takes to 1e-17."""
    seen = []
    line = oo.Problem(lambda x: 0.5 * float(x @ x), lambda x: seen.append(x[0]) or x.copy(), lambda x: np.eye(1),
                      x0=[1.0])
    optimizer = oo.Momentum(0.05, momentum=0.5)
    flow = oo.modified_flow(optimizer)
    rate = -flow.field(line)(0.0, np.ones((1, 1)))[0, 0]
    seen.clear()
    modified.slow_manifold_start(optimizer, line, line.x0, flow)
    past = math.ceil(math.log(1e-17) / math.log(0.5))
    replayed = seen[-past - 1 : -1] if seen[-1] == 1.0 else seen[-past:]
    z = flow.h * rate
    growth = 1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24
    np.testing.assert_allclose(replayed, growth ** np.arange(past, 0, -1), rtol=1e-9)


@pytest.mark.parametrize("asymptotic", [True, False])
def test_a_table_keeps_an_interrupted_study_that_has_an_order(asymptotic, monkeypatch):
    real = certificates.convergence

    def cut(*args, **options):
        return dataclasses.replace(real(*args, **options), status="interrupted", asymptotic=asymptotic)

    monkeypatch.setattr(certificates, "convergence", cut)
    table = oo.order_certificates([oo.GradientDescent(0.02)] * 2, LINE, t_end=0.64, levels=3, start="cold")
    assert table.interrupted and len(table.studies) == asymptotic


def test_a_modified_flow_on_a_line():
    """(1 - h)^k against e^(-(h + h^2/2) k), over 64 coarse steps; against the limit flow e^(-h k)."""
    for order, rate in ((2, lambda h: h + h * h / 2), (1, lambda h: h)):
        study = oo.modified_convergence(oo.GradientDescent(0.02), LINE, levels=3, order=order)
        assert study.steps.tolist() == [64, 128, 256] and study.t_end == pytest.approx(1.28)
        for h, n, error, last in zip(study.h, study.steps, study.error, study.final_error):
            k = np.arange(n + 1)
            off = abs((1 - h) ** k - np.exp(-rate(h) * k))
            assert (error, last) == pytest.approx((off.max(), off[-1]), rel=1e-4)
    np.testing.assert_allclose(study.h, [0.02, 0.01, 0.005], rtol=1e-14)
    short = oo.modified_convergence(oo.GradientDescent(0.02), LINE, t_end=0.05, levels=3)
    assert short.steps.tolist() == [2, 5, 10]


# Comparisons, orbits, sides -------------------------------------------------------------------------


def test_directions_and_the_orbit_that_they_are_measured_by():
    """f = x^2/2 + 2 y^2: momentum's angles by hand; the orbit y = y0 (x/x0)^4 to where the gradient is a millionth."""
    plane = oo.problems.quadratic([1.0, 4.0], x0=[1.0, 0.5])
    study = oo.directions(oo.Momentum(0.1, momentum=0.8), plane, steps=15)
    run = oo.record(oo.Momentum(0.1, momentum=0.8), plane, steps=15)
    for k in range(15):
        step, g = run.x[k + 1] - run.x[k], -run.x[k] * [1.0, 4.0]
        cosine = step @ g / (np.linalg.norm(step) * np.linalg.norm(g))
        assert study.angle[k] == pytest.approx(math.degrees(math.acos(min(1.0, cosine))), abs=1e-5)
    curve = directions.orbit(plane, plane.x0)
    np.testing.assert_allclose(curve[:, 1], 0.5 * np.abs(curve[:, 0]) ** 4, atol=1e-6)
    assert np.linalg.norm(plane.grad(curve[-1])) <= 1e-6 * np.linalg.norm(plane.grad(plane.x0))
    row = study.rows()[0]
    assert (row["median angle"], row["largest angle"]) == (np.median(study.angle), study.angle.max())
    assert row["gradients"] == study.n_grad[-1] and row["f - f*"] == study.gap[-1]
    assert row["largest orbit distance"] == study.orbit_distance.max()
    assert study.gradients_to(study.gap[4]) <= study.n_grad[4]
    t = (1 + np.linalg.norm(plane.x0)) / np.linalg.norm(plane.grad(plane.x0))  # tried first, then fourfold
    while np.linalg.norm([1.0, 4.0] * plane.x0 * np.exp([-t, -4 * t])) > 1e-6 * np.linalg.norm(plane.grad(plane.x0)):
        t *= 4
    assert curve[-1, 0] == pytest.approx(math.exp(-t), rel=1e-3, abs=1e-11)
    fixed = directions.orbit(plane, plane.x0, 0.7)
    np.testing.assert_allclose(fixed[[0, -1]], [plane.x0, plane.x0 * np.exp([-0.7, -2.8])], rtol=1e-6)


def test_steps_that_are_round_off_have_no_angle():
    """Below 1e-9 (1 + |x|)."""
    plane = oo.problems.quadratic([1.0, 4.0], x0=[3.0, 0.0])
    slanted = oo.problems.quadratic([1.0, 1e-3], x0=[3.0, 1e-3])
    for lr, seen in ((2.9e-9, True), (2.7e-9, False)):  # steps of sqrt 2 lr beside 4e-9
        tilted = oo.directions(oo.SignGD(lr), slanted, steps=1, t_orbit=1)
        assert (tilted.angle[0] > 1.0) == seen
    assert oo.directions(oo.GradientDescent(0.1), plane, steps=3, t_orbit=1.0).angle.max() < 1e-5


def test_sides_of_an_equivalence():
    """Distances are relative to the longest point; flows at their own times, recursions at every so many steps."""
    a, b = oo.GradientDescent(0.1), oo.GradientDescent(0.2)
    k = np.arange(6)
    apart = np.abs(0.9**k - 0.8**k)
    big = oo.problems.quadratic([1.0], x0=[3.0])
    assert deviation(a, b, big, 5) == pytest.approx(apart.max(), rel=1e-12)
    assert deviation(a, b, big, 5, relative=False) == pytest.approx(3 * apart.max(), rel=1e-12)
    assert deviation(Side(a, every=2), Side(a), big, 5) == pytest.approx(np.abs(0.81**k - 0.9**k).max(), rel=1e-12)
    flow = Side(oo.flows.gradient_flow(), times=lambda n: 0.25 * n)
    np.testing.assert_allclose(flow.points(big, 4)[:, 0], 3 * np.exp(-0.25 * np.arange(5)), rtol=1e-10)
    path = two_step(0.1, 0.6, first=0.5)(big, np.array([3.0]), 4)[:, 0]
    expected = [3.0, 3.0 - 0.15]
    for _ in range(3):
        expected.append(expected[-1] + 0.6 * (expected[-1] - expected[-2]) - 0.1 * expected[-1])
    np.testing.assert_allclose(path, expected, rtol=1e-13)
    assert deviation(*[lambda problem, x0, steps: np.zeros((steps + 1, 1))] * 2, big, 3) == 0.0  # not 0/0


def test_a_comparison_says_what_is_uncertain(monkeypatch):
    """A reference uncertain by more than a hundredth of the error."""
    real = comparison.reference_at

    def uncertain(share):
        def solve(*args, **options):
            solution = real(*args, **options)
            object.__setattr__(solution, "uncertainty", share * largest)
            return solution

        return solve

    largest = oo.compare(oo.GradientDescent(0.1), LINE, steps=20, local=False).max_error
    for share, said in ((0.0099, False), (0.0101, True)):
        monkeypatch.setattr(comparison, "reference_at", uncertain(share))
        study = oo.compare(oo.GradientDescent(0.1), LINE, steps=20, local=False)
        assert ("reference uncertain" in study.message) == said


def test_fits_of_errors_that_fluctuate():
    """Slopes agree to a given amount, and the order is the least-squares line."""
    h = 0.1 / 2.0 ** np.arange(5)
    error = h**2 * np.array([1.0, 1.1, 0.95, 1.05, 1.0])
    found = fit.fit_order(h, error, agree=0.5, drift=False)
    assert found.asymptotic and found.tail.all()
    assert found.order == pytest.approx(np.polyfit(np.log(h), np.log(error), 1)[0], rel=1e-12)
    slopes = -np.diff(np.log2(error))
    assert found.spread == pytest.approx(np.ptp(slopes), rel=1e-12)
    assert not fit.fit_order(h, error, agree=0.05, drift=False).asymptotic
