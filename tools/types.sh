#!/usr/bin/env bash
# Types as a user's checker sees them: pyright on the package, the examples and README's Python, with the wheel
# installed in an environment of its own.  PYTHON: the interpreter to build with.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q "$top[test,explore]" 'pyright[nodejs]>=1.1.400'
cp -r "$top/examples" "$work/examples"
cp "$top/pyproject.toml" "$work/"
awk '/^```python/ {on = 1; n++; next} /^```$/ {on = 0} on {print > sprintf("'"$work"'/readme_%02d.py", n)}' "$top/README.md"
cd "$work"  # where the package is the installed one
"$work/venv/bin/pyright" --pythonpath "$work/venv/bin/python" examples readme_*.py \
    "$("$work/venv/bin/python" -c 'import odeopt, pathlib; print(pathlib.Path(odeopt.__file__).parent)')"
