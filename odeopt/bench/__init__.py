"""Measurements behind ``odeopt bench``: how fast the loops and kernels are, and next to whom.

Every section returns rows (dicts) and notes (what could not be measured, and why). Times are CPU
times of this process, the best of several repetitions, so that a busy machine disturbs less; peers
run on one thread, in the same process and minute: read the ratios, not the digits.
"""

import time

from . import ensembles, explorer, formulas, kernels, loops, muon, peers, real

SECTIONS = {"loops": loops.rows, "kernels": kernels.rows, "peers": peers.rows, "muon": muon.rows,
            "ensembles": ensembles.rows, "real": real.rows, "formulas": formulas.rows, "explorer": explorer.rows}


def machine():
    """What the numbers depend on."""
    import os
    import platform

    import numba
    import numpy

    return {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count(),
            "python": platform.python_version(), "numpy": numpy.__version__, "numba": numba.__version__,
            "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            "date": time.strftime("%Y-%m-%d %H:%M")}
