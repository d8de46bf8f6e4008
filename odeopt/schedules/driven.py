"""Which number of an optimizer a schedule drives, and how far it may go."""

import contextlib
import functools
import math
from dataclasses import fields

import numpy as np

from .. import abi, checks
from ..optimizers.inside import reads


def entry(optimizer, name):
    """The entry of ``p`` that holds hyperparameter ``name``, found by moving it a little.

    ValueError where the kernel does not take it as it is and read it at every step, or where it decides which
    slots, kernel or unit of time there are.
    """
    checks.choice("schedule drives", name, optimizer.numeric_names())
    optimizer = optimizer.bare  # p begins with that of the optimizer inside
    value = getattr(optimizer, name)
    changed = np.empty(0, np.int64)
    with contextlib.suppress(ValueError):  # of a number that must be 0 in this form
        moved = optimizer.changed(**{name: 1e-3 if value is None or value == 0.0 else 0.999 * value})
        if _form(moved) == _form(optimizer):
            changed = np.flatnonzero(moved.p != optimizer.p)
    if value is None or changed.size != 1 or optimizer.p[changed[0]] != value:
        raise ValueError(f"schedule drives must be a number that the kernel takes as it is, "
                         f"got {name!r} = {value!r} of {optimizer!r}")
    if not reads(optimizer, changed[0]):
        raise ValueError(f"schedule drives must be a number that the kernel reads at each step, got {name!r}, "
                         f"which {optimizer.title} in this form reads at the start alone or never")
    return int(changed[0])


def interval(optimizer, name):
    """(lowest, highest) value that a schedule may give ``name``: what the constructor takes beside the other
    numbers without another form of the update, and 0 for a step size."""
    low, high, open_low, open_high = _interval(optimizer, name)
    largest = np.finfo(np.float64).max
    low, high = np.nextafter(low, np.inf) if open_low else low, np.nextafter(high, -np.inf) if open_high else high
    return max(low, -largest), min(high, largest)


def first_outside(optimizer, schedule, begin, end):
    """The first of the steps ``begin`` to ``end`` - 1 at which ``schedule`` leaves the interval, or -1."""
    low, high = interval(optimizer, schedule.drives)
    base = optimizer.p[entry(optimizer, schedule.drives)]
    return _search()(schedule.kernel, base, schedule.c, low, high, begin, end)


def steps_inside(optimizer, schedule, steps):
    """The step up to which the schedule stays in the interval, also between steps; of ``steps``, 10^7 are looked at.

    ValueError where there is none after 0.
    """
    outside = first_outside(optimizer, schedule, 0, min(steps, 10_000_000) + 1)
    if 0 <= outside <= 1:
        value = schedule(outside, optimizer.p[entry(optimizer, schedule.drives)])
        raise ValueError(f"{refusal(optimizer, schedule, value)} at step {outside}")
    return outside - 1 if outside > 0 else steps


def refusal(optimizer, schedule, value):
    """What to say of a ``value`` outside."""
    return f"schedule must keep {schedule.drives} in {interval_in_words(optimizer, schedule.drives)}, got {value:g}"


def _first_outside(schedule, base, c, low, high, begin, end):
    for k in range(begin, end):
        if not low <= schedule(float(k), base, c) <= high:
            return k
    return -1


@functools.cache
def _search():
    return abi.kernel(_first_outside, abi.INTEGER(abi.SCHEDULE, abi.REAL, abi.VECTOR, abi.REAL, abi.REAL,
                                                  abi.INTEGER, abi.INTEGER))


def interval_in_words(optimizer, name):
    """:func:`interval` for a message: "[0, 1)"."""
    low, high, open_low, open_high = _interval(optimizer, name)
    return f"{'(' if open_low or low == -np.inf else '['}{low:g}, {high:g}{')' if open_high or high == np.inf else ']'}"


def _interval(optimizer, name):
    optimizer = optimizer.bare
    check = next(f for f in fields(optimizer) if f.name == name).metadata["check"]
    words = {"low": -np.inf, "high": np.inf, "open_low": False, "open_high": False} | getattr(check, "keywords", {})
    low, open_low = _end(optimizer, name, words["low"], words["open_low"])
    high, open_high = _end(optimizer, name, words["high"], words["open_high"])
    if name == optimizer.step_name:  # a schedule may begin or end at 0
        low, open_low = 0.0, False
    if name.startswith("eps") and getattr(optimizer, name) and low == 0.0:
        open_low = True  # one that has vanished on the way is no eps
    return low, high, open_low, open_high


def _form(optimizer):
    """What no number may change on the way; laws of scaling tell which unit the time of a step has."""
    return optimizer.slots, optimizer.kernel, optimizer.reduces, optimizer.scaling()


def _end(optimizer, name, end, is_open):
    """``(end, whether it is open)`` of the numbers that may take the place of the present one: the constructor's,
    or nearer where another number bounds this one, or another form begins. Found by bisection."""

    def allowed(value):
        with contextlib.suppress(ValueError):
            return _form(optimizer.changed(**{name: value})) == _form(optimizer)
        return False

    largest, inside = np.finfo(np.float64).max, getattr(optimizer, name)
    outside = float(np.clip(math.nextafter(end, inside) if is_open else end, -largest, largest))
    if allowed(outside):
        return end, is_open
    while (middle := _between(inside, outside)) not in (inside, outside):
        inside, outside = (middle, outside) if allowed(middle) else (inside, middle)
    return (end, True) if outside == end else (inside, False)


def _between(a, b):
    """The number half way from ``a`` to ``b`` in their order: numbers of any size are 64 halvings apart."""
    order = np.array([a, b]).view(np.int64)
    order = np.where(order < 0, np.iinfo(np.int64).min - order, order)
    middle = np.array([int(order.sum(dtype=object)) // 2])
    return float(np.where(middle < 0, np.iinfo(np.int64).min - middle, middle).view(np.float64)[0])
