"""Gradient clipping: any optimizer, driven by a gradient that is cut to a largest norm, or entry by entry.

Update     the wrapped optimizer's with c g for g,  c = min(1, norm/(|g| + 1e-6));
           or with min(max(g_i, -value), value) for g_i
Flow       the wrapped optimizer's driven by the clipped gradient (:mod:`odeopt.flows.clipped`): for gradient
           descent by norm x' = -c(g) g, the orbit of gradient flow at a speed of at most ``norm``
Scheme, scaling
           the wrapped optimizer's; the bounds stay, since they are the flow's
Order      the wrapped optimizer's, at most 2: the field has a kink where the clipping begins
Stability  the wrapped optimizer's at a minimum, where nothing is clipped. For gradient descent by norm no step is
           longer than lr norm, so that on exp(|x|) or x^4 it does not blow up from far away
Reduction  |g| is the norm over all arrays of an ``update`` call, of all groups, as torch's ``clip_grad_norm_``
           takes it
Memory     one more row, the last: the clipped gradient of the last step

Sources: Pascanu, Mikolov, Bengio, arXiv:1211.5063, algorithm 1; Zhang, He, Sra, Jadbabaie, arXiv:1905.11881.
"""

from dataclasses import dataclass, field

import numpy as np

from .. import abi, checks
from ..abi import kernel
from ..clipping import bounds, clip
from ..flows import Flow
from ..flows.clipped import clipped_flow
from ..method import Slot
from ..sums import scaled_norm
from .base import Optimizer
from .wrapper import Wrapper

LARGEST_ORDER = 2.0  # that a scheme has across a kink


@kernel
def clipped(k, p, x, g, s):
    """p = (the wrapped optimizer's p, norm, value, scale and length of the norm of all arrays or -1, address of its
    kernel in two parts); s = (its slots, clipped gradient)."""
    abi.precision(x, g, s)  # refuses integers
    last, own = s.shape[0] - 1, p.size - 6
    update = abi.update_at(int(p[own + 4]), int(p[own + 5]), x)
    scale, length = p[own + 2], p[own + 3]
    if scale < 0.0 and p[own] > 0.0:
        scale, length = scaled_norm(g)
    cut = s[last]
    clip(g, cut, p[own], p[own + 1], scale, length)
    return update(k, p[:own], x, cut, s[:last])


@dataclass(frozen=True, init=False, repr=False)
class Clipped(Wrapper):
    """An optimizer that is given clipped gradients.

    Parameters
    ----------
    optimizer : Optimizer
        Not a wrapper: ``SWA(Clipped(...))`` averages what is clipped.
    norm : float > 0, optional
        Largest norm of the gradient, over all arrays together.
    value : float > 0, optional
        Largest absolute value of each entry. One of the two must be given.
    **hyperparameters
        Changed ones of the optimizer.
    """

    own = ("norm", "value")

    norm: float | None = field(default=None, metadata={"check": checks.real_or_none, "numeric": False})
    value: float | None = field(default=None, metadata={"check": checks.real_or_none, "numeric": False})

    kernel = staticmethod(clipped)

    def __init__(self, optimizer, norm=None, value=None, **hyperparameters):
        if not isinstance(optimizer, Optimizer) or optimizer.wrapper:
            raise TypeError("optimizer must be an Optimizer that wraps no other, "
                            f"got {type(optimizer).__name__}")
        norm, value = bounds(norm, value)
        object.__setattr__(self, "optimizer", optimizer.changed(**hyperparameters) if hyperparameters else optimizer)
        object.__setattr__(self, "norm", norm)
        object.__setattr__(self, "value", value)

    @property
    def title(self):
        return f"{self.optimizer.title}, clipped"

    def _numbers_of_page(self):
        return self.norm or 0.0, self.value or 0.0, -1.0, 0.0

    @property
    def norm_entry(self):
        return None if self.norm is None else -4

    @property
    def slots(self):
        return (*self.optimizer.slots, Slot("clipped gradient", "previous", "g"))

    @property
    def flow(self):
        flow = self.optimizer.flow
        if flow is None or flow.needs_hessian or type(flow) is not Flow:  # an inclusion, say
            return None
        return clipped_flow(flow, norm=self.norm, value=self.value)

    @property
    def scheme(self):
        return None if self.flow is None else self.optimizer.scheme

    def declared_order(self, start="cold"):
        order = self.optimizer.declared_order(start)
        return None if order is None or self.flow is None else min(order, LARGEST_ORDER)

    def cold_start(self, x):
        return np.vstack([self.optimizer.cold_start(x), np.zeros((1, np.size(x)))])

    def consistent_start(self, x, g):
        return np.vstack([self.optimizer.consistent_start(x, self._clip(g)), np.zeros((1, np.size(x)))])

    def flow_start(self, x, g, start="cold"):
        return self.optimizer.flow_start(x, self._clip(g), start)

    def _clip(self, g):
        g = np.array(g, dtype=np.float64)
        clip(g, g, self.norm or 0.0, self.value or 0.0, *scaled_norm(g))
        return g

    def refined(self, factor):
        """The wrapped optimizer refined, with the same bounds."""
        return Clipped(self.optimizer.refined(factor), self.norm, self.value)
