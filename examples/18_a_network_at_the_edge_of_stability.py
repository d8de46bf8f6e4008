"""Gradient descent on a network raises its curvature to 2/lr and stays there; its central flow does, gradient flow not.

A 64-32-32-10 tanh network on 500 digits, squared loss, lr = 0.3: the largest eigenvalue of the Hessian rises with
gradient flow (progressive sharpening) until it passes 2/lr. From there on the iterates oscillate along its
eigenvector, which pushes it down again (Cohen et al., arXiv:2103.00065). The central flow (arXiv:2410.24206) holds it
at 2/lr at once and so misses the first overshoot.
"""

import functools

import odeopt as oo
from odeopt import plotting

LR, STEPS = 0.3, 1500


@functools.cache
def study():
    """The run beside both flows."""
    return oo.studies.stability.edge(oo.GradientDescent(lr=LR), oo.problems.digits_network(), steps=STEPS, every=20,
                                     theories=["gradient flow", "central flow"])


def main():
    """(computed, theory, tolerance): lr times the sharpness late in the run and in the central flow, and whether
    gradient flow has gone further."""
    s = study()
    late = s.k > 1300
    flow, central = (LR * s.flow_sharpness[i, late].mean() for i in (0, 1))
    return [(LR * s.sharpness[late].mean(), 2.0, 0.06), (central, 2.0, 0.02), (flow > 2.1, True, 0)]


def draw(ax):
    """Sharpness against the step."""
    plotting.edge(study(), [ax])
    ax.set_title("a network at the edge of stability")
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
