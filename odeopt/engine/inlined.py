"""The optimizer loop compiled for one pair of kernels: small problems at the speed of written-out C.

``loops.optimizer_loop`` calls its kernels through pointers and keeps x, g and the slots in memory:
some 30 ns per step on a plane problem, where the arithmetic takes 5. For long runs on problems of up
to 8 unknowns this module compiles the *same function* with the kernels inlined and x, g, s on the
stack (so that they live in registers), and keeps the machine code (:mod:`odeopt.machine_code`), so
the next process only loads it. Same operations in the same order, no fastmath: the iterates are the
same, bit for bit (a test compares them).

Files go to ``$ODEOPT_CACHE_DIR``, by default ``odeopt/loops`` in the user's cache folder, made for
the user alone (mode 0700); one that others may write is not used. They may be deleted at any time.
Where a kernel cannot be imported by name (one made in ``__main__`` or inside a function), the general
loop runs on: :func:`why_not` says why.
"""

import threading
import time

from .. import abi, machine_code
from ..abi import inlined, kernel, stack_matrix, stack_vector
from ..machine_code import cache_folder as cache_folder
from ..schedules import constant
from ..threads import Uninterrupted
from . import loops

LARGEST = 8  # unknowns; above it the general loop spends its time in the arithmetic anyway
COMPILE_SECONDS = 4.0  # what compiling may cost; a run must be expected to last this much longer
LOAD_SECONDS = 0.25  # the same, when the code is on disk already
_SIGNATURE = abi.NOTHING(abi.VECTOR, abi.VECTOR, *loops.SIGNATURES[loops.optimizer_loop][10:])
_READY, LOCK = {}, threading.Lock()


def _loop_of(fg, update, n, rows, hyper):
    """``loops.optimizer_loop`` around these two kernels, its small arrays on the stack."""
    fg, update, optimizer_loop = inlined(fg), inlined(update), inlined(kernel(loops.optimizer_loop))
    schedule = constant().kernel

    def loop(data, heap_p, heap_x, heap_g, heap_s, seen_x, seen_s, counters, clock, k_stop, k_end, every, t_end, gtol,
             out_k, out_n, out_t, out_f, out_norm, out_lr, out_x, out_memory):
        p, x, g, s = stack_vector(hyper), stack_vector(n), stack_vector(n), stack_matrix(rows, n)
        for i in range(hyper):
            p[i] = heap_p[i]
        for i in range(n):
            x[i] = heap_x[i]
            for j in range(rows):
                s[j, i] = heap_s[j, i]
        optimizer_loop(fg, data, update, schedule, schedule, (-1, -1), heap_p, heap_p, heap_p, p, x, g, s, seen_x,
                       seen_s, counters, clock, k_stop, k_end, every, t_end, gtol, out_k, out_n, out_t, out_f, out_norm,
                       out_lr, out_x, out_memory)
        for i in range(n):
            heap_x[i] = x[i]
            for j in range(rows):
                heap_s[j, i] = s[j, i]

    return loop


class Loop:
    """``loops.optimizer_loop`` for one run, as a callable with the same arguments.

    It starts in the general loop, which is there at once, and moves to the specialised one between
    two chunks when the time that the rest of the run will take pays for it. ``used`` tells which
    loop ran last, ``note`` why the specialised one did not, if it was wanted.
    """

    def __init__(self, problem, optimizer, driven, wanted=None):
        self.problem, self.optimizer = problem, optimizer
        self.general = loops.runnable(loops.optimizer_loop)
        self.special, self.used, self.note, self.wanted = None, "general", "", wanted
        self.reason = "a schedule drives the run" if max(driven) >= 0 else why_not(problem, optimizer)
        if wanted and not self.reason:
            self._prepare()
        if wanted and self.reason:
            self.note = f"specialised loop not used: {self.reason}"

    def __call__(self, *arguments):
        data, state = arguments[1], arguments[9:]  # state: p, x, g, s and all that follows
        counters, k_end = state[6], state[9]
        if self.special is not None:
            self.used = "specialised"
            self.special(data, *state)
            return
        begin, first = time.perf_counter(), int(counters[loops.K])
        self.general(*arguments)
        done = int(counters[loops.K]) - first
        if self.wanted is None and not self.reason and counters[loops.STATUS] == loops.RUNNING and done >= 10_000:
            rest = (time.perf_counter() - begin) / done * (k_end - counters[loops.K])
            cached = _key(self.problem, self.optimizer) in _READY or _on_disk(self.problem, self.optimizer)
            if rest > (LOAD_SECONDS if cached else COMPILE_SECONDS):
                self._prepare()

    def _prepare(self):
        self.special = loop_for(self.problem, self.optimizer)


def why_not(problem, optimizer):
    """Why there can be no specialised loop for this pair; "" if there can."""
    if not problem.compiled:
        return "the problem is made of plain Python callables"
    if problem.dim > LARGEST:
        return f"n = {problem.dim} is above {LARGEST}"
    for what, dispatcher in (("objective", problem.fg), ("update", optimizer.kernel)):
        if not abi.findable(dispatcher):
            return f"the {what}'s kernel is not a module-level function of an importable module"
    return ""


def _key(problem, optimizer):
    return problem.fg, optimizer.kernel, problem.dim, len(optimizer.slots), optimizer.p.size


def _made(problem, optimizer):
    """The loop of this pair, not compiled yet."""
    return abi.kernel(_loop_of(problem.fg, optimizer.kernel, problem.dim, len(optimizer.slots), optimizer.p.size),
                      folder=cache_folder)


def _on_disk(problem, optimizer):
    return machine_code.is_kept(_made(problem, optimizer), _SIGNATURE)


def loop_for(problem, optimizer):
    """The compiled loop of this pair: from this process, from disk, or made now.

    RuntimeError where :func:`why_not` objects.
    """
    reason = why_not(problem, optimizer)
    if reason:
        raise RuntimeError(reason)
    key = _key(problem, optimizer)
    with LOCK:
        if key not in _READY:
            made = _made(problem, optimizer)
            with Uninterrupted():  # an exception in LLVM's callbacks would be swallowed, and Ctrl-C lost
                made.compile(_SIGNATURE)
            made.disable_compile()
            _READY[key] = made
    return _READY[key]
