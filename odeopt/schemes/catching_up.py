"""Semi-implicit Euler with catching-up, for sweeping processes: one row stays above a moving bound.

The memory moves by explicit Euler; a row u that the flow keeps above a bound b is then moved up to
it where it has fallen below (Moreau's catching-up algorithm); the position follows with the new
memory and the old gradient:

    s <- s + h F_s(t, x, s)
    u <- max(u + h F_u, b)   where u was above b, else u <- b
    x <- x + h F_x(t + h, x, s)

The bound is |g(x) + decay x| (AdaMax), another row of memory (AMSGrad), or in element 0 the distance of x from a
row of memory (DoG). The flow's own field holds u on the bound by moving with it, for solvers that know nothing of
bounds; here the projection does it. Order 1.

Source: Moreau, Evolution problem associated with a moving convex set in a Hilbert space, J.
Differential Equations 26 (1977), section 5.
"""

from .. import checks
from ..abi import kernel
from ..spec import factory
from ..sums import distance_between
from .base import Scheme


@kernel
def step(rhs, fg, hv, data, p, t, h, z, w):
    """Workspace: F, then g; p ends with (row u, row of the bound or -1, divisor row or 0, offset, decay, row from which
    x has its distance or 0)."""
    rows, n = z.shape
    row, bound_row, divisor, centre = int(p[-6]), int(p[-5]), int(p[-4]), int(p[-1])
    by_gradient = bound_row < 0
    rhs(fg, hv, data, t, p, z, w[:rows])
    for j in range(1, rows):
        if j != row:
            for i in range(n):
                z[j, i] = z[j, i] + h * w[j, i]
    g = w[rows]
    if centre > 0:
        g[:] = 0.0
        g[0] = distance_between(z[0], z[centre])
    elif by_gradient:
        fg(z[0], g, data)
    scale = 1.0 / z[divisor, 0] if divisor > 0 else 1.0
    for i in range(n):
        bound = (abs(g[i] + p[-2] * z[0, i]) if by_gradient else z[bound_row, i]) * scale + p[-3]
        if z[row, i] > bound:
            z[row, i] = max(z[row, i] + h * w[row, i], bound)
        else:
            z[row, i] = bound
    rhs(fg, hv, data, t + h, p, z, w[:rows])
    for i in range(n):
        z[0, i] = z[0, i] + h * w[0, i]
    return 0.0


@factory
def catching_up_euler(row, bound_row=None, *, divisor=0, offset=0.0, decay=0.0, distance_row=0):
    """Keep row ``row`` above ``offset`` plus |g + decay x| (``bound_row`` None) or row ``bound_row``, the latter
    divided by element 0 of row ``divisor`` when that is not 0. With ``distance_row`` its element 0 is kept above the
    distance of the position from that row instead."""
    row = checks.integer("row", row, 1)
    others = {"divisor": checks.integer("divisor", divisor)}
    others["distance_row"] = checks.integer("distance_row", distance_row)
    if distance_row and (bound_row is not None or decay):
        raise ValueError(f"distance_row must be 0 with a bound_row or decay, got {distance_row}")
    if bound_row is not None:
        others["bound_row"] = checks.integer("bound_row", bound_row)

    def check(flow, problem):
        for name, value in {"row": row, **others}.items():
            if value >= flow.rows:
                raise ValueError(f"{name} must be one of the {flow.rows} rows of {flow.name}, from 0, got {value}")

    bound = -1.0 if bound_row is None else float(bound_row)
    stages = 3 if bound_row is None and not distance_row else 2
    return Scheme("semi-implicit Euler with catching-up", step, 1, stages, work=lambda rows: rows + 1,
                  constants=(float(row), bound, float(divisor), checks.real("offset", offset),
                             checks.real("decay", decay), float(distance_row)), check=check)
