"""What hyperparameters do to a run: curves over one, a map over two."""

import numpy as np
from matplotlib.colors import LogNorm

from .. import checks
from .arguments import picture
from .data import positive
from .layout import below, fitted
from .style import look, shade

_LABELS = {"error": r"$\max_n |x_n - x(t_n)|$", "gap": "$f - f^*$ at the end", "order": "order"}


@picture("Sweep", "names combinations value method")
def sweep(study, ax, *, kind=None, colorbar=True, legend=True):
    """The measure of ``oo.sweep(..., measure=...)`` over one or two hyperparameters.

    Parameters
    ----------
    study : Sweep
    ax : matplotlib Axes
    kind : {"curves", "map"}, optional
        Default: a map where two hyperparameters have three numbers or more each, else curves over the first,
        one for each combination of the others. Runs that diverged are dark on a map and have no point on a curve.
    colorbar, legend : bool

    Raises
    ------
    ValueError
        Another kind; a map of something else than two hyperparameters that are numbers.
    """
    if kind is not None:
        checks.choice("kind", kind, ("curves", "map"))
    columns = [list(dict.fromkeys(c[i] for c in study.combinations)) for i in range(len(study.names))]
    whole = len(study.combinations) == np.prod([len(c) for c in columns])
    numbers = [all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in c) for c in columns]
    good = len(columns) == 2 and whole and all(numbers)
    if kind == "map" and not good:
        raise ValueError(f"kind must be 'curves' for a sweep over {', '.join(study.names)}: a map has two numbers")
    if kind == "map" or kind is None and good and min(map(len, columns)) > 2:
        _map(study, ax, columns, colorbar)
    else:
        _curves(study, ax, columns, numbers[0], legend)
    ax.set_title(f"{study.method} on {study.problem}", pad=10)  # above the last number of a colour bar
    return fitted(ax)


def _curves(study, ax, columns, numeric, legend):
    others = list(dict.fromkeys(c[1:] for c in study.combinations))
    color, marker = look(study.spec.get("method", study.method))
    for i, other in enumerate(others):
        rows = [(c[0], v) for c, v in zip(study.combinations, study.value) if c[1:] == other]
        rows = sorted(rows) if numeric else rows
        x = [c if numeric else str(c) for c, _ in rows]
        y = np.array([v for _, v in rows])
        y = positive(y) if study.measure != "order" else np.where(np.isfinite(y), y, np.nan)
        words = ", ".join(f"{name} {_word(value)}" for name, value in zip(study.names[1:], other))
        ax.plot(x, y, "-", marker=marker, mec="white", ms=7, color=shade(color, i, len(others)),
                label=words or study.method)
    if numeric and _wide(columns[0]):
        ax.set_xscale("log")
    if study.measure != "order":
        ax.set_yscale("log")
    ax.set(xlabel=study.names[0], ylabel=_LABELS[study.measure])
    if legend and len(others) > 1:
        below(ax)


def _map(study, ax, columns, colorbar):
    table = dict(zip(study.combinations, study.value))
    columns = [sorted(c) for c in columns]
    z = np.array([[table[x, y] for x in columns[0]] for y in columns[1]])
    z = positive(z) if study.measure != "order" else np.where(np.isfinite(z), z, np.nan)
    known = z[np.isfinite(z)]
    logarithmic = study.measure != "order" and known.size and known.max() > known.min()
    ax.set_facecolor("#5A5F66")
    drawn = ax.pcolormesh(*(_edges(c) for c in columns), z, cmap="viridis_r" if study.measure != "order" else "viridis",
                          norm=LogNorm(known.min(), known.max()) if logarithmic else None)
    for axis, column in (("x", columns[0]), ("y", columns[1])):
        if _wide(column):
            ax.set(**{f"{axis}scale": "log"})
    ax.set(xlabel=study.names[0], ylabel=study.names[1])
    ax.grid(False)
    dark = "" if known.size == z.size else " (dark: none)" if study.measure == "order" else " (dark: diverged)"
    if colorbar and known.size:
        ax.figure.colorbar(drawn, ax=ax, label=_LABELS[study.measure] + dark)


def _wide(values):
    return bool(values) and min(values) > 0 and max(values) > 12 * min(values)


def _edges(values):
    """Edges of the cells around the values, in the middle between neighbours."""
    v = np.log(values) if _wide(values) else np.array(values, dtype=float)
    inner = 0.5 * (v[1:] + v[:-1])
    edges = np.concatenate([[2 * v[0] - inner[0]], inner, [2 * v[-1] - inner[-1]]])
    return np.exp(edges) if _wide(values) else edges


def _word(value):
    return f"{value:.3g}" if isinstance(value, float) else str(value)
