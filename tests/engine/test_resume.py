"""A run goes on only with what it was made of: problems, methods, schedules and noise are known by what they do."""

import dataclasses
import functools
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import odeopt as oo
from odeopt import fingerprint
from odeopt import stochastic as st

BEALE = oo.problems.beale()
ADAM = oo.Adam(1e-2)
GD = oo.GradientDescent(1e-3)


def parabola(a, **options):
    """Of plain Python, with ``a`` in a closure."""
    return oo.Problem(lambda x: a * float(x @ x), lambda x: 2 * a * x, dim=2, **options)


def weighted(x, a=1.0, *, b=0.0):
    return a * float(x @ x) + b


class Model:
    """An objective with its data, that counts its calls."""

    def __init__(self, a):
        self.a, self.calls, self.history = a, 0, []

    def fun(self, x):
        self.calls += 1
        self.history.append(x)
        return self.a * float(x @ x)

    def grad(self, x):
        return 2 * self.a * x


def slope(x, a=1.0):
    return 2 * a * x


def model(a):
    return oo.Problem(Model(a).fun, Model(a).grad, dim=2)


OTHERS = {  # pairs that look alike
    "closure": (parabola(1.0), parabola(2.0)),
    "code": (oo.Problem(lambda x: float(x @ x), slope, dim=2), oo.Problem(lambda x: float(x @ x) + 1, slope, dim=2)),
    "gradient": (oo.Problem(weighted, slope, dim=2), oo.Problem(weighted, lambda x: x + x, dim=2)),
    "partial": tuple(oo.Problem(functools.partial(weighted, a=a), functools.partial(slope, a=a), dim=2, name="w")
                     for a in (1.0, 2.0)),
    "object": (model(1.0), model(2.0)),
    "dimension": tuple(oo.Problem(weighted, slope, dim=n) for n in (2, 3)),
    "data": tuple(oo.problems.quadratic(v) for v in ([1.0, 2.0], [1.0, 3.0])),
    "kernels": (oo.Problem.from_kernels("p", BEALE.fg, None, dim=2, x0=[1.0, 1.0]),
                oo.Problem.from_kernels("p", oo.problems.rosenbrock(2).fg, None, dim=2, x0=[1.0, 1.0])),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_another_problem_is_refused_whatever_it_is_called(kind):
    one, other = OTHERS[kind]
    run, paths = oo.record(GD, one, steps=3), st.sample(GD, one, steps=3, paths=2)
    oo.record(GD, one, steps=3, resume=run)
    st.sample(GD, one, steps=3, resume=paths)
    with pytest.raises(ValueError, match="resume must come from the same problem"):
        oo.record(GD, other, steps=3, resume=run)
    with pytest.raises(ValueError, match="resume must come from .*same (problem|dimension)"):
        st.sample(GD, other, steps=3, resume=paths)


def test_rosenbrock_in_2_and_200_dimensions_are_two():
    old = oo.record(GD, oo.problems.rosenbrock(200), steps=5)
    with pytest.raises(ValueError, match="same problem"):
        oo.record(GD, oo.problems.rosenbrock(2), steps=5, resume=old)
    one = oo.Problem(weighted, slope, dim=1)
    paths = st.sample(GD, one, st.gaussian(0.1), steps=2, paths=3)
    with pytest.raises(ValueError, match="same"):
        st.sample(GD, oo.Problem(weighted, slope, dim=300), st.gaussian(0.1), steps=2, resume=paths)


def test_the_same_problem_made_anew_is_the_same():
    for make in (lambda: parabola(1.5), lambda: oo.problems.quadratic([1.0, 2.0]), lambda: model(2.0)):
        assert fingerprint.of_problem(make()) == fingerprint.of_problem(make())
    assert fingerprint.of_problem(BEALE) == fingerprint.of_problem(oo.problems.beale())


def test_calls_that_an_objective_counts_do_not_make_it_another():
    counted, mine = [], Model(1.0)
    seen = 0

    def fun(x):
        nonlocal seen
        seen += 1
        counted.append(seen)
        return float(x @ x)

    for make in (lambda: oo.Problem(fun, slope, dim=2), lambda: oo.Problem(mine.fun, mine.grad, dim=2)):
        part = oo.record(GD, make(), steps=5)
        whole = oo.record(GD, make(), steps=7, resume=part)
        assert np.array_equal(whole.x, oo.record(GD, make(), steps=12).x)
    assert seen and mine.calls


SCHEDULES = {
    "none": None, "cosine": oo.schedules.cosine(10), "longer": oo.schedules.cosine(20),
    "two": (oo.schedules.cosine(10), oo.schedules.constant().driving("beta1")),
    "sequence": oo.schedules.sequence([oo.schedules.constant(), oo.schedules.cosine(10)], [5]),
    "other sequence": oo.schedules.sequence([oo.schedules.constant(), oo.schedules.cosine(20)], [5]),
    "plateau": oo.schedules.ReduceLROnPlateau(patience=1), "patient": oo.schedules.ReduceLROnPlateau(patience=2),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_run_goes_on_under_its_own_schedule(name):
    schedule = SCHEDULES[name]
    run = oo.record(ADAM, BEALE, steps=6, schedule=schedule)
    oo.record(ADAM, BEALE, steps=2, schedule=schedule, resume=run)
    for other, wrong in SCHEDULES.items():
        if other != name:
            with pytest.raises(ValueError, match="same schedule|under a PlateauRule"):
                oo.record(ADAM, BEALE, steps=2, schedule=wrong, resume=run)


def test_the_paths_of_a_scheduled_run_go_on_under_it():
    cosine, noise = oo.schedules.cosine(10), st.gaussian(0.1)
    paths = st.sample(GD, BEALE, noise, steps=4, schedule=cosine, seed=3, paths=2)
    whole = st.sample(GD, BEALE, noise, steps=9, schedule=cosine, seed=3, paths=2)
    rest = st.sample(GD, BEALE, noise, steps=5, schedule=cosine, seed=3, paths=2, resume=paths)
    assert np.array_equal(rest.end, whole.end)
    for schedule in (None, oo.schedules.cosine(20)):
        with pytest.raises(ValueError, match="same schedule"):
            st.sample(GD, BEALE, noise, steps=5, schedule=schedule, resume=paths)


@pytest.mark.parametrize("given, words", [
    (dict(seed=4), "same seed"), (dict(seed=np.random.default_rng(3)), "seed must be left out"),
    (dict(paths=3), "keep paths = 2"), (dict(every=3), "keep every = 2"),
    (dict(average_from=1), "keep average_from = "),
    (dict(x0=[1.0, 1.0]), "x0 must be None"), (dict(start="consistent"), "same start"),
    (dict(noise=st.gaussian(0.2)), "same (noise|constants)"), (dict(noise=None), "same noise"),
])
def test_what_paths_were_made_with_cannot_be_changed_on_the_way(given, words):
    paths = st.sample(ADAM, BEALE, st.gaussian(0.1), steps=4, seed=3, paths=2, every=2)
    with pytest.raises(ValueError, match=words):
        st.sample(ADAM, BEALE, **{"noise": st.gaussian(0.1), "steps": 2, "resume": paths} | given)


def test_start_and_stride_are_those_of_the_run():
    run = oo.record(ADAM, BEALE, steps=6, every=2, start="consistent")
    whole = oo.record(ADAM, BEALE, steps=9, every=2, start="consistent")
    for start in ("cold", "consistent"):  # "cold" is the default, and says nothing
        again = oo.record(ADAM, BEALE, steps=3, every=2, start=start, resume=run)
        assert np.array_equal(again.x, whole.x) and again.final["origin"] == whole.final["origin"]
    with pytest.raises(ValueError, match="same start"):
        oo.record(ADAM, BEALE, steps=3, every=2, start=np.ones((len(ADAM.slots), 2)), resume=run)
    with pytest.raises(ValueError, match="keep every=2"):
        oo.record(ADAM, BEALE, steps=3, resume=run)


@dataclasses.dataclass(frozen=True)
class Sign(oo.GradientDescent):
    """Another method with the name of gradient descent."""

    kernel = staticmethod(oo.SignGD(0.1).kernel)


Sign.__qualname__ = Sign.__name__ = "GradientDescent"


def test_another_method_of_the_same_name_is_refused():
    assert repr(Sign(1e-3)) == repr(GD)
    run = oo.record(GD, BEALE, steps=3)
    with pytest.raises(ValueError, match="same method"):
        oo.record(Sign(1e-3), BEALE, steps=3, resume=run)
    with pytest.raises(ValueError, match="same method"):
        oo.record(oo.SWA(oo.Adam(1e-2)), BEALE, steps=3, resume=oo.record(oo.SWA(oo.Adam(1e-3)), BEALE, steps=3))


@pytest.mark.parametrize("changes", [
    dict(s=np.zeros((2, 2), complex)), dict(s=np.zeros((2, 2), bool)), dict(s=np.zeros((0, 3))), dict(s=np.zeros(7)),
    dict(x=np.zeros(3)), dict(x=["a", "b"]), dict(k=-1), dict(k=2**63 - 1), dict(k=1.5), dict(every=0), dict(sum="0"),
    dict(origin=3), dict(origin="{}"), dict(origin="[" * 5000), dict(more=1), dict(s=None), dict(k=None),
    dict(origin=None),
], ids=str)
def test_a_tampered_final_state_reaches_no_kernel(changes):
    run = oo.record(oo.Adam(1e-2), BEALE, steps=3)
    final = {name: value for name, value in (run.final | changes).items() if value is not None}
    with pytest.raises(ValueError, match="^resume must [^\n]*$"):
        oo.record(oo.Adam(1e-2), BEALE, steps=3, resume=dataclasses.replace(run, final=final))


@pytest.mark.parametrize("changes", [
    dict(s=np.zeros((2, 2, 2), complex)), dict(s=np.zeros((2, 0, 2))), dict(x=np.zeros((3, 2))), dict(k=-1), dict(k=7),
    dict(streams=np.zeros((2, 5), np.uint64)), dict(streams=np.full((2, 6), 2**64 - 1, np.uint64)), dict(t=None),
    dict(order=np.zeros((2, 5), np.int64)), dict(stopped=np.zeros(3, np.int64)), dict(average_from=-5),
], ids=str)
def test_a_tampered_state_of_paths_reaches_no_kernel(changes):
    paths = st.sample(ADAM, BEALE, st.gaussian(0.1), steps=3, paths=2)
    final = {name: value for name, value in (paths.final | changes).items() if value is not None}
    with pytest.raises(ValueError, match="^resume must [^\n]*$"):
        st.sample(ADAM, BEALE, st.gaussian(0.1), steps=3, resume=dataclasses.replace(paths, final=final))


@pytest.mark.parametrize("changes", [{"k": 1000}, {"x": np.array([1.0, 2.0])}], ids=str)
def test_the_state_at_the_end_is_that_of_the_last_record(changes):
    """A run resumed with an edited count of steps had records 3 and then 1001."""
    run = oo.record(GD, BEALE, steps=3)
    with pytest.raises(ValueError, match=r"final\.k and final\.x must be those of the last record"):
        oo.record(GD, BEALE, steps=3, resume=dataclasses.replace(run, final=run.final | changes))


def test_steps_beyond_what_a_counter_holds_are_refused():
    run = oo.record(GD, BEALE, steps=3)
    run = dataclasses.replace(run, k=run.k + 2**62 - 13, final=run.final | {"k": 2**62 - 10})
    with pytest.raises(ValueError, match="steps must be at most"):
        oo.record(GD, BEALE, steps=100, resume=run)


OWN = '''
import sys
import numpy as np
import odeopt as oo
from numba import njit
from odeopt import fingerprint

A = np.array([1.0, 3.0])

def make(scale):
    @njit
    def fg(x, g, data):
        g[:] = 2.0 * scale * A * x
        return scale * (A[0] * x[0] ** 2 + A[1] * x[1] ** 2)
    return oo.Problem.from_kernels("own", fg, None, dim=2, x0=[1.0, 1.0])

def plain(scale):
    return oo.Problem(lambda x: scale * float(A @ x**2), lambda x: 2 * scale * A * x, dim=2, x0=[1.0, 1.0])

if __name__ == "__main__":
    for i, problem in enumerate((plain(2.0), oo.problems.quadratic([1.0, 2.0]))):
        oo.record(oo.Adam(1e-2), problem, steps=4, schedule=oo.schedules.cosine(9)).save(f"{sys.argv[1]}/{i}.npz")
    print(fingerprint.of_problem(make(2.0)))
'''


def test_a_saved_run_goes_on_in_another_process(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    out = subprocess.run([sys.executable, str(tmp_path / "own.py"), str(tmp_path)], check=True, capture_output=True,
                         text=True, env=os.environ | {"PYTHONPATH": str(pathlib.Path(oo.__file__).parents[1])}).stdout
    own = {"__name__": "own"}
    exec(compile(OWN, str(tmp_path / "own.py"), "exec"), own)
    schedule = oo.schedules.cosine(9)
    for i, (make, value, wrong) in enumerate((
            (own["plain"], 2.0, 2.5), (oo.problems.quadratic, [1.0, 2.0], [1.0, 2.5]))):
        part = oo.Trajectory.load(tmp_path / f"{i}.npz")
        whole = oo.record(ADAM, make(value), steps=9, schedule=schedule)
        assert np.array_equal(oo.record(ADAM, make(value), steps=5, schedule=schedule, resume=part).x, whole.x)
        with pytest.raises(ValueError, match="same problem"):
            oo.record(ADAM, make(wrong), steps=5, schedule=schedule, resume=part)
    assert fingerprint.of_problem(own["make"](2.0)) == out.strip() != fingerprint.of_problem(own["make"](2.5))


def test_code_is_compared_within_one_version_of_python_alone():
    values, tag, code = fingerprint.of_problem(parabola(1.0)).rsplit(" ", 2)
    assert fingerprint.same(f"{values} {tag} {code}", f"{values} cpython-399 0")
    assert not fingerprint.same(f"{values} {tag} {code}", f"{values} {tag} 0")
    assert not fingerprint.same(f"{values}0 {tag} {code}", f"{values} cpython-399 0")
