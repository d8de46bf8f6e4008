"""Shampoo: the gradient of a matrix between inverse fourth roots of its averaged row and column products.

Update     L <- beta L + (1 - beta) G G^T;  R <- beta R + (1 - beta) G^T G;  q = 1 - beta^k
           W <- (1 - lr weight_decay) W - lr (L/q + eps)^(-1/4) G (R/q + eps)^(-1/4)
Flow       W' = -(L/q + eps)^(-1/4) G (R/q + eps)^(-1/4) - weight_decay W, tau L' = G G^T - L, tau R' = G^T G - R,
           tau q' = 1 - q, tau = lr/(1 - beta) (flows/shampoo.py): RMSprop's flow with matrices for its squares.
           With one gradient in its averages it moves along the polar factor U V^T of G, as Muon does
Scheme     semi-implicit Euler, h = lr: the averages first, then W with the new ones. None where the roots are
           renewed every few steps only (``every`` > 1): they lag by O(h), and the flow is the same
Order      1, from L = 0 too with bias correction; without it one half there, as RMSprop's (rmsprop.py)
Arrays     of two axes are matrices, of more the first axis by the others (the paper takes a root for each axis).
           Vectors and scalars have the diagonal of their one matrix, and the exponent -1/2 that goes with one
           axis: RMSprop's step, bias-corrected. So has a matrix whose two axes are longer than ``max_dim``; where
           one is, the other's exponent is -1/2. A problem of ``record`` has a vector for its unknowns: ``shape``
           says that it is a matrix
Scaling    lr ~ h, beta = 1 - h/tau, eps and weight_decay fixed
Stability  L and R frozen at (eigenvalues of L^(1/4) times those of R^(1/4)) = P: lr lambda/P < 2
Memory     beside the matrix: L, R, their roots, and workspace, 3 max^2 + 2 min^2 + 3 rows columns numbers
Cost       two eigenvalue problems, of LAPACK, at each renewal; the rest are products by BLAS
Zero       with eps = 0, G = 0 so far is no move. Eigenvalues below round-off of the largest count as that, so that
           eps may be 0; a tall or wide matrix has such while few gradients are in
Variants   the paper's L and R are sums that begin at eps I: the average over gradients beta^(-k/2) G_k with
           lr/sqrt(1 - beta) for lr, to the last digits (tests/golden); lr ~ sqrt(h) would be their scaling, as
           Adagrad's. No momentum, no grafting of another method's step length

Sources: Gupta, Koren, Singer, arXiv:1802.09568; the averages, their correction, max_dim: Shi et al.,
arXiv:2309.06497; pytorch_optimizer 4.1; the flow: the package's own.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from .. import checks
from ..abi import kernel, precision
from ..flows.shampoo import full_shape, rows_of_averages, shampoo_flow
from ..matrices import average_square, both_sides, inverse_root, part
from ..method import Slot
from ..schemes import semi_implicit_euler
from .base import Optimizer, fraction, nonnegative, positive, square_behind, switch


@kernel
def shampoo(k, p, x, g, s):
    """p = (lr, beta, eps, weight decay, every, 1 for bias correction, rows, columns or 0 0 for the diagonal, 1 for
    left, 1 for right); s = (..., v, q) and before them, for a matrix, L, R, their roots and workspace."""
    rows = s.shape[0]
    q = s[rows - 1, 0] + (1.0 - p[1]) * (1.0 - s[rows - 1, 0])
    s[rows - 1, 0] = q
    over = 1.0 / q if p[5] > 0.0 else 1.0
    if p[6] == 0.0:
        diagonal_step(p, over, x, g, s[rows - 2])
        return p[0]
    real, r, c = precision(x, g, s), int(p[6]), int(p[7])
    keep, step, old, few = real(1.0 - p[0] * p[3]), real(p[0]), real(p[1]), real(np.sqrt(1.0 - p[1]))
    a, b, long = (r if p[8] > 0.0 else 0), (c if p[9] > 0.0 else 0), max(r, c)
    averages = s[: rows - 2].reshape((rows - 2) * x.size)
    roots = averages[a * a + b * b :]
    square = roots[a * a + b * b :]
    values, work, scaled = square[long * long :], square[long * long + long :], s[rows - 2]
    for i in range(x.size):
        scaled[i] = few * g[i]
    wide, exponent = part(scaled, r, c), 0.25 if a > 0 and b > 0 else 0.5
    if a > 0:
        average_square(wide, old, part(averages, a, a), part(square, a, a))
    if b > 0:
        average_square(wide.T, old, part(averages[a * a :], b, b), part(square, b, b))
    if k % int(p[4]) == 0:
        for side in range(2):
            n, at = (a, 0) if side == 0 else (b, a * a)
            if n > 0:
                for i in range(n * n):
                    square[i] = averages[at + i] * real(over)
                inverse_root(part(square, n, n), p[2], exponent, values[:n], part(roots[at:], n, n))
    both_sides(part(roots, a, a), g.reshape(r, c), part(roots[a * a :], b, b), a > 0, b > 0, part(work, r, c), wide)
    for i in range(x.size):
        x[i] = keep * x[i] - step * scaled[i]
    return p[0]


@kernel
def diagonal_step(p, over, x, g, v):
    """RMSprop's step, eps inside the root, decoupled decay; ``over`` = 1/q."""
    real = x.dtype.type
    keep, step, old, new = real(1.0 - p[0] * p[3]), real(p[0]), real(p[1]), real(1.0 - p[1])
    over, eps, zero = real(over), real(p[2]), real(0.0)
    for i in range(x.size):
        vi, xi, gi = v[i], x[i], g[i]
        vi = old * vi + new * gi * gi
        root = np.sqrt(vi * over + eps)
        move = step * gi / root
        xi = keep * xi - (move if root != zero else zero)
        v[i] = vi
        x[i] = xi


def sides_of(shape, max_dim):
    """``(rows, columns, left, right)`` of an array of this shape; zeros for one that has no axis to precondition."""
    if len(shape) < 2:
        return 0, 0, 0, 0
    rows, columns = shape[0], int(np.prod(shape[1:]))
    left, right = rows <= max_dim, columns <= max_dim
    return (rows, columns, int(left), int(right)) if left or right else (0, 0, 0, 0)


@dataclass(frozen=True)
class Shampoo(Optimizer):
    """Gradients of matrices, preconditioned from both sides.

    Parameters
    ----------
    lr : float > 0, default 1e-3
        Step in flow time.
    beta : float in [0, 1), default 0.95
    eps : float >= 0, default 1e-12
        Inside the roots, in the unit of g².
    weight_decay : float >= 0, default 0
        Decoupled, a rate in 1/flow time.
    every : int >= 1, default 1
        Steps between renewals of the roots.
    bias_correction : bool, default True
    max_dim : int >= 1, default 10000
        Longest axis that is preconditioned.
    shape : (int, int), optional
        The matrix that a vector is, row after row.

    Raises
    ------
    ValueError
        Also where a vector has not as many entries as ``shape`` says.
    """

    title = "Shampoo"
    look = ("#661100", "P")
    weight_decay_mode = "decoupled"
    typical = {"shape": (3, 2)}

    lr: float = positive(default=1e-3, scales="h")
    beta: float = fraction(default=0.95, scales="1 - c h")
    eps: float = nonnegative(default=1e-12)
    weight_decay: float = nonnegative(default=0.0)
    every: int = field(default=1, metadata={"check": partial(checks.integer, low=1, high=2**31), "numeric": False})
    bias_correction: bool = switch(True)
    max_dim: int = field(default=10000, metadata={"check": partial(checks.integer, low=1), "numeric": False})
    shape: Any = field(default=None, metadata={"check": full_shape, "numeric": False})

    kernel = staticmethod(shampoo)

    @property
    def _sides(self):
        return sides_of(self.shape or (), self.max_dim)

    @property
    def slots(self):
        own = Slot("square", "square", "g^2"), Slot("square weight", "weight")
        return (*(Slot(f"matrices {i}") for i in range(1, self._rows(*self._sides) + 1)), *own)

    @staticmethod
    def _rows(rows, columns, left, right):
        """Rows before those of the slots: L and R, their roots, an eigenvalue problem, a product."""
        if rows == 0:
            return 0
        long, entries = max(rows, columns), rows * columns
        return -(-(2 * (left * rows**2 + right * columns**2) + long**2 + long + entries) // entries)

    def memory_rows(self, shape):
        return max(len(self.slots), 2 + self._rows(*sides_of(shape, self.max_dim)))

    @property
    def p(self):
        """The numbers, then every, 1 for bias correction, rows, columns, 1 for left, 1 for right."""
        return self.numbers_and(self.every, self.bias_correction, *self._sides)

    def p_for(self, array):
        """``p`` with the array's rows and columns, 0 and 0 for a vector that is none."""
        if np.ndim(array) > 1:
            return self.numbers_and(self.every, self.bias_correction, *sides_of(np.shape(array), self.max_dim))
        if self.shape is not None and np.size(array) != self.shape[0] * self.shape[1]:
            raise ValueError(f"shape must fit the vector of {np.size(array)} entries, got {self.shape}")
        return np.array(self.p)

    def shape_of_trial(self, shape):
        return shape if self.shape is None or len(shape) != 1 else (self.shape[0] * self.shape[1],)

    @property
    def flow(self):
        rows, columns, left, right = self._sides
        return shampoo_flow(self.lr / (1 - self.beta), (rows, columns) if rows else None, eps=self.eps,
                            bias_correction=self.bias_correction, drift=self.weight_decay,
                            sides=(left > 0, right > 0) if rows else (True, True))

    @property
    def scheme(self):
        return semi_implicit_euler if self.every == 1 or not self._sides[0] else None

    def to_flow(self, x, s):
        rows, columns, *sides = self._sides
        if not rows:
            return np.vstack([x[None, :], s[-2:]])
        count, size = rows_of_averages((rows, columns), sides), np.size(x)
        z = np.zeros((2 + count, size))
        z[0], z[1, 0] = x, s[-1, 0]
        kept = sides[0] * rows**2 + sides[1] * columns**2
        z[2:].reshape(-1)[:kept] = s.reshape(-1)[:kept]
        return z

    def consistent_start(self, x, g):
        s = np.zeros((len(self.slots), np.size(x)))
        s[-1, 0] = 1.0
        rows, columns, left, right = self._sides
        if not rows:
            s[0] = g * g
            return s
        matrix = np.reshape(g, (rows, columns))
        squares = [matrix @ matrix.T] * left + [matrix.T @ matrix] * right
        kept = np.concatenate([square.ravel() for square in squares])
        s.reshape(-1)[: kept.size] = kept
        return s

    def declared_order(self, start="cold"):
        order = super().declared_order(start)
        return 0.5 if start == "cold" and not self.bias_correction else order

    @property
    def order_condition(self):
        """A root that is renewed late is large where the average was singular."""
        if self.every == 1 or not self._sides[0]:
            return ""
        return "with every > 1 of a square matrix, or with an eps of the size of L and R"

    def held(self, slot, preconditioner):
        if self._sides[0]:
            return super().held(slot, preconditioner)
        return square_behind(preconditioner, self.eps, True, self.beta)

    def stability_limit(self):
        return self.limit(2.0, "2")
