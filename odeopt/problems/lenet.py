"""LeNet-5 in numpy, and the images to train it on: the digits, or CIFAR-10's binary files.

A convolution is one matrix product: each 5x5 neighbourhood becomes a column (im2col), BLAS does the
rest. Inside the network the images of a batch stand last, (channels, side, side, N), so that every
copy and every elementwise pass runs over contiguous memory. All parameters are one flat vector, so an
optimizer's kernel updates the whole network in one call.

    convolution 5x5, 6 maps -> pool 2x2 -> convolution 5x5, 16 maps -> pool 2x2 -> 120 -> 84 -> classes

The form is the one of today's frameworks: ReLU, maximum pooling, every map of the second layer
sees all six maps, softmax cross-entropy. ``activation="tanh"``, ``pooling="average"`` are closer to
the original. Source: LeCun, Bottou, Bengio, Haffner, Proc. IEEE 86 (1998) 2278, section II.B.
"""

import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import checks
from .digits import digits

SIDE = 32
_CHUNK = 256  # images a matrix product when no gradient is wanted: bounds the memory
CIFAR_RECORD = 1 + 3 * SIDE * SIDE


@dataclass(frozen=True)
class LeNet5:
    """The network; its parameters are passed, never stored.

    Parameters
    ----------
    channels : int, default 1
    classes : int, default 10
    activation : {"relu", "tanh"}
    pooling : {"max", "average"}
    """

    channels: int = 1
    classes: int = 10
    activation: str = "relu"
    pooling: str = "max"

    def __post_init__(self):
        object.__setattr__(self, "channels", checks.integer("channels", self.channels, 1))
        object.__setattr__(self, "classes", checks.integer("classes", self.classes, 2))
        checks.choice("activation", self.activation, ("relu", "tanh"))
        checks.choice("pooling", self.pooling, ("max", "average"))

    @property
    def shapes(self):
        """Shapes of the weight matrices (inputs, outputs); each is followed by its bias."""
        return ((25 * self.channels, 6), (25 * 6, 16), (400, 120), (120, 84), (84, self.classes))

    @property
    def size(self):
        """Number of parameters."""
        return sum(rows * columns + columns for rows, columns in self.shapes)

    def initial(self, seed, dtype=np.float32):
        """Glorot's uniform weights and zero biases (keras's default), a flat vector of ``dtype``."""
        rng, parts = np.random.default_rng(seed), []
        for i, (rows, columns) in enumerate(self.shapes):
            fan_out = columns * (25 if i < 2 else 1)
            limit = math.sqrt(6 / (rows + fan_out))
            parts += [rng.uniform(-limit, limit, rows * columns), np.zeros(columns)]
        return np.concatenate(parts).astype(dtype)

    def views(self, w):
        """``[(weights, bias), ...]``: views into the flat vector ``w``."""
        if w.shape != (self.size,):
            raise ValueError(f"w must have shape ({self.size},), got {w.shape}")
        layers, at = [], 0
        for rows, columns in self.shapes:
            middle, end = at + rows * columns, at + rows * columns + columns
            layers.append((w[at:middle].reshape(rows, columns), w[middle:end]))
            at = end
        return layers

    def logits(self, w, images):
        """(N, classes) scores."""
        self._check(images)
        parts = [self._forward(w, images[i : i + _CHUNK])[0] for i in range(0, len(images), _CHUNK)]
        return np.concatenate(parts)

    def loss_and_accuracy(self, w, images, labels):
        """Mean cross-entropy and the share of right answers."""
        scores = self.logits(w, images).astype(np.float64)
        losses = _log_sum_exp(scores) - scores[np.arange(labels.size), labels]
        return float(losses.mean()), float((scores.argmax(axis=1) == labels).mean())

    def loss_and_grad(self, w, images, labels):
        """Mean cross-entropy of ``images`` (N, 32, 32, channels) and its exact gradient, in w's dtype.

        Where a maximum is tied, or a ReLU stands at 0, the gradient is one element of the
        generalised gradient (the first of the tied; 0).
        """
        self._check(images)
        scores, kept = self._forward(w, images)
        samples = np.arange(labels.size)
        log_sum = _log_sum_exp(scores)
        loss = float((log_sum - scores[samples, labels]).mean())
        delta = np.exp(scores - log_sum[:, None])
        delta[samples, labels] -= 1
        delta /= labels.size
        gradient = np.empty_like(w)
        self._backward(w, delta.T, kept, self.views(gradient))
        return loss, gradient

    def _check(self, images):
        if images.ndim != 4 or images.shape[1:] != (SIDE, SIDE, self.channels):
            raise ValueError(f"images must have shape (N, {SIDE}, {SIDE}, {self.channels}), got {images.shape}")

    def _forward(self, w, images):
        """(N, classes) scores, and what :meth:`_backward` needs."""
        layers, kept = self.views(w), []
        a: Any = np.ascontiguousarray(images.transpose(3, 1, 2, 0))
        for weights, bias in layers[:2]:
            columns, side = _neighbourhoods(a), a.shape[1] - 4
            out = weights.T @ columns
            out += bias[:, None]
            out = self._activate(out).reshape(-1, side, side, a.shape[3])
            a = self._pool(out)
            kept.append((columns, out, a))
        a = a.reshape(-1, a.shape[3])
        for i, (weights, bias) in enumerate(layers[2:]):
            kept.append(a)
            a = weights.T @ a + bias[:, None]
            if i < 2:
                a = self._activate(a)
        return a.T, kept

    def _backward(self, w, delta, kept, gradients):
        layers = self.views(w)
        for i in (4, 3, 2):
            a = kept[i]
            np.matmul(a, delta.T, out=gradients[i][0])
            delta.sum(axis=1, out=gradients[i][1])
            delta = layers[i][0] @ delta
            if i > 2:
                delta = self._slope(delta, a)
        for i in (1, 0):
            columns, out, pooled = kept[i]
            delta = self._slope(self._unpool(delta.reshape(pooled.shape), out, pooled), out)
            delta = delta.reshape(len(out), -1)
            np.matmul(columns, delta.T, out=gradients[i][0])
            delta.sum(axis=1, out=gradients[i][1])
            if i:
                delta = _spread(layers[i][0] @ delta, kept[i - 1][2].shape)

    def _activate(self, a):
        return np.maximum(a, 0, out=a) if self.activation == "relu" else np.tanh(a, out=a)

    def _slope(self, delta, a):
        """delta times the derivative of the activation, given its *value* a."""
        return delta * (a > 0) if self.activation == "relu" else delta * (1 - a * a)

    def _pool(self, a):
        corners = _corners(a)
        if self.pooling == "average":
            return sum(corners) / 4
        return np.maximum(np.maximum(corners[0], corners[1]), np.maximum(corners[2], corners[3]))

    def _unpool(self, delta, a, pooled):
        spread = np.empty_like(a)
        if self.pooling == "average":
            for corner in _corners(spread):
                np.divide(delta, 4, out=corner)
            return spread
        free = np.ones(pooled.shape, dtype=bool)
        for target, corner in zip(_corners(spread), _corners(a), strict=True):
            hit = free & (corner == pooled)
            np.multiply(delta, hit, out=target)
            free &= ~hit
        return spread


def _neighbourhoods(a):
    """im2col: (25 c, (s-4)^2 N), one column a 5x5 neighbourhood of (c, s, s, N)."""
    c, side, n = a.shape[0], a.shape[1] - 4, a.shape[3]
    columns = np.empty((5, 5, c, side, side, n), a.dtype)
    for i in range(5):
        for j in range(5):
            columns[i, j] = a[:, i : i + side, j : j + side]
    return columns.reshape(25 * c, side * side * n)


def _spread(columns, shape):
    """The transpose of :func:`_neighbourhoods`: add every column back where it came from."""
    c, side, n = shape[0], shape[1] - 4, shape[3]
    columns = columns.reshape(5, 5, c, side, side, n)
    out = np.zeros(shape, columns.dtype)
    for i in range(5):
        for j in range(5):
            out[:, i : i + side, j : j + side] += columns[i, j]
    return out


def _corners(a):
    return [a[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]


def _log_sum_exp(scores):
    top = scores.max(axis=1)
    return top + np.log(np.exp(scores - top[:, None]).sum(axis=1))


def digits_images(fit="upsample", dtype=np.float32):
    """``(images, labels)``: the 1,797 digits as (N, 32, 32, 1) in [0, 1], and (N,) int64.

    ``fit="upsample"`` interpolates the 8x8 pixels bilinearly by 4, ``"pad"`` doubles them and pads
    with 8 pixels of zeros on each side.
    """
    checks.choice("fit", fit, ("upsample", "pad"))
    pixels, labels = digits()
    pixels = pixels.reshape(-1, 8, 8)
    if fit == "pad":
        doubled = pixels.repeat(2, axis=1).repeat(2, axis=2)
        images = np.pad(doubled, ((0, 0), (8, 8), (8, 8)))
    else:
        at = np.clip((np.arange(SIDE) + 0.5) / 4 - 0.5, 0, 7)  # centres of the small pixels in large ones
        weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(8)))
        images = weights @ pixels @ weights.T
    return images[..., None].astype(dtype), labels


def cifar10(folder, part="train", dtype=np.float32):
    """``(images, labels)`` of CIFAR-10's published binary version: (N, 32, 32, 3) in [0, 1], (N,) int64.

    Parameters
    ----------
    folder : path
        Holds data_batch_1.bin ... data_batch_5.bin and test_batch.bin (as many of the five as there
        are). A record is one byte of label and 3,072 of pixels: the red plane by rows, green, blue.
    part : {"train", "test"}

    Raises
    ------
    FileNotFoundError
        No such file in ``folder``.
    ValueError
        A file that is not whole records, or with a label above 9.

    Source: Krizhevsky (2009), https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version".
    """
    checks.choice("part", part, ("train", "test"))
    names = ["test_batch.bin"] if part == "test" else [f"data_batch_{i}.bin" for i in range(1, 6)]
    paths = [path for path in (os.path.join(folder, name) for name in names) if os.path.exists(path)]
    if not paths:
        raise FileNotFoundError(f"folder must hold {names[0]}{' ...' if len(names) > 1 else ''}, got {folder}")
    records = []
    for path in paths:
        raw = np.fromfile(path, dtype=np.uint8)
        if raw.size == 0 or raw.size % CIFAR_RECORD:
            raise ValueError(f"folder must hold files of whole {CIFAR_RECORD}-byte records, "
                             f"got {raw.size} bytes in {path}")
        records.append(raw.reshape(-1, CIFAR_RECORD))
    records = np.concatenate(records)
    labels = records[:, 0].astype(np.int64)
    if labels.max() > 9:
        raise ValueError(f"folder must hold labels 0 to 9, got {labels.max()}")
    planes = records[:, 1:].reshape(-1, 3, SIDE, SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)).astype(dtype) / dtype(255), labels
