"""Continuous-time systems: the vector fields that optimizers discretise."""

from .adam import adam_flow
from .averaged_gradient import averaged_gradient_flow
from .base import Flow
from .gradient import gradient_flow
from .heavy_ball import heavy_ball_flow
from .nesterov import nesterov_flow
from .rmsprop import rmsprop_flow

ALL = {
    "gradient": gradient_flow,
    "averaged-gradient": averaged_gradient_flow,
    "heavy-ball": heavy_ball_flow,
    "nesterov": nesterov_flow,
    "rmsprop": rmsprop_flow,
    "adam": adam_flow,
}

__all__ = ["ALL", "Flow", *(factory.__name__ for factory in ALL.values())]
