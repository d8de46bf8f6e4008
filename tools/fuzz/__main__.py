"""Random calls of the public API, right and hostile ones: ``python tools/fuzz run BATCHES COUNT FIRST_SEED``.

Each batch is a process that makes COUNT calls, reproducible from its seed and the call's number. What is asked for: no
death of the interpreter, no hang, no exception but a ValueError or TypeError whose one line names an argument, no
result that contradicts itself, no argument changed or shared. Calls are written to a log before they are made, so
that a death can be pinned; ``replay SEED LOG I ...`` makes single ones again. Warnings are logged, and are no failures.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOGS = Path(tempfile.gettempdir(), "odeopt-fuzz")


def run(batches, count, first):
    """A line for each batch and one for each kind of failure; whether there was none."""
    LOGS.mkdir(exist_ok=True)
    return all([_batch(seed, count) for seed in range(first, first + batches)])


def _batch(seed, count):
    log = LOGS / f"log{seed}.jsonl"
    log.unlink(missing_ok=True)
    begin = time.time()
    done = subprocess.run([sys.executable, Path(__file__).parent, "worker", str(seed), str(count), log], cwd=ROOT,
                          env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    text = log.read_text() if log.exists() else ""
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]
    kinds = {}
    for line in lines:
        if line.get("kind") not in (None, "WARN"):
            kinds.setdefault((line["kind"], line["op"], line["mine"], line["what"]), []).append(line["i"])
    calls, ended = sum("call" in line for line in lines), bool(lines) and "end" in lines[-1]
    failures = sum(map(len, kinds.values()))
    print(f"seed {seed}: {calls} calls, {time.time() - begin:.0f} s, {failures} failures", flush=True)
    for (kind, op, where, what), numbers in sorted(kinds.items()):
        print(f"  {kind} {op} {where}: {what} (call {', '.join(map(str, numbers[:5]))})", flush=True)
    if not ended:
        print(f"  DIED ({done.returncode}): {lines[-1] if lines else ''} {done.stderr[-400:]}", flush=True)
    return ended and not failures


def main(verb="", *words):
    if verb == "run":
        sys.exit(0 if run(*map(int, words)) else 1)
    if verb not in ("worker", "replay"):
        sys.exit("fuzz run BATCHES COUNT FIRST_SEED | fuzz replay SEED LOG I ...")
    sys.path.insert(1, str(ROOT))
    from worker import work

    if verb == "worker":
        seed, count, log = words
        work(int(seed), range(int(count)), log)
    else:
        seed, log, *numbers = words
        work(int(seed), [int(i) for i in numbers], log)


if __name__ == "__main__":
    main(*sys.argv[1:])
