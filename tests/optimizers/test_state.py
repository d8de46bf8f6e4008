"""The training-loop face: one array, lists, groups, reductions over arrays, saving and resuming."""

import copy
import pickle
import subprocess
import sys
import warnings
import zipfile
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from rows import ROWS

import odeopt as oo
from odeopt.optimizers import State

every_row = pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])


def gradient(x):
    """Of a smooth, coupled-free objective, in the dtype of x."""
    return np.asarray(2 * x + np.cos(3 * x), dtype=x.dtype)


def arrays(dtype=np.float64):
    rng = np.random.default_rng(5)
    return [rng.standard_normal(shape).astype(dtype) for shape in ((3, 4), (5,), (2, 2, 2), ())]


def steps(opt, xs, state, count):
    for _ in range(count):
        opt.update(xs, [gradient(x) for x in xs], state)


@every_row
def test_a_list_moves_as_the_vector_it_makes_up(row):
    """Also where the update reduces over all coordinates; but for methods of one array (matrices; Amos)."""
    opt, xs = row.make(), arrays()
    flat = np.concatenate([x.ravel() for x in xs])
    state, whole = opt.init(xs), opt.init(flat)
    for _ in range(10):
        steps(opt, xs, state, 1)
        opt.update(flat, gradient(flat), whole)
    joined = np.concatenate([x.ravel() for x in xs])
    if row.per_array:
        assert np.abs(joined - flat).max() > 1e-6
    else:
        np.testing.assert_array_equal(joined, flat)
        assert state.t == whole.t


@every_row
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_resuming_from_a_file_is_bit_identical(row, dtype, tmp_path):
    opt, xs = row.make(), arrays(dtype)
    state = opt.init(xs)
    steps(opt, xs, state, 6)
    state.save(tmp_path / "state.npz")
    again, ys = State.load(tmp_path / "state.npz"), [x.copy() for x in xs]
    steps(opt, xs, state, 6)
    steps(opt, ys, again, 6)
    for x, y in zip(xs, ys):
        np.testing.assert_array_equal(x, y)
    assert (again.k, again.times, again.names) == (state.k, state.times, state.names)
    for s, z in zip(state.slots, again.slots):
        assert s.dtype == z.dtype == dtype
        np.testing.assert_array_equal(s, z)
    with zipfile.ZipFile(tmp_path / "state.npz") as file:  # arrays and words, no pickle
        assert all(name.endswith(".npy") for name in file.namelist())


def test_groups_have_their_own_hyperparameters(tmp_path):
    """A group moves as its arrays would alone under its own optimizer; the rest is untouched by it."""
    opt = oo.AdamW(lr=0.01, weight_decay=0.3)
    groups = [{"arrays": [1, 3], "weight_decay": 0.0, "lr": 0.05}, {"arrays": 2, "beta1": 0.5}]
    xs = arrays()
    alone = [x.copy() for x in xs]
    state = opt.init(xs, groups=groups)
    parts = [(opt, [0]), (oo.AdamW(lr=0.05, weight_decay=0.0), [1, 3]), (replace(opt, beta1=0.5), [2])]
    states = [o.init([alone[i] for i in indices]) for o, indices in parts]
    steps(opt, xs, state, 5)
    state.save(tmp_path / "groups")
    state = State.load(tmp_path / "groups.npz")
    steps(opt, xs, state, 5)
    for (o, indices), s in zip(parts, states):
        steps(o, [alone[i] for i in indices], s, 10)
    for x, y in zip(xs, alone):
        np.testing.assert_array_equal(x, y)
    np.testing.assert_allclose(state.times, [0.1, 0.5, 0.1], rtol=1e-14)
    assert state.t == state.times[0]


def test_groups_of_a_wrapper_reach_the_wrapped_optimizer():
    opt, xs = oo.SWA(oo.Adam(0.01), start=2), [np.ones(3), np.ones(3)]
    state = opt.init(xs, groups=[{"arrays": 1, "lr": 0.05, "start": 4}])
    trail = []
    for _ in range(8):
        steps(opt, xs, state, 1)
        trail.append([x.copy() for x in xs])
    np.testing.assert_allclose(opt.average(state)[0], np.mean([x for x, _ in trail[1:]], axis=0), rtol=1e-14)
    np.testing.assert_allclose(opt.average(state)[1], np.mean([y for _, y in trail[3:]], axis=0), rtol=1e-14)
    assert np.abs(xs[0] - xs[1]).min() > 0.01
    with pytest.raises(ValueError, match="hyperparameter must be one of 'lr'"):
        opt.changed(learning_rate=1.0)


def test_a_reduction_spans_its_group():
    """Two groups: the step length of each is lr, not that of both together."""
    opt, xs = oo.NormalizedGD(0.1), arrays()
    before = [x.copy() for x in xs]
    state = opt.init(xs, groups=[{"arrays": [0, 2]}])
    assert len(state.slots) == 2
    steps(opt, xs, state, 1)
    moved = [np.linalg.norm(x - y) for x, y in zip(xs, before)]
    assert np.hypot(moved[0], moved[2]) == pytest.approx(0.1, rel=1e-12)
    assert np.hypot(moved[1], moved[3]) == pytest.approx(0.1, rel=1e-12)


def test_amos_groups_give_every_variable_its_axis_and_size():
    opt, rng = oo.Amos(0.1), np.random.default_rng(0)
    kernel, bias = rng.standard_normal((6, 3)), np.zeros(3)
    state = opt.init([kernel, bias], groups=[{"arrays": 0, "eta": 6**-0.5, "axis": 0}, {"arrays": 1, "eta": 0.5}])
    by_column = [oo.Amos(0.1, eta=6**-0.5) for _ in range(3)]
    columns = [np.ascontiguousarray(kernel[:, j]) for j in range(3)]
    states = [o.init(c) for o, c in zip(by_column, columns)]
    for _ in range(20):
        opt.update([kernel, bias], [gradient(kernel), gradient(bias)], state)
        for o, c, s in zip(by_column, columns, states):
            o.update(c, gradient(c), s)
    np.testing.assert_allclose(kernel, np.transpose(columns), rtol=1e-14)


def test_rows_of_memory_have_the_shapes_of_the_arrays():
    for opt in (oo.Adam(0.01), oo.RMSprop(0.01, form="scalar")):  # one block per array, one block per group
        xs = arrays()
        state = opt.init(xs)
        steps(opt, xs, state, 2)
        assert [r.shape for r in state.row("square")] == [x.shape for x in xs]
        assert not np.shares_memory(state.row(0)[0], state.slots[0])
    single = opt.init(xs[0])
    assert single.row(0).shape == (3, 4)
    with pytest.raises(ValueError, match="slot must be one of 'square', 'weight', got 'squares'; did you mean"):
        single.row("squares")
    swa = oo.SWA(oo.Adam(0.01), start=0)
    x = np.ones((2, 2))
    state = swa.init(x)
    swa.update(x, np.ones((2, 2)), state)
    np.testing.assert_allclose(swa.average(state), (1 + x) / 2, rtol=1e-15)


def test_the_learning_rate_may_change_between_steps():
    opt, x = oo.Momentum(0.1), np.ones(3)
    state = opt.init(x)
    y, v = np.ones(3), np.zeros(3)
    for k in range(5):
        lr = 0.1 / (k + 1)
        opt.update(x, gradient(x), state)
        v = 0.9 * v - lr * gradient(y)
        y = y + v
        opt = opt.changed(lr=0.1 / (k + 2))
    np.testing.assert_allclose(x, y, rtol=1e-14)
    with pytest.raises(ValueError, match="state must come from this optimizer: adam .*got momentum"):
        oo.Adam().update(x, gradient(x), state)


@pytest.mark.parametrize(("x", "error", "message"), [
    (np.ones(4)[::2], ValueError, "x must be C-contiguous and aligned"),
    (np.asfortranarray(np.ones((2, 3))), ValueError, "x must be C-contiguous and aligned"),
    (np.ones(4, dtype=int), TypeError, "x must be float32 or float64, got int64"),
    (np.ones(4, dtype=np.float16), TypeError, "x must be float32 or float64, got float16"),
    (np.ones(4, dtype=">f8"), TypeError, "x must be float32 or float64"),
    ([1.0, 2.0], TypeError, "x must be a numpy array, got float"),
    (np.ma.array([1.0, 2.0], mask=[0, 1]), TypeError, "x must be a numpy array, got MaskedArray"),
    ([], ValueError, "x must hold at least one array"),
    (np.ones(0), ValueError, "x must have at least one entry"),
])
def test_arrays_that_cannot_be_updated_in_place_are_refused(x, error, message):
    with pytest.raises(error, match=message):
        oo.Adam().init(x)


def test_update_refuses_before_it_touches_anything():
    opt, xs = oo.Adam(0.1), [np.ones(3), np.ones(2)]
    state = opt.init(xs)
    locked = np.ones(2)
    locked.flags.writeable = False
    cases = [
        ([xs[0], locked], [np.ones(3), np.ones(2)], ValueError, "x must be writable"),
        (xs, [np.ones(3), np.ones(3)], ValueError, r"g must match x: shape \(2,\)"),
        (xs, [np.ones(3), np.ones(2, dtype=np.float32)], ValueError, "g must match x"),
        (xs, [np.ones(3)], ValueError, "as many arrays each, got 2, 1, 2"),
        ([np.ones(3), np.ones(4)], [np.ones(3), np.ones(4)], ValueError, "state must come from init of arrays like x"),
        ([x.astype(np.float32) for x in xs], [np.ones(3, np.float32), np.ones(2, np.float32)], ValueError,
         r"state must come from init of arrays like x: \(3,\) float32, got \(3,\) float64"),
        (xs, [np.ones(3), xs[1]], ValueError, "g must not share memory with x"),
        (xs, [np.ones(3), "no"], TypeError, "g must be a numpy array, got str"),
    ]
    both = np.ones(4)
    cases += [([both[:3], both[2:]], [np.ones(3), np.ones(2)], ValueError, "x must hold no memory twice"),
              ([both[:3], xs[1]], [np.ones(3), both[1:3]], ValueError, "nor share it with g")]
    for x, g, error, message in cases:
        with pytest.raises(error, match=message):
            opt.update(x, g, state)
    with pytest.raises(TypeError, match="state must come from init, got NoneType"):
        opt.update(xs[0], np.ones(3), None)
    assert state.k == 0 and not any(s.any() for s in state.slots)
    np.testing.assert_array_equal(np.concatenate(xs), np.ones(5))
    g = np.ones(3)
    g.flags.writeable = False  # a gradient is only read
    opt.update([xs[0], xs[1]], [g, g[:2]], state)  # and may be anybody's


def test_tied_weights_would_move_twice():
    w, descent = np.zeros(3), oo.GradientDescent(1.0)
    state = descent.init([w, w])
    with pytest.raises(ValueError, match="x must hold no memory twice"):
        descent.update([w, w], [np.ones(3), np.ones(3)], state)
    assert not w.any() and state.k == 0


def test_a_state_of_a_form_that_reduces_is_not_one_of_a_form_that_does_not():
    """Same slots, other meaning: a state per array, or one of all arrays."""
    vector, xs = oo.RMSprop(0.1, bias_correction=True), [np.ones(2), np.ones(3)]
    scalar = vector.changed(form="scalar")
    assert vector.slots == scalar.slots
    for first, second in ((vector, scalar), (scalar, vector)):
        for x in (xs, xs[0]):
            with pytest.raises(ValueError, match="state must come from this optimizer"):
                second.update(x, [np.ones(2), np.ones(3)] if x is xs else np.ones(2), first.init(x))


@pytest.mark.parametrize(("groups", "error", "message"), [
    ([{"arrays": [0], "learning_rate": 1.0}], ValueError, "hyperparameter must be one of 'lr'"),
    ([{"arrays": [0], "lr": -1.0}], ValueError, "lr must be in"),
    ([{"arrays": [2]}], ValueError, "groups must name arrays 0 to 1"),
    ([{"arrays": [0]}, {"arrays": [0]}], ValueError, "each at most once"),
    ([{"lr": 1.0}], TypeError, "groups must be dicts with the key 'arrays'"),
    ([{"arrays": "0"}], TypeError, "must be an integer"),
    (5, TypeError, "groups must be a sequence, got 5"),
    ([{"arrays": [0], 3: 1.0}], TypeError, "groups must have names of hyperparameters for keys"),
])
def test_bad_groups(groups, error, message):
    with pytest.raises(error, match=message):
        oo.Adam().init([np.ones(2), np.ones(3)], groups=groups)


def test_groups_take_the_numbers_and_indices_of_numpy(tmp_path):
    xs = [np.zeros(2) for _ in range(4)]
    state = oo.GradientDescent(1.0).init(xs, groups=[{"arrays": np.array([1, 2]), "lr": np.float32(0.5)},
                                                     {"arrays": range(3, 4), "lr": np.float64(0.25)}])
    state.save(tmp_path / "state.npz")
    oo.GradientDescent(1.0).update(xs, [np.ones(2)] * 4, State.load(tmp_path / "state.npz"))
    assert [x[0] for x in xs] == [-1.0, -0.5, -0.5, -0.25]


def test_groups_must_keep_the_slots_and_one_dtype():
    with pytest.raises(ValueError, match="groups must keep the slots"):
        oo.RMSprop(0.1).init([np.ones(2)] * 2, groups=[{"arrays": [1], "centered": True}])
    mixed = [np.ones(2), np.ones(2, np.float32)]
    with pytest.raises(ValueError, match="x must have one dtype in a group"):
        oo.NormalizedGD(0.1).init(mixed)
    assert [s.dtype for s in oo.Adam().init(mixed).slots] == [np.float64, np.float32]


def test_only_saved_states_load(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.ones(2))
    np.save(tmp_path / "array.npy", np.ones(2))
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "words.npz").write_text("no archive")
    oo.Adam().init(np.ones(1000)).save(tmp_path / "whole.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:5000])
    oo.record(oo.Adam(), oo.problems.beale(), steps=1).save(tmp_path / "run.npz")
    for name in ("other.npz", "array.npy", "empty.npz", "words.npz", "cut.npz", "run.npz"):
        with pytest.raises(ValueError, match="is not a state file: "):
            State.load(tmp_path / name)


def test_float32_memory_is_accumulated_in_float64_by_reductions():
    """1e6 equal entries: a float32 running sum would be off by percents."""
    x, g = np.zeros(1_000_000, np.float32), np.full(1_000_000, 0.1, np.float32)
    opt = oo.NormalizedGD(1.0)
    opt.update(x, g, opt.init(x))
    assert np.linalg.norm(x.astype(float)) == pytest.approx(1.0, rel=1e-6)
    opt = oo.RMSprop(1.0, form="scalar", decay=0.0, eps=0.0)
    x[:] = 0
    opt.update(x, g, opt.init(x))
    assert np.linalg.norm(x.astype(float)) == pytest.approx(1.0, rel=1e-6)


def test_nothing_of_a_state_looks_editable_and_is_not_looked_at():
    opt, xs = oo.Adam(0.1), [np.ones(2), np.ones(3)]
    state = opt.init(xs, groups=[{"arrays": [1], "lr": 0.2}])
    with pytest.raises(TypeError, match="does not support item assignment"):
        state.groups[1][1]["lr"] = 0.1
    for name in ("groups", "slots", "reduces", "blocks", "shapes", "names", "method", "single", "times", "dtypes"):
        with pytest.raises(AttributeError, match=f"State.{name} is read-only"):
            setattr(state, name, getattr(state, name))
    for change in (lambda: setattr(state, "lr", 0.1), lambda: delattr(state, "groups"), lambda: delattr(state, "k")):
        with pytest.raises(AttributeError, match="State has no lr|State.groups is read-only|State.k is read-only"):
            change()
    with pytest.raises(TypeError, match="k must be an integer"):
        state.k = 0.5
    state.k = 3
    opt.update(xs, [np.ones(2), np.ones(3)], state)
    assert state.k == 4


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_a_copy_of_a_state_goes_on_alone_as_the_state_does(row):
    opt, xs = row.make(), arrays()
    opt = opt if opt.wrapper else oo.SWA(opt)
    state = opt.init(xs, groups=[{"arrays": [1]}])
    steps(opt, xs, state, 2)
    for again_opt, again, ys in (copy.deepcopy((opt, state, xs)), pickle.loads(pickle.dumps((opt, state, xs)))):
        assert again_opt == opt and again._plan[0] is None and again.k == 2 and again.groups == state.groups
        steps(again_opt, ys, again, 3)
        zs, other = copy.deepcopy((xs, state))
        steps(opt, zs, other, 3)
        assert all(np.array_equal(y, z) for y, z in zip(ys, zs)) and state.k == 2
    assert not any(np.shares_memory(s, z) for s, z in zip(state.slots, copy.copy(state).slots))


_ELSEWHERE = """
import pickle, sys
import numpy as np
opt, state, x = pickle.load(open(sys.argv[1], "rb"))
opt.update(x, np.ones(3), state)
np.save(sys.argv[2], np.array([x, opt.average(state)]))
"""


def test_no_address_leaves_the_process(tmp_path):
    opt, x = oo.SWA(oo.Adam(1e-2)), np.ones(3)
    state = opt.init(x)
    opt.update(x, np.ones(3), state)
    path, found = tmp_path / "state.pickle", tmp_path / "found.npy"
    path.write_bytes(pickle.dumps((opt, state, x)))
    subprocess.run([sys.executable, "-c", _ELSEWHERE, path, found], check=True, timeout=300)
    opt.update(x, np.ones(3), state)
    assert np.array_equal(np.load(found), [x, opt.average(state)])


def test_memory_held_twice_is_looked_for_at_every_step():
    descent, a, b, c = oo.GradientDescent(1.0), np.zeros(3), np.zeros(3), np.zeros(3)
    state, g = descent.init([a, c]), [np.ones(3), np.ones(3)]
    descent.update([a, c], g, state)
    for x, gs, words in (([a, a], g, "x must hold no memory twice"), ([a, b], [g[0], a], "nor share it with g"),
                         ([a, b], [a[:], g[1]], "g must not share memory with x")):
        with pytest.raises(ValueError, match=words):
            descent.update(x, gs, state)
    descent.update([a, c], g, state)
    assert (a == -2).all() and (c == -2).all() and not b.any() and state.k == 2
    one = descent.init(a)
    descent.update(a, np.ones(3), one)
    with pytest.raises(ValueError, match="g must not share memory with x"):
        descent.update(a, a, one)
    assert (a == -3).all()


@pytest.mark.parametrize("size", [3, 2**17 + 1])
def test_rows_and_averages_are_copies(size):
    opt, x = oo.SWA(oo.GradientDescent(1.0)), np.zeros(size)
    state = opt.init(x)
    opt.update(x, np.ones(size), state)
    average = opt.average(state)
    average += 1.0
    assert (opt.average(state) == -0.5).all()


def test_overrides_are_kept_as_the_optimizer_takes_them(tmp_path):
    opt, xs = oo.SWA(oo.Amos(0.1)), [np.ones((2, 3)), np.ones((2, 3)), np.ones(2)]
    state = opt.init(xs, groups=[{"arrays": [0], "axis": (np.int64(0), np.int32(1)), "start": np.int64(2)},
                                 {"arrays": [1], "axis": np.int8(1), "lr": np.array(0.25), "eta": Fraction(1, 2)}])
    opt.update(xs, [np.ones_like(x) for x in xs], state)
    state.save(tmp_path / "state.npz")
    loaded = State.load(tmp_path / "state.npz")
    assert loaded.groups == state.groups
    assert [dict(overrides) for _, overrides in state.groups] == [
        {}, {"axis": (0, 1), "start": 2}, {"axis": (1,), "lr": 0.25, "eta": 0.5}]


def test_an_axis_is_judged_by_the_arrays_it_is_for():
    by_rows = oo.Amos(0.1, axis=1)
    for _ in range(2):  # whatever was looked at before
        assert len(by_rows.init(np.ones((6, 3))).slots) == 1
        for fresh in (by_rows, oo.SWA(by_rows)):
            with pytest.raises(ValueError, match="axis must be within the array's 1 dimensions"):
                fresh.init(np.ones(6))
        with pytest.raises(ValueError, match="axis must be within the array's 1 dimensions"):
            oo.record(by_rows, oo.problems.beale(), steps=1)
    with pytest.raises(ValueError, match="axis must be within the array's 1 dimensions"):
        oo.Amos(0.1).init([np.ones(3), np.ones((3, 3))], groups=[{"arrays": [0], "axis": 1}])


def test_loops_see_the_axis_as_the_training_loop_does():
    problem, X = oo.problems.beale(), np.array([[1.0, 1.0], [2.0, 0.3]])
    for opt in (oo.Amos(0.05, axis=()), oo.SWA(oo.Amos(0.05, axis=())), oo.Amos(0.05, axis=0), oo.Amos(0.05)):
        ends = []
        for x in X.copy():
            state = opt.init(x)
            for _ in range(10):
                opt.update(x, problem.grad(x), state)
            ends.append(x)
        for x0, end in zip(X, ends):
            assert np.array_equal(oo.record(opt, problem, x0, steps=10).x[-1], end)
        assert np.array_equal(oo.sample(opt, problem, None, x0=X, paths=2, steps=10).x[:, -1], ends)
        assert np.array_equal(oo.ensemble(opt, problem, X, steps=10).x, ends)
    assert not np.array_equal(ends, [oo.record(oo.Amos(0.05, axis=()), problem, x0, steps=10).x[-1] for x0 in X])


def test_each_path_starts_at_its_own_point():
    descent, problem, X = oo.GradientDescent(1e-3), oo.problems.beale(), np.array([[1.0, 1.0], [2.0, 0.3]])
    paths = oo.sample(oo.SWA(descent, start=1), problem, None, x0=X, paths=2, steps=3)
    for x0, slots in zip(X, paths.final["s"]):
        run = oo.record(descent, problem, x0, steps=3)
        np.testing.assert_allclose(slots[-1], run.x[1:].mean(axis=0), rtol=1e-14)


def test_a_wrapper_has_the_hyperparameters_of_what_it_wraps():
    adam, problem, S = oo.Adam(1e-2), oo.problems.beale(), oo.schedules
    swa = oo.SWA(adam, start=3)
    assert (swa.lr, swa.beta1) == (adam.lr, adam.beta1) and not hasattr(swa, "momentum")
    assert replace(swa, lr=0.5) == swa.changed(lr=0.5) == oo.SWA(oo.Adam(0.5), start=3)
    assert replace(swa, start_at=5) == oo.SWA(adam, start=5)
    for schedule in (S.exponential(0.9), S.ReduceLROnPlateau(every=3)):
        run = oo.record(swa, problem, steps=20, schedule=schedule)
        assert np.array_equal(run.x, oo.record(adam, problem, steps=20, schedule=schedule).x)
    heavy = oo.Momentum(1e-3, 0.9)
    references = [oo.reference(opt, problem, t_end=0.02, schedule=S.exponential(0.9)) for opt in (oo.SWA(heavy), heavy)]
    assert np.array_equal(*(r.z(0.02) if hasattr(r, "z") else r(0.02) for r in references))
    assert oo.stability_limit(oo.SWA(heavy)) == oo.stability_limit(heavy)
    descent = oo.GradientDescent(1e-2)
    tuned, plain = oo.tune(oo.SWA(descent, start=3), problem, steps=20), oo.tune(descent, problem, steps=20)
    assert tuned.best_lr == plain.best_lr and tuned.optimizer == oo.SWA(plain.optimizer, start=3)


@pytest.mark.parametrize("make", [lambda: oo.Adam(0.1), lambda: oo.SOAP(0.1), lambda: oo.EMA(oo.Momentum(0.1))])
def test_nothing_lies_in_the_memory_of_the_state(make, tmp_path):
    opt, x, g = make(), np.ones(4), np.full(4, 0.5)
    state = opt.init(x)
    for steps in range(2):  # with a plan, and without
        row = state.slots[0][0]
        for xs, gs in ((x, row), (row, g), (x, state.slots[0][-1:].reshape(-1))):
            with pytest.raises(ValueError, match="^x and g must not share memory with the state"):
                opt.update(xs, gs, state)
        assert state.k == steps
        opt.update(x, g, state)
    several = opt.init([np.ones(4), np.ones(4)])
    opt.update([x, g], [np.ones(4), np.ones(4)], several)
    with pytest.raises(ValueError, match="^x and g must not share memory with the state"):
        opt.update([x, g], [np.ones(4), several.slots[1][0]], several)
    for action in (lambda: oo.save_checkpoint(tmp_path / "c", opt, several, [x, x]),
                   lambda: oo.load_checkpoint(tmp_path / "whole", x=[x, x])):
        oo.save_checkpoint(tmp_path / "whole", opt, several, [x, g])
        with pytest.raises(ValueError, match="^x must hold no memory twice"):
            action()


def test_a_slot_of_another_shape_changes_nothing():
    opt, x, other = oo.Adam(0.1), np.ones(4), np.ones(4)
    state, untouched = opt.init(x), opt.init(other)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy 2.5's, of setting a shape
        state.slots[0].shape = (2, 8)
    for _ in range(2):
        opt.update(x, np.ones(4), state)
        opt.update(other, np.ones(4), untouched)
    assert np.array_equal(x, other) and np.array_equal(state.row("mean"), untouched.row("mean"))
    assert np.array_equal(copy.copy(state).slots[0], untouched.slots[0])
