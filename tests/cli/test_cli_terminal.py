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


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(("words", "error"), [(["list", "--help"], b"odeopt: "), (["--version"], b"odeopt: ")])
def test_help_on_a_full_device_is_no_success(words, error, unbuffered):
    """argparse swallows the error of a write."""
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    done = run(words, " > /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (1, error + b"No space left on device\n")
    assert run(words, " | head -c 1", PYTHONUNBUFFERED=unbuffered).returncode == 0
    assert run(words, " >&-", PYTHONUNBUFFERED=unbuffered).returncode == 0
    assert not unbuffered or run(["compare", "beal"], " 2> /dev/full", PYTHONUNBUFFERED="1").returncode == 2


def test_two_commands_with_one_folder_do_not_disturb_each_other(tmp_path):
    words = ["plot", "objective", "beale", "--optimizers", "gd", "--steps", "5", "--dpi", "20", "--out"]
    commands = [subprocess.Popen([*COMMAND, *words, str(tmp_path / "new" / "f.png")], stderr=subprocess.PIPE,
                                 stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [command.communicate(timeout=120)[1].count(b"Error") for command in commands] == [0, 0]
    assert [command.returncode for command in commands] == [0, 0]
    assert os.listdir(tmp_path / "new") == ["f.png"]
    assert (tmp_path / "new" / "f.png").read_bytes().endswith(b"IEND\xaeB`\x82")


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
    import odeopt.studies.order.comparison as comparison

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
    kind = {"compare": [], "plot": ["errors"]}[study]
    out = {"compare": tmp_path, "plot": tmp_path / "f.png"}[study]
    assert main([study, *kind, "beale", "--optimizers", "gd,momentum,adam", "--steps", "20", "--out", str(out)]) == 130
    assert len(calls) == 2 and list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [
    ["sweep", "beale", "--optimizers", "gd", "--grid", "lr=.01,.02", "--measure", "gap"],
    ["work-precision", "beale", "--optimizers", "gd,adam"], ["converge", "beale", "--optimizers", "gd,adam,rprop"],
    ["compare", "beale", "--optimizers", "gd"], ["edge", "beale", "--optimizers", "gd"],
    ["plot", "objective", "beale", "--optimizers", "gd"],
])  # fmt: skip
def test_an_interrupt_before_anything_is_done_is_one_word(words, tmp_path, monkeypatch, capsys, sigint):
    """There were pictures of nothing, and errors instead of status 130."""
    import odeopt.studies.inner as inner

    def stopped(*args, **options):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(inner, "record", stopped)
    monkeypatch.setattr(sys.modules[oo.record.__module__], "record", stopped)
    out = str(tmp_path / "f.png") if words[0] == "plot" else str(tmp_path)
    assert main([*words, "--out", out]) == 130
    assert capsys.readouterr().err.strip() == f"odeopt {words[0]}: interrupted" and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("words", "error"), [
    (["compare", "beale", "--steps", "9" * 21], "--steps must be an integer of at most 1e15"),
    (["compare", "beale", "--steps", "1.5"], "--steps must be an integer, got '1.5'"),
    (["compare", "beale", "--steps="], "--steps must be an integer, got ''"),
    (["compare", "beale", "--time", "soon"], "--time must be a number, got 'soon'"),
    (["sde", "mixing", "--seed", "inf"], "--seed must be an integer, got 'inf'"),
    (["comprae", "beale"], "did you mean 'compare'?"),
    (["list", "optimisers"], "did you mean 'optimizers'?"),
    (["compare"], "PROBLEM"),
    (["beale", "compare"], "beale is a problem: it stands after the command"),
    (["plot", "beale", "paths"], "beale is a problem"),
    (["plot", "pathes", "beale"], "did you mean 'paths'?"),
    (["paths", "beale"], "odeopt plot paths PROBLEM"),
    (["plot", "paths", "beale", "--window", "1,2,3"], "--window must be XLOW,XHIGH,YLOW,YHIGH, got '1,2,3'"),
    (["plot", "paths", "beale", "--dpi", "5"], "--dpi must be 20 to 1200, got 5"),
    (["compare", "beale", "--start", "warm"], "--start must be cold, consistent or a point such as -3,3, got 'warm'"),
    (["compare", "beale", "--format", "bmp"], "--format must be one of"),
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
    ["animate", "beale", "--frames", "0"], ["animate", "beale", "--fps", "0"], ["animate", "beale", "--fps", "101"],
    ["plot", "objective", "beale", "--window", "0,1,0,1"], ["plot", "paths", "beale", "--window", "1,0,0,1"],
    ["compare", "adam", "--optimizers", "gd"], ["work-precision", "beale", "--schemes", "rk5"],
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


@pytest.mark.parametrize("words", [["--start", "-3,3"], ["--start=-3,3"], ["--x0", "-3,3"], ["--x0=-3,3"]])
def test_starts_and_names_as_people_type_them(words, capsys):
    assert main(["COMPARE", "Himmelblau", "--optimizers", "GD", "--steps", "1", *words, "--json"]) == 0
    assert '"x0": [\n  -3.0,\n  3.0\n ]' in capsys.readouterr().out


def test_without_a_command_there_is_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    out, error = capsys.readouterr()
    assert stop.value.code == 2 and "compare" in out and "animate" in out and error.startswith("odeopt: ")


@pytest.mark.parametrize("words", [["help"], ["help", "compare"], ["HELP"]])
def test_help_is_a_word_too(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert not stop.value.code and f"usage: odeopt {words[1] if words[1:] else '[-h]'}" in capsys.readouterr().out


def test_the_format_of_one_picture(tmp_path, monkeypatch, capsys):
    """--format where --out has no ending; one that says otherwise is refused before anything is drawn."""
    monkeypatch.chdir(tmp_path)
    run = ["beale", "--optimizers", "gd", "--steps", "3", "--dpi", "40"]
    assert main(["plot", "objective", *run, "--out", "a", "--format", "pdf"]) == 0
    assert main(["animate", *run, "--frames", "2", "--fps", "5", "--format", "HTML", "--title", "mine"]) == 0
    assert sorted(f.name for f in tmp_path.iterdir()) == ["a.pdf", "race-beale.html"]
    capsys.readouterr()
    assert main(["plot", "objective", *run, "--out", "b.png", "--format", "svg"]) == 2
    assert "--format must be that of --out, 'b.png', got 'svg'" in capsys.readouterr().err
    assert not (tmp_path / "b.png").exists()


def test_optimizers_are_listed_with_their_hyperparameters(capsys):
    assert main(["list", "Optimizers"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "[lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08" in lines["adam"] and "[lr, " in lines["gradientdescent"]


def test_pictures_without_a_flow_solve_none(tmp_path, monkeypatch, capsys):
    import odeopt.studies.order.comparison as comparison

    monkeypatch.setattr(comparison, "reference", None)  # calling it would end in a line on stderr
    for kind in ("objective", "gradient", "rate", "step", "clock", "surface"):
        assert main(["plot", kind, "beale", "--optimizers", "gd", "--steps", "5", "--title", "mine", "--dpi", "40",
                     "--out", str(tmp_path / f"{kind}.png")]) == 0


def test_formats_and_windows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = ["--optimizers", "gd", "--steps", "5", "--format", "SVG"]
    assert main(["plot", "paths", "beale", *run, "--window", "0,2,-1,1.5"]) == 0
    assert main(["compare", "beale", *run, "--out", "c", "--window=0,2,-1,1.5", "--dpi", "50"]) == 0
    assert b"<svg" in (tmp_path / "paths-beale.svg").read_bytes()
    assert sorted(f.suffix for f in (tmp_path / "c").iterdir()) == [".csv", ".json", ".svg", ".svg"]


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


@pytest.mark.parametrize("kind", ["problems", "optimizers"])
def test_without_docstrings(kind, capsys):
    """What is listed does not depend on docstrings, which -OO takes out."""
    assert main(["list", kind]) in (0, None)
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    bare = subprocess.run([sys.executable, "-OO", *COMMAND[1:], "list", kind], capture_output=True, text=True,
                          timeout=120)
    assert (bare.returncode, bare.stderr) == (0, "")
    assert [line.split()[0] for line in bare.stdout.splitlines()] == names
