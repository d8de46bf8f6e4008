"""Golden sequences: torch, optax and others to 1e-12, and the first steps from the papers by hand."""

import math
import sys

import numpy as np
import places
import pytest

import odeopt as oo

GOLDEN = places.GOLDEN
sys.path.insert(0, str(GOLDEN))
from optimizer_cases import CASES, KEPT, problems, replay  # noqa: E402


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "optimizers.npz", allow_pickle=False) as stored:
        return {key: stored[key] for key in stored.files}


PROBLEMS = problems()


@pytest.mark.parametrize("case", CASES, ids=[case.key for case in CASES])
@pytest.mark.parametrize("name", PROBLEMS)
def test_parity_with_peers(case, name, golden):
    """Every kept iterate of 200 steps, on a stored gradient sequence and on the method's own gradients."""
    problem, x0 = PROBLEMS[name]
    tape = golden[f"tape/{name}"]
    for loop, gradient in (("open", lambda k, x: tape[k]), ("closed", lambda k, x: problem.grad(x))):
        theirs = golden[f"{case.key}/{name}/{loop}"]
        assert theirs.shape == (KEPT.size, x0.size) and np.abs(theirs[-1] - x0).max() > 1e-3
        ours = replay(case.make(), x0, gradient, case.objective_decay, case.warmup, case.averaged)
        off = np.abs(ours - theirs).max() / np.abs(theirs).max()
        if case.differs:
            assert off > 1e-7, f"no longer differs: {case.differs}"
        else:
            assert off <= 1e-12, loop


def test_the_goldens_are_complete(golden):
    assert {f"{c.key}/{name}/{loop}" for c in CASES for name in PROBLEMS for loop in ("open", "closed")} | {
        f"tape/{name}" for name in PROBLEMS} | {"versions", "kept"} == set(golden)
    assert len({case.key for case in CASES}) == len(CASES)
    np.testing.assert_array_equal(golden["kept"], KEPT)
    versions = str(golden["versions"])
    assert "torch" in versions and versions.partition(", numpy")[0] in (GOLDEN / "CONFORMANCE.md").read_text()
    conformance = (GOLDEN / "CONFORMANCE.md").read_text(encoding="utf-8")
    for case in CASES:
        assert f"| {case.peer} | {case.name} |" in conformance and case.differs in conformance
    for name in PROBLEMS:  # the tape does what it is for
        assert (np.diff(np.sign(golden[f"tape/{name}"]), axis=0) != 0).sum() >= 3


# First steps by hand ---------------------------------------------------------------------------


def moves(opt, gradients, x0=0.0):
    """Moves of a scalar x under a sequence of gradients."""
    x = np.array([float(x0)])
    state = opt.init(x)
    out = []
    for g in gradients:
        before = x[0]
        opt.update(x, np.array([float(g)]), state)
        out.append(x[0] - before)
    return np.array(out)


def close(actual, desired):
    np.testing.assert_allclose(actual, desired, rtol=1e-13, atol=1e-15)


def test_rprop_by_hand():
    """Igel, Huesken (2000): growth by 1.2, halving at the change of sign, which forgets the gradient."""
    gradients = [3, 0.1, 7, -2, -5, -1]
    close(moves(oo.Rprop(lr=0.1), gradients), [-0.1, -0.12, -0.144, 0, 0.072, 0.0864])
    close(moves(oo.Rprop(lr=0.1, variant="rprop+"), gradients), [-0.1, -0.12, -0.144, 0.144, 0.072, 0.0864])
    close(moves(oo.Rprop(lr=0.1, step_max=0.11, step_min=0.09), gradients), [-0.1, -0.11, -0.11, 0, 0.09, 0.108])
    for variant in ("irprop-", "rprop+"):  # the first step, too
        close(moves(oo.Rprop(lr=0.1, step_max=0.03, variant=variant), gradients[:2]), [-0.03, -0.03])
        close(moves(oo.Rprop(lr=0.1, step_min=0.2, variant=variant), gradients[:2]), [-0.2, -0.24])


def test_adam_by_hand():
    """Kingma, Ba: the first step is -lr sign(g); the second from the rational numbers."""
    opt = oo.Adam(lr=0.1, eps=0.0)
    second = 0.39 / 0.19 / math.sqrt((0.999 * 0.001 + 0.009) / (1 - 0.999**2))
    np.testing.assert_allclose(moves(opt, [1, 3]), [-0.1, -0.1 * second], rtol=1e-12)
    np.testing.assert_allclose(moves(oo.Adam(lr=0.1, eps=0.5), [2]), [-0.1 * 2 / 2.5], rtol=1e-12)
    inside = oo.Adam(lr=0.1, eps=0.5, eps_mode="inside")
    np.testing.assert_allclose(moves(inside, [2]), [-0.1 * 2 / math.sqrt(4.5)], rtol=1e-12)


def test_adam_longest_step():
    """Section 2.1: one gradient after a long run of zeros moves x by lr (1 - beta1)/sqrt(1 - beta2)."""
    opt = oo.Adam(lr=1.0, eps=0.0)
    x = np.zeros(1)
    opt.kernel(0, opt.p, x, np.ones(1), np.array([[0.0], [0.0], [1.0], [1.0]]))
    assert x[0] == pytest.approx(-0.1 / math.sqrt(0.001), rel=1e-12)
    assert x[0] == pytest.approx(-3.16228, abs=5e-6)


@pytest.mark.parametrize(("beta1", "bound"), [(0.9, 7.2703), (0.97, 3.9338)])
def test_bounds_of_the_step_of_adam_and_adamax(beta1, bound):
    """Largest |m/q1|/sqrt(v/q2) and |m/q1|/u by Cauchy-Schwarz: approached by the worst gradients, never passed.

    At (.97, .999) the paper's section 2.1 has |dx| <= lr, which the worst gradients pass by a factor of 3.9."""
    beta2 = 0.999
    exact = (1 - beta1) / math.sqrt((1 - beta2) * (1 - beta1**2 / beta2))
    assert exact == pytest.approx(bound, abs=5e-5)
    adam = oo.Adam(lr=1.0, beta1=beta1, eps=0.0)
    x, s, longest = np.zeros(1), np.array([[0.0], [0.0], [1.0], [1.0]]), 0.0  # after a long run of zeros
    for k in range(600):
        before = x[0]
        adam.kernel(k, adam.p, x, np.array([(beta2 / beta1) ** k]), s)
        longest = max(longest, abs(x[0] - before))
    assert longest == pytest.approx(exact, rel=1e-9)
    rng = np.random.default_rng(0)
    for _ in range(20):
        gradients = rng.standard_normal(300) * 10.0 ** rng.uniform(-4, 4, 300)
        assert np.abs(moves(adam, gradients)).max() < exact
        assert np.abs(moves(oo.AdaMax(lr=1.0, beta1=beta1, eps=0.0), gradients)).max() < 1.1
    slope = np.abs(moves(oo.AdaMax(lr=1.0, beta1=beta1, eps=0.0), beta2 ** np.arange(3000.0))).max()
    assert slope == pytest.approx((1 - beta1) / (1 - beta1 / beta2), rel=1e-9) and slope > 1.009


def test_the_adam_code_of_2017_is_adam_with_a_falling_eps():
    """torch in 2017: sqrt(v) + eps, step lr sqrt(1 - beta2^t)/(1 - beta1^t); here eps/sqrt(1 - beta2^t)."""
    gradients = np.random.default_rng(4).standard_normal(200)
    lr, beta1, beta2, eps = 0.1, 0.9, 0.999, 0.3
    opt = oo.Adam(lr, beta1, beta2, eps)
    ours, theirs, state, m, v = np.zeros(1), 0.0, opt.init(np.zeros(1)), 0.0, 0.0
    for t, g in enumerate(gradients, start=1):
        opt.changed(eps=eps / math.sqrt(1 - beta2**t)).update(ours, np.array([g]), state)
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        theirs -= lr * math.sqrt(1 - beta2**t) / (1 - beta1**t) * m / (math.sqrt(v) + eps)
        assert ours[0] == pytest.approx(theirs, rel=1e-11, abs=1e-13)
    # with eps held fixed it is another method: the first step is some 10 times as long here
    g = abs(gradients[0])
    assert abs(moves(opt, gradients)[0]) / (lr * g / (g + eps / math.sqrt(0.001))) == pytest.approx(
        (g + eps / math.sqrt(0.001)) / (g + eps), rel=1e-12)


def test_adam_family_by_hand():
    x0 = 2.0
    close(moves(oo.AdamW(lr=0.1, weight_decay=0.5, eps=0.0), [7], x0), [-0.1 * 0.5 * x0 - 0.1])
    # AdaMax: u = 1, then max(.999, .5); m/q1 = 1, then .14/.19
    close(moves(oo.AdaMax(lr=0.1, eps=0.0), [1, 0.5]), [-0.1, -0.1 * (0.14 / 0.19) / 0.999])
    # NAdam: torch's mu_1, mu_2 at psi = .004
    mu1, mu2 = (0.9 * (1 - 0.5 * 0.96 ** (0.004 * k)) for k in (1, 2))
    close(moves(oo.NAdam(lr=0.1, eps=0.0), [4]), [-0.1 * (1 + mu2 * 0.1 / (1 - mu1 * mu2))])
    # Dozat: (1 - b)/(1 - b) g + b/(1 - b^2) m
    close(moves(oo.NAdam(lr=0.1, eps=0.0, momentum_decay=None), [4]), [-0.1 * (1 + 0.9 * 0.1 / 0.19)])
    # Lion: the newest gradient weighs 1 - beta1 = .1 in the sign, .01 in the memory
    close(moves(oo.Lion(lr=0.1), [1, -0.05, -0.2]), [-0.1, -0.1, 0.1])
    close(moves(oo.Lion(lr=0.1, weight_decay=0.5), [1], x0), [-0.1 - 0.1 * 0.5 * x0])


@pytest.mark.parametrize(("form", "second"), [
    # g = 2, 1 with beta1 = 0, beta2 = .5, eps = 0: v = 2, 1.5; q2 = .5, .75; v/q2 = 4, 2
    ("torch", 1 / math.sqrt(2 / 0.75)), ("optax", 1 / math.sqrt(4)), ("paper", 1 / math.sqrt(2))])
def test_amsgrad_forms_by_hand(form, second):
    opt = oo.AMSGrad(lr=0.1, beta1=0.0, beta2=0.5, eps=0.0, form=form)
    first = 2 / math.sqrt(2) if form == "paper" else 1.0
    close(moves(opt, [2, 1]), [-0.1 * first, -0.1 * second])


def test_rmsprop_and_sums_by_hand():
    close(moves(oo.RMSprop(lr=0.1, eps=0.0), [3, 3]), [-0.1 / math.sqrt(0.1), -0.1 / math.sqrt(0.19)])
    close(moves(oo.RMSprop(lr=0.1, eps=0.0, bias_correction=True), [3, 3]), [-0.1, -0.1])
    close(moves(oo.Adagrad(lr=0.1, eps=0.0), [5] * 4), -0.1 / np.sqrt([1, 2, 3, 4]))
    close(moves(oo.Adagrad(lr=0.1, eps=0.0, lr_decay=1.0), [5] * 3), -0.1 / np.sqrt([1, 2, 3]) / [1, 2, 3])
    rare = moves(oo.Adagrad(lr=0.1, eps=0.0), [5 if k % 10 == 9 else 0 for k in range(100)][9:])
    close(rare[-1] / moves(oo.Adagrad(lr=0.1, eps=0.0), [5] * 100)[-1], math.sqrt(10))
    # Zeiler: v = .1 g^2, u = 0; then u = .1 d^2
    d = math.sqrt(1e-6) / math.sqrt(0.4 + 1e-6) * 2
    e = math.sqrt(0.1 * d * d + 1e-6) / math.sqrt(0.9 * 0.4 + 0.4 + 1e-6) * 2
    close(moves(oo.Adadelta(), [2, 2]), [-d, -e])
    # scalar form: |g| = 5 on two coordinates, gamma = lr/sqrt(v)
    x = np.zeros(2)
    opt = oo.RMSprop(lr=0.1, form="scalar", eps=0.0)
    opt.update(x, np.array([3.0, 4.0]), opt.init(x))
    close(x, -0.1 / math.sqrt(2.5) * np.array([3, 4]))


def test_gains_by_hand():
    """Hinton: 1, 1.05, then .95 * 1.05 at the change of sign; limits. t-SNE: .8 first, since v = 0."""
    close(moves(oo.AdaptiveGains(0.1), [1, 2, -1, 0]), [-0.1, -0.21, 0.1 * 1.05 * 0.95, 0])
    tight = oo.AdaptiveGains(0.1, gain_max=1.02, gain_min=1.01)
    close(moves(tight, [1, 1, -1]), [-0.1 * 1.01, -0.1 * 1.02, 0.1 * 1.01])
    tsne = oo.AdaptiveGains(0.1, increase=0.2, decrease=0.8, gain_min=0.01, gain_max=1e9, momentum=0.5,
                            compare="velocity")
    v1 = -0.1 * 0.8
    v2 = 0.5 * v1 - 0.1 * 1.0
    v3 = 0.5 * v2 + 0.1 * 0.8 * 3
    close(moves(tsne, [1, 1, -3]), [v1, v2, v3])


def test_gains_balance_at_one_where_signs_are_random():
    """[A003]: .05 and .95 add up to 1, "so that the balance is near 1"; .05 and .9 balance at 1/2."""
    signs = np.sign(np.random.default_rng(1).standard_normal(100_000))
    for decrease, balance in ((0.95, 1.0), (0.9, 0.5)):
        opt = oo.AdaptiveGains(1e-3, decrease=decrease, gain_min=1e-3)
        p, x, s, total = opt.p, np.zeros(1), opt.cold_start(np.zeros(1)), 0.0
        for k, sign in enumerate(signs):
            opt.kernel(k, p, x, np.array([sign]), s)
            total += s[0, 0] if k >= 1000 else 0.0
        assert total / (signs.size - 1000) == pytest.approx(balance, rel=0.02)


def test_gains_with_increase_like_h_follow_a_flow_with_jumps():
    """x' = -gain g, gain' = c; gain -> decrease gain where g changes its sign, here at t = 1 for g = 1 - t."""
    c, decrease, errors = 2.0, 0.8, []
    for h in (0.01, 0.005, 0.0025):
        steps = round(2 / h)
        opt = oo.AdaptiveGains(h, increase=c * h, decrease=decrease)
        found = moves(opt, 1 - h * (np.arange(steps) + 0.5)).sum()
        # int_0^1 (1 + c t)(1 - t) dt, then the gain (1 + c) decrease + c (t - 1) on t in (1, 2)
        exact = -(1 / 2 + c / 6) + ((1 + c) * decrease / 2 + c / 3)
        errors.append(abs(found - exact))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.05)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(1, abs=0.05)


def test_momentum_forms_by_hand():
    close(moves(oo.Momentum(0.1), [1, 1]), [-0.1, -0.19])
    close(moves(oo.Momentum(0.1, form="torch", dampening=0.5), [1, 1]), [-0.1, -0.1 * (0.9 + 0.5)])
    close(moves(oo.Momentum(0.1, form="ema"), [1, 1]), [-0.01, -0.019])
    close(moves(oo.Nesterov(0.1), [1, 1]), [-0.19, -0.1 * (0.9 * 1.9 + 1)])
    close(moves(oo.GradientDescent(0.1, weight_decay=0.5), [1], 2.0), [-0.1 * (1 + 0.5 * 2)])
    close(moves(oo.SignGD(0.1), [7, -0.2, 0]), [-0.1, 0.1, 0])


def test_error_control_by_hand():
    """x moves by tol whatever the gradient, time by tol/|g|; a stationary point stays."""
    opt, x = oo.ErrorControlledEuler(0.1), np.zeros(2)
    state = opt.init(x)
    opt.update(x, np.array([3.0, 4.0]), state)
    close(x, [-0.06, -0.08])
    assert state.t == pytest.approx(0.02, rel=1e-14)
    opt.update(x, np.zeros(2), state)
    close(x, [-0.06, -0.08])


def test_normalised_descent_at_both_ends_of_the_range():
    for size in (1e-200, 1.0, 1e200):  # the square of either end is no number
        x = np.zeros(2)
        opt = oo.NormalizedGD(0.1)
        opt.update(x, size * np.array([3.0, 4.0]), opt.init(x))
        close(x, [-0.06, -0.08])


# Amos, from a transcription of algorithm 1 of arXiv:2210.11693 in whole-array numpy -------------


def amos_in_numpy(theta, gradients, xi, eta, beta, zeta_c, zeta_d, phi, mu, axis):
    axes = tuple(range(theta.ndim)) if axis is None else axis
    v = np.zeros(np.mean(theta, axis=axes, keepdims=True).shape)
    b, ema = np.zeros_like(v), np.zeros_like(theta)
    for t, g in enumerate(gradients, 1):
        mean = np.mean(g * g, axis=axes, keepdims=True) if axes else g * g
        v = beta * v + (1 - beta) * mean
        vhat_inverse = (1 - beta**t) / np.maximum(v, 2.0**-125)
        c = (1 + zeta_c * np.sqrt(xi) * b) ** -0.5
        d = 1 / (1 + zeta_d * np.sqrt(xi * eta) * b)
        gamma = np.sqrt(phi) * c * xi**2 * vhat_inverse * mean
        delta = phi * d * (-xi * eta * np.sqrt(vhat_inverse) * g - gamma / 2 * theta)
        ema = mu * ema + (1 - mu) * delta
        theta = theta + (ema if mu else delta)
        b = b + gamma * (phi + b)
    return theta


@pytest.mark.parametrize("axis", [None, (), 0, 1, 2, (0, 1), (1, 2)])
@pytest.mark.parametrize("mu", [0.0, 0.9])
def test_amos_against_its_algorithm(axis, mu):
    rng = np.random.default_rng(3)
    start = rng.standard_normal((3, 4, 2))
    gradients = rng.standard_normal((60, 3, 4, 2)) * 10.0 ** rng.uniform(-3, 3, (60, 1, 1, 1))
    opt = oo.Amos(lr=0.3, eta=0.5, beta=0.95, c_coef=0.3, d_coef=0.2, finetune=0.8, momentum=mu, axis=axis)
    x = start.copy()
    state = opt.init(x)
    for g in gradients:
        opt.update(x, g, state)
    axes = axis if axis is None or isinstance(axis, tuple) else (axis,)
    expected = amos_in_numpy(start, gradients, 0.3, 0.5, 0.95, 0.3, 0.2, 0.8, mu, axes)
    np.testing.assert_allclose(x, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    assert np.abs(x - start).max() > 0.1


def test_amos_first_step_by_hand():
    """b = 0: c = d = 1, r g^2 = 1, so the step is -xi eta sign(g) - xi^2 x/2 and b = xi^2."""
    opt = oo.Amos(lr=0.1, eta=0.5)
    x = np.array([2.0])
    state = opt.init(x)
    opt.update(x, np.array([-3.0]), state)
    assert x[0] == pytest.approx(2.0 + 0.05 - 0.01, rel=1e-13)
    assert state.row("decay")[0] == pytest.approx(0.01, rel=1e-13)


def test_amos_learning_rate_decays_like_the_square_of_time():
    """r M(g^2) = 1: b ~ xi^(7/2) k^2/(4 zeta), d ~ k^-2 (measured slope against the recursion)."""
    opt = oo.Amos(lr=0.5, beta=0.0)
    x, g = np.array([0.0]), np.array([1.0])
    state = opt.init(x)
    decay, p = [], opt.p
    for k in range(200_001):
        opt.kernel(k, p, x, g, state.slots[0])
        if k in (100_000, 200_000):
            decay.append(state.row("decay")[0])
    slope = math.log2(decay[1] / decay[0])
    assert abs(slope - 2) <= 0.02
    assert decay[1] == pytest.approx(0.5**3.5 * 200_000.0**2 / (4 * 0.25), rel=0.05)


def test_swa_is_the_mean_of_the_iterates():
    problem = PROBLEMS["rosenbrock"][0]
    for start in (0, 7):
        run = oo.record(oo.SWA(oo.Adam(0.01), start), problem, steps=40, memory=True)
        plain = oo.record(oo.Adam(0.01), problem, steps=40)
        np.testing.assert_array_equal(run.x, plain.x)
        np.testing.assert_allclose(run.memory[-1, -1], plain.x[start:].mean(axis=0), rtol=1e-14)
        np.testing.assert_array_equal(run.memory[min(start, 5), -1], plain.x[5] if start else plain.x[0])


# Invariances ------------------------------------------------------------------------------------


def test_scale_of_the_objective():
    """Adam without eps does not see f -> 2^20 f, sign methods no change of sizes at all."""
    rng = np.random.default_rng(0)
    gradients = rng.standard_normal(50)
    for opt in (oo.Adam(0.01, eps=0.0), oo.NAdam(0.01, eps=0.0), oo.AMSGrad(0.01, eps=0.0), oo.AdaMax(0.01, eps=0.0),
                oo.RMSprop(0.01, eps=0.0), oo.Adagrad(0.01, eps=0.0), oo.Lion(0.01)):
        np.testing.assert_array_equal(moves(opt, gradients), moves(opt, 2.0**20 * gradients))
    # Adadelta has the units of x ([A003]): lengths times 2^10 go with gradients over 2^10
    delta = oo.Adadelta(eps=1e-6, eps_step=1e-4)
    longer = oo.Adadelta(eps=1e-6 / 2.0**20, eps_step=1e-4 * 2.0**20)
    np.testing.assert_array_equal(2.0**10 * moves(delta, gradients), moves(longer, gradients / 2.0**10))
    sizes = 10.0 ** rng.uniform(-3, 3, 50)
    for opt in (oo.SignGD(0.01), oo.Rprop(), oo.Rprop(variant="rprop+")):
        np.testing.assert_array_equal(moves(opt, gradients), moves(opt, sizes * gradients))
