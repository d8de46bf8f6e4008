"""Step-size sequences that make gradient descent (explicit Euler) faster than any constant step.

Chebyshev: on quadratics with curvatures in [mu, L], N Euler steps of sizes h_k multiply a mode of
curvature c by prod(1 - h_k c). The h_k below are the reciprocals of the roots of the Chebyshev
polynomial moved to [mu, L], so the product is T_N((L + mu - 2 c)/(L - mu))/T_N((kappa + 1)/(kappa - 1)),
the smallest maximum there is: 1/T_N((kappa + 1)/(kappa - 1)) = 2 q^N/(1 + q^{2N}) with
q = (sqrt(kappa) - 1)/(sqrt(kappa) + 1). With mu = 0 it is the stability polynomial of the undamped
Runge-Kutta-Chebyshev scheme. Single steps are far beyond the limit 2/L; only all N together
contract. Sorted, they multiply the round-off of one step by up to 5e30 in the following ones
(N = 64, kappa = 1000); ``order="stable"`` interleaves large and small steps (Lebedev, Finogenov), and
the same factor is 1 for N a power of 2, while the iterates themselves may pass through values up
to about kappa times the first distance.

Silver: on every L-smooth convex function, N = 2^m - 1 steps h_k = (1 + rho^{nu(k) - 1})/L, with
rho = 1 + sqrt(2) the silver ratio and nu(k) the number of times that 2 divides k, give
f_N - f* <= L R^2/(1 + sqrt(4 rho^{2m} - 3)): the exponent log2(rho) = 1.27 instead of 1.

Sources: Young (1953); Lebedev, Finogenov (1971); Altschuler, Parrilo, arXiv:2309.16530, theorem 1.1.
"""

import math

import numpy as np

from .. import checks

SILVER_RATIO = 1 + math.sqrt(2)


def chebyshev_steps(mu, L, n, *, order="stable"):
    """The ``n`` step sizes for curvatures in [``mu``, ``L``], an (n,) array in flow time.

    ``order="increasing"`` sorts them by size; ``"stable"`` (default) is the permutation of Lebedev
    and Finogenov, which never amplifies round-off when n is a power of 2; for other n it is theirs
    for the next power of 2 with the missing indices left out, which may amplify: at n < 260 by up to 650
    for kappa = 1000 (n = 133) and 3e4 for kappa = 1e6, 8 and 18 in the median. Take a power of 2.

    Raises ValueError unless 0 <= mu <= L, L > 0 and n >= 1.
    """
    low = checks.real("mu", mu, 0.0)
    high = checks.real("L", L, low, open_low=low == 0.0)
    n = checks.count("n", n)
    checks.choice("order", order, ("stable", "increasing"))
    index = np.arange(n, 0, -1) if order == "increasing" else stable_order(n)
    with np.errstate(over="ignore", divide="ignore"):
        return _finite(2 / (high + low - (high - low) * np.cos((2 * index - 1) * np.pi / (2 * n))), high)


def stable_order(n):
    """A permutation of 1 ... n in which each root is followed by its mirror image (Lebedev, Finogenov)."""
    order = [1]
    while len(order) < n:
        size = 2 * len(order)
        order = [i for j in order for i in (j, size + 1 - j)]
    return np.array([i for i in order if i <= n])


def silver_steps(n, L=1.0):
    """The first ``n`` silver step sizes, an (n,) array; the bound holds for n = 2^m - 1."""
    n = checks.count("n", n)
    high = checks.real("L", L, 0.0, open_low=True)
    k = np.arange(1, n + 1)
    nu = np.round(np.log2(k & -k))
    with np.errstate(over="ignore"):
        return _finite((1 + SILVER_RATIO ** (nu - 1)) / high, high)


def _finite(steps, L):
    if not np.isfinite(steps).all():
        raise ValueError(f"L must be so large that all steps are finite, got {L:g}")
    return steps


def chebyshev_factor(mu, L, n):
    """max over [mu, L] of |prod(1 - h_k c)|, that is 2 q^n/(1 + q^{2n})."""
    root = math.sqrt(L / mu) if mu > 0 else math.inf
    q = (root - 1) / (root + 1) if mu > 0 else 1.0
    return 2 * q**n / (1 + q ** (2 * n))


def silver_bound(m, L, R):
    """f_N - f* <= this after N = 2^m - 1 silver steps from distance ``R``."""
    return L * R**2 / (1 + math.sqrt(4 * SILVER_RATIO ** (2 * m) - 3))
