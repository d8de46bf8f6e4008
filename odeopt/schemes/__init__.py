"""Generic one-step integrators of any :class:`~odeopt.flows.Flow`."""

from .armijo import BACKTRACKING, armijo_euler
from .base import Scheme
from .catching_up import catching_up_euler
from .chebyshev import chebyshev_steps, silver_steps
from .coasting import coasting_euler
from .euler import explicit_euler
from .exponential_euler import exponential_euler
from .implicit_euler import implicit_euler
from .linearly_implicit_euler import linearly_implicit_euler
from .partitioned import partitioned_euler
from .rkc import rkc, runge_kutta_chebyshev
from .runge_kutta import dormand_prince, explicit_runge_kutta, heun, heun_euler, rk4
from .sam import sam
from .semi_implicit import look_ahead_euler, semi_implicit_euler
from .stormer_verlet import stormer_verlet

ALL = {
    "explicit-euler": explicit_euler,
    "semi-implicit-euler": semi_implicit_euler,
    "look-ahead-euler": look_ahead_euler,
    "stormer-verlet": stormer_verlet,
    "heun": heun,
    "rk4": rk4,
    "implicit-euler": implicit_euler,
    "linearly-implicit-euler": linearly_implicit_euler,
    "heun-euler": heun_euler,
    "dormand-prince": dormand_prince,
    "rkc": rkc,
    "exponential-euler": exponential_euler,
}

__all__ = [
    "ALL", "armijo_euler", "BACKTRACKING", "catching_up_euler", "chebyshev_steps", "coasting_euler",
    "dormand_prince", "explicit_euler", "explicit_runge_kutta", "exponential_euler", "heun", "heun_euler",
    "implicit_euler", "linearly_implicit_euler", "look_ahead_euler", "partitioned_euler", "rk4", "rkc",
    "runge_kutta_chebyshev", "sam", "Scheme", "semi_implicit_euler", "silver_steps", "stormer_verlet",
]  # fmt: skip
