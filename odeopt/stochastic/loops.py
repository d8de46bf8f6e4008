"""The jitted loops over paths: deterministic, they consume numbers that the driver has drawn.

As in :mod:`odeopt.engine.loops`, these are ordinary functions; :func:`runnable` compiles one for typed
kernels, and a problem of plain Python callables runs the source.
"""

import functools

import numpy as np

from .. import abi
from ..sums import all_finite, finite

FULL, GAUSSIAN, BATCHES = range(3)  # where the gradient of a step comes from


@abi.kernel
def no_batch(x, g, data, batch):
    """Stand in for a missing batch oracle: NaN."""
    for i in range(g.size):
        g[i] = np.nan
    return np.nan


def optimizer_paths(fg, fgb, data, source, noise, c_noise, update, schedule, c_schedule, driven, base, p,
                    xi, batches, steps, k, every, average_from, last,
                    clock, stopped, x, s, mean, out):
    """``steps`` steps of every path of a block, from step ``k``.

    ``stopped[i]`` is the step at which path i ceased to be finite, -1 while it goes on;
    ``out[i, r]`` its r-th record: steps 0, every, 2 every, ..., and ``last``.
    """
    n = x.shape[1]
    g, e = np.empty(n), np.empty(n)
    # Numbers of one step are copied out: a view taken in each step costs more than the step itself.
    normals, batch = np.empty(xi.shape[2]), np.empty(batches.shape[2], np.int64)
    for path in range(x.shape[0]):
        if stopped[path] >= 0:
            continue
        xp, sp, mp = x[path], s[path], mean[path]
        t, next_record = clock[path], min(last, (k // every + 1) * every)
        for now in range(k, k + steps):
            if source == BATCHES:
                for i in range(batch.size):
                    batch[i] = batches[path, now - k, i]
                f = fgb(xp, g, data, batch)
            else:
                f = fg(xp, g, data)
                if source == GAUSSIAN:
                    for i in range(normals.size):
                        normals[i] = xi[path, now - k, i]
                    noise(xp, normals, e, c_noise)
                    for i in range(n):
                        g[i] += e[i]
            if driven >= 0:
                p[driven] = schedule(float(now), base[driven], c_schedule)
            t += update(now, p, xp, g, sp)
            if not (np.isfinite(f) and finite(xp) and t < np.inf):
                stopped[path] = now + 1
                break
            if average_from >= 0 and now + 1 >= average_from:
                weight = 1.0 / (now + 2.0 - average_from)
                for i in range(n):
                    mp[i] += weight * (xp[i] - mp[i])
            if now + 1 == next_record:
                r = next_record // every if next_record % every == 0 else out.shape[1] - 1
                for i in range(n):
                    out[path, r, i] = xp[i]
                next_record = min(last, next_record + every)
        clock[path] = t


@abi.kernel
def _plus(z, dz, h, moved):
    for j in range(z.shape[0]):
        for i in range(z.shape[1]):
            moved[j, i] = z[j, i] + h * dz[j, i]


def euler_maruyama(rhs, fg, hv, data, t, p, h, noise, c_noise, strength, row, additive, z, xi, w, e):
    """z += h F + sqrt(h) strength L(x) xi, the noise in row ``row``. Weak order 1.

    ``w`` is a workspace (3, rows, n), ``e`` one of (5, n). Source: Kloeden, Platen (1992), 10.2.4.
    """
    rhs(fg, hv, data, t, p, z, w[0])
    noise(z[0], xi[: noise_size(xi.size, additive)], e[0], c_noise)
    _plus(z, w[0], h, z)
    scale = strength * np.sqrt(h)
    for i in range(z.shape[1]):
        z[row, i] += scale * e[0, i]


@abi.kernel
def noise_size(drawn, additive):
    """m of the m + m (m - 1)/2 numbers that a step takes (m of m for additive noise)."""
    return drawn if additive else int((np.sqrt(8.0 * drawn + 1.0) - 1.0) / 2.0)  # the root of a square


def weak_second_order(rhs, fg, hv, data, t, p, h, noise, c_noise, strength, row, additive, z, xi, w, e):
    """Platen's explicit scheme of weak order 2: Kloeden, Platen (1992), eq. 15.1.3.

    For additive noise it is Heun's method with the same Gaussian increment in both stages. The
    two-point variables V_rj are the signs of the last m (m - 1)/2 entries of ``xi``.
    """
    n, m = z.shape[1], noise_size(xi.size, additive)
    root = np.sqrt(h)
    scale = strength * root
    rhs(fg, hv, data, t, p, z, w[0])
    _plus(z, w[0], h, w[1])  # y + a h
    noise(z[0], xi[:m], e[0], c_noise)  # sum of b^j dW^j/(strength sqrt(h))
    total = e[4]
    for i in range(n):
        total[i] = 0.0
    if not additive:
        unit = np.zeros(m)
        shifted = np.empty(n)
        for j in range(m):
            for r in range(m):
                # b^j at the points displaced along b^r; r = j starts from y + a h (R), else from y (U).
                unit[r] = 1.0
                noise(z[0], unit, e[1], c_noise)
                unit[r] = 0.0
                unit[j] = 1.0
                for side in range(2):
                    sign = 1.0 if side == 0 else -1.0
                    for i in range(n):
                        centre = w[1, 0, i] if r == j else z[0, i]
                        shifted[i] = centre + (sign * scale * e[1, i] if row == 0 else 0.0)
                    noise(shifted, unit, e[2 + side], c_noise)
                noise(z[0], unit, e[1], c_noise)
                unit[j] = 0.0
                if r == j:
                    pair = xi[j] * xi[j] - 1.0
                    for i in range(n):
                        total[i] += 0.25 * ((e[2, i] + e[3, i] - 2.0 * e[1, i]) * xi[j]
                                            + (e[2, i] - e[3, i]) * pair)
                else:
                    low, high = min(r, j), max(r, j)
                    v = 1.0 if xi[m + high * (high - 1) // 2 + low] > 0.0 else -1.0
                    pair = xi[j] * xi[r] + (v if r < j else -v)
                    for i in range(n):
                        total[i] += 0.25 * ((e[2, i] + e[3, i] - 2.0 * e[1, i]) * xi[j]
                                            + (e[2, i] - e[3, i]) * pair)
    for i in range(n):
        w[1, row, i] += scale * e[0, i]
    rhs(fg, hv, data, t + h, p, w[1], w[2])
    for j in range(z.shape[0]):
        for i in range(n):
            z[j, i] += 0.5 * h * (w[0, j, i] + w[2, j, i])
    for i in range(n):
        z[row, i] += scale * (e[0, i] + total[i])


def sde_paths(rhs, fg, hv, data, p, t0, h, step, noise, c_noise, strength, row, additive, xi, k, every, last,
              stopped, z, out):
    """``xi.shape[1]`` steps of every path of a block, from step ``k``; records as above."""
    n = z.shape[2]
    w, e, normals = np.empty((3, z.shape[1], n)), np.empty((5, n)), np.empty(xi.shape[2])
    for path in range(z.shape[0]):
        if stopped[path] >= 0:
            continue
        zp, next_record = z[path], min(last, (k // every + 1) * every)
        for now in range(k, k + xi.shape[1]):
            for i in range(normals.size):
                normals[i] = xi[path, now - k, i]
            step(rhs, fg, hv, data, t0 + now * h, p, h, noise, c_noise, strength, row, additive, zp, normals, w, e)
            if not all_finite(zp):
                stopped[path] = now + 1
                break
            if now + 1 == next_record:
                r = next_record // every if next_record % every == 0 else out.shape[1] - 1
                for i in range(n):
                    out[path, r, i] = zp[0, i]
                next_record = min(last, next_record + every)


_V, _M, _R, _I, _C = abi.VECTOR, abi.MATRIX, abi.REAL, abi.INTEGER, abi.CUBE
_SIGNATURES = {
    optimizer_paths: abi.NOTHING(abi.FG, abi.FGB, _V, _I, abi.HV, _V, abi.UPDATE, abi.SCHEDULE, _V, _I, _V, _V,
                                 _C, abi.INDEX_CUBE, _I, _I, _I, _I, _I, _V, abi.INDICES, _M, _C, _M, _C),
    sde_paths: abi.NOTHING(abi.RHS, abi.FG, abi.HV, _V, _V, _R, _R, abi.SDE_STEP, abi.HV, _V, _R, _I, _I, _C, _I, _I,
                           _I, abi.INDICES, _C, _C),
}


@functools.cache
def runnable(loop, compiled=True):
    """``loop`` compiled for typed kernels, once per process; or as it stands, for the interpreter."""
    return abi.kernel(loop, _SIGNATURES[loop]) if compiled else loop
