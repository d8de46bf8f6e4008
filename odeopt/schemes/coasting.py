"""Semi-implicit Euler that coasts ahead: Nesterov's shift, for memory that relaxes linearly. Order 1.

A step of such a memory is coasting (relaxation without force) and a push (the gradient's part). Semi-implicit
Euler moves the position by the coasting and the push of the same step; here it moves by the push of this
step and the coasting of the *next*, which needs no new gradient:

    s <- s + h F_s(t, x, s),    push = h F_s(t, x, 0)
    x <- x + h [F_x(s) - F_x(s - push)]  +  h F_x(s + h F_s(s) - push)        (at x and t + h)
                     push                          coasting ahead

On the heavy ball that is Nesterov's method, as is ``look_ahead_euler``, which predicts with the same gradient
instead. The two part where the position divides by a weight of the memory: here the push has the weight of
this step and the coasting that of the next. On Adam's flow this is NAdam with constant momentum (Dozat's
definition: in Adam's step, the coasting of this step replaced by that of the next).

Source: Dozat (2016), Incorporating Nesterov momentum into Adam, section 3, for Adam; as a scheme of any flow
the package's own.
"""

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import Scheme

_ROLES = {"still": 0.0, "memory": 1.0, "weight": 2.0}


@kernel
def step(rhs, fg, hv, data, p, t, h, z, w):
    """Workspace: F, the pushes, a state, F there; p ends with the role of each row of memory."""
    rows, n = z.shape
    role = p.size - rows  # p[role + j] is that of row j > 0
    field, push, state, there = w[:rows], w[rows : 2 * rows], w[2 * rows : 3 * rows], w[3 * rows :]
    state[:] = z
    for j in range(1, rows):
        if p[role + j] == 1.0:
            state[j] = 0.0
    rhs(fg, hv, data, t, p, state, push)
    rhs(fg, hv, data, t, p, z, field)
    for j in range(1, rows):
        for i in range(n):
            z[j, i] = z[j, i] + h * field[j, i]
    rhs(fg, hv, data, t + h, p, z, field)
    for part in range(2):  # the memory before the push, then coasting after it
        state[:] = z
        for j in range(1, rows):
            for i in range(n):
                if p[role + j] == 1.0:
                    state[j, i] = z[j, i] + h * ((field[j, i] if part > 0 else 0.0) - push[j, i])
                elif p[role + j] == 2.0 and part > 0:
                    state[j, i] = z[j, i] + h * field[j, i]
        rhs(fg, hv, data, t + h, p, state, there)
        for i in range(n):
            field[0, i] = field[0, i] + (there[0, i] if part > 0 else -there[0, i])
    for i in range(n):
        z[0, i] = z[0, i] + h * field[0, i]
    return 0.0


@factory
def coasting_euler(*roles):
    """The scheme for a flow whose rows of memory have these ``roles``, in the order of ``flow.slots``.

    "memory" coasts and is pushed (velocity, mean of g), "weight" moves with every coasting (the weight of such
    a mean), "still" keeps its new value (mean of g^2). Raises ValueError for other words, or a flow with
    another number of rows.
    """
    if not roles or not all(isinstance(role, str) and role in _ROLES for role in roles):
        raise ValueError("roles must be 'memory', 'weight' or 'still', one for each slot, "
                         f"got {checks.shown(roles)}")

    def check(flow, problem):
        if flow.rows != 1 + len(roles):
            raise ValueError(f"roles must be one for each of the flow's {flow.rows - 1} slots, got {roles}")

    return Scheme("semi-implicit Euler, coasting ahead", step, 1, 5, work=lambda rows: 4 * rows,
                  constants=(0.0, *(_ROLES[role] for role in roles)), check=check)
