"""Partitioned Euler: explicit Euler in stages, each row of the state in its stage.

The rows of one stage move together by explicit Euler, from a field evaluated at the newest values
of all rows:

    for each stage:   z_j <- z_j + h F_j(z)   for the rows j of that stage

Stages (1, 0, 0, ...) are semi-implicit Euler. RMSprop with momentum needs three (the square, then
the velocity, then the position), Adadelta two (the square; then the position together with the
mean square of its own speed). Order 1. Stages before the position's see the time t, the others
t + h.

With look-ahead the position moves with the state predicted one step further from the same
gradient, as in ``look_ahead_euler``; the rows of the first stage are not predicted.
"""

import numpy as np

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import Scheme


@kernel
def step(rhs, fg, hv, data, p, t, h, z, w):
    """Workspace: F, then the predicted state; p ends with 1 for look-ahead and the stages."""
    rows, n = z.shape
    first = p.size - rows
    position = int(p[first])
    last = 0
    for j in range(rows):
        last = max(last, int(p[first + j]))
    field, ahead = w[:rows], w[rows:]
    for stage in range(last + 1):
        now = t + h if stage >= position else t
        rhs(fg, hv, data, now, p, z, field)
        if p[first - 1] > 0.0 and stage == position:
            for j in range(rows):
                predict = 0 < int(p[first + j]) < position
                for i in range(n):
                    ahead[j, i] = z[j, i] + h * field[j, i] if predict else z[j, i]
            rhs(fg, hv, data, now, p, ahead, field)
        for j in range(rows):
            if int(p[first + j]) == stage:
                for i in range(n):
                    z[j, i] = z[j, i] + h * field[j, i]
    return 0.0


@factory
def partitioned_euler(stages, *, look_ahead=False):
    """The scheme for ``stages``, one stage number (from 0) for each row of z, the position first."""
    if not np.iterable(stages):
        raise TypeError(f"stages must be a sequence of stage numbers, got {checks.shown(stages)}")
    stages = tuple(checks.integer("stages", stage) for stage in stages)
    checks.switch("look_ahead", look_ahead)
    if not stages or set(stages) != set(range(max(stages) + 1)):
        raise ValueError(f"stages must be numbers from 0 without a gap, got {stages}")

    def check(flow, problem):
        if flow.rows != len(stages):
            raise ValueError(f"stages must have one number for each of the flow's {flow.rows} rows, got {stages}")

    name = "partitioned Euler" + (" with look-ahead" if look_ahead else "")
    return Scheme(name, step, 1, max(stages) + 1 + bool(look_ahead), work=lambda rows: 2 * rows,
                  constants=(float(look_ahead), *map(float, stages)), check=check)
