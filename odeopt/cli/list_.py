"""List the problems, optimizers, flows, schemes or schedules."""

KINDS = ("problems", "optimizers", "flows", "schemes", "schedules")


def add_arguments(parser):
    """What to list."""
    parser.add_argument("kind", choices=KINDS)


def run(args):
    """Print a name and a summary a line."""
    rows = _ROWS[args.kind]()
    width = max(len(name) for name, _ in rows)
    for name, summary in rows:
        print(f"{name.ljust(width)}  {summary}".rstrip())


def _first_line(thing):
    return (thing.__doc__ or "").strip().split("\n")[0]


def _problems():
    from .. import problems

    return [(name, _first_line(factory)) for name, factory in problems.ALL.items()]


def _optimizers():
    import sys

    from .. import optimizers

    return [(name, _first_line(sys.modules[cls.__module__])) for name, cls in optimizers.ALL.items()]


def _flows():
    from .. import flows

    return [(name, _first_line(factory)) for name, factory in flows.ALL.items()]


def _schemes():
    from .. import schemes

    return [(name, f"{scheme.name}, order {scheme.order}") for name, scheme in schemes.ALL.items()]


def _schedules():
    from .. import schedules

    return [(name, _first_line(factory)) for name, factory in schedules.ALL.items()]


_ROWS = {"problems": _problems, "optimizers": _optimizers, "flows": _flows, "schemes": _schemes,
         "schedules": _schedules}
