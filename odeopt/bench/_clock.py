"""One stopwatch for all."""

import time


def best(call, repeat=5, least=2e-3):
    """Smallest CPU seconds of one ``call()``; short calls are timed in groups of at least ``least`` seconds."""
    count = 1
    while True:
        begin = time.process_time()
        for _ in range(count):
            call()
        seconds = time.process_time() - begin
        if seconds >= least:
            break
        count = max(2 * count, int(1.2 * count * least / max(seconds, 1e-6)))
    times = [seconds / count]
    for _ in range(repeat - 1):
        begin = time.process_time()
        for _ in range(count):
            call()
        times.append((time.process_time() - begin) / count)
    return min(times)
