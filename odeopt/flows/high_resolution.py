"""High-resolution flows: the O(sqrt s) terms that tell Nesterov's methods from the heavy ball.

To leading order in the step size s both methods have the flow x'' + 2 sqrt(mu) x' + g = 0. One order
further, with r = sqrt(mu s) and H the Hessian,

    heavy-ball   x'' + 2 sqrt(mu) x' + (1 + r) g = 0
    nag-sc       x'' + 2 sqrt(mu) x' + sqrt(s) H x' + (1 + r) g = 0
    nag-c        x'' + (3/t) x' + sqrt(s) H x' + (1 + 3 sqrt(s)/(2 t)) g = 0,   t >= 3 sqrt(s)/2

where sqrt(s) H x' = sqrt(s) dg/dt is a gradient correction: friction along curved directions. The
methods, at momentum (1 - r)/(1 + r) (nag-c: (k - 1)/(k + 2)) and lr = s, start at rest with one gradient step.

The start decides what is seen. nag-c: x'(t0) = -sqrt(s) g(x0) at t0 = 3 sqrt(s)/2, and the method follows
with order 2 in sqrt(s). For the other two the velocity -2 sqrt(s) g/(1 + r), which stands in the paper,
leaves an error of order 1 (3 to 4 times smaller than that of the low-resolution flow on the sine bowl);
x'(0) = -(3/2) sqrt(s) g(x0) gives order 2. Both are kept, by name (:func:`high_resolution_start`): the
-3/2 follows from matching x(sqrt s) to the method's first step x0 - 2 s g/(1 + r) to O(s^{3/2}).

Source: Shi, Du, Jordan, Su, arXiv:1810.08907; the start: the package's own, with a test.
"""

import math

import numpy as np

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import Flow

KINDS = ("nag-sc", "heavy-ball", "nag-c")


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x, w), p = (friction, friction times t, curvature friction, force, force times t)."""
    x, w, dx, dw = z[0], z[1], dz[0], dz[1]
    friction = p[0] + (p[1] / t if p[1] > 0.0 else 0.0)
    force = p[3] + (p[4] / t if p[4] > 0.0 else 0.0)
    fg(x, dw, data)
    for i in range(x.size):
        dw[i] = -friction * w[i] - force * dw[i]
    if p[2] > 0.0:
        hv(x, w, dx, data)
        for i in range(x.size):
            dw[i] -= p[2] * dx[i]
    for i in range(x.size):
        dx[i] = w[i]


@factory
def high_resolution_flow(s, mu=0.0, *, kind="nag-sc"):
    """x'' + 2 sqrt(mu) x' + sqrt(s) H x' + (1 + sqrt(mu s)) g = 0, and its kin by ``kind``.

    ``s`` is the method's lr, ``mu`` the strong convexity (not used by "nag-c"). "nag-sc" and "nag-c"
    need a problem with a Hessian product. "nag-c" is singular at t = 0: start at
    :func:`high_resolution_start`.
    """
    s = checks.real("s", s, 0.0, open_low=True)
    mu = checks.real("mu", mu, 0.0)
    checks.choice("kind", kind, KINDS)
    root = math.sqrt(s)
    if kind == "nag-c":
        equation, p = "x'' + (3/t) x' + √s H x' + (1 + 3√s/(2t)) g = 0", (0.0, 3.0, root, 1.0, 1.5 * root)
    else:
        correction = root if kind == "nag-sc" else 0.0
        along_curvature = " + √s H x'" if correction else ""
        equation = f"x'' + 2√mu x'{along_curvature} + (1 + √(mu s)) g = 0"
        p = (2 * math.sqrt(mu), 0.0, correction, 1 + math.sqrt(mu * s), 0.0)
    names = ("friction", "friction t", "curvature friction", "force", "force t")
    return Flow(f"high-resolution {kind}", equation, rhs, dict(zip(names, p)), ("velocity",), order_of_position=2,
                needs_hessian=kind != "heavy-ball")


def high_resolution_start(x, g, s, mu=0.0, *, kind="nag-sc", velocity="matched"):
    """``(t0, z0)``: where the flow starts for a method that starts at ``x`` with gradient ``g``.

    ``velocity``: "matched" (order 2), or "paper" for the published one (nag-sc, heavy-ball: order 1).
    """
    checks.choice("kind", kind, KINDS)
    checks.choice("velocity", velocity, ("matched", "paper"))
    s, mu = checks.positive("s", s), checks.nonnegative("mu", mu)
    x = checks.point("x", x)
    g, root = checks.point("g", g, x.size), math.sqrt(s)
    if kind == "nag-c":
        return 1.5 * root, np.array([x, -root * g])
    factor = 1.5 if velocity == "matched" else 2 / (1 + math.sqrt(mu * s))
    return 0.0, np.array([x, -factor * root * g])


@factory
def nag_sc_flow(mu):
    """x'' + 2 sqrt(mu) x' + g = 0, the heavy ball with the critical friction of curvature ``mu``.

    The low-resolution flow of NAG-SC and of the heavy ball. f - f* + |x' + sqrt(mu) (x - x*)|^2/2
    decays like exp(-sqrt(mu) t)."""
    from .heavy_ball import heavy_ball_flow

    return heavy_ball_flow(2 * math.sqrt(checks.real("mu", mu, 0.0)))
