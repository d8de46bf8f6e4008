"""The clipped gradient: the cut itself, and an objective's kernel behind it.

A compiled function cannot close over another, so :func:`clipped_gradient` is told in its ``data`` where the objective's
kernel and data are.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.np import arrayobj

from . import abi, checks
from .abi import kernel
from .sums import scaled_norm

SMALL = 1e-6  # beside the norm, as in torch.nn.utils.clip_grad_norm_


@kernel
def clip(g, out, norm, value, scale, length):
    """Writes the clipped ``g`` into ``out`` (which may be ``g``), with |g| = ``scale * length``; by norm where
    ``norm`` > 0. What is not a number stays so."""
    real = g.dtype.type
    if norm <= 0.0:
        high = real(value)
        for i in range(g.size):
            gi = g[i]
            out[i] = high if gi > high else -high if gi < -high else gi
    elif scale <= 1.0:
        factor = norm / (scale * length + SMALL)
        factor = real(1.0 if factor > 1.0 else factor)
        for i in range(g.size):
            out[i] = factor * g[i]
    else:  # the norm itself might overflow, and SMALL is nothing beside it
        size = min(scale, norm / length)
        for i in range(g.size):
            out[i] = (g[i] / scale) * size


@kernel
def clipped_gradient(x, g, box):
    """The problem's ``fg`` and what is clipped of its gradient; ``box`` tells where function and data are."""
    fg = abi.fg_at(int(box[0]), int(box[1]))
    f = fg(x, g, _vector_at(int(box[2]), int(box[3])))
    scale, length = scaled_norm(g) if box[4] > 0.0 else (1.0, 0.0)
    clip(g, g, box[4], box[5], scale, length)
    return f


@kernel
def boxed(fg, data, norm, value):
    """The ``data`` of :func:`clipped_gradient`."""
    box = np.empty(6)
    box[0], box[1] = addresses_of(fg)
    box[2], box[3], box[4], box[5] = data.ctypes.data, data.size, norm, value
    return box


@abi._intrinsic
def addresses_of(typing, fg):
    """Both addresses of a typed kernel, which lie below 2^53 and so go through float64."""
    if not isinstance(fg, types.FunctionType):
        return None
    pair = types.UniTuple(types.int64, 2)

    def codegen(context, builder, signature, arguments):
        found = cgutils.create_struct_proxy(fg)(context, builder, value=arguments[0])
        integer = ir.IntType(64)
        numbers = [builder.ptrtoint(one, integer) for one in (found.c_addr, found.jit_addr)]
        return context.make_tuple(builder, signature.return_type, numbers)

    return pair(fg), codegen


@abi._intrinsic
def _vector_at(typing, address, size):
    """The vector of ``size`` float64 at ``address``, which whoever made it keeps alive."""

    def codegen(context, builder, signature, arguments):
        array = arrayobj.make_array(abi.VECTOR)(context, builder)
        data = builder.inttoptr(arguments[0], context.get_data_type(types.float64).as_pointer())
        arrayobj.populate_array(array, data=data, shape=[arguments[1]],
                                strides=[context.get_constant(types.intp, 8)],
                                itemsize=context.get_constant(types.intp, 8), meminfo=None)
        return array._getvalue()

    return abi.VECTOR(types.int64, types.int64), codegen


def bounds(norm, value, names=("norm", "value")):
    """The two bounds, one of which must be given and positive."""
    if (norm is None) == (value is None):
        raise ValueError(f"{names[0]} or {names[1]} must be given, one of them, got {checks.shown(norm)} and "
                         f"{checks.shown(value)}")
    return tuple(None if one is None else checks.positive(name, one) for name, one in zip(names, (norm, value)))
