"""Extreme eigenvalues of a symmetric operator that is known by its products with vectors.

Which to take: :func:`largest_eigenpairs` for eigenvalues to many digits, with the last vectors as a start along a
run; :func:`spectrum_ends` for both ends to some per cent in a given number of products; :func:`power_iteration`
where the largest modulus is wanted roughly, or the operator is only nearly linear.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

Product = Callable[[np.ndarray], np.ndarray]
_TURN = 0.01  # of a tracked vector, out of itself
_DENSE = 20  # unknowns up to which all products with unit vectors are not more than Lanczos needs


class _NotFinite(ArithmeticError):
    """A product is not finite."""


def _scaled_length(v):
    """|v| by BLAS, which scales: squares of large and small entries neither overflow nor vanish."""
    from scipy.linalg import norm

    return float(norm(v, check_finite=False))


def _length(v):
    with np.errstate(over="ignore", under="ignore"):
        length = float(np.linalg.norm(v))
    return length if 1e-140 < length < np.inf else _scaled_length(v)


def power_iteration(product: Product, v: np.ndarray, iterations: int, tolerance: float = 0.0,
                    radius: float = 1.0) -> tuple[float, np.ndarray]:
    """``(largest |eigenvalue|, vector)`` after ``iterations`` products at most, from below.

    Parameters
    ----------
    product : callable
        ``product(v) -> (n,)`` for v of length ``radius``, the reach of a difference where it is one.
    v : (n,) array
        The start, not 0; its length does not matter.
    iterations : int
    tolerance : float
        It ends when two estimates differ by at most this part of the last one; 0: it does not.

    Returns
    -------
    float, (n,) array
        0, infinite or NaN where a product is; then the vector is the last one that it was not of.
    """
    v, before, size = v * (radius / np.linalg.norm(v)) if radius != 1.0 else v / np.linalg.norm(v), np.inf, 0.0
    for _ in range(iterations):
        w = product(v)
        size = _length(w) / radius
        if not 0.0 < size < np.inf:
            break
        v = w / size
        if abs(size - before) <= tolerance * size and tolerance > 0.0:
            break
        before = size
    return size, v


def spectrum_ends(product: Product, n: int, products: int = 30) -> tuple[float, float]:
    """``(L, mu)``: largest eigenvalue in modulus and smallest eigenvalue, both erring inwards, by Lanczos without
    reorthogonalisation (which the extreme Ritz values do not need): three vectors.

    ``product(v) -> (n,)``. L is NaN or infinite where a product is.
    """
    from scipy.linalg import eigvalsh_tridiagonal

    v = np.random.default_rng(0).standard_normal(n)  # fixed: the same call gives the same numbers
    v /= np.linalg.norm(v)
    before, beta, diagonal, beside = np.zeros(n), 0.0, [], []
    for _ in range(min(n, products)):
        w = product(v)
        length = _scaled_length(w)
        if not np.isfinite(length):
            return length, 0.0
        diagonal.append(float(v @ w))
        w = w - diagonal[-1] * v - beta * before
        beta = _scaled_length(w)
        if beta <= 1e-10 * length:  # the space is invariant: its Ritz values are eigenvalues
            break
        beside.append(beta)
        before, v = v, w / beta
    ritz = eigvalsh_tridiagonal(diagonal, beside[: len(diagonal) - 1])
    return float(np.abs(ritz).max()), float(ritz[0])


def largest_eigenpairs(product: Product, n: int, count: int = 1, start: ArrayLike | None = None,
                       tolerance: float = 1e-10) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` algebraically largest eigenvalues, the largest first, and their vectors, by scipy's ``eigsh``.

    Parameters
    ----------
    product : callable
        ``product(v) -> (n,)``.
    n, count : int
        0 < count <= n.
    start : (n,) or (n, m) array, optional
        Vectors near those wanted: of the point before, along a run. The same call gives the same numbers with and
        without.
    tolerance : float
        Relative, of the eigenvalues.

    Returns
    -------
    (count,) array, (n, count) array
        NaN where a product is not finite.
    """

    def finite(v):
        w = np.asarray(product(np.ascontiguousarray(v).ravel()), dtype=float)
        if not np.isfinite(w).all():
            raise _NotFinite
        return w

    try:
        if n <= max(_DENSE, 2 * count + 2):
            matrix = np.array([finite(unit) for unit in np.eye(n)])
            values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
        else:
            from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

            near = None if start is None else np.asarray(start, dtype=float).reshape(n, -1).sum(axis=1)
            warm = near is not None and np.isfinite(near).all() and near.any()
            random = np.random.default_rng(0).standard_normal(n)
            operator = LinearOperator((n, n), matvec=finite, dtype=np.float64)  # pyright: ignore[reportCallIssue]
            try:
                values, vectors = eigsh(operator, count, which="LA",
                                        tol=tolerance,  # pyright: ignore[reportArgumentType]
                                        v0=near if warm else random, ncv=max(2 * count + 2, 8) if warm else None)
            except ArpackError:
                if finite(random).any():
                    raise
                values, vectors = np.zeros(count), np.eye(n, count)  # of the operator 0
    except _NotFinite:
        return np.full(count, np.nan), np.full((n, count), np.nan)
    order = np.argsort(values)[::-1][:count]
    return values[order], vectors[:, order]


def tracked_eigenpairs(product: Product, start: np.ndarray, wanted: int | None = None, tolerance: float = 1e-4,
                       products: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`largest_eigenpairs`, for vectors that are near those wanted: a few products along a run.

    Parameters
    ----------
    product : callable
    start : (n, count) array
        The vectors of a point nearby; they are turned a little out of their plane, so that another eigenvalue that
        passes them is seen.
    wanted : int, optional
        So many of the largest are to be accurate; the others are there to be passed by. Default: all.
    tolerance : float
        It ends when a product more changes no wanted eigenvalue by more than this part of the largest. An eigenvalue
        that is nearer than half a per cent above another may be missed where its vector is new.
    products : int
        At most so many, beside one for each vector of ``start``.

    Returns
    -------
    (count,) array, (n, count) array
        NaN where a product is not finite.
    """
    n, count = start.shape
    most, wanted = min(count + products, n), count if wanted is None else wanted
    basis, images, small = np.empty((most, n)), np.empty((most, n)), np.empty((most, most))
    noise = np.random.default_rng(0).standard_normal((count, n))
    rows = (start / np.linalg.norm(start, axis=0)).T + _TURN * noise / np.linalg.norm(noise, axis=1)[:, None]
    before, values, inner = np.array([np.inf]), np.zeros(0), np.zeros((0, 0))
    for m in range(1, most + 1):
        new = rows[m - 1] if m <= count else _residual(basis[: m - 1], images[: m - 1], values, inner, wanted)
        size = np.linalg.norm(new)
        for _ in range(2):
            new = new - (basis[: m - 1] @ new) @ basis[: m - 1]
        left = np.linalg.norm(new)
        if not left > 1e-12 * (size if m <= count else np.abs(values[0])):  # the space is invariant
            break
        basis[m - 1] = new / left
        images[m - 1] = product(basis[m - 1].copy())
        if not np.isfinite(images[m - 1]).all():
            return np.full(count, np.nan), np.full((n, count), np.nan)
        small[m - 1, :m] = small[:m, m - 1] = basis[:m] @ images[m - 1]
        if m < count:
            continue
        values, inner = np.linalg.eigh(small[:m, :m])
        values, inner = values[::-1][:count], inner[:, ::-1][:, :count]
        if m > count and (np.abs(values[:wanted] - before) <= tolerance * np.abs(values[0])).all():
            break
        before = values[:wanted]
    return values, (inner.T @ basis[: inner.shape[0]]).T


def _residual(basis, images, values, inner, wanted):
    """The largest of the residuals of the wanted pairs: the direction in which they gain most."""
    found = inner[:, :wanted].T @ images - values[:wanted, None] * (inner[:, :wanted].T @ basis)
    return found[int(np.einsum("in,in->i", found, found).argmax())]
