"""The order behind slopes that still move: a fit of the error's series in the step size.

A one-step method of order p on a smooth problem errs by [1]_

    x_h(t) - x(t) = h^p (c_0(t) + c_1(t) h + c_2(t) h^2 + ...)

Slopes show p once c_1 h is a twentieth of c_0. A method whose principal error is made small on purpose comes
there late: Dormand and Prince's sixth-order terms are ten times the fifth-order ones, so that on Beale's function
to t = 1 the slopes are 6.67, 6.40, 6.12, 5.87 at errors down to 3e-13, and round-off comes before 5.05. So p is
fitted as a real number together with the first q + 1 coefficients, at many steps in the range of errors where the
series converges and round-off is small. What is fitted are the two directions in (time, coordinate) space in which
the errors of the levels differ most: they share p but not the c_j, which keeps a change of p and one of the c_j
apart. A constant beside the series takes up the error of the reference, which is the same at all levels.

Measured on gradient flow to t = 1 from each problem's ``x0``: Dormand-Prince 4.99 to 5.01 on 17 problems (Beale 5.00,
Rosenbrock 4.99), RK4 4.00. Its tableau with a hundredth of the embedded weights' fourth-order error mixed in measures
3.96 to 4.00. Smaller mixtures can pass for order 5: with a thousandth 4.00 is measured on Booth, Himmelblau and
Styblinski-Tang but 5.03 on Beale, with a ten-thousandth 5.005 to 5.015 on five problems. The windows and rules below
were chosen on these same problems. On Goldstein-Price's function (rates
up to 1e6) the first look diverges at every level and nothing is certified.

.. [1] Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, theorem II.8.1 (Gragg).
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from ...reference.reference import reference
from ..inner import gather
from .fit import AGREE, distance_to

_TIGHT = 2.3e-14  # rtol of the reference, the smallest that scipy takes
EPS = 4 * np.finfo(float).eps  # times the size of x: round-off of a run, relative to its coordinates
_WINDOWS = 1e8, 1e7, 1e6  # the largest error of a fit, in units of round-off
_CLEAR = 10.0  # the smallest
_FAR = 1e3  # one from which steps can be told by the order
_LEVELS = 9  # of a fit at least
_TERMS = 6  # q at most
_FITS = 5.0  # a residual of so many times the round-off is still a fit
_ALIKE = 1.5  # residuals of which the larger is no more than so many times the smaller
_GAIN = 0.7  # of the residual: with more than that left, one term more was not called for
_ORDERS = np.arange(0.25, 10.0, 0.005)


@dataclass(frozen=True)
class Series:
    """The order, its change by one term more, the number of terms, the levels that were fitted, and by how much
    the reference is uncertain."""

    order: float
    spread: float
    terms: int
    used: np.ndarray
    uncertainty: float = 0.0


def second_look(ladder, steps, error, scale, most, progress):
    """``(series, rows, interrupted)`` of a Discretization whose first look (``steps``, ``error``) found no order.

    ``rows`` are (h, steps, largest, last distance) by level. ``series`` is None where nothing settles. No run takes
    more than ``most`` steps, nor 16 times those of the first look.
    """
    most = min(most, 16 * int(steps.max()))
    found, rows, errors = [], [], []

    def distances(number):
        h, _, t, x = ladder.run_steps(number)
        return (h, number, *distance_to(t, x, lambda at: found[0](ladder.t0 + at), ladder.t_end)), x

    def look(_):
        """The whole second look, which Ctrl-C may end anywhere."""
        solution = reference(ladder.flow, ladder.problem, ladder.z0, ladder.t0 + ladder.t_end, rtol=_TIGHT,
                             atol=1e-2 * _TIGHT, solver="DOP853", t0=ladder.t0, reuse=True)
        if not solution.success:
            return
        found.append(solution)
        chosen = step_numbers(*_in_sight(steps, error, scale, most, lambda n: distances(n)[0][2]), scale,
                              ladder.method.scheme.order, most)
        if chosen is None:
            return
        base, multiples = chosen
        curve = solution(ladder.t0 + ladder.t_end * np.arange(1, base + 1) / base)
        for k in multiples:
            row, x = distances(int(base * k))
            rows.append(row)
            errors.append(np.ravel(x[k::k] - curve) if math.isfinite(row[2]) else np.full(curve.size, np.inf))

    interrupted = gather(["a second look"], look, progress=progress)[1]
    if interrupted or not rows:
        return None, None, interrupted
    levels = np.array(rows, dtype=float).T
    series = fit_series(levels[0], np.array(errors), scale)
    return series and replace(series, uncertainty=found[0].uncertainty), levels, False


def _in_sight(steps, error, scale, most, measure):
    """The first look, continued to where a run is finite, and its error far above round-off."""
    steps, error = list(map(int, steps)), list(error)
    while not np.isfinite(error).any() and 4 * steps[-1] <= most:
        steps.append(4 * steps[-1])
        error.append(measure(steps[-1]))
    while steps[0] > 1 and error[0] <= _FAR * EPS * scale:
        steps.insert(0, steps[0] // 2)
        error.insert(0, measure(steps[0]))
    return np.array(steps), np.array(error)


def step_numbers(steps, error, scale, order, most):
    """``(base, multiples)``: numbers of steps ``base * multiples`` for a fit, or None.

    ``steps`` and ``error`` are those of a first look. The coarsest level is where the error enters the window,
    the finest where by ``order`` it comes near round-off: 32 times as many steps at most, and no more than ``most``.
    All levels share the times of ``base`` steps.
    """
    unit = EPS * scale
    seen = np.isfinite(error) & (error > _CLEAR * unit)
    if not seen.any():
        return None
    inside = np.flatnonzero(seen & (error < _WINDOWS[0] * unit))
    i = int(inside[0] if inside.size else np.flatnonzero(seen)[-1])
    # to the upper edge of the window, by the slope of the order (the true one is rather steeper)
    coarse = steps[i] * (error[i] / (_WINDOWS[0] * unit)) ** (1 / order)
    ratio = min(32.0, (_WINDOWS[0] / _CLEAR) ** (1 / order), most / coarse)
    base = max(1, round(coarse / 4))
    if ratio < 4:
        return None
    multiples = np.unique(np.round(4 * ratio ** np.linspace(0, 1, 36)).astype(int))
    return base, multiples


def fit_series(h, errors, scale):
    """The :class:`Series` of the errors (levels, times * n) at steps ``h``, or None where no fit settles.

    A fit settles where it leaves no more than round-off and one term more changes its order by less than 0.05 (0.1
    where that term leaves as much as before). Of several windows of errors the one counts whose order changes least.
    """
    noise = EPS * scale * math.sqrt(errors.shape[1] / 2)
    with np.errstate(all="ignore"):
        size = np.linalg.norm(errors, axis=1)
    best = None
    for largest in _WINDOWS:
        used = np.isfinite(size) & (size > _CLEAR * noise) & (size < largest * noise)
        if used.sum() < _LEVELS:
            break
        found = _settled(errors[used] / size[used, None], errors[used] / noise, h[used] / h[used].max())
        if found is not None and (best is None or found[1] < best.spread):
            best = Series(*found, used)
    return best


def _settled(directions, errors, step):
    """``(order, spread, terms)`` of the errors, in units of round-off, or None."""
    columns = errors @ np.linalg.svd(directions, full_matrices=False)[2][:2].T
    before = None
    for q in range(min(_TERMS, step.size - 5) + 1):
        found = _best_order(_residuals(step, columns, q))
        if before and found:
            spread, gained = abs(found[0] - before[0]), found[1] <= _GAIN * before[1]
            if spread <= (AGREE if gained else 2 * AGREE):
                return found[0] if gained else before[0], spread, q + gained
        before = found
    return None


def _residuals(step, columns, q):
    """Root mean square of what is left, in units of round-off, for each of the orders: q + 1 terms and a constant.

    Round-off grows like the square root of the number of steps.
    """
    weight = np.sqrt(step)[:, None]
    powers = _ORDERS[:, None, None] + np.arange(q + 1)
    ones = np.ones((powers.shape[0], step.size, 1))
    basis = np.linalg.qr(np.concatenate([step[:, None] ** powers, ones], axis=2) * weight)[0]
    columns = columns * weight
    rest = columns - basis @ (np.swapaxes(basis, 1, 2) @ columns)
    return np.sqrt((rest**2).sum(axis=(1, 2)) / max(1, (step.size - q - 2) * columns.shape[1] - 1))


def _best_order(residual):
    """``(order, residual)``, the largest that fits locally best, to round-off, and about as well as any; or None."""
    inner = residual[1:-1]
    good = (inner <= residual[:-2]) & (inner <= residual[2:]) & (inner <= min(_FITS, _ALIKE * residual.min()))
    if not good.any():
        return None
    best = 1 + int(np.flatnonzero(good)[-1])
    return float(_ORDERS[best]), float(residual[best])
