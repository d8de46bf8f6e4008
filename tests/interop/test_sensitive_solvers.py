"""The solver classes step by step: first steps, controllers, error estimates and radii by their formulas."""

import math

import numpy as np
import pytest
from scipy import integrate

import odeopt as oo
from odeopt.interop import RKC2, ROCK2, solver_class
from odeopt.reference import scheme_solvers
from odeopt.reference.stabilized import rkc_coefficients, rock_coefficients

EPS = np.finfo(float).eps
RATES = np.array([1.0, 40.0])


def pulsed(t, y):
    """Two decays, pushed for a moment around t = 1: steps are rejected there."""
    return -RATES * (y - 10 * np.exp(-200 * (t - 1.0) ** 2))


def norm(v):
    return math.sqrt(np.mean(v**2))


def first_step(fun, t, y, length, sign, rtol, atol):
    """Hairer, Norsett, Wanner I, II.4, for an estimate of order 1: exponent 1/2."""
    scale = atol + rtol * abs(y)
    f = fun(t, y)
    d0, d1 = norm(y / scale), norm(f / scale)
    h0 = 1e-6 if d0 < 1e-5 or d1 < 1e-5 else min(0.01 * d0 / d1, length)
    d2 = norm((fun(t + sign * h0, y + sign * h0 * f) - f) / scale) / h0
    largest = max(d1, d2)
    h1 = max(1e-6, 1e-3 * h0) if largest <= 1e-15 else (0.01 / largest) ** 0.5
    return min(100 * h0, h1, length)


def heun(fun, t0, y, end, rtol, atol, most=np.inf, first=None):
    """``(times, state, rejected)`` of Heun's pair under the PI controller of the docstrings."""
    sign, h, before, t, times, rejected = np.sign(end - t0), first, 1.0, t0, [t0], 0
    h = first_step(fun, t0, y, abs(end - t0), sign, rtol, atol) if h is None else h
    while t != end:
        trial = min(h, most)
        while True:
            rest = abs(end - t)
            near = trial >= rest * (1 - 1e-3)
            last = near and rest <= max(trial, most)
            step = sign * (rest if last else rest / 2 if near else trial)
            one = fun(t, y)
            two = fun(end if last else t + step, y + step * one)
            new, e = y + step / 2 * (one + two), step / 2 * (two - one)
            error = norm(e / (atol + rtol * np.maximum(abs(y), abs(new))))
            bounded = max(error, 1e-10)
            factor = 0.9 * bounded ** (-0.7 / 2) * (before ** (0.4 / 2) if error <= 1 else 1.0)
            factor = min(5.0, max(0.2, factor))
            if error <= 1:
                break
            rejected += 1
            trial = abs(step) * min(factor, 0.9)
        before = bounded
        t, y, h = (end if last else t + step), new, abs(step) * factor
        times.append(t)
    return np.array(times), y, rejected


@pytest.mark.parametrize(("t0", "end", "more"), [(0.0, 2.0, {}), (2.0, 1.7, {}), (0.0, 2.0, {"max_step": 0.031}),
                                                 (0.0, 0.5, {"first_step": 0.3})])
def test_steps_of_a_pair_are_those_of_the_formulas(t0, end, more):
    cls = solver_class(oo.schemes.heun_euler)
    rtol, atol = 1e-3, 1e-5
    solver, y = cls(pulsed, t0, np.array([1.0, -0.5]), end, rtol=rtol, atol=atol, **more), np.array([1.0, -0.5])
    found = [solver.t]
    while solver.status == "running":
        solver.step()
        found.append(solver.t)
    times, y, rejected = heun(pulsed, t0, y, end, rtol, atol, more.get("max_step", np.inf), more.get("first_step"))
    np.testing.assert_allclose(found, times, rtol=1e-10)
    np.testing.assert_allclose(solver.y, y, rtol=1e-9)
    assert rejected > 2 or end != 2.0


@pytest.mark.parametrize(("y", "fun"), [
    ([0.0, 0.0], lambda t, y: 1.0 + 0 * y), ([1.0, 2.0], lambda t, y: 0 * y), ([3.0, 1.0], lambda t, y: -RATES * y),
    ([0.0, 0.0], lambda t, y: 0 * y), ([1e-9, 0.0], lambda t, y: -RATES * y), ([1.0, 0.0], lambda t, y: -1e5 * y),
    ([1e9, 0.0], lambda t, y: 1e-9 + 0 * y)])
def test_first_steps_are_the_textbooks(y, fun):
    cls = solver_class(oo.schemes.heun_euler)
    for end in (100.0, 1e-8):
        solver = cls(fun, 0.0, np.array(y), end, rtol=1e-3, atol=1e-5)
        expected = first_step(fun, 0.0, np.array(y), end, 1.0, 1e-3, 1e-5)
        assert solver._first_step() == pytest.approx(expected, rel=1e-13, abs=0)


@pytest.mark.parametrize("length", [1.0, 1.0005, 1.002, 2.0, 2.001])
def test_no_sliver_is_left_at_the_end(length):
    """The last step is up to a thousandth longer, if it may be; else two of half its length are taken."""
    cls, rest = solver_class(oo.schemes.heun_euler), {"rtol": 1.0, "atol": 1e9, "first_step": 1.0}
    for most, expected in ((np.inf, [length] if length < 1.001 else [1.0, length]),
                           (1.0, [length] if length == 1.0 else [length / 2, length] if length < 1.001 else
                            [1.0, length] if length <= 2 else [1.0, 1.0 + (length - 1) / 2, length])):
        solver = cls(lambda t, y: 0 * y, 0.0, np.ones(1), length, max_step=most, **rest)
        found = []
        while solver.status == "running":
            solver.step()
            found.append(solver.t)
        np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize("h", [1e-3, 50.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_equal_steps_end_at_the_end_to_a_billionth(h, sign):
    cls = solver_class(oo.schemes.explicit_euler)
    for over, steps in ((9e-10, 10), (-9e-10, 10), (1.1e-9, 11), (-1.1e-9, 10), (0.5, 11)):
        end, found = sign * h * (10 + over), [0.0]
        solver = cls(lambda t, y: np.ones(1), 0.0, np.zeros(1), end, step=h)
        while solver.status == "running":
            solver.step()
            found.append(solver.t)
        assert solver.t == end and len(found) == 1 + steps
        np.testing.assert_allclose(np.abs(found[1:10]), h * np.arange(1, 10), rtol=1e-15)
        length = 10.0 if abs(over) < 1e-9 else 10 + over
        assert solver.y[0] == pytest.approx(sign * h * length, rel=1e-14)


# Stabilised solvers -------------------------------------------------------------------------------------


def stepped(cls, z, **options):
    solver = cls(lambda t, y: z * y, 0.0, np.ones(z.size), 1.0, rtol=1.0, atol=1e9, first_step=1.0, **options)
    solver.step()
    return solver


@pytest.mark.parametrize("radius", [1.0, 30.0, 700.0])
def test_error_estimates_are_those_of_the_papers(radius):
    """RKC2: 4/5 (y - y+) + 2/5 h (f + f+), Sommeijer, Shampine and Verwer, 3.1. ROCK2: what the last stage adds, (tau
    - sigma^2) z^2 P(z), Abdulle and Medovikov, section 4."""
    z = -np.linspace(0.1, radius, 7)
    solver = stepped(RKC2, z, spectral_radius=radius)
    np.testing.assert_allclose(solver._estimate(), 0.8 * (1 - solver.y) + 0.4 * z * (1 + solver.y), atol=1e-12 * radius)
    solver = stepped(ROCK2, z, spectral_radius=radius)
    c = rock_coefficients(solver.stages)
    p = c.polynomial(z) / (1 + 2 * c.sigma * z + c.tau * z * z)
    np.testing.assert_allclose(solver._estimate(), (c.tau - c.sigma**2) * z * z * p, atol=1e-12 * radius)


def test_estimates_are_of_their_order():
    """Halved steps: RKC2's estimate falls by 8, ROCK2's by 4."""
    for cls, order in ((RKC2, 3), (ROCK2, 2)):
        sizes = [np.abs(stepped(cls, np.array([-h]), spectral_radius=h)._estimate())[0] for h in (2e-3, 1e-3)]
        assert math.log2(sizes[0] / sizes[1]) == pytest.approx(order, abs=2e-3)


@pytest.mark.parametrize("cls", [RKC2, ROCK2])
def test_stages_see_their_own_times(cls):
    """On y' = 1 from y = t every stage is where its time is."""
    seen = []

    def fun(t, y):
        seen.append((t, y[0]))
        return np.ones(1)

    cls(fun, 0.3, np.array([0.3]), 1.3, rtol=1.0, atol=1e9, first_step=1.0, spectral_radius=60.0).step()
    times, values = np.array(seen).T
    assert times.size >= 9
    np.testing.assert_allclose(times, values, rtol=1e-12)


def measurements(cls, fun, t_bound, given=None):
    """After how many accepted steps the spectral radius was measured; how many there were; the last radius."""
    measured, accepted = [], [0]

    class Watched(cls):
        def _measure(self):
            measured.append(accepted[0])
            super()._measure()

    solver = Watched(fun, 0.0, np.ones(2), t_bound, max_step=0.05, spectral_radius=given)
    while solver.status == "running":
        solver.step()
        accepted[0] += 1
    return measured, accepted[0], solver._radius


@pytest.mark.parametrize("cls", [RKC2, ROCK2])
def test_the_spectral_radius_is_measured_at_the_start_every_25_steps_and_after_rejections(cls):
    measured, steps, _ = measurements(cls, lambda t, y: -RATES * y, 5.0)
    assert steps > 60 and measured == list(range(0, steps, 25))
    measured, steps, _ = measurements(cls, lambda t, y: -RATES * y, 5.0, lambda t, y: 40.0)
    assert steps > 60 and measured == list(range(steps))
    measured, steps, radius = measurements(
        cls, lambda t, y: -np.array([1.0, 40.0 if t < 1.02 else 4e4]) * (y - np.cos(9 * t)), 1.1)
    assert any(k % 25 for k in measured) and radius == pytest.approx(1.2 * 4e4, rel=0.02)


@pytest.mark.parametrize("cls", [RKC2, ROCK2])
@pytest.mark.parametrize("y", [[3.0, -4.0, 0.0, 12.0], [0.0, 0.0, 0.0, 0.0]])
def test_the_radius_is_a_fifth_above_what_products_show(cls, y):
    """By differences sqrt(eps) |y| long from y on (sqrt(eps) at 0), to a hundredth or by 50 of them."""
    asked, rates = [], np.array([1.0, 2.0, 3.0, 100.0])

    def fun(t, v):
        asked.append(v.copy())
        return -rates * v

    solver = cls(fun, 0.0, np.array(y), 1.0)
    solver._measure()
    assert solver._radius == pytest.approx(120.0, rel=2e-3) and len(asked) < 8
    reach = math.sqrt(EPS) * (np.linalg.norm(y) or 1.0)
    np.testing.assert_allclose(np.linalg.norm(np.array(asked[1:]) - y, axis=1), reach, rtol=1e-5)
    asked.clear()
    solver = cls(lambda t, v: asked.append(v) or -np.array([100.0, 80.0, 1.0]) * v, 0.0, np.ones(3), 1.0)
    solver._measure()
    v, before, size, products = np.random.default_rng(0).standard_normal(3), np.inf, 0.0, 0
    while abs(size - before) > 0.01 * size or products < 2:
        v, before, products = v / np.linalg.norm(v) * [100.0, 80.0, 1.0], size, products + 1
        size = np.linalg.norm(v)
    assert len(asked) == 1 + products > 4 and solver._radius == pytest.approx(1.2 * size, rel=1e-6)
    for scale in (1e-4, 1.0):  # the next time it begins with the vector where it ended
        asked.clear()
        solver = cls(lambda t, v, scale=scale: asked.append(v) or -scale * rates * v, 0.0, np.array(y), 1.0)
        solver._measure()
        first = len(asked)
        solver._measure()
        assert len(asked) - first < first - 1
    turning = []
    solver = cls(lambda t, v: turning.append(0) or np.array([v[1], -4.0 * v[0]]), 0.0, np.array([1.0, 0.3]), 1.0)
    solver._measure()  # an oscillation: estimates of the power iteration go on swinging between 1 and 4
    assert len(turning) == 51


def test_steps_are_no_longer_than_the_most_stages_allow():
    """RKC2: sqrt(rtol/(10 eps)) stages, at least 2; ROCK2: 200."""
    for rtol in (1e-3, 1e-6, 1e-12):
        solver = RKC2(lambda t, y: -y, 0.0, np.ones(1), 1.0, rtol=rtol, spectral_radius=1e20)
        most = max(round(math.sqrt(rtol / (10 * EPS))), 2)
        solver._measure()
        assert 1e20 * solver._plan(0.0, 0.5)[1] == pytest.approx(0.653 * (most**2 - 1), rel=1e-12)
        solver = ROCK2(lambda t, y: -y, 0.0, np.ones(1), 1.0, rtol=rtol, spectral_radius=1e20)
        solver._measure()
        assert 1e20 * solver._plan(0.0, 0.5)[1] == pytest.approx(rock_coefficients(200).interval, rel=1e-12)
    slow = ROCK2(lambda t, y: -y, 0.0, np.ones(1), 1e9, spectral_radius=0.5)
    slow._measure()
    assert slow._plan(0.0, 1e8)[1] == pytest.approx(rock_coefficients(200).interval / 0.5, rel=1e-12)
    free = RKC2(lambda t, y: 0 * y, 0.0, np.ones(1), 1.0, spectral_radius=0.0)
    free._measure()
    assert free._plan(0.0, 0.5)[1] == 0.5


def test_coefficients_of_rkc_are_those_of_the_paper():
    """(2.5) to (2.9) of Sommeijer, Shampine and Verwer, with T_j and its derivatives from numpy."""
    for s in (2, 3, 7, 20):
        w0 = 1 + 2 / 13 / s**2
        basis = [np.polynomial.chebyshev.Chebyshev.basis(j) for j in range(s + 1)]
        t, d1, d2 = (np.array([p.deriv(i)(w0) if i else p(w0) for p in basis]) for i in (0, 1, 2))
        w1 = d1[s] / d2[s]
        b = np.array([0.0, 0.0, *(d2[2:] / d1[2:] ** 2)])
        b[0], b[1] = b[2], 1 / w0
        c, j = rkc_coefficients(s), np.arange(2, s + 1)
        np.testing.assert_allclose(c.first, b[1] * w1, rtol=1e-12)
        np.testing.assert_allclose(c.mu, 2 * b[j] * w0 / b[j - 1], rtol=1e-12)
        np.testing.assert_allclose(c.nu, -b[j] / b[j - 2], rtol=1e-12)
        np.testing.assert_allclose(c.gain, 2 * b[j] * w1 / b[j - 1], rtol=1e-12)
        np.testing.assert_allclose(c.gamma, -(1 - b[j - 1] * t[j - 1]) * c.gain, rtol=1e-11)
        np.testing.assert_allclose(c.times[1:], w1 * d2[j] / d1[j], rtol=1e-12)


def test_the_dense_output_of_dormand_and_prince_is_of_order_four():
    """For y = t, t^2, t^3 the cubic is exact; t^4 lacks s^2 (1 - s)^2 of it: sum d_i c_i^q = 0, 0, 0 and 1/4."""
    c = np.array([0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1])
    for q, expected in enumerate((0.0, 0.0, 0.0, 0.25)):
        assert scheme_solvers._DENSE @ c**q == pytest.approx(expected, abs=1e-14)


def test_a_first_step_of_another_length_moves_the_grid():
    solver = solver_class(oo.schemes.explicit_euler)(lambda t, y: -y, 1.0, np.ones(1), 2.05, step=0.25, first_step=0.1)
    times, factor = [1.0], 1.0
    for h in (0.1, 0.25, 0.25, 0.25, 0.2):
        solver.step()
        times.append(times[-1] + h)
        factor *= 1 - h
        assert solver.t == pytest.approx(times[-1], rel=1e-15) and solver.y[0] == pytest.approx(factor, rel=1e-13)
    assert solver.status == "finished" and solver.t == 2.05


def test_evaluations_of_a_discretization_are_its_stages_and_those_of_dense_output():
    problem, flow = oo.problems.quadratic([1.0, 3.0]), oo.flows.heavy_ball_flow(0.5)
    field, y0 = flow.field(problem), flow.start(problem.x0).ravel()
    for scheme, stages, slopes in ((oo.schemes.rk4, 4, 7), (oo.schemes.semi_implicit_euler, 2, 8),
                                   (oo.schemes.dormand_prince, 7, 0)):  # of their ends, which a stage may be
        cls = solver_class(oo.Discretization(flow, scheme, 0.1), problem)
        for dense in (False, True):
            found = integrate.solve_ivp(lambda t, y: field(t, y.reshape(2, 2)).ravel(), (0.0, 0.7), y0, method=cls,
                                        dense_output=dense)
            assert found.nfev == 7 * stages + dense * slopes and found.t.size == 8


@pytest.mark.parametrize("optimizer", [oo.RMSprop(0.01, decay=0.9), oo.Adam(0.01), oo.Momentum(0.01, 0.5)], ids=repr)
def test_slopes_of_an_optimizers_dense_output_are_limited(optimizer):
    """Fritsch and Carlson: between 0 and 3 times the chord's; that of the chord where the field is not finite."""
    problem, flow = oo.problems.quadratic([2.0], x0=[1.0]), optimizer.flow
    field, y0 = flow.field(problem), optimizer.flow_start(problem.x0, problem.grad(problem.x0)).ravel()

    def fun(t, y):
        with np.errstate(all="ignore"):
            return field(t, y.reshape(flow.rows, 1)).ravel()

    t0, h, limited = optimizer.t0, optimizer.h, []
    found = integrate.solve_ivp(fun, (t0, t0 + 3 * h), y0, method=solver_class(optimizer, problem), dense_output=True)
    for i in range(3):
        (a, b), (y, z) = found.t[i : i + 2], found.y.T[i : i + 2]
        chord = (z - y) / (b - a)
        ends = [np.where(np.isnan(fun(t, at)), chord, fun(t, at)) for t, at in ((a, y), (b, z))]
        first, last = (np.sign(chord) * np.clip(f * np.sign(chord), 0, 3 * np.abs(chord)) for f in ends)
        limited.append(not np.array_equal([first, last], ends))
        for s in (0.25, 0.5):
            cubic = (1 + 2 * s) * (1 - s) ** 2 * y + (3 - 2 * s) * s**2 * z + (b - a) * s * (1 - s) * (
                (1 - s) * first - s * last)
            np.testing.assert_allclose(found.sol(a + s * (b - a)), cubic, rtol=1e-9, atol=1e-12)
    assert any(limited) or not isinstance(optimizer, oo.RMSprop)


@pytest.mark.parametrize("scheme", [oo.schemes.rkc, oo.schemes.heun_euler, oo.schemes.explicit_euler,
                                    oo.schemes.implicit_euler, oo.schemes.linearly_implicit_euler], ids=str)
def test_evaluations_are_those_that_are_asked_for(scheme):
    """Gradients and Hessian products, also of schemes that iterate; one more is made before they are counted."""
    calls, problem, flow = [], oo.problems.quadratic([1.0, 30.0]), oo.flows.gradient_flow()
    counted = oo.Problem(problem.fun, lambda x: calls.append(1) or problem.grad(x), x0=problem.x0,
                         hessp=lambda x, v: calls.append(1) or problem.hessp(x, v))
    field = flow.field(problem)
    for dense in (False, True):
        calls.clear()
        found = integrate.solve_ivp(lambda t, y: field(t, y[None]).ravel(), (0.0, 0.7), problem.x0, dense_output=dense,
                                    method=solver_class(oo.Discretization(flow, scheme, 0.1), counted))
        assert found.success and found.nfev == len(calls) - 1 >= 7
