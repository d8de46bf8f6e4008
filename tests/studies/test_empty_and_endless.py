"""Studies of nothing, and studies that would never end: each is refused, in a sentence that names the argument."""

import numpy as np
import pytest

import odeopt as oo
from odeopt.studies.noise import mixing, weak_order
from odeopt.studies.stability.limits import stability_table
from odeopt.studies.stability.step_control import step_control

BEALE, GD, EYE = oo.problems.beale(), oo.GradientDescent(1e-3), np.eye(2)
ENDLESS = 2**61


@pytest.mark.parametrize("call, words", [
    (lambda: oo.order_certificates([], BEALE), "optimizers must have at least one entry"),
    (lambda: oo.work_precision([], BEALE, t_end=1.0), "methods must have at least one entry"),
    (lambda: oo.equivalences([]), "names must have at least one entry"),
    (lambda: stability_table([]), "optimizers must have at least one entry"),
    (lambda: step_control(BEALE, rules=[]), "rules must have at least one entry"),
    (lambda: mixing.lag_distance(GD, EYE, EYE, []), "lags must have at least one entry"),
    (lambda: oo.sweep(GD, BEALE, [1.0, 1.0], 5, grid={"lr": []}), "grid must have at least one value"),
    (lambda: oo.ensemble(GD, BEALE, np.ones((0, 2)), 5), "starts must be finite with shape"),
    (lambda: oo.compare(GD, BEALE, t_end=1e300), r"t_end must be in reach of 100000 steps with every=1, got 1e\+300"),
    (lambda: oo.compare(GD, BEALE, t_end=1e9, every=7), "t_end must be in reach of 700000 steps with every=7"),
    (lambda: weak_order.weak_order(oo.GradientDescent(0.5), EYE, EYE, [1.0, 1.0], 2.0**900), "t_end must be in reach"),
    (lambda: weak_order.sde_moments(GD, EYE, EYE, [1.0, 1.0], 1e300), "t must be a time at which the moments"),
    (lambda: oo.tune(GD, BEALE, steps=2, golden=ENDLESS), "golden must be at most 100"),
    (lambda: oo.sweep(oo.Adam(), BEALE, [1.0, 1.0], 5, grid=dict.fromkeys(("lr", "beta1"), np.full(10**5, 0.1))),
     "grid must ask for no more than the memory"),
    (lambda: oo.problems.rosenbrock(ENDLESS), "dim must ask for no more than the memory"),
    (lambda: oo.problems.digits_mlp(ENDLESS), "hidden must ask for no more than the memory"),
    (lambda: oo.problems.digits_network(layers=10**6), "layers must be at most 1000"),
    (lambda: oo.schemes.chebyshev_steps(1.0, 2.0, ENDLESS), "n must ask for no more than the memory"),
])
def test_nothing_and_endless_are_refused(call, words):
    with pytest.raises(ValueError, match=f"^{words}"):
        call()


def test_rules_may_come_one_by_one():
    log = step_control(BEALE, t_end=0.01, rules=(rule for rule in ("I", "dal")), steps=50)
    assert [row["rule"] for row in log.rows()] == ["I", "dal"]


class Until:
    """A smooth problem whose objective is not finite from call ``at`` on."""

    def __init__(self, at):
        self.calls, self.at = -np.inf, at
        self.problem = oo.Problem(self.fun, self.grad, hess=lambda x: np.diag(np.cosh(x)), dim=2, x0=[1.0, -0.5],
                                  minima=[[0.0, 0.0]])
        self.calls = 0

    def fun(self, x):
        self.calls += 1
        return np.nan if self.calls >= self.at else float(np.cosh(x).sum()) - 2.0

    def grad(self, x):
        return np.sinh(x)


@pytest.mark.parametrize("study", [oo.central_flow, oo.directions])
def test_a_run_that_makes_no_step_is_no_study(study):
    with pytest.raises(ValueError, match="optimizer must make a step whose end is finite on fun, and its run diverged"):
        study(oo.GradientDescent(0.1), Until(2).problem, steps=4)
