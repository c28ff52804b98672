#!/usr/bin/env bash
# Installs the requirements of training: a Python environment, and the icons that scenes are composed from. Needs
# python3 and npm.
set -euo pipefail
cd "$(dirname "$0")"
work=$(realpath -m "${1:-work}")
mkdir -p "$work/icons"
if ! cmp -s requirements.txt "$work/venv/requirements.txt"; then
    rm -rf "$work/venv"
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --requirement requirements.txt
    # exists only after a complete installation
    cp requirements.txt "$work/venv/requirements.txt"
fi
if ! test -e "$work/icons/package/icons.json"; then
    (cd "$work/icons" && npm pack --silent @iconify-json/fluent-emoji-flat@1.2.6 && tar xzf iconify-json-fluent-emoji-flat-1.2.6.tgz)
fi
