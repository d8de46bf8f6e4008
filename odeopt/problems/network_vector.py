"""``NetworkVector``: the parameters of a network as one vector, and what training loops ask of it.

Base of :mod:`odeopt.problems.torch_module` and :mod:`odeopt.problems.jax_function`, whose frameworks are imported
when a problem is made of one.
"""

from __future__ import annotations

import abc
import functools
import hashlib
import itertools
import math
from typing import Any

import numpy as np

from .. import checks


class NetworkVector(abc.ABC):
    """A network's loss on its data as a function of one float64 vector.

    Attributes
    ----------
    name : str
    x0 : (n,) array
        The parameters given.
    dtype : numpy.dtype
        Of the network's own numbers, float32 or float64.
    shapes : tuple of tuple
        Of the arrays that make the vector, in order.
    samples : int
        Terms of the mean that the loss is; 0 where it is none.
    twice : bool
        Whether there is a Hessian product.
    identity : str
        Hash of what the network and its data hold, for whoever compares two problems.
    """

    name: str
    x0: np.ndarray
    dtype: np.dtype
    shapes: tuple[tuple[int, ...], ...]
    samples: int
    twice: bool
    identity: str

    @abc.abstractmethod
    def fg(self, x, g, data):
        """Kernel FG of :mod:`odeopt.abi`, in plain Python."""

    @abc.abstractmethod
    def hv(self, x, v, out, data):
        """Kernel HV."""

    @abc.abstractmethod
    def fgb(self, x, g, data, batch):
        """Kernel FGB."""

    @abc.abstractmethod
    def unflatten(self, x: np.ndarray) -> Any:
        """The parameters that ``x`` stands for."""

    @abc.abstractmethod
    def flatten(self, parameters: Any) -> np.ndarray:
        """The vector of these parameters."""

    @functools.cached_property
    def places(self) -> list[tuple[slice, tuple[int, ...]]]:
        """Where in the vector each array is, and its shape."""
        ends = np.cumsum([0, *(math.prod(shape) for shape in self.shapes)]).tolist()
        return [(slice(*part), shape) for part, shape in zip(itertools.pairwise(ends), self.shapes)]

    def split(self, x: Any) -> list[Any]:
        """Views of the vector ``x``, one of each shape."""
        return [x[part].reshape(shape) for part, shape in self.places]

    def joined(self, names: Any, arrays: Any) -> np.ndarray:
        """The float64 vector of ``arrays``; ValueError for one of another shape."""
        found = []
        for name, shape, array in zip(names, self.shapes, arrays, strict=True):
            found.append(checks.array(f"parameters, {name},", np.asarray(array), shape, finite=False).ravel())
        return np.concatenate(found)

    # What odeopt.train asks of a network ---------------------------------------------------------------

    @abc.abstractmethod
    def initial(self, seed: int) -> np.ndarray:
        """Parameters (n,) to begin with, in the network's dtype."""

    @abc.abstractmethod
    def loss_and_grad(self, w: np.ndarray, inputs: Any, targets: Any) -> tuple[float, np.ndarray]:
        """``(loss, gradient)`` at ``w`` on a batch, the gradient in the dtype of ``w``."""

    @abc.abstractmethod
    def loss_and_accuracy(self, w: np.ndarray, inputs: Any, targets: Any) -> tuple[float, float]:
        """``(loss, share of right classes)`` at ``w``; nan where the outputs are no scores of classes."""


def lengths(arrays: Any) -> int:
    """The common length of the arrays' first axes; ValueError where there is none."""
    found = [len(one) if np.ndim(one) else 0 for one in arrays]
    if min(found) == 0 or min(found) != max(found):
        raise ValueError(f"data must have one length along the first axis, that of the samples, got "
                         f"{' and '.join(map(str, found))}")
    return found[0]


def data_array(one: Any) -> np.ndarray:
    """An array of numbers from the user's data, as it is or made of a list; TypeError for another thing."""
    if checks.is_masked(one):
        raise TypeError("data must hold numbers, got masked values")
    try:
        found = np.asarray(one)
    except ValueError:  # rows of several lengths
        found = np.asarray(None)
    if found.dtype.kind not in "biuf":
        raise TypeError("data must be an array or a tuple of arrays of real numbers, (inputs, targets), got "
                        f"{checks.shown(one)}")
    if not np.isfinite(found).all():
        raise ValueError(f"data must be finite, got {found[~np.isfinite(found)][0]} in it")
    return found


def takes_data(what, data, error):
    """The error for a function that fails on ``data``, in a line."""
    return ValueError(f"{what} must take {data}, and gave {type(error).__name__}: {' '.join(str(error).split())[:200]}")


def kind_of(name: str, dtypes: Any) -> np.dtype:
    """The one dtype of all parameters, float32 or float64; TypeError for others. ``dtypes``: name -> word."""
    allowed = ("float32", "float64")
    for which, word in dtypes.items():
        if word not in allowed:
            raise TypeError(f"{name} must have parameters of float32 or float64, got {which} of {word}")
    if len({*dtypes.values()}) > 1:
        raise TypeError(f"{name} must have parameters of one dtype, got float32 and float64")
    return np.dtype(next(iter(dtypes.values())))


def digest(words: Any, arrays: Any) -> str:
    """Hash of texts and arrays."""
    made = hashlib.sha256("\n".join(words).encode("utf-8", "surrogatepass"))
    for one in arrays:
        made.update(f"{one.dtype.str} {one.shape}".encode())
        made.update(np.ascontiguousarray(one).tobytes())
    return made.hexdigest()
