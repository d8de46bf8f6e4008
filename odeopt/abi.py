"""The kernel ABI: the one place that knows how numba sees a kernel.

Every compiled function of the package has one of the signatures below, so one compiled loop
serves every optimizer, problem, flow and scheme. All arrays are C-contiguous; ``float64``
everywhere, except that ``update`` also compiles for ``float32`` arrays ``x``, ``g``, ``s``
(``p`` stays float64).

======== =============================================== ==========================================
name     signature                                       contract
======== =============================================== ==========================================
FG       ``fg(x, g, data) -> f``                         value; the gradient is written into ``g``
HV       ``hv(x, v, out, data)``                         ``out = H(x) v``
FGB      ``fgb(x, g, data, batch) -> f``                 the same on the samples ``batch`` (int64)
UPDATE   ``update(k, p, x, g, s) -> dt``                 one step in place; ``g = grad f(x)``, read only
RHS      ``rhs(fg, hv, data, t, p, z, dz)``              ``dz/dt`` of a flow; ``z[0]`` is the position
STEP     ``step(rhs, fg, hv, data, p, t, h, z, w) -> e`` one step of a scheme in place
SCHEDULE ``schedule(k, base, c) -> value``               hyperparameter at (real) step ``k``
LANES    ``gradients(x, out, data)``                     a block of points at once (odeopt.engine.batched)
======== =============================================== ==========================================

``data`` is a float64 vector that a problem's kernels unpack (so one compiled kernel serves every
quadratic or data set); ``p`` holds hyperparameters (UPDATE) or flow constants (RHS) in declared
order. ``s`` has one row per slot of memory, ``z`` the position and then the memory, ``w`` is the
scheme's workspace; a scheme's own constants stand at the *end* of ``p``. ``k`` counts steps from
0, ``dt`` is the flow time that the step advanced, and ``e`` is the Euclidean norm of the local
error estimate that an embedded scheme leaves in the first rows of ``w`` (0.0 for the others).

Rules inside a kernel: no allocation in ``update``, no globals, no randomness, no fastmath; constants
of an ``update`` in its arrays' own :func:`precision`; running products such as beta**k live in the
state; elementwise loops load, compute in scalars and store (``gi = g[i]; ...; x[i] = xi``) over
``range(x.size)``, the form that vectorises.

Kernels compile on first use, and what was compiled is kept on disk (:mod:`odeopt.machine_code`).
numba calls first-class functions experimental, which is why ``FunctionType`` is named nowhere else.
"""

import hashlib
import importlib
import linecache
import math
import pickle
import sys
import weakref
from collections.abc import Callable
from types import MappingProxyType, MethodType
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils, config
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaTypeError
from numba.core.serialize import dumps
from numba.experimental import function_type
from numba.extending import intrinsic, overload
from numba.np import arrayobj

from . import machine_code

VECTOR = types.Array(types.float64, 1, "C")
MATRIX = types.Array(types.float64, 2, "C")
CUBE = types.Array(types.float64, 3, "C")
INDICES = types.Array(types.int64, 1, "C")
INDEX_CUBE = types.Array(types.int64, 3, "C")
REAL = types.float64
INTEGER = types.int64
NOTHING = types.void
_PLAIN_PYTHON = bool(config.DISABLE_JIT)  # NUMBA_DISABLE_JIT: nothing is compiled  # pyright: ignore[reportAttributeAccessIssue]

FG = types.FunctionType(REAL(VECTOR, VECTOR, VECTOR))
HV = types.FunctionType(NOTHING(VECTOR, VECTOR, VECTOR, VECTOR))
FGB = types.FunctionType(REAL(VECTOR, VECTOR, VECTOR, INDICES))
UPDATE = types.FunctionType(REAL(INTEGER, VECTOR, VECTOR, VECTOR, MATRIX))
UPDATE32 = types.FunctionType(REAL(INTEGER, VECTOR, *(types.Array(types.float32, n, "C") for n in (1, 1, 2))))
RHS = types.FunctionType(NOTHING(FG, HV, VECTOR, REAL, VECTOR, MATRIX, MATRIX))
STEP = types.FunctionType(REAL(RHS, FG, HV, VECTOR, VECTOR, REAL, REAL, MATRIX, MATRIX))
SCHEDULE = types.FunctionType(REAL(REAL, REAL, VECTOR))
LANES = types.FunctionType(NOTHING(VECTOR, VECTOR, VECTOR))
# One step of an SDE integrator (odeopt.stochastic.loops); gradient noise L(x) xi has the type HV.
SDE_STEP = types.FunctionType(NOTHING(RHS, FG, HV, VECTOR, REAL, VECTOR, REAL, HV, VECTOR, REAL, INTEGER, INTEGER,
                                      MATRIX, VECTOR, CUBE, MATRIX))


class Numbers(np.ndarray):
    """A vector that is computed anew whenever it is asked for, so that writing to it would change nothing: it cannot
    be written to. Its flag says otherwise, because kernels are compiled for arrays that can."""

    __array_priority__: Any = -1.0  # what is made of it is an ordinary array

    def _refuse(self, *args, **options):
        raise ValueError("these numbers are read-only, since they are computed anew each time: np.array(...) of them "
                         "is a copy")

    def __setitem__(self, key, value):
        if self.base is not None:  # None: a copy
            self._refuse()
        super().__setitem__(key, value)

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **options):
        if any(isinstance(one, Numbers) and one.base is not None for one in out):
            self._refuse()
        inputs, out = ([np.asarray(one) if isinstance(one, Numbers) else one for one in part] for part in (inputs, out))
        return getattr(ufunc, method)(*inputs, **({"out": tuple(out)} if out else {}), **options)

    fill: Any = _refuse
    sort: Any = _refuse
    partition: Any = _refuse
    put: Any = _refuse


def read_only(values: Any) -> Any:
    """A copy of ``values`` as :class:`Numbers`."""
    return np.array(values, dtype=np.float64).view(Numbers)


def pointer(signature: Any) -> Any:
    """The type of what has this signature, as an argument of a compiled function."""
    return types.FunctionType(signature)


def kernel(function: Any, signature: Any = None, folder: Callable[[], Any] | None = None) -> Any:
    """Compile ``function`` by the package's rules: numpy division, no GIL, cached on disk.

    Without ``signature`` it compiles on first use, for the types it is called with; with one it
    compiles now, which the loops need so that their kernels arrive as typed pointers and not as
    types of their own. Where no cache folder can be written, it compiles in memory and says so.
    ``folder()``: where its machine code goes, if not where numba would put it.
    """
    dispatcher = njit(error_model="numpy", nogil=True)(function)
    if not is_compiled(dispatcher):  # NUMBA_DISABLE_JIT
        return dispatcher
    machine_code.keep(dispatcher, folder)
    if signature:
        from .threads import Uninterrupted

        with Uninterrupted():  # an exception in LLVM's callbacks would be swallowed, and Ctrl-C lost
            dispatcher.compile(signature)
        dispatcher.disable_compile()
    return dispatcher


def _intrinsic(function: Callable[..., Any]) -> Any:
    """numba's ``intrinsic``; for type checkers a function of the compiled code's arguments, not of ``typing``."""
    return intrinsic(function)


_WRITTEN = weakref.WeakValueDictionary()  # by source: parameters of a problem change, its kernels stay


def written(source: str) -> Any:
    """The kernel that a text of this package's own making defines, the same one for the same text.

    It calls nothing but numpy, as ``np``. Its machine code is kept in the user's cache folder, and other processes
    are sent the text.
    """
    found = _WRITTEN.get(source)
    if found is None:
        name = f"<kernel {hashlib.sha256(source.encode()).hexdigest()[:16]}>"
        linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name  # for tracebacks
        namespace = {"np": np, "__name__": __name__}  # numba asks for a module that can be imported
        exec(compile(source, name, "exec"), namespace)
        function = namespace[source[4 : source.index("(")]]  # "def fg(x, ..."
        function.source = source
        found = _WRITTEN.setdefault(source, kernel(function, folder=machine_code.cache_folder))
    return found


def findable(dispatcher: Any) -> bool:
    """Whether another process finds this very kernel, by its name or by its text."""
    return importable(dispatcher) or _source(dispatcher) is not None


def _source(value):
    """The text of a kernel that :func:`written` made, None for anything else."""
    source = getattr(interpreted(value), "source", None)
    return source if isinstance(source, str) and _WRITTEN.get(source) is value else None


def inlined(dispatcher: Any) -> Any:
    """``dispatcher`` to be compiled as a part of whoever calls it, so that what the caller knows (two
    unknowns, say) shapes its code, and references to arrays need not be counted; a kernel compiled by other rules than
    :func:`kernel`'s, or not compiled at all, stays itself.
    """
    if not is_compiled(dispatcher):  # NUMBA_DISABLE_JIT
        return dispatcher
    options = dispatcher.targetoptions
    if options.get("error_model") != "numpy" or options.get("fastmath"):
        return dispatcher
    return njit(inline="always", error_model="numpy")(dispatcher.py_func)


def addresses(function: Any, function_type_: Any) -> tuple[int, int]:
    """``(wrapper address, direct address)`` of a compiled kernel for one of the types above.

    Handing a kernel to a compiled function from Python costs some 70 microseconds (numba unpickles
    its signature each time). Code that Python calls in a loop takes addresses instead, looked up
    once, and turns them back with :data:`fg_at` and its kin; whoever holds addresses must also hold
    the kernels.
    """
    if plain_by_wish(function):
        _PLAIN[id(function)] = function
        return id(function), 0
    if not is_compiled(function):
        name = getattr(function, "__qualname__", type(function).__name__)
        raise TypeError(f"{name} must be compiled (under odeopt.abi.kernel) to be called by another kernel")
    signature = function_type_.signature
    return (function_type._get_wrapper_address(function, signature),
            function_type._get_jit_address(function, signature))


def _from_addresses(function_type_, *also):
    """What an intrinsic ``(wrapper address, direct address, ...) -> typed kernel`` returns to numba."""

    def codegen(context, builder, signature, arguments):
        kernel_struct = cgutils.create_struct_proxy(function_type_)(context, builder)
        pointer = context.get_value_type(types.voidptr)
        kernel_struct.c_addr = builder.inttoptr(arguments[0], pointer)
        kernel_struct.jit_addr = builder.inttoptr(arguments[1], pointer)
        return kernel_struct._getvalue()

    return function_type_(INTEGER, INTEGER, *also), codegen


_PLAIN: dict[int, Any] = {}  # where nothing is compiled (NUMBA_DISABLE_JIT), a function's id is its address


def _at(function_type_: Any) -> Any:
    if _PLAIN_PYTHON:
        return lambda wrapper, direct: _PLAIN[int(wrapper)]

    @_intrinsic
    def at(typing, wrapper, direct):
        return _from_addresses(function_type_)

    return at


def _update_at_plain(wrapper, direct, x):
    return _PLAIN[int(wrapper)]


@_intrinsic
def update_at(typing, wrapper, direct, x):
    """The update kernel behind two addresses, for arrays of the type of ``x``."""
    return _from_addresses(UPDATE32 if x.dtype == types.float32 else UPDATE, x)


if _PLAIN_PYTHON:
    update_at = _update_at_plain
fg_at, hv_at, rhs_at, step_at, schedule_at = _at(FG), _at(HV), _at(RHS), _at(STEP), _at(SCHEDULE)


def _on_the_stack(context, builder, array_type, shape):
    count = max(1, math.prod(shape))
    data = cgutils.alloca_once(builder, context.get_data_type(types.float64), size=count)
    array = arrayobj.make_array(array_type)(context, builder)
    numbers = [[context.get_constant(types.intp, i) for i in values] for values in
               (shape, [8 * math.prod(shape[i + 1:]) for i in range(len(shape))])]
    arrayobj.populate_array(array, data=data, shape=numbers[0], strides=numbers[1],
                            itemsize=context.get_constant(types.intp, 8), meminfo=None)
    return array._getvalue()


@_intrinsic
def stack_vector(typing, n):
    """An uninitialised vector on the stack, of a length known to the compiler (a literal).

    It must not outlive the function, nor be handed to a function that is not inlined if it is to
    live in registers.
    """
    if not isinstance(n, types.IntegerLiteral):
        return None

    def codegen(context, builder, signature, arguments):
        return _on_the_stack(context, builder, VECTOR, (n.literal_value,))

    return VECTOR(n), codegen


@_intrinsic
def stack_matrix(typing, rows, n):
    """The same for a (rows, n) matrix."""
    if not (isinstance(rows, types.IntegerLiteral) and isinstance(n, types.IntegerLiteral)):
        return None

    def codegen(context, builder, signature, arguments):
        return _on_the_stack(context, builder, MATRIX, (rows.literal_value, n.literal_value))

    return MATRIX(rows, n), codegen


def precision(x: Any, g: Any, s: Any) -> Any:
    """The number type of an update's arrays, float32 or float64: ``real = precision(x, g, s)``, and then
    ``lr = real(lr)``, since a float64 constant would widen a float32 loop. Compiled for anything else, say
    integers, in which steps would be lost, it is an error."""
    return x.dtype.type


@overload(precision, inline="always")
def _compiled_precision(x, g, s):
    kinds = [array.dtype for array in (x, g, s)]
    if kinds[0] not in (types.float32, types.float64) or len(set(kinds)) > 1:
        raise NumbaTypeError("x, g and s must be float32 or float64 arrays, all of one kind, got "
                             f"{', '.join(map(str, kinds))}")
    return lambda x, g, s: x.dtype.type


def cold_path() -> None:
    """Tells the compiler that the branch this stands in is rarely taken: what the hot path needs then
    stays in registers. (In loops of a few nanoseconds it is 40 % of the time.) Does nothing else."""


@_intrinsic
def _cold_call(typing):
    def codegen(context, builder, signature, arguments):
        # LLVM takes a block that calls a function marked `cold` for unlikely. The function is empty; the
        # assembly, of no instruction, keeps it from being optimised away before that has been seen.
        module, nothing = builder.module, ir.FunctionType(ir.VoidType(), [])
        cold = module.globals.get("odeopt_cold")
        if cold is None:
            cold = ir.Function(module, nothing, "odeopt_cold")
            cold.linkage = "internal"
            cold.attributes.add("cold")
            cold.attributes.add("noinline")
            body = ir.IRBuilder(cold.append_basic_block())
            body.asm(nothing, "", "", [], side_effect=True)
            body.ret_void()
        builder.call(cold, [])
        return context.get_dummy_value()

    return NOTHING(), codegen


@overload(cold_path)
def _compiled_cold_path():
    return lambda: _cold_call()


def importable(dispatcher: Any) -> bool:
    """Whether another process finds this very kernel by the name of its module and its own."""
    function = getattr(dispatcher, "py_func", None)
    if function is None or function.__module__ == "__main__" or "." in function.__qualname__:
        return False
    return getattr(sys.modules.get(function.__module__), function.__name__, None) is dispatcher


class ByName(NamedTuple):
    """A kernel on its way to another process. numba would send its text: a kernel that is compiled anew
    there, kept nowhere, and not the one that the other modules know."""

    module: str
    name: str


class BySource(NamedTuple):
    """A kernel made of :func:`written` text on its way to another process."""

    source: str


class ByCall(NamedTuple):
    """A kernel that a function of the package makes of another kernel, on its way to another process."""

    maker: Any
    kernel: Any


class ByValue(NamedTuple):
    """A function that has no name in another process, on its way there: its code, with what it reaches."""

    data: bytes


class Constants(NamedTuple):
    """A read-only mapping on its way to another process."""

    values: Any


def sent(value: Any) -> Any:
    """What goes to another process for ``value``: a function that can be imported by its name, a lambda, a closure
    or one of ``__main__`` by value, anything else as it is."""
    if isinstance(value, MappingProxyType):
        return Constants(dict(value))
    source = _source(value)
    if source is not None:
        return BySource(source)
    if _is_ours(value):
        return value  # a method of an object that knows how to travel, and is sent once with all its methods
    if importable(value):
        return ByName(value.py_func.__module__, value.py_func.__name__)
    if hasattr(value, "made"):
        maker, inner = value.made
        return ByCall(maker, sent(inner))
    if not callable(value) or isinstance(value, (type, Portable, Dispatcher)):  # numba sends its kernels by value
        return value
    module, name = getattr(value, "__module__", ""), getattr(value, "__qualname__", "")
    if module != "__main__" and getattr(sys.modules.get(module), name, None) is value:
        return value
    return by_value(value)


def _is_ours(value):
    return isinstance(value, MethodType) and type(value.__self__).__module__.startswith(f"{__package__}.")


def by_value(value: Any) -> ByValue:
    """Anything on its way to another process: classes and functions without a name there by value, too."""
    return ByValue(dumps(value))


def resolved(value: Any) -> Any:
    """What :func:`sent` was given."""
    if isinstance(value, ByName):
        return getattr(importlib.import_module(value.module), value.name)
    if isinstance(value, BySource):
        return written(value.source)
    if isinstance(value, ByCall):
        return value.maker(resolved(value.kernel))
    if isinstance(value, Constants):
        return MappingProxyType(value.values)
    return pickle.loads(value.data) if isinstance(value, ByValue) else value


class Portable:
    """Base of what holds functions: it can be copied and sent to other processes, whatever these functions are."""

    def __reduce__(self):
        return _arrived, (type(self), {name: sent(value) for name, value in vars(self).items()})


def _arrived(cls, values):
    """The object that was sent to this process."""
    self = cls.__new__(cls)
    for name, value in values.items():
        object.__setattr__(self, name, resolved(value))
    return self


def interpreted(function: Any) -> Any:
    """The Python function of a kernel, or what the kernel has as ``plain`` to be run in its place; a plain function is
    its own."""
    return getattr(function, "plain", None) or getattr(function, "py_func", function)


def plain_by_wish(function: Any) -> bool:
    """Whether only ``NUMBA_DISABLE_JIT`` keeps ``function`` from being compiled: then every kernel is plain Python."""
    return bool(_PLAIN_PYTHON) and callable(function)


def is_compiled(function: Any) -> bool:
    """Whether ``function`` came out of numba's ``njit`` (and so may enter the jitted loops)."""
    return hasattr(function, "py_func")
