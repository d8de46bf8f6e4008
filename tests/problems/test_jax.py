"""A function of jax as a problem: parity with the package's own networks, what runs on it, what is refused."""

import functools
import pickle

import numpy as np
import pytest

import odeopt as oo

jax = pytest.importorskip("jax", reason="jax (the extra jax) is not installed")
jnp = jax.numpy

SIZES = 64, 32, 32, 10


def split(x, sizes):
    """[(weights (outputs, inputs), biases), ...] of a vector in the order of ``digits_network``."""
    found = []
    for i, o in zip(sizes, sizes[1:]):
        found.append((x[: i * o].reshape(o, i), x[i * o : (i + 1) * o]))
        x = x[(i + 1) * o :]
    return found


def scores(params, h):
    for w, b in params[:-1]:
        h = jnp.tanh(h @ w.T + b)
    return h @ params[-1][0].T + params[-1][1]


def squared(params, data):
    return 0.5 * ((scores(params, data[0]) - data[1]) ** 2).sum(1).mean()


def cross_entropy(params, data):
    z = scores(params, data[0])
    return (jax.scipy.special.logsumexp(z, axis=1) - jnp.take_along_axis(z, data[1][:, None], 1)[:, 0]).mean()


def penalised(params, data):
    """``digits_mlp``: weights (inputs, outputs)."""
    h = jnp.tanh(data[0] @ params["w1"] + params["b1"])
    z = h @ params["w2"] + params["b2"]
    loss = (jax.scipy.special.logsumexp(z, axis=1) - jnp.take_along_axis(z, data[1][:, None], 1)[:, 0]).mean()
    return loss + 0.5e-4 * sum((p**2).sum() for p in jax.tree_util.tree_leaves(params))


def digits(count=500, standardised=True):
    images, labels = oo.problems.digits()
    images, labels = images[:count], labels[:count]
    spread = images.std(axis=0)
    images = (images - images.mean(axis=0)) / np.where(spread > 0, spread, 1) if standardised else images
    return images, labels


@functools.cache  # compiling takes a second
def small(dtype=np.float64, count=60, fun=cross_entropy):
    own = oo.problems.digits_network(width=4, layers=1)
    return oo.Problem.from_jax(fun, split(own.x0.astype(dtype), (64, 4, 10)), digits(count))


def same(problem, own, x, rng):
    v, batch = rng.standard_normal(own.dim), rng.integers(0, own.samples, 32)
    for which in (None, batch):
        (f, g), (f_own, g_own) = (p.value_and_grad(x, which) for p in (problem, own))
        assert f == pytest.approx(f_own, rel=1e-13)
        np.testing.assert_allclose(g, g_own, rtol=0, atol=1e-12 * np.abs(g_own).max())
    product = own.hessp(x, v)
    np.testing.assert_allclose(problem.hessp(x, v), product, rtol=0, atol=1e-12 * np.abs(product).max())


@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
def test_the_network_of_the_edge_has_the_same_derivatives(loss):
    own = oo.problems.digits_network(loss=loss)
    images, labels = digits()
    fun, target = (squared, np.eye(10)[labels]) if loss == "squared" else (cross_entropy, labels)
    problem = oo.Problem.from_jax(fun, split(own.x0, SIZES), (images, target))
    np.testing.assert_array_equal(problem.x0, own.x0)
    rng = np.random.default_rng(0)
    same(problem, own, own.x0 + 0.01 * rng.standard_normal(own.dim), rng)
    assert not jax.config.jax_enable_x64  # as it was


def test_the_mlp_on_all_digits_has_the_same_derivatives():
    own = oo.problems.digits_mlp()
    w1, b1, w2, b2 = np.split(own.x0, np.cumsum([64 * 32, 32, 320]))
    params = {"w1": w1.reshape(64, 32), "b1": b1, "w2": w2.reshape(32, 10), "b2": b2}
    problem = oo.Problem.from_jax(penalised, params, digits(1797, standardised=False))
    order = np.concatenate([problem.unflatten(np.arange(own.dim))[name].ravel() for name in ("w1", "b1", "w2", "b2")])
    x, rng = own.x0, np.random.default_rng(0)  # jax sorts the names of a dict
    g = problem.grad(problem.x0)
    np.testing.assert_allclose(g[order.astype(int)], own.grad(x), rtol=0, atol=1e-12 * np.abs(g).max())
    v = rng.standard_normal(own.dim)
    own_v = v[order.astype(int)]
    h = own.hessp(x, own_v)
    np.testing.assert_allclose(problem.hessp(problem.x0, v)[order.astype(int)], h, rtol=0, atol=1e-12 * np.abs(h).max())


def test_parameters_go_into_a_vector_and_back():
    problem = small()
    params = problem.unflatten(problem.x0)
    assert [(w.shape, b.shape) for w, b in params] == [((4, 64), (4,)), ((10, 4), (10,))]
    assert all(one.dtype == np.float64 for one in jax.tree_util.tree_leaves(params))
    np.testing.assert_array_equal(problem.flatten(params), problem.x0)
    with pytest.raises(ValueError, match="parameters must have the structure PyTreeDef"):
        problem.flatten(params[:1])
    with pytest.raises(ValueError, match=r"parameters, \[0\]\[1\], must have shape \(4,\), got \(5,\)"):
        problem.flatten([(params[0][0], np.zeros(5)), params[1]])


def test_a_function_without_data():
    problem = oo.Problem.from_jax(lambda p: ((p["a"] - 1) ** 2).sum() + p["b"] ** 4, {"a": np.zeros(3), "b": 2.0})
    assert problem.name == "problem" and problem.samples == 0 and problem.fgb is None
    np.testing.assert_array_equal(problem.x0, [0, 0, 0, 2])
    np.testing.assert_array_equal(problem.grad(problem.x0), [-2, -2, -2, 32])
    np.testing.assert_array_equal(np.diag(problem.hess(problem.x0)), [2, 2, 2, 48])
    assert problem.check().ok and oo.minimize(problem).success


def test_float32_stays_float32():
    problem, exact = small(np.float32), small()
    assert problem.network.dtype == np.float32 and problem.unflatten(problem.x0)[0][0].dtype == np.float32
    g = problem.grad(exact.x0)
    assert np.array_equal(g, g.astype(np.float32)) and not np.array_equal(g, exact.grad(exact.x0))
    np.testing.assert_allclose(g, exact.grad(exact.x0), rtol=0, atol=1e-5)
    assert problem.samples == 60 and problem.check().ok


def test_everything_runs_on_it():
    problem = small()
    gd = oo.GradientDescent(lr=0.1)
    assert oo.compare(gd, problem, t_end=0.5).max_error < 0.05
    assert oo.convergence(gd, problem, t_end=0.5).order == pytest.approx(1.0, abs=0.05)
    own = oo.problems.digits_network(width=4, layers=1, images=60, loss="cross-entropy")
    sharp = [oo.studies.stability.sharpness(gd, p, own.x0, steps=40, every=20).hessian for p in (own, problem)]
    np.testing.assert_allclose(sharp[1], sharp[0], rtol=1e-6)
    paths = [oo.sample(gd, p, oo.stochastic.Minibatch(10), own.x0, steps=12, paths=2).x for p in (own, problem)]
    np.testing.assert_allclose(paths[1], paths[0], rtol=0, atol=1e-13)
    assert len(oo.sweep(gd, problem, [problem.x0], grid={"lr": [0.1, 0.2]}, steps=5).rows()) == 2
    run = oo.record(gd, problem, steps=5)
    with pytest.raises(ValueError, match="resume must come from the same problem"):
        oo.record(gd, small(count=50), steps=5, resume=run)


def test_train_takes_the_problem():
    images, labels = digits(600)
    data = oo.studies.networks.training.split(images, labels, (400, 100, 100))
    problem = oo.Problem.from_jax(cross_entropy, small(np.float32).unflatten(small().x0), data["train"])
    run = oo.train(oo.Adam(0.02), problem, data, 3)
    assert run.train_loss[-1] < 0.7 * run.train_loss[0] and np.isnan(run.test_accuracy) and run.w.dtype == np.float32


def test_it_can_be_sent_elsewhere():
    factor = 2.0
    problem = small(fun=lambda params, data: factor * cross_entropy(params, data))
    copy = pickle.loads(pickle.dumps(problem))
    np.testing.assert_array_equal(copy.grad(problem.x0), problem.grad(problem.x0))
    assert copy.fg.__self__ is copy.network and copy.samples == 60


X = np.random.default_rng(0).standard_normal((12, 3))


def mean_square(p, data):
    return ((data @ p) ** 2).mean()


@jax.custom_vjp
def reverse_only(p):
    return (p**2).sum()


reverse_only.defvjp(lambda p: (reverse_only(p), p), lambda p, g: (2 * g * p,))


def test_rules_of_ones_own():
    problem = oo.Problem.from_jax(reverse_only, np.ones(3))
    np.testing.assert_array_equal(problem.grad(problem.x0), 2 * np.ones(3))
    assert problem.check().ok


@pytest.mark.parametrize("fun, params, data, words", [
    (5, np.ones(3), None, r"fun must be a function fun\(params\) or fun\(params, data\), got 5"),
    (mean_square, {}, X, "params must hold at least one array, got {}"),
    (mean_square, np.ones(0), X, "params must hold at least one number, got empty arrays"),
    (mean_square, np.ones(3, int), X, "params must have parameters of float32 or float64, got params of int64"),
    (mean_square, [np.ones(3), 1], X, r"params must have parameters of float32 or float64, got \[1\] of int64"),
    (mean_square, [np.ones(3), np.ones(3, np.float32)], X, "params must have parameters of one dtype"),
    (mean_square, {"w": "a"}, X, r"params must have parameters of float32 or float64, got \['w'\] of <U1"),
    (mean_square, np.ma.ones(3), X, "params must hold arrays of numbers, got masked values at params"),
    (mean_square, np.array([1, np.nan, 1]), X, "params must be finite, got nan in it"),
    (lambda p, d: d @ p, np.ones(3), X, r"fun must return one real number, got shape \(12,\) of float64"),
    (lambda p, d: (p > 0).sum(), np.ones(3), X, r"fun must return one real number, got shape \(\) of int64"),
    (lambda p: np.sin(p).sum(), np.ones(3), None, "fun must be one that jax can trace, of jax.numpy"),
    (lambda p: p[0] if p[0] > 0 else p[1], np.ones(3), None, "fun must be one that jax can trace, of jax.numpy"),
    (mean_square, np.ones(4), X, "fun must take params and data, and gave TypeError: dot_general"),
    (lambda p: p.sum(), np.ones(3), X, "fun must take params and data, and gave TypeError: .* takes 1 positional"),
    (lambda p: jnp.log(-p).sum(), np.ones(3), None, "fun must be finite at params, got nan"),
    (mean_square, np.ones(3), (X, X[:-1]), "data must have one length along the first axis, .* got 12 and 11"),
    (mean_square, np.ones(3), np.where(X > 1, np.inf, X), "data must be finite, got inf in it"),
    (mean_square, np.ones(3), "images", "data must be an array or a tuple of arrays of real numbers"),
])
def test_what_is_refused(fun, params, data, words):
    with pytest.raises((TypeError, ValueError), match=f"^({words})"):
        oo.Problem.from_jax(fun, params, data)


def test_a_sum_has_no_mini_batches_and_says_so():
    with pytest.warns(RuntimeWarning, match="fun is no mean over the samples, so there are no mini-batches") as told:
        problem = oo.Problem.from_jax(lambda p, data: ((data @ p) ** 2).sum(), np.ones(3), X)
    assert told[0].filename == __file__ and problem.fgb is None and problem.check().ok
