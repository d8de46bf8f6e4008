"""The polynomial Bregman family: x'' + ((p + 1)/t) x' + C p^2 t^{p-2} g(x) = 0, rate f - f* = O(t^{-p}).

State (x, w), w = x'. All members are one curve run at different speeds: X_p(t) = X_2(t^{p/2})
exactly (time dilation; put tau = t^{p/2} into the equation), and p = 2, C = 1/4 is Nesterov's flow. A
faster flow is therefore worth nothing in itself: what can be gained is lost in the step that a
stable scheme may take. At t = 0 the smooth solution has x = x0 - (C/2) t^p g(x0) + ..., so x''(0) is
-C g for p = 2 and 0 for p > 2, which ``rhs`` uses there.

With friction (2 p + 1)/t and C = 1, Runge-Kutta schemes of order s with step N^{-1/(s+1)} keep the rate
up to f - f* = O(N^{-p s/(s+1)}) in the number of steps N (for p = 2: on L-smooth f).

Sources: Wibisono, Wilson, Jordan, arXiv:1603.04245, section 2; Zhang, Mokhtari, Sra, Jadbabaie,
arXiv:1805.00521, for the larger friction.
"""

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import Flow


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x, w), p = (p, C, friction)."""
    x, w, dx, dw = z[0], z[1], dz[0], dz[1]
    power, c = p[0], p[1]
    fg(x, dw, data)
    force = c * power * power * t ** (power - 2.0) if t > 0.0 else 0.0
    for i in range(x.size):
        dx[i] = w[i]
        if t > 0.0:
            dw[i] = -(p[2] / t) * w[i] - force * dw[i]
        else:
            dw[i] = -4.0 * c / (1.0 + p[2]) * dw[i] if power == 2.0 else 0.0


@factory
def bregman_flow(p=2.0, C=0.25, *, friction=None):
    """x'' + ((p + 1)/t) x' + C p^2 t^{p-2} g = 0 with ``p`` >= 2 and ``C`` > 0.

    Below p = 2 the force is infinite at t = 0. ``friction`` replaces p + 1 in (p + 1)/t.
    """
    p = checks.real("p", p, 2.0, 1e6)
    c = checks.real("C", C, 0.0, open_low=True)
    r = p + 1 if friction is None else checks.real("friction", friction, 0.0)
    return Flow("Bregman", f"x'' + ({r:g}/t) x' + {c * p * p:g} t^{p - 2:g} g = 0", rhs,
                {"p": p, "C": c, "friction": r}, ("velocity",), order_of_position=2)
