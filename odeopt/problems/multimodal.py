"""Functions with many local minima: separable ones, Ackley's cone, and two of the plane."""

import math

import numpy as np

from .. import checks
from ..abi import kernel
from .base import Problem


def _square(half, dim):
    return ((-half, half), (-half, half)) if dim == 2 else None


@kernel
def _styblinski_tang_fg(x, g, data):
    f = 0.0
    for i in range(x.size):
        xi = x[i]
        q = xi * xi
        g[i] = xi * (2.0 * q - 16.0) + 2.5
        f += 0.5 * (q * (q - 16.0) + 5.0 * xi)
    return f


@kernel
def _styblinski_tang_hv(x, v, out, data):
    for i in range(x.size):
        out[i] = (6.0 * x[i] * x[i] - 16.0) * v[i]


def styblinski_tang(dim=2):
    """f(x) = 1/2 sum (x_i^4 - 16 x_i^2 + 5 x_i): 2^n minima, one global.

    Minimum -39.16616570377141 n at x_i = -2.903534027771177 (the lowest root of
    4 x^3 - 32 x + 5, in 40 digits); the other root with a minimum is 2.7468. Sources:
    M. A. Styblinski, T.-S. Tang, Neural Networks 3 (1990) 467; M. Jamil, X.-S. Yang,
    arXiv:1308.4008.
    """
    dim = checks.count("dim", dim)
    return Problem.from_kernels(
        "styblinski-tang", _styblinski_tang_fg, _styblinski_tang_hv, dim=dim,
        x0=np.resize((0.0, -1.0), dim), minima=(np.full(dim, -2.903534027771177),),
        f_min=-39.16616570377141 * dim, window=_square(5.0, dim), about=styblinski_tang.__doc__)


@kernel
def _rastrigin_fg(x, g, data):
    f = 0.0
    for i in range(x.size):
        xi = x[i]
        # 10 - 10 cos 2 pi x without the cancellation at the minimum
        f += xi * xi + 20.0 * math.sin(math.pi * xi) ** 2
        g[i] = 2.0 * xi + 20.0 * math.pi * math.sin(2.0 * math.pi * xi)
    return f


@kernel
def _rastrigin_hv(x, v, out, data):
    for i in range(x.size):
        out[i] = (2.0 + 40.0 * math.pi**2 * math.cos(2.0 * math.pi * x[i])) * v[i]


def rastrigin(dim=2):
    """f(x) = 10 n + sum (x_i^2 - 10 cos 2 pi x_i): a bowl under an egg box.

    Minimum 0 at the origin, a local minimum near every point of integers. The start lies in the
    basin of the global one; any other start measures luck. Source:
    S. Surjanovic, D. Bingham, Virtual Library of Simulation Experiments, "Rastrigin function".
    """
    dim = checks.count("dim", dim)
    return Problem.from_kernels(
        "rastrigin", _rastrigin_fg, _rastrigin_hv, dim=dim, x0=np.resize((0.45, -0.3), dim),
        minima=(np.zeros(dim),), f_min=0.0, window=_square(1.5, dim), about=rastrigin.__doc__)


@kernel
def _ackley_fg(x, g, data):
    n = x.size
    square, waves = 0.0, 0.0
    for i in range(n):
        square += x[i] * x[i]
        waves -= 2.0 * math.sin(math.pi * x[i]) ** 2  # cos 2 pi x - 1
    r = math.sqrt(square / n)
    waves /= n
    cone = 4.0 * math.exp(-0.2 * r) / (n * r) if r > 0.0 else 0.0  # 0: the subgradient at the tip
    bumps = 2.0 * math.pi * math.exp(1.0 + waves) / n
    for i in range(n):
        g[i] = cone * x[i] + bumps * math.sin(2.0 * math.pi * x[i])
    # expm1 twice: f is 0 at the tip and keeps its digits near it
    return -20.0 * math.expm1(-0.2 * r) - math.e * math.expm1(waves)


@kernel
def _ackley_hv(x, v, out, data):
    n = x.size
    square, waves, along, slope = 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        square += x[i] * x[i]
        waves -= 2.0 * math.sin(math.pi * x[i]) ** 2
        along += x[i] * v[i]
        slope += math.sin(2.0 * math.pi * x[i]) * v[i]
    r = math.sqrt(square / n)
    cone = 4.0 * math.exp(-0.2 * r) / (n * r)  # infinite at the tip, and the product NaN
    change = -cone * (0.2 + 1.0 / r) * along / (n * r)
    bumps = 2.0 * math.pi * math.exp(1.0 + waves / n) / n
    for i in range(n):
        angle = 2.0 * math.pi * x[i]
        wave = math.cos(angle) * v[i] - math.sin(angle) * slope / n
        out[i] = cone * v[i] + change * x[i] + 2.0 * math.pi * bumps * wave


def ackley(dim=2):
    """f(x) = 20 + e - 20 exp(-0.2 |x|/sqrt n) - exp(mean of cos 2 pi x_i): a cone on a wavy plain.

    Minimum 0 at the origin, **where f is not differentiable**: it rises like 4 |x|/sqrt n, so a
    constant step size never settles. There the gradient returned is the subgradient 0, and the
    Hessian product is NaN. The start lies in the basin of the origin. Sources: D. H. Ackley, A
    Connectionist Machine for Genetic Hillclimbing, 1987; S. Surjanovic, D. Bingham, Virtual Library
    of Simulation Experiments, "Ackley function".
    """
    dim = checks.count("dim", dim)
    return Problem.from_kernels(
        "ackley", _ackley_fg, _ackley_hv, dim=dim, x0=np.resize((0.4, -0.25), dim),
        minima=(np.zeros(dim),), f_min=0.0, window=_square(2.0, dim), about=ackley.__doc__)


# Levy's terms in u = (x - 1)/4, where w - 1 of the source is u: sin^2(pi w) = sin^2(pi u) and so
# on, which makes f exactly 0 at the minimum. Each returns (value, slope, curvature) in u.
@kernel
def _levy_head(u):
    a = 2.0 * math.pi * u
    return math.sin(0.5 * a) ** 2, math.pi * math.sin(a), 2.0 * math.pi**2 * math.cos(a)


@kernel
def _levy_link(u):
    q = math.pi * u + 1.0
    m = 1.0 + 10.0 * math.sin(q) ** 2
    dm = 10.0 * math.pi * math.sin(2.0 * q)
    ddm = 20.0 * math.pi**2 * math.cos(2.0 * q)
    return u * u * m, 2.0 * u * m + u * u * dm, 2.0 * m + 4.0 * u * dm + u * u * ddm


@kernel
def _levy_tail(u):
    m = 1.0 + math.sin(2.0 * math.pi * u) ** 2
    dm = 2.0 * math.pi * math.sin(4.0 * math.pi * u)
    ddm = 8.0 * math.pi**2 * math.cos(4.0 * math.pi * u)
    return u * u * m, 2.0 * u * m + u * u * dm, 2.0 * m + 4.0 * u * dm + u * u * ddm


@kernel
def _levy_fg(x, g, data):
    n = x.size
    f, slope, _ = _levy_head(0.25 * (x[0] - 1.0))
    for i in range(n):
        u = 0.25 * (x[i] - 1.0)
        fi, gi, _ = _levy_link(u) if i < n - 1 else _levy_tail(u)
        f += fi
        g[i] = 0.25 * gi
    g[0] += 0.25 * slope
    return f


@kernel
def _levy_hv(x, v, out, data):
    n = x.size
    for i in range(n):
        u = 0.25 * (x[i] - 1.0)
        _, _, h = _levy_link(u) if i < n - 1 else _levy_tail(u)
        out[i] = h * v[i] / 16.0
    _, _, h = _levy_head(0.25 * (x[0] - 1.0))
    out[0] += h * v[0] / 16.0


def levy(dim=2):
    """f = sin^2(pi w_1) + sum over i < n of u_i^2 (1 + 10 sin^2(pi w_i + 1)) + u_n^2 (1 + sin^2(2 pi w_n)).

    With u_i = (x_i - 1)/4, w_i = 1 + u_i. Minimum 0 at (1, ..., 1) among many local ones. Source:
    S. Surjanovic, D. Bingham, Virtual Library of Simulation Experiments, "Levy function".
    """
    dim = checks.count("dim", dim)
    return Problem.from_kernels(
        "levy", _levy_fg, _levy_hv, dim=dim, x0=np.append(np.full(dim - 1, -0.3), 4.0),
        minima=(np.ones(dim),), f_min=0.0, window=_square(6.0, dim), about=levy.__doc__)


@kernel
def _mccormick_fg(x, g, data):
    c = math.cos(x[0] + x[1])
    d = x[0] - x[1]
    g[0] = c + 2.0 * d - 1.5
    g[1] = c - 2.0 * d + 2.5
    return math.sin(x[0] + x[1]) + d * d - 1.5 * x[0] + 2.5 * x[1] + 1.0


@kernel
def _mccormick_hv(x, v, out, data):
    s = -math.sin(x[0] + x[1]) * (v[0] + v[1])
    d = 2.0 * (v[0] - v[1])
    out[0] = s + d
    out[1] = s - d


def mccormick():
    """f(x, y) = sin(x + y) + (x - y)^2 - 1.5 x + 2.5 y + 1: a rippled incline.

    Minimum -sqrt(3)/2 - pi/3 = -1.9132229549810364 at (1/2 - pi/3, -1/2 - pi/3), **global
    only in the usual box** -1.5 <= x <= 4, -3 <= y <= 4: f falls without bound as x + y does, and a
    local minimum follows every 2 pi. ``f_min`` is the box's. Source: M. Jamil, X.-S. Yang, arXiv:1308.4008.
    """
    third = math.pi / 3
    return Problem.from_kernels(
        "mccormick", _mccormick_fg, _mccormick_hv, dim=2, x0=(2.0, -2.0),
        minima=((0.5 - third, -0.5 - third),), f_min=-1.9132229549810364,
        window=((-1.5, 4.0), (-3.0, 4.0)), about=mccormick.__doc__)


@kernel
def _easom_fg(x, g, data):
    a, b = x[0] - math.pi, x[1] - math.pi
    e = math.exp(-a * a - b * b)
    p, q = math.cos(a), math.cos(b)  # cos x cos y = cos a cos b
    g[0] = e * q * (math.sin(a) + 2.0 * a * p)
    g[1] = e * p * (math.sin(b) + 2.0 * b * q)
    return -e * p * q


@kernel
def _easom_hv(x, v, out, data):
    a, b = x[0] - math.pi, x[1] - math.pi
    e = math.exp(-a * a - b * b)
    p, q = math.cos(a), math.cos(b)
    da, db = math.sin(a) + 2.0 * a * p, math.sin(b) + 2.0 * b * q
    haa = e * q * (p * (3.0 - 4.0 * a * a) - 4.0 * a * math.sin(a))
    hbb = e * p * (q * (3.0 - 4.0 * b * b) - 4.0 * b * math.sin(b))
    hab = -e * da * db
    out[0] = haa * v[0] + hab * v[1]
    out[1] = hab * v[0] + hbb * v[1]


def easom():
    """f(x, y) = -cos x cos y exp(-(x - pi)^2 - (y - pi)^2): a needle's hole in a flat plain.

    Minimum -1 at (pi, pi); three units away the gradient is below 10^-3 and says little, so the
    start is on the slope. Sources: E. E. Easom, M. Eng. thesis, University of Louisville, 1990;
    M. Jamil, X.-S. Yang, arXiv:1308.4008.
    """
    return Problem.from_kernels(
        "easom", _easom_fg, _easom_hv, dim=2, x0=(2.2, 4.0), minima=((math.pi, math.pi),),
        f_min=-1.0, window=((1.0, 5.3), (1.0, 5.3)), about=easom.__doc__)
