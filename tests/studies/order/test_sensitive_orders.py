"""When an order is settled, and what a study says of its slopes: thresholds from both sides."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

import odeopt as oo
from odeopt.studies.order import comparison, convergence, fit

LINE = oo.problems.quadratic([1.0], x0=[1.0])
EULER = oo.Discretization(oo.flows.gradient_flow(), oo.schemes.explicit_euler, 0.01)


@pytest.mark.parametrize(("before", "order", "settled"), [
    (1.0, 1.0, True), (1.0, 1.49, True), (1.0, 1.51, False), (1.49, 1.0, True), (1.51, 1.0, False),
    (0.3, 0.01, True), (0.3, -0.01, False), (4.0, 4.4, True)])
def test_an_order_is_settled_within_a_half(before, order, settled, monkeypatch):
    """Errors e, e/2^before and e/2^(before + order) at h, h/2 and h/4."""
    errors = {2: 2.0**-before, 4: 2.0 ** -(before + order)}

    def run(finer, problem, x0, steps, factor, *rest, **more):
        return SimpleNamespace(ok=True, t=np.array([0.0, 1.0]), x=np.array([[0.0], [errors[finer]]]))

    def zero(t):
        return np.zeros((len(t), 1))

    zero.t_end = 1.0
    method = SimpleNamespace(scaling=dict, refined=lambda factor: factor)
    monkeypatch.setattr(comparison, "inner_run", run)
    found = comparison._order(method, LINE, None, zero, "cold", 1.0, 10, None)
    assert found == pytest.approx(order, rel=1e-12) if settled else np.isnan(found)


def studied(monkeypatch, fitted, uncertainty=0.0):
    """A study of four levels of Euler's scheme with this fit, and whether it looked closer."""
    looked, solve = [], convergence.solve

    def closer(*given):
        looked.append(True)
        return None, None, False

    def uncertain(*given, **more):
        return dataclasses.replace(solve(*given, **more), uncertainty=uncertainty)

    monkeypatch.setattr(convergence, "fit_order", lambda h, error, **more: fit.Fit(**fitted))
    monkeypatch.setattr(convergence, "second_look", closer)
    monkeypatch.setattr(convergence, "solve", uncertain)
    return oo.convergence(EULER, LINE, t_end=0.64, levels=4), bool(looked)


def of_order(order, **more):
    return {"slopes": np.full(3, order), "order": order, "spread": 0.0, "tail": np.ones(4, bool), "asymptotic": True,
            "message": ""} | more


def test_what_a_study_says_of_its_slopes(monkeypatch):
    for order, said in ((0.09, True), (0.11, False), (1.0, False)):
        study, looked = studied(monkeypatch, of_order(order))
        assert ("do not shrink" in study.message) == said and not looked
    for order, certified in ((1.0499, True), (1.0501, False), (0.9501, True), (0.9499, False)):
        assert studied(monkeypatch, of_order(order))[0].certified == certified
    for spread, again in ((0.0199, False), (0.0201, True)):
        assert studied(monkeypatch, of_order(1.0, spread=spread))[1] == again
    least = studied(monkeypatch, of_order(1.0))[0].error.min()
    for part, hidden in ((99.0, False), (101.0, True)):
        study, _ = studied(monkeypatch, of_order(1.0, asymptotic=False, message="no tail"), least / 100 * part / 100)
        assert ("hides what smaller steps" in study.message) == hidden and "no tail" in study.message
