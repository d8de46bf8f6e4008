"""What a picture is given, looked at by the name of the parameter before anything is drawn."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .. import checks
from ..problems.base import checked

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _instance(kind):
    def look(name, value):
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be a matplotlib {kind.__name__}, got {checks.shown(value)}")

    return look


def _panels(name, value):
    found = np.ravel(np.asarray(value, dtype=object))
    if not (found.size and all(isinstance(one, Axes) for one in found)):
        raise TypeError(f"{name} must be matplotlib Axes in an array or a sequence, got {checks.shown(value)}")


def _problem(name, value):
    if not (hasattr(value, "dim") and hasattr(value, "x0")):  # a picture asks for no more
        checked(value)


def _interval(*bounds, **options):
    return lambda name, value: checks.real(name, value, *bounds, **options)


def _integer(least):
    return lambda name, value: checks.integer(name, value, least)


_LOOKS = {
    "ax": _instance(Axes), "fig": _instance(Figure), "axes": _panels, "problem": _problem,
    **dict.fromkeys(("legend", "colorbar", "mark", "triangle", "flow", "local", "minima", "lines_only", "background"),
                    checks.switch),
    **dict.fromkeys(("labels", "titles", "handles", "methods"), checks.entries),
    **dict.fromkeys(("caption", "title"), checks.text),
    "f_min": checks.real, "limit": checks.nonnegative, "budget": checks.nonnegative, "linear": _interval(0.0, 1.0),
    "markers": _integer(0), "trail": _integer(0), "coordinate": _integer(0), "columns": _integer(1),
}  # fmt: skip


def picture(kind: str = "", attributes: str = "") -> Callable[[_Function], _Function]:
    """A decorator: a TypeError or ValueError in one line for an argument that cannot be drawn or obeyed.

    What is None by default may be None. A first parameter ``study`` must have the ``attributes`` of its ``kind``, each
    of them if there are several in a sequence ``studies``.
    """

    def decorate(function: Any) -> Any:
        signature = inspect.signature(function)
        looks = {name: _LOOKS[name] for name in signature.parameters if name in _LOOKS}
        optional = {name for name, parameter in signature.parameters.items() if parameter.default is None}
        optional |= {"runs"} if "runs" in signature.parameters else set()

        @functools.wraps(function)
        def drawn(*args: Any, **options: Any) -> Any:
            given = signature.bind(*args, **options).arguments
            for name, look in looks.items():
                if name in given and not (given[name] is None and name in optional):
                    look(name, given[name])
            for name in ("study", "studies", "log"):
                if kind and name in given:
                    _has(name, given[name], kind, attributes)
            return function(*args, **options)

        return drawn

    return decorate


def _has(name, value, kind, attributes):
    several = isinstance(value, (list, tuple)) and name == "studies"
    for one in value if several else [value]:
        if isinstance(one, type) or not all(hasattr(one, attribute) for attribute in attributes.split()):
            raise TypeError(f"{name} must be a {kind}{' or a sequence of them' if name == 'studies' else ''}, "
                            f"got {checks.shown(one)}")
