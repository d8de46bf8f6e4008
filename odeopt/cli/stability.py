"""Measure stability limits of optimizers and schemes and hold them against their formulas.

Probes the amplification matrix of each method on a quadratic of curvature c from its own kernel
(adaptive methods with their preconditioner P held fixed) and bisects for the largest stable
lr c/P. Further tables: real stability intervals of the schemes, best tunings for curvatures in
[mu, L] with the spectral radius measured, and the orbits of period two of adaptive methods. Exit
status 1 when a measured limit, rate or equivalence is not its formula's. With --out, also the stability
regions in the complex plane, the map of the spectral radius over lr and momentum, a CSV and a JSON file.
"""

import sys

from ..method import LINEAR
from . import _output, _things
from ._words import number

LIMITS = ("optimizer", "limit of lr c/P", "formula", "value", "deviation")
SCHEMES = ("heun", "rk4", "rkc")  # whose regions are drawn


def add_arguments(parser):
    """[--optimizers] [--set] [--mu] [--L] [--equivalences] [--out] [--json]."""
    _things.add_optimizers(parser, "all", schemes=False)
    parser.add_argument("--schemes", metavar="A,B,...",
                        help="names of `odeopt list schemes` or FILE.py:NAME (default: all; the regions are of "
                             f"{', '.join(SCHEMES)})")
    parser.add_argument("--mu", type=number, default=1.0, help="smallest curvature for tunings and map (default 1)")
    parser.add_argument("--L", type=number, default=10.0, help="largest curvature (default 10)")
    parser.add_argument("--equivalences", action="store_true",
                        help="execute the equivalences between methods as well (some seconds)")
    _output.add_output(parser)


def run(args):
    """0 when everything measured is what its formula says, else 1."""
    from .. import flows, problems, schemes
    from ..studies.order.statements import equivalences
    from ..studies.stability import optimal_parameters, periodic
    from ..studies.stability.limits import stability_table

    folder = _output.out_folder(args)
    problem = problems.quadratic([args.mu, args.L])
    chosen = _things.optimizers_of(args, problem, problem.x0, 500)
    wanted = None if args.schemes is None else _things.schemes_in(args.schemes)
    for scheme in wanted or ():
        scheme.fit(flows.gradient_flow(), problem)
    limits = stability_table(chosen, progress=True)
    if _output.interrupted(limits):
        return _finish(args, folder, chosen, {"limits": limits.rows()}, limits)
    intervals = [_interval(scheme) for scheme in wanted or filter(_fits, schemes.ALL.values())]
    rates = optimal_parameters.tuning_table(args.mu, args.L)
    orbits = [{"method": o.title, "lr": o.step, **row} for o in chosen if _has_orbit(periodic, o)
              for row in periodic.period_two_orbit(o).rows()]
    tables = {"limits": limits.rows(), "schemes": intervals, "tunings": rates.rows(),
              "orbits": orbits}
    good = limits.good and rates.good
    if args.equivalences and not _output.interrupted():
        claims = equivalences(progress=True)
        _output.interrupted(claims)
        tables["equivalences"], good = claims.rows(), good and bool(claims.holds.all())
    _finish(args, folder, chosen, tables, limits)
    return 0 if good else 1


def _finish(args, folder, chosen, tables, limits):
    """Print and write what there is."""
    if args.json:
        _output.print_json(tables["limits"], {k: v for k, v in tables.items() if k != "limits"})
    else:
        _print(args, tables, limits)
    if folder is not None:
        _write(folder, args, chosen, tables, limits)
    elif not args.json:
        print("\nWith --out DIR: regions and map as figures, and the numbers as CSV and JSON.")


def _fits(scheme):
    """Schemes that take gradient flow (Störmer–Verlet needs a second-order one)."""
    from ..flows import gradient_flow
    from ..problems import quadratic

    try:
        scheme.fit(gradient_flow(), quadratic([1.0]))
    except ValueError:
        return False
    return True


def _interval(scheme):
    from ..studies.stability.limits import stability_limit

    limit, stages = stability_limit(scheme), scheme.stages
    return {"scheme": scheme.name, "order": scheme.order, "gradients per step": stages or None,
            "real interval": limit, "interval per gradient": limit / stages if stages else None}


def _has_orbit(periodic, optimizer):
    try:
        periodic.period_two_orbit(optimizer)
    except ValueError:
        return False
    return True


def _is_linear(optimizer):
    """Whether its region is one of lr c alone: nothing in its memory is held fixed."""
    return optimizer.stability_limit() is not None and all(slot.role in LINEAR for slot in optimizer.slots)


def _print(args, tables, limits):
    print(limits.headline() + "\n")
    measured = [row for row in tables["limits"] if not row["message"]]
    if measured:
        print(_output.table(measured, LIMITS))
    without = [row for row in tables["limits"] if row["message"]]
    if without:
        print("\nNo limit (the step does not shrink in proportion to the gradient): "
              + ", ".join(row["optimizer"] for row in without))
    if "schemes" not in tables:
        return
    print("\nSchemes on gradient flow: length of the real stability interval of h c\n")
    print(_output.table(tables["schemes"], list(tables["schemes"][0])))
    print(f"\nBest tunings for curvatures in [{args.mu:g}, {args.L:g}]: rate per gradient, by formula and measured\n")
    print(_output.table(tables["tunings"], list(tables["tunings"][0])))
    if tables["orbits"]:
        print("\nOrbits of period two x, -x, ... on curvature 1, where adaptive steps end (or spike away from)\n")
        print(_output.table(tables["orbits"], list(tables["orbits"][0])))
    if "equivalences" in tables:
        print("\nEquivalences\n")
        print(_output.table(tables["equivalences"], list(tables["equivalences"][0])))


def _write(folder, args, chosen, tables, limits):
    from .. import plotting, schemes
    from ..optimizers import Momentum
    from ..studies.stability import regions

    _output.write_rows(limits.rows(), folder, "stability", {k: v for k, v in tables.items() if k != "limits"})
    if "schemes" not in tables:
        print(f"\nwritten to {folder}: limits.csv, limits.json", file=sys.stderr)
        return
    groups = {f"stability-optimizers.{args.format}": [o for o in chosen if _is_linear(o)],
              f"stability-schemes.{args.format}": [
                  schemes.ALL[name] for name in SCHEMES] if args.schemes is None else _things.schemes_in(args.schemes)}
    groups = {name: members for name, members in groups.items() if members}
    for name, members in groups.items():
        measured = [regions.stability_region(method) for method in members]
        _output.figure([lambda ax, r=region: plotting.stability_region(r, ax) for region in measured], folder / name,
                       (4.4, 4.0), args.dpi, args.title)
    surface = regions.spectral_radius_map(Momentum(lr=1 / args.L), args.mu, args.L)
    _output.figure([lambda ax: plotting.spectral_radius_map(surface, ax)], folder / f"stability-map.{args.format}",
                   dpi=args.dpi, title=args.title)
    files = [*groups, f"stability-map.{args.format}", "limits.csv", "limits.json"]
    print(f"\nwritten to {folder}: {', '.join(files)}", file=sys.stderr)
