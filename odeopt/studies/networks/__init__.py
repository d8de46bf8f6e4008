"""Networks in training: decay of the learning rate, scale invariance, generalisation."""

from typing import TYPE_CHECKING

from ...moved import submodules

if TYPE_CHECKING:
    from . import generalisation, scale_invariance, training

__getattr__ = submodules(__name__)
__all__ = ["generalisation", "scale_invariance", "training"]
