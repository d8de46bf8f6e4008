"""Where adaptive methods end on a quadratic: orbits of period two, and whether they attract.

With lr constant and eps = 0 on f = (c/2) x^2 the step does not shrink with the gradient, so
the iterates cannot settle at 0; they settle (or would like to) on an orbit x, -x, x, ... whose size does
not depend on c or on the averaging of g^2:

    RMSprop   |x| = lr/2,                           multipliers of modulus sqrt(decay): attracting
    Adam      |x| = lr (1 - beta1)/(2 (1 + beta1)),   i.e. the preconditioned curvature sits exactly at
              the stability limit 2 (1 + beta1)/((1 - beta1) lr); attracting only for beta1 below a
              threshold (:func:`critical_beta1`, -> 3 - 2 sqrt 2 as beta2 -> 1): at (0.9, 0.999) errors
              grow by 1.0494 per step, which are the spikes seen in training

Both are lr/E, where E is the method's stability limit with the preconditioner frozen at 1: on the orbit the
step sits at the limit. So is the orbit of every method whose step divides by a mean square (or largest
gradient) that it remembers, and for which the limit is known.

The orbit is a fixed point of the one-step map followed by the reflection x -> -x (with the memory that
is odd in the gradient); its multipliers are the eigenvalues of that map's derivative, taken on
the real kernel by central differences of order six.

Source: threshold and multipliers, the package's own derivation (odeopt tests them against direct
simulation); spikes of Adam on a 1-D quadratic: Bai et al., arXiv:2506.04805.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ... import checks
from ...method import LINEAR
from ...optimizers import Optimizer
from ...problems import Problem, quadratic
from ...problems.base import checked
from ...stencil import derivative
from ..base import Study
from .amplification import LATE, matrix_with_rows

_STEP = 2.0**-9
_FAR = 2.0**100  # a preconditioner above any eps


def step_jacobian(optimizer: Optimizer, problem: Problem, x: ArrayLike, s: ArrayLike, k: int = LATE, *,
                  scales: ArrayLike | None = None) -> np.ndarray:
    """Derivative of one step with respect to (x, slots), by central differences of order six.

    Parameters
    ----------
    optimizer : Optimizer
    problem : Problem
    x : (n,) array
    s : (slots, n) array
    k : int
        Step number.
    scales : (1 + slots, n) array, optional
        Size of each variable; the differences reach 3/512 of it. Default: |value|, or 1 where that is 0.

    Returns
    -------
    ((1 + slots) n, (1 + slots) n) array
        In the order of ``numpy.vstack([x, s]).ravel()``. About 12 digits for smooth kernels.
    """
    checked(problem)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an Optimizer, got {checks.shown(optimizer)}")
    x, k = checks.point("x", x, problem.dim), checks.integer("k", k)
    s = checks.array("s", s, (len(optimizer.slots), x.size), of=f"the slots of {optimizer.title}")
    z = np.vstack([x[None, :], s])
    scales = np.where(z != 0, np.abs(z), 1.0) if scales is None else checks.array("scales", scales, z.shape)
    columns = []
    for j in range(z.size):
        def after(s, j=j):
            moved = z.ravel().copy()
            moved[j] += s
            return one_step(optimizer, problem, moved.reshape(z.shape), k).ravel()

        columns.append(derivative(after, _STEP * np.ravel(scales)[j]))
    return np.array(columns).T


def one_step(optimizer, problem, z, k=LATE):
    """The state (x, slots), (1 + slots, n), after one step of the compiled kernel."""
    x, s = z[0].copy(), z[1:].copy()
    optimizer.kernel(k, optimizer.p_for(x), x, problem.grad(x), s)
    return np.vstack([x[None, :], s])


@dataclass(frozen=True, eq=False, repr=False)
class PeriodTwoOrbit(Study):
    """An orbit x, -x, x, ... of an optimizer on (c/2) x^2.

    Attributes
    ----------
    method, hyperparameters : str
    curvature : float
    state : (1 + slots,) array
        x and slots before a step; the next step leads to (-x, slots with the odd ones negated).
    amplitude : float
        |x|.
    formula : float
        The amplitude for eps = 0 by theory.
    residual : float
        Largest relative deviation of one real step from the reflected state.
    multipliers : (r,) complex array
        Eigenvalues of the reflected one-step map there, by decreasing modulus; weights of running
        averages (all 1 late in a run) left out.
    """

    axes = "state: s; multipliers: r"

    method: str
    hyperparameters: str
    curvature: float
    state: np.ndarray
    amplitude: float
    formula: float
    residual: float
    multipliers: np.ndarray = field(metadata={"dtype": np.complex128})

    def __post_init__(self):
        if np.ndim(self.multipliers) == 2:  # (real, imaginary) pairs, as JSON keeps them
            object.__setattr__(self, "multipliers", np.asarray(self.multipliers) @ (1.0, 1.0j))
        super().__post_init__()

    @property
    def growth(self):
        """Factor per step of a small deviation from the orbit (largest modulus of the multipliers)."""
        return float(np.abs(self.multipliers[0]))

    @property
    def attracting(self):
        """Whether small deviations die out."""
        return self.growth < 1

    def rows(self):
        """One line."""
        return [{"method": self.method, "curvature": self.curvature, "|x|": self.amplitude, "formula": self.formula,
                 "growth per step": self.growth, "attracting": "yes" if self.attracting else "no"}]

    def headline(self):
        return f"orbit of period 2: |x| = {self.amplitude:.6g}, deviations grow by {self.growth:.6g} per step"

    def to_dict(self):
        """As of every study, the multipliers as (real, imaginary) pairs."""
        return super().to_dict() | {"multipliers": [[m.real, m.imag] for m in self.multipliers.tolist()]}


def period_two_orbit(optimizer: Optimizer, curvature: float = 1.0) -> PeriodTwoOrbit:
    """The orbit of period two of an adaptive method (with any eps), found by Newton's method from the formula.

    Raises
    ------
    TypeError, ValueError
        A method that does not divide by mean squares or largest gradients that it remembers, or without
        stability limit; no such orbit near the formula's (an eps that is not small beside
        lr * curvature stops the method at the minimum instead).
    """
    c = checks.real("curvature", curvature, 1e-100, 1e100)  # the orbit holds powers of it
    formula, z, signs, moving = _orbit_by_formula(optimizer, c)
    problem = quadratic([c])

    def reflected(state):
        return signs * one_step(optimizer, problem, state[:, None])[:, 0]

    def derivative(state):
        full = signs[:, None] * step_jacobian(optimizer, problem, state[:1], state[1:, None])
        return full[np.ix_(moving, moving)]

    scale = np.where(z != 0.0, np.abs(z), 1.0)
    for _ in range(30):
        residual = (reflected(z) - z)[moving]
        if np.abs(residual / scale[moving]).max() < 4e-16:
            break
        try:
            with np.errstate(all="ignore"):
                change = np.linalg.solve(np.eye(len(moving)) - derivative(z), residual)
        except np.linalg.LinAlgError:  # singular: Newton's method ends here, and the residual says how
            break
        if not np.isfinite(change).all() or np.abs(change / scale[moving]).max() < 1e-15:
            break
        z[moving] += change
    residual = float(np.abs((reflected(z) - z) / scale).max())
    if not residual < 1e-12 or not z[0] > 0.05 * formula:
        raise ValueError(f"optimizer must have an orbit of period two near |x| = {formula:.3g} on curvature {c:g}; "
                         f"eps={getattr(optimizer, 'eps', 0.0):g} is not small beside it")
    values = np.linalg.eigvals(derivative(z)).astype(np.complex128)
    values = values[np.argsort(-np.abs(values))]
    return PeriodTwoOrbit(optimizer.title, repr(optimizer), c, z, float(abs(z[0])), formula, residual, values)


_DIVIDES_BY = {"g^2": 2, "g": 1}  # unit of a slot that the step divides by -> power of the gradient


def _orbit_by_formula(optimizer, c):
    """``(|x|, state, signs, indices that move)`` for eps = 0: signs are of the slots after a step."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an Optimizer, got {checks.shown(optimizer)}")
    roles = [slot.role for slot in optimizer.slots]
    known = {*LINEAR, "weight", "square", "supremum"}
    limit = optimizer.stability_limit()
    held = {slot.unit for slot in optimizer.slots if slot.role in ("square", "supremum")}
    if limit is None or not held or not held <= {*_DIVIDES_BY} or not {*roles} <= known:
        raise ValueError("optimizer must divide by a mean square or the largest gradient and have a stability limit, "
                         f"as RMSprop and Adam do, got {optimizer.title}")
    size = optimizer.step / limit.value
    # The linear memory belongs to x as in the eigenvector of -1, where the step sits at the limit.
    rate = limit.value * _FAR
    matrix, rows = matrix_with_rows(optimizer.with_step(rate), 1.0, _FAR)
    vector = np.linalg.svd(matrix + np.eye(len(matrix)))[2][-1]
    linear = dict(zip(rows, vector / vector[0]))
    units = {"g": c * size, "x per step/lr": rate * size / optimizer.step}  # of a slot there -> in the orbit
    z, signs, moving = [size], [-1.0], [0]
    for i, slot in enumerate(optimizer.slots, 1):
        if slot.role == "weight" or slot.role in LINEAR and i not in linear:
            z.append(float(slot.role == "weight"))  # 1 late in a run, and then it stays; or never used
        else:
            z.append(linear[i] * units.get(slot.unit, size) if i in linear else (c * size) ** _DIVIDES_BY[slot.unit])
            moving.append(i)
        signs.append(-1.0 if i in linear else 1.0)
    return size, np.array(z), np.array(signs), moving


def critical_beta1(beta2: float) -> float:
    """The beta1 at which Adam's orbit of period two stops attracting (eps = 0), by bisection.

    0.22800, 0.18059, 0.17243, 0.17166 for beta2 = 0.5, 0.9, 0.99, 0.999; as beta2 -> 1 it tends to
    3 - 2 sqrt 2 = 0.17157, the root of b^2 - 6 b + 1.
    """
    from ...optimizers import Adam

    beta2 = checks.share("beta2", beta2)
    low, high = 0.0, 0.9
    while high - low > 1e-9:
        middle = 0.5 * (low + high)
        if period_two_orbit(Adam(lr=1.0, beta1=middle, beta2=beta2, eps=0.0)).attracting:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def simulated_growth(optimizer: Optimizer, curvature: float = 1.0, *, steps: int = 120, size: float = 1e-9,
                     seed: Any = 0) -> float:
    """Growth per step of a deviation of relative size ``size`` from the orbit, measured by running the kernel.

    The leading multipliers are a complex pair, so the deviation y_n of the position turns as it grows: the
    recursion y_{n+2} = a y_{n+1} - b y_n is fitted to those of ``steps`` deviations that lie
    between 1e-11 and 1e-4, a quarter of them skipped at the start, and the growth is sqrt(b). Compare
    with ``PeriodTwoOrbit.growth``.
    """
    orbit = period_two_orbit(optimizer, curvature)
    problem = quadratic([orbit.curvature])
    weights = np.array([True, *(slot.role != "weight" for slot in optimizer.slots)])
    z = orbit.state[:, None].copy()
    size = checks.real("size", size, 0.0, 1.0, open_low=True)
    draw = np.random.default_rng(checks.integer("seed", seed, high=None)).standard_normal(len(z))
    z[:, 0] *= 1 + size * weights * draw
    y, sign = [], 1.0
    for _ in range(checks.integer("steps", steps, 10)):
        y.append((sign * z[0, 0] - orbit.state[0]) / orbit.amplitude)
        if not 1e-11 < abs(y[-1]) + abs(y[-1 if len(y) < 2 else -2]) < 1e-4:
            break
        z, sign = one_step(optimizer, problem, z), -sign
    y = np.array(y[len(y) // 4 :])
    y /= np.abs(y).max()
    scale = np.hypot(y[:-2], y[1:-1])  # equal weight for early and late deviations
    (_, b), *_ = np.linalg.lstsq(np.column_stack([y[1:-1], -y[:-2]]) / scale[:, None], y[2:] / scale, rcond=None)
    return math.sqrt(b)
