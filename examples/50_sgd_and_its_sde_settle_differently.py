"""SGD on a quadratic settles to a Gaussian; its SDE to a narrower one ([A002], conventional wisdom 3).

With gradient noise of covariance C the iterates have the covariance that solves Sigma H + H Sigma - lr H Sigma H =
lr C; the Ornstein-Uhlenbeck process dX = -HX dt + sqrt(lr) C^(1/2) dW lacks the last term on the left. At
lr lambda = 1.6 the SDE is wrong by the factor 1 - lr lambda/2 = 1/5. Five thousand runs decide.
"""

import numpy as np

import odeopt as oo
from odeopt.plotting import stochastic
from odeopt.studies.noise.stationary import stationary

RATE = 0.5
HESSIAN, NOISE = np.array([[3.0, 0.7], [0.7, 1.0]]), np.array([[1.0, 0.3], [0.3, 0.5]])


def study(paths=5_000):
    """The covariances, four ways."""
    return stationary(oo.GradientDescent(RATE), HESSIAN, NOISE, paths=paths, seed=1)


def main():
    """(computed, theory, tolerance): the equation, the samples within their intervals, the factor in 1-D."""
    s = study()
    p = s.discrete
    one = stationary(oo.GradientDescent(RATE), [[3.2]], [[1.0]], paths=200)
    return [(p @ HESSIAN + HESSIAN @ p - RATE * HESSIAN @ p @ HESSIAN, RATE * NOISE, 1e-13),
            (float(s.agrees), 1.0, 0.0), (one.ou[0, 0] / one.discrete[0, 0], 1 - RATE * 3.2 / 2, 1e-12)]


def draw(ax):
    """Two-sigma ellipses."""
    s = study()
    problem = oo.studies.noise.stationary.dense_quadratic(HESSIAN, [0.0, 0.0])
    cloud = oo.stochastic.sample(oo.GradientDescent(RATE), problem, oo.stochastic.gaussian(NOISE), steps=60,
                                 paths=1500).end
    ax.set_title(r"SGD at lr $\lambda_{max}$ = 1.6: the SDE is too narrow")
    return stochastic.stationary(s, ax, samples=cloud)


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
