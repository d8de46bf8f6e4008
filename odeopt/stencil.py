"""The finite-difference stencil: the central difference of order six."""

from collections.abc import Callable
from typing import Any

# Of f(i h) - f(-i h), i = 1, 2, 3, in f'(0) h; the error is h^6 f^(7)/140. In kernels, too.
WEIGHTS = (45 / 60, -9 / 60, 1 / 60)


def derivative(function: Callable[[float], Any], spacing: float) -> Any:
    """d/ds function(s) at s = 0, of six values at most three ``spacing`` away; the function may be an array's."""
    total = 0.0
    for i, weight in enumerate(WEIGHTS, 1):
        total = total + weight * (function(i * spacing) - function(-i * spacing))
    return total / spacing
