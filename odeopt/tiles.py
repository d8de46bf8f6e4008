"""Tiles, a processor's registers for products of matrices (Intel's AMX), in compiled code.

A tile is 16 rows of 64 bytes, and there are eight. One instruction adds to 16 x 16 float32 sums the product of 16 x 32
by 32 x 16 bfloat16 numbers; of the right factor, a row of the tile is a pair of rows, whose numbers alternate. Here
four tiles hold the sums of a block of 32 x 32, so that each number that is loaded is used twice.

Code for a processor without tiles has none of these instructions, and :func:`allowed` is false there.
"""

import sys

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import overload
from numba.np.arrayobj import make_array

from .abi import _intrinsic

SIDE = 32  # rows and columns of a block
BLOCK = 2 * SIDE * SIDE  # its bytes
LINE = 64  # bytes: a row of a tile that straddles two lines of the cache takes twice as long
BYTE, WORD = ir.IntType(8), ir.IntType(64)


def allowed():
    """Whether tiles may be used: the code was compiled for them, and Linux lets this process."""
    return False


@overload(allowed)
def _compiled_allowed():
    return lambda: _allowed()


def _has_tiles(context):
    """Whether the code is compiled for a processor with tiles (the cache of machine code keeps others apart)."""
    triple, _, features = context.codegen().magic_tuple()
    return (sys.platform == "linux" and triple.startswith("x86_64")
            and {"+amx-tile", "+amx-bf16"} <= set(features.split(",")))


@_intrinsic
def _allowed(typing):
    def codegen(context, builder, signature, arguments):
        if not _has_tiles(context):
            return cgutils.false_bit
        # arch_prctl(ARCH_REQ_XCOMP_PERM, XTILEDATA): the kernel that uses tiles asks itself, each time, since the
        # answer is a process's own and machine code and state may come from another one. It takes .2 microseconds.
        ask = ir.FunctionType(WORD, [WORD] * 3)
        answer = builder.call(cgutils.get_or_insert_function(builder.module, ask, "syscall"),
                              [WORD(158), WORD(0x1023), WORD(18)])
        return builder.icmp_signed("==", answer, WORD(0))

    return types.boolean(), codegen


def _tile_instruction(builder, name, *arguments):
    function = ir.FunctionType(ir.VoidType(), [one.type for one in arguments])
    builder.call(cgutils.get_or_insert_function(builder.module, function, f"llvm.x86.{name}"), arguments)


@_intrinsic
def begin_tiles(typing):
    """Make eight tiles of 16 rows of 64 bytes; only where they are :func:`allowed`."""

    def codegen(context, builder, signature, arguments):
        if _has_tiles(context):
            shape = bytes([1]) + bytes(15) + bytes([64, 0] * 8) + bytes(16) + bytes([16] * 8) + bytes(8)
            where = cgutils.global_constant(builder, "odeopt_tiles", cgutils.make_bytearray(shape))
            _tile_instruction(builder, "ldtilecfg", builder.bitcast(where, BYTE.as_pointer()))
        return context.get_dummy_value()

    return types.void(), codegen


@_intrinsic
def end_tiles(typing):
    """Free them: a processor keeps their contents, 8 kB, whenever it turns to another thread."""

    def codegen(context, builder, signature, arguments):
        if _has_tiles(context):
            _tile_instruction(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), codegen


@_intrinsic
def multiply_add(typing, left, right, out):
    """Add to the float32 block ``out`` the product of a row of k bfloat16 blocks ``left`` and a column ``right`` of as
    many, each as two tiles of pairs (k, 2, 16, 16). All three are contiguous."""

    def codegen(context, builder, signature, arguments):
        if not _has_tiles(context):
            return context.get_dummy_value()
        left, right, out = (make_array(kind)(context, builder, value) for kind, value in zip(signature.args, arguments))
        steps = builder.extract_value(left.shape, 0)
        left, right, out = (builder.bitcast(one.data, BYTE.as_pointer()) for one in (left, right, out))
        tiles, row = [BYTE(i) for i in range(8)], WORD(LINE)
        sums = [builder.gep(out, [WORD(16 * 4 * SIDE * (i // 2) + LINE * (i % 2))]) for i in range(4)]
        for tile, there in zip(tiles, sums):
            _tile_instruction(builder, "tileloadd64", tile, there, WORD(4 * SIDE))
        with cgutils.for_range(builder, steps) as loop:
            offset = builder.mul(loop.index, WORD(BLOCK))
            for half in range(2):
                there = builder.add(offset, WORD(BLOCK // 2 * half))
                _tile_instruction(builder, "tileloadd64", tiles[4 + half], builder.gep(left, [there]), row)
                _tile_instruction(builder, "tileloadd64", tiles[6 + half], builder.gep(right, [there]), row)
            for i in range(4):
                _tile_instruction(builder, "tdpbf16ps", tiles[i], tiles[4 + i // 2], tiles[6 + i % 2])
        for tile, there in zip(tiles, sums):
            _tile_instruction(builder, "tilestored64", tile, there, WORD(4 * SIDE))
        return context.get_dummy_value()

    return types.void(left, right, out), codegen
