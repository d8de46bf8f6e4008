"""A function of jax and its parameters as a problem.

Value and gradient are compiled by jax once (and once for each size of a batch), Hessian products are forward
derivatives of the gradient. Parameters of float64 are computed with in float64, whatever ``jax_enable_x64`` says
outside; that setting is left as it is.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

import numpy as np

from .. import checks
from ..abi import by_value, resolved
from . import differences
from .network_vector import NetworkVector, data_array, digest, kind_of, lengths, takes_data

_AGREE = {"float32": 1e-4, "float64": 1e-9}  # of two evaluations of one number


class JaxFunction(NetworkVector):
    """``fun(params)``, or ``fun(params, data)``, as a function of the numbers in ``params``."""

    def __init__(self, fun: Any, params: Any, data: Any = None):
        jax = self.jax = checks.extra("jax", "Problem.from_jax")
        if not callable(fun):
            raise TypeError(f"fun must be a function fun(params) or fun(params, data), got {checks.shown(fun)}")
        self.fun = fun
        self.name = getattr(fun, "__name__", type(fun).__name__).replace("<lambda>", "problem")
        found, self._tree = jax.tree_util.tree_flatten_with_path(params)
        if not found:
            raise ValueError(f"params must hold at least one array, got {checks.shown(params)}")
        self.names = tuple(jax.tree_util.keystr(path) or "params" for path, _ in found)
        leaves = [_leaf(name, one) for name, (_, one) in zip(self.names, found)]
        self.dtype = kind_of("params", {name: str(one.dtype) for name, one in zip(self.names, leaves)})
        self.shapes = tuple(one.shape for one in leaves)
        if not any(one.size for one in leaves):
            raise ValueError("params must hold at least one number, got empty arrays")
        self.x0 = checks.point("params", np.concatenate([one.ravel() for one in leaves]).astype(np.float64))
        self.data, self.samples, words = None, 0, [str(self._tree), str(self.shapes)]
        if data is not None:
            self.data = self._arrays(data)
            self.samples = lengths(jax.tree_util.tree_leaves(self.data))
            words.append(str(jax.tree_util.tree_structure(self.data)))
        self.identity = digest(words, [np.asarray(one) for one in jax.tree_util.tree_leaves(self.data)])
        self._look()

    def _wide(self) -> Any:
        """The context in which the numbers are those of the parameters."""
        if self.dtype == np.float32:
            return contextlib.nullcontext()
        own = getattr(self.jax, "enable_x64", None)
        if own is None:  # of older versions
            own = importlib.import_module("jax.experimental").enable_x64
        return own(True)

    def _arrays(self, data: Any) -> Any:
        """``data`` with each leaf an array of jax, floating ones in the parameters' dtype."""
        def made(one):
            found = data_array(one)
            return self.jax.numpy.asarray(found.astype(self.dtype) if found.dtype.kind == "f" else found)

        with self._wide():
            return self.jax.tree_util.tree_map(made, data)

    def _look(self) -> None:
        """Makes what jax can trace and derive, errors of the rest; sets ``samples`` and ``twice``."""
        jax = self.jax

        def value(leaves, data):
            params = jax.tree_util.tree_unflatten(self._tree, leaves)
            return self.fun(params) if data is None else self.fun(params, data)

        def joined(leaves):
            return jax.numpy.concatenate([one.ravel() for one in leaves])

        def value_and_grad(x, data):
            f, leaves = jax.value_and_grad(value)(self.split(x), data)
            return f, joined(leaves)

        def product(x, v, data):
            return jax.jvp(lambda y: value_and_grad(y, data)[1], (x,), (v,))[1]

        def on_part(x, data, batch):
            return value_and_grad(x, jax.tree_util.tree_map(lambda one: one[batch], data))

        x = self.x0.astype(self.dtype)
        with self._wide():
            try:
                out = jax.eval_shape(lambda y: value(self.split(y), self.data), x)
            except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError) as error:
                raise TypeError("fun must be one that jax can trace, of jax.numpy in place of numpy and without "
                                f"branches on values: {str(error).splitlines()[0]}") from None
            except (RuntimeError, TypeError, ValueError, IndexError, KeyError) as error:
                raise takes_data("fun", "params and data", error) from error
            if not hasattr(out, "shape") or out.shape != () or out.dtype.kind != "f":
                got = f"shape {out.shape} of {out.dtype}" if hasattr(out, "shape") else checks.shown(out)
                raise TypeError(f"fun must return one real number, got {got}")
            self._value_and_grad, self._on_part = jax.jit(value_and_grad), jax.jit(on_part)
            self._value, self._product = jax.jit(lambda y, data: value(self.split(y), data)), jax.jit(product)
            try:
                jax.eval_shape(product, x, x, self.data)
                self.twice = True
            except (TypeError, NotImplementedError):  # a function with a reverse rule of its own
                self.twice = False
        g = np.empty_like(self.x0)
        f = self.fg(self.x0, g, None)
        if not np.isfinite(f):
            raise ValueError(f"fun must be finite at params, got {f}")
        if self.samples > 1:
            nothing = np.zeros(1)  # the values say it: a gradient would be one more function to compile
            missed = differences.no_mean(lambda batch: (self._loss(x, self._part(batch)), nothing), self.samples, f,
                                         nothing, _AGREE[str(self.dtype)])
            if missed:
                differences.warn_no_mean("fun", missed)
                self.samples = 0

    def _part(self, batch: Any) -> Any:
        with self._wide():
            return self.jax.tree_util.tree_map(lambda one: one[batch], self.data)

    def _loss(self, x: np.ndarray, data: Any) -> float:
        with self._wide():
            return float(self._value(x, data))

    def _cast(self, x: Any) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.array(x, self.dtype)

    def fg(self, x, g, data):
        with self._wide():
            f, gradient = self._value_and_grad(self._cast(x), self.data)
        g[:] = np.asarray(gradient)
        return float(f)

    def hv(self, x, v, out, data):
        with self._wide():
            product = self._product(self._cast(x), self._cast(v), self.data)
        out[:] = np.asarray(product)

    def fgb(self, x, g, data, batch):
        with self._wide():
            f, gradient = self._on_part(self._cast(x), self.data, np.array(batch))
        g[:] = np.asarray(gradient)
        return float(f)

    def unflatten(self, x):
        """Parameters like those given, of jax's arrays."""
        with self._wide():
            leaves = [self.jax.numpy.asarray(one) for one in self.split(self._cast(x))]
        return self.jax.tree_util.tree_unflatten(self._tree, leaves)

    def flatten(self, parameters):
        """The vector of parameters of the same structure."""
        leaves, tree = self.jax.tree_util.tree_flatten(parameters)
        if tree != self._tree:
            raise ValueError(f"parameters must have the structure {self._tree}, got {tree}")
        return self.joined(self.names, leaves)

    def initial(self, seed):
        """The parameters given: how others are drawn, ``fun`` does not say."""
        return self.x0.astype(self.dtype)

    def loss_and_grad(self, w, inputs, targets):
        with self._wide():
            f, gradient = self._value_and_grad(self._cast(w), self._arrays((inputs, targets)))
        return float(f), np.asarray(gradient).astype(w.dtype)

    def loss_and_accuracy(self, w, inputs, targets):
        return self._loss(self._cast(w), self._arrays((inputs, targets))), np.nan

    def __reduce__(self):
        params = self.jax.tree_util.tree_unflatten(self._tree, self.split(self._cast(self.x0)))
        return _again, (by_value((self.fun, params, self.jax.tree_util.tree_map(np.asarray, self.data))),)


def _leaf(name, one):
    if checks.is_masked(one):
        raise TypeError(f"params must hold arrays of numbers, got masked values at {name}")
    found = np.asarray(one)
    if found.dtype.kind == "O":
        raise TypeError(f"params must hold arrays of numbers, got {checks.shown(one)} at {name}")
    return found


def _again(parts):
    """The function that was sent to this process."""
    checks.extra("jax", "Problem.from_jax")
    with differences.told_before():
        fun, params, data = resolved(parts)
        return JaxFunction(fun, params, data)
