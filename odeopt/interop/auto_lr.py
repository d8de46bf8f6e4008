"""``lr="auto"``: a learning rate from the curvature at the start.

Up to 30 Hessian products at x0 (n of them, if that is fewer) build a Krylov space from a random
vector, as power iteration does, but all of it is used (Lanczos): its extreme Ritz values estimate the
largest eigenvalue L of the Hessian in modulus and the smallest, mu. For gradient descent the best
constant step on a quadratic with that spectrum is 2/(L + mu); where mu is not positive, 1/L. Momentum
and Nesterov get half of their stability limit on curvature L: heavy ball (1 + m)/L, EMA form
(1 + m)/((1 - m) L), Nesterov (1 + m)/((1 + 2 m) L).

Both estimates err inwards. A smaller mu would only lengthen the step; L is taken 10 % above its
estimate, because the expected error of 30 products is at most 9 % of L - mu at n = 10^6 (Kuczynski,
Wozniakowski, theorem 3.2). Twenty power iterations may miss L by 20 % there, and with it the
stability limit.

The estimate is local: where the curvature grows along the way the run may still diverge (it then
says so); ``method="armijo"`` and ``method="spg"`` adapt the step instead.

Sources: Nesterov, Introductory Lectures on Convex Optimization, theorem 2.1.15; Kuczynski,
Wozniakowski, SIAM J. Matrix Anal. Appl. 13 (1992) 1094; stability limits as on the optimizers' pages.
"""

import numpy as np

from ..method import LINEAR
from ..spectrum import spectrum_ends

MARGIN = 1.1


def check_auto_lr(cls, **given):
    """An instance of ``cls`` with step size 1; ValueError where ``lr="auto"`` has no rule for it."""
    probe = cls(**{cls.step_name: 1.0} | given)
    if not has_rule(probe):
        raise ValueError(f"lr='auto' needs a method whose step is linear in the gradients and that has a stability "
                         f"limit, as GradientDescent, Momentum and Nesterov; {cls.__name__} needs a number")
    return probe


def has_rule(optimizer):
    """Whether the curvature alone says how long a step may be."""
    return optimizer.stability_limit() is not None and all(slot.role in LINEAR for slot in optimizer.slots)


def auto_lr(cls, product, n, **given):
    """``(lr, words)`` for the optimizer class ``cls`` with hyperparameters ``given``.

    Parameters
    ----------
    cls : subclass of Optimizer
        One with a stability limit whose step is linear in the gradients.
    product : callable
        ``product(v)`` is the Hessian at the start times ``v``.
    n : int

    Raises
    ------
    ValueError
        Another class; a Hessian that is zero or not finite at the start.
    """
    probe = check_auto_lr(cls, **given)
    estimate, mu = spectrum_ends(product, n)
    if not np.isfinite(estimate) or estimate <= 0.0:
        raise ValueError(f"lr='auto' needs a curvature at x0, and the Hessian there has norm {estimate}")
    largest = MARGIN * estimate
    limit = probe.stability_limit()
    if probe.slots or not mu > 0:
        lr, rule = 0.5 * limit.value / largest, f"half of the stability limit {limit.formula}, over L"
    else:
        lr, rule = limit.value / (largest + mu), f"{limit.formula}/(L + mu)"
    return float(lr), f"lr = {lr:.6g} = {rule} with L = {largest:.4g}, mu = {mu:.4g} at x0"
