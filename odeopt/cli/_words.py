"""The words of the command line: numbers as people type them, and one line for what cannot be understood."""

import argparse
import difflib
import re

LARGEST = 10**15  # steps, frames, paths: nobody waits for more, and every integer type holds it


class Parser(argparse.ArgumentParser):
    """argparse, whose errors are one line with the nearest word."""

    def __init__(self, *args, **options):
        super().__init__(*args, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

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


def _hint(word, choices):
    near = difflib.get_close_matches(word.lower(), choices, 1, 0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def joined(argv):
    """``argv`` with values that begin with a minus and a digit tied to their option: ``--x0 -3,3`` as ``--x0=-3,3``."""
    words = []
    for word in argv:
        if words and re.match(r"-\.?\d", word) and re.match(r"--[^=]+$", words[-1]) and "--" not in words:
            words[-1] = f"{words[-1]}={word}"
        else:
            words.append(word)
    return words


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


def number(word, kind="a number"):
    """A float; the commands say what they do with nan and infinities."""
    try:
        value = float(word)
        if kind == "a number" or abs(value) < float("inf"):
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be {kind}, got {word!r}")
