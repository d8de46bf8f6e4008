"""Muon's flow on matrices: W' = -scale phi(m) - drift W, tau m' = G - m.

phi(m) is the orthogonal polar factor U V^T of m = U S V^T, or what a number of steps of a Newton-Schulz iteration
make of it: a polynomial of the singular values of m/|m|, which stays within .3 of 1 and depends on m (``steps``).
At m = 0, where a cold start begins, the limit is phi(G): both are functions of the direction of m alone.

The polar factor is a smooth function of m as long as the smallest of its min(rows, columns) singular values stays
above 0. Where one passes through 0, phi turns by a jump, and the flow goes on as a sliding mode, the matrix form of
x' in -Sign(g); no order is claimed there. A singular value that is 0 to round-off takes no part (phi is 0 there).

The coordinates are the matrix's rows, one after the other. Source: derived here; Muon as descent in the spectral
norm with decay: Chen, Li, Liu, arXiv:2506.15054.
"""

import numpy as np

from .. import checks
from ..abi import kernel
from ..matrices import load, newton_schulz, resolution
from ..spec import factory
from ..sums import scaled_norm
from .base import Flow

ADJUSTMENTS = ("original", "match_rms_adamw", "width", "none")
QUINTIC = (3.4445, -4.775, 2.0315)


@kernel
def shape_of(size, rows, columns):
    """``(rows, columns)`` as integers, -1 among them what ``size`` leaves; (0, 0) where they do not fit it."""
    r, c = int(rows), int(columns)
    if r < 0 and c > 0:
        r = size // c
    if c < 0 and r > 0:
        c = size // r
    return (r, c) if r * c == size else (0, 0)


@kernel
def adjusted(rows, columns, adjustment):
    """Factor of the step of a (rows, columns) matrix, by the number of one of ``ADJUSTMENTS``."""
    r, c = float(rows), float(columns)
    if adjustment == 0:
        return np.sqrt(max(1.0, r / c))
    if adjustment == 1:
        return 0.2 * np.sqrt(max(r, c))
    return np.sqrt(max(1.0, c / r)) if adjustment == 2 else 1.0


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """z = (x, m), p = (tau, drift, rows, columns, adjustment, steps, a, b, c, eps)."""
    x, m, dx, dm = z[0], z[1], dz[0], dz[1]
    rows, columns = shape_of(x.size, p[2], p[3])
    fg(x, dm, data)
    finite, zero = True, True
    for i in range(x.size):
        finite = finite and np.isfinite(m[i])
        zero = zero and m[i] == 0.0
    if rows == 0 or not finite:
        dz[:, :] = np.nan
        return
    direction = dm if zero else m
    scale, length = scaled_norm(direction)
    if length == 0.0:
        scale, length = 1.0, 1.0
    matrix = np.empty((rows, columns))
    load(direction, matrix, False, scale, length)
    if p[5] > 0.0:
        short, long = min(rows, columns), max(rows, columns)
        wide, other, gram = np.empty((short, long)), np.empty((short, long)), np.empty((short, short))
        small = min(1.0, scale * length / p[9]) if p[9] > 0.0 else 1.0
        wide[:, :] = (matrix if rows <= columns else matrix.T) * small
        newton_schulz(wide, other, gram, np.empty(short * long), int(p[5]), p[6], p[7], p[8])
        matrix[:, :] = wide if rows <= columns else wide.T
    else:
        u, s, vt = np.linalg.svd(matrix, False)
        for i in range(s.size):
            if s[i] <= max(rows, columns) * resolution(s) * s[0]:
                vt[i, :] = 0.0
        matrix[:, :] = np.dot(u, vt)
    factor, flat = adjusted(rows, columns, int(p[4])), matrix.reshape(x.size)
    for i in range(x.size):
        dx[i] = -factor * flat[i] - p[1] * x[i]
        dm[i] = (dm[i] - m[i]) / p[0]


def matrix_shape(name, value):
    """``value`` as a pair (rows, columns) of which one may be -1, or None; else an error."""
    if value is None:
        return None
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise TypeError(f"{name} must be a pair (rows, columns), got {checks.shown(value)}")
    pair = tuple(checks.integer(name, one, -1) for one in value)
    if 0 in pair or pair == (-1, -1):
        raise ValueError(f"{name} must be at least 1, or -1 for one of the two, got {checks.shown(value)}")
    return pair


@factory
def muon_flow(tau, shape, *, steps=None, coefficients=QUINTIC, eps=0.0, adjust="none", drift=0.0):
    """W' = -scale phi(m) - drift W, tau m' = G - m, on matrices of the ``shape`` (rows, columns).

    Parameters
    ----------
    tau : float > 0
        Memory time of m, in flow time.
    shape : (int, int)
        One of the two may be -1: what the problem's dimension leaves.
    steps : int >= 1, optional
        Newton–Schulz steps that make phi; None for the polar factor itself.
    coefficients : (float, float, float)
        a, b, c of a step X <- a X + (b A + c A²) X, A = X X^T.
    eps : float >= 0
        Least norm by which m is divided for the iteration.
    adjust : {"none", "original", "match_rms_adamw", "width"}
        Scale: 1, √max(1, rows/columns), .2 √max(rows, columns) or √max(1, columns/rows).
    drift : float
        Rate of decay, in 1/flow time.
    """
    pair = matrix_shape("shape", shape)
    if pair is None:
        raise TypeError("shape must be a pair (rows, columns), got None")
    rows, columns = pair
    drift = checks.real("drift", drift)
    a, b, c = checks.array("coefficients", coefficients, (3,))
    number = 0 if steps is None else checks.integer("steps", steps, 1)
    code = ADJUSTMENTS.index(checks.choice("adjust", adjust, ADJUSTMENTS))
    phi = f"NS{number}(m)" if number else "polar(m)"
    scale = "" if adjust == "none" else f"{adjust} scale × "
    equation = f"W' = -{scale}{phi}{' - drift W' if drift else ''}, tau m' = G - m"
    constants = {"tau": checks.positive("tau", tau), "drift": drift, "rows": float(rows),
                 "columns": float(columns), "adjustment": float(code), "steps": float(number), "a": a, "b": b, "c": c,
                 "eps": checks.nonnegative("eps", eps)}
    return Flow("Muon", equation, rhs, constants, ("mean",), dim=rows * columns if min(pair) > 0 else None)
