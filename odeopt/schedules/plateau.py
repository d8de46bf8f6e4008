"""Learning rates that are decided by what the run has seen: plateau and step decay.

The rule (a frozen object) and what it remembers (:class:`Decisions`) are two things, so one rule serves
many runs::

    rule = ReduceLROnPlateau(factor=0.1, patience=5)
    decisions = rule.start(lr)
    for epoch in range(epochs):
        ...                                   # train with decisions.lr
        decisions.step(validation_loss)

``record(optimizer, problem, schedule=rule)`` does the same with f, every ``rule.every`` steps.
"""

import itertools
import math
from dataclasses import dataclass, field

from .. import checks


class PlateauRule:
    """Base of the rules: ``every`` steps of :func:`odeopt.record` make an epoch, and
    ``decide(decisions, value) -> lr`` ends it."""

    drives = "lr"
    every: int

    def decide(self, decisions: "Decisions", value: float) -> float:
        """The learning rate of the next epoch; a rule defines it."""
        raise NotImplementedError

    def start(self, lr):
        """Fresh :class:`Decisions` of this rule, beginning at the learning rate ``lr``."""
        return Decisions(self, checks.real("lr", lr, 0))

    def _keep(self, **values):
        """The checked values, as plain numbers, in place of what was given to a frozen rule."""
        for name, value in values.items():
            object.__setattr__(self, name, value)


def _factor(value):
    return checks.real("factor", value, 0, 1, open_low=True, open_high=True)


@dataclass
class Decisions:
    """A rule at work: what it has seen and the learning rate that follows.

    ``lr`` is the current rate, ``best`` the best value seen, ``waited`` the epochs since, ``rest``
    the epochs of cooldown left, ``epochs`` the values seen, ``level`` and ``total`` numbers of the rule's own.
    """

    rule: PlateauRule
    lr: float
    best: float = math.inf
    waited: int = 0
    rest: int = 0
    epochs: int = 0
    level: int = 0
    total: float = 0.0
    history: list = field(default_factory=list, repr=False)

    def step(self, value):
        """Take the value of the epoch that has ended, finite or not; returns the learning rate of the next."""
        if type(value) is not float:
            found = checks.real_numbers(value)
            if isinstance(found, str) or found.ndim:
                raise TypeError(f"value must be a real number, got {checks.shown(value)}")
            value = float(found)
        self.epochs += 1
        self.lr = checks.real("the learning rate that the rule decides", self.rule.decide(self, value), 0.0)
        self.history.append(self.lr)
        return self.lr

    def numbers(self):
        """What :meth:`restore` needs, as a tuple of floats."""
        return (self.lr, self.best, float(self.waited), float(self.rest), float(self.epochs), float(self.level),
                self.total)

    def restore(self, numbers):
        """Go on from :meth:`numbers` of another object (the history begins anew); returns self."""
        self.lr, self.best = float(numbers[0]), float(numbers[1])
        self.waited, self.rest, self.epochs, self.level = (int(n) for n in numbers[2:6])
        self.total = float(numbers[6])
        return self


@dataclass(frozen=True)
class ReduceLROnPlateau(PlateauRule):
    """Times ``factor`` when the value has not improved for ``patience`` epochs.

    Parameters
    ----------
    factor : float in (0, 1), default 0.1
    patience : int >= 0, default 10
    threshold : float >= 0, default 1e-4
        An improvement is a value below best - threshold |best|, or below best - threshold. For the former torch
        takes best (1 - threshold): there, of negative values, worse ones count as improvements.
    threshold_mode : {"rel", "abs"}
    cooldown : int >= 0, default 0
        Epochs after a reduction that do not count as bad.
    min_lr : float >= 0, default 0
    eps : float >= 0, default 1e-8
        Reductions by not more than this are left out.
    form : {"torch", "keras", "optax"}
        When it acts: at bad epoch patience + 1 (torch), or at bad epoch ``patience`` (keras, whose
        min_delta is threshold_mode="abs", and optax). The cooldown differs as well: keras counts an epoch of
        rest down before it looks at the value, torch and optax after, and only torch has an ``eps``.
    every : int >= 1, default 1
        Steps of :func:`odeopt.record` in an epoch.
    mode : {"min", "max"}
        Whether lower or higher values are better.
    accumulate : int >= 1, default 1
        The rule looks at the means of so many epochs' values, one after the other (optax's accumulation_size).
    """

    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    min_lr: float = 0.0
    eps: float = 1e-8
    form: str = "torch"
    every: int = 1
    mode: str = "min"
    accumulate: int = 1

    def __post_init__(self):
        self._keep(
            factor=_factor(self.factor), threshold=checks.nonnegative("threshold", self.threshold),
            min_lr=checks.nonnegative("min_lr", self.min_lr), eps=checks.nonnegative("eps", self.eps),
            patience=checks.integer("patience", self.patience), cooldown=checks.integer("cooldown", self.cooldown),
            every=checks.integer("every", self.every, 1),
            form=checks.choice("form", self.form, ("torch", "keras", "optax")),
            mode=checks.choice("mode", self.mode, ("min", "max")),
            accumulate=checks.integer("accumulate", self.accumulate, 1),
            threshold_mode=checks.choice("threshold_mode", self.threshold_mode, ("rel", "abs")))

    def decide(self, seen, value):
        """The learning rate after an epoch that ended with ``value``."""
        if self.accumulate > 1:
            seen.total += value
            if seen.epochs % self.accumulate:
                return seen.lr
            value, seen.total = seen.total / self.accumulate, 0.0
        torch, keras = self.form == "torch", self.form == "keras"
        if keras and seen.rest > 0:
            seen.rest -= 1
            seen.waited = 0
        if self._improves(value, seen.best):
            seen.best, seen.waited = value, 0
        elif not (keras and seen.rest > 0):
            seen.waited += 1
        if not keras and seen.rest > 0:
            seen.rest -= 1
            seen.waited = 0
        # keras looks at its patience only after a bad epoch, so patience 0 never acts on a good one
        if seen.waited <= self.patience if torch else seen.waited < max(self.patience, 1):
            return seen.lr
        lower = max(seen.lr * self.factor, self.min_lr)
        if keras and seen.lr <= self.min_lr:
            return seen.lr
        seen.rest, seen.waited = self.cooldown, 0
        return lower if seen.lr - lower > (self.eps if torch else 0.0) else seen.lr

    def start(self, lr):
        """Fresh :class:`Decisions` of this rule, beginning at the learning rate ``lr``."""
        decisions = super().start(lr)
        decisions.best = self._sign * math.inf
        return decisions

    @property
    def _sign(self):
        return 1.0 if self.mode == "min" else -1.0

    def _improves(self, value, best):
        value, best = self._sign * value, self._sign * best
        if self.threshold_mode == "rel" and math.isfinite(best):
            return value < best * (1 - math.copysign(self.threshold, best))
        return value < best - self.threshold


@dataclass(frozen=True)
class StepDecay(PlateauRule):
    """Times ``factor`` after every ``period`` epochs, or as the value falls below given levels.

    The two ways of annealing that [A003] names: after a fixed number of iterations, or by
    watching the loss reach a threshold.

    Parameters
    ----------
    factor : float in (0, 1), default 0.1
    period : int >= 1, optional
    below : sequence of float, decreasing, optional
        Each level acts once, also when one epoch passes several.
    min_lr : float >= 0, default 0
    every : int >= 1, default 1
        Steps of :func:`odeopt.record` in an epoch.
    """

    factor: float = 0.1
    period: int | None = None
    below: tuple = ()
    min_lr: float = 0.0
    every: int = 1

    def __post_init__(self):
        levels = tuple(checks.real("below", level) for level in checks.entries("below", self.below))
        if any(a <= b for a, b in itertools.pairwise(levels)):
            raise ValueError(f"below must decrease, got {levels}")
        if self.period is None and not levels:
            raise ValueError("period or below must be given: without both the rate never moves")
        self._keep(factor=_factor(self.factor), min_lr=checks.nonnegative("min_lr", self.min_lr), below=levels,
                   every=checks.integer("every", self.every, 1),
                   period=None if self.period is None else checks.integer("period", self.period, 1))

    def decide(self, seen, value):
        """The learning rate after an epoch that ended with ``value``."""
        seen.best = min(seen.best, value)
        times = int(self.period is not None and seen.epochs % self.period == 0)
        while seen.level < len(self.below) and value < self.below[seen.level]:
            seen.level += 1
            times += 1
        return max(seen.lr * self.factor**times, min(self.min_lr, seen.lr)) if times else seen.lr


__all__ = ["PlateauRule", "Decisions", "ReduceLROnPlateau", "StepDecay"]
