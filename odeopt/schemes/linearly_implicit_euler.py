"""Linearly implicit Euler on gradient flow: x <- x - (H(x) + I/h)^{-1} g(x), Levenberg and Marquardt's step. Order 1.

It is implicit Euler whose equation is solved by one Newton step from x (Rosenbrock's method of one stage):

    (I + h H) d = -h g(x),   x <- x + d

with the damping 1/h of Levenberg and Marquardt as the reciprocal step: h -> 0 is gradient descent, h -> infinity
Newton's method. The stability function is 1/(1 - z): on curvature c a step multiplies by 1/(1 + h c), which is
stable for every h c > 0 and tends to 0 (L-stable). Along a negative curvature it grows up to h |c| = 1, where the
matrix is singular, and beyond it the step goes uphill: keep h below 1/|c|. (A trust region chooses it so.)

Up to n = 400 the matrix is formed by n Hessian products and eliminated; above, conjugate gradients solves the
system to 1e-14 of its right-hand side and stops at a direction of negative curvature. A matrix that is exactly
singular gives NaN, and the run ends there. On a problem whose product is that of Gauss and Newton
(``problems.least_squares``) the step is the one that Levenberg and Marquardt wrote down.

Sources: Levenberg, Quart. Appl. Math. 2 (1944) 164; Marquardt, J. SIAM 11 (1963) 431; Hairer, Wanner, Solving
Ordinary Differential Equations II, section IV.7.
"""

from ..abi import kernel
from ..linear_systems import DENSE, TARGET, advance, begin, eliminate
from .base import Scheme
from .implicit_euler import on_gradient_flow


@kernel
def step(rhs, fg, hv, data, p, t, h, z, w):
    """Workspace: right-hand side r, q, Hq, the step d, the matrix (n rows, for n <= 400), and the number of
    gradients and Hessian products spent."""
    n = z.shape[1]
    x, r, q, hq, d = z[0], w[0], w[1], w[2], w[3]
    decay, last = p[0], w.shape[0] - 1
    fg(x, r, data)
    for i in range(n):
        r[i] = -h * (r[i] + decay * x[i])
    spent = 1
    if last > 4:
        a = w[4:last]
        for j in range(n):
            for i in range(n):
                q[i] = 1.0 if i == j else 0.0
            hv(x, q, a[j], data)  # column j, which is row j
            for i in range(n):
                a[j, i] = q[i] + h * (a[j, i] + decay * q[i])
        eliminate(a, r)
        spent += n
        for i in range(n):
            d[i] = r[i]
    else:
        rr = begin(r, q, d)
        target = TARGET * rr
        for _ in range(2 * n + 10):
            hv(x, q, hq, data)
            spent += 1
            rr = advance(rr, 1.0, h, decay, r, q, hq, d)
            if not rr > target:
                break
    for i in range(n):
        x[i] += d[i]
    w[last, 0] = spent
    return 0.0


linearly_implicit_euler = Scheme("linearly implicit Euler (Levenberg–Marquardt)", step, 1, 0, work=lambda rows: 5,
                                 check=on_gradient_flow("linearly implicit Euler"), matrix_up_to=DENSE)
