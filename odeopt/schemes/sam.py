"""Sharpness-aware minimisation with a radius in proportion to the step, on any flow. Order 1.

    y = z - rho F(t, z),   z <- z + h F(t, y),   rho = ratio h

On gradient flow that is SAM with the gradient not normalised: it ascends by rho g and descends by the gradient
there. As a Runge-Kutta method it has two stages, the first of them backwards in time (a21 = -ratio); ratio = -1/2
is the midpoint rule, of order 2, and ratio = 0 explicit Euler.

Modified flow: x' = -(g + (h/2 + rho) H g), that is f + (h/4 + rho/2) |g|^2, to order 2: the ascent adds rho/2 to
gradient descent's own h/4. On curvature c a step multiplies by 1 - u - ratio u^2, u = h c, stable up to
u = 2 (gradient descent) for ratio = 0 and (sqrt(1 + 8 ratio) - 1)/(2 ratio) for ratio > 0.

With a radius that stays as h -> 0, and with the gradient normalised, the limit is another flow:
``flows.sam_flow``, whose explicit Euler steps are SAM's.

Sources: Foret et al., arXiv:2010.01412; not normalised: Andriushchenko, Flammarion, arXiv:2206.06232; the modified
flow: Compagnoni et al., arXiv:2301.08203.
"""

from .. import checks
from ..spec import factory
from .runge_kutta import explicit_runge_kutta


@factory
def sam(ratio=1.0):
    """The scheme with the radius ``ratio`` times the step, a real number."""
    ratio = checks.real("ratio", ratio, -1e100, 1e100)
    return explicit_runge_kutta(f"SAM, radius {ratio:g} h", [[0, 0], [-ratio, 0]], [0, 1],
                                order=2 if ratio == -0.5 else 1)
