"""The look: one style sheet, and one colour and marker for each optimizer wherever it appears."""

import ast
import colorsys
import contextlib
import pathlib
import zlib
from dataclasses import dataclass

import matplotlib.pyplot as plt
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb

from .. import optimizers

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
_FALLBACK = ("#0072B2", "#D55E00", "#009E73", "#AA3377", "#DD8800", "#332288", "#2F9E95", "#882255", "#777711")
_MARKERS = "os^vDPXph<>"
FLOW = "#222222"  # the exact flow where it belongs to no single optimizer
MAP = LinearSegmentedColormap.from_list("odeopt-map", ("#FDFDFE", "#E3E9F1", "#BCC8D8"))
SIGNED = LinearSegmentedColormap.from_list("odeopt-signed", ("#2C6FA6", "#9CC3DE", "#F7F7F5", "#F3B98D", "#C4541B"))


@contextlib.contextmanager
def style():
    """Use the package's style sheet inside a ``with`` block."""
    with plt.style.context(["default", str(STYLE_SHEET)]):
        yield


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
    number = zlib.crc32(key.encode())
    return _FALLBACK[number % len(_FALLBACK)], _MARKERS[number // 16 % len(_MARKERS)]


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
    same optimizer apart; these share the hue and differ in lightness and marker. ``titles`` are for optimizers that the
    package does not know.
    """
    parsed = [parse(m) for m in methods]
    result, seen = [], {}
    for i, (name, values) in enumerate(parsed):
        twins = [v for n, v in parsed if n == name]
        place = seen[name] = seen.get(name, -1) + 1
        color, marker = look(name)
        if len(twins) > 1:
            color = shade(color, place, len(twins))
            own = _MARKERS.find(marker)
            marker = _MARKERS[(own + place) % len(_MARKERS)] if own >= 0 else marker
        title = optimizers.ALL[name].title if name in optimizers.ALL else (titles and titles[i]) or name
        keys = [key for key in values if any(t.get(key) != values[key] for t in twins)]
        keys = [key for key in ("lr", "tol") if key in values and key not in keys] + keys
        words = ", ".join(f"{key} {number(values[key])}" for key in keys)
        label = labels[i] if labels else f"{title}, {words}" if words else title
        result.append(Look(color, marker, label))
    return result
