"""Bad input gets one line that names the argument, the value and what is allowed.

All arrays that compiled code will see pass :func:`array`, which knows the shape they must have: compiled
loops do not look where their indices point. Kernels that come from outside pass :func:`stays_inside`.
"""

import difflib
import importlib
import inspect
import math
import numbers
import os
import types
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np

from .abi import interpreted
from .stores import writes_into

LARGEST = 2**62  # of the integers: sums of two still fit into the loops' counters
_LONGEST = 60  # letters of a value in a message
_ACCESSES = 300_000  # of a kernel that is tried in the interpreter, a tenth of a second


def shown(value: Any) -> str:
    """``value`` for a message: one line, not long, whatever it is."""
    if np.ma.isMaskedArray(value):
        return f"a masked array of shape {value.shape}"
    if isinstance(value, np.ndarray) and not (value.ndim == 1 and value.size <= 4):
        return f"an array of shape {value.shape} of {value.dtype}"
    if isinstance(value, int) and abs(value) >= 10**30:
        return f"an integer of {value.bit_length()} bits"
    try:
        text = " ".join(repr(value).split())
    except Exception:  # of somebody's own __repr__: the message is about something else
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST - 4]} ..."


def _number(value):
    """``value`` as a float; TypeError where it is not a real number, OverflowError where it is too large for one."""
    if isinstance(value, np.ndarray) and value.ndim == 0 and not np.ma.isMaskedArray(value):
        value = value.item() if value.dtype.kind in "iufO" else None
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (numbers.Real, Decimal)):
        raise TypeError
    try:
        return float(value)
    except ValueError:  # Decimal("sNaN")
        return math.nan


def real(name: str, value: Any, low: float = -math.inf, high: float = math.inf, *, open_low: bool = False,
         open_high: bool = False) -> float:
    """``value`` as a float within the interval, or ValueError/TypeError naming ``name``.

    Whatever is a real number is taken: of numpy, a Fraction, a Decimal, an array of no dimension.
    """
    number = value
    if type(value) is not float:
        try:
            number = _number(value)
        except TypeError:
            raise TypeError(f"{name} must be a real number, got {shown(value)}") from None
        except OverflowError:
            number = math.inf
    inside = (number > low if open_low else number >= low) and (
        number < high if open_high else number <= high
    )
    if not inside or not math.isfinite(number):
        left, right = "(" if open_low or low == -math.inf else "[", ")" if open_high or high == math.inf else "]"
        raise ValueError(f"{name} must be in {left}{low:g}, {high:g}{right}, got {shown(value)}")
    return number


def real_or_none(name: str, value: Any, **interval: Any) -> float | None:
    """:func:`real`, or None where that is given."""
    return None if value is None else real(name, value, **interval)


def positive(name: str, value: Any) -> float:
    """``value`` as a float in (0, inf)."""
    return real(name, value, 0.0, open_low=True)


def nonnegative(name: str, value: Any) -> float:
    """``value`` as a float in [0, inf)."""
    return real(name, value, 0.0)


def share(name: str, value: Any) -> float:
    """``value`` as a float in (0, 1)."""
    return real(name, value, 0.0, 1.0, open_low=True, open_high=True)


def integer(name: str, value: Any, low: int = 0, high: int | None = LARGEST) -> int:
    """``value`` as an int in [``low``, ``high``], or ValueError/TypeError naming ``name``."""
    number = value
    if isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "iuO" and not (
            np.ma.isMaskedArray(value)):
        number = value.item()
    if isinstance(number, (bool, np.bool_)) or not isinstance(number, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {shown(value)}")
    if number < low:
        raise ValueError(f"{name} must be at least {low}, got {shown(value)}")
    if high is not None and number > high:  # pyright: ignore[reportOperatorIssue]
        raise ValueError(f"{name} must be at most {high}, got {shown(value)}")
    return int(number)


def memory(what: str, size: int) -> None:
    """ValueError where the arguments ``what`` ask for more bytes than this machine has."""
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # no POSIX: what no machine has
        there = 2**46
    if size > there:
        raise ValueError(f"{what} must ask for no more than the memory, got {size / 2**30:.3g} GB "
                         f"of {there / 2**30:.3g} GB")


def count(name: str, value: Any, low: int = 1, size: int = 64) -> int:
    """:func:`integer` of things that take ``size`` bytes each, as many as the memory holds."""
    number = integer(name, value, low)
    memory(name, size * number)
    return number


def choice(name: str, value: Any, allowed: Iterable[Any]) -> Any:
    """The one of ``allowed`` that equals ``value``, or ValueError with the nearest match."""
    try:
        hash(value)  # what has no hash, an array say, may not even be compared
        for one in allowed:
            if one == value:
                return one
    except (TypeError, ValueError):
        pass
    word = value if isinstance(value, str) else shown(value)
    near = difflib.get_close_matches(word.lower(), [str(a) for a in allowed], 1, 0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {shown(value)}{hint}")


def text(name: str, value: Any) -> str:
    """``value`` as it is; TypeError unless it is a str."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, got {shown(value)}")
    return value


def instance(name: str, value: Any, kind: type, words: str) -> Any:
    """``value`` itself, or TypeError unless it is a ``kind``, in words "a Comparison of odeopt.compare"."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {words}, got {shown(value)}")
    return value


def switch(name: str, value: Any) -> bool:
    """``value`` as a bool, or ValueError naming ``name``."""
    return choice(name, value, (False, True))


def array(name: str, value: Any, shape: Any, *, finite: bool = True, of: str = "") -> np.ndarray:
    """A fresh, C-contiguous float64 array of ``shape`` (None: any length but 0), never the caller's.

    TypeError for what is not real numbers (complex, masked, text, booleans), ValueError for another shape and,
    unless ``finite`` is False, for values that are not. ``of``: what has this shape, for the message.
    """
    if type(value) is np.ndarray and value.dtype == np.float64:
        found = np.array(value, order="C")
    else:
        found = real_numbers(value)
    what = {1: "a vector", 2: "a matrix"}.get(len(shape), "an array")
    if isinstance(found, str):
        raise TypeError(f"{name} must be {what} of real numbers, got {found}")
    if found.ndim != len(shape) or not all(n > 0 if m is None else n == m for m, n in zip(shape, found.shape)):
        raise ValueError(f"{name} must have shape {_shape(shape)}{of and f' for {of}'}, got {found.shape}")
    if finite and not np.isfinite(found).all():
        raise ValueError(f"{name} must be finite, got {found[~np.isfinite(found)][0]} in it")
    return found


def kept(name: str, value: Any, shape: Any) -> np.ndarray:
    """``value`` itself where it is an array as :func:`array` would make it, finite or not; else a new one."""
    if type(value) is np.ndarray and value.dtype == np.float64 and value.shape == shape and (
            value.flags.c_contiguous and value.flags.writeable):
        return value
    return array(name, value, shape, finite=False)


def entries(name: str, value: Any) -> Any:
    """The entries of a list, tuple or array as a tuple, or TypeError naming ``name``; of a masked array there are
    none."""
    if isinstance(value, (str, bytes, dict, set, frozenset)) or np.ma.isMaskedArray(value) or not np.iterable(value):
        raise TypeError(f"{name} must be a sequence, got {shown(value)}")
    return tuple(value)


def some(name: str, value: Any) -> Any:
    """:func:`entries`, or ValueError where there is none."""
    found = entries(name, value)
    if not found:
        raise ValueError(f"{name} must have at least one entry, got none")
    return found


def window(value: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    """``((low, high), (low, high))`` of floats, or ValueError."""
    sides = real_numbers(value)
    if isinstance(sides, str) or sides.shape != (2, 2) or not (
            np.isfinite(sides).all() and (sides[:, 0] < sides[:, 1]).all()):
        raise ValueError(f"window must be ((low, high), (low, high)) with low < high, got {shown(value)}")
    (left, right), (below, above) = sides
    return (float(left), float(right)), (float(below), float(above))


def dimensions(value: Any) -> int:
    """Dimensions of what is to become an array; 0 for what will not."""
    if is_masked(value):
        return 0
    try:
        return np.ndim(value)
    except ValueError:  # rows of several lengths
        return 0


def point(name: str, value: Any, dim: int | None = None) -> np.ndarray:
    """:func:`array` for a vector (of length ``dim``)."""
    return array(name, value, (dim,))


def takes(name: str, function: Any, signature: Any, contract: str = "") -> None:
    """TypeError unless ``function`` is one that can be called as ``signature``, ``"hv(x, v, out, data)"``, says.

    ``contract``: what else the message says of it.
    """
    said = f"{name} must be a function {signature}{contract}"
    if not callable(function):
        raise TypeError(f"{said}, got {shown(function)}")
    plain = interpreted(function)
    code: Any = getattr(plain, "__code__", None)
    if isinstance(plain, types.FunctionType) and code.co_argcount == signature.count(",") + 1 and not (
            code.co_kwonlyargcount):  # as nearly always: a signature takes 50 times as long
        return
    try:
        found = inspect.signature(plain)
    except (TypeError, ValueError):  # of a builtin: not known
        return
    try:
        found.bind(*signature.split(","))
    except TypeError:
        raise TypeError(f"{said}, got {getattr(plain, '__name__', type(plain).__name__)}{found}") from None


def _shape(shape):
    free = iter("nmk")
    letters = [next(free) if length is None else str(length) for length in shape]
    some = [letter for letter in letters if letter.isalpha()]
    return f"({', '.join(letters)}{',' if len(letters) == 1 else ''})" + (f" with {some[0]} >= 1" if some else "")


def extra(module: str, what: str, name: str | None = None) -> Any:
    """The module of an extra (of this ``name``; default: that of the module); ImportError in one sentence where it is
    not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:  # it is there, and lacks something itself
            raise
        words = f"{what} needs {module}: pip install 'odeopt-schemes[{name or module}]'"
        raise ImportError(words, name=module) from None


def real_numbers(value: Any) -> np.ndarray | str:
    """``value`` as a new float64 array, or the word for what it is instead."""
    if is_masked(value):
        return "masked values"
    try:
        given = np.asarray(value)
        if given.dtype.kind == "c":
            return "complex values"
        if given.dtype.kind == "O" and given.ndim:
            given = np.array([_number(one) for one in given.ravel()]).reshape(given.shape)
        if given.dtype.kind not in "iuf":
            return type(value).__name__ if not isinstance(value, np.ndarray) else str(given.dtype)
        with np.errstate(over="ignore"):  # of a long double: not finite then
            return np.array(given, dtype=np.float64, order="C")
    except OverflowError:
        return "a number beyond those of a float"
    except (TypeError, ValueError):
        return str(value.dtype) if isinstance(value, np.ndarray) else type(value).__name__


def is_masked(value: Any) -> bool:
    """Whether ``value``, or an entry of a list of them, is a masked array of numpy."""
    return np.ma.isMaskedArray(value) or isinstance(value, (list, tuple)) and any(map(is_masked, value))


class _Tried(np.ndarray):
    """An array that counts how often it is read or written, so that a kernel on trial comes to an end."""

    left = _ACCESSES

    def __getitem__(self, index):
        self._count()
        return super().__getitem__(index)

    def __setitem__(self, index, value):
        self._count()
        super().__setitem__(index, value)

    @staticmethod
    def _count():
        _Tried.left -= 1
        if _Tried.left < 0:
            raise _Enough


class _Enough(Exception):
    """A kernel on trial has shown what can be waited for."""


def stays_inside(words: str, kernel: Any, *arguments: Any, reads: str = "") -> Any:
    """What ``kernel`` returns in the interpreter, where numpy checks indices; TypeError with ``words`` for a wrong one.

    Compiled code does not check them: with a row too few it would write into memory that is not its own.
    What else goes wrong here (a function that only compiled code has, 1/0) is no matter and gives nan; so does
    a kernel that is not done after 300,000 accesses to its arrays.

    ``reads``: the names of the arrays among ``arguments`` in order, in brackets those that are its to write, as in
    "x [g] data". One that writes into another, and with that into the state of a loop, is a TypeError as well, also
    where its code does so on another path than the one tried here (:mod:`odeopt.stores`).
    """
    names = reads.split()
    places = [i for i, one in enumerate(arguments) if isinstance(one, np.ndarray)] if reads else []
    for name, place in zip(names, places, strict=True):
        if name[0] != "[" and not _ours(kernel) and writes_into(kernel, place):
            raise TypeError(_writes(words, name))
    _Tried.left = _ACCESSES
    given = [np.array(one) if isinstance(one, np.ndarray) else one for one in arguments] if reads else arguments
    tried = [one.view(_Tried) if isinstance(one, np.ndarray) else one for one in given]
    try:
        with np.errstate(all="ignore"):
            value = interpreted(kernel)(*tried)
    except IndexError as error:
        raise TypeError(f"{words}: {error}") from None
    except Exception:
        value = np.nan
    for name, place in zip(names, places, strict=True):
        if name[0] != "[" and not np.array_equal(arguments[place], given[place], equal_nan=True):
            raise TypeError(_writes(words, name))
    return value


def _writes(words, name):
    return f"{words.partition(' must ')[0]} must not write into {name}, which it is given to read"


def _ours(kernel):
    return (getattr(interpreted(kernel), "__module__", None) or "").startswith(f"{__package__}.")
