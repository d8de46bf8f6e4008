"""Updates and fields written out in numpy, at numbers without symmetry, where no peer has all of their options."""

import itertools

import numpy as np
import pytest

import odeopt as oo

TAPE = np.random.default_rng(11).standard_normal((30, 5)) * [1.0, 0.3, 2.0, 1e-3, 0.7]
START = np.array([0.7, -1.3, 2.1, -0.4, 0.9])
BOWL = oo.problems.sine_bowl()


def followed(opt, tape=TAPE):
    x = START.copy()
    state = opt.init(x)
    for g in tape:
        opt.update(x, g, state)
    return x


@pytest.mark.parametrize(("form", "inside", "decoupled"), [*itertools.product(("torch", "optax"), (0, 1), (0, 1))])
def test_radam_and_its_flow(form, inside, decoupled):
    """Liu and others, arXiv:1908.03265, algorithm 2, with eps, eps_root and decay at each of their places."""
    lr, b1, b2, eps, root, decay, threshold = 0.03, 0.83, 0.9, 0.05, 0.02, 0.07, 4.4
    opt = oo.RAdam(lr, b1, b2, eps, eps_mode="inside" if inside else "outside", weight_decay=decay, eps_root=root,
                   weight_decay_mode="decoupled" if decoupled else "coupled", threshold=threshold, form=form)
    x, m, v, kinds = START.copy(), np.zeros(5), np.zeros(5), []
    limit = 2 / (1 - b2) - 1
    for k, g in enumerate(TAPE, 1):
        g = g + (0.0 if decoupled else decay) * x
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        mean, under = m / (1 - b1**k), root + inside * eps
        rho = limit - 2 * k * b2**k / (1 - b2**k)
        kinds.append(rho > threshold)
        if form == "optax":
            below = np.sqrt(v / (1 - b2**k) + under) + (1 - inside) * eps
        else:
            below = (np.sqrt(v + under) + (1 - inside) * eps) / np.sqrt(1 - b2**k)
        if rho > threshold:
            r = np.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
            move = r * mean / below
        else:
            move = mean
        x = (1 - lr * decay * decoupled) * x - lr * move
    np.testing.assert_allclose(followed(opt), x, rtol=1e-12)
    assert 0 < np.sum(kinds) < len(kinds)

    z = np.array([[0.7, -1.3], [0.4, 0.2], [0.5, 0.01], [0.6, 0.0], [0.3, 0.0]])
    (x, m, v), q1, q2, tau1, tau2 = z[:3], 0.6, 0.3, lr / (1 - b1), lr / (1 - b2)
    for t in (0.0, 1e-6 * tau2, 1e-4 * tau2, 0.7 * tau2, 9 * tau2):
        g = BOWL.grad(x) + (0.0 if decoupled else decay) * x
        s = t / tau2
        r2 = s / 2 - s**2 / 12 if s < 1e-3 else 1 - s / np.expm1(s)
        torch = 1.0 if form == "optax" else q2
        below = np.sqrt(v / q2 + (root + inside * eps) / torch) + (1 - inside) * eps / np.sqrt(torch)
        found = opt.flow.field(BOWL)(t, z)
        drift = decay * decoupled * x
        np.testing.assert_allclose(found[0], -np.sqrt(r2) * m / q1 / below - drift, rtol=1e-7)
        np.testing.assert_allclose(found[1:3], [(g - m) / tau1, (g * g - v) / tau2], rtol=1e-12)
        np.testing.assert_allclose(found[3:], [[0.4 / tau1, 0.0], [0.7 / tau2, 0.0]], rtol=1e-12)


@pytest.mark.parametrize(("mode", "decoupled", "warm"), [
    *itertools.product(("outside", "inside", "hat"), (0, 1), (0.02, None))])
def test_nadam(mode, decoupled, warm):
    """Dozat (2016) with torch's warm-up: mu_k = beta1 (1 - .96^(k psi)/2), eps under or beside the root, or beside the
    uncorrected one; eps_root under the corrected one."""
    lr, b1, b2, eps, root, decay = 0.03, 0.83, 0.9, 0.05, 0.02, 0.07
    opt = oo.NAdam(lr, b1, b2, eps, eps_mode=mode, weight_decay=decay, eps_root=root, momentum_decay=warm,
                   weight_decay_mode="decoupled" if decoupled else "coupled")
    x, m, v, product = START.copy(), np.zeros(5), np.zeros(5), 1.0
    for k, g in enumerate(TAPE, 1):
        mu, ahead = (b1 if warm is None else b1 * (1 - 0.5 * 0.96 ** (warm * n)) for n in (k, k + 1))
        g = g + (0.0 if decoupled else decay) * x
        m, v, product = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g, product * mu
        corrected = 1 - b2**k
        below = {"outside": np.sqrt(v / corrected + root) + eps, "inside": np.sqrt(v / corrected + root + eps),
                 "hat": np.sqrt(v / corrected + root) + eps / np.sqrt(corrected)}[mode]
        move = ((1 - mu) * g / (1 - product) + ahead * m / (1 - product * ahead)) / below
        x = (1 - lr * decay * decoupled) * x - lr * move
    np.testing.assert_allclose(followed(opt), x, rtol=1e-12)


@pytest.mark.parametrize("decoupled", [0, 1])
def test_ademamix_and_its_flow(decoupled):
    lr, b1, b2, b3, alpha, eps, decay = 0.03, 0.83, 0.9, 0.97, 3.0, 0.05, 0.07
    opt = oo.optimizers.AdEMAMix(lr, b1, b2, b3, alpha, eps, decay, "decoupled" if decoupled else "coupled")
    x, m, n, v = START.copy(), np.zeros(5), np.zeros(5), np.zeros(5)
    for k, g in enumerate(TAPE, 1):
        g = g + (0.0 if decoupled else decay) * x
        m, n, v = b1 * m + (1 - b1) * g, b3 * n + (1 - b3) * g, b2 * v + (1 - b2) * g * g
        move = (m / (1 - b1**k) + alpha * n) / (np.sqrt(v / (1 - b2**k)) + eps)
        x = (1 - lr * decay * decoupled) * x - lr * move
    np.testing.assert_allclose(followed(opt), x, rtol=1e-12)

    z = np.array([[0.7, -1.3], [0.4, 0.2], [-0.3, 0.6], [0.5, 0.01], [0.6, 0.0], [0.3, 0.0]])
    g = BOWL.grad(z[0]) + (0.0 if decoupled else decay) * z[0]
    found = opt.flow.field(BOWL)(0.0, z)
    move = (z[1] / 0.6 + alpha * z[2]) / (np.sqrt(z[3] / 0.3) + eps)
    np.testing.assert_allclose(found[0], -move - decay * decoupled * z[0], rtol=1e-12)
    times = [lr / (1 - b) for b in (b1, b3, b2)]
    np.testing.assert_allclose(found[1:4], [(a - b) / t for a, b, t in zip((g, g, g * g), z[1:4], times)], rtol=1e-12)
    np.testing.assert_allclose(found[4:, 0], [0.4 / times[0], 0.7 / times[2]], rtol=1e-12)


def test_novograd_and_its_flow():
    """Algorithm 1 of arXiv:1905.11286 with a running average of u."""
    lr, b1, b2, eps, decay = 0.03, 0.83, 0.9, 0.05, 0.07
    opt = oo.optimizers.NovoGrad(lr, b1, b2, eps, decay)
    x, m, v = START.copy(), 0.0, 0.0
    for k, g in enumerate(TAPE):
        v = g @ g if k == 0 else b2 * v + (1 - b2) * (g @ g)
        u = g / (np.sqrt(v) + eps) + decay * x
        m = u if k == 0 else b1 * m + (1 - b1) * u
        x = x - lr * m
    np.testing.assert_allclose(followed(opt), x, rtol=1e-12)
    z = np.array([[0.7, -1.3], [0.4, 0.2], [0.5, 0.0]])
    g = BOWL.grad(z[0])
    found = opt.flow.field(BOWL)(0.0, z)
    np.testing.assert_allclose(found[0], -z[1], rtol=1e-15)
    u = g / (np.sqrt(0.5) + eps) + decay * z[0]
    np.testing.assert_allclose(found[1], (u - z[1]) * (1 - b1) / lr, rtol=1e-12)
    np.testing.assert_allclose(found[2], [(g @ g - 0.5) * (1 - b2) / lr, 0.0], rtol=1e-12)
    start = opt.flow_start(z[0], g)
    np.testing.assert_allclose(start[1:], [g / (np.linalg.norm(g) + eps) + decay * z[0], [g @ g, 0.0]], rtol=1e-14)


def test_lion():
    lr, b1, b2, decay = 0.03, 0.83, 0.9, 0.07
    x, m = START.copy(), np.zeros(5)
    for g in TAPE:
        x = x - lr * (np.sign(b1 * m + (1 - b1) * g) + decay * x)
        m = b2 * m + (1 - b2) * g
    np.testing.assert_allclose(followed(oo.Lion(lr, b1, b2, decay)), x, rtol=1e-12)


@pytest.mark.parametrize(("power", "lr_power"), [(0.0, 2.0), (1.5, 0.7)])
def test_weights_of_schedule_free_sgd(power, lr_power):
    """Point k counts (k + 1)^power lr_k^lr_power; with a schedule, and as a flow."""
    ahead, decay, rates = 0.8, 0.07, 0.05 * np.linspace(0.2, 1.0, 30)
    opt = oo.optimizers.ScheduleFreeSGD(0.05, ahead, decay, power, lr_power)
    problem = oo.problems.quadratic([1.0, 3.0], x0=[0.7, -1.3])
    x, z, a, total = problem.x0.copy(), problem.x0.copy(), problem.x0.copy(), 0.0
    for k, lr in enumerate(rates):
        z = z - lr * ([1.0, 3.0] * x + decay * x)
        weight = (k + 1) ** power * lr**lr_power
        total += weight
        a = a + (z - a) * weight / total
        x = (1 - ahead) * z + ahead * a
    run = oo.record(opt, problem, steps=30, schedule=oo.schedules.table(rates / 0.05))
    np.testing.assert_allclose(run.x[-1], x, rtol=1e-12)
    state, age = np.array([x, z, a, [0.6, 0.0]]), 0.6
    down = -([1.0, 3.0] * x + decay * x)
    for age, follow in ((0.6, (power + 1) * (z - a) / 0.6), (0.0, (power + 1) / (power + 2) * down)):
        state[3, 0] = age
        found = opt.flow.field(problem)(0.0, state)
        wanted = [(1 - ahead) * down + ahead * follow, down, follow, [1.0, 0.0]]
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
    weights = np.sum((np.arange(10) + 1) ** power * 0.05**lr_power)
    mean_age = 0.05 * ((power + 1) * np.sum((np.arange(10) + 1) ** power)) ** (1 / (power + 1))
    assert opt.to_flow(x, np.array([z, a, [weights, 0.0]]))[3, 0] == pytest.approx(mean_age, rel=1e-12)


@pytest.mark.parametrize("weights", ["torch", "optax"])
@pytest.mark.parametrize("nesterov", [False, True])
def test_muon_with_numbers_of_its_own(weights, nesterov):
    """A tall matrix, its Newton-Schulz steps with an eps above some norms, and AdamW for the vector beside it."""
    lr, momentum, decay, eps, b1, b2, eps_adam = 0.03, 0.8, 0.07, 0.5, 0.83, 0.9, 0.05
    a, b, c = 3.0, -4.0, 1.9
    opt = oo.optimizers.Muon(lr, momentum, decay, eps, b1, b2, eps_adam, 3, nesterov, "original", weights, (a, b, c))
    rng = np.random.default_rng(12)
    w, y = rng.standard_normal((4, 2)), START.copy()
    xs, average, m, v = [w.copy(), y.copy()], np.zeros((4, 2)), np.zeros(5), np.zeros(5)
    state, short = opt.init(xs), []
    for k in range(1, 9):
        g = rng.standard_normal((4, 2)) * (0.3 if k < 4 else 2.0)
        opt.update(xs, [g, TAPE[k]], state)
        average = momentum * average + (1 - momentum) * g
        d = average
        if nesterov and weights == "torch":
            d = momentum * average + (1 - momentum) * g
        elif nesterov:
            kept, fresh = momentum / (1 - momentum ** (k + 1)), (1 - momentum) / (1 - momentum**k)
            d = (kept * average + fresh * g) / (kept + fresh)
        short.append(np.linalg.norm(d) < eps)
        x = d.T / max(np.linalg.norm(d), eps)
        for _ in range(3):
            gram = x @ x.T
            x = a * x + (b * gram + c * gram @ gram) @ x
        w = (1 - lr * decay) * w - lr * np.sqrt(2) * x.T
        m, v = b1 * m + (1 - b1) * TAPE[k], b2 * v + (1 - b2) * TAPE[k] ** 2
        move = m / (1 - b1**k) / (np.sqrt(v / (1 - b2**k)) + eps_adam)
        y = (1 - lr * decay) * y - lr * move
    assert 0 < np.sum(short) < 8
    np.testing.assert_allclose(xs[0], w, rtol=0, atol=1e-13)
    np.testing.assert_allclose(xs[1], y, rtol=1e-12)


@pytest.mark.parametrize(("form", "mode", "decoupled"), [*itertools.product(
    ("adam", "torch", "optax", "paper", "mean"), ("outside", "inside"), (0, 1)), ("adam", "hat", 0),
    ("torch", "hat", 1)])
def test_adam_and_amsgrad(form, mode, decoupled):
    """Each form divides by its own root of v, q2 and their maximum, with eps and eps_root where they belong."""
    lr, b1, b2, eps, root, decay = 0.03, 0.83, 0.9, 0.05, 0.02, 0.07
    given = dict(eps_mode=mode, eps_root=root, weight_decay=decay,
                 weight_decay_mode="decoupled" if decoupled else "coupled")
    opt = oo.Adam(lr, b1, b2, eps, **given) if form == "adam" else oo.AMSGrad(lr, b1, b2, eps, form=form, **given)
    x, m, v, w = START.copy(), np.zeros(5), np.zeros(5), np.zeros(5)
    for k, g in enumerate(TAPE, 1):
        g = g + (0.0 if decoupled else decay) * x
        m, v, q2 = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g, 1 - b2**k
        w = np.maximum(w, v / q2 if form == "optax" else v)
        square = {"adam": v / q2, "torch": w / q2}.get(form, w)
        beside = {"outside": eps, "inside": 0.0, "hat": eps / np.sqrt(q2)}[mode]
        below = np.sqrt(square + root + (eps if mode == "inside" else 0.0)) + beside
        mean = m if form == "paper" else m / (1 - b1**k)
        x = (1 - lr * decay * decoupled) * x - lr * mean / below
    np.testing.assert_allclose(followed(opt), x, rtol=1e-12)


def test_adagrad_norm():
    """b^2 <- b^2 + |g|^2 from b0^2; x <- x - lr g/b."""
    lr, b0 = 0.03, 0.6
    x, square = START.copy(), b0**2
    for g in TAPE:
        square += g @ g
        x = x - lr * g / np.sqrt(square)
    np.testing.assert_allclose(followed(oo.AdaGradNorm(lr, b0)), x, rtol=1e-12)
    x, square = START.copy(), 0.0
    for g in TAPE:
        square += g @ g
        x = x - lr * g / np.sqrt(square)
    for size in (1e-160, 1.0, 1e160):  # whose squares are no numbers
        np.testing.assert_allclose(followed(oo.AdaGradNorm(lr), size * TAPE), x, rtol=1e-12)
