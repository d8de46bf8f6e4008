"""Every argument of every public function: what it cannot be is refused in one line of this package that names it."""

import importlib
import inspect
import re
import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
from calls import CALLS, Made

import odeopt as oo

HOME = str(Path(oo.__file__).parent)


class Thing:
    """What nothing can be."""

    def __repr__(self):
        return "a thing"


WRONG = {
    "a thing": Thing(), "10**400": 10**400, "nan": np.nan, "'x'": "x", "{}": {}, "masked": np.ma.array([1.0, 2.0]),
    "complex": np.array([1j, 2.0]), "cube": np.ones((2, 2, 2)),
}  # fmt: skip
TAKEN = {  # arguments that may be these
    "'x'": "name equation energy drives title caption html path",
    "{}": "options constraints constants epochs",
    "10**400": "seed",
    "complex": "curvature coefficients",
}
OTHER_NAMES = {("by_name", "name"): "optimizer|problem|schedule", ("error_panels", "comparisons"): "runs",
               ("errors", "comparisons"): "runs"}  # of the argument in the message
CALLERS = {"args"}  # what is wrong with these the caller's own function says
PUBLIC = [(module, name) for module, calls in CALLS.items() for name in calls]


def _of(module):
    return importlib.import_module(f"odeopt.{module}") if module else oo


def test_every_public_function_is_looked_at():
    methods = {cls.__name__ for cls in (*oo.optimizers.ALL.values(), *oo.optimizers.WRAPPERS.values())}
    # Results, which functions make; solver classes, whose arguments scipy hands over.
    made = {"Optimizer", "State", "Comparison", "Convergence", "Ensemble", "Reference", "Trajectory", "PlateauRule",
            "ModifiedFlow", "SignInclusion", "SignOfMean", "Noise", "Paths", "MinimizeMethod", "RKC2", "ROCK2",
            "Problem", "coasting_euler", "by_name", "class_of"}  # fmt: skip
    missing = [f"{module}.{name}" for module, calls in CALLS.items() for name in _of(module).__all__
               if callable(value := getattr(_of(module), name)) and name not in methods | made | calls.keys()
               and inspect.signature(value).parameters]
    assert not missing, f"no row in tests/calls.py for {', '.join(missing)}"


@pytest.mark.parametrize("module, name", PUBLIC, ids=[f"{module}.{name}".strip(".") for module, name in PUBLIC])
def test_what_an_argument_cannot_be_is_refused_by_name(module, name):
    function, found = getattr(_of(module), name), []
    parameters = inspect.signature(function).parameters
    given = {key: one.default for key, one in parameters.items() if one.default is not one.empty} | CALLS[module][name]
    assert given.keys() <= parameters.keys()
    if name == "explore":
        pytest.importorskip("bokeh", reason="explore looks at its arguments with bokeh alone")
    for key in given:
        for word, value in WRONG.items():
            if key not in TAKEN.get(word, "").split() and key not in CALLERS:
                said = _said(function, name, key, {k: v.make() if isinstance(v, Made) and k != key else v
                                                   for k, v in given.items()} | {key: value})
                found += [f"{key} = {word}: {said}"] if said else []
    assert not found, "\n".join(found)


def _said(function, name, key, arguments):
    """What is wrong with what the call says, or nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of animations that nobody draws
            function(**arguments)
    except (TypeError, ValueError) as error:
        text, inner = str(error), traceback.extract_tb(error.__traceback__)[-1]
        if not inner.filename.startswith(HOME):
            return f"{text} (of {inner.filename})"
        if "\n" in text or len(text) > 600:
            return f"not one line: {text}"
        return "" if re.search(rf"\b({OTHER_NAMES.get((name, key), re.escape(key))})", text) else f"unnamed: {text}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "taken"
