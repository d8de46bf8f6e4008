"""Equivalents of what scipy's ``integrate/_ivp/tests/test_ivp.py`` asks of scipy's own solvers, and for
every optimizer of the package what ``solve_ivp`` may ask of it."""

import pickle
import warnings

import numpy as np
import pytest
from scipy.integrate import RK45, solve_ivp
from test_solver_class import BEALE, flow_field, rational, rational_solution, relative_error

import odeopt as oo
from odeopt.flows import gradient_flow
from odeopt.interop import solver_class
from odeopt.schemes import ALL, dormand_prince, explicit_euler, explicit_runge_kutta, heun, heun_euler, rk4

FIXED, EMBEDDED = [explicit_euler, heun, rk4], [heun_euler, dormand_prince]
EVERY = [*FIXED, *EMBEDDED, ALL["rkc"]]


# test_integration, test_integration_complex ------------------------------------------------------------

@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("span", [(5, 9), (5, 1)])
def test_integration(vectorized, span):
    rtol, atol = 1e-3, 1e-6
    r = solve_ivp(rational, span, [1 / 3, 2 / 9], rtol=rtol, atol=atol, method=solver_class(dormand_prince),
                  dense_output=True, vectorized=vectorized)
    assert r.success and r.status == 0 and r.t_events is None and r.y_events is None
    assert r.nfev < 40 and r.njev == r.nlu == 0
    assert r.t[0] == span[0] and r.t[-1] == span[1]
    assert relative_error(r.y, rational_solution(r.t), rtol, atol).max() < 5
    between = np.linspace(*span)
    assert relative_error(r.sol(between), rational_solution(between), rtol, atol).max() < 5
    middle = sum(span) / 2
    assert r.sol(middle).shape == (2,) and relative_error(r.sol(middle), rational_solution(middle), rtol, atol) < 5
    assert np.allclose(r.sol(r.t), r.y, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("scheme", [*FIXED, *EMBEDDED])
def test_complex_states(scheme):
    def fun(t, y):
        return (-0.1 + 1j) * y

    tight = {"rtol": 1e-4, "atol": 1e-6} if scheme.embedded_order else {"step": 1e-3}
    r = solve_ivp(fun, (0, 1), [0.5 + 1j], method=solver_class(scheme), dense_output=True, **tight)
    assert r.success and r.y.dtype == complex
    exact = (0.5 + 1j) * np.exp((-0.1 + 1j) * np.linspace(0, 1, 50))
    assert np.abs(r.sol(np.linspace(0, 1, 50))[0] - exact).max() < (2e-3 if scheme in (explicit_euler,) else 2e-4)


def test_complex_states_are_refused_where_memory_is_real():
    for method in (solver_class(ALL["rkc"]), solver_class(ALL["semi-implicit-euler"], rows=1),
                   solver_class(oo.GradientDescent(0.1), BEALE)):
        with pytest.raises(ValueError, match="complex"):
            solve_ivp(lambda t, y: -y, (0, 1), [1j, 0], method=method)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.float16])
def test_other_real_dtypes_are_integrated_in_double(dtype):
    r = solve_ivp(lambda t, y: -y, (0, 1), np.array([1, 2], dtype), method=solver_class(dormand_prince), rtol=1e-9,
                  atol=1e-12)
    assert r.y.dtype == np.float64 and np.allclose(r.y[:, -1], np.exp(-1) * np.array([1, 2]), rtol=1e-8)


# test_events, test_event_terminal_integer, test_t_eval_early_event --------------------------------------

def cross(level, direction=0.0, terminal=False):
    def event(t, y):
        return y[0] - level

    event.direction, event.terminal = direction, terminal
    return event


@pytest.mark.parametrize("scheme", [rk4, *EMBEDDED])
def test_events_by_direction_and_terminal(scheme):
    tight = {"rtol": 1e-9, "atol": 1e-11} if scheme is dormand_prince else {"rtol": 1e-5, "atol": 1e-7}
    options = {"method": solver_class(scheme), **(tight if scheme.embedded_order else {"step": 5e-3})}
    near = 1e-3 if scheme is heun_euler else 1e-6
    times = np.pi / 6 + np.array([0.0, 2 * np.pi / 3, 2 * np.pi])  # sin t = 1/2, up, down, up

    def fun(t, y):
        return np.array([y[1], -y[0]])

    up, down, both = (solve_ivp(fun, (0, 7), [0.0, 1.0], events=cross(0.5, d), **options) for d in (1, -1, 0))
    assert up.status == both.status == 0
    assert np.allclose(up.t_events[0], times[[0, 2]], atol=near)
    assert np.allclose(down.t_events[0], times[[1]], atol=near)
    assert np.allclose(both.t_events[0], times, atol=near)
    assert both.y_events[0].shape == (3, 2) and np.allclose(both.y_events[0][:, 0], 0.5, atol=1e-9)
    ended = solve_ivp(fun, (0, 7), [0.0, 1.0], events=[cross(0.5, 0, 2), cross(9.0)], dense_output=True, **options)
    assert ended.status == 1 and ended.t[-1] == pytest.approx(times[1], abs=near)
    assert ended.t_events[1].size == 0 and ended.sol.t_max == ended.t[-1]
    t_eval = np.linspace(0, 7, 15)
    early = solve_ivp(fun, (0, 7), [0.0, 1.0], events=cross(0.5, 0, True), t_eval=t_eval, **options)
    assert early.status == 1 and np.array_equal(early.t, t_eval[t_eval < times[0]])
    none = solve_ivp(fun, (0, 7), [0.0, 1.0], events=cross(0.5, 0, True), t_eval=[6.0, 7.0], **options)
    assert none.status == 1 and len(none.t) == len(none.y) == 0


def test_an_event_on_an_infinite_interval():
    """scipy's upward cannon: solver_class takes t_bound = inf, as solve_ivp's own methods do."""
    ground = cross(0.0, -1, True)
    def fall(t, y):
        return np.array([y[1], -9.80665])

    try:  # scipy's own: 1.15.0 refuses an event at the end of a step
        solve_ivp(fall, [0, np.inf], [0, 0.01], events=ground, dense_output=True, max_step=0.05 * 0.001 / 9.80665)
    except ValueError as error:
        pytest.skip(f"RK45 of this scipy fails, too: {error}")
    r = solve_ivp(fall, [0, np.inf], [0, 0.01], events=ground, dense_output=True,
                  max_step=0.05 * 0.001 / 9.80665, method=solver_class(dormand_prince))
    assert r.status == 1 and r.t_events[0] == pytest.approx([0.00203943], rel=1e-5)
    assert np.allclose(r.y_events[0], [[0.0, -0.01]], atol=1e-9)
    assert np.allclose(r.sol(0.01), [-0.00039033, -0.08806632], rtol=1e-5, atol=1e-8)
    for scheme, more in ((heun_euler, {}), (rk4, {"step": 0.5})):
        s = solve_ivp(lambda t, y: -y, (0, np.inf), [1.0], events=cross(0.5, 0, True), method=solver_class(scheme),
                      **more)
        assert s.status == 1 and s.t[-1] == pytest.approx(np.log(2), abs=2e-3)
    with pytest.raises(ValueError, match="infinite interval"):
        solve_ivp(lambda t, y: -y, (0, np.inf), [1.0], method=solver_class(rk4))


# test_max_step, test_first_step -------------------------------------------------------------------------

@pytest.mark.parametrize("scheme", EVERY)
@pytest.mark.parametrize("span", [(5, 9), (5, 1)])
def test_steps_are_as_long_as_they_are_told(scheme, span):
    cls, y0 = solver_class(scheme), [1 / 3, 2 / 9]
    r = solve_ivp(rational, span, y0, method=cls, max_step=0.5)
    assert r.success and np.abs(np.diff(r.t)).max() <= 0.5 + 1e-15 and r.t[-1] == span[1]
    r = solve_ivp(rational, span, y0, method=cls, first_step=0.1)
    assert abs(r.t[1] - span[0]) == pytest.approx(0.1, abs=5e-15) and r.t[-1] == span[1]
    if not scheme.embedded_order:
        assert np.abs(np.diff(r.t[1:])) == pytest.approx(np.full(len(r.t) - 2, 0.04), abs=0.0400001)
        r = solve_ivp(rational, span, y0, method=cls, step=0.3)
        assert len(r.t) == 15 and np.abs(np.diff(r.t))[:-1] == pytest.approx(np.full(13, 0.3), rel=1e-12)
        with pytest.raises(ValueError, match="`step` must be in"):
            solve_ivp(rational, span, y0, method=cls, step=0.0)


def test_equal_steps_do_not_drift():
    r = solve_ivp(lambda t, y: -y, (0, 1), [1.0], method=solver_class(explicit_euler), step=1e-4)
    assert len(r.t) == 10_001 and r.nfev == 10_000 and np.array_equal(r.t, np.append(np.arange(10_000) * 1e-4, 1.0))
    gd = oo.GradientDescent(1e-4)
    _, fun = flow_field(gd)
    r = solve_ivp(fun, (0, 1), BEALE.x0, method=solver_class(gd, BEALE))
    assert len(r.t) == 10_001 and np.allclose(r.t, np.arange(10_001) * 1e-4, rtol=0, atol=2.3e-16)
    assert r.nfev == 10_000


def test_options_without_effect_draw_scipys_warning():
    gd, (_, fun) = oo.GradientDescent(0.01), flow_field(oo.GradientDescent(0.01))
    fixed = oo.Discretization(gradient_flow(), rk4, 0.01)
    for method, option in ((solver_class(rk4), "rtol"), (solver_class(dormand_prince), "step"),
                           (solver_class(fixed, BEALE), "step"), (solver_class(gd, BEALE), "max_step"),
                           (solver_class(gd, BEALE), "first_step"), (solver_class(gd, BEALE), "atol")):
        with pytest.warns(UserWarning, match=f"no effect for a chosen solver: `{option}`"):
            solve_ivp(fun, (0, 0.05), BEALE.x0, method=method, **{option: 0.01})


# test_t_eval, test_t_eval_dense_output ------------------------------------------------------------------

@pytest.mark.parametrize("scheme", EVERY)
@pytest.mark.parametrize("t_eval", [np.linspace(5, 9, 10), np.linspace(5, 9, 9)[:-1], np.linspace(5, 9, 9)[1:],
                                    [5, 5.01, 7, 8, 8.01, 9], [5.01, 7, 8, 8.01], [9], []])
def test_t_eval(scheme, t_eval):
    tight = {"rtol": 1e-4, "atol": 1e-7} if scheme.embedded_order else {"step": 2e-2}
    for flip in (1, -1):
        points = 5 + flip * (np.asarray(t_eval, float) - 5)
        r = solve_ivp(rational, (5, 5 + 4 * flip), [1 / 3, 2 / 9], method=solver_class(scheme), t_eval=points,
                      dense_output=True, **tight)
        assert r.success and np.array_equal(r.t, points)
        if points.size:
            assert np.abs(r.y - rational_solution(points)).max() < (2e-2 if scheme is explicit_euler else 2e-3)
            assert np.allclose(r.sol(points), r.y, rtol=1e-14, atol=1e-15)
    for wrong in ([4, 6], [5, 7, 6], [6, 10]):
        with pytest.raises(ValueError, match="t_eval"):
            solve_ivp(rational, (5, 9), [1 / 3, 2 / 9], method=solver_class(scheme), t_eval=wrong)


def test_dense_output_of_dormand_prince_is_of_order_four_and_free():
    def fun(t, y):
        return np.array([y[1], -y[0]])

    errors, between = [], np.linspace(0, 6, 997)
    loose = {"rtol": 1.0, "atol": 1e9, "max_step": 0.0}  # the steps are what max_step says
    for h in (0.2, 0.1, 0.05):
        run = solve_ivp(fun, (0, 6), [0.0, 1.0], method=solver_class(dormand_prince), dense_output=True,
                        **loose | {"max_step": h, "first_step": h})
        assert run.nfev == 6 * (len(run.t) - 1) + 1
        errors.append(np.abs(run.sol(between)[0] - np.sin(between)).max())
    assert np.log2(errors[0] / errors[1]) > 4.5 and np.log2(errors[1] / errors[2]) > 4.5  # local error: h^5
    three = explicit_runge_kutta("Kutta", [[0, 0, 0], [0.5, 0, 0], [-1, 2, 0]], [1 / 6, 2 / 3, 1 / 6], order=3)
    coarse, fine = (np.abs(solve_ivp(fun, (0, 6), [0.0, 1.0], method=solver_class(three), step=h, dense_output=True)
                           .sol(between)[0] - np.sin(between)).max() for h in (0.1, 0.05))
    assert np.log2(coarse / fine) == pytest.approx(3, abs=0.2)


def test_the_discretisation_and_the_bare_scheme_agree_in_dense_output():
    field = gradient_flow().field(BEALE)
    for scheme in (rk4, dormand_prince, explicit_euler, heun):
        embedded = scheme.embedded_order > 0
        method = oo.Discretization(gradient_flow(), scheme, 0.01, rtol=1e-3 if embedded else None, atol=1e-6)
        by_flow, by_field = (solve_ivp(lambda t, y: field(t, y.reshape(1, 2)).ravel(), (0, 0.5), BEALE.x0, method=m,
                                       dense_output=True, max_step=0.01, first_step=0.01, **more)
                             for m, more in ((solver_class(method, BEALE), {}),
                                             (solver_class(scheme), {} if embedded else {"step": 0.01})))
        t = np.linspace(0, 0.5, 333)
        assert np.allclose(by_flow.sol(t), by_field.sol(t), rtol=1e-12, atol=1e-13)


# test_empty, test_no_integration_class, test_args, test_array_rtol, test_initial_state_finiteness, ... ------

def test_args_and_array_tolerances_and_zero_fields():
    r = solve_ivp(lambda t, y, a, b: a * y + b, (0, 1), [1.0], args=(-2.0, 0.0), method=solver_class(dormand_prince),
                  events=lambda t, y, a, b: y[0] - 0.5, rtol=1e-8, atol=1e-10)
    assert r.y[0, -1] == pytest.approx(np.exp(-2), rel=1e-7) and r.t_events[0] == pytest.approx([np.log(2) / 2])
    loose, mixed, tight = (solve_ivp(lambda t, y: y, (0, 1), [1, 1], method=solver_class(dormand_prince), rtol=rtol,
                                     atol=1e-12) for rtol in (1e-1, [1e-1, 1e-8], 1e-8))
    errors = [np.abs(r.y[:, -1] - np.e).max() for r in (loose, mixed, tight)]
    assert errors[0] > 3 * errors[1] and loose.nfev < mixed.nfev <= tight.nfev
    with pytest.warns(UserWarning, match="rtol` is too small"):
        tiny = solve_ivp(lambda t, y: y, (0, 1), [1.0], method=solver_class(dormand_prince), rtol=1e-18, atol=1e-9)
    assert tiny.success
    zero = solve_ivp(lambda t, y: np.zeros_like(y), (0, 10), np.ones(3), method=solver_class(dormand_prince))
    assert zero.success and (zero.y == 1).all()


@pytest.mark.parametrize("scheme", EVERY)
def test_starts_that_are_not_finite_are_refused(scheme):
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="initial state `y0` must be finite"):
            solve_ivp(lambda t, y: -y, (0, 1), [bad], method=solver_class(scheme))


@pytest.mark.parametrize("scheme", EVERY)
@pytest.mark.parametrize("end", [1e-4, 1e-15, 2.0, -0.3, 1e6 / 3])
def test_the_field_is_never_asked_outside_the_interval(scheme, end):
    def fun(t, y):
        assert min(0, end) <= t <= max(0, end)
        return np.array([y[1], -y[0]]) / (1 + abs(end))

    r = solve_ivp(fun, (0, end), [1.0, 0.0], method=solver_class(scheme), dense_output=True)
    assert r.success and r.t[-1] == end


@pytest.mark.parametrize("scheme", [heun, rk4, ALL["look-ahead-euler"]])
def test_a_last_step_that_rounds_beyond_the_end_does_not_ask_there(scheme):
    def fun(t, y):
        assert t <= 0.3 < 0.2 + 0.1
        return -y

    rows = 2 if scheme is ALL["look-ahead-euler"] else 1
    r = solve_ivp(fun, (0, 0.3), [1.0, 0.0], method=solver_class(scheme, rows=rows), step=0.1)
    assert r.success and len(r.t) == 4 and r.t[-1] == 0.3


def test_steps_are_controlled_as_record_controls_them():
    method = oo.Discretization(gradient_flow(), dormand_prince, 1e-3, rtol=1e-7, atol=1e-9)
    _, fun = flow_field(oo.GradientDescent(0.1))
    r = solve_ivp(fun, (0, 2), BEALE.x0, method=solver_class(method, BEALE))
    run = oo.record(method, BEALE, t_end=2.0)
    log = run.step_log
    assert log["accepted"].all() and len(r.t) > 15
    assert np.allclose(r.t[:-2], run.t[: len(r.t) - 2], rtol=1e-9, atol=0)


@pytest.mark.parametrize("fun, y0", [(lambda t, y: -y, [1.0, 3.0]), (rational, [1 / 3, 2 / 9]),
                                     (lambda t, y: 1e6 * (np.cos(t) - y), [0.0]), (lambda t, y: 0 * y, [0.0])])
def test_the_first_step_is_sought_where_the_problem_is(fun, y0):
    """Not a part of the interval, which says nothing about the field: what RK45 takes (the same rule)."""
    for span in ((5, 5000), (5, 1)):
        ours, theirs = (method(fun, span[0], np.array(y0), span[1])
                        for method in (solver_class(dormand_prince), RK45))
        assert ours._first_step() == pytest.approx(theirs.h_abs, rel=1e-12) and ours.nfev == theirs.nfev


@pytest.mark.parametrize("scheme", [dormand_prince, rk4])
def test_large_states_step_in_whole_arrays(scheme):
    """A million components: through the loops of the kernel's Python source this would take an hour."""
    r = solve_ivp(lambda t, y: -y, (0, 0.1), np.ones(1_000_000), method=solver_class(scheme), max_step=0.02,
                  first_step=0.02, t_eval=[0.1])
    assert np.allclose(r.y[:, -1], np.exp(-0.1), rtol=1e-5)


def test_solutions_pickle():
    r = solve_ivp(lambda t, y: -y, (0, 1), [1.0], method=solver_class(dormand_prince), dense_output=True)
    assert np.array_equal(pickle.loads(pickle.dumps(r.sol))(0.3), r.sol(0.3))


# Every optimizer ----------------------------------------------------------------------------------------

CLASSES = sorted(oo.optimizers.ALL)


def made(name):
    lr = {"tol": 1e-2} if name == "errorcontrolledeuler" else {"lr": 1e-3}
    return oo.optimizers.ALL[name](**lr)


@pytest.mark.parametrize("start", ["cold", "consistent"])
@pytest.mark.parametrize("name", CLASSES)
def test_every_optimizer_is_its_own_run_or_refused(name, start):
    optimizer = made(name)
    if optimizer.flow is None:
        with pytest.raises(ValueError, match="classical flow"):
            solver_class(optimizer, BEALE)
        return
    _, fun = flow_field(optimizer)
    run = oo.record(optimizer, BEALE, steps=30, start=start)
    y0 = optimizer.flow_start(BEALE.x0, BEALE.grad(BEALE.x0), start).ravel()
    t = optimizer.t0 + run.t
    method = solver_class(optimizer, BEALE, start=start)
    whole = solve_ivp(fun, (optimizer.t0, t[-1]), y0, method=method)
    assert whole.success and whole.nfev == 30 and np.array_equal(whole.y[:2].T, run.x)
    assert np.allclose(whole.t, t, rtol=4e-16, atol=0)
    end = t[-2] + 0.25 * (t[-1] - t[-2])  # the last step is cut
    level, moment = 0.5 * (run.x[3, 0] + run.x[4, 0]), 0.5 * (t[9] + t[10])
    stop = cross(0.0, 0, True)
    timed = [cross(level), lambda t, y: stop(t, [t - moment])]
    timed[1].terminal = True
    cut = solve_ivp(fun, (optimizer.t0, end), y0, method=method, dense_output=True, events=timed)
    assert cut.status == 1 and cut.t[-1] == pytest.approx(moment, rel=1e-12) and len(cut.t) == 11
    assert np.allclose(cut.y_events[0][:, 0], level, rtol=1e-12)
    assert any(t[3] <= found <= t[4] for found in cut.t_events[0])
    cut = solve_ivp(fun, (optimizer.t0, end), y0, method=method, dense_output=True)
    assert cut.success and cut.t[-1] == end and np.array_equal(cut.y[:2, :-1].T, run.x[:-1])
    moved = np.linalg.norm(cut.y[:2, -1] - run.x[-2]) / np.linalg.norm(run.x[-1] - run.x[-2])
    assert 0.1 < moved < 0.6
    between = cut.sol(np.linspace(optimizer.t0, end, 400))
    assert np.isfinite(between).all()
    i = np.clip(np.searchsorted(cut.t, np.linspace(optimizer.t0, end, 400), side="right") - 1, 0, len(cut.t) - 2)
    low, high = np.minimum(cut.y[:, i], cut.y[:, i + 1]), np.maximum(cut.y[:, i], cut.y[:, i + 1])
    slack = 1e-12 * (1 + np.abs(cut.y).max())
    assert (between >= low - slack).all() and (between <= high + slack).all()


def test_nfev_of_an_optimizer_is_what_the_problem_was_asked():
    calls = []

    def grad(x):
        calls.append(1)
        return 2 * x

    problem = oo.Problem(lambda x: float(x @ x), grad, x0=[1.0, 2.0])
    for optimizer, more in ((oo.GradientDescent(0.01), {}), (oo.Adam(0.01), {"dense_output": True})):
        flow = optimizer.flow
        y0 = optimizer.flow_start(problem.x0, 2 * problem.x0).ravel()
        field = flow.field(problem)
        asked = []

        def fun(t, y, field=field, rows=flow.rows, asked=asked):
            asked.append(1)
            return field(t, y.reshape(rows, 2)).ravel()

        calls.clear()
        r = solve_ivp(fun, (0, 0.1), y0, method=solver_class(optimizer, problem), **more)
        assert len(asked) == 1  # the comparison at the start
        assert r.nfev == len(calls) - len(asked) - 1  # beside the two fields compared


def test_a_discretisation_runs_backwards_and_brings_its_tolerances():
    field = gradient_flow().field(BEALE)

    def fun(t, y):
        return field(t, y.reshape(1, 2)).ravel()

    method = solver_class(oo.Discretization(gradient_flow(), rk4, 1e-3), BEALE)
    forward = solve_ivp(fun, (0, 0.1), BEALE.x0, method=method)
    back = solve_ivp(fun, (0.1, 0), forward.y[:, -1], method=method)
    assert back.success and back.t[-1] == 0 and np.allclose(back.y[:, -1], BEALE.x0, rtol=1e-6)
    own, given = (solve_ivp(fun, (0, 1), BEALE.x0, method=solver_class(oo.Discretization(
        gradient_flow(), dormand_prince, 1e-3, rtol=rtol, atol=1e-12), BEALE), **more)
        for rtol, more in ((1e-9, {}), (1e-2, {"rtol": 1e-9})))
    assert np.array_equal(own.y, given.y) and len(own.t) > 20


def test_dense_output_where_the_flow_has_no_slope():
    gd, (_, fun) = oo.GradientDescent(1e-3), flow_field(oo.GradientDescent(1e-3))
    solver = solver_class(gd, BEALE)(fun, 0.0, BEALE.x0, 1.0)
    solver.step()
    for slope in (np.nan, np.inf, -np.inf):
        solver._known = {0.0: np.full(2, slope)}
        solver._slope = lambda t, y, slope=slope: np.full(2, slope)
        inside = solver.dense_output()(np.linspace(0, 1e-3, 9))
        low, high = np.sort([solver.y_old, solver.y], axis=0)
        assert (inside >= low[:, None] - 1e-15).all() and (inside <= high[:, None] + 1e-15).all()


def test_no_warning_on_the_way():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("adam", "rmsprop", "nadam"):
            optimizer = made(name)
            _, fun = flow_field(optimizer)
            with np.errstate(all="ignore"):
                y0 = optimizer.flow_start(BEALE.x0, BEALE.grad(BEALE.x0)).ravel()
                assert solve_ivp(fun, (0, 0.01), y0, method=solver_class(optimizer, BEALE), dense_output=True).success
