"""Weak orders, sharp: expectations by exact moment recursions, no sampling error.

On a quadratic with additive noise both the iterates and their SDE have first and second moments in
closed form, so the weak error |E phi(x_n) - E phi(X_T)| is known to round-off and its slope against
the step can be asserted on both sides. phi(x) = x'x.

- :func:`weak_order`: an optimizer against its SDE (order 1) or modified SDE (order 2);
- :func:`integrator_order`: the reference integrators against the SDE that they integrate;
- :func:`scaling_rules`: what happens to the moments when batch and learning rate grow together.

Sources: Li, Tai, E, arXiv:1511.06251 and 1811.01558; Malladi et al., arXiv:2205.10287;
Kloeden, Platen, Numerical Solution of SDEs (1992), chapter 9 for weak convergence.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from .. import checks
from ..optimizers import GradientDescent, Optimizer
from ..problems import sine_bowl
from ..stochastic import SDE, gaussian, sample, sde
from ..stochastic.sde import one_step
from .base import Study
from .stationary import (
    _checked,
    dense_quadratic,
    mean_interval,
    ou_covariance,
    sde_matrices,
    stationary_covariance,
    step_matrices,
)


def discrete_moments(optimizer, hessian, covariance, x0, steps, *, z0=None):
    """``(mean, covariance)`` of x after ``steps`` steps from ``x0`` (memory 0, or all of ``z0``), exact."""
    h, c = _checked(hessian, covariance)
    a, b = step_matrices(optimizer, h)
    z = np.zeros(a.shape[0])
    z[: h.shape[0]] = checks.point("x0", x0, h.shape[0])
    if z0 is not None:
        z = checks.point("z0", z0, a.shape[0])
    return _recursion(a, b @ c @ b.T, z, steps, h.shape[0])


def _recursion(a, q, z, steps, n):
    """Moments of z+ = A z + noise of covariance Q after ``steps`` steps, by doubling."""
    power, sum_ = np.eye(a.shape[0]), np.zeros_like(q)
    square, part = a, q
    while steps:
        if steps & 1:  # first the steps so far, then this many more
            sum_ = square @ sum_ @ square.T + part
            power = square @ power
        part = square @ part @ square.T + part
        square = square @ square
        steps >>= 1
    return (power @ z)[:n], sum_[:n, :n]


def sde_moments(optimizer, hessian, covariance, x0, t, *, order=1):
    """``(mean, covariance)`` of X at flow time ``t`` for the optimizer's SDE from rest, exact (Van Loan 1978)."""
    h, c = _checked(hessian, covariance)
    f, d = sde_matrices(optimizer, h, order)
    z = np.zeros(f.shape[0])
    z[: h.shape[0]] = checks.point("x0", x0, h.shape[0])
    return _linear_sde(f, d @ c @ d.T, z, t, h.shape[0])


def _linear_sde(f, q, z, t, n):
    from scipy.linalg import expm

    m = f.shape[0]
    block = np.zeros((2 * m, 2 * m))
    block[:m, :m], block[:m, m:], block[m:, m:] = -f, q, f.T
    e = expm(block * t)
    phi = e[m:, m:].T
    return (phi @ z)[:n], (phi @ e[:m, m:])[:n, :n]


def _second_moment(moments):
    mean, covariance = moments
    return float(mean @ mean + np.trace(covariance))


@dataclass(frozen=True, eq=False, repr=False)
class WeakOrder(Study):
    """Weak errors of E x'x against the step.

    ``h`` the steps in flow time, ``error`` |E x_n'x_n - E X_T'X_T|, ``slope`` the signed local
    slopes log2-wise between neighbours, ``order`` the last of them.
    """

    what: str
    t_end: float
    h: np.ndarray
    error: np.ndarray

    @property
    def slope(self):
        """(levels - 1,) signed slopes between neighbouring steps."""
        return np.diff(np.log(self.error)) / np.diff(np.log(self.h))

    @property
    def order(self):
        """The slope between the two smallest steps."""
        return float(self.slope[-1])

    def rows(self):
        """One dict a step."""
        slopes = [None, *(float(s) for s in self.slope)]
        return [{"h": float(h), "weak error": float(e), "slope": s} for h, e, s in zip(self.h, self.error, slopes)]

    def headline(self):
        return f"{self.what}: weak order {self.order:.3f} (E x'x at t = {self.t_end:g})"


def weak_order(optimizer, hessian, covariance, x0, t_end, *, order=1, levels=6):
    """The weak order at which ``optimizer`` follows its SDE on a quadratic.

    The optimizer is refined (:meth:`Optimizer.refined`) by powers of 2, and with each step the SDE
    has its own noise sqrt(h): the order measured is that of the approximation, the one in
    the theorems of Li, Tai and E.

    Parameters
    ----------
    optimizer : Optimizer
        The coarsest; ``t_end`` must be a multiple of its step h.
    hessian, covariance : (n, n) arrays
    x0 : (n,) array
        Take one where mean and covariance errors do not cancel.
    t_end : float
    order : {1, 2}
        Which SDE: the plain one, or the modified one (GradientDescent only).
    levels : int

    Raises
    ------
    ValueError
        As :func:`odeopt.stochastic.sde`; ``t_end`` not a multiple of h; a covariance that is none.
    """
    levels = checks.integer("levels", levels, 2)
    t_end = checks.real("t_end", t_end, 0.0, open_low=True)
    steps = round(t_end / optimizer.h)
    if steps < 1 or abs(steps * optimizer.h - t_end) > 1e-9 * t_end:
        raise ValueError(f"t_end must be a multiple of the step h = {optimizer.h:.6g}, got {t_end!r}")
    h, error = [], []
    for level in range(levels):
        finer = optimizer.refined(2**level)
        exact = _second_moment(sde_moments(finer, hessian, covariance, x0, t_end, order=order))
        error.append(abs(_second_moment(discrete_moments(finer, hessian, covariance, x0, steps * 2**level)) - exact))
        h.append(finer.h)
    return WeakOrder(f"{optimizer.name} against its SDE of order {order}", t_end, np.array(h), np.array(error))


def integrator_order(scheme, hessian, covariance, x0, t_end, *, optimizer=None, levels=6, coarsest=4):
    """The weak order of a reference integrator on the SDE of ``optimizer``, which stays fixed.

    ``scheme`` is "euler_maruyama" or "weak_second_order"; the steps are t_end/(coarsest 2^level).
    The integrator's own one-step map is probed, its moments follow exactly.
    """
    h_matrix, c = _checked(hessian, covariance)
    equation = sde(GradientDescent(lr=0.1) if optimizer is None else optimizer)
    problem, noise = dense_quadratic(h_matrix), gaussian(c)
    n, rows, m = problem.dim, equation.flow.rows, noise.fitted(problem.dim)
    f, d = sde_matrices(GradientDescent(lr=0.1) if optimizer is None else optimizer, h_matrix)
    z0 = np.zeros(rows * n)
    z0[:n] = checks.point("x0", x0, n)
    exact = _second_moment(_linear_sde(f, d @ c @ d.T, z0, t_end, n))
    steps, errors = [], []
    for level in range(checks.integer("levels", levels, 2)):
        count = coarsest * 2**level
        h = t_end / count
        a = np.array([one_step(equation, problem, noise, e.reshape(rows, n), np.zeros(m), h, scheme).ravel()
                      for e in np.eye(rows * n)]).T
        b = np.array([one_step(equation, problem, noise, np.zeros((rows, n)), e, h, scheme).ravel()
                      for e in np.eye(m)]).T
        errors.append(abs(_second_moment(_recursion(a, b @ b.T, z0, count, n)) - exact))
        steps.append(h)
    return WeakOrder(f"{scheme} on {equation.flow.equation}", float(t_end), np.array(steps), np.array(errors))


@dataclass(frozen=True, eq=False, repr=False)
class ScalingRule(Study):
    """A method with batches ``factor`` times larger, its hyperparameters moved by two rules.

    ``mean`` and ``std`` (3, n) of the first coordinates at equal flow time with half widths
    ``mean_half``, ``std_half``: base run, the rule that keeps the SDE, the other rule.
    """

    method: str
    factor: float
    names: tuple
    mean: np.ndarray
    mean_half: np.ndarray
    std: np.ndarray
    std_half: np.ndarray

    def rows(self):
        """One dict a run."""
        return [{"run": name, "mean": float(m[0]), "+- mean": float(dm[0]), "std": float(s[0]), "+- std": float(ds[0])}
                for name, m, dm, s, ds in zip(self.names, self.mean, self.mean_half, self.std, self.std_half)]

    @property
    def distance(self):
        """(2,) largest relative change of means and standard deviations from the base run, by each rule."""
        scale = np.abs(self.mean[0]) + self.std[0]
        change = np.maximum(np.abs(self.mean[1:] - self.mean[0]), np.abs(self.std[1:] - self.std[0])) / scale
        return change.max(axis=1)

    def headline(self):
        return (f"{self.method}, batch times {self.factor:g}: mean and deviation change by {self.distance[0]:.1%} "
                f"with the {self.names[1]} and by {self.distance[1]:.1%} with the {self.names[2]}")


def linear_scaling(hessian, covariance, lr, factors):
    """Relative change of SGD's stationary covariance (trace) when lr and batch grow by each factor together.

    By the SDE nothing changes (the linear scaling rule, Goyal et al., arXiv:1706.02677); exactly,
    with lr' = factor lr and C' = C/factor, tr changes as lr' lambda does. Returns ``(discrete,
    ou)`` arrays of tr(Sigma')/tr(Sigma) - 1. ValueError where factor lr is no longer stable.
    """
    lr = checks.real("lr", lr, 0.0, open_low=True)
    c = np.array(covariance, dtype=np.float64)
    exact, ou = [], []
    for k in checks.point("factors", factors):
        exact.append(np.trace(stationary_covariance(GradientDescent(k * lr), hessian, c / k)))
        ou.append(np.trace(ou_covariance(GradientDescent(k * lr), hessian, c / k)))
    base = np.trace(stationary_covariance(GradientDescent(lr), hessian, c))
    base_ou = np.trace(ou_covariance(GradientDescent(lr), hessian, c))
    return np.array(exact) / base - 1, np.array(ou) / base_ou - 1


def square_root_scaled(optimizer, factor):
    """The optimizer for batches ``factor`` times larger by the square-root rule (Malladi et al., section 4).

    lr sqrt(factor), 1 - beta -> factor (1 - beta) for each running average, eps/sqrt(factor); take
    1/factor as many steps. ValueError where a beta would leave [0, 1) or the method has no lr.
    """
    return _scaled(optimizer, factor, math.sqrt(factor))


def linearly_scaled(optimizer, factor):
    """The same with lr times ``factor``: the rule of SGD, wrong for adaptive methods."""
    return _scaled(optimizer, factor, factor)


def _scaled(optimizer, factor, lr_factor):
    factor = checks.real("factor", factor, 0.0, open_low=True)
    if not isinstance(optimizer, Optimizer) or not hasattr(optimizer, "eps"):
        raise ValueError(f"optimizer must be an adaptive method with eps, got {optimizer!r}")
    moved = {"lr": optimizer.lr * lr_factor}
    # eps inside the root is the square of one outside.
    inside = getattr(optimizer, "eps_mode", "outside") == "inside"
    moved["eps"] = optimizer.eps / (factor if inside else math.sqrt(factor))
    for name in ("beta1", "beta2", "decay"):
        if hasattr(optimizer, name):
            moved[name] = 1 - factor * (1 - getattr(optimizer, name))
    return replace(optimizer, **moved)


def scaling_rules(optimizer, problem=None, variance=1.0, *, factor=4.0, steps=400, x0=None, paths=20_000, level=0.99,
                  seed=0, threads=None, progress=False):
    """Base run, square-root rule and linear rule of an adaptive method, by Monte Carlo.

    Parameters
    ----------
    optimizer : Optimizer
        RMSprop, Adam and their like.
    problem : Problem
        Default: the sine bowl.
    variance : float
        Gradient-noise variance of the base run (times I); it must dominate the gradient for the
        rule to apply.
    factor : float
        kappa; ``steps`` must be a multiple.
    """
    problem = sine_bowl() if problem is None else problem
    few = round(steps / factor)
    if abs(few * factor - steps) > 1e-9:
        raise ValueError(f"steps must be a multiple of factor = {factor:g}, got {steps}")
    runs = ((optimizer, variance, steps), (square_root_scaled(optimizer, factor), variance / factor, few),
            (linearly_scaled(optimizer, factor), variance / factor, few))
    columns = [[], [], [], []]
    for i, (method, v, count) in enumerate(runs):
        end = sample(method, problem, gaussian(v), x0, steps=count, paths=paths, seed=seed + i, threads=threads,
                     progress=progress).end
        mean, half = mean_interval(end, level)
        std = end.std(axis=0, ddof=1)
        # var(s^2) = (m4 - s^4)/N, so var(s) = that/(4 s^2): no normality assumed.
        fourth = ((end - mean) ** 4).mean(axis=0)
        ratio = half / (std / math.sqrt(paths))
        for column, value in zip(columns, (mean, half, std,
                                           ratio * np.sqrt((fourth - std**4) / paths) / (2 * std))):
            column.append(value)
    return ScalingRule(repr(optimizer), float(factor), ("base", "square-root rule", "linear rule"),
                       *(np.array(column) for column in columns))


__all__ = ["SDE", "ScalingRule", "WeakOrder", "discrete_moments", "integrator_order", "linear_scaling",
           "linearly_scaled", "scaling_rules", "sde_moments", "square_root_scaled", "weak_order"]
