"""Functions of matrices for kernels: products by BLAS, in workspace that the caller hands over; nothing is allocated.

A matrix is a contiguous array of two axes, most often a part of a row of memory (:func:`part`). Rows are the shorter
axis where it matters (``wide``): who has a tall matrix hands over its transpose.
"""

import numpy as np

from .abi import kernel

BLOCK = 256  # rows of a block of a symmetric product: smaller ones lose more in speed than is saved
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
def symmetric_product(x, out, work):
    """``out`` <- x x^T, of which half is computed, block by block; ``work`` is a vector of out's size."""
    r, c = x.shape
    if r < 2 * BLOCK:
        np.dot(x, x.T, out)
        return
    begin = 0
    while begin < r:
        end = min(begin + BLOCK, r)
        block = work[: (end - begin) * end].reshape(end - begin, end)
        np.dot(x[begin:end], x[:end].T, block)
        out[begin:end, :end] = block
        out[:end, begin:end] = block.T
        begin = end


@kernel
def newton_schulz(x, y, gram, work, steps, a, b, c):
    """``steps`` times X <- a X + (b A + c A^2) X with A = X X^T; the result is in ``x``.

    ``x`` and ``y`` are (r, c) with r <= c, ``gram`` (r, r), ``work`` a vector of r max(r, c) entries; |X| must not
    exceed 1.
    """
    r, columns = x.shape
    real = x.dtype.type
    of_x, of_gram, of_square = real(a), real(b), real(c)
    square = work[: r * r].reshape(r, r)
    spare = y.reshape(y.size)  # free while the products of A are made
    for _ in range(steps):
        symmetric_product(x, gram, spare)
        symmetric_product(gram, square, spare)
        for i in range(r):
            for j in range(r):
                gram[i, j] = of_gram * gram[i, j] + of_square * square[i, j]
        np.dot(gram, x, y)
        for i in range(r):
            for j in range(columns):
                x[i, j] = of_x * x[i, j] + y[i, j]


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
