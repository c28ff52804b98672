#!/usr/bin/env bash
# Fuzzes the service with requests generated from its contract: `tests/fuzz/run.sh [CASES] [PROGRAM]`.
# CASES is the number of cases per call and kind of test (100); PROGRAM (target/release/reprompt) serves the embedded
# model. Further options of Schemathesis go in SCHEMATHESIS_OPTIONS, such as `--seed 1 --phases fuzzing`.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/serve.sh

venv=$(venv target/venv-fuzz tests/fuzz/requirements.txt)
serve "${2:-target/release/reprompt}"
mkdir -p target/fuzz
cd target/fuzz
# shellcheck disable=SC2086
"../../$venv/bin/schemathesis" --config-file ../../tests/fuzz/schemathesis.toml run "$url/openapi.json" \
    --checks all --max-examples "${1:-100}" ${SCHEMATHESIS_OPTIONS:-}
# The service must still be ready, and its log must have no errors or warnings.
curl --silent --fail --output /dev/null "$url/readyz"
if grep -E '"level":"(ERROR|WARN)"' "$log"; then
    echo "the service's log has errors or warnings" >&2
    exit 1
fi
