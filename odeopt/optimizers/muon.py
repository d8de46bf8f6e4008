"""Muon: a step along the orthogonal polar factor of the averaged gradient of a matrix.

Update     B <- momentum B + (1 - momentum) G;  D = momentum B + (1 - momentum) G with Nesterov, else B
           W <- (1 - lr weight_decay) W - lr scale phi(D)
           phi(D) = U V^T of D = U S V^T, or ``steps`` Newton-Schulz steps from X = D/max(|D|, eps):
           X <- a X + (b A + c A^2) X, A = X X^T, which leave every singular value within .3 of 1 or so (those
           above 1e-2 |D|: a step multiplies small ones by a = 3.4)
Arrays     of two axes are matrices, of more the first axis by the others (as convolutions are in the author's
           code; torch refuses them). Vectors and scalars move by AdamW with the same lr and weight_decay, and
           beta1, beta2, eps_adam, as in optax; groups give them an lr of their own. A problem of
           ``record`` has a vector for its unknowns: ``shape`` says that it is a matrix, else it is AdamW's
Flow       W' = -scale phi(m) - weight_decay W, tau m' = G - m, tau = lr/(1 - momentum) (flows/muon.py), each phi
           with its own; that of five steps is not that of the polar factor, however small lr is. phi depends
           on the direction of m alone (up to eps), so the average needs no correction. AdamW's without a shape
Scheme     semi-implicit Euler, h = lr; with Nesterov's direction, which is the memory one step ahead with the same
           gradient, semi-implicit Euler with look-ahead. None with optax's weights of that direction. With bfloat16
           the two agree to its rounding alone
Order      1 as long as the smallest singular value of m stays above 0. Where it passes through 0 the polar
           factor jumps, and the iterates chatter as those of sign descent do (of which this is the matrix form)
Scaling    lr ~ h, momentum and beta_i = 1 - h/tau_i, the rest fixed
Stability  every step has spectral norm lr scale, near a minimum as well: it comes to rest with lr -> 0 only
Zero       D = 0 is no move. Singular values that are 0 to round-off: U V^T without them
Scale      "original": sqrt(max(1, rows/columns)); "match_rms_adamw": .2 sqrt(max(rows, columns)), both torch's;
           "width": sqrt(max(1, columns/rows)), optax's, whose matrices are transposed; "none": 1
Precision  torch makes the Newton-Schulz steps in bfloat16, whatever the arrays: its phi has two digits. Here they
           are made in the arrays' own, or with precision="bfloat16" as torch makes them (bfloat16.py), to the bit
           for small matrices; in large ones a last digit may turn, since sums are made in another order: .006 of
           |phi|, as torch's own results with AMX and without are apart, and up to .016 where |G| is not near 1, as
           torch rounds G and its norm as well. What rounding does to phi is .01 |phi|, ours and torch's. Order 1
           ends there: on a path of length .6 of a 3 x 2 matrix the distance from the flow falls to .002 to .005, at
           lr = .004 or so, and stays there, however small lr is
Speed      A step of a 1024 x 1024 float32 matrix in bfloat16 takes .65 of the time of torch's, both on one thread,
           where the processor multiplies matrices of bfloat16 (AMX, on Linux): torch's gains nothing by a second one
           there. Elsewhere it is slower than in full precision, whose step takes .9 of the time of torch's in
           float32, 4 times that of torch's own with AMX, and is faster than that without: torch takes 1.7 times ours
           with vector instructions for bfloat16 alone, 5 without them (``odeopt bench muon``)
Cost       polar: Jacobi's rotations, some 10 short^2 long multiplications without BLAS, for studies of small
           matrices; Newton-Schulz: products by BLAS, which uses threads by its own rules (OPENBLAS_NUM_THREADS),
           in bfloat16 on one thread

Sources: Jordan, Jin, Boza, You (2024), Muon: an optimizer for hidden layers; Liu et al.,
arXiv:2502.16982 (match_rms_adamw); Chen, Li, Liu, arXiv:2506.15054; torch 2.13, optax 0.2.8; the flow with
memory and its orders: the package's own.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import bfloat16, checks
from ..abi import interpreted, kernel, precision
from ..flows import adam_flow, muon_flow
from ..flows.muon import ADJUSTMENTS, QUINTIC, adjusted, matrix_shape, shape_of
from ..matrices import load, newton_schulz, part, polar
from ..method import Slot
from ..schemes import look_ahead_euler, semi_implicit_euler
from ..sums import scaled_norm
from .base import Optimizer, fraction, nonnegative, positive, square_behind, switch, variant


@kernel
def loaded(p, x, g, s):
    """AdamW's whole step of a vector, or the first half of Muon's: m moves, and s[4] <- its direction D over |D|, the
    transpose of a tall one. Returns ``(rows, columns, step, weight of m)``, no rows where nothing is left to do."""
    if p[14] == 0.0:
        adamw_step(p[0], p[4], p[5], p[6], p[2], x, g, s)
        return 0, 0, 0.0, 0.0
    rows, columns = shape_of(x.size, p[14], p[15])
    if rows == 0:  # no p of p_for
        x[:] = np.nan
        return 0, 0, 0.0, 0.0
    eps, nesterov, of_optax = p[3], p[11] > 0.0, p[12] > 0.0
    real = precision(x, g, s)
    old, new = real(p[1]), real(1.0 - p[1])
    weight = s[2, 0] + (1.0 - p[1]) * (1.0 - s[2, 0])
    of_m, of_g = (p[1], 1.0 - p[1]) if nesterov else (1.0, 0.0)
    if nesterov and of_optax:  # each corrected for its own number of steps; only their ratio matters
        of_m, of_g = of_m / (weight + (1.0 - p[1]) * (1.0 - weight)), of_g / weight
        of_m, of_g = of_m / (of_m + of_g), of_g / (of_m + of_g)
    m, direction = s[0], s[1]
    fresh, kept = real(of_g), real(of_m)
    for i in range(x.size):
        mi = old * m[i] + new * g[i]
        m[i] = mi
        direction[i] = kept * mi + fresh * g[i]
    scale, length = scaled_norm(direction)
    step = p[0] * adjusted(rows, columns, int(p[13]))
    if length == 0.0:
        step, length, scale = 0.0, 1.0, 1.0
    if p[10] > 0.0 and scale * length < eps:
        scale, length = 1.0, eps
    load(direction, part(s[4], min(rows, columns), max(rows, columns)), rows > columns, scale, length)
    return rows, columns, step, weight


@kernel
def moved(p, x, wide, tall, step):
    """x <- (1 - lr weight_decay) x - step ``wide``, or its transpose where ``tall``."""
    real = x.dtype.type
    keep, step, (short, long) = real(1.0 - p[0] * p[2]), real(step), wide.shape
    rows, columns = (long, short) if tall else (short, long)
    for i in range(rows):
        for j in range(columns):
            at = i * columns + j
            x[at] = keep * x[at] - step * (wide[j, i] if tall else wide[i, j])


@kernel
def muon(k, p, x, g, s):
    """p = (lr, momentum, weight decay, eps, beta1, beta2, eps_adam, a, b, c, steps or 0 for the polar factor, 1 for
    Nesterov, 1 for optax's weights, adjustment, rows, columns or 0 0 for AdamW); s = (m, v or work, q1 then work, q2
    or work, work).
    """
    rows, columns, step, weight = loaded(p, x, g, s)
    if rows > 0:
        short, long = min(rows, columns), max(rows, columns)
        wide, other, square = part(s[4], short, long), part(s[1], short, long), part(s[2], short, short)
        if p[10] > 0.0:
            newton_schulz(wide, other, square, s[3], int(p[10]), p[7], p[8], p[9])
        else:
            polar(wide, other, square)
            wide, other = other, wide
        moved(p, x, wide, rows > columns, step)
        s[2, 0] = weight
    return p[0]


@kernel
def muon_in_bfloat16(k, p, x, g, s):
    """The same; a kernel of its own, since one of both would compile for as long again."""
    rows, columns, step, weight = loaded(p, x, g, s)
    if rows > 0:
        wide = part(s[4], min(rows, columns), max(rows, columns))
        bfloat16.newton_schulz(wide, s[1:4], int(p[10]), p[7], p[8], p[9])
        moved(p, x, wide, rows > columns, step)
        s[2, 0] = weight
    return p[0]


@kernel
def adamw_step(lr, beta1, beta2, eps, decay, x, g, s):
    """AdamW's step (adam.py, eps beside the corrected root, decoupled decay), of vectors among the parameters."""
    new1, new2 = 1.0 - beta1, 1.0 - beta2
    q1 = s[2, 0] + new1 * (1.0 - s[2, 0])
    q2 = s[3, 0] + new2 * (1.0 - s[3, 0])
    s[2, 0], s[3, 0] = q1, q2
    m, v = s[0], s[1]
    real = precision(x, g, s)
    keep, step, root, eps = real(1.0 - lr * decay), real(lr / q1), real(1.0 / np.sqrt(q2)), real(eps)
    old1, old2, new1, new2, zero = real(beta1), real(beta2), real(new1), real(new2), real(0.0)
    for i in range(x.size):
        mi, vi, xi, gi = m[i], v[i], x[i], g[i]
        mi = old1 * mi + new1 * gi
        vi = old2 * vi + new2 * gi * gi
        below = np.sqrt(vi) * root + eps
        move = step * mi / below
        xi = keep * xi - (move if below != zero else zero)
        m[i] = mi
        v[i] = vi
        x[i] = xi


def _steps(name, value):
    return value if value is None else checks.integer(name, value, 1, 100)


def _coefficients(name, value):
    return tuple(float(one) for one in checks.array(name, value, (3,)))


@dataclass(frozen=True)
class Muon(Optimizer):
    """Momentum, orthogonalised by Newton–Schulz steps or exactly.

    Parameters
    ----------
    lr : float > 0, default 1e-3
        Step in flow time.
    momentum : float in [0, 1), default 0.95
    weight_decay : float >= 0, default 0.1
        Decoupled, a rate in 1/flow time.
    eps : float >= 0, default 1e-7
        Least norm by which a matrix is divided before the Newton–Schulz steps.
    beta1, beta2, eps_adam : float, defaults 0.9, 0.999 and 1e-8
        Of the AdamW that moves vectors.
    steps : int >= 1 or None, default 5
        Newton–Schulz steps; None for the polar factor itself.
    nesterov : bool, default True
    adjust : {"original", "match_rms_adamw", "width", "none"}
        How the step depends on the matrix's shape.
    weights : {"torch", "optax"}
        Of the average and the gradient in Nesterov's direction: momentum and 1 - momentum, or these corrected as
        Adam's averages are. They differ in the first steps.
    coefficients : (float, float, float)
        a, b, c of a Newton–Schulz step.
    shape : (int, int), optional
        The matrix that a vector is, row after row; one of the two may be -1.
    precision : {"full", "bfloat16"}
        Of the numbers that Newton–Schulz steps multiply: that of the arrays, or bfloat16, as in torch.

    Raises
    ------
    ValueError
        Also where a vector has not as many entries as ``shape`` says, and for bfloat16 without ``steps``.
    """

    title = "Muon"
    momentum_name = "momentum"
    look = ("#882255", "X")
    weight_decay_mode = "decoupled"
    typical = {"shape": (3, 2)}

    lr: float = positive(default=1e-3, scales="h")
    momentum: float = fraction(default=0.95, scales="1 - c h")
    weight_decay: float = nonnegative(default=0.1)
    eps: float = nonnegative(default=1e-7)
    beta1: float = fraction(default=0.9, scales="1 - c h")
    beta2: float = fraction(default=0.999, scales="1 - c h")
    eps_adam: float = nonnegative(default=1e-8)
    steps: Any = field(default=5, metadata={"check": _steps, "numeric": False})
    nesterov: bool = switch(True)
    adjust: str = variant(*ADJUSTMENTS)
    weights: str = variant("torch", "optax")
    coefficients: Any = field(default=QUINTIC, metadata={"check": _coefficients, "numeric": False})
    shape: Any = field(default=None, metadata={"check": matrix_shape, "numeric": False})
    precision: str = variant("full", "bfloat16")

    def __post_init__(self):
        super().__post_init__()
        if self.steps is None and self.precision != "full":
            raise ValueError(f"precision must be 'full' with steps=None, got {self.precision!r}")

    @property
    def kernel(self):
        return muon if self.precision == "full" else muon_in_bfloat16

    @property
    def slots(self):
        if self.shape is None:
            return (Slot("mean", "average", "g"), Slot("square", "square", "g^2"), Slot("mean weight", "weight"),
                    Slot("square weight", "weight"), Slot("work"))
        return (Slot("mean", "average", "g"), *(Slot(f"work {i}") for i in range(1, 5)))

    @property
    def p(self):
        """The numbers, then a, b, c, steps, and 1 for Nesterov, 1 for optax's weights, adjustment, rows, columns."""
        return self._with_shape(*(self.shape or (0, 0)))

    def _with_shape(self, rows, columns):
        return self.numbers_and(*self.coefficients, self.steps or 0, self.nesterov, self.weights == "optax",
                                ADJUSTMENTS.index(self.adjust), rows, columns)

    def p_for(self, array):
        """``p`` with the array's rows and columns, 0 and 0 for a vector that is none."""
        size, axes = np.size(array), np.shape(array)
        if len(axes) > 1:
            return self._with_shape(axes[0], size // axes[0])
        if self.shape is None:
            return self._with_shape(0, 0)
        rows, columns = interpreted(shape_of)(size, *self.shape)
        if rows == 0:
            raise ValueError(f"shape must fit the vector of {size} entries, got {self.shape}")
        return self._with_shape(rows, columns)

    def shape_of_trial(self, shape):
        if self.shape is None or len(shape) != 1:
            return shape
        return (abs(self.shape[0] * self.shape[1]),)

    @property
    def flow(self):
        if self.shape is None:
            return adam_flow(self.lr / (1 - self.beta1), self.lr / (1 - self.beta2), self.eps_adam,
                             drift=self.weight_decay)
        return muon_flow(self.lr / (1 - self.momentum), self.shape, steps=self.steps, coefficients=self.coefficients,
                         eps=self.eps if self.steps else 0.0, adjust=self.adjust, drift=self.weight_decay)

    @property
    def scheme(self):
        if self.shape is None or not self.nesterov:
            return semi_implicit_euler
        return look_ahead_euler if self.weights == "torch" else None

    def consistent_start(self, x, g):
        s = self.cold_start(x)
        if self.shape is not None:
            s[0], s[2, 0] = g, 1.0
        return s

    def held(self, slot, preconditioner):
        if self.shape is not None:
            return super().held(slot, preconditioner)
        return square_behind(preconditioner, self.eps_adam, False, self.beta2)

    def stability_limit(self):
        if self.shape is not None:
            return None
        return self.limit(2 * (1 + self.beta1) / (1 - self.beta1), "2 (1 + β1)/(1 - β1), a vector's AdamW")
