"""One Adam step over n parameters: ours, numpy, torch (single-tensor, foreach, fused), optax jitted."""

import numpy as np

from ..optimizers import Adam
from ._clock import turns

SIZES = (10, 1_000, 10_000, 1_000_000, 10_000_000)
NOTES = ["us per step: best lap; times ours: over odeopt update, median of paired laps",
         "odeopt update checks its arrays and counts the steps; odeopt kernel is the bare kernel",
         "CPU time of all threads: torch is held to one, XLA (optax) takes more on large arrays",
         "numpy: in place, with two arrays of scratch"]


def rows(quick=False):
    """``(rows, notes)``: microseconds per step, and each peer's time over ours."""
    found, notes = [], []
    for size in SIZES[:4] if quick else SIZES:
        rng = np.random.default_rng(0)
        x, g = rng.standard_normal(size), rng.standard_normal(size)
        steps = {}
        for what, peer in PEERS.items():
            try:
                steps[what] = peer(x.copy(), g.copy())
            except ImportError as error:
                notes.append(f"{what}: skipped, {error}")
        laps = dict(zip(steps, np.array(turns(list(steps.values())))))
        for what, seconds in laps.items():
            found.append({"n": size, "step": what, "us per step": seconds.min() * 1e6,
                          "ns per parameter": seconds.min() / size * 1e9,
                          "times ours": float(np.median(seconds / laps["odeopt update"]))})
    return found, [*sorted(set(notes)), *NOTES]


def _ours(x, g):
    optimizer = Adam()
    state = optimizer.init(x)
    optimizer.update(x, g, state)
    return lambda: optimizer.update(x, g, state)


def _kernel(x, g):
    optimizer = Adam()
    s, p, kernel = optimizer.start(x), optimizer.p, optimizer.kernel
    kernel(0, p, x, g, s)
    return lambda: kernel(1, p, x, g, s)


def _numpy(x, g):
    m, v, a, b, k = np.zeros_like(x), np.zeros_like(x), np.empty_like(x), np.empty_like(x), [0]

    def step():
        k[0] += 1
        np.multiply(m, 0.9, out=m)
        np.multiply(g, 0.1, out=a)
        np.add(m, a, out=m)
        np.multiply(v, 0.999, out=v)
        np.multiply(g, g, out=a)
        np.multiply(a, 0.001, out=a)
        np.add(v, a, out=v)
        np.divide(v, 1 - 0.999 ** k[0], out=a)
        np.sqrt(a, out=a)
        np.add(a, 1e-8, out=a)
        np.multiply(m, 1e-3 / (1 - 0.9 ** k[0]), out=b)
        np.divide(b, a, out=b)
        np.subtract(x, b, out=x)

    return step


def _torch(**options):
    def make(x, g):
        import torch  # pyright: ignore[reportMissingImports]

        torch.set_num_threads(1)
        parameter = torch.from_numpy(x)
        parameter.grad = torch.from_numpy(g)
        optimizer = torch.optim.Adam([parameter], **options)
        optimizer.step()
        return optimizer.step

    return make


def _optax(x, g):
    import jax  # pyright: ignore[reportMissingImports]
    import optax  # pyright: ignore[reportMissingImports]

    with jax.enable_x64(True):
        rule = optax.adam(1e-3)
        a, b = jax.numpy.asarray(x), jax.numpy.asarray(g)
        carry = [a, rule.init(a)]

        def one(x, state, g):
            updates, state = rule.update(g, state, x)
            return optax.apply_updates(x, updates), state

        one = jax.jit(one, donate_argnums=(0, 1))

        def step():
            with jax.enable_x64(True):
                carry[:] = one(*carry, b)  # pyright: ignore[reportCallIssue]
                carry[0].block_until_ready()

        step()
    return step


PEERS = {"odeopt update": _ours, "odeopt kernel": _kernel, "numpy": _numpy,
         "torch single-tensor": _torch(foreach=False, fused=False), "torch foreach": _torch(foreach=True),
         "torch fused": _torch(fused=True), "optax jitted": _optax}
