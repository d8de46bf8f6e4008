"""Heavy-ball momentum is the Störmer–Verlet scheme on x'' + a x' + g = 0, of order 2.

With momentum (1 - ah/2)/(1 + ah/2), lr = h^2/(1 + ah/2) and a half-step velocity at the start.
The naive reading (momentum = 1 - ah, lr = h^2, from rest) of the same update is symplectic Euler, of order 1.
"""

import odeopt as oo
from odeopt import plotting

PROBLEM = oo.problems.sine_bowl()
VERLET = oo.Momentum(0.02, 0.92, reading="stormer_verlet")
EULER = oo.Momentum(0.02, 0.92)


def studies():
    """Convergence of both readings."""
    return [oo.convergence(VERLET, PROBLEM, t_end=4.0, levels=7, start="consistent"),
            oo.convergence(EULER, PROBLEM, t_end=4.0, levels=7)]


def main():
    """(computed, theory, tolerance): the orders, and the iterates against the scheme's own."""
    verlet, euler = studies()
    scheme = oo.Discretization(VERLET.flow, oo.schemes.stormer_verlet, VERLET.h)
    same = oo.deviation((VERLET, "consistent"), scheme, PROBLEM)
    return [(verlet.order, 2.0, 0.05), (euler.order, 1.0, 0.05), (same, 0.0, 1e-12)]


def draw_figure(fig):
    """Phase portrait, and the two orders."""
    left, right = fig.subplots(1, 2)
    run = oo.compare(VERLET, PROBLEM, steps=90, start="consistent")
    plotting.phase_portrait(run, left)
    left.set_title("position and velocity")
    verlet, euler = studies()
    plotting.convergence([verlet, euler], right, labels=[
        f"Störmer–Verlet reading: order {verlet.order:.2f}", f"symplectic Euler reading: order {euler.order:.2f}"])
    right.set_title("one update, two readings")


SIZE = (8.8, 4.4)


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
