"""One row for each optimizer variant: what theory says of it, written down independently of the code.

No number here is read from a class. A page without a row fails the suite (optimizers/test_optimizers.py).

``cold``, ``consistent``: order of the iterates against the flow from either start (``Optimizer`` says what
    they are), None where there is no flow or no order at practical steps.
``limit``: largest stable lr * lambda on (lambda/2) x^2, for adaptive methods with the preconditioner
    frozen at 1; None where no such number exists.
``identity``: whether a generic scheme on the flow gives the update's iterates.
``steps``: length of the identity test's run: 200, or as many as pass before the method chatters about
    the minimum of one coordinate and amplifies round-off.
Sources: the papers named on the pages in odeopt/optimizers; limits derived from the 2x2
recursions z^2 - (a - eta h + mu) z + a mu (Jury's conditions at z = -1).
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    name: str
    method: str
    arguments: dict = field(default_factory=dict)
    cold: float | None = 1.0
    consistent: float | None = 1.0
    limit: float | None = None
    has_flow: bool = True
    identity: bool = True
    steps: int = 200  # for the identity test: before round-off is amplified
    per_array: bool = False  # whether a step depends on which array an entry belongs to
    frozen: dict = field(default_factory=dict)  # hyperparameters that stop the preconditioner
    late: dict = field(default_factory=dict)  # slots at which the limit holds: what a long run has summed up
    study: dict = field(default_factory=dict)  # of the order: a time in which a path bends, enough levels

    def make(self, **changes):
        import odeopt

        if self.method in ("SWA", "EMA", "Clipped"):  # {name of what is wrapped: its arguments, own arguments}
            (name, inner), *own = self.arguments.items()
            wrapped = getattr(odeopt.optimizers, name)(**(inner | changes))
            return getattr(odeopt.optimizers, self.method)(wrapped, **dict(own))
        return getattr(odeopt.optimizers, self.method)(**(self.arguments | changes))


STILL = 1 - 1e-13  # a running average that does not move within a test


def _heavy(mu):
    return 2 * (1 + mu)


def _ahead(mu):
    return 2 * (1 + mu) / (1 + 2 * mu)


def _average(beta):
    return 2 * (1 + beta) / (1 - beta)


def _flowless(name, method, arguments, **facts):
    return Row(name, method, arguments, None, None, None, has_flow=False, identity=False, **facts)


ADAM_LIMIT = _average(0.9)


def _adam(name, method, arguments, limit=ADAM_LIMIT, still="beta2", **facts):
    return Row(name, method, arguments, limit=limit, frozen={still: STILL}, **facts)


ROWS = [
    Row("gradient descent", "GradientDescent", {"lr": 0.01}, limit=2.0),
    Row("gradient descent, decay", "GradientDescent", {"lr": 0.01, "weight_decay": 0.5}, limit=2.0 - 0.01 * 0.5),
    Row("gradient descent, coupled decay", "GradientDescent",
        {"lr": 0.01, "weight_decay": 0.5, "weight_decay_mode": "coupled"}, limit=2.0 - 0.01 * 0.5),
    Row("error-controlled Euler", "ErrorControlledEuler", {"tol": 0.005}),
    Row("Barzilai-Borwein, long", "BarzilaiBorwein", {"lr": 0.01, "scale": 0.05}),
    Row("Barzilai-Borwein, short", "BarzilaiBorwein", {"lr": 0.01, "scale": 0.05, "form": "short"}),
    Row("sign descent", "SignGD", {"lr": 0.01}, study={"t_end": 3.0, "levels": 6}),
    Row("normalised descent", "NormalizedGD", {"lr": 0.005}),
    _flowless("iRprop-", "Rprop", {}),
    _flowless("Rprop+", "Rprop", {"variant": "rprop+"}),
    _flowless("adaptive gains, Hinton", "AdaptiveGains", {"lr": 0.01}),
    _flowless("adaptive gains, t-SNE", "AdaptiveGains",
              {"lr": 0.01, "increase": 0.2, "decrease": 0.8, "gain_min": 0.01, "gain_max": 1e6, "momentum": 0.8,
               "compare": "velocity"}),
    Row("heavy ball", "Momentum", {"lr": 0.01}, limit=_heavy(0.9)),
    Row("heavy ball, decay", "Momentum", {"lr": 0.01, "weight_decay": 0.5}, limit=_heavy(0.9) - 0.01 * 0.5),
    Row("heavy ball, decoupled decay", "Momentum",
        {"lr": 0.01, "weight_decay": 0.5, "weight_decay_mode": "decoupled"}, limit=(2 - 0.005) * 1.9),
    Row("heavy ball, Verlet", "Momentum", {"lr": 0.01, "reading": "stormer_verlet"}, 1.0, 2.0, limit=_heavy(0.9)),
    Row("torch momentum", "Momentum", {"lr": 0.01, "form": "torch"}, limit=_heavy(0.9)),
    Row("torch momentum, dampening", "Momentum", {"lr": 0.01, "form": "torch", "dampening": 0.5},
        limit=_heavy(0.9) / 0.5, identity=False),  # torch's first buffer is g, not (1 - dampening) g
    Row("momentum, averaged", "Momentum", {"lr": 0.01, "form": "ema"}, limit=_average(0.9)),
    Row("Nesterov", "Nesterov", {"lr": 0.01}, limit=_ahead(0.9)),
    Row("Nesterov, decay", "Nesterov", {"lr": 0.01, "weight_decay": 0.5}, limit=_ahead(0.9) - 0.01 * 0.5),
    Row("Nesterov, fading", "Nesterov", {"lr": 0.001, "momentum": None}),
    Row("RMSprop", "RMSprop", {"lr": 0.003, "eps": 1e-2}, 0.5, 1.0, limit=2.0, frozen={"decay": STILL, "eps": 0.0}),
    Row("RMSprop, eps outside", "RMSprop", {"lr": 0.003, "eps_mode": "outside"}, 0.5, 1.0, limit=2.0, steps=100,
        frozen={"decay": STILL}),
    Row("RMSprop, decay", "RMSprop", {"lr": 0.003, "eps": 1e-2, "weight_decay": 0.1}, 0.5, 1.0,
        limit=2.0 - 0.003 * 0.1, frozen={"decay": STILL, "eps": 0.0}),
    Row("RMSprop, bias-corrected", "RMSprop", {"lr": 0.003, "bias_correction": True, "eps": 1e-2}, limit=2.0,
        frozen={"decay": STILL, "eps": 0.0}),
    Row("RMSprop, scalar", "RMSprop", {"lr": 0.01, "form": "scalar"}),
    Row("RMSprop, scalar, corrected", "RMSprop", {"lr": 0.01, "form": "scalar", "bias_correction": True}),
    Row("RMSprop, centered", "RMSprop", {"lr": 0.003, "centered": True}, 0.5, 1.0, steps=100),
    Row("RMSprop, centered, corrected", "RMSprop",
        {"lr": 0.003, "centered": True, "bias_correction": True, "eps": 1e-2}, None, 1.0),
    Row("RMSprop, momentum", "RMSprop", {"lr": 1e-4, "momentum": 0.9}, 0.5, 1.0, limit=_heavy(0.9),
        frozen={"decay": STILL}),
    Row("RMSprop, momentum, lr inside", "RMSprop", {"lr": 1e-4, "momentum": 0.9, "lr_inside": True, "nesterov": True},
        0.5, 1.0, limit=_ahead(0.9), frozen={"decay": STILL}),
    Row("RMSprop, Nesterov, decay", "RMSprop",
        {"lr": 1e-4, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "eps_mode": "outside"}, 0.5, 1.0,
        limit=_ahead(0.9) - 1e-4 * 0.1, frozen={"decay": STILL}),
    Row("RMSprop, centered, momentum", "RMSprop", {"lr": 1e-4, "momentum": 0.9, "centered": True, "eps": 1e-2},
        0.5, 1.0),
    Row("Adagrad", "Adagrad", {"lr": 0.1}, 0.5, 1.0, limit=2.0, frozen={"lr_decay": 0.0}),
    Row("Adagrad, accumulator, lr decay", "Adagrad", {"lr": 0.1, "initial_accumulator": 10.0, "lr_decay": 0.01}),
    Row("Adagrad, eps inside", "Adagrad", {"lr": 0.1, "initial_accumulator": 10.0, "eps": 1e-3, "eps_mode": "inside"}),
    Row("Adagrad, decay", "Adagrad", {"lr": 0.1, "initial_accumulator": 10.0, "weight_decay": 0.5},
        limit=2.0 - 0.1 * 0.5),
    Row("Adagrad, decoupled decay", "Adagrad",
        {"lr": 0.1, "lr_decay": 0.01, "weight_decay": 0.5, "weight_decay_mode": "decoupled"}, 0.5, 1.0),
    Row("AdaGrad-Norm", "AdaGradNorm", {"lr": 0.1}, 0.5, 1.0, limit=2.0, late={"norm": 1.0}),
    Row("AdaGrad-Norm, initial norm", "AdaGradNorm", {"lr": 0.1, "initial_norm": 3.0}),
    Row("DoG", "DoG", {"lr": 0.1, "distance": 0.5, "distance_mode": "absolute"}, 0.5, 1.0, limit=2.0,
        late={"norm": 1.0, "distance": 1.0}),
    Row("DoG, relative, decay", "DoG", {"lr": 0.1, "distance": 0.2, "eps": 1e-3, "weight_decay": 0.1}, 0.5, 1.0),
    Row("Adadelta", "Adadelta", {}, None, 1.0),
    Row("Adadelta, decay", "Adadelta",
        {"lr": 1.0, "rho": 0.99, "eps": 1e-2, "eps_step": 1e-4, "weight_decay": 0.5}, None, 1.0,
        limit=1.5, frozen={"rho": STILL, "eps": 1e-12, "eps_step": 1e-12}),
    Row("Adadelta, decoupled decay", "Adadelta",
        {"lr": 1.0, "rho": 0.99, "eps": 1e-2, "eps_step": 1e-4, "weight_decay": 0.01,
         "weight_decay_mode": "decoupled"}, None, 1.0,
        limit=1.99, frozen={"rho": STILL, "eps": 1e-12, "eps_step": 1e-12}),
    Row("Adadelta, own eps, lr 2", "Adadelta", {"rho": 0.99, "eps": 1e-2, "eps_step": 1e-4, "lr": 2.0}, None, 1.0,
        limit=2.0, frozen={"rho": STILL, "eps": 1e-12, "eps_step": 1e-12}),
    _adam("Adam", "Adam", {"lr": 0.01}),
    _adam("Adam, eps inside", "Adam", {"lr": 0.01, "eps": 1e-6, "eps_mode": "inside"}, limit=None),
    _adam("Adam, L2", "Adam", {"lr": 0.01, "weight_decay": 0.5}, limit=_average(0.9) - 0.01 * 0.5),
    _adam("AdamW", "AdamW", {"lr": 0.01, "weight_decay": 0.5}, limit=(2 - 0.005) * 1.9 / 0.1),
    _adam("Adam, eps beside the uncorrected root", "Adam", {"lr": 0.01, "eps": 1e-5, "eps_mode": "hat",
                                                            "eps_root": 1e-5}, limit=None),
    _adam("AMSGrad, mean corrected", "AMSGrad", {"lr": 0.01, "beta2": 0.98, "form": "mean"}, cold=0.5),
    _adam("AMSGrad, eps beside the uncorrected root", "AMSGrad",
          {"lr": 0.01, "beta2": 0.98, "eps": 1e-5, "eps_mode": "hat", "eps_root": 1e-5}, limit=None),
    _adam("AMSGrad", "AMSGrad", {"lr": 0.01, "beta2": 0.98}),
    _adam("AMSGrad, optax", "AMSGrad", {"lr": 0.01, "beta2": 0.98, "form": "optax"}),
    _adam("AMSGrad, paper", "AMSGrad", {"lr": 0.01, "beta2": 0.98, "form": "paper", "weight_decay": 0.1,
                                        "weight_decay_mode": "decoupled"}, limit=(2 - 0.001) * 1.9 / 0.1),
    _adam("NAdam", "NAdam", {"lr": 0.01, "momentum_decay": 0.1}, limit=None, identity=False),
    _adam("NAdam, constant momentum", "NAdam", {"lr": 0.01, "momentum_decay": None},
          limit=_ahead(0.9) / 0.1),
    _adam("NAdam, eps beside the uncorrected root", "NAdam",
          {"lr": 0.01, "momentum_decay": 0.1, "eps": 1e-5, "eps_mode": "hat", "eps_root": 1e-5}, limit=None,
          identity=False),
    _adam("NAdam, constant momentum, decay", "NAdam", {"lr": 0.01, "momentum_decay": None, "weight_decay": 0.5,
                                                       "weight_decay_mode": "decoupled", "eps_mode": "inside"},
          limit=None),
    _adam("AdaMax", "AdaMax", {"lr": 0.01, "beta2": 0.98}),
    _adam("AdaMax, eps outside", "AdaMax", {"lr": 0.01, "beta2": 0.98, "eps": 1e-3, "eps_mode": "outside"}, limit=None),
    _adam("AdaMax, decay", "AdaMax", {"lr": 0.01, "beta2": 0.98, "weight_decay": 0.5}, limit=_average(0.9) - 0.005),
    _adam("AdaMax, decoupled decay", "AdaMax", {"lr": 0.01, "beta2": 0.98, "weight_decay": 0.5,
                                                "weight_decay_mode": "decoupled"}, limit=(2 - 0.005) * 1.9 / 0.1),
    _adam("RAdam", "RAdam", {"lr": 0.01, "beta2": 0.98}, identity=False),
    _adam("RAdam, optax, decay", "RAdam", {"lr": 0.01, "beta2": 0.98, "form": "optax", "eps": 1e-3, "eps_root": 1e-5,
                                           "weight_decay": 0.5,
                                           "weight_decay_mode": "decoupled"}, limit=None, identity=False),
    _adam("AdaBelief", "AdaBelief", {"lr": 0.01, "beta2": 0.98}),
    _adam("AdaBelief, eps, decay", "AdaBelief", {"lr": 0.01, "beta2": 0.98, "eps": 1e-3, "eps_root": 1e-5,
                                                 "weight_decay": 0.5, "weight_decay_mode": "decoupled"}, limit=None),
    _adam("ADOPT", "ADOPT", {"lr": 0.01, "beta2": 0.98, "clip": False}, identity=False),
    _adam("ADOPT, clipped, decay", "ADOPT", {"lr": 0.01, "beta2": 0.98, "weight_decay": 0.5,
                                             "weight_decay_mode": "decoupled"},
          limit=(2 - 0.005) * 1.9 / 0.1, identity=False),
    _adam("AdEMAMix", "AdEMAMix", {"lr": 0.01, "beta2": 0.98, "beta3": 0.99},
          limit=2 / (0.1 / 1.9 + 5 * 0.01 / 1.99)),
    _adam("AdEMAMix, decay", "AdEMAMix", {"lr": 0.01, "beta2": 0.98, "beta3": 0.99, "alpha": 2.0, "weight_decay": 0.5},
          limit=2 / (0.1 / 1.9 + 2 * 0.01 / 1.99) - 0.01 * 0.5),
    _adam("Adan", "Adan", {"lr": 0.01, "beta1": 0.9, "beta2": 0.8, "beta3": 0.98},
          limit=2 / (0.1 / 1.9 + 1.6 * 0.2 / 1.8), still="beta3", identity=False,
          late={"difference weight": 1.0}),
    _adam("Adan, decoupled decay", "Adan", {"lr": 0.01, "beta3": 0.98, "weight_decay": 0.5,
                                            "weight_decay_mode": "decoupled"},
          limit=(2 - 0.005) / (0.02 / 1.98 + 1.84 * 0.08 / 1.92), still="beta3", identity=False,
          late={"difference weight": 1.0}),
    _adam("Adan, proximal decay", "Adan", {"lr": 0.01, "beta3": 0.98, "weight_decay": 0.5},
          limit=(2 + 0.005) / (0.02 / 1.98 + 1.84 * 0.08 / 1.92), still="beta3", identity=False,
          late={"difference weight": 1.0}),
    Row("schedule-free", "ScheduleFreeSGD", {"lr": 0.01}, limit=20.0, late={"weight sum": 0.1}),
    Row("schedule-free, decay", "ScheduleFreeSGD", {"lr": 0.01, "momentum": 0.8, "weight_decay": 0.5},
        limit=10.0 - 0.01 * 0.5, late={"weight sum": 0.1}),
    Row("schedule-free, later points", "ScheduleFreeSGD", {"lr": 0.01, "power": 1.5}, limit=20.0,
        late={"weight sum": 1e4}, identity=False),
    _adam("schedule-free AdamW", "ScheduleFreeAdamW", {"lr": 0.01, "beta2": 0.98}, limit=20.0,
          late={"weight sum": 0.1}),
    _adam("schedule-free AdamW, decay", "ScheduleFreeAdamW",
          {"lr": 0.01, "beta2": 0.98, "momentum": 0.8, "weight_decay": 0.5}, limit=10.0 - 0.01 * 0.5,
          late={"weight sum": 0.1}),
    _adam("schedule-free AdamW, later points", "ScheduleFreeAdamW", {"lr": 0.01, "beta2": 0.98, "power": 1.5},
          limit=20.0, late={"weight sum": 1e4}, identity=False),
    Row("Lion", "Lion", {"lr": 0.00025, "weight_decay": 0.1}, identity=False,
        study={"t_end": 3.0, "levels": 4, "mean_of": 1}),
    Row("Lion, lasting memory", "Lion",
        {"lr": 0.0025, "beta1": 0.995, "beta2": 0.9975, "weight_decay": 0.5, "reading": "lasting_memory"},
        identity=False, study={"t_end": 1.5, "levels": 4, "mean_of": 24}),
    _adam("Muon of vectors", "Muon", {"lr": 0.01}, limit=(2 - 0.001) * 1.9 / 0.1, per_array=True),
    Row("Muon, polar factor of one row", "Muon",
        {"lr": 0.005, "steps": None, "nesterov": False, "shape": (1, -1), "adjust": "width"}, per_array=True),
    Row("Muon, Newton-Schulz of one column", "Muon", {"lr": 0.005, "momentum": 0.9, "shape": (-1, 1)},
        per_array=True),
    Row("Muon, optax", "Muon", {"lr": 0.005, "weights": "optax", "shape": (-1, 1), "adjust": "match_rms_adamw"},
        identity=False, per_array=True),
    Row("Shampoo of vectors", "Shampoo", {"lr": 0.003, "eps": 1e-2}, limit=2.0, per_array=True,
        frozen={"beta": STILL, "eps": 0.0}),
    Row("Shampoo of vectors, uncorrected, decay", "Shampoo",
        {"lr": 0.003, "eps": 1e-2, "bias_correction": False, "weight_decay": 0.1}, 0.5, 1.0, limit=2.0 - 0.003 * 0.1,
        per_array=True, frozen={"beta": STILL, "eps": 0.0}),
    _adam("SOAP of vectors", "SOAP", {"lr": 0.01, "beta1": 0.9, "beta2": 0.98, "weight_decay": 0.1},
          limit=(2 - 0.001) * 1.9 / 0.1, per_array=True),
    Row("LAMB", "LAMB", {"lr": 0.005, "beta2": 0.98}, per_array=True),
    Row("LAMB, decay", "LAMB", {"lr": 0.005, "beta2": 0.98, "weight_decay": 0.1, "eps": 1e-3}, per_array=True),
    Row("NovoGrad", "NovoGrad", {"lr": 0.005, "beta1": 0.9}, identity=False, per_array=True),
    Row("NovoGrad, decay", "NovoGrad", {"lr": 0.005, "beta1": 0.9, "weight_decay": 0.1}, identity=False,
        per_array=True),
    _flowless("Amos", "Amos", {"lr": 0.05}, per_array=True),
    _flowless("Amos, momentum", "Amos", {"lr": 0.05, "eta": 0.5, "momentum": 0.9}, per_array=True),
    Row("SWA of every third iterate", "SWA", {"Momentum": {"lr": 0.01}, "start": 5, "every": 3}, limit=_heavy(0.9)),
    Row("EMA", "EMA", {"GradientDescent": {"lr": 0.01}, "decay": 0.9}, limit=2.0),
    Row("EMA around Adam, late, of every second iterate", "EMA",
        {"Adam": {"lr": 0.01}, "decay": 0.99, "start": 50, "every": 2}, limit=_average(0.9), frozen={"beta2": STILL}),
    Row("SWA around Adam", "SWA", {"Adam": {"lr": 0.01}, "start": 50}, limit=_average(0.9), frozen={"beta2": STILL}),
    Row("gradient descent, clipped by norm", "Clipped", {"GradientDescent": {"lr": 0.01}, "norm": 2.0}, limit=2.0),
    Row("Adam, clipped by norm", "Clipped", {"Adam": {"lr": 0.01}, "norm": 1.0}, limit=ADAM_LIMIT,
        frozen={"beta2": STILL}),
    Row("heavy ball, clipped by value", "Clipped", {"Momentum": {"lr": 0.01}, "value": 1.0},
        limit=_heavy(0.9)),
]
