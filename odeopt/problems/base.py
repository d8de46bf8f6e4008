"""``Problem``: an objective with its gradient, Hessian product and what is known about it."""

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import checks, machine_code
from ..abi import Portable, interpreted, is_compiled, kernel
from ..spectrum import power_iteration
from . import callables, differences

DENSE_LIMIT = 2000
NO_DATA = np.zeros(1)


@kernel
def no_hessian(x, v, out, data):
    """Stand in for a missing Hessian product: NaN, so that a use cannot go unnoticed."""
    for i in range(out.size):
        out[i] = np.nan


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Problem(Portable):
    """An objective f: R^n -> R to be minimised.

    Parameters
    ----------
    fun : callable
        ``fun(x) -> float``, plain Python or compiled by ``numba.njit``.
    grad : callable, optional
        ``grad(x) -> (n,) array``. Without it the gradient is taken by central differences, and a
        ``RuntimeWarning`` says so.
    hess : callable, optional
        ``hess(x) -> (n, n) array``.
    dim : int
        n. May be left out when ``x0`` is given.
    hessp : callable, optional
        ``hessp(x, v) -> (n,) array``, instead of or besides ``hess`` (and then preferred).
    x0 : (n,) array, optional
        Default start (default: a vector of ones).
    minima : sequence of (n,) arrays, optional
        Known global minimisers.
    f_min : float, optional
        Infimum of f (default: f at the first of ``minima``). None: not known, or f is unbounded
        below.
    window : ((low, high), (low, high)), optional
        What to show of a plane problem.
    name : str, optional
        Default: the name of ``fun``.
    convex : bool, optional
        Whether f is known to be convex.
    batch : callable, optional
        For a finite sum, f the mean of ``samples`` terms: ``batch(x, indices) -> (value, (n,) gradient)`` of the
        mean over the terms of these indices, an int64 vector. Mini-batches of :mod:`odeopt.stochastic` need
        it; ``grad`` may then be left out, and is the batch of all.
    samples : int, optional
        Number of terms, with ``batch``.

    Raises
    ------
    TypeError
        An argument that should be callable and is not; ``fun`` that does not return a real number; a
        gradient or Hessian that is not real.
    ValueError
        ``dim`` and ``x0`` both missing or not agreeing; a gradient or Hessian of the wrong shape;
        a window of another form.

    Warns
    -----
    RuntimeWarning
        No ``grad``; one that is plainly wrong next to ``x0`` (a few evaluations along one direction;
        :meth:`check` compares every entry); a ``batch`` whose mean over all samples is not f.

    Notes
    -----
    If every callable given comes out of ``njit``, the problem is ``compiled`` and runs inside the
    jitted loop; else the same loop runs in Python around the compiled update. Problems that ship
    with the package are built by :meth:`from_kernels`.
    """

    name: str
    dim: int
    fg: Any = field(compare=False)  # kernel FG, or a Python function of the same signature
    hv: Any = field(compare=False)  # kernel HV, likewise; no_hessian when unknown
    data: np.ndarray
    x0: np.ndarray
    minima: tuple
    f_min: float | None
    window: tuple | None
    compiled: bool
    has_hessian: bool
    fgb: Any = None  # kernel FGB of a finite sum, None for other problems
    samples: int = 0  # number of terms of the finite sum
    convex: bool = False
    about: str = ""
    model: Any = field(default=None, compare=False)  # of what the variables are the weights (problems.classifier)
    network: Any = field(default=None, compare=False)  # a framework's network (problems.network_vector)
    dense: Any = field(default=None, compare=False)  # kernel (x, out, data) of the whole Hessian

    def __init__(self, fun, grad=None, hess=None, dim=None, *, hessp=None, x0=None, minima=(),
                 f_min=None, window=None, name=None, convex=False, batch=None, samples=None):
        parts = {"fun": fun, "grad": grad, "hess": hess, "hessp": hessp, "batch": batch}
        for label, part in parts.items():
            if not callable(part) and (part is not None or label == "fun"):
                raise TypeError(f"{label} must be callable, got {checks.shown(part)}")
        if dim is None and x0 is None:
            raise ValueError("dim must be given (a positive integer) when x0 is not")
        if dim is None:
            dim = checks.point("x0", x0).size
        dim = checks.integer("dim", dim, 1)
        x0 = np.ones(dim) if x0 is None else checks.point("x0", x0, dim)
        if (batch is None) != (samples is None):
            raise ValueError(f"batch and samples must be given together, got {'samples' if batch is None else 'batch'} "
                             "alone")
        samples = 0 if samples is None else checks.integer("samples", samples, 1)
        # One kernel in Python and one compiled would suit neither loop: all or none.
        compiled = all(is_compiled(part) for part in parts.values() if part is not None)
        machine_code.refresh(*parts.values())
        own = grad is not None or batch is not None
        if grad is None and batch is not None:
            grad = callables.whole_gradient(batch, samples, compiled)
        elif grad is None:
            warnings.warn("no grad given: the gradient is taken by central differences "
                          "(2 n evaluations of fun, about 10 digits)", RuntimeWarning, stacklevel=2)
            grad = callables.central_differences(fun, compiled)
        callables.probe(fun, grad, hess, hessp, x0, batch)
        if own:
            _warn(differences.plainly_wrong(fun, grad, x0, batch, samples))
        hv = no_hessian if hess is None and hessp is None else callables.product(hess, hessp, compiled)
        if not (name is None or isinstance(name, str)):
            raise TypeError(f"name must be a string, got {checks.shown(name)}")
        name, convex = name or getattr(fun, "__name__", "problem"), checks.switch("convex", convex)
        self._set(name="problem" if name == "<lambda>" else name, dim=dim,
                  fg=callables.oracle(fun, grad, compiled), hv=hv, data=NO_DATA, x0=x0, minima=minima,
                  f_min=f_min, window=window, compiled=compiled, has_hessian=hv is not no_hessian, convex=convex,
                  fgb=None if batch is None else callables.finite_sum(batch, compiled), samples=samples)

    @classmethod
    def from_kernels(cls, name, fg, hv, *, dim, x0, data: Any = NO_DATA, minima=(), f_min=None,
                     window=None, fgb: Any = None, samples: int = 0, convex: bool = False, about: str | None = "",
                     model: Any = None, hess: Any = None):
        """A problem from compiled kernels of :mod:`odeopt.abi` (``hv=None``: no Hessian product).

        ``hess(x, out, data)`` writes the whole Hessian into ``out`` (n, n), where that is faster than n products.
        """
        callables.check_signatures(fg, hv, fgb)
        if hess is not None:
            checks.takes("hess", hess, "hess(x, out, data)")
            if hv is None:
                raise ValueError("hess must be None without hv, whose products it is the matrix of")
        dim, x0 = checks.integer("dim", dim, 1), checks.point("x0", x0, dim)
        samples = checks.integer("samples", samples, 1 if fgb is not None else 0)
        self = cls.__new__(cls)
        compiled = all(is_compiled(part) for part in (fg, hv, fgb) if part is not None)
        machine_code.refresh(fg, hv, fgb)
        data = checks.kept("data", data, (np.size(data),) if np.ndim(data) == 1 else (None,))
        callables.check_inside(name, fg, hv, fgb, data, x0, samples)
        self._set(name=name, dim=dim, fg=fg, hv=no_hessian if hv is None else hv, data=data, x0=x0,
                  minima=minima, f_min=f_min, window=window, compiled=compiled, has_hessian=hv is not None,
                  fgb=fgb, samples=samples, convex=convex, model=model, dense=hess, about=inspect.cleandoc(about or ""))
        if not _ours(fg):
            _warn(differences.plainly_wrong(self.fun, self.grad, x0, fgb and self.value_and_grad, samples))
        return self

    @classmethod
    def from_expression(cls, text, variables=None, parameters=None, *, x0=None, minima=(), f_min=None, window=None,
                        name=None, convex=False):
        """A problem from a formula such as ``"(1-x)^2 + 100*(y-x^2)^2"``.

        Gradient and Hessian product are derived exactly (:mod:`odeopt.problems.graph`), what the formula says
        twice is computed once, and the kernels are compiled and kept for the next process. The text is read by
        a grammar of its own and never evaluated.

        Parameters
        ----------
        text : str
            Numbers, names, pi, e, ``+ - * /``, powers as ``^`` or ``**``, parentheses, and the functions
            sin, cos, tan, arcsin, arccos, arctan, sinh, cosh, tanh, exp, log (natural), sqrt and abs; ln, asin,
            acos and atan are read as well. Vectors are written ``x[0]``, ``x[1]``, ... At most 10,000
            characters, operations at most 100 deep, constant exponents at most 1000 in size.
        variables : str or sequence of str, optional
            Their names in order, ``"x y"`` or ``("x", "y")``, at most 100. Default: the names in the text that
            are no parameters, in alphabetical order (x2 before x10); indexed ones from 0 to the largest index.
        parameters : dict from str to float, optional
            Values of names that are constants. They are data of the problem: other values compile nothing.
        x0 : (n,) array, optional
            Default: the first of (1, ..., 1), (-1.2, 1, -1.2, ...) and a few points more at which f and its
            gradient are finite and the gradient is not zero.
        minima, f_min, window, name, convex
            As for :class:`Problem`; the default name is the text.

        Raises
        ------
        ValueError
            Anything else in the text, with what is allowed; a name that is neither variable nor parameter; no
            sensible start.
        TypeError
            A text that is not a string, a parameter that is not a number.

        Notes
        -----
        Outside its domain, as log(x) at x < 0, f is NaN, and a run stops there with a message. The derivative
        of abs at 0 is taken as 0. ``str(formula)`` of a formula of sympy is such a text.

        Examples
        --------
        >>> import odeopt as oo
        >>> p = oo.Problem.from_expression("a*(y - x^2)^2 + (1 - x)^2", parameters={"a": 100})
        >>> p.fun([3, 9]), p.grad([3, 9])
        (4.0, array([4., 0.]))
        """
        from .expression import parts

        found: dict[str, Any] = parts(text, variables, parameters, x0)
        if not (name is None or isinstance(name, str)):
            raise TypeError(f"name must be a string, got {checks.shown(name)}")
        if name:
            found["name"] = name
        return cls.from_kernels(**found, minima=minima, f_min=f_min,
                                window=window, convex=convex)

    @classmethod
    def from_torch(cls, module: Any, loss: Callable[..., Any], data: Any, *, name: str | None = None) -> "Problem":
        """A problem from a torch module: its parameters are the variables (extra ``torch``).

        Parameters
        ----------
        module : torch.nn.Module
            Called as ``module(inputs)``; it is copied. Its parameters that require gradients, all of
            float32 or all of float64, are the variables and its present ones the start; others and its buffers are
            constants.
        loss : callable
            ``loss(output, *targets)``, one real number: with mini-batches in mind the mean over the samples.
        data : (inputs, targets), or inputs alone
            Tensors or arrays, whose first axis counts the samples, or a ``TensorDataset``. They are copied, and
            floating ones get the dtype of the parameters.
        name : str, optional
            Default: the class of the module.

        Returns
        -------
        Problem
            In plain Python around torch: gradients and Hessian products are exact. In float32 they have the digits
            of float32, and so has x where they are taken. :meth:`flatten`, :meth:`unflatten` go between vectors and
            parameters, and :func:`odeopt.train` takes the problem as a network.

        Raises
        ------
        TypeError, ValueError
            No trainable parameters, or of other dtypes; data that are not finite or of different lengths; a loss
            that is no number, not finite, independent of the parameters, or different when it is
            computed again, as with Dropout or BatchNorm in training mode (``module.eval()`` first).
        ImportError
            Without torch.

        Warns
        -----
        RuntimeWarning
            A loss that is no mean over the samples: such a problem has no mini-batches.

        Notes
        -----
        A network of some thousand parameters is fastest on one thread, ``torch.set_num_threads(1)``.
        """
        from .torch_module import TorchNetwork

        return cls._of_network(TorchNetwork(module, loss, data), name)

    @classmethod
    def from_jax(cls, fun: Callable[..., Any], params: Any, data: Any = None, *, name: str | None = None) -> "Problem":
        """A problem from a function of jax: the numbers in ``params`` are the variables (extra ``jax``).

        Parameters
        ----------
        fun : callable
            ``fun(params)``, or ``fun(params, data)`` where data are given, one real number. It is traced and compiled
            by jax.
        params : any structure of arrays that jax knows (a pytree)
            The start, all of float32 or all of float64 (which then holds for the computation, whatever
            ``jax_enable_x64`` says).
        data : the same of arrays whose first axis counts the samples, optional
            ``fun`` is then the mean over them, and the problem has mini-batches.
        name : str, optional
            Default: the name of ``fun``.

        Returns
        -------
        Problem
            As :meth:`from_torch` gives it; what it raises and warns of is the same.
        """
        from .jax_function import JaxFunction

        return cls._of_network(JaxFunction(fun, params, data), name)

    @classmethod
    def _of_network(cls, network, name):
        if not (name is None or isinstance(name, str)):
            raise TypeError(f"name must be a string, got {checks.shown(name)}")
        self = cls.__new__(cls)
        self._set(name=name or network.name, dim=network.x0.size, fg=network.fg,
                  hv=network.hv if network.twice else no_hessian, data=NO_DATA, x0=network.x0, minima=(), f_min=None,
                  window=None, compiled=False, has_hessian=network.twice, fgb=network.fgb if network.samples else None,
                  samples=network.samples, network=network)
        return self

    def unflatten(self, x: Any) -> Any:
        """The parameters that the vector ``x`` stands for, of a problem from a network: a dict of tensors by name
        (:meth:`from_torch`), a structure like the one given (:meth:`from_jax`)."""
        return self.as_network("unflatten").unflatten(self._vector("x", x))

    def flatten(self, parameters: Any) -> np.ndarray:
        """The vector (n,) of such parameters, or of a module like the one given."""
        return self.as_network("flatten").flatten(parameters)

    def as_network(self, what: str) -> Any:
        """The network behind the problem; ValueError for a problem without one."""
        if self.network is None:
            raise ValueError(f"{what} needs a problem made by from_torch or from_jax, and {self.name!r} is none")
        return self.network

    def _set(self, *, minima, f_min, window, dim, **rest):
        minima = tuple(checks.point("minima", m, dim) for m in checks.entries("minima", minima))
        f_min = None if f_min is None else checks.real("f_min", f_min)
        values: dict[str, Any] = {"dim": dim, "minima": minima, "f_min": f_min, "window": _window(window, dim),
                  "fgb": None, "samples": 0, "convex": False, "about": "", "model": None, "network": None}
        for key, value in (values | rest).items():
            object.__setattr__(self, key, value)
        if f_min is None and minima:
            object.__setattr__(self, "f_min", self.fun(minima[0]))

    def __repr__(self):
        return f"<Problem {self.name}, n = {self.dim}>"

    def fun(self, x):
        """f(x) as a float."""
        return self.value_and_grad(x)[0]

    def grad(self, x):
        """The gradient at ``x``, a new (n,) array."""
        return self.value_and_grad(x)[1]

    def value_and_grad(self, x, batch=None):
        """``(f(x), grad f(x))``, of a finite sum also on the sample indices ``batch`` alone."""
        x = self._vector("x", x)
        g = np.empty(self.dim)
        if batch is None:
            if self.compiled:
                return float(self.fg(x, g, self.data)), g
            with np.errstate(all="ignore"):  # plain Python may overflow in silence, as compiled code does
                return float(self.fg(x, g, self.data)), g
        if self.fgb is None:
            raise ValueError(f"batch needs a finite sum, which problem {self.name!r} is not")
        if checks.is_masked(batch):
            raise TypeError("batch must be a vector of integers, got masked values")
        batch = np.array(batch)
        if batch.ndim != 1 or batch.size == 0 or batch.dtype.kind not in "iu":
            raise ValueError("batch must be a vector of at least one integer, "
                             f"got shape {batch.shape} of {batch.dtype}")
        if batch.min() < 0 or batch.max() >= self.samples:
            raise ValueError(f"batch must hold indices in [0, {self.samples}), "
                             f"got {batch.min()} ... {batch.max()}")
        return float(self.fgb(x, g, self.data, batch.astype(np.int64))), g

    def hessp(self, x, v):
        """The Hessian product H(x) v, a new (n,) array. ValueError where there is none."""
        self.need_hessian("hessp")
        out = np.empty(self.dim)
        with np.errstate(all="ignore"):
            self.hv(self._vector("x", x), self._vector("v", v), out, self.data)
        return out

    def hess(self, x):
        """The dense Hessian (n, n), for n up to 2000. Where an entry is not finite, as f need not be there, it is kept
        as it is."""
        if self.dim > DENSE_LIMIT:
            raise ValueError(f"dense Hessian of n = {self.dim} refused (n <= {DENSE_LIMIT}): use hessp")
        if self.dense is not None:
            h = np.empty((self.dim, self.dim))
            self.dense(self._vector("x", x), h, self.data)
        else:
            h = np.array([self.hessp(x, e) for e in np.eye(self.dim)])
        return 0.5 * (h + h.T)

    def check(self, x=None):
        """Compare gradient and Hessian product with differences, and batches with their mean.

        Parameters
        ----------
        x : (n,) array, optional
            Default: a point next to ``x0`` (at a minimum or a kink itself a wrong entry may not show).

        Returns
        -------
        Check
            ``ok``, and a ``message`` of one line, that it shows, with the entry that is off most. Entry (i, j)
            of the Hessian is row i of its product with the unit vector j. In more than 500 dimensions 500
            entries of the gradient, evenly spread, are looked at; in more than 50, 50 columns of the Hessian.

        Raises
        ------
        ValueError
            A point where f is not finite.
        """
        return differences.check(self, x)

    def curvature(self, x, iterations=12):
        """Largest |eigenvalue| of the Hessian at ``x``, by power iteration from a fixed start (with
        differences of gradients where there is no Hessian product). ValueError where it is not finite."""
        g = None if self.has_hessian else self.grad(x)

        def product(v):
            return self.hessp(x, v) if g is None else (self.grad(x + 1e-6 * v) - g) / 1e-6

        found = power_iteration(product, np.random.default_rng(0).standard_normal(self.dim), iterations)[0]
        if not np.isfinite(found):
            raise ValueError(f"x must be a point where the Hessian of problem {self.name!r} is finite, got curvature "
                             f"{found}")
        return found

    def need_hessian(self, what):
        """Raise ValueError unless the problem has a Hessian product."""
        if not self.has_hessian:
            raise ValueError(f"{what} needs the Hessian product and problem {self.name!r} has none: "
                             "give hess= or hessp= to Problem")

    def _vector(self, name, value):
        # A copy: a kernel compiled for writable arrays would compile anew for a read-only one.
        if type(value) is np.ndarray and value.dtype == np.float64 and value.shape == (self.dim,):
            return value.copy()
        return checks.array(name, value, (self.dim,), finite=False, of=self.name)


def _warn(words):
    if words:
        warnings.warn(f"{words} (Problem.check compares every entry)", RuntimeWarning, stacklevel=3)


def _ours(fg):
    return (getattr(interpreted(fg), "__module__", None) or "").partition(".")[0] == "odeopt"


def checked(problem):
    """``problem`` itself; TypeError for a name or a function, the first things one hands over."""
    if not isinstance(problem, Problem):
        got = repr(problem) if isinstance(problem, str) else type(problem).__name__
        raise TypeError("problem must be a Problem, such as odeopt.problems.beale() or "
                        f"odeopt.Problem(fun, grad, dim=2), got {got}")
    return problem


def _window(window, dim):
    if window is None:
        return None
    if dim != 2:
        raise ValueError(f"window is for plane problems, this one has dim {dim}")
    return checks.window(window)
