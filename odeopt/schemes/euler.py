"""Explicit Euler: z <- z + h F(t, z). Order 1; local error (h^2/2) z''.

On gradient flow this is gradient descent with lr = h ([A000], eq. 4-6); stable on a quadratic
for h lambda < 2.
"""

from ..abi import kernel
from .base import Scheme


@kernel
def step(rhs, fg, hv, data, p, t, h, z, w):
    """Workspace: F."""
    rhs(fg, hv, data, t, p, z, w)
    for j in range(z.shape[0]):
        for i in range(z.shape[1]):
            z[j, i] = z[j, i] + h * w[j, i]
    return 0.0


explicit_euler = Scheme("explicit Euler", step, 1, 1, work=lambda rows: rows)
