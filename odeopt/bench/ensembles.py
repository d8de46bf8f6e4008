"""Trajectories times steps per second: blocks of 256 by SIMD against the loops for one trajectory."""

import time

import numpy as np

from .. import threads
from ..engine import batched
from ..engine.record import record
from ..optimizers import Adam, GradientDescent, Momentum
from ..problems import himmelblau, rosenbrock
from ..studies.search.ensemble import ensemble
from ._clock import best


def rows(quick=False):
    """``(rows, notes)``: CPU nanoseconds per trajectory and step, and wall seconds of a basin map."""
    found, steps = [], 1000
    side = 100 if quick else 1000
    for problem in (himmelblau(), rosenbrock()):
        axis = np.linspace(-5, 5, side)
        starts = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        for optimizer in (GradientDescent(1e-4), Momentum(1e-4), Adam(1e-2)):
            few = starts[:: max(1, len(starts) // 2048)]
            cost = {}
            for simd in (True, False):
                done = int(batched.run(problem, optimizer, few, steps, 0, np.inf, 0.0, simd)["k"].sum())

                def call(arguments=(problem, optimizer, few, steps, 0, np.inf, 0.0, simd)):
                    batched.run(*arguments)

                cost[simd] = best(call, 3) / done
            long = 10**5 if quick else 10**6

            def single(arguments=(optimizer, problem, None, long, long)):
                return record(*arguments, specialize=True)

            alone = best(single, 3) / single().final["k"]
            begin = time.perf_counter()
            group = ensemble(optimizer, problem, starts, steps)
            wall = time.perf_counter() - begin
            found.append({"problem": problem.name, "optimizer": optimizer.key,
                          "ns per step in blocks": cost[True] * 1e9,
                          "one by one": cost[False] * 1e9, "times blocks": cost[False] / cost[True],
                          "specialised": alone * 1e9, "specialised times blocks": alone / cost[True],
                          "map": f"{side}x{side}x{steps}", "wall s": wall,
                          "trajectory steps/s": float(group.k.sum()) / wall})
    return found, [f"ns of CPU per step of one trajectory, of the steps done (one that diverges stops): in blocks of "
                   f"{batched.WIDTH}; one by one, in the general loop; specialised: one long run by "
                   "record(specialize=True)",
                   f"map: starts and steps of a basin map, on {threads.available()} threads; its wall time depends on "
                   "what else runs"]
