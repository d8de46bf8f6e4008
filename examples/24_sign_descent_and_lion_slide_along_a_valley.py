"""Sign descent and Lion slide along the line where a component of the gradient is 0, as their inclusion does.

x' in -Sign(g) moves both coordinates with speed 1 until g_1 = 0. There -1 and 1 in turn hold g_1 at 0, and
on average x_1 moves with the speed that keeps it there (the equivalent control, -H_12 x_2'/H_11), until g_2 = 0, too,
and the point rests. Sign descent stays within six lr of that path, Lion, whose memory lasts for 100 steps, within 150.
"""

import functools

import numpy as np

import odeopt as oo
from odeopt import plotting

PROBLEM = oo.Problem.from_expression("x^2 + 1.2*x*y + y^2/2", x0=[0.6, 2.6], name="valley")
H, T_END = np.array([[2.0, 1.2], [1.2, 1.0]]), 4.0
METHODS = {"sign descent, lr 0.02": oo.SignGD(0.02), "Lion, lr 0.001": oo.Lion(0.001, weight_decay=0.0)}
WINDOW = ((-1.5, 1.2), (-0.4, 2.9))


@functools.cache
def run(words):
    """The iterates up to T_END."""
    opt = METHODS[words]
    return oo.record(opt, PROBLEM, steps=round(T_END / opt.lr))


@functools.cache
def solution():
    """The inclusion's own."""
    return oo.reference(oo.flows.sign_inclusion(), PROBLEM, t_end=T_END)


def theory(t):
    """The path in closed form: both coordinates, then the second one with its share of the first, then rest."""
    meets = (H[0] @ PROBLEM.x0) / H[0].sum()
    corner, slide = PROBLEM.x0 - meets, np.array([H[0, 1] / H[0, 0], -1.0])
    rests = meets - (H[1] @ corner) / (H[1] @ slide)
    free, sliding = np.minimum(t, meets), np.clip(t, meets, rests) - meets
    return PROBLEM.x0 - free[:, None] + sliding[:, None] * slide


def error(opt):
    """Largest distance to the path."""
    r = oo.record(opt, PROBLEM, steps=round(T_END / opt.lr))
    return np.linalg.norm(r.x - theory(r.t), axis=1).max()


def main():
    """(computed, theory, tolerance): the solver's path; both methods' orders, and their distances in lr."""
    t = np.linspace(0.0, T_END, 200)
    fine = [error(oo.SignGD(h)) for h in (1e-3, 1e-3 / 4)]
    lion = [error(oo.Lion(h, weight_decay=0.0)) for h in (1e-4, 1e-4 / 4)]
    return [(solution()(t), theory(t), 1e-9), (np.log2(fine[0] / fine[1]) / 2, 1.0, 0.1),
            (np.log2(lion[0] / lion[1]) / 2, 1.0, 0.1), (fine[1] / 2.5e-4 < 6.0, True),
            (lion[1] / 2.5e-5 < 150.0, True)]


def draw_figure(fig):
    """Paths on the map; the components of the gradient against flow time."""
    left, right = fig.subplots(1, 2)
    t = np.linspace(0.0, T_END, 400)
    plotting.contours(PROBLEM, left, WINDOW, lines_only=True)
    across = np.array(WINDOW[0])
    for i, row in enumerate(H):
        left.plot(across, -row[0] / row[1] * across, color="#777777", ls="--", lw=1.0)
        left.annotate(f"$g_{i + 1} = 0$", (-1.2, 1.2 * row[0] / row[1]), color="#555555", xytext=(3, 3),
                      textcoords="offset points",
                      bbox={"fc": "white", "ec": "none", "pad": 0.5})
    for words, style in zip(METHODS, ({"ls": "-", "marker": "o", "ms": 2.5}, {"ls": "-"})):
        r, color = run(words), plotting.look(METHODS[words].key)[0]
        left.plot(*r.x.T, color=color, lw=1.2, label=words, **style)
        for i in range(2):
            right.plot(r.t, r.x @ H[i], color=color, lw=1.2)
    left.plot(*theory(t).T, color="#C8C8C8", lw=4.5, label="the inclusion $x' \\in -\\mathrm{Sign}(g)$", zorder=1.5)
    for i in range(2):
        right.plot(t, theory(t) @ H[i], color="#C8C8C8", lw=4.5, zorder=1.5)
        right.annotate(f"$g_{i + 1}$", (0.1, PROBLEM.x0 @ H[i] + 0.05), color="#222222")
    left.set(xlim=WINDOW[0], ylim=WINDOW[1], xlabel="x", ylabel="y", title="the paths slide along $g_1 = 0$")
    right.set(xlabel="flow time $t$", ylabel="components of the gradient", title="one is held at 0, then the other")
    right.legend(*left.get_legend_handles_labels(), loc="upper right")


SIZE = (9.6, 4.4)

if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
