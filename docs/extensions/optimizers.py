"""The optimizers' pages: the docstring of the page, its formulas typeset, and tables that the package fills in."""

import dataclasses
import json
import re
import sys
from pathlib import Path

import plain

from odeopt import optimizers
from odeopt.cli.list_ import optimizer_rows
from odeopt.method import STARTS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CERTIFICATES = HERE.parent / "data" / "certificates.json"
CONFORMANCE = ROOT / "tests" / "golden" / "CONFORMANCE.md"
LETTERS = ("drift", "rate", "power")  # of flows, beside the hyperparameters
ROW = re.compile(r"([A-Z][A-Za-z]*(?: [a-z]+)?)(?:\s{2,}|(?<=Momentum|Variants) )(\S.*)")


def title(text, line="="):
    """A heading."""
    return f"{text}\n{line * max(len(text), 3)}\n\n"


def table(header, rows, widths=""):
    """A list-table; cells are reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", *([f"   :widths: {widths}"] if widths else []), ""]
    for row in (header, *rows):
        for i, cell in enumerate(row):
            first, *rest = str(cell).split("\n") or [""]
            lines += [("   * - " if i == 0 else "     - ") + first, *("       " + line for line in rest)]
    return "\n".join(lines) + "\n\n"


def _capital(text):
    return text[:1].upper() + text[1:]


def heading(cls):
    """An optimizer's name at the head of its page."""
    return _capital(cls.title) if isinstance(cls.title, str) and cls.title else cls.__name__  # a wrapper's is its own


def names_of(cls):
    """What a formula of the page may call by words."""
    return [f.name for f in dataclasses.fields(cls)] + list(LETTERS)


def display(formulas, names=()):
    """A block of formulas, one a line; None where one of them is prose."""
    found = [plain.latex(formula.strip().rstrip(",;"), names) for formula in formulas if formula.strip()]
    if not found or None in found:
        return None
    rows = [re.sub(r"( = | \\leftarrow | \\in )", r" &\1", one, count=1) for one in found]
    rows = [row if "&" in row else "& " + row for row in rows]
    body = " \\\\\n      ".join(rows)
    return f".. math::\n\n   \\begin{{aligned}}\n      {body}\n   \\end{{aligned}}\n\n"


def literal(text):
    """A block as it stands, without marks of emphasis."""
    text = re.sub(r"\*\*|``", "", text)
    return "::\n\n" + "\n".join(f"   {line}" for line in text.splitlines()) + "\n\n"


def equation(flow, names=()):
    """The flow typeset, equation by equation."""
    parts = re.split(r", (?=[A-Za-z]\w*(?:'+|²|) ?[=∈])|, (?=tau)", flow.equation)
    return display(parts, names) or literal("\n".join(parts))


def inline(formula, names=()):
    """In a line of text."""
    found = plain.latex(formula, names)
    return f":math:`{found.strip()}`" if found else plain.escaped(formula)


def sections(doc):
    """``(name, text)`` of the rows of a page's docstring; text without a name has the name ""."""
    found = []
    for line in doc.strip().splitlines()[1:]:
        match = ROW.fullmatch(line)
        if match:
            found.append([match[1], [match[2]], len(line) - len(match[2])])
        elif not line.strip():
            found.append(["", [], 0])
        elif found and found[-1][0] and line.startswith(" "):
            column = found[-1][2]
            found[-1][1].append(line[column:] if not line[:column].strip() else line.strip())
        else:
            if not found or found[-1][0]:
                found.append(["", [], 0])
            found[-1][1].append(line)
    return [(name, "\n".join(lines)) for name, lines, _ in found if "".join(lines).strip()]


def body(cls):
    """The docstring of the page."""
    text, names = [], names_of(cls)
    for name, value in sections(sys.modules[cls.__module__].__doc__):
        if name == "Update":
            clauses = re.split(r";\s+|\n|,\s{2,}|,\s+(?=\w+ = )", value)
            text += [title(name, "-"), display(clauses, names) or literal(value)]
        elif name and any(re.search(r"^ |\S {3,}\S", line) for line in value.splitlines()):  # in columns
            text.append(f"**{name}.**\n\n{literal(value)}")
        elif name:
            words = "\n".join(plain.escaped(" ".join(part.split())) for part in value.split("\n\n"))
            text.append(f"**{name}.** {words}\n\n")
        elif any(line.startswith("  ") for line in value.splitlines()):
            text.append(literal(value))
        else:
            text.append(plain.escaped(" ".join(value.split())) + "\n\n")
    return "".join(text)


def _number(value):
    return "none" if value is None else f"{value:g}"


def facts(cls):
    """Order, limit, memory and scaling, as the object says them."""
    opt, names = cls.default(), names_of(cls)
    limit = opt.stability_limit()
    rows = [("command line", ", ".join(f"``{name}``" for name in (opt.key, *cls.aliases))),
            ("scheme", opt.scheme.name if opt.scheme else "none that is equal to it to round-off"),
            ("order, cold / consistent start", " / ".join(_number(opt.declared_order(start)) for start in STARTS)
             if opt.flow else "no flow, no order")]
    if limit is not None:
        formula, _, condition = limit.formula.partition(", ")
        shown = f"{inline(f'lr lambda/P < {formula}', names)}, {limit.value:.4g} at the defaults"
        shown += f" ({plain.escaped(condition)})" if condition else ""
        rows.append(("stability limit, preconditioner P", shown))
    if opt.slots:
        rows.append(("memory", "; ".join(f"{slot.name} ({slot.role})" for slot in opt.slots)))
    if opt.flow:
        rows.append(("when the step h changes", "; ".join(
            f"``{name}`` " + ("fixed" if law == "fixed" else inline(("= " if "c" in law else "∝ ") + law))
            for name, law in opt.scaling().items())))
    return table(("", "at the defaults"), rows, "30 70")


def certificates():
    """Measured orders by the optimizer's title."""
    stored = json.loads(CERTIFICATES.read_text(encoding="utf-8"))
    found = {}
    for row in stored["rows"]:
        found.setdefault(row["optimizer"], []).append(row)
    return stored, found


def measured(cls):
    """The order certificates of one optimizer, or ""."""
    stored, found = certificates()
    rows = found.get(cls.title)
    if not rows:
        return ""
    cells = [(row["start"], _number(row["expected"]), _number(row["measured"]), _number(row["spread"]),
              plain.escaped(row["verdict"])) for row in rows]
    text = (f"On {stored['problem']}, to flow time {stored['t_end']:g}, "
            "with the hyperparameters moved by their scaling laws (``make certificates``):\n\n")
    return title("Measured order", "-") + text + table(("start", "declared", "measured", "spread", ""), cells)


def conformance(cls):
    """The rows of the conformance table that hold this optimizer against another package, or ""."""
    lines = CONFORMANCE.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip().replace("**", "") for cell in line.strip("|").split("|")] for line in lines
            if f"`{cls.__name__}(" in line]
    if not rows:
        return ""
    written = next(line for line in lines if line.startswith("Written by"))
    versions = re.search(r"with (.*)\.$", written)[1]
    cells = [(f"``{peer}``", plain.escaped(case), f"`{here}`", f"{opened} / {closed}", plain.escaped("|".join(note)))
             for peer, case, here, opened, closed, *note in rows]
    text = (f"Largest deviation over 200 steps relative to the largest iterate, on stored gradients / on the method's "
            f"own gradients; {versions}.\n\n")
    return title("Beside other packages", "-") + text + table(("there", "case", "here", "deviation", ""), cells,
                                                              "18 14 36 16 16")


def page(cls):
    """The whole page."""
    first = sys.modules[cls.__module__].__doc__.strip().splitlines()[0]
    opt = cls.default() if not cls.wrapper else None
    text = title(heading(cls)) + plain.escaped(_capital(first.partition(": ")[2] or first)) + "\n\n"
    if opt is not None and opt.flow is not None:
        text += title("Flow", "-") + equation(cls.default(**cls.typical).flow, names_of(cls))
    if opt is not None:
        text += facts(cls)
    text += body(cls) + (measured(cls) + conformance(cls) if opt is not None else "")
    return text + title("Class", "-") + f".. autoclass:: odeopt::{cls.__name__}\n"


def index():
    """The table of all of them."""
    rows = [(f":doc:`{heading(cls)} </optimizers/{cls.__name__.lower()}>`",
             equation(flow, names_of(cls)).rstrip() if flow else "no classical flow", scheme, order)
            for cls, flow, scheme, _, order in optimizer_rows()]
    entries = "\n".join(f"   {name}" for name in (*optimizers.ALL, *optimizers.WRAPPERS))
    return (title("Optimizers")
            + "Each optimizer is an update, a flow, and a scheme that makes the one of the other; its page says which, "
              "and how each hyperparameter moves with the step. Orders are from a cold / from a consistent start. A "
              "test shows for each one with a scheme that update and scheme give the same iterates to round-off.\n\n"
            + table(("optimizer", "flow", "scheme", "order"), rows, "16 52 22 10")
            + f".. toctree::\n   :hidden:\n\n{entries}\n")


def pages():
    """Each page's name and text."""
    found = {"index": index()}
    for cls in (*optimizers.ALL.values(), *optimizers.WRAPPERS.values()):
        found[cls.__name__.lower()] = page(cls)
    return found


