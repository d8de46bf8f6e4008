"""The jitted loops: one runs any optimizer, one any scheme on any flow with given steps, one with error
control; two small ones sample and advance solutions. (Noise has its loops in ``stochastic/``, many
trajectories at once theirs in ``batched.py``, which calls the first of these.)

They are ordinary functions of this file. :func:`runnable` compiles a loop once, for typed
function pointers, whatever kernels it is then given; a problem made of plain Python callables
runs the same source in the interpreter. Loops run in chunks, so that a progress bar can move and
Ctrl-C keeps what is recorded; the numbers do not depend on the chunks. Compiled, a chunk is done or
not begun when an exception arrives; in the interpreter :class:`Stepwise` sees to that for each step.
"""

import functools
import time

import numpy as np

from .. import abi
from ..abi import cold_path
from ..sums import all_finite, finite, scaled_norm, two_sum
from .trajectory import Trajectory

RUNNING, COMPLETED, CONVERGED, OUT_OF_RANGE, BAD_VALUE, BAD_GRADIENT, BAD_STATE, STALLED, FULL = range(9)
_CHUNK_SECONDS, _FIRST_CHUNK = 0.2, 64
TINY = 1e-290  # a sum of squares below it has lost digits
LONGEST = 1e300  # of adaptive steps: what can still be multiplied

# Layout of the loops' own state: what must survive between chunks.
# int64; MOVED: whether the last trial step was accepted
K, RECORDS, NEXT, GRADIENTS, STATUS, MOVED = range(6)
T, CARRY, GRADIENT_NORM, STEP, ERROR1, ERROR2 = range(6)  # float64; the flow time is T + CARRY
STORE = (abi.INDICES, abi.INDICES, *[abi.VECTOR] * 4, abi.MATRIX, abi.CUBE)  # as in odeopt.engine.store


@abi.kernel
def norm_of(g):
    """Euclidean norm, also where the squares are too large or too small for float64."""
    total = 0.0
    for i in range(g.size):
        total += g[i] * g[i]
    if TINY < total < np.inf:
        return np.sqrt(total)
    scale, length = scaled_norm(g)
    return scale * length


@abi.kernel
def last_time(t_end):
    """The time from which on ``t_end`` counts as reached."""
    return t_end - 1e-12 * abs(t_end) if t_end < np.inf else t_end


@abi.kernel
def write_record(counters, clock, k, f, lr, x, memory, out_k, out_n, out_t, out_f, out_norm, out_lr, out_x,
                 out_memory):
    """The record of step ``k``, the next one of the store's arrays."""
    r = counters[RECORDS]
    out_k[r] = k
    out_n[r] = counters[GRADIENTS]
    out_t[r], out_f[r], out_norm[r], out_lr[r] = clock[T], f, clock[GRADIENT_NORM], lr
    for i in range(x.size):
        out_x[r, i] = x[i]
    for j in range(out_memory.shape[1]):
        for i in range(x.size):
            out_memory[r, j, i] = memory[j, i]
    counters[RECORDS] = r + 1


def optimizer_loop(fg, data, update, lr_schedule, other_schedule, driven, c_lr, c_other, span, p, x, g, s,
                   seen_x, seen_s, counters, clock, k_stop, k_end, every, t_end, gtol,
                   out_k, out_n, out_t, out_f, out_norm, out_lr, out_x, out_memory):
    """Steps ``counters[K] .. k_stop``; ``driven`` names the entries of p that the schedules set, ``span`` holds
    the value in the optimizer, the lowest and the highest one allowed of each.

    Flow time is t + carry, a sum with its rounding errors added up apart (:func:`odeopt.sums.two_sum`).

    ``seen_x`` and ``seen_s`` get copies of x and s at every step that is looked at.
    ``odeopt.engine.inlined`` compiles this same function again for one pair of kernels, with x, g and s in
    registers, where nothing that is handed on may live.
    """
    k, next_record = counters[K], counters[NEXT]
    t, carry = clock[T], clock[CARRY]
    first, second = driven[0], driven[1]
    limit, gtol2 = last_time(t_end), max(gtol * gtol, TINY)
    # The step at which something is to be done for sure, and the time from which on it has to be looked at
    # closely (without the carry, which is of the size of round-off): one comparison each on every step.
    due, near = min(k_stop, next_record), limit if limit == np.inf else limit - 1e-3 * abs(limit)
    status, outside = RUNNING, False
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
            p[first] = lr_schedule(float(k), span[0], c_lr)
            outside = not span[1] <= p[first] <= span[2]
        if second >= 0:
            p[second] = other_schedule(float(k), span[3], c_other)
            outside = outside or not span[4] <= p[second] <= span[5]
        if k == due or t >= near or outside or not gtol2 < norm or not norm + abs(f) < np.inf:
            cold_path()  # what it is about is sorted out here
            seen_x[:] = x
            seen_s[:] = s
            size = np.sqrt(norm)
            if not TINY < norm < np.inf:
                copy = np.empty(g.size)
                for i in range(g.size):
                    copy[i] = g[i]
                size = norm_of(copy)
            if not np.isfinite(f):
                status = BAD_VALUE
            elif not np.isfinite(size):
                status = BAD_GRADIENT
            elif not (t + carry < np.inf and finite(seen_x)):  # f may be finite at infinity
                status = BAD_STATE
            elif k == k_end or t + carry >= limit:
                status = COMPLETED
            elif size <= gtol:
                status = CONVERGED
                if gtol == 0.0:
                    # The gradient is 0; stationary is what its memory does not move, either. As many steps as there
                    # are slots decide for updates that are linear in them (theorem of Cayley and Hamilton).
                    own, rest = np.empty(p.size), np.zeros(g.size)
                    for i in range(p.size):
                        own[i] = p[i]
                    for j in range(s.shape[0] + 1):
                        dt = update(k + j, own, seen_x, rest, seen_s)
                        if first >= 0 and not dt > 0.0:  # a step of length 0 by a schedule says nothing
                            status = RUNNING
                        for i in range(g.size):
                            if seen_x[i] != x[i]:
                                status = RUNNING
                    seen_x[:] = x
                    seen_s[:] = s
            if status == RUNNING and outside:
                status = OUT_OF_RANGE
            clock[T], clock[GRADIENT_NORM] = t + carry, size
            if status < BAD_VALUE and (k == next_record or status != RUNNING):
                counters[GRADIENTS] = k
                write_record(counters, clock, k, f, p[0], seen_x, seen_s, out_k, out_n, out_t, out_f, out_norm, out_lr,
                             out_x, out_memory)
                if k == next_record:
                    next_record += every
                    due = min(k_stop, next_record)
                if not all_finite(seen_s):
                    status = BAD_STATE
            if status != RUNNING:
                break
        dt = update(k, p, x, g, s)
        k += 1
        t, lost = two_sum(t, dt)
        carry += lost
        if not dt > 0.0 and not (dt == 0.0 and first >= 0):  # a schedule may begin or end at 0
            cold_path()
            status = STALLED if dt == 0.0 and norm == 0.0 else BAD_STATE
            break
    counters[K], counters[NEXT], counters[STATUS], counters[GRADIENTS] = k, next_record, status, k
    clock[T], clock[CARRY] = t, carry


def scheme_loop(fg, hv, data, rhs, step, p, steps, z, w, g, stages,
                counters, clock, k_stop, k_end, every, t_end,
                out_k, out_n, out_t, out_f, out_norm, out_lr, out_x, out_memory):
    """Fixed steps ``steps[k]`` (or ``steps[0]`` when there is one), clipped to land on ``t_end``."""
    k, next_record = counters[K], counters[NEXT]
    t, carry = clock[T], clock[CARRY]
    status, limit = RUNNING, last_time(t_end)
    while True:
        if k == k_stop and k_stop < k_end:
            break
        h = steps[k] if k < steps.size else steps[steps.size - 1]
        done = k == k_end or t >= limit
        if k == next_record or done:
            f = fg(z[0], g, data)
            norm = norm_of(g)
            clock[T], clock[GRADIENT_NORM] = t, norm
            if not np.isfinite(f):
                status = BAD_VALUE
            elif not np.isfinite(norm):
                status = BAD_GRADIENT
            else:
                write_record(counters, clock, k, f, h, z[0], z[1:], out_k, out_n, out_t, out_f, out_norm, out_lr, out_x,
                             out_memory)
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
        t, carry = two_sum(t, h + carry)
        if not (all_finite(z) and t < np.inf):
            status = BAD_STATE
            break
    counters[K], counters[NEXT], counters[STATUS] = k, next_record, status
    clock[T], clock[CARRY] = t, carry


def adaptive_loop(fg, hv, data, rhs, step, p, tolerances, controller, z, old, w, g, stages,
                  counters, clock, k_stop, k_end, every, t_end,
                  log, out_k, out_n, out_t, out_f, out_norm, out_lr, out_x, out_memory):
    """Trial steps; ``counters[K]`` counts trials, a step is accepted when its scaled error is <= 1.

    ``tolerances`` = (rtol, atol); ``controller`` = (b1, b2, b3, safety, smallest and largest
    factor): the next step is h * safety * e_n^-b1 e_{n-1}^-b2 e_{n-2}^-b3, e the scaled error.
    ``log`` has a row (t, h, error, accepted) for each trial.
    """
    k, next_record = counters[K], counters[NEXT]
    t, h = clock[T], clock[STEP]
    status = RUNNING
    while True:
        if k == k_stop and k_stop < k_end:
            break
        done = k == k_end or t >= t_end
        if done or (k >= next_record and counters[MOVED] == 1):
            f = fg(z[0], g, data)
            norm = norm_of(g)
            clock[T], clock[GRADIENT_NORM] = t, norm
            if not (np.isfinite(f) and np.isfinite(norm)):
                status = BAD_GRADIENT if np.isfinite(f) else BAD_VALUE
            else:
                write_record(counters, clock, k, f, h, z[0], z[1:], out_k, out_n, out_t, out_f, out_norm, out_lr, out_x,
                             out_memory)
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
        accepted = error <= 1.0 and all_finite(z)  # relative to what is infinite any error is small
        counters[MOVED] = 1 if accepted else 0
        log[k, 0], log[k, 1] = t, trial
        log[k, 2], log[k, 3] = error, 1.0 if accepted else 0.0
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
            if factor >= 1.0:  # the same step would be rejected for ever
                factor = controller[4]
        h = min(LONGEST, trial * factor if trial == h or factor < 1.0 else max(h, trial * factor))
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
def runnable(loop, compiled=True):
    """``loop`` compiled for typed kernels, once per process; or as it stands, for the interpreter."""
    return abi.kernel(loop, abi.NOTHING(*SIGNATURES[loop])) if compiled else loop


def fresh_counters():
    """Loop state at step 0."""
    counters, clock = np.zeros(6, np.int64), np.zeros(6)
    counters[MOVED] = 1
    clock[ERROR1] = clock[ERROR2] = 1.0
    return counters, clock


class Stepwise:
    """``call`` for a problem of plain Python callables, where an exception may arrive at any instruction.

    It goes a step at a time, after the first thousand as many as take a millisecond, and :meth:`undo` takes back
    what was not finished. ``state``: all arrays that a step moves.
    """

    def __init__(self, call, counters, *state):
        self.call, self.counters, self.state, self.kept, self.size = call, counters, (counters, *state), None, 1

    def __call__(self, k_stop):
        going_on = True
        while going_on:
            begin, k = time.perf_counter(), int(self.counters[K])
            self.kept = [array.copy() for array in self.state]
            self.call(min(k_stop, k + self.size))
            going_on = self.counters[STATUS] == RUNNING and self.counters[K] < k_stop
            seconds = time.perf_counter() - begin
            if seconds > 1e-3 or k < 1000:
                self.size = max(1, self.size // 2)
            elif seconds < 5e-4:
                self.size *= 2

    def undo(self):
        """All arrays as they were before the steps under way, or after the last ones."""
        for array, kept in zip(self.state, self.kept or self.state):
            array[...] = kept


@np.errstate(all="ignore")  # of a loop in the interpreter; it looks at what is not finite, as the compiled one does
def run(call, counters, store, k_end, every, progress=None, stepwise=None):
    """Call ``call(k_stop)`` chunk by chunk until the loop says it is done.

    ``progress(done)`` is called after each chunk with the number of steps in it. Returns whether
    the user interrupted. ``stepwise``: the :class:`Stepwise` below ``call``, if there is one.
    """
    chunk = _FIRST_CHUNK
    counters[STATUS] = RUNNING
    try:
        while counters[STATUS] == RUNNING:
            begin, k, used = time.perf_counter(), int(counters[K]), int(counters[RECORDS])
            k_stop = min(k_end, k + min(chunk, store.rows(used, chunk // every + 1) * every))
            if store.log is not None:
                k_stop = k + store.rows(k, k_stop - k)
            if not (store.reserve_log(k_stop) and store.reserve(used, (k_stop - k) // every + 2)):
                counters[STATUS] = FULL
                break
            call(k_stop)
            if progress is not None:
                progress(int(counters[K]) - k)
            seconds = time.perf_counter() - begin
            chunk = max(1, min(16 * chunk, int(chunk * _CHUNK_SECONDS / max(seconds, 1e-9)), 2**40))
    except KeyboardInterrupt:
        pass
    else:
        return False
    if stepwise is not None:  # not in the handler: a second Ctrl-C here ends the call, which then returns no run
        stepwise.undo()
    return True


def explain(counters, clock, interrupted, k_end, gtol=0.0, must_reach=-np.inf, outside=""):
    """``(status, message)`` of a finished run.

    ``must_reach`` is the flow time without which the run is not complete, ``outside`` says which schedule left
    its hyperparameter's interval.
    """
    code, k, t = int(counters[STATUS]), int(counters[K]), clock[T]
    if interrupted:
        return "interrupted", f"interrupted after step {k} at flow time {t:.6g}; everything before is kept"
    if code == COMPLETED and t + clock[CARRY] < last_time(must_reach):
        return "stalled", f"{k} steps end at flow time {t:.6g}, before t_end = {must_reach:.6g}"
    norm = clock[GRADIENT_NORM]
    return {
        COMPLETED: ("completed", f"{k} steps done, flow time {t:.6g}" if k == k_end else
                    f"flow time {t:.6g} reached after {k} steps"),
        CONVERGED: ("converged", f"gradient norm {norm:.3g} <= gtol = {gtol:.3g} after {k} steps"),
        OUT_OF_RANGE: ("stalled", f"stopped at step {k} (flow time {t:.6g}): {outside}"),
        BAD_VALUE: ("diverged", f"diverged at step {k}: objective not finite (flow time {t:.6g})"),
        BAD_GRADIENT: ("diverged", f"diverged at step {k}: gradient norm {norm:.3g} (flow time {t:.6g})"),
        BAD_STATE: ("diverged", f"diverged at step {k}: state or step not finite (flow time {t:.6g})"),
        STALLED: ("stalled", f"stalled at step {k}: the step size became 0 at flow time {t:.6g}"),
        FULL: ("stalled", f"stopped at step {k} (flow time {t:.6g}): there is no memory for more records than "
                          f"{counters[RECORDS]}; a larger every keeps fewer"),
    }[code]


def finish(columns, counters, clock, status, message, method, problem, x, s, every, step_log=None):
    """The Trajectory of a run."""
    final = {"k": int(counters[K]), "t": float(clock[T]) + float(clock[CARRY]), "sum": float(clock[T]),
                 "carry": float(clock[CARRY]), "x": x.copy(), "s": s.copy(), "every": every}
    return Trajectory(status=status, message=message, method=method, problem=problem, final=final,
                      step_log=step_log, **columns)
