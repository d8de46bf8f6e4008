"""Paths in the plane: contour maps, flows beside iterates, principal planes, phase portraits, surfaces."""

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from .. import checks
from .arguments import picture
from .data import diverged, equal_scale, flow_path, inside, lines, plane, spread, window_around, window_of
from .layout import below, fitted
from .style import MAP

_GRID = 241
_LEVELS = 15
_HUGE = 1e300  # what is larger upsets the renderer, and no picture shows it
_LOG_ABOVE = 100.0  # ratio of the 98th to the 2nd percentile of f - f* from which levels are logarithmic


def grid(problem, window, resolution=_GRID):
    """``(x, y, f)`` on a uniform grid of the window; f has shape (resolution, resolution)."""
    x, y = (np.linspace(low, high, resolution) for low, high in window)
    f = np.empty((resolution, resolution))
    point, g = np.empty(2), np.empty(2)
    for i in range(resolution):
        for j in range(resolution):
            point[0], point[1] = x[j], y[i]
            f[i, j] = problem.fg(point, g, problem.data)
    return x, y, f


def levels_of(f, f_min=None, count=_LEVELS):
    """``(base, levels, logarithmic)``: levels of f - base, logarithmic where the range asks for it."""
    finite = f[np.isfinite(f) & (np.abs(f) < _HUGE)]
    if not finite.size:
        raise ValueError("window must hold a point where the objective is finite, there is none on the grid")
    lowest = finite.min()
    base = f_min if f_min is not None and f_min <= lowest else lowest
    low, high = np.percentile(finite - base, [2, 98])
    if low > 0 and high / low > _LOG_ABOVE:
        top = np.percentile(finite - base, 99.8)
        return base, np.geomspace(max(np.percentile(finite - base, 0.4), 1e-6 * top), top, count), True
    top = np.percentile(finite, 99.8)
    if not top > lowest:  # flat ground: one level on each side of it
        top = lowest = 0.5 * (lowest + top)
        return 0.0, lowest + np.array([-1.0, 1.0]) * max(abs(lowest), 1.0), False
    return 0.0, MaxNLocator(count).tick_values(lowest, top), False


@picture()
def contours(problem, ax, window=None, *, resolution=_GRID, minima=True, lines_only=False):
    """Contour map of a plane problem; levels are logarithmic in f - f* where its range asks for it.

    Parameters
    ----------
    problem : Problem with dim 2
    ax : matplotlib Axes
    window : ((low, high), (low, high)), optional
        Default: the problem's window, or a square of half-width 1.5 around its start.
    resolution : int
        Grid points per side.
    minima : bool
        Mark the known global minimisers by stars.
    lines_only : bool
        No colours between the lines.

    Raises
    ------
    ValueError
        A problem that is not plane; a window of another form than ((low, high), (low, high)).
    """
    plane(problem)
    resolution = checks.integer("resolution", resolution, 8)
    checks.memory("resolution", 100 * resolution**2)
    if window is None and problem.window is None:
        window = [(c - 1.5, c + 1.5) for c in problem.x0]
    window = window_of(problem, [], window)
    x, y, f = grid(problem, window, resolution)
    base, levels, logarithmic = levels_of(f, problem.f_min)
    shown = np.where(np.isfinite(f) & (np.abs(f) < _HUGE), f, np.nan) - base
    if logarithmic:  # a grid point on the minimum itself, or below f_min by round-off, is lowest ground
        shown = np.maximum(shown, 1e-3 * levels[0])
    norm = LogNorm(levels[0], levels[-1]) if logarithmic else Normalize(levels[0], levels[-1])
    if not lines_only:
        ax.contourf(x, y, shown, levels, cmap=MAP, norm=norm, extend="both", zorder=0.2)
    ax.contour(x, y, shown, levels, colors="#8C9BB0", linewidths=0.6, alpha=0.75, zorder=0.4)
    ax.set(xlim=window[0], ylim=window[1], xlabel="$x_1$", ylabel="$x_2$")
    equal_scale(ax, window)
    ax.grid(False)
    for side in ("top", "right"):
        ax.spines[side].set_visible(True)
    if minima:
        for point in problem.minima:
            ax.plot(*point, marker="*", ms=13, color="#FFD447", mec="#222222", mew=0.8, zorder=6, ls="none")
    return fitted(ax)


@picture()
def trajectories(problem, runs, ax, window=None, *, labels=None, flow=True, legend=True, markers=11, background=True):
    """Iterates as dots on the contour map, each beside the exact flow that it discretises.

    Parameters
    ----------
    problem : Problem with dim 2
    runs : Trajectory, Comparison, a sequence of them, or a dict from label to one
        The flow is drawn for Comparisons, whose reference it is.
    ax : matplotlib Axes
    window : ((low, high), (low, high)), optional
        Default: one that fits the paths.
    labels : sequence of str, optional
        Default: title and step size of the optimizer.
    flow, legend : bool
        Draw the flows; the legend, below the map.
    markers : int
        How many large markers a run shows; every recorded iterate has a dot.
    background : bool
        Draw the contour map itself.

    Raises
    ------
    ValueError
        A problem that is not plane; an empty trajectory.
    """
    plane(problem)
    chosen = lines(runs, labels)
    window = window_around(problem, chosen, window)
    if background:
        contours(problem, ax, window)
    flows = [line for line in chosen if flow and flow_line(ax, line, window)]
    for line in chosen:
        iterates(ax, line, window, markers)
    starts = {tuple(line.run.x[0]) for line in chosen if line.run.k[0] == 0}
    for start in starts:
        ax.plot(*start, marker="o", ms=9, mfc="white", mec="#222222", mew=1.6, zorder=7, ls="none")
    if legend:
        seen = any(((m >= window[:, 0]) & (m <= window[:, 1])).all() for m in problem.minima)
        _legend(ax, chosen, flows, seen, bool(starts))
    return fitted(ax)


def flow_line(ax, line, window, project=lambda x: x, **options):
    """The flow of a run, edged in white, and whether there is one to show. ``project`` takes (m, n) to (m, 2)."""
    options = {"color": line.look.color, "lw": 1.7, "zorder": 2.2} | options
    path = flow_path(line.reference)
    if path is None or not followed(line, window, project):
        return False
    x = inside(project(path[1]), window)
    ax.plot(x[:, 0], x[:, 1], "-", color="white", lw=2 * options["lw"], alpha=0.8, zorder=2)
    ax.plot(x[:, 0], x[:, 1], "-", **options)
    return True


def visible(points, window):
    with np.errstate(invalid="ignore"):
        return ((points >= window[:, 0]) & (points <= window[:, 1])).all(axis=1)


def followed(line, window, project=lambda x: x):
    """Whether a run shows more than its start: the flow of one that left at once is not what it did."""
    if not diverged(line.run):
        return True
    with np.errstate(all="ignore"):
        return visible(project(line.run.x), window).sum() > 1


def iterates(ax, line, window, markers=11, project=lambda x: x, size=7):
    """A dot for every recorded iterate, and ``markers`` of the optimizer's own markers.

    A run that diverged has a cross where it was last seen.
    """
    with np.errstate(all="ignore"):  # where a run diverged
        x, look = inside(project(line.run.x), window, 30.0), line.look
    ax.plot(x[:, 0], x[:, 1], "-", color=look.color, lw=0.6, alpha=0.35, zorder=3)
    seen = visible(x, window)
    if diverged(line.run) and seen.any():
        ax.plot(*x[np.flatnonzero(seen)[-1]], "x", color=look.color, ms=11, mew=2.4, zorder=7.5)
    few = seen.sum() <= 3 * markers
    if not few:
        ax.plot(x[:, 0], x[:, 1], ".", color=look.color, ms=3.2, mew=0, zorder=3.2)
    shown = np.flatnonzero(seen) if few else spread(np.where(seen[:, None], x, np.nan), markers)
    ax.plot(x[shown, 0], x[shown, 1], look.marker, color=look.color, ms=size - few, mec="white", mew=0.7,
            zorder=3.4)


def handle(line, flow):
    """What stands for a run in a legend: its marker, with a line where its ``flow`` is shown; of a run that left the
    map at once the cross."""
    left = diverged(line.run) and not flow and line.reference is not None
    return Line2D([], [], color=line.look.color, marker="x" if left else line.look.marker, ms=7, lw=1.7,
                  mec=line.look.color if left else "white", mew=2.0 if left else 1.0, ls="-" if flow else "none",
                  label=line.look.label)


def _legend(ax, chosen, flows, minima, start):
    handles = [handle(line, any(line is one for one in flows)) for line in chosen]
    if start:
        handles.append(Line2D([], [], marker="o", mfc="white", mec="#222222", mew=1.4, ms=8, ls="none", label="start"))
    if minima:
        handles.append(Line2D([], [], marker="*", color="#FFD447", mec="#222222", mew=0.7, ms=11, ls="none",
                              label="minimum"))
    title = "dots: iterates;  lines: the flow each one discretises" if flows else None
    below(ax, handles, title)


@picture()
def principal_plane(runs, ax, *, labels=None, flow=True, legend=True):
    """Paths in n dimensions on the plane of their two principal directions.

    The plane comes from the singular value decomposition of all iterates (and flow points) about
    their mean; each axis states the share of the variance that it explains, the title their sum.

    Raises
    ------
    ValueError
        Paths of different dimension, of dimension 1, or without a finite point; an empty trajectory.
    """
    chosen = lines(runs, labels)
    project, share, window = principal_directions(chosen)
    flows = [line for line in chosen if flow and flow_line(ax, line, window, project)]
    for line in chosen:
        iterates(ax, line, window, project=project)
    start = project(chosen[0].run.x[:1])[0]
    ax.plot(*start, marker="o", ms=9, mfc="white", mec="#222222", mew=1.6, zorder=7, ls="none")
    ax.set(xlim=window[0], ylim=window[1], xlabel=f"principal direction 1 ({share[0]:.1%} of the variance)",
           ylabel=f"principal direction 2 ({share[1]:.1%})",
           title=f"{chosen[0].run.x.shape[1]} dimensions seen in the plane of most variance ({share.sum():.1%})")
    if legend:
        _legend(ax, chosen, flows, False, True)
    return fitted(ax)


def principal_directions(chosen):
    """``(project, share, window)``: the plane of the two directions in which the iterates of all runs vary
    most, as a function from (m, n) to (m, 2); the part of the variance along each; what to show. Runs that diverged
    have no say in it where others did not."""
    n = chosen[0].run.x.shape[1]
    if n < 2 or any(line.run.x.shape[1] != n for line in chosen):
        raise ValueError(f"runs must share one dimension of at least 2, got {[li.run.x.shape[1] for li in chosen]}")
    clouds, stayed = [], [line for line in chosen if not diverged(line.run)]
    for line in stayed or chosen:  # equal weight for each run, however many records it has
        x = line.run.x[np.unique(np.linspace(0, len(line.run) - 1, 400).astype(int))]
        clouds.append(x[np.isfinite(x).all(axis=1) & (np.abs(x).max(axis=1) < 1e8)])
    cloud = np.vstack(clouds)
    if not len(cloud):
        raise ValueError("runs must have at least one finite point")
    mean = cloud.mean(axis=0)
    _, singular, directions = np.linalg.svd(cloud - mean, full_matrices=False)
    share = singular**2 / max((singular**2).sum(), 1e-300)
    basis = np.zeros((2, n))
    count = min(2, len(directions))
    # The sign of a singular vector is arbitrary: its largest entry is made positive.
    signs = np.sign([d[np.abs(d).argmax()] for d in directions[:count]])
    basis[:count] = directions[:count] * signs[:, None]

    def project(x):
        return (x - mean) @ basis.T

    return project, np.append(share, [0.0, 0.0])[:2], window_of(None, [project(cloud)])
