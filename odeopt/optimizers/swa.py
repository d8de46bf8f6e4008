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

from dataclasses import dataclass, field, fields

import numpy as np

from .. import abi, checks
from ..abi import kernel
from ..method import Slot, method_from
from .base import Optimizer


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
class SWA(Optimizer):
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
    wrapper = True

    optimizer: Optimizer = field(metadata={"check": _optimizer, "numeric": False})
    start_at: int = field(default=0, metadata={"check": checks.integer, "numeric": False})

    kernel = staticmethod(swa)

    def __init__(self, optimizer, start=0, **hyperparameters):
        start = hyperparameters.pop("start_at", start)
        optimizer = _optimizer("optimizer", optimizer)
        object.__setattr__(self, "optimizer", optimizer.changed(**hyperparameters) if hyperparameters else optimizer)
        object.__setattr__(self, "start_at", checks.integer("start", start, 0))

    def __getattr__(self, name):
        """A hyperparameter of the wrapped optimizer."""
        inner = vars(self).get("optimizer")  # not there yet while a copy is made
        if inner is None or name not in {f.name for f in fields(inner)}:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(inner, name)

    def __repr__(self):
        return f"SWA({self.optimizer!r}, start={self.start_at})"

    def numeric_names(self):
        """The wrapped optimizer's: a schedule drives its hyperparameters."""
        return self.optimizer.numeric_names()

    @property
    def slots(self):
        return (*self.optimizer.slots, Slot("average", "mean iterate", "x"))

    def _p(self, p, function_type):
        return np.array([*p, self.start_at, *abi.addresses(self.optimizer.kernel, function_type)])

    @property
    def p(self):
        """(the wrapped optimizer's p, start, address of its float64 kernel in two parts)."""
        return self._p(self.optimizer.p, abi.UPDATE)

    def check_precision(self, dtype):
        self.optimizer.check_precision(dtype)

    def p_for(self, array):
        return self._p(self.optimizer.p_for(array), abi.UPDATE32 if array.dtype == np.float32 else abi.UPDATE)

    @property
    def reduces(self):
        return self.optimizer.reduces

    @property
    def full_batch_only(self):
        return self.optimizer.full_batch_only

    @property
    def step_name(self):
        return self.optimizer.step_name

    @property
    def momentum_name(self):
        return self.optimizer.momentum_name

    @property
    def h(self):
        return self.optimizer.h

    @property
    def t0(self):
        return self.optimizer.t0

    def declared_order(self, start="cold"):
        return self.optimizer.declared_order(start)

    @property
    def order_condition(self):
        return self.optimizer.order_condition

    def stability_limit(self):
        return self.optimizer.stability_limit()

    def limit_from_start(self):
        return self.optimizer.limit_from_start()

    def spec(self):
        """The wrapped optimizer's under "optimizer"."""
        return {"method": self.key, "optimizer": self.optimizer.spec(), "start": self.start_at}

    @classmethod
    def from_spec(cls, values):
        return cls(method_from(values["optimizer"]), values["start"])

    @property
    def modified_orders(self):
        return self.optimizer.modified_orders

    def modified_flow(self, order):
        return self.optimizer.modified_flow(order)

    @property
    def flow(self):
        return self.optimizer.flow

    @property
    def scheme(self):
        return self.optimizer.scheme

    def to_flow(self, x, s):
        return self.optimizer.to_flow(x, s[:-1])

    def cold_start(self, x):
        return np.vstack([self.optimizer.cold_start(x), np.reshape(x, (1, -1))])

    def consistent_start(self, x, g):
        return np.vstack([self.optimizer.consistent_start(x, g), np.reshape(x, (1, -1))])

    def flow_start(self, x, g, start="cold"):
        return self.optimizer.flow_start(x, g, start)

    def scaling(self):
        return self.optimizer.scaling()

    def refined(self, factor):
        """The wrapped optimizer refined; ``start`` moves to the same flow time (rounded)."""
        factor = checks.real("factor", factor, 1e-100, 1e100)
        return SWA(self.optimizer.refined(factor), round(self.start_at * factor))

    def changed(self, *, start=None, **hyperparameters):
        """The same wrapper with another ``start`` or other hyperparameters of the wrapped optimizer."""
        return SWA(self.optimizer.changed(**hyperparameters), self.start_at if start is None else start)

    def average(self, state):
        """A copy of the averaged arrays of a training-loop ``state``, shaped like those given to ``init``."""
        return state.row(-1)
