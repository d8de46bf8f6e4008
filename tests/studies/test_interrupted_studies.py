"""Ctrl-C in studies: an interrupted inner run is no finished one, and what is promised to be kept is returned."""

import ast
import itertools
import pathlib
import signal
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import odeopt as oo
from odeopt import schemes, studies
from odeopt.flows import gradient_flow
from odeopt.studies.inner import gather, partial_results
from odeopt.studies.networks.scale_invariance import instability, norm_equilibrium
from odeopt.studies.networks.training import learning_rate_decay, train
from odeopt.studies.noise.scaling_rules import scaling_rules
from odeopt.studies.search.suggest import suggest
from odeopt.studies.stability.step_control import step_control

PAIR = oo.Discretization(gradient_flow(), schemes.heun, 0.025)


class Stops:
    """A smooth problem of two variables whose objective raises KeyboardInterrupt at call ``at``."""

    all_calls = 0

    def __init__(self, at):
        self.calls, self.at = 0, 0
        self.problem = oo.Problem(self.fun, self.grad, hess=lambda x: np.diag(np.cosh(x)), dim=2, x0=[1.0, -0.5],
                                  minima=[[0.0, 0.0]])
        self.calls, self.at = 0, at

    def count(self):
        self.calls += 1
        Stops.all_calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt

    def fun(self, x):
        self.count()
        return float(np.cosh(x).sum()) - x.size

    def grad(self, x):
        self.count()
        return np.sinh(x)


def total(study):
    whole = Stops(0)
    study(whole.problem)
    return whole.calls


GD = oo.GradientDescent(0.1)
RAISING = {
    "compare": lambda p: oo.compare(GD, p, steps=6, order=True, rtol=1e-6),
    "directions": lambda p: oo.directions(GD, p, steps=6, t_orbit=1.0),
    "deviation": lambda p: oo.deviation(GD, oo.Momentum(0.1), p, steps=6),
    "lyapunov": lambda p: oo.lyapunov(GD, p, steps=6),
    "restarted": lambda p: oo.restarted(oo.Nesterov(0.1, momentum=None), p, steps=20),
    "tune": lambda p: oo.tune(GD, p, steps=4, grid=3, golden=2),
    "suggest": lambda p: suggest(oo.GradientDescent, p),
    "scaling rules": lambda p: scaling_rules(oo.RMSprop(0.1), p, 0.01, factor=2, steps=4, paths=3),
}


@pytest.fixture
def sigint():
    """Python's own handler of Ctrl-C, also where the shell started the suite with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


KEEPING = {
    "convergence": lambda p: oo.convergence(GD, p, t_end=0.4, levels=3, rtol=1e-4),
    "default time": lambda p: oo.convergence(GD, p, levels=3, rtol=1e-3, atol=1e-3),
    "richardson": lambda p: oo.convergence(GD, p, t_end=0.4, levels=4, against="richardson"),
    "scheme": lambda p: oo.convergence(PAIR, p, t_end=0.4, levels=3, rtol=1e-4),
    "certificates": lambda p: oo.order_certificates([GD, oo.Momentum(0.1)], p, t_end=0.4, levels=3, rtol=1e-4),
    "work-precision": lambda p: oo.work_precision([GD, PAIR], p, levels=2, steps=3, repeats=1, rtol=1e-4, atol=1e-4),
    "norm equilibrium": lambda p: norm_equilibrium([(0.1, 0.5), (0.2, 0.5)], p, steps=6, records=6, paths=2),
    "instability": lambda p: instability([0.1, 0.2], p, steps=8),
    "step control": lambda p: step_control(p, t_end=0.2, rules=("PI", "article"), steps=5),
}


@pytest.mark.parametrize("name", RAISING)
def test_an_interrupted_run_ends_the_study_above_it(name):
    """Wherever the objective is interrupted, nothing that was cut short is measured as if it were whole."""
    study = RAISING[name]
    calls = total(study)
    for at in sorted({1 + calls * i // 23 for i in range(23)}):
        with pytest.raises(KeyboardInterrupt):
            study(Stops(at).problem)


@pytest.mark.parametrize("name", KEEPING)
def test_what_is_done_is_kept(name, monkeypatch):
    # How often a run is timed hangs on the clock: here one that counts calls, so that each time it is as often.
    clock = SimpleNamespace(perf_counter=lambda: Stops.all_calls + next(ticks))
    ticks = itertools.count()
    monkeypatch.setattr("odeopt.studies.order.work_precision.time", clock)
    study = KEEPING[name]
    whole = Stops(0)
    full, calls, kept = study(whole.problem), total(study), []
    for at in sorted({1 + calls * i // 40 for i in range(40)}):
        stops = Stops(at)
        try:
            part = study(stops.problem)
        except KeyboardInterrupt:  # nothing was done
            assert not kept
            continue
        assert part.status == "interrupted" and part.interrupted
        assert "interrupted" in getattr(part, "message", "interrupted")
        kept.append(len(part.rows()))
        if hasattr(part, "error") and part.error.size:
            rows = part.error.shape[0]
            assert np.array_equal(part.error, full.error[:rows], equal_nan=True)
    assert full.status == "completed" and kept == sorted(kept) and 0 < kept[-1] <= len(full.rows())


def interrupted_at(line, call):
    """``call()`` under a SIGINT at the ``line``-th line of the studies' own code, and whether it came to that line."""
    seen = 0

    def trace(frame, event, argument):
        nonlocal seen
        if not frame.f_code.co_filename.endswith(("convergence.py", "fit.py", "certificates.py")):
            return None
        if event == "line":
            seen += 1
            if seen == line:
                signal.raise_signal(signal.SIGINT)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return call(), seen >= line
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("study", ["convergence", "certificates"])
def test_convergence_keeps_its_levels_at_every_line(study, sigint):
    def call():
        if study == "certificates":
            return oo.order_certificates([GD], oo.problems.sine_bowl(), t_end=0.4, levels=3, start="cold")
        return oo.convergence(GD, oo.problems.sine_bowl(), t_end=0.4, levels=3)

    whole, line, kept = call(), 1, []
    while True:
        found, came = interrupted_at(line, call)
        assert found.status == ("interrupted" if came else "completed")
        if not came:
            break
        kept.append(len(found.rows()))
        line += 1 if study == "convergence" and line < 60 else 11
    assert kept[0] == 0 and kept[-1] == len(whole.rows()) and line > 100
    assert kept == sorted(kept) or study == "certificates"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_ones_own_stays_in_charge(sigint):
    came = []
    signal.signal(signal.SIGINT, lambda *_: came.append(1))

    @partial_results
    def study():
        signal.raise_signal(signal.SIGINT)
        gather([1], lambda _: signal.raise_signal(signal.SIGINT))
        return oo.convergence(GD, oo.problems.sine_bowl(), t_end=0.4, levels=3)

    assert study().status == "completed" and len(came) == 2


def test_a_study_in_a_thread_leaves_signals_alone():
    found = []
    thread = threading.Thread(target=lambda: found.append(KEEPING["convergence"](Stops(60).problem)))
    thread.start()
    thread.join()
    assert found[0].status == "interrupted"


def test_only_one_place_runs_methods_for_studies():
    """Where ``record`` or ``sample`` itself is at hand, a status may be forgotten."""
    for path in pathlib.Path(studies.__file__).parent.rglob("*.py"):
        names = {alias.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                 if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert path.name == "inner.py" or not names & {"record", "sample", "simulate"}, path.name


class Net:
    """A network of two parameters whose evaluation number ``at`` raises KeyboardInterrupt."""

    def __init__(self, at=0):
        self.calls, self.at = 0, at

    def initial(self, seed):
        return np.array([1.0, seed + 1.0])

    def loss_and_grad(self, w, images, labels):
        self.calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt
        return float(w @ w), 2 * w * images.mean()

    def loss_and_accuracy(self, w, images, labels):
        return self.loss_and_grad(w, images, labels)[0], 0.5


def test_training_keeps_its_epochs():
    data = {name: (np.linspace(0.5, 1, 4), np.arange(4)) for name in ("train", "validation", "test")}
    rule, adam, whole = oo.schedules.StepDecay(0.5, period=1), oo.Adam(0.1), Net()

    def trained(at=0, epochs=3):
        return train(adam, Net(at), data, epochs, batch=2, rule=rule)

    train(adam, whole, data, 3, batch=2, rule=rule)
    for at in range(1, whole.calls + 1):  # an epoch is two batches and the validation
        if at <= 3:
            with pytest.raises(KeyboardInterrupt):
                trained(at)
        elif at < whole.calls:
            part, full = trained(at), trained(epochs=(at - 1) // 3)
            assert part.status == "interrupted" and len(part.rows()) == (at - 1) // 3
            assert np.array_equal(part.w, full.w) and part.rows() == full.rows()

    def table(at=0):
        net = Net(at)
        return learning_rate_decay(net, data, adam, rule, {0.1: 2, 0.05: 1}, batch=2, seeds=(0, 1)), net.calls

    (full, calls), kept = table(), []
    for at in range(1, calls + 1, 3):
        try:
            part, _ = table(at)
        except KeyboardInterrupt:
            assert not kept
            continue
        kept.append(len(part.runs))
        assert part.status == "interrupted" and part.headline() and part.runs[-1].status == "completed"
        assert [run.headline() for run in part.runs] == [run.headline() for run in full.runs[: kept[-1]]]
    assert kept == sorted(kept) and kept[-1] == 7 and full.status == "completed" and len(full.runs) == 8
