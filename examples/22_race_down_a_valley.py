"""The race down a long valley, at equal flow time: methods of one flow stay together.

Curvatures 1 and 60. Gradient descent and its refinement share gradient flow, momentum and Nesterov with
one friction share the heavy ball: at equal *flow time* they agree to the order of their step, however
different their gradient counts are.
"""

import numpy as np

import odeopt as oo
from odeopt import plotting

PROBLEM = oo.problems.quadratic([1.0, 60.0], angle=0.5, x0=[1.6, -0.9])
T_END = 8.0
METHODS = (oo.GradientDescent(0.03), oo.GradientDescent(0.0075), oo.Momentum(0.0049, 0.58), oo.Nesterov(0.0049, 0.58))


def main():
    """(computed, theory, tolerance): one flow for each pair, and equal flow time at the end."""
    frictions = [METHODS[2].flow.constants["a"], METHODS[3].flow.constants["a"]]
    ends = [oo.record(method, PROBLEM, t_end=T_END).t[-1] for method in METHODS]
    return [(frictions[0], frictions[1], 1e-12), (ends, np.full(4, T_END), 0.08)]


def movie(fig):
    """The race."""
    runs = [oo.compare(method, PROBLEM, t_end=T_END, local=False) for method in METHODS]
    return plotting.race(PROBLEM, runs, fig, window=((-1.0, 2.0), (-1.2, 1.1)), pace="time", frames=90)


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
