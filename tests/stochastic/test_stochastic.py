"""Noise, ensembles and SDE integrators: streams, threads, resume, laws of the draws, bad input."""

import itertools

import numpy as np
import pytest
from scipy.linalg import expm

import odeopt as oo
from odeopt import stochastic as st
from odeopt.abi import kernel
from odeopt.stochastic.loops import noise_size
from odeopt.stochastic.sde import one_step
from odeopt.stochastic.streams import Streams

QUADRATIC = oo.problems.quadratic([3.0, 1.0], angle=0.4)
COVARIANCE = np.array([[1.0, 0.5], [0.5, 2.0]])
NOISE = st.gaussian(COVARIANCE)
DIGITS = oo.problems.digits_logistic(part="train")


@pytest.mark.parametrize("name", [n for n, cls in oo.optimizers.ALL.items() if not getattr(cls, "is_wrapper", False)])
def test_without_noise_it_is_the_recorder(name):
    cls = oo.optimizers.ALL[name]
    optimizer = cls(tol=0.01) if name == "errorcontrolledeuler" else cls(lr=0.01)
    run = oo.record(optimizer, QUADRATIC, steps=50)
    sample = st.sample(optimizer, QUADRATIC, steps=50, every=1, paths=2)
    np.testing.assert_array_equal(sample.x[0], run.x)
    np.testing.assert_array_equal(sample.x[1], run.x)
    np.testing.assert_allclose(sample.final["t"], run.t[-1], rtol=1e-13)
    if cls.full_batch_only:
        with pytest.raises(ValueError, match="exact gradients"):
            st.sample(optimizer, QUADRATIC, NOISE)


def test_a_path_is_its_spawned_stream():
    """The loop, written out in numpy with the child that SeedSequence.spawn gives."""
    optimizer, steps = oo.GradientDescent(0.1), 40
    ensemble = st.sample(optimizer, QUADRATIC, NOISE, steps=steps, paths=3, seed=7, every=1)
    for child, path in zip(np.random.SeedSequence(7).spawn(3), ensemble.x):
        rng = np.random.Generator(np.random.PCG64(child))
        x = QUADRATIC.x0.copy()
        factor = NOISE.factor(x)
        for k in range(steps):
            x = x - 0.1 * (QUADRATIC.grad(x) + factor @ rng.standard_normal(2))
            np.testing.assert_allclose(path[k + 1], x, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("noise", [NOISE, st.Minibatch(100), st.Minibatch(100, replacement=True)], ids=repr)
def test_threads_cuts_and_company_do_not_matter(noise, tmp_path):
    problem = DIGITS if isinstance(noise, st.Minibatch) else QUADRATIC
    optimizer = oo.Momentum(0.05)
    whole = st.sample(optimizer, problem, noise, steps=37, paths=5, seed=3, every=5, threads=1, average_from=11)
    for other in (
        st.sample(optimizer, problem, noise, steps=37, paths=5, seed=3, every=5, threads=4, average_from=11),
        st.sample(optimizer, problem, noise, steps=37, paths=9, seed=3, every=5, threads=3, average_from=11),
    ):
        np.testing.assert_array_equal(other.x[:5], whole.x)
        np.testing.assert_array_equal(other.mean[:5], whole.mean)
    part = st.sample(optimizer, problem, noise, steps=18, paths=5, seed=3, every=5, average_from=11)
    part.save(tmp_path / "part.npz")
    joined = st.sample(optimizer, problem, noise, steps=19, resume=st.Paths.load(tmp_path / "part.npz"), threads=2)
    for name in ("k", "x", "mean", "stopped"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))
    np.testing.assert_array_equal(joined.final["s"], whole.final["s"])


def test_an_epoch_is_a_permutation_and_batches_cover_the_law():
    streams = Streams(0, 1, st.Minibatch(100), DIGITS)
    rows, whole = slice(0, 1), DIGITS.samples // 100
    first = streams.batches(rows, whole)[0].ravel()
    second = np.concatenate([streams.batches(rows, 5)[0].ravel(), streams.batches(rows, whole - 5)[0].ravel()])
    for epoch in (first, second):
        assert np.unique(epoch).size == epoch.size == whole * 100
    assert (first != second).any()
    with_replacement = Streams(0, 1, st.Minibatch(100, True), DIGITS).batches(rows, 200)[0]
    counts = np.bincount(with_replacement.ravel(), minlength=DIGITS.samples)
    expected = with_replacement.size / DIGITS.samples
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi2 - (DIGITS.samples - 1)) < 4 * np.sqrt(2 * DIGITS.samples)


def test_one_epoch_without_replacement_sums_to_the_full_gradient():
    """With lr -> 0 the batches of an epoch see one x, and their mean is the gradient over those samples."""
    batches = Streams(4, 1, st.Minibatch(7), DIGITS).batches(slice(0, 1), DIGITS.samples // 7)[0]
    x = 0.1 * np.sin(np.arange(DIGITS.dim))
    mean = np.mean([DIGITS.value_and_grad(x, b)[1] for b in batches], axis=0)
    np.testing.assert_allclose(mean, DIGITS.grad(x), atol=1e-12)  # 1,442 = 7 * 206: every sample once


@kernel
def _shifted_fg(x, g, data):
    """Mean of (c x'x - 2 a_i x)/2 over the samples; data = (number, curvatures (2,), a_i (number, 2))."""
    return _shifted_fgb(x, g, data, np.arange(int(data[0])))


@kernel
def _shifted_fgb(x, g, data, batch):
    f = 0.0
    for j in range(2):
        mean = 0.0
        for i in batch:
            mean += data[3 + 2 * i + j]
        mean /= batch.size
        g[j] = data[1 + j] * x[j] - mean
        f += 0.5 * data[1 + j] * x[j] * x[j] - mean * x[j]
    return f


def test_epochs_without_replacement_are_anticorrelated_and_quiet_in_flat_directions():
    """arXiv:2306.05300: batches of one epoch have the correlation -1/(n - 1), so at its end the variance is
    lr^2 C [S2 - (S1^2 - S2)/(n - 1)]/(1 - q^(2 n)), S1, S2 the sums of q^j, q^(2 j), q = 1 - lr c."""
    samples, size, lr, c = 32, 4, 0.2, np.array([0.02, 5.0])
    a = np.random.default_rng(0).standard_normal((samples, 2))
    a -= a.mean(axis=0)
    problem = oo.Problem.from_kernels("shifted", _shifted_fg, None, dim=2, x0=[0.0, 0.0], fgb=_shifted_fgb,
                                      samples=samples, data=np.concatenate([[samples], c, a.ravel()]))
    n, q = samples // size, 1 - lr * c
    spread = (a * a).mean(axis=0)
    once, again = spread * (samples - size) / (size * (samples - 1)), spread / size
    s1, s2 = (sum(q ** (i * j) for j in range(n)) for i in (1, 2))
    exact = {False: lr**2 * once * (s2 - (s1**2 - s2) / (n - 1)) / (1 - q ** (2 * n)),
             True: lr**2 * again / (1 - q * q)}
    for replacement, variance in exact.items():
        run = st.sample(oo.GradientDescent(lr), problem, st.Minibatch(size, replacement), steps=n * 100, paths=1500)
        found = run.end.var(axis=0)
        assert (np.abs(found / variance - 1) < 5 * np.sqrt(2 / 1500)).all()
    assert exact[False][0] < 0.02 * exact[True][0] and exact[False][1] > 0.7 * exact[True][1]


@pytest.mark.parametrize("batch", [st.Minibatch(10, True), st.Minibatch(10), st.Minibatch(300)], ids=repr)
def test_covariance_of_a_batch_gradient(batch):
    """Total variance of 400 batch gradients against the formula; the whole data set has none."""
    problem = oo.problems.digits_logistic(part="test")
    x = 0.1 * np.sin(np.arange(problem.dim))
    exact = st.batch_covariance(problem, x, batch)
    rows = Streams(3, 400, batch, problem).batches(slice(0, 400), 1)[:, 0]
    squares = np.array([((problem.value_and_grad(x, b)[1] - problem.grad(x)) ** 2).sum() for b in rows])
    assert abs(squares.mean() - np.trace(exact)) < 4 * squares.std() / 20
    assert np.abs(st.batch_covariance(problem, x, st.Minibatch(problem.samples))).max() < 1e-18


@pytest.mark.parametrize("noise, x", [
    (NOISE, [0.3, -1.0]), (st.gaussian([2.0, 0.5]), [0.3, -1.0]), (st.gaussian(1.5), [0.3, -1.0]),
    (st.gaussian(np.ones((2, 2))), [0.3, -1.0]), (st.diagonal_multiplicative(0.5, 2.0), [0.3, -1.0]),
    (st.tangent(1.3), [0.3, -1.0, 2.0]),
], ids=repr)  # fmt: skip
def test_the_noise_has_its_covariance(noise, x):
    x = np.array(x)
    expected = {
        "gaussian": lambda: (COVARIANCE if noise is NOISE else np.diag([2.0, 0.5]) if noise.size == 2
                             else np.ones((2, 2))),
        "1.5 I": lambda: 1.5 * np.eye(2),
        "diag(0.5 + 2 x^2)": lambda: np.diag(0.5 + 2 * x**2),
        "tangent": lambda: 1.3**2 / (x @ x) / (x.size - 1) * (np.eye(x.size) - np.outer(x, x) / (x @ x)),
    }[noise.name]()
    np.testing.assert_allclose(noise.covariance(x), expected, atol=1e-14)


def test_swa_average_is_the_mean_of_the_iterates():
    run = st.sample(oo.GradientDescent(0.1), QUADRATIC, NOISE, steps=60, paths=2, every=1, average_from=20)
    np.testing.assert_allclose(run.mean, run.x[:, 20:].mean(axis=1), rtol=1e-12)
    start = st.sample(oo.GradientDescent(0.1), QUADRATIC, NOISE, steps=60, paths=2, every=1, average_from=0)
    np.testing.assert_allclose(start.mean, start.x.mean(axis=1), rtol=1e-12)


@pytest.mark.parametrize("optimizer", [oo.SWA(oo.GradientDescent(1e-3)), oo.SWA(oo.Momentum(1e-3), start=2),
                                       oo.ScheduleFreeSGD(1e-3), oo.Adam(1e-3)], ids=lambda o: type(o).__name__)
def test_each_path_begins_at_its_own_start(optimizer):
    """The average of the second path began at the start of the first."""
    starts = np.array([[1.0, 1.0], [-2.0, 0.2]])
    paths = st.sample(optimizer, oo.problems.beale(), None, x0=starts, paths=2, steps=3)
    for i, start in enumerate(starts):
        run = oo.record(optimizer, oo.problems.beale(), start, steps=3)
        assert np.array_equal(paths.x[i, -1], run.x[-1]) and np.array_equal(paths.final["s"][i], run.final["s"])



def test_a_python_problem_gives_the_same_paths():
    a = np.array([[3.0, 0.5], [0.5, 1.0]])
    plain = oo.Problem(lambda x: 0.5 * x @ a @ x, grad=lambda x: a @ x, hess=lambda x: a, dim=2)
    from odeopt.studies.noise.stationary import dense_quadratic

    for run in (lambda p: st.sample(oo.Momentum(0.05), p, NOISE, steps=20, paths=2),
                lambda p: st.simulate(st.sde(oo.GradientDescent(0.1), order=2), p, NOISE, steps=20, paths=2)):
        np.testing.assert_allclose(run(plain).end, run(dense_quadratic(a)).end, rtol=1e-12)


def test_a_diverging_path_stops_and_says_where():
    run = st.sample(oo.GradientDescent(3.0), QUADRATIC, NOISE, steps=2000, paths=3, every=100)
    assert run.status == "diverged"
    assert (run.stopped > 100).all() and f"step {run.stopped.min()}" in run.message
    assert np.isfinite(run.x[:, 1]).all() and np.isnan(run.x[:, -1]).all()


def test_seeds_sequences_and_generators():
    one = [st.sample(oo.GradientDescent(0.1), QUADRATIC, NOISE, steps=5, seed=s).end for s in
           (5, np.random.SeedSequence(5))]
    np.testing.assert_array_equal(*one)
    rng = np.random.default_rng(5)
    a, b = (st.sample(oo.GradientDescent(0.1), QUADRATIC, NOISE, steps=5, seed=rng).end for _ in range(2))
    assert (a != b).all()


# Integrators: one step against the exact moments, expectations by quadrature instead of sampling.

POINTS, WEIGHTS = np.polynomial.hermite_e.hermegauss(8)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def expected_second_moment(equation, problem, noise, x, h, scheme):
    """E z z' after one step from x: Gauss-Hermite over the increments, both signs of the two-point variables."""
    m = noise.fitted(x.size)
    signs = 0 if scheme == "euler_maruyama" or noise.additive else m * (m - 1) // 2
    total = np.zeros((x.size, x.size))
    for nodes in itertools.product(range(POINTS.size), repeat=m):
        weight = np.prod(WEIGHTS[list(nodes)])
        for sign in itertools.product((-1.0, 1.0), repeat=signs):
            z = one_step(equation, problem, noise, x[None], np.array([*POINTS[list(nodes)], *sign]), h, scheme)[0]
            total += weight / 2**signs * np.outer(z, z)
    return total


@oo.abi.kernel
def rotation_noise(x, xi, out, c):
    """b_1 = (x_2, 0), b_2 = (0.3 x_1, 0.7 x_2): linear columns that do not commute."""
    out[0] = x[1] * xi[0] + 0.3 * x[0] * xi[1]
    out[1] = 0.7 * x[1] * xi[1]


@pytest.mark.parametrize("scheme, order", [("euler_maruyama", 1), ("weak_second_order", 2)])
def test_one_step_weak_error_with_noise_that_does_not_commute(scheme, order):
    """Second moments of dX = -HX dt + s sum B_j X dW_j are exact: M' = FM + MF' + s^2 sum B_j M B_j'."""
    h_matrix = np.array([[1.0, 0.2], [0.2, 0.5]])
    from odeopt.studies.noise.stationary import dense_quadratic

    problem, equation = dense_quadratic(h_matrix), st.sde(oo.GradientDescent(0.3))
    noise = st.state_dependent(rotation_noise, dim=2, size=2)
    columns = [np.array([[0, 1.0], [0, 0]]), np.array([[0.3, 0], [0, 0.7]])]
    eye = np.eye(2)
    generator = -np.kron(h_matrix, eye) - np.kron(eye, h_matrix) + 0.3 * sum(np.kron(b, b) for b in columns)
    x = np.array([1.0, 2.0])
    hs = 0.1 / 2 ** np.arange(5)
    errors = []
    for h in hs:
        exact = (expm(generator * h) @ np.outer(x, x).ravel()).reshape(2, 2)
        errors.append(np.abs(expected_second_moment(equation, problem, noise, x, h, scheme) - exact).max())
    slopes = np.diff(np.log(errors)) / np.diff(np.log(hs))
    assert abs(slopes[-1] - (order + 1)) < 0.05


@pytest.mark.parametrize("scheme, order", [("euler_maruyama", 1), ("weak_second_order", 2)])
def test_one_step_weak_error_with_scalar_multiplicative_noise(scheme, order):
    problem, noise = oo.problems.quadratic([1.0]), st.diagonal_multiplicative(0.0, 2.0)
    equation, x, hs = st.sde(oo.GradientDescent(0.2)), np.array([1.0]), 0.02 / 2 ** np.arange(5)
    errors = [abs(expected_second_moment(equation, problem, noise, x, h, scheme)[0, 0] - np.exp((-2 + 0.4) * h))
              for h in hs]
    assert abs(np.diff(np.log(errors))[-1] / np.diff(np.log(hs))[-1] - (order + 1)) < 0.05


def test_two_point_variables_are_counted():
    assert [noise_size(m + m * (m - 1) // 2, 0) for m in range(1, 40)] == list(range(1, 40))


def test_simulated_ensemble_has_the_ou_law():
    equation = st.sde(oo.GradientDescent(0.1))
    run = st.simulate(equation, oo.problems.quadratic([1.0]), st.gaussian(1.0), [0.0], 200, h=0.05, paths=4000, seed=1)
    variance = 0.05 * (1 - np.exp(-20.0))
    assert abs(run.end.var(ddof=1) / variance - 1) < 4 * np.sqrt(2 / 4000)


def test_a_million_steps_have_the_exact_variance():
    problem, optimizer = oo.problems.quadratic([1.0]), oo.GradientDescent(0.1)
    run = st.sample(optimizer, problem, st.gaussian(1.0), steps=1_000_000, every=10)
    # var of the time average of x^2 over N steps: 2 s^4 (1 + q^2)/(1 - q^2)/N, q = 0.9
    exact = 0.1 / 1.9
    deviation = exact * np.sqrt(2 * (1 + 0.81) / (1 - 0.81) / 1e6 * 1.2)
    assert abs((run.x[0, 100:] ** 2).mean() - exact) < 4.5 * deviation


BAD = [
    (lambda: st.gaussian([[1.0, 2.0], [2.0, 1.0]]), ValueError, "positive semi-definite, got the eigenvalue -1"),
    (lambda: st.gaussian([[1.0, 2.0], [0.0, 1.0]]), ValueError, "symmetric"),
    (lambda: st.gaussian([[1.0, np.nan], [np.nan, 1.0]]), ValueError, "finite"),
    (lambda: st.gaussian([1.0, -2.0]), ValueError, "variance -2"),
    (lambda: st.gaussian(-1.0), ValueError, "covariance must be in"),
    (lambda: st.gaussian(np.ones((2, 3))), ValueError, "square"),
    (lambda: st.Minibatch(0), ValueError, "size must be at least 1"),
    (lambda: st.Minibatch(4, replacement=2), ValueError, "replacement"),
    (lambda: st.sample(oo.GradientDescent(0.1), DIGITS, st.Minibatch(5000)), ValueError, "at most the 1442 samples"),
    (lambda: st.sample(oo.GradientDescent(0.1), QUADRATIC, st.Minibatch(5)), ValueError, "finite sum"),
    (lambda: st.sample(oo.GradientDescent(0.1), QUADRATIC, st.gaussian(np.eye(3))), ValueError, "dimension 2"),
    (lambda: st.sample(oo.GradientDescent(0.1), QUADRATIC, 1.0), TypeError, "Noise"),
    (lambda: st.sample("gd", QUADRATIC), TypeError, "Optimizer"),
    (lambda: st.sample(oo.GradientDescent(0.1), QUADRATIC, NOISE, np.zeros((3, 2)), paths=2), ValueError, "x0"),
    (lambda: st.sample(oo.GradientDescent(0.1), QUADRATIC, NOISE, paths=0), ValueError, "paths"),
    (lambda: st.sample(oo.GradientDescent(0.1), QUADRATIC, NOISE, seed=-1), ValueError, "seed"),
    (lambda: st.sample(oo.GradientDescent(0.1), QUADRATIC, NOISE, threads=0), ValueError, "threads"),
    (lambda: st.sample(oo.GradientDescent(0.1), QUADRATIC, NOISE, schedule=3), TypeError, "schedule"),
    (lambda: st.state_dependent(lambda x, xi, out, c: None), TypeError, "numba.njit"),
    (lambda: st.sde(oo.Adam(0.1)), ValueError, "the gradient enters linearly"),
    (lambda: st.sde(oo.Momentum(0.1), order=2), ValueError, "modified SDE"),
    (lambda: st.simulate(st.sde(oo.GradientDescent(0.1)), QUADRATIC, NOISE, scheme="heun"), ValueError, "scheme"),
]


@pytest.mark.parametrize("call, error, words", BAD, ids=range(len(BAD)))
def test_bad_input_is_named_in_one_line(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_resuming_something_else_is_refused():
    run = st.sample(oo.GradientDescent(0.1), QUADRATIC, NOISE, steps=5)
    with pytest.raises(ValueError, match="same method"):
        st.sample(oo.GradientDescent(0.2), QUADRATIC, NOISE, steps=5, resume=run)
    with pytest.raises(ValueError, match="same noise"):
        st.sample(oo.GradientDescent(0.1), QUADRATIC, None, steps=5, resume=run)
    with pytest.raises(ValueError, match="same constants"):
        st.sample(oo.GradientDescent(0.1), QUADRATIC, st.gaussian(2 * COVARIANCE), steps=5, resume=run)


@pytest.mark.parametrize("arguments, words", [
    (["stationary", "--paths", "3000"], "agree with the discrete Lyapunov equation"),
    (["stationary", "--paths", "500", "--momentum", "0.5", "--nesterov", "--average", "0"], "agree"),
    (["weak-order"], "on the SDE of gradient descent: weak order"),
    (["norm-equilibrium", "--pairs", "0.1:0.1,0.01:1", "--paths", "3"], "equilibrium"),
], ids=lambda a: a[0] if isinstance(a, list) else "")  # fmt: skip
def test_command_line(arguments, words, capsys, tmp_path):
    from odeopt.cli import main

    assert main(["sde", *arguments, "--out", str(tmp_path)]) == 0
    assert words in capsys.readouterr().out
    assert sorted(f.suffix for f in tmp_path.iterdir()) == [".csv", ".json", ".png"]


@pytest.mark.parametrize("arguments, words", [
    (["stationary", "--lr", "1"], "spectral radius 2"),
    (["stationary", "--variances=-1,1"], "positive semi-definite"),
    (["stationary", "--variances", "1,2,3"], "2 numbers"),
    (["stationary", "--curvatures", "a"], "--curvatures"),
    (["weak-order", "--time", "1.01"], "multiple of the step"),
    (["mixing", "--pairs", "1"], "LR:WD"),
    (["mixing", "--time", "-1"], "must be in (0, inf), got -1"),
    (["stationary", "--paths", "1"], "paths must be at least 2, got 1"),
    (["norm-equilibrium", "--paths", "1"], "paths must be at least 2, got 1"),
], ids=range(9))  # fmt: skip
def test_command_line_refuses(arguments, words, capsys):
    from odeopt.cli import main

    assert main(["sde", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_resume_refuses_another_dimension():
    """One number broadcasts to any dimension."""
    optimizer, problem = oo.GradientDescent(0.1), oo.problems.quadratic
    old = oo.sample(optimizer, problem([1.0]), None, paths=2, steps=2)
    with pytest.raises(ValueError, match="same dimension 3, got 1"):
        oo.sample(optimizer, problem([1.0, 2.0, 3.0]), None, steps=2, resume=old)


def test_a_schedule_that_leaves_the_interval_ends_the_sample():
    grow = oo.schedules.exponential(1.01, drives="beta1")
    adam, beale, noise = oo.Adam(1e-3), oo.problems.beale(), oo.stochastic.gaussian(0.1 * np.eye(2))
    run = oo.sample(adam, beale, noise, steps=300, paths=3, every=4, schedule=grow)
    assert run.status == "stalled" and run.message.startswith("stopped at step 11: schedule must keep beta1 in [0, 1)")
    assert run.k.tolist() == [0, 4, 8, 11] and np.isfinite(run.x).all() and run.final["k"] == 11
    whole = oo.sample(adam, beale, noise, steps=11, paths=3, every=4, schedule=grow)
    assert whole.status == "completed" and np.array_equal(run.x, whole.x)
    with pytest.raises(ValueError, match="schedule must keep beta1 in .* at step 11"):
        oo.sample(adam, beale, noise, steps=1, schedule=grow, resume=run)


def test_flow_times_of_paths_are_finite():
    beale = oo.problems.beale()
    with pytest.raises(ValueError, match="steps times h must be finite"):
        oo.sample(oo.GradientDescent(1e308), beale, steps=30)
    equation = oo.stochastic.sde(oo.GradientDescent(1e-3))
    with pytest.raises(ValueError, match="steps times h must be finite"):
        oo.stochastic.simulate(equation, beale, oo.stochastic.gaussian(np.eye(2)), steps=30, h=1e308)
