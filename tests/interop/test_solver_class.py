"""``solve_ivp`` with the package's methods: what scipy tests of its own solvers, and what is ours."""

import numpy as np
import pytest
from scipy.integrate import OdeSolver, solve_ivp

import odeopt as oo
from odeopt.flows import gradient_flow, heavy_ball_flow
from odeopt.interop import solver_class
from odeopt.schemes import (
    ALL,
    armijo_euler,
    dormand_prince,
    explicit_euler,
    heun,
    heun_euler,
    rk4,
    semi_implicit_euler,
)

EMBEDDED = [heun_euler, dormand_prince]
FIXED = [explicit_euler, heun, rk4]


def rational(t, y):
    """scipy's test problem: y1 = t/(t + 10), y2 = 10 t/(t + 10)^2 for the start (1/3, 2/9) at t = 5."""
    return np.array([y[1] / t, y[1] * (y[0] + 2 * y[1] - 1) / (t * (y[0] - 1))])


def rational_solution(t):
    t = np.asarray(t)
    return np.array([t / (t + 10), 10 * t / (t + 10) ** 2])


def relative_error(y, exact, rtol, atol):
    return np.linalg.norm((y - exact) / (atol + rtol * np.abs(exact)), axis=0) / np.sqrt(len(exact))


@pytest.mark.parametrize("scheme", EMBEDDED)
@pytest.mark.parametrize("span", [(5, 9), (5, 1)])
def test_error_control_on_the_rational_problem_both_ways(scheme, span):
    rtol, atol = 1e-4, 1e-7
    r = solve_ivp(rational, span, [1 / 3, 2 / 9], method=solver_class(scheme), rtol=rtol, atol=atol, dense_output=True)
    assert r.success and r.status == 0 and r.t[0] == span[0] and r.t[-1] == span[1]
    assert (np.diff(r.t) * np.sign(span[1] - span[0]) > 0).all()
    assert relative_error(r.y, rational_solution(r.t), rtol, atol).max() < 5
    between = np.linspace(*span, 60)
    assert np.abs(r.sol(between) - rational_solution(between)).max() < 2e-3
    assert np.allclose(r.sol(r.t), r.y, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(("scheme", "order"), [(explicit_euler, 1), (heun, 2), (rk4, 4)])
def test_fixed_steps_have_the_scheme_order(scheme, order):
    steps = np.array([0.1, 0.05, 0.025])
    errors = [np.abs(solve_ivp(rational, (5, 9), [1 / 3, 2 / 9], method=solver_class(scheme), step=h).y[:, -1]
                     - rational_solution(9)).max() for h in steps]
    slope = np.diff(np.log(errors)) / np.diff(np.log(steps))
    assert abs(slope[-1] - order) < 0.1, slope


@pytest.mark.parametrize("scheme", [*FIXED, *EMBEDDED])
def test_nfev_is_the_number_of_calls(scheme):
    calls = []

    def fun(t, y):
        calls.append(t)
        return -y

    r = solve_ivp(fun, (0, 1), [1.0], method=solver_class(scheme))
    assert r.nfev == len(calls) and r.njev == r.nlu == 0
    if not scheme.embedded_order:
        assert r.nfev == scheme.stages * (len(r.t) - 1) == scheme.stages * 100  # the default: 100 steps
    for more in ({"t_eval": [0.5]}, {"dense_output": True}, {"events": lambda t, y: y[0] - 0.5}):
        calls.clear()
        s = solve_ivp(fun, (0, 1), [1.0], method=solver_class(scheme), **more)
        assert s.nfev == len(calls) and s.nfev <= r.nfev + 1  # the slope at the end of the last step


@pytest.mark.parametrize("scheme", [*FIXED, *EMBEDDED])
def test_t_eval_and_vectorised_functions(scheme):
    t_eval = np.linspace(5.3, 8.7, 11)
    tight = {"rtol": 1e-6, "atol": 1e-9} if scheme.embedded_order else {"step": 0.01}
    r = solve_ivp(rational, (5, 9), [1 / 3, 2 / 9], method=solver_class(scheme), t_eval=t_eval, **tight)
    assert np.array_equal(r.t, t_eval)
    assert np.abs(r.y - rational_solution(t_eval)).max() < 1e-3
    v = solve_ivp(rational, (5, 9), [1 / 3, 2 / 9], method=solver_class(scheme), t_eval=t_eval, vectorized=True,
                  **tight)
    assert np.array_equal(v.y, r.y)


@pytest.mark.parametrize("scheme", [rk4, dormand_prince, heun_euler])
def test_events_are_located(scheme):
    def up(t, y):
        return y[0] - 0.4

    def stop(t, y):
        return y[0] - 0.45

    stop.terminal = True
    tight = {"rtol": 1e-8, "atol": 1e-10} if scheme.embedded_order else {"step": 0.02}
    r = solve_ivp(rational, (5, 9), [1 / 3, 2 / 9], method=solver_class(scheme), events=[up, stop], **tight)
    assert r.status == 1 and r.t_events[0] == pytest.approx([20 / 3], abs=1e-5)
    assert r.t[-1] == pytest.approx(90 / 11, abs=1e-5) and r.y[0, -1] == pytest.approx(0.45, abs=1e-8)


@pytest.mark.parametrize("scheme", EMBEDDED)
def test_max_step_first_step_and_min_step(scheme):
    cls = solver_class(scheme)
    r = solve_ivp(rational, (5, 9), [1 / 3, 2 / 9], method=cls, max_step=0.1, rtol=1e-3)
    assert np.diff(r.t).max() <= 0.1 + 1e-15
    r = solve_ivp(rational, (5, 9), [1 / 3, 2 / 9], method=cls, first_step=0.01)
    assert r.t[1] - r.t[0] == pytest.approx(0.01, rel=1e-12)
    for bad in ({"max_step": -1}, {"first_step": -1}, {"first_step": 5}, {"min_step": -1.0},
                {"atol": -1.0}, {"atol": [1.0] * 3}, {"rtol": [1e-3] * 3}):
        with pytest.raises(ValueError, match="`"):
            solve_ivp(rational, (5, 9), [1 / 3, 2 / 9], method=cls, **bad)
    r = solve_ivp(rational, (5, 9), [1 / 3, 2 / 9], method=cls, min_step=0.5, rtol=1e-10, atol=1e-14)
    assert r.status == -1 and "step size" in r.message and not r.success
    with pytest.warns(UserWarning, match="no effect"):
        cls(rational, 5, np.array([1 / 3, 2 / 9]), 9, nonsense=1)


@pytest.mark.parametrize("scheme", [*FIXED, *EMBEDDED])
def test_no_integration_and_empty_systems(scheme):
    cls = solver_class(scheme)
    r = solve_ivp(lambda t, y: -y, [4, 4], [2, 3], method=cls, dense_output=True)
    assert np.array_equal(r.sol(4), [2, 3]) and np.array_equal(r.sol([4, 5]), [[2, 2], [3, 3]])
    solver = cls(lambda t, y: -y, 0.0, np.array([1.0, 2.0]), 0.0)
    solver.step()
    assert solver.status == "finished" and np.array_equal(solver.dense_output()(0.0), [1, 2])
    empty = solve_ivp(lambda t, y: np.zeros(0), [0, 10], np.zeros(0), method=cls, dense_output=True)
    assert empty.success and empty.sol(10).shape == (0,)


@pytest.mark.parametrize("scheme", [*FIXED, *EMBEDDED])
def test_the_class_contract(scheme):
    y0 = np.array([1 / 3, 2 / 9])
    kept = y0.copy()
    solver = solver_class(scheme)(rational, 5, y0, 9)
    assert isinstance(solver, OdeSolver)
    assert (solver.n, solver.status, solver.t_bound, solver.direction) == (2, "running", 9, 1)
    assert solver.t == 5 and solver.y is not None and solver.step_size is None and solver.nfev == 0
    with pytest.raises(RuntimeError):
        solver.dense_output()
    before = solver.y
    assert solver.step() is None and solver.status == "running"
    assert solver.t > 5 and solver.step_size == solver.t - solver.t_old > 0
    assert solver.y is not before and np.array_equal(before, kept) and np.array_equal(y0, kept)
    sol = solver.dense_output()
    assert np.allclose(sol(5), kept, rtol=1e-15, atol=0) and np.allclose(sol(solver.t), solver.y, rtol=1e-14)
    while solver.status == "running":
        solver.step()
    assert solver.t == 9
    with pytest.raises(RuntimeError):
        solver.step()


def test_states_that_are_not_finite_end_the_run():
    # y' = y^2 from 1 blows up at t = 1; the steps of RK4 overflow soon after.
    with np.errstate(all="ignore"):
        r = solve_ivp(lambda t, y: y**2, (0, 3), [1.0], method=solver_class(rk4), step=0.01)
        assert r.status == -1 and "not finite" in r.message and 1.0 < r.t[-1] < 1.2
        r = solve_ivp(lambda t, y: y**2, (0, 3), [1.0], method=solver_class(dormand_prince))
    assert r.status == -1 and r.t[-1] == pytest.approx(1.0, abs=1e-2)


def test_partitioned_schemes_on_somebody_elses_field():
    def pendulum(t, y):
        return np.array([y[1], -np.sin(y[0])])

    r = solve_ivp(pendulum, (0, 200), [1.0, 0.0], method=solver_class(semi_implicit_euler, rows=2), step=0.05)
    energy = 0.5 * r.y[1] ** 2 - np.cos(r.y[0])
    assert np.abs(energy - energy[0]).max() < 0.05  # symplectic: no drift over 30 periods
    assert np.abs(energy[-400:] - energy[0]).max() < 1.5 * np.abs(energy[:400] - energy[0]).max()
    with pytest.raises(ValueError, match="2 rows"):
        solve_ivp(pendulum, (0, 1), [1.0], method=solver_class(semi_implicit_euler, rows=2))


# Flows and optimizers --------------------------------------------------------------------------------

BEALE = oo.problems.beale()
OPTIMIZERS = [oo.GradientDescent(1e-3), oo.Momentum(1e-4), oo.Nesterov(1e-4), oo.Nesterov(1e-4, momentum=None),
              oo.Adam(1e-2), oo.RMSprop(1e-2, bias_correction=True), oo.ErrorControlledEuler(1e-2),
              oo.RMSprop(1e-2, form="scalar")]


def flow_field(optimizer, problem=BEALE):
    flow = optimizer.flow
    field = flow.field(problem)
    return flow, lambda t, y: field(t, y.reshape(flow.rows, problem.dim)).ravel()


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_an_optimizer_as_a_solver_is_its_own_run(optimizer):
    _flow, fun = flow_field(optimizer)
    run = oo.record(optimizer, BEALE, steps=40, memory=True)
    y0 = optimizer.flow_start(BEALE.x0, BEALE.grad(BEALE.x0)).ravel()
    t = optimizer.t0 + run.t
    end = float(t[-1] - 0.5 * (t[-1] - t[-2]))  # in the middle of the last step
    r = solve_ivp(fun, (optimizer.t0, end), y0, method=solver_class(optimizer, BEALE))
    assert r.success and r.t[-1] == end and r.nfev >= 40
    assert np.allclose(r.t[:-1], t[:-1], rtol=1e-12) and np.array_equal(r.y[:2, :-1].T, run.x[:-1])
    last = r.y[:2, -1]
    assert np.linalg.norm(last - run.x[-2]) < np.linalg.norm(run.x[-1] - run.x[-2])
    exact = oo.reference(optimizer, BEALE, t_end=end - optimizer.t0) if optimizer.t0 == 0 else None
    if exact is not None:
        assert np.linalg.norm(exact(end) - last) < 0.1


def test_an_optimizer_converges_to_its_flow_through_solve_ivp():
    errors = []
    for factor in (1, 2, 4):
        optimizer = oo.Momentum(4e-6, momentum=0.99).refined(factor)
        _, fun = flow_field(optimizer)
        y0 = optimizer.flow_start(BEALE.x0, BEALE.grad(BEALE.x0)).ravel()
        r = solve_ivp(fun, (0, 0.3333), y0, method=solver_class(optimizer, BEALE), dense_output=True)
        exact = solve_ivp(fun, (0, 0.3333), y0, method="DOP853", rtol=1e-11, atol=1e-13, dense_output=True)
        errors.append(np.abs(r.y[:2] - exact.sol(r.t)[:2]).max())
    assert np.abs(np.diff(np.log2(errors)) + 1).max() < 0.1, errors


def test_discretization_as_a_solver_is_the_recorded_run():
    for flow, scheme in ((gradient_flow(), rk4), (heavy_ball_flow(1.0), ALL["stormer-verlet"]),
                         (gradient_flow(), ALL["heun-euler"])):
        method = oo.Discretization(flow, scheme, 1 / 128)
        field = flow.field(BEALE)
        r = solve_ivp(lambda t, y, field=field, rows=flow.rows: field(t, y.reshape(rows, 2)).ravel(), (0, 1),
                      flow.start(BEALE.x0).ravel(), method=solver_class(method, BEALE))
        run = oo.record(method, BEALE, t_end=1.0)
        assert np.array_equal(r.y[:2].T, run.x) and r.nfev == run.n_grad[-1]
    adaptive = oo.Discretization(gradient_flow(), dormand_prince, 0.01, rtol=1e-6)
    field = gradient_flow().field(BEALE)
    r = solve_ivp(lambda t, y: field(t, y.reshape(1, 2)).ravel(), (0, 2), BEALE.x0,
                  method=solver_class(adaptive, BEALE), rtol=1e-6, atol=1e-9, dense_output=True)
    exact = oo.reference(gradient_flow(), BEALE, t_end=2.0)
    assert np.abs(r.y[:, -1] - exact(2.0)).max() < 1e-5 and len(r.t) < 100


def test_problems_of_plain_python_callables():
    problem = oo.Problem(lambda x: 0.5 * float(x @ x), lambda x: x, x0=[1.0, 2.0])
    r = solve_ivp(lambda t, y: -y, (0, 1), problem.x0, method=solver_class(
        oo.Discretization(gradient_flow(), rk4, 0.1), problem))
    assert np.allclose(r.y[:, -1], problem.x0 * np.exp(-1), rtol=1e-6)
    r = solve_ivp(lambda t, y: -y, (0, 1), problem.x0, method=solver_class(oo.GradientDescent(0.25), problem))
    assert np.allclose(r.y[:, -1], problem.x0 * 0.75**4, rtol=1e-15)


def test_what_is_refused():
    gd = oo.GradientDescent(0.01)
    _, fun = flow_field(gd)
    with pytest.raises(ValueError, match="fun must be the field"):
        solve_ivp(lambda t, y: y, (0, 1), BEALE.x0, method=solver_class(gd, BEALE))
    for wrong in (lambda t, y: y[:1], lambda t, y: [y, y]):
        with pytest.raises(ValueError, match="fun must return 2 numbers"):
            solve_ivp(wrong, (0, 1), BEALE.x0, method=solver_class(gd, BEALE))
    with pytest.raises(ValueError, match="forwards"):
        solve_ivp(fun, (1, 0), BEALE.x0, method=solver_class(gd, BEALE))
    adam = oo.Adam(0.01)
    flow, adam_fun = flow_field(adam)
    with pytest.raises(ValueError, match="flow_start"):
        solve_ivp(adam_fun, (0, 1), np.ones(flow.rows * 2), method=solver_class(adam, BEALE))
    with pytest.raises(ValueError, match="y0 must have shape"):
        solve_ivp(lambda t, y: -y, (0, 1), np.ones(5), method=solver_class(gd, BEALE))
    with pytest.raises(ValueError, match="problem must be given"):
        solver_class(gd)
    with pytest.raises(ValueError, match="problem must be None"):
        solver_class(rk4, BEALE)
    with pytest.raises(ValueError, match="needs more"):
        solver_class(armijo_euler)
    with pytest.raises(TypeError, match="method must be"):
        solver_class("rk4")
