"""As the step h shrinks, the iterates of every optimizer crowd onto the one flow that it discretises.

Each method is refined with its flow held fixed, so momentum moves its learning rate like h^2 and every memory
factor like 1 - c h. The lines stay where they are; the dots double, and their distance to the line halves.
"""

import functools

import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.lines import Line2D

import odeopt as oo
from odeopt import plotting
from odeopt.plotting.animation import settle

PROBLEM = oo.problems.beale()
WINDOW = ((0.4, 3.5), (-1.25, 1.55))
# The coarsest of each, and to which flow time it runs.
METHODS = ((oo.GradientDescent(0.03), 1.3), (oo.Momentum(0.03, momentum=0.6), 5.0), (oo.Adam(0.24, beta1=0.5), 4.0))
HALVINGS, FRAMES, REST = 4.0, 64, 18


@functools.cache
def flow(i):
    """The flow of a method, which is that of all its refinements."""
    method, t_end = METHODS[i]
    return oo.reference(method, PROBLEM, t_end=t_end)


def iterates(i, factor):
    """The points of a refined method, and their largest distance to the flow at equal time."""
    method, t_end = METHODS[i][0].refined(factor), METHODS[i][1]
    run = oo.record(method, PROBLEM, steps=int(t_end / method.h + 1e-9))
    return run.x, np.linalg.norm(run.x - flow(i)(run.t), axis=1).max()


def main():
    """(computed, theory, tolerance): half the step, half the distance."""
    fine, finer = ([iterates(i, factor)[1] for i in range(len(METHODS))] for factor in (256, 512))
    return [(np.log2(np.array(fine) / finer), np.ones(len(METHODS)), 0.05)]


def movie(fig):
    """h shrinks by the factor 16, and rests."""
    ax, looks = fig.subplots(), plotting.looks([method for method, _ in METHODS])
    plotting.contours(PROBLEM, ax, WINDOW)
    ax.plot(*PROBLEM.x0, "o", ms=9, mfc="white", mec="#222222", mew=1.5, zorder=6)
    dots = []
    for i, look in enumerate(looks):
        ax.plot(*flow(i)(np.linspace(0, METHODS[i][1], 800)).T, color=look.color, lw=4, alpha=0.35, zorder=3)
        dots += ax.plot([], [], look.marker, color=look.color, mec="white", zorder=5)
    title = ax.set_title(" ", loc="left", fontsize=12)
    handles = [Line2D([], [], color=look.color, marker=look.marker, mec="white", ms=8, label=method.title)
               for look, (method, _) in zip(looks, METHODS)]
    plotting.below(ax, handles, "dots: the optimizer's iterates; lines: the flow it discretises")

    def draw(frame):
        factor = 2.0 ** (HALVINGS * min(max(frame - REST, 0) / (FRAMES - 1), 1.0))
        title.set_text(f"step h/{factor:.0f}" if factor >= 1.5 else "step h")
        for i, line in enumerate(dots):
            x, _ = iterates(i, factor)
            line.set_data(x[:, 0], x[:, 1])
            line.set_markersize(9 / factor**0.4)
            line.set_markeredgewidth(max(1.0 - 0.3 * np.log2(factor), 0.0))
        return [title, *dots]

    settle(fig)
    return FuncAnimation(fig, draw, frames=FRAMES + 2 * REST, interval=55, blit=False)


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
