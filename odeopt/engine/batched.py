"""Many trajectories at once: one instruction for several of them.

Where the update works on each coordinate by itself, a block of trajectories is one long vector to
it, coordinate after coordinate (structure of arrays); where moreover the objective's kernel can be
imported by name and n <= 8, it is compiled (:mod:`odeopt.engine.inlined`) for the whole block in one
loop, which the compiler turns into SIMD code. Each trajectory still gets
the operations of its own run in their order, so it has the bits that :func:`odeopt.record` gives,
unless the compiler has vector versions of sine and its kin.

Elsewhere the general loop takes the trajectories one by one.
"""

import functools
import time

import numpy as np

from .. import abi
from ..abi import stack_vector
from ..sums import two_sum
from ..threads import Stop, elementwise
from . import inlined, loops

WIDTH = 256  # trajectories in a block: x, g and two slots of a plane problem fill 16 KiB of cache
SINGLE, ENOUGH = 16, 0.05  # trajectories of the first call of the general loop; seconds that a call should take
LOOK = 2**12  # steps after which a loop looks whether it has been stopped


class Stopped(Exception):
    """Raised by :func:`run` where ``stop`` was set."""


def _gradients_of(fg, n):
    """``gradients(x, out, data)``; out: the gradient's coordinates, f, squared norms, WIDTH lanes each."""
    f_at, norm_at = n * WIDTH, (n + 1) * WIDTH

    def gradients(x, out, data):
        for j in range(WIDTH):
            xj, gj = stack_vector(n), stack_vector(n)
            for i in range(n):
                xj[i] = x[i * WIDTH + j]
            f = fg(xj, gj, data)
            norm = 0.0
            for i in range(n):
                out[i * WIDTH + j] = gj[i]
                norm += gj[i] * gj[i]
            out[f_at + j] = f
            out[norm_at + j] = norm

    return gradients


@abi.kernel
def _norm(j, out, own):
    """The gradient norm of lane j; ``own`` has room for its gradient."""
    n = own.size
    width = out.size // (n + 2)
    for i in range(n):
        own[i] = out[i * width + j]
    return loops.norm_of(own)


@abi.kernel
def _moving(update, k, p, x, g, s):
    """Which entries of x move in this step or as many further ones as there are slots (see loops.optimizer_loop)."""
    now, memory, moved = x.copy(), s.copy(), np.zeros(x.size, np.int64)
    for j in range(s.shape[0] + 1):
        update(k + j, p, now, g, memory)
        for i in range(x.size):
            if now[i] != x[i]:
                moved[i] = 1
    return moved


@abi.kernel
def _finish(j, status, k, t, size, x, out, s, live, out_x, out_numbers, out_k, out_status):
    width, n = live.size, out_x.shape[1]
    for i in range(n):
        out_x[j, i] = x[i * width + j]
        for r in range(s.shape[0]):  # rows of scalars hold zeros there
            if status < loops.BAD_VALUE and not np.isfinite(s[r, i * width + j]):
                status = loops.BAD_STATE
    out_numbers[0, j], out_numbers[1, j] = t, out[n * width + j]
    out_numbers[2, j] = size
    out_k[j], out_status[j] = k, status
    live[j] = 0


@abi.kernel
def _keep(r, x, out, live, out_x, out_numbers, path_x, path_f):
    width, n = live.size, out_x.shape[1]
    for j in range(width):
        path_f[j, r] = out[n * width + j] if live[j] else out_numbers[1, j]
        for i in range(n):
            path_x[j, r, i] = x[i * width + j] if live[j] else out_x[j, i]


@abi.kernel
def _events(f, norm, live, gtol2):
    events = 0
    for j in range(live.size):
        events += 0 if norm[j] > gtol2 and norm[j] + abs(f[j]) < np.inf else live[j]
    return events


def _block(gradients, update, data, p, x, s, out, live, steps, every, t_end, gtol, out_x, out_numbers, out_k,
           out_status, path_x, path_f, stopped):
    """Steps of one block; each trajectory stops by itself as in loops.optimizer_loop, the block when all have or
    ``stopped[0]`` is set."""
    width, n = live.size, out_x.shape[1]
    g, fs, norms = out[: n * width], out[n * width : (n + 1) * width], out[(n + 1) * width :]
    limit, gtol2 = loops.last_time(t_end), max(gtol * gtol, loops.TINY)
    t, carry, k, r = 0.0, 0.0, 0, 0
    left, own = 0, np.empty(n)
    for j in range(width):
        left += live[j]
    while k % LOOK > 0 or stopped[0] == 0:
        gradients(x, out, data)
        ended = k == steps or t + carry >= limit or not t < np.inf
        if ended or _events(fs, norms, live, gtol2) > 0:
            moving = np.zeros(0, np.int64)
            for j in range(width):
                if live[j] == 0:
                    continue
                f, size, status = fs[j], _norm(j, out, own), loops.RUNNING
                if not np.isfinite(f):
                    status = loops.BAD_VALUE
                elif not np.isfinite(size):
                    status = loops.BAD_GRADIENT
                elif not t + carry < np.inf:
                    status = loops.BAD_STATE
                elif k == steps or t + carry >= limit:
                    status = loops.COMPLETED
                elif size <= gtol:
                    status = loops.CONVERGED
                    if gtol == 0.0:
                        if moving.size == 0:
                            moving = _moving(update, k, p, x, g, s)
                        for i in range(n):
                            if moving[i * width + j] > 0:
                                status = loops.RUNNING
                if status != loops.RUNNING:
                    _finish(j, status, k, t + carry, size, x, out, s, live, out_x, out_numbers, out_k, out_status)
                    left -= 1
        if every > 0 and k == r * every:
            _keep(r, x, out, live, out_x, out_numbers, path_x, path_f)
            r += 1
        if left == 0:
            break
        dt = update(k, p, x, g, s)
        k += 1
        t, lost = two_sum(t, dt)
        carry += lost
        if not dt > 0.0:
            for j in range(width):
                if live[j]:
                    _finish(j, loops.BAD_STATE, k, t + carry, _norm(j, out, own), x, out, s, live, out_x, out_numbers,
                            out_k, out_status)
            left = 0
    for rest in range(r, path_f.shape[1]):
        _keep(rest, x, out, live, out_x, out_numbers, path_x, path_f)


@functools.cache
def _compiled_gradients(fg, n):
    return abi.kernel(_gradients_of(fg, n), abi.LANES.signature, inlined.cache_folder)


@functools.cache
def _compiled_block():
    flags = abi.INDICES
    return abi.kernel(_block, abi.NOTHING(
        abi.LANES, abi.UPDATE, abi.VECTOR, abi.VECTOR, abi.VECTOR, abi.MATRIX, abi.VECTOR, flags, abi.INTEGER,
        abi.INTEGER, abi.REAL, abi.REAL, abi.MATRIX, abi.MATRIX, flags, flags, abi.CUBE, abi.MATRIX, flags))


def gradients_for(problem, optimizer):
    """``(compiled gradients of a block, "")``, or ``(None, why the trajectories go one by one)``."""
    reason = inlined.why_not(problem, optimizer)
    if not reason and not elementwise(optimizer):
        reason = f"{optimizer.title} does not treat each coordinate by itself"
    if reason:
        return None, reason
    with inlined.LOCK:
        return _compiled_gradients(problem.fg, problem.dim), ""


def _many(one_run, fg, data, update, constant, p, starts, slots, steps, every, t_end, gtol, out_x, out_numbers, out_k,
          out_status, path_x, path_f, stopped):
    """The general loop, ``one_run``, for one start after another."""
    n = starts.shape[1]
    driven, c = np.full(2, -1), np.zeros(6)
    counters, clock = np.zeros(6, np.int64), np.zeros(6)
    stride = every if every > 0 else max(steps, 1)
    room = steps // stride + 2
    rec_k, rec_n, rec_f, rec = np.zeros(room, np.int64), np.zeros(room, np.int64), np.zeros(room), np.zeros(room)
    rec_x, rec_s = np.zeros((room, n)), np.zeros((room, 0, n))
    g, seen_x, seen_s = np.zeros(n), np.zeros(n), np.zeros(slots.shape[1:])
    for j in range(starts.shape[0]):
        x, s, own = starts[j].copy(), slots[j].copy(), p.copy()
        counters[:] = 0
        clock[:] = 0.0
        while counters[loops.STATUS] == loops.RUNNING and stopped[0] == 0:
            due = min(counters[loops.K] + LOOK, steps)
            one_run(fg, data, update, constant, constant, driven, c, c, c, own, x, g, s, seen_x, seen_s, counters,
                    clock, due, steps, stride, t_end, gtol, rec_k, rec_n, rec, rec_f, rec, rec, rec_x, rec_s)
        count = counters[loops.RECORDS]
        f = fg(x, g, data)
        out_x[j] = x
        out_numbers[0, j], out_numbers[1, j], out_numbers[2, j] = clock[0] + clock[1], f, loops.norm_of(g)
        out_k[j], out_status[j] = counters[loops.K], counters[loops.STATUS]
        for r in range(path_f.shape[1]):
            if r < count and rec_k[r] == r * stride:
                path_x[j, r] = rec_x[r]
                path_f[j, r] = rec_f[r]
            else:
                path_x[j, r] = x
                path_f[j, r] = f


@functools.cache
def _compiled_many():
    flags, one = abi.INDICES, abi.pointer(abi.NOTHING(*loops.SIGNATURES[loops.optimizer_loop]))
    return abi.kernel(_many, abi.NOTHING(
        one, abi.FG, abi.VECTOR, abi.UPDATE, abi.SCHEDULE, abi.VECTOR, abi.MATRIX, abi.CUBE, abi.INTEGER, abi.INTEGER,
        abi.REAL, abi.REAL, abi.MATRIX, abi.MATRIX, flags, flags, abi.CUBE, abi.MATRIX, flags))


def run(problem, optimizer, starts, steps, every, t_end, gtol, simd=True, start="cold", stop=None):
    """Trajectories from each row of ``starts``; the arrays that :func:`odeopt.ensemble` collects.

    Returns a dict: x (N, n), t, f, grad_norm, k, status code (drive's), and with ``every`` > 0
    path_x (N, R, n) and path_f (N, R), R = steps // every + 1, held where a trajectory has stopped.
    ``stop``, a :class:`~odeopt.threads.Stop`, ends it with :class:`Stopped`.
    """
    stop = stop or Stop()
    count, n = starts.shape
    kernel = gradients_for(problem, optimizer)[0] if simd else None
    padded = -(-count // WIDTH) * WIDTH if kernel is not None else count
    records = steps // every + 1 if every else 0
    x, numbers = np.empty((padded, n)), np.empty((3, padded))
    k, status = np.zeros(padded, np.int64), np.zeros(padded, np.int64)
    path_x, path_f = np.empty((padded, records, n)), np.empty((padded, records))
    if kernel is None:
        from ..schedules import constant

        compiled = problem.compiled and abi.is_compiled(optimizer.kernel)
        many, loop = _compiled_many() if compiled else _many, loops.runnable(loops.optimizer_loop, compiled)
        with np.errstate(all="ignore"):
            slots = np.array([optimizer.start(x0, problem.grad(x0) if start == "consistent" else None, start)
                              for x0 in starts]).reshape(count, -1, n)
            p, starts = optimizer.p_for(starts[0]), np.ascontiguousarray(starts)
            for part in _blocks(count, SINGLE if compiled else 1, stop, ENOUGH):
                block_numbers = np.empty((3, part.stop - part.start))
                many(loop, problem.fg, problem.data, optimizer.kernel, constant().kernel, p, starts[part], slots[part],
                     steps, every, t_end, gtol, x[part], block_numbers, k[part], status[part], path_x[part],
                     path_f[part], stop.flag)
                numbers[:, part] = block_numbers
    else:
        block, out, live = _compiled_block(), np.empty((n + 2) * WIDTH), np.empty(WIDTH, np.int64)
        for part in _blocks(padded, WIDTH, stop):
            here = starts[np.minimum(np.arange(part.start, part.stop), count - 1)]  # the last block is filled up
            live[:] = np.arange(part.start, part.stop) < count
            block_numbers = np.empty((3, WIDTH))
            flat = np.ascontiguousarray(here.T).ravel()
            if start == "consistent":
                kernel(flat, out, problem.data)
            with np.errstate(all="ignore"):
                slots = optimizer.start(flat, out[: n * WIDTH], start)
                p = optimizer.p_for(flat)
            block(kernel, optimizer.kernel, problem.data, p, flat, slots, out, live, steps, every, t_end, gtol, x[part],
                  block_numbers, k[part], status[part], path_x[part], path_f[part],
                  stop.flag)
            numbers[:, part] = block_numbers
    t, f, norm = numbers[:, :count]
    result = {"x": x[:count], "t": t, "f": f, "grad_norm": norm, "k": k[:count], "status": status[:count]}
    if every:
        result |= {"path_x": path_x[:count], "path_f": path_f[:count]}
    return result


def _blocks(count, width, stop, enough=0.0):
    """Slices up to ``count``, until ``stop`` is set; longer than ``width`` where those take less than ``enough``."""
    begin = 0
    while begin < count:
        started, end = time.perf_counter(), min(begin + width, count)
        yield slice(begin, end)
        if stop.is_set():
            raise Stopped
        begin = end
        if 16 * (time.perf_counter() - started) < enough:
            width *= 16
