"""A panel for each run, where one picture of them all would be a tangle: paths, curves, surfaces, phase planes.

``axes`` is an array of at least as many axes as there are runs (``panel_shape`` says how many rows and
columns look well); those that are left over are switched off. Labels stand on the outer panels.
"""

import math

import numpy as np
from matplotlib.lines import Line2D

from .. import checks
from .arguments import picture
from .curves import SERIES, keep_in_view, series
from .data import inside, lines, positive, window_around
from .layout import fitted
from .maps import contours, flow_line, iterates, principal_directions
from .space import phase_portrait, surface
from .style import FLOW

_OTHERS = "#C9CED6"
_GREY = Line2D([], [], color=_OTHERS, label="the others")


def panel_shape(count):
    """``(rows, columns)`` for ``count`` panels, a little wider than high."""
    count = checks.integer("count", count, 1)
    columns = math.ceil(math.sqrt(1.25 * count))
    return -(-count // columns), columns


@picture()
def path_panels(problem, runs, axes, window=None, *, labels=None):
    """Each run's iterates on the map, beside the flow that it discretises.

    Plane problems are drawn on their contours, others on the plane of the two principal directions
    of all runs together, with the other runs' paths in grey.

    Parameters
    ----------
    problem : Problem
    runs : Trajectory, Comparison, a sequence of them, or a dict from label to one
    axes : array of matplotlib Axes
    window : ((low, high), (low, high)), optional
        Of a plane problem.
    labels : sequence of str, optional

    Raises
    ------
    ValueError
        Fewer axes than runs; otherwise as ``trajectories`` and ``principal_plane``.
    """
    chosen = lines(runs, labels)
    if problem.dim == 2:
        window, others, names = window_around(problem, chosen, window), [], ("$x_1$", "$x_2$")

        def project(x):
            return x
    else:
        project, share, window = principal_directions(chosen)
        others = [inside(project(line.run.x), window) for line in chosen]
        names = [f"direction 1 ({share[0]:.0%} of the variance)", f"direction 2 ({share[1]:.0%})"]
    for line, ax in _each(chosen, axes, *names):
        if problem.dim == 2:
            contours(problem, ax, window, resolution=161)
        for x in others:
            ax.plot(x[:, 0], x[:, 1], "-", color=_OTHERS, lw=0.8, zorder=1)
        iterates(ax, line, window, 5, project, size=5.5)  # pyright: ignore[reportArgumentType]
        flow_line(ax, line, window, project, color=FLOW, lw=1.1, zorder=3.3)
        ax.plot(*project(line.run.x[:1])[0], "o", color=FLOW, ms=5, mfc="white", mec=FLOW, mew=1.2, zorder=7)
        ax.set(xlim=window[0], ylim=window[1])
    marks = [Line2D([], [], color="#777777", marker=".", ms=6, ls="none", label="iterates"),
             Line2D([], [], color=FLOW, lw=1.1, label="their flow"),
             Line2D([], [], marker="o", ms=5, mfc="white", mec=FLOW, ls="none", label="start")]
    if problem.dim == 2 and problem.minima:
        marks.append(Line2D([], [], marker="*", ms=11, color="#FFD447", mec=FLOW, mew=0.7, ls="none", label="minimum"))
    _legend(axes, len(chosen), marks + ([_GREY] if len(others) else []))
    return axes


@picture()
def error_panels(comparisons, axes, *, labels=None):
    """Each run's distance |x_n - x(t_n)| to its flow against flow time, with those of the others in grey.

    Runs without a reference have no panel.

    Raises
    ------
    TypeError
        A Trajectory: it has no reference to measure against.
    """
    chosen = [line for line in lines(comparisons, labels) if getattr(line.comparison, "reference", None) is not None]
    curves = [(line.comparison.t[1:], positive(line.comparison.error[1:])) for line in chosen]
    for line, ax in _each(chosen, axes, "flow time $t$", "error $|x_n - x(t_n)|$"):
        for t, error in curves:
            ax.plot(t, error, "-", color=_OTHERS, lw=0.8, zorder=1)
        ax.plot(line.comparison.t[1:], positive(line.comparison.error[1:]), "-", color=line.look.color, lw=2.2)
        ax.set(xscale="log", yscale="log")
        ax.minorticks_off()  # half of the drawing's time
    _legend(axes, len(chosen), [_GREY])
    return axes


@picture()
def curve_panels(kind, runs, axes, *, against="gradients", f_min=None, labels=None):
    """Each run's objective, gradient norm, learning rate, step or clock, with those of the others in grey.

    Parameters
    ----------
    kind : {"objective", "gradient", "rate", "step", "clock"}
    runs : Trajectory, Comparison, a sequence of them, or a dict from label to one
    axes : array of matplotlib Axes
    against : {"gradients", "time", "steps"}
        Of objective and gradient norm; the others are shown against the step.
    f_min : float, optional
        As in ``objectives``.
    labels : sequence of str, optional
    """
    checks.choice("kind", kind, tuple(SERIES))
    chosen = lines(runs, labels)
    against = against if kind in ("objective", "gradient") else "steps"
    curves, xlabel, ylabel, scale = series(kind, chosen, against, f_min)
    for (line, ax), (x, y) in zip(_each(chosen, axes, xlabel, ylabel), curves):
        for others in curves:
            ax.plot(*others, "-", color=_OTHERS, lw=0.8, zorder=1)
        ax.plot(x, y, "-", color=line.look.color, lw=2.2)
        ax.set(yscale=scale)
        keep_in_view(ax, chosen, [y for _, y in curves])
        ax.minorticks_off()
    _legend(axes, len(chosen), [_GREY])
    return axes


@picture()
def surface_panels(problem, runs, axes, window=None, *, labels=None):
    """Each run's path on the surface of a plane problem (``axes`` made with ``projection="3d"``)."""
    chosen = lines(runs, labels)
    window = window_around(problem, chosen, problem.window if window is None else window)
    for line, ax in _each(chosen, axes, "", ""):
        surface(problem, [line], ax, window, legend=False)
        ax.set(xticks=[], yticks=[], zticks=[], xlabel="", ylabel="", zlabel="")
        ax.set_box_aspect(None, zoom=1.1)
    return axes


@picture()
def phase_panels(runs, axes, *, coordinate=0, labels=None):
    """Each run's position against its velocity, beside its flow of second order."""
    chosen = lines(runs, labels)
    for line, ax in _each(chosen, axes, f"position $x_{{{coordinate + 1}}}$", f"velocity $x_{{{coordinate + 1}}}'$"):
        labels_of_axes = ax.get_xlabel(), ax.get_ylabel()
        phase_portrait([line], ax, coordinate=coordinate, legend=False)
        ax.set(xlabel=labels_of_axes[0], ylabel=labels_of_axes[1])
    return axes


def _each(chosen, axes, xlabel, ylabel):
    """``(line, ax)`` by turns, the panel titled; labels where no other panel stands below or beside."""
    axes = np.atleast_2d(axes)
    if axes.size < len(chosen):
        raise ValueError(f"axes must be at least {len(chosen)}, one per run, got {axes.size}")
    columns = axes.shape[1]
    for i, ax in enumerate(axes.flat):
        if i >= len(chosen):
            ax.set_axis_off()
            continue
        yield chosen[i], ax
        fitted(ax).set_title(chosen[i].look.label, fontsize=10.5, pad=17)
        ax.annotate(_words(chosen[i].comparison), (0.5, 1.0), (0, 4), xycoords="axes fraction", fontsize=9,
                    textcoords="offset points", ha="center", va="bottom", color="#555555")
        ax.tick_params(labelsize=8.5)
        below, left = i + columns < len(chosen), i % columns > 0
        last = i // columns == axes.shape[0] - 1
        ax.set_xlabel(xlabel if last else "", fontsize=10)
        ax.set_ylabel("" if left else ylabel, fontsize=10)
        ax.tick_params(labelbottom=not below, labelleft=not left)


def _legend(axes, count, handles):
    """What the marks mean, in the first panel that is left over, or below them all."""
    axes = np.atleast_2d(axes)
    if axes.size > count:
        axes.flat[count].legend(handles=handles, loc="upper left", frameon=False, fontsize=9)
    else:
        axes.flat[0].figure.legend(handles=handles, loc="outside lower center", frameon=False, fontsize=9,
                                   ncols=len(handles))


def _words(comparison):
    """What was measured, in a line."""
    if comparison is None:
        return ""
    if comparison.reference is None:
        return "no classical flow" if comparison.method.flow is None else "no reference"
    order = f", order {comparison.order:.2f}" if np.isfinite(comparison.order) else ""
    return f"max error {comparison.max_error:.2g}{order}"
