"""Items of a study at the same time, each in a thread: for work in compiled code, which holds no lock.

Threads and not processes: nothing has to be imported again or sent, so that anybody's methods and formulas take part.
"""

import ctypes
import queue
import threading


def work(items, work, jobs, done, bar, describe):
    """Extends ``done`` by ``work(item)`` of each item, in the order of the items, ``jobs`` at a time.

    KeyboardInterrupt, Ctrl-C's in this thread or one that ``work`` raised, goes to all that are at work, and what has
    ended is in ``done``. Another exception of ``work`` is raised when those at work have ended, that of the first item
    of several, and nothing is kept.
    """
    items, news = list(items), queue.SimpleQueue()
    waiting, found, failed, current = iter(range(len(items))), {}, {}, []
    threads = [_Thread(items, work, waiting, found, failed, news) for _ in range(min(jobs, len(items)))]
    try:
        for thread in threads:
            thread.start()
        left = len(threads)
        while left:
            try:
                kind, i = news.get(timeout=0.1)  # of each start and end of an item, and of a thread
            except queue.Empty:  # a signal that another thread received has its handler run here
                continue
            if kind == "begin":
                current.append(i)
            elif kind == "end":
                current.remove(i)
                bar.update()
            else:
                left -= 1
            bar.set_description(", ".join(describe(items[i]) for i in current))
        if failed:
            raise failed[min(failed)]
    except BaseException as error:
        for thread in threads:
            thread.interrupt()
        for thread in threads:
            thread.join()
        if isinstance(error, KeyboardInterrupt):
            done.extend(found[i] for i in sorted(found))
        raise
    done.extend(found[i] for i in range(len(items)))


class _Thread(threading.Thread):
    """Takes the next item when it is done with one, until one has failed."""

    def __init__(self, items, work, waiting, found, failed, news):
        super().__init__(daemon=True)
        self._items, self._work, self._waiting = items, work, waiting
        self._found, self._failed, self._news = found, failed, news
        self._lock, self._over = threading.Lock(), False

    def run(self):
        i = -1
        try:
            for i in self._waiting:  # one iterator for all: the interpreter lock guards its next
                if self._failed:
                    break
                self._news.put(("begin", i))
                self._found[i] = self._work(self._items[i])
                self._news.put(("end", i))
        except BaseException as error:
            self._failed[i] = error
        finally:
            with self._lock:
                self._over = True
            self._news.put(("over", i))

    def interrupt(self):
        """KeyboardInterrupt in this thread, at its next line of Python."""
        with self._lock:
            if self.ident is not None and not self._over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident),
                                                           ctypes.py_object(KeyboardInterrupt))
