"""What ``minimize`` is given, and what the functions it calls return: a result, or one sentence that names it."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import scipy.optimize as so
from scipy.sparse import coo_array, csr_array, csr_matrix
from scipy.sparse.linalg import aslinearoperator

import odeopt as oo
from odeopt.interop import minimize_method
from odeopt.interop.line_search import LineSearch


def bowl(x):
    return float(x @ x)


def slope(x):
    return 2 * x


def pair(x):
    return bowl(x), slope(x)


def run(fun=bowl, x0=(1.0, 2.0), **more):
    return oo.minimize(fun, x0, **{"method": "spg", **more})


@pytest.mark.parametrize("given, words", [
    ({"x0": [[1.0, 2.0], [3.0, 4.0]]}, r"x0 must have shape \(n,\) with n >= 1, got \(2, 2\)"),
    ({"x0": []}, r"x0 must have shape \(n,\) with n >= 1, got \(0,\)"),
    ({"x0": "ab"}, "x0 must be a vector of real numbers, got str"),
    ({"x0": np.array([object()])}, "x0 must be a vector of real numbers, got object"),
    ({"x0": object()}, "x0 must be a real number, got <object"),
    ({"options": 3}, "options must be a mapping of names to values, got 3"),
    ({"options": "ab"}, "options must be a mapping of names to values, got 'ab'"),
    ({"options": np.array([0.1, 0.2])}, "options must be a mapping of names to values, got array"),
    ({"options": {3: 4}}, "options must be a mapping of names to values, got {3: 4}"),
    ({"options": {"disp": np.zeros(2)}}, "disp must be an integer, got array"),
    ({"options": {"return_all": "yes"}}, "return_all must be an integer, got 'yes'"),
    ({"options": {"lr": np.zeros(2)}}, "lr must be a real number, got array"),
    ({"lr": "au"}, "lr must be one of 'auto', got 'au'"),
    ({"constraints": [[1], [1, 2]]}, "constraints must be empty"),
    ({"callback": 0}, "callback must be callable, got 0"),
    ({"jac": np.array([1.0, 2.0])}, "jac must be callable, True, None or one of .*, got array"),
    ({"jac": 1}, "jac must be callable, True, None or one of .*, got 1"),
    ({"bounds": 3}, r"bounds must be a Bounds or 2 \(min, max\) pairs, got 3"),
    ({"bounds": (-1, 1)}, r"bounds must be a Bounds or 2 \(min, max\) pairs, got \(-1, 1\)"),
    ({"bounds": {(0, 1), (0, 2)}}, "bounds must be a Bounds or 2"),  # without an order
    ({"bounds": ["ab", "ab"]}, "bounds must be a Bounds or 2"),
    ({"bounds": np.ma.array(np.ones((2, 2)), mask=True)}, "got a masked array"),
    ({"bounds": np.ma.array(np.ones(2), mask=[True, False])}, "got a masked array"),
    ({"bounds": np.ones(2)}, "bounds must be a Bounds or 2"),
    ({"bounds": np.array(1.0)}, "bounds must be a Bounds or 2"),
    ({"bounds": [(0, 10**400)] * 2}, "bounds must be 2 real numbers or None on either side"),
    ({"bounds": [(0, np.ma.masked)] * 2}, "bounds must be 2 real numbers or None on either side"),
    ({"bounds": [(0, 1j)] * 2}, "bounds must be 2 real numbers or None on either side"),
    ({"bounds": [([0, 1], [1, 2])] * 2}, "bounds must be 2 real numbers or None on either side"),
    ({"bounds": so.Bounds([0] * 3, [1] * 3)}, "bounds must be 2 real numbers or None on either side"),
    ({"bounds": [(np.nan, 1)] * 2}, "bounds must have min <= max"),
    ({"bounds": [(np.inf, np.inf)] * 2}, "bounds must have min <= max, and a number between them"),
    ({"fun": 3}, "fun must be callable, got 3"),
])
def test_an_argument_of_another_kind_is_named(given, words):
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        run(**given)
    assert "\n" not in str(caught.value)


MATRIX = "hess must return shape (2, 2), got "
RETURNED = [
    ({"fun": pair}, "fun must return a real number, got a tuple of length 2; jac=True says that its gradient comes"),
    ({"fun": pair, "x0": [1.0]}, "fun must return a real number, got a tuple of length 2; jac=True"),
    ({"fun": lambda x: (1.0, x, x)}, "fun must return a real number, got a tuple of length 3"),
    ({"fun": lambda x: [[1], [1, 2]]}, "fun must return a real number, got a list of length 2"),
    ({"fun": lambda x: None}, "fun must return a real number, got None"),
    ({"fun": lambda x: "a"}, "fun must return a real number, got 'a' (str)"),
    ({"fun": lambda x: 1j}, "fun must return a real number, got 1j (complex)"),
    ({"fun": lambda x: 10**400}, "fun must return a real number, got an integer of 1329 bits"),
    ({"fun": lambda x: np.ma.masked}, "fun must return a real number, got a masked"),
    ({"fun": lambda x: csr_array([[1.0]])}, "fun must return a real number, got <"),
    ({"fun": lambda x: (1.0, x, x), "jac": True}, "fun must return a pair (f, gradient) with jac=True, got a tuple"),
    ({"fun": bowl, "jac": True}, "fun must return a pair (f, gradient) with jac=True, got 5.0 (float)"),
    ({"fun": lambda x: "ab", "jac": True}, "fun must return a pair (f, gradient) with jac=True, got 'ab'"),
    ({"fun": lambda x: (1.0, None), "jac": True}, "jac must return real numbers, got None"),
    ({"jac": lambda x: None}, "jac must return real numbers, got None"),
    ({"jac": lambda x: None, "x0": [1.0]}, "jac must return real numbers, got None"),
    ({"jac": lambda x: [None], "x0": [1.0]}, "jac must return real numbers, got a list of length 1"),
    ({"jac": lambda x: csr_matrix(x)}, "jac must return real numbers, got <"),
    ({"jac": lambda x: coo_array(x)}, "jac must return real numbers, got <"),
    ({"jac": lambda x: np.outer(x, x)}, "jac must return shape (2,), got (2, 2)"),
    ({"jac": lambda x: np.outer(x, x), "x0": np.ones(4)}, "jac must return shape (4,), got (4, 4)"),
    ({"jac": lambda x: x.reshape(2, 2), "x0": np.ones(4)}, "jac must return shape (4,), got (2, 2)"),
    ({"jac": lambda x: "a", "x0": [1.0]}, "jac must return real numbers, got 'a' (str)"),
    ({"fun": lambda x: x if np.iscomplexobj(x) else bowl(x), "jac": "cs"}, "fun must return complex numbers"),
    ({"method": "gd", "hess": lambda x: np.eye(3)}, MATRIX + "(3, 3)"),
    ({"method": "gd", "hess": lambda x: csr_array(np.eye(3))}, MATRIX + "(3, 3)"),
    ({"method": "gd", "hess": np.copy}, MATRIX + "(2,)"),
    ({"method": "gd", "hess": lambda x: None}, "hess must return real numbers, got None"),
    ({"method": "gd", "hess": lambda x: "ab"}, "hess must return real numbers, got 'ab' (str)"),
    ({"method": "gd", "hess": lambda x: np.ma.array(np.eye(2), mask=np.eye(2))}, "hess must return real numbers"),
    ({"method": "gd", "hessp": lambda x, v: np.ones(3)}, "hessp must return shape (2,), got (3,)"),
    ({"method": "gd", "hessp": lambda x, v: None}, "hessp must return real numbers, got None"),
]


@pytest.mark.parametrize("given, words", RETURNED)
def test_a_returned_value_of_another_kind_is_named(given, words):
    with pytest.raises((TypeError, ValueError)) as caught:
        run(**given)
    assert str(caught.value).startswith(words) and "\n" not in str(caught.value)


@pytest.mark.parametrize("jac, late, words", [
    (None, lambda x: x, r"fun must return a real number, got shape \(2,\)"),
    (slope, lambda x: None, "fun must return a real number, got None"),
    (None, lambda x: 1j, "fun must return a real number, got 1j"),
    (slope, pair, "fun must return a real number, got a tuple of length 2"),
    (True, lambda x: None, r"fun must return a pair \(f, gradient\) with jac=True, got None"),
    (True, lambda x: (1.0, 1j * x), "jac must return real numbers, got complex values"),
    (True, lambda x: (1.0, x[:1]), r"jac must return shape \(2,\), got \(1,\)"),
])
def test_a_value_of_another_kind_is_named_later_on_too(jac, late, words):
    calls = []

    def fun(x):
        calls.append(1)
        return late(x) if len(calls) > 5 else pair(x) if jac is True else bowl(x)

    with pytest.raises((TypeError, ValueError), match=words):
        run(fun, jac=jac, method="adam", lr=0.01)
    assert len(calls) == 6


@pytest.mark.parametrize("given", [
    {"fun": pair, "jac": np.True_},
    {"fun": lambda x: [bowl(x), list(slope(x))], "jac": True},
    {"fun": lambda x: np.array([[bowl(x)]])},
    {"fun": lambda x: np.array([bowl(x)], dtype=object)},
    {"fun": lambda x: Fraction(bowl(x))},
    {"fun": lambda x: Decimal(bowl(x))},
    {"jac": lambda x: slope(x)[None]},
    {"jac": lambda x: slope(x).tolist()},
    {"fun": lambda x: np.array([x @ x]), "jac": "cs"},
    {"x0": np.array(3.0)},
    {"jac": lambda x: 2 * float(x[0]), "x0": 1.0},
    {"bounds": np.array([[-1.0, 1.0], [-3.0, 2.0]])},
    {"bounds": so.Bounds(-3, 3)},
    {"bounds": [(np.array([-1.0]), None), (None, np.array(2.0))]},
    {"constraints": []},
    {"constraints": {}},
    {"maxiter": np.float32(100)},
    {"method": "gd", "hess": lambda x: csr_array(2 * np.eye(2))},
    {"method": "gd", "hess": lambda x: aslinearoperator(2 * np.eye(2))},
    {"method": "gd", "hess": lambda x: [[2, 0], [0, 2]]},
    {"method": "gd", "hess": lambda x: 2.0, "x0": [1.0]},
])
def test_what_scipy_takes_is_taken(given):
    assert np.abs(run(**given).x).max() < 1e-5


def test_names_of_arguments_are_no_options():
    with pytest.warns(so.OptimizeWarning, match="Unknown solver options: fun, bounds"):
        given = run(options={"fun": 3, "bounds": [(1, 2)] * 2})
    assert np.abs(given.x).max() < 1e-5
    with pytest.warns(so.OptimizeWarning, match="Unknown solver options: nope") as caught:
        run(options={"nope": 3})
        so.minimize(bowl, [1.0, 2.0], method=minimize_method("spg"), options={"nope": 3})
    assert [w.filename for w in caught] == [run.__code__.co_filename] * 2


def test_the_gradient_at_the_end_is_as_small_as_the_default_tolerance_says_and_no_smaller():
    r = run(jac=slope, method="gd", lr=0.005)  # each step takes 1 % off
    assert 0.98e-5 < np.abs(r.jac).max() <= 1e-5


class Level:
    """An objective that is ``f`` everywhere."""

    def __init__(self, f):
        self.f = f

    def value(self, x):
        return self.f


def test_spectral_steps_look_back_on_ten_values():
    x, g = np.ones(1), np.ones(1)
    search = LineSearch("spg", 1.0)

    def step(f, trial):
        return search.step(Level(trial), np.copy, x, f, g)

    assert step(5.0, 1.0) is not None
    for _ in range(9):
        assert step(1.0, 4.0) is not None  # below the 5 of up to nine steps ago
    assert step(1.0, 4.0) is None


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, None])
def test_the_automatic_rate_of_nesterovs_method(momentum):
    """(1 + m)/((1 + 2 m) L), half of the limit of stability; m -> 1 without a number; L 10 % above the estimate."""
    m = 1.0 if momentum is None else momentum
    r = run(lambda x: 0.5 * (x[0] ** 2 + 7 * x[1] ** 2), jac=lambda x: np.array([1.0, 7.0]) * x, method="nesterov",
            momentum=momentum, hess=lambda x: np.diag([1.0, 7.0]), maxiter=2)
    assert r.lr == pytest.approx((1 + m) / ((1 + 2 * m) * 7.7), rel=1e-12)
