"""A layer imports only what stands above it in the design's list, and the import graph proves it."""

import ast
import pathlib
import re
import subprocess
import sys

import odeopt

ROOT = pathlib.Path(odeopt.__file__).parent
# From the ground up; names in one entry may import each other.
LAYERS = (
    ("machine_code", "abi", "archive", "bfloat16", "checks", "clipping", "fingerprint", "linear_systems", "matrices",
     "moved", "progress", "results", "spec", "spectrum", "stencil", "stores", "sums", "threads", "tiles"),
    ("problems",),
    ("flows",),
    ("schemes",),
    ("method", "discretization", "optimizers", "kernels"),
    ("schedules",),
    ("engine",),
    ("reference",),
    ("stochastic",),
    ("studies",),
    ("interop", "plotting", "explore", "bench"),
    ("cli", "__main__"),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def imports(path):
    """``(module-level name below odeopt, line)`` of every relative or absolute import of the package."""
    package = path.relative_to(ROOT.parent).with_suffix("").parts
    package = package[:-1]  # the package that a relative import starts from
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            target = (*base, *(node.module.split(".") if node.module else ()))
            names = [(*target, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "odeopt":
            names = [(*node.module.split("."), alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [tuple(a.name.split(".")) for a in node.names if a.name.split(".")[0] == "odeopt"]
        else:
            continue
        for name in names:
            if len(name) > 1:
                yield name[1], node.lineno


def test_every_module_stands_in_a_layer():
    tops = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in ROOT.rglob("*.py")}
    assert tops - {"__init__"} <= set(LEVEL)


def test_imports_go_down():
    wrong = []
    for path in ROOT.rglob("*.py"):
        top = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if top == "__init__":
            continue
        for name, line in imports(path):
            if name in LEVEL and LEVEL[name] > LEVEL[top]:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong


def test_numba_function_types_are_named_in_one_file_only():
    def names_them(path):
        text = path.read_text(encoding="utf-8")
        return "types.FunctionType(REAL" in text and re.search(r"^(from|import) numba", text, re.M)

    assert [path.name for path in ROOT.rglob("*.py") if names_them(path)] == ["abi.py"]


def test_import_is_light():
    code = ("import sys, odeopt; heavy = [m for m in ('matplotlib', 'scipy.integrate', 'scipy.optimize', 'torch') "
            "if m in sys.modules]; print(heavy)")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
