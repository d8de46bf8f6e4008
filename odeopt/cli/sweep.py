"""Measure what one or two hyperparameters do: error against the flow, final gap, or order.

Runs an optimizer for every combination of the values of --grid and prints a row for each. With --out, also the
curves (over one) or the map (over two), a CSV and a JSON file.
"""

import sys
from typing import Any

from . import _output, _things
from ._files import value
from ._words import count


def add_arguments(parser):
    """PROBLEM --grid [--optimizers] [--measure] [--steps | --time] [--set] [--out] [--json]."""
    _things.add_problem(parser)
    _things.add_optimizers(parser, "gd", schemes=False)
    parser.add_argument("--grid", action="append", default=[], metavar="KEY=A,B,...|LOW:HIGH:N",
                        help="values of a hyperparameter, such as beta1=.5,.9, or lr=1e-4:1e-1:7 for so many at equal "
                             "ratios; once or twice")
    parser.add_argument("--measure", type=str.lower, choices=("error", "gap", "order"), default="error",
                        help="largest distance to the flow, f - f* at the end, or order (default: error)")
    parser.add_argument("--levels", type=count, default=6, metavar="N", help="step sizes of an order (default 6)")
    _output.add_length(parser, 200)
    _output.add_start(parser, "cold", "consistent")
    _output.add_output(parser)


def run(args):
    """0, also when runs diverged (their value is inf)."""
    from ..optimizers import Optimizer
    from ..studies.search.ensemble import sweep

    folder = _output.out_folder(args)
    problem, x0 = _things.problem_of(args)
    grid = _grid(args.grid)
    chosen = _things.optimizers_of(args, problem, x0, args.steps)
    if len(chosen) != 1 or not isinstance(chosen[0], Optimizer):
        raise ValueError(f"--optimizers must name one optimizer for a sweep, got {args.optimizers!r}")
    study = _output.kept(sweep(chosen[0], problem, x0, args.steps, grid=grid, measure=args.measure, t_end=args.time,
                               start=args.start, levels=args.levels, progress=True))
    rows = study.rows()
    extra = {"problem": problem.name, "x0": list(x0), "study": study.to_dict()}
    if args.json:
        _output.print_json(rows, extra)
    else:
        print(f"{study.headline()}\n\n{_output.table(rows)}")
    if folder is not None:
        from .. import plotting

        stem = f"sweep-{args.measure}-{_output.stem(problem)}"
        _output.write_rows(rows, folder, stem, extra)
        _output.figure([lambda ax: plotting.sweep(study, ax)], folder / f"{stem}.{args.format}", dpi=args.dpi,
                       title=args.title)
        print(f"\nwritten to {folder}: {stem}.{args.format}, {stem}.csv, {stem}.json", file=sys.stderr)
    elif not args.json:
        print("\nWith --out DIR: the figure, and the numbers as CSV and JSON.")
    return 0


def _grid(items):
    """The dict of a grid."""
    import numpy as np

    if not 1 <= len(items) <= 2:
        raise ValueError(f"--grid must be given once or twice, got {len(items)}")
    grid = {}
    for item in items:
        key, equals, said = (part.strip() for part in item.partition("="))
        if not equals or not key.isidentifier() or not said or key in grid:
            raise ValueError(f"--grid must be KEY=A,B,... or KEY=LOW:HIGH:N, each key once, got {item!r}")
        if ":" not in said:
            grid[key] = [value(word.strip()) for word in said.split(",") if word.strip()]
            continue
        parts: list[Any] = [value(word) for word in said.split(":")]
        numbers = all(isinstance(part, (int, float)) for part in parts)
        if len(parts) != 3 or not numbers or not (
                0 < parts[0] < parts[1] < float("inf") and isinstance(parts[2], int) and 2 <= parts[2] <= 1000):
            raise ValueError(f"--grid {key} must be LOW:HIGH:N with 0 < LOW < HIGH and N in [2, 1000], got {said!r}")
        grid[key] = [float(f"{v:.6g}") for v in np.geomspace(*parts)]
    return grid
