"""The race on Beale's function: equal gradients, equal tuning, every method beside its own flow.

Each learning rate comes from one search (13 logarithmic trials and 6 golden sections, scored by f at
the end of 120 steps). Double precision, no clipping: what moves is what the methods do.
"""

import functools

import numpy as np

import odeopt as oo
from odeopt import plotting
from odeopt.studies.search.lr_search import tune

PROBLEM = oo.problems.beale()
BUDGET, TRIALS = 120, 19
METHODS = (oo.GradientDescent(0.02), oo.Momentum(0.005), oo.RMSprop(0.02), oo.Adam(0.05))


@functools.cache
def tuned():
    """A search for each method."""
    return [tune(method, PROBLEM, steps=BUDGET) for method in METHODS]


def main():
    """(computed, theory, tolerance): each racer got the same trials and gradients, and runs as it was tuned."""
    runs = [oo.record(t.optimizer, PROBLEM, steps=BUDGET) for t in tuned()]
    return [([t.lr.size for t in tuned()], np.full(4, TRIALS), 0),
            ([r.n_grad[-1] for r in runs], np.full(4, BUDGET), 0),
            ([np.linalg.norm(r.x[-1] - PROBLEM.minima[0]) for r in runs], np.zeros(4), 0.1)]


def movie(fig):
    """The race."""
    runs = [oo.compare(t.optimizer, PROBLEM, steps=BUDGET, local=False) for t in tuned()]
    return plotting.race(PROBLEM, runs, fig, window=((0.4, 3.4), (-1.2, 1.4)), frames=80,
                         caption="each lr from the same search of 19 runs; no clipping")


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
