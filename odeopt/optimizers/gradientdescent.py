"""Gradient descent: explicit Euler on gradient flow.

Flow          x' = -g
Update        x <- x - lr g
Scheme        explicit Euler, h = lr (flow time)
Order         1; local error (h^2/2) |H g|
Stability     lr lambda < 2 on curvature lambda
Weight decay  x <- x - lr (g + weight_decay x): explicit Euler on x' = -(g + weight_decay x);
              coupled and decoupled decay are the same update here
Scaling       lr ~ h; weight_decay is a rate of the flow and stays

Source: [A000], eq. 4-6.
"""

from dataclasses import dataclass

from ..abi import kernel, precision
from ..flows import gradient_flow, modified_gradient_flow
from ..schemes import explicit_euler
from .base import Optimizer, nonnegative, positive, variant


@kernel
def gradient_descent(k, p, x, g, s):
    """p = (lr, weight_decay); no slots."""
    lr, decay = p[0], p[1]
    keep = 1.0 - lr * decay
    real = precision(x, g, s)
    lr, keep = real(lr), real(keep)
    for i in range(x.size):
        x[i] = keep * x[i] - lr * g[i]
    return p[0]


@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """x <- x - lr (g + weight_decay x).

    Parameters
    ----------
    lr : float > 0
        Learning rate, the step in flow time.
    weight_decay : float >= 0, default 0
        Rate of decay towards 0, in 1/flow time.
    weight_decay_mode : {"decoupled", "coupled"}
        The same update for this method.
    """

    title = "gradient descent"
    modified_orders = (1, 2, 3)
    noise_enters = (0, 1.0)
    look = ("#0072B2", "o")
    aliases = ("gd",)

    lr: float = positive(scales="h")
    weight_decay: float = nonnegative(default=0.0)
    weight_decay_mode: str = variant("decoupled", "coupled")

    kernel = staticmethod(gradient_descent)

    @property
    def flow(self):
        return gradient_flow(self.weight_decay)

    @property
    def scheme(self):
        return explicit_euler

    def stability_limit(self):
        return self.limit(2.0, "2")

    @property
    def projection_is_sound(self):
        return True

    def modified_flow(self, order):
        return modified_gradient_flow(self.lr, self.lr / 2, order=order, decay=self.weight_decay)
