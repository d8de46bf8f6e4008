"""What is computed anew whenever it is asked for cannot be written to: the writing would change nothing."""

import pickle

import numpy as np
import pytest

import odeopt as oo

ADAM = oo.Adam(0.1)


@pytest.mark.parametrize("numbers", [
    lambda: ADAM.p, lambda: oo.AMSGrad(0.1).p, lambda: oo.SWA(ADAM).p, lambda: ADAM.flow.p,
    lambda: oo.schedules.table([1.0, 2.0]).c,
])
def test_numbers_that_are_computed_anew_cannot_be_written_to(numbers):
    """``optimizer.p[0] = 5`` was lost without a word."""
    before = np.array(numbers())
    p = numbers()
    for write in (lambda: p.__setitem__(0, 5.0), lambda: p[1:].__setitem__(0, 5.0), lambda: p.__iadd__(1.0),
                  lambda: p.fill(0.0), lambda: np.multiply(p, 2.0, out=p)):
        with pytest.raises(ValueError, match="read-only"):
            write()
    own = p.copy()
    own[0] = 5.0
    assert own[0] == 5.0 and np.array_equal(p, before) and type(p + 1) is np.ndarray
    assert np.array_equal(pickle.loads(pickle.dumps(p)), before)


def test_kernels_take_them():
    x, s = np.ones(2), np.zeros((len(ADAM.slots), 2))
    ADAM.kernel(0, ADAM.p, x, np.ones(2), s)
    same, state = np.ones(2), ADAM.init(np.ones(2))
    ADAM.update(same, np.ones(2), state)
    assert np.array_equal(x, same)


def test_constants_of_a_flow_are_read_only_and_travel():
    flow = ADAM.flow
    with pytest.raises(TypeError):
        flow.constants["tau1"] = 3.0
    again = pickle.loads(pickle.dumps(flow))
    assert again.constants == flow.constants
    with pytest.raises(TypeError):
        again.constants["tau1"] = 3.0


def test_times_of_a_state_keep_their_number():
    x, state = np.ones(2), oo.GradientDescent(0.5).init(np.ones(2))
    assert not hasattr(state.times, "append")
    with pytest.raises(TypeError):
        state.times[:] = []
    with pytest.raises(TypeError, match="times"):
        state.times[0] = "late"
    state.times[0] = 2.0
    oo.GradientDescent(0.5).update(x, np.ones(2), state)
    assert state.t == 2.5 and state.times == [2.5]
