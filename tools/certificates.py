"""Measure the order of every optimizer for the site's pages: ``python tools/certificates.py`` (``make certificates``).

It takes some minutes, so the result is kept, in docs/data/certificates.json. With names of optimizers, such as
``adam dog``, only those are measured, and the others' rows stay.
"""

import json
import math
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "data" / "certificates.json"
COLUMNS = ("optimizer", "start", "expected", "measured", "spread", "verdict")


def rounded(value):
    """Three digits, as machines differ in later ones; None for not-a-number."""
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.3g}")
    return value


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    import odeopt as oo

    problem, t_end, names = oo.problems.sine_bowl(), 1.0, sys.argv[1:] or list(oo.optimizers.ALL)
    methods = [oo.optimizers.by_name(name).default() for name in names]
    found = oo.order_certificates([method for method in methods if method.flow], problem, t_end=t_end, progress=True)
    rows = [{name: rounded(row[name]) for name in COLUMNS} for row in found.rows()]
    order = [cls.title for cls in oo.optimizers.ALL.values()]
    if sys.argv[1:]:
        measured = {method.title for method in methods}
        rows += [row for row in json.loads(TARGET.read_text(encoding="utf-8"))["rows"]
                 if row["optimizer"] in set(order) - measured]
    rows.sort(key=lambda row: order.index(row["optimizer"]))
    text = json.dumps({"problem": found.problem, "t_end": t_end, "rows": rows}, indent=1, ensure_ascii=False)
    TARGET.write_text(text + "\n", encoding="utf-8")
