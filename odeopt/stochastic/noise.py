"""Gradient noise: Gaussian with a given or a state-dependent covariance, and mini-batches."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import checks, machine_code
from ..abi import Portable, is_compiled, kernel, plain_by_wish
from ..problems.base import checked

_INSIDE = set()  # (kernel, dimensions, constants) that stay inside their arrays


@kernel
def no_noise(x, xi, out, c):
    """out = 0."""
    for i in range(out.size):
        out[i] = 0.0


@kernel
def diagonal_noise(x, xi, out, c):
    """out_i = c_i xi_i; c holds the standard deviations."""
    for i in range(out.size):
        out[i] = c[i] * xi[i]


@kernel
def dense_noise(x, xi, out, c):
    """out = L xi; c holds L (n, m) by rows."""
    m = xi.size
    for i in range(out.size):
        total = 0.0
        for j in range(m):
            total += c[i * m + j] * xi[j]
        out[i] = total


@kernel
def multiplicative_noise(x, xi, out, c):
    """out_i = sqrt(c_0 + c_1 x_i^2) xi_i."""
    for i in range(out.size):
        out[i] = np.sqrt(c[0] + c[1] * x[i] * x[i]) * xi[i]


@kernel
def tangent_noise(x, xi, out, c):
    """out = c_0 (I - w w') xi/(|x| sqrt(n - 1)), w = x/|x|: E|out|^2 = c_0^2/|x|^2."""
    square, dot = 0.0, 0.0
    for i in range(x.size):
        square += x[i] * x[i]
        dot += x[i] * xi[i]
    size = c[0] / np.sqrt(square * (x.size - 1))
    for i in range(x.size):
        out[i] = size * (xi[i] - dot / square * x[i])


@dataclass(frozen=True, eq=False, repr=False)
class Noise(Portable):
    """Gradient noise L(x) xi with xi standard normal of ``size`` entries; covariance L L'.

    Attributes
    ----------
    name : str
    kernel : kernel HV
        ``kernel(x, xi, out, c)`` writes L(x) xi into ``out``; linear in ``xi``, deterministic.
    c : float64 vector of constants
    dim, size : int
        Entries of x and of xi. ``dim`` 0: any dimension, and then ``size`` is 0 too: as many
        entries as x has.
    additive : bool
        Whether L does not depend on x.
    """

    name: str
    kernel: Any
    c: np.ndarray = field(repr=False)
    dim: int
    size: int
    additive: bool

    def __post_init__(self):
        if not callable(self.kernel):
            raise TypeError(f"kernel must be a function kernel(x, xi, out, c), got {checks.shown(self.kernel)}")
        machine_code.refresh(self.kernel)
        for name in ("dim", "size"):
            object.__setattr__(self, name, checks.integer(name, getattr(self, name)))
        if bool(self.dim) != bool(self.size):
            raise ValueError(f"dim and size must both be 0 or both be given, got {self.dim} and {self.size}")
        object.__setattr__(self, "c", checks.point("c", self.c))

    def fitted(self, dim):
        """``size`` for problems of dimension ``dim``.

        ValueError if the noise has another one; TypeError if its kernel would leave its arrays there.
        """
        if self.dim and self.dim != dim:
            raise ValueError(f"noise must have dimension {dim} like the problem, got {self.dim}")
        size = self.size or dim
        key = (self.kernel, dim, size, self.c.size)
        if key not in _INSIDE:
            checks.stays_inside(
                f"noise {self.name} must stay inside its arrays, {dim} coordinates, {size} entries of xi and "
                f"{self.c.size} constants", self.kernel, np.full(dim, 0.5), np.full(size, 0.5), np.zeros(dim), self.c,
                reads="x xi [out] c")
            _INSIDE.add(key)
        return size

    def factor(self, x):
        """L(x), an (n, size) array."""
        x = checks.point("x", x, self.dim or None)
        columns = []
        for e in np.eye(self.fitted(x.size)):
            out = np.empty(x.size)
            self.kernel(x, e, out, self.c)
            columns.append(out)
        return np.array(columns).T

    def covariance(self, x):
        """Sigma(x) = L L', an (n, n) array."""
        factor = self.factor(x)
        return factor @ factor.T

    def __repr__(self):
        return f"<Noise {self.name}>"


@dataclass(frozen=True)
class Minibatch:
    """Mini-batches of a finite sum (a problem with ``fgb``), instead of the full gradient.

    Parameters
    ----------
    size : int
        Samples a batch.
    replacement : bool, default False
        True: each batch draws ``size`` indices independently, with replacement. False: every
        epoch runs through a fresh permutation in floor(N/size) batches; the N mod size samples
        left over sit out that epoch.
    """

    size: int
    replacement: bool = False

    def __post_init__(self):
        object.__setattr__(self, "size", checks.integer("size", self.size, 1))
        object.__setattr__(self, "replacement", checks.switch("replacement", self.replacement))

    def check(self, problem):
        """ValueError unless ``problem`` is a finite sum of at least ``size`` samples."""
        if problem.fgb is None:
            raise ValueError(f"noise=Minibatch needs a finite sum, which problem {problem.name!r} is not")
        if self.size > problem.samples:
            raise ValueError(f"batch size must be at most the {problem.samples} samples of {problem.name!r}, "
                             f"got {self.size}")


def covariance_factor(covariance, name="covariance"):
    """L (n, r) with L L' = ``covariance`` and r its rank, by the spectral theorem.

    ValueError for a matrix that is not square, finite, symmetric (to 1e-10 of its largest entry)
    or positive semi-definite (an eigenvalue below -1e-10 of the largest).
    """
    c = checks.array(name, covariance, (None, None))
    if c.shape[0] != c.shape[1]:
        raise ValueError(f"{name} must be a square matrix, got shape {c.shape}")
    largest = np.abs(c).max()
    skew = np.abs(c - c.T).max()
    if skew > 1e-10 * largest:
        raise ValueError(f"{name} must be symmetric, got entries that differ by {skew:.3g}")
    values, vectors = np.linalg.eigh(0.5 * c + 0.5 * c.T)
    if values[0] < -1e-10 * largest:
        raise ValueError(f"{name} must be positive semi-definite, got the eigenvalue {values[0]:.6g}")
    keep = values > 1e-14 * max(largest, 1e-300)
    return vectors[:, keep] * np.sqrt(values[keep])


def gaussian(covariance):
    """Additive Gaussian noise with ``covariance``: a number (times I), a vector (diagonal) or a matrix.

    A number fits any dimension. Raises ValueError unless it is positive semi-definite.
    """
    if checks.dimensions(covariance) == 0:
        return diagonal_multiplicative(checks.real("covariance", covariance, 0.0), 0.0)
    if checks.dimensions(covariance) == 1:
        variances = checks.point("covariance", covariance)
        if (variances < 0).any():
            raise ValueError(f"covariance must be positive semi-definite, got the variance {variances.min():.6g}")
        return Noise("gaussian", diagonal_noise, np.sqrt(variances), variances.size, variances.size, True)
    factor = covariance_factor(covariance)
    if not factor.shape[1]:
        factor = np.zeros((factor.shape[0], 1))
    return Noise("gaussian", dense_noise, np.ascontiguousarray(factor).ravel(), *factor.shape, True)  # pyright: ignore[reportCallIssue]


def diagonal_multiplicative(additive, multiplicative):
    """Noise with Sigma(x) = diag(additive + multiplicative x_i^2), for any dimension.

    ``additive`` and ``multiplicative`` are variances, >= 0. The simplest model of the noise of
    least squares, whose size grows with the distance from the minimiser.
    """
    c = np.array([checks.real("additive", additive, 0.0), checks.real("multiplicative", multiplicative, 0.0)])
    name = f"diag({c[0]:g} + {c[1]:g} x^2)" if c[1] else f"{c[0]:g} I"
    return Noise(name, multiplicative_noise, c, 0, 0, not c[1])


def tangent(sigma):
    """The noise of a scale-invariant loss: tangent to the sphere, E|noise|^2 = sigma^2/|x|^2.

    Isotropic in the tangent space, so that it scales as the gradient of f(x/|x|) does.
    """
    return Noise("tangent", tangent_noise, np.array([checks.real("sigma", sigma, 0.0)]), 0, 0, False)


def state_dependent(function, constants=(0.0,), *, dim=0, size=0, name=None):
    """Noise L(x) xi from a compiled ``function(x, xi, out, c)`` that is linear in ``xi``.

    ``dim`` and ``size``: entries of x and of xi (0: any, and as many as x). ``function`` must come
    out of ``numba.njit``; TypeError otherwise.
    """
    if not (is_compiled(function) or plain_by_wish(function)):
        raise TypeError(f"function must be compiled by numba.njit, got {checks.shown(function)}")
    dim, size = checks.integer("dim", dim), checks.integer("size", size)
    if dim and not size:
        size = dim
    name = function.__name__ if name is None else checks.text("name", name)
    return Noise(name, function, checks.point("constants", constants), dim, size, False)


def batch_covariance(problem, x, batch):
    """Covariance (n, n) at ``x`` of the gradient of one batch of a finite sum: the Sigma(x) of its SDE.

    With S the covariance of the N single-sample gradients (1/N normalisation) it is S/B with
    replacement and S (N - B)/(B (N - 1)) without (of one batch: successive batches of an epoch are
    not independent, they sum to what is left). N gradients; for n up to some thousands.

    Parameters
    ----------
    problem : Problem
        A finite sum.
    x : (n,) array
    batch : Minibatch

    Raises
    ------
    ValueError
        No finite sum; a batch larger than the data.
    """
    checked(problem)
    if not isinstance(batch, Minibatch):
        raise TypeError(f"batch must be a Minibatch, got {type(batch).__name__}")
    batch.check(problem)
    n, size = problem.samples, batch.size
    gradients = np.array([problem.value_and_grad(x, [i])[1] for i in range(n)])
    gradients -= gradients.mean(axis=0)
    single = gradients.T @ gradients / n
    if batch.replacement:
        return single / size
    return single * ((n - size) / (size * (n - 1))) if n > 1 else 0.0 * single
