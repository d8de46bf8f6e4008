"""SOAP: Adam in the eigenbases of Shampoo's two matrices.

Update     L <- beta3 L + (1 - beta3) G G^T;  R <- beta3 R + (1 - beta3) G^T G, beta3 = shampoo_beta
           m <- beta1 m + (1 - beta1) G;  v <- beta2 v + (1 - beta2) (U^T G V)^2;  q_i = 1 - beta_i^k
           W <- (1 - lr weight_decay) W - lr U [(U^T m V)/q1 / (sqrt(v/q2) + eps)] V^T
           U, V: bases of eigenvectors of L and R
Bases      "power", the authors': v, m and W move with the bases of the step before, then L and R; every ``every``
           steps each basis takes one step of the power iteration, U <- orthonormal basis of L U, with the columns
           (and v's entries) sorted by u^T L u. The first step sets L, R and the first bases, and moves nothing.
           "exact": the eigenvectors of the new L and R are taken every ``every`` steps and move W in the same step
Flow       Adam's in the turning eigenbases of L and R, with averages tau_i = lr/(1 - beta_i) (flows/soap.py):
           defined as long as no two eigenvalues of L, or of R, are equal
Scheme     semi-implicit Euler, h = lr, for "exact" renewed in each step; none for "power", whose bases lag by O(h)
           behind the same flow: U takes one power step in the time h ``every``, which brings it to the eigenbasis at
           once as h -> 0, and it stays O(h) behind as L turns
Order      1, from the cold start up to a logarithm: there entries of U^T m V and sqrt(v) off the diagonal start
           from 0 together, their quotient in step k differs from the flow's by O(1/k), and the sum of h/k is
           h log(1/h). Bases that lag (every > 1, "power") see as much of the large entries in those, until h is so
           small that this is below eps: .83 to .98 on a 3 x 2 matrix with eps = 1e-8, .95 to 1 with 1e-2
Arrays     of two axes are matrices, of more the first axis by the others (the authors turn each axis). Vectors and
           scalars are AdamW's with the same numbers, from their first step on (the authors leave it out). So is a
           matrix whose two axes are longer than ``max_dim``; where one is, the other alone is turned. A problem of
           ``record`` has a vector for its unknowns: ``shape`` says that it is a matrix
Scaling    lr ~ h, beta_i = 1 - h/tau_i, eps and weight_decay fixed; ``every`` stays
Stability  frozen: lr lambda_max(H/P) < 2 (1 + beta1)/(1 - beta1), P the quadratic form of sqrt(v) + eps in the bases
Memory     beside the matrix: m, v, L, R, U, V and workspace, 3 max^2 + 2 min^2 + 7 rows columns numbers
Cost       "power": L U and a QR of it, of LAPACK, at each renewal; "exact": an eigenvalue problem
Zero       with eps = 0 an entry whose v is 0 does not move
Variants   the authors' eps stands beside the uncorrected sqrt(v): eps/sqrt(q2) here; their decay is taken of W after
           the step, a difference of lr^2 weight_decay; they make the QR in float32

Sources: Vyas et al., arXiv:2409.11321, algorithm 3, and the authors' code; pytorch_optimizer 4.1; the flow: the
package's own.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from .. import checks
from ..abi import kernel, precision
from ..flows import adam_flow
from ..flows.shampoo import full_shape, rows_of_averages
from ..flows.soap import soap_flow
from ..matrices import average_square, both_sides, eigenvectors, part, power_step
from ..method import Slot
from ..schemes import semi_implicit_euler
from .base import Optimizer, fraction, nonnegative, positive, square_behind, variant
from .muon import adamw_step
from .shampoo import sides_of


@kernel
def soap(k, p, x, g, s):
    """p = (lr, beta1, beta2, shampoo_beta, eps, weight decay, every, 1 for exact bases, rows, columns or 0 0 for
    AdamW, 1 for left, 1 for right); s = (..., m, v, q1, q2), q in element 0, and before them, for a matrix, L, R,
    their bases and workspace."""
    first = s.shape[0] - 4
    own = s[first:]
    if p[8] == 0.0:
        adamw_step(p[0], p[1], p[2], p[4], p[5], x, g, own)
        return p[0]
    r, c, exact, n = int(p[8]), int(p[9]), p[7] > 0.0, x.size
    a, b, long = (r if p[10] > 0.0 else 0), (c if p[11] > 0.0 else 0), max(r, c)
    kept = s[:first].reshape(first * n)
    rest = kept[2 * (a * a + b * b) :]
    square, values = rest[: long * long], rest[long * long :]
    scaled, work, turned = (values[long : long + n], values[long + n : long + 2 * n], values[long + 2 * n :])
    of_left, of_right = part(kept, a, a), part(kept[a * a :], b, b)
    left, right = part(kept[a * a + b * b :], a, a), part(kept[2 * a * a + b * b :], b, b)
    m, v, matrix, v_matrix = own[0], own[1], part(scaled, r, c), own[1].reshape(r, c)
    real = precision(x, g, s)
    few, old = real(np.sqrt(1.0 - p[3])), real(p[3])
    finite = True
    for i in range(n):
        scaled[i] = few * g[i]
        finite = finite and np.isfinite(g[i])
    if not finite:  # also in a first step, which moves nothing else
        x[:] = np.nan
        return p[0]
    new = not ((a > 0 and left.any()) or (a == 0 and right.any()))
    if new and not exact:
        renew_averages(matrix, old, of_left, of_right, square)
    if new:
        eigenbasis(of_left, matrix, square, values, left)
        eigenbasis(of_right, matrix.T, square, values, right)
    if new and not exact:
        return p[0]
    both_sides(left, g.reshape(r, c), right.T, a > 0, b > 0, part(work, r, c), part(turned, r, c))
    old1, new1, old2, new2 = real(p[1]), real(1.0 - p[1]), real(p[2]), real(1.0 - p[2])
    for i in range(n):
        of_g = turned[i] * turned[i]
        of_g = of_g if of_g < np.inf else real(np.inf)  # a sum of huge numbers may be NaN
        m[i] = old1 * m[i] + new1 * g[i]
        v[i] = old2 * v[i] + new2 * of_g
    q1, q2 = own[2, 0] + (1.0 - p[1]) * (1.0 - own[2, 0]), own[3, 0] + (1.0 - p[2]) * (1.0 - own[3, 0])
    own[2, 0], own[3, 0] = q1, q2
    renew_averages(matrix, old, of_left, of_right, square)
    if exact and k % int(p[6]) == 0:
        eigenbasis(of_left, matrix, square, values, left)
        eigenbasis(of_right, matrix.T, square, values, right)
    both_sides(left, m.reshape(r, c), right.T, a > 0, b > 0, part(work, r, c), part(turned, r, c))
    over, root, eps, zero = real(1.0 / q1), real(1.0 / np.sqrt(q2)), real(p[4]), real(0.0)
    for i in range(n):
        below = np.sqrt(v[i]) * root + eps
        turned[i] = turned[i] * over / below if below != zero and below != np.inf else zero
    both_sides(left.T, part(turned, r, c), right, a > 0, b > 0, part(work, r, c), matrix)
    keep, step = real(1.0 - p[0] * p[5]), real(p[0])
    for i in range(n):
        x[i] = keep * x[i] - step * scaled[i]
    if not exact and k % int(p[6]) == 0:
        power_step(of_left, left, v_matrix, square, values)
        power_step(of_right, right, v_matrix.T, square, values)
    return p[0]


@kernel
def renew_averages(matrix, old, of_left, of_right, square):
    """Both running averages with ``matrix``, whose square has its weight already."""
    if of_left.size > 0:
        average_square(matrix, old, of_left, part(square, matrix.shape[0], matrix.shape[0]))
    if of_right.size > 0:
        average_square(matrix.T, old, of_right, part(square, matrix.shape[1], matrix.shape[1]))


@kernel
def eigenbasis(mean, matrix, square, values, basis):
    """The rows of ``basis`` <- eigenvectors of ``mean``, or of ``matrix`` times its transpose where that is 0, by
    falling eigenvalue. As they were, or the identity at first, where it has overflowed."""
    n = basis.shape[0]
    if n == 0:
        return
    vectors, trace = part(square, n, n), 0.0
    for i in range(n):
        trace += np.float64(mean[i, i])
    if trace == 0.0:
        np.dot(matrix, matrix.T, vectors)
    else:
        vectors[:, :] = mean
    for i in range(n if trace == 0.0 else 0):
        trace += np.float64(vectors[i, i])
    if trace < np.inf:
        eigenvectors(vectors, values[:n])
        for i in range(n):
            for j in range(n):
                basis[i, j] = vectors[n - 1 - i, j]
    elif not basis.any():
        for i in range(n):
            basis[i, i] = 1.0


@dataclass(frozen=True)
class SOAP(Optimizer):
    """Adam in the eigenbases of the gradients' row and column products.

    Parameters
    ----------
    lr : float > 0, default 3e-3
        Step in flow time.
    beta1, beta2, shampoo_beta : float in [0, 1), default 0.95
        Of the averages of gradients, of squares, and of L and R.
    eps : float >= 0, default 1e-8
        In the unit of g.
    weight_decay : float >= 0, default 0.01
        Decoupled, a rate in 1/flow time.
    every : int >= 1, default 10
        Steps between renewals of the bases.
    basis : {"power", "exact"}
        How they are renewed.
    max_dim : int >= 1, default 10000
        Longest axis that is turned.
    shape : (int, int), optional
        The matrix that a vector is, row after row.

    Raises
    ------
    ValueError
        Also where a vector has not as many entries as ``shape`` says.
    """

    title = "SOAP"
    momentum_name = "beta1"
    look = ("#00688B", "8")
    weight_decay_mode = "decoupled"
    typical = {"shape": (3, 2)}

    lr: float = positive(default=3e-3, scales="h")
    beta1: float = fraction(default=0.95, scales="1 - c h")
    beta2: float = fraction(default=0.95, scales="1 - c h")
    shampoo_beta: float = fraction(default=0.95, scales="1 - c h")
    eps: float = nonnegative(default=1e-8)
    weight_decay: float = nonnegative(default=0.01)
    every: int = field(default=10, metadata={"check": partial(checks.integer, low=1, high=2**31), "numeric": False})
    basis: str = variant("power", "exact")
    max_dim: int = field(default=10000, metadata={"check": partial(checks.integer, low=1), "numeric": False})
    shape: Any = field(default=None, metadata={"check": full_shape, "numeric": False})

    kernel = staticmethod(soap)

    @property
    def _sides(self):
        return sides_of(self.shape or (), self.max_dim)

    @property
    def slots(self):
        own = (Slot("mean", "average", "g"), Slot("square", "square", "g^2"), Slot("mean weight", "weight"),
               Slot("square weight", "weight"))
        return (*(Slot(f"matrices {i}") for i in range(1, self._rows(*self._sides) + 1)), *own)

    @staticmethod
    def _rows(rows, columns, left, right):
        """Rows before those of the slots: L and R, their bases, an eigenvalue problem, three matrices."""
        if rows == 0:
            return 0
        long, entries = max(rows, columns), rows * columns
        return 3 - (-(2 * (left * rows**2 + right * columns**2) + long**2 + long) // entries)

    def memory_rows(self, shape):
        return max(len(self.slots), 4 + self._rows(*sides_of(shape, self.max_dim)))

    @property
    def p(self):
        """The numbers, then every, 1 for exact bases, rows, columns, 1 for left, 1 for right."""
        return self.numbers_and(self.every, self.basis == "exact", *self._sides)

    def p_for(self, array):
        """``p`` with the array's rows and columns, 0 and 0 for a vector that is none."""
        if np.ndim(array) > 1:
            return self.numbers_and(self.every, self.basis == "exact", *sides_of(np.shape(array), self.max_dim))
        if self.shape is not None and np.size(array) != self.shape[0] * self.shape[1]:
            raise ValueError(f"shape must fit the vector of {np.size(array)} entries, got {self.shape}")
        return np.array(self.p)

    def shape_of_trial(self, shape):
        return shape if self.shape is None or len(shape) != 1 else (self.shape[0] * self.shape[1],)

    @property
    def flow(self):
        rows, columns, left, right = self._sides
        taus = (self.lr / (1 - self.beta1), self.lr / (1 - self.beta2))
        if not rows:
            return adam_flow(*taus, self.eps, drift=self.weight_decay)
        return soap_flow(*taus, self.lr / (1 - self.shampoo_beta), (rows, columns), eps=self.eps,
                         sides=(left > 0, right > 0), drift=self.weight_decay)

    @property
    def scheme(self):
        identical = not self._sides[0] or (self.basis == "exact" and self.every == 1)
        return semi_implicit_euler if identical else None

    def to_flow(self, x, s):
        rows, columns, *sides = self._sides
        if not rows:
            return np.vstack([x[None, :], s])
        z = np.zeros((5 + rows_of_averages((rows, columns), sides), np.size(x)))
        z[0], z[1:5] = x, s[-4:]
        kept = sides[0] * rows**2 + sides[1] * columns**2
        z[5:].reshape(-1)[:kept] = s.reshape(-1)[:kept]
        return z

    def consistent_start(self, x, g):
        s = np.zeros((len(self.slots), np.size(x)))
        rows, columns, left, right = self._sides
        s[-4], s[-3], s[-2:, 0] = g, g * g, 1.0
        if not rows:
            return s
        turned = matrix = np.reshape(g, (rows, columns))
        squares = []
        if left:
            squares.append(matrix @ matrix.T)
            turned = np.linalg.eigh(squares[-1])[1][:, ::-1].T @ turned
        if right:
            squares.append(matrix.T @ matrix)
            turned = turned @ np.linalg.eigh(squares[-1])[1][:, ::-1]
        kept = np.concatenate([square.ravel() for square in squares])
        s.reshape(-1)[: kept.size] = kept
        s[-3] = (turned * turned).ravel()
        return s

    @property
    def order_condition(self):
        """Entries that are 0 in the eigenbases are not in bases that lag, and their quotients are of size 1."""
        if self.scheme is not None:
            return ""
        return "with an eps above h times the size of G: entries off the diagonal start from 0"

    def held(self, slot, preconditioner):
        if self._sides[0]:
            return super().held(slot, preconditioner)
        return square_behind(preconditioner, self.eps, False, self.beta2)

    def stability_limit(self):
        return self.limit(2 * (1 + self.beta1) / (1 - self.beta1), "2 (1 + β1)/(1 - β1)")
