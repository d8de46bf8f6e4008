"""The command line: one module of this folder a subcommand, no numerics here.

A command module has a docstring (its first line is the help), ``add_arguments(parser)`` and
``run(args) -> exit status``; anything that costs time to import is imported inside ``run``. The
file's name, with dashes for underscores (and without a trailing one), is the command's name.
Modules that start with an underscore are helpers.
"""

import argparse
import importlib
import pkgutil
import sys

_POSITIONAL = ("command", "kind", "names", "problem", "sections", "study")


def _commands():
    found = {}
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            found[module.name.strip("_").replace("_", "-")] = module.name
    return dict(sorted(found.items()))


def parser():
    """The argument parser with every subcommand."""
    from .. import __version__

    top = argparse.ArgumentParser(
        prog="odeopt", description="Every optimizer is a discretisation of a flow: run it, measure it, look at it.")
    top.add_argument("--version", action="version", version=f"odeopt {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in _commands().items():
        page = importlib.import_module(f".{module}", __name__)
        summary = page.__doc__.strip().split("\n")[0]
        sub = commands.add_parser(name, help=summary, description=page.__doc__.strip(),
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
        page.add_arguments(sub)
        sub.set_defaults(run=page.run)
    return top


def _as_typed(message, arguments):
    """The message, its argument under the option's name: ``t_end must ...`` as ``--time must ...``."""
    name, _, rest = message.partition(" ")
    option = {"t_end": "time", "intrinsic_time": "time"}.get(name, name)
    typed = vars(arguments).get(option) is not None and option not in _POSITIONAL
    return f"--{option.replace('_', '-')} {rest}" if typed else message


def main(argv=None):
    """Run a command. 0: done; 1: it could not be done (files, a failed check); 2: bad input."""
    arguments = parser().parse_args(argv)
    try:
        return arguments.run(arguments) or 0
    except (ValueError, TypeError) as error:
        print(f"odeopt {arguments.command}: {_as_typed(str(error), arguments)}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of a pipe left: not our failure
        sys.stderr.close()
        return 0
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        print(f"odeopt {arguments.command}: {error.strerror or error}{where}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"odeopt {arguments.command}: interrupted", file=sys.stderr)
        return 130
