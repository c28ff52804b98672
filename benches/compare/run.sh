#!/usr/bin/env bash
# Compares `reprompt` with PyTorch; README.md beside this file says how. All arguments are those of compare.py.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
environment=$root/target/compare-venv
wanted=$here/requirements.txt
# Made anew where the requirements have changed, and only if it was made to its end.
if ! cmp -s "$wanted" "$environment/requirements.txt"; then
    rm -rf "$environment"
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --requirement "$wanted"
    cp "$wanted" "$environment/requirements.txt"
fi
# Nothing is left beside the sources.
export PYTHONDONTWRITEBYTECODE=1
exec "$environment/bin/python" "$here/compare.py" "$@"
