"""The raw jitted ``update`` kernels, ``from odeopt.kernels import adam, rmsprop, momentum``.

Signature ``update(k, p, x, g, s) -> dt`` (:mod:`odeopt.abi`): ``k`` step number from 0; ``p``
float64 hyperparameters, in the order that the kernel's docstring gives (``optimizer.p`` builds
it); ``x``, ``g`` contiguous vectors and ``s`` the (slots, n) state, all float32 or all float64;
``x`` and ``s`` change in place. Call them from Python or from your own jitted code; arrays of
integers, of mixed precision, or an ``x`` that is read-only are a ``numba.TypingError``. Sizes are not
checked: ``optimizer.update`` does that, and everything else.
"""

from numba.core.dispatcher import Dispatcher as _Dispatcher

from . import optimizers as _optimizers


def _collect():
    import sys

    found = {}
    for cls in _optimizers.ALL.values():
        page = sys.modules[cls.__module__]
        for name, value in vars(page).items():
            if isinstance(value, _Dispatcher) and value.py_func.__module__ == page.__name__:
                found[name] = value
    return found


_kernels = _collect()
globals().update(_kernels)
momentum = _kernels["heavy_ball"]
__all__ = sorted([*_kernels, "momentum"])
