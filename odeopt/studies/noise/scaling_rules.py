"""Scaling rules: batch size and learning rate grow together, and the law of the iterates stays.

SGD wants lr in proportion to the batch (Goyal et al., arXiv:1706.02677), adaptive methods its square root
(Malladi et al., arXiv:2205.10287): both keep the SDE, and fail where the SDE does.
"""

import math
from dataclasses import dataclass

import numpy as np

from ... import checks
from ...optimizers import GradientDescent, Optimizer
from ...problems import sine_bowl
from ...stochastic import gaussian
from ..base import Study
from ..inner import inner_sample
from .stationary import completed, mean_interval, ou_covariance, stationary_covariance


@dataclass(frozen=True, eq=False, repr=False)
class ScalingRule(Study):
    """A method with batches ``factor`` times larger, its hyperparameters moved by two rules.

    ``mean`` and ``std`` (3, n) of the first coordinates at equal flow time with half widths
    ``mean_half``, ``std_half``: base run, the rule that keeps the SDE, the other rule.
    """

    axes = "names: R; mean mean_half std std_half: R n"

    method: str
    factor: float
    names: tuple
    mean: np.ndarray
    mean_half: np.ndarray
    std: np.ndarray
    std_half: np.ndarray

    def rows(self):
        """One dict per run."""
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
    c = checks.array("covariance", covariance, (None, None))
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
    factor = checks.real("factor", factor, 0.0, open_low=True)
    return _scaled(optimizer, factor, math.sqrt(factor))


def linearly_scaled(optimizer, factor):
    """The same with lr times ``factor``: the rule of SGD, wrong for adaptive methods."""
    return _scaled(optimizer, factor, factor)


def _scaled(optimizer, factor, lr_factor):
    factor = checks.real("factor", factor, 0.0, open_low=True)
    if not isinstance(optimizer, Optimizer) or not hasattr(optimizer, "eps"):
        raise ValueError(f"optimizer must be an adaptive method with eps, got {checks.shown(optimizer)}")
    moved = {optimizer.step_name: optimizer.step * lr_factor}
    # eps inside the root is the square of one outside.
    inside = getattr(optimizer, "eps_mode", "outside") == "inside"
    moved["eps"] = optimizer.eps / (factor if inside else math.sqrt(factor))  # pyright: ignore[reportAttributeAccessIssue]
    under = getattr(optimizer, "eps_root", 0.0)
    if under:
        moved["eps_root"] = under / factor
    for name, law in optimizer.scaling().items():
        if law == "1 - c h":  # a running average
            moved[name] = 1 - factor * (1 - getattr(optimizer, name))
    return optimizer.changed(**moved)


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
    steps : int
    x0 : (n,) array, optional
    paths : int
    level : float in (0, 1)
        Joint confidence of the intervals.
    seed, threads, progress
        As in :func:`odeopt.stochastic.sample`.
    """
    level = checks.share("level", level)
    problem = sine_bowl() if problem is None else problem
    factor, steps = checks.real("factor", factor, 0.0, open_low=True), checks.integer("steps", steps, 1)
    paths, variance = checks.integer("paths", paths, 2), checks.real("variance", variance, 0.0, open_low=True)
    seed = checks.integer("seed", seed, high=None)
    few = round(min(steps / factor, checks.LARGEST))
    if few < 1 or abs(few * factor - steps) > 1e-9:
        raise ValueError(f"steps must be a multiple of factor = {factor:g}, got {steps}")
    runs = ((optimizer, variance, steps), (square_root_scaled(optimizer, factor), variance / factor, few),
            (linearly_scaled(optimizer, factor), variance / factor, few))
    columns = [[], [], [], []]
    for i, (method, v, count) in enumerate(runs):
        run = inner_sample(method, problem, gaussian(v), x0, steps=count, paths=paths, seed=seed + i, threads=threads,
                           progress=progress)
        completed(run, f"optimizer must be stable, got {method!r}")
        end = run.end
        mean, half = mean_interval(end, level)
        std = end.std(axis=0, ddof=1)
        if not (np.isfinite(std).all() and (std > 0).all()):
            raise ValueError(f"optimizer must be stable, got {method!r}: its paths spread by {std.max():.3g}")
        # var(s^2) = (m4 - s^4)/N, so var(s) = that/(4 s^2): no normality assumed.
        fourth = ((end - mean) ** 4).mean(axis=0)
        ratio = half / (std / math.sqrt(paths))
        for column, value in zip(columns, (mean, half, std,
                                           ratio * np.sqrt(np.maximum(fourth - std**4, 0) / paths) / (2 * std))):
            column.append(value)
    return ScalingRule(repr(optimizer), float(factor), ("base", "square-root rule", "linear rule"),
                       *(np.array(column) for column in columns))
