"""SciPy's two contracts: ``minimize(method=...)`` and ``solve_ivp(method=...)``.

For the second there are, beside classes made of the package's schemes and optimizers, the stabilised solvers
``RKC2`` and ``ROCK2`` for large parabolic problems.

Loaded on first use (``odeopt.interop``, ``odeopt.minimize``): it imports ``scipy.optimize`` and
``scipy.integrate``.
"""

from ..reference.stabilized import RKC2, ROCK2
from .auto_lr import auto_lr
from .minimize import MinimizeMethod, minimize, minimize_method
from .solver import solver_class

__all__ = ["RKC2", "ROCK2", "MinimizeMethod", "auto_lr", "minimize", "minimize_method", "solver_class"]
