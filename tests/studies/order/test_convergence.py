"""Orders measured from the real kernels, against the theory in rows.py and the schemes' classical orders."""

import dataclasses
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from rows import ROWS

import odeopt as oo
from odeopt import flows, schemes
from odeopt.reference import solvers
from odeopt.studies import inner
from odeopt.studies.inner import gather
from odeopt.studies.order import convergence as convergence_module
from odeopt.studies.order.fit import fit_order

BOWL = oo.problems.sine_bowl()
# Smooth, not quadratic, and convex along the runs below (Barzilai-Borwein needs positive curvature).
PROBLEMS = [BOWL, oo.problems.log_cosh_valley(5.0), oo.problems.mccormick()]
GRADIENT = flows.gradient_flow()


def cases():
    for row in ROWS:
        for start in ("cold", "consistent"):
            order = getattr(row, start)
            if not row.has_flow or order is None:
                continue
            opt = row.make()
            x = np.ones(2)
            same = np.array_equal(opt.start(x, x, "cold"), opt.start(x, x, "consistent"))
            if start == "consistent" and same:
                assert row.cold == row.consistent
                continue
            yield pytest.param(row, start, order, id=f"{row.name}, {start}")


@pytest.mark.parametrize(("row", "start", "order"), list(cases()))
def test_every_optimizer_has_its_order(row, start, order):
    """|slope - order| <= 0.05, signed, on three problems that are not quadratic."""
    opt, levels, t_end, more = row.make(), 8, None, {}
    if row.study:
        levels, t_end, more = row.study["levels"], row.study["t_end"], {"mean_of": row.study.get("mean_of")}
    if order == 0.5:
        # The square-root start is the limit eps -> 0: for h below eps tau/g^2 any eps gives order 1. It
        # also sets in slowly, with an error of O(sqrt h) in the slope, and shows on a short time already.
        opt = row.make(**{"eps": 1e-10} if "eps" in opt.scaling() else {}).refined(32)
        levels, t_end = 9, 16 * opt.h
    for problem in PROBLEMS:
        study = oo.convergence(opt, problem, t_end=t_end, levels=levels, start=start, expected=order, **more)
        assert study.asymptotic, study
        assert abs(study.order - order) <= 0.05, study
        assert study.error[-1] < study.error[0]
        assert study.uncertainty < 0.01 * study.error[study.tail].min()


@pytest.mark.parametrize(("scheme", "order", "steps", "levels"), [
    (schemes.explicit_euler, 1, (64, 64, 64), 6), (schemes.heun, 2, (32, 64, 96), 6), (schemes.rk4, 4, (24, 64, 64), 6),
    (schemes.dormand_prince, 5, (56, 72, 96), 4), (schemes.implicit_euler, 1, (128, 128, 128), 6)])
def test_schemes_on_gradient_flow(scheme, order, steps, levels):
    """Between the coarse regime and the round-off that a fifth-order scheme soon reaches: sqrt(2) a level."""
    for problem, coarse in zip(PROBLEMS, steps):
        method = oo.Discretization(GRADIENT, scheme, 1.0 / coarse)
        study = oo.convergence(method, problem, t_end=1.0, levels=levels, factor=math.sqrt(2), rtol=2.3e-14, atol=1e-16)
        assert study.expected == order and study.certified, study


def test_verlet_reading_is_second_order_and_the_symplectic_one_is_not():
    verlet = oo.optimizers.Momentum(0.01, reading="stormer_verlet")
    symplectic = oo.optimizers.Momentum(0.01)
    for problem in PROBLEMS:
        second = oo.convergence(verlet, problem, start="consistent")
        first = oo.convergence(symplectic, problem)
        assert abs(second.order - 2) <= 0.01 and abs(first.order - 1) <= 0.02


def test_bias_correction_mends_the_half_order():
    slow = oo.convergence(oo.RMSprop(0.01), PROBLEMS[1])
    mended = oo.convergence(oo.RMSprop(0.01, bias_correction=True), PROBLEMS[1])
    assert abs(slow.order - 0.5) <= 0.02 and abs(mended.order - 1) <= 0.02


@pytest.mark.parametrize("opt", [oo.RMSprop(0.003, eps=1.0), oo.Adagrad(0.1, eps=10.0, eps_mode="inside")],
                         ids=["rmsprop", "adagrad"])
def test_below_its_scale_eps_smooths_the_cold_start(opt):
    """Order one half is that of eps -> 0: where the first step is short beside eps the same start has order 1."""
    study = oo.convergence(opt, BOWL, levels=8, expected=1.0)
    assert study.certified, study
    rough = oo.convergence(dataclasses.replace(opt, eps=1e-10), BOWL, levels=8)
    assert rough.slopes.max() < 0.51, rough


def test_adagrad_with_lr_like_h_only_stands_still():
    """lr ~ h: the accumulator grows by g^2/h a unit of time, so x(t) tends to x0 and not to the flow."""
    opt = oo.Adagrad(0.05, initial_accumulator=1.0)
    study = oo.convergence(opt, BOWL, levels=10, t_end=64 * opt.h,
                           refine=lambda f: dataclasses.replace(opt, lr=opt.lr / f))
    assert not study.certified and (study.slopes < 0).all()
    moved = np.linalg.norm(oo.reference(opt, BOWL, t_end=64 * opt.h)(64 * opt.h) - BOWL.x0)
    assert study.final_error[-1] > 0.9 * moved


def test_adadelta_without_scaling_its_eps_has_no_limit():
    opt = oo.Adadelta()

    def naive(f):
        return dataclasses.replace(opt, rho=1 - opt.h / f)  # eps_step stays 1e-6 instead of eps_step/f^2

    for against in ("reference", "richardson"):
        study = oo.convergence(opt, BOWL, t_end=2.0, levels=7, start="consistent", refine=naive, against=against)
        assert not study.certified and (study.slopes < -0.2).all(), study


def test_richardson_agrees_with_the_reference():
    for opt in (oo.GradientDescent(0.05), oo.ErrorControlledEuler(0.01), oo.Momentum(0.01)):
        study = oo.convergence(opt, BOWL, against="richardson")
        other = oo.convergence(opt, BOWL)
        assert study.h.size == other.h.size - 1 and abs(study.order - other.order) < 0.03
        # |x_h - x_{h/2}| is about half the error at order one
        assert np.allclose(study.error[-3:] / other.error[-4:-1], 0.5, atol=0.05)


def test_says_when_the_tail_is_not_asymptotic():
    h = 0.1 / 2.0 ** np.arange(6)
    slopes_move = fit_order(h, h**1.5 * (1 + 5 * h**2))
    assert abs(slopes_move.order - 1.5) < 0.01
    apart = fit_order(h, h + 60 * h**3)  # the coarse levels are another regime
    assert apart.asymptotic and 3 <= apart.tail.sum() < 5 and abs(apart.order - 1) < 0.02
    slopes_move = fit_order(h, h + 100 * h**2)
    assert not slopes_move.asymptotic and "last slopes" in slopes_move.message and math.isnan(slopes_move.order)
    drifting = fit_order(h, h**1.5 * (1 + 30 * np.sqrt(h)))  # slopes 1.90, 1.87, 1.83 on their way to 1.5
    assert not drifting.asymptotic and "drift" in drifting.message
    noise = fit_order(h, np.full(6, 1e-14), floor=1e-12)
    assert not noise.asymptotic and "uncertainty" in noise.message
    clean = fit_order(h, 3 * h**2)
    assert clean.asymptotic and abs(clean.order - 2) < 1e-12 and clean.spread < 1e-12 and clean.tail.sum() == 5
    growing = fit_order(h, 1 / h)
    assert abs(growing.order + 1) < 1e-12  # signed: a diverging method does not pass
    floor = fit_order(h, np.maximum(h**4, 1e-7), floor=2e-7)
    assert abs(floor.order - 4) < 1e-9 and not floor.tail[-1]


def test_a_diverging_level_is_infinite_and_not_fitted():
    study = oo.convergence(oo.GradientDescent(3.0), oo.problems.quartic(2), t_end=24.0, levels=9)
    assert np.isinf(study.error[0]) and not study.tail[0] and np.isnan(study.slopes[0])
    assert study.certified, study


def test_a_reference_that_fails_is_reported_and_not_fitted(monkeypatch):
    monkeypatch.setattr(solvers, "_TRIALS", 0)
    study = oo.convergence(oo.GradientDescent(0.05), BOWL, t_end=1.0, levels=4, solver="jitted", rtol=1e-11)
    assert not study.asymptotic and np.isnan(study.error).all() and "the reference ends at t = 0" in study.message
    assert not study.certified and "the reference ends" in study.verdict


def test_flow_that_depends_on_time():
    """Runge-Kutta on x'' + (3/t) x' + g = 0 from t = 1: order 4; the clock starts at t0, not at 0."""
    x0 = np.array([BOWL.x0, [0.0, 0.0]])
    method = oo.Discretization(flows.nesterov_flow(), schemes.rk4, 0.125, t0=1.0)
    study = oo.convergence(method, BOWL, x0, t_end=2.0, levels=6)
    assert study.start == "given" and study.certified, study
    wrong = oo.convergence(dataclasses.replace(method, t0=0.5), BOWL, x0, t_end=2.0, levels=6)
    assert wrong.error[0] != study.error[0]


def test_python_problem():
    plain = oo.Problem(lambda x: float(np.cosh(x).sum()), lambda x: np.sinh(x), dim=2, x0=[1.0, -0.5])
    study = oo.convergence(oo.GradientDescent(0.1), plain, t_end=1.0, levels=5, rtol=1e-9, atol=1e-11)
    assert abs(study.order - 1) <= 0.05


def test_jitted_solver_equals_scipys():
    """The package's own Dormand–Prince within the tolerance of each scipy solver, on every kind of flow."""
    t = np.linspace(0, 2, 41)
    optimizers = [oo.GradientDescent(0.05), oo.Momentum(0.01), oo.Nesterov(0.01, momentum=None), oo.Adam(0.01),
                  oo.RMSprop(0.05, bias_correction=True), oo.Adagrad(0.1, initial_accumulator=10.0)]
    for problem in PROBLEMS:
        for opt in optimizers:
            own = oo.reference(opt, problem, t_end=2.0, rtol=1e-11, atol=1e-13, solver="jitted")
            scipys = oo.reference(opt, problem, t_end=2.0, rtol=1e-11, atol=1e-13, solver="DOP853", check=False)
            assert own.success and own.uncertainty < 1e-7
            assert np.abs(own(t) - scipys(t)).max() < 1e-9, (problem, opt)
            assert own(1.0).shape == (2,) and own.state(t).shape == (41, own.flow.rows, 2)


def test_jitted_solver_gives_up_on_stiff_flows(monkeypatch):
    monkeypatch.setattr(solvers, "_TRIALS", 10_000)
    stiff = oo.problems.quadratic([1.0, 1e5], x0=[1.0, 1.0])
    failed = oo.reference(GRADIENT, stiff, t_end=2.0, solver="jitted", check=False)
    assert not failed.success and "stiff" in failed.message and failed.t_end < 2.0


def test_reference_is_solved_once():
    problem = oo.problems.sine_bowl()
    first = oo.reference(GRADIENT, problem, t_end=2.0, solver="jitted", reuse=True)
    again = oo.reference(oo.GradientDescent(0.3), problem, t_end=1.5, solver="jitted", reuse=True)
    other = oo.reference(GRADIENT, problem, [1.0, 1.0], t_end=1.5, solver="jitted", reuse=True)
    short = oo.reference(GRADIENT, problem, t_end=0.1, solver="jitted", reuse=True)
    assert first.nfev > 0 and again.nfev == 0 and again.t_end == 1.5 and np.array_equal(again(1.0), first(1.0))
    assert other.nfev > 0 and short.nfev > 0


def test_study_is_frozen_readable_and_saved_without_pickle(tmp_path):
    study = oo.convergence(oo.Momentum(0.01), BOWL, levels=4)
    with pytest.raises(dataclasses.FrozenInstanceError):
        study.order = 1.0
    with pytest.raises(ValueError, match="read-only"):
        study.error[0] = 0.0
    assert "order 0.9" in repr(study) or "order 1.0" in repr(study)
    assert repr(study).count("\n") == 2 + 4 and "slope" in repr(study)
    for name in ("study.npz", "study.json"):
        study.save(tmp_path / name)
        loaded = oo.Convergence.load(tmp_path / name)
        assert repr(loaded) == repr(study) and loaded.to_dict().keys() == study.to_dict().keys()
        assert np.array_equal(loaded.error, study.error) and loaded.tail.dtype == bool
    assert json.loads((tmp_path / "study.json").read_text())["problem"] == "sine-bowl"
    oo.compare(oo.Momentum(0.01), BOWL, steps=5).run.save(tmp_path / "other.npz")
    with pytest.raises(ValueError, match="is not a Convergence file"):
        oo.Convergence.load(tmp_path / "other.npz")


def test_certificates(tmp_path):
    table = oo.order_certificates([oo.GradientDescent(0.05), oo.RMSprop(0.01), oo.optimizers.Rprop()], PROBLEMS[1])
    assert table.certified and [s.expected for s in table.studies] == [1.0, 0.5, 1.0]
    assert "lr ~ h, decay ~ 1 - c h" in repr(table) and "no classical flow" in repr(table)
    for name in ("table.npz", "table.json"):
        table.save(tmp_path / name)
        assert repr(type(table).load(tmp_path / name)) == repr(table)


def test_one_methods_failure_is_its_row(tmp_path):
    """AdaMax's flow needs a Hessian, which this problem has not."""
    plain = oo.Problem(lambda x: float(np.cosh(x).sum()), np.sinh, dim=2, x0=[1.0, -0.5], minima=[[0.0, 0.0]])
    methods = [oo.GradientDescent(0.1), oo.AdaMax(0.01)]
    table = oo.order_certificates(methods, plain, t_end=0.5, levels=4, rtol=1e-8)
    assert [s.status for s in table.studies] == ["completed", "failed"] and not table.certified
    assert table.studies[0].certified and "needs the Hessian product" in table.rows()[1]["verdict"]
    for name in ("table.npz", "table.json"):
        table.save(tmp_path / name)
        assert repr(type(table).load(tmp_path / name)) == repr(table)
    costs = oo.work_precision(methods, plain, levels=2, steps=4, repeats=1, rtol=1e-8)
    assert np.isfinite(costs.error[0]).all() and np.isnan(costs.error[1]).all()
    assert "AdaMax: the flow 'AdaMax' needs" in costs.message
    compared = oo.compare(methods[1], plain, steps=3)
    assert compared.reference is None and len(compared.run) == 4 and "needs the Hessian" in compared.message
    with pytest.raises(ValueError, match="needs the Hessian product"):  # all of them: the arguments' fault
        oo.order_certificates(methods[1:], plain, t_end=0.5, levels=4)


@pytest.mark.parametrize(("t_end", "factor"), [(0.0025, 2.0), (0.02, 1.1)])
def test_levels_that_rounding_makes_equal_are_refused(t_end, factor):
    method = oo.Discretization(GRADIENT, schemes.rk4, 0.01)
    with pytest.raises(ValueError, match="t_end must hold more steps at each level"):
        oo.convergence(method, oo.problems.ackley(), t_end=t_end, levels=3, factor=factor)


def test_what_the_reference_hides_is_said():
    """Slopes of an optimizer are not continued by a series: what the reference's tolerance hides stays hidden."""
    verlet = oo.optimizers.Momentum(0.01, reading="stormer_verlet")
    study = oo.convergence(verlet, BOWL, start="consistent", levels=12, rtol=1e-4, atol=1e-6)
    assert not study.certified and "hides what smaller steps would show" in study.verdict


def test_a_level_without_a_step_before_the_end_has_no_error():
    study = oo.convergence(oo.GradientDescent(0.1), BOWL, t_end=0.04, levels=7)
    assert np.isnan(study.error[:2]).all() and (study.error[2:] > 0).all(), study


def test_interrupt_keeps_finished_rows():
    def work(i):
        if i == 3:
            raise KeyboardInterrupt
        return i * i

    assert gather(range(9), work) == ([0, 1, 4], True)
    calls = []

    def refine(f):
        calls.append(f)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return oo.GradientDescent(0.05 / f)

    study = oo.convergence(oo.GradientDescent(0.05), BOWL, levels=8, refine=refine)
    assert study.h.size == 4 and "interrupted" in study.message and abs(study.order - 1) < 0.05


def test_interrupt_inside_a_run_keeps_finished_certificates(monkeypatch):
    """``record`` turns Ctrl-C into a status; the studies above it must stop as well."""
    original, calls = inner.record, []

    def record(*args, **options):
        calls.append(1)
        run = original(*args, **options)
        return dataclasses.replace(run, status="interrupted") if len(calls) == 14 else run

    monkeypatch.setattr(inner, "record", record)
    methods = [oo.GradientDescent(0.01 / 2**i) for i in range(4)]
    table = oo.order_certificates(methods, BOWL, t_end=1.0, levels=5)  # calls 1-5, 6-10, 11-14
    assert table.message == "interrupted" == table.status and len(table.studies) == 3
    assert [s.h.size for s in table.studies] == [5, 5, 3] and "interrupted" in table.studies[-1].message


@pytest.mark.parametrize(("call", "words"), [
    (lambda: oo.convergence(oo.optimizers.Rprop(), BOWL), "Rprop has none"),
    (lambda: oo.convergence(oo.GradientDescent(0.1), BOWL, levels=2), "levels must be at least 3"),
    (lambda: oo.convergence(oo.GradientDescent(0.1), BOWL, against="flow"), "against must be one of"),
    (lambda: oo.convergence(oo.GradientDescent(0.1), BOWL, start="warm"), "start must be one of"),
    (lambda: oo.convergence(oo.GradientDescent(0.1), BOWL, t_end=-1.0), "t_end must be in"),
    (lambda: oo.convergence((GRADIENT, schemes.heun), BOWL), r"Discretization\(flow, scheme, h\) makes one"),
    (lambda: oo.convergence("adam", BOWL), "method must be an Optimizer"),
    (lambda: oo.convergence(oo.Discretization(GRADIENT, schemes.heun, [0.1, 0.2]), BOWL), "one fixed step"),
    (lambda: oo.order_certificates(["adam"], BOWL), "optimizers must hold Optimizers"),
])
def test_bad_input(call, words):
    with pytest.raises((ValueError, TypeError), match=words):
        call()


def test_command_line(tmp_path, capsys):
    from odeopt.cli import main

    assert main(["converge", "sine-bowl", "--optimizers", "gd,adam,rprop", "--levels", "6"]) == 0
    out = capsys.readouterr().out
    assert out.count("certified") == 2 and "no classical flow" in out and "beta1 ~ 1 - c h" in out
    assert main(["converge", "sine-bowl", "--optimizers", "gd", "--levels", "6", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["rows"][0]["verdict"] == "certified" and len(document["studies"][0]["h"]) >= 6
    assert main(["converge", "sine-bowl", "--optimizers", "gd", "--time", "-1"]) == 2
    assert "--time must be in" in capsys.readouterr().err
    assert main(["converge", "sine-bowl", "--optimizers", "rprop", "--out", str(tmp_path)]) == 0  # nothing to draw
    assert "written to" in capsys.readouterr().err and len(list(tmp_path.iterdir())) == 2
    assert main(["converge", "nowhere"]) == 2
    assert "problem must be one of" in capsys.readouterr().err


@pytest.mark.parametrize("method, t_end", [
    (oo.NormalizedGD(6e-4), 1e308), (oo.Adagrad(1e-2), 2.0**64), (oo.GradientDescent(1e-3), 1e4 + 1),
    (oo.Discretization(GRADIENT, schemes.rk4, 1e-3), 1e308), (oo.Discretization(GRADIENT, schemes.rk4, 1e-3), 1e5),
])
def test_a_time_out_of_reach_is_refused(method, t_end):
    with pytest.raises(ValueError, match="t_end must be in reach of 10000000 steps at each level, got"):
        oo.convergence(method, oo.problems.quartic(), t_end=t_end, levels=3)


def test_from_a_stationary_point_no_level_has_a_step():
    bowl = oo.problems.quadratic([1.0, 2.0])
    for against in ("reference", "richardson"):
        found = oo.convergence(oo.GradientDescent(1e-3), bowl, np.zeros(2), t_end=2e-3, levels=3, against=against)
        assert "no level has a step to compare" in found.message and np.isnan(found.order)


def test_the_table_counts_steps_also_where_not_all_are_kept(monkeypatch):
    """To a far t_end, too, a level keeps no more than a bounded number of them."""
    monkeypatch.setattr(convergence_module, "_MANY", 200)
    for method in (oo.GradientDescent(1e-3), oo.Discretization(GRADIENT, schemes.explicit_euler, 1e-3)):
        kept, real = [], convergence_module.inner_run

        def seen(*arguments, kept=kept, real=real, **options):
            kept.append(len(run := real(*arguments, **options)))
            return run

        monkeypatch.setattr(convergence_module, "inner_run", seen)
        for against in ("reference", "richardson"):
            found = oo.convergence(method, BOWL, t_end=0.5, levels=3, against=against)
            assert np.array_equal(found.steps[:2], [500, 1000])
        assert 2 < max(kept) <= 202
        monkeypatch.setattr(convergence_module, "inner_run", real)


def test_a_rule_that_fades_ends_a_comparison_soon():
    """Each decision is a call from Python: ten million steps took minutes."""
    rule = oo.schedules.ReduceLROnPlateau(patience=2, every=4)
    with pytest.raises(ValueError, match="in reach of 80000 steps with every=1, got 1e[+]06, and they come to t = "):
        oo.compare(oo.GradientDescent(1e-3), BOWL, t_end=1e6, schedule=rule)


def test_compare_says_when_a_schedule_fades_before_t_end():
    step, one_cycle = oo.schedules.step(5), oo.schedules.one_cycle(30)
    with pytest.raises(ValueError, match="t_end must be in reach of 100000 steps .*, got 0.0078, .* t = 0.00555556"):
        oo.compare(oo.GradientDescent(1e-3), BOWL, t_end=0.0078, schedule=step)
    with pytest.raises(ValueError, match="in reach of 100000 steps with every=1, got 0.333333, and"):
        oo.compare(oo.GradientDescent(1e-3), BOWL, t_end=Fraction(1, 3), schedule=one_cycle)
    assert oo.compare(oo.GradientDescent(1e-3), BOWL, t_end=0.0055, schedule=step).run.status == "completed"


def test_an_order_under_a_fading_schedule_is_not_waited_for():
    c = oo.compare(oo.GradientDescent(1e-3), BOWL, steps=40, schedule=oo.schedules.step(5), order=True, local=False)
    assert c.run.ok and math.isfinite(c.max_error)


def test_other_studies_with_a_time_out_of_reach_refuse_it():
    with pytest.raises(ValueError, match="t_end must be in reach of 10000000 steps at each level, got 1e.308"):
        oo.modified_convergence(oo.GradientDescent(1e-3), oo.problems.beale(), t_end=1e308, levels=3)
    with pytest.raises(ValueError, match="t_end must be in reach of 10000000 steps at each level, got 20000"):
        oo.work_precision([oo.GradientDescent(1e-3)], BOWL, t_end=2e4, levels=3, repeats=1)
