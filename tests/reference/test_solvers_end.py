"""Every solver of a reference ends, within a bounded number of evaluations, and says rightly how."""

import math
import threading

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import odeopt as oo
from odeopt.abi import kernel
from odeopt.flows import gradient_flow, normalized_flow
from odeopt.interop import solver_class
from odeopt.reference import solvers
from odeopt.reference.reference import METHODS
from odeopt.schemes import dormand_prince, heun_euler, rkc
from odeopt.studies.order.directions import orbit
from odeopt.studies.order.modified import modified_convergence

BEALE = oo.problems.beale()


@kernel
def friction_rhs(fg, hv, data, t, p, z, dz):
    """What one writes first: 0/0 at t = 0."""
    fg(z[0], dz[1], data)
    for i in range(z.shape[1]):
        dz[0, i] = z[1, i]
        dz[1, i] = -3.0 / t * z[1, i] - dz[1, i]


def plain(grad, x0):
    """A gradient flow x' = -grad(x) in plain Python, and how often it was asked."""
    calls = []

    def counted(x):
        calls.append(1)
        return grad(x)

    return oo.Problem(lambda x: 0.0, counted, dim=len(x0), x0=x0, name="plain"), calls


# (gradient, start, where the solution ends or None, words)
ENDS = {
    "not finite at the start": (lambda x: x * np.nan, [1.0], 0.0, "not finite at the start"),
    "not finite later": (lambda x: x if x[0] > 0.5 else x * np.nan, [1.0], math.log(2), "not finite beyond"),
    "blow-up": (lambda x: -x * x, [1.0], 1.0, "grows without bound"),
    "kink": (np.sign, [1.0, 0.3], 0.3, "not smooth"),
    "jump": (lambda x: np.array([1.0 if x[0] > 0.5 else -2.0]), [1.0], 0.5, "not smooth"),
    "smooth, a coordinate 0 and atol 0": (lambda x: np.array([x[0], x[1] - x[0]]), [1.0, 0.0], None, ""),
}


@pytest.mark.parametrize("case", ENDS)
@pytest.mark.parametrize("solver", METHODS)
def test_every_solver_ends_with_the_right_verdict(solver, case, monkeypatch):
    patience = 120_000 if (solver, case) == ("ROCK2", "blow-up") else 15_000  # its estimate is of order 2 only
    monkeypatch.setattr(solvers, "PATIENCE", patience)
    monkeypatch.setattr(solvers, "PATIENCE_NAMED", patience)
    grad, x0, end, words = ENDS[case]
    problem, calls = plain(grad, x0)
    sol = oo.reference(gradient_flow(), problem, t_end=2.0, rtol=1e-6, atol=0.0 if end is None else 1e-8, solver=solver)
    assert len(calls) < 2 * patience + 20
    assert sol.success == (end is None) and words in sol.message
    if end is None:
        assert sol.t_end == 2.0 and sol.message == ""
        assert np.allclose(sol(2.0), [math.exp(-2), 2 * math.exp(-2)], rtol=1e-4)
    elif end == 0.0:
        assert sol.t_end == 0.0 and len(calls) <= 2
        with pytest.raises(ValueError, match="no solution to show: .* not finite at the start"):
            sol(0.0)
    else:  # what is solved before is kept; LSODA and BDF may lose a step, ROCK2's check one that leaps over the kink
        assert (0.3 if solver == "ROCK2" else 0.8) * end < sol.t_end < end + 0.02
        t = min(0.5 * end, sol.t_end)
        exact = {"not finite later": math.exp(-t), "blow-up": 1 / (1 - t)}.get(case, 1.0 - t)
        assert sol(t)[0] == pytest.approx(exact, rel=1e-4)


def test_the_verdict_does_not_hang_on_how_the_solver_gives_up(monkeypatch):
    """The processor's last bit decides whether LSODA finds no step or spends its evaluations at x' = -x/|x| = ?"""
    bowl = oo.problems.quadratic([1.0, 1.0], x0=[3.0, 4.0])
    for patience in (10_010, 50_000):
        monkeypatch.setattr(solvers, "PATIENCE", patience)
        sol = oo.reference(normalized_flow(), bowl, t_end=6.0, check=False)
        assert "comes no further than t = 5 in" in sol.message and sol.message.endswith("it is not smooth there")


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(solvers, "_ENTRIES", 100)
    for solver in ("auto", "RK45"):
        sol = oo.reference(gradient_flow(), BEALE, t_end=100.0, solver=solver)
        assert not sol.success and "51 steps of 2 entries are kept" in sol.message and 0 < sol.t_end < 100


@pytest.mark.parametrize("cls", [oo.Adam, oo.RMSprop, oo.AMSGrad, oo.NAdam])
def test_a_coordinate_at_rest_and_no_eps(cls, monkeypatch):
    """Its 0/0 was the field's, and the second solution never returned."""
    monkeypatch.setattr(solvers, "PATIENCE_NAMED", 20_000)
    problem = oo.problems.quadratic([1.0, 2.0])
    for solver in METHODS:
        sol = oo.reference(cls(1e-2, eps=0.0), problem, [1.0, 0.0], t_end=0.1, solver=solver, rtol=1e-6)
        assert sol.success or sol.message
        assert sol.t_end == 0.0 or np.isfinite(sol(sol.t_end)).all()


def test_errors_of_the_field_and_of_its_jacobian_pass_through():
    """Only numpy's own words about matrices that are not finite are turned into a verdict."""
    def refuse(x, *_):
        if x[0] < 0.9:
            raise ValueError("mine")
        return x.copy() if not _ else np.eye(1)

    for solver in METHODS:
        with pytest.raises(ValueError, match="mine"):
            oo.reference(gradient_flow(), oo.Problem(lambda x: 0.0, refuse, dim=1, x0=[1.0]), t_end=2.0, solver=solver)
    hess = oo.Problem(lambda x: 0.0, lambda x: 1e3 * x, dim=1, x0=[1.0], hess=lambda x: refuse(x, 1))
    with pytest.raises(ValueError, match="mine"):
        oo.reference(gradient_flow(), hess, t_end=2.0, solver="Radau", rtol=1e-3)


def test_studies_say_where_their_reference_ends():
    friction = oo.flows.Flow("friction r/t", "x'' + (3/t) x' + g = 0", friction_rhs, slots=("velocity x'",))
    for solver in ("auto", "RK45", "jitted"):
        method = oo.Discretization(friction, oo.schemes.rk4, 0.1 / 16)
        found = oo.convergence(method, BEALE, t_end=0.1, levels=3, solver=solver)
        assert not found.asymptotic and "the reference ends at t = 0: state or field are not finite" in found.message
    pole = oo.Problem(lambda x: -float(x[0] ** 3) / 3, lambda x: -x * x, dim=1, x0=[1.0], f_min=-1.0,
                      hess=lambda x: -2.0 * x[:, None])
    with pytest.raises(ValueError, match=r"t_orbit must be below 1, where .* ends: the field grows without bound"):
        orbit(pole, pole.x0, 2.0)
    problem, _ = plain(np.sign, [1.0, 0.3])
    found = oo.compare(oo.GradientDescent(0.01), problem, steps=60, local=False)
    kink = oo.Problem(lambda x: float(abs(x[0])), np.sign, dim=1, x0=[1.0], hess=lambda x: np.zeros((1, 1)))
    levels = modified_convergence(oo.GradientDescent(0.01), kink, t_end=2.0, levels=3)
    assert not levels.asymptotic and "the reference ends at t = 1: " in levels.message
    assert found.t[-1] <= 0.31 and "the reference ends at t = 0.3: " in found.message and not found.trusted


@pytest.mark.parametrize("solver", METHODS[:-1])
def test_under_a_schedule_too(solver):
    schedule = oo.schedules.linear(100, end=0.5)
    problem, calls = plain(lambda x: x * np.nan, [1.0])
    sol = oo.reference(oo.Momentum(0.01), problem, t_end=1.0, schedule=schedule, solver=solver)
    assert not sol.success and sol.t_end == 0.0 and "not finite at the start" in sol.message and len(calls) <= 3
    sol = oo.reference(oo.Momentum(0.01), oo.problems.quadratic([1.0, 2.0], x0=[1.0, 0.0]), t_end=1.0,
                       schedule=schedule, solver=solver, atol=0.0, rtol=1e-6, steps=200)
    assert sol.success and sol.t_end == 1.0 and sol(1.0)[1] == 0.0


def test_a_reference_fails_when_its_schedule_runs_out_of_steps():
    sol = oo.reference(oo.Momentum(0.01), oo.problems.quadratic([1.0, 2.0]), t_end=200.0,
                       schedule=oo.schedules.linear(100, end=0.0), steps=200)
    assert not sol.success and sol.exhausted and sol.t_end < 200
    assert "the schedule comes to t = " in sol.message and "FAILED" not in repr(sol)
    assert sol.uncertainty < 1e-4


@pytest.mark.parametrize("t0, t_end", [(-2.0, -1.0), (0.0, 1e-13), (1e6, 1e6 + 1.0)])
def test_success_is_to_have_come_to_the_end(t0, t_end):
    for solver in ("jitted", "DOP853", "LSODA"):
        sol = oo.reference(gradient_flow(), oo.problems.quadratic([1.0], x0=[1.0]), t_end=t_end, t0=t0, solver=solver)
        assert sol.success and sol.t_end == t_end
        assert sol(t_end) == pytest.approx(math.exp(t0 - t_end), rel=1e-7)


def test_times_of_a_reference():
    for options in ({}, {"solver": "jitted"}, {"schedule": oo.schedules.linear(100, end=0.5), "steps": 100}):
        sol = oo.reference(oo.Momentum(0.01), BEALE, t_end=1.0, check=False, rtol=1e-6, **options)
        t = np.array([[0.1, 0.2, 0.9], [0.5, 0.0, 1.0]])
        assert sol(t).shape == (2, 3, 2) and sol.state(t).shape == (2, 3, 2, 2)
        assert np.array_equal(sol(t).reshape(6, 2), sol(t.ravel()))
        assert np.allclose(sol(t)[0, 2], sol(0.9), rtol=1e-14)
        assert sol([]).shape == (0, 2) and sol(np.empty((3, 0))).shape == (3, 0, 2)
        for wrong in (math.nan, [0.5, math.nan], math.inf, -0.1, [[2.0]]):
            with pytest.raises(ValueError, match=r"t must be in \[0, 1\], got (nan|inf|-0.1|2)$"):
                sol(wrong)
        for wrong in (1j, "a", np.ma.masked, [0.5 + 0j], [[1.0], "b"], None, [0.5, None], True, [object()]):
            with pytest.raises(TypeError, match="t must be real times, got"):
                sol(wrong)


def test_lsoda_in_threads():
    """scipy's LSODA before 1.17 kept its state in static memory; ours are one at a time."""
    problems = [oo.problems.quadratic([1.0, 1e3 + i], x0=[1.0, 1.0]) for i in range(4)]
    alone = [oo.reference(gradient_flow(), p, t_end=1.0, solver="LSODA", rtol=1e-6)(1.0) for p in problems]
    found = [None] * 4

    def work(i):
        found[i] = oo.reference(gradient_flow(), problems[i], t_end=1.0, solver="LSODA", rtol=1e-6)(1.0)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(found, alone)


# Tolerances of the solver classes and of error-controlled discretisations --------------------------------

@pytest.mark.parametrize("name", ["rtol", "atol"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1e-3, [1e-3, math.nan], "x", 1j, np.ma.masked, None])
def test_tolerances_of_every_solver_class_are_checked(name, value):
    adaptive = oo.Discretization(gradient_flow(), dormand_prince, 0.01, rtol=1e-6)
    field = gradient_flow().field(BEALE)
    for cls in (solver_class(heun_euler), solver_class(dormand_prince), solver_class(rkc),
                solver_class(adaptive, BEALE), solver_class(oo.GradientDescent(0.01), BEALE)):
        with pytest.raises((ValueError, TypeError), match=f"`{name}` must be "):
            solve_ivp(lambda t, y: field(t, y.reshape(1, 2)).ravel(), (0, 0.1), BEALE.x0, method=cls, **{name: value})


@pytest.mark.parametrize("options", [{"first_step": "1"}, {"max_step": math.nan}, {"min_step": -1.0}, {"step": 0.0},
                                     {"first_step": [0.1, 0.2]}, {"step": math.inf}, {"max_step": 1j}])
def test_steps_of_every_solver_class_are_checked(options):
    name = next(iter(options))
    with pytest.raises((ValueError, TypeError), match=f"`{name}` must be "):
        solve_ivp(lambda t, y: -y, (0, 1), [1.0], **options,
                  method=solver_class(rkc if name == "step" else dormand_prince))


def test_fields_that_are_not_finite_end_a_solver_class():
    for scheme in (heun_euler, dormand_prince, rkc):
        for fun in (lambda t, y: y * np.nan, lambda t, y: -y if t < 0.3 else y * np.nan, lambda t, y: y * np.inf):
            with np.errstate(all="ignore"):
                r = solve_ivp(fun, (0, 1), [1.0], method=solver_class(scheme))
            assert r.status == -1 and np.isfinite(r.y).all() and r.nfev < 10_000


def test_an_absolute_tolerance_of_zero_and_a_coordinate_of_zero():
    """A relative tolerance alone, where the scale of a coordinate that is 0 is 0."""
    for scheme in (heun_euler, dormand_prince):
        r = solve_ivp(lambda t, y: np.array([-y[0], y[0] - y[1], 0.0]), (0, 1), [1.0, 0.0, 0.0],
                      method=solver_class(scheme), atol=0.0, rtol=1e-5)
        assert r.success and np.allclose(r.y[:, -1], [math.exp(-1), math.exp(-1), 0.0], rtol=1e-3)
    problem = oo.problems.quadratic([1.0, 2.0], x0=[1.0, 0.0])
    run = oo.record(oo.Discretization(gradient_flow(), dormand_prince, 0.01, rtol=1e-6, atol=0.0), problem, t_end=1.0,
                    steps=10_000)
    assert run.ok and run.t[-1] == 1.0 and np.allclose(run.x[-1], [math.exp(-1), 0.0], rtol=1e-5)


@pytest.mark.parametrize("solver", ["DOP853", "Radau", "LSODA", "auto"])
def test_an_end_out_of_reach_is_not_the_fields_fault(solver):
    """What ends a solver is said, not that a field is not finite which is finite everywhere: the state at a millionth
    of 1e300 ahead, on the tangent, says nothing of it."""
    flow = oo.Adam(1e-2).flow
    found = oo.reference(flow, BEALE, t_end=1e300, solver=solver)
    assert not found.success and "not finite" not in found.message.replace("its next state is not finite", "")
    assert "comes no further" in found.message


def test_a_field_grows_without_bound_above_a_million_times_what_is_usual():
    """Its size at the start and (1 + |y|)/T; and is not finite beyond where the tangent leads there."""
    y0, first, verdict = np.array([3.0, 4.0]), np.array([0.6, 0.8]), solvers._verdict
    usual = 1.0 + (1.0 + 5.0) / 2.0
    for share, grown in ((0.99e6, False), (1.01e6, True)):
        words = verdict(lambda t, y, share=share: share * usual * np.array([0.0, 1.0]), 1.5, y0, 1.0, y0, first, 3.0,
                        False)
        assert words == ("the field grows without bound at t = 1.5" if grown else "")
    for lost, reach in ((False, 1e-6), (True, 0.1)):  # of (1 + |y|)/|f|, which is less than T here
        for edge, found in ((1.19 * reach, True), (1.21 * reach, False)):
            words = verdict(lambda t, y, edge=edge: y * (np.nan if t > 1.5 + edge else 1.0), 1.5, y0, 1.0, y0, first,
                            3.0, lost)
            assert words == ("the field is not finite beyond t = 1.5" if found else "")


@pytest.mark.parametrize(("n", "large"), [(80, False), (81, True)])
def test_the_memory_of_a_large_state_has_a_tolerance_of_its_own(n, large, monkeypatch):
    """Of more than 400 entries: 1e-4 of the position's, where there is a mean of gradients."""
    asked = []
    monkeypatch.setattr(solvers, "integrate", lambda *args, atol, **_: asked.append(atol))
    problem = oo.problems.quadratic(np.linspace(1.0, 2.0, n))
    for optimizer in (oo.Adam(0.01), oo.AdaBelief(0.01), oo.Momentum(0.01)):
        flow = optimizer.flow
        solvers.solve(flow, problem, flow.start(problem.x0), 0.0, 1.0, 1e-6, 1e-8, "DOP853")
        wanted = 1e-8 * np.ones(flow.rows * n)
        if large and "mean" in flow.slots:
            wanted[n:] = 1e-12
        np.testing.assert_allclose(np.broadcast_to(asked.pop(), wanted.shape), wanted, rtol=1e-12)
