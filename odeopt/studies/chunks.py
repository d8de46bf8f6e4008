"""Chunks of work on our own threads or on an executor: few in flight, what is lost is done again here, and
Ctrl-C keeps what is done."""

import concurrent.futures as cf
import sys
import warnings


def work(task, chunks, arguments, finished, threads, executor, progress, room):
    """``finished(*chunk, task(*arguments(*chunk)))`` for all chunks, in whatever order they end.

    Parameters
    ----------
    task : callable
        What runs elsewhere; a module-level function, for process pools.
    chunks : list of tuples
    arguments, finished : callables
        Called here; ``finished`` a second time for a chunk in which Ctrl-C stopped it.
    threads : int
        Of our own, where ``executor`` is None.
    executor : concurrent.futures.Executor or None
    progress : bool
    room : int
        Chunks under way or waiting at any time (but at least one a worker).

    Returns
    -------
    bool
        False after Ctrl-C: some chunks may not have run.
    """
    from tqdm import tqdm

    own = executor is None
    room = max(threads, min(2 * threads, room)) if own else max(getattr(executor, "_max_workers", 8), room)
    waiting, flying, lost = list(reversed(chunks)), {}, []
    with tqdm(total=len(chunks), unit="chunk", file=sys.stderr, leave=False,
              disable=not (progress and sys.stderr.isatty())) as bar:
        pool = executor
        try:
            if own:  # the first chunk runs here, so that compiling happens once and in one thread
                first = waiting.pop()
                finished(*first, task(*arguments(*first)))
                bar.update()
                pool = cf.ThreadPoolExecutor(threads)
            while waiting or flying:
                while waiting and len(flying) < room:
                    chunk = waiting.pop()
                    try:
                        flying[pool.submit(task, *arguments(*chunk))] = chunk
                    except RuntimeError as error:  # broken, or shut down by somebody
                        if own:
                            raise
                        lost.append((chunk, error))
                if not flying:
                    break
                for future in cf.wait(flying, return_when=cf.FIRST_COMPLETED).done:
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
            for future, chunk in flying.items():  # what has ended, or in our threads will within a chunk: keep it
                if (own or future.done()) and not future.cancelled() and future.exception() is None:
                    finished(*chunk, future.result())
            return False
        finally:
            if own and pool is not None:
                pool.shutdown()
    return True
