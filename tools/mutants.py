"""Which slips of the numerics do the tests notice? ``python tools/mutants.py [AREA ...] [--count N] [--seed S]``.

A mutant is the source with one change, made from the syntax tree: a comparison flipped, a constant changed,
a term of a sum dropped, + and - or * and / exchanged, a statement ``x += ...`` or ``x = min(x, c)`` removed.
Text (docstrings, messages) stays as it is. Of each area a seeded sample runs against the area's tests, each mutant
in a copy of the tree with caches of its own; one that runs past the time limit counts as noticed. The
output ends with the survivors: each is a missing test, or changes nothing that can be observed.

A mutant takes seconds, as it runs in a fork of a process that has the libraries loaded; as its copy starts from the
compiled code of the clean run (kept under a hash of all that it is made from, so nothing stale can be found); and as
the tests that noticed an earlier mutant of the same file come first, then the others, quick ones before slow ones; the
first failure ends the run. ``--plain`` runs without the compiler, where a change of a kernel costs no more than one of
plain Python, and leaves out the tests that fail or are not quick without it. ``--quick S`` leaves out tests that took
longer than S in the clean run, ``--files`` runs other files than the area's: what is noticed without the rest is
noticed, and the score is a lower bound. ``--again`` runs what survived so with the compiler and all tests of the area,
some minutes each; there the time limit settles nothing, as compiling takes long too.

``tools/equivalent_mutants.txt`` lists changes with which nothing observable changes. They are not run.
"""

import argparse
import ast
import functools
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = ROOT / "tools" / "equivalent_mutants.txt"  # a line each: path | function | old -> new | why
AREAS = {  # source (files or folders below odeopt), then the test files of the area, quick ones first
    "optimizers": ("optimizers", "by_hand fields_by_hand optimizers parity state extreme_gradients matrix_methods "
                   "shampoo_and_soap training_kit clipping limits equivalence modified stability_limits public_names"),
    "flows": ("flows", "what_flows_say matrix_fields fields stabilized optimizers sign_of_mean matrix_methods "
              "shampoo_and_soap modified convergence central"),
    "schemes": ("schemes", "steps_by_hand schemes several_evaluations multistep stabilized convergence"),
    "loops": ("engine/loops.py engine/batched.py sums.py", "sums sensitive_loops pace lanes loops sensitive_runs "
              "scales record step_control schemes multistep interrupts ensemble"),
    "record": ("engine/record.py engine/store.py engine/trajectory.py engine/checkpoint.py", "sensitive_records "
               "sensitive_runs record store resume checkpoint interrupts own_derivatives reference limits"),
    "reference": ("reference", "structured filippov sign_inclusion sign_of_mean sensitive_solvers sensitive_runs "
                  "compiled scheduled reference solver_class solver_class_as_scipys solvers_end stabilized_solvers "
                  "public_names"),
    "schedules": ("schedules", "bounds schedules driven parity public_names"),
    "studies": ("studies/base.py studies/inner.py studies/moments.py studies/order studies/noise studies/networks "
                "studies/search", "public_names bounds_of_arguments order_formulas moments_in_closed_form "
                "trials_and_trainings sensitive_orders interrupted_studies results empty_and_endless "
                "sensitive_measures sensitive_studies work_precision mixing lyapunov "
                "sweeps convergence convergence_series equivalence modified scale_invariance "
                "stationary articles ensemble"),
    "stability": ("studies/stability", "public_names bounds_of_arguments averaged central_conditions "
                  "flows_at_the_edge scoreboard formulas sensitive_measures "
                  "step_control edge sharpness central multistep stability_limits"),
    "stochastic": ("stochastic", "public_names sensitive_noise sensitive_studies stochastic stationary mixing "
                   "interrupts"),
    "minimize": ("interop", "sensitive_minimize sensitive_solvers minimize_defaults minimize minimize_arguments "
                 "solver_class solver_class_as_scipys stabilized_solvers public_names"),
    "algebra": ("matrices.py linear_systems.py spectrum.py clipping.py stencil.py moved.py problems/differences.py "
                "discretization.py", "matrices spectrum differences clipping method matrix_methods shampoo_and_soap "
                "training_kit own_derivatives not_finite_hessian problems optimizers several_evaluations public_names"),
}
FLIPPED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
TURNED = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt}
EXCHANGED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
TEXT = (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom)
SPOKEN = {"__repr__", "__str__", "table", "summary", "explain"}  # functions that only say something


class Mutant(NamedTuple):
    """One change of a file below the tree: the bytes from ``begin`` to ``end`` become ``new``."""

    path: Path
    function: str  # with its class or the function around it, as "Plan.step"; empty on the level of the module
    line: int
    kind: str
    change: str  # "old -> new"
    new: str
    begin: int
    end: int

    @property
    def words(self):
        """How the list of equivalent mutants names it, whatever is added above it."""
        return f"{self.path} | {self.function} | {self.change}"


def equivalent():
    """``{words: why}`` of the list of equivalent mutants."""
    lines = (line.rpartition(" | ") for line in EQUIVALENT.read_text(encoding="utf-8").splitlines())
    return {words: why for words, _, why in lines}


def other_constant(c):
    """A number that is not ``c``, nor close to it."""
    if isinstance(c, int):
        return c + 1
    return 1.0 if c == 0.0 else c ** (1 / 3) if c < 1e-6 else 10 * c if c < 0.5 else 1.5 * c


def changes(node):
    """``(kind, new text)`` of the mutants made at this node."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for table in (FLIPPED, TURNED):
            if type(node.ops[0]) in table:
                new = ast.Compare(node.left, [table[type(node.ops[0])]()], node.comparators)
                yield "comparison", f"({ast.unparse(new)})"
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float) and abs(node.value) < float("inf"):
        yield "constant", repr(other_constant(node.value))
    elif isinstance(node, ast.BinOp) and type(node.op) in EXCHANGED:
        if not any(isinstance(side, ast.Constant) and isinstance(side.value, str) for side in (node.left, node.right)):
            yield "operator", f"({ast.unparse(ast.BinOp(node.left, EXCHANGED[type(node.op)](), node.right))})"
            if isinstance(node.op, ast.Add | ast.Sub):
                right = node.right if isinstance(node.op, ast.Add) else ast.UnaryOp(ast.USub(), node.right)
                yield "term", f"({ast.unparse(node.left)})"
                yield "term", f"({ast.unparse(right)})"
    elif isinstance(node, ast.AugAssign):
        yield "statement", "pass"
    elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        call = node.value
        if isinstance(call.func, ast.Name) and call.func.id in ("min", "max"):
            if ast.unparse(node.targets[0]) in map(ast.unparse, call.args):
                yield "statement", "pass"


def numeric(node, function=""):
    """``(node, its parent, function)`` of what computes below ``node``: no text, annotations, decorators or indices."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "slice"):
            continue
        for child in value if isinstance(value, list) else [value]:
            own = getattr(child, "name", "")
            if isinstance(child, ast.AST) and not isinstance(child, TEXT) and own not in SPOKEN:
                yield child, node, function
                named = isinstance(child, ast.FunctionDef | ast.ClassDef)
                yield from numeric(child, f"{function}.{own}".strip(".") if named else function)


def mutants_of(path, tree):
    """The mutants of a file; each is told with the expression or the simple statement around it."""
    source = path.read_bytes()
    begins = [0]
    for line in source.splitlines(keepends=True):
        begins.append(begins[-1] + len(line))

    def place(node):
        return begins[node.lineno - 1] + node.col_offset, begins[node.end_lineno - 1] + node.end_col_offset

    for node, parent, function in numeric(ast.parse(source)):
        for kind, new in changes(node):
            begin, end = place(node)
            around = hasattr(parent, "lineno") and not hasattr(parent, "body")
            first, last = place(parent) if around else (begin, end)
            change = (source[first:last] + b" -> " + source[first:begin] + new.encode() + source[end:last]).decode()
            yield Mutant(path.relative_to(tree), function, node.lineno, kind, " ".join(change.split()), new, begin, end)


def sample(area, count, seed, tree):
    """``count`` mutants of the area, the kinds by turns, and the number of equivalent ones met on the way."""
    places = [tree / "odeopt" / name for name in AREAS[area][0].split()]
    files = sorted(f for place in places for f in ([place] if place.is_file() else place.rglob("*.py")))
    chance = random.Random(f"{area} {seed}")
    kinds: dict[str, list[Mutant]] = {}
    for mutant in (m for f in files for m in mutants_of(f, tree)):
        kinds.setdefault(mutant.kind, []).append(mutant)
    for mutants in kinds.values():
        chance.shuffle(mutants)
    chosen, left_out, known = [], [], equivalent()
    while len(chosen) < count and any(kinds.values()):
        for mutant in [mutants.pop() for mutants in kinds.values() if mutants]:
            (left_out if mutant.words in known else chosen).append(mutant)
    return chosen[:count], len(left_out)


LIBRARIES = "numpy numba scipy.integrate scipy.optimize scipy.sparse.linalg scipy.stats matplotlib.pyplot tqdm.auto"


class Slow(BaseException):
    """A test has taken more than its time."""


def too_slow(*_):
    raise Slow


class Ordered:
    """Of a copy's pytest: orders the tests, and writes down how long each took and which failed.

    ``stopped``: seconds of the processor after which a test is ended, and fails.
    """

    def __init__(self, seconds=None, first=(), quick=float("inf"), without=(), stopped=float("inf")):
        self.known, self.first, self.quick, self.without, self.stopped = seconds or {}, first, quick, without, stopped
        self.seconds, self.failed = {}, []

    def _rank(self, test):
        took = self.known.get(test, 0.0)
        return test not in self.first, sum(took > bound for bound in (0.03, 0.1, 0.3, 1.0, 3.0, 10.0))

    def pytest_collection_modifyitems(self, items):
        unknown = float("inf") if self.known else 0.0  # to the clean run, where a test ended it
        items[:] = [item for item in items if self.known.get(item.nodeid, unknown) <= self.quick
                    and item.nodeid not in self.without]
        items.sort(key=lambda item: self._rank(item.nodeid))  # stable: tests of a file stay together, with fixtures

    def _timed(self):
        """A hook around a part of a test, in which it may be ended."""
        if self.stopped < float("inf"):
            signal.signal(signal.SIGPROF, too_slow)
            signal.setitimer(signal.ITIMER_PROF, self.stopped)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0.0)

    pytest_runtest_setup = pytest_runtest_call = pytest.hookimpl(wrapper=True)(_timed)

    def pytest_runtest_logreport(self, report):
        took = report.duration * (report.when == "call")
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + took
        if report.failed:
            self.failed.append(report.nodeid)


def mutated(source, target, mutant):
    """A copy of the tree with its caches, of hard links (what is written later is a new file), and with the mutant."""
    leave = shutil.ignore_patterns(".git", ".venv", ".pytest_cache", ".hypothesis", ".ruff_cache")
    shutil.copytree(source, target, copy_function=os.link, ignore=leave)
    text = (source / mutant.path).read_bytes()
    (target / mutant.path).unlink()
    (target / mutant.path).write_bytes(text[: mutant.begin] + mutant.new.encode() + text[mutant.end :])
    return target


def tested(tree, arguments, plugin, plain):
    """In a fork: pytest in the tree, of which nothing is imported yet. Writes what the plugin found to a file."""
    os.setsid()  # with the processes that tests start it can be ended as one
    os.chdir(tree)
    os.environ.update({"ODEOPT_CACHE_DIR": str(tree / ".loops"), "PYTHONPATH": str(tree)})
    os.environ.pop("NUMBA_CACHE_DIR", None)  # kernels are kept next to their source, which is the copy's
    sys.path[:0] = [str(tree)]
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    if plain:
        os.environ["NUMBA_DISABLE_JIT"] = "1"  # of processes that tests start
        sys.modules["numba"].config.DISABLE_JIT = 1
        arguments = ["-W", "ignore::RuntimeWarning", *arguments]  # numpy's numbers warn of inf and nan
    status = int(pytest.main(["-q", "-p", "no:cacheprovider", *arguments], plugins=[plugin]))
    if status and not plugin.failed:
        plugin.failed.append(f"exit status {status}")
    (tree / "found.json").write_text(json.dumps([plugin.seconds, plugin.failed]))


def noticed(tree, area, plugin, limit, plain, every=False):
    """``(seconds of the tests, what failed)`` of the area's tests in the tree: the first failure, or ``every`` one."""
    found = {path.stem.removeprefix("test_"): path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py")}
    tests = [str(found[name]) for name in AREAS[area][1].split()]
    (tree / "found.json").unlink(missing_ok=True)
    process = os.fork()
    if process == 0:
        try:
            tested(tree, [*["-x"] * (not every), *tests], plugin, plain)
        finally:
            os._exit(0)
    end = time.monotonic() + (limit or float("inf"))
    while os.waitpid(process, os.WNOHANG) == (0, 0):
        if time.monotonic() > end:
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return {}, ["time limit"]
        time.sleep(0.02)
    if not (tree / "found.json").exists():
        return {}, ["the process ended"]
    return json.loads((tree / "found.json").read_text())


class Clean:
    """A copy of the tree in which the area's tests pass and what they compile is kept; mutants are made of it."""

    def __init__(self, folder, area, limit, quick=float("inf"), plain=False):
        self.folder, self.area, self.quick, self.plain, self.first = Path(folder), area, quick, plain, {}
        self.tree = self.folder / ("plain" if plain else "compiled")
        if not self.tree.exists():
            leave = shutil.ignore_patterns(".git", ".venv", ".hypothesis", *["*.nb[ci]"] * plain)
            shutil.copytree(ROOT, self.tree, ignore=leave)
        plugin = Ordered(stopped=quick if plain else float("inf"))
        self.seconds, self.without = noticed(self.tree, area, plugin, None, plain, every=plain)
        if self.without and not (plain and self.seconds):
            sys.exit(f"{area}: the tests fail without a mutant: {self.without[0]}")
        clean = sum(s for s in self.seconds.values() if s <= quick)
        self.limit = limit or 60 + 4 * clean  # a mutant is compiled again, and its failure may be a lock
        print(f"== {area}: its {len(self.seconds)} tests take {sum(self.seconds.values()):.0f} s, the quick ones "
              f"{clean:.0f} s; {len(self.without)} left out; time limit {self.limit:.0f} s", flush=True)

    def noticed(self, mutant):
        """What the tests say to this mutant."""
        tree = mutated(self.tree, self.folder / "mutant", mutant)
        first = self.first.setdefault(mutant.path, [])
        plugin = Ordered(self.seconds, first, self.quick, self.without)
        _, failed = noticed(tree, self.area, plugin, self.limit, self.plain)
        first += failed
        shutil.rmtree(tree)
        return failed[0] if failed else ""


def run(area, given, folder):
    """``(survivors, number of mutants, number of equivalent ones left out)`` of an area."""
    clean = Clean(folder, area, given.limit, given.quick, given.plain)
    compiled = functools.cache(lambda: Clean(folder, area, given.limit))  # made when a mutant asks for it
    mutants, left_out = sample(area, given.count, given.seed, clean.tree)
    survivors = []
    for mutant in mutants:
        started = time.perf_counter()
        word = clean.noticed(mutant)
        if not word and given.again:
            word = compiled().noticed(mutant).replace("time limit", "")
        row = f"{mutant.line}: {mutant.words}"
        print(f"{time.perf_counter() - started:4.0f} s {word or 'SURVIVED':60.60} {row}", flush=True)
        survivors += [] if word else [row]
    return survivors, len(mutants), left_out


def main():
    """Run the areas and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("areas", nargs="*", metavar="AREA", help=", ".join(AREAS))
    parser.add_argument("--count", type=int, default=15, help="mutants of each area")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, help="seconds a mutant; default a minute and four clean runs")
    parser.add_argument("--files", help="test files in place of the area's, as \"record drive\"")
    parser.add_argument("--quick", type=float, default=float("inf"), help="leave out tests that take more seconds")
    parser.add_argument("--plain", action="store_true", help="without the compiler")
    parser.add_argument("--again", action="store_true", help="survivors once more: compiled, all tests of the area")
    given = parser.parse_args()
    if unknown := set(given.areas) - set(AREAS):
        parser.error(f"AREA must be one of {', '.join(AREAS)}, got {', '.join(sorted(unknown))}")
    if given.files:
        AREAS.update({area: (AREAS[area][0], given.files) for area in given.areas or AREAS})
    os.environ |= {"PYTHONHASHSEED": "0", "MPLBACKEND": "agg"}
    for library in LIBRARIES.split():
        importlib.import_module(library)
    with tempfile.TemporaryDirectory() as folder:
        results = {area: run(area, given, folder) for area in given.areas or AREAS}
    print("\n== survivors")
    for area, (survivors, count, left_out) in results.items():
        print(f"{area}: {count - len(survivors)} of {count} noticed, {left_out} equivalent ones left out",
              *survivors, sep="\n  ")


if __name__ == "__main__":
    main()
