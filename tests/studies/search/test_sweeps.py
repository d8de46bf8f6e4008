"""Sweeps with a measure: each value is the one of the study that it stands for."""

import json
import math

import numpy as np
import pytest
from matplotlib.figure import Figure

import odeopt as oo
from odeopt import plotting
from odeopt.cli import main
from odeopt.studies.search.sweeps import Sweep

BEALE = oo.problems.beale()


def test_errors_gaps_and_orders_are_those_of_single_studies():
    opt, rates = oo.GradientDescent(0.01), [0.002, 0.01, 5.0]
    errors = oo.sweep(opt, BEALE, None, 30, grid={"lr": rates}, measure="error")
    gaps = oo.sweep(opt, BEALE, BEALE.x0, 30, grid={"lr": rates}, measure="gap")
    for i, lr in enumerate(rates[:2]):
        single = oo.compare(oo.GradientDescent(lr), BEALE, steps=30, local=False)
        assert (errors.value[i], gaps.value[i]) == (single.max_error, single.gap)
    assert math.isinf(errors.value[2]) and math.isinf(gaps.value[2]) and "diverged" in errors.message[2]
    orders = oo.sweep(oo.RMSprop(1e-3, 0.9), oo.problems.sine_bowl(), None, grid={"bias_correction": [False, True]},
                      measure="order", t_end=1.0)
    assert orders.value == pytest.approx([0.5, 1.0], abs=0.05)


def test_it_is_saved_and_drawn(tmp_path):
    study = oo.sweep(oo.Momentum(0.01), BEALE, None, 20, measure="gap",
                     grid={"lr": np.array([0.001, 0.01, 0.1]), "momentum": [0.5, 0.8, 0.9]})
    for name in ("a.npz", "a.json"):
        study.save(tmp_path / name)
        again = Sweep.load(tmp_path / name)
        assert again.rows() == study.rows() and again.combinations == study.combinations
    ax = plotting.sweep(study, Figure().subplots())
    mesh, = ax.collections
    assert mesh.get_array().shape == (3, 3) and ax.get_xscale() == "log" and ax.get_yscale() == "linear"
    lines = plotting.sweep(study, Figure().subplots(), kind="curves").get_lines()
    assert [line.get_label() for line in lines] == ["momentum 0.5", "momentum 0.8", "momentum 0.9"]
    finite = [v if v < math.inf else math.nan for c, v in zip(study.combinations, study.value) if c[1] == 0.5]
    np.testing.assert_array_equal(lines[0].get_ydata(), finite)
    with pytest.raises(ValueError, match="kind must be one of 'curves', 'map', got 'bars'"):
        plotting.sweep(study, Figure().subplots(), kind="bars")


@pytest.mark.parametrize(("options", "words"), [
    ({"measure": "eror"}, "did you mean 'error'"),
    ({"measure": "gap", "problem": oo.Problem.from_expression("x^2 + y^2")}, "measure must be 'error' or 'order'"),
    ({"measure": "error", "optimizer": oo.Rprop()}, "measure must be 'gap' for Rprop"),
    ({"measure": "gap", "grid": {"rate": [1.0]}}, "hyperparameter must be one of"),
    ({"measure": "gap", "chunk": 3}, "option must be one of"),
    ({"measure": "gap", "starts": [1.0]}, "starts must have shape"),
])
def test_bad_input(options, words):
    given = {"optimizer": oo.GradientDescent(0.01), "problem": BEALE, "starts": None, "grid": {"lr": [0.1]}} | options
    with pytest.raises(ValueError, match=words):
        oo.sweep(**given)


def test_on_the_command_line(tmp_path, capsys):
    words = ["sweep", "beale", "--steps", "20", "--dpi", "30", "--out", str(tmp_path), "--json"]
    assert main([*words, "--optimizers", "momentum", "--measure", "gap", "--grid", "lr=1e-3:.1:3", "--grid",
                 "momentum=.5,.8,.9"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(rows) == 9 and [rows[i]["lr"] for i in (0, 3, 8)] == [0.001, 0.01, 0.1]
    assert sorted(f.suffix for f in tmp_path.iterdir()) == [".csv", ".json", ".png"]


@pytest.mark.parametrize(("words", "said"), [
    ([], "--grid must be given once or twice, got 0"),
    (["--grid", "lr"], "--grid must be KEY=A,B,..."),
    (["--grid", "lr=1:0:3"], "--grid lr must be LOW:HIGH:N with 0 < LOW < HIGH"),
    (["--grid", "rate=1,2"], "hyperparameter must be one of"),
    (["--grid", "lr=.1", "--optimizers", "gd,adam"], "--optimizers must name one optimizer for a sweep"),
])
def test_bad_words(words, said, capsys):
    assert main(["sweep", "beale", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
