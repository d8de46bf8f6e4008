"""Loops on a formula's kernels (:meth:`odeopt.Problem.from_expression`) against those written by hand."""

import numpy as np

from ..engine.record import record
from ..optimizers import Adam, GradientDescent
from ..problems import Problem, beale, rosenbrock
from ._clock import turns

FORMULAS = (
    (rosenbrock, "(1-x)^2 + 100*(y-x^2)^2"),
    (beale, "(1.5 - x + x*y)^2 + (2.25 - x + x*y^2)^2 + (2.625 - x + x*y^3)^2"),
)


def rows(quick=False):
    """``(rows, notes)``: nanoseconds per step of each, and the ratio."""
    found, steps = [], 10**5 if quick else 10**6
    for factory, text in FORMULAS:
        hand = factory()
        written = Problem.from_expression(text, x0=hand.x0)
        for optimizer in (GradientDescent(1e-4), Adam(1e-4)):
            for special in (True, False):
                calls = [lambda p=p, o=optimizer, s=special: record(o, p, steps=steps, every=steps, specialize=s)
                         for p in (hand, written)]
                by_hand, from_text = turns(calls)
                found.append({"problem": hand.name, "optimizer": optimizer.key,
                              "loop": "specialised" if special else "general",
                              "by hand, ns per step": min(by_hand) / steps * 1e9,
                              "formula, ns per step": min(from_text) / steps * 1e9,
                              "times by hand": float(np.median(np.array(from_text) / by_hand))})
    return found, ["times by hand: median of laps in which the two take turns"]
