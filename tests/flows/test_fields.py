"""Every field is the formula of its page, in numpy: at any state, and where a memory is empty or a root 0."""

import numpy as np
import pytest

import odeopt as oo
from odeopt import flows as F

# f = x^4/4 + x y^2 + y^2: g, H and f'''(u, v) in closed form
PROBLEM = oo.Problem.from_expression("x^4/4 + x*y^2 + y^2", "x y", x0=[0.7, -0.4])
D, C, TAU1, TAU2, EPS = 0.3, 0.2, 0.5, 0.8, 0.1  # decay, drift, memory times


def g(x):
    return np.array([x[0] ** 3 + x[1] ** 2, 2 * x[0] * x[1] + 2 * x[1]])


def hess(x):
    return np.array([[3 * x[0] ** 2, 2 * x[1]], [2 * x[1], 2 * x[0] + 2]])


def third(x, u, v):
    return np.array([6 * x[0] * u[0] * v[0] + 2 * u[1] * v[1], 2 * (u[0] * v[1] + u[1] * v[0])])


def first(q):
    """A row that holds one number."""
    return np.array([q, 0.0])


def adam(t, x, m, v, q1, q2, *, inside=0.0, beside=EPS, hat=False, decay=D, drift=C):
    gi = g(x) + decay * x
    mean = m / q1[0] if q1[0] else gi
    root = np.sqrt((v / q2[0] if q2[0] else gi**2) + inside) + (beside / np.sqrt(q2[0]) if hat else beside)
    return (-mean / root - drift * x, (gi - m) / TAU1, (gi**2 - v) / TAU2, first((1 - q1[0]) / TAU1),
            first((1 - q2[0]) / TAU2))


def nadam(t, x, m, v, q2):
    gi = g(x) + D * x
    mu = 1 - 0.5 * np.exp(-0.7 * t)
    root = np.sqrt((v / q2[0] if q2[0] else gi**2) + 0.02) + EPS
    return -((1 - mu) * gi + mu * m) / root - C * x, (gi - m) / TAU1, (gi**2 - v) / TAU2, first((1 - q2[0]) / TAU2)


def amsgrad(form):
    def field(t, x, m, v, w, q1, q2):
        gi = g(x) + D * x
        dv, dq2 = (gi**2 - v) / TAU2, (1 - q2[0]) / TAU2
        bound, rise = (v / q2[0], (dv - v / q2[0] * dq2) / q2[0]) if form == "optax" else (v, dv)
        square = np.maximum(w, bound) / (q2[0] if form == "torch" else 1.0)
        mean = m if form == "paper" else m / q1[0]
        return (-mean / (np.sqrt(square + 0.02) + EPS) - C * x, (gi - m) / TAU1, dv,
                np.where(w <= bound, np.maximum(rise, 0), 0.0), first((1 - q1[0]) / TAU1), first(dq2))
    return field


def adamax(t, x, m, u, q1):
    gi = g(x) + D * x
    dx = -m / q1[0] / np.maximum(u, abs(gi) + EPS) - C * x
    slope = np.sign(gi) * (hess(x) @ dx + D * dx)
    du = np.where(u <= abs(gi) + EPS, np.maximum(slope, -u / TAU2), -u / TAU2)
    return dx, (gi - m) / TAU1, du, first((1 - q1[0]) / TAU1)


def rmsprop(t, x, w, v, m, q):
    """Centered, corrected, with momentum."""
    gi = g(x) + D * x
    u = gi / np.sqrt(np.maximum(v / q[0] - (m / q[0]) ** 2, 0) + EPS)
    return w, -1.5 * w - u, (gi**2 - v) / TAU2, (gi - m) / TAU2, first((1 - q[0]) / TAU2)


def adadelta(t, x, v, u):
    gi = g(x) + D * x
    y = np.sqrt((u + 0.01) / (v + EPS)) * gi
    return -1.7 * y - C * x, (gi**2 - v) / TAU1, (y**2 - u) / TAU1


def adagrad(t, x, v):
    gi = g(x) + D * x
    return -(gi / (np.sqrt(v) + EPS) + C * x) / (1 + 0.6 * t), gi**2


def modified_root(inside):
    def field(t, x):
        gi = g(x) + D * x
        d = np.sqrt(gi**2 + EPS) if inside else abs(gi) + EPS
        w = (abs(gi) / d) ** (2 if inside else 1)
        f0, k1, k2 = -gi / d - C * x, 3.0, 9.0  # (1 + beta)/(1 - beta) at 1/2 and 4/5
        return (f0 + 0.05 * (k1 - k2 * w) / d * (hess(x) @ f0 + D * f0) + 0.05 * C * f0,)
    return field


def modified_gradient(t, x):
    f0, h = -g(x) - (D + C) * x, hess(x) + D * np.eye(2)
    return (f0 + 0.07 * h @ f0 + 0.05 * C * f0,)


def modified_third(t, x):
    gi, h = g(x) + D * x, hess(x) + D * np.eye(2)
    return (-(gi + 0.05 * h @ gi + 0.01 * (h @ h @ gi / 3 + third(x, gi, gi) / 12)),)


def high_resolution(t, x, w):
    return w, -2 * 0.5 * w - 0.2 * hess(x) @ w - (1 + 0.5 * 0.2) * g(x)  # mu = 1/4, s = 1/25


def nag_c(t, x, w):
    return w, -3 / t * w - 0.2 * hess(x) @ w - (1 + 1.5 * 0.2 / t) * g(x)


def clipped(t, x, w):
    size = np.linalg.norm(g(x))
    return w, -0.4 * w - min(1, 0.1 / (size + 1e-6)) * g(x)


def sam(x, rho=0.05, normalized=True):
    return -g(x + rho * g(x) / (np.linalg.norm(g(x)) if normalized else 1.0))


ROOTS = {"eps_root": 0.02, "decay": D, "drift": C}
MEMORY = [[0.3, -0.2], [0.9, 0.4], [0.6, 0.5], [0.35, 0.0], [0.45, 0.0]]  # means, squares, weights
CASES = {
    "gradient": (F.gradient_flow(D), [], lambda t, x: (-g(x) - D * x,)),
    "averaged": (F.averaged_gradient_flow(TAU1, decay=D, drift=C), [0],
                 lambda t, x, m: (-m - C * x, (g(x) + D * x - m) / TAU1)),
    "heavy ball": (F.heavy_ball_flow(0.4, decay=D, drift=C), [0], lambda t, x, w: (w - C * x, -0.4 * w - g(x) - D * x)),
    "nag-sc": (F.nag_sc_flow(0.25), [0], lambda t, x, w: (w, -w - g(x))),
    "Nesterov": (F.nesterov_flow(3.5), [0], lambda t, x, w: (w, -3.5 / t * w - g(x))),
    "Bregman": (F.bregman_flow(3.0, 0.5), [0], lambda t, x, w: (w, -4 / t * w - 4.5 * t * g(x))),
    "Bregman, friction": (F.bregman_flow(friction=5.0), [0], lambda t, x, w: (w, -5 / t * w - g(x))),
    "look-ahead": (F.look_ahead_flow(0.4, 0.3, 1.2), [0], lambda t, x, w: (w, -0.8 * w - 1.2 * g(x + 0.3 * w))),
    "high resolution": (F.high_resolution_flow(0.04, 0.25), [0], high_resolution),
    "high resolution, nag-c": (F.high_resolution_flow(0.04, kind="nag-c"), [0], nag_c),
    "high resolution, heavy ball": (F.high_resolution_flow(0.04, 0.25, kind="heavy-ball"), [0],
                                    lambda t, x, w: (w, -w - 1.1 * g(x))),
    "clipped": (F.clipped_flow(F.heavy_ball_flow(0.4), norm=0.1), [0], clipped),
    "clipped by value": (F.clipped_flow(F.gradient_flow(), value=0.4), [], lambda t, x: (-np.clip(g(x), -0.4, 0.4),)),
    "Newton": (F.newton_flow(), [], lambda t, x: (-np.linalg.solve(hess(x), g(x)),)),
    "normalised": (F.normalized_flow(), [], lambda t, x: (-g(x) / np.linalg.norm(g(x)),)),
    "sign": (F.sign_flow(0.1), [], lambda t, x: (-g(x) / np.sqrt(g(x) ** 2 + 0.01),)),
    "Polyak": (F.polyak_flow(-0.5), [], lambda t, x: (-(PROBLEM.fun(x) + 0.5) * g(x) / (g(x) @ g(x)),)),
    "SAM": (F.sam_flow(0.05), [], lambda t, x: (sam(x),)),
    "SAM, not normalised": (F.sam_flow(0.05, normalized=False), [], lambda t, x: (sam(x, normalized=False),)),
    "sign of the mean": (F.sign_of_mean(TAU1, D), [0],
                         lambda t, x, m: (-np.sign(m) - D * x, (g(x) - m) / TAU1)),
    "RMSprop": (F.rmsprop_flow(TAU2, EPS, decay=D), [1],
                lambda t, x, v: (-(g(x) + D * x) / np.sqrt(v + EPS), ((g(x) + D * x) ** 2 - v) / TAU2)),
    "RMSprop, outside": (F.rmsprop_flow(TAU2, EPS, eps_mode="outside", decay=D), [1],
                         lambda t, x, v: (-(g(x) + D * x) / (np.sqrt(v) + EPS), ((g(x) + D * x) ** 2 - v) / TAU2)),
    "RMSprop, corrected": (F.rmsprop_flow(TAU2, EPS, eps_mode="outside", bias_correction=True), [1, 3],
                           lambda t, x, v, q: (-g(x) / (np.sqrt(v / q[0]) + EPS), (g(x) ** 2 - v) / TAU2,
                                               first((1 - q[0]) / TAU2))),
    "RMSprop, all": (F.rmsprop_flow(TAU2, EPS, decay=D, bias_correction=True, centered=True, friction=1.5),
                     [0, 1, 0, 3], rmsprop),
    "Adagrad": (F.adagrad_flow(EPS, rate=0.6, decay=D, drift=C), [1], adagrad),
    "Adagrad, inside": (F.adagrad_flow(EPS, eps_mode="inside"), [1],
                        lambda t, x, v: (-g(x) / np.sqrt(v + EPS), g(x) ** 2)),
    "Adadelta": (F.adadelta_flow(TAU1, EPS, 0.01, 1.7, decay=D, drift=C), [1, 2], adadelta),
    "Adam": (F.adam_flow(TAU1, TAU2, EPS, **ROOTS), [0, 1, 3, 4], lambda *z: adam(*z, inside=0.02)),
    "Adam, inside": (F.adam_flow(TAU1, TAU2, EPS, eps_mode="inside", **ROOTS), [0, 1, 3, 4],
                     lambda *z: adam(*z, inside=0.12, beside=0.0)),
    "Adam, hat": (F.adam_flow(TAU1, TAU2, EPS, eps_mode="hat", **ROOTS), [0, 1, 3, 4],
                  lambda *z: adam(*z, inside=0.02, hat=True)),
    "NAdam": (F.nadam_flow(TAU1, TAU2, EPS, 0.7, **ROOTS), [0, 1, 4], nadam),
    "AdaMax": (F.adamax_flow(TAU1, TAU2, EPS, decay=D, drift=C), [0, 1, 3], adamax),
    "AdaMax, at the bound": (F.adamax_flow(TAU1, TAU2, EPS, decay=D, drift=C), [0, None, 3], adamax),
    **{f"AMSGrad, {form}": (F.amsgrad_flow(TAU1, TAU2, EPS, form=form, **ROOTS), [0, 1, 2, 3, 4], amsgrad(form))
       for form in ("torch", "optax", "paper")},
    "modified gradient": (F.modified_gradient_flow(0.1, 0.07, decay=D, drift=C), [], modified_gradient),
    "modified gradient, order 1": (F.modified_gradient_flow(0.1, 0.07, order=1, decay=D, drift=C), [],
                                   lambda t, x: (-g(x) - (D + C) * x,)),
    "modified gradient, order 3": (F.modified_gradient_flow(0.1, 0.05, order=3, decay=D), [], modified_third),
    "modified root": (F.modified_root_flow(0.1, 0.5, 0.8, EPS, decay=D, drift=C), [], modified_root(True)),
    "modified root, outside": (F.modified_root_flow(0.1, 0.5, 0.8, EPS, eps_mode="outside", decay=D, drift=C), [],
                               modified_root(False)),
    "modified root, order 1": (F.modified_root_flow(0.1, 0.5, 0.8, EPS, order=1), [],
                               lambda t, x: (-g(x) / np.sqrt(g(x) ** 2 + EPS),)),
}
JACOBIANS = {name: case for name, case in CASES.items() if case[0].jacobian}


def states(memory):
    for x in ([0.7, -0.4], [-0.3, 0.6]):
        bound = abs(g(np.array(x)) + D * np.array(x)) + EPS
        yield np.array([x, *(bound if i is None else MEMORY[i] for i in memory)])


@pytest.mark.parametrize("name", CASES)
def test_the_field_is_the_formula(name):
    flow, memory, formula = CASES[name]
    field = flow.field(PROBLEM)
    for t in (0.4, 1.3):
        for z in states(memory):
            digits = 1e-10 if "order 3" in name else 1e-12
            np.testing.assert_allclose(field(t, z), formula(t, *z), rtol=digits, atol=1e-14)


@pytest.mark.parametrize("name", JACOBIANS)
def test_the_jacobian_is_the_derivative_of_the_formula(name):
    flow, memory, formula = JACOBIANS[name]
    weights = [j for j, slot in enumerate(flow.slots, 1) if "weight" in slot]
    for t in (0.4, 1.3):
        for z in states(memory):
            j = flow.jacobian(t, z.copy(), g(z[0]), hess(z[0]), flow.p)
            v = np.array([[0.3, -0.7], *[[0.5, 0.2]] * len(memory)])
            v[weights, 1] = 0.0
            ahead, behind = (np.array(formula(t, *(z + s * v))) for s in (1e-6, -1e-6))
            np.testing.assert_allclose(j @ v.ravel(), ((ahead - behind) / 2e-6).ravel(), rtol=1e-7, atol=1e-8)


EMPTY = np.zeros(2)
X0 = np.array([0.7, -0.4])


@pytest.mark.parametrize(("flow", "speed"), [
    (F.adam_flow(TAU1, TAU2, EPS), -g(X0) / (abs(g(X0)) + EPS)), (F.adam_flow(TAU1, TAU2, 0.0), -np.sign(g(X0))),
    (F.amsgrad_flow(TAU1, TAU2, EPS), -g(X0) / (abs(g(X0)) + EPS)),
    (F.amsgrad_flow(TAU1, TAU2, EPS, form="optax"), -g(X0) / (abs(g(X0)) + EPS)),
    (F.nadam_flow(TAU1, TAU2, EPS, 0.7), -0.5 * g(X0) / (abs(g(X0)) + EPS)),
    (F.adamax_flow(TAU1, TAU2, EPS), -g(X0) / (abs(g(X0)) + EPS)),
    (F.rmsprop_flow(TAU2, EPS), -g(X0) / EPS**0.5), (F.rmsprop_flow(TAU2, 0.0), EMPTY),
    (F.rmsprop_flow(TAU2, EPS, bias_correction=True), -g(X0) / np.sqrt(g(X0) ** 2 + EPS)),
    (F.rmsprop_flow(TAU2, EPS, bias_correction=True, centered=True), -g(X0) / np.sqrt(g(X0) ** 2 + EPS)),
    (F.adagrad_flow(EPS), EMPTY), (F.adadelta_flow(TAU1, EPS, 0.01), -np.sqrt(0.01 / EPS) * g(X0)),
    (F.adadelta_flow(TAU1, 0.0, 0.01), EMPTY),
])
def test_fields_at_an_empty_memory(flow, speed):
    """Quotients 0/0 are their limits where there is one: m/q -> g, v/q -> g^2."""
    found = flow.field(PROBLEM)(0.0, flow.start(X0))
    np.testing.assert_allclose(found[0], speed, rtol=1e-12, atol=1e-15)


def test_flows_of_second_order_begin_where_their_friction_is_infinite():
    """x'' = -g/(1 + r) from rest; Bregman's -4 C g/(1 + r) for p = 2 and 0 above."""
    for flow, force in ((F.nesterov_flow(3.0), 0.25), (F.bregman_flow(), 0.25), (F.bregman_flow(2.0, 0.5), 0.5),
                        (F.bregman_flow(2.0, 0.5, friction=4.0), 0.4), (F.bregman_flow(3.0), 0.0)):
        found = flow.field(PROBLEM)(0.0, flow.start(X0))
        np.testing.assert_allclose(found, [EMPTY, -force * g(X0)], rtol=1e-13)
    t0, z0 = F.high_resolution_start(X0, g(X0), 0.04, kind="nag-c")
    assert t0 == pytest.approx(0.3) and np.allclose(z0, [X0, -0.2 * g(X0)])
    for kind, velocity, factor in (("nag-sc", "matched", 1.5), ("heavy-ball", "matched", 1.5),
                                   ("nag-sc", "paper", 2 / 1.1)):
        t0, z0 = F.high_resolution_start(X0, g(X0), 0.04, 0.25, kind=kind, velocity=velocity)
        assert t0 == 0.0 and np.allclose(z0, [X0, -factor * 0.2 * g(X0)])


def test_jacobians_at_an_empty_memory():
    """There the field is a function of x alone in its row of x, and of x and the memory in the others."""
    for flow in (F.adam_flow(TAU1, TAU2, EPS, decay=D, drift=C), F.adam_flow(TAU1, TAU2, EPS, eps_mode="inside"),
                 F.adam_flow(TAU1, TAU2, 0.3, eps_mode="hat", eps_root=0.02), F.rmsprop_flow(TAU2, EPS, decay=D),
                 F.averaged_gradient_flow(TAU1), F.gradient_flow(D)):
        field, z = flow.field(PROBLEM), flow.start(X0)
        step = np.zeros_like(z)
        step[0] = 1e-6 * np.array([0.3, -0.7])
        j = flow.jacobian(0.0, z.copy(), g(X0), hess(X0), flow.p)
        found = (field(0.0, z + step) - field(0.0, z - step)) / 2e-6
        np.testing.assert_allclose((j @ (1e6 * step.ravel())).reshape(z.shape), found, rtol=1e-7, atol=1e-8)


def test_what_needs_no_hessian_asks_for_none():
    blind = oo.Problem(lambda x: float(x @ x) / 2, lambda x: x, x0=[1.0, 2.0])
    flow = F.high_resolution_flow(0.04, 0.25, kind="heavy-ball")
    found = flow.field(blind)(0.4, [[1.0, 2.0], [0.3, -0.1]])
    np.testing.assert_allclose(found, [[0.3, -0.1], [-0.3 - 1.1, 0.1 - 2.2]], rtol=1e-14)
    for other in (F.high_resolution_flow(0.04, 0.25), F.high_resolution_flow(0.04, kind="nag-c"), F.newton_flow()):
        with pytest.raises(ValueError, match="needs the Hessian product"):
            other.field(blind)


@pytest.mark.parametrize("flow", [F.modified_gradient_flow(0.1, 0.05, order=3), F.modified_gradient_flow(0.1, 0.07),
                                  F.modified_root_flow(0.1, 0.5, 0.8, 0.0), F.gradient_flow(), F.sign_inclusion(),
                                  F.modified_root_flow(0.1, 0.5, 0.8, 0.0, eps_mode="outside")], ids=str)
def test_at_a_stationary_point_nothing_moves(flow):
    assert not g(np.zeros(2)).any() and not flow.field(PROBLEM)(0.0, np.zeros((1, 2))).any()


def test_eps_hat_at_an_empty_memory():
    """eps/sqrt(q) is infinite there, and nothing moves but the drift; without an eps it is not there."""
    for eps, dx in ((EPS, -C * X0), (1.0, -C * X0), (0.0, -np.sign(g(X0)) - C * X0)):
        flow = F.adam_flow(TAU1, TAU2, eps, eps_mode="hat", drift=C)
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(flow.field(PROBLEM)(0.0, flow.start(X0))[0], dx, rtol=1e-13)


@pytest.mark.parametrize("size", [1e-200, 1e-3, 1.0, 1e200])
def test_directions_of_gradients_of_any_size(size):
    slope, away = np.array([3.0, -4.0]), np.array([-0.6, 0.8])
    line = oo.Problem(lambda x: size * float(slope @ x), lambda x: size * slope, x0=[0.5, 1.0])
    np.testing.assert_allclose(F.normalized_flow().field(line)(0.0, [[0.5, 1.0]]), [away], rtol=1e-14)
    value = -2.5 * size
    polyak = F.polyak_flow(value - 10 * size).field(line)
    np.testing.assert_allclose(polyak(0.0, [[0.5, 1.0]]), [10 / 5 * away], rtol=1e-14)
    np.testing.assert_allclose(F.sam_flow(0.1).field(line)(0.0, [[0.5, 1.0]]), [5 * size * away], rtol=1e-14)
    flat = oo.problems.quadratic([0.0, 0.0], x0=[1.0, 2.0])
    for flow in (F.normalized_flow(), F.sam_flow(0.1), F.sam_flow(0.1, normalized=False),
                 F.adamax_flow(TAU1, TAU2, 0.0)):
        assert not flow.field(flat)(0.0, flow.start([1.0, 2.0]))[0].any()


def test_a_target_of_polyaks_flow():
    """Where f is not above it nothing moves; one above what is known of f is refused, by more than round-off."""
    bowl = oo.problems.quadratic([1.0, 3.0], x0=[2.0, 0.0])
    field = F.polyak_flow(0.0).field(bowl)
    assert not F.polyak_flow(0.0).field(bowl)(0.0, [[0.0, 0.0]]).any()
    np.testing.assert_allclose(field(0.0, [[2.0, 1.0]]), [-3.5 / 13 * np.array([2.0, 3.0])], rtol=1e-14)
    for least in (0.0, 100.0, -100.0):
        problem = oo.Problem(lambda x, least=least: float(x @ x) / 2 + least, lambda x: x, x0=[5.0], f_min=least)
        margin = 1e-12 * (1 + abs(least))
        F.polyak_flow(least + 0.9 * margin).check(problem)
        with pytest.raises(ValueError, match="f_star must be the infimum of f .* has f_min = "):
            F.polyak_flow(least + 1.2 * margin).check(problem)


@pytest.mark.parametrize(("above", "held"), [(0.0, True), (5e-10, True), (2e-9, False), (1e-6, False), (0.2, False)])
def test_the_bound_of_adamax_is_a_band_of_a_billionth(above, held):
    """On it u moves with |g| + eps where that rises faster than u relaxes; above it u relaxes."""
    flow = F.adamax_flow(TAU1, TAU2, EPS)
    for sign in (1.0, -1.0):  # descent and ascent
        u = (abs(g(X0)) + EPS) * (1 + above)
        z = np.array([X0, sign * np.array([-0.3, 0.2]), u, [0.35, 0.0]])
        found = flow.field(PROBLEM)(0.4, z)
        slope, relaxed = np.sign(g(X0)) * (hess(X0) @ found[0]), -u / TAU2
        expected = np.maximum(slope, relaxed) if held else relaxed
        np.testing.assert_allclose(found[2], expected, rtol=1e-12)
    assert (slope > relaxed).any() or sign < 0


def test_newtons_flow_above_the_size_of_a_matrix():
    """By conjugate gradients, which end where the curvature is not positive."""
    for n in (400, 401):
        curvatures = np.linspace(1.0, 9.0, n)
        field = F.newton_flow().field(oo.problems.quadratic(curvatures, x0=np.ones(n)))
        np.testing.assert_allclose(field(0.0, np.full((1, n), 0.7)), np.full((1, n), -0.7), rtol=1e-12)
        assert not field(0.0, np.zeros((1, n))).any()
        saddle = F.newton_flow().field(oo.problems.quadratic([-1.0, *curvatures[1:]], x0=np.ones(n)))
        assert np.isnan(saddle(0.0, np.full((1, n), 0.7))).all() == (n > 400)
