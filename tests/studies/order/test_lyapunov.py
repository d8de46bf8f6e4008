"""Lyapunov monitors: energies that must not rise, and where they do."""

import math

import numpy as np
import pytest

import odeopt as oo
from odeopt.flows import gradient_flow, heavy_ball_flow, nesterov_flow
from odeopt.studies.order.lyapunov import ENERGIES, Lyapunov

BOWL, MU = oo.problems.sine_bowl(), 0.279  # A - 1/2 >= 0.279
VALLEY, L = oo.problems.log_cosh_valley(10.0), 10.0


@pytest.mark.parametrize(("flow", "problem", "options"), [
    (gradient_flow(), VALLEY, {}),
    (gradient_flow(), VALLEY, {"energy": "gap"}),
    (gradient_flow(), BOWL, {"energy": "gradient-strong", "mu": MU}),
    (heavy_ball_flow(0.7), VALLEY, {}),
    (heavy_ball_flow(2 * math.sqrt(MU)), BOWL, {"energy": "heavy-ball-strong", "mu": MU}),
    (heavy_ball_flow(2 * math.sqrt(MU)), BOWL, {"energy": "heavy-ball-fast", "mu": MU}),
    (nesterov_flow(), VALLEY, {}),
    (nesterov_flow(), oo.problems.quartic(2), {}),
    (nesterov_flow(5.0), VALLEY, {}),
], ids=lambda v: getattr(v, "key", getattr(v, "equation", None)))
def test_flows_keep_their_energies_and_the_rates_that_follow(flow, problem, options):
    study = oo.lyapunov(flow, problem, t_end=12.0, steps=600, **options)
    assert study.holds and study.violation == -1
    assert study.energy[-1] < 0.9 * study.energy[0]
    noise = 1e-12 * (1 + study.energy[0])
    assert (study.gap <= study.bound + noise).all()


def test_bounds_are_those_of_the_theorems():
    R2 = VALLEY.x0 @ VALLEY.x0
    a1 = oo.lyapunov(gradient_flow(), VALLEY, t_end=5.0, steps=50)
    np.testing.assert_allclose(a1.bound[1:], R2 / (2 * a1.t[1:]), rtol=1e-14)
    c1 = oo.lyapunov(nesterov_flow(), VALLEY, t_end=5.0, steps=50)
    np.testing.assert_allclose(c1.bound[1:], 2 * R2 / c1.t[1:] ** 2, rtol=1e-14)
    c2 = oo.lyapunov(nesterov_flow(5.0), VALLEY, t_end=5.0, steps=50)
    np.testing.assert_allclose(c2.bound[1:], 16 * R2 / (2 * c2.t[1:] ** 2), rtol=1e-14)
    d = BOWL.x0 - BOWL.minima[0]
    b7 = oo.lyapunov(heavy_ball_flow(2 * math.sqrt(MU)), BOWL, t_end=5.0, steps=50, energy="heavy-ball-strong", mu=MU)
    start = BOWL.fun(BOWL.x0) - BOWL.f_min + 0.5 * MU * d @ d
    np.testing.assert_allclose(b7.bound, start * np.exp(-math.sqrt(MU) * b7.t), rtol=1e-12)
    assert b7.energy.max() == pytest.approx(b7.energy[0], rel=1e-12)  # sup V e^{sqrt(mu) t}/V_0 = 1


def test_the_rate_of_strong_convexity_is_attained_on_a_quadratic():
    mu = 0.5
    study = oo.lyapunov(gradient_flow(), oo.problems.quadratic([mu]), t_end=6.0, steps=60, energy="gradient-strong",
                        mu=mu)
    np.testing.assert_allclose(study.energy, study.energy[0], rtol=1e-9)
    too_fast = oo.lyapunov(gradient_flow(), oo.problems.quadratic([mu]), t_end=6.0, steps=60, energy="gradient-strong",
                           mu=1.2 * mu)
    assert too_fast.violation == 1


def test_the_faster_rate_of_the_heavy_ball_is_four_thirds():
    # With its own quadratic form the energy decays at (4/3) sqrt(mu), and at no better rate for all mu-strongly
    # convex f: on a quadratic of curvature mu itself the flow decays like t e^{-sqrt(mu) t}, so gap at 2 sqrt(mu).
    mu = 0.5
    flow, stiff = heavy_ball_flow(2 * math.sqrt(mu)), oo.problems.quadratic([mu, 40.0], angle=0.3)
    study = oo.lyapunov(flow, stiff, t_end=8.0, steps=400, energy="heavy-ball-fast", mu=mu)
    assert study.holds and (study.gap <= study.bound + 1e-11).all()
    wrong = oo.lyapunov(flow, stiff, t_end=8.0, steps=400, energy="heavy-ball-fast", mu=2 * mu)
    assert not wrong.holds


def test_damping_below_three_loses_the_energy():
    study = oo.lyapunov(nesterov_flow(2.0), VALLEY, t_end=20.0, steps=400)
    assert not study.holds and study.largest_rise > 1e-3


@pytest.mark.parametrize("factor", [0.1, 0.5, 1.0])
def test_gradient_descent_keeps_its_energies_up_to_one_over_L(factor):
    for options in ({}, {"energy": "gap"}):
        study = oo.lyapunov(oo.GradientDescent(lr=factor / L), VALLEY, steps=400, **options)
        assert study.holds
        assert (study.gap <= study.bound * (1 + 1e-12)).all()


def test_first_violating_step_is_named():
    problem, lr = oo.problems.quadratic([1.0, 10.0], x0=[1.0, 0.01]), 0.21  # 2.1 times 1/L: the steep mode grows
    study = oo.lyapunov(oo.GradientDescent(lr=lr), problem, steps=300, energy="gap")
    f, k = problem.fun(problem.x0), 0
    x = problem.x0
    while True:
        x = x - lr * problem.grad(x)
        k += 1
        if problem.fun(x) > f * (1 + 1e-15):
            break
        f = problem.fun(x)
    assert study.violation == k > 1
    assert f"step {k}" in repr(study) and not study.holds


def test_discrete_energy_of_nesterovs_method():
    # Beck, Teboulle, lemma 4.1: kept for every lr <= 1/L, and the rate 2 R^2/(lr (k + 1)^2) follows.
    for lr in (0.3 / L, 1 / L):
        study = oo.lyapunov(oo.Nesterov(lr=lr, momentum=None), VALLEY, steps=500, energy="nesterov-discrete")
        assert study.holds
        assert (study.gap <= 2 * VALLEY.x0 @ VALLEY.x0 / (lr * (study.k + 1.0) ** 2)).all()
    assert not oo.lyapunov(oo.Nesterov(lr=2.5 / L, momentum=None), VALLEY, steps=500, energy="nesterov-discrete").holds
    # the flow's own energy is kept only approximately by the iterates, and better by smaller steps
    rises = [oo.lyapunov(oo.Nesterov(lr=lr, momentum=None), VALLEY, steps=int(20 / math.sqrt(lr))).largest_rise
             for lr in (1e-1, 1e-2, 1e-3)]
    assert rises[0] > 1e-5 and rises[0] > rises[1] > rises[2]


def test_momentum_loses_mechanical_energy():
    assert oo.lyapunov(oo.Momentum(lr=0.01, momentum=0.9), VALLEY, steps=500).holds
    assert oo.lyapunov(oo.Momentum(lr=0.2, momentum=0.9), VALLEY, steps=500).violation > 0


def test_schemes_are_monitored_too():
    method = oo.Discretization(nesterov_flow(), oo.schemes.rk4, 0.05)
    assert oo.lyapunov(method, VALLEY, steps=200).holds
    assert oo.lyapunov(oo.Discretization(gradient_flow(), oo.schemes.rkc, 1.0), VALLEY, steps=50, energy="gap").holds


def test_round_off_is_not_a_violation():
    # The weight e^{2 mu t} magnifies the last digits of f - f* without bound.
    study = oo.lyapunov(oo.GradientDescent(lr=0.1), BOWL, steps=1000, energy="gradient-strong", mu=MU)
    assert study.holds and np.diff(study.energy).max() > 0


def test_saving_and_bad_input(tmp_path):
    study = oo.lyapunov(oo.GradientDescent(lr=0.1), BOWL, steps=20)
    study.save(tmp_path / "l.json")
    again = Lyapunov.load(tmp_path / "l.json")
    np.testing.assert_array_equal(again.energy, study.energy)
    assert again.violation == study.violation
    with pytest.raises(ValueError, match="mu must be given"):
        oo.lyapunov(gradient_flow(), BOWL, t_end=1.0, energy="gradient-strong")
    with pytest.raises(ValueError, match="t_end must be given"):
        oo.lyapunov(gradient_flow(), BOWL)
    with pytest.raises(ValueError, match="without velocity"):
        oo.lyapunov(gradient_flow(), BOWL, t_end=1.0, energy="nesterov")
    with pytest.raises(ValueError, match="energy must be given"):
        oo.lyapunov(oo.Adam(), BOWL)
    with pytest.raises(ValueError, match="energy must be one of"):
        oo.lyapunov(gradient_flow(), BOWL, t_end=1.0, energy="nesterow")
    with pytest.raises(ValueError, match="minimiser must be given"):
        oo.lyapunov(gradient_flow(), oo.problems.saddle(), t_end=1.0)
    with pytest.raises(TypeError, match="method must be"):
        oo.lyapunov(oo.Rprop(), BOWL)
    with pytest.raises(ValueError, match="belongs to Nesterov"):
        oo.lyapunov(oo.Momentum(lr=0.1), BOWL, energy="nesterov-discrete")
    assert set(ENERGIES) >= {"gap", "nesterov"}
