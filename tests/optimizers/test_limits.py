"""What the pages in odeopt/optimizers say in words, executed: limits, counterexamples, constrained optima."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq

import odeopt as oo

BOWL = oo.problems.sine_bowl()


def test_sign_descent_is_the_limit_of_the_regularised_flow():
    """Before a component of g changes sign the distance is of the size of eps^2."""
    x0 = np.array([1.5, 1.5])
    run = oo.record(oo.SignGD(0.001), BOWL, x0, steps=150)
    assert (np.sign(BOWL.grad(run.x[-1])) == np.sign(BOWL.grad(run.x[0]))).all()
    error = []
    for eps in (0.04, 0.02, 0.01):
        flow = oo.SignGD.regularised(eps)
        error.append(np.linalg.norm(oo.reference(flow, BOWL, x0, 0.15)(0.15) - run.x[-1]))
    slopes = np.log2(np.array(error[:-1]) / error[1:])
    assert (np.abs(slopes - 2) < 0.05).all()  # 1 - |g|/sqrt(g^2 + eps^2) = eps^2/(2 g^2) where |g| >> eps
    # in one dimension it is error-controlled Euler, t and x exchanged
    line = oo.problems.quadratic([2.0])
    by_error = oo.record(oo.ErrorControlledEuler(0.001), line, steps=500)
    by_sign = oo.record(oo.SignGD(0.001), line, steps=500)
    np.testing.assert_allclose(by_error.x, by_sign.x, rtol=0, atol=1e-13)
    np.testing.assert_allclose(np.diff(by_error.t), 0.001 / by_error.grad_norm[:-1], rtol=1e-12)


def test_normalised_descent_is_error_control_in_another_time():
    a, b = oo.record(oo.NormalizedGD(0.01), BOWL, steps=100), oo.record(oo.ErrorControlledEuler(0.01), BOWL, steps=100)
    np.testing.assert_allclose(a.x, b.x, rtol=0, atol=1e-14)
    np.testing.assert_allclose(a.t, 0.01 * np.arange(101), rtol=1e-13)


@pytest.mark.parametrize("warm_up", [0.1, None])
def test_nadam_differs_from_semi_implicit_euler_by_first_order(warm_up):
    """Its digits are not semi-implicit Euler's; the distance halves with the step (both sides asserted)."""
    distance = []
    for factor in (4, 8, 16, 32):
        opt = oo.NAdam(0.02, momentum_decay=warm_up).refined(factor)
        run = oo.record(opt, BOWL, t_end=0.6)
        z = opt.flow_start(BOWL.x0, BOWL.grad(BOWL.x0))
        scheme = oo.Discretization(opt.flow, oo.schemes.semi_implicit_euler, opt.h)
        generic = oo.record(scheme, BOWL, z, steps=int(run.k[-1]))
        distance.append(np.abs(run.x - generic.x).max())
    slopes = np.log2(np.array(distance[:-1]) / distance[1:])
    assert abs(slopes[-1] - 1) <= 0.05 and np.all(np.diff(np.abs(slopes - 1)) < 0)


def test_where_coupled_and_decoupled_decay_agree():
    """Without momentum or adaptivity they are one update; with either they are two."""
    def end(cls, mode, **more):
        return oo.record(cls(lr=0.01, weight_decay=0.5, weight_decay_mode=mode, **more), BOWL, steps=100).x[-1]

    np.testing.assert_array_equal(end(oo.GradientDescent, "coupled"), end(oo.GradientDescent, "decoupled"))
    for cls in (oo.Momentum, oo.Adam, oo.AMSGrad, oo.NAdam):
        assert np.abs(end(cls, "coupled") - end(cls, "decoupled")).max() > 1e-3
    np.testing.assert_array_equal(end(oo.Adam, "decoupled"), end(oo.AdamW, "decoupled"))


def test_lr_inside_or_outside_the_buffer_matters_when_it_changes():
    """torch multiplies the buffer by the new lr, the heavy ball keeps the old one in its velocity."""
    ends = []
    for form in ("heavy_ball", "torch"):
        opt, x = oo.Momentum(0.1, form=form), np.ones(1)
        state = opt.init(x)
        for k in range(3):
            opt.changed(lr=0.1 / (k + 1)).update(x, np.ones(1), state)
        ends.append(1 - x[0])
    # buffers 1, 1.9, 2.71; velocities .1, .14, .126 + .1/3
    np.testing.assert_allclose(ends, [0.1 + 0.14 + 0.126 + 0.1 / 3, 0.1 + 0.095 + 0.271 / 3], rtol=1e-13)


def test_running_maxima_end_up_right():
    """The slots of AdaMax and AMSGrad against their definition as maxima over the past."""
    problem, k = oo.problems.log_cosh_valley(condition=5.0), 150
    run = oo.record(oo.AdaMax(0.02, beta2=0.95, eps=0.0), problem, steps=k, memory=True)
    g = np.abs([problem.grad(x) for x in run.x[:k]])
    fading = (0.95 ** np.arange(k - 1, -1, -1)[:, None] * g).max(axis=0)
    np.testing.assert_allclose(run.memory[-1, 1], fading, rtol=1e-12)
    run = oo.record(oo.AMSGrad(0.02, beta2=0.95, form="optax"), problem, steps=k, memory=True)
    corrected = run.memory[1:, 1] / run.memory[1:, 4, :1]
    np.testing.assert_array_equal(run.memory[-1, 2], (run.memory[1:, 1] * (1 / run.memory[1:, 4, :1])).max(axis=0))
    np.testing.assert_allclose(run.memory[-1, 2], corrected.max(axis=0), rtol=1e-15)


def test_adagrad_becomes_stable_whatever_its_rate():
    """The sum of squares of a run that explodes grows until lr lambda/sqrt(G) < 2: it converges from 10^9 away."""
    run = oo.record(oo.Adagrad(1e4), oo.problems.quadratic([1.0, 50.0]), steps=4000, memory=True)
    assert run.f.max() > 1e9 and run.f[-1] < 1e-12
    assert (1e4 * np.array([1.0, 50.0]) / np.sqrt(run.memory[-1, 0]) < 2).all()


def test_amos_with_a_small_rate_follows_the_rmsprop_flow_and_forgets_its_decay():
    """xi -> 0 at beta = 1 - xi/tau: x' = -eta sqrt(q/v) g, the bias-corrected flow in the time eta t; b = O(xi)."""
    line, tau, eta, end = oo.problems.quartic(1), 0.5, 0.8, 0.8
    flow = oo.flows.rmsprop_flow(eta * tau, 0.0, bias_correction=True)
    exact = oo.reference(flow, line, flow.start(line.x0), t_end=eta * end)(eta * end)[0]
    assert 0.1 < exact < 0.6 < line.x0[0] == 1
    errors, decays = [], []
    for xi in (0.01, 0.005, 0.0025, 0.00125):
        run = oo.record(oo.Amos(xi, eta=eta, beta=1 - xi / tau), line, steps=round(end / xi), memory=True)
        errors.append(abs(run.x[-1, 0] - exact))
        decays.append(run.memory[-1, 1, 0])
    assert np.log2(errors[-2] / errors[-1]) == pytest.approx(1, abs=0.05)
    assert np.log2(decays[-2] / decays[-1]) == pytest.approx(1, abs=0.05) and decays[-1] < 2e-3


def test_normalised_flow_is_gradient_flow_in_the_time_of_its_length():
    sol = oo.reference(oo.flows.gradient_flow(), BOWL, t_end=1.0, rtol=1e-11, atol=1e-13)
    s = np.linspace(0, 1, 2001)
    speed = np.array([np.linalg.norm(BOWL.grad(x)) for x in sol(s)])
    length = np.concatenate([[0], np.cumsum((speed[1:] + speed[:-1]) / 2) * (s[1] - s[0])])
    unit = oo.reference(oo.flows.normalized_flow(), BOWL, t_end=length[-1], rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(unit(length[::200]), sol(s[::200]), rtol=0, atol=1e-6)


def test_mini_batches_mislead_rprop_and_not_rmsprop():
    """Nine gradients of .1, one of -.9: the part of the way that is net displacement, over 100 such epochs."""
    epoch, share = np.array([0.1] * 9 + [-0.9]), {}
    for opt in (oo.Rprop(step_max=1.0), oo.Rprop(step_max=1.0, variant="rprop+"), oo.RMSprop(0.01, decay=0.999)):
        x, s, way = np.zeros(1), opt.cold_start(np.zeros(1)), 0.0
        if opt.key == "rmsprop":
            s[0] = (epoch**2).mean()
        for k, g in enumerate(np.tile(epoch, 100)):
            before = x[0]
            opt.kernel(k, opt.p, x, np.array([g]), s)
            way += abs(x[0] - before)
        share[getattr(opt, "variant", opt.key)] = -x[0] / way
    assert share["irprop-"] > 0.99 and share["rprop+"] > 0.7 and abs(share["rmsprop"]) < 0.01


@pytest.mark.parametrize("variant", ["irprop-", "rprop+"])
def test_rprop_between_sign_changes(variant):
    """Fixed factors: moves lr, lr eta, lr eta^2, ...; with eta_plus = e^(c h) and lr = v h the limit is
    delta' = c delta, x' = -sign(g) delta/h, of order 1: x = x0 - v (e^(c t) - 1)/c."""
    line, k, eta, c, v, end = oo.problems.quadratic([1.0]), np.arange(13), 1.2, 0.8, 0.3, 1.5
    run = oo.record(oo.Rprop(lr=0.01, eta_plus=eta, variant=variant), line, [1.0], steps=12)
    np.testing.assert_allclose(run.x[:, 0], 1.0 - 0.01 * (eta**k - 1) / (eta - 1), rtol=1e-14)
    errors = []
    for n in (50, 100, 200, 400):
        h = end / n
        run = oo.record(oo.Rprop(lr=v * h, eta_plus=np.exp(c * h), step_min=0.0, variant=variant), line, [1.0], steps=n)
        errors.append(np.abs(run.x[:, 0] - (1.0 - v * np.expm1(c * h * run.k) / c)).max())
    assert np.log2(errors[-2] / errors[-1]) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("compare", ["gradient", "velocity"])
def test_adaptive_gains_between_sign_changes(compare):
    """With increase = c lr: x' = -gain g, gain' = c; on x^2/2 x = x0 e^-(gain(0) t + c t^2/2), of order 1. Without a
    velocity to compare with, the first step counts as a disagreement: gain(0) = decrease."""
    line, c, end, errors = oo.problems.quadratic([1.0]), 2.0, 1.0, []
    first = 1.0 if compare == "gradient" else 0.95
    for n in (200, 400, 800, 1600):
        opt = oo.AdaptiveGains(end / n, increase=c * end / n, gain_max=1e6, compare=compare)
        run = oo.record(opt, line, [1.0], steps=n)
        errors.append(np.abs(run.x[:, 0] - np.exp(-first * run.t - c * run.t**2 / 2)).max())
    assert np.log2(errors[-2] / errors[-1]) == pytest.approx(1, abs=0.05), errors


def test_lion_follows_the_flow_of_its_page_through_a_change_of_sign():
    """x' = -sign(m), tau2 m' = x - m on x^2/2 from 1: m = 1 + tau2 - t - (1 + tau2) e^(-t/tau2) until it is 0 at t1."""
    tau, end = 0.5, 1.8
    t1 = brentq(lambda t: 1 + tau - t - (1 + tau) * np.exp(-t / tau), 0.5, 3.0)
    exact = 1 - t1 + (end - t1)
    assert 0 < end - t1 < 0.5 and exact < 0
    errors = []
    for lr in (0.004, 0.002, 0.001, 0.0005):
        opt = oo.Lion(lr, beta1=1 - lr / 0.2, beta2=1 - lr / tau)
        run = oo.record(opt, oo.problems.quadratic([1.0]), [1.0], steps=round(end / lr))
        errors.append(abs(run.x[-1, 0] - exact))
    # a sign is seen in whole steps only: the error is of the size of lr, with no slope of its own
    assert (np.array(errors) <= 5 * np.array([0.004, 0.002, 0.001, 0.0005])).all() and errors[-1] < errors[0] / 4


def test_swa_follows_the_time_average_of_the_flow():
    errors = []
    for factor in (1, 2, 4, 8):
        opt = oo.SWA(oo.GradientDescent(0.02), start=20).refined(factor)
        run = oo.record(opt, BOWL, steps=100 * factor, memory=True)
        t = np.linspace(0.4, 2.0, 4001)
        x = oo.reference(oo.GradientDescent(0.02), BOWL, t_end=2.0)(t)
        errors.append(np.linalg.norm(run.memory[-1, -1] - (x[1:] + x[:-1]).mean(axis=0) / 2))
    assert np.log2(errors[-2] / errors[-1]) == pytest.approx(1, abs=0.05)


def test_barzilai_borwein_lives_beyond_the_stability_limit():
    """Of 200 steps on 20 curvatures up to L = 100 about half have gamma L > 2 and a fifth raise f; it converges."""
    for seed in range(3):
        problem = oo.problems.quadratic(np.geomspace(1, 100, 20), seed=seed)
        run = oo.record(oo.BarzilaiBorwein(1e-3), problem, steps=200)
        assert 0.45 < (100 * np.diff(run.t)[5:] > 2).mean() < 0.6 and 0.15 < (np.diff(run.f[5:]) > 0).mean() < 0.25
        assert run.f[-1] < 1e-25


def test_adamax_is_the_limit_of_adam_in_higher_norms():
    """[A003]: v <- b^p v + (1 - b^p)|g|^p; v^(1/p) tends to max(b u, |g|) as 1/p, and overflows before it."""
    gradients = np.random.default_rng(5).standard_normal(60)
    x, opt = np.zeros(1), oo.AdaMax(0.01, beta2=0.9, eps=0.0)
    state = opt.init(x)
    for g in gradients:
        opt.update(x, np.array([g]), state)
    u, off = state.row("maximum")[0], []
    for p in (50, 100, 200):
        v = 0.0
        for g in gradients:
            v = 0.9**p * v + (1 - 0.9**p) * abs(g) ** p
        off.append(abs(v ** (1 / p) / u - 1))
    assert off[0] > 1.5 * off[1] > 2.25 * off[2] and off[2] < 0.01
    assert 200 * np.log10(30.0) > np.log10(np.finfo(np.float32).max)  # what "numerically unstable" means there


def test_adam_falls_linearly_where_gradient_flow_falls_like_a_power():
    """x^4/4, constant lr = 1e-3 (arXiv:2603.09581): 1.6e-5 after 40,000 steps, gradient flow is at 0.111 then."""
    quartic = oo.problems.quartic(1)
    run = oo.record(oo.Adam(1e-3, eps=0.0), quartic, [1.0], steps=40_000)
    flow = oo.reference(oo.flows.gradient_flow(), quartic, np.array([1.0]), t_end=40.0)
    assert flow(40.0)[0] == pytest.approx(1 / np.sqrt(81), rel=1e-7)
    size = np.abs(run.x[:, 0])
    assert size[-1] == pytest.approx(1.6e-5, rel=0.05)
    peaks = [np.log(size[k - 4000 : k].max()) for k in (16_000, 24_000, 32_000, 40_000)]
    np.testing.assert_allclose(np.diff(peaks), np.mean(np.diff(peaks)), rtol=0.15)  # a straight line in log x
    assert peaks[-1] < peaks[0] - 4


@pytest.mark.parametrize(("opt", "amplitude"), [
    (oo.AdamW(0.01, weight_decay=1.0), 1e-3), (oo.Lion(0.01, weight_decay=1.0), 2e-3)])
def test_decoupled_decay_solves_the_problem_in_a_box(opt, amplitude):
    """Limit of AdamW and Lion: min f subject to |x|_inf <= 1/weight_decay, here (1, .1), not the minimiser
    (3, -1.1) (Xie, Li, arXiv:2404.04454; L. Chen et al., arXiv:2310.05898)."""
    h, c = np.array([[2, 0.6], [0.6, 1]]), np.array([3, -1.1])
    x = np.zeros(2)
    state = opt.init(x)
    for stage in range(6):  # the learning rate falls, its sum does not converge
        now = replace(opt, lr=0.01 / 4**stage)
        for _ in range(1500 * 2**stage if stage < 4 else 4000):
            now.update(x, h @ (x - c), state)
    np.testing.assert_allclose(x, [1.0, 0.1], rtol=0, atol=amplitude)


@pytest.mark.parametrize(("opt", "end"), [
    (oo.Adam(0.1, beta1=0.0, beta2=1 / 17, eps=0.0), 1.0),
    (oo.AMSGrad(0.1, beta1=0.0, beta2=1 / 17, eps=0.0, form="paper"), -1.0)])
def test_reddis_counterexample(opt, end):
    """f_t = 4 x at every third step, else -x, on [-1, 1], lr/sqrt(t): the sum falls to the left, Adam goes right
    (Reddi, Kale, Kumar, arXiv:1904.09237, theorem 1 with C = 4)."""
    x = np.zeros(1)
    state = opt.init(x)
    for t in range(1, 6001):
        replace(opt, lr=0.1 / np.sqrt(t)).update(x, np.array([4.0 if t % 3 == 1 else -1.0]), state)
        np.clip(x, -1, 1, out=x)
    assert x[0] == pytest.approx(end, abs=5e-3)


def test_overflow_is_reported_by_the_recorder():
    """v overflows long before g does: the run says so instead of standing still."""
    steep = oo.problems.quadratic([1.0], x0=[1e153], minimiser=[0.0])
    run = oo.record(oo.RMSprop(1e-3, decay=0.0, weight_decay=20.0), steep, steps=5)
    assert run.status == "diverged" and "not finite" in run.message


def test_the_limit_of_schedule_free_grows_with_the_run():
    """On (lambda/2) x^2 step k is stable to lr lambda = 2 (2 - c)/((1 - beta)(2 - c) + c beta), c = 1/k: 2 to 20."""
    opt = oo.optimizers.ScheduleFreeSGD(1.0)
    for k, expected in ((1, 2.0), (10, None), (60_000, 19.9985)):
        c = 1 / k
        limit = 2 * (2 - c) / (0.1 * (2 - c) + 0.9 * c)
        assert expected is None or limit == pytest.approx(expected, abs=5e-5)
        for factor in (0.999, 1.001):
            curvature, columns = factor * limit, []
            for base, average in ((1.0, 0.0), (0.0, 1.0)):
                x, s = np.array([0.1 * base + 0.9 * average]), np.array([[base], [average], [k - 1.0]])
                opt.kernel(k, opt.p, x, curvature * x, s)
                columns.append(s[:2, 0])
            assert (np.abs(np.linalg.eigvals(np.array(columns))).max() > 1) == (factor > 1)


def test_weights_like_lr_keep_the_flow_of_schedule_free():
    """A schedule that drives lr changes nothing in flow time where points weigh lr; with lr^2 the flow is another."""
    schedule, x0 = oo.schedules.warmup(40), BOWL.x0
    plain = oo.reference(oo.optimizers.ScheduleFreeSGD(0.01), BOWL, x0, 1.0)(1.0)
    for power, same in ((1.0, True), (2.0, False)):
        opt = oo.optimizers.ScheduleFreeSGD(0.01, lr_power=power)
        driven = oo.reference(opt, BOWL, x0, 1.0, schedule=schedule)(1.0)
        assert (np.abs(driven - plain).max() < 1e-6) == same
        run = oo.record(opt.refined(64), BOWL, x0, steps=6400 + 40 * 32, schedule=oo.schedules.warmup(40 * 64))
        assert run.t[-1] == pytest.approx(1.0, abs=1e-3)
        assert np.abs(run.x[-1] - driven).max() < 2e-3


@pytest.mark.parametrize("lr, power", [(1e-200, 2.0), (1e-5, 100.0), (1e5, 100.0)])
def test_weights_that_are_no_numbers_are_refused(lr, power):
    for cls in (oo.optimizers.ScheduleFreeSGD, oo.optimizers.ScheduleFreeAdamW):
        with pytest.raises(ValueError, match="lr_power must leave"):
            cls(lr=lr, lr_power=power)
    single = oo.optimizers.ScheduleFreeSGD(1e-5, lr_power=8.0)  # 1e-40 is a number in float64 alone
    single.init(np.ones(2))
    with pytest.raises(ValueError, match="lr_power must leave"):
        single.init(np.ones(2, np.float32))


@pytest.mark.parametrize("start", ["cold", "consistent"])
def test_adopt_is_semi_implicit_euler_after_its_first_step(start):
    opt = oo.optimizers.ADOPT(0.01, beta2=0.98)
    z = opt.flow_start(BOWL.x0, BOWL.grad(BOWL.x0), start)
    generic = oo.record(oo.Discretization(opt.flow, oo.schemes.semi_implicit_euler, opt.h), BOWL, z, steps=200)
    run = oo.record(opt, BOWL, steps=200 + (start == "cold"), start=start)
    np.testing.assert_allclose(run.x[run.k > 0] if start == "cold" else run.x, generic.x, rtol=0, atol=1e-12)


def test_an_exponential_average_follows_its_equation():
    """tau a' = x - a along the flow x, from a = x at the start, to first order; ``every`` only samples it."""
    method, t = oo.EMA(oo.GradientDescent(0.02), 0.9), np.linspace(0.0, 2.0, 20001)
    x = oo.reference(method, oo.problems.beale(), t_end=2.0)(t)
    weight = np.exp((t - 2.0) / 0.2)[:, None]  # tau = .02/(1 - .9)
    a = weight[0] * x[0] + np.trapezoid(weight / 0.2 * x, t, axis=0)
    for every in (1, 2):
        errors = []
        for factor in (4, 8, 16):
            opt = oo.EMA(method.optimizer, 0.9 if every == 1 else 0.8, every=every).refined(factor)
            run = oo.record(opt, oo.problems.beale(), steps=100 * factor, memory=True)
            errors.append(np.linalg.norm(run.memory[-1, -1] - a))
        assert abs(np.log2(errors[-2] / errors[-1]) - 1) < 0.05, errors


def test_eps_beside_the_uncorrected_root_mixes_two_starts():
    """Far from h = (eps/g)^2 tau2 the order from the cold start is 1 on either side; between, it is less."""
    slopes = []
    for eps in (1e-7, 1.0, 1e3):
        method = oo.Adam(0.01, beta2=0.98, eps=eps, eps_mode="hat")
        slopes.append(oo.convergence(method, oo.problems.beale(), t_end=0.64, levels=7, start="cold").slopes[3])
    assert abs(slopes[0] - 1) < 0.01 and abs(slopes[2] - 1) < 0.01 and slopes[1] < 0.85, slopes


def test_what_adagrad_norm_conserves():
    """2 sqrt(V) + f is constant on the flow, so that f bounds V; in one dimension it is Adagrad."""
    opt = oo.optimizers.AdaGradNorm(0.05, initial_norm=4.0)
    x0 = BOWL.x0
    path = oo.reference(opt, BOWL, x0, 3.0)
    kept = [2 * np.sqrt(z[1, 0]) + BOWL.fun(z[0]) for z in map(path.state, (0.0, 0.5, 1.0, 2.0, 3.0))]
    np.testing.assert_allclose(kept, kept[0], rtol=1e-10)
    off = []
    for factor in (1, 4):
        run = oo.record(opt.refined(factor), BOWL, x0, steps=400 * factor, memory=True)
        found = 2 * opt.refined(factor).lr * run.memory[:, 0, 0] + run.f
        off.append(np.abs(found - found[0]).max())
    assert np.log2(off[0] / off[1]) == pytest.approx(2, abs=0.1)  # order 1 in h
    line = oo.problems.quartic(1)
    norm, plain = (oo.record(o, line, steps=100) for o in (oo.optimizers.AdaGradNorm(0.1), oo.Adagrad(0.1, eps=0.0)))
    np.testing.assert_allclose(norm.x, plain.x, rtol=0, atol=1e-13)


def test_dog_under_a_constant_gradient():
    """|x - x0| = 2 d sqrt(t) up to d at t = 1/4, then d exp(2 sqrt(t) - 1), on the orbit of gradient flow."""
    slope = np.array([0.6, -0.8])
    plane = oo.Problem(lambda x: slope @ x, lambda x: slope.copy(), dim=2)
    opt, x0 = oo.optimizers.DoG(0.01, 0.1, eps=0.0, distance_mode="absolute"), np.array([1.0, 2.0])
    path = oo.reference(opt, plane, x0, 1.0)
    for t, gone in ((0.09, 0.06), (0.25, 0.1), (0.64, 0.1 * np.exp(0.6)), (1.0, 0.1 * np.e)):
        np.testing.assert_allclose(path(t), x0 - gone * slope, rtol=0, atol=1e-5)
    run = oo.record(opt, plane, x0, steps=10_000)
    assert np.abs(run.x[-1] - path(1.0)).max() < 0.02 * 0.1 * np.e


def test_adan_follows_adams_flow_from_either_start():
    """Bias-corrected from q = 0, as in the packages, or without correction from m = g, n = g^2, as in the paper."""
    opt, paths = oo.optimizers.Adan(0.01, 0.9, 0.8, 0.98), {}
    flow = oo.flows.adam_flow(0.1, 0.5, 1e-8)
    x0, g0 = BOWL.x0, BOWL.grad(BOWL.x0)
    for start, memory in (("cold", [0 * g0] * 4), ("consistent", [g0, g0 * g0, [1, 0], [1, 0]])):
        paths[start] = oo.reference(flow, BOWL, np.array([x0, *memory]), 1.0)(1.0)
        off = [np.abs(oo.record(opt.refined(f), BOWL, steps=100 * f, start=start).x[-1] - paths[start]).max()
               for f in (8, 16)]
        assert np.log2(off[0] / off[1]) == pytest.approx(1, abs=0.05)
    assert np.abs(paths["cold"] - paths["consistent"]).max() > 0.05


def test_refined_averages_keep_their_times():
    """Four steps for one: the memory of the average four times as many, its start four times as late."""
    ema = oo.EMA(oo.GradientDescent(0.1), 0.9, start=7, every=2).refined(4)
    assert (ema.lr, ema.decay, ema.start_at, ema.every) == pytest.approx((0.025, 0.975, 28, 2), rel=1e-14)
    swa = oo.SWA(oo.GradientDescent(0.1), start=7, every=2).refined(4)
    assert (swa.lr, swa.start_at, swa.every) == (0.025, 28, 2)
    clipped = oo.Clipped(oo.GradientDescent(0.1), norm=3.0).refined(4)
    assert (clipped.lr, clipped.norm, clipped.value) == (0.025, 3.0, None)
