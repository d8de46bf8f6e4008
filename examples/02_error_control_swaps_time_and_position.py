"""Divide the gradient by its size and time and position change places ([A000], eq. 9-11).

Each step of error-controlled Euler moves x by exactly tol, in the flow time tol/|g|. On f = x^2/2
the position is then the trivial coordinate, x_n = x0 - n tol, and the *time* is what the method
integrates: t_n = sum of tol/x_k, Euler's rule for log(x0/x). Order 1 in tol.
"""

import numpy as np

import odeopt as oo

PROBLEM = oo.problems.quadratic([1.0], x0=[2.0])


def main():
    """(computed, theory, tolerance): every step's length, the time by hand, and the order in tol."""
    run = oo.record(oo.ErrorControlledEuler(0.02), PROBLEM, steps=90)
    lengths = np.abs(np.diff(run.x[:, 0]))
    by_hand = np.cumsum(0.02 / (2.0 - 0.02 * np.arange(90)))
    study = oo.convergence(oo.ErrorControlledEuler(0.02), PROBLEM, t_end=1.0, levels=7)
    return [(lengths, 0.02, 1e-14), (run.t[1:], by_hand, 1e-12), (study.order, 1.0, 0.05)]


def draw(ax):
    """Position against time for three tolerances, beside 2 exp(-t)."""
    t = np.linspace(0, 3, 300)
    ax.plot(t, 2 * np.exp(-t), color="#222222", lw=1.6, label="flow $x = 2e^{-t}$")
    for tol, marker in ((0.4, "s"), (0.2, "o"), (0.1, ".")):
        run = oo.record(oo.ErrorControlledEuler(tol), PROBLEM, steps=round(1.8 / tol))
        ax.plot(run.t, run.x[:, 0], marker, ls="none", label=f"tol = {tol}: equal steps in x")
        if tol == 0.4:
            ax.hlines(run.x[:, 0], 0, run.t, color="#56B4E9", lw=0.8, zorder=0)
    ax.set(xlabel="flow time $t$", ylabel="position $x$", xlim=(0, 3), ylim=(0, 2.1),
           title="error control: equal steps in x, growing steps in t")
    ax.legend()
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
