"""Barzilai-Borwein: explicit Euler on gradient flow whose step is a secant estimate of 1/curvature.

With s = x_k - x_{k-1} and y = g_k - g_{k-1},
  long    gamma = scale s.s/s.y
  short   gamma = scale s.y/y.y
  x <- x - gamma g

Flow       gradient flow x' = -g at the accumulated time t_n = sum of gamma_n
Scheme     explicit Euler with the step gamma_n: step-size control by curvature instead of error
Order      1 in ``scale`` (with lr moving alike); at scale = 1 the step is near the inverse of a
           Rayleigh quotient of H, so gamma lambda_max exceeds 2 in about every other step and f rises in
           every fifth (20 curvatures from 1 to 100): the method lives beyond the stability limit of every
           fixed step, and still converges on convex quadratics (Raydan 1993). Elsewhere it may not:
           ``minimize`` with ``method="spg"`` guards it by a line search
First step lr; where s.y <= 0 (no positive curvature seen), or a sum of squares overflows or vanishes, the step
           before is kept
Scaling    scale ~ h, lr ~ h
Variants   scale < 1 is the relaxed method

Sources: Barzilai, Borwein, IMA J. Numer. Anal. 8 (1988) 141, eq. 5 and 6; Raydan, IMA J. Numer.
Anal. 13 (1993) 321; relaxation: Raydan, Svaiter, Comput. Optim. Appl. 21 (2002) 155.
"""

from dataclasses import dataclass

import numpy as np

from ..abi import cold_path, kernel, precision
from ..flows import gradient_flow
from ..method import Slot
from ..schemes import explicit_euler
from .base import Optimizer, positive, variant


@kernel
def _secant(x, g, old_x, old_g, real):
    """s.s, s.y and y.y in float64, of differences taken in the precision ``real``."""
    ss, sy, yy = 0.0, 0.0, 0.0
    for i in range(x.size):
        si, yi = np.float64(real(x[i]) - real(old_x[i])), np.float64(real(g[i]) - real(old_g[i]))
        ss += si * si
        sy += si * yi
        yy += yi * yi
    return ss, sy, yy


@kernel
def barzilai_borwein(k, p, x, g, s):
    """p = (lr, scale, 1 for the short step); s = (x before, g before, gamma before in element 0).

    Returns gamma, the flow time of the step.
    """
    precision(x, g, s)  # refuses integers
    old_x, old_g = s[0], s[1]
    gamma = p[0]
    if k > 0:
        ss, sy, yy = _secant(x, g, old_x, old_g, x.dtype.type)  # in their own precision, which is faster
        if not ss + yy < np.inf:
            cold_path()
            ss, sy, yy = _secant(x, g, old_x, old_g, np.float64)
        gamma = s[2, 0]
        above, below = (sy, yy) if p[2] > 0.0 else (ss, sy)
        if sy > 0.0 and below > 0.0:  # 1/0 is an error in the interpreter
            secant = p[1] * (above / below)
            if 0.0 < secant < np.inf:
                gamma = secant
    s[2, 0] = gamma
    for i in range(x.size):
        xi, gi = x[i], g[i]
        old_x[i] = xi
        old_g[i] = gi
        x[i] = xi - gamma * gi
    return gamma


@dataclass(frozen=True)
class BarzilaiBorwein(Optimizer):
    """x <- x - gamma g with gamma = scale s.s/s.y or scale s.y/y.y.

    Parameters
    ----------
    lr : float > 0, default 1e-3
        The first step, in flow time.
    scale : float > 0, default 1
        Relaxation; below 1 for short, accurate steps.
    form : {"long", "short"}
    """

    title = "Barzilai–Borwein"
    look = ("#2A4D8F", "^")
    aliases = ("bb",)
    full_batch_only = True

    lr: float = positive(default=1e-3, scales="h")
    scale: float = positive(default=1.0, scales="h")
    form: str = variant("long", "short")

    kernel = staticmethod(barzilai_borwein)

    @property
    def slots(self):
        return (Slot("previous position", "previous", "x"), Slot("previous gradient", "previous", "g"),
                Slot("step", "step", "t"))

    @property
    def p(self):
        """(lr, scale, 1 for the short step)."""
        return np.array([self.lr, self.scale, float(self.form == "short")])

    @property
    def h(self):
        """The relaxation; the step in flow time varies."""
        return self.scale

    @property
    def reduces(self):
        return True

    @property
    def flow(self):
        return gradient_flow()

    @property
    def order_condition(self):
        """s.y changes sign with it, and the step with s.y, whatever the scale."""
        return "the curvature along the path keeps its sign"

    @property
    def scheme(self):
        return explicit_euler
