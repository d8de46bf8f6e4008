"""``Schedule``: a hyperparameter as a function of the step, and how schedules combine.

A schedule is a kernel and its constants, so one compiled loop serves all of them. Combined
schedules (one after the other, stretched) carry the *addresses* of their parts' kernels among the
constants: any kernel combines with any other, a user's included, and nothing compiles anew.
"""

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import abi, checks, machine_code
from ..abi import kernel, schedule_at


@dataclass(frozen=True)
class Schedule(abi.Portable):
    """``value = kernel(k, base, c)`` for one hyperparameter.

    Parameters
    ----------
    name : str
    kernel : compiled SCHEDULE kernel (:mod:`odeopt.abi`)
        ``k`` is the step number from 0, real, so that the same kernel serves the continuous flow;
        ``base`` is the hyperparameter's value in the optimizer. It is asked for finite k >= 0 only.
    constants : tuple of float
    drives : str, default "lr"
        The hyperparameter.
    parts : tuple of Schedule
        Schedules that the kernel calls. They stand in ``c`` after the constants.

    Raises
    ------
    TypeError
        A kernel that is not compiled, or that reads beyond its constants; constants that are not numbers.
    """

    name: str
    kernel: Any
    constants: tuple = ()
    drives: str = "lr"
    parts: tuple = ()

    def __post_init__(self):
        if not (abi.is_compiled(self.kernel) or abi.plain_by_wish(self.kernel)):
            raise TypeError(f"kernel must be compiled (see odeopt.abi.kernel), got {checks.shown(self.kernel)}")
        if not isinstance(self.drives, str):
            raise TypeError(f"drives must be the name of a hyperparameter, got {checks.shown(self.drives)}")
        checks.text("name", self.name)
        machine_code.refresh(self.kernel)
        object.__setattr__(self, "parts", checks.entries("parts", self.parts))
        if not all(isinstance(part, Schedule) for part in self.parts):
            raise TypeError(f"parts must be Schedules, got {checks.shown(self.parts)}")
        if self.depth > _DEEPEST:
            raise ValueError(f"parts must be schedules of at most {_DEEPEST - 1} parts within each other, got "
                             f"{self.depth - 1}")
        object.__setattr__(self, "constants", tuple(checks.real("constants", c) for c in
                                                       checks.entries("constants", self.constants)))
        if (self.kernel, len(self.constants)) not in _INSIDE and not self.parts:
            for k in (0.0, 1.0):
                checks.stays_inside(f"the kernel of schedule {self.name!r} must stay inside its "
                                    f"{len(self.constants)} constants", self.kernel, k, 1.0, self.c, reads="c")
            _INSIDE.add((self.kernel, len(self.constants)))

    @property
    def depth(self):
        """How many schedules stand within each other, this one among them."""
        return 1 + max((part.depth for part in self.parts), default=0)

    @property
    def c(self):
        """The constants as the float64 vector that the kernel takes; read-only."""
        numbers = [np.array(self.constants, dtype=np.float64)]
        for part in self.parts:
            c = part.c
            # Addresses lie below 2^53, so float64 holds them exactly.
            numbers += [np.array([*abi.addresses(part.kernel, abi.SCHEDULE), c.size], dtype=np.float64), c]
        flat = np.concatenate(numbers)
        return abi.read_only(flat if flat.size else [0.0])

    def __call__(self, k, base=1.0):
        """The value at step ``k`` (a number or an array, finite and >= 0), for the hyperparameter value ``base``."""
        base, c = checks.real("base", base), np.array(self.c)
        if checks.dimensions(k) == 0:
            return self.kernel(checks.real("k", k, 0.0), base, c)
        steps = checks.real_numbers(k)
        if isinstance(steps, str):
            raise TypeError(f"k must be real numbers, got {steps}")
        wrong = steps[~((steps >= 0.0) & (steps < np.inf))]
        if wrong.size:
            raise ValueError(f"k must be in [0, inf), got {wrong[0]:g} in it")
        return np.array([self.kernel(i, base, c) for i in steps.ravel().tolist()]).reshape(steps.shape)

    def refined(self, factor, law="h"):
        """The schedule that goes with ``optimizer.refined(factor)``: ``factor`` times as long.

        Parameters
        ----------
        factor : float > 0
        law : str
            How the driven hyperparameter moves with the step (``optimizer.scaling()[drives]``).
            Powers of h stretch the schedule; for "1 - c h" the distance of its values from 1
            shrinks as well.
        """
        factor = checks.real("factor", factor, 0, open_low=True)
        checks.choice("law", law, ("fixed", "h", "h^2", "sqrt(h)", "1/h", "1 - c h"))
        return Schedule(f"{self.name} stretched by {factor:g}", _refined, (float(factor), float(law == "1 - c h")),
                        self.drives, (self,))

    def driving(self, name):
        """The same schedule for another hyperparameter."""
        return replace(self, drives=name)

    def __repr__(self):
        inner = ", ".join([*(f"{value:g}" for value in self.constants[:6]), *map(repr, self.parts)])
        return f"{self.name}({inner}{', ...' if len(self.constants) > 6 else ''}) of {self.drives}"


_DEEPEST, _LOOKED_AT = 100, 1000
_INSIDE = set()  # (kernel, number of constants) that have been tried


@kernel
def snapped(u):
    """``u``, or the integer that it misses by rounding: 33/1.1 is 29.999999999999996 in float64."""
    nearest = np.floor(u + 0.5)
    return nearest if abs(u - nearest) <= 1.8e-15 * nearest else u


@kernel
def whole(u):
    """The whole units in ``u`` >= 0."""
    return np.floor(snapped(u))


@kernel
def reached(k, milestone):
    """Whether ``k`` has come to ``milestone``, or misses it by rounding."""
    return k >= milestone - 1.8e-15 * milestone


@kernel
def _refined(k, base, c):
    """One part at k/c[0]; c[1] = 1 for values that approach 1 with the step."""
    inner, at = schedule_at(int(c[2]), int(c[3])), snapped(k / c[0])
    if c[1] > 0.0:
        value = inner(at, 1.0 - (1.0 - base) * c[0], c[5:])
        return 1.0 - (1.0 - value) / c[0]
    return inner(at, base, c[5:])


@kernel
def _sequence(k, base, c):
    """c = (n, n - 1 milestones, n parts); part i counts its steps from its own start."""
    n = int(c[0])
    at, begin = n, 0.0
    for i in range(1, n):
        if not reached(k, c[i]):
            break
        begin = c[i]
        at += 3 + int(c[at + 2])
    inner = schedule_at(int(c[at]), int(c[at + 1]))
    size = int(c[at + 2])
    return inner(max(k - begin, 0.0), base, c[at + 3 : at + 3 + size])


def sequence(schedules, milestones):
    """One schedule after the other, each counting its steps from its own start.

    ``schedules[i]`` runs from step ``milestones[i - 1]`` on (torch's SequentialLR). All must drive
    the same hyperparameter.
    """
    schedules = checks.entries("schedules", schedules)
    if not schedules or not all(isinstance(s, Schedule) for s in schedules):
        raise TypeError("schedules must be a sequence of at least one Schedule")
    if len({s.drives for s in schedules}) > 1:
        raise ValueError(f"schedules must drive one hyperparameter, got {[s.drives for s in schedules]}")
    milestones = increasing("milestones", milestones)
    if len(milestones) != len(schedules) - 1:
        raise ValueError(f"milestones must be {len(schedules) - 1} for {len(schedules)} schedules, "
                         f"got {len(milestones)}")
    return Schedule("sequence", _sequence, (float(len(schedules)), *milestones), schedules[0].drives, schedules)


@kernel
def _product(k, base, c):
    """The second part at what the first one gives; c = the two parts."""
    end = 3 + int(c[2])
    first, second = schedule_at(int(c[0]), int(c[1])), schedule_at(int(c[end]), int(c[end + 1]))
    return second(k, first(k, base, c[3:end]), c[end + 3 :])


def product(first, second):
    """The hyperparameter times the factors of both schedules: torch's ChainedScheduler of two.

    Both must drive the same hyperparameter and give fractions of it: ValueError for one that has ``absolute`` levels
    or is not proportional to the hyperparameter's value (``growing``).
    """
    for name, part in (("first", first), ("second", second)):
        if not isinstance(part, Schedule):
            raise TypeError(f"{name} must be a Schedule, got {checks.shown(part)}")
        if not _proportional(part):
            raise ValueError(f"{name} must be a schedule in fractions of the hyperparameter, got {part!r}")
    if first.drives != second.drives:
        raise ValueError(f"first and second must drive one hyperparameter, got {first.drives!r} and {second.drives!r}")
    return Schedule("product", _product, (), first.drives, (first, second))


def _proportional(schedule):
    """Whether the values are fractions of the hyperparameter's, at steps of many sizes, around those that stand among
    the constants, and in every part."""
    near = np.abs(schedule.constants[:_LOOKED_AT])
    steps = np.concatenate([[0.0, 1.0, 7.5, 1000.0], near, 1.3 * near, near + 0.7])
    steps = steps[steps < np.inf]
    return np.array_equal(schedule(steps, 0.5), 0.5 * schedule(steps)) and all(map(_proportional, schedule.parts))


def increasing(name, values):
    """``values`` as a tuple of floats that increase, or ValueError."""
    values = tuple(checks.real(name, value, 0.0) for value in checks.entries(name, values))
    if any(a >= b for a, b in itertools.pairwise(values)):
        raise ValueError(f"{name} must increase, got {values}")
    return values
