"""``central_flow``: where a method goes while it oscillates at the edge of stability, on average.

With a constant learning rate the curvature that the method feels, S = lambda_max(P^-1 H) with P what it divides
by (1/lr for gradient descent, sqrt(v + eps)/lr for RMSprop), tends to rise to its stability limit 2 and stays
there: the iterates oscillate along the critical directions, and the oscillation itself pushes S down, since at
w + delta the gradient is g + H delta + (1/2) grad(delta'H delta) + O(delta^3). Averaged over the oscillation,
of covariance Sigma = U X U' in the critical directions (P^-1 H U = 2 U, U'PU = I), in steps as the time,

    w' = -P^-1 [g + (1/2) grad <Sigma, H>]
    v' = (1 - beta2)/beta2 [g^2 + 4 P^2 diag Sigma - v]       (scalar form: of the sums)
    X >= 0,  U'(2 P - H)U >= 0,  <X, U'(2 P - H)U> = 0          (>= of symmetric matrices)

The factor is 1/beta2 times the (1 - beta2) of the update because v already holds the newest gradient: it
lags beta2/(1 - beta2) steps behind g^2. For gradient descent with one critical curvature lambda = 2/lr the
variance is 2 <-g, grad lambda>/|grad lambda|^2 where that is positive.

X is the one that keeps the third line true after a small step (catching-up, as ``schemes.catching_up_euler``
does for AdaMax): the least of a quadratic over positive semi-definite matrices, as many rows as directions
near the limit. grad (u'Hw) are directional derivatives of Hessian products, by differences of order six.

Sources: Cohen et al., arXiv:2410.24206 (central flows of gradient descent, scalar and vector RMSprop); Damian,
Nichani, Lee, arXiv:2209.15594 (self-stabilisation).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ... import checks
from ...optimizers import GradientDescent, Optimizer, RMSprop
from ...optimizers.base import eps_places
from ...problems import Problem
from ...problems.base import checked
from ...stencil import derivative
from ...sums import norms
from ..base import Study
from ..inner import inner_run
from .products import DIFFERENCED, Counted

LIMIT = 2.0
_NEAR = 1.5  # below this S the oscillation is not looked for
_ITERATIONS = 500  # of the projected gradients at most; they start at the last step's X
_SPACING = 5e-3


@dataclass(frozen=True, eq=False, repr=False)
class CentralFlow(Study):
    """A run beside its central flow, one entry per step.

    Attributes
    ----------
    method, problem : str
    k : (R,) array
    x : (R, n) array
        The iterates, each averaged with the next (the oscillation changes its sign in every step).
    flow : (R, n) array
        The central flow half a step later, where these averages stand.
    stable : (R, n) array
        The same flow without the oscillation (X = 0): gradient flow, or the method's own.
    sharpness, variance : (R,) arrays
        S along the central flow, and the variance tr Sigma of the oscillation that it predicts.
    measured : (R,) array
        |x_{k+1} - x_k|^2/4, the square of the run's oscillation (its mean over time is to be compared).
    memory : (R, m) array
        v along the central flow; empty for gradient descent.
    message : str
        "" or how the run or its central flow ended, or that gradients were differenced.
    """

    axes = "k sharpness variance measured: R; x flow stable: R n; memory: R m"

    method: str
    problem: str
    k: np.ndarray
    x: np.ndarray
    flow: np.ndarray
    stable: np.ndarray
    sharpness: np.ndarray
    variance: np.ndarray
    measured: np.ndarray
    memory: np.ndarray
    message: str

    @property
    def distance(self):
        """(R,) distance of the averaged run to the central flow."""
        return norms(self.x - self.flow)

    @property
    def stable_distance(self):
        """(R,) distance to the flow without oscillation."""
        return norms(self.x - self.stable)

    def rows(self):
        """Ten steps, evenly spaced."""
        some = np.unique(np.linspace(0, self.k.size - 1, 10).astype(int))
        return [{"step": int(self.k[i]), "S": float(self.sharpness[i]), "predicted variance": float(self.variance[i]),
                 "to central flow": float(self.distance[i]), "to stable flow": float(self.stable_distance[i])}
                for i in some]

    def headline(self):
        return (f"<CentralFlow of {self.method} on {self.problem}: largest distance {self.distance.max():.3g}, "
                f"to the flow without oscillation {self.stable_distance.max():.3g}"
                f"{'; ' + self.message if self.message else ''}>")


def central_flow(optimizer: Optimizer, problem: Problem, x0: ArrayLike | None = None, steps: int = 1000, *,
                 substeps: int = 2) -> CentralFlow:
    """Run ``optimizer`` and integrate its central flow beside it.

    Parameters
    ----------
    optimizer : GradientDescent (without weight decay) or RMSprop
        RMSprop in either form, without weight decay, momentum, centering and bias correction; it starts at
        v = g(x0)^2.
    problem : Problem
        The dense Hessian is formed, so for few dimensions; without Hessian products gradients are differenced, and
        ``message`` says so.
    x0 : (n,) array, optional
        Where S is below 2. An oscillation needs something to start from: x0 must not lie exactly on a valley's
        axis.
    steps : int
    substeps : int >= 1
        Steps of the integrator (Euler with catching-up) in half a step of the method.

    Raises
    ------
    TypeError, ValueError
        Another optimizer or variant; S above 2 at x0, or P = 0 there, or a Hessian that is not finite.
    """
    checked(problem)
    _check(optimizer)
    steps, substeps = checks.integer("steps", steps, 1), checks.integer("substeps", substeps, 1)
    x0 = problem.x0 if x0 is None else checks.point("x0", x0, problem.dim)
    run = inner_run(optimizer, problem, x0, steps + 1, start="consistent")
    if len(run) < 2:
        raise ValueError(f"optimizer must make a step whose end is finite on {problem.name}, and its run {run.message}")
    system = _System(optimizer, problem, x0)
    (flow, ended), (stable, early) = (system.solve(x0, steps, substeps, oscillating=on) for on in (True, False))
    n = min(flow[0].shape[0], stable[0].shape[0], len(run) - 1)
    x, memory, sharpness, variance = flow
    half = 0.5 * np.diff(run.x, axis=0)[:n]
    words = [word for word in ("" if run.status == "completed" else run.message, ended or early,
                               "" if problem.has_hessian else DIFFERENCED) if word]
    return CentralFlow(repr(optimizer), problem.name, np.arange(n, dtype=float), run.x[:n] + half, x[:n], stable[0][:n],
                       sharpness[:n], variance[:n], (half**2).sum(axis=1), memory[:n], "; ".join(words))


def _check(optimizer):
    if type(optimizer) not in (GradientDescent, RMSprop):
        raise TypeError(f"optimizer must be GradientDescent or RMSprop, got {type(optimizer).__name__}")
    for name in ("weight_decay", "momentum", "centered", "bias_correction"):
        if getattr(optimizer, name, 0):
            raise ValueError(f"{name} must be 0 for the central flow, got {getattr(optimizer, name)}")


def curvature_gradient(problem, x, u, w=None, *, points=6):
    """grad over x of u'H(x)w, that is f'''(u, w), from differences of H w along u (w = u by default): of six products,
    to some twelve digits, or of ``points`` = 2, to some six."""
    w = u if w is None else w
    spacing = _SPACING * (1 + np.linalg.norm(x)) / np.linalg.norm(u)
    if points == 2:
        spacing *= 0.1
        return (problem.hessp(x + spacing * u, w) - problem.hessp(x - spacing * u, w)) / (2 * spacing)
    return derivative(lambda s: problem.hessp(x + s * u, w), spacing)


def least(a, factor, x):
    """The X >= 0 with the least <a, X> + |factor' X|^2/2, X (m, m) as a vector; from ``x`` by projected gradients."""
    m = a.shape[0]
    if m == 1:
        square = (factor * factor).sum()
        return np.array([[max(0.0, -a[0, 0] / square)]]) if square > 0 else np.zeros((1, 1))
    length = np.linalg.norm(factor, 2) ** 2
    if length == 0.0:
        return np.zeros((m, m))
    y, t = x, 1.0
    for _ in range(_ITERATIONS):
        slope = a + (factor @ (factor.T @ y.ravel())).reshape(m, m)
        values, vectors = np.linalg.eigh(y - 0.5 * (slope + slope.T) / length)
        new = (vectors * np.maximum(values, 0.0)) @ vectors.T
        moved = new - x
        if ((y - new) * moved).sum() > 0:  # the momentum points uphill: begin it anew
            t = 1.0
        ahead = 0.5 * (1 + np.sqrt(1 + 4 * t * t))
        y, x, t = new + (t - 1) / ahead * moved, new, ahead
        if np.abs(moved).max() <= 1e-10 * np.abs(new).max():
            break
    return x


class _Ended(ArithmeticError):
    """Why the flow cannot go on."""


class _System:
    """The right-hand sides, in steps of the method as the time."""

    def __init__(self, optimizer, problem, x0):
        self.o, self.problem = optimizer, Counted(problem)
        self.adaptive = isinstance(optimizer, RMSprop)
        self.scalar = self.adaptive and optimizer.form == "scalar"
        g = problem.grad(x0)
        self.v0 = np.zeros(0) if not self.adaptive else np.array([g @ g]) if self.scalar else g * g
        self.rate = (1 - optimizer.decay) / optimizer.decay if self.adaptive and optimizer.decay > 0 else 0.0
        if self.adaptive and self.rate == 0.0:
            raise ValueError("decay must be above 0 for the central flow: without memory nothing is averaged")

    def preconditioner(self, v):
        """P and dP/dv, (n,) each."""
        ones = np.ones(self.problem.dim)
        if not self.adaptive:
            return ones / self.o.lr, 0 * ones
        under, beside = eps_places(self.o)
        root = np.sqrt(v + under)
        slope = np.divide(0.5, root * self.o.lr, out=np.zeros_like(root), where=root > 0)
        return (root + beside) / self.o.lr * ones, slope * ones

    def memory_rate(self, v, square):
        """dv/dt for a gradient of this elementwise square; 0 without memory."""
        return self.rate * ((square.sum() if self.scalar else square) - v) if self.adaptive else 0.0

    def solve(self, x0, steps, substeps, *, oscillating):
        """``((x, v, S, tr Sigma), ended)``, row k at time k + 1/2; and where the flow ended before the last step, or
        ""."""
        x, v, sigma = x0.copy(), self.v0.copy(), np.zeros((x0.size, x0.size))
        rows, ended = [], ""
        for half in range(2 * steps):
            middle, s = (x.copy(), v.copy()), np.nan
            try:
                for _ in range(substeps):
                    x, v, sigma, s = self.advance(x, v, sigma, 0.5 / substeps, oscillating)
                    if half == 0 and s > LIMIT * (1 + 1e-3):
                        raise ValueError(f"x0 must be where the method is stable, and S = {s:.4g} is above 2 there")
            except _Ended as why:
                if not rows:
                    raise ValueError(f"x0 must be where the central flow can begin, and {why} there") from None
                ended = f"the central flow ended at step {half // 2}, where {why}"
                break
            if half % 2 == 1:
                rows.append((*middle, s, np.trace(sigma)))
        return tuple(np.array(column) for column in zip(*rows)), ended

    def advance(self, x, v, sigma, dt, oscillating):
        """x, v after the time ``dt``, Sigma during it, and S before it."""
        problem = self.problem
        g = problem.grad(x)
        p, dp = self.preconditioner(v)
        if not (p > 0).all():
            raise _Ended("v has a component 0 that the method divides by, since eps is 0")
        force, kick, s = g, 0.0, np.nan
        if oscillating:
            root = np.sqrt(p)
            hessian = problem.hess(x)
            if not np.isfinite(hessian).all():
                raise _Ended("the Hessian is not finite")
            values, vectors = np.linalg.eigh(hessian / np.outer(root, root))
            s, m = values[-1], int((values > _NEAR).sum())
            sigma_before, sigma = sigma, np.zeros_like(sigma)
            if m:
                u = vectors[:, values.size - m :] / root[:, None]
                pairs = [(i, j) for i in range(m) for j in range(m)]
                third = {(i, j): curvature_gradient(problem, x, u[:, i], u[:, j]) for i, j in pairs if i <= j}
                third = np.array([third[min(pair), max(pair)] for pair in pairs])
                product = np.array([u[:, i] * u[:, j] for i, j in pairs])
                # U'(2 P - H)U after dt is a + (factor factor') X
                a = np.diag(LIMIT - values[values.size - m :]) + dt * (
                    2 * product @ (dp * self.memory_rate(v, g * g)) + third @ (g / p)).reshape(m, m)
                memory = np.sqrt(8 * self.rate * dp) * p * product
                memory = memory.sum(axis=1, keepdims=True) if self.scalar else memory
                factor = np.sqrt(dt) * np.hstack([np.sqrt(0.5 / p) * third, memory])
                amount = least(a, factor, u.T @ (p[:, None] * sigma_before * p) @ u)
                sigma = u @ amount @ u.T
                force, kick = g + 0.5 * amount.ravel() @ third, 4 * p * p * np.diag(sigma)
        return x - dt * force / p, v + dt * self.memory_rate(v, g * g + kick), sigma, s
