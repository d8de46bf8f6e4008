"""``Study``: frozen results of a measurement, with a readable ``repr`` and ``to_dict``.

A study computes and never draws. Its fields are arrays, numbers, words, tuples of these, and
other studies; arrays are made read-only.
"""

import math
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

import numpy as np

from .. import archive, checks
from ..results import Result, table

FORMAT = 1


@dataclass(frozen=True, eq=False, repr=False)
class Study(Result):
    """Base of all studies: a subclass is a frozen dataclass with :meth:`rows` and :meth:`headline`.

    Attributes
    ----------
    status : str
        "completed", or "interrupted" where Ctrl-C ended the study and it holds what was done. (Studies of one run
        have the status of that run.)

    Notes
    -----
    The class attribute ``axes`` says which arrays and tuples belong together, "lr loss: E; x: R n", in the words of
    :class:`odeopt.archive.Entry`; a name with "?" may be empty. What is loaded is compared with it.
    """

    axes = ""

    status: str = field(default="completed", kw_only=True)

    @property
    def interrupted(self):
        """Whether Ctrl-C ended the study."""
        return self.status == "interrupted"

    def __post_init__(self):
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray):
                value = value.copy()
                value.flags.writeable = False
                object.__setattr__(self, f.name, value)

    def __repr__(self):
        return f"{self.headline()}\n{table(self.rows())}"

    def to_dict(self):
        """Everything as dicts, lists, numbers and words (arrays as nested lists)."""
        out = {"study": type(self).__name__, "format": FORMAT}
        for f in fields(self):
            out[f.name] = _plain(getattr(self, f.name))
        return out

    def _whole(self):
        arrays = {}
        words = _split(self.to_dict_of_arrays(), "", arrays)
        return FORMAT, archive.strict(words), arrays

    def to_dict_of_arrays(self):
        """As :meth:`to_dict`, the arrays left as they are."""
        out = {"study": type(self).__name__, "format": FORMAT}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, tuple) and value and isinstance(value[0], Study):
                value = [v.to_dict_of_arrays() for v in value]
            out[f.name] = value if isinstance(value, (np.ndarray, list)) else _plain(value)
        return out

    @classmethod
    def load(cls, path):
        """Read what :meth:`save` wrote. ValueError for a file that holds no such study, or a garbled one."""
        with archive.reading(path, cls.__name__):
            file = archive.found(path, (".npz", ".json"))
            if file.suffix.lower() == ".json":
                stored: Any = archive.read_json(file, FORMAT)
            else:
                words, arrays = archive.raw(file, FORMAT)
                stored = _join(words, arrays)
            try:
                return cls.from_dict(stored | {"format": FORMAT})
            except (TypeError, ValueError, OverflowError) as error:
                raise archive.Wrong(str(error)) from None

    @classmethod
    def from_dict(cls, stored):
        """The study that :meth:`to_dict` wrote; ValueError or TypeError for anything else."""
        if not isinstance(stored, dict) or stored.get("study") != cls.__name__:
            found = stored.get("study") if isinstance(stored, dict) else type(stored).__name__
            raise ValueError(f"stored study must be a {cls.__name__}, got {checks.shown(found)}")
        if stored.get("format") != FORMAT:
            raise ValueError(f"stored study must have format {FORMAT}, got {checks.shown(stored.get('format'))}")
        values = {}
        for f in fields(cls):
            if f.name in stored:
                values[f.name] = _restored(f, stored[f.name])
            elif f.default is MISSING:  # else it is younger than the file
                raise ValueError(f"it lacks {f.name}")
        study = cls(**values)
        study._fit()
        return study

    def _fit(self):
        """ValueError unless the lengths of the arrays and tuples are those of ``axes``."""
        sizes = {}
        for part in filter(None, self.axes.split(";")):
            names, _, shape = part.partition(":")
            for name in names.split():
                value = getattr(self, name.rstrip("?"))
                found = value.shape if isinstance(value, np.ndarray) else (len(value),)
                if not (name.endswith("?") and 0 in found):
                    # JSON keeps nothing of the second length of an array without rows.
                    archive.fit(name.rstrip("?"), found, shape.split()[0] if found == (0,) else shape, sizes)


def _restored(f, value):
    """The value of a field from what a file holds."""
    name, bad = f.name, TypeError(f"{f.name} must be {f.type.__name__}, and is {checks.shown(value)}")
    if f.type is np.ndarray:
        kind = np.dtype(f.metadata.get("dtype", np.float64))
        if not isinstance(value, np.ndarray):
            return archive.of_lists(name, value, kind)
        if value.dtype.kind == kind.kind == "f":
            return value  # of a network, say, with single or double precision
        if not np.can_cast(value.dtype, kind):
            raise TypeError(f"{name} must be {kind}, and is {value.dtype}")
        return value.astype(kind)
    if f.type is float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) and value not in (None, "inf", "-inf"):
            raise bad
        return math.nan if value is None else float(value)
    if "parts" in f.metadata and isinstance(value, list):
        return tuple(f.metadata["parts"].from_dict(part) for part in value)
    if f.type is tuple and isinstance(value, list):
        return tuple(tuple(one) if isinstance(one, list) else one for one in value)
    if not isinstance(value, f.type) or isinstance(value, bool) and f.type is not bool:
        raise bad
    return value


def _plain(value):
    if isinstance(value, Study):
        return value.to_dict()
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def _split(value, where, arrays):
    """``value`` with each array put into ``arrays`` under its path and replaced by null."""
    if isinstance(value, np.ndarray):
        arrays[where] = value
        return {"array": where}
    if isinstance(value, dict):
        return {k: _split(v, f"{where}.{k}" if where else k, arrays) for k, v in value.items()}
    if isinstance(value, list):
        return [_split(v, f"{where}.{i}", arrays) for i, v in enumerate(value)]
    return value


def _join(value, file):
    if isinstance(value, dict):
        if set(value) == {"array"}:
            if not isinstance(value["array"], str) or value["array"] not in file:
                raise archive.Wrong(f"it lacks the array {checks.shown(value['array'])}")
            return file[value["array"]]
        return {k: _join(v, file) for k, v in value.items()}
    return [_join(v, file) for v in value] if isinstance(value, list) else value


def ended(status):
    """What a headline says of a run that did not come to its end."""
    return "" if status in ("completed", "converged") else f"; the run {status}"
