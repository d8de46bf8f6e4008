"""The size and layout of a figure by what stands in it: no word cut off, none upon another, no axes squeezed."""

import re
import warnings
from functools import lru_cache

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.mathtext import MathTextParser
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.ticker import LogFormatter, LogFormatterSciNotation

from .. import checks
from .arguments import picture

_ROUNDS = 24  # of laying out and growing; the largest legends need four
_LEAST = (1.0, 0.8)  # inches of an axes
_LEAST_IN_SPACE = (2.8, 2.4)
_FLAT = 0.4  # height of an axes over its width, unless the figure is flatter anyway
_WORDS = 10  # points of a legend's words
_PAD = 3.9  # between axes and legend, in those


def fitted(ax):
    """``ax``, its figure laid out by :class:`Fitted` from now on (unless it has another layout by choice)."""
    fig = ax.figure.figure  # of a subfigure the whole one
    engine = fig.get_layout_engine()
    if engine is None:
        fig.set_layout_engine(Fitted())
    elif type(engine) is ConstrainedLayoutEngine and not getattr(engine, "_compress", False):
        fig.set_layout_engine(Fitted(**engine.get()))
    return ax


class Fitted(ConstrainedLayoutEngine):
    """Constrained layout that first breaks long titles and axis labels into lines, then lets the figure grow
    until every axes has room beside its legend and every word is inside the figure."""

    _measuring = False  # a drawing in the course of a layout asks for no layout
    _tries = 8  # at words that are cut off or upon another: what growing has not cured by then, it never will

    def execute(self, fig):
        """Lay the figure out."""
        if self._measuring:
            return
        for ax in fig.axes:
            _positive_limits(ax)
        self._measuring = True
        try:
            self._grow(fig)
        finally:
            self._measuring = False

    def _grow(self, fig):
        for _ in range(_ROUNDS):
            axes = [ax for ax in fig.axes if ax.figure is fig and ax.get_subplotspec() is not None
                    and (ax.axison or hasattr(ax, "zaxis")) and ax.get_visible()]
            for ax in axes:
                _break_lines(fig, ax)
                _lower(ax)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "constrained_layout not applied")
                super().execute(fig)
            width, height = fig.get_size_inches()
            more = _shortage(fig, axes)
            if more == (0.0, 0.0) and self._tries > 0:
                more = _cut_off(fig, axes)
                self._tries -= more != (0.0, 0.0)
            if more == (0.0, 0.0):
                return
            fig.set_size_inches(width + more[0], height + more[1])


def _positive_limits(ax):
    """Where nothing finite was drawn on a logarithmic axis: limits that it can have, in place of those around 0."""
    for axis in (ax.xaxis, ax.yaxis):
        if axis.get_scale() == "log" and min(axis.get_view_interval()) <= 0:
            (ax.set_xlim if axis is ax.xaxis else ax.set_ylim)(0.1, 10.0)


def _share(ax):
    """Part of the figure that the cell of ``ax`` has, across and down."""
    spec = ax.get_subplotspec()
    rows, columns = spec.get_gridspec().get_geometry()
    return len(spec.colspan) / columns, len(spec.rowspan) / rows


def _shortage(fig, axes):
    """Inches that the figure lacks, across and down."""
    width, height = fig.get_size_inches()
    wide = high = 0.0
    for ax in axes:
        across, down = _share(ax)
        box, cell = ax.get_position(original=True), ax.get_subplotspec().get_position(fig)
        tight = ax.get_tightbbox(for_layout_only=True)
        w, h = box.width * width, box.height * height
        least, floor = _LEAST, min(_FLAT * w, 0.75 * cell.height * height)
        if hasattr(ax, "zaxis"):
            least, floor = _LEAST_IN_SPACE, 0.6 * w
        if tight is not None:  # where the layout failed, the axes have not moved: what stands around them tells
            w = min(w, across * width - tight.width / fig.dpi + ax.bbox.width / fig.dpi)
            h = min(h, down * height - tight.height / fig.dpi + ax.bbox.height / fig.dpi)
        wide = max(wide, (least[0] - w) / across)
        high = max(high, (max(floor, least[1]) - h) / down)
    return (max(wide, 0.0), max(high, 0.0)) if wide > 0.01 or high > 0.01 else (0.0, 0.0)


def _cut_off(fig, axes):
    """Inches that words lack which are outside the figure or upon each other."""
    if any(hasattr(ax, "zaxis") for ax in axes):  # in space, words have their places after drawing only
        fig.draw_without_rendering()
    for ax in axes:
        ax.apply_aspect()
    bars = [ax for ax in fig.axes if ax.get_label() == "<colorbar>"]
    for bar in bars:
        bar.get_tightbbox()  # its label moves to where the layout has put the bar
    drawn = [thing for ax in (*axes, *bars) for thing in (*words(ax), ax.get_legend()) if thing is not None]
    boxes = [thing.get_window_extent() for thing in drawn]
    boxes = [b for b in boxes if b.width > 0 and b.height > 0]
    width, height = fig.bbox.width, fig.bbox.height
    across = max((max(-b.x0, b.x1 - width, 0.0) for b in boxes), default=0.0)
    down = max((max(-b.y0, b.y1 - height, 0.0) for b in boxes), default=0.0)
    if across > 1 or down > 1:
        more = 5 if any(hasattr(ax, "zaxis") for ax in axes) else 2  # in space, words move out as the axes grow
        return more * across / fig.dpi, more * down / fig.dpi
    if any(_upon(a, b) for i, a in enumerate(boxes) for b in boxes[:i]):
        if any([_thinned(axis) for ax in axes for axis in (ax.xaxis, ax.yaxis)]):
            return 0.0, 1e-9
        sizes = [(ax.bbox.width / across, ax.bbox.height / down) for ax in axes for across, down in [_share(ax)]]
        return tuple(max(0.08 * max(size) / fig.dpi, 0.3) for size in zip(*sizes))
    return 0.0, 0.0


def _thinned(axis):
    """Whether labels within the decades of a logarithmic axis lay upon each other: then 2 and 5 alone are left."""
    if not isinstance(axis.get_minor_formatter(), LogFormatter):
        return False
    low, high = sorted(axis.get_view_interval())
    boxes = [tick.label1.get_window_extent() for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
             if low <= tick.get_loc() <= high and tick.label1.get_text()]
    upon = any(_upon(a, b) for i, a in enumerate(boxes) for b in boxes[:i])
    if upon:
        whole = LogFormatterSciNotation(minor_thresholds=(np.inf, np.inf))
        axis.set_minor_formatter(lambda x, _: whole(x) if f"{x:e}"[0] in "25" else "")
    return upon


def _upon(a, b):
    return min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1


def words(ax):
    """The texts of an axes that are drawn: titles, labels, ticks within the limits, notes."""
    found = [child for child in ax.get_children() if isinstance(child, Text)]  # titles and notes
    for axis in filter(None, (ax.xaxis, ax.yaxis, getattr(ax, "zaxis", None))):
        found.append(axis.label)
        low, high = sorted(axis.get_view_interval())
        slack = 1e-9 * (high - low)
        found += [label for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
                  for label in (tick.label1, tick.label2) if low - slack <= tick.get_loc() <= high + slack]
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def _lower(ax):
    """Put the legend of ``below`` under what stands at the axis, however many lines that has."""
    legend = ax.get_legend()
    usual = getattr(legend, "odeopt_below", None)
    box = ax.xaxis.get_tightbbox() if usual and not hasattr(ax, "zaxis") else None
    if box is not None:
        points = 72 / ax.figure.dpi * (ax.bbox.y0 - box.y0)
        legend.borderaxespad = max(usual, points / _WORDS + 0.6)  # pyright: ignore[reportArgumentType]


def _break_lines(fig, ax):
    """Titles and axis labels in lines no longer than there is room for them."""
    size, box, (across, down) = fig.bbox, ax.bbox, _share(ax)
    x, y = 0.5 * (box.x0 + box.x1), 0.5 * (box.y0 + box.y1)
    spec = ax.get_subplotspec()
    left, right = (size.width * end / spec.get_gridspec().ncols for end in (spec.colspan.start, spec.colspan.stop))
    wide = max(2 * min(x - left, right - x), 0.5 * (right - left))  # a colour bar stands beside, not under, a title
    high = min(2 * min(y, size.height - y), down * size.height)
    rooms = [(child, min(size.width - box.x0, across * size.width) if child.get_ha() == "left" else wide)  # pyright: ignore[reportAttributeAccessIssue]
             for child in ax.get_children() if isinstance(child, Text) and child not in ax.texts]
    if not hasattr(ax, "zaxis"):
        rooms += [(ax.xaxis.label, wide), (ax.yaxis.label, high)]
    for text, room in rooms:
        whole, shown = getattr(text, "odeopt_lines", ("", None))
        whole = whole if shown == text.get_text() else text.get_text()
        if whole.strip():
            shown = broken(whole, 0.97 * room * 72 / fig.dpi, text.get_fontproperties())
            text.set_text(shown)
            text.odeopt_lines = (whole, shown)  # pyright: ignore[reportAttributeAccessIssue]


@lru_cache(maxsize=4096)
def _word_length(word, font):
    return text_to_path.get_text_width_height_descent(word, font, ismath="$" in word)[0]


def _words(line):
    """The words of a line; a formula is one, whatever spaces it has, and so are a name and its number, lr 0.01."""
    return re.findall(r"(?<!\S)[a-z]\w* [-+.]?\d\S*(?!\S)|(?:\$[^$]*\$|[^\s$]|\$)+", line)


def length(line, font):
    """Length of a line in points."""
    words = _words(line)
    return sum(_word_length(word, font) for word in words) + max(len(words) - 1, 0) * _word_length(" ", font)


def broken(text, room, font, letters=False):
    """``text`` in lines of at most ``room`` points: broken at spaces outside formulas, and with ``letters`` also
    within a word that is longer."""
    lines = []
    for paragraph in text.split("\n"):
        if length(paragraph, font) <= room:
            lines.append(paragraph)
            continue
        line = ""
        for word in _words(paragraph):
            longer = f"{line} {word}" if line else word
            if line and length(longer, font) > room:
                lines.append(line)
                longer = word
            while letters and "$" not in longer and length(longer, font) > room and len(longer) > 4:
                fits = max(4, int(len(longer) * room / length(longer, font)))
                lines.append(longer[:fits])
                longer = longer[fits:]
            line = longer
        lines.append(line)
    return "\n".join(lines)


_parser = MathTextParser("path")


def label(text):
    """``text`` as matplotlib shows it: dollars that enclose no formula stand for themselves."""
    text = str(text)
    if text.count("$") - text.count(r"\$") > 1:
        try:
            _parser.parse(text, 72, FontProperties())
        except ValueError:
            return text.replace(r"\$", "$").replace("$", r"\$")
    return text


@picture()
def below(ax, handles=None, title=None, columns=None):
    """A legend under the axes, where it covers no data: as many columns as its words allow, long words in lines."""
    handles = handles if handles is not None else _handles(ax)
    if not all(hasattr(one, "get_label") for one in handles):
        raise TypeError(f"handles must be artists of matplotlib, got {checks.shown(handles)}")
    spec, font = ax.get_subplotspec(), FontProperties(size=_WORDS)
    room = 72 * ax.figure.get_size_inches()[0] * (_share(ax)[0] if spec is not None else 1.0) - 2 * _WORDS
    names = [label(h.get_label()) for h in handles]
    if columns is None:
        wide = [max(length(line, font) for line in name.split("\n")) + (2 + 0.5 + 1.4) * _WORDS for name in names]
        columns = next((n for n in range(len(names), 1, -1) if _in_columns(wide, n) <= room + 1.4 * _WORDS), 1)
    if columns == 1:
        names = [broken(name, max(room - 3 * _WORDS, 60), font, letters=True) for name in names]
    # In units of the font: it clears tick labels and the axis label whatever the axes' height (in space these
    # are within the axes).
    pad = 0.5 if hasattr(ax, "zaxis") else _PAD
    legend = ax.legend(handles, ["\u200b" + name for name in names], loc="upper center", bbox_to_anchor=(0.5, 0.0),
                       borderaxespad=pad, ncols=columns, frameon=False, columnspacing=1.4, handletextpad=0.5,
                       fontsize=_WORDS, title=title and broken(title, room, FontProperties(size=10.5)))
    for text, name in zip(legend.get_texts(), names):
        text.set_text(name)  # a legend leaves out what begins with "_", so it was hidden until here
    if title:
        legend.get_title().set_fontsize(10.5)
        legend.get_title().set_color("#555555")
        legend.get_title().set_multialignment("center")
    legend.odeopt_below = pad
    fitted(ax)
    return legend


def _in_columns(wide, count):
    """Width of entries of these widths in ``count`` columns, filled one after the other as a legend does."""
    rows, longer = divmod(len(wide), count)
    ends = np.cumsum([rows + 1] * longer + [rows] * (count - longer))
    return sum(max(wide[end - size : end]) for end, size in zip(ends, np.diff(ends, prepend=0)))


def _handles(ax):
    """What an axes shows with a label: matplotlib leaves out those that begin with "_", but for its own."""
    artists = [*ax.lines, *ax.patches, *ax.collections]
    return [a for a in artists if a.get_label() and not re.fullmatch(r"_(nolegend_|child\d+)", str(a.get_label()))]
