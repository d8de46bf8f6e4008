"""Rosenbrock's curved valley."""

import numpy as np

from .. import checks
from ..abi import kernel
from .base import Problem


@kernel
def _plane_fg(x, g, data):
    a = 1.0 - x[0]
    b = x[1] - x[0] * x[0]
    g[0] = -2.0 * a - 400.0 * x[0] * b
    g[1] = 200.0 * b
    return a * a + 100.0 * b * b


@kernel
def _fg(x, g, data):
    f = 0.0
    carried = 0.0  # what the link before leaves on this coordinate
    for i in range(x.size - 1):
        a = 1.0 - x[i]
        b = x[i + 1] - x[i] * x[i]
        g[i] = carried - 2.0 * a - 400.0 * x[i] * b
        carried = 200.0 * b
        f += a * a + 100.0 * b * b
    g[x.size - 1] = carried
    return f


@kernel
def _hv(x, v, out, data):
    carried = 0.0
    for i in range(x.size - 1):
        off = -400.0 * x[i]
        out[i] = carried + (2.0 - 400.0 * (x[i + 1] - 3.0 * x[i] * x[i])) * v[i] + off * v[i + 1]
        carried = off * v[i] + 200.0 * v[i + 1]
    out[x.size - 1] = carried


def rosenbrock(dim=2):
    """f(x) = sum over i < n of 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2: the banana-shaped valley.

    Minimum 0 at (1, ..., 1), Hessian eigenvalues there 0.4 and 1001.6 for n = 2; the start is the
    classical (-1.2, 1), repeated. From n = 4 on there is also a local minimum with x_1 < 0.
    Sources: H. H. Rosenbrock, Computer Journal 3 (1960) 175; M. Jamil, X.-S. Yang,
    arXiv:1308.4008; same form as ``scipy.optimize.rosen``.
    """
    dim = checks.count("dim", dim, 2)
    # The plane has its own gradient: without the loop it takes half the time, and a block of points
    # at once (odeopt.engine.batched) becomes SIMD code.
    return Problem.from_kernels(
        "rosenbrock", _plane_fg if dim == 2 else _fg, _hv, dim=dim, x0=np.resize((-1.2, 1.0), dim),
        minima=(np.ones(dim),),
        f_min=0.0, window=((-2.0, 2.0), (-1.0, 3.0)) if dim == 2 else None,
        about=rosenbrock.__doc__)
