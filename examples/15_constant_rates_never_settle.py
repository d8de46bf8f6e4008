"""With a constant learning rate RMSprop ends in a two-cycle |x| = lr/2; decay lets it converge.

On any parabola, whatever the curvature (eps = 0): the gradient over its own root mean square has
size 1, so the step cannot shrink. The amplitude follows the learning rate down.
"""

import numpy as np

import odeopt as oo

PROBLEM = oo.problems.quadratic([3.0], x0=[1.0])
STEPS = 600


def main():
    """(computed, theory, tolerance): the cycle at three rates; the end under a cosine decay to zero."""
    rates = (0.04, 0.02, 0.01)
    ends = [abs(oo.record(oo.RMSprop(rate, eps=1e-14), PROBLEM, steps=2000).x[-1, 0]) for rate in rates]
    decayed = oo.record(oo.RMSprop(0.02, eps=1e-14), PROBLEM, steps=STEPS, schedule=oo.schedules.cosine(STEPS))
    return [(ends, np.array(rates) / 2, 1e-6), (decayed.x[-1, 0], 0.0, 1e-4)]


def draw(ax):
    """|x| against the step."""
    runs = {"constant lr 0.04": oo.record(oo.RMSprop(0.04), PROBLEM, steps=STEPS),
            "constant lr 0.02": oo.record(oo.RMSprop(0.02), PROBLEM, steps=STEPS),
            "lr 0.02, cosine decay": oo.record(oo.RMSprop(0.02), PROBLEM, steps=STEPS,
                                               schedule=oo.schedules.cosine(STEPS))}
    for (label, run), color, marker in zip(runs.items(), ("#00664A", "#009E73", "#DD8800"), "osD"):
        ax.plot(run.k, np.abs(run.x[:, 0]), color=color, marker=marker, markevery=60, mec="white", label=label)
    for rate, side in ((0.04, 1), (0.02, -1)):  # above the upper line, below the lower one
        ax.axhline(rate / 2, color="#777777", lw=0.9, ls="--")
        ax.annotate(f"lr/2 = {rate / 2:g}", (STEPS, rate / 2), xytext=(0, 5 * side), ha="right",
                    va="bottom" if side > 0 else "top", textcoords="offset points", fontsize=10.5)
    ax.set(xlabel="step $k$", ylabel="$|x|$", yscale="log", ylim=(1e-6, 2),
           title="RMSprop needs a decaying learning rate")
    ax.legend(loc="upper right")
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
