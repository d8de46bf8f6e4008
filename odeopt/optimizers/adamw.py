"""AdamW: Adam with decoupled weight decay, a Lie splitting of Adam's flow and the decay flow.

Update     x <- (1 - lr weight_decay) x, then Adam's step with the gradient of the *old* x
Flow       x' = -(m/q1)/(sqrt(v/q2) + eps) - weight_decay x, m, v, q_i as Adam's (adam.py)
Scheme     semi-implicit Euler, h = lr. It can be read as Lie splitting: Euler's step 1 - lr
           weight_decay on x' = -weight_decay x, then Adam's; because the gradient is taken before
           the decay, the composition is the unsplit scheme, digit for digit. (Splitting with the
           gradient after the decay, or with the exact exp(-lr weight_decay), is another scheme of
           the same flow and the same order)
Order      1
Scaling    lr ~ h, beta_i = 1 - h/tau_i, eps and weight_decay (a rate, 1/flow time) fixed
Stability  frozen preconditioner: lr lambda_max(H/P) < (2 - lr weight_decay)(1 + beta1)/(1 - beta1)
Limit      where it converges (with sum lr infinite), the limit is a KKT point of min f subject to
           |x|_inf <= 1/weight_decay
Paper      theta <- theta - eta_t (alpha m/sqrt(v) + lambda theta): lambda there is lr weight_decay
           here (torch and optax multiply by lr, too)

Sources: Loshchilov, Hutter, arXiv:1711.05101, algorithm 2; the limit: Xie, Li, arXiv:2404.04454.
"""

from dataclasses import dataclass

from .adam import Adam
from .base import nonnegative, variant


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay.

    Parameters
    ----------
    lr, beta1, beta2, eps, eps_mode
        As :class:`Adam`.
    weight_decay : float >= 0, default 1e-2
        Rate of decay towards 0, in 1/flow time.
    weight_decay_mode : {"decoupled", "coupled"}
    eps_root
        As :class:`Adam`.
    """

    title = "AdamW"
    look = ("#B36B00", "d")

    weight_decay: float = nonnegative(default=1e-2)
    weight_decay_mode: str = variant("decoupled", "coupled")
