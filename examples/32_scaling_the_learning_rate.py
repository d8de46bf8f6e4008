"""Decaying Adam's eta is decaying eta/(sqrt(v) + eps): the iterates are the same.

[A001] asks whether learning-rate decay should act on eta or on the effective rate of each
parameter. The update is a product of the two, so a factor may stand at either. Here the package's Adam
under a cosine schedule meets, to round-off, an Adam written out with the factor on the effective rate; with
factors that are powers of 2 (exact in floating point) the iterates are equal bit for bit.

It is not the same where something besides the product contains lr: AdamW's decay (lr times
weight_decay), or the velocity of RMSprop with momentum, which keeps the rates of earlier steps.
"""

import numpy as np

import odeopt as oo

LR, STEPS = 0.02, 400


def written_out(factor):
    """Iterates of Adam with ``factor(k)`` on the vector of effective learning rates."""
    problem = oo.problems.rosenbrock()
    x, m, v, q1, q2 = problem.x0.copy(), 0.0, 0.0, 0.0, 0.0
    path = [x.copy()]
    for k in range(STEPS):
        g = problem.grad(x)
        m, v = m + (1 - 0.9) * (g - m), v + (1 - 0.999) * (g * g - v)
        q1, q2 = q1 + (1 - 0.9) * (1 - q1), q2 + (1 - 0.999) * (1 - q2)
        # the kernel's order of operations: bit for bit needs it
        effective = LR / q1 * m / (np.sqrt(v * (1 / q2)) + 1e-8)
        x = x - factor(k) * effective
        path.append(x.copy())
    return np.array(path)


def scheduled(schedule):
    """Iterates of the package's Adam with ``schedule`` on lr."""
    return oo.record(oo.Adam(lr=LR), oo.problems.rosenbrock(), steps=STEPS, schedule=schedule).x


def main():
    """(computed, theory, tolerance): iterates with the factor on eta, and on eta/(sqrt(v) + eps)."""
    cosine, halving = oo.schedules.cosine(STEPS, end=0.1), oo.schedules.step(50, 0.5)
    return [(scheduled(cosine), written_out(cosine), 1e-12), (scheduled(halving), written_out(halving), 1e-12)]


def draw(ax):
    """Both paths on the plane."""
    for (ours, written, _), words in zip(main(), ("cosine", "halved every 50 steps"), strict=True):
        line, = ax.plot(*ours.T, label=f"{words}: factor on eta")
        ax.plot(*written[::20].T, "o", mfc="none", color=line.get_color(), label="factor on the effective rate")
    ax.set(xlabel="x", ylabel="y", title="one product, two places for the factor")
    ax.legend()
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
