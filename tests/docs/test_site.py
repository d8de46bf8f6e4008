"""The site, without building it: every public name has its entry, links lead somewhere, formulas are typeset."""

import doctest
import importlib
import inspect
import re
import runpy
import sys

import matplotlib.pyplot as plt
import places
import pytest

import odeopt as oo
from odeopt.cli import _commands

DOCS = places.ROOT / "docs"
sys.path[:0] = [str(DOCS / "extensions"), str(places.ROOT)]
import face  # noqa: E402
import gallery  # noqa: E402
import optimizers as optimizer_pages  # noqa: E402
import plain  # noqa: E402
import reference  # noqa: E402

PAGES = [*sorted(DOCS.glob("*.md")), *sorted((DOCS / "theory").glob("*.md"))]
MODULES = ("problems", "flows", "schemes", "schedules", "stochastic", "interop", "plotting", "optimizers", "kernels")


@pytest.fixture(scope="module")
def made():
    """What the build makes: the text of each page by its place."""
    pages = {f"reference/{name}": text for name, text in reference.pages().items()}
    return pages | {f"optimizers/{name}": text for name, text in optimizer_pages.pages().items()}


@pytest.fixture(scope="module")
def entries(made):
    """Every name with an entry, and how often it has one."""
    directive = r"(?m)^\.\. (?:autofunction|autoclass|py:data|py:function):: ([\w.:]+)"
    found = re.findall(directive, "\n".join(made.values()))
    return [name.replace("::", ".") for name in found]


def test_every_public_name_has_one_entry(entries):
    assert len(set(entries)) == len(entries)
    homes = {id(one.value): one.full for one in face.names()}
    modules = [getattr(oo, name) for name in oo.__all__ if inspect.ismodule(getattr(oo, name)) and name != "studies"]
    for module in (oo, *modules):
        for name in module.__all__:
            value = getattr(module, name)
            if not inspect.ismodule(value):
                shown = homes.get(id(value), f"{module.__name__}.{name}")
                assert shown in entries, f"{module.__name__}.{name} is on no page"


def test_every_command_has_its_help(made):
    text = made["reference/command-line"]
    assert all(f"\n{name}\n---" in text and f"usage: odeopt {name}" in text for name in _commands())


def test_every_public_name_says_what_it_is():
    silent = [one.full for one in face.names() if one.kind != "data" and not (one.value.__doc__ or "").strip()]
    assert not silent


def test_every_optimizer_has_its_page_with_the_flow_and_the_tables(made):
    for name, cls in oo.optimizers.ALL.items():
        text = made[f"optimizers/{name}"]
        assert f".. autoclass:: odeopt::{cls.__name__}" in text and "command line" in text
        assert ("\nFlow\n" in text) == (cls.default().flow is not None)
    assert "torch 2." in made["optimizers/adam"] and "certified" in made["optimizers/adam"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_links_of_the_prose_lead_somewhere(page, made, entries):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if target.startswith(("http", "#")):
            continue
        place = (page.parent / target).resolve()
        inside = str(place.relative_to(places.ROOT)).removeprefix("docs/").removesuffix(".rst")
        example = re.fullmatch(r"gallery/(\w+)/plot_(\w+)", inside)
        if example:
            assert (places.EXAMPLES / f"{example[2]}.py").exists() and gallery.SECTIONS[example[2][0]] == example[1]
        else:
            assert place.exists() or inside in made or inside == "gallery/index", target
    modules = {f"odeopt.{name}" for name in MODULES} | {f"odeopt.studies.{name}" for name in face.STUDIES}
    for target in re.findall(r"\{py:\w+\}`~?([\w.]+)`", text):
        owner, _, member = target.rpartition(".")
        assert target in entries or target in modules or (owner in entries and hasattr(oo.__dict__[owner[7:]], member))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_code_of_the_prose_is_python(page):
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"```\{live\}\n((?::\w.*\n)*)(.*?)```", text, re.S):
        compile(block[1], str(page), "exec")
    for expression in re.findall(r"\{value\}`([^`]+)`", text):
        compile(expression, str(page), "eval")


def test_nothing_is_fetched_from_elsewhere():
    css = (DOCS / "_static" / "katex" / "katex.min.css").read_text(encoding="utf-8")
    fonts = re.findall(r"url\(([^)]+)\)", css)
    assert fonts and all((DOCS / "_static" / "katex" / font).exists() for font in fonts)
    assert "http" not in (DOCS / "_static" / "site.css").read_text(encoding="utf-8")


@pytest.mark.parametrize("formula, expected", [
    ("x' = -g/√(v + eps)", r"x'=-g/\sqrt{v+\varepsilon}"),
    ("tau1 m' = g - m", r"\tau_{1}m'=g-m"),
    ("v <- decay v + (1 - decay) g^2", r"v\leftarrow\mathrm{decay}v+(1-\mathrm{decay})g^{2}"),
    ("2 (1 + β1)/(1 - β1)", r"2(1+\beta_{1})/(1-\beta_{1})"),
    ("sqrt((u + e)/(v + eps)) g", r"\sqrt{(u+e)/(v+\varepsilon)}g"),
    ("m is a mean", None),
])
def test_formulas_of_the_pages_in_latex(formula, expected):
    found = plain.latex(formula, ("decay",))
    assert (found if found is None else found.replace(" ", "")) == expected


@pytest.mark.parametrize("text, expected", [
    ("|g|^2 and a * b", r"\|g\|^2 and a \* b"),
    ("``|g|`` of :func:`odeopt.record`, **one half**", "``|g|`` of :func:`odeopt.record`, **one half**"),
    ("x_ and x_k", r"x\_ and x_k"),
    ("+ g", r"\+ g"),
    ("by [A000], arXiv:1412.6980", "by :source:`A000`, :source:`arXiv:1412.6980`"),
])
def test_plain_text_of_docstrings_is_shown_as_it_stands(text, expected):
    assert plain.escaped(text) == expected


@pytest.mark.parametrize("path", sorted(places.EXAMPLES.glob("[0-9]*.py")), ids=lambda path: path.stem[:2])
def test_examples_become_pages_and_notebooks(path):
    text = gallery.staged(path)
    compile(text, str(path), "exec")
    assert "show(sys.modules[__name__])" in text and "__file__" not in text
    assert gallery.picture(path.stem).exists()


def test_a_notebook_of_the_gallery_runs(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    path = tmp_path / "plot.py"
    path.write_text(gallery.staged(places.EXAMPLES / "01_gradient_descent_is_euler.py"), encoding="utf-8")
    runpy.run_path(str(path), run_name="notebook")
    assert "off the theory by" in capsys.readouterr().out
    plt.close("all")


def test_docstrings_are_numpydoc():
    pytest.importorskip("numpydoc", reason="numpydoc is not installed (the extra docs)")
    import validated

    assert validated.faults() == []


MODULES_OF_THE_TREE = sorted((places.ROOT / "odeopt").rglob("*.py"))
DOCTESTS = [path for path in MODULES_OF_THE_TREE if ">>>" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", DOCTESTS, ids=lambda path: path.stem)
def test_examples_of_docstrings(path):
    name = ".".join(path.relative_to(places.ROOT).with_suffix("").parts)
    failed, attempted = doctest.testmod(importlib.import_module(name))
    assert attempted and not failed
