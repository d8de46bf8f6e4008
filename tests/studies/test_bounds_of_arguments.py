"""The least and the largest value that an argument may have are taken, and what is beyond is refused by name."""

import numpy as np
import pytest

import odeopt as oo
from odeopt import stochastic as st
from odeopt.studies.networks import generalisation, scale_invariance
from odeopt.studies.noise import mixing, scaling_rules, weak_order
from odeopt.studies.noise import stationary as S
from odeopt.studies.order import directions, equivalence, fit
from odeopt.studies.search import suggest
from odeopt.studies.stability import amplification, edge, limits, periodic, regions, restart, sharpness
from odeopt.studies.stability import optimal_parameters as optimal

LINE, BOWL = oo.problems.quadratic([1.0], x0=[1.0]), oo.problems.quadratic([1.0, 2.0], x0=[1.0, 0.5])
GD, RMS = oo.GradientDescent(0.1), oo.RMSprop(0.1, eps=0.0)
FLOW = oo.Discretization(oo.flows.gradient_flow(), oo.schemes.heun, 0.1)
ONE = [[1.0]]

BOUNDS = [  # name, call, allowed, refused
    ("curvature", lambda v: limits.stability_limit(GD, v), (1e-250, 1e250), (9e-251, 1.1e250)),
    ("preconditioner", lambda v: limits.stability_limit(oo.RMSprop(0.1), 1.0, preconditioner=v), (1e150,), (1.1e150,)),
    ("preconditioner", lambda v: amplification.amplification_matrix(RMS, preconditioner=v), (1e-140,), (9e-141, 0.0)),
    ("k", lambda v: amplification.amplification_matrix(GD, k=v), (0,), (-1,)),
    ("resolution", lambda v: regions.stability_region(GD, ((-1, 0), (0, 1)), resolution=v), (3,), (2,)),
    ("mu", lambda v: oo.spectral_radius_map(oo.Momentum(1.0), v, 2.0, lr=[0.1], momentum=[0.5]), (1e-9, 2.0), (0.0,)),
    ("L", lambda v: oo.spectral_radius_map(oo.Momentum(1.0), 1.0, v, lr=[0.1], momentum=[0.5]), (1.0,), (0.99,)),
    ("curvature", lambda v: oo.period_two_orbit(RMS, v), (), (9e-101, 1.1e100)),
    ("beta2", periodic.critical_beta1, (), (-0.1, 1.0)),
    ("size", lambda v: periodic.simulated_growth(RMS, size=v), (1e-9,), (0.0, 1.01)),
    ("steps", lambda v: periodic.simulated_growth(RMS, steps=v), (10,), (9,)),
    ("k", lambda v: periodic.step_jacobian(GD, LINE, [1.0], np.zeros((0, 1)), v), (0,), (-1,)),
    ("steps", lambda v: restart.restarted(oo.Nesterov(0.1), LINE, steps=v), (1,), (0,)),
    ("patience", lambda v: restart.restarted(oo.Nesterov(0.1), LINE, steps=5, patience=v), (1,), (0,)),
    ("steps", lambda v: oo.central_flow(GD, BOWL, steps=v), (1,), (0,)),
    ("substeps", lambda v: oo.central_flow(GD, BOWL, steps=2, substeps=v), (1,), (0,)),
    ("steps", lambda v: edge(GD, BOWL, steps=v, theories=["gradient flow"]), (1,), (0,)),
    ("every", lambda v: edge(GD, BOWL, steps=2, every=v, theories=["gradient flow"]), (1,), (0,)),
    ("directions", lambda v: edge(GD, BOWL, steps=2, directions=v, theories=["gradient flow"]), (1, 2), (0, 3)),
    ("warmup", lambda v: edge(GD, BOWL, steps=2, warmup=v, theories=["gradient flow"]), (0,), (-1,)),
    ("count", lambda v: sharpness(GD, BOWL, steps=2, count=v), (1, 2), (0, 3)),
    ("every", lambda v: sharpness(GD, BOWL, steps=2, every=v), (1,), (0,)),
    ("steps", lambda v: oo.step_control(BOWL, t_end=0.1, rules=["dal"], steps=v), (1,), (0,)),
    ("t_end", lambda v: oo.step_control(BOWL, t_end=v, rules=["dal"]), (1e-9,), (0.0,)),
    ("tol", lambda v: oo.step_control(BOWL, t_end=1e-3, tol=v, rules=["dal"]), (1e-2,), (0.0,)),
    ("knee", lambda v: optimal.huber(v, 1.0, 1.0, oo.Problem), (1e-9,), (0.0,)),
    ("steps", lambda v: optimal.worst_huber(1.0, 1.0, v), (0,), (-1,)),
    ("steps", lambda v: optimal.gradient_descent_bound(1.0, 1.0, v), (0,), (-1,)),
    ("lr", lambda v: optimal.gradient_descent_bound(2.0, 1.0, 1, v), (1e-9, 0.5), (0.0, 0.51)),
    # orders
    ("levels", lambda v: oo.convergence(GD, LINE, t_end=0.2, levels=v), (3,), (2,)),
    ("t_end", lambda v: oo.convergence(GD, LINE, t_end=v, levels=3), (0.1,), (0.0,)),
    ("mean_of", lambda v: oo.convergence(GD, LINE, t_end=0.2, levels=3, mean_of=v), (1,), (0,)),
    ("levels", lambda v: oo.work_precision([FLOW], LINE, t_end=0.2, levels=v, repeats=1), (1,), (0,)),
    ("repeats", lambda v: oo.work_precision([FLOW], LINE, t_end=0.2, levels=1, repeats=v), (1,), (0,)),
    ("steps", lambda v: oo.work_precision([GD], LINE, levels=1, steps=v, repeats=1), (1,), (0,)),
    ("every", lambda v: oo.compare(GD, LINE, steps=4, every=v, local=False), (1,), (0,)),
    ("tolerance", lambda v: oo.lyapunov(GD, LINE, steps=2, energy="gap", tolerance=v), (0.0,), (-1e-9,)),
    ("steps", lambda v: oo.lyapunov(GD, LINE, steps=v, energy="gap"), (1,), (0,)),
    ("mu", lambda v: oo.lyapunov(GD, LINE, steps=2, energy="gradient-strong", mu=v), (1e-9,), (0.0,)),
    ("t_end", lambda v: oo.lyapunov(oo.flows.gradient_flow(), LINE, steps=2, t_end=v), (0.1,), (0.0,)),
    ("steps", lambda v: oo.directions(GD, LINE, steps=v, t_orbit=1.0), (1,), (0,)),
    ("t_orbit", lambda v: oo.directions(GD, LINE, steps=2, t_orbit=v), (0.1,), (0.0,)),
    ("t_end", lambda v: directions.orbit(LINE, [1.0], v), (0.1,), (0.0,)),
    ("steps", lambda v: equivalence.deviation(GD, GD, LINE, v), (1,), (0,)),
    ("steps", lambda v: equivalence.own_scheme(GD, LINE, steps=v), (1,), (0,)),
    ("t_end", lambda v: oo.modified_convergence(GD, LINE, t_end=v, levels=3), (0.2,), (0.0,)),
    ("agree", lambda v: fit.fit_order([1.0, 0.5], [1.0, 0.5], agree=v), (1e-9,), (0.0,)),
    ("floor", lambda v: fit.fit_order([1.0, 0.5], [1.0, 0.5], floor=v), (0.0,), (-1e-9,)),
    # searches
    ("grid", lambda v: oo.tune(GD, LINE, steps=1, grid=v, golden=0), (3,), (2,)),
    ("golden", lambda v: oo.tune(GD, LINE, steps=1, grid=3, golden=v), (0, 100), (-1, 101)),
    ("steps", lambda v: oo.tune(GD, LINE, steps=v, grid=3, golden=0), (1,), (0,)),
    ("span", lambda v: oo.tune(GD, LINE, steps=1, grid=3, span=v, golden=0), (1.01,), (1.0,)),
    ("steps", lambda v: suggest.path_curvature(LINE, [1.0], v), (1,), (0,)),
    ("steps", lambda v: suggest.suggest(oo.GradientDescent, LINE, steps=v), (0,), (-1,)),
    ("resolution", lambda v: oo.basins(GD, oo.problems.himmelblau(), resolution=v, steps=1, t_end=1e-6), (2,), (1,)),
    ("radius", lambda v: oo.basins(GD, oo.problems.himmelblau(), resolution=2, steps=1, t_end=1e-6, radius=v), (1e-9,),
     (0.0,)),
    ("steps", lambda v: oo.ensemble(GD, LINE, [[1.0]], v), (0,), (-1,)),
    ("every", lambda v: oo.ensemble(GD, LINE, [[1.0]], 2, every=v), (0,), (-1,)),
    ("chunk", lambda v: oo.ensemble(GD, LINE, [[1.0]], 2, chunk=v), (1,), (0,)),
    ("gtol", lambda v: oo.ensemble(GD, LINE, [[1.0]], 2, gtol=v), (0.0,), (-1e-9,)),
    ("t_end", lambda v: oo.ensemble(GD, LINE, [[1.0]], 2, t_end=v), (0.0,), (-1e-9,)),
    ("steps", lambda v: oo.sweep(GD, LINE, None, v, grid={"lr": [0.1]}, measure="gap"), (1,), (0,)),
    # noise
    ("lags", lambda v: mixing.lag_distance(GD, ONE, ONE, [v]), (0,), (-1,)),
    ("lags", lambda v: mixing.lag_distance_quadratic(GD, ONE, ONE, lags=v, paths=2), (2,), (1,)),
    ("stride", lambda v: mixing.lag_distance_quadratic(GD, ONE, ONE, lags=2, stride=v, paths=2), (1,), (0, 2**40 + 1)),
    ("paths", lambda v: S.stationary(GD, ONE, ONE, paths=v), (2,), (1,)),
    ("average", lambda v: S.stationary(GD, ONE, ONE, paths=2, average=v), (0,), (-1,)),
    ("n", lambda v: S.averaged_covariance(GD, ONE, ONE, v), (1,), (0,)),
    ("number of samples", lambda v: S.mean_interval(np.arange(v)), (2,), (1,)),
    ("samples", lambda v: S.covariance_interval(np.arange(float(v))[:, None]), (2,), (1,)),
    ("levels", lambda v: weak_order.weak_order(GD, ONE, ONE, [1.0], 0.1, levels=v), (2,), (1,)),
    ("t_end", lambda v: weak_order.weak_order(GD, ONE, ONE, [1.0], v), (0.1,), (0.0,)),
    ("coarsest", lambda v: weak_order.integrator_order("euler_maruyama", ONE, ONE, [1.0], 1.0, levels=2, coarsest=v),
     (1,), (0, 2**20 + 1)),
    ("nodes", lambda v: weak_order.weak_order_nonlinear(GD, LINE, st.gaussian(1e-6), 0.0, 0.1, (-1, 1), levels=2,
                                                        nodes=v), (2,), (1, 10_001)),
    ("substeps", lambda v: weak_order.weak_order_nonlinear(GD, LINE, st.gaussian(1e-6), 0.0, 0.1, (-1, 1), levels=2,
                                                           nodes=3, substeps=v), (2,), (1,)),
    ("x0", lambda v: weak_order.weak_order_nonlinear(GD, LINE, st.gaussian(1e-6), v, 0.1, (-1, 1), levels=2, nodes=3),
     (-1.0, 1.0), (-1.01, 1.01)),
    ("steps", lambda v: weak_order.discrete_moments(GD, ONE, ONE, [1.0], v), (0,), (-1,)),
    ("paths", lambda v: scaling_rules.scaling_rules(oo.Adam(0.01), LINE, 1.0, steps=4, paths=v), (2,), (1,)),
    ("factor", lambda v: scaling_rules.square_root_scaled(oo.Adam(0.01), v), (1e-9,), (0.0,)),
    ("variance", lambda v: scaling_rules.scaling_rules(oo.Adam(0.01), LINE, v, steps=4, paths=2), (1e-3,), (0.0,)),
    # norms
    ("factor", lambda v: scale_invariance.rescaled(oo.GradientDescent(0.1), v), (1e-150, 1e150), (9e-151, 1.1e150)),
    ("intrinsic", scale_invariance.equilibrium_angle, (0.0, 0.999), (-0.1, 1.0)),
    ("lr * weight_decay", lambda v: scale_invariance.equilibrium_norm2(1.0, v, 1.0), (1.99,), (2.0,)),
    ("steps", lambda v: scale_invariance.norm_recursion(1.0, 0.1, 0.1, 1.0, v), (0,), (-1,)),
    ("paths", lambda v: scale_invariance.norm_equilibrium([(0.5, 0.5)], oo.problems.rayleigh(), st.tangent(0.1),
                                                          paths=v, records=2), (2,), (1,)),
    ("records", lambda v: scale_invariance.norm_equilibrium([(0.5, 0.5)], oo.problems.rayleigh(), st.tangent(0.1),
                                                            paths=2, records=v), (1,), (0,)),
    ("steps", lambda v: scale_invariance.norm_equilibrium([(0.5, 0.5)], oo.problems.rayleigh(), st.tangent(0.1),
                                                          paths=2, records=1, steps=v), (1,), (0,)),
    ("pairs", lambda v: scale_invariance.decayed(1.0, v), (1e-9,), (0.9e-9,)),
    ("steps", lambda v: scale_invariance.instability([0.1], steps=v), (1,), (0,)),
    ("count", lambda v: generalisation.random_starts(LINE, v, 0), (1,), (0,)),
]


@pytest.mark.parametrize(("name", "call", "allowed", "refused"), BOUNDS)
def test_bounds(name, call, allowed, refused):
    for value in allowed:
        call(value)
    for value in refused:
        with pytest.raises(ValueError, match=name.replace("*", r"\*")):
            call(value)
