"""One random stream per path, drawn in blocks, and the threads that advance the blocks."""

import contextlib
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .. import checks
from ..progress import progress_bar
from ..threads import Uninterrupted, number
from .noise import Minibatch

BLOCK_NUMBERS = 2**17  # numbers drawn at a time for a block of paths: 1 MB, so that it stays in the cache
BLOCK_PATHS = 128
FIRST_ROUND, ROUND = 64, 0.2  # steps, and seconds, that all paths go before Ctrl-C is looked at
_NO_NORMALS, _NO_BATCHES = np.empty((1, 0, 0)), np.empty((1, 0, 0), dtype=np.int64)
_WORD = 2**64


def root_sequence(seed: Any) -> Any:
    """The SeedSequence whose children are the streams."""
    if isinstance(seed, np.random.Generator):
        return seed.bit_generator.seed_seq.spawn(1)[0]  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(seed, np.random.SeedSequence):
        return seed
    return np.random.SeedSequence(checks.integer("seed", seed, high=None))


def streams_of(root, paths):
    """Children 0 .. paths - 1 of ``root`` as ``root.spawn`` first numbers them, without its side effect."""
    return np.random.SeedSequence(root.entropy, spawn_key=root.spawn_key, pool_size=root.pool_size).spawn(paths)


class Streams:
    """The generators of an ensemble, and what each has under way (the order of its epoch)."""

    def __init__(self, seed, paths, noise, problem):
        self.paths = paths
        self.seeds: Any = None if seed is None else streams_of(root_sequence(seed), paths)
        self.generators: list[Any] = [None] * paths  # made by the thread that runs the path
        self.batch = noise.size if isinstance(noise, Minibatch) else 0
        self.replacement = self.batch and noise.replacement
        self.samples = problem.samples if self.batch else 0
        self.order: list[Any] = [None] * paths  # (permutation, batches of it used)

    @classmethod
    def restored(cls, words, noise, problem, order):
        """The streams that ``saved`` and ``orders`` wrote; ValueError for others."""
        self = cls(None, words.shape[0], noise, problem)
        epoch = 1 + self.samples if self.batch and not self.replacement else 0
        if order.shape[1] != epoch or (epoch and order[:, 0].max() > self.samples // self.batch):
            raise ValueError(f"resume must hold the order of an epoch of {self.samples} samples for each path")
        if words[:, 4].max() > 1 or words[:, 5].max() >= 2**32:
            raise ValueError("resume must hold states of PCG64 generators")
        for i, (a, b, c, d, has, kept) in enumerate(words.tolist()):
            generator = np.random.Generator(np.random.PCG64(0))
            generator.bit_generator.state = {
                "bit_generator": "PCG64", "state": {"state": a * _WORD + b, "inc": c * _WORD + d},
                "has_uint32": has, "uinteger": kept}
            self.generators[i] = generator
            if order.shape[1]:
                self.order[i] = (order[i, 1:].copy(), int(order[i, 0]))
        return self

    def saved(self):
        """(paths, 6) uint64: the states of the generators."""
        words = np.empty((self.paths, 6), dtype=np.uint64)
        for i in range(self.paths):
            state = self.generator(i).bit_generator.state
            inner = state["state"]
            words[i] = (*divmod(inner["state"], _WORD), *divmod(inner["inc"], _WORD),
                        state["has_uint32"], state["uinteger"])
        return words

    def orders(self):
        """(paths, 1 + samples) int64: batches used and order of each path's epoch; (paths, 0) if none."""
        if not self.batch or self.replacement:
            return np.empty((self.paths, 0), dtype=np.int64)
        fresh = np.arange(self.samples), self.samples // self.batch  # an order that is used up
        return np.array([np.concatenate(([used], order)) for order, used in (one or fresh for one in self.order)],
                        dtype=np.int64)

    def kept(self):
        """All that drawing changes, for :meth:`restore`."""
        return [one and one.bit_generator.state for one in self.generators], list(self.order)

    def restore(self, kept):
        """The streams as they were at :meth:`kept`."""
        for i, state in enumerate(kept[0]):
            if state is None:
                self.generators[i] = None
            else:
                self.generators[i].bit_generator.state = state
        self.order[:] = kept[1]

    def generator(self, i):
        """The generator of path i."""
        if self.generators[i] is None:
            self.generators[i] = np.random.Generator(np.random.PCG64(self.seeds[i]))
        return self.generators[i]

    def normals(self, rows, count, size, room=None):
        """(paths of the block, count, size) standard normal numbers, in ``room`` if it is given and large enough."""
        shape = (rows.stop - rows.start, count, size)
        needed = shape[0] * count * size
        out = np.empty(shape) if room is None or room.size < needed else room[:needed].reshape(shape)
        for row, i in zip(out, range(rows.start, rows.stop)):
            self.generator(i).standard_normal(out=row)
        return out

    def batches(self, rows, count):
        """(paths of the block, count, batch) sample indices."""
        out = np.empty((rows.stop - rows.start, count, self.batch), dtype=np.int64)
        for row, i in zip(out, range(rows.start, rows.stop)):
            if self.replacement:
                row[:] = self.generator(i).integers(0, self.samples, row.shape)
            else:
                self._epochs(i, row)
        return out

    def _epochs(self, i, row):
        whole = self.samples // self.batch
        order, used = self.order[i] or (np.arange(self.samples), whole)
        done = 0
        while done < row.shape[0]:
            if used == whole:
                order, used = self.generator(i).permutation(self.samples), 0
            take = min(whole - used, row.shape[0] - done)
            first = used * self.batch
            row[done : done + take] = order[first : first + take * self.batch].reshape(take, self.batch)
            done, used = done + take, used + take
        self.order[i] = (order, used)


def run_blocks(advance, streams, state, begin, steps, size, threads, progress, compiled):
    """Call ``advance(rows, normals, batches, count, step)`` over all paths, from step ``begin`` for ``steps`` steps,
    and return the step that all have reached: less after Ctrl-C.

    The paths go on together, as many steps at a time as take ROUND seconds; a block of them runs on one thread, in as
    many pieces as its numbers need (the loops release the GIL, and so does numpy while it draws). Compiled, such a
    round is finished before Ctrl-C ends the run. In the interpreter, where one thread runs, it is taken back: the
    arrays ``state`` and the streams are as they were before it.
    """
    paths, threads, progress = streams.paths, number(threads) if compiled else 1, checks.switch("progress", progress)
    width = max(1, min(BLOCK_PATHS, -(-paths // threads)))
    piece = max(1, min(steps, BLOCK_NUMBERS // (width * max(size, 1))))
    firsts, local = range(0, paths, width), threading.local()

    def block(first, now, stop):
        rows = slice(first, min(first + width, paths))
        if not hasattr(local, "room"):  # one buffer per thread: fresh pages cost as much as the numbers in them
            local.room = np.empty(width * piece * size if size and not streams.batch else 0)
        while now < stop:
            count = min(piece, stop - now)
            batches = streams.batches(rows, count) if streams.batch else _NO_BATCHES
            xi = streams.normals(rows, count, size, local.room) if size and not streams.batch else _NO_NORMALS
            with np.errstate(all="ignore"):  # of a loop in the interpreter, which looks itself
                advance(rows, xi, batches, count, now)
            now += count

    end, now, kept = begin + steps, begin, None
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(progress_bar(progress, total=paths * steps, unit="step", unit_scale=True))
        some = len(firsts) > 1 and threads > 1
        each = stack.enter_context(ThreadPoolExecutor(threads)).map if some else map
        count = FIRST_ROUND
        try:
            while now < end:
                started, stop = time.perf_counter(), min(end, now + count)
                if compiled:
                    with Uninterrupted():
                        list(each(block, firsts, itertools.repeat(now), itertools.repeat(stop)))
                        now = stop
                else:
                    kept = now, [array.copy() for array in state], streams.kept()  # one assignment: all of it or none
                    list(each(block, firsts, itertools.repeat(now), itertools.repeat(stop)))
                    now = stop
                bar.update(paths * (stop - begin) - bar.n)
                seconds = time.perf_counter() - started
                count = max(1, min(16 * count, int(count * ROUND / max(seconds, 1e-9)), 2**40))
        except KeyboardInterrupt:
            pass
        else:
            return end
    if kept is not None:  # not in the handler: a second Ctrl-C here ends the call, which then returns no paths
        now, arrays, streams_before = kept
        for array, before in zip(state, arrays):
            array[...] = before
        streams.restore(streams_before)
    return now
