"""A stationary diffusion forgets where it was; a normalised network keeps moving away ([A002]).

On a quadratic E|W_T - W_{T+d}|^2 rises to 2 tr(Sigma) and stays. On the normalised two-layer network the distance
grows for as long as the run is watched, and the average of two epochs of one run has a lower test loss
than either, the average of two runs a far higher one.
"""

import numpy as np

import odeopt as oo
from odeopt.plotting import stochastic
from odeopt.studies.noise.mixing import averaged_pairs, lag_distance_network, lag_distance_quadratic

HESSIAN, NOISE = np.array([[3.0, 0.7], [0.7, 1.0]]), np.array([[1.0, 0.3], [0.3, 0.5]])
SGD = oo.GradientDescent(0.1, weight_decay=0.005)


def distances():
    """On the quadratic and on the network."""
    return (lag_distance_quadratic(oo.GradientDescent(0.2), HESSIAN, NOISE, lags=60, paths=3000, seed=1),
            lag_distance_network(SGD, burn=4000, lags=10, stride=100, paths=6))


def main():
    """(computed, theory, tolerance): samples on the exact curve; growth, gain and loss have their signs."""
    quadratic, network = distances()
    averages = averaged_pairs(SGD, paths=6)
    signs = [np.sign(network.last_doubling - 1.2), np.sign(averages.along_gain), np.sign(averages.across_gain)]
    return [(quadratic.distance / quadratic.plateau, quadratic.predicted / quadratic.plateau, 0.08),
            (np.array(signs), np.array([1.0, 1.0, -1.0]), 0.0)]


def draw(ax):
    """Distance against lag."""
    ax.set_title("a plateau on the quadratic, none on the network")
    return stochastic.lag_distance(distances(), ax)


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
