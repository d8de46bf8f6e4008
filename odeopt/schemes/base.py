"""``Scheme``: a one-step method for any flow, and ``Discretization``: a flow, a scheme and a step."""

from dataclasses import dataclass

import numpy as np

from .. import checks

LEAST_ATOL = 1e-100  # in place of an absolute tolerance of 0: a coordinate that is 0 needs a scale, too


@dataclass(frozen=True, eq=False, repr=False)
class Scheme:
    """A one-step integrator.

    Attributes
    ----------
    name : str
    step : kernel STEP
    order : int
        Classical order on smooth flows.
    stages : int
        Gradient evaluations a step (a step that evaluates one gradient twice counts it twice;
        0 where it depends on the step, which then leaves the number in the last row of ``w``).
    work : callable
        ``work(rows) -> int``: rows of workspace that ``step`` needs for a state of ``rows`` rows.
    embedded_order : int
        Order of the embedded error estimator, 0 for schemes without one.
    constants : tuple of float
        The scheme's own constants; the loop appends them to the flow's ``p``.
    check : callable, optional
        ``check(flow, problem)`` raises ValueError for flows that the scheme cannot integrate.
    """

    name: str
    step: object
    order: int
    stages: int
    work: object
    embedded_order: int = 0
    constants: tuple = ()
    check: object = None

    def parameters(self, flow):
        """Flow constants, then the scheme's own: the vector ``p`` of ``step``."""
        return np.concatenate([flow.p, np.array(self.constants, dtype=np.float64)])

    def workspace(self, z):
        """A zeroed workspace for states of the shape of ``z``."""
        return np.zeros((self.work(z.shape[0]), z.shape[1]))

    def __repr__(self):
        return f"<Scheme {self.name}, order {self.order}>"


@dataclass(frozen=True, eq=False)
class Discretization:
    """``scheme`` applied to ``flow`` with step ``h``: what :func:`odeopt.record` runs for a flow.

    Parameters
    ----------
    flow : Flow
    scheme : Scheme
    h : float or (N,) array
        Step in flow time; an array gives the step of each of N steps.
    rtol, atol : float, optional
        For embedded schemes only: with ``rtol`` given, steps are accepted or rejected by the
        local error estimate and ``h`` is the first trial step.
    t0 : float
        Time at the start, for flows whose field depends on it.
    """

    flow: object
    scheme: Scheme
    h: object
    rtol: float | None = None
    atol: float = 1e-9
    t0: float = 0.0

    def __post_init__(self):
        h = np.atleast_1d(np.array(self.h, dtype=np.float64))
        if h.ndim != 1 or not (np.isfinite(h).all() and (h > 0).all()):
            raise ValueError(f"h must be a positive step (or a vector of them), got {self.h!r}")
        if self.rtol is not None:
            checks.real("rtol", self.rtol, 0, 1, open_low=True)
            checks.real("atol", self.atol, 0)
            if not self.scheme.embedded_order:
                raise ValueError(f"rtol needs an embedded scheme, and {self.scheme.name} has no error estimate")

    @property
    def name(self):
        """Scheme and flow in words."""
        return f"{self.scheme.name} on {self.flow.name}"
