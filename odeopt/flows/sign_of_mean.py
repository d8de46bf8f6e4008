"""The sign of a running mean of gradients: x' in -Sign(m) - decay x, tau m' = g - m.

What Lion and signum become where their memory lasts: with beta = 1 - h/tau the mean m spans the time tau, however
small the step. (At fixed betas it spans a time of order h: sign_inclusion.py.) The field jumps where m_i passes 0, but
m_i' = g_i/tau is the same on both sides: where g_i is not 0 either, the solution crosses at once, is unique and never
slides. It has a corner there and is smooth between. From m_i = g_i = 0 on a coordinate slides as in sign_inclusion.py,
but none gets there in finite time that does not start there.

About a minimiser coordinates turn in the plane of m_i and g_i, ever faster and closer: for x^2 c/2 half a turn from
amplitude A of g takes the time 2 A/c, and A falls like e^(-t/(3 tau)) whatever the curvature c. So the corners get
dense, and a solution beyond some thousands of them is not computed.

Order of a method against it: that of max_n |x_n - x(t_n)|, over times in which a half turn takes many steps. A corner
is seen in whole steps, whence errors of size h that jump with h, as for the inclusion without memory; a phase once
lost is not found again.

:func:`odeopt.reference` solves it from corner to corner (:mod:`odeopt.reference.filippov`).

Sources: signum, Bernstein et al., arXiv:1802.04434, algorithm 2; Lion: odeopt/optimizers/lion.py; the flow: the
package's own.
"""

from dataclasses import dataclass

import numpy as np

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import Flow
from .sign_inclusion import SignInclusion


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x, m), p = (tau, decay)."""
    x, m, dx, dm = z[0], z[1], dz[0], dz[1]
    fg(x, dm, data)
    for i in range(x.size):
        dm[i] = (dm[i] - m[i]) / p[0]
        dx[i] = -np.sign(m[i]) - p[1] * x[i]


@dataclass(frozen=True, eq=False, repr=False)
class SignOfMean(SignInclusion):
    """A flow whose field jumps where a component of its memory is 0."""

    def check(self, problem):
        """It takes no Hessian, and problems of any size."""
        Flow.check(self, problem)


@factory
def sign_of_mean(tau, decay=0.0):
    """x' in -Sign(m) - decay x, tau m' = g - m; ``tau`` > 0 in flow time, ``decay`` >= 0 in 1/flow time."""
    constants = {"tau": checks.positive("tau", tau), "decay": checks.nonnegative("decay", decay)}
    equation = f"x' ∈ -Sign(m){' - decay x' if decay else ''}, tau m' = g - m"
    return SignOfMean("sign of the mean", equation, rhs, constants, ("mean",))
