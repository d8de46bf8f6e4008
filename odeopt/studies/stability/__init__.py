"""Where a method is stable and what it does at the edge: amplification, limits, regions, orbits, step control."""

from typing import TYPE_CHECKING

from ...moved import submodules
from .limits import StabilityTable, limit_formula, stability_limit, stability_table

if TYPE_CHECKING:
    from . import amplification, central, limits, optimal_parameters, periodic, regions, restart, step_control

__getattr__ = submodules(__name__)
__all__ = [
    "StabilityTable", "amplification", "central", "limit_formula", "limits", "optimal_parameters", "periodic",
    "regions", "restart", "stability_limit", "stability_table", "step_control",
]  # fmt: skip
