"""The jitted loops: one runs any optimizer, one any scheme on any flow with given steps, one with error
control; two small ones sample and advance solutions. (Noise has its loops in ``stochastic/``, many
trajectories at once theirs in ``lanes.py``, which calls the first of these.)

They are ordinary functions of this file. :func:`compiled` compiles a loop once, for typed
function pointers, whatever kernels it is then given; a problem made of plain Python callables
runs the same source in the interpreter. Loops run in chunks, so that a progress bar can move and
Ctrl-C keeps what is recorded; the numbers do not depend on the chunks.
"""

import functools
import time

import numpy as np

from . import abi
from .abi import cold_path
from .trajectory import Trajectory

RUNNING, COMPLETED, CONVERGED, BAD_VALUE, BAD_GRADIENT, BAD_STATE, STALLED = range(7)
_CHUNK_SECONDS = 0.2

# Layout of the loops' own state: what must survive between chunks.
# int64; LAST: step number of the last record; MOVED: whether the last trial step was accepted
K, RECORDS, NEXT, GRADIENTS, STATUS, LAST, MOVED = range(7)
T, CARRY, GRADIENT_NORM, STEP, ERROR1, ERROR2 = range(6)  # float64; the flow time is T + CARRY
STORE = (abi.INDICES, abi.INDICES, abi.MATRIX, abi.MATRIX, abi.CUBE)


@abi.kernel
def _norm(g):
    total = 0.0
    for i in range(g.size):
        total += g[i] * g[i]
    return np.sqrt(total)


@abi.kernel
def _all_finite(z):
    for j in range(z.shape[0]):
        for i in range(z.shape[1]):
            if not np.isfinite(z[j, i]):
                return False
    return True


@abi.kernel
def _store(counters, clock, k, f, lr, x, memory, out_k, out_n, out_scalars, out_x, out_memory):
    r = counters[RECORDS]
    out_k[r] = k
    out_n[r] = counters[GRADIENTS]
    out_scalars[0, r], out_scalars[1, r] = clock[T], f
    out_scalars[2, r], out_scalars[3, r] = clock[GRADIENT_NORM], lr
    for i in range(x.size):
        out_x[r, i] = x[i]
    for j in range(out_memory.shape[1]):
        for i in range(x.size):
            out_memory[r, j, i] = memory[j, i]
    counters[RECORDS] = r + 1
    counters[LAST] = k


def optimizer_loop(fg, data, update, lr_schedule, other_schedule, driven, c_lr, c_other, base, p, x, g, s,
                   seen_x, seen_s, counters, clock, k_stop, k_end, every, t_end, gtol,
                   out_k, out_n, out_scalars, out_x, out_memory):
    """Steps ``counters[K] .. k_stop``; ``driven`` names the entries of p that the schedules set.

    Flow time is t + carry, a sum with the rounding errors added up apart (Ogita, Rump, Oishi,
    SIAM J. Sci. Comput. 26 (2005) 1955, Sum2): exact to round-off over any number of steps, and
    unlike Kahan's sum it does not put four additions between one step and the next.

    ``seen_x`` and ``seen_s`` get copies of x and s at every step that is looked at; they may be x and s.
    ``odeopt.specialized`` compiles this same function again for one pair of kernels, with x, g and s in
    registers, where nothing that is handed on may live.
    """
    k, next_record = counters[K], counters[NEXT]
    t, carry = clock[T], clock[CARRY]
    first, second = driven[0], driven[1]
    limit, gtol2 = t_end - 1e-12 * abs(t_end), gtol * gtol
    # The step at which something is to be done for sure, and the time from which on it has to be looked at
    # closely (without the carry, which is of the size of round-off): one comparison each on every step.
    due, near = min(k_stop, next_record), limit - 1e-3 * abs(limit)
    status = RUNNING
    while True:
        if k == due:
            cold_path()
            if k == k_stop and k_stop < k_end:
                break
        f = fg(x, g, data)
        norm = 0.0
        for i in range(g.size):
            norm += g[i] * g[i]
        if first >= 0:
            p[first] = lr_schedule(float(k), base[first], c_lr)
        if second >= 0:
            p[second] = other_schedule(float(k), base[second], c_other)
        if k == due or t >= near or not gtol2 < norm or not norm + abs(f) < np.inf:
            cold_path()  # what it is about is sorted out here
            if not np.isfinite(f):
                status = BAD_VALUE
            elif not np.isfinite(norm):
                status = BAD_GRADIENT
            elif k == k_end or t + carry >= limit:
                status = COMPLETED
            elif norm <= gtol2:
                status = CONVERGED
                for i in range(g.size):
                    if norm == 0.0 and abs(g[i]) > gtol:  # squares below 1e-162 are 0
                        status = RUNNING
            clock[T], clock[GRADIENT_NORM] = t + carry, np.sqrt(norm)
            seen_x[:] = x
            seen_s[:] = s
            if status < BAD_VALUE and (k == next_record or status != RUNNING):
                counters[GRADIENTS] = k
                _store(counters, clock, k, f, p[0], seen_x, seen_s, out_k, out_n, out_scalars, out_x, out_memory)
                if k == next_record:
                    next_record += every
                    due = min(k_stop, next_record)
                if not _all_finite(seen_s):
                    status = BAD_STATE
            if status != RUNNING:
                break
        dt = update(k, p, x, g, s)
        k += 1
        new = t + dt
        moved = new - t
        carry += (t - (new - moved)) + (dt - moved)
        t = new
        if not dt > 0.0 and not (dt == 0.0 and first >= 0):  # a schedule may begin or end at 0
            cold_path()
            status = STALLED if dt == 0.0 and norm == 0.0 else BAD_STATE
            break
    counters[K], counters[NEXT], counters[STATUS], counters[GRADIENTS] = k, next_record, status, k
    clock[T], clock[CARRY] = t, carry


def scheme_loop(fg, hv, data, rhs, step, p, steps, z, w, g, stages,
                counters, clock, k_stop, k_end, every, t_end,
                out_k, out_n, out_scalars, out_x, out_memory):
    """Fixed steps ``steps[k]`` (or ``steps[0]`` when there is one), clipped to land on ``t_end``."""
    k, next_record = counters[K], counters[NEXT]
    t, carry = clock[T], -clock[CARRY]
    status = RUNNING
    while True:
        if k == k_stop and k_stop < k_end:
            break
        h = steps[k] if k < steps.size else steps[steps.size - 1]
        done = k == k_end or t >= t_end - 1e-12 * abs(t_end)
        if k == next_record or done:
            f = fg(z[0], g, data)
            norm = _norm(g)
            clock[T], clock[GRADIENT_NORM] = t, norm
            if not np.isfinite(f):
                status = BAD_VALUE
            elif not np.isfinite(norm):
                status = BAD_GRADIENT
            else:
                _store(counters, clock, k, f, h, z[0], z[1:], out_k, out_n, out_scalars, out_x, out_memory)
                if k == next_record:
                    next_record += every
                if done:
                    status = COMPLETED
        if status != RUNNING:
            break
        if t + h > t_end + 1e-9 * h:
            h = t_end - t
        step(rhs, fg, hv, data, p, t, h, z, w)
        counters[GRADIENTS] += stages if stages > 0 else int(w[w.shape[0] - 1, 0])
        k += 1
        y = h - carry
        new = t + y
        carry = (new - t) - y
        t = new
        if not _all_finite(z):
            status = BAD_STATE
            break
    counters[K], counters[NEXT], counters[STATUS] = k, next_record, status
    clock[T], clock[CARRY] = t, -carry


def adaptive_loop(fg, hv, data, rhs, step, p, tolerances, controller, z, old, w, g, stages,
                  counters, clock, k_stop, k_end, every, t_end,
                  log, out_k, out_n, out_scalars, out_x, out_memory):
    """Trial steps; ``counters[K]`` counts trials, a step is accepted when its scaled error is <= 1.

    ``tolerances`` = (rtol, atol); ``controller`` = (b1, b2, b3, safety, smallest and largest
    factor): the next step is h * safety * e_n^-b1 e_{n-1}^-b2 e_{n-2}^-b3, e the scaled error.
    ``log`` has a row (t, h, error, accepted) for each trial of this chunk.
    """
    k, next_record = counters[K], counters[NEXT]
    t, h = clock[T], clock[STEP]
    k0 = k
    status = RUNNING
    while True:
        if k == k_stop and k_stop < k_end:
            break
        done = k == k_end or t >= t_end
        if done or (k >= next_record and counters[MOVED] == 1):
            f = fg(z[0], g, data)
            norm = _norm(g)
            clock[T], clock[GRADIENT_NORM] = t, norm
            if not (np.isfinite(f) and np.isfinite(norm)):
                status = BAD_GRADIENT if np.isfinite(f) else BAD_VALUE
            else:
                _store(counters, clock, k, f, h, z[0], z[1:], out_k, out_n, out_scalars, out_x, out_memory)
                next_record = k + every
                if done:
                    status = COMPLETED
        if status != RUNNING:
            break
        trial = min(h, t_end - t)
        old[:] = z
        step(rhs, fg, hv, data, p, t, trial, z, w)
        counters[GRADIENTS] += stages
        error, count = 0.0, z.size
        for j in range(z.shape[0]):
            for i in range(z.shape[1]):
                scale = tolerances[1] + tolerances[0] * max(abs(old[j, i]), abs(z[j, i]))
                e = w[j, i] / scale
                error += e * e
        error = np.sqrt(error / count)
        accepted = error <= 1.0
        counters[MOVED] = 1 if accepted else 0
        log[k - k0, 0], log[k - k0, 1] = t, trial
        log[k - k0, 2], log[k - k0, 3] = error, 1.0 if accepted else 0.0
        k += 1
        if not np.isfinite(error):
            factor = controller[4]
        else:
            e = max(error, 1e-10)
            factor = controller[3] * e ** -controller[0]
            if accepted:  # the memory of earlier errors is for smooth stretches only
                factor *= clock[ERROR1] ** -controller[1] * clock[ERROR2] ** -controller[2]
                clock[ERROR2], clock[ERROR1] = clock[ERROR1], e
            factor = min(controller[5], max(controller[4], factor))
        if accepted:
            t = t_end if trial == t_end - t else t + trial
        else:
            z[:] = old
            factor = min(factor, 1.0)
        h = trial * factor if trial == h or factor < 1.0 else max(h, trial * factor)
        if not h > 1e-14 * max(abs(t), 1e-300):
            status = STALLED
            break
    counters[K], counters[NEXT], counters[STATUS] = k, next_record, status
    clock[T], clock[STEP] = t, h


def sample_loop(fg, hv, data, rhs, step, p, nodes, states, times, w, out):
    """``out[i]`` = one step from the last node not after ``times[i]`` to that time.

    ``nodes`` (N,) ascend, ``states`` (N, rows, n) are the solution there. No step is longer than the
    one that the solution took itself, so the values between nodes are as good as the nodes.
    """
    for i in range(times.size):
        node = np.searchsorted(nodes, times[i], side="right") - 1
        node = min(max(node, 0), nodes.size - 1)
        out[i] = states[node]
        h = times[i] - nodes[node]
        if h > 0.0:
            step(rhs, fg, hv, data, p, nodes[node], h, out[i], w)


def advance_loop(fg, hv, data, rhs, step, p, hs, substeps, states, w, estimates):
    """Each state forward by its own ``hs[i]`` in ``substeps`` equal steps, in place, at time 0.

    ``estimates[i]`` is what the last of these steps returned.
    """
    for i in range(hs.size):
        h = hs[i] / substeps
        for _ in range(substeps):
            estimates[i] = step(rhs, fg, hv, data, p, 0.0, h, states[i], w)


_V, _M, _R, _I = abi.VECTOR, abi.MATRIX, abi.REAL, abi.INTEGER
SIGNATURES = {
    optimizer_loop: (abi.FG, _V, abi.UPDATE, abi.SCHEDULE, abi.SCHEDULE, abi.INDICES, _V, _V, _V, _V, _V, _V, _M,
                      _V, _M, abi.INDICES, _V, _I, _I, _I, _R, _R, *STORE),
    scheme_loop: (abi.FG, abi.HV, _V, abi.RHS, abi.STEP, _V, _V, _M, _M, _V, _I,
                   abi.INDICES, _V, _I, _I, _I, _R, *STORE),
    adaptive_loop: (abi.FG, abi.HV, _V, abi.RHS, abi.STEP, _V, _V, _V, _M, _M, _M, _V, _I,
                     abi.INDICES, _V, _I, _I, _I, _R, _M, *STORE),
    sample_loop: (abi.FG, abi.HV, _V, abi.RHS, abi.STEP, _V, _V, abi.CUBE, _V, _M, abi.CUBE),
    advance_loop: (abi.FG, abi.HV, _V, abi.RHS, abi.STEP, _V, _V, _I, abi.CUBE, _M, _V),
}


@functools.cache
def compiled(loop):
    """``loop`` compiled for typed kernels: once a process, from the disk cache if it is there."""
    return abi.kernel(loop, abi.NOTHING(*SIGNATURES[loop]))


class Store:
    """Growing arrays for the records; ``memory_rows`` None keeps no memory."""

    def __init__(self, dim, memory_rows, capacity):
        self.wanted = memory_rows is not None
        memory_rows = memory_rows or 0
        self.dim, self.rows, self.capacity = dim, memory_rows, 0
        self.arrays = [np.empty(0, np.int64), np.empty(0, np.int64), np.empty((4, 0)), np.empty((0, dim)),
                       np.empty((0, memory_rows, dim))]
        self.reserve(0, capacity)

    def reserve(self, used, more):
        """Room for ``more`` records after the first ``used``."""
        if used + more <= self.capacity:
            return
        capacity = max(used + more, min(2 * self.capacity, used + 64 * more))
        shapes = [(capacity,), (capacity,), (4, capacity), (capacity, self.dim), (capacity, self.rows, self.dim)]
        grown = [np.empty(shape, a.dtype) for shape, a in zip(shapes, self.arrays)]
        for old, new in zip(self.arrays, grown):
            new[tuple(slice(0, m) for m in old.shape)] = old
        self.arrays, self.capacity = grown, capacity

    def columns(self, used):
        """Copies of what is filled, by the names of Trajectory."""
        k, n, scalars, x, memory = self.arrays
        t, f, norm, lr = (row[:used].copy() for row in scalars)
        return {"k": k[:used].copy(), "n_grad": n[:used].copy(), "t": t, "f": f, "grad_norm": norm, "lr": lr,
                    "x": x[:used].copy(), "memory": memory[:used].copy() if self.wanted else None}


def fresh_counters():
    """Loop state at step 0."""
    counters, clock = np.zeros(7, np.int64), np.zeros(6)
    counters[LAST], counters[MOVED] = -1, 1
    clock[ERROR1] = clock[ERROR2] = 1.0
    return counters, clock


@np.errstate(all="ignore")  # of a loop in the interpreter; it looks at what is not finite, as the compiled one does
def run(call, counters, clock, store, k_end, every, progress=None):
    """Call ``call(k_stop)`` chunk by chunk until the loop says it is done.

    ``progress(done)`` is called after each chunk with the number of steps in it. Returns whether
    the user interrupted.
    """
    chunk = 64
    counters[STATUS] = RUNNING
    try:
        while counters[STATUS] == RUNNING:
            begin, k = time.perf_counter(), int(counters[K])
            k_stop = min(k_end, k + chunk)
            store.reserve(int(counters[RECORDS]), (k_stop - k) // every + 2)
            call(k_stop)
            if progress is not None:
                progress(int(counters[K]) - k)
            seconds = time.perf_counter() - begin
            chunk = max(1, min(16 * chunk, int(chunk * _CHUNK_SECONDS / max(seconds, 1e-9)), 2**40))
    except KeyboardInterrupt:
        return True
    return False


def explain(counters, clock, interrupted, k_end, gtol):
    """``(status, message)`` of a finished run."""
    code, k, t = int(counters[STATUS]), int(counters[K]), clock[T]
    if interrupted:
        return "interrupted", f"interrupted after step {k} at flow time {t:.6g}; everything before is kept"
    norm = clock[GRADIENT_NORM]
    return {
        COMPLETED: ("completed", f"{k} steps done, flow time {t:.6g}" if k == k_end else
                    f"flow time {t:.6g} reached after {k} steps"),
        CONVERGED: ("converged", f"gradient norm {norm:.3g} <= gtol = {gtol:.3g} after {k} steps"),
        BAD_VALUE: ("diverged", f"diverged at step {k}: objective not finite (flow time {t:.6g})"),
        BAD_GRADIENT: ("diverged", f"diverged at step {k}: gradient norm {norm:.3g} (flow time {t:.6g})"),
        BAD_STATE: ("diverged", f"diverged at step {k}: state or step not finite (flow time {t:.6g})"),
        STALLED: ("stalled", f"stalled at step {k}: the step size became 0 at flow time {t:.6g}"),
    }[code]


def finish(columns, counters, clock, status, message, method, problem, x, s, every, step_log=None):
    """The Trajectory of a run."""
    final = {"k": int(counters[K]), "t": float(clock[T] + clock[CARRY]), "sum": float(clock[T]),
                 "carry": float(clock[CARRY]), "x": x.copy(), "s": s.copy(), "every": every}
    return Trajectory(status=status, message=message, method=method, problem=problem, final=final,
                      step_log=step_log, **columns)
