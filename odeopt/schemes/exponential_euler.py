"""Exponential semi-implicit Euler: memory that relaxes linearly is advanced exactly. Order 1.

For flows whose memory obeys s_j' = a_j(x) - c_j s_j, each row with its own rate (averages of g and g^2,
the velocity of a heavy ball), the memory moves by the exact solution at a fixed position, then the
position moves with the new memory:

    s <- s + h phi(c h) F_s(t, x, s),   phi(z) = (1 - e^{-z})/z
    x <- x + h F_x(t + h, x, s)

Where semi-implicit Euler has the factor 1 - h/tau, this has beta = e^{-h/tau}: running averages and friction
are stable for every h, and h may be far larger than tau. For x'' + a x' + g = 0 the iterates are those of
heavy-ball momentum with momentum e^{-a h} and lr = h^2 phi(a h).

The rates are found by one more evaluation of the field, at s + 1 (F_s is linear in s); a flow whose
memory rows feel each other or move nonlinearly is refused by that probe.

Source: Hochbruck, Ostermann, Acta Numerica 19 (2010), section 2.
"""

import numpy as np

from ..abi import kernel
from .base import Scheme


@kernel
def step(rhs, fg, hv, data, p, t, h, z, w):
    """Workspace: F at z, F at the probe, the probe."""
    rows, n = z.shape
    field, other, probe = w[:rows], w[rows : 2 * rows], w[2 * rows : 3 * rows]
    rhs(fg, hv, data, t, p, z, field)
    for j in range(rows):
        for i in range(n):
            probe[j, i] = z[j, i] + 1.0 if j > 0 else z[j, i]
    rhs(fg, hv, data, t, p, probe, other)
    for j in range(1, rows):
        for i in range(n):
            u = h * (field[j, i] - other[j, i])  # c_j h
            phi = -np.expm1(-u) / u if u != 0.0 else 1.0
            z[j, i] = z[j, i] + h * phi * field[j, i]
    rhs(fg, hv, data, t + h, p, z, field)
    for i in range(n):
        z[0, i] = z[0, i] + h * field[0, i]
    return 0.0


def _check(flow, problem):
    """Each memory row must be linear in itself and feel no other row: probed at the problem's start."""
    z = flow.start(problem.x0)
    z[1:] = 0.5
    t = 1.0  # away from the singular start of flows with fading friction
    field = flow.field(problem)
    base, memory = field(t, z), range(1, flow.rows)
    for j in memory:
        once, twice, single = z.copy(), z.copy(), z.copy()
        once[j] += 1.0
        twice[j] += 2.0
        single[j, 0] += 1.0
        first, second = field(t, once) - base, field(t, twice) - base
        scale = 1e-9 * (1 + np.abs(first[j]).max())
        other = max((np.abs(first[i]).max() for i in memory if i != j), default=0.0)
        other = max(other, np.abs((field(t, single) - base)[j, 1:]).max(initial=0.0))
        if not (other <= scale and np.abs(second[j] - 2 * first[j]).max() <= scale):
            raise ValueError(f"exponential Euler needs memory that relaxes linearly, each row by itself, and "
                             f"{flow.slots[j - 1]!r} of the flow {flow.name!r} does not")


exponential_euler = Scheme("exponential semi-implicit Euler", step, 1, 3, work=lambda rows: 3 * rows, check=_check)
