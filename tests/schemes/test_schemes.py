"""Generic schemes: classical orders on smooth flows, exactness, error estimates, refusals."""

import dataclasses
import inspect

import numpy as np
import pytest

import odeopt as oo
from odeopt import flows, schemes

BOWL = oo.problems.sine_bowl()
HIMMELBLAU = oo.problems.himmelblau()
RK4 = ([[0, 0, 0, 0], [0.5, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 1, 0]], [1 / 6, 1 / 3, 1 / 3, 1 / 6])
GRADIENT = oo.flows.gradient_flow()
T = 2.0


def end_errors(scheme, flow, steps, problem=BOWL, t_end=T):
    """|x_N - x(t_end)| for each number of steps."""
    exact = oo.reference(flow, problem, t_end=t_end, rtol=2.3e-14, atol=1e-15, solver="DOP853", check=False)(t_end)
    runs = [oo.record(oo.Discretization(flow, scheme, t_end / n), problem, steps=n, every=n) for n in steps]
    return np.array([np.linalg.norm(run.x[-1] - exact) for run in runs])


@pytest.mark.parametrize(("name", "order", "steps"), [
    ("explicit-euler", 1, (800, 1600, 3200)),
    ("implicit-euler", 1, (400, 800, 1600)),
    ("heun", 2, (100, 200, 400)),
    ("heun-euler", 2, (100, 200, 400)),
    ("rk4", 4, (40, 80, 160)),
    ("dormand-prince", 5, (20, 40, 80)),
])
def test_order_on_gradient_flow(name, order, steps):
    # The fifth order shows only on a short interval: along the bowl its tail is still 5.1 at round-off.
    where = (HIMMELBLAU, 0.05) if order == 5 else (BOWL, T)
    errors = end_errors(oo.schemes.ALL[name], GRADIENT, steps, *where)
    slopes = np.diff(np.log(errors)) / -np.diff(np.log(steps))
    assert abs(slopes[-1] - order) <= 0.05, slopes


@pytest.mark.parametrize(("name", "order", "steps"), [
    ("semi-implicit-euler", 1, (800, 1600, 3200)),
    ("look-ahead-euler", 1, (1600, 3200, 6400)),
    ("stormer-verlet", 2, (100, 200, 400)),
])
@pytest.mark.parametrize("flow", [oo.flows.heavy_ball_flow(1.0), oo.flows.nesterov_flow()], ids=lambda f: f.name)
def test_order_on_second_order_flows(name, order, steps, flow):
    errors = end_errors(oo.schemes.ALL[name], flow, steps)
    slopes = np.diff(np.log(errors)) / -np.diff(np.log(steps))
    assert abs(slopes[-1] - order) <= 0.05, slopes


def test_implicit_euler_solves_its_equation():
    run = oo.record(oo.Discretization(GRADIENT, oo.schemes.implicit_euler, 0.5), BOWL, steps=4)
    for before, after in zip(run.x, run.x[1:]):
        assert np.allclose(after + 0.5 * BOWL.grad(after), before, rtol=0, atol=1e-12)
    assert run.n_grad[-1] >= 4  # gradients and Hessian products are counted


@pytest.mark.parametrize("decay", [0.0, 0.7])
def test_implicit_euler_on_a_quadratic_is_one_newton_step(decay):
    """x <- x/(1 + h (lambda + decay)); conjugate gradients end after one product per eigenvalue."""
    curvatures, h = np.linspace(0.1, 40.0, 8), 0.5
    problem, flow = oo.problems.quadratic(curvatures, x0=np.ones(8)), oo.flows.gradient_flow(decay)
    run = oo.record(oo.Discretization(flow, oo.schemes.implicit_euler, h), problem, steps=3)
    exact = (1 + h * (curvatures + decay)) ** -run.k[:, None]
    np.testing.assert_allclose(run.x, exact, rtol=0, atol=2e-13)
    assert 2 + 8 <= run.n_grad[1] <= 2 + 8 + 1  # two gradients, eight products and one for round-off


def test_implicit_euler_is_stable_where_explicit_is_not():
    stiff = oo.problems.quadratic([1.0, 1e4])
    implicit = oo.record(oo.Discretization(GRADIENT, oo.schemes.implicit_euler, 1.0), stiff, steps=20)
    explicit = oo.record(oo.Discretization(GRADIENT, oo.schemes.explicit_euler, 1.0), stiff, steps=20)
    assert implicit.f[-1] < 1e-6 * implicit.f[0] and explicit.f[-1] > 1e6 * explicit.f[0]


def test_heun_euler_estimate_is_the_local_error_of_euler():
    h, x = 1e-3, BOWL.x0
    run = oo.record(oo.Discretization(GRADIENT, oo.schemes.heun_euler, h, rtol=1e-3, atol=1e-3), BOWL, steps=1)
    estimate = 0.5 * h**2 * np.abs(BOWL.hessp(x, BOWL.grad(x)))
    scale = 1e-3 + 1e-3 * np.maximum(np.abs(x), np.abs(x - h * BOWL.grad(x)))
    assert run.step_log["error"][0] == pytest.approx(np.sqrt(np.mean((estimate / scale) ** 2)), rel=5e-3)


@pytest.mark.parametrize("controller", ["I", "PI"])
def test_error_control_lands_on_the_end_and_keeps_its_tolerance(controller):
    exact = oo.reference(GRADIENT, BOWL, t_end=T, rtol=1e-12, atol=1e-13)(T)
    errors = []
    for rtol in (1e-4, 1e-6, 1e-8):
        method = oo.Discretization(GRADIENT, oo.schemes.dormand_prince, 0.1, rtol=rtol, atol=rtol)
        run = oo.record(method, BOWL, t_end=T, controller=controller)
        assert run.t[-1] == T and run.status == "completed"
        log = run.step_log
        assert np.array_equal(log["accepted"], log["error"] <= 1)
        assert np.isclose(log["h"][log["accepted"]].sum(), T, rtol=1e-12)
        errors.append(np.linalg.norm(run.x[-1] - exact))
    assert errors[0] > 10 * errors[1] > 100 * errors[2] and errors[2] < 1e-7


def test_rejected_steps_leave_no_trace():
    method = oo.Discretization(GRADIENT, oo.schemes.heun_euler, 5.0, rtol=1e-4, atol=1e-4)
    run = oo.record(method, BOWL, t_end=1.0)
    assert not run.step_log["accepted"][0]
    assert len(run) == 1 + run.step_log["accepted"].sum()
    assert run.n_grad[-1] == 2 * run.step_log["accepted"].size


def _field_of_time(fg, hv, data, t, p, z, dz):
    """z = (x, v, q, clock), p = (1 for the clock's time); a field that differs at different times in every row."""
    time = z[3, 0] if p[0] > 0.0 else t
    dz[2, 0] = np.cos(3.0 * time)
    dz[1, 0] = time**2 + z[2, 0]
    dz[0, 0] = np.exp(time) * z[1, 0]
    dz[3, 0] = 1.0


@pytest.mark.parametrize("scheme", [
    oo.schemes.explicit_euler, oo.schemes.heun, oo.schemes.heun_euler, oo.schemes.rk4, oo.schemes.dormand_prince,
    oo.schemes.runge_kutta_chebyshev(2), oo.schemes.runge_kutta_chebyshev(5), oo.schemes.runge_kutta_chebyshev(9, 1.3),
    oo.schemes.partitioned_euler((1, 0, 0, 0)), oo.schemes.partitioned_euler((2, 1, 0, 1)),
    oo.schemes.partitioned_euler((1, 0, 2, 0)),
], ids=str)
def test_stage_times_are_those_of_a_clock_among_the_rows(scheme):
    """t' = 1 makes any field autonomous: a scheme that sees the right times gives the same iterates."""
    problem, start = oo.problems.quadratic([1.0]), [[0.5], [0.2], [-0.1], [0.3]]
    ends = []
    for clock in (0.0, 1.0):
        flow = oo.flows.base.Flow("of time", "z' = F(t, z)", _field_of_time, {"clock": clock}, ("v", "q", "clock"))
        run = oo.record(oo.Discretization(flow, scheme, 0.2, t0=0.3), problem, start, steps=3, memory=True)
        ends.append([*run.x[-1], *run.memory[-1].ravel()])
    np.testing.assert_allclose(*ends, rtol=1e-13)
    assert ends[0][3] == pytest.approx(0.9, rel=1e-14)


def test_own_tableau():
    ralston = oo.schemes.explicit_runge_kutta("Ralston", [[0, 0], [2 / 3, 0]], [1 / 4, 3 / 4], order=2)
    errors = end_errors(ralston, GRADIENT, (100, 200, 400))
    assert np.log2(errors[1] / errors[2]) == pytest.approx(2, abs=0.05)


def test_coasting_ahead_is_look_ahead_but_for_weights():
    """One method on the heavy ball, where both are Nesterov's; two on Adam's flow, which divides by weights."""
    ball, a = oo.flows.heavy_ball_flow(1.0), oo.schemes.coasting_euler("memory")
    runs = [oo.record(oo.Discretization(ball, scheme, 0.05), BOWL, steps=200)
            for scheme in (a, oo.schemes.look_ahead_euler)]
    np.testing.assert_allclose(runs[0].x, runs[1].x, rtol=0, atol=1e-13)
    adam = oo.Adam(0.01)
    ahead = oo.schemes.partitioned_euler((2, 1, 0, 1, 0), look_ahead=True)  # the mean predicted with the same gradient
    coasting = oo.schemes.coasting_euler("memory", "still", "weight", "still")
    x = [oo.record(oo.Discretization(adam.flow, s, adam.h), BOWL, steps=1).x[-1] - BOWL.x0 for s in (ahead, coasting)]
    # first step: g (1 - b)(b + 1)/(1 - b^2) = g, against Dozat's g (1 + b (1 - b)/(1 - b^2))
    np.testing.assert_allclose(np.abs(x[0]), 0.01, rtol=1e-6)
    np.testing.assert_allclose(np.abs(x[1]), 0.01 * (1 + 0.9 / 1.9), rtol=1e-6)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: oo.schemes.coasting_euler("mean"), "roles must be 'memory', 'weight' or 'still'"),
    (lambda: oo.record(oo.Discretization(GRADIENT, oo.schemes.coasting_euler("memory"), 0.1), BOWL), "roles must be"),
    (lambda: oo.Discretization(GRADIENT, oo.schemes.heun, 0.0), "h must be"),
    (lambda: oo.Discretization(GRADIENT, oo.schemes.heun, 0.1, rtol=1e-3), "rtol needs an embedded scheme"),
    (lambda: oo.record(oo.Discretization(GRADIENT, oo.schemes.stormer_verlet, 0.1), BOWL), "second-order flow"),
    (lambda: oo.record(oo.Discretization(oo.Adam().flow, oo.schemes.implicit_euler, 0.1), BOWL), "gradient flow"),
    (lambda: oo.schemes.explicit_runge_kutta("x", [[0, 1], [0, 0]], [0.5, 0.5], order=2), "strictly lower"),
    (lambda: oo.schemes.explicit_runge_kutta("x", [[0, 0], [1, 0]], [0.5, 0.6], order=2), "b must sum to 1, got 1.1"),
    (lambda: oo.schemes.explicit_runge_kutta("x", [[0, 0], [0.5, 0]], [0.5, 0.5], order=2), "b c = 0.5 for order 2"),
    (lambda: oo.schemes.explicit_runge_kutta("x", [[0, 0], [1, 0]], [0.5, 0.5], order=3), r"b c\^2 = 0.333333"),
    (lambda: oo.schemes.explicit_runge_kutta("x", RK4[0], [0.25, 0.25, 0.25, 0.25], order=4), "for order 4"),
    (lambda: oo.schemes.explicit_runge_kutta("x", [[0, 0, 0], [0.5, 0, 0], [0, 1, 0]], [1 / 6, 2 / 3, 1 / 6], order=3),
     "b A c = 0.166667 for order 3, got 0.0833333"),
    (lambda: oo.schemes.explicit_runge_kutta("x", *RK4, [1, 0, 0, 0], order=4, embedded_order=2), "b_hat c = 0.5"),
    (lambda: oo.schemes.explicit_runge_kutta("x", *RK4, order=4, embedded_order=3), "given together"),
])
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def made(module, cls, **given):
    """What the public factories and instances of ``module`` give, by name."""
    found = {}
    for name in module.__all__:
        one = getattr(module, name)
        if inspect.isfunction(one):
            asked = [p.name for p in inspect.signature(one).parameters.values() if p.default is p.empty]
            if not set(asked) <= given.keys():
                continue
            one = one(**{key: given[key] for key in asked})
        if isinstance(one, cls):
            found[name] = one
    return found


FLOWS = made(flows, flows.Flow, lr=0.1, tau=0.1, tau1=0.1, tau2=0.2, a=1.0, h=0.1, c=0.1, rho=0.1, eps=0.1, p=2.0,
             r=3.0, mu=1.0, f_star=0.0, kind="nag-c")
SCHEMES = made(schemes, schemes.Scheme, row=1, rho=0.1) | {
    "coasting": schemes.coasting_euler("memory"), "partitioned": schemes.partitioned_euler((2, 1, 0, 1, 0))}


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_fits_or_refuses_every_flow(name):
    """One place looks, also at what a scheme's own check forgot: numpy sees each index outside an array."""
    problem, fitted = oo.problems.rosenbrock(4), 0
    for flow in FLOWS.values():
        for _ in range(2):  # nothing is let through the second time
            try:
                oo.record(oo.Discretization(flow, SCHEMES[name], 1e-6), problem, steps=1)
            except (ValueError, TypeError) as error:
                assert "must" in str(error) or "needs" in str(error)
            else:
                fitted += 1
    assert len(FLOWS) > 15 and len(SCHEMES) > 12 and fitted % 2 == 0 and fitted > 0


def test_a_scheme_that_leaves_its_rows_is_refused_where_its_check_forgot():
    careless = dataclasses.replace(schemes.catching_up_euler(1), check=None)
    for _ in range(2):
        with pytest.raises(TypeError, match="must stay inside its arrays, and does not on gradient flow"):
            oo.record(oo.Discretization(GRADIENT, careless, 1e-3), oo.problems.rosenbrock(300), steps=5)


def test_the_test_equation_is_refused_on_other_problems_every_time():
    method = oo.Discretization(flows.linear_test_flow(), schemes.rk4, 0.01)
    for problem in (BOWL, oo.problems.rosenbrock(4)) * 2:
        with pytest.raises(ValueError, match="problem must be a linear_test_problem"):
            oo.record(method, problem, steps=3)
        with pytest.raises(ValueError, match="problem must be a linear_test_problem"):
            oo.reference(method, problem, t_end=1.0)


@pytest.mark.parametrize("make", [getattr(flows, name) for name in flows.__all__ if name.endswith("_flow")])
def test_choices_of_flows_are_checked(make):
    """"insde" was taken for "outside"."""
    choices = [p.name for p in inspect.signature(make).parameters.values()
               if isinstance(p.default, str) and p.name not in ("name", "energy")]
    asked = {p.name: 0.5 for p in inspect.signature(make).parameters.values() if p.default is p.empty}
    asked |= {"shape": (2, 2)} if "shape" in asked else {}
    for name in choices:
        for wrong in ("insde", None, 3, np.ones(3)):
            with pytest.raises(ValueError, match=f"^{name} must be one of"):
                make(**asked, **{name: wrong})


@pytest.mark.parametrize(("make", "words"), [
    (lambda: schemes.runge_kutta_chebyshev(10**9), "stages must be at most 10000, got 1000000000"),
    (lambda: schemes.explicit_runge_kutta(5, [[0.0]], [1.0], order=1), "name must be a str, got 5"),
    (lambda: dataclasses.replace(schemes.heun, constants=5), "constants must be a sequence, got 5"),
    (lambda: flows.Flow(3, "x' = -g", flows.gradient_flow().rhs), "name must be a str, got 3"),
    (lambda: flows.Flow("x", None, flows.gradient_flow().rhs), "equation must be a str, got None"),
    (lambda: flows.Flow("x", "", flows.gradient_flow().rhs, 5), "constants must be a dict of names and numbers, got 5"),
    (lambda: flows.Flow("x", "", flows.gradient_flow().rhs, {}, 5), "slots must be a tuple of names, got 5"),
    (lambda: flows.Flow("x", "", flows.gradient_flow().rhs, order_of_position=0), "order_of_position must be one of"),
])
def test_parts_of_flows_and_schemes_are_checked(make, words):
    """A billion stages took minutes to their coefficients; the others were AttributeErrors, or accepted."""
    with pytest.raises((TypeError, ValueError), match=words):
        make()
