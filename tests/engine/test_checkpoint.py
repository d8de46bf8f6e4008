"""Checkpoints: 2N steps are N, a file, another process and N, bit for bit; what does not belong is refused."""

import dataclasses
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import odeopt as oo
from odeopt import schedules as S

X = np.random.default_rng(5).standard_normal((64, 3))
Y = X @ np.array([1.0, -2.0, 0.5]) + 0.3
RULE = S.ReduceLROnPlateau(patience=0, factor=0.5)
OPTIMIZERS = {
    "clipped": (oo.Clipped(oo.Adam(0.05), norm=1.0),
                lambda: [S.cosine(50), S.sequence([S.linear(5), S.exponential(0.9)], [5])]),
    "swa": (oo.SWA(oo.Momentum(0.01, form="torch"), start=3), lambda: None),
    "rule": (oo.RMSprop(0.02), lambda: RULE.start(0.02)),
    "muon": (oo.LAMB(0.02), lambda: [None, S.exponential(0.9)]),
}
STREAMS = {"clipped": np.random.PCG64, "swa": np.random.MT19937, "rule": np.random.Philox, "muon": np.random.SFC64}


@dataclasses.dataclass(frozen=True)
class Mine(S.PlateauRule):
    """A rule of one's own that a module holds."""

    every: int = 1

    def decide(self, seen, value):
        return 0.5 * seen.lr


def fresh(name):
    optimizer, schedule = OPTIMIZERS[name]
    x = {"w": np.zeros(3), "b": np.zeros(1)}
    state = optimizer.init(x, [{"arrays": "b", "lr": 0.1}])
    return optimizer, state, x, schedule(), np.random.Generator(STREAMS[name](3))


def step(optimizer, state, x, schedule, rng):
    chosen = rng.integers(0, 64, 8)
    residual = X[chosen] @ x["w"] + x["b"] - Y[chosen]
    lr = schedule.step(float(residual @ residual)) if hasattr(schedule, "lr") else schedule
    optimizer.update(x, {"w": X[chosen].T @ residual, "b": np.array([residual.sum()])}, state, lr=lr)


def run(optimizer, state, x, schedule, rng, steps):
    """A mini-batch loop whose arrays are in two groups."""
    for _ in range(steps):
        step(optimizer, state, x, schedule, rng)
    return {"w": x["w"].tobytes().hex(), "b": x["b"].tobytes().hex(), "k": state.k, "times": list(state.times),
            "slots": [s.tobytes().hex() for s in state.slots], "next": rng.integers(0, 2**62, 3).tolist()}


_ELSEWHERE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import test_checkpoint as t
import odeopt as oo
c = oo.load_checkpoint(sys.argv[2])
print(json.dumps(t.run(c.optimizer, c.state, c.x, c.schedule, c.rng, 10)))
"""


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_ten_steps_a_file_another_process_and_ten_are_twenty(name, tmp_path):
    whole = run(*fresh(name), 20)
    optimizer, state, x, schedule, rng = fresh(name)
    for _ in range(10):  # the stream is asked for nothing else
        step(optimizer, state, x, schedule, rng)
    oo.save_checkpoint(tmp_path / "epoch.1", optimizer, state, x, schedule=schedule, rng=rng)
    here = __file__.rpartition("/")[0]
    done = subprocess.run([sys.executable, "-W", "error", "-c", _ELSEWHERE, here, tmp_path / "epoch.1"], check=True,
                          capture_output=True, text=True, timeout=300)
    assert json.loads(done.stdout) == whole
    with zipfile.ZipFile(tmp_path / "epoch.1.npz") as file:
        assert all(entry.endswith(".npy") for entry in file.namelist())


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "c.npz"
    optimizer, state, x, schedule, rng = fresh("clipped")
    run(optimizer, state, x, schedule, rng, 3)
    oo.save_checkpoint(path, optimizer, state, x, schedule=schedule, rng=rng)
    return path, optimizer, x


def test_the_loops_own_arrays_are_filled_in_place(saved):
    path, optimizer, x = saved
    mine = {name: np.zeros_like(array) for name, array in x.items()}
    found = oo.load_checkpoint(path, optimizer, mine)
    assert found.x is mine and all(np.array_equal(mine[name], x[name]) for name in x) and found.optimizer == optimizer
    for single in (np.arange(6.0).reshape(2, 3), [np.ones(2), np.ones((1, 2), np.float32)], np.array(2.0)):
        state = oo.Adam(0.1).init(single)
        oo.save_checkpoint(path.with_name("other"), oo.Adam(0.1), state, single)
        again = oo.load_checkpoint(path.with_name("other"))
        assert type(again.x) is type(single) and again.rng is None is again.schedule
        for one, other in zip(*[list(v) if isinstance(v, list) else [v] for v in (single, again.x)]):
            assert np.array_equal(one, other) and one.dtype == other.dtype and one.shape == other.shape


@pytest.mark.parametrize(("optimizer", "x", "words"), [
    (oo.Adam(0.05), None, "optimizer must be that of the checkpoint, Clipped(Adam(lr=0.05"),
    (oo.Clipped(oo.Adam(0.05), norm=2.0), None, "got Clipped(Adam(lr=0.05"),
    (None, {"w": np.zeros(3), "c": np.zeros(1)}, "x must have the arrays ['b', 'w'], as the checkpoint, got ['c"),
    (None, [np.zeros(1), np.zeros(3)], "got a list"),
    (None, {"w": np.zeros(4), "b": np.zeros(1)}, "x['w'] must have shape (3,) and float64, as the state, got (4,)"),
    (None, {"w": np.zeros(3, np.float32), "b": np.zeros(1)}, "x['w'] must have shape (3,) and float64"),
])
def test_what_does_not_belong_is_refused_by_name_and_nothing_is_written(saved, optimizer, x, words):
    before = None if x is None else [a.copy() for a in (x.values() if isinstance(x, dict) else x)]
    with pytest.raises(ValueError) as caught:
        oo.load_checkpoint(saved[0], optimizer, x)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    if x is not None:
        assert all(np.array_equal(a, b) for a, b in zip(x.values() if isinstance(x, dict) else x, before))


@pytest.mark.parametrize(("change", "words"), [
    ({"optimizer": oo.Momentum(0.1)}, "state must come from this optimizer"),
    ({"optimizer": 3}, "optimizer must be an Optimizer"),
    ({"state": 3}, "state must come from init"),
    ({"x": {"w": np.zeros(3)}}, "x must have 2 arrays"),
    ({"rng": np.random.RandomState(0)}, "rng must be a numpy Generator"),
    ({"schedule": 0.5}, "schedule must be a Schedule"),
    ({"schedule": dataclasses.make_dataclass("Local", [], bases=(Mine,), frozen=True)().start(1.0)},
     "schedule must be one that a module holds by its name"),
])
def test_parts_that_cannot_be_saved_leave_the_old_file(saved, change, words):
    optimizer, state, x, schedule, rng = fresh("clipped")
    given = {"optimizer": optimizer, "state": state, "x": x, "schedule": schedule, "rng": rng} | change
    old = saved[0].read_bytes()
    with pytest.raises((TypeError, ValueError), match=words):
        oo.save_checkpoint(saved[0], **given)
    assert saved[0].read_bytes() == old


def test_a_garbled_file_is_one_line(saved, tmp_path):
    """Cut off at any place, with any byte turned over, or with other words in it: nothing else than a sentence."""
    data, path = saved[0].read_bytes(), tmp_path / "bad.npz"
    rng = np.random.default_rng(0)
    for _ in range(60):
        bad = bytearray(data)
        bad[rng.integers(len(bad))] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(bad) if rng.random() < 0.5 else data[: rng.integers(len(data))])
        try:
            oo.load_checkpoint(path)
        except ValueError as error:
            assert "is not a checkpoint file: " in str(error) and "\n" not in str(error)
    with zipfile.ZipFile(saved[0]) as file:
        words = json.loads(str(np.load(file.open("words.npy"))))
    assert words["format"] == 1
    for name, value in {"rng": {"bit_generator": "PCG64", "state": 3}, "optimizer": {"method": "adm"}, "names": ["w"],
                        "schedule": [{"kernel": "os:system", "name": "", "constants": [], "drives": "lr", "parts": []}],
                        "state": {}, "single": 1}.items():
        oo.archive.save(path, 1, {k: v for k, v in (words | {name: value}).items() if k != "format"},
                        {k: v for k, v in np.load(saved[0]).items() if k != "words"})
        with pytest.raises(ValueError, match=r"^[^\n]* is not a checkpoint file: [^\n]*$"):
            oo.load_checkpoint(path)


def test_decisions_of_ones_own_rule_come_back(tmp_path):
    seen = Mine().start(1.0)
    seen.step(2.0)
    x = np.ones(2)
    oo.save_checkpoint(tmp_path / "c", oo.Adam(0.1), oo.Adam(0.1).init(x), x, schedule=seen)
    again = oo.load_checkpoint(tmp_path / "c").schedule
    assert again == seen and again.history == [0.5] and again.step(1.0) == 0.25
