"""The command line: one module of this folder per subcommand, no numerics here.

A command module has a docstring (its first line is the help), ``add_arguments(parser)`` and
``run(args) -> exit status``; anything that costs time to import is imported inside ``run``. The
file's name, with dashes for underscores (and without a trailing one), is the command's name.
Modules that start with an underscore are helpers.
"""

import contextlib
import importlib
import pkgutil
import sys

from . import _terminal, _words

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

    top = _words.Parser(
        prog="odeopt", description="Every optimizer is a discretisation of a flow: run it, measure it, look at it.")
    top.add_argument("--version", action="version", version=f"odeopt {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in _commands().items():
        page = importlib.import_module(f".{module}", __name__)
        about = (page.__doc__ or "").strip()  # None under python -OO
        sub = commands.add_parser(name, help=about.split("\n")[0], description=about)
        page.add_arguments(sub)
        sub.set_defaults(run=page.run)
    return top


def _as_typed(message, arguments):
    """The message in one line, its argument under the option's name: ``t_end must ...`` as ``--time must ...``."""
    message = " ".join(message.split())
    name, _, rest = message.partition(" ")
    option = {"t_end": "time", "intrinsic_time": "time", "path": "out"}.get(name, name)
    typed = getattr(arguments, option, None) is not None and option not in _POSITIONAL
    return f"--{option.replace('_', '-')} {rest}" if typed else message


def main(argv=None):
    """Run a command.

    0: done; 1: it could not be done (files, memory, a failed check); 2: bad input; 130: ended by
    Ctrl-C, with what was done until then written.
    """
    argv = [str(word) for word in (sys.argv[1:] if argv is None else argv)]
    with _terminal.streams(), _terminal.interrupts() as interrupts:
        command, arguments = None, None
        try:
            if not argv:
                parser().print_help()
            elif argv[0].lower() == "help":
                argv = [*argv[1:2], "--help"]
            if argv and argv[0].lower() in _commands():
                argv[0] = argv[0].lower()
            arguments = parser().parse_args(_words.joined(argv))
            command = arguments.command
            status = arguments.run(arguments) or 0
            sys.stdout.flush()
            return 130 if interrupts.seen else status
        except SystemExit:  # --help, --version, or words that argparse does not know
            raise
        except BrokenPipeError:  # the reader of a pipe left: not our failure
            _terminal.discard_output()
            return 0
        except BaseException as error:
            status, words = _explained(error)
            if status is None:
                raise
            if isinstance(error, OSError):
                _terminal.discard_output()  # what a full device refused once, it refuses again at exit
            with contextlib.suppress(OSError):  # where the errors go is full, too: the status is left to say it
                print(f"odeopt {command or ''}".rstrip() + f": {_as_typed(words, arguments)}", file=sys.stderr)
            return status


def _explained(error):
    """``(exit status, words)`` of what ended a command; status None for what is not ours to end."""
    if isinstance(error, KeyboardInterrupt):
        return 130, "interrupted"
    if isinstance(error, (ValueError, TypeError)):
        return 2, str(error)
    if isinstance(error, OSError):
        return 1, f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
    if isinstance(error, MemoryError):
        return 1, f"not enough memory: {error}".rstrip(": ")
    if isinstance(error, Exception) and not sys.flags.dev_mode:  # a fault of ours is reported in a line, too
        return 1, f"{type(error).__name__}: {error} (python -X dev -m odeopt ... shows where)"
    return None, ""
