"""Momentum on a jax network follows the heavy-ball flow: a quarter of the learning rate, half the step in flow time.

A function of parameters and data makes a problem: jax compiles its gradients and Hessian products. Here a 64-8-10
network on 300 digits, squared loss. ``refined(2)`` moves lr to lr/4 and 1 - momentum to half of it, so that the flow
stays x'' + a x' + g = 0; the distance halves.
"""

import functools

import numpy as np

import odeopt as oo
from odeopt import plotting

NEEDS = "jax"
MOMENTUM, TIME = oo.Momentum(0.1, momentum=0.9), 15.0


def loss(params, data):
    """Half the mean squared distance of the outputs from one-hot labels."""
    import jax.numpy as jnp  # pyright: ignore[reportMissingImports]

    images, targets = data
    outputs = jnp.tanh(images @ params["hidden"] + params["bias"]) @ params["out"]
    return 0.5 * ((outputs - targets) ** 2).sum(1).mean()


@functools.cache
def problem():
    """The network with its data, in float64."""
    images, labels = oo.problems.digits()
    rng = np.random.default_rng(0)
    params = {"hidden": rng.uniform(-1, 1, (64, 8)) / 8, "bias": np.zeros(8), "out": rng.uniform(-1, 1, (8, 10)) / 8}
    return oo.Problem.from_jax(loss, params, (images[:300], np.eye(10)[labels[:300]]), name="network")


@functools.cache
def runs():
    """Momentum and two refinements beside the one flow."""
    options = {"t_end": TIME, "local": False, "check": False, "rtol": 1e-7, "atol": 1e-9}
    return {f"lr {one.lr:g}, momentum {one.momentum:g}": oo.compare(one, problem(), **options)
            for one in (MOMENTUM, MOMENTUM.refined(2), MOMENTUM.refined(4))}


def main():
    """(computed, theory, tolerance): ratios of the largest distances."""
    far, near, nearest = (one.max_error for one in runs().values())
    return [(far / near, 2.0, 0.3), (near / nearest, 2.0, 0.15)]


def draw(ax):
    """Distance from the flow against its time."""
    plotting.errors(runs(), ax)
    ax.set_title("momentum on a jax network and the heavy-ball flow")
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
