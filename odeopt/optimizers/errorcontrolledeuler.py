"""Error-controlled Euler: the step length is the error measure.

Flow       gradient flow x' = -g at the accumulated time t_n = sum of gamma_n
Update     gamma = tol/|g|,  x <- x - gamma g
Scheme     explicit Euler with the step gamma_n; each step moves x by exactly tol
Order      1 in tol
Stability  it never settles: near a minimum it steps over by up to tol, so the last distance to
           the minimiser is of size tol
Scaling    tol ~ h

gamma |g| stands for the error of an Euler step ([A000], eq. 9). The true local error is
(gamma^2/2) |H g|; the embedded Heun-Euler pair measures that one, and
``odeopt.schemes.heun_euler`` with ``rtol`` is the genuine controller to compare with.

In one dimension x moves by -tol sign(g) and time by tol/|g|: time and position have changed
places (eq. 11). Where g = 0 the step is 0: a stationary point stays. |g| is taken without overflow or
underflow, so x moves by tol wherever g is not 0; gamma itself is infinite below |g| = tol/1.8e308, and a run
says so.

Source: [A000], eq. 9-11.
"""

from dataclasses import dataclass

from ..abi import kernel, precision
from ..flows import gradient_flow
from ..schemes import explicit_euler
from .base import Optimizer, positive
from .normalizedgd import move


@kernel
def error_controlled_euler(k, p, x, g, s):
    """p = (tol); no slots. Returns gamma, the flow time of the step."""
    precision(x, g, s)  # refuses integers
    return move(x, g, p[0])


@dataclass(frozen=True)
class ErrorControlledEuler(Optimizer):
    """x <- x - tol g/|g|, at flow time t <- t + tol/|g|.

    Parameters
    ----------
    tol : float > 0
        Step length |dx|, in the unit of x.
    """

    title = "error-controlled Euler"
    step_name = "tol"
    look = ("#3B9AD9", "s")

    tol: float = positive(scales="h")

    kernel = staticmethod(error_controlled_euler)

    @property
    def h(self):
        """The tolerance; the step in flow time varies."""
        return self.tol

    @property
    def reduces(self):
        return True

    @property
    def flow(self):
        return gradient_flow()

    @property
    def scheme(self):
        return explicit_euler

    @property
    def projection_is_sound(self):
        return True
