"""Searches, basins, sweeps and trainings against the runs of which they are made."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

import odeopt as oo
from odeopt import stochastic as st
from odeopt.studies.networks import generalisation as general
from odeopt.studies.networks.training import DecayTable, Training, split, train
from odeopt.studies.order import work_precision as wp
from odeopt.studies.search import basins, ensemble, lr_search, suggest
from odeopt.studies.stability.restart import restarted

LINE = oo.problems.quadratic([1.0], x0=[1.0])
DOUBLE = oo.problems.himmelblau()

# Searches ------------------------------------------------------------------------------------------


def test_a_search_with_momenta_takes_the_best_pair():
    """On x^2/2 after 2 steps of the heavy ball, written out; the grid's best at an end is said."""
    study = oo.tune(oo.Momentum(0.3), LINE, steps=2, grid=3, span=3.0, golden=0, momenta=[0.2, 0.7])

    def value(lr, mu):
        x, v = 1.0, 0.0
        for _ in range(2):
            v = mu * v - lr * x
            x += v
        return 0.5 * x * x

    lrs = 0.3 * 3.0 ** np.linspace(-1, 1, 3)
    pairs = [(lr, mu) for mu in (0.2, 0.7) for lr in lrs]
    np.testing.assert_allclose(study.lr, [lr for lr, _ in pairs], rtol=1e-12)
    np.testing.assert_allclose(study.momentum, [mu for _, mu in pairs])
    np.testing.assert_allclose(study.value, [value(*pair) for pair in pairs], rtol=1e-12)
    best = int(np.argmin(study.value))
    assert (study.best_lr, study.best_momentum, study.best_value) == (study.lr[best], study.momentum[best],
                                                                      study.value[best])
    assert study.gradients == 12 and study.edge == (best % 3 != 1)
    assert study.optimizer.lr == float(f"{study.best_lr:.3g}") and study.optimizer.momentum == study.best_momentum
    order = [(row["momentum"], row["lr"]) for row in study.rows()]
    assert order == sorted(order) and [row["best"] for row in study.rows()].count("<") == 1


def test_golden_sections_close_in_on_the_minimum():
    """Each trial after the first two cuts the bracket by the golden section, on either side."""
    for best in (0.83, 1.0, 1.2):
        problem = oo.problems.quadratic([1 / best], x0=[1.0])  # one step of lr ends at 1 - lr/best
        study = oo.tune(oo.GradientDescent(1.0), problem, steps=1, grid=3, span=2.0, golden=14)
        width = 2 * math.log(2.0) * ((math.sqrt(5) - 1) / 2) ** 12
        assert abs(math.log(study.best_lr / best)) < width and not study.edge and study.lr.size == 17
        low, high, ratio = -math.log(2.0), math.log(2.0), (math.sqrt(5) - 1) / 2
        points = [high - ratio * (high - low), low + ratio * (high - low)]
        values = [(1 - math.exp(p) / best) ** 2 for p in points]
        tried = list(points)
        for _ in range(12):
            if values[0] <= values[1]:
                high, points, values = points[1], [None, points[0]], [None, values[0]]
                points[0] = high - ratio * (high - low)
                values[0] = (1 - math.exp(points[0]) / best) ** 2
                tried.append(points[0])
            else:
                low, points, values = points[0], [points[1], None], [values[1], None]
                points[1] = low + ratio * (high - low)
                values[1] = (1 - math.exp(points[1]) / best) ** 2
                tried.append(points[1])
        np.testing.assert_allclose(np.log(study.lr[3:]), tried, atol=1e-9)


def test_scores_of_a_run():
    run = SimpleNamespace(ok=True, f=np.array([4.0, 1.0, 2.0]))
    assert [lr_search._score(run, score, 0.5) for score in ("final", "best")] == [2.0, 1.0]
    assert lr_search._score(run, "mean log", 0.5) == pytest.approx(np.mean(np.log([3.5, 0.5, 1.5])))
    assert lr_search._score(run, "mean log", 1.0) == pytest.approx((math.log(3) + math.log(1e-300) + 0.0) / 3)
    assert lr_search._score(SimpleNamespace(ok=False, f=run.f), "best", 0.5) == math.inf
    assert lr_search._score(SimpleNamespace(ok=True, f=np.array([1.0, np.nan])), "best", 0.5) == math.inf


def test_curvature_along_a_path():
    """x^4/4: three times the start's square, which is the largest; a curvature that is first met on the way."""
    quartic = oo.problems.quartic(1)
    unit = quartic.curvature(np.array([1.0])) / 3.0
    largest, end = suggest.path_curvature(quartic, np.array([2.0]), 50)
    assert largest == pytest.approx(12 * unit, rel=1e-9)
    run = oo.record(oo.GradientDescent(0.5 / largest), quartic, [2.0], steps=50, every=5)
    np.testing.assert_allclose(end, run.x[-1], rtol=1e-12)
    ridge = oo.Problem(lambda x: float(1 - np.cos(x[0])), np.sin, lambda x: np.diag(np.cos(x)), x0=[1.2])
    found = suggest.path_curvature(ridge, np.array([1.2]), 40)[0]
    assert 0.99 < found <= 1.0 and ridge.curvature(np.array([1.2])) == pytest.approx(math.cos(1.2))


def test_first_steps_tell_methods_apart():
    assert suggest._first_steps(oo.GradientDescent(0.3)) == pytest.approx([0.3, 3.0])
    assert suggest._first_steps(oo.SignGD(0.3)) == pytest.approx([0.3, 0.3])
    assert suggest._grows_with_gradient(oo.Momentum(0.3)) and not suggest._grows_with_gradient(oo.Adam(0.3))


# Basins and ensembles --------------------------------------------------------------------------------


def test_the_nearest_minimum_within_a_radius():
    minima = np.array([[0.0, 0.0], [3.0, 4.0]])
    for end, found in (([0.0, 0.5], 0), ([3.0, 4.9], 1), ([0.0, 1.0], -1), ([np.nan, 0.0], -1), ([1.0, 4.0], -1)):
        run = SimpleNamespace(final={"x": np.array(end)}, ok=True)
        assert basins._nearest(run, minima, 1.0) == found
    assert basins._nearest(SimpleNamespace(final={"x": np.zeros(2)}, ok=False), minima, 1.0) == -1


def test_a_basins_study_by_hand():
    """A quarter of the smallest distance between minima; twenty over the least curvature; rows that count."""
    study = oo.basins(oo.GradientDescent(1e-3), DOUBLE, resolution=5, steps=4000)
    minima = np.array(DOUBLE.minima)
    apart = min(np.linalg.norm(a - b) for i, a in enumerate(minima) for b in minima[:i])
    least = min(np.linalg.eigvalsh(DOUBLE.hess(m))[0] for m in minima)
    for i, j in ((0, 1), (2, 4), (3, 3)):
        sol = oo.reference(oo.flows.gradient_flow(), DOUBLE, [study.x[j], study.y[i]], 20 / least)
        far = np.linalg.norm(minima - sol(20 / least), axis=1)
        assert study.flow[i, j] == (far.argmin() if far.min() < 0.25 * apart else -1)
    reached = study.flow >= 0
    assert study.fidelity == (study.optimizer == study.flow)[reached].mean()
    rows = study.rows()
    assert [row["in common"] for row in rows] == [((study.flow == i) & (study.optimizer == i)).sum() for i in range(4)]
    assert sum(row["starts of the flow"] for row in rows) == reached.sum()
    assert f"{(study.optimizer < 0).sum()} of 25 starts reach no minimum" in study.headline()
    assert (study.x[0], study.x[-1]) == DOUBLE.window[0] and (study.y[0], study.y[-1]) == DOUBLE.window[1]
    small = oo.basins(oo.GradientDescent(1e-3), DOUBLE, resolution=2, steps=5, t_end=1e-6, radius=0.1)
    assert (small.flow == -1).all() and math.isnan(small.fidelity)


def test_the_room_of_chunks_in_flight():
    assert [ensemble._room_in_flight(held) for held in (0, ensemble.IN_FLIGHT, ensemble.IN_FLIGHT + 1,
                                                        ensemble.IN_FLIGHT // 5, 1)] == [64, 1, 1, 5, 64]


def test_a_sweep_of_a_measure():
    """f - f* at the end, distance to the flow, and infinite where the run diverges; the least is named."""
    steep = oo.problems.quartic(1)
    study = oo.sweep(oo.GradientDescent(0.1), LINE, None, 10, grid={"lr": [0.1, 0.5]}, measure="gap")
    np.testing.assert_allclose(study.value, [0.5 * 0.9**20, 0.5 * 0.5**20], rtol=1e-12)
    assert "least 4.77e-07 at lr = 0.5" in study.headline()
    timed = oo.sweep(oo.GradientDescent(0.1), LINE, None, 10, grid={"lr": [0.1, 0.25]}, measure="gap", t_end=0.5)
    np.testing.assert_allclose(timed.value, [0.5 * 0.9**10, 0.5 * 0.75**4], rtol=1e-12)
    error = oo.sweep(oo.GradientDescent(0.1), LINE, None, 10, grid={"lr": [0.1, 0.2]}, measure="error")
    k = np.arange(11)
    np.testing.assert_allclose(error.value, [abs((1 - h) ** k - np.exp(-h * k)).max() for h in (0.1, 0.2)], rtol=1e-6)
    lost = oo.sweep(oo.GradientDescent(0.1), steep, [3.0], 50, grid={"lr": [2.0]}, measure="gap")
    assert lost.value[0] == math.inf and lost.message[0] and "least" not in lost.headline()


# Costs -----------------------------------------------------------------------------------------------


def test_levels_of_a_method():
    """A step h/factor^j; tolerances a tenth each; without a flow the method itself and more steps."""
    descent, rprop = oo.GradientDescent(0.3), oo.optimizers.Rprop()
    assert wp._finer(descent, 3.0, 2).lr == pytest.approx(0.3 / 9) and wp._finer(descent, 3.0, 0) is descent
    assert wp._finer(rprop, 3.0, 2) is rprop
    held = oo.Discretization(oo.flows.gradient_flow(), oo.schemes.dormand_prince, 0.1, rtol=1e-3, atol=1e-5)
    finer = wp._finer(held, 3.0, 2)
    assert (finer.rtol, finer.atol, float(finer.h)) == pytest.approx((1e-5, 1e-7, 0.1))
    euler = oo.Discretization(oo.flows.gradient_flow(), oo.schemes.explicit_euler, 0.3)
    assert float(wp._finer(euler, 3.0, 2).h) == pytest.approx(0.3 / 9)
    assert wp._own_time(descent, LINE, LINE.x0, 7, "cold") == pytest.approx(2.1)
    assert wp._own_time(euler, LINE, LINE.x0, 7, "cold") is None
    assert wp._own_time(oo.GradientDescent(9.0), oo.problems.quartic(1), np.array([3.0]), 20, "cold") == 180.0
    study = oo.work_precision([descent, rprop], LINE, t_end=1.2, levels=2, steps=5, factor=3.0, repeats=1)
    assert study.gradients.tolist() == [[4, 12], [5, 15]] and study.t_end.tolist() == [1.2, 1.2]
    k = np.arange(5)
    assert study.error[0, 0] == pytest.approx(abs(0.7**k - np.exp(-0.3 * k)).max(), rel=1e-6)
    assert study.gap[0, 1] == pytest.approx(0.5 * 0.9**24, rel=1e-9)
    rows = study.rows()
    assert rows[1]["milliseconds"] == pytest.approx(1e3 * study.seconds[0, 1], nan_ok=True)
    assert rows[1]["gradients"] == 12


# Restarts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["speed", "function"])
def test_a_restarted_run_beside_the_plain_one(rule):
    problem = oo.problems.quadratic([0.01, 1.0], x0=[1.0, 0.3])
    study = restarted(oo.Nesterov(0.9, momentum=None), problem, steps=200, rule=rule)
    assert study.k.tolist() == list(range(201)) and study.restarts.size > 0 and study.status == "completed"
    np.testing.assert_allclose(study.f, [problem.fun(x) for x in study.x], rtol=1e-12)
    np.testing.assert_allclose(study.grad_norm, [np.linalg.norm(problem.grad(x)) for x in study.x], rtol=1e-12)
    plain = oo.record(oo.Nesterov(0.9, momentum=None), problem, steps=200)
    np.testing.assert_array_equal(study.plain_f, plain.f)
    rows = study.rows()
    assert (rows[0]["restarts"], rows[1]["restarts"], rows[0]["steps"]) == (study.restarts.size, 0, 200)
    assert (rows[0]["f"], rows[1]["f"]) == (study.f[-1], plain.f[-1]) and study.f[-1] < plain.f[-1]
    at = int(study.restarts[0])
    again = restarted(oo.Nesterov(0.9, momentum=None), problem, steps=at, rule=rule)  # ends with the restart
    assert again.k.tolist() == list(range(at + 1)) and again.restarts.tolist() == [at]
    np.testing.assert_array_equal(again.x, study.x[: at + 1])
    other = restarted(oo.Nesterov(0.9, momentum=None), problem, [0.5, -0.2], 20, rule=rule)
    np.testing.assert_array_equal(other.x[0], [0.5, -0.2])


# Trainings -------------------------------------------------------------------------------------------


class Line:
    """Two weights, labels w . image: squares of the misfit; "accuracy" is a number of the data."""

    def initial(self, seed):
        return np.array([0.3, -0.4 + seed])

    def loss_and_grad(self, w, images, labels):
        off = images @ w - labels
        return float(np.mean(off**2)), 2 * images.T @ off / len(labels)

    def loss_and_accuracy(self, w, images, labels):
        return float(np.mean((images @ w - labels) ** 2)), float(np.mean(np.abs(images @ w - labels) < 0.5))


def pairs(count, seed):
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((count, 2))
    return images, images @ [1.0, 2.0] + 0.1 * rng.standard_normal(count)


def test_a_training_is_its_loop():
    """Shuffled anew in each epoch, whole batches, losses before their steps, the rule on the validation loss."""
    data = {"train": pairs(23, 0), "validation": pairs(9, 1), "test": pairs(11, 2)}
    rule = oo.schedules.ReduceLROnPlateau(patience=0, threshold=0.9, factor=0.5)
    study = train(oo.GradientDescent(0.1), Line(), data, 4, batch=5, rule=rule, seed=7)
    w, rng, lr, network, decisions = np.array([0.3, 6.6]), np.random.default_rng([7, 1]), 0.1, Line(), rule.start(0.1)
    images, labels = data["train"]
    for epoch in range(4):
        order, losses = rng.permutation(23), []
        for begin in (0, 5, 10, 15):
            chosen = order[begin : begin + 5]
            loss, g = network.loss_and_grad(w, images[chosen], labels[chosen])
            losses.append(loss)
            w = w - lr * g
        loss, accuracy = network.loss_and_accuracy(w, *data["validation"])
        row = (lr, np.mean(losses), loss, accuracy)
        found = (study.lr, study.train_loss, study.validation_loss, study.validation_accuracy)
        assert tuple(column[epoch] for column in found) == pytest.approx(row, rel=1e-9)
        lr = decisions.step(loss)
    np.testing.assert_allclose(study.w, w, rtol=1e-6)
    assert study.test_accuracy == network.loss_and_accuracy(w, *data["test"])[1] and study.lr[-1] < 0.1
    assert study.rows()[2]["epoch"] == 3 and "4 epochs" in study.headline() and study.base_lr == 0.1
    assert "not finite" not in study.headline()


def test_what_a_table_of_trainings_says():
    def run(lr, rule, accuracy, loss, rates, seed):
        e = np.array(loss)
        return Training("o", rule, lr, seed, np.array(rates), e, e, e, accuracy, np.zeros(2))

    table = DecayTable((run(0.1, "plateau", 0.9, [3.0, 1.0], [0.1, 0.05], 0), run(0.1, "plateau", 0.7, [3.0, 2.0],
                        [0.1, 0.025], 1), run(0.1, "plateau", 0.74, [1.0, 0.6], [0.1, 0.1], 2),
                        run(0.1, "none", 0.75, [3.0, 1.5], [0.1, 0.1], 0)))
    first, second = table.rows()
    assert (first["test accuracy"], first["spread"], first["validation loss"], first["final lr"]) == pytest.approx(
        (0.78, 0.2, 1.2, 0.05))
    assert (first["seeds"], second["decay"], second["epochs"]) == (3, "none", 2)
    assert "+0.0300 at lr 0.1" in table.headline()
    lost = run(0.1, "none", 0.1, [1.0, 2.0, np.nan, np.inf], [0.1] * 4, 0)
    assert "not finite from epoch 3 on" in lost.headline()


def test_data_is_cut_in_three():
    images, labels = np.arange(20).reshape(10, 2), np.arange(10)
    cut = split(images, labels, (5, 3, 1), seed=4)
    order = np.random.default_rng(4).permutation(10)
    for name, part in (("train", order[:5]), ("validation", order[5:8]), ("test", order[8:9])):
        np.testing.assert_array_equal(cut[name][0], images[part])
        np.testing.assert_array_equal(cut[name][1], labels[part])
    assert len(split(images, labels, (6, 3, 1))["train"][1]) == 6
    with pytest.raises(ValueError, match="sizes must add up to at most 10"):
        split(images, labels, (6, 3, 2))


def test_accuracies_are_means_over_the_last_third():
    problem = oo.problems.normalized_mlp()
    study = general.generalisation([(0.1, 0.01)], problem, steps=20, batch=16, seeds=3, records=7, seed=5, level=0.9)
    starts = general.random_starts(problem, 3, 5, 1.0)
    np.testing.assert_allclose(np.linalg.norm(starts, axis=1), 1.0, rtol=1e-14)
    draws = np.random.default_rng((5, 2)).standard_normal((3, problem.dim))
    np.testing.assert_allclose(general.random_starts(problem, 3, 5, 2.5), 2.5 * draws / np.linalg.norm(
        draws, axis=1, keepdims=True), rtol=1e-14)
    run = st.sample(oo.GradientDescent(0.1, weight_decay=0.01), problem, st.Minibatch(16), starts, steps=20, paths=3,
                    seed=5, every=2)
    labels = general.model_of(problem).labels()
    right = np.array([[(general.class_probabilities(problem, w).argmax(axis=1) == labels).mean()
                       for w in path[run.k >= 14]] for path in run.x]).mean(axis=1)
    mean, half = general.mean_interval(right, 0.9)
    assert (study.accuracy[0], study.half_width[0], study.spread[0]) == pytest.approx(
        (mean, half, right.std(ddof=1)), rel=1e-12)
    assert study.train_loss[0] == pytest.approx(np.mean([problem.fun(w) for w in run.end]), rel=1e-12)
