"""DOP853 with compiled steps, against SciPy's own; what the large systems behind it take."""

import pickle

import numpy as np
import pytest
from scipy import integrate

import odeopt as oo
from odeopt import threads
from odeopt.reference.compiled import CompiledDOP853

LARGE = oo.problems.quadratic(np.geomspace(1.0, 100.0, 300), x0=np.linspace(0.5, 2.0, 300))
TOLERANCES = {"rtol": 1e-9, "atol": 1e-11}


@pytest.fixture(scope="module")
def both():
    """``(scipy's solver, ours, their dense outputs)`` of a damped oscillation's flow, at its end."""
    flow = oo.Momentum(0.01).flow
    field, z0 = flow.field(LARGE), flow.start(LARGE.x0)

    def fun(t, y):
        return field(t, y.reshape(z0.shape)).ravel()

    spent = []
    ours = CompiledDOP853(fun, 0.0, z0.ravel(), 3.0, field=field, spend=spent.append, watch=None,
                          times=np.array([1.0]), **TOLERANCES)
    theirs = integrate.DOP853(fun, 0.0, z0.ravel(), 3.0, **TOLERANCES)
    found = []
    for solver in theirs, ours:
        pieces, times = [], [0.0]
        while solver.status == "running":
            solver.step()
            pieces.append(solver.dense_output())
            times.append(solver.t)
        found.append((np.array(times), pieces))
    return theirs, ours, found, spent


def test_its_steps_are_scipys(both):
    theirs, ours, ((expected, _), (times, _)), spent = both
    assert times.size == expected.size > 20 and np.allclose(times, expected, rtol=1e-6)
    assert np.allclose(ours.y, theirs.y, rtol=0, atol=1e-12 * abs(theirs.y).max())
    polynomials = 3 * (times.size - 1)
    assert theirs.nfev == ours.nfev + polynomials - 3 and sum(spent) == ours.nfev - 2  # before the first step


@pytest.mark.parametrize("options", [{"first_step": 0.6}, {"max_step": 0.04}, {"first_step": 1e-9}, {"rtol": 1e-3},
                                     {"direction": -1}], ids=str)
def test_steps_that_are_rejected_cut_or_let_grow_are_scipys(options):
    """They grow tenfold at most, fall to a fifth at least, and do not grow after a rejection."""
    flow = oo.Momentum(0.01).flow
    sign = options.get("direction", 1)
    field, z0 = flow.field(LARGE), flow.start(np.append(np.zeros(299), 1e-6))
    options = TOLERANCES | {name: value for name, value in options.items() if name != "direction"}
    spent, watched, found = [], [], []

    def fun(t, y):
        return field(t, y.reshape(z0.shape)).ravel()

    ours = CompiledDOP853(fun, 0.5, z0.ravel(), 0.5 + 0.6 * sign, field=field, spend=spent.append, watch=watched.append,
                          **options)
    theirs = integrate.DOP853(fun, 0.5, z0.ravel(), 0.5 + 0.6 * sign, **options)
    for solver in theirs, ours:
        times = [solver.t]
        while solver.status == "running":
            solver.step()
            times.append(solver.t)
        found.append(times)
        assert solver.status == "finished"
    np.testing.assert_allclose(found[1], found[0], rtol=1e-7)
    assert ours.nfev == theirs.nfev and sum(spent) == ours.nfev - (1 if "first_step" in options else 2)
    assert len(watched) == len(spent) and watched[0] == 0.5


def test_polynomials_are_scipys_made_at_once_or_when_asked_for(both):
    _, _, ((_, expected), (times, pieces)), _ = both
    assert [piece.terms is not None for piece in pieces] == [a < 1.0 <= b for a, b in zip(times, times[1:])]
    sent = pickle.loads(pickle.dumps(pieces[-1]))
    for theirs, ours in zip(expected, pieces):
        t = theirs.t_old + np.array([0.0, 0.3, 0.9]) * (theirs.t - theirs.t_old)
        assert ours(t).shape == theirs(t).shape and ours(t[1]).shape == theirs(t[1]).shape
        assert np.allclose(ours(t), theirs(t), rtol=0, atol=1e-7)
        assert np.allclose(ours(t)[:, 1], ours(t[1]), rtol=0, atol=1e-15)
    assert np.array_equal(sent(pieces[-1].t), pieces[-1](pieces[-1].t))


def test_what_compare_reads_costs_what_it_needs():
    """The same solution as of a reference that may be read anywhere, in fewer evaluations."""
    flow = oo.GradientDescent(0.005)
    large = oo.problems.quadratic(np.geomspace(1.0, 100.0, 500), x0=np.ones(500))
    found = oo.compare(flow, large, steps=4, local=False, check=False)
    whole = oo.reference(flow, large, None, float(found.run.t[-1]), check=False)
    assert found.reference.nfev < whole.nfev
    t = np.linspace(0.0, found.reference.t_end, 57)
    assert np.allclose(found.reference(t), whole(t), rtol=0, atol=1e-15)


@pytest.mark.parametrize("part", ["all", "test"])
def test_the_whole_hessian_of_the_digits_is_that_of_its_products(part):
    problem = oo.problems.digits_logistic(l2=0.01, part=part)
    x = np.random.default_rng(0).standard_normal(problem.dim) * 0.3
    hessian, columns = problem.hess(x), np.random.default_rng(1).integers(0, problem.dim, 12)
    assert np.array_equal(hessian, hessian.T)
    for j in (*columns, 645):
        assert np.allclose(hessian[:, j], problem.hessp(x, np.eye(problem.dim)[j]), rtol=0, atol=1e-15)


def test_one_thread_of_blas_inside_and_as_many_as_before_outside():
    get, put = threads._blas_threads()
    before = get()
    try:
        put(2)
        most = get()  # 1, where BLAS is not OpenBLAS or has one thread
        with threads.OneBlasThread():
            with threads.OneBlasThread():
                assert get() == 1
            assert get() == 1
        assert get() == most
    finally:
        put(before)
