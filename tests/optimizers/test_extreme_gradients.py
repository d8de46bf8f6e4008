"""Gradients that are zero, tiny, huge or overflow when squared: for every method, in both precisions."""

import dataclasses
import warnings

import numpy as np
import pytest
from rows import ROWS

import odeopt as oo
from odeopt import sums
from odeopt.engine import loops

every_row = pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
both = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
EPS = [row for row in ROWS if "eps" in {f.name for f in dataclasses.fields(row.make().bare)}]
with_eps = pytest.mark.parametrize("row", EPS, ids=[row.name for row in EPS])
TINY = {np.float32: 1e-40, np.float64: 1e-310}
HUGE = {np.float32: 3e38, np.float64: 1.7e308}


def without_eps(row):
    opt = row.make()
    if opt.wrapper:
        return opt.changed(eps=0.0)
    return dataclasses.replace(opt, eps=0.0, **({"eps_step": 1e-6} if row.method == "Adadelta" else {}))


def moves(opt, gradients, dtype, start=1.0):
    """x after each of the ``gradients``, one coordinate."""
    x, path = np.full(1, start, dtype), []
    state = opt.init(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for g in gradients:
            opt.update(x, np.full(1, g, dtype), state)
            path.append(float(x[0]))
    return np.array(path), state


@both
@with_eps
def test_a_zero_gradient_does_not_move_when_eps_is_zero(row, dtype):
    opt = without_eps(row)
    start = 0.0 if getattr(opt, "weight_decay", 0.0) else 1.0  # x = 0 does not decay
    x, state = moves(opt, [0.0, 0.0, 0.0], dtype, start)
    np.testing.assert_array_equal(x, start)
    assert all(np.isfinite(s).all() for s in state.slots)
    moved, _ = moves(opt, [0.0, 0.0, 0.5], dtype, start)  # and the next gradient is followed
    assert np.isfinite(moved).all() and moved[-1] < start


@with_eps
def test_a_zero_gradient_is_a_rest_point_of_the_flow_too(row):
    opt, x = without_eps(row), np.zeros(2)
    problem = oo.problems.quadratic([1.0, 2.0])
    field = opt.flow.field(problem)
    for kind in ("cold", "consistent"):
        slope = field(0.0, opt.flow_start(x, np.zeros(2), kind))
        np.testing.assert_array_equal(slope[0], 0.0)
        assert np.isfinite(slope).all()


@with_eps
def test_an_eps_that_vanishes_in_the_arrays_precision_is_refused(row):
    opt = row.make()
    small = opt.changed(eps=1e-46)
    x = np.ones(2, np.float32)
    with pytest.raises(ValueError, match=r"^eps must be 0 or at least 1.4e-45 for float32 arrays, got 1e-46"):
        small.init(x)
    with pytest.raises(ValueError, match="^eps must be"):
        opt.init([np.ones(3), x], [{"arrays": [1], "eps": 1e-46}])
    small.init(np.ones(2))  # in float64 it is a number
    state = opt.init(x)
    with pytest.raises(ValueError, match="^eps must be"):
        small.update(x, np.ones(2, np.float32), state)
    assert state.k == 0 and (x == 1).all()


def test_an_eps_of_the_step_that_vanishes_is_refused():
    with pytest.raises(ValueError, match="^eps_step must be"):
        oo.Adadelta(eps_step=1e-46).init(np.ones(2, np.float32))


def test_adam_goes_on_after_a_square_that_overflows_as_torch_does():
    x, _ = moves(oo.Adam(0.01), [1.0, 2e19, 1.0], np.float32)
    assert x[-1] == pytest.approx(0.97681, abs=5e-6)  # torch 2.13


@both
@every_row
def test_finite_gradients_make_no_nan(row, dtype):
    """One huge gradient, of either sign, between usual ones: neither x nor memory is NaN, then or later."""
    for huge in (HUGE[dtype], -HUGE[dtype], 2e19 if dtype == np.float32 else 1e155):
        x, state = moves(row.make(), [1.0, huge, 1.0, -huge, -1.0, 1.0, 1.0], dtype)
        assert not np.isnan(x).any(), huge
        assert not any(np.isnan(s).any() for s in state.slots), huge


ADAPTIVE = ("Adam", "AdamW", "AMSGrad", "NAdam", "AdaMax", "Adagrad", "Adadelta", "RMSprop", "Amos", "SWA", "Lion",
            "SignGD", "Rprop", "NormalizedGD", "ErrorControlledEuler")
BOUNDED = [row for row in ROWS if row.method in ADAPTIVE]


@both
@pytest.mark.parametrize("row", BOUNDED, ids=[row.name for row in BOUNDED])
def test_what_divides_by_the_gradient_keeps_x_finite(row, dtype):
    for size in (HUGE[dtype], TINY[dtype]):
        x, _ = moves(row.make(), [1.0, size, 1.0, 1.0], dtype)
        assert np.isfinite(x).all(), size
        x, _ = moves(row.make(), [size, size, 1.0], dtype)
        assert np.isfinite(x).all(), size


@both
@with_eps
def test_tiny_gradients_without_eps_keep_x_finite(row, dtype):
    x, _ = moves(without_eps(row), [TINY[dtype], TINY[dtype], 1.0, TINY[dtype]], dtype)
    assert np.isfinite(x).all()


@pytest.mark.parametrize("dtype, sizes", [(np.float32, [1e-44, 1e-30, 1e-23, 1.0, 2e19, 3e38]),
                                          (np.float64, [5e-324, 1e-310, 1e-163, 1.0, 1e155, 1.7e308])])
def test_error_control_and_normalised_descent_see_gradients_of_any_size(dtype, sizes):
    for size in sizes:
        for opt in (oo.NormalizedGD(0.5), oo.ErrorControlledEuler(0.5)):
            x = np.ones(4, dtype)
            state = opt.init(x)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                opt.update(x, np.full(4, size, dtype), state)
            np.testing.assert_allclose(x, 0.75, rtol=2e-7, err_msg=str(size))
        length = 2.0 * float(dtype(size))
        with np.errstate(over="ignore", divide="ignore"):
            assert state.t == pytest.approx(0.5 / np.float64(length), rel=1e-12)  # the flow time, inf where it is that


def test_the_norm_neither_overflows_nor_vanishes():
    assert sums.sum_of_squares(np.full(4, 1e-23, np.float32)) == pytest.approx(4e-46, rel=1e-6)
    assert sums.sum_of_squares(np.full(5, 2e19, np.float32)) == pytest.approx(2e39, rel=1e-6)
    for n in (1, 2, 4, 7, 8, 101):
        for size in (1e-300, 1e-163, 1e-20, 1.0, 1e155, 1e300):
            g = size * np.linspace(-1.0, 2.0, n)
            exact = size * np.linalg.norm(np.linspace(-1.0, 2.0, n))
            assert loops.norm_of(g) == pytest.approx(exact, rel=1e-14)
    assert loops.norm_of(np.zeros(5)) == 0.0 and loops.norm_of(np.full(9, 5e-324)) == 1.5e-323
    assert np.isnan(loops.norm_of(np.array([1.0, np.nan, 2.0])))
    assert loops.norm_of(np.array([1.0, -np.inf, 2.0])) == np.inf
    assert loops.norm_of(np.full(4, 1.7e308)) == np.inf  # the norm itself is no number


def test_scalar_rmsprop_says_what_it_divides_by():
    """Its v is kept in the arrays' precision: what the page says of float32."""
    opt = oo.RMSprop(0.01, form="scalar")
    assert moves(opt, [1e-15], np.float32)[0][0] == pytest.approx(1.0)
    free = dataclasses.replace(opt, eps=0.0)
    x, _ = moves(free, [1e-20], np.float32, 0.0)
    assert x[0] == pytest.approx(-0.01 / np.sqrt(0.1), rel=1e-3)
    x, state = moves(free, [5e19, 1.0, 1.0], np.float32)  # 0.1 |g|^2 = 2.5e38 is a float32
    assert np.isfinite(state.slots[0]).all() and x[0] == pytest.approx(1 - 0.01 / np.sqrt(0.1))
    x, state = moves(free, [1e20, 1.0, 1.0], np.float32)
    assert state.slots[0][0, 0] == np.inf and x[2] == x[1] == x[0]


def test_barzilai_borwein_measures_float32_secants_in_float64():
    opt, x, g = oo.BarzilaiBorwein(1e-3), np.ones(2, np.float32), np.full(2, 1e-22, np.float32)
    state = opt.init(x)
    opt.update(x, g, state)
    x[:] = 0.5
    opt.update(x, g / 2, state)
    assert state.slots[0][2, 0] == pytest.approx(1e22, rel=1e-5)  # 0.5/0.5e-22


def test_barzilai_borwein_sees_differences_beyond_float32():
    """3e38 and -3e38 are float32 numbers, their difference is none."""
    opt, x, g = oo.BarzilaiBorwein(1e-39), np.ones(2, np.float32), np.full(2, 3e38, np.float32)
    state = opt.init(x)
    opt.update(x, g, state)
    x[:] = -1e30
    opt.update(x, -g, state)
    assert state.slots[0][2, 0] == pytest.approx(1e30 / 6e38, rel=1e-6)


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e-15, 1e-10, 1.0, 1e18, 1e25, 3e38])
def test_the_sum_of_float32_squares_is_one_of_float64(size):
    for n in (1, 4, 11):
        g = (size * np.linspace(0.2, 1.0, n)).astype(np.float32)
        exact = np.sum(g.astype(np.float64) ** 2)
        assert sums.sum_of_squares(g) == pytest.approx(exact, rel=3e-7)


def test_the_centered_variance_of_a_huge_gradient_is_a_number():
    """v near the largest float64: twice of it overflows, the variance itself does not."""
    opt = oo.RMSprop(0.01, decay=0.9, eps=0.0, centered=True)
    x, _ = moves(opt, [3.87e154], np.float64, 0.0)  # v = g^2/10 = 1.5e308, less its mean's square, g^2/100
    assert x[0] == pytest.approx(-0.01 / 0.3, rel=1e-12)


def test_the_verlet_reading_needs_momentum():
    with pytest.raises(ValueError, match="^momentum must be > 0 with reading='stormer_verlet'"):
        oo.Momentum(0.01, 0.0, reading="stormer_verlet")
    with pytest.raises(ValueError, match="^momentum must be > 0"):
        oo.Momentum(0.01, reading="stormer_verlet").changed(momentum=0.0)


def test_the_corrected_variance_divides_the_mean_by_its_weight():
    """Centered, bias-corrected: of one gradient the variance is 0, of two a known number."""
    opt = oo.RMSprop(0.01, decay=0.9, eps=0.5, centered=True, bias_correction=True)
    x, _ = moves(opt, [1.0, 3.0], np.float64, 0.0)
    weights = np.array([0.9, 1.0]) / 1.9
    variance = weights @ [1.0, 9.0] - (weights @ [1.0, 3.0]) ** 2
    assert x[0] == pytest.approx(-0.01 / np.sqrt(0.5), rel=1e-12)
    assert x[1] - x[0] == pytest.approx(-0.03 / np.sqrt(variance + 0.5), rel=1e-12)


def test_a_number_that_is_infinite_in_float32_is_refused_there():
    with pytest.raises(ValueError, match="lr must be at most 3.4e.38 for float32 arrays, got 1e.308"):
        oo.SignGD(1e308).init(np.ones(2, np.float32))
    opt, x = oo.SignGD(1e308), np.ones(2)
    opt.update(x, np.array([0.0, 1.0]), opt.init(x))
    assert x.tolist() == [1.0, -1e308]
