"""Threads change the time that a large update takes, and nothing else."""

import os
from dataclasses import replace

import numpy as np
import pytest
from rows import ROWS

import odeopt as oo
from odeopt import threads
from odeopt.threads import Team, elementwise

SIZE = 1000  # with slices of 256 below: four, the last one short


def steps(optimizer, x, count, dtype=np.float64, workers=None):
    """x after some steps, through a Team (or the plain update), and its state."""
    rng = np.random.default_rng(3)
    x = x.astype(dtype)
    face = optimizer if workers is None else Team(optimizer, workers)
    state = face.init(x)
    for _ in range(count):
        face.update(x, rng.standard_normal(x.size).astype(dtype), state)
    return x, state


@pytest.fixture
def small_slices(monkeypatch):
    monkeypatch.setattr(threads, "SLICE", 256)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_the_result_is_the_serial_one_for_any_number_of_threads(row, dtype, small_slices):
    optimizer = row.make()
    x0 = np.random.default_rng(0).standard_normal(SIZE)
    serial, state = steps(optimizer, x0, 5, dtype)
    for workers in (1, 2, 3):
        x, team_state = steps(optimizer, x0, 5, dtype, workers)
        assert np.array_equal(x, serial)
        assert (team_state.k, team_state.t) == (state.k, state.t)
        if len(team_state.slots) > 1:
            for r in range(len(optimizer.slots)):
                full = np.array(state.slots[0][r])
                if full[1:].any():
                    assert np.array_equal(team_state.row(r), full)


def test_which_updates_are_sliced(small_slices):
    assert elementwise(oo.Adam()) and elementwise(oo.Momentum(0.1)) and elementwise(oo.Rprop())
    for optimizer in (oo.RMSprop(1e-2, form="scalar"), oo.ErrorControlledEuler(0.1), oo.Amos(1e-2),
                      oo.BarzilaiBorwein()):
        assert not elementwise(optimizer)
        assert len(Team(optimizer).init(np.ones(SIZE)).slots) == 1
    assert [s.shape[1] for s in Team(oo.Adam()).init(np.ones(SIZE)).slots] == [256, 256, 256, 232]


def test_bad_arrays_are_refused_and_nothing_moves():
    x, g = np.ones(10), np.ones(10)
    team = Team(oo.Adam(), 2)
    state = team.init(x)
    frozen = x.copy()
    frozen.flags.writeable = False
    for bad_x, bad_g, words in ((np.ones(20)[::2], g, "C-contiguous"), (frozen, g, "writable"),
                                (x.astype(int), g, "float32 or float64"), (x, np.ones(9), "g must match"),
                                (x, g.astype(np.float32), "g must match"), (x, x, "share memory"),
                                (np.ones(12), np.ones(12), "state must come from init"), ([1.0], g, "numpy array")):
        with pytest.raises((TypeError, ValueError), match=words):
            team.update(bad_x, bad_g, state)
    assert state.k == 0 and (x == 1).all()
    with pytest.raises(ValueError, match="threads must be at least 1"):
        Team(oo.Adam(), 0)
    with pytest.raises(TypeError, match="optimizer must be"):
        Team("adam")


def test_the_learning_rate_may_change_on_the_way(small_slices):
    x, g = np.ones(SIZE), np.full(SIZE, 0.5)
    with Team(oo.Adam(lr=0.1), 2) as team:
        state = team.init(x)
        team.update(x, g, state)
        team.optimizer = replace(team.optimizer, lr=0.2)
        team.update(x, g, state)
    assert np.allclose(x, 1 - 0.1 - 0.2, rtol=1e-6)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*fork.*:RuntimeWarning")  # of JAX, where a test of peers imported it
def test_a_forked_child_makes_workers_of_its_own(small_slices):
    x, g = np.ones(SIZE), np.ones(SIZE)
    team = Team(oo.GradientDescent(0.5), 2)
    state = team.init(x)
    team.update(x, g, state)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            team.update(x, g, state)
            code = 0 if (x == 0).all() else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (x == 0.5).all()
