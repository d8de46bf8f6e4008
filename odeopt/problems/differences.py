"""Whether derivatives are those of the function: gradients and Hessian products against differences."""

import contextlib
import time
import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import checks

_STEP = 1e-3  # of a difference, in units of max(1, |x_i|)
_COORDINATES, _COLUMNS = 500, 50  # looked at in more dimensions
_ALARM, _ENTRIES, _SECONDS = 0.01, 100, 0.1  # of the look at a new problem: how wrong, how many entries, how long


class Entry(NamedTuple):
    """An entry of a gradient (``(i,)``) or Hessian (``(i, j)``) beside what differences give for it."""

    index: tuple
    given: float
    differences: float
    uncertainty: float  # of the differences

    def excess(self, relative=1e-6):
        """How often the two differ by what is allowed; infinite where only the differences are finite."""
        return float(_excess(self.given, self.differences, self.uncertainty, relative))

    def __str__(self):
        return f"entry {self.place} is {self.given:.6g} and differences give {self.differences:.6g}"

    @property
    def place(self):
        """The index in words."""
        return str(self.index[0] if len(self.index) == 1 else self.index)

    def gap(self):
        """How far the two are apart, in words."""
        return f"to {abs(self.given - self.differences):.1e} of {self.given:.3g} at entry {self.place}"


def _excess(given, differences, uncertainty, relative=1e-6):
    allowed = 10 * uncertainty + relative * np.maximum(np.abs(given), np.abs(differences))
    ratio = np.abs(given - differences) / np.maximum(allowed, 1e-300)
    return np.where(np.isfinite(ratio), ratio, np.inf)


@dataclass(frozen=True)
class Check:
    """What :meth:`odeopt.Problem.check` found.

    Attributes
    ----------
    ok : bool
    message : str
        In one line.
    x : (n,) array
        Where it looked.
    gradient, hessian : Entry
        The worst entry of each (None without a Hessian product): ``index``, ``given``, ``differences`` and the
        ``uncertainty`` of the latter.
    """

    ok: bool
    message: str
    x: np.ndarray
    gradient: Entry
    hessian: Entry | None

    def __repr__(self):
        return self.message


def quotient(function, x, direction):
    """``(derivative of function at x along direction, its uncertainty)``; the function may be a vector.

    Central differences of two steps, extrapolated; what they differ by, a kink at x, and rounding make the
    uncertainty.
    """
    here = np.asarray(function(x))
    values = [np.asarray(function(x + s * direction)) for s in (_STEP, -_STEP, _STEP / 2, -_STEP / 2)]
    coarse, fine = (values[0] - values[1]) / (2 * _STEP), (values[2] - values[3]) / _STEP
    extrapolated = (4 * fine - coarse) / 3
    kink = np.abs(2 * (values[2] - 2 * here + values[3]) / (_STEP / 2) - (values[0] - 2 * here + values[1]) / _STEP)
    single = all(np.array_equal(v, v.astype(np.float32)) for v in values)
    rounding = (10 * np.finfo(np.float32).eps if single else 100 * np.finfo(float).eps) / _STEP
    largest = np.max([np.max(np.abs(v)) for v in values])
    return extrapolated, np.abs(extrapolated - fine) + kink + rounding * largest


def beside(x):
    """A point next to ``x``: at a minimum, a kink or an edge of its domain a function shows least."""
    return x + 0.01 * np.maximum(1.0, np.abs(x)) * np.random.default_rng(7).uniform(-1, 1, x.size)


def _coordinates(n, most):
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(int))


def _worst(entries):
    """The entry that is off most, of those whose differences are finite; None where there is none."""
    known = [entry for entry in entries if np.isfinite(entry.differences) and np.isfinite(entry.uncertainty)]
    return max(known, key=Entry.excess, default=None)


def gradient_entries(fun, gradient, x, most):
    """Each entry of the gradient at ``x`` beside differences of ``fun``."""
    for i in _coordinates(x.size, most):
        direction = np.zeros(x.size)
        direction[i] = max(1.0, abs(x[i]))
        slope, uncertainty = quotient(fun, x, direction)
        size = float(direction[i])
        yield Entry((int(i),), float(gradient[i]), float(slope) / size, float(uncertainty) / size)


def _hessian_entries(problem, x):
    """The worst entry of each column."""
    for j in _coordinates(x.size, _COLUMNS):
        direction = np.zeros(x.size)
        direction[j] = max(1.0, abs(x[j]))
        column = problem.hessp(x, direction) / direction[j]
        slopes, uncertainty = (part / direction[j] for part in quotient(problem.grad, x, direction))
        known = np.isfinite(slopes + uncertainty)
        i = int(np.where(known, _excess(column, slopes, uncertainty), -1.0).argmax())  # the worst of its column
        yield Entry((i, int(j)), float(column[i]), float(slopes[i]), float(uncertainty[i]))


def check(problem, x=None):
    """:meth:`odeopt.Problem.check`."""
    x = beside(problem.x0) if x is None else checks.point("x", x, problem.dim)
    words, wrong, hessian = [], False, None
    with np.errstate(all="ignore"):
        f, g = problem.value_and_grad(x)
        gradient = _worst(gradient_entries(problem.fun, g, x, _COORDINATES))
        if not np.isfinite(f) or gradient is None:
            raise ValueError(f"x must be a point around which {problem.name} is finite, got f = {f:.6g} at "
                             f"{checks.shown(x)}")
        if problem.has_hessian:
            hessian = _worst(_hessian_entries(problem, x))
        parts = [("gradient", gradient, problem.dim > _COORDINATES, "entries")]
        parts += [("Hessian product", hessian, problem.dim > _COLUMNS, "columns")] if hessian else []
        for name, entry, cut, unit in parts:
            bad = entry.excess() > 1
            wrong |= bad
            some = f" (of {_COORDINATES if unit == 'entries' else _COLUMNS} {unit})" if cut else ""
            words.append(f"{name} {'wrong' if bad else 'right'}{some}{f': {entry}' if bad else f', {entry.gap()}'}")
        if problem.fgb is not None:
            missed = mean_missed(lambda batch: problem.value_and_grad(x, batch), problem.samples, f, g, 1e-6)
            wrong |= bool(missed)
            words.append(f"batches wrong: {missed}" if missed else "batches right: their mean is f and its gradient")
    return Check(not wrong, f"{problem.name}: " + "; ".join(words), x, gradient, hessian)


def mean_missed(values, samples, f, g, tolerance):
    """How the mean of two batches, that hold every sample once, differs from f and its gradient; "" where not."""
    halves = [half for half in np.array_split(np.arange(samples), 2) if half.size]
    found = [values(half) for half in halves]
    shares = [half.size / samples for half in halves]
    mean = sum(share * float(value) for share, (value, _) in zip(shares, found))
    slope: Any = sum(share * np.asarray(gradient) for share, (_, gradient) in zip(shares, found))
    if abs(mean - f) > tolerance * max(abs(f), abs(mean)):
        return f"the mean over all samples is {mean:.6g}, and fun gives {f:.6g}"
    off = np.abs(slope - g)
    if off.max() > tolerance * max(np.abs(g).max(), np.abs(slope).max()):
        i = int(off.argmax())
        return f"entry {i} of the mean gradient over all samples is {slope[i]:.6g}, and of the gradient {g[i]:.6g}"
    return ""


def plainly_wrong(fun, grad, x0, batch=None, samples=0):
    """What a look at a new problem finds wrong, beside ``x0``; "" for nothing.

    Six evaluations of ``fun`` and one of ``grad``, along one direction; more only where that looks wrong. No look
    at functions that take a tenth of a second, and no alarm where they are random, constant, not finite or of few
    digits, or where differences of two steps disagree, as at kinks.
    """
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return _look(lambda x: float(fun(x.copy())), lambda x: np.array(grad(x.copy()), dtype=float), beside(x0),
                         batch, samples)
    except Exception:  # beside x0, outside the domain, a function may raise what it likes: a run will tell
        return ""


def _look(fun, grad, x, batch, samples):
    for _ in range(2):  # the first evaluation may compile
        begin = time.perf_counter()
        f = fun(x)
        if quick := time.perf_counter() - begin < _SECONDS:
            break
    if not quick:
        return ""
    signs = np.random.default_rng(8).choice([-1.0, 1.0], x.size)
    direction = signs * np.maximum(1.0, np.abs(x)) / np.sqrt(x.size)
    slope, uncertainty = quotient(fun, x, direction)
    if not np.isfinite(slope + uncertainty) or slope == 0.0 and fun(x + 1e-6 * direction) == f:  # nothing, or steps
        return ""
    g = grad(x)
    if batch is not None:
        missed = mean_missed(lambda part: batch(x.copy(), part), samples, f, g, _ALARM)
        if missed:
            return f"batch is plainly wrong: {missed}"
    along = Entry((0,), float(g @ direction), float(slope), float(uncertainty))
    if not np.isfinite(g).all() or along.excess(_ALARM) <= 1:
        return ""
    if fun(x) != f or not np.array_equal(grad(x), g) or fun(x + 1e-6 * direction) == f:  # random; steps or constant
        return ""
    if x.size > _ENTRIES:
        return (f"grad is plainly wrong: along a direction next to x0 it gives {along.given:.6g} and differences "
                f"of fun {along.differences:.6g}")
    worst = _worst(gradient_entries(fun, g, x, _ENTRIES))
    if worst is None or worst.excess(_ALARM) <= 1:
        return ""
    return f"grad is plainly wrong: next to x0, at {_point(x)}, its {worst}"


def _point(x):
    return f"({', '.join(f'{one:.4g}' for one in x[:4])}{', ...' if x.size > 4 else ''})"


def no_mean(values, samples, f, g, tolerance):
    """Why a network's loss is no mean over its samples; "" where it is."""
    try:
        return mean_missed(values, samples, f, g, tolerance)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:  # of a network that takes all samples only
        return f"a half of them gave {type(error).__name__}: {' '.join(str(error).split())[:200]}"


def hessian_missed(network):
    """Whether the Hessian product of a network is off by half or more where it starts, as that of an operation is
    whose backward pass is not differentiated. No look where a gradient takes a tenth of a second."""
    x, product = network.x0, np.empty_like(network.x0)

    def gradient(y):
        g = np.empty_like(y)
        network.fg(y, g, None)
        return g

    begin = time.perf_counter()
    gradient(x)
    if time.perf_counter() - begin > _SECONDS:
        return False
    direction = np.random.default_rng(8).choice([-1.0, 1.0], x.size) * np.maximum(1.0, np.abs(x)) / np.sqrt(x.size)
    network.hv(x, direction, product, None)
    slope, uncertainty = quotient(gradient, x, direction)
    off, size = np.linalg.norm(product - slope), max(np.linalg.norm(product), np.linalg.norm(slope))
    return bool(off > 0.5 * size + 10 * np.linalg.norm(uncertainty))


def warn_no_mean(name, missed):
    """The RuntimeWarning that a finite sum is none, where a problem is made of it."""
    warnings.warn(f"{name} is no mean over the samples, so there are no mini-batches: {missed}", RuntimeWarning,
                  stacklevel=5)


@contextlib.contextmanager
def told_before():
    """A context without that warning, for problems that are made once more."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield
