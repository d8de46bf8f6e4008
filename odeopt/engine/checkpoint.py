"""Checkpoints of a training loop: everything that the next step depends on, in one file."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from .. import abi, archive, checks
from ..archive import Entry, Wrong
from ..method import method_from
from ..optimizers import Optimizer, State, state_file
from ..optimizers import state as states
from ..optimizers.arrays import as_list, flat_view, names_of, refuse_overlaps
from ..schedules import PlateauRule, Schedule
from ..schedules.plateau import Decisions

FORMAT = 1
_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
_PACKAGE = __name__.partition(".")[0]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a file of :func:`save_checkpoint` holds, each part as it was given there.

    Attributes
    ----------
    optimizer : Optimizer
    state : State
    x : array, list of arrays or dict of arrays
    schedule : Schedule, Decisions, a list of these and None, or None
    rng : numpy.random.Generator or None
    """

    optimizer: Optimizer
    state: State
    x: Any
    schedule: Any = None
    rng: np.random.Generator | None = None


def save_checkpoint(path: Any, optimizer: Optimizer, state: State, x: Any, *, schedule: Any = None,
                    rng: np.random.Generator | None = None) -> None:
    """Write all that a training loop needs to go on bit for bit: npz without pickle, the old file or the new one whole.

    Parameters
    ----------
    path : path
        ``.npz`` is appended if missing.
    optimizer : Optimizer
    state : State
        Of this optimizer, with its groups.
    x : array, list of arrays or dict of arrays
        The parameters, as they are given to ``update``.
    schedule : Schedule, Decisions, or a sequence of these and None, optional
        What drives the learning rate, of all or of each group; ``Decisions`` are what ``PlateauRule.start`` returns.
    rng : numpy.random.Generator, optional
        The stream from which the mini-batches are drawn.

    Raises
    ------
    TypeError, ValueError
        Parts that do not belong together; a schedule that no other process finds by its name. No file is written then.
    """
    arrays, names = _arrays("x", x)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an Optimizer, got {checks.shown(optimizer)}")
    if not isinstance(state, State):
        raise TypeError(f"state must come from init, got {checks.shown(state)}")
    _of_one_another(optimizer, state, arrays, names)
    words, slots = state_file.contents(state)
    archive.save(path, FORMAT, {
        "optimizer": optimizer.spec(), "state": words, "names": names, "single": isinstance(x, np.ndarray),
        "schedule": _several(schedule, _schedule_words), "rng": None if rng is None else _stream_words(rng),
    }, slots | {f"x_{i}": a for i, a in enumerate(arrays)}, compressed=False)


def load_checkpoint(path: Any, optimizer: Optimizer | None = None, x: Any = None) -> Checkpoint:
    """Read what :func:`save_checkpoint` wrote.

    Parameters
    ----------
    path : path
    optimizer : Optimizer, optional
        The one that the loop is about to use; ValueError where the file is another's.
    x : array, list of arrays or dict of arrays, optional
        The loop's parameters: they are overwritten with those of the file, and are the checkpoint's ``x``.
        ValueError, before anything is written, where names, shapes or dtypes are others.

    Raises
    ------
    TypeError, ValueError
        Also for a file that is not a checkpoint, or a garbled one. A class or a schedule that is not the package's
        own must have been imported.
    """
    with archive.reading(path, "checkpoint"):
        words, arrays = archive.raw(path, FORMAT)
        words = archive.check_words(words, {
            "optimizer": _dict, "state": _dict, "names": _names_or_none, "single": archive.flag,
            "schedule": lambda _, value: value, "rng": lambda _, value: value})
        slots = {name: value for name, value in arrays.items() if not name.startswith("x_")}
        fields_of_state: dict[str, Any] = state_file.checked(words["state"], slots)
        state = State(**fields_of_state)
        stored = archive.check_arrays(
            {name: value for name, value in arrays.items() if name.startswith("x_")},
            {f"x_{i}": Entry(dtype.name, " ".join(map(str, shape)))
             for i, (shape, dtype) in enumerate(zip(state.shapes, state.dtypes))})
        found = [np.asarray(stored[f"x_{i}"], dtype).reshape(shape)
                 for i, (shape, dtype) in enumerate(zip(state.shapes, state.dtypes))]
        names = words["names"]
        if names is not None and len(names) != len(found) or words["single"] and len(found) != 1:
            raise Wrong(f"names must be those of {len(found)} arrays")
        try:
            saved = method_from(words["optimizer"])
            schedule = _several(words["schedule"], _schedule_from)
            rng = None if words["rng"] is None else _stream_from(words["rng"])
            _of_one_another(saved, state, found, names)
        except (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError) as error:
            raise Wrong(str(error)) from None
    if optimizer is not None and (type(optimizer), optimizer) != (type(saved), saved):
        raise ValueError(f"optimizer must be that of the checkpoint, {saved!r}, got {checks.shown(optimizer)}")
    if x is not None:
        given, own = _arrays("x", x)
        if own != names:
            raise ValueError(f"x must have the arrays {names or 'of a list'}, as the checkpoint, got {own or 'a list'}")
        _of_one_another(saved, state, given, names)
        for target, source in zip(given, found):
            target[...] = source
    else:
        x = found[0] if words["single"] else found if names is None else dict(zip(names, found))
    return Checkpoint(saved, state, x, schedule, rng)  # pyright: ignore[reportArgumentType]


def _arrays(name, x):
    """``(arrays, names or None)`` of the parameters, the names of a dict sorted."""
    if isinstance(x, Mapping):
        names = names_of(x)
        return [x[n] for n in names], names
    return as_list(x), None


def _of_one_another(optimizer, state, arrays, names):
    """ValueError unless the state is the optimizer's, and the arrays are the state's."""
    states._plan(optimizer, state)
    if len(arrays) != len(state.shapes):
        raise ValueError(f"x must have {len(state.shapes)} arrays, as the state, got {len(arrays)}")
    for i, (array, shape, dtype) in enumerate(zip(arrays, state.shapes, state.dtypes)):
        label = "x" if state.single else f"x[{names[i] if names else i!r}]"
        flat_view(label, array, writable=True)
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(f"{label} must have shape {shape} and {dtype}, as the state, got {array.shape} and "
                             f"{array.dtype}")
    refuse_overlaps(arrays, [np.empty(0) for _ in arrays], state)


def _dict(name, value):
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be a dict, and is {checks.shown(value)}")
    return value


def _names_or_none(name, value):
    if value is not None and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
        raise TypeError(f"{name} must be words, and is {checks.shown(value)}")
    return value


# Schedules -----------------------------------------------------------------------------------------


def _several(value, one):
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [None if each is None else one(each) for each in value]
    return None if value is None else one(value)


def _schedule_words(schedule):
    if isinstance(schedule, Decisions):
        rule = schedule.rule
        if not is_dataclass(rule):
            raise TypeError(f"schedule must have a rule that is a dataclass to be saved, got {checks.shown(rule)}")
        return {"rule": _place(type(rule), type(rule)), "values": asdict(rule), "numbers": list(schedule.numbers()),
                "history": list(schedule.history)}
    if not isinstance(schedule, Schedule):
        raise TypeError(f"schedule must be a Schedule, or Decisions of a rule, got {checks.shown(schedule)}")
    return {"name": schedule.name, "kernel": _place(abi.interpreted(schedule.kernel), schedule.kernel),
            "constants": list(schedule.constants), "drives": schedule.drives,
            "parts": [_schedule_words(part) for part in schedule.parts]}


def _schedule_from(words):
    if not isinstance(words, dict):
        raise TypeError(f"schedule must be a dict, and is {checks.shown(words)}")
    if "rule" in words:
        rule = _at("schedule", words["rule"])
        if not (isinstance(rule, type) and issubclass(rule, PlateauRule)):
            raise ValueError(f"schedule must be a rule, and is {words['rule']!r}")
        allowed = {f.name for f in fields(rule)}  # pyright: ignore[reportArgumentType]
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in words["values"].items()}
        for name in given:
            checks.choice("schedule", name, allowed)
        numbers = archive.of_lists("schedule", words["numbers"], np.dtype(float))
        decisions = rule(**given).start(float(numbers[0])).restore(numbers.tolist())
        decisions.history.extend(archive.of_lists("schedule", words["history"], np.dtype(float)).tolist())
        return decisions
    kernel = _at("schedule", words["kernel"])
    checks.takes("schedule", kernel, "schedule(k, base, c)", " of the constants c")
    return Schedule(archive.text("schedule", words["name"]), kernel, tuple(words["constants"]),
                    archive.text("schedule", words["drives"]), tuple(_schedule_from(part) for part in words["parts"]))


def _place(thing, value):
    """"module:name" under which another process finds ``value``."""
    module, name = thing.__module__, thing.__qualname__
    if module == "__main__" or getattr(sys.modules.get(module), name, None) is not value:
        raise ValueError(f"schedule must be one that a module holds by its name to be saved, got {module}:{name}")
    return f"{module}:{name}"


def _at(what, place):
    """What :func:`_place` named: of the package, or of a module that has been imported."""
    module, _, name = archive.text(what, place).partition(":")
    found = getattr(sys.modules.get(module), name, None)
    if found is None or not name.isidentifier():
        hint = "" if module.partition(".")[0] == _PACKAGE else f": import {module} first"
        raise ValueError(f"{what} must be known here, and is {place!r}{hint}")
    return found


# Random streams ------------------------------------------------------------------------------------


def _stream_words(rng):
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy Generator, as numpy.random.default_rng makes, got {checks.shown(rng)}")
    state = rng.bit_generator.state
    checks.choice("rng", state["bit_generator"], _GENERATORS)
    return _without_arrays(state)


def _without_arrays(value):
    if isinstance(value, dict):
        return {name: _without_arrays(one) for name, one in value.items()}
    return {"uint": value.dtype.itemsize, "of": value.tolist()} if isinstance(value, np.ndarray) else value


def _with_arrays(value):
    if isinstance(value, dict) and value.keys() == {"uint", "of"}:
        return np.array(value["of"], dtype={4: np.uint32, 8: np.uint64}[value["uint"]])
    return {name: _with_arrays(one) for name, one in value.items()} if isinstance(value, dict) else value


def _stream_from(words):
    kind = checks.choice("rng", _dict("rng", words).get("bit_generator"), _GENERATORS)
    bits = getattr(np.random, kind)(0)
    try:
        bits.state = _with_arrays(words)
    except (TypeError, ValueError, KeyError, OverflowError):
        raise ValueError(f"rng must be the state of {kind}, and is another") from None
    return np.random.Generator(bits)
