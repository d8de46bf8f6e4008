"""``modified_flow``: what an optimizer with a finite step really follows, and a study that measures it.

The memory factors (momentum, beta) stay fixed as the step shrinks, so the memory becomes a fast
variable, a multiple of the number of steps: after a few 1/(1 - beta) steps the iterates lie on a slow
manifold, where the position alone obeys x' = F0 + h F1 + ... in the flow time t = k h:

    method             h                   F0               h F1                           regulariser
    gradient descent   lr                  -g               -(h/2) H g                     (h/4) |g|^2
    heavy ball, mu     lr/(1 - mu)         -g               -(h/2) (1 + mu)/(1 - mu) H g   (h/4) (1 + mu)/(1 - mu) |g|^2
      (``ema``: lr)
    Nesterov, mu       lr/(1 - mu)         -g               -(h/2) q H g,                  (h/4) q |g|^2
                                                            q = (1 - mu + 2 mu^2)/(1 - mu)
    RMSprop, Adam      lr                  -g/D             see ``flows.modified``         (h/2) (k1 - k2) |g|_1

with k_i = (1 + beta_i)/(1 - beta_i), beta1 = 0 for RMSprop, so at (0.9, 0.999) Adam's coefficient is -990 h:
it is drawn *towards* large gradients. Variants: dampening multiplies h by 1 - dampening; NAdam with constant
momentum has k1 = q of beta1; RMSprop with momentum mu has h = lr/(1 - mu), k1 = (1 + mu)/(1 - mu) (with
nesterov q), and k1 - 1 more in k2, as the memory of the buffer is one of g/D and not of g. Coupled weight decay
is another objective, decoupled decay a drift of lr weight_decay/h (``flows.modified``).

Measured from a state on the slow manifold: from zero memory a transient of relative size O(h) would hide the
second order.

Sources: Barrett, Dherin, arXiv:2009.11162; Kovachki, Stuart, arXiv:1906.04285; Ghosh et al.,
arXiv:2302.00849; Cattaneo et al., arXiv:2309.00079. The table's Nesterov row, the variants and the drift: the
package's own.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from ... import checks
from ...flows import ModifiedFlow
from ...optimizers import Optimizer
from ...problems import Problem
from ...problems.base import checked
from ..inner import gather, inner_run, partial_results
from .convergence import Convergence, solve, steps_within
from .fit import distance_to, fit_order, refinements

_MOST_PAST = 10**6


def modified_flow(optimizer: Optimizer, order: int = 2) -> ModifiedFlow:
    """The modified flow of ``optimizer`` at its step size, memory factors fixed.

    Parameters
    ----------
    optimizer : Optimizer
        One with ``modified_orders``: GradientDescent, Momentum, Nesterov and NAdam (constant momentum), RMSprop
        (vector, not centered), Adam, AdamW.
    order : {1, 2, 3}
        Order of the distance between the iterates and the flow; 1 is the limit flow, 3 is known for
        gradient descent.

    Returns
    -------
    ModifiedFlow
        With ``h`` (flow time of a step), ``coefficient`` and ``penalty`` (the implicit regulariser).
        Its field needs Hessian products.

    Raises
    ------
    TypeError
        Another optimizer.
    ValueError
        A variant or an order that is not known.
    """
    checks.choice("order", order, (1, 2, 3))
    if not isinstance(optimizer, Optimizer) or not optimizer.modified_orders:
        raise TypeError(f"optimizer must be one whose page has a modified flow, got {checks.shown(optimizer)}")
    if order not in optimizer.modified_orders:
        raise ValueError(f"order must be one of {optimizer.modified_orders} for {optimizer.title}, got {order}")
    return optimizer.modified_flow(order)


def slow_manifold_start(optimizer, problem, x0, flow):
    """Slots at ``x0`` as if the optimizer had followed ``flow`` for ever: its past, replayed.

    The positions before ``x0`` come from the flow backwards in time (one classical Runge–Kutta step
    each); the optimizer's own kernel then sees their gradients, oldest first, until what is older
    than the start weighs less than round-off.
    """
    fading = optimizer.forgetting
    s = optimizer.start(x0, problem.grad(x0), "cold")
    past = math.ceil(math.log(1e-17) / math.log(fading)) if fading > 0 else 0
    if past > _MOST_PAST:
        raise ValueError(f"optimizer must forget within {_MOST_PAST} steps to be put on its slow manifold, and "
                         f"{optimizer!r} takes {past}")
    field, h = flow.field(problem), -flow.h
    xs, z = [], np.array([x0], dtype=float)
    for _ in range(past):
        k1 = field(0.0, z)
        k2 = field(0.0, z + 0.5 * h * k1)
        k3 = field(0.0, z + 0.5 * h * k2)
        k4 = field(0.0, z + h * k3)
        z = z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        if not np.isfinite(z).all():
            raise ValueError(f"x0 must have a past: the flow backwards blows up after {len(xs)} of {past} steps; "
                             "take a smaller lr or memory factor")
        xs.append(z[0].copy())
    p, kernel = optimizer.p_for(x0), optimizer.kernel
    for k, x in enumerate(reversed(xs)):
        kernel(k, p, x.copy(), problem.grad(x), s)
    optimizer.settle(x0, problem.grad(x0), s)
    return s


@partial_results
def modified_convergence(optimizer: Optimizer, problem: Problem, x0: ArrayLike | None = None,
                         t_end: float | None = None, levels: int = 7, *, order: int = 2, rtol: float = 1e-12,
                         atol: float = 1e-14, progress: bool = False) -> Convergence:
    """Measure at which order the iterates follow their modified flow.

    Parameters
    ----------
    optimizer : as :func:`modified_flow`
        The coarsest level; lr is halved from level to level, memory factors stay.
    problem : Problem
        With Hessian products.
    x0 : (n,) array, optional
    t_end : float, optional
        Flow time (default: 64 coarse steps).
    levels : int >= 3
    order : {1, 2, 3}
        Of the flow, and the order to certify.
    rtol, atol : float
        Tolerances of the references: there is one per level, as the flow depends on the step.
    progress : bool

    Returns
    -------
    Convergence
        With ``start`` "slow manifold". Ctrl-C keeps the levels that are done.
    """
    checked(problem)
    problem.need_hessian("modified_convergence")
    factors = refinements(levels, 2.0, 3)
    x0 = problem.x0 if x0 is None else checks.point("x0", x0, problem.dim)
    coarse = modified_flow(optimizer, order)
    t_end = 64 * coarse.h if t_end is None else checks.real("t_end", t_end, 0.0, open_low=True)

    ends = []

    def level(f):
        finer = optimizer.with_step(optimizer.step / f)
        flow = modified_flow(finer, order)
        steps = max(1, math.floor(steps_within(t_end, t_end / flow.h) * (1 + 1e-12)))
        solution = solve(flow, problem, flow.start(x0), t_end, rtol, atol, "auto")
        if not solution.success:
            ends.append(f"the reference ends at t = {solution.t_end:.3g}: {solution.message}")
            if not solution.t_end > 0:
                return flow.h, steps, math.nan, math.nan, math.nan
        s = slow_manifold_start(finer, problem, x0, flow)
        run = inner_run(finer, problem, x0, steps, start=s)
        x = run.x if run.ok else np.full_like(run.x, np.inf)
        return (flow.h, steps, solution.uncertainty, *distance_to(run.k * flow.h, x, solution, solution.t_end))

    rows, interrupted = gather(factors, level, progress=progress,
                               describe=lambda f: f"{optimizer.title}, h/{f:g}")
    h, steps, uncertain, error, final = (np.array(column) for column in zip(*rows)) if rows else (np.zeros(0),) * 5
    uncertainty = float(uncertain.max(initial=0.0))
    fit = fit_order(h, error, floor=uncertainty)
    notes = [note for note in ("interrupted" if interrupted else "", *ends[-1:], fit.message) if note]
    scaling = {name: "h" if name == optimizer.step_name else "fixed" for name in optimizer.scaling()}
    return Convergence(
        optimizer.title, repr(optimizer), problem.name, coarse.name, "slow manifold", scaling, "slow manifold",
        "reference", float(t_end), h, steps.astype(np.int64), error, final, uncertainty, fit.slopes, fit.order,
        fit.spread, fit.tail, fit.asymptotic, float(order), "; ".join(notes), optimizer.spec())
