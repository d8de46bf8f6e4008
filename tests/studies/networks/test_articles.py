"""What [A000], [A001] and [A004] say, beyond examples 30 to 38: LeNet-5, its data and its training."""

import functools
import importlib.util

import numpy as np
import places
import pytest

import odeopt as oo
from odeopt.problems import lenet
from odeopt.problems.digits import digits
from odeopt.studies.networks.training import DecayTable, Training, learning_rate_decay, split, train
from odeopt.studies.order.directions import directions, orbit

EXAMPLES = places.EXAMPLES


@functools.cache
def example(name):
    """The module of an example (its name is not an identifier)."""
    spec = importlib.util.spec_from_file_location("example_" + name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_scalar_and_vector_rmsprop_measure_as_the_example_says():
    table = example("33_scalar_against_vector_rmsprop").table()
    expected = {"on axes": ((0, 0.00108, 253), (44.4, 0.495, 128)), "turned": ((0, 0.00122, 216), (16.2, 0.113, 209)),
                "Beale": ((0, 0.00242, 287), (30.7, 0.360, 204))}
    for name, forms in expected.items():
        for form, (angle, distance, gradients) in zip(("scalar", "vector"), forms, strict=True):
            found = table[name][form]
            assert found[0] == pytest.approx(angle, abs=0.05)
            assert found[1] == pytest.approx(distance, rel=5e-3)
            assert abs(found[2] - gradients) <= 1


def test_the_orbit_is_followed_to_the_minimum_and_distance_is_to_it():
    problem = oo.problems.quadratic([1.0, 2.0])
    points = orbit(problem, problem.x0)
    assert np.linalg.norm(points[-1]) < 2e-6
    np.testing.assert_allclose(points[:, 1], points[:, 0] ** 2, rtol=0, atol=1e-8)  # x = e^-t, y = e^-2t
    study = directions(oo.GradientDescent(lr=1e-3), problem, steps=3000)
    assert study.orbit_distance.max() < 1e-3 and study.angle.max() < 1e-9
    with pytest.raises(ValueError, match="f_min"):
        directions(oo.GradientDescent(lr=1e-3), oo.problems.saddle())


def test_without_its_decay_amos_law_is_missed():
    law = example("35_amos_cancels_the_second_order_term").amos_law
    predicted = 1 / (2 * 0.0032**2 * 20_000 + 1)
    assert abs(law(0.0032, 0.0032, 20_000, decay=False)[-1] / predicted - 1) > 0.1


# LeNet-5 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation, pooling, channels", [("relu", "max", 1), ("tanh", "average", 3)])
def test_lenet_gradient_by_differences(activation, pooling, channels):
    network, rng = lenet.LeNet5(channels, activation=activation, pooling=pooling), np.random.default_rng(5)
    # biases away from 0: a blank patch with bias 0 stands exactly on a ReLU's kink
    w = network.initial(0, np.float64) + 0.1 * rng.standard_normal(network.size)
    images, labels = rng.uniform(0, 1, (2, 32, 32, channels)), rng.integers(0, 10, 2)
    loss, g = network.loss_and_grad(w, images, labels)
    assert loss == pytest.approx(network.loss_and_accuracy(w, images, labels)[0], rel=1e-12)
    layers = [i for i, (a, b) in enumerate(network.views(np.arange(network.size))) for _ in (*a.ravel(), *b)]
    for layer in range(5):  # a random direction within each layer
        d = rng.standard_normal(network.size) * (np.array(layers) == layer)
        e = 1e-7
        slope = (network.loss_and_grad(w + e * d, images, labels)[0]
                 - network.loss_and_grad(w - e * d, images, labels)[0]) / (2 * e)
        assert slope == pytest.approx(g @ d, rel=1e-5)


def test_lenet_against_torch():
    """Loss, scores and gradient (along 40 directions) that torch's layers gave (golden/make_lenet_goldens.py)."""
    golden = np.load(places.GOLDEN / "lenet.npz")
    networks = {"max": lenet.LeNet5(3), "average": lenet.LeNet5(1, activation="tanh", pooling="average")}
    for name, network in networks.items():
        rng = np.random.default_rng(2)
        w = network.initial(1, np.float64) + 0.05 * rng.standard_normal(network.size)
        images = rng.uniform(0, 1, (6, 32, 32, network.channels))
        labels = rng.integers(0, 10, 6)
        loss, g = network.loss_and_grad(w, images, labels)
        assert loss == pytest.approx(float(golden[name + "_loss"]), rel=1e-12)
        np.testing.assert_allclose(network.logits(w, images), golden[name + "_logits"], rtol=1e-10, atol=1e-12)
        along = rng.standard_normal((40, network.size)) @ g
        np.testing.assert_allclose(along, golden[name + "_along"], rtol=1e-9, atol=1e-10)


def test_lenet_has_the_parameters_of_the_paper_with_full_connections():
    assert lenet.LeNet5().size == 156 + 2416 + 48120 + 10164 + 850
    assert lenet.LeNet5().initial(0).dtype == np.float32


def test_digits_on_lenets_input():
    for fit in ("upsample", "pad"):
        images, labels = lenet.digits_images(fit)
        assert images.shape == (1797, 32, 32, 1) and images.dtype == np.float32 and labels.shape == (1797,)
        assert images.min() == 0 and 0.9 < images.max() <= 1
    small = digits()[0][0].reshape(8, 8)
    doubled = lenet.digits_images("pad", np.float64)[0][0, 8:24, 8:24, 0]
    np.testing.assert_array_equal(doubled[::2, ::2], small)
    large = lenet.digits_images("upsample", np.float64)[0][0, ..., 0]
    # a pixel of 4x4: its inner four are the bilinear mean with weights 7/8 and 1/8 of the neighbours
    expected = 0.875 * (0.875 * small[3, 4] + 0.125 * small[3, 3]) + 0.125 * (0.875 * small[2, 4] + 0.125 * small[2, 3])
    assert large[13, 17] == pytest.approx(expected, rel=1e-12)


def write_cifar(folder, name, labels, pixels):
    records = np.concatenate([labels[:, None], pixels.reshape(len(labels), -1)], axis=1).astype(np.uint8)
    records.tofile(folder / name)


def test_cifar_10_files(tmp_path):
    rng = np.random.default_rng(0)
    planes = rng.integers(0, 256, (7, 3, 32, 32))
    labels = np.array([3, 0, 9, 1, 1, 4, 7])
    write_cifar(tmp_path, "data_batch_1.bin", labels[:4], planes[:4])
    write_cifar(tmp_path, "data_batch_3.bin", labels[4:], planes[4:])
    images, read = lenet.cifar10(tmp_path)
    np.testing.assert_array_equal(read, labels)
    assert images.shape == (7, 32, 32, 3) and images.dtype == np.float32
    np.testing.assert_array_equal(np.rint(images * 255), planes.transpose(0, 2, 3, 1))
    with pytest.raises(FileNotFoundError, match=r"test_batch\.bin"):
        lenet.cifar10(tmp_path, "test")
    (tmp_path / "test_batch.bin").write_bytes(b"\0" * 3072)
    with pytest.raises(ValueError, match="3073-byte records"):
        lenet.cifar10(tmp_path, "test")
    write_cifar(tmp_path, "test_batch.bin", np.array([10]), planes[:1])
    with pytest.raises(ValueError, match="labels 0 to 9"):
        lenet.cifar10(tmp_path, "test")


def test_the_experiment_runs_on_cifar_files(tmp_path):
    rng = np.random.default_rng(1)
    for name in ("data_batch_1.bin", "test_batch.bin"):
        write_cifar(tmp_path, name, rng.integers(0, 10, 50), rng.integers(0, 256, (50, 3, 32, 32)))
    study = example("36_lenet_learning_rate_decay").measured(folder=str(tmp_path), seeds=(0,), scale=1 / 60)
    assert [(r["lr"], r["decay"], r["epochs"]) for r in study.rows()] == [
        (1e-3, "plateau", 1), (1e-3, "none", 1), (1e-4, "plateau", 2), (1e-4, "none", 2)]


def test_lenet_learns_the_digits_and_the_rule_acts_on_the_validation_loss(tmp_path):
    data = split(*lenet.digits_images(), (256, 100, 200))
    rule = oo.schedules.ReduceLROnPlateau(patience=1, threshold_mode="abs", form="keras")
    run = train(oo.Adam(lr=2e-3), lenet.LeNet5(), data, 12, rule=rule, seed=1)
    assert run.test_accuracy > 0.9 and run.train_loss[-1] < 0.1 * run.train_loss[0]
    decisions = rule.start(2e-3)
    for loss, lr in zip(run.validation_loss, [*run.lr[1:], None], strict=True):
        decided = decisions.step(loss)
        assert lr is None or decided == lr
    assert run.lr[-1] < 2e-3
    run.save(tmp_path / "run")
    again = Training.load(tmp_path / "run.npz")
    np.testing.assert_array_equal(again.w, run.w)
    np.testing.assert_array_equal(again.lr, run.lr)


def test_decay_table_counts_and_saves(tmp_path):
    data = split(*lenet.digits_images(), (64, 32, 100))
    table = learning_rate_decay(lenet.LeNet5(), data, oo.Adam(), oo.schedules.StepDecay(period=1), {1e-3: 2, 1e-4: 1},
                                seeds=(0, 1))
    assert len(table.runs) == 8 and [row["seeds"] for row in table.rows()] == [2, 2, 2, 2]
    accuracies = [run.test_accuracy for run in table.runs[:2]]
    assert table.rows()[0]["test accuracy"] == pytest.approx(np.mean(accuracies))
    assert table.rows()[0]["spread"] == pytest.approx(abs(accuracies[0] - accuracies[1]))
    table.save(tmp_path / "table.npz")
    assert repr(DecayTable.load(tmp_path / "table.npz")) == repr(table)
    with pytest.raises(ValueError, match="batch must be"):
        train(oo.Adam(), lenet.LeNet5(), data, 1, batch=65)
    with pytest.raises(ValueError, match="sizes must"):
        split(*lenet.digits_images(), (1700, 100, 100))


BAD = [
    (lambda: lenet.LeNet5(activation="sigmoid"), "activation must be"),
    (lambda: lenet.LeNet5(classes=1), "classes must be"),
    (lambda: lenet.digits_images("crop"), "fit must be"),
    (lambda: lenet.LeNet5().loss_and_grad(np.zeros(61706), np.zeros((1, 28, 28, 1)), np.zeros(1, int)), "images must"),
    (lambda: lenet.LeNet5().logits(np.zeros(5), np.zeros((1, 32, 32, 1))), "w must have shape"),
]


@pytest.mark.parametrize("call, words", BAD)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()


class Scale:
    """One weight that the images are multiplied by; the labels are what should come out."""

    def initial(self, seed):
        return np.zeros(1)

    def loss_and_grad(self, w, images, labels):
        return np.mean((w * images - labels) ** 2), np.array([np.mean(2 * images * (w * images - labels))])

    def loss_and_accuracy(self, w, images, labels):
        return np.mean((w * images - labels) ** 2), 1.0


def test_a_wrapped_optimizer_trains_as_it_would_alone():
    images = np.linspace(-1, 1, 64)
    data = dict.fromkeys(("train", "validation", "test"), (images, 2 * images))
    rule = oo.schedules.ReduceLROnPlateau(patience=0, threshold=0.5)
    alone, wrapped = (train(opt, Scale(), data, 6, rule=rule) for opt in (oo.Adam(0.1), oo.SWA(oo.Adam(0.1))))
    assert np.array_equal(alone.w, wrapped.w) and alone.lr[-1] < alone.lr[0] and np.array_equal(alone.lr, wrapped.lr)


def test_training_clips_as_the_wrapped_optimizer_does():
    images = np.linspace(-1, 1, 64)
    data = dict.fromkeys(("train", "validation", "test"), (images, 200 * images))
    for how, bound in (("norm", 0.5), ("value", 0.7)):
        wrapped = train(oo.Clipped(oo.GradientDescent(0.1), **{how: bound}), Scale(), data, 2)
        asked = train(oo.GradientDescent(0.1), Scale(), data, 2, **{f"clip_{how}": bound})
        assert np.array_equal(wrapped.w, asked.w) and "Clipped" in asked.optimizer
        assert asked.w[0] == pytest.approx(4 * 0.1 * bound, rel=1e-5)  # never further than bound in each of 4 steps
    with pytest.raises(ValueError, match="clip_norm must be in"):
        train(oo.Adam(0.1), Scale(), data, 1, clip_norm=-1.0)
    with pytest.raises(ValueError, match="clip_norm or clip_value must be given, one of them"):
        train(oo.Adam(0.1), Scale(), data, 1, clip_norm=1.0, clip_value=1.0)


class Returns(Scale):
    """A network of which one method gives something else."""

    def __init__(self, **methods):
        for name, value in methods.items():
            setattr(self, name, lambda *_, value=value: value)


SOME = np.linspace(-1, 1, 8)
PAIR = dict.fromkeys(("train", "validation", "test"), (SOME, SOME))
PLATEAU = oo.schedules.ReduceLROnPlateau()


@pytest.mark.parametrize("call, error, words", [
    (lambda: train(oo.Adam(), Returns(initial=None), PAIR, 1, batch=4), TypeError, "network.initial must return a v"),
    (lambda: train(oo.Adam(), Returns(loss_and_grad=(1j, SOME[:1])), PAIR, 1, batch=4), TypeError,
     "network.loss_and_grad, first, must return a real number, got complex"),
    (lambda: train(oo.Adam(), Returns(loss_and_grad=(np.ma.masked, SOME[:1])), PAIR, 1, batch=4), TypeError,
     "network.loss_and_grad, first, must return a real number, got masked"),
    (lambda: train(oo.Adam(), Returns(loss_and_grad=1.0), PAIR, 1, batch=4), TypeError, "network.loss_and_grad must r"),
    (lambda: train(oo.Adam(), Returns(loss_and_accuracy=(1.0, None)), PAIR, 1, batch=4), TypeError,
     "network.loss_and_accuracy, second, must return a real number"),
    (lambda: train(oo.Adam(), Scale(), PAIR | {"train": (SOME, SOME[:5])}, 1, batch=4), ValueError,
     r"data\['train'\] must have as many images as labels, and at least one, got 8 and 5"),
    (lambda: train(oo.Adam(), Scale(), PAIR | {"test": (SOME[:0], SOME[:0])}, 1, batch=4), ValueError,
     r"data\['test'\] must have as many"),
    (lambda: train(oo.Adam(), Scale(), PAIR | {"test": (None, None)}, 1, batch=4), TypeError,
     r"data\['test'\] must be"),
    (lambda: train(oo.BarzilaiBorwein(), Scale(), PAIR, 1, batch=4), ValueError, "optimizer must be one for mini"),
    (lambda: train(oo.ErrorControlledEuler(0.1), Scale(), PAIR, 1, batch=4, rule=PLATEAU), ValueError,
     "rule must be None for error-controlled Euler, which has no lr"),
    (lambda: learning_rate_decay(Scale(), PAIR, oo.Adam(), PLATEAU, {}), ValueError, "epochs must have at least one"),
    (lambda: learning_rate_decay(Scale(), PAIR, oo.Adam(), PLATEAU, {0.1: 1}, seeds=()), ValueError,
     "seeds must have at least one entry"),
])
def test_what_cannot_be_trained_is_said_in_one_line(call, error, words):
    with pytest.raises(error, match=f"^{words}"):
        call()


def test_a_network_keeps_its_start_and_cannot_move_the_weights():
    class Spoils(Scale):
        start = np.zeros(1)

        def initial(self, seed):
            return self.start

        def loss_and_grad(self, w, images, labels):
            found = super().loss_and_grad(w, images, labels)
            w[:] = 1e9
            return found

        def loss_and_accuracy(self, w, images, labels):
            found = super().loss_and_accuracy(w, images, labels)
            w[:] = np.nan
            return found

    spoilt, plain = (train(oo.Adam(0.1), network, PAIR, 2, batch=4) for network in (Spoils(), Scale()))
    assert np.array_equal(spoilt.w, plain.w) and Spoils.start[0] == 0.0
    lists = {name: (SOME.tolist(), SOME.tolist()) for name in PAIR}
    assert np.array_equal(train(oo.Adam(0.1), Scale(), lists, 2, batch=4).w, plain.w)
