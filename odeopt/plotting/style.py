"""The look: one style sheet, and one colour and marker for each optimizer wherever it appears."""

import ast
import colorsys
import contextlib
import pathlib
import threading
import zlib
from dataclasses import dataclass

import matplotlib
import matplotlib.style
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb

from .. import optimizers
from . import layout, palette

STYLE_SHEET = pathlib.Path(__file__).with_name("odeopt.mplstyle")

# Command-line name -> (colour, marker). Hues after Okabe and Ito (2008) and P. Tol (2021), darkened
# where they would be too pale for a line on white; methods of one family share a hue region and
# differ in marker and lightness, so that the table also reads without colour.
LOOKS = {
    "gradientdescent": ("#0072B2", "o"),
    "barzilaiborwein": ("#2A4D8F", "^"),
    "errorcontrolledeuler": ("#3B9AD9", "s"),
    "normalizedgd": ("#4A5FC1", "p"),
    "signgd": ("#332288", "D"),
    "momentum": ("#D55E00", "^"),
    "nesterov": ("#AA3377", "v"),
    "rprop": ("#777711", "P"),
    "adaptivegains": ("#A08A2C", "X"),
    "rmsprop": ("#009E73", "s"),
    "adagrad": ("#117733", "p"),
    "adadelta": ("#2F9E95", "h"),
    "adam": ("#DD8800", "D"),
    "adamw": ("#B36B00", "d"),
    "amsgrad": ("#C2533B", "h"),
    "adamax": ("#8C564B", "X"),
    "nadam": ("#E0A800", "<"),
    "lion": ("#882255", ">"),
    "amos": ("#7A3DB8", "*"),
    "swa": ("#555555", "P"),
}
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
    """``(colour, marker)`` of a command-line name; the same one for ever for names not in the table."""
    key = str(name).lower().replace("-", "").replace("_", "").replace(" ", "")
    key = optimizers.ALIASES.get(key, key)
    if key in LOOKS:
        return LOOKS[key]
    return palette.color(key), _MARKERS[zlib.crc32(key.encode()) // 64 % len(_MARKERS)]


def shade(color, place, of):
    """``color`` made darker or lighter: number ``place`` of ``of`` lines that share it."""
    if of < 2:
        return color
    hue, light, saturation = colorsys.rgb_to_hls(*to_rgb(color))
    span = place / (of - 1) - 0.5  # darkest first, the lighter the paler
    light = min(max(light + 0.32 * span, 0.17), 0.66)
    return to_hex(colorsys.hls_to_rgb(hue, light, saturation * (1 - 0.5 * max(span, 0.0))))


def parse(method):
    """``(command-line name, hyperparameters)`` of an optimizer or of its repr."""
    text = method if isinstance(method, str) else repr(method)
    try:
        call = ast.parse(text, mode="eval").body
        values = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
        return call.func.id.lower(), values
    except (SyntaxError, ValueError, AttributeError):
        return text.partition("(")[0], {}


def number(value):
    """A hyperparameter in few characters."""
    return f"{value:.3g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def looks(methods, labels=None, titles=None):
    """A :class:`Look` for each method of one figure.

    The label is the optimizer's title with its step size, and whatever else tells two runs of the
    same optimizer apart. No two methods share a colour; up to four runs of one optimizer share its hue and
    differ in lightness and marker. ``titles`` are for optimizers that the package does not know.
    """
    parsed = [parse(m) for m in methods]
    names = [name for name, _ in parsed]
    places = [names[:i].count(name) for i, name in enumerate(names)]
    wanted = []
    for name, place in zip(names, places):
        count, color = names.count(name), look(name)[0]
        # A few twins are shades of one colour; more could not be told apart.
        wanted.append(shade(color, place, count) if count <= _TWINS else color if place == 0 else None)
    colors = palette.assign([f"{name} {place}" for name, place in zip(names, places)], wanted)
    result = []
    for i, (name, values) in enumerate(parsed):
        twins = [v for n, v in parsed if n == name]
        marker = look(name)[1]
        if len(twins) > 1 and marker in _MARKERS:
            marker = _MARKERS[(_MARKERS.find(marker) + places[i]) % len(_MARKERS)]
        title = optimizers.ALL[name].title if name in optimizers.ALL else (titles and titles[i]) or name
        keys = [key for key in values if any(t.get(key) != values[key] for t in twins)]
        keys = [key for key in ("lr", "tol") if key in values and key not in keys] + keys
        words = ", ".join(f"{key} {number(values[key])}" for key in keys)
        label = labels[i] if labels else f"{title}, {words}" if words else title
        result.append(Look(colors[i], marker, layout.label(label)))
    return result
