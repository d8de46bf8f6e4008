"""Newton-Schulz steps in bfloat16, as torch's Muon makes them, whatever the arrays:

    A = X X^T,  B = b A + c A^2,  X <- a X + B X.

A bfloat16 number is the first half of a float32: its exponent and 8 of its 24 digits. X, A and B are such numbers, each
rounded once, of sums in float32 or better: on tiles (tiles.py) where there are any and the workspace holds the
matrices, anywhere else by BLAS in the arrays' own precision. The two differ by the order of sums, which may turn a
last digit.

On tiles a matrix is one of blocks of 32 x 32 numbers, those outside it zeros, each block in one piece.
"""

import numpy as np

from .abi import kernel
from .matrices import part
from .tiles import LINE, SIDE, allowed, begin_tiles, end_tiles, multiply_add

WORDS = SIDE * SIDE // 2  # a block in 32-bit words
PANEL = 8  # columns of blocks of a right factor that one row of blocks of a left one meets while it is in cache
DEPTH = 8  # blocks of a row that are multiplied at once: they stay in the cache nearest to the tiles
CHUNK = 1024  # entries that are rounded at once, in cache


@kernel
def rounded(bits):
    """The bits of a float32 number, rounded to the nearest of 16 bits and of two such to the even one."""
    return bits | 0x400000 if bits & 0x7FFFFFFF > 0x7F800000 else bits + 0x7FFF + ((bits >> 16) & 1)  # a NaN stays one


@kernel
def combined(of_old, old, of_product, product, out, chunk):
    """``out`` <- of_old old + of_product product in bfloat16; vectors, of which ``out`` may be one."""
    first, second, bits = np.float32(of_old), np.float32(of_product), chunk.view(np.int32)
    for begin in range(0, out.size, chunk.size):
        count = min(chunk.size, out.size - begin)
        for i in range(count):
            chunk[i] = first * old[begin + i] + second * product[begin + i]
        for i in range(count):
            bits[i] = rounded(bits[i]) & -0x10000
        for i in range(count):
            out[begin + i] = chunk[i]


@kernel
def by_blas(x, spare, steps, a, b, c):
    """:func:`newton_schulz` by BLAS."""
    r, n = x.shape
    gram, factor, other = part(spare[0], r, r), part(spare[1], r, r), part(spare[2], r, n)
    size = min(CHUNK, x.size)
    early, late = spare[2].view(np.float32)[:size], spare[0].view(np.float32)[:size]  # free then
    flat = x.reshape(x.size)
    combined(0.0, flat, 1.0, flat, flat, early)
    for _ in range(steps):
        np.dot(x, x.T, gram)
        combined(0.0, spare[0], 1.0, spare[0], spare[0][: r * r], early)
        np.dot(gram, gram, factor)
        combined(b, spare[0], c, spare[1], spare[1][: r * r], early)
        np.dot(factor, x, other)
        combined(a, flat, 1.0, spare[2], flat, late)


@kernel
def words(rows, columns):
    """32-bit words of workspace that :func:`by_tiles` needs for blocks in so many rows and columns: X, A and B, a
    panel of the right factor, its sums and what is added to them; and those before the first line of the cache."""
    return (rows * columns + 2 * rows * rows + PANEL * columns + 2 * PANEL + 2) * WORDS + LINE // 4


@kernel
def blocks(room, begin, rows, columns):
    """A matrix of blocks in ``room``, from its block ``begin`` on."""
    return room[begin * WORDS : (begin + rows * columns) * WORDS].view(np.uint16).reshape(rows, columns, 2 * WORDS)


@kernel
def turned(x, right):
    """``right`` <- the transpose of a row of blocks as a right factor: its pairs are words of ``x``."""
    for k in range(x.shape[0]):
        for half in range(2):
            for i in range(16):
                for j in range(16):
                    right[k, half, j, i] = x[k, 256 * half + 16 * i + j]


@kernel
def paired(x, j, right):
    """``right`` <- column j of the blocks ``x`` as a right factor."""
    for k in range(x.shape[0]):
        for half in range(2):
            for i in range(16):
                for l in range(16):
                    at = 2 * SIDE * i + 16 * half + l
                    right[k, half, i, l] = np.int32(x[k, j, at]) | (np.int32(x[k, j, at + SIDE]) << 16)


@kernel
def stored(values, block):
    """``block`` <- the float32 ``values``, rounded."""
    bits = values.view(np.int32)
    for i in range(bits.size):
        block[i] = rounded(bits[i]) >> 16


@kernel
def fetched(block, values):
    """The ``block`` as float32 ``values``."""
    bits = values.view(np.int32)
    for i in range(bits.size):
        bits[i] = np.int32(block[i]) << 16


@kernel
def mirrored(block, out):
    """``out`` <- the transpose of ``block``."""
    for i in range(SIDE):
        for j in range(SIDE):
            out[SIDE * i + j] = block[SIDE * j + i]


@kernel
def product(left, x, symmetric, of_old, old, of_product, out, room):
    """``out`` <- of_old old + of_product left x; where ``symmetric``, left left^T for left x, of which half is
    computed. ``old`` and ``x`` may be ``out``."""
    depth, first, second = left.shape[1], np.float32(of_old), np.float32(of_product)
    sums = room[: 2 * PANEL * WORDS].view(np.float32).reshape(PANEL, 2 * WORDS)
    added = room[2 * PANEL * WORDS : (2 * PANEL + 2) * WORDS].view(np.float32)
    right = room[(2 * PANEL + 2) * WORDS : (2 * PANEL + 2 + PANEL * depth) * WORDS].reshape(PANEL, depth, 2, 16, 16)
    added[:] = 0.0
    for begin in range(0, out.shape[1], PANEL):
        width = min(PANEL, out.shape[1] - begin)
        for j in range(width):
            if symmetric:
                turned(left[begin + j].view(np.int32), right[j])
            else:
                paired(x, begin + j, right[j])
        for i in range(begin if symmetric else 0, out.shape[0]):
            count = min(width, i - begin + 1) if symmetric else width
            sums[:, :] = 0.0
            for k in range(0, depth, DEPTH):
                for j in range(count):
                    multiply_add(left[i, k : k + DEPTH], right[j, k : k + DEPTH], sums[j])
            for j in range(count):
                one = sums[j]
                if of_old != 0.0:
                    fetched(old[i, begin + j], added)
                for l in range(one.size):
                    one[l] = first * added[l] + second * one[l]
                stored(one, out[i, begin + j])
                if symmetric and begin + j < i:
                    mirrored(out[i, begin + j], out[begin + j, i])


@kernel
def exchanged(x, matrix, values, into_x):
    """The blocks ``matrix`` <- ``x`` and zeros, or ``x`` <- the blocks; ``values`` is a block of float32."""
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            top, side = SIDE * i, SIDE * j
            height, width = min(SIDE, x.shape[0] - top), min(SIDE, x.shape[1] - side)
            if into_x:
                fetched(matrix[i, j], values)
                for k in range(height):
                    for l in range(width):
                        x[top + k, side + l] = values[SIDE * k + l]
            else:
                values[:] = 0.0
                for k in range(height):
                    for l in range(width):
                        values[SIDE * k + l] = x[top + k, side + l]
                stored(values, matrix[i, j])


@kernel
def by_tiles(x, room, steps, a, b, c):
    """:func:`newton_schulz` on tiles, in ``room`` of enough :func:`words`."""
    rows, columns = -(-x.shape[0] // SIDE), -(-x.shape[1] // SIDE)
    room = room[-(room.ctypes.data // 4) % (LINE // 4) :]
    matrix, gram = blocks(room, 0, rows, columns), blocks(room, rows * columns, rows, rows)
    factor, rest = blocks(room, rows * (columns + rows), rows, rows), room[rows * (columns + 2 * rows) * WORDS :]
    exchanged(x, matrix, rest[: 2 * WORDS].view(np.float32), False)
    begin_tiles()
    for _ in range(steps):
        product(matrix, matrix, True, 0.0, gram, 1.0, gram, rest)
        product(gram, gram, True, b, gram, c, factor, rest)
        product(factor, matrix, False, a, matrix, 1.0, matrix, rest)
    end_tiles()
    exchanged(x, matrix, rest[: 2 * WORDS].view(np.float32), True)


@kernel
def newton_schulz(x, spare, steps, a, b, c):
    """``steps`` times A = X X^T, B = b A + c A^2, X <- a X + B X in bfloat16.

    ``x`` is (r, c) with r <= c, float32 or float64, and |x| must not exceed 1; ``spare`` is three rows of its size.
    """
    room, r, n = spare.reshape(spare.size).view(np.int32), x.shape[0], x.shape[1]
    if words(-(-r // SIDE), -(-n // SIDE)) <= room.size and allowed():
        by_tiles(x, room, steps, a, b, c)
    else:
        by_blas(x, spare, steps, a, b, c)
