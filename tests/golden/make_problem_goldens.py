"""Write problems.json: losses, gradients and Hessian products of the digits models by torch autograd.

Run ``python tests/golden/make_problem_goldens.py`` from the repository's root, with torch
installed; the tests read the file and do not need torch.
"""

import json
from pathlib import Path

import numpy as np
import torch

from odeopt.problems import digits

HIDDEN = 32
ENTRIES = 12  # of each gradient and product, spread evenly


def at(n, phase):
    """The point (or direction) of the goldens: no random numbers, no symmetry."""
    return 0.3 * np.sin(np.arange(n) * 1.7 + phase)


def logistic(x, images, labels):
    scores = images @ x[:640].reshape(64, 10) + x[640:]
    return torch.nn.functional.cross_entropy(scores, labels) + 0.5e-3 * (x @ x)


def mlp(x, images, labels):
    w1, b1, w2, b2 = torch.split(x, [64 * HIDDEN, HIDDEN, HIDDEN * 10, 10])
    h = torch.tanh(images @ w1.reshape(64, HIDDEN) + b1)
    return torch.nn.functional.cross_entropy(h @ w2.reshape(HIDDEN, 10) + b2, labels) + 0.5e-4 * (x @ x)


def summary(vector):
    some = np.linspace(0, vector.size - 1, ENTRIES).astype(int)
    return {"norm": float(np.linalg.norm(vector)), "entries": vector[some].tolist()}


def golden(loss, n, images, labels):
    x, v = torch.tensor(at(n, 0.0)), torch.tensor(at(n, 1.0))

    def f(x):
        return loss(x, images, labels)

    value, product = torch.autograd.functional.hvp(f, x, v)
    gradient = torch.autograd.functional.jacobian(f, x)
    return {"f": value.item(), "grad": summary(gradient.numpy()), "hessp": summary(product.numpy())}


def main():
    images, labels = (torch.tensor(part) for part in digits())
    batch = torch.arange(0, 1797, 29)
    out = {"made by": f"torch {torch.__version__}, numpy {np.__version__}, float64"}
    for name, loss, n in (("digits-logistic", logistic, 650), ("digits-mlp", mlp, 2410)):
        out[name] = golden(loss, n, images, labels)
        out[f"{name} batch"] = golden(loss, n, images[batch], labels[batch])
    Path(__file__).with_name("problems.json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
