"""README: its code runs, its links lead somewhere, and the page of the distribution has no relative ones; nor does
the source distribution have files of a cache."""

import re
import runpy
import shutil
import subprocess
import sys
import tarfile

import places
import pytest

README = places.ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")


def test_readme_python_runs():
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    assert len(blocks) == 1
    for code in blocks:
        exec(compile(code, "README.md", "exec"), {})
        assert len(code.splitlines()) <= 12


def test_readme_links_lead_somewhere():
    found = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert found
    for name in found:
        assert name.startswith("http") or (README.parent / name).exists(), name


@pytest.mark.parametrize("links", ["", "https://example.org/odeopt/raw/main/"])
def test_the_page_of_the_distribution(links):
    page = runpy.run_path(str(places.ROOT / "setup.py"))["page"](TEXT, links)
    found = re.findall(r"\]\(([^)]+)\)", page)
    assert all(link.startswith("https://") for link in found)
    assert ("figures/19_dots_crowd_onto_the_flow.gif" in page) == bool(links) and ("![" in page) == bool(links)
    assert re.findall(r"```.*?```", page, re.S) == re.findall(r"```.*?```", TEXT, re.S)


def test_the_source_distribution_has_no_caches(tmp_path):
    pytest.importorskip("setuptools")
    tree = tmp_path / "tree"
    shutil.copytree(places.ROOT / "odeopt", tree / "odeopt", ignore=shutil.ignore_patterns("__pycache__"))
    for file in places.ROOT.iterdir():
        if file.is_file() and not file.name.startswith("."):
            shutil.copy(file, tree)
    for folder in ("odeopt", "examples", "tests/core", "docs"):
        (tree / folder / "__pycache__").mkdir(parents=True)
        for name in ("a.nbi", "a.1.nbc", "__pycache__/a.nbi", "__pycache__/a.nbc", "__pycache__/a.pyc", ".a.npz-1.part",
                     "a.part"):
            (tree / folder / name).touch()
        (tree / folder / "kept.py").touch()
    subprocess.run([sys.executable, "setup.py", "-q", "sdist", "-d", str(tmp_path)], cwd=tree, check=True,
                   capture_output=True, timeout=120)
    (file,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        names = archive.getnames()
    assert sum(name.endswith("/kept.py") for name in names) == 4
    assert not [name for name in names if re.search(r"\.nb[ic]$|\.pyc$|\.part$|__pycache__/", name)]
