"""Methods driven by noisy gradients: stationary laws, weak orders, scaling rules, mixing."""

from typing import TYPE_CHECKING

from ... import moved

if TYPE_CHECKING:
    from . import mixing, scaling_rules, stationary, weak_order

__getattr__ = moved.submodules(__name__)
__all__ = ["mixing", "scaling_rules", "stationary", "weak_order"]
