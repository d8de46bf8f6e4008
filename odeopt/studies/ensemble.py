"""``ensemble`` and ``sweep``: many trajectories, from many starts or with many hyperparameters."""

import concurrent.futures as cf
import dataclasses
import itertools
import math
import sys
import warnings
from dataclasses import dataclass

import numpy as np

from .. import checks, drive, lanes
from ..optimizers import Optimizer
from ..threads import number

CHUNK = 4096
IN_FLIGHT = 2**28  # bytes of paths under way
NOT_RUN, COMPLETED, CONVERGED, DIVERGED, STALLED = range(5)
STATUS_NAMES = ("not run", "completed", "converged", "diverged", "stalled")
_CODES = np.zeros(7, np.int8)
_CODES[[drive.COMPLETED, drive.CONVERGED, drive.BAD_VALUE, drive.BAD_GRADIENT, drive.BAD_STATE, drive.STALLED]] = (
    COMPLETED, CONVERGED, DIVERGED, DIVERGED, DIVERGED, STALLED)


@dataclass(frozen=True, eq=False)
class Ensemble:
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

    @property
    def ok(self):
        """Whether every trajectory has run."""
        return bool((self.status != NOT_RUN).all())

    def count(self, status):
        """How many trajectories ended as ``status`` (a name of ``STATUS_NAMES``)."""
        return int((self.status == STATUS_NAMES.index(checks.choice("status", status, STATUS_NAMES))).sum())

    def nearest(self, points, within=math.inf):
        """Index of the nearest of ``points`` (m, n) for each end point, -1 beyond ``within``: a basin map."""
        points = np.atleast_2d(np.asarray(points, dtype=float))
        best, index = np.full(self.status.shape, np.inf), np.full(self.status.shape, -1)
        with np.errstate(invalid="ignore", over="ignore"):
            for i, point in enumerate(points):
                distance = np.linalg.norm(self.x - point, axis=-1)
                closer = (distance < best) & (distance <= within)
                best, index = np.where(closer, distance, best), np.where(closer, i, index)
        return index

    def __repr__(self):
        ends = ", ".join(f"{self.count(name)} {name}" for name in STATUS_NAMES if self.count(name))
        return f"<Ensemble of {self.status.size} on {self.problem}: {ends}>"


def ensemble(optimizer, problem, starts, steps=1000, *, every=0, keep="path", t_end=None, gtol=0.0, start="cold",
             threads=None, executor=None, chunk=CHUNK, out=None, progress=False):
    """Run ``optimizer`` from every row of ``starts``.

    Parameters
    ----------
    optimizer : Optimizer, or a sequence of them
    problem : Problem
    starts : (N, n) array
    steps, t_end, gtol
        As in :func:`odeopt.record`, for each trajectory by itself.
    start : {"cold", "consistent"}
        Initial memory, as in :func:`odeopt.record`.
    every : int
        0 keeps the final states alone; else what ``keep`` says at every so many steps.
    keep : {"path", "statistics"}
        Whole paths (N times R times n numbers) or means, variances and extremes over trajectories.
    threads : int, optional
        Default: as many as the process may use. Results do not depend on it.
    executor : concurrent.futures.Executor, optional
        Where the chunks run instead: a process pool, or a cluster (``dask.distributed``:
        ``client.get_executor()``). Chunks that it loses (a killed worker) or fails on are run here,
        with a warning.
    chunk : int
        Trajectories a task, and what an interrupt may lose. A task holds the paths of its chunk,
        also for statistics: chunk times R times (n + 1) numbers. At most a quarter of a gibibyte of
        them is under way or waiting at any time, but at least one chunk a worker.
    out : path, optional
        Keep paths in this ``.npy`` file (memory-mapped) instead of in memory; f goes to
        ``<stem>_f.npy`` beside it. Trajectories that have not run are NaN there too.
    progress : bool
        Progress bar on stderr (only if that is a terminal).

    Returns
    -------
    Ensemble
        After Ctrl-C the finished chunks, the others "not run". (An executor's own tasks that have
        not ended then go on without anybody waiting for them.)

    Raises
    ------
    TypeError, ValueError
        Arguments of a wrong type, shape or range.

    Notes
    -----
    With n <= 8, an importable objective and an update that treats each coordinate by itself the
    trajectories run 256 at a time (:mod:`odeopt.lanes`), some ten times as fast as one by one.
    """
    optimizers = tuple(optimizer) if isinstance(optimizer, (list, tuple)) else (optimizer,)
    for one in optimizers:
        if not isinstance(one, Optimizer):
            raise TypeError(f"optimizer must be an Optimizer or a sequence of them, got {type(one).__name__}")
    many = isinstance(optimizer, (list, tuple))
    return _run(optimizers, problem, starts, steps, every, keep, t_end, gtol, start, threads, executor, chunk, out,
                progress, many, None)


def sweep(optimizer, problem, starts, steps=1000, *, grid, **options):
    """:func:`ensemble` for every combination of hyperparameters.

    Parameters
    ----------
    optimizer : Optimizer
        The hyperparameters that ``grid`` does not name.
    starts : (N, n) or (n,) array
    grid : dict
        Hyperparameter name -> values; the combinations are in the order of ``itertools.product``.
    **options
        As in :func:`ensemble`.

    Returns
    -------
    Ensemble
        Arrays with a leading axis for the M combinations; ``grid`` has the M values of each name.
    """
    if not isinstance(grid, dict) or not grid:
        raise TypeError(f"grid must be a dict of hyperparameter names to values, got {grid!r}")
    for name in grid:
        checks.choice("grid", name, tuple(f.name for f in dataclasses.fields(optimizer)))
    combinations = list(itertools.product(*grid.values()))
    optimizers = tuple(dataclasses.replace(optimizer, **dict(zip(grid, values))) for values in combinations)
    if not optimizers:
        raise ValueError("grid must have at least one value for every name")
    columns = {name: np.array([values[i] for values in combinations]) for i, name in enumerate(grid)}
    defaults = {"every": 0, "keep": "path", "t_end": None, "gtol": 0.0, "start": "cold", "threads": None,
                "executor": None, "chunk": CHUNK, "out": None, "progress": False}
    for name in options:
        checks.choice("option", name, tuple(defaults))
    options = defaults | options
    return _run(optimizers, problem, np.atleast_2d(starts), steps, many=True, grid=columns, **options)


def task(problem, optimizer, starts, steps, every, keep, t_end, gtol, start="cold"):
    """One chunk, in whatever thread or process."""
    found = lanes.run(problem, optimizer, starts, steps, every, t_end, gtol, start=start)
    found["status"] = _CODES[found["status"]]
    if every and keep == "statistics":
        found["sums"] = _sums(found.pop("path_x"), found.pop("path_f"))
    return found


def _run(optimizers, problem, starts, steps, every, keep, t_end, gtol, start, threads, executor, chunk, out, progress,
         many, grid):
    try:
        given = np.asarray(starts)
        if given.dtype.kind not in "fiu":
            raise TypeError
        starts = np.array(given, dtype=np.float64, order="C")
    except (TypeError, ValueError):
        raise TypeError("starts must be an (N, n) array of real numbers, got "
                        f"{getattr(starts, 'dtype', type(starts).__name__)}") from None
    if starts.ndim != 2 or starts.shape[1] != problem.dim or not starts.size or not np.isfinite(starts).all():
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
    shape, n, records = (len(optimizers), len(starts)), problem.dim, steps // every + 1 if every else 0
    arrays = {"x": np.full((*shape, n), np.nan), "t": np.full(shape, np.nan), "f": np.full(shape, np.nan),
              "grad_norm": np.full(shape, np.nan), "k": np.zeros(shape, np.int64), "status": np.zeros(shape, np.int8)}
    if every and keep == "path":
        arrays |= {"path_x": _room(out, "", (*shape, records, n), many),
                   "path_f": _room(out, "_f", (*shape, records), many)}
    tasks = [(m, begin) for m in range(shape[0]) for begin in range(0, shape[1], chunk)]
    sums = [[None] * len(range(0, shape[1], chunk)) for _ in optimizers]

    def arguments(m, begin):
        return problem, optimizers[m], starts[begin : begin + chunk], steps, every, keep, limit, gtol, start

    def finished(m, begin, found):
        rows = slice(begin, begin + len(found["k"]))
        if "sums" in found:
            sums[m][begin // chunk] = found.pop("sums")
        status = found.pop("status")
        for name, values in found.items():
            arrays[name][m, rows] = values
        arrays["status"][m, rows] = status  # last: an interrupt before it leaves them "not run"

    def erase(m, begin):
        for name in arrays.keys() & {"path_x", "path_f", "x", "t", "f", "grad_norm"}:
            arrays[name][m, begin : begin + chunk] = np.nan
        arrays["k"][m, begin : begin + chunk] = 0

    held = 8 * (records + 1) * (n + 1) * min(chunk, shape[1]) * (1 if every else 0)
    threads = threads if problem.compiled else 1
    message = _work(tasks, arguments, finished, threads, executor, progress, _room_in_flight(held))
    for m, begin in tasks:
        if (arrays["status"][m, begin : begin + chunk] == NOT_RUN).any():  # also what a memory map has as zeros
            erase(m, begin)
            sums[m][begin // chunk] = None
    for values in arrays.values():
        if isinstance(values, np.memmap):
            values.flush()
    statistics = _merged(sums) if every and keep == "statistics" else None
    if not many:
        arrays = {name: values[0] for name, values in arrays.items()}
        statistics = statistics and {name: values[0] for name, values in statistics.items()}
    return Ensemble(path_k=np.arange(records) * every if every else None, path_x=arrays.pop("path_x", None),
                    path_f=arrays.pop("path_f", None), statistics=statistics, optimizers=optimizers,
                    problem=problem.name, grid=grid, message=message, **arrays)


def _room(out, suffix, shape, many):
    if out is None:
        return np.full(shape, np.nan)
    stem, dot, end = str(out).rpartition(".")
    if end != "npy" or not dot:
        raise ValueError(f"out must end in .npy, got {out}")
    mapped = np.lib.format.open_memmap(f"{stem}{suffix}.npy", mode="w+", dtype=np.float64,
                                       shape=shape if many else shape[1:])
    return mapped if many else mapped[None]


def _room_in_flight(held):
    """How many chunks that hold so many bytes may be under way."""
    return max(1, min(64, IN_FLIGHT // max(held, 1)))


def _work(tasks, arguments, finished, threads, executor, progress, room):
    """All tasks, at most a few chunks in flight; returns the message."""
    from tqdm import tqdm

    own = executor is None
    room = max(threads, min(2 * threads, room)) if own else max(getattr(executor, "_max_workers", 8), room)
    waiting, flying, lost, why = list(reversed(tasks)), {}, [], "broken"
    with tqdm(total=len(tasks), unit="chunk", file=sys.stderr, leave=False,
              disable=not (progress and sys.stderr.isatty())) as bar:
        pool = executor
        try:
            if own:  # the first chunk runs here, so that compiling happens once and in one thread
                first = waiting.pop()
                finished(*first, task(*arguments(*first)))
                bar.update()
                pool = cf.ThreadPoolExecutor(threads)
            while waiting or flying:
                while waiting and len(flying) < room:
                    chunk = waiting.pop()
                    try:
                        flying[pool.submit(task, *arguments(*chunk))] = chunk
                    except RuntimeError as error:  # broken, or shut down by somebody
                        if own:
                            raise
                        lost.append(chunk)
                        why = f"{type(error).__name__}: {str(error)[:100]}".rstrip(": ")
                if not flying:
                    break
                for future in cf.wait(flying, return_when=cf.FIRST_COMPLETED).done:
                    try:
                        found = future.result()
                    except (Exception, cf.CancelledError) as error:
                        if own:
                            raise
                        # Broken pools have exceptions of their own kind; a fault of the task shows again below.
                        lost.append(flying.pop(future))
                        why = f"{type(error).__name__}: {str(error)[:100]}".rstrip(": ")
                    else:
                        finished(*flying[future], found)
                        del flying[future]
                        bar.update()
            if lost:
                warnings.warn(f"the executor lost {len(lost)} of {len(tasks)} chunks ({why}); they are run in this "
                              "process", RuntimeWarning, stacklevel=5)
                for chunk in lost:
                    finished(*chunk, task(*arguments(*chunk)))
                    bar.update()
        except KeyboardInterrupt:
            for future in flying:
                future.cancel()
            for future, chunk in flying.items():  # what has ended, or in our threads will within a chunk: keep it
                if (own or future.done()) and not future.cancelled() and future.exception() is None:
                    finished(*chunk, future.result())
            return "interrupted: the trajectories that had not run are marked so"
        finally:
            if own and pool is not None:
                pool.shutdown()
    return "all trajectories run"


def _sums(path_x, path_f):
    """Count, mean, sum of squared deviations of x, and mean, min, max of f at each record of a chunk."""
    good = np.isfinite(path_f) & np.isfinite(path_x).all(axis=2)
    count = good.sum(axis=0)
    x, f = np.where(good[:, :, None], path_x, 0.0), np.where(good, path_f, 0.0)
    with np.errstate(all="ignore"):
        mean = x.sum(axis=0) / count[:, None]
        square = (np.where(good[:, :, None], path_x - mean, 0.0) ** 2).sum(axis=0)
        return (count, np.where(count[:, None] > 0, mean, 0.0), square, f.sum(axis=0),
                np.where(good, path_f, np.inf).min(axis=0), np.where(good, path_f, -np.inf).max(axis=0))


def _merged(sums):
    """Statistics of the chunks that ran, merged in their order (Chan, Golub, LeVeque 1983)."""
    rows = []
    for parts in sums:
        parts = [part for part in parts if part is not None]
        if not parts:
            return None
        count, mean, square, total, low, high = parts[0]
        with np.errstate(all="ignore"):  # values near overflow, records without a finite one
            for other in parts[1:]:
                both = count + other[0]
                share = np.divide(other[0], both, out=np.zeros(both.shape), where=both > 0)[:, None]
                shift = other[1] - mean
                square = square + other[2] + shift**2 * count[:, None] * share
                mean, count, total = mean + shift * share, both, total + other[3]
                low, high = np.minimum(low, other[4]), np.maximum(high, other[5])
            rows.append({"count": count, "mean_x": np.where(count[:, None] > 0, mean, np.nan),
                         "var_x": square / count[:, None], "mean_f": total / count, "min_f": low, "max_f": high})
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}
