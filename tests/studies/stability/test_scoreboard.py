"""The scoreboard of the edge and the sharpness along a run, where every number is known: by hand, and on quadratics."""

import numpy as np
import pytest

import odeopt as oo
from odeopt.studies.stability import Edge, edge, sharpness
from odeopt.studies.stability.averaged import Averaged
from odeopt.studies.stability.scoreboard import Measured

# A quadratic far below its limit: s = lr c, and the gradients of a method are those of each coordinate.
S = np.array([0.02, 0.012])
START = np.array([1.0, -0.7])


def bowl(lr=0.1):
    return oo.problems.quadratic(S / lr, x0=START)


def by_hand(**changes):
    k = np.arange(7) + 0.5
    values = {"method": "m", "problem": "p", "formula": "2", "limit": 5.0, "k": k,
              "sharpness": np.array([1.0, 3.0, 5.0, 6.0, 5.0, 4.5, 5.5]), "loss": np.array([9.0, 8, 7, 6, 5, 4, 3]),
              "theory": ("one", "other"), "gradients": np.array([2.5, 3.5]), "message": ("", "not finite at step 6"),
              "flow_sharpness": np.array([[1.1, 3.2, 5.3, 6.8, 5.5, 4.6, 5.7], [1, 3, 5, 6.3, 5.1, 4.8, np.nan]]),
              "flow_loss": np.array([[8.0, 8, 8, 8, 8, 8, 8], [9, 8, 7, 6, 5, 2, np.nan]]),
              "distance": np.array([[0.1, 0.2, 0.9, 0.4, 0.3, 0.2, 0.1], [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, np.nan]])}
    return Edge(**(values | changes))


def test_phases_of_a_run():
    """Above the limit is above it, and below is below."""
    def parts(study):
        return [(study.phase(name).start, study.phase(name).stop) for name in
                ("before", "onset", "overshoot", "plateau", "whole")]

    assert parts(by_hand()) == [(0, 3), (3, 4), (3, 5), (5, 7), (0, 7)]
    assert parts(by_hand(limit=6.0)) == [(0, 7), (7, 7), (7, 7), (7, 7), (0, 7)]
    assert parts(by_hand(limit=0.5)) == [(0, 0), (0, 1), (0, 7), (7, 7), (0, 7)]
    assert parts(by_hand(sharpness=np.array([1.0, 2, 3, 4, 4.9, 5, 5.1]))) == [(0, 6), (6, 7), (6, 7), (7, 7), (0, 7)]
    with pytest.raises(ValueError, match="phase must be one of"):
        by_hand().phase("after")


def test_errors_are_absolute_and_the_largest_in_a_phase():
    study = by_hand()
    np.testing.assert_allclose(study.error("sharpness")[0], [0.1, 0.2, 0.3, 0.8, 0.5, 0.1, 0.2], atol=1e-12)
    np.testing.assert_allclose(study.error("loss")[0], [1, 0, 1, 2, 3, 4, 5])
    np.testing.assert_array_equal(study.error("position"), study.distance)
    np.testing.assert_allclose(study.largest("sharpness", "before"), [0.3, 0.0], atol=1e-12)
    np.testing.assert_allclose(study.largest("sharpness", "overshoot"), [0.8, 0.3], atol=1e-12)
    np.testing.assert_allclose(study.largest("loss", "plateau"), [5.0, np.nan])
    np.testing.assert_allclose(study.largest(), [0.8, np.nan])
    np.testing.assert_array_equal(by_hand(limit=6.0).largest("loss", "plateau"), [np.nan, np.nan])
    rows = study.rows()
    assert [(row["theory"], row["error of"]) for row in rows] == [
        (name, quantity) for name in ("one", "other") for quantity in ("sharpness", "loss", "position")]
    assert rows[2]["whole"] == 0.9 and rows[2]["onset"] == 0.4 and rows[5]["before"] == 0.2
    assert [row["gradients per step"] for row in rows] == [2.5] * 3 + [3.5] * 3
    assert rows[3]["remark"] == "not finite at step 6" and rows[0]["remark"] == ""


def test_the_headline_names_the_nearest():
    said = by_hand(run_message="diverged").headline()
    assert "overshoot other (0.3), plateau one (0.2), whole one (0.8)" in said
    assert said.endswith("; the run: diverged; other: not finite at step 6>") and "limit 5 = 2 / lr" in said
    assert "the limit is not reached" in by_hand(limit=6.0).headline()
    assert "nearest" in by_hand(sharpness=np.array([1.0, 2, 3, 4, 4.9, 5, 5.1])).headline()


def test_a_scoreboard_of_a_quadratic():
    """The run is (1 - s)^k, gradient flow e^(-s t), the modified flow e^(-(s + s^2/2) t) and the principal flow the run
    itself, at the middle of each pair of steps."""
    names = ["gradient flow", "modified flow", "principal flow", "rod flow"]
    study = edge(oo.GradientDescent(0.1), bowl(), steps=95, every=19, theories=names, directions=2)
    k = np.arange(0, 95, 19)
    np.testing.assert_array_equal(study.k, k + 0.5)
    assert study.theory == tuple(names) and study.run_message == "" and study.message == ("",) * 4
    t, x = study.k[:, None], START * (1 - S) ** k[:, None] * (1 - S / 2)
    np.testing.assert_allclose(study.sharpness, 0.2, rtol=1e-9)
    np.testing.assert_allclose(study.loss, 0.5 * (x * x) @ (S / 0.1), rtol=1e-12)
    assert study.limit == pytest.approx(20.0)
    for i, rate in enumerate((S, S + S * S / 2, -np.log(1 - S))):
        w = START * np.exp(-rate * t)
        np.testing.assert_allclose(study.flow_sharpness[i], 0.2, rtol=1e-9)
        np.testing.assert_allclose(study.flow_loss[i], 0.5 * (w * w) @ (S / 0.1), rtol=1e-3)
        np.testing.assert_allclose(study.distance[i], np.linalg.norm(w - x, axis=1), rtol=1e-2, atol=5e-5)
    assert study.distance[3].max() < 1e-4 < 1e-3 < study.distance[0].max()


def test_what_a_theory_costs():
    """The flow at the step 1/2: a Hessian of n products, and two stages; nothing of the measurement."""
    study = edge(oo.GradientDescent(0.1), bowl(), steps=10, every=10, theories=["gradient flow"])
    assert study.gradients.tolist() == [2 * 2 + 2]
    study = edge(oo.GradientDescent(0.1), bowl(), steps=400, every=200, theories=["gradient flow"])
    # 101 steps of length 1/2, 1, ... and of two stages, from the first after 100 on 25 of length 4 and three stages;
    # looks before the first step, after each five and after each two of the long ones
    assert study.gradients[0] * 200.5 == pytest.approx(2 * 101 + 3 * 25 + 4 * (1 + 19 + 13), rel=1e-12)


def test_a_start_at_the_limit_is_below_it():
    for lr, good in ((0.1, True), (0.1 * (1 + 5e-10), True), (0.1 * (1 + 3e-9), False)):
        problem = oo.problems.quadratic([20.0, 1.0], x0=[0.3, 0.4])
        if good:
            assert edge(oo.GradientDescent(lr), problem, steps=2, theories=["gradient flow"]).limit > 19.9
        else:
            with pytest.raises(ValueError, match="above the limit 20$"):
                edge(oo.GradientDescent(lr), problem, steps=2, theories=["gradient flow"])


def test_an_eigenvalue_that_passes_the_largest_is_seen():
    """By 0.4 per cent: the second eigenvector is followed, too."""
    flat = np.linspace(0.1, 1.0, 30)

    def product(x, v):
        c = flat.copy()
        c[:2] = 2.5, 2.51 if x[0] > 0.5 else 2.45
        return c * v

    problem = oo.Problem(lambda x: float(x.sum()), np.ones_like, hessp=product, x0=np.zeros(30))
    at = Measured(Averaged(oo.GradientDescent(0.1), problem, np.zeros(30)), 1)
    found = [at.sharpness(np.full(30, x), np.zeros(0)) for x in (0.0, 0.1, 0.9)]
    np.testing.assert_allclose(found, [2.5, 2.5, 2.51], rtol=1e-4)


def test_warmup_is_a_hint_for_methods_with_memory():
    steep = oo.problems.quadratic([40.0, 1.0], x0=[1e-3, 0.4])
    adam = oo.RMSprop(0.1, decay=0.9, eps=0.0)
    with pytest.raises(ValueError, match="above the limit 20; warmup= makes steps first"):
        edge(adam, steep, steps=2)
    with pytest.raises(ValueError, match=r"3 steps after x0 is [\d.e+]+, above the limit 20$"):
        edge(oo.GradientDescent(0.1), steep, [1e-3, 0.4], steps=2, warmup=3)


def test_the_sharpness_of_a_quadratic_and_its_cost():
    """A record costs n Hessian products, two gradients each, and for a method that divides twice as many."""
    problem = oo.problems.quadratic([3.0, 5.0, 2.0], x0=[0.3, 0.2, 0.1])
    study = sharpness(oo.GradientDescent(0.1), problem, steps=12, every=4, count=2)
    np.testing.assert_allclose(study.hessian, [[5.0, 3.0]] * 4, rtol=1e-12)
    np.testing.assert_array_equal(study.preconditioned, study.hessian)
    assert study.k.tolist() == [0, 4, 8, 12] and study.gradients == 4 * 3 * 2 / 12 and study.limit == 20.0
    np.testing.assert_allclose(study.loss, oo.record(oo.GradientDescent(0.1), problem, steps=12, every=4).f)
    assert [row["step"] for row in study.rows()] == [0, 4, 8, 12]
    assert study.rows()[1] == {"step": 4, "f": study.loss[1], "sharpness": 5.0, "preconditioned": 5.0, "limit": 20.0}
    assert "limit 20 = 2 / lr, not passed, at the end 5>" in study.headline()
    optimizer = oo.RMSprop(0.01, decay=0.8, eps=0.02, eps_mode="outside")
    study = sharpness(optimizer, problem, steps=12, every=4)
    assert np.isnan(study.preconditioned[0, 0]) and study.gradients == (4 + 3) * 3 * 2 / 12
    v = oo.record(optimizer, problem, steps=12, every=4, memory=True).memory[:, 0]
    expected = (np.array([3.0, 5.0, 2.0]) / (np.sqrt(v[1:]) + 0.02)).max(axis=1)
    np.testing.assert_allclose(study.preconditioned[1:, 0], expected, rtol=1e-9)
    for method, every in ((oo.GradientDescent(0.1), 50), (optimizer, 100)):
        assert sharpness(method, bowl(), steps=200).k.tolist() == list(range(0, 201, every))


def test_the_step_at_which_the_sharpness_passes_the_limit():
    """f = x^4/4 + x, curvature 3 x^2: the limit 2/lr = 8 is passed where x < -1.633."""
    quartic = oo.Problem(lambda x: float(x[0] ** 4 / 4 + x[0] ** 3), lambda x: x**3 + 3 * x**2,
                         lambda x: 3 * np.diag(x * x) + 6 * np.diag(x), x0=[-2.05])
    study = sharpness(oo.GradientDescent(0.05), quartic, steps=60, every=4)
    x = oo.record(oo.GradientDescent(0.05), quartic, steps=60, every=4).x[:, 0]
    assert (np.diff(x) < 0).all() and x[-1] == pytest.approx(-3, abs=1e-3)
    np.testing.assert_allclose(study.hessian[:, 0], 3 * x * x + 6 * x, rtol=1e-9)
    steep = sharpness(oo.GradientDescent(0.05), quartic, steps=60, every=4)
    object.__setattr__(steep, "limit", float(steep.preconditioned[6, 0]))  # equal is not above
    assert f"passed at step {int(steep.k[7])}," in steep.headline()
