"""Where heavy-ball momentum is stable, and where it is best: lr < 2 (1 + momentum)/L, Polyak at the tip.

The map is measured on the kernel itself. The best rate on curvatures in [mu, L] is
(sqrt kappa - 1)/(sqrt kappa + 1) at Polyak's parameters.
"""

import numpy as np

import odeopt as oo
from odeopt import plotting

MU, L = 1.0, 10.0


def main():
    """(computed, theory, tolerance): limits at four momenta, and the rate at Polyak's point."""
    momenta = (0.0, 0.5, 0.9, 0.99)
    limits = [oo.stability_limit(oo.Momentum(1.0, m), L) for m in momenta]
    study = oo.spectral_radius_map(oo.Momentum(1 / L), MU, L, lr=[0.1], momentum=[0.5])
    q = (np.sqrt(L / MU) - 1) / (np.sqrt(L / MU) + 1)
    # A double eigenvalue sits at Polyak's point: round-off eps moves it by sqrt(eps).
    return [(limits, 2 * (1 + np.array(momenta)) / L, 1e-10), (study.polyak_radius, q, 1e-7)]


def draw(ax):
    """The map."""
    return plotting.spectral_radius_map(oo.spectral_radius_map(oo.Momentum(1 / L), MU, L), ax)


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
