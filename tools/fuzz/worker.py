"""One batch: the calls of a seed, each written to the log before it is made, with what is wrong with it after."""

import collections
import faulthandler
import json
import resource
import shutil
import signal
import time
import warnings

import judge
import numpy as np
from calls import WEIGHTS
from inputs import TMP, R, reseed, show

LIMIT = 20.0  # seconds of a call
STUCK = 600  # seconds after which one in compiled code, which no signal ends, takes the process with it
_MEMORY = 8 << 30  # bytes


class Hang(BaseException):
    """A call that takes too long."""


def work(seed, numbers, log):
    """Make the calls ``numbers`` of ``seed``, with lines for each in the file ``log``."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.signal(signal.SIGPROF, _hang)  # of processor time: a busy machine is not a hang
    made = collections.Counter()
    with open(log, "a", buffering=1) as out:

        def line(**words):
            out.write(json.dumps(words) + "\n")

        line(begin=seed)
        for i in numbers:
            reseed(seed, i)
            op = R.choices(list(WEIGHTS), WEIGHTS.values())[0]
            _one(i, op, line, out)
            made[op.__name__] += 1
        line(end=seed, made=made)
    shutil.rmtree(TMP, ignore_errors=True)


def _hang(*_):
    raise Hang


def _one(i, op, line, out):
    try:
        f, args, kw, check = op()
    except (ValueError, TypeError) as error:  # right inputs, which the tool could not even make
        line(i=i, op=op.__name__, kind="SETUP", what=f"{type(error).__name__}: {error}"[:300],
             mine=judge.where(error)[0])
        return
    inplace = kw.pop("_inplace", False)
    words = [show(a) for a in args] + [f"{k}={show(v)}" for k, v in kw.items()]
    label = f"{op.__name__}: {getattr(f, '__name__', f)}({', '.join(words)})"[:1500]
    line(i=i, call=label)
    given = [a for a in [*args, *kw.values()] if isinstance(a, np.ndarray) and a.dtype != object]
    before = [a.copy() for a in given]
    faulthandler.dump_traceback_later(STUCK, exit=True, file=out)
    begin = time.process_time()
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="warn"):
        warnings.simplefilter("always")
        kind, what, error = _outcome(f, args, kw, check, [] if inplace else given)
    faulthandler.cancel_dump_traceback_later()
    seconds = time.process_time() - begin
    if seconds > LIMIT and not kind:
        kind, what = "SLOW", f"{seconds:.1f} s"
    if not inplace and judge.changed(before, given):
        kind, what = "CHANGED", "an argument was changed"
    if kind:
        mine, inner, _ = judge.where(error) if error is not None else ("-", "-", False)
        line(i=i, kind=kind, op=op.__name__, what=what, mine=mine, inner=inner, call_=label, s=round(seconds, 2))
    for w in caught:
        line(i=i, kind="WARN", op=op.__name__, what=f"{w.category.__name__}: {str(w.message)[:160]}",
             mine=judge.place(w), call_=label[:600], ok=error is None)


def _outcome(f, args, kw, check, given):
    """``(kind, what, exception)`` of the call and of the look at its result."""
    result = complaint = None
    signal.setitimer(signal.ITIMER_PROF, LIMIT + 5)
    try:
        try:
            result = f(*args, **kw)
            signal.setitimer(signal.ITIMER_PROF, 0)
            complaint = check(result) if check is not None else ""
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    except Hang:
        return "HANG", f"> {LIMIT} s", None
    except Exception as error:
        return *judge.of_error(error, f, kw, result is not None), error
    if judge.shared(result, given):
        return "ALIAS", "result shares memory with an argument", None
    return ("NONSENSE", complaint, None) if complaint else ("", "", None)
