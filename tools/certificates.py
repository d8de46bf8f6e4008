"""Measure the order of every optimizer for the site's pages: ``python tools/certificates.py`` (``make certificates``).

It takes some minutes, so the result is kept, in docs/data/certificates.json.
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

    problem, t_end = oo.problems.sine_bowl(), 1.0
    methods = [cls.default() for cls in oo.optimizers.ALL.values()]
    found = oo.order_certificates([method for method in methods if method.flow], problem, t_end=t_end, progress=True)
    rows = [{name: rounded(row[name]) for name in COLUMNS} for row in found.rows()]
    text = json.dumps({"problem": found.problem, "t_end": t_end, "rows": rows}, indent=1, ensure_ascii=False)
    TARGET.write_text(text + "\n", encoding="utf-8")
