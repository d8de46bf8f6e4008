"""Hold the continuous models of a method at the edge of stability against a run of it.

Runs one optimizer and beside it gradient flow (or the method's own average motion), the modified and the principal
flow, the central flow, the two-gradient flow and the rod flow; where one is not known for the method the table says
so. Prints the largest errors of sharpness, loss and position before the limit is passed, there, in the first
overshoot, after it, and over all, with what each model costs. With --out, also the figure, a CSV and a JSON file.
"""

import sys

from . import _output, _things
from ._words import count


def add_arguments(parser):
    """PROBLEM [--optimizers] [--set] [--steps] [--every] [--warmup] [--directions] [--theories] [--out] [--json]."""
    _things.add_problem(parser)
    _things.add_optimizers(parser, "gd", schemes=False)
    parser.add_argument("--steps", type=count, default=1000, metavar="N", help="steps of the run (default 1000)")
    parser.add_argument("--every", type=count, default=10, metavar="K", help="steps between comparisons (default 10)")
    parser.add_argument("--warmup", type=count, default=0, metavar="N",
                        help="steps before the comparison, which fill the memory of Adam or RMSprop (default 0)")
    parser.add_argument("--directions", type=count, default=1, metavar="M",
                        help="critical eigenvectors that are followed (default 1)")
    parser.add_argument("--theories", metavar="A,B,...",
                        help="models to compare, such as 'central flow,two-gradient flow' (default: all)")
    _output.add_output(parser)


def run(args):
    """0, also when a model ends early."""
    from ..studies.stability import edge

    folder = _output.out_folder(args)
    problem, x0 = _things.problem_of(args)
    chosen = _things.optimizers_of(args, problem, x0, args.steps)
    theories = None if args.theories is None else [word.strip() for word in args.theories.split(",")]
    found = _output.each(chosen, lambda o: edge(o, problem, x0, args.steps, theories=theories, every=args.every,
                                                warmup=args.warmup, directions=args.directions), lambda o: o.title)
    if not found:
        raise KeyboardInterrupt
    names = _output.labels(chosen[: len(found)])
    rows = [{"optimizer": name, **row} for name, one in zip(names, found) for row in one.rows()]
    extra = {"problem": problem.name, "x0": list(x0), "studies": [one.to_dict() for one in found]}
    if args.json:
        _output.print_json(rows, extra)
    else:
        for one in found:
            print(f"{one}\n")
    if folder is not None:
        from .. import plotting

        stem = f"edge-{_output.stem(problem)}"
        _output.write_rows(rows, folder, stem, extra)
        keys = [o.key for o in chosen]
        for i, (key, one) in enumerate(zip(keys, found)):
            own = key if keys.count(key) == 1 else f"{key}-{i + 1}"  # the same name may stand there twice
            with _output.saved(folder / f"{stem}-{own}.{args.format}", (1, 3), dpi=args.dpi,
                               title=args.title or _output.heading(problem)) as axes:
                plotting.edge(one, axes[0])
        print(f"\nwritten to {folder}: {stem}-*.{args.format}, {stem}.csv, {stem}.json", file=sys.stderr)
    elif not args.json:
        print("With --out DIR: the figures, and the numbers as CSV and JSON.")
    return 0
