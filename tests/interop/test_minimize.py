"""The contract of ``scipy.optimize.minimize(method=callable)``, and the line searches."""

import pickle

import numpy as np
import pytest
import scipy.optimize as so

import odeopt as oo
from odeopt.flows import gradient_flow, heavy_ball_flow
from odeopt.interop import auto_lr, minimize_method
from odeopt.schemes import BACKTRACKING, armijo_euler

ROSEN = [-1.2, 1.0]
METHODS = ["gd", "momentum", "nesterov", "adam", "rmsprop", "bb", "armijo", "spg"]


def bowl(x, a=1.0, b=4.0):
    return 0.5 * (a * x[0] ** 2 + b * (x[1] - 1) ** 2)


def bowl_grad(x, a=1.0, b=4.0):
    return np.array([a * x[0], b * (x[1] - 1)])


def scipy_minimize(method, *args, options=None, **more):
    return so.minimize(*args, method=minimize_method(method), options=options, **more)


@pytest.mark.parametrize("method", METHODS)
def test_a_bowl_is_solved_with_consistent_counts(method):
    options = {"lr": 0.01, "maxiter": 20000} if method in ("adam", "rmsprop") else {}
    calls = {"f": 0, "g": 0}

    def fun(x):
        calls["f"] += 1
        return bowl(x)

    def jac(x):
        calls["g"] += 1
        return bowl_grad(x)

    # RMSprop with a constant lr ends in the two-cycle |x| = lr/2 of its page: no gradient below it.
    tol = 0.05 if method == "rmsprop" else 1e-6
    r = scipy_minimize(method, fun, [3.0, -2.0], jac=jac, tol=tol, options=options)
    assert r.success and r.status == 0 and "gtol" in r.message
    assert np.abs(r.x - [0, 1]).max() <= tol
    assert r.fun == bowl(r.x) and np.array_equal(r.jac, bowl_grad(r.x))
    assert (r.nfev, r.njev) == (calls["f"], calls["g"])
    assert 0 < r.nit < r.nfev and r.t > 0


@pytest.mark.parametrize("jac", [None, "2-point", "3-point", "cs", False])
def test_without_a_gradient_it_is_differenced_and_counted(jac):
    calls = []

    def fun(x):
        calls.append(x.copy())
        return bowl(x)

    r = oo.minimize(fun, [3.0, -2.0], jac=jac, method="spg", tol=1e-6)
    assert r.success and np.abs(r.x - [0, 1]).max() < 1e-5
    assert r.nfev == len(calls) > r.njev


def test_jac_true_evaluates_the_pair_once_a_point():
    calls = []

    def pair(x):
        calls.append(1)
        return bowl(x), bowl_grad(x)

    r = oo.minimize(pair, [3.0, -2.0], jac=True, method="gd", lr=0.2)
    assert r.success and r.nfev == len(calls) == r.nit + 1
    s = scipy_minimize("gd", pair, [3.0, -2.0], jac=True, options={"lr": 0.2})
    assert np.array_equal(r.x, s.x) and s.nit == r.nit


def test_args_reach_every_callable():
    r = oo.minimize(bowl, [3.0, -2.0], args=(2.0, 3.0), jac=bowl_grad, method="gd",
                    hess=lambda x, a, b: np.diag([a, b]))
    assert r.success and "L = 3.3" in r.message and r.nhev == 1
    assert so.minimize(bowl, [3.0, -2.0], args=(2.0, 3.0), jac=bowl_grad, method=minimize_method("spg")).success


def test_both_callback_forms_and_stop_iteration():
    seen, results = [], []
    oo.minimize(bowl, [3.0, -2.0], jac=bowl_grad, method="gd", lr=0.2, maxiter=5, callback=seen.append)
    assert len(seen) == 5 and np.allclose(seen[0], [3 * 0.8, -2 + 0.2 * 12])

    def keep(intermediate_result):
        results.append(intermediate_result)
        if len(results) == 3:
            raise StopIteration

    r = scipy_minimize("gd", bowl, [3.0, -2.0], jac=bowl_grad, options={"lr": 0.2}, callback=keep)
    assert (r.status, r.success, r.nit) == (99, False, 3)
    assert np.array_equal(r.x, results[-1].x) and r.fun == results[-1].fun
    seen[0][:] = np.nan  # the callback's arrays are its own


def test_callbacks_see_copies_and_x0_stays():
    x0 = np.array([3.0, -2.0])

    def vandal(x):
        x[:] = 1e9

    def vandal_of_results(intermediate_result):
        intermediate_result.x[:] = 1e9
        intermediate_result.fun = -1.0

    def fun(x):
        value = bowl(x)
        x[:] = 7.0
        return value

    for callback in (vandal, vandal_of_results):
        r = oo.minimize(fun, x0, jac=bowl_grad, method="gd", lr=0.2, callback=callback)
        assert r.success and np.array_equal(x0, [3.0, -2.0])


def test_limits_and_tolerances_say_what_stopped_the_run(capsys):
    r = oo.minimize(so.rosen, ROSEN, jac=so.rosen_der, method="gd", lr=1e-3, maxiter=7, disp=True, return_all=True)
    assert (r.status, r.success, r.nit) == (1, False, 7) and len(r.allvecs) == 8
    assert "maximum number of iterations (7)" in capsys.readouterr().out
    r = oo.minimize(so.rosen, ROSEN, jac=so.rosen_der, method="gd", lr=1e-3, ftol=1e-5)
    assert r.status == 0 and "ftol" in r.message
    r = oo.minimize(so.rosen, ROSEN, jac=so.rosen_der, method="gd", lr=1e-3, xtol=1e-4)
    assert r.status == 0 and "xtol" in r.message
    r = oo.minimize(bowl, [0.0, 1.0], jac=bowl_grad, method="gd", lr=0.1, maxiter=0)
    assert r.status == 0 and r.nit == 0


def test_divergence_is_reported_with_the_last_finite_point():
    with np.errstate(all="ignore"):
        r = oo.minimize(so.rosen, ROSEN, jac=so.rosen_der, method="gd", lr=1.0)
    assert (r.status, r.success) == (2, False) and "diverged at step" in r.message
    assert np.isfinite(r.x).all() and np.isfinite(r.fun)


def test_no_decrease_is_reported():
    r = oo.minimize(bowl, [3.0, -2.0], jac=lambda x: -bowl_grad(x), method="armijo")
    assert (r.status, r.success, r.nit) == (3, False, 0)


@pytest.mark.parametrize("method", ["gd", "rmsprop", "armijo", "spg"])
def test_bounds_by_projection_find_the_constrained_minimum(method):
    # RMSprop ends in the cycle |x - x*| = lr/2 of its page, never with a small gradient: it runs its 4000 steps.
    options = {"lr": 1e-3, "maxiter": 4000 if method == "rmsprop" else 100_000} if method in ("gd", "rmsprop") else {}
    bounds = so.Bounds([-np.inf, -np.inf], [0.5, np.inf])
    exact = np.array([0.5, 0.25])  # on the bound the minimum over x_2 is x_1^2
    seen = []

    def fun(x):
        seen.append(x.copy())
        return so.rosen(x)

    r = scipy_minimize(method, fun, ROSEN, jac=so.rosen_der, bounds=bounds, options=options)
    assert r.status == 1 if method == "rmsprop" else r.success and "projected" in r.message
    assert np.abs(r.x - exact).max() < (1e-3 if method == "rmsprop" else 1e-6)
    assert max(x[0] for x in seen) <= 0.5
    pairs = scipy_minimize(method, so.rosen, ROSEN, bounds=[(None, 0.5), (None, None)], options=options,
                           jac=so.rosen_der)
    assert np.array_equal(pairs.x, r.x)


def test_differences_stay_inside_the_bounds():
    seen = []

    def fun(x):
        seen.append(x.copy())
        return float(np.sum(np.sqrt(x)))  # not defined below 0

    r = oo.minimize(fun, [1.0, 2.0], method="spg", bounds=[(0.25, 4.0), (1.0, 1.0)])
    assert r.success and np.allclose(r.x, [0.25, 1.0])
    assert all(x[0] >= 0.25 and x[1] == 1.0 for x in seen)


@pytest.mark.parametrize("method", ["adam", "momentum", "nesterov"])
def test_bounds_are_refused_where_projection_is_unsound(method):
    with pytest.raises(ValueError, match="bounds must be None for"):
        scipy_minimize(method, bowl, [0.0, 0.0], jac=bowl_grad, bounds=[(0, 1), (0, 1)])
    for memory in ({"momentum": 0.9}, {"centered": True}):
        for call in ({"method": "rmsprop", "lr": 0.1, **memory}, {"method": oo.RMSprop(0.1, **memory)}):
            with pytest.raises(ValueError, match="bounds must be None for rmsprop"):
                oo.minimize(bowl, [0.0, 0.0], jac=bowl_grad, bounds=[(0, 1), (0, 1)], **call)


@pytest.mark.parametrize("call, words", [
    ({"constraints": {"type": "eq", "fun": bowl}}, "constraints must be empty"),
    ({"bounds": [(0, 1)]}, "bounds must be"),
    ({"bounds": [(1, 0), (0, 1)]}, "min <= max"),
    ({"options": {"lr": -1.0}}, "lr must be in"),
    ({"options": {"maxiter": 1.5}}, "maxiter must be an integer"),
    ({"tol": -1.0}, "tol must be in"),
])
def test_bad_arguments_are_named(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        so.minimize(bowl, [0.0, 0.0], jac=bowl_grad, method=minimize_method("gd"), **call)


def test_more_bad_arguments():
    with pytest.raises(ValueError, match="did you mean 'adam'"):
        minimize_method("adamm")
    with pytest.raises(ValueError, match="did you mean 'lr'"):
        minimize_method("gd", lrr=1.0)
    with pytest.raises(ValueError, match="did you mean 'maxiter'"):
        oo.minimize(bowl, [0.0, 0.0], jac=bowl_grad, method="gd", maxiters=3)
    with pytest.raises(TypeError, match="method must be a name"):
        minimize_method(None)
    with pytest.raises(ValueError, match="x0 must be finite"):
        oo.minimize(bowl, [np.nan, 0.0])
    with pytest.raises(ValueError, match="fun must return"):
        oo.minimize(lambda x: x, [0.0, 1.0], method="spg")
    with pytest.raises(ValueError, match="jac must return shape"):
        oo.minimize(bowl, [0.0, 0.0], jac=lambda x: np.zeros(3), method="spg")
    with pytest.raises(TypeError, match="x0 must be given"):
        oo.minimize(bowl)
    with pytest.raises(ValueError, match="Barzilai–Borwein has none: give it a number"):
        oo.minimize(bowl, [0.0, 0.0], jac=bowl_grad, method="bb", lr="auto")
    with pytest.raises(TypeError, match="jac must return real numbers, got complex"):  # not converged at 0 + 1j
        oo.minimize(bowl, [0.0, 0.0], jac=lambda x: 1j * x, method="spg")
    with pytest.raises(TypeError, match="fun must return complex numbers"):  # |x| has no imaginary part
        oo.minimize(lambda x: float(np.abs(x).sum()), [3.0, 1.0], jac="cs", method="spg")
    with pytest.raises(TypeError, match="callback must be callable, got 5"):
        oo.minimize(bowl, [3.0, 1.0], method="spg", callback=5)


@pytest.mark.filterwarnings("error")
def test_steps_whose_squares_overflow_raise_no_warning():
    r = oo.minimize(lambda x: x.sum() / 1e60, [0.0, 0.0], jac=lambda x: np.full(2, 1e-60), method="gd", lr=1e300,
                    gtol=0.0, maxiter=2)
    assert r.status == 1 and abs(r.x[0]) > 1e200


def test_unknown_options_draw_scipys_warning_and_change_nothing():
    with pytest.warns(so.OptimizeWarning, match=r"Unknown solver options: maxfun, lrr \(did you mean 'lr'\?\)"):
        r = scipy_minimize("gd", bowl, [3.0, -2.0], jac=bowl_grad, options={"maxfun": 1, "lrr": 9.0, "lr": 0.2})
    assert np.array_equal(r.x, scipy_minimize("gd", bowl, [3.0, -2.0], jac=bowl_grad, options={"lr": 0.2}).x)
    with pytest.warns(so.OptimizeWarning, match="maxfun"):
        oo.minimize(bowl, [3.0, -2.0], jac=bowl_grad, method="spg", options={"maxfun": 1})


def test_options_as_scipys_methods_take_them():
    r = scipy_minimize("gd", bowl, [3.0, -2.0], jac=bowl_grad, options={"maxiter": 2e0, "ftol": None, "lr": 0.01})
    assert r.nit == 2 and r.status == 1
    method = minimize_method("gd", lr=0.2, maxiter=3)  # its own options give way to the call's
    assert so.minimize(bowl, [3.0, -2.0], jac=bowl_grad, method=method, options={"maxiter": 2}).nit == 2
    given = oo.minimize(bowl, [3.0, -2.0], jac=bowl_grad, method="gd", lr=0.2, tol=1.0, options={"gtol": 1e-3})
    assert "gtol = 0.001" in given.message
    named = oo.minimize(bowl, [3.0, -2.0], jac=bowl_grad, method="gd", lr=0.2, maxiter=2, options={"maxiter": 5})
    assert named.nit == 2  # a keyword is nearer than the dictionary
    for hess in ("2-point", so.BFGS()):  # SciPy's ways of having no Hessian
        assert oo.minimize(bowl, [3.0, -2.0], jac=bowl_grad, hess=hess, method="gd").nhev == 0


@pytest.mark.parametrize("name", sorted(oo.optimizers.ALL))
def test_every_optimizer_returns_a_complete_result(name):
    cls = oo.optimizers.ALL[name]
    needed = {"tol": 1e-2} if name == "errorcontrolledeuler" else {"lr": 1e-2}
    points = np.unique(oo.record(cls(**needed), oo.Problem(bowl, bowl_grad, dim=2), [3.0, -2.0], steps=5).x, axis=0)
    for method in (cls(**needed), minimize_method(cls(**needed))):
        r = (oo.minimize if isinstance(method, oo.optimizers.Optimizer) else so.minimize)(
            bowl, [3.0, -2.0], jac=bowl_grad, method=method, options={"maxiter": 5})
        assert isinstance(r, so.OptimizeResult)
        assert {"x", "fun", "jac", "nit", "nfev", "njev", "status", "success", "message"} <= set(r)
        assert (r.nit, r.nfev, r.njev, r.status, r.success) == (5, len(points), 6, 1, False)
        assert r.fun == bowl(r.x) < bowl([3.0, -2.0]) and np.array_equal(r.jac, bowl_grad(r.x)) and r.t > 0


def test_a_start_that_is_not_finite_is_a_result_and_a_global_search_goes_on():
    def fun(x):
        return np.log(x[0]) ** 2 + 0.1 * np.cos(9 * x[0]) if x[0] > 0 else np.nan

    for method in ("spg", "gd", "adam"):
        r = scipy_minimize(method, fun, [-1.0])
        assert (r.status, r.success, r.nit, r.nfev) == (2, False, 0, 2) and "not finite at x0" in r.message
        assert np.array_equal(r.x, [-1.0])
    outside = []
    r = so.basinhopping(fun, [3.0], niter=30, stepsize=3.0, rng=1,
                        minimizer_kwargs={"method": minimize_method("spg")},
                        callback=lambda x, f, accept: outside.append(x[0] <= 0))
    assert any(outside) and r.lowest_optimization_result.success
    grid = np.linspace(0.05, 6, 60_000)
    assert abs(r.fun - min(fun([v]) for v in grid)) < 1e-6


def test_no_curvature_where_there_is_nothing_to_do():
    quartic = {"jac": lambda x: 4 * x**3, "method": "gd"}
    r = oo.minimize(lambda x: float((x**4).sum()), [0.0, 0.0], hess=lambda x: np.diag(12 * x**2), **quartic)
    assert r.success and (r.nit, r.nfev, r.nhev) == (0, 1, 0)
    with pytest.raises(ValueError, match="curvature at x0"):
        oo.minimize(lambda x: float(x.sum()), [0.0, 0.0], jac=np.ones_like, method="gd")


def test_a_class_and_a_wrapper_as_method():
    by_class, by_name = (oo.minimize(bowl, [3.0, -2.0], jac=bowl_grad, method=m, lr=0.05, maxiter=9)
                         for m in (oo.Adam, "adam"))
    assert np.array_equal(by_class.x, by_name.x)
    swa = oo.minimize(bowl, [3.0, -2.0], jac=bowl_grad, method=oo.SWA(oo.Adam(), 2), lr=0.05, maxiter=9)
    assert np.array_equal(swa.x, by_name.x)


class Keeper:
    def __init__(self):
        self.seen = []

    def __call__(self, intermediate_result):
        self.seen.append(intermediate_result)

    def by_position(self, xk):
        self.seen.append(xk)


def test_callbacks_of_every_kind_are_called_as_scipys_methods_call_them():
    import functools

    for door in (oo.minimize, lambda *a, method, **k: so.minimize(*a, method=minimize_method(method), **k)):
        ours, bound, theirs = Keeper(), Keeper(), Keeper()
        for callback in (ours, bound.by_position, functools.partial(lambda k, xk: None, 1), [].append):
            r = door(bowl, [3.0, -2.0], jac=bowl_grad, method="spg", callback=callback)
        so.minimize(bowl, [3.0, -2.0], jac=bowl_grad, method="BFGS", callback=theirs)
        assert len(ours.seen) == len(bound.seen) == r.nit
        assert isinstance(ours.seen[0], so.OptimizeResult) and set(theirs.seen[0]) <= set(ours.seen[0])
        assert np.array_equal(ours.seen[-1].x, r.x) and ours.seen[-1].fun == r.fun
        assert all(np.array_equal(a.x, b) for a, b in zip(ours.seen, bound.seen))


def test_a_callback_that_stops_at_convergence_and_one_that_fails():
    def stop(xk):
        raise StopIteration

    r = oo.minimize(bowl, [3.0, -2.0], jac=bowl_grad, method="gd", lr=0.2, ftol=1e9, callback=stop, return_all=True)
    assert (r.status, r.success, r.nit, len(r.allvecs)) == (99, False, 1, 2) and "StopIteration" in r.message
    with pytest.raises(ZeroDivisionError):
        oo.minimize(bowl, [3.0, -2.0], jac=bowl_grad, method="gd", lr=0.2, callback=lambda xk: 1 / 0)


@pytest.mark.parametrize("jac, error", [("2-point", 1e-6), ("3-point", 1e-9), ("cs", 1e-14)])
@pytest.mark.parametrize("bounds", [None, [(3.0, 4.0), (-9, -2.0)], [(3.0 - 1e-7, 3.0 + 1e-9), (-2.0, -2.0)]])
def test_differences_beside_and_within_bounds_keep_their_order(jac, error, bounds):
    seen = []

    def fun(x):
        seen.append(x)
        return np.exp(x[0]) * np.sin(x[1])

    r = oo.minimize(fun, [3.0, -2.0], jac=jac, bounds=bounds, method="spg", maxiter=0)
    assert r.nfev == len(seen)
    exact = np.exp(3.0) * np.array([np.sin(-2.0), np.cos(-2.0)])
    narrow = bounds is not None and bounds[1][0] == bounds[1][1]
    assert abs(r.jac[0] - exact[0]) < (error if jac == "cs" or not narrow else 1e-5) * np.exp(3.0)
    assert abs(r.jac[1] - exact[1]) < error * np.exp(3.0) or (narrow and r.jac[1] == 0.0)
    if bounds is not None:
        inside = np.array(bounds)
        assert all((x.real >= inside[:, 0]).all() and (x.real <= inside[:, 1]).all() for x in seen)


@pytest.mark.parametrize("name", ["gradientdescent", "normalizedgd", "signgd", "errorcontrolledeuler", "adagrad",
                                  "rmsprop"])
def test_projected_steps_rest_at_constrained_minima_and_nowhere_else(name):
    """What makes projection sound: P(x - D g) = x exactly where g pushes against the active bounds."""
    optimizer = oo.optimizers.ALL[name](**({"tol": 0.3} if name == "errorcontrolledeuler" else {"lr": 0.3}))
    rng = np.random.default_rng(0)
    moved = 0
    for _ in range(200):
        x = rng.choice([0.0, 0.5, 1.0], 3)
        g = rng.choice([-1.0, 0.0, 0.5], 3)
        s = rng.uniform(0.1, 2.0, (len(optimizer.slots), 3))
        new = x.copy()
        optimizer.kernel(0, optimizer.p, new, g, s)
        rests = np.array_equal(np.clip(new, 0, 1), x)
        assert rests == ((g == 0) | ((x == 0) & (g > 0)) | ((x == 1) & (g < 0))).all()
        moved += not rests
    assert 20 < moved < 200


@pytest.mark.parametrize("name", ["signgd", "normalizedgd", "errorcontrolledeuler"])
def test_steps_of_fixed_length_end_beside_the_constrained_minimum(name):
    step = {"tol": 1e-3} if name == "errorcontrolledeuler" else {"lr": 1e-3}
    method = minimize_method(oo.optimizers.ALL[name](**step))
    r = so.minimize(bowl, [3.0, -2.0], jac=bowl_grad, method=method, bounds=[(0.5, 4.0), (None, None)],
                    options={"maxiter": 6000})
    assert np.abs(r.x - [0.5, 1.0]).max() < 1.5e-3 and r.x[0] >= 0.5


def test_infinite_bounds_are_none():
    free, boxed, pairs = (scipy_minimize("adam", bowl, [3.0, -2.0], jac=bowl_grad, bounds=b, options={"maxiter": 9})
                          for b in (None, so.Bounds(), [(None, None), (-np.inf, None)]))
    assert np.array_equal(free.x, boxed.x) and np.array_equal(free.x, pairs.x)


def test_numbers_and_integers_as_start():
    r = oo.minimize(lambda x: (x[0] - 2) ** 2, 5, method="spg")
    assert r.success and r.x.shape == (1,) and abs(r.x[0] - 2) < 1e-5
    assert oo.minimize(bowl, np.array([3, -2]), jac=bowl_grad, method="spg").success


def test_an_instance_and_a_pickled_method():
    method = pickle.loads(pickle.dumps(minimize_method(oo.Adam(lr=0.05), maxiter=3)))
    r = so.minimize(bowl, [3.0, -2.0], jac=bowl_grad, method=method)
    assert r.nit == 3 and r.lr == 0.05
    run = oo.record(oo.Adam(lr=0.05), oo.Problem(bowl, bowl_grad, x0=[3.0, -2.0]), steps=3)
    assert np.array_equal(run.x[-1], r.x) and run.t[-1] == pytest.approx(r.t, rel=1e-15)


def test_as_the_local_minimiser_of_basinhopping():
    def fun(x):
        return np.cos(14.5 * x[0] - 0.3) + (x[0] + 0.2) * x[0], np.array(
            [-14.5 * np.sin(14.5 * x[0] - 0.3) + 2 * x[0] + 0.2])

    r = so.basinhopping(fun, [1.0], niter=60, rng=3,
                        minimizer_kwargs={"method": minimize_method("spg"), "jac": True, "tol": 1e-8})
    # scipy's documentation of basinhopping: minimum f = -1.0009 at x = -0.1951
    assert abs(r.fun + 1.0009) < 1e-4 and abs(r.x[0] + 0.1951) < 1e-4
    assert r.lowest_optimization_result.success


# Step sizes ----------------------------------------------------------------------------------------


def test_auto_lr_is_the_bound_of_the_spectrum():
    a = np.diag([1.0, 3.0, 10.0])
    lr, words = auto_lr(oo.GradientDescent, lambda v: a @ v, 3)
    assert lr == pytest.approx(2 / (11 + 1), rel=1e-3) and "2/(L + mu)" in words
    assert auto_lr(oo.Momentum, lambda v: a @ v, 3, momentum=0.5)[0] == pytest.approx(1.5 / 11, rel=1e-3)
    for momentum, factor in ((0.5, 1.5 / 2), (0.9, 1.9 / 2.8), (None, 2 / 3)):  # half of the limit on L = 11
        lr, words = auto_lr(oo.Nesterov, lambda v: a @ v, 3, momentum=momentum)
        assert lr == pytest.approx(factor / 11, rel=1e-3) and "half of the stability limit" in words
    saddle = np.diag([-1.0, 10.0])
    lr, words = auto_lr(oo.GradientDescent, lambda v: saddle @ v, 2)
    assert lr == pytest.approx(1 / 11, rel=1e-3) and "limit 2, over L" in words and "mu = -1" in words
    for form in ("heavy_ball", "torch", "ema"):  # stable on the largest curvature, with room to spare
        lr, _ = auto_lr(oo.Momentum, lambda v: a @ v, 3, momentum=0.9, form=form)
        for factor, stable in ((1.0, True), (2.5, False)):
            run = oo.record(oo.Momentum(lr=factor * lr, momentum=0.9, form=form),
                            oo.problems.quadratic(eigenvalues=[10.0]), [1.0], 2000, 2000)
            assert (run.ok and abs(run.x[-1, 0]) < 1e-3) == stable
    with pytest.raises(ValueError, match="curvature at x0"):
        auto_lr(oo.GradientDescent, lambda v: 0 * v, 2)


@pytest.mark.parametrize("spectrum", [
    2 - 2 * np.cos(np.pi * np.arange(1, 1001) / 1001),  # a one-dimensional Laplacian
    np.append(np.linspace(0, 1, 1_000_000), 1.2),  # one eigenvalue a little apart among a million
    1 - np.linspace(0, 1, 100_000) ** 0.25,  # few near the top
    np.exp(-np.linspace(0, 20, 100_000)), np.append(np.linspace(-3, 1, 5000), -4.0), np.array([7.0]), np.full(40, 3.0),
], ids=["laplacian", "isolated", "thin top", "decay", "concave", "one", "equal"])
def test_auto_lr_is_stable_and_not_timid_on_spectra_of_many_shapes(spectrum):
    top, bottom = np.abs(spectrum).max(), spectrum.min()
    count = []

    def product(v):
        count.append(1)
        return spectrum * v

    lr, words = auto_lr(oo.GradientDescent, product, spectrum.size)
    assert len(count) <= min(30, spectrum.size)
    best = 2 / (top + bottom) if bottom > 0 else 1 / top if bottom < -1e-3 * top else 2 / top
    assert lr * top < 2 and 0.75 * best < lr < 1.02 * best, words


def test_auto_lr_where_products_are_not_finite_or_zero():
    for product in (lambda v: np.nan * v, lambda v: np.inf * v, lambda v: 0 * v):
        with pytest.raises(ValueError, match="curvature at x0"):
            auto_lr(oo.Momentum, product, 3)


def test_auto_lr_of_curvatures_of_any_size():
    for size in (1e200, 1e-200):
        lr, _ = auto_lr(oo.GradientDescent, lambda v, size=size: size * np.array([1.0, 3.0]) * v, 2)
        assert lr == pytest.approx(2 / (3.3 + 1) / size, rel=1e-3)


@pytest.mark.parametrize("jac", [True, False])
@pytest.mark.parametrize("bounds", [[(0, 1), (0, 1)], [(0, None), (1, 1)], [(0, 1e-9), (0, 1)]])
def test_auto_lr_looks_at_curvature_inside_the_bounds(jac, bounds):
    """Where the function ends at a bound, its Hessian is to be had on the one side alone."""
    low, high = np.array([(a, np.inf if b is None else b) for a, b in bounds], dtype=float).T

    def fun(x):
        assert (low <= x).all() and (x <= high).all()
        return float((x * x + x**1.5).sum())

    def grad(x):
        assert (low <= x).all() and (x <= high).all()
        return 2 * x + 1.5 * np.sqrt(x)

    for x0 in ([0.0, 0.0], [1.0, 1.0], [0.0, 1.0]):
        r = oo.minimize(fun, x0, jac=grad if jac else None, method="gd", bounds=bounds, maxiter=3)
        assert r.status in (0, 1) and (r.lr is None or 0 < r.lr < 1)


def test_auto_lr_from_differences_matches_the_hessian_and_costs_gradients():
    exact = oo.minimize(so.rosen, ROSEN, jac=so.rosen_der, hessp=so.rosen_hess_prod, method="gd", maxiter=1)
    differenced = oo.minimize(so.rosen, ROSEN, jac=so.rosen_der, method="gd", maxiter=1)
    assert differenced.lr == pytest.approx(exact.lr, rel=1e-4)
    assert exact.njev == 2 and exact.nhev == 2 and differenced.njev == 5  # as many products as unknowns
    top = np.linalg.eigvalsh(so.rosen_hess(np.array(ROSEN)))
    assert exact.lr == pytest.approx(2 / (1.1 * top[-1] + top[0]), rel=1e-3)


def test_armijo_scheme_and_armijo_minimize_take_the_same_steps():
    problem = oo.problems.beale()
    run = oo.record(oo.Discretization(gradient_flow(), armijo_euler, h=1.0, rtol=0.5), problem, steps=400,
                    controller=BACKTRACKING)
    r = oo.minimize(problem, method="armijo", lr=1.0, maxiter=len(run) - 3, gtol=0.0, return_all=True)
    accepted = np.array(r.allvecs)
    assert len(accepted) > 150 and run.step_log["accepted"].sum() >= len(accepted) - 1
    assert np.allclose(run.x[: len(accepted)], accepted, rtol=1e-9, atol=1e-12)
    assert (np.diff(run.f) <= 1e-15).all()
    h = run.step_log["h"]
    assert set(np.round(np.log2(h), 12) % 1) == {0.0}  # only doubled and halved
    with pytest.raises(ValueError, match="plain gradient flow"):
        oo.record(oo.Discretization(heavy_ball_flow(1.0), armijo_euler, h=1.0, rtol=0.5), problem)


def test_barzilai_borwein_steps_are_inverse_rayleigh_quotients():
    eigenvalues = np.array([1.0, 5.0, 30.0])
    problem = oo.problems.quadratic(eigenvalues=list(eigenvalues))
    run = oo.record(oo.BarzilaiBorwein(lr=0.01), problem, [1.0, -2.0, 0.5], 60)
    dt = np.diff(run.t)
    g = np.array([problem.grad(x) for x in run.x])
    quotient = np.einsum("ki,i,ki->k", g, eigenvalues, g) / np.einsum("ki,ki->k", g, g)
    # s = -gamma g(x_{k-1}), so s.s/s.y is one over the quotient at the point *before*
    assert np.allclose(dt[1:40] * quotient[:39], 1.0, rtol=1e-6)
    assert run.f[-1] < 1e-20 * run.f[0] and (np.diff(run.f) > 0).any()
    with np.errstate(all="ignore"):
        concave = oo.Problem(lambda x: -x[0] ** 2, lambda x: -2 * x, x0=[1.0])
        steps = np.diff(oo.record(oo.BarzilaiBorwein(lr=0.25), concave, steps=4).t)
    assert np.allclose(steps, 0.25)  # no positive curvature: the first step is kept


def test_spg_needs_far_fewer_gradients_than_armijo():
    spg, armijo = (oo.minimize(so.rosen, ROSEN, jac=so.rosen_der, method=m) for m in ("spg", "armijo"))
    assert spg.success and armijo.success and 10 * spg.njev < armijo.njev
