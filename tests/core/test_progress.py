"""The progress bar: on a terminal and in a notebook, and nowhere else."""

import ast
import pathlib
import sys
import types

import numpy as np
import pytest

import odeopt as oo
from odeopt.progress import NoBar, progress_bar
from odeopt.studies.inner import gather

ROOT = pathlib.Path(oo.__file__).parent


def _notebook(monkeypatch):
    shell = types.SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))


def test_one_module_makes_the_bars():
    def imports_it(path):
        return any((getattr(node, "module", "") or "").split(".")[0] == "tqdm"
                   or any(alias.name.split(".")[0] == "tqdm" for alias in node.names)
                   for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                   if isinstance(node, (ast.Import, ast.ImportFrom)))

    assert [path.name for path in ROOT.rglob("*.py") if imports_it(path)] == ["progress.py"]


@pytest.mark.parametrize("wanted, terminal, notebook", [(True, False, False), (False, True, False),
                                                         (False, False, True)])
def test_no_bar_where_nobody_wants_or_sees_it(wanted, terminal, notebook, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    if notebook:
        _notebook(monkeypatch)
    with progress_bar(wanted, total=3) as bar:
        bar.set_description("first")
        bar.update()
        bar.update(2)
    assert isinstance(bar, NoBar) and bar.n == 0 and capsys.readouterr() == ("", "")


@pytest.mark.parametrize("where", ["terminal", "notebook"])
def test_a_bar_on_stderr(where, monkeypatch, capsys):
    import tqdm
    import tqdm.auto

    if where == "terminal":
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    else:
        _notebook(monkeypatch)
    monkeypatch.setattr(tqdm.auto, "tqdm", tqdm.tqdm)  # not the widget, which a terminal has none of
    with progress_bar(total=3, desc="some work", mininterval=0) as bar:
        bar.update(3)
        assert bar.n == 3
    out, err = capsys.readouterr()
    assert out == "" and "some work" in err and "3/3" in err


@pytest.mark.parametrize("items", [[3, 1, 2], iter([3, 1, 2])])
def test_a_gathering_names_and_counts_its_items(items, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    done, interrupted = gather(items, lambda i: i * i, progress=True, describe=lambda i: f"item {i}")
    assert done == [9, 1, 4] and not interrupted
    assert "item 2" in capsys.readouterr().err


def test_a_run_shows_its_steps(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    problem = oo.Problem(lambda x: 0.5 * float(x @ x), lambda x: x, dim=2, x0=[1.0, 2.0])
    run = oo.record(oo.GradientDescent(0.1), problem, steps=70, progress=True)
    assert run.ok and "70" in capsys.readouterr().err
    assert np.array_equal(run.x, oo.record(oo.GradientDescent(0.1), problem, steps=70).x)
