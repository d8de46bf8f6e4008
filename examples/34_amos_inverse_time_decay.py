"""Amos's inverse-time decay is an exact solution, and its recursion is explicit Euler, so gradient descent.

[A004] sums its step sizes to S, S_{k+1} = S_k + a0 p0 exp(-2 S_k), passes to S' = a0 p0 exp(-2 S)
and finds exp(-2S) = 1/(2 a0 p0 t + 1). The recursion is explicit Euler with step a0 p0 on
S' = exp(-2S), and that is gradient descent with lr = a0 p0 on f(S) = exp(-2S)/2. With h = a0 p0 and
t = h k the recursion stands above the solution by (h/2) ln(2t + 1)/(2t + 1) + O(h^2), at most
h/(2 e) = 0.184 h. (The choice is p = p0 exp(-S). For any p the article has exp(S) - 1 = a0 (integral of p):
with p constant the decay would be 1/(1 + a0 p t)^2, checked likewise.)
Measured: order 1.002, and 1.8405e-4 at the article's a0 = 1e-3 (p0 = 1).
"""

import math

import numpy as np

import odeopt as oo

DECAY = oo.Problem(lambda s: 0.5 * math.exp(-2 * s[0]), lambda s: -np.exp(-2 * s), dim=1, x0=np.zeros(1),
                   name="exp(-2S)/2")


def recursion(rate, t_end):
    """(t, S): the recursion with a0 p0 = rate, run as gradient descent, up to rate k = t_end."""
    run = oo.record(oo.GradientDescent(lr=rate), DECAY, steps=round(t_end / rate))
    return run.t, run.x[:, 0]


def solution(t):
    """S at a0 p0 t = t."""
    return 0.5 * np.log1p(2 * t)


def errors(rates, t_end=5.0):
    """Largest |S_k - S(t_k)| for each a0 p0."""
    return np.array([np.abs(s - solution(t)).max() for t, s in (recursion(rate, t_end) for rate in rates)])


def main():
    """(computed, theory, tolerance): the order, the hand-made recursion, and the decay as a schedule."""
    rates = np.array([0.02, 0.01, 0.005, 0.0025])
    slope = np.log2(errors(rates)[-2] / errors(rates)[-1])
    by_hand = [0.0]
    for _ in range(500):
        by_hand.append(by_hand[-1] + 0.01 * math.exp(-2 * by_hand[-1]))
    k = np.arange(501)
    # exp(S) - 1 = a0 (integral of p) for any p; with p = p0 constant the decay is 1/(1 + a0 p0 t)^2
    constant = oo.Problem(lambda s: math.exp(-s[0]), lambda s: -np.exp(-s), dim=1, x0=np.zeros(1))
    run = [oo.record(oo.GradientDescent(lr=h), constant, steps=round(5 / h)) for h in (0.005, 0.0025)]
    off = [np.abs(r.x[:, 0] - np.log1p(r.t)).max() for r in run]
    return [(np.log2(off[0] / off[1]), 1.0, 0.005), (off[1] / 0.0025, 0.5 / math.e, 2e-3),
            (slope, 1.0, 0.005), (recursion(0.01, 5.0)[1], np.array(by_hand), 1e-13),
            (oo.schedules.inverse_time(2 * 0.01)(k), np.exp(-2 * solution(0.01 * k)), 1e-14),
            (errors([1e-3])[0], 1e-3 / (2 * math.e), 1e-6)]


def draw(ax):
    """The decay by recursion and by the solution."""
    t = np.linspace(0, 5, 300)
    ax.plot(t, 1 / (1 + 2 * t), color="black", label="1/(2 a0 p0 t + 1)")
    for rate in (0.5, 0.1):
        steps, s = recursion(rate, 5.0)
        ax.plot(steps, np.exp(-2 * s), "o-", ms=3, lw=0.7, label=f"recursion, a0 p0 = {rate}")
    ax.set(xlabel="a0 p0 t", ylabel="exp(-2S): learning rate and decay of Amos", title="inverse-time decay")
    ax.legend()
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
