"""The reference: a page for each module, an entry for each public name, and the links between them."""

import argparse
import dataclasses
import functools
import inspect
import sys

import face
import plain
import validated
from optimizers import literal, table, title
from optimizers import pages as optimizer_pages

from odeopt import Optimizer, kernels
from odeopt.cli import parser
from odeopt.studies.base import Study

TITLES = {"run": "Runs and references", "building": "Methods of one's own", "optimizers": "The optimizers' base",
          **{page: heading for page, (heading, _) in face.MODULES.items()},
          **{f"studies-{folder}": heading for folder, heading in face.STUDIES.items()}, "kernels": "Kernels"}
INTRO = {"run": "What makes runs and the flows beside them, and what comes out.",
         "building": "What a method, a study and a kernel of one's own are made of; :doc:`/extending` shows how.",
         "optimizers": "What all optimizers have; each has a page of its own under :doc:`/optimizers/index`."}


def _intro(page):
    if page in INTRO:
        return INTRO[page] + "\n\n"
    module = f"odeopt.studies.{page[8:]}" if page.startswith("studies-") else f"odeopt.{page}"
    return f".. py:module:: {module}\n\n.. py:currentmodule:: None\n\n{_doc(sys.modules[module])}\n\n"


def _doc(value):
    return "\n".join(plain.rst(inspect.cleandoc(value.__doc__ or "").splitlines()))


def _summary(one):
    """The first sentence of what it is."""
    if one.kind == "data":
        return _of_data(one)
    first = inspect.cleandoc(one.value.__doc__ or "").split("\n\n")[0]
    return plain.escaped(" ".join(first.split()))


def _of_data(one):
    """What a value is, in a sentence."""
    if isinstance(one.value, dict):
        return f"By the names of the command line: {', '.join(map(str, one.value))}."
    if hasattr(one.value, "stages"):
        return f"The scheme {one.value.name}, of order {one.value.order}."
    return f"``{one.value!r}``" if isinstance(one.value, (int, float, tuple)) else f"A {type(one.value).__name__}."


def entry(one):
    """The directive of one name."""
    if one.kind == "data":
        return f".. py:data:: {one.full}\n\n   {_of_data(one)}\n\n"
    text = f".. auto{one.kind}:: {one.module}::{one.name}\n"
    return text + ("   :members:\n\n" if one.kind == "class" else "\n")


def _kernel(name):
    doc = plain.escaped(" ".join((getattr(kernels, name).__doc__ or "").split()))
    return f".. py:function:: odeopt.kernels.{name}(k, p, x, g, s)\n\n   {doc}\n\n"


def commands():
    """The command line: what each command's ``--help`` says."""
    (choices,) = [action.choices for action in parser()._actions if action.choices]
    text = [title("The command line"), "``odeopt COMMAND``. Exit status: 0; 1 where it could not be done; 2 for bad "
            "input; 130 after Ctrl-C, with what was done until then written.\n\n"]
    for name, sub in choices.items():
        sub.formatter_class = functools.partial(argparse.RawDescriptionHelpFormatter, width=88)
        text += [title(name, "-"), literal(sub.format_help().rstrip())]
    return "".join(text)


def pages():
    """Each page's name and text."""
    everything = face.names()
    found = {"command-line": commands()}
    for page, heading in TITLES.items():
        if page == "kernels":
            found[page] = title(heading) + _intro(page) + "".join(map(_kernel, kernels.__all__))
            continue
        here = [one for one in everything if one.page == page and not one.is_optimizer]
        rows = [(f":py:obj:`{one.full} <{one.full}>`", _summary(one)) for one in here]
        found[page] = title(heading) + _intro(page) + table(("name", ""), rows, "40 60") + "".join(map(entry, here))
    listed = "\n".join(f"   {page}" for page in found)
    found["index"] = (title("Reference") + f"{len(everything) + len(kernels.__all__)} public names. ``import odeopt as "
                      "oo`` gives what stands under ``odeopt`` itself; the rest is ``oo.problems.…``, "
                      "``oo.flows.…``, ``oo.studies.…``.\n\n"
                      f".. toctree::\n   :maxdepth: 1\n\n{listed}\n")
    return found


def docstring(app, what, name, obj, options, lines):
    """Before numpydoc reads it."""
    lines[:] = plain.rst(lines)


def signature(app, what, name, obj, options, sig, return_annotation):
    """None of results, which functions make; of optimizers, their hyperparameters."""
    if inspect.isclass(obj) and issubclass(obj, Study):
        return "", None
    if inspect.isclass(obj) and issubclass(obj, Optimizer) and dataclasses.is_dataclass(obj):
        fields = (f for f in dataclasses.fields(obj) if f.init)
        words = (f.name if f.default is dataclasses.MISSING else f"{f.name}={f.default!r}" for f in fields)
        return f"({', '.join(words)})", None
    return None


def missing(app, env, node, contnode):
    """Links to where an object is defined, or by its bare name, lead to where it is documented."""
    from sphinx.util.nodes import make_refnode

    target = node.get("reftarget", "")
    found = _homes.get(target) or _bare.get(target)
    method = None
    if found is None and "." in target:
        owner, _, method = target.rpartition(".")
        found = _homes.get(owner) or _bare.get(owner)
    if found is not None:
        full = f"{found}.{method}" if method else found
        known = env.domaindata["py"]["objects"]
        entry = known.get(full) or known.get(found)
        if entry is not None:
            return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contnode)
    of_docstring = node["refdoc"].partition("/")[0] in ("reference", "optimizers")
    return contnode if of_docstring and node.get("refdomain") == "py" else None  # helpers are read in their source


_homes, _bare = face.homes(), {one.name: one.full for one in reversed(face.names())}


def write(folder, texts):
    """The pages as files, touched only where they changed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in folder.glob("*.rst"):
        if path.stem not in texts:
            path.unlink()


def generate(app, config):
    """Before anything is read."""
    write(app.srcdir / "reference", pages())
    write(app.srcdir / "optimizers", optimizer_pages())


def complete(app, env):
    """Every public name has an entry and a valid docstring, or the build says so."""
    from sphinx.util import logging

    known = env.domaindata["py"]["objects"]
    for fault in validated.faults():
        logging.getLogger(__name__).warning("docstring of %s: %s %s", *fault)
    for full in [one.full for one in face.names()] + [f"odeopt.kernels.{name}" for name in kernels.__all__]:
        if full not in known:
            logging.getLogger(__name__).warning("the public name %s is not documented", full)


def setup(app):
    """Pages first, then what autodoc and links ask for."""
    app.connect("config-inited", generate)
    app.connect("autodoc-process-docstring", docstring, priority=100)
    app.connect("autodoc-process-signature", signature)
    app.connect("missing-reference", missing)
    app.connect("env-check-consistency", complete)
    return {"version": "1", "parallel_read_safe": True}


