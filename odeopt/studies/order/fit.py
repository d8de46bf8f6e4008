"""Slopes: distances of runs to a curve, and the order on the asymptotic tail of a sequence of errors."""

import math
from dataclasses import dataclass

import numpy as np

from ... import checks
from ...sums import norms

AGREE = 0.05  # slopes that differ by no more count as one asymptotic tail
_TAIL = 5  # levels of the fit at most: coarser ones know less about the limit


def refinements(levels, factor, least):
    """``[1, factor, factor^2, ...]``, the step's divisors of a study with ``levels`` levels.

    ValueError beyond 2^53 (no step of such a level would move the time) and beyond 1000 levels.
    """
    factor = checks.real("factor", factor, 1.0, 2.0**26, open_low=True)
    most = min(1000, 1 + int(53 / math.log2(factor)))
    return [factor**i for i in range(checks.integer("levels", levels, least, most))]


def distance_to(t, x, curve, t_end):
    """``(largest, last)`` distance of the points to ``curve`` up to ``t_end``; nan where only the start is."""
    if not np.isfinite(x).all():
        return math.inf, math.inf
    covered = t <= t_end * (1 + 1e-12)
    if np.count_nonzero(covered) < 2:
        return math.nan, math.nan
    with np.errstate(over="ignore"):
        distance = norms(x[covered] - curve(t[covered]))
    return (float(distance.max()), float(distance[-1])) if np.isfinite(distance).all() else (math.inf, math.inf)


def curve_through(t, x):
    """The finer run as a function of time: itself at its own steps, a cubic spline between them."""
    from scipy.interpolate import CubicSpline

    if not np.isfinite(x).all():
        return lambda at: np.full((at.size, x.shape[1]), np.inf)
    if t.size < 2:  # it stays where it is
        return lambda at: np.tile(x, (at.size, 1))
    spline = CubicSpline(t, x)

    def curve(at):
        near = np.clip(np.searchsorted(t, at), 0, t.size - 1)
        before = np.maximum(near - 1, 0)
        near = np.where(np.abs(t[before] - at) < np.abs(t[near] - at), before, near)
        hit = np.abs(t[near] - at) <= 1e-9 * max(t[-1], 1e-300)
        return np.where(hit[:, None], x[near], spline(np.minimum(at, t[-1])))

    return curve


@dataclass(frozen=True)
class Fit:
    """What :func:`fit_order` found; see the attributes of :class:`Convergence`."""

    slopes: np.ndarray
    order: float
    spread: float
    tail: np.ndarray
    asymptotic: bool
    message: str


def fit_order(h, error, *, floor=0.0, agree=AGREE, drift=True):
    """The order on the asymptotic tail of errors ``error`` at steps ``h`` (descending).

    Errors not above ``floor`` count as noise. The tail grows from the finest level upwards, to five
    levels at most, while the slopes agree with the finest one to ``agree``; it needs two slopes.
    Slopes that drift one way faster and faster are no tail, however close they are (unless ``drift`` is False, for
    errors that fluctuate).
    """
    h = checks.point("h", h) if np.size(h) else np.empty(0)  # before the first level is done
    error = checks.array("error", error, h.shape, finite=False, of="the steps h")
    agree = checks.positive("agree", agree)
    if isinstance(floor, (int, float)) and not math.isfinite(floor):  # of a reference that failed: nothing is clear
        floor = math.inf
    else:
        floor = checks.nonnegative("floor", floor)
    drift = checks.switch("drift", drift)
    with np.errstate(all="ignore"):
        slopes = np.log(error[:-1] / error[1:]) / np.log(h[:-1] / h[1:])
    slopes[~np.isfinite(slopes)] = np.nan
    tail = np.zeros(h.size, dtype=bool)
    usable = np.isfinite(error) & (error > floor)
    if not usable.any():
        words = (f"no error stands clear of the uncertainty {floor:.1e}" if np.isfinite(error).any() else
                 "every run diverged" if np.isinf(error).any() else "no level has a step to compare")
        return Fit(slopes, math.nan, math.nan, tail, False, words)
    last = int(np.flatnonzero(usable)[-1])
    first = last
    while first > 0 and last - first + 1 < _TAIL and usable[first - 1]:
        if abs(slopes[first - 1] - slopes[last - 1]) > agree:
            break
        first -= 1
    if last - first < 2:
        shown = ", ".join(f"{s:.2f}" for s in slopes[max(0, last - 3) : last])
        return Fit(slopes, math.nan, math.nan, tail, False, f"the last slopes are {shown or 'too few'}")
    inside = slopes[first:last]
    turns = np.diff(slopes[max(0, last - 3) : last])
    if drift and turns.size > 1 and turns[-1] * turns[-2] > 0 and abs(turns[-1]) > max(abs(turns[-2]), 0.4 * agree):
        shown = ", ".join(f"{s:.3f}" for s in slopes[last - 3 : last])
        return Fit(slopes, math.nan, math.nan, tail, False, f"the last slopes drift: {shown}")
    tail[first : last + 1] = True
    order = float(np.polyfit(np.log(h[tail]), np.log(error[tail]), 1)[0])
    return Fit(slopes, order, float(inside.max() - inside.min()), tail, True, "")
