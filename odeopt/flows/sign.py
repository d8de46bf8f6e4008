"""The regularised sign flow: x' = -g/sqrt(g^2 + eps^2), elementwise.

As eps -> 0 it becomes x' = -sign(g), whose right-hand side jumps where a component of g changes
sign: solutions in the sense of Filippov slide along the surface g_i = 0, and sign descent chatters
about it with amplitude lr. The regularised field replaces the jump by a layer of width eps in g and
is stiff there (rate H_ii/eps), which implicit solvers follow.

Sources: [A000], eq. 11; Filippov, Differential Equations with Discontinuous Righthand Sides
(1988); the regularised form as the small-memory limit of RMSprop: Ma, Wu, E, arXiv:2009.06125.
"""

import numpy as np

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import Flow


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x), p = (eps)."""
    dx = dz[0]
    fg(z[0], dx, data)
    for i in range(dx.size):
        dx[i] = -dx[i] / np.hypot(dx[i], p[0])


@factory
def sign_flow(eps):
    """x' = -g/sqrt(g^2 + eps^2); ``eps`` > 0 in the unit of the gradient."""
    return Flow("regularised sign flow", "x' = -g/√(g² + eps²)", rhs, {"eps": checks.positive("eps", eps)})
