"""From a user's callables to the kernels of a Problem: plain Python, or compiled like the callables."""

import functools

import numpy as np

_STEP = float(np.cbrt(np.finfo(float).eps))  # of central differences


def probe(fun, grad, hess, hessp, x0):
    """Call each callable once: shapes and types are checked here, not in the loop."""
    f = fun(x0.copy())
    if np.ndim(f) or np.asarray(f).dtype.kind not in "fiu":
        raise TypeError(f"fun must return a real number, got {type(f).__name__} of shape {np.shape(f)}")
    n = x0.size
    _real("grad", grad(x0.copy()), (n,))
    if hess is not None:
        _real("hess", hess(x0.copy()), (n, n))
    if hessp is not None:
        _real("hessp", hessp(x0.copy(), np.ones(n)), (n,))


def _real(name, value, shape):
    value = np.asarray(value)
    if value.dtype.kind not in "fiu":
        raise TypeError(f"{name} must return real numbers, got {value.dtype}")
    if value.shape != shape:
        raise ValueError(f"{name} must return shape {shape}, got {value.shape}")
    return value


# What a problem of plain Python callables calls: functions of this module with the callables filled in, so
# that such a problem can be sent to another process if its callables can.
def _python_oracle(fun, grad, x, g, data):
    # The callables see copies: whatever they do to them, the loop's own x stays as it is.
    g[:] = _real("grad", grad(x.copy()), g.shape)
    return float(fun(x.copy()))


def _python_product(hess, hessp, x, v, out, data):
    product = np.asarray(hess(x.copy())) @ v if hessp is None else hessp(x.copy(), v.copy())
    out[:] = _real("hessp", product, out.shape)


def _difference_quotients(fun, x):
    g = np.empty(x.size)
    shifted = x.copy()
    for i in range(x.size):
        h = _STEP * max(1.0, abs(x[i]))
        shifted[i] = x[i] + h
        above = fun(shifted)
        shifted[i] = x[i] - h
        g[i] = (above - fun(shifted)) / (2 * h)
        shifted[i] = x[i]
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


# Closures over a user's compiled functions cannot be cached on disk (numba never finds them
# again), so these compile in memory, once a Problem. Loops, because assigning an array to a slice
# takes numba seconds to compile; with a check, because compiled indices have no bounds.
def _njit(function):
    from numba import njit

    return njit(error_model="numpy", nogil=True)(function)


def _compiled_oracle(fun, grad):
    def fg(x, g, data):
        value = grad(x)
        if value.size != g.size:
            raise ValueError("grad must return as many numbers as x has")
        for i in range(g.size):
            g[i] = value[i]
        return float(fun(x))

    return _njit(fg)


def _compiled_product(hess, hessp):
    if hessp is not None:

        def hv(x, v, out, data):
            product = hessp(x, v)
            if product.size != out.size:
                raise ValueError("hessp must return as many numbers as x has")
            for i in range(out.size):
                out[i] = product[i]
    else:

        def hv(x, v, out, data):
            h = hess(x)
            if h.shape != (out.size, out.size):
                raise ValueError("hess must return a matrix with one row a variable")
            for i in range(out.size):
                out[i] = 0.0
                for j in range(out.size):
                    out[i] += h[i, j] * v[j]

    return _njit(hv)
