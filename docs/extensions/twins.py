"""The directive ``explorer``: the static twin of `odeopt explore PROBLEM` in a frame of the page.

The twins of the site share Bokeh's code (1.6 MB) in place of holding it each, and are read when they are scrolled to.
"""

import re
import shutil
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

FOLDER = "explorers"
CODE = re.compile(r'https://cdn\.bokeh\.org/bokeh/release/(bokeh[a-z-]*?)-\d[\w.]*?\.min\.js')


def write(folder, problem):
    """One twin, and the code beside it."""
    import bokeh
    from bokeh.embed import file_html
    from bokeh.resources import CDN

    from odeopt.explore import asked, static

    folder.mkdir(parents=True, exist_ok=True)
    state, given = asked(problem)
    text = file_html(static.document(state, given), CDN, f"odeopt: {problem}")
    code = Path(bokeh.__file__).parent / "server" / "static" / "js"
    for name in set(CODE.findall(text)):
        shutil.copy(code / f"{name}.min.js", folder)
    text = CODE.sub(r"\1.min.js", text)
    assert "https://cdn." not in text
    phone = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    (folder / f"{problem}.html").write_text(text.replace("<head>", f"<head>\n    {phone}", 1), encoding="utf-8")


class Explorer(SphinxDirective):
    """``explorer`` with the name of a problem of two variables."""

    required_arguments = 1

    def run(self):
        """The frame."""
        problem = self.arguments[0]
        write(Path(self.env.app.outdir) / FOLDER, problem)
        up = "../" * self.env.docname.count("/")
        frame = (f'<iframe class="explorer" loading="lazy" title="odeopt explore {problem}" '
                 f'src="{up}{FOLDER}/{problem}.html"></iframe>'
                 f'<p><a href="{up}{FOLDER}/{problem}.html">{problem} as a page of its own</a></p>')
        return [nodes.raw("", frame, format="html")]


def setup(app):
    """The directive."""
    app.add_directive("explorer", Explorer)
    return {"version": "1", "parallel_read_safe": False}
