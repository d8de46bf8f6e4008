"""What enters compiled code has the shape it must have; numbers are taken whatever their kind."""

import inspect
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from matplotlib.figure import Figure
from numba import njit

import odeopt as oo
from odeopt import checks
from odeopt import stochastic as st
from odeopt.abi import kernel
from odeopt.schedules.base import sequence
from odeopt.stochastic.sde import one_step
from odeopt.studies.search.suggest import suggest
from odeopt.studies.stability.periodic import step_jacobian

BEALE, HIMMELBLAU = oo.problems.beale(), oo.problems.himmelblau()
ADAM = oo.Adam(1e-3).flow
GRADIENT = oo.flows.gradient_flow()
STATE = oo.Adam().init(np.ones(2))
SDE = st.sde(oo.Momentum(0.01))


@kernel
def _reads_three(x, g, data):
    g[:] = data[2] * x
    return 0.5 * data[2] * (x * x).sum()


@kernel
def _two_constants(x, xi, out, c):
    for i in range(out.size):
        out[i] = c[1] * xi[i]


@pytest.mark.parametrize("solver", ["auto", "DOP853", "Radau", "LSODA", "RKC2", "jitted"])
@pytest.mark.parametrize("x0", [np.ones((2, 2)), np.ones((5, 3)), np.ones((1, 1)), np.ones(3), np.ones((5, 2, 1))])
def test_a_reference_starts_with_the_rows_and_columns_of_its_flow(solver, x0):
    with pytest.raises(ValueError, match=r"x0 must have shape \((5, )?2,?\)"):
        oo.reference(ADAM, BEALE, x0=x0, t_end=1.0, solver=solver)


@pytest.mark.parametrize("call, words", [
    (lambda: ADAM.field(BEALE)(0.0, np.ones((2, 2))), r"z must have shape \(5, 2\)"),
    (lambda: ADAM.field(BEALE)(0.0, np.ones((5, 1))), r"z must have shape \(5, 2\)"),
    (lambda: ADAM.field(BEALE, np.ones(2)), r"p must have shape \(7,\)"),
    (lambda: oo.convergence(oo.Discretization(ADAM, oo.schemes.rk4, 0.1), BEALE, np.ones((2, 2))), r"\(5, 2\)"),
    (lambda: oo.record(oo.Discretization(ADAM, oo.schemes.rk4, 0.1), BEALE, np.ones((6, 2))), r"\(5, 2\) for Adam"),
    (lambda: oo.record(oo.Adam(), BEALE, start=np.ones((3, 2))), r"start must have shape \(4, 2\)"),
    (lambda: step_jacobian(oo.Adam(), BEALE, [1.0, 1.0], np.ones((2, 2))), r"s must .*\(4, 2\)"),
    (lambda: step_jacobian(oo.Adam(), BEALE, [1.0, 1.0], np.ones((4, 2)), scales=[1.0]), "scales"),
    (lambda: one_step(SDE, BEALE, st.gaussian(1.0), np.ones((1, 2)), [0, 0], 0.1), r"\(2, 2\)"),
    (lambda: one_step(SDE, BEALE, st.gaussian(1.0), np.ones((2, 2)), [0.0], 0.1), r"xi must .*2"),
    (lambda: oo.Discretization(GRADIENT, oo.schemes.rk4, []), "h must have shape"),
    (lambda: oo.Discretization(GRADIENT, oo.schemes.rk4, 0.1, t0=np.nan), "t0 must be"),
    (lambda: oo.record(oo.Discretization(GRADIENT, oo.schemes.rk4, 0.1, t0=1.0), BEALE, t_end=0.5), "t_end must be"),
    (lambda: oo.record(oo.Discretization(GRADIENT, oo.schemes.catching_up_euler(1), 1e-3), BEALE), "row must be one"),
    (lambda: oo.record(oo.Discretization(oo.flows.linear_test_flow(), oo.schemes.rk4, 0.1), BEALE), "linear_test_pro"),
])
def test_what_has_another_shape_is_refused(call, words):
    for _ in range(2):  # the second time as the first
        with pytest.raises(ValueError, match=words):
            call()


def test_a_complex_state_does_not_lose_its_imaginary_part():
    with pytest.raises(TypeError, match="x0 must be a matrix of real numbers, got complex values"):
        oo.record(oo.Discretization(GRADIENT, oo.schemes.rk4, 0.1), BEALE, np.ones((1, 2)) * 1j)


def test_kernels_are_tried_against_the_data_they_get():
    with pytest.raises(TypeError, match="fg of mine must stay inside its arrays, 4 coordinates and 2 numbers of data"):
        oo.Problem.from_kernels("mine", _reads_three, None, dim=4, x0=np.ones(4), data=[1.0, 2.0])
    mine = oo.Problem.from_kernels("mine", _reads_three, None, dim=4, x0=np.ones(4), data=[1.0, 2.0, 3.0])
    assert mine.fun(np.ones(4)) == 6.0
    with pytest.raises(ValueError, match="data must have shape"):
        oo.Problem.from_kernels("mine", _reads_three, None, dim=4, x0=np.ones(4), data=np.ones((2, 3)))
    noise = st.state_dependent(_two_constants, [1.0])
    for call in (lambda: oo.sample(oo.GradientDescent(0.1), BEALE, noise, steps=2), lambda: noise.factor(np.ones(2)),
                 lambda: st.simulate(SDE, BEALE, noise, steps=2)):
        with pytest.raises(TypeError, match="noise _two_constants must stay inside its arrays"):
            call()
    assert st.state_dependent(_two_constants, [1.0, 2.0]).factor(np.ones(2))[0, 0] == 2.0


def test_a_scheme_that_leaves_its_workspace_is_found():
    euler = oo.schemes.explicit_euler
    small = oo.schemes.Scheme("too small", euler.step, 1, 1, work=lambda rows: rows - 1)
    with pytest.raises(TypeError, match="the step of too small must stay inside its arrays"):
        oo.record(oo.Discretization(ADAM, small, 1e-3), BEALE)


def _spoils(x):
    x -= 1.0
    return (x * x).sum()


def _spoiled_gradient(x):
    x -= 1.0
    x *= 2.0
    return x


@pytest.mark.parametrize("make", [lambda f: f, njit], ids=["plain", "compiled"])
def test_callables_may_change_their_argument(make):
    fun, grad = make(_spoils), make(_spoiled_gradient)
    problem = oo.Problem(fun, grad, dim=3, hessp=make(lambda x, v: 2.0 * v), x0=[3.0, 4.0, 5.0])
    x = np.array([3.0, 4.0, 5.0])
    assert problem.fun(x) == 29.0 and x.tolist() == [3.0, 4.0, 5.0]
    assert problem.grad(x).tolist() == [4.0, 6.0, 8.0]
    with pytest.warns(RuntimeWarning, match="central differences"):
        without = oo.Problem(fun, dim=3)
    np.testing.assert_allclose(without.grad(x), [4.0, 6.0, 8.0], rtol=1e-8)
    run = oo.record(oo.GradientDescent(0.25), problem, steps=1)
    assert run.x[1].tolist() == [2.0, 2.5, 3.0]


@pytest.mark.parametrize("later, words", [
    (None, "grad must return real numbers, got NoneType"), (np.ma.masked_array([1.0, 2.0], [True, False]), "masked"),
    ([1j, 0], "complex values"), (np.ones(3), r"grad must return shape \(2,\), got \(3,\)"),
])  # fmt: skip
def test_what_a_gradient_returns_is_looked_at_every_time(later, words):
    good = [True]
    problem = oo.Problem(lambda x: float(x @ x), lambda x: 2 * x if good else later, dim=2)
    good.clear()
    with pytest.raises((TypeError, ValueError), match=words):
        problem.grad([1.0, 1.0])


@pytest.mark.parametrize("value, words", [
    ((1.0, np.ones(2)), "a pair"), (np.ma.masked, "masked"), (None, "NoneType"), (np.ones(2), r"shape \(2,\)"),
    (True, "bool"), (1j, "complex"),
])  # fmt: skip
def test_what_fun_returns_is_a_number(value, words):
    with pytest.raises(TypeError, match=f"fun must return a real number.*{words}"):
        oo.Problem(lambda x: value, lambda x: x, dim=2)


@pytest.mark.parametrize("optimizer", [oo.SWA(oo.GradientDescent(1e-3)), oo.ScheduleFreeSGD(0.1), oo.Adam()])
def test_memory_that_begins_at_the_start_loses_no_imaginary_part(optimizer):
    for arguments in (([1 + 1j, 2.0],), ([[1j, 2.0]],), (np.ones(2), np.array([1j, 0.0]), "consistent")):
        with pytest.raises(TypeError, match="^[xg] must be real numbers, got complex values"):
            optimizer.start(*arguments)


def test_a_plain_problem_may_diverge_in_silence():
    problem = oo.Problem(lambda x: float((x**4).sum()), lambda x: 4 * x**3, dim=2)
    assert oo.record(oo.GradientDescent(10.0), problem, steps=100).status == "diverged"
    fun, grad = (lambda x: float((x**4).sum())), (lambda x: 4 * x**3)
    found = oo.minimize(fun, [3.0, 4.0], jac=grad, method=oo.GradientDescent(10.0))
    assert not found.success and "diverged" in found.message


@pytest.mark.parametrize(("name", "call"), [
    ("resolution", lambda: oo.basins(oo.GradientDescent(1e-3), HIMMELBLAU, resolution=10**7)),
    ("resolution", lambda: oo.stability_region(oo.schemes.rk4, resolution=10**7)),
    ("resolution", lambda: oo.plotting.contours(BEALE, Figure().subplots(), resolution=10**7)),
    ("grid", lambda: oo.tune(oo.GradientDescent(1e-3), BEALE, grid=10**13)),
    ("steps", lambda: oo.lyapunov(GRADIENT, BEALE, t_end=1.0, steps=10**14)),
])
def test_what_no_memory_holds_is_refused_at_once(name, call):
    with pytest.raises(ValueError, match=f"^{name} must ask for no more than the memory, got"):
        call()


@pytest.mark.parametrize("value", [Fraction(1, 8), Decimal("0.125"), np.float32(0.125), np.longdouble(0.125),
                                   np.array(0.125), np.array(Fraction(1, 8), dtype=object)])
def test_every_real_number_is_a_number(value):
    assert type(checks.real("lr", value)) is float and checks.real("lr", value) == 0.125
    assert oo.Adam(value) == oo.Adam(0.125)
    assert oo.reference(GRADIENT, BEALE, t_end=value, rtol=value, atol=value).t_end == 0.125
    assert oo.Discretization(GRADIENT, oo.schemes.rk4, value, t0=value).t0 == 0.125


@pytest.mark.parametrize("value", [10**400, -(10**5000), Decimal("nan"), Decimal("sNaN"), np.longdouble("1e4000"), "1",
                                   True, np.True_, 1j, np.ma.masked, np.ma.array(1.0), np.ones(10_000), [1.0],
                                   np.array("1"), b"1"], ids=checks.shown)
def test_everything_else_gets_one_short_line(value):
    for call in (lambda: oo.Adam(value), lambda: oo.Discretization(GRADIENT, oo.schemes.rk4, 0.1, t0=value),
                 lambda: oo.record(oo.Adam(), BEALE, steps=value), lambda: oo.record(oo.Adam(), BEALE, every=value),
                 lambda: oo.flows.adam_flow(value, 1.0, 0.0), lambda: oo.record(oo.Adam(), BEALE, start=value),
                 lambda: oo.reference(GRADIENT, BEALE, t_end=1.0, solver=value)):
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        assert "must be" in str(caught.value) or "must have" in str(caught.value)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize("value, words", [
    (np.ma.array([1.0, 2.0], mask=[True, False]), "masked"), ([np.ma.masked, 1.0], "masked"), ([True, False], "list"),
    ([10**400, 1.0], "beyond"), (["1", "2"], "list"), ([1j, 1.0], "complex"), ([[1.0], [1.0, 2.0]], "list"),
    ([None, 1.0], "list"),
])  # fmt: skip
def test_vectors_are_of_real_numbers(value, words):
    for call in (lambda: oo.record(oo.Adam(), BEALE, value), lambda: BEALE.grad(value), lambda: GRADIENT.state(
            "x0", value, 2), lambda: oo.Problem(np.sum, np.ones_like, x0=value)):
        with pytest.raises(TypeError, match=f"must be a vector of real numbers, got .*{words}"):
            call()
    assert checks.point("x0", [Fraction(1, 2), Decimal("0.5")]).tolist() == [0.5, 0.5]


def _plain_rhs(fg, hv, data, t, p, z, dz):
    fg(z[0], dz[0], data)
    dz[0] *= -p[0]


def _plain_step(rhs, fg, hv, data, p, t, h, z, w):
    rhs(fg, hv, data, t, p, z, w)
    z += h * w
    return 0.0


def test_flows_and_schemes_of_plain_python_run_in_the_interpreter():
    flow = oo.flows.Flow("mine", "x' = -a g", _plain_rhs, {"a": Fraction(1)})
    scheme = oo.schemes.Scheme("mine", _plain_step, 1, 1, work=lambda rows: rows)
    compiled = oo.record(oo.Discretization(GRADIENT, oo.schemes.explicit_euler, 0.01), BEALE, steps=20)
    for pair in ((flow, oo.schemes.explicit_euler), (GRADIENT, scheme), (flow, scheme)):
        run = oo.record(oo.Discretization(*pair, 0.01), BEALE, steps=20)
        np.testing.assert_array_equal(run.x, compiled.x)
        assert "in the interpreter" in run.message
    exact = oo.reference(GRADIENT, BEALE, t_end=0.2)
    for solver in ("auto", "jitted"):
        np.testing.assert_allclose(oo.reference(flow, BEALE, t_end=0.2, solver=solver)(0.2), exact(0.2), rtol=1e-9)
    noisy = st.simulate(st.SDE(flow, 0.1, 0, 0.1), BEALE, st.gaussian(0.1), steps=3)
    np.testing.assert_allclose(noisy.x, st.simulate(st.SDE(GRADIENT, 0.1, 0, 0.1), BEALE, st.gaussian(0.1), steps=3).x)


@pytest.mark.parametrize("call, words", [
    (lambda: oo.flows.Flow("mine", "", "rhs"), "rhs must be a function"),
    (lambda: oo.flows.Flow("mine", "", _plain_rhs, {"a": np.inf}), "a must be in"),
    (lambda: oo.flows.Flow("mine", "", _plain_rhs, slots="velocity"), "slots must be a tuple of names"),
    (lambda: oo.schemes.Scheme("mine", None, 1, 1, work=lambda rows: rows), "step must be a function"),
    (lambda: oo.schemes.Scheme("mine", _plain_step, 1, 1, work=3), r"work must be a function work\(rows\), got 3"),
    (lambda: oo.schemes.Scheme("mine", _plain_step, 1, 1, work=lambda rows: rows, constants=(np.nan,)), "constants"),
    (lambda: oo.flows.look_ahead_flow(0.1, b=np.nan), "b must be in"),
    (lambda: oo.flows.adam_flow(0.0, 1.0, 0.0), "tau1 must be in"),
    (lambda: oo.flows.adam_flow(1.0, 1.0, 0.0, eps_mode="insde"), "eps_mode must be one of .* did you mean 'inside'"),
    (lambda: oo.flows.rmsprop_flow(1.0, 0.0, eps_mode="insde"), "eps_mode must be one of"),
    (lambda: oo.flows.rmsprop_flow(1.0, 0.0, centered="no"), "centered must be one of"),
    (lambda: oo.flows.adagrad_flow(0.0, eps_mode=np.ones(2)), "eps_mode must be one of"),
    (lambda: oo.flows.adamax_flow(1.0, 1.0, 0.0, eps_mode=None), "eps_mode must be one of"),
    (lambda: oo.flows.nadam_flow(1.0, 1.0, 0.0, 1.0, eps_mode="in"), "eps_mode must be one of"),
    (lambda: oo.flows.amsgrad_flow(1.0, 1.0, 0.0, form="optx"), "form must be one of"),
    (lambda: oo.flows.modified_root_flow(0.1, 0.9, 0.9, 0.0, eps_mode="x"), "eps_mode must be one of"),
    (lambda: oo.flows.modified_gradient_flow(0.1, 0.0, order=7), "order must be one of"),
    (lambda: oo.flows.high_resolution_start([1.0], [1.0, 2.0], 0.1), "g must have shape"),
    (lambda: oo.flows.linear_test_problem([np.nan]), "coefficients must be a vector of finite"),
    (lambda: oo.schemes.partitioned_euler((1, 0), look_ahead="yes"), "look_ahead must be one of"),
    (lambda: oo.schemes.partitioned_euler((1.5, 0)), "stages must be an integer"),
    (lambda: oo.schemes.catching_up_euler(0), "row must be at least 1"),
    (lambda: oo.schemes.catching_up_euler(1, offset=np.nan), "offset must be in"),
    (lambda: oo.schemes.catching_up_euler(2, 1, distance_row=1), "distance_row must be 0 with a bound_row or decay"),
    (lambda: oo.schemes.catching_up_euler(2, decay=0.1, distance_row=1), "distance_row must be 0 with a bound_row"),
    (lambda: oo.flows.sign_of_mean(0.0), "tau must be in"),
    (lambda: oo.flows.sign_of_mean(1.0, decay=-1), "decay must be in"),
    (lambda: oo.reference(oo.NAdam(lr=1e-320), BEALE, t_end=1.0), "lr must not be so small"),
    (lambda: oo.Adagrad(lr=1e-320), "lr must be in"),
    (lambda: st.gaussian([[1.0, 2.0], [2.0, 1.0]]), "positive semi-definite"),
    (lambda: st.gaussian(np.ma.array([1.0, 2.0], mask=[True, False])), "covariance must be"),
    (lambda: st.SDE(GRADIENT, np.nan, 0, 0.1), "strength must be in"),
    (lambda: st.SDE(GRADIENT, 1.0, 1, 0.1), "row must be at most 0"),
    (lambda: oo.record(oo.Adam(), BEALE, steps=10**21), "steps must be at most"),
    (lambda: oo.record(oo.Adam(), BEALE, memory=np.ones(2)), "memory must be one of False, True"),
    (lambda: oo.record(oo.Adam(), BEALE, progress=np.ones(2)), "progress must be one of"),
    (lambda: oo.sample(oo.Adam(), BEALE, steps=2, progress=np.ones(2)), "progress must be one of"),
    (lambda: oo.convergence(oo.Adam(), BEALE, levels=2**62), "levels must be at most 54, got"),
    (lambda: oo.convergence(oo.Adam(), BEALE, levels=55), "levels must be at most 54, got 55"),
    (lambda: oo.convergence(oo.Adam(), BEALE, levels=2**62, factor=1 + 1e-15), "levels must be at most 1000"),
    (lambda: oo.convergence(oo.Adam(), BEALE, factor=1e300), "factor must be in"),
    (lambda: oo.modified_convergence(oo.Adam(), BEALE, levels=2000), "levels must be at most 54"),
    (lambda: oo.work_precision([oo.Adam()], BEALE, levels=2**61), "levels must be at most 54"),
    (lambda: oo.basins(oo.Adam(), HIMMELBLAU, window=3), "window must be .*, got 3"),
    (lambda: oo.basins(oo.Adam(), HIMMELBLAU, window=((1, 0), (0, 1))), "window must be .* with low < high"),
    (lambda: oo.stability_region(oo.Adam(), window=[1, 2, 3]), "window must be .*, got"),
    (lambda: oo.Problem(np.sum, np.ones_like, dim=2, minima=3), "minima must be a sequence, got 3"),
    (lambda: oo.schedules.multistep(-1.0), "milestones must be a sequence, got -1.0"),
    (lambda: oo.schedules.piecewise(object(), [1, 2]), "knots must be a sequence, got <object"),
    (lambda: oo.schedules.piecewise([0, 1], 1j), "levels must be a sequence, got 1j"),
    (lambda: oo.schedules.piecewise([0, 1], "ab"), "levels must be a sequence, got 'ab'"),
    (lambda: sequence(3, [1]), "schedules must be a sequence, got 3"),
    (lambda: sequence([oo.schedules.constant()], 1j), "milestones must be a sequence, got 1j"),
    (lambda: suggest(oo.Adam, BEALE, steps=np.ones(2)), "steps must be an integer, got array"),
    (lambda: oo.compare(oo.Adam(), BEALE, 3, local=np.ones(2)), "local must be one of False, True"),
    (lambda: oo.compare(oo.Adam(), BEALE, 3, order="x"), "order must be one of False, True"),
    (lambda: oo.reference(ADAM, BEALE, t_end=0.1, check=np.ones(2)), "check must be one of False, True"),
    (lambda: oo.reference(ADAM, BEALE, t_end=0.1, reuse=np.ones(2)), "reuse must be one of False, True"),
    (lambda: oo.deviation(oo.Adam(), oo.Adam(), BEALE, 2, relative=np.ones(2)), "relative must be one of False, True"),
    (lambda: oo.Adam().update(np.ones(2), np.ones(2), STATE, threads=np.ones(2)), "threads must be an integer"),
    (lambda: oo.schedules.warmup(5, drives=np.ones(2)), "drives must be the name of a hyperparameter, got array"),
    (lambda: oo.Nesterov(0.1, "x"), "momentum must be a real number, got 'x'"),
    (lambda: oo.Adadelta(eps_step=0.0), r"eps_step must be in \(0, inf\), got 0"),
    (lambda: oo.NAdam(momentum_decay=-1.0), r"momentum_decay must be in \[0, inf\), got -1"),
    (lambda: oo.Problem(np.sum, np.ones_like, dim=2, name=np.ones(2)), "name must be a string, got array"),
    (lambda: oo.Problem(np.sum, np.ones_like, dim=2, convex=np.ones(2)), "convex must be one of False, True"),
    (lambda: oo.schedules.one_cycle(9, three_phase=np.ones(2)), "three_phase must be one of False, True"),
    (lambda: oo.schedules.one_cycle_momentum(9, three_phase=np.ones(2)), "three_phase must be one of False, True"),
    (lambda: oo.schedules.piecewise([0, 1], [1, 2], absolute=np.ones(2)), "absolute must be one of False, True"),
    (lambda: oo.Adadelta().refined(1e-320), "factor must be in"),
    (lambda: oo.Momentum(0.1).refined(1e-320), "factor must be in"),
    (lambda: oo.stability_region(oo.ErrorControlledEuler(0.1)), "method must be linear at the minimum"),
    (lambda: oo.Momentum(0.1, reading="stormer_verlet").refined(np.ones(2)), "factor must be a real number"),
    (lambda: oo.stability_region(oo.Adam(), preconditioner="x"), "preconditioner must be a real number, got 'x'"),
    (lambda: oo.stability_limit(oo.RMSprop(0.1, decay=0.0)), "method must keep a mean square over the steps"),
    (lambda: oo.stability_limit(oo.AMSGrad(beta2=0.0)), "method must keep a mean square over the steps"),
    (lambda: suggest(3, BEALE), "cls must be a subclass of Optimizer, got 3"),
])
def test_constants_and_choices_are_checked(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call()


@pytest.mark.parametrize("two", [Decimal(2), Fraction(2), np.float16(2), np.array(2), np.longdouble(2)])
def test_what_is_checked_as_a_number_is_used_as_one(two):
    for method in (oo.Adam(), oo.Adadelta(), oo.SWA(oo.Adam(), 3)):
        assert method.refined(two) == method.refined(2.0)
    assert oo.schedules.cosine(9).refined(two)(4) == oo.schedules.cosine(9).refined(2.0)(4)


@pytest.mark.parametrize("fun, jac", [
    (lambda x: np.ma.masked, None), (lambda x: x @ x, lambda x: np.ma.array(2 * x, mask=[True, False])),
    (lambda x: (x @ x, [np.ma.masked, 1.0]), True),
])  # fmt: skip
def test_minimize_takes_no_masked_values(fun, jac):
    with pytest.raises(TypeError, match="must return .*, got .*masked"):
        oo.minimize(fun, [2.0, 1.0], jac=jac, method="adam")


def test_starts_and_batches_are_not_masked():
    masked = np.ma.array([[1.0, 2.0], [3.0, 4.0]], mask=[[True, False], [False, False]])
    with pytest.raises(TypeError, match="starts must be .*masked"):
        oo.ensemble(oo.Adam(), BEALE, masked, steps=3)
    with pytest.raises(TypeError, match="batch must be .*masked"):
        oo.problems.digits_logistic().value_and_grad(np.zeros(650), np.ma.array([1, 2], mask=[True, False]))


@pytest.mark.parametrize("momenta", [True, 3, 0.5, np.float32(0.1), [], "ab", [[0.5]], [None], {0.5: 1}])
def test_momenta_are_a_sequence_of_numbers(momenta):
    with pytest.raises(ValueError, match="momenta must be None or a sequence of numbers, got"):
        oo.tune(oo.Momentum(1e-3), oo.problems.beale(), steps=3, momenta=momenta)


@pytest.mark.parametrize("value", [Fraction(1, 8), Decimal("0.125"), np.longdouble(0.125), np.float32(0.125),
                                   np.array(0.125)])
def test_constants_of_every_kind_are_saved(value, tmp_path):
    run = oo.record(oo.Discretization(oo.flows.gradient_flow(value), oo.schemes.rk4, 0.1), BEALE, steps=2)
    run.save(tmp_path / "run")
    again = oo.Trajectory.load(tmp_path / "run")
    assert np.array_equal(again.x, run.x) and again.spec == run.spec


_USUAL = {"optimizer": oo.GradientDescent(1e-3), "method": oo.GradientDescent(1e-3), "steps": 3, "t_end": 0.003,
          "optimizers": [oo.GradientDescent(1e-3)], "methods": [oo.GradientDescent(1e-3)], "noise": None,
          "x0": [1.0, 1.0], "points": np.ones((3, 2))}  # fmt: skip
_MORE = {"reference": {"t_end": 0.003}, "restarted": {"optimizer": oo.Nesterov(1e-3)}}
_TAKES_A_PROBLEM = sorted(name for name in oo.__all__ if inspect.isfunction(getattr(oo, name))
                          and "problem" in inspect.signature(getattr(oo, name)).parameters)


@pytest.mark.parametrize("name", _TAKES_A_PROBLEM)
def test_what_is_not_a_problem_is_named(name):
    function = getattr(oo, name)
    parameters = inspect.signature(function).parameters.values()
    if any(p.name not in _USUAL and p.name != "problem" and p.default is p.empty for p in parameters):
        pytest.skip("it needs more than the usual arguments")
    usual = {p.name: _USUAL[p.name] for p in parameters if p.name in _USUAL and p.default is p.empty}
    usual |= _MORE.get(name, {})
    problem = inspect.signature(function).parameters["problem"]
    for wrong in (None, 2**70, "beale", np.ones(2), Fraction(1, 100)):
        named = isinstance(wrong, str) and "str" in str(problem.annotation)  # a page takes names and formulas
        if not named and not (wrong is None and problem.default is None):
            with pytest.raises(TypeError, match="^problem must be a Problem"):
                function(problem=wrong, **usual)


def test_numbers_of_any_kind_where_a_study_takes_one():
    for tolerance in (10**400, "a", np.ones(2), -1.0):
        with pytest.raises((TypeError, ValueError), match="^tolerance must be"):
            oo.lyapunov(oo.GradientDescent(1e-3), oo.problems.beale(), steps=3, tolerance=tolerance)
    for t_orbit in (10**400, "a", np.ones(2), 0.0):
        with pytest.raises((TypeError, ValueError), match="^t_orbit must be"):
            oo.directions(oo.GradientDescent(1e-3), oo.problems.beale(), steps=3, t_orbit=t_orbit)
    taken = oo.directions(oo.GradientDescent(1e-3), oo.problems.beale(), steps=3, t_orbit=Fraction(1, 100))
    assert np.isfinite(taken.orbit_distance).all()


@pytest.mark.parametrize("cls", [oo.GradientDescent, oo.SWA, oo.Discretization])
@pytest.mark.parametrize("wrong", [None, 3, [], "lr", np.nan])
def test_a_description_is_a_mapping(cls, wrong):
    with pytest.raises(TypeError, match="values must be a mapping of names to values, got"):
        cls.from_spec(wrong)
