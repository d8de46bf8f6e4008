"""The edge of stability: stationary preconditioners and central flows (Cohen et al., arXiv:2410.24206),
self-stabilisation (Damian, Nichani, Lee, arXiv:2209.15594).
"""

import functools

import numba
import numpy as np
import pytest

import odeopt as oo
from odeopt.flows import gradient_flow
from odeopt.kernels import rmsprop
from odeopt.studies.noise.stationary import dense_quadratic
from odeopt.studies.stability.central import CentralFlow, curvature_gradient, least

BOWL = oo.problems.sine_bowl()


def valley(c, end, d=0.0, far=0.0, tilt=0.0):
    """f = y x^2/2 + c (y - end - z)^2/2 + d (z - far)^2/2 + tilt x: curvature y along x, which descent raises."""

    @numba.njit
    def fun(w):
        x, y, z = w
        return 0.5 * y * x * x + 0.5 * c * (y - end - z) ** 2 + 0.5 * d * (z - far) ** 2 + tilt * x

    @numba.njit
    def grad(w):
        x, y, z = w
        pull = c * (y - end - z)
        return np.array([y * x + tilt, 0.5 * x * x + pull, d * (z - far) - pull])

    @numba.njit
    def hess(w):
        x, y, _ = w
        return np.array([[y, x, 0.0], [x, c, -c], [0.0, -c, c + d]])

    return oo.Problem(fun, grad, hess, dim=3, name="valley")


@functools.cache
def plane(c, end):
    """f = y x^2/2 + c (y - end)^2/2."""

    @numba.njit
    def fun(w):
        return 0.5 * w[1] * w[0] ** 2 + 0.5 * c * (w[1] - end) ** 2

    @numba.njit
    def grad(w):
        return np.array([w[1] * w[0], 0.5 * w[0] ** 2 + c * (w[1] - end)])

    @numba.njit
    def hess(w):
        return np.array([[w[1], w[0]], [w[0], c]])

    return oo.Problem(fun, grad, hess, dim=2, name="plane valley")


@pytest.mark.parametrize("c", [0.05, 0.2])
def test_gradient_descent_balances_on_the_edge(c):
    """There the mean of x^2 is 2 c (end - 2/lr) and that of log|1 - lr y| is 0, in the run and in the flow."""
    lr, problem, x0 = 0.1, plane(c, 25.0), [0.3, 19.5]
    study = oo.central_flow(oo.GradientDescent(lr), problem, x0, steps=300)
    assert study.sharpness[-1] == pytest.approx(2, abs=1e-9) and study.flow[-1, 1] == pytest.approx(20, rel=1e-9)
    assert study.variance[-1] == pytest.approx(2 * c * 5, rel=1e-9)
    x, y = oo.record(oo.GradientDescent(lr), problem, x0, steps=60_000).x[20_000:].T
    assert (x * x).mean() == pytest.approx(2 * c * 5, rel=0.004)
    assert abs(np.log(np.abs(1 - lr * y)).mean()) < 1e-4


def test_gradient_descent_follows_its_central_flow_and_not_gradient_flow():
    """A curvature that goes on wanting to rise: held at 2/lr by the oscillation, 6 above it by gradient flow."""
    study = oo.central_flow(oo.GradientDescent(0.1), valley(0.3, 18.0, 0.005, 30.0), [0.5, 19.5, 1.8], steps=1000,
                            substeps=1)
    assert study.distance[-1] < 0.01 and study.distance.max() < 0.7
    assert study.stable_distance[-1] > 7 and study.stable[-1, 1] > 25 and study.sharpness[200:].max() < 2 + 1e-9
    assert study.measured[200:].mean() == pytest.approx(study.variance[200:].mean(), rel=0.03)


def test_scalar_rmsprop_balances_on_its_edge():
    """Scalar RMSprop, end 6, c .5: y ends where c (6 - y) = <x^2>/2 with <x^2> = lr^2/4."""
    lr, problem, x0 = 0.02, plane(0.5, 6.0), [0.02, 5.9]
    opt = oo.RMSprop(lr, decay=0.98, eps=0.0, form="scalar")
    study = oo.central_flow(opt, problem, x0, steps=250)
    run = oo.record(opt, problem, x0, steps=60_000).x[30_000:]
    assert study.variance[-1] == pytest.approx(lr**2 / 4, rel=1e-4)
    assert (run[:, 0] ** 2).mean() == pytest.approx(lr**2 / 4, rel=1e-3)
    assert study.flow[-1, 1] == pytest.approx(6 - lr**2 / 4, abs=1e-6)
    assert run[:, 1].mean() == pytest.approx(study.flow[-1, 1], abs=1e-6)
    # X by the formula for scalar RMSprop of arXiv:2410.24206 at eps = 0, S = y: grad S = (0, 1), g = (0, c (y - 6))
    y, g, s = study.flow[-1, 1], 0.5 * (study.flow[-1, 1] - 6), study.flow[-1, 1]
    x = (-0.98 * g + 0.02 * (s * s / 4 - g * g / lr**2)) / (0.5 * 0.98 + 0.02 * s * s / lr**2)
    assert study.variance[-1] == pytest.approx(x, rel=1e-4) and y > 5.9


def test_scalar_rmsprop_follows_its_central_flow_while_its_curvature_drifts():
    """Away from rest: after a way of 5 the run is three times nearer to the central flow than to the other."""
    opt = oo.RMSprop(0.02, decay=0.98, eps=0.0, form="scalar")
    study = oo.central_flow(opt, valley(0.3, 3.0, 0.02, 4.0, 0.02), [0.2, 2.5, 0.1], steps=800, substeps=1)
    moved = np.linalg.norm(study.flow[-1] - study.flow[0])
    late = study.k > 550
    assert moved > 5 and study.sharpness[late].min() > 2 - 1e-6
    assert study.distance[late].max() < 0.16 < 0.4 < study.stable_distance[late].min()


@pytest.mark.parametrize("decay", [0.9, 0.99, 0.999])
def test_rmsprop_ends_with_the_least_preconditioner_that_is_stable(decay):
    """min tr P subject to H <= 2 P has P_ii = (H_ii + |H_12|)/2; the iterates end at +-(lr/2)(1, sign H_12)."""
    lr, h = 0.01, np.array([[3.0, 1.2], [1.2, 1.0]])
    p = np.array([2.1, 1.1])
    np.testing.assert_allclose(p, 0.5 * (np.diag(h) + 1.2), rtol=1e-15)
    np.testing.assert_allclose(np.linalg.eigvalsh(h / np.sqrt(np.outer(p, p)))[-1], 2, rtol=1e-14)
    for move in ((1, 0), (0, 1), (1, -1), (-1, 1)):  # no neighbour of smaller trace is stable
        q = p + 1e-3 * np.array(move) - 1e-3 * (move[0] + move[1] + 0.01) / 2
        assert q.sum() < p.sum() and np.linalg.eigvalsh(h / np.sqrt(np.outer(q, q)))[-1] > 2
    x0 = np.array([0.005, 0.005]) * (1 + np.array([0.03, -0.02]))
    run = oo.record(oo.RMSprop(lr, decay=decay, eps=0.0), dense_quadratic(h), x0, steps=round(60 / (1 - decay)),
                    start="consistent", memory=True)
    np.testing.assert_allclose(np.abs(run.x[-1]), lr / 2, rtol=1e-6)
    np.testing.assert_allclose(np.sqrt(run.memory[-1, 0]) / lr, p, rtol=1e-6)


def test_vector_rmsprop_reaches_the_same_by_its_central_flow():
    """The stationary P of the test before from afar, and a valley that is tilted and gets steeper."""
    h = np.array([[3.0, 1.2], [1.2, 1.0]])
    study = oo.central_flow(oo.RMSprop(0.01, decay=0.9, eps=0.0), dense_quadratic(h), [1.0, -0.7], steps=700)
    np.testing.assert_allclose(np.sqrt(study.memory[-1]) / 0.01, [2.1, 1.1], rtol=1e-6)
    assert study.variance[-1] == pytest.approx(2 * 0.005**2, rel=1e-6)
    assert study.measured[-20:].mean() == pytest.approx(study.variance[-1], rel=1e-6)
    study = oo.central_flow(oo.RMSprop(0.02, decay=0.98, eps=0.0), valley(0.3, 3.0, 0.02, 4.0, 0.02), [0.2, 2.5, 0.1],
                            steps=750, substeps=1)
    assert study.distance[-100:].max() < 1e-3 and study.stable_distance[-100:].mean() > 4e-3


@pytest.mark.parametrize("more", [{"eps": 3e-3, "eps_mode": "outside"}, {"eps": 1e-5}], ids=["outside", "inside"])
def test_eps_is_in_the_preconditioner(more):
    """With an eps of the size of lr P the run's own v, averaged over its last steps, is the flow's."""
    h = np.array([[3.0, 1.2], [1.2, 1.0]])
    opt = oo.RMSprop(0.01, decay=0.9, **more)
    study = oo.central_flow(opt, dense_quadratic(h), [1.0, -0.7], steps=700)
    run = oo.record(opt, dense_quadratic(h), [1.0, -0.7], steps=3000, start="consistent", memory=True)
    np.testing.assert_allclose(study.memory[-1], run.memory[-200:, 0].mean(axis=0), rtol=1e-5)
    assert study.variance[-1] == pytest.approx((run.x[-200:] ** 2).sum(axis=1).mean(), rel=1e-5)
    assert study.sharpness[-1] == pytest.approx(2, abs=1e-6)


def test_the_memory_lags_by_decay_over_one_minus_decay():
    """Under squares that grow by 1 per step v lags 4 steps at decay .8 and not 5: it holds the newest one."""
    opt = oo.RMSprop(1e-3, decay=0.8, eps=0.0)
    s, x = np.zeros((1, 1)), np.zeros(1)
    for k in range(400):
        rmsprop(k, opt.p, x, np.array([np.sqrt(k + 1.0)]), s)
    assert 400 - s[0, 0] == pytest.approx(4, rel=1e-12)


def test_the_memory_of_the_central_flow_lags_as_the_runs_does():
    """Far from the edge: v follows the v that the steps divide by, 4 steps behind g^2 at decay .8."""
    opt, bowl = oo.RMSprop(1e-3, decay=0.8, eps=0.0), dense_quadratic(np.eye(1))
    study = oo.central_flow(opt, bowl, [1.0], steps=200)
    run = oo.record(opt, bowl, [1.0], steps=202, start="consistent", memory=True)
    divided_by = 0.5 * (run.memory[1:201, 0, 0] + run.memory[2:202, 0, 0])  # half a step later, as the flow
    lag = study.flow[:, 0] ** 2 - study.memory[:, 0]
    expected = study.x[:, 0] ** 2 - divided_by
    np.testing.assert_allclose(lag[50:], expected[50:], rtol=0.02)
    np.testing.assert_allclose(lag[50:], 4 * np.gradient(study.x[:, 0] ** 2)[50:], rtol=0.02)


def test_where_gradient_descent_ends_does_not_depend_on_its_start():
    """f = sqrt(1 + (x y)^2) (Ahn et al., arXiv:2212.07469): the flow keeps y^2 - x^2, descent ends just below 2/lr."""

    @numba.njit
    def fun(w):
        return np.sqrt(1 + (w[0] * w[1]) ** 2)

    @numba.njit
    def grad(w):
        z = w[0] * w[1]
        return z / np.sqrt(1 + z * z) * w[::-1]

    problem, lr = oo.Problem(fun, grad, dim=2), 0.05
    for y0 in (6.6, 7.5, 9.0):
        x0 = np.array([0.1, y0])
        sol = oo.reference(gradient_flow(), problem, x0, t_end=5.0, rtol=1e-11, atol=1e-13)
        at_end = sol(5.0)
        assert at_end[1] ** 2 - at_end[0] ** 2 == pytest.approx(y0**2 - 0.01, rel=1e-8)
        end = oo.record(oo.GradientDescent(lr), problem, x0, steps=30_000).x[-1]
        assert abs(end[0]) < 1e-6 and end[1] ** 2 == pytest.approx(39.95, abs=0.01)


def test_the_gradient_beside_the_axis():
    """g(w + x u) = g + x S u + (x^2/2) grad S + O(x^3), with grad S = f'''(u, u) where u is an eigenvector."""
    problem, w = BOWL, np.array([0.7, -0.4])
    values, vectors = np.linalg.eigh(problem.hess(w))
    s, u = values[-1], vectors[:, -1]
    slope = curvature_gradient(problem, w, u)
    by_differences = [(np.linalg.eigvalsh(problem.hess(w + 1e-5 * e))[-1]
                       - np.linalg.eigvalsh(problem.hess(w - 1e-5 * e))[-1]) / 2e-5 for e in np.eye(2)]
    np.testing.assert_allclose(slope, by_differences, rtol=1e-7, atol=1e-9)
    rest = [np.linalg.norm(problem.grad(w + x * u) - problem.grad(w) - x * s * u - x * x / 2 * slope)
            for x in (0.02, 0.01)]
    assert np.log2(rest[0] / rest[1]) == pytest.approx(3, abs=0.05)


def test_all_directions_may_be_critical_at_once(tmp_path):
    """A matrix X: on a diagonal quadratic each coordinate ends at P = c/2 and |x| = lr/2 by itself."""
    c, lr = np.array([1.0, 3.0, 5.0]), 0.02
    study = oo.central_flow(oo.RMSprop(lr, decay=0.9, eps=0.0), oo.problems.quadratic(c), [0.3, 0.2, -0.4], steps=250)
    np.testing.assert_allclose(np.sqrt(study.memory[-1]) / lr, c / 2, rtol=1e-4)
    assert study.variance[-1] == pytest.approx(3 * lr**2 / 4, rel=1e-4)
    assert study.measured[-20:].mean() == pytest.approx(study.variance[-1], rel=1e-3)
    study.save(tmp_path / "c.npz")
    again = CentralFlow.load(tmp_path / "c.npz")
    assert repr(again) == repr(study)
    np.testing.assert_array_equal(again.distance, study.distance)


def test_the_oscillation_solves_its_complementarity_problem():
    """X >= 0, a + B X >= 0, <X, a + B X> = 0 for random positive B; one row by the formula -a/B."""
    rng = np.random.default_rng(0)
    for m in (1, 2, 3):
        a = rng.standard_normal((m, m))
        a, factor = a + a.T - 2 * np.eye(m), rng.standard_normal((m * m, 2 * m * m))
        swap = np.arange(m * m).reshape(m, m).T.ravel()
        factor = factor + factor[swap]  # symmetric in (i, j)
        x = least(a, factor, np.zeros((m, m)))
        dual = a + (factor @ (factor.T @ x.ravel())).reshape(m, m)
        assert np.linalg.eigvalsh(x).min() > -1e-12 and np.linalg.eigvalsh(dual).min() > -1e-5
        assert np.trace(x) > 0.01 and abs((x * dual).sum()) < 1e-6


@pytest.mark.parametrize(("call", "words"), [
    (lambda: oo.central_flow(oo.Adam(), BOWL), "optimizer must be GradientDescent or RMSprop"),
    (lambda: oo.central_flow(oo.RMSprop(0.1, momentum=0.5), BOWL), "momentum must be 0 for the central flow"),
    (lambda: oo.central_flow(oo.RMSprop(0.1, decay=0.0), BOWL), "decay must be above 0"),
    (lambda: oo.central_flow(oo.RMSprop(0.1, eps=0.0), oo.problems.quadratic([1.0, 3.0]), [0.0, 2.0]), "component 0"),
    (lambda: oo.central_flow(oo.GradientDescent(3.0), oo.problems.quadratic([1.0, 3.0])), "S = 9 is above 2"),
    (lambda: oo.central_flow(oo.GradientDescent(0.1), oo.problems.quadratic([1.0] * 2001)), "dense Hessian of n = "),
    (lambda: oo.central_flow(oo.GradientDescent(0.1), oo.Problem(lambda x: 0.5 * float(x @ x), lambda x: x.copy(),
                                                                 dim=2001)), "dense Hessian of n = 2001"),
])
def test_bad_input(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call()


def test_without_hessian_products_gradients_are_differenced():
    exact = oo.Problem.from_expression("y*x^2/2 + (y-25)^2/200", "x y", x0=[0.1, 19.0])
    plain = oo.Problem(exact.fun, exact.grad, dim=2)
    one, other = (oo.central_flow(oo.GradientDescent(0.1), p, exact.x0, steps=300) for p in (exact, plain))
    assert other.message == "Hessian products by differences of gradients" and one.message == ""
    assert one.sharpness.max() == pytest.approx(2, abs=1e-3) and one.variance[-1] > 0.01
    np.testing.assert_allclose(other.flow, one.flow, rtol=1e-6)
    np.testing.assert_allclose(other.variance, one.variance, atol=1e-6)


def test_what_there_is_before_a_hessian_that_is_not_finite_is_kept():
    """x falls by .1 in each step, and beyond .5 there is no second derivative: x = .5 at the time 5."""
    problem = oo.Problem(lambda x: float(x.sum()), np.ones_like, dim=2,
                         hessp=lambda x, v: np.where(x > 0.5, v, np.nan))
    study = oo.central_flow(oo.GradientDescent(0.1), problem, [1.0, 1.0], steps=20)
    assert study.k.size == 5 and np.isfinite(study.sharpness).all() and study.x.shape == (5, 2)
    assert study.message == "the central flow ended at step 5, where the Hessian is not finite"
