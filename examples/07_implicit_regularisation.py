"""Gradient descent with a finite step follows the gradient flow of f + (lr/4)|grad f|^2 to order 2.

To order 1 it follows that of f, and one more term of the modified equation gives order 3
(Barrett, Dherin, arXiv:2009.11162): the regulariser is not a metaphor, it is the next term of the error.
"""

import odeopt as oo
from odeopt import plotting

PROBLEM = oo.problems.sine_bowl()


def studies():
    """Distance of gradient descent to the modified flows of order 1, 2, 3."""
    return [oo.modified_convergence(oo.GradientDescent(0.1), PROBLEM, t_end=1.6, levels=6, order=n) for n in (1, 2, 3)]


def main():
    """(computed, theory, tolerance): the orders."""
    return [(study.order, float(n), 0.05) for n, study in enumerate(studies(), 1)]


def draw(ax):
    """Distance to each flow against the learning rate."""
    flows = ("$f$", r"$f + \frac{h}{4}|\nabla f|^2$", "three terms")
    found = studies()
    plotting.convergence(found, ax, labels=[f"to the flow of {w}: order {s.order:.2f}" for w, s in zip(flows, found)])
    ax.set(title="gradient descent descends another objective", xlabel="learning rate $h$",
           ylabel="distance of iterates and flow")
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
