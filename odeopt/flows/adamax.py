"""The AdaMax flow: x' = -(m/q1)/u with the fading maximum u(t) = sup over s <= t of |g(s)| e^{-(t-s)/tau2}.

    u' = -u/tau2 where u > |g|,   u' = max(-u/tau2, d|g|/dt) where u = |g|

a sweeping process: u relaxes to 0 but is never below |g|. On the bound it moves with it, and
d|g_i|/dt = sign(g_i) (H x')_i takes a Hessian product. Coupled weight decay replaces g by g + decay x and H by
H + decay; decoupled decay adds -drift x to x'. "On the bound" means within one part in 10^9 of
it: without that band a solver's own errors would throw it off and on again in every step.

Sources: Kingma, Ba, arXiv:1412.6980, section 7.1; [A003].
"""

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import EPS_MODES, Flow

_BAND = 1.0 + 1e-9


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x, m, u, q1), p = (tau1, tau2, eps in the bound, eps beside u, decay, drift)."""
    x, m, u = z[0], z[1], z[2]
    dx, dm, du = dz[0], dz[1], dz[2]
    q1 = z[3, 0]
    fg(x, dm, data)
    for i in range(x.size):
        dm[i] += p[4] * x[i]
        mean = m[i] / q1 if q1 > 0.0 else dm[i]
        bound = max(u[i], abs(dm[i]) + p[2]) + p[3]
        dx[i] = (-mean / bound if bound != 0.0 else 0.0) - p[5] * x[i]
    hv(x, dx, du, data)
    for i in range(x.size):
        gi = dm[i]
        slope = du[i] + p[4] * dx[i]
        slope = slope if gi > 0.0 else -slope
        du[i] = -u[i] / p[1]
        if u[i] <= _BAND * (abs(gi) + p[2]) and slope > du[i]:
            du[i] = slope
        dm[i] = (gi - m[i]) / p[0]
    dz[3, :] = 0.0
    dz[3, 0] = (1.0 - q1) / p[0]


@factory
def adamax_flow(tau1, tau2, eps, *, eps_mode="inside", decay=0.0, drift=0.0):
    """x' = -(m/q1)/u - drift x, tau1 m' = g - m, u the largest (|g| + eps) e^{-(t-s)/tau2} over s <= t.

    Memory times in flow time; ``eps``, in the unit of g, is added to the bound |g| (``inside`` the
    maximum) or to u; ``decay`` (inside the gradient) in the unit of curvature, ``drift`` in 1/flow time.
    """
    inside = checks.choice("eps_mode", eps_mode, EPS_MODES) == "inside"
    tau1, tau2 = checks.positive("tau1", tau1), checks.positive("tau2", tau2)
    eps = checks.nonnegative("eps", eps)
    decay, drift = checks.real("decay", decay), checks.real("drift", drift)
    equation = (f"x' = -(m/q1)/{'u' if inside else '(u + eps)'}{' - drift x' if drift else ''}, tau1 m' = g - m, "
                f"u = sup of ({'|g| + eps' if inside else '|g|'}) e^(-(t-s)/tau2), tau1 q1' = 1 - q1"
                f"{', g + decay x for g' if decay else ''}")
    return Flow("AdaMax", equation, rhs, {"tau1": tau1, "tau2": tau2,
                "eps in bound": eps * inside, "eps": eps * (not inside), "decay": decay, "drift": drift},
                ("mean", "maximum", "mean weight"), needs_hessian=True)
