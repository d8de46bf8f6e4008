"""Stormer-Verlet for second-order flows with linear friction, x'' + a(t) x' + g(x) = 0. Order 2.

Half kick, drift, half kick, the friction taken at the half-step velocity v (implicit midpoint):

    v = w + (h/2) F_w(t, x, v)
    x <- x + h v
    w <- v + (h/2) F_w(t + h, x, v)

Eliminating w gives the central-difference scheme, which is heavy-ball momentum with
beta = (1 - a h/2)/(1 + a h/2) and lr = h^2/(1 + a h/2).

The first line is linear in v with a diagonal matrix, so two probes of F_w (at w and at w + 1)
solve it exactly.

Source: Hairer, Lubich, Wanner, Geometric Numerical Integration, section I.1.4.
"""

from ..abi import kernel
from .base import Scheme


@kernel
def step(rhs, fg, hv, data, p, t, h, z, w):
    """Workspace: two values of F and a probe state; row 1 of z is the velocity."""
    n = z.shape[1]
    first, second, probe = w[0:2], w[2:4], w[4:6]
    rhs(fg, hv, data, t, p, z, first)
    for i in range(n):
        probe[0, i] = z[0, i]
        probe[1, i] = z[1, i] + 1.0
    rhs(fg, hv, data, t, p, probe, second)
    for i in range(n):
        friction = first[1, i] - second[1, i]
        velocity = z[1, i] + 0.5 * h * first[1, i] / (1.0 + 0.5 * h * friction)
        probe[1, i] = velocity
        probe[0, i] = z[0, i] + h * velocity
    rhs(fg, hv, data, t + h, p, probe, first)
    for i in range(n):
        z[0, i] = probe[0, i]
        z[1, i] = probe[1, i] + 0.5 * h * first[1, i]
    return 0.0


def _check(flow, problem):
    if flow.order_of_position != 2 or flow.rows != 2:
        raise ValueError(f"Stormer-Verlet needs a second-order flow x'' = ..., got {flow.name!r}")


stormer_verlet = Scheme("Störmer–Verlet", step, 2, 3, work=lambda rows: 3 * rows, check=_check)
