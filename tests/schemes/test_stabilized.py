"""Stabilised and accelerated schemes: each with its statement from the literature."""

import math

import numpy as np
import pytest
from scipy.special import gamma, jv

import odeopt as oo
from odeopt.flows import (
    averaged_gradient_flow,
    bregman_flow,
    gradient_flow,
    heavy_ball_flow,
    high_resolution_flow,
    high_resolution_start,
    look_ahead_flow,
    nag_sc_flow,
    nesterov_flow,
    rmsprop_flow,
)
from odeopt.schemes.chebyshev import chebyshev_factor, chebyshev_steps, silver_bound, silver_steps, stable_order
from odeopt.schemes.exponential_euler import exponential_euler
from odeopt.schemes.rkc import chebyshev_coefficients, runge_kutta_chebyshev
from odeopt.studies.stability import optimal_parameters, stability_limit
from odeopt.studies.stability.amplification import amplification_matrix
from odeopt.studies.stability.restart import RULES, Restarted


def slopes(errors):
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


# Runge-Kutta-Chebyshev (arXiv:1805.07199) ------------------------------------------------------------------


@pytest.mark.parametrize(("stages", "damping"), [(1, 0.05), (2, 0.0), (5, 0.05), (10, 0.05), (10, 1.17), (20, 4.0)])
def test_rkc_step_multiplies_by_its_polynomial(stages, damping):
    c = chebyshev_coefficients(stages, damping)
    scheme = runge_kutta_chebyshev(stages, damping)
    u = np.linspace(-c.outer, 0, 401)
    measured = amplification_matrix(scheme, -u)[:, 0, 0]
    chebyshev = np.polynomial.chebyshev.Chebyshev.basis(stages)
    exact = chebyshev(c.w0 + c.w1 * u) / chebyshev(c.w0)
    np.testing.assert_allclose(measured, exact, atol=2e-13)
    inside = (u <= -c.inner) & (u >= -c.outer)
    assert abs(measured[inside]).max() <= 1 / chebyshev(c.w0) + 1e-13
    assert abs(measured).max() <= 1 + 1e-13
    # consistency: R(u) = 1 + u + ...
    slope = (amplification_matrix(scheme, np.array([1e-6]))[0, 0, 0] - 1) / 1e-6
    assert slope == pytest.approx(-1, abs=1e-5)


@pytest.mark.parametrize(("damping", "length"), [(0.05, 1.94), (1.17, 1.20)])
def test_rkc_interval_grows_like_the_square_of_the_stages(damping, length):
    assert chebyshev_coefficients(5, damping).outer / 25 == pytest.approx(length, abs=0.005)
    # T_s(1 + d/s^2) -> cosh a, a = sqrt(2 d): for many stages the length is 2 s^2 tanh(a)/a (1.936, 1.190)
    a = math.sqrt(2 * damping)
    c = chebyshev_coefficients(200, damping)
    assert c.outer / 200**2 == pytest.approx(2 * math.tanh(a) / a, rel=1e-4)
    scheme = runge_kutta_chebyshev(12, damping)
    c = chebyshev_coefficients(12, damping)
    assert stability_limit(scheme) == pytest.approx(c.interval, rel=1e-10)
    assert stability_limit(scheme) > 7 * 24  # 12 Euler steps reach 24


def test_rkc_without_damping_is_two_s_squared_long():
    assert chebyshev_coefficients(9, 0.0).interval == pytest.approx(2 * 81, rel=1e-13)
    assert stability_limit(runge_kutta_chebyshev(9, 0.0)) == pytest.approx(2 * 81, rel=1e-10)


def test_rkc_is_of_order_one_also_with_memory_and_time():
    for flow, problem in ((gradient_flow(), oo.problems.sine_bowl()),
                          (nesterov_flow(), oo.problems.log_cosh_valley(5))):
        sol = oo.reference(flow, problem, t_end=2.0, rtol=1e-12, atol=1e-13)
        errors = []
        for n in (40, 80, 160, 320):
            method = oo.Discretization(flow, runge_kutta_chebyshev(4, 0.05), 2.0 / n)
            run = oo.record(method, problem, steps=n)
            errors.append(np.linalg.norm(run.x - sol(run.t), axis=1).max())
        assert slopes(errors)[-1] == pytest.approx(1, abs=0.05)


def test_rkc_descent_beats_gradient_descent_at_equal_gradients():
    mu, L, stages = 1.0, 1000.0, 30
    problem = oo.problems.quadratic(np.geomspace(mu, L, 12), seed=4)
    tuning = optimal_parameters.rkc(mu, L, stages)
    run = oo.record(tuning.optimizer, problem, steps=10)
    start = np.linalg.norm(problem.x0)
    assert np.linalg.norm(run.x[-1]) <= tuning.rate ** (10 * stages) * start * (1 + 1e-9)
    plain = oo.record(optimal_parameters.gradient_descent(mu, L).optimizer, problem, steps=10 * stages)
    assert run.n_grad[-1] == plain.n_grad[-1] == 300
    assert run.f[-1] < 1e-5 * plain.f[-1]


def test_rkc_at_its_rate_is_attained_at_the_ends_of_the_interval():
    mu, L = 2.0, 90.0
    tuning = optimal_parameters.rkc(mu, L, 7)
    method = tuning.optimizer
    r = amplification_matrix(method, np.array([mu, L, *np.linspace(mu, L, 500)]))[:, 0, 0]
    assert abs(r).max() == pytest.approx(tuning.rate**7, rel=1e-12)
    assert abs(r[:2]) == pytest.approx(tuning.rate**7, rel=1e-12)
    assert tuning.rate**7 == pytest.approx(chebyshev_factor(mu, L, 7), rel=1e-12)


# Chebyshev steps ---------------------------------------------------------------------------


def test_chebyshev_steps_reach_the_smallest_maximum():
    mu, L, n = 1.0, 10.0, 8
    h = chebyshev_steps(mu, L, n)
    c = np.linspace(mu, L, 20001)
    largest = abs(np.prod(1 - h[:, None] * c, axis=0)).max()
    assert largest == pytest.approx(0.0106086734, abs=1e-10)
    assert chebyshev_factor(mu, L, n) == pytest.approx(largest, rel=1e-12)
    assert 1 / math.cosh(n * math.acosh(11 / 9)) == pytest.approx(largest, rel=1e-12)
    others = h * (1 + 0.02 * np.random.default_rng(0).standard_normal((50, n)))
    assert (abs(np.prod(1 - others[:, :, None] * c, axis=1)).max(axis=1) > largest).all()


def test_chebyshev_run_contracts_by_its_factor():
    mu, L, n = 1.0, 500.0, 64
    problem = oo.problems.quadratic(np.linspace(mu, L, 30), seed=1)
    run = oo.record(optimal_parameters.chebyshev(mu, L, n).optimizer, problem)
    assert run.k[-1] == n
    assert np.linalg.norm(run.x[-1]) <= chebyshev_factor(mu, L, n) * np.linalg.norm(problem.x0) * (1 + 1e-9)


@pytest.mark.parametrize("n", [8, 16, 64])
def test_stable_order_does_not_amplify_round_off(n):
    np.testing.assert_array_equal(np.sort(stable_order(n)), np.arange(1, n + 1))
    c = np.linspace(1, 1000, 2001)
    growth = {order: abs(np.cumprod((1 - chebyshev_steps(1, 1000, n, order=order)[:, None] * c)[::-1], axis=0)).max()
              for order in ("stable", "increasing")}
    assert growth["stable"] <= 1
    assert growth["increasing"] > 1e3
    np.testing.assert_allclose(np.sort(chebyshev_steps(1, 9, n)), chebyshev_steps(1, 9, n, order="increasing"))


def test_stable_order_amplifies_where_n_is_not_a_power_of_two():
    """What chebyshev_steps says of n = 133, kappa = 1000: a warning to take 128, whose factor is 1."""
    c = np.geomspace(1, 1000, 4000)
    growth = [abs(np.cumprod((1 - chebyshev_steps(1, 1000, n)[:, None] * c)[::-1], axis=0)).max() for n in (128, 133)]
    assert growth[0] <= 1 and growth[1] == pytest.approx(650, rel=0.02)


def test_schedule_and_sequence_are_the_same_method():
    problem = oo.problems.quadratic([1.0, 4.0, 20.0], seed=0)
    a = oo.record(oo.Discretization(gradient_flow(), oo.schemes.explicit_euler, chebyshev_steps(1, 20, 16)), problem)
    b = oo.record(oo.GradientDescent(lr=1 / 20), problem, steps=16, schedule=oo.schedules.chebyshev(20.0, 16))
    np.testing.assert_allclose(b.x, a.x, rtol=1e-12, atol=1e-14)
    a = oo.record(oo.Discretization(gradient_flow(), oo.schemes.explicit_euler, silver_steps(15, 20.0)), problem)
    b = oo.record(oo.GradientDescent(lr=1 / 20), problem, steps=15, schedule=oo.schedules.silver())
    np.testing.assert_allclose(b.x, a.x, rtol=1e-12, atol=1e-14)


# Worst cases of gradient descent (arXiv:1206.3209) and the silver schedule (arXiv:2309.16530) ----------------


def test_huber_attains_the_worst_case_of_gradient_descent():
    L, R, n = 3.0, 2.0, 7
    bound = optimal_parameters.gradient_descent_bound(L, R, n)
    assert bound == pytest.approx(0.4, rel=1e-15)
    run = oo.record(oo.GradientDescent(lr=1 / L), optimal_parameters.worst_huber(L, R, n), steps=n)
    assert run.f[-1] == pytest.approx(bound, rel=1e-14)


def test_no_convex_problem_is_worse_than_the_bound():
    for problem, L in ((oo.problems.log_cosh_valley(10.0), 10.0), (oo.problems.quadratic([0.01, 2.0], seed=2), 2.0)):
        R = np.linalg.norm(problem.x0 - problem.minima[0])
        for lr in (0.3 / L, 1 / L):
            run = oo.record(oo.GradientDescent(lr=lr), problem, steps=300)
            bound = np.array([optimal_parameters.gradient_descent_bound(L, R, int(k), lr) for k in run.k])
            assert (run.f - problem.f_min <= bound * (1 + 1e-12)).all()


@pytest.mark.parametrize("steps", [lambda: silver_steps(7, 5e-324), lambda: chebyshev_steps(0.0, 1e-320, 8)])
def test_steps_that_no_float_holds_are_refused(steps):
    with pytest.raises(ValueError, match="L must be so large that all steps are finite, got"):
        steps()


def test_silver_steps_stay_below_their_bound_on_every_huber_function():
    L, R, m = 3.0, 2.0, 4
    bound = silver_bound(m, L, R)
    assert bound == pytest.approx(0.1741, abs=5e-5)
    assert silver_steps(7) == pytest.approx(
        [math.sqrt(2), 2, math.sqrt(2), 2 + math.sqrt(2), math.sqrt(2), 2, math.sqrt(2)], rel=1e-14)
    h, knees = silver_steps(15, L), np.linspace(1e-3, R, 20001)
    x = np.full(knees.shape, R)
    for step in h:
        x = x - step * L * np.clip(x, -knees, knees)
    size = abs(x)
    worst = np.where(size <= knees, 0.5 * L * size**2, L * knees * (size - 0.5 * knees)).max()
    assert worst == pytest.approx(0.0896, abs=5e-5) and worst < bound
    constant = optimal_parameters.gradient_descent_bound(L, R, 15)
    assert bound < constant  # 0.1741 < 0.1935: already better than the constant step at N = 15


# Uniform closeness to the flow ------------------------------------------------------------------


def test_gradient_descent_stays_close_for_all_times():
    problem, mu, L = oo.problems.sine_bowl(), 0.279, 3.73  # A +- 1/2 at most
    for h in (0.05, 0.1, 2 / (L + mu)):
        comparison = oo.compare(oo.GradientDescent(lr=h), problem, steps=int(40 / h), local=False)
        sol = comparison.reference
        largest = max(np.linalg.norm(problem.grad(x)) for x in sol(np.linspace(0, sol.t_end, 2000)))
        assert comparison.max_error <= h * L * largest / (2 * mu)
        assert comparison.error[-1] < 1e-3 * comparison.max_error  # and the error dies out


# Nesterov's flows (arXiv:1503.01243, arXiv:1603.04245, arXiv:1805.00521) ----------------------------------


def test_nesterov_flow_on_a_quadratic_is_a_bessel_function():
    eigenvalues = np.array([0.5, 3.0, 20.0])
    problem = oo.problems.quadratic(eigenvalues, x0=[1.0, -2.0, 0.5])
    sol = oo.reference(nesterov_flow(), problem, t_end=12.0, rtol=1e-13, atol=1e-14)
    t = np.linspace(0.1, 12, 60)
    z = t[:, None] * np.sqrt(eigenvalues)
    np.testing.assert_allclose(sol(t), 2 * problem.x0 * jv(1, z) / z, atol=1e-11)


@pytest.mark.parametrize("r", [3.0, 5.0])
def test_damping_r_over_t(r):
    problem = oo.problems.quadratic([1.0], x0=[1.7])
    sol = oo.reference(nesterov_flow(r), problem, t_end=20.0, rtol=1e-13, atol=1e-14)
    t = np.linspace(0.1, 20, 100)
    v = 0.5 * (r - 1)
    np.testing.assert_allclose(sol(t)[:, 0], gamma(v + 1) * (2 / t) ** v * jv(v, t) * 1.7, atol=1e-11)
    f = 0.5 * sol(t)[:, 0] ** 2
    assert (f <= (r - 1) ** 2 * 1.7**2 / (2 * t**2)).all()


def test_nesterov_iterates_follow_the_flow_and_keep_the_rate():
    problem = oo.problems.log_cosh_valley(10.0)
    errors = []
    for s in (1.6e-3, 4e-4, 1e-4):
        run = oo.record(oo.Nesterov(lr=s, momentum=None), problem, steps=round(3 / math.sqrt(s)))
        sol = oo.reference(nesterov_flow(), problem, t_end=3.1, rtol=1e-12)
        errors.append(np.linalg.norm(run.x - sol(run.k * math.sqrt(s)), axis=1).max())
    assert slopes(errors)[-1] == pytest.approx(1, abs=0.05)
    run = oo.record(oo.Nesterov(lr=0.1, momentum=None), problem, steps=2000, memory=True)
    x = run.x - ((run.k - 1) / (run.k + 2))[:, None] * run.memory[:, 0]  # behind the extrapolated points
    gap = np.array([problem.fun(p) for p in x]) - problem.f_min
    assert (gap <= 2 * problem.x0 @ problem.x0 / (0.1 * (run.k + 1.0) ** 2)).all()


def test_bregman_flows_are_one_curve():
    # arXiv:1603.04245: X_p(t) = X_2(t^{p/2}).
    problem = oo.problems.log_cosh_valley(5.0)
    for p in (3.0, 4.0):
        fast = oo.reference(bregman_flow(p), problem, t_end=3.0, rtol=1e-12, atol=1e-13)
        slow = oo.reference(bregman_flow(2.0), problem, t_end=3.0 ** (p / 2), rtol=1e-12, atol=1e-13)
        t = np.linspace(0, 3, 50)
        np.testing.assert_allclose(fast(t), slow(t ** (p / 2)), atol=2e-10)
    # rate O(t^-p): E = t^p (f - f*) + |x - x* + t x'/p|^2/(2 C) never rises
    t = np.linspace(0, 3, 400)
    z = fast.state(t)
    gap = np.array([problem.fun(x) for x in z[:, 0]])
    energy = t**4 * gap + ((z[:, 0] + t[:, None] * z[:, 1] / 4) ** 2).sum(axis=1) / (2 * 0.25)
    assert (np.diff(energy) <= 1e-9 * energy[0]).all()


@pytest.mark.parametrize(("scheme", "order"), [("heun", 2), ("rk4", 4)])
def test_runge_kutta_on_the_bregman_flow_keeps_its_rate(scheme, order):
    # arXiv:1805.00521, p = 2: with h ~ N^{-1/(s+1)} the gap is O(N^{-2s/(s+1)}); the constant
    # is fixed at the smallest N.
    flow, problem = bregman_flow(2.0, 1.0, friction=5.0), oo.problems.quartic(2)
    rate, scaled = 2 * order / (order + 1), []
    for n in (50, 100, 200, 400, 800, 1600):
        h = 0.8 * (50 / n) ** (1 / (order + 1))
        method = oo.Discretization(flow, oo.schemes.ALL[scheme], h, t0=1.0)
        run = oo.record(method, problem, steps=n)
        assert run.ok
        scaled.append(run.f[-1] * (n / 50) ** rate)
    assert max(scaled[1:]) <= scaled[0]


# High-resolution flows (arXiv:1810.08907) ---------------------------------------------------------------------------


def _distance(run, flow, z0, t0, problem, s):
    sol = oo.reference(flow, problem, z0, float(t0 + run.k[-1] * math.sqrt(s)), t0=t0, rtol=1e-12, atol=1e-13)
    return np.linalg.norm(run.x - sol(t0 + run.k * math.sqrt(s)), axis=1).max()


STEPS = (4e-3, 1e-3, 2.5e-4, 6.25e-5)


def test_nag_c_is_second_order_in_its_high_resolution_flow():
    problem = oo.problems.sine_bowl()
    g, low, high = problem.grad(problem.x0), [], []
    for s in STEPS:
        run = oo.record(oo.Nesterov(lr=s, momentum=None), problem, steps=round(2 / math.sqrt(s)))
        low.append(_distance(run, nesterov_flow(), problem.x0, 0.0, problem, s))
        t0, z0 = high_resolution_start(problem.x0, g, s, kind="nag-c")
        high.append(_distance(run, high_resolution_flow(s, kind="nag-c"), z0, t0, problem, s))
    assert slopes(low)[-1] == pytest.approx(1, abs=0.05)
    assert slopes(high)[-1] == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("kind", ["nag-sc", "heavy-ball"])
def test_high_resolution_flow_needs_the_matched_start(kind):
    problem, mu = oo.problems.sine_bowl(), 0.3
    g = problem.grad(problem.x0)
    errors = {"low": [], "paper": [], "matched": []}
    for s in STEPS:
        r = math.sqrt(mu * s)
        momentum = (1 - r) / (1 + r)
        if kind == "nag-sc":
            optimizer, start = oo.Nesterov(lr=s, momentum=momentum), "cold"
            assert optimal_parameters.nag_sc(mu, s).optimizer == optimizer
        else:  # the paper's first step is x_1 = x_0 - 2 s g/(1 + r)
            optimizer, start = oo.Momentum(lr=s, momentum=momentum), np.array([-s * g])
        run = oo.record(optimizer, problem, steps=round(2 / math.sqrt(s)), start=start)
        np.testing.assert_allclose(run.x[1], problem.x0 - 2 * s * g / (1 + r), rtol=1e-12)
        flow = high_resolution_flow(s, mu, kind=kind)
        errors["low"].append(_distance(run, nag_sc_flow(mu), problem.x0, 0.0, problem, s))
        for velocity in ("paper", "matched"):
            t0, z0 = high_resolution_start(problem.x0, g, s, mu, kind=kind, velocity=velocity)
            errors[velocity].append(_distance(run, flow, z0, t0, problem, s))
    assert slopes(errors["low"])[-1] == pytest.approx(1, abs=0.06)
    assert 0.9 < slopes(errors["paper"])[-1] < 1.1  # the trap: no better order than the low-resolution flow
    assert 3 < errors["low"][-1] / errors["paper"][-1] < 4  # only a smaller constant
    assert slopes(errors["matched"])[-1] > 1.9
    assert errors["matched"][-1] < errors["paper"][-1] / 10


def test_high_resolution_flow_needs_a_hessian():
    def fun(x):
        return float(x @ x)

    problem = oo.Problem(fun, lambda x: 2 * x, x0=[1.0])
    with pytest.raises(ValueError, match="Hessian"):
        oo.record(oo.Discretization(high_resolution_flow(0.01, 1.0), oo.schemes.heun, 0.1), problem, steps=2)


# Exponential Euler --------------------------------------------------------------------------------------


def test_exponential_euler_is_momentum_with_an_exponential():
    a, h, problem = 1.3, 0.2, oo.problems.sine_bowl()
    method = oo.Discretization(heavy_ball_flow(a), exponential_euler, h)
    momentum = oo.Momentum(lr=h * (1 - math.exp(-a * h)) / a, momentum=math.exp(-a * h))
    assert oo.deviation(method, momentum, problem, 200) < 1e-14


def test_exponential_euler_is_of_order_one_on_relaxing_memory():
    problem = oo.problems.sine_bowl()
    for flow in (heavy_ball_flow(0.7), averaged_gradient_flow(0.3), rmsprop_flow(0.5, 1e-2)):
        z = flow.start(problem.x0)
        z[1:] = problem.grad(problem.x0) ** 2 if flow.slots == ("square",) else 0.0
        sol = oo.reference(flow, problem, z, 2.0, rtol=1e-12, atol=1e-13)
        errors = []
        for n in (50, 100, 200, 400):
            run = oo.record(oo.Discretization(flow, exponential_euler, 2.0 / n), problem, z, steps=n)
            errors.append(np.linalg.norm(run.x - sol(run.t), axis=1).max())
        assert slopes(errors)[-1] == pytest.approx(1, abs=0.01)


def test_exponential_euler_stands_steps_far_beyond_the_memory_time():
    # h = 40 tau: 1 - h/tau = -39 would explode; the memory is then simply the gradient, and this is Euler.
    problem, tau, h = oo.problems.quadratic([1.0, 3.0]), 0.01, 0.4
    flow = averaged_gradient_flow(tau)
    run = oo.record(oo.Discretization(flow, exponential_euler, h), problem, steps=60)
    euler = oo.record(oo.GradientDescent(lr=h), problem, steps=60)
    np.testing.assert_allclose(run.x, euler.x, atol=1e-14)
    assert oo.record(oo.Discretization(flow, oo.schemes.semi_implicit_euler, h), problem, steps=60).f[-1] > 1e50


@pytest.mark.parametrize("flow", [look_ahead_flow(0.1, 0.5), high_resolution_flow(0.01, 0.3)], ids=lambda f: f.name)
def test_exponential_euler_refuses_other_memory(flow):
    with pytest.raises(ValueError, match="relaxes linearly"):
        oo.record(oo.Discretization(flow, exponential_euler, 0.1), oo.problems.sine_bowl(), steps=2)


# Restart ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_restart_makes_convergence_linear(rule):
    problem = oo.problems.quadratic([1.0, 1000.0], angle=0.5)
    study = oo.restarted(oo.Nesterov(lr=1e-3, momentum=None), problem, steps=1500, rule=rule)
    assert study.k[-1] == 1500 and (np.diff(study.k) > 0).all()
    assert study.f[-1] < 1e-12 and study.f[-1] < 1e-6 * study.plain_f[-1]
    gaps = np.diff(study.restarts)
    assert gaps.max() - gaps.min() <= 2  # a period of some sqrt(kappa) steps
    halves = np.log(study.f[[500, 1000, 1500]])
    assert halves[2] - halves[1] == pytest.approx(halves[1] - halves[0], rel=0.35)


def test_restart_reports_how_it_ended(tmp_path):
    problem = oo.problems.quadratic([1.0, 50.0], angle=0.4)
    study = oo.restarted(oo.Nesterov(lr=1.0, momentum=None), problem, steps=5000)
    assert study.status == "diverged" and study.k[-1] < 5000 and "step" in study.message
    good = oo.restarted(oo.Nesterov(lr=0.02, momentum=None), problem, steps=90)
    assert good.status == "completed"
    good.save(tmp_path / "r.npz")
    again = Restarted.load(tmp_path / "r.npz")
    np.testing.assert_array_equal(again.x, good.x)
    np.testing.assert_array_equal(again.restarts, good.restarts)


def test_restart_is_by_hand_what_it_says():
    problem, lr = oo.problems.quadratic([1.0, 50.0], angle=0.4), 0.02
    study = oo.restarted(oo.Nesterov(lr=lr, momentum=None), problem, steps=120, rule="function")
    x = y = problem.x0.copy()
    k, restarts, f_last = 0, [], math.inf
    for step in range(121):
        f = problem.fun(y)
        if f > f_last and k > 2:
            restarts.append(step)
            y, k, f = x.copy(), 0, problem.fun(x)
        np.testing.assert_allclose(study.x[step], y, atol=1e-12)
        new = y - lr * problem.grad(y)
        y, x, k, f_last = new + k / (k + 3) * (new - x if k else 0 * x), new, k + 1, f
    np.testing.assert_array_equal(study.restarts, restarts)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="stages"):
        runge_kutta_chebyshev(0)
    with pytest.raises(ValueError, match="damping"):
        runge_kutta_chebyshev(3, -1)
    with pytest.raises(ValueError, match="L must"):
        chebyshev_steps(2.0, 1.0, 4)
    with pytest.raises(ValueError, match="p must"):
        bregman_flow(1.0)
    with pytest.raises(ValueError, match="kind must"):
        high_resolution_flow(0.1, kind="nag")
    with pytest.raises(TypeError, match="must be a Nesterov"):
        oo.restarted(oo.Adam(), oo.problems.beale())
    with pytest.raises(ValueError, match="rule"):
        oo.restarted(oo.Nesterov(lr=0.1), oo.problems.beale(), rule="fast")
