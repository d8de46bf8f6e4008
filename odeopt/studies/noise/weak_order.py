"""Weak orders, sharp: expectations by exact moment recursions, no sampling error.

On a quadratic with additive noise both the iterates and their SDE have first and second moments in
closed form, so the weak error |E phi(x_n) - E phi(X_T)| is known to round-off and its slope against
the step can be asserted on both sides. phi(x) = x'x. In one dimension the same is done for any
objective and any noise by transfer operators (:func:`weak_order_nonlinear`).

- :func:`weak_order`: an optimizer against its SDE (order 1) or modified SDE (order 2);
- :func:`integrator_order`: the reference integrators against the SDE that they integrate.

Sources: Li, Tai, E, arXiv:1511.06251 and arXiv:1811.01558;
Kloeden, Platen, Numerical Solution of SDEs (1992), chapter 9 for weak convergence.
"""

from dataclasses import dataclass

import numpy as np

from ... import checks
from ...optimizers import GradientDescent, Optimizer
from ...problems.base import checked
from ...stochastic import Noise, gaussian, sde
from ...stochastic.sde import one_step
from ..base import Study
from ..order.fit import refinements
from .stationary import _checked, dense_quadratic, linear_sde, sde_matrices, step_matrices


def discrete_moments(optimizer, hessian, covariance, x0, steps, *, z0=None):
    """``(mean, covariance)`` of x after ``steps`` steps from ``x0`` (memory 0, or all of ``z0``), exact."""
    h, c = _checked(hessian, covariance)
    a, b = step_matrices(optimizer, h)
    z, steps = np.zeros(a.shape[0]), checks.integer("steps", steps)
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
    z, t = np.zeros(f.shape[0]), checks.nonnegative("t", t)
    z[: h.shape[0]] = checks.point("x0", x0, h.shape[0])
    return _moments(f, d @ c @ d.T, z, t, h.shape[0])


def _moments(f, q, z, t, n):
    with np.errstate(all="ignore"):
        a, covariance = linear_sde(f, q, t)
        mean, covariance = (a @ z)[:n], covariance[:n, :n]
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError(f"t must be a time at which the moments are numbers, got {t:g}")
    return mean, covariance


def _second_moment(moments):
    mean, covariance = moments
    return float(mean @ mean + np.trace(covariance))


@dataclass(frozen=True, eq=False, repr=False)
class WeakOrder(Study):
    """Weak errors of E x'x against the step.

    ``h`` the steps in flow time, ``error`` |E x_n'x_n - E X_T'X_T|, ``slope`` the signed local
    slopes log2-wise between neighbours, ``order`` the last of them.
    """

    axes = "h error: L"

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
        """One dict per step."""
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
        As :func:`odeopt.stochastic.sde`; ``t_end`` not a multiple of h; a matrix that is not a covariance.
    """
    levels = len(refinements(levels, 2.0, 2))
    t_end = checks.real("t_end", t_end, 0.0, open_low=True)
    checks.instance("optimizer", optimizer, Optimizer, "an Optimizer")
    steps = round(t_end / optimizer.h)
    if steps < 1 or abs(steps * optimizer.h - t_end) > 1e-9 * t_end:
        raise ValueError(f"t_end must be a multiple of the step h = {optimizer.h:.6g}, got {checks.shown(t_end)}")
    if steps * 2**levels > checks.LARGEST:
        raise ValueError(f"t_end must be in reach of {checks.LARGEST} steps at each level, got {t_end:g}, and those of "
                         f"h = {optimizer.h / 2**levels:.6g} do not come there")
    h, error = [], []
    for level in range(levels):
        finer = optimizer.refined(2**level)
        exact = _second_moment(sde_moments(finer, hessian, covariance, x0, t_end, order=order))
        error.append(abs(_second_moment(discrete_moments(finer, hessian, covariance, x0, steps * 2**level)) - exact))
        h.append(finer.h)
    return WeakOrder(f"{_title(optimizer)} against its SDE of order {order}", t_end, np.array(h), np.array(error))


def integrator_order(scheme, hessian, covariance, x0, t_end, *, optimizer=None, levels=6, coarsest=4):
    """The weak order of a reference integrator on the SDE of ``optimizer``, which stays fixed.

    ``scheme`` is "euler_maruyama" or "weak_second_order"; the steps are t_end/(coarsest 2^level).
    The integrator's own one-step map is probed, its moments follow exactly.
    """
    h_matrix, c = _checked(hessian, covariance)
    t_end, coarsest = checks.positive("t_end", t_end), checks.integer("coarsest", coarsest, 1, 2**20)
    levels = len(refinements(levels, 2.0, 2))
    equation = sde(GradientDescent(lr=0.1) if optimizer is None else optimizer)
    problem, noise = dense_quadratic(h_matrix), gaussian(c)
    n, rows, m = problem.dim, equation.flow.rows, noise.fitted(problem.dim)
    f, d = sde_matrices(GradientDescent(lr=0.1) if optimizer is None else optimizer, h_matrix)
    z0 = np.zeros(rows * n)
    z0[:n] = checks.point("x0", x0, n)
    exact = _second_moment(_moments(f, d @ c @ d.T, z0, t_end, n))
    steps, errors = [], []
    for level in range(levels):
        count = coarsest * 2**level
        h = t_end / count
        a = np.array([one_step(equation, problem, noise, e.reshape(rows, n), np.zeros(m), h, scheme).ravel()
                      for e in np.eye(rows * n)]).T
        b = np.array([one_step(equation, problem, noise, np.zeros((rows, n)), e, h, scheme).ravel()
                      for e in np.eye(m)]).T
        errors.append(abs(_second_moment(_recursion(a, b @ b.T, z0, count, n)) - exact))
        steps.append(h)
    name = {"euler_maruyama": "Euler-Maruyama", "weak_second_order": "the weak second-order scheme"}.get(scheme, scheme)
    return WeakOrder(f"{name} on the SDE of {_title(optimizer or GradientDescent(lr=0.1))}", float(t_end),
                     np.array(steps), np.array(errors))


def _title(optimizer):
    return optimizer.title


def weak_order_nonlinear(optimizer, problem, noise, x0, t_end, interval, *, order=1, test=np.square, levels=5, nodes=40,
                         substeps=8):
    """The weak order of an optimizer in one dimension for any f and any noise, without sampling.

    Expectations u(x) = E test(x_n | x_0 = x) are carried as Chebyshev interpolants: one step of the
    optimizer is the matrix (T u)(x_i) = sum_q w_q u(step(x_i, xi_q)) with Gauss-Hermite nodes xi_q, n steps are
    its n-th power. The SDE's expectation is that of Platen's scheme with ``substeps`` and half as many
    steps for each step of the optimizer, extrapolated.

    Parameters
    ----------
    optimizer : GradientDescent
        The coarsest; ``t_end`` a multiple of its step.
    problem, noise : Problem, Noise
        Of one dimension.
    x0, t_end : float
    interval : (low, high)
        Where the interpolants live. The drift must point inwards and outweigh the noise at both ends.
    order : {1, 2}
        Which SDE.
    test : callable
        Smooth test function, on arrays.
    levels : int
    nodes : int
        Of an interpolant.
    substeps : int
        Of the SDE's scheme in a step of the optimizer.

    Raises
    ------
    ValueError
        Another optimizer or dimension; a step that leaves the interval by more than a thousandth of it.
    """
    checks.instance("noise", noise, Noise, "a Noise, such as odeopt.stochastic.gaussian(0.1)")
    if not isinstance(optimizer, GradientDescent) or checked(problem).dim != 1:
        raise ValueError(f"optimizer must be GradientDescent on a problem of one dimension, got "
                         f"{checks.shown(optimizer)} and {checks.shown(problem)}")
    ends = tuple(checks.real("interval", end) for end in checks.entries("interval", interval))
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise ValueError(f"interval must be (low, high) with low < high, got {checks.shown(interval)}")
    (low, high), nodes = ends, checks.integer("nodes", nodes, 2, 10_000)
    t_end, levels = checks.positive("t_end", t_end), len(refinements(levels, 2.0, 2))
    substeps, start = checks.integer("substeps", substeps, 2), checks.real("x0", x0, low, high)
    checks.takes("test", test, "test(x)")
    x = 0.5 * (low + high) - 0.5 * (high - low) * np.cos(np.pi * np.arange(nodes) / (nodes - 1))
    steps = round(t_end / optimizer.h)
    if steps < 1 or abs(steps * optimizer.h - t_end) > 1e-9 * t_end:
        raise ValueError(f"t_end must be a multiple of the step h = {optimizer.h:.6g}, got {checks.shown(t_end)}")

    def operator(step, rule):
        total = 0.0
        for xi, weight in zip(*rule):
            y = np.array([step(point, xi) for point in x])
            if max(low - y.min(), y.max() - high) > 1e-3 * (high - low):
                raise ValueError(f"interval must hold every step, got one to {y[np.abs(y - x.mean()).argmax()]:.4g} "
                                 f"from inside [{low:g}, {high:g}]")
            total = total + weight * _interpolation(x, y)
        return total

    h, error, values = [], [], test(x)
    at = _interpolation(x, np.array([start]))[0]
    for level in range(levels):
        finer = optimizer.refined(2**level)
        equation, count = sde(finer, order), steps * 2**level

        def descend(point, xi, finer=finer):
            z, out = np.array([point]), np.empty(1)
            g = problem.grad(z)
            noise.kernel(z, np.array([xi]), out, noise.c)
            finer.kernel(0, finer.p, z, g + out, np.empty((0, 1)))
            return z[0]

        def expectation(sub, equation=equation, count=count, h=finer.h):
            step = operator(lambda point, xi: one_step(equation, problem, noise, [[point]], [xi], h / sub)[0, 0],
                            _hermite(3))
            return at @ np.linalg.matrix_power(step, count * sub) @ values

        coarse, fine = expectation(substeps // 2), expectation(substeps)
        exact = fine + (fine - coarse) / 3
        h.append(finer.h)
        error.append(abs(at @ np.linalg.matrix_power(operator(descend, _hermite(5)), count) @ values - exact))
    return WeakOrder(f"{_title(optimizer)} on {problem.name} with {noise.name} against its SDE of order {order}",
                     float(t_end), np.array(h), np.array(error))


def _hermite(points):
    """Nodes and weights with the moments of the standard normal law up to 2 points - 1; order 2 needs the fifth."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(points)
    return nodes, weights / weights.sum()


def _interpolation(x, y):
    """Matrix of barycentric interpolation from Chebyshev points ``x`` (second kind) to ``y``."""
    weights = (-1.0) ** np.arange(x.size)
    weights[[0, -1]] *= 0.5
    distance = y[:, None] - x[None]
    hit = distance == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = weights / distance
        matrix = terms / terms.sum(axis=1, keepdims=True)
    rows = hit.any(axis=1)
    matrix[rows] = hit[rows]
    return matrix
