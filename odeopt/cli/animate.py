"""Animate optimizers racing on a plane problem, with the flow of each.

At equal gradient counts or at equal flow time (--pace), with suggested or tuned learning rates
(--tune: the same search for each, printed); the caption says which. GIF, MP4 (where ffmpeg is
installed) or an HTML page, by the ending of --out, or --format.
"""

import sys

from ..progress import progress_bar
from . import _output, _things, plot
from ._words import count

ENDINGS = (".gif", ".mp4", ".html")


def add_arguments(parser):
    """PROBLEM [--optimizers] [--steps | --time] [--pace] [--tune] [--out FILE]."""
    _things.add_problem(parser)
    _things.add_optimizers(parser, "gd,momentum,nesterov,rmsprop,adam")
    _output.add_start(parser)
    _output.add_length(parser, 150)
    parser.add_argument("--pace", choices=("gradients", "time"), default="gradients",
                        help="what is equal at each frame (default: gradients)")
    parser.add_argument("--frames", type=count, default=80, metavar="N", help="frames of the animation (default 80)")
    parser.add_argument("--fps", type=count, default=18, metavar="N", help="frames per second, 1 to 100 (default 18)")
    _output.add_look(parser)
    parser.add_argument("--tune", action="store_true", help="tune each learning rate first (19 runs each)")
    _output.add_file(parser, ENDINGS, "race-PROBLEM")


def run(args):
    """0 when the file is written."""
    problem, x0 = _things.problem_of(args)
    if problem.dim != 2:
        raise ValueError(f"animate needs a problem of 2 variables, {problem.name} has {problem.dim}")
    path = _output.out_file(args, f"race-{_output.stem(problem)}", ENDINGS)
    from .. import plotting

    plotting.animation.writable(path)
    plotting.animation.pace_of(args.frames, args.fps)
    results = plot.compared(args, problem, x0, plot.chosen(args, problem, x0))
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    caption = "each lr from the same search of 19 runs" if args.tune else "learning rates as suggested, not tuned"
    with plotting.style(), rc_context({"savefig.dpi": args.dpi or 90}):
        fig = Figure(figsize=(5.6, 4.9), dpi=args.dpi or 90, layout="constrained")
        made = plotting.race(problem, results, fig, window=args.window, pace=args.pace, frames=args.frames,
                             fps=args.fps, caption=caption, title=args.title)
        with progress_bar(total=args.frames, unit="frame") as bar:
            written = plotting.save_animation(made, path, progress=lambda i, n: bar.update())
    print(f"written: {written}", file=sys.stderr)
    return 0
