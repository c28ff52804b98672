#!/usr/bin/env bash
# Clients that are generated from openapi.yaml: `tests/clients/generated.sh [PROGRAM]`.
#
# openapi-typescript and @hey-api/openapi-ts generate TypeScript, and programs with the README's edit as the smallest
# body are type-checked against it. openapi-python-client generates a package, and a program uses it to edit on the
# service with its embedded model (PROGRAM, target/release/reprompt). All generators run with their default options.
#
# Needs node, npm and python3 with venv. Everything is under target/clients/, the packages are those of the lock files.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/serve.sh
source tests/clients/packages.sh

packages
folder=target/clients/generated
rm -rf "$folder"
mkdir -p "$folder"
cp tests/clients/generated/* "$folder"
bin=$PWD/target/clients/node_modules/.bin

"$bin/openapi-typescript" openapi.yaml --output "$folder/schema.d.ts" >"$folder/log" 2>&1 ||
    { cat "$folder/log" >&2; exit 1; }
"$bin/openapi-ts" --input openapi.yaml --output "$folder/hey_api" --no-log-file >"$folder/log" 2>&1 ||
    { cat "$folder/log" >&2; exit 1; }
"$bin/tsc" --project "$folder/tsconfig.json"
echo "openapi-typescript and @hey-api/openapi-ts: the smallest bodies are what their types allow"

venv=$(venv target/venv-generated tests/clients/generated/requirements.txt)
PATH="$PWD/$venv/bin:$PATH" openapi-python-client generate --path openapi.yaml \
    --output-path "$folder/python" >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
# A warning says what the generator leaves out. It has no images, which are in the response's content all the same.
if grep '^WARNING' "$folder/log" | grep -v ' GET /v1/sessions/{id}/image '; then
    cat "$folder/log" >&2
    exit 1
fi
serve "${1:-target/release/reprompt}"
REPROMPT_URL="$url" PYTHONPATH="$folder/python" "$venv/bin/python" "$folder/edit.py"
