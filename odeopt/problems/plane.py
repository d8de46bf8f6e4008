"""Polynomials of two variables: curved valleys, several minima, degenerate saddles."""

from ..abi import kernel
from .base import Problem


@kernel
def _beale_fg(x, g, data):
    u, v = x[0], x[1]
    v2 = v * v
    v3 = v2 * v
    r1, r2, r3 = 1.5 - u + u * v, 2.25 - u + u * v2, 2.625 - u + u * v3
    g[0] = 2.0 * (r1 * (v - 1.0) + r2 * (v2 - 1.0) + r3 * (v3 - 1.0))
    g[1] = 2.0 * u * (r1 + 2.0 * r2 * v + 3.0 * r3 * v2)
    return r1 * r1 + r2 * r2 + r3 * r3


@kernel
def _beale_hv(x, v, out, data):
    u, w = x[0], x[1]
    w2 = w * w
    w3 = w2 * w
    r1, r2, r3 = 1.5 - u + u * w, 2.25 - u + u * w2, 2.625 - u + u * w3
    a1, a2, a3 = w - 1.0, w2 - 1.0, w3 - 1.0  # dr/du
    b1, b2, b3 = u, 2.0 * u * w, 3.0 * u * w2  # dr/dw
    huu = 2.0 * (a1 * a1 + a2 * a2 + a3 * a3)
    huw = 2.0 * (a1 * b1 + r1 + a2 * b2 + 2.0 * r2 * w + a3 * b3 + 3.0 * r3 * w2)
    hww = 2.0 * (b1 * b1 + b2 * b2 + 2.0 * r2 * u + b3 * b3 + 6.0 * r3 * u * w)
    out[0] = huu * v[0] + huw * v[1]
    out[1] = huw * v[0] + hww * v[1]


def beale():
    """f(x, y) = (1.5 - x + xy)^2 + (2.25 - x + xy^2)^2 + (2.625 - x + xy^3)^2.

    A flat valley that bends into its minimum 0 at (3, 0.5), with steep walls and a ridge at y = 1.
    The start is (1, 1.2). The start (1, 1) that is usually taken lies on the ridge, where
    df/dx = 0 exactly: flows that divide by a root mean square of the gradient start singular
    there, and Adam's order drops to 0.91. Sources: J. J. More, B. S. Garbow, K. E. Hillstrom,
    ACM TOMS 7 (1981) 17, problem 5; M. Jamil, X.-S. Yang, arXiv:1308.4008.
    """
    return Problem.from_kernels(
        "beale", _beale_fg, _beale_hv, dim=2, x0=(1.0, 1.2), minima=((3.0, 0.5),), f_min=0.0,
        window=((-0.5, 4.0), (-1.5, 1.5)), about=beale.__doc__)


@kernel
def _himmelblau_fg(x, g, data):
    a = x[0] * x[0] + x[1] - 11.0
    b = x[0] + x[1] * x[1] - 7.0
    g[0] = 4.0 * x[0] * a + 2.0 * b
    g[1] = 2.0 * a + 4.0 * x[1] * b
    return a * a + b * b


@kernel
def _himmelblau_hv(x, v, out, data):
    cross = 4.0 * (x[0] + x[1])
    out[0] = (12.0 * x[0] * x[0] + 4.0 * x[1] - 42.0) * v[0] + cross * v[1]
    out[1] = cross * v[0] + (12.0 * x[1] * x[1] + 4.0 * x[0] - 26.0) * v[1]


def himmelblau():
    """f(x, y) = (x^2 + y - 11)^2 + (x + y^2 - 7)^2: four minima of equal value 0.

    At (3, 2), (-2.805118, 3.131313), (-3.779310, -3.283186) and (3.584428, -1.848127), here by
    Newton's method in 40 digits. Sources: D. M. Himmelblau, Applied Nonlinear Programming, 1972;
    M. Jamil, X.-S. Yang, arXiv:1308.4008.
    """
    return Problem.from_kernels(
        "himmelblau", _himmelblau_fg, _himmelblau_hv, dim=2, x0=(-0.5, -0.5), f_min=0.0,
        minima=((3.0, 2.0), (-2.805118086952745, 3.131312518250573),
                (-3.779310253377747, -3.2831859912861696), (3.5844283403304917, -1.8481265269644036)),
        window=((-5.0, 5.0), (-5.0, 5.0)), about=himmelblau.__doc__)


# Goldstein and Price's function is U(s) V(r) with s = x + y, r = 2x - 3y. In these variables
# U' = 12 (s + 1)(s - 1)(s - 2) and V' = 12 r (r - 1)(r - 3), which also shows its critical points.
@kernel
def _goldstein_price_factors(s, r):
    u = 1.0 + (s + 1.0) ** 2 * (19.0 - 14.0 * s + 3.0 * s * s)
    v = 30.0 + r * r * (18.0 - 16.0 * r + 3.0 * r * r)
    return u, 12.0 * (s + 1.0) * (s - 1.0) * (s - 2.0), v, 12.0 * r * (r - 1.0) * (r - 3.0)


@kernel
def _goldstein_price_fg(x, g, data):
    u, du, v, dv = _goldstein_price_factors(x[0] + x[1], 2.0 * x[0] - 3.0 * x[1])
    g[0] = du * v + 2.0 * u * dv
    g[1] = du * v - 3.0 * u * dv
    return u * v


@kernel
def _goldstein_price_hv(x, v, out, data):
    s, r = x[0] + x[1], 2.0 * x[0] - 3.0 * x[1]
    u, du, w, dw = _goldstein_price_factors(s, r)
    hss = 12.0 * (3.0 * s * s - 4.0 * s - 1.0) * w
    hrr = 12.0 * (3.0 * r * r - 8.0 * r + 3.0) * u
    hsr = du * dw
    vs, vr = v[0] + v[1], 2.0 * v[0] - 3.0 * v[1]
    os, orr = hss * vs + hsr * vr, hsr * vs + hrr * vr
    out[0] = os + 2.0 * orr
    out[1] = os - 3.0 * orr


def goldstein_price():
    """f(x, y) = U(x + y) V(2x - 3y), U = 1 + (s + 1)^2 (19 - 14 s + 3 s^2), V = 30 + r^2 (18 - 16 r + 3 r^2).

    Values from 3 to a million in the usual square |x|, |y| <= 2: hard on methods with one step size.
    Minimum 3 at (0, -1); further local ones at (1.2, 0.8), (1.8, 0.2) and (-0.6, -0.4). Sources:
    A. A. Goldstein, J. F. Price, Math. Comp. 25 (1971) 569; M. Jamil, X.-S. Yang,
    arXiv:1308.4008 (there multiplied out).
    """
    return Problem.from_kernels(
        "goldstein-price", _goldstein_price_fg, _goldstein_price_hv, dim=2, x0=(-0.5, -1.2),
        minima=((0.0, -1.0),), f_min=3.0, window=((-1.5, 1.5), (-2.0, 1.0)),
        about=goldstein_price.__doc__)


@kernel
def _three_hump_camel_fg(x, g, data):
    a = x[0] * x[0]
    g[0] = x[0] * (4.0 - 4.2 * a + a * a) + x[1]
    g[1] = x[0] + 2.0 * x[1]
    return a * (2.0 - 1.05 * a + a * a / 6.0) + x[0] * x[1] + x[1] * x[1]


@kernel
def _three_hump_camel_hv(x, v, out, data):
    a = x[0] * x[0]
    out[0] = (4.0 - 12.6 * a + 5.0 * a * a) * v[0] + v[1]
    out[1] = v[0] + 2.0 * v[1]


def three_hump_camel():
    """f(x, y) = 2 x^2 - 1.05 x^4 + x^6/6 + xy + y^2: one global and two local minima.

    Minimum 0 at the origin; the local ones near +-(1.7476, -0.8738) with value 0.2986. Source:
    M. Jamil, X.-S. Yang, arXiv:1308.4008.
    """
    return Problem.from_kernels(
        "three-hump-camel", _three_hump_camel_fg, _three_hump_camel_hv, dim=2, x0=(-0.8, 1.8),
        minima=((0.0, 0.0),), f_min=0.0, window=((-2.5, 2.5), (-2.5, 2.5)),
        about=three_hump_camel.__doc__)


@kernel
def _six_hump_camel_fg(x, g, data):
    a, b = x[0] * x[0], x[1] * x[1]
    g[0] = x[0] * (8.0 - 8.4 * a + 2.0 * a * a) + x[1]
    g[1] = x[0] + x[1] * (16.0 * b - 8.0)
    return a * (4.0 - 2.1 * a + a * a / 3.0) + x[0] * x[1] + 4.0 * b * (b - 1.0)


@kernel
def _six_hump_camel_hv(x, v, out, data):
    a, b = x[0] * x[0], x[1] * x[1]
    out[0] = (8.0 - 25.2 * a + 10.0 * a * a) * v[0] + v[1]
    out[1] = v[0] + (48.0 * b - 8.0) * v[1]


def six_hump_camel():
    """f(x, y) = (4 - 2.1 x^2 + x^4/3) x^2 + xy + 4 (y^2 - 1) y^2: six minima, two of them global.

    Minimum -1.0316284534898774 at +-(0.0898420131, -0.7126564030), here by Newton's method in 40
    digits. Sources: L. C. W. Dixon, G. P. Szego, Towards Global Optimization 2, 1978; M. Jamil,
    X.-S. Yang, arXiv:1308.4008.
    """
    a, b = 0.08984201310031806, 0.7126564030207396
    return Problem.from_kernels(
        "six-hump-camel", _six_hump_camel_fg, _six_hump_camel_hv, dim=2, x0=(0.9, 0.5),
        minima=((a, -b), (-a, b)), f_min=-1.0316284534898774,
        window=((-2.0, 2.0), (-1.2, 1.2)), about=six_hump_camel.__doc__)


@kernel
def _monkey_saddle_fg(x, g, data):
    a, b = x[0], x[1]
    g[0] = 3.0 * (a * a - b * b)
    g[1] = -6.0 * a * b
    return a * (a * a - 3.0 * b * b)


@kernel
def _monkey_saddle_hv(x, v, out, data):
    out[0] = 6.0 * (x[0] * v[0] - x[1] * v[1])
    out[1] = -6.0 * (x[1] * v[0] + x[0] * v[1])


def monkey_saddle():
    """f(x, y) = x^3 - 3 x y^2, the real part of (x + iy)^3: three valleys meet at a flat saddle.

    At the origin gradient and Hessian vanish; f is unbounded below, and the gradient flow reaches
    infinity in finite time. No minima, ``f_min`` is None. Source: D. Hilbert, S. Cohn-Vossen,
    Geometry and the Imagination, 1952.
    """
    return Problem.from_kernels(
        "monkey-saddle", _monkey_saddle_fg, _monkey_saddle_hv, dim=2, x0=(1.0, 0.02),
        window=((-1.5, 1.5), (-1.5, 1.5)), about=monkey_saddle.__doc__)
