"""A right call of every public function: its name and arguments that are good (``Made``: made when first asked for).

``tests/core/test_every_argument.py`` replaces each argument in turn by what it cannot be.
"""

import functools
import importlib
import tempfile
from pathlib import Path

import numpy as np

import odeopt as oo
from odeopt import plotting, stochastic
from odeopt.abi import kernel

BEALE, QUADRATIC = oo.problems.beale(), oo.problems.quadratic([1.0, 10.0])
PLAIN, ADAM = oo.GradientDescent(1e-3), oo.Adam(1e-3)
NOISE = stochastic.gaussian(0.1)
HESSIAN, COVARIANCE = np.diag([1.0, 2.0]), 0.1 * np.eye(2)
WINDOW = ((-1.0, 1.0), (-1.0, 1.0))
POINTS = np.ones((3, 2))


class Made:
    """An argument that costs something: made once, or anew for each call (``fresh``)."""

    def __init__(self, make, fresh=False):
        self.make = make if fresh else functools.cache(make)


def _figure(*shape, **options):
    import matplotlib.pyplot as plt

    plt.close("all")
    figure = plt.figure()
    return figure.subplots(*shape, **options) if shape else figure


def _lenet():
    return importlib.import_module("odeopt.problems.lenet").LeNet5()


def _images():
    split = importlib.import_module("odeopt.studies.networks.training").split
    return split(np.random.default_rng(0).random((24, 32, 32, 1), dtype=np.float32), np.arange(24) % 10, (8, 8, 8))


def _edge():
    edge = importlib.import_module("odeopt.studies.stability.scoreboard").edge
    return edge(PLAIN, BEALE, steps=4, every=2)


def _checkpoint():
    path = Path(tempfile.mkdtemp(), "checkpoint.npz")
    oo.save_checkpoint(path, ADAM, ADAM.init(np.ones(2)), np.ones(2))
    return path


def _field(fg, hv, data, t, p, z, dz):
    fg(z[0], dz[0], data)
    dz[0] *= -1.0


def _step(rhs, fg, hv, data, p, t, h, z, w):
    rhs(fg, hv, data, t, p, z, w)
    z += h * w
    return 0.0


@kernel
def _factor(k, base, c):
    return c[0] * base


@kernel
def _noise(x, xi, out, c):
    for i in range(out.size):
        out[i] = c[0] * xi[i]


AX = Made(lambda: _figure(1, 1), fresh=True)
SPACE = Made(lambda: _figure(1, 1, subplot_kw={"projection": "3d"}), fresh=True)
SPACES = Made(lambda: _figure(1, 2, subplot_kw={"projection": "3d"}), fresh=True)
AXES = Made(lambda: _figure(2, 2), fresh=True)
FIGURE = Made(_figure, fresh=True)
RUNS = Made(lambda: [oo.record(PLAIN, BEALE, steps=5)])
COMPARISONS = Made(lambda: [oo.compare(oo.Momentum(1e-3), BEALE, steps=3)])
LENET, IMAGES = Made(_lenet), Made(_images)
SAMPLED = {"paths": 2, "seed": 0, "threads": 1, "progress": False}
STARTS = {"optimizer": PLAIN, "problem": BEALE, "starts": POINTS, "steps": 3}
ROOT = {"eps": 1e-3, "eps_mode": "outside"}
TIMES = {"tau1": 1.0, "tau2": 1.0}
LINES = {"labels": None, "legend": True}
TOLERANCES = {"rtol": 1e-8, "atol": 1e-8}


def _method(name="optimizer", value=PLAIN, **more):
    return {name: value, "problem": BEALE, "x0": None} | more


TOP = {
    "amplification_matrix": {"method": PLAIN, "curvature": 1.0, "preconditioner": 1.0, "k": 100},
    "basins": {"optimizer": PLAIN, "problem": oo.problems.himmelblau(), "window": WINDOW, "resolution": 2, "steps": 3,
               "t_end": None, "flow": None, "radius": None, "progress": False},
    "central_flow": _method(steps=3, substeps=1),
    "compare": _method("method", steps=3, every=1, start="cold", t_end=None, local=True, order=False, check=True,
                       schedule=None, progress=False, **TOLERANCES),
    "convergence": _method("method", t_end=0.02, levels=3, factor=2.0, start="cold", against="reference", refine=None,
                           expected=None, mean_of=None, solver="auto", progress=False, **TOLERANCES),
    "deviation": {"first": PLAIN, "second": PLAIN, "problem": BEALE, "steps": 3, "relative": True},
    "directions": _method(steps=3, start="cold", t_orbit=0.1),
    "ensemble": STARTS | {"every": 0, "keep": "path", "t_end": None, "gtol": 0.0, "start": "cold", "threads": 1,
                          "executor": None, "chunk": 4, "out": None, "progress": False},
    "equivalences": {"names": ["momentum-forms"], "progress": False},
    "explore": {"problem": "beale", "methods": ["gd"], "x0": None, "steps": 5, "html": "/nowhere/page.html"},
    "learning_rate_decay": {"network": LENET, "data": IMAGES, "optimizer": PLAIN, "rule": None, "epochs": {0.01: 1},
                            "batch": 4, "seeds": (0,), "progress": False},
    "load_checkpoint": {"path": Made(_checkpoint), "optimizer": None, "x": None},
    "save_checkpoint": {"path": "/nowhere/checkpoint.npz", "optimizer": ADAM, "state": ADAM.init(np.ones(2)),
                        "x": np.ones(2), "schedule": None, "rng": None},
    "lyapunov": _method("method", steps=3, energy=None, t_end=None, mu=None, minimiser=None, tolerance=1e-10),
    "minimize": {"fun": lambda x: float(x @ x), "x0": [1.0, 2.0], "args": (), "method": "gd", "jac": lambda x: 2 * x,
                 "hess": None, "hessp": None, "bounds": None, "constraints": (), "tol": None, "callback": None,
                 "options": {"maxiter": 3}},
    "modified_convergence": _method(t_end=0.02, levels=3, order=2, progress=False, **TOLERANCES),
    "modified_flow": {"optimizer": PLAIN, "order": 2},
    "order_certificates": _method("optimizers", [PLAIN], t_end=0.02, levels=3, start="cold", progress=False),
    "period_two_orbit": {"optimizer": ADAM, "curvature": 1.0},
    "record": _method("method", steps=3, every=1, schedule=None, t_end=None, gtol=0.0, start="cold", memory=False,
                      resume=None, controller=None, progress=False, specialize=None),
    "reference": _method("method", t_end=0.01, solver="auto", start="cold", t0=None, check=True, reuse=False,
                         schedule=None, steps=None, progress=False, **TOLERANCES),
    "restarted": _method(value=oo.Nesterov(1e-3), steps=3, rule="speed", patience=2),
    "sample": _method(noise=NOISE, steps=3, every=None, schedule=None, start="cold", average_from=None, resume=None,
                      **SAMPLED),
    "spectral_radius_map": {"optimizer": oo.Momentum(0.1), "mu": 1.0, "L": 10.0, "lr": [0.1], "momentum": [0.1, 0.2]},
    "stability_limit": {"method": PLAIN, "curvature": 1.0, "vary": "lr", "preconditioner": 1.0},
    "stability_region": {"method": PLAIN, "window": WINDOW, "resolution": 5, "preconditioner": 1.0},
    "step_control": {"problem": BEALE, "x0": None, "t_end": 0.02, "tol": 0.1, "rules": ("I",), "scheme": "heun-euler",
                     "steps": 100, "progress": False},
    "step_jacobian": {"optimizer": PLAIN, "problem": BEALE, "x": [1.0, 1.0], "s": np.ones((0, 2)), "k": 9,
                      "scales": None},
    "sweep": STARTS | {"grid": {"lr": [0.1, 0.2]}, "measure": None},
    "train": {"optimizer": PLAIN, "network": LENET, "data": IMAGES, "epochs": 1, "batch": 4, "rule": None, "seed": 0,
              "progress": False, "clip_norm": None, "clip_value": None},
    "tune": _method(steps=3, grid=3, span=10.0, golden=1, momenta=None, score="final", progress=False),
    "work_precision": _method("methods", [PLAIN], t_end=0.02, levels=3, steps=2, factor=2.0, start="cold",
                              labels=None, solver="auto", repeats=1, progress=False, **TOLERANCES),
    "Discretization": {"flow": oo.flows.gradient_flow(), "scheme": oo.schemes.rk4, "h": 0.1, "rtol": None,
                       "atol": 1e-9, "t0": 0.0},
    "Problem": {"fun": lambda x: float(x @ x), "grad": lambda x: 2 * x, "hess": lambda x: 2 * np.eye(2), "dim": 2,
                "hessp": None, "x0": None, "minima": (), "f_min": None, "window": None, "name": None, "convex": False,
                "batch": None, "samples": None},
}
PROBLEMS = dict.fromkeys(("ackley", "rastrigin", "levy", "styblinski_tang", "rosenbrock"), {"dim": 2}) | {
    "quartic": {"dim": 1},
    "angle": {"c": 1.0, "x0": (1.0, 0.0)},
    "by_name": {"name": "beale"},
    "digits_logistic": {"l2": 1e-3, "part": "all"},
    "digits_mlp": {"hidden": 4, "l2": 1e-4, "part": "all", "seed": 0},
    "digits_network": {"width": 4, "layers": 1, "loss": "squared", "images": 20, "seed": 0},
    "digits_split": {"part": "train"},
    "least_squares": {"residuals": lambda x: x - 1.0, "jacobian": lambda x: np.eye(2), "x0": [0.0, 0.0],
                      "minima": (), "f_min": None, "window": None, "name": None},
    "log_cosh_valley": {"condition": 100.0, "angle": 0.5},
    "normalized_logistic": {"radius": 20.0, "part": "train", "seed": 0},
    "normalized_mlp": {"hidden": 4, "radii": (8.0, 20.0), "part": "train", "seed": 0},
    "quadratic": {"eigenvalues": (1.0, 100.0), "angle": None, "seed": None, "x0": None, "minimiser": None},
    "rayleigh": {"eigenvalues": (2.0, 0.0), "x0": None},
}
DECAYS = {"decay": 0.0, "drift": 0.0}
FLOWS = {
    "adadelta_flow": {"tau": 1.0, "eps": 1e-3, "eps_speed": 1e-3, "lr": 1.0},
    "adagrad_flow": ROOT | {"rate": 0.0},
    "adam_flow": TIMES | ROOT | DECAYS,
    "adamax_flow": TIMES | {"eps": 1e-3, "eps_mode": "inside"},
    "amsgrad_flow": TIMES | ROOT | DECAYS | {"form": "torch"},
    "averaged_gradient_flow": {"tau": 1.0} | DECAYS,
    "bregman_flow": {"p": 2.0, "C": 0.25, "friction": None},
    "clipped_flow": {"flow": oo.flows.gradient_flow(), "norm": 1.0, "value": None},
    "Flow": {"name": "mine", "equation": "", "rhs": _field, "constants": {"a": 1.0}, "slots": (),
             "order_of_position": 1, "jacobian": None, "needs_hessian": False, "energy": "", "evaluations": None,
             "dim": None},
    "gradient_flow": {"decay": 0.0},
    "heavy_ball_flow": {"a": 1.0} | DECAYS,
    "high_resolution_flow": {"s": 0.1, "mu": 0.0, "kind": "nag-sc"},
    "high_resolution_start": {"x": [1.0, 2.0], "g": [1.0, 2.0], "s": 0.1, "mu": 0.0, "kind": "nag-sc",
                              "velocity": "matched"},
    "linear_test_problem": {"coefficients": [-1.0]},
    "look_ahead_flow": {"d": 1.0, "b": 0.1, "c": 1.0},
    "mean_age": {"beta": 0.9, "ahead": False},
    "modified_gradient_flow": {"h": 0.1, "c": 0.1, "order": 2, "name": "mine"} | DECAYS,
    "modified_root_flow": {"h": 0.1, "beta1": 0.9, "beta2": 0.9, "order": 2, "name": "mine"} | ROOT | DECAYS,
    "muon_flow": {"tau": 1.0, "shape": (1, 2), "steps": None, "coefficients": (3.4, -4.7, 2.0), "eps": 0.0,
                  "adjust": "none", "drift": 0.0},
    "nadam_flow": TIMES | ROOT | DECAYS | {"rate": 0.1},
    "nag_sc_flow": {"mu": 1.0},
    "nesterov_flow": {"r": 3.0},
    "polyak_flow": {"f_star": 0.0},
    "rmsprop_flow": ROOT | {"tau": 1.0, "bias_correction": False, "decay": 0.0, "centered": False, "friction": None},
    "sam_flow": {"rho": 0.1, "normalized": True},
    "shampoo_flow": {"tau": 1.0, "shape": None},
    "soap_flow": {"tau1": 1.0, "tau2": 1.0, "tau3": 1.0, "shape": (1, 2)},
    "sign_flow": {"eps": 0.1},
    "sign_of_mean": {"tau": 1.0},
    "sign_inclusion": {"decay": 0.0},
}
SCHEMES = {
    "Scheme": {"name": "mine", "step": _step, "order": 1, "stages": 1, "work": lambda rows: rows, "embedded_order": 0,
               "constants": (), "check": None, "matrix_up_to": 0},
    "catching_up_euler": {"row": 1, "bound_row": None, "divisor": 0, "offset": 0.0},
    "chebyshev_steps": {"mu": 1.0, "L": 10.0, "n": 4, "order": "stable"},
    "explicit_runge_kutta": {"name": "mine", "a": [[0.0, 0.0], [1.0, 0.0]], "b": [0.5, 0.5], "b_hat": None,
                             "order": 2, "embedded_order": 0},
    "partitioned_euler": {"stages": (1, 0), "look_ahead": False},
    "runge_kutta_chebyshev": {"stages": 4, "damping": 0.05},
    "silver_steps": {"n": 3, "L": 1.0},
    "sam": {"ratio": 1.0},
}
EACH = {"every": 1, "staircase": False, "drives": "lr"}
SCHEDULES = {
    "by_name": {"name": "cosine"},
    "chebyshev": {"condition": 10.0, "steps": 8, "order": "stable", "drives": "lr"},
    "constant": {"factor": 1.0, "drives": "lr"},
    "cosine": {"steps": 9, "end": 0.0, "drives": "lr"},
    "cosine_restarts": {"period": 3.0, "growth": 1.0, "end": 0.0, "drives": "lr"},
    "cyclic": {"up": 3},
    "product": {"first": oo.schedules.constant(), "second": oo.schedules.cosine(9)},
    "exponential": {"rate": 0.9} | EACH,
    "growing": {"weight_decay": 0.1, "momentum": 0.0, "drives": "lr"},
    "inverse_time": {"rate": 0.9} | EACH,
    "linear": {"steps": 9, "start": 1.0, "end": 0.0, "drives": "lr"},
    "multistep": {"milestones": [3], "factor": 0.1, "drives": "lr"},
    "natural_exponential": {"rate": 0.9} | EACH,
    "one_cycle": {"steps": 9, "warm": 0.3, "start": 0.04, "end": 4e-6, "shape": "cosine", "three_phase": False,
                  "drives": "lr"},
    "one_cycle_momentum": {"steps": 9, "warm": 0.3, "low": 0.85, "high": 0.95, "shape": "cosine",
                           "three_phase": False, "drives": "momentum"},
    "piecewise": {"knots": [0, 5], "levels": [1.0, 0.1], "shape": "linear", "absolute": False, "drives": "lr"},
    "polynomial": {"steps": 9, "power": 1.0, "end": 0.0, "drives": "lr"},
    "ramp": {"start": 0.1, "end": 0.9, "steps": 9, "drives": "momentum"},
    "ReduceLROnPlateau": {"factor": 0.1, "patience": 10, "threshold": 1e-4, "threshold_mode": "rel", "cooldown": 0,
                          "min_lr": 0.0, "eps": 1e-8, "form": "torch", "every": 1},
    "Schedule": {"name": "mine", "kernel": _factor, "constants": (1.0,), "drives": "lr", "parts": ()},
    "sequence": {"schedules": [oo.schedules.constant(), oo.schedules.cosine(9)], "milestones": [4]},
    "silver": {"drives": "lr"},
    "step": {"every": 3, "factor": 0.1, "drives": "lr"},
    "StepDecay": {"factor": 0.1, "period": 3, "below": (), "min_lr": 0.0, "every": 1},
    "table": {"factors": [1.0, 0.5], "repeat": False, "drives": "lr"},
    "warmup": {"steps": 3, "then": None, "start": 0.0, "drives": "lr"},
}
STOCHASTIC = {
    "Minibatch": {"size": 3, "replacement": False},
    "SDE": {"flow": oo.flows.gradient_flow(), "strength": 0.1, "row": 0, "h": 0.1, "equation": ""},
    "batch_covariance": {"problem": Made(oo.problems.digits_logistic), "x": np.zeros(650),
                         "batch": stochastic.Minibatch(32)},
    "diagonal_multiplicative": {"additive": 0.1, "multiplicative": 0.1},
    "gaussian": {"covariance": 0.1},
    "sample": TOP["sample"],
    "sde": {"optimizer": PLAIN, "order": 1},
    "simulate": {"equation": stochastic.sde(PLAIN), "problem": BEALE, "noise": NOISE, "x0": None, "steps": 3,
                 "h": None, "scheme": "weak_second_order", "every": None} | SAMPLED,
    "state_dependent": {"function": _noise, "constants": (0.1,), "dim": 0, "size": 0, "name": None},
    "tangent": {"sigma": 0.1},
}
PLOTTING = {
    "basins": {"study": Made(lambda: oo.basins(PLAIN, oo.problems.himmelblau(), resolution=3, steps=3)), "ax": AX,
               "flow": False, "problem": None, "legend": True},
    "below": {"ax": AX, "handles": None, "title": None, "columns": None},
    "clocks": {"runs": RUNS, "ax": AX} | LINES,
    "contours": {"problem": BEALE, "ax": AX, "window": None, "resolution": 9, "minima": True, "lines_only": False},
    "controller_log": {"log": Made(lambda: oo.step_control(BEALE, t_end=0.02, steps=100).logs[0]), "ax": AX,
                       "limit": None, "legend": True},
    "convergence": {"studies": Made(lambda: oo.convergence(PLAIN, BEALE, t_end=0.02, levels=3)), "ax": AX,
                    "triangle": True} | LINES,
    "edge": {"study": Made(_edge), "axes": AXES, "legend": True},
    "error_panels": {"comparisons": COMPARISONS, "axes": AXES, "labels": None},
    "errors": {"comparisons": COMPARISONS, "ax": AX, "local": False} | LINES,
    "gradient_norms": {"runs": RUNS, "ax": AX, "against": "gradients"} | LINES,
    "learning_rates": {"runs": RUNS, "ax": AX, "against": "steps"} | LINES,
    "look": {"name": "adam"},
    "looks": {"methods": [PLAIN], "labels": None, "titles": None},
    "objectives": {"runs": RUNS, "ax": AX, "f_min": None, "against": "gradients"} | LINES,
    "panel_shape": {"count": 3},
    "path_panels": {"problem": BEALE, "runs": RUNS, "axes": AXES, "window": None, "labels": None},
    "curve_panels": {"kind": "objective", "runs": RUNS, "axes": AXES, "against": "gradients", "f_min": None,
                     "labels": None},
    "phase_panels": {"runs": COMPARISONS, "axes": AXES, "coordinate": 0, "labels": None},
    "surface_panels": {"problem": BEALE, "runs": RUNS, "axes": SPACES, "window": None, "labels": None},
    "phase_portrait": {"runs": COMPARISONS, "ax": AX, "coordinate": 0} | LINES,
    "principal_plane": {"runs": RUNS, "ax": AX, "flow": True} | LINES,
    "race": {"problem": BEALE, "runs": RUNS, "fig": FIGURE, "window": None, "pace": "gradients", "budget": None,
             "frames": 2, "fps": 18, "trail": 60, "labels": None, "flow": True, "caption": None, "linear": 0.0,
             "title": None},
    "save_animation": {"made": Made(lambda: plotting.race(BEALE, RUNS.make(), _figure(), frames=2)),
                       "path": "/nowhere/a.gif", "fps": None, "colors": 16, "progress": None},
    "spectral_radius_map": {"study": Made(lambda: oo.spectral_radius_map(oo.Momentum(0.1))), "ax": AX,
                            "colorbar": True},
    "stability_region": {"study": Made(lambda: oo.stability_region(PLAIN, resolution=9)), "ax": AX, "mark": True},
    "step_lengths": {"runs": RUNS, "ax": AX} | LINES,
    "surface": {"problem": BEALE, "runs": RUNS, "ax": SPACE, "window": None} | LINES,
    "sweep": {"study": Made(lambda: oo.sweep(PLAIN, BEALE, POINTS[0], 3, grid={"lr": [1e-3, 2e-3]}, measure="gap")),
              "ax": AX, "kind": None, "colorbar": True, "legend": True},
    "trajectories": {"problem": BEALE, "runs": RUNS, "ax": AX, "window": None, "flow": True, "markers": 11,
                     "background": True} | LINES,
    "work_precision": {"study": Made(lambda: oo.work_precision([PLAIN], BEALE, t_end=0.02, levels=3, repeats=1)),
                       "ax": AX, "cost": "gradients", "of": "error", "legend": True},
}
INTEROP = {
    "auto_lr": {"method": oo.GradientDescent, "product": lambda v: v, "n": 2},
    "minimize": TOP["minimize"],
    "minimize_method": {"method": "adam"},
    "solver_class": {"method": oo.Discretization(oo.flows.gradient_flow(), oo.schemes.rk4, 0.1), "problem": BEALE,
                     "rows": 1, "start": "cold"},
}
CALLS = {"": TOP, "problems": PROBLEMS, "flows": FLOWS, "schemes": SCHEMES, "schedules": SCHEDULES,
         "stochastic": STOCHASTIC, "plotting": PLOTTING, "interop": INTEROP}
