"""A formula's text as a graph of operations. The text is read, never evaluated.

Python's parser gives a tree, of which a closed list of nodes is understood: numbers, names, ``x[0]``, + - * / and
powers, and the functions of :data:`odeopt.problems.graph.FUNCTIONS`. Anything else is a ValueError.
"""

import ast
import math
import re
import warnings
from typing import Any

from .. import checks
from .graph import FUNCTIONS, Graph, NotFinite

LONGEST, DEEPEST, MOST_VARIABLES, MOST_POWER = 10_000, 100, 100, 1000
CONSTANTS = {"pi": math.pi, "e": math.e}
SYNONYMS = {"ln": "log", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "Abs": "abs"}
ALLOWED = (f"numbers, variables, pi, e, + - * / ^ ( ) and the functions {', '.join(FUNCTIONS)}")
_NAME = re.compile(r"[^\W\d]\w*(\[\d{1,6}\])?")
_OPERATIONS = {ast.Add: Graph.add, ast.Sub: Graph.subtract, ast.Mult: Graph.multiply, ast.Div: Graph.divide,
               ast.Pow: Graph.power_of}


def _refused(what):
    return ValueError(f"text must be made of {ALLOWED}, got {what}")


def tree_of(text):
    """The syntax tree of a formula, in which ``^`` means power."""
    if not isinstance(text, str):
        raise TypeError("text must be a formula such as '(1-x)^2 + 100*(y-x^2)^2' (a function goes to "
                        f"odeopt.Problem), got {checks.shown(text)}")
    if len(text) > LONGEST:
        raise ValueError(f"text must have at most {LONGEST} characters, got {len(text)}")
    if not text.strip():
        raise ValueError(f"text must be made of {ALLOWED}, got none")
    try:
        with warnings.catch_warnings():  # Python's about its own syntax
            warnings.simplefilter("ignore")
            return ast.parse(" ".join(text.split()).replace("^", "**"), mode="eval").body
    except (RecursionError, MemoryError):
        raise _deep() from None
    except (SyntaxError, ValueError) as error:  # ValueError: a null byte, an integer of thousands of digits
        if "too many nested" in str(error):
            raise _deep() from None
        hint = "; a product is written 2*x" if re.search(r"\d\s*[^\W\d]|\)\s*[\w(]|\w\s+\w", text) else ""
        raise _refused(f"{checks.shown(text)}, which is not a formula{hint}") from None


def _deep():
    return ValueError(f"text must nest its operations at most {DEEPEST} deep, got more")


def name_of(node) -> Any:
    """``x`` or ``x[3]`` of a tree's node; None for one that is not a variable's."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and (
            isinstance(node.slice, ast.Constant) and type(node.slice.value) is int):
        return f"{node.value.id}[{node.slice.value}]"
    return None


def names_in(tree):
    """The names in a tree that are neither functions nor constants, in natural order (x2 before x10).

    ValueError for a tree that holds anything but what :data:`ALLOWED` says.
    """
    names, rest = set(), [tree]
    while rest:
        node = rest.pop()
        name = name_of(node)
        if name is not None:
            names.add(name)
        elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
            rest += [node.left, node.right]
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            rest.append(node.operand)
        elif isinstance(node, ast.Call):
            rest += _arguments(node)
        elif not (isinstance(node, ast.Constant) and type(node.value) in (int, float)):
            raise _refused(_words(node))
    for name in names & (FUNCTIONS.keys() | SYNONYMS.keys()):
        raise _refused(f"{name} without its argument, {name}(...)")
    return sorted(names - CONSTANTS.keys(), key=natural)


def _arguments(call):
    """The argument of a function's call, in a list."""
    name = call.func.id if isinstance(call.func, ast.Name) else None
    if name is None or SYNONYMS.get(name, name) not in FUNCTIONS:
        what = "a factor before ( )" if name is None else f"{name}( ), which is none of these functions"
        product = "a*(b)" if name is None else f"{name}*( )"
        raise _refused(_words(call.func) if isinstance(call.func, (ast.Attribute, ast.Lambda))
                       else f"{what}; a product is written {product}")
    if len(call.args) != 1 or call.keywords:
        raise _refused(f"{name} of {len(call.args) + len(call.keywords)} arguments, it takes one")
    return call.args


def natural(name):
    """A key that sorts the numbers in names as numbers."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name)]


def variables_of(given, found, parameters):
    """Names of the variables: as given, else those found in the text; x[0] to x[the largest index]."""
    if given is None:
        names = [name for name in found if name not in parameters]
        for base in {name.partition("[")[0] for name in names if "[" in name}:
            most = max(int(name[len(base) + 1 : -1]) for name in names if name.startswith(f"{base}["))
            if most < MOST_VARIABLES:
                names = sorted({*names, *(f"{base}[{i}]" for i in range(most + 1))}, key=natural)
            else:
                raise ValueError(f"variables must be at most {MOST_VARIABLES}, got {base}[{most}] in the text")
    else:
        given = re.split(r"[\s,]+", given.strip()) if isinstance(given, str) else given
        names = [*checks.entries("variables", given)]
    for what, name in [("variables", name) for name in names] + [("parameters", name) for name in parameters]:
        if not (isinstance(name, str) and _NAME.fullmatch(name) and (what == "variables" or "[" not in name)):
            raise ValueError(f"{what} must be names such as x, y or x1, got {checks.shown(name)}")
        if name in CONSTANTS or name in FUNCTIONS or name in SYNONYMS:
            raise ValueError(f"{what} must not be named as a function or as pi or e, got {name!r}")
    twice = {name for name in names if names.count(name) > 1} or set(names) & set(parameters)
    twice |= {name.partition("[")[0] for name in names if "[" in name} & {*names, *parameters}
    if twice:
        raise ValueError(f"variables and parameters must have names of their own, got {min(twice)!r} twice")
    if not 1 <= len(names) <= MOST_VARIABLES:
        raise ValueError(f"variables must be 1 to {MOST_VARIABLES} names, got {len(names) or 'none'}")
    unknown = [name for name in found if name not in names and name not in parameters]
    if unknown:
        known = ", ".join([*names, *parameters][:8]) + ", ..." * (len(names) + len(parameters) > 8)
        raise ValueError(f"text must be made of the names {known}, pi and e, got {checks.shown(unknown[0])}")
    unused = [name for name in parameters if name not in found]
    if unused:
        raise ValueError(f"parameters must be names in the text ({', '.join(found)}), got {unused[0]!r}")
    return names


class Reader:
    """From a syntax tree, looked at by :func:`names_in`, to nodes of a graph."""

    def __init__(self, variables, parameters):
        self.graph = Graph()
        self._symbols = {name: ("x", i) for i, name in enumerate(variables)}
        self._symbols |= {name: ("p", i) for i, name in enumerate(parameters)}

    def read(self, node, depth=0):
        """The number of the graph's node for a tree; ValueError for constants out of range and deep nesting."""
        if depth > DEEPEST:
            raise _deep()
        try:
            if isinstance(node, ast.BinOp):
                return self._chain(node, depth)
            if isinstance(node, ast.UnaryOp):
                inner = self.read(node.operand, depth + 1)
                return self.graph.negative(inner) if isinstance(node.op, ast.USub) else inner
            if isinstance(node, ast.Call):
                called = node.func.id  # pyright: ignore[reportAttributeAccessIssue]
                name = SYNONYMS.get(called, called)
                return self.graph.call(name, self.read(node.args[0], depth + 1))
            if isinstance(node, ast.Constant):
                return self.graph.number(node.value)
        except NotFinite:
            raise _refused("a constant that is not a finite real number, such as 1/0, log(-1) or 9^999") from None
        name = name_of(node)
        return self.graph.symbol(*self._symbols[name]) if name in self._symbols else self.graph.number(CONSTANTS[name])

    def _chain(self, node, depth):
        # A long sum hangs to the left: it is walked, not descended.
        links = []
        while isinstance(node, ast.BinOp):
            links.append(node)
            node = node.left
        result = self.read(node, depth + 1)
        for link in reversed(links):
            right = self.read(link.right, depth + 1)
            exponent = self.graph.value(right)
            if isinstance(link.op, ast.Pow) and exponent is not None and abs(exponent) > MOST_POWER:
                raise _refused(f"the exponent {exponent:g}, larger than {MOST_POWER} in size")
            result = _OPERATIONS[type(link.op)](self.graph, result, right)
        return result


def _words(node):
    kind = type(node)
    if kind in (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp):
        return "a comprehension"
    if isinstance(node, ast.Constant):
        return checks.shown(node.value)
    if isinstance(node, (ast.BinOp, ast.UnaryOp)):
        return f"Python's operator {type(node.op).__name__}"
    words = {ast.Attribute: "an attribute", ast.Lambda: "a lambda", ast.Subscript: "an index other than 0, 1, 2, ...",
             ast.Compare: "a comparison", ast.JoinedStr: "a string", ast.Tuple: "several formulas"}
    return words.get(kind, f"Python's {kind.__name__}")
