#!/usr/bin/env bash
# Runs what the documentation shows: the shell, Python and JavaScript blocks of README.md and docs/*.md, in the order of
# each page, against the service with its embedded model. blocks.py says how a block is left out. readers.py runs the
# readers of events once more, on text of all kinds.
#
#   docs/test/run.sh [BINARY [PAGE...]]        # target/release/reprompt and all pages unless told otherwise
#
# Needs curl, jq, node, and python3 with requests, Pillow and openai; PYTHON names another python3. Installs nothing, works
# in a folder of its own, and ends what it starts. Half a minute on two cores.
set -euo pipefail
cd "$(dirname "$0")/../.."

binary=$(realpath "${1-target/release/reprompt}")
shift $(($# > 0))
if [ $# = 0 ]; then
    # Except docs/operating.md, which builds the service and opens it to other machines.
    mapfile -t pages < <(ls README.md docs/*.md | grep -vx docs/operating.md)
    set -- "${pages[@]}"
fi
export python=${PYTHON-python3}
for tool in curl jq node "$python" "$binary"; do
    command -v "$tool" >/dev/null || { echo "$0: needs $tool" >&2; exit 2; }
done
"$python" -c 'import requests, PIL, openai' || { echo "$0: needs requests, Pillow and openai in $python" >&2; exit 2; }

dir=$(mktemp -d)
trap 'kill "$service" 2>/dev/null; rm -rf "$dir"' EXIT
"$binary" serve --listen 127.0.0.1:0 >"$dir/log" 2>&1 &
service=$!
address=
until [ -n "$address" ] && curl -sf "http://$address/readyz" >/dev/null; do
    kill -0 $service 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
    sleep 0.1
    address=$(sed -n 's|.*listening on http://\([0-9.:]*\).*|\1|p' "$dir/log" | head -n 1)
done
mkdir "$dir/bin"
ln -s "$binary" "$dir/bin/reprompt"

# The start of every page's shell. Its curl fails if the service returns an error; the examples need no such flag.
cat >"$dir/prelude.sh" <<END
set -euo pipefail
PATH='$dir/bin':"\$PATH"
trap 'status=\$?; [ \$status = 0 ] || echo "\$at failed with \$status" >&2' EXIT
curl() { command curl --fail-with-body --max-time 120 "\$@"; }
END

passed=0
for page; do
    blocks=$dir/$(basename "$page" .md)
    mkdir -p "$blocks/work"
    "$python" docs/test/blocks.py "$page" "$blocks" "$address"
    cat "$dir/prelude.sh" "$blocks/page.sh" >"$blocks/run.sh"
    if ! (cd "$blocks/work" && timeout 600 bash "$blocks/run.sh") >"$blocks/said" 2>&1; then
        tail -n 20 "$blocks/said" >&2
        exit 1
    fi
    passed=$((passed + $(grep -c '^at=' "$blocks/page.sh" || true)))
done
"$python" docs/test/readers.py "http://$address"
echo "$passed blocks of $# pages ran"
