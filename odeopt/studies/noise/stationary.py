"""Stationary covariances of stochastic optimizers on a quadratic: exact, by the SDE, and sampled.

On f = (1/2) x'Hx with gradient noise of covariance C a linear method is z+ = A z + B xi, and its
stationary covariance solves the discrete Lyapunov equation P = A P A' + B C B'. Its SDE
dz = F z dt + D dW gives the Ornstein-Uhlenbeck answer F P + P F' + D C D' = 0 instead. A, B, F are
probed from the compiled kernels, none is derived by hand.

For SGD: Sigma H + H Sigma - lr H Sigma H = lr C against Sigma H + H Sigma = lr C (Liu, Ziyin, Ueda,
arXiv:2012.03636; Mandt, Hoffman, Blei, arXiv:1704.04289), so the SDE is wrong by the factor
1 - lr lambda/2. The modified SDE of weak order 2 errs by the same amount twice over: its drift is
right to the next order, its noise is not.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ... import checks
from ...optimizers import Optimizer
from ...problems import Problem
from ...problems.quadratic import dense_fg, dense_hv
from ...stochastic import gaussian, sde
from ...stochastic.noise import covariance_factor
from ..base import Study
from ..inner import inner_sample

_ROUND_OFF = 1e-13  # of a spectral radius, of a rate against the largest
_DOUBLINGS = 64
_MOST_STEPS = 10**7
_LATE = 10**6  # a step number at which starts and warm-ups are over


def dense_quadratic(hessian, x0=None):
    """The problem (1/2) x'Hx with ``hessian`` as given (symmetric, finite; ValueError otherwise)."""
    h = checks.array("hessian", hessian, (None, None))
    if h.shape[0] != h.shape[1]:
        raise ValueError(f"hessian must be a finite square matrix, got shape {h.shape}")
    if np.abs(h - h.T).max() > 1e-12 * np.abs(h).max():
        raise ValueError("hessian must be symmetric")
    n = h.shape[0]
    return Problem.from_kernels("quadratic", dense_fg, dense_hv, dim=n, x0=np.ones(n) if x0 is None else x0,
                                data=np.concatenate((h.ravel(), np.zeros(n))))


def step_matrices(optimizer, hessian):
    """``(A, B)`` of z+ = A z + B xi: z stacks x and the slots, xi is added to the gradient Hx.

    Probed with unit states. ValueError for an optimizer whose step is not linear.
    """
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an Optimizer, got {type(optimizer).__name__}")
    h = dense_quadratic(hessian).data[: np.shape(hessian)[0] ** 2].reshape(np.shape(hessian))
    n, rows = len(h), 1 + len(optimizer.slots)

    def step(z, xi):
        state = np.array(z).reshape(rows, n)
        x, s = state[0].copy(), state[1:].copy()
        optimizer.kernel(_LATE, optimizer.p_for(x), x, h @ x + xi, s)
        return np.concatenate((x, s.ravel()))

    with np.errstate(all="ignore"):  # a nonlinear step may take the root of a negative number here
        a = np.array([step(e, np.zeros(n)) for e in np.eye(rows * n)]).T
        b = np.array([step(np.zeros(rows * n), e) for e in np.eye(n)]).T
        z, xi = np.cos(np.arange(rows * n)), np.sin(1.0 + np.arange(n))
        linear = np.abs(step(z, xi) - a @ z - b @ xi).max() <= 1e-10 * (1 + np.abs(a).max())
    if not linear:
        raise ValueError(f"optimizer must be linear in the gradient to have a stationary covariance by a Lyapunov "
                         f"equation, got {optimizer!r}")
    return a, b


def _checked(hessian, covariance):
    h = checks.array("hessian", hessian, (None, None))
    c = checks.array("covariance", covariance, h.shape, of="the hessian")
    covariance_factor(c)
    return h, c


def _stable(optimizer, hessian):
    a, b = step_matrices(optimizer, hessian)
    radius = float(np.abs(np.linalg.eigvals(a)).max())
    if not radius < 1 - _ROUND_OFF:
        values = np.linalg.eigvalsh(hessian)
        raise ValueError(f"optimizer must be stable on the hessian to have a stationary covariance: {optimizer!r} on "
                         f"curvatures {values[0]:.6g} ... {values[-1]:.6g} has spectral radius {radius:.6g} "
                         "(allowed: below 1)")
    return a, b, radius


def stationary_covariance(optimizer, hessian, covariance, *, full=False):
    """Exact stationary covariance of the iterates, (n, n); with ``full`` of (x, slots).

    Parameters
    ----------
    optimizer : Optimizer
        Linear in the gradient: GradientDescent, Momentum (all forms), Nesterov.
    hessian, covariance : (n, n) arrays
        H of the objective (1/2) x'Hx and C of the gradient noise.
    full : bool

    Raises
    ------
    ValueError
        ``covariance`` not positive semi-definite; an unstable pair (optimizer, hessian), a zero
        curvature included; an optimizer that is not linear.
    """
    h, c = _checked(hessian, covariance)
    a, b, _ = _stable(optimizer, h)
    p = _stationary(a, b @ c @ b.T)
    return p if checks.switch("full", full) else p[: h.shape[0], : h.shape[0]]


def _stationary(a, q):
    """P = A P A' + Q as the sum of A^k Q A'^k, by doubling: positive semi-definite as its terms are.

    A solver of linear equations loses that where |A| is near 1 or the curvatures lie far apart.
    """
    p = q
    with np.errstate(all="ignore"):
        for _ in range(_DOUBLINGS):
            more = a @ p @ a.T
            p, a = p + more, a @ a
            if np.abs(more).max() <= 1e-17 * np.abs(p).max():
                break
    return _semidefinite(p)


def _semidefinite(p):
    """The covariance ``p``, symmetric; ValueError where round-off or overflow has made it none."""
    p = 0.5 * p + 0.5 * p.T
    if np.isfinite(p).all():
        values = np.linalg.eigvalsh(p)
        if values[0] >= -1e-12 * values[-1]:
            return p
    raise ValueError("hessian and covariance must have entries of sizes whose stationary covariance is a number, got "
                     "one that is not finite or has a negative eigenvalue")


def forgetting_time(optimizer, radius):
    """Steps after which the variance of a linear method is its stationary one to 1e-10; ValueError above 10^7."""
    steps = math.ceil(math.log(1e-5) / math.log(max(radius, 1e-300)))
    if steps > _MOST_STEPS:
        raise ValueError(f"optimizer must forget its start within {_MOST_STEPS} steps to be sampled, and {optimizer!r} "
                         f"takes {steps}: its spectral radius is 1 - {1 - radius:.3g}")
    return max(1, steps)


def completed(run, words):
    """ValueError with ``words`` where a path of ``run`` diverged."""
    if run.status != "completed":
        raise ValueError(f"{words}: {run.message}")


def sde_matrices(optimizer, hessian, order=1):
    """``(F, D)`` of the optimizer's SDE dz = F z dt + D L dW on the quadratic, L L' = C."""
    problem = dense_quadratic(hessian)
    equation = sde(optimizer, order)
    n, rows = problem.dim, equation.flow.rows
    field = equation.flow.field(problem)
    f = np.array([field(0.0, e.reshape(rows, n)).ravel() for e in np.eye(rows * n)]).T
    d = np.zeros((rows, n, n))
    d[equation.row] = equation.strength * np.eye(n)
    return f, d.reshape(rows * n, n)


def ou_covariance(optimizer, hessian, covariance, *, order=1):
    """Stationary covariance of the SDE (order 1, or the modified one of order 2), (n, n).

    Raises as :func:`stationary_covariance`, and where the drift is not stable.
    """
    h, c = _checked(hessian, covariance)
    f, d = sde_matrices(optimizer, h, order)
    rate = float(np.linalg.eigvals(f).real.max())
    size = float(np.linalg.norm(f, 2))
    if not rate < -_ROUND_OFF * size:
        raise ValueError(f"optimizer's flow must be stable on the hessian, and its largest rate is {rate:.6g} "
                         f"(allowed: below 0 by more than round-off, {_ROUND_OFF * size:.1g})")
    n = h.shape[0]
    return _stationary(*linear_sde(f, d @ c @ d.T, 1.0 / size))[:n, :n]


def linear_sde(f, q, t):
    """``(A, Q)`` of dz = F z dt + noise of covariance ``q`` dt over the time ``t``: z(t) = A z(0) + noise of
    covariance Q (Van Loan 1978)."""
    from scipy.linalg import expm

    m, size = f.shape[0], 2.0 ** np.round(np.log2(np.abs(q).max() or 1.0))  # a power of two: no digit is lost
    block = np.zeros((2 * m, 2 * m))
    block[:m, :m], block[:m, m:], block[m:, m:] = -f, q / size, f.T
    e = expm(block * t)
    a = e[m:, m:].T
    return a, size * (a @ e[:m, m:])


def averaged_covariance(optimizer, hessian, covariance, n):
    """Covariance of the equal-weight average of ``n`` successive stationary iterates (SWA), exact.

    n times it tends to H^{-1} C H^{-1} for every learning rate (Polyak, Juditsky 1992): averaging
    forgets the step size. Raises as :func:`stationary_covariance`.
    """
    n = checks.integer("n", n, 1)
    h, _ = _checked(hessian, covariance)
    a, _, _ = _stable(optimizer, h)
    p = stationary_covariance(optimizer, h, covariance, full=True)
    cross = _lags(a, n) @ p
    return _semidefinite((n * p + cross + cross.T)[: h.shape[0], : h.shape[0]] / n**2)


def _lags(a, n):
    """sum_{k=1}^{n-1} (n - k) A^k, by doubling: closed forms cancel where A is near I."""
    eye = np.eye(a.shape[0])
    lags, powers, power = np.zeros_like(a), eye, a  # for n = 1: the sum, that of A^k for k < n, A^n
    for bit in bin(n)[3:]:
        lags = 2 * lags + a @ powers @ powers
        powers, power = powers + power @ powers, power @ power
        if bit == "1":
            lags, powers, power = lags + a @ powers, powers + power, power @ a
    return lags


def covariance_interval(samples, level=0.99):
    """``(covariance, half widths)`` of N samples (N, n); the intervals hold together at ``level``.

    Normal theory: var S_ij = (S_ii S_jj + S_ij^2)/(N - 1), Bonferroni over the distinct entries; for N in
    the hundreds and more. With fewer samples S is skew and the intervals miss more often: at level 0.99
    one 2 x 2 matrix in 40 for N = 100, one in 17 for N = 30.
    """
    samples = checks.array("samples", samples, (None, None), finite=False)
    level = checks.share("level", level)
    if len(samples) < 2:
        raise ValueError(f"samples must be at least 2, got {len(samples)}")
    s = np.atleast_2d(np.cov(samples, rowvar=False))
    n = s.shape[0]
    z = NormalDist().inv_cdf(1 - (1 - level) / (n * (n + 1)))
    variances = np.diag(s)
    return s, z * np.sqrt((np.outer(variances, variances) + s**2) / (samples.shape[0] - 1))


def mean_interval(samples, level=0.99):
    """``(mean, half width)`` along the first axis (two samples or more), by Student's t.

    The studies of networks have eight paths: the normal quantile would call "99 %" what holds 96 times in a 100.
    """
    level = checks.share("level", level)
    samples = checks.array("samples", samples, (None,) * max(checks.dimensions(samples), 1), finite=False)
    count = checks.integer("number of samples", samples.shape[0], 2)
    return samples.mean(axis=0), student(level, count - 1) * samples.std(axis=0, ddof=1) / math.sqrt(count)


def student(level, freedom):
    """Half width, in standard errors, of an interval that holds at ``level``: Student's t for estimated deviations."""
    from scipy.special import stdtrit

    level = checks.share("level", level)
    return float(stdtrit(freedom, 0.5 + 0.5 * level))


@dataclass(frozen=True, eq=False, repr=False)
class Stationary(Study):
    """Stationary covariance of one method, four ways (matrices (n, n)).

    ``discrete``: exact for the iterates; ``ou``: exact for the SDE; ``sampled`` +- ``half_width``:
    Monte Carlo over independent paths, intervals that hold together at ``level``. ``averaged``,
    ``averaged_sampled``, ``averaged_half_width``: the same for the average of ``average`` iterates
    (empty arrays without).
    """

    axes = "discrete ou sampled half_width averaged? averaged_sampled? averaged_half_width?: n n"

    method: str
    radius: float
    paths: int
    steps: int
    level: float
    average: int
    discrete: np.ndarray
    ou: np.ndarray
    sampled: np.ndarray
    half_width: np.ndarray
    averaged: np.ndarray
    averaged_sampled: np.ndarray
    averaged_half_width: np.ndarray

    @property
    def agrees(self):
        """Whether every sampled entry has the exact discrete one in its interval."""
        close = (np.abs(self.sampled - self.discrete) <= self.half_width).all()
        averaged = (np.abs(self.averaged_sampled - self.averaged) <= self.averaged_half_width).all()
        return bool(close and averaged)

    @property
    def ou_error(self):
        """Largest relative error of the OU variances."""
        return float(np.abs(np.diag(self.ou) / np.diag(self.discrete) - 1).max())

    def rows(self):
        """One dict per entry of the covariance (upper triangle)."""
        out = []
        n = self.discrete.shape[0]
        for i in range(n):
            for j in range(i, n):
                out.append({"entry": f"({i}, {j})", "discrete": float(self.discrete[i, j]), "OU": float(self.ou[i, j]),
                            "sampled": float(self.sampled[i, j]), "+-": float(self.half_width[i, j])})
                if self.average:
                    out[-1] |= {f"average of {self.average}": float(self.averaged[i, j]),
                                "average sampled": float(self.averaged_sampled[i, j]),
                                "average +-": float(self.averaged_half_width[i, j])}
        return out

    def headline(self):
        return (f"{self.method}: stationary covariance, {self.paths} paths of {self.steps} steps; the samples "
                f"{'agree' if self.agrees else 'DISAGREE'} with the discrete Lyapunov equation at {self.level:g}, "
                f"the OU variances are off by up to {self.ou_error:.2%}")


def stationary(optimizer, hessian, covariance, *, paths=20_000, average=0, level=0.99, seed=0, threads=None,
               progress=False):
    """Measure the stationary covariance of ``optimizer`` and put it beside the exact ones.

    Parameters
    ----------
    optimizer : Optimizer
        One that :func:`odeopt.stochastic.sde` takes.
    hessian, covariance : (n, n) arrays
    paths : int >= 2
        Independent paths, one sample each.
    average : int
        Also average this many iterates (SWA); 0: no.
    level : float in (0, 1)
        Joint confidence of each matrix of intervals.
    seed, threads, progress
        As in :func:`odeopt.stochastic.sample`.

    Raises
    ------
    ValueError
        As :func:`stationary_covariance`.
    """
    level = checks.share("level", level)
    average, paths = checks.integer("average", average), checks.integer("paths", paths, 2)
    h, c = _checked(hessian, covariance)
    exact = stationary_covariance(optimizer, h, c)
    _, _, radius = _stable(optimizer, h)
    burn = forgetting_time(optimizer, radius)
    steps = burn + max(average - 1, 0)
    run = inner_sample(optimizer, dense_quadratic(h, np.zeros(h.shape[0])), gaussian(c), steps=steps, paths=paths,
                       seed=seed, average_from=burn if average else None, threads=threads, progress=progress)
    completed(run, "optimizer must be stable on the hessian")
    sampled, half = covariance_interval(run.end, level)
    empty = np.empty((0, 0))
    means, means_half, means_exact = empty, empty, empty
    if average:
        means, means_half = covariance_interval(run.mean, level)
        means_exact = averaged_covariance(optimizer, h, c, average)
    return Stationary(repr(optimizer), radius, paths, steps, level, average, exact, ou_covariance(optimizer, h, c),
                      sampled, half, means_exact, means, means_half)
