"""One Muon step of a float32 matrix, ours and torch's, on one and two threads."""

import json
import os
import subprocess
import sys
import time

import numpy as np

from ..optimizers import Muon
from ._clock import turns

SIZES = {True: (256,), False: (1024,)}  # quick or not
THREADS = (1, 2)
NOTES = ["ms per step: best lap, of CPU time on one thread and of wall time on more, as threads wait for each other "
         "(on a busy machine for long); times ours: median of paired laps",
         "torch makes its Newton-Schulz steps in bfloat16, quick where the processor multiplies matrices of it (AMX), "
         "as ours with precision='bfloat16', on one thread whatever the number; ONEDNN_MAX_CPU_ISA=AVX512_CORE shows "
         "torch without; in float32: with that taken out, the arithmetic of ours",
         "15 products: as many of n x n matrices as five steps have, by numpy's BLAS; of 10 of them ours makes a half"]


def rows(quick=False):
    """``(rows, notes)``: milliseconds per step, and each peer's time over ours."""
    found, notes = [], []
    for threads in THREADS:
        # The number of BLAS's threads is read when it is loaded: a process for each.
        words = {name: str(threads) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        code = f"from odeopt.bench import muon; muon.report({threads}, {SIZES[quick]})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                              env={**os.environ, **words, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))})
        rows_, notes_ = json.loads(done.stdout)
        found += rows_
        notes += notes_
    return found, [*sorted(set(notes)), *NOTES]


def report(threads, sizes):
    """Print ``[rows, notes]`` of this process, whose BLAS has so many threads, as JSON."""
    found, notes = [], []
    for n in sizes:
        rng = np.random.default_rng(0)
        x, g = (rng.standard_normal((n, n)).astype(np.float32) for _ in range(2))
        steps = {"odeopt update": _ours(x.copy(), g), "odeopt update in bfloat16": _ours(x.copy(), g, "bfloat16"),
                 "15 products": _products(g)}
        for what, single in (("torch Muon", False), ("torch Muon in float32", True)):
            try:
                steps[what] = _torch(x.copy(), g, threads, single)
            except ImportError as error:
                notes.append(f"{what}: skipped, {error}")
        clock = time.process_time if threads == 1 else time.perf_counter
        laps = dict(zip(steps, np.array(turns(list(steps.values()), 5, clock=clock))))
        for what, seconds in laps.items():
            found.append({"n x n": n, "step": what, "threads": threads, "ms per step": seconds.min() * 1e3,
                          "times ours": float(np.median(seconds / laps["odeopt update"]))})
    print(json.dumps([found, notes]))


def _ours(x, g, precision="full"):
    optimizer = Muon(precision=precision)
    state = optimizer.init(x)
    optimizer.update(x, g, state)
    return lambda: optimizer.update(x, g, state)


def _products(a):
    out = np.empty_like(a)

    def step():
        for _ in range(15):
            np.matmul(a, a, out=out)

    return step


def _torch(x, g, threads, single):
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(threads)
    parameter = torch.from_numpy(x)
    parameter.grad = torch.from_numpy(g.copy())
    optimizer, bfloat16 = torch.optim.Muon([parameter]), torch.Tensor.bfloat16

    def step():
        if single:
            torch.Tensor.bfloat16 = torch.Tensor.clone
        try:
            optimizer.step()
        finally:
            torch.Tensor.bfloat16 = bfloat16

    step()
    return step
