"""``lr="auto"``: a learning rate from the gradient and the curvature at the start.

**Steps that are linear in the gradients** (gradient descent, momentum, Nesterov, schedule-free SGD; adaptive
gains at their largest). Up to 30 Hessian products at x0 (n of them, if that is fewer) build a Krylov space from a
random vector, as power iteration does, but all of it is used (Lanczos): its extreme Ritz values estimate the
largest eigenvalue L of the Hessian in modulus and the smallest, mu. For gradient descent the best
constant step on a quadratic with that spectrum is 2/(L + mu); where mu is not positive, 1/L. Methods with memory
get half of the limit with which they are stable from the first step on, on curvature L: heavy ball (1 + m)/L,
EMA form (1 + m)/((1 - m) L), Nesterov (1 + m)/((1 + 2 m) L).

Both estimates err inwards. A smaller mu would only lengthen the step; L is taken 10 % above its
estimate, because the expected error of 30 products is at most 9 % of L - mu at n = 10^6 (Kuczynski,
Wozniakowski, theorem 3.2). Twenty power iterations may miss L by 20 % there, and with it the
stability limit.

**Steps whose length does not follow the gradient's** (sign and normalised descent, error-controlled Euler,
RMSprop, Amos; Adam and its kin if asked). Their lr is a length, and one Hessian product gives one:

    R = |g|^2/|H g|,  |g|/L <= R <= |x0 - x*|  on every quadratic with a stationary point x*, convex or not

(with x0 - x* = e it is |H e|^2 <= |H^2 e| |e|, the inequality of Cauchy and Schwarz). Of N = maxiter steps each
moves x by R/sqrt(N) with the gradient of the start, when the memory has settled on it: the step of fixed length
that is best for a normalised (sub)gradient method on a convex function at distance R. So in N steps x can
go sqrt(N) R far, and near a minimum it chatters by about R/sqrt(N): such a run ends at maxiter, not at gtol.
Such an lr goes with x if its units change, and does not see those of f.

The estimates are local: where the curvature grows along the way the run may still diverge (it then
says so); ``method="armijo"`` and ``method="spg"`` adapt the step instead.

Sources: Nesterov, Introductory Lectures on Convex Optimization, theorems 2.1.15 and 3.2.2; Kuczynski,
Wozniakowski, SIAM J. Matrix Anal. Appl. 13 (1992) 1094; stability limits as on the optimizers' pages; the bounds
of R: the package's own.
"""

from typing import Any

import numpy as np

from .. import checks
from ..method import LINEAR
from ..optimizers import Optimizer
from ..spectrum import spectrum_ends

MARGIN = 1.1
_SETTLING = 32  # steps at x0 in which a velocity settles on the gradient there, as other memory has from the start
_ROUNDS = 50  # two where a step is proportional to lr, a few with weight decay, more to find units far from 1
_DIVIDES = ("square", "supremum")  # roles of what a step divides by


def auto_lr(method, product, n, *, at=None, steps=10_000, **given):
    """``(lr, words)`` for an optimizer, or for a class of them with hyperparameters ``given``.

    Parameters
    ----------
    method : Optimizer, or a subclass of it
    product : callable
        ``product(v)`` is the Hessian at the start times ``v``.
    n : int
    at : (x0, gradient there), optional
        Needed for methods whose steps are not linear in the gradients.
    steps : int
        That the run may take.
    **given
        Hyperparameters.

    Raises
    ------
    ValueError
        A method whose steps are proportional to the gradients, but without a stability limit; one whose lr is
        no step; a Hessian that is zero or not finite at the start.
    """
    kind = method if isinstance(method, type) else type(method)
    if not issubclass(kind, Optimizer):
        raise TypeError(f"method must be an Optimizer or a subclass of it, got {checks.shown(method)}")
    checks.takes("product", product, "product(v)")
    n, steps = checks.integer("n", n, 1), checks.integer("steps", steps, 1)
    if at is not None:
        if not isinstance(at, (tuple, list)) or len(at) != 2:
            raise TypeError(f"at must be a pair (x0, gradient there), got {checks.shown(at)}")
        at = checks.point("at, first,", at[0], n), checks.array("at, second,", at[1], (n,), finite=False)
    probe: Any = method(**{method.step_name: 1.0} | given) if isinstance(method, type) else (
        method.changed(**given) if given else method)
    limit = probe.limit_from_start()
    if limit is None:
        if at is None:
            raise ValueError(f"at must be given for {kind.__name__}, whose steps are not linear in the gradients")
        return _by_length(probe, product, at, steps)
    estimate, mu = spectrum_ends(product, n)
    _check_curvature(estimate)
    largest = MARGIN * estimate
    if any(slot.role in LINEAR for slot in probe.slots) or not mu > 0:
        lr, rule = 0.5 * limit.value / largest, f"half of the stability limit {limit.formula}, over L"
    else:
        lr, rule = limit.value / (largest + mu), f"{limit.formula}/(L + mu)"
    return float(lr), f"lr = {lr:.6g} = {rule} with L = {largest:.4g}, mu = {mu:.4g} at x0"


def _by_length(method, product, at, steps):
    if method.flow is not None and method.scaling().get(method.step_name) != "h":
        raise ValueError(f"lr='auto' needs an lr that is a step in flow time, and that of {method.title} is none: give "
                         "it a number")
    x, g = at
    norm = float(np.linalg.norm(g))
    if norm == 0.0:
        raise ValueError("at must have a gradient that is not zero")
    curvature = float(np.linalg.norm(product(g / norm)))
    _check_curvature(curvature)
    target = norm / curvature / np.sqrt(steps)
    step, moved = 1e-3, 0.0
    for _ in range(_ROUNDS):
        moved = _settled_move(method.with_step(step), x, g)
        if abs(moved - target) <= 1e-3 * target:
            break
        step *= 1e3 if moved == 0.0 else float(target / moved) if moved < np.inf else 1e-3
    if not abs(moved - target) <= 0.1 * target:
        raise ValueError(f"lr='auto' needs a method that can move x by R/sqrt(maxiter) = {target:.3g} at x0, and "
                         f"{method.title} moves it by {moved:.3g}")
    found = method.with_step(step)
    if _settled_move(found, x, 2 * g) > 1.5 * target and not any(slot.role in _DIVIDES for slot in found.slots):
        raise ValueError(f"lr='auto' needs a stability limit of a method whose steps are proportional to the "
                         f"gradients, and {method.title} has none: give it a number")
    return step, (f"{method.step_name} = {step:.6g}, with which a step moves x by R/sqrt(maxiter), "
                  f"R = |g|^2/|H g| = {norm / curvature:.4g} at x0")


def _settled_move(optimizer, x, g):
    """How far a step moves x when the memory has settled on the gradient ``g``."""
    s, p, new = optimizer.start(x, g, "consistent"), optimizer.p_for(x), x
    with np.errstate(all="ignore"):
        for k in range(_SETTLING if any(slot.role == "velocity" for slot in optimizer.slots) else 1):
            new = x.copy()
            optimizer.kernel(k, p, new, g, s)
        return float(np.linalg.norm(new - x))


def _check_curvature(size):
    if not np.isfinite(size) or size <= 0.0:
        raise ValueError(f"lr='auto' needs a curvature at x0, and the Hessian there has norm {size}")
