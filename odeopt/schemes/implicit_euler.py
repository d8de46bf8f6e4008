"""Implicit Euler on gradient flow: x_{n+1} = x_n - h g(x_{n+1}), the proximal point method. Order 1.

Each step minimises f(y) + |y - x_n|^2 / (2h) by Newton's method; the linear systems
(I + h H) d = -(y - x_n + h g(y)) are solved by conjugate gradients on Hessian products. Stable
for every h on convex f. Where I + h H is indefinite (h times a negative curvature below -1) CG
stops at the direction of negative curvature and the step is what Newton reached.

It stops when the residual |y - x_n + h g(y)| falls below 1e-13 (1 + |x_n|), at the latest after
50 Newton steps, and returns the residual that is left.

Source: Rockafellar (1976); Martens (2010) for Newton-CG with Hessian products.
"""

import numpy as np

from ..abi import kernel
from ..linear_systems import TARGET, advance, begin
from .base import Scheme


@kernel
def step(rhs, fg, hv, data, p, t, h, z, w):
    """Workspace: y, residual r (then CG's), direction q, Hq, Newton step d, and the number of
    gradients and Hessian products spent."""
    n = z.shape[1]
    x, y, r, q, hq, d = z[0], w[0], w[1], w[2], w[3], w[4]
    decay = p[0]
    scale = 0.0
    for i in range(n):
        y[i] = x[i]
        scale += x[i] * x[i]
    tolerance = 1e-13 * (1.0 + np.sqrt(scale))
    residual = np.inf
    spent = 0
    for _ in range(50):
        spent += 1
        fg(y, r, data)
        for i in range(n):
            r[i] = -(y[i] - x[i] + h * (r[i] + decay * y[i]))
        rr = begin(r, q, d)
        previous, residual = residual, np.sqrt(rr)
        if residual <= tolerance or not residual < previous:
            break
        target = TARGET * rr
        for _inner in range(2 * n + 10):
            hv(y, q, hq, data)
            spent += 1
            rr = advance(rr, 1.0, h, decay, r, q, hq, d)
            if not rr > target:
                break
        for i in range(n):
            y[i] += d[i]
    for i in range(n):
        x[i] = y[i]
    w[5, 0] = spent
    return residual


def on_gradient_flow(words):
    """``check(flow, problem)`` of a scheme whose linear systems are those of gradient flow."""

    def check(flow, problem):
        if flow.name != "gradient flow":
            raise ValueError(f"flow must be gradient flow for {words}, got {flow.name!r}")
        problem.need_hessian(words)

    return check


implicit_euler = Scheme("implicit Euler (proximal point)", step, 1, 0, work=lambda rows: 6,
                        check=on_gradient_flow("implicit Euler"))
