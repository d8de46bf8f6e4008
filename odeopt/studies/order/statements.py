"""The equivalences of the package as data: each claim with its two sides, executed by :func:`equivalences`."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ... import checks
from ...discretization import Discretization
from ...flows import bregman_flow, gradient_flow, heavy_ball_flow, look_ahead_flow, nesterov_flow
from ...optimizers import Adam, ErrorControlledEuler, GradientDescent, Momentum, NAdam, Nesterov, RMSprop, SignGD
from ...problems import log_cosh_valley, quadratic, sine_bowl
from ...schemes import (
    chebyshev_steps,
    coasting_euler,
    explicit_euler,
    runge_kutta_chebyshev,
    semi_implicit_euler,
    stormer_verlet,
)
from ..base import Study
from ..inner import gather, partial_results
from .equivalence import Side, deviation, own_scheme, two_step


@dataclass(frozen=True)
class Statement:
    """A claim: ``sides(problem) -> (first, second)`` agree on ``problem()`` over ``steps`` up to ``tolerance``."""

    claim: str
    sides: Callable
    problem: Callable
    steps: int
    tolerance: float
    source: str = ""


def _verlet(problem, a=0.4, h=0.2):
    half = 0.5 * a * h
    lr, mu = h * h / (1 + half), (1 - half) / (1 + half)
    momentum = Momentum(lr=lr, momentum=mu, reading="stormer_verlet")
    return momentum, lr, mu, Side(Discretization(heavy_ball_flow(a), stormer_verlet, h))


def _momentum_two_step(problem):
    momentum, lr, mu, _ = _verlet(problem)
    return Side(momentum, "consistent"), Side(two_step(lr, mu, 0.5))


def _two_step_verlet(problem):
    _, lr, mu, verlet = _verlet(problem)
    return Side(two_step(lr, mu, 0.5)), verlet


def _momentum_verlet(problem):
    momentum, _, _, verlet = _verlet(problem)
    return Side(momentum, "consistent"), verlet


def _forms(problem, lr=0.02, mu=0.8):
    return (Side(Momentum(lr=lr, momentum=mu)), Side(Momentum(lr=lr / (1 - mu), momentum=mu, form="ema")))


def _torch_form(problem, lr=0.02, mu=0.8):
    return Side(Momentum(lr=lr, momentum=mu)), Side(Momentum(lr=lr, momentum=mu, form="torch"))


def _nesterov_semi_implicit(problem, L=6.0, kappa=16.0):
    d = 1 / (math.sqrt(kappa) + 1)
    b = 1 - 2 * d
    flow = Discretization(look_ahead_flow(d, b, 1 / L), semi_implicit_euler, 1.0)
    # Nesterov's optimizer stands at the extrapolated point q + b p; its slot is p.
    nesterov = Nesterov(lr=1 / L, momentum=b)
    return Side(nesterov, observe=lambda x, s: nesterov.behind(1, x, s)), Side(flow)


def _nesterov_textbook(problem, lr=0.1):
    def textbook(problem, x0, steps):
        x, y = x0.copy(), [x0.copy()]
        for k in range(steps):
            new = y[-1] - lr * problem.grad(y[-1])
            y.append(new + k / (k + 3) * (new - x))
            x = new
        return y

    return Side(Nesterov(lr=lr, momentum=None)), Side(textbook)


def _nesterov_coasting(problem, lr=0.01):
    nesterov = Nesterov(lr=lr, momentum=None)
    return Side(nesterov), Side(Discretization(nesterov.flow, coasting_euler("memory"), nesterov.h, t0=nesterov.t0))


def _chebyshev_damped(problem, mu=1.0, L=30.0, stages=8):
    from ..stability.optimal_parameters import rkc

    steps = np.tile(chebyshev_steps(mu, L, stages), 12)
    return (Side(Discretization(gradient_flow(), explicit_euler, steps), every=stages),
            Side(rkc(mu, L, stages).optimizer))


def _chebyshev_undamped(problem, L=30.0, stages=8):
    steps = np.tile(chebyshev_steps(0.0, L, stages), 12)
    scheme = runge_kutta_chebyshev(stages, 0.0)
    return (Side(Discretization(gradient_flow(), explicit_euler, steps), every=stages),
            Side(Discretization(gradient_flow(), scheme, 2 * stages**2 / L)))


def _dilation(problem, p=3.0, step=0.05):
    return (Side(bregman_flow(p), times=lambda n: n * step),
            Side(bregman_flow(2.0), times=lambda n: (n * step) ** (p / 2)))


def _bregman_nesterov(problem, step=0.1):
    return Side(bregman_flow(2.0, 0.25), times=lambda n: n * step), Side(nesterov_flow(), times=lambda n: n * step)


def _principal(problem, h=0.05):
    """GD on a quadratic and the principal flow's exact solution, with its complex logarithm where h c > 1."""

    def principal(problem, x0, steps):
        c, q = np.linalg.eigh(problem.hess(x0))
        rate = np.log((1 - h * c).astype(complex)) / h  # x' = (log(1 - h c)/(h c)) c x, solved
        m = problem.minima[0]
        modes = np.exp(np.outer(h * np.arange(steps + 1), rate)) * (q.T @ (x0 - m))
        return m + (modes @ q.T).real

    return Side(GradientDescent(lr=h)), Side(principal)


_BOWL, _VALLEY = sine_bowl, lambda: log_cosh_valley(10.0)
def _quadratic():
    return quadratic([1.0, 3.0, 11.0, 30.0], seed=3)


STATEMENTS = {
    "momentum-two-step": Statement(
        "momentum is the two-step method x+ = x + mu (x - x-) - lr g", _momentum_two_step, _BOWL, 200, 1e-13,
        "Polyak (1964)"),
    "two-step-verlet": Statement(
        "the two-step method is Störmer–Verlet on x'' + a x' + g = 0", _two_step_verlet, _BOWL, 200, 1e-13,
        "Hairer, Lubich, Wanner, I.1.4"),
    "momentum-verlet": Statement(
        "momentum is Störmer–Verlet on x'' + a x' + g = 0", _momentum_verlet, _BOWL, 200, 1e-13),
    "momentum-forms": Statement(
        "heavy-ball and running-average momentum have the same iterates", _forms, _VALLEY, 200, 1e-13),
    "momentum-torch": Statement(
        "heavy-ball and torch momentum have the same iterates", _torch_form, _VALLEY, 200, 1e-13),
    "momentum-euler": Statement(
        "momentum is semi-implicit Euler on the heavy ball",
        lambda problem: own_scheme(Momentum(lr=0.01, momentum=0.9), problem), _BOWL, 200, 1e-13),
    "nesterov-euler": Statement(
        "Nesterov's method is semi-implicit Euler with unit step on q'' + 2d q' + g(q + b q')/L = 0",
        _nesterov_semi_implicit, _BOWL, 200, 1e-14, "Muehlebach, Jordan, arXiv:1905.07436"),
    "nesterov-textbook": Statement(
        "Nesterov's method with fading momentum is its three-line textbook form", _nesterov_textbook, _VALLEY, 200,
        1e-13, "Su, Boyd, Candes, arXiv:1503.01243, eq. 1"),
    "chebyshev-rkc": Statement(
        "gradient descent with Chebyshev steps is Runge–Kutta–Chebyshev (damped to fit [mu, L])", _chebyshev_damped,
        _quadratic, 12, 1e-13, "arXiv:1805.07199"),
    "chebyshev-rkc-undamped": Statement(
        "gradient descent with Chebyshev steps for [0, L] is undamped Runge–Kutta–Chebyshev", _chebyshev_undamped,
        _quadratic, 12, 1e-13),
    "bregman-dilation": Statement(
        "Bregman flows are one curve at different speeds: X_3(t) = X_2(t^{3/2})", _dilation, _VALLEY, 100, 1e-10,
        "Wibisono, Wilson, Jordan, arXiv:1603.04245"),
    "bregman-nesterov": Statement(
        "the Bregman flow with p = 2, C = 1/4 is Nesterov's flow", _bregman_nesterov, _VALLEY, 100, 1e-10),
    "principal-flow": Statement(
        "gradient descent on a quadratic lies on the principal flow, also at h c > 1", _principal, _quadratic, 200,
        1e-13, "Rosca et al., arXiv:2302.01952"),
    "rmsprop-euler": Statement(
        "RMSprop is semi-implicit Euler of its flow",
        lambda problem: own_scheme(RMSprop(lr=0.01), problem), _VALLEY, 200, 1e-12),
    "scalar-rmsprop-euler": Statement(
        "one-dimensional RMSprop with one second moment for all is RMSprop ([A000], eq. 13)",
        lambda problem: (Side(RMSprop(lr=0.01)), Side(RMSprop(lr=0.01, form="scalar"))),
        lambda: quadratic([3.0]), 200, 1e-13),
    "adam-euler": Statement(
        "Adam is semi-implicit Euler of its autonomous flow", lambda problem: own_scheme(Adam(lr=0.01), problem),
        _VALLEY, 200, 1e-12),
    "nadam-coasting": Statement(
        "NAdam with constant momentum is semi-implicit Euler of Adam's flow that coasts ahead",
        lambda problem: own_scheme(NAdam(lr=0.01, momentum_decay=None), problem), _VALLEY, 200, 1e-12, "Dozat (2016)"),
    "nesterov-coasting": Statement(
        "Nesterov's method with fading momentum is the same scheme on x'' + (3/t) x' + g = 0", _nesterov_coasting,
        _VALLEY, 200, 1e-12),
    "adam-rmsprop": Statement(
        "Adam without its first memory is bias-corrected RMSprop ([A000]: it is RMSprop plus momentum)",
        lambda problem: (Side(Adam(lr=0.01, beta1=0.0, beta2=0.9)),
                         Side(RMSprop(lr=0.01, eps_mode="outside", bias_correction=True))), _VALLEY, 200, 1e-12),
    "rmsprop-sign": Statement(
        "RMSprop without memory is sign descent",
        lambda problem: (Side(RMSprop(lr=0.01, decay=0.0, eps=0.0)), Side(SignGD(lr=0.01))), _BOWL, 60, 1e-12,
        "[A000], eq. 11 and 15"),
    "sign-error-control": Statement(
        "in one dimension error-controlled Euler is sign descent (on another clock)",
        lambda problem: (Side(ErrorControlledEuler(tol=0.01)), Side(SignGD(lr=0.01))), lambda: quadratic([3.0]), 90,
        1e-13,
        "[A000], eq. 11"),
}


@dataclass(frozen=True, eq=False, repr=False)
class Equivalences(Study):
    """Deviation of each statement; ``holds`` where it is within the tolerance."""

    axes = "name claim steps deviation tolerance: R"

    name: tuple
    claim: tuple
    steps: np.ndarray
    deviation: np.ndarray
    tolerance: np.ndarray

    @property
    def holds(self):
        """(R,) bool."""
        return self.deviation <= self.tolerance

    def rows(self):
        """One dict per statement."""
        return [{"statement": c, "steps": int(n), "largest deviation": float(d), "tolerance": float(t),
                 "holds": "yes" if d <= t else "NO"}
                for c, n, d, t in zip(self.claim, self.steps, self.deviation, self.tolerance)]

    def headline(self):
        return f"{int(self.holds.sum())} of {len(self.claim)} equivalences hold to their tolerance"


@partial_results
def equivalences(names: Sequence[str] | None = None, *, progress: bool = False) -> Equivalences:
    """Execute the statements ``names`` (default: all of :data:`STATEMENTS`)."""
    names = list(STATEMENTS) if names is None else [
        checks.choice("names", n, STATEMENTS) for n in checks.some("names", names)]

    def work(name):
        statement = STATEMENTS[name]
        problem = statement.problem()
        first, second = statement.sides(problem)
        return deviation(first, second, problem, statement.steps)

    done, _ = gather(names, work, progress=progress)
    kept = [STATEMENTS[n] for n in names[: len(done)]]
    return Equivalences(tuple(names[: len(done)]), tuple(s.claim for s in kept),
                        np.array([float(s.steps) for s in kept]),
                        np.array(done), np.array([s.tolerance for s in kept]))
