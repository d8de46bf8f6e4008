"""``State``: all that the page can be set to, as a value that is written into an address and read back."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import numpy as np

from .. import checks, optimizers
from ..method import STARTS
from ..optimizers import Optimizer
from ..problems import ALL, Problem, by_name
from ..problems.expression import statements
from ..studies.search.suggest import suggest

# What one picture may cost: a page that somebody else's browser talks to answers within a second whatever it is sent.
MOST_STEPS, MOST_METHODS, MOST_REFINEMENTS, LONGEST_TEXT = 1000, 6, 6, 160
MOST_PLAIN_STEPS = 200  # of a problem or a method that runs in the interpreter
LARGEST_START = 1e6
MOST_STATEMENTS = 400  # of a formula's kernels: half a second to compile
METHODS = ("gradientdescent", "momentum", "nesterov", "rmsprop", "adam")
LEVER = 1000.0  # a slider reaches so far on both sides of a suggested step, ...
_SMALLEST = 1e-8  # ... and so far down where 0 is allowed
_OWN: dict[str, tuple[type[Optimizer], str]] = {}  # key -> an optimizer outside the package, and how a command names it


def introduce(cls: type[Optimizer], word: str = "") -> str:
    """The name of an optimizer's class on the page, one outside the package included; ``word`` is what a command calls
    it, such as ``mine.py:Damped``."""
    key = cls.__name__.lower()
    if optimizers.ALL.get(key) is not cls:
        if key in optimizers.ALL:
            raise ValueError(f"methods must have names of their own, and {cls.__name__} is one of the package's")
        _OWN[key] = cls, word or _OWN.get(key, (cls, ""))[1] or cls.__name__
    return key


def named(name: str) -> type[Optimizer]:
    """The optimizer of a name: the package's, or one that was introduced."""
    own = _OWN.get(name.lower())
    return optimizers.by_name(name) if own is None else own[0]


def method_names() -> list[tuple[str, str]]:
    """Key and title of every optimizer that the page offers."""
    own = [(key, cls.title or cls.__name__) for key, (cls, _) in _OWN.items()]
    return [*((key, cls.title) for key, cls in optimizers.ALL.items()), *own]


@dataclass(frozen=True)
class State:
    """What the page shows.

    Attributes
    ----------
    problem : str
        A name of :data:`odeopt.problems.ALL`, a formula in two variables, or "" for the problem that the page was
        opened with.
    x0 : tuple of two floats, or None
        The start; None for the problem's own.
    methods : tuple of (str, tuple of (str, value))
        Names of optimizers, each with hyperparameters; those left out are suggested, or defaults.
    steps : int
        Steps of each method before refinement.
    refinement : int
        How often the step is halved; the flow time stays the same.
    start : {"cold", "consistent"}
    """

    problem: str = "beale"
    x0: tuple[float, float] | None = None
    methods: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...] = tuple((name, ()) for name in METHODS)
    steps: int = 200
    refinement: int = 0
    start: str = "cold"

    def __post_init__(self):
        if len(checks.text("problem", self.problem)) > LONGEST_TEXT:
            raise ValueError(f"problem must have at most {LONGEST_TEXT} characters, got {len(self.problem)}")
        x0 = self.x0
        if x0 is not None:
            x0 = tuple(checks.real("x0", one, -LARGEST_START, LARGEST_START) for one in checks.point("x0", x0, 2))
        methods = tuple((named(name).__name__.lower(), tuple(values)) for name, values in self.methods)
        names = [name for name, _ in methods]
        if not 1 <= len(names) <= MOST_METHODS:
            raise ValueError(f"methods must be 1 to {MOST_METHODS} optimizers, got {len(names)}")
        if len(set(names)) < len(names):
            raise ValueError(f"methods must be optimizers once each, got {max(names, key=names.count)} twice")
        given = {"x0": x0, "methods": methods, "steps": checks.integer("steps", self.steps, 1, MOST_STEPS),
                 "refinement": checks.integer("refinement", self.refinement, 0, MOST_REFINEMENTS),
                 "start": checks.choice("start", self.start, STARTS)}
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def changed(self, **values: Any) -> State:
        """The same with some entries changed."""
        return replace(self, **values)

    def with_value(self, method: str, name: str, value: Any) -> State:
        """The same with one hyperparameter of one method changed."""
        methods = [(key, tuple((dict(values) | {name: value}).items()) if key == method else values)
                   for key, values in self.methods]
        return replace(self, methods=tuple(methods))

    def query(self) -> str:
        """The state as the query of an address; :meth:`from_query` reads it."""
        words: list[tuple[str, str]] = [("problem", self.problem)]
        if self.x0 is not None:
            words.append(("x0", ",".join(f"{one:.10g}" for one in self.x0)))
        words += [("method", f"{key}:{','.join(f'{name}={_word(value)}' for name, value in values)}".rstrip(":"))
                  for key, values in self.methods]
        return urlencode([*words, ("steps", str(self.steps)), ("refinement", str(self.refinement)),
                          ("start", self.start)])

    @classmethod
    def from_query(cls, query: str, default: State | None = None) -> State:
        """The state that an address asks for, the rest as in ``default``; ValueError for what is none."""
        if len(query) > 4000:
            raise ValueError(f"address must have at most 4000 characters, got {len(query)}")
        found: dict[str, Any] = {}
        for name, word in parse_qsl(query):
            if name == "method":
                found.setdefault("methods", []).append(_method(word))
            elif name == "x0":
                found["x0"] = tuple(_number("x0", part) for part in word.split(","))
            elif name in ("steps", "refinement"):
                found[name] = int(word) if word.isdecimal() else word
            elif name in ("problem", "start"):
                found[name] = word
        if "methods" in found:
            found["methods"] = tuple(found["methods"])
        if "problem" in found and default is not None and found["problem"] != default.problem:
            default = None
        return replace(default or cls(), **found)


def _word(value):
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _number(name, word):
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"{name} must be a number, got {checks.shown(word)}") from None


def _method(word):
    """``adam:lr=0.01,beta1=0.9`` as (name, hyperparameters)."""
    name, _, rest = word.partition(":")
    fields = {f.name: f for f in dataclasses.fields(named(name))}
    values = []
    for item in filter(None, rest.split(",")):
        key, _, value = item.partition("=")
        field = fields[checks.choice("hyperparameter", key, tuple(fields))]
        if field.metadata["numeric"]:
            values.append((key, None if value == "None" else _number(key, value)))
        else:
            values.append((key, {"True": True, "False": False}.get(value, value)))
    return name, tuple(values)


@functools.lru_cache(maxsize=32)
def problem_of(word: str) -> Problem:
    """The plane problem of a name or a formula; ValueError for anything else."""
    if not word.strip():
        raise ValueError("problem must be a name or a formula in x and y, got none")
    key = word.strip().lower().replace("_", "-")
    if key in ALL:
        problem = by_name(key)()
    elif word.replace("-", "").replace("_", "").isalpha() and len(word) > 2:  # a name that is none
        return by_name(word)()
    else:
        count = statements(word)
        if count > MOST_STATEMENTS:
            raise ValueError(f"problem must be a formula of at most {MOST_STATEMENTS} operations with its derivatives "
                             f"on this page, got {count}; odeopt explore 'FORMULA' takes any")
        problem = Problem.from_expression(word)
    return plane(problem)


def is_heavy(word: str) -> bool:
    """Whether a text is a formula that takes too long to compile for a page that answers within a second."""
    try:
        return len(word) > LONGEST_TEXT or statements(word) > MOST_STATEMENTS
    except (TypeError, ValueError):  # no formula: whoever reads it says why
        return False


def plane(problem: Problem) -> Problem:
    """``problem``; ValueError unless it has two variables."""
    if problem.dim != 2:
        raise ValueError(f"problem must have 2 variables to be seen on a map, {problem.name} has {problem.dim}")
    return problem


@functools.cache
def plane_names() -> list[str]:
    """The names of the package's plane problems."""
    return [name for name, factory in ALL.items() if factory().dim == 2]


@functools.lru_cache(maxsize=256)
def method_of(name: str, values: tuple[tuple[str, Any], ...], problem: Problem, steps: int) -> Optimizer:
    """The optimizer of these words; what they leave out is suggested for the problem."""
    return suggest(named(name), problem, problem.x0, steps, **dict(values))


class Slider(NamedTuple):
    """How a hyperparameter is set: the position ``s`` of a slider from ``low`` to ``high`` stands for 10^s, or for
    1 - 10^s of a factor near 1 (``kind`` "log" or "factor"); at ``low`` it stands for 0 where ``zero`` is True."""

    name: str
    kind: str
    low: float
    high: float
    zero: bool

    def value(self, position: float) -> float:
        """What a position stands for."""
        position = min(max(float(position), self.low), self.high)
        if self.kind == "factor":
            return 0.0 if position >= self.high - 1e-9 else float(f"{1.0 - 10.0**position:.8g}")
        return 0.0 if self.zero and position <= self.low + 1e-9 else float(f"{10.0**position:.4g}")

    def position(self, value: float) -> float:
        """The position of a value, the nearest end for one that is beyond."""
        with np.errstate(divide="ignore"):
            position = float(np.log10(1.0 - value if self.kind == "factor" else value))
        return min(max(position, self.low), self.high)


def sliders(method: Optimizer) -> list[Slider]:
    """A slider for each numeric hyperparameter within the range that its page declares, the step's first."""
    found = []
    for f in dataclasses.fields(method):
        value = getattr(method, f.name)
        if not f.metadata["numeric"] or value is None:
            continue
        interval = f.metadata["check"].keywords if isinstance(f.metadata["check"], functools.partial) else {}
        low, high = interval.get("low", -math.inf), interval.get("high", math.inf)
        open_low = interval.get("open_low", False)
        if high == 1.0:
            found.append(Slider(f.name, "factor", -5.0, 0.0, True))
        elif f.name == method.step_name:
            middle = math.log10(value)
            found.append(Slider(f.name, "log", round(middle - math.log10(LEVER), 2),
                                round(middle + math.log10(LEVER), 2), False))
        elif low >= 0.0:
            zero = not open_low and low == 0.0
            bottom = math.log10(_SMALLEST if low <= 0.0 else low)
            top = min(1.0, math.log10(high)) if value <= 10.0 else math.log10(value) + 1.0
            found.append(Slider(f.name, "log", bottom, max(top, bottom + 1.0), zero))
    return sorted(found, key=lambda slider: slider.name != method.step_name)


def variants(method: Optimizer) -> dict[str, Sequence[Any]]:
    """The hyperparameters that are one of a few words, with the words."""
    found = {f.name: getattr(f.metadata["check"], "keywords", {}).get("allowed") for f in dataclasses.fields(method)
             if not f.metadata["numeric"]}
    return {name: tuple(words) for name, words in found.items() if words}


def as_python(state: State, problem: Problem, methods: Sequence[Optimizer]) -> str:
    """A program that makes the same runs."""
    if state.problem.strip().lower().replace("_", "-") in ALL:
        made = f"oo.problems.{state.problem.strip().lower().replace('-', '_')}()"
    else:
        made = f"oo.Problem.from_expression({state.problem!r})" if state.problem else f"...  # {problem.name}: yours"
    finer = f".refined({2**state.refinement})" * (state.refinement > 0)
    lines = "".join(f"    {_call(method)}{finer},\n" for method in methods)
    return (f"import odeopt as oo\n\nproblem = {made}\nmethods = [\n{lines}]\nfor method in methods:\n"
            f"    print(oo.compare(method, problem, {_point(state, problem)}, "
            f"steps={state.steps * 2**state.refinement}, start={state.start!r}))\n")


def _point(state, problem):
    return [float(f"{one:.6g}") for one in (problem.x0 if state.x0 is None else state.x0)]


def _call(method):
    """The constructor with what is not a default."""
    values = {f.name: getattr(method, f.name) for f in dataclasses.fields(method) if
              getattr(method, f.name) != f.default}
    cls = type(method)
    place = "oo." if optimizers.ALL.get(cls.__name__.lower()) is cls else ""  # else it is yours
    return f"{place}{cls.__name__}({', '.join(f'{name}={value!r}' for name, value in values.items())})"


def _spoken(method):
    """What a command calls a method."""
    own = _OWN.get(type(method).__name__.lower())
    return method.key if own is None else own[1]


def as_command(state: State, problem: Problem, methods: Sequence[Optimizer]) -> str:
    """A command that makes the same runs."""
    import shlex

    finer = [method.refined(2**state.refinement) for method in methods]
    sets = [f"--set {shlex.quote(_spoken(method))}.{f.name}={_word(getattr(method, f.name))}" for method in finer
            for f in dataclasses.fields(method) if getattr(method, f.name) != f.default]
    x0 = ",".join(f"{one:.6g}" for one in _point(state, problem))
    chosen = shlex.quote(",".join(_spoken(method) for method in methods))
    return " ".join(["odeopt compare", shlex.quote(state.problem or problem.name),
                     f"--optimizers {chosen}", *sets, f"--x0={x0}",
                     f"--steps {state.steps * 2**state.refinement}", f"--start {state.start}"])
