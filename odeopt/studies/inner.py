"""Ctrl-C inside studies: where it may end the work, what is kept, and how that is said.

``record`` and ``sample`` turn Ctrl-C into a run whose status is "interrupted"; half a run is no measurement, so the
runs inside a study are :func:`inner_run` and :func:`inner_sample`, where it is a KeyboardInterrupt.
A study that keeps what is done when it comes is :func:`partial_results`: all of its work stands in :func:`gather`
(or :func:`columns`), and its ``status`` says "interrupted". Every other study hands the KeyboardInterrupt on to its
caller.
"""

import dataclasses
import functools
import signal
import threading
from typing import Any

import numpy as np

from .. import checks
from ..engine.record import record
from ..progress import progress_bar
from ..stochastic import sample
from . import abreast

_OPEN = threading.local()  # ``blocks``: the _Held of this thread, innermost last


def inner_run(method, problem, *args, **options):
    """:func:`odeopt.record` for the inside of a study: KeyboardInterrupt where Ctrl-C ended the run."""
    run = record(method, problem, *args, **options)
    if run.status == "interrupted":
        raise KeyboardInterrupt
    return run


def inner_sample(optimizer, problem, *args, **options):
    """:func:`odeopt.sample` for the inside of a study: KeyboardInterrupt where Ctrl-C ended the run."""
    run = sample(optimizer, problem, *args, **options)
    if run.status == "interrupted":
        raise KeyboardInterrupt
    return run


def partial_results(study):
    """The function ``study`` with a result that is whole whenever Ctrl-C comes.

    Ctrl-C ends the work in :func:`gather` and is kept until after what else the function does; ``status`` of the
    result is then "interrupted".
    """

    @functools.wraps(study)
    def measure(*args, **options):
        with _Held() as held:
            found = study(*args, **options)
            if held.came:
                found = dataclasses.replace(found, status="interrupted")
        return found

    return measure


class _Held:
    """A block in which the KeyboardInterrupt of SIGINT's handler leaves it in ``gather`` alone; ``came`` notes it."""

    def __init__(self):
        self.came, self.open = False, False
        self.handler: Any = None

    def __enter__(self):
        if threading.current_thread() is threading.main_thread() and callable(signal.getsignal(signal.SIGINT)):
            self.handler = signal.signal(signal.SIGINT, self)
        _blocks().append(self)
        return self

    def __call__(self, number, frame):
        try:
            self.handler(number, frame)
        except KeyboardInterrupt:
            self.came = True
            if self.open:
                self.open = False  # once: what is done must be put away
                raise

    def __exit__(self, *_):
        _blocks().remove(self)
        if self.handler is not None:
            signal.signal(signal.SIGINT, self.handler)


def _blocks():
    if not hasattr(_OPEN, "blocks"):
        _OPEN.blocks = []
    return _OPEN.blocks


def gather(items, work, *, progress=False, describe: Any = str, jobs: int = 1):
    """``([work(item) for item in items], interrupted)``; Ctrl-C keeps the finished ones.

    With ``progress`` a bar on stderr names the item at work (only if that is a terminal or a notebook). ``jobs`` items
    at the same time, in threads: for work that spends its time in compiled code, which holds no lock.
    """
    held = _blocks()[-1] if _blocks() else _Held()  # outside of a study the caller is told, and no more
    before, done = held.open, []
    total = len(items) if hasattr(items, "__len__") else None
    bar = progress_bar(checks.switch("progress", progress), total=total)
    try:
        if held.came:  # between two gatherings: nothing more is begun
            raise KeyboardInterrupt
        held.open = True
        if jobs > 1:
            abreast.work(items, work, jobs, done, bar, describe)
        else:
            for item in items:
                if progress:
                    bar.set_description(describe(item))
                done.append(work(item))
                bar.update()
        held.open = before
    except KeyboardInterrupt:
        held.open, held.came = False, True
        return done, True
    finally:
        bar.close()
    return done, False


def columns(name, items, work):
    """The columns of ``[work(item) for item in items]``, rows of equal length, as arrays.

    Ctrl-C keeps the finished rows, and is raised where there are none; ValueError for an empty argument ``name``.
    """
    rows, interrupted = gather(items, work)
    if not rows and interrupted:
        raise KeyboardInterrupt
    if not rows:
        raise ValueError(f"{name} must have at least one entry, got none")
    return [np.array(column) for column in zip(*rows)]
