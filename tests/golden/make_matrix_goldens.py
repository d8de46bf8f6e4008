"""Write matrices.npz: iterates of torch's and optax's Muon on a sequence of gradients of matrices.

Run ``python tests/golden/make_matrix_goldens.py`` with torch and optax installed; the test reads the file. torch makes
its Newton-Schulz steps in bfloat16; here ``Tensor.bfloat16`` is replaced by the identity, so that everything is
float64 and what is compared is the method. Kept are the gradients and the last iterate of each case.
"""

from pathlib import Path

import jax
import numpy as np
import optax
import torch
from optax.contrib import muon

jax.config.update("jax_enable_x64", True)
STEPS, SHAPES = 40, ((5, 3), (3, 5), (4, 4))
TORCH = {
    "plain": {}, "no Nesterov": {"nesterov": False, "weight_decay": 0.0, "momentum": 0.8},
    "match_rms_adamw, 3 steps": {"adjust_lr_fn": "match_rms_adamw", "ns_steps": 3},
}
OPTAX = {"plain": {}, "no Nesterov": {"nesterov": False, "beta": 0.8}, "consistent_rms": {"consistent_rms": 0.2}}


def of_torch(x0, tape, options):
    x = torch.tensor(x0, requires_grad=True)
    opt = torch.optim.Muon([x], lr=0.01, **options)
    for g in tape:
        x.grad = torch.tensor(g)
        opt.step()
    return x.detach().numpy()


def of_optax(x0, tape, options):
    rule, x = muon(0.01, eps=0.0, weight_decay=0.1, **options), jax.numpy.asarray(x0)
    state = rule.init(x)
    for g in tape:
        updates, state = rule.update(jax.numpy.asarray(g), state, x)
        x = optax.apply_updates(x, updates)
    return np.asarray(x)


def main():
    torch.Tensor.bfloat16 = lambda self: self.clone()
    rng, arrays = np.random.default_rng(0), {}
    for shape in SHAPES:
        x0, tape = rng.standard_normal(shape), rng.standard_normal((STEPS, *shape)) + rng.standard_normal(shape)
        key = "x".join(map(str, shape))
        arrays |= {f"{key}/x0": x0, f"{key}/tape": tape}
        arrays |= {f"{key}/torch/{name}": of_torch(x0, tape, options) for name, options in TORCH.items()}
        arrays |= {f"{key}/optax/{name}": of_optax(x0, tape, options) for name, options in OPTAX.items()}
    versions = f"torch {torch.__version__.partition('+')[0]}, optax {optax.__version__}, jax {jax.__version__}"
    np.savez_compressed(Path(__file__).parent / "matrices.npz", versions=np.array(versions), **arrays)


if __name__ == "__main__":
    main()
