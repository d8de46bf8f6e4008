"""s gradients buy a stable step of 2s to Euler, and of nearly 2s^2 to Runge–Kutta–Chebyshev.

Stability intervals of gradient descent, classical Runge–Kutta and RKC with s = 5 and damping 0.05,
measured on their kernels. Explicit steps on a stiff valley are limited by stability alone, so the
ratio is what acceleration buys (Eftekhari et al., BIT 2021).
"""

import numpy as np

import odeopt as oo
from odeopt import plotting
from odeopt.schemes.rkc import runge_kutta_chebyshev

STAGES, DAMPING = 5, 0.05
RKC = runge_kutta_chebyshev(STAGES, DAMPING)


def interval():
    """2 w0/w1 with w0 = 1 + damping/s^2, w1 = T_s(w0)/T_s'(w0): there w0 + w1 u = -w0, and |R_s| is 1 again."""
    polynomial = np.polynomial.chebyshev.Chebyshev.basis(STAGES)
    w0 = 1 + DAMPING / STAGES**2
    return 2 * w0 / (polynomial(w0) / polynomial.deriv()(w0))


def main():
    """(computed, theory, tolerance): the intervals."""
    return [(oo.stability_limit(oo.schemes.explicit_euler), 2.0, 1e-10), (oo.stability_limit(RKC), interval(), 1e-8),
            (oo.stability_limit(oo.schemes.rk4), 2.785293563405282, 1e-10)]


SIZE = (7.6, 3.8)


def draw_figure(fig):
    """The three regions, to one scale."""
    window = ((-50, 4), (-9, 13))
    for ax, scheme, cost in zip(fig.subplots(3, 1, sharex=True), (oo.schemes.explicit_euler, oo.schemes.rk4, RKC),
                                (1, 4, STAGES)):
        study = oo.stability_region(scheme, window, resolution=401)
        plotting.stability_region(study, ax, mark=False)
        ax.set(title="", xlabel=r"Re $h\lambda$" if scheme is RKC else "", ylabel="Im")
        name = "Euler (gradient descent)" if cost == 1 else scheme.name
        ax.text(0.01, 0.9, f"{name}: interval {study.limit:.4g}, gradients {cost}", transform=ax.transAxes, va="top")


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
