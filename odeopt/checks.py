"""Bad input gets one line that names the argument, the value and what is allowed."""

import contextlib
import difflib
import json
import math
import numbers
import zipfile
import zlib

import numpy as np


def real(name, value, low=-math.inf, high=math.inf, *, open_low=False, open_high=False):
    """``value`` as a float within the interval, or ValueError/TypeError naming ``name``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    value = float(value)
    inside = (value > low if open_low else value >= low) and (
        value < high if open_high else value <= high
    )
    if not inside or not math.isfinite(value):
        left, right = "(" if open_low or low == -math.inf else "[", ")" if open_high or high == math.inf else "]"
        raise ValueError(f"{name} must be in {left}{low:g}, {high:g}{right}, got {value!r}")
    return value


def integer(name, value, low=0):
    """``value`` as an int not below ``low``, or ValueError/TypeError naming ``name``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < low:
        raise ValueError(f"{name} must be at least {low}, got {value}")
    return int(value)


def choice(name, value, allowed):
    """``value`` if it is one of ``allowed``, or ValueError with the nearest match."""
    if value in allowed:
        return value
    near = difflib.get_close_matches(str(value).lower(), [str(a) for a in allowed], 1, 0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}{hint}")


def point(name, value, dim=None):
    """A fresh, finite, C-contiguous float64 vector (of length ``dim``), never the caller's."""
    try:
        if np.iscomplexobj(value):  # the conversion would only warn
            raise TypeError(f"{name} must be a vector of real numbers, got complex values")
        array = np.array(value, dtype=np.float64, order="C", copy=True)
    except (TypeError, ValueError) as error:
        if "complex values" in str(error):
            raise
        raise TypeError(f"{name} must be a vector of real numbers, got {type(value).__name__}") from None
    if array.ndim != 1 or array.size == 0 or (dim is not None and array.size != dim):
        wanted = f"({dim},)" if dim is not None else "(n,) with n >= 1"
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)][0]} in it")
    return array


def stays_inside(words, kernel, *arguments):
    """What ``kernel`` returns in the interpreter, where numpy checks indices; TypeError with ``words`` for a wrong one.

    Compiled code does not check them: with a row too few it would write into memory that is not its own.
    What else goes wrong here (a function that only compiled code has, 1/0) is no matter and gives nan.
    """
    try:
        with np.errstate(all="ignore"):
            return kernel.py_func(*arguments)
    except IndexError as error:
        raise TypeError(f"{words}: {error}") from None
    except Exception:
        return np.nan


def archive(path, kind, version, *needed):
    """``(words, arrays)`` of the npz file that a ``kind`` was saved in; ValueError where it is none, lacks what
    is ``needed``, or is of another version."""
    try:
        with (contextlib.nullcontext(path) if hasattr(path, "read") else open(path, "rb")) as file, np.load(
                file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        words = json.loads(str(arrays.pop("words")))
        found = words.pop("format")
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error):
        words = None  # not npz, cut off, or somebody else's
    if words is None or not words.keys() | arrays.keys() >= set(needed):
        raise ValueError(f"path must be a saved {kind}, got {path}")
    if found != version:
        raise ValueError(f"path holds another version of the {kind} format: {path}")
    return words, arrays
