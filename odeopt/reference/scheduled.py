"""The flow of an optimizer whose hyperparameters move with the step.

A schedule makes the flow's own constants move: a memory that averages over 1/(1 - beta) *steps* has
the memory time tau = lr/(1 - beta), so tau follows lr. Step k of the optimizer is one step of
length h_k of its scheme, on the flow with the constants p_k of that step. In the real step variable
kappa the limit is therefore

    dy/dkappa = h(kappa) U^-1 F(kappa h(kappa), U y; p(kappa)),     dt/dkappa = h(kappa)

where y = (x, slots) is the state in the optimizer's own units and U = U(kappa) turns them into the
flow's. The slots, not the flow's rows, are what goes on unchanged from step to step: a velocity per
step v = h x' keeps its value when h changes, which adds the friction h'/h to x'' + a x' + g = 0.
(F's own clock, for flows such as Nesterov's, is the step number times h, as in the update.)

With h_k = lr (1/f) at k/f the discretisation converges to this with order 1 like the unscheduled
one. Where neither p nor U depends on what the schedule drives (gradient descent, scalar RMSprop), the
flow in its own time t is unchanged, and only the map from steps to time moves.
"""

import copy
import functools

import numpy as np

from .solvers import integrate

_FLOOR = 1e-100  # of a learning rate: the limit lr -> 0 exists, lr = 0 itself divides by 0
_PIECES = 64  # at least so many steps of the solver, so that none steps over a short phase of a schedule


class ScheduledMethod:
    """An optimizer under schedules: what it is at the real step ``kappa``."""

    def __init__(self, optimizer, schedules):
        self.base, self.schedules = optimizer, tuple(schedules)
        self.units_move = False  # changes_the_flow finds out
        ones = np.ones((len(optimizer.slots), 1))
        once, twice = (optimizer.to_flow(np.ones(1), factor * ones)[1:] for factor in (1, 2))
        if not np.allclose(twice, 2 * once, rtol=1e-12, atol=0):
            raise ValueError(f"schedule must be None for the reference of {optimizer.title}: "
                             "its memory is not proportional to its slots")

    @functools.cached_property
    def _c(self):
        return [schedule.c for schedule in self.schedules]

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "_c"}  # it may hold addresses

    def at(self, kappa):
        """The optimizer with the hyperparameters of step ``kappa`` (not validated: called at every stage)."""
        values = {}
        for schedule, c in zip(self.schedules, self._c, strict=True):
            base = getattr(self.base, schedule.drives)
            value = schedule.kernel(float(kappa), base, c)
            values[schedule.drives] = max(value, _FLOOR * base) if schedule.drives == "lr" else value
        now = copy.copy(self.base)
        holder = now  # of the hyperparameters: a wrapper's are those of the optimizer inside
        while holder.wrapper:
            inner = copy.copy(holder.optimizer)
            object.__setattr__(holder, "optimizer", inner)
            holder = inner
        for name, value in values.items():
            object.__setattr__(holder, name, value)
        return now

    def scale(self, optimizer):
        """U as a column: what one unit of each slot is in the flow's rows."""
        return optimizer.to_flow(np.ones(1), np.ones((len(optimizer.slots), 1)))

    def changes_the_flow(self):
        """Whether the flow in its own time depends on the driven hyperparameters (asked by moving them)."""
        here, unit, flow_moves = self.base.flow.p, self.scale(self.base), False
        for schedule in self.schedules:
            value = getattr(self.base, schedule.drives)
            moved = self.base.changed(**{schedule.drives: 0.9 * value if value else 1e-3})
            flow_moves |= not np.array_equal(moved.flow.p, here)
            self.units_move |= not np.array_equal(self.scale(moved), unit)
        return flow_moves or self.units_move


class ScheduledSolution:
    """Solution over steps, read at flow time; the attributes of ``solve_ivp``'s result used by
    :func:`odeopt.reference`.

    Ends where ``t_end`` is reached, or after ``steps``: then it is ``exhausted`` (a schedule that fades may
    never get there).
    """

    def __init__(self, moving, problem, z0, t_end, steps, rtol, atol, solver):
        flow = moving.base.flow
        rows, n = z0.shape
        p = np.array(flow.p)
        field = flow.field(problem, p)
        unit = moving.scale(moving.base)

        def fun(kappa, y):
            now = moving.at(kappa)
            h, u = now.h, moving.scale(now) if moving.units_move else unit
            p[:] = now.flow.p
            dz = field(kappa * h, u * y[:-1].reshape(rows, n))
            return np.append(h * dz / u, h)

        start = np.append(z0 / unit, 0.0)
        options = {"rtol": rtol, "max_step": max(steps / _PIECES, 1.0),
                   "atol": np.append(np.broadcast_to(atol / np.abs(unit), z0.shape), atol)}
        times = [0.0]

        def reached(kappa, y):
            times.append(float(y[-1]))
            return y[-1] >= t_end

        found = integrate(fun, 0.0, start, float(steps), solver, reached, **options)
        self._moving, self._kappa, self._shape, self._dense = moving, found.t, (rows, n), found.sol
        if found.sol is None:
            self.sol = None  # pyright: ignore[reportAttributeAccessIssue]
        self._times = np.maximum.accumulate(times)
        self.message, self.nfev, self.solver = found.message, found.nfev, found.solver
        if self.message:
            self.message += f" (step {self._kappa[-1]:.6g}, flow time {self._times[-1]:.6g})"
        self.t, self.success = np.minimum(self._times, t_end), found.success
        self.exhausted = self.success and self.t[-1] < t_end
        if self.exhausted:
            self.message = f"the schedule comes to t = {self.t[-1]:.6g} in {steps:g} steps"

    def steps(self, t):
        """The real step kappa at flow time ``t`` (the first, where a learning rate of 0 stops the clock)."""
        t = np.atleast_1d(np.asarray(t, dtype=float))
        i = np.clip(np.searchsorted(self._times, t) - 1, 0, self._times.size - 2)
        low, high = self._kappa[i].copy(), self._kappa[i + 1].copy()
        width = np.maximum(self._times[i + 1] - self._times[i], 1e-300)
        kappa = low + (high - low) * np.clip((t - self._times[i]) / width, 0, 1)
        below, above = self._times[i] - t, self._times[i + 1] - t
        for _ in range(60):  # regula falsi, Illinois variant: one reading of the solution a pass
            off = self._dense(kappa)[-1] - t
            left = off < 0
            above = np.where(left, 0.5 * above, off)
            below = np.where(left, off, 0.5 * below)
            low, high = np.where(left, kappa, low), np.where(left, high, kappa)
            span = above - below
            chord = np.where(span > 0, (low * above - high * below) / np.where(span > 0, span, 1.0), low)
            moved = np.clip(chord, low, high)
            done = (np.abs(moved - kappa) <= 1e-12 * self._kappa[-1]) | (np.abs(off) <= 1e-12 * self._times[-1])
            kappa = np.where(done, kappa, moved)
            if done.all():
                break
        return kappa

    def sol(self, t):
        """The flattened flow state at ``t``, with the shape of scipy's dense output."""
        kappa = self.steps(t)
        moving = self._moving
        units = [moving.scale(moving.at(k)) for k in kappa] if moving.units_move else [moving.scale(moving.base)]
        units = np.array([np.broadcast_to(unit, self._shape).ravel() for unit in units])
        y = self._dense(kappa)[:-1] * units.T
        return y if np.ndim(t) else y[:, 0]
