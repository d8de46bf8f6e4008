"""Draw one picture of runs on a problem.

Kinds: paths (on the contours, with their flows; the principal plane in more dimensions), errors, objective,
gradient, rate, step (its flow time), clock, surface, phase (of the methods whose flow is of second order). More
than six methods have a panel each.
"""

import sys

from . import _output, _things

KINDS = ("paths", "errors", "objective", "gradient", "rate", "step", "clock", "surface", "phase")
ENDINGS = tuple(f".{name}" for name in _output.FORMATS)
WITHOUT_FLOW = ("objective", "gradient", "rate", "step", "clock", "surface")


def add_arguments(parser):
    """KIND PROBLEM [--optimizers] [--steps | --time] [--set] [--out FILE]."""
    parser.add_argument("kind", type=str.lower, choices=KINDS, metavar="KIND", help=f"one of {', '.join(KINDS)}")
    _things.add_problem(parser)
    _things.add_optimizers(parser, "gd,momentum,nesterov,rmsprop,adam")
    _output.add_start(parser)
    _output.add_length(parser, 200)
    parser.add_argument("--tune", action="store_true", help="tune each learning rate first (19 runs each)")
    _output.add_look(parser)
    _output.add_file(parser, ENDINGS, "KIND-PROBLEM")


def chosen(args, problem, x0):
    """The optimizers of the arguments, tuned (and the tuning printed) where asked for."""
    optimizers = _things.methods_of(args, problem, x0, args.steps)
    if not args.tune:
        return optimizers
    from ..studies.search.lr_search import tune

    studies = _output.each(optimizers, lambda o: tune(o, problem, x0, args.steps), lambda o: f"tuning {o.title}")
    print(_output.table([{"optimizer": name, "lr": s.best_lr, "f": s.best_value, "runs": int(s.lr.size),
                          "gradients": s.gradients, "at the edge": "yes" if s.edge else "no"}
                         for s, name in zip(studies, _output.labels(optimizers))],
                        ("optimizer", "lr", "f", "runs", "gradients", "at the edge")))
    if _output.interrupted():
        raise KeyboardInterrupt
    return [s.optimizer for s in studies]


def compared(args, problem, x0, optimizers, local=False):
    """A Comparison for each."""
    from ..studies.order.comparison import compare

    results = _output.each(
        optimizers, lambda o: compare(o, problem, x0, args.steps, t_end=args.time, local=local, check=False),
        lambda o: o.title)
    if not results:
        raise KeyboardInterrupt
    return results


def recorded(args, problem, x0, optimizers):
    """A Trajectory for each: pictures that show no flow need none solved."""
    from ..engine.record import record

    steps = None if args.time is not None else args.steps
    results = _output.each(optimizers, lambda o: record(o, problem, x0, steps, t_end=args.time, progress=True),
                           lambda o: o.title)
    if not results:
        raise KeyboardInterrupt
    return results


def run(args):
    """0 when the file is written."""
    problem, x0 = _things.problem_of(args)
    if args.kind == "surface" and problem.dim != 2:
        raise ValueError(f"surface needs a problem of 2 variables, {problem.name} has {problem.dim}")
    if args.kind == "paths" and problem.dim < 2:
        raise ValueError(f"paths needs a problem of 2 variables or more, {problem.name} has {problem.dim}")
    if args.window and (problem.dim != 2 or args.kind not in ("paths", "surface")):
        raise ValueError("--window goes with the paths or the surface of a problem of 2 variables")
    path = _output.out_file(args, f"{args.kind}-{_output.stem(problem)}", ENDINGS)
    optimizers = chosen(args, problem, x0)
    if args.kind in WITHOUT_FLOW:
        results = recorded(args, problem, x0, optimizers)
    else:
        results = compared(args, problem, x0, optimizers, local=args.kind == "phase")
    from .. import plotting

    if args.kind == "errors" and all(c.reference is None for c in results):
        raise ValueError("errors needs an optimizer that has a flow, got " + ", ".join(c.method.title for c in results))
    if args.kind == "phase":
        results = [c for c in results if c.reference is not None and c.reference.flow.order_of_position == 2]
        if not results:
            raise ValueError("phase needs an optimizer whose flow is of second order, such as momentum or nesterov")
    title = args.title or _output.heading(problem)
    draw = {
        "paths": (lambda ax: plotting.trajectories(problem, results, ax, args.window)) if problem.dim == 2 else (
            lambda ax: plotting.principal_plane(results, ax)),
        "errors": lambda ax: plotting.errors(results, ax),
        "objective": lambda ax: plotting.objectives(results, ax, f_min=problem.f_min),
        "gradient": lambda ax: plotting.gradient_norms(results, ax),
        "rate": lambda ax: plotting.learning_rates(results, ax),
        "step": lambda ax: plotting.step_lengths(results, ax),
        "clock": lambda ax: plotting.clocks(results, ax),
        "surface": lambda ax: plotting.surface(problem, results, ax, args.window),
        "phase": lambda ax: plotting.phase_portrait(results, ax),
    }[args.kind]
    shown = [c for c in results if c.reference is not None] if args.kind == "errors" else results
    options = {"subplot_kw": {"projection": "3d"}} if args.kind == "surface" else {}
    if len(shown) > _output.MANY:
        draw = {
            "paths": lambda axes: plotting.path_panels(problem, shown, axes, args.window),
            "errors": lambda axes: plotting.error_panels(shown, axes),
            "surface": lambda axes: plotting.surface_panels(problem, shown, axes, args.window),
            "phase": lambda axes: plotting.phase_panels(shown, axes),
        }.get(args.kind, lambda axes: plotting.curve_panels(args.kind, shown, axes, f_min=problem.f_min))
        _output.panels(draw, len(shown), path, args.dpi, title, **options)
    else:
        with _output.saved(path, dpi=args.dpi, title=title, **options) as axes:
            draw(axes[0, 0])
    print(f"written: {path}", file=sys.stderr)
    return 0
