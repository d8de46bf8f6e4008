"""Steps of ``minimize`` by an optimizer's own update, the optimizer made of a method and options."""

import dataclasses
from typing import Any

from .. import checks, optimizers
from ..optimizers import Optimizer
from .auto_lr import auto_lr
from .line_search import NAMES


def class_of(method):
    """The optimizer's class of an instance, a name or the class itself."""
    if isinstance(method, str):
        return optimizers.by_name(method)
    return type(method) if isinstance(method, Optimizer) else method


def _optimizer(method: Any, options: Any) -> tuple[Any, bool]:
    """The optimizer, and whether its step size, 1 for now, is to be found at x0."""
    cls, given = class_of(method), dict(options)
    name = method.step_name if isinstance(method, Optimizer) else cls.step_name
    automatic = isinstance(given.get(name), str)
    if automatic:
        checks.choice(name, given.pop(name), ("auto",))
    if isinstance(method, Optimizer):
        return (method.changed(**given) if given else method), automatic
    needed = [f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING and f.name not in given]
    automatic = automatic or needed == [name]
    needed = [one for one in needed if not (automatic and one == name)]
    if needed:
        raise ValueError(f"{needed[0]} must be given: {cls.__name__} has no default for it "
                         f"(pass the instance as method=odeopt.{cls.__name__}({needed[0]}=...))")
    return cls(**({name: 1.0} if automatic else {}) | given), automatic


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
        self.optimizer, self.automatic = _optimizer(method, options)
        self.k, self.t, self.slots, self.words, self.steps = 0, 0.0, None, "", max(steps, 1)
        self.lr, self.step_name = None if self.automatic else self.optimizer.step, self.optimizer.step_name

    def _begin(self, objective, x, g):
        if self.automatic:
            self.lr, self.words = auto_lr(self.optimizer, objective.product(x), x.size, at=(x, g), steps=self.steps)
            self.optimizer = self.optimizer.with_step(self.lr)
        optimizer = self.optimizer
        self.kernel, self.p, self.slots = optimizer.kernel, optimizer.p_for(x), optimizer.start(x, g)

    def step(self, objective, project, x, f, g):
        if self.slots is None:
            self._begin(objective, x, g)
        new = x.copy()
        self.t += self.kernel(self.k, self.p, new, g, self.slots)
        self.k += 1
        return project(new)
