"""The flows that stand on pages of optimizers, and what pages say of their states, written out in numpy."""

import numpy as np
import pytest

import odeopt as oo
from odeopt import optimizers

BOWL = oo.problems.sine_bowl()
X, M, V = np.array([0.7, -1.3]), np.array([0.4, -0.2]), np.array([0.5, 0.01])
G = BOWL.grad(X)
LR, B1, B2, EPS, DECAY = 0.03, 0.83, 0.9, 0.05, 0.07
TAU1, TAU2 = LR / (1 - B1), LR / (1 - B2)


def velocity(optimizer, *rows, t=0.3):
    """z' where a number stands for a row that holds one."""
    z = np.array([row if np.ndim(row) else [row, 0.0] for row in rows], dtype=float)
    found = optimizer.flow.field(BOWL)(t, z)
    for row, value in zip(found, rows):
        assert np.ndim(value) or row[1] == 0.0
    return found


def weights(q1, q2):
    return [[(1 - q1) / TAU1, 0.0], [(1 - q2) / TAU2, 0.0]]


@pytest.mark.parametrize("mode", ["coupled", "decoupled"])
def test_adabelief(mode):
    inner, outer = (DECAY, 0.0) if mode == "coupled" else (0.0, DECAY)
    opt = optimizers.AdaBelief(LR, B1, B2, EPS, eps_root=0.02, weight_decay=DECAY, weight_decay_mode=mode)
    g, floor = G + inner * X, 0.02 / (1 - B2)
    for q1, q2 in ((0.6, 0.3), (0.0, 0.0)):
        apart = (g - M) ** 2 + floor
        mean, square = (M / q1, V / q2) if q1 else (g, apart)
        found = velocity(opt, X, M, V, q1, q2)
        np.testing.assert_allclose(found[0], -mean / (np.sqrt(square) + EPS) - outer * X, rtol=1e-12)
        np.testing.assert_allclose(found[1:3], [(g - M) / TAU1, (apart - V) / TAU2], rtol=1e-12)
        np.testing.assert_allclose(found[3:], weights(q1, q2), rtol=1e-12)


def test_adagrad_norm():
    for total in (2.5, 0.0):
        found = velocity(optimizers.AdaGradNorm(0.1), X, total)
        np.testing.assert_allclose(found[0], -G / np.sqrt(total) if total else 0 * G, rtol=1e-14)
        assert found[1, 0] == pytest.approx(G @ G, rel=1e-14)


@pytest.mark.parametrize("mode", ["coupled", "decoupled"])
def test_adopt(mode):
    inner, outer = (DECAY, 0.0) if mode == "coupled" else (0.0, DECAY)
    opt = optimizers.ADOPT(LR, B1, B2, eps=0.2, weight_decay=DECAY, weight_decay_mode=mode)
    g = G + inner * X
    found = velocity(opt, X, M, V)  # the second root lies below eps
    np.testing.assert_allclose(found[0], -M - outer * X, rtol=1e-14)
    np.testing.assert_allclose(found[1], (g / np.maximum(np.sqrt(V), 0.2) - M) / TAU1, rtol=1e-12)
    np.testing.assert_allclose(found[2], (g * g - V) / TAU2, rtol=1e-12)


def test_lamb():
    opt = optimizers.LAMB(LR, B1, B2, EPS, DECAY)
    for q1, q2 in ((0.6, 0.3), (0.0, 0.0)):
        mean, square = (M / q1, V / q2) if q1 else (G, G * G)
        r = mean / (np.sqrt(square) + EPS) + DECAY * X
        found = velocity(opt, X, M, V, q1, q2)
        np.testing.assert_allclose(found[0], -np.linalg.norm(X) / np.linalg.norm(r) * r, rtol=1e-12)
        np.testing.assert_allclose(found[1:3], [(G - M) / TAU1, (G * G - V) / TAU2], rtol=1e-12)
        np.testing.assert_allclose(found[3:], weights(q1, q2), rtol=1e-12)
    at_zero = velocity(optimizers.LAMB(LR, B1, B2, EPS), 0 * X, M, V, 0.6, 0.3)[0]  # no ratio there
    np.testing.assert_allclose(at_zero, -M / 0.6 / (np.sqrt(V / 0.3) + EPS), rtol=1e-12)


@pytest.mark.parametrize("power", [0.0, 1.5])
def test_schedule_free_adamw(power):
    ahead = 0.8
    opt = optimizers.ScheduleFreeAdamW(LR, ahead, beta2=B2, eps=EPS, weight_decay=DECAY, power=power)
    base, average = np.array([0.2, -0.9]), np.array([0.5, -1.1])
    for age, q2 in ((0.6, 0.3), (0.0, 0.0)):
        down = -G / (np.sqrt(V / q2 if q2 else G * G) + EPS) - DECAY * X
        follow = (power + 1) * (base - average) / age if age else (power + 1) / (power + 2) * down
        found = velocity(opt, X, base, average, age, V, q2)
        np.testing.assert_allclose(found[:3], [(1 - ahead) * down + ahead * follow, down, follow], rtol=1e-12)
        np.testing.assert_allclose(found[4], (G * G - V) / TAU2, rtol=1e-12)
        np.testing.assert_allclose(found[[3, 5], 0], [1.0, (1 - q2) / TAU2], rtol=1e-12)


def test_dog():
    """The distance grows with |x - x0| where that is the larger, and only then."""
    opt, start = oo.optimizers.DoG(0.5, weight_decay=DECAY), np.array([0.6, -1.7])
    g, away = G + DECAY * X, np.linalg.norm(X - start)
    for d, total in ((0.1, 2.5), (0.9, 2.5), (0.1, 0.0)):
        rate = max(d, away) / np.sqrt(total) if total else 0.0
        found = velocity(opt, X, start, d, total)
        np.testing.assert_allclose(found[0], -rate * g, rtol=1e-12)
        assert found[3, 0] == pytest.approx(g @ g, rel=1e-12) and not found[1].any()
        outwards = -rate * g @ (X - start) / away
        assert found[2, 0] == pytest.approx(max(outwards, 0.0) if d < away else 0.0, rel=1e-12)
    assert outwards == 0.0 and -g @ (X - start) > 0
    back = velocity(opt, X, X + 0.4 * g, 0.1, 2.5)  # x on its way back towards x0
    assert back[2, 0] > 0 and velocity(opt, X, X - 0.4 * g, 0.1, 2.5)[2, 0] == 0.0


@pytest.mark.parametrize("momentum", [0.7, None])
def test_the_iterate_behind_nesterovs_point(momentum):
    """x_k = y_k + m (y_k - y_(k - 1)), of which the y_k are kept here."""
    opt, lr = oo.Nesterov(0.01, momentum=momentum), 0.01
    run = oo.record(opt, BOWL, steps=9, memory=True)
    y = [BOWL.x0]
    for k in range(9):
        y.append(run.x[k] - lr * BOWL.grad(run.x[k]))
    found = opt.behind(run.k, run.x, run.memory)
    np.testing.assert_allclose(found, y, rtol=1e-12)
    for k in (0, 1, 5):
        np.testing.assert_allclose(opt.behind(k, run.x[k], run.memory[k]), y[k], rtol=1e-12)


@pytest.mark.parametrize("opt", [
    oo.GradientDescent(0.09), oo.Momentum(0.09, 0.8), oo.Momentum(0.09, 0.8, 0.3, form="torch"),
    oo.Momentum(0.09, 0.8, form="ema"), oo.Nesterov(0.09, momentum=0.8)], ids=repr)
def test_where_noise_enters_is_where_the_gradient_does(opt):
    """The field on f + d.x minus that on f: the factor times d in one row, whichever its sign."""
    d = np.array([0.3, -0.8])
    tilted = oo.Problem(lambda x: BOWL.fun(x) + float(d @ x), lambda x: BOWL.grad(x) + d, x0=X)
    z = np.array([X, M])[: opt.flow.rows]
    change = opt.flow.field(tilted)(0.3, z) - opt.flow.field(BOWL)(0.3, z)
    row, factor = opt.noise_enters
    np.testing.assert_allclose(np.abs(change[row]), factor * np.abs(d), rtol=1e-12)
    assert not np.delete(change, row, axis=0).any()
    assert oo.Nesterov(0.09, momentum=None).noise_enters is None


def test_constants_of_a_flow_are_named_as_in_its_equation():
    given = {"tau1": TAU1, "tau2": TAU2, "eps": EPS, "decay": DECAY}
    for opt, constants in (
            (optimizers.AdEMAMix(LR, B1, B2, 0.97, 3.0, EPS, DECAY), given | {
                "tau3": LR / (1 - 0.97), "alpha": 3.0, "drift": 0.0}),
            (optimizers.NovoGrad(LR, B1, B2, EPS, DECAY), given), (optimizers.LAMB(LR, B1, B2, EPS, DECAY), given)):
        assert opt.flow.constants == pytest.approx(constants, rel=1e-14)
        assert all(name in opt.flow.equation for name in constants if name.startswith("tau"))
