"""Noise models, ensembles of stochastic runs, and the SDEs that they follow.

Kernels stay deterministic: the drivers of this package draw from ``numpy.random.Generator``, one
spawned stream per path, and hand the numbers to the jitted loops. Results therefore do not depend
on the number of threads, on block sizes, or on where a run was cut and resumed.
"""

from .noise import Minibatch, Noise, batch_covariance, diagonal_multiplicative, gaussian, state_dependent, tangent
from .paths import Paths, sample
from .sde import SDE, sde, simulate

__all__ = ["SDE", "Minibatch", "Noise", "Paths", "batch_covariance", "diagonal_multiplicative", "gaussian", "sample",
           "sde", "simulate", "state_dependent", "tangent"]
