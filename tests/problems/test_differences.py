"""Derivatives against differences: the quotient, its uncertainty, and what is made of both."""

import warnings

import numpy as np
import pytest

import odeopt as oo
from odeopt.problems import differences as d

STEP = 1e-3


def test_quotients_are_extrapolated_and_know_their_error():
    """Of a_0 + a_1 s + ... + a_5 s^5: a_5 h^4/4 too small, 1.5 |a_4| h^3 of what looks like a kink, and what the two
    steps differ by; rounding is 100 units of the last place of the largest value over h."""
    a = np.array([0.3, 2.0, -7.0, 11.0, 1.3e4, 3.0e6])
    x, direction = np.array([0.4, -1.0]), np.array([0.6, 0.8])
    found, uncertainty = d.quotient(lambda y: np.polynomial.polynomial.polyval((y - x) @ direction, a), x, direction)
    coarse, fine = (a[1] + a[3] * h**2 + a[5] * h**4 for h in (STEP, STEP / 2))
    extrapolated = (4 * fine - coarse) / 3
    assert found == pytest.approx(extrapolated, rel=1e-10) and found == pytest.approx(2.0 - 0.75e-6, rel=1e-10)
    rounding = 100 * 2.0**-52 / STEP * 0.3
    assert uncertainty == pytest.approx(abs(extrapolated - fine) + 1.5 * a[4] * STEP**3 + rounding, rel=1e-2)


def test_a_kink_and_few_digits_make_a_quotient_uncertain():
    zero, one = np.zeros(1), np.ones(1)
    found, uncertainty = d.quotient(lambda y: 3.0 * abs(y[0]), zero, one)
    assert found == 0.0 and uncertainty == pytest.approx(6.0, rel=1e-9)  # left and right slope differ by that
    found, uncertainty = d.quotient(lambda y: 1e4 + np.array([0.0, 2.0]) * y[0], zero, one)
    np.testing.assert_allclose(found, [0.0, 2.0], atol=1e-7)
    assert uncertainty[0] == pytest.approx(100 * 2.0**-52 / STEP * 1e4, rel=1e-3)
    single = d.quotient(lambda y: float(np.float32(1e4)), zero, one)
    assert single == pytest.approx((0.0, 10 * 2.0**-23 / STEP * 1e4), rel=1e-6)


def test_an_excess_is_what_the_two_differ_by_over_what_is_allowed():
    """Ten times the uncertainty and a share of the larger one."""
    for given, differences, uncertainty, relative in ((3.0, 2.9, 1e-3, 1e-2), (2.9, 3.0, 1e-3, 1e-2),
                                                      (-1e-200, 2e-200, 0.0, 1e-6), (5.0, 5.0, 0.0, 0.0)):
        allowed = 10 * uncertainty + relative * max(abs(given), abs(differences))
        excess = abs(given - differences) / allowed if allowed else 0.0
        assert d.Entry((0,), given, differences, uncertainty).excess(relative) == pytest.approx(excess, rel=1e-12)
    assert d.Entry((0,), 1.0, 1.0 + 5e-7, 0.0).excess() == pytest.approx(0.5, rel=1e-6)
    with np.errstate(invalid="ignore"):
        assert d.Entry((0,), np.nan, 1.0, 0.1).excess() == d.Entry((0,), np.inf, 1.0, 0.1).excess() == np.inf


def test_points_beside_another_are_a_hundredth_away():
    x = np.array([0.1, -30.0, 0.0, 2.0])
    moved = (d.beside(x) - x) / np.maximum(1.0, np.abs(x))
    np.testing.assert_allclose(moved, 0.01 * np.random.default_rng(7).uniform(-1, 1, 4), rtol=1e-9)


def quartic(scale):
    """sum (scale_i x_i)^4 / 4."""
    return oo.Problem(lambda x: float(((scale * x) ** 4).sum() / 4), lambda x: scale * (scale * x) ** 3,
                      lambda x: np.diag(3 * scale**2 * (scale * x) ** 2), dim=scale.size)


def test_entries_stand_beside_their_differences():
    """Steps of 1e-3 max(1, |x_i|), in units of the entry."""
    scale, x = np.array([1.0, 0.1, 0.5]), np.array([0.5, 40.0, -3.0])
    asked, problem = [], quartic(scale)
    g = problem.grad(x)
    entries = list(d.gradient_entries(lambda y: asked.append(y - x) or problem.fun(y), g, x, 500))
    steps = np.array([step for step in asked if step.any()]).reshape(3, 4, 3)
    for i, entry in enumerate(entries):
        unit = STEP * max(1.0, abs(x[i]))
        np.testing.assert_allclose(steps[i, :, i], [unit, -unit, unit / 2, -unit / 2], rtol=1e-9)
        assert entry.index == (i,) and entry.given == g[i] and not np.delete(steps[i], i, axis=1).any()
        assert entry.differences == pytest.approx(g[i], rel=1e-9)
        found, uncertainty = d.quotient(problem.fun, x, unit / STEP * np.eye(3)[i])
        assert entry.differences == pytest.approx(found * STEP / unit, rel=1e-14)
        assert entry.uncertainty == pytest.approx(uncertainty * STEP / unit, rel=1e-14)
    found = problem.check(x)
    assert found.ok and found.hessian.given == pytest.approx(3 * scale[found.hessian.index[0]] ** 4 * x[
        found.hessian.index[0]] ** 2, rel=1e-12) and found.hessian.index[0] == found.hessian.index[1]
    assert found.hessian.differences == pytest.approx(found.hessian.given, rel=1e-9)
    assert 0 < found.hessian.uncertainty < 1e-4 * found.hessian.given


def test_the_hessian_is_held_against_steps_of_its_own_column():
    """The worst of a wrong column, far from 1."""
    hessian = np.array([[2.0, 0.3, 0.0], [0.3, 5.0, -1.0], [0.0, -1.0, 4.0]])
    wrong = hessian.copy()
    wrong[:, 1] += [0.0, 0.2, 0.7]
    problem = oo.Problem(lambda x: float(x @ hessian @ x / 2), lambda x: hessian @ x, lambda x: wrong, dim=3)
    found = problem.check([1.0, 50.0, -20.0])
    assert not found.ok and found.hessian.index == (2, 1)
    assert found.hessian.given == pytest.approx(-0.3, rel=1e-12)
    assert found.hessian.differences == pytest.approx(-1.0, rel=1e-9)


def test_as_many_entries_and_columns_as_are_looked_at():
    for n, some in ((50, ("", "")), (51, ("", " (of 50 columns)")), (500, ("", " (of 50 columns)")),
                    (501, (" (of 500 entries)", " (of 50 columns)"))):
        problem = oo.problems.quadratic(np.linspace(1.0, 2.0, n))
        found = problem.check().message
        assert f"gradient right{some[0]}, " in found and f"Hessian product right{some[1]}, " in found
    asked = [entry.index[0] for entry in d.gradient_entries(problem.fun, np.zeros(501), np.zeros(501), 500)]
    assert len(asked) == 500 and asked[0] == 0 and asked[-1] == 500
    assert [e.index[0] for e in d.gradient_entries(problem.fun, np.zeros(501), np.zeros(501), 3)] == [0, 250, 500]


def test_the_worst_entry_is_one_whose_differences_are_numbers():
    """x_0 log x_0 at 0: its differences are none, and the other entries are judged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        problem = oo.Problem(lambda x: float(np.log(x[0]) * x[0] + 2 * x[1] ** 2), lambda x: np.array(
            [7.0, 4.2 * x[1]]), x0=[1.0, 1.0])
    found = problem.check([1e-9, 3.0])
    assert not found.ok and found.gradient.index == (1,) and found.gradient.given == pytest.approx(12.6)


def halves(off_value, off_slope):
    """Five samples: the mean over a half is f + off_value and g + off_slope, of f = 2, g = (-3, 0.5)."""
    return lambda half: (2.0 + off_value, np.array([-3.0, 0.5]) + off_slope)


def test_means_of_two_halves_are_weighted_by_their_samples():
    values, slopes = np.array([1.0, 4.0, -2.0, 0.5, 3.0]), np.arange(10.0).reshape(5, 2) ** 2
    asked = []

    def mean(half):
        asked.append(half.tolist())
        return values[half].mean(), slopes[half].mean(axis=0)

    assert d.mean_missed(mean, 5, values.mean(), slopes.mean(axis=0), 1e-12) == ""
    assert sum(asked, []) == [0, 1, 2, 3, 4] and [len(half) for half in asked] == [3, 2]
    assert d.mean_missed(lambda half: (values[0], slopes[0]), 1, values[0], slopes[0], 1e-12) == ""
    f, g = 2.0, np.array([-3.0, 0.5])
    for tolerance in (1e-6, 1e-2):
        for sign in (1, -1):
            share = tolerance if sign < 0 else tolerance / (1 - tolerance)  # of the larger of the two
            for part, missed in ((0.99, False), (1.01, True)):
                off = part * share * sign
                words = d.mean_missed(halves(f * off, 0.0), 5, f, g, tolerance)
                assert words == (f"the mean over all samples is {f + f * off:.6g}, and fun gives 2" if missed else "")
                words = d.mean_missed(halves(0.0, [0.0, 3.0 * part * tolerance * sign]), 5, f, g, tolerance)
                assert bool(words) == missed
                assert not missed or words.startswith("entry 1 of the mean gradient over all samples is 0.")


def test_a_check_takes_means_to_a_millionth():
    for slip, ok in ((0.9e-6, True), (1.1e-6, False)):
        bowl = oo.Problem(lambda x: float(x @ x), lambda x: 2 * x, dim=2, samples=4,
                          batch=lambda x, i, slip=slip: ((1 + slip) * float(x @ x), 2 * x))
        assert bowl.check([1.0, 2.0]).ok == ok


def look(slip, n=3, function=None):
    """What is said of a gradient times 1 + slip."""
    scale = np.linspace(1.0, 2.0, n)
    function = function or (lambda x: float(np.cosh(scale * x).sum()))
    return d.plainly_wrong(function, lambda x: (1 + slip) * scale * np.sinh(scale * x), np.full(n, 0.7))


def test_a_gradient_is_plainly_wrong_from_a_hundredth_on():
    for slip in (0.0, 0.0099, -0.0098):
        assert look(slip) == ""
    for slip in (0.0103, -0.0102):
        assert "its entry" in look(slip) and "its entry" in look(slip, 100)
        assert "along a direction" in look(slip, 101)


class Network:
    """A Hessian product of x^4/4 times ``share``, and how long a gradient takes."""

    def __init__(self, share, x0=(0.7, -3.0, 2.0)):
        self.share, self.x0 = share, np.array(x0)

    def fg(self, x, g, data):
        g[:] = x**3
        return 0.25 * float((x**4).sum())

    def hv(self, x, v, out, data):
        out[:] = self.share * 3 * x**2 * v


def test_products_that_are_off_by_half_are_missed(monkeypatch):
    """Half of the larger one."""
    for share, missed in ((1.0, False), (0.51, False), (0.49, True), (0.0, True), (1.99, False), (2.02, True),
                          (-0.4, True)):
        assert d.hessian_missed(Network(share)) == missed
    for seconds, looked in (((0.0, 0.11), False), ((5.0, 5.09), True)):
        monkeypatch.setattr(d.time, "perf_counter", iter(seconds).__next__)
        assert d.hessian_missed(Network(0.0)) == looked


def test_a_check_takes_derivatives_to_a_millionth():
    """Of a quadratic, whose differences are exact."""
    rates = np.array([3.0, 0.7])
    for slip, ok in ((0.95e-6, True), (1.1e-6, False)):
        for of_g, of_h in ((slip, 0.0), (0.0, slip)):
            bowl = oo.Problem(lambda x: float(x @ (rates * x)) / 2, lambda x, of_g=of_g: (1 + of_g) * rates * x,
                              lambda x, of_h=of_h: (1 + of_h) * np.diag(rates), dim=2)
            found = bowl.check([1.0, 2.0])
            assert found.ok == ok, found
            entry = found.gradient if of_g else found.hessian
            assert f"entry {entry.index[0] if of_g else entry.index}" in found.message
