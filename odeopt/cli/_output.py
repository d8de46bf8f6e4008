"""What the commands share: lengths, starts and looks, tables, files."""

import contextlib
import errno
import hashlib
import io
import json
import math
import os
import pathlib
import re
import stat
import sys
import tempfile
import time

from .. import checks, method, threads
from ..archive import write
from ..results import csv_text
from ..results import table as table  # the commands print tables as studies do
from ._terminal import interrupt
from ._terminal import interrupted as interrupted
from ._words import Start, count, dots, number
from ._words import window as plot_window

FORMATS = ("png", "pdf", "svg")
WORTH = 5e-5  # seconds of a gradient from which two methods at the same time gain
MANY = 6  # optimizers, from which on each has a panel of its own


def add_start(parser, *words):
    """--start: how the memory begins, of these words (the first by default); a point is the start itself."""
    if words:
        parser.add_argument("--start", action=Start, const=words, default=words[0],
                            metavar="|".join([*words, "A,B,..."]),
                            help="memory at the start: zeros (cold), or so that the flow starts smoothly (consistent)"
                                 + ", or both where they differ" * ("both" in words) + "; numbers are those of --x0")
    else:
        parser.add_argument("--start", dest="x0", metavar="A,B,...", help="the same as --x0")


def add_look(parser, *, window=True):
    """--title, --dpi, and --window for a map."""
    parser.add_argument("--title", metavar="TEXT", help="of the pictures (default: what they show)")
    parser.add_argument("--dpi", type=dots, metavar="N", help="pixels per inch, 20 to 1200")
    if window:
        add_window(parser)


def add_window(parser):
    """--window."""
    parser.add_argument("--window", type=plot_window, metavar="A,B,C,D",
                        help="part of the plane that a map shows, A to B across and C to D up")


def add_length(parser, steps):
    """--steps or --time."""
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=count, default=steps, metavar="N",
                        help=f"steps of each optimizer (default {steps})")
    length.add_argument("--time", type=number, metavar="T", help="flow time instead of a number of steps")


def add_output(parser):
    """--out and --json."""
    parser.add_argument("--out", metavar="DIR", help="folder for the figures and the CSV and JSON files")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--format", type=str.lower, choices=FORMATS, default="png",
                        help="of the figures (default: png)")
    add_look(parser, window=False)


def stem(problem):
    """A problem's name as a part of a file's: of a formula, its letters and digits and a hash of it."""
    words = re.sub(r"[^\w.]+", "-", problem.name).strip("-")
    return words if words == problem.name else f"{words}-{hashlib.sha256(problem.about.encode()).hexdigest()[:6]}"


def labels(methods):
    """A label for each method: its title, and what tells it from others of this title."""
    return method.labels([one.title for one in methods], [one.spec() for one in methods])


def add_jobs(parser):
    """--jobs."""
    parser.add_argument("--jobs", type=count, metavar="N",
                        help="methods at the same time, in threads (default: as many as there are processors where a "
                             "gradient of the problem, compiled, takes long enough for that to gain, else 1)")


def jobs_of(args, problem, x0):
    """The number of --jobs."""
    if args.jobs is not None:
        return checks.integer("--jobs", args.jobs, 1)
    if not problem.compiled:
        return 1
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        problem.grad(x0)
        times.append(time.perf_counter() - begin)
    return threads.available() if min(times) >= WORTH else 1


def each(items, work, describe, jobs=1):
    """``work(item)`` of each item, ``jobs`` at the same time, behind a progress bar on stderr (only on a terminal);
    Ctrl-C keeps what is done."""
    from ..studies.inner import gather

    if jobs > 1 and len(items) > 1:
        done, cut = gather(items, work, progress=True, describe=describe, jobs=jobs)
        if cut:
            interrupt()
        return done
    done, last = [], []

    def one(item):
        last[:] = [work(item)]
        done.extend(last)
        if interrupted(last[0]):
            raise KeyboardInterrupt

    if gather(items, one, progress=True, describe=describe)[1]:
        interrupt()
    return done


def kept(study):
    """``study`` with what it holds; KeyboardInterrupt where Ctrl-C came before anything was done."""
    if interrupted(study) and not study.rows():
        raise KeyboardInterrupt
    return study


def out_folder(args):
    """The folder of --out, made and writable, or None. OSError with a plain sentence if it is not."""
    if args.out is None:
        return None
    if not args.out:
        raise ValueError("--out must name a folder, got ''")
    return _writable(pathlib.Path(args.out))


def add_file(parser, endings, default):
    """--out and --format of one picture."""
    words = [ending[1:] for ending in endings]
    parser.add_argument("--format", type=str.lower, choices=words, help="of the picture, where --out does not say "
                                                                        f"(default: {words[0]})")
    parser.add_argument("--out", metavar="FILE", help=f"{', '.join(endings)} (default: {default}{endings[0]})")


def out_file(args, default, endings, option="--out"):
    """The path of --out, or ``default`` with the ending of --format, its folder made and writable before anything is
    computed.

    ValueError for another ending, or one that is not that of --format; OSError as :func:`out_folder`.
    """
    kind = getattr(args, "format", None)
    path = pathlib.Path(f"{default}.{kind or endings[0][1:]}" if args.out is None else args.out)
    if kind and not path.suffix and path.name:
        path = path.with_name(f"{path.name}.{kind}")
    if path.suffix.lower() not in endings:
        raise ValueError(f"{option} must end in {', '.join(endings[:-1])} or {endings[-1]}, got {path.name!r}")
    if kind and path.suffix.lower() != f".{kind}":
        raise ValueError(f"--format must be that of --out, {path.name!r}, got {kind!r}")
    _writable(path.parent)
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    except FileNotFoundError:
        pass
    return path


def _writable(folder):
    """``folder``, made; OSError unless a file of a name that nobody else has can be made there."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return folder


def heading(problem):
    """What stands above a picture that is given no title."""
    return f"{problem.name}, n = {problem.dim}"


def figure(drawers, path, size=(6.4, 4.4), dpi=None, title=None):
    """Save a figure of one panel for each ``draw(axes)``, in the package's style."""
    with saved(path, (1, len(drawers)), size, dpi=dpi, title=title) as axes:
        for draw, ax in zip(drawers, axes[0]):
            draw(ax)


def panels(draw, count, path, dpi=None, title=None, **options):
    """Save a figure of ``count`` small panels: ``draw(array of axes)``."""
    from .. import plotting

    with saved(path, plotting.panel_shape(count), (2.6, 2.5), dpi=dpi, title=title, **options) as axes:
        draw(axes)


@contextlib.contextmanager
def saved(path, shape=(1, 1), size=(6.4, 4.4), dpi=None, title=None, **options):
    """The axes, an array of this shape, of a figure that is saved at the end; ``size`` of each in inches.

    A title stands above the figure, or is that of its one axes where this has none."""
    from matplotlib.figure import Figure

    from .. import plotting
    from ..plotting import layout

    kind = pathlib.Path(path).suffix[1:].lower()
    with plotting.style():
        fig = Figure(figsize=(size[0] * shape[1], size[1] * shape[0]), layout="constrained")
        axes = fig.subplots(*shape, squeeze=False, **options)
        yield axes
        if title and axes.size == 1 and not axes[0, 0].get_title():
            axes[0, 0].set_title(layout.label(title))
        elif title:
            fig.suptitle(layout.label(title), wrap=True)
        stream = io.BytesIO()
        fig.savefig(stream, format=kind, dpi=dpi or "figure", metadata={"Software": None} if kind == "png" else None)
    write(path, stream.getvalue())


def plain(value):
    """``value`` for JSON: numpy scalars as Python's, not-a-number and infinities as null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_rows(rows, folder, stem, extra=None):
    """``stem.csv`` and ``stem.json`` (the rows, and ``extra`` beside them)."""
    write(folder / f"{stem}.csv", csv_text(rows))
    write(folder / f"{stem}.json", _document(rows, extra, False) + "\n")


def print_json(rows, extra=None):
    """The same document on stdout; letters that its encoding may lack are escaped, so that nothing is lost."""
    print(_document(rows, extra, "utf" not in (sys.stdout.encoding or "").lower()))


def _document(rows, extra, ascii_alone):
    return json.dumps(plain({"rows": rows, **(extra or {})}), indent=1, ensure_ascii=ascii_alone)
