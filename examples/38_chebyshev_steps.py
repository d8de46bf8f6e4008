"""N Chebyshev steps contract a quadratic by exactly 1/T_N((kappa + 1)/(kappa - 1)), if they are put in order.

The best N step sizes for curvatures in [mu, L] are the inverse roots of a Chebyshev polynomial; one
constant step gives ((kappa - 1)/(kappa + 1))^N. At kappa = 1000, N = 128: 0.000608 against 0.774. Single
steps reach 2/(2 mu) = 500 times the stability limit 2/L of a constant step, so the order matters: taken by
size they amplify round-off to some 1e45; in the order of Lebedev and Finogenov they end at the bound.
"""

import math

import numpy as np

import odeopt as oo

KAPPA, N = 1000.0, 128


def final(order, n=N):
    """Run of n steps on 30 curvatures between 1/kappa and 1, turned, from |x| = 1 in the first and last."""
    problem = oo.problems.quadratic(np.linspace(1 / KAPPA, 1, 30), seed=0)
    x0 = np.linalg.eigh(problem.hess(problem.x0))[1][:, [0, -1]].sum(axis=1) / math.sqrt(2)
    run = oo.record(oo.GradientDescent(lr=1.0), problem, x0, n, schedule=oo.schedules.chebyshev(KAPPA, n, order))
    return run


def bound(n=N):
    """1/T_n((kappa + 1)/(kappa - 1))."""
    return 1 / math.cosh(n * math.acosh((KAPPA + 1) / (KAPPA - 1)))


def main():
    """(computed, theory, tolerance): attained at both ends of the spectrum."""
    return [(np.linalg.norm(final("stable", n).x[-1]), bound(n), 1e-11) for n in (16, 64, N)]


def draw(ax):
    """|x| against the step, both orders."""
    for order in ("stable", "natural"):
        run = final(order)
        ax.plot(run.k, np.linalg.norm(run.x, axis=1), label=f"{order} order")
    ax.axhline(bound(), color="black", lw=0.8, ls="--", label="1/T_N")
    ax.set(xlabel="step", ylabel="|x|", yscale="log", title="the same 128 step sizes in two orders")
    ax.legend()
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
