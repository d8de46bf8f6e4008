"""Every kernel as a fraction of the memory's bandwidth, and bytes a parameter."""

import dataclasses

import numpy as np

from .. import abi, optimizers
from ._clock import best

SIZES = (10_000, 1_000_000, 10_000_000)


@abi.kernel
def stream(x, g, s):
    """The least that an update with these arrays can do: read g, read and write x and every row of s."""
    for i in range(x.size):
        x[i] = x[i] - 0.5 * g[i]
    for j in range(s.shape[0]):
        row = s[j]
        for i in range(x.size):
            row[i] = row[i] + 1.0


@abi.kernel
def stream1(x, g, s):
    """x, one row: one pass."""
    m = s[0]
    for i in range(x.size):
        gi, mi, xi = g[i], m[i], x[i]
        m[i] = mi + gi
        x[i] = xi - mi


@abi.kernel
def stream2(x, g, s):
    """x, two rows: one pass."""
    m, v = s[0], s[1]
    for i in range(x.size):
        gi, mi, vi, xi = g[i], m[i], v[i], x[i]
        m[i] = mi + gi
        v[i] = vi - gi
        x[i] = xi - mi


@abi.kernel
def stream3(x, g, s):
    """x, three rows: one pass."""
    m, v, u = s[0], s[1], s[2]
    for i in range(x.size):
        gi, mi, vi, ui, xi = g[i], m[i], v[i], u[i], x[i]
        m[i] = mi + gi
        v[i] = vi - gi
        u[i] = ui + gi
        x[i] = xi - mi


STREAMS = (stream, stream1, stream2, stream3)


def instances():
    """An instance of every optimizer that stands alone (SWA wraps another)."""
    made = []
    for cls in optimizers.ALL.values():
        missing = [f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING]
        if set(missing) <= {"lr", "tol"}:
            made.append(cls(**dict.fromkeys(missing, 1e-3)))
    return made


def full_rows(optimizer):
    """Rows of the state that hold a number for every parameter."""
    x, s = np.ones(4), np.zeros((len(optimizer.slots), 4))
    for k in range(3):
        optimizer.kernel(k, optimizer.p, x, np.array([1.0, -2.0, 3.0, 4.0]) * (-1) ** k, s)
    return int(sum(bool(s[r, 1:].any()) for r in range(s.shape[0])))


def rows(quick=False, dtypes=("float64", "float32")):
    """``(rows, notes)``: ns a parameter, bytes a parameter, and the fraction of the stream's bandwidth."""
    found, notes = [], []
    for dtype in map(np.dtype, dtypes):
        for size in SIZES[:2] if quick else SIZES:
            limits = {}
            for optimizer in instances():
                full = full_rows(optimizer)
                ns, limit = measure(optimizer, size, dtype, full, limits)
                moved = (1 + 2 * (1 + full)) * dtype.itemsize
                found.append({"optimizer": optimizer.name, "dtype": str(dtype), "n": size, "ns a parameter": ns,
                              "bytes a parameter": moved, "GB/s": moved / ns, "of stream": limit / ns,
                              "state bytes": full * dtype.itemsize})
    return found, notes


def measure(optimizer, size, dtype, full, limits):
    """ns a parameter of the kernel, and of the bare stream over as many arrays (kept in ``limits``)."""
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal(size).astype(dtype), rng.standard_normal(size).astype(dtype)
    s, p, kernel = np.zeros((len(optimizer.slots), size), dtype), optimizer.p, optimizer.kernel
    kernel(0, p, x, g, s)
    ns = best(lambda: kernel(1, p, x, g, s)) / size * 1e9
    if full not in limits:
        rows, bare = np.zeros((full, size), dtype), STREAMS[full] if full < len(STREAMS) else stream
        bare(x, g, rows)
        limits[full] = best(lambda: bare(x, g, rows)) / size * 1e9
    return ns, limits[full]
