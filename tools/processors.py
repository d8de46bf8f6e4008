"""Run the suite as on other machines: ``python tools/processors.py [--only NAME] [pytest's arguments]``.

Each setting has cache folders of its own, since numba's keys do not hold all of them. A table of the
verdicts ends the output; the exit status is 1 if any failed.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WITHOUT_COMPILER = ["tests/core/test_without_compiler.py"]
AVX512 = ("avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd")


def features(*names, on):
    """This processor's features, some of them switched."""
    from llvmlite import binding

    has = binding.get_host_cpu_features()
    switched = {name: on and has.get(name, False) for name in names}
    return ",".join(f"{'+' if value else '-'}{name}" for name, value in sorted((dict(has) | switched).items()))


def settings():
    """``name -> environment``."""
    without_512 = {"NUMBA_CPU_FEATURES": features(*AVX512, on=False)}
    return {
        "generic": {"NUMBA_CPU_NAME": "generic"},
        "host": {"NUMBA_CPU_FEATURES": features(*AVX512, "fma", on=True)},
        "no-avx512": without_512,
        "no-fma": {"NUMBA_CPU_FEATURES": features(*AVX512, "fma", on=False)},
        "openblas-haswell": {"OPENBLAS_CORETYPE": "Haswell"},
        "openblas-nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
        "one-thread": {"OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        "two-threads": {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"},
        "boundscheck": {"NUMBA_BOUNDSCHECK": "1"},
        "no-compiler": {"NUMBA_DISABLE_JIT": "1"},
    }


def main(arguments):
    """Run them all, or the one after ``--only``."""
    chosen = settings()
    if arguments[:1] == ["--only"]:
        if len(arguments) < 2 or arguments[1] not in chosen:
            sys.exit(f"--only must be followed by one of {', '.join(chosen)}")
        chosen, arguments = {arguments[1]: chosen[arguments[1]]}, arguments[2:]
    rows = []
    for name, environment in chosen.items():
        print(f"== {name}", flush=True)
        tests = WITHOUT_COMPILER if name == "no-compiler" else arguments
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            own = {"NUMBA_CACHE_DIR": f"{folder}/kernels", "ODEOPT_CACHE_DIR": f"{folder}/loops"}
            status = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tests], cwd=ROOT,
                                    env=os.environ | own | environment).returncode
            rows.append((name, "passed" if status == 0 else f"failed ({status})", time.perf_counter() - begin))
    for name, verdict, seconds in rows:
        print(f"{name:<18}{verdict:<14}{seconds:7.0f} s")
    return int(any(verdict != "passed" for _, verdict, _ in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
