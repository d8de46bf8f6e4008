"""Does a method follow its flow, and how closely: comparison, convergence, certificates, modified equations, work."""

from typing import TYPE_CHECKING

from ... import moved

if TYPE_CHECKING:
    from . import (
        certificates,
        comparison,
        convergence,
        directions,
        equivalence,
        fit,
        lyapunov,
        modified,
        statements,
        work_precision,
    )

__getattr__ = moved.submodules(__name__)
__all__ = [
    "certificates", "comparison", "convergence", "directions", "equivalence", "fit", "lyapunov", "modified",
    "statements", "work_precision",
]  # fmt: skip
