"""``Wrapper``: an optimizer made of another one, whose rows of memory and numbers come first."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np

from .. import abi, checks
from ..method import Slot, method_from
from .base import Optimizer


def _optimizer(name, value):
    if not isinstance(value, Optimizer):
        raise TypeError(f"{name} must be an Optimizer, got {type(value).__name__}")
    return value


@dataclass(frozen=True, init=False, repr=False)
class Wrapper(Optimizer):
    """Base of what is made of another optimizer: unless the page says otherwise, everything is that one's.

    A page declares its own hyperparameters, none of them numeric, and their names in ``own``; adds one row of
    memory, the last; and builds its ``p`` with :meth:`_with_kernel`.
    """

    wrapper = True
    own: ClassVar[tuple] = ()  # names that ``changed`` takes beside the wrapped optimizer's

    optimizer: Optimizer = field(metadata={"check": _optimizer, "numeric": False})

    def __getattr__(self, name):
        """A hyperparameter of the wrapped optimizer."""
        inner = vars(self).get("optimizer")  # not there yet while a copy is made
        if inner is None or name.startswith("_") or name not in hyperparameters(inner):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(inner, name)

    def numeric_names(self):
        """The wrapped optimizer's: a schedule drives its hyperparameters."""
        return self.optimizer.numeric_names()

    @property
    def bare(self):
        return self.optimizer.bare

    def _numbers_of_page(self) -> tuple:
        """What the page's kernel reads between the wrapped optimizer's p and the address of its kernel."""
        raise NotImplementedError

    def _with_kernel(self, p, function_type):
        return np.array([*p, *self._numbers_of_page(), *abi.addresses(self.optimizer.kernel, function_type)])

    @property
    def p(self):
        """(the wrapped optimizer's p, the page's numbers, address of the wrapped float64 kernel in two parts)."""
        return self._with_kernel(self.optimizer.p, abi.UPDATE)

    def p_for(self, array):
        return self._with_kernel(self.optimizer.p_for(array),
                                 abi.UPDATE32 if array.dtype == np.float32 else abi.UPDATE)

    def check_precision(self, dtype):
        self.optimizer.check_precision(dtype)

    def memory_rows(self, shape):
        return self.optimizer.memory_rows(shape) + 1

    def shape_of_trial(self, shape):
        return self.optimizer.shape_of_trial(shape)

    @property
    def norm_entry(self):
        inner = self.optimizer.norm_entry
        return None if inner is None else inner - len(self._numbers_of_page()) - 2

    @property
    def reduces(self):
        return self.optimizer.reduces

    @property
    def full_batch_only(self):
        return self.optimizer.full_batch_only

    @property
    def projection_is_sound(self):
        return self.optimizer.projection_is_sound

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

    @property
    def flow(self):
        return self.optimizer.flow

    @property
    def scheme(self):
        return self.optimizer.scheme

    def to_flow(self, x, s):
        return self.optimizer.to_flow(x, s[:-1])

    def declared_order(self, start="cold"):
        return self.optimizer.declared_order(start)

    @property
    def order_condition(self):
        return self.optimizer.order_condition

    def stability_limit(self):
        return self.optimizer.stability_limit()

    def limit_from_start(self):
        return self.optimizer.limit_from_start()

    def scaling(self):
        return self.optimizer.scaling()

    def __repr__(self):
        words = ", ".join(f"{name}={value!r}" for name, value in self._own_values().items() if value is not None)
        return f"{type(self).__name__}({self.optimizer!r}, {words})"

    def _own_values(self) -> dict[str, Any]:
        """The page's own hyperparameters, by the names that its constructor takes."""
        return {name: getattr(self, name) for name in self.own}

    def spec(self):
        """The wrapped optimizer's under "optimizer"."""
        return {"method": self.key, "optimizer": self.optimizer.spec(), **self._own_values()}

    @classmethod
    def from_spec(cls, values):
        checks.instance("values", values, Mapping, "a mapping of names to values")
        for name in values:
            checks.choice("hyperparameter", name, ("optimizer", *cls.own))
        given = {name: value for name, value in values.items() if name != "optimizer"}
        return cls(_optimizer("optimizer", method_from(values.get("optimizer", {}))), **given)

    def changed(self, **hyperparameters):
        """The same wrapper with other numbers of its own or other hyperparameters of the wrapped optimizer."""
        own = {name: hyperparameters.pop(name) for name in self.own if name in hyperparameters}
        inner = self.optimizer.changed(**hyperparameters) if hyperparameters else self.optimizer
        return type(self)(inner, **self._own_values() | own)  # pyright: ignore[reportCallIssue]


@dataclass(frozen=True, init=False, repr=False)
class Average(Wrapper):
    """Base of the averages of iterates, which stand in the last row of memory."""

    start_at: int = field(default=0, metadata={"check": checks.integer, "numeric": False})
    every: int = field(default=1, metadata={"check": checks.integer, "numeric": False})

    def _set(self, optimizer, start, every, hyperparameters):
        """The fields of a frozen page."""
        if not isinstance(optimizer, Optimizer) or isinstance(optimizer, Average):
            raise TypeError(f"optimizer must be an Optimizer other than an average, got {type(optimizer).__name__}")
        object.__setattr__(self, "optimizer", optimizer.changed(**hyperparameters) if hyperparameters else optimizer)
        object.__setattr__(self, "start_at", checks.integer("start", start, 0))
        object.__setattr__(self, "every", checks.integer("every", every, 1))

    def _own_values(self):
        return super()._own_values() | {"start": self.start_at}

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

    def average(self, state):
        """A copy of the averaged arrays of a training-loop ``state``, shaped like those given to ``init``."""
        return state.row(-1)


def hyperparameters(optimizer: Optimizer) -> tuple[str, ...]:
    """Names that ``optimizer.changed`` takes."""
    if isinstance(optimizer, Wrapper):
        return (*optimizer.own, *hyperparameters(optimizer.optimizer))
    return tuple(f.name for f in fields(optimizer))
