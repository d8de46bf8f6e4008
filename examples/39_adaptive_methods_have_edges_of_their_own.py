"""RMSprop goes to the edge at 2/lr and Adam to that at 38/lr, of the Hessian divided by their preconditioner.

The 64-32-32-10 tanh network on 500 digits. What counts for a method that divides by sqrt(v) is the largest eigenvalue
of P^-1 H, P = sqrt(v) + eps; its limit is 2/lr for RMSprop and 2 (1 + beta1)/((1 - beta1) lr) for Adam, 38/lr at beta1
= .9 (Cohen et al., arXiv:2207.14484). With steps a quarter as large, on the same flow, it goes on rising
(progressive sharpening); the methods stay at the limit.
"""

import functools

import numpy as np

import odeopt as oo

METHODS, STEPS, FINER = (oo.RMSprop(lr=3e-4, decay=0.99), oo.Adam(lr=5e-3)), 1500, 4
COLORS = "#0072B2", "#D55E00"


@functools.cache
def studies():
    """For each method its run, and that with steps a quarter as large: as far from the edge, on the same flow."""
    problem, measure = oo.problems.digits_network(), oo.studies.stability.sharpness
    return [(measure(method, problem, steps=STEPS, every=50),
             measure(method.refined(FINER), problem, steps=FINER * STEPS, every=50 * FINER)) for method in METHODS]


def main():
    """(computed, theory, tolerance): lr times the limits; the sharpness late in the runs over its limit; whether it
    goes far beyond with smaller steps."""
    (rmsprop, _), (adam, _) = found = studies()
    late = [run.preconditioned[run.k > 1000, 0].mean() / run.limit for run, _ in found]
    beyond = all(np.nanmax(finer.preconditioned) > 1.5 * run.limit for run, finer in found)
    return [(METHODS[0].lr * rmsprop.limit, 2.0, 1e-9), (METHODS[1].lr * adam.limit, 38.0, 1e-9),
            (late, [1.0, 1.0], 0.12), (beyond, True, 0)]


def draw(ax):
    """Sharpness over the limit against the step."""
    ax.axhline(1.0, color="#222222", ls=":", lw=1.2, label="the limit of each")
    for (run, finer), method, color, words in zip(studies(), METHODS, COLORS, ("2/lr", "38/lr")):
        ax.plot(run.k, run.preconditioned[:, 0] / run.limit, color=color, lw=1.6,
                label=f"{method.title}, limit {words}")
        ax.plot(finer.k / FINER, finer.preconditioned[:, 0] / run.limit, color=color, ls="--", lw=1.2,
                label=f"{method.title}, lr/{FINER}")
    ax.set(xlabel="step $k$ (at lr)", ylabel=r"$\lambda_{max}(P^{-1} H)$ over the limit at lr", ylim=(0, 6.4),
           title="RMSprop and Adam have edges of their own")
    ax.legend(loc="upper left", ncols=2)
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
