"""Line searches and stopping rules of ``minimize`` against the same written out in numpy."""

from dataclasses import dataclass

import numpy as np
import pytest
import scipy.optimize as so
from scipy import integrate

import odeopt as oo
from odeopt.interop.auto_lr import _settled_move, auto_lr
from odeopt.interop.line_search import LineSearch
from odeopt.interop.objective import Objective
from odeopt.interop.solver import solver_class
from odeopt.optimizers.base import Optimizer, nonnegative, positive
from odeopt.spectrum import spectrum_ends

START = np.array([-1.2, 1.0])


def searched(name, steps, first=None, box=(-np.inf, np.inf)):
    """Points, accepted steps and flow time of the module's docstring on Rosenbrock's function."""
    def project(y):
        return np.clip(y, *box)

    x, memory, t, points, lrs = project(START), [], 0.0, [project(START)], []
    h, before = first, None
    for _ in range(steps):
        f, g = so.rosen(x), so.rosen_der(x)
        memory = [*memory, f][-10 if name == "spg" else -1 :]
        if h is None:
            h = 1 / np.abs(g).max()
        elif name == "spg" and before is not None:
            s, y = x - before[0], g - before[1]
            h = min(max((s @ s) / (s @ y), 1e-10), 1e10) if s @ y > 0 else min(10 * h, 1e10)
        elif name == "armijo" and before is not None:
            h = 2 * h
        while True:
            new = project(x - h * g)
            if so.rosen(new) <= max(memory) + 4e-16 * abs(f) - 1e-4 * (g @ (x - new)):
                break
            h = h / 2
        before, x, t = (x, g), new, t + h
        points.append(x)
        lrs.append(h)
    return np.array(points), lrs, t


@pytest.mark.parametrize("name", ["armijo", "spg"])
@pytest.mark.parametrize("first", [None, 0.7])
@pytest.mark.parametrize("box", [(-np.inf, np.inf), (-1.5, 0.8)], ids=["free", "bounded"])
def test_line_searches_are_the_loops_of_their_docstring(name, first, box):
    steps = 25
    points, lrs, t = searched(name, steps, first, box)
    more = {} if np.isinf(box[1]) else {"bounds": [box, box]}
    r = oo.minimize(so.rosen, START, jac=so.rosen_der, method=name, lr="auto" if first is None else first,
                    maxiter=steps, gtol=0.0, return_all=True, **more)
    assert r.nit == steps and r.status == 1
    np.testing.assert_allclose(r.allvecs, points, rtol=1e-6, atol=1e-9)
    assert r.lr == pytest.approx(lrs[-1], rel=1e-6) and r.t == pytest.approx(t, rel=1e-6)


class Values:
    """An objective of given values, which counts."""

    def __init__(self, *values):
        self.values, self.asked = list(values), []

    def value(self, x):
        self.asked.append(x.copy())
        return self.values.pop(0) if len(self.values) > 1 else self.values[0]


def same(x):
    return x


def test_a_search_halves_forty_times_and_then_gives_up():
    x, g = np.zeros(1), np.ones(1)
    none, last = Values(2.0), Values(*[2.0] * 39, 0.0)
    assert LineSearch("armijo", 1.0).step(none, same, x, 1.0, g) is None
    np.testing.assert_allclose(-np.ravel(none.asked), 0.5 ** np.arange(40))
    assert LineSearch("spg", 1.0).step(last, same, x, 1.0, g)[0] == -(0.5**39)
    far = Values(-np.inf)  # trial points that are not numbers are halved, too, without asking
    with np.errstate(over="ignore"):
        assert LineSearch("armijo", 1e300).step(far, same, x, 1.0, np.array([1e10]))[0] == -(0.5**6) * 1e300 * 1e10
    assert len(far.asked) == 1


def test_a_decrease_is_a_ten_thousandth_of_the_slope_and_round_off_none():
    x, g = np.zeros(1), np.array([2.0])
    for value, found in ((1 - 3.9e-4, 0.5), (1 - 4.1e-4, 1.0)):  # the first trial promises 4, a ten-thousandth 4e-4
        assert LineSearch("armijo", 1.0).step(Values(value, 0.0), same, x, 1.0, g)[0] == -2 * found
    unit = np.finfo(float).eps
    for units, found in ((2, 1.0), (3, 0.5)):
        tiny = np.array([1e-200])
        search = LineSearch("armijo", 1.0)
        search.step(Values(1 + units * unit, 0.0), same, x, 1.0, tiny)
        assert search.lr == found


def test_spectral_trials_have_bounds_and_grow_tenfold_where_nothing_curves():
    x, g = np.zeros(1), np.ones(1)
    for curvature, trial in ((4.0, 0.25), (1e12, 1e-10), (1e-12, 1e10), (0.0, 5.0), (-1.0, 5.0)):
        search = LineSearch("spg", 0.5)
        search.previous = (x - 1.0, g - curvature)
        search.step(Values(-1e300), same, x, 1.0, g)
        assert search.lr == pytest.approx(trial, rel=1e-12) == search.t
    search = LineSearch("spg", 5e9)
    search.previous = (x - 1.0, g)
    search.step(Values(-1e300), same, x, 1.0, g)
    assert search.lr == 1e10
    assert LineSearch("spg")._trial(x, np.array([0.5, -4.0])) == 0.25
    assert LineSearch("armijo")._trial(x, np.zeros(1)) == pytest.approx(1e300)


@pytest.mark.parametrize(("options", "f", "moved"), [
    ({"ftol": 1e-2}, lambda x: 100.0 + 0.5 * float(x @ x), "f"), ({"ftol": 1e-2}, lambda x: 0.5 * float(x @ x), "f"),
    ({"xtol": 1e-2}, lambda x: 0.5 * float(x @ x), "x")])
def test_runs_end_at_the_first_change_as_small_as_the_tolerance(options, f, moved):
    """ftol max(|f|, |f+|, 1) or xtol (1 + |x+|); steps of 10 % from (3, 4)."""
    r = oo.minimize(f, [3.0, 4.0], jac=np.copy, method="gd", lr=0.1, gtol=0.0, return_all=True, **options)
    x = np.array([3.0, 4.0]) * 0.9 ** np.arange(200)[:, None]
    values = np.array([f(p) for p in x])
    if moved == "f":
        small = np.abs(np.diff(values)) <= 1e-2 * np.maximum(np.maximum(abs(values[1:]), abs(values[:-1])), 1.0)
    else:
        size = np.linalg.norm(x, axis=1)
        small = np.linalg.norm(np.diff(x, axis=0), axis=1) <= 1e-2 * (1 + size[1:])
    assert r.nit == 1 + np.flatnonzero(small)[0] and r.success and len(r.allvecs) == r.nit + 1


def test_gradients_are_measured_by_their_largest_entry_and_within_bounds_by_the_projected_step():
    half = dict(jac=np.copy, method="gd", lr=0.5)
    r = oo.minimize(lambda x: 0.5 * float(x @ x), [1.0, 1.0, 1.0], gtol=0.25, **half)
    assert r.nit == 2 and r.success  # entries of 1/4 each, whose norm is 0.43
    r = oo.minimize(lambda x: 0.5 * float(x @ x), [4.0, 1.0], bounds=[(1.0, 5.0), (-9.0, 9.0)], gtol=0.25, **half)
    assert r.nit == 2 and r.x.tolist() == [1.0, 0.25] and r.jac.tolist() == [1.0, 0.25] and "projected" in r.message
    r = oo.minimize(lambda x: 0.5 * float(x @ x), [1.0], gtol=0.0, maxiter=3, **half)
    assert r.nit == 3 and r.status == 1 and r.t == 1.5 and r.lr == 0.5
    assert oo.minimize(lambda x: 0.5 * float(x @ x), [1.0], jac=np.copy, method="gd", lr=1e-9).nit == 10_000


def test_differences_are_of_the_order_and_the_step_that_they_say():
    """f = x^3 at x: forward differences are 3 x h too large, central ones h^2, one-sided ones of three points 2 h^2
    to leading order; h = eps^(1/2), eps^(1/3) times max(1, |x|)."""
    def slope(x, jac, low=-np.inf, high=np.inf):
        objective = Objective(lambda v: v[0] ** 3, (), jac, None, None, (np.array([low]), np.array([high])))
        return objective.value_and_grad(np.array([x]))[1][0], objective.nfev

    eps = np.finfo(float).eps
    for x, scale in ((0.01, 1.0), (2.0, 2.0)):
        h = eps**0.5 * scale
        assert slope(x, "2-point")[0] == pytest.approx(3 * x * x, abs=4 * x * h + 4 * eps / h * x**3 + 1e-15)
        h = eps ** (1 / 3) * scale
        found, spent = slope(x, "3-point")
        assert found - 3 * x * x == pytest.approx(h * h, rel=1e-3, abs=4 * eps * x**3 / h) and spent == 3
    x, h = 1e-5, eps ** (1 / 3)
    for low, high in ((x, np.inf), (-np.inf, x)):  # (4 f(h/2) - 3 f - f(h))/h: f''' h^2/12 less
        found, spent = slope(x, "3-point", low, high)
        assert found - 3 * x * x == pytest.approx(-h * h / 2, rel=1e-2) and spent == 3
    for low, high in ((-h, np.inf), (-np.inf, h), (-h, h)):  # both sides just fit in
        assert slope(0.0, "3-point", low, high)[0] == pytest.approx(h * h, rel=1e-9)
    assert slope(1.0, "2-point", 1.0, 1.0) == (0.0, 1)
    assert slope(3.0, "cs")[0] == pytest.approx(27.0, rel=1e-15)


def test_spectra_within_thirty_products_are_exact_and_beyond_inside():
    rng = np.random.default_rng(1)
    q = np.linalg.qr(rng.standard_normal((30, 30)))[0]
    lam = np.linspace(0.3, 20.0, 30)
    matrix, asked = q * lam @ q.T, []

    def product(v):
        asked.append(np.linalg.norm(v))
        return matrix @ v

    ends = spectrum_ends(product, 30)
    np.testing.assert_allclose(ends, (20.0, 0.3), rtol=1e-6)
    assert len(asked) <= 30 and np.allclose(asked, 1.0)
    large = np.linspace(-5.0, 2.0, 400)
    asked.clear()
    top, bottom = spectrum_ends(lambda v: asked.append(1) or large * v, 400)
    assert len(asked) == 30 and 4.85 < top < 5.0 and bottom == -top
    np.testing.assert_allclose(spectrum_ends(lambda v: np.array([1.0, 1.001]) * v, 2), (1.001, 1.0), rtol=1e-12)


def test_the_automatic_rate_of_damped_momentum():
    """(1 + m)/((1 - dampening) L), half of the limit, with L 10 % above the estimate."""
    r = oo.minimize(lambda x: 3.5 * float(x @ x), [1.0], jac=lambda x: 7 * x, hess=lambda x: np.array([[7.0]]),
                    method="momentum", momentum=0.5, form="torch", dampening=0.2, maxiter=2)
    assert r.lr == pytest.approx(1.5 / (0.8 * 7.7), rel=1e-12)


def test_the_last_step_of_an_optimizer_ends_where_it_is_told():
    """A shorter step of its scheme, or the part of its own step where it has none; a billionth is not cut off."""
    problem = oo.problems.quadratic([2.0], x0=[1.0])

    def ended(optimizer, end):
        flow = optimizer.flow
        field, y0 = flow.field(problem), optimizer.flow_start(problem.x0, problem.grad(problem.x0)).ravel()
        r = integrate.solve_ivp(lambda t, y: field(t, y.reshape(flow.rows, 1)).ravel(),
                                (optimizer.t0, optimizer.t0 + end), y0, method=solver_class(optimizer, problem))
        assert r.success and r.t[-1] == optimizer.t0 + end
        return r.y[0], r.t - optimizer.t0, r.nfev

    for rest in (0.05, 0.1 - 1e-7, 0.1 - 1e-12, 0.1):
        y, t, spent = ended(oo.GradientDescent(0.1), 0.2 + rest)
        taken = rest if rest < 0.1 - 1e-10 else 0.1
        np.testing.assert_allclose(y, [1.0, 0.8, 0.64, 0.64 * (1 - 2 * taken)], rtol=1e-14)
        np.testing.assert_allclose(t, [0.0, 0.1, 0.2, 0.2 + rest], rtol=1e-14)
        assert spent == (4 if taken < 0.1 else 3)  # a shortened step begins anew
    for more, steps in ((1e-12, 3), (1e-7, 4)):  # a step more only where more than a billionth of one is left
        y, t, _ = ended(oo.GradientDescent(0.1), 0.3 + more)
        np.testing.assert_allclose(y, [1.0, 0.8, 0.64, 0.512, 0.512 * (1 - 2 * more)][: steps + 1], rtol=1e-13)
        np.testing.assert_allclose(t, [0.0, 0.1, 0.2, 0.3, 0.3 + more][: steps + 1], rtol=1e-11)
    nadam = oo.NAdam(0.1)
    own, h = oo.record(nadam, problem, steps=3).x[:, 0], nadam.h
    for share in (0.3, 1 - 1e-7):
        y, _, _ = ended(nadam, (2 + share) * h)
        np.testing.assert_allclose(y, [*own[:3], own[2] + share * (own[3] - own[2])], rtol=1e-12)


def test_a_gradient_of_one_variable_may_be_a_number():
    r = oo.minimize(lambda x: (x[0] - 3) ** 2, [1.0], jac=lambda x: 2 * (float(x[0]) - 3), method="armijo")
    assert r.success and r.x[0] == pytest.approx(3.0, abs=1e-5) and r.jac.shape == (1,)


def products(x, v, jac=None, low=-np.inf, high=np.inf):
    """H(x) v of x^4/4 by differences, where the gradient was asked for, and the objective."""
    asked = []

    def slope(y):
        asked.append(y.copy())
        return y**3

    x, v = np.array(x), np.array(v)
    box = np.broadcast_to(np.array(low, float), x.shape), np.broadcast_to(np.array(high, float), x.shape)
    objective = Objective(lambda y: 0.25 * (y**4).sum(), (), jac or slope, None, None, box)
    return objective.product(x)(v), asked, objective


def test_products_by_differences_stay_inside_the_bounds():
    """A step of 1e-6 (1 + |x|) along v, 1e-3 (1 + |x|) where gradients are differences, half of a narrow side at most;
    beside a bound from a step inside; fixed variables do not count."""
    for x in ([0.5, -2.0], [0.0, 3.0]):
        found, (base, moved), objective = products(x, [0.6, 0.8])
        np.testing.assert_array_equal(base, x)
        np.testing.assert_allclose(moved - base, 1e-6 * (1 + abs(x[1])) * np.array([0.6, 0.8]), rtol=1e-9)
        np.testing.assert_allclose(found, 3 * np.square(x) * [0.6, 0.8], rtol=1e-5, atol=1e-11)
        assert (objective.njev, objective.nhev) == (2, 0)
    h = 1e-3 * (1 + 2.0)  # forward: H v + h f''' v^2/2
    found, _, _ = products([0.5, -2.0], [0.0, 1.0], "3-point")
    np.testing.assert_allclose(found, [0.0, 12.0 - 6 * h], rtol=1e-4, atol=1e-5)
    found, (base, moved), _ = products([2.0, 1.0, 5.0], [0.0, 1.0, 1.0], low=[0.0, 1.0, 5.0], high=[9.0, 9.0, 5.0])
    step = 6e-6
    np.testing.assert_allclose(base, [2.0, 1 + step, 5.0], rtol=1e-12)
    np.testing.assert_allclose(moved - base, [0.0, step, 0.0], rtol=1e-8)
    assert found[2] == 0.0 and found[1] == pytest.approx(3.0, rel=1e-4)
    found, (base, moved), _ = products([2.0, 1.0], [1.0, -1.0], low=[0.0, 1.0], high=[9.0, 1 + 1e-6])
    np.testing.assert_allclose(base - [2.0, 1.0], [0.0, 5e-7], atol=1e-15)
    np.testing.assert_allclose(moved - [2.0, 1.0], [5e-7, 0.0], atol=1e-15)


def test_products_are_counted_as_what_they_are():
    x, v = np.array([0.5, -2.0]), np.array([0.6, 0.8])
    free = np.full(2, -np.inf), np.full(2, np.inf)
    for hess, hessp in ((lambda y: np.diag(3 * y * y), None), (None, lambda y, w: 3 * y * y * w)):
        objective = Objective(lambda y: 0.25 * (y**4).sum(), (), lambda y: y**3, hess, hessp, free)
        product = objective.product(x)
        np.testing.assert_allclose([product(v), product(2 * v)], [3 * x * x * v, 6 * x * x * v], rtol=1e-14)
        assert (objective.nhev, objective.njev) == (1 if hess else 2, 0)


@pytest.mark.parametrize("steps", [1, 400, 10_000])
def test_a_length_is_found_from_any_units(steps):
    """The step of sign descent is R/sqrt(steps)/sqrt(n), R = |g|^2/|H g|."""
    h, g, x = np.diag([1.0, 4.0]), np.array([3.0, -1.0]), np.array([0.2, 0.1])
    r = g @ g / np.linalg.norm(h @ g)
    for unit in (1e-30, 1.0, 1e30):
        lr, _ = auto_lr(oo.SignGD, lambda v, unit=unit: h @ v / unit, 2, at=(unit * x, g), steps=steps)
        assert lr == pytest.approx(unit * r / np.sqrt(2 * steps), rel=1e-12)


def test_rates_from_curvature_are_those_of_the_docstring():
    """L is taken 10 % above 4; mu is 1, or no part where it is negative."""
    for method, rates, lr in ((oo.Momentum(1.0, 0.5), (1.0, 4.0), 1.5 / 4.4),
                              (oo.GradientDescent(1.0), (1.0, 4.0), 2 / 5.4),
                              (oo.GradientDescent(1.0), (-1.0, 4.0), 1 / 4.4),
                              (oo.Nesterov(1.0, momentum=0.5), (1.0, 4.0), 0.75 / 4.4)):
        assert auto_lr(method, lambda v, rates=rates: np.array(rates) * v, 2)[0] == pytest.approx(lr, rel=1e-9)


def test_a_length_is_that_of_a_memory_which_has_settled():
    """A velocity takes 32 steps on the gradient of the start; a mean begins at it."""
    wound = _settled_move(oo.Momentum(1.0, 0.9), np.zeros(1), np.ones(1))
    assert wound == pytest.approx(10 * (1 - 0.9**32), rel=1e-12)
    assert _settled_move(oo.Lion(1.0, 0.9, 0.9), np.zeros(2), np.array([3.0, -1.0])) == pytest.approx(2**0.5, rel=1e-12)


@pytest.mark.parametrize("method", ["gd", oo.GradientDescent(1.0), oo.GradientDescent])
def test_an_automatic_rate_within_bounds(method):
    """x^2/2 from 3 on [1, 4]: L = 1.1 and mu = 1 give 2/2.1."""
    r = oo.minimize(lambda x: 0.5 * float(x @ x), [3.0], jac=np.copy, hess=lambda x: np.eye(1), bounds=[(1.0, 4.0)],
                    method=method, lr="auto", maxiter=5)
    assert r.success and r.x[0] == 1.0 and r.lr == pytest.approx(2 / 2.1, rel=1e-9)
    with pytest.raises(ValueError, match="bounds must be None for rmsprop"):
        oo.minimize(lambda x: 0.5 * float(x @ x), [3.0], bounds=[(1.0, 4.0)], method="rmsprop", lr="auto", momentum=0.5)


def bounded_move(k, p, x, g, s):
    x -= min(p[0], p[1]) * g / np.linalg.norm(g)
    return p[0]


@dataclass(frozen=True)
class Bounded(Optimizer):
    """Moves by lr, at most by ``most``."""

    lr: float = positive(default=1.0)
    most: float = nonnegative(default=1.0)
    kernel = staticmethod(bounded_move)


def test_a_length_is_met_to_a_tenth_or_refused():
    x, g = np.array([0.2, 0.1]), np.array([3.0, -1.0])
    target = np.sqrt(10.0) / 4 / np.sqrt(100)  # R = |g|^2/|H g| with H = 4
    for share, met in ((1.01, True), (0.91, True), (0.89, False), (0.0, False)):
        given = (Bounded(1.0, share * target), lambda v: 4 * v, 2)
        if met:
            assert auto_lr(*given, at=(x, g), steps=100)[0] >= 0.99 * target
            continue
        with pytest.raises(ValueError, match=f"can move x by .* = {target:.3g} at x0, and .* moves it by"):
            auto_lr(*given, at=(x, g), steps=100)


def proportional_move(k, p, x, g, s):
    x -= p[0] * g
    return p[0]


@dataclass(frozen=True)
class Proportional(Optimizer):
    """Gradient descent that does not know its limit."""

    lr: float = positive(default=1.0)
    kernel = staticmethod(proportional_move)


def test_what_has_no_length_is_refused():
    x, unit = np.array([0.2, 0.1]), np.array([0.6, -0.8])
    assert auto_lr(oo.SignGD, lambda v: 4 * v, 2, at=(x, unit), steps=1)[0] == pytest.approx(1 / 4 / np.sqrt(2))
    for method, curvature, g, words in ((oo.SignGD, 4.0, 0 * unit, "at must have a gradient that is not zero"),
                                        (oo.SignGD, 0.0, unit, "needs a curvature at x0, .* norm 0"),
                                        (oo.SignGD, np.inf, unit, "needs a curvature at x0, .* norm inf"),
                                        (oo.GradientDescent, 0.0, unit, "needs a curvature at x0, .* norm 0"),
                                        (Proportional, 4.0, unit, "needs a stability limit of a method whose steps")):
        with pytest.raises(ValueError, match=words):
            auto_lr(method, lambda v, curvature=curvature: curvature * v, 2, at=(x, g))
