"""Colours for methods, from their keys: told apart in ordinary and in red-green blind sight, on white.

Distances are Euclidean in Oklab (B. Ottosson, 2020), the least over ordinary sight, protanopia and
deuteranopia (matrices of G. M. Machado, M. M. Oliveira and L. A. F. Fernandes, 2009).
"""

import zlib
from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib.colors import hsv_to_rgb, to_hex, to_rgb

# Six of Okabe and Ito's (2008) and P. Tol's (2021) hues; each further one is the colour with contrast 2.3 to 14
# on white that is farthest from all before it. Any two are at least 0.047 apart, the first twenty 0.072.
PALETTE = (
    "#0072B2", "#D55E00", "#009E73", "#AA3377", "#DD8800", "#332288", "#5A0F00", "#00B4FF", "#0000FF", "#873C00",
    "#0087FF", "#781E4B", "#69B4B4", "#1E96C3", "#2D0FC3", "#5A004B", "#B44B3C", "#0FC378", "#0069E1", "#4B4BA5",
    "#873C4B", "#781E0F", "#1E6987", "#4B8796", "#E15AD2", "#004BD2", "#D2695A", "#5A96F0", "#2D1E69", "#00A5A5",
    "#1E3C69", "#E1965A", "#690F2D", "#A55A69", "#5A3C87", "#00B487", "#5A0FA5", "#2D7896", "#964B00", "#C396E1",
)  # fmt: skip
SAME = 0.02  # a distance below which two lines look alike
_BLIND = (
    np.eye(3),
    np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
)
_LMS = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                 [0.0883024619, 0.2817188376, 0.6299787005]])
_LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                 [0.0259040371, 0.7827717662, -0.8086757660]])


@lru_cache(maxsize=4096)
def _seen(color):
    c = np.array(to_rgb(color))
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return np.array([_LAB @ np.cbrt(_LMS @ np.clip(blind @ linear, 0, 1)) for blind in _BLIND])


def distance(a, b):
    """How far two colours are apart for whoever tells them apart least."""
    return float(np.linalg.norm(_seen(a) - _seen(b), axis=1).min())


def color(key):
    """The colour of a key: always the same."""
    return PALETTE[zlib.crc32(str(key).encode()) % len(PALETTE)]


def assign(keys, wanted=None):
    """A colour for each key of one picture, no two alike.

    Parameters
    ----------
    keys : sequence of str
    wanted : sequence of (colour or None), optional
        What a key would have, and has unless somebody has it before; the others have :func:`color` of their
        key or, where that looks like one that is taken, the next of the palette that does not.

    Returns
    -------
    list of str
        Hexadecimal; the same on every run.
    """
    keys = [str(key) for key in keys]
    wanted = list(wanted) if wanted is not None else [None] * len(keys)
    found: list[Any] = [None] * len(keys)
    taken = []
    order = sorted(range(len(keys)), key=lambda i: wanted[i] is None)  # who wants one comes first
    for i in order:
        home = zlib.crc32(keys[i].encode()) % len(PALETTE)
        if wanted[i] and all(np.linalg.norm(_seen(wanted[i])[0] - _seen(t)[0]) > SAME for t in taken):
            found[i] = wanted[i]
        else:
            options = (*PALETTE[home:], *PALETTE[:home])
            free = (c for c in options if all(distance(c, t) > SAME for t in taken))
            found[i] = next(free, None) or _another(taken)
        taken.append(found[i])
    return found


def _another(taken):
    """A colour beyond the palette: of many hues and shades the one farthest from those taken."""
    candidates = [to_hex(hsv_to_rgb((h / 48, s, v))) for h in range(48) for s in (0.55, 1.0) for v in (0.35, 0.55, 0.8)]  # pyright: ignore[reportArgumentType]
    seen, others = np.array([_seen(c) for c in candidates]), np.array([_seen(t) for t in taken])
    apart = np.linalg.norm(seen[:, None] - others[None], axis=3).min(axis=(1, 2))
    if apart.max() > 1e-3:
        return candidates[int(apart.argmax())]
    return next(c for c in (f"#{n:06x}" for n in range(0x101010, 0xBBBBBB, 0x1357)) if c not in taken)
