"""README: its code runs, its links lead somewhere, and the page of the distribution has no relative ones."""

import re
import runpy

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
