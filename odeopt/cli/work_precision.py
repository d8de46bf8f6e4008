"""Error against cost: gradient evaluations and wall time for a given accuracy.

Runs each optimizer, and with --schemes also generic integrators of gradient flow, with smaller and
smaller steps and prints for each run the gradients, the time, the distance to the flow that the method
declares and the objective gap. With --out, also the work-precision figure, a CSV and a JSON file.
"""

import sys

from . import _output
from ._words import count, number


def add_arguments(parser):
    """PROBLEM [--optimizers] [--schemes] [--set] [--steps | --time] [--levels] [--start] [--out] [--json]."""
    _output.add_problem(parser)
    _output.add_optimizers(parser, "gd,momentum,nesterov,rmsprop,adam")
    parser.add_argument("--schemes", default="", metavar="A,B,...",
                        help="integrators of gradient flow as well, names of `odeopt list schemes` such as heun,rk4 "
                             "(those whose steps can be given)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=count, default=200, metavar="N",
                        help="coarse steps that set each optimizer's flow time (default 200); schemes take the first's")
    length.add_argument("--time", type=number, metavar="T", help="one flow time for all instead")
    parser.add_argument("--levels", type=count, default=6, metavar="N", help="number of step sizes (default 6)")
    _output.add_start(parser, "cold", "consistent")
    _output.add_output(parser)


def run(args):
    """0, also when a run diverged (its error is inf)."""
    from .. import checks, flows, schemes
    from ..discretization import Discretization
    from ..studies.order.work_precision import work_precision

    folder = _output.out_folder(args)
    problem, x0 = _output.problem_of(args)
    chosen = _output.optimizers_of(args, problem, x0, args.steps)
    words = [word.strip() for word in args.schemes.split(",") if word.strip()]
    time = args.steps * chosen[0].h if args.time is None else args.time
    others = [Discretization(flows.gradient_flow(), schemes.ALL[checks.choice("--schemes", word, tuple(schemes.ALL))],
                             time / 64) for word in words]
    result = work_precision([*chosen, *others], problem, x0, args.time, args.levels, steps=args.steps, start=args.start,
                            progress=True)
    _output.interrupted(result)
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
                       dpi=args.dpi)
        print(f"\nwritten to {folder}: {stem}.{args.format}, {stem}.csv, {stem}.json", file=sys.stderr)
    elif not args.json:
        print("\nWith --out DIR: the figure, and the numbers as CSV and JSON.")
    return 0
