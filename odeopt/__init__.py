"""odeopt: every optimizer is a one-step discretisation of a continuous-time flow.

Write it (``odeopt.optimizers``), run it fast (:func:`record`), and measure how far it is from
that flow (:func:`compare`, :func:`convergence`).
"""

import importlib

from . import flows, optimizers, problems, schedules, schemes
from .discretization import Discretization
from .optimizers import *  # noqa: F403 - the registry decides which optimizers there are
from .problems import Problem
from .record import record
from .reference import Reference, reference
from .trajectory import Trajectory

__version__ = "0.1.0"

# Loaded on first use: these import scipy or matplotlib.
_LAZY = {
    "compare": "studies.comparison",
    "Comparison": "studies.comparison",
    "convergence": "studies.convergence",
    "Convergence": "studies.convergence",
    "order_certificates": "studies.certificates",
    "modified_flow": "studies.modified",
    "modified_convergence": "studies.modified",
    "step_control": "studies.controllers",
    "central_flow": "studies.central",
    "work_precision": "studies.workprecision",
    "minimize": "interop.minimize",
    "ensemble": "studies.ensemble",
    "Ensemble": "studies.ensemble",
    "sweep": "studies.ensemble",
    "amplification_matrix": "studies.amplification",
    "stability_limit": "studies.stability",
    "stability_region": "studies.regions",
    "spectral_radius_map": "studies.regions",
    "period_two_orbit": "studies.periodic",
    "step_jacobian": "studies.periodic",
    "deviation": "studies.equivalence",
    "equivalences": "studies.statements",
    "lyapunov": "studies.lyapunov",
    "restarted": "studies.restart",
    "tune": "studies.tuning",
    "basins": "studies.basins",
    "directions": "studies.directions",
    "train": "studies.training",
    "learning_rate_decay": "studies.training",
    "sample": "stochastic",
    "kernels": None,
    "stochastic": None,
    "studies": None,
    "plotting": None,
    "interop": None,
}


def __getattr__(name):
    if name not in _LAZY:
        raise AttributeError(f"module 'odeopt' has no attribute {name!r}")
    module = importlib.import_module(f".{_LAZY[name] or name}", __name__)
    value = getattr(module, name) if _LAZY[name] else module
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *_LAZY])


__all__ = ["Discretization", "Problem", "Reference", "Trajectory", "flows", "optimizers", "problems", "record",
           "reference", "schedules", "schemes", *optimizers.__all__, *_LAZY]
