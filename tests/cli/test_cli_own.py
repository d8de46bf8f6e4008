"""What is one's own on the command line: ``FILE.py:NAME`` and ``module:NAME``, and options of what is named."""

import json
import re
import sys
import warnings

import pytest

from odeopt.cli import _files, _terminal, main

FILE = '''
from dataclasses import dataclass

import odeopt as oo
from odeopt.abi import kernel
from odeopt.method import Slot
from odeopt.optimizers.base import Optimizer, fraction, positive


@kernel
def update(k, p, x, g, s):
    m = s[0]
    for i in range(x.size):
        m[i] = p[1] * m[i] + (1.0 - p[1]) * g[i]
        x[i] = x[i] - p[0] * m[i]
    return p[0]


@dataclass(frozen=True)
class Mine(Optimizer):
    """A running mean of the gradients: this is Momentum(form="ema"), whose flow is the averaged gradient's."""

    lr: float = positive(scales="h")
    beta: float = fraction(0.9, scales="1 - c h")
    kernel = staticmethod(update)
    slots = (Slot("m", "average", "g"),)

    @property
    def flow(self):
        return oo.flows.averaged_gradient_flow(self.lr / (1 - self.beta))

    @property
    def scheme(self):
        return oo.schemes.semi_implicit_euler


tuned = oo.Adam(0.125)
euler = oo.Discretization(oo.flows.gradient_flow(), oo.schemes.explicit_euler, 0.01)
my_scheme = oo.schemes.explicit_runge_kutta("Ralston", [[0, 0], [2 / 3, 0]], [1 / 4, 3 / 4], order=2)


def my_flow(decay=0.0):
    return oo.flows.gradient_flow(decay)


def bowl(a=1.0):
    return oo.problems.quadratic([1.0, a], x0=[1.0, 1.0])


def valley(x):
    return (1 - x[0]) ** 2 + 10 * (x[1] - x[0] ** 2) ** 2


def valley_gradient(x):
    b = x[1] - x[0] ** 2
    return [-2 * (1 - x[0]) - 40 * x[0] * b, 20 * b]


ready = oo.problems.beale()
number = 3
'''
ROSENBROCK = "(1-x)^2 + 100*(y-x^2)^2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("own")
    (made / "mine_of_a_test.py").write_text(FILE)
    return made


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def rows_of(words, capsys):
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["rows"]


# Methods -------------------------------------------------------------------------------------------


def test_one_name_several_times_with_labels_that_say_what_differs(capsys, tmp_path):
    words = ["compare", "beale", "--optimizers", "gd:lr=.01,GD:lr=.05,adam:lr=.1,beta1=.8", "--steps", "20"]
    rows = rows_of([*words, "--out", str(tmp_path)], capsys)
    assert [row["optimizer"] for row in rows] == ["gradient descent, lr 0.01", "gradient descent, lr 0.05", "Adam"]
    assert [row["h"] for row in rows] == [0.01, 0.05, 0.1] and "beta1=0.8" in rows[2]["hyperparameters"]
    svg = rows_of([*words, "--format", "svg", "--out", str(tmp_path)], capsys) and (
        tmp_path / "compare-beale-errors.svg").read_text()
    assert all(label in svg for label in ("gradient descent, lr 0.01", "gradient descent, lr 0.05"))


def test_the_same_method_twice_is_one(capsys):
    rows = rows_of(["compare", "beale", "--optimizers", "gd:lr=.01,gd:lr=1e-2", "--steps", "5"], capsys)
    assert len(rows) == 1


def test_one_learning_rate_for_all_that_are_given_none(capsys):
    rows = rows_of(["compare", "beale", "--optimizers", "gd,gd:lr=.05,adam,errorcontrolledeuler", "--lr", ".02",
                    "--set", "adam.beta1=.7", "--steps", "5"], capsys)
    assert [re.search(r"(lr|tol)=([\d.]+)", row["hyperparameters"])[2] for row in rows] == ["0.02", "0.05", "0.02",
                                                                                          "0.02"]
    assert "beta1=0.7" in rows[2]["hyperparameters"]


def test_the_rule_of_commas():
    words = _files.separated("gd:lr=.01, gd:lr=.05,adam:lr=.1,beta1=.8,a/b.py:Mine:c=1,2,3,d=true,pack.mod:Other,lion")
    assert [(w.place, w.name, w.options) for w in words] == [
        ("", "gd", {"lr": 0.01}), ("", "gd", {"lr": 0.05}), ("", "adam", {"lr": 0.1, "beta1": 0.8}),
        ("a/b.py", "Mine", {"c": [1, 2, 3], "d": True}), ("pack.mod", "Other", {}), ("", "lion", {})]
    assert _files.word_of("a:b=1e3,c=none,d=2,").options == {"b": 1000, "c": None, "d": [2]}


@pytest.mark.parametrize(("command", "said"), [
    (["compare", "beale", "--steps", "20"], r"Mine +averaged gradient +semi-implicit Euler"),
    (["converge", "beale", "--levels", "4"], r"Mine +averaged gradient .* cold +1 .*certified"),
    (["stability"], r"Mine +\d"),
    (["plot", "paths", "beale", "--steps", "9", "--dpi", "30", "--out", "p.png"], ""),
    (["plot", "errors", "beale", "--steps", "9", "--dpi", "30", "--tune", "--out", "e.png"], r"Mine +[\d.]+"),
    (["animate", "beale", "--steps", "9", "--dpi", "30", "--frames", "2", "--out", "a.gif"], ""),
    (["work-precision", "beale", "--steps", "9", "--levels", "2"], r"Mine +[\d.e-]+ +9 "),
])
def test_an_optimizer_of_ones_own_goes_through_every_command(command, said, here, capsys):
    assert main([*command, "--optimizers", "mine_of_a_test.py:Mine,gd"]) == 0
    out, error = capsys.readouterr()
    assert re.search(said, out) and "Warning" not in error


def test_it_is_measured_beside_those_of_the_package(here, capsys, monkeypatch):
    from odeopt.bench import kernels

    monkeypatch.setattr(kernels, "SIZES", (100, 200))
    assert main(["bench", "kernels", "--quick", "--optimizers", "mine_of_a_test.py:Mine:beta=.5,gd"]) == 0
    assert re.search(r"\n +mine +float64 ", capsys.readouterr().out)
    assert main(["bench", "loops", "--optimizers", "gd"]) == 2
    assert "--optimizers goes with the section kernels alone" in capsys.readouterr().err


def test_it_is_the_method_that_it_says_it_is(here, capsys):
    """Momentum in its form "ema" is the same update: the same errors to the digits of JSON."""
    own, ours = rows_of(["compare", "beale", "--steps", "50", "--optimizers", "mine_of_a_test:mine:lr=.01,beta=.9,"
                         "momentum:lr=.01,momentum=.9,form=ema"], capsys)
    assert own["max error"] == pytest.approx(ours["max error"], rel=1e-9)


def test_instances_and_discretizations(here, capsys):
    rows = rows_of(["compare", "beale", "--steps", "20", "--optimizers",
                    "mine_of_a_test.py:tuned,mine_of_a_test.py:tuned:lr=.5,mine_of_a_test.py:euler:h=.02",
                    "--set", "mine_of_a_test.py:tuned.eps=1e-6"], capsys)
    assert [row["h"] for row in rows] == [0.125, 0.5, 0.02] and "eps=1e-06" in rows[0]["hyperparameters"]
    assert rows[0]["optimizer"] == "Adam, lr 0.125"


def test_flows_and_schemes_of_ones_own(here, capsys):
    rows = rows_of(["compare", "beale", "--optimizers", "none", "--schemes",
                    "mine_of_a_test.py:my_scheme:h=.002,heun:h=.002", "--flow",
                    "mine_of_a_test.py:my_flow:decay=.5", "--steps", "50"], capsys)
    assert [row["order"] for row in rows] == pytest.approx([2, 2], abs=0.1) and rows[0]["h"] == 0.002
    assert rows[0]["optimizer"].startswith("Ralston on gradient flow")
    assert main(["stability", "--optimizers", "gd", "--schemes", "mine_of_a_test.py:my_scheme"]) == 0
    assert re.search(r"Ralston +2 +2 +2 ", capsys.readouterr().out)


# Problems ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "dim", "x0"), [
    ("rosenbrock:dim=10", 10, [-1.2, 1.0] * 5), ("Quadratic:eigenvalues=1,10,100", 3, [1.0] * 3),
    ("quadratic:eigenvalues=4", 1, [1.0]), ("quadratic:eigenvalues=1,2,angle=.5,x0=2,3", 2, [2.0, 3.0]),
    ("mine_of_a_test.py:bowl", 2, [1.0, 1.0]), ("mine_of_a_test.py:bowl:a=5", 2, [1.0, 1.0]),
    ("mine_of_a_test:ready", 2, None), ("mine_of_a_test.py:valley:grad=valley_gradient,dim=2", 2, [1.0, 1.0]),
])
def test_problems_with_options_and_of_ones_own(word, dim, x0, here, capsys):
    assert main(["plot", "objective", word, "--optimizers", "gd", "--steps", "2", "--dpi", "20", "--out", "x.png"]) == 0
    assert main(["compare", word, "--optimizers", "gd", "--steps", "5", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["x0"]) == dim and (x0 is None or found["x0"] == x0)


def test_a_function_alone_has_its_gradient_by_differences(here, capsys):
    with pytest.warns(RuntimeWarning, match="no grad given"):
        assert main(["compare", "mine_of_a_test.py:valley", "--start=-1,1", "--optimizers", "gd", "--steps", "9"]) == 0
    assert capsys.readouterr().out.startswith("valley, n = 2")


def test_warnings_are_one_line():
    usual = warnings.formatwarning
    with _terminal.streams():
        assert warnings.formatwarning("no grad\ngiven", RuntimeWarning, "callables.py", 5) == "odeopt: no grad given\n"
    assert warnings.formatwarning is usual


def test_my_function_two_learning_rates_a_picture(here, capsys):
    assert main(["compare", ROSENBROCK, "--optimizers", "gd:lr=.0005,gd:lr=.001,mine_of_a_test.py:Mine", "--out",
                 "rosenbrock", "--dpi", "30", "--start", "-1.2,1", "--steps", "50"]) == 0
    assert re.findall(r"\n(gradient descent, lr [\d.]+|Mine) ", capsys.readouterr().out) == [
        "gradient descent, lr 0.0005", "gradient descent, lr 0.001", "Mine"]
    assert len(list((here / "rosenbrock").glob("*.png"))) == 2


# What cannot be had --------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "said"), [
    (["rosenbrock:dmi=4"], "rosenbrock has no option 'dmi'; did you mean 'dim'?"),
    (["rosenbrock:dim=1"], "rosenbrock:dim=1: dim must be at least 2, got 1"),
    (["rosenbrock:dim=2.5"], "rosenbrock:dim=2.5: dim must be an integer, got 2.5"),
    (["rosenbrock:dim"], "options of rosenbrock are written rosenbrock:KEY=VALUE"),
    (["rosenbrock:dim=3,dim=4"], "rosenbrock:dim=3,dim=4 must give dim once"),
    (["beale:dim=3"], "beale has no option 'dim'"),
    (["mine_of_a_test.py"], "mine_of_a_test.py must be followed by a name that it defines"),
    (["mine_of_a_test.py:bwol"], "mine_of_a_test.py must define 'bwol' to be asked for it; did you mean 'bowl'?"),
    (["mine_of_a_test.py:number"], "must be a Problem, a function that returns one, or an objective f(x), got one of"),
    (["mine_of_a_test.py:bowl:b=1"], "bowl has no option 'b'; it has a"),
    (["mine_of_a_test.py:ready:a=1"], "ready is <Problem beale, n = 2> already"),
    (["mine_of_a_test.py:valley"], "--start must be given for mine_of_a_test.py:valley, a function of x"),
    (["mine_of_a_test.py:valley:gard=f"], "option must be one of 'grad', 'hess', 'hessp', 'dim', got 'gard'; did you"),
    (["not_there.py:x"], "No such file or directory: not_there.py"),
    (["not_there:x"], "module not_there cannot be imported: ModuleNotFoundError"),
    (["broken.py:x"], "broken.py cannot be run: line 2: SyntaxError"),
    (["failing.py:x"], "failing.py cannot be run: line 3: ZeroDivisionError: division by zero"),
    (["script.py:x"], "script.py cannot be run: it ends the program"),
    (["beale", "--optimizers", "gd:lr=-1"], "gd:lr=-1: lr must be in (0, inf), got -1"),
    (["beale", "--optimizers", "gd:rate=1"], "gd:rate=1: GradientDescent has no hyperparameter 'rate'"),
    (["beale", "--optimizers", "gd,lr=.1"], "options must stand after a colon, got gd,lr=.1: write gd:lr=.1"),
    (["beale", "--optimizers", "gd:.1"], "options as gd:KEY=VALUE"),
    (["beale", "--optimizers", "beale"], "beale is a problem"),
    (["beale", "--optimizers", "mine_of_a_test.py:mien"], "did you mean 'Mine'?"),
    (["beale", "--optimizers", "mine_of_a_test.py:bowl"], "must be an Optimizer, a class of its own or an instance"),
    (["beale", "--optimizers", "none"], "--optimizers must name a method"),
    (["beale", "--lr", "-1"], "--lr must be in (0, inf), got -1"),
    (["beale", "--schemes", "rk5"], "--schemes must be one of"),
    (["beale", "--schemes", "heun:k=1"], "option of heun must be one of 'h', 'rtol', 'atol', got 'k'"),
    (["beale", "--schemes", "heun", "--flow", "hevy-ball"], "did you mean 'heavy-ball'?"),
    (["beale", "--schemes", "heun", "--flow", "heavy-ball"], "heavy-ball must be given a as options, such as a=1"),
    (["beale", "--schemes", "stormer-verlet"], "second"),
])
def test_bad_words_get_one_line(words, said, here, capsys):
    (here / "broken.py").write_text("x = 1\ndef f(:\n")
    (here / "failing.py").write_text("# one\n# two\n1 / 0\n")
    (here / "script.py").write_text("import sys\nsys.exit(3)\n")
    assert main(["compare", *words]) == (1 if "No such" in said else 2)
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.parametrize(("words", "said"), [
    (["compare", "beale", "gd"], "unrecognized arguments: gd; gd is an optimizer: --optimizers gd"),
    (["compare", "gd", "beale"], "gd is an optimizer: --optimizers gd"),
    (["compare", "beale", "--optimizer", "gd"], "did you mean '--optimizers'?"),
    (["plot", "paths", "beale", "errors"], "errors is a kind of picture"),
    (["converge", "beale", "compare"], "compare is a command"),
    (["race", "beale"], "race is an animation: odeopt animate PROBLEM"),
    (["plot", "paths", "beale", "--fps", "9"], "--fps is an option of animate"),
    (["compare", "beale", "--OPTIMIZERS", "gd"], "did you mean '--optimizers'?"),
    (["compare", "beale", "--start", "-3", "3"], "coordinates are written with commas and no blanks, as -3,3"),
])
def test_swapped_words_get_a_hint(words, said, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2 and said in capsys.readouterr().err


# Files ---------------------------------------------------------------------------------------------


def test_a_file_that_has_changed_is_read_again(tmp_path, capsys):
    file = tmp_path / "changing_problem.py"
    for dim in (2, 3):
        file.write_text(f"import odeopt as oo\np = oo.problems.rosenbrock({dim})\n")
        words = ["plot", "objective", f"{file}:p", "--optimizers", "gd", "--steps", "1", "--dpi", "20"]
        assert main([*words, "--out", str(tmp_path / "f.png")]) == 0
        assert main(["compare", f"{file}:p", "--optimizers", "gd", "--steps", "3"]) == 0
        assert f"n = {dim}:" in capsys.readouterr().out


def test_a_file_takes_the_name_of_no_other_module(tmp_path):
    import random

    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "random.py").write_text(f"here = {folder!r}\n")
    found = [_files.thing(_files.word_of(f"{tmp_path / folder}/random.py:here"), "a word", lambda one: True)
             for folder in ("a", "b")]
    assert found == ["a", "b"] and sys.modules["random"] is random


def test_a_file_imports_what_stands_beside_it(tmp_path):
    (tmp_path / "its_neighbour.py").write_text("value = 5\n")
    (tmp_path / "with_neighbour.py").write_text("from its_neighbour import value\n")
    word = _files.word_of(f"{tmp_path}/with_neighbour.py:value")
    assert _files.thing(word, "a number", lambda one: True) == 5 and str(tmp_path) not in sys.path
