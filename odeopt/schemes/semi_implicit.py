"""Semi-implicit (symplectic) Euler for partitioned flows, plain and with look-ahead.

The memory moves first, by explicit Euler; the position then moves with the *new* memory and the
old position, so both halves use one and the same gradient:

    s <- s + h F_s(t, x, s)
    x <- x + h F_x(t + h, x, s)

Order 1. For x'' + a x' + g = 0 this is heavy-ball momentum, for the RMSprop and Adam flows it is
RMSprop and Adam.

With look-ahead the position uses the memory predicted one step further, still from the same
gradient:

    x <- x + h F_x(t + h, x, s + h F_s(t + h, x, s))

which is Nesterov's gradient at the extrapolated point, written at that point.

Both call the field again with the same position, so a generic run costs two (three) gradients a
step where the optimizer needs one: these schemes say what an optimizer is; the optimizer is how
it is computed.
"""

from ..abi import kernel
from .base import Scheme


@kernel
def step(rhs, fg, hv, data, p, t, h, z, w):
    """Workspace: F."""
    rhs(fg, hv, data, t, p, z, w)
    for j in range(1, z.shape[0]):
        for i in range(z.shape[1]):
            z[j, i] = z[j, i] + h * w[j, i]
    rhs(fg, hv, data, t + h, p, z, w)
    for i in range(z.shape[1]):
        z[0, i] = z[0, i] + h * w[0, i]
    return 0.0


@kernel
def look_ahead_step(rhs, fg, hv, data, p, t, h, z, w):
    """Workspace: F, then the predicted state."""
    rows = z.shape[0]
    ahead = w[rows:]
    rhs(fg, hv, data, t, p, z, w[:rows])
    for j in range(1, rows):
        for i in range(z.shape[1]):
            z[j, i] = z[j, i] + h * w[j, i]
    rhs(fg, hv, data, t + h, p, z, w[:rows])
    for j in range(rows):
        for i in range(z.shape[1]):
            ahead[j, i] = z[j, i] + h * w[j, i] if j > 0 else z[j, i]
    rhs(fg, hv, data, t + h, p, ahead, w[:rows])
    for i in range(z.shape[1]):
        z[0, i] = z[0, i] + h * w[0, i]
    return 0.0


semi_implicit_euler = Scheme("semi-implicit Euler", step, 1, 2, work=lambda rows: rows)
look_ahead_euler = Scheme("semi-implicit Euler with look-ahead", look_ahead_step, 1, 3,
                          work=lambda rows: 2 * rows)
