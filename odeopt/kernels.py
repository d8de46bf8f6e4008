"""The raw jitted ``update`` kernels, ``from odeopt.kernels import adam, rmsprop, momentum``.

Signature ``update(k, p, x, g, s) -> dt`` (:mod:`odeopt.abi`): ``k`` step number from 0; ``p``
float64 hyperparameters, in the order that the kernel's docstring gives (``optimizer.p`` builds
it, ``optimizer.start(x)`` a fresh ``s``); ``x``, ``g`` contiguous vectors and ``s`` the (slots, n)
state, all float32 or all float64; ``x`` and ``s`` change in place. Call them from Python or from your
own jitted code; arrays of integers, of mixed precision, or an ``x`` that is read-only are a
``numba.TypingError``. Sizes are not checked: ``optimizer.update`` does that, and everything else.

Each kernel stands here under its own name, and under the command-line name of each optimizer whose
default form it is (``adamw`` is ``adam`` with decay in its ``p``); ``optimizer.kernel`` is that of an
instance.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from numba.core.dispatcher import Dispatcher as _Dispatcher

from . import optimizers as _optimizers


def _collect():
    import sys
    from types import FunctionType

    from .abi import interpreted, plain_by_wish

    found, signature = {}, ("k", "p", "x", "g", "s")  # a page may hold the field of its flow, too
    for cls in _optimizers.ALL.values():  # not SWA's, which finds the wrapped one by its address
        page = sys.modules[cls.__module__]
        for name, value in vars(page).items():
            if isinstance(value, _Dispatcher) or isinstance(value, FunctionType) and plain_by_wish(value):
                function = interpreted(value)
                if function.__module__ == page.__name__ and _names_of_arguments(function) == signature:
                    found[name] = value
    for name, cls in _optimizers.ALL.items():
        found[name] = cls.default().kernel
    return found


def _names_of_arguments(function):
    return function.__code__.co_varnames[: function.__code__.co_argcount]


if _TYPE_CHECKING:
    def __getattr__(name: str) -> _Dispatcher: ...

_kernels = _collect()
globals().update(_kernels)
__all__ = sorted(_kernels)
