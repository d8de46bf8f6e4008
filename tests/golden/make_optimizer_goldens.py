"""Write optimizers.npz and CONFORMANCE.md: iterates of other packages' optimizers, and how far ours are.

Run ``python tests/golden/make_optimizer_goldens.py`` from the repository's root, with torch, optax, schedulefree,
pytorch_optimizer, keras and dog-optimizer installed; the tests read the file and need none of them. Each case is
run twice on each problem: in open loop on one stored sequence of gradients (so that round-off is not amplified by
the problem), and in closed loop on its own gradients. Everything is float64; torch's default dtype is set to
float64, because some of its optimizers make scalars of the default dtype.
"""

import importlib
import os
import sys
from importlib.metadata import version
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import jax
import keras
import numpy as np
import optax
import torch

sys.path.insert(0, str(Path(__file__).parent))
from optimizer_cases import CASES, KEPT, STEPS, problems, replay, tape

jax.config.update("jax_enable_x64", True)
torch.set_default_dtype(torch.float64)
keras.config.set_floatx("float64")
HERE = Path(__file__).parent


def peers(case):
    """The peer's optimizer, of the name ``case.peer``."""
    module, _, name = case.peer.rpartition(".")
    return getattr(importlib.import_module(module), name)


def run_torch(case, x0, gradient):
    x = torch.tensor(x0, requires_grad=True)
    opt = peers(case)([x], **case.peer_arguments)
    if case.peer.startswith("schedulefree"):
        opt.train()
    out = []
    for k in range(STEPS):
        g = torch.tensor(gradient(k, x.detach().numpy().copy()))
        x.grad = g.to_sparse() if "Sparse" in case.peer else g
        opt.step()
        if k + 1 in KEPT:
            out.append(x.detach().numpy().copy())
    return np.array(out)


def run_optax(case, x0, gradient):
    arguments = dict(case.peer_arguments)
    if case.warmup:
        lr = arguments["learning_rate"]
        arguments["learning_rate"] = lambda k: lr * jax.numpy.minimum(1.0, (k + 1.0).astype(float) / case.warmup)
    transformation = peers(case)(**arguments)
    x = jax.numpy.asarray(x0)
    state = transformation.init(x)
    update = jax.jit(transformation.update)
    out = []
    for k in range(STEPS):
        updates, state = update(jax.numpy.asarray(gradient(k, np.asarray(x))), state, x)
        x = optax.apply_updates(x, updates)
        if k + 1 in KEPT:
            out.append(np.asarray(x))
    return np.array(out)


def run_keras(case, x0, gradient):
    x = keras.Variable(x0, dtype="float64")
    opt = peers(case)(**case.peer_arguments)
    opt.build([x])
    out = []
    for k in range(STEPS):
        opt.apply([keras.ops.convert_to_tensor(gradient(k, keras.ops.convert_to_numpy(x).copy()))])
        if k + 1 in KEPT:
            out.append(keras.ops.convert_to_numpy(x).copy())
    return np.array(out)


def run_averaged(case, x0, gradient):
    """torch's average of SGD's iterates, the first one x_start."""
    lr, start, every = (case.peer_arguments[name] for name in ("lr", "start", "every"))
    model = torch.nn.Module()
    model.x = torch.nn.Parameter(torch.tensor(x0))
    opt = torch.optim.SGD([model.x], lr=lr)
    swa_utils = torch.optim.swa_utils
    decay = case.peer_arguments.get("decay")
    average = swa_utils.AveragedModel(model, multi_avg_fn=decay and swa_utils.get_ema_multi_avg_fn(decay))
    out = []
    for k in range(STEPS):
        model.x.grad = torch.tensor(gradient(k, model.x.detach().numpy().copy()))
        opt.step()
        if k + 1 >= start and (k + 1 - start) % every == 0:
            average.update_parameters(model)
        if k + 1 in KEPT:
            out.append((average.module if k + 1 >= start else model).x.detach().numpy().copy())
    return np.array(out)


def run_formula(case, x0, gradient):
    """AdaGrad-Norm as algorithm 1 of Ward, Wu, Bottou has it."""
    x, square = x0.copy(), case.peer_arguments["b0"] ** 2
    out = []
    for k in range(STEPS):
        g = gradient(k, x)
        square += g @ g
        x = x - case.peer_arguments["eta"] / np.sqrt(square) * g
        if k + 1 in KEPT:
            out.append(x.copy())
    return np.array(out)


RUNS = {"optax": run_optax, "keras": run_keras, "formula": run_formula}


def deviation(ours, theirs):
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def main():
    arrays, rows = {}, []
    found = problems()
    for name, (problem, x0) in found.items():
        arrays[f"tape/{name}"] = tape(problem, x0)
    for case in CASES:
        run = run_averaged if case.averaged else RUNS.get(case.peer.partition(".")[0], run_torch)
        worst = {"open": 0.0, "closed": 0.0}
        for name, (problem, x0) in found.items():
            stored = arrays[f"tape/{name}"]
            for loop, gradient in (("open", lambda k, x, stored=stored: stored[k]),
                                   ("closed", lambda k, x, problem=problem: problem.grad(x))):
                theirs = run(case, x0, gradient)
                arrays[f"{case.key}/{name}/{loop}"] = theirs
                ours = replay(case.make(), x0, gradient, case.objective_decay, case.warmup, case.averaged)
                worst[loop] = max(worst[loop], deviation(ours, theirs))
        rows.append((case, worst))
        print(f"{case.key:45s} {worst['open']:.1e} {worst['closed']:.1e}", flush=True)
    names = ("torch", "optax", "jax", "schedulefree", "pytorch_optimizer", "keras", "dog-optimizer")
    versions = ", ".join(f"{name} {version(name).partition('+')[0]}" for name in names)
    np.savez_compressed(HERE / "optimizers.npz", versions=np.array(f"{versions}, numpy {np.__version__}, float64"),
                        kept=KEPT, **arrays)
    (HERE / "CONFORMANCE.md").write_text(table(versions, rows), encoding="utf-8")


def table(versions, rows):
    lines = [
        "# Conformance with the optimizers of other packages",
        "",
        f"Written by `make_optimizer_goldens.py` with {versions}.",
        f"Largest deviation of {STEPS} steps, relative to the largest iterate, over Rosenbrock, Beale and a rotated",
        "quadratic of condition 1000: on one stored sequence of gradients (open loop) and on the method's own",
        "gradients (closed loop).",
        "",
        "| peer | case | here | open loop | closed loop | |",
        "|---|---|---|---|---|---|",
    ]
    for case, worst in rows:
        arguments = ", ".join(f"{k}={v!r}" for k, v in case.arguments.items())
        note = f"**differs**: {case.differs}" if case.differs else case.note
        if case.objective_decay:
            note = f"weight decay {case.objective_decay} as part of the objective"
        lines.append(f"| {case.peer} | {case.name} | `{case.method}({arguments})` | {worst['open']:.1e} | "
                     f"{worst['closed']:.1e} | {note} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
