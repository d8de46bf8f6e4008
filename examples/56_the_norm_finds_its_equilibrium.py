"""Weight decay and the gradient balance at |w|^4 = lr sigma^2/(wd (2 - lr wd)): lr acts through lr wd alone.

The loss c arg(w) in the plane has |gradient| |w| = c everywhere, so that n = |w|^2 obeys
n' = (1 - lr wd)^2 n + lr^2 c^2/n exactly. Whatever lr and wd, equal products give equal effective rates lr/n and
equal angles per step after O(1/(lr wd)) steps (Li, Lyu, Arora, arXiv:2010.02916).
"""

import numpy as np

import odeopt as oo
from odeopt.studies.networks.scale_invariance import equilibrium_norm2, norm_recursion

PAIRS = ((0.1, 0.01), (0.01, 0.1), (1.0, 0.001), (0.1, 0.05))
C = 1.3


def norms(lr, decay, steps=4000):
    """|w|^2 along the run."""
    run = oo.record(oo.GradientDescent(lr, weight_decay=decay), oo.problems.angle(C, x0=[1.5, 0.0]), steps=steps)
    return (run.x**2).sum(axis=1)


def main():
    """(computed, theory, tolerance): the recursion, the equilibrium, one effective rate for one product."""
    n = [norms(*pair) for pair in PAIRS]
    exact = norm_recursion(2.25, *PAIRS[0], C * C, 4000)
    ends = np.array([equilibrium_norm2(lr, decay, C * C) for lr, decay in PAIRS])
    rates = np.array([lr / m[-1] for (lr, _), m in zip(PAIRS[:3], n)])
    return [(n[0] / exact, 1.0, 1e-11), (np.array([m[-1] for m in n]) / ends, 1.0, 1e-5),
            (rates, np.sqrt(0.001 * 1.999) / C, 1e-6)]


def draw(ax):
    """Effective rates against lr wd steps."""
    for lr, decay in PAIRS:
        n = norms(lr, decay)
        ax.plot(lr * decay * np.arange(n.size), lr / n, label=f"lr = {lr:g}, wd = {decay:g}")
    ax.set(yscale="log", xlabel=r"lr $\cdot$ wd $\cdot$ steps", ylabel=r"effective rate lr/$|w|^2$", xlim=(0, 4),
           title="equal products, equal effective rates")
    ax.legend()
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
