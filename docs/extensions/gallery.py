"""The examples as sphinx-gallery wants them: a title, and an end that a notebook can run; pictures as committed."""

import ast
import re
from pathlib import Path

import plain

ROOT = Path(__file__).resolve().parents[2]
STAGE = ROOT / "docs" / "_examples"
SECTIONS = {"0": "flows", "1": "flows", "2": "races", "3": "memory", "4": "use", "5": "noise"}
TITLES = {"flows": "Optimizers and their flows", "races": "Races", "memory": "Learning rates and memory",
          "use": "In use", "noise": "Noise and networks"}
END = '''
# %%
# The numbers against theory, and the picture.
import sys

from odeopt.plotting.gallery import show

show(sys.modules[__name__])
'''


def picture(stem):
    """The committed picture of an example."""
    return next(path for path in (ROOT / "figures" / f"{stem}{ending}" for ending in (".png", ".gif")) if path.exists())


def staged(path):
    """An example's text for sphinx-gallery."""
    text = path.read_text(encoding="utf-8")
    doc = ast.get_docstring(ast.parse(text))
    first, _, rest = doc.partition("\n\n")
    heading = " ".join(first.split()).rstrip(".").replace("|", "∣")  # thumbnails show it as it stands
    rest = "\n".join(plain.rst(["", *rest.splitlines()])[1:])
    rest = re.sub(r":source:`([^`]+)`", lambda m: f"[{m[1]}]" if m[1].startswith("A") else m[1], rest)
    _, quotes, code = text.partition('"""')[2].partition('"""')
    code = code.partition('\nif __name__ == "__main__":')[0].rstrip()
    thumbnail = f"# sphinx_gallery_thumbnail_path = '../figures/{picture(path.stem).name}'"
    return f'r"""\n{heading}\n{"=" * len(heading)}\n\n{rest}\n{quotes}\n{code}\n\n{thumbnail}\n{END}'


def generate():
    """Write the stage; the folders of the sections."""
    for section, heading in TITLES.items():
        folder = STAGE / section
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "GALLERY_HEADER.rst", f"{heading}\n{'-' * len(heading)}\n")
    _write(STAGE / "GALLERY_HEADER.rst", "Gallery\n=======\n\nEach example makes a claim, holds it against theory in "
           "numbers that a test checks, and draws one picture. ``odeopt figures`` draws them all.\n")
    for path in sorted((ROOT / "examples").glob("[0-9][0-9]_*.py")):
        _write(STAGE / SECTIONS.get(path.name[0], "use") / f"plot_{path.name}", staged(path))


def _write(path, text):
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def shown(app, docname, source):
    """The committed picture below the title of an example's page."""
    match = re.fullmatch(r"gallery/(?:\w+/)?plot_(\d\d_\w+)", docname)
    if match:
        path = picture(match[1])
        up = "../" * (docname.count("/") + 1)
        image = f"\n.. image:: {up}figures/{path.name}\n   :alt: {match[1][3:].replace('_', ' ')}\n\n"
        source[0] = re.sub(r"(\n=+\n)", lambda m: m[1] + image, source[0], count=1)


def setup(app):
    """The pictures."""
    app.connect("source-read", shown)
    return {"version": "1", "parallel_read_safe": True}
