"""What of torch and jax can be seen without them."""

import sys

import pytest

import odeopt as oo


@pytest.mark.parametrize("name, make", [("torch", lambda: oo.Problem.from_torch(None, None, None)),
                                        ("jax", lambda: oo.Problem.from_jax(None, None))])
def test_without_the_framework_one_sentence_names_the_extra(monkeypatch, name, make):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"^Problem.from_{name} needs {name}: pip install '.*\[{name}\]'$"):
        make()
