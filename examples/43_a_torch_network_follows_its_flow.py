"""Gradient descent on a torch network follows the network's gradient flow, half as far from it with half the step.

A module of one's own, a loss and data make a problem: its parameters are the variables, autograd gives gradients and
Hessian products. Here a 64-8-10 network on 300 digits, cross entropy; the reference of the flow calls the module as
the run does.
"""

import functools

import odeopt as oo
from odeopt import plotting

NEEDS = "torch"
LR, TIME = 0.8, 24.0


@functools.cache
def problem():
    """The network with its data."""
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)  # fastest for so few parameters
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.Tanh(), torch.nn.Linear(8, 10)).double()
    images, labels = oo.problems.digits()
    return oo.Problem.from_torch(module, torch.nn.CrossEntropyLoss(), (images[:300], labels[:300]), name="network")


@functools.cache
def runs():
    """Three step sizes beside the one flow."""
    return {f"lr {lr:g}": oo.compare(oo.GradientDescent(lr), problem(), t_end=TIME, local=False, check=False, rtol=1e-7,
                                     atol=1e-9) for lr in (LR, LR / 2, LR / 4)}


def main():
    """(computed, theory, tolerance): ratios of the largest distances; and the start, taken apart and joined again."""
    far, near, nearest = (one.max_error for one in runs().values())
    p = problem()
    back = p.flatten(p.unflatten(p.x0))
    return [(far / near, 2.0, 0.15), (near / nearest, 2.0, 0.1), (back, p.x0, 0)]


def draw(ax):
    """Distance from the flow against its time."""
    plotting.errors(runs(), ax)
    ax.set_title("gradient descent on a torch network and its flow")
    return ax


if __name__ == "__main__":
    from odeopt.plotting.gallery import show

    show(__file__)
