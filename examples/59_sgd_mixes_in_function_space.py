"""Runs from two starts end with different weights and the same predictions, after O(1/(lr wd)) steps.

How often two runs disagree on test images: across two starts minus within one start is what the start still
decides. It is gone at lr wd steps of about one, while the weights remain as far apart as random vectors
([A002]; Li, Lyu, Arora, arXiv:2010.02916).
"""

from odeopt.plotting import stochastic
from odeopt.studies.noise.mixing import function_mixing


def study():
    """Two pairs with one product."""
    return function_mixing([(0.1, 0.03), (0.03, 0.1)], intrinsic_time=2.0, records=12, paths=6)


def main():
    """(computed, theory, tolerance): no memory after one intrinsic time; the weights have not mixed."""
    s = study()
    late = s.intrinsic_time >= 1.0
    return [(s.memory[late], 0.0, float(s.memory_half[late].max()) + 0.02), (s.parameters[:, -1], 1.0, 0.3)]


def draw(ax):
    """Memory of the start against intrinsic time."""
    ax.set_title("predictions forget the start, weights do not")
    return stochastic.function_mixing(study(), ax)


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
