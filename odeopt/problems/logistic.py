"""Multinomial logistic regression on the digits: the convex problem with real data."""

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

# Infimum for l2 = 1e-3 on all images: L-BFGS, then Newton steps on the kernels until the gradient
# norm was below 1e-16, f there in extended precision; tests/problems/test_problems.py repeats the recipe.
_F_MIN = {("all", 1e-3): 0.26392582329507295}


@kernel
def _weights_and_bias(x, d, classes):
    return x[: d * classes].reshape(d, classes), x[d * classes :]


@kernel
def _scores(images, w, b):
    z = np.dot(images, w)
    add_row(z, b)
    return z


@kernel
def _loss_and_grad(x, g, images, labels, classes, l2):
    n, d = images.shape
    w, b = _weights_and_bias(x, d, classes)
    gw, gb = _weights_and_bias(g, d, classes)
    g[:] = 0.0
    f = 0.0
    for low in range(0, n, BLOCK):
        some, marks = images[low : low + BLOCK], labels[low : low + BLOCK]
        z = _scores(some, w, b)
        f += softmax_loss(z, marks)
        subtract_labels(z, marks)  # z = df/dz
        add(gw, np.dot(some.T, z))
        add_column_sums(gb, z)
    return f / n + close(x, g, l2, n)


@kernel
def _fg(x, g, data):
    images, labels = unpack(data)
    return _loss_and_grad(x, g, images, labels, int(data[2]), data[3])


@kernel
def _fgb(x, g, data, batch):
    images, labels, inside = gather(data, batch)
    if not inside:
        g[:] = np.nan
        return np.nan
    return _loss_and_grad(x, g, images, labels, int(data[2]), data[3])


@kernel
def _hv(x, v, out, data):
    images, labels = unpack(data)
    n, d = images.shape
    w, b = _weights_and_bias(x, d, int(data[2]))
    vw, vb = _weights_and_bias(v, d, int(data[2]))
    ow, ob = _weights_and_bias(out, d, int(data[2]))
    out[:] = 0.0
    for low in range(0, n, BLOCK):
        some = images[low : low + BLOCK]
        p = _scores(some, w, b)
        softmax_loss(p, labels[low : low + BLOCK])
        rz = _scores(some, vw, vb)
        softmax_derivative(p, rz)
        add(ow, np.dot(some.T, rz))
        add_column_sums(ob, rz)
    close(v, out, data[3], n)


@kernel
def _hess(x, out, data):
    """The whole Hessian: the block of classes a and c is X' diag(p_a (delta_ac - p_c)) X / n, in a tenth of the time of
    the products with all unit vectors."""
    images, labels = unpack(data)
    n, d = images.shape
    classes = int(data[2])
    w, b = _weights_and_bias(x, d, classes)
    blocks, rows = np.zeros((classes * (classes + 1) // 2, d + 1, d + 1)), BLOCK // 2  # one thread's share of BLAS
    for low in range(0, n, rows):
        some = images[low : low + rows]
        p = _scores(some, w, b)
        softmax_loss(p, labels[low : low + rows])
        scaled, weights, at = np.empty(some.shape), np.empty(some.shape[0]), 0
        for a in range(classes):
            for c in range(a + 1):
                for i in range(weights.size):
                    weights[i] = p[i, a] * ((1.0 if a == c else 0.0) - p[i, c])
                    for j in range(d):
                        scaled[i, j] = weights[i] * some[i, j]
                block = blocks[at]
                add(block[:d, :d], np.dot(some.T, scaled))
                add_column_sums(block[d, :d], scaled)
                for i in range(weights.size):
                    block[d, d] += weights[i]
                at += 1
    at = 0
    for a in range(classes):
        for c in range(a + 1):
            block = blocks[at]
            for j in range(d + 1):
                for k in range(d + 1):
                    value = (block[j, k] if k < d or j == d else block[d, j]) / n
                    if a == c and j == k:
                        value += data[3]
                    out[j * classes + a, k * classes + c] = value
                    out[k * classes + c, j * classes + a] = value
            at += 1


def digits_logistic(l2=1e-3, part="all"):
    """f(W, b) = mean over images of -log softmax(W'x + b)[digit] + l2/2 (|W|^2 + |b|^2), n = 650.

    x = (W by rows (64, 10), then b (10)), start 0 where f = log 10. The bias is penalised too: for
    ``l2`` > 0 f is strongly convex with modulus ``l2`` and has one minimiser. ``part`` chooses the
    images: "all" (1,797), "train" or "test" (see ``digits_split``). A finite sum: ``fgb`` gives the
    mean over a batch plus the whole penalty, so that the mean over all batches is f; a batch index
    out of range gives NaN. ``f_min`` is known for the defaults. Sources: D. R. Cox, J. Royal
    Statistical Society B 20 (1958) 215, for the model; E. Alpaydin, C. Kaynak,
    doi:10.24432/C50P49, for the images.
    """
    l2 = checks.real("l2", l2, 0.0)
    samples, data = pack(part, l2)
    dim = (int(data[1]) + 1) * CLASSES
    return Problem.from_kernels(
        "digits-logistic", _fg, _hv, dim=dim, x0=np.zeros(dim), data=data,
        f_min=_F_MIN.get((part, l2)), fgb=_fgb, hess=_hess, samples=samples, convex=True, model=DigitsModel(),
        about=digits_logistic.__doc__)
