"""Large updates on several threads, whole under signals, and the same to the last bit for any number of threads.

``Optimizer.update`` makes one *job*, a kernel call, of each block of a step's arrays. Where the update
treats each coordinate by itself (found by trying, :func:`elementwise`), an array of more than
``SLICE`` entries is several blocks, each with a memory of its own; the cut depends on the size alone,
never on the number of threads, and every slice takes the operations that the whole array would. An
update that reduces over coordinates (scalar RMSprop, error control, Amos, Barzilai-Borwein) needs
the whole array before its first entry moves: it is one job, and so is the same for any number as well.

Workers are a pool that lives as long as the process; kernels hold no interpreter lock. Waking a
worker takes 70 to 120 microseconds on a virtual machine, whatever wakes it, so that two threads gain
from some 350 microseconds of work on: 16 megabytes, for gradient descent and Adam, float32 and
float64 alike.
"""

import _signal  # the module `signal` without its enums, which take 25 microseconds per step  # pyright: ignore[reportMissingImports]
import concurrent.futures as cf
import contextlib
import functools
import math
import os
import threading

import numpy as np

from . import checks

SLICE = 2**17  # entries of the longest array in one piece
WORTH = 2**24  # bytes of x, g and the state from which on a second thread gains
SMALL = 2**15  # entries; below, one array is updated by a shorter way
_SIGNALS = [getattr(_signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2",
                                                "SIGBREAK") if hasattr(_signal, name)]
_TRIED = 2**8  # coordinates of an array that is tried: one of more long axes is not sliced
SLICES = 16  # at most: in each, a row that holds one number takes a (large) page of memory


def available():
    """Threads that the process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def number(threads):
    """The argument ``threads`` of a public function, checked; None for as many as the process may use."""
    return available() if threads is None else checks.integer("threads", threads, 1)


def parts(size):
    """The slices of an array of ``size`` entries, each but the last a multiple of 64 long."""
    length = -(-size // min(SLICES, -(-size // SLICE)))
    length += -length % 64
    return [slice(begin, min(begin + length, size)) for begin in range(0, size, length)]


def run(jobs, threads):
    """``[kernel(*arguments) for kernel, *arguments in jobs]``, at most ``threads`` at once.

    Workers take the next job when they are done with one, so that a slow core holds nobody up.
    """
    if threads < 2 or len(jobs) < 2:
        return [kernel(*arguments) for kernel, *arguments in jobs]
    results, pending = [None] * len(jobs), enumerate(jobs)

    def work():
        for i, (kernel, *arguments) in pending:  # one iterator for all: the interpreter lock guards its next
            results[i] = kernel(*arguments)

    helpers, waiting = min(threads, len(jobs)) - 1, []
    try:
        with contextlib.suppress(RuntimeError):  # no more threads to be had, or the interpreter ends: fewer do
            for _ in range(helpers):
                waiting.append(_workers(helpers, os.getpid()).submit(work))
        work()
    finally:  # nobody goes on writing behind the caller's back
        cf.wait(waiting)
    for future in waiting:
        future.result()
    return results


@functools.cache
def _workers(count, process):
    """A pool for each number of helpers, and each process: threads do not survive a fork."""
    return cf.ThreadPoolExecutor(count, "odeopt")


class Stop:
    """What one thread sets and compiled loops of others see, in ``flag``."""

    def __init__(self):
        self.flag = np.zeros(1, np.int64)

    def set(self):
        self.flag[0] = 1

    def is_set(self):
        return self.flag[0] != 0


class Uninterrupted:
    """A block in which signals that Python handles wait for its end: their handlers may raise, Ctrl-C's does,
    and no array is to be left a step behind the others. (It takes 4 microseconds.)"""

    def __enter__(self):
        self.handlers, self.came, self.waiting = {}, [], False
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                handler = _signal.getsignal(number)
                if callable(handler):
                    self.handlers[number] = handler
                    _signal.signal(number, self)
            self.waiting = True

    def __call__(self, number, frame):
        """The handler meanwhile. One that comes while handlers are put back puts them back itself, then hands on."""
        if self.waiting:
            self.came.append((number, frame))
        else:
            self.put_back()
            self.handlers[number](number, frame)

    def put_back(self):
        """The handlers of before, where nobody else's has been set since."""
        for number, handler in self.handlers.items():
            if _signal.getsignal(number) is self:
                _signal.signal(number, handler)

    def __exit__(self, *_):
        self.waiting = False
        self.put_back()
        for number, frame in self.came:
            self.handlers[number](number, frame)


class OneBlasThread:
    """A block in which scipy's BLAS and LAPACK keep to one thread, where they are OpenBLAS (elsewhere it does nothing).

    Factorising 650 unknowns takes 6 ms on one thread, and on two 140 ms of CPU time as soon as something else runs: the
    threads wait for each other in a loop. The number is the whole process's; the last block that ends puts it back.
    """

    _lock, _open, _before = threading.Lock(), 0, 0

    def __enter__(self):
        get, put = _blas_threads()
        with OneBlasThread._lock:
            if OneBlasThread._open == 0:
                OneBlasThread._before = get()
                put(1)
            OneBlasThread._open += 1

    def __exit__(self, *_):
        with OneBlasThread._lock:
            OneBlasThread._open -= 1
            if OneBlasThread._open == 0:
                _blas_threads()[1](OneBlasThread._before)


@functools.cache
def _blas_threads():
    """Functions that get and set the number of BLAS's threads, or that do nothing."""
    import ctypes

    from scipy.linalg import blas

    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(blas._fblas.__file__)  # finds what this module is linked to
        for prefix in ("scipy_openblas", "openblas"):
            for suffix in ("", "64_"):
                with contextlib.suppress(AttributeError):
                    return (getattr(library, f"{prefix}_get_num_threads{suffix}"),
                            getattr(library, f"{prefix}_set_num_threads{suffix}"))
    return lambda: 1, lambda count: None


def elementwise(optimizer, shape=(4,)):
    """Whether the update of an array of ``shape`` treats each coordinate by itself and all with the same flow time.

    Found by trying: coordinates of very different sizes, together and one by one. Of a vector they are four, of
    other arrays two along each axis that is longer than one. A piece, also that of all coordinates, is a vector,
    whatever the array: an update that does not take it for the same is not elementwise.
    """
    if optimizer.norm_entry is not None:  # however large the bound is
        return False
    small = (4,) if len(shape) == 1 else tuple(min(n, 2) for n in shape)
    size = math.prod(small)
    if size > _TRIED:
        return False
    rng = np.random.default_rng(1)
    x = rng.standard_normal(size) * np.resize([1.0, 1e-3, 10.0, 0.1], size)
    kernel = optimizer.kernel
    s = np.ascontiguousarray(optimizer.fresh(x.reshape(small)))
    cuts = [slice(i, i + 1) for i in range(size)] + [slice(0, size)]
    try:
        p = optimizer.p_for(x.reshape(small))
        pieces = [(cut, optimizer.p_for(x[cut]), x[cut].copy(), np.ascontiguousarray(optimizer.fresh(x[cut])))
                  for cut in cuts]
    except ValueError:  # p may tell the shape, and not every shape
        return False
    with np.errstate(all="ignore"):
        for k in range(6):
            g = rng.standard_normal(size) * np.resize([1.0, 100.0, 0.01, 3.0], size)
            dt = kernel(k, p, x, g, s)
            for cut, p_piece, piece, slots in pieces:
                if kernel(k, p_piece, piece, g[cut].copy(), slots) != dt or not np.array_equal(piece, x[cut]):
                    return False
    return True
