"""Optimizers: one file each. The folder is the registry; nothing else lists them."""

import importlib
import pkgutil
import sys

from .. import checks
from .base import Optimizer
from .state import State  # noqa: F401 - in OWN, by name

ALL = {}  # command-line name -> class, in the order of the alphabet
WRAPPERS = {}  # optimizers made of another one

for _module in sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in ("base", "state", "wrapper")):
    _page = importlib.import_module(f"{__name__}.{_module}")
    for _value in vars(_page).values():
        if isinstance(_value, type) and issubclass(_value, Optimizer) and _value.__module__ == _page.__name__:
            (WRAPPERS if _value.wrapper else ALL)[_value.__name__.lower()] = _value
            globals()[_value.__name__] = _value

ALIASES = {alias: name for name, cls in ALL.items() for alias in cls.aliases}


def by_name(name):
    """The optimizer class of a command-line name (``"adam"``, ``"gd"``); ValueError with the nearest match."""
    key = str(name).lower().replace("-", "").replace("_", "")
    return ALL[ALIASES.get(key) or checks.choice("optimizer", key, (*ALL, *ALIASES))]


def class_of(key, module=None):
    """The optimizer class with this :attr:`Optimizer.key`: the package's, or one defined in ``module``, which must
    have been imported. ValueError where there is none."""
    own = {**ALL, **WRAPPERS}
    if module is None:
        return own[checks.choice("method", key, tuple(own))]
    checks.text("module", module)
    found = [cls for cls in _subclasses(Optimizer) if cls.__module__ == module and cls.__name__.lower() == key]
    if found:  # of a module that was loaded again, the class of now
        return next((cls for cls in found if getattr(sys.modules.get(module), cls.__name__, None) is cls), found[-1])
    raise ValueError(f"method must be an optimizer that is known here, got {key!r} of the module {module!r}: "
                     "import that module first")


def _subclasses(cls):
    for child in cls.__subclasses__():
        yield child
        yield from _subclasses(child)


OWN = ("ALIASES", "ALL", "Optimizer", "State", "WRAPPERS", "by_name", "class_of")  # beside the classes of the pages
__all__ = [*OWN, *(cls.__name__ for cls in (*ALL.values(), *WRAPPERS.values()))]
