"""Every kernel as a fraction of the memory's bandwidth, and bytes per parameter.

The limit is a *stream*: one pass that reads g, and reads and writes x and as many rows as the kernel
has, with next to no arithmetic. Kernel and stream take turns on the very same arrays, and the median
of the ratios counts, so that neither the pages nor the minute make the difference (times are the
best). On one thread an update with one root and one division per entry may be held up by these (in cache,
n = 10,000, one sees by how much); on all threads the memory is what is short, as it is for a program
that uses the machine. CPU time on one thread, wall time on several.
"""

import time

import numpy as np

from .. import abi, optimizers, threads
from ._clock import turns

SIZES = (10_000, 1_000_000, 10_000_000)


@abi.kernel
def stream0(c, x, g, s):
    """x alone."""
    c = x.dtype.type(c)
    for i in range(x.size):
        x[i] = x[i] - c * g[i]


@abi.kernel
def stream1(c, x, g, s):
    """x, one row."""
    c, m = x.dtype.type(c), s[0]
    for i in range(x.size):
        gi, mi, xi = c * g[i], m[i], x[i]
        m[i] = mi + gi
        x[i] = xi - gi


@abi.kernel
def stream2(c, x, g, s):
    """x, two rows."""
    c, m, v = x.dtype.type(c), s[0], s[1]
    for i in range(x.size):
        gi, mi, vi, xi = c * g[i], m[i], v[i], x[i]
        m[i] = mi + gi
        v[i] = vi + gi
        x[i] = xi - gi


@abi.kernel
def stream3(c, x, g, s):
    """x, three rows."""
    c, m, v, u = x.dtype.type(c), s[0], s[1], s[2]
    for i in range(x.size):
        gi, mi, vi, ui, xi = c * g[i], m[i], v[i], u[i], x[i]
        m[i] = mi + gi
        v[i] = vi + gi
        u[i] = ui + gi
        x[i] = xi - gi


@abi.kernel
def stream4(c, x, g, s):
    """x, four rows."""
    c, m, v, u, w = x.dtype.type(c), s[0], s[1], s[2], s[3]
    for i in range(x.size):
        gi, mi, vi, ui, wi, xi = c * g[i], m[i], v[i], u[i], w[i], x[i]
        m[i] = mi + gi
        v[i] = vi + gi
        u[i] = ui + gi
        w[i] = wi + gi
        x[i] = xi - gi


STREAMS = (stream0, stream1, stream2, stream3, stream4)  # by the number of rows


def instances():
    """An instance of every optimizer that stands alone (SWA and Clipped wrap another)."""
    return [cls.default() for cls in optimizers.ALL.values()]


def full_rows(optimizer):
    """Rows of the state that hold a number for every parameter and are used (found by trying; they come first)."""
    x, s = np.ones(4), np.zeros((len(optimizer.slots), 4))
    for k in range(3):
        optimizer.kernel(k, optimizer.p, x, np.array([1.0, -2.0, 3.0, 4.0]) * (-1) ** k, s)
    return int(sum(bool(s[r, 1:].any()) for r in range(s.shape[0])))


def rows(quick=False, dtypes=("float64", "float32"), chosen=None):
    """``(rows, notes)``: ns and bytes per parameter, and the fraction of the stream's bandwidth.

    ``chosen``: the optimizers, default :func:`instances`.
    """
    chosen = instances() if chosen is None else chosen
    found = []
    for dtype in map(np.dtype, dtypes):
        for size in SIZES[:2] if quick else SIZES:
            for optimizer in chosen:
                full, alone = full_rows(optimizer), threads.elementwise(optimizer)
                moved = (1 + 2 * (1 + full)) * dtype.itemsize
                for count in sorted({1, threads.available()}) if alone and size > threads.SLICE else (1,):
                    ns, fraction = measure(optimizer, size, dtype, full, count)
                    found.append({"optimizer": optimizer.key, "dtype": str(dtype), "n": size, "threads": count,
                                  "passes": "one" if alone else "several", "ns per parameter": ns,
                                  "bytes per parameter": moved, "GB/s": moved / ns, "of stream": fraction,
                                  "state bytes": full * dtype.itemsize})
    return found, ["of stream: time of a bare pass over the same arrays, over the kernel's (median of paired laps; CPU "
                   "time on one thread, wall time on several)",
                   "bytes per parameter: read and written by a step; state bytes: what the optimizer keeps",
                   "an update that reduces over all entries passes over the arrays more than once: its fraction is "
                   "of a stream that passes once"]


def measure(optimizer, size, dtype, full, count=1):
    """ns per parameter of the kernel, and the stream's time over its, on the same arrays and ``count`` threads."""
    if full >= len(STREAMS):
        raise ValueError(f"optimizer must keep at most {len(STREAMS) - 1} numbers for each parameter to be measured, "
                         f"got {full} of {optimizer!r}")
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal(size).astype(dtype), rng.standard_normal(size).astype(dtype)
    kernels, streams, state = [], [], optimizer.init(x)
    for (_, _, cut), s in zip(state.blocks, state.slots):
        u, v = (x[slice(*cut)], g[slice(*cut)]) if cut else (x, g)
        p = np.array(optimizer.p_for(u))  # a wrapper's tells where the wrapped kernel of this precision is
        optimizer.kernel(0, p, u, v, s)
        kernels.append((optimizer.kernel, 1, p, u, v, s))
        streams.append((STREAMS[full], 0.0, u, v, s[:full]))  # times 0: the numbers stay what they are
    clock = time.perf_counter if count > 1 else time.process_time
    ours, stream = turns([lambda: threads.run(kernels, count), lambda: threads.run(streams, count)], 15, clock=clock)
    return min(ours) / size * 1e9, float(np.median(np.array(stream) / ours))
