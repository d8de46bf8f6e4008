"""Extreme eigenvalues of a symmetric operator that is known by its products with vectors.

Which to take: :func:`largest_eigenpairs` for eigenvalues to many digits, with the last vectors as a start along a
run; :func:`spectrum_ends` for both ends to some per cent in a given number of products; :func:`power_iteration`
where the largest modulus is wanted roughly, or the operator is only nearly linear.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

Product = Callable[[np.ndarray], np.ndarray]
_DENSE = 20  # unknowns up to which all products with unit vectors are not more than Lanczos needs


class _NotFinite(ArithmeticError):
    """A product is not finite."""


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
        size = float(np.linalg.norm(w)) / radius
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
    from scipy.linalg import eigvalsh_tridiagonal, norm

    def length_of(v):  # by BLAS, which scales: squares of large and small entries neither overflow nor vanish
        return float(norm(v, check_finite=False))

    v = np.random.default_rng(0).standard_normal(n)  # fixed: the same call gives the same numbers
    v /= np.linalg.norm(v)
    before, beta, diagonal, beside = np.zeros(n), 0.0, [], []
    for _ in range(min(n, products)):
        w = product(v)
        length = length_of(w)
        if not np.isfinite(length):
            return length, 0.0
        diagonal.append(float(v @ w))
        w = w - diagonal[-1] * v - beta * before
        beta = length_of(w)
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
            from scipy.sparse.linalg import LinearOperator, eigsh

            near = None if start is None else np.asarray(start, dtype=float).reshape(n, -1).sum(axis=1)
            warm = near is not None and np.isfinite(near).all() and near.any()
            operator = LinearOperator((n, n), matvec=finite, dtype=np.float64)  # pyright: ignore[reportCallIssue]
            values, vectors = eigsh(operator, count, which="LA", tol=tolerance,  # pyright: ignore[reportArgumentType]
                                    v0=near if warm else np.random.default_rng(0).standard_normal(n),
                                    ncv=max(2 * count + 2, 8) if warm else None)
    except _NotFinite:
        return np.full(count, np.nan), np.full((n, count), np.nan)
    order = np.argsort(values)[::-1][:count]
    return values[order], vectors[:, order]


def tracked_eigenpairs(product: Product, start: np.ndarray, tolerance: float = 1e-4,
                       products: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`largest_eigenpairs`, for vectors that are near those wanted: a few products along a run.

    Parameters
    ----------
    product : callable
    start : (n, count) array
        The vectors of a point nearby; they are turned a little out of their plane, so that another eigenvalue that
        passes them is seen.
    tolerance : float
        It ends when a product more changes no wanted eigenvalue by more than this part of the largest.
    products : int
        At most so many, beside one for each vector of ``start``.

    Returns
    -------
    (count,) array, (n, count) array
        NaN where a product is not finite.
    """
    n, count = start.shape
    noise = np.random.default_rng(0).standard_normal((n, count))
    v = start / np.linalg.norm(start, axis=0) + 0.03 * noise / np.linalg.norm(noise, axis=0)
    basis, _ = np.linalg.qr(v)
    images = np.column_stack([product(np.ascontiguousarray(column)) for column in basis.T])
    before = np.full(count, np.inf)
    for i in range(products + 1):
        if not np.isfinite(images).all():
            return np.full(count, np.nan), np.full((n, count), np.nan)
        small = basis.T @ images
        values, inner = np.linalg.eigh(0.5 * (small + small.T))
        values, inner = values[::-1][:count], inner[:, ::-1][:, :count]
        if (np.abs(values - before) <= tolerance * np.abs(values[0])).all() or i == products or basis.shape[1] == n:
            break
        # The residual of the pair that moved most is the next direction (block Lanczos of one vector).
        worst = int(np.abs(values - before).argmax()) if i % count == 0 else i % count
        before = values
        new = images @ inner[:, worst] - values[worst] * (basis @ inner[:, worst])
        for _ in range(2):
            new = new - basis @ (basis.T @ new)
        size = np.linalg.norm(new)
        if size <= 1e-12 * np.abs(values[0]):
            break
        new = new / size
        basis = np.column_stack([basis, new])
        images = np.column_stack([images, product(new)])
    return values, basis @ inner
