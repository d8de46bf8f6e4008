"""Studies: each takes optimizers and problems, computes, and returns frozen data. None draws."""

from typing import TYPE_CHECKING

from .. import moved

if TYPE_CHECKING:
    from . import base, inner, moments, networks, noise, order, search, stability

__getattr__ = moved.submodules(__name__)
__all__ = ["base", "inner", "moments", "networks", "noise", "order", "search", "stability"]
