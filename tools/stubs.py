"""Write ``odeopt/optimizers/__init__.pyi``: the folder is the registry, and editors and type checkers do not run it;
and ``tests/golden/signatures.txt``: the public functions with their arguments and defaults, which are part of the API,
and those of the studies' modules with a default.

``python tools/stubs.py`` (``make stubs``) after adding a page or changing an argument; a test says when the files are
not those of the code.
"""

import importlib
import inspect
import pkgutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STUB = ROOT / "odeopt" / "optimizers" / "__init__.pyi"
SIGNATURES = ROOT / "tests" / "golden" / "signatures.txt"
HOMES = ("", "problems", "flows", "schemes", "schedules", "stochastic", "studies", "optimizers", "interop")


def text():
    """What the file must hold."""
    from odeopt import optimizers

    classes = sorted((*optimizers.ALL.values(), *optimizers.WRAPPERS.values()), key=lambda cls: cls.__module__)
    names = [*(cls.__name__ for cls in classes), *optimizers.OWN]
    pages = "".join(f"from .{cls.__module__.rpartition('.')[2]} import {cls.__name__} as {cls.__name__}\n"
                    for cls in classes)
    return f"""# Made by tools/stubs.py from the pages of this folder.
{pages}from .base import Optimizer as Optimizer
from .state import State as State

ALL: dict[str, type[Optimizer]]
WRAPPERS: dict[str, type[Optimizer]]
ALIASES: dict[str, str]

def by_name(name: str) -> type[Optimizer]: ...
def class_of(key: str, module: str | None = None) -> type[Optimizer]: ...

__all__ = [
{"".join(f'    "{name}",{chr(10)}' for name in sorted(names))}]
"""


def _of_studies(known):
    """The functions of the studies' modules that stand nowhere else and have a default."""
    top, lines = importlib.import_module("odeopt.studies"), []
    for found in pkgutil.walk_packages(top.__path__, "odeopt.studies."):
        module = importlib.import_module(found.name)
        for name, value in sorted(vars(module).items()):
            own = inspect.isfunction(value) and value.__module__ == found.name and not name.startswith("_")
            if own and getattr(sys.modules["odeopt"], name, None) is not value:
                given = [p.replace(annotation=p.empty) for p in inspect.signature(value).parameters.values()]
                if any(p.default is not p.empty for p in given):
                    lines.append(f"{found.name.removeprefix('odeopt.')}.{name}{inspect.Signature(given)}")
    return [line for line in lines if line not in known]


def signatures():
    """A line for each public function and class: its arguments, with their defaults."""
    lines = []
    for home in HOMES:
        module = importlib.import_module(f"odeopt.{home}".rstrip("."))
        for name in sorted(module.__all__):
            value = getattr(module, name)
            if not callable(value) or home and getattr(sys.modules["odeopt"], name, None) is value:
                continue
            given = inspect.signature(value).parameters.values()
            plain = [p.replace(annotation=p.empty) for p in given]
            lines.append(f"{home}{'.' * bool(home)}{name}{inspect.Signature(plain)}")
    lines += _of_studies(lines)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    STUB.write_text(text(), encoding="utf-8")
    SIGNATURES.write_text(signatures(), encoding="utf-8")
