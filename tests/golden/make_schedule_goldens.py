"""Write schedules.npz: what torch's, optax's and keras's schedulers give, for tests/schedules/test_schedules.py.

Run by hand where these are installed (``python tests/golden/make_schedule_goldens.py``); the versions are
stored in the file. All values float64: torch with double parameters; optax with jax's x64 and a float64
step (given its own int32 count it would compute in float32); keras keeps its learning rate in float32,
so its run uses powers of 2, which float32 holds exactly.
"""

import os
import pathlib
import warnings

os.environ["KERAS_BACKEND"] = "torch"

import jax
import keras
import numpy as np
import optax
import torch
from torch.optim import lr_scheduler as torch_schedulers

STEPS, BASE = 64, 0.3
PLATEAU_VALUES = np.round(np.random.default_rng(7).uniform(0.2, 1.2, 60) * np.exp(-np.arange(60) / 25), 4)

jax.config.update("jax_enable_x64", True)
torch.set_default_dtype(torch.float64)


def torch_run(make, lr=BASE, momentum=0.0):
    """(STEPS, 2): learning rate and momentum at each step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr, momentum=momentum)
    scheduler, rows = make(optimizer), []
    for _ in range(STEPS):
        rows.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
        optimizer.step()
        scheduler.step()
    return np.array(rows)


def sequential(optimizer):
    return torch_schedulers.SequentialLR(optimizer, [
        torch_schedulers.LinearLR(optimizer, 0.1, 1.0, total_iters=10),
        torch_schedulers.CosineAnnealingLR(optimizer, T_max=40, eta_min=0.03),
        torch_schedulers.ExponentialLR(optimizer, 0.9)], milestones=[10, 40])


TORCH = {
    "exponential": lambda o: torch_schedulers.ExponentialLR(o, 0.93),
    "step": lambda o: torch_schedulers.StepLR(o, 7, 0.5),
    "multistep": lambda o: torch_schedulers.MultiStepLR(o, [5, 11, 40], 0.2),
    "polynomial": lambda o: torch_schedulers.PolynomialLR(o, total_iters=50, power=2.5),
    "linear": lambda o: torch_schedulers.LinearLR(o, 0.25, 0.9, total_iters=30),
    "cosine": lambda o: torch_schedulers.CosineAnnealingLR(o, T_max=63, eta_min=0.03),
    "restarts": lambda o: torch_schedulers.CosineAnnealingWarmRestarts(o, 10, 1, eta_min=0.03),
    "growing_restarts": lambda o: torch_schedulers.CosineAnnealingWarmRestarts(o, 7, 2, eta_min=0.03),
    "sequence": sequential,
    "chained": lambda o: torch_schedulers.ChainedScheduler([
        torch_schedulers.LinearLR(o, 0.25, 1.0, total_iters=10), torch_schedulers.ExponentialLR(o, 0.95)]),
    "inverse_time": lambda o: torch_schedulers.LambdaLR(o, lambda k: 1 / (1 + 0.7 * k / 5)),
}
CYCLIC = {
    "cyclic": {"step_size_up": 7, "mode": "triangular"},
    "cyclic_halving": {"step_size_up": 4, "step_size_down": 9, "mode": "triangular2"},
    "cyclic_exponential": {"step_size_up": 5, "step_size_down": 3, "mode": "exp_range", "gamma": 0.97},
}
CYCLES = {
    "one_cycle": {},
    "one_cycle_linear": {"anneal_strategy": "linear", "pct_start": 0.4},
    "one_cycle_three": {"three_phase": True, "pct_start": 0.35, "div_factor": 10.0, "final_div_factor": 100.0},
}
PLATEAUS = {
    "plateau_rel": {"factor": 0.5, "patience": 2, "threshold": 0.05},
    "plateau_abs": {"factor": 0.3, "patience": 3, "threshold": 0.02, "threshold_mode": "abs", "cooldown": 2},
    "plateau_min": {"factor": 0.1, "patience": 0, "cooldown": 1, "min_lr": 1e-4, "eps": 1e-5},
    "plateau_max": {"factor": 0.5, "patience": 1, "threshold": 0.01, "mode": "max"},
}
OPTAX_PLATEAUS = {
    "optax_plateau": {"factor": 0.5, "patience": 2, "rtol": 0.02, "cooldown": 1},
    "optax_plateau_accumulated": {"factor": 0.5, "patience": 1, "rtol": 0.01, "accumulation_size": 4,
                                  "min_scale": 0.05},
}


def torch_plateau(options):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=BASE)
    scheduler, rates = torch_schedulers.ReduceLROnPlateau(optimizer, **options), []
    for value in PLATEAU_VALUES:
        scheduler.step(value)
        rates.append(optimizer.param_groups[0]["lr"])
    return np.array(rates)


def optax_plateau(**options):
    rule, rates = optax.contrib.reduce_on_plateau(atol=0.0, **options), []
    state = rule.init(jax.numpy.zeros(1))
    for value in PLATEAU_VALUES:
        _, state = rule.update(jax.numpy.zeros(1), state, value=value)
        rates.append(float(state.scale))
    return np.array(rates)


def keras_plateau(**options):
    class Optimizer:
        learning_rate = 1.0

    class Model:
        optimizer = Optimizer()

    callback, model, rates = keras.callbacks.ReduceLROnPlateau(monitor="loss", **options), Model(), []
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate(PLATEAU_VALUES):
        callback.on_epoch_end(epoch, {"loss": value})
        rates.append(float(model.optimizer.learning_rate))
    return np.array(rates)


def rosenbrock_run(make_optimizer, make_scheduler):
    x = torch.tensor([-1.2, 1.0], requires_grad=True)
    optimizer = make_optimizer([x])
    scheduler, path = make_scheduler(optimizer), [x.detach().numpy().copy()]
    for _ in range(STEPS):
        optimizer.zero_grad()
        (100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2).backward()
        optimizer.step()
        scheduler.step()
        path.append(x.detach().numpy().copy())
    return np.array(path)


def main():
    warnings.simplefilter("ignore")  # torch: scheduler.step() before any gradient, and SequentialLR's own calls
    k = np.arange(STEPS, dtype=np.float64)
    arrays = {name: torch_run(make)[:, 0] for name, make in TORCH.items()}
    for name, options in CYCLES.items():
        arrays[name], arrays[name + "_momentum"] = torch_run(
            lambda o, options=options: torch_schedulers.OneCycleLR(o, BASE, total_steps=STEPS + 1, **options),
            momentum=0.9).T
    for name, options in CYCLIC.items():
        arrays[name], arrays[name + "_momentum"] = torch_run(
            lambda o, options=options: torch_schedulers.CyclicLR(o, 0.2 * BASE, BASE, base_momentum=0.8,
                                                                 max_momentum=0.95, **options), momentum=0.9).T
    arrays |= {name: optax_plateau(**options) for name, options in OPTAX_PLATEAUS.items()}
    arrays |= {name: torch_plateau(options) for name, options in PLATEAUS.items()}
    arrays["plateau_keras"] = keras_plateau(factor=0.5, patience=3, min_delta=0.02, cooldown=2, min_lr=2.0**-5)
    arrays["plateau_keras_plain"] = keras_plateau(factor=0.5, patience=1, min_delta=1e-4)
    arrays["optax_staircase"] = np.array([optax.exponential_decay(BASE, 6, 0.8, staircase=True)(i) for i in k])
    arrays["optax_bounded"] = np.array([optax.exponential_decay(BASE, 6, 0.8, end_value=0.3 * BASE)(i) for i in k])
    arrays["optax_growing"] = np.array([optax.exponential_decay(BASE, 6, 1.2, end_value=3 * BASE)(i) for i in k])
    arrays["optax_cosine_power"] = np.array([optax.cosine_decay_schedule(BASE, 50, 0.1, exponent=1.7)(i) for i in k])
    arrays["optax_polynomial"] = np.array([optax.polynomial_schedule(BASE, 0.2 * BASE, 3.0, 40)(i) for i in k])
    arrays["optax_warmup_cosine"] = np.array(
        [optax.warmup_cosine_decay_schedule(0.1 * BASE, BASE, 12, 50, 0.05 * BASE)(i) for i in k])
    arrays["path_sgd_one_cycle"] = rosenbrock_run(
        lambda x: torch.optim.SGD(x, lr=1e-3, momentum=0.9),
        lambda o: torch_schedulers.OneCycleLR(o, 1e-3, total_steps=STEPS + 1))
    arrays["path_adam_cosine"] = rosenbrock_run(
        lambda x: torch.optim.Adam(x, lr=0.05), lambda o: torch_schedulers.CosineAnnealingLR(o, T_max=STEPS))
    assert all(a.dtype == np.float64 for a in arrays.values())
    versions = f"torch {torch.__version__}, optax {optax.__version__}, keras {keras.__version__}"
    np.savez_compressed(pathlib.Path(__file__).with_name("schedules.npz"), values=PLATEAU_VALUES,
                        versions=np.array(versions), **arrays)
    print(versions, {name: a.shape for name, a in arrays.items()})


if __name__ == "__main__":
    main()
