"""odeopt: every optimizer is a one-step discretisation of a continuous-time flow.

Write it (``odeopt.optimizers``), run it fast (:func:`record`), and measure how far it is from
that flow (:func:`compare`, :func:`convergence`). Docstrings name their sources by arXiv number, by authors and
year, or by a key such as [A000]: ``docs/references.md`` of the repository lists them.
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import flows, moved, optimizers, problems, schedules, schemes
from .discretization import Discretization
from .engine.checkpoint import load_checkpoint, save_checkpoint
from .engine.record import record
from .engine.trajectory import Trajectory
from .explore import explore
from .optimizers import *  # noqa: F403 - the registry decides which optimizers there are
from .optimizers import Optimizer as Optimizer
from .optimizers import State as State
from .problems import Problem
from .reference.reference import Reference, reference

__version__ = "0.1.0"
moved.install()

if TYPE_CHECKING:  # loaded on first use, below: these import scipy or matplotlib
    from . import interop, kernels, plotting, stochastic, studies
    from .interop.minimize import minimize
    from .stochastic import sample
    from .studies.networks.training import learning_rate_decay, train
    from .studies.order.certificates import order_certificates
    from .studies.order.comparison import Comparison, compare
    from .studies.order.convergence import Convergence, convergence
    from .studies.order.directions import directions
    from .studies.order.equivalence import deviation
    from .studies.order.lyapunov import lyapunov
    from .studies.order.modified import modified_convergence, modified_flow
    from .studies.order.statements import equivalences
    from .studies.order.work_precision import work_precision
    from .studies.search.basins import basins
    from .studies.search.ensemble import Ensemble, ensemble, sweep
    from .studies.search.lr_search import tune
    from .studies.stability.amplification import amplification_matrix
    from .studies.stability.central import central_flow
    from .studies.stability.limits import stability_limit
    from .studies.stability.periodic import period_two_orbit, step_jacobian
    from .studies.stability.regions import spectral_radius_map, stability_region
    from .studies.stability.restart import restarted
    from .studies.stability.step_control import step_control

# module -> the names that are loaded from it on first use; "" for modules. As above, which a test sees to.
_LAZY = {
    "": "interop kernels plotting stochastic studies",
    "interop.minimize": "minimize",
    "stochastic": "sample",
    "studies.networks.training": "learning_rate_decay train",
    "studies.order.certificates": "order_certificates",
    "studies.order.comparison": "Comparison compare",
    "studies.order.convergence": "Convergence convergence",
    "studies.order.directions": "directions",
    "studies.order.equivalence": "deviation",
    "studies.order.lyapunov": "lyapunov",
    "studies.order.modified": "modified_convergence modified_flow",
    "studies.order.statements": "equivalences",
    "studies.order.work_precision": "work_precision",
    "studies.search.basins": "basins",
    "studies.search.ensemble": "Ensemble ensemble sweep",
    "studies.search.lr_search": "tune",
    "studies.stability.amplification": "amplification_matrix",
    "studies.stability.central": "central_flow",
    "studies.stability.limits": "stability_limit",
    "studies.stability.periodic": "period_two_orbit step_jacobian",
    "studies.stability.regions": "spectral_radius_map stability_region",
    "studies.stability.restart": "restarted",
    "studies.stability.step_control": "step_control",
}
_HOMES = {name: module for module, names in _LAZY.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'odeopt' has no attribute {name!r}")
    module = importlib.import_module(f".{_HOMES[name] or name}", __name__)
    value = getattr(module, name) if _HOMES[name] else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


__all__ = [
    "amplification_matrix", "basins", "central_flow", "compare", "Comparison", "Convergence", "convergence",
    "deviation", "directions", "Discretization", "Ensemble", "ensemble", "equivalences", "explore", "flows", "interop",
    "kernels", "learning_rate_decay", "load_checkpoint", "lyapunov", "minimize", "modified_convergence",
    "modified_flow", "optimizers", "order_certificates", "period_two_orbit", "plotting", "Problem", "problems",
    "record", "Reference", "reference", "restarted", "sample", "save_checkpoint", "schedules", "schemes",
    "spectral_radius_map",
    "stability_limit", "stability_region", "step_control", "step_jacobian", "stochastic", "studies",
    "sweep", "train", "Trajectory", "tune", "work_precision",
]  # fmt: skip
__all__ += optimizers.__all__  # Optimizer, State and each optimizer's class
