"""The UCI optical digits (1,797 images of 8x8 pixels), and what both models on them share.

Source and licence of the images: ``data/README.md``. They are read on first use. The kernels
add in loops: assigning an array to a slice would drag numba's text formatting (for a message about
shapes) into each, 2-3 s to compile.
"""

import math

import numpy as np

from .. import checks
from ..abi import kernel

CLASSES = 10
HEADER = 5  # leading entries of a problem's data: n, d, classes, l2, hidden units
# Images a matrix product: it stays in the cache, and so small that BLAS keeps to one thread. Two
# threads gain a quarter on an idle machine, lose a factor of ten on a busy one, and their number
# would show in the last digits.
BLOCK = 128
# 1/ln 2, ln 2 in two parts (the first of few digits), and what rounds to an integer when added and taken away.
_PER_LN2, _LN2, _LN2_REST = 1.4426950408889634, 0.693147180369123816490, 1.90821492927058770002e-10
_TO_INTEGER = 6755399441055744.0  # 1.5 2^52
_HELD_OUT = 5  # every fifth image of a class is a test image


def digits():
    """``(images, labels)``: (1797, 64) float64 in [0, 1], (1797,) int64; new arrays."""
    from importlib.resources import files

    with (files("odeopt.problems") / "data" / "digits.npz").open("rb") as stream:
        archive = np.load(stream)
        return archive["images"] / 16.0, archive["labels"].astype(np.int64)


def digits_split(part="train"):
    """``(images, labels)`` of ``part``: "train" (1,442), "test" (355) or "all" (1,797).

    Every fifth image of each class, in the order of the file, is a test image: no random numbers,
    the classes balanced alike on both sides. Writers occur on both sides.
    """
    checks.choice("part", part, ("all", "train", "test"))
    images, labels = digits()
    if part == "all":
        return images, labels
    held_out = np.zeros(labels.size, dtype=bool)
    for c in range(CLASSES):
        held_out[np.flatnonzero(labels == c)[_HELD_OUT - 1 :: _HELD_OUT]] = True
    chosen = held_out if part == "test" else ~held_out
    return images[chosen], labels[chosen]


def pack(part, l2, hidden=0):
    """``(samples, data)`` of a model on ``part``: the header, the images by rows, the labels."""
    images, labels = digits_split(part)
    n, d = images.shape
    return n, np.concatenate(((n, d, CLASSES, l2, hidden), images.ravel(), labels))


@kernel
def unpack(data):
    """Views ``(images, labels)`` of packed ``data``."""
    n, d = int(data[0]), int(data[1])
    end = HEADER + n * d
    return data[HEADER:end].reshape(n, d), data[end : end + n]


@kernel
def gather(data, batch):
    """Copies ``(images, labels, inside)`` of the samples ``batch``; inside: all indices exist."""
    images, labels = unpack(data)
    some = np.empty((batch.size, images.shape[1]))
    marks = np.empty(batch.size)
    for k in range(batch.size):
        i = batch[k]
        if i < 0 or i >= labels.size:  # kernels do not check bounds: this would read foreign memory
            return some, marks, False
        for j in range(images.shape[1]):
            some[k, j] = images[i, j]
        marks[k] = labels[i]
    return some, marks, True


@kernel
def exponentials(x):
    """exp of each entry of the vector ``x`` in its place, for entries of at most 700; below -708 as of -708, 3e-308.

    Within one unit of the last place. Without calls, so that the loop runs in vector units: 2^k e^r with r in
    [-ln 2/2, ln 2/2] by Taylor's polynomial of degree 13, and 2^k written as bits.
    """
    for i in range(x.size):
        y = x[i]
        y = -708.0 if y < -708.0 else y
        k = (y * _PER_LN2 + _TO_INTEGER) - _TO_INTEGER
        r = (y - k * _LN2) - k * _LN2_REST
        e = 1 / 6227020800
        e = e * r + 1 / 479001600
        e = e * r + 1 / 39916800
        e = e * r + 1 / 3628800
        e = e * r + 1 / 362880
        e = e * r + 1 / 40320
        e = e * r + 1 / 5040
        e = e * r + 1 / 720
        e = e * r + 1 / 120
        e = e * r + 1 / 24
        e = e * r + 1 / 6
        e = e * r + 0.5
        e = e * r + 1.0
        e = e * r + 1.0
        k = k if k == k else 0.0  # NaN has no integer
        x[i] = e * np.int64((np.int64(k) + 1023) << 52).view(np.float64)


@kernel
def softmax_loss(z, labels):
    """Sum of the cross entropies of the scores ``z`` (n, classes); ``z`` becomes the probabilities.

    The largest score of a row is taken out first, so no exponential overflows; the sum over the
    rows is compensated (Kahan), so that differences f - f_min mean something down to 1e-15.
    """
    n, classes = z.shape
    loss, lost = 0.0, 0.0
    for i in range(n):
        top = z[i, 0]
        for c in range(1, classes):
            top = max(top, z[i, c])
        term = top - z[i, int(labels[i])] - lost
        lost = (loss + term - loss) - term
        loss += term
        for c in range(classes):
            z[i, c] -= top
    exponentials(z.reshape(n * classes))
    for i in range(n):
        total = 0.0
        for c in range(classes):
            total += z[i, c]
        term = math.log(total) - lost
        lost = (loss + term - loss) - term
        loss += term
        for c in range(classes):
            z[i, c] /= total
    return loss


@kernel
def subtract_labels(p, labels):
    """``p`` (n, classes) becomes p - one-hot labels, the summed loss's derivative by the scores."""
    for i in range(labels.size):
        p[i, int(labels[i])] -= 1.0


@kernel
def softmax_derivative(p, rz):
    """``rz``, a change of the scores, becomes the change it makes in p - one-hot."""
    n, classes = p.shape
    for i in range(n):
        mean = 0.0
        for c in range(classes):
            mean += p[i, c] * rz[i, c]
        for c in range(classes):
            rz[i, c] = p[i, c] * (rz[i, c] - mean)


@kernel
def close(x, g, l2, n):
    """A sum's gradient ``g`` becomes the mean's plus the penalty's; returns l2/2 |x|^2."""
    total = 0.0
    for i in range(x.size):
        g[i] = g[i] / n + l2 * x[i]
        total += x[i] * x[i]
    return 0.5 * l2 * total


@kernel
def add_row(a, row):
    """``row`` is added to each row of ``a``."""
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            a[i, j] += row[j]


@kernel
def add(total, a):
    """``a`` is added to ``total``, both matrices."""
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            total[i, j] += a[i, j]


@kernel
def add_column_sums(total, a):
    """The sum of the rows of ``a`` is added to ``total``."""
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            total[j] += a[i, j]
