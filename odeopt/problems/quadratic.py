"""Quadratics: any spectrum, any rotation, and the three that carry names.

The kernels are public because the dense pair serves every quadratic in the package.
"""

import math

import numpy as np

from .. import checks
from ..abi import kernel
from .base import Problem


@kernel
def diagonal_fg(x, g, data):
    """FG of 1/2 sum a_i (x_i - m_i)^2; data = (a, m)."""
    f = 0.0
    n = x.size
    for i in range(n):
        d = x[i] - data[n + i]
        gi = data[i] * d
        g[i] = gi
        f += 0.5 * gi * d
    return f


@kernel
def diagonal_hv(x, v, out, data):
    """HV of the same."""
    for i in range(x.size):
        out[i] = data[i] * v[i]


@kernel
def dense_fg(x, g, data):
    """FG of 1/2 (x - m)' A (x - m); data = (A by rows, m), A symmetric."""
    n = x.size
    m = data[n * n :]
    for i in range(n):
        g[i] = 0.0
    # Column by column (A is symmetric): the inner loop vectorises, a dot product would not.
    for j in range(n):
        d = x[j] - m[j]
        row = data[j * n : (j + 1) * n]
        for i in range(n):
            g[i] += row[i] * d
    f = 0.0
    for i in range(n):
        f += 0.5 * g[i] * (x[i] - m[i])
    return f


@kernel
def dense_hv(x, v, out, data):
    """HV of the same."""
    n = x.size
    for i in range(n):
        out[i] = 0.0
    for j in range(n):
        row = data[j * n : (j + 1) * n]
        vj = v[j]
        for i in range(n):
            out[i] += row[i] * vj


def quadratic(eigenvalues=(1.0, 100.0), *, angle=None, seed=None, x0=None, minimiser=None):
    """f(x) = 1/2 (x - m)' Q diag(eigenvalues) Q' (x - m): every curvature chosen by you.

    Without ``angle`` and ``seed``, Q = I, and the problem costs O(n) (use it up to n = 10^7);
    ``angle`` (radians, n = 2) turns the axes, ``seed`` draws Q from the orthogonal group
    uniformly (QR of a Gaussian matrix with the signs of R's diagonal fixed: F. Mezzadri, Notices
    AMS 54, 2007, p. 592), and the cost is O(n^2). ``minimiser`` is m (default 0), ``x0`` the start
    (default m + 1). Negative eigenvalues make m a saddle point: no minima and ``f_min`` None. A
    zero eigenvalue leaves a flat direction through the one minimiser that is listed.
    """
    eigenvalues = checks.point("eigenvalues", eigenvalues)
    n = eigenvalues.size
    m = np.zeros(n) if minimiser is None else checks.point("minimiser", minimiser, n)
    x0 = m + 1.0 if x0 is None else checks.point("x0", x0, n)
    if angle is not None and seed is not None:
        raise ValueError("seed must be left out when angle is given: both choose the rotation")
    if angle is None and seed is None:
        fg, hv, data = diagonal_fg, diagonal_hv, np.concatenate((eigenvalues, m))
    else:
        q = _turned(n, angle) if seed is None else _random_orthogonal(n, seed)
        a = (q * eigenvalues) @ q.T
        fg, hv, data = dense_fg, dense_hv, _dense_data(0.5 * (a + a.T), m)
    convex = bool((eigenvalues >= 0).all())
    half = 1.3 * max(np.abs(x0 - m).max(), 0.1)
    return Problem.from_kernels(
        "quadratic", fg, hv, dim=n, x0=x0, data=data, minima=(m,) if convex else (),
        f_min=0.0 if convex else None, convex=convex, about=quadratic.__doc__,
        window=[(c - half, c + half) for c in m] if n == 2 else None)


def booth():
    """f(x, y) = (x + 2y - 7)^2 + (2x + y - 5)^2: a quadratic with curvatures 2 and 18.

    Minimum 0 at (1, 3). Source: M. Jamil, X.-S. Yang, arXiv:1308.4008.
    """
    return _plane("booth", ((10.0, 8.0), (8.0, 10.0)), (1.0, 3.0), (-7.0, 1.0), 10.0, booth.__doc__)


def matyas():
    """f(x, y) = 0.26 (x^2 + y^2) - 0.48 x y: a quadratic with curvatures 0.04 and 1.

    Minimum 0 at (0, 0). Source: M. Jamil, X.-S. Yang, arXiv:1308.4008.
    """
    return _plane("matyas", ((0.52, -0.48), (-0.48, 0.52)), (0.0, 0.0), (8.0, 3.0), 10.0, matyas.__doc__)


def saddle():
    """f(x, y) = x^2 - y^2: the strict saddle, unbounded below.

    Along the gradient flow x = x0 e^{-2t}, y = y0 e^{2t}; the start (1, 0.001) stands almost on
    the stable axis, so a path first comes near the saddle point and leaves it late. No minima,
    ``f_min`` is None. Source: any textbook.
    """
    return _plane("saddle", ((2.0, 0.0), (0.0, -2.0)), (0.0, 0.0), (1.0, 1e-3), 1.5, saddle.__doc__)


def _plane(name, matrix, centre, x0, half, about):
    matrix, centre = np.array(matrix), np.array(centre)
    convex = bool(np.linalg.det(matrix) > 0)  # all three have a positive first entry
    return Problem.from_kernels(
        name, dense_fg, dense_hv, dim=2, x0=x0, data=_dense_data(matrix, centre), convex=convex,
        minima=(centre,) if convex else (), f_min=0.0 if convex else None, about=about,
        window=((-half, half), (-half, half)))


def _dense_data(a, m):
    return np.concatenate((a.ravel(), m))


def _turned(n, angle):
    angle = checks.real("angle", angle)
    if n != 2:
        raise ValueError(f"angle turns a plane: it needs 2 eigenvalues, got {n} (use seed)")
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s], [s, c]])


def _random_orthogonal(n, seed):
    q, r = np.linalg.qr(np.random.default_rng(checks.integer("seed", seed, high=None)).standard_normal((n, n)))
    return q * np.copysign(1.0, np.diag(r))
