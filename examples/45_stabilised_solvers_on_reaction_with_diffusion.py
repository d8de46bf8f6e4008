"""On a reaction with diffusion ROCK2 and RKC2 pay with the root of the stiffness, DOP853 with all of it.

The Brusselator with diffusion (Hairer, Wanner, Solving Ordinary Differential Equations II, section IV.1) on 100 cells,
200 unknowns, to t = 10. The spectral radius is 0.08/width^2 = 816, and DOP853 takes 15,000 evaluations of the field for
its stability at any tolerance. BDF takes the fewest, those for its few Jacobians (200 each) included, but solves a
system of 200 unknowns at every change of the step; ROCK2 and RKC2 solve nothing, and at errors of 1e-3 take no more.
"""

import functools

import numpy as np
from scipy.integrate import solve_ivp

from odeopt import interop

CELLS, T_END = 100, 10.0
WIDTH = 1 / (CELLS + 1)
X = WIDTH * np.arange(1, CELLS + 1)
TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6)
SOLVERS = {"ROCK2": (interop.ROCK2, "#D55E00", "o"), "RKC2": (interop.RKC2, "#0072B2", "s"),
           "LSODA": ("LSODA", "#009E73", "^"), "BDF": ("BDF", "#CC79A7", "v"), "DOP853": ("DOP853", "#555555", "D")}


def field(t, y):
    """u' = 1 + u^2 v - 4 u + u_xx/50, v' = 3 u - u^2 v + v_xx/50, with u = 1 and v = 3 at both ends."""
    u, v = y[:CELLS], y[CELLS:]
    reaction = u * u * v
    return np.concatenate([1 + reaction - 4 * u + 0.02 * second(u, 1.0), 3 * u - reaction + 0.02 * second(v, 3.0)])


def second(u, end):
    """The second difference of values that are ``end`` at both ends."""
    padded = np.concatenate([[end], u, [end]])
    return (padded[2:] - 2 * u + padded[:-2]) / WIDTH**2


START = np.concatenate([1 + np.sin(2 * np.pi * X), np.full(CELLS, 3.0)])


@functools.cache
@np.errstate(all="ignore")  # a trial of DOP853 at the start is unstable, and rejected
def curves():
    """name -> (evaluations of the field, those for Jacobians included; largest error at the end)."""
    exact = solve_ivp(field, (0, T_END), START, method="BDF", rtol=1e-9, atol=1e-10).y[:, -1]
    found = {}
    for name, (method, _, _) in SOLVERS.items():
        runs = [solve_ivp(field, (0, T_END), START, method=method, rtol=tol, atol=tol)
                for tol in (TOLERANCES if name != "DOP853" else TOLERANCES[:2])]
        columns = 2 * CELLS * (name == "BDF")  # differences, which scipy does not count as evaluations
        found[name] = (np.array([run.nfev + columns * run.njev for run in runs]),
                       np.array([np.abs(run.y[:, -1] - exact).max() for run in runs]))
    return found


def main():
    """(computed, theory, tolerance): whether both get by with a quarter of DOP853's evaluations at 1e-4, and RKC2 with
    fewer than LSODA everywhere; what a tenth of the tolerance costs RKC2, of order 2 with an estimate of order 3, and
    ROCK2, whose estimate is of order 2, where accuracy decides."""
    most = curves()["DOP853"][0][1]
    few = [curves()[name][0][1] < most / 4 for name in ("RKC2", "ROCK2")]
    few.append((curves()["RKC2"][0] < curves()["LSODA"][0]).all())
    growth = [curves()[name][0][-1] / curves()[name][0][-2] for name in ("RKC2", "ROCK2")]
    return [(few, [True] * 3, 0), (np.log10(growth), [1 / 3, 1 / 2], 0.25)]


def draw(ax):
    """Error against evaluations."""
    for name, (_, color, marker) in SOLVERS.items():
        ax.loglog(*curves()[name], marker=marker, ms=5, color=color, lw=1.4, label=name)
    ax.set(xlabel="evaluations of the field", ylabel="largest error at $t = 10$",
           title="the Brusselator with diffusion, 200 unknowns")
    ax.legend()
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
