"""On a scale-invariant loss weight decay equals an exponentially growing learning rate (Li, Arora, arXiv:1910.07454).

Momentum with decay at constant lr and momentum without decay at lr alpha^(-2k-1) pass through the same
directions w/|w|, to round-off, if the buffer starts at (alpha - 1) w0/(lr alpha). From a zero buffer they do not.
"""

import numpy as np

import odeopt as oo
from odeopt.studies.networks.scale_invariance import directions, growing_equivalent

PROBLEM = oo.problems.rayleigh([1.0, 0.6, 0.3, 0.0])
X0 = np.array([1.0, -0.5, 0.8, 0.2])
DECAYED = oo.Momentum(0.1, 0.9, form="torch", weight_decay=5e-3)


def deviations(steps=200):
    """Largest deviation of the directions at each step: matched buffer, zero buffer."""
    plain, schedule, start = growing_equivalent(DECAYED, X0)
    a = directions(oo.record(DECAYED, PROBLEM, X0, steps).x)
    runs = [oo.record(plain, PROBLEM, X0, steps, schedule=schedule, start=s) for s in (start, "cold")]
    return [np.abs(a - directions(run.x)).max(axis=1) for run in runs]


def main():
    """(computed, theory, tolerance): none with the matched buffer, a visible one without."""
    matched, cold = deviations()
    return [(matched, 0.0, 1e-10), (float(cold.max() > 1e-3), 1.0, 0.0)]


def draw(ax):
    """Both deviations."""
    matched, cold = deviations()
    ax.semilogy(np.maximum(cold, 1e-18), color="#D55E00", label="zero buffer")
    ax.semilogy(np.maximum(matched, 1e-18), color="#0072B2", label="matched buffer")
    ax.set(xlabel="step", ylabel="deviation of the directions", title="decay = growing rate, if the buffer matches")
    ax.legend()
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
