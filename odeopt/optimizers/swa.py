"""SWA: the equal-weight average of any optimizer's iterates, from a start index on.

Update     the wrapped optimizer's;  average <- average + (x - average)/(n + 1) after step k >= start,
           n counting from 0 (before ``start`` the average is x itself)
Flow, scheme, order, stability, scaling
           the wrapped optimizer's: x is not touched, the average is one more row of memory (the
           last) and follows the time average of the flow from t(start)
Noise      on a quadratic with gradient noise of covariance C the average of n stationary iterates has
           covariance H^-1 C H^-1/n to leading order, for every learning rate

Two independent runs do not average: start in the trajectory's final basin ([A002]).

Sources: Izmailov et al., arXiv:1803.05407, algorithm 1; Polyak, Juditsky (1992); [A002].
"""

from dataclasses import dataclass, field

import numpy as np

from .. import abi, checks
from ..abi import kernel
from ..method import Slot
from .base import Optimizer
from .wrapper import Wrapper


@kernel
def swa(k, p, x, g, s):
    """p = (the wrapped optimizer's p, start, address of its kernel in two parts); s = (its slots,
    average)."""
    abi.precision(x, g, s)  # refuses integers
    last, own = s.shape[0] - 1, p.size - 3
    update = abi.update_at(int(p[own + 1]), int(p[own + 2]), x)
    dt = update(k, p[:own], x, g, s[:last])
    average = s[last]
    n = max(k + 1 - int(p[own]), 0)
    for i in range(x.size):
        average[i] = average[i] + (x[i] - average[i]) / (n + 1.0)
    return dt


def _optimizer(name, value):
    if not isinstance(value, Optimizer) or isinstance(value, SWA):
        raise TypeError(f"{name} must be an Optimizer other than SWA, got {type(value).__name__}")
    return value


@dataclass(frozen=True, init=False, repr=False)
class SWA(Wrapper):
    """Stochastic weight averaging around an optimizer.

    Parameters
    ----------
    optimizer : Optimizer
    start : int >= 0, default 0
        Iterates x_k with k >= start are averaged, x_start the first (x_0 is the initial point).
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
    own = ("start",)

    start_at: int = field(default=0, metadata={"check": checks.integer, "numeric": False})

    kernel = staticmethod(swa)

    def __init__(self, optimizer, start=0, **hyperparameters):
        start = hyperparameters.pop("start_at", start)
        optimizer = _optimizer("optimizer", optimizer)
        object.__setattr__(self, "optimizer", optimizer.changed(**hyperparameters) if hyperparameters else optimizer)
        object.__setattr__(self, "start_at", checks.integer("start", start, 0))

    def _own_values(self):
        return {"start": self.start_at}

    def _numbers_of_page(self):
        return (self.start_at,)

    @property
    def slots(self):
        return (*self.optimizer.slots, Slot("average", "mean iterate", "x"))

    @property
    def modified_orders(self):
        return self.optimizer.modified_orders

    def modified_flow(self, order):
        return self.optimizer.modified_flow(order)

    def cold_start(self, x):
        return np.vstack([self.optimizer.cold_start(x), np.reshape(x, (1, -1))])

    def consistent_start(self, x, g):
        return np.vstack([self.optimizer.consistent_start(x, g), np.reshape(x, (1, -1))])

    def flow_start(self, x, g, start="cold"):
        return self.optimizer.flow_start(x, g, start)

    def refined(self, factor):
        """The wrapped optimizer refined; ``start`` moves to the same flow time (rounded)."""
        factor = checks.real("factor", factor, 1e-100, 1e100)
        return SWA(self.optimizer.refined(factor), round(self.start_at * factor))

    def average(self, state):
        """A copy of the averaged arrays of a training-loop ``state``, shaped like those given to ``init``."""
        return state.row(-1)
