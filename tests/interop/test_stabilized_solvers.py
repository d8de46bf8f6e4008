"""RKC2 and ROCK2 as methods of ``solve_ivp``: what scipy tests of its own, the polynomials, and parabolic problems."""

import math
import pickle

import numpy as np
import pytest
from scipy.integrate import OdeSolver, solve_ivp

from odeopt.interop import RKC2, ROCK2
from odeopt.reference.stabilized import _rock_stages, rkc_coefficients, rock_coefficients

BOTH = [RKC2, ROCK2]


def rational(t, y):
    """scipy's test problem: y1 = t/(t + 10), y2 = 10 t/(t + 10)^2."""
    return np.array([y[1] / t, y[1] * (y[0] + 2 * y[1] - 1) / (t * (y[0] - 1))])


def rational_solution(t):
    t = np.asarray(t)
    return np.array([t / (t + 10), 10 * t / (t + 10) ** 2])


START = rational_solution(5.0)


# The polynomials -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("s", [3, 4, 6, 11, 40, 133, 200])
def test_rock_polynomials_are_damped_on_nearly_the_longest_interval(s):
    c = rock_coefficients(s)
    z = -c.interval * np.sin(np.linspace(0, np.pi / 2, 40 * s)) ** 2
    r = c.polynomial(z)
    assert np.abs(r).max() <= 1.0 and np.abs(r[z < -0.1]).max() == pytest.approx(0.95, abs=1e-3)
    # 0.82 s^2 is the optimum without damping, 0.81 s^2 what Abdulle and Medovikov reach with it
    assert c.interval > {3: 0.68, 4: 0.738, 6: 0.777}.get(s, 0.796) * s * s
    # R = 1 + z + z^2/2 + O(z^3): the conditions of order 2
    assert c.times[-1] + 2 * c.sigma == pytest.approx(1, rel=1e-13)
    h = 1e-3
    ahead, behind = c.polynomial(np.array([h, -h]))
    assert (ahead - behind) / (2 * h) == pytest.approx(1, abs=1e-6)
    assert (ahead - 2 + behind) / h**2 == pytest.approx(1, abs=1e-6)


def test_three_stages_are_the_published_ones():
    """Degree 1 in the authors' code: P = 1 + 0.1794612899156781 z, sigma = 0.4102693550421609; ours is 1 % as good."""
    c = rock_coefficients(3)
    assert c.mu[0] == pytest.approx(0.1794612899156781, rel=5e-3)
    assert c.sigma == pytest.approx(0.4102693550421609, rel=2e-3)
    assert c.tau / c.sigma - c.sigma == pytest.approx(0.4495196112243335, rel=2e-3)


def test_the_fewest_stages_are_taken():
    for length in (0.0, 1.0, 6.0, 6.2, 100.0, 3e4):
        s = _rock_stages(length)
        assert rock_coefficients(s).interval >= length and (s == 3 or rock_coefficients(s - 1).interval < length)
    assert _rock_stages(1e9) == 200


def one_step(cls, z, radius):
    """What one step of length 1 multiplies by on y' = z y."""
    solver = cls(lambda t, y: z * y, 0.0, np.ones(z.size), 1.0, spectral_radius=radius, rtol=1.0, atol=1e9,
                 first_step=1.0)
    solver.step()
    assert solver.t == 1.0
    return solver.y, solver.stages


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("radius", [0.5, 10.0, 300.0, 5000.0])
def test_a_step_multiplies_by_its_polynomial_and_is_stable(cls, radius):
    z = -np.linspace(0, radius, 401)
    y, s = one_step(cls, z, radius)
    assert np.abs(y).max() <= 1 + 1e-13
    if cls is ROCK2:
        exact = rock_coefficients(s).polynomial(z)
    else:  # a_s + b_s T_s(w0 + w1 z)
        w0 = 1 + 2 / 13 / s**2
        basis = np.polynomial.chebyshev.Chebyshev.basis(s)
        d1, d2 = basis.deriv(1)(w0), basis.deriv(2)(w0)
        b = d2 / d1**2
        exact = 1 - b * basis(w0) + b * basis(w0 + d1 / d2 * z)
        assert rkc_coefficients(s).times[-1] == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(y, exact, atol=1e-11)
    assert s < 3 + 1.3 * math.sqrt(radius)


# What scipy tests of its own solvers ---------------------------------------------------------------------

@pytest.mark.parametrize("cls", BOTH)
def test_order_two_on_a_nonlinear_problem_that_depends_on_time(cls):
    errors = []
    for h in (1 / 8, 1 / 16, 1 / 32):
        r = solve_ivp(rational, (5, 9), START, method=cls, rtol=1.0, atol=1e9, max_step=h, first_step=h,
                      spectral_radius=20.0, dense_output=True)
        assert np.allclose(np.diff(r.t), h, rtol=1e-9)
        between = np.linspace(5, 9, 333)
        errors.append((np.abs(r.y - rational_solution(r.t)).max(),
                       np.abs(r.sol(between) - rational_solution(between)).max()))
    slopes = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert np.abs(slopes[-1] - 2).max() < 0.1, slopes


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("span", [(5, 9), (5, 1)])
def test_error_control_both_ways(cls, span):
    calls = []

    def fun(t, y):
        assert min(span) <= t <= max(span)
        calls.append(t)
        return rational(t, y)

    errors = []
    for rtol in (1e-3, 1e-6):
        calls.clear()
        r = solve_ivp(fun, span, START, method=cls, rtol=rtol, atol=1e-3 * rtol, dense_output=True)
        assert r.success and r.t[0] == span[0] and r.t[-1] == span[1] and r.nfev == len(calls)
        scale = rtol * (1e-3 + np.abs(rational_solution(r.t)))
        assert (np.abs(r.y - rational_solution(r.t)) / scale).max() < 100
        assert np.allclose(r.sol(r.t), r.y, rtol=1e-13, atol=1e-15)
        errors.append(np.abs(r.y[:, -1] - rational_solution(span[1])).max())
    assert errors[1] < errors[0] / 15  # tolerance^(2/3) where the estimate is of order 3


@pytest.mark.parametrize("cls", BOTH)
def test_options_events_and_points(cls):
    r = solve_ivp(rational, (5, 9), START, method=cls, max_step=0.25)
    assert r.success and np.diff(r.t).max() <= 0.25 + 1e-14
    assert solve_ivp(rational, (5, 9), START, method=cls, first_step=0.01).t[1] == pytest.approx(5.01, rel=1e-14)
    t_eval = np.linspace(5.3, 8.7, 11)
    tight = {"rtol": 1e-6, "atol": 1e-9}
    r = solve_ivp(rational, (5, 9), START, method=cls, t_eval=t_eval, vectorized=True, **tight)
    assert np.array_equal(r.t, t_eval) and np.abs(r.y - rational_solution(t_eval)).max() < 1e-4

    def stop(t, y):
        return y[0] - 0.45

    stop.terminal = True
    r = solve_ivp(rational, (5, 9), START, method=cls, events=stop, **tight)
    assert r.status == 1 and r.t[-1] == pytest.approx(90 / 11, abs=5e-4)
    sol = solve_ivp(rational, (5, 9), START, method=cls, dense_output=True).sol
    assert np.array_equal(pickle.loads(pickle.dumps(sol))(6.0), sol(6.0))
    for bad in ({"max_step": -1}, {"first_step": 5}, {"atol": [1.0] * 3}, {"rtol": math.nan},
                {"spectral_radius": -1.0}, {"spectral_radius": lambda t, y: math.nan}):
        with pytest.raises(ValueError, match="`"):
            solve_ivp(rational, (5, 9), START, method=cls, **bad)
    with pytest.raises(TypeError, match="`spectral_radius` must be a real number"):
        solve_ivp(rational, (5, 9), START, method=cls, spectral_radius="large")
    with pytest.warns(UserWarning, match="no effect"):
        solve_ivp(rational, (5, 9), START, method=cls, jac=None)
    with pytest.raises(ValueError, match="complex"):
        solve_ivp(lambda t, y: -y, (0, 1), [1j], method=cls)


@pytest.mark.parametrize("cls", BOTH)
def test_the_class_contract_and_the_ends_of_it(cls):
    y0 = START.copy()
    solver = cls(rational, 5, y0, 9)
    assert isinstance(solver, OdeSolver) and solver.status == "running" and solver.nfev == 0
    before = solver.y
    solver.step()
    assert solver.t > 5 and solver.y is not before and np.array_equal(y0, START)
    while solver.status == "running":
        solver.step()
    assert solver.t == 9 and solver.stages >= 2
    r = solve_ivp(lambda t, y: -y, [4, 4], [2, 3], method=cls, dense_output=True)
    assert np.array_equal(r.sol(4), [2, 3])
    assert solve_ivp(lambda t, y: np.zeros(0), [0, 10], np.zeros(0), method=cls).success
    r = solve_ivp(lambda t, y: 0 * y, (0, 10), np.ones(3), method=cls, dense_output=True)
    assert r.success and (r.y == 1).all() and r.nfev < 100
    for fun in (lambda t, y: y * np.nan, lambda t, y: y**2, lambda t, y: -y if t < 0.5 else y * np.nan):
        with np.errstate(all="ignore"):
            r = solve_ivp(fun, (0, 2), [1.0], method=cls)
        assert r.status == -1 and np.isfinite(r.y).all() and r.t[-1] <= 1.01


# Parabolic problems ----------------------------------------------------------------------------------------

CELLS = 100
WIDTH = 1 / (CELLS + 1)
X = WIDTH * np.arange(1, CELLS + 1)
HEAT_RADIUS = 4 / WIDTH**2 * math.sin(0.5 * np.pi * CELLS * WIDTH) ** 2


def laplacian(u, left, right):
    padded = np.concatenate([[left], u, [right]])
    return (padded[2:] - 2 * u + padded[:-2]) / WIDTH**2


@pytest.mark.parametrize("cls", BOTH)
def test_the_heat_equation(cls):
    def fun(t, u):
        return laplacian(u, 0.0, 0.0)

    def exact(t):
        rates = [4 / WIDTH**2 * math.sin(0.5 * k * np.pi * WIDTH) ** 2 for k in (1, 5)]
        return sum(c * math.exp(-rate * t) * np.sin(k * np.pi * X) for c, k, rate in zip((1.0, 0.3), (1, 5), rates))

    solver = cls(fun, 0.0, exact(0.0), 0.1)
    solver.step()
    assert HEAT_RADIUS < solver._radius < 1.3 * HEAT_RADIUS  # the power iteration, with its factor 1.2
    explicit = solve_ivp(fun, (0, 0.1), exact(0.0), rtol=1e-4, atol=1e-4)
    for options in ({}, {"spectral_radius": HEAT_RADIUS}, {"spectral_radius": lambda t, y: HEAT_RADIUS}):
        r = solve_ivp(fun, (0, 0.1), exact(0.0), method=cls, rtol=1e-4, atol=1e-4, **options)
        assert r.success and np.abs(r.y[:, -1] - exact(0.1)).max() < 5e-4
        assert r.nfev < explicit.nfev / 10


MIXED = np.concatenate([1 + np.sin(2 * np.pi * X), np.full(CELLS, 3.0)])


def brusselator(t, y):
    """Hairer, Wanner II, section IV.1: A = 1, B = 3, alpha = 1/50; from u = 1 + sin(2 pi x), v = 3 to t = 10."""
    u, v = y[:CELLS], y[CELLS:]
    reaction = u * u * v
    return np.concatenate([1 + reaction - 4 * u + 0.02 * laplacian(u, 1.0, 1.0),
                           3 * u - reaction + 0.02 * laplacian(v, 3.0, 3.0)])


@pytest.mark.parametrize("cls", BOTH)
def test_the_brusselator_with_diffusion(cls):
    bands = {"lband": CELLS, "uband": CELLS}
    exact = solve_ivp(brusselator, (0, 10), MIXED, method="LSODA", rtol=1e-8, atol=1e-8, **bands).y[:, -1]
    r = solve_ivp(brusselator, (0, 10), MIXED, method=cls, rtol=1e-4, atol=1e-4)
    assert r.success and np.abs(r.y[:, -1] - exact).max() < 1e-3
    assert r.nfev < 2500  # RK45 takes 17,270 at any tolerance from 1e-3 to 1e-6


# Counts -----------------------------------------------------------------------------------------------

def heat_in_two_dimensions(n, k=10.0):
    """u_t = k (u_xx + u_yy) + b on n x n points, b so that u = sin^2(pi x) sin^2(pi y) cos^2(pi t); u stands still at
    the ends. Field, start and Gershgorin's bound of the spectral radius."""
    x = np.linspace(0, 1, n)
    s, c, scale = np.sin(np.pi * x) ** 2, np.cos(2 * np.pi * x), k * (n - 1) ** 2
    bump, bend = np.outer(s, s), 2 * np.pi**2 * k * (np.outer(s, c) + np.outer(c, s))

    def fun(t, y):
        u, out = y.reshape(n, n), np.zeros((n, n))
        out[1:-1, 1:-1] = scale * (u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1])
        out -= np.pi * np.sin(2 * np.pi * t) * bump
        out[1:-1, 1:-1] -= np.cos(np.pi * t) ** 2 * bend[1:-1, 1:-1]
        return out.ravel()

    bump[[0, -1]], bump[:, [0, -1]] = 0.0, 0.0
    return fun, bump.ravel(), 8 * scale


def steps_of(solver):
    """The stages of all steps until the end."""
    stages = []
    while solver.status == "running":
        assert solver.step() is None
        stages.append(solver.stages)
    assert solver.status == "finished"
    return np.array(stages)


def test_rkc_takes_the_published_steps_and_evaluations_on_the_heat_equation():
    """SUNDIALS, examples/arkode/CXX_serial: ark_heat2D_lsrk (RKC of order 2, rtol 1e-5, atol 1e-10, 64 x 64 points,
    spectral radius given, 1.01 for safety) prints 617 steps, 17225 evaluations, at most 46 stages and the error
    8.2797e-4 at t = 1; ark_heat2D_lsrk_internal_domeig (radius estimated, an I controller) 491 attempts, 15644, 63,
    8.2810e-4. The step controllers differ: counts to 10 % of the first, between .85 and 1.25 of the second's."""
    fun, u0, radius = heat_in_two_dimensions(64)
    for options, steps, evaluations in (({"spectral_radius": 1.01 * radius}, (617, 0.9, 1.1), (17225, 0.9, 1.1)),
                                        ({}, (491, 0.85, 1.25), (15644, 0.85, 1.25))):
        solver = RKC2(fun, 0.0, u0, 1.0, rtol=1e-5, atol=1e-10, **options)
        stages = steps_of(solver)
        for count, (published, low, high) in ((stages.size, steps), (solver.nfev, evaluations)):
            assert low * published < count < high * published
        assert 40 < stages.max() < 70
        assert np.abs(solver.y - u0).max() == pytest.approx(8.28e-4, rel=2e-3)  # of space: that of time is far below


def one_dimensional_heat(t, u):
    """u_t = u_xx on 40 points, u = 0 at the ends."""
    padded = np.concatenate([[0.0], u, [0.0]])
    return (padded[2:] - 2 * u + padded[:-2]) * 41**2


def stiff_brusselator(t, y):
    """u, v, w of SUNDIALS' ark_brusselator.c, its second test; the spectral radius is 1/5e-6."""
    u, v, w = y
    return np.array([1 - (w + 1) * u + v * u * u, w * u - v * u * u, (3.5 - w) / 5e-6 - w * u])


@pytest.mark.parametrize(("cls", "evaluations", "error", "near"), [(ROCK2, 2845, 8.03e-5, 0.05),
                                                                   (RKC2, 949, 1.08e-4, 0.15)])
def test_another_implementation_of_both_on_the_heat_equation(cls, evaluations, error, near):
    """SciML, OrdinaryDiffEq.jl, pull request 3952 (July 2026): from sin(pi x) to t = 1/2 with rtol = atol = 1e-6, the
    radius by power iteration every 25 steps.

    ======  ===========  =======  =====================
    method  evaluations  error    here
    ======  ===========  =======  =====================
    ROCK2   2845         8.03e-5  2824 and 8.03e-5
    RKC     949          1.08e-4  1049 and 9.96e-5
    ======  ===========  =======  =====================
    """
    x = np.arange(1, 41) / 41
    r = solve_ivp(one_dimensional_heat, (0, 0.5), np.sin(np.pi * x), method=cls, rtol=1e-6, atol=1e-6)
    assert r.nfev == pytest.approx(evaluations, rel=near)
    exact = math.exp(-(np.pi**2) * 0.5) * np.sin(np.pi * x)
    assert np.linalg.norm(r.y[:, -1] - exact) == pytest.approx(error, rel=near)


def test_published_counts_and_values_of_the_brusselator():
    """SUNDIALS (main, 2026), examples/arkode/C_serial: ark_brusselator_lsrk_domeigest, rtol 1e-6, atol 1e-10, t = 10,
    prints for RKL of order 2 (Legendre polynomials: .5 s^2 instead of RKC's .65 s^2)

    =======  =====  ===========  ===========  ==============================
    method   steps  evaluations  most stages  u, v, w
    =======  =====  ===========  ===========  ==============================
    RKL2       752        47265          195  .305608, 3.657399, 3.499995
    RKC2       983        46986          133  here
    =======  =====  ===========  ===========  ==============================

    For ROCK2 on a Brusselator nothing published was found. Its estimate is of order 2: it takes the steps of tolerance
    to 1/2 and not to 1/3, here 5242 of at most 41 stages, 103835 evaluations.
    """
    printed, options = np.array([0.305608, 3.657399, 3.499995]), {"rtol": 1e-6, "atol": 1e-10}
    solver = RKC2(stiff_brusselator, 0.0, np.array([1.2, 3.1, 3.0]), 10.0, spectral_radius=202001.2, **options)
    stages = steps_of(solver)
    np.testing.assert_allclose(solver.y, printed, atol=1e-5)
    assert solver.nfev == pytest.approx(47265, rel=0.1) and 752 < stages.size < 1.5 * 752
    other = ROCK2(stiff_brusselator, 0.0, np.array([1.2, 3.1, 3.0]), 10.0, spectral_radius=202001.2, **options)
    more = steps_of(other)
    np.testing.assert_allclose(other.y, printed, atol=3e-5)
    assert 4 < more.size / stages.size < 7 and other.nfev < 2.5 * solver.nfev


def fewest_stages(cls, length):
    """The least s with ``length`` <= beta(s): 2/3 (s^2 - 1) (1 - 2 eps/15), eps = 2/13, of Sommeijer, Shampine and
    Verwer, with the factor rounded to .653; or ROCK2's own interval, .81 s^2 in the limit."""
    if cls is RKC2:
        return max(2, math.ceil(math.sqrt(1 + length / 0.653)))
    return next(s for s in range(3, 201) if rock_coefficients(s).interval >= length)


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("name", ["heat", "Brusselator"])
def test_evaluations_are_the_fewest_stages_that_are_stable(cls, name):
    """The stages of every step are the fewest, in RKC2 (which rounds as the authors' code) at most one more; and
    nothing else costs: beside them the slope at the start and the length of the first step, one evaluation each."""
    if name == "heat":
        fun, y0, radius = heat_in_two_dimensions(24)
        radius, end = 1.01 * radius, 1.0
    else:
        fun, y0, radius, end = brusselator, MIXED, 0.02 * HEAT_RADIUS + 10.0, 10.0
    tried = []

    class Counted(cls):
        def _advance(self, t, y, h):
            new = super()._advance(t, y, h)
            tried.append((abs(h) * radius, self.stages))
            return new

    solver = Counted(fun, 0.0, y0, end, rtol=1e-4, atol=1e-7, spectral_radius=radius)
    stages = steps_of(solver)
    lengths, used = np.array(tried).T
    fewest = np.array([fewest_stages(cls, length) for length in lengths])
    assert 100 < stages.size <= used.size < 1.05 * stages.size and stages.max() > 7
    assert (fewest <= used).all() and (used <= fewest + (cls is RKC2)).all()
    # A step of RKC2 begins with the slope that ended the last one; one of ROCK2 with a new one, not if it is a retry.
    beside = 2 if cls is RKC2 else 1 - (used.size - stages.size)
    assert solver.nfev == used.sum() + beside


@pytest.mark.parametrize("solver", [RKC2, ROCK2])
@pytest.mark.parametrize("end, options, words", [
    (1.0, {"spectral_radius": 1e300}, "too stiff at t = 0: a spectral radius of 1e+300 allows steps of"),
    (1e300, {}, "too stiff at t = 0"),
    (1.0, {"fun": lambda t, y: -1e300 * y}, "too stiff at t = 0"),
    (1.0, {"spectral_radius": lambda t, y: 1.0 if t < 0.5 else 1e30}, "less than spacing"),
])
def test_steps_that_would_never_come_to_the_end_are_not_begun(solver, end, options, words):
    options = {"fun": lambda t, y: -y, "t0": 0.0} | options
    fun, t0 = options.pop("fun"), options.pop("t0")
    found = solve_ivp(fun, (t0, end), [1.0], method=solver, **options)
    assert not found.success and words in found.message
