"""The command line on terminals as they are: closed, full or poor in letters, interrupted, with odd words."""

import os
import signal
import subprocess
import sys

import pytest

import odeopt as oo
from odeopt.cli import main

COMMAND = [sys.executable, "-m", "odeopt"]


def run(words, shell=None, **environment):
    """The finished process of a command line in a shell of its own; ``shell`` stands after the words."""
    line = subprocess.list2cmdline([*COMMAND, *words]) + (shell or "")
    return subprocess.run(["bash", "-c", "set -o pipefail; " + line], capture_output=True, timeout=120,
                          env=os.environ | environment)


@pytest.mark.parametrize(("shell", "status", "error"), [
    (" | head -c 1", 0, b""),
    (" > /dev/full", 1, b"odeopt list: No space left on device\n"),
    (" >&-", 0, b""),
    (" 2>&-", 0, b""),
])  # fmt: skip
def test_streams_that_are_closed_or_full(shell, status, error):
    if "full" in shell and not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    done = run(["list", "flows"], shell)
    assert (done.returncode, done.stderr) == (status, error)


def test_letters_that_the_output_lacks_are_replaced_and_backends_do_not_matter(tmp_path):
    done = run(["plot", "objective", "beale", "--optimizers", "gd", "--steps", "5", "--tune", "--out",
                str(tmp_path / "f.png")], PYTHONIOENCODING="ascii", MPLBACKEND="not-there")
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    done = run(["list", "optimizers", "--markdown"], PYTHONIOENCODING="cp1252")
    assert done.returncode == 0 and b"?" in done.stdout  # the sign of proportion, for one


def test_json_loses_no_letter(capsys):
    """What an encoding lacks is escaped, as JSON allows."""
    done = run(["sde", "weak-order", "--levels", "3", "--json"], PYTHONIOENCODING="ascii")
    assert done.returncode in (0, 1) and b"?" not in done.stdout


@pytest.fixture
def sigint():
    """Ctrl-C as Python has it, whatever the shell that started the tests made of it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("caught", [False, True])
@pytest.mark.parametrize("study", ["compare", "plot"])
def test_one_interrupt_ends_the_command_with_what_is_done(study, caught, tmp_path, monkeypatch, capsys, sigint):
    """Also where what runs catches it to keep its results, and says nothing."""
    import odeopt.studies.comparison as comparison

    whole, calls = comparison.compare, []

    def compare(optimizer, *args, **options):
        calls.append(optimizer)
        try:
            if len(calls) == 2:
                signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            if not caught:
                raise
        return whole(optimizer, *args, **options)

    monkeypatch.setattr(comparison, "compare", compare)
    kind = {"compare": [], "plot": ["objective"]}[study]
    out = {"compare": tmp_path, "plot": tmp_path / "f.png"}[study]
    assert main([study, *kind, "beale", "--optimizers", "gd,momentum,adam", "--steps", "20", "--out", str(out)]) == 130
    assert len(calls) == 2 and list(tmp_path.iterdir())


@pytest.mark.parametrize(("words", "error"), [
    (["compare", "beale", "--steps", "9" * 21], "--steps must be an integer of at most 1e15"),
    (["compare", "beale", "--steps", "1.5"], "--steps must be an integer, got '1.5'"),
    (["compare", "beale", "--steps="], "--steps must be an integer, got ''"),
    (["compare", "beale", "--time", "soon"], "--time must be a number, got 'soon'"),
    (["sde", "mixing", "--seed", "inf"], "--seed must be an integer, got 'inf'"),
    (["comprae", "beale"], "did you mean 'compare'?"),
    (["list", "optimisers"], "did you mean 'optimizers'?"),
    (["compare"], "PROBLEM"),
    (["compare", "beale", "--frobnicate"], "--frobnicate"),
])
def test_words_that_cannot_be_understood_get_one_line(words, error, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    said = capsys.readouterr().err
    assert stop.value.code == 2 and error in said and said.count("\n") == 1


@pytest.mark.parametrize("words", [
    ["compare", "beale", "--x0="], ["compare", "beale", "--x0=nan,nan"], ["compare", "beale", "--x0=1e400,0"],
    ["compare", "beale", "--set="], ["compare", "beale", "--set", "gd.lr="], ["compare", "beale", "--optimizers="],
    ["compare", "beale", "--out="], ["compare", "\u4e2d\n\u6587"], ["compare", "beale", "--set", "gd.lr=1\n2"],
    ["sde", "stationary", "--lr", "nan"], ["sde", "stationary", "--paths", "0"],
    ["sde", "stationary", "--curvatures", "1,nan"], ["stability", "--mu", "nan"], ["stability", "--L", "inf"],
    ["animate", "beale", "--frames", "0"], ["work-precision", "beale", "--schemes", "rk5"],
])
def test_bad_values_are_one_line(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"odeopt {words[0]}: ") and error.count("\n") == 1 and len(error) < 500
    assert not list(tmp_path.iterdir())


def test_numbers_as_people_type_them(capsys):
    assert main(["compare", "himmelblau", "--optimizers", "gd", "--steps", "1e1", "--x0", "-3,3", "--json"]) == 0
    assert '"steps": 10,' in capsys.readouterr().out


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    from odeopt.cli import _output

    path = tmp_path / "f.csv"
    _output.write(path, "old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        _output.write(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    (tmp_path / "d.png").mkdir()
    words = ["plot", "objective", "beale", "--optimizers", "gd", "--steps", "5", "--out", str(tmp_path / "d.png")]
    assert main(words) == 1


def test_an_error_of_ours_is_a_line(monkeypatch, capsys):
    monkeypatch.setattr(oo.problems, "by_name", lambda name: {}["no such key"])
    assert main(["compare", "beale"]) == 1
    assert capsys.readouterr().err.startswith("odeopt compare: KeyError: 'no such key' (python -X dev")
