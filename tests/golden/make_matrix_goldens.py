"""Write matrices.npz: iterates of torch's and optax's Muon, and of pytorch_optimizer's Shampoo and SOAP, on a sequence
of gradients of matrices.

Run ``python tests/golden/make_matrix_goldens.py`` with the three installed; the test reads the file. torch makes its
Newton-Schulz steps in bfloat16; here ``Tensor.bfloat16`` is replaced by the identity, so that everything is float64
and what is compared is the method. So is ``torch.float32`` for SOAP, whose QR is made in it. Kept are the gradients
and the last iterate of each case.

Shampoo sums what the package averages: it is given the gradients BETA^(-k/2) G_k, of which the sums are the averages
times BETA^(-k)/(1 - BETA), and lr/sqrt(1 - BETA). ScalableShampoo averages. Both begin at EPS I.
"""

from importlib.metadata import version
from pathlib import Path

import jax
import numpy as np
import optax
import torch
from optax.contrib import muon
from pytorch_optimizer import SOAP, ScalableShampoo, Shampoo
from pytorch_optimizer.optimizer.utils.graft import LayerWiseGrafting

jax.config.update("jax_enable_x64", True)
STEPS, SHAPES = 40, ((5, 3), (3, 5), (4, 4), (4, 3), (3, 4))
TORCH = {
    "plain": {}, "no Nesterov": {"nesterov": False, "weight_decay": 0.0, "momentum": 0.8},
    "match_rms_adamw, 3 steps": {"adjust_lr_fn": "match_rms_adamw", "ns_steps": 3},
}
BETA, EPS = 0.95, 1e-3
SCALABLE = {
    "betas": (0.0, BETA), "start_preconditioning_step": 1, "preconditioning_compute_steps": 1, "nesterov": False,
    "shape_interpretation": False, "graft_type": LayerWiseGrafting.NONE, "matrix_eps": EPS, "use_svd": True,
}
SOAPS = {
    "every 10": {}, "every 3": {"precondition_frequency": 3, "betas": (0.9, 0.98), "shampoo_beta": 0.9},
    "every 1, short axes": {"precondition_frequency": 1, "max_precondition_dim": 4},
}
OPTAX = {"plain": {}, "no Nesterov": {"nesterov": False, "beta": 0.8}, "consistent_rms": {"consistent_rms": 0.2}}


def of_torch(x0, tape, make, lr=0.01, **options):
    x = torch.tensor(x0, requires_grad=True)
    opt = make([x], lr=lr, **options)
    for g in tape:
        x.grad = torch.tensor(g)
        opt.step()
    return x.detach().numpy()


def of_soap(x0, tape, options):
    single, torch.float32 = torch.float32, torch.float64
    try:
        return of_torch(x0, tape, SOAP, eps=0.0, weight_decay=0.0, **options)
    finally:
        torch.float32 = single


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
        arrays |= {f"{key}/torch/{name}": of_torch(x0, tape, torch.optim.Muon, **options)
                   for name, options in TORCH.items()}
        arrays |= {f"{key}/optax/{name}": of_optax(x0, tape, options) for name, options in OPTAX.items()}
        faded = tape * BETA ** (-0.5 * np.arange(1, STEPS + 1))[:, None, None]
        arrays[f"{key}/Shampoo"] = of_torch(x0, faded, Shampoo, 0.01 / np.sqrt(1 - BETA), matrix_eps=EPS)
        arrays[f"{key}/ScalableShampoo"] = of_torch(x0, tape, ScalableShampoo, **SCALABLE)
        for name, options in SOAPS.items():
            if abs(shape[0] - shape[1]) < 2 or "short" in name:  # else round-off chooses the first basis of a kernel
                arrays[f"{key}/SOAP/{name}"] = of_soap(x0, tape, options)
    versions = (f"torch {torch.__version__.partition('+')[0]}, optax {optax.__version__}, jax {jax.__version__}, "
                f"pytorch_optimizer {version('pytorch_optimizer')}")
    np.savez_compressed(Path(__file__).parent / "matrices.npz", versions=np.array(versions), **arrays)


if __name__ == "__main__":
    main()
