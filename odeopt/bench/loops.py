"""Steps per second on the plane Rosenbrock function: ours, C, torch, optax in a fori_loop, pyensmallen."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from ..engine.record import record
from ..optimizers import Adam, GradientDescent
from ..problems import rosenbrock
from ._clock import best

STEPS = 20_000_000
LR = 1e-4
NOTES = ["times C: over C at -O3 -march=native with fused multiply-add; times rounded C: over C that rounds after "
         "every operation, as the jitted loops do (fusing gives other digits)",
         "record keeps every 1000th point; the recorder's checks: f, gradient and step finite, every step",
         "torch: an optimizer.step() of Python's each, pyensmallen: C++ that calls a gradient of Python's; both "
         "gradients are our compiled one"]


def rows(quick=False):
    """``(rows, notes)``: nanoseconds per step of each loop, and the ratio to C."""
    steps = STEPS // 10 if quick else STEPS
    problem, found, notes = rosenbrock(), [], []
    c, note = _c(steps)
    notes += note
    for optimizer, key in ((GradientDescent(LR), "gradientdescent"), (Adam(LR), "adam")):
        def add(what, seconds_a_step, optimizer=optimizer, key=key):
            ns = seconds_a_step * 1e9
            found.append({"optimizer": optimizer.key, "loop": what, "ns per step": ns,
                          "times C": ns / c.get(key, float("nan")),
                          "times rounded C": ns / c.get(f"{key}_rounded", float("nan"))})

        for what, special in (("record, specialised", True), ("record, general", False)):
            run = record(optimizer, problem, steps=1000, specialize=special)
            if "not used" in run.message:
                notes.append(run.message)
                continue
            add(what, best(lambda o=optimizer, s=special: record(o, problem, steps=steps, every=1000, specialize=s), 3)
                / steps)
        for what, name in (("C, fused multiply-add", key), ("C, rounded", f"{key}_rounded"),
                           ("C, fused multiply-add, the recorder's checks", f"{key}_checked"),
                           ("C, rounded, the recorder's checks", f"{key}_checked_rounded")):
            if name in c:
                add(what, c[name] * 1e-9)
        peers = {"torch": _torch, "optax in a fori_loop": _optax}
        if key == "adam":
            peers["pyensmallen"] = _ensmallen
        for what, peer in peers.items():
            try:
                add(what, peer(key))
            except ImportError as error:
                notes.append(f"{what}: skipped, {error}")
    return found, [*sorted(set(notes)), *NOTES]


def _c(steps):
    """Nanoseconds per step of each loop of loop.c, by name; notes.

    Names that end in ``_rounded`` are of a second build that rounds after every operation, as the
    jitted loops do (a compiler that fuses multiplications and additions gives other digits).
    """
    compiler = next((path for path in map(shutil.which, ("gcc", "clang", "cc")) if path), None)
    if compiler is None:
        return {}, ["C: skipped, no compiler found"]
    with tempfile.TemporaryDirectory() as folder:
        source, times = Path(__file__).with_name("loop.c"), {}
        for ending, flags in (("", ["-march=native"]), ("_rounded", ["-ffp-contract=off"])):
            program = Path(folder) / f"loop{ending}"
            command = [compiler, "-O3", *flags, str(source), "-o", str(program), "-lm"]
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=120)
                runs = [subprocess.run([str(program), str(steps)], check=True, capture_output=True, text=True,
                                       timeout=300) for _ in range(3)]
            except (OSError, subprocess.SubprocessError) as error:
                return {}, [f"C: skipped, {error}"]
            for run in runs:
                for line in run.stdout.splitlines():
                    name, ns, *_ = line.split()
                    times[name + ending] = min(float(ns), times.get(name + ending, float("inf")))
    return times, []


def _torch(key, steps=300):
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    x = torch.tensor([-1.2, 1.0], dtype=torch.float64)
    x.grad = torch.zeros_like(x)
    make = torch.optim.SGD if key == "gradientdescent" else torch.optim.Adam
    optimizer, kernel, data = make([x], lr=LR), rosenbrock().fg, rosenbrock().data
    a, g = x.numpy(), x.grad.numpy()

    def run():
        for _ in range(steps):
            kernel(a, g, data)
            optimizer.step()

    return best(run, 3) / steps


def _optax(key, steps=200_000):
    import jax  # pyright: ignore[reportMissingImports]
    import optax  # pyright: ignore[reportMissingImports]

    with jax.enable_x64(True):
        numpy = jax.numpy

        def f(x):
            return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2

        rule = optax.sgd(LR) if key == "gradientdescent" else optax.adam(LR)
        gradient = jax.grad(f)

        def body(_, carry):
            x, state = carry
            updates, state = rule.update(gradient(x), state, x)
            return optax.apply_updates(x, updates), state

        @jax.jit
        def run(x):
            return jax.lax.fori_loop(0, steps, body, (x, rule.init(x)))[0]

        x0 = numpy.array([-1.2, 1.0])
        run(x0).block_until_ready()
        return best(lambda: run(x0).block_until_ready(), 3) / steps


def _ensmallen(key, steps=100_000):
    import numpy as np
    import pyensmallen  # pyright: ignore[reportMissingImports]

    kernel, data = rosenbrock().fg, rosenbrock().data

    def objective(x, g):
        return kernel(x, g, data)

    optimizer = pyensmallen.Adam()
    optimizer.maxIterations, optimizer.stepSize, optimizer.tolerance = steps, LR, -1.0
    return best(lambda: optimizer.optimize(objective, np.array([-1.2, 1.0])), 3) / steps
