"""The training-loop face: state for one array or a list of arrays, updated in place.

A kernel works on flat contiguous vectors. The arrays of a call are cut into *blocks*, one kernel
call each: an array of its own where the update is elementwise (or reduces within an array, as Amos
does), slices of it where it is large (:mod:`odeopt.threads`), all arrays of a group copied into one
vector where a step reduces over all coordinates (``Optimizer.reduces``: scalar RMSprop, error
control, normalised descent). So a list of arrays moves exactly as the one vector that they make up,
on any number of threads.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .. import checks, threads
from ..sums import scaled_norm
from . import state_file
from .arrays import as_list, checked, flat_view, names_of, owner, pair, refuse_overlaps
from .inside import check_inside

_NO_PLAN = (None, (), None)  # optimizer, (kernel, p) of each block, form of each group


class Times(Sequence):
    """The flow times of a state's groups: a list in which entries can be set, and none added or removed."""

    def __init__(self, values):
        self._values = [float(t) for t in values]

    def __len__(self):
        return len(self._values)

    def __getitem__(self, group):
        return self._values[group]

    def __setitem__(self, group, value):
        if isinstance(group, slice):
            raise TypeError("times must be set one by one")
        self._values[group] = value if isinstance(value, float) else checks.real("times", value)

    def __eq__(self, other):
        return self._values == (other._values if isinstance(other, Times) else other)

    __hash__: Any = None

    def __repr__(self):
        return repr(self._values)


@dataclass(eq=False)
class State:
    """What an optimizer remembers between steps.

    Attributes
    ----------
    k : int
        Steps done.
    times : sequence of float
        Flow time that each group has reached; :attr:`t` is the first one.
    slots : tuple of (slots, size) arrays
        Memory of each block, in the dtype of its arrays; rows as named by ``names``, before them what a method of
        matrices keeps besides.
    groups : tuple of (indices, overrides)
        Indices of each group's arrays, and its own hyperparameters, a read-only mapping.
    reduces : tuple of bool
        Whether each group's update reduces over all its arrays.
    blocks : tuple of (group, indices, cut)
        The arrays that each entry of ``slots`` belongs to; ``cut`` is None or (begin, end), the slice
        of a large array.
    shapes : tuple of tuple
        Shapes of the arrays given to ``init``.
    names : tuple of str
    method : str
        Command-line name of the optimizer.
    single : bool
        Whether one array was given, not a list.

    ``k``, the times and the entries of ``slots`` may be changed; nothing else can be.
    """

    k: int
    times: Any  # Times
    slots: list
    groups: list
    reduces: list
    blocks: list
    shapes: list
    names: tuple
    method: str
    single: bool
    if TYPE_CHECKING:
        dtypes: ClassVar[Any]
        size: ClassVar[int]
        bytes: ClassVar[int]
        small: ClassVar[bool]
    _plan: tuple = field(default=_NO_PLAN, init=False, repr=False)
    _seen: Any = field(default=None, init=False, repr=False)  # where the arrays of the last step lie
    _driven: Any = field(default=(None,), init=False, repr=False)  # the plan whose step sizes ``lr=`` sets
    _short: Any = field(default=(None,), init=False, repr=False)  # what a step of one small array needs
    _memory: Any = field(default=(), init=False, repr=False)  # the slots as kernels get them: these keep their shapes

    def __post_init__(self):
        """``dtypes``: of each array, from its block's memory; ``size``: entries of all arrays;
        ``bytes``: of x, g and memory; ``small``: one array of few, in one block."""
        dtypes = {i: s.dtype for (_, indices, _), s in zip(self.blocks, self.slots) for i in indices}
        size = sum(s.shape[1] for s in self.slots)
        vars(self).update(
            times=Times(self.times),
            _memory=tuple(self.slots),
            slots=tuple(s.view() for s in self.slots),
            groups=tuple((tuple(indices), MappingProxyType(dict(overrides))) for indices, overrides in self.groups),
            reduces=tuple(self.reduces),
            blocks=tuple((group, tuple(indices), cut) for group, indices, cut in self.blocks),
            shapes=tuple(tuple(shape) for shape in self.shapes),
            dtypes=tuple(dtypes[i] for i in range(len(self.shapes))),
            size=size,
            bytes=sum(s.itemsize * (2 + s.shape[0]) * s.shape[1] for s in self.slots),
            small=self.single and len(self.slots) == 1 and size < threads.SMALL,
        )

    def __setattr__(self, name, value):
        """``k`` may be set; what else is made once, so that nothing looks editable and is not looked at again."""
        if "dtypes" in vars(self):  # made at last
            if name != "k":
                self.__delattr__(name)
            value = checks.integer("k", value)
        super().__setattr__(name, value)

    def __delattr__(self, name):
        if not hasattr(self, name):
            raise AttributeError(f"State has no {name}: hyperparameters change by update with optimizer.changed(...)")
        raise AttributeError(f"State.{name} is read-only: entries of times and slots change in place, "
                             "hyperparameters by update with optimizer.changed(...), groups by a new init")

    def __copy__(self):
        """A state of its own: with the slots of another it would be a step behind, or ahead."""
        return copy.deepcopy(self)

    def __reduce__(self):
        """Without the plan, whose kernels' addresses are this process's alone: also for a copy."""
        return type(self), tuple(self.plain(f.name) for f in fields(self) if f.init)

    def plain(self, name):
        """A field by name; the times and the groups as lists that can be written to."""
        value = self._memory if name == "slots" else getattr(self, name)
        if name == "times":
            return list(value)
        return [(list(indices), dict(overrides)) for indices, overrides in value] if name == "groups" else value

    @property
    def t(self):
        """Flow time that the first group has reached."""
        return self.times[0]

    def row(self, slot):
        """A copy of one row of memory (by name or number), shaped like the arrays given to ``init``."""
        if isinstance(slot, str):
            slot = self.names.index(checks.choice("slot", slot, self.names))
        pieces = [[] for _ in self.shapes]
        for (_, indices, _), s in zip(self.blocks, self._memory):
            ends = np.cumsum([_size(self.shapes[i]) for i in indices[:-1]], dtype=int)
            row = s[slot - len(self.names)] if 0 <= slot < len(self.names) else s[slot]
            for i, piece in zip(indices, np.split(row, ends)):
                pieces[i].append(piece)
        rows = [np.concatenate(p).reshape(shape) for p, shape in zip(pieces, self.shapes)]
        return rows[0] if self.single else rows

    def save(self, path):
        """Write everything to ``path``, npz without pickle (:mod:`odeopt.archive`); ``.npz`` is appended if missing."""
        state_file.save(self, path)

    @classmethod
    def load(cls, path):
        """Read what :meth:`save` wrote; ValueError for a file that is not a saved state, or a garbled one."""
        words: dict[str, Any] = state_file.load(path)
        return cls(**words)


def _size(shape):
    return int(np.prod(shape, dtype=int))


def _grouped(groups, count, names):
    """``[(indices, overrides)]`` that cover 0 .. count - 1 once; the rest is the first group."""
    named, seen = [], set()
    for group in checks.entries("groups", () if groups is None else groups):
        if not isinstance(group, dict) or "arrays" not in group:
            raise TypeError(f"groups must be dicts with the key 'arrays', got {checks.shown(group)}")
        if not all(isinstance(name, str) for name in group):
            raise TypeError(f"groups must have names of hyperparameters for keys, got {checks.shown([*group])}")
        alone = isinstance(group["arrays"], str) or not np.iterable(group["arrays"])
        named_arrays = [group["arrays"]] if alone else group["arrays"]
        if names:
            named_arrays = [names.index(checks.choice("groups['arrays']", name, names)) for name in named_arrays]
        indices = [checks.integer("groups['arrays']", i) for i in named_arrays]
        if not indices or max(indices) >= count or seen & set(indices) or len(set(indices)) < len(indices):
            raise ValueError(f"groups must name arrays 0 to {count - 1}, each at most once, got {indices}")
        seen |= set(indices)
        named.append((indices, {k: v for k, v in group.items() if k != "arrays"}))
    rest = [i for i in range(count) if i not in seen]
    return [(rest, {})] * bool(rest) + named


def _variants(optimizer, groups):
    """The optimizer of each group."""
    variants = [optimizer.changed(**overrides) if overrides else optimizer for _, overrides in groups]
    if any(v.norm_entry != optimizer.norm_entry for v in variants):
        raise ValueError("groups must clip by norm where the optimizer does, and else by value: the norm is that of "
                         f"all groups, got {[dict(overrides) for _, overrides in groups]} for {optimizer!r}")
    return variants


def _form(optimizer):
    """What may decide whether an update is elementwise: kernel and choices, not numbers."""
    inner = optimizer.bare
    return (type(inner), optimizer.kernel, inner.kernel,
            [getattr(inner, f.name) for f in fields(inner) if not f.metadata["numeric"]])


def _plan(optimizer, state):
    """Kernel and hyperparameters of each block: what does not change from step to step."""
    variants = _variants(optimizer, state.groups)
    if optimizer.key != state.method or [(v.slot_names, v.reduces) for v in variants] != [
            (state.names, reduces) for reduces in state.reduces]:
        raise ValueError(f"state must come from this optimizer: {optimizer.key} with slots {optimizer.slot_names}, "
                         f"got {state.method} with {state.names}")
    forms = [_form(v) for v in variants]
    sliced = {(j, indices[0]) for j, indices, cut in state.blocks if cut} if state._plan[2] != forms else ()
    if not all(threads.elementwise(variants[j].bare, state.shapes[i]) for j, i in sliced):
        raise ValueError(f"state must come from this optimizer: it is in slices, which {optimizer!r} cannot take")
    calls, plan = {}, []
    for (j, indices, cut), s in zip(state.blocks, state._memory):
        # What a slice is handed is its own p: as of a vector of its length, which is what the kernel sees.
        shape = (s.shape[1],) if cut or len(indices) > 1 else state.shapes[indices[0]]
        if s.shape[0] != variants[j].memory_rows(shape):
            raise ValueError(f"state must come from this optimizer: {optimizer!r} keeps "
                             f"{variants[j].memory_rows(shape)} rows for an array of {shape}, got {s.shape[0]}")
        if (j, s.dtype, shape) not in calls:
            variants[j].check_precision(s.dtype)
            p = np.array(variants[j].p_for(np.broadcast_to(s.dtype.type(), shape)))
            calls[j, s.dtype, shape] = variants[j].kernel, p
        plan.append(calls[j, s.dtype, shape])
    return optimizer, tuple(plan), forms


def init(optimizer, x, groups=None):
    """Fresh state for ``x`` (see ``Optimizer.init``)."""
    arrays = as_list(x)
    if not arrays:
        raise ValueError("x must hold at least one array, got an empty list")
    flat = [flat_view("x", a, writable=False) for a in arrays]
    groups = _grouped(groups, len(arrays), names_of(x) if isinstance(x, dict) else None)
    variants = _variants(optimizer, groups)
    # As the optimizer has checked and converted them: what is kept can be written to a file.
    groups = [(indices, {name: getattr(v, "start_at" if v.wrapper and name == "start" else name) for name in overrides})
              for v, (indices, overrides) in zip(variants, groups)]
    names = [v.slot_names for v in variants]
    if len(set(names)) > 1:
        raise ValueError(f"groups must keep the slots {optimizer.slot_names}, got {names}")
    blocks = []
    for j, (indices, _) in enumerate(groups):
        for part in [indices] if variants[j].reduces else [[i] for i in indices]:
            if len({flat[i].dtype for i in part}) > 1:
                raise ValueError("x must have one dtype in a group whose update reduces over all its arrays")
            vector = flat[part[0]] if len(part) == 1 else np.concatenate([flat[i] for i in part])
            if vector.size == 0:
                raise ValueError("x must have at least one entry in each array, got an empty one")
            shape = arrays[part[0]].shape if len(part) == 1 else (vector.size,)
            check_inside(variants[j], len(shape), vector.dtype)
            variants[j].p_for(np.broadcast_to(vector.dtype.type(), shape))  # ValueError for a shape it cannot take
            # A wrapper's row treats each coordinate by itself, and a norm is handed in.
            sliced = vector.size > threads.SLICE and threads.elementwise(variants[j].bare, shape)
            rows = variants[j].memory_rows(shape)
            memory = np.zeros(rows * vector.size, vector.dtype)  # in one piece: large pages for large arrays
            for cut in threads.parts(vector.size) if sliced else [slice(0, vector.size)]:
                s = memory[rows * cut.start : rows * cut.stop].reshape(rows, cut.stop - cut.start)
                cold = variants[j].cold_start(vector[cut])
                for row in range(len(cold)) if cold.any() else ():
                    if cold[row].any():  # rows of zeros are not written: one that holds a number takes a page
                        s[rows - len(cold) + row] = cold[row]
                blocks.append(((j, part, (cut.start, cut.stop) if sliced else None), s))
    blocks.sort(key=lambda block: block[0][1][0])  # as the arrays are given; slices stay in order
    return State(0, [0.0] * len(groups), [s for _, s in blocks], groups, [v.reduces for v in variants],
                 [block for block, _ in blocks], [a.shape for a in arrays], names[0], optimizer.key,
                 not isinstance(x, (list, tuple, dict)))


def update(optimizer: Any, x: Any, g: Any, state: State, workers: int | None = 1, lr: Any = None) -> None:
    """One step of ``optimizer`` on ``x`` (see ``Optimizer.update``)."""
    if (type(state) is State and state._short[0] is optimizer
            and type(x) is type(g) is np.ndarray and type(workers) is int and workers == 1):
        # The short way to the same: for one small array the rest takes longer than the kernel. Python looks
        # at signals after calls and at the end of a loop's body, so here not between a step and its count.
        _, kernel, p, s, times, shape, dtype, memory = state._short
        own = vars(state)
        if lr is not None:
            p = _driven(optimizer, state, lr)[0][1]
        u, v = pair(x, g, shape, dtype)
        if np.may_share_memory(u, v) or u.base is memory or v.base is memory:
            refuse_overlaps([u], [v], state)
        for dt in map(kernel, (own["k"],), (p,), (u,), (v,), (s,)):
            times[0] += dt
            own["k"] += 1
        return
    if not isinstance(state, State):
        raise TypeError(f"state must come from init, got {type(state).__name__}")
    workers = threads.number(workers)
    flat_x, flat_g = checked(x, g, state)
    refuse_overlaps(as_list(x), as_list(g), state)
    if state._plan[0] is not optimizer:  # a fresh or loaded state, or another learning rate: same slots, other numbers
        vars(state)["_plan"] = _plan(optimizer, state)
        if state.small:
            vars(state)["_short"] = (optimizer, *state._plan[1][0], state._memory[0], state.times._values,
                                     state.shapes[0], state.dtypes[0], owner(state._memory[0]))
    plan = state._plan[1] if lr is None else _driven(optimizer, state, lr)
    if optimizer.norm_entry is not None and len(plan) > 1:
        _hand_in_norm(optimizer.norm_entry, plan, flat_g)
    with threads.Uninterrupted():
        _step(flat_x, flat_g, state, plan, workers if state.bytes >= threads.WORTH else 1)


def _hand_in_norm(entry, plan, flat_g):
    """Write scale and length of the norm of all gradients into the numbers of each block."""
    norm = scaled_norm(flat_g[0] if len(flat_g) == 1 else np.concatenate(flat_g))
    for _, p in plan:
        p[entry : entry + 2] = norm


def _driven(optimizer, state, lr):
    """The plan with ``lr``, a number or one for each group, as the step sizes; as a schedule drives them."""
    if state._driven[0] is not optimizer:
        vars(state)["_driven"] = optimizer, *_drivable(optimizer, state, lr)
    _, plan, entry, given = state._driven
    if isinstance(lr, (list, tuple)):
        if len(lr) != len(state.groups):
            raise ValueError(f"lr must be one number or one for each of the {len(state.groups)} groups, got {len(lr)}")
        rates = [rate if callable(rate) else checks.real_or_none("lr", rate, low=0.0) for rate in lr]
    elif callable(lr):
        rates = [lr] * len(state.groups)
    else:
        rate = checks.real("lr", lr, 0.0)
        rates = [None if "lr" in overrides else rate for _, overrides in state.groups]
    bases = {j: base for (j, _, _), base in zip(state.blocks, given)}
    rates = [_scheduled(rate, state.k, bases[j]) if callable(rate) else rate for j, rate in enumerate(rates)]
    for (j, _, _), (_, p), own in zip(state.blocks, plan, given):
        p[entry] = own if rates[j] is None else rates[j]
    return plan


def _scheduled(schedule, k, base):
    """The learning rate that a schedule gives at step ``k`` to a group with the learning rate ``base``."""
    if isinstance(schedule, type) or getattr(schedule, "drives", "lr") != "lr":
        raise ValueError(f"lr must be a schedule of lr, got {checks.shown(schedule)}")
    return checks.real(f"lr at step {k}", schedule(k, base), 0.0)


def _drivable(optimizer, state, lr):
    """``(plan, entry, given)``: a copy of the plan, where its numbers have the lr, and what it is there."""
    for one in _variants(optimizer, state.groups):
        changed = None
        if optimizer.step_name == "lr" and "lr" in optimizer.numeric_names() and one.lr:
            changed = np.flatnonzero(one.changed(lr=0.999 * one.lr).p != one.p)
        if changed is None or changed.size != 1 or one.p[changed[0]] != one.lr:
            raise ValueError(f"lr must be None for {one!r}, whose kernel takes no learning rate as it is, "
                             f"got {checks.shown(lr)}")
    entry = int(changed[0])
    plan = tuple((kernel, p.copy()) for kernel, p in state._plan[1])
    return plan, entry, [float(p[entry]) for _, p in plan]


def _step(flat_x, flat_g, state, plan, workers):
    jobs, gathered = [], []
    for (_, indices, cut), s, (kernel, p) in zip(state.blocks, state._memory, plan):
        if len(indices) == 1:
            u, v = flat_x[indices[0]], flat_g[indices[0]]
            if cut:
                u, v = u[cut[0] : cut[1]], v[cut[0] : cut[1]]
        else:
            u, v = (np.concatenate([flat[i] for i in indices]) for flat in (flat_x, flat_g))
            gathered.append((indices, u))
        jobs.append((kernel, state.k, p, u, v, s))
    advanced = {j: dt for (j, _, _), dt in zip(state.blocks, threads.run(jobs, workers))}
    for indices, u in gathered:
        for i, part in zip(indices, np.split(u, np.cumsum([flat_x[i].size for i in indices])[:-1])):
            flat_x[i][:] = part
    for j, dt in advanced.items():
        state.times._values[j] += dt
    vars(state)["k"] += 1
