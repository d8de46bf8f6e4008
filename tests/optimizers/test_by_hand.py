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
