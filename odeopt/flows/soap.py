"""SOAP's flow on matrices: Adam's in the eigenbases of L and R, which turn.

    tau3 L' = G G^T - L,   tau3 R' = G^T G - R,   U, V: their eigenvectors, by falling eigenvalue
    tau1 m' = G - m,   tau2 v' = (U^T G V)^2 - v,   tau_i q_i' = 1 - q_i
    W' = -U [(U^T m V)/q1 / (sqrt(v/q2) + eps)] V^T - drift W

The squares v stay with the coordinates that they were taken in: entry (i, j) is that of the i-th eigenvector of L and
the j-th of R, wherever these have turned to. Signs of eigenvectors drop out. The field is smooth as long as no two
eigenvalues of L, or of R, are equal; symmetric matrices on a path do not meet such a place (it has codimension two)
but turn fast beside it. Of a matrix with two rows more than columns, or more, L has a kernel of two dimensions or
more at the start, in which no eigenvector is distinguished: no flow is claimed there. An axis that is not
preconditioned has the identity for its basis.

While one gradient is in the averages, U^T G V is the diagonal matrix of its singular values, and W' is minus its
polar factor, as Muon's; the other entries of U^T m V and of sqrt(v) grow from 0 together, and their quotient has a
limit that is not 0 where both start cold. At q = 0 the averages are those of the first gradient.

z = (x, m, v, q1, q2, L and R packed one after the other), the matrix's rows one after the other. Source: derived
here.
"""

import numpy as np

from .. import checks
from ..abi import kernel
from ..matrices import both_sides, eigenvectors
from ..spec import factory
from .base import Flow
from .shampoo import full_shape, rows_of_averages, two_switches


@kernel
def rhs(fg, hv, data, t, p, z, dz):
    """p = (tau1, tau2, tau3, eps, drift, rows, columns, 1 for left, 1 for right)."""
    x, dx, r, c, n = z[0], dz[0], int(p[5]), int(p[6]), z.shape[1]
    if n != r * c or not np.isfinite(z).all():
        dz[:, :] = np.nan
        return
    q1, q2 = z[3, 0], z[4, 0]
    dz[3:, :] = 0.0
    dz[3, 0], dz[4, 0] = (1.0 - q1) / p[0], (1.0 - q2) / p[1]
    fg(x, dx, data)
    g = dx.reshape(r, c).copy()
    averages, slopes = z[5:].reshape(z[5:].size), dz[5:].reshape(z[5:].size)
    a, b = (r if p[7] > 0.0 else 0), (c if p[8] > 0.0 else 0)
    left, right = np.empty((a, a)), np.empty((b, b))
    for side in range(2):
        m, basis = (a, left) if side == 0 else (b, right)
        if m > 0:
            begin, square = side * a * a, np.dot(g, g.T) if side == 0 else np.dot(g.T, g)
            mean = averages[begin : begin + m * m].reshape(m, m).copy()
            slopes[begin : begin + m * m] = ((square - mean) / p[2]).reshape(m * m)
            basis[:, :] = mean if mean.any() else square
            eigenvectors(basis, np.empty(m))
            basis[:, :] = basis[::-1, :].copy()
    work, turned, moved = np.empty((r, c)), np.empty((r, c)), np.empty((r, c))
    both_sides(left, g, right.T.copy(), a > 0, b > 0, work, turned)
    both_sides(left, z[1].reshape(r, c), right.T.copy(), a > 0, b > 0, work, moved)
    of_g, of_m = turned.reshape(n), moved.reshape(n)
    for i in range(n):
        dz[1, i] = (dx[i] - z[1, i]) / p[0]
        dz[2, i] = (of_g[i] * of_g[i] - z[2, i]) / p[1]
        mean = of_m[i] / q1 if q1 > 0.0 else of_g[i]
        below = np.sqrt(max(z[2, i], 0.0) / q2 if q2 > 0.0 else of_g[i] * of_g[i]) + p[3]
        of_m[i] = mean / below if below != 0.0 else 0.0
    both_sides(left.T.copy(), moved, right, a > 0, b > 0, work, turned)
    for i in range(n):
        dx[i] = -of_g[i] - p[4] * x[i]


@factory
def soap_flow(tau1, tau2, tau3, shape, *, eps=0.0, sides=(True, True), drift=0.0):
    """Adam's flow in the eigenbases U, V of L and R: tau3 L' = G Gᵀ - L, tau3 R' = Gᵀ G - R.

    Parameters
    ----------
    tau1, tau2, tau3 : float > 0
        Memory times of m, of v and of the matrices, in flow time.
    shape : (int, int)
        Rows and columns of the matrix.
    eps : float >= 0
        Beside the root, in the unit of g.
    sides : (bool, bool)
        Whether the rows' axis and the columns' are turned, one of them at least.
    drift : float
        Rate of decay, in 1/flow time.
    """
    pair = full_shape("shape", shape)
    if pair is None:
        raise TypeError("shape must be a pair (rows, columns), got None")
    left, right = two_switches("sides", sides)
    if not (left or right):
        raise ValueError(f"sides must hold True once at least, got {checks.shown(sides)}")
    constants = {"tau1": checks.positive("tau1", tau1), "tau2": checks.positive("tau2", tau2),
                 "tau3": checks.positive("tau3", tau3), "eps": checks.nonnegative("eps", eps),
                 "drift": checks.real("drift", drift), "rows": float(pair[0]), "columns": float(pair[1]),
                 "left": float(left), "right": float(right)}
    first, second = "U" if left else "", "V" if right else ""
    to, fro = (f"{first}ᵀ " if left else ""), (f" {second}" if right else "")
    memory = ", tau3 L' = G Gᵀ - L" * left + ", tau3 R' = Gᵀ G - R" * right
    decaying = " - drift W" if drift else ""
    equation = (f"W' = -{first}[({to}m{fro}/q1)/(√(v/q2) + eps)]{second + 'ᵀ' if right else ''}{decaying}, "
                f"tau1 m' = G - m, tau2 v' = ({to}G{fro})² - v{memory}, tau_i q_i' = 1 - q_i")
    slots = ("mean", "square", "mean weight", "square weight",
             *(f"averages {i}" for i in range(1, rows_of_averages(pair, (left, right)) + 1)))
    return Flow("SOAP", equation, rhs, constants, slots, dim=pair[0] * pair[1])
