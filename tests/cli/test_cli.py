"""The command line: tables, files, exit statuses, one-line errors."""

import csv
import json
import re

import places
import pytest

import odeopt as oo
from odeopt.cli import main
from odeopt.cli.list_ import KINDS


def test_compare_prints_the_table_and_writes_the_files(tmp_path, capsys):
    out = tmp_path / "new" / "folder"
    assert main(["compare", "beale", "--optimizers", "gd,rmsprop,rprop", "--steps", "200", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert re.search(r"gradient descent +gradient flow +explicit Euler", text)
    assert "Rprop: no classical flow" in text
    rows = list(csv.DictReader((out / "compare-beale.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["optimizer"] for row in rows] == ["gradient descent", "RMSprop", "Rprop"]
    document = json.loads((out / "compare-beale.json").read_text(encoding="utf-8"))
    assert document["problem"] == "beale" and document["rows"][0]["max error"] == float(rows[0]["max error"])
    assert document["rows"][2]["max error"] is None  # never NaN in JSON
    for name in ("compare-beale-paths.png", "compare-beale-errors.png"):
        assert (out / name).read_bytes()[:4] == b"\x89PNG"


def test_compare_in_many_dimensions(tmp_path, capsys):
    arguments = ["compare", "digits-logistic", "--optimizers", "gd", "--steps", "20", "--json"]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["rows"][0]["steps"] == 20 and len(document["x0"]) == 650
    assert document["rows"][0]["order"] == pytest.approx(1, abs=0.2)
    for what in ("paths", "errors", "objectives"):
        assert (tmp_path / f"compare-digits-logistic-{what}.png").stat().st_size > 10_000


def test_edge_prints_the_scoreboard_and_draws_it(tmp_path, capsys):
    arguments = ["edge", "y*x^2/2 + 0.005*(y-25)^2", "--x0", ".1,19.9", "--set", "gd.lr=0.1", "--steps", "40",
                 "--theories", "gradient flow,central flow", "--json", "--out", str(tmp_path)]
    assert main(arguments) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(rows) == 6 and {row["theory"] for row in rows} == {"gradient flow", "central flow"}
    assert all(row["whole"] < 0.1 for row in rows) and rows[0]["before"] > 0
    assert [path.stat().st_size > 10_000 for path in tmp_path.glob("edge-*-gradientdescent.png")] == [True]
    assert main(["edge", "beale", "--theories", "central"]) == 2


def test_many_optimizers_have_a_panel_each(tmp_path, capsys, monkeypatch):
    from odeopt import plotting
    from odeopt.cli import _output

    drawn = []
    for name in ("path_panels", "error_panels"):
        draw = getattr(plotting, name)
        monkeypatch.setattr(plotting, name, lambda *args, draw=draw: drawn.append(draw(*args)))
    monkeypatch.setattr(_output, "MANY", 1)
    arguments = ["compare", "quadratic", "--optimizers", "gd,momentum,rprop", "--steps", "20", "--out", str(tmp_path)]
    assert main(arguments) == 0
    assert main(["plot", "paths", *arguments[1:-1], str(tmp_path / "paths.pdf")]) == 0
    assert [sum(ax.axison for ax in axes.flat) for axes in drawn] == [3, 2, 3]  # Rprop has no flow
    drawn.clear()
    for name in ("curve_panels", "surface_panels", "phase_panels"):
        draw = getattr(plotting, name)
        monkeypatch.setattr(plotting, name, lambda *args, draw=draw, **options: drawn.append(draw(*args, **options)))
    for kind in ("objective", "gradient", "rate", "step", "clock", "surface", "phase"):
        words = ["plot", kind, "beale", "--optimizers", "nesterov,momentum,gd", "--steps", "9", "--dpi", "30"]
        assert main([*words, "--out", str(tmp_path / f"{kind}.png")]) == 0
    assert [axes.size for axes in drawn] == [4] * 6 + [2]
    assert [sum(not ax.get_title() for ax in axes.flat) for axes in drawn] == [1] * 6 + [0]


def test_compare_for_a_flow_time_and_with_hyperparameters(capsys):
    arguments = ["compare", "sine-bowl", "--optimizers", "momentum", "--time", "1.0", "--json",
                 "--set", "momentum.lr=0.0001", "--set", "momentum.form=ema", "--x0", "1,1"]
    assert main(arguments) == 0
    row, = json.loads(capsys.readouterr().out)["rows"]
    assert row["flow time"] == pytest.approx(1.0, rel=1e-9) and row["flow"] == "averaged gradient"


def test_a_diverging_rate_is_reported_not_raised(capsys):
    assert main(["compare", "rosenbrock", "--optimizers", "gd", "--set", "gd.lr=1", "--steps", "50"]) == 0
    assert "diverged at step" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "status", "words"), [
    (["compare", "beal"], 2, "did you mean 'beale'"),
    (["compare", "beale", "--optimizers", "adm"], 2, "did you mean 'adam'"),
    (["compare", "beale", "--set", "adam.lr=-1"], 2, "lr must be in (0, inf)"),
    (["compare", "beale", "--set", "adam.rate=1"], 2, "no hyperparameter 'rate'"),
    (["compare", "beale", "--set", "lion.lr=1"], 2, "NAME among --optimizers"),
    (["compare", "beale", "--x0", "1,2,3"], 2, "2 numbers"),
    (["compare", "beale", "--x0", "nan,1"], 2, "x0 must be finite"),
    (["compare", "beale", "--steps", "-5"], 2, "steps must be at least"),
    (["compare", "beale", "--time", "-5"], 2, "--time must be in"),
    (["list", "flows", "--markdown"], 2, "--markdown goes with optimizers"),
])
def test_bad_input_is_one_line(arguments, status, words, capsys):
    assert main(arguments) == status
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_an_unwritable_folder_is_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["compare", "beale", "--out", str(tmp_path / "file" / "out")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["comprae"], ["compare"], ["list", "things"]])
def test_usage_errors(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2 and "usage: odeopt" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_list(kind, capsys):
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    special = ["armijo-euler"] if kind == "schemes" else []  # of gradient flow alone
    assert [line.split()[0] for line in lines] == [*getattr(oo, kind).ALL, *special]
    assert all(len(line.split()) > 1 for line in lines), "a summary each"


def test_the_table_of_optimizers_has_a_row_for_each(capsys):
    assert main(["list", "optimizers", "--markdown"]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [re.match(r"\| \[([^]]+)\]", row)[1] for row in rows] == [cls.title for cls in oo.optimizers.ALL.values()]
    assert all(row.count("|") - row.count(r"\|") == 6 for row in rows)
    assert all((places.ROOT / re.search(r"\]\(([^)]+)\)", row)[1]).exists() for row in rows)
