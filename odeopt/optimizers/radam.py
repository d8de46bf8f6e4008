"""RAdam: Adam whose step is rectified while the mean square has seen few gradients.

Update     m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2;  q_i = 1 - beta_i^k
           rho = 2/(1 - beta2) - 1,  rho_k = rho - 2 k beta2^k/q2
           x <- x - lr r_k (m/q1)/(sqrt(v/q2) + eps)                 where rho_k > threshold,
           x <- x - lr m/q1                                          before (5 steps, mostly),
           r_k^2 = (rho_k - 4)(rho_k - 2) rho/((rho - 4)(rho - 2) rho_k)
Flow       x' = -r(t) (m/q1)/(sqrt(v/q2) + eps), r(t)^2 = 1 - s/(e^s - 1), s = t/tau2, with m, v and q_i
           as in Adam's flow (flows/adam.py): rho and rho_k grow like 1/h, and r_k^2 tends to rho_k/rho
Scheme     none: r_k is r(t) only up to O(h). Without the rectification it would be Adam's
Order      1: the steps that are not rectified are few, each of length h, and r ~ sqrt(s/2) at the start is
           integrable and costs Euler's method no order
Scaling    lr ~ h, beta_i = 1 - h/tau_i, eps and threshold fixed
Stability  late in a run, with frozen preconditioner, Adam's: lr lambda_max(H/P) < 2 (1 + beta1)/(1 - beta1)
Decay      coupled or decoupled, as adam.py
Zero       with eps = 0 a coordinate whose v is 0 does not move where the step is rectified
Variants   ``form``: eps beside sqrt(v/q2) (optax), or beside sqrt(v) (torch), which is eps/sqrt(q2) beside the
           corrected root. threshold: 5 in torch and optax, 4 in the paper (below 4 there is no r_k). With
           beta2 <= 2/3 rho_k never exceeds 5, and no step is rectified

Sources: Liu et al., arXiv:1908.03265, algorithm 2; the flow: the package's own.
"""

from dataclasses import dataclass

import numpy as np

from ..abi import kernel, precision
from ..flows import Flow
from ..method import Slot
from .adam import Adam
from .base import eps_places, number, variant


@kernel
def radam(k, p, x, g, s):
    """p = (lr, beta1, beta2, eps, weight decay, eps_root, threshold, 1 for eps inside, 1 for decoupled, 1 for torch);
    s = (m, v, q1, q2), q in element 0."""
    lr, inside, outer = p[0], p[3] * p[7], p[4] * p[8]
    outside, inner, keep = p[3] - inside, p[4] - outer, 1.0 - p[0] * outer
    inside += p[5]
    new1, new2 = 1.0 - p[1], 1.0 - p[2]
    q1 = s[2, 0] + new1 * (1.0 - s[2, 0])
    q2 = s[3, 0] + new2 * (1.0 - s[3, 0])
    s[2, 0], s[3, 0] = q1, q2
    limit = 2.0 / new2 - 1.0
    seen = limit - 2.0 * (k + 1.0) * (1.0 - q2) / q2
    rectified = seen > p[6]
    step, root, inside = lr / q1, 1.0 / np.sqrt(q2), inside * q2
    if p[9] > 0.0:  # torch's eps stands beside the uncorrected root
        outside, inside = outside * root, inside / q2
    if rectified:
        step *= np.sqrt((seen - 4.0) * (seen - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * seen))
    m, v = s[0], s[1]
    real = precision(x, g, s)
    inner, new1, new2, keep, step, root = real(inner), real(new1), real(new2), real(keep), real(step), real(root)
    old1, old2, inside, outside, zero = real(p[1]), real(p[2]), real(inside), real(outside), real(0.0)
    for i in range(x.size):
        mi, vi, xi = m[i], v[i], x[i]
        gi = g[i] + inner * xi
        mi = old1 * mi + new1 * gi
        vi = old2 * vi + new2 * gi * gi
        move = step * mi
        if rectified:
            below = np.sqrt(vi + inside) * root + outside
            move = move / below if below != zero else zero
        xi = keep * xi - move
        m[i] = mi
        v[i] = vi
        x[i] = xi
    return p[0]


@kernel
def field(fg, hv, data, t, p, z, dz):
    """z = (x, m, v, q1, q2), p = (tau1, tau2, eps beside the root, eps under it, decay, drift, 1 for torch)."""
    x, m, v = z[0], z[1], z[2]
    dx, dm, dv = dz[0], dz[1], dz[2]
    q1, q2 = z[3, 0], z[4, 0]
    dz[3:5, :] = 0.0
    dz[3, 0] = (1.0 - q1) / p[0]
    dz[4, 0] = (1.0 - q2) / p[1]
    age = t / p[1]
    if age <= 0.0:
        r = 0.0
    elif age < 1e-5:  # where 1 - s/(e^s - 1) cancels
        r = np.sqrt(0.5 * age * (1.0 - age / 6.0))
    else:
        r = np.sqrt(1.0 - age / np.expm1(age))
    beside, under = p[2], p[3]
    if p[6] > 0.0 and q2 > 0.0:
        beside, under = p[2] / np.sqrt(q2), p[3] / q2
    fg(x, dx, data)
    for i in range(x.size):
        gi = dx[i] + p[4] * x[i]
        dm[i] = (gi - m[i]) / p[0]
        dv[i] = (gi * gi - v[i]) / p[1]
        mean = m[i] / q1 if q1 > 0.0 else gi
        square = max(v[i], 0.0) / q2 if q2 > 0.0 else gi * gi
        root = np.sqrt(square + under) + beside
        dx[i] = (-r * mean / root if root != 0.0 else 0.0) - p[5] * x[i]


@dataclass(frozen=True)
class RAdam(Adam):
    """Adam with a rectified step.

    Parameters
    ----------
    lr, beta1, beta2, eps, eps_mode, weight_decay, weight_decay_mode, eps_root
        As :class:`Adam`, but for eps_mode="hat": that is form="torch".
    threshold : float >= 4, default 5
        Steps are rectified from where rho_k is above it.
    form : {"torch", "optax"}
        Whether eps and eps_root go with the uncorrected root of v, or with the corrected one.
    """

    title = "RAdam"
    modified_orders = ()
    look = ("#CC6677", "v")

    threshold: float = number(default=5.0, low=4.0)
    form: str = variant("torch", "optax")

    kernel = staticmethod(radam)

    def __post_init__(self):
        super().__post_init__()
        if self.eps_mode == "hat":
            raise ValueError("eps_mode must be 'outside' or 'inside', and form='torch' for the uncorrected root, "
                             "got 'hat'")

    @property
    def slots(self):
        return (Slot("mean", "average", "g"), Slot("square", "square", "g^2"), Slot("mean weight", "weight"),
                Slot("square weight", "weight"))

    @property
    def p(self):
        """(lr, beta1, beta2, eps, weight_decay, eps_root, threshold, then 1 for: eps inside the root, decoupled decay,
        torch's form)."""
        return self.numbers_and(self.eps_mode == "inside", self._decoupled, self.form == "torch")

    @property
    def flow(self):
        inner, outer = self.split_decay()
        torch = self.form == "torch"
        tau1, tau2 = self.taus
        under, beside = eps_places(self)
        root = f"√(v/q2{(' + eps_root' + '/q2' * torch) * bool(under)})"
        root = f"({root} + eps{'/√q2' * torch})" if beside else root
        equation = (f"x' = -r (m/q1)/{root}{' - drift x' if outer else ''}, r² = 1 - s/(e^s - 1), s = t/tau2, "
                    "tau1 m' = g - m, tau2 v' = g² - v, tau_i q_i' = 1 - q_i")
        constants = {"tau1": tau1, "tau2": tau2, "eps": beside, "eps_root": under, "decay": inner,
                     "drift": outer, "torch": float(torch)}
        return Flow("RAdam", equation, field, constants, ("mean", "square", "mean weight", "square weight"))

    @property
    def scheme(self):
        return None
