"""One protocol: whatever takes a method takes an Optimizer or a Discretization, or refuses it with a reason."""

import importlib
import subprocess
import sys

import numpy as np
import pytest

import odeopt as oo
from odeopt import moved
from odeopt.method import ROLES, Limit, Method, Slot, method_from
from odeopt.spec import factory
from odeopt.studies.stability.limits import limit_formula

BOWL, FLOW = oo.problems.sine_bowl(), oo.flows.heavy_ball_flow(0.5)
RK4 = oo.Discretization(FLOW, oo.schemes.rk4, 0.05)
PAIR = oo.Discretization(oo.flows.gradient_flow(), oo.schemes.dormand_prince, 0.1, rtol=1e-6)
EVERY = [*(cls.default() for cls in oo.optimizers.ALL.values()), oo.SWA(oo.Adam(0.1), 3), RK4, PAIR]


@pytest.mark.parametrize("method", EVERY, ids=lambda m: m.key if isinstance(m, oo.Optimizer) else repr(m))
def test_every_method_answers(method):
    assert isinstance(method, Method) and method.title and method.key == method.key.lower()
    assert all(isinstance(slot, Slot) and slot.role in ROLES for slot in method.slots)
    assert method.slot_names == tuple(slot.name for slot in method.slots)
    assert method.stability_limit() is None or isinstance(method.stability_limit(), Limit)
    assert (method.flow is None) == (method.declared_order("consistent") is None) or method is PAIR
    again = method_from(method.spec())
    assert repr(again) == repr(method) and (again.flow is None or again.flow.p.tolist() == method.flow.p.tolist())
    half = method.refined(2) if method.flow is not None else method
    assert half.flow is None or np.allclose(half.flow.p, method.flow.p, rtol=1e-12)


def test_a_discretization_is_compared_measured_and_drawn():
    found = oo.compare(RK4, BOWL, steps=40, order=True)
    assert found.order == pytest.approx(4, abs=0.1) and found.max_error < 1e-5
    assert len(found.local_t) > 20 and found.local_error.max() < 1e-6
    assert found.row()["flow"] == "heavy ball" and found.row()["h"] == 0.05
    table = oo.order_certificates([RK4, oo.GradientDescent(0.05)], BOWL, t_end=1.0, levels=5)
    assert [s.method for s in table.studies] == ["RK4 on heavy ball", "gradient descent"]
    assert table.studies[0].order == pytest.approx(4, abs=0.05)
    assert oo.reference(RK4, BOWL, t_end=1.0)(1.0) == pytest.approx(oo.reference(FLOW, BOWL, t_end=1.0)(1.0))


def test_a_reference_of_a_discretization_starts_at_its_time():
    late = oo.Discretization(oo.flows.nesterov_flow(), oo.schemes.rk4, 0.05, t0=1.0)
    found = oo.compare(late, BOWL, steps=20)
    assert found.reference.t0 == 1.0 and found.max_error < 1e-4


def test_refinement_of_each_kind():
    assert RK4.refined(4).h == 0.0125
    assert oo.Discretization(FLOW, oo.schemes.rk4, [0.1, 0.2]).refined(2).h.tolist() == [0.05, 0.05, 0.1, 0.1]
    for factor in (2, 3.5):  # the estimate is of order 4
        finer = PAIR.refined(factor)
        assert (finer.h, finer.rtol, finer.atol) == pytest.approx((0.1 / factor, 1e-6 / factor**5, 1e-9 / factor**5))
    assert RK4.refined(3.5).h == pytest.approx(0.05 / 3.5, rel=1e-15)
    for factor in (1e-101, 1e101):
        with pytest.raises(ValueError, match="factor must be in .1e-100, 1e.100"):
            RK4.refined(factor)
    with pytest.raises(ValueError, match="factor must be a whole number for a vector of steps"):
        oo.Discretization(FLOW, oo.schemes.rk4, [0.1, 0.2]).refined(1.5)


def test_steps_and_tolerances_of_a_discretization_have_their_ranges():
    pair = (oo.flows.gradient_flow(), oo.schemes.dormand_prince)
    assert oo.Discretization(*pair, 0.1, rtol=1.0, atol=0.0, t0=-2.0).t0 == -2.0
    assert (PAIR.t0, PAIR.atol, RK4.rtol) == (0.0, 1e-9, None)
    for more, words in ((dict(h=0.0), "h must be in .0, inf"), (dict(h=[0.1, 0.0]), "h must be a positive step"),
                        (dict(h=0.1, rtol=0.0), "rtol must be in .0, 1"), (dict(h=0.1, rtol=1.1), "rtol must be in"),
                        (dict(h=0.1, rtol=0.1, atol=-1e-9), "atol must be in .0, inf")):
        with pytest.raises(ValueError, match=words):
            oo.Discretization(*pair, **more)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: oo.record(RK4, BOWL, steps=3, gtol=1e-3), "gtol must be 0.0 for a Discretization, got 0.001"),
    (lambda: oo.record(RK4, BOWL, steps=3, start="consistent"), "start must be 'cold' for a Discretization"),
    (lambda: oo.record(RK4, BOWL, steps=3, specialize=True), "specialize must be None for a Discretization"),
    (lambda: oo.record(RK4, BOWL, steps=3, controller="PI"), "controller must be None for a Discretization with fixed"),
    (lambda: oo.record(oo.Adam(), BOWL, steps=3, controller="PI"), "controller must be None for an Optimizer"),
    (lambda: oo.compare(RK4, BOWL, steps=3, schedule=oo.schedules.cosine(3)), "schedule must be None for a Discret"),
])
def test_an_option_that_cannot_be_honoured_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("call", [
    lambda pair: oo.record(pair, BOWL, steps=3), lambda pair: oo.convergence(pair, BOWL, t_end=1.0),
    lambda pair: oo.reference(pair, BOWL, t_end=1.0), lambda pair: oo.compare(pair, BOWL),
    lambda pair: oo.work_precision([pair], BOWL, t_end=1.0), lambda pair: oo.order_certificates([pair], BOWL),
])
def test_a_pair_is_not_a_method_any_more(call):
    with pytest.raises(TypeError, match=r"Discretization\(flow, scheme, h\) makes one"):
        call((FLOW, oo.schemes.rk4))


def test_facts_that_tables_had_wrong():
    coupled = oo.AdamW(1.0, weight_decay=0.01, weight_decay_mode="coupled")
    assert limit_formula(coupled)[0] == pytest.approx(38 / 1.01, rel=1e-14)
    assert oo.stability_limit(coupled) == pytest.approx(38 / 1.01, rel=1e-12)
    assert np.isnan(limit_formula(oo.Adagrad(0.1, lr_decay=0.1))[0])
    tuned = oo.tune(oo.SWA(oo.Adam(0.01)), BOWL, steps=20, grid=3, golden=0)
    assert isinstance(tuned.optimizer, oo.SWA) and tuned.optimizer.lr == pytest.approx(tuned.best_lr, rel=1e-3)


def test_an_order_that_is_declared_on_a_condition_says_so():
    """Below the eps scale the cold start is smooth and has order 1."""
    study = oo.convergence(oo.RMSprop(0.003, centered=True, eps=1.0), BOWL, t_end=1.0, levels=5)
    assert study.order == pytest.approx(1, abs=0.05) and study.expected == 0.5
    assert "order 0.5 is declared from the cold start h above" in study.verdict


@factory
def my_flow(a):
    """A flow of one's own."""
    return oo.flows.Flow("mine", "x' = -a g", oo.flows.gradient_flow().rhs, {"a": a})


def test_what_cannot_be_made_again_says_so():
    mine = oo.Discretization(my_flow(0.5), oo.schemes.rk4, 0.1)
    assert method_from(mine.spec()).flow.constants == {"a": 0.5}
    lone = oo.Discretization(oo.flows.Flow("mine", "x' = -g", lambda *a: None, {"a": 1.0}), oo.schemes.rk4, 0.1)
    with pytest.raises(ValueError, match="flow must be one that a module holds or a factory made"):
        method_from(lone.spec())
    with pytest.raises(ValueError, match="import nowhere first"):
        method_from(mine.spec() | {"flow": {"made by": "nowhere:flow"}})
    with pytest.raises(TypeError, match="spec must be a dict"):
        method_from("adam")


def test_old_names_work_and_say_where_the_new_ones_are():
    for old, new in moved.MODULES.items():
        if old != "record":  # the only one that has the name of a function
            sys.modules.pop(f"odeopt.{old}", None)
        real = importlib.import_module(f"odeopt.{new}")
        with pytest.warns(DeprecationWarning, match=f"odeopt.{old} is now odeopt.{new}"):
            found = importlib.import_module(f"odeopt.{old}")
            assert all(getattr(found, name) is value for name, value in vars(real).items() if not name.startswith("__"))
    with pytest.warns(DeprecationWarning, match="PlateauRule"):
        assert oo.schedules.Controller is oo.schedules.PlateauRule
    with pytest.warns(DeprecationWarning, match="key"):
        assert oo.Adam().name == "adam"


def test_the_warning_of_an_old_name_is_where_it_is_asked_for():
    sys.modules.pop("odeopt.lanes", None)
    with pytest.warns(DeprecationWarning, match="odeopt.lanes is now odeopt.engine.batched") as caught:
        exec("import odeopt.lanes")
    assert [warning.filename for warning in caught] == ["<string>"]
    for old in (lambda: sys.modules["odeopt.record"].record, lambda: oo.schedules.Controller, lambda: RK4.name):
        with pytest.warns(DeprecationWarning) as caught:
            old()
        assert [warning.filename for warning in caught] == [__file__]


def test_no_old_module_takes_the_place_of_a_function():
    names = "; ".join(f"import odeopt.{old}" for old in moved.MODULES)
    code = f"import types, odeopt as oo; {names}; "
    code += "print([n for n in oo.__all__ if isinstance(getattr(oo, n), types.ModuleType)])"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([name for name in oo.__all__ if isinstance(getattr(oo, name), type(sys))])
    assert callable(oo.record)


def test_the_new_layout_brings_no_warning():
    code = "import odeopt, odeopt.studies; [getattr(odeopt, name) for name in odeopt.__all__]"
    others = [f"-Wignore::DeprecationWarning:{module}"  # matplotlib 3.10's (setup.cfg)
              for module in ("matplotlib._fontconfig_pattern", "matplotlib._mathtext", "pyparsing.util")]
    done = subprocess.run([sys.executable, "-W", "error", *others, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
