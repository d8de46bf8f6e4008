"""Error against cost: gradient evaluations and wall time for a given accuracy.

Runs each optimizer, and with --schemes also generic integrators of gradient flow, with smaller and
smaller steps and prints for each run the gradients, the time, the distance to the flow that the method
declares and the objective gap. With --out, also the work-precision figure, a CSV and a JSON file.
"""

import sys

from . import _output, _things
from ._words import count, number


def add_arguments(parser):
    """PROBLEM [--optimizers] [--schemes] [--set] [--steps | --time] [--levels] [--start] [--out] [--json]."""
    _things.add_problem(parser)
    _things.add_optimizers(parser, "gd,momentum,nesterov,rmsprop,adam")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=count, default=200, metavar="N",
                        help="coarse steps that set each optimizer's flow time (default 200); schemes take the first's")
    length.add_argument("--time", type=number, metavar="T", help="one flow time for all instead")
    parser.add_argument("--levels", type=count, default=6, metavar="N", help="number of step sizes (default 6)")
    _output.add_start(parser, "cold", "consistent")
    _output.add_output(parser)


def run(args):
    """0, also when a run diverged (its error is inf)."""
    from ..studies.order.work_precision import work_precision

    folder = _output.out_folder(args)
    problem, x0 = _things.problem_of(args)
    chosen = _things.optimizers_of(args, problem, x0, args.steps, needed=not args.schemes)
    time = args.time or (args.steps * chosen[0].h if chosen else None)
    others = _things.schemes_of(args, problem, x0, time and time / 64)
    result = _output.kept(work_precision([*chosen, *others], problem, x0, args.time, args.levels, steps=args.steps,
                                         start=args.start, progress=True))
    rows = result.rows()
    extra = {"problem": problem.name, "x0": list(x0), "study": result.to_dict()}
    if args.json:
        _output.print_json(rows, extra)
    else:
        print(f"{problem.name}, n = {problem.dim}: error against cost\n")
        print(_output.table(rows, ("method", "h", "gradients", "milliseconds", "flow error", "f - f*")))
        if result.message:
            print(f"\n{result.message}")
    if folder is not None:
        from .. import plotting

        stem = f"work-precision-{_output.stem(problem)}"
        _output.write_rows(rows, folder, stem, extra)
        _output.figure([lambda ax: plotting.work_precision(result, ax),
                        lambda ax: plotting.work_precision(result, ax, cost="seconds"),
                        lambda ax: plotting.work_precision(result, ax, of="gap")], folder / f"{stem}.{args.format}",
                       dpi=args.dpi, title=args.title or _output.heading(problem))
        print(f"\nwritten to {folder}: {stem}.{args.format}, {stem}.csv, {stem}.json", file=sys.stderr)
    elif not args.json:
        print("\nWith --out DIR: the figure, and the numbers as CSV and JSON.")
    return 0
