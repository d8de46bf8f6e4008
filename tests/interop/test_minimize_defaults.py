"""What ``minimize`` does when it is told nothing: its method, its learning rates, what it advises, scipy's call."""

import dataclasses

import numpy as np
import pytest
import scipy.optimize as so

import odeopt as oo
from odeopt.abi import kernel
from odeopt.interop import auto_lr
from odeopt.optimizers.base import Optimizer, positive


@kernel
def _gained(k, p, x, g, s):
    for i in range(x.size):
        x[i] = x[i] - p[0] * g[i]
    return p[0]


@dataclasses.dataclass(frozen=True)
class GainedDescent(Optimizer):
    """Steps proportional to the gradient, and a page that says nothing of stability."""

    lr: float = positive()
    kernel = staticmethod(_gained)


NO_LR = [name for name, cls in oo.optimizers.ALL.items()
         if any(f.name == cls.step_name and f.default is dataclasses.MISSING for f in dataclasses.fields(cls))]
BY_LENGTH = ["signgd", "normalizedgd", "errorcontrolledeuler", "rmsprop", "amos"]
CONVEX = ["booth", "matyas", "sine_bowl", "log_cosh_valley", "digits_logistic"]


def quadratic(n=8, seed=0, low=-2):
    rng = np.random.default_rng(seed)
    q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    h = q @ np.diag(10.0 ** rng.uniform(low, 2, n)) @ q.T
    return h, rng.standard_normal(n), rng.standard_normal(n)


# The default method --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONVEX)
def test_the_default_meets_gtol_on_convex_problems(name):
    problem = getattr(oo.problems, name)()
    r = oo.minimize(problem)
    assert problem.convex and r.success and np.abs(r.jac).max() <= 1e-5 and r.nit < 300
    assert problem.f_min is None or r.fun - problem.f_min < 1e-5


def test_the_default_meets_gtol_where_columns_have_units_of_their_own():
    """A logistic regression as one has it: 30 features over three decades of curvature, standardised by nobody."""
    rng = np.random.default_rng(1)
    a = rng.standard_normal((400, 30)) * np.geomspace(0.1, 3, 30)
    sign = np.where(a @ rng.standard_normal(30) + 0.5 * rng.standard_normal(400) > 0, 1.0, -1.0)

    def pair(w):
        margin = sign * (a @ w)
        return np.logaddexp(0, -margin).mean() + 5e-4 * w @ w, -a.T @ (
            sign / (1 + np.exp(margin))) / sign.size + 1e-3 * w

    r = oo.minimize(pair, np.zeros(30), jac=True)
    assert r.success and r.nit < 300
    assert oo.minimize(pair, np.zeros(30), jac=True, method="adam", maxiter=1000).status == 1


# lr = "auto" ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", NO_LR)
def test_auto_is_the_default_of_every_method_without_one(method):
    r = oo.minimize(oo.problems.sine_bowl(), method=method, maxiter=3)
    assert r.nit == 3 and r.lr > 0 and f"{oo.optimizers.ALL[method].step_name} = {r.lr:.6g}" in r.message


@pytest.mark.parametrize("method", [*BY_LENGTH, "adaptivegains", "schedulefreesgd"])
@pytest.mark.parametrize("name", ["booth", "beale", "rosenbrock", "log_cosh_valley", "himmelblau", "mccormick"])
def test_auto_is_the_default_and_closes_the_gap(method, name):
    """To a hundredth at most, in 2,500 steps, 10,000 along a curved valley."""
    problem = getattr(oo.problems, name)()
    r = oo.minimize(problem, method=method, maxiter=10_000 if name == "rosenbrock" else 2500)
    assert r.status in (0, 1) and f"{'tol' if method == 'errorcontrolledeuler' else 'lr'} = " in r.message
    assert r.fun - problem.f_min < 1e-2 * (problem.fun(problem.x0) - problem.f_min)


@pytest.mark.parametrize("method", BY_LENGTH)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_step_of_auto_is_a_part_of_the_way(method, sign):
    """R/sqrt(maxiter) long on the gradient of the start, where |g|/L <= R <= |x0 - x*|, saddles included."""
    for seed in range(5):
        h, center, x = quadratic(seed=seed)
        values, vectors = np.linalg.eigh(h)
        h = vectors @ np.diag(values * np.where(np.arange(8) % 2, sign, 1)) @ vectors.T
        g = h @ (x - center)
        lr, words = auto_lr(oo.optimizers.ALL[method], lambda v, h=h: h @ v, 8, at=(x, g), steps=400)
        r = 20 * lr * (np.sqrt(8) if method in ("signgd", "rmsprop", "amos") else 1)
        if method != "amos":  # its weight decay moves x, too
            assert r == pytest.approx(g @ g / np.linalg.norm(h @ g), rel=1e-2)
        assert 0.9 * np.linalg.norm(g) / values[-1] < r < 1.1 * np.linalg.norm(x - center)


@pytest.mark.parametrize("method", ["signgd", "normalizedgd", "rmsprop", "adam"])
@pytest.mark.parametrize("x_unit, f_unit", [(1e6, 1.0), (1e-6, 1.0), (1.0, 1e5)])
def test_auto_goes_with_the_units_of_x_and_does_not_see_those_of_f(method, x_unit, f_unit):
    h, center, x = quadratic()

    def run(x_unit, f_unit):
        return oo.minimize(lambda y: 0.5 * f_unit * (y / x_unit - center) @ h @ (y / x_unit - center), x * x_unit,
                           jac=lambda y: f_unit / x_unit * (h @ (y / x_unit - center)), method=method, lr="auto",
                           hessp=lambda y, v: f_unit / x_unit**2 * (h @ v), maxiter=4, gtol=0.0,
                           **({} if method in ("signgd", "normalizedgd") else {"eps": 1e-30})).lr

    assert run(x_unit, f_unit) == pytest.approx(x_unit * run(1.0, 1.0), rel=1e-3)


def test_adaptive_gains_descend_whatever_their_gains():
    h, center, x = quadratic(low=-1)
    values = []
    lr, words = auto_lr(oo.AdaptiveGains, lambda v: h @ v, 8)
    assert lr == pytest.approx(1 / 11 / np.linalg.eigvalsh(h)[-1], rel=1e-3) and "gain_max" in words
    oo.minimize(lambda y: 0.5 * (y - center) @ h @ (y - center), x, jac=lambda y: h @ (y - center), gtol=0.0,
                method="adaptivegains", maxiter=500, callback=lambda intermediate_result:
                values.append(intermediate_result.fun))
    assert (np.diff(values) <= 1e-15).all() and values[-1] < 1e-4 * values[0]


@pytest.mark.parametrize("method", [oo.SWA(oo.GradientDescent(1.0)), oo.Clipped(oo.GradientDescent(1.0), norm=1e9),
                                    oo.SWA(oo.SignGD(1.0)), oo.GradientDescent(1.0), oo.ScheduleFreeAdamW()])
def test_auto_of_instances_and_wrappers(method):
    problem = oo.problems.booth()
    r = oo.minimize(problem, method=method, lr="auto", maxiter=50)
    inner = getattr(method, "optimizer", method)
    if not isinstance(method, oo.ScheduleFreeAdamW):
        assert r.lr == oo.minimize(problem, method=type(inner), maxiter=50).lr
    assert r.fun < 0.1 * problem.fun(problem.x0)


def test_auto_where_there_is_no_rule_or_no_curvature():
    with pytest.raises(ValueError, match="GainedDescent has none: give it a number"):
        auto_lr(GainedDescent, lambda v: v, 2, at=(np.ones(2), np.ones(2)))
    for cls in (oo.Adagrad, oo.Adadelta, oo.DoG):
        with pytest.raises(ValueError, match=f"lr that is a step in flow time, and that of {cls.title} is none"):
            auto_lr(cls, lambda v: v, 2, at=(np.ones(2), np.ones(2)))
    for product in (lambda v: 0 * v, lambda v: np.nan * v):
        with pytest.raises(ValueError, match="curvature at x0"):
            auto_lr(oo.SignGD, product, 2, at=(np.ones(2), np.ones(2)))


# What to try ---------------------------------------------------------------------------------------


def test_the_message_says_what_to_try():
    rosen = {"jac": so.rosen_der}
    limit = oo.minimize(so.rosen, [-1.2, 1.0], method="adam", maxiter=5, **rosen)
    assert limit.message.endswith("try a larger maxiter or gtol, or method='spg', which chooses its own steps")
    assert "try a larger maxiter or gtol, or method='armijo'" in oo.minimize(so.rosen, [-1.2, 1.0], maxiter=5,
                                                                             **rosen).message
    with np.errstate(all="ignore"):
        wild = oo.minimize(so.rosen, [-1.2, 1.0], method="gd", lr=1.0, **rosen)
    assert wild.status == 2 and "try lr below 1, or method='spg'" in wild.message
    wrong = oo.minimize(so.rosen, [-1.2, 1.0], jac=lambda x: -so.rosen_der(x))
    assert wrong.status == 3 and "odeopt.Problem(fun, jac, x0=x).check()" in wrong.message
    nowhere = oo.minimize(lambda x: np.nan if x[0] < 0 else float(np.log(x[0])), [-1.0], jac=lambda x: 1 / x)
    assert nowhere.status == 2 and nowhere.message.endswith("try an x0 where both are finite")
    assert "try" not in oo.minimize(so.rosen, [-1.2, 1.0], **rosen).message


# scipy's minimize ----------------------------------------------------------------------------------


def test_scipys_minimize_takes_an_optimizer():
    for optimizer in (oo.Adam(lr=0.05), oo.SWA(oo.Adam(lr=0.05), 2)):
        r = so.minimize(so.rosen, [-1.2, 1.0], jac=so.rosen_der, method=optimizer, options={"maxiter": 9})
        ours = oo.minimize(so.rosen, [-1.2, 1.0], jac=so.rosen_der, method=optimizer, maxiter=9)
        assert r.nit == 9 and np.array_equal(r.x, ours.x)
    with pytest.warns(so.OptimizeWarning, match="maxfun"):
        so.minimize(so.rosen, [-1.2, 1.0], jac=so.rosen_der, method=oo.Adam(), options={"maxiter": 2, "maxfun": 1})
    with pytest.raises(TypeError, match=r"an instance, odeopt.Adam\(...\), or odeopt.*minimize_method\('adam'\)"):
        so.minimize(so.rosen, [-1.2, 1.0], jac=so.rosen_der, method=oo.Adam)
