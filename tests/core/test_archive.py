"""Files: what is saved loads, a save happens whole or not at all, and nothing but whole files is read."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

import odeopt as oo
from odeopt import archive
from odeopt import stochastic as st
from odeopt.studies.networks.training import Training

BEALE = oo.problems.beale()
RULE = oo.schedules.ReduceLROnPlateau(every=2)
SAVED = {
    "trajectory": oo.record(oo.Adam(1e-2), BEALE, steps=5, memory=True, schedule=RULE),
    "adaptive": oo.record(oo.Discretization(oo.flows.gradient_flow(), oo.schemes.heun_euler, 1e-3, rtol=1e-3), BEALE,
                          steps=4),
    "paths": st.sample(oo.Adam(1e-2), BEALE, st.gaussian(0.1), steps=4, paths=2, every=2, average_from=1),
    "simulated": st.simulate(st.sde(oo.GradientDescent(1e-2)), BEALE, st.gaussian(0.1), steps=3, paths=2),
    "batches": st.sample(oo.Adam(1e-2), oo.problems.digits_logistic(), st.Minibatch(64), steps=2, paths=2),
    "state": oo.Adam(1e-2).init([np.ones(3), np.ones((2, 2), np.float32)], groups=[{"arrays": [1], "lr": 0.5}]),
    "study": Training("Adam", "none", 0.1, 0, *np.arange(12.0).reshape(4, 3), 0.5, np.ones(5, np.float32)),
}
KIND = {"adaptive": "trajectory", "simulated": "paths", "batches": "paths", "study": "Training"}
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The bytes of each file."""
    folder, found = tmp_path_factory.mktemp("files"), {}
    for name, thing in SAVED.items():
        thing.save(folder / name)
        found[name] = (folder / f"{name}.npz").read_bytes()
    SAVED["study"].save(folder / "study.json")
    return found | {"study.json": (folder / "study.json").read_bytes()}


def load(name, path):
    return type(SAVED[name.removesuffix(".json")]).load(path)


def refused(name, path):
    kind = KIND.get(name.removesuffix(".json"), name)
    with pytest.raises(ValueError, match=f"^[^\n]* is not an? {kind} file: [^\n]*$") as caught:
        load(name, path)
    return str(caught.value)


def same(one, other):
    """Whether what two objects hold is the same to the last bit."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return same(vars(one), vars(other)) if hasattr(one, "__dict__") else one == other


@pytest.mark.parametrize("name", SAVED)
@pytest.mark.parametrize("file", ["epoch.1", "a.npz", "b.NPZ", "lr0.001", "plain"])
def test_what_is_saved_under_a_name_loads_under_it(name, file, tmp_path):
    SAVED[name].save(tmp_path / file)
    assert same(load(name, str(tmp_path / file)), SAVED[name])
    assert [path.suffix.lower() for path in tmp_path.iterdir()] == [".npz"]


def test_an_ending_that_promises_another_format_is_refused(tmp_path):
    for thing in SAVED.values():
        for file in ("c.foo", "c.xlsx", "c.npy", "c.pkl"):
            with pytest.raises(ValueError, match="path must end in .npz"):
                thing.save(tmp_path / file)
    with pytest.raises(ValueError, match="path must end in .npz, got '[^']*c.csv'"):
        SAVED["state"].save(tmp_path / "c.csv")
    with pytest.raises(TypeError, match="path must be a string or a path, got 3"):
        SAVED["state"].save(3)
    assert not list(tmp_path.iterdir())


def test_open_files_are_files_too():
    stream = io.BytesIO()
    SAVED["state"].save(stream)
    stream.seek(0)
    assert same(oo.State.load(stream), SAVED["state"])


@quick
@given(name=some.sampled_from([*SAVED, "study.json"]), data=some.data())
def test_a_cut_or_a_flipped_file_is_refused_or_the_same(name, data, files, tmp_path):
    raw = files[name]
    i = data.draw(some.integers(0, len(raw) - 1))
    flipped = data.draw(some.integers(0, 255))
    changed = raw[:i] + (bytes([raw[i] ^ flipped]) + raw[i + 1 :] if flipped else b"")
    path = tmp_path / ("x.json" if name.endswith(".json") else "x.npz")
    path.write_bytes(changed)
    try:
        found = load(name, path)
    except ValueError:
        refused(name, path)
    else:
        assert name.endswith(".json") or same(found, SAVED[name])  # a date, say; JSON has no check sum


@pytest.mark.parametrize("name", SAVED)
def test_files_of_another_kind_are_refused(name, files, tmp_path):
    np.save(tmp_path / "array.npy", np.ones(2))
    (tmp_path / "words.npz").write_text("no archive")
    (tmp_path / "empty.npz").touch()
    (tmp_path / "deep.npz").write_text("[" * 100_000)
    for other in files:
        if KIND.get(other, other) != KIND.get(name, name) and not other.endswith(".json"):
            (tmp_path / f"{other}.npz").write_bytes(files[other])
    for path in tmp_path.iterdir():
        refused(name, path)
    with pytest.raises(FileNotFoundError):
        load(name, tmp_path / "nothing")


CHANGES = {
    "left out": lambda a: None,
    "complex": lambda a: a.astype(complex) if a.dtype.kind != "U" else np.array(1j),
    "text": lambda a: a.astype("U8") if a.dtype.kind != "U" else np.array(1.0),
    "other order of bytes": lambda a: a.astype(a.dtype.newbyteorder(">")) if a.dtype.itemsize > 1 else None,
    "objects": lambda a: a.astype(object),
    "half precision": lambda a: np.zeros(a.shape, np.float16),
    "an axis more": lambda a: a[None],
    "an axis less": lambda a: a.reshape(-1) if a.ndim > 1 else a[None, None],
    "one row more": lambda a: np.concatenate([a, np.zeros((1, *a.shape[1:]), a.dtype)]) if a.ndim else a[None],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", SAVED)
def test_an_entry_of_another_kind_or_shape_is_refused(name, change, files, tmp_path):
    with np.load(io.BytesIO(files[name])) as stored:
        entries = dict(stored)
    for entry, array in entries.items():
        changed = CHANGES[change](array)
        lone = change == "one row more" and (  # a length of its own
            entry in ("final.noise_constants", "w") or (name, entry) == ("adaptive", "final.s"))
        free = name == "study" and change == "half precision" or change == "left out" and entry in (
            "memory", "mean", "final.decisions", "final.origin", "final.spec")
        if not lone and not free:
            np.savez(tmp_path / "x.npz", **{k: v for k, v in (entries | {entry: changed}).items() if v is not None})
            assert "Python objects" in refused(name, tmp_path / "x.npz") or change != "objects"


@pytest.mark.parametrize("name, entry, value", [
    ("trajectory", "final.k", -1), ("trajectory", "final.k", 2**63 - 1), ("trajectory", "final.every", 0),
    ("trajectory", "final.k", 2), ("trajectory", "k", np.arange(6)[::-1]), ("trajectory", "f", np.full(6, np.nan)),
    ("trajectory", "final.decisions", np.full(6, np.nan)), ("trajectory", "n_grad", np.full(6, -1)),
    ("paths", "final.k", 2**62), ("paths", "stopped", np.full(2, -2)), ("paths", "final.k", 0),
    ("paths", "final.average_from", -2), ("batches", "final.order", np.full((2, 1438), 10**6)),
    ("batches", "final.order", np.full((2, 1438), -1)), ("adaptive", "step_log.more", 1),
    *((name, entry, np.nan) for name, entry in (("paths", "x"), ("paths", "t"), ("paths", "final.x"),
                                                ("paths", "final.t"), ("simulated", "final.z"), ("batches", "x"))),
    ("paths", "stopped", np.array([1, -1])), ("paths", "final.stopped", np.array([1, -1])),
    ("trajectory", "final.spec", "[1]"), ("trajectory", "final.spec", "{"),
    *((name, entry, value) for name in ("trajectory", "adaptive") for value in (np.nan, np.inf)
      for entry in ("t", "x", "lr", "memory", "final.t", "final.sum", "final.carry", "final.x", "final.s")
      if (name, entry) != ("adaptive", "final.s")),  # it has no memory
])
def test_numbers_out_of_range_are_refused(name, entry, value, files, tmp_path):
    with np.load(io.BytesIO(files[name])) as stored:
        entries = dict(stored)
    if np.ndim(value) == 0 and np.ndim(entries.get(entry, 0.0)):  # one number of it
        entries[entry].flat[-1], value = value, entries[entry]
    np.savez(tmp_path / "x.npz", **entries | {entry: np.asarray(value)})
    refused(name, tmp_path / "x.npz")


def test_a_run_that_diverged_loads_with_what_overflowed(tmp_path):
    run = oo.record(oo.GradientDescent(1e308), oo.problems.rosenbrock(), steps=9)
    assert run.status == "diverged" and not np.isfinite(run.final["x"]).all() and np.isfinite(run.x).all()
    run.save(tmp_path / "x.npz")
    again = oo.Trajectory.load(tmp_path / "x.npz")
    assert np.array_equal(again.final["x"], run.final["x"], equal_nan=True) and again.status == "diverged"


def test_paths_that_diverged_load_with_what_overflowed(tmp_path):
    found = oo.sample(oo.GradientDescent(1e307), BEALE, st.gaussian(0.1), steps=3, paths=2, every=1)
    assert found.status == "diverged" and np.isnan(found.x[:, -1]).all()
    found.save(tmp_path / "x.npz")
    assert np.array_equal(st.Paths.load(tmp_path / "x.npz").x, found.x, equal_nan=True)


@pytest.mark.parametrize("entry, value", [
    ("k", -1), ("k", 2**63), ("k", 1.5), ("k", True), ("times", []), ("times", ["1"]), ("groups", [[[0], {}]]),
    ("groups", [[[0, 1], {}], [[1], {}]]), ("blocks", []), ("blocks", [[0, [0], None], [1, [7], None]]),
    ("blocks", [[0, [0], [0, 9]], [1, [1], None]]), ("blocks", [[5, [0], None], [1, [1], None]]),
    ("blocks", [[0, [0], None], [0, [0], None], [1, [1], None]]), ("blocks", "none"), ("reduces", [True]),
    ("shapes", [[4], [2, 2]]), ("shapes", [[3], [-2, -2]]), ("shapes", [[10**30], [4]]), ("names", ["m"]),
    ("names", [1, 2]), ("method", 3), ("single", True), ("single", None), ("more", 1), ("format", 2),
])
def test_states_whose_parts_do_not_fit_are_refused(entry, value, files, tmp_path):
    with np.load(io.BytesIO(files["state"])) as stored:
        entries = dict(stored)
    words = json.loads(str(entries.pop("words"))) | {entry: value}
    np.savez(tmp_path / "x.npz", words=np.array(json.dumps(words)), **entries)
    refused("state", tmp_path / "x.npz")


@pytest.mark.parametrize("entry, value", [
    ("lr", [1.0, 2.0]), ("lr", "text"), ("lr", [1.0, "a", 2.0]), ("lr", [[1.0], [2.0], [3.0]]), ("seed", 1.5),
    ("seed", True), ("optimizer", 3), ("base_lr", "x"), ("base_lr", [1]), ("test_accuracy", 10**400), ("w", None),
    ("study", "Tuned"), ("study", ["Training"]), ("format", 7),
])
def test_studies_whose_parts_do_not_fit_are_refused(entry, value, files, tmp_path):
    words = json.loads(files["study.json"]) | {entry: value}
    (tmp_path / "x.json").write_text(json.dumps(words))
    refused("study.json", tmp_path / "x.json")


@pytest.mark.parametrize("study", oo.studies.base.Study.__subclasses__(), ids=lambda cls: cls.__name__)
def test_every_study_says_which_arrays_belong_together(study):
    named = {name.rstrip("?") for part in study.axes.split(";") for name in part.partition(":")[0].split()}
    assert {f.name for f in study.__dataclass_fields__.values() if f.type is np.ndarray} <= named


def test_a_size_that_no_memory_holds_is_not_believed(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**50,)})
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as stored:
        stored.writestr("k.npy", header.getvalue() + bytes(80))
    refused("trajectory", tmp_path / "x.npz")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), MemoryError()], ids=type)
@pytest.mark.parametrize("name, file", [*((name, "a.npz") for name in SAVED), ("study", "a.json")])
def test_a_save_that_fails_keeps_the_old_file(name, file, error, tmp_path, monkeypatch):
    path = tmp_path / file
    path.write_text("old")

    def fail(*_):
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)) as caught:
        SAVED[name].save(path)
    assert path.read_text() == "old" and os.listdir(tmp_path) == [file]
    assert not isinstance(error, OSError) or caught.value.filename == str(path)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_a_killed_save_keeps_the_old_file(tmp_path):
    code = ("import os, sys, numpy as np, odeopt as oo\n"
            "path, number = sys.argv[1], int(sys.argv[2])\n"
            "oo.GradientDescent(1.0).init(np.ones(3)).save(path)\n"
            "os.replace = lambda *_: os.kill(os.getpid(), number)\n"
            "oo.GradientDescent(1.0).init(np.ones(4)).save(path)\n")
    for number in (signal.SIGKILL, signal.SIGTERM):
        ended = subprocess.run([sys.executable, "-c", code, str(tmp_path / "s.npz"), str(int(number))], check=False)
        assert ended.returncode == -number
        assert oo.State.load(tmp_path / "s.npz").shapes == ((3,),)
    left = [name for name in os.listdir(tmp_path) if name != "s.npz"]  # harmless: under a name that nobody reads
    assert len(left) == 2 and all(name.startswith(".s.npz-") for name in left)
    SAVED["state"].save(tmp_path / "s.npz")
    assert same(oo.State.load(tmp_path / "s.npz"), SAVED["state"])


def test_links_are_followed_and_permissions_kept(tmp_path):
    real, link = tmp_path / "real.npz", tmp_path / "link.npz"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    SAVED["state"].save(link)
    assert link.is_symlink() and real.stat().st_mode & 0o777 == 0o640
    assert same(oo.State.load(real), SAVED["state"])


def test_objects_are_never_written(tmp_path):
    with pytest.raises(TypeError, match="a must be an array of numbers"):
        archive.save(tmp_path / "x", 1, {}, {"a": np.array([{}])})
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpy_in_groups_are_saved(tmp_path):
    state = oo.Amos(0.1).init([np.ones((2, 3))] * 2, groups=[{"arrays": [1], "axis": (np.int64(0),)}])
    state.save(tmp_path / "s")
    assert dict(oo.State.load(tmp_path / "s").groups[1][1]) == {"axis": (0,)}


# Ensembles -----------------------------------------------------------------------------------------

STARTS = np.random.default_rng(0).uniform(-1, 1, (50, 2))


def on_disk(path, **options):
    return oo.ensemble(oo.Adam(1e-2), BEALE, STARTS, 10, every=5, out=path, chunk=8, threads=1, **options)


def test_two_ensembles_with_one_file_do_not_disturb_each_other(tmp_path):
    first = on_disk(tmp_path / "p.npy")
    kept = first.path_x.copy()
    second = oo.ensemble(oo.Adam(1e-1), BEALE, STARTS[:5], 10, every=5, out=tmp_path / "p.npy")
    assert np.array_equal(first.path_x, kept)  # its file has no name any more
    assert np.array_equal(np.load(tmp_path / "p.npy"), second.path_x)
    assert sorted(os.listdir(tmp_path)) == ["p.npy", "p_f.npy"]


@pytest.mark.parametrize("call", ["posix_fallocate", "disk_usage"])
def test_an_ensemble_for_which_there_is_no_room_says_so_first(call, tmp_path, monkeypatch):
    def full(*_):
        if call == "disk_usage":
            return type("usage", (), {"free": 1000})
        raise OSError(errno.ENOSPC, "full")

    if call == "posix_fallocate":
        monkeypatch.setattr(os, call, full, raising=False)
    else:
        monkeypatch.setattr("shutil.disk_usage", full)
    (tmp_path / "p.npy").write_text("old")
    with pytest.raises(OSError, match=r"no room for the [\d,]+ bytes of the paths") as caught:
        on_disk(tmp_path / "p.npy")
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(tmp_path / "p.npy")
    assert (tmp_path / "p.npy").read_text() == "old" and os.listdir(tmp_path) == ["p.npy"]


def test_an_ensemble_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    (tmp_path / "p.npy").write_text("old")

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("odeopt.studies.search.ensemble.work", fail)
    with pytest.raises(MemoryError):
        on_disk(tmp_path / "p.npy")
    assert (tmp_path / "p.npy").read_text() == "old" and os.listdir(tmp_path) == ["p.npy"]
