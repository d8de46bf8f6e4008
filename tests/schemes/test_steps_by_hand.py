"""One step of each scheme against the formula of its page, in numpy, on a field that differs in every row and time."""

import numpy as np
import pytest
from scipy.integrate import RK45

from odeopt import schemes
from odeopt.abi import interpreted
from odeopt.flows import Flow, gradient_flow
from odeopt.problems import quadratic
from odeopt.schemes.armijo import BACKTRACKING, armijo_euler
from odeopt.schemes.chebyshev import chebyshev_factor, chebyshev_steps, silver_bound, silver_steps, stable_order
from odeopt.schemes.rkc import chebyshev_coefficients

T0, H = 0.7, 0.3
Z = np.array([[0.4, -1.1], [0.6, 0.9], [-0.5, 0.8]])


def rhs(fg, hv, data, t, p, z, dz):
    x, s, u = z
    dz[0] = np.cos(t) * s / (1 + u**2) + np.sin(x)
    dz[1] = t**2 * x - 1.5 * s + 0.3 * u**2
    dz[2] = x * s + np.exp(-t) - 0.5 * u


def relaxing(fg, hv, data, t, p, z, dz):
    """Memory that relaxes linearly, each row by itself."""
    x, s, u = z
    dz[0] = np.cos(t) * s / (1 + u**2) + np.sin(x)
    dz[1] = t**2 * x - 1.5 * s
    dz[2] = np.sin(x) - 4.0 * u


def accelerated(fg, hv, data, t, p, z, dz):
    """x'' + (2/t) x' + sin x + t = 0."""
    dz[0] = z[1]
    dz[1] = -2 / t * z[1] - np.sin(z[0]) - t


def field(t, z, of=rhs):
    dz = np.zeros_like(z)
    of(None, None, None, t, None, z, dz)
    return dz


def step(scheme, z=Z, t=T0, h=H, of=rhs, fg=None, hv=None):
    """``(z after the step, what it returned, its workspace)``."""
    flow = Flow("by hand", "z' = F(t, z)", of, {"a": 9.0}, ("s", "u", "q")[: len(z) - 1])
    z, w = z.copy(), scheme.workspace(z)
    returned = interpreted(scheme.step)(of, fg, hv, np.zeros(0), scheme.parameters(flow), t, h, z, w)
    return z, returned, w


def moved(z, rows, dz, h=H):
    """A copy of z in which these rows have moved along dz."""
    z = z.copy()
    z[rows] += h * dz[rows]
    return z


def same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15)


# Euler's kin ---------------------------------------------------------------------------------------


def test_explicit_and_semi_implicit_euler():
    same(step(schemes.explicit_euler)[0], Z + H * field(T0, Z))
    new = moved(Z, [1, 2], field(T0, Z))
    same(step(schemes.semi_implicit_euler)[0], moved(new, [0], field(T0 + H, new)))
    ahead = moved(new, [1, 2], field(T0 + H, new))
    same(step(schemes.look_ahead_euler)[0], moved(new, [0], field(T0 + H, ahead)))
    for scheme in (schemes.explicit_euler, schemes.semi_implicit_euler, schemes.look_ahead_euler):
        assert step(scheme)[1] == 0.0


@pytest.mark.parametrize("stages", [(0, 0, 0), (1, 0, 0), (2, 1, 0), (2, 0, 1), (0, 1, 0), (0, 1, 2), (1, 2, 0)])
@pytest.mark.parametrize("look_ahead", [False, True])
def test_partitioned_euler(stages, look_ahead):
    """Stages before the position's see the time t; only rows between the first stage and the position are predicted."""
    z = Z.copy()
    for stage in range(max(stages) + 1):
        now = T0 + H if stage >= stages[0] else T0
        dz = field(now, z)
        if look_ahead and stage == stages[0]:
            dz = field(now, moved(z, [j for j in (1, 2) if 0 < stages[j] < stages[0]], dz))
        z = moved(z, [j for j in range(3) if stages[j] == stage], dz)
    scheme = schemes.partitioned_euler(stages, look_ahead=look_ahead)
    found, returned, _ = step(scheme)
    same(found, z)
    assert returned == 0.0 and scheme.stages == max(stages) + 1 + look_ahead


@pytest.mark.parametrize("roles", [
    ("memory", "memory"), ("memory", "weight"), ("still", "memory"), ("weight", "still")])
def test_coasting_euler(roles):
    memory, weight = [[j for j, role in enumerate(roles, 1) if role == one] for one in ("memory", "weight")]
    free = Z.copy()
    free[memory] = 0.0
    push = field(T0, free)
    new = moved(Z, [1, 2], field(T0, Z))
    dz = field(T0 + H, new)
    before = moved(new, memory, -push)
    coasted = moved(moved(new, memory, dz - push), weight, dz)
    dx = dz[0] - field(T0 + H, before)[0] + field(T0 + H, coasted)[0]
    found, returned, _ = step(schemes.coasting_euler(*roles))
    same(found, [new[0] + H * dx, *new[1:]])
    assert returned == 0.0


def test_exponential_euler():
    """s moves to its exact value at a fixed position."""
    decay = np.exp(-np.array([1.5, 4.0]) * H)
    limit = np.array([T0**2 * Z[0] / 1.5, np.sin(Z[0]) / 4.0])
    new = np.array([Z[0], *(limit + decay[:, None] * (Z[1:] - limit))])
    found, returned, _ = step(schemes.exponential_euler, of=relaxing)
    same(found, moved(new, [0], field(T0 + H, new, relaxing)))
    assert returned == 0.0

    def constant(fg, hv, data, t, p, z, dz):
        dz[0], dz[1] = z[1], 2.0  # a rate of 0

    same(step(schemes.exponential_euler, Z[:2], of=constant)[0], [Z[0] + H * (Z[1] + 2 * H), Z[1] + 2 * H])


@pytest.mark.parametrize("coupling", ["none", "rows", "coordinates", "square"])
def test_exponential_euler_looks_at_the_memory(coupling):
    """A coupling of 1e-7 is seen, one of 1e-11 is not."""
    for size, refused in ((1e-7, coupling != "none"), (1e-11, False)):
        def weakly(fg, hv, data, t, p, z, dz, size=size):
            relaxing(fg, hv, data, t, p, z, dz)
            if coupling == "rows":
                dz[2] += size * z[1]
            elif coupling == "coordinates":
                dz[2] += size * z[2, ::-1]
            elif coupling == "square":
                dz[1] += size * z[1] ** 2

        flow = Flow("weakly", "", weakly, {}, ("s", "u"))
        if refused:
            with pytest.raises(ValueError, match=f"and '{'s' if coupling != 'coordinates' else 'u'}' of the flow"):
                schemes.exponential_euler.check(flow, quadratic([1.0, 2.0]))
        else:
            schemes.exponential_euler.check(flow, quadratic([1.0, 2.0]))


@pytest.mark.parametrize(("rate", "coupling"), [(1e6, 1e-5), (1e-6, 1e-10)])
def test_a_coupling_is_small_beside_the_rate_or_beside_1(rate, coupling):
    def quick(fg, hv, data, t, p, z, dz):
        dz[0], dz[1] = z[1], -rate * z[1] + coupling * z[1, ::-1]

    schemes.exponential_euler.check(Flow("quick", "", quick, {}, ("s",)), quadratic([1.0, 2.0]))


def test_stormer_verlet():
    """Half a kick with friction by the implicit midpoint, a drift, half a kick."""
    x, w = Z[0], Z[1]
    v = (w - H / 2 * (np.sin(x) + T0)) / (1 + H / 2 * 2 / T0)
    x = x + H * v
    w = v - H / 2 * (2 / (T0 + H) * v + np.sin(x) + T0 + H)
    found, returned, _ = step(schemes.stormer_verlet, Z[:2], of=accelerated)
    same(found, [x, w])
    assert returned == 0.0


# Catching up ---------------------------------------------------------------------------------------


SLOPES = np.array([0.9, -0.4])


def slope(x, out, data):
    out[:] = SLOPES
    return 0.0


@pytest.mark.parametrize(("options", "bound"), [
    ({}, lambda z: abs(SLOPES)), ({"offset": 0.2, "decay": 0.7}, lambda z: abs(SLOPES + 0.7 * Z[0]) + 0.2),
    ({"bound_row": 1}, lambda z: z[1]), ({"bound_row": 1, "divisor": 3, "offset": 0.1}, lambda z: z[1] / z[3, 0] + 0.1),
    ({"bound_row": 0}, lambda z: z[0]), ({"divisor": 3}, lambda z: abs(SLOPES) / z[3, 0]),
    ({"divisor": 1}, lambda z: abs(SLOPES) / z[1, 0]),
    ({"distance_row": 3}, lambda z: np.array([np.linalg.norm(Z[0] - z[3]), 0.0])),
    ({"distance_row": 1, "offset": 0.05}, lambda z: np.array([np.linalg.norm(Z[0] - z[1]), 0.0]) + 0.05)])
def test_catching_up(options, bound):
    """The bound is that of the new memory and the old position; from above a row moves, from below it is put there."""
    def four(fg, hv, data, t, p, z, dz):
        rhs(fg, hv, data, t, p, z[:3], dz[:3])
        dz[3] = t * z[0] - z[3]

    for u in ([-0.5, 0.8], [5.0, -3.0], [0.95, 0.61], [2.0, 2.0], abs(SLOPES)):
        z = np.array([*Z[:2], u, [0.7, -0.2]])
        dz = field(T0, z, four)
        new = moved(z, [1, 3], dz)
        least = bound(new)
        new[2] = np.where(z[2] > least, np.maximum(z[2] + H * dz[2], least), least)
        found, returned, _ = step(schemes.catching_up_euler(2, **options), z, of=four, fg=slope)
        same(found, moved(new, [0], field(T0 + H, new, four)))
        assert returned == 0.0


def test_what_catching_up_takes():
    assert schemes.catching_up_euler(1).stages == 3 and schemes.catching_up_euler(1).workspace(Z).shape == (4, 2)
    for options in ({"bound_row": 2}, {"distance_row": 2}):
        assert schemes.catching_up_euler(1, **options).stages == 2
    flow, problem = Flow("x", "", rhs, {}, ("s", "u")), None
    schemes.catching_up_euler(2, 2, divisor=2).check(flow, problem)
    for scheme, name in ((schemes.catching_up_euler(3), "row"), (schemes.catching_up_euler(1, 3), "bound_row"),
                         (schemes.catching_up_euler(1, divisor=3), "divisor"),
                         (schemes.catching_up_euler(1, distance_row=3), "distance_row")):
        with pytest.raises(ValueError, match=f"^{name} must be one of the 3 rows of x, from 0, got 3"):
            scheme.check(flow, problem)
    for call in (lambda: schemes.catching_up_euler(0), lambda: schemes.catching_up_euler(1, distance_row=1, decay=0.1),
                 lambda: schemes.catching_up_euler(1, 0, distance_row=1)):
        with pytest.raises(ValueError, match="must be"):
            call()


# Runge-Kutta ---------------------------------------------------------------------------------------


def by_tableau(a, b, b_hat=None):
    a, c, k = np.array(a, float), np.sum(a, axis=1), []
    for i in range(len(b)):
        z = Z + H * sum((a[i, j] * k[j] for j in range(i)), np.zeros_like(Z))
        k.append(field(T0 + c[i] * H, z))
    change = H * np.tensordot(b, k, 1)
    return Z + change, np.zeros_like(Z) if b_hat is None else change - H * np.tensordot(b_hat, k, 1)


@pytest.mark.parametrize(("scheme", "tableau"), [
    (schemes.heun, ([[0, 0], [1, 0]], [0.5, 0.5])), (schemes.heun_euler, ([[0, 0], [1, 0]], [0.5, 0.5], [1, 0])),
    (schemes.rk4, ([[0] * 4, [0.5, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 1, 0]], [1 / 6, 1 / 3, 1 / 3, 1 / 6])),
    (schemes.sam(0.4), ([[0, 0], [-0.4, 0]], [0, 1])),
    (schemes.dormand_prince, (np.vstack([np.hstack([RK45.A, np.zeros((6, 2))]), np.append(RK45.B, 0.0)]),
                              np.append(RK45.B, 0.0), np.append(RK45.B, 0.0) + RK45.E)),
], ids=str)
def test_runge_kutta(scheme, tableau):
    """Dormand and Prince's coefficients are scipy's; its E is the embedded weights less the others."""
    z, error = by_tableau(*tableau)
    found, returned, w = step(scheme)
    np.testing.assert_allclose(found, z, rtol=1e-13)
    np.testing.assert_allclose(abs(w[:3]), abs(error), rtol=1e-9, atol=1e-16)
    assert returned == pytest.approx(np.linalg.norm(error), rel=1e-9, abs=1e-16)


def test_conditions_of_an_order_to_round_off():
    for off, good in ((1e-14, True), (1e-10, False)):
        weights = [0.5 + off, 0.5 - off]
        if good:
            schemes.explicit_runge_kutta("x", [[0, 0], [1, 0]], weights, order=2)
        else:
            with pytest.raises(ValueError, match="b must satisfy b c = 0.5 for order 2"):
                schemes.explicit_runge_kutta("x", [[0, 0], [1, 0]], weights, order=2)
    kutta = [[0] * 4, [1 / 3, 0, 0, 0], [-1 / 3, 1, 0, 0], [1, -1, 1, 0]]  # the three-eighths rule
    schemes.explicit_runge_kutta("x", kutta, [1 / 8, 3 / 8, 3 / 8, 1 / 8], order=4)
    third = ([[0, 0, 0], [1 / 3, 0, 0], [0, 2 / 3, 0]], [1 / 4, 0, 3 / 4])  # Heun's of order 3
    schemes.explicit_runge_kutta("x", *third, order=3)
    with pytest.raises(ValueError, match=r"b c\^3 = 0.25 for order 4"):
        schemes.explicit_runge_kutta("x", *third, order=4)
    with pytest.raises(ValueError, match=r"b c\^2 = 0.333333 for order 3"):
        schemes.explicit_runge_kutta("x", [[0, 0], [0.5, 0]], [0, 1], order=3)


@pytest.mark.parametrize(("stages", "damping"), [(1, 0.05), (2, 0.0), (3, 0.05), (6, 1.3)])
def test_runge_kutta_chebyshev(stages, damping):
    """The recursion of the page, with numpy's polynomials."""
    t = [np.polynomial.chebyshev.Chebyshev.basis(j) for j in range(stages + 1)]
    w0 = 1 + damping / stages**2
    at, slope_at = [one(w0) for one in t], [one.deriv()(w0) for one in t]
    w1 = at[stages] / slope_at[stages]
    y = [Z, Z + w1 / w0 * H * field(T0, Z)]
    for j in range(2, stages + 1):
        c = w1 * slope_at[j - 1] / at[j - 1]
        y.append(y[-1] + at[j - 2] / at[j] * (y[-1] - y[-2])
                 + 2 * w1 * at[j - 1] / at[j] * H * field(T0 + c * H, y[-1]))
    scheme = schemes.runge_kutta_chebyshev(stages, damping)
    found, returned, _ = step(scheme)
    same(found, y[stages])
    assert returned == 0.0 and scheme.stages == stages and scheme.order == 1


def test_the_polynomial_of_runge_kutta_chebyshev():
    for stages, damping in ((1, 0.3), (2, 0.0), (5, 0.05), (8, 2.0)):
        c = chebyshev_coefficients(stages, damping)
        basis, u = np.polynomial.chebyshev.Chebyshev.basis(stages), np.array([0.3, -2.0, -7.5, -1.0 + 2.0j])
        np.testing.assert_allclose(c.polynomial(u), basis(c.w0 + c.w1 * u) / basis(c.w0), rtol=1e-11)
        assert c.bound == pytest.approx(1 / basis(c.w0), rel=1e-13)
        ends = np.array([c.interval, c.outer, c.inner])
        np.testing.assert_allclose(ends, np.array([2 * c.w0, c.w0 + 1, c.w0 - 1]) / c.w1, rtol=1e-13)


# Armijo's rule -------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [0.0, 3.0, -3.0])
def test_armijos_rule(f):
    """A fall by 1e-4 of what the slope promises is enough; four units of round-off of f are forgiven."""
    assert BACKTRACKING == (0, 0, 0, 2, 0.5, 2)
    z, steep = Z[:1], float(SLOPES @ SLOPES)
    for fall, good in ((1.01e-4, True), (0.99e-4, False), (1.0, True), (0.0, False), (np.nan, False), (-1.0, False)):
        values = iter([f, f - fall * H * steep])

        def fg(x, out, data, values=values):
            out[:] = SLOPES
            return next(values)

        found, returned, w = step(armijo_euler, z, of=interpreted(gradient_flow().rhs), fg=fg)
        same(found, z - H * SLOPES)
        assert returned == (0.0 if good else np.inf) and (w[0] == returned).all()
    for ulps, good in ((1, True), (9, False)) if f else ():  # next to no fall is asked for where the slope is 1e-30
        values = iter([f, f + ulps * 1e-16 * abs(f)])

        def flat(x, out, data, values=values):
            out[:] = 1e-30
            return next(values)

        returned = step(armijo_euler, z, of=interpreted(gradient_flow().rhs), fg=flat)[1]
        assert returned == (0.0 if good else np.inf)


# Steps of gradient descent -------------------------------------------------------------------------


@pytest.mark.parametrize(("mu", "L", "n"), [(1.0, 10.0, 7), (0.0, 3.0, 5), (2.0, 2.0, 3), (0.5, 40.0, 1)])
def test_chebyshev_steps_are_reciprocal_roots(mu, L, n):
    roots = np.cos((2 * np.arange(1, n + 1) - 1) * np.pi / (2 * n))
    steps = np.sort(2 / (L + mu + (L - mu) * roots))
    np.testing.assert_allclose(chebyshev_steps(mu, L, n, order="increasing"), steps, rtol=1e-14)
    np.testing.assert_allclose(np.sort(chebyshev_steps(mu, L, n)), steps, rtol=1e-14)
    polynomial = np.polynomial.chebyshev.Chebyshev.basis(n)
    if mu != L:
        assert chebyshev_factor(mu, L, n) == pytest.approx(1 / polynomial((L + mu) / (L - mu)), rel=1e-12)


def test_orders_of_steps():
    assert stable_order(1).tolist() == [1] and stable_order(2).tolist() == [1, 2]
    assert stable_order(8).tolist() == [1, 8, 4, 5, 2, 7, 3, 6] and stable_order(5).tolist() == [1, 4, 5, 2, 3]
    for call in (lambda: chebyshev_steps(-0.1, 1.0, 2), lambda: chebyshev_steps(0.0, 0.0, 2),
                 lambda: chebyshev_steps(2.0, 1.0, 2), lambda: chebyshev_steps(0.0, 1.0, 0), lambda: silver_steps(0),
                 lambda: silver_steps(3, 0.0), lambda: chebyshev_steps(0.0, 1.0, 2, order="random")):
        with pytest.raises(ValueError, match="must be"):
            call()
    silver = 1 + np.sqrt(2)
    exponents = np.array([0, 1, 0, 2, 0, 1, 0, 3, 0])
    for L in (4.0, 0.1):
        np.testing.assert_allclose(silver_steps(9, L), (1 + silver ** (exponents - 1)) / L, rtol=1e-14)
    np.testing.assert_allclose(silver_bound(3, 2.0, 1.5), 4.5 / (1 + np.sqrt(4 * silver**6 - 3)), rtol=1e-14)


# What a scheme says --------------------------------------------------------------------------------


@pytest.mark.parametrize(("scheme", "order", "stages", "embedded", "work"), [
    (schemes.explicit_euler, 1, 1, 0, 3), (schemes.semi_implicit_euler, 1, 2, 0, 3), (schemes.heun, 2, 2, 0, 12),
    (schemes.look_ahead_euler, 1, 3, 0, 6), (schemes.exponential_euler, 1, 3, 0, 9), (schemes.rk4, 4, 4, 0, 18),
    (schemes.stormer_verlet, 2, 3, 0, 9), (schemes.heun_euler, 2, 2, 1, 12), (schemes.dormand_prince, 5, 7, 4, 27),
    (schemes.implicit_euler, 1, 0, 0, 6), (schemes.linearly_implicit_euler, 1, 0, 0, 7), (armijo_euler, 1, 2, 1, 3),
    (schemes.coasting_euler("memory", "still"), 1, 5, 0, 12), (schemes.partitioned_euler((1, 0, 0)), 1, 2, 0, 6),
    (schemes.rkc, 1, 10, 0, 9), (schemes.sam(), 1, 2, 0, 12), (schemes.sam(-0.5), 2, 2, 0, 12),
    (schemes.catching_up_euler(1), 1, 3, 0, 4)], ids=str)
def test_order_cost_and_workspace(scheme, order, stages, embedded, work):
    assert (scheme.order, scheme.stages, scheme.embedded_order) == (order, stages, embedded)
    assert scheme.workspace(Z).shape == (work, 2) and not scheme.workspace(Z).any()


def test_workspaces_with_a_matrix():
    for n, rows in ((399, 404), (400, 405), (401, 5)):
        assert schemes.linearly_implicit_euler.workspace(np.ones((1, n))).shape == (rows, n)


# Implicit Euler ------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [1.3, -0.02, 40.0, 1e6])
@pytest.mark.parametrize("decay", [0.0, 0.4])
def test_implicit_euler_by_newtons_method(start, decay):
    """f = x^2/2 + log cosh(x): until the residual is 1e-13 (1 + |x|), a gradient and a product for each step."""
    def fg(x, out, data):
        out[:] = x + np.tanh(x)
        return 0.0

    def hv(x, v, out, data):
        out[:] = (2 - np.tanh(x) ** 2) * v

    y, spent, residual, tolerance = start, 0, np.inf, 1e-13 * (1 + abs(start))
    while residual > tolerance:
        r = start - y - H * (y + np.tanh(y) + decay * y)
        residual, spent = abs(r), spent + 1
        if residual > tolerance:
            assert residual > 9 * tolerance  # it does not hang on the last bit
            y, spent = y + r / (1 + H * (2 - np.tanh(y) ** 2 + decay)), spent + 1
    assert residual < tolerance / 9
    flow = gradient_flow(decay)
    scheme, z = schemes.implicit_euler, np.array([[start]])
    w = scheme.workspace(z)
    returned = interpreted(scheme.step)(None, fg, hv, np.zeros(0), scheme.parameters(flow), T0, H, z, w)
    assert z[0, 0] == pytest.approx(y, rel=1e-13) and w[5, 0] == spent and returned < tolerance / 9


@pytest.mark.parametrize("decay", [0.0, 0.4])
def test_linearly_implicit_euler_by_a_matrix_or_on_products(decay):
    """(I + h (H + decay)) d = -h (g + decay x); a gradient, and n products or one for each eigenvalue."""
    curved = np.array([[3.0, 0.7, -0.4], [0.7, 1.5, 0.2], [-0.4, 0.2, 0.9]])
    x = np.array([0.4, -1.1, 0.6])

    def fg(x, out, data):
        out[:] = curved @ x + np.sin(x)
        return 0.0

    def hv(x, v, out, data):
        out[:] = curved @ v + np.cos(x) * v

    slope, hessian = curved @ x + np.sin(x) + decay * x, curved + np.diag(np.cos(x)) + decay * np.eye(3)
    d = np.linalg.solve(np.eye(3) + H * hessian, -H * slope)
    scheme = schemes.linearly_implicit_euler
    for w, least, most in ((scheme.workspace(x[None]), 4, 4), (np.zeros((5, 3)), 4, 6)):
        z, p = x[None].copy(), scheme.parameters(gradient_flow(decay))
        assert interpreted(scheme.step)(None, fg, hv, np.zeros(0), p, T0, H, z, w) == 0.0
        np.testing.assert_allclose(z[0], x + d, rtol=1e-12)
        assert least <= w[-1, 0] <= most


def test_implicit_euler_spends_a_product_for_each_eigenvalue():
    curvatures = np.geomspace(0.1, 1000.0, 24)
    problem = quadratic(curvatures, x0=np.ones(24))
    scheme, z = schemes.implicit_euler, np.ones((1, 24))
    w = scheme.workspace(z)
    p = scheme.parameters(gradient_flow())
    interpreted(scheme.step)(None, problem.fg, problem.hv, problem.data, p, T0, H, z, w)
    np.testing.assert_allclose(z[0], 1 / (1 + H * curvatures), rtol=1e-11)
    assert 26 <= w[5, 0] <= 2 + 2 * 24 + 10
