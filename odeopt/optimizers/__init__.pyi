# Made by tools/stubs.py from the pages of this folder.
from .adabelief import AdaBelief as AdaBelief
from .adadelta import Adadelta as Adadelta
from .adagrad import Adagrad as Adagrad
from .adagradnorm import AdaGradNorm as AdaGradNorm
from .adam import Adam as Adam
from .adamax import AdaMax as AdaMax
from .adamw import AdamW as AdamW
from .adan import Adan as Adan
from .adaptivegains import AdaptiveGains as AdaptiveGains
from .ademamix import AdEMAMix as AdEMAMix
from .adopt import ADOPT as ADOPT
from .amos import Amos as Amos
from .amsgrad import AMSGrad as AMSGrad
from .barzilaiborwein import BarzilaiBorwein as BarzilaiBorwein
from .clipped import Clipped as Clipped
from .dog import DoG as DoG
from .ema import EMA as EMA
from .errorcontrolledeuler import ErrorControlledEuler as ErrorControlledEuler
from .gradientdescent import GradientDescent as GradientDescent
from .lamb import LAMB as LAMB
from .lion import Lion as Lion
from .momentum import Momentum as Momentum
from .muon import Muon as Muon
from .nadam import NAdam as NAdam
from .nesterov import Nesterov as Nesterov
from .normalizedgd import NormalizedGD as NormalizedGD
from .novograd import NovoGrad as NovoGrad
from .radam import RAdam as RAdam
from .rmsprop import RMSprop as RMSprop
from .rprop import Rprop as Rprop
from .schedulefreeadamw import ScheduleFreeAdamW as ScheduleFreeAdamW
from .schedulefreesgd import ScheduleFreeSGD as ScheduleFreeSGD
from .shampoo import Shampoo as Shampoo
from .signgd import SignGD as SignGD
from .soap import SOAP as SOAP
from .swa import SWA as SWA
from .base import Optimizer as Optimizer
from .state import State as State

ALL: dict[str, type[Optimizer]]
WRAPPERS: dict[str, type[Optimizer]]
ALIASES: dict[str, str]

def by_name(name: str) -> type[Optimizer]: ...
def class_of(key: str, module: str | None = None) -> type[Optimizer]: ...

__all__ = [
    "ADOPT",
    "ALIASES",
    "ALL",
    "AMSGrad",
    "AdEMAMix",
    "AdaBelief",
    "AdaGradNorm",
    "AdaMax",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adan",
    "AdaptiveGains",
    "Amos",
    "BarzilaiBorwein",
    "Clipped",
    "DoG",
    "EMA",
    "ErrorControlledEuler",
    "GradientDescent",
    "LAMB",
    "Lion",
    "Momentum",
    "Muon",
    "NAdam",
    "Nesterov",
    "NormalizedGD",
    "NovoGrad",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SOAP",
    "SWA",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "Shampoo",
    "SignGD",
    "State",
    "WRAPPERS",
    "by_name",
    "class_of",
]
