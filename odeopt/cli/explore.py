"""Open a page in the browser on which everything moves: drag the start, turn hyperparameters, halve the step.

The contour map with iterates and flows, and beside it the distance to the flow, the objective, the step over the
largest stable one, and the order, measured as you move. It is served on this machine alone (--address says where
else) until Ctrl-C. With --html FILE, a file that needs neither Python nor network, with sliders for the step and
its refinement. It needs the extra `explore`.
"""

import argparse

from . import _output, _things
from ._words import count, is_formula


def add_arguments(parser):
    """[PROBLEM] [--optimizers] [--steps] [--html FILE] [--port] [--address] [--no-browser]."""
    parser.add_argument("problem", metavar="PROBLEM", nargs="?", default="beale",
                        help="as for the other commands, of two variables (default: beale)")
    parser.add_argument("--x0", metavar="A,B", help="start (default: the problem's own)")
    _things.add_optimizers(parser, "gd,momentum,nesterov,rmsprop,adam", schemes=False)
    _output.add_start(parser, "cold", "consistent")
    parser.add_argument("--steps", type=count, default=200, metavar="N", help="steps of each optimizer (default 200)")
    parser.add_argument("--html", metavar="FILE", help="write a file instead of serving a page")
    parser.add_argument("--address", default="127.0.0.1", metavar="HOST", help="where to serve (default: 127.0.0.1)")
    parser.add_argument("--port", type=count, metavar="N", help="default: the first free one from 5006 on")
    parser.add_argument("--no-browser", action="store_true", help="only say where the page is")


def run(args):
    """0 when the file is written, or the page was left."""
    from .. import problems
    from ..explore import asked, need_bokeh
    from ..explore.state import introduce, is_heavy

    need_bokeh()
    path = None
    if args.html is not None:
        path = _output.out_file(argparse.Namespace(out=args.html), "", (".html", ".htm"), "--html")
    problem, x0 = _things.problem_of(args)
    word = args.problem.strip()
    by_word = not is_heavy(word) and (is_formula(word) or word.lower().replace("_", "-") in problems.ALL)
    methods = _things.optimizers_of(args, problem, x0, args.steps)
    for place, cls in _things.own_optimizers(args.optimizers):
        introduce(cls, place)
    state, given = asked(word if by_word else problem, methods, None if args.x0 is None else x0, args.steps)
    state = state.changed(start=args.start)
    if path is None:
        from ..explore.server import serve

        serve(state, given, address=args.address, port=args.port, browser=not args.no_browser)
    else:
        from ..explore.static import write

        size = write(state, path, given)
        print(f"{path}  {size / 1e6:.1f} MB")
    return 0
