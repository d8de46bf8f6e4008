"""Newton's flow: x' = -H(x)^{-1} g(x), along which g(x(t)) = e^{-t} g(x0).

Since g' = H x' = -g, every component of the gradient decays at the same rate, whatever the curvatures: the flow
does not change under linear maps of x. It makes for stationary points of every kind, minimum or not, and ends
where H becomes singular on the way: there the field grows without bound.

Explicit Euler with h <= 1 is damped Newton, with h = 1 Newton's method; on a quadratic g <- (1 - h) g, stable for
h < 2 on every curvature.

Up to n = 400 an evaluation costs n Hessian products and an elimination; above, conjugate gradients, which need H to be
positive definite. Where H is singular (above n = 400: not positive definite) the field is NaN, except at g = 0,
where it rests.

Sources: Gavurin, Izv. VUZ Matematika 5 (1958) 18; Smale, J. Math. Economics 3 (1976) 107.
"""

import numpy as np

from ..abi import kernel
from ..linear_systems import DENSE, TARGET, advance, begin, eliminate
from ..spec import factory
from .base import Flow


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x), no constants."""
    x, dx, n = z[0], dz[0], z.shape[1]
    fg(x, dx, data)
    v, r = np.zeros(n), np.empty(n)
    for i in range(n):
        r[i] = -dx[i]
    rr = begin(r, v, dx)
    target = TARGET * rr
    if rr == 0.0:
        return
    if n <= DENSE:
        a = np.empty((n, n))
        for j in range(n):
            for i in range(n):
                v[i] = 1.0 if i == j else 0.0
            hv(x, v, a[j], data)  # column j, which is row j
        eliminate(a, r)
        dx[:] = r
        return
    product = np.empty(n)
    for _ in range(2 * n + 10):
        hv(x, v, product, data)
        rr = advance(rr, 0.0, 1.0, 0.0, r, v, product, dx)
        if not rr > target:
            break
    if rr < 0.0:
        dx[:] = np.nan


def _products(n):
    return 1 + n


@factory
def newton_flow():
    """x' = -H^{-1} g; no constants, time without unit."""
    return Flow("Newton flow", "x' = -H⁻¹ g", rhs, needs_hessian=True, evaluations=_products)
