"""The objectives: formulas against published ones, derivatives against finite differences."""

import json
import math
import subprocess
import sys

import numba
import numpy as np
import places
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from odeopt import problems
from odeopt.problems import ALL, Problem, by_name

# Scale-invariant losses have no isolated minima and a singular origin: studies/networks/test_scale_invariance.py.
ELSEWHERE = ("digits", "normalized", "rayleigh", "angle")
SMALL = {name: factory() for name, factory in ALL.items() if not name.startswith(ELSEWHERE)}
SMALL |= {
    "quadratic-angle": problems.quadratic([1, 100], angle=0.7, minimiser=[2, -1]),
    "quadratic-seed": problems.quadratic([-1, 0, 2, 50], seed=3),
    "rosenbrock-3": problems.rosenbrock(3),
    "rosenbrock-5": problems.rosenbrock(5),
    "styblinski-tang-3": problems.styblinski_tang(3),
    "rastrigin-3": problems.rastrigin(3),
    "ackley-1": problems.ackley(1),
    "ackley-3": problems.ackley(3),
    "levy-1": problems.levy(1),
    "levy-3": problems.levy(3),
    "quartic-3": problems.quartic(3),
}
WITH_MINIMA = {name: p for name, p in SMALL.items() if p.minima}
# Ackley has no derivative at its minimum, x^4/4 no curvature: the usual conditions do not hold.
REGULAR = {name: p for name, p in WITH_MINIMA.items() if not name.startswith(("ackley", "quartic"))}

# pytest.approx would add abs=1e-12 by itself: every comparison below says abs=0 or its own.
by_problem = pytest.mark.parametrize("name", SMALL)


def sample(problem, rng):
    """A point of the window, or of [-2.5, 2.5]^n without one."""
    sides = np.array(problem.window or [(-2.5, 2.5)] * problem.dim)
    return rng.uniform(sides[:, 0], sides[:, 1])


def derivative(function, h=4e-3):
    """d/dt function(t) at 0: central differences at h, h/2, h/4, extrapolated to order 6."""
    d = [(function(s) - function(-s)) / (2 * s) for s in (h, h / 2, h / 4)]
    d = [(4 * d[1] - d[0]) / 3, (4 * d[2] - d[1]) / 3]
    return (16 * d[1] - d[0]) / 15


# The formulas as the sources print them, without the rearrangements of the kernels.
def _levy_as_printed(x):
    w = 1 + (x - 1) / 4
    middle = (w[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:-1] + 1) ** 2)
    tail = (w[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[-1]) ** 2)
    return np.sin(np.pi * w[0]) ** 2 + middle.sum() + tail


def _ackley_as_printed(x):
    n = x.size
    return (-20 * np.exp(-0.2 * np.sqrt((x**2).sum() / n)) - np.exp(np.cos(2 * np.pi * x).sum() / n)
            + 20 + np.e)


def _goldstein_price_as_printed(x):
    a, b = x
    return ((1 + (a + b + 1) ** 2 * (19 - 14 * a + 3 * a**2 - 14 * b + 6 * a * b + 3 * b**2))
            * (30 + (2 * a - 3 * b) ** 2
               * (18 - 32 * a + 12 * a**2 + 48 * b - 36 * a * b + 27 * b**2)))  # fmt: skip


def _log_cosh_as_printed(x, angle=math.pi / 6):
    u = math.cos(angle) * x[0] + math.sin(angle) * x[1]
    v = -math.sin(angle) * x[0] + math.cos(angle) * x[1]
    return math.log(math.cosh(u)) + 100 * math.log(math.cosh(v))


PRINTED = {
    "quadratic": lambda x: 0.5 * (x[0] ** 2 + 100 * x[1] ** 2),
    "rosenbrock": scipy.optimize.rosen,
    "beale": lambda x: sum((c - x[0] * (1 - x[1] ** k)) ** 2 for k, c in ((1, 1.5), (2, 2.25), (3, 2.625))),
    "himmelblau": lambda x: (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2,
    "booth": lambda x: (x[0] + 2 * x[1] - 7) ** 2 + (2 * x[0] + x[1] - 5) ** 2,
    "matyas": lambda x: 0.26 * (x[0] ** 2 + x[1] ** 2) - 0.48 * x[0] * x[1],
    "goldstein-price": _goldstein_price_as_printed,
    "styblinski-tang": lambda x: 0.5 * (x**4 - 16 * x**2 + 5 * x).sum(),
    "rastrigin": lambda x: 10 * x.size + (x**2 - 10 * np.cos(2 * np.pi * x)).sum(),
    "ackley": _ackley_as_printed,
    "three-hump-camel": lambda x: (2 * x[0] ** 2 - 1.05 * x[0] ** 4 + x[0] ** 6 / 6 + x[0] * x[1]
                                   + x[1] ** 2),
    "six-hump-camel": lambda x: ((4 - 2.1 * x[0] ** 2 + x[0] ** 4 / 3) * x[0] ** 2 + x[0] * x[1]
                                 + (-4 + 4 * x[1] ** 2) * x[1] ** 2),
    "mccormick": lambda x: (np.sin(x[0] + x[1]) + (x[0] - x[1]) ** 2 - 1.5 * x[0] + 2.5 * x[1] + 1),
    "easom": lambda x: (-np.cos(x[0]) * np.cos(x[1])
                        * np.exp(-((x[0] - np.pi) ** 2) - (x[1] - np.pi) ** 2)),
    "levy": _levy_as_printed,
    "log-cosh-valley": _log_cosh_as_printed,
    "saddle": lambda x: x[0] ** 2 - x[1] ** 2,
    "monkey-saddle": lambda x: x[0] ** 3 - 3 * x[0] * x[1] ** 2,
    "quartic": lambda x: (x**4).sum() / 4,
    "sine-bowl": lambda x: 0.5 * x @ np.array([[3, 0.7], [0.7, 1]]) @ x + 0.5 * np.sin(x).sum(),
}  # fmt: skip
# (number of global minima, minimum) as printed by Jamil & Yang 2013 and Surjanovic & Bingham.
PUBLISHED = {
    "rosenbrock": (1, 0.0), "beale": (1, 0.0), "himmelblau": (4, 0.0), "booth": (1, 0.0),
    "matyas": (1, 0.0), "goldstein-price": (1, 3.0), "styblinski-tang": (1, -78.332),
    "rastrigin": (1, 0.0), "ackley": (1, 0.0), "three-hump-camel": (1, 0.0),
    "six-hump-camel": (2, -1.0316), "mccormick": (1, -1.9133), "easom": (1, -1.0), "levy": (1, 0.0),
}  # fmt: skip


def test_every_problem_has_its_printed_formula():
    assert {"quadratic", *PRINTED} == {name for name in ALL if not name.startswith(ELSEWHERE)}


@pytest.mark.parametrize("name", [n for n in SMALL if not n.startswith("quadratic-")])
def test_value_is_the_printed_formula(name):
    family = name if name in PRINTED else name.rsplit("-", 1)[0]
    rng = np.random.default_rng(1)
    for _ in range(20):
        x = sample(SMALL[name], rng)
        assert SMALL[name].fun(x) == pytest.approx(PRINTED[family](x), rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("dim", [2, 3, 10])
def test_rosenbrock_is_scipys(dim):
    problem = problems.rosenbrock(dim)
    x, v = np.random.default_rng(dim).uniform(-2, 2, (2, dim))
    assert problem.fun(x) == pytest.approx(scipy.optimize.rosen(x), rel=1e-13, abs=0)
    np.testing.assert_allclose(problem.grad(x), scipy.optimize.rosen_der(x), rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(problem.hessp(x, v), scipy.optimize.rosen_hess_prod(x, v), rtol=1e-12,
                               atol=1e-10)
    np.testing.assert_allclose(problem.hess(x), scipy.optimize.rosen_hess(x), rtol=1e-12, atol=1e-10)


@by_problem
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_derivatives_are_those_of_the_value(name, seed):
    problem, rng = SMALL[name], np.random.default_rng(seed)
    x, v = sample(problem, rng), rng.standard_normal(problem.dim)
    if name.startswith("ackley"):
        x += np.copysign(0.1, x)  # differences across the tip mean nothing
    v /= np.linalg.norm(v)
    scale = 1.0 + abs(problem.fun(x)) + np.linalg.norm(problem.grad(x))
    slope = derivative(lambda t: problem.fun(x + t * v))
    assert abs(slope - problem.grad(x) @ v) <= 3e-10 * scale
    scale += np.linalg.norm(problem.hessp(x, v))
    change = derivative(lambda t: problem.grad(x + t * v))
    np.testing.assert_allclose(problem.hessp(x, v), change, rtol=0, atol=3e-9 * scale)
    dense = np.array([problem.hessp(x, e) for e in np.eye(problem.dim)])
    np.testing.assert_allclose(dense, dense.T, rtol=0, atol=1e-13 * np.abs(dense).max())


@pytest.mark.parametrize("name", PUBLISHED)
def test_minima_are_the_published_ones(name):
    problem = SMALL[name]
    count, value = PUBLISHED[name]
    assert len(problem.minima) == count
    # printed rounded, and McCormick's (-1.91322...) rounded upwards
    assert problem.f_min == pytest.approx(value, abs=1e-3 if name == "styblinski-tang" else 1e-4)
    for a in range(count):
        for b in range(a):
            assert np.linalg.norm(problem.minima[a] - problem.minima[b]) > 0.1


@pytest.mark.parametrize("name", WITH_MINIMA)
def test_minima_are_exact(name):
    problem = SMALL[name]
    for m in problem.minima:
        f, g = problem.value_and_grad(m)
        assert abs(f - problem.f_min) <= 4e-16 * abs(problem.f_min) + 1e-29
        if name in REGULAR:
            h = problem.hess(m)
            # The nearest double to the true minimiser: |g| <= |H| ulp.
            assert np.linalg.norm(g) <= 4e-16 * np.linalg.norm(h, 2) * max(1.0, np.abs(m).max())
            assert np.linalg.eigvalsh(h)[0] > 0.03
        else:
            assert not g.any()


@pytest.mark.parametrize("name", WITH_MINIMA)
def test_nothing_in_the_window_is_below_the_minimum(name):
    problem, rng = SMALL[name], np.random.default_rng(5)
    lowest = min(problem.fun(sample(problem, rng)) for _ in range(1000))
    assert lowest >= problem.f_min


@pytest.mark.parametrize("name", [n for n, p in SMALL.items() if p.window])
def test_window_shows_start_and_minima(name):
    problem = SMALL[name]
    for point in (problem.x0, *problem.minima):
        for value, (low, high) in zip(point, problem.window, strict=True):
            assert low < value < high


@pytest.mark.parametrize("name", [n for n in ALL if n in REGULAR])
def test_gradient_flow_leads_from_the_start_to_a_minimum(name):
    problem = SMALL[name]

    def arrived(t, x):
        return min(np.linalg.norm(x - m) for m in problem.minima) - 1e-4

    arrived.terminal = True
    path = solve_ivp(lambda t, x: -problem.grad(x), (0, 1000), problem.x0, method="LSODA", rtol=1e-7,
                     atol=1e-9, events=arrived)
    assert path.status == 1, f"ended at {path.y[:, -1]}"


@by_problem
def test_convex_says_so_exactly_when_it_is(name):
    problem, rng = SMALL[name], np.random.default_rng(2)
    points = (sample(problem, rng) for _ in range(300))
    smallest = min(np.linalg.eigvalsh(problem.hess(x))[0] for x in points)
    assert problem.convex == (smallest > -1e-10)


def test_ackley_at_its_tip():
    problem = problems.ackley(2)
    f, g = problem.value_and_grad(np.zeros(2))
    assert f == 0.0
    assert not g.any()
    assert np.isnan(problem.hessp(np.zeros(2), np.ones(2))).all()
    slope = problem.fun([1e-9, 0.0]) / 1e-9  # a cone: 4 |x|/sqrt 2, with all its digits
    assert slope == pytest.approx(4 / math.sqrt(2), rel=1e-7, abs=0)
    assert problem.grad([1e-9, 0.0])[0] == pytest.approx(4 / math.sqrt(2), rel=1e-6, abs=0)


def test_log_cosh_valley_near_and_far():
    problem = problems.log_cosh_valley(condition=100.0, angle=0.0)
    assert problem.fun([1e-8, 0.0]) == pytest.approx(0.5e-16, rel=1e-14, abs=0)
    f, g = problem.value_and_grad([0.0, -1e5])
    assert f == pytest.approx(100 * (1e5 - math.log(2)), rel=1e-15, abs=0)
    assert g[1] == -100.0
    assert problem.hessp([0.0, -1e5], [0.0, 1.0])[1] == 0.0


def test_quadratic_has_the_spectrum_asked_for():
    spectrum = [-3.0, 0.5, 1.0, 70.0]
    minimiser = np.array([1.0, 2.0, 3.0, 4.0])
    problem = problems.quadratic(spectrum, seed=11, minimiser=minimiser)
    np.testing.assert_allclose(np.linalg.eigvalsh(problem.hess(problem.x0)), spectrum, rtol=1e-13)
    assert np.abs(problem.hess(problem.x0) - np.diag(spectrum)).max() > 1.0  # rotated indeed
    assert not problem.grad(minimiser).any()
    assert not problem.convex
    assert problem.minima == ()
    assert problem.f_min is None
    same = problems.quadratic(spectrum, seed=11, minimiser=minimiser)
    assert same.data.tobytes() == problem.data.tobytes()


def test_quadratic_angle_turns_the_first_axis():
    c, s = math.cos(0.3), math.sin(0.3)
    h = problems.quadratic([1.0, 9.0], angle=0.3).hess([5.0, 6.0])
    np.testing.assert_allclose(h @ [c, s], [c, s], rtol=1e-14)
    np.testing.assert_allclose(h @ [-s, c], [-9 * s, 9 * c], rtol=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_rotated_and_plain_quadratic_agree_in_turned_axes(seed):
    spectrum = np.array([0.1, 3.0, 20.0])
    problem = problems.quadratic(spectrum, seed=seed)
    _, q = np.linalg.eigh(problem.hess(np.zeros(3)))
    x = np.array([0.3, -2.0, 1.0])
    assert problem.fun(x) == pytest.approx(problems.quadratic(spectrum).fun(q.T @ x), rel=1e-13, abs=0)


# ---- bad input


def test_names_may_have_any_case():
    assert by_name("Three-Hump_Camel") is by_name("three-hump-camel")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: by_name("rosenbrok"), ValueError, "problem must be one of .* did you mean 'rosenbrock'"),
        (lambda: by_name("Three-Hump-Camle"), ValueError, "did you mean 'three-hump-camel'"),
        (lambda: problems.rosenbrock(1), ValueError, "dim must be at least 2, got 1"),
        (lambda: problems.rastrigin(2.0), TypeError, "dim must be an integer, got 2.0"),
        (lambda: problems.levy(0), ValueError, "dim must be at least 1"),
        (lambda: problems.quadratic([1, math.nan]), ValueError, "eigenvalues must be finite"),
        (lambda: problems.quadratic([]), ValueError, "eigenvalues must have shape"),
        (lambda: problems.quadratic([1, 2, 3], angle=1.0), ValueError, "angle turns a plane.*got 3"),
        (lambda: problems.quadratic([1, 2], angle=1.0, seed=1), ValueError, "seed must be left out"),
        (lambda: problems.quadratic([1, 2], seed=-1), ValueError, "seed must be at least 0"),
        (lambda: problems.quadratic([1, 2], x0=[1.0]), ValueError, r"x0 must have shape \(2,\)"),
        (lambda: problems.quadratic([1, 2], minimiser="ab"), TypeError, "minimiser must be a vector"),
        (lambda: problems.log_cosh_valley(condition=0), ValueError, "condition must be in"),
        (lambda: problems.digits_logistic(l2=-1.0), ValueError, "l2 must be in"),
        (lambda: problems.digits_logistic(part="tests"), ValueError, "part must be .* mean 'test'"),
        (lambda: problems.digits_mlp(hidden=0), ValueError, "hidden must be at least 1"),
        (lambda: problems.beale().fun([1.0, 2.0, 3.0]), ValueError, r"x must have shape \(2,\) for beale"),
        (lambda: problems.beale().hessp([1, 2], [1]), ValueError, r"v must have shape \(2,\)"),
        (lambda: problems.beale().value_and_grad([1, 2], [0]), ValueError, "batch needs a finite sum"),
        (lambda: problems.quadratic(np.ones(2001)).hess(np.ones(2001)), ValueError, "use hessp"),
        (lambda: Problem("x", dim=2), TypeError, "fun must be callable, got 'x'"),
        (lambda: Problem(None, dim=2), TypeError, "fun must be callable, got None"),
        (lambda: Problem(np.sum, 3, dim=2), TypeError, "grad must be callable, got 3"),
        (lambda: Problem(np.sum, np.ones_like), ValueError, "dim must be given"),
        (lambda: Problem(np.sum, np.ones_like, dim=0), ValueError, "dim must be at least 1"),
        (lambda: Problem(np.sum, np.ones_like, dim=2, x0=[1]), ValueError, r"x0 must have shape \(2,\)"),
        (lambda: Problem(np.sum, np.ones_like, x0=[math.inf]), ValueError, "x0 must be finite"),
        (lambda: Problem(np.ones_like, np.ones_like, dim=2), TypeError, "fun must return a real number"),
        (lambda: Problem(lambda x: 1j, np.ones_like, dim=2), TypeError, "fun must return a real number"),
        (lambda: Problem(lambda x: None, np.ones_like, dim=2), TypeError, "fun must return a real number"),
        (lambda: Problem(np.sum, np.sum, dim=2), ValueError, r"grad must return shape \(2,\), got \(\)"),
        (lambda: Problem(np.sum, lambda x: 1j * x, dim=2), TypeError, "grad must return real numbers"),
        (lambda: Problem(np.sum, np.ones_like, np.ones_like, dim=2), ValueError, r"hess must .*\(2, 2\)"),
        (lambda: Problem(np.sum, np.ones_like, hessp=lambda x, v: 0.0, dim=2), ValueError, "hessp must"),
        (lambda: Problem(np.sum, np.ones_like, dim=2, minima=[[1]]), ValueError, "minima must have"),
        (lambda: Problem(np.sum, np.ones_like, dim=2, window=(0, 1)), ValueError, "window must be"),
        (lambda: Problem(np.sum, np.ones_like, dim=2, window=((0, 1), (1, 1))), ValueError, "window must"),
        (lambda: Problem(np.sum, np.ones_like, dim=3, window=((0, 1), (0, 1))), ValueError, "dim 3"),
        (lambda: Problem(np.sum, np.ones_like, dim=2, f_min="low"), TypeError, "f_min must be a real"),
        (lambda: Problem(np.sum, np.ones_like, dim=2).hessp([1, 1], [1, 1]), ValueError, "has none"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


# ---- the user's own callables


def _bowl(x):
    return (x**2).sum() / 2 + x[0] ** 3


def _bowl_grad(x):
    g = x.copy()
    g[0] += 3 * x[0] ** 2
    return g


def _bowl_hess(x):
    h = np.zeros((x.size, x.size))
    for i in range(x.size):
        h[i, i] = 1.0
    h[0, 0] += 6 * x[0]
    return h


def _bowl_hessp(x, v):
    out = v.copy()
    out[0] += 6 * x[0] * v[0]
    return out


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("kind", ["hess", "hessp"])
def test_own_callables(jitted, kind):
    jit = numba.njit if jitted else (lambda function: function)
    hessian = jit(_bowl_hess if kind == "hess" else _bowl_hessp)
    problem = Problem(jit(_bowl), jit(_bowl_grad), dim=3, **{kind: hessian})
    assert problem.compiled == jitted
    assert problem.has_hessian
    assert problem.name == "_bowl"
    x, v = np.array([0.5, 1.0, -2.0]), np.array([1.0, 2.0, 3.0])
    assert problem.fun(x) == _bowl(x)
    np.testing.assert_array_equal(problem.grad(x), _bowl_grad(x))
    np.testing.assert_array_equal(problem.hessp(x, v), _bowl_hess(x) @ v)
    np.testing.assert_array_equal(problem.hess(x), _bowl_hess(x))


def test_one_plain_callable_makes_the_problem_plain():
    fun, grad = numba.njit(_bowl), numba.njit(_bowl_grad)
    assert Problem(fun, grad, dim=2).compiled
    problem = Problem(fun, grad, _bowl_hess, dim=2)
    assert not problem.compiled
    assert not Problem(fun, _bowl_grad, dim=2).compiled
    np.testing.assert_array_equal(problem.hess([1.0, 2.0]), _bowl_hess(np.array([1.0, 2.0])))


@pytest.mark.parametrize("jitted", [False, True])
def test_missing_gradient_is_differenced_with_a_warning(jitted):
    with pytest.warns(RuntimeWarning, match="no grad given.*central differences"):
        problem = Problem(numba.njit(_bowl) if jitted else _bowl, x0=[2.0, 100.0])
    assert problem.compiled == jitted
    x = np.array([3.0, -10.0])
    np.testing.assert_allclose(problem.grad(x), _bowl_grad(x), rtol=1e-8)


def test_callables_cannot_touch_the_callers_point():
    def fun(x):
        value = float(x @ x)
        x[:] = 0.0
        return value

    def grad(x):
        x *= 2.0
        return x

    start = np.ones(2)
    problem = Problem(fun, grad, lambda x: np.diag(grad(x)), x0=start)
    x, v = np.array([1.0, 3.0]), np.ones(2)
    for _ in range(2):
        assert problem.fun(x) == 10.0
        np.testing.assert_array_equal(problem.grad(x), [2.0, 6.0])
        np.testing.assert_array_equal(problem.hessp(x, v), [2.0, 6.0])
    np.testing.assert_array_equal(x, [1.0, 3.0])
    problem.x0[0] = 9.0
    assert start[0] == 1.0


def test_gradient_that_changes_its_shape_is_caught_where_it_happens():
    problem = Problem(np.sum, lambda x: np.ones(2 if x[0] == 1.0 else 3), dim=2)
    with pytest.raises(ValueError, match=r"grad must return shape \(2,\), got \(3,\)"):
        problem.grad([5.0, 1.0])


def test_f_min_comes_from_the_first_minimum():
    assert Problem(_bowl, _bowl_grad, dim=2, minima=[[0.0, 0.0]]).f_min == 0.0
    assert Problem(_bowl, _bowl_grad, dim=2).f_min is None


def test_read_only_and_strided_points_are_taken_without_compiling_anew():
    problem = problems.beale()
    problem.grad([1.0, 2.0])
    compiled = len(problem.fg.signatures)
    x = np.array([1.0, 0.0, 2.0, 0.0])[::2]
    x.setflags(write=False)
    np.testing.assert_array_equal(problem.grad(x), problem.grad([1, 2]))
    assert len(problem.fg.signatures) == compiled


@pytest.mark.parametrize("name", ALL)
def test_by_name_gives_the_problem_of_that_name(name):
    problem = by_name(name)()
    assert problem.name == name
    assert problem.compiled
    assert problem.has_hessian
    assert len(problem.about) > 100
    assert name.replace("-", "_") in problems.__all__


# ---- the digits

GOLDEN = json.loads((places.GOLDEN / "problems.json").read_text())
DIGITS = ("digits-logistic", "digits-mlp")
by_model = pytest.mark.parametrize("name", DIGITS)


@pytest.fixture(scope="module")
def models():
    return {name: by_name(name)() for name in DIGITS}


def golden_point(n, phase):
    return 0.3 * np.sin(np.arange(n) * 1.7 + phase)


def assert_golden(vector, golden):
    some = np.linspace(0, vector.size - 1, len(golden["entries"])).astype(int)
    assert np.linalg.norm(vector) == pytest.approx(golden["norm"], rel=1e-12, abs=0)
    np.testing.assert_allclose(vector[some], golden["entries"], rtol=1e-10, atol=1e-13)


def test_digits_are_the_published_set():
    images, labels = problems.digits()
    assert images.shape == (1797, 64)
    assert (images.dtype, labels.dtype) == (np.float64, np.int64)
    assert images.min() == 0.0
    assert images.max() == 1.0
    # class counts as UCI prints them for the test part
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (images * 16).sum() == 561718
    images[:] = 7.0  # the caller's to spoil
    assert problems.digits()[0].max() == 1.0


def test_split_takes_every_fifth_image_of_a_class():
    images, labels = problems.digits()
    train, test = problems.digits_split("train"), problems.digits_split("test")
    assert (train[1].size, test[1].size) == (1442, 355)
    np.testing.assert_array_equal(np.bincount(test[1]), np.bincount(labels) // 5)
    together = np.concatenate((train[0], test[0]))
    np.testing.assert_array_equal(np.unique(together, axis=0), np.unique(images, axis=0))
    threes = images[labels == 3]
    np.testing.assert_array_equal(test[0][test[1] == 3], threes[4::5])


@by_model
def test_models_agree_with_torch(name, models):
    problem, golden = models[name], GOLDEN[name]
    x, v = golden_point(problem.dim, 0.0), golden_point(problem.dim, 1.0)
    f, g = problem.value_and_grad(x)
    assert f == pytest.approx(golden["f"], rel=1e-13, abs=0)
    assert_golden(g, golden["grad"])
    assert_golden(problem.hessp(x, v), golden["hessp"])
    golden = GOLDEN[f"{name} batch"]
    f, g = problem.value_and_grad(x, batch=np.arange(0, 1797, 29))
    assert f == pytest.approx(golden["f"], rel=1e-13, abs=0)
    assert_golden(g, golden["grad"])


@by_model
@pytest.mark.parametrize("seed", range(3))
def test_model_derivatives_are_those_of_the_value(name, seed, models):
    problem, rng = models[name], np.random.default_rng(seed)
    x = problem.x0 + 0.2 * rng.standard_normal(problem.dim)
    v = rng.standard_normal(problem.dim)
    g, hv = problem.grad(x), problem.hessp(x, v)
    slope = derivative(lambda t: problem.fun(x + t * v), h=1e-2)
    assert slope == pytest.approx(g @ v, rel=0, abs=1e-10 * np.linalg.norm(g) * np.linalg.norm(v))
    change = derivative(lambda t: problem.grad(x + t * v), h=1e-2)
    np.testing.assert_allclose(hv, change, rtol=0, atol=1e-8 * np.linalg.norm(hv))
    u = rng.standard_normal(problem.dim)
    assert problem.hessp(x, u) @ v == pytest.approx(hv @ u, rel=1e-10, abs=0)


@by_model
def test_batches_average_to_the_whole(name, models):
    problem = models[name]
    assert problem.samples == 1797 == 3 * 599
    x = golden_point(problem.dim, 2.0)
    order = np.random.default_rng(0).permutation(1797).reshape(3, 599)
    parts = [problem.value_and_grad(x, batch) for batch in order]
    f, g = problem.value_and_grad(x)
    assert np.mean([p[0] for p in parts]) == pytest.approx(f, rel=1e-13, abs=0)
    np.testing.assert_allclose(np.mean([p[1] for p in parts], axis=0), g, rtol=0, atol=1e-14)
    assert abs(parts[0][0] - f) > 1e-4 * f  # a batch alone is not the whole


@by_model
@pytest.mark.parametrize("outside", [-1, 1797])
def test_batch_outside_the_samples(name, outside, models):
    problem, g = models[name], np.zeros(models[name].dim)
    with pytest.raises(ValueError, match=r"batch must hold indices in \[0, 1797\)"):
        problem.value_and_grad(problem.x0, [0, outside])
    with pytest.raises(ValueError, match="batch must be a vector of at least one integer"):
        problem.value_and_grad(problem.x0, [0.5])
    assert np.isnan(problem.fgb(problem.x0, g, problem.data, np.array([0, outside])))
    assert np.isnan(g).all()


def test_logistic_start_and_minimum(models):
    problem = models["digits-logistic"]
    assert problem.fun(problem.x0) == pytest.approx(math.log(10), rel=1e-14, abs=0)
    # The recipe of f_min: L-BFGS from anywhere, then Newton's method to the last digit.
    start = golden_point(problem.dim, 0.5)
    near = scipy.optimize.minimize(problem.value_and_grad, start, jac=True, method="L-BFGS-B",
                                   options={"gtol": 1e-8, "ftol": 0, "maxiter": 5000})
    x = near.x
    for _ in range(2):
        x = x - np.linalg.solve(problem.hess(x), problem.grad(x))
    assert np.linalg.norm(problem.grad(x)) < 1e-15
    assert problem.fun(x) == pytest.approx(problem.f_min, rel=0, abs=2e-15)
    # strong convexity: |x - x*| <= |grad| / l2
    assert np.linalg.norm(near.x - x) <= np.linalg.norm(near.jac) / 1e-3 < 1e-3


def test_logistic_f_min_is_claimed_for_the_defaults_only():
    assert problems.digits_logistic(l2=1e-2).f_min is None
    assert problems.digits_logistic(part="train").f_min is None
    assert problems.digits_logistic(part="train").samples == 1442


@by_model
def test_large_scores_do_not_overflow(name, models):
    f, g = models[name].value_and_grad(1e4 * golden_point(models[name].dim, 0.0))
    assert np.isfinite(f)
    assert np.isfinite(g).all()


def test_mlp_start():
    problem = problems.digits_mlp(hidden=5, seed=1)
    assert problem.dim == 75 * 5 + 10
    np.testing.assert_array_equal(problem.x0, problems.digits_mlp(hidden=5, seed=1).x0)
    assert not np.array_equal(problem.x0, problems.digits_mlp(hidden=5, seed=2).x0)
    w1, b1, w2, b2 = np.split(problem.x0, [320, 325, 375])
    assert 0.9 < np.abs(w1).max() / math.sqrt(6 / 69) <= 1.0
    assert 0.9 < np.abs(w2).max() / math.sqrt(6 / 15) <= 1.0
    assert not b1.any()
    assert not b2.any()


def test_mlp_is_not_convex(models):
    problem = models["digits-mlp"]
    assert not problem.convex
    rng = np.random.default_rng(0)
    x = problem.x0 + rng.standard_normal(problem.dim)
    directions = rng.standard_normal((50, problem.dim))
    assert min(v @ problem.hessp(x, v) for v in directions) < 0


# ---- the price of an import


def test_import_is_lean_and_compiles_nothing():
    code = """if True:
        import sys
        from odeopt import problems
        heavy = {"matplotlib", "scipy.optimize", "scipy.integrate", "scipy.linalg"} & set(sys.modules)
        assert not heavy, heavy
        kernels = [(module, name, kernel) for module in sys.modules if module.startswith("odeopt.problems")
                   for name, kernel in vars(sys.modules[module]).items() if hasattr(kernel, "py_func")]
        assert len(kernels) > 40, len(kernels)
        compiled = [(module, name) for module, name, kernel in kernels if kernel.signatures]
        assert not compiled, compiled
    """
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
