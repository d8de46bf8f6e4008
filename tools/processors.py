"""Run the suite as on other machines: ``python tools/processors.py [--only NAME[,NAME...]] [pytest's arguments]``.

Settings that the compiler sees have cache folders of their own, since numba's keys do not hold all of them. A table
of the verdicts ends the output; the exit status is 1 if any failed.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WITHOUT_COMPILER = ["tests/core/test_without_compiler.py"]
COMPILED_AS = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_BOUNDSCHECK", "NUMBA_DISABLE_JIT")
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
    """Run them all, or those after ``--only``."""
    chosen = settings()
    if arguments[:1] == ["--only"]:
        names = arguments[1].split(",") if len(arguments) > 1 else []
        if not names or not set(names) <= set(chosen):
            sys.exit(f"--only must be followed by some of {','.join(chosen)}, with commas between them")
        chosen, arguments = {name: chosen[name] for name in names}, arguments[2:]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, environment in chosen.items():
            print(f"== {name}", flush=True)
            tests = WITHOUT_COMPILER if name == "no-compiler" else arguments
            begin = time.perf_counter()
            compiled_as = name if any(key in COMPILED_AS for key in environment) else "host's"
            own = {"NUMBA_CACHE_DIR": f"{folder}/{compiled_as}/kernels",
                   "ODEOPT_CACHE_DIR": f"{folder}/{compiled_as}/loops"}
            status = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tests], cwd=ROOT,
                                    env=os.environ | own | environment).returncode
            rows.append((name, "passed" if status == 0 else f"failed ({status})", time.perf_counter() - begin))
    for name, verdict, seconds in rows:
        print(f"{name:<18}{verdict:<14}{seconds:7.0f} s")
    return int(any(verdict != "passed" for _, verdict, _ in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
