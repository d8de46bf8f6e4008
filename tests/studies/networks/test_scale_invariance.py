"""Scale-invariant losses: identities, equivalences, the norm's equilibrium, instability at the origin."""

import math

import numpy as np
import pytest

import odeopt as oo
from odeopt import problems
from odeopt import stochastic as st
from odeopt.problems.classifier import class_probabilities, normalized_weights
from odeopt.studies.networks import scale_invariance as SI

LOSSES = {
    "rayleigh": lambda: problems.rayleigh([3.0, 1.0, 0.5]),
    "angle": lambda: problems.angle(1.3),
    "normalized-logistic": problems.normalized_logistic,
    "normalized-mlp": lambda: problems.normalized_mlp(hidden=8),
}
by_loss = pytest.mark.parametrize("name", LOSSES)


def point(problem, seed=0):
    return np.random.default_rng(seed).standard_normal((2, problem.dim))


@by_loss
def test_gradient_and_hessian_are_derivatives(name):
    problem = LOSSES[name]()
    w, v = point(problem)
    e = 1e-4 / np.linalg.norm(v)

    def central(f, e):
        return (f(w + e * v) - f(w - e * v)) / (2 * e)

    slope = (4 * central(problem.fun, e / 2) - central(problem.fun, e)) / 3
    assert problem.grad(w) @ v == pytest.approx(slope, rel=1e-7, abs=1e-9)
    curve = (4 * central(problem.grad, e / 2) - central(problem.grad, e)) / 3
    np.testing.assert_allclose(problem.hessp(w, v), curve, rtol=1e-6, atol=1e-7 * np.abs(curve).max())


@by_loss
@pytest.mark.parametrize("c", [1e-3, 0.7, 50.0])
def test_scaling_of_value_gradient_and_hessian(name, c):
    problem = LOSSES[name]()
    w, v = point(problem, 1)
    (f, g), (fc, gc) = problem.value_and_grad(w), problem.value_and_grad(c * w)
    assert fc == pytest.approx(f, rel=1e-12)
    np.testing.assert_allclose(c * gc, g, rtol=0, atol=1e-12 * np.abs(g).max())
    hv = problem.hessp(w, v)
    np.testing.assert_allclose(c**2 * problem.hessp(c * w, v), hv, rtol=0, atol=1e-11 * np.abs(hv).max())
    assert abs(g @ w) <= 1e-14 * np.linalg.norm(g) * np.linalg.norm(w)
    # Differentiating <g(w), w> = 0: H w = -g.
    np.testing.assert_allclose(problem.hessp(w, w), -g, rtol=0, atol=1e-12 * np.abs(g).max())


@pytest.mark.parametrize("name", ["normalized-logistic", "normalized-mlp"])
def test_batches_are_scale_invariant_and_sum_to_the_whole(name):
    problem = LOSSES[name]()
    w = problem.x0
    batches = np.arange(problem.samples).reshape(-1, 7)  # 1,442 = 7 * 206
    gradients = [problem.value_and_grad(w, b)[1] for b in batches]
    assert max(abs(g @ w) / np.linalg.norm(g) for g in gradients) < 1e-12
    np.testing.assert_allclose(np.mean(gradients, axis=0), problem.grad(w), atol=1e-14)


def test_each_layer_is_scale_invariant_by_itself():
    problem = LOSSES["normalized-mlp"]()
    w = problem.x0.copy()
    w[: 65 * 8] *= 3.0
    assert problem.fun(w) == pytest.approx(problem.fun(problem.x0), rel=1e-13)
    assert np.linalg.norm(normalized_weights(problem, w)[: 65 * 8]) == pytest.approx(8.0, rel=1e-14)


@pytest.mark.parametrize("name", ["normalized-logistic", "normalized-mlp"])
def test_class_probabilities_give_the_loss(name):
    problem = LOSSES[name]()
    _, labels = problems.digits_split("train")
    p = class_probabilities(problem, problem.x0, "train")
    assert -np.log(p[np.arange(labels.size), labels]).mean() == pytest.approx(problem.fun(problem.x0), rel=1e-12)


def test_the_origin_is_refused_and_not_hidden():
    for factory in (problems.rayleigh, problems.angle):
        with pytest.raises(ValueError, match="x0 must not be 0"):
            factory(x0=[0.0, 0.0])
        f, g = factory().value_and_grad([0.0, 0.0])
        assert np.isnan(f) and np.isnan(g).all()


# Equivalences (Li, Arora, arXiv:1910.07454) ---------------------------------------------------------

WITH_DECAY = [oo.GradientDescent(0.1, weight_decay=0.005),
              oo.Momentum(0.1, 0.9, form="torch", weight_decay=5e-4)]  # fmt: skip


@pytest.mark.parametrize("optimizer", [*WITH_DECAY, oo.Momentum(0.1, 0.9, weight_decay=5e-4)], ids=str)
@pytest.mark.parametrize("c", [4.0, 3.7])
def test_rescaling_start_lr_and_decay_gives_the_same_directions(optimizer, c):
    """Powers of two change no rounding: equal to the bit for GD, to round-off elsewhere."""
    problem = problems.rayleigh([1.0, 0.6, 0.3, 0.0])
    x0 = np.array([1.0, -0.5, 0.8, 0.2])
    a = oo.record(optimizer, problem, x0, 400)
    b = oo.record(SI.rescaled(optimizer, c), problem, c * x0, 400)
    assert np.abs(SI.directions(a.x) - SI.directions(b.x)).max() < 1e-12
    np.testing.assert_allclose(np.linalg.norm(b.x, axis=1), c * np.linalg.norm(a.x, axis=1), rtol=1e-12)


def test_rescaling_holds_with_the_same_batches():
    problem, optimizer = problems.normalized_logistic(), oo.GradientDescent(0.1, weight_decay=0.02)
    runs = [st.sample(o, problem, st.Minibatch(32), x0, steps=150, paths=2)
            for o, x0 in ((optimizer, problem.x0), (SI.rescaled(optimizer, 4.0), 4.0 * problem.x0))]
    np.testing.assert_allclose(SI.directions(runs[1].end), SI.directions(runs[0].end), atol=1e-12)


@pytest.mark.parametrize("optimizer", WITH_DECAY, ids=["gd", "momentum"])
@pytest.mark.parametrize("name", ["rayleigh", "normalized-logistic"])
def test_weight_decay_is_an_exponentially_growing_learning_rate(optimizer, name):
    problem = problems.normalized_logistic(part="test") if name == "normalized-logistic" else LOSSES[name]()
    x0, steps = point(problem, 3)[0], 400
    a = oo.record(optimizer, problem, x0, steps)
    plain, schedule, start = SI.growing_equivalent(optimizer, x0)
    assert plain.weight_decay == 0
    b = oo.record(plain, problem, x0, steps, schedule=schedule, start=start)
    assert np.abs(SI.directions(a.x) - SI.directions(b.x)).max() < 1e-10
    alpha = SI.growth_factor(optimizer)
    np.testing.assert_allclose(a.x, alpha ** np.arange(steps + 1)[:, None] * b.x, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(b.lr, optimizer.lr * alpha ** (-2.0 * np.arange(steps + 1) - 1), rtol=1e-12)


def test_a_zero_buffer_gives_other_directions():
    """The condition that the theorem's statement leaves to the reader."""
    optimizer = oo.Momentum(0.1, 0.9, form="torch", weight_decay=5e-3)
    problem = problems.rayleigh([1.0, 0.6, 0.3, 0.0])
    x0 = np.array([1.0, -0.5, 0.8, 0.2])
    plain, schedule, start = SI.growing_equivalent(optimizer, x0)
    a = SI.directions(oo.record(optimizer, problem, x0, 60).x)
    matched = SI.directions(oo.record(plain, problem, x0, 60, schedule=schedule, start=start).x)
    cold = SI.directions(oo.record(plain, problem, x0, 60, schedule=schedule).x)
    assert np.abs(a - matched).max() < 1e-12
    assert np.abs(a - cold).max() > 1e-3


def test_in_the_heavy_ball_form_the_momentum_grows_as_well():
    """The velocity holds the learning rate, which grows by alpha^-2 per step: momentum/alpha^2, from (1 - alpha) x0."""
    optimizer = oo.Momentum(0.1, 0.9, form="torch", weight_decay=5e-4)
    problem, x0 = problems.rayleigh([1.0, 0.6, 0.3, 0.0]), np.array([1.0, -0.5, 0.8, 0.2])
    alpha, (_, schedule, _) = SI.growth_factor(optimizer), SI.growing_equivalent(optimizer, x0)
    a = SI.directions(oo.record(optimizer, problem, x0, 400).x)
    off = {}
    for momentum in (0.9 / alpha**2, 0.9):
        ball = oo.Momentum(0.1 / alpha, momentum)
        start = np.array([(1 - alpha) * x0]) * (0.9 / alpha**2 / momentum)
        b = oo.record(ball, problem, x0, 400, schedule=schedule, start=start)
        off[momentum] = np.abs(a - SI.directions(b.x)).max()
    matched, plain = off.values()
    assert matched < 1e-11 and plain > 1e-3


def test_growth_factor_is_the_root_and_the_posts_number():
    """offconvex.org 2020-04-24: 391 steps per epoch at lr .1, momentum .9, decay 5e-4 grow by 1.481."""
    alpha = SI.growth_factor(oo.Momentum(0.1, 0.9, form="torch", weight_decay=5e-4))
    assert alpha**2 - (1.9 - 5e-5) * alpha + 0.9 == pytest.approx(0, abs=1e-15)
    assert round(alpha ** (-2 * 391), 3) == 1.481
    assert SI.growth_factor(oo.GradientDescent(0.1, weight_decay=0.3)) == pytest.approx(0.97, rel=1e-15)


# The norm (Li, Lyu, Arora, arXiv:2010.02916) ----------------------------------------------------------

@pytest.mark.parametrize("lr, decay", [(0.1, 0.3), (0.01, 0.5), (1.0, 0.001)])
def test_the_angle_loss_obeys_the_recursion_exactly(lr, decay):
    c = 1.3
    run = oo.record(oo.GradientDescent(lr, weight_decay=decay), problems.angle(c, x0=[2.0, 0.0]), steps=2000)
    n = (run.x**2).sum(axis=1)
    np.testing.assert_allclose(n, SI.norm_recursion(4.0, lr, decay, c * c, 2000), rtol=1e-12)
    star = SI.equilibrium_norm2(lr, decay, c * c)
    if lr * decay * 2000 > 8:
        assert n[-1] == pytest.approx(star, rel=1e-12)
        a, b = SI.directions(run.x[-2:])
        angle = math.atan2(abs(a[0] * b[1] - a[1] * b[0]), a @ b)
        assert angle == pytest.approx(SI.equilibrium_angle(lr * decay), rel=1e-10)
        # Contraction of small deviations: 2 (1 - lr wd)^2 - 1 per step.
        near = SI.norm_recursion(star * (1 + 1e-6), lr, decay, c * c, 1)
        assert (near[1] - star) / (star * 1e-6) == pytest.approx(2 * (1 - lr * decay) ** 2 - 1, rel=1e-4)


def test_effective_lr_depends_on_the_product_only():
    """Exactly, not only to first order: lr/n* = sqrt(lr wd (2 - lr wd)/sigma^2)."""
    values = [lr / SI.equilibrium_norm2(lr, wd, 2.0) for lr, wd in ((0.1, 0.01), (0.01, 0.1), (1.0, 0.001))]
    np.testing.assert_allclose(values, math.sqrt(0.001 * (2 - 0.001) / 2.0), rtol=1e-14)


def test_the_time_to_equilibrium_is_one_over_the_product():
    """From four times the equilibrium |w|^2, deviations shrink by e^(-4 lr wd) per step at the end."""
    hits = []
    for lr, wd in ((0.1, 0.1), (0.1, 0.01), (0.01, 0.1), (0.01, 0.01)):
        star = SI.equilibrium_norm2(lr, wd, 1.0)
        n = SI.norm_recursion(4 * star, lr, wd, 1.0, 20_000)
        hits.append(np.flatnonzero(n < 1.1 * star)[0] * lr * wd)
    # n^2 - star^2 decays as e^(-4 t): t = log(15/0.21)/4 in the limit of small products.
    np.testing.assert_allclose(hits, np.log(15 / 0.21) / 4, rtol=0.03)


def test_noise_of_constant_size_reaches_the_equilibrium():
    """Tangent noise around the angle loss: E|g|^2 |w|^2 = c^2 + sigma^2 in the recursion for E|w|^2."""
    problem = problems.angle(0.3, x0=[1.0, 0.0])
    study = SI.norm_equilibrium([(0.1, 0.05), (0.01, 0.5)], problem, st.tangent(1.0), paths=64, records=90)
    np.testing.assert_allclose(study.sigma2, 1.09, rtol=0.05)
    np.testing.assert_allclose(study.measured, [SI.equilibrium_norm2(0.1, 0.05, 1.09), SI.equilibrium_norm2(
        0.01, 0.5, 1.09)], rtol=0.03)
    np.testing.assert_allclose(study.balance, 1.0, atol=0.05)


def test_a_norm_that_still_moves_is_not_called_an_equilibrium():
    problem, pair = problems.angle(0.3, x0=[6.0, 0.0]), [(0.1, 0.05)]
    short, long = (SI.norm_equilibrium(pair, problem, st.tangent(1.0), steps=steps, paths=64, records=60)
                   for steps in (180, 1800))
    assert not short.balanced[0] and short.headline().endswith("not in balance yet: (lr, wd) = (0.1, 0.05)")
    assert long.balanced[0] and "balance" not in long.headline()


def test_digits_forget_lr_and_keep_the_product():
    problem = problems.normalized_logistic()
    x0 = SI.directions(problem.x0)
    study = SI.norm_equilibrium([(0.1, 0.1), (1.0, 0.01), (0.01, 1.0), (0.4, 0.1)], problem,
                                st.Minibatch(32, replacement=True), x0=x0, steps=1000, paths=16, records=150,
                                level=0.999)
    one, half = study.effective_lr[:3], study.effective_half[:3]
    assert np.ptp(one) < half.sum()  # lr over a factor of 100, the same effective lr
    # What the product sets is the angle of a step, sqrt(lr wd (2 - lr wd)), whatever sigma becomes. The
    # effective lr at the fourfold product is *not* twice as large: most of the factor goes into sigma.
    product = study.lr * study.weight_decay
    angle = study.effective_lr * np.sqrt(study.sigma2)
    np.testing.assert_allclose(angle, np.sqrt(product * (2 - product)), rtol=0.1)
    assert study.sigma2[3] > 2 * study.sigma2[:3].max()
    assert (np.abs(study.balance - 1) < study.balance_half).all()
    assert (study.balance_half < 0.3).all()
    assert (study.relaxation * product < 3.0).all()


# Conventional wisdom 1 --------------------------------------------------------------------------------

def test_descent_with_decay_is_unstable_at_every_lr_and_without_decay_at_none():
    study = SI.instability([1.0, 0.1, 0.01, 0.001, 1e-4])
    assert (study.rise_step > 0).all() and (study.lowest < 1e-20).all() and (study.peak > 0.3).all()
    # x grows once |1 - lr wd - 2 lr/|w|^2| > 1, and |w| shrinks by 1 - lr wd a step until then: the
    # smaller lr, the nearer to the origin, |w| = sqrt(lr) up to one step's shrinking.
    product, limit = 0.02, 2 - 0.02
    assert (study.turning_sharpness > limit * (1 - product) ** 2).all()
    assert (study.turning_sharpness < limit / (1 - product) ** 2).all()
    np.testing.assert_allclose(study.turning_norm**2, 2 * study.lr / limit, rtol=0.045)
    assert (study.plain_rise_step == -1).all() and study.plain_norm_monotone.all()


def test_norm_grows_by_pythagoras_without_decay():
    problem = problems.normalized_logistic()
    run = oo.record(oo.GradientDescent(0.5), problem, steps=30)
    n = (run.x**2).sum(axis=1)
    np.testing.assert_allclose(np.diff(n), 0.25 * run.grad_norm[:-1] ** 2, rtol=1e-9)


BAD = [
    (lambda: SI.growing_equivalent(oo.Momentum(0.1, 0.9, weight_decay=1e-3), np.ones(2)), "form='torch'"),
    (lambda: SI.growth_factor(oo.Momentum(0.1, 0.9, form="torch", weight_decay=0.1)), "lr \\* weight_decay"),
    (lambda: SI.rescaled(oo.Adam(0.1), 2.0), "GradientDescent or Momentum"),
    (lambda: SI.rescaled(oo.GradientDescent(0.1), 0.0), "factor"),
    (lambda: SI.norm_equilibrium([(0.1, 0.0)]), "weight_decay"),
    (lambda: problems.rayleigh([1.0]), "at least 2"),
    (lambda: problems.rayleigh(x0=[2e300, 3e299]), "x0 must have a length whose square float64 holds"),
    (lambda: problems.rayleigh(x0=[2e-300, 3e-299]), "x0 must have a length whose square float64 holds"),
    (lambda: problems.normalized_mlp(radii=(1.0, -1.0)), "radii must be positive"),
    (lambda: problems.normalized_logistic(radius=0.0), "radius"),
]


@pytest.mark.parametrize("call, words", BAD, ids=range(len(BAD)))
def test_bad_input_is_named_in_one_line(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_growing_is_nan_where_no_root_is_positive():
    rate = oo.schedules.growing(weight_decay=10.0, momentum=0.25)  # positive roots for base w <= (1 - 1/2)^2 only
    assert rate(3, 0.025) == pytest.approx(0.025 * 0.5 ** (-7.0), rel=1e-6)
    assert np.isnan(rate(3, 0.03)) and np.isnan(rate(3, 0.3))  # complex roots, negative roots
    assert np.isnan(oo.schedules.growing(weight_decay=10.0)(np.arange(4), 0.1)).all()
