"""Functions of matrices for kernels: products by BLAS, in workspace that the caller hands over; nothing is allocated.

A matrix is a contiguous array of two axes, most often a part of a row of memory (:func:`part`). Rows are the shorter
axis where it matters (``wide``): who has a tall matrix hands over its transpose.
"""

import numpy as np
from numba import types
from numba.extending import overload

from .abi import kernel

BLOCKS = (256, 512)  # rows of a block of a symmetric product: smaller ones lose more in speed than is saved, and in
# larger ones little more is saved, while threads wait for each other at the end of each
TILE = 64  # rows and columns of a piece that is mirrored: two of them stay in cache
SWEEPS = 60  # of Jacobi's rotations, at most; ten are many


@kernel
def part(row, rows, columns):
    """The beginning of a vector as a (rows, columns) matrix, a view."""
    return row[: rows * columns].reshape(rows, columns)


@kernel
def resolution(x):
    """A few units of the last place of 1 in the precision of ``x``."""
    return 1e-15 if x.itemsize == 8 else 5e-7


@kernel
def load(values, x, tall, scale, length):
    """``x`` <- the matrix of the entries ``values``, row after row (of its transpose where ``tall``), over its norm
    ``scale * length`` (:func:`odeopt.sums.scaled_norm`)."""
    r, c = x.shape
    real, usual = x.dtype.type, scale == 1.0 and length > 1e-30  # 1/length is a float32
    over = real(1.0 / length if usual else 0.0)
    for i in range(r):
        for j in range(c):
            value = values[j * r + i] if tall else values[i * c + j]
            x[i, j] = value * over if usual else real(np.float64(value) / scale / length)


@kernel
def symmetric_product(x, out, work, of_x, of_product, of_one):
    """``out`` <- of_product x x^T + of_x x + of_one, of which half is computed, block by block, and mirrored tile by
    tile, so that both sides stay in cache; ``of_x`` is 0 unless x is square. ``work`` is a vector of its size."""
    r, c = x.shape
    step, begin = r if r < 2 * BLOCKS[0] else min(max(r // 2, BLOCKS[0]), BLOCKS[1]), 0
    while begin < r:
        end = min(begin + step, r)
        block = work[: (end - begin) * end].reshape(end - begin, end)
        np.dot(x[begin:end], x[:end].T, block)
        for i in range(begin, end):
            if of_x != 0.0:
                for j in range(end):
                    out[i, j] = of_x * x[i, j] + of_product * block[i - begin, j]
            else:
                for j in range(end):
                    out[i, j] = of_product * block[i - begin, j]
        for top in range(begin, end, TILE):
            bottom = min(top + TILE, end)
            for left in range(0, begin, TILE):
                for j in range(left, min(left + TILE, begin)):
                    for i in range(top, bottom):
                        out[j, i] = out[i, j]
        begin = end
    for i in range(r):
        out[i, i] = out[i, i] + of_one


@kernel
def newton_schulz(x, y, gram, work, steps, a, b, c):
    """``steps`` times X <- (a + b A + c A^2) X with A = X X^T; the result is in ``x``.

    ``x`` and ``y`` are (r, c) with r <= c, ``gram`` (r, r), ``work`` a vector of r max(r, c) entries; |X| must not
    exceed 1.
    """
    r = x.shape[0]
    real = x.dtype.type
    factor, zero = work[: r * r].reshape(r, r), real(0.0)
    there, other = x, y
    for _ in range(steps):
        spare = other.reshape(other.size)  # free until the product with X
        symmetric_product(there, gram, spare, zero, real(1.0), zero)
        symmetric_product(gram, factor, spare, real(b), real(c), real(a))
        np.dot(factor, there, other)
        there, other = other, there
    if steps % 2:
        x[:, :] = y


@kernel
def orthogonal_rows(x, turn):
    """Turn the rows of ``x`` until they are orthogonal: X <- J X, and ``turn`` <- J. (One-sided Jacobi: the rows are
    the right singular vectors times the singular values, the columns of J^T the left ones.)"""
    r, c = x.shape
    least = resolution(x)
    for i in range(r):
        for j in range(r):
            turn[i, j] = x.dtype.type(1.0 if i == j else 0.0)
    for _ in range(SWEEPS):
        turned = False
        for i in range(r):
            for j in range(i + 1, r):
                first, second, both = 0.0, 0.0, 0.0
                for k in range(c):
                    xi, xj = np.float64(x[i, k]), np.float64(x[j, k])
                    first += xi * xi
                    second += xj * xj
                    both += xi * xj
                if not abs(both) > least * np.sqrt(first * second):  # also a NaN
                    continue
                turned = True
                ratio = (second - first) / (2.0 * both)
                tangent = 1.0 / (abs(ratio) + np.sqrt(1.0 + ratio * ratio))
                tangent = tangent if ratio >= 0.0 else -tangent
                cosine = 1.0 / np.sqrt(1.0 + tangent * tangent)
                rotate(x, i, j, cosine, cosine * tangent)
                rotate(turn, i, j, cosine, cosine * tangent)
        if not turned:
            break


@kernel
def rotate(x, i, j, cosine, sine):
    """Rows i and j of ``x`` turned by an angle."""
    for k in range(x.shape[1]):
        xi, xj = np.float64(x[i, k]), np.float64(x[j, k])
        x[i, k] = x.dtype.type(cosine * xi - sine * xj)
        x[j, k] = x.dtype.type(sine * xi + cosine * xj)


@kernel
def polar(x, y, turn):
    """``y`` <- the orthogonal polar factor U V^T of ``x`` = U S V^T, (r, c) with r <= c; ``x`` is overwritten.

    Singular values below c units of the last place of the largest count as 0: in their directions nothing is known
    of the factor, and it is 0 there. ``turn`` is (r, r).
    """
    r, c = x.shape
    orthogonal_rows(x, turn)
    largest = 0.0
    for i in range(r):
        square = 0.0
        for k in range(c):
            square += np.float64(x[i, k]) * np.float64(x[i, k])
        largest = max(largest, np.sqrt(square))
    for i in range(r):
        square = 0.0
        for k in range(c):
            square += np.float64(x[i, k]) * np.float64(x[i, k])
        length = np.sqrt(square)
        over = x.dtype.type(0.0 if length <= c * resolution(x) * largest else 1.0 / length)
        for k in range(c):
            x[i, k] = x[i, k] * over
    np.dot(turn.T, x, y)


@kernel
def both_sides(left, x, right, has_left, has_right, work, out):
    """``out`` <- left x right, or with one of the two factors alone; ``work`` has the shape of ``x``."""
    if has_left and has_right:
        np.dot(left, x, work)
        np.dot(work, right, out)
    elif has_left:
        np.dot(left, x, out)
    else:
        np.dot(x, right, out)


@kernel
def average_square(x, old, mean, work):
    """``mean`` <- old mean + x x^T, infinite in every entry once it overflows (some would be NaN)."""
    np.dot(x, x.T, work)
    trace = 0.0
    for i in range(mean.shape[0]):
        for j in range(mean.shape[1]):
            mean[i, j] = old * mean[i, j] + work[i, j]
        trace += mean[i, i]
    if np.isinf(trace):
        mean[:, :] = np.inf
        work[:, :] = np.inf  # often a part of a state, in which NaN means something else


@kernel
def inverse_root(a, eps, exponent, w, out):
    """``out`` <- (A + eps)^(-exponent) of a positive semidefinite A, which is overwritten; ``w`` is a vector.

    Eigenvalues below a unit of the last place of the largest, for each row, count as that: less is not known of
    them. 0 is the root of a matrix that is 0, where eps is, and of one that has overflowed.
    """
    n = a.shape[0]
    trace = 0.0
    for i in range(n):
        trace += np.float64(a[i, i])
    if not trace < np.inf:
        out[:, :] = 0.0 if trace == np.inf else np.nan
        return
    eigenvectors(a, w)
    least = n * resolution(a) * np.float64(w[n - 1])
    for i in range(n):
        value = max(np.float64(w[i]), least) + eps
        factor = a.dtype.type(value ** (-0.5 * exponent) if value > 0.0 else 0.0)
        for j in range(n):
            a[i, j] = factor * a[i, j]
    np.dot(a.T, a, out)


@kernel
def power_step(mean, basis, values, work, of_rows):
    """The rows of ``basis`` <- an orthonormal basis of those of ``basis`` times ``mean``, sorted by their Rayleigh
    quotients, the largest first; the rows of ``values`` go with them. Nothing where ``mean`` has overflowed."""
    n = basis.shape[0]
    trace, moved = 0.0, part(work, n, n)
    for i in range(n):
        trace += np.float64(mean[i, i])
    if n == 0 or not trace < np.inf:
        return
    np.dot(basis, mean, moved)
    for i in range(n):
        quotient = 0.0
        for j in range(n):
            quotient += np.float64(basis[i, j]) * np.float64(moved[i, j])
        of_rows[i] = quotient
    for i in range(n):
        largest = i
        for j in range(i + 1, n):
            if of_rows[j] > of_rows[largest]:
                largest = j
        if largest != i:
            of_rows[i], of_rows[largest] = of_rows[largest], of_rows[i]
            for j in range(n):
                moved[i, j], moved[largest, j] = moved[largest, j], moved[i, j]
            for j in range(values.shape[1]):
                values[i, j], values[largest, j] = values[largest, j], values[i, j]
    orthonormal(moved, of_rows[:n])
    basis[:, :] = moved


# LAPACK, as numba finds it in scipy. It takes workspace of its own; numba's np.linalg copies the matrices as well.


def _lapack(name, *arguments):
    return types.ExternalFunction(name, types.intc(types.char, *arguments))


def eigenvectors(a, w):
    """The rows of ``a``, symmetric, <- its unit eigenvectors, ``w`` <- its eigenvalues, in ascending order."""
    w[:], vectors = np.linalg.eigh(a)
    a[:, :] = vectors.T


@overload(eigenvectors)
def _compiled_eigenvectors(a, w):
    of_a = types.CPointer(a.dtype)
    solve = _lapack("numba_ez_xxxevd", types.char, types.char, types.intp, of_a, types.intp, of_a)
    kind, vectors, lower = ord("d" if a.dtype == types.float64 else "s"), ord("V"), ord("L")

    def compiled(a, w):
        n = a.shape[0]
        if solve(kind, vectors, lower, n, a.ctypes, n, w.ctypes) != 0:
            a[:, :] = np.nan
            w[:] = np.nan

    return compiled


def orthonormal(a, w):
    """The rows of ``a``, square, <- an orthonormal basis of which the first i span those of the first i rows."""
    a[:, :] = np.linalg.qr(a.T)[0].T


@overload(orthonormal)
def _compiled_orthonormal(a, w):
    of_a = types.CPointer(a.dtype)
    factor = _lapack("numba_ez_geqrf", types.intp, types.intp, of_a, types.intp, of_a)
    product = _lapack("numba_ez_xxgqr", types.intp, types.intp, types.intp, of_a, types.intp, of_a)
    kind = ord("d" if a.dtype == types.float64 else "s")

    def compiled(a, w):
        n = a.shape[0]
        failed = factor(kind, n, n, a.ctypes, n, w.ctypes)
        if failed != 0 or product(kind, n, n, n, a.ctypes, n, w.ctypes) != 0:
            a[:, :] = np.nan

    return compiled
