#!/usr/bin/env bash
# Compares `reprompt` with PyTorch; see README.md in this folder. The arguments are those of compare.py.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
environment=$root/target/compare-venv
wanted=$here/requirements.txt
# Recreated if the requirements have changed, or if it is incomplete.
if ! cmp -s "$wanted" "$environment/requirements.txt"; then
    rm -rf "$environment"
    python3 -m venv "$environment"
    "$environment/bin/pip" install --quiet --requirement "$wanted"
    cp "$wanted" "$environment/requirements.txt"
fi
# Write nothing next to the sources.
export PYTHONDONTWRITEBYTECODE=1
exec "$environment/bin/python" "$here/compare.py" "$@"
