#!/usr/bin/env bash
# The playground in a browser: installs what it needs on Debian, builds the service, checks types, clicks and types.
#
#   tests/browser/run.sh                 all of it; screenshots come to target/browser/
#   tests/browser/run.sh --screenshot    makes docs/images/playground.png instead
#   tests/browser/run.sh --built         does not build: `cargo test --release` has left target/release/reprompt
set -euo pipefail
cd "$(dirname "$0")"

needed=()
command -v node >/dev/null || needed+=(nodejs)
command -v npm >/dev/null || needed+=(npm)
command -v chromium >/dev/null || needed+=(chromium)
# The image in the docs is to be small.
[[ ${1:-} != --screenshot ]] || command -v pngquant >/dev/null || needed+=(pngquant)
if ((${#needed[@]})); then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${needed[@]}"
fi

# What is there already and is what the lock says stays.
if ! cmp -s package-lock.json node_modules/.installed; then
    npm ci --no-audit --no-fund --loglevel=error
    cp package-lock.json node_modules/.installed
fi
# Tests have more features of tokio than the service, so that a build after them would compile most of it again.
[[ ${1:-} == --built ]] || (cd ../.. && cargo build --release --locked)

if [[ ${1:-} == --screenshot ]]; then
    node screenshot.mjs
    exit
fi
node_modules/.bin/tsc -p tsconfig.json
node --test playground.test.mjs
