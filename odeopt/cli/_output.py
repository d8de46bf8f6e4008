"""What the commands share: problems and optimizers from words, tables, files."""

import contextlib
import csv
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

from .. import checks
from ..archive import write
from ..studies.base import table as table  # the commands print tables as studies do
from ._terminal import interrupt
from ._terminal import interrupted as interrupted
from ._words import Start, count, dots, is_formula, kind_of, number
from ._words import window as plot_window

FORMATS = ("png", "pdf", "svg")
MANY = 6  # optimizers, from which on each has a panel of its own


def add_problem(parser):
    """The PROBLEM argument."""
    parser.add_argument("problem", metavar="PROBLEM", help="a name of `odeopt list problems`, such as beale, or a "
                        "formula, such as '(1-x)^2 + 100*(y-x^2)^2'")
    parser.add_argument("--x0", metavar="A,B,...", help="start (default: the problem's own)")


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
    parser.add_argument("--title", metavar="TEXT", help="of the picture (default: the problem)")
    parser.add_argument("--dpi", type=dots, metavar="N", help="pixels per inch, 20 to 1200")
    if window:
        parser.add_argument("--window", type=plot_window, metavar="A,B,C,D",
                            help="part of the plane that a map shows, A to B across and C to D up")


def add_optimizers(parser, default):
    """--optimizers and --set."""
    parser.add_argument("--optimizers", default=default, metavar="A,B,...|all",
                        help=f"names of `odeopt list optimizers`, or all (default: {default})")
    parser.add_argument("--set", action="append", default=[], metavar="NAME.KEY=VALUE",
                        help="a hyperparameter, such as adam.lr=0.01 or momentum.form=ema; may be repeated")


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
    parser.add_argument("--dpi", type=dots, metavar="N", help="pixels per inch of the figures, 20 to 1200")


def problem_of(args):
    """``(problem, x0)`` of the arguments."""
    try:
        x0 = None if args.x0 is None else [float(part) for part in args.x0.split(",")]
    except ValueError:
        raise ValueError(f"--x0 must be numbers with commas between, got {args.x0!r}") from None
    problem = _problem(args.problem, x0)
    if x0 is None:
        return problem, problem.x0
    if len(x0) != problem.dim:
        raise ValueError(f"--x0 must have {problem.dim} numbers for {problem.name}, got {len(x0)}")
    return problem, checks.point("x0", x0)


def _problem(word, x0):
    """The problem of this name, or of this formula (with its start in the middle of maps)."""
    from .. import problems

    if is_formula(word):
        try:
            return problems.Problem.from_expression(word, x0=x0)
        except ValueError as error:
            raise ValueError(re.sub("^x0 must be given", "--start must be given", str(error))) from None
    try:
        return problems.by_name(word)()
    except ValueError as error:
        what = kind_of(word)
        raise ValueError(f"{error}; {word} is {what}" if what else str(error)) from None


def stem(problem):
    """A problem's name as a part of a file's: of a formula, its letters and digits and a hash of it."""
    words = re.sub(r"[^\w.]+", "-", problem.name).strip("-")
    return words if words == problem.name else f"{words}-{hashlib.sha256(problem.about.encode()).hexdigest()[:6]}"


def optimizers_of(args, problem, x0, steps):
    """The optimizers named, each with suggested step sizes and what --set says."""
    from .. import optimizers
    from ..studies.search.suggest import suggest

    words = list(optimizers.ALL) if args.optimizers == "all" else args.optimizers.split(",")
    classes = list(dict.fromkeys(optimizers.by_name(word.strip()) for word in words))
    chosen = {cls.__name__.lower(): {} for cls in classes}
    for item in args.set:
        word, equals, value = item.partition("=")
        name, dot, key = word.partition(".")
        if not (equals and dot and key) or optimizers.by_name(name) not in classes:
            raise ValueError(f"--set must be NAME.KEY=VALUE with NAME among --optimizers, got {item!r}")
        chosen[optimizers.by_name(name).__name__.lower()][key] = _value(value)
    found = []
    for cls in classes:
        found.append(suggest(cls, problem, x0, steps, **chosen[cls.__name__.lower()]))
        if interrupted():
            raise KeyboardInterrupt
    return found


def _value(word):
    if word in ("true", "True", "false", "False"):
        return word in ("true", "True")
    if word in ("none", "None"):
        return None
    try:
        return float(word)
    except ValueError:
        return word


def each(items, work, describe):
    """``work(item)`` of each item, behind a progress bar on stderr (only on a terminal); Ctrl-C keeps what is done."""
    from ..studies.inner import gather

    done, last = [], []

    def one(item):
        last[:] = [work(item)]
        done.extend(last)
        if interrupted(last[0]):
            raise KeyboardInterrupt

    if gather(items, one, progress=True, describe=describe)[1]:
        interrupt()
    return done


def out_folder(args):
    """The folder of --out, made and writable, or None. OSError with a plain sentence if it is not."""
    if args.out is None:
        return None
    if not args.out:
        raise ValueError("--out must name a folder, got ''")
    return _writable(pathlib.Path(args.out))


def out_file(args, default, endings):
    """The path of --out, its folder made and writable before anything is computed.

    ValueError for another ending, OSError as :func:`out_folder`.
    """
    path = pathlib.Path(default if args.out is None else args.out)
    if path.suffix.lower() not in endings:
        raise ValueError(f"--out must end in {', '.join(endings[:-1])} or {endings[-1]}, got {path.name!r}")
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


def figure(drawers, path, size=(6.4, 4.4), dpi=None):
    """Save a figure of one panel for each ``draw(axes)``, in the package's style."""
    with saved(path, (1, len(drawers)), size, dpi=dpi) as axes:
        for draw, ax in zip(drawers, axes[0]):
            draw(ax)


def panels(draw, count, path, dpi=None, title=None):
    """Save a figure of ``count`` small panels: ``draw(array of axes)``."""
    from .. import plotting

    with saved(path, plotting.panel_shape(count), (2.6, 2.5), dpi=dpi) as axes:
        draw(axes)
        if title:
            axes[0, 0].figure.suptitle(title)


@contextlib.contextmanager
def saved(path, shape=(1, 1), size=(6.4, 4.4), dpi=None, **options):
    """The axes, an array of this shape, of a figure that is saved at the end; ``size`` of each in inches."""
    from matplotlib.figure import Figure

    from .. import plotting

    kind = pathlib.Path(path).suffix[1:].lower()
    with plotting.style():
        fig = Figure(figsize=(size[0] * shape[1], size[1] * shape[0]), layout="constrained")
        yield fig.subplots(*shape, squeeze=False, **options)
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
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)))
    writer.writeheader()
    writer.writerows(rows)
    write(folder / f"{stem}.csv", text.getvalue())
    write(folder / f"{stem}.json", _document(rows, extra, False) + "\n")


def print_json(rows, extra=None):
    """The same document on stdout; letters that its encoding may lack are escaped, so that nothing is lost."""
    print(_document(rows, extra, "utf" not in (sys.stdout.encoding or "").lower()))


def _document(rows, extra, ascii_alone):
    return json.dumps(plain({"rows": rows, **(extra or {})}), indent=1, ensure_ascii=ascii_alone)
