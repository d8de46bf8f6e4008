"""What a function of the user's is given to read stays as it is: one that writes into it is refused or sees a copy."""

import dataclasses

import numpy as np
import pytest
from numba import njit

import odeopt as oo
from odeopt import stochastic as st
from odeopt.abi import kernel
from odeopt.optimizers.base import positive
from odeopt.stores import writes_into

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


def _swaps(x):
    x[0], x[1] = x[1], x[0]


_swaps_compiled = njit(_swaps)


def _late(x, g, data):
    g[:] = x
    if g[0] > 1e6:  # not on the path that is tried
        x[0] = 0.0
    return 0.5 * (x * x).sum()


def _late_in_place(x, g, data):
    g[:] = x
    if g[0] > 1e6:
        data += 1.0
    return 0.5 * (x * x).sum()


def _late_view(x, g, data):
    g[:] = x
    if g[0] > 1e6:
        end = x[1:]
        end.reshape((1, -1))[0, 0] = 0.0
    return 0.5 * (x * x).sum()


def _late_call(x, g, data):
    g[:] = x
    if g[0] > 1e6:
        _swaps_compiled(x)
    return 0.5 * (x * x).sum()


def _late_out(x, g, data):
    g[:] = x
    if g[0] > 1e6:
        np.add(x, 1.0, x)
    return 0.5 * (x * x).sum()


def _late_method(x, g, data):
    g[:] = x
    if g[0] > 1e6:
        x.fill(1.0)
    return 0.5 * (x * x).sum()


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
@pytest.mark.parametrize("fg", [_late, _late_view, _late_call, _late_out, _late_method, _late_in_place])
def test_a_write_under_a_condition_is_seen(fg, compiled):
    words = "fg of mine must not write into " + ("data" if fg is _late_in_place else "x")
    with pytest.raises(TypeError, match=words):
        oo.Problem.from_kernels("mine", njit(fg) if compiled else fg, None, dim=2, x0=[1.0, 1.0])


def _late_halves(k, base, c):
    if k > 10.0:
        c[0] *= 0.5
    return c[0] * base


def _late_moves(fg, hv, data, t, p, z, dz):
    fg(z[0], dz[0], data)
    if t > 3.0:
        z[0] *= 2.0


def _late_noise(x, xi, out, c):
    out[:] = c[0] * xi
    if x[0] > 1e6:
        x[0] = 0.0


def _late_update(k, p, x, g, s):
    for i in range(x.size):
        x[i] -= p[0] * g[i]
    if k > 100:
        g[:] = 0.0
    return p[0]


def test_schedules_flows_noise_and_updates_are_looked_at_alike():
    with pytest.raises(TypeError, match="schedule 'mine' must not write into c"):
        oo.schedules.Schedule("mine", kernel(_late_halves), (1.0,))
    with pytest.raises(TypeError, match="the field of mine must not write into z"):
        _flow(kernel(_late_moves)).field(BEALE)
    with pytest.raises(TypeError, match="noise _late_noise must not write into x"):
        st.state_dependent(kernel(_late_noise), [1.0]).factor([1.0, 1.0])

    @dataclasses.dataclass(frozen=True)
    class Mine(oo.Optimizer):
        lr: float = positive(default=0.1, scales="h")
        kernel = staticmethod(kernel(_late_update))

    with pytest.raises(TypeError, match="Mine.kernel must not write into g"):
        Mine().init(np.ones(2))


def _reads_alone(x, g, data):
    own = x.copy()
    own[0], own[1] = own[1], own[0]
    own += 1.0
    some = x[np.array([0, 1])]
    some[0] = 7.0  # a copy
    first = x[0]
    first -= 1.0  # a number
    x = x * 2.0
    x[0] = first
    for i in range(g.size):
        g[i] = own[i]
    return data[0] + x[0] + some[0]


def test_what_only_reads_is_taken():
    for fg in (_reads_alone, njit(_reads_alone)):
        assert not writes_into(fg, 0) and writes_into(fg, 1) and not writes_into(fg, 2)
    assert not writes_into(max, 0) and not writes_into(None, 0)  # no code to be read


def test_the_packages_own_kernels_write_into_what_is_theirs():
    for cls in oo.optimizers.ALL.values():
        assert not any(writes_into(cls.default().kernel, place) for place in (1, 3)), cls
    for scheme in oo.schemes.ALL.values():
        assert not any(writes_into(scheme.step, place) for place in (3, 4)), scheme
    for problem in (BEALE, oo.problems.rosenbrock(), oo.problems.quadratic(), oo.problems.digits_logistic()):
        assert not any(writes_into(problem.fg, place) for place in (0, 2)) and writes_into(problem.fg, 1)
        assert not any(writes_into(problem.hv, place) for place in (0, 1, 3)) and writes_into(problem.hv, 2)


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
