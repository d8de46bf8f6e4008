"""Step-size rules: what they believe, what is true, and where they lock at a loose tolerance."""

import numpy as np
import pytest

import odeopt as oo
from odeopt import schemes
from odeopt.studies.stability.step_control import stability_function

STIFF = oo.problems.quadratic([1.0, 100.0], x0=[1.0, 1.0])
BOWL = oo.problems.sine_bowl()


@pytest.fixture(scope="module")
def loose():
    return oo.step_control(STIFF, t_end=4.0, tol=0.1)


@pytest.mark.parametrize("rule", ["I", "PI", "PID", "article"])
def test_rules_lock_at_the_stability_limit(loose, rule):
    """h lambda = 2 for Heun and Euler (Hall, Higham 1988): the stiff component neither grows nor decays."""
    log = loose[rule]
    later = log.later()
    assert log.status == "completed" and later.size > 50
    assert abs(later.mean() - 2) < 0.02 and later.std() < 0.15 and abs(log.growth - 1) < 0.03


def test_dal_at_tolerance_one_steps_at_the_limit():
    """h = 2 |g|/|H g| is 2/lambda in the stiff direction, so it stays there."""
    log = oo.step_control(STIFF, t_end=4.0, tol=1.0, rules=["dal"])["dal"]
    assert np.abs(log.later()[:-1] - 2).max() < 1e-3  # the last step is clipped at t_end


def test_dormand_prince_locks_at_its_own_limit():
    """The real stability interval of Dormand-Prince ends at -3.3066."""
    study = oo.step_control(STIFF, t_end=4.0, tol=0.1, rules=["I", "PI", "PID"], scheme="dormand-prince")
    for log in study.logs:
        assert abs(log.later().mean() - 3.3066) < 0.1 and abs(log.growth - 1) < 0.05, log


def test_limit_is_accuracy_where_the_tolerance_is_tight():
    study = oo.step_control(STIFF, t_end=0.02, tol=1e-6, rules=["PI"])
    assert study["PI"].h_lambda.max() < 0.2


def test_estimates_against_true_local_errors():
    """Heun-Euler estimates Euler's error, DAL predicts it to leading order; the article's gamma |g| is a length."""
    study = oo.step_control(BOWL, t_end=0.05, tol=1e-4, rules=["dal", "I", "article"])
    dal = study["dal"]
    assert np.allclose(dal.estimate[:-1] / dal.true_error[:-1], 1, atol=1e-2)
    article = study["article"]
    assert np.all(article.true_error < 1e-2 * article.estimate)
    g = np.linalg.norm(BOWL.grad(BOWL.x0))
    curved = np.linalg.norm(BOWL.hessp(BOWL.x0, BOWL.grad(BOWL.x0)))
    assert np.isclose(article.true_error[0], 0.5 * (1e-4 / g) ** 2 * curved, rtol=1e-3)
    pair = study["I"]
    assert np.all(pair.true_error[1:] < pair.estimate[1:])  # Heun's solution is what goes on


def test_rejected_trials_are_logged_and_repeated():
    # A first trial of 0.1/lambda is accepted; the tight tolerance of a curved problem rejects later ones.
    log = oo.step_control(oo.problems.rosenbrock(), [-1.2, 1.0], t_end=0.1, tol=1e-3, rules=["I"],
                          scheme="dormand-prince")["I"]
    assert (~log.accepted).any()
    rejected = np.flatnonzero(~log.accepted)
    assert np.array_equal(log.t[rejected + 1], log.t[rejected]) and np.all(log.h[rejected + 1] < log.h[rejected])
    assert np.isclose(log.h[log.accepted].sum(), 0.1)


@pytest.mark.parametrize(("controller", "gains"), [
    ("I", (1.0, 0.0, 0.0, 0.9, 0.2, 5.0)),
    ("PI", (0.7, -0.4, 0.0, 0.9, 0.2, 5.0)),
    ("PID", (0.58, -0.21, 0.10, 0.9, 0.2, 5.0)),
    ((0.6, -0.2, 0.1, 1.3, 0.3, 2.0), (0.6, -0.2, 0.1, 1.3, 0.3, 2.0)),  # would lengthen rejected steps
])
@pytest.mark.parametrize("scheme", [schemes.heun_euler, schemes.dormand_prince], ids=str)
@pytest.mark.parametrize("first", [0.1, 1e-5, 1e-9])
def test_steps_are_those_of_the_digital_filter(controller, gains, scheme, first):
    """h = h safety e_n^-b1 e_n-1^-b2 e_n-2^-b3 (Söderlind, ACM TOMS 29 (2003) 1), b over the estimate's order + 1.

    The errors before are those of accepted steps; after a rejection the present one alone counts, and a
    step that would not be shorter takes the smallest factor.
    """
    b1, b2, b3 = np.array(gains[:3]) / (scheme.embedded_order + 1)
    method = oo.Discretization(oo.flows.gradient_flow(), scheme, first, rtol=1e-4, atol=1e-4)
    log = oo.record(method, oo.problems.rosenbrock(), steps=150, controller=controller).step_log
    h, accepted, before = log["h"], log["accepted"].astype(bool), [1.0, 1.0]
    assert not accepted.all() or first < 0.1
    expected = []
    for e, good in zip(np.maximum(log["error"], 1e-10), accepted):  # smaller errors are round-off
        factor = gains[3] * e**-b1
        if good:
            factor *= before[0] ** -b2 * before[1] ** -b3
            before = [e, before[0]]
        factor = np.clip(factor, *gains[4:])
        expected.append(factor if good or factor < 1.0 else gains[4])
    np.testing.assert_allclose(h[1:] / h[:-1], expected[:-1], rtol=1e-12)


@pytest.mark.parametrize("controller", [(0.6, -0.2, 0.1, 1.3, 0.3, 2.0), (-0.7, 0.0, 0.0, 0.9, 0.2, 5.0),
                                        (0.0, 0.0, 0.0, 2.0, 0.5, 2.0)])
def test_a_rejected_step_is_always_shortened(controller):
    method = oo.Discretization(oo.flows.gradient_flow(), schemes.heun_euler, 0.3, rtol=1e-4)
    log = oo.record(method, oo.problems.beale(), steps=60, controller=controller).step_log
    rejected = np.flatnonzero(~log["accepted"].astype(bool)[:-1])
    assert rejected.size and log["accepted"].any() and (log["h"][rejected + 1] < log["h"][rejected]).all()


@pytest.mark.parametrize("controller", [(0.7, -0.4, 0.0, 0.9, 1.0, 5.0), (0.7, -0.4, 0.0, 0.0, 0.2, 5.0),
                                        (0.7, -0.4, 0.0, 0.9, 0.2, 0.5), (0.7, -0.4, 0.0, 0.9, 0.0, 5.0)])
def test_controllers_that_cannot_change_a_step_are_refused(controller):
    method = oo.Discretization(oo.flows.gradient_flow(), schemes.heun_euler, 0.3, rtol=1e-4)
    with pytest.raises(ValueError, match="controller must have safety > 0"):
        oo.record(method, oo.problems.beale(), steps=10, controller=controller)


def test_stability_functions():
    z = -1.7
    assert np.isclose(stability_function(schemes.explicit_euler, z), 1 + z)
    assert np.isclose(stability_function(schemes.heun_euler, z), 1 + z + z * z / 2)
    taylor = 1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24 + z**5 / 120 + z**6 / 600
    assert np.isclose(stability_function(schemes.dormand_prince, z), taylor)


def test_table_and_files(loose, tmp_path):
    text = repr(loose)
    assert all(rule in text for rule in ("PID", "dal", "article")) and "growth" in text
    for name in ("c.npz", "c.json"):
        loose.save(tmp_path / name)
        loaded = type(loose).load(tmp_path / name)
        assert repr(loaded) == text and np.array_equal(loaded["PI"].accepted, loose["PI"].accepted)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: oo.step_control(STIFF, rules=["P"]), "rules must be one of"),
    (lambda: oo.step_control(STIFF, scheme="rk4"), "scheme must be one of"),
    (lambda: oo.step_control(STIFF, tol=0.0), "tol must be in"),
    (lambda: oo.step_control(oo.Problem(lambda x: float(x @ x), lambda x: 2 * x, dim=2)), "needs the Hessian product"),
])
def test_bad_input(call, words):
    with pytest.raises((ValueError, TypeError), match=words):
        call()
