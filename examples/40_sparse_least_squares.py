"""A noisy signal smoothed by least squares: momentum and Chebyshev steps race scipy's CG, which wins.

minimise 1/2 |x - y|^2 + 25/2 |differences of x|^2 over 20,000 unknowns (``odeopt bench real`` takes
10^6), the gradient by scipy.sparse, eigenvalues of the Hessian between 1 and 101. Gradient descent
contracts by (kappa - 1)/(kappa + 1) per step, Polyak's momentum by (sqrt kappa - 1)/(sqrt kappa + 1),
and N Chebyshev steps by 1/T_N: conjugate gradients need to know no eigenvalue and are never behind.
"""

import functools
import math

import numpy as np

from odeopt.bench.real import least_squares, sparse_race

N = 20_000


@functools.cache
def race():
    """The rows of the race, by method."""
    rows, _ = sparse_race(N)
    return {row["method"]: row for row in rows}


def main():
    """(computed, theory, tolerance): all reach 1e-6; gradients as the contraction factors say; CG first."""
    rows = race()
    kappa = least_squares(8)[3]
    count = {name.split()[-1] if "2/(L" not in name else "descent": row["gradients"] for name, row in rows.items()}
    gd = math.log(1e-6) / math.log((kappa - 1) / (kappa + 1))
    pairs: list[tuple] = [(max(row["reached"] for row in rows.values()) <= 1e-6, True)]
    pairs.append((count["descent"], gd, 0.05 * gd))
    pairs.append((count["CG"] <= min(count.values()), True))
    pairs.append((count["Polyak's"] < 0.2 * count["descent"], True))
    return pairs


def draw(ax):
    """Gradient evaluations of each method."""
    rows = sorted(race().values(), key=lambda row: row["gradients"])
    place = np.arange(len(rows))
    ax.barh(place, [row["gradients"] for row in rows])
    ax.set_yticks(place, [row["method"] for row in rows])
    ax.set(xlabel=r"gradients until $|\nabla f|/|\nabla f_0| = 10^{-6}$",
           title=f"least squares, {N:,} unknowns")
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
