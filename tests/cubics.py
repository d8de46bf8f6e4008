"""Cubics of which every derivative at a place is given, and what the flows at the edge of stability say there."""

import itertools

import numpy as np

import odeopt as oo
from odeopt.studies.stability.averaged import Averaged
from odeopt.studies.stability.theories import THEORIES

X0 = np.array([0.3, -0.7, 1.1, 0.4])
METHODS = {  # what the method divides by in its average motion, its limit in these units, the rate of its memory
    "gradient descent": (oo.GradientDescent(0.13), lambda v: np.full(4, 1 / 0.13), 2.0, 0.0),
    "momentum": (oo.Momentum(0.13, momentum=0.6), lambda v: np.full(4, 0.4 / 0.13), 2 * 1.6 / 0.4, 0.0),
    "RMSprop": (oo.RMSprop(0.07, decay=0.8, eps=0.02), lambda v: np.sqrt(v + 0.02) / 0.07, 2.0, 0.25),
    "scalar RMSprop": (oo.RMSprop(0.07, decay=0.8, eps=0.02, form="scalar"),
                       lambda v: np.full(4, np.sqrt(v[0] + 0.02) / 0.07), 2.0, 0.25),
    "Adam": (oo.Adam(0.07, beta1=0.6, beta2=0.75, eps=0.02), lambda v: (np.sqrt(v) + 0.02) / 0.07, 2 * 1.6 / 0.4,
             1 / 3),
}


def cubic(g, h, third):
    """f with gradient g and Hessian h at X0, and this third derivative."""
    return oo.Problem(
        lambda w: float(g @ (w - X0) + (w - X0) @ h @ (w - X0) / 2 + (third @ (w - X0) @ (w - X0)) @ (w - X0) / 6),
        lambda w: g + h @ (w - X0) + third @ (w - X0) @ (w - X0) / 2, lambda w: h + third @ (w - X0), x0=X0)


def symmetric(t):
    return sum(t.transpose(order) for order in itertools.permutations(range(3))) / 6


def critical(name, eigenvalues, seed):
    """``(optimizer, problem, v, p, u, limit, rate, third)`` where P(v)^-1 H has these eigenvalues, in the limit's
    unit, with vectors u of which the first two lie across the gradient."""
    optimizer, divisor, limit, rate = METHODS[name]
    rng = np.random.default_rng(seed)
    g, v = rng.standard_normal(4), rng.uniform(0.5, 2.0, 1 if "scalar" in name else 4)
    p = divisor(v)
    q, _ = np.linalg.qr(np.column_stack([g / np.sqrt(p), rng.standard_normal((4, 3))]))
    q = q[:, [2, 3, 1, 0]]
    h = np.sqrt(p)[:, None] * (q * (limit * np.array(eigenvalues))) @ q.T * np.sqrt(p)
    third = 3.0 * symmetric(rng.standard_normal((4, 4, 4)))
    if seed % 2:  # both eigenvalues want to rise
        third -= symmetric(60 / (g @ (g / p)) * np.multiply.outer(np.diag(p), g))
    v = np.zeros(0) if rate == 0.0 else v
    return optimizer, cubic(g, 0.5 * (h + h.T), third), v, p, q / np.sqrt(p)[:, None], limit, rate, third


def followed(name, optimizer, problem, v, directions):
    flow = THEORIES[name](Averaged(optimizer, problem, X0), X0, directions)
    flow.y = np.concatenate([X0, v])
    flow.look()
    return flow
