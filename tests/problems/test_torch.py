"""A torch module as a problem: parity with the package's own networks, what runs on it, what is refused."""

import os
import pickle
import subprocess
import sys

import numpy as np
import places
import pytest

import odeopt as oo

torch = pytest.importorskip("torch", reason="torch (the extra torch) is not installed")
torch.set_num_threads(1)  # threads of such small networks wait for each other, on a busy machine for long
nn = torch.nn


def squared(output, target):
    return 0.5 * ((output - target) ** 2).sum(1).mean()


def layers(*sizes, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    parts = [part for i, o in zip(sizes, sizes[1:]) for part in (nn.Linear(i, o, dtype=dtype), nn.Tanh())]
    return nn.Sequential(*parts[:-1])


def digits(count=500, standardised=True):
    images, labels = oo.problems.digits()
    images, labels = images[:count], labels[:count]
    spread = images.std(axis=0)
    images = (images - images.mean(axis=0)) / np.where(spread > 0, spread, 1) if standardised else images
    return images, labels


def small(dtype=torch.float64, loss=None, count=60):
    images, labels = digits(count)
    return oo.Problem.from_torch(layers(64, 4, 10, dtype=dtype), loss or nn.CrossEntropyLoss(), (images, labels))


class OwnMlp(nn.Module):
    """``digits_mlp`` in torch: weights (inputs, outputs), and the penalty beside the scores."""

    def __init__(self, x0, hidden=32, l2=1e-4):
        super().__init__()
        self.l2 = l2
        cuts = np.cumsum([64 * hidden, hidden, hidden * 10])
        shapes = (64, hidden), (hidden,), (hidden, 10), (10,)
        self.parts = nn.ParameterList(
            nn.Parameter(torch.tensor(part.reshape(shape))) for part, shape in zip(np.split(x0, cuts), shapes))

    def forward(self, images):
        w1, b1, w2, b2 = self.parts
        return torch.tanh(images @ w1 + b1) @ w2 + b2, self.l2 / 2 * sum((p**2).sum() for p in self.parts)


# Parity --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
def test_the_network_of_the_edge_has_the_same_derivatives(loss):
    own = oo.problems.digits_network(loss=loss)
    images, labels = digits()
    target, function = (np.eye(10)[labels], squared) if loss == "squared" else (labels, nn.CrossEntropyLoss())
    problem = oo.Problem.from_torch(layers(64, 32, 32, 10), function, (images, target))
    assert (problem.dim, problem.samples, problem.has_hessian) == (3466, 500, True)
    rng = np.random.default_rng(0)
    same(problem, own, own.x0 + 0.01 * rng.standard_normal(3466), rng)


def test_the_mlp_on_all_digits_has_the_same_derivatives():
    own = oo.problems.digits_mlp()
    images, labels = digits(1797, standardised=False)
    problem = oo.Problem.from_torch(OwnMlp(own.x0), lambda out, y: nn.functional.cross_entropy(out[0], y) + out[1],
                                    (images, labels))
    np.testing.assert_array_equal(problem.x0, own.x0)
    same(problem, own, own.x0, np.random.default_rng(0))


def same(problem, own, x, rng):
    v, batch = rng.standard_normal(own.dim), rng.integers(0, own.samples, 32)
    for which in (None, batch):
        (f, g), (f_own, g_own) = (p.value_and_grad(x, which) for p in (problem, own))
        assert f == pytest.approx(f_own, rel=1e-13)
        np.testing.assert_allclose(g, g_own, rtol=0, atol=1e-12 * np.abs(g_own).max())
    product = own.hessp(x, v)
    np.testing.assert_allclose(problem.hessp(x, v), product, rtol=0, atol=1e-12 * np.abs(product).max())


def test_a_run_is_that_of_the_own_network():
    own = oo.problems.digits_network(width=6, layers=1, images=80)
    images, labels = digits(80)
    problem = oo.Problem.from_torch(layers(64, 6, 10), squared, (images, np.eye(10)[labels]))
    ours, theirs = (oo.record(oo.Adam(0.01), p, own.x0, steps=50) for p in (own, problem))
    np.testing.assert_allclose(theirs.x, ours.x, rtol=0, atol=1e-12)
    sharp = [oo.studies.stability.sharpness(oo.GradientDescent(lr=0.3), p, own.x0, steps=40, every=20)
             for p in (own, problem)]
    np.testing.assert_allclose(sharp[1].hessian, sharp[0].hessian, rtol=1e-6)


# One vector ----------------------------------------------------------------------------------------


def test_parameters_go_into_a_vector_and_back():
    module = layers(64, 4, 10)
    problem = oo.Problem.from_torch(module, nn.CrossEntropyLoss(), digits(60))
    parameters = problem.unflatten(problem.x0)
    assert {name: tuple(one.shape) for name, one in parameters.items()} == {
        "0.weight": (4, 64), "0.bias": (4,), "2.weight": (10, 4), "2.bias": (10,)}
    assert all(one.dtype == torch.float64 and not one.requires_grad for one in parameters.values())
    np.testing.assert_array_equal(problem.flatten(parameters), problem.x0)
    np.testing.assert_array_equal(problem.flatten(module), problem.x0)
    end = oo.record(oo.Adam(0.01), problem, steps=30).x[-1]
    np.testing.assert_array_equal(problem.flatten(module), problem.x0)  # the module given is as it was
    module.load_state_dict(problem.unflatten(end), strict=False)
    images, labels = map(torch.tensor, digits(60))
    with torch.no_grad():
        loss = float(nn.functional.cross_entropy(module(images), labels))
    assert loss == pytest.approx(problem.fun(end), rel=1e-14)
    with pytest.raises(ValueError, match="must be a dict of 0.weight, 0.bias, 2.weight, 2.bias, got 0.weight"):
        problem.flatten({"0.weight": parameters["0.weight"]})
    with pytest.raises(ValueError, match=r"parameters, 0.bias, must have shape \(4,\), got \(5,\)"):
        problem.flatten(parameters | {"0.bias": np.zeros(5)})
    with pytest.raises(ValueError, match="unflatten needs a problem made by from_torch or from_jax, and 'beale'"):
        oo.problems.beale().unflatten([0.0, 0.0])


def test_what_the_caller_does_to_data_and_module_later_is_no_matter():
    images, labels = digits(60)
    module = layers(64, 4, 10)
    problem = oo.Problem.from_torch(module, nn.CrossEntropyLoss(), (images, labels))
    g = problem.grad(problem.x0)
    images[:], labels[:] = 0, 0
    with torch.no_grad():
        module[0].weight.zero_()
        np.testing.assert_array_equal(problem.grad(problem.x0), g)


def test_frozen_and_shared_parameters():
    """A frozen layer is a constant, and one that is used twice is there once."""
    module = layers(8, 8, 8)
    module[0].weight.requires_grad_(False)
    module[2].weight = module[2].weight
    module.again = module[2]
    x, y = np.random.default_rng(0).standard_normal((2, 20, 8))
    problem = oo.Problem.from_torch(module, nn.MSELoss(), (x, y))
    assert problem.dim == 8 + 64 + 8 and problem.check().ok


def test_a_hessian_product_after_a_gradient_elsewhere():
    """The graph of a point shares the parameters' memory: one at another point must not be taken for it."""
    problem = small()
    rng = np.random.default_rng(0)
    x, y, v, w = rng.standard_normal((4, problem.dim))
    expected = problem.hessp(x, v)
    for between in (lambda: problem.grad(y), lambda: problem.hessp(y, v), lambda: problem.hessp(x, w),
                    lambda: problem.value_and_grad(y, [3]), lambda: None):
        between()
        np.testing.assert_array_equal(problem.hessp(x, v), expected)
    assert problem.check(x).ok


def test_float32_stays_float32():
    problem, exact = small(torch.float32), small()
    assert problem.network.dtype == np.float32 and problem.unflatten(problem.x0)["0.weight"].dtype == torch.float32
    g = problem.grad(exact.x0)
    assert np.array_equal(g, g.astype(np.float32)) and not np.array_equal(g, exact.grad(exact.x0))
    np.testing.assert_allclose(g, exact.grad(exact.x0), rtol=0, atol=1e-5)
    assert problem.samples == 60 and problem.check().ok
    assert oo.record(oo.GradientDescent(0.1), problem, steps=20).status == "completed"


def test_a_linear_loss_and_one_without_second_derivatives():
    x = np.random.default_rng(0).standard_normal((20, 3))
    linear = oo.Problem.from_torch(nn.Linear(3, 1, dtype=torch.float64), torch.mean, x)
    np.testing.assert_array_equal(linear.hessp(linear.x0, np.ones(4)), np.zeros(4))

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            ctx.save_for_backward(a)
            return a**3

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, g):
            return 3 * ctx.saved_tensors[0] ** 2 * g

    once = oo.Problem.from_torch(nn.Linear(3, 1, dtype=torch.float64), lambda out: Cube.apply(out).mean(), x)
    assert not once.has_hessian and once.check().ok


# What runs on it -----------------------------------------------------------------------------------


def test_everything_runs_on_it(tmp_path):
    problem = small()
    gd = oo.GradientDescent(lr=0.1)
    assert oo.compare(gd, problem, t_end=0.5).max_error < 0.05
    assert oo.convergence(gd, problem, t_end=0.5).order == pytest.approx(1.0, abs=0.05)
    paths = oo.sample(gd, problem, oo.stochastic.Minibatch(10), steps=12, paths=2)
    again = oo.sample(gd, problem, oo.stochastic.Minibatch(10), steps=12, paths=2, threads=2)
    np.testing.assert_array_equal(paths.x, again.x)
    covariance = oo.stochastic.batch_covariance(problem, problem.x0, oo.stochastic.Minibatch(10))
    assert covariance.shape == (problem.dim, problem.dim) and np.linalg.eigvalsh(covariance)[-1] > 0
    assert len(oo.sweep(gd, problem, [problem.x0], grid={"lr": [0.1, 0.2]}, steps=5).rows()) == 2
    assert oo.minimize(problem, maxiter=30).fun < problem.fun(problem.x0)
    run = oo.record(oo.Adam(0.01), problem, steps=10)
    run.save(tmp_path / "run.npz")
    whole = oo.record(oo.Adam(0.01), problem, steps=20)
    more = oo.record(oo.Adam(0.01), problem, steps=10, resume=oo.Trajectory.load(tmp_path / "run.npz"))
    np.testing.assert_array_equal(more.x[-1], whole.x[-1])
    with pytest.raises(ValueError, match="resume must come from the same problem"):
        oo.record(oo.Adam(0.01), small(count=50), steps=20, resume=run)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_train_takes_the_problem(dtype):
    images, labels = digits(1797)
    data = oo.studies.networks.training.split(images, labels, (800, 300, 300))
    problem = oo.Problem.from_torch(layers(64, 16, 10, dtype=dtype), nn.CrossEntropyLoss(), data["train"])
    run = oo.train(oo.Adam(0.01), problem, data, 3)
    assert run.test_accuracy > 0.85 and run.w.dtype == problem.network.dtype
    start = problem.network.initial(0)
    assert not np.array_equal(start, problem.network.initial(1)) and np.abs(start[: 64 * 16]).max() <= 1 / 8
    np.testing.assert_array_equal(start, problem.network.initial(0))
    with pytest.raises(ValueError, match="train needs a problem made by from_torch or from_jax"):
        oo.train(oo.Adam(0.01), oo.problems.beale(), data, 1)


def test_it_can_be_sent_elsewhere():
    problem = small(loss=lambda output, y: nn.functional.cross_entropy(output, y))
    problem.grad(np.full(problem.dim, np.nan))  # its module stands where it was evaluated last
    copy = pickle.loads(pickle.dumps(problem))
    np.testing.assert_array_equal(copy.x0, problem.x0)
    np.testing.assert_array_equal(copy.grad(problem.x0), problem.grad(problem.x0))
    assert copy.fg.__self__ is copy.network and copy.samples == 60
    assert len(pickle.dumps(problem)) < 12 * (problem.dim + 65 * 60)  # module and data once


def test_the_command_line_takes_it(tmp_path):
    (tmp_path / "net.py").write_text("""
import numpy as np, torch, odeopt as oo
torch.manual_seed(0)
x = np.linspace(-1, 1, 20)[:, None]
problem = oo.Problem.from_torch(torch.nn.Linear(1, 1, dtype=torch.float64), torch.nn.MSELoss(), (x, 2 * x))
""")
    command = [sys.executable, "-m", "odeopt", "compare", "net.py:problem", "--optimizers", "gd:lr=.1"]
    out = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(places.ROOT)},
                         capture_output=True, text=True)
    assert out.returncode == 0 and "gradient descent" in out.stdout, out.stderr


# What is refused -----------------------------------------------------------------------------------


DOUBLE = {"dtype": torch.float64}
X, Y = np.random.default_rng(0).standard_normal((2, 12, 3))


def mixed():
    return nn.Sequential(nn.Linear(3, 3, **DOUBLE), nn.Linear(3, 3))


def whole_numbers():
    module = nn.Linear(3, 3, **DOUBLE)
    module.count = nn.Parameter(torch.zeros(2, dtype=torch.int64), requires_grad=False)
    return module


def frozen():
    return nn.Linear(3, 3, **DOUBLE).requires_grad_(False)


def dropout():
    return nn.Sequential(nn.Linear(3, 3, **DOUBLE), nn.Dropout(0.5))


def normalised():
    return nn.Sequential(nn.Linear(3, 3, **DOUBLE), nn.BatchNorm1d(3, **DOUBLE))


def not_finite():
    module = nn.Linear(3, 3, **DOUBLE)
    nn.init.constant_(module.bias, np.nan)
    return module


@pytest.mark.parametrize("module, words", [
    (lambda: 5, "module must be a torch.nn.Module, got 5"),
    (lambda: nn.Linear, r"module must be a torch.nn.Module, got <class.*; Linear\(...\) makes one"),
    (nn.Tanh, "module must have parameters that require gradients, got Tanh with none"),
    (frozen, "module must have parameters that require gradients, got Linear with frozen ones alone"),
    (mixed, "module must have parameters of one dtype, got float32 and float64"),
    (whole_numbers, "module must have parameters of float32 or float64, got count of int64"),
    (lambda: nn.Linear(3, 3, dtype=torch.float16), "module must have parameters of float32 or float64, got weight of"),
    (lambda: nn.LazyLinear(3), "module must know its shapes, and weight does not: call it once on data"),
    (dropout, r"module must give one loss at the same parameters, and gave .* call module.eval\(\) first"),
    (normalised, r"module must leave its buffers as they are, and moves 1.running_mean .*call module.eval\(\) first"),
    (not_finite, "module's parameters must be finite, got nan in it"),
])
def test_modules_that_are_no_function_of_their_parameters(module, words):
    with pytest.raises((TypeError, ValueError), match=f"^{words}"):
        oo.Problem.from_torch(module(), nn.MSELoss(), (X, Y))


@pytest.mark.parametrize("module", [dropout, normalised])
def test_the_same_modules_in_evaluation_mode(module):
    problem = oo.Problem.from_torch(module().eval(), nn.MSELoss(), (X, Y))
    assert problem.samples == 12 and problem.check().ok


@pytest.mark.parametrize("loss, words", [
    (5, "loss must be a function loss.output, .targets., got 5"),
    (lambda output, y: output - y, r"loss must return one real number, .* got shape \(12, 3\) of torch.float64"),
    (lambda output, y: 1.0, "loss must return one real number, the mean over the samples, got 1.0"),
    (lambda output, y: y.mean(), "loss must depend on the module's parameters"),
    (lambda output, y: (output - y).sum() * np.inf, "loss must be finite at the module's parameters, got"),
])
def test_losses_that_are_none(loss, words):
    with pytest.raises((TypeError, ValueError), match=f"^{words}"):
        oo.Problem.from_torch(nn.Linear(3, 3, **DOUBLE), loss, (X, Y))


@pytest.mark.parametrize("data, words", [
    ((X, Y[:-1]), "data must have one length along the first axis, that of the samples, got 12 and 11"),
    ((X[:0], Y[:0]), "data must have one length along the first axis"),
    ((X, 3.0), "data must have one length along the first axis"),
    ((np.where(X > 1, np.nan, X), Y), "data must be finite, got nan in it"),
    ((torch.tensor(X) / 0, Y), "data must be finite"),
    ("images", "data must be a tensor, an array or a tuple of them"),
    ((), "data must be a tensor, an array or a tuple of them"),
    ((X, ["a"] * 12), "data must be an array or a tuple of arrays of real numbers"),
    ((X, [[1.0], [1.0, 2.0]] * 6), "data must be an array or a tuple of arrays of real numbers"),
    ((np.ma.masked_less(X, 0), Y), "data must hold numbers, got masked values"),
    ((X[:, :2], Y), "module and loss must take the data, and gave RuntimeError: mat1 and mat2 shapes"),
    ((np.ones((12, 3), np.uint8), Y), "module and loss must take the data, and gave RuntimeError: .* dtype"),
    (torch.utils.data.DataLoader([1, 2]), "data must be a tensor, an array or a tuple of them"),
])
def test_data_that_are_none(data, words):
    with pytest.raises((TypeError, ValueError), match=f"^{words}"):
        oo.Problem.from_torch(nn.Linear(3, 3, **DOUBLE), nn.MSELoss(), data)


def test_classes_may_be_small_integers():
    module, labels = nn.Linear(3, 3, **DOUBLE), np.arange(12) % 3
    values = {oo.Problem.from_torch(module, nn.CrossEntropyLoss(), (X, labels.astype(kind))).fun(np.ones(12))
              for kind in (np.int64, np.int32, np.uint8)}
    assert len(values) == 1


class Fixed(nn.Linear):
    """A module for one number of samples."""

    def forward(self, x):
        return super().forward(x).reshape(12, 3)


def test_a_module_that_takes_all_samples_only():
    with pytest.warns(RuntimeWarning, match="no mini-batches: a half of them gave RuntimeError: shape"):
        problem = oo.Problem.from_torch(Fixed(3, 3, **DOUBLE), nn.MSELoss(), (X, Y))
    assert problem.samples == 0 and problem.check().ok


def test_a_sum_has_no_mini_batches_and_says_so():
    with pytest.warns(RuntimeWarning, match="loss is no mean over the samples, so there are no mini-batches") as told:
        problem = oo.Problem.from_torch(nn.Linear(3, 3, **DOUBLE), nn.MSELoss(reduction="sum"), (X, Y))
    assert told[0].filename == __file__ and problem.fgb is None and problem.check().ok
    pickle.loads(pickle.dumps(problem))  # says it no more
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    named = oo.Problem.from_torch(nn.Linear(3, 3, **DOUBLE), nn.MSELoss(), data, name="least squares")
    assert named.name == "least squares" and named.samples == 12
    with pytest.raises(TypeError, match="name must be a string, got 5"):
        oo.Problem.from_torch(nn.Linear(3, 3, **DOUBLE), nn.MSELoss(), data, name=5)
