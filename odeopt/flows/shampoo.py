"""Shampoo's flow on matrices: W' = -(L/q + eps)^(-1/4) G (R/q + eps)^(-1/4) - drift W.

    tau L' = G G^T - L,   tau R' = G^T G - R,   tau q' = 1 - q

q is the weight that the averages have gathered, 1 throughout without bias correction. Where an axis is not
preconditioned, its factor is missing and the other's exponent is -1/2; the diagonal form, that of vectors, is
x' = -g/sqrt(v/q + eps), tau v' = g^2 - v. At q = 0 the averages are those of the first gradient.

From L(0) = 0 the uncorrected field starts as t^{-1/2}, as RMSprop's does (flows/rmsprop.py). In a tall matrix G G^T
is singular at the start, and so is L: along its kernel G grows as t, (L/q)^(1/4) as t^{1/2}, and W' as t^{1/2} (t^{1/4}
from L(0) = G G^T): continuous, but not smooth, at t = 0.

z = (x, q, L and R packed one after the other) with the matrix's rows one after the other in x, and (x, v, q) for the
diagonal form. Source: derived here.
"""

import numpy as np

from .. import checks
from ..abi import kernel
from ..matrices import average_square, both_sides, inverse_root
from ..spec import factory
from .base import Flow
from .muon import matrix_shape


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """p = (tau, eps, drift, 1 for bias correction, rows, columns, 1 for left, 1 for right)."""
    x, dx, r, c, n = z[0], dz[0], int(p[4]), int(p[5]), z.shape[1]
    if n != r * c:
        dz[:, :] = np.nan
        return
    q = z[1, 0]
    dz[1:, :] = 0.0
    dz[1, 0] = (1.0 - q) / p[0]
    fg(x, dx, data)
    g, out, work = dx.reshape(r, c).copy(), np.empty((r, c)), np.empty((r, c))
    averages, slopes = z[2:].reshape(z[2:].size), dz[2:].reshape(z[2:].size)
    a, b, middle = (r if p[6] > 0.0 else 0), (c if p[7] > 0.0 else 0), (r * r if p[6] > 0.0 else 0)
    exponent = 0.25 if a > 0 and b > 0 else 0.5
    left, right = np.empty((a, a)), np.empty((b, b))
    for side in range(2):
        m, root = (a, left) if side == 0 else (b, right)
        if m > 0:
            begin = side * middle
            mean, square = averages[begin : begin + m * m].reshape(m, m).copy(), np.zeros((m, m))
            average_square(g if side == 0 else g.T.copy(), 0.0, square, np.empty((m, m)))
            slopes[begin : begin + m * m] = ((square - mean) / p[0]).reshape(m * m)
            if p[3] > 0.0:
                mean = mean / q if q > 0.0 else square
            inverse_root(mean, p[1], exponent, np.empty(m), root)
    both_sides(left, g, right, a > 0, b > 0, work, out)
    flat = out.reshape(n)
    for i in range(n):
        dx[i] = -flat[i] - p[2] * x[i]


@kernel
def diagonal_rhs(fg, hv, data, t, p, z, dz):
    """z = (x, v, q), p = (tau, eps, drift, 1 for bias correction)."""
    x, v, dx, dv, q = z[0], z[1], dz[0], dz[1], z[2, 0]
    fg(x, dx, data)
    dz[2, :] = 0.0
    dz[2, 0] = (1.0 - q) / p[0]
    for i in range(x.size):
        gi = dx[i]
        dv[i] = (gi * gi - v[i]) / p[0]
        square = max(v[i], 0.0)
        if p[3] > 0.0:
            square = square / q if q > 0.0 else gi * gi
        root = np.sqrt(square + p[1])
        dx[i] = (-gi / root if root != 0.0 else 0.0) - p[2] * x[i]


def two_switches(name, value):
    """``value`` as two bools, for the rows' axis and the columns'."""
    pair = tuple(checks.switch(name, one) for one in checks.entries(name, value))
    if len(pair) != 2:
        raise ValueError(f"{name} must be two bools, got {checks.shown(value)}")
    return pair


def rows_of_averages(shape, sides):
    """Rows of ``rows * columns`` entries that hold the averages of the sides, (left, right), of a matrix."""
    entries = sum(n * n for n, kept in zip(shape, sides) if kept)
    return -(-entries // (shape[0] * shape[1]))


@factory
def shampoo_flow(tau, shape=None, *, eps=0.0, bias_correction=True, sides=(True, True), drift=0.0):
    """W' = -(L/q + eps)^(-1/4) G (R/q + eps)^(-1/4) - drift W, tau L' = G Gᵀ - L, tau R' = Gᵀ G - R, tau q' = 1 - q.

    Parameters
    ----------
    tau : float > 0
        Memory time of the averages, in flow time.
    shape : (int, int), optional
        Rows and columns of the matrix; None for the diagonal form, x' = -g/√(v/q + eps).
    eps : float >= 0
        In the unit of g².
    bias_correction : bool
        False for L and R themselves in place of L/q and R/q.
    sides : (bool, bool)
        Whether the rows' axis and the columns' are preconditioned, one of them at least.
    drift : float
        Rate of decay, in 1/flow time.
    """
    left, right = two_switches("sides", sides)
    corrected = checks.choice("bias_correction", bias_correction, (True, False))
    constants = {"tau": checks.positive("tau", tau), "eps": checks.nonnegative("eps", eps),
                 "drift": checks.real("drift", drift), "corrected": float(corrected)}
    over, decaying = ("/q" if corrected else ""), (" - drift W" if drift else "")
    last = ", tau q' = 1 - q" if corrected else ""
    if shape is None:
        equation = f"x' = -g/√(v{over} + eps){' - drift x' if drift else ''}, tau v' = g² - v{last}"
        return Flow("Shampoo, diagonal", equation, diagonal_rhs, constants, ("square", "weight"))
    rows, columns = full_shape("shape", shape)  # pyright: ignore[reportGeneralTypeIssues] - None is for shape None
    if not (left or right):
        raise ValueError(f"sides must hold True once at least, got {checks.shown(sides)}")
    exponent = "-1/4" if left and right else "-1/2"
    first = f"(L{over} + eps)^({exponent}) " if left else ""
    second = f" (R{over} + eps)^({exponent})" if right else ""
    memory = ", tau L' = G Gᵀ - L" * left + ", tau R' = Gᵀ G - R" * right
    constants |= {"rows": float(rows), "columns": float(columns), "left": float(left), "right": float(right)}
    slots = ("weight", *(f"averages {i}" for i in range(1, rows_of_averages((rows, columns), (left, right)) + 1)))
    return Flow("Shampoo", f"W' = -{first}G{second}{decaying}{memory}{last}", rhs, constants, slots, dim=rows * columns)


def full_shape(name, value):
    """``value`` as a pair (rows, columns) of known numbers, or None; else an error."""
    pair = matrix_shape(name, value)
    if pair is not None and min(pair) < 1:
        raise ValueError(f"{name} must say both numbers, rows and columns, got {checks.shown(value)}")
    return pair
