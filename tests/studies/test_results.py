"""Results travel: rows, data frames, and files whose ending decides."""

import csv
import dataclasses
import json
import sys

import numpy as np
import pytest

import odeopt as oo
from odeopt import results
from odeopt import stochastic as st

BEALE = oo.problems.beale()
COMPARED = oo.compare(oo.GradientDescent(1e-3), BEALE, steps=20, local=False)
GRID = {"lr": [1e-2, 1e-3], "form": ["heavy_ball", "ema"]}
RESULTS = {
    "trajectory": COMPARED.run,
    "adaptive": oo.record(oo.Discretization(oo.flows.gradient_flow(), oo.schemes.heun_euler, 1e-3, rtol=1e-3), BEALE,
                          steps=4, memory=True),
    "diverged": oo.record(oo.GradientDescent(1e308), BEALE, steps=4),
    "paths": st.sample(oo.Adam(1e-2), BEALE, st.gaussian(0.1), steps=4, paths=2, every=2),
    "simulated": st.simulate(st.sde(oo.GradientDescent(1e-2)), BEALE, st.gaussian(0.1), steps=3, paths=2),
    "ensemble": oo.ensemble(oo.Adam(1e-2), BEALE, [[1.0, 1.0], [2.0, 2.0]], 6, every=3),
    "sweep": oo.sweep(oo.Momentum(1e-2), BEALE, [[1.0, 1.0]], 6, grid=GRID, every=3, keep="statistics"),
    "study": oo.convergence(oo.GradientDescent(1e-2), BEALE, levels=3),
    "comparison": COMPARED,
}
LOADED = [name for name in RESULTS if name != "comparison"]


def same(one, other):
    """Whether two values are the same to the last bit; empty arrays may lack their shape."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and np.array_equal(
            one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other or one != one and other != other


@pytest.mark.parametrize("ending", ["npz", "json"])
@pytest.mark.parametrize("name", LOADED)
def test_npz_and_json_load_back_to_the_last_bit(name, ending, tmp_path):
    result = RESULTS[name]
    result.save(tmp_path / f"r.{ending}")
    again = type(result).load(tmp_path / f"r.{ending}")
    for f in dataclasses.fields(result):
        assert same(getattr(result, f.name), getattr(again, f.name)), f.name
    if ending == "json":
        json.loads((tmp_path / "r.json").read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize("name", RESULTS)
def test_csv_holds_the_rows_to_the_last_bit(name, tmp_path):
    RESULTS[name].save(tmp_path / "r.csv")
    with open(tmp_path / "r.csv", newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    rows = RESULTS[name].rows()
    assert rows and len(read) == len(rows)
    for row, line in zip(rows, read):
        for key, value in row.items():
            assert np.array_equal(float(line[key]), value, equal_nan=True) if isinstance(value, float) else (
                line[key] == ("" if value is None else str(value)))


@pytest.mark.parametrize("name", RESULTS)
def test_tex_is_a_tabular_of_booktabs(name, tmp_path):
    RESULTS[name].save(tmp_path / "r.tex")
    first, *lines = (tmp_path / "r.tex").read_text(encoding="utf-8").splitlines()
    columns = lines[0].removeprefix(r"\begin{tabular}{").removesuffix("}")
    assert first.startswith("% ") and lines[1] == r"\toprule" and lines[3] == r"\midrule"
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"] and set(columns) <= set("lr")
    body = [lines[2], *lines[4:-2]]
    assert len(body) == len(RESULTS[name].rows()) + 1
    assert all(line.endswith(r" \\") and line.count(" & ") == len(columns) - 1 for line in body)


def test_cells_of_tex_are_escaped():
    text = results.tex_text([{"x_1": 1.5e-7, "a & b": "50% of {x}^2 ~ \\n", "n": 3, "v": float("-inf"), "u": None}])
    assert r"$1.5 \times 10^{-7}$ & 50\% of \{x\}\textasciicircum{}2 \textasciitilde{} \textbackslash{}n & $3$" in text
    assert r"x\_1 & a \& b" in text and r"$-\infty$ & -" in text


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_is_a_data_frame(name):
    pandas = pytest.importorskip("pandas", reason="pandas (the extra data) is not installed")
    frame, rows = RESULTS[name].to_dataframe(), RESULTS[name].rows()
    assert isinstance(frame, pandas.DataFrame) and list(frame.columns) == list(rows[0]) and len(frame) == len(rows)


def test_without_pandas_one_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"^to_dataframe needs pandas: pip install 'odeopt-schemes\[data\]'$"):
        COMPARED.to_dataframe()


@pytest.mark.parametrize("file", ["r.xlsx", "r.foo", "r.npy", "r.parquet", "r.png"])
@pytest.mark.parametrize("name", RESULTS)
def test_an_unknown_ending_is_refused(name, file, tmp_path):
    with pytest.raises(ValueError, match=f"path must end in .npz, .json, .csv or .tex, got '.*{file}'"):
        RESULTS[name].save(tmp_path / file)
    assert not list(tmp_path.iterdir())


def test_rows_of_a_sweep_begin_with_its_hyperparameters():
    rows = RESULTS["sweep"].rows()
    assert [(row["lr"], row["form"]) for row in rows] == [(lr, form) for lr in GRID["lr"] for form in GRID["form"]]
    assert rows[0]["status"] == "completed" and rows[0]["k"] == 6 and "x[1]" in rows[0]


def test_rows_of_a_comparison_have_the_distance_to_the_flow():
    rows = COMPARED.rows()
    assert max(row["error"] for row in rows) == COMPARED.max_error and len(rows) == 21
    without = oo.compare(oo.BarzilaiBorwein(), BEALE, steps=5)
    assert without.reference is not None or all(np.isnan(row["error"]) for row in without.rows())


def test_a_comparison_keeps_run_and_reference_at_its_times(tmp_path):
    COMPARED.save(tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz") as stored:
        assert np.array_equal(stored["run.x"], COMPARED.run.x) and np.array_equal(stored["t"], COMPARED.t)
        assert np.array_equal(np.linalg.norm(stored["run.x"] - stored["reference"], axis=1), COMPARED.error)


@pytest.mark.parametrize("change", [
    {"optimizers": [{"method": "adamm"}]}, {"optimizers": []}, {"grid": [1]}, {"status": [9, 1]}, {"x": [[1.0], [2.0]]},
    {"k": [1.5, 2]}, {"t": "now"}, {"more": 1}, {"format": 2}, {"problem": None},
])
def test_ensembles_whose_parts_do_not_fit_are_refused(change, tmp_path):
    (tmp_path / "e.json").write_text(json.dumps(RESULTS["ensemble"].to_dict() | change))
    with pytest.raises(ValueError, match="^[^\n]*is not an ensemble file: [^\n]*$"):
        oo.Ensemble.load(tmp_path / "e.json")
