"""Linear systems a d = r inside kernels: elimination of a matrix, or conjugate gradients on products alone.

Conjugate gradients solves (alpha I + beta (H + decay I)) d = r for a positive definite matrix, in one product an
eigenvalue (in exact arithmetic). The caller makes the products, for a function handed on to a compiled helper would
keep a kernel from running in the interpreter::

    rr = begin(r, q, d)
    target = TARGET * rr
    for _ in range(2 * n + 10):
        hv(x, q, hq, data)
        rr = advance(rr, alpha, beta, decay, r, q, hq, d)
        if not rr > target:
            break

leaves the solution in ``d`` and its residual in ``r``.
"""

import numpy as np

from .abi import kernel

DENSE = 400  # largest n for which a matrix is formed and eliminated
TARGET = 1e-28  # of |r|^2, where conjugate gradients ends


@kernel
def eliminate(a, b):
    """Solve a d = b by Gaussian elimination with row pivoting; ``a`` is destroyed and ``b`` becomes d, NaN where
    ``a`` is singular."""
    n = b.size
    for k in range(n):
        row, largest = k, abs(a[k, k])
        for i in range(k + 1, n):
            if abs(a[i, k]) > largest:
                row, largest = i, abs(a[i, k])
        if not largest > 0.0:
            for i in range(n):
                b[i] = np.nan
            return
        if row != k:
            for j in range(k, n):
                a[k, j], a[row, j] = a[row, j], a[k, j]
            b[k], b[row] = b[row], b[k]
        upper, pivot = a[k], a[k, k]
        for i in range(k + 1, n):
            lower = a[i]
            factor = lower[k] / pivot
            if factor != 0.0:
                for j in range(k + 1, n):
                    lower[j] -= factor * upper[j]
                b[i] -= factor * b[k]
    for k in range(n - 1, -1, -1):
        row = a[k]
        for j in range(k + 1, n):
            b[k] -= row[j] * b[j]
        b[k] /= row[k]


@kernel
def begin(r, q, d):
    """|r|^2, with the first direction in ``q`` and d = 0."""
    rr = 0.0
    for i in range(r.size):
        q[i] = r[i]
        d[i] = 0.0
        rr += r[i] * r[i]
    return rr


@kernel
def advance(rr, alpha, beta, decay, r, q, hq, d):
    """One step of conjugate gradients, with H q given in ``hq``: the new |r|^2; -1, and no step, where q is not a
    direction of positive curvature, with NaN in ``d`` where H q is not finite."""
    curvature = 0.0
    for i in range(r.size):
        hq[i] = alpha * q[i] + beta * (hq[i] + decay * q[i])
        curvature += q[i] * hq[i]
    if not np.isfinite(curvature):
        for i in range(r.size):
            d[i] = np.nan
    if not 0.0 < curvature < np.inf:
        return -1.0
    step, new = rr / curvature, 0.0
    for i in range(r.size):
        d[i] += step * q[i]
        r[i] -= step * hq[i]
        new += r[i] * r[i]
    ratio = new / rr
    for i in range(r.size):
        q[i] = r[i] + ratio * q[i]
    return new
