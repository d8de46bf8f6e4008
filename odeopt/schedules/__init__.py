"""Schedules: hyperparameters as functions of the step, or of the values that the run has seen.

A :class:`Schedule` is a jitted function of the step, for :func:`odeopt.record`, for a training
loop (``schedule(k, lr)``) and for the continuous flow. :class:`ReduceLROnPlateau` and
:class:`StepDecay` decide by the objective instead. ``ALL`` maps command-line names to the functions
and classes that make them.
"""

from .. import checks, moved
from . import shapes
from .base import Schedule, product, sequence
from .plateau import PlateauRule, ReduceLROnPlateau, StepDecay
from .shapes import *  # noqa: F403 - the list of schedules is there

ALL = {name.replace("_", "-"): getattr(shapes, name) for name in shapes.__all__}
ALL |= {"product": product, "sequence": sequence, "reduce-lr-on-plateau": ReduceLROnPlateau, "step-decay": StepDecay}


def by_name(name):
    """The function or class of a command-line name ('one-cycle'); ValueError with the nearest match."""
    return ALL[checks.choice("schedule", str(name).lower().replace("_", "-"), tuple(ALL))]


__all__ = ["ALL", "PlateauRule", "ReduceLROnPlateau", "Schedule", "StepDecay", "by_name", "product", "sequence"]
__all__ += shapes.__all__


def __getattr__(name):
    if name == "Controller":
        return moved.renamed(__name__, name, "PlateauRule")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
