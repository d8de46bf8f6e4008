"""Steps of ``minimize`` by an optimizer's own update, the optimizer made of a method and options."""

import dataclasses
from typing import Any

from .. import checks, optimizers
from ..optimizers import Optimizer
from .auto_lr import auto_lr, check_auto_lr
from .line_search import NAMES


def class_of(method):
    """The optimizer's class of an instance, a name or the class itself."""
    if isinstance(method, str):
        return optimizers.by_name(method)
    return type(method) if isinstance(method, Optimizer) else method


def _optimizer(method: Any, options: Any) -> tuple[Any, Any]:
    """``(instance, None)``; or ``(None, hyperparameters)`` of one whose step size is to be found at x0."""
    cls = class_of(method)
    if isinstance(method, Optimizer):
        if not isinstance(options.get("lr"), str):
            return (method.changed(**options) if options else method), None
        options = {f.name: getattr(method, f.name) for f in dataclasses.fields(method)} | options
    needed = [f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING and f.name not in options]
    if needed == [cls.step_name]:
        options, needed = {**options, cls.step_name: "auto"}, []
    if needed:
        raise ValueError(f"{needed[0]} must be given: {cls.__name__} has no default for it "
                         f"(pass the instance as method=odeopt.{cls.__name__}({needed[0]}=...))")
    if not isinstance(options.get(cls.step_name), str):
        return cls(**options), None
    checks.choice(cls.step_name, options[cls.step_name], ("auto",))
    given = {name: value for name, value in options.items() if name != cls.step_name}
    check_auto_lr(cls, **given)
    return None, given


def check_projection(method, options):
    """Projection after the step is sound where the step is a positive diagonal matrix times -g.

    Then P(x - D g) = x says that g_i = 0, or that g_i pushes against the bound that x_i is on: the
    conditions of a constrained minimum (Bertsekas, SIAM J. Control Optim. 20 (1982) 221).
    """
    cls = class_of(method)
    if isinstance(method, Optimizer):
        given = method.changed(**{k: v for k, v in options.items() if not isinstance(v, str) or k != "lr"})
    else:
        given = cls.default(**{k: v for k, v in options.items() if not isinstance(v, str) or k != "lr"})
    if not given.projection_is_sound:
        sound = [name for name, one in optimizers.ALL.items() if one.default().projection_is_sound]
        raise ValueError(f"bounds must be None for {given.key}: a projected step with memory may stop at a "
                         f"point that is not a solution (use {', '.join((*sound, *NAMES))})")


class UpdateStepper:
    """State of one run: ``step(objective, project, x, f, g)`` returns the next point, as LineSearch's does."""

    def __init__(self, method, options, steps=10_000):
        self.cls: Any = class_of(method)
        self.optimizer, self.given = _optimizer(method, options)
        self.k, self.t, self.slots, self.words, self.steps = 0, 0.0, None, "", max(steps, 1)
        self.lr, self.step_name = None if self.optimizer is None else self.optimizer.step, self.cls.step_name

    def _begin(self, objective, x, g):
        if self.optimizer is None:
            self.lr, self.words = auto_lr(self.cls, objective.product(x), x.size, at=(x, g), steps=self.steps,
                                          **self.given)
            self.optimizer = self.cls(**{self.cls.step_name: self.lr} | self.given)
        optimizer = self.optimizer
        self.kernel, self.p, self.slots = optimizer.kernel, optimizer.p_for(x), optimizer.start(x, g)

    def step(self, objective, project, x, f, g):
        if self.slots is None:
            self._begin(objective, x, g)
        new = x.copy()
        self.t += self.kernel(self.k, self.p, new, g, self.slots)
        self.k += 1
        return project(new)
