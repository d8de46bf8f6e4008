"""The words of the page, as HTML: every word that came from outside is escaped."""

import html
import math
from collections.abc import Sequence
from typing import Any

_STYLE = ("<style>table{border-collapse:collapse;width:100%;font:12px system-ui,sans-serif;color:#222}"
          "td,th{padding:2px 5px;text-align:right;white-space:nowrap}td:first-child,th:first-child{text-align:left}"
          "th{font-weight:600;color:#5B6675;border-bottom:1px solid #C9D1DC}.wide{overflow-x:auto}"
          "i{display:inline-block;width:11px;height:11px;border-radius:6px;margin-right:6px}</style>")


def table(rows: Sequence[dict[str, Any]], gap: bool) -> str:
    """What each method did; ``gap``: whether f is that above the minimum."""
    heads = ("method", "step h", "steps", "error", "order", "f - f*" if gap else "f", "")
    lines = []
    for one in rows:
        declared = f" / {one['declared']:g}" if one["declared"] is not None else ""
        order = f"{one['order']:.2f}{declared}" if math.isfinite(one["order"]) else f"–{declared}"
        cells = (number(one["h"]), str(one["steps"]), number(one["max error"]), order,
                 number(one["f"]), "" if one["status"] == "completed" else one["status"])
        lines.append(f"<tr><td><i style='background:{one['color']}'></i>{html.escape(one['method'])}</td>"
                     + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{word}</th>" for word in heads)
    return f"{_STYLE}<div class=wide><table><tr>{head}</tr>{''.join(lines)}</table></div>"


def number(value: float) -> str:
    """Three digits, a dash for what there is not."""
    return f"{value:.3g}" if math.isfinite(value) else "–"


def message(notes: Sequence[str], error: str = "") -> str:
    """Sentences above the map; what could not be done stands out."""
    parts = [f"<p role=alert class=bad>{html.escape(error)}</p>"] * bool(error)
    parts += [f"<p>{html.escape(note)}</p>" for note in notes]
    return ("<style>p{margin:0 0 3px;font:13px system-ui,sans-serif;color:#5B6675}.bad{color:#A32A00;font-weight:600}"
            f"</style><div aria-live=polite>{''.join(parts)}</div>")


def heading(problem: str, drag: bool = True) -> str:
    """The first line of the page."""
    hint = "Drag the start; halve" if drag else "Halve"
    return ("<style>h1{font:600 19px system-ui,sans-serif;margin:2px 0;color:#222}p{margin:0;color:#5B6675;"
            f"font:13px system-ui,sans-serif}}</style><h1>{html.escape(problem)}</h1><p>Dots are iterates, lines the "
            f"flows that they discretise. {hint} the step, and the dots crowd onto the lines.</p>")


def command(line: str) -> str:
    """A command to copy."""
    return ("<style>pre{white-space:pre-wrap;font:12px ui-monospace,monospace;background:#F3F5F8;padding:8px;margin:0}"
            f"</style><pre>{html.escape(line)}</pre>")
