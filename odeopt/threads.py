"""Updates of large arrays on several threads.

    team = Team(Adam(), threads=2)
    state = team.init(x)
    team.update(x, g, state)

A flat array is cut into slices of 2^17 entries, each with a state of its own; the cut depends on the
size alone, never on the number of threads. Where the update treats each coordinate by itself
(found by trying, :func:`elementwise`) every slice takes the operations that the whole
array would, so the result is the serial one, bit for bit, for any number of threads. An update that
reduces over all coordinates (scalar RMSprop, error control, Amos, Barzilai-Borwein) needs the whole
array before its first entry moves; it runs as one slice, on one thread, and so is the same for any
number as well.

Workers are a pool of threads that lives as long as the Team; kernels hold no interpreter lock. Below
two slices the call runs where it is: handing a slice to a worker costs some 30 microseconds, about
what Adam takes for 20,000 entries.
"""

import concurrent.futures as cf
import contextlib
import os
import signal
import threading
from dataclasses import dataclass

import numpy as np

from . import checks
from .optimizers import Optimizer
from .optimizers.state import _flat

SLICE = 2**17


@dataclass(eq=False)
class TeamState:
    """Steps done ``k``, flow time ``t``, and one (slots, size) array for each slice."""

    k: int
    t: float
    slots: list
    size: int

    def row(self, number):
        """One row of memory, copied together."""
        return np.concatenate([s[number] for s in self.slots])


class Team:
    """An optimizer with a number of threads.

    Parameters
    ----------
    optimizer : Optimizer
    threads : int, optional
        Default: as many as the process may use.

    Raises
    ------
    TypeError, ValueError
        Another kind of optimizer, a number below 1.
    """

    def __init__(self, optimizer, threads=None):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer must be an Optimizer, got {type(optimizer).__name__}")
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.optimizer = optimizer
        self.threads = available if threads is None else checks.integer("threads", threads, 1)
        self.sliced = elementwise(optimizer)
        self._pool = self._pid = None

    def init(self, x):
        """Zeroed state for a float32 or float64 array."""
        view = _flat("x", x, writable=False)
        return TeamState(0, 0.0, [np.ascontiguousarray(self.optimizer.cold_start(view[part]), dtype=view.dtype)
                                  for part in self._parts(view.size)], view.size)

    def update(self, x, g, state):
        """One step in place, as ``Optimizer.update``; ``x`` and ``g`` are single arrays.

        Raises TypeError or ValueError for arrays that are no native float32/float64, not
        C-contiguous, not alike, or (``x``) read-only; nothing has moved then.
        """
        u, v = _flat("x", x, writable=True), _flat("g", g, writable=False)
        if u.size != v.size or u.dtype != v.dtype:
            raise ValueError(f"g must match x: {u.size} of {u.dtype}, got {v.size} of {v.dtype}")
        if state.size != u.size or state.slots[0].dtype != u.dtype:
            raise ValueError(f"state must come from init of an array like x, got {state.size} of "
                             f"{state.slots[0].dtype}")
        if np.may_share_memory(u, v):
            raise ValueError("g must not share memory with x")
        p, kernel, k, parts = self.optimizer.p_for(x), self.optimizer.kernel, state.k, self._parts(u.size)
        jobs = [(u[part], v[part], s) for part, s in zip(parts, state.slots)]

        def work(share):
            for a, b, s in share:
                dt = kernel(k, p, a, b, s)
            return dt

        if len(jobs) < 2:
            dt = work(jobs)
        elif self.threads == 1:
            with uninterrupted():
                dt = work(jobs)
        else:
            kernel(k, p, *(array.copy() for array in (jobs[0][0][:1], jobs[0][1][:1])),
                   np.zeros((state.slots[0].shape[0], 1), u.dtype))  # compiled before the threads ask for it
            shares = [jobs[i :: self.threads] for i in range(min(self.threads, len(jobs)))]
            with uninterrupted():
                waiting = [self._workers().submit(work, share) for share in shares[1:]]
                dt = work(shares[0])
                for future in waiting:
                    future.result()
        state.k += 1
        state.t += dt

    def close(self):
        """End the workers (they also end with the process)."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def _parts(self, size):
        if not self.sliced:
            return [slice(0, size)]
        return [slice(begin, min(begin + SLICE, size)) for begin in range(0, size, SLICE)]

    def _workers(self):
        if self._pool is None or self._pid != os.getpid():  # threads do not survive a fork
            self._pool, self._pid = cf.ThreadPoolExecutor(self.threads - 1, "odeopt"), os.getpid()
        return self._pool


@contextlib.contextmanager
def uninterrupted():
    """Ctrl-C waits until the block is done, so that no slice is left a step behind the others."""
    if threading.current_thread() is not threading.main_thread() or (
            signal.getsignal(signal.SIGINT) is not signal.default_int_handler):
        yield
        return
    asked = []
    signal.signal(signal.SIGINT, lambda *_: asked.append(1))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if asked:
            raise KeyboardInterrupt


def elementwise(optimizer):
    """Whether the update treats each coordinate by itself and all with the same flow time.

    Found by trying: four coordinates of very different sizes, together and one by one.
    """
    rng = np.random.default_rng(1)
    x = rng.standard_normal(4) * np.array([1.0, 1e-3, 10.0, 0.1])
    p, kernel = optimizer.p_for(x), optimizer.kernel
    s = np.ascontiguousarray(optimizer.cold_start(x))
    alone = [(x[i : i + 1].copy(), np.ascontiguousarray(optimizer.cold_start(x[i : i + 1]))) for i in range(4)]
    with np.errstate(all="ignore"):
        for k in range(6):
            g = rng.standard_normal(4) * np.array([1.0, 100.0, 0.01, 3.0])
            dt = kernel(k, p, x, g, s)
            for i, (xi, si) in enumerate(alone):
                if kernel(k, p, xi, g[i : i + 1].copy(), si) != dt or xi[0] != x[i]:
                    return False
    return True
