"""Sixty thousand starts at once: which minimum of Himmelblau's function momentum leads to.

``ensemble`` runs 256 trajectories in step by SIMD, each with the bits of its own ``record``. Momentum
overshoots valleys, so its basins are frayed where gradient descent's are smooth: gradient descent
with a small step keeps to the flow's basins.
"""

import functools

import numpy as np

import odeopt as oo
from odeopt import plotting
from odeopt.studies.search.basins import Basins

PROBLEM = oo.problems.himmelblau()
AXIS = np.linspace(-5, 5, 251)
STARTS = np.stack(np.meshgrid(AXIS, AXIS), axis=-1).reshape(-1, 2)


@functools.cache
def basins(optimizer, steps=2000):
    """Index of the minimum for each start (-1: none yet)."""
    return oo.ensemble(optimizer, PROBLEM, STARTS, steps, gtol=1e-8).nearest(PROBLEM.minima, within=1e-3)


SMALL, SMALLER = oo.GradientDescent(5e-3), oo.GradientDescent(2.5e-3)
HEAVY = oo.Momentum(5e-3, 0.9)


def borders(index):
    """Share of neighbouring starts that end at different minima."""
    grid = index.reshape(AXIS.size, AXIS.size)
    return float(np.mean(grid[1:] != grid[:-1]) + np.mean(grid[:, 1:] != grid[:, :-1]))


def main():
    """(computed, theory): halving a small step moves few starts; momentum's basins have longer borders;
    a trajectory of the ensemble is its own run."""
    changed = float(np.mean(basins(SMALL) != basins(SMALLER)))
    j = 12_345
    group = oo.ensemble(HEAVY, PROBLEM, STARTS[j : j + 3], 500)
    run = oo.record(HEAVY, PROBLEM, STARTS[j], 500)
    return [(changed < 0.02, True), (borders(basins(HEAVY)) > 2 * borders(basins(SMALL)), True),
            (group.x[0], run.x[-1], 0.0)]


def draw(ax):
    """Momentum's basins, in the colours of example 10."""
    index = basins(HEAVY).reshape(AXIS.size, AXIS.size)
    nothing = np.full_like(index, -1)  # of the flow, which is not asked for here
    picture = Basins(repr(HEAVY), PROBLEM.name, AXIS, AXIS, np.array(PROBLEM.minima), index, nothing, np.nan, "",
                     HEAVY.spec())
    plotting.basins(picture, ax, problem=PROBLEM)
    ax.set_aspect("equal")
    ax.set_title("where momentum 0.9 leads from each start")
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
