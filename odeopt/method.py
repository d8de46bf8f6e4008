"""``Method``: what a study, a picture, a table or the command line may ask of anything that makes steps.

:class:`odeopt.optimizers.Optimizer` and :class:`odeopt.Discretization` both satisfy it. Whatever takes a
method asks through these names and does not need to know which of the two it holds; everything that
belongs to one method alone stands on that method's page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast, runtime_checkable

from . import checks

if TYPE_CHECKING:
    from typing_extensions import Self

    from .flows import Flow
    from .schemes import Scheme

# What a row of memory is, for whoever must treat rows by their kind (amplification matrices hold all of
# them fixed but those that are linear in the gradients, LINEAR).
ROLES = (
    "velocity",  # moves the position: a decaying sum of gradients
    "average",  # running mean of gradients
    "square",  # running mean of squared gradients
    "sum",  # sum of squared gradients
    "supremum",  # largest gradient, or mean square, so far
    "weight",  # weight of a running mean that started at 0, in element 0 of its row; tends to 1
    "step",  # step size, gain or decay of each coordinate
    "previous",  # something of the step before
    "mean iterate",  # average of positions
    "iterate",  # another point of which the position is made
    "memory",  # any other row of a flow's state
)
LINEAR = ("velocity", "average", "iterate")
STARTS = ("cold", "consistent")  # zeros in the memory; memory with which the flow starts smoothly


class Slot(NamedTuple):
    """A row of a method's memory.

    Attributes
    ----------
    name : str
    role : str
        One of :data:`ROLES`.
    unit : str
        In terms of x, g and t (flow time), such as ``"g^2"``; "" for a pure number.
    """

    name: str
    role: str = "memory"
    unit: str = ""


class Limit(NamedTuple):
    """The largest stable step size on curvature 1 with preconditioner 1, and the formula that says so."""

    value: float
    formula: str


@runtime_checkable
class Method(Protocol):
    """Anything that makes steps: a textbook update, or a scheme applied to a flow.

    Attributes
    ----------
    key : str
        Name for the command line and for files, lower case.
    title : str
        Name for tables and legends.
    flow : Flow or None
        What the steps discretise; None where there is no classical flow.
    scheme : Scheme or None
        The scheme that, applied to ``flow`` with step ``h``, gives the steps; None where none does.
    h : float
        Step in flow time; for step-size control the quantity that is controlled instead.
    t0 : float
        Flow time at step 0, for flows whose field depends on time.
    slots : tuple of Slot
        The rows of memory.
    """

    @property
    def key(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def flow(self) -> Flow | None: ...
    @property
    def scheme(self) -> Scheme | None: ...
    @property
    def h(self) -> float: ...
    @property
    def t0(self) -> float: ...
    @property
    def slots(self) -> tuple[Slot, ...]: ...

    @property
    def step(self) -> Any:
        """The step size: the hyperparameter that it is, or ``h`` (a number, or a vector of steps)."""
        ...

    def with_step(self, value: Any) -> Self:
        """The same method with another step size."""
        ...

    def scaling(self) -> dict[str, str]:
        """How each hyperparameter moves with the step."""
        ...

    def flow_start(self, x: Any, g: Any, start: str = "cold") -> Any:
        """The flow's state at ``x`` with gradient ``g`` from this start."""
        ...

    def refined(self, factor: float) -> Self:
        """The same flow with a step ``factor`` times smaller."""
        ...

    def declared_order(self, start: str = "cold") -> float | None:
        """Order of the iterates against the flow from this start; None where they have no order."""
        ...

    @property
    def order_condition(self) -> str:
        """When :meth:`declared_order` holds, in words; "" for always."""
        ...

    def stability_limit(self) -> Limit | None:
        """The largest stable step on curvature 1, by formula; None where there is no such number."""
        ...

    def spec(self) -> dict[str, Any]:
        """What a file keeps of the method; :func:`method_from` gives it back."""
        ...


_MEMBERS = [name for name in vars(Method) if not name.startswith("_")]


def checked_method(method: Any, what: str = "method must be an Optimizer or a Discretization") -> Method:
    """``method`` itself; TypeError for anything that is not a method, a class or a name among them."""
    if all(hasattr(type(method), name) for name in _MEMBERS):  # isinstance would compute each value, the flow too
        return cast(Method, method)
    if isinstance(method, type) or not isinstance(method, Method):
        hint = ": Discretization(flow, scheme, h) makes one" if isinstance(method, tuple) else ""
        raise TypeError(f"{what}, got {checks.shown(method)}{hint}")
    return cast(Method, method)


def labels(titles: Sequence[str], specs: Sequence[Mapping[str, Any]], shown: Sequence[str] | None = None) -> list[str]:
    """A label for each method of one table or picture: its title and, where several share one, what differs.

    Parameters
    ----------
    titles : sequence of str
    specs : sequence of dict
        As :meth:`Method.spec` gives them, or hyperparameters by name.
    shown : sequence of str, optional
        A hyperparameter of each that its label has in any case.
    """
    found = []
    for i, (title, values) in enumerate(zip(titles, specs)):
        twins = [other for name, other in zip(titles, specs) if name == title]
        first = [shown[i]] if shown and shown[i] in values else []
        keys = [key for key, value in values.items() if key not in (*first, "method") and not isinstance(value, dict)
                and any(other.get(key) != value for other in twins)]
        found.append(_joined(title, values, [*first, *keys], twins))
    return found


def _joined(title, values, keys, twins):
    """``title, key value, ...`` with as many digits as it takes to tell the twins apart."""
    different = len({repr([other.get(key) for key in keys]) for other in twins})
    words = []
    for digits in (3, 6, 17):
        words = [", ".join(f"{key} {_number(other.get(key), digits)}" for key in keys) for other in (values, *twins)]
        if len(set(words)) >= different:
            break
    return f"{title}, {words[0]}" if words[0] else title


def _number(value, digits):
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f"{value:.{digits}g}" if plain else str(value)


def method_from(spec: dict[str, Any]) -> Method:
    """The method that :meth:`Method.spec` describes.

    Parameters
    ----------
    spec : dict
        ``{"method": key, hyperparameter: value, ...}``, as in files. The class of an optimizer that is not
        the package's own must have been imported.

    Raises
    ------
    TypeError, ValueError
        Not such a dict; a method that is not known here; hyperparameters out of range.
    """
    from . import optimizers

    if not isinstance(spec, dict) or not isinstance(spec.get("method"), str):
        raise TypeError(f"spec must be a dict with the key 'method', got {checks.shown(spec)}")
    values = {name: value for name, value in spec.items() if name not in ("method", "module")}
    if spec["method"] == "discretization":
        from .discretization import Discretization

        return Discretization.from_spec(values)
    return cast(Method, optimizers.class_of(spec["method"], spec.get("module")).from_spec(values))
