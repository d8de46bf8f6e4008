"""Modules and names that have moved: the old ones work for one release and say where the new ones are."""

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
import warnings

PACKAGE = __name__.partition(".")[0]
MODULES = {
    "drive": "engine.loops", "specialized": "engine.inlined", "lanes": "engine.batched", "record": "engine.record",
    "trajectory": "engine.trajectory", "store": "engine.store", "scheduled": "reference.scheduled",
    "solvers": "reference.solvers", "scheme_solvers": "reference.scheme_solvers",
    "stabilized": "reference.stabilized", "schedules.controllers": "schedules.plateau",
} | {f"studies.{old}": f"studies.{folder}.{new or old}" for folder, names in {
    "order": "comparison convergence certificates modified workprecision:work_precision equivalence statements fit "
             "lyapunov directions",
    "stability": "amplification regions periodic central controllers:step_control tunings:optimal_parameters restart",
    "noise": "stationary weak_order scaling_rules mixing",
    "networks": "training scale_invariance generalisation",
    "search": "ensemble chunks on_disk basins tuning:lr_search suggest",
}.items() for old, _, new in (name.partition(":") for name in names.split())}


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a module under its old name, whose names are those of the new one."""

    def find_spec(self, name, path=None, target=None):
        old = name.removeprefix(f"{PACKAGE}.")
        if old == name or old not in MODULES:
            return None
        return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec):
        """The usual one."""

    def exec_module(self, module):
        new = f"{PACKAGE}.{MODULES[module.__name__.removeprefix(f'{PACKAGE}.')]}"
        warnings.warn(f"{module.__name__} is now {new}", DeprecationWarning, stacklevel=2)
        found = importlib.import_module(new)
        module.__getattr__ = lambda name: getattr(found, name)


def install():
    """Let old names be imported.

    A module on its import becomes an attribute of its package, in the place of a function of that name: one that would
    (``odeopt.record``) is there from the start instead, and warns when its names are asked for.
    """
    package = sys.modules[PACKAGE]
    for old in MODULES.keys() & vars(package).keys():
        sys.modules.setdefault(f"{PACKAGE}.{old}", _beside(old))
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def _beside(old):
    """The module of the old name ``old``, as no attribute of the package."""
    module = types.ModuleType(f"{PACKAGE}.{old}")

    def __getattr__(name):
        if name.startswith("__"):
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        new = f"{PACKAGE}.{MODULES[old]}"
        warnings.warn(f"{module.__name__} is now {new}", DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(new), name)

    module.__getattr__ = __getattr__
    return module


def renamed(package, name, new):
    """The value of ``new`` for the old ``name`` of ``package``, with a DeprecationWarning."""
    warnings.warn(f"{package}.{name} is now {package}.{new}", DeprecationWarning, stacklevel=3)
    return getattr(sys.modules[package], new)


def submodules(package):
    """A module's ``__getattr__`` that imports the submodules of ``package`` where they are first asked for."""

    def __getattr__(name):
        if not name.startswith("_"):
            try:
                return importlib.import_module(f"{package}.{name}")
            except ModuleNotFoundError as error:
                if error.name != f"{package}.{name}":
                    raise
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return __getattr__
