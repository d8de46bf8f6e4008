"""Files: one writer, one reader, and a schema for each kind of file.

A saved object is an npz file without pickle: an entry for each array, little-endian, and one, ``words``, with the
rest as JSON. Whatever is written is written beside the old file, synchronised and renamed, so that there is
always a whole file, also after ``kill -9`` or on a full disk. Whatever is read is compared with a schema before
anybody uses it: compiled loops do not look where their indices point.
"""

import contextlib
import json
import math
import os
import pathlib
import re
import secrets
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import checks

_ENDING = re.compile(r"\.[A-Za-z]\w*")  # says the format; ".1" of "epoch.1" and ".5e-3" belong to the name
_PIECE = 2**20  # bytes read at once
_GARBLED = "it is cut off, garbled or of another format"


# Names ---------------------------------------------------------------------------------------------


def place(name, path) -> pathlib.Path:
    """``path`` as one, or TypeError."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{name} must be a string or a path, got {checks.shown(path)}")
    return pathlib.Path(path)


def path_of(path, endings=(".npz",)) -> pathlib.Path:
    """Where ``save(path)`` writes: ``path``, with the first of ``endings`` added where it has none of them.

    The ending decides on the format: TypeError for what is not a path, ValueError for another ending. What begins
    with a digit ends nothing: ``save("epoch.1")`` writes epoch.1.npz.
    """
    path = place("path", path)
    if not path.name:
        raise ValueError(f"path must name a file, got {str(path)!r}")
    if path.suffix.lower() in endings:
        return path
    if _ENDING.fullmatch(path.suffix):
        *others, last = endings
        words = f"{', '.join(others)} or {last}" if others else last
        raise ValueError(f"path must end in {words}, got {str(path)!r}")
    return path.with_name(path.name + endings[0])


def found(path, endings) -> pathlib.Path:
    """The file that ``save(path)`` wrote, or the one of exactly this name."""
    if isinstance(path, (str, os.PathLike)):
        ending = pathlib.Path(path).suffix
        if ending.lower() not in endings and _ENDING.fullmatch(ending):
            return pathlib.Path(path)  # it may be anything, and its contents decide
    named = path_of(path, endings)
    return pathlib.Path(path) if not named.exists() and pathlib.Path(path).is_file() else named


# The writer ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def replacing(path) -> Iterator[Any]:
    """A binary stream that takes the place of the file ``path`` at the end of the block, or not at all.

    A link is followed, permissions are kept; a device or a pipe is written as it stands. OSError names ``path``.
    """
    with named(path):
        if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
            with open(path, "wb") as stream:
                yield stream
            return
        with beside(path) as new:
            yield new.stream


@contextlib.contextmanager
def beside(path) -> Iterator["Beside"]:
    """:class:`Beside` that takes the place of the file ``path`` at the end of the block, or not at all."""
    new = Beside(path)
    try:
        yield new
        new.replace()
    except BaseException:
        new.discard()
        raise


@contextlib.contextmanager
def named(path):
    """Errors of the system in the block name ``path``, not a file beside it."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename == str(path):
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from None


class Beside:
    """A new file beside ``path``, open for writing as ``stream``, of a name ``part`` that nobody else has.

    No other process can have it or lead it elsewhere by a link: it must not exist before. It has the ending of
    ``path``, by which some writers choose their format.

    A process that is killed meanwhile leaves it there; nothing reads a file of that name, and it may be deleted.
    """

    def __init__(self, path):
        self.path = os.path.realpath(path)
        folder, name = os.path.split(self.path)
        # 40 letters are at most 160 bytes, and 255 is what file systems take.
        self.part = os.path.join(folder, f".{name[:40]}-{secrets.token_hex(6)}{pathlib.PurePath(name).suffix[:9]}")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        self.stream = os.fdopen(os.open(self.part, flags, 0o666), "w+b")

    def replace(self):
        """Everything on disk, and in the place of the old file."""
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.stream.close()  # Windows renames no open file
        if os.path.exists(self.path):
            shutil.copymode(self.path, self.part)
        os.replace(self.part, self.path)
        _sync_folder(os.path.dirname(self.path))

    def discard(self):
        """Nothing has happened."""
        with contextlib.suppress(OSError):  # of what is still in its buffer
            self.stream.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.part)


def _sync_folder(folder):
    """The new name itself on disk; where folders cannot be synchronised (Windows, some networks) it comes later."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write(path, data: str | bytes) -> None:
    """Replace the file ``path`` by text (UTF-8) or bytes."""
    with replacing(path) as stream:
        stream.write(data.encode("utf-8") if isinstance(data, str) else data)


def write_json(path, value) -> None:
    """Replace the file ``path`` by a JSON document, strictly what the standard allows."""
    write(path, json.dumps(strict(value), indent=1, ensure_ascii=False) + "\n")


def save(path, version: int, words: Mapping, arrays: Mapping, compressed: bool = True) -> None:
    """Write an npz file, to a path or an open binary file.

    ``words`` is what JSON can hold; an array of Python objects is a TypeError (it would be a pickle).
    """
    entries = {name: np.asarray(value) for name, value in arrays.items()}
    entries["words"] = np.array(json.dumps({"format": version, **words}, default=plain))
    for name, array in entries.items():
        if array.dtype.hasobject:
            raise TypeError(f"{name} must be an array of numbers to be saved, got {array.dtype}")
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with contextlib.nullcontext(path) if hasattr(path, "write") else replacing(path_of(path)) as stream, (
            zipfile.ZipFile(stream, "w", method)) as stored:
        for name, array in entries.items():
            with stored.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array.astype(array.dtype.newbyteorder("<"), copy=False),
                                          allow_pickle=False)


def plain(value):
    """Numbers and arrays of numpy's as Python's, for JSON."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} cannot be saved")


def strict(value):
    """``value`` for JSON, which has no nan and no infinity: null, and the words that ``float`` reads."""
    if isinstance(value, dict):
        return {k: strict(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


# The reader ----------------------------------------------------------------------------------------


class Wrong(ValueError):
    """What is wrong with a file, in the words that follow "... is not a ... file"."""


@contextlib.contextmanager
def reading(path, kind):
    """Turns whatever goes wrong in the block into one sentence about the file."""
    try:
        yield
    except Wrong as error:
        raise ValueError(f"{_shown(path)} is not {_a(kind)} file: {error}") from None


def load(path, kind: str, version: int, words: Mapping, arrays: Mapping) -> tuple[dict, dict]:
    """``(words, arrays)`` of an npz file that :func:`save` wrote, from a path or an open binary file.

    Parameters
    ----------
    kind : str
        What it should be, for the message.
    words : mapping of str to callable
        Entry of the JSON part -> ``check(name, value) -> value``, which raises ValueError or TypeError.
    arrays : mapping of str to Entry

    Raises
    ------
    ValueError
        "... is not a ... file: ...": whatever is wrong, from a cut or a garbled file to a shape that does not fit.
    OSError
        There is no such file, or it may not be read.
    """
    with reading(path, kind):
        found, entries = raw(path, version)
        return check_words(found, words), check_arrays(entries, arrays)


def raw(path, version: int) -> tuple[dict, dict]:
    """``(words, arrays)`` as they stand in the file; :class:`Wrong` for another format."""
    entries = _entries(path)
    text = entries.pop("words", None)
    if text is None or text.dtype.kind != "U" or text.ndim:
        raise Wrong("it has no text entry 'words'")
    return _document(text.item(), version), entries


def stored(path, version: int, arrays: Mapping) -> tuple[dict, dict]:
    """``(words, arrays)`` as :func:`raw`, from a JSON document of the same entries where ``path`` ends in .json.

    ``arrays``: the schema of :func:`load`, by which lists become arrays.
    """
    file = found(path, (".npz", ".json"))
    if file.suffix.lower() != ".json":
        return raw(file, version)
    document, sizes = read_json(file, version), {}
    lists = {name: document.pop(name) for name in arrays if name in document}
    return document, {name: _of_lists(name, value, arrays[name], sizes) for name, value in lists.items()}


def _of_lists(name, value, entry, sizes):
    """The array of an :class:`Entry` from nested lists, which keep no lengths behind one that is 0."""
    if entry.dtype == "text":
        return np.array(text(name, value)) if isinstance(value, str) else np.array(0)
    array, letters = of_lists(name, value, np.dtype(entry.dtype)), entry.shape.split()
    if not array.size:
        shape = [int(one) if one.isdigit() else sizes.get(one, array.shape[i] if i < array.ndim else 0)
                 for i, one in enumerate(letters)]
        array = array.reshape(shape) if 0 in shape else array
    sizes.update(zip(letters, array.shape))
    return array


def of_lists(name, value, kind: np.dtype) -> np.ndarray:
    """An array of the nested lists of JSON, where null is not-a-number and "inf" a number, too; else :class:`Wrong`."""
    try:
        array = np.array(value, dtype=object)
        if array.size and kind.kind != "c" and not all(
                isinstance(one, (bool, int, float)) or one in (None, "inf", "-inf") for one in array.ravel()):
            raise TypeError
        if kind.kind in "iub" and array.size and not all(isinstance(one, (bool, int)) for one in array.ravel()):
            raise TypeError
        return array.astype(kind)
    except (TypeError, ValueError, OverflowError):
        raise Wrong(f"{name} must be lists of numbers, and is {checks.shown(value)}") from None


def read_json(path, version: int) -> dict:
    """The document that :func:`write_json` wrote; :class:`Wrong` for another."""
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Wrong(_GARBLED) from None
    return _document(text, version)


def _document(text, version):
    try:
        words = json.loads(text)
    except (ValueError, RecursionError):
        raise Wrong(_GARBLED) from None
    if not isinstance(words, dict) or "format" not in words:
        raise Wrong(_GARBLED)
    found = words.pop("format")
    if found != version or isinstance(found, bool):
        raise Wrong(f"it has format {checks.shown(found)}, and this version of odeopt reads format {version}")
    return words


def _entries(path):
    with contextlib.nullcontext(path) if hasattr(path, "read") else open(found(path, (".npz",)), "rb") as stream:
        try:
            with zipfile.ZipFile(stream) as stored:
                names = [info.filename for info in stored.infolist()]
                if len(set(names)) < len(names) or not all(name.endswith(".npy") for name in names):
                    raise Wrong(_GARBLED)
                return {info.filename[:-4]: _array(stored, info) for info in stored.infolist()}
        except Wrong:
            raise
        except MemoryError:
            raise Wrong("its arrays do not fit into memory") from None
        except Exception:  # of the zip file, zlib's, the header's parser: a garbled byte may raise anything
            raise Wrong(_GARBLED) from None


def _array(stored, info):
    """One entry as an array of this machine; its size is compared with the header's before there is room for it."""
    with stored.open(info) as entry:
        version = np.lib.format.read_magic(entry)
        header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, dtype = header(entry)
        if dtype.hasobject:
            raise Wrong("it holds Python objects, which are never read")
        if dtype.byteorder == ">":
            raise Wrong(f"{info.filename[:-4]} has its bytes in the other order, {dtype.str}")
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != info.file_size - entry.tell():
            raise Wrong(_GARBLED)
        array = np.empty(math.prod(shape), dtype)
        rest = memoryview(array.view(np.uint8).data if dtype.itemsize else b"")
        while len(rest):
            count = entry.readinto(rest[:_PIECE])
            if not count:
                raise Wrong(_GARBLED)
            rest = rest[count:]
        entry.read()  # at its end the check sum is looked at
    array = np.ascontiguousarray(array.reshape(shape, order="F" if fortran else "C"))
    return array.astype(dtype.newbyteorder("="), copy=False).reshape(shape)


# Schemas -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """What an array of a file must be.

    Attributes
    ----------
    dtype : str
        "float64", "int64", ...; "text" for one word.
    shape : str
        Lengths with blanks between: numbers, or letters, which are the same length wherever they stand
        ("R n", "R", "L-1"); "" for a number by itself.
    low, high : float
        Smallest and largest value allowed.
    finite : bool
    optional : bool
        Whether the file may lack it.
    """

    dtype: str
    shape: str = ""
    low: float = -math.inf
    high: float = math.inf
    finite: bool = False
    optional: bool = False


def check_words(found: Mapping, schema: Mapping[str, Callable]) -> dict:
    """``found`` with every value checked; :class:`Wrong` for names that are missing or too many, and wrong values."""
    _same_names(found, schema, schema)
    try:
        return {name: check(name, found[name]) for name, check in schema.items()}
    except (TypeError, ValueError) as error:
        raise Wrong(str(error)) from None


def check_arrays(found: Mapping, schema: Mapping[str, Entry], sizes: Mapping[str, int] | None = None) -> dict:
    """``found`` with numbers for arrays of no dimension; :class:`Wrong` for what is not as ``schema`` says.

    ``sizes``: lengths known beforehand, by their letters.
    """
    _same_names(found, schema, [name for name, entry in schema.items() if not entry.optional])
    sizes, result = dict(sizes or {}), {}
    for name, value in found.items():
        entry, array = schema[name], np.asarray(value)
        if np.ma.isMaskedArray(value):
            raise Wrong(f"{name} must not be masked")
        if entry.dtype == "text":
            if array.dtype.kind != "U" or array.ndim:
                raise Wrong(f"{name} must be text, and is {checks.shown(array)}")
        elif array.dtype != np.dtype(entry.dtype):
            raise Wrong(f"{name} must be {entry.dtype}, and is {array.dtype}")
        fit(name, array.shape, entry.shape, sizes)
        if array.size and array.dtype.kind in "iuf":
            if entry.finite and not np.isfinite(array).all():
                raise Wrong(f"{name} must be finite")
            inside = (array >= entry.low) & (array <= entry.high)
            if (entry.low, entry.high) != (-math.inf, math.inf) and not inside.all():
                raise Wrong(f"{name} must be in [{entry.low:g}, {entry.high:g}], and holds {array[~inside][0]:g}")
        result[name] = array if array.ndim else array.item()
    return result


def _same_names(found, allowed, needed):
    missing = [name for name in needed if name not in found]
    if missing:
        raise Wrong(f"it lacks {missing[0]}")
    unknown = [name for name in found if name not in allowed]
    if unknown:
        raise Wrong(f"it has {checks.shown(unknown[0])}, which does not belong there")


def fit(name, shape, wanted, sizes):
    """:class:`Wrong` unless ``shape`` is the one in words; lengths seen for the first time go into ``sizes``."""
    letters = wanted.split()
    fits = len(shape) == len(letters)
    for length, letter in zip(shape, letters):
        base, more = re.fullmatch(r"(\w+?)([+-]\d+)?", letter).groups()  # pyright: ignore[reportOptionalMemberAccess]
        expected = int(base) if base.isdigit() else sizes.setdefault(base, length - int(more or 0))
        fits = fits and length == max(0, expected + int(more or 0))
    if not fits:
        known = ", ".join(f"{letter} = {sizes[letter]}" for letter in letters if letter in sizes)
        raise Wrong(f"{name} must have shape ({', '.join(letters)}{',' * (len(letters) == 1)})"
                    f"{known and f' with {known}'}, and has {shape}")


def text(name, value):
    """A check of :func:`check_words`: text."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, and is {checks.shown(value)}")
    return value


def flag(name, value):
    """A check of :func:`check_words`: true or false."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be true or false, and is {checks.shown(value)}")
    return value


def _shown(path):
    return " ".join(str(path).split()) if isinstance(path, (str, os.PathLike)) else "what was given"


def _a(kind):
    return f"{'an' if kind[0] in 'AEIOUaeiou' else 'a'} {kind}"
