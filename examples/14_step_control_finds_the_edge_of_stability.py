"""A step-size controller on a stiff valley settles where h lambda = 2: an edge of stability known since 1988.

Once accuracy no longer limits the step, the stiff component grows until the estimate sees it and
shrinks until it does not (Hall, Higham, 1988). RMSprop's lr/sqrt(v) hovers there by the same mechanism.
"""

import functools

import odeopt as oo
from odeopt import plotting

PROBLEM = oo.problems.quadratic([1.0, 50.0])


@functools.cache
def log():
    """Heun–Euler under the PI controller."""
    return oo.step_control(PROBLEM, t_end=4.0, tol=0.01, rules=("PI",))["PI"]


def main():
    """(computed, theory, tolerance): the mean of h lambda in the second half, and growth 1 per step."""
    return [(log().later().mean(), 2.0, 0.05), (log().growth, 1.0, 0.05)]


def draw(ax):
    """h lambda of each trial."""
    ax.set_title("step control finds the edge of stability")
    return plotting.controller_log(log(), ax, limit=2.0)


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
