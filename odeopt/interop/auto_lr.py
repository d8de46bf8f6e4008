"""``lr="auto"``: a learning rate from the curvature at the start.

Two power iterations on Hessian products estimate the largest eigenvalue L of the Hessian at x0,
and the smallest, mu (on L I - H). For gradient descent the best constant step on a quadratic with
that spectrum is 2/(L + mu); where mu is not positive, 1/L. Momentum and Nesterov get half of
their stability limit on curvature L: heavy ball (1 + m)/L, EMA form (1 + m)/((1 - m) L), Nesterov
(1 + m)/((1 + 2 m) L). L is taken 10 % above its estimate, since power iteration approaches it from
below.

The estimate is local: where the curvature grows along the way the run may still diverge (it then
says so); ``method="armijo"`` and ``method="spg"`` adapt the step instead.

Source: Nesterov, Introductory Lectures on Convex Optimization, theorem 2.1.15; stability limits as
on the optimizers' pages.
"""

import numpy as np

from ..optimizers import GradientDescent, Momentum, Nesterov

ITERATIONS = 20
MARGIN = 1.1
SUPPORTED = (GradientDescent, Momentum, Nesterov)


def spectrum_ends(product, n, iterations=ITERATIONS):
    """``(L, mu)``: largest and smallest eigenvalue of a symmetric operator, by power iteration.

    ``product(v) -> (n,)``. L is the largest in modulus (taken as positive); mu may be negative.
    """
    rng = np.random.default_rng(0)  # fixed: the same call gives the same learning rate

    def power(operator):
        v = rng.standard_normal(n)
        v /= np.linalg.norm(v)
        value = 0.0
        for _ in range(iterations):
            w = operator(v)
            value, length = float(v @ w), float(np.linalg.norm(w))
            if not np.isfinite(length) or length == 0.0:
                break
            v = w / length
        return value, length

    _, largest = power(product)
    if not np.isfinite(largest) or largest == 0.0:
        return largest, 0.0
    shifted, _ = power(lambda v: largest * v - product(v))
    return largest, largest - shifted


def check_auto_lr(cls, **given):
    """An instance of ``cls`` with lr = 1; ValueError where ``lr="auto"`` has no rule for it."""
    if cls not in SUPPORTED:
        raise ValueError(f"lr='auto' is for {', '.join(c.__name__ for c in SUPPORTED)}; "
                         f"{cls.__name__} needs a number")
    return cls(lr=1.0, **given)


def auto_lr(cls, product, n, **given):
    """``(lr, words)`` for the optimizer class ``cls`` with hyperparameters ``given``.

    Parameters
    ----------
    cls : GradientDescent, Momentum or Nesterov
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
    if cls is GradientDescent:
        lr, rule = (2 / (largest + mu), "2/(L + mu)") if mu > 0 else (1 / largest, "1/L")
    elif cls is Momentum:
        m = probe.momentum
        lr, rule = (1 + m) / largest, "(1 + m)/L"
        if probe.form == "ema":
            lr, rule = lr / (1 - m), "(1 + m)/((1 - m) L)"
        elif probe.form == "torch":
            lr, rule = lr / (1 - probe.dampening), "(1 + m)/((1 - dampening) L)"
    else:
        m = 1.0 if probe.momentum is None else probe.momentum
        lr, rule = (1 + m) / ((1 + 2 * m) * largest), "(1 + m)/((1 + 2 m) L)"
    return float(lr), f"lr = {lr:.6g} = {rule} with L = {largest:.4g}, mu = {mu:.4g} at x0"
