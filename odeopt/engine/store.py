"""``Store``: the arrays into which the loops write their records."""

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
    Large arrays are moved by the operating system's page tables, not copied, so that the peak is what is kept and
    at most a quarter more (numpy 2.5 holds each array twice while it is resized).
    """

    def __init__(self, dim, memory_rows, most, log=False):
        self.wanted, self.most, rows = memory_rows is not None, most, memory_rows or 0
        self._each = 8 * (6 + dim * (1 + rows))  # bytes of a record
        self.capacity = most if self._each * most <= AT_ONCE else min(most, FIRST)
        shapes = [()] * 6 + [(dim,), (rows, dim)]  # k, n_grad, t, f, grad_norm, lr, x, memory
        kinds = [np.int64] * 2 + [np.float64] * 6
        self.arrays = [np.empty((self.capacity, *shape), kind) for shape, kind in zip(shapes, kinds)]
        self.log = np.empty((0, 4)) if log else None

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
            if not self._there(self._each * capacity, *((array, capacity) for array in self.arrays)):
                return False
            self.capacity = capacity
        return True

    def reserve_log(self, rows):
        """Room for ``rows`` trial steps; False where there is no memory for them."""
        if self.log is None or rows <= len(self.log):
            return True
        rows = max(rows, len(self.log) + len(self.log) // 4)
        return self._there(32 * rows + self._each * self.capacity, (self.log, rows))

    def _there(self, size, *wanted):
        """Resize each array of ``wanted`` if the machine has ``size`` bytes, and say whether it was done.

        A system that promises more memory than it has would end the process instead.
        """
        try:
            checks.memory("records", size)
            for array, rows in wanted:
                _resize(array, rows)
        except (ValueError, MemoryError):
            return False
        return True

    def columns(self, used):
        """What is filled, by the names of Trajectory. No more can be recorded after this."""
        for array in self.arrays:
            _resize(array, used)
        names = ("k", "n_grad", "t", "f", "grad_norm", "lr", "x", "memory")
        return dict(zip(names, self.arrays)) | ({} if self.wanted else {"memory": None})

    def trials(self, used):
        """The log's columns, or None."""
        if self.log is None:
            return None
        _resize(self.log, used)
        t, h, error, accepted = self.log.T
        return {"t": t, "h": h, "error": error, "accepted": accepted > 0}


def _resize(array, rows):
    # Nobody else holds a view of it: the loops get the arrays anew at each call.
    array.resize((rows, *array.shape[1:]), refcheck=False)
