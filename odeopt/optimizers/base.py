"""``Optimizer``: a textbook update together with the flow and the scheme that it is.

The page of an optimizer (its source file in this folder, one class per file) declares its hyperparameters as
dataclass fields with the helpers below, its kernel, its flow, its scheme and its step in flow time. Everything else
(validation, refinement, the training-loop face) lives here.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .. import abi, checks
from ..flows.base import Flow
from ..flows.modified import ModifiedFlow
from ..method import LINEAR, STARTS, Limit, Slot
from ..schemes.base import Scheme
from . import state as _state
from .inside import check_inside

if TYPE_CHECKING:
    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_):
        """What tells type checkers of the fields of pages: Python has it from 3.11 on."""
        return lambda cls: cls

Arrays = np.ndarray | Sequence[np.ndarray] | Mapping[str, np.ndarray]
Rate = float | Callable[[int, float], float]

# How a hyperparameter must move when the step h becomes h/f and the flow stays the same.
# This is what "the same method with a smaller step" means; papers leave it implicit.
SCALING_LAWS: dict[str, Any] = {
    "fixed": lambda value, f: value,
    "h": lambda value, f: value / f,
    "h^2": lambda value, f: value / f**2,
    "sqrt(h)": lambda value, f: value / np.sqrt(f),
    "1/sqrt(h)": lambda value, f: value * np.sqrt(f),
    "1/h": lambda value, f: value * f,
    "1 - c h": lambda value, f: 1 - (1 - value) / f,
    "(1 - c h)/(1 + c h)": lambda value, f: _cayley(_cayley(value) / f),
    "h^2/(1 + c h)": None,  # lr of the Verlet reading, joint with the momentum: Momentum.refined
}


def square_behind(preconditioner: float, eps: float, inside: bool, keep: float = 1.0, root: float = 0.0) -> float:
    """The mean square v that a step at a vanishing gradient, which first makes ``keep`` v of it, divides by
    ``preconditioner``: sqrt(keep v + root) + eps (``inside``: sqrt(keep v + eps + root))."""
    under, beside = (eps + root, 0.0) if inside else (root, eps)
    if preconditioner <= math.sqrt(under) + beside:
        raise ValueError(f"preconditioner must be above that of a vanishing gradient, got {preconditioner:g} "
                         f"with eps={eps:g}" + f" and eps_root={root:g}" * bool(root))
    if keep == 0.0:
        raise ValueError("method must keep a mean square over the steps to have a preconditioner, and this one keeps "
                         "none")
    return ((preconditioner - beside) ** 2 - under) / keep


def eps_places(optimizer: Any) -> tuple[float, float]:
    """What an optimizer with ``eps``, ``eps_mode`` and perhaps ``eps_root`` adds (under the root, beside it) late in a
    run, when corrected and uncorrected roots are one."""
    eps, root = optimizer.eps, getattr(optimizer, "eps_root", 0.0)
    return (eps + root, 0.0) if optimizer.eps_mode == "inside" else (root, eps)


def _cayley(value):
    return (1 - value) / (1 + value)


def number(default: Any = MISSING, low: float = -np.inf, high: float = np.inf, *, open_low: bool = False,
           open_high: bool = False, scales: str = "fixed", optional: bool = False) -> Any:
    """A numeric hyperparameter with its interval and its scaling law (a key of SCALING_LAWS)."""
    checks.choice("scales", scales, tuple(SCALING_LAWS))
    check = functools.partial(checks.real_or_none if optional else checks.real, low=low, high=high, open_low=open_low,
                              open_high=open_high)
    return field(default=default, metadata={"check": check, "scales": scales, "numeric": True})


def positive(default: Any = MISSING, *, scales: str = "fixed") -> Any:
    """A number in (0, inf)."""
    return number(default, 0.0, open_low=True, scales=scales)


def nonnegative(default: Any = MISSING, *, scales: str = "fixed") -> Any:
    """A number in [0, inf)."""
    return number(default, 0.0, scales=scales)


def fraction(default: Any = MISSING, *, scales: str = "fixed") -> Any:
    """A number in [0, 1): running-average and momentum factors."""
    return number(default, 0.0, 1.0, open_high=True, scales=scales)


def variant(*allowed: str) -> Any:
    """A closed list of names, the first the default."""
    check = functools.partial(checks.choice, allowed=allowed)
    return field(default=allowed[0], metadata={"check": check, "numeric": False})


def switch(default: bool = False) -> Any:
    """True or False."""
    return field(default=default, metadata={"check": functools.partial(checks.choice, allowed=(True, False)),
                                            "numeric": False})


@dataclass_transform(frozen_default=True, field_specifiers=(number, positive, nonnegative, fraction))
@dataclass(frozen=True)
class Optimizer:
    """Base of all optimizers. Instances are immutable; state is passed, never stored.

    Class attributes: ``title`` (for tables; default: the class name); ``aliases`` (further command-line names; the
    command-line name :attr:`key` is the lower-case class name); ``step_name``, the hyperparameter that is the
    step size; ``momentum_name``, the factor of the memory that moves the position, or None; ``modified_orders``,
    those of its :meth:`modified_flow`; ``noise_enters``, ``(row, factor)`` of the flow's state that the gradient
    drives where it enters linearly and nowhere else, so that gradient noise is additive noise in that row;
    ``look``, colour and marker in pictures (default: made from the key); ``typical``, hyperparameters of the
    instance whose flow tables show; ``full_batch_only`` for rules that
    compare the gradients of two steps; ``wrapper`` for an optimizer made of another one, which the registry
    leaves out; ``norm_entry``, where in ``p`` (counted from its end) a kernel takes scale and length of the norm of all
    gradients of an ``update`` call.

    The *page* of an optimizer is its source file in ``odeopt/optimizers``, the memory its slots. A run begins from a
    *cold* start, with the memory of a fresh run (zeros, unless the page says otherwise), or from a *consistent* one,
    with the memory with which the flow starts smoothly (for a running mean of the gradients, the first gradient).
    """

    title = ""
    aliases: ClassVar[tuple] = ()
    step_name: ClassVar[str] = "lr"
    momentum_name: ClassVar[str | None] = None
    modified_orders: ClassVar[tuple[int, ...]] = ()
    look: ClassVar[tuple | None] = None
    typical: ClassVar[Mapping[str, Any]] = {}
    noise_enters: ClassVar[Any] = None
    full_batch_only: ClassVar[bool] = False
    wrapper: ClassVar[bool] = False
    norm_entry: ClassVar[Any] = None

    if not TYPE_CHECKING:

        def __new__(cls, *args, **kwargs):
            if {"args", "jac", "callback"} <= kwargs.keys():  # scipy's minimize was given the class, and calls it
                raise TypeError(f"method must be an instance, odeopt.{cls.__name__}(...), or odeopt.interop."
                                f"minimize_method({cls.__name__.lower()!r}), got the class {cls.__name__}")
            return super().__new__(cls)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if not isinstance(vars(cls).get("kernel"), (type(None), staticmethod, property)):
            raise TypeError(f"{cls.__name__}.kernel must be a property or staticmethod(...): "
                            "a compiled function as it stands would be called as a method")
        for name in ("flow", "scheme", "h", "t0", "slots", "p"):
            if inspect.isfunction(vars(cls).get(name)):
                raise TypeError(f"{cls.__name__}.{name} must be a property: @property stands above its def")
        if isinstance(vars(cls).get("slots"), str):
            raise TypeError(f"{cls.__name__}.slots must be a tuple of Slot, got {checks.shown(cls.slots)}")
        p = vars(cls).get("p")
        if isinstance(p, property) and p.fget is not None:
            numbers = p.fget
            setattr(cls, "p", property(lambda self: abi.read_only(numbers(self)), doc=p.__doc__))  # noqa: B010
        cls.title = cls.title or cls.__name__

    def __post_init__(self):
        cls = type(self)
        if any(isinstance(value, Field) for value in vars(cls).values()):
            raise TypeError(f"{cls.__name__} must stand under @dataclass(frozen=True), its fields with their types")
        for f in fields(self):
            if "check" not in f.metadata:
                raise TypeError(f"{cls.__name__}.{f.name} must be declared with positive, nonnegative, fraction, "
                                "number, variant or switch of odeopt.optimizers.base")
            value = f.metadata["check"](f.name, getattr(self, f.name))
            object.__setattr__(self, f.name, value)

    # What a page provides ----------------------------------------------------------------------

    if TYPE_CHECKING:
        kernel: ClassVar[Any]  # a property or staticmethod(...) on the page
    else:

        @property
        def kernel(self):
            """The compiled ``update(k, p, x, g, s) -> dt`` of this variant (:mod:`odeopt.abi`).

            ``staticmethod(kernel)`` on a page with one. It begins with ``real = precision(x, g, s)`` and takes its
            numbers as ``real(p[0])``, so that float32 arrays stay what they are and integers are refused.
            """
            raise TypeError(f"{type(self).__name__} must have a kernel, kernel = staticmethod(update)")

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The rows of the state ``s``, each a :class:`odeopt.method.Slot` (name, role, unit)."""
        return ()

    @property
    def h(self) -> float:
        """Step in flow time; for scalar step-size control the controlled quantity instead."""
        return self.step

    @property
    def t0(self) -> float:
        """Time on the scheme's clock at step 0, for flows whose field depends on time."""
        return 0.0

    @property
    def flow(self) -> Flow | None:
        """The flow that the update discretises, or None where there is no classical one."""
        return None

    @property
    def scheme(self) -> Scheme | None:
        """The scheme that, applied to :meth:`flow` with step :attr:`h`, is the update."""
        return None

    def to_flow(self, x: np.ndarray, s: np.ndarray) -> np.ndarray:
        """The flow state z that position ``x`` and slots ``s`` stand for (same rows, same units by
        default; pages with slots in units of one step rescale)."""
        flow = self.flow
        assert flow is not None  # asked for a flow's state
        return np.vstack([x[None, :], s[: flow.rows - 1]])

    def cold_start(self, x: np.ndarray) -> np.ndarray:
        """Slots of a fresh run: zeros, unless the page says otherwise."""
        return np.zeros((len(self.slots), np.size(x)))

    def memory_rows(self, shape: tuple[int, ...]) -> int:
        """Rows of memory of an array of ``shape``: one for each slot and, before them, what a page of matrices needs
        besides, whose size depends on the shape."""
        return len(self.slots)

    def settle(self, x: np.ndarray, g: np.ndarray, s: np.ndarray) -> None:
        """Correct slots ``s`` that were made by replaying the past, in place (default: nothing to correct)."""

    def consistent_start(self, x: np.ndarray, g: Any) -> np.ndarray:
        """Slots with which the flow starts smoothly at ``x`` with gradient ``g`` (default: those of the cold start)."""
        return self.cold_start(x)

    def declared_order(self, start: str = "cold") -> float | None:
        """Order of the iterates against the flow from this start, "cold" or "consistent": 1, unless the page
        says otherwise. None where there is no flow, or no order at practical steps."""
        checks.choice("start", start, STARTS)
        return None if self.flow is None else 1.0

    @property
    def order_condition(self) -> str:
        """When :meth:`declared_order` holds, beyond smoothness along the path; "" for always."""
        return ""

    def stability_limit(self) -> Limit | None:
        """The largest stable :attr:`step_name` on curvature 1 with preconditioner 1 as a
        :class:`odeopt.method.Limit`; None where the page gives none."""
        return None

    def limit_from_start(self) -> Limit | None:
        """The largest :attr:`step_name` on curvature 1 with which a run is stable from its first step on, of a method
        whose steps are linear in the gradients, or bounded by such a one; None for the others. Default:
        :meth:`stability_limit` where all of the memory is linear in the gradients."""
        return self.stability_limit() if all(slot.role in LINEAR for slot in self.slots) else None

    def held(self, slot: Slot, preconditioner: float) -> float:
        """Value of ``slot``, one of those that are not linear in the gradients, with which a step at a
        vanishing gradient divides by ``preconditioner``. ValueError where there is none."""
        raise ValueError(f"method must be linear at the minimum to have an amplification matrix, and {self.key} "
                         f"remembers a {slot.name!r}")

    def modified_flow(self, order: int) -> ModifiedFlow:
        """The flow of the position alone that the iterates follow to ``order`` (one of ``modified_orders``) in
        the step, the factors of the memory held fixed; ValueError for a variant whose flow is not known."""
        raise ValueError(f"order must be that of a modified flow, and none is known for {self.title}, got {order}")

    @property
    def projection_is_sound(self) -> bool:
        """Whether steps that are projected onto a box can only come to rest where the box's solution is: the
        step is made of the present gradient alone, with its sign in each coordinate."""
        return False

    @property
    def reduces(self) -> bool:
        """Whether a step reduces over coordinates, so that several arrays count as one vector."""
        return False

    def check_precision(self, dtype: np.dtype) -> None:
        """ValueError where a number is infinite in ``dtype``, or an eps, of any name that begins so, is above 0 but 0
        there: it would be no eps."""
        for name in self.numeric_names():
            value = getattr(self, name, None)
            if value and abs(value) > float(np.finfo(dtype).max):
                raise ValueError(f"{name} must be at most {np.finfo(dtype).max:.3g} for {dtype} arrays, got {value!r}, "
                                 "which is infinite there")
            if name.startswith("eps") and value and dtype.type(value) == 0.0:
                raise ValueError(f"{name} must be 0 or at least {np.finfo(dtype).smallest_subnormal:.3g} for "
                                 f"{dtype} arrays, got {value!r}, which is 0 there")

    def p_for(self, array: np.ndarray) -> np.ndarray:
        """:attr:`p` for one parameter array, of one's own (pages that use its shape or dtype override it)."""
        return np.array(self.p)

    def shape_of_trial(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The array on which the kernel is tried in place of one of this small ``shape``, for a page that takes
        vectors of one length only."""
        return shape

    # What follows from it ----------------------------------------------------------------------

    def __call__(self, fun: Any, x0: Any, args: Any = (), **options: Any) -> Any:
        """The call that ``scipy.optimize.minimize(fun, x0, method=optimizer)`` makes: as in :func:`odeopt.minimize`."""
        # By name: the layers above an optimizer's are none of its imports, and the user of it has asked for this one.
        method = importlib.import_module("odeopt.interop.minimize").MinimizeMethod(self)
        return method(fun, x0, args, **options)

    @property
    def key(self) -> str:
        """Command-line name: the lower-case class name."""
        return type(self).__name__.lower()

    @property
    def bare(self) -> Optimizer:
        """The optimizer without what wraps it: itself, unless it is a wrapper."""
        return self

    @property
    def name(self) -> str:
        """The former name of :attr:`key`."""
        warnings.warn("Optimizer.name is now Optimizer.key", DeprecationWarning, stacklevel=2)
        return self.key

    @property
    def slot_names(self) -> tuple[str, ...]:
        """Names of the rows of the state ``s``."""
        return tuple(slot.name for slot in self.slots)

    @property
    def step(self) -> float:
        """The step size: the value of :attr:`step_name`."""
        return getattr(self, self.step_name)

    def with_step(self, value: float) -> Self:
        """The same optimizer with another step size."""
        return self.changed(**{self.step_name: value})

    @classmethod
    def default(cls, **hyperparameters: Any) -> Self:
        """An instance with default hyperparameters but for those given; a step size without a default is 0.01."""
        needed = {f.name: 0.01 for f in fields(cls) if f.name == cls.step_name and f.default is MISSING}
        return cls(**needed | hyperparameters)

    def spec(self) -> dict[str, Any]:
        """``{"method": key, hyperparameter: value, ...}``: what files keep of an optimizer. "module" is in
        it for a class that is not the package's own."""
        words = {"method": self.key}
        if not type(self).__module__.startswith(f"{__package__}."):
            words["module"] = type(self).__module__
        return words | {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_spec(cls, values: Mapping[str, Any]) -> Self:
        """The optimizer with these hyperparameters; ValueError for an unknown name."""
        checks.instance("values", values, Mapping, "a mapping of names to values")
        for name in values:
            checks.choice("hyperparameter", name, [f.name for f in fields(cls)])
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})

    def frozen(self, preconditioner: float = 1.0) -> np.ndarray:
        """Memory (slots,) at which a step at a vanishing gradient divides by ``preconditioner``; nan for the
        slots that are linear in the gradients."""
        return np.array([math.nan if slot.role in LINEAR else 1.0 if slot.role == "weight" else
                         self.held(slot, preconditioner) for slot in self.slots])

    @property
    def forgetting(self) -> float:
        """The largest factor by which a memory fades in a step; 0 without memory."""
        factors = (getattr(self, name) for name, law in self.scaling().items() if law.startswith(("1 - c", "(1 - c")))
        return max((f for f in factors if f is not None), default=0.0)

    @property
    def p(self) -> np.ndarray:
        """The ``p`` of the kernel, float64: numeric hyperparameters in declared order (entry i is
        ``numeric_names()[i]``, which is how schedules drive it), then the page's switches. It is computed anew
        each time, hence read-only: other numbers are ``optimizer.changed(...)``, an array of one's own is
        ``np.array(optimizer.p)``."""
        return abi.read_only(self._numbers())

    def _numbers(self) -> np.ndarray:
        values = (getattr(self, name) for name in self.numeric_names())
        return np.array([0.0 if v is None else v for v in values])

    @classmethod
    def numeric_names(cls) -> tuple[str, ...]:
        """Names of the leading entries of ``p``."""
        return tuple(f.name for f in fields(cls) if f.metadata["numeric"])

    def numbers_and(self, *switches: float) -> np.ndarray:
        """``p`` made of the numeric hyperparameters and then ``switches`` (True counts as 1)."""
        return np.array([*self._numbers(), *switches], dtype=np.float64)

    @property
    def _decoupled(self):
        return getattr(self, "weight_decay_mode", "coupled") == "decoupled"

    def split_decay(self) -> tuple[float, float]:
        """``weight_decay`` as (inside the gradient, beside the step), by ``weight_decay_mode``."""
        decay = getattr(self, "weight_decay", 0.0)
        return (0.0, decay) if self._decoupled else (decay, 0.0)

    def limit(self, bare: float, formula: str) -> Limit:
        """The :class:`odeopt.method.Limit` of a page whose limit without weight decay d is ``bare`` = E:
        E/(1 + d) if the decay is part of the gradient, E/(1 + d E/2) if it stands beside the step (the
        eigenvalue -1 then needs 2 - lr d in place of 2)."""
        inner, outer = self.split_decay()
        return Limit(float(bare / (1 + inner + outer * bare / 2)), formula + ", with decay" * bool(inner or outer))

    def scaling(self) -> dict[str, str]:
        """How each numeric hyperparameter moves with the step: name -> key of SCALING_LAWS."""
        return {f.name: f.metadata["scales"] for f in fields(self) if f.metadata["numeric"]}

    def refined(self, factor: float) -> Self:
        """The same flow with a step ``factor`` times smaller (every hyperparameter moves by its law).

        ValueError where a running-average factor would leave [0, 1), which happens on coarsening.

        Examples
        --------
        >>> import odeopt as oo
        >>> fine = oo.Momentum(lr=0.01, momentum=0.9).refined(2)
        >>> fine.lr, round(fine.momentum, 6)
        (0.0025, 0.95)
        """
        factor = checks.real("factor", factor, 1e-100, 1e100)
        moved = {
            name: SCALING_LAWS[law](getattr(self, name), factor)
            for name, law in self.scaling().items()
            if law != "fixed" and getattr(self, name) is not None
        }
        return replace(self, **moved)

    def changed(self, **hyperparameters: Any) -> Self:
        """The same optimizer with some hyperparameters changed; ValueError for an unknown name."""
        for name in hyperparameters:
            checks.choice("hyperparameter", name, [f.name for f in fields(self)])
        return replace(self, **hyperparameters)

    def start(self, x: np.ndarray, g: np.ndarray | None = None, kind: str = "cold") -> np.ndarray:
        """Slots at step 0: :meth:`cold_start` or :meth:`consistent_start`."""
        checks.choice("start", kind, STARTS)
        for name, value in (("x", x), ("g", g)):
            if value is not None and np.iscomplexobj(value):  # a slot that begins at x would lose the imaginary part
                raise TypeError(f"{name} must be real numbers, got complex values")
        check_inside(self)
        s = self.consistent_start(x, g) if kind == "consistent" else self.fresh(x)
        return np.ascontiguousarray(s, dtype=np.float64)

    def fresh(self, x: np.ndarray) -> np.ndarray:
        """The memory (rows, size) of an array ``x`` at a cold start, in float64."""
        cold, rows = np.asarray(self.cold_start(np.ravel(x)), dtype=np.float64), self.memory_rows(np.shape(x))
        if rows == len(cold):
            return cold
        return np.vstack([np.zeros((rows - len(cold), np.size(x))), cold])

    def flow_start(self, x: Any, g: Any, start: str = "cold") -> np.ndarray:
        """The flow state z at which :meth:`start` of that kind starts the flow."""
        return self.to_flow(x, self.start(x, g, start))

    def init(self, x: Arrays, groups: Sequence[Mapping[str, Any]] | None = None) -> _state.State:
        """Fresh state for :meth:`update`.

        Parameters
        ----------
        x : array, list of arrays or dict of arrays
            float32 or float64, C-contiguous, of any shapes. A dict counts as the list of its arrays by sorted names.
        groups : sequence of dict, optional
            Arrays with hyperparameters of their own, ``{"arrays": [1, 3], "lr": 1e-2, ...}``: indices
            into the list, or names of the dict, then hyperparameters by name. Arrays that no group names keep the
            optimizer's; a group with nothing but "arrays" has the same numbers, but its own
            reductions. The groups are part of the state, also when it is saved.

        Raises
        ------
        TypeError, ValueError
            Arrays of another kind; unknown hyperparameters, or values out of range; groups that name
            an array twice or one that is not there.
        """
        return _state.init(self, x, groups)

    def update(self, x: Arrays, g: Arrays, state: _state.State, threads: int | None = 1,
               lr: Rate | Sequence[Rate | None] | None = None) -> None:
        """One step in place: ``x`` and ``state`` change, ``g`` (gradient at ``x``) is only read.

        Parameters
        ----------
        x, g : array, list of arrays or dict of arrays
            As given to :meth:`init`, ``x`` writable. A gradient that is not contiguous is copied.
        state : State
            The optimizer may differ from the one of its ``init`` in its numbers
            (``opt.changed(lr=...)``), not in its slots.
        threads : int >= 1 or None, default 1
            Threads where x, g and the state take 2^24 bytes or more together (:mod:`odeopt.threads`);
            None for as many as the process may use. The result does not depend on it, bit for bit.
        lr : float >= 0, Schedule, or a sequence of one for each of ``state.groups``, optional
            Learning rate of this step in place of the optimizer's: 0 is allowed (a warm-up begins there). A number
            leaves groups that have an lr of their own theirs; None in a sequence leaves that group's. A
            schedule, any ``schedule(k, base)``, is asked at ``state.k`` with each group's own lr for ``base``, so
            that one may drive all groups, or one of them: ``lr=[None, schedules.cosine(1000)]``.

        Raises
        ------
        TypeError, ValueError
            Anything else than such arrays; arrays that share memory; a state of
            another optimizer, form or arrays. Nothing has moved then.

        Notes
        -----
        Ctrl-C and other signals wait for the end of the step. Values are not checked: a gradient that is
        not finite makes ``x`` not finite. A finite gradient never makes NaN of a running average, but for two
        cases: a factor of 0 (beta2 = 0), by which an infinite average is NaN in the next step, as in torch and
        optax, and differences of two gradients that overflow themselves (Adan). Where its square, times the
        weight that it gets in the average, overflows (from |g| = 1.3e154 on, 1.8e19 in float32, and
        1/sqrt(1 - beta2) times more in a mean of weight 1 - beta2), the average stays infinite, and from then on a
        coordinate that is divided by it does not move, until a fresh ``init``. Where what is divided by is 0
        (eps = 0 and g, or g^2, is 0 so far) there is no move; torch and optax give NaN for 0/0.
        """
        _state.update(self, x, g, state, threads, lr)
