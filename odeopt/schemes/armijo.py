"""Explicit Euler on gradient flow, accepted by Armijo's rule: a line search as step-size control.

A step z -> z - h g is accepted when f falls by a part of what the slope promises,

    f(x - h g) <= f(x) - c h |g|^2,   c = 1e-4,

and the step is halved otherwise. That is accept/reject with a test of descent in the place of a
test of accuracy, so the scheme runs in the error-controlled loop: its error estimate is 0 where
the rule holds and infinite where it does not, and :data:`BACKTRACKING` is the controller that
doubles h after a success and halves it after a failure. ::

    record(Discretization(gradient_flow(), armijo_euler, h=1.0, rtol=0.5), problem,
           controller=BACKTRACKING)

Flow time is the sum of the accepted steps: the run follows gradient flow with error of order h, and
h hovers about the stability limit 2/lambda: it says that the step descends, not that it is
accurate (``heun_euler`` says that).

Order 1. Each trial costs two gradients (the value comes with them).

Source: Armijo, Pacific J. Math. 16 (1966) 1; Nocedal, Wright, Numerical Optimization, algorithm 3.1.
"""

import numpy as np

from ..abi import kernel
from .base import Scheme

# (b1, b2, b3, safety, smallest, largest factor): no power of the error, twice after a success,
# half after a failure.
BACKTRACKING = (0.0, 0.0, 0.0, 2.0, 0.5, 2.0)
_DECREASE = 1e-4


@kernel
def step(rhs, fg, hv, data, p, t, h, z, w):
    """Workspace: 0 or inf (the estimate), the gradient at z, the gradient at the trial point."""
    x, error, g, trial = z[0], w[0], w[1], w[2]
    decrease = p[p.size - 1]
    f = fg(x, g, data)
    square = 0.0
    for i in range(x.size):
        gi = g[i]
        square += gi * gi
        x[i] = x[i] - h * gi
    new = fg(x, trial, data)
    # As in odeopt.interop: a few units of round-off, for near a minimum f carries no more digits.
    failed = not new <= f + 4e-16 * abs(f) - decrease * h * square
    for i in range(x.size):
        error[i] = np.inf if failed else 0.0
    return np.inf if failed else 0.0


def _check(flow, problem):
    if flow.name != "gradient flow" or any(flow.constants.values()):
        raise ValueError(f"flow must be plain gradient flow for Armijo's rule, which descends on f, got {flow!r}")


armijo_euler = Scheme("explicit Euler with Armijo's rule", step, 1, 2, work=lambda rows: 3, embedded_order=1,
                      constants=(_DECREASE,), check=_check)
