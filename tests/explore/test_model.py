"""The page without a browser: states, what they show, and what is refused."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import odeopt as oo
from odeopt.explore import asked, model
from odeopt.explore.state import MOST_STEPS, State, as_command, as_python, sliders, variants


def test_a_state_survives_its_address():
    methods = (("adam", (("lr", 0.02), ("eps_mode", "inside"))), ("gd", ()))
    state = State("(1-x)^2 + x*y^2", (0.5, -1.25), methods, 70, 3, "consistent")
    assert State.from_query(state.query()) == state
    assert state.methods[1][0] == "gradientdescent"


@pytest.mark.parametrize(("query", "words"), [
    ("steps=5001", "steps must be at most"), ("steps=x", "steps must be an integer"),
    ("refinement=40", "refinement must be at most"), ("start=hot", "start must be one of"), ("x0=1,nan", "x0 must be"),
    ("x0=1", "x0 must have shape"), ("method=adm", "did you mean 'adam'"),
    ("method=adam:rate=1", "hyperparameter must"), ("method=adam:lr=one", "lr must be a number"),
    ("method=gd&method=gd", "once each"),
    ("problem=" + "x" * 200, "at most 160 characters"), ("problem=" + "x" * 5000, "at most 4000 characters"),
])
def test_an_address_that_asks_for_what_there_is_not_is_refused_in_a_sentence(query, words):
    with pytest.raises((ValueError, TypeError), match=words):
        State.from_query(query)


@pytest.mark.parametrize(("word", "words"), [
    ("__import__('os')", "text must be made of"), ("x + y + z", "2 variables"), ("beal", "did you mean 'beale'"),
    ("digits-logistic", "2 variables"), ("1/", "not a formula"),
])
def test_a_problem_that_is_none_is_refused(word, words):
    with pytest.raises(ValueError, match=words):
        model.picture(State(word))


def test_halved_steps_crowd_onto_the_same_flow():
    """The flow stays, and the distance to it halves with the step (order 1)."""
    state = State(methods=(("gd", ()), ("adam", ())))
    errors, ends = [], []
    for refinement in (2, 3, 4):
        picture = model.picture(state.changed(refinement=refinement))
        errors.append([row["max error"] for row in picture.rows])
        ends.append([x[-1] for x in picture.sources["flows"]["xs"]])
        assert [row["order"] for row in picture.rows] == pytest.approx([1, 1], abs=0.05)
    assert np.allclose(ends[0], ends[2], rtol=1e-6)
    assert np.log2(np.divide(errors[1], errors[2])) == pytest.approx([1, 1], abs=0.05)


def test_numbers_are_those_of_compare():
    state, _ = asked("beale", [oo.Momentum(1e-3)], (0.5, 0.5), 100)
    row, = model.picture(state).rows
    expected = oo.compare(oo.Momentum(1e-3), oo.problems.beale(), [0.5, 0.5], 100, local=False)
    assert row["max error"] == pytest.approx(expected.max_error, rel=1e-5)
    assert row["f"] == pytest.approx(expected.gap, rel=1e-12)


def test_past_the_largest_stable_step_gradient_descent_diverges():
    """On curvature 100 the limit of lr is 0.02."""
    for lr, ratio, status in ((0.019, 0.95, "completed"), (0.022, 1.1, "diverged")):
        state, given = asked(oo.problems.quadratic((1.0, 100.0)), [oo.GradientDescent(lr)], None, MOST_STEPS)
        picture = model.picture(state.changed(steps=MOST_STEPS, refinement=0), given)
        assert picture.sources["stability"]["ys"][0] == pytest.approx(ratio)
        shrinks = picture.sources["objective"]["ys"][0][-1] < picture.sources["objective"]["ys"][0][0]
        assert shrinks == (status == "completed")


def test_the_preconditioner_is_that_of_the_memory():
    """Adam's frozen preconditioner: lr lambda_max(P^-1/2 H P^-1/2) over 2 (1 + beta1)/(1 - beta1)."""
    problem, adam = oo.problems.beale(), oo.Adam(0.01)
    state, _ = asked("beale", [adam], None, 60)
    run = oo.record(adam, problem, steps=60, memory=True)
    v, q = run.memory[-1, 1], run.memory[-1, 3, 0]
    root = np.diag((np.sqrt(v / q) + adam.eps) ** -0.5)
    expected = 0.01 * np.linalg.eigvalsh(root @ problem.hess(run.x[-1]) @ root).max() / 38
    assert model.picture(state).sources["stability"]["ys"][0][-1] == pytest.approx(expected, rel=0.01)


def test_a_run_that_diverges_and_a_start_outside_the_domain_are_sentences():
    state, _ = asked("rosenbrock", [oo.GradientDescent(1.0)])
    picture = model.picture(state)
    assert picture.rows[0]["status"] == "diverged" and "diverged" in picture.notes[0]
    assert picture.sources["ends"]["x"]
    with pytest.raises(ValueError, match="x0 must be a point where f"):
        model.picture(State("log(x) + y^2", (-1.0, 1.0)))


def test_sliders_stay_within_what_the_pages_allow():
    for cls in oo.optimizers.ALL.values():
        method = cls.default()
        for slider in sliders(method):
            check = next(f for f in dataclasses.fields(cls) if f.name == slider.name).metadata["check"]
            for position in (slider.low, 0.5 * (slider.low + slider.high), slider.high):
                check(slider.name, slider.value(position))
            value = getattr(method, slider.name)
            assert slider.value(slider.position(value)) == pytest.approx(value, rel=0.01, abs=1e-7)
        for name, words in variants(method).items():
            assert getattr(method, name) in words


def test_copied_words_make_the_same_runs(capsys):
    methods = (("gd", ()), ("rmsprop", (("decay", 0.8),)))
    state = State("(1-x)^2 + 10*(y-x^2)^2", (0.5, 1.0), methods, 40, 1, "consistent")
    problem, methods = model.resolved(state)
    exec(as_python(state, problem, methods), {})  # the program that the page copies
    printed = capsys.readouterr().out
    for row in model.picture(state).rows:
        assert f"max error {row['max error']:.3g}" in printed
    import shlex

    from odeopt.cli import main

    words = shlex.split(as_command(state, problem, methods))
    assert main([*words[1:], "--json"]) == 0


def test_a_problem_in_plain_python_is_bounded():
    problem = oo.Problem(lambda x: x @ x, lambda x: 2 * x, dim=2)
    state, given = asked(problem, ["gd", "momentum"])
    picture = model.picture(state.changed(steps=1000, refinement=6), given)
    assert [row["steps"] for row in picture.rows] == [200, 200]


def test_bokeh_is_named_where_it_is_missing(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"odeopt-schemes\[explore\]"):
        oo.explore("beale")


def test_a_formula_that_compiles_for_seconds_is_refused_at_once(monkeypatch):
    """155 characters, 2,900 statements: 3 s of compiling; from the command line and from Python it is taken."""
    from numba.core.dispatcher import Dispatcher

    from odeopt.explore.state import MOST_STATEMENTS, is_heavy, problem_of

    heavy = "x^y^" * 38 + "2"
    with monkeypatch.context() as without:
        without.setattr(Dispatcher, "compile", lambda *_: pytest.fail("it was compiled"))
        with pytest.raises(ValueError, match=f"at most {MOST_STATEMENTS} operations with its derivatives on this page"):
            problem_of(heavy)
    assert is_heavy(heavy) and not is_heavy("(1-x)^2 + 100*(y-x^2)^2") and not is_heavy("beale")
    assert not is_heavy("+".join(f"tan({i}*x-y)" for i in range(2, 15)))


OWN = """
from dataclasses import dataclass
import odeopt as oo
from odeopt.optimizers import Optimizer
from odeopt.optimizers.base import positive


def step(k, p, x, g, s):
    for i in range(x.size):
        x[i] -= p[0] * g[i]
    return p[0]


@dataclass(frozen=True)
class Halting(Optimizer):
    title = "halting"
    lr: float = positive(default=0.01, scales="h")
    kernel = staticmethod(step)
    slots = ()
    flow = property(lambda self: oo.flows.gradient_flow())
    scheme = oo.schemes.explicit_euler
"""


def test_an_optimizer_of_ones_own_is_shown_like_any_other(tmp_path, monkeypatch, capsys):
    pytest.importorskip("bokeh")
    from odeopt.cli import main

    (tmp_path / "mine.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "page.html"
    assert main(["explore", "beale", "--optimizers", "mine.py:Halting,gd", "--html", str(out)]) == 0
    assert "halting" in out.read_text()
    state = State("beale", None, (("halting", (("lr", 0.02),)), ("gd", ())), 40)
    assert State.from_query(state.query()) == state
    problem, methods = model.resolved(state)
    own, plain = model.picture(state.with_value("gradientdescent", "lr", 0.02)).rows
    assert own["max error"] == plain["max error"]
    words = as_command(state, problem, methods)
    assert "mine.py:Halting" in words and "    Halting(lr=0.02)" in as_python(state, problem, methods)
    import shlex

    capsys.readouterr()
    assert main([*shlex.split(words)[1:], "--json"]) == 0 and '"lr=0.02"' not in capsys.readouterr().err


_INTERRUPTED = """
import signal
import odeopt as oo
from odeopt.explore.server import serve
from odeopt.explore.state import State
from tornado.ioloop import IOLoop

comes = []

def fun(x):
    if comes and x[0] < 0.5:
        signal.raise_signal(comes.pop())
    return float(x @ x)

def run():
    comes.append(signal.SIGINT)
    print(oo.record(oo.GradientDescent(0.1), bowl, steps=10).message)

bowl = oo.Problem(fun, lambda x: 2 * x, x0=[1.0, 2.0])
IOLoop.current().add_callback(run)
serve(State("beale"), browser=False)
print("ended")
"""


def test_an_interrupt_in_the_middle_of_a_run_ends_the_server():
    pytest.importorskip("bokeh")
    done = subprocess.run([sys.executable, "-c", _INTERRUPTED], capture_output=True, text=True, timeout=100)
    assert done.stderr == "" and done.returncode == 0
    assert done.stdout.splitlines()[-1] == "ended" and "10 steps done" in done.stdout
