"""Properties that every optimizer must have, crossed with every row of rows.py."""

import dataclasses
import pathlib
import warnings
from dataclasses import fields

import numba
import numpy as np
import pytest
from rows import ROWS

import odeopt as oo
from odeopt import checks, kernels
from odeopt.optimizers import ALL, WRAPPERS
from odeopt.optimizers.base import SCALING_LAWS

PROBLEMS = {"sine-bowl": oo.problems.sine_bowl(), "valley": oo.problems.log_cosh_valley(condition=5.0)}
ids = [row.name for row in ROWS]
every_row = pytest.mark.parametrize("row", ROWS, ids=ids)
FLOWS = [row for row in ROWS if row.has_flow]
with_flow = pytest.mark.parametrize("row", FLOWS, ids=[row.name for row in FLOWS])


def test_every_page_has_a_row():
    helpers = {"__init__", "base", "inside", "state", "state_file", "wrapper", "arrays"}
    pages = {p.stem for p in pathlib.Path(oo.optimizers.__path__[0]).glob("*.py")} - helpers
    rows = {row.method.lower() for row in ROWS}
    assert pages == {*ALL, *WRAPPERS}, f"one class per file, named as the file: {pages ^ {*ALL, *WRAPPERS}}"
    assert pages == rows, f"one row or more of tests/rows.py for each page: {pages ^ rows}"
    assert len(set(ids)) == len(ids)


@every_row
def test_the_page_declares_what_theory_says(row):
    opt = row.make()
    assert (opt.flow is not None) == row.has_flow
    assert (opt.declared_order("cold"), opt.declared_order("consistent")) == (row.cold, row.consistent)
    if not row.has_flow:
        assert opt.scheme is None


IDENTITIES = [row for row in ROWS if row.identity]


@every_row
def test_a_scheme_is_claimed_where_the_identity_is_tested_and_nowhere_else(row):
    assert (row.make().scheme is not None) == row.identity


@pytest.mark.parametrize("start", ["cold", "consistent"])
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("row", IDENTITIES, ids=[row.name for row in IDENTITIES])
def test_the_update_is_the_scheme_on_the_flow(row, problem, start):
    opt, problem = row.make(), PROBLEMS[problem]
    run = oo.record(opt, problem, steps=row.steps, start=start)
    assert run.ok and np.linalg.norm(run.x[-1] - run.x[0]) > 0.1, run.message
    g = problem.grad(problem.x0)
    z = opt.flow_start(problem.x0, g, start)
    if row.name == "heavy ball, Verlet" and start == "cold":
        z[1] = -0.5 * opt.h * g  # the half-step velocity before the start is 0, not the velocity
    h = np.diff(run.t) if opt.reduces else opt.h  # reductions: the step in flow time varies
    generic = oo.record(oo.Discretization(opt.flow, opt.scheme, h, t0=opt.t0), problem, z, steps=row.steps)
    assert len(generic) == len(run)
    np.testing.assert_allclose(run.x, generic.x, rtol=0, atol=1e-12 * np.abs(run.x).max())


def test_the_identity_test_can_fail():
    opt, problem = oo.Adam(0.01), PROBLEMS["sine-bowl"]
    run = oo.record(opt, problem, steps=200)
    other = oo.record(oo.Discretization(opt.flow, oo.schemes.explicit_euler, opt.h), problem, steps=200)
    assert np.abs(run.x - other.x).max() > 1e-4


def test_dampening_differs_from_the_scheme_in_the_first_buffer_only():
    row = next(r for r in ROWS if r.name == "torch momentum, dampening")
    opt, problem = row.make(), PROBLEMS["sine-bowl"]
    run = oo.record(opt, problem, steps=200, memory=True)
    assert opt.scheme is None and dataclasses.replace(opt, dampening=0.0).scheme is oo.schemes.semi_implicit_euler
    later = oo.record(oo.Discretization(opt.flow, oo.schemes.semi_implicit_euler, opt.h), problem,
                      opt.to_flow(run.x[1], run.memory[1]), steps=199)
    np.testing.assert_allclose(run.x[1:], later.x, rtol=0, atol=1e-12)


@with_flow
def test_refined_keeps_the_flow_and_divides_the_step(row):
    opt = row.make()
    fine = opt.refined(3.0)
    before, after = opt.flow.constants, fine.flow.constants
    assert before.keys() == after.keys()
    for name, value in before.items():  # 1 - beta loses digits when beta is close to 1
        assert after[name] == pytest.approx(value, rel=1e-11, abs=1e-300), name
    assert fine.h == pytest.approx(opt.h / 3, rel=1e-12)
    assert set(opt.scaling().values()) <= set(SCALING_LAWS)
    assert type(fine.refined(1 / 3.0)) is type(opt)


LIMITS = [row for row in ROWS if row.limit is not None]


@pytest.mark.parametrize("row", LIMITS, ids=[row.name for row in LIMITS])
def test_stability_limit(row):
    """2 % below the limit a tiny x decays, 2 % above it grows; the preconditioner stands at 1."""
    opt = row.make(**row.frozen)
    lr = opt.lr
    growth = {}
    for factor in (0.98, 1.02):
        curvature = factor * row.limit / lr
        x = np.array([1e-9])
        s = opt.cold_start(x)
        for i, slot in enumerate(opt.slots):
            if slot.name in ("square", "maximum", "square sum", "square step", "square weight", "mean weight",
                             "weight"):
                s[i] = 1.0
            s[i] = row.late.get(slot.name, s[i])
        p = opt.p
        size = []
        for k in range(3000):
            opt.kernel(k, p, x, curvature * x, s)
            if abs(x[0]) > 1e-5:
                break
            size.append(abs(x[0]))
        growth[factor] = max(size[-3:]) / max(size[:3]) if k == 2999 else np.inf
    assert growth[0.98] < 1e-2
    assert growth[1.02] > 1.0


@every_row
def test_kernels_compile_for_both_precisions_and_only_once(row):
    opt = row.make()
    rng = np.random.default_rng(0)
    x64, g64 = rng.standard_normal(7), rng.standard_normal(7)
    moved = {}
    for dtype in (np.float64, np.float32):
        x, g = x64.astype(dtype), g64.astype(dtype)
        state = opt.init(x)
        for _ in range(3):
            opt.update(x, g, state)
        signatures = len(opt.kernel.signatures)
        opt.update(x, g, state)
        assert len(opt.kernel.signatures) == signatures
        assert x.dtype == dtype and state.slots[0].dtype == dtype and np.isfinite(x).all()
        moved[dtype] = x
        np.testing.assert_array_equal(g, g64.astype(dtype))
    size = 1 + np.abs(moved[np.float64]).max()
    np.testing.assert_allclose(moved[np.float32], moved[np.float64], rtol=0, atol=2e-5 * size)


def test_every_kernel_can_be_imported():
    for row in ROWS:
        kernel = row.make().kernel
        if not row.make().wrapper:  # whose kernel finds the wrapped one by its address
            assert getattr(kernels, kernel.__name__) is kernel and kernel.__name__ in kernels.__all__
    assert kernels.momentum is oo.Momentum(0.1).kernel
    for name, cls in oo.optimizers.ALL.items():  # also by the names of the command line
        opt = cls(tol=0.1) if name == "errorcontrolledeuler" else cls(lr=0.1)
        assert getattr(kernels, name) is opt.kernel and name in kernels.__all__


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_kernels_in_jitted_code_of_users(dtype):
    adam, rmsprop = kernels.adam, kernels.rmsprop

    @numba.njit
    def train(p_adam, p_rmsprop, x, s_adam, s_rmsprop):
        g = np.empty_like(x)
        for k in range(20):
            g[:] = x
            adam(k, p_adam, x, g, s_adam)
            g[:] = x
            rmsprop(k, p_rmsprop, x, g, s_rmsprop)

    x, y = np.linspace(1, 2, 5).astype(dtype), np.linspace(1, 2, 5).astype(dtype)
    first, second = oo.Adam(0.01), oo.RMSprop(0.02)
    states = first.init(y), second.init(y)
    train(first.p, second.p, x, *(opt.cold_start(x).astype(dtype) for opt in (first, second)))
    for _ in range(20):
        first.update(y, y.copy(), states[0])
        second.update(y, y.copy(), states[1])
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("name", sorted({getattr(kernels, name).__name__ for name in kernels.__all__}))
def test_a_kernel_refuses_arrays_in_which_steps_would_be_lost(name):
    kernel, p, s = getattr(kernels, name), np.ones(12), np.zeros((5, 3))
    for x, g in ((np.ones(3, int), np.ones(3, int)), (np.ones(3, np.float32), np.ones(3))):
        with pytest.raises((numba.TypingError, ValueError), match="all of one kind|mismatch of argument types"):
            kernel(0, p, x, g, s.astype(x.dtype))


def test_a_kernel_on_arrays_that_are_views():
    frozen = np.ones(3)
    frozen.flags.writeable = False
    with pytest.raises(numba.TypingError, match="readonly|Cannot modify"):
        kernels.gradient_descent(0, np.array([0.5, 0.0]), frozen, np.ones(3), np.empty((0, 3)))
    whole = np.ones(6)
    kernels.gradient_descent(0, np.array([0.5, 0.0]), whole[::2], np.ones(3), np.empty((0, 3)))
    np.testing.assert_array_equal(whole, [0.5, 1, 0.5, 1, 0.5, 1])  # a view is no copy: it moves


@every_row
def test_deterministic_and_equal_to_the_training_loop(row):
    opt, problem = row.make(), PROBLEMS["sine-bowl"]
    run, again = (oo.record(opt, problem, steps=30) for _ in range(2))
    np.testing.assert_array_equal(run.x, again.x)
    x = problem.x0.copy()
    state = opt.init(x)
    for k in range(30):
        opt.update(x, problem.grad(x), state)
        np.testing.assert_array_equal(x, run.x[k + 1])
    assert state.k == 30 and state.t == pytest.approx(run.t[-1], rel=1e-12)


@every_row
def test_start_kinds(row):
    opt, problem = row.make(), PROBLEMS["sine-bowl"]
    x, g = problem.x0, problem.grad(problem.x0)
    for kind in ("cold", "consistent"):
        s = opt.start(x, g, kind)
        assert s.shape == (len(opt.slots), x.size) and s.dtype == np.float64 and s.flags.c_contiguous
        if row.has_flow:
            z = opt.flow_start(x, g, kind)
            assert z.shape == (opt.flow.rows, x.size)
            np.testing.assert_array_equal(z[0], x)
            assert np.isfinite(opt.flow.field(problem)(opt.t0, z)).all()
    with pytest.raises(ValueError, match="start must be one of 'cold', 'consistent'"):
        opt.start(x, g, "warm")


@every_row
def test_p_leads_with_the_declared_hyperparameters(row):
    """Schedules drive entry i of p by the name numeric_names()[i]."""
    opt = row.make()
    inner = opt.bare
    for i, name in enumerate(opt.numeric_names()):
        value = getattr(inner, name)
        if value is not None:
            assert opt.p[i] == value, name
        assert isinstance(opt.kernel.py_func.__doc__, str)


@every_row
def test_bad_hyperparameters_are_named(row):
    cls = type(row.make())
    if row.method == "Clipped":
        for name in ("norm", "value"):
            for value in (-1.0, 0.0, float("nan"), float("inf")):
                with pytest.raises(ValueError, match=rf"^{name} must be in \(0, inf\), got {value!r}$"):
                    cls(oo.Adam(), **{name: value})
        for given in ({}, {"norm": 1.0, "value": 1.0}):
            with pytest.raises(ValueError, match="^norm or value must be given, one of them, got"):
                cls(oo.Adam(), **given)
        for wrapped in (3, oo.SWA(oo.Adam()), oo.Adam):
            with pytest.raises(TypeError, match="optimizer must be an Optimizer that wraps no other"):
                cls(wrapped, norm=1.0)
        return
    if row.method == "SWA":
        with pytest.raises(TypeError, match="optimizer must be an Optimizer"):
            cls(3)
        with pytest.raises(ValueError, match="start must be at least 0, got -1"):
            cls(oo.Adam(), -1)
        return
    for f in fields(cls):
        if f.metadata["numeric"]:
            for value in (-1.0, float("nan"), float("inf")):
                with pytest.raises(ValueError, match=rf"^{f.name} must be in .*, got {value!r}$"):
                    row.make(**{f.name: value})
            with pytest.raises(TypeError, match=rf"^{f.name} must be a real number, got 'a'$"):
                row.make(**{f.name: "a"})
        elif getattr(f.metadata["check"], "func", None) is checks.choice:
            with pytest.raises(ValueError, match=rf"^{f.name} must be one of .*, got 'nothing'"):
                row.make(**{f.name: "nothing"})
    with pytest.raises(TypeError):
        row.make(learning_rate=1.0)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: oo.Rprop(step_min=2.0, step_max=1.0), "step_min must not exceed step_max"),
    (lambda: oo.AdaptiveGains(0.1, gain_min=20.0), "gain_min must not exceed gain_max"),
    (lambda: oo.RMSprop(0.1, form="scalar", centered=True), "form must be 'vector'"),
    (lambda: oo.RMSprop(0.1, nesterov=True), "nesterov must be False without momentum"),
    (lambda: oo.Adadelta(eps=0.0), "eps_step must be given"),
    (lambda: oo.Nesterov(0.1, momentum=None, weight_decay=0.1), "weight_decay must be 0 with momentum=None"),
    (lambda: oo.Momentum(0.1, dampening=0.1), "dampening must be 0 unless form='torch'"),
    (lambda: oo.Momentum(0.1, 0.0, 0.1, form="torch"), "dampening must be 0 without momentum"),
    (lambda: oo.Momentum(0.1, reading="stormer_verlet", form="ema"), "reading must be 'symplectic_euler'"),
    (lambda: oo.Amos(0.1, axis=(0, 2)), "axis must be None, an axis or a tuple of adjacent axes"),
    (lambda: oo.optimizers.Muon(shape=(0, 2)), "shape must be at least 1"),
    (lambda: oo.optimizers.Muon(steps=None, precision="bfloat16"), "precision must be 'full' with steps=None"),
    (lambda: oo.optimizers.Muon(shape=(3, 2)).init(np.ones(5)), "shape must fit the vector of 5 entries, got .3, 2."),
    (lambda: oo.record(oo.optimizers.Muon(shape=(3, 2)), PROBLEMS["valley"], steps=1), "shape must fit the vector"),
    (lambda: oo.Amos(0.1).refined(2.0), "refined needs a method with a flow"),
    (lambda: oo.Rprop().refined(2.0), "refined needs a method with a flow"),
    (lambda: oo.Adam(beta1=0.5).refined(0.1), "beta1 must be in"),
])
def test_contradictory_hyperparameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@every_row
def test_a_gradient_that_is_not_finite_shows(row):
    """No clamp or comparison may swallow a NaN: x is not finite afterwards, or the run says so."""
    opt = row.make()
    x, g = np.ones(3), np.array([1.0, np.nan, 1.0])
    state = opt.init(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3):
            opt.update(x, g, state)
    assert not np.isfinite(x[1])


@every_row
def test_at_a_stationary_point_nothing_is_created(row):
    """g = 0 from a fresh state: x does not move, but for weight decay, and nothing becomes NaN."""
    opt = row.make()
    x = np.full(3, 2.0)
    state = opt.init(x)
    for _ in range(3):
        opt.update(x, np.zeros(3), state)
    decays = getattr(opt, "weight_decay", 0.0) > 0
    assert np.isfinite(x).all() and np.isfinite(state.slots[0]).all()
    assert (x < 2.0).all() if decays else (x == 2.0).all()
