"""Adam is semi-implicit Euler on an autonomous flow of its own, of order 1.

The running weights 1 - beta^k of the bias correction are state too. Refining means lr -> lr/f *and*
1 - beta -> (1 - beta)/f: with the betas fixed there would be another limit.
"""

import odeopt as oo
from odeopt import plotting

PROBLEM = oo.problems.beale()
ADAM = oo.Adam(0.1, beta1=0.8, beta2=0.9)


def main():
    """(computed, theory, tolerance): the order, and Adam against its scheme on its flow."""
    study = oo.convergence(oo.Adam(0.01), oo.problems.sine_bowl(), t_end=1.0, levels=8)
    mild = ADAM.refined(10)
    scheme = oo.Discretization(mild.flow, mild.scheme, mild.h)
    return [(study.order, 1.0, 0.05), (oo.deviation(mild, scheme, PROBLEM), 0.0, 1e-12)]


def draw(ax):
    """Adam and two refinements beside the one flow that they share."""
    runs = {f"lr {o.lr:g}, betas {o.beta1:g}, {o.beta2:g}": oo.compare(o, PROBLEM, t_end=6.0, local=False)
            for o in (ADAM, ADAM.refined(2), ADAM.refined(4))}
    ax.set_title("Adam converges to a flow of its own")
    return plotting.trajectories(PROBLEM, runs, ax, window=((0.5, 3.3), (-0.5, 1.4)))


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
