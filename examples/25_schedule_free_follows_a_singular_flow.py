"""Schedule-Free SGD follows a'' + (2/t) a' + g/t = 0, with the gradient at a + (1 - momentum) t a', to first order.

The damping 2/t and the force g/t are singular at t = 0, where the smooth solution sets off with half of the
gradient, a' = -g/2. On f = x^2/2 and with momentum 1, so that the gradient is taken at the average a, it is a Bessel
function: a = x0 J1(2 sqrt(t))/sqrt(t), which comes to rest like t^(-3/4). Momentum .9 damps it: t a' enters
with the factor .1, a'' + (2/t + .1) a' + a/t = 0.
"""

import functools

import numpy as np
from scipy.special import j1

import odeopt as oo
from odeopt import plotting

PROBLEM = oo.problems.quadratic([1.0], x0=[1.0])
T_END, LR, MOMENTA = 60.0, 0.1, (0.9, 1.0 - 1e-9)


@functools.cache
def run(momentum, lr):
    """The averages a of a run, at their flow times."""
    r = oo.record(oo.ScheduleFreeSGD(lr, momentum), PROBLEM, steps=round(T_END / lr), memory=True)
    return r.t, r.memory[:, 1, 0]


@functools.cache
def solution(momentum, times=60_001):
    """The average along the package's flow, from its smooth start: between the times a straight line is as good."""
    flow, t = oo.ScheduleFreeSGD(LR, momentum).flow, np.linspace(0.0, T_END, times)
    z = np.array([PROBLEM.x0, PROBLEM.x0, PROBLEM.x0, [0.0]])
    return t, oo.reference(flow, PROBLEM, z, t_end=T_END, rtol=1e-10, atol=1e-12).state(t)[:, 2, 0]


def bessel(t):
    """The average at momentum 1."""
    root = np.sqrt(np.maximum(t, 1e-12))
    return j1(2 * root) / root


def error(momentum, lr):
    """Largest distance of the averages to the flow's."""
    t, a = run(momentum, lr)
    return np.abs(a - np.interp(t, *solution(momentum))).max()


def main():
    """(computed, theory, tolerance): the flow at momentum 1 against the formula; the order at both momenta."""
    t, a = solution(MOMENTA[1])
    orders = [np.log2(error(momentum, 0.02) / error(momentum, 0.01)) for momentum in MOMENTA]
    return [(a, bessel(t), 1e-6), (orders[0], 1.0, 0.05), (orders[1], 1.0, 0.05)]


def draw(ax):
    """Averages and flows."""
    color, marker = plotting.look("schedulefreesgd")
    for momentum, shade, words in zip(MOMENTA, (color, "#CC6677"), ("0.9", "1")):
        ax.plot(*solution(momentum), color=shade, lw=1.6, label=f"flow, momentum {words}")
        t, a = run(momentum, LR)
        ax.plot(t[::12], a[::12], marker, ms=5, mfc="white", color=shade, label=f"Schedule-Free SGD, lr {LR:g}")
    ax.axhline(0.0, color="#999999", lw=0.8)
    ax.set(xlabel="flow time $t = k\\,$lr", ylabel="average of the iterates $a$",
           title="Schedule-Free SGD beside its singular flow")
    ax.legend()
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
