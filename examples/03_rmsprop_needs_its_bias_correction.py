"""RMSprop started at v = 0 has order one half; with bias correction it has order one.

From v = 0 the flow starts like sqrt(t), and the first steps of semi-implicit Euler are
sqrt(tau h) long. No later step mends that. Dividing v by 1 - decay^k is what makes RMSprop a
consistent scheme of first order.
"""

import odeopt as oo
from odeopt import plotting

PROBLEM = oo.problems.sine_bowl()


def studies():
    """Convergence without and with bias correction."""
    plain = oo.RMSprop(0.02, decay=0.9)
    corrected = oo.RMSprop(0.02, decay=0.9, bias_correction=True)
    return [oo.convergence(method, PROBLEM, t_end=1.0, levels=10) for method in (plain, corrected)]


def main():
    """(computed, theory, tolerance): the two orders."""
    plain, corrected = studies()
    return [(plain.order, 0.5, 0.05), (corrected.order, 1.0, 0.05)]


def draw(ax):
    """Error against step."""
    plain, corrected = studies()
    ax.set_title("what bias correction does for RMSprop")
    labels = [f"RMSprop from v = 0: order {plain.order:.2f}",
              f"RMSprop with bias correction: order {corrected.order:.2f}"]
    return plotting.convergence([plain, corrected], ax, labels=labels)


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
