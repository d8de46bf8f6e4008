"""Problems from a formula's text."""

import numpy as np

from .. import abi, checks
from . import grammar, graph, source

_LONGEST_NAME = 40
_STARTS = ((1.0,), (-1.2, 1.0), (0.5,), (2.0,), (-1.0,), (0.1, 0.2), (3.0, 5.0))


def parts(text, variables, parameters, x0):
    """What :meth:`odeopt.Problem.from_kernels` takes, from the arguments of ``from_expression``."""
    tree = grammar.tree_of(text)
    found = grammar.names_in(tree)
    if parameters is not None and not isinstance(parameters, dict):
        raise TypeError(f"parameters must be a dict from name to value, got {checks.shown(parameters)}")
    parameters = dict(parameters or {})
    names = grammar.variables_of(variables, found, parameters)
    values = [checks.real(f"parameters[{name!r}]", value) for name, value in parameters.items()]
    reader = grammar.Reader(names, parameters)
    f = reader.read(tree)
    try:
        sources = source.kernels(reader.graph, f, len(names))
    except graph.NotFinite:
        raise ValueError("text must have derivatives with finite constants, got one beyond those of a float") from None
    fg, hv = (abi.written(function) for function in sources)
    data = np.array(values or [0.0])
    x0 = _start(fg, data, names) if x0 is None else checks.point("x0", x0, len(names))
    words = " ".join(text.split())
    name = words if len(words) <= _LONGEST_NAME else f"{words[:_LONGEST_NAME - 4]} ..."
    about = f"f({', '.join(names)}) = {words}" + "".join(f", {key} = {value!r}" for key, value in
                                                         zip(parameters, values))
    return {"name": name, "fg": fg, "hv": hv, "dim": len(names), "x0": x0, "data": data, "about": about}


def statements(text):
    """Statements in the kernels of a formula, by which the time to compile them grows."""
    tree = grammar.tree_of(text)
    names = grammar.variables_of(None, grammar.names_in(tree), {})
    reader = grammar.Reader(names, {})
    f = reader.read(tree)
    try:
        return sum(kernel.count("\n") for kernel in source.kernels(reader.graph, f, len(names)))
    except graph.NotFinite:
        return 0  # no kernels: parts says why


def _start(fg, data, names):
    """The first of a few points where f and its gradient are finite and the gradient is not zero."""
    function = abi.interpreted(fg)
    for numbers in _STARTS:
        x, g = np.resize(numbers, len(names)), np.empty(len(names))
        with np.errstate(all="ignore"):
            f = function(x, g, data)
        if np.isfinite(f) and np.isfinite(g).all() and g.any():
            return x
    raise ValueError("x0 must be given: the text has no finite value with a gradient at "
                     + ", ".join(f"({', '.join(f'{one:g}' for one in numbers)}{', ...' * (len(names) > len(numbers))})"
                                 for numbers in _STARTS[:3]) + " and some points more")
