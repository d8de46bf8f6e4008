"""``Averaged``: what the theories of the edge of stability need to know of an optimizer.

A method with learning rate moves, on average, by -P^-1 times the average gradient in a step, where P is diagonal:
1/lr for gradient descent, (1 - momentum)/lr for the heavy ball, (sqrt(v) + eps)/lr where a running mean square v
divides. With steps as the time,

    w' = -P^-1 g,    v' = (1 - beta2)/beta2 (g^2 - v)       (scalar form: of the sum of squares)

The factor 1/beta2: v holds the newest gradient already, and lags beta2/(1 - beta2) steps behind g^2. What
oscillates does so along eigenvectors of P^-1 H; the page's stability limit, in the units of P, is the eigenvalue at
which that neither grows nor decays, and :meth:`Averaged.factor` what it is multiplied by in a step at any
other, the eigenvalue of the method's amplification matrix on the negative axis.
"""

import functools
from typing import Any

import numpy as np

from ...method import LINEAR
from ...optimizers import Adam, AdamW, Optimizer, RMSprop
from ...optimizers.base import eps_places
from ...problems import Problem
from ..inner import inner_run
from .amplification import probe

_HELD = 40  # decay times after which memory has settled
_GRID = 4097


class VanishingPreconditioner(ValueError):
    """P has an entry 0."""


class Averaged:
    """A method's average motion at ``x0``, its limit, and the memory with which it starts there without transient: what
    a constant gradient leaves, or with ``warmup`` that of a run of so many steps, at the end of which ``x0`` is then.

    TypeError for a method of another kind, ValueError for a variant that has no such average motion.
    """

    optimizer: Any

    def __init__(self, optimizer: Optimizer, problem: Problem, x0: np.ndarray, warmup: int = 0):
        roles = {slot.role for slot in optimizer.slots} if isinstance(optimizer, Optimizer) else {""}
        # Not their subclasses, which divide by something else (AMSGrad) or move otherwise (NAdam, RAdam).
        self.adaptive = type(optimizer) in (RMSprop, Adam, AdamW)
        if not (self.adaptive or roles <= set(LINEAR) and getattr(optimizer, "modified_orders", ())):
            name = getattr(optimizer, "title", type(optimizer).__name__)
            raise TypeError("optimizer must be gradient descent, with or without momentum, RMSprop or Adam, "
                            f"got {name}")
        absent = ("weight_decay", "dampening") + ("momentum", "centered", "bias_correction") * self.adaptive
        for name in absent:
            if getattr(optimizer, name, 0):
                raise ValueError(f"{name} must be 0 for the flows at the edge, got {getattr(optimizer, name)}")
        limit = optimizer.stability_limit()
        if limit is None:
            raise ValueError(f"optimizer must have a stability limit, and {optimizer.title} has none")
        self.optimizer, self.problem, self.formula = optimizer, problem, limit.formula
        self.unit = optimizer.step if self.adaptive else optimizer.modified_flow(1).h
        self.limit = limit.value * self.unit / optimizer.step
        self.scalar = self.adaptive and getattr(optimizer, "form", "") == "scalar"
        beta = getattr(optimizer, "decay" if type(optimizer) is RMSprop else "beta2") if self.adaptive else 0.0
        if self.adaptive and beta == 0.0:
            raise ValueError("decay must be above 0 for the flows at the edge: without memory nothing is averaged")
        self.rate = (1 - beta) / beta if beta else 0.0
        self.x0 = x0
        if warmup:
            self.x0, self.start = self._warmed_up(warmup)
        square = self.start[self.square] if warmup and self.adaptive else problem.grad(x0) ** 2
        self.v0 = np.zeros(0) if not self.adaptive else square
        if self.scalar:
            self.v0 = square[:1].copy() if warmup else np.array([square.sum()])

    @property
    def square(self):
        """The row of memory with v; None for a method without."""
        rows = [i for i, slot in enumerate(self.optimizer.slots) if slot.role == "square"]
        return rows[0] if rows and self.adaptive else None

    @functools.cached_property
    def start(self):
        """The slots after many steps with the gradient at x0."""
        optimizer, x0 = self.optimizer, self.x0
        g, p = self.problem.grad(x0), optimizer.p_for(x0)
        s = optimizer.start(x0, g, "consistent")
        for k in range(int(_HELD / (1 - optimizer.forgetting)) if len(s) else 0):
            optimizer.kernel(k, p, x0.copy(), g, s)
        return s

    def _warmed_up(self, steps):
        """``(x, slots)`` after a run from x0, its averages corrected and their weights settled."""
        run = inner_run(self.optimizer, self.problem, self.x0, steps, steps, start="cold")
        if run.status == "diverged":
            raise ValueError(f"warmup must be a number of steps that are finite, got {steps}: {run.message}")
        settled, s = self.start, run.final["s"].copy()
        del self.start  # that of the point before
        rows = {slot.name: i for i, slot in enumerate(self.optimizer.slots)}
        for name, i in rows.items():
            if f"{name} weight" in rows:
                s[i] /= s[rows[f"{name} weight"], 0]
            elif self.optimizer.slots[i].role == "weight":
                s[i] = settled[i]
        return run.final["x"].copy(), s

    @functools.cached_property
    def _table(self):
        s = np.linspace(0.0, 4 * self.limit, _GRID)
        return s, self._multipliers(s)

    def _multipliers(self, s):
        values: Any = np.linalg.eigvals(probe(self.optimizer, s / self.unit)).astype(complex)
        chosen = values[np.arange(s.size), values.real.argmin(axis=1)]
        return np.where(np.abs(chosen.imag) > 1e-9, np.abs(chosen), -chosen.real)

    def factor(self, s):
        """What an oscillation that changes its sign in each step is multiplied by, besides the sign, at the eigenvalue
        ``s`` of P^-1 H; and its derivative."""
        grid, table = self._table
        i = min(max(int(s / grid[1]), 0), grid.size - 2)
        slope = (table[i + 1] - table[i]) / grid[1]
        return table[i] + slope * (s - grid[i]), slope

    def preconditioner(self, v):
        """P and dP/dv, (n,) each. VanishingPreconditioner where P has an entry 0."""
        ones = np.ones(self.problem.dim)
        if not self.adaptive:
            return ones / self.unit, 0 * ones
        under, beside = eps_places(self.optimizer)
        root = np.sqrt(np.maximum(v, 0.0) + under)
        p = (root + beside) / self.optimizer.lr * ones
        if not (p > 0).all():
            raise VanishingPreconditioner("the running mean square has an entry 0 that eps = 0 does not cover")
        return p, np.divide(0.5, root * self.optimizer.lr, out=np.zeros_like(root), where=root > 0) * ones

    def memory_rate(self, v, square):
        """dv/dt for a gradient of this elementwise square; 0 without memory."""
        return self.rate * ((square.sum() if self.scalar else square) - v) if self.adaptive else np.zeros(0)
