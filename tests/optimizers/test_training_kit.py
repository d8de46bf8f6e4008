"""What a training loop needs: a learning rate for each step, dicts of arrays, gradients as they come."""

import json

import numpy as np
import pytest

import odeopt as oo

RNG = np.random.default_rng(0)
DRIVEN = [oo.GradientDescent(0.1), oo.Momentum(0.1), oo.Momentum(0.1, form="ema"), oo.Nesterov(0.1), oo.Adam(0.1),
          oo.AdamW(0.1), oo.RMSprop(0.1), oo.RMSprop(0.1, momentum=0.9), oo.Adagrad(0.1), oo.AMSGrad(0.1),
          oo.AdaMax(0.1), oo.NAdam(0.1), oo.Lion(0.1), oo.RAdam(0.1), oo.Adadelta(0.1), oo.Amos(0.1), oo.SignGD(0.1),
          oo.NormalizedGD(0.1)]


@pytest.mark.parametrize("optimizer", DRIVEN, ids=repr)
def test_a_rate_for_each_step_is_that_of_a_changed_optimizer(optimizer):
    x, y = np.ones((3, 4)), np.ones((3, 4))
    one, other = optimizer.init(x), optimizer.init(y)
    for lr in (0.05, 0.2, 0.0, 0.01):
        g = RNG.standard_normal((3, 4))
        optimizer.update(x, g, one, lr=lr)
        if lr:
            optimizer.changed(lr=lr).update(y, g, other)
        else:
            break
        assert np.array_equal(x, y) and one.t == other.t and np.array_equal(one.slots[0], other.slots[0])
    assert np.isfinite(x).all()
    optimizer.update(x, g, one)  # and its own again
    assert np.isfinite(x).all()


@pytest.mark.parametrize("optimizer", [oo.GradientDescent(0.1), oo.Adam(0.1), oo.Momentum(0.1)], ids=repr)
def test_a_warm_up_may_begin_at_0(optimizer):
    x = np.ones(3)
    state = optimizer.init(x)
    optimizer.update(x, np.ones(3), state, lr=0.0)
    assert np.array_equal(x, np.ones(3)) and state.k == 1
    optimizer.update(x, np.ones(3), state, lr=0.1)
    assert (x < 1).all()


def test_the_rate_of_one_group_may_move_alone():
    x, y = [np.ones(2), np.ones(3)], [np.ones(2), np.ones(3)]
    opt, groups = oo.Adam(0.1), [{"arrays": [1], "lr": 0.5}]
    one, other = opt.init(x, groups), opt.init(y, groups)
    g = [np.ones(2), np.ones(3)]
    opt.update(x, g, one, lr=[None, 0.0])
    opt.update(y, g, other)
    assert np.array_equal(x[0], y[0]) and np.array_equal(x[1], np.ones(3)) and y[1][0] == pytest.approx(0.5)
    x = [np.ones(2), np.ones(3)]
    opt.update(x, g, opt.init(x, groups), lr=0.0)  # a number leaves the group that has its own
    assert np.array_equal(x[0], np.ones(2)) and x[1][0] == pytest.approx(0.5)


def test_a_schedule_may_drive_all_groups_or_one():
    schedule, opt, groups = oo.schedules.exponential(0.5), oo.Adam(0.1), [{"arrays": [1], "lr": 0.4}]
    g = [np.ones(2), np.ones(3)]
    for lr, rates in ((schedule, [(0.1, 0.4), (0.05, 0.2)]), ([None, schedule], [(0.1, 0.4), (0.1, 0.2)]),
                      ([schedule, 0.3], [(0.1, 0.3), (0.05, 0.3)]),
                      ([None, lambda k, base: base * k], [(0.1, 0.0), (0.1, 0.4)])):
        x, y = ([np.ones(2), np.ones(3)] for _ in range(2))
        one, other = opt.init(x, groups), opt.init(y, groups)
        for both in rates:
            opt.update(x, g, one, lr=lr)
            opt.update(y, g, other, lr=list(both))
        assert all(np.array_equal(a, b) for a, b in zip(x, y)) and one.times == other.times


@pytest.mark.parametrize(("optimizer", "lr", "error", "words"), [
    (oo.Adam(0.1), oo.schedules.exponential(0.9).driving("beta1"), ValueError, "lr must be a schedule of lr"),
    (oo.Adam(0.1), lambda k, base: -1.0, ValueError, "lr at step 0 must be in [0, inf), got -1.0"),
    (oo.Adam(0.1), -1.0, ValueError, "lr must be in [0, inf), got -1.0"),
    (oo.Adam(0.1), "1", TypeError, "lr must be a real number"),
    (oo.Adam(0.1), np.nan, ValueError, "lr must be in"),
    (oo.Adam(0.1), [0.1, 0.1], ValueError, "each of the 1 groups"),
    (oo.ErrorControlledEuler(0.1), 0.1, ValueError, "lr must be None for ErrorControlledEuler"),
])
def test_bad_rates_are_refused_before_anything_moves(optimizer, lr, error, words):
    x = np.ones(3)
    state = optimizer.init(x)
    for _ in range(2):
        with pytest.raises(error) as caught:
            optimizer.update(x, np.ones(3), state, lr=lr)
        assert words in str(caught.value) and "\n" not in str(caught.value)
    assert np.array_equal(x, np.ones(3)) and state.k == 0


def test_a_gradient_with_strides_is_copied():
    wide, x, y = RNG.standard_normal((4, 6)), np.ones((3, 4)), np.ones((3, 4))
    g, opt = wide.T[::2], oo.Adam(0.1)
    assert not g.flags.c_contiguous
    for _ in range(2):
        opt.update(x, g, opt.init(x))
        opt.update(y, np.ascontiguousarray(g), opt.init(y))
    assert np.array_equal(x, y)
    z = np.ones(6)
    with pytest.raises(ValueError, match="g must not share memory with x"):
        opt.update(z[:3], z[::2], opt.init(z[:3]))


def test_a_dict_of_arrays_moves_as_the_list_of_its_sorted_names():
    shapes = {"w": (2, 3), "b": (3,)}
    start = {name: RNG.standard_normal(shape) for name, shape in shapes.items()}
    x, listed = {k: v.copy() for k, v in start.items()}, [start["b"].copy(), start["w"].copy()]
    opt = oo.Adam(0.1)
    one, other = opt.init(x, [{"arrays": "w", "lr": 0.5}]), opt.init(listed, [{"arrays": [1], "lr": 0.5}])
    for _ in range(3):
        g = {name: RNG.standard_normal(shape) for name, shape in reversed(shapes.items())}
        opt.update(x, g, one)
        opt.update(listed, [g["b"], g["w"]], other)
    assert np.array_equal(x["b"], listed[0]) and np.array_equal(x["w"], listed[1])
    with pytest.raises(ValueError, match="g must have the names of x, got .'b'."):
        opt.update(x, {"b": g["b"]}, one)
    with pytest.raises(ValueError, match="did you mean 'w'"):
        opt.init(x, [{"arrays": ["W"]}])


def test_state_files_say_their_format(tmp_path):
    """Another number would refuse the files that there are."""
    oo.Adam(0.1).init(np.ones(2)).save(tmp_path / "state.npz")
    with np.load(tmp_path / "state.npz") as file:
        assert json.loads(str(file["words"]))["format"] == 3


def test_sizes_of_a_state_are_entries_and_bytes_of_all():
    """x, g and four rows of Adam's memory, or one of momentum's."""
    state = oo.Adam(0.1).init([np.ones((3, 4), np.float32), np.ones(5)])
    assert state.size == 17 and state.bytes == 4 * (2 + 4) * 12 + 8 * (2 + 4) * 5 and not state.small
    state = oo.Momentum(0.1).init(np.ones(7))
    assert state.size == 7 and state.bytes == 8 * (2 + 1) * 7 and state.small
