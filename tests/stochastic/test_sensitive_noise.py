"""Paths, noise and integrators of SDEs step by step: what a slip in a loop or a threshold would move."""

import itertools
import json

import numpy as np
import pytest

import odeopt as oo
from odeopt import checks
from odeopt import stochastic as st
from odeopt.abi import kernel
from odeopt.stochastic.noise import covariance_factor
from odeopt.stochastic.paths import cut_short, recorded_steps
from odeopt.stochastic.sde import SDE, modified_gradient_flow, one_step

LINE = oo.problems.quadratic([2.0], x0=[1.0])
PLANE = oo.problems.quadratic([3.0, 1.0], x0=[1.0, -2.0])
PLAIN = oo.Problem(lambda x: float(x @ x), lambda x: 2 * x, x0=[1.0], hess=lambda x: np.array([[2.0]]))


def drawn(seed, paths, count, size):
    """The numbers of each path's stream."""
    return np.array([np.random.Generator(np.random.PCG64(child)).standard_normal((count, size))
                     for child in np.random.SeedSequence(seed).spawn(paths)])


@pytest.mark.parametrize("problem", [LINE, PLAIN], ids=["compiled", "plain"])
@pytest.mark.parametrize(("steps", "every"), [(20, 6), (18, 6), (5, None), (7, 1)])
def test_scheduled_paths_with_noise_that_grows_and_their_averages(problem, steps, every):
    """x+ = x - lr_k (2 x + sqrt(0.3 + 0.5 x^2) xi) with lr_k = 0.2/(1 + k); the average from step 4 on."""
    schedule, rates = oo.schedules.table(1 / (1.0 + np.arange(steps))), 0.2 / (1.0 + np.arange(steps))
    noise = st.diagonal_multiplicative(0.3, 0.5)
    run = st.sample(oo.GradientDescent(0.2), problem, noise, steps=steps, paths=3, seed=4,
                    every=every, schedule=schedule, average_from=4)
    kept = sorted({*range(0, steps + 1, every or steps), steps})
    assert run.k.tolist() == kept and recorded_steps(steps, every or 0, 3, 1).tolist() == kept
    np.testing.assert_allclose(run.t, 0.2 * run.k, rtol=1e-15)
    for i, xi in enumerate(drawn(4, 3, steps, 1)[:, :, 0]):
        x = [1.0]
        for k in range(steps):
            x.append(x[-1] - rates[k] * (2 * x[-1] + np.sqrt(0.3 + 0.5 * x[-1] ** 2) * xi[k]))
        np.testing.assert_allclose(run.x[i, :, 0], np.array(x)[kept], rtol=1e-12)
        np.testing.assert_allclose(run.mean[i, 0], np.mean(x[4:]), rtol=1e-12)
        np.testing.assert_allclose(run.final["t"][i], rates.sum(), rtol=1e-13)
    given = (oo.GradientDescent(0.2), problem, noise)
    part = st.sample(*given, steps=2, paths=3, seed=4, schedule=schedule, every=every, average_from=4)
    joined = st.sample(*given, steps=steps - 2, schedule=schedule, resume=part)
    np.testing.assert_allclose(joined.final["t"], rates.sum(), rtol=1e-13)


def test_a_path_stops_in_the_step_that_leaves_the_numbers():
    """x+ = -2 x from 1: 2^1023 is the last power of 2; and a time that is not finite."""
    growing = st.sample(oo.GradientDescent(1.5), LINE, steps=1100, every=1)
    f_ends = 512  # f = x^2 overflows at x = 2^512, seen in the step after
    assert growing.stopped.tolist() == [f_ends + 1] and growing.status == "diverged"
    assert growing.x[0, f_ends, 0] == 2.0**512 and np.isnan(growing.x[0, f_ends + 1 :]).all()
    flat = oo.problems.quadratic([1.0], x0=[0.0])
    late = st.sample(oo.GradientDescent(1.5e308), flat, steps=1, every=1)
    assert late.stopped.tolist() == [-1] and late.final["t"][0] == 1.5e308
    rates = oo.schedules.table([1.0, 1.7])  # the times add up to 2.16e308
    late = st.sample(oo.GradientDescent(8e307), flat, steps=2, every=1, schedule=rates)
    assert late.stopped.tolist() == [2]
    again = st.simulate(st.sde(oo.GradientDescent(1.0)), LINE, st.gaussian(0.0), steps=2000, h=2.0, every=1,
                        scheme="euler_maruyama")
    # x+ = x - 4 x: 3^645 < 2^1024 < 4 * 3^645
    assert again.stopped.tolist() == [646] and again.x[0, 645, 0] == pytest.approx(-(3.0**645), rel=1e-12)


@kernel
def clock(fg, hv, data, t, p, z, dz):
    dz[0, :] = t


def test_the_drift_is_taken_at_the_times_of_the_stages():
    flow, quiet = oo.flows.Flow("clock", "x' = t", clock, {}), st.gaussian(0.0)
    for scheme, sums in (("euler_maruyama", lambda k: 0.25**2 * k * (k - 1) / 2),
                         ("weak_second_order", lambda k: 0.5 * (0.25 * k) ** 2)):
        run = st.simulate(SDE(flow, 1.0, 0, 1.0), LINE, quiet, [0.0], 11, every=3, scheme=scheme)
        assert run.k.tolist() == [0, 3, 6, 9, 11] and run.t.tolist() == (0.25 * run.k).tolist()  # a quarter of h
        np.testing.assert_allclose(run.x[0, :, 0], sums(run.k), rtol=1e-14, atol=0)


@pytest.mark.parametrize("problem", [LINE, PLAIN], ids=["compiled", "plain"])
def test_integrators_with_multiplicative_noise_are_their_formulas(problem):
    """Kloeden, Platen (1992), 10.2.4 and, in one dimension, 15.1.1: values of b beside the path for its derivative."""
    a, c, h, steps = 0.3, 0.5, 0.05, 13
    equation, noise = st.sde(oo.GradientDescent(0.2)), st.diagonal_multiplicative(a, c)

    def b(x):
        return np.sqrt(0.2) * np.sqrt(a + c * x * x)

    for scheme in ("euler_maruyama", "weak_second_order"):
        run = st.simulate(equation, problem, noise, steps=steps, h=h, scheme=scheme, paths=2, seed=9, every=4)
        for i, xi in enumerate(drawn(9, 2, steps, 1)[:, :, 0]):
            x = [1.0]
            for w in np.sqrt(h) * xi:
                y = x[-1]
                if scheme == "euler_maruyama":
                    x.append(y - 2 * y * h + b(y) * w)
                    continue
                ahead = y - 2 * y * h
                up, down = ahead + b(y) * np.sqrt(h), ahead - b(y) * np.sqrt(h)
                x.append(y + 0.5 * h * (-2 * (ahead + b(y) * w) - 2 * y) + 0.25 * (b(up) + b(down) + 2 * b(y)) * w
                         + 0.25 * (b(up) - b(down)) * (w * w - h) / np.sqrt(h))
            np.testing.assert_allclose(run.x[i, :, 0], np.array(x)[run.k], rtol=1e-12)


def test_noise_in_a_velocity_is_taken_where_the_position_goes():
    """Row 1: b does not feel the velocity, so the displaced points are those of the position alone."""
    momentum, h, x, v, xi = oo.Momentum(0.04, 0.5), 0.1, 1.0, -0.7, 0.8
    equation, noise = st.sde(momentum), st.diagonal_multiplicative(0.3, 0.5)
    friction = 0.5 / 0.2
    z = one_step(equation, LINE, noise, [[x], [v]], [xi], h)

    def b(at):
        return np.sqrt(0.2) * np.sqrt(0.3 + 0.5 * at * at)

    def field(x, v):
        return v, -friction * v - 2 * x

    first = field(x, v)
    kick = np.sqrt(h) * xi
    second = field(x + h * first[0], v + h * first[1] + b(x) * kick)
    assert z[0, 0] == pytest.approx(x + 0.5 * h * (first[0] + second[0]), rel=1e-13)
    ahead = b(x + h * first[0])
    expected = v + 0.5 * h * (first[1] + second[1]) + (0.5 * ahead + 0.5 * b(x)) * kick
    assert z[1, 0] == pytest.approx(expected, rel=1e-13)


def test_the_modified_drift_is_the_gradient_of_its_potential():
    """-grad(F + (h/4)|grad F|^2), F = f + (d/2)|x|^2, on curvatures c: -(c + d)(1 + h (c + d)/2) x."""
    c, d, h, x = np.array([3.0, 1.0]), 0.4, 0.3, np.array([0.7, -2.0])
    for flow in (modified_gradient_flow(h, d), st.sde(oo.GradientDescent(h, weight_decay=d), 2).flow):
        found = flow.field(PLANE)(0.0, x[None])[0]
        np.testing.assert_allclose(found, -(c + d) * (1 + 0.5 * h * (c + d)) * x, rtol=1e-13)
    first = st.sde(oo.GradientDescent(h, weight_decay=d)).flow.field(PLANE)(0.0, x[None])[0]
    np.testing.assert_allclose(first, -(c + d) * x, rtol=1e-14)
    for order in (1, 2):
        assert st.sde(oo.GradientDescent(h, weight_decay=d), order).strength == pytest.approx(np.sqrt(h), rel=1e-15)


def test_strengths_are_the_root_of_the_step_times_what_the_gradient_enters_with():
    for optimizer, strength, row in ((oo.GradientDescent(0.09), 0.3, 0), (oo.Momentum(0.09, 0.8), np.sqrt(0.3), 1),
                                     (oo.Nesterov(0.09, momentum=0.8), np.sqrt(0.3), 1)):
        equation = st.sde(optimizer)
        assert (equation.strength, equation.row) == (pytest.approx(strength, rel=1e-14), row)
        assert equation.h == pytest.approx(strength**2, rel=1e-14)
    ema = oo.Momentum(0.09, 0.8, form="ema")
    assert st.sde(ema).strength == pytest.approx(np.sqrt(ema.h) * 0.2 / ema.h, rel=1e-14)


def test_covariances_are_judged_to_ten_digits_and_keep_what_is_above_round_off():
    for skew, good in ((0.9e-10, True), (1.1e-10, False)):
        matrix = 3 * np.array([[1.0, 0.5], [0.5 + skew, 1.0]])
        if good:
            factor = covariance_factor(matrix)
            np.testing.assert_allclose(factor @ factor.T, 0.5 * (matrix + matrix.T), rtol=1e-12)
        else:
            with pytest.raises(ValueError, match="symmetric"):
                covariance_factor(matrix)
    assert covariance_factor(3 * np.diag([1.0, -0.9e-10])).shape == (2, 1)
    with pytest.raises(ValueError, match="semi-definite"):
        covariance_factor(3 * np.diag([1.0, -1.1e-10]))
    for least, rank in ((1.1e-14, 2), (0.9e-14, 1)):
        for size in (1.0, 1e-40, 1e40):
            assert covariance_factor(size * np.diag([1.0, least])).shape == (2, rank)


def test_batches_of_two_samples_and_of_one():
    """Both samples without replacement have no variance; one of them has that of the population."""
    @kernel
    def fgb(x, g, data, batch):
        total = 0.0
        for i in batch:
            total += data[i]
        g[0] = x[0] - total / batch.size
        return 0.5 * x[0] * x[0] - x[0] * total / batch.size

    @kernel
    def fg(x, g, data):
        g[0] = x[0] - 0.5 * (data[0] + data[1])
        return 0.5 * x[0] * x[0] - x[0] * 0.5 * (data[0] + data[1])

    pair = oo.Problem.from_kernels("pair", fg, None, dim=1, x0=[0.0], fgb=fgb, samples=2, data=np.array([1.0, 4.0]))
    for batch, variance in ((st.Minibatch(1), 2.25), (st.Minibatch(2), 0.0), (st.Minibatch(2, True), 1.125)):
        assert st.batch_covariance(pair, [0.3], batch)[0, 0] == pytest.approx(variance, rel=1e-12)
    run = st.sample(oo.GradientDescent(1.0), pair, st.Minibatch(1), steps=8, every=1)
    seen = run.x[0, 1:, 0].reshape(4, 2)  # lr 1: the iterate is the sample
    assert (np.sort(seen, axis=1) == [1.0, 4.0]).all()


def test_a_schedule_is_looked_at_from_where_the_paths_go_on():
    """A momentum that leaves its interval in step 5 ends the run there, also one that is resumed."""
    leaving = oo.schedules.table([1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 1.0, 1.0], drives="momentum")
    given = (oo.Momentum(0.1, 0.5), LINE, st.gaussian(1.0))
    run = st.sample(*given, steps=8, schedule=leaving)
    assert run.status == "stalled" and run.final["k"] == 5
    part = st.sample(*given, steps=3, schedule=leaving)
    again = st.sample(*given, steps=5, schedule=leaving, resume=part)
    assert again.status == "stalled" and again.final["k"] == 5
    np.testing.assert_array_equal(again.end, run.end)
    with pytest.raises(ValueError, match="at step 5"):
        st.sample(*given, steps=5, schedule=leaving, resume=run)


@kernel
def turning(x, xi, out, c):
    """Three columns in the plane, no two of which commute."""
    out[0] = x[1] * xi[0] + 0.3 * x[0] * xi[1] + xi[2] * (x[0] + x[1])
    out[1] = 0.7 * x[1] * xi[1] - x[0] * xi[2]


def test_each_pair_of_columns_has_a_sign_of_its_own():
    """Kloeden, Platen (1992), 15.1.3: V_rj = +-1 for each r < j, the last m (m - 1)/2 entries of xi."""
    equation, noise = st.sde(oo.GradientDescent(0.3)), st.state_dependent(turning, dim=2, size=3)
    ends = {tuple(one_step(equation, PLANE, noise, [[1.0, 2.0]], [0.3, -0.8, 1.1, *signs], 0.1)[0])
            for signs in itertools.product((-1.0, 1.0), repeat=3)}
    assert len(ends) == 8


def test_records_that_no_memory_holds_are_refused():
    with pytest.raises(ValueError, match="paths, steps and every"):
        recorded_steps(10**5, 1, 1, 10**12)
    assert recorded_steps(10**5, 0, 1, 10**3).tolist() == [0, 10**5]


def test_a_coordinate_may_be_without_noise():
    for covariance in ([2.0, 0.0], np.diag([2.0, 0.0])):
        np.testing.assert_allclose(st.gaussian(covariance).covariance([0.3, 1.0]), np.diag([2.0, 0.0]), atol=1e-15)
    assert not st.gaussian(np.zeros((2, 2))).covariance([0.3, 1.0]).any()


@pytest.mark.parametrize(("word", "most"), [(4, 1), (5, 2**32 - 1)])
def test_states_of_generators_are_within_their_ranges(word, most):
    """Whether half of a word is left over, and that half: 32 bits."""
    given = (oo.GradientDescent(0.1), LINE, st.gaussian(1.0))
    run = st.sample(*given, steps=3, paths=2)
    run.final["streams"][1, word] = most
    assert st.sample(*given, steps=1, resume=run).k[-1] == 4
    run.final["streams"][1, word] = most + 1
    with pytest.raises(ValueError, match="resume must hold states of PCG64 generators"):
        st.sample(*given, steps=1, resume=run)


def test_what_is_given_to_a_resumed_run_is_what_it_had():
    given = (oo.GradientDescent(0.1), LINE, st.gaussian(1.0))
    run = st.sample(*given, steps=4, paths=3, every=2, average_from=1)
    kept = {"paths": 3, "every": 2, "average_from": 1}
    assert st.sample(*given, steps=1, resume=run, **kept).final["k"] == 5
    for name, value in kept.items():
        with pytest.raises(ValueError, match=f"resume must keep {name} = {value}, got {value + 1}"):
            st.sample(*given, steps=1, resume=run, **{name: value + 1})


def test_the_memory_that_is_asked_for_is_that_of_records_and_paths(monkeypatch):
    asked = []
    monkeypatch.setattr("odeopt.checks.memory", lambda what, size: asked.append(size))
    for last, every, paths, dim, count in ((20, 6, 3, 2, 5), (18, 6, 7, 1, 4), (10**6, 0, 10**5, 4, 2)):
        assert recorded_steps(last, every, paths, dim).size == count
        assert asked.pop() == paths * (2000 + 8 * dim * count)


@pytest.mark.parametrize("problem", [LINE, PLAIN], ids=["compiled", "plain"])
def test_paths_that_go_on_have_not_stopped_and_a_bar_counts_their_steps(problem, monkeypatch):
    class Bar:
        """What is shown."""

        def __init__(self, wanted, total, **_):
            self.wanted, self.total, self.n, self.seen = wanted, total, 0, []
            bars.append(self)

        def update(self, n):
            self.n += n
            self.seen.append(self.n)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    bars: list[Bar] = []
    monkeypatch.setattr("odeopt.stochastic.streams.progress_bar", Bar)
    run = st.simulate(st.sde(oo.GradientDescent(0.1)), problem, st.gaussian(1.0), steps=300, paths=3, progress=True)
    assert run.stopped.tolist() == [-1, -1, -1] and run.status == "completed"
    part = st.sample(oo.GradientDescent(0.1), problem, st.gaussian(1.0), steps=200, paths=2)
    assert part.stopped.tolist() == [-1, -1]
    st.sample(oo.GradientDescent(0.1), problem, st.gaussian(1.0), steps=100, resume=part, progress=True)
    assert [(bar.wanted, bar.total) for bar in bars] == [(True, 900), (False, 400), (True, 200)]
    for bar, paths in zip(bars, (3, 2, 2)):
        assert bar.n == bar.total and bar.seen[0] == 64 * paths  # after the first round, and as they go on
        assert len(bar.seen) > 1 and bar.seen == sorted(bar.seen)


@pytest.mark.parametrize("scheme", ["weak_second_order", "euler_maruyama"])
def test_simulated_paths_are_single_steps_one_after_the_other(scheme):
    """Columns that do not commute take 3 + 3 numbers a step, in Euler-Maruyama 3; additive noise as many as it has."""
    equation = st.sde(oo.GradientDescent(0.3))
    for noise, numbers in ((st.state_dependent(turning, dim=2, size=3), 6 if scheme == "weak_second_order" else 3),
                           (st.gaussian([[2.0, 0.3], [0.3, 1.0]]), 2)):
        run = st.simulate(equation, PLANE, noise, [1.0, 2.0], 3, 0.07, scheme=scheme, seed=5, paths=2, every=1)
        for i, xi in enumerate(drawn(5, 2, 3, numbers)):
            z = np.array([[1.0, 2.0]])
            for k in range(3):
                z = one_step(equation, PLANE, noise, z, xi[k], 0.07, scheme)
                np.testing.assert_allclose(run.x[i, k + 1], z[0], rtol=1e-13)


def test_files_of_paths_say_their_format(tmp_path):
    run = st.sample(oo.GradientDescent(0.1), LINE, st.gaussian(1.0), steps=2)
    run.save(tmp_path / "paths.npz")
    with np.load(tmp_path / "paths.npz") as file:
        assert json.loads(str(file["words"]))["format"] == 2  # another one refuses the files that there are


def test_records_of_an_interrupted_run_end_where_it_did():
    k, x, end = np.array([0, 3, 6, 9]), np.arange(16.0).reshape(2, 4, 2), np.full((2, 2), 7.0)
    for last, kept in ((6, [0, 3, 6]), (8, [0, 3, 6, 8]), (2, [0, 2])):
        found, records = cut_short(k, x, last, end, np.array([-1, 5]))
        assert found.tolist() == kept
        np.testing.assert_array_equal(records[:, : (k <= last).sum()], x[:, k <= last])
        if kept[-1] not in k:
            np.testing.assert_array_equal(records[:, -1], [[7.0, 7.0], [np.nan, np.nan]])


@pytest.mark.parametrize(("problem", "noise"), [
    (LINE, st.gaussian(1.0)), (PLAIN, st.gaussian(1.0)), (None, st.Minibatch(2)), (LINE, None)],
    ids=["compiled", "plain", "batches", "no noise"])
def test_paths_in_blocks_pieces_and_rounds_are_those_of_one_loop(problem, noise, monkeypatch):
    """Eight paths by three, four steps at a time, in rounds of 7 and 33; and the same in an SDE."""
    for name, value in (("BLOCK_PATHS", 3), ("BLOCK_NUMBERS", 12), ("FIRST_ROUND", 7)):
        monkeypatch.setattr(f"odeopt.stochastic.streams.{name}", value)
    if isinstance(noise, st.Minibatch):
        targets = np.array([1.0, 4.0, -2.0, 0.5, 3.0])
        problem = oo.Problem(lambda x: float(((x[0] - targets) ** 2).mean()), x0=[1.0], samples=5, batch=lambda x, i: (
            float(((x[0] - targets[i]) ** 2).mean()), 2 * (x - targets[i].mean())))
    run = st.sample(oo.GradientDescent(0.1), problem, noise, steps=40, paths=8, seed=3, every=9, threads=2)
    xi, x, found = drawn(3, 8, 40, 1)[:, :, 0], np.ones(8), [np.ones(8)]
    orders = [np.random.Generator(np.random.PCG64(child)) for child in np.random.SeedSequence(3).spawn(8)]
    batches = np.array([np.concatenate([one.permutation(5)[:4].reshape(2, 2) for _ in range(20)]) for one in orders])
    for k in range(40):
        push = xi[:, k] if isinstance(noise, st.Noise) else 0.0
        if isinstance(noise, st.Minibatch):
            push = -2 * targets[batches[:, k]].mean(axis=1)
        x = x - 0.1 * (2 * x + push)
        found.append(x)
    np.testing.assert_allclose(run.x[:, :, 0], np.array(found)[run.k].T, rtol=1e-12)
    assert run.k.tolist() == [0, 9, 18, 27, 36, 40]
    if isinstance(noise, st.Noise):
        run = st.simulate(st.sde(oo.GradientDescent(0.1)), problem, noise, steps=40, h=0.1, paths=8, seed=3,
                          scheme="euler_maruyama", every=9)
        x = np.ones(8)
        for k in range(40):
            x = x - 0.1 * 2 * x + 0.1 * xi[:, k]
        np.testing.assert_allclose(run.end[:, 0], x, rtol=1e-12)


def test_a_resumed_run_may_be_told_its_seed_and_start_but_no_others():
    given, slots = (oo.Momentum(0.1, 0.5), LINE, st.gaussian(1.0)), np.array([[0.3]])
    run = st.sample(*given, steps=3, paths=2, seed=4, start=slots)
    assert st.sample(*given, steps=1, resume=run, seed=4, start=slots).final["k"] == 4
    for more, words in ((dict(seed=5), "seed"), (dict(start=2 * slots), "start"), (dict(start="consistent"), "start")):
        with pytest.raises(ValueError, match=f"resume must come from the same {words}"):
            st.sample(*given, steps=1, resume=run, **more)
    most = checks.LARGEST - 1 - 3
    with pytest.raises(ValueError, match=f"steps must be at most {most}, got"):
        st.sample(*given, steps=most + 1, resume=run)
