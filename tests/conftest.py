"""What all tests share."""

import os
import signal

os.environ.setdefault("MPLBACKEND", "Agg")
# Small matrix products in many processes: BLAS threads only wait for each other (6 times slower on a loaded
# machine), and the order of their sums, so the last digits, depends on their number.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Started with Ctrl-C ignored (`nohup ... &`), neither this process nor its children would notice the tests' own.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
