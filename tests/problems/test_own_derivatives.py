"""One's own problems: wrong derivatives are found, right ones never accused; finite sums; plain flows and schemes."""

import math
import pickle
import warnings
from dataclasses import dataclass

import numba
import numpy as np
import pytest

import odeopt as oo
from odeopt import stochastic as st
from odeopt.abi import kernel
from odeopt.flows import Flow
from odeopt.optimizers.base import Optimizer, positive
from odeopt.schemes import Scheme


def bowl(x):
    return float(x[0] ** 2 + 3 * x[0] * x[1] + 2 * x[1] ** 4)


def bowl_gradient(x):
    return np.array([2 * x[0] + 3 * x[1], 3 * x[0] + 8 * x[1] ** 3])


def bowl_hessian(x):
    return np.array([[2.0, 3.0], [3.0, 24 * x[1] ** 2]])


@kernel
def _wrong_fg(x, g, data):
    g[0] = x[0]
    g[1] = 4.0 * x[1]
    return x[0] * x[0] + 2.0 * x[1] * x[1]


@numba.njit
def _square(x):
    return x[0] ** 2


@numba.njit
def _wrong_square_gradient(x):
    return -2.0 * x


NOISE = np.random.default_rng(0)

# Construction ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "words"), [
    (lambda: oo.Problem(bowl, lambda x: bowl_gradient(x) * [1, -1], dim=2), r"its entry 1 is -\S+ and differences"),
    (lambda: oo.Problem(bowl, lambda x: 2 * bowl_gradient(x), dim=2), "its entry . is"),
    (lambda: oo.Problem(bowl, lambda x: bowl_gradient(x) + [0.3, 0], x0=[0, 0]), "its entry 0 is"),
    (lambda: oo.Problem(lambda x: x @ x, lambda x: x, x0=np.zeros(300)), "along a direction next to x0 it gives"),
    (lambda: oo.Problem(_square, _wrong_square_gradient, dim=1), "its entry 0 is -2"),
    (lambda: oo.Problem.from_kernels("own", _wrong_fg, None, dim=2, x0=[1, 1]), "its entry 0 is 1.0"),
    (lambda: oo.Problem(bowl, bowl_gradient, dim=2, samples=4, batch=lambda x, i: (
        len(i) * bowl(x), len(i) * bowl_gradient(x))), "batch is plainly wrong: the mean over all samples is"),
    (lambda: oo.Problem(bowl, bowl_gradient, dim=2, samples=2, batch=lambda x, i: (bowl(x), 2 * bowl_gradient(x))),
     "batch is plainly wrong: entry . of the mean gradient over all samples is"),
])
def test_a_plainly_wrong_gradient_is_told_at_once(make, words):
    with pytest.warns(RuntimeWarning, match=f"{words}.*Problem.check compares every entry") as caught:
        make()
    assert len(caught) == 1 and caught[0].filename == __file__


@pytest.mark.parametrize("make", [
    lambda: oo.Problem(bowl, bowl_gradient, dim=2),
    lambda: oo.Problem(lambda x: np.abs(x).sum(), np.sign, x0=np.zeros(4)),
    lambda: oo.Problem(lambda x: np.abs(x - 1.0001).max(), lambda x: np.sign(x - 1.0001) * (
        np.abs(x - 1.0001) == np.abs(x - 1.0001).max()), dim=3),
    lambda: oo.Problem(lambda x: np.maximum(x, 0).sum(), lambda x: 1.0 * (x > 0), x0=np.zeros(3)),
    lambda: oo.Problem(lambda x: math.log(x[0]), lambda x: 1 / x, x0=[1e-3]),
    lambda: oo.Problem(lambda x: math.sqrt(x[0]), lambda x: 0.5 / np.sqrt(x), x0=[1e-9]),
    lambda: oo.Problem(lambda x: float(np.float32(bowl(x) + 1e4)), lambda x: np.float32(bowl_gradient(x)), dim=2),
    lambda: oo.Problem(lambda x: 1e12 + bowl(x), bowl_gradient, dim=2),
    lambda: oo.Problem(lambda x: np.sin(1e4 * x).sum(), lambda x: 1e4 * np.cos(1e4 * x), dim=3),
    lambda: oo.Problem(lambda x: float(np.exp(300 * x[0])), lambda x: 300 * np.exp(300 * x), dim=1),
    lambda: oo.Problem(lambda x: 0.0, lambda x: x, dim=2),  # of one who wants the flow alone
    lambda: oo.Problem(lambda x: float("nan"), np.zeros_like, dim=2),
    lambda: oo.Problem(lambda x: x @ x + NOISE.normal(), lambda x: 2 * x, dim=2),
    lambda: oo.Problem(lambda x: x @ x, lambda x: 2 * x + NOISE.normal(size=2), dim=2),
    lambda: oo.Problem(lambda x: float(np.round(x @ x, 3)), lambda x: 2 * x, dim=2),
])
def test_no_false_alarm(make):
    """Kinks, edges of a domain, single precision, large constants, noise."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make()


def test_the_look_costs_a_few_evaluations():
    calls = {"fun": 0, "grad": 0}

    def fun(x):
        calls["fun"] += 1
        return bowl(x)

    def grad(x):
        calls["grad"] += 1
        return bowl_gradient(x)

    oo.Problem(fun, grad, dim=2)
    assert calls == {"fun": 1 + 6, "grad": 1 + 1}


def test_slow_functions_are_not_looked_at(monkeypatch):
    for seconds, slow in (([0, 1, 2, 3], True), ([0, 1, 2, 2.01], False)):  # the first evaluation may compile
        monkeypatch.setattr("odeopt.problems.differences.time.perf_counter", iter(seconds).__next__)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            oo.Problem(bowl, lambda x: 5 * bowl_gradient(x), dim=2)
        assert len(caught) == (not slow)


# check -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(oo.problems.ALL) - {"digits-mlp", "normalized-mlp", "digits-logistic"}))
def test_what_ships_is_right(name):
    result = oo.problems.ALL[name]().check()
    assert result.ok and "gradient right" in result.message and "Hessian product right" in result.message, result


def test_check_names_the_worst_entry():
    problem = oo.Problem(bowl, bowl_gradient, lambda x: bowl_hessian(x) + [[0, 0], [0.5, 0]], dim=2)
    result = problem.check([1.0, 2.0])
    assert not result.ok and result.hessian.index == (1, 0) and result.gradient.excess() < 1
    assert repr(result).startswith("bowl: gradient right, to ")
    assert "Hessian product wrong: entry (1, 0) is 3.5 and differences give 3" in result.message
    with pytest.warns(RuntimeWarning):
        problem = oo.Problem(bowl, lambda x: bowl_gradient(x) * [1, 1.02], dim=2)
    result = problem.check([1.0, 2.0])
    assert not result.ok and result.gradient.index == (1,) and result.hessian is None
    assert result.message == "bowl: gradient wrong: entry 1 is 68.34 and differences give 67"
    assert oo.Problem(bowl, bowl_gradient, bowl_hessian, dim=2).check([1.0, 2.0]).ok


def test_check_sees_small_errors():
    def slope(x):
        return bowl_gradient(x) * (1 + 3e-5)

    assert not oo.Problem(bowl, slope, dim=2).check().ok


def test_check_where_there_is_nothing_to_check():
    problem = oo.Problem(lambda x: math.log(x[0]) if x[0] > 0 else math.nan, lambda x: 1 / x, dim=1)
    with pytest.raises(ValueError, match="x must be a point around which problem is finite, got f = nan"):
        problem.check([-1.0])
    with pytest.raises(ValueError, match=r"x must have shape \(1,\)"):
        problem.check([1.0, 2.0])
    assert oo.Problem(lambda x: np.abs(x).sum(), np.sign, dim=2).check([0.0, 1.0]).ok  # a kink proves nothing


# Finite sums -------------------------------------------------------------------------------------------

POINTS = np.random.default_rng(3).normal(size=(12, 3))
TARGETS = POINTS @ [1.0, -2.0, 0.5]


def loss(x):
    return float(((POINTS @ x - TARGETS) ** 2).mean() / 2)


def part(x, indices):
    residual = POINTS[indices] @ x - TARGETS[indices]
    return (residual**2).mean() / 2, POINTS[indices].T @ residual / len(indices)


@numba.njit
def _compiled_loss(x):
    f = 0.0
    for i in range(12):
        f += (np.sum(POINTS[i] * x) - TARGETS[i]) ** 2 / 24
    return f


@numba.njit
def _compiled_part(x, indices):
    f, g = 0.0, np.zeros(3)
    for i in indices:
        r = np.sum(POINTS[i] * x) - TARGETS[i]
        f += 0.5 * r * r / indices.size
        for j in range(3):
            g[j] += r * POINTS[i, j] / indices.size
    return f, g


@pytest.mark.parametrize("compiled", [False, True])
def test_a_finite_sum_of_ones_own(compiled):
    fun, batch = (_compiled_loss, _compiled_part) if compiled else (loss, part)
    problem = oo.Problem(fun, batch=batch, samples=12, dim=3, minima=[[1.0, -2.0, 0.5]])
    assert problem.compiled == compiled and problem.samples == 12
    x = np.array([0.3, 0.2, -1.0])
    np.testing.assert_allclose(problem.grad(x), POINTS.T @ (POINTS @ x - TARGETS) / 12, rtol=1e-13)
    f, g = problem.value_and_grad(x, [3, 7])
    np.testing.assert_allclose((f, *g), (part(x, [3, 7])[0], *part(x, [3, 7])[1]), rtol=1e-13)
    assert "batches right" in problem.check().message
    paths = st.sample(oo.GradientDescent(0.1), problem, st.Minibatch(4), steps=60, paths=2, seed=1)
    assert (np.linalg.norm(paths.final["x"] - problem.minima[0], axis=-1) < 0.2).all()
    if not compiled:
        again = pickle.loads(pickle.dumps(problem))
        np.testing.assert_array_equal(again.value_and_grad(x, [1])[1], problem.value_and_grad(x, [1])[1])


@pytest.mark.parametrize(("given", "words"), [
    ({"batch": part}, "batch and samples must be given together, got batch alone"),
    ({"samples": 3}, "batch and samples must be given together, got samples alone"),
    ({"batch": part, "samples": 0}, "samples must be at least 1"),
    ({"batch": 3, "samples": 2}, "batch must be callable, got 3"),
    ({"batch": lambda x, i: x, "samples": 2}, r"batch must return a pair \(f, gradient\), the mean over the samples"),
    ({"batch": lambda x, i: (x, x), "samples": 2}, "batch, first, must return a real number"),
    ({"batch": lambda x, i: (1.0, 1.0), "samples": 2}, r"batch, second, must return shape \(3,\)"),
])
def test_batches_that_are_none(given, words):
    with pytest.raises((ValueError, TypeError), match=words):
        oo.Problem(loss, dim=3, **given)


# Flows, schemes and kernels in plain Python --------------------------------------------------------------


def plain_field(fg, hv, data, t, p, z, dz):
    fg(z[0], dz[0], data)
    dz[0] *= -1.0


def plain_euler(rhs, fg, hv, data, p, t, h, z, w):
    rhs(fg, hv, data, t, p, z, w)
    z += h * w
    return 0.0


def test_plain_flows_and_schemes_run_with_a_note():
    flow, scheme = Flow("own", "x' = -g", plain_field), Scheme("own Euler", plain_euler, 1, 1, lambda rows: rows)
    problem = oo.problems.beale()
    ours = oo.record(oo.Discretization(oo.flows.gradient_flow(), oo.schemes.explicit_euler, 1e-3), problem, steps=20)
    for pair in ((flow, scheme), (flow, oo.schemes.explicit_euler), (oo.flows.gradient_flow(), scheme)):
        method = oo.Discretization(*pair, 1e-3)
        run = oo.record(method, problem, steps=20)
        np.testing.assert_allclose(run.x, ours.x, rtol=1e-14)
        assert "in the interpreter: rhs or step is plain Python, which odeopt.abi.kernel compiles" in run.message
    assert oo.convergence(oo.Discretization(flow, scheme, 1e-2), problem, t_end=0.1).order == pytest.approx(
        1, abs=0.05)


def plain_update(k, p, x, g, s):
    x -= p[0] * g
    return p[0]


@dataclass(frozen=True)
class Own(Optimizer):
    lr: float = positive(scales="h")
    kernel = staticmethod(plain_update)


def test_a_plain_update_runs_with_a_note():
    problem, own, ours = oo.problems.beale(), Own(1e-3), oo.GradientDescent(1e-3)
    run = oo.record(own, problem, steps=30)
    np.testing.assert_allclose(run.x, oo.record(ours, problem, steps=30).x, rtol=1e-13)
    assert run.message.endswith("in the interpreter: the update is plain Python, which odeopt.abi.kernel compiles")
    starts = np.array([[1.0, 1.2], [0.5, 0.3]])
    np.testing.assert_allclose(oo.ensemble(own, problem, starts, 20).x, oo.ensemble(ours, problem, starts, 20).x, 1e-13)
    noise = st.gaussian(0.01 * np.eye(2))
    noisy = [st.sample(o, problem, noise, steps=20, paths=2, seed=3).final["x"] for o in (own, ours)]
    np.testing.assert_allclose(*noisy, rtol=1e-13)
    x, g = np.ones(3), np.full(3, 2.0)
    own.update(x, g, own.init(x))
    np.testing.assert_allclose(x, 1 - 2e-3)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: Flow("own", "e", lambda t, z: -z), r"rhs must be a function rhs\(fg, hv, data, t, p, z, dz\) that writes "
     r"dz/dt into dz, .* under @odeopt.abi.kernel it is compiled, got <lambda>\(t, z\)"),
    (lambda: Flow("own", "e", 3), r"rhs must be a function rhs\(.*got 3"),
    (lambda: Scheme("own", lambda f, z, h: z, 1, 1, lambda r: r), r"step must be a function step\(rhs, fg, hv, data, "
     r"p, t, h, z, w\) that moves .* under @odeopt.abi.kernel it is compiled, got <lambda>\(f, z, h\)"),
    (lambda: Scheme("own", plain_euler, 1, 1, lambda: 1), r"work must be a function work\(rows\), got <lambda>\(\)"),
    (lambda: Scheme("own", plain_euler, 1, 1, lambda r: r, check=lambda f: f), r"check must be a function check\("),
    (lambda: oo.Problem.from_kernels("own", lambda x: 3, None, dim=1, x0=[1]), r"fg must be a function fg\(x, g, "),
    (lambda: oo.Problem.from_kernels("own", _wrong_fg, lambda x, v: v, dim=1, x0=[1]),
     r"hv must be a function hv\(x, v, out, data\)"),
])
def test_the_signature_is_told_where_a_function_enters(make, words):
    with pytest.raises(TypeError, match=words) as error:
        make()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("flow", "scheme", "words"), [
    (Flow("own", "e", lambda fg, hv, data, t, p, z, dz: -z), oo.schemes.rk4,
     r"the field of own must be rhs\(.*; this one returns dz/dt"),
    (oo.flows.gradient_flow(), Scheme("own", lambda rhs, fg, hv, data, p, t, h, z, w: z, 1, 1, lambda r: r),
     r"the step of own must be step\(.*; this one returns an array"),
    (oo.flows.gradient_flow(), Scheme("own", lambda rhs, fg, hv, data, p, t, h, z, w: None, 1, 1, lambda r: r),
     r"the step of own must be step\(.*; this one returns None"),
])
def test_a_result_that_goes_nowhere_is_refused(flow, scheme, words):
    """Such a field was zero, and the run stood still without a word."""
    with pytest.raises(TypeError, match=words):
        oo.record(oo.Discretization(flow, scheme, 1e-2), oo.problems.beale(), steps=3)
