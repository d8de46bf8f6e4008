"""Write muon.npz: the first step from 0 of torch's Muon as it is, with its Newton-Schulz steps in bfloat16.

Run ``python tests/golden/make_muon_goldens.py`` with torch installed; the test reads the file and takes the gradients
from here. Their numbers are bfloat16 and their norm is 1 to 1e-4, so that torch, which rounds them and the norm before
its first Newton-Schulz step, changes nothing, and only the steps are compared. Of a large matrix the first rows are
kept, of each number the half that is not 0.
"""

from pathlib import Path

import numpy as np

SHAPES, ROWS = ((5, 3), (3, 5), (7, 7), (160, 160), (250, 170)), 8


def gradient(rows, columns):
    """A full (rows, columns) matrix of no structure, of whole numbers before it is scaled."""
    i, j = np.arange(rows)[:, None], np.arange(columns)
    g = ((i * i * 7919 + j * j * 31 + i * j * 104729) % 251 - 125.0)
    bits = (g / np.sqrt((g * g).sum())).astype(np.float32).view(np.uint32)
    return ((bits + 0x8000) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def main():
    import torch

    arrays = {}
    for shape in SHAPES:
        x = torch.zeros(shape)
        x.grad = torch.from_numpy(gradient(*shape))
        torch.optim.Muon([x], lr=1.0, momentum=0.0, weight_decay=0.0).step()
        phi = -x[:ROWS] / max(1.0, shape[0] / shape[1]) ** 0.5
        arrays["x".join(map(str, shape))] = (phi.bfloat16().float().numpy().view(np.uint32) >> 16).astype(np.uint16)
    versions = f"torch {torch.__version__.partition('+')[0]}, {torch.backends.cpu.get_cpu_capability()}"
    np.savez_compressed(Path(__file__).parent / "muon.npz", versions=np.array(versions), **arrays)


if __name__ == "__main__":
    main()
