"""Measure the loops, kernels and ensembles against C, numpy, torch and optax, as ratios in one run.

Sections: loops (steps per second on 2-D Rosenbrock), kernels (fraction of the memory's bandwidth),
peers (one Adam step over n parameters), muon (one step of a matrix), ensembles (trajectories at once),
real (sparse least squares, softmax regression, a network), formulas (kernels from a text against those
written by hand), explorer (a picture of the page, in milliseconds). CPU times, best of several (wall times
where ours takes several threads); notes below each table say what its columns are and which peers
are not installed.
"""

import json
import sys

from . import _things

SECTIONS = ("loops", "kernels", "peers", "muon", "ensembles", "real", "formulas", "explorer")


def add_arguments(parser):
    """Which sections, and where to."""
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"from {', '.join(SECTIONS)} (default: all)")
    parser.add_argument("--optimizers", metavar="A,B,...",
                        help="of the section kernels, as in compare, FILE.py:NAME among them (default: all)")
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer steps")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(args):
    """Print one table per section."""
    from .. import bench, checks
    from ..results import word

    sections = [checks.choice("section", name.lower(), SECTIONS) for name in args.sections] or SECTIONS
    options = {}
    if args.optimizers is not None:
        if tuple(sections) != ("kernels",):
            raise ValueError("--optimizers goes with the section kernels alone")
        options["chosen"] = _things.instances_of(args.optimizers)
    found = {"machine": bench.machine()}
    if not args.json:
        print(", ".join(f"{key} {word(value)}" for key, value in found["machine"].items()))
    for name in sections:
        print(f"measuring {name} ...", file=sys.stderr)
        rows, notes = bench.SECTIONS[name](quick=args.quick, **options)
        found[name] = {"rows": rows, "notes": notes}
        if not args.json:
            print(f"\n{name}")
            _table(rows)
            for note in notes:
                print(f"  note: {note}")
    if args.json:
        json.dump(found, sys.stdout, indent=1)
        print()


def _table(rows):
    if not rows:
        return
    names = list(rows[0])
    from ..results import word

    cells = [names] + [[word(value) for value in row.values()] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(names))]
    for row in cells:
        print("  " + "  ".join(cell.ljust(width) if i < 2 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))).rstrip())
