"""Multinomial logistic regression on the digits: the convex problem with real data."""

import numpy as np

from .. import checks
from ..abi import kernel
from .base import Problem
from .digits import (
    CLASSES,
    add_penalty,
    add_row,
    column_sums,
    gather,
    pack,
    softmax_derivative,
    softmax_loss,
    subtract_labels,
    unpack,
)

# Infimum for l2 = 1e-3 on all images: eight Newton steps from 0 on the kernels (gradient norm
# below 1e-16), f there in extended precision; tests/test_problems.py repeats the steps.
_F_MIN = {("all", 1e-3): 0.26392582329507295}


@kernel
def _back(images, d_scores, out):
    # out = (images' d_scores, column sums of d_scores)
    d, classes = images.shape[1], d_scores.shape[1]
    np.dot(images.T, d_scores, out[: d * classes].reshape(d, classes))
    column_sums(d_scores, out[d * classes :])


@kernel
def _scores(images, x, classes):
    split = images.shape[1] * classes
    z = np.dot(images, x[:split].reshape(images.shape[1], classes))
    add_row(z, x[split:])
    return z


@kernel
def _loss_and_grad(x, g, images, labels, classes, l2):
    z = _scores(images, x, classes)
    f = softmax_loss(z, labels)
    subtract_labels(z, labels)
    _back(images, z, g)
    return f + add_penalty(x, g, l2)


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
    classes, l2 = int(data[2]), data[3]
    p = _scores(images, x, classes)
    softmax_loss(p, labels)
    rz = _scores(images, v, classes)
    softmax_derivative(p, rz)
    _back(images, rz, out)
    for i in range(x.size):
        out[i] += l2 * v[i]


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
        f_min=_F_MIN.get((part, l2)), fgb=_fgb, samples=samples, convex=True,
        about=digits_logistic.__doc__)
