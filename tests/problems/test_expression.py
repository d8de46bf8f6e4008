"""Problems from a formula: exact derivatives, the closed grammar, kernels kept between processes, the command line.

sympy, which the package does not use, says what the derivatives are.
"""

import copy
import os
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest

import odeopt as oo
from odeopt.bench import formulas
from odeopt.cli import _words, main
from odeopt.engine import inlined
from odeopt.problems import expression, grammar
from odeopt.studies.search.suggest import suggest

ROSENBROCK = formulas.FORMULAS[0][1]
SMOOTH = [
    ROSENBROCK, formulas.FORMULAS[1][1], "x^4/3 - 2.1*x^2 + x*y - 4*y^2*(1 - y^2)", "sin(x)*cos(y)/exp(x*y)",
    "tan(x/3) + arctan(x*y) - arcsin(x/4)*arccos(y/4)", "log(1 + x^2 + y^2)^2 - sqrt(2 + x*y)",
    "sinh(x)*cosh(y) - tanh(x - 2*y)", "(x^2 + 1)^0.3 + (y^2 + 1)^-1.5 + (2 + x)^2.5", "2^x + pi^y - e^(x*y)",
    "(2 + x)^y + (3 + y)^(x/2)", "-(x - y)^3/(1 + (x + y)^2)^-2", "((x*y)^3 - x*y)^2 - --x + +y - -(x - y)",
    "abs(x - 3)*abs(y + 4)", "x*x*x*y - 2*(3*x)*(4*y)*(-x)", "3*x - 3*(y*x) + y*(x - 3*x*y)", "x/y/2 + 1/(x*x*y)",
    "x", "exp(-exp(-x))", "x^7 - x^-3", "(1 - x)**2 + 1e2*(y - x**2)**2", "1/x^2*x - (x - y)*(y - x)", "x*y*z - z^2",
]


def of_sympy(text, names):
    """f, gradient and Hessian as functions of a point, by sympy."""
    sympy = pytest.importorskip("sympy")
    symbols = sympy.symbols(names, real=True)
    known = dict(zip(names, symbols)) | {"e": sympy.E, "arctan": sympy.atan, "arcsin": sympy.asin,
                                         "arccos": sympy.acos, "abs": sympy.Abs}
    f = sympy.sympify(text.replace("^", "**"), known)
    gradient = [sympy.diff(f, s) for s in symbols]
    hessian = [[sympy.diff(g, s) for s in symbols] for g in gradient]
    return [lambda x, part=part: np.array(sympy.sympify(part).subs(dict(zip(symbols, map(float, x)))).evalf(30)
                                          if part is f else sympy.Matrix(part).subs(dict(zip(symbols, map(float, x))))
                                          .evalf(30), dtype=float) for part in (f, gradient, hessian)]


@pytest.mark.parametrize("text", SMOOTH)
def test_derivatives_are_sympys(text):
    problem = oo.Problem.from_expression(text, x0=np.ones(3 if "z" in text else 1 if "y" not in text else 2))
    f, gradient, hessian = of_sympy(text, ["x", "y", "z"][: problem.dim])
    for x in ([0.7, 1.3, -0.4], [1.9, 0.2, 2.5]):
        x = np.array(x[: problem.dim])
        near = {"rtol": 1e-12, "atol": 1e-12}
        np.testing.assert_allclose(problem.fun(x), f(x), **near)
        np.testing.assert_allclose(problem.grad(x), gradient(x).ravel(), **near)
        np.testing.assert_allclose(problem.hess(x), hessian(x), **near)


def test_a_formula_of_sympy_goes_in_as_its_text():
    sympy = pytest.importorskip("sympy")
    x, y = sympy.symbols("x y", real=True)
    formula = sympy.Abs(x) ** 3 / 7 + sympy.sqrt(y) * sympy.exp(-x) + sympy.atan(x * y) + sympy.pi
    problem = oo.Problem.from_expression(str(formula), "x y")
    assert problem.fun([-0.5, 2.0]) == pytest.approx(float(formula.subs({x: -0.5, y: 2.0})), rel=1e-14)


@pytest.mark.parametrize(("factory", "text"), formulas.FORMULAS)
def test_a_formula_is_the_problem_written_by_hand(factory, text):
    problem, hand = oo.Problem.from_expression(text), factory()
    for x in np.random.default_rng(1).uniform(-2, 2, (20, 2)):
        np.testing.assert_allclose(problem.fun(x), hand.fun(x), rtol=1e-14)
        np.testing.assert_allclose(problem.grad(x), hand.grad(x), rtol=1e-13, atol=1e-12)
        np.testing.assert_allclose(problem.hess(x), hand.hess(x), rtol=1e-13, atol=1e-11)


def test_kernels_call_no_power_function_and_compute_nothing_twice():
    for text in ("(x*y)^12 + (x*y)^6 + x^2.5/y^3 - 1/sqrt(x*y)", "x^(-1/2)*y^1.5"):
        for kernel in vars(oo.Problem.from_expression(text))["fg"], vars(oo.Problem.from_expression(text))["hv"]:
            lines = kernel.py_func.source.splitlines()[1:]
            right = [line.partition(" = ")[2] for line in lines if re.match(r"\s*[a-z]\d+ = ", line)]
            assert "**" not in kernel.py_func.source and len(set(right)) == len(right) > 5


def test_the_bench_runs_both(monkeypatch):
    monkeypatch.setattr(formulas, "record", lambda o, p, steps, every, specialize: oo.record(o, p, steps=9))
    monkeypatch.setattr(formulas, "turns", lambda calls: [[call() and 1.0] for call in calls])
    rows, _ = formulas.rows(quick=True)
    assert len(rows) == 8 and all(row["times by hand"] == 1 for row in rows)


def test_a_hundred_variables_cost_a_few_times_the_function():
    n = 100
    text = "+".join(f"(1 - x[{i}])^2 + 100*(x[{i + 1}] - x[{i}]^2)^2" for i in range(n - 1))
    parts = expression.parts(text, None, None, np.ones(n))
    lines = [parts[name].py_func.source.count("\n") for name in ("fg", "hv")]
    assert lines[0] < 20 * n and lines[1] < 30 * n  # a dense Hessian has 10,000 entries
    x, v, g, out = *np.random.default_rng(0).normal(size=(2, n)), np.empty(n), np.empty(n)
    hand = oo.problems.rosenbrock(n)
    np.testing.assert_allclose(parts["fg"].py_func(x, g, parts["data"]), hand.fun(x), rtol=1e-13)
    parts["hv"].py_func(x, v, out, parts["data"])
    np.testing.assert_allclose(g, hand.grad(x), rtol=1e-12)
    np.testing.assert_allclose(out, hand.hessp(x, v), rtol=1e-11)


# What the text may say ------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "words"), [
    ("__import__('os')", r"got __import__\( \), which is none of these functions"),
    ("x.real + 1", "got an attribute"),
    ("x.conjugate()", "got an attribute"),
    ("(lambda: 3)()", "got a lambda"),
    ("sum([x for x in y])", r"got sum\( \)"),
    ("[i for i in x]", "got a comprehension"),
    ("x if y else 3", "got Python's IfExp"),
    ("x // 2", "got Python's operator FloorDiv"),
    ("~x", "got Python's operator Invert"),
    ("x < 3", "got a comparison"),
    ("x, y", "got several formulas"),
    ("'x'*3", "got 'x'"),
    ("x + 1j", "got 1j"),
    ("x + True", "got True"),
    ("f'{x}'", "got a string"),
    ("x[y] + 1", "got an index other than 0, 1, 2"),
    ("x[-1]^2", "got an index other than 0, 1, 2"),
    ("x[0:2]", "got an index other than 0, 1, 2"),
    ("exp(x, y)", "got exp of 2 arguments, it takes one"),
    ("exp(x=3)", "got exp of 1 arguments|got exp of"),
    ("sin*x", r"got sin without its argument, sin\(...\)"),
    ("2x", r"got '2x', which is not a formula; a product is written 2\*x"),
    ("2(x)", r"got a factor before \( \); a product is written a\*\(b\)"),
    ("x(y)", r"got x\( \), which is none of these functions; a product is written x\*\( \)"),
    ("x +", r"got 'x \+', which is not a formula"),
    ("x = 3", "which is not a formula"),
    ("x; y", "which is not a formula"),
    ("x\x00", "which is not a formula|null"),
    ("", "got none"),
    ("x + 9^9^9", "got the exponent 3.8742e.08, larger than 1000 in size"),
    ("x + 9**9**9**9**9", "got the exponent 3.8742e.08, larger than 1000 in size|no finite real number"),
    ("x + 1e9^99", r"got a constant that is not a finite real number, such as 1/0, log\(-1\) or 9\^999"),
    ("x*log(-1)", "got a constant that is not a finite real number"),
    ("x/(3 - 3) + 1/0", "got a constant that is not a finite real number"),
    ("x*(-8)^(1/3)", "got a constant that is not a finite real number"),
    ("x*1e999", "got a constant that is not a finite real number"),
    ("x*" + "9" * 400, "got a constant that is not a finite real number"),
    ("x*" + "9" * 5000, "which is not a formula"),
    ("x^(9^9)", "got the exponent 3.8742e.08, larger than 1000 in size"),
    ("1e200*x*(1e200*x)", "finite"),
])
def test_anything_else_is_refused_in_a_line(text, words):
    with pytest.raises(ValueError, match=words) as error:
        oo.Problem.from_expression(text)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400
    if "number" not in words and words != "finite":
        assert "text must be made of numbers, variables, pi, e, + - * / ^ ( ) and the functions sin, cos" in str(
            error.value)


@pytest.mark.parametrize("text", ["x" * 10**6, "x+" * 10**6 + "x", "(" * 190 + "x" + ")" * 190 + "+-" * 60 + "x",
                                  "(" * 3000 + "x" + ")" * 3000, "-" * 9000 + "x", "sin(" * 150 + "x" + ")" * 150,
                                  "x^" * 3000 + "x"])
def test_long_and_deep_texts_are_refused(text):
    words = "text must (have at most 10000 characters|nest its operations at most 100 deep)"
    with pytest.raises(ValueError, match=words):
        oo.Problem.from_expression(text)


def test_a_long_sum_is_not_deep():
    text = " + ".join(f"{i}*x^2" for i in range(1, 700))
    parts = expression.parts(text, None, None, None)
    assert parts["fg"].py_func(np.array([2.0]), np.empty(1), parts["data"]) == 4 * 699 * 700 / 2


def test_texts_at_random_are_read_or_refused():
    rng = np.random.default_rng(5)
    pieces = ["x", "y", "2", ".5", "+", "-", "*", "/", "^", "**", "(", ")", "sin(", "log(", "[", "]", ".", ",", " ",
              "e", "pi", "0", "if", "lambda", ":", "'", "#", "\\", "\n", "@", "x[1]", "_", "∑", "²"]
    read = 0
    for _ in range(3000):
        text = "".join(rng.choice(pieces, rng.integers(1, 9)))
        try:
            tree = grammar.tree_of(text)
            grammar.Reader(grammar.variables_of(None, grammar.names_in(tree), {}), {}).read(tree)
            read += 1
        except ValueError as error:
            assert "\n" not in str(error)
    assert read > 100


def test_arguments_of_another_type_are_refused():
    with pytest.raises(TypeError, match=r"text must be a formula such as .* goes to odeopt.Problem\), got <function"):
        oo.Problem.from_expression(lambda x: x**2)
    with pytest.raises(TypeError, match="name must be a string"):
        oo.Problem.from_expression("x^2", name=3)
    with pytest.raises(TypeError, match="parameters must be a dict"):
        oo.Problem.from_expression("a*x^2", parameters=[3])
    with pytest.raises(TypeError, match=r"parameters\['a'\] must be a real number"):
        oo.Problem.from_expression("a*x^2", parameters={"a": "3"})


# Names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "variables", "x", "f"), [
    ("x - 10*y", None, (1, 2), -19),
    ("y - 10*x", None, (1, 2), -8),
    ("x10 - x2 + 100*x1", None, (1, 2, 3), 101),
    ("z + 10*alpha", None, (1, 2), 12),
    ("x - 10*y", "y x", (1, 2), -8),
    ("x - 10*y", ("y", "x", "t"), (1, 2, 5), -8),
    ("x - 10*y", "y, x", (1, 2), -8),
    ("x[2]^2 + x[0]", None, (1, 2, 3), 10),
    ("x[11] - x[2]", None, range(12), 9),
    ("x[1] - x[0]", "x[1] x[0]", (5, 3), 2),
    ("ln(exp(x)) + atan(0*x) + asin(0) + acos(1)", None, (3,), 3),
])
def test_the_order_of_variables(text, variables, x, f):
    problem = oo.Problem.from_expression(text, variables, x0=np.ones(len(x)))
    assert problem.dim == len(x) and problem.fun(x) == f


@pytest.mark.parametrize(("arguments", "words"), [
    (("x + z", "x y"), r"text must be made of the names x, y, pi and e, got 'z'"),
    (("x*a", None, {"a": 1, "b": 2}), r"parameters must be names in the text \(a, x\), got 'b'"),
    (("x*a", "x a", {"a": 1}), "must have names of their own, got 'a' twice"),
    (("x + y", "x x y"), "must have names of their own, got 'x' twice"),
    (("x + x[1]",), "must have names of their own, got 'x' twice"),
    (("x*e", "x e"), "variables must not be named as a function or as pi or e, got 'e'"),
    (("x*sin(x)", None, {"sin": 1}), "parameters must not be named as a function"),
    (("x", "x.y"), "variables must be names such as x, y or x1, got 'x.y'"),
    (("x*a", None, {"a[0]": 1}), r"parameters must be names such as x, y or x1, got 'a\[0\]'"),
    (("x*a", None, {3: 1}), "parameters must be names such as x, y or x1, got 3"),
    (("pi + 3",), "variables must be 1 to 100 names, got none"),
    (("x[100]",), r"variables must be at most 100, got x\[100\] in the text"),
    (("x[999999999]",), r"variables must be at most 100"),
    (("+".join(f"x{i}" for i in range(101)),), "variables must be 1 to 100 names, got 101"),
])
def test_names_that_do_not_fit(arguments, words):
    with pytest.raises(ValueError, match=words):
        oo.Problem.from_expression(*arguments)


def test_parameters_are_data():
    one, two = (oo.Problem.from_expression("a*x^2 + b*y^p", parameters={"b": 5, "a": a, "p": 2}) for a in (1, 3))
    assert one.fg is two.fg and one.hv is two.hv  # nothing compiles for another value
    assert one.fun([1, 2]) == 21 and two.fun([1, 2]) == 23 and list(two.grad([1, 0])) == [6, 0]
    assert "a = 3.0" in two.about and one.name == "a*x^2 + b*y^p"
    run = oo.record(oo.GradientDescent(0.01), one, steps=5)
    with pytest.raises(ValueError, match="resume must come from the same problem"):
        oo.record(oo.GradientDescent(0.01), two, steps=5, resume=run)
    again = oo.Problem.from_expression("a*x^2 + b*y^p", parameters={"b": 5, "a": 1, "p": 2})
    whole = oo.record(oo.GradientDescent(0.01), one, steps=10)
    np.testing.assert_array_equal(oo.record(oo.GradientDescent(0.01), again, steps=5, resume=run).x, whole.x)


# Where the formula has no value -----------------------------------------------------------------------


def test_a_run_that_leaves_the_domain_stops_there():
    problem = oo.Problem.from_expression("x*log(x)", x0=[0.2])
    run = oo.record(oo.GradientDescent(0.5), oo.Problem.from_expression("x - log(x)", x0=[0.2]), steps=50)
    assert run.ok and np.isnan(problem.fun([-1.0])) and np.isnan(problem.grad([-1.0])[0])
    run = oo.record(oo.GradientDescent(2.0), oo.Problem.from_expression("x + log(x)", x0=[2.0]), steps=50)
    assert run.status == "diverged" and re.search(r"not finite at step 1\b|step 1\b", run.message)
    assert oo.Problem.from_expression("1/x").fun([0.0]) == np.inf


def test_derivatives_where_a_formula_is_not_smooth():
    problem = oo.Problem.from_expression("abs(x) + y^1.5 + y^a", parameters={"a": 3}, x0=[1, 1])
    assert list(problem.grad([0.0, 0.0])) == [0.0, 0.0] and problem.hess([0.0, 1.0])[0, 0] == 0.0
    assert oo.Problem.from_expression("x/x", x0=[1]).fun([2]) == 1
    assert np.isnan(oo.Problem.from_expression("x/x", x0=[1]).fun([0]))  # not 1: nothing is cancelled


def test_starts():
    assert list(oo.Problem.from_expression("x^2 + y").x0) == [1, 1]
    assert list(oo.Problem.from_expression(ROSENBROCK).x0) == [-1.2, 1]  # (1, 1) is the minimum
    assert list(oo.Problem.from_expression("log(x - 1)").x0) == [2]
    with pytest.raises(ValueError, match=r"x0 must be given: the text has no finite value with a gradient at \(1\),"):
        oo.Problem.from_expression("log(x - 100)")
    with pytest.raises(ValueError, match="x0 must have shape"):
        oo.Problem.from_expression("x^2", x0=[1, 2])


# Copies and other processes -----------------------------------------------------------------------------


def test_copies_have_the_same_kernels():
    problem = oo.Problem.from_expression(ROSENBROCK)
    for other in (copy.deepcopy(problem), pickle.loads(pickle.dumps(problem))):
        assert other.fg is problem.fg and other.hv is problem.hv and repr(other) == repr(problem)
    assert repr(problem) == f"<Problem {ROSENBROCK}, n = 2>" and ROSENBROCK in problem.about
    assert len(oo.Problem.from_expression("x + " * 50 + "y").name) == 40


def test_what_has_a_source_of_its_own_is_sent_as_it_is():
    problem = oo.Problem(Sourced(), lambda x: 2 * x, dim=2)
    assert pickle.loads(pickle.dumps(problem)).fun([1.0, 2.0]) == 5.0


class Sourced:
    source = "def fg(x, g, data):\n    raise AssertionError\n"

    def __call__(self, x):
        return float(x @ x)


def test_another_process_loads_what_was_compiled(tmp_path):
    code = """
import pickle, sys
import odeopt as oo
from numba.core import event
compiled = []
class Listener(event.Listener):
    def on_start(self, e): compiled.append(e)
    def on_end(self, e): pass
event.register("numba:compile", Listener())
if sys.argv[1] == "make":
    problem = oo.Problem.from_expression("(x - a)^4 + exp(x*y/7)", parameters={"a": 1.5})
    pickle.dump(problem, open(sys.argv[2], "wb"))
problem = pickle.load(open(sys.argv[2], "rb"))
run = oo.record(oo.GradientDescent(1e-2), problem, steps=200, every=200, specialize=False)
assert "sympy" not in sys.modules
print(len(compiled), run.x[-1].tobytes().hex(), problem.hess([1, 2]).tobytes().hex())
"""
    seen = []
    for what in ("make", "load", "make"):
        done = subprocess.run([sys.executable, "-c", code, what, str(tmp_path / "problem")], capture_output=True,
                              text=True, env=os.environ | {"ODEOPT_CACHE_DIR": str(tmp_path / "cache")}, timeout=300)
        assert done.returncode == 0, done.stderr
        seen.append(done.stdout.split())
    assert int(seen[0][0]) > 0 and seen[1][0] == seen[2][0] == "0"
    assert seen[0][1:] == seen[1][1:] == seen[2][1:]


def test_the_specialised_loop_and_blocks_take_a_formula():
    problem, optimizer = oo.Problem.from_expression(ROSENBROCK), oo.GradientDescent(1e-4)
    assert inlined.why_not(problem, optimizer) == ""
    fast = oo.record(optimizer, problem, steps=300, specialize=True)
    np.testing.assert_array_equal(fast.x, oo.record(optimizer, problem, steps=300, specialize=False).x)
    group = oo.ensemble(optimizer, problem, np.array([[-1.2, 1.0], [0.5, 2.0]]), 300)
    np.testing.assert_array_equal(group.x[0], fast.x[-1])


# As a user types it -------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [["--start", "-1.2,1"], ["--start=-1.2,1"], ["--x0", "-1.2,1"], []])
def test_compare_a_formula(start, capsys):
    assert main(["compare", ROSENBROCK, *start, "--optimizers", "gd", "--steps", "20", "--set", "gd.lr=2e-4"]) == 0
    by_text = capsys.readouterr().out.splitlines()
    assert by_text[0].startswith(f"{ROSENBROCK}, n = 2:")
    assert main(["compare", "rosenbrock", "--optimizers", "gd", "--steps", "20", "--set", "gd.lr=2e-4"]) == 0
    by_name = capsys.readouterr().out.splitlines()
    cut = by_name[2].index("f - f*")  # f* of a formula is not known
    assert by_text[4][:cut] == by_name[4][:cut]


@pytest.mark.parametrize("words", [["-(x-3)^2 + x^4"], ["--json", "-2*x + x^2"], ["--steps", "9", "-x^2*exp(x) + x^4"]])
def test_a_formula_may_begin_with_a_minus(words, capsys):
    assert main(["compare", *words, "--optimizers", "gd", "--steps", "5"]) == 0
    assert words[-1].strip() in capsys.readouterr().out


@pytest.mark.parametrize(("word", "formula"), [
    ("x", True), ("-x", True), ("x - y", True), ("x-y", True), ("x1-x2", True), ("sin(x)", True), ("x[0]", True),
    ("2*x", True), ("beale", False), ("three-hump-camel", False), ("three_hump", False), ("1e-3", False),
    ("-3,3", False), ("+1e+3,2", False), ("my.py:bowl", False), ("a/b.py:bowl", False), ("rosenbrock:dim=10", False),
    ("quadratic:eigenvalues=1,10", False), ("gd", False), ("", False),
])
def test_formulas_and_names(word, formula):
    assert _words.is_formula(word) == formula


@pytest.mark.parametrize(("word", "words"), [
    ("__import__('os')", "got __import__( ), which is none of these functions"),
    ("rosenbrok", "did you mean 'rosenbrock'?"),
    ("three-hump-camell", "did you mean 'three-hump-camel'?"),
    ("2x + (y)", "a product is written 2*x"),
    ("log(x-100)", "--start must be given: the text has no finite value with a gradient at (1), (-1.2, 1), (0.5)"),
    ("(x)^2 + y*", "which is not a formula"),
])
def test_a_word_that_is_not_a_problem(word, words, capsys):
    assert main(["compare", word]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_help_is_still_help(capsys):
    with pytest.raises(SystemExit):
        main(["compare", "-h"])
    assert "a formula, such as" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("text", "steps", "lr"), [("3*x", 100, 0.02), ("abs(x) + abs(y)/2", 50, 0.12),
                                                   ("x^2", 9, 0.12)])
def test_learning_rates_where_there_is_no_curvature(text, steps, lr):
    """Three times 1 + |x| in these steps (it was 0.25 over a curvature of 1e-12)."""
    assert suggest(oo.GradientDescent, oo.Problem.from_expression(text), steps=steps).lr == lr


def test_pictures_find_their_window(tmp_path, capsys):
    text = "log(x)^2 + (y - x)^2/4"
    assert main(["plot", "paths", text, "--optimizers", "gd", "--steps", "30", "--start", "3,.5", "--out",
                 str(tmp_path / "a.png")]) == 0
    assert main(["plot", "surface", text, "--optimizers", "gd", "--steps", "30", "--out", str(tmp_path / "b.png")]) == 0
    assert main(["compare", text, "--optimizers", "gd", "--steps", "30", "--out", str(tmp_path)]) == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert any(re.fullmatch(r"compare-log-x-2-y-x-2-4-[0-9a-f]{6}-paths.png", name) for name in names), names


def test_the_command_in_a_shell():
    done = subprocess.run([sys.executable, "-m", "odeopt", "compare", ROSENBROCK, "--start", "-1.2,1", "--optimizers",
                           "gd", "--steps", "10"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "gradient descent" in done.stdout and not done.stderr


def test_the_list_in_messages_is_the_list():
    for name in grammar.FUNCTIONS:
        assert name in grammar.ALLOWED and name in oo.Problem.from_expression.__doc__
        assert np.isfinite(oo.Problem.from_expression(f"{name}(x/2)").fun([1.0]))
