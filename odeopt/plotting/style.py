"""The look: one style sheet, and one colour and marker for each optimizer wherever it appears."""

import colorsys
import contextlib
import pathlib
import threading
import zlib
from dataclasses import dataclass

import matplotlib
import matplotlib.style
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb

from .. import checks, method, optimizers
from . import layout, palette
from .arguments import picture

STYLE_SHEET = pathlib.Path(__file__).with_name("odeopt.mplstyle")

_MARKERS = "os^vDPXph<>"
_TWINS = 4
FLOW = "#222222"  # the exact flow where it belongs to no single optimizer
MAP = LinearSegmentedColormap.from_list("odeopt-map", ("#FDFDFE", "#E3E9F1", "#BCC8D8"))
SIGNED = LinearSegmentedColormap.from_list("odeopt-signed", ("#2C6FA6", "#9CC3DE", "#F7F7F5", "#F3B98D", "#C4541B"))


_lock = threading.Lock()
_entered = []  # what each open ``with style():`` found, the newest last


@contextlib.contextmanager
def style():
    """Use the package's style sheet inside a ``with`` block.

    Settings are matplotlib's own and so of the whole process: threads that overlap share the style, and the
    last to leave restores what the first one found.

    Yields
    ------
    None
    """
    with _lock:
        found = [{key: value for key, value in matplotlib.rcParams.copy().items() if key != "backend"}]
        _entered.append(found)
        matplotlib.style.use(["default", str(STYLE_SHEET)])
    try:
        yield
    finally:
        with _lock:
            place = next(i for i, other in enumerate(_entered) if other is found)
            if place + 1 < len(_entered):  # somebody came later and is still there: theirs to restore
                _entered[place + 1][:] = found
            else:
                dict.update(matplotlib.rcParams, found[0])  # as rc_context does: valid already
            del _entered[place]


@dataclass(frozen=True)
class Look:
    """Colour and marker of a line, and its words in the legend."""

    color: str
    marker: str
    label: str = ""


def look(name):
    """``(colour, marker)`` of a command-line name: what its page says, or the same ones for ever from the name.

    Hues on the pages are after Okabe and Ito (2008) and P. Tol (2021), darkened where they would be too pale for a line
    on white; methods of one family share a hue region and differ in marker and lightness, so that pictures also read
    without colour.
    """
    key = checks.text("name", name).lower().replace("-", "").replace("_", "").replace(" ", "")
    key = optimizers.ALIASES.get(key, key)
    cls = _pages().get(key)
    if cls is not None and cls.look:
        return cls.look
    return palette.color(key), _MARKERS[zlib.crc32(key.encode()) // 64 % len(_MARKERS)]


def _pages():
    return optimizers.ALL | optimizers.WRAPPERS


def shade(color, place, of):
    """``color`` made darker or lighter: number ``place`` of ``of`` lines that share it."""
    if of < 2:
        return color
    hue, light, saturation = colorsys.rgb_to_hls(*to_rgb(color))
    span = place / (of - 1) - 0.5  # darkest first, the lighter the paler
    light = min(max(light + 0.32 * span, 0.17), 0.66)
    return to_hex(colorsys.hls_to_rgb(hue, light, saturation * (1 - 0.5 * max(span, 0.0))))


def described(thing):
    """``(command-line name, hyperparameters)`` of a method, of its ``spec``, or of words of any kind."""
    if not isinstance(thing, (dict, str)):
        if isinstance(thing, type) or not hasattr(thing, "spec"):
            raise TypeError(f"methods must hold methods, their specs or words, got {checks.shown(thing)} in it")
        thing = thing.spec()
    if isinstance(thing, str):
        return thing.partition("(")[0], {}
    return thing.get("method", ""), {name: value for name, value in thing.items() if name != "method"}


@picture()
def looks(methods, labels=None, titles=None):
    """A :class:`Look` for each method of one figure, given as a method, its ``spec`` or words.

    The label is the optimizer's title with its step size, and whatever else tells two runs of the
    same optimizer apart. No two methods share a colour; up to four runs of one optimizer share its hue and
    differ in lightness and marker. ``titles`` are for optimizers that the package does not know.
    """
    found = [described(m) for m in methods]
    for name, words in (("labels", labels), ("titles", titles)):
        if words is not None and len(words) != len(found):
            raise ValueError(f"{name} must have one entry per method, got {len(words)} for {len(found)}")
    names = [name for name, _ in found]
    places = [names[:i].count(name) for i, name in enumerate(names)]
    wanted = []
    for name, place in zip(names, places):
        count, color = names.count(name), look(name)[0]
        # A few twins are shades of one colour; more could not be told apart.
        wanted.append(shade(color, place, count) if count <= _TWINS else color if place == 0 else None)
    colors = palette.assign([f"{name} {place}" for name, place in zip(names, places)], wanted)
    names_of, shown, markers = [], [], []
    for i, (name, _) in enumerate(found):
        marker, cls = look(name)[1], _pages().get(name)
        if names.count(name) > 1 and marker in _MARKERS:
            marker = _MARKERS[(_MARKERS.find(marker) + places[i]) % len(_MARKERS)]
        markers.append(marker)
        names_of.append(cls.title if cls else (titles is not None and titles[i]) or name)
        shown.append(cls.step_name if cls and isinstance(cls.step_name, str) else "lr")
    if labels is None:
        labels = method.labels(names_of, [values for _, values in found], shown)
    return [Look(color, marker, layout.label(label)) for color, marker, label in zip(colors, markers, labels)]
