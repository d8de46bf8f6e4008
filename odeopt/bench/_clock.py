"""One stopwatch for all."""

import time


def best(call, repeat=5, least=2e-3):
    """Smallest CPU seconds of one ``call()``; short calls are timed in groups of at least ``least`` seconds."""
    return min(turns([call], repeat, least)[0])


def turns(calls, repeat=7, least=2e-3, clock=time.process_time):
    """Seconds of each call, ``repeat`` times; they take turns, so that what else the machine does meets them all."""
    counts = [1] * len(calls)
    for i, call in enumerate(calls):
        while (seconds := _time(call, counts[i], clock)) < least:
            counts[i] = max(2 * counts[i], int(1.2 * counts[i] * least / max(seconds, 1e-6)))
    laps = [[_time(call, count, clock) / count for call, count in zip(calls, counts)] for _ in range(repeat)]
    return [list(seconds) for seconds in zip(*laps)]


def _time(call, count, clock):
    begin = clock()
    for _ in range(count):
        call()
    return clock() - begin
