"""The progress bar of everything that may take long: on stderr, a widget in a notebook, nothing where nobody looks."""

import sys
from typing import Any

from . import checks


class NoBar:
    """What :func:`progress_bar` gives where no bar is shown."""

    n: float = 0

    def update(self, n: float = 1):
        """Nothing."""

    def set_description(self, desc=None):
        """Nothing."""

    def close(self):
        """Nothing."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def progress_bar(wanted: bool = True, **options: Any) -> Any:
    """A bar of tqdm's with ``options``, which goes when it is closed; :class:`NoBar` where it is not wanted, and
    where stderr is neither a terminal nor a notebook's.

    A context manager with ``update(n=1)``, ``set_description(desc)``, ``close()`` and ``n``, the sum of all updates.
    """
    if not (checks.switch("progress", wanted) and (sys.stderr.isatty() or _in_a_notebook())):
        return NoBar()
    from tqdm.auto import tqdm

    return tqdm(file=sys.stderr, leave=False, **options)


def _in_a_notebook():
    """Whether a Jupyter kernel runs this, as tqdm.autonotebook decides; its stderr calls itself no terminal."""
    ipython = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "IPKernelApp" in getattr(ipython, "config", ())
