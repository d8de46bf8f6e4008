"""What the drawing functions accept, brought to one shape."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import checks
from ..engine.trajectory import Trajectory
from .style import Look, looks

_FLOW_POINTS = 1200
_FAR = 1e6  # times the objective at the start


@dataclass(frozen=True)
class Line:
    """A run, its reference flow (or None), its comparison (or None) and its look."""

    run: Trajectory
    reference: Any
    comparison: Any
    look: Look


def lines(items, labels=None):
    """A :class:`Line` for each Trajectory or Comparison (one, a sequence, or a dict from label); lines as they are.

    Raises
    ------
    TypeError
        Something else among them.
    ValueError
        Nothing to draw: no items, or a trajectory without a record.
    """
    if isinstance(items, dict):
        labels, items = list(items), list(items.values())
    elif not isinstance(items, (list, tuple)):
        items = [items]
    if items and all(isinstance(item, Line) for item in items):
        return list(items)
    if not items:
        raise ValueError("runs must hold at least one Trajectory or Comparison, got none")
    if labels is not None and len(labels) != len(items):
        raise ValueError(f"labels must have one entry per run, got {len(labels)} for {len(items)}")
    runs = []
    for item in items:
        run = item if isinstance(item, Trajectory) else getattr(item, "run", None)
        if not isinstance(run, Trajectory):
            raise TypeError(f"runs must be Trajectory or Comparison objects, got {type(item).__name__}")
        if len(run) == 0:
            raise ValueError(f"runs must have at least one record, the trajectory of {run.method} is empty")
        runs.append(run)
    titles = [getattr(getattr(item, "method", None), "title", "") for item in items]
    chosen = looks([run.spec or run.method for run in runs], labels, titles)
    chosen = [replace(style, label=f"{style.label}: {_fate(run)}") if diverged(run) else style
              for style, run in zip(chosen, runs)]
    return [Line(run, getattr(item, "reference", None), None if item is run else item, style)
            for item, run, style in zip(items, runs, chosen)]


def diverged(run):
    """Whether a run ended at numbers that are not finite, or is on its way there: far above its start."""
    return run.status == "diverged" or bool(run.f[-1] - run.f[0] > _FAR * max(abs(run.f[0]), 1.0))


def _fate(run):
    return f"diverged at step {run.final['k']}" if run.status == "diverged" else f"diverges, f = {run.f[-1]:.1g}"


def flow_times(reference):
    """Times at which a reference is drawn: the solver's own steps, subdivided, and a uniform grid."""
    uniform = np.linspace(reference.t0, reference.t_end, 400)
    steps = getattr(getattr(reference, "_dense", None), "ts", None)
    if steps is None:
        return uniform
    stride = max(1, len(steps) // (_FLOW_POINTS // 6))
    knots = np.append(steps[:-1:stride], steps[-1])
    inner = np.interp(np.arange(6 * (len(knots) - 1) + 1) / 6, np.arange(len(knots)), knots)
    return np.unique(np.clip(np.concatenate([uniform, inner]), reference.t0, reference.t_end))


def flow_path(reference):
    """``(t, x)`` of a reference, or None where there is nothing to draw."""
    if reference is None or not reference.t_end > reference.t0 or getattr(reference, "_dense", 0) is None:
        return None
    t = flow_times(reference)
    return t, reference(t)


def plane(problem):
    """Raise ValueError unless ``problem`` has two variables."""
    if problem.dim != 2:
        raise ValueError(f"problem must have 2 variables for a contour plot, {problem.name} has {problem.dim} "
                         "(principal_plane draws paths in more dimensions)")


def window_of(problem, points, window=None, least=0.25):
    """((low, high), (low, high)) to show: as given, the problem's own, or around the points."""
    if window is None:
        window = problem.window if problem is not None else None
    if window is not None:
        return np.array(checks.window(window))
    points = np.vstack(points)
    points = points[np.isfinite(points).all(axis=1) & (np.abs(points) < 1e6).all(axis=1)]
    if not len(points):
        raise ValueError("runs must have at least one finite point")
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.maximum(high - low, least * (high - low).max())
    span[span == 0] = 1.0
    return np.column_stack([0.5 * (low + high) - 0.62 * span, 0.5 * (low + high) + 0.62 * span])


def window_around(problem, chosen, window=None):
    """((low, high), (low, high)) that shows the paths of these lines, at least three fifths as wide as long.

    As given; else around the starts, the iterates in the box of the problem's window and the starts (a run that leaves
    it is not followed) and the minima next to where the runs end.
    """
    if window is not None:
        return window_of(problem, [], window)
    paths = [line.run.x for line in chosen]
    if problem.window is not None:
        corners = np.vstack([window_of(problem, []).T, *[x[:1] for x in paths]])
        whole = np.column_stack([corners.min(axis=0), corners.max(axis=0)])
        near = [inside(x, whole, 1.0 + 1e-9) for x in paths]
    else:
        near = [inside(x, np.column_stack([x[0] - 1e3, x[0] + 1e3]), 1.0) for x in paths]
    minima = np.array(problem.minima).reshape(-1, 2)
    ends = [x[np.isfinite(x).all(axis=1)][-1:] for x in near]
    ends = [minima[[np.linalg.norm(minima - e[0], axis=1).argmin()]] for e in ends if len(e) and len(minima)]
    starts = [x[:1] for x in paths]
    return window_of(None, [*near, *starts, *ends], least=0.6)


def equal_scale(ax, window):
    """A length is as long across as up, unless the window is a strip."""
    across, up = np.diff(np.asarray(window, dtype=float), axis=1)[:, 0]
    ax.set_aspect("equal" if 1 / 3.5 < across / up < 3.5 else "auto")


def inside(points, window, margin=3.0):
    """The points, those far outside the window set to nan (a diverged run must not upset the renderer)."""
    points = np.array(points, dtype=float)
    centre, half = window.mean(axis=1), 0.5 * np.diff(window, axis=1)[:, 0]
    with np.errstate(invalid="ignore", over="ignore"):
        far = ~(np.abs(points - centre) <= margin * half).all(axis=1)
    points[far] = np.nan
    return points


def spread(points, count):
    """Indices of ``count`` records at about equal arc length, the first record excluded."""
    length = np.linalg.norm(np.diff(points, axis=0), axis=1)
    length = np.concatenate([[0.0], np.cumsum(np.nan_to_num(length))])
    if not length[-1] > 0:
        return np.array([len(points) - 1])
    targets = np.linspace(0, length[-1], count + 1)[1:]
    found = np.unique(np.searchsorted(length, targets - 1e-12 * length[-1]))
    return found[np.isfinite(points[np.clip(found, 0, len(points) - 1)]).all(axis=1)]


def positive(values):
    """Values with those that a logarithmic axis cannot show set to nan."""
    values = np.array(values, dtype=float)
    values[~(values > 0) | ~np.isfinite(values)] = np.nan
    return values


def axis_name(name, value):
    """Raise ValueError unless ``value`` is one of the x axes that curves know."""
    return checks.choice(name, value, ("gradients", "time", "steps"))
