"""Sources resolve: what the tree cites stands in docs/references.md, and what stands there is cited."""

import re

import pytest
from places import ROOT

PAGE = ROOT / "docs" / "references.md"
FOLDERS, SUFFIXES = ("odeopt", "tests", "examples", "tools"), (".py", ".md")
KEY, ARXIV = re.compile(r"\[A\d{3}\]"), re.compile(r"arXiv:\d{4}\.\d{4,5}(?!\d)")
# "Raydan (1993)", "Numer. Anal. 8 (1988)", "(Raydan 1993)", "(Hall, Higham, 1988)"
YEAR = re.compile(r"(?:[\w.,] \(|[A-Z][a-z]+,? )((?:19|20)\d\d)(?=\))")
# Names and labels of notes that are not part of the repository.
PRIVATE = re.compile(r'\b[Aa]rticles? \d{3}\b|LITERATURE|\bMATHS\b|\b[Cc]ards?\b|(?:"""|# )[A-J]\d\d?[:,)]')


def plain(text):
    """One line without quotes, comment signs and authors' initials, commas for "and"."""
    return re.sub(r"\b[A-Z]\.(?:-[A-Z]\.)? (?=[A-Z])", "", re.sub(r",? and ", ", ", re.sub(r"[\s#\"]+", " ", text)))


def tree():
    prose = [f for place in ("*.md", "docs/*.md", "docs/theory/*.md") for f in sorted(ROOT.glob(place))]
    files = [f for f in prose if f != PAGE]
    files += [f for folder in FOLDERS for f in sorted((ROOT / folder).rglob("*")) if f.suffix in SUFFIXES]
    return {str(f.relative_to(ROOT)): f.read_text("utf-8") for f in files if f.name != "test_references.py"}


def entries():
    """``(authors, year, title, text)`` of each entry of the page."""
    text = re.split(r"\n## ", PAGE.read_text(encoding="utf-8"), maxsplit=1)[1]
    for bullet in re.split(r"\n- ", text)[1:]:
        entry = plain(bullet.split("\n\n")[0])
        authors, year, title = re.match(r"(.*?)(?: \((\d{4})\))?\. (.*)", entry).groups()
        yield authors.replace(" et al", ""), year, title, entry


FILES, ENTRIES = tree(), list(entries())
TEXT = plain("\n".join(FILES.values()))


@pytest.mark.parametrize("pattern", [KEY, ARXIV])
def test_every_key_and_every_arxiv_number_stands_on_the_page(pattern):
    page = PAGE.read_text(encoding="utf-8")
    missing = {(match, name) for name, text in FILES.items() for match in pattern.findall(text) if match not in page}
    assert not missing
    assert len(ARXIV.findall(TEXT)) == len(re.findall(r"arXiv:", TEXT))  # no other way to write one


def test_every_year_belongs_to_an_entry():
    """Before a year in parentheses stands the first author of an entry of that year."""
    first = {(authors.split(",")[0], year) for authors, year, _, _ in ENTRIES}
    for name, text in FILES.items():
        text = plain(text)
        for match in YEAR.finditer(text):
            year, before = match[1], text[max(0, match.start() - 150):match.end()]
            assert any(author in before for author, y in first if y == year), (name, before[-80:])


def test_every_entry_is_cited():
    """By its key or arXiv number, or by its authors with the year or the first words of the title."""
    for authors, year, title, text in ENTRIES:
        names = KEY.findall(text)[:1] or ARXIV.findall(text)[-1:]
        if names:
            assert names[0] in TEXT, text
        else:
            near = (TEXT[match.end():match.end() + 150] for match in re.finditer(re.escape(authors), TEXT))
            assert any(year in words or title[:12] in words for words in near), text


def test_the_tree_cites_nothing_that_only_its_authors_have():
    found = {(match, name) for name, text in FILES.items() for match in PRIVATE.findall(text)}
    assert not found
