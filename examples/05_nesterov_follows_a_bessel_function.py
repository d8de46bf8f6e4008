"""Nesterov's momentum (k - 1)/(k + 2) follows x'' + (3/t) x' + g = 0 at t = k sqrt(lr), of order 1 in sqrt(lr).

On a quadratic the flow is a Bessel function, X_i = 2 x0_i J1(z)/z with z = t sqrt(lambda_i)
(Su, Boyd, Candes, arXiv:1503.01243). The iterates ring like it.
"""

import numpy as np
from scipy.special import j1

import odeopt as oo
from odeopt import plotting

LAMBDA = 1.0
PROBLEM = oo.problems.quadratic([LAMBDA], x0=[1.0])


def bessel(t):
    """The flow from 1."""
    z = np.sqrt(LAMBDA) * np.maximum(t, 1e-12)
    return 2 * j1(z) / z


def error(rate, t_end=20.0):
    """Largest distance to the Bessel function at t = k sqrt(lr)."""
    run = oo.record(oo.Nesterov(rate, momentum=None), PROBLEM, steps=int(t_end / np.sqrt(rate)))
    return np.abs(run.x[:, 0] - bessel(run.k * np.sqrt(rate))).max()


def main():
    """(computed, theory, tolerance): the order in sqrt(lr), and the reference solution against the formula."""
    fine, finer = error(1e-4), error(1e-4 / 4)
    solution = oo.reference(oo.flows.nesterov_flow(3.0), PROBLEM, t_end=20.0)
    t = np.linspace(0.5, 20, 100)
    return [(np.log2(fine / finer), 1.0, 0.05), (solution(t)[:, 0], bessel(t), 1e-8)]


def draw(ax):
    """Iterates and the Bessel function."""
    t = np.linspace(0, 20, 500)
    ax.plot(t, bessel(t), color="#222222", lw=1.6, label="flow: $2 J_1(t)/t$")
    color, marker = plotting.look("nesterov")
    for rate, size, face in ((0.01, 6, "white"), (0.0009, 3, color)):
        run = oo.record(oo.Nesterov(rate, momentum=None), PROBLEM, steps=int(20 / np.sqrt(rate)))
        ax.plot(run.k * np.sqrt(rate), run.x[:, 0], marker, ms=size, color=color, mfc=face, mec=color,
                label=f"Nesterov, lr {rate:g}")
    ax.set(xlabel=r"flow time $t = k\sqrt{\mathrm{lr}}$", ylabel="position $x$",
           title="Nesterov's method follows a Bessel function")
    ax.legend()
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
