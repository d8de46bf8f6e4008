"""SWA: the equal-weight average of any optimizer's iterates, from a start index on.

Update     the wrapped optimizer's;  average <- average + (x - average)/(n + 1) at the iterates x_start,
           x_(start + every), ..., n counting from 0 (before ``start`` the average is x itself)
Flow, scheme, order, stability, scaling
           the wrapped optimizer's: x is not touched, the average is one more row of memory (the
           last) and follows the time average of the flow from t(start)
Noise      on a quadratic with gradient noise of covariance C the average of n stationary iterates has
           covariance H^-1 C H^-1/n to leading order, for every learning rate

Two independent runs do not average: start in the trajectory's final basin ([A002]).

Sources: Izmailov et al., arXiv:1803.05407, algorithm 1; Polyak, Juditsky (1992); [A002].
"""

from dataclasses import dataclass

from .. import abi, checks
from ..abi import kernel
from .wrapper import Average


@kernel
def swa(k, p, x, g, s):
    """p = (the wrapped optimizer's p, start, every, address of its kernel in two parts); s = (its slots,
    average)."""
    abi.precision(x, g, s)  # refuses integers
    last, own = s.shape[0] - 1, p.size - 4
    update = abi.update_at(int(p[own + 2]), int(p[own + 3]), x)
    dt = update(k, p[:own], x, g, s[:last])
    average, every = s[last], int(p[own + 1])
    past = max(k + 1 - int(p[own]), 0)
    if past % every == 0:
        weight = past // every + 1.0
        for i in range(x.size):
            average[i] = average[i] + (x[i] - average[i]) / weight
    return dt


@dataclass(frozen=True, init=False, repr=False)
class SWA(Average):
    """Stochastic weight averaging around an optimizer.

    Parameters
    ----------
    optimizer : Optimizer
    start : int >= 0, default 0
        Iterates x_k with k >= start are averaged, x_start the first (x_0 is the initial point).
    every : int >= 1, default 1
        Of these, every so many-th (the paper's cycle length c).
    **hyperparameters
        Changed ones of the optimizer, as in ``dataclasses.replace(swa, lr=1e-3)``.

    Attributes
    ----------
    start_at : int
        The ``start`` given.
    lr, ...
        The hyperparameters of the optimizer.
    """

    title = "SWA"
    look = ("#555555", "P")
    own = ("start", "every")

    kernel = staticmethod(swa)

    def __init__(self, optimizer, start=0, every=1, **hyperparameters):
        self._set(optimizer, hyperparameters.pop("start_at", start), every, hyperparameters)

    def _numbers_of_page(self):
        return self.start_at, self.every

    def refined(self, factor):
        """The wrapped optimizer refined; ``start`` moves to the same flow time (rounded)."""
        factor = checks.real("factor", factor, 1e-100, 1e100)
        return SWA(self.optimizer.refined(factor), round(self.start_at * factor), self.every)
