"""What editors and type checkers see is what there is."""

import ast
import importlib
import inspect
import sys

import places
import pytest

import odeopt as oo

sys.path.insert(0, str(places.ROOT / "tools"))
import stubs  # noqa: E402


def test_the_stub_of_the_optimizers_is_that_of_their_folder():
    assert stubs.STUB.read_text(encoding="utf-8") == stubs.text(), "run `python tools/stubs.py`"


def test_arguments_and_their_defaults_are_those_that_were_promised():
    """They are part of the API: who changes one means to, and runs tools/stubs.py."""
    promised = stubs.SIGNATURES.read_text(encoding="utf-8").splitlines()
    found = stubs.signatures().splitlines()
    assert sorted(set(found) ^ set(promised)) == [], "run `python tools/stubs.py` if this is meant"


def test_names_loaded_on_first_use_are_the_ones_that_type_checkers_see():
    tree = ast.parse((places.ROOT / "odeopt" / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))  # if TYPE_CHECKING
    seen = {name.name: node.module or "" for node in block.body for name in node.names}
    assert seen == {name: home for home, names in oo._LAZY.items() for name in names.split()}


def test_every_public_name_is_there_and_once():
    assert len(set(oo.__all__)) == len(oo.__all__), sorted(n for n in oo.__all__ if oo.__all__.count(n) > 1)
    assert all(hasattr(oo, name) for name in oo.__all__)


@pytest.mark.parametrize("module", ["problems", "flows", "schemes", "schedules", "stochastic", "plotting", "interop",
                                    "kernels", "studies", "optimizers"])
def test_no_helper_looks_public(module):
    found = importlib.import_module(f"odeopt.{module}")
    others = [name for name, value in vars(found).items() if not name.startswith("_") and name not in found.__all__
              and (inspect.isfunction(value) or inspect.isclass(value))]
    assert not others
