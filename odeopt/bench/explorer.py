"""Milliseconds from a slider's move to the numbers of the new picture, five methods on a plane problem."""

import statistics
import time

from ..explore import model
from ..explore.state import State

NOTES = ["CPU time on the server, of all that is computed for a picture: runs, flows, orders, stability; the browser's "
         "drawing not counted; 50 ms are what a hand does not notice"]


def rows(quick=False):
    """``(rows, notes)``: median and worst of 200 moves."""
    state, found = State(), []
    moves = {"the start": lambda i: state.changed(x0=(1.0 + 0.001 * i, 1.2)),
             "a learning rate": lambda i: state.with_value("adam", "lr", 0.03 * 1.002**i),
             "the refinement": lambda i: state.changed(refinement=i % 4, x0=(1.0 + 0.001 * i, 1.2))}
    for what, move in moves.items():
        times = []
        model.picture(move(1))
        for i in range(40 if quick else 200):
            begin = time.process_time()
            model.picture(move(i))
            times.append(1e3 * (time.process_time() - begin))
        found.append({"moved": what, "methods": len(state.methods), "median ms": statistics.median(times),
                      "worst ms": max(times)})
    return found, NOTES
