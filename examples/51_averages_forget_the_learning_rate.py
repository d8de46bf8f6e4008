"""The average of n iterates has covariance H^-1 C H^-1/n, whatever the learning rate (SWA; Polyak, Juditsky 1992).

A larger rate makes each iterate noisier and successive iterates less alike; in the average the two
cancel. Exact for SGD, heavy ball and Nesterov, from the same Lyapunov equation.
"""

import numpy as np

import odeopt as oo
from odeopt.studies.noise.stationary import averaged_covariance, stationary

CURVATURE, VARIANCE = 1.3, 0.7
LIMIT = VARIANCE / CURVATURE**2
METHODS = [oo.GradientDescent(0.02), oo.GradientDescent(0.2), oo.GradientDescent(1.0), oo.Momentum(0.1, 0.9),
           oo.Nesterov(0.1, 0.9)]  # fmt: skip


def main():
    """(computed, theory, tolerance): n var at n = 10^6, and samples of an average of 40 against the exact value."""
    n = 10**6
    limits = [n * averaged_covariance(m, [[CURVATURE]], [[VARIANCE]], n)[0, 0] for m in METHODS]
    s = stationary(oo.GradientDescent(0.2), [[CURVATURE]], [[VARIANCE]], paths=5000, average=40)
    return [(np.array(limits), LIMIT, 1e-4), (s.averaged_sampled, s.averaged, float(s.averaged_half_width[0, 0]))]


def draw(ax):
    """n var against n."""
    n = np.unique(np.geomspace(1, 1e5, 60).astype(int))
    for method, style in zip(METHODS, ("-", "-", "-", "--", ":")):
        label = f"{method.title}, lr = {method.lr:g}"
        ax.plot(n, [k * averaged_covariance(method, [[CURVATURE]], [[VARIANCE]], k)[0, 0] for k in n], style,
                label=label)
    ax.axhline(LIMIT, color="#222222", lw=0.9)
    ax.set(xscale="log", yscale="log", xlabel="iterates averaged, n", ylabel="n var(average)",
           title="averaging forgets the learning rate")
    ax.legend()
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
