#!/usr/bin/env bash
# OpenAI's own Python client against the service: `tests/clients/openai.sh [PROGRAM]`.
# Serves the embedded model with PROGRAM (target/release/reprompt), in an environment under target/.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/serve.sh

venv=$(venv target/venv-openai tests/clients/requirements.txt)
serve "${1:-target/release/reprompt}"
REPROMPT_URL="$url" "$venv/bin/python" tests/clients/openai_client.py
