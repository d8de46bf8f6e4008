"""Derivatives of a problem, counted; Hessian products also where it has none."""

import numpy as np

from ...problems import Problem
from ...problems.base import DENSE_LIMIT

DIFFERENCED = "Hessian products by differences of gradients"


class Counted:
    """A problem whose evaluations are counted, in gradients: a Hessian product counts as two."""

    def __init__(self, problem: Problem):
        self.problem, self.dim, self.count = problem, problem.dim, 0

    def grad(self, x):
        """The gradient."""
        self.count += 1
        return self.problem.grad(x)

    def hessp(self, x, v):
        """The Hessian product, by differences of the gradient where the problem has none."""
        self.count += 2
        if self.problem.has_hessian:
            return self.problem.hessp(x, v)
        size = np.linalg.norm(v)
        h = 6e-6 * (1 + np.linalg.norm(x)) / size if size > 0 else 1.0
        return (self.problem.grad(x + h * v) - self.problem.grad(x - h * v)) / (2 * h)

    def hess(self, x):
        """The dense Hessian (n, n); ValueError where n is too large for one."""
        if self.problem.has_hessian or self.dim > DENSE_LIMIT:
            return self.problem.hess(x)
        h = np.array([self.hessp(x, unit) for unit in np.eye(self.dim)])
        return 0.5 * (h + h.T)
