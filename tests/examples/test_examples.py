"""Every example's claim holds, its numbers against theory, and the notebook's cells run."""

import json
import warnings

import matplotlib
import numpy as np
import places
import pytest

matplotlib.use("Agg")

from odeopt.cli import main
from odeopt.plotting import gallery

FOLDER = places.EXAMPLES
FILES = gallery.find(FOLDER)


@pytest.mark.parametrize("path", FILES, ids=[f.stem for f in FILES])
def test_claim(path):
    module = gallery.load(path)
    if gallery.missing(module):
        pytest.skip(gallery.missing(module))
    pairs = module.main()
    assert pairs, "an example without a number proves nothing"
    for i, pair in enumerate(pairs):
        deviation, tolerance = gallery.check(pair)
        assert deviation <= tolerance, f"pair {i}: computed {pair[0]}, theory {pair[1]}, off by {deviation:.3g}"
    assert gallery.pictures(module), "an example without a picture"
    assert module.__doc__.strip()


def test_an_example_says_what_it_lacks(tmp_path, capsys):
    text = '"""A claim."""\nNEEDS = "no_such_package"\n\n\ndef main():\n    return [(1, 1)]\n'
    (tmp_path / "01_claim.py").write_text(text)
    words = "no_such_package is not installed: pip install 'odeopt-schemes[no_such_package]'"
    with pytest.raises(ImportError, match="no_such_package is not installed"):
        gallery.show(tmp_path / "01_claim.py")
    assert main(["figures", "--check", "--examples", str(tmp_path), "--out", str(tmp_path)]) == 0
    assert f"01_claim: skipped, {words}" in capsys.readouterr().err


def test_numbers_are_unique():
    numbers = [f.stem[:2] for f in FILES]
    assert len(set(numbers)) == len(numbers)


def test_check_sees_wrong_numbers():
    assert gallery.check((1.0, 1.005))[0] <= gallery.check((1.0, 1.005))[1]
    for wrong in ((1.0, 1.2), (np.nan, 1.0), ([1.0, 2.0], [1.0, 2.0, 3.0]), (1.0, 1.01, 1e-3)):
        deviation, tolerance = gallery.check(wrong)
        assert deviation > tolerance


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda p: p.stem)
def test_notebook(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    names = {"__name__": "notebook"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*non-interactive.*")
        for i, cell in enumerate(notebook["cells"]):
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), f"{path.name}, cell {i}", "exec"), names)  # noqa: S102
    matplotlib.pyplot.close("all")
