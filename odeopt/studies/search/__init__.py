"""Many runs: ensembles, basins of attraction, searches for a learning rate."""

from typing import TYPE_CHECKING

from ... import moved

if TYPE_CHECKING:
    from . import basins, chunks, ensemble, lr_search, on_disk, suggest

__getattr__ = moved.submodules(__name__)
__all__ = ["basins", "chunks", "ensemble", "lr_search", "on_disk", "suggest"]
