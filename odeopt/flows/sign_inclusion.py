"""Sign descent in continuous time, a differential inclusion: x' in -Sign(g(x)) - decay x.

Sign(0) is the interval [-1, 1], of each coordinate by itself, and a solution in Filippov's sense is an absolutely
continuous x(t) whose derivative lies in the set at almost every time. Where g_i is not 0, x_i moves at unit speed.
Where g_i reaches 0 and either sign would lead back, x slides along the surface g_i = 0. With S the sliding
coordinates and F the others, g_S = 0 is kept by

    H_SS v_S = -H_SF v_F,   v_F = -sign(g_F) - decay x_F,   u_S = -(v_S + decay x_S)

(the equivalent control), as long as |u_i| <= 1; coordinate i leaves its surface where |u_i| passes 1. Which of the
coordinates with g_i = 0 slide and which leave is decided together, by the quadratic program

    u_A = argmin of u'H_AA u/2 - q'u over |u_i| <= 1,   q = H_AF v_F - decay H_AA x_A

which has one solution where H_AA is positive definite: there the future is unique. At rest everything slides, v = 0;
with decay that needs |x_i| <= 1/decay, and a coordinate that would be outside tends to +-1/decay while g_i keeps its
sign: the limits are KKT points of min f on that box.

Order of a method against an inclusion: that of max_n |x_n - x(t_n)|, of positions alone. Velocities do not converge:
explicit Euler takes one value -sign(g) of the set at each step, and where the solution slides its iterates chatter
about it with an amplitude of size h, which is why no explicit scheme with fixed step, of whatever classical order, is
better than order 1. The error divided by h jumps with h between two bounds, for the grid x0 + h Z lies otherwise to
the surfaces: :func:`odeopt.convergence` takes the mean over many steps. Explicit Euler is sign descent with decoupled
decay, of order 1. Lion at *fixed* betas has the same limit: its memory spans 1/(1 - beta2) steps, a time of order h.
With beta_i = 1 - h/tau_i the memory remains, another system: sign_of_mean.py.

``rhs`` is the value with sign(0) = 0; :func:`odeopt.reference` solves the inclusion
(:mod:`odeopt.reference.filippov`), for which it needs Hessian products.
The smooth neighbour x' = -g/sqrt(g^2 + eps^2) is ``flows.sign_flow``.

Sources: Filippov, Differential Equations with Discontinuous Righthand Sides (1988); Utkin, Sliding Modes in Control
and Optimization (1992), chapter 2 (equivalent control). The quadratic program: the package's own; with constant H
it is the minimal section of the gradient flow of |g|_1 in the metric of H^{-1}.
"""

from dataclasses import dataclass

import numpy as np

from .. import checks
from ..abi import kernel
from ..linear_systems import DENSE
from ..spec import factory
from .base import Flow


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x), p = (decay)."""
    x, dx = z[0], dz[0]
    fg(x, dx, data)
    for i in range(x.size):
        dx[i] = -np.sign(dx[i]) - p[0] * x[i]


@dataclass(frozen=True, eq=False, repr=False)
class SignInclusion(Flow):
    """A flow whose field is a set where a component of the gradient is 0."""

    def check(self, problem):
        super().check(problem)
        if problem.dim > DENSE:
            raise ValueError(f"the flow {self.name!r} takes a Hessian column for each coordinate that slides, and "
                             f"problems of n <= {DENSE}: {problem.name} has n = {problem.dim}")


@factory
def sign_inclusion(decay=0.0):
    """x' in -Sign(g) - decay x; ``decay`` >= 0 in 1/flow time, which is the unit of x."""
    decay = checks.nonnegative("decay", decay)
    return SignInclusion("sign inclusion", "x' ∈ -Sign(g)" + (" - decay x" if decay else ""), rhs, {"decay": decay},
                         needs_hessian=True)  # not rhs: its solutions do
