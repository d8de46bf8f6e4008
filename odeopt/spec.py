"""How a flow or a scheme is written down in a file: the name under which it is found, or the call that made it."""

from __future__ import annotations

import functools
import importlib
import inspect
import numbers
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from . import checks
from .abi import interpreted

_MADE = "_made"
F = TypeVar("F", bound=Callable[..., Any])


def factory(function: F) -> F:
    """Decorator of a function that makes flows or schemes: what it returns remembers the call.

    The arguments must be numbers, words, switches, None, arrays or sequences of these to be written to a file.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def make(*args, **kwargs):
        made = function(*args, **kwargs)
        arguments = {name: spec_of(value) if hasattr(value, "rhs") else _plain(value)
                     for name, value in signature.bind(*args, **kwargs).arguments.items()}
        object.__setattr__(made, _MADE, {"made by": f"{function.__module__}:{function.__qualname__}", **arguments})
        return made

    return make  # type: ignore[return-value]


def spec_of(thing: Any) -> dict[str, Any]:
    """``{"name": "module:name"}`` of what a module holds, ``{"made by": "module:function", argument: value, ...}`` of
    what a :func:`factory` made, else ``{"name": ..., "constants": ...}``, which tells but cannot be made again."""
    function = getattr(thing, "rhs", getattr(thing, "step", None))
    module = getattr(interpreted(function), "__module__", None)
    for name, value in vars(sys.modules.get(module)).items() if module in sys.modules else ():
        if value is thing:
            return {"name": f"{module}:{name}"}
    made = vars(thing).get(_MADE)
    if made is not None:
        return dict(made)
    constants = thing.constants
    return {"name": thing.name, "constants": dict(constants) if isinstance(constants, Mapping) else list(constants)}


def made_from(what: str, spec: Any) -> Any:
    """The flow or scheme, ``what``, that :func:`spec_of` described.

    Raises
    ------
    TypeError, ValueError
        Not such a dict; one that cannot be made again; a module outside the package that was not imported.
    """
    words = spec.get("made by", spec.get("name")) if isinstance(spec, dict) else None
    if not isinstance(words, str):
        raise TypeError(f"{what} must be a dict with the key 'name' or 'made by', got {checks.shown(spec)}")
    module, colon, name = words.partition(":")
    if not colon:
        raise ValueError(f"{what} must be one that a module holds or a factory made to be made again, got {words!r}")
    if module.partition(".")[0] == __package__:
        importlib.import_module(module)
    found = getattr(sys.modules.get(module), name, None)  # files do not import what is not the package's own
    if found is None:
        raise ValueError(f"{what} must be known here, got {words!r}: import {module} first")
    if "made by" not in spec:
        return found
    return found(**{key: made_from(f"{what} of it", value) if isinstance(value, dict) else value
                    for key, value in spec.items() if key != "made by"})


def _plain(value: Any) -> Any:
    """``value`` as JSON can keep it, where it can."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, numbers.Number) and not isinstance(value, (int, float, complex)):
        return float(value)  # type: ignore[arg-type]  # Fraction, Decimal, a long double
    return value
