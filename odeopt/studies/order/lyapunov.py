"""Lyapunov monitors: energies that theory says never increase, recorded along runs and flows.

===================== ======================= ============================================================
name                  belongs to              energy (d = x - x*, w = x', gap = f - f*)
===================== ======================= ============================================================
"gap"                 gradient flow           gap
"gradient-convex"     gradient flow           t gap + |d|^2/2                  so gap <= R^2/(2 t)
"gradient-strong"     gradient flow           e^{2 mu t} gap                   f mu-strongly convex
"mechanical"          x'' + a x' + g = 0      gap + |w|^2/2
"heavy-ball-strong"   x'' + 2 sqrt(mu) x'     e^{sqrt(mu) t} (gap + |w + sqrt(mu) d|^2/2)
                      + g = 0
"heavy-ball-fast"     the same                e^{(4/3) sqrt(mu) t} (gap + 4/9 mu |d|^2 + 4/3 sqrt(mu) d.w + |w|^2/2)
"nesterov"            x'' + (r/t) x' + g = 0  t^2 gap + (r - 1)^2/2 |d + t w/(r - 1)|^2, r >= 3
"nesterov-discrete"   Nesterov(momentum=None) s (k + 1)^2 gap + 2 |d + (k - 1)/2 (x_k - x_{k-1})|^2 at the
                                              iterates x_k behind the extrapolated points, lr = s <= 1/L
===================== ======================= ============================================================

A discretisation keeps such an energy only as far as its step allows (gradient descent keeps the first
two for lr <= 1/L); the monitor reports the first step at which it rose.

Sources: Su, Boyd, Candes, arXiv:1503.01243, theorems 3 and 5; Beck, Teboulle (2009), lemma 4.1 with
t_k = (k + 2)/2, for the discrete one; Wilson, Recht, Jordan,
arXiv:1611.02635, and Sanz-Serna, Zygalakis, arXiv:2009.00673, for the heavy ball; for gradient flow,
arXiv:1702.06751, proposition 11.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from ... import checks
from ...discretization import Discretization
from ...flows import Flow
from ...method import Method
from ...optimizers import Nesterov
from ...problems import Problem
from ...problems.base import checked
from ...reference.reference import reference
from ..base import Study, ended
from ..inner import inner_run


def _gap(t, gap, d, w, c):
    return gap


def _gradient_convex(t, gap, d, w, c):
    return t * gap + 0.5 * (d * d).sum(axis=1)


def _gradient_strong(t, gap, d, w, c):
    return np.exp(2 * c["mu"] * t) * gap


def _mechanical(t, gap, d, w, c):
    return gap + 0.5 * (w * w).sum(axis=1)


def _heavy_ball_strong(t, gap, d, w, c):
    root = math.sqrt(c["mu"])
    q = w + root * d
    return np.exp(root * t) * (gap + 0.5 * (q * q).sum(axis=1))


def _heavy_ball_fast(t, gap, d, w, c):
    # The rate 4/3 sqrt(mu) of the worst case; the form is positive only together with gap >= mu |d|^2/2.
    root = math.sqrt(c["mu"])
    form = 4 / 9 * c["mu"] * (d * d).sum(axis=1) + 4 / 3 * root * (d * w).sum(axis=1) + 0.5 * (w * w).sum(axis=1)
    return np.exp(4 / 3 * root * t) * (gap + form)


def _nesterov(t, gap, d, w, c):
    r = c.get("r", 3.0)
    q = d + t[:, None] * w / (r - 1)
    return t * t * gap + 0.5 * (r - 1) ** 2 * (q * q).sum(axis=1)


ENERGIES = {
    "gap": (_gap, False, ()),
    "gradient-convex": (_gradient_convex, False, ()),
    "gradient-strong": (_gradient_strong, False, ("mu",)),
    "mechanical": (_mechanical, True, ()),
    "heavy-ball-strong": (_heavy_ball_strong, True, ("mu",)),
    "heavy-ball-fast": (_heavy_ball_fast, True, ("mu",)),
    "nesterov": (_nesterov, True, ()),
    "nesterov-discrete": (None, True, ()),
}


@dataclass(frozen=True, eq=False, repr=False)
class Lyapunov(Study):
    """An energy along a run or a flow.

    Attributes
    ----------
    method, problem, name : str
    k : (R,) int64
        Step (record number for a flow).
    t, energy, bound : (R,) arrays
        Flow time; the energy; the bound on f - f* that a non-increasing energy gives (nan where the energy
        gives none).
    gap : (R,) array
        f - f*.
    violation : int
        First step that the energy rose in, by more than ``tolerance`` times its start; -1: never.
    largest_rise : float
        Largest increase over one record beyond the round-off of f, relative to the start (negative: none).
    tolerance : float
    """

    axes = "k t energy bound gap: R"

    method: str
    problem: str
    name: str
    k: np.ndarray = field(metadata={"dtype": np.int64})
    t: np.ndarray
    energy: np.ndarray
    bound: np.ndarray
    gap: np.ndarray
    violation: int
    largest_rise: float
    tolerance: float

    @property
    def holds(self):
        """Whether the energy never rose."""
        return self.violation < 0

    def rows(self):
        """One line."""
        return [{"method": self.method, "energy": self.name, "start": float(self.energy[0]),
                 "end": float(self.energy[-1]), "largest rise": self.largest_rise,
                 "first violation": "none" if self.holds else f"step {self.violation}"}]

    def headline(self):
        said = "never rose" if self.holds else f"rose in step {self.violation}"
        return f"energy {self.name!r} along {self.method} on {self.problem}: {said}{ended(self.status)}"


def lyapunov(method: Method | Flow, problem: Problem, x0: ArrayLike | None = None, steps: int = 1000, *,
             energy: str | None = None, t_end: float | None = None, mu: float | None = None,
             minimiser: ArrayLike | None = None, tolerance: float = 1e-10) -> Lyapunov:
    """Record an energy along a run, or along a flow itself.

    Parameters
    ----------
    method : Optimizer, Discretization or Flow
    problem : Problem
    x0 : (n,) array, optional
    steps : int
        Steps of the run; for a Flow the number of equal intervals of ``t_end`` at which it is looked at.
    energy : str, optional
        A name of the module's table; default: the one for convex f that belongs to the flow.
    t_end : float
        For a Flow: its end.
    mu : float, optional
        Strong convexity, for the energies that need it.
    minimiser : (n,) array, optional
        x* (default: the problem's first minimum).
    tolerance : float
        Rises up to this times the energy at the start count as round-off (of the reference, for a Flow).

    Returns
    -------
    Lyapunov

    Raises
    ------
    ValueError
        No minimiser known; an energy that needs x' for a method without velocity; ``mu`` or
        ``t_end`` missing.
    """
    checked(problem)
    tolerance = checks.real("tolerance", tolerance, 0.0)
    steps = checks.integer("steps", steps, 1)
    checks.memory("steps", 8 * problem.dim * steps)
    flow = method if isinstance(method, Flow) else getattr(method, "flow", None)
    if not isinstance(flow, Flow):
        raise TypeError(f"method must be a Flow, a Discretization or an Optimizer with a flow, "
                        f"got {checks.shown(method)}")
    if energy is None:
        if not flow.energy:
            raise ValueError(f"energy must be given for {flow.name}: one of {', '.join(map(repr, ENERGIES))}")
        energy = flow.energy
    checks.choice("energy", energy, ENERGIES)
    function, needs_velocity, needs = ENERGIES[energy]
    if needs_velocity and flow.order_of_position != 2:
        raise ValueError(f"energy must be one without velocity for {flow.name}, got {checks.shown(energy)}")
    mu = checks.real_or_none("mu", mu, low=0.0, open_low=True)
    if "mu" in needs and mu is None:
        raise ValueError(f"mu must be given for the energy {energy!r}")
    if t_end is not None and not isinstance(method, Flow):
        raise ValueError(f"t_end must be None for a method that takes steps, got {checks.shown(t_end)}")
    if minimiser is None and not problem.minima:
        raise ValueError(f"minimiser must be given: problem {problem.name!r} knows none")
    star = checks.point("minimiser", problem.minima[0] if minimiser is None else minimiser, problem.dim)
    k, t, z, status = _states(method, flow, problem, x0, steps, t_end)
    x = z[:, 0]
    f_star = problem.fun(star)
    f = np.array([problem.fun(p) for p in x]) - f_star
    d, w = x - star, z[:, 1] if z.shape[1] > 1 else np.zeros_like(x)
    constants = {"mu": mu, "r": flow.constants.get("r", 3.0)}
    if energy == "nesterov-discrete":
        values, f, bound = _discrete_nesterov(method, problem, k, x, w, star)
    else:
        values = function(t, f, d, w, constants)
        bound = _bound(energy, t, values[0], constants)
    # f carries round-off, which the weights e^{2 mu t}, t^2 magnify: only a rise beyond it counts.
    noise = 16 * np.finfo(float).eps * np.maximum(np.abs(f + f_star), abs(f_star))
    if function is not None:
        noise = function(t, noise, 0 * d, 0 * w, constants)
    else:
        noise = noise * method.lr * (k + 1.0) ** 2  # pyright: ignore[reportAttributeAccessIssue]
    rise = np.diff(values) - noise[1:] - noise[:-1]
    rise = rise / abs(values[0]) if values[0] != 0 else rise
    above = np.flatnonzero(~(rise <= tolerance))
    return Lyapunov(method.name if isinstance(method, Flow) else repr(method), problem.name, energy, k, t, values,
                    bound, f, int(k[above[0] + 1]) if above.size else -1,
                    float(rise.max()) if rise.size else 0.0, tolerance, status=status)


def _states(method, flow, problem, x0, steps, t_end):
    """``(k, t, z, status)`` with z (R, rows, n) in the flow's units."""
    if isinstance(method, Flow):
        if t_end is None:
            raise ValueError("t_end must be given for a Flow (flow time > 0)")
        t = np.linspace(0.0, checks.real("t_end", t_end, 0.0, open_low=True), steps + 1)
        solution = reference(method, problem, x0, t_end, rtol=1e-12, atol=1e-13, check=False)
        if not solution.success:
            raise ValueError(f"t_end must be a time that the flow reaches: {solution.message}")
        return np.arange(steps + 1), t, solution.state(t), "completed"
    run = inner_run(method, problem, x0, steps, memory=True)
    if isinstance(method, Discretization):
        return run.k, run.t, np.concatenate([run.x[:, None], run.memory], axis=1), run.status
    z = np.array([method.to_flow(x, s) for x, s in zip(run.x, run.memory)])
    return run.k, run.t + method.t0, z, run.status


def _bound(energy, t, start, c):
    """The bound on f - f* that follows from energy <= start."""
    with np.errstate(divide="ignore", invalid="ignore"):  # at t = 0
        if energy in ("gap", "mechanical"):
            return np.full(t.shape, start)
        if energy == "gradient-convex":
            return start / t
        if energy == "gradient-strong":
            return start * np.exp(-2 * c["mu"] * t)
        if energy == "heavy-ball-strong":
            return start * np.exp(-math.sqrt(c["mu"]) * t)
        if energy == "heavy-ball-fast":
            # minimise the form over w, then use gap >= mu |d|^2/2: V >= gap - 4/9 mu |d|^2 >= gap/9
            return 9 * start * np.exp(-4 / 3 * math.sqrt(c["mu"]) * t)
        return start / (t * t)


def _discrete_nesterov(method, problem, k, y, w, star):
    """The energy of the iterates x_k of the textbook form, whose extrapolation is where the optimizer stands."""
    if not isinstance(method, Nesterov) or method.momentum is not None:
        raise ValueError(f"energy 'nesterov-discrete' belongs to Nesterov(momentum=None), got {checks.shown(method)}")
    v = w * method.h
    x = method.behind(k, y, v[:, None])  # the optimizer stands at the extrapolated point
    z = x + ((k - 1.0) / 2)[:, None] * v
    z[0] = x[0]
    gap = np.array([problem.fun(p) for p in x]) - problem.fun(star)
    scale = k + 1.0
    energy = method.lr * scale**2 * gap + 2 * ((z - star) ** 2).sum(axis=1)
    with np.errstate(divide="ignore"):
        bound = 2 * ((x[0] - star) ** 2).sum() / (method.lr * scale**2)
    return energy, gap, bound
