"""Muon's Newton-Schulz steps in bfloat16, on tiles where the processor has them."""

import concurrent.futures as cf
import sys

import numpy as np
import places
import pytest

from odeopt import bfloat16
from odeopt.optimizers import Muon

sys.path.insert(0, str(places.GOLDEN))
from make_muon_goldens import ROWS, SHAPES, gradient  # noqa: E402

BARE = Muon(1.0, momentum=0.0, weight_decay=0.0, adjust="none", precision="bfloat16")
ON_TILES = (160, 160)  # of fewer rows, the workspace may not hold the blocks


def phi(optimizer, g):
    x = np.zeros_like(g)
    optimizer.update(x, g, optimizer.init(x))
    return -x


def apart(x, y):
    return np.linalg.norm(x - y) / np.linalg.norm(y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_step_is_torchs(shape, dtype):
    """Of torch 2.13 as it is (make_muon_goldens.py). Of large matrices its own results with AMX and without are .003 to
    .006 apart, since a sum in another order may turn a last digit; in full precision it is .008 to .018."""
    with np.load(places.GOLDEN / "muon.npz", allow_pickle=False) as golden:
        theirs = (golden["x".join(map(str, shape))].astype(np.uint32) << 16).view(np.float32)
    g = gradient(*shape).astype(dtype)
    assert apart(phi(BARE, g)[:ROWS], theirs) <= (0.007 if max(shape) > 100 else 1e-3)
    assert apart(phi(BARE.changed(precision="full"), g)[:ROWS], theirs) > 0.0075


@pytest.mark.parametrize("coefficients", [(1.0, 0.5, 0.25), (2.0, 0.0, 0.25), (0.0, 1.0, 0.0)])
@pytest.mark.parametrize("shape", [ON_TILES, (170, 250)])
def test_tiles_and_blas_agree_to_the_bit_where_all_sums_are_exact(shape, coefficients):
    """Entries 0 and 1/8 and powers of two for coefficients: every sum is a whole number of small units, so its order,
    and how blocks at the edges are filled up, must not matter."""
    ours = (np.random.default_rng(0).random(shape) < 0.1).astype(np.float32) / 8
    theirs, spare = ours.copy(), np.empty((3, ours.size), np.float32)
    spare[:] = np.nan
    bfloat16.newton_schulz(ours, spare, 1, *coefficients)
    bfloat16.by_blas(theirs, spare, 1, *coefficients)
    np.testing.assert_array_equal(ours, theirs)
    assert len(np.unique(ours)) > 3


@pytest.mark.parametrize("shape", [(1, 1), (7, 1), (2, 2, 2), (33, 65), ON_TILES, (300, 170)])
def test_the_step_is_that_of_full_precision_but_for_rounding(shape):
    """The numbers are bfloat16, and .01 away where errors average out; in a small matrix one is 2^-9 times the slopes
    of the polynomial, up to 3.4 a step, where they follow each other."""
    g = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    ours = phi(BARE, g)
    assert not (ours.view(np.uint32) & 0xFFFF).any()
    assert 1e-4 < apart(ours, phi(BARE.changed(precision="full"), g)) < 0.1


@pytest.mark.parametrize("shape", [(4, 5), ON_TILES])
@pytest.mark.parametrize("bits", [0x7F800000, 0x7FC00000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_what_is_not_finite_is_not_rounded_to_a_number(bits, shape):
    g = np.ones(shape, np.float32)
    g.view(np.uint32)[1, 2] = bits
    assert np.isnan(phi(BARE, g)).all()


def test_gradients_of_any_size():
    g = np.random.default_rng(2).standard_normal(ON_TILES)
    ours = phi(BARE, g)
    np.testing.assert_array_equal(phi(BARE, 2.0**900 * g), ours)
    np.testing.assert_array_equal(phi(BARE, 2.0**-900 * g), ours * 0.0 if BARE.eps else ours)
    np.testing.assert_array_equal(phi(BARE.changed(eps=0.0), 2.0**-900 * g), ours)


def test_threads_have_tiles_of_their_own():
    gs = list(np.random.default_rng(3).standard_normal((6, *ON_TILES)).astype(np.float32))
    with cf.ThreadPoolExecutor(3) as pool:
        for ours, g in zip(pool.map(lambda g: phi(BARE, g), gs), gs):
            np.testing.assert_array_equal(ours, phi(BARE, g))


def test_workspace_is_left_as_the_step_needs_it():
    """Steps with an average: m and its weight are those of full precision, bit for bit."""
    rng, (x, y) = np.random.default_rng(4), np.zeros((2, *ON_TILES))
    optimizers = Muon(0.01, weights="optax", precision="bfloat16"), Muon(0.01, weights="optax")
    states = [optimizer.init(x) for optimizer in optimizers]
    for _ in range(3):
        g = rng.standard_normal(ON_TILES)
        for optimizer, state, at in zip(optimizers, states, (x, y)):
            optimizer.update(at, g, state)
    np.testing.assert_array_equal(states[0].slots[0][0], states[1].slots[0][0])
    assert states[0].slots[0][2, 0] == states[1].slots[0][2, 0]
    assert apart(x, y) < 0.02


def test_one_step_that_changes_nothing_is_rounding_alone():
    """a = 1, b = c = 0: to the nearest, half of 2^-7 of the power of two below."""
    g = np.random.default_rng(5).standard_normal(ON_TILES).astype(np.float32)
    ours, unit = phi(BARE.changed(steps=1, coefficients=(1.0, 0.0, 0.0)), g), g / np.linalg.norm(g)
    assert (np.abs(ours - unit) <= 2.0 ** (np.floor(np.log2(np.abs(unit))) - 8) * 1.001).all()
