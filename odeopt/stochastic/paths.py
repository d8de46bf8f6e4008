"""``sample``: many stochastic runs of any optimizer, on threads."""

import functools
import json
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import archive, checks, fingerprint
from ..abi import is_compiled
from ..archive import Entry
from ..optimizers import Optimizer
from ..problems import Problem
from ..problems.base import checked
from ..results import Result, coordinates
from ..schedules import Schedule, constant
from ..schedules import driven as driving
from . import loops
from .noise import Minibatch, Noise, no_noise
from .streams import Streams, root_sequence, run_blocks

FORMAT = 2
_COUNT: dict[str, Any] = {"low": 0, "high": checks.LARGEST - 1}
_WORDS = {"status": functools.partial(checks.choice, allowed=("completed", "diverged", "stalled", "interrupted")),
          **dict.fromkeys(("message", "method", "problem", "noise"), archive.text)}
_ARRAYS = {
    "k": Entry("int64", "R", **_COUNT), "t": Entry("float64", "R", finite=True),
    "x": Entry("float64", "paths R n"),
    "stopped": Entry("int64", "paths", low=-1, high=checks.LARGEST), "mean": Entry("float64", "paths n", optional=True),
    "final.k": Entry("int64", **_COUNT), "final.x": Entry("float64", "paths n"),
}
_SAMPLED = _ARRAYS | {
    "final.every": Entry("int64", low=0, high=checks.LARGEST), "final.t": Entry("float64", "paths"),
    "final.average_from": Entry("int64", low=-1, high=checks.LARGEST), "final.s": Entry("float64", "paths slots n"),
    "final.mean": Entry("float64", "paths n"), "final.stopped": Entry("int64", "paths", low=-1, high=checks.LARGEST),
    "final.streams": Entry("uint64", "paths 6"), "final.order": Entry("int64", "paths epoch", low=0),
    "final.noise_constants": Entry("float64", "constants"), "final.origin": Entry("text"),
}
_SIMULATED = _ARRAYS | {"final.every": Entry("int64", low=1, high=checks.LARGEST),
                        "final.z": Entry("float64", "paths rows n")}
_NO_CONSTANTS = np.zeros(1)
_BYTES = 2000  # of a path's generator and state


@dataclass(frozen=True, eq=False, repr=False)
class Paths(Result):
    """Paths of a stochastic method, all recorded at the same steps.

    Attributes
    ----------
    k : (R,) int64
        Recorded steps: 0, every, 2 every, ... and the last.
    t : (R,) float64
        Flow time k h. Methods whose steps differ from path to path: see ``final["t"]``.
    x : (paths, R, n) float64
        NaN from the record on that a path did not reach.
    stopped : (paths,) int64
        Step at which a path ceased to be finite, -1 if it did not.
    mean : (paths, n) or None
        Equal-weight average of the iterates from ``average_from`` on (SWA).
    status : {"completed", "diverged", "stalled", "interrupted"}
        "interrupted" when Ctrl-C ended the run at the step ``k[-1]``, "diverged" when at least one path stopped,
        "stalled" when the schedule left the interval of its hyperparameter and all stopped there.
    message, method, problem, noise : str
    final : dict
        State after the last step, of all paths: what ``resume`` needs.
    """

    k: np.ndarray
    t: np.ndarray
    x: np.ndarray
    stopped: np.ndarray
    mean: np.ndarray | None
    status: str
    message: str
    method: str
    problem: str
    noise: str
    final: dict = field(repr=False)

    @property
    def paths(self):
        """Number of paths."""
        return self.x.shape[0]

    @property
    def end(self):
        """Positions after the last step, (paths, n)."""
        return self.x[:, -1]

    def __repr__(self):
        return (f"<{self.paths} paths of {self.method} on {self.problem} with {self.noise}, "
                f"{self.k[-1]} steps, {self.status}>")

    def rows(self):
        """One dict per path and record; the position is in it where it has at most 100 coordinates."""
        return [{"path": i, "k": int(self.k[r]), "t": float(self.t[r])} | coordinates(self.x[i, r])
                for i in range(self.paths) for r in range(self.k.size)]

    def headline(self):
        return f"{self.paths} paths of {self.method} on {self.problem} with {self.noise}: {self.message}"

    def _whole(self):
        return FORMAT, {name: getattr(self, name) for name in _WORDS}, self._arrays()

    def _arrays(self):
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name in _ARRAYS}
        return {name: value for name, value in own.items() if value is not None} | {
            f"final.{name}": value for name, value in self.final.items()}

    @classmethod
    def load(cls, path):
        """Read what :meth:`save` wrote; ValueError for a file that holds no paths, or a garbled one."""
        with archive.reading(path, "paths"):
            words, arrays = archive.stored(path, FORMAT, _SAMPLED | _SIMULATED)
            words, arrays = archive.check_words(words, _WORDS), _checked(arrays)
            if words["status"] != "interrupted" and (words["status"] == "diverged") != (arrays["stopped"] >= 0).any():
                raise archive.Wrong("status must be 'diverged' exactly where a path stopped")
        final = {name[6:]: arrays.pop(name) for name in list(arrays) if name.startswith("final.")}
        found: dict[str, Any] = words | {"mean": None} | arrays
        return cls(**found, final=final)


def _checked(arrays, **sizes):
    """The arrays of a Paths; :class:`odeopt.archive.Wrong` unless they fit together (``sizes``: n, slots)."""
    arrays = archive.check_arrays(arrays, _SIMULATED if "final.z" in arrays else _SAMPLED, sizes)
    k, order = arrays["k"], arrays.get("final.order", np.empty((0, 0)))
    if not k.size or k[0] != 0 or (np.diff(k) <= 0).any() or k[-1] != arrays["final.k"]:
        raise archive.Wrong("k must increase from 0 to final.k")
    if order.size and (np.sort(order[:, 1:]) != np.arange(order.shape[1] - 1)).any():  # they are places in the data
        raise archive.Wrong("final.order must hold permutations")
    going = arrays["stopped"] < 0
    for name in ("x", "final.x", "final.t", "final.z"):
        if name in arrays and not np.isfinite(arrays[name][going]).all():
            raise archive.Wrong(f"{name} must be finite on paths that did not stop")
    if not np.array_equal(arrays.get("final.stopped", arrays["stopped"]), arrays["stopped"]):
        raise archive.Wrong("final.stopped must be stopped")
    return arrays


def sample(optimizer: Optimizer, problem: Problem, noise: Any = None, x0: ArrayLike | None = None, steps: int = 1000,
           *, paths: int = 1, seed: Any = 0, every: int | None = None, schedule: Any = None, start: str = "cold",
           average_from: Any = None, threads: int | None = None, resume: Any = None,
           progress: bool = False) -> Paths:
    """Run ``paths`` independent stochastic runs of ``optimizer`` and return :class:`Paths`.

    Path i draws from its own stream, child i of ``seed`` (``SeedSequence.spawn``), so that it is
    the same path whatever ``paths`` and ``threads`` are, and whether or not the run was cut in
    two and resumed.

    Parameters
    ----------
    optimizer : Optimizer
        Sees g + noise, or the gradient of a batch, in place of the gradient.
    problem : Problem
    noise : Noise, Minibatch or None
        None: the exact gradient (and every path the same).
    x0 : (n,) or (paths, n) array, optional
    steps : int
    paths : int
    seed : int, numpy.random.SeedSequence or numpy.random.Generator
        A Generator gives a child of its seed sequence, a new one each time.
    every : int, optional
        Stride of the record. Default: the start and the end only.
    schedule : Schedule, optional
    start : "cold", or a (slots, n) or (paths, slots, n) array
        Initial memory.
    average_from : int, optional
        Average the iterates from this step on into ``mean``.
    threads : int, optional
        Default: the processors that this process may use. The paths do not depend on it.
    resume : Paths, optional
        Go on from its end with its streams (then ``x0``, ``paths``, ``seed``, ``start``,
        ``every`` and ``average_from`` come from there); the result is the whole ensemble.
    progress : bool
        Show a progress bar on stderr (only if that is a terminal or a notebook).

    Returns
    -------
    Paths
        After Ctrl-C all paths to one and the same step, with status "interrupted"; resumed, they are the whole run to
        the last bit. A problem or an optimizer of plain Python runs on one thread and loses up to a fifth of a
        second's work; compiled ones first finish that work.

    Raises
    ------
    TypeError, ValueError
        Arguments of a wrong type, shape or range; a batch larger than the data; a noise of
        another dimension than the problem.
    """
    checked(problem)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an Optimizer, got {type(optimizer).__name__}")
    if optimizer.full_batch_only and noise is not None:
        raise ValueError(f"noise must be None for {optimizer.title}, which compares successive exact gradients")
    steps, old = checks.integer("steps", steps, 1), resume
    source, kernel, c, size = _source(noise, problem)
    if not isinstance(schedule, (Schedule, type(None))):
        raise TypeError(f"schedule must be a Schedule or None, got {type(schedule).__name__}")
    driven = -1 if schedule is None else driving.entry(optimizer, schedule.drives)
    origin = {"method": fingerprint.of_method(optimizer), "problem": fingerprint.of_problem(problem),
              "noise": fingerprint.of_others(noise), "schedule": fingerprint.of_others(schedule)}
    if old is not None:
        origin |= {"seed": None if _is_default(seed, 0) else _of_seed(seed),
                   "start": None if _is_default(start, "cold") else _of_start(start, optimizer, problem)}
        _check_resume(old, optimizer, problem, noise, c, origin, x0, paths=None if _is_default(paths, 1) else paths,
                      every=every, average_from=average_from)
        steps = checks.integer("steps", steps, 1, checks.LARGEST - 1 - old.final["k"])
        state, every, average_from = _resumed(old), old.final["every"], old.final["average_from"]
        streams = Streams.restored(old.final["streams"], noise, problem, old.final["order"])
    else:
        paths = checks.integer("paths", paths, 1)
        every = 0 if every is None else checks.integer("every", every, 1)
        average_from = -1 if average_from is None else checks.integer("average_from", average_from)
        recorded_steps(steps, every, paths, problem.dim)
        state = _fresh(optimizer, problem, x0, paths, start)
        seed = root_sequence(seed)
        streams = Streams(seed, paths, noise, problem)
        origin |= {"seed": _of_seed(seed), "start": _of_start(start, optimizer, problem)}
    begin = 0 if old is None else int(old.final["k"])
    last, refusal = begin + steps, ""
    if schedule is None:
        schedule = constant()
    else:
        outside = driving.first_outside(optimizer, schedule, begin, last)
        if outside >= 0:
            refusal = driving.refusal(optimizer, schedule, schedule(outside, optimizer.p[driven]))
            last = outside
        if last == begin:
            raise ValueError(f"{refusal} at step {begin}")
    stride = every or last
    k = recorded_steps(last, every, state["x"].shape[0], problem.dim)
    times = flow_times(k, optimizer.h)
    out = np.full((state["x"].shape[0], k.size, problem.dim), np.nan)
    out[:, 0] = state["x"]
    if old is not None:
        keep = int((old.k[: k.size] == k[: old.k.size]).sum())
        out[:, :keep] = old.x[:, :keep]
    base = np.array(optimizer.p_for(problem.x0))
    compiled = problem.compiled and is_compiled(optimizer.kernel)
    loop = loops.runnable(loops.optimizer_paths, compiled)
    fgb = problem.fgb if source == loops.BATCHES else loops.no_batch

    def advance(rows, xi, batches, count, now):
        loop(problem.fg, fgb, problem.data, source, kernel, c, optimizer.kernel, schedule.kernel, schedule.c,
             driven, base, base.copy(), xi, batches, count, now, stride, average_from, last,
             state["t"][rows], state["stopped"][rows], state["x"][rows], state["s"][rows], state["mean"][rows],
             out[rows])

    reached = run_blocks(advance, streams, list(state.values()), begin, last - begin, size, threads, progress, compiled)
    stopped = state["stopped"]
    if reached < last:
        k, out = cut_short(k, out, reached, state["x"], stopped)
        last, times = reached, flow_times(k, optimizer.h)
        status, message = ended(stopped, last, interrupted=True)
    else:
        status, message = ended(stopped, last, refusal)
    final = dict(k=last, every=every, average_from=average_from, streams=streams.saved(), order=streams.orders(),
                 noise_constants=c, origin=json.dumps(origin), **state)
    return Paths(k, times, out, stopped.copy(), state["mean"].copy() if average_from >= 0 else None, status, message,
                 repr(optimizer), problem.name, repr(noise), final)


def cut_short(k, x, last, end, stopped):
    """The records ``k``, ``x`` of a run that Ctrl-C ended at step ``last`` and at the positions ``end``."""
    count = int((k <= last).sum())
    if k[count - 1] == last:
        return k[:count].copy(), x[:, :count].copy()
    end = np.where(stopped[:, None] < 0, end, np.nan)
    return np.append(k[:count], last), np.concatenate([x[:, :count], end[:, None]], axis=1)


def ended(stopped, last, refusal="", interrupted=False):
    """``(status, message)`` of paths after step ``last``; ``refusal`` says which schedule ended them."""
    bad = stopped[stopped >= 0]
    words = f"{bad.size} of {stopped.size} paths diverged, the first at step {bad.min()}" if bad.size else ""
    if interrupted:
        done = f"interrupted after step {last}; everything before is kept"
        return "interrupted", f"{done}; {words}" if words else done
    words = words or (f"stopped at step {last}" if refusal else f"{last} steps done")
    return ("diverged" if bad.size else "stalled" if refusal else "completed",
            f"{words}: {refusal}" if refusal else words)


def recorded_steps(last, every, paths, dim):
    """0, every, 2 every, ... and ``last`` (``every`` 0: the ends alone); ValueError where the records of all paths
    need more memory than there is."""
    stride = every or last
    count = last // stride + 1 + (last % stride > 0)
    checks.memory("paths, steps and every", paths * (_BYTES + 8 * dim * count))
    k = np.minimum(np.arange(count, dtype=np.int64), last // stride) * stride
    k[-1] = last
    return k


def flow_times(k, h):
    """Flow times k h; ValueError where the last is not finite."""
    if not np.isfinite(float(k[-1]) * h):
        raise ValueError(f"steps times h must be finite, got {k[-1]} steps of h = {h:g}")
    return k * h


def _source(noise, problem):
    """``(source, kernel, constants, numbers per step)``."""
    if noise is None:
        return loops.FULL, no_noise, _NO_CONSTANTS, 0
    if isinstance(noise, Minibatch):
        noise.check(problem)
        return loops.BATCHES, no_noise, _NO_CONSTANTS, noise.size
    if not isinstance(noise, Noise):
        raise TypeError(f"noise must be a Noise, a Minibatch or None, got {type(noise).__name__}")
    return loops.GAUSSIAN, noise.kernel, noise.c, noise.fitted(problem.dim)


def start_points(problem, x0, paths):
    """Starting positions (paths, n), a fresh array; f and its gradient are finite at each."""
    if checks.dimensions(x0) < 2:
        x0 = problem.x0 if x0 is None else checks.point("x0", x0, problem.dim)
        x = np.tile(x0, (paths, 1))
    else:
        x = checks.array("x0", x0, (paths, problem.dim), of="the paths")
    for row in x if np.ndim(x0) == 2 else x[:1]:
        f, g = problem.value_and_grad(row)
        if not (np.isfinite(f) and np.isfinite(g).all()):
            raise ValueError(f"x0 must be points where f and its gradient are finite, got f = {f} at {row[:4]}")
    return x


def _fresh(optimizer, problem, x0, paths, start):
    x = start_points(problem, x0, paths)
    shape = (paths, len(optimizer.slots), problem.dim)
    if isinstance(start, str):
        starts = x if checks.dimensions(x0) == 2 else x[:1]  # also a cold start may look at its point
        s = np.array([optimizer.start(row, problem.grad(row) if start == "consistent" else None, start)
                      for row in starts])
    else:
        s = checks.array("start", start, shape if checks.dimensions(start) == 3 else shape[1:], of="the slots")
    s = np.ascontiguousarray(np.broadcast_to(s, shape)).copy()
    return {"t": np.zeros(paths), "stopped": np.full(paths, -1, dtype=np.int64), "x": x, "s": s, "mean": x.copy()}


def _is_default(value, default):
    return isinstance(value, (str, int)) and value == default


def _of_seed(seed):
    if isinstance(seed, np.random.Generator):
        raise ValueError("seed must be left out when resuming, where the streams go on, got a Generator")
    root = root_sequence(seed)
    return fingerprint.of_value(f"{root.entropy} {root.spawn_key}")


def _of_start(start, optimizer, problem):
    if isinstance(start, str):
        return fingerprint.of_value(start)
    shape = (len(optimizer.slots), problem.dim)
    shape = (None, *shape) if checks.dimensions(start) == 3 else shape
    return fingerprint.of_value(checks.array("start", start, shape))


def _check_resume(old, optimizer, problem, noise, c, origin, x0, **given):
    """ValueError unless ``old`` is a run of these, whole, and what is ``given`` is what it was made with."""
    if not isinstance(old, Paths):
        raise TypeError(f"resume must be a Paths, got {type(old).__name__}")
    if "z" in old.final:
        raise ValueError("resume must come from sample, got a simulated SDE")
    for name, new in (("method", repr(optimizer)), ("problem", problem.name), ("noise", repr(noise))):
        if getattr(old, name) != new:
            raise ValueError(f"resume must come from the same {name} {new}, got {getattr(old, name)}")
    shape = np.shape(old.x)
    if shape[-1:] != (problem.dim,):
        raise ValueError(f"resume must come from a problem of the same dimension {problem.dim}, "
                         f"got {shape[-1] if shape else 'no dimension'}")
    if not np.array_equal(old.final.get("noise_constants", np.empty(0)), c):
        raise ValueError("resume must come from a noise with the same constants")
    fingerprint.compare(old.final.get("origin"), origin)
    try:
        _checked(old._arrays(), n=problem.dim, slots=len(optimizer.slots))
    except archive.Wrong as error:
        raise ValueError(f"resume must be sound Paths: {error}") from None
    if x0 is not None:
        raise ValueError("x0 must be None when resuming: the paths go on from where they stopped")
    kept = {"paths": old.paths, "every": old.final["every"] or None,
            "average_from": old.final["average_from"] if old.final["average_from"] >= 0 else None}
    for name, value in given.items():
        if value is not None and value != kept[name]:
            raise ValueError(f"resume must keep {name} = {kept[name]}, got {checks.shown(value)}")


def _resumed(old):
    return {name: old.final[name].copy() for name in ("t", "stopped", "x", "s", "mean")}
