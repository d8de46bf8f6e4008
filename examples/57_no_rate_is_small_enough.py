"""Full-batch descent with weight decay is unstable at every learning rate ([A002], conventional wisdom 1).

On x^2/(x^2 + y^2), the article's kind of toy, the gradient vanishes on the y-axis; decay then draws w towards the
origin, where the curvature is 2/|w|^2, until lr times it passes 2 - lr wd. A smaller rate only comes
nearer first: |w| = sqrt(lr). Without decay |w| never shrinks and nothing happens.
"""

import numpy as np

import odeopt as oo
from odeopt.studies.networks.scale_invariance import instability

RATES = [0.1, 0.01, 0.001]


def main():
    """(computed, theory, tolerance): all rise, none without decay, and |w| at the turning point."""
    s = instability(RATES)
    return [((s.rise_step > 0).mean(), 1.0, 0.0), ((s.plain_rise_step >= 0).mean(), 0.0, 0.0),
            (s.turning_norm / np.sqrt(s.lr), 1.0, 0.03), (s.plain_norm_monotone, 1.0, 0.0)]


def draw(ax):
    """The loss along the runs."""
    problem = oo.problems.rayleigh()
    for lr, colour in zip(RATES, ("#0072B2", "#009E73", "#D55E00")):
        run = oo.record(oo.GradientDescent(lr, weight_decay=0.02 / lr), problem, steps=420)
        ax.semilogy(run.k, np.maximum(run.f, 1e-60), color=colour, label=f"lr = {lr:g}")
    plain = oo.record(oo.GradientDescent(0.1), problem, steps=420)
    ax.semilogy(plain.k, plain.f, "--", color="#555555", label="lr = 0.1 without decay")
    ax.set(xlabel="step", ylabel="loss", title="descent, decay, and the origin")
    ax.legend()
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
