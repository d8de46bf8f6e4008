"""Work-precision: costs are counted, errors are the declared flow's, orders show in the slopes."""

import json

import numpy as np
import pytest

import odeopt as oo
from odeopt import flows, schemes
from odeopt.studies.order import work_precision as module
from odeopt.studies.order.convergence import solve

BOWL = oo.problems.sine_bowl()
GRADIENT = flows.gradient_flow()
METHODS = [oo.GradientDescent(0.05), oo.Momentum(0.01), oo.Discretization(GRADIENT, schemes.heun, 3 / 64),
           oo.Discretization(GRADIENT, schemes.dormand_prince, 3 / 16),
           oo.Discretization(GRADIENT, schemes.dormand_prince, 0.1, rtol=1e-3, atol=1e-5), oo.optimizers.Rprop()]


@pytest.fixture(scope="module")
def study():
    return oo.work_precision(METHODS, BOWL, t_end=3.0, levels=5, repeats=1)


def test_costs(study):
    assert np.array_equal(study.gradients[0], 60 * 2 ** np.arange(5))
    assert np.array_equal(study.gradients[2], 2 * 64 * 2 ** np.arange(5))
    assert np.array_equal(study.gradients[3], 7 * 16 * 2 ** np.arange(5))
    assert (np.diff(study.gradients[4]) > 0).all() and np.allclose(study.h[4], 1e-3 / 10.0 ** np.arange(5))
    assert not (study.seconds <= 0).any() and np.isfinite(study.seconds).any()


def test_slope_of_error_against_cost_is_the_order(study):
    for i, order in ((0, 1), (1, 1), (2, 2), (3, 5)):
        slope = -np.polyfit(np.log(study.gradients[i, -3:]), np.log(study.error[i, -3:]), 1)[0]
        assert abs(slope - order) < 0.15, (study.labels[i], slope)


def test_two_errors_mean_two_things(study):
    run = oo.record(oo.GradientDescent(0.05), BOWL, t_end=3.0)
    sol = oo.reference(oo.GradientDescent(0.05), BOWL, t_end=3.0)
    assert np.isclose(study.error[0, 0], np.linalg.norm(run.x - sol(run.t), axis=1).max(), rtol=1e-6)
    assert np.isclose(study.gap[0, 0], run.f[-1] - BOWL.f_min)
    assert np.isnan(study.error[5]).all() and study.gap[5, -1] < 1e-6  # Rprop has no flow, but a gap
    assert np.array_equal(study.gradients[5], 64 * 2 ** np.arange(5))


def test_gradients_for_an_error(study):
    needed = study.gradients_for(1e-4)
    assert needed[3] < needed[2] and np.isnan(needed[[0, 5]]).all()
    between = np.sqrt(study.error[0, 2] * study.error[0, 3])
    assert study.gradients[0, 2] < study.gradients_for(between)[0] < study.gradients[0, 3]
    assert study.gradients_for(1.0, of="gap")[5] == 64


def test_own_flow_times():
    rk4 = oo.Discretization(GRADIENT, schemes.rk4, 2.0 / 64)
    study = oo.work_precision([oo.GradientDescent(0.1), oo.optimizers.Adam(0.01), rk4], BOWL, steps=20,
                              levels=2, repeats=1)
    assert np.allclose(study.t_end, [2.0, 0.2, 2.0]) and np.array_equal(study.gradients[:2, 0], [20, 20])


def test_diverged_runs_are_infinite():
    study = oo.work_precision([oo.GradientDescent(3.0)], oo.problems.quartic(2), t_end=24.0, levels=4, repeats=1)
    assert np.isinf(study.error[0, 0]) and np.isinf(study.gap[0, 0]) and np.isfinite(study.error[0, 3])


def test_table_and_files(study, tmp_path):
    assert repr(study).count("\n") == 2 + 6 * 5 and "flow error" in repr(study)
    for name in ("w.npz", "w.json"):
        study.save(tmp_path / name)
        loaded = type(study).load(tmp_path / name)
        assert repr(loaded) == repr(study) and loaded.gradients.dtype == np.int64


@pytest.mark.parametrize(("call", "words"), [
    (lambda: oo.work_precision([oo.Discretization(GRADIENT, schemes.heun, 0.1)], BOWL), "t_end must be given"),
    (lambda: oo.work_precision([(GRADIENT, schemes.heun)], BOWL), r"Discretization\(flow, scheme, h\) makes one"),
    (lambda: oo.work_precision(["adam"], BOWL, t_end=1.0), "methods must hold Optimizers"),
    (lambda: oo.work_precision(METHODS[:1], BOWL, labels=["a", "b"]), "labels must name"),
])
def test_bad_input(call, words):
    with pytest.raises((ValueError, TypeError), match=words):
        call()


def test_command_line(capsys):
    from odeopt.cli import main

    assert main(["work-precision", "sine-bowl", "--optimizers", "gd,adam", "--schemes", "heun,rk4", "--levels", "3",
                 "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["rows"]) == 12 and document["study"]["labels"][2] == "Heun"
    assert main(["work-precision", "sine-bowl", "--schemes", "hoin"]) == 2
    assert "did you mean 'heun'" in capsys.readouterr().err


def test_a_reference_that_ends_before_the_runs_do_is_reported():
    problem = oo.problems.monkey_saddle()  # gradient flow blows up at t = 1.7
    study = oo.work_precision([oo.GradientDescent(1e-3)], problem, t_end=1.9, levels=1)
    assert "gradient descent: the reference ends at t = 1." in study.message


def test_a_large_state_takes_the_reference_that_ends():
    """The jitted solver may take a million steps: an hour on the digits, where RMSprop's flow is stiff."""
    for n, method in ((100, "jitted"), (500, "DOP853")):
        problem, flow = oo.problems.quadratic(np.linspace(1, 10, n)), oo.flows.gradient_flow()
        assert solve(flow, problem, flow.start(problem.x0), 0.1, 1e-8, 1e-10, "auto").method == method


def test_what_surrounds_a_run_is_no_part_of_its_time(monkeypatch):
    """A run of 1 ms and 100 ns a step: timed at a length where the steps take most of it, on a clock of our own."""
    clock, asked = [0.0], []

    def run(method, problem, x0, steps, every, start, most=10**9):
        asked.append(min(steps, most))
        clock[0] += 1e-3 + 1e-7 * asked[-1]
        return Ran(asked[-1])

    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(module, "inner_run", run)
    each = module._seconds_per_gradient(None, None, None, {"steps": 64}, "cold", 2)
    assert each == pytest.approx(1e-7, rel=1e-9) and 1e-7 * max(asked) >= 9e-3 and asked[0] == 0
    monkeypatch.setattr(module, "inner_run", lambda *args, **options: run(*args, **options, most=200))
    each = module._seconds_per_gradient(None, None, None, {"steps": 64}, "cold", 1)  # converged after 200
    assert each == pytest.approx(1e-7, rel=1e-6)


class Ran(list):
    """A run of so many gradients."""

    def __init__(self, gradients):
        super().__init__([0])
        self.n_grad = [gradients]


def test_a_level_without_a_step_before_the_end_has_no_error():
    """One step beyond t_end was compared at the start alone, where the distance is 0."""
    study = oo.work_precision([oo.GradientDescent(0.01)], oo.problems.beale(), t_end=0.0025, levels=4, repeats=1)
    assert np.isnan(study.error[0, :2]).all() and (study.error[0, 2:] > 0).all()
