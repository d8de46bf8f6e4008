"""The flow of sharpness-aware minimisation: x' = -g(x + rho g/|g|), with the radius rho fixed.

It descends by the gradient at the worst point of a ball of radius rho, to first order in rho; for small rho that
is x' = -(g + rho H g/|g|), which descends f + rho |g|. Without the normalisation, x' = -g(x + rho g), to first
order in rho the flow of f + (rho/2) |g|^2.

At a stationary point g/|g| has no limit and the normalised field jumps. Next to a minimiser with curvatures from
mu > 0 to L it is not shorter than rho mu, so that the flow arrives there in finite time, and Euler steps chatter
about it with an amplitude of up to h rho L. At g = 0 exactly ``rhs`` returns 0.

Explicit Euler with step h = lr is SAM; an evaluation costs two gradients. Radii in proportion to the step belong to the
scheme ``schemes.sam``.

Sources: Foret et al., arXiv:2010.01412, algorithm 1; Compagnoni et al., arXiv:2301.08203.
"""

import numpy as np

from .. import checks
from ..abi import kernel
from ..spec import factory
from ..sums import scaled_norm
from .base import Flow


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x), p = (rho, 1 for normalised)."""
    x, dx = z[0], dz[0]
    fg(x, dx, data)
    scale, length = scaled_norm(dx)
    if scale == 0.0:
        return
    if p[1] == 0.0:
        scale, length = 1.0, 1.0
    point = np.empty_like(x)
    for i in range(x.size):
        point[i] = x[i] + p[0] * (dx[i] / scale / length)
    fg(point, dx, data)
    for i in range(x.size):
        dx[i] = -dx[i]


def _two(n):
    return 2


@factory
def sam_flow(rho, *, normalized=True):
    """x' = -g(x + rho g/|g|), or -g(x + rho g) where not ``normalized``; ``rho`` >= 0 in the unit of x (of flow
    time where not normalised)."""
    rho, normalized = checks.nonnegative("rho", rho), checks.switch("normalized", normalized)
    return Flow("SAM flow" if normalized else "SAM flow, not normalised",
                f"x' = -g(x + rho g{'/|g|' if normalized else ''})", rhs,
                {"rho": rho, "normalized": float(normalized)}, evaluations=_two)
