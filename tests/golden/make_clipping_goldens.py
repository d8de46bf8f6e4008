"""Write clipping.npz: torch's iterates of a list of arrays in two groups, with the gradients clipped before each step.

Run ``python tests/golden/make_clipping_goldens.py`` from the repository's root, with torch and numpy installed; the
test reads the file and needs neither.
"""

from pathlib import Path

import numpy as np
import torch

SHAPES, STEPS = [(2, 3), (4,), (3, 1)], 12
CLIPS = {"norm": (torch.nn.utils.clip_grad_norm_, 1.5), "value": (torch.nn.utils.clip_grad_value_, 0.4)}
METHODS = {
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9),
    "adam": lambda groups: torch.optim.Adam(groups, lr=0.1),
}


def main():
    rng = np.random.default_rng(0)
    start = [rng.standard_normal(shape) for shape in SHAPES]
    tape = [[10.0 ** rng.uniform(-1, 1) * rng.standard_normal(shape) for shape in SHAPES] for _ in range(STEPS)]
    tape[3] = [1e-3 * g for g in tape[3]]  # nothing to clip
    tape[5] = [1e30 * g for g in tape[5]]
    arrays = {f"start/{i}": x for i, x in enumerate(start)}
    arrays |= {f"gradients/{k}/{i}": g for k, step in enumerate(tape) for i, g in enumerate(step)}
    for method, make in METHODS.items():
        for clip, (function, bound) in CLIPS.items():
            xs = [torch.tensor(x, requires_grad=True) for x in start]
            opt = make([{"params": [xs[0], xs[2]]}, {"params": [xs[1]], "lr": 0.02}])
            for step in tape:
                for x, g in zip(xs, step, strict=True):
                    x.grad = torch.tensor(g)
                function(xs, bound)
                opt.step()
            arrays |= {f"{method}/{clip}/{i}": x.detach().numpy() for i, x in enumerate(xs)}
    np.savez_compressed(Path(__file__).parent / "clipping.npz", version=np.array(torch.__version__), **arrays)


if __name__ == "__main__":
    main()
