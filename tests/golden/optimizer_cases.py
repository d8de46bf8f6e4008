"""What is compared with torch, optax and others: used by make_optimizer_goldens.py and test_parity.py.

Imports neither peer. ``peer`` is the name of the peer's optimizer and its arguments; where it lacks
weight decay as an argument of ours, ``objective_decay`` adds decay * x to the gradient on our side
(which is what the peer's coupled decay is). ``warmup``: steps in which lr grows
linearly to its value, by the peer's own argument or a schedule there. ``averaged``: the average of the iterates is
compared, by torch's AveragedModel around SGD. ``differs`` names a known disagreement: the test then
asserts that the two are *not* equal, so that the day the peer changes is noticed.
"""

from dataclasses import dataclass

import numpy as np

import odeopt as oo

STEPS = 200
KEPT = np.array([1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 40, 60, 80, 100, 120, 140, 160, 180, 200])


def problems():
    """Curved valley, plateau, and a rotated quadratic of condition 1000."""
    return {
        "rosenbrock": (oo.problems.rosenbrock(), np.array([-1.2, 1.0])),
        "beale": (oo.problems.beale(), np.array([1.0, 1.5])),
        "quadratic": (oo.problems.quadratic([0.1, 3.0, 100.0], seed=7), np.array([1.0, -2.0, 0.5])),
    }


@dataclass(frozen=True)
class Case:
    name: str
    method: str
    arguments: dict
    peer: str
    peer_arguments: dict
    objective_decay: float = 0.0
    warmup: int = 0
    averaged: bool = False
    differs: str = ""
    note: str = ""

    @property
    def key(self):
        return f"{self.peer}/{self.name}"

    def make(self):
        return getattr(oo.optimizers, self.method)(**self.arguments)


def tape(problem, x0):
    """Gradients along a path that swings about the valley: no method's own, many changes of sign."""
    run = oo.record(oo.Momentum(2e-4, 0.98), problem, x0, steps=STEPS - 1)
    return np.array([problem.grad(x) * (1 + 0.5 * np.sin(0.7 * k)) for k, x in enumerate(run.x)])


def replay(optimizer, x0, gradient, decay=0.0, warmup=0, averaged=False):
    """Iterates x_k or their averages, k in KEPT; ``gradient(k, x)``."""
    x = x0.copy()
    state = optimizer.init(x)
    out = []
    for k in range(STEPS):
        now = optimizer.changed(lr=optimizer.lr * (k + 1) / warmup) if k < warmup else optimizer
        now.update(x, gradient(k, x) + decay * x, state)
        if k + 1 in KEPT:
            out.append(optimizer.average(state) if averaged else x.copy())
    return np.array(out)


def _torch(name, method, arguments, peer, peer_arguments, **more):
    return Case(name, method, arguments, f"torch.optim.{peer}", peer_arguments, **more)


def _optax(name, method, arguments, peer, peer_arguments, **more):
    return Case(name, method, arguments, f"optax.{peer}", peer_arguments, **more)


def _free(name, method, arguments, peer, peer_arguments, **more):
    return Case(name, method, arguments, f"schedulefree.{peer}ScheduleFree", peer_arguments, **more)


def _keras(name, method, arguments, peer, peer_arguments, **more):
    return Case(name, method, arguments, f"keras.optimizers.{peer}", peer_arguments, **more)


def _more(name, method, arguments, peer, peer_arguments, **more):
    return Case(name, method, arguments, f"pytorch_optimizer.{peer}", peer_arguments, **more)


def _formula(name, method, arguments, peer_arguments):
    return Case(name, method, arguments, f"formula.{method}", peer_arguments,
                note="the formula of its paper, in numpy: no package is known that has it")


LR, RATE = 2e-4, 5e-3  # plain and normalised steps that stay tame on all three problems
BINARY = 2.0**-8  # keras keeps its learning rate in float32, which holds powers of 2 exactly
KERAS_BETAS = {"beta_1": 0.8, "beta_2": 0.95}
OUT = {"eps_mode": "outside"}
B = {"b1": 0.8, "b2": 0.95}
BETAS = {"beta1": 0.8, "beta2": 0.95}

CASES = [
    _torch("plain", "GradientDescent", {"lr": LR}, "SGD", {"lr": LR}),
    _torch("weight decay", "GradientDescent", {"lr": LR, "weight_decay": 0.1}, "SGD", {"lr": LR, "weight_decay": 0.1}),
    _torch("momentum", "Momentum", {"lr": LR, "form": "torch"}, "SGD", {"lr": LR, "momentum": 0.9}),
    _torch("heavy ball", "Momentum", {"lr": LR}, "SGD", {"lr": LR, "momentum": 0.9},
           note="lr inside the velocity here, outside the buffer there: equal at constant lr"),
    _torch("dampening, decay", "Momentum",
           {"lr": LR, "momentum": 0.8, "dampening": 0.3, "form": "torch", "weight_decay": 0.1},
           "SGD", {"lr": LR, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1}),
    _torch("nesterov", "Nesterov", {"lr": LR}, "SGD", {"lr": LR, "momentum": 0.9, "nesterov": True}),
    _torch("nesterov, decay", "Nesterov", {"lr": LR, "weight_decay": 0.1},
           "SGD", {"lr": LR, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    _torch("plain", "RMSprop", {"lr": RATE, "decay": 0.99, **OUT}, "RMSprop", {"lr": RATE}),
    _torch("decay .9, weight decay", "RMSprop", {"lr": RATE, "weight_decay": 0.1, "eps": 1e-2, **OUT},
           "RMSprop", {"lr": RATE, "alpha": 0.9, "weight_decay": 0.1, "eps": 1e-2}),
    _torch("centered", "RMSprop", {"lr": 1e-3, "decay": 0.99, "centered": True, "eps": 1e-3, **OUT},
           "RMSprop", {"lr": 1e-3, "centered": True, "eps": 1e-3}),
    _torch("momentum", "RMSprop", {"lr": 1e-3, "decay": 0.99, "momentum": 0.8, **OUT},
           "RMSprop", {"lr": 1e-3, "momentum": 0.8}),
    _torch("centered, momentum, decay", "RMSprop",
           {"lr": 1e-3, "decay": 0.99, "momentum": 0.8, "centered": True, "eps": 1e-3, "weight_decay": 0.1, **OUT},
           "RMSprop", {"lr": 1e-3, "momentum": 0.8, "centered": True, "eps": 1e-3, "weight_decay": 0.1}),
    _torch("eps inside", "RMSprop", {"lr": RATE, "decay": 0.99, "eps": 1e-3}, "RMSprop", {"lr": RATE, "eps": 1e-3},
           differs="eps stands outside the root in torch: eps_mode='outside'"),
    _torch("plain", "Adagrad", {"lr": 0.05}, "Adagrad", {"lr": 0.05}),
    _torch("accumulator, lr decay", "Adagrad", {"lr": 0.05, "initial_accumulator": 0.3, "lr_decay": 0.02},
           "Adagrad", {"lr": 0.05, "initial_accumulator_value": 0.3, "lr_decay": 0.02}),
    _torch("weight decay", "Adagrad", {"lr": 0.05}, "Adagrad", {"lr": 0.05, "weight_decay": 0.1}, objective_decay=0.1),
    _torch("plain", "Adadelta", {}, "Adadelta", {}),
    _torch("lr, rho, weight decay", "Adadelta", {"lr": 0.5, "rho": 0.95, "eps": 1e-5},
           "Adadelta", {"lr": 0.5, "rho": 0.95, "eps": 1e-5, "weight_decay": 0.1}, objective_decay=0.1),
    _torch("plain", "Adam", {"lr": RATE}, "Adam", {"lr": RATE}),
    _torch("betas, L2", "Adam", {"lr": RATE, "weight_decay": 0.1, "eps": 1e-4, **BETAS},
           "Adam", {"lr": RATE, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1}),
    _torch("plain", "AdamW", {"lr": RATE}, "AdamW", {"lr": RATE}),
    _torch("decay 0.5", "AdamW", {"lr": RATE, "weight_decay": 0.5, **BETAS},
           "AdamW", {"lr": RATE, "betas": (0.8, 0.95), "weight_decay": 0.5}),
    _torch("amsgrad", "AMSGrad", {"lr": RATE, **BETAS}, "Adam", {"lr": RATE, "betas": (0.8, 0.95), "amsgrad": True}),
    _torch("amsgrad", "AMSGrad", {"lr": RATE, "weight_decay": 0.1, "weight_decay_mode": "decoupled", **BETAS},
           "AdamW", {"lr": RATE, "betas": (0.8, 0.95), "amsgrad": True, "weight_decay": 0.1}),
    _torch("amsgrad, optax's", "AMSGrad", {"lr": RATE, "form": "optax", **BETAS},
           "Adam", {"lr": RATE, "betas": (0.8, 0.95), "amsgrad": True},
           differs="torch corrects after the maximum, optax before it: form='torch'|'optax'"),
    _torch("plain", "AdaMax", {}, "Adamax", {}),
    _torch("betas, eps, L2", "AdaMax", {"lr": RATE, "eps": 1e-3, **BETAS},
           "Adamax", {"lr": RATE, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}, objective_decay=0.1),
    _torch("plain", "NAdam", {"lr": RATE}, "NAdam", {"lr": RATE}),
    _torch("L2", "NAdam", {"lr": RATE, "momentum_decay": 0.02, "weight_decay": 0.1, **BETAS},
           "NAdam", {"lr": RATE, "betas": (0.8, 0.95), "momentum_decay": 0.02, "weight_decay": 0.1}),
    _torch("decoupled", "NAdam", {"lr": RATE, "weight_decay": 0.1, "weight_decay_mode": "decoupled"},
           "NAdam", {"lr": RATE, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    _torch("plain", "Rprop", {}, "Rprop", {}),
    _torch("factors, limits", "Rprop", {"lr": 0.02, "eta_minus": 0.4, "eta_plus": 1.3, "step_min": 1e-4,
                                        "step_max": 0.05},
           "Rprop", {"lr": 0.02, "etas": (0.4, 1.3), "step_sizes": (1e-4, 0.05)}),
    _torch("first step clipped", "Rprop", {"lr": 0.1, "step_max": 0.03},
           "Rprop", {"lr": 0.1, "step_sizes": (1e-6, 0.03)}),
    _torch("Rprop+", "Rprop", {"variant": "rprop+"}, "Rprop", {},
           differs="torch implements iRprop- (no weight backtracking): variant='irprop-'"),
    _optax("momentum", "Momentum", {"lr": LR}, "sgd", {"learning_rate": LR, "momentum": 0.9}),
    _optax("nesterov", "Nesterov", {"lr": LR}, "sgd", {"learning_rate": LR, "momentum": 0.9, "nesterov": True}),
    _optax("plain", "SignGD", {"lr": RATE}, "sign_sgd", {"learning_rate": RATE}),
    _optax("eps inside", "RMSprop", {"lr": RATE, "eps": 1e-6}, "rmsprop", {"learning_rate": RATE, "eps": 1e-6}),
    _optax("eps outside", "RMSprop", {"lr": RATE, "eps": 1e-6, **OUT},
           "rmsprop", {"learning_rate": RATE, "eps": 1e-6, "eps_in_sqrt": False}),
    _optax("bias correction", "RMSprop", {"lr": RATE, "bias_correction": True},
           "rmsprop", {"learning_rate": RATE, "bias_correction": True}),
    _optax("centered", "RMSprop", {"lr": 2e-4, "decay": 0.99, "centered": True, "eps": 0.1},
           "rmsprop", {"learning_rate": 2e-4, "decay": 0.99, "centered": True, "eps": 0.1}),
    _optax("nesterov", "RMSprop", {"lr": 1e-3, "momentum": 0.8, "nesterov": True, "eps": 1e-3},
           "rmsprop", {"learning_rate": 1e-3, "momentum": 0.8, "nesterov": True, "eps": 1e-3},
           note="lr inside the buffer in optax: equal at constant lr"),
    _optax("plain", "Adagrad", {"lr": 0.05, "initial_accumulator": 0.1, "eps": 1e-7, "eps_mode": "inside"},
           "adagrad", {"learning_rate": 0.05}),
    _optax("plain", "Adadelta", {}, "adadelta", {"learning_rate": 1.0}),
    _optax("plain", "Adam", {"lr": RATE}, "adam", {"learning_rate": RATE}),
    _optax("eps inside", "Adam", {"lr": RATE, "eps": 1e-6, "eps_mode": "inside"},
           "adam", {"learning_rate": RATE, "eps": 0.0, "eps_root": 1e-6}),
    _optax("plain", "AdamW", {"lr": RATE, "weight_decay": 0.1, **BETAS},
           "adamw", {"learning_rate": RATE, "weight_decay": 0.1, **B}),
    _optax("corrected", "AMSGrad", {"lr": RATE, "form": "optax", **BETAS}, "amsgrad", {"learning_rate": RATE, **B}),
    _optax("paper", "AMSGrad", {"lr": RATE, "form": "paper", **BETAS},
           "amsgrad", {"learning_rate": RATE, "bias_correction_mu": False, "bias_correction_nu": False, **B}),
    _optax("plain", "AdaMax", {"lr": 1e-3, **BETAS}, "adamax", {"learning_rate": 1e-3, **B}),
    _optax("constant momentum", "NAdam", {"lr": RATE, "momentum_decay": None, **BETAS},
           "nadam", {"learning_rate": RATE, **B}),
    _optax("warm-up", "NAdam", {"lr": RATE, **BETAS}, "nadam", {"learning_rate": RATE, **B},
           differs="torch warms the momentum up (mu_t), optax does not: momentum_decay=None"),
    _optax("decay", "Lion", {"lr": 1e-3, "weight_decay": 0.1}, "lion", {"learning_rate": 1e-3, "weight_decay": 0.1}),
    _optax("plain", "LAMB", {"lr": RATE}, "lamb", {"learning_rate": RATE}),
    _optax("betas, decay", "LAMB", {"lr": RATE, "weight_decay": 0.1, "eps": 1e-4, **BETAS},
           "lamb", {"learning_rate": RATE, "weight_decay": 0.1, "eps": 1e-4, **B}),
    _more("averaged, decay", "NovoGrad", {"lr": RATE, "weight_decay": 0.1},
          "NovoGrad", {"lr": RATE, "grad_averaging": True, "weight_decay": 0.1}),
    _optax("plain", "Rprop", {}, "rprop", {"learning_rate": 1e-2},
           differs="optax applies the step that the gradient before called for (stale by one step)"),
    _torch("betas, decay", "RAdam", {"lr": RATE, "weight_decay": 0.1, **BETAS},
           "RAdam", {"lr": RATE, "betas": (0.8, 0.95), "weight_decay": 0.1}),
    _torch("plain", "RAdam", {"lr": RATE}, "RAdam", {"lr": RATE}),
    _optax("betas", "RAdam", {"lr": RATE, "form": "optax", "eps": 1e-3, **BETAS},
           "radam", {"learning_rate": RATE, "eps": 1e-3, **B}),
    _torch("sparse", "Adam", {"lr": RATE, "eps": 1e-3, "eps_mode": "hat", **BETAS},
           "SparseAdam", {"lr": RATE, "betas": (0.8, 0.95), "eps": 1e-3}),
    _optax("eps and eps_root", "Adam", {"lr": RATE, "eps": 1e-3, "eps_root": 1e-4, **BETAS},
           "adam", {"learning_rate": RATE, "eps": 1e-3, "eps_root": 1e-4, **B}),
    _optax("mean corrected", "AMSGrad", {"lr": RATE, "form": "mean", **BETAS},
           "amsgrad", {"learning_rate": RATE, "bias_correction_nu": False, **B}),
    _optax("warm-up, lr inside the buffer", "RMSprop",
           {"lr": 2e-4, "momentum": 0.8, "nesterov": True, "eps": 0.1, "lr_inside": True},
           "rmsprop", {"learning_rate": 2e-4, "momentum": 0.8, "nesterov": True, "eps": 0.1}, warmup=50),
    _keras("plain", "Adam", {"lr": BINARY, "eps": 1e-7, "eps_mode": "hat"}, "Adam", {"learning_rate": BINARY}),
    _keras("eps, decoupled decay", "Adam", {"lr": BINARY, "eps": 1e-3, "eps_mode": "hat", "weight_decay": 0.125,
                                            "weight_decay_mode": "decoupled", **BETAS},
           "Adam", {"learning_rate": BINARY, "epsilon": 1e-3, "weight_decay": 0.125, **KERAS_BETAS}),
    _keras("amsgrad", "AMSGrad", {"lr": BINARY, "eps": 1e-3, "eps_mode": "hat", **BETAS},
           "Adam", {"learning_rate": BINARY, "epsilon": 1e-3, "amsgrad": True, **KERAS_BETAS}),
    _keras("decoupled decay", "AdaMax", {"lr": BINARY, "eps": 1e-3, "eps_mode": "outside", "weight_decay": 0.125,
                                         "weight_decay_mode": "decoupled", **BETAS},
           "Adamax", {"learning_rate": BINARY, "epsilon": 1e-3, "weight_decay": 0.125, **KERAS_BETAS}),
    _keras("decoupled decay", "Adagrad", {"lr": BINARY, "initial_accumulator": 0.1, "eps": 1e-3, "eps_mode": "inside",
                                          "weight_decay": 0.125, "weight_decay_mode": "decoupled"},
           "Adagrad", {"learning_rate": BINARY, "epsilon": 1e-3, "weight_decay": 0.125}),
    _keras("decoupled decay", "Adadelta", {"lr": 0.5, "rho": 0.95, "eps": 1e-5, "weight_decay": 0.125,
                                           "weight_decay_mode": "decoupled"},
           "Adadelta", {"learning_rate": 0.5, "rho": 0.95, "epsilon": 1e-5, "weight_decay": 0.125}),
    _keras("centered, momentum", "RMSprop", {"lr": 2.0**-10, "momentum": 0.75, "centered": True, "eps": 1e-3,
                                             "lr_inside": True},
           "RMSprop", {"learning_rate": 2.0**-10, "momentum": 0.75, "centered": True, "epsilon": 1e-3}),
    _torch("coupled decay", "AdaMax", {"lr": RATE, "eps": 1e-3, "weight_decay": 0.1, **BETAS},
           "Adamax", {"lr": RATE, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    _torch("coupled decay", "Adagrad", {"lr": 0.05, "weight_decay": 0.1}, "Adagrad", {"lr": 0.05, "weight_decay": 0.1}),
    _torch("coupled decay", "Adadelta", {"lr": 0.5, "rho": 0.95, "eps": 1e-5, "weight_decay": 0.1},
           "Adadelta", {"lr": 0.5, "rho": 0.95, "eps": 1e-5, "weight_decay": 0.1}),
    _torch("SWA", "SWA", {"optimizer": oo.GradientDescent(LR), "start": 4, "every": 3}, "swa_utils.AveragedModel",
           {"lr": LR, "start": 4, "every": 3}, averaged=True),
    _torch("EMA", "EMA", {"optimizer": oo.GradientDescent(LR), "decay": 0.95, "start": 4, "every": 3},
           "swa_utils.AveragedModel", {"lr": LR, "start": 4, "every": 3, "decay": 0.95}, averaged=True),
    _free("plain", "ScheduleFreeSGD", {"lr": LR}, "SGD", {"lr": LR}),
    _free("decay, later points", "ScheduleFreeSGD", {"lr": LR, "momentum": 0.7, "weight_decay": 0.1, "power": 1.5},
          "SGD", {"lr": LR, "momentum": 0.7, "weight_decay": 0.1, "r": 1.5}),
    _free("warm-up", "ScheduleFreeSGD", {"lr": LR}, "SGD", {"lr": LR, "warmup_steps": 50}, warmup=50),
    _more("plain", "AdaBelief", {"lr": RATE, "eps": 1e-8, "eps_root": 1e-8, **BETAS},
          "AdaBelief", {"lr": RATE, "betas": (0.8, 0.95), "eps": 1e-8}),
    _more("decoupled decay", "AdaBelief", {"lr": RATE, "eps": 1e-6, "eps_root": 1e-6, "weight_decay": 0.1,
                                           "weight_decay_mode": "decoupled", **BETAS},
          "AdaBelief", {"lr": RATE, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1}),
    _optax("two eps", "AdaBelief", {"lr": RATE, "eps": 1e-4, "eps_root": 1e-7, **BETAS},
           "adabelief", {"learning_rate": RATE, "eps": 1e-4, "eps_root": 1e-7, **B}),
    _optax("clipped", "ADOPT", {"lr": RATE, **BETAS}, "contrib.adopt", {"learning_rate": RATE, **B}),
    _optax("plain", "ADOPT", {"lr": RATE, "clip": False, "eps": 1e-3, **BETAS},
           "contrib.adopt", {"learning_rate": RATE, "eps": 1e-3, "use_clipping": False, **B}),
    _more("decoupled decay", "ADOPT", {"lr": RATE, "clip": False, "weight_decay": 0.1,
                                       "weight_decay_mode": "decoupled", **BETAS},
          "ADOPT", {"lr": RATE, "betas": (0.8, 0.95), "clip_lambda": None, "weight_decay": 0.1,
                    "weight_decouple": True},
          differs="pytorch_optimizer lets the weights decay in the first step, too, in which x stays here"),
    _optax("betas", "AdEMAMix", {"lr": RATE, "beta3": 0.99, "alpha": 2.0, **BETAS},
           "contrib.ademamix", {"learning_rate": RATE, "b3": 0.99, "alpha": 2.0, **B}),
    _more("decoupled decay", "AdEMAMix", {"lr": RATE, "beta3": 0.99, "weight_decay": 0.1,
                                          "weight_decay_mode": "decoupled", **BETAS},
          "AdEMAMix", {"lr": RATE, "betas": (0.8, 0.95, 0.99), "weight_decay": 0.1, "weight_decouple": True}),
    _free("plain", "ScheduleFreeAdamW", {"lr": RATE}, "AdamW", {"lr": RATE}),
    _free("decay, later points", "ScheduleFreeAdamW", {"lr": RATE, "momentum": 0.7, "beta2": 0.95, "weight_decay": 0.1,
                                                       "eps": 1e-3, "power": 1.5},
          "AdamW", {"lr": RATE, "betas": (0.7, 0.95), "weight_decay": 0.1, "eps": 1e-3, "r": 1.5}),
    _free("warm-up", "ScheduleFreeAdamW", {"lr": RATE}, "AdamW", {"lr": RATE, "warmup_steps": 50}, warmup=50),
    _free("warm-up, weights like lr", "ScheduleFreeAdamW", {"lr": RATE, "lr_power": 1.0},
          "AdamW", {"lr": RATE, "warmup_steps": 50, "weight_lr_power": 1.0}, warmup=50),
    _formula("from 0", "AdaGradNorm", {"lr": 0.05}, {"eta": 0.05, "b0": 0.0}),
    _formula("initial norm", "AdaGradNorm", {"lr": 0.05, "initial_norm": 2.0}, {"eta": 0.05, "b0": 2.0}),
    Case("plain", "DoG", {"distance": 1e-3}, "dog.DoG", {"reps_rel": 1e-3}),
    Case("lr, eps, decay", "DoG", {"lr": 0.5, "distance": 1e-2, "eps": 1e-2, "weight_decay": 0.1},
         "dog.DoG", {"lr": 0.5, "reps_rel": 1e-2, "eps": 1e-2, "weight_decay": 0.1}),
    _optax("plain", "DoG", {"distance": 1e-3}, "contrib.dog", {"init_step": ("heuristic", 1e-3)}),
    _optax("absolute distance, decay", "DoG", {"distance": 0.05, "distance_mode": "absolute", "weight_decay": 0.1},
           "contrib.dog", {"init_step": ("distance", 0.05), "weight_decay": 0.1}),
    _more("plain", "Adan", {"lr": RATE}, "Adan", {"lr": RATE}),
    _more("betas, proximal decay", "Adan", {"lr": RATE, "beta1": 0.9, "beta2": 0.8, "beta3": 0.95, "eps": 1e-4,
                                            "weight_decay": 0.1},
          "Adan", {"lr": RATE, "betas": (0.9, 0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1}),
    _more("decoupled decay", "Adan", {"lr": RATE, "weight_decay": 0.1, "weight_decay_mode": "decoupled"},
          "Adan", {"lr": RATE, "weight_decay": 0.1, "weight_decouple": True}),
    _optax("plain", "Adan", {"lr": RATE}, "adan", {"learning_rate": RATE, "eps_root": 0.0},
           differs="optax multiplies differences by 1 - b2, as the paper writes, whose beta2 is 1 - b2"),
]
