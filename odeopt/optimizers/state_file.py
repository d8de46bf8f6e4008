"""Files of training states: what must hold between the parts of a State, looked at before a kernel sees any."""

import functools
import math
from dataclasses import fields

import numpy as np

from .. import archive, checks
from ..archive import Entry, Wrong

FORMAT = 3
_LARGEST = 2**48  # entries of an array that a file may speak of


def save(state, path):
    """Write ``state`` to ``path``."""
    archive.save(path, FORMAT, *contents(state), compressed=False)


def contents(state):
    """``(words, arrays)``: what a file keeps of ``state``."""
    words = {f.name: state.plain(f.name) for f in fields(state) if f.init and f.name != "slots"}
    rows = [len(s) for s in state._memory]
    if any(n != len(state.names) for n in rows):  # they depend on the shapes of the arrays
        words["rows"] = rows
    return words, {f"slots_{i}": s for i, s in enumerate(state._memory)}


def load(path):
    """The fields of the state in ``path``; ValueError for any other file."""
    with archive.reading(path, "state"):
        return checked(*archive.raw(path, FORMAT))


def checked(words, arrays):
    """The fields of the state that :func:`contents` took apart; :class:`Wrong` for anything else."""
    words = archive.check_words({"rows": None} | words, _WORDS)
    _check_groups(words)
    return words | {"slots": _slots(words.pop("rows"), words, arrays)}


def _list(name, value, item, least=0):
    if not isinstance(value, list) or len(value) < least:
        raise TypeError(f"{name} must be a list, and is {checks.shown(value)}")
    return [item(name, one) for one in value]


_index = functools.partial(checks.integer, high=_LARGEST)


def _time(name, value):
    return value if isinstance(value, float) else checks.real(name, value)  # one that has overflowed is one, too


def _group(name, value):
    indices, overrides = _pair(name, value, 2)
    if not isinstance(overrides, dict):
        raise TypeError(f"{name} must hold hyperparameters by name, and has {checks.shown(overrides)}")
    return _list(name, indices, _index, 1), {key: tuple(one) if isinstance(one, list) else one
                                             for key, one in overrides.items()}


def _block(name, value):
    group, indices, cut = _pair(name, value, 3)
    if cut is not None:
        cut = tuple(_index(name, end) for end in _pair(name, cut, 2))
    return _index(name, group), _list(name, indices, _index, 1), cut


def _pair(name, value, length):
    if not isinstance(value, list) or len(value) != length:
        raise TypeError(f"{name} must hold lists of {length}, and has {checks.shown(value)}")
    return value


def _shape(name, value):
    shape = tuple(_list(name, value, functools.partial(checks.integer, low=1, high=_LARGEST)))
    if math.prod(shape) > _LARGEST:
        raise ValueError(f"{name} must be those of arrays, and has {checks.shown(shape)}")
    return shape


def _lists_of(item, least=0):
    return functools.partial(_list, item=item, least=least)


_WORDS = {
    "rows": lambda name, value: value if value is None else _list(name, value, _index, 1),
    "k": functools.partial(checks.integer, high=checks.LARGEST - 1), "times": _lists_of(_time, 1),
    "groups": _lists_of(_group, 1), "reduces": _lists_of(archive.flag, 1), "blocks": _lists_of(_block, 1),
    "shapes": _lists_of(_shape, 1), "names": lambda name, value: tuple(_list(name, value, archive.text)),
    "method": archive.text, "single": archive.flag,
}


def _check_groups(words):
    """:class:`Wrong` unless the groups name every array once, and the blocks cover each from its begin to its end."""
    groups, sizes = words["groups"], [math.prod(shape) for shape in words["shapes"]]
    if sorted(i for indices, _ in groups for i in indices) != list(range(len(sizes))):
        raise Wrong(f"groups must name each of {len(sizes)} arrays once")
    if not len(groups) == len(words["times"]) == len(words["reduces"]) or words["single"] and len(sizes) > 1:
        raise Wrong("times and reduces must have an entry for each group, and a single array must be one")
    pieces = {}
    for group, indices, cut in words["blocks"]:
        for i in indices:
            pieces.setdefault(i, []).append((group, indices, cut))
    for j, (indices, _) in enumerate(groups):
        for i in indices:
            cuts = [cut or (0, sizes[i]) for _, _, cut in pieces.get(i, ())]
            edges = [0, *(end for _, end in cuts)]
            whole = [(j, indices, None)] if words["reduces"][j] else [(j, [i], cut) for _, _, cut in pieces.get(i, ())]
            if (pieces.get(i) != whole or [begin for begin, _ in cuts] != edges[:-1] or edges[-1] != sizes[i]
                    or any(begin >= end for begin, end in cuts)):
                raise Wrong(f"blocks must cover array {i} once")
    if len(pieces) > len(sizes):
        raise Wrong(f"blocks must cover {len(sizes)} arrays, and name others")


def _slots(rows, words, arrays):
    """The memory of each block, in one dtype for each array; ``rows`` of each, None for those of names."""
    if rows is not None and (len(rows) != len(words["blocks"]) or min(rows) < len(words["names"])):
        raise Wrong(f"rows must be {len(words['names'])} or more for each of {len(words['blocks'])} blocks")
    kinds, schema = {}, {}
    for i, (_, indices, cut) in enumerate(words["blocks"]):
        size = cut[1] - cut[0] if cut else sum(math.prod(words["shapes"][j]) for j in indices)
        found = arrays.get(f"slots_{i}", np.empty(0)).dtype
        kind = kinds.setdefault(indices[0], "float32" if found == np.float32 else "float64")
        schema[f"slots_{i}"] = Entry(kind, f"{len(words['names']) if rows is None else rows[i]} {size}")
    return list(archive.check_arrays(arrays, schema).values())
