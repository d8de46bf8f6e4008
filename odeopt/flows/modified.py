"""Modified flows: the vector field that an optimizer with step h follows to a higher order in h.

An optimizer whose memory factors stay fixed as h -> 0 follows a flow of the position alone, x' = F0(x);
with the next terms of the backward error analysis the same iterates stay O(h^2) (O(h^3)) close:

    gradients     x' = -(g + c H g) = -grad(f + (c/2) |g|^2)
                  c = h/2 for gradient descent; third order: minus h^2 [H H g/3 + (d^3 f)(g, g)/12]
    roots         x' = -g/D - (h/2) (k1 - k2 w)/D H(g/D)
                  D = sqrt(g^2 + eps), w = g^2/D^2 (eps inside the root) or
                  D = |g| + eps, w = |g|/D (outside); k_i = (1 + beta_i)/(1 - beta_i)

Weight decay inside the gradient is another objective: g + decay x for g, H + decay for H. Beside the step it
drifts: the limit flow is F0 = -g - drift x (-g/D - drift x), and

    gradients     x' = F0 + c H F0 + (h/2) drift F0
    roots         x' = F0 + (h/2) (k1 - k2 w)/D H F0 + (h/2) drift F0

since the memory looks back along F0 and sees H F0, while Euler's own error is -(h/2) F0' F0.

H is applied through Hessian products. The third derivative (d^3 f)(g, g) is the directional derivative
along g of H(x) g at fixed g, by the central difference of order six over points (|x| + 1)/200 apart: its
truncation and round-off errors are of size 1e-12, and they enter multiplied by h^2/12.

Sources: Barrett, Dherin, arXiv:2009.11162; Hairer, Lubich, Wanner, Geometric Numerical Integration, section
IX.1; Kovachki, Stuart, arXiv:1906.04285; Cattaneo et al., arXiv:2309.00079.
"""

from dataclasses import dataclass

import numpy as np

from .. import checks
from ..abi import kernel
from ..spec import factory
from ..stencil import WEIGHTS
from .base import EPS_MODES, Flow


@kernel
def rhs_gradient(fg, hv, data, t, p, z, dz):
    """z = (x), p = (c, decay, drift, h drift/2)."""
    x, dx = z[0], dz[0]
    c, decay, drift, more = p[0], p[1], p[2], p[3]
    g = np.empty_like(x)
    fg(x, g, data)
    for i in range(x.size):
        g[i] += (decay + drift) * x[i]  # -F0
    hv(x, g, dx, data)
    for i in range(x.size):
        dx[i] = -(g[i] + c * (dx[i] + decay * g[i]) + more * g[i])


@kernel
def rhs_third(fg, hv, data, t, p, z, dz):
    """z = (x), p = (h, decay)."""
    x, dx = z[0], dz[0]
    h, decay = p[0], p[1]
    n = x.size
    g, hg, hhg, point = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.empty_like(x)
    fg(x, g, data)
    square, size = 0.0, 0.0
    for i in range(n):
        g[i] += decay * x[i]
        square += g[i] * g[i]
        size += x[i] * x[i]
    hv(x, g, hg, data)
    for i in range(n):
        hg[i] += decay * g[i]
    hv(x, hg, hhg, data)
    for i in range(n):
        hhg[i] += decay * hg[i]
        dx[i] = -(g[i] + 0.5 * h * hg[i] + h * h / 3.0 * hhg[i])
    if square > 0.0:  # d/ds H(x + s g) g at s = 0
        spacing = 5e-3 * (1.0 + np.sqrt(size)) / np.sqrt(square)
        for j in range(1, 4):
            weight = WEIGHTS[j - 1]
            for sign in (-1.0, 1.0):
                for i in range(n):
                    point[i] = x[i] + sign * j * spacing * g[i]
                hv(point, g, hg, data)
                for i in range(n):
                    dx[i] -= h * h / 12.0 * sign * weight * hg[i] / spacing


@kernel
def rhs_root(fg, hv, data, t, p, z, dz):
    """z = (x), p = (h, k1, k2, eps, 1 for eps inside the root, decay, drift); h = 0: the leading flow, no
    Hessian product."""
    x, dx = z[0], dz[0]
    h, k1, k2, eps, decay, drift = p[0], p[1], p[2], p[3], p[5], p[6]
    g, speed, product = np.empty_like(x), np.empty_like(x), np.zeros_like(x)
    fg(x, g, data)
    for i in range(x.size):
        g[i] += decay * x[i]
        scale = np.sqrt(g[i] * g[i] + eps) if p[4] > 0.0 else abs(g[i]) + eps
        speed[i] = (g[i] / scale if scale > 0.0 else 0.0) + drift * x[i]  # -F0
    if h > 0.0:
        hv(x, speed, product, data)
    for i in range(x.size):
        scale = np.sqrt(g[i] * g[i] + eps) if p[4] > 0.0 else abs(g[i]) + eps
        dx[i] = -speed[i] * (1.0 + 0.5 * h * drift)
        if scale > 0.0:
            w = abs(g[i]) / scale
            w = w * w if p[4] > 0.0 else w
            dx[i] -= 0.5 * h * (k1 - k2 * w) / scale * (product[i] + decay * speed[i])


@dataclass(frozen=True, eq=False, repr=False)
class ModifiedFlow(Flow):
    """A flow that belongs to one step size.

    Attributes
    ----------
    h : float
        Flow time of one step of the optimizer.
    order : int
        Order in h of the distance between the iterates and this flow (from the slow manifold).
    coefficient : float
        The flow descends f + ``coefficient`` * ``penalty`` (to this order, where preconditioned: in
        the metric of the leading flow; for the root flows at eps -> 0). Negative: it seeks large
        gradients. nan for root flows with drift, which descend nothing of this kind.
    penalty : str
        "" where ``coefficient`` is nan.
    """

    h: float = 0.0
    order: int = 1
    coefficient: float = 0.0
    penalty: str = ""


def mean_age(beta, ahead=False):
    """Mean age in steps of what a running memory with factor ``beta`` holds; with look-ahead (Nesterov) the share
    beta of it counts."""
    beta = checks.real("beta", beta, 0.0, 1.0, open_high=True)
    return beta * (beta if checks.switch("ahead", ahead) else 1.0) / (1 - beta)


@factory
def modified_gradient_flow(h, c, *, order=2, decay=0.0, drift=0.0, name="gradient descent"):
    """x' = -(g + c H g); ``h`` is the flow time of a step and ``c`` a time, ``decay`` in the unit of curvature
    and ``drift`` in 1/flow time. Order 3 is gradient descent's own (``c`` = h/2, no ``drift``); order 1
    leaves ``c`` out."""
    order, name = checks.choice("order", order, (1, 2, 3)), checks.text("name", name)
    h, c = checks.real("h", h), checks.real("c", c)
    decay, drift = checks.real("decay", decay), checks.real("drift", drift)
    c = 0.0 if order == 1 else c
    penalty = "|g|^2" if decay == 0 else "|g + decay x|^2"
    if drift:  # c H (g + drift x) is the gradient of this
        penalty = "(|g|^2 + 2 drift (x.g - f)), on (1 + h drift/2) (f + drift |x|^2/2)"
    more = 0.0 if order == 1 else 0.5 * h * drift
    if order == 3:
        equation = "x' = -(g + (h/2) H g + h² (H H g/3 + f'''(g, g)/12))"
        return ModifiedFlow(f"modified {name}, order 3", equation, rhs_third, {"h": h, "decay": decay},
                            needs_hessian=True, h=h, order=3, coefficient=c / 2, penalty=penalty)
    if order == 1:
        equation = "x' = -g" + (" - drift x" if drift else "")
    else:
        equation = "x' = F0 + c H F0 + (h/2) drift F0, F0 = -g - drift x" if drift else "x' = -(g + c H g)"
    equation += ", g + decay x for g" if decay else ""
    return ModifiedFlow(f"modified {name}, order {order}" if order > 1 else "gradient flow", equation, rhs_gradient,
                        {"c": c, "decay": decay, "drift": drift, "h drift/2": more},
                        needs_hessian=True, h=h, order=order, coefficient=c / 2, penalty=penalty)


@factory
def modified_root_flow(h, beta1, beta2, eps, *, order=2, eps_mode="inside", decay=0.0, drift=0.0, name="Adam"):
    """x' = -g/D - (h/2) (k1 - k2 w)/D H(g/D); ``eps`` in the unit of g^2 (of g outside the root), ``decay`` in
    that of curvature, ``drift`` in 1/flow time. Of ``beta1`` and ``beta2`` only the lags beta/(1 - beta), in
    steps, of the numerator and of the root matter."""
    order, name = checks.choice("order", order, (1, 2)), checks.text("name", name)
    h, eps = checks.nonnegative("h", h), checks.nonnegative("eps", eps)
    decay, drift = checks.real("decay", decay), checks.real("drift", drift)
    beta1, beta2 = (checks.real(label, beta, open_high=True, high=1.0)
                    for label, beta in (("beta1", beta1), ("beta2", beta2)))
    k1, k2 = ((1 + beta) / (1 - beta) for beta in (beta1, beta2))
    inside = checks.choice("eps_mode", eps_mode, EPS_MODES) == "inside"
    if order == 1:
        equation = "x' = -g/D" + (" - drift x" if drift else "")
    elif drift:
        equation = "x' = F0 + (h/2) (k1 - k2 w)/D H F0 + (h/2) drift F0, F0 = -g/D - drift x"
    elif eps == 0.0:
        equation = "x' = -sign(g) - (h/2) (k1 - k2)/|g| H sign(g)"
    else:
        equation = "x' = -g/D - (h/2) (k1 - k2 w)/D H(g/D)"
    if "D" in equation:
        equation += f", D = {'√(g² + eps)' if inside else '|g| + eps'}"
    equation += ", g + decay x for g" if decay else ""
    constants = {"h": h if order > 1 else 0.0, "k1": k1, "k2": k2, "eps": eps,
                 "inside": float(inside), "decay": decay, "drift": drift}
    coefficient, penalty = 0.5 * h * (k1 - k2) if order > 1 else 0.0, "|g + decay x|_1" if decay else "|g|_1"
    if drift:
        coefficient, penalty = float("nan"), ""
    return ModifiedFlow(f"modified {name}, order {order}", equation, rhs_root, constants, needs_hessian=order > 1,
                        h=h, order=order, coefficient=coefficient, penalty=penalty)
