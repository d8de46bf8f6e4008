"""List the problems, optimizers, flows, schemes or schedules."""

import re

from ..method import STARTS

KINDS = ("problems", "optimizers", "flows", "schemes", "schedules")


def add_arguments(parser):
    """What to list."""
    parser.add_argument("kind", type=str.lower, choices=KINDS)
    parser.add_argument("--markdown", action="store_true",
                        help="for optimizers: a table of flows, schemes, scaling laws and orders")


def run(args):
    """Print one name and its summary per line."""
    if args.markdown:
        if args.kind != "optimizers":
            raise ValueError(f"--markdown goes with optimizers, got {args.kind}")
        print(optimizer_table())
        return
    rows = _ROWS[args.kind]()
    width = max(len(name) for name, _ in rows)
    for name, summary in rows:
        print(f"{name.ljust(width)}  {summary}".rstrip())


def _first_line(thing):
    return (thing.__doc__ or "").strip().split("\n")[0].replace("``", "")


def _first_sentence(thing):
    """Where it ends, at a full stop or a semicolon, in one line and without markup."""
    text = " ".join((thing.__doc__ or "").split("\n\n")[0].split()).replace("``", "").replace(":func:", "")
    return re.split(r"(?<=[.;])\s", text.replace("`", ""))[0].rstrip(".;")


def _problems():
    from .. import problems

    return [(name, _first_line(factory)) for name, factory in problems.ALL.items()]


def _optimizers():
    import sys

    from .. import optimizers

    return [(name, f"{_first_line(sys.modules[cls.__module__])} [{_hyperparameters(cls)}]"
             + "".join(f" (also {alias})" for alias in cls.aliases)) for name, cls in optimizers.ALL.items()]


def _hyperparameters(cls):
    """Each with its default, if it has one."""
    import dataclasses

    return ", ".join(f.name if f.default is dataclasses.MISSING else f"{f.name}={_short(f.default)}"
                     for f in dataclasses.fields(cls) if f.init)


def _short(value):
    return f"{value:g}" if isinstance(value, float) else str(value)


def optimizer_rows():
    """``(class, flow or None, scheme, scaling laws, orders from a cold / a consistent start)`` of each optimizer."""
    from .. import optimizers

    for cls in optimizers.ALL.values():
        opt = cls.default(**cls.typical)
        orders = [opt.declared_order(start) for start in STARTS]
        moving = {name: law for name, law in opt.scaling().items() if law != "fixed"}
        laws = ", ".join(f"{name} {'=' if 'c' in law else '∝'} {law}" for name, law in moving.items())
        order = " / ".join("none" if o is None else f"{o:g}" for o in orders)
        yield (cls, opt.flow, opt.scheme.name if opt.scheme else "–", laws if opt.flow else "–",
               order if opt.flow else "–")


def optimizer_table():
    """The optimizers as a Markdown table, from the pages themselves."""
    lines = ["| optimizer | flow | scheme | how the hyperparameters move with the step h | order |",
             "|---|---|---|---|---|"]
    for cls, flow, scheme, laws, order in optimizer_rows():
        equation = flow.equation.replace("|", r"\|") if flow else "no classical flow"
        lines.append(f"| [{cls.title}](odeopt/optimizers/{cls.__module__.rpartition('.')[2]}.py) | {equation} | "
                     f"{scheme} | {laws} | {order} |")
    return "\n".join(lines)


def _flows():
    from .. import flows

    return [(name, _first_sentence(factory)) for name, factory in flows.ALL.items()]


def _schemes():
    from .. import schemes

    found = [(name, f"{scheme.name}, order {scheme.order}") for name, scheme in schemes.ALL.items()]
    armijo = schemes.armijo_euler  # not of any flow, so not in ALL
    return [*found, ("armijo-euler", f"{armijo.name}, order {armijo.order}, of gradient flow, with steps of its own")]


def _schedules():
    from .. import schedules

    return [(name, _first_line(factory)) for name, factory in schedules.ALL.items()]


_ROWS = {"problems": _problems, "optimizers": _optimizers, "flows": _flows, "schemes": _schemes,
         "schedules": _schedules}
