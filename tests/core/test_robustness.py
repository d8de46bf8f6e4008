"""Fuzzed input, cold processes at once, read-only installations, Ctrl-C, fork and spawn."""

import math
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numba.core.dispatcher import Dispatcher
from scipy.integrate import solve_ivp
from scipy.optimize import OptimizeWarning

import odeopt as oo
from odeopt import abi
from odeopt.interop import solver_class

ROOT = Path(oo.__file__).parent.parent
BEALE = oo.problems.beale()
ALLOWED = (TypeError, ValueError)
quick = settings(max_examples=60, deadline=None, derandomize=True,
                 suppress_health_check=[HealthCheck.function_scoped_fixture])

numbers = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.integers(-3, 10), st.none(), st.booleans(),
                    st.text(max_size=3), st.complex_numbers(max_magnitude=3))
arrays = st.one_of(
    hnp.arrays(st.sampled_from([np.float64, np.float32, np.int64, np.complex128, bool]), hnp.array_shapes(max_dims=3,
                                                                                                        max_side=4)),
    st.lists(numbers, max_size=4), numbers)


@quick
@given(lr=numbers, beta1=numbers, eps=numbers)
def test_any_hyperparameter_is_taken_or_named(lr, beta1, eps):
    try:
        adam = oo.Adam(lr=lr, beta1=beta1, eps=eps)
    except ALLOWED as error:
        assert any(name in str(error) for name in ("lr", "beta1", "eps")) and "\n" not in str(error)
    else:
        assert adam.lr > 0 and 0 <= adam.beta1 < 1 and adam.eps >= 0


def own_words(error):
    """One line that was written here, not one of numpy's or the interpreter's from somewhere below."""
    last = error.__traceback__
    while last.tb_next:
        last = last.tb_next
    assert "\n" not in str(error) and len(str(error)) < 400, error
    assert "odeopt" in Path(last.tb_frame.f_code.co_filename).parts, error


def made(name):
    return oo.optimizers.ALL[name](**({"tol": 1e-2} if name == "errorcontrolledeuler" else {"lr": 1e-3}))


def some(**kinds):
    """At most two arguments out of order; the others stay as they are, so that half of the calls go through."""
    return st.lists(st.sampled_from(sorted(kinds)), max_size=2, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: kinds[name] for name in names}))


def mostly(good, strange):
    return st.one_of(good, good, strange)


CLASSES = st.sampled_from(sorted(oo.optimizers.ALL))
points = mostly(hnp.arrays(st.sampled_from([np.float64, np.float32, np.int64]), 2, elements=st.integers(-3, 3)), arrays)
starts = st.one_of(st.sampled_from(["cold", "consistent"]), arrays)


@quick
@given(name=CLASSES, x0=points, changes=some(steps=numbers, every=numbers, gtol=numbers, t_end=numbers, start=starts))
def test_record_takes_or_names_any_argument(name, x0, changes):
    changes = {"steps": 50} | changes
    if changes["steps"] is None or (isinstance(changes["steps"], int) and changes["steps"] > 50):
        changes["steps"] = 50
    with np.errstate(all="ignore"):
        try:
            run = oo.record(made(name), BEALE, x0, **changes)
        except ALLOWED as error:
            own_words(error)
        else:
            assert run.status in ("completed", "converged", "diverged", "stalled")
            assert len(run) >= 1 and (np.diff(run.k) > 0).all() and np.isfinite(run.f).all() and repr(run)


def test_what_longer_fuzzing_of_record_found():
    run = oo.record(oo.Adadelta(), BEALE, [9e21, 9e21], steps=3)  # |g|^2 overflows, |g| does not
    assert len(run) >= 1 and np.isfinite(run.grad_norm).all() and run.grad_norm[0] > 1e154
    with pytest.raises(TypeError, match="start must be .* real numbers, got complex"):
        oo.record(oo.Momentum(1e-3), BEALE, start=np.array([[1j, 0.0]]))


@settings(quick, max_examples=150)
@given(name=st.one_of(CLASSES, st.sampled_from(["armijo", "spg"])), x0=points, scale=st.floats(-1e200, 1e200),
       options=some(**{key: mostly(st.floats(1e-9, 1e9), numbers) for key in (
           "lr", "tol", "gtol", "ftol", "xtol", "return_all", "momentum", "eps")}),
       bounds=mostly(st.none(), st.one_of(arrays, st.lists(st.tuples(numbers, numbers), max_size=3))),
       jac=st.sampled_from([None, True, "2-point", "3-point", "cs", "grad"]))
def test_minimize_takes_or_names_any_argument(name, x0, scale, options, bounds, jac):
    def fun(x):
        f = scale * (x @ x)
        return (f, 2 * scale * x) if jac is True else f

    options = {"tol" if name == "errorcontrolledeuler" else "lr": 1e-3} | options
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)  # "momentum" for a method without
        try:
            r = oo.minimize(fun, x0, jac=(lambda x: 2 * scale * x) if jac == "grad" else jac, method=name,
                            bounds=bounds, maxiter=20, options=options)
        except ALLOWED as error:
            own_words(error)
        else:
            assert r.status in (0, 1, 2, 3) and r.success == (r.status == 0) and r.message
            assert np.isfinite(r.x).all() and (math.isfinite(r.fun) or (r.status, r.nit) == (2, 0))
            assert r.nfev >= 1 and r.njev >= 1 and r.nit <= 20


@quick
@given(name=CLASSES, x=points, g=points)
def test_update_takes_or_names_any_arrays(name, x, g):
    optimizer = made(name)
    with np.errstate(all="ignore"):
        try:
            state = optimizer.init(x)
            optimizer.update(x, g, state)
        except ALLOWED as error:
            own_words(error)
        else:
            assert state.k == 1


@quick
@given(x=arrays, g=arrays)
def test_update_moves_its_array_or_refuses(x, g):
    adam = oo.Adam(lr=0.1)
    try:
        state = adam.init(x)
        before = [np.copy(a) for a in (x if isinstance(x, list) else [x])]
        adam.update(x, g, state)
    except ALLOWED as error:
        assert "\n" not in str(error)
    else:
        assert state.k == 1
        for old, new, grad in zip(before, x if isinstance(x, list) else [x], g if isinstance(g, list) else [g]):
            moved = np.isfinite(grad) & (grad != 0) & (abs(grad) > 1e-6) & (abs(grad) < 1e18) & (abs(old) < 1e5)
            assert (new != old)[moved].all()


@quick
@given(name=CLASSES, points=mostly(hnp.arrays(np.float64, (3, 2), elements=st.floats(-9, 9)), arrays),
       changes=some(steps=st.one_of(st.integers(-2, 20), st.floats(), st.none()), every=numbers, t_end=numbers,
                    chunk=numbers, gtol=numbers, start=mostly(st.just("consistent"), numbers), keep=numbers,
                    threads=st.one_of(st.integers(-1, 3), st.text(max_size=2), st.floats())))
def test_ensemble_takes_or_names_any_argument(name, points, changes):
    with np.errstate(all="ignore"):
        try:
            group = oo.ensemble(made(name), BEALE, points, **({"steps": 9} | changes))
        except ALLOWED as error:
            own_words(error)
        else:
            assert group.ok and group.x.shape == np.shape(points)


@quick
@given(y0=points, end=mostly(st.floats(-3, 3), numbers), scheme=st.sampled_from(["rk4", "explicit-euler", "rkc",
                                                                               "dormand-prince"]),
       given=some(rtol=mostly(st.floats(1e-12, 1), numbers), atol=mostly(st.floats(1e-12, 1), arrays),
                  max_step=mostly(st.floats(0.01, 9), numbers), first_step=mostly(st.floats(1e-9, 1), numbers),
                  min_step=mostly(st.floats(0, 0.1), numbers), step=mostly(st.floats(0.01, 9), numbers)))
def test_solve_ivp_ends_or_refuses(y0, end, scheme, given):
    """Through scipy's door some of the words are scipy's; it never hangs, and never claims a success it has not."""
    count = [0]

    def fun(t, y):
        count[0] += 1
        if count[0] > 3000:
            raise TimeoutError
        return -y

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            r = solve_ivp(fun, (0, end), y0, method=solver_class(oo.schemes.ALL[scheme]), **given)
        except (*ALLOWED, TimeoutError) as error:
            assert isinstance(error, TimeoutError) or len(str(error)) < 400
        else:
            assert r.nfev == count[0] and np.isfinite(r.y).all()
            assert r.t[-1] == float(end) if r.success else r.status == -1


# Processes ---------------------------------------------------------------------------------------------

CODE = """
import warnings
warnings.simplefilter("always")
from numba.core.dispatcher import Dispatcher

import odeopt as oo
run = oo.record(oo.GradientDescent(1e-3), oo.problems.beale(), steps=50)
print(run.x[-1].tobytes().hex())
"""


def start(code, cwd=None, **environment):
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.Popen([sys.executable, "-c", code], env={**kept, "PYTHONPATH": str(ROOT), **environment},
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd)


def finish(process, timeout=280):
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()  # one that hangs would go on for ever
    assert process.returncode == 0, err
    return out, err


def test_two_processes_may_start_cold_at_once(tmp_path):
    """Both compile into one empty cache; both get the right numbers, and the third finds it filled."""
    cold = {"NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    outputs = [finish(p)[0] for p in [start(CODE, **cold), start(CODE, **cold)]]
    expected = oo.record(oo.GradientDescent(1e-3), BEALE, steps=50).x[-1].tobytes().hex()
    assert [o.strip() for o in outputs] == [expected] * 2
    files = {f: f.stat().st_mtime_ns for f in (tmp_path / "numba").rglob("*.nb*")}
    assert files
    assert finish(start(CODE, **cold))[0].strip() == expected
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "numba").rglob("*.nb*")} == files  # nothing compiled anew


ENSEMBLE = """
import warnings
warnings.simplefilter("always")
import numpy as np, odeopt as oo
starts = np.random.default_rng(0).uniform(-4, 4, (300, 2))
for _ in range(2):
    group = oo.ensemble(oo.Momentum(1e-3), oo.problems.himmelblau(), starts, 50, threads=2, chunk=100)
print(group.x.tobytes().hex())
"""


def ensemble_here():
    points = np.random.default_rng(0).uniform(-4, 4, (300, 2))
    return oo.ensemble(oo.Momentum(1e-3), oo.problems.himmelblau(), points, 50).x.tobytes().hex()


def test_two_processes_may_write_the_code_of_one_ensemble(tmp_path):
    cold = {"ODEOPT_CACHE_DIR": str(tmp_path / "loops")}
    for process in [start(ENSEMBLE, **cold), start(ENSEMBLE, **cold)]:
        out, err = finish(process)
        assert out.strip() == ensemble_here() and not err
    assert len(list((tmp_path / "loops").glob("*.nbc"))) == 1 and not list((tmp_path / "loops").glob("*.part"))


def test_an_ensemble_whose_code_cannot_be_written_still_runs_and_says_so_once(tmp_path):
    (tmp_path / "file").write_text("")
    out, err = finish(start(ENSEMBLE, ODEOPT_CACHE_DIR=str(tmp_path / "file" / "loops")))
    assert out.strip() == ensemble_here()
    assert err.count("no writable folder for compiled kernels") == err.count("Warning") == 1, err


def test_a_read_only_installation_with_no_cache_anywhere_still_runs(tmp_path):
    """The package's folder and every cache folder refuse writing; it runs and says so once."""
    copy = tmp_path / "site"
    shutil.copytree(ROOT / "odeopt", copy / "odeopt", ignore=shutil.ignore_patterns("__pycache__"))
    # A superuser writes anywhere: folders are made impossible instead, by files in their places.
    for folder in [copy / "odeopt", *(p for p in (copy / "odeopt").rglob("*") if p.is_dir())]:
        (folder / "__pycache__").write_text("")
    blocker = tmp_path / "file"
    blocker.write_text("")
    out, err = finish(start(CODE, cwd=tmp_path, PYTHONPATH=str(copy), HOME=str(blocker), XDG_CACHE_HOME=str(blocker),
                            NUMBA_CACHE_DIR="", PYTHONDONTWRITEBYTECODE="1"))
    assert out.strip() == oo.record(oo.GradientDescent(1e-3), BEALE, steps=50).x[-1].tobytes().hex()
    assert err.count("no writable folder for compiled kernels") == 1, err


SUM = """
import warnings
warnings.simplefilter("always")
import numpy as np
from odeopt.sums import sum_of_squares
print(sum_of_squares(np.arange(4.0)), sum_of_squares(np.arange(4, dtype=np.float32)))
"""
PROMPT = """
import warnings
warnings.simplefilter("error")
from odeopt.abi import kernel

@kernel
def halved(x):
    return 0.5 * x

print(halved(3.0))
"""


def test_a_kernel_typed_in_at_a_prompt_compiles_without_a_folder():
    out, err = finish(start(PROMPT))
    assert out.strip() == "1.5" and not err


NO_ROOM = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
"""


@pytest.mark.skipif(os.name == "nt", reason="no limits on files on Windows")
def test_kernels_compile_with_a_full_disk_or_a_file_cut_off(tmp_path):
    """The folder can be written, but what is compiled does not fit; or it did, and was cut off later."""
    def run(code):
        out, err = finish(start(code, NUMBA_CACHE_DIR=str(tmp_path)))
        assert out.split() == ["14.0", "14.0"]
        assert err.count("no writable folder for compiled kernels") == err.count("Warning"), err
        return err.count("Warning")

    assert run(NO_ROOM + SUM) == 1
    assert run(SUM) == 0
    for file in tmp_path.rglob("*.nbc"):
        file.write_bytes(file.read_bytes()[:20])
    assert run(SUM) == 1


@pytest.mark.parametrize("arrays, size, threads, number", [
    (1, 2000, 1, "SIGINT"), (300, 100, 1, "SIGINT"), (1, 400_000, 1, "SIGINT"), (3, 400_000, 2, "SIGINT"),
    (1, 2000, 1, "SIGALRM"), (3, 400_000, 2, "SIGTERM")])
@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a child on Windows")
def test_signals_in_a_training_loop_leave_arrays_consistent(arrays, size, threads, number):
    """Ctrl-C, or a handler of the user's that raises, at any moment between or within updates: all arrays and
    the state have done the same steps."""
    code = f"""
import numpy as np, odeopt as oo, os, signal, threading, time

class Stop(Exception): pass

def stop(number, frame):
    raise Stop

if "{number}" != "SIGINT":
    signal.signal(signal.{number}, stop)
before = signal.getsignal(signal.{number})
xs, gs = ([np.full({size}, value) for _ in range({arrays})] for value in (0.0, 1.0))
x, g = (xs, gs) if {arrays} > 1 else (xs[0], gs[0])
descent = oo.GradientDescent(1.0)
state = descent.init(x)
descent.update(x, g, state, threads={threads})

def interrupt(seconds):
    time.sleep(seconds)
    os.kill(os.getpid(), signal.{number})

for trial in range(40):
    thread = threading.Thread(target=interrupt, args=(0.005 + 0.0007 * trial,))
    try:
        thread.start()  # inside: under load the signal comes before it returns
        while True:
            descent.update(x, g, state, threads={threads})
    except (KeyboardInterrupt, Stop):
        thread.join()
        assert signal.getsignal(signal.{number}) is before
        assert all((a == -state.k).all() for a in xs), (state.k, [(a.min(), a.max()) for a in xs])
        assert state.t == state.k
print("consistent")
"""
    assert finish(start(code))[0].strip() == "consistent"


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to a child on Windows")
def test_ctrl_c_while_a_loop_is_compiled_is_not_lost(monkeypatch):
    """LLVM calls back into Python, where an exception would be swallowed: it waits until the loop is compiled."""
    done = []

    def compile(self, signature):
        os.kill(os.getpid(), signal.SIGINT)
        done.append(signature)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        monkeypatch.setattr(Dispatcher, "compile", compile)
        with pytest.raises(KeyboardInterrupt):
            abi.kernel(lambda x: x, abi.REAL(abi.REAL))
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(done) == 1


def test_ctrl_c_in_record_keeps_the_run():
    code = """
from numba.core.dispatcher import Dispatcher

import odeopt as oo
problem, gd = oo.problems.rosenbrock(), oo.GradientDescent(1e-6)
oo.record(gd, problem, steps=10)
print("ready", flush=True)
run = oo.record(gd, problem, steps=10**12, every=10**6)
print(run.status, run.final["k"] > 0, len(run) >= 1)
"""
    process = start(code)
    assert process.stdout.readline().strip() == "ready"
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    assert finish(process)[0].split() == ["interrupted", "True", "True"]


def _child(x0):
    """Everything that keeps threads or compiled code between calls."""
    run = oo.record(oo.Adam(1e-2), BEALE, x0, 40).x[-1]
    group = oo.ensemble(oo.Adam(1e-2), BEALE, np.tile(x0, (300, 1)), 40, threads=2, chunk=100).x[-1]
    r = oo.minimize(BEALE, x0, method=oo.Adam(1e-2), maxiter=40, gtol=0.0).x
    x, adam = np.tile(x0, 150_000), oo.Adam(1e-2)
    state = adam.init(x)
    for _ in range(3):
        adam.update(x, np.ones_like(x), state, threads=2)
    return np.concatenate([run, group, r, x[-2:]])


@pytest.mark.parametrize("method", [m for m in ("fork", "spawn") if m in multiprocessing.get_all_start_methods()])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*fork.*:RuntimeWarning")  # of JAX, where a test of peers imported it
def test_fork_and_spawn(method):
    x0 = np.array([0.5, 0.5])
    expected = _child(x0)
    assert np.array_equal(expected[:2], expected[2:4]) and np.array_equal(expected[:2], expected[4:6])
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert np.array_equal(pool.apply_async(_child, (x0,)).get(timeout=200), expected)
    assert np.array_equal(_child(x0), expected)  # and the parent's own threads go on
