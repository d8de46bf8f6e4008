"""Generic one-step integrators of any :class:`~odeopt.flows.Flow`."""

from .base import Discretization, Scheme
from .euler import explicit_euler
from .implicit_euler import implicit_euler
from .runge_kutta import dormand_prince, explicit_runge_kutta, heun, heun_euler, rk4
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
    "heun-euler": heun_euler,
    "dormand-prince": dormand_prince,
}

__all__ = ["ALL", "Discretization", "Scheme", "explicit_runge_kutta", *(k.replace("-", "_") for k in ALL)]
