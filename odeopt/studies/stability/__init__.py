"""Where a method is stable and what it does at the edge: amplification, limits, regions, orbits, step control."""

from typing import TYPE_CHECKING

from ... import moved
from .limits import StabilityTable, limit_formula, stability_limit, stability_table
from .scoreboard import Edge, edge
from .sharpening import Sharpness, sharpness

if TYPE_CHECKING:
    from . import (
        amplification,
        averaged,
        central,
        limits,
        optimal_parameters,
        periodic,
        products,
        regions,
        restart,
        scoreboard,
        sharpening,
        step_control,
        theories,
    )

__getattr__ = moved.submodules(__name__)
__all__ = [
    "Edge", "Sharpness", "StabilityTable", "amplification", "averaged", "central", "edge", "limit_formula", "limits",
    "optimal_parameters", "periodic", "products", "regions", "restart", "scoreboard", "sharpening", "sharpness",
    "stability_limit", "stability_table", "step_control", "theories",
]  # fmt: skip
