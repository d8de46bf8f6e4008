"""The page as one file: the pictures of all positions of two sliders, and no network, server or Python."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from bokeh.layouts import column, row
from bokeh.models import CustomJS, CustomJSTickFormatter, Slider

from ..archive import write as write_file
from ..problems import Problem
from . import model, words
from .figures import Figures, text
from .state import State, as_command

POWERS = (-3, -2, -1, 0, 1, 2, 3)  # of two, by which the step of every method is multiplied
REFINEMENTS = (0, 1, 2, 3, 4, 5)
_DOTS, _POINTS = 150, 120  # of a run and of a line: the file is read over slow networks
_MOVE = """
    const i = powers.value - powers.start, j = refinement.value - refinement.start
    const position = positions[i * (refinement.end - refinement.start + 1) + j]
    for (const name in position.sources) sources[name].data = position.sources[name]
    table.text = position.table
    message.text = position.message
"""


def _thinned(columns):
    """The columns of a glyph in single precision, with fewer points."""
    found: dict[str, Any] = {}
    for name, values in columns.items():
        if name in ("xs", "ys"):
            found[name] = [_some(one, _POINTS) for one in values]
        else:
            numbers = len(values) and not isinstance(values[0], str)
            found[name] = _some(values, len(values)) if numbers else list(values)
    return found


def _some(values, count):
    values = np.clip(np.asarray(values, dtype=float), -1e30, 1e30).astype(np.float32)
    if values.size <= count:
        return values
    return values[np.unique(np.linspace(0, values.size - 1, count).round().astype(int))]


def positions(state: State, given: Problem | None = None) -> list[dict[str, Any]]:
    """What each position of the two sliders shows, the refinement the faster one."""
    problem, methods = model.resolved(state, given)
    found = []
    for power in POWERS:
        moved = state
        for method in methods:
            moved = moved.with_value(method.key, method.step_name, method.step * 2.0**power)
        for refinement in REFINEMENTS:
            picture = model.picture(moved.changed(refinement=refinement), given, dots=_DOTS)
            sources = {name: _thinned(columns) for name, columns in picture.sources.items() if name != "start"}
            found.append({"sources": sources, "table": words.table(picture.rows, problem.f_min is not None),
                          "message": words.message(picture.notes)})
    return found


def document(state: State, given: Problem | None = None) -> Any:
    """The page as one Bokeh model."""
    problem, methods = model.resolved(state, given)
    figures = Figures(drag=False)
    figures.ground(model.ground(problem))
    figures.show(model.picture(state, given), start=True)
    table, message = text(""), text("")
    powers = Slider(title="Step of every method, times", start=POWERS[0], end=POWERS[-1], step=1, value=0,
                    sizing_mode="stretch_width", format=CustomJSTickFormatter(
                        code="return tick < 0 ? '1/' + 2 ** -tick : String(2 ** tick)"), name="powers")
    refinement = Slider(title="Refine: halve the step so often", start=0, end=REFINEMENTS[-1], step=1, value=0,
                        sizing_mode="stretch_width", name="refinement")
    move = CustomJS(args={"positions": positions(state, given), "sources": figures.sources, "powers": powers,
                          "refinement": refinement, "table": table, "message": message}, code=_MOVE)
    powers.js_on_change("value", move)
    refinement.js_on_change("value", move)
    first = move.args["positions"][-POWERS[0] * len(REFINEMENTS)]
    table.text, message.text = first["table"], first["message"]
    command = text(words.command(as_command(state, problem, methods)))
    controls = column(row(powers, refinement, sizing_mode="stretch_width"), command, sizing_mode="stretch_width",
                      styles={"flex": "1 1 360px", "min-width": "0", "max-width": "820px"})
    return column(text(words.heading(problem.name, drag=False)), figures.layout(controls, table, message),
                  sizing_mode="stretch_width", styles={"padding": "6px", "box-sizing": "border-box"})


def html(state: State, given: Problem | None = None) -> str:
    """The page as the text of one file."""
    from bokeh.embed import file_html
    from bokeh.resources import INLINE

    problem, _ = model.resolved(state, given)
    found = file_html(document(state, given), INLINE, f"odeopt: {problem.name}")
    phone = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return found.replace("<head>", f"<head>\n    {phone}", 1)


def write(state: State, path: str | os.PathLike[str], given: Problem | None = None) -> int:
    """Write the file; its size in bytes."""
    content = html(state, given).encode("utf-8")
    write_file(path, content)
    return len(content)
