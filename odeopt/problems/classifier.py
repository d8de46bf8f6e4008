"""``DigitsModel``: what a problem's variables are the weights of, for whoever asks for more than the loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .. import checks
from .digits import CLASSES, digits_split


@dataclass(frozen=True)
class DigitsModel:
    """A classifier of the digits: linear, or with one hidden layer of tanh.

    Attributes
    ----------
    hidden : int
        Units of the hidden layer; 0 for a linear model.
    radii : tuple of float
        Of the spheres on which a scale-invariant model sees its layers; empty for a plain one.
    """

    hidden: int = 0
    radii: tuple[float, ...] = ()

    def weights(self, x: np.ndarray) -> np.ndarray:
        """The weights that the model sees at ``x``, a new (n,) array: each layer on its sphere."""
        seen = np.array(x, dtype=np.float64)
        if not self.radii:
            return seen
        first = seen.size if len(self.radii) == 1 else seen.size - (self.hidden + 1) * CLASSES
        for layer, radius in zip((slice(0, first), slice(first, None)), self.radii):
            seen[layer] *= radius / np.linalg.norm(seen[layer])
        return seen

    def labels(self, part: str = "test") -> np.ndarray:
        """The true classes of the images of ``part``."""
        return digits_split(part)[1]

    def probabilities(self, x: np.ndarray, part: str = "test") -> np.ndarray:
        """Class probabilities (images, 10) at ``x`` on the images of ``part``."""
        images, _ = digits_split(part)
        v, d = self.weights(x), images.shape[1]
        if self.hidden:
            m = (d + 1) * self.hidden
            images = np.tanh(images @ v[: d * self.hidden].reshape(d, self.hidden) + v[d * self.hidden : m])
            v, d = v[m:], self.hidden
        scores = images @ v[: d * CLASSES].reshape(d, CLASSES) + v[d * CLASSES :]
        scores -= scores.max(axis=1, keepdims=True)
        p = np.exp(scores)
        return p / p.sum(axis=1, keepdims=True)


def normalized_weights(problem, x):
    """The weights that a scale-invariant problem sees at ``x``, (n,): each layer of its model on its sphere, and
    ``x`` on the unit sphere where it has no model."""
    x = checks.point("x", x, problem.dim)
    return x * (1.0 / np.linalg.norm(x)) if problem.model is None else problem.model.weights(x)


def model_of(problem):
    """The problem's classifier; ValueError for one without."""
    if problem.model is None:
        raise ValueError(f"problem must be one whose variables are the weights of a classifier, such as digits_mlp(), "
                         f"got {problem.name}")
    return problem.model


def class_probabilities(problem, x, part="test"):
    """Class probabilities (images, classes) of the problem's classifier at ``x`` on the images of ``part``."""
    return model_of(problem).probabilities(checks.point("x", x, problem.dim), part)
