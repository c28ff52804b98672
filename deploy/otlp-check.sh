#!/usr/bin/env bash
# Checks the build that sends traces: lints it, and has it send some to a collector of its own.
#
#   deploy/otlp-check.sh
set -euo pipefail
cd "$(dirname "$0")/.."

cargo clippy --release --locked --features otlp --all-targets -- -D warnings
cargo test --release --locked --features otlp --test it -- otlp:: observing::
