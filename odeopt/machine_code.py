"""Machine code on disk, kept under a hash of all that it was compiled from.

numba's own cache looks at the file of the function alone: after a helper or a constant in another
file is edited it goes on giving the old code. Here a file's name carries a hash of every function,
constant and option that the code reaches (:func:`fingerprint`), and the file begins with a digest
of its contents, so what is stale or garbled is never used. Where nothing can be kept each process
compiles anew, and says so once.

A file of the cache is code that will run in this process. It is read only from a folder that
belongs to the user, to root, or to the owner of the source, and that nobody else may write unless
he may write the source's folder as well.
"""

import functools
import glob
import hashlib
import os
import pickle
import sys
import tempfile
import types
import uuid
import warnings
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _Cache
from numba.core.dispatcher import Dispatcher
from numba.core.serialize import dumps

_LIBRARIES = frozenset({"builtins", "llvmlite", "math", "numba", "numpy"})  # their versions are enough
_VERSIONS = repr((numba.__version__, llvmlite.__version__, np.__version__, sys.version))
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), range)


class _Reach:
    """A walk over what the code of a function reaches by the names in it."""

    def __init__(self):
        self.parts, self.seen, self.dispatchers, self.keep = [], {}, [], []

    def digest(self):
        return hashlib.sha256("\n".join(self.parts).encode("utf-8", "surrogatepass")).hexdigest()

    def visit(self, name, value, words=frozenset()):
        """``words``: the names in the code around, the attributes that it may ask of a module."""
        self.parts.append(f"<{name}")
        if isinstance(value, _PLAIN):
            self.parts.append(f"{type(value).__name__} {value!r}")
        elif isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
            self.parts.append(f"{value.dtype!r} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}")
        elif isinstance(value, types.ModuleType):
            if value.__name__.partition(".")[0] not in _LIBRARIES and self._first((id(value), words), value):
                for word in sorted(words & vars(value).keys()):
                    self.visit(word, vars(value)[word], words)
        elif self._first(id(value), value):
            self._visit_object(value, words)
        self.parts.append(">")

    def _first(self, key, value):
        if key in self.seen:
            self.parts.append(f"again {self.seen[key]}")
            return False
        self.seen[key] = len(self.seen)
        self.keep.append(value)  # alive, so that no other object gets its id
        return True

    def _visit_object(self, value, words):
        if isinstance(value, Dispatcher):
            self.parts.append(repr(sorted((k, repr(v)) for k, v in value.targetoptions.items())))
            self._visit_function(value.py_func)
            self.dispatchers.append(value)  # after those that it calls
        elif isinstance(value, types.FunctionType):
            if value.__module__ and value.__module__.partition(".")[0] in _LIBRARIES:
                self.parts.append(f"{value.__module__}.{value.__qualname__}")
            else:  # a function that is not compiled itself stands for an overload, which lies in the same file
                self.parts.append(_source(value.__code__.co_filename))
                self._visit_function(value)
        elif isinstance(value, tuple | list):
            for item in value:
                self.visit("", item, words)
        elif isinstance(value, dict):
            for key, item in value.items():
                self.visit(repr(key), item, words)
        elif isinstance(getattr(value, "_defn", None), types.FunctionType):  # an intrinsic
            self.visit("intrinsic", value._defn, words)
        elif isinstance(getattr(value, "py_func", None), types.FunctionType):  # a vectorised function and its kin
            self.visit("compiled", value.py_func, words)
        else:
            self._visit_other(value)

    def _visit_function(self, function):
        code, names = text_of_code(function.__code__, function.__doc__)
        self.parts.append(code)
        for name in sorted(names & function.__globals__.keys()):
            self.visit(name, function.__globals__[name], names)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
            self.visit(name, cell.cell_contents if _filled(cell) else None, names)
        for value in (function.__defaults__, function.__kwdefaults__):
            self.visit("default", value, names)

    def _visit_other(self, value):
        kind = value if isinstance(value, type) else type(value)
        name = f"{kind.__module__}.{kind.__qualname__} {getattr(value, '__name__', '')}"
        if kind.__module__.partition(".")[0] not in _LIBRARIES:
            name += _source(getattr(sys.modules.get(kind.__module__), "__file__", None))
        text = "" if isinstance(value, type) else repr(value)
        self.parts.append(name if " at 0x" in text else name + text)


def _filled(cell):
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:  # of a name that is bound later
        return False
    return True


@functools.lru_cache(maxsize=4096)
def text_of_code(code, doc):
    """``(text of a code object without lines and file names, every name in it)``."""
    names, parts = set(code.co_names), [code.co_code.hex(), repr((code.co_names, code.co_varnames, code.co_argcount,
                                                                  code.co_freevars, code.co_flags))]
    parts.append(getattr(code, "co_exceptiontable", b"").hex())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            text, more = text_of_code(constant, None)
            parts.append(text)
            names |= more
        elif constant is None or constant != doc:
            parts.append(f"{type(constant).__name__} "
                         f"{sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant!r}")
    return "\n".join(parts), frozenset(names)


def _source(file):
    """A hash of a source file; "" where there is none."""
    try:
        status = os.stat(file)
        return _hash_of_file(file, status.st_mtime_ns, status.st_size)
    except (OSError, TypeError):
        return ""


@functools.cache
def _hash_of_file(file, changed, size):
    with open(file, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def fingerprint(function):
    """Hash of all that the code of ``function`` is compiled from, in whichever file that stands."""
    reach = _Reach()
    reach.visit("", function)
    return reach.digest()


def refresh(*functions):
    """Put what these functions call, and they themselves, under this cache where they have numba's own.

    To be called wherever a user's function enters, compiled or not: what plain Python calls is compiled, too. What
    :func:`keep` was called for does it by itself.
    """
    for function in functions:
        for dispatcher in [function] if isinstance(function, Dispatcher) else _compiled_in(function):
            if not isinstance(dispatcher._cache, Store):  # pyright: ignore[reportAttributeAccessIssue]
                _refreshed(dispatcher)


def _refreshed(function):
    reach = _Reach()
    reach.visit("", function)
    stale = False
    for dispatcher in reach.dispatchers:
        _name(dispatcher)  # what is not kept itself becomes a part of what calls it
        if isinstance(dispatcher._cache, FunctionCache):
            stale = stale or any(dispatcher._cache_hits.values())
            keep(dispatcher)
    if stale:  # loaded before anybody looked at what it reaches, and perhaps linked into what calls it
        for dispatcher in reach.dispatchers:  # those called first
            if dispatcher.overloads:
                dispatcher.recompile()
    return reach


def _compiled_in(function):
    """The compiled functions that a function in plain Python reaches: by name, by method, by what it closes over.

    Objects are looked into, the contents of lists and arrays are not, nor are installed packages.
    """
    found, seen, todo = [], {}, [(function, frozenset())]
    while todo:
        value, words = todo.pop()
        if isinstance(value, _PLAIN) or isinstance(value, np.ndarray | np.generic) or (id(value), words) in seen:
            continue
        seen[id(value), words] = value
        if isinstance(value, Dispatcher):
            found.append(value)
            continue
        if isinstance(value, types.ModuleType):
            parts = () if _installed(value) else [vars(value)[word] for word in words & vars(value).keys()]
        elif isinstance(value, types.MethodType):
            parts, words = (value.__func__, value.__self__), frozenset()
        elif isinstance(value, functools.partial):
            parts, words = (value.func, *value.args, *value.keywords.values()), frozenset()
        elif isinstance(value, types.FunctionType):
            parts = [cell.cell_contents for cell in value.__closure__ or () if _filled(cell)]
            parts += [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values(), *vars(value).values()]
            if _installed(sys.modules.get(value.__module__)):  # around a function of the user's, perhaps
                words = frozenset()
            else:
                words = text_of_code(value.__code__, value.__doc__)[1]
                parts += [value.__globals__[word] for word in words & value.__globals__.keys()]
        elif isinstance(value, tuple):
            parts = value
        elif _installed(sys.modules.get((value if isinstance(value, type) else type(value)).__module__)):
            continue
        elif isinstance(value, type):
            parts, words = [getattr(part, "__func__", getattr(part, "fget", part)) for kind in value.__mro__[:-1]
                            for part in vars(kind).values()], frozenset()
            parts = [part for part in parts if callable(part)]
        else:
            parts, words = (type(value), *getattr(value, "__dict__", {}).values()), frozenset()
        todo += [(part, words if isinstance(part, types.ModuleType) else frozenset()) for part in parts]
    return found


def _installed(module):
    """Whether a module belongs to odeopt, to Python or to a package that is installed: those change with a version."""
    if module is None:
        return False
    top, parts = module.__name__.partition(".")[0], Path(getattr(module, "__file__", None) or "").parts
    return (top in _LIBRARIES or top == __package__ or top != "__main__" and top in sys.stdlib_module_names
            or not {"site-packages", "dist-packages"}.isdisjoint(parts))


def keep(dispatcher, folder=None):
    """Keep what ``dispatcher`` compiles: in ``folder()``, by default where numba would."""
    dispatcher._cache = Store(dispatcher, folder)
    _name(dispatcher, folder)


def _nameless(function, folder):
    """Whether another function may have its name: closures, what stands in no file, modules of anybody's."""
    return (folder is not None or "<locals>" in function.__qualname__
            or (function.__module__ or "").partition(".")[0] != __package__)


def _name(dispatcher, folder=None):
    """Let ``dispatcher`` compile under a name that no other function has, in whichever process.

    Code is linked by the function's name and numba's count of functions in the process that compiled it. With two
    functions of one name and one count, from two processes, the addresses of both would be those of one.
    """
    compiler, function = dispatcher._compiler, dispatcher.py_func
    if not _nameless(function, folder) or "_compile_core" in vars(compiler):
        return
    core, unique = compiler._compile_core, uuid.uuid4().hex

    def named(*arguments):  # under numba's lock
        before = function.__qualname__
        function.__qualname__ = f"{before.removesuffix(unique)}{unique}"
        try:
            return core(*arguments)
        finally:
            function.__qualname__ = before

    compiler._compile_core = named


def is_kept(dispatcher, signature):
    """Whether the code for this signature is on disk."""
    store = dispatcher._cache
    return bool(store._open()) and os.path.exists(store._file(signature, dispatcher.targetctx.codegen())[0])


def cache_folder():
    """Where the code of functions goes that stand in no file: specialised loops, kernels written at run time."""
    chosen = os.environ.get("ODEOPT_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "odeopt" / "loops"


class Store(_Cache):
    """The files of one function, a file for each signature and processor. Nothing is touched before its first use."""

    def __init__(self, dispatcher, folder=None):
        self._function, self._options, self._folder = dispatcher.py_func, dispatcher.targetoptions, folder
        self._enabled, self._place = True, None
        self._source = self._function.__code__.co_filename if folder is None else ""  # whose owner is trusted

    @property
    def cache_path(self):
        return self._open()[1] if self._open() else None

    def enable(self):
        self._enabled = True

    def disable(self):
        self._enabled = False

    def flush(self):
        """Numba asks for it before it compiles anew; that has another name here, if anything has changed."""

    def _open(self) -> Any:
        """``(numba's reader and writer, folder, beginning of the files' names)``; () where nothing can be kept."""
        if self._place is None:
            self._place = ()
            source = self._source
            try:
                if self._folder is None:
                    impl = CompileResultCacheImpl(self._function)
                    self._place = impl, impl.locator.get_cache_path(), impl.filename_base
                else:
                    impl, path = object.__new__(CompileResultCacheImpl), self._folder()
                    name = self._function.__qualname__.replace("<locals>.", "")
                    self._place = impl, str(path), f"{name}.py{sys.version_info[0]}{sys.version_info[1]}"
                    os.makedirs(path, mode=0o700, exist_ok=True)
                if not trusted(self._place[1], source):
                    _say(f"{self._place[1]} belongs to somebody else or may be written by others")
                    self._place = ()
            except RuntimeError as error:  # "cannot cache function ...: no locator available", or no home
                self._place = ()
                if self._folder or os.path.exists(source):  # a kernel typed in at a prompt is never kept
                    _say(str(error))
            except OSError as error:
                self._place = ()
                _say(str(error))
        return self._place

    def _file(self, sig, codegen):
        """``(path, what older files of the function are called)``; None for what has no name in another process."""
        types_ = repr(sig)
        if " at 0x" in types_:
            return None
        reach = _refreshed(self._function)
        reach.parts.append(repr(sorted((k, repr(v)) for k, v in self._options.items())))
        _, folder, base = self._open()
        what = reach.digest()[:24]
        versions = _VERSIONS + " named" * _nameless(self._function, self._folder)
        key = hashlib.sha256(repr((types_, codegen.magic_tuple(), versions)).encode()).hexdigest()[:16]
        return os.path.join(folder, f"{base}.{what}.{key}.nbc"), os.path.join(glob.escape(folder), glob.escape(base))

    def load_overload(self, sig, target_context):
        """What was compiled for these types, or None."""
        if not (self._enabled and self._open()):
            return None
        target_context.refresh()
        named = self._file(sig, target_context.codegen())
        if named is None or not os.path.exists(named[0]):
            return None
        try:
            with open(named[0], "rb") as file:
                if not trusted(file.fileno(), self._source):
                    _say(f"{named[0]} belongs to somebody else or may be written by others")
                    return None
                digest, data = file.read(32), file.read()
            if hashlib.sha256(data).digest() != digest:
                _say(f"{named[0]} was garbled")
                return None
            return self._open()[0].rebuild(target_context, pickle.loads(data))
        except OSError as error:
            _say(str(error))
            return None

    def save_overload(self, sig, data):
        """Write it, and delete what the function's older text was compiled to."""
        if not (self._enabled and self._open()):
            return
        if self._folder is not None and data.library.has_dynamic_globals:
            return
        impl = self._open()[0]
        if self._folder is None and not impl.check_cachable(data):
            return
        named = self._file(sig, data.codegen)
        if named is None:
            return
        path, base = named
        body = dumps(impl.reduce(data))
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            handle, part = tempfile.mkstemp(dir=os.path.dirname(path), suffix=".part")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(hashlib.sha256(body).digest() + body)
                os.replace(part, path)
            except BaseException:
                os.unlink(part)
                raise
            if self._folder is None and self._function.__closure__ is None:
                same = os.path.basename(path).rsplit(".", 2)[0]
                for old in glob.glob(f"{base}.*.nbc"):
                    if not os.path.basename(old).startswith(same):
                        os.unlink(old)
        except FileNotFoundError:
            return  # another process deleted it first
        except OSError as error:
            _say(str(error))


def trusted(folder, source):
    """Whether what lies in ``folder`` (or open file) may run as what stands in the file ``source`` does."""
    if not hasattr(os, "geteuid"):
        return True
    status = os.stat(folder)
    owners, writable = {os.geteuid(), 0}, 0
    try:
        owners.add(os.stat(source).st_uid)
        writable = os.stat(os.path.dirname(os.path.abspath(source))).st_mode & 0o022
    except OSError:
        pass  # no file: typed in at a prompt
    if status.st_gid == status.st_uid:
        writable |= 0o020  # the user's own group, which on many systems holds nobody else
    return status.st_uid in owners and not status.st_mode & 0o022 & ~writable


@functools.cache
def _warn_once():
    return []


def _say(why):
    if not _warn_once():
        _warn_once().append(why)
        warnings.warn("no writable folder for compiled kernels, or no room or a broken file in it: each process "
                      f"compiles anew (set NUMBA_CACHE_DIR to a writable folder): {why}", RuntimeWarning, stacklevel=4)
