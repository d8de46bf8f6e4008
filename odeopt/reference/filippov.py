"""Solutions of x' in -Sign(g(x)) - decay x, phase by phase: smooth pieces between located events.

In a phase every coordinate has a sign, or slides (:mod:`odeopt.flows.sign_inclusion` has the mathematics), and the
field is smooth: scipy's explicit solvers integrate it. A phase ends where on the dense output a coordinate's
gradient reaches 0, or the control of a sliding one leaves [-1, 1]; then the quadratic program decides what slides
from there. For the sign of a mean (:mod:`odeopt.flows.sign_of_mean`) it ends where a coordinate of the mean reaches
0, and what slides has m_i = g_i = 0. Events are looked for at eight points of each step, and a step is at most 1/64
of the interval: two crossings of one surface that lie closer together than that may be missed.
"""

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..flows import SignOfMean
from ..schemes.base import LEAST_ATOL

_STEPS, _SAMPLES = 64, 8  # least number of steps, points of each at which events are looked for
_PHASES = 2_000  # beyond, the solution ends: events that accumulate have no end
_STANDSTILL = 8  # phases in a row without progress
_HALVINGS = 1200  # of an interval of any length, to the smallest number
_ZERO = 1e-11  # relative size below which a gradient or the distance of a control from 1 counts as 0
_ENUMERATED = 8  # coordinates whose 3^k modes are tried where the program is not convex
SOLVERS = ("auto", "DOP853", "RK45", "RK23")


def solve(flow, problem, z0, t0, t_end, rtol, atol, solver, watch=None, allowed=50_000):
    """The solution from ``z0`` (rows, n) on [t0, t_end], with the attributes of ``solve_ivp``'s result that
    :mod:`odeopt.reference.solvers` names, and ``phases``, a list of (t, signs), 0 for what slides."""
    from scipy import integrate

    name = "DOP853" if solver == "auto" else solver
    system = (_Memory if isinstance(flow, SignOfMean) else _System)(problem, flow.constants, allowed)
    times, pieces, phases, message, still = [float(t0)], [], [], "", 0
    x, t = z0.ravel().copy(), float(t0)
    first = problem.grad(z0[0])
    if not np.isfinite(first).all():
        return SimpleNamespace(t=np.array(times), sol=None, success=False, nfev=1, solver=name, phases=[],
                               message=f"state or field are not finite at the start, t = {t0:.6g}")
    system.small = _ZERO * max(np.abs(first).max(), 1e-300)
    try:
        signs = system.begin(x, first)
        while t < t_end:
            if len(phases) == _PHASES or still == _STANDSTILL:
                raise _NoWay("modes change ever faster")
            x = system.onto(x, signs)
            phases.append((t, signs.copy()))
            run = getattr(integrate, name)(lambda at, y, signs=signs: system.velocity(y, signs), t, x, t_end,
                                           rtol=max(rtol, 2.3e-14), atol=max(atol, LEAST_ATOL),
                                           max_step=(t_end - t0) / _STEPS)
            begin, event = t, None
            lookout = _Lookout(system, signs, t, x)
            while event is None and run.status == "running":
                if watch is not None:
                    watch(run.t)
                run.step()
                if run.status == "failed" or not np.isfinite(run.y).all():
                    raise _NoWay("the field of this mode is not smooth or not finite there")
                dense = run.dense_output()
                event = lookout.first(dense, run.t_old, run.t)
                t, x = (run.t, run.y.copy()) if event is None else (event[0], dense(event[0]))
                if t > times[-1]:
                    times.append(t)
                    pieces.append(dense)
            if event is not None:
                signs = system.next(x, signs, event[1])
            still = still + 1 if t - begin <= 1e-13 * (t_end - t0) else 0
    except _NoWay as reason:
        message = f"the solution ends at t = {times[-1]:.6g}: {reason}"
    sol = integrate.OdeSolution(times, pieces) if pieces else None
    return SimpleNamespace(t=np.array(times), sol=sol, success=not message, message=message, nfev=system.count,
                           solver=name, phases=phases)


class _NoWay(Exception):
    """Why a solution cannot go on."""


class _System:
    """Gradients, sliding velocities and controls on one problem."""

    def __init__(self, problem, constants, allowed):
        self.problem, self.constants, self.allowed, self.count, self.small = problem, constants, allowed, 0, 0.0
        self.decay = constants["decay"]

    def begin(self, x, g):
        """The first mode."""
        return self.choose(x, np.sign(g), np.flatnonzero(np.abs(g) <= self.small))

    def spend(self, count):
        self.count += count
        if self.count > self.allowed:
            raise _NoWay(f"{self.count} evaluations of the field and Hessian products are spent")

    def columns(self, x, indices):
        """Rows of H that belong to ``indices``."""
        if not self.problem.has_hessian:
            raise _NoWay("a coordinate slides, and the problem has no Hessian product")
        self.spend(len(indices))
        unit = np.eye(x.size)
        return np.array([self.problem.hessp(x, unit[i]) for i in indices]).reshape(len(indices), x.size)

    def velocity(self, x, signs):
        """The field of this mode."""
        return self.sliding(x, signs)

    def sliding(self, x, signs):
        """x' where the coordinates with sign 0 slide."""
        self.spend(1)
        v = -signs - self.decay * x
        sliding = np.flatnonzero(signs == 0)
        v[sliding] = 0.0
        if 0 < sliding.size < x.size:
            h = self.columns(x, sliding)
            v[sliding] = _solution(h[:, sliding], -(h @ v))
        return v

    def control(self, x, signs):
        """The value u of Sign(g) that x' = -u - decay x has in this mode."""
        return -self.sliding(x, signs) - self.decay * x

    def values(self, x, signs):
        """Positive inside the mode: |g_i| with its sign kept, and 1 - |u_i| of what slides."""
        f, g = self.problem.value_and_grad(x)
        values = np.where(signs == 0, 1.0 - np.abs(self.control(x, signs)), signs * g)
        return values if np.isfinite(f) else np.full(x.size, np.nan)

    def onto(self, x, signs):
        """``x`` moved onto the surfaces g_i = 0 of what slides, from which it is off by an error of the solver."""
        sliding = np.flatnonzero(signs == 0)
        if sliding.size == 0:
            return x
        for _ in range(3):
            g = self.problem.grad(x)[sliding]
            move = _solution(self.columns(x, sliding)[:, sliding], -g)
            if not np.abs(move).max() <= 1e-6 * (1.0 + np.abs(x).max()):  # a surface without a normal
                break
            x = x.copy()
            x[sliding] += move
        return x

    def next(self, x, signs, who):
        """The mode after an event of the coordinates ``who``: those that were free have arrived at their surface,
        those that slid leave it."""
        control, signs = self.control(x, signs), signs.copy()
        leaving = who[signs[who] == 0]
        active = np.union1d(np.flatnonzero(signs == 0), who)
        signs[leaving] = np.sign(control[leaving])
        return self.choose(x, signs, np.setdiff1d(active, leaving))

    def choose(self, x, signs, active):
        """Signs with those of ``active`` (where g_i = 0) by the quadratic program, 0 for what slides."""
        signs = np.where(np.isin(np.arange(x.size), active), 0.0, signs)
        if active.size == 0 or active.size == x.size and self.decay == 0.0:
            return signs
        h = self.columns(x, active)
        v = -signs - self.decay * x
        signs[active] = _modes(h[:, active], h @ v)
        return signs


class _Memory(_System):
    """The same for the sign of a mean: y is x and then m; a coordinate with sign 0 slides on m_i = g_i = 0."""

    def begin(self, y, g):
        m = np.split(y, 2)[1]
        return np.where(np.abs(m) > self.small, np.sign(m), np.where(np.abs(g) > self.small, np.sign(g), 0.0))

    def velocity(self, y, signs):
        x, m = np.split(y, 2)
        return np.append(self.sliding(x, signs), (self.problem.grad(x) - m) / self.constants["tau"])

    def values(self, y, signs):
        """Positive inside the mode: |m_i| with its sign kept, and 1 - |u_i| of what slides."""
        x, m = np.split(y, 2)
        return np.where(signs == 0, 1.0 - np.abs(self.control(x, signs)), signs * m)

    def onto(self, y, signs):
        x, m = np.split(y, 2)
        return np.append(super().onto(x, signs), np.where(signs == 0, 0.0, m))

    def next(self, y, signs, who):
        x = np.split(y, 2)[0]
        crossed = np.sign(self.problem.grad(x))  # of m beyond its surface, since m_i' = g_i/tau there
        left = np.sign(self.control(x, signs))
        return np.where(np.isin(np.arange(x.size), who), np.where(signs == 0, left, crossed), signs)


def _solution(a, b):
    """Of a d = b, the shortest where a is singular."""
    with np.errstate(all="ignore"):
        try:
            d = np.linalg.solve(a, b)
            if np.isfinite(d).all() and (
                    np.abs(a).max(initial=0.0) * np.abs(d).max(initial=0.0) <= 1e12 * np.abs(b).max(initial=0.0)):
                return d
        except np.linalg.LinAlgError:
            pass
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise _NoWay("the Hessian is not finite there")
    try:
        d = np.linalg.lstsq(a, b, rcond=1e-12)[0]
    except np.linalg.LinAlgError:  # of entries near the largest numbers
        d = np.full(b.shape, np.nan)
    if not np.isfinite(d).all():
        raise _NoWay("the Hessian's equations have no solution in floating point there")
    return d


def _modes(m, q):
    """1 where u_i = 1, -1 where u_i = -1 and 0 between, for the solution of w = q - m u, |u| <= 1, w_i > 0 only where
    u_i = 1, w_i < 0 only where u_i = -1. Where |u_i| = 1 and w_i = 0 both would do: 0, for what slides and cannot is
    seen to leave at once."""
    from scipy.optimize import lsq_linear

    try:
        lower = np.linalg.cholesky(m)
        if np.diag(lower).min() <= 1e-6 * np.diag(lower).max():
            raise np.linalg.LinAlgError
    except np.linalg.LinAlgError:
        return _enumerated(m, q)
    try:
        with np.errstate(all="ignore"):
            u = lsq_linear(lower.T, np.linalg.solve(lower, q), (-1.0, 1.0), method="bvls", tol=1e-14).x
    except (ValueError, np.linalg.LinAlgError):  # of entries that are not finite, or near the largest numbers
        u = np.full(q.shape, np.nan)
    if not np.isfinite(u).all():
        raise _NoWay("which coordinates slide cannot be told in floating point there")
    held = np.abs(q - m @ u) > _ZERO * (np.abs(q).max() + np.abs(m).max())
    return np.where((np.abs(u) >= 1 - _ZERO) & held, np.sign(u), 0.0)


def _enumerated(m, q):
    """The same for m that is not positive definite: the mode with most coordinates sliding, stably."""
    k, scale = q.size, _ZERO * (1e-300 + np.abs(q).max() + np.abs(m).max())
    if k > _ENUMERATED:
        raise _NoWay(f"the Hessian is not positive definite on {k} surfaces at once: which slide is not known")
    for modes in sorted(itertools.product((0.0, 1.0, -1.0), repeat=k), key=np.count_nonzero):
        u = np.array(modes)
        inner = np.flatnonzero(u == 0)
        if inner.size:
            block = m[np.ix_(inner, inner)]
            if np.linalg.eigvalsh(block).min() < -scale:  # would be thrown off
                continue
            u[inner] = _solution(block, q[inner] - m[np.ix_(inner, np.flatnonzero(modes))] @ u[np.flatnonzero(modes)])
        w, held = q - m @ u, np.array(modes)
        if np.abs(u).max() <= 1 + _ZERO and (np.abs(w[inner]) <= scale).all() and (held * w >= -scale).all():
            return held
    raise _NoWay("no direction keeps to the inclusion there")


class _Lookout:
    """Looks for the first event of a phase, step by step."""

    def __init__(self, system, signs, t, x):
        self.system, self.signs = system, signs
        self.level = np.where(signs == 0, _ZERO, system.small)
        self.t, self.last = t, system.values(x, signs)
        self.armed = self.last > self.level  # who starts on its surface is looked at once it is off

    def first(self, dense, low, high):
        """``(t, coordinates)`` of the first event in [low, high], None where there is none."""
        for t in np.linspace(low, high, _SAMPLES + 1)[1:]:
            values = self.system.values(dense(t), self.signs)
            if not np.isfinite(values).all():
                raise _NoWay("f or its gradient is not finite there")
            out = np.where(self.armed, values <= 0, values < -self.level)
            if out.any():
                return self._located(dense, np.flatnonzero(out), t)
            self.armed |= values > self.level
            self.t, self.last = t, values
        return None

    def _located(self, dense, who, high):
        from scipy.optimize import brentq

        def value(t, i):
            return self.system.values(dense(t), self.signs)[i]

        roots = []
        for i in who:
            # Not positive at the last look: it has left its surface since and come back, or went out at once.
            looks = self.t + (high - self.t) * np.append(0.0, 0.5 ** np.arange(1, 40))
            low = next((t for t in looks if value(t, i) > 0), None)
            if low is None:
                roots.append(self.t)
                continue
            close = max(1e-18 * abs(high), 1e-300)  # for a root at 0, which rtol does not end
            found: Any = brentq(value, low, high, args=(i,), xtol=close, rtol=np.float64(1e-15), maxiter=_HALVINGS)
            roots.append(found)
        roots = np.array(roots)
        return float(roots.min()), who[roots <= roots.min() + 1e-13 * abs(high)]
