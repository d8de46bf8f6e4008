"""Explicit Runge-Kutta schemes from their Butcher tableau, with or without an embedded estimate.

    k_i = F(t + c_i h, z + h sum_{j<i} a_ij k_j)
    z  <- z + h sum_i b_i k_i
    error estimate = h sum_i (b_i - bhat_i) k_i

One kernel serves them all: the tableau travels in the scheme's constants. Orders are classical;
a test measures each of them. Heun is Heun's second-order method (explicit trapezoidal rule);
Heun-Euler embeds explicit Euler in it, so its error estimate is (h/2)|F(z + hF) - F(z)|, on
gradient flow (h^2/2)|H g| to leading order: the true local error of gradient descent.

Sources: Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, tables II.1.1, II.1.2;
Dormand, Prince (1980), the tableau of scipy's RK45.
"""

import numpy as np

from .. import checks
from ..abi import kernel
from ..spec import factory
from .base import Scheme


@kernel
def step(rhs, fg, hv, data, p, t, h, z, w):
    """Workspace: the error estimate, one stage state, then the stages k_i."""
    rows, n = z.shape
    stages = int(p[-1])
    a = p.size - 1 - stages * (stages + 2)  # where the tableau starts in p
    b = a + stages * stages
    e = b + stages
    stage = w[rows : 2 * rows]
    for i in range(stages):
        c = 0.0
        stage[:] = z
        for m in range(i):
            a_im = p[a + i * stages + m]
            c += a_im
            if a_im != 0.0:
                k = w[(2 + m) * rows : (3 + m) * rows]
                for j in range(rows):
                    for l in range(n):
                        stage[j, l] = stage[j, l] + h * a_im * k[j, l]
        rhs(fg, hv, data, t + c * h, p, stage, w[(2 + i) * rows : (3 + i) * rows])
    total = 0.0
    for j in range(rows):
        for l in range(n):
            change, error = 0.0, 0.0
            for m in range(stages):
                k_m = w[(2 + m) * rows + j, l]
                change += p[b + m] * k_m
                error += p[e + m] * k_m
            z[j, l] = z[j, l] + h * change
            w[j, l] = h * error
            total += w[j, l] * w[j, l]
    return np.sqrt(total)


@factory
def explicit_runge_kutta(name, a, b, b_hat=None, *, order, embedded_order=0):
    """A scheme from its tableau: ``a`` (s, s) strictly lower triangular, ``b`` and ``b_hat`` (s,).

    The nodes are the sums of the rows of ``a``. ValueError where the shapes do not agree, ``a`` is not strictly
    lower triangular, or the weights do not satisfy the order conditions of ``order`` (``b_hat``: those of
    ``embedded_order``), which are looked at up to order 4.
    """
    b = checks.point("b", b)
    stages = b.size
    a = checks.array("a", a, (stages, stages))
    if np.triu(a).any():
        raise ValueError(f"a must be strictly lower triangular ({stages}, {stages})")
    order, embedded_order = checks.integer("order", order, 1), checks.integer("embedded_order", embedded_order)
    _check_order("b", a, b, order)
    if (b_hat is None) != (embedded_order == 0):
        raise ValueError(f"b_hat and embedded_order must be given together, got order {embedded_order}")
    b_hat = b if b_hat is None else checks.point("b_hat", b_hat, stages)
    if embedded_order:
        _check_order("b_hat", a, b_hat, embedded_order)
    constants = (*a.ravel(), *b, *(b - b_hat), float(stages))
    return Scheme(name, step, order, stages, work=lambda rows: (2 + stages) * rows,
                  embedded_order=embedded_order, constants=constants)


def _check_order(name, a, weights, order):
    """ValueError unless the tableau satisfies the conditions of ``order``, one for each rooted tree (to order 4)."""
    c = a.sum(axis=1)
    conditions = (
        (1, "sum b", np.ones_like(c), 1), (2, "b c", c, 1 / 2), (3, "b c^2", c**2, 1 / 3), (3, "b A c", a @ c, 1 / 6),
        (4, "b c^3", c**3, 1 / 4), (4, "b (c A c)", c * (a @ c), 1 / 8), (4, "b A c^2", a @ c**2, 1 / 12),
        (4, "b A A c", a @ a @ c, 1 / 24),
    )
    for least, words, column, right in conditions:
        value = weights @ column
        if least <= order and not abs(value - right) <= 1e-12 * (1 + np.abs(weights) @ np.abs(column)):
            if least == 1:
                raise ValueError(f"{name} must sum to 1, got {value:.6g}")
            raise ValueError(f"{name} must satisfy {words.replace('b', name, 1)} = {right:.6g} for order {order}, "
                             f"got {value:.6g}")


heun = explicit_runge_kutta("Heun", [[0, 0], [1, 0]], [1 / 2, 1 / 2], order=2)
heun_euler = explicit_runge_kutta("Heun–Euler 2(1)", [[0, 0], [1, 0]], [1 / 2, 1 / 2], [1, 0],
                                  order=2, embedded_order=1)
rk4 = explicit_runge_kutta(
    "RK4",
    [[0, 0, 0, 0], [1 / 2, 0, 0, 0], [0, 1 / 2, 0, 0], [0, 0, 1, 0]],
    [1 / 6, 1 / 3, 1 / 3, 1 / 6],
    order=4,
)
dormand_prince = explicit_runge_kutta(
    "Dormand–Prince 5(4)",
    [
        [0, 0, 0, 0, 0, 0, 0],
        [1 / 5, 0, 0, 0, 0, 0, 0],
        [3 / 40, 9 / 40, 0, 0, 0, 0, 0],
        [44 / 45, -56 / 15, 32 / 9, 0, 0, 0, 0],
        [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0, 0, 0],
        [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0, 0],
        [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0],
    ],
    [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0],
    [5179 / 57600, 0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40],
    order=5,
    embedded_order=4,
)
