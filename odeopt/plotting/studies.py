"""Pictures of studies: orders, costs, stability, basins."""

from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap, TwoSlopeNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .. import checks
from .arguments import picture
from .data import positive
from .layout import below, fitted
from .maps import contours
from .style import SIGNED, look, looks

_COSTS = {"gradients": "gradient evaluations", "seconds": "wall time (s)"}
_BASINS = ("#9EC5E5", "#F2B48A", "#8FCBB3", "#D7A6C4", "#EED58B", "#B4B2DA", "#A9D0CF", "#C9C4B0")
_NOWHERE = "#5A5F66"


@picture("Convergence", "h error order")
def convergence(studies, ax, *, labels=None, legend=True, triangle=True):
    """Error against step, log-log, with a triangle that shows each order.

    Parameters
    ----------
    studies : Convergence or a sequence of them
        Anything with ``h``, ``error`` and ``order`` (and ``label`` or ``method``) will do.
    ax : matplotlib Axes
    labels : sequence of str, optional
        Default: the method, its start where it differs, and the measured order.
    legend : bool
    triangle : bool
        Draw slope triangles, one for each order that occurs.
    """
    studies = list(studies) if isinstance(studies, (list, tuple)) else [studies]
    if not studies:
        raise ValueError("studies must hold at least one convergence study, got none")
    words = _names(studies) if labels is None else labels
    chosen = looks([getattr(s, "spec", None) or getattr(s, "label", "") for s in studies], words)
    shown = {}
    for study, style in zip(studies, chosen):
        h, error = np.asarray(study.h, dtype=float), positive(study.error)
        order = float(study.order)
        text = f"{style.label}: order {order:.2f}" if np.isfinite(order) and labels is None else style.label
        ax.plot(h, error, "-", color=style.color, marker=style.marker, mec="white", ms=7, label=text)
        if np.isfinite(order) and np.isfinite(error).sum() > 2:
            key = round(2 * order) / 2
            # Below the lowest curve of this slope, where it hides nothing.
            if key not in shown or np.nanmin(error) < shown[key][1]:
                shown[key] = (h, np.nanmin(error), error)
    ax.set(xscale="log", yscale="log", xlabel="step $h$ (flow time)", ylabel=r"$\max_n |x_n - x(t_n)|$")
    if triangle:
        for order, (h, _, error) in shown.items():
            if order > 0:
                _slope(ax, h, error, order)
    if legend:
        below(ax)
    return fitted(ax)


def _names(studies):
    names = [getattr(s, "label", None) or getattr(s, "method", "method") for s in studies]
    starts = {getattr(s, "start", "") for s in studies}
    if len(starts) > 1:
        names = [f"{n}, {s.start} start" for n, s in zip(names, studies)]
    return names


def _slope(ax, h, error, order):
    """A triangle of slope ``order`` under the fine end of a curve."""
    good = np.flatnonzero(np.isfinite(error))
    middle = good[int(0.62 * (len(good) - 1))]
    left = h[middle] * 0.72
    right = left * 2.0
    base = error[middle] * 0.22
    top = base * 2.0**order
    ax.plot([left, right, right, left], [base, base, top, base], "-", color="#666666", lw=1.0, zorder=1)
    ax.annotate(f"{order:g}", (right, np.sqrt(base * top)), xytext=(4, 0), textcoords="offset points", va="center",
                fontsize=10.5, color="#444444")
    ax.annotate("1", (np.sqrt(left * right), base), xytext=(0, -3), textcoords="offset points", va="top", ha="center",
                fontsize=10.5, color="#444444")


@picture("WorkPrecision", "specs labels")
def work_precision(study, ax, *, cost="gradients", of="error", legend=True):
    """Error against cost, log-log: lower and further left is better.

    Parameters
    ----------
    study : WorkPrecision
    ax : matplotlib Axes
    cost : {"gradients", "seconds"}
    of : {"error", "gap"}
        Distance to the flow, or f - f* at the end.
    legend : bool
    """
    checks.choice("cost", cost, _COSTS)
    checks.choice("of", of, ("error", "gap"))
    chosen = looks(study.specs, study.labels)
    values = getattr(study, of)
    for i, style in enumerate(chosen):
        x, y = positive(getattr(study, cost)[i]), positive(values[i])
        if np.isfinite(y).any():
            ax.plot(x, y, "-", color=style.color, marker=style.marker, mec="white", ms=7, label=style.label)
    ax.set(xscale="log", yscale="log", xlabel=_COSTS[cost],
           ylabel=r"$\max_n |x_n - x(t_n)|$" if of == "error" else "$f - f^*$ at the end")
    if legend:
        below(ax)
    return fitted(ax)


@picture("StabilityRegion", "key re im radius limit")
def stability_region(study, ax, *, mark=True):
    """Region of the complex plane where the spectral radius is at most 1, darker where it is smaller.

    ``mark`` writes the end of the real stability interval at its place.
    """
    color = look(study.key)[0]
    radius = np.where(np.isfinite(study.radius), study.radius, 1e6)
    ax.contourf(study.re, study.im, radius, (0.0, 0.25, 0.5, 0.75, 1.0),
                colors=("#7FAED3", "#A3C6E1", "#C4DBEC", "#E2EDF6"))
    ax.contour(study.re, study.im, radius, [1.0], colors=color, linewidths=1.8)
    ax.axhline(0, color="#555555", lw=0.7)
    ax.axvline(0, color="#555555", lw=0.7)
    if mark and np.isfinite(study.limit):
        ax.plot(-study.limit, 0, "o", color="#D55E00", mec="white", ms=8, zorder=5, clip_on=False)
        ax.annotate(f"{-study.limit:.4g}", (-study.limit, 0), xytext=(5, 7), textcoords="offset points",
                    color="#B34700", fontsize=11)
    ax.set(xlabel=r"Re $h\lambda$", ylabel=r"Im $h\lambda$", title=study.name)
    return fitted(ax)


@picture("SpectralRadiusMap", "radius lr momentum mu L")
def spectral_radius_map(study, ax, *, colorbar=True):
    """Spectral radius over learning rate and momentum; the thick line is the stability limit, radius 1."""
    top = 1.6
    shown = np.minimum(study.radius, top)
    low = float(np.nanmin(shown))
    levels = np.unique(np.concatenate([np.linspace(low, 1.0, 11), np.linspace(1.0, top, 5)]))
    filled = ax.contourf(study.lr, study.momentum, shown, levels, cmap=SIGNED, norm=TwoSlopeNorm(1.0, low, top))
    ax.contour(study.lr, study.momentum, shown, [1.0], colors="#222222", linewidths=2)
    ax.plot(study.best_lr, study.best_momentum, "o", mfc="white", mec="#222222", ms=8, ls="none",
            label=f"best on the grid: {study.best_radius:.3f}")
    if np.isfinite(study.polyak_lr):
        ax.plot(study.polyak_lr, study.polyak_momentum, "*", color="#FFD447", mec="#222222", ms=15, ls="none",
                label=f"Polyak's formula: {study.polyak_radius:.3f}")
    ax.plot([], [], color="#222222", lw=2, label="stability limit (radius 1)")
    ax.set(xlabel="learning rate", ylabel="momentum",
           title=rf"{study.name}: spectral radius, curvatures {study.mu:g} to {study.L:g}")
    ax.grid(False)
    if colorbar:
        ax.figure.colorbar(filled, ax=ax, label="worst spectral radius", ticks=[round(low, 2), 0.75, 1.0, 1.3, 1.6])
    below(ax)
    return fitted(ax)


@picture("Basins", "flow optimizer minima x y")
def basins(study, ax, *, flow=False, problem=None, legend=True):
    """Which minimum each start reaches; dark where it reaches none.

    Parameters
    ----------
    study : Basins of ``odeopt.studies.search.basins``
    ax : matplotlib Axes
    flow : bool
        Show the basins of the gradient flow instead of the optimizer's.
    problem : Problem, optional
        Its contour lines are drawn on top.
    legend : bool
    """
    member = study.flow if flow else study.optimizer
    count = len(study.minima)
    colors = [_NOWHERE, *(_BASINS[i % len(_BASINS)] for i in range(count))]
    ax.imshow(member + 1, origin="lower", extent=[study.x[0], study.x[-1], study.y[0], study.y[-1]], aspect="auto",
              cmap=ListedColormap(colors), vmin=-0.5, vmax=count + 0.5, interpolation="nearest", zorder=0)
    if problem is not None:
        contours(problem, ax, ((study.x[0], study.x[-1]), (study.y[0], study.y[-1])), lines_only=True, minima=False)
    for m in study.minima:
        ax.plot(*m, marker="*", ms=13, color="#FFD447", mec="#222222", mew=0.8, ls="none", zorder=6)
    ax.set(xlabel="$x_1$", ylabel="$x_2$", title="gradient flow" if flow else looks([study.spec])[0].label)
    ax.grid(False)
    if legend:
        handles: list[Any] = [Line2D([], [], marker="*", ms=11, color="#FFD447", mec="#222222", mew=0.7, ls="none",
                          label="minimum")]
        if (member < 0).any():
            handles.append(Patch(color=_NOWHERE, label="reaches none"))
        below(ax, handles)
    return fitted(ax)
