"""Scale-invariant losses f(c w) = f(w), c > 0: what normalisation layers make of a network.

Each is an inner loss h at the normalised point v = r w/|w| (for two layers each layer on its own
sphere), with gradient (r/|w|) (I - u u') grad h(v), u = w/|w|, and the exact Hessian product. So
<grad f, w> = 0, grad f(c w) = grad f(w)/c, H(c w) = H(w)/c^2: the loss is not smooth at the
origin, and at w = 0 the kernels return NaN, not a number that would hide it.
"""

import math

import numpy as np

from .. import checks
from ..abi import kernel
from .base import Problem
from .classifier import DigitsModel
from .digits import CLASSES, pack
from .logistic import _fg as _logistic_fg
from .logistic import _fgb as _logistic_fgb
from .logistic import _hv as _logistic_hv
from .mlp import _fg as _mlp_fg
from .mlp import _fgb as _mlp_fgb
from .mlp import _hv as _mlp_hv


@kernel
def _dot(a, b):
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@kernel
def _normalise(w, radius, v):
    """v = radius w/|w|; returns |w|."""
    norm = math.sqrt(_dot(w, w))
    for i in range(w.size):
        v[i] = radius * (w[i] / norm)
    return norm


@kernel
def _pull_back(w, norm, radius, g):
    """g = grad h(v) becomes (radius/|w|) (I - u u') g."""
    along = _dot(w, g) / norm
    for i in range(w.size):
        g[i] = radius / norm * (g[i] - along * (w[i] / norm))


@kernel
def _push_forward(w, norm, radius, d, out):
    """The change of v that the change ``d`` of w makes: (radius/|w|) (I - u u') d."""
    for i in range(w.size):
        out[i] = d[i]
    _pull_back(w, norm, radius, out)


@kernel
def _hessian_back(w, norm, radius, d, a, ra):
    """From a = grad h(v) and ra = its change along d: ra becomes the change of the gradient.

    The derivative of (radius/|w|) (I - u u') a along d, term by term, with u' = (I - u u') d/|w|.
    """
    along_d = _dot(w, d) / norm
    along_a = _dot(w, a) / norm
    along_ra = _dot(w, ra) / norm
    turn_a = 0.0  # <u', a>
    for i in range(w.size):
        turn_a += (d[i] - along_d * (w[i] / norm)) / norm * a[i]
    for i in range(w.size):
        u = w[i] / norm
        turn = (d[i] - along_d * u) / norm
        ra[i] = radius / norm * ((ra[i] - along_ra * u) - along_d / norm * (a[i] - along_a * u)
                                 - turn * along_a - u * turn_a)


# Rayleigh quotient: data = (eigenvalues) ------------------------------------------------------------

@kernel
def _rayleigh_fg(x, g, data):
    square, f = _dot(x, x), 0.0
    for i in range(x.size):
        f += 0.5 * data[i] * x[i] * x[i]
    f /= square
    for i in range(x.size):
        g[i] = (data[i] - 2.0 * f) * x[i] / square
    return f


@kernel
def _rayleigh_hv(x, v, out, data):
    square, f, xv, xav = _dot(x, x), 0.0, _dot(x, v), 0.0
    for i in range(x.size):
        f += 0.5 * data[i] * x[i] * x[i]
        xav += data[i] * x[i] * v[i]
    f /= square
    df = (xav - 2.0 * f * xv) / square
    for i in range(x.size):
        b = data[i] - 2.0 * f
        out[i] = (b * v[i] - 2.0 * df * x[i] - 2.0 * b * x[i] * xv / square) / square


def rayleigh(eigenvalues=(2.0, 0.0), *, x0=None):
    """f(w) = (1/2) w'Aw/|w|^2, A = diag(eigenvalues): the quadratic on the sphere.

    The default is x^2/(x^2 + y^2), the toy loss on which gradient descent with weight decay is
    unstable at any learning rate: its minimisers are the y-axis, where the gradient vanishes and
    decay takes |w| towards the origin, where curvature grows as 1/|w|^2. Minima: the eigenvectors
    of the smallest eigenvalue at every length; the one listed has length 1. Sources: [A002];
    Li, Lyu, Arora, arXiv:2010.02916.
    """
    eigenvalues = checks.point("eigenvalues", eigenvalues)
    n = eigenvalues.size
    if n < 2:
        raise ValueError(f"eigenvalues must be at least 2 numbers, got {n}")
    minimum = np.zeros(n)
    minimum[np.argmin(eigenvalues)] = 1.0
    return Problem.from_kernels(
        "rayleigh", _rayleigh_fg, _rayleigh_hv, dim=n, x0=_start(x0, n), data=eigenvalues, minima=(minimum,),
        f_min=0.5 * float(eigenvalues.min()), about=rayleigh.__doc__,
        window=((-1.5, 1.5), (-1.5, 1.5)) if n == 2 else None)


def _start(x0, n):
    x0 = np.ones(n) if x0 is None else checks.point("x0", x0, n)
    if not np.any(x0):
        raise ValueError("x0 must not be 0, where a scale-invariant loss is not defined")
    with np.errstate(over="ignore", under="ignore"):
        square = x0 @ x0
    if not 0.0 < square < np.inf:
        raise ValueError(f"x0 must have a length whose square float64 holds, got {checks.shown(x0)}")
    return x0


# The angle: data = (c) ------------------------------------------------------------------------------

@kernel
def _angle_fg(x, g, data):
    square = x[0] * x[0] + x[1] * x[1]
    g[0], g[1] = -data[0] * x[1] / square, data[0] * x[0] / square
    # atan2(0, 0) is 0 by convention, which would hide the singular point.
    return data[0] * math.atan2(x[1], x[0]) if square > 0.0 else np.nan


@kernel
def _angle_hv(x, v, out, data):
    a, b = x[0], x[1]
    square = a * a + b * b
    scale = data[0] / (square * square)
    out[0] = scale * (2.0 * a * b * v[0] + (b * b - a * a) * v[1])
    out[1] = scale * ((b * b - a * a) * v[0] - 2.0 * a * b * v[1])


def angle(c=1.0, *, x0=(1.0, 0.0)):
    """f(w) = c arg(w) in the plane: a scale-invariant loss whose gradient has the norm c/|w| everywhere.

    It realises exactly what the theory of the intrinsic learning rate assumes: with weight decay
    |w|^2 =: n obeys n' = (1 - lr wd)^2 n + lr^2 c^2/n, with the equilibrium
    n*^2 = lr c^2/(wd (2 - lr wd)) and the angle arctan sqrt((1 - lr wd)^-2 - 1) per step. f jumps by 2 pi c
    across the negative x-axis, its gradient does not; no minima. Source: Li, Lyu, Arora,
    arXiv:2010.02916 (the norm recursion).
    """
    c = checks.real("c", c)
    return Problem.from_kernels("angle", _angle_fg, _angle_hv, dim=2, x0=_start(x0, 2), data=[c],
                                about=angle.__doc__, window=((-1.5, 1.5), (-1.5, 1.5)))


# Digits, one normalised layer: data = (packed digits, radius) -------------------------------------

@kernel
def _linear_fg(x, g, data):
    v = np.empty(x.size)
    radius = data[data.size - 1]
    norm = _normalise(x, radius, v)
    f = _logistic_fg(v, g, data)
    _pull_back(x, norm, radius, g)
    return f


@kernel
def _linear_fgb(x, g, data, batch):
    v = np.empty(x.size)
    radius = data[data.size - 1]
    norm = _normalise(x, radius, v)
    f = _logistic_fgb(v, g, data, batch)
    _pull_back(x, norm, radius, g)
    return f


@kernel
def _linear_hv(x, d, out, data):
    v, dv, a = np.empty(x.size), np.empty(x.size), np.empty(x.size)
    radius = data[data.size - 1]
    norm = _normalise(x, radius, v)
    _logistic_fg(v, a, data)
    _push_forward(x, norm, radius, d, dv)
    _logistic_hv(v, dv, out, data)
    _hessian_back(x, norm, radius, d, a, out)


def normalized_logistic(radius=20.0, part="train", seed=0):
    """Multinomial logistic regression on the digits at the weights radius w/|w|, n = 650.

    A scale-invariant finite sum (1,442 images of ``part`` "train"), convex in the normalised
    weights but not in w. ``radius`` is the norm of the weights that the model sees. The start is
    standard normal from ``seed``. Images and layout as in ``digits_logistic``.
    """
    samples, data = pack(part, 0.0)
    dim = (int(data[1]) + 1) * CLASSES
    x0 = np.random.default_rng(checks.integer("seed", seed, high=None)).standard_normal(dim)
    radius = checks.real("radius", radius, 0.0, open_low=True)
    return Problem.from_kernels(
        "normalized-logistic", _linear_fg, _linear_hv, dim=dim, x0=x0, data=np.concatenate((data, [radius])),
        fgb=_linear_fgb, samples=samples, model=DigitsModel(radii=(radius,)), about=normalized_logistic.__doc__)


# Digits, two normalised layers: data = (packed digits, radius 1, radius 2) ------------------------

@kernel
def _split(data):
    """Entries of the first layer's weights and biases."""
    return (int(data[1]) + 1) * int(data[4])


@kernel
def _network_fg(x, g, data):
    m, v = _split(data), np.empty(x.size)
    r1, r2 = data[data.size - 2], data[data.size - 1]
    n1, n2 = _normalise(x[:m], r1, v[:m]), _normalise(x[m:], r2, v[m:])
    f = _mlp_fg(v, g, data)
    _pull_back(x[:m], n1, r1, g[:m])
    _pull_back(x[m:], n2, r2, g[m:])
    return f


@kernel
def _network_fgb(x, g, data, batch):
    m, v = _split(data), np.empty(x.size)
    r1, r2 = data[data.size - 2], data[data.size - 1]
    n1, n2 = _normalise(x[:m], r1, v[:m]), _normalise(x[m:], r2, v[m:])
    f = _mlp_fgb(v, g, data, batch)
    _pull_back(x[:m], n1, r1, g[:m])
    _pull_back(x[m:], n2, r2, g[m:])
    return f


@kernel
def _network_hv(x, d, out, data):
    m = _split(data)
    v, dv, a = np.empty(x.size), np.empty(x.size), np.empty(x.size)
    r1, r2 = data[data.size - 2], data[data.size - 1]
    n1, n2 = _normalise(x[:m], r1, v[:m]), _normalise(x[m:], r2, v[m:])
    _mlp_fg(v, a, data)
    _push_forward(x[:m], n1, r1, d[:m], dv[:m])
    _push_forward(x[m:], n2, r2, d[m:], dv[m:])
    _mlp_hv(v, dv, out, data)
    _hessian_back(x[:m], n1, r1, d[:m], a[:m], out[:m])
    _hessian_back(x[m:], n2, r2, d[m:], a[m:], out[m:])


def normalized_mlp(hidden=16, radii=(8.0, 20.0), part="train", seed=0):
    """The tanh network on the digits with each layer's weights (and biases) on a sphere, n = 75 hidden + 10.

    x = (W1, b1; W2, b2) as in ``digits_mlp``; the network sees radii[0] (W1, b1)/|(W1, b1)| and
    radii[1] (W2, b2)/|(W2, b2)|, so the loss does not change when either layer is scaled. A finite
    sum over the images of ``part``. The start is standard normal from ``seed``.
    """
    hidden = checks.count("hidden", hidden, 1, 2000)
    radii = checks.point("radii", radii, 2)
    if (radii <= 0).any():
        raise ValueError(f"radii must be positive, got {tuple(radii)}")
    samples, data = pack(part, 0.0, hidden)
    dim = (int(data[1]) + 1) * hidden + (hidden + 1) * CLASSES
    x0 = np.random.default_rng(checks.integer("seed", seed, high=None)).standard_normal(dim)
    return Problem.from_kernels(
        "normalized-mlp", _network_fg, _network_hv, dim=dim, x0=x0, data=np.concatenate((data, radii)),
        fgb=_network_fgb, samples=samples, model=DigitsModel(hidden, tuple(radii)), about=normalized_mlp.__doc__)
