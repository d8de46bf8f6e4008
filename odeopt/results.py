"""``Result``: what every result has: rows, a data frame, files, a table and a picture for notebooks.

The ending of a file decides: ``.npz`` keeps every bit and ``.json`` every number (not-a-number becomes null), and
both load back; ``.csv`` and ``.tex`` (booktabs) are the rows, for reading elsewhere. No file holds a pickle.
"""

import csv
import html
import importlib
import io
import math
import re
from typing import Any

import numpy as np

from . import archive, checks

ENDINGS = (".npz", ".json", ".csv", ".tex")
COORDINATES = 100  # a position with more of them is in no row
_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
        ">": r"\textgreater{}", "|": r"\textbar{}", "−": "$-$", "–": "--", "∇": r"$\nabla$", "±": r"$\pm$",
        "∞": r"$\infty$", "≤": r"$\le$", "≥": r"$\ge$", "·": r"$\cdot$", "√": r"$\surd$",
        **{letter: f"\\{letter}" for letter in "&%$#_{}"},
        **{letter: f"${words}$" for letter, words in zip("αβγδεηθκλμρστω", (
            r"\alpha \beta \gamma \delta \varepsilon \eta \theta \kappa \lambda \mu \rho \sigma \tau \omega").split())}}


class Result:
    """Base of results. A subclass has :meth:`rows`, :meth:`headline` and ``_whole``."""

    def rows(self) -> list[dict[str, Any]]:
        """The result as a list of dicts, one per line of its table."""
        raise NotImplementedError

    def headline(self) -> str:
        """One line that says what it is and what came out."""
        raise NotImplementedError

    def _whole(self) -> tuple[int, dict, dict]:
        """``(format, words, arrays)``: everything, for files."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Everything as dicts, lists, numbers and words (arrays as nested lists)."""
        version, words, arrays = self._whole()
        return {"format": version, **words, **{name: np.asarray(value).tolist() for name, value in arrays.items()}}

    def to_dataframe(self) -> Any:
        """:meth:`rows` as a ``pandas.DataFrame``. ImportError without pandas (the extra ``data``)."""
        return checks.extra("pandas", "to_dataframe", "data").DataFrame(self.rows())

    def save(self, path: Any) -> None:
        """Write ``path``.

        Parameters
        ----------
        path : str or path
            Its ending decides: ``.npz`` (also where there is none) and ``.json`` keep everything and load back;
            ``.csv`` and ``.tex`` (a tabular of the package booktabs) are the :meth:`rows`.

        Raises
        ------
        ValueError
            Another ending. What begins with a digit is none: "epoch.1" becomes epoch.1.npz.
        OSError
            The file cannot be written; an old one is then as it was.
        """
        path = archive.path_of(path, ENDINGS)
        ending = path.suffix.lower()
        if ending == ".json":
            archive.write_json(path, self.to_dict())
        elif ending == ".csv":
            archive.write(path, csv_text(self.rows()))
        elif ending == ".tex":
            archive.write(path, tex_text(self.rows(), self.headline()))
        else:
            archive.save(path, *self._whole())

    def _repr_html_(self):
        """The table for notebooks."""
        return html_table(self.rows(), self.headline())

    def _repr_png_(self):
        """The picture for notebooks and what is printed from them; None where there is none."""
        # By its name: results know nothing of pictures, and whoever shows none loads no matplotlib.
        return importlib.import_module(f"{__package__}.plotting.notebook").png(self)


def coordinates(x: np.ndarray) -> dict[str, float]:
    """The columns of a position; none where there are more than 100."""
    return {f"x[{i}]": float(value) for i, value in enumerate(x)} if x.size <= COORDINATES else {}


def columns_of(rows):
    """Names of all columns, in the order in which they occur."""
    return list(dict.fromkeys(name for row in rows for name in row))


def csv_text(rows):
    """Rows as CSV, numbers to the last bit."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns_of(rows))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def tex_text(rows, headline=""):
    """Rows as a tabular of the LaTeX package booktabs, with ``headline`` as a comment above."""
    columns = columns_of(rows)
    right = "".join("r" if _numeric(rows, c) else "l" for c in columns)
    lines = [" & ".join(_tex(row.get(c)) for c in columns) + r" \\" for row in rows]
    return "\n".join([f"% {' '.join(headline.split())}", r"\begin{tabular}{" + right + "}", r"\toprule",
                      " & ".join(map(_tex, columns)) + r" \\", r"\midrule", *lines, r"\bottomrule", r"\end{tabular}",
                      ""])


def _tex(value):
    """A cell for LaTeX."""
    cell = word(value)
    if isinstance(value, float) and math.isinf(value):
        return r"$-\infty$" if value < 0 else r"$\infty$"
    if isinstance(value, (int, float)) and not isinstance(value, bool) and cell != "-":
        mantissa, e, exponent = cell.partition("e")
        power = rf" \times 10^{{{int(exponent)}}}" if e else ""
        return f"${mantissa}{power}$"
    return re.sub(".", lambda letter: _TEX.get(letter[0], letter[0]), " ".join(cell.split()))


def _numeric(rows, column):
    return all(isinstance(row.get(column), (int, float)) or row.get(column) is None for row in rows)


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
    right = [_numeric(rows, c) for c in columns]
    lines = []
    for line in [columns, ["-" * w for w in widths], *cells]:
        lines.append("  ".join(t.rjust(w) if r else t.ljust(w) for t, w, r in zip(line, widths, right)).rstrip())
    return "\n".join(lines)
