"""Whether a page stays inside its arrays: compiled kernels do not look where their indices point."""

import functools
import math

import numpy as np

from .. import checks, machine_code
from ..abi import interpreted
from ..method import ROLES, Slot

DOUBLE = np.dtype(np.float64)
_LONG_AXES = 6  # of the arrays on which a kernel is tried


def check_inside(optimizer, dimensions=1, dtype=DOUBLE):
    """TypeError for a page whose kernel or field leaves its arrays; ValueError where it cannot take an array of so
    many dimensions, or of this precision. Every hyperparameter may matter: looked at once for each optimizer."""
    optimizer = optimizer.bare  # a wrapped kernel is called by its address: not by the interpreter
    try:
        hash(optimizer)
    except TypeError:  # a page of somebody's own may hold a list
        return _try_inside(optimizer, optimizer.kernel, dimensions, dtype)
    return _tried_inside(optimizer, optimizer.kernel, dimensions, dtype)


def _try_inside(optimizer, kernel, dimensions, dtype):
    """:func:`check_inside`, on two coordinates along each axis."""
    machine_code.refresh(kernel)
    optimizer.check_precision(dtype)
    shape = optimizer.shape_of_trial(tuple(2 if axis < _LONG_AXES else 1 for axis in range(dimensions)))
    x = np.resize([1.0, 0.5], math.prod(shape))
    for slot in optimizer.slots:
        if not isinstance(slot, Slot):
            raise TypeError(f"{type(optimizer).__name__}.slots must hold Slot(name, role, unit), "
                            f"got {checks.shown(slot)}")
        checks.choice(f"the role of the slot {slot.name!r}", slot.role, ROLES)
    slots = optimizer.slot_names
    p, g, name = optimizer.p_for(x.reshape(shape)), np.resize([0.3, -0.2], x.size), type(optimizer).__name__
    try:
        flow = optimizer.flow
    except ValueError:  # numbers so small that the flow's constants overflow: it says so where it is asked for
        flow = None
    s = np.array(optimizer.cold_start(x), dtype=np.float64)
    if s.shape != (len(slots), x.size):
        raise TypeError(f"{name}.cold_start must give {len(slots)} rows, one for each of slots = {slots}, "
                        f"got the shape {s.shape} for {x.size} coordinates")
    words = f"{name}.kernel must stay inside its arrays, slots = {slots} and {p.size} numbers in p"
    memory = np.array(optimizer.fresh(x.reshape(shape)))
    dt = checks.stays_inside(words, kernel, np.int64(0), p, x, g, memory, reads="p [x] g [s]")
    if dt is None:
        raise TypeError(f"{name}.kernel must return the flow time of the step, got None")
    if flow is not None:
        z = optimizer.to_flow(x, s)
        if z.shape != (flow.rows, x.size):
            raise TypeError(f"{name}.to_flow must give {flow.rows} rows, the position and the flow's slots "
                            f"{flow.slots}, got the shape {z.shape} for {x.size} coordinates")
        flow.check_inside(name=f"{name}.flow")


_tried_inside = functools.lru_cache(1024)(_try_inside)


def reads(optimizer, entry):
    """Whether the kernel reads entry ``entry`` of ``p`` after the first step, inside the arrays of this optimizer:
    some numbers are for the start alone, and some decide which slots there are.

    Found by trying: in the interpreter, which checks indices, on gradients of many sizes, from one start.
    """
    inner = optimizer.bare
    kernel, sizes = interpreted(inner.kernel), (1e-18, 1e-9, 1.0, -1.0, 1.0, 0.5, 1e9)
    shape = inner.shape_of_trial((4,))
    x0, g0 = np.resize([1.0, -0.5, 2.0, 0.1], shape), np.resize([1.0, 1e-3, -1.0, 0.1], shape)
    s0, p0 = np.array(inner.fresh(x0)), inner.p_for(x0)

    def run(value):
        x, s, p = x0.copy(), s0.copy(), p0.copy()
        times = []
        with np.errstate(all="ignore"):
            for k, size in enumerate(sizes):
                times.append(kernel(k, p, x, size * g0, s))
                p[entry] = value
        return np.concatenate([times, x, s.ravel()])

    usual = run(p0[entry])
    try:
        return any(not np.array_equal(run(other), usual, equal_nan=True)
                   for other in (0.5 * p0[entry], 0.999 * p0[entry], 2.0 * p0[entry], 1e-3, 0.5, 2.0, 1e3))
    except (IndexError, ZeroDivisionError, ValueError):  # of a value that this variant never has
        return False
