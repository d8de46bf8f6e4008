"""What a run was made of, as a text that can be kept in a file and compared.

Two problems are the same where their dimension, their data and the code of their functions are, with the values
that this code takes from around it (closures, defaults, globals, attributes of an object whose method it is);
not where both are called "problem". The same for methods, schedules and noise.

A hash cannot know everything. Functions of installed packages count by name and version. Lists, dicts and sets,
which one fills while a function runs (a count of calls, a history), are left out, and so are names and attributes
that the code itself sets: what changes in them is not noticed. Code is compared within one version of Python
alone, whose bytecode it is; its values and the data always.
"""

import dis
import functools
import hashlib
import json
import pathlib
import sys
import types
import weakref
from typing import Any

import numpy as np
from numba.core.dispatcher import Dispatcher

from . import checks
from .machine_code import text_of_code

_TAG = sys.implementation.cache_tag or sys.version
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), range)
_SETS = {"STORE_GLOBAL", "STORE_DEREF", "STORE_ATTR", "DELETE_GLOBAL", "DELETE_ATTR"}
_PACKAGES = {"site-packages", "dist-packages"}
_COMPILED = weakref.WeakKeyDictionary()  # what a kernel captured is fixed when it compiles
_PROBLEMS = weakref.WeakKeyDictionary()  # one problem stays the same, whatever its functions count in an array


class _Walk:
    """A walk over what functions reach: their ``code``, and the ``values`` in it."""

    def __init__(self):
        self.code, self.values, self.seen, self.keep = [], [], {}, []

    def digests(self):
        return [hashlib.sha256("\n".join(part).encode("utf-8", "surrogatepass")).hexdigest()[:32]
                for part in (self.values, self.code)]

    def visit(self, value, words=frozenset()):
        """``words``: the names in the code around, the attributes that it may ask of a module."""
        if isinstance(value, _PLAIN):
            self.values.append(f"{type(value).__name__} {value!r}")
        elif isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject:
            self.values.append(_of_array(value))
        elif isinstance(value, tuple):
            self._visit_all(*value)
        elif isinstance(value, frozenset):
            self.values.append(repr(sorted(map(repr, value))))
        else:
            key = id(value), words if isinstance(value, types.ModuleType) else None
            if key in self.seen:
                self.code.append(f"again {self.seen[key]}")
                return
            self.seen[key] = len(self.seen)
            self.keep.append(value)  # alive, so that no other object gets its id
            self._visit_object(value, words)

    def _visit_object(self, value, words):
        if isinstance(value, Dispatcher):
            if value not in _COMPILED:
                inner = _Walk()
                inner._visit_function(value.py_func)
                _COMPILED[value] = inner.digests()
            values, code = _COMPILED[value]
            self.values.append(values)
            self.code.append(f"{code} {bool(value.targetoptions.get('fastmath'))}")
        elif isinstance(value, types.ModuleType):
            if _library(value) is None:
                for word in sorted(words & vars(value).keys()):
                    self.visit(vars(value)[word], words)
        elif isinstance(value, (types.FunctionType, type)):
            library = _library(sys.modules.get(value.__module__))
            if library is not None or isinstance(value, type) and value.__module__.partition(".")[0] == __package__:
                self.code.append(f"{library} {value.__qualname__}")  # our own classes: their kernels are what counts
            elif isinstance(value, type):
                self._visit_class(value)
            else:
                self._visit_function(value)
        elif isinstance(value, types.MethodType):
            self._visit_all(value.__func__, value.__self__)
        elif isinstance(value, types.BuiltinMethodType):
            self.code.append(value.__qualname__)
            self.visit(value.__self__)
        elif isinstance(value, functools.partial):
            self._visit_all(value.func, *value.args, *sorted(value.keywords), *map(value.keywords.get,
                                                                                  sorted(value.keywords)))
        else:
            self._visit_instance(value)

    def _visit_all(self, *values):
        for value in values:
            self.visit(value)

    def _visit_function(self, function):
        text, names = text_of_code(function.__code__, function.__doc__)
        self.code.append(text)
        changed = _set_by(function.__code__)
        for name in sorted((names & function.__globals__.keys()) - changed):
            self.visit(function.__globals__[name], names)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
            if name not in changed:
                try:
                    self.visit(cell.cell_contents, names)
                except ValueError:  # bound later
                    self.code.append("later")
        self._visit_all(*(function.__defaults__ or ()))
        for name, default in sorted((function.__kwdefaults__ or {}).items()):
            self._visit_all(name, default)

    def _visit_class(self, cls):
        for name, part in sorted(vars(cls).items()):
            part = getattr(part, "__func__", getattr(part, "fget", getattr(part, "func", part)))
            if isinstance(part, types.FunctionType):
                self.code.append(name)
                self._visit_function(part)
        self._visit_all(*cls.__bases__)

    def _visit_instance(self, value):
        cls = type(value)
        self.visit(cls)
        if _library(sys.modules.get(cls.__module__)) is not None:  # opaque, but for the functions with a name
            if isinstance(value, np.ufunc):
                self.code.append(value.__name__)
            return
        changed = set().union(*(_set_by(part.__code__) for kind in cls.__mro__ for name, part in vars(kind).items()
                                if isinstance(part, types.FunctionType) and name not in _MAKERS))
        for name, part in sorted(getattr(value, "__dict__", {}).items()):
            if name not in changed:
                self._visit_all(name, part)


_MAKERS = ("__init__", "__new__", "__post_init__", "__setstate__")


@functools.lru_cache(maxsize=4096)
def _set_by(code):
    """Names that a code object sets outside itself: global and nonlocal ones, and attributes."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname in _SETS} - set(code.co_cellvars)
    return frozenset(names.union(*(_set_by(c) for c in code.co_consts if isinstance(c, types.CodeType))))


def _library(module):
    """Name and version of the package that ``module`` belongs to; None for the user's own and for odeopt."""
    if module is None:
        return None
    top, parts = module.__name__.partition(".")[0], pathlib.PurePath(getattr(module, "__file__", None) or "").parts
    if top not in sys.stdlib_module_names and (top == __package__ or not _PACKAGES & {*parts}):
        return None
    return f"{module.__name__} {getattr(sys.modules.get(top), '__version__', '')}"


def _of_array(array):
    data = np.ascontiguousarray(array)
    return f"{data.dtype.str} {np.shape(array)} {hashlib.sha256(data.tobytes()).hexdigest()}"


def _digests(*parts):
    walk = _Walk()
    walk._visit_all(*parts)
    return walk.digests()


def _made(words, values, code):
    return f"{words} {values} {_TAG} {code}"


def of_problem(problem) -> str:
    """Fingerprint of a problem: name, dimension, data, and the code of its functions with the values in it."""
    if problem not in _PROBLEMS:
        _PROBLEMS[problem] = _digests(problem.fg, problem.hv, problem.fgb)
    values, code = _PROBLEMS[problem]
    return _made(f"{problem.name}, n = {problem.dim}", _digests(values, problem.data)[0], code)


def of_method(optimizer) -> str:
    """Fingerprint of an optimizer: class and hyperparameters, and the code of its kernel."""
    inner = getattr(optimizer, "optimizer", None)  # of a wrapper
    bare = () if getattr(inner, "optimizer", None) is None else (optimizer.bare.kernel,)
    return _made(repr(optimizer), *_digests(optimizer.kernel, getattr(inner, "kernel", None), *bare))


def of_others(given) -> str:
    """Fingerprint of a schedule, a sequence of them, a controller, a noise model or None."""
    given = given if isinstance(given, (tuple, list)) else (given,)
    return _made(", ".join(map(repr, given)), *_digests(*given))


def same(old: str, new: str) -> bool:
    """Whether two fingerprints are of the same thing; of two versions of Python, whether their values are."""
    (*before, old_tag, old_code), (*now, tag, code) = old.rsplit(" ", 2), new.rsplit(" ", 2)
    return before == now and (old_tag != tag or old_code == code)


def of_value(value) -> str:
    """Fingerprint of a word, or of an array of one's own."""
    return _made(value if isinstance(value, str) else "an array", *_digests(value))


def compare(old: Any, new: dict[str, Any]) -> None:
    """ValueError that names the part in which the origin of a run differs from ``new``, what is to go on with it.

    ``old`` is that origin as JSON. A part of ``new`` that is None was left open: it becomes that of the run.
    """
    try:
        before = json.loads(old)
        found = {name: str(before[name]) for name in new}
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError("resume must be a run that says what it was made of, got one with origin = "
                         f"{checks.shown(old)}") from None
    for name, now in new.items():
        if now is None:
            new[name] = found[name]
        elif not same(found[name], now):
            was, now = (text.rsplit(" ", 3)[0] for text in (found[name], now))
            was = "one of that name with other functions, constants or data" if was == now else was
            raise ValueError(f"resume must come from the same {name}, {now}, got {was}")
