"""``solver_class``: the package's schemes and optimizers as methods of SciPy's ``solve_ivp``."""

from typing import Any

from .. import checks
from ..discretization import Discretization
from ..optimizers import Optimizer
from ..problems import Problem
from ..reference.scheme_solvers import RungeKuttaSolver, SchemeSolver, tableau
from ..schemes import Scheme
from .flow_solvers import made


def solver_class(method: Any, problem: Problem | None = None, *, rows: int = 1, start: str = "cold") -> type:
    """A class for ``solve_ivp(fun, span, y0, method=...)``.

    Parameters
    ----------
    method : Scheme, Discretization or Optimizer
        - Scheme: integrates whatever ``fun`` it is given, like SciPy's own methods. Partitioned
          schemes (semi-implicit Euler, look-ahead) need ``rows``. Explicit Runge-Kutta schemes also
          integrate complex states.
        - Discretization: its scheme on its flow with its step, compiled.
        - Optimizer: its own update, one gradient per step; the last step, which must land on the end
          of the interval, is a shorter step of its scheme on its flow (of NAdam, which has no
          scheme: the part of the step that fits in).
    problem : Problem
        Required for a Discretization and an Optimizer: SciPy hands over the field, not the
        gradient. ``fun`` must be that flow's field, and is compared with it at the start.
    rows : int, default 1
        For a Scheme: y is a (rows, n) state, flattened: position, then memory.
    start : {"cold", "consistent"}
        For an Optimizer: which slots belong to ``y0``.

    Returns
    -------
    type
        A subclass of ``scipy.integrate.OdeSolver``. The options of ``solve_ivp`` that it takes are
        below; others draw SciPy's warning that they have no effect.

        ==================================== =======================================================
        Scheme or Discretization, equal      ``first_step``, ``max_step``, ``min_step``; a Scheme:
        steps                                ``step``, default a hundredth of the interval
        the same with error control          ``rtol``, ``atol`` (numbers or one for each component;
                                             a Discretization brings its own), ``first_step`` (a
                                             Scheme's default: Hairer, Norsett, Wanner I, section
                                             II.4), ``max_step``, ``min_step``
        Optimizer                            none: its hyperparameters are its steps
        ==================================== =======================================================

    Raises
    ------
    TypeError, ValueError
        Here: another kind of method, a problem missing or too many. From ``solve_ivp``: a field
        that is not the method's flow; ``y0`` that is not the optimizer's start; an interval run
        backwards by an Optimizer; options out of range; equal steps to infinity without a ``step``.

    Notes
    -----
    ``nfev`` counts evaluations of the field by a Scheme, and of the gradient by the other two.

    Dense output is the method's own extension of order 4 for Dormand-Prince (no evaluation), and the
    cubic Hermite interpolant elsewhere, of order 3: below RK4's, so for that one values inside long
    steps are less accurate than the steps themselves. It costs one evaluation per step (and one more at
    the first), which the next step of an explicit Runge-Kutta Scheme saves again. For an Optimizer
    its slopes are limited so that no component leaves the interval between its two ends (Fritsch,
    Carlson, SIAM J. Numer. Anal. 17 (1980) 238): the flow may start with a slope that the first step
    does not see, or with none.

    A state that is not finite ends the run with ``status`` -1.
    """
    checks.choice("start", start, ("cold", "consistent"))
    rows = checks.integer("rows", rows, 1)
    if isinstance(method, Scheme):
        if problem is not None:
            raise ValueError("problem must be None for a Scheme, which integrates the fun it is given "
                             "(use Discretization(flow, scheme, h) for a flow of a problem)")
        if method.check is not None:
            raise ValueError(f"method must be a Scheme that needs nothing but the field, and {method.name} needs more")
        base = SchemeSolver if tableau(method) is None or rows != 1 else RungeKuttaSolver
        return type("SchemeSolver", (base,), {"scheme": method, "rows": rows})
    if not isinstance(method, (Discretization, Optimizer)):
        raise TypeError(f"method must be a Scheme, Discretization or Optimizer, got {type(method).__name__}")
    if problem is None:
        raise ValueError("problem must be given: solve_ivp hands over the field, not the gradient")
    if rows != 1:
        raise ValueError(f"rows must be 1 for a {type(method).__name__}, which knows its own, got {rows}")
    return made(method, problem, start)
