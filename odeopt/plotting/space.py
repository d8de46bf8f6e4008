"""Surfaces, and the phase plane of second-order systems."""

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from .. import checks
from .arguments import picture
from .data import diverged, inside, lines, plane, spread, window_around, window_of
from .layout import below, fitted
from .maps import grid, levels_of
from .style import MAP


@picture()
def surface(problem, runs, ax, window=None, *, labels=None, legend=True):
    """Surface of a plane problem with paths on it (``ax`` made with ``projection="3d"``).

    The height is log10(f - f* + s) where the range of f asks for a logarithm (s: the lowest level
    drawn), and the axis says so. ``runs`` may be None.

    Raises
    ------
    ValueError
        A problem that is not plane; axes without a third dimension.
    """
    plane(problem)
    if not hasattr(ax, "plot_surface"):
        raise ValueError('ax must be three-dimensional: plt.subplots(subplot_kw={"projection": "3d"})')
    chosen = lines(runs, labels) if runs is not None else []
    if window is None and problem.window is None:
        window = window_around(problem, chosen) if chosen else [(c - 1.5, c + 1.5) for c in problem.x0]
    window = window_of(problem, [], window)
    x, y, f = grid(problem, window, 121)
    base, levels, logarithmic = levels_of(f, problem.f_min)

    def height(values):
        if not logarithmic:
            return np.clip(values, levels[0], levels[-1])
        return np.log10(np.clip(values - base, 0, levels[-1]) + levels[0])

    z = height(np.where(np.isfinite(f) & (np.abs(f) < 1e300), f, np.nan))
    gx, gy = np.meshgrid(x, y)
    norm = Normalize(np.nanmin(z), np.nanmax(z))
    ax.plot_surface(gx, gy, z, cmap=MAP, norm=norm, rstride=2, cstride=2, linewidth=0.15, edgecolor="#9AA8BC",
                    alpha=0.92, zorder=0)
    lift = 0.012 * (np.nanmax(z) - np.nanmin(z))
    ax.computed_zorder = False
    handles = []
    for line in chosen:
        points = inside(line.run.x, window, 1.0)
        kept = np.isfinite(points).all(axis=1)
        with np.errstate(invalid="ignore", over="ignore"):
            heights = np.where(kept, height(line.run.f), np.nan) + lift
        path = ax.plot(points[:, 0], points[:, 1], heights, "-", color=line.look.color, marker=line.look.marker,
                           markevery=list(spread(points, 9)), mec="white", ms=6.5, lw=2.0, zorder=5,
                           label=line.look.label)
        if diverged(line.run) and kept.any():  # where it was last seen
            last = np.flatnonzero(kept)[-1]
            cross = ax.plot(*points[last][:, None], heights[last : last + 1], "x", color=line.look.color, ms=11,
                            mew=2.4, zorder=8, label=line.look.label)
            path = cross if kept.sum() < 2 else path
        handles += path
    marks = [(line.run.x[0], "start", {"marker": "o", "mfc": "white", "mec": "#222222", "mew": 1.4, "ms": 8})
             for line in chosen[:1] if line.run.k[0] == 0]
    marks += [(m, "minimum", {"marker": "*", "mfc": "#FFD447", "mec": "#222222", "mew": 0.8, "ms": 13})
              for m in problem.minima]
    for point, name, options in marks:
        point = inside(np.atleast_2d(np.asarray(point, dtype=float)), window, 1.0)[0]
        if np.isfinite(point).all():
            z = [height(problem.fun(point)) + lift]
            mark = ax.plot(*point[:, None], z, ls="none", zorder=7, label=name, **options)
            handles += mark if name not in [h.get_label() for h in handles] else []
    lowest = "f^*" if base == problem.f_min else r"\min f"  # of what is shown
    ax.set(xlabel="$x_1$", ylabel="$x_2$", zlabel=f"$\\log_{{10}}(f - {lowest})$" if logarithmic else "$f$")
    for axis, (low, high) in zip((ax.xaxis, ax.yaxis), window):  # no ticks at the corners, where two axes meet
        ticks = MaxNLocator(5).tick_values(low, high)
        axis.set_ticks(ticks[(ticks > low + 0.1 * (high - low)) & (ticks < high - 0.1 * (high - low))])
    ax.zaxis.set_major_locator(MaxNLocator(5, prune="both"))
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.labelpad = 14  # clear of the ticks' words
    ax.set_box_aspect(None, zoom=0.84)  # and these inside the axes
    if runs is not None and legend:
        below(ax, handles)
    return fitted(ax)


@picture()
def phase_portrait(runs, ax, *, coordinate=0, labels=None, legend=True):
    """Position against velocity of a second-order flow: iterates as dots, the exact flow as a line.

    Parameters
    ----------
    runs : Comparison (or several) of an optimizer whose flow has x' as its first memory row
        Record it with ``compare(..., local=True)``, which keeps the memory.
    ax : matplotlib Axes
    coordinate : int
    labels : sequence of str, optional
    legend : bool

    Raises
    ------
    ValueError
        A run without memory, or whose flow is not of second order; no such coordinate.
    """
    chosen, drawn = lines(runs, labels), []
    for line in chosen:
        method = getattr(line.comparison, "method", None)
        flow = method.flow if method is not None else None
        if flow is None or flow.order_of_position != 2:
            raise ValueError(f"runs must be Comparisons with a second-order flow, which {line.look.label} is not")
        if line.run.memory is None:
            raise ValueError(f"runs must keep their memory (compare with local=True), {line.look.label} did not")
        i = checks.integer("coordinate", coordinate)
        if i >= line.run.x.shape[1]:
            raise ValueError(f"coordinate must be below {line.run.x.shape[1]}, got {i}")
        assert method is not None
        states = np.array([method.to_flow(x, s) for x, s in zip(line.run.x, line.run.memory)])[:, :2, i]
        t = np.linspace(line.reference.t0, line.reference.t_end, 2000)
        drawn.append((line, states, line.reference.state(t)[:, :2, i]))
    gone = [diverged(line.run) for line, *_ in drawn]
    window = window_of(None, [states for (_, states, _), left in zip(drawn, gone) if not left or all(gone)])
    for (line, states, exact), left in zip(drawn, gone):
        look, few = line.look, inside(states, window, 1.0)
        if left:  # a cross where it was last seen, and no flow under its name
            seen = np.isfinite(few).all(axis=1)
            ax.plot(*few[seen][-1:].T, "x", color=look.color, ms=11, mew=2.4, label=look.label, zorder=7)
            ax.plot(*few.T, ".", color=look.color, ms=4.5)
            continue
        ax.plot(*exact.T, "-", color=look.color, lw=1.6)
        ax.plot(*states.T, ".", color=look.color, ms=4.5)
        ax.plot(*states[spread(states, 10)].T, look.marker, color=look.color, mec="white", ms=7)
        ax.plot([], [], "-", marker=look.marker, color=look.color, mec="white", ms=7, lw=1.6, label=look.label)
    ax.set(xlabel=f"position $x_{{{i + 1}}}$", ylabel=f"velocity $x_{{{i + 1}}}'$")
    if legend:
        below(ax, title="dots: iterates;  lines: the flow each one discretises")
    return fitted(ax)
