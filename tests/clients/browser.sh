#!/usr/bin/env bash
# OpenAI's own JavaScript client in Chromium, on a page of another origin: `tests/clients/browser.sh [PROGRAM]`.
# Serves the embedded model with PROGRAM (target/release/reprompt). Needs node, npm and Chromium; the packages come to
# target/clients/.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/serve.sh
source tests/clients/packages.sh

packages
cp tests/clients/browser.mjs target/clients/
serve "${1:-target/release/reprompt}" --cors-origin 'http://localhost:*'
REPROMPT_URL="$url" node target/clients/browser.mjs
