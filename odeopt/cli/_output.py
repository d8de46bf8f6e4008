"""What the commands share: problems and optimizers from words, tables, files."""

import contextlib
import csv
import json
import math
import pathlib
import sys

from .. import checks
from ..studies.base import table  # noqa: F401 - the commands print tables as studies do

MANY = 6  # optimizers, from which on each has a panel of its own


def add_problem(parser):
    """The PROBLEM argument."""
    parser.add_argument("problem", metavar="PROBLEM", help="a name of `odeopt list problems`, such as beale")
    parser.add_argument("--x0", metavar="A,B,...", help="start (default: the problem's own)")


def add_optimizers(parser, default):
    """--optimizers and --set."""
    parser.add_argument("--optimizers", default=default, metavar="A,B,...|all",
                        help=f"names of `odeopt list optimizers`, or all (default: {default})")
    parser.add_argument("--set", action="append", default=[], metavar="NAME.KEY=VALUE",
                        help="a hyperparameter, such as adam.lr=0.01 or momentum.form=ema; may be repeated")


def add_output(parser):
    """--out and --json."""
    parser.add_argument("--out", metavar="DIR", help="folder for the figures and the CSV and JSON files")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")


def problem_of(args):
    """``(problem, x0)`` of the arguments."""
    from .. import problems

    problem = problems.by_name(args.problem)()
    if args.x0 is None:
        return problem, problem.x0
    try:
        x0 = [float(part) for part in args.x0.split(",")]
    except ValueError:
        raise ValueError(f"--x0 must be {problem.dim} numbers with commas between, got {args.x0!r}") from None
    if len(x0) != problem.dim:
        raise ValueError(f"--x0 must have {problem.dim} numbers for {problem.name}, got {len(x0)}")
    return problem, checks.point("x0", x0)


def optimizers_of(args, problem, x0, steps):
    """The optimizers named, each with suggested step sizes and what --set says."""
    from .. import optimizers
    from ..studies.suggest import suggest

    words = list(optimizers.ALL) if args.optimizers == "all" else args.optimizers.split(",")
    classes = list(dict.fromkeys(optimizers.by_name(word.strip()) for word in words))
    if args.optimizers == "all":  # a wrapper such as SWA needs an optimizer to wrap
        classes = [cls for cls in classes if not getattr(cls, "wrapper", False)]
    chosen = {cls.__name__.lower(): {} for cls in classes}
    for item in args.set:
        word, equals, value = item.partition("=")
        name, dot, key = word.partition(".")
        if not (equals and dot and key) or optimizers.by_name(name) not in classes:
            raise ValueError(f"--set must be NAME.KEY=VALUE with NAME among --optimizers, got {item!r}")
        chosen[optimizers.by_name(name).__name__.lower()][key] = _value(value)
    return [suggest(cls, problem, x0, steps, **chosen[cls.__name__.lower()]) for cls in classes]


def _value(word):
    if word in ("true", "True", "false", "False"):
        return word in ("true", "True")
    if word in ("none", "None"):
        return None
    try:
        return float(word)
    except ValueError:
        return word


def progress(items, describe):
    """``items`` behind a progress bar on stderr that names the one at work (only on a terminal)."""
    from tqdm import tqdm

    bar = tqdm(items, file=sys.stderr, disable=not sys.stderr.isatty(), leave=False)
    for item in bar:
        bar.set_description(describe(item))
        yield item


def out_folder(args):
    """The folder of --out, made and writable, or None. OSError with a plain sentence if it is not."""
    if args.out is None:
        return None
    return _writable(pathlib.Path(args.out))


def out_file(args, default, endings):
    """The path of --out, its folder made and writable before anything is computed.

    ValueError for another ending, OSError as :func:`out_folder`.
    """
    path = pathlib.Path(args.out or default)
    if path.suffix.lower() not in endings:
        raise ValueError(f"--out must end in {', '.join(endings[:-1])} or {endings[-1]}, got {path.name!r}")
    _writable(path.parent)
    return path


def _writable(folder):
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / ".odeopt-probe"
    probe.touch()
    probe.unlink()
    return folder


def figure(drawers, path, size=(6.4, 4.4)):
    """Save a figure of one panel for each ``draw(axes)``, in the package's style."""
    with saved(path, (1, len(drawers)), size) as axes:
        for draw, ax in zip(drawers, axes[0]):
            draw(ax)


def panels(draw, count, path):
    """Save a figure of ``count`` small panels: ``draw(array of axes)``."""
    from .. import plotting

    with saved(path, plotting.panel_shape(count), (2.6, 2.5)) as axes:
        draw(axes)


@contextlib.contextmanager
def saved(path, shape=(1, 1), size=(6.4, 4.4), **options):
    """The axes, an array of this shape, of a figure that is saved at the end; ``size`` of each in inches."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from .. import plotting

    with plotting.style():
        fig, axes = plt.subplots(*shape, figsize=(size[0] * shape[1], size[1] * shape[0]), squeeze=False,
                                 layout="constrained", **options)
        yield axes
        fig.savefig(path, metadata={"Software": None} if str(path).lower().endswith(".png") else None)
        plt.close(fig)


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
    with open(folder / f"{stem}.csv", "w", newline="", encoding="utf-8") as stream:
        names = list(dict.fromkeys(key for row in rows for key in row))
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        writer.writerows(rows)
    document = plain({"rows": rows, **(extra or {})})
    (folder / f"{stem}.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def print_json(rows, extra=None):
    """The same document on stdout."""
    print(json.dumps(plain({"rows": rows, **(extra or {})}), indent=1, ensure_ascii=False))
