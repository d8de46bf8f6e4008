"""``Store``: the arrays into which the loops write their records."""

import math
import mmap
import sys
from typing import Any

import numpy as np

from .. import checks

AT_ONCE = 2**28  # bytes: if all records need no more there is room for all from the start; untouched it costs nothing
FIRST = 4096  # records that there is room for at the start of longer runs
ROWS = 2**16  # rows that may be added at once, however few there are; beyond that a quarter of what there is


class Store:
    """Room for the records of a run: arrays that grow and shrink in place.

    Parameters
    ----------
    dim : int
    memory_rows : int or None
        None keeps no memory.
    most : int
        Records that the run can have at most.
    log : bool
        Whether there is a log of trial steps, ``log``, with a row (t, h, error, accepted) for each.

    Notes
    -----
    What grows lies in pages of its own, which the operating system moves by its tables and does not copy, so that the
    peak is what is kept and at most a quarter more.
    """

    def __init__(self, dim, memory_rows, most, log=False):
        self.wanted, self.most, rows = memory_rows is not None, most, memory_rows or 0
        self._each = 8 * (6 + dim * (1 + rows))  # bytes of a record
        self.capacity = most if self._each * most <= AT_ONCE else min(most, FIRST)
        shapes = [()] * 6 + [(dim,), (rows, dim)]  # k, n_grad, t, f, grad_norm, lr, x, memory
        kinds = [np.int64] * 2 + [np.float64] * 6
        grows = self.capacity < most
        self._rows = [_Rows(self.capacity, shape, kind, grows) for shape, kind in zip(shapes, kinds)]
        self._log = _Rows(0, (4,), np.float64, True) if log else None

    @property
    def arrays(self):
        """Room for k, n_grad, t, f, grad_norm, lr, x and memory, to be asked for anew after each :meth:`reserve`."""
        return [rows.array for rows in self._rows]

    @property
    def log(self):
        """Room for the trial steps, or None; likewise."""
        return None if self._log is None else self._log.array

    def rows(self, used, most):
        """How many rows may be added to ``used`` at once: ``most``, or fewer."""
        return min(most, max(ROWS, used // 4))

    def refuse_too_many(self):
        """ValueError where all of the records, which are certain to be asked for, need more memory than there is."""
        checks.memory("steps and every", self._each * self.most)

    def reserve(self, used, more):
        """Room for ``more`` records after the first ``used``; False where there is no memory for them."""
        needed = used + more
        if needed > self.capacity:
            capacity = max(needed, min(self.most, self.capacity + self.capacity // 4))
            if not self._there(self._each * capacity, *((rows, capacity) for rows in self._rows)):
                return False
            self.capacity = capacity
        return True

    def reserve_log(self, rows):
        """Room for ``rows`` trial steps; False where there is no memory for them."""
        if self._log is None or rows <= len(self._log.array):
            return True
        rows = max(rows, len(self._log.array) + len(self._log.array) // 4)
        return self._there(32 * rows + self._each * self.capacity, (self._log, rows))

    def _there(self, size, *wanted):
        """Resize each of ``wanted`` if the machine has ``size`` bytes, and say whether it was done.

        A system that promises more memory than it has would end the process instead.
        """
        try:
            checks.memory("records", size)
            for one, rows in wanted:
                one.resize(rows)
        except (ValueError, MemoryError, OSError):
            return False
        return True

    def columns(self, used):
        """What is filled, by the names of Trajectory. No more can be recorded after this."""
        for rows in self._rows:
            rows.resize(used)
        names = ("k", "n_grad", "t", "f", "grad_norm", "lr", "x", "memory")
        return dict(zip(names, self.arrays)) | ({} if self.wanted else {"memory": None})

    def trials(self, used):
        """The log's columns, or None."""
        if self._log is None:
            return None
        self._log.resize(used)
        t, h, error, accepted = self._log.array.T
        return {"t": t, "h": h, "error": error, "accepted": accepted > 0}


class _Rows:
    """``array``, of (rows, *shape) entries, whose number of rows changes where it lies.

    numpy's own ``resize`` copies a large array, because it advises large pages for a part of it alone, and parts of
    different advice do not move together.
    """

    def __init__(self, rows, shape, kind, grows):
        self._shape, self._kind, self._count = shape, np.dtype(kind), rows
        linux = sys.platform.startswith("linux")  # elsewhere an anonymous map has one size
        self._pages = self._mapped(rows) if grows and linux else None
        self._own: Any = np.empty((rows, *shape), kind) if self._pages is None else None

    @property
    def array(self) -> np.ndarray:
        """A view of the pages made anew, or the array itself."""
        if self._pages is None:
            return self._own
        count = self._count * math.prod(self._shape)
        return np.frombuffer(self._pages, self._kind, count).reshape(self._count, *self._shape)

    def resize(self, rows):
        """Room for so many rows. An exception may come between any two lines: there is never less than is counted."""
        if self._own is not None:
            self._own.resize((rows, *self._shape), refcheck=False)
            return
        assert self._pages is not None
        self._count = min(self._count, rows)
        try:
            self._pages.resize(self._bytes(rows))
        except BufferError:  # frames of a Ctrl-C, or of a compilation on the way, keep what they were called with
            pages = self._mapped(rows)
            pages[: self._bytes(self._count)] = self._pages[: self._bytes(self._count)]
            self._pages = pages
        self._count = rows

    def _mapped(self, rows):
        pages = mmap.mmap(-1, self._bytes(rows), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            pages.madvise(mmap.MADV_HUGEPAGE)
        return pages

    def _bytes(self, rows):
        return max(1, rows * math.prod(self._shape) * self._kind.itemsize)
