"""Chunks of work on our own threads or on an executor: few in flight, what is lost is done again here, and
Ctrl-C keeps what is done."""

import concurrent.futures as cf
import time
import warnings

from ...progress import progress_bar
from ...threads import Stop

SILENCE = 60.0  # seconds; see ``executor``
GRACE = 1.0  # seconds that our own threads have for their chunks after Ctrl-C


def work(task, chunks, arguments, finished, threads, executor, progress, room):
    """``finished(*chunk, task(*arguments(*chunk)))`` for all chunks, in whatever order they end.

    Parameters
    ----------
    task : callable
        What runs elsewhere; a module-level function, for process pools. In our own threads it gets a last argument,
        a :class:`~odeopt.threads.Stop`: when that is set, it should end soon, by whatever exception.
    chunks : list of tuples
    arguments, finished : callables
        Called here; ``finished`` a second time for a chunk in which Ctrl-C stopped it.
    threads : int
        Of our own, where ``executor`` is None.
    executor : concurrent.futures.Executor or None
        Given up when nothing has come back for SILENCE and for ten times as long as the longest wait
        between two results so far (never before the first: its workers may stand in a queue).
    progress : bool
    room : int
        Chunks under way or waiting at any time (but at least one per worker).

    Returns
    -------
    bool
        False after Ctrl-C: some chunks may not have run.
    """
    own, stop = executor is None, Stop()
    last: tuple = (stop,) if own else ()
    room = max(threads, min(2 * threads, room)) if own else max(getattr(executor, "_max_workers", 8), room)
    waiting, flying, lost = list(reversed(chunks)), {}, []
    with progress_bar(progress, total=len(chunks), unit="chunk") as bar:
        pool, heard, longest = executor, None, 0.0  # when the last result came, and the longest wait for one
        try:
            if own:
                pool = cf.ThreadPoolExecutor(threads)  # this thread waits: compiled code would not let Ctrl-C through
            while waiting or flying:
                while waiting and len(flying) < (room if heard or not own else 1):  # the first compiles for all
                    chunk = waiting.pop()
                    try:
                        flying[pool.submit(task, *arguments(*chunk), *last)] = chunk
                    except RuntimeError as error:  # broken, or shut down by somebody
                        if own:
                            raise
                        lost.append((chunk, error))
                if not flying:
                    break
                patience = None if own or heard is None else max(SILENCE, 10 * longest)
                ended = cf.wait(flying, patience, cf.FIRST_COMPLETED).done
                if not ended:  # futures that nobody will ever complete
                    silent = TimeoutError(f"nothing came back for {patience:.3g} s")
                    lost += [(chunk, silent) for chunk in (*flying.values(), *reversed(waiting))]
                    for future in flying:
                        future.cancel()
                    break
                now = time.monotonic()
                heard, longest = now, max(longest, now - heard if heard is not None else 0.0)
                for future in ended:
                    try:
                        found = future.result()
                    except (Exception, cf.CancelledError) as error:
                        if own:
                            raise
                        # Broken pools have exceptions of their own kind; a fault of the task shows again below.
                        lost.append((flying.pop(future), error))
                    else:
                        finished(*flying[future], found)
                        del flying[future]
                        bar.update()
            if lost:
                why = f"{type(lost[-1][1]).__name__}: {str(lost[-1][1])[:100]}".rstrip(": ")
                warnings.warn(f"the executor lost {len(lost)} of {len(chunks)} chunks ({why}); they are run in this "
                              "process", RuntimeWarning, stacklevel=3)
                for chunk, _ in lost:
                    finished(*chunk, task(*arguments(*chunk)))
                    bar.update()
        except KeyboardInterrupt:
            for future in flying:
                future.cancel()
            if own:
                cf.wait(flying, GRACE)
            stop.set()
            for future, chunk in flying.items():  # what has ended: keep it
                if (own or future.done()) and not future.cancelled() and future.exception() is None:
                    finished(*chunk, future.result())
            return False
        finally:
            stop.set()
            if own and pool is not None:
                pool.shutdown()
    return True
