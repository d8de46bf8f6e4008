"""Every optimizer with a flow follows its own with order one, if its memory starts consistently.

From zero memory three of them do not: RMSprop and Adagrad are of order one half, and Adadelta stays on
another path (`odeopt compare beale --optimizers all` shows it). The others have no classical flow; their pages
say what limit there is.
"""

import odeopt as oo
from odeopt import plotting
from odeopt.studies.search.suggest import suggest

PROBLEM = oo.problems.beale()
OPTIMIZERS = [suggest(cls, PROBLEM, steps=500) for cls in oo.optimizers.ALL.values()]
SIZE = (9.6, 0.4 + 1.4 * plotting.panel_shape(len(OPTIMIZERS))[0])


def main():
    """(computed, theory, tolerance): the order of each."""
    flowing = [optimizer for optimizer in OPTIMIZERS if optimizer.flow is not None]
    # The paths of a differential inclusion bend at its surfaces only, and memory at fixed betas takes its time.
    steps = [500 if isinstance(o.flow, oo.flows.SignInclusion) else 64 for o in flowing]
    studies = [oo.convergence(o, PROBLEM, t_end=n * o.h, levels=8, start="consistent") for o, n in zip(flowing, steps)]
    return [(study.order, 1.0, 0.05) for study in studies]


def draw_figure(fig):
    """A panel each, from the consistent start."""
    runs = [oo.compare(o, PROBLEM, steps=500, start="consistent", local=False) for o in OPTIMIZERS]
    axes = fig.subplots(*plotting.panel_shape(len(runs)))
    plotting.path_panels(PROBLEM, runs, axes, labels=[o.title for o in OPTIMIZERS])


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
