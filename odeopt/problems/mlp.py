"""A one-hidden-layer tanh network on the digits: the non-convex problem with real data."""

import math

import numpy as np

from .. import checks
from ..abi import kernel
from .base import Problem
from .classifier import DigitsModel
from .digits import (
    BLOCK,
    CLASSES,
    add,
    add_column_sums,
    add_row,
    close,
    gather,
    pack,
    softmax_derivative,
    softmax_loss,
    subtract_labels,
    unpack,
)


@kernel
def _layers(x, d, hidden, classes):
    """Views (W1, b1, W2, b2) of a vector of parameters (or of their derivatives)."""
    i = d * hidden
    j = i + hidden
    k = j + hidden * classes
    return x[:i].reshape(d, hidden), x[i:j], x[j:k].reshape(hidden, classes), x[k:]


@kernel
def _forward(images, w1, b1, w2, b2):
    """Hidden values tanh(X W1 + b1) and scores H W2 + b2."""
    h = np.dot(images, w1)
    for i in range(h.shape[0]):
        for j in range(h.shape[1]):
            h[i, j] = math.tanh(h[i, j] + b1[j])
    z = np.dot(h, w2)
    add_row(z, b2)
    return h, z


@kernel
def _loss_and_grad(x, g, images, labels, data):
    classes, l2, hidden = int(data[2]), data[3], int(data[4])
    n, d = images.shape
    w1, b1, w2, b2 = _layers(x, d, hidden, classes)
    g1, c1, g2, c2 = _layers(g, d, hidden, classes)
    g[:] = 0.0
    f = 0.0
    for low in range(0, n, BLOCK):
        some, marks = images[low : low + BLOCK], labels[low : low + BLOCK]
        h, z = _forward(some, w1, b1, w2, b2)
        f += softmax_loss(z, marks)
        subtract_labels(z, marks)  # z = df/dz from here on
        add(g2, np.dot(h.T, z))
        add_column_sums(c2, z)
        a = np.dot(z, w2.T)  # df/dh, then df/d(before tanh)
        for i in range(a.shape[0]):
            for j in range(hidden):
                a[i, j] *= 1.0 - h[i, j] * h[i, j]
        add(g1, np.dot(some.T, a))
        add_column_sums(c1, a)
    return f / n + close(x, g, l2, n)


@kernel
def _fg(x, g, data):
    images, labels = unpack(data)
    return _loss_and_grad(x, g, images, labels, data)


@kernel
def _fgb(x, g, data, batch):
    images, labels, inside = gather(data, batch)
    if not inside:
        g[:] = np.nan
        return np.nan
    return _loss_and_grad(x, g, images, labels, data)


# Pearlmutter's R-operator: R{q} is the derivative of q along v. Each line of the gradient above
# is differentiated in its order; names with a leading r are R{...}.
@kernel
def _hv(x, v, out, data):
    images, labels = unpack(data)
    classes, l2, hidden = int(data[2]), data[3], int(data[4])
    n, d = images.shape
    w1, b1, w2, b2 = _layers(x, d, hidden, classes)
    v1, e1, v2, e2 = _layers(v, d, hidden, classes)
    o1, p1, o2, p2 = _layers(out, d, hidden, classes)
    out[:] = 0.0
    for low in range(0, n, BLOCK):
        some, marks = images[low : low + BLOCK], labels[low : low + BLOCK]
        h, z = _forward(some, w1, b1, w2, b2)
        rh = np.dot(some, v1)
        for i in range(rh.shape[0]):
            for j in range(hidden):
                rh[i, j] = (1.0 - h[i, j] * h[i, j]) * (rh[i, j] + e1[j])
        rz = np.dot(rh, w2)
        add(rz, np.dot(h, v2))
        add_row(rz, e2)
        softmax_loss(z, marks)
        softmax_derivative(z, rz)  # rz = R{df/dz}
        subtract_labels(z, marks)  # z = df/dz
        add(o2, np.dot(rh.T, z))
        add(o2, np.dot(h.T, rz))
        add_column_sums(p2, rz)
        a = np.dot(z, w2.T)
        ra = np.dot(rz, w2.T)
        add(ra, np.dot(z, v2.T))
        for i in range(a.shape[0]):
            for j in range(hidden):
                ra[i, j] = (1.0 - h[i, j] * h[i, j]) * ra[i, j] - 2.0 * h[i, j] * rh[i, j] * a[i, j]
        add(o1, np.dot(some.T, ra))
        add_column_sums(p1, ra)
    close(v, out, l2, n)


def digits_mlp(hidden=32, l2=1e-4, part="all", seed=0):
    """f = mean of -log softmax(W2' tanh(W1' x + b1) + b2)[digit] + l2/2 |all parameters|^2.

    x = (W1 by rows (64, hidden), b1, W2 by rows (hidden, 10), b2), n = 75 hidden + 10, so 2,410 for
    the default. Not convex: permuting hidden units alone gives hidden! equal minima, and ``f_min``
    is not known. The start is Glorot's: weights uniform in +-sqrt(6/(in + out)) from ``seed``,
    biases 0. ``part`` chooses the images, batches are as in ``digits_logistic``. The Hessian
    product is exact (R-operator) and costs about two gradients. Sources: X. Glorot, Y. Bengio,
    AISTATS 2010, eq. 16; B. A. Pearlmutter, Neural Computation 6 (1994) 147; E. Alpaydin,
    C. Kaynak, doi:10.24432/C50P49, for the images.
    """
    hidden = checks.count("hidden", hidden, 1, 2000)
    l2 = checks.real("l2", l2, 0.0)
    samples, data = pack(part, l2, hidden)
    d = int(data[1])
    rng = np.random.default_rng(checks.integer("seed", seed, high=None))
    layers = [(rng.uniform(-1.0, 1.0, rows * columns) * math.sqrt(6.0 / (rows + columns)), np.zeros(columns))
              for rows, columns in ((d, hidden), (hidden, CLASSES))]
    x0 = np.concatenate([part for layer in layers for part in layer])
    return Problem.from_kernels(
        "digits-mlp", _fg, _hv, dim=x0.size, x0=x0, data=data, fgb=_fgb, samples=samples, model=DigitsModel(hidden),
        about=digits_mlp.__doc__)
