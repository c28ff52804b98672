#!/usr/bin/env bash
# Checks the build with the feature otlp: lints it, and tests that it sends traces to a test collector.
#
#   deploy/otlp-check.sh
set -euo pipefail
cd "$(dirname "$0")/.."

cargo clippy --release --locked --features otlp --all-targets -- -D warnings
cargo test --release --locked --features otlp --test it -- otlp:: observing::
