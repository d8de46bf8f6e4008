"""Five optimizers, five runs on Beale's function, each beside the flow that it discretises.

The step sizes are those of `odeopt compare beale`: lr = 0.25/L where the step grows with the gradient
(L the largest curvature seen), three times the way to the minimum in 500 steps where it does not.
"""

import odeopt as oo
from odeopt import plotting
from odeopt.studies.search.suggest import suggest

PROBLEM = oo.problems.beale()
CLASSES = (oo.GradientDescent, oo.Momentum, oo.Nesterov, oo.RMSprop, oo.Adam)
ORDERS = (1.0, 1.0, 1.0, 0.5, 1.0)  # one half is RMSprop's cold start, see example 03


def main():
    """(computed, theory, tolerance): the order of each, from the cold start."""
    chosen = [suggest(cls, PROBLEM, steps=500) for cls in CLASSES]
    studies = [oo.convergence(optimizer, PROBLEM, t_end=64 * optimizer.h, levels=9) for optimizer in chosen]
    return [(study.order, order, 0.05) for study, order in zip(studies, ORDERS)]


def draw(ax):
    """The runs as dots, the flows as lines."""
    runs = [oo.compare(suggest(cls, PROBLEM, steps=500), PROBLEM, steps=500, local=False) for cls in CLASSES]
    return plotting.trajectories(PROBLEM, runs, ax)


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
