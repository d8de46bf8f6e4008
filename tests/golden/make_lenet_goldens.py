"""Write lenet.npz: LeNet-5's loss, scores and gradient by torch's layers, for studies/networks/test_articles.py.

Run by hand where torch is installed (``python tests/golden/make_lenet_goldens.py``). The parameters, images
and directions come from numpy's generator with the seed that the test uses; the gradient is stored along
40 directions.
"""

import pathlib

import numpy as np
import torch

from odeopt.problems.lenet import LeNet5

torch.set_default_dtype(torch.float64)


def scores(network, t, images):
    """The network of torch's layers on the flat parameter tensor ``t``."""
    act = torch.relu if network.activation == "relu" else torch.tanh
    pool = torch.nn.functional.max_pool2d if network.pooling == "max" else torch.nn.functional.avg_pool2d
    layers = network.views(np.arange(network.size))
    a = torch.tensor(images).permute(0, 3, 1, 2)
    for rows, bias in layers[:2]:  # rows of im2col are (row, column, channel)
        weights = t[torch.tensor(rows)].reshape(5, 5, -1, rows.shape[1]).permute(3, 2, 0, 1)
        a = pool(act(torch.nn.functional.conv2d(a, weights, t[torch.tensor(bias)])), 2)
    a = a.flatten(1)
    for i, (rows, bias) in enumerate(layers[2:]):
        a = a @ t[torch.tensor(rows)] + t[torch.tensor(bias)]
        a = act(a) if i < 2 else a
    return a


def main():
    arrays = {"versions": np.array(f"torch {torch.__version__}")}
    for name, network in {"max": LeNet5(3), "average": LeNet5(1, activation="tanh", pooling="average")}.items():
        rng = np.random.default_rng(2)
        w = network.initial(1, np.float64) + 0.05 * rng.standard_normal(network.size)
        images = rng.uniform(0, 1, (6, 32, 32, network.channels))
        labels = rng.integers(0, 10, 6)
        t = torch.tensor(w, requires_grad=True)
        logits = scores(network, t, images)
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels))
        loss.backward()
        arrays |= {name + "_loss": np.array(loss.item()), name + "_logits": logits.detach().numpy(),
                   name + "_along": rng.standard_normal((40, network.size)) @ t.grad.numpy()}
    np.savez_compressed(pathlib.Path(__file__).with_name("lenet.npz"), **arrays)


if __name__ == "__main__":
    main()
