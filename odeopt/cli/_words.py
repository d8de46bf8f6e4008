"""The words of the command line: numbers as people type them, and one line for what cannot be understood."""

import argparse
import difflib
import re
import sys
from typing import Any

LARGEST = 10**15  # steps, frames, paths: nobody waits for more, and every integer type holds it


class Parser(argparse.ArgumentParser):
    """argparse, whose errors are one line with the nearest word."""

    def __init__(self, *args, **options):
        super().__init__(*args, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def parse_known_args(self, args=None, namespace=None):
        """As argparse's, but a command says itself which words it does not know."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            word = rest[0].partition("=")[0]
            if word.startswith("-"):
                others = _commands_with(word.lower())
                near = difflib.get_close_matches(word.lower(), self._option_string_actions, 1, 0.5)
                hint = (f"; {word} is an option of {', '.join(others)}" if others and word.lower() not in near else
                        f"; did you mean {near[0]!r}?" if near else "")
            elif re.fullmatch(r"[-+]?\.?\d[-+\d.,eE]*", word):
                hint = "; coordinates are written with commas and no blanks, as -3,3"
            else:  # most often one that stands at another's place
                hint = next((f"; {one} is {kind_of(one)}" for one in (getattr(found, "problem", ""), word)
                             if kind_of(one) and (one == word or not kind_of(one).startswith("a problem"))), "")
            self.error(f"unrecognized arguments: {' '.join(rest)}{hint}")
        return found, rest

    def _print_message(self, message, file=None):
        """argparse's swallows what a full device says, and the help is gone with status 0."""
        if message and file is sys.stdout:
            sys.stdout.write(message)
            sys.stdout.flush()
        else:
            super()._print_message(message, file)

    def error(self, message):
        """Exit with status 2 and one line."""
        message = re.sub(r"^argument (\S+?)(/\S+)?: ", r"\1: ", " ".join(message.split()))
        found = re.match(r"(\S+): invalid choice: '(.*)' \(choose from (.*)\)$", message)
        if found:
            name, word, choices = found.groups()
            near = _hint(word, choices.replace("'", "").split(", "))
            message = f"{name} must be one of {choices}, got {word!r}{near}"
        message = re.sub(r"^(\S+): (must )", r"\1 \2", message)
        self.exit(2, f"{self.prog}: {message} (usage: {self.prog} --help)\n")


def _commands_with(option):
    """The commands that have an option of this name."""
    from . import parser

    commands: Any = parser()._subparsers._group_actions[0].choices  # pyright: ignore
    return [name for name, command in commands.items() if option in command._option_string_actions]


def _hint(word, choices):
    what = kind_of(word)
    if what:
        return f"; {word} is {what}"
    near = difflib.get_close_matches(word.lower(), choices, 1, 0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def kind_of(word):
    """What a word is that stands at another's place, and where it belongs; "" for one that means nothing."""
    from .. import optimizers, problems
    from . import _commands
    from .plot import KINDS

    key = str(word).lower().replace("_", "-")
    if key in problems.ALL:
        return "a problem: it stands after the command (and, in plot, after the kind)"
    if key.replace("-", "") in (*optimizers.ALL, *optimizers.ALIASES):
        return f"an optimizer: --optimizers {word}"
    if key == "race":
        return "an animation: odeopt animate PROBLEM"
    if key in KINDS:
        return f"a kind of picture: odeopt plot {key} PROBLEM"
    if key in _commands():
        return f"a command: odeopt {key} comes first"
    return ""


class Start(argparse.Action):
    """--start: how the memory begins, or (as --x0) where the run does."""

    def __call__(self, parser, namespace, value, option_string=None):
        """Store one or the other."""
        if value.lower() in self.const:
            setattr(namespace, self.dest, value.lower())
        elif re.match(r"[-+]?(\d|\.\d)", value):
            namespace.x0 = value
        else:
            parser.error(f"--start must be {', '.join(self.const)} or a point such as -3,3, got {value!r}")


def window(word):
    """Numbers A,B,C,D as ((A, B), (C, D))."""
    try:
        a, b, c, d = (float(part) for part in word.split(","))
        return (a, b), (c, d)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be XLOW,XHIGH,YLOW,YHIGH, got {word!r}") from None


def joined(argv):
    """``argv`` with what begins with a minus and is not an option kept from argparse: numbers are tied to the option
    before them (``--x0 -3,3`` as ``--x0=-3,3``), a formula (``-x^2``) begins with a space."""
    words = []
    for word in argv:
        if words and re.match(r"-\.?\d", word) and not is_formula(word) and (
                re.match(r"--[^=]+$", words[-1]) and "--" not in words):
            words[-1] = f"{words[-1]}={word}"
        else:
            words.append(f" {word}" if re.match(r"-[^-]", word) and word != "-h" and is_formula(word) else word)
    return words


def is_formula(word):
    """Whether a word is a formula, not the name of a problem or of something in a file: ``x^2``, not ``three-hump``."""
    word = word.strip()
    if re.fullmatch(r"[-+\d.,eE]+", word) or re.search(r"[:=]|\.py", word):
        return False
    return bool(re.search(r"[*/^+()\[\s]", word) or re.fullmatch(r"-?[A-Za-z]\d*(-[A-Za-z]\d*)*", word))


def count(word):
    """An integer, also written as 1e3."""
    try:
        value = int(word)
    except ValueError:
        value = number(word, "an integer")
        if not value.is_integer():
            raise argparse.ArgumentTypeError(f"must be an integer, got {word!r}") from None
        value = int(value)
    if abs(value) > LARGEST:
        raise argparse.ArgumentTypeError(f"must be an integer of at most 1e15, got {word}")
    return value


def dots(word):
    """Pixels per inch."""
    value = count(word)
    if not 20 <= value <= 1200:
        raise argparse.ArgumentTypeError(f"must be 20 to 1200, got {word}")
    return value


def number(word, kind="a number"):
    """A float; the commands say what they do with nan and infinities."""
    try:
        value = float(word)
        if kind == "a number" or abs(value) < float("inf"):
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be {kind}, got {word!r}")
