"""The flow of Polyak's step: x' = -(f - f*) g/|g|^2, along which f - f* = e^{-t} (f(x0) - f*).

d(f - f*)/dt = g.x' = -(f - f*) for every f, convex or not, as long as g is not 0 on the way. It is gradient flow
in another time, dt = |g|^2/(f - f*) ds: the orbits are the same.

Explicit Euler with h = 1 is Polyak's step length (f - f*)/|g|^2. On convex f the distance to every minimiser
shrinks for 0 < h < 2, since g.(x - x*) >= f - f*; on a one-dimensional quadratic a step multiplies x by 1 - h/2
whatever the curvature.

f* too low: the field grows without bound towards the minimum, where f - f* does not vanish, and the solution ends.
f* too high: it becomes a target, approached like e^{-t}, and where f <= f* everything rests; where that can be
known (a minimum of the problem, or f at its start, below f*) it is refused. At g = 0 with f > f* there is no
direction: the field is not finite.

Sources: Polyak, Introduction to Optimization (1987), section 5.3; Hazan, Kakade, arXiv:1905.00313.
"""

from dataclasses import dataclass

from .. import checks
from ..abi import kernel
from ..spec import factory
from ..sums import scaled_norm
from .base import Flow


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x), p = (f*)."""
    dx = dz[0]
    gap = fg(z[0], dx, data) - p[0]
    scale, length = scaled_norm(dx)
    for i in range(dx.size):
        dx[i] = 0.0 if gap <= 0.0 else -gap / (scale * length) * (dx[i] / scale / length)


@dataclass(frozen=True, eq=False, repr=False)
class PolyakFlow(Flow):
    """A flow with a lower bound of f."""

    def check(self, problem):
        super().check(problem)
        f_star = self.constants["f_star"]
        known = {"f_min": problem.f_min, "f(x0)": problem.fun(problem.x0)}
        for name, value in known.items():
            if value is not None and f_star > value + 1e-12 * (1.0 + abs(value)):
                raise ValueError(f"f_star must be the infimum of f or a bound below it, and {problem.name} has "
                                 f"{name} = {value:.6g}, got {f_star:.6g}")


@factory
def polyak_flow(f_star):
    """x' = -(f - f_star) g/|g|^2; ``f_star`` the infimum of f (``problem.f_min`` where that is known), time
    without unit."""
    if f_star is None:
        raise ValueError("f_star must be the infimum of f, got None (a problem's f_min where it is not known)")
    return PolyakFlow("Polyak flow", "x' = -(f - f_star) g/|g|²", rhs, {"f_star": checks.real("f_star", f_star)})
