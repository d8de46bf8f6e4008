"""Small learning rates do not generalise worse when lr wd is kept ([A002], conventional wisdom 2).

The normalised two-layer network on the digits, five seeds per row: over a factor of 100 in lr at one product
the test accuracy stays within its intervals.
"""

import numpy as np

from odeopt.studies.networks.generalisation import generalisation

PRODUCT = 0.002
RATES = (0.3, 0.03, 0.003)


def study():
    """Matched pairs."""
    return generalisation([(lr, PRODUCT / lr) for lr in RATES], steps=1500, seeds=5, level=0.95)


def main():
    """(computed, theory, tolerance): accuracies around their mean, within the sum of the half widths."""
    s = study()
    return [(s.accuracy, s.accuracy.mean(), float(s.half_width.sum())),
            (float(s.accuracy[0] - s.accuracy[-1] < s.half_width[0] + s.half_width[-1]), 1.0, 0.0)]


def draw(ax):
    """Accuracy and interval of each pair."""
    s = study()
    ax.errorbar(s.lr, s.accuracy, yerr=s.half_width, fmt="o", capsize=5, color="#0072B2")
    ax.set(xscale="log", xlabel=f"lr, with lr wd = {PRODUCT}", ylabel="test accuracy (mean over seeds, 95%)",
           title="one intrinsic rate, one accuracy", ylim=(min(0.85, np.min(s.accuracy) - 0.05), 1))
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
