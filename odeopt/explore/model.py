"""From a :class:`State` to the numbers of its picture: runs, flows, errors, orders, stability. No drawing here."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import abi
from ..engine.record import record
from ..method import LINEAR
from ..optimizers import Optimizer
from ..plotting import data, maps
from ..plotting.style import MAP, looks
from ..problems import Problem
from ..reference.solvers import quick
from ..studies.order.fit import fit_order
from .state import MOST_PLAIN_STEPS, State, method_of, problem_of

_DOTS, _POINTS, _CURVE = 600, 300, 120  # of a run, of a flow, of a curve beside the map
_TRIALS, _PLAIN_TRIALS = 2500, 150  # steps of a reference; the flow is drawn as far as they lead
_RTOL, _ATOL = 1e-8, 1e-11
_LEVELS, _GRID = 14, 121
_SHOWN = 1e8  # a point farther out is not sent
_FINER = (1, 2, 4)  # the steps whose errors give the order


@dataclass(frozen=True)
class Picture:
    """All that changes when a slider does.

    Attributes
    ----------
    sources : dict from name to columns
        What each glyph shows: ``dots``, ``paths``, ``flows``, ``ends``, ``start``, ``error``, ``objective``,
        ``stability``, ``order``.
    rows : list of dict
        One line a method: what it did, and how far it is from its flow.
    notes : list of str
        What went wrong, in sentences.
    """

    sources: dict[str, dict[str, Any]]
    rows: list[dict[str, Any]]
    notes: list[str]


@dataclass(frozen=True)
class Ground:
    """The map under the runs: ``window`` ((low, high), (low, high)); filled bands ``(xs, ys, color)`` and lines
    ``(xs, ys)`` between levels of f; the known minima ``(x, y)``."""

    window: tuple[tuple[float, float], tuple[float, float]]
    bands: dict[str, list[Any]]
    lines: dict[str, list[Any]]
    minima: dict[str, list[float]]


def resolved(state: State, given: Problem | None = None) -> tuple[Problem, list[Optimizer]]:
    """The problem and the methods of a state; ``given`` is the problem of the name ""."""
    problem = given if given is not None and not state.problem else problem_of(state.problem)
    return problem, [method_of(name, values, problem, 200) for name, values in state.methods]


def ground(problem: Problem) -> Ground:
    """The contour map of a plane problem.

    ValueError where f is finite nowhere on it.
    """
    import contourpy
    from matplotlib.colors import to_hex

    window = problem.window
    if window is None:
        reach = max(2.0, 1.3 * float(np.abs(problem.x0).max()))
        low, high = 0.3 * problem.x0 - reach, 0.3 * problem.x0 + reach
        window = (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))
    x, y, f = maps.grid(problem, window, _GRID)
    base, levels, logarithmic = maps.levels_of(f, problem.f_min, _LEVELS)
    height = np.where(np.isfinite(f), f, np.nan) - base
    if logarithmic:
        height, levels = np.log(np.maximum(height, 1e-3 * levels[0])), np.log(levels)
    made = contourpy.contour_generator(x, y, height, fill_type="OuterOffset")
    bands: dict[str, list[Any]] = {"xs": [], "ys": [], "color": []}
    edges = [-np.inf, *levels, np.inf]
    for i, (low, high) in enumerate(zip(edges, edges[1:])):
        low, high = max(low, np.nanmin(height) - 1.0), min(high, np.nanmax(height) + 1.0)
        filled: Any = made.filled(low, high) if low < high else ([], [])
        points, offsets = filled
        if points:
            parts = [[p[a:b] for a, b in zip(o, o[1:])] for p, o in zip(points, offsets)]
            bands["xs"].append([[_short(ring[:, 0]) for ring in part] for part in parts])
            bands["ys"].append([[_short(ring[:, 1]) for ring in part] for part in parts])
            bands["color"].append(to_hex(MAP(i / (len(edges) - 2))))
    lines: list[Any] = [line for level in levels for line in made.lines(float(level))]
    x, y = ([_short(one[:, i]) for one in lines] for i in (0, 1))
    return Ground(window, bands, {"xs": x, "ys": y},
                  {"x": [float(m[0]) for m in problem.minima], "y": [float(m[1]) for m in problem.minima]})


def _short(values):
    """In single precision, which a screen does not exceed."""
    return np.asarray(values, dtype=np.float32)


def picture(state: State, given: Problem | None = None, dots: int = _DOTS) -> Picture:
    """Run the methods of a state beside their flows; a run has about ``dots`` dots.

    ValueError where f is not finite at the start, or the state asks for what there is not.
    """
    problem, methods = resolved(state, given)
    x0 = problem.x0 if state.x0 is None else np.array(state.x0)
    f, g = problem.value_and_grad(x0)
    if not (np.isfinite(f) and np.isfinite(g).all()):
        raise ValueError(f"x0 must be a point where f and its gradient are finite, got ({x0[0]:.4g}, {x0[1]:.4g})")
    styles = looks([method.spec() for method in methods])
    columns: dict[str, dict[str, list[Any]]] = {
        name: {key: [] for key in keys.split()} for name, keys in
        (("dots", "x y k t f color name"), ("paths", "xs ys color"), ("flows", "xs ys color"), ("ends", "x y color"),
         ("error", "xs ys color name"), ("objective", "xs ys color name"), ("stability", "xs ys color name"),
         ("order", "xs ys color name"))}
    columns["start"] = {"x": [float(x0[0])], "y": [float(x0[1])]}
    rows, notes = [], []
    for method, style in zip(methods, styles):
        try:
            one = _Run(problem, method, x0, state, dots)
        except ValueError as error:
            notes.append(f"{method.title}: {error}")
            continue
        one.add(columns, style.color, problem.f_min)
        rows.append(one.row(style.color))
        if one.note:
            notes.append(f"{method.title}: {one.note}")
    drawn: dict[str, Any] = columns["dots"]
    for name in ("x", "y", "t", "f", "k"):
        drawn[name] = np.concatenate(drawn[name]) if drawn[name] else []
    return Picture(columns, rows, notes)


class _Run:
    """One method: its run, its flow, its errors."""

    def __init__(self, problem, method, x0, state, dots):
        self.problem, self.method, self.note, self.dots = problem, method, "", dots
        finer = method.refined(2**state.refinement) if state.refinement else method
        steps = state.steps * 2**state.refinement
        if not problem.compiled:
            steps = min(steps, MOST_PLAIN_STEPS)
        self.finer, self.start = finer, state.start
        self.run = self._record(finer, x0, steps, memory=True)
        self.solution, self.errors = None, np.full(3, np.nan)
        self.hs = np.array([finer.h / factor for factor in _FINER], dtype=float)
        self.order = np.nan
        if method.flow is None:
            self.note = "no classical flow"
        else:
            self._against_the_flow(x0, steps)
        if self.run.status == "diverged":
            self.note = self.run.message

    def _record(self, method, x0, steps, memory=False):
        return record(method, self.problem, x0, steps, max(1, steps // self.dots), start=self.start, memory=memory,
                      specialize=False)

    def _against_the_flow(self, x0, steps):
        flow, end = self.finer.flow, float(self.run.t[-1])
        try:
            flow.check(self.problem)
            z0 = self.finer.flow_start(x0, self.problem.grad(x0), self.start)
        except ValueError as error:
            self.note = str(error)
            return
        if not end > 0.0:
            return
        compiled = self.problem.compiled and flow.compiled
        solution = quick(flow, self.problem, z0, end, _RTOL, _ATOL, _TRIALS if compiled else _PLAIN_TRIALS)
        if solution.sol is None or solution.t.size < 2:
            self.note = solution.message
            return
        self.solution, covered = solution, float(solution.t[-1])
        if covered < end:
            self.note = f"its flow is shown to t = {covered:.3g}, as far as {solution.t.size - 1} steps lead"
        runs = [self.run]
        if self.run.ok and self.method.declared_order(self.start) is not None:
            runs += [self._record(self.finer.refined(factor), x0, steps * factor) for factor in _FINER[1:]]
        picks = [_some(np.flatnonzero(run.t <= covered * (1 + 1e-12)), _CURVE) for run in runs]
        times = [np.minimum(run.t[pick], covered) for run, pick in zip(runs, picks)]
        grid = np.linspace(0.0, covered, _POINTS)
        places = np.cumsum([0, *(t.size for t in times), grid.size])
        with np.errstate(all="ignore"):
            x = solution.sol(np.concatenate([*times, grid]))[: self.problem.dim].T  # in one call
            distances = [np.linalg.norm(run.x[pick] - x[a:b], axis=1)
                         for run, pick, a, b in zip(runs, picks, places, places[1:])]
        self.t, self.error = times[0], distances[0]
        self.path = x[places[-2]:]
        if len(runs) == len(_FINER) and all(run.ok for run in runs):
            self.errors = np.array([distance.max() for distance in distances])
            self.order = fit_order(self.hs, self.errors, floor=10 * _RTOL, agree=0.3).order

    def add(self, columns, color, f_min):
        """Put what there is into the columns of the glyphs."""
        run, name = self.run, self.method.title
        x = run.x.copy()
        x[~(np.abs(x) < _SHOWN).all(axis=1)] = np.nan
        dots = columns["dots"]
        for key, values in (("x", x[:, 0]), ("y", x[:, 1]), ("k", run.k), ("t", run.t), ("f", run.f)):
            dots[key].append(values)
        dots["color"] += [color] * len(run)
        dots["name"] += [name] * len(run)
        _line(columns["paths"], x[:, 0], x[:, 1], color)
        if run.status == "diverged":
            seen = np.flatnonzero(np.isfinite(x).all(axis=1))[-1]
            columns["ends"]["x"].append(x[seen, 0])
            columns["ends"]["y"].append(x[seen, 1])
            columns["ends"]["color"].append(color)
        some = _some(np.arange(len(run)), _CURVE)
        if f_min is not None:
            _line(columns["objective"], run.t[some], data.positive(run.f[some] - f_min), color, name)
        else:
            _line(columns["objective"], run.t[some], np.clip(run.f[some], -1e100, 1e100), color, name)
        ratio = step_over_limit(self.finer, self.problem, run, some)
        if ratio is not None:
            _line(columns["stability"], run.t[some], data.positive(ratio), color, name)
        if self.solution is not None:
            _line(columns["flows"], self.path[:, 0], self.path[:, 1], color)
            _line(columns["error"], self.t, data.positive(self.error), color, name)
            if np.isfinite(self.errors).all():
                _line(columns["order"], self.hs, data.positive(self.errors), color, name)

    def row(self, color):
        """One line of the table."""
        run, f_min = self.run, self.problem.f_min
        return {"method": self.method.title, "color": color, "h": float(self.finer.h), "steps": int(run.final["k"]),
                "flow time": float(run.t[-1]), "max error": float(self.error.max()) if self.solution else np.nan,
                "order": float(self.order), "declared": self.method.declared_order(self.start),
                "f": float(run.f[-1] - f_min) if f_min is not None else float(run.f[-1]), "status": run.status}


def _line(columns, x, y, color, name=None):
    columns["xs"].append(np.asarray(x, dtype=float))
    columns["ys"].append(np.asarray(y, dtype=float))
    columns["color"].append(color)
    if name is not None:
        columns["name"].append(name)


def _some(indices, count):
    """At most about ``count`` of the indices, evenly spread, the last among them."""
    if indices.size <= count:
        return indices
    return indices[np.unique(np.linspace(0, indices.size - 1, count).round().astype(int))]


def step_over_limit(method: Optimizer, problem: Problem, run: Any, some: np.ndarray) -> np.ndarray | None:
    """The step over the largest stable one at points of a run: at 1 a quadratic with the Hessian there, and the
    preconditioner held fixed, is no longer stable. None where the page gives no limit or the preconditioner is not
    known."""
    limit = method.stability_limit()
    if limit is None or not problem.has_hessian or not np.isfinite(limit.value):
        return None
    by = _divisors(method, run.memory[some])
    if by is None:
        return None
    curvature = _curvatures(problem, np.ascontiguousarray(run.x[some]), by)
    return np.maximum(curvature, 0.0) * (method.step / limit.value)


def _divisors(method, memory):
    """What the gradient's entries are divided by at each point, from the mean squares in the memory."""
    roles = {slot.role: i for i, slot in enumerate(method.slots)}
    rest = {slot.role for slot in method.slots} - {*LINEAR, "weight"}
    if not rest:
        return np.ones((len(memory), memory.shape[2]))
    role = next((role for role in ("supremum", "square", "sum") if role in rest), None)
    if role is None or rest - {"supremum", "square", "sum"}:
        return None
    row = roles[role]
    slot, squares = method.slots[row], memory[:, row]
    weight = next((i for i, other in enumerate(method.slots) if other.name in (f"{slot.name} weight", "square weight")),
                  None)
    if weight is not None:
        squares = squares / np.maximum(memory[:, weight, :1], 1e-300)
    known, held = _held(method, row)
    if known is None or held is None:
        return None
    return np.where(squares > 0.0, np.interp(squares, held, known), np.nan)  # 0 before the first step


@functools.lru_cache(maxsize=64)
def _held(method, row):
    """A table of the preconditioner by the value of a row of the memory, from the page's own ``held``."""
    known, held = [], []
    for value in np.geomspace(1e-8, 1e8, 400):
        try:
            held.append(method.held(method.slots[row], float(value)))
            known.append(value)
        except ValueError:  # below that of a vanishing gradient, or a method that keeps none
            continue
    return (np.array(known), np.array(held)) if len(known) > 1 and np.all(np.diff(held) > 0) else (None, None)


def _hessians(hv, data, points, unit, out):
    for i in range(points.shape[0]):
        for j in range(points.shape[1]):
            unit[:] = 0.0
            unit[j] = 1.0
            hv(points[i], unit, out[i, j], data)


@functools.cache
def _compiled_hessians():
    kinds = (abi.HV, abi.VECTOR, abi.MATRIX, abi.VECTOR, abi.CUBE)
    return abi.kernel(_hessians, abi.NOTHING(*kinds))


def _curvatures(problem, points, by):
    """Largest eigenvalue of the Hessian with its entries divided by the roots of ``by``, at each point of a plane."""
    h = np.empty((len(points), 2, 2))
    loop = _compiled_hessians() if problem.compiled else _hessians
    with np.errstate(all="ignore"):
        loop(problem.hv, problem.data, points, np.empty(2), h)
        scale = 1.0 / np.sqrt(by)
        a, c = h[:, 0, 0] * scale[:, 0] ** 2, h[:, 1, 1] * scale[:, 1] ** 2
        b = 0.5 * (h[:, 0, 1] + h[:, 1, 0]) * scale[:, 0] * scale[:, 1]
        return 0.5 * (a + c) + np.hypot(0.5 * (a - c), b)
