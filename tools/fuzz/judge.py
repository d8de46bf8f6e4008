"""What is wrong with a call that returned or raised: a kind of failure and a complaint, or two empty strings."""

import inspect
import re
import traceback
from pathlib import Path

import numpy as np

import odeopt as oo

HERE, HOME = str(Path(__file__).parent), str(Path(oo.__file__).parent)
_NAMED = re.compile(r"[\w. '*()\[\]=-]{1,60} (must|needs|has|have|holds|asks) ")
_MISCALLED = re.compile(r"unexpected keyword argument|required positional argument|positional arguments? but")


def finite(a):
    return bool(np.isfinite(a).all())


def check_run(run, p=None):
    if run.status not in ("completed", "converged", "diverged", "interrupted", "stalled"):
        return "status " + run.status
    if len(run) < 1:
        return "no records"
    if not (finite(run.f) and finite(run.x) and finite(run.grad_norm)) and run.ok:
        return f"ok but not finite ({run.status})"
    if not (np.diff(run.k) > 0).all():
        return "k not increasing"
    if run.ok and not finite(run.final["x"]):
        return "ok but final x not finite"
    if run.ok and run.memory is not None and not finite(run.memory):
        return "ok but memory not finite"
    if run.ok and not finite(run.t):
        return "ok but t not finite"
    repr(run)
    run._repr_html_()
    return ""


def of_error(error, f, kw, returned=False):
    """``(kind, complaint)`` of an exception that ``f(..., **kw)`` raised, or the look at what it ``returned``."""
    text, said = str(error), f"{type(error).__name__}: {str(error)[:200]}"
    _, inner, own = where(error)
    if inner.startswith(HERE) and isinstance(error, (ValueError, TypeError, ZeroDivisionError)):
        # Of the objective itself it is the caller's; a call or a look that does not fit the package is a fault here.
        return ("TOOL", said) if returned or _MISCALLED.search(text) else ("", "")
    if isinstance(error, AssertionError):
        return "ASSERT", text[:200]
    if not isinstance(error, (ValueError, TypeError)):
        return "TYPE", said
    if inner.startswith(("scipy/optimize/_minimize.py", "scipy/optimize/_optimize.py")):
        return "", ""  # SciPy's own words on arguments not yet passed on, or on what is not a pair
    if "<lambda>() takes 0 positional arguments" in text:
        return "", ""  # a function of the caller's that does not take its argument, from the inputs
    if not own:
        return "FOREIGN", said
    if "\n" in text:
        return "LINES", text[:200]
    if not (_NAMED.match(text) or (" is not a " in text and " file: " in text)
            or any(re.search(rf"\b{re.escape(name)}\b", text) for name in _names(f, kw))):
        return "UNNAMED", said
    return ("LONG", text[:200]) if len(text) > 500 else ("", "")


def where(error):
    """``(line of the package, innermost line, whether that is the package's)`` of an exception."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(HOME)]
    return place(own[-1]) if own else "-", place(frames[-1]), frames[-1].filename.startswith(HOME)


def place(frame):
    """File and line of a frame or a warning, short where the file is a package's."""
    return f"{frame.filename.replace(HOME, 'odeopt').split('site-packages/')[-1]}:{frame.lineno}"


def _names(f, kw):
    """Words for arguments that a message may name."""
    try:
        inside = {key for value in kw.values() if isinstance(value, dict) for key in value}
        return {*kw, *map(str, inside), *inspect.signature(f).parameters, "x0"} - {""}
    except (TypeError, ValueError):
        return {*kw, "x0"} - {""}


def shared(result, given):
    """Whether an array of the result lies in one of those ``given``."""
    arrays = [v for v in getattr(result, "__dict__", {}).values() if isinstance(v, np.ndarray)]
    if isinstance(getattr(result, "final", None), dict):
        arrays += [v for v in result.final.values() if isinstance(v, np.ndarray)]
    return any(a.size and b.size and np.shares_memory(a, b) for a in arrays for b in given)


def changed(before, after):
    """Whether any of the arrays is another one now."""
    return any(not np.array_equal(a, b, equal_nan=a.dtype.kind in "fc") for a, b in zip(after, before))
