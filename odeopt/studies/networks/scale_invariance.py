"""Scale-invariant losses with weight decay: equivalences, the norm's equilibrium, and what lr means.

With f(c w) = f(w) the learning rate acts through lr/|w|^2 alone, and weight decay moves |w|. The
equilibrium |w|^4 = lr sigma^2/(wd (2 - lr wd)), sigma^2 = E|gradient|^2 at |w| = 1, makes the
effective learning rate a function of the *intrinsic* learning rate lr wd only, reached after
O(1/(lr wd)) steps. Sources: [A002]; Li, Arora, arXiv:1910.07454; Li, Lyu, Arora,
arXiv:2010.02916.
"""

import math
from dataclasses import dataclass

import numpy as np

from ... import checks, problems, schedules
from ...optimizers import GradientDescent, Momentum
from ...problems.base import checked
from ...spectrum import power_iteration
from ...stochastic import Minibatch
from ..base import Study
from ..inner import columns, inner_run, inner_sample, partial_results
from ..noise.stationary import completed, mean_interval


def rescaled(optimizer, factor):
    """The optimizer that takes factor x0 through the same directions: lr factor^2, weight decay/factor^2.

    For GradientDescent and Momentum of forms heavy_ball and torch (buffers scale by factor and
    1/factor; from cold starts they are 0).
    """
    factor = checks.real("factor", factor, 1e-150, 1e150)  # its square is a number
    _check_decayed(optimizer)
    return optimizer.changed(lr=optimizer.lr * factor**2, weight_decay=optimizer.weight_decay / factor**2)


def _check_decayed(optimizer):
    if isinstance(optimizer, GradientDescent):
        return
    if not (isinstance(optimizer, Momentum) and optimizer.form in ("heavy_ball", "torch")):
        raise ValueError("optimizer must be GradientDescent or Momentum of form heavy_ball or torch, "
                         f"got {checks.shown(optimizer)}")


def growth_factor(optimizer):
    """alpha < 1: weight decay with constant lr equals no decay with lr alpha^(-2k-1).

    GradientDescent: 1 - lr wd. Momentum: the larger root of a^2 - (1 + momentum - lr wd) a + momentum = 0
    (Li, Arora, theorem 2.12). ValueError where the roots are complex (lr wd > (1 - sqrt(momentum))^2).
    """
    _check_decayed(optimizer)
    product = optimizer.lr * optimizer.weight_decay
    mu = getattr(optimizer, "momentum", 0.0)
    b = 1 + mu - product
    square = b * b - 4 * mu
    if square < 0 or b <= 0:
        raise ValueError(f"lr * weight_decay must be at most (1 - sqrt(momentum))^2 = {(1 - math.sqrt(mu)) ** 2:.6g}, "
                         f"got {product:.6g}")
    return 0.5 * (b + math.sqrt(square))


def growing_equivalent(optimizer, x0, slots=None):
    """``(optimizer, schedule, start)`` without weight decay that gives the same directions.

    On a scale-invariant loss, from ``x0``: theta_k = alpha^k theta~_k exactly, where theta~ runs with
    lr_k = lr alpha^(-2k-1). With momentum the buffer must leave lr out (form "torch") and must
    start at (alpha - 1) x0/(lr alpha), plus the original's own buffer ``slots`` (default 0): a zero
    buffer gives other directions.

    Parameters
    ----------
    optimizer : GradientDescent, or Momentum(form="torch") with coupled decay and no dampening
    x0 : (n,) array
    slots : (1, n) array, optional

    Raises
    ------
    ValueError
        Another optimizer or form; see :func:`growth_factor`.
    """
    momentum = isinstance(optimizer, Momentum)
    if momentum and (optimizer.form != "torch" or optimizer.dampening or optimizer.weight_decay_mode != "coupled"):
        raise ValueError("optimizer must be Momentum(form='torch', dampening=0, weight_decay_mode='coupled'): only "
                         f"there the buffer leaves lr out, got {optimizer!r}")
    _check_decayed(optimizer)
    alpha = growth_factor(optimizer)
    plain = optimizer.changed(lr=optimizer.lr / alpha, weight_decay=0.0)
    schedule = schedules.exponential(alpha**-2)
    x0 = checks.point("x0", x0)
    start = np.zeros((len(plain.slots), x0.size))
    if slots is not None:
        start += checks.array("slots", slots, start.shape, of=repr(plain))
    if momentum:
        start[0] += (alpha - 1) / (optimizer.lr * alpha) * x0
    return plain, schedule, start


def pairs_of(pairs):
    """``pairs`` as a list of (lr, weight_decay), or one line."""
    found = [checks.entries("pairs", pair) for pair in checks.entries("pairs", pairs)]
    if not all(len(pair) == 2 for pair in found):
        raise ValueError(f"pairs must hold pairs (lr, weight_decay), got {checks.shown(pairs)}")
    return [decayed(*pair) for pair in found]


def directions(x):
    """x/|x| along the last axis."""
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def norm_recursion(n0, lr, weight_decay, sigma2, steps):
    """(steps + 1,) squared norms n+ = (1 - lr wd)^2 n + lr^2 sigma2/n from n0; sigma2 = |gradient|^2 at |w| = 1."""
    n = [checks.positive("n0", n0)]
    lr, weight_decay, sigma2 = checks.positive("lr", lr), checks.nonnegative("weight_decay", weight_decay), (
        checks.nonnegative("sigma2", sigma2))
    shrink = 1 - lr * weight_decay
    for _ in range(checks.integer("steps", steps)):
        n.append(shrink * shrink * n[-1] + lr * lr * sigma2 / n[-1])
    return np.array(n)


def equilibrium_norm2(lr, weight_decay, sigma2):
    """Its fixed point |w|^2 = sqrt(lr sigma2/(wd (2 - lr wd)))."""
    sigma2 = checks.nonnegative("sigma2", sigma2)
    lr, weight_decay = checks.positive("lr", lr), checks.positive("weight_decay", weight_decay)
    checks.real("lr * weight_decay", lr * weight_decay, 0.0, 2.0, open_low=True, open_high=True)
    return math.sqrt(lr * sigma2 / (weight_decay * (2 - lr * weight_decay)))


def equilibrium_angle(intrinsic):
    """Angle of one step at the equilibrium, arctan sqrt((1 - lr wd)^-2 - 1): about sqrt(2 lr wd)."""
    intrinsic = checks.real("intrinsic", intrinsic, 0.0, 1.0, open_high=True)
    return math.atan(math.sqrt((1 - intrinsic) ** -2 - 1))


@dataclass(frozen=True, eq=False, repr=False)
class NormEquilibrium(Study):
    """Norms of SGD with weight decay on a scale-invariant loss, one row per pair (lr, wd).

    ``k`` (pairs, R) steps; ``norm2`` (pairs, R) mean |w|^2 over paths, ``norm2_half`` its half width;
    ``sigma2`` (pairs,) mean |batch gradient|^2 |w|^2 over the last third, ``predicted`` the
    equilibrium |w|^2 from it, ``effective_lr`` lr/|w|^2 and ``effective_half``: last-third means
    with intervals over paths; ``relaxation`` the first record with the mean |w|^2 within 10% of that.
    ``balance``: wd (2 - lr wd) E|w|^2/(lr E|g|^2), which is 1 at equilibrium whether or not sigma
    is constant (``predicted`` supposes that it is), with its half width.
    """

    axes = ("lr weight_decay sigma2 predicted measured measured_half effective_lr effective_half relaxation "
            "balance balance_half: P; k norm2 norm2_half: P R")

    problem: str
    paths: int
    level: float
    lr: np.ndarray
    weight_decay: np.ndarray
    k: np.ndarray
    norm2: np.ndarray
    norm2_half: np.ndarray
    sigma2: np.ndarray
    predicted: np.ndarray
    measured: np.ndarray
    measured_half: np.ndarray
    effective_lr: np.ndarray
    effective_half: np.ndarray
    relaxation: np.ndarray
    balance: np.ndarray
    balance_half: np.ndarray

    @property
    def balanced(self):
        """(pairs,) whether the interval of ``balance`` holds 1: else |w|^2 still moves, and is not an equilibrium."""
        return np.abs(self.balance - 1) <= self.balance_half

    def rows(self):
        """One dict per pair."""
        return [{"lr": float(a), "wd": float(b), "lr wd": float(a * b), "|w|^2": float(m), "+-": float(d),
                 "predicted": float(p), "balance": float(q), "balance +-": float(y),
                 "lr/|w|^2": float(e), "lr/|w|^2 +-": float(h), "relaxed after": float(r),
                 "lr wd steps": float(r * a * b)}
                for a, b, m, d, p, q, y, e, h, r in zip(
                    self.lr, self.weight_decay, self.measured, self.measured_half, self.predicted, self.balance,
                    self.balance_half, self.effective_lr, self.effective_half, self.relaxation)]

    def headline(self):
        worst = float(np.abs(self.measured / self.predicted - 1).max())
        moving = [f"({a:g}, {b:g})" for a, b, off in zip(self.lr, self.weight_decay, ~self.balanced) if off]
        return (f"{self.problem}: equilibrium |w|^2 within {worst:.1%} of sqrt(lr sigma^2/(wd (2 - lr wd))), "
                f"{self.paths} paths" + f"; not in balance yet: (lr, wd) = {', '.join(moving)}" * bool(moving))


def decayed(lr, weight_decay):
    """The pair as numbers; ValueError where 1/(lr wd), the steps of a relaxation, is above 10^9."""
    lr = checks.real("lr", lr, 0.0, open_low=True)
    weight_decay = checks.real("weight_decay", weight_decay, 0.0, open_low=True)
    if not lr * weight_decay >= 1e-9:
        raise ValueError("pairs must relax within 10^9 steps, lr weight_decay >= 1e-09, "
                         f"got lr={lr:g}, weight_decay={weight_decay:g}")
    return lr, weight_decay


@partial_results
def norm_equilibrium(pairs, problem=None, noise=None, *, x0=None, steps=None, paths=8, records=120, level=0.99, seed=0,
                     threads=None, progress=False):
    """Follow |w|^2 of SGD with weight decay to its equilibrium, for each pair (lr, wd).

    Parameters
    ----------
    pairs : sequence of (lr, weight_decay)
    problem : Problem
        Scale-invariant; default the normalised logistic regression on the digits.
    noise : Noise or Minibatch, optional
        Default: mini-batches of 32 for a finite sum, none otherwise.
    x0 : (n,) array, optional
    steps : int, optional
        Default: 3/(lr wd) for each pair.
    paths : int
    records : int
        Times at which the norm is kept.
    level : float in (0, 1)
        Confidence of the intervals.
    seed, threads, progress
        As in :func:`odeopt.stochastic.sample`.

    Raises
    ------
    ValueError
        As :func:`odeopt.stochastic.sample`, and for a path that diverges.

    Notes
    -----
    Ctrl-C keeps the finished pairs.
    """
    level = checks.share("level", level)
    problem = problems.normalized_logistic() if problem is None else checked(problem)
    paths, records = checks.integer("paths", paths, 2), checks.integer("records", records, 1)
    seed = checks.integer("seed", seed, high=None)
    if noise is None and problem.fgb is not None:
        noise = Minibatch(32)
    steps = None if steps is None else checks.integer("steps", steps, 1)

    def measured(pair):
        lr, decay = pair
        optimizer = GradientDescent(lr=lr, weight_decay=decay)
        count = math.ceil(3 / (lr * decay)) if steps is None else steps
        every = max(1, count // records)
        run = inner_sample(optimizer, problem, noise, x0, steps=every * records, paths=paths, seed=seed, every=every,
                           threads=threads, progress=progress)
        completed(run, f"pairs must be stable, got lr={lr}, weight_decay={decay}")
        norms = (run.x**2).sum(axis=2)
        mean, half = mean_interval(norms, level)
        late = slice(2 * records // 3, None)
        scaled, square = _gradient_squares(problem, noise, run.x[:, late], seed)
        sigma2, late_norms = float(scaled.mean()), norms[:, late].mean(axis=1)
        end, end_half = mean_interval(late_norms, level)
        balance = decay * (2 - lr * decay) * end / (lr * square.mean())
        # A ratio of means over paths: its deviation to first order.
        _, balance_half = mean_interval(balance * (late_norms / end - square / square.mean()), level)
        effective, effective_half = mean_interval((lr / norms[:, late]).mean(axis=1), level)
        near = np.flatnonzero(np.abs(mean / end - 1) < 0.1)
        relaxed = run.k[near[0]] if near.size else np.nan
        return (lr, decay, mean, half, sigma2, equilibrium_norm2(lr, decay, sigma2), end, end_half, effective,
                effective_half, float(relaxed), balance, balance_half, run.k)

    lr, decay, mean, half, sigma2, predicted, end, end_half, effective, effective_half, relaxed, balance, \
        balance_half, k = columns("pairs", pairs_of(pairs), measured)
    return NormEquilibrium(problem.name, paths, level, lr, decay, k, mean, half, sigma2, predicted, end, end_half,
                           effective, effective_half, relaxed, balance, balance_half)


def _gradient_squares(problem, noise, x, seed, draws=4):
    """Means of |g|^2 |w|^2 and |g|^2 of the stochastic gradient over each path of (paths, R, n) points."""
    rng = np.random.default_rng((seed, 1))

    def draw(w):
        if isinstance(noise, Minibatch):
            chosen = (rng.integers(0, problem.samples, noise.size) if noise.replacement
                      else rng.choice(problem.samples, noise.size, replace=False))
            return problem.value_and_grad(w, chosen)[1]
        g = problem.grad(w)
        if noise is not None:
            out = np.empty(problem.dim)
            noise.kernel(w, rng.standard_normal(noise.fitted(problem.dim)), out, noise.c)
            g += out
        return g

    squares = np.array([[[np.sum(draw(w) ** 2) for _ in range(draws)] for w in path] for path in x])
    norms = (x**2).sum(axis=2, keepdims=True)
    return (squares * norms).mean(axis=(1, 2)), squares.mean(axis=(1, 2))


@dataclass(frozen=True, eq=False, repr=False)
class Instability(Study):
    """Full-batch gradient descent on a scale-invariant loss, with and without weight decay.

    One entry per learning rate. ``rise_step``: first step at which f is larger than the smallest
    f before it by more than 10% of the drop so far (-1: never); ``peak`` the largest f from there on.
    ``turning_norm`` and ``turning_sharpness``: |w| and lr times the largest Hessian eigenvalue at the lowest f
    before that, where descent turns into growth (2 - lr wd is the limit on a quadratic with decay).
    ``plain_rise_step`` the same without decay, ``plain_norm_monotone`` whether |w| never shrinks there.
    """

    axes = "lr weight_decay lowest rise_step turning_norm peak turning_sharpness plain_rise_step plain_norm_monotone: P"

    problem: str
    lr: np.ndarray
    weight_decay: np.ndarray
    lowest: np.ndarray
    rise_step: np.ndarray
    turning_norm: np.ndarray
    peak: np.ndarray
    turning_sharpness: np.ndarray
    plain_rise_step: np.ndarray
    plain_norm_monotone: np.ndarray

    def rows(self):
        """One dict per learning rate."""
        return [{"lr": float(a), "wd": float(b), "lowest f": float(lo), "rises at step": int(r),
                 "|w| at lowest": float(n), "lr sharpness": float(s), "peak f": float(p),
                 "without decay rises": "never" if q < 0 else int(q), "norm grows": "yes" if m else "NO"}
                for a, b, lo, r, n, s, p, q, m in zip(
                    self.lr, self.weight_decay, self.lowest, self.rise_step, self.turning_norm, self.turning_sharpness,
                    self.peak, self.plain_rise_step, self.plain_norm_monotone)]

    def headline(self):
        return (f"{self.problem}: full-batch descent with weight decay loses what it gained at "
                f"{int((self.rise_step >= 0).sum())} of {self.lr.size} learning rates, without decay at "
                f"{int((self.plain_rise_step >= 0).sum())}")


@partial_results
def instability(lrs, problem=None, *, intrinsic=0.02, x0=None, steps=1500):
    """Conventional wisdom 1: small steps follow the gradient flow. With decay, at no learning rate.

    Runs GradientDescent(lr, weight_decay=intrinsic/lr) and the same without decay. Near a minimum the
    gradient is small, decay shrinks |w| geometrically, and the curvature in w grows as 1/|w|^2
    until lr times it passes 2: a smaller lr only comes nearer to the origin first.

    ``problem``: scale-invariant, default x^2/(x^2 + y^2) (:func:`odeopt.problems.rayleigh`). Ctrl-C keeps the finished
    learning rates.
    """
    problem = problems.rayleigh() if problem is None else checked(problem)
    intrinsic, steps = checks.nonnegative("intrinsic", intrinsic), checks.integer("steps", steps, 1)

    def measured(lr):
        decay = intrinsic / lr
        run = inner_run(GradientDescent(lr=lr, weight_decay=decay), problem, x0, steps)
        plain = inner_run(GradientDescent(lr=lr), problem, x0, steps)
        for one in (run, plain):
            if not one.ok:
                raise ValueError(f"lrs must be learning rates at which the run stays finite, got {lr:g}: {one.message}")
        rise, plain_rise = _rise(run.f), _rise(plain.f)
        at = rise if rise >= 0 else len(run) - 1
        low = int(np.argmin(run.f[: at + 1]))
        sharp = lr * power_iteration(lambda v, at=run.x[low]: problem.hessp(at, v),
                                     np.cos(1.0 + np.arange(problem.dim)), 60)[0]
        growth = np.diff(np.linalg.norm(plain.x, axis=1))
        # |w+|^2 = |w|^2 + lr^2 |g|^2: equality to round-off once the gradient has vanished.
        monotone = (growth >= -4e-16 * np.linalg.norm(plain.x[:-1], axis=1)).all()
        return (lr, decay, run.f[low], rise, np.linalg.norm(run.x[low]), run.f[at:].max(), sharp, plain_rise,
                float(monotone))

    return Instability(problem.name, *columns("lrs", checks.point("lrs", lrs), measured))


def _rise(f):
    """First index at which f stands more than 10% of the drop so far above its minimum so far, or -1."""
    low = np.minimum.accumulate(f)
    above = np.flatnonzero(f - low > 0.1 * (f[0] - low) + 1e-9 * abs(f[0]))
    return int(above[0]) if above.size else -1
