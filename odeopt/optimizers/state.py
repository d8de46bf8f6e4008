"""The training-loop face: state for one array or a list of arrays, updated in place."""

from dataclasses import dataclass

import numpy as np

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


@dataclass
class State:
    """What an optimizer remembers between steps.

    ``k`` counts steps, ``t`` is flow time, ``slots`` has one (slots, size) array for each
    parameter array, in its dtype; rows as named by ``Optimizer.slots``.
    """

    k: int
    t: float
    slots: list


def _as_list(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _flat(name, array, writable):
    """``array`` as a flat view (never a copy), or an error that names it."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a numpy array, got {type(array).__name__}")
    if array.dtype not in FLOATS or not array.dtype.isnative:
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous (an update of a copy would be lost)")
    if writable and not array.flags.writeable:
        raise ValueError(f"{name} must be writable: update works in place")
    return array.reshape(-1)


def init(optimizer, x):
    """Zeroed state for ``x``."""
    views = [_flat("x", a, writable=False) for a in _as_list(x)]
    return State(0, 0.0, [np.zeros((len(optimizer.slots), v.size), v.dtype) for v in views])


def update(optimizer, x, g, state):
    """One step of ``optimizer`` on ``x`` (see ``Optimizer.update``)."""
    xs, gs = _as_list(x), _as_list(g)
    if not len(xs) == len(gs) == len(state.slots):
        raise ValueError(f"x, g and state must have as many arrays each, got {len(xs)}, {len(gs)}, "
                         f"{len(state.slots)}")
    flat = []
    for a, b, s in zip(xs, gs, state.slots):  # check all before the first is touched
        u, v = _flat("x", a, writable=True), _flat("g", b, writable=False)
        if a.shape != b.shape or a.dtype != b.dtype or s.shape[1] != u.size or s.dtype != u.dtype:
            raise ValueError(f"g must match x: shape {a.shape} {a.dtype}, got {b.shape} {b.dtype}"
                             if a.shape != b.shape or a.dtype != b.dtype else
                             f"state must come from init of arrays like x, got {s.shape[1]} {s.dtype}")
        flat.append((u, v, s))
    p, kernel = optimizer.p, optimizer.kernel
    for u, v, s in flat:
        dt = kernel(state.k, p, u, v, s)
    state.k += 1
    state.t += dt
