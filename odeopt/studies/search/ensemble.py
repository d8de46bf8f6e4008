"""``ensemble`` and ``sweep``: many trajectories, from many starts or with many hyperparameters."""

import dataclasses
import inspect
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ... import archive, checks
from ...abi import is_compiled
from ...archive import Entry
from ...engine import batched, loops
from ...method import method_from
from ...optimizers import Optimizer
from ...problems import Problem
from ...problems.base import checked
from ...results import Result, coordinates
from ...sums import norms
from ...threads import number
from ..moments import merged, sums
from .chunks import work
from .on_disk import OnDisk

FORMAT = 1
CHUNK = 4096
IN_FLIGHT = 2**28  # bytes of paths under way
NOT_RUN, COMPLETED, CONVERGED, DIVERGED, STALLED = range(5)
STATUS_NAMES = ("not run", "completed", "converged", "diverged", "stalled")
_CODES = np.zeros(8, np.int8)
_CODES[[loops.COMPLETED, loops.CONVERGED, loops.BAD_VALUE, loops.BAD_GRADIENT, loops.BAD_STATE, loops.STALLED]] = (
    COMPLETED, CONVERGED, DIVERGED, DIVERGED, DIVERGED, STALLED)


@dataclass(frozen=True, eq=False)
class Ensemble(Result):
    """Final states of many trajectories, and what was kept on the way.

    Shapes for one optimizer; with M of them (a sweep) every array has a leading axis M.

    Attributes
    ----------
    x : (N, n) float64
    t, f, grad_norm : (N,) float64
        Flow time, objective and gradient norm where the trajectory ended.
    k : (N,) int64
        Steps done.
    status : (N,) int8
        Index into ``STATUS_NAMES``: 0 not run (interrupted before), 1 completed, 2 converged,
        3 diverged, 4 stalled.
    path_k : (R,) int64 or None
        Steps at which paths or statistics were kept.
    path_x : (N, R, n) or None
    path_f : (N, R) or None
        A trajectory that has stopped stays where it stopped.
    statistics : dict or None
        Over the trajectories with finite x and f: count (R,), mean_x, var_x (R, n), mean_f, min_f,
        max_f (R,).
    optimizers : tuple
    grid : dict or None
        Of a sweep: hyperparameter name -> (M,) values.
    message : str
    """

    x: np.ndarray
    t: np.ndarray
    f: np.ndarray
    grad_norm: np.ndarray
    k: np.ndarray
    status: np.ndarray
    path_k: np.ndarray | None
    path_x: np.ndarray | None
    path_f: np.ndarray | None
    statistics: dict | None
    optimizers: tuple
    problem: str
    grid: dict | None
    message: str

    def rows(self):
        """One dict per trajectory, with the hyperparameters of a sweep before; the position is in it where it has at
        most 100 coordinates."""
        return [self._method(at) | {
            "trajectory": at[-1], "t": float(self.t[at]), "f": float(self.f[at]),
            "grad_norm": float(self.grad_norm[at]), "k": int(self.k[at]), "status": STATUS_NAMES[self.status[at]],
        } | coordinates(self.x[at]) for at in np.ndindex(self.status.shape)]

    def _method(self, at):
        """Which optimizer it was, in the columns of :meth:`rows`."""
        if self.grid is not None:
            return {name: values[at[0]].item() if isinstance(values[at[0]], np.generic) else values[at[0]]
                    for name, values in self.grid.items()}
        return {"optimizer": repr(self.optimizers[at[0]])} if len(at) > 1 else {}

    def headline(self):
        ends = ", ".join(f"{self.count(name)} {name}" for name in STATUS_NAMES if self.count(name))
        return f"{self.status.size} trajectories on {self.problem}: {ends}"

    def _whole(self):
        arrays = {name: getattr(self, name) for name in ("x", "t", "f", "grad_norm", "k", "status", "path_k", "path_x",
                                                         "path_f") if getattr(self, name) is not None}
        arrays |= {f"statistics.{name}": value for name, value in (self.statistics or {}).items()}
        words = {"problem": self.problem, "message": self.message, "optimizers": [o.spec() for o in self.optimizers],
                 "grid": None if self.grid is None else {name: v.tolist() for name, v in self.grid.items()}}
        return FORMAT, words, arrays

    @classmethod
    def load(cls, path):
        """Read what :meth:`save` wrote to .npz or .json; ValueError for a file that holds no ensemble."""
        with archive.reading(path, "ensemble"):
            words, arrays = archive.stored(path, FORMAT, _schema("M "))
            words = archive.check_words(words, _WORDS)
            many = arrays.get("status", np.zeros(0)).ndim == 2
            sizes = {"M": len(words["optimizers"])} if many else {}
            if not many and (len(words["optimizers"]) != 1 or words["grid"] is not None):
                raise archive.Wrong("status must have a row for each optimizer")
            arrays = archive.check_arrays(arrays, _schema("M " * many), sizes)
        statistics = {name[11:]: arrays.pop(name) for name in list(arrays) if name.startswith("statistics.")}
        found: dict[str, Any] = {"path_k": None, "path_x": None, "path_f": None} | words | arrays
        return cls(**found, statistics=statistics or None)

    @property
    def ok(self):
        """Whether every trajectory has run."""
        return bool((self.status != NOT_RUN).all())

    def count(self, status):
        """How many trajectories ended as ``status`` (a name of ``STATUS_NAMES``)."""
        return int((self.status == STATUS_NAMES.index(checks.choice("status", status, STATUS_NAMES))).sum())

    def nearest(self, points, within=math.inf):
        """Index of the nearest of ``points`` (m, n) for each end point, -1 beyond ``within``: a basin map."""
        points = checks.array("points", np.atleast_2d(_points(points, "points")), (None, self.x.shape[-1]))
        best, index = np.full(self.status.shape, np.inf), np.full(self.status.shape, -1)
        with np.errstate(invalid="ignore", over="ignore"):
            for i, point in enumerate(points):
                distance = norms(self.x - point)
                closer = (distance < best) & (distance <= within)
                best, index = np.where(closer, distance, best), np.where(closer, i, index)
        return index

    def __repr__(self):
        return f"<Ensemble of {self.headline()}>"


def _schema(lead):
    """The arrays of a file, with a leading axis for the optimizers or without."""
    each = {name: Entry("float64", f"{lead}N") for name in ("t", "f", "grad_norm")}
    paths = {"path_x": f"{lead}N R n", "path_f": f"{lead}N R", **{
        f"statistics.{name}": f"{lead}R{' n' * name.endswith('_x')}"
        for name in ("mean_x", "var_x", "mean_f", "min_f", "max_f")}}
    return {"x": Entry("float64", f"{lead}N n"), **each, "k": Entry("int64", f"{lead}N", low=0),
            "status": Entry("int8", f"{lead}N", low=0, high=len(STATUS_NAMES) - 1),
            "path_k": Entry("int64", "R", low=0, optional=True),
            "statistics.count": Entry("int64", f"{lead}R", low=0, optional=True),
            **{name: Entry("float64", shape, optional=True) for name, shape in paths.items()}}


def _methods(name, value):
    """A check of words: the optimizers of their specs."""
    if not isinstance(value, list) or not value:
        raise TypeError(f"{name} must be a list of optimizers, and is {checks.shown(value)}")
    found = tuple(method_from(one) for one in value)
    if not all(isinstance(one, Optimizer) for one in found):
        raise TypeError(f"{name} must be optimizers, and holds a discretization")
    return found


def _grid(name, value):
    """A check of words: the values of a sweep, or None."""
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(values, list) for values in value.values()):
        raise TypeError(f"{name} must be lists of values by name, and is {checks.shown(value)}")
    return {key: np.array(values) for key, values in value.items()}


_WORDS = {"problem": archive.text, "message": archive.text, "optimizers": _methods, "grid": _grid}


def ensemble(optimizer: Any, problem: Problem, starts: ArrayLike, steps: int = 1000, *,
             every: int = 0, keep: str = "path", t_end: float | None = None, gtol: float = 0.0, start: str = "cold",
             threads: int | None = None, executor: Any = None, chunk: int = CHUNK, out: Any = None,
             progress: bool = False) -> Ensemble:
    """Run ``optimizer`` from every row of ``starts``.

    Parameters
    ----------
    optimizer : Optimizer, or a sequence of them
    problem : Problem
    starts : (N, n) array
    steps : int
        As in :func:`odeopt.record`, for each trajectory by itself, like ``t_end`` and ``gtol``.
    every : int
        0 keeps the final states alone; else what ``keep`` says at every so many steps.
    keep : {"path", "statistics"}
        Whole paths (N times R times n numbers) or means, variances and extremes over trajectories.
    t_end, gtol : float, optional
    start : {"cold", "consistent"}
        Initial memory, as in :func:`odeopt.record`.
    threads : int, optional
        Default: as many as the process may use. Results do not depend on it.
    executor : concurrent.futures.Executor, optional
        Where the chunks run instead: a process pool, or a cluster (``dask.distributed``:
        ``client.get_executor()``). It must be able to import the modules of the problem's functions.
        A process pool should start its workers by "spawn" or "forkserver": a process forked while another
        thread compiles or works may hang.
        Chunks that it loses (a killed worker) or fails on are run here, with a warning, and so is the
        rest when it falls silent: a minute, or ten times its longest wait so far, without a result.
    chunk : int
        Trajectories a task, and what an interrupt may lose. A task holds the paths of its chunk,
        also for statistics: chunk times R times (n + 1) numbers. At most a quarter of a gibibyte of
        them is under way or waiting at any time, but at least one chunk per worker.
    out : path, optional
        Keep paths in this ``.npy`` file (memory-mapped) instead of in memory; f goes to
        ``<stem>_f.npy`` beside it. Trajectories that have not run are NaN there too. Both are there
        when the run has ended; until then they grow under other names in that folder, in which room
        for all of them is reserved first.
    progress : bool
        Progress bar on stderr (only if that is a terminal or a notebook).

    Returns
    -------
    Ensemble
        After Ctrl-C the finished chunks, the others "not run"; those under way have a second to finish. An
        executor's own tasks that have not ended then go on without anybody waiting for them.

    Raises
    ------
    TypeError, ValueError
        Arguments of a wrong type, shape or range.
    OSError
        No room for ``out``, or no such folder.

    Notes
    -----
    With n <= 8, an importable objective and an update that treats each coordinate by itself the
    trajectories run 256 at a time (:mod:`odeopt.engine.batched`), some ten times as fast as one by one.
    """
    many = isinstance(optimizer, (list, tuple))
    optimizers = tuple(optimizer) if many else (optimizer,)
    for one in optimizers:
        if not isinstance(one, Optimizer):
            raise TypeError(f"optimizer must be an Optimizer or a sequence of them, got {type(one).__name__}")
    if not optimizers:
        raise ValueError("optimizer must be at least one Optimizer, got an empty sequence")
    starts = _points(starts)
    if starts.ndim != 2 or starts.shape[1] != checked(problem).dim or not starts.size or not np.isfinite(starts).all():
        raise ValueError(f"starts must be finite with shape (N, {problem.dim}), got shape {starts.shape}")
    steps, every = checks.integer("steps", steps, 0), checks.integer("every", every, 0)
    chunk, gtol = checks.integer("chunk", chunk, 1), checks.real("gtol", gtol, 0.0)
    limit = math.inf if t_end is None else checks.real("t_end", t_end, 0.0)
    checks.choice("keep", keep, ("path", "statistics"))
    checks.choice("start", start, ("cold", "consistent"))
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor must be a concurrent.futures.Executor, got {type(executor).__name__}")
    if out is not None and not (every and keep == "path"):
        raise ValueError("out needs every >= 1 and keep='path'")
    threads = number(threads)
    if not (problem.compiled and all(is_compiled(o.kernel) for o in optimizers)):  # the interpreter takes one at a time
        threads = 1
    records = steps // every + 1 if every else 0
    results = _Results((len(optimizers), len(starts)), problem.dim, records, keep, chunk, out, many)

    def arguments(m, begin):
        return problem, optimizers[m], starts[begin : begin + chunk], steps, every, keep, limit, gtol, start

    held = 8 * (records + 1) * (problem.dim + 1) * min(chunk, len(starts)) * (1 if every else 0)
    try:
        whole = work(task, results.chunks, arguments, results.take, threads, executor, progress, _room_in_flight(held))
        found: dict[str, Any] = results.final()
    except BaseException:
        results.discard()
        raise
    message = "all trajectories run" if whole else "interrupted: the trajectories that had not run are marked so"
    return Ensemble(path_k=np.arange(records) * every if every else None, optimizers=optimizers,
                    problem=problem.name, grid=None, message=message, **found)


def sweep(optimizer: Optimizer, problem: Problem, starts: ArrayLike, steps: int = 1000, *,
          grid: Mapping[str, Any], measure: str | None = None, **options: Any) -> Any:
    """:func:`ensemble` for every combination of hyperparameters.

    Parameters
    ----------
    optimizer : Optimizer
        The hyperparameters that ``grid`` does not name.
    problem : Problem
    starts : (N, n) or (n,) array
    steps : int
    grid : dict
        Hyperparameter name -> values; the combinations are in the order of ``itertools.product``.
    measure : {"error", "gap", "order"}, optional
        One number for each combination instead, of runs from one start (``starts`` is (n,), or None for the
        problem's own): the largest distance to the flow; f - f* at the end; the order against the flow.
    **options
        As in :func:`ensemble`; with a measure ``t_end``, ``start``, ``progress`` and, for the order, ``levels``
        (default 6).

    Returns
    -------
    Ensemble or Sweep
        Of an Ensemble the arrays have a leading axis for the M combinations; ``grid`` has the M values of each
        name. With a measure a Study, which :func:`odeopt.plotting.sweep` draws.
    """
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an Optimizer, got {type(optimizer).__name__}")
    if not isinstance(grid, dict) or not grid:
        raise TypeError(f"grid must be a dict of hyperparameter names to values, got {checks.shown(grid)}")
    for name, values in grid.items():
        if isinstance(values, str) or not np.iterable(values):
            raise TypeError(f"grid must have a sequence of values for {name}, got {checks.shown(values)}")
    grid = {name: list(values) for name, values in grid.items()}
    checks.memory("grid", 2000 * math.prod(map(len, grid.values())))
    combinations = list(itertools.product(*grid.values()))
    if not combinations:
        raise ValueError("grid must have at least one value for every name")
    if measure is not None:
        from .sweeps import measured_sweep

        for name in options:
            checks.choice("option", name, ("t_end", "start", "levels", "progress"))
        return measured_sweep(optimizer, problem, starts, steps, grid, measure, **options)
    for name in options:
        checks.choice("option", name, _OPTIONS)
    optimizers = [optimizer.changed(**dict(zip(grid, values))) for values in combinations]
    found = ensemble(optimizers, problem, np.atleast_2d(_points(starts)), steps, **options)
    columns = {name: np.array([values[i] for values in combinations]) for i, name in enumerate(grid)}
    return dataclasses.replace(found, grid=columns)


_OPTIONS = tuple(p.name for p in inspect.signature(ensemble).parameters.values() if p.kind is p.KEYWORD_ONLY)


def task(problem, optimizer, starts, steps, every, keep, t_end, gtol, start="cold", stop=None):
    """One chunk, in whatever thread or process; ``stop``, a Stop, ends it early with an exception."""
    found = batched.run(problem, optimizer, starts, steps, every, t_end, gtol, start=start, stop=stop)
    found["status"] = _CODES[found["status"]]
    if every and keep == "statistics":
        found["sums"] = sums(found.pop("path_x"), found.pop("path_f"))
    return found


def _points(given, name="starts"):
    """Points as a float64 array of its own."""
    found = checks.real_numbers(given)
    if isinstance(found, str):
        raise TypeError(f"{name} must be an (N, n) array of real numbers, got {found}")
    return found


class _Results:
    """The arrays of an Ensemble, with a leading axis for the optimizers, while chunks come in."""

    def __init__(self, shape, n, records, keep, chunk, out, many):
        self.many, self.chunk, self.statistics = many, chunk, records > 0 and keep == "statistics"
        self.records, self.n = records, n
        self.arrays: dict[str, Any] = {name: np.full(shape, np.nan) for name in ("t", "f", "grad_norm")}
        self.arrays |= {"x": np.full((*shape, n), np.nan), "k": np.zeros(shape, np.int64)}
        if records and not self.statistics:
            self.arrays["path_x"] = self._room(out, "", (*shape, records, n))
            self.arrays["path_f"] = self._room(out, "_f", (*shape, records))
        self.status = np.full(shape, NOT_RUN, np.int8)
        self.chunks = [(m, begin) for m in range(shape[0]) for begin in range(0, shape[1], chunk)]
        self.sums = {}

    def take(self, m, begin, found):
        """What :func:`task` found for one chunk."""
        rows = slice(begin, begin + len(found["k"]))
        for name, values in self.arrays.items():
            values[m, rows] = found[name]
        if self.statistics:
            self.sums[m, begin] = found["sums"]
        self.status[m, rows] = found["status"]  # last: an interrupt before it leaves them "not run"

    def final(self):
        """The fields of the Ensemble; what did not run, or not to its end, is erased."""
        for m, begin in self.chunks:
            rows = slice(begin, begin + self.chunk)
            if (self.status[m, rows] == NOT_RUN).any():
                for name, values in self.arrays.items():
                    values[m, rows] = 0 if name == "k" else np.nan  # a file has zeros there
                self.sums.pop((m, begin), None)
        arrays = {name: values.finished() if isinstance(values, OnDisk) else values for name, values in
                  self.arrays.items()}
        fields = {"path_x": None, "path_f": None, **arrays, "status": self.status}
        if not self.many:
            fields = {name: values if values is None else values[0] for name, values in fields.items()}
        return fields | {"statistics": self._moments() if self.statistics else None}

    def discard(self):
        """Nothing of a run that has failed stays on disk."""
        for values in self.arrays.values():
            if isinstance(values, OnDisk):
                values.discard()

    def _room(self, out, suffix, shape):
        if out is None:
            return np.full(shape, np.nan)
        stem, dot, end = str(out).rpartition(".")
        if end != "npy" or not dot:
            raise ValueError(f"out must end in .npy, got {checks.shown(out)}")
        try:
            return OnDisk(f"{stem}{suffix}.npy", shape, self.many)
        except BaseException:
            self.discard()
            raise

    def _moments(self):
        """Statistics of the chunks that ran, merged in their order."""
        rows = [merged([self.sums[m, begin] for at, begin in self.chunks if at == m and (m, begin) in self.sums],
                       self.records, self.n) for m in range(len(self.status))]
        return {name: np.array([row[name] for row in rows]) if self.many else rows[0][name] for name in rows[0]}


def _room_in_flight(held):
    """How many chunks that hold so many bytes may be under way."""
    return max(1, min(64, IN_FLIGHT // max(held, 1)))
