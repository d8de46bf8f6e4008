"""From a user's callables to the kernels of a Problem: plain Python, or compiled like the callables."""

import functools

import numpy as np

from .. import checks

_STEP = float(np.cbrt(np.finfo(float).eps))  # of central differences


def probe(fun, grad, hess, hessp, x0, batch=None):
    """Call each callable once: shapes and types are checked here, not in the loop."""
    value_of(fun(x0.copy()))
    n = x0.size
    if batch is not None:
        _pair(batch(x0.copy(), np.zeros(1, np.int64)), (n,))
    _returned("grad", grad(x0.copy()), (n,))
    if hess is not None:
        _returned("hess", hess(x0.copy()), (n, n))
    if hessp is not None:
        _returned("hessp", hessp(x0.copy(), np.ones(n)), (n,))


def value_of(f, name="fun"):
    """What fun returned as a float, finite or not."""
    if type(f) is float:
        return f
    found = checks.real_numbers(f)
    if isinstance(found, str):
        pair = "; a pair (f, gradient) is two functions here, fun and grad" if isinstance(f, (tuple, list)) else ""
        raise TypeError(f"{name} must return a real number, got {found}{pair}")
    if found.ndim:
        raise TypeError(f"{name} must return a real number, got an array of shape {found.shape}")
    return float(found)


def _pair(pair, shape):
    """``(f, gradient)`` that batch returned."""
    if not (isinstance(pair, (tuple, list)) and len(pair) == 2):
        raise TypeError("batch must return a pair (f, gradient), the mean over the samples given, got "
                        f"{checks.shown(pair)}")
    return value_of(pair[0], "batch, first,"), _returned("batch, second,", pair[1], shape)


def _returned(name, value, shape):
    """What a callable returned as a float64 array of ``shape``, finite or not."""
    found = value
    if type(value) is not np.ndarray or value.dtype != np.float64:
        found = checks.real_numbers(value)
        if isinstance(found, str):
            raise TypeError(f"{name} must return real numbers, got {found}")
    if found.shape != shape:
        raise ValueError(f"{name} must return shape {shape}, got {found.shape}")
    return found


# What a problem of plain Python callables calls: functions of this module with the callables filled in, so
# that such a problem can be sent to another process if its callables can.
# They see copies: whatever they do to their arguments, the loop's own x stays as it is.
def _python_oracle(fun, grad, x, g, data):
    g[:] = _returned("grad", grad(x.copy()), g.shape)
    return value_of(fun(x.copy()))


def _python_product(hess, hessp, x, v, out, data):
    if hessp is None:
        out[:] = _returned("hess", hess(x.copy()), (out.size, out.size)) @ v
    else:
        out[:] = _returned("hessp", hessp(x.copy(), v.copy()), out.shape)


def _python_sum(batch, x, g, data, indices):
    f, g[:] = _pair(batch(x.copy(), indices.copy()), g.shape)
    return f


def _whole_gradient(batch, samples, x):
    return batch(x, np.arange(samples))[1]


def _difference_quotients(fun, x):
    g, at, there = np.empty(x.size), x.copy(), x.copy()
    for i in range(x.size):
        h = _STEP * max(1.0, abs(x[i]))
        at[i] = x[i] + h
        there[:] = at  # fun may change it
        above = fun(there)
        at[i] = x[i] - h
        there[:] = at
        g[i] = (above - fun(there)) / (2 * h)
        at[i] = x[i]
    return g


def central_differences(fun, compiled):
    """``grad(x)`` by differences of ``fun``."""
    if not compiled:
        return functools.partial(_difference_quotients, fun)
    quotients = _njit(_difference_quotients)
    return _njit(lambda x: quotients(fun, x))


def oracle(fun, grad, compiled):
    """``fg(x, g, data) -> f``."""
    return _compiled_oracle(fun, grad) if compiled else functools.partial(_python_oracle, fun, grad)


def product(hess, hessp, compiled):
    """``hv(x, v, out, data)``, by ``hessp`` where there is one."""
    return _compiled_product(hess, hessp) if compiled else functools.partial(_python_product, hess, hessp)


def finite_sum(batch, compiled):
    """``fgb(x, g, data, batch) -> f``."""
    return _compiled_sum(batch) if compiled else functools.partial(_python_sum, batch)


def whole_gradient(batch, samples, compiled):
    """``grad(x)`` by the batch of all samples."""
    return _njit(lambda x: batch(x, np.arange(samples))[1]) if compiled else functools.partial(_whole_gradient, batch,
                                                                                              samples)


# Closures over a user's compiled functions cannot be cached on disk (numba never finds them
# again), so these compile in memory, once per Problem. Loops, because assigning an array to a slice
# takes numba seconds to compile; with a check, because compiled indices have no bounds. The callables see x in
# the array that the result goes to, so that one that changes its argument changes nothing else.
def _njit(function):
    from numba import njit

    return njit(error_model="numpy", nogil=True)(function)


def _compiled_oracle(fun, grad):
    def fg(x, g, data):
        for i in range(g.size):
            g[i] = x[i]
        f = float(fun(g))
        for i in range(g.size):
            g[i] = x[i]
        value = grad(g)
        if value.size != g.size:
            raise ValueError("grad must return as many numbers as x has")
        for i in range(g.size):
            g[i] = value[i]
        return f

    return _njit(fg)


def _compiled_product(hess, hessp):
    if hessp is not None:

        def hv(x, v, out, data):
            for i in range(out.size):
                out[i] = x[i]
            product = hessp(out, v.copy())
            if product.size != out.size:
                raise ValueError("hessp must return as many numbers as x has")
            for i in range(out.size):
                out[i] = product[i]
    else:

        def hv(x, v, out, data):
            for i in range(out.size):
                out[i] = x[i]
            h = hess(out)
            if h.shape != (out.size, out.size):
                raise ValueError("hess must return a matrix with one row per variable")
            for i in range(out.size):
                out[i] = 0.0
                for j in range(out.size):
                    out[i] += h[i, j] * v[j]

    return _njit(hv)


def _compiled_sum(batch):
    def fgb(x, g, data, indices):
        for i in range(g.size):
            g[i] = x[i]
        f, value = batch(g, indices.copy())
        if value.size != g.size:
            raise ValueError("batch must return as many derivatives as x has numbers")
        for i in range(g.size):
            g[i] = value[i]
        return float(f)

    return _njit(fgb)


# Kernels that come ready-made.
_WRITES = " that writes the gradient into g and returns f, in plain Python or under @odeopt.abi.kernel"
_KERNELS = {"fg": ("fg(x, g, data)", _WRITES), "fgb": ("fgb(x, g, data, batch)", _WRITES),
            "hv": ("hv(x, v, out, data)", " that writes H(x) v into out, in plain Python or under @odeopt.abi.kernel")}
_INSIDE = set()  # kernels of problems, with the sizes of their arrays, that stay inside these


def check_signatures(fg, hv, fgb):
    """TypeError for kernels that cannot be called as :mod:`odeopt.abi` says."""
    for label, part in (("fg", fg), ("hv", hv), ("fgb", fgb)):
        if part is not None or label == "fg":
            checks.takes(label, part, *_KERNELS[label])


def check_inside(name, fg, hv, fgb, data, x0, samples):
    """TypeError for kernels that leave their arrays, ``data`` above all, at ``x0``; looked at once for each size."""
    words = f"must stay inside its arrays, {x0.size} coordinates and {data.size} numbers of data"
    tried = [("fg", fg, (data,), "x [g] data"), ("hv", hv, (np.zeros_like(x0), data), "x v [out] data")]
    if fgb is not None:  # the first and the last sample show as much as all of them
        tried = [("fgb", fgb, (data, np.array([samples - 1, 0])), "x [g] data batch")]
    for label, part, more, reads in tried:
        key = (part, x0.size, data.size, samples)
        if part is not None and key not in _INSIDE:
            checks.stays_inside(f"{label} of {name} {words}", part, x0, np.ones_like(x0), *more, reads=reads)
            _INSIDE.add(key)
