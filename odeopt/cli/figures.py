"""Write the gallery: the picture of each example, named after it.

Runs every examples/NN_claim.py (or those named) and writes its PNG or GIF into --out. The files are
the same to the pixel on every run with the same libraries: on one BLAS thread, unless the environment
says OPENBLAS_NUM_THREADS, since sums and so trained networks depend on it. --check runs the examples'
numbers too.
"""

import os
import pathlib
import subprocess
import sys
import sysconfig

from . import _output


def add_arguments(parser):
    """[NAMES] [--examples] [--out] [--check]."""
    parser.add_argument("names", nargs="*", metavar="NN", help="examples by number or name (default: all)")
    parser.add_argument("--examples", metavar="DIR", help="folder of the examples (default: examples, as in the "
                        "repository, or those that were installed with the package)")
    parser.add_argument("--out", default="figures", metavar="DIR", help="folder of the figures (default: figures)")
    parser.add_argument("--check", action="store_true", help="also hold each example's numbers against theory")


_THREADS = "OPENBLAS_NUM_THREADS"


def _examples():
    """The folder here, or the installed one (for everybody, or for one user)."""
    schemes = [sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user")]
    installed = [pathlib.Path(sysconfig.get_path("data", scheme)) / "share" / "odeopt" / "examples"
                 for scheme in schemes]
    return next((str(folder) for folder in installed if not pathlib.Path("examples").exists() and folder.exists()),
                "examples")


def _on_one_thread(args):
    home = str(pathlib.Path(__file__).parents[2])
    path = os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.call([sys.executable, "-m", "odeopt", "figures", "--examples", args.examples, "--out", args.out,
                            *["--check"] * args.check, *args.names],
                           env=os.environ | {_THREADS: "1", "PYTHONPATH": path})


def run(args):
    """0; 1 if an example failed, or --check found a number that is off."""
    args.examples = args.examples or _examples()
    if _THREADS not in os.environ:  # numpy is loaded already and reads it no more: again, in a process of its own
        return _on_one_thread(args)
    from ..plotting import gallery

    files = gallery.find(args.examples, args.names)
    folder = _output.out_folder(args)
    wrong = []

    def work(path):
        try:
            written = _work(path)
        except Exception as error:  # one broken example must not cost the others their figures
            wrong.append(path)
            print(f"{path.stem}: {type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
            return
        for file in written:
            print(f"{pathlib.Path(file)}  {file.stat().st_size / 1000:.0f} kB", flush=True)

    def _work(path):
        module = gallery.load(path)
        if gallery.missing(module):
            print(f"{path.stem}: skipped, {gallery.missing(module)}", file=sys.stderr)
            return []
        for i, pair in enumerate(module.main() if args.check else []):
            deviation, tolerance = gallery.check(pair)
            if not deviation <= tolerance:
                wrong.append(path)
                print(f"{path.stem}: number {i + 1} is off by {deviation:.3g}, allowed {tolerance:.3g}",
                      file=sys.stderr)
        return gallery.write(path, folder)

    _output.each(files, work, lambda f: f.stem)
    return 1 if wrong else 0
