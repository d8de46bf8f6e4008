"""Words that name things: ``NAME``, ``FILE.py:NAME`` and ``module:NAME``, each with options ``:KEY=VALUE,KEY=VALUE``.

In a list of such words (``gd:lr=.01,gd:lr=.05,adam:beta1=.8,beta2=.9``) a comma before ``KEY=`` continues the options
of the word before it, a comma before a number continues a value (``eigenvalues=1,10,100``), and every other comma
begins the next word.
"""

import difflib
import hashlib
import importlib
import importlib.util
import os
import pathlib
import re
import sys
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from typing import Any

from ._words import kind_of

_loaded = {}  # file -> (its time and size, module)


@dataclass(frozen=True)
class Word:
    """A word taken apart: where its name is to be looked for ("" for the package), the name, and the options."""

    text: str
    place: str
    name: str
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self):
        return self.text


def word_of(text):
    """The :class:`Word` of a text; ValueError for another form."""
    text = text.strip()
    found = re.match(r"(?P<place>.*\.py):(?P<name>[^:=,]*)(:(?P<options>.*))?$", text, re.S)
    if not found:
        found = re.match(r"((?P<place>[\w.]+):)?(?P<name>[^:=]*)(:(?P<options>.*))?$", text, re.S)
    if re.search(r"\.py$", text):
        raise ValueError(f"{text} must be followed by a name that it defines, {text}:NAME")
    if not found or found["options"] is not None and "=" not in found["options"]:
        raise ValueError(f"{text} must be NAME, FILE.py:NAME or module:NAME, with options as :KEY=VALUE,KEY=VALUE")
    place, name = found["place"] or "", found["name"]
    if place and not name.isidentifier():
        raise ValueError(f"{text} must have a name after the first colon, or options as {place}:KEY=VALUE")
    return Word(text, place, name, _options(found["options"], text))


def separated(text):
    """The words of a list, by the rule above."""
    words = []
    for piece in text.split(","):
        more = re.match(r"\s*[^\W\d]\w*\s*=|\s*[-+]?\.?\d", piece)
        if more and words:
            if "=" not in words[-1]:
                raise ValueError(f"options must stand after a colon, got {words[-1]},{piece}: write "
                                 f"{words[-1]}:{piece.strip()}")
            words[-1] += f",{piece}"
        else:
            words.append(piece.strip())
    return [word_of(word) for word in words]


def _options(text, whole):
    found = {}
    for piece in (text or "").split(",") if text else ():
        key, equals, said = (part.strip() for part in piece.partition("="))
        if equals and key.isidentifier():
            if key in found:
                raise ValueError(f"{whole} must give {key} once")
            found[key] = [said]
        elif not found or equals:
            raise ValueError(f"{whole} must have options as KEY=VALUE, got {piece.strip()!r}")
        else:
            found[list(found)[-1]].append(piece.strip())
    return {key: value(values[0]) if len(values) == 1 else [value(one) for one in values if one]
            for key, values in found.items()}


def value(word):
    """A number (1e3 is an integer), true, false, none, or the word itself."""
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    if word.lower() == "none":
        return None
    try:
        number = float(word)
    except ValueError:
        return word
    whole = re.fullmatch(r"[-+]?\d+([eE]\+?\d+)?", word) and number.is_integer() and abs(number) < 2**53
    return int(number) if whole else number


def thing(word, what, fits):
    """What a :class:`Word` with a place names.

    Parameters
    ----------
    what : str
        What is wanted, for messages: "an optimizer".
    fits : callable
        ``fits(value) -> bool``: whether a value is what is wanted.

    Raises
    ------
    ValueError
        A file that fails, a module that is not found, no such name in it, or the name of something else.
    OSError
        No such file.
    """
    module = _file(word.place) if word.place.endswith(".py") else _module(word.place)
    names = {name: one for name, one in vars(module).items() if not name.startswith("__")}
    same = [word.name] if word.name in names else [n for n in names if n.lower() == word.name.lower()]
    if len(same) == 1 and fits(names[same[0]]):
        return names[same[0]]
    good = [name for name, one in names.items() if fits(one) and not _imported(one, module)]
    has = f"; it has {', '.join(good)}" if good else ""
    if not same:
        near = difflib.get_close_matches(word.name, good, 1, 0.5)
        has = f"; did you mean {near[0]!r}?" if near else has
        raise ValueError(f"{word.place} must define {word.name!r} to be asked for it{has}{_options_hint(word.place)}")
    raise ValueError(f"{word.place}:{word.name} must be {what}, got {_kind(names.get(same[0]))}{has}")


def _imported(one, module):
    return hasattr(one, "__name__") and getattr(one, "__module__", None) != module.__name__


def _kind(one):
    return f"the class {one.__name__}" if isinstance(one, type) else f"one of type {type(one).__name__}"


def _options_hint(place):
    """What was meant, where the name of a module is that of something in the package."""
    return f"; options of {place} are written {place}:KEY=VALUE" if kind_of(place) else ""


def _module(name):
    here = os.getcwd()
    sys.path.append(here)  # after all else: what is installed comes first
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise ValueError(f"module {name} cannot be imported: {_explained(error)}{_options_hint(name)}") from error
    finally:
        sys.path.remove(here)


def _file(path):
    """The module of a file, run once; its folder is looked in first for what it imports."""
    file = pathlib.Path(path).expanduser()
    status = file.stat()
    file, version = file.resolve(), (status.st_mtime_ns, status.st_size)
    if file in _loaded and _loaded[file][0] == version:
        return _loaded[file][1]
    name = _name_for(file)
    loader = SourceFileLoader(name, str(file))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None  # of a loader
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses look their module up
    sys.path.insert(0, str(file.parent))
    try:
        # Not by way of the bytecode on disk, which knows a file by its second and size.
        exec(loader.source_to_code(loader.get_data(str(file)), str(file)), module.__dict__)
    except (Exception, SystemExit) as error:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise ValueError(f"{path} cannot be run: {_explained(error, str(file))}") from error
    finally:
        sys.path.remove(str(file.parent))
    _loaded[file] = version, module
    return module


def _name_for(file):
    """The module's name: the file's, as ``import`` gives it, unless something else has that name."""
    stem = re.sub(r"\W", "_", file.stem)
    try:
        found = importlib.util.find_spec(stem)
        free = found is None or found.origin and pathlib.Path(found.origin).resolve() == file
    except ValueError:  # a module without a spec, such as __main__
        free = False
    return stem if free else f"{stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"


def _explained(error, file=None):
    """The error in a line, with the number of the line in ``file``."""
    if isinstance(error, SystemExit):
        return "it ends the program (a script keeps that under if __name__ == '__main__')"
    line, trace = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None, error.__traceback__
    while trace is not None and not isinstance(error, SyntaxError):
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == file else line
        trace = trace.tb_next
    said = error.msg if isinstance(error, SyntaxError) else error
    return f"{f'line {line}: ' if line else ''}{type(error).__name__}: {said}"
