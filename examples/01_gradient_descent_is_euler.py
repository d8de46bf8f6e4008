"""Gradient descent is explicit Euler on gradient flow: the same iterates to the last digit, and order 1.

The picture: three learning rates on Beale's function, each beside the flow x' = -g. Halving the
learning rate halves the distance.
"""

import odeopt as oo
from odeopt import plotting

PROBLEM = oo.problems.beale()
T_END = 1.2


def main():
    """(computed, theory, tolerance): the deviation from Euler, and the order."""
    rate = 0.01
    euler = oo.Discretization(oo.flows.gradient_flow(), oo.schemes.explicit_euler, rate)
    study = oo.convergence(oo.GradientDescent(0.02), oo.problems.sine_bowl(), t_end=1.0, levels=6)
    return [(oo.deviation(oo.GradientDescent(rate), euler, PROBLEM), 0.0, 1e-14), (study.order, 1.0, 0.05)]


def draw(ax):
    """Iterates beside the flow."""
    runs = [oo.compare(oo.GradientDescent(rate), PROBLEM, t_end=T_END, local=False) for rate in (0.02, 0.01, 0.005)]
    ax.set_title("gradient descent is Euler's method on x' = -g")
    return plotting.trajectories(PROBLEM, runs, ax, window=((0.6, 2.7), (-0.25, 1.4)))


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
