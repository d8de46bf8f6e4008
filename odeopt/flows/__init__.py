"""Continuous-time systems: the vector fields that optimizers discretise."""

from .adadelta import adadelta_flow
from .adagrad import adagrad_flow
from .adam import adam_flow
from .adamax import adamax_flow
from .amsgrad import amsgrad_flow
from .averaged_gradient import averaged_gradient_flow
from .base import Flow
from .bregman import bregman_flow
from .clipped import clipped_flow
from .gradient import gradient_flow
from .heavy_ball import heavy_ball_flow
from .high_resolution import high_resolution_flow, high_resolution_start, nag_sc_flow
from .linear import linear_test_flow, linear_test_problem
from .look_ahead import look_ahead_flow
from .modified import ModifiedFlow, mean_age, modified_gradient_flow, modified_root_flow
from .muon import muon_flow
from .nadam import nadam_flow
from .nesterov import nesterov_flow
from .newton import newton_flow
from .normalized import normalized_flow
from .polyak import polyak_flow
from .rmsprop import rmsprop_flow
from .sam import sam_flow
from .shampoo import shampoo_flow
from .sign import sign_flow
from .sign_inclusion import SignInclusion, sign_inclusion
from .sign_of_mean import SignOfMean, sign_of_mean
from .soap import soap_flow

ALL = {
    "gradient": gradient_flow,
    "averaged-gradient": averaged_gradient_flow,
    "heavy-ball": heavy_ball_flow,
    "nesterov": nesterov_flow,
    "nag-sc": nag_sc_flow,
    "high-resolution": high_resolution_flow,
    "bregman": bregman_flow,
    "look-ahead": look_ahead_flow,
    "linear-test": linear_test_flow,
    "rmsprop": rmsprop_flow,
    "adam": adam_flow,
    "muon": muon_flow,
    "shampoo": shampoo_flow,
    "soap": soap_flow,
    "nadam": nadam_flow,
    "amsgrad": amsgrad_flow,
    "adamax": adamax_flow,
    "adagrad": adagrad_flow,
    "adadelta": adadelta_flow,
    "sign": sign_flow,
    "sign-inclusion": sign_inclusion,
    "sign-of-mean": sign_of_mean,
    "normalized": normalized_flow,
    "polyak": polyak_flow,
    "newton": newton_flow,
    "sam": sam_flow,
}

__all__ = [
    "adadelta_flow", "adagrad_flow", "adam_flow", "adamax_flow", "ALL", "amsgrad_flow",
    "averaged_gradient_flow", "bregman_flow", "clipped_flow", "Flow", "gradient_flow", "heavy_ball_flow",
    "high_resolution_flow", "high_resolution_start", "linear_test_flow", "linear_test_problem",
    "look_ahead_flow", "mean_age", "modified_gradient_flow", "modified_root_flow", "ModifiedFlow", "muon_flow",
    "nadam_flow", "nag_sc_flow", "nesterov_flow", "newton_flow", "normalized_flow", "polyak_flow", "rmsprop_flow",
    "sam_flow", "shampoo_flow", "sign_flow", "sign_inclusion", "SignInclusion", "sign_of_mean", "SignOfMean",
    "soap_flow",
]  # fmt: skip
