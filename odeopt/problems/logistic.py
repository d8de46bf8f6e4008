"""Multinomial logistic regression on the digits: the convex problem with real data."""

import numpy as np

from .. import checks
from ..abi import kernel
from .base import Problem
from .digits import CLASSES, gather, pack, softmax_derivative, softmax_loss, subtract_labels, unpack

# Infimum for l2 = 1e-3 on all images: Newton's method on the kernels until the gradient norm was
# below 1e-15 (tests/test_problems.py repeats it).
_F_MIN = {("all", 1e-3): 0.2639258232950729}


@kernel
def _add_bias(z, bias):
    for i in range(z.shape[0]):
        for c in range(z.shape[1]):
            z[i, c] += bias[c]


@kernel
def _back(images, d_scores, out):
    # out = (images' d_scores, column sums of d_scores)
    d, classes = images.shape[1], d_scores.shape[1]
    np.dot(images.T, d_scores, out[: d * classes].reshape(d, classes))
    for c in range(classes):
        out[d * classes + c] = 0.0
    for i in range(d_scores.shape[0]):
        for c in range(classes):
            out[d * classes + c] += d_scores[i, c]


@kernel
def _scores(images, x, classes):
    split = images.shape[1] * classes
    z = np.dot(images, x[:split].reshape(images.shape[1], classes))
    _add_bias(z, x[split:])
    return z


@kernel
def _loss_and_grad(x, g, images, labels, classes, l2):
    z = _scores(images, x, classes)
    f = softmax_loss(z, labels)
    subtract_labels(z, labels)
    _back(images, z, g)
    for i in range(x.size):
        g[i] += l2 * x[i]
        f += 0.5 * l2 * x[i] * x[i]
    return f


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

    x = (W by rows (64, 10), then b (10)), start 0 where f = log 10. The bias is penalised too, so f
    is strongly convex with modulus ``l2`` and its minimiser unique. ``part`` chooses the images:
    "all" (1,797), "train" or "test" (see ``digits_split``). A finite sum: ``fgb`` gives the mean
    over a batch plus the whole penalty, so that the mean over all batches is f. A batch index
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
