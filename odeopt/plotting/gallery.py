"""The gallery: ``examples/NN_claim.py`` files, each a claim that is checked and a picture that shows it.

An example has ``main()``, which returns pairs (computed, theory) or triples with an absolute tolerance
(default: 1 % of the theory, 1e-9 where that is 0), and at least one of ``draw(ax)``, ``draw_figure(fig)``
and ``movie(fig)``; ``SIZE`` is the figure's in inches, ``NEEDS`` the extra (and package) without which it does not
run. Figures carry the example's name.
"""

import importlib.util
import pathlib
import sys
import types

import numpy as np

from .. import archive
from .style import style

DEFAULT_SIZE = (6.4, 4.6)
MOVIE_SIZE = (5.6, 4.9)
MOVIE_DPI = 90


def find(folder, names=None):
    """The example files of ``folder``, in order; ValueError where there are none or a name is unknown."""
    files = sorted(pathlib.Path(folder).glob("[0-9][0-9]_*.py"))
    if not files:
        raise ValueError(f"examples must be a folder with files NN_claim.py, got {folder}")
    if not names:
        return files
    chosen = []
    for name in names:
        found = [f for f in files if f.stem == name or f.stem.partition("_")[0] == name.zfill(2)]
        if not found:
            raise ValueError(f"names must be examples such as {files[0].stem!r} (or their numbers), got {name!r}")
        chosen += found
    return chosen


def load(path):
    """The module of an example file."""
    path = pathlib.Path(path)
    spec = importlib.util.spec_from_file_location(f"odeopt_example_{path.stem}", path)
    assert spec is not None and spec.loader is not None  # of a file
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def missing(module):
    """What an example needs and this installation does not have, in words; "" for nothing."""
    name = getattr(module, "NEEDS", None)
    if name is None or importlib.util.find_spec(name) is not None:
        return ""
    return f"{name} is not installed: pip install 'odeopt-schemes[{name}]'"


def check(pair):
    """``(deviation, tolerance)`` of a pair; the deviation is infinite where shapes differ or numbers are nan."""
    computed, theory = (np.asarray(value, dtype=float) for value in pair[:2])
    tolerance = float(pair[2]) if len(pair) > 2 else max(0.01 * float(np.abs(theory).max(initial=0.0)), 1e-9)
    try:
        deviation = np.abs(computed - theory)
    except ValueError:
        return float("inf"), tolerance
    return (float(deviation.max(initial=0.0)) if np.isfinite(deviation).all() else float("inf")), tolerance


def pictures(module):
    """Which of "figure" and "movie" an example has."""
    drawn = hasattr(module, "draw") or hasattr(module, "draw_figure")
    return [kind for kind, there in (("figure", drawn), ("movie", hasattr(module, "movie"))) if there]


def figure(module):
    """The figure of an example, drawn in the package's style; close it when done."""
    import matplotlib.pyplot as plt

    with style():
        fig = plt.figure(figsize=getattr(module, "SIZE", DEFAULT_SIZE), layout="constrained")
        if hasattr(module, "draw_figure"):
            module.draw_figure(fig)
        else:
            module.draw(fig.subplots())
        fig.canvas.draw()  # the style's fonts and layout are those of drawing time
    return fig


def write(path, out):
    """Write the picture files of one example into ``out``; returns their paths.

    The files are the same to the pixel on every run with the same libraries: no time stamps, no
    unseeded numbers, one palette per movie.
    """
    import matplotlib.pyplot as plt

    from .animation import save_animation

    module, out, written = load(path), pathlib.Path(out), []
    stem = pathlib.Path(path).stem
    for kind in pictures(module):
        if kind == "figure":
            with style():
                fig = figure(module)
                with archive.replacing(out / f"{stem}.png") as stream:
                    fig.savefig(stream, format="png", metadata={"Software": None})
                written.append(out / f"{stem}.png")
        else:
            with style():
                fig = plt.figure(figsize=MOVIE_SIZE, dpi=MOVIE_DPI, layout="constrained")
                plt.rcParams["savefig.dpi"] = MOVIE_DPI
                written.append(save_animation(module.movie(fig), out / f"{stem}.gif"))
        plt.close(fig)
    return written


def show(example):
    """What ``python examples/NN_claim.py`` does with its path, a notebook with its module: print the pairs, draw."""
    import matplotlib.pyplot as plt

    module = example if isinstance(example, types.ModuleType) else load(example)
    if missing(module):
        raise ImportError(missing(module))
    print((module.__doc__ or "").strip().split("\n")[0])
    for pair in module.main():
        deviation, tolerance = check(pair)
        computed = np.asarray(pair[0], dtype=float)
        shown = f"{float(computed):.6g}" if computed.ndim == 0 else f"array of {computed.size}"
        print(f"  computed {shown}, off the theory by {deviation:.2g} (allowed {tolerance:.2g})")
    if "figure" in pictures(module):
        figure(module)
    if "movie" in pictures(module):
        with style():
            made = module.movie(plt.figure(figsize=MOVIE_SIZE, layout="constrained"))  # noqa: F841 - kept alive
            plt.show()
        return
    plt.show()
