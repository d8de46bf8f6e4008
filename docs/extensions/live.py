"""Numbers of the prose that the package computes while the site is built.

The directive ``live`` runs Python and shows it with what it prints (``:hide:`` shows the output alone, ``:picture:
ALT`` the current figure); the role ``value`` is replaced by the value of an expression. A page has one namespace, from
top to bottom. An error in the code is a warning of the build, so an error of `make docs`.
"""

import contextlib
import hashlib
import io
import os
import traceback
import warnings
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

os.environ.setdefault("MPLBACKEND", "Agg")
logger = logging.getLogger(__name__)
FOLDER = "_live"  # of the pictures, beside the sources
_spaces = {}


def space(docname):
    """The namespace of a page."""
    if docname not in _spaces:
        import odeopt

        _spaces[docname] = {"__name__": "live", "oo": odeopt}
    return _spaces[docname]


def run(code, docname, where):
    """What the code prints; a warning where it fails."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("error")
            exec(compile(code, docname, "exec"), space(docname))
    except Exception:
        logger.warning("code of a live block failed:\n%s", traceback.format_exc(limit=-3), location=where)
    return printed.getvalue()


class Live(SphinxDirective):
    """A block that is run."""

    has_content = True
    option_spec = {"hide": directives.flag, "picture": directives.unchanged}

    def run(self):
        """The code and its output."""
        code = "\n".join(self.content)
        printed = run(code, self.env.docname, self.get_location()).rstrip()
        found = []
        if "hide" not in self.options:
            found.append(nodes.literal_block(code, code, language="python"))
        if printed:
            found.append(nodes.literal_block(printed, printed, language="text", classes=["output"]))
        if "picture" in self.options:
            found.append(self._picture(code))
        return found

    def _picture(self, code):
        import matplotlib.pyplot as plt

        from odeopt.plotting import style

        name = f"{FOLDER}/{hashlib.sha256((self.env.docname + code).encode()).hexdigest()[:12]}.png"
        path = Path(self.env.srcdir) / name
        path.parent.mkdir(exist_ok=True)
        with style():  # fonts and layout are those of drawing time
            plt.gcf().savefig(path, dpi=110)
        plt.close("all")
        self.env.note_dependency(str(path))
        return nodes.image(uri=f"/{name}", alt=self.options["picture"])


class Value(SphinxRole):
    """An expression's value in the text."""

    def run(self):
        """The text."""
        try:
            found = str(eval(compile(self.text, self.env.docname, "eval"), space(self.env.docname)))
        except Exception as error:
            logger.warning("value %r failed: %s", self.text, error, location=self.get_location())
            found = "?"
        return [nodes.inline(found, found, classes=["value"])], []


def setup(app):
    """The directive and the role; a page that is read again starts anew."""
    app.add_directive("live", Live)
    app.add_role("value", Value())
    app.connect("env-purge-doc", lambda app, env, docname: _spaces.pop(docname, None))
    return {"version": "1", "parallel_read_safe": False}
