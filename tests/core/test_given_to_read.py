"""What a function of the user's is given to read stays as it is: one that writes into it is refused or sees a copy."""

import numpy as np
import pytest
from numba import njit

import odeopt as oo
from odeopt import stochastic as st
from odeopt.abi import kernel

BEALE = oo.problems.beale()
GRADIENT = oo.flows.gradient_flow()


def _moves(fg, hv, data, t, p, z, dz):
    fg(z[0], dz[0], data)
    z[0] *= 2.0


def _turns_its_constant(fg, hv, data, t, p, z, dz):
    fg(z[0], dz[0], data)
    p[0] = -p[0]


def _step(rhs, fg, hv, data, p, t, h, z, w):
    rhs(fg, hv, data, t, p, z, w)
    z += h * w
    p[-1] *= 0.5
    return 0.0


def _shifts(x, g, data):
    x -= 1.0
    g[:] = x
    return 0.5 * (x * x).sum()


def _noise(x, xi, out, c):
    out[:] = c[0] * xi
    c[0] *= 0.5


def _halves(k, base, c):
    c[0] *= 0.5
    return c[0] * base


def _flow(rhs, constants=()):
    return oo.flows.Flow("mine", "", rhs, dict(constants))


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
@pytest.mark.parametrize("make, words", [
    (lambda c: _flow(c(_moves)).field(BEALE), "the field of mine must not write into z"),
    (lambda c: oo.record(oo.Discretization(_flow(c(_moves)), oo.schemes.rk4, 0.1), BEALE), "must not write into z"),
    (lambda c: oo.reference(_flow(c(_turns_its_constant), {"a": 1.0}), BEALE, t_end=1.0), "must not write into p"),
    (lambda c: oo.record(oo.Discretization(_flow(_turns_its_constant, {"a": 1.0}), oo.schemes.Scheme(
        "mine", c(_step), 1, 1, work=lambda rows: rows), 0.1), BEALE), "must not write into p"),
    (lambda c: oo.record(oo.Discretization(oo.flows.gradient_flow(0.1), oo.schemes.Scheme(
        "mine", c(_step), 1, 1, work=lambda rows: rows), 0.1), BEALE), "the step of mine must not write into p"),
    (lambda c: oo.Problem.from_kernels("mine", c(_shifts), None, dim=2, x0=[1.0, 1.0]), "fg of mine .* into x"),
    (lambda c: st.state_dependent(kernel(_noise), [1.0]).factor([1.0, 1.0]), "noise _noise must not write into c"),
    (lambda c: oo.schedules.Schedule("mine", kernel(_halves), (1.0,)), "schedule 'mine' must not write into c"),
])
def test_what_writes_into_what_it_reads_is_refused(make, words, compiled):
    with pytest.raises(TypeError, match=words):
        make(njit if compiled else lambda function: function)


def test_a_jacobian_sees_a_copy_of_the_state():
    def jacobian(t, z, g, hessian, p):
        z[0] = np.nan
        p[:] = np.nan
        return -hessian

    def rhs(fg, hv, data, t, p, z, dz):
        fg(z[0], dz[0], data)
        dz[0] *= -p[0]

    valley = oo.problems.quadratic([1.0, 100.0])
    exact = oo.reference(GRADIENT, valley, t_end=0.1)(0.1)
    flow = oo.flows.Flow("mine", "", rhs, {"a": 1.0}, jacobian=jacobian)
    mine = oo.reference(flow, valley, t_end=0.1, solver="Radau")
    np.testing.assert_allclose(mine(0.1), exact, rtol=1e-8)


def test_callbacks_see_copies():
    def spoils(xk):
        xk[:] = 1e9

    def spoils_result(intermediate_result):
        intermediate_result.x[:] = 1e9

    def fun(x):
        return float(x @ x)

    plain = oo.minimize(fun, [1.0, 2.0], jac=lambda x: 2 * x, method="adam", options={"maxiter": 5})
    for callback in (spoils, spoils_result):
        again = oo.minimize(fun, [1.0, 2.0], jac=lambda x: 2 * x, method="adam", callback=callback,
                            options={"maxiter": 5})
        assert np.array_equal(again.x, plain.x)


def test_a_recursion_and_a_measure_see_copies():
    def recursion(problem, x0, steps):
        x0 *= 2.0
        return np.tile(x0, (steps + 1, 1))

    start = BEALE.x0.copy()
    oo.deviation(recursion, recursion, BEALE, 2)
    assert np.array_equal(BEALE.x0, start)
