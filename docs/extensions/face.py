"""The public face: which names there are, and on which page of the reference each one stands.

Nothing here is a list of names: pages follow from where a name is defined, so that a new one has its place.
"""

import importlib
import inspect
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import odeopt as oo  # noqa: E402

# page -> (title, the modules whose ``__all__`` stands there)
MODULES = {
    "problems": ("Problems", ["odeopt.problems"]),
    "flows": ("Flows", ["odeopt.flows"]),
    "schemes": ("Schemes", ["odeopt.schemes"]),
    "schedules": ("Schedules", ["odeopt.schedules"]),
    "stochastic": ("Noise and stochastic flows", ["odeopt.stochastic"]),
    "interop": ("Other libraries", ["odeopt.interop"]),
    "plotting": ("Pictures", ["odeopt.plotting"]),
}
STUDIES = {"order": "Studies: order", "stability": "Studies: stability", "noise": "Studies: noise",
           "networks": "Studies: networks", "search": "Studies: search"}
# What one needs for a method of one's own; these modules have helpers besides.
BUILDING = {"odeopt.method": ["Method", "Slot", "Limit", "method_from"], "odeopt.results": ["Result"],
            "odeopt.studies.base": ["Study"], "odeopt.abi": ["kernel"]}


class Name(NamedTuple):
    """One public name."""

    module: str
    name: str
    page: str
    value: object

    @property
    def full(self):
        """As one writes it."""
        return f"{self.module}.{self.name}"

    @property
    def kind(self):
        """The autodoc directive: function, class or data."""
        if inspect.isclass(self.value):
            return "class"
        return "function" if inspect.isroutine(self.value) or hasattr(self.value, "py_func") else "data"

    @property
    def is_optimizer(self):
        """Whether it has a page of its own."""
        return inspect.isclass(self.value) and issubclass(self.value, oo.Optimizer) and self.value is not oo.Optimizer


def _defined(module):
    """The public functions and classes that a module defines."""
    return [name for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
            and (inspect.isclass(value) or inspect.isfunction(value))]


def _page_of(value):
    """Of a name of the package itself."""
    if isinstance(value, dict):
        return "optimizers"  # ALL, ALIASES, WRAPPERS
    home = getattr(value, "__module__", "").split(".")[1:]
    if home[:1] == ["studies"]:
        return f"studies-{home[1]}"
    return {"optimizers": "optimizers", "problems": "problems", "interop": "interop", "discretization": "building",
            "stochastic": "stochastic"}.get(home[0] if home else "", "run")


def _candidates():
    for name in oo.__all__:
        value = getattr(oo, name)
        if not inspect.ismodule(value):
            yield Name("odeopt", name, _page_of(value), value)
    for module in ["odeopt.optimizers"]:
        for name in importlib.import_module(module).__all__:
            yield Name(module, name, "optimizers", getattr(importlib.import_module(module), name))
    for page, (_, modules) in MODULES.items():
        for module in modules:
            for name in importlib.import_module(module).__all__:
                yield Name(module, name, page, getattr(importlib.import_module(module), name))
    for folder in STUDIES:
        package = importlib.import_module(f"odeopt.studies.{folder}")
        for part in package.__all__:
            value = getattr(package, part)
            if not inspect.ismodule(value):
                yield Name(package.__name__, part, f"studies-{folder}", value)
                continue
            for name in _defined(value):
                yield Name(value.__name__, name, f"studies-{folder}", getattr(value, name))
    for module, names in BUILDING.items():
        for name in names:
            yield Name(module, name, "building", getattr(importlib.import_module(module), name))


def names():
    """Every public name, once, where it is shortest."""
    found, seen = [], set()
    for one in _candidates():
        if id(one.value) not in seen:
            seen.add(id(one.value))
            found.append(one)
    return found


def homes():
    """Where an object is defined -> where it is documented, for links."""
    found = {}
    for one in names():
        module, name = getattr(one.value, "__module__", None), getattr(one.value, "__qualname__", None)
        if one.kind != "data" and module and name:
            found[f"{module}.{name}"] = one.full
    return found
