"""Networks in training: decay of the learning rate, scale invariance, generalisation."""

from typing import TYPE_CHECKING

from ... import moved

if TYPE_CHECKING:
    from . import generalisation, scale_invariance, training

__getattr__ = moved.submodules(__name__)
__all__ = ["generalisation", "scale_invariance", "training"]
