"""``Study``: frozen results of a measurement, with a readable ``repr``, ``to_dict`` and ``save``.

A study computes and never draws. Its fields are arrays, numbers, words, tuples of these, and
other studies; arrays are made read-only. Files hold no pickled objects: ``.npz`` keeps every bit,
``.json`` is for reading elsewhere (not-a-number becomes null; both load back).
"""

import html
import json
import math
import pathlib
from dataclasses import MISSING, dataclass, field, fields

import numpy as np

FORMAT = 1


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    """Base of all studies: a subclass is a frozen dataclass with :meth:`rows` and :meth:`headline`.

    Attributes
    ----------
    status : str
        "completed", or "interrupted" where Ctrl-C ended the study and it holds what was done. (Studies of one run
        have the status of that run.)
    """

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

    def rows(self):
        """The study as a list of dicts, one a line of its table."""
        raise NotImplementedError

    def headline(self):
        """One line that says what was measured and what came out."""
        raise NotImplementedError

    def __repr__(self):
        return f"{self.headline()}\n{table(self.rows())}"

    def to_dict(self):
        """Everything as dicts, lists, numbers and words (arrays as nested lists)."""
        out = {"study": type(self).__name__, "format": FORMAT}
        for f in fields(self):
            out[f.name] = _plain(getattr(self, f.name))
        return out

    def _repr_html_(self):
        """The table for notebooks."""
        return html_table(self.rows(), self.headline())

    def save(self, path):
        """Write ``path``: JSON if it ends in ``.json``, else npz (``.npz`` is appended if missing)."""
        path = pathlib.Path(path)
        if path.suffix == ".json":
            path.write_text(json.dumps(_strict(self.to_dict()), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            return
        arrays = {}
        words = _split(self.to_dict_of_arrays(), "", arrays)
        np.savez_compressed(path, words=np.array(json.dumps(_strict(words))), **arrays)

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
        """Read what :meth:`save` wrote. ValueError for a file that holds no such study."""
        path = pathlib.Path(path)
        try:
            if path.suffix == ".json":
                stored = json.loads(path.read_text(encoding="utf-8"))
            else:
                with np.load(path, allow_pickle=False) as file:
                    stored = _join(json.loads(str(file["words"])), file)
            return cls.from_dict(stored)
        except (ValueError, KeyError) as error:
            raise ValueError(f"path must be a saved {cls.__name__}, got {path} ({error})") from None

    @classmethod
    def from_dict(cls, stored):
        """The study that :meth:`to_dict` wrote."""
        if not isinstance(stored, dict) or stored.get("study") != cls.__name__:
            found = stored.get("study") if isinstance(stored, dict) else type(stored).__name__
            raise ValueError(f"stored study must be a {cls.__name__}, got {found}")
        if stored.get("format") != FORMAT:
            raise ValueError(f"stored study must have format {FORMAT}, got {stored.get('format')}")
        values = {}
        for f in fields(cls):
            if f.name not in stored and f.default is not MISSING:
                continue  # younger than the file
            value = stored[f.name]
            if f.type is np.ndarray:
                kind = f.metadata.get("dtype", np.float64)
                value = np.array(value, dtype=kind)
            elif f.type is float:
                value = float("nan") if value is None else float(value)
            elif "parts" in f.metadata:
                value = tuple(f.metadata["parts"].from_dict(part) for part in value)
            elif isinstance(value, list):
                value = tuple(value)
            values[f.name] = value
        return cls(**values)


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


def _strict(value):
    """JSON has no nan and no infinity: null, and the words that ``float`` reads."""
    if isinstance(value, dict):
        return {k: _strict(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_strict(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
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
        return file[value["array"]] if set(value) == {"array"} else {k: _join(v, file) for k, v in value.items()}
    return [_join(v, file) for v in value] if isinstance(value, list) else value


def ended(status):
    """What a headline says of a run that did not come to its end."""
    return "" if status in ("completed", "converged") else f"; the run {status}"


def word(value):
    """A cell of a table: three digits, a dash for what is not there."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)


def html_table(rows, caption):
    """Rows (dicts) as an HTML table."""
    columns = list(rows[0]) if rows else []
    head = "".join(f"<th>{html.escape(str(c))}</th>" for c in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(word(row.get(c)))}</td>" for c in columns) + "</tr>"
                   for row in rows)
    return f"<table><caption>{html.escape(caption)}</caption><tr>{head}</tr>{body}</table>"


def table(rows, columns=None):
    """Rows (dicts) as aligned text, numbers to the right."""
    columns = list(columns or (rows[0] if rows else ()))
    cells = [[word(row.get(c)) for c in columns] for row in rows]
    widths = [max(len(c), *(len(line[i]) for line in cells)) if cells else len(c) for i, c in enumerate(columns)]
    right = [all(isinstance(row.get(c), (int, float)) or row.get(c) is None for row in rows) for c in columns]
    lines = []
    for line in [columns, ["-" * w for w in widths], *cells]:
        lines.append("  ".join(t.rjust(w) if r else t.ljust(w) for t, w, r in zip(line, widths, right)).rstrip())
    return "\n".join(lines)
