"""A tanh network of any depth on the first digits: the problem of the edge-of-stability studies."""

import math

import numpy as np

from .. import checks
from ..abi import kernel
from .base import Problem
from .digits import CLASSES, add, add_column_sums, add_row, close, digits, softmax_derivative, softmax_loss
from .digits import subtract_labels as minus_one_hot

LOSSES = ("squared", "cross-entropy")
_HEADER = 7  # leading entries of data: n, d, classes, layers, width, 1 for cross entropy, images a block
# Multiply-adds of a matrix product up to which BLAS keeps to one thread (problems/digits.py says why).
_PRODUCT = 2**18
_LOG2E, _LN2_HIGH, _LN2_LOW = 1.4426950408889634, 0.693147180369123816490, 1.90821492927058770002e-10
_ROUND = 1.5 * 2.0**52  # added to a number of moderate size, it leaves the nearest integer in the lowest bits


@kernel
def tanh_in_place(a):
    """Each element of the vector ``a`` becomes its tanh, to 2 units in the last place; vectorises, unlike libm's.

    tanh y = e/(e + 2), e = exp(2 y) - 1 = 2^k (exp(r) - 1) + (2^k - 1) with |r| <= ln(2)/2.
    """
    for i in range(a.size):
        y = 2.0 * min(max(a[i], -20.0), 20.0)
        z = y * _LOG2E + _ROUND
        k = z - _ROUND
        r = (y - k * _LN2_HIGH) - k * _LN2_LOW
        p = 1 / 6227020800.0
        p = p * r + 1 / 479001600.0
        p = p * r + 1 / 39916800.0
        p = p * r + 1 / 3628800.0
        p = p * r + 1 / 362880.0
        p = p * r + 1 / 40320.0
        p = p * r + 1 / 5040.0
        p = p * r + 1 / 720.0
        p = p * r + 1 / 120.0
        p = p * r + 1 / 24.0
        p = p * r + 1 / 6.0
        p = p * r + 0.5
        p = r + r * r * p
        bits = (np.float64(z).view(np.int64) << np.int64(52)) + (np.int64(1023) << np.int64(52))
        power = np.int64(bits).view(np.float64)
        e = power * p + (power - 1.0)
        a[i] = e / (e + 2.0)


@kernel
def _layer(x, level, d, width, classes, layers):
    """Views (weights (out, in), biases) of layer ``level`` of a vector of parameters, or of their derivatives."""
    first = width * (d + 1)
    inner = width * (width + 1)
    at = 0 if level == 0 else first + (level - 1) * inner
    rows = classes if level == layers else width
    columns = d if level == 0 else width
    middle = at + rows * columns
    return x[at:middle].reshape(rows, columns), x[middle : middle + rows]


@kernel
def _shape(data):
    """(n, d, classes, layers, width, cross entropy, images a block)."""
    return (int(data[0]), int(data[1]), int(data[2]), int(data[3]), int(data[4]), data[5] > 0.0, int(data[6]))


@kernel
def _of_layer(buffer, level, rows, width):
    """The view (rows, width) of hidden layer ``level`` in a buffer for all of them."""
    return buffer[level * rows * width : (level + 1) * rows * width].reshape(rows, width)


@kernel
def _forward(x, images, hidden, d, classes, layers, width):
    """Scores (rows, classes); the hidden layers' values go into the buffer ``hidden``."""
    rows = images.shape[0]
    below = images
    for level in range(layers):
        w, b = _layer(x, level, d, width, classes, layers)
        h = _of_layer(hidden, level, rows, width)
        np.dot(below, w.T, h)
        add_row(h, b)
        tanh_in_place(h.reshape(h.size))
        below = h
    w, b = _layer(x, layers, d, width, classes, layers)
    z = np.dot(below, w.T)
    add_row(z, b)
    return z


@kernel
def _loss_and_error(z, labels, entropy):
    """The summed loss of the scores ``z``, which become its derivative."""
    if entropy:
        f = softmax_loss(z, labels)
        minus_one_hot(z, labels)
        return f
    minus_one_hot(z, labels)
    f = 0.0
    for i in range(z.shape[0]):
        for c in range(z.shape[1]):
            f += 0.5 * z[i, c] * z[i, c]
    return f


@kernel
def _times_slope(a, h):
    """a becomes a (1 - h^2)."""
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            a[i, j] *= 1.0 - h[i, j] * h[i, j]


@kernel
def _loss_and_grad(x, g, images, labels, data):
    _, d, classes, layers, width, entropy, block = _shape(data)
    n = labels.size
    hidden = np.empty(layers * min(block, n) * width)
    g[:] = 0.0
    f = 0.0
    for low in range(0, n, block):
        some, marks = images[low : low + block], labels[low : low + block]
        delta = _forward(x, some, hidden, d, classes, layers, width)
        f += _loss_and_error(delta, marks, entropy)
        for level in range(layers, -1, -1):
            w, _ = _layer(x, level, d, width, classes, layers)
            gw, gb = _layer(g, level, d, width, classes, layers)
            below = some if level == 0 else _of_layer(hidden, level - 1, some.shape[0], width)
            add(gw, np.dot(delta.T, below))
            add_column_sums(gb, delta)
            if level > 0:
                delta = np.dot(delta, w)
                _times_slope(delta, below)
    return f / n + close(x, g, 0.0, n)


@kernel
def _unpack(data):
    n, d = int(data[0]), int(data[1])
    end = _HEADER + n * d
    return data[_HEADER:end].reshape(n, d), data[end : end + n]


@kernel
def _fg(x, g, data):
    images, labels = _unpack(data)
    return _loss_and_grad(x, g, images, labels, data)


@kernel
def _fgb(x, g, data, batch):
    images, labels = _unpack(data)
    some, marks = np.empty((batch.size, images.shape[1])), np.empty(batch.size)
    for k in range(batch.size):
        i = batch[k]
        if i < 0 or i >= labels.size:  # kernels do not check bounds: this would read foreign memory
            g[:] = np.nan
            return np.nan
        some[k] = images[i]
        marks[k] = labels[i]
    return _loss_and_grad(x, g, some, marks, data)


# Pearlmutter's R-operator, as in mlp.py: names with a leading r are derivatives along v.
@kernel
def _hv(x, v, out, data):
    n, d, classes, layers, width, entropy, block = _shape(data)
    images, labels = _unpack(data)
    hidden, rhidden = np.empty(layers * min(block, n) * width), np.empty(layers * min(block, n) * width)
    out[:] = 0.0
    for low in range(0, n, block):
        some, marks = images[low : low + block], labels[low : low + block]
        rows = some.shape[0]
        delta = _forward(x, some, hidden, d, classes, layers, width)
        for level in range(layers):
            vw, vb = _layer(v, level, d, width, classes, layers)
            rh, h = _of_layer(rhidden, level, rows, width), _of_layer(hidden, level, rows, width)
            if level == 0:
                np.dot(some, vw.T, rh)
            else:
                w, _ = _layer(x, level, d, width, classes, layers)
                np.dot(_of_layer(rhidden, level - 1, rows, width), w.T, rh)
                add(rh, np.dot(_of_layer(hidden, level - 1, rows, width), vw.T))
            add_row(rh, vb)
            _times_slope(rh, h)
        w, _ = _layer(x, layers, d, width, classes, layers)
        vw, vb = _layer(v, layers, d, width, classes, layers)
        h, rh = _of_layer(hidden, layers - 1, rows, width), _of_layer(rhidden, layers - 1, rows, width)
        rdelta = np.dot(rh, w.T)
        add(rdelta, np.dot(h, vw.T))
        add_row(rdelta, vb)
        if entropy:
            softmax_loss(delta, marks)
            softmax_derivative(delta, rdelta)
        minus_one_hot(delta, marks)
        for level in range(layers, -1, -1):
            w, _ = _layer(x, level, d, width, classes, layers)
            vw, _ = _layer(v, level, d, width, classes, layers)
            ow, ob = _layer(out, level, d, width, classes, layers)
            below = some if level == 0 else _of_layer(hidden, level - 1, rows, width)
            add(ow, np.dot(rdelta.T, below))
            add_column_sums(ob, rdelta)
            if level > 0:
                rh = _of_layer(rhidden, level - 1, rows, width)
                add(ow, np.dot(delta.T, rh))
                a, ra = np.dot(delta, w), np.dot(rdelta, w)
                add(ra, np.dot(delta, vw))
                for i in range(rows):
                    for j in range(width):
                        slope = 1.0 - below[i, j] * below[i, j]
                        ra[i, j] = slope * ra[i, j] - 2.0 * below[i, j] * rh[i, j] * a[i, j]
                        a[i, j] *= slope
                delta, rdelta = a, ra
    close(v, out, 0.0, n)


def digits_network(width=32, layers=2, loss="squared", images=500, seed=0):
    """f = mean over the first ``images`` digits of the loss of a network 64-width-...-width-10 of tanh.

    The loss is ``"squared"``, |scores - one-hot|^2/2, or ``"cross-entropy"``, -log softmax(scores)[digit]; there are
    ``layers`` >= 1 hidden layers. The 64 inputs are standardised by column over the images taken (constant columns are
    0). x holds weights (outputs, inputs) by rows and then biases, layer after layer, the order of
    torch's Sequential of Linear layers: n = 3,466 by default. The start is torch's: weights and biases
    uniform in +-1/sqrt(inputs), from ``seed``. No penalty. The Hessian product is exact (R-operator) and costs about
    two gradients. With the squared loss gradient descent at lr = 0.3 reaches the edge of stability, curvature 2/lr,
    within a thousand steps and stays there. Sources: Cohen et al., arXiv:2103.00065, for such networks; E. Alpaydin,
    C. Kaynak, doi:10.24432/C50P49, for the images.
    """
    width, layers = checks.integer("width", width, 1), checks.integer("layers", layers, 1, 1000)
    checks.memory("width and layers", 32 * width * (64 + layers * width))
    entropy = checks.choice("loss", loss, LOSSES) == "cross-entropy"
    pixels, labels = digits()
    count = checks.integer("images", images, 1, labels.size)
    pixels, labels = pixels[:count], labels[:count]
    spread = pixels.std(axis=0)
    pixels = (pixels - pixels.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    d = pixels.shape[1]
    block = min(max(_PRODUCT // (width * max(d, width)), 8), 128)
    data = np.concatenate([(count, d, CLASSES, layers, width, entropy, block), pixels.ravel(), labels])
    rng, sizes = np.random.default_rng(checks.integer("seed", seed, high=None)), (d, *(width,) * layers, CLASSES)
    x0 = np.concatenate([rng.uniform(-1.0, 1.0, (before + 1) * after) / math.sqrt(before)
                         for before, after in zip(sizes, sizes[1:])])
    return Problem.from_kernels("digits-network", _fg, _hv, dim=x0.size, x0=x0, data=data, fgb=_fgb, samples=count,
                                about=digits_network.__doc__)
