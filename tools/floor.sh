#!/usr/bin/env bash
# Runs the suite (or the tests given) with the oldest versions that setup.cfg allows, then with the newest.
# PYTHON: an interpreter for which the oldest versions have wheels.  NEWEST_PYTHON: one for the newest.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$top"
sed -n '/^install_requires/,/^$/s/^ \{4\}\([a-z]*\)>=\([0-9.]*\).*/\1==\2/p' setup.cfg > "$work/oldest"
sed -n '/^install_requires/,/^$/s/^ \{4\}\([a-z].*\)/\1/p' setup.cfg > "$work/newest"
status=0
for which in oldest newest; do
    python=${PYTHON:-python3}
    [ $which = newest ] && python=${NEWEST_PYTHON:-$python}
    "$python" -m venv "$work/$which-venv"
    run=$work/$which-venv/bin/python
    echo "== $which: $("$run" --version), $(tr '\n' ' ' < "$work/$which")"
    "$run" -m pip install -q -r "$work/$which" 'pytest>=8' 'pytest-xdist>=3.6' 'setuptools>=68' 'hypothesis>=6' 'ruff>=0.6'
    # PYTHONPATH and not an installed copy: what is installed could lift a version
    NUMBA_CACHE_DIR=$work/$which-kernels ODEOPT_CACHE_DIR=$work/$which-loops PYTHONPATH=$top \
        "$run" -m pytest -n 2 -p no:cacheprovider "$@" || status=1
done
exit $status
