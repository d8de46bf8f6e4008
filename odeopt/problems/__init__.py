"""Objectives with exact gradients and Hessian products, known minima, start and plot window.

``ALL`` maps the command line's names to factories; a new problem is one function and one line here.
"""

from .. import checks
from .base import Problem
from .convex import log_cosh_valley, quartic, sine_bowl
from .digits import digits, digits_split
from .least_squares import least_squares
from .logistic import digits_logistic
from .mlp import digits_mlp
from .multimodal import ackley, easom, levy, mccormick, rastrigin, styblinski_tang
from .network import digits_network
from .normalized import angle, normalized_logistic, normalized_mlp, rayleigh
from .plane import beale, goldstein_price, himmelblau, monkey_saddle, six_hump_camel, three_hump_camel
from .quadratic import booth, matyas, quadratic, saddle
from .rosenbrock import rosenbrock

_FACTORIES = (
    quadratic, rosenbrock, beale, himmelblau, booth, matyas, goldstein_price, styblinski_tang,
    rastrigin, ackley, three_hump_camel, six_hump_camel, mccormick, easom, levy, log_cosh_valley,
    saddle, monkey_saddle, quartic, sine_bowl, digits_logistic, digits_mlp, digits_network,
    rayleigh, angle, normalized_logistic, normalized_mlp,
)  # fmt: skip
ALL = {factory.__name__.replace("_", "-"): factory for factory in _FACTORIES}

__all__ = [
    "ackley", "ALL", "angle", "beale", "booth", "by_name", "digits", "digits_logistic", "digits_mlp",
    "digits_network", "digits_split", "easom", "goldstein_price", "himmelblau", "least_squares", "levy",
    "log_cosh_valley",
    "matyas", "mccormick", "monkey_saddle", "normalized_logistic", "normalized_mlp", "Problem", "quadratic",
    "quartic", "rastrigin", "rayleigh", "rosenbrock", "saddle", "sine_bowl", "six_hump_camel",
    "styblinski_tang", "three_hump_camel",
]  # fmt: skip


def by_name(name):
    """The factory of problem ``name`` ('three-hump-camel'); ValueError with the nearest match."""
    key = str(name).lower().replace("_", "-")
    return ALL[key] if key in ALL else ALL[checks.choice("problem", name, ALL)]
