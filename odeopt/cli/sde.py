"""Hold stochastic optimizers against their SDEs: stationary laws, weak orders, norms, mixing.

stationary: covariance of the iterates on a quadratic by the discrete Lyapunov equation, by the SDE
and by sampling, and of their averages. weak-order: weak errors of SGD against its SDE and the modified
one, and of the integrators. norm-equilibrium: |w|^2 of SGD with weight decay on the normalised digits
model. mixing: distances, averages of two epochs and of two runs, and predictions of runs from two starts.
Exit status 1 when a sampled value misses its exact one or an order its theory. With --out, also a
figure, a CSV and a JSON file.
"""

import sys

from . import _output
from ._words import count, number

CURVATURES, VARIANCES = "3,1", "1,0.5"


def add_arguments(parser):
    """STUDY [options of the study] [--seed] [--threads] [--out] [--json]."""
    studies = parser.add_subparsers(dest="study", required=True, metavar="STUDY")
    one = studies.add_parser("stationary", help="stationary covariance: exact, SDE, sampled")
    _quadratic(one)
    one.add_argument("--lr", type=number, default=0.3, help="learning rate (default 0.3)")
    one.add_argument("--momentum", type=number, default=0.0, help="heavy ball with this momentum (default 0: SGD)")
    one.add_argument("--nesterov", action="store_true", help="Nesterov instead of heavy ball")
    one.add_argument("--paths", type=count, default=20_000, help="independent paths (default 20000)")
    one.add_argument("--average", type=count, default=50, help="also average this many iterates (default 50; 0: no)")
    two = studies.add_parser("weak-order", help="weak orders by exact moments")
    _quadratic(two)
    two.add_argument("--lr", type=number, default=0.125, help="coarsest learning rate (default 0.125)")
    two.add_argument("--time", type=number, default=2.0, help="flow time, a multiple of lr (default 2)")
    two.add_argument("--levels", type=count, default=8, help="number of step sizes, each half the last (default 8)")
    three = studies.add_parser("norm-equilibrium", help="|w|^2 under weight decay on the digits")
    _pairs(three, "0.1:0.1,1:0.01,0.01:1,0.1:0.01")
    four = studies.add_parser("mixing", help="distances, averages, and agreement of predictions on the digits")
    _pairs(four, "0.1:0.03,0.03:0.1,0.1:0.01")
    four.add_argument("--time", type=number, default=2.0, help="lr * wd * steps to run (default 2)")
    for study in (one, two, three, four):
        if study is not two:  # the exact one
            study.add_argument("--seed", type=count, default=0, help="of the noise (default 0)")
            study.add_argument("--threads", type=count, help="default: all; results do not depend on it")
        _output.add_output(study)


def _quadratic(parser):
    parser.add_argument("--curvatures", default=CURVATURES, metavar="A,B,...", help=f"default {CURVATURES}")
    parser.add_argument("--variances", default=VARIANCES, metavar="A,B,...",
                        help=f"of the gradient noise, one per curvature (default {VARIANCES})")


def _pairs(parser, default):
    parser.add_argument("--pairs", default=default, metavar="LR:WD,...", help=f"default {default}")
    parser.add_argument("--paths", type=count, default=8, help="runs of each pair (default 8)")


def run(args):
    """0, or 1 when a measurement misses its theory."""
    folder = _output.out_folder(args)
    tables, notes, drawers, good = {"stationary": _stationary, "weak-order": _weak_order,
                                    "norm-equilibrium": _norm_equilibrium, "mixing": _mixing}[args.study](args)
    cut = _output.interrupted()
    rows = next(iter(tables.values()))
    extra = {"study": args.study, "notes": notes, **dict(list(tables.items())[1:])}
    if args.json:
        _output.print_json(rows, extra)
    else:
        for title, table in tables.items():
            print(f"{title}\n\n{_output.table(table, list(table[0])) if table else 'nothing done'}\n")
        print("\n".join(notes))
    if folder is not None:
        stem = f"sde-{args.study}"
        _output.write_rows(rows, folder, stem, extra)
        if not cut:
            _output.figure(drawers(), folder / f"{stem}.{args.format}", dpi=args.dpi,
                           title=args.title)
        drawn = "" if cut else f"{stem}.{args.format}, "
        print(f"\nwritten to {folder}: {drawn}{stem}.csv, {stem}.json", file=sys.stderr)
    elif not args.json:
        print("\nWith --out DIR: a figure, and the numbers as CSV and JSON.")
    return 0 if good else 1


def _numbers(name, words):
    try:
        return [float(word) for word in words.split(",")]
    except ValueError:
        raise ValueError(f"--{name} must be numbers with commas between, got {words!r}") from None


def _matrices(args):
    import numpy as np

    curvatures, variances = _numbers("curvatures", args.curvatures), _numbers("variances", args.variances)
    if len(curvatures) != len(variances):
        raise ValueError(f"--variances must have {len(curvatures)} numbers, one per curvature, got {len(variances)}")
    return np.diag(curvatures), np.diag(variances)


def _lr_decay(args):
    try:
        pairs = [tuple(float(word) for word in pair.split(":")) for pair in args.pairs.split(",")]
    except ValueError:
        pairs = [()]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"--pairs must be LR:WD pairs with commas between, got {args.pairs!r}")
    return pairs


def _stationary(args):
    from .. import GradientDescent, Momentum, Nesterov
    from ..studies.noise.stationary import stationary

    h, c = _matrices(args)
    if args.nesterov:
        optimizer = Nesterov(args.lr, args.momentum)
    else:
        optimizer = Momentum(args.lr, args.momentum) if args.momentum else GradientDescent(args.lr)
    study = stationary(optimizer, h, c, paths=args.paths, average=args.average, seed=args.seed, threads=args.threads,
                       progress=True)

    def drawers():
        from ..plotting import stochastic

        return [lambda ax: stochastic.stationary(study, ax)]

    return {"stationary covariance": study.rows()}, [study.headline()], drawers, study.agrees


def _weak_order(args):
    from .. import GradientDescent
    from ..studies.noise.weak_order import integrator_order, weak_order

    h, c = _matrices(args)
    x0 = [1.0 + i for i in range(h.shape[0])]
    method = GradientDescent(args.lr)
    studies = [weak_order(method, h, c, x0, args.time, order=order, levels=args.levels) for order in (1, 2)]
    studies += [integrator_order(scheme, h, c, x0, args.time, optimizer=method, levels=args.levels, coarsest=8)
                for scheme in ("euler_maruyama", "weak_second_order")]
    tables = {study.what: study.rows() for study in studies}
    expected = (1, 2, 1, 2)
    good = all(abs(study.order - order) < 0.1 for study, order in zip(studies, expected))
    notes = [f"{study.headline()}; theory {order}" for study, order in zip(studies, expected)]

    def drawers():
        from ..plotting import stochastic

        return [lambda ax: stochastic.weak_orders(studies, ax)]

    return tables, notes, drawers, good


def _norm_equilibrium(args):
    from .. import problems
    from ..studies.networks.scale_invariance import directions, norm_equilibrium

    problem = problems.normalized_logistic()
    study = norm_equilibrium(_lr_decay(args), problem, x0=directions(problem.x0), paths=args.paths, seed=args.seed,
                             threads=args.threads, progress=True)

    def drawers():
        from ..plotting import stochastic

        return [lambda ax: stochastic.norm_equilibrium(study, ax)]

    return {"equilibrium of |w|^2": study.rows()}, [study.headline()], drawers, True


def _mixing(args):
    from .. import GradientDescent
    from ..studies.noise.mixing import averaged_pairs, function_mixing, lag_distance_network, lag_distance_quadratic

    pairs, common = _lr_decay(args), {"seed": args.seed, "threads": args.threads, "progress": True}
    method, own = GradientDescent(0.1, weight_decay=0.005), common | {"paths": args.paths}
    studies = {
        "predictions of runs from two starts": lambda: function_mixing(pairs, intrinsic_time=args.time, **own),
        "averages of weights": lambda: averaged_pairs(method, **own),
        "distance along a run, quadratic": lambda: lag_distance_quadratic(
            GradientDescent(0.2), [[3.0, 0.7], [0.7, 1.0]], [[1.0, 0.3], [0.3, 0.5]], **common),
        "distance along a run, network": lambda: lag_distance_network(method, lags=10, stride=100, **own),
    }
    done = _output.each(studies, lambda title: studies[title](), str)
    tables = {title: study.rows() for title, study in zip(studies, done)} or {next(iter(studies)): []}
    if len(done) > 2:
        tables["distance along a run, quadratic"] = done[2].rows()[9::10]

    def drawers():
        from ..plotting import stochastic

        return [lambda ax: stochastic.function_mixing(done[0], ax), lambda ax: stochastic.lag_distance(done[2:], ax)]

    return tables, [study.headline() for study in done], drawers, True
