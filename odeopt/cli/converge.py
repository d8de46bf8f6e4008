"""Certify the order of each optimizer against the flow that it discretises.

Halves the step again and again with the flow held fixed and prints one row per optimizer and start:
the flow, the scheme, how each hyperparameter must move with the step, the order its page declares
and the order measured. Exit status 1 when an order is not certified. With --out, also one log-log
figure of the errors, a CSV and a JSON file.
"""

import sys

from . import _output, _things
from ._words import count, number


def add_arguments(parser):
    """PROBLEM [--optimizers] [--set] [--time] [--levels] [--start] [--against] [--out] [--json]."""
    _things.add_problem(parser)
    _things.add_optimizers(parser, "all")
    parser.add_argument("--time", type=number, metavar="T", help="flow time (default: that of 64 coarse steps)")
    parser.add_argument("--levels", type=count, default=8, metavar="N",
                        help="number of step sizes, each half the last (default 8)")
    _output.add_start(parser, "both", "cold", "consistent")
    parser.add_argument("--against", choices=("reference", "richardson"), default="reference",
                        help="measure against the flow's solution or against the next finer run")
    _output.add_output(parser)


def run(args):
    """0 when every order is certified, 1 when one is not."""
    from ..studies.order.certificates import COLUMNS, order_certificates

    folder = _output.out_folder(args)
    problem, x0 = _things.problem_of(args)
    chosen = _things.methods_of(args, problem, x0, 500)
    result = _output.kept(order_certificates(chosen, problem, x0, args.time, args.levels, start=args.start,
                                             against=args.against, progress=True))
    rows = result.rows()
    extra = {"problem": problem.name, "x0": list(x0), "studies": [study.to_dict() for study in result.studies]}
    if args.json:
        _output.print_json(rows, extra)
    else:
        print(f"{problem.name}, n = {problem.dim}: order certificates (slope of the largest error against h)\n")
        print(_output.table(rows, COLUMNS))
        if result.message:
            print(f"\n{result.message}")
    if folder is not None:
        from .. import plotting

        stem = f"converge-{_output.stem(problem)}"
        _output.write_rows(rows, folder, stem, extra)
        if result.studies:  # none where no method has a classical flow
            _output.figure([lambda ax: plotting.convergence(result.studies, ax)], folder / f"{stem}.{args.format}",
                           size=(7.2, 4.4), dpi=args.dpi, title=args.title or _output.heading(problem))
        drawn = f"{stem}.{args.format}, " if result.studies else ""
        print(f"\nwritten to {folder}: {drawn}{stem}.csv, {stem}.json", file=sys.stderr)
    elif not args.json:
        print("\nWith --out DIR: the log-log figure, and the numbers as CSV and JSON.")
    return 0 if result.certified else 1
