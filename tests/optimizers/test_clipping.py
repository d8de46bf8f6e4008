"""Clipped gradients: by norm over all arrays and by value, as torch clips, in every loop, and with their flow."""

import json
import pickle
import subprocess
import sys

import numpy as np
import places
import pytest

import odeopt as oo
from odeopt.clipping import clip
from odeopt.method import method_from
from odeopt.sums import scaled_norm

BEALE = oo.problems.beale()
ROSENBROCK = oo.problems.rosenbrock()
BY_NORM, BY_VALUE = oo.Clipped(oo.Adam(0.02), norm=0.5), oo.Clipped(oo.Momentum(1e-3), value=0.7)
both = pytest.mark.parametrize("opt", [BY_NORM, BY_VALUE], ids=["norm", "value"])


@pytest.mark.parametrize("method", ["sgd", "adam"])
@pytest.mark.parametrize(("clip", "bound"), [("norm", 1.5), ("value", 0.4)])
def test_a_list_in_groups_moves_as_in_torch(method, clip, bound):
    """The norm is that of all arrays of all groups (tests/golden/make_clipping_goldens.py)."""
    with np.load(places.TESTS / "golden" / "clipping.npz") as file:
        golden = dict(file)
    inner = oo.Momentum(0.1, form="torch") if method == "sgd" else oo.Adam(0.1)
    opt, xs = oo.Clipped(inner, **{clip: bound}), [golden[f"start/{i}"].copy() for i in range(3)]
    state = opt.init(xs, [{"arrays": 1, "lr": 0.02}])
    for k in range(12):
        opt.update(xs, [golden[f"gradients/{k}/{i}"] for i in range(3)], state)
    for i, x in enumerate(xs):
        np.testing.assert_allclose(x, golden[f"{method}/{clip}/{i}"], rtol=1e-12, atol=1e-12)


@both
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_it_is_the_optimizer_on_clipped_gradients(opt, dtype):
    rng = np.random.default_rng(0)
    x, y = np.ones((3, 4), dtype), np.ones((3, 4), dtype)
    state, inner = opt.init(x), opt.optimizer.init(y)
    for size in (1e-3, 1.0, 1e3, 0.1):
        g = (size * rng.standard_normal((3, 4))).astype(dtype)
        factor = dtype(min(1.0, opt.norm / (np.linalg.norm(g.astype(float)) + 1e-6)) if opt.norm else 1.0)
        cut = factor * g if opt.norm else np.clip(g, -dtype(opt.value), dtype(opt.value))
        opt.update(x, g, state)
        opt.optimizer.update(y, cut, inner)
        np.testing.assert_allclose(x, y, rtol=1e-14 if dtype is np.float64 else 1e-6)
        np.testing.assert_allclose(state.row("clipped gradient"), cut, rtol=1e-14 if dtype is np.float64 else 1e-6)
    assert x.dtype == dtype


@both
def test_the_recorder_the_update_and_the_specialised_loop_agree(opt):
    run = oo.record(opt, ROSENBROCK, steps=300)
    x = ROSENBROCK.x0.copy()
    state = opt.init(x)
    for _ in range(300):
        opt.update(x, ROSENBROCK.grad(x), state)
    special = oo.record(opt, ROSENBROCK, steps=300, specialize=True)
    assert np.array_equal(run.x[-1], x) and np.array_equal(run.x, special.x) and "not used" not in special.message
    members = oo.ensemble(opt, ROSENBROCK, [ROSENBROCK.x0, [1.0, 2.0]], steps=300)
    assert np.array_equal(members.x[0], run.x[-1])
    assert not np.array_equal(run.x, oo.record(opt.optimizer, ROSENBROCK, steps=300).x)


def test_plain_python_and_compiled_problems_have_the_same_flow():
    plain = oo.Problem(ROSENBROCK.fun, ROSENBROCK.grad, x0=ROSENBROCK.x0)
    for opt in (BY_NORM, BY_VALUE):
        z = opt.flow.start(np.array([0.3, -0.5]))
        z[1:] = 0.2
        t = max(opt.t0, 0.1)
        np.testing.assert_allclose(opt.flow.field(plain)(t, z), opt.flow.field(ROSENBROCK)(t, z), rtol=1e-14)


def test_by_norm_gradient_flow_has_bounded_speed_on_the_same_orbit():
    flow = oo.Clipped(oo.GradientDescent(1e-3), norm=0.1).flow
    far = flow.field(ROSENBROCK)(0.0, np.array([[-1.2, 1.0]]))[0]
    g = ROSENBROCK.grad(np.array([-1.2, 1.0]))
    assert np.linalg.norm(far) == pytest.approx(0.1, rel=1e-6)
    np.testing.assert_allclose(far / np.linalg.norm(far), -g / np.linalg.norm(g), rtol=1e-14)
    near = np.array([[1.0 + 1e-5, 1.0]])
    np.testing.assert_array_equal(flow.field(ROSENBROCK)(0.0, near)[0], -ROSENBROCK.grad(near[0]))


def test_gradients_of_any_size_are_clipped():
    for size in (1e308, 1e200, 1e-320):
        x = np.zeros(4)
        opt = oo.Clipped(oo.GradientDescent(1.0), norm=2.0)
        opt.update(x, np.full(4, size), opt.init(x))
        np.testing.assert_allclose(x, -min(1.0, size), rtol=1e-6)
        xs = [np.zeros(1), np.zeros(3)]
        opt.update(xs, [np.full(1, size), np.full(3, size)], opt.init(xs))
        np.testing.assert_allclose(np.concatenate(xs), -min(1.0, size), rtol=1e-6)
    for bad in (np.nan, np.inf):  # never hidden
        xs = [np.zeros(1), np.zeros(3)]
        opt = oo.Clipped(oo.GradientDescent(1.0), norm=2.0)
        opt.update(xs, [np.array([bad]), np.ones(3)], opt.init(xs))
        assert not np.isfinite(xs[0]).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_cut_is_its_formula(dtype):
    """min(1, norm/(|g| + 1e-6)) g, or each entry within +- value, into another array or the same."""
    unit, rtol = np.array([2.0, -3.0, 0.1, 6.0]) / 7, 1e-14 if dtype is np.float64 else 1e-6
    cases = [(size, norm) for size in (3.0, 0.3, 2e-6, 1e-20) for norm in (0.5, 1.5e-6)]
    for size, norm in cases + [(1e200, 0.5), (1e200, 1e199), (1e200, 1e201), (1e-200, 0.5)] * (dtype is np.float64):
        g = (size * unit).astype(dtype)
        out, (scale, length) = np.empty_like(g), scaled_norm(g)
        clip(g, out, norm, 0.0, scale, length)
        true = size * np.linalg.norm(unit)
        np.testing.assert_allclose(out, min(1.0, norm / (true + 1e-6)) * g, rtol=rtol)
        clip(g, g, norm, 0.0, scale, length)
        np.testing.assert_array_equal(g, out)
    g, out = np.array([0.7, -0.7, 0.71, -0.71, 0.2, -np.inf, np.nan, 9.0], dtype), np.empty(8, dtype)
    clip(g, out, 0.0, 0.7, 1.0, 0.0)
    np.testing.assert_array_equal(out, np.array([0.7, -0.7, 0.7, -0.7, 0.2, -0.7, np.nan, 0.7], dtype))


def test_large_arrays_in_slices_know_the_norm_of_the_whole():
    rng = np.random.default_rng(0)
    g, opt = rng.standard_normal(300_000), oo.Clipped(oo.GradientDescent(1.0), norm=1.0)
    x = np.zeros(300_000)
    state = opt.init(x)
    assert len(state.slots) > 1
    opt.update(x, g, state)
    assert np.linalg.norm(x) == pytest.approx(1.0, rel=1e-6)
    y = np.zeros(300_000)
    opt.update(y, g, opt.init(y), threads=2)
    assert np.array_equal(x, y)


def test_methods_that_know_the_shape_of_an_array_are_clipped_too():
    """Muon and Amos take each array by itself; the norm is still that of all."""
    rng = np.random.default_rng(0)
    g = [rng.standard_normal((3, 4)), rng.standard_normal((2, 2))]
    factor = 0.5 / (np.sqrt(sum((a**2).sum() for a in g)) + 1e-6)
    for inner in (oo.Amos(0.05), oo.LAMB(0.05)):
        xs, ys = [np.ones((3, 4)), np.ones((2, 2))], [np.ones((3, 4)), np.ones((2, 2))]
        opt = oo.Clipped(inner, norm=0.5)
        state, other = opt.init(xs), inner.init(ys)
        for _ in range(3):
            opt.update(xs, g, state)
            inner.update(ys, [factor * a for a in g], other)
        for x, y in zip(xs, ys):
            np.testing.assert_allclose(x, y, rtol=1e-13)


def test_words_files_and_changes():
    for opt in (BY_NORM, BY_VALUE, oo.SWA(BY_NORM, start=3)):
        assert method_from(json.loads(json.dumps(opt.spec()))) == opt == pickle.loads(pickle.dumps(opt))
        assert opt.changed(lr=0.5).lr == 0.5 and opt.changed(lr=0.5).bare == opt.bare.changed(lr=0.5)
        assert opt.refined(2).h == opt.h / 2
    assert BY_NORM.changed(norm=2.0).norm == 2.0 and oo.SWA(BY_NORM).changed(norm=2.0).optimizer.norm == 2.0
    assert BY_NORM.changed(norm=None, value=3.0).value == 3.0 and BY_NORM.title == "Adam, clipped"
    run = oo.record(oo.Discretization(BY_NORM.flow, BY_NORM.scheme, 0.02), BEALE, steps=2)
    again = method_from(json.loads(run.final["spec"]))
    assert np.array_equal(oo.record(again, BEALE, steps=2).x, run.x)
    with pytest.raises(ValueError, match="hyperparameter must be one of 'lr'"):
        BY_NORM.changed(learning_rate=1.0)
    with pytest.raises(ValueError, match="groups must clip by norm where the optimizer does"):
        BY_NORM.init([np.ones(2), np.ones(3)], [{"arrays": 0, "norm": None, "value": 1.0}])
    with pytest.raises(ValueError, match="flow must be a field of its own without Hessian products"):
        oo.flows.clipped_flow(oo.flows.newton_flow(), norm=1.0)


_ELSEWHERE = """
import pickle, sys, numpy as np
flow, problem, wanted = pickle.load(open(sys.argv[1], "rb"))
assert np.array_equal(flow.field(problem)(0.5, flow.start(np.array([0.3, 0.4]))), wanted)
"""


def test_a_clipped_flow_goes_to_another_process(tmp_path):
    flow = oo.Clipped(oo.GradientDescent(1e-3), norm=0.1).flow
    wanted = flow.field(BEALE)(0.5, flow.start(np.array([0.3, 0.4])))
    (tmp_path / "flow").write_bytes(pickle.dumps((flow, BEALE, wanted)))
    subprocess.run([sys.executable, "-W", "error", "-c", _ELSEWHERE, tmp_path / "flow"], check=True, timeout=300)


def test_what_wraps_a_clipped_optimizer_hands_on_the_norm_of_all_arrays():
    rng, inner = np.random.default_rng(7), oo.Clipped(oo.Adam(0.1), norm=0.5)
    xs, ys = [np.ones(3), np.ones((2, 2))], [np.ones(3), np.ones((2, 2))]
    outer = oo.SWA(inner, start=3)
    state, own = outer.init(xs), inner.init(ys)
    for size in (1.0, 0.01, 3.0, 0.2, 9.0):
        g = [size * rng.standard_normal(x.shape) for x in xs]
        outer.update(xs, g, state)
        inner.update(ys, g, own)
        for x, y in zip(xs, ys):
            np.testing.assert_array_equal(x, y)
