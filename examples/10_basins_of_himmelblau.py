"""Gradient descent keeps the basins of its flow, but for their boundaries, as the learning rate falls.

From a grid of starts on Himmelblau's function: the share from which gradient descent reaches the
minimum that the gradient flow reaches. Large steps leave the basin at once, or diverge.
"""

import functools

import odeopt as oo
from odeopt import plotting
from odeopt.studies.search.basins import basins

PROBLEM = oo.problems.himmelblau()
RATES = (0.016, 0.012, 0.006, 0.0015)


@functools.cache
def found(resolution):
    """A study for each learning rate; the flow is computed once."""
    studies = []
    for rate in RATES:
        flow = studies[0] if studies else None
        studies.append(basins(oo.GradientDescent(rate), PROBLEM, resolution=resolution, steps=int(6 / rate), flow=flow))
    return studies


def main():
    """(computed, theory, tolerance): fidelity at the smallest rate, and that it never falls with the rate."""
    fidelity = [study.fidelity for study in found(21)]
    return [(fidelity[-1], 1.0, 0.01), (sorted(fidelity), fidelity, 0.0)]


SIZE = (8.8, 4.2)


def draw_figure(fig):
    """The flow's basins beside those of two learning rates."""
    studies = found(51)
    axes = fig.subplots(1, 3, sharey=True)
    plotting.basins(studies[0], axes[0], flow=True, problem=PROBLEM, legend=False)
    for ax, study, rate in zip(axes[1:], (studies[2], studies[0]), (RATES[2], RATES[0])):
        plotting.basins(study, ax, problem=PROBLEM, legend=ax is axes[1])
        ax.set(ylabel="", title=f"gradient descent, lr {rate:g}:\n{study.fidelity:.1%} as the flow")
    axes[0].set_title("gradient flow")


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
