"""Convex problems that are not quadratic."""

import math

import numpy as np

from .. import checks
from ..abi import kernel
from .base import Problem


@kernel
def _log_cosh(u):
    # cosh u = 1 + 2 sinh^2(u/2) keeps all digits at small u; the other form never overflows.
    if abs(u) < 1.0:
        return math.log1p(2.0 * math.sinh(0.5 * u) ** 2)
    return abs(u) + math.log1p(math.exp(-2.0 * abs(u))) - math.log(2.0)


@kernel
def _log_cosh_fg(x, g, data):
    a, b, c, s = data[0], data[1], data[2], data[3]
    u, v = c * x[0] + s * x[1], -s * x[0] + c * x[1]
    gu, gv = a * math.tanh(u), b * math.tanh(v)
    g[0] = c * gu - s * gv
    g[1] = s * gu + c * gv
    return a * _log_cosh(u) + b * _log_cosh(v)


@kernel
def _squared_sech(u):
    e = math.exp(-2.0 * abs(u))
    return 4.0 * e / (1.0 + e) ** 2


@kernel
def _log_cosh_hv(x, v, out, data):
    a, b, c, s = data[0], data[1], data[2], data[3]
    p = a * _squared_sech(c * x[0] + s * x[1]) * (c * v[0] + s * v[1])
    q = b * _squared_sech(-s * x[0] + c * x[1]) * (-s * v[0] + c * v[1])
    out[0] = c * p - s * q
    out[1] = s * p + c * q


def log_cosh_valley(condition=100.0, angle=math.pi / 6):
    """f = log cosh u + condition * log cosh v in axes (u, v) turned by ``angle``: a curved-off valley.

    Convex, quadratic only near the minimum 0 at the origin (curvatures 1 and ``condition``), linear
    far away, where the curvature vanishes: a step size that is right at the minimum is needlessly
    small outside. Not strongly convex on the plane. The package's own.
    """
    condition = checks.real("condition", condition, 0.0, open_low=True)
    angle = checks.real("angle", angle)
    return Problem.from_kernels(
        "log-cosh-valley", _log_cosh_fg, _log_cosh_hv, dim=2, x0=(2.5, -1.0),
        data=(1.0, condition, math.cos(angle), math.sin(angle)), minima=((0.0, 0.0),), f_min=0.0,
        window=((-3.0, 3.0), (-2.5, 2.5)), convex=True, about=log_cosh_valley.__doc__)


@kernel
def _quartic_fg(x, g, data):
    f = 0.0
    for i in range(x.size):
        xi = x[i]
        g[i] = xi * xi * xi
        f += 0.25 * xi * xi * xi * xi
    return f


@kernel
def _quartic_hv(x, v, out, data):
    for i in range(x.size):
        out[i] = 3.0 * x[i] * x[i] * v[i]


def quartic(dim=1):
    """f(x) = 1/4 sum x_i^4: convex with a vanishing Hessian at the minimum 0 at the origin.

    The gradient flow is known in closed form, x_i(t) = x_i(0) / sqrt(1 + 2 x_i(0)^2 t), so
    everything converges sublinearly. Source: the textbook example of a degenerate minimum.
    """
    dim = checks.count("dim", dim)
    return Problem.from_kernels(
        "quartic", _quartic_fg, _quartic_hv, dim=dim, x0=np.resize((1.0, -0.5), dim),
        minima=(np.zeros(dim),), f_min=0.0, convex=True, about=quartic.__doc__,
        window=((-1.3, 1.3), (-1.3, 1.3)) if dim == 2 else None)


@kernel
def _sine_bowl_fg(x, g, data):
    u, v = x[0], x[1]
    g[0] = 3.0 * u + 0.7 * v + 0.5 * math.cos(u)
    g[1] = 0.7 * u + v + 0.5 * math.cos(v)
    return 0.5 * (3.0 * u * u + 1.4 * u * v + v * v) + 0.5 * (math.sin(u) + math.sin(v))


@kernel
def _sine_bowl_hv(x, v, out, data):
    out[0] = (3.0 - 0.5 * math.sin(x[0])) * v[0] + 0.7 * v[1]
    out[1] = 0.7 * v[0] + (1.0 - 0.5 * math.sin(x[1])) * v[1]


def sine_bowl():
    """f(x) = 1/2 x'Ax + 1/2 (sin x_1 + sin x_2), A = [[3, 0.7], [0.7, 1]]: for measuring orders.

    Strongly convex (the smallest eigenvalue of A is 0.779, the sines take at most 0.5), smooth
    with derivatives of every order bounded and none zero: error constants are of size one and no
    symmetry hides a term. Minimum -0.1227869543464332 at (-0.0707736882, -0.4091817560), by
    Newton's method in 40 digits. The package's own.
    """
    return Problem.from_kernels(
        "sine-bowl", _sine_bowl_fg, _sine_bowl_hv, dim=2, x0=(1.5, -1.0),
        minima=((-0.07077368822936761, -0.4091817559721525),), f_min=-0.12278695434643318,
        window=((-2.0, 2.0), (-2.0, 2.0)), convex=True, about=sine_bowl.__doc__)
