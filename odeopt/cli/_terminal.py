"""What surrounds a command: streams that may be closed, full or poor in letters, Ctrl-C, matplotlib's backend."""

import contextlib
import os
import signal
import sys
import threading
import warnings


@contextlib.contextmanager
def streams():
    """Standard streams that can be written to, whatever the shell did to them, and figures without a display.

    A closed stream (``>&-``) becomes the null device, and letters that the output's encoding lacks are
    replaced. ``MPLBACKEND`` has no say: the commands draw files, and a backend that is not there would
    end the import of matplotlib. Warnings are one line each.
    """
    with contextlib.ExitStack() as stack:
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:
                setattr(sys, name, stack.enter_context(open(os.devnull, "w", encoding="utf-8")))
                stack.callback(setattr, sys, name, None)
        errors = getattr(sys.stdout, "errors", None)
        if errors == "strict" and hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]
        stack.callback(setattr, warnings, "formatwarning", warnings.formatwarning)
        warnings.formatwarning = _line
        backend = os.environ.get("MPLBACKEND")
        if "matplotlib" not in sys.modules:
            os.environ["MPLBACKEND"] = "agg"
        try:
            yield
        finally:
            if backend is None:
                os.environ.pop("MPLBACKEND", None)
            else:
                os.environ["MPLBACKEND"] = backend


def _line(message, *_):
    """A warning as the commands print it: what it says, without the place in our code that says it."""
    return f"odeopt: {' '.join(str(message).split())}\n"


def discard_output():
    """Send what is still to be printed nowhere, so that the interpreter's last flush does not fail."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    except (OSError, ValueError):  # a stream without a file, as in a test
        pass


class _Interrupts:
    """Whether Ctrl-C came since the command began."""

    seen = False

    def __call__(self, number, frame):
        self.seen = True
        raise KeyboardInterrupt


_current = _Interrupts()


@contextlib.contextmanager
def interrupts():
    """Remember Ctrl-C while a command runs: what catches it to keep its results need not report it upwards."""
    global _current
    before, _current = _current, _Interrupts()
    ours = (threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler)  # not where a shell ignores it
    if ours:
        signal.signal(signal.SIGINT, _current)
    try:
        yield _current
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        _current = before


def interrupted(result=None):
    """Whether Ctrl-C came, or ``result`` (a run or a study) says that it was cut short; then the exit status is 130."""
    run = getattr(result, "run", result)
    words = str(getattr(result, "message", "")).split("; ")
    if getattr(result, "interrupted", False) or getattr(run, "status", "") == "interrupted" or "interrupted" in words:
        interrupt()
    return _current.seen


def interrupt():
    """Remember that a command was cut short."""
    _current.seen = True
