"""What the command line says to a first user: names as they were typed, nothing cut off, nothing drawn of nothing."""

import re

import pytest

from odeopt import bench
from odeopt.cli import main


@pytest.mark.parametrize(("arguments", "words"), [
    (["compare", "beale", "--time", "-5"], "--time must be in"),
    (["plot", "paths", "beale", "--time", "nan"], "--time must be in"),
    (["converge", "beale", "--levels", "2"], "--levels must be at least 3"),
    (["stability", "--mu", "10", "--L", "1"], "--L must be in [10, 1e+31]"),
    (["sde", "mixing", "--time", "0"], "--time must be in (0, inf)"),
    (["compare", "beale", "--x0", "nan,1"], "--x0 must be finite"),
    (["compare", "beale", "--set", "lr=1"], "--set must be NAME.KEY=VALUE"),
    (["compare", "beale", "--set", "lr=0.1"], "--set must be NAME.KEY=VALUE"),
    (["compare", "beale", "--set", "adam.=1"], "--set must be NAME.KEY=VALUE"),
    (["compare", "beale", "--set", "adm.lr=1"], "did you mean 'adam'"),
    (["compare", "beale", "--set", "adam.lr=-1"], "compare: lr must be in"),  # not an option of its own
    (["converge", "rosenbrock", "--x0=1,1", "--optimizers", "gd"], "--x0 must not be a stationary point of rosenbrock"),
    (["plot", "paths", "quartic"], "paths needs a problem of 2 variables or more, quartic has 1"),
    (["compare", "beal"], "compare: problem must be one of"),
    (["plot", "errors", "beale", "--optimizers", "amos,rprop", "--steps", "5"], "errors needs an optimizer that has a"),
])
def test_messages_name_what_was_typed(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["flows", "schedules", "problems"])
def test_summaries_are_whole_and_without_markup(kind, capsys):
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not any("``" in line or ":func:" in line for line in lines)
    assert all(line.count("(") == line.count(")") for line in lines)  # the first line of a longer sentence is cut off


def test_optimizers_come_with_their_short_names(capsys):
    main(["list", "optimizers"])
    assert re.search(r"^gradientdescent .*\(also gd\)$", capsys.readouterr().out, re.M)


def test_flows_are_equations(capsys):
    main(["list", "flows"])
    lines = capsys.readouterr().out.splitlines()
    assert all("' = " in line or "'' + " in line or "' in -Sign" in line for line in lines)


def test_the_folder_of_a_picture_is_made_or_refused_before_the_runs(capsys, tmp_path):
    arguments = ["plot", "objective", "beale", "--optimizers", "gd", "--steps", "5", "--out"]
    assert main([*arguments, str(tmp_path / "new" / "f.png")]) == 0
    assert (tmp_path / "new" / "f.png").exists()
    assert main([*arguments, str(tmp_path / "new" / "f.png" / "g.png")]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("odeopt plot: ")


def test_one_variable_has_no_paths_but_errors_and_objectives(capsys, tmp_path):
    assert main(["compare", "quartic", "--optimizers", "gd,adam", "--steps", "20", "--out", str(tmp_path)]) == 0
    assert sorted(f.name for f in tmp_path.glob("*.png")) == ["compare-quartic-errors.png",
                                                              "compare-quartic-objectives.png"]


def test_stability_of_a_method_without_limit_claims_no_deviation(capsys):
    assert main(["stability", "--optimizers", "lion"]) == 0
    text = capsys.readouterr().out
    assert "nan" not in text and "formula  value" not in text and "No limit" in text


def test_bench_rounds_what_it_says_of_the_machine(capsys, monkeypatch):
    monkeypatch.setattr(bench, "machine", lambda: {"processor": "x86_64", "load": 1.935546875})
    monkeypatch.setitem(bench.SECTIONS, "real", lambda quick: ([{"a": 0.123456, "b": None}], ["a note"]))
    assert main(["bench", "real"]) == 0
    assert capsys.readouterr().out == "processor x86_64, load 1.94\n\nreal\n  a      b\n  0.123  -\n  note: a note\n"


def test_figures_are_drawn_on_one_blas_thread(capfd, monkeypatch, tmp_path):
    """Example 36 trains networks: on two threads the rate fell at epoch 76, on one at 60."""
    (tmp_path / "01_threads.py").write_text(
        "import os\n\n\ndef main():\n    return [(float(os.environ['OPENBLAS_NUM_THREADS']), 1.0)]\n\n\n"
        "def draw(ax):\n    ax.plot([0, 1])\n")
    arguments = ["figures", "--check", "01", "--examples", str(tmp_path), "--out", str(tmp_path / "out")]
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    assert main(arguments) == 0 and (tmp_path / "out" / "01_threads.png").exists()
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")  # what the user says, holds
    assert main(arguments) == 1 and "number 1 is off by 1" in capfd.readouterr().err


def test_orbits_say_for_which_rate(capsys):
    assert main(["stability", "--optimizers", "rmsprop", "--set", "rmsprop.lr=0.01"]) == 0
    line = capsys.readouterr().out.splitlines()
    header = next(i for i, words in enumerate(line) if "growth per step" in words)
    assert line[header].split()[:2] == ["method", "lr"]
    assert line[header + 2].split()[:4] == ["RMSprop", "0.01", "1", "0.005"]
    assert line[header + 2].endswith("yes")
