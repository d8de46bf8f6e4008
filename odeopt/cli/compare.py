"""Compare optimizers with the flows that they discretise.

Prints one row per optimizer: the flow, the scheme, the step h, the largest distance between the run
and its reference flow at equal flow time, the order measured by halving h twice (none where the
two halvings disagree), and the objective gap. With --out, also the figures (paths on the contours
with their flows, error against flow time; for problems in more dimensions the plane of the
principal directions and the objective; a panel each for more than six optimizers), a CSV and a
JSON file.
"""

import sys

from . import _output, _things

COLUMNS = ("optimizer", "flow", "scheme", "h", "steps", "gradients", "max error", "order", "f - f*", "status")


def add_arguments(parser):
    """PROBLEM [--optimizers] [--steps | --time] [--set] [--jobs] [--out] [--json]."""
    _things.add_problem(parser)
    _things.add_optimizers(parser, "gd,momentum,nesterov,rmsprop,adam")
    _output.add_length(parser, 500)
    _output.add_start(parser, "cold", "consistent")
    _output.add_jobs(parser)
    _output.add_output(parser)
    _output.add_window(parser)


def run(args):
    """0, also when an optimizer diverged (the table says so)."""
    from ..studies.order.comparison import compare

    folder = _output.out_folder(args)
    problem, x0 = _things.problem_of(args)
    jobs = _output.jobs_of(args, problem, x0)
    chosen = _things.methods_of(args, problem, x0, args.steps)

    def work(optimizer):
        return compare(optimizer, problem, x0, args.steps, t_end=args.time, start=args.start, local=False, order=True,
                       progress=True)

    results = _output.each(chosen, work, lambda o: o.title, jobs)
    if not results:
        raise KeyboardInterrupt
    names = _output.labels([result.method for result in results])
    rows = [result.row() | {"optimizer": name} for result, name in zip(results, names)]
    extra = {"problem": problem.name, "x0": list(x0), "start": args.start}
    if args.json:
        _output.print_json(rows, extra)
    else:
        print(f"{problem.name}, n = {problem.dim}: runs against their flows at equal flow time\n")
        print(_output.table(rows, COLUMNS))
        notes = [f"{row['optimizer']}: {row['message']}" for row in rows if row["message"]]
        if notes:
            print("", *notes, sep="\n")
    if folder is not None:
        _write(folder, problem, results, rows, extra, args)
    elif not args.json:
        print("\nWith --out DIR: the figures, and the numbers as CSV and JSON.")
    return 0


def _objectives(results, path, look):
    from .. import plotting

    if len(results) > _output.MANY:
        _output.panels(lambda axes: plotting.curve_panels("objective", results, axes), len(results), path, **look)
    else:
        _output.figure([lambda ax: plotting.objectives(results, ax)], path, **look)


def _write(folder, problem, results, rows, extra, args):
    from .. import plotting

    stem = f"compare-{_output.stem(problem)}"
    _output.write_rows(rows, folder, stem, extra)
    names = {what: f"{stem}-{what}.{args.format}" for what in ("paths", "errors", "objectives")}
    look, shown = {"dpi": args.dpi, "title": args.title or _output.heading(problem)}, args.window
    if problem.dim == 1:
        del names["paths"]  # a path on a line is its objective
    elif len(results) > _output.MANY:
        _output.panels(lambda axes: plotting.path_panels(problem, results, axes, shown), len(results),
                       folder / names["paths"], **look)
    elif problem.dim == 2:
        _output.figure([lambda ax: plotting.trajectories(problem, results, ax, shown)], folder / names["paths"],
                       **look)
    else:
        _output.figure([lambda ax: plotting.principal_plane(results, ax)], folder / names["paths"], **look)
    flows = sum(result.reference is not None for result in results)
    if flows > _output.MANY:
        _output.panels(lambda axes: plotting.error_panels(results, axes), flows, folder / names["errors"], **look)
    else:
        _output.figure([lambda ax: plotting.errors(results, ax)], folder / names["errors"], **look)
    if problem.dim == 2:
        del names["objectives"]  # the contours show them
    else:
        _objectives(results, folder / names["objectives"], look)
    print(f"\nwritten to {folder}: {', '.join(names.values())}, {stem}.csv, {stem}.json", file=sys.stderr)
