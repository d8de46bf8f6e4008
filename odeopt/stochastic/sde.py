"""The SDE that a stochastic optimizer follows, and reference integrators for it.

With gradient noise of covariance Sigma(x), one step of flow time h adds noise of variance
h^2 Sigma to what the gradient enters, so the flow z' = F(z) becomes

    dz = F(z) dt + sqrt(h) Sigma(x)^{1/2} dW in the row that the gradient drives.

For SGD this is dX = -g dt + sqrt(lr) Sigma^{1/2} dW, which the iterates follow to weak order 1;
with the drift -grad(f + (lr/4)|g|^2) to weak order 2 (Li, Tai, E, arXiv:1511.06251, theorem 1).
"""

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import abi, checks
from ..abi import kernel
from ..flows import Flow
from ..optimizers import Optimizer
from ..problems import Problem
from ..problems.base import checked
from . import loops
from .noise import Noise
from .paths import Paths, cut_short, ended, flow_times, recorded_steps, start_points
from .streams import Streams, root_sequence, run_blocks

SCHEMES = {"euler_maruyama": loops.euler_maruyama, "weak_second_order": loops.weak_second_order}


@kernel
def modified_gradient(fg, hv, data, t, p, z, dz):
    """p = (h, decay): dx = -G - (h/2) (H + decay) G with G = g + decay x."""
    h, decay = p[0], p[1]
    x, out = z[0], dz[0]
    gradient = np.empty(x.size)
    fg(x, gradient, data)
    for i in range(x.size):
        gradient[i] += decay * x[i]
    hv(x, gradient, out, data)
    for i in range(x.size):
        out[i] = -gradient[i] - 0.5 * h * (out[i] + decay * gradient[i])


def modified_gradient_flow(h, decay=0.0):
    """x' = -grad(F + (h/4)|grad F|^2), F = f + (decay/2)|x|^2: what gradient descent follows to order 2.

    Sources: Barrett, Dherin, arXiv:2009.11162, eq. 5; Li, Tai, E, arXiv:1511.06251.
    """
    return Flow("modified gradient flow", "x' = -(I + (h/2) H) g", modified_gradient, {"h": h, "decay": decay},
                needs_hessian=True)


@dataclass(frozen=True, eq=False, repr=False)
class SDE:
    """dz = F(z) dt + strength L(x) dW in row ``row``.

    Attributes
    ----------
    flow : Flow
        The drift F.
    strength : float
        sqrt(h) times the factor with which the gradient enters the row.
    row : int
        Row of z that the noise drives: 0 the position, 1 the velocity.
    h : float
        Flow time of one step of the optimizer: the unit in which weak errors are measured.
    """

    flow: Flow
    strength: float
    row: int
    h: float
    equation: str = field(default="")

    def __post_init__(self):
        checks.text("equation", self.equation)
        if not isinstance(self.flow, Flow):
            raise TypeError(f"flow must be a Flow, got {checks.shown(self.flow)}")
        object.__setattr__(self, "strength", checks.real("strength", self.strength))
        object.__setattr__(self, "row", checks.integer("row", self.row, 0, self.flow.rows - 1))
        object.__setattr__(self, "h", checks.real("h", self.h, 0.0, open_low=True))

    def __repr__(self):
        return f"<SDE {self.flow.equation} with {self.strength:.6g} L dW in row {self.row}>"


def sde(optimizer: Optimizer, order: int = 1) -> SDE:
    """The SDE of a linear-in-the-gradient optimizer: GradientDescent, Momentum, Nesterov(momentum=...).

    ``order`` 2 gives the second-order modified SDE, which exists here for GradientDescent.
    ValueError for another method: adaptive ones do not add the noise, they divide by its size.
    """
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an Optimizer, got {type(optimizer).__name__}")
    checks.choice("order", order, (1, 2))
    h = optimizer.h
    if optimizer.noise_enters is None:
        raise ValueError("optimizer must be one into which the gradient enters linearly (GradientDescent, Momentum, "
                         f"Nesterov with a constant momentum) to have an SDE with additive noise, got {optimizer!r}")
    row, factor = optimizer.noise_enters
    if order == 2 and row:
        raise ValueError(f"order must be 1 for {optimizer.title}: the modified SDE is for methods without memory")
    flow = optimizer.flow if order == 1 else modified_gradient_flow(h, getattr(optimizer, "weight_decay", 0.0))
    assert flow is not None  # noise enters a flow
    return SDE(flow, float(np.sqrt(h) * factor), row, h)


def simulate(equation: SDE, problem: Problem, noise: Any, x0: ArrayLike | None = None, steps: int = 1000,
             h: float | None = None, *, scheme: str = "weak_second_order", paths: int = 1, seed: Any = 0,
             every: int | None = None, threads: int | None = None, progress: bool = False) -> Paths:
    """Integrate ``paths`` paths of an :class:`SDE` and return their positions as :class:`Paths`.

    Parameters
    ----------
    equation : SDE
    problem : Problem
    noise : Noise
    x0 : (n,) or (paths, n) array, optional
        The memory starts at rest.
    steps : int
    h : float, optional
        Step of the integrator. Default: a quarter of ``equation.h``.
    scheme : {"weak_second_order", "euler_maruyama"}
        Platen's explicit scheme of weak order 2 (stochastic Heun for additive noise), or order 1.
        The former evaluates state-dependent noise 5 m^2 times per step: for few dimensions.
    paths, seed, every, threads, progress
        As in :func:`sample`.

    Returns
    -------
    Paths
        After Ctrl-C those to the step that all had reached, as :func:`sample`; they cannot be resumed.
    """
    if not isinstance(equation, SDE):
        raise TypeError(f"equation must be an SDE, got {type(equation).__name__}")
    if not isinstance(noise, Noise):
        raise TypeError(f"noise must be a Noise, got {type(noise).__name__}")
    checks.choice("scheme", scheme, tuple(SCHEMES))
    steps, paths = checks.integer("steps", steps, 1), checks.integer("paths", paths, 1)
    equation.flow.check(checked(problem))
    h = 0.25 * equation.h if h is None else checks.real("h", h, 0.0, open_low=True)
    every = steps if every is None else checks.integer("every", every, 1)
    k = recorded_steps(steps, every, paths, problem.dim)
    times = flow_times(k, h)
    size = noise.fitted(problem.dim)
    drawn = size if noise.additive or scheme == "euler_maruyama" else size + size * (size - 1) // 2
    additive = int(noise.additive or scheme == "euler_maruyama")
    x = start_points(problem, x0, paths)
    z = np.zeros((paths, equation.flow.rows, problem.dim))
    z[:, 0] = x
    stopped = np.full(paths, -1, dtype=np.int64)
    out = np.full((paths, k.size, problem.dim), np.nan)
    out[:, 0] = x
    step, rhs, compiled = _kernels(equation, problem, scheme)
    loop = loops.runnable(loops.sde_paths, compiled)
    p = equation.flow.p

    def advance(rows, xi, batches, count, now):
        loop(rhs, problem.fg, problem.hv, problem.data, p, 0.0, h, step, noise.kernel, noise.c, equation.strength,
             equation.row, additive, xi, now, every, steps, stopped[rows], z[rows], out[rows])

    streams = Streams(root_sequence(seed), paths, noise, problem)
    reached = run_blocks(advance, streams, [stopped, z], 0, steps, drawn, threads, progress, compiled)
    status, message = ended(stopped, reached, interrupted=reached < steps)
    if reached < steps:
        k, out = cut_short(k, out, reached, z[:, 0], stopped)
        times = flow_times(k, h)
    final = {"k": reached, "every": every, "x": z[:, 0].copy(), "z": z}
    return Paths(k, times, out, stopped, None, status, message,
                    f"{scheme} of {equation!r}", problem.name, repr(noise), final)


def one_step(equation, problem, noise, z, xi, h, scheme="weak_second_order"):
    """The state (rows, n) that one step of ``scheme`` makes of ``z`` with the standard normal numbers ``xi``.

    Deterministic: studies probe the integrators with it. ``xi`` has m entries, m those of the
    noise, or m + m (m - 1)/2 for the second-order scheme with state-dependent noise.
    """
    equation.flow.check(checked(problem))
    z, additive = equation.flow.state("z", z, problem.dim), int(noise.additive or scheme == "euler_maruyama")
    m, h = noise.fitted(problem.dim), checks.real("h", h, 0.0)
    xi = checks.point("xi", xi, m if additive else m + m * (m - 1) // 2)
    w, e = np.empty((3, *z.shape)), np.empty((5, z.shape[1]))
    step, rhs, _ = _kernels(equation, problem, checks.choice("scheme", scheme, tuple(SCHEMES)))
    step(rhs, problem.fg, problem.hv, problem.data, 0.0, equation.flow.p, h, noise.kernel, noise.c,
         equation.strength, equation.row, additive, z, xi, w, e)
    return z


def _kernels(equation, problem, scheme):
    """``(step, rhs, compiled)``: the compiled ones for a compiled loop, or all in the interpreter."""
    step, rhs = SCHEMES[scheme], equation.flow.rhs
    if problem.compiled and equation.flow.compiled:
        return _compiled_step(step), rhs, True
    return step, abi.interpreted(rhs), False


@functools.cache
def _compiled_step(step):
    return abi.kernel(step, abi.SDE_STEP.signature)
