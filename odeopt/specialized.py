"""The optimizer loop compiled for one pair of kernels: small problems at the speed of written-out C.

``drive.optimizer_loop`` calls its kernels through pointers and keeps x, g and the slots in memory:
some 30 ns a step on a plane problem, where the arithmetic takes 5. For long runs on problems of up
to 8 unknowns this module writes a few lines that call the *same function* with the kernels inlined
and x, g, s on the stack (so that they live in registers), and imports them; numba keeps the machine
code beside them, so the next process only loads it. Same operations in the same order, no fastmath:
the iterates are the same, bit for bit (a test compares them).

Files go to ``$ODEOPT_CACHE_DIR``, by default ``odeopt/loops`` in the user's cache folder. Their
names carry a hash of everything that the code depends on; they may be deleted at any time. Where
the folder cannot be written, or a kernel cannot be imported by name (one made in ``__main__`` or
inside a function), the general loop runs on: :func:`why_not` says why.
"""

import hashlib
import importlib.util
import inspect
import os
import sys
import tempfile
import threading
import time
import types
from pathlib import Path

import numba
import numpy as np

from . import abi, drive

LARGEST = 8  # unknowns; above it the general loop spends its time in the arithmetic anyway
COMPILE_SECONDS = 4.0  # what compiling may cost; a run must be expected to last this much longer
LOAD_SECONDS = 0.25  # the same, when the code is on disk already
_LIBRARIES = ("builtins", "math", "numba", "numpy")  # versions are enough
_READY, LOCK = {}, threading.Lock()

_TEXT = '''"""Written by odeopt.specialized for {fg} and {update}, n = {n}. May be deleted."""
from importlib import import_module

from odeopt import drive
from odeopt.abi import inlined, kernel, stack_matrix, stack_vector
from odeopt.schedules import constant

# By name, and not by a statement: the name of a file need not be one of Python's.
compiled_fg = import_module("{fg_module}").{fg_name}
compiled_update = import_module("{update_module}").{update_name}
fg, update, optimizer_loop = inlined(compiled_fg), inlined(compiled_update), inlined(kernel(drive.optimizer_loop))
schedule = constant().kernel


def loop(data, heap_p, heap_x, heap_g, heap_s, seen_x, seen_s, counters, clock, k_stop, k_end, every, t_end, gtol,
         out_k, out_n, out_scalars, out_x, out_memory):
    p, x, g, s = stack_vector({hyper}), stack_vector({n}), stack_vector({n}), stack_matrix({rows}, {n})
    for i in range({hyper}):
        p[i] = heap_p[i]
    for i in range({n}):
        x[i] = heap_x[i]
        for j in range({rows}):
            s[j, i] = heap_s[j, i]
    optimizer_loop(fg, data, update, schedule, schedule, (-1, -1), heap_p, heap_p, heap_p, p, x, g, s, seen_x, seen_s,
                   counters, clock, k_stop, k_end, every, t_end, gtol, out_k, out_n, out_scalars, out_x, out_memory)
    for i in range({n}):
        heap_x[i] = x[i]
        for j in range({rows}):
            heap_s[j, i] = s[j, i]
'''


class Loop:
    """``drive.optimizer_loop`` for one run, as a callable with the same arguments.

    It starts in the general loop, which is there at once, and moves to the specialised one between
    two chunks when the time that the rest of the run will take pays for it. ``used`` tells which
    loop ran last, ``note`` why the specialised one did not, if it was wanted.
    """

    def __init__(self, problem, optimizer, driven, wanted=None):
        self.problem, self.optimizer = problem, optimizer
        self.general = drive.compiled(drive.optimizer_loop)
        self.special, self.used, self.note, self.wanted = None, "general", "", wanted
        self.reason = "a schedule drives the run" if max(driven) >= 0 else why_not(problem, optimizer)
        if wanted and not self.reason:
            self._prepare()
        if wanted and self.reason:
            self.note = f"specialised loop not used: {self.reason}"

    def __call__(self, *arguments):
        data, state = arguments[1], arguments[9:]  # state: p, x, g, s and all that follows
        counters, k_end = state[6], state[9]
        if self.special is not None:
            self.used = "specialised"
            self.special(data, *state)
            return
        begin, first = time.perf_counter(), int(counters[drive.K])
        self.general(*arguments)
        done = int(counters[drive.K]) - first
        if self.wanted is None and not self.reason and counters[drive.STATUS] == drive.RUNNING and done >= 10_000:
            rest = (time.perf_counter() - begin) / done * (k_end - counters[drive.K])
            cached = _key(self.problem, self.optimizer) in _READY or _on_disk(self.problem, self.optimizer)
            if rest > (LOAD_SECONDS if cached else COMPILE_SECONDS):
                self._prepare()

    def _prepare(self):
        try:
            self.special = loop_for(self.problem, self.optimizer)
        except (OSError, RuntimeError, SyntaxError, ImportError) as error:
            self.reason = self.note = f"{type(error).__name__}: {error}"


def why_not(problem, optimizer):
    """Why there can be no specialised loop for this pair; "" if there can."""
    if not problem.compiled:
        return "the problem is made of plain Python callables"
    if problem.dim > LARGEST:
        return f"n = {problem.dim} is above {LARGEST}"
    for what, dispatcher in (("objective", problem.fg), ("update", optimizer.kernel)):
        if not abi.importable(dispatcher):
            return f"the {what}'s kernel is not a module-level function of an importable module"
    return ""


def folder():
    """Where the modules go."""
    chosen = os.environ.get("ODEOPT_CACHE_DIR")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "odeopt" / "loops"


def _key(problem, optimizer):
    return problem.fg, optimizer.kernel, problem.dim, len(optimizer.slots), optimizer.p.size


def source(problem, optimizer):
    """The text of the module for this pair."""
    fg, update = problem.fg.py_func, optimizer.kernel.py_func
    return _TEXT.format(fg=fg.__qualname__, update=update.__qualname__, n=problem.dim, rows=len(optimizer.slots),
                        hyper=optimizer.p.size, fg_module=fg.__module__, fg_name=fg.__name__,
                        update_module=update.__module__, update_name=update.__name__)


def path_of(text, *kernels):
    """File name of a module: a hash of its text and of all that its code is compiled from."""
    files, constants = _reached(*kernels, drive.optimizer_loop, abi.stack_vector)
    h = hashlib.sha256()
    for part in (text, numba.__version__, np.__version__, sys.version, *constants,
                 *(Path(f).read_text(encoding="utf-8") for f in files)):
        h.update(part.encode())
    return folder() / f"loop_{h.hexdigest()[:24]}.py"


def _reached(*functions):
    """``(source files, constants)`` that the code of these functions reaches by the names in it.

    The compiler takes constants for literals and helpers for its own text, whichever file they are in;
    numba's own cache looks at the file of the function alone.
    """
    files, constants, seen, left = set(), set(), set(), [("", f, frozenset()) for f in functions]
    while left:
        name, value, words = left.pop()
        value = getattr(value, "py_func", getattr(value, "_defn", value))  # of a dispatcher, of an intrinsic
        if isinstance(value, (types.FunctionType, types.ModuleType)):
            home = value.__module__ if isinstance(value, types.FunctionType) else value.__name__
            if home.partition(".")[0] in _LIBRARIES or (value, words) in seen:
                continue
            seen.add((value, words))
            if isinstance(value, types.FunctionType):
                files.add(inspect.getsourcefile(value))
                names = inspect.getclosurevars(value)
                left += [(n, v, frozenset(names.unbound)) for n, v in (names.globals | names.nonlocals).items()]
            else:  # words: what is asked of it, as in helpers.weight(x)
                left += [(n, vars(value)[n], words) for n in words & vars(value).keys()]
        elif isinstance(value, np.ndarray):
            constants.add(f"{name} {value.dtype} {value.shape} {value.tobytes().hex()}")
        elif isinstance(value, (bool, int, float, complex, str, tuple)):
            constants.add(f"{name} {value!r}")
    return sorted(files), sorted(constants)


def module(text, *kernels):
    """The module of this text, written if need be and imported. OSError where it cannot be written."""
    path = path_of(text, *kernels)
    if not path.exists():
        _write(path, text)
    spec = importlib.util.spec_from_file_location(f"odeopt_{path.stem}", path)
    if spec.name not in sys.modules:
        made = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = made  # numba looks a cached function's module up by name
        spec.loader.exec_module(made)
    return sys.modules[spec.name]


def _path(problem, optimizer):
    return path_of(source(problem, optimizer), problem.fg.py_func, optimizer.kernel.py_func)


def _on_disk(problem, optimizer):
    try:
        path = _path(problem, optimizer)
        return path.exists() and any((path.parent / "__pycache__").glob(f"{path.stem}.loop-*.nbc"))
    except OSError:
        return False


def loop_for(problem, optimizer):
    """The compiled loop of this pair: from this process, from disk, or made now.

    Raises OSError where the folder cannot be written; RuntimeError where :func:`why_not` objects.
    """
    reason = why_not(problem, optimizer)
    if reason:
        raise RuntimeError(reason)
    key = _key(problem, optimizer)
    with LOCK:
        if key not in _READY:
            made = module(source(problem, optimizer), problem.fg.py_func, optimizer.kernel.py_func)
            signature = drive.SIGNATURES[drive.optimizer_loop]
            _READY[key] = abi.kernel(made.loop, abi.NOTHING(abi.VECTOR, abi.VECTOR, *signature[10:]))
    return _READY[key]


def _write(path, text):
    """Whole or not at all: another process may be doing the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
