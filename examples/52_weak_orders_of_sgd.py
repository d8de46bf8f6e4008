"""SGD follows dX = -g dt + sqrt(lr) C^(1/2) dW to weak order 1, and the modified SDE to order 2.

The modified SDE has the drift -grad(f + (lr/4)|g|^2), the modified equation of gradient descent
(Li, Tai, E, arXiv:1511.06251). Expectations are exact here (moment recursions), so the slopes are sharp.
"""

import numpy as np

import odeopt as oo
from odeopt.plotting import stochastic
from odeopt.studies.noise.weak_order import integrator_order, weak_order

HESSIAN, NOISE = np.array([[3.0, 0.7], [0.7, 1.0]]), np.array([[1.0, 0.3], [0.3, 0.5]])
X0 = [3.5, -1.0]


def studies():
    """SGD against both SDEs, and the two integrators against the SDE."""
    sgd = [weak_order(oo.GradientDescent(0.125), HESSIAN, NOISE, X0, 2.0, order=k, levels=8) for k in (1, 2)]
    return sgd + [integrator_order(scheme, HESSIAN, NOISE, [1.0, 2.0], 2.0, levels=8, coarsest=16)
                  for scheme in ("euler_maruyama", "weak_second_order")]


def main():
    """(computed, theory, tolerance): four weak orders."""
    return [(study.order, order, 0.05) for study, order in zip(studies(), (1.0, 2.0, 1.0, 2.0))]


def draw(ax):
    """Weak errors against the step."""
    ax.set_title("weak orders of SGD and of the SDE integrators")
    return stochastic.weak_orders(studies(), ax)


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
