"""The two codes of the central flow against its conditions, on cubics: the critical eigenvalues stay at the limit."""

import numpy as np
import pytest
from cubics import METHODS, X0, critical, cubic, followed

import odeopt as oo
from odeopt.studies.stability import central


def oscillation(kind, optimizer, problem, v, m, dt):
    """``(force, kick, Sigma, moved by)`` of the two codes of the central flow, after one step from X0, v."""
    if kind == "theory":
        flow, seen = followed("central flow", optimizer, problem, v, m), []
        field = flow.field

        def spied(y, force, kick):
            seen.append((force, kick))
            return field(y, force, kick)

        flow.field = spied
        flow.advance(dt)
        force, kick = seen[0]
        return force, kick, flow.u @ flow.amount @ flow.u.T, flow.y - np.concatenate([X0, v])
    system = central._System(optimizer, problem, X0)
    x, after, sigma, _ = system.advance(X0, v, np.zeros((4, 4)), dt, True)
    g, (p, _) = problem.grad(X0), system.preconditioner(v)
    rate = system.rate if v.size else 1.0
    kick = (after - v) / (dt * rate) + v - (g @ g if v.size == 1 else g * g) if v.size else 0.0
    return -p * (x - X0) / dt - g, kick, sigma, np.concatenate([x, after]) - np.concatenate([X0, v])


@pytest.mark.parametrize(("kind", "name"), [*(("theory", name) for name in METHODS), ("study", "gradient descent"),
                                            ("study", "RMSprop"), ("study", "scalar RMSprop")])
@pytest.mark.parametrize("eigenvalues", [(1.0, 0.7, 0.3, -0.2), (1.0, 1.0, 0.3, 0.1)], ids=["one", "two"])
def test_the_oscillation_keeps_the_eigenvalues_at_the_limit(kind, name, eigenvalues):
    """Those that are there: U'(limit P - H)U stays positive semi-definite, and 0 where X is not: to second order in
    the time. The force is grad <Sigma, H>/2, and what v gains limit^2 P^2 diag Sigma."""
    dt, m = 1e-4, 1 if eigenvalues[1] < 1 else 2
    found = 0
    for seed in range(12):
        optimizer, problem, v, p, u, limit, rate, third = critical(name, eigenvalues, seed)
        force, kick, sigma, moved = oscillation(kind, optimizer, problem, v, m, dt)
        u, g = u[:, :m], problem.grad(X0)
        inner = u.T * p @ sigma @ (u.T * p).T  # X in the basis u, however its vectors were turned
        np.testing.assert_allclose(sigma, u @ inner @ u.T, atol=1e-12)
        np.testing.assert_allclose(force, 0.5 * np.einsum("ijk,jk->i", third, sigma), rtol=1e-5, atol=1e-7)
        gain = limit**2 * p**2 * np.diag(sigma)
        if v.size:
            assert np.sum(kick) == pytest.approx(np.sum(gain), rel=1e-5, abs=1e-7)
            rise = rate * ((g @ g + gain.sum() if v.size == 1 else g * g + gain) - v)
            np.testing.assert_allclose(moved[4:], dt * rise, rtol=2e-3, atol=1e-8)
        np.testing.assert_allclose(moved[:4], -dt * (g + force) / p, rtol=2e-3, atol=1e-8)
        after = METHODS[name][1](v + moved[4:]) if v.size else p
        left = u.T @ (limit * np.diag(after) - problem.hess(X0 + moved[:4])) @ u / dt
        size = np.abs(u.T @ (third @ (g / p)) @ u).max()
        assert np.linalg.eigvalsh(inner)[0] > -1e-9 and np.linalg.eigvalsh(left)[0] > -1e-2 * size
        assert abs(np.sum(left * inner)) < 1e-2 * size * np.trace(inner) + 1e-12
        if np.linalg.eigvalsh(inner)[0] > 1e-6:
            found += 1
            assert np.abs(left).max() < 1e-2 * size

        if np.trace(inner) == 0.0:
            assert np.linalg.eigvalsh(left)[0] > 0.0  # it stays below the limit by itself
    assert found >= 2


@pytest.mark.parametrize("name", ["gradient descent", "momentum"])
def test_the_critical_part_of_the_gradient_has_no_say_in_the_oscillation(name):
    """The flow stays on the valley's axis, whatever the gradient across it; the study's follows the whole gradient."""
    optimizer, problem, v, p, u, limit, _, third = critical(name, (1.0, 0.5, 0.3, 0.1), 3)
    g, h = problem.grad(X0), problem.hess(X0)
    moved = cubic(g + 0.9 * p * u[:, 0], h, third)
    one, other = (oscillation("theory", optimizer, f, v, 1, 1e-3) for f in (problem, moved))
    np.testing.assert_allclose(other[2], one[2], rtol=1e-8)
    assert np.trace(one[2]) > 0
    if name == "gradient descent":
        slope = third @ u[:, 0] @ u[:, 0]
        _, _, sigma, _ = oscillation("study", optimizer, moved, v, 1, 1e-3)
        x = 2 * max(0.0, -slope @ (moved.grad(X0) / p)) / (slope @ (slope / p))  # 2 <-g, grad S>/|grad S|^2
        np.testing.assert_allclose(sigma, x * np.outer(u[:, 0], u[:, 0]), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(("share", "looked_for"), [(0.76, True), (0.74, False)])
def test_an_oscillation_is_looked_for_from_three_quarters_of_the_limit(share, looked_for):
    for kind in ("theory", "study"):
        optimizer, problem, v, *_ = critical("gradient descent", (share, 0.5, 0.3, 0.1), 3)
        if kind == "theory":
            flow = followed("central flow", optimizer, problem, v, 1)
            before = flow.problem.count
            flow.advance(1.0)
            cost, looking = flow.problem.count - before, 8  # the Hessian of four unknowns by four products
        else:
            system = central._System(optimizer, problem, X0)
            system.advance(X0, v, np.zeros((4, 4)), 0.1, True)
            cost, looking = system.problem.count, 1
        looked = {"theory": 1 + 4, "study": 12}[kind]  # grad f and two or six Hessian products
        assert (cost - looking >= looked) == looked_for, (kind, cost)


def test_the_study_of_the_central_flow_is_eulers_scheme_below_the_limit():
    """On a quadratic: (1 - c/(2 substeps))^(substeps (2 k + 1)) at the middle of step k, beside the averaged run."""
    s, x0 = np.array([0.3, 1.7]), np.array([0.8, -0.6])
    study = oo.central_flow(oo.GradientDescent(0.1), oo.problems.quadratic(s / 0.1), x0, steps=7, substeps=3)
    k = np.arange(7)[:, None]
    np.testing.assert_allclose(study.flow, x0 * (1 - s / 6) ** (3 * (2 * k + 1)), rtol=1e-12)
    np.testing.assert_array_equal(study.stable, study.flow)
    np.testing.assert_allclose(study.x, x0 * (1 - s) ** k * (1 - s / 2), rtol=1e-12)
    np.testing.assert_allclose(study.measured, ((x0 * (1 - s) ** k * s / 2) ** 2).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(study.sharpness, 1.7, rtol=1e-12)
    assert study.k.tolist() == list(range(7)) and (study.variance == 0).all() and study.message == ""
    assert study.memory.shape == (7, 0)
    np.testing.assert_allclose(study.distance, np.linalg.norm(study.x - study.flow, axis=1), rtol=1e-12)
    np.testing.assert_allclose(study.stable_distance, np.linalg.norm(study.x - study.stable, axis=1), rtol=1e-12)


@pytest.mark.parametrize("form", ["vector", "scalar"])
def test_the_memory_of_the_study_and_its_sharpness(form):
    """x' = -lr g/sqrt(v + eps), v' = (1 - decay)/decay (g^2 - v) by Euler's scheme, two steps in half a step."""
    c, x, lr, eps, rate = np.array([1.0, 3.0]), np.array([0.8, -0.6]), 0.02, 0.01, 0.25
    study = oo.central_flow(oo.RMSprop(lr, decay=0.8, eps=eps, form=form), oo.problems.quadratic(c), x, steps=4)
    squared = (lambda g: np.array([g @ g])) if form == "scalar" else (lambda g: g * g)
    v, rows = squared(c * x), []
    for half in range(8):
        middle = (x, v)
        for _ in range(2):
            p = np.sqrt(v + eps) / lr * np.ones(2)
            s, g = (c / p).max(), c * x
            x, v = x - 0.25 * g / p, v + 0.25 * rate * (squared(g) - v)
        if half % 2:
            rows.append((*middle, s))
    for found, expected in zip((study.flow, study.memory, study.sharpness), zip(*rows)):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_where_a_central_flow_may_begin():
    """A thousandth above the limit 2 is round-off."""
    problem = oo.problems.quadratic([1.0, 0.5], x0=[0.4, 0.3])
    assert oo.central_flow(oo.GradientDescent(2.0019), problem, steps=2).k.size == 2
    with pytest.raises(ValueError, match="is above 2 there"):
        oo.central_flow(oo.GradientDescent(2.0021), problem, steps=2)


@pytest.mark.parametrize("points", [2, 6])
def test_third_derivatives_by_differences(points):
    """f''' of a function whose higher derivatives are of size one, of a pair of vectors of any length."""
    a, x = np.array([0.7, -0.4, 0.9]), np.array([0.5, 1.1, -0.3])
    bend = oo.Problem(lambda w: float(np.sin(a @ w)), lambda w: np.cos(a @ w) * a,
                      lambda w: -np.sin(a @ w) * np.outer(a, a), x0=x)
    for u, w in ((np.array([0.2, 0.3, -0.5]), np.array([1.0, 0.4, 2.0])), (np.array([7.0, 1.0, 2.0]), None)):
        other = u if w is None else w
        exact = -np.cos(a @ x) * (a @ u) * (a @ other) * a
        found = central.curvature_gradient(bend, x, u, w, points=points)
        error = np.abs(found - exact).max() / np.abs(exact).max()
        spacing = (5e-3 if points == 6 else 5e-4) * (1 + np.linalg.norm(x)) * abs(a @ u) / np.linalg.norm(u)
        theory = spacing**2 / 6 if points == 2 else spacing**6 / 140
        assert error < 1e-10 if points == 6 else error == pytest.approx(theory, rel=1e-2)


def test_the_least_is_found_to_ten_digits_or_is_zero():
    """Minima of a quadratic over positive semi-definite matrices that are known: beside 0, and 0 itself."""
    rng = np.random.default_rng(5)
    for m in (1, 2, 3):
        root = rng.standard_normal((m, m))
        inside = root @ root.T + 0.3 * np.eye(m)
        factor = rng.standard_normal((m * m, 2 * m * m))
        factor += factor.reshape(m, m, -1).transpose(1, 0, 2).reshape(m * m, -1)
        a = -(factor @ (factor.T @ inside.ravel())).reshape(m, m)
        # m (m + 1)/2 unknowns, and a factor of that rank: the minimum is one
        np.testing.assert_allclose(central.least(a, factor, np.eye(m)), inside, rtol=1e-7)
        positive = root @ root.T + 0.1 * np.eye(m)
        np.testing.assert_allclose(central.least(positive, factor, np.eye(m)), 0.0, atol=1e-9)
        assert not central.least(-positive, np.zeros((m * m, 2)), np.eye(m)).any()
