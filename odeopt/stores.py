"""Whether a function writes into an argument that it is given to read, on whatever path: read off its code.

Trying it (:func:`odeopt.checks.stays_inside`) shows the path that is taken at one point. A compiled kernel that writes
under a condition, into the state of a loop above all, would be seen by nobody.
"""

import functools
import types
from typing import Any

import numpy as np
from numba.core import ir
from numba.core.compiler import run_frontend

_VIEWS = ("T", "flat", "real")  # attributes of an array, and functions and methods, that give its own memory
_SAME_MEMORY = ("reshape", "ravel", "view", "transpose", "asarray", "ascontiguousarray", "atleast_1d", "atleast_2d")
_IN_PLACE = ("sort", "fill", "partition", "itemset", "put", "copyto", "place", "putmask", "fill_diagonal", "shuffle")
_DEEPEST = 20  # calls within calls


def writes_into(function: Any, position: int) -> bool:
    """Whether ``function``, plain or out of ``njit``, writes into its argument at ``position`` or into a view of it.

    True is sure, but for code that is never reached; False is what it says for all that numba cannot read, and where
    a variable is the argument at some times and something else at others.
    """
    return _writes(getattr(function, "py_func", function), position, 0)


@functools.lru_cache(4096)
def _writes(function, position, depth):
    if not isinstance(function, types.FunctionType) or depth > _DEEPEST:
        return False
    try:
        return _Code(function, position, depth).writes()
    except Exception:  # of numba's frontend: Python that it does not know, which is no kernel
        return False


class _Code:
    """numba's intermediate representation of a function: which of its variables are the argument's memory."""

    def __init__(self, function, position, depth):
        self.position, self.depth = position, depth
        self.statements = [one for block in run_frontend(function).blocks.values() for one in block.body]
        self.values: dict[str, list] = {}
        for one in self.statements:
            if isinstance(one, ir.Assign):
                self.values.setdefault(one.target.name, []).append(one.value)
        self.ours = {elements: self._memory(elements) for elements in (False, True)}

    def _memory(self, elements):
        """Names of the variables that are always the argument or a view of it; ``elements``: or a row or number of it.
        They are what is left of all when no more can be struck out."""
        left = set(self.values)
        while True:
            self.ours = {elements: left}
            kept = {name for name in left if all(self._same_memory(one, elements) for one in self.values[name])}
            if kept == left:
                return left
            left = kept

    def writes(self):
        """Whether any statement does."""
        return any(self._stores(one) for one in self.statements)

    def _stores(self, one):
        if isinstance(one, (ir.SetItem, ir.StaticSetItem)):
            return self._is_ours(one.target, True)
        value = one.value if isinstance(one, ir.Assign) else None
        if not isinstance(value, ir.Expr):
            return False
        if value.op == "inplace_binop":  # an element is a number, which changes nothing
            return self._is_ours(value.lhs, False)
        return value.op == "call" and self._call_stores(value)

    def _call_stores(self, call):
        owner, name = self._method(call)
        if name in _IN_PLACE and owner is not None and (
                self._is_ours(owner, True) or call.args and self._is_ours(call.args[0], True)):
            return True
        callee = self._constant(call.func)
        given = [i for i, one in enumerate(call.args) if self._is_ours(one, True)]
        if isinstance(callee, np.ufunc):
            return any(i >= callee.nin for i in given)
        return any(_writes(getattr(callee, "py_func", callee), i, self.depth + 1) for i in given)

    def _is_ours(self, var, elements):
        return var.name in self.ours[elements]

    def _same_memory(self, value, elements):
        if isinstance(value, ir.Arg):
            return value.index == self.position
        if isinstance(value, ir.Var):
            return self._is_ours(value, elements)
        if not isinstance(value, ir.Expr):
            return False
        if value.op in ("getitem", "static_getitem"):
            kind = self._kind_of_index(value.index)
            return (kind == "slice" or kind == "number" and elements) and self._is_ours(value.value, elements)
        if value.op == "inplace_binop":
            return self._is_ours(value.lhs, elements)
        if value.op == "getattr":
            return value.attr in _VIEWS and self._is_ours(value.value, elements)
        if value.op == "call":
            owner, name = self._method(value)
            return name in _SAME_MEMORY and owner is not None and (
                self._is_ours(owner, elements) or bool(value.args) and self._is_ours(value.args[0], elements))
        return value.op == "cast" and self._is_ours(value.value, elements)

    def _kind_of_index(self, index):
        """"slice" for slices or a tuple with one, "number" for numbers, "" for what may be an array (a copy then)."""
        if isinstance(index, ir.Var):
            found = self.values.get(index.name, [])
            kinds = {self._kind_of_value(one) for one in found}
            return kinds.pop() if len(kinds) == 1 else ""
        return "slice" if isinstance(index, slice) or index is Ellipsis else "number" * isinstance(index, int)

    def _kind_of_value(self, value):
        if isinstance(value, (ir.Const, ir.Global, ir.FreeVar)):
            return self._kind_of_index(value.value)
        if isinstance(value, ir.Var):
            return self._kind_of_index(value)
        if not isinstance(value, ir.Expr):
            return ""
        if value.op == "call":
            return "slice" if self._constant(value.func) is slice else ""
        if value.op == "build_tuple":
            kinds = [self._kind_of_index(one) for one in value.items]
            return "" if "" in kinds else "slice" if "slice" in kinds else "number"
        return "number" if value.op == "pair_first" else ""  # what a loop over range counts

    def _method(self, call):
        """``(the variable whose attribute is called, its name)``."""
        found = self.values.get(call.func.name, [])
        if len(found) == 1 and isinstance(found[0], ir.Expr) and found[0].op == "getattr":
            return found[0].value, found[0].attr
        return None, ""

    def _constant(self, var):
        """What a variable that is a constant stands for, an attribute of a module among them."""
        found = self.values.get(var.name, [])
        if len(found) != 1:
            return None
        value = found[0]
        if isinstance(value, (ir.Const, ir.Global, ir.FreeVar)):
            return value.value
        if isinstance(value, ir.Var):
            return self._constant(value)
        if isinstance(value, ir.Expr) and value.op == "getattr":
            return getattr(self._constant(value.value), value.attr, None)
        return None
