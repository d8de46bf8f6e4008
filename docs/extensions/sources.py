"""Sources: [A000] and arXiv numbers anywhere on the site lead to the bibliography, ``references.md``."""

import re
from pathlib import Path

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole
from sphinx.util.nodes import make_refnode

PAGE = "references"
KEY = re.compile(r"\[A\d{3}\]|arXiv:\d{4}\.\d{4,5}")
logger = logging.getLogger(__name__)


def anchor(key):
    """Of a key on the page."""
    return "source-" + re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")


def linked(app, docname, source):
    """Keys as links in the Markdown pages; on the bibliography, their targets."""
    if Path(app.env.doc2path(docname)).suffix != ".md":
        return
    if docname == PAGE:
        source[0] = _targets(source[0])
        return
    parts = re.split(r"(```.*?\n```|`[^`\n]*`)", source[0], flags=re.S)  # not in code
    source[0] = "".join(part if i % 2 else KEY.sub(lambda m: "{source}`" + m[0].strip("[]") + "`", part)
                        for i, part in enumerate(parts))


def _targets(text):
    seen = set()

    def entry(match):
        keys = [key.strip("[]") for key in KEY.findall(match[0])]
        here = [key for key in keys if key not in seen]
        seen.update(here)
        spans = "".join(f"[]{{#{anchor(key)}}}" for key in here)
        return match[0][:2] + spans + re.sub(
            r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", match[0][2:])

    return re.sub(r"(?m)^- .*(?:\n  .*)*", entry, text)


class Source(SphinxRole):
    """A link to an entry."""

    def run(self):
        """Its key, to be resolved when the places of pages are known."""
        known = {key.strip("[]") for key in KEY.findall((Path(self.env.srcdir) / f"{PAGE}.md").read_text("utf-8"))}
        if self.text not in known:
            logger.warning("no entry %s in %s.md", self.text, PAGE, location=self.get_location())
        shown = f"[{self.text}]" if re.fullmatch(r"A\d{3}", self.text) else self.text
        node = nodes.inline(shown, shown, classes=["source"])
        node["key"] = self.text
        return [node], []


def resolved(app, doctree, docname):
    """The links."""
    for node in list(doctree.findall(lambda n: isinstance(n, nodes.inline) and "key" in n)):
        node.replace_self(make_refnode(app.builder, docname, PAGE, anchor(node["key"]), nodes.Text(node.astext())))


def setup(app):
    """The role, and what makes one of plain keys."""
    app.add_role("source", Source())
    app.connect("source-read", linked)
    app.connect("doctree-resolved", resolved)
    return {"version": "1", "parallel_read_safe": True}
