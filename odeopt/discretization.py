"""``Discretization``: a scheme applied to a flow with a step, the general form of a method."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import checks
from .flows.base import Flow
from .method import STARTS, Slot
from .schemes.base import Scheme
from .spec import made_from, spec_of


@dataclass(frozen=True, eq=False)
class Discretization:
    """``scheme`` applied to ``flow`` with step ``h``.

    Parameters
    ----------
    flow : Flow
    scheme : Scheme
    h : float or (N,) array
        Step in flow time; an array gives the step of each of N steps.
    rtol, atol : float, optional
        For embedded schemes only: with ``rtol`` given, steps are accepted or rejected by the
        local error estimate and ``h`` is the first trial step.
    t0 : float
        Time at the start, for flows whose field depends on it.

    Raises
    ------
    TypeError, ValueError
        Something else than a flow and a scheme; a step that is not positive; ``rtol`` for a scheme without an
        error estimate.
    """

    flow: Flow
    scheme: Scheme
    h: Any
    rtol: float | None = None
    atol: float = 1e-9
    t0: float = 0.0

    def __post_init__(self):
        for name, kind in (("flow", Flow), ("scheme", Scheme)):
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name} must be a {kind.__name__}, got {checks.shown(getattr(self, name))}")
        if checks.dimensions(self.h) == 0:
            h = checks.real("h", self.h, 0.0, open_low=True)
        else:
            h = checks.point("h", self.h)
            if not (h > 0).all():
                raise ValueError(f"h must be a positive step (or a vector of them), got {h.min():.6g} in it")
        given = {"h": h, "t0": checks.real("t0", self.t0), "atol": checks.real("atol", self.atol, 0)}
        if self.rtol is not None:
            given["rtol"] = checks.real("rtol", self.rtol, 0, 1, open_low=True)
            if not self.scheme.embedded_order:
                raise ValueError(f"rtol needs an embedded scheme, and {self.scheme.name} has no error estimate")
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        control = f", rtol={self.rtol:g}, atol={self.atol:g}" if self.rtol is not None else ""
        return f"{self.title}, h={float(np.max(self.h)):g}{control}"

    @property
    def key(self) -> str:
        """Always "discretization": a flow and a scheme have no name on the command line."""
        return "discretization"

    @property
    def title(self) -> str:
        """Scheme and flow in words."""
        return f"{self.scheme.name} on {self.flow.name}"

    @property
    def name(self) -> str:
        """The former name of :attr:`title`."""
        warnings.warn("Discretization.name is now Discretization.title", DeprecationWarning, stacklevel=2)
        return self.title

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The flow's rows of memory."""
        return tuple(Slot(name) for name in self.flow.slots)

    @property
    def slot_names(self) -> tuple[str, ...]:
        """Their names."""
        return self.flow.slots

    @property
    def step(self) -> Any:
        """The step size ``h``."""
        return self.h

    def with_step(self, value: Any) -> Discretization:
        """The same scheme and flow with another step size."""
        return replace(self, h=value)

    def refined(self, factor: float) -> Discretization:
        """The same flow with steps ``factor`` times smaller.

        With error control the tolerances are divided by ``factor`` to the power of one more than the
        order of the error estimate, which is how the estimate falls with the step. A vector of steps is divided as
        it is only where each step becomes a whole number of smaller ones.
        """
        factor = checks.real("factor", factor, 1e-100, 1e100)
        if self.rtol is not None:
            smaller = factor ** (self.scheme.embedded_order + 1)
            return replace(self, h=self.h / factor, rtol=self.rtol / smaller, atol=self.atol / smaller)
        if np.ndim(self.h) == 0:
            return replace(self, h=self.h / factor)
        if factor != int(factor):
            raise ValueError(f"factor must be a whole number for a vector of steps, got {factor:g}")
        return replace(self, h=np.repeat(self.h / factor, int(factor)))

    def scaling(self) -> dict[str, str]:
        """How the step moves under :meth:`refined`."""
        return {"h": "h"}

    def declared_order(self, start: str = "cold") -> float | None:
        """The scheme's order, which holds where the flow is smooth along the path; None with error control, where
        the tolerance decides."""
        checks.choice("start", start, STARTS)
        return None if self.rtol is not None else float(self.scheme.order)

    @property
    def order_condition(self) -> str:
        """When :meth:`declared_order` holds."""
        return "where the flow is smooth along the path"

    def stability_limit(self) -> None:
        """None: there is no formula; :func:`odeopt.stability_limit` measures it."""

    def to_flow(self, x: np.ndarray, s: np.ndarray) -> np.ndarray:
        """The flow state of position ``x`` and memory ``s``."""
        return np.vstack([np.reshape(x, (1, -1)), s])

    def flow_start(self, x: Any, g: Any = None, start: str = "cold") -> np.ndarray:
        """The flow's state at the point ``x`` with memory at rest, or a whole state as it is."""
        if start != "cold":
            raise ValueError(f"start must be 'cold' for a Discretization (give the whole state as x0), got {start!r}")
        return self.flow.state("x0", x, np.shape(x)[-1])

    def spec(self) -> dict[str, Any]:
        """What a file keeps of the method; :func:`odeopt.method.method_from` gives it back."""
        h = self.h.tolist() if isinstance(self.h, np.ndarray) else self.h
        return {"method": self.key, "flow": spec_of(self.flow), "scheme": spec_of(self.scheme), "h": h,
                "rtol": self.rtol, "atol": self.atol, "t0": self.t0}

    @classmethod
    def from_spec(cls, values: Mapping[str, Any]) -> Discretization:
        """The discretisation with these values; ValueError for one whose flow or scheme cannot be made again."""
        checks.instance("values", values, Mapping, "a mapping of names to values")
        for name in values:
            checks.choice("name", name, ("flow", "scheme", "h", "rtol", "atol", "t0"))
        parts = {name: made_from(name, values.get(name)) for name in ("flow", "scheme")}
        return cls(**{**values, **parts})
