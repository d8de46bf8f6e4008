"""Which number of an optimizer a schedule drives, and how far it may go."""

import contextlib
import functools
from dataclasses import fields

import numpy as np

from .. import abi, checks
from ..optimizers.inside import reads


def entry(optimizer, name):
    """The entry of ``p`` that holds hyperparameter ``name``, found by moving it a little.

    ValueError where the kernel does not take it as it is and read it at every step, or where it decides which
    slots or which kernel there are.
    """
    checks.choice("schedule drives", name, optimizer.numeric_names())
    if optimizer.wrapper:  # its own p begins with that of the optimizer inside
        return entry(optimizer.optimizer, name)
    value = getattr(optimizer, name)
    changed = np.empty(0, np.int64)
    with contextlib.suppress(ValueError):  # of a number that must be 0 in this form
        moved = optimizer.changed(**{name: 1e-3 if value is None or value == 0.0 else 0.999 * value})
        if moved.slots == optimizer.slots and moved.kernel is optimizer.kernel:
            changed = np.flatnonzero(moved.p != optimizer.p)
    if value is None or changed.size != 1 or optimizer.p[changed[0]] != value:
        raise ValueError(f"schedule drives must be a number that the kernel takes as it is, "
                         f"got {name!r} = {value!r} of {optimizer!r}")
    if not reads(optimizer, changed[0]):
        raise ValueError(f"schedule drives must be a number that the kernel reads at each step, got {name!r}, "
                         f"which {optimizer.name} in this form reads before the first step or never")
    return int(changed[0])


def interval(optimizer, name):
    """(lowest, highest) value that a schedule may give ``name``: the constructor's interval, and 0 for a step."""
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
    if optimizer.wrapper:
        return _interval(optimizer.optimizer, name)
    check = next(f for f in fields(optimizer) if f.name == name).metadata["check"]
    words = {"low": -np.inf, "high": np.inf, "open_low": False, "open_high": False} | getattr(check, "keywords", {})
    low, high, open_low, open_high = (words[key] for key in ("low", "high", "open_low", "open_high"))
    step = optimizer.scaling()[name] in ("h", "h^2", "h^2/(1 + c h)")
    return low, high, open_low and not (step and low == 0.0), open_high
