"""Reference flows against closed forms, and comparisons against what theory says of them."""

import sys
import threading

import numpy as np
import pytest
from scipy.special import jv

import odeopt as oo
from odeopt.reference import solvers

QUADRATIC = oo.problems.quadratic([1.0, 4.0], x0=[1.0, -2.0])
BOWL, FLOW = oo.problems.sine_bowl(), oo.flows.gradient_flow()


@pytest.mark.parametrize("solver", ["auto", "DOP853", "Radau", "LSODA", "BDF", "RK45", "RKC2", "ROCK2"])
def test_gradient_flow_of_a_quadratic(solver):
    rough = {"rtol": 1e-7, "atol": 1e-9} if solver in ("RKC2", "ROCK2") else {}
    sol = oo.reference(oo.flows.gradient_flow(), QUADRATIC, t_end=2.0, solver=solver, **rough)
    t = np.linspace(0, 2, 11)
    exact = np.exp(-np.outer(t, [1.0, 4.0])) * [1.0, -2.0]
    loose = 1e-5 if solver == "BDF" or rough else 2e-7
    assert np.abs(sol(t) - exact).max() < loose
    assert sol.success and np.abs(sol(t) - exact).max() < 10 * sol.uncertainty + 1e-9


def test_heavy_ball_of_a_quadratic():
    a, eigenvalue = 1.0, 4.0
    omega = np.sqrt(eigenvalue - a * a / 4)
    sol = oo.reference(oo.flows.heavy_ball_flow(a), oo.problems.quadratic([4.0], x0=[1.0]), t_end=3.0)
    t = np.linspace(0, 3, 7)
    exact = np.exp(-a * t / 2) * (np.cos(omega * t) + a / (2 * omega) * np.sin(omega * t))
    assert np.abs(sol(t)[:, 0] - exact).max() < 1e-7


def test_nesterov_flow_of_a_quadratic_is_a_bessel_function():
    """X = 2 x0 J1(z)/z with z = t sqrt(lambda): Su, Boyd, Candes, section 3.2."""
    sol = oo.reference(oo.flows.nesterov_flow(), QUADRATIC, t_end=6.0)
    t = np.linspace(0.1, 6, 25)
    z = np.outer(t, [1.0, 2.0])
    assert np.abs(sol(t) - 2 * jv(1, z) / z * [1.0, -2.0]).max() < 1e-7


def test_adam_flow_starts_like_sign_descent():
    sol = oo.reference(oo.Adam(1e-3), BOWL, t_end=1e-3)
    assert np.allclose((sol(1e-6) - BOWL.x0) / 1e-6, -np.sign(BOWL.grad(BOWL.x0)), rtol=1e-3)


FLOWS = [oo.flows.gradient_flow(0.3), oo.flows.heavy_ball_flow(1.0, decay=0.2, drift=0.1), oo.flows.nesterov_flow(),
         oo.flows.averaged_gradient_flow(0.3, decay=0.2, drift=0.1),
         oo.flows.rmsprop_flow(0.3, 0.1, decay=0.2), oo.flows.rmsprop_flow(0.3, 0.1, eps_mode="outside"),
         oo.flows.adam_flow(0.3, 0.7, 0.1, decay=0.2, drift=0.1), oo.flows.adam_flow(0.3, 0.7, 0.1, eps_mode="inside")]


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.equation)
def test_jacobians_against_differences_of_the_field(flow):
    rng = np.random.default_rng(1)
    z = np.abs(rng.standard_normal((flow.rows, 2))) + 0.5
    weights = [i for i, slot in enumerate(flow.slots, 1) if "weight" in slot]
    for row in weights:
        z[row] = 0.6, 0.0
    field, n = flow.field(BOWL), z.size
    got = flow.jacobian(0.7, z, BOWL.grad(z[0]), BOWL.hess(z[0]), flow.p)
    for column in range(n):
        if column // 2 in weights and column % 2:
            continue  # not state: only element 0 of a weight's row is
        step = np.zeros(n)
        step[column] = 1e-5
        step = step.reshape(z.shape)
        difference = (field(0.7, z + step) - field(0.7, z - step)).ravel() / 2e-5
        assert np.allclose(got[:, column], difference, rtol=1e-7, atol=1e-8), column


def test_stiff_flow_changes_the_solver():
    stiff = oo.problems.quadratic([1.0, 1e5], x0=[1.0, 1.0])
    sol = oo.reference(oo.flows.gradient_flow(), stiff, t_end=2.0)
    assert sol.method == "LSODA" and np.allclose(sol(2.0), [np.exp(-2), 0], atol=1e-7)


def _without_hessian(problem):
    return oo.Problem.from_kernels(problem.name, problem.fg, None, dim=problem.dim, x0=problem.x0, data=problem.data)


def test_large_stiff_states_stay_explicit():
    """Too large for an implicit solver, so DOP853 goes on where it would hand over: 600 decays, rates up to 2000."""
    rates = np.geomspace(1.0, 2000.0, 600)
    large = _without_hessian(oo.problems.quadratic(rates, x0=np.ones(600)))
    sol = oo.reference(oo.flows.gradient_flow(), large, t_end=4.0, check=False)
    assert sol.success and sol.method == "DOP853" and sol.nfev > 10_000
    assert np.allclose(sol(0.5), np.exp(-0.5 * rates), rtol=0, atol=1e-8)


def test_the_check_of_a_large_state_runs_abreast_and_is_the_same():
    large = oo.problems.quadratic(np.geomspace(1.0, 100.0, 500), x0=np.ones(500))
    sol = oo.reference(oo.flows.gradient_flow(), large, t_end=2.0)
    tight, loose = (oo.reference(oo.flows.gradient_flow(), large, t_end=2.0, check=False, **more)
                    for more in ({}, {"solver": "DOP853", "rtol": 1e-8, "atol": 1e-10}))
    t = np.linspace(0, 2, 201)[1:]
    assert sol.uncertainty == np.linalg.norm(loose(t) - tight(t), axis=1).max()
    assert tight.nfev < sol.nfev <= tight.nfev + loose.nfev and np.array_equal(sol(t), tight(t))


@pytest.mark.parametrize("culprit", ["first", "second"])
def test_an_exception_ends_both_solutions(culprit, monkeypatch):
    module = sys.modules["odeopt.reference.reference"]
    real, main = module.solve, threading.current_thread()

    def solve(*args):
        if (threading.current_thread() is main) == (culprit == "first"):
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(module, "solve", solve)
    large = oo.problems.quadratic(np.geomspace(1.0, 100.0, 500), x0=np.ones(500))
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        oo.reference(oo.flows.gradient_flow(), large, t_end=2.0)
    assert threading.active_count() == before


def test_large_stiff_states_go_on_with_a_stabilised_solver_where_that_is_faster():
    """600 decays, rates to 200,000: DOP853 would take 400,000 evaluations for its steps of 3e-5; RKC2 at 1e-10, too."""
    rates = np.geomspace(1.0, 2e5, 600)
    large = _without_hessian(oo.problems.quadratic(rates, x0=np.ones(600)))
    sol = oo.reference(oo.flows.gradient_flow(), large, t_end=1.0, rtol=1e-5, atol=1e-7)
    assert sol.success and sol.method == "RKC2" and sol.nfev < 40_000
    assert np.abs(sol(0.5) - np.exp(-0.5 * rates)).max() < sol.uncertainty < 1e-3
    tight = oo.reference(oo.flows.gradient_flow(), large, t_end=1.0, check=False)
    assert not tight.success and tight.method == "DOP853" and 51_000 <= tight.nfev < 53_000


def test_what_is_solved_is_kept_where_the_field_ends():
    """x' = -g/|g| arrives at the minimum after the length |x0| and has no direction there."""
    round_bowl = oo.problems.quadratic([1.0, 1.0], x0=[3.0, 4.0])
    sol = oo.reference(oo.flows.normalized_flow(), round_bowl, t_end=6.0)
    assert not sol.success and "not smooth" in sol.message
    assert sol.t_end == pytest.approx(5.0, abs=1e-6) and sol.uncertainty < 1e-4
    assert np.allclose(sol(4.0), [0.6, 0.8], atol=1e-8)


def test_a_solution_that_failed_ends_where_a_second_one_parts_from_it():
    from odeopt.reference.reference import _agreement

    class Line:
        t = np.array([0.0, 2.0])

        def __init__(self, late):
            self.late = late

        def sol(self, t):
            return np.array([1.0 + 0 * t + self.late * (t > 1.0)])

    end, uncertainty = _agreement(Line(0.5), Line(0.0), 0.0, 1, 1e-4)
    assert end == pytest.approx(1.0, abs=0.02) and uncertainty == 0.0
    assert _agreement(Line(0.5), Line(0.5), 0.0, 1, 1e-4)[0] == 2.0


def test_python_problem():
    plain = oo.Problem(lambda x: float(x @ x) / 2, lambda x: x, dim=2, x0=[1.0, 2.0])
    assert np.allclose(oo.reference(oo.flows.gradient_flow(), plain, t_end=1.0)(1.0), np.exp(-1) * plain.x0, atol=1e-8)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: oo.reference(oo.Adam(), BOWL), "t_end must be given"),
    (lambda: oo.reference(oo.Adam(), BOWL, t_end=-1.0), "t_end must be in"),
    (lambda: oo.reference(oo.Adam(), BOWL, t_end=1.0, solver="euler"), "solver must be one of"),
    (lambda: oo.reference(oo.Adam(), BOWL, t_end=1.0)(2.0), r"t must be in \[0, 1\]"),
])
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_comparison_of_gradient_descent():
    coarse, fine = (oo.compare(oo.GradientDescent(h), BOWL, steps=round(2 / h), order=True) for h in (0.02, 0.01))
    assert coarse.max_error / fine.max_error == pytest.approx(2, rel=0.03)
    assert coarse.order == pytest.approx(1, abs=0.03)
    assert coarse.trusted and coarse.message == ""
    # The local error of explicit Euler is (h^2/2) |H g| to leading order.
    x = fine.run.x[np.searchsorted(fine.run.t, fine.local_t)]
    theory = [0.5 * 0.01**2 * np.linalg.norm(BOWL.hessp(y, BOWL.grad(y))) for y in x]
    assert np.allclose(fine.local_error, theory, rtol=0.02)


def test_rmsprop_is_of_order_one_half_from_a_cold_start_and_one_when_corrected():
    orders = [oo.compare(oo.RMSprop(1e-3, 0.99, bias_correction=b), BOWL, steps=400, local=False, order=True).order
              for b in (False, True)]
    assert orders[0] == pytest.approx(0.5, abs=0.06) and orders[1] == pytest.approx(1, abs=0.05)


def test_no_order_is_reported_where_two_halvings_disagree():
    """Far above the stability limit the error falls by powers of 2 that have nothing to do with the order."""
    stiff = oo.problems.quadratic([1.0, 100.0], x0=[1.0, 1.0])
    wild, fine = (oo.compare(oo.GradientDescent(h), stiff, steps=40, local=False, order=True) for h in (0.05, 1e-3))
    assert wild.run.ok and wild.max_error > 1e20 and np.isnan(wild.order)
    assert fine.order == pytest.approx(1, abs=0.1)


def test_comparison_says_when_the_reference_is_not_good_enough():
    result = oo.compare(oo.GradientDescent(1e-4), BOWL, steps=20_000, rtol=1e-3, atol=1e-6, local=False)
    assert not result.trusted and "uncertain" in result.message


def test_comparison_of_a_run_that_diverges():
    result = oo.compare(oo.GradientDescent(1.0), oo.problems.rosenbrock(), steps=50, local=False)
    assert result.run.status == "diverged" and result.row()["status"] == "diverged"


def test_no_reference_where_it_ends_before_the_first_step(monkeypatch):
    monkeypatch.setattr(solvers, "PATIENCE", 50)
    large = oo.problems.quadratic(np.geomspace(1.0, 1e6, 600), x0=np.ones(600))
    result = oo.compare(oo.NormalizedGD(10.0), large, steps=3, order=True)
    assert result.reference is None and np.isnan(result.max_error)
    assert result.message.startswith("no reference beyond t = ") and "600 entries" in result.message


@pytest.mark.parametrize("curvature", [1e-3, 1e-2])
def test_an_entry_with_a_tiny_gradient_is_as_certain_as_the_others(curvature):
    """Adam's flow on a coordinate with g = 1e-12, a stiff oscillator since m is divided by 1e-8: m and v lie far below
    the position's tolerance, but the kicks that it allows them move the position by 2e-5."""
    rates = np.append(np.linspace(1, 2, 99), curvature)
    problem = oo.problems.quadratic(rates, x0=np.append(np.linspace(1, 2, 99), 1e-9))
    sol = oo.reference(oo.Adam(lr=0.0084), problem, t_end=2.0)
    assert sol.success and sol.uncertainty < 1e-6


@pytest.mark.parametrize("method", [oo.Adam(1e-3), oo.Discretization(FLOW, oo.schemes.heun_euler, 0.01), FLOW],
                         ids=["optimizer", "discretization", "flow"])
def test_a_start_that_there_is_not_is_refused_also_where_none_is_made(method):
    with pytest.raises(ValueError, match="start must be one of 'cold', 'consistent'"):
        oo.reference(method, oo.problems.beale(), t_end=0.1, start="warm")
