"""The arrays of a call: what they must be, flat views of them, and that none lies in another's memory."""

import weakref

import numpy as np

from .. import checks

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def as_list(value):
    """The arrays of a list, or of a dict in the order of its sorted names; one array by itself."""
    if isinstance(value, dict):
        return [value[name] for name in names_of(value)]
    return list(value) if isinstance(value, (list, tuple)) else [value]


def names_of(value):
    """The names of a dict of arrays, sorted."""
    if not all(isinstance(name, str) for name in value):
        raise TypeError(f"x and g must have text for the names of their arrays, got {checks.shown([*value])}")
    return sorted(value)


def flat_view(name, array, writable):
    """``array`` as a flat view (never a copy), or an error that names it."""
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):  # what is masked would move
        raise TypeError(f"{name} must be a numpy array, got {type(array).__name__}")
    if array.dtype not in FLOATS or not array.dtype.isnative:
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise ValueError(f"{name} must be C-contiguous and aligned (an update of a copy would be lost)")
    if writable and not array.flags.writeable:
        raise ValueError(f"{name} must be writable: update works in place")
    return np.asarray(array).reshape(-1)


def checked(x, g, state):
    """Flat views of both lists, after every check: nothing is touched before all have passed."""
    if (isinstance(x, dict) or isinstance(g, dict)) and not (
            isinstance(x, dict) and isinstance(g, dict) and x.keys() == g.keys()):
        raise ValueError(f"g must have the names of x, got {checks.shown(list(g))}")
    xs, gs = as_list(x), as_list(g)
    if not len(xs) == len(gs) == len(state.shapes):
        raise ValueError(f"x, g and state must have as many arrays each, got {len(xs)}, {len(gs)}, "
                         f"{len(state.shapes)}")
    pairs = [pair(*each) for each in zip(xs, gs, state.shapes, state.dtypes)]
    return [u for u, _ in pairs], [v for _, v in pairs]


def pair(a, b, shape, dtype):
    """Flat views of one array and its gradient, or the error that says what is wrong with them."""
    if (type(a) is type(b) is np.ndarray and a.shape == b.shape == shape and a.dtype is b.dtype is dtype
            and a.flags.carray and b.flags.carray):
        u, v = (a, b) if len(shape) == 1 else (a.reshape(-1), b.reshape(-1))
    else:
        u, v = _explain(a, b, shape, dtype)
    return u, v


def refuse_shared(x, g):
    if np.may_share_memory(x, g):
        raise ValueError("g must not share memory with x")


def refuse_overlaps(xs, gs, state):
    """An error where one array of x lies in the memory of another, of a gradient or of the state, or a gradient in the
    state: it would move twice, and on several threads by no rule. Looked at whenever an array is not the one of the
    last step."""
    if len(xs) == 1:
        refuse_shared(xs[0], gs[0])
        if any(np.may_share_memory(s, one) for s in state._memory for one in (xs[0], gs[0])):
            raise ValueError(_IN_THE_STATE)
        return
    arrays, seen = [*xs, *gs], state._seen
    if seen and all([where[0]() is array for where, array in zip(seen, arrays)]):
        return
    seen = [where if where and where[0]() is array else _whereabouts(array)
            for where, array in zip(seen or [None] * len(arrays), arrays)]
    reach, last = 0, 0  # ends of what came before: of everything, and of what moves, x and the state
    where = [*seen, *map(_whereabouts, state._memory)]
    for begin, end, i in sorted([(begin, end, i) for i, (_, begin, end) in enumerate(where)]):
        moves = not len(xs) <= i < len(arrays)
        if begin < (reach if moves else last):
            for x, g in zip(xs, gs):
                refuse_shared(x, g)
            if any(np.may_share_memory(s, one) for s in state._memory for one in arrays):
                raise ValueError(_IN_THE_STATE)
            raise ValueError("x must hold no memory twice, nor share it with g")
        reach, last = max(reach, end), max(last, end if moves else 0)
    vars(state)["_seen"] = seen


_IN_THE_STATE = "x and g must not share memory with the state"


def owner(array):
    """The array whose memory ``array`` and its views have: the ``base`` of all of them but itself."""
    return array if array.base is None else array.base


def _whereabouts(array):
    """(weak reference, begin, end): its memory, of which finding out takes longer than everything else here."""
    begin = array.ctypes.data
    return weakref.ref(array), begin, begin + array.nbytes


def _explain(a, b, shape, dtype):
    """The error that says what is wrong with a pair of arrays (views of them for harmless subclasses, a copy of
    a gradient that is not contiguous)."""
    u = flat_view("x", a, writable=True)
    if isinstance(b, np.ndarray) and not (b.flags.c_contiguous and b.flags.aligned) and (
            not isinstance(b, np.ma.MaskedArray)):
        refuse_shared(a, b)
        b = b.copy("C")  # it is only read
    v = flat_view("g", b, writable=False)
    if a.shape != b.shape or a.dtype != b.dtype:
        raise ValueError(f"g must match x: shape {a.shape} {a.dtype}, got {b.shape} {b.dtype}")
    if a.shape != shape or a.dtype != dtype:
        raise ValueError(f"state must come from init of arrays like x: {a.shape} {a.dtype}, got {shape} {dtype}")
    return u, v
